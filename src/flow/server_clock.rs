//! The server's clock, by the `Date` of its answers. One wrong `Date` is not believed: it has to be heard twice, unless it was the
//! till's own clock that jumped.

use chrono::{DateTime, TimeDelta, Utc};

/// What an engine has heard of the server's clock. The first `Date` of a process is held against what an earlier one knew: the till's
/// clock may have been set by a person since, but not by days.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerClock {
    /// The last answer: the server's time less the till's, and the till's two clocks then.
    last: Option<(TimeDelta, u64, DateTime<Utc>)>,
    /// What is believed.
    believed: Option<TimeDelta>,
    /// What an earlier process believed; nothing: the till's own clock.
    known: TimeDelta,
}

/// Answers that differ by no more are of one clock: its times are whole seconds, and were on their way for a while.
const OF_ONE_CLOCK: TimeDelta = TimeDelta::seconds(30);

/// A first answer that differs by more stands alone.
const SET_BY_A_PERSON: TimeDelta = TimeDelta::days(1);

impl ServerClock {
    /// By how much the server's clock was ahead when it was last believed.
    pub fn knows(&mut self, ahead: TimeDelta) {
        self.known = ahead;
    }

    /// An answer bore this `date`, when the till's clocks were `now_ms` and `utc`. Returns by how much the server's is ahead,
    /// when this answer is believed.
    pub fn hear(&mut self, date: DateTime<Utc>, now_ms: u64, utc: DateTime<Utc>) -> Option<TimeDelta> {
        let ahead = date - utc;
        let (last, believed) = (self.last.replace((ahead, now_ms, utc)), self.believed);
        let is_like = |other: TimeDelta| (ahead - other).abs() <= OF_ONE_CLOCK;
        // By how much the till's wall clock was set since: it ran on by more, or less, than the one that never jumps.
        let set_by = last.map_or(TimeDelta::zero(), |(_, then_ms, then)| {
            let ran = TimeDelta::try_milliseconds(
                i64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(i64::MAX),
            );
            (utc - then).checked_sub(&ran.unwrap_or(TimeDelta::MAX)).unwrap_or(TimeDelta::zero())
        });
        let is_plausible = match believed {
            Some(believed) => is_like(believed) || is_like(believed - set_by),
            None => (ahead - self.known).abs() <= SET_BY_A_PERSON,
        };
        let is_believed = is_plausible || last.is_some_and(|(last, ..)| is_like(last));
        if is_believed {
            self.believed = Some(ahead);
        }
        self.believed.filter(|_| is_believed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn one_wrong_date_is_not_believed_and_two_are() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.hear(at(100), 0, at(0)), Some(TimeDelta::seconds(100)));
        assert_eq!(clock.hear(at(9_000), 1_000, at(1)), None);
        assert_eq!(clock.hear(at(102), 2_000, at(2)), Some(TimeDelta::seconds(100)));
        assert_eq!(clock.hear(at(9_003), 3_000, at(3)), None);
        assert_eq!(clock.hear(at(9_004), 4_000, at(4)), Some(TimeDelta::seconds(9_000)));
    }

    #[test]
    fn the_first_date_is_held_against_what_was_known() {
        let century = 36_525 * 86_400;
        let mut clock = ServerClock::default();
        assert_eq!(clock.hear(at(century), 0, at(0)), None);
        assert_eq!(clock.hear(at(1), 1_000, at(1)), Some(TimeDelta::zero()), "it stood alone");
        // The battery of the till was empty: it begins in 1970.
        let mut clock = ServerClock::default();
        assert_eq!(clock.hear(at(century), 0, at(0)), None);
        assert_eq!(clock.hear(at(century + 1), 1_000, at(1)), Some(TimeDelta::seconds(century)));
        let mut clock = ServerClock::default();
        clock.knows(TimeDelta::seconds(century));
        assert!(clock.hear(at(century + 3_600), 0, at(0)).is_some(), "somebody set it by an hour");
    }

    #[test]
    fn a_till_whose_own_clock_was_set_believes_at_once() {
        let mut clock = ServerClock::default();
        clock.hear(at(100), 0, at(100));
        assert_eq!(clock.hear(at(101), 1_000, at(3_701)), Some(TimeDelta::seconds(-3_600)));
    }
}
