//! The server's clock from pull to pull, as the file remembers it.
//!
//! An answer tells what time it is (`Date`), and one node of the store may be wrong, with what it dated itself to bear it out. What
//! no answer can forge is the time that passed here since an earlier pull. So a `Date` that is not as that says is **odd**, and is
//! believed when it is told so again, at another moment. The till's own clock decides nothing but when: where it was set, or was
//! never right, the second pull finds the server as odd as the first one did.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// What differs by no more is of one clock: times are whole seconds, were on their way for a while, and clocks drift.
const OF_ONE_CLOCK: TimeDelta = TimeDelta::seconds(30);
/// Two answers within less are of one moment: the same node may have given both.
const APART: TimeDelta = TimeDelta::seconds(5);

/// What the server told of its clock, and the till's own at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullClock {
    /// The `Date` of an answer.
    pub told: DateTime<Utc>,
    /// The till's clock when it came.
    pub here: DateTime<Utc>,
}

impl PullClock {
    /// What the server's clock is by this when the till's is `here`.
    fn at(self, here: DateTime<Utc>) -> DateTime<Utc> {
        self.told.checked_add_signed(here - self.here).unwrap_or(here)
    }

    fn is_like(self, other: PullClock) -> bool {
        (other.told - self.at(other.here)).abs() <= OF_ONE_CLOCK
    }
}

/// What is known of the server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownClock {
    /// As an earlier pull told; `None`: nothing but the till's own is known.
    pub believed: Option<PullClock>,
    /// What was told since, if it was odd.
    pub odd: Option<PullClock>,
}

impl KnownClock {
    /// What the server's clock should be when the till's is `here`.
    pub fn expects(&self, here: DateTime<Utc>) -> DateTime<Utc> {
        self.believed.map_or(here, |believed| believed.at(here))
    }

    /// Whether what was heard now was odd in the same way at another moment.
    pub fn is_odd_again(&self, heard: PullClock) -> bool {
        self.odd.is_some_and(|odd| odd.is_like(heard) && heard.here - odd.here >= APART)
    }

    /// A pull that was whole heard this.
    #[must_use]
    pub fn hear(self, heard: PullClock) -> KnownClock {
        let is_expected = (heard.told - self.expects(heard.here)).abs() <= OF_ONE_CLOCK;
        if is_expected || self.is_odd_again(heard) {
            return KnownClock { believed: Some(heard), odd: None };
        }
        let since = self.odd.filter(|odd| odd.is_like(heard) && odd.here <= heard.here);
        KnownClock { odd: since.or(Some(heard)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The server tells of `ahead` seconds more than the till's clock, which is at `here`.
    fn heard(here: i64, ahead: i64) -> PullClock {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        PullClock { told: at(here + ahead), here: at(here) }
    }

    fn known(all: &[(i64, i64)]) -> KnownClock {
        let all = all.iter().map(|(here, ahead)| heard(*here, *ahead));
        all.fold(KnownClock::default(), KnownClock::hear)
    }

    #[test]
    fn what_is_odd_is_believed_when_it_is_told_again_at_another_moment() {
        let is_ahead = |all: &[(i64, i64)]| {
            let here = heard(1_000, 0).here;
            (known(all).expects(here) - here).num_seconds()
        };
        assert_eq!(is_ahead(&[(0, 20), (100, 45)]), 45, "clocks drift");
        assert_eq!(is_ahead(&[(0, 75)]), 0, "the first one too, against the till's own");
        assert_eq!(is_ahead(&[(0, 0), (100, 75), (104, 75)]), 0, "that may be the same node");
        assert_eq!(is_ahead(&[(0, 0), (100, 75), (104, 75), (106, 75)]), 75);
        assert_eq!(is_ahead(&[(0, 0), (100, 75), (106, 0), (112, 75)]), 0, "in between it was as expected");
        assert_eq!(is_ahead(&[(0, 0), (100, 75), (110, -4_000), (112, 75)]), 0, "the whole store is odd");
        assert_eq!(is_ahead(&[(0, 0), (100, -4_000), (110, -4_000)]), -4_000, "set back");
        assert_eq!(is_ahead(&[(0, 7_200), (60, 7_200)]), 7_200, "a till whose clock was never right");
    }

    #[test]
    fn of_an_odd_one_it_is_known_whether_it_was_heard_before() {
        let known = known(&[(0, 0), (100, 75)]);
        assert!(known.is_odd_again(heard(105, 60)) && !known.is_odd_again(heard(104, 75)));
        assert!(!known.is_odd_again(heard(105, 0)) && !known.is_odd_again(heard(105, 900)));
    }
}
