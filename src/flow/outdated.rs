//! A record that is older than what is known of its customer is no news: reads may lag behind writes, and a page may have
//! been on its way while an update was answered.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::resource::{Attributes, RowId};

/// By how much the server's clock and a `date_modified` of the same moment may differ.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);
/// No reading lags by more.
pub const LAGS_AT_MOST: TimeDelta = TimeDelta::minutes(1);

/// Whether the record `told` is older than the one that is `known`, by the server's own `date_modified`. In the same second,
/// and where one of them bears no time, it is news: nobody can tell. So it is where the known one bears a time that the
/// server's clock, `server_now`, has not reached: that clock was set back, and what is new looks old.
pub fn is_outdated(known: &Attributes<'_>, told: &Attributes<'_>, server_now: Option<DateTime<Utc>>) -> bool {
    let [known, told] = [known, told].map(|record| record.changed_at_text());
    if known == told {
        return false;
    }
    let Some((known, told)) = known.and_then(moment).zip(told.and_then(moment)) else { return false };
    told < known && server_now.is_none_or(|now| known <= now + CLOCKS_DIFFER)
}

/// Whether what is `known` of a customer is so new that a reading which lags may not show it yet. Then an older one is not the
/// truth however often it comes, whoever asks and whether there are edits or not: what is edited next would stand on it. Who asks
/// for everything, for a store that was set back, is believed a minute later, by itself: it is remembered, and asked for again.
pub fn may_not_show_yet(known: &Attributes<'_>, server_now: Option<DateTime<Utc>>) -> bool {
    let known = known.changed_at_text().and_then(moment);
    known.zip(server_now).is_some_and(|(known, now)| known + LAGS_AT_MOST >= now)
}

/// Two readings that are apart by this much and show the same are no lag: what was known bears the time of a clock that was fast.
const APART: TimeDelta = TimeDelta::seconds(5);
/// Customers of whom an older reading is remembered; a replica that lags shows more, and needs no memory.
const REMEMBERED: usize = 1_000;

/// A moment by the till's clock, and by the store's. Either may be set while something that was learned then is young.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the till's.
    pub here: DateTime<Utc>,
    /// By the store's, as far as it is known.
    pub there: DateTime<Utc>,
}

impl Moment {
    /// Now by the till's clock, of which the store's is `ahead`.
    pub fn new(here: DateTime<Utc>, ahead: TimeDelta) -> Moment {
        Moment { here, there: here.checked_add_signed(ahead).unwrap_or(here) }
    }

    /// The same where an answer bears this `Date`. What is young by that is young.
    #[must_use]
    pub fn told(self, date: Option<DateTime<Utc>>) -> Moment {
        Moment { there: date.map_or(self.there, |date| date.min(self.there)), ..self }
    }
}

/// Customers of whom a reading was older than what is known, what it showed and when that was first seen. Whether it lags, or is
/// the truth, only another moment tells; until then what is known of them counts as old.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OlderReadings {
    shown: BTreeMap<RowId, Shown>,
    /// There was no room for one.
    #[serde(skip)]
    has_dropped: bool,
}

/// What a reading showed, as its hash, and when that was first seen; by the store's clock, too, as long as that is a witness.
/// And what it bore that was dated last of those that were not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shown(
    String,
    DateTime<Utc>,
    #[serde(default)] Option<DateTime<Utc>>,
    #[serde(default)] Option<PassedOver>,
);

/// The date that a reading bore, and when it was seen first, here and by the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PassedOver(DateTime<Utc>, DateTime<Utc>, DateTime<Utc>);

impl PassedOver {
    /// By the clock that says less: the other may have been set since.
    fn is_young(self, now: Moment) -> bool {
        [now.here - self.1, now.there - self.2].iter().any(|age| age.abs() < LAGS_AT_MOST)
    }
}

impl Shown {
    fn has_lasted(&self, now: Moment) -> bool {
        let is_long = |since: DateTime<Utc>, now: DateTime<Utc>| now - since >= CLOCKS_DIFFER + LAGS_AT_MOST;
        is_long(self.1, now.here) && self.2.is_none_or(|since| is_long(since, now.there))
    }

    /// Whether the till's clock says that it has lasted, and the store's does not: one was set ahead, or the other stands still.
    fn is_disputed(&self, now: Moment) -> bool {
        !self.has_lasted(now) && Shown(String::new(), self.1, None, None).has_lasted(now)
    }
}

impl OlderReadings {
    /// An older record came in. True: it has been so for long enough, and is the truth.
    pub fn is_truth(&mut self, id: RowId, body: &str, now: Moment) -> bool {
        let shown = hash(body);
        let passed_over = self.shown.get(&id).and_then(|before| before.3);
        match self.shown.get(&id) {
            // Once, it begins anew, by the till's clock alone: one that stands still, as that of a cache may, is no witness.
            Some(before) if before.0 == shown && before.is_disputed(now) => {
                self.shown.insert(id, Shown(shown, now.here, None, passed_over));
                false
            }
            // A clock that was set back begins anew.
            Some(before) if before.0 == shown && before.1 <= now.here => now.here - before.1 >= APART,
            None if self.shown.len() >= REMEMBERED => {
                self.has_dropped = true;
                false
            }
            _ => {
                self.shown.insert(id, Shown(shown, now.here, Some(now.there), passed_over));
                false
            }
        }
    }

    /// Whether an older record, the same, has come for so long that no clock of the store's makes anybody wait for another.
    pub fn has_lasted(&self, id: RowId, body: &str, now: Moment) -> bool {
        self.shown.get(&id).is_some_and(|before| before.0 == hash(body) && before.has_lasted(now))
    }

    /// This one was not believed, though it may be the newest: whatever is older than it lags.
    pub fn passed_over(&mut self, told: &Attributes<'_>, now: Moment) {
        let Some(shown) = self.shown.get_mut(&told.row()) else { return };
        let Some(date) = told.changed_at_text().and_then(moment) else { return };
        if shown.3.is_none_or(|PassedOver(newest, ..)| newest < date) {
            shown.3 = Some(PassedOver(date, now.here, now.there));
        }
    }

    /// Whether a reading is older than one that was not believed within the last minute. It is no base, though it be newer than what is
    /// known, or just that.
    pub fn is_before_one_passed_over(&self, told: &Attributes<'_>, now: Moment) -> bool {
        let Some(newer) = self.shown.get(&told.row()).and_then(|shown| shown.3) else { return false };
        let date = told.changed_at_text().and_then(moment);
        date.is_some_and(|date| date < newer.0) && newer.is_young(now)
    }

    /// One answer told two things at once of this customer: which is the truth, another reading tells.
    pub fn contradicted(&mut self, id: RowId, now: Moment) {
        let passed_over = self.shown.get(&id).and_then(|before| before.3);
        self.shown.insert(id, Shown(String::new(), now.here, Some(now.there), passed_over));
    }

    /// What is known of this customer is the newest.
    pub fn forget(&mut self, id: RowId) {
        self.shown.remove(&id);
    }

    /// Whether this one is to be read again.
    pub fn has(&self, id: RowId) -> bool {
        self.shown.contains_key(&id)
    }

    /// Whether there was no room for one: nobody asks for it again by itself.
    pub fn has_dropped(&self) -> bool {
        self.has_dropped
    }

    /// Those that are to be read again.
    pub fn ids(&self) -> impl Iterator<Item = RowId> {
        self.shown.keys().copied()
    }
}

/// FNV-1a: the same in every build, and nobody's secret.
pub(crate) fn hash(text: &str) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step))
}

fn moment(json: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(json.trim_matches('"')).ok()?.to_utc())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;
    use crate::resource::customer;

    #[test]
    fn what_is_older_is_no_news_and_what_cannot_be_told_is() {
        for (known, told, is_old) in [
            (r#""2026-01-01T00:00:02Z""#, r#""2026-01-01T00:00:01Z""#, true),
            (r#""2026-01-01T00:00:01Z""#, r#""2026-01-01T00:00:02Z""#, false),
            (r#""2026-01-01T00:00:01Z""#, r#""2026-01-01T00:00:01Z""#, false),
            (r#""2026-01-01T02:00:02+02:00""#, r#""2026-01-01T00:00:01Z""#, true),
            (r#""2026-01-01T02:00:01+02:00""#, r#""2026-01-01T00:00:01Z""#, false),
            (r#""yesterday""#, r#""2026-01-01T00:00:01Z""#, false),
            (r#""2026-01-01T00:00:01Z""#, "null", false),
            ("5", "{}", false),
        ] {
            let record = |date: &str| format!("{{\"id\":1,\"date_modified\":{date}}}");
            let (known, told) = (record(known), record(told));
            let (known, told) = (Attributes::parse(&known).unwrap(), Attributes::parse(&told).unwrap());
            assert_eq!(is_outdated(&known, &told, None), is_old, "{known:?} {told:?}");
        }
        let (with, without) = (r#"{"id":1,"date_modified":"2026-01-01T00:00:01Z"}"#, r#"{"id":1}"#);
        let (with, without) = (Attributes::parse(with).unwrap(), Attributes::parse(without).unwrap());
        assert!(!is_outdated(&with, &without, None) && !is_outdated(&without, &with, None));
    }

    #[test]
    fn what_has_been_shown_for_two_minutes_here_waits_for_no_clock_of_the_stores() {
        let (begin, mut older) = (DateTime::UNIX_EPOCH, OlderReadings::default());
        let at = |seconds| Moment::new(begin + TimeDelta::seconds(seconds), TimeDelta::zero());
        let begin = at(0);
        let has_lasted = |older: &OlderReadings, seconds| older.has_lasted(customer(1), "{}", at(seconds));
        assert!(!has_lasted(&older, 1_000), "never seen");
        older.is_truth(customer(1), "{}", begin);
        assert!(!has_lasted(&older, 119) && has_lasted(&older, 120) && !has_lasted(&older, -120));
        assert!(!older.has_lasted(customer(1), "[]", at(120)), "another one");
    }

    #[test]
    fn where_only_one_clock_says_that_two_minutes_have_passed_they_begin_anew_once() {
        let at = |here: i64, there: i64| {
            let here = DateTime::UNIX_EPOCH + TimeDelta::seconds(here);
            Moment::new(here, TimeDelta::seconds(there) - (here - DateTime::UNIX_EPOCH))
        };
        let (id, mut older) = (customer(1), OlderReadings::default());
        older.is_truth(id, "{}", at(0, 0));
        assert!(older.has_lasted(id, "{}", at(120, 120)) && !older.has_lasted(id, "{}", at(900, 10)));
        assert!(!older.is_truth(id, "{}", at(900, 10)), "the till's clock was set ahead");
        assert!(!older.has_lasted(id, "{}", at(1_019, 10)) && older.has_lasted(id, "{}", at(1_020, 10)));
        assert!(older.is_truth(id, "{}", at(1_020, 10)), "the store's stands still");
    }

    #[test]
    fn what_is_older_than_one_that_was_not_believed_lags_for_a_minute() {
        let at = |here: i64, there: i64| {
            let here = DateTime::UNIX_EPOCH + TimeDelta::seconds(here);
            Moment::new(here, TimeDelta::seconds(there - here.timestamp()))
        };
        let dated = |second: u32| format!(r#"{{"id":1,"date_modified":"2026-01-01T00:00:{second:02}Z"}}"#);
        let mut older = OlderReadings::default();
        for second in [5, 7, 6] {
            let body = dated(second);
            older.is_truth(customer(1), &body, at(10, 10));
            older.passed_over(&Attributes::parse(&body).unwrap(), at(10, 10));
        }
        let text = serde_json::to_string(&older).unwrap();
        let older: OlderReadings = serde_json::from_str(&text).unwrap();
        let lags = |body: &str, now| older.is_before_one_passed_over(&Attributes::parse(body).unwrap(), now);
        assert!(
            lags(&dated(6), at(20, 20)) && !lags(&dated(7), at(20, 20)) && !lags(r#"{"id":1}"#, at(20, 20))
        );
        assert!(!lags(&dated(6), at(70, 70)), "the minute is over");
        assert!(lags(&dated(6), at(9_000, 20)) && lags(&dated(6), at(20, 9_000)), "a clock was set ahead");
        assert!(!lags(&dated(6), at(-9_000, -9_000)), "or both back");
    }

    #[test]
    fn what_there_is_no_room_for_is_told() {
        let (now, mut older) =
            (Moment::new(DateTime::UNIX_EPOCH, TimeDelta::zero()), OlderReadings::default());
        for id in 1..=1_000 {
            assert!(!older.is_truth(customer(id), "{}", now) && !older.has_dropped());
        }
        assert!(!older.is_truth(customer(1), "{}", now) && !older.has_dropped(), "it is remembered");
        assert!(!older.is_truth(customer(1_001), "{}", now) && older.has_dropped());
        let text = serde_json::to_string(&older).unwrap();
        let read: OlderReadings = serde_json::from_str(&text).unwrap();
        assert!(read.has(customer(1_000)) && !read.has_dropped(), "it is of one page");
    }

    #[test]
    fn a_time_that_the_servers_clock_has_not_reached_proves_nothing() {
        let (known, told) = (
            r#"{"id":1,"date_modified":"2026-01-01T09:00:00Z"}"#,
            r#"{"id":1,"date_modified":"2026-01-01T00:00:10Z"}"#,
        );
        let (known, told) = (Attributes::parse(known).unwrap(), Attributes::parse(told).unwrap());
        for (now, is_old) in
            [("2026-01-01T00:00:20Z", false), ("2026-01-01T08:59:30Z", true), ("2026-01-01T09:00:01Z", true)]
        {
            assert_eq!(is_outdated(&known, &told, now.parse().ok()), is_old, "{now}");
        }
    }
}
