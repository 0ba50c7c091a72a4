//! The rate window: so many calls in so many milliseconds, shared with the store's other apps.
//!
//! A window begins with the first call after the one before it has ended, as the platform's does.

use chrono::{DateTime, Utc};

use super::options::SandboxOptions;

/// The window under way.
#[derive(Clone, Debug)]
pub(super) struct RateWindow {
    quota: u32,
    window_ms: u64,
    competitor_calls: u32,
    began: Option<DateTime<Utc>>,
    ours: u32,
    refusals: u32,
}

/// What one call finds when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub quota: u32,
    pub window_ms: u64,
    /// Milliseconds until the window ends.
    pub reset_ms: u64,
    /// Calls left after this one.
    pub left: u32,
    /// Zero when this call is within quota, else its number among the window's refused ones.
    pub refusal: u32,
}

impl RateWindow {
    pub fn new(options: &SandboxOptions) -> Self {
        Self {
            quota: options.quota,
            window_ms: options.window_ms.max(1),
            competitor_calls: options.competitor_calls,
            began: None,
            ours: 0,
            refusals: 0,
        }
    }

    /// Counts a call.
    pub fn arrive(&mut self, now: DateTime<Utc>) -> Rate {
        let elapsed_ms = self.elapsed_ms(now);
        let available = self.quota.saturating_sub(self.competitor_share(elapsed_ms));
        if self.ours < available {
            self.ours += 1;
            return self.rate(elapsed_ms, available - self.ours, 0);
        }
        self.refusals += 1;
        self.rate(elapsed_ms, 0, self.refusals)
    }

    fn rate(&self, elapsed_ms: u64, left: u32, refusal: u32) -> Rate {
        Rate {
            quota: self.quota,
            window_ms: self.window_ms,
            reset_ms: self.window_ms - elapsed_ms,
            left,
            refusal,
        }
    }

    /// How far the window has run, after beginning a new one where that is due.
    fn elapsed_ms(&mut self, now: DateTime<Utc>) -> u64 {
        let elapsed = self.began.and_then(|began| u64::try_from((now - began).num_milliseconds()).ok());
        if let Some(elapsed_ms) = elapsed.filter(|elapsed_ms| *elapsed_ms < self.window_ms) {
            return elapsed_ms;
        }
        (self.began, self.ours, self.refusals) = (Some(now), 0, 0);
        0
    }

    fn competitor_share(&self, elapsed_ms: u64) -> u32 {
        let share = u64::from(self.competitor_calls) * (elapsed_ms + 1) / self.window_ms;
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms)
    }

    fn window(quota: u32, competitor_calls: u32) -> RateWindow {
        let options =
            SandboxOptions { quota, window_ms: 1_000, competitor_calls, ..SandboxOptions::default() };
        RateWindow::new(&options)
    }

    #[test]
    fn a_window_begins_with_its_first_call_and_refuses_beyond_the_quota() {
        let mut window = window(2, 0);
        assert_eq!((window.arrive(at(500)).left, window.arrive(at(600)).left), (1, 0));
        let refused = window.arrive(at(1_400));
        assert_eq!((refused.refusal, refused.reset_ms), (1, 100));
        assert_eq!(window.arrive(at(1_500)).refusal, 0, "a new window begins when the old one has ended");
    }

    #[test]
    fn another_app_eats_into_the_quota_as_the_window_goes_on() {
        let mut window = window(10, 8);
        assert_eq!(window.arrive(at(0)).left, 9);
        assert_eq!(window.arrive(at(999)).left, 0);
        assert_eq!(window.arrive(at(999)).refusal, 1);
    }
}
