//! Who is lacking in a list that came to its end, and what is known of that from list to list.
//!
//! | what is lacking | known by |
//! |---|---|
//! | a record that is no customer | its id as told, or else its text |
//! | a customer that the store cannot list: each page that would show it fails, or is too large | who is listed before it |
//! | customers that `total` counts and the list does not show | how many |
//!
//! A list of everybody that lacks the same as the one before is as good as it gets: it counts, and deletes nobody. A list of changes
//! may lack of those what a list of everybody lacked. Whom the store cannot list is let go by a list of changes, so that not each
//! one after it has to find its way around that customer; it is asked for [again](Unlisted) later, and ever later.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A record of a page that is no customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What tells it from others, wherever it is listed.
    pub who: String,
    /// What is wrong with it, in words.
    pub words: String,
}

/// So many are told apart; of more nothing is known but how many they are.
const TOLD_APART: usize = 1_000;

/// Those of a list who can be told apart, and what is wrong with each, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    all: BTreeMap<String, String>,
    #[serde(default)]
    more: u64,
}

impl Named {
    pub(super) fn add(&mut self, who: String, words: String) {
        match self.all.len() < TOLD_APART || self.all.contains_key(&who) {
            true => _ = self.all.insert(who, words),
            false => self.more += 1,
        }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.all.len() as u64 + self.more
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// `None`: they are too many to be told apart.
    pub(super) fn who(&self) -> Option<BTreeSet<String>> {
        (self.more == 0).then(|| self.all.keys().cloned().collect())
    }

    /// One of them, and how many others there are.
    pub(super) fn words(&self) -> Option<String> {
        let (first, more) = (self.all.values().next()?, self.len() - 1);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        Some(format!("{first}{more}"))
    }
}

/// What a list lacked that came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Customers that were told of and not shown.
    pub nameless: u64,
    /// Those who can be told apart.
    pub who: BTreeSet<String>,
}

/// What the lists of everybody lacked that came to their end and were not whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacks {
    nameless: u64,
    who: BTreeSet<String>,
    /// So often, one after the other; 2: or more often.
    times: u32,
}

impl Lacks {
    /// A list of everybody lacks these, after one that lacked `before`.
    #[must_use]
    pub fn again(before: Option<&Lacks>, Lacking { nameless, who }: Lacking) -> Lacks {
        let is_again = before.is_some_and(|before| before.nameless == nameless && before.who == who);
        Lacks { nameless, who, times: if is_again { 2 } else { 1 } }
    }

    /// Whether a list that lacks these is as good as it gets.
    pub fn covers(&self, lacking: &Lacking) -> bool {
        let is_as_many = [0, self.nameless].contains(&lacking.nameless);
        self.times > 1 && is_as_many && lacking.who.is_subset(&self.who)
    }
}

/// Customers that the store could not list as changed: they are asked for again, from the moment from which that list was asked
/// for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// By the server's clock.
    pub since: DateTime<Utc>,
    words: String,
    tries: u32,
    /// By the till's.
    next_try: DateTime<Utc>,
}

/// The wait before the second try; it doubles with each.
const AGAIN_AFTER: TimeDelta = TimeDelta::minutes(10);
/// No wait is longer.
const AGAIN_AT_LEAST: TimeDelta = TimeDelta::days(1);

impl Unlisted {
    /// A list that was asked for from `since` on could not show these.
    #[must_use]
    pub fn again(
        before: Option<Unlisted>,
        since: DateTime<Utc>,
        words: String,
        now: DateTime<Utc>,
    ) -> Unlisted {
        let is_known = before.as_ref().is_some_and(|before| !before.is_due(now));
        match before {
            // It was changed again, or is still within the overlap.
            Some(before) if is_known => Unlisted { since: before.since.min(since), words, ..before },
            before => {
                let tries = before.as_ref().map_or(0, |before| before.tries).saturating_add(1);
                let doubled = AGAIN_AFTER * (1 << (tries - 1).min(10));
                let since = before.map_or(since, |before| before.since.min(since));
                Unlisted { since, words, tries, next_try: now + doubled.min(AGAIN_AT_LEAST) }
            }
        }
    }

    /// Whether it is time to ask for them again. A clock that was set back makes nobody wait for longer than a day.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        now >= self.next_try || self.next_try - now > AGAIN_AT_LEAST
    }

    /// Who they are, and when they are asked for again.
    pub fn words(&self) -> String {
        let at = self.next_try.format("%Y-%m-%dT%H:%M:%SZ");
        format!("{}; that is asked for again from {at} on, and by each pull of everybody", self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(nameless: u64, who: &[&str]) -> Lacking {
        Lacking { nameless, who: who.iter().map(|who| (*who).to_owned()).collect() }
    }

    #[test]
    fn a_list_that_lacks_the_same_twice_is_as_good_as_it_gets_and_another_one_is_not() {
        let once = Lacks::again(None, lacking(0, &["7", "9"]));
        assert!(!once.covers(&lacking(0, &["7"])));
        let twice = Lacks::again(Some(&once), lacking(0, &["7", "9"]));
        assert!(twice.covers(&lacking(0, &["7", "9"])) && twice.covers(&lacking(0, &["9"])));
        assert!(!twice.covers(&lacking(0, &["8"])), "as many, and another one");
        assert!(!twice.covers(&lacking(1, &[])), "nobody knows who that is");
        let other = Lacks::again(Some(&twice), lacking(0, &["7", "8"]));
        assert!(!other.covers(&lacking(0, &["7"])), "it begins anew");
        let total = Lacks::again(Some(&Lacks::again(None, lacking(3, &[]))), lacking(3, &[]));
        assert!(total.covers(&lacking(3, &[])) && !total.covers(&lacking(2, &[])));
    }

    #[test]
    fn who_could_not_be_listed_is_asked_for_later_and_later_from_the_first_moment() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let again = |before, since, now| Unlisted::again(before, at(since), "7".to_owned(), at(now));
        let once = again(None, 100, 100);
        assert!(!once.is_due(at(109)) && once.is_due(at(110)));
        let overlap = again(Some(once), 101, 105);
        assert!(!overlap.is_due(at(109)) && overlap.is_due(at(110)) && overlap.since == at(100));
        let twice = again(Some(overlap), 100, 110);
        assert!(!twice.is_due(at(129)) && twice.is_due(at(130)));
        let often = (0..40).fold(twice, |before, nth| again(Some(before), 100, 130 + nth * 2_000));
        let last = 130 + 39 * 2_000;
        assert!(!often.is_due(at(last + 1_439)) && often.is_due(at(last + 1_440)) && often.since == at(100));
        assert!(often.is_due(at(-5_000)), "the clock was set");
    }
}
