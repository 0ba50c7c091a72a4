//! When to sync: pure arithmetic on instants that are handed in.

use std::time::Duration;

/// When a background worker syncs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncerOptions {
    /// At least this often, to see what changed in the store. Default: 60 s.
    pub every: Duration,
    /// This long after an edit, so that edits made together go up together. Default: 2 s.
    pub debounce: Duration,
    /// Never later than this after the first edit that waits, however many follow it. Default: 10 s.
    pub patience: Duration,
    /// The longest wait after the first sync that failed; it doubles with each. Default: 1 s.
    pub retry_base: Duration,
    /// No wait after a failed sync is longer: once the network is back, edits arrive within this time and the duration
    /// of a sync. Default: 30 s.
    pub retry_cap: Duration,
    /// How often the file is looked at for edits of other programs, and a worker that stands by looks whether the other
    /// one is still there. Default: 250 ms.
    pub look: Duration,
    /// Events that are kept for a reader that is late; of more, the oldest are dropped. Default: 1,024.
    pub events: usize,
    /// What becomes of this worker while another one works on the file. Default: it stands by.
    pub when_taken: WhenTaken,
}

/// What becomes of a worker while another one, in whatever process, works on its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenTaken {
    /// It stands by, and takes over when the other one ends or dies.
    StandBy,
    /// It does not start, if the other one has not ended within this time: the error's code is `busy`.
    Refuse {
        /// Zero: at once.
        after: Duration,
    },
}

impl Default for SyncerOptions {
    fn default() -> Self {
        SyncerOptions {
            every: Duration::from_secs(60),
            debounce: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            retry_base: Duration::from_secs(1),
            retry_cap: Duration::from_secs(30),
            look: Duration::from_millis(250),
            events: 1_024,
            when_taken: WhenTaken::StandBy,
        }
    }
}

/// The next sync.
#[derive(Debug)]
pub struct Schedule {
    every_ms: u64,
    debounce_ms: u64,
    patience_ms: u64,
    retry_base_ms: u64,
    retry_cap_ms: u64,
    due_ms: u64,
    /// When edits that wait are sent, and the first of them.
    edit_due_ms: u64,
    first_edit_ms: Option<u64>,
    failures: u32,
    is_paused: bool,
    is_asked: bool,
}

impl Schedule {
    /// The first sync is due at once.
    pub fn new(options: &SyncerOptions, now_ms: u64) -> Schedule {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Schedule {
            every_ms: ms(options.every),
            debounce_ms: ms(options.debounce),
            patience_ms: ms(options.patience),
            retry_base_ms: ms(options.retry_base).max(1),
            retry_cap_ms: ms(options.retry_cap),
            due_ms: now_ms,
            edit_due_ms: u64::MAX,
            first_edit_ms: None,
            failures: 0,
            is_paused: false,
            is_asked: false,
        }
    }

    /// Whether it is time to sync.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.is_asked || (!self.is_paused && now_ms >= self.due_ms())
    }

    /// When it will be.
    pub fn due_ms(&self) -> u64 {
        let edit_ms = if self.failures == 0 { self.edit_due_ms } else { u64::MAX };
        self.due_ms.min(edit_ms)
    }

    /// A worker takes the file up; the last one had meant to try in `left_ms`. A clock that was set meanwhile must not
    /// make it wait longer than any failure would.
    pub fn taken_up(&mut self, now_ms: u64, left_ms: Option<u64>) {
        self.due_ms = now_ms + left_ms.unwrap_or(0).min(self.retry_cap_ms);
    }

    /// Somebody wants it now.
    pub fn asked(&mut self) {
        self.is_asked = true;
    }

    /// Somebody edited. While the store cannot be reached that makes no hurry: the next try is set.
    pub fn edited(&mut self, now_ms: u64) {
        let first_ms = *self.first_edit_ms.get_or_insert(now_ms);
        let latest_ms = first_ms.saturating_add(self.patience_ms);
        self.edit_due_ms = now_ms.saturating_add(self.debounce_ms).min(latest_ms);
    }

    /// A sync went well.
    pub fn went_well(&mut self, now_ms: u64) {
        (self.failures, self.first_edit_ms, self.edit_due_ms, self.is_asked) = (0, None, u64::MAX, false);
        self.due_ms = now_ms.saturating_add(self.every_ms);
    }

    /// A sync failed. Half of a wait is fixed and half is chance, drawn from `0.0..1.0`: neither a storm nor a standstill.
    pub fn failed(&mut self, now_ms: u64, chance: f64) {
        self.is_asked = false;
        let full_ms = self.retry_base_ms.saturating_mul(1 << self.failures.min(20)).min(self.retry_cap_ms);
        self.failures += 1;
        self.due_ms = now_ms + full_ms / 2 + (full_ms as f64 / 2.0 * chance) as u64;
    }

    /// Nothing is due by itself.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// What came due meanwhile is due now.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        let mut schedule = Schedule::new(&SyncerOptions::default(), 0);
        schedule.went_well(0);
        schedule
    }

    #[test]
    fn an_edit_is_sent_soon_and_a_stream_of_edits_is_not_put_off_for_ever() {
        let mut schedule = schedule();
        schedule.edited(1_000);
        assert_eq!(schedule.due_ms(), 3_000);
        schedule.edited(2_500);
        assert_eq!(schedule.due_ms(), 4_500, "edits made together go up together");
        (3..20).for_each(|second| schedule.edited(second * 1_000));
        assert_eq!(schedule.due_ms(), 11_000, "ten seconds after the first at the latest");
    }

    #[test]
    fn without_an_edit_it_syncs_on_its_schedule() {
        let schedule = schedule();
        assert!(!schedule.is_due(59_999) && schedule.is_due(60_000));
    }

    #[test]
    fn a_failed_sync_is_tried_again_without_an_edit_and_never_later_than_the_cap() {
        let mut schedule = schedule();
        let mut now_ms = 0;
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                schedule.failed(now_ms, 1.0);
                let wait = schedule.due_ms() - now_ms;
                now_ms = schedule.due_ms();
                wait
            })
            .collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        schedule.edited(now_ms);
        assert_eq!(schedule.due_ms(), now_ms, "an edit neither hurries nor delays a try that is set");
        schedule.went_well(now_ms);
        assert_eq!(schedule.due_ms(), now_ms + 60_000);
    }

    #[test]
    fn the_next_try_survives_a_restart_and_a_clock_that_was_set() {
        let mut schedule = Schedule::new(&SyncerOptions::default(), 500);
        schedule.taken_up(500, Some(7_000));
        assert_eq!(schedule.due_ms(), 7_500);
        schedule.taken_up(500, Some(99_999_999));
        assert_eq!(schedule.due_ms(), 30_500);
        schedule.taken_up(500, None);
        assert!(schedule.is_due(500));
    }

    #[test]
    fn paused_it_syncs_only_when_asked() {
        let mut schedule = schedule();
        schedule.pause();
        assert!(!schedule.is_due(1_000_000));
        schedule.asked();
        assert!(schedule.is_due(1_000_000));
        schedule.went_well(1_000_000);
        assert!(!schedule.is_due(2_000_000));
        schedule.resume();
        assert!(schedule.is_due(2_000_000), "what came due meanwhile is done at once");
    }
}
