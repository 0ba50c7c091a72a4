//! When to sync, and how: pure arithmetic on instants that are handed in.
//!
//! Edits go up by themselves, soon: a push looks by id at the customers that it sends, and nobody else's news delays it. News
//! is pulled on a schedule of its own. Where both are due after a failure, edits go first: after an outage all tills of a store
//! come back at once, and what the others changed is the larger part of what is to be read. While the store says that its
//! quota is used up, news waits longer, and edits do not.

use std::time::Duration;

/// When a background worker syncs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncerOptions {
    /// This often, to see what changed in the store. Default: 60 s.
    pub every: Duration,
    /// While others use much of the store's quota, what changed there is asked for less often: this often at least. Where even
    /// that is more than the quota bears, as when all tills come back after an outage, it is tried again as much later. Edits go up all
    /// the same. Default: 15 min.
    pub latest: Duration,
    /// This often everybody is asked for, to find customers that were deleted: a few pages with each sync for news, until the
    /// list is through; later and later while that fails ([`Event::PullFailed`](crate::Event::PullFailed)). `None`: never; a pull
    /// of everything finds them. Default: a week.
    pub full_every: Option<Duration>,
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
    /// An edit that waits for so long is told of: [`Event::WaitingLong`](crate::Event::WaitingLong). It is looked for once a
    /// minute. Default: one day.
    pub waiting_long: Duration,
    /// Events that are kept for a reader that is late; of more, the oldest are dropped. Default: 1,024.
    pub events: usize,
    /// What becomes of this worker while another one works on the file. Default: it stands by.
    pub when_taken: WhenTaken,
}

const DAY_MS: u64 = 86_400_000;

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
            latest: Duration::from_secs(15 * 60),
            full_every: Some(Duration::from_secs(7 * 86_400)),
            debounce: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            retry_base: Duration::from_secs(1),
            retry_cap: Duration::from_secs(30),
            look: Duration::from_millis(250),
            waiting_long: Duration::from_secs(24 * 60 * 60),
            events: 1_024,
            when_taken: WhenTaken::StandBy,
        }
    }
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Edits go up.
    Push,
    /// What changed in the store comes in, and edits go up.
    Sync,
}

/// What the store has told of its quota, up to the end of a push or a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuotaUse {
    /// It said meanwhile that nothing is left.
    pub is_used_up: bool,
    /// How much of it others use; 1.0: all.
    pub of_others: f64,
    /// So the rest of the news waits, for another sync.
    pub has_put_news_off: bool,
}

/// While others use more of the quota than this, news is asked for less often each time; and more often again while they use
/// less than that. What lies between bears the edits of all, and other apps.
const MUCH: f64 = 0.5;
const LITTLE: f64 = 0.3;

/// The next sync.
#[derive(Debug)]
pub struct Schedule {
    every_ms: u64,
    latest_ms: u64,
    debounce_ms: u64,
    patience_ms: u64,
    retry_base_ms: u64,
    retry_cap_ms: u64,
    /// When news is asked for, and how often now.
    news_due_ms: u64,
    news_every_ms: u64,
    /// Since when it has been put off, because the store's quota is short.
    put_off_ms: Option<u64>,
    /// Since when a sync owes it; or since the last one that had to bring it, and failed.
    owed_since_ms: Option<u64>,
    /// When edits that wait are sent, and the first of them.
    edit_due_ms: u64,
    first_edit_ms: Option<u64>,
    /// When it is tried again after a failure.
    retry_due_ms: u64,
    failures: u32,
    /// When everybody may be asked for again after that failed, and how often it has, one after the other.
    everybody_due_ms: u64,
    everybody_failures: u32,
    is_paused: bool,
    is_asked: bool,
}

impl Schedule {
    /// The first sync is due at once.
    pub fn new(options: &SyncerOptions, now_ms: u64) -> Schedule {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Schedule {
            every_ms: ms(options.every),
            latest_ms: ms(options.latest.max(options.every)),
            debounce_ms: ms(options.debounce),
            patience_ms: ms(options.patience),
            retry_base_ms: ms(options.retry_base).max(1),
            retry_cap_ms: ms(options.retry_cap),
            news_due_ms: now_ms,
            news_every_ms: ms(options.every),
            put_off_ms: None,
            owed_since_ms: None,
            edit_due_ms: u64::MAX,
            first_edit_ms: None,
            retry_due_ms: now_ms,
            failures: 0,
            everybody_due_ms: now_ms,
            everybody_failures: 0,
            is_paused: false,
            is_asked: false,
        }
    }

    /// What it is time for.
    pub fn due(&self, now_ms: u64) -> Option<Job> {
        match (self.is_asked, self.is_paused || now_ms < self.due_ms()) {
            (true, _) => Some(Job::Sync),
            (false, true) => None,
            (false, false) if self.edit_due_ms <= now_ms => Some(Job::Push),
            (false, false) => Some(Job::Sync),
        }
    }

    /// When it will be time for something.
    pub fn due_ms(&self) -> u64 {
        match self.failures {
            0 => self.news_due_ms.min(self.edit_due_ms),
            _ => self.retry_due_ms,
        }
    }

    /// A worker takes the file up, in which edits may wait; the last one had meant to try in `left_ms`. A clock that was set
    /// meanwhile must not make it wait longer than any failure would.
    pub fn taken_up(&mut self, now_ms: u64, left_ms: Option<u64>, has_edits: bool) {
        let due_ms = now_ms + left_ms.unwrap_or(0).min(self.retry_cap_ms);
        self.news_due_ms = due_ms;
        if has_edits {
            (self.first_edit_ms, self.edit_due_ms) = (Some(now_ms), due_ms);
        }
    }

    /// Whether a sync may put off news where the store's quota is short. Not where somebody waits for it, nor where it has been owed
    /// for as long as it may be late.
    pub fn may_put_news_off(&self, now_ms: u64) -> bool {
        let is_owed = |since_ms: u64| now_ms.saturating_sub(since_ms) >= self.latest_ms;
        !self.is_asked && !self.owed_since_ms.is_some_and(is_owed)
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

    /// A push or a sync went well. Where the quota is short, news is put off. `chance` is drawn from `0.0..1.0`.
    pub fn went_well(&mut self, job: Job, now_ms: u64, quota: QuotaUse, chance: f64) {
        (self.failures, self.first_edit_ms, self.edit_due_ms) = (0, None, u64::MAX);
        let is_short = quota.is_used_up || quota.of_others >= 1.0 || quota.has_put_news_off;
        if quota.has_put_news_off {
            (self.is_asked, self.put_off_ms, self.news_due_ms) = (false, Some(now_ms), now_ms);
            self.owed_since_ms.get_or_insert(now_ms);
        }
        if job == Job::Sync && !quota.has_put_news_off {
            (self.is_asked, self.put_off_ms, self.owed_since_ms) = (false, None, None);
            self.news_every_ms = self.next_pace(is_short, quota.of_others);
            self.news_due_ms = now_ms.saturating_add(match self.news_every_ms > self.every_ms {
                true => half_by_chance(self.news_every_ms, chance),
                false => self.every_ms,
            });
        } else if is_short {
            let since_ms = *self.put_off_ms.get_or_insert(now_ms);
            let due_ms = now_ms.saturating_add(half_by_chance(self.latest_ms, chance));
            let since_ms = self.owed_since_ms.map_or(since_ms, |owed_ms| owed_ms.min(since_ms));
            let due_ms = due_ms.min(since_ms.saturating_add(self.latest_ms));
            self.news_due_ms = self.news_due_ms.max(due_ms);
        }
    }

    /// Slower while others use much of the quota, and back to its pace where they use little.
    fn next_pace(&self, is_short: bool, of_others: f64) -> u64 {
        let pace_ms = self.news_every_ms;
        let next_ms = match of_others {
            _ if is_short => self.latest_ms,
            much if much > MUCH => pace_ms.saturating_mul(3) / 2,
            little if little < LITTLE => pace_ms / 2,
            _ => pace_ms,
        };
        next_ms.clamp(self.every_ms, self.latest_ms)
    }

    /// It failed. Where it had to bring news, the next ones may put it off again: edits do not wait behind it for ever. Half of a wait is
    /// fixed and half is chance, drawn from `0.0..1.0`: neither a storm nor a standstill.
    pub fn failed(&mut self, had_to_bring_news: bool, now_ms: u64, chance: f64) {
        if had_to_bring_news {
            self.owed_since_ms = self.owed_since_ms.map(|_| now_ms);
        }
        self.is_asked = false;
        let full_ms = self.retry_base_ms.saturating_mul(1 << self.failures.min(20)).min(self.retry_cap_ms);
        self.failures += 1;
        self.retry_due_ms = now_ms + half_by_chance(full_ms, chance);
    }

    /// Whether everybody may be asked for, as far as failures go.
    pub fn may_ask_for_everybody(&self, now_ms: u64) -> bool {
        self.everybody_due_ms <= now_ms
    }

    /// Everybody was asked for, and a part of the list came, or all of it.
    pub fn asked_for_everybody(&mut self) {
        self.everybody_failures = 0;
    }

    /// A pull of everybody failed, or its list was not whole: the next one waits as long as syncs are apart, doubled with each,
    /// a day at most. Half of that is chance, drawn from `0.0..1.0`.
    pub fn everybody_failed(&mut self, now_ms: u64, chance: f64) {
        let full_ms = self.every_ms.saturating_mul(2 << self.everybody_failures.min(20)).min(DAY_MS);
        self.everybody_failures += 1;
        self.everybody_due_ms = now_ms.saturating_add(half_by_chance(full_ms, chance));
    }

    /// Nothing is due by itself.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Whether nothing is due by itself.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// What came due meanwhile is due now.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }
}

/// Half of a wait, and of the other half as much as chance will have.
fn half_by_chance(full_ms: u64, chance: f64) -> u64 {
    full_ms / 2 + (full_ms as f64 / 2.0 * chance) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plenty() -> QuotaUse {
        QuotaUse::default()
    }

    fn used_up() -> QuotaUse {
        QuotaUse { is_used_up: true, of_others: 1.0, ..plenty() }
    }

    fn schedule() -> Schedule {
        let mut schedule = Schedule::new(&SyncerOptions::default(), 0);
        schedule.went_well(Job::Sync, 0, plenty(), 0.5);
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
        assert_eq!((schedule.due(59_999), schedule.due(60_000)), (None, Some(Job::Sync)));
    }

    #[test]
    fn an_edit_is_pushed_and_news_comes_on_its_schedule_all_the_same() {
        let mut schedule = schedule();
        schedule.edited(50_000);
        assert_eq!(schedule.due(52_000), Some(Job::Push));
        schedule.went_well(Job::Push, 53_000, plenty(), 0.5);
        assert_eq!((schedule.due(59_999), schedule.due(60_000)), (None, Some(Job::Sync)));
        schedule.edited(59_000);
        assert_eq!(schedule.due(60_000), Some(Job::Sync), "one sync for both");
    }

    #[test]
    fn after_an_outage_edits_go_first_and_news_behind_them() {
        let mut schedule = schedule();
        schedule.edited(1_000);
        schedule.failed(false, 3_000, 0.0);
        assert_eq!((schedule.due(3_499), schedule.due(3_600_000)), (None, Some(Job::Push)));
        schedule.went_well(Job::Push, 3_600_000, plenty(), 0.5);
        assert_eq!(schedule.due(3_600_000), Some(Job::Sync), "it was due long ago");
    }

    #[test]
    fn while_the_quota_is_short_news_waits_and_edits_do_not() {
        let mut schedule = schedule();
        schedule.edited(0);
        schedule.went_well(Job::Push, 10_000, used_up(), 0.0);
        assert_eq!(schedule.due_ms(), 10_000 + 450_000);
        schedule.edited(20_000);
        assert_eq!(schedule.due(22_000), Some(Job::Push));
        schedule.went_well(Job::Push, 800_000, used_up(), 1.0);
        assert_eq!(schedule.due_ms(), 10_000 + 900_000, "never later than that since it was put off");
        let mut now_ms = 910_000;
        let waits: Vec<u64> = [true, false, false, false, false, false]
            .map(|is_short| {
                schedule.went_well(Job::Sync, now_ms, if is_short { used_up() } else { plenty() }, 1.0);
                let wait_ms = schedule.due_ms() - now_ms;
                now_ms = schedule.due_ms();
                wait_ms
            })
            .into();
        assert_eq!(waits, [900_000, 450_000, 225_000, 112_500, 60_000, 60_000], "back to its pace by halves");
    }

    #[test]
    fn news_is_asked_for_less_often_while_others_use_much_and_never_later_than_the_latest() {
        let of_others = |of_others| QuotaUse { of_others, ..plenty() };
        let mut schedule = schedule();
        let mut now_ms = 60_000;
        let waits: Vec<u64> = [0.6, 0.6, 0.4, 0.4, 0.2, 0.2, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 1.0]
            .map(|share| {
                schedule.went_well(Job::Sync, now_ms, of_others(share), 1.0);
                let wait_ms = schedule.due_ms() - now_ms;
                now_ms = schedule.due_ms();
                wait_ms / 1_000
            })
            .into();
        assert_eq!(waits, [90, 135, 135, 135, 67, 60, 90, 135, 202, 303, 455, 683, 900, 900, 900]);
        schedule.edited(now_ms - 500_000);
        schedule.went_well(Job::Push, now_ms - 498_000, of_others(2.0), 0.0);
        assert_eq!(schedule.due_ms(), now_ms, "what is due later anyway is not put off");
    }

    #[test]
    fn news_that_was_put_off_may_not_be_once_it_is_owed_for_as_long_as_it_may_be_late() {
        let mut schedule = schedule();
        let put_off = QuotaUse { has_put_news_off: true, ..plenty() };
        let mut may = Vec::new();
        for chance in [0.0, 0.0, 1.0] {
            let now_ms = schedule.due_ms();
            may.push(schedule.may_put_news_off(now_ms));
            schedule.went_well(Job::Sync, now_ms, put_off, chance);
        }
        assert_eq!((may, schedule.may_put_news_off(schedule.due_ms())), (vec![true, true, false], false));
        schedule.failed(true, schedule.due_ms(), 0.0);
        assert!(schedule.may_put_news_off(schedule.due_ms()), "edits go up before it is tried so again");
        schedule.went_well(Job::Sync, schedule.due_ms() + 900_000, plenty(), 0.0);
        assert!(schedule.may_put_news_off(u64::MAX), "it came");
    }

    #[test]
    fn news_that_is_owed_is_never_later_than_the_latest_whatever_fails_meanwhile() {
        let mut schedule = schedule();
        let put_off = QuotaUse { has_put_news_off: true, ..plenty() };
        schedule.went_well(Job::Sync, 60_000, put_off, 0.5);
        schedule.went_well(Job::Sync, schedule.due_ms(), put_off, 1.0);
        assert_eq!(schedule.due_ms(), 60_000 + 900_000, "since it is owed, not since it was put off again");
        schedule.edited(960_000);
        schedule.failed(false, 962_000, 0.0);
        assert!(!schedule.may_put_news_off(962_500), "a push that failed had none to bring");
    }

    #[test]
    fn a_failed_sync_is_tried_again_without_an_edit_and_never_later_than_the_cap() {
        let mut schedule = schedule();
        let mut now_ms = 0;
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                schedule.failed(false, now_ms, 1.0);
                let wait = schedule.due_ms() - now_ms;
                now_ms = schedule.due_ms();
                wait
            })
            .collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        schedule.edited(now_ms);
        assert_eq!(schedule.due_ms(), now_ms, "an edit neither hurries nor delays a try that is set");
        schedule.went_well(Job::Sync, now_ms, plenty(), 0.5);
        assert_eq!(schedule.due_ms(), now_ms + 60_000);
    }

    #[test]
    fn the_next_try_survives_a_restart_and_a_clock_that_was_set() {
        let mut schedule = Schedule::new(&SyncerOptions::default(), 500);
        schedule.taken_up(500, Some(7_000), false);
        assert_eq!(schedule.due_ms(), 7_500);
        schedule.taken_up(500, Some(99_999_999), false);
        assert_eq!(schedule.due_ms(), 30_500);
        schedule.taken_up(500, None, false);
        assert_eq!(schedule.due(500), Some(Job::Sync));
        schedule.taken_up(500, Some(1_000), true);
        assert_eq!((schedule.due(1_499), schedule.due(1_500)), (None, Some(Job::Push)), "edits go first");
    }

    #[test]
    fn everybody_is_asked_for_later_and_later_while_that_fails() {
        let (mut schedule, mut now_ms) = (schedule(), 0);
        let mut waits = |schedule: &mut Schedule| {
            schedule.everybody_failed(now_ms, 1.0);
            let wait_ms = schedule.everybody_due_ms - now_ms;
            assert!(!schedule.may_ask_for_everybody(now_ms + wait_ms - 1));
            now_ms += wait_ms;
            assert!(schedule.may_ask_for_everybody(now_ms));
            wait_ms / 60_000
        };
        let first: Vec<u64> = (0..12).map(|_| waits(&mut schedule)).collect();
        assert_eq!(first, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440]);
        schedule.asked_for_everybody();
        assert_eq!(waits(&mut schedule), 2);
    }

    #[test]
    fn paused_it_syncs_only_when_asked() {
        let mut schedule = schedule();
        schedule.pause();
        assert_eq!(schedule.due(1_000_000), None);
        schedule.asked();
        assert_eq!(schedule.due(1_000_000), Some(Job::Sync));
        schedule.went_well(Job::Sync, 1_000_000, plenty(), 0.5);
        assert_eq!(schedule.due(2_000_000), None);
        schedule.resume();
        assert_eq!(schedule.due(2_000_000), Some(Job::Sync), "what came due meanwhile is done at once");
    }
}
