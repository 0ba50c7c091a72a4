//! How long to wait before trying again: exponential backoff with full jitter, bounded in tries and in time.

use crate::error::Failure;
use crate::flow::Pacer;

/// How a request that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOptions {
    /// How often a request is sent at most. Default: 5.
    pub tries: u32,
    /// The longest wait after the first failure of a read, in milliseconds; it doubles with each. Default: 500.
    pub read_base_ms: u64,
    /// The same for an update, which a busy server takes longer to get through. Default: 1,000.
    pub write_base_ms: u64,
    /// No wait is longer, in milliseconds. Default: 30,000.
    pub cap_ms: u64,
    /// Nothing is tried again when this much time has passed without any success, in milliseconds, nor waited for if the store
    /// asks to wait longer. Default: 120,000.
    pub total_ms: u64,
    /// A store that answers, but only with `429`, is not down: others are using up its quota, and whoever gives up has to
    /// begin anew. It takes this many in a row, besides the time, until it is as good as down. Default: 30.
    pub limited_tries: u32,
}

impl Default for RetryOptions {
    fn default() -> Self {
        RetryOptions {
            tries: 5,
            read_base_ms: 500,
            write_base_ms: 1_000,
            cap_ms: 30_000,
            total_ms: 120_000,
            limited_tries: 30,
        }
    }
}

impl RetryOptions {
    /// Why it is enough, if the next request may leave only after more than the time that nothing need go well, or nothing was
    /// let through for that time.
    pub(crate) fn refuse_wait(&self, pacer: &Pacer, now_ms: u64) -> Option<Failure> {
        if pacer.shut().have_lasted(self, now_ms) {
            let (tries, last) = (pacer.shut().count(), "status 429: too many requests".to_owned());
            return Some(Failure::Unavailable { tries, last });
        }
        let wait_ms = pacer.asked_until_ms(now_ms).saturating_sub(now_ms);
        let last = format!("its quota is used up, it asks to wait for {} s", wait_ms.div_ceil(1_000));
        (wait_ms > self.total_ms).then_some(Failure::Unavailable { tries: 1, last })
    }

    /// The wait after `failures` failures (1 for the first), with `chance` drawn from `0.0..1.0`.
    pub(crate) fn wait_ms(&self, base_ms: u64, failures: u32, chance: f64) -> u64 {
        let most = base_ms.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.cap_ms);
        (most as f64 * chance) as u64
    }
}

/// The wait after `refusals` refusals in a row (1 for the first) because too many calls were under way at once, with `chance`
/// drawn from `0.0..1.0`: that is over as soon as another call ends, so tenths of a second, doubled with each. Half of it is
/// chance: those who were refused together do not come back together.
pub fn crowd_wait_ms(refusals: u32, chance: f64) -> u64 {
    let times = refusals.saturating_sub(1).min(20);
    let most = CROWD_WAIT_MS.saturating_mul(1 << times).min(CROWD_WAIT_LONGEST_MS);
    most / 2 + (most as f64 / 2.0 * chance) as u64
}

const CROWD_WAIT_MS: u64 = 400;
const CROWD_WAIT_LONGEST_MS: u64 = 8_000;

/// Failures in a row, over all requests: a store that is down is not asked once for every batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Misses {
    count: u32,
    since_ms: u64,
    last_ms: u64,
}

impl Misses {
    /// Something went well.
    pub fn clear(&mut self) {
        *self = Misses::default();
    }

    /// A request sent at `sent_ms` failed at `now_ms`. Those that were on their way together count once.
    pub fn add(&mut self, sent_ms: u64, now_ms: u64) {
        if self.count == 0 {
            self.since_ms = now_ms;
        }
        if self.count == 0 || sent_ms >= self.last_ms {
            self.count += 1;
            self.last_ms = now_ms;
        }
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether it is time to give up.
    pub fn are_enough(&self, options: &RetryOptions, now_ms: u64) -> bool {
        self.count >= options.tries || self.have_lasted(options, now_ms)
    }

    /// The same where each of them was a `429`.
    pub fn are_enough_limits(&self, options: &RetryOptions, now_ms: u64) -> bool {
        self.count >= options.limited_tries && self.have_lasted(options, now_ms)
    }

    /// Whether nothing has gone well for as long as that may last, however often it was tried.
    pub fn have_lasted(&self, options: &RetryOptions, now_ms: u64) -> bool {
        self.count > 0 && now_ms.saturating_sub(self.since_ms) >= options.total_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_spread_over_their_whole_length() {
        let options = RetryOptions::default();
        assert_eq!(options.wait_ms(500, 1, 0.999_999), 499);
        assert_eq!(options.wait_ms(500, 4, 0.5), 2_000);
        assert_eq!(options.wait_ms(500, 60, 0.5), 15_000);
        assert_eq!(options.wait_ms(500, 3, 0.0), 0);
    }

    #[test]
    fn requests_that_fail_together_count_once() {
        let (mut misses, options) = (Misses::default(), RetryOptions::default());
        for sent in [0, 1, 2] {
            misses.add(sent, 100);
        }
        assert_eq!(misses.count(), 1);
        misses.add(150, 200);
        assert_eq!(misses.count(), 2);
        assert!(!misses.are_enough(&options, 300));
        assert!(misses.are_enough(&options, 100 + options.total_ms));
        misses.clear();
        assert!(!misses.are_enough(&options, u64::MAX));
    }

    #[test]
    fn a_429_for_window_after_window_is_no_failure_and_for_ever_is_one() {
        let (mut misses, options) = (Misses::default(), RetryOptions::default());
        (0..29).for_each(|window| misses.add(window * 30_000, window * 30_000));
        assert!(!misses.are_enough_limits(&options, 29 * 30_000));
        misses.add(29 * 30_000, 29 * 30_000);
        assert!(misses.are_enough_limits(&options, 29 * 30_000));
        let mut hammered = Misses::default();
        (0..1_000).for_each(|now_ms| hammered.add(now_ms, now_ms));
        assert!(!hammered.are_enough_limits(&options, 1_000));
        assert!(hammered.are_enough_limits(&options, options.total_ms));
    }
}
