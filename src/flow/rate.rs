//! The request budget: one pacer for every request, fed by the headers of every answer.
//!
//! The store counts requests in windows, over all of its apps. The pacer sends at full speed while there is
//! budget, keeps a share for the others, and then waits for the window to end; so it never sleeps when there is
//! budget, and never meets a wall that the headers told of.

use super::Misses;

/// What an answer's headers say of the budget. `X-Rate-Limit-*` and `X-Retry-After` of the public API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// `X-Rate-Limit-Time-Window-Ms`: how long a window is, in milliseconds.
    pub window_ms: Option<u64>,
    /// `X-Rate-Limit-Time-Reset-Ms`: until the window ends, in milliseconds.
    pub reset_ms: Option<u64>,
    /// `X-Rate-Limit-Requests-Quota`: requests in a window.
    pub quota: Option<u64>,
    /// `X-Rate-Limit-Requests-Left`: requests left in this window.
    pub left: Option<u64>,
    /// `X-Retry-After`, in milliseconds here.
    pub retry_after_ms: Option<u64>,
}

/// What a till is told that asks its fleet for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// So many calls may leave, for so long.
    Now {
        /// At most as many as were asked for.
        calls: u32,
        /// In milliseconds.
        for_ms: u64,
    },
    /// It is to ask again then.
    Later {
        /// In milliseconds.
        in_ms: u64,
    },
    /// There is nobody to ask: it goes by what the store tells it.
    Alone,
}

/// Decides when the next request may leave.
#[derive(Clone, Debug)]
pub struct Pacer {
    reserve_percent: u64,
    quota: u64,
    /// The least that any answer of this window told was left: answers overtake each other.
    left: u64,
    /// Sent and not answered: the server's count may or may not hold them.
    in_flight: u64,
    window_ends_ms: u64,
    blocked_until_ms: u64,
    /// What the store asks to wait for, of that.
    told_until_ms: u64,
    /// Refusals in a row, of reads and of updates: an answer to one says nothing of the other.
    limited_in_a_row: [u32; 2],
    /// Windows, one after the other, in which the store said `429`.
    crowded_windows: u32,
    limited_ms: u64,
    /// How many windows more the last refusals tell to be wanted.
    overrun: f64,
    /// How long a window is, as told; else the longest that was ever left of one.
    window_ms: u64,
    /// Answers to this pacer's own requests in this window.
    own: u64,
    load: Load,
    share: Share,
    /// Refusals since anything was let through, of which none told when a window begins.
    shut: Misses,
}

/// The first wait after a `429` without headers, and the longest.
const BLIND_WAIT_MS: u64 = 500;
const BLIND_WAIT_CAP_MS: u64 = 30_000;
/// Jitter on a wait that the server told: so that tills do not all come back in the same instant.
const JITTER_MS: u64 = 250;
/// After so many windows with a `429` it is no accident but a crowd, and tries are spread over the whole window. Were all to
/// come at its beginning, it would be used up by looks in the first instant, and no update that they were made for would
/// find anything left before they are too old.
const CROWD_AFTER: u32 = 2;
/// How many windows tries are spread over, at most, where a window was used up long before its end. Who waits for more waits for
/// those that are not there any more.
const MOST_WINDOWS: f64 = 3.0;
/// What is kept of a window for edits, before news, while others want so many windows in the time of one: of the next one, in a
/// crowd, nothing would be left for edits.
const FOR_EDITS: f64 = 0.7;
const WANTED_BY_ALL: f64 = 1.3;
/// Two ends of one window, as told by two answers, differ by no more than the time on the wire.
const SAME_WINDOW_MS: u64 = 1_000;
/// No window of the API is longer, by far: theirs are of thirty seconds. Who tells of more tells nothing.
const LONGEST_WINDOW_MS: u64 = 300_000;
/// No quota is larger.
const LARGEST_QUOTA: u64 = u32::MAX as u64;

impl Pacer {
    /// A pacer that keeps `reserve_percent` of the quota for the store's other apps.
    pub fn new(reserve_percent: u8) -> Pacer {
        Pacer {
            reserve_percent: u64::from(reserve_percent.min(90)),
            quota: 0,
            left: 0,
            in_flight: 0,
            window_ends_ms: 0,
            blocked_until_ms: 0,
            told_until_ms: 0,
            limited_in_a_row: [0; 2],
            crowded_windows: 0,
            limited_ms: 0,
            overrun: 0.0,
            window_ms: 0,
            own: 0,
            load: Load::default(),
            share: Share::default(),
            shut: Misses::default(),
        }
    }

    /// A sync begins: what was refused before is of an earlier one.
    pub fn begin(&mut self) {
        self.shut.clear();
        // What a fleet granted to the last sync was given back at its end.
        self.share = Share::default();
    }

    /// Refusals since anything was let through in this sync, whatever was asked, if nobody told when something will be. A quota
    /// that others use up is not among them: its next window is told, and whoever gives up has to begin anew.
    pub fn shut(&self) -> &Misses {
        &self.shut
    }

    /// Until when the store asks to wait: what this till adds by itself to make way for others is no part of that.
    pub fn asked_until_ms(&self, now_ms: u64) -> u64 {
        self.window_ready_ms(now_ms).max(self.told_until_ms)
    }

    /// When the next request may leave; not later than `now_ms` means at once.
    pub fn ready_at_ms(&self, now_ms: u64) -> u64 {
        let turn_ms = if self.share.calls == 0 { self.share.until_ms } else { 0 };
        self.window_ready_ms(now_ms).max(self.blocked_until_ms).max(turn_ms)
    }

    /// Whether the fleet, where there is one, is to be asked before the next request.
    pub fn wants_turn(&self, now_ms: u64) -> bool {
        self.share.calls == 0 && self.share.until_ms <= now_ms || self.share.until_ms < now_ms
    }

    /// What was waited for is not what is wanted now: the fleet is asked anew.
    pub fn asks_anew(&mut self) {
        if self.share.calls == 0 {
            self.share.until_ms = 0;
        }
    }

    /// What the fleet said. It may be wrong: nobody waits for it longer than some minutes.
    pub fn take_turn(&mut self, turn: Turn, now_ms: u64) {
        let since_ms = self.share.waits_since_ms.unwrap_or(now_ms);
        let has_waited = now_ms.saturating_sub(since_ms) >= LONGEST_TURN_MS;
        self.share = match turn {
            Turn::Now { calls, for_ms } if calls > 0 => {
                let until_ms = now_ms + for_ms.min(LONGEST_GRANT_MS);
                Share { calls: calls.into(), until_ms, waits_since_ms: None }
            }
            Turn::Later { in_ms } if !has_waited => {
                let until_ms = now_ms + in_ms.clamp(1, LONGEST_WAIT_MS);
                Share { calls: 0, until_ms, waits_since_ms: Some(since_ms) }
            }
            // Long enough to look, and to send what the look was made for.
            Turn::Later { .. } => {
                Share { calls: u64::MAX, until_ms: now_ms + LONGEST_WAIT_MS, waits_since_ms: None }
            }
            Turn::Now { .. } | Turn::Alone => {
                Share { calls: 1, until_ms: now_ms + ALONE_MS, waits_since_ms: None }
            }
        };
    }

    fn window_ready_ms(&self, now_ms: u64) -> u64 {
        let kept = (self.quota * self.reserve_percent).div_ceil(100) + self.in_flight;
        let used_up = now_ms < self.window_ends_ms && self.left <= kept;
        if used_up { self.window_ends_ms } else { now_ms }
    }

    /// The same for an update that a look was just made for, whose base is too old by the end of the window: the share that is kept is
    /// there for that, and where nothing is left the store says no, which moves nothing.
    pub fn ready_after_look_at_ms(&self, now_ms: u64) -> u64 {
        now_ms.max(self.blocked_until_ms)
    }

    /// Whether others want so much more than there is that the rest of a list of news is for another time: most of each window is for
    /// edits.
    pub fn has_no_room_for_news(&self, now_ms: u64) -> bool {
        let is_of_now = now_ms < self.window_ends_ms;
        is_of_now && share(self.left, self.quota) <= FOR_EDITS && self.load() > WANTED_BY_ALL
    }

    /// An earlier process was told to wait until then. `chance` is drawn from `0.0..1.0`: what is added by chance each process adds
    /// for itself.
    pub fn wait_until(&mut self, until_ms: u64, now_ms: u64, chance: f64) {
        if until_ms <= now_ms + LONGEST_WINDOW_MS {
            let ready_ms = until_ms + (JITTER_MS as f64 * chance) as u64;
            self.blocked_until_ms = self.blocked_until_ms.max(ready_ms);
            self.told_until_ms = self.told_until_ms.max(until_ms);
        }
    }

    /// A request leaves.
    pub fn sent(&mut self) {
        self.in_flight += 1;
        self.share.calls = self.share.calls.saturating_sub(1);
        if self.share.calls == 0 {
            self.share.until_ms = 0;
        }
    }

    /// A request came back, or was lost; `headers` are empty then.
    pub fn returned(&mut self, headers: &RateHeaders, now_ms: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let headers = headers.believable();
        let (Some(left), Some(reset_ms)) = (headers.left, headers.reset_ms) else { return };
        self.window_ms = headers.window_ms.unwrap_or(self.window_ms).max(reset_ms);
        let ends_ms = now_ms + reset_ms;
        // An end that is told to be earlier by more than that is of another window: what was told of the one before is over.
        let same_window =
            now_ms < self.window_ends_ms && ends_ms.abs_diff(self.window_ends_ms) <= SAME_WINDOW_MS;
        self.left = if same_window { self.left.min(left) } else { left };
        self.window_ends_ms = if same_window { self.window_ends_ms } else { ends_ms };
        self.quota = headers.quota.unwrap_or(self.quota.max(left));
        self.own = if same_window { self.own + 1 } else { 1 };
        if !same_window {
            self.load.begin_window();
        }
        let others = self.quota.saturating_sub(left).saturating_sub(self.own + self.in_flight);
        let passed_ms = self.window_ms - reset_ms;
        // Where nobody tells how long a window is, the first answer says nothing of how much of it has passed.
        if headers.window_ms.is_some() || passed_ms > 0 {
            self.load.see(share(others, self.quota), share(passed_ms, self.window_ms));
        }
    }

    /// How much of the quota others use, as the last windows told: 1.0 is all of it. More: it was gone before its window was over.
    pub fn load(&self) -> f64 {
        self.load.share()
    }

    /// The store said `429` to an update, or to a read. `chance` is drawn from `0.0..1.0`. Returns the instant until which all
    /// wait: what it tells now goes before what it told earlier.
    pub fn limited(&mut self, headers: &RateHeaders, is_update: bool, now_ms: u64, chance: f64) -> u64 {
        let in_a_row = &mut self.limited_in_a_row[usize::from(is_update)];
        let refusals = *in_a_row;
        *in_a_row += 1;
        let headers = headers.believable();
        // A window that begins now, and whose first call is refused, is none.
        let told = headers.reset_ms.or(headers.retry_after_ms).filter(|told_ms| *told_ms > 0);
        let overrun = told.map_or(0.0, |told_ms| self.overrun(told_ms));
        self.overrun = overrun.min(MOST_WINDOWS).max(self.overrun / 2.0);
        match told {
            Some(_) => self.shut.clear(),
            None => self.shut.add(now_ms, now_ms),
        }
        self.notice_crowd(now_ms);
        let wait_ms = match told {
            Some(told_ms) => told_ms + (self.spread_ms() as f64 * chance) as u64,
            None => {
                let full = BLIND_WAIT_MS.saturating_mul(1 << refusals.min(10)).min(BLIND_WAIT_CAP_MS);
                full / 2 + (full as f64 / 2.0 * chance) as u64
            }
        };
        let until_ms = now_ms.saturating_add(wait_ms);
        // What tells nothing takes nothing back.
        self.told_until_ms = told.map_or(self.told_until_ms.max(until_ms), |told_ms| now_ms + told_ms);
        self.blocked_until_ms = match told {
            // Of refusals that come together, the last to come back waits for all.
            Some(told_ms) => {
                let is_of_the_same = self.blocked_until_ms <= now_ms + told_ms + self.spread_ms();
                self.window_ends_ms = self.window_ends_ms.min(now_ms + told_ms);
                if is_of_the_same { self.blocked_until_ms.max(until_ms) } else { until_ms }
            }
            None => self.blocked_until_ms.max(until_ms),
        };
        self.blocked_until_ms
    }

    /// The store said `429` because too many calls were under way.
    pub fn crowded(&mut self, now_ms: u64) {
        self.shut.add(now_ms, now_ms);
    }

    /// Refusals that come together are of one window; a window without any ends the crowd.
    fn notice_crowd(&mut self, now_ms: u64) {
        let is_of_the_same = self.crowded_windows > 0 && now_ms < self.blocked_until_ms;
        if !is_of_the_same {
            let is_long_ago = now_ms > self.blocked_until_ms.max(self.limited_ms) + 2 * self.window_ms;
            self.crowded_windows = if is_long_ago { 1 } else { self.crowded_windows + 1 };
        }
        self.limited_ms = now_ms;
    }

    /// Over how long tries are spread.
    fn spread_ms(&self) -> u64 {
        let windows = if self.crowded_windows < CROWD_AFTER { 0.0 } else { 1.0 };
        let windows = if self.overrun < 1.0 { windows } else { self.overrun };
        JITTER_MS.max((self.window_ms as f64 * windows) as u64)
    }

    /// How many windows are wanted besides this one, which others have used up with so much of it left: where tries come evenly, one
    /// that is gone after a third of its time is wanted by three times as many as it serves.
    fn overrun(&self, left_ms: u64) -> f64 {
        let is_of_others = 2 * (self.own + self.in_flight) < self.quota;
        let passed_ms = self.window_ms.saturating_sub(left_ms);
        if is_of_others && passed_ms > 0 { left_ms as f64 / passed_ms as f64 } else { 0.0 }
    }

    /// An update was let through, or a read.
    pub fn passed(&mut self, is_update: bool) {
        self.limited_in_a_row[usize::from(is_update)] = 0;
        self.shut.clear();
    }
}

/// What the fleet grants: so many calls until then; or none, and it is to be asked again then.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    calls: u64,
    until_ms: u64,
    waits_since_ms: Option<u64>,
}

/// No grant holds for longer, no turn is further away, and nobody waits for one for longer than that, whatever a fleet says.
const LONGEST_GRANT_MS: u64 = 30_000;
const LONGEST_WAIT_MS: u64 = 60_000;
const LONGEST_TURN_MS: u64 = 300_000;
/// Where there is nobody to ask, it is tried again with each call, or after this time.
const ALONE_MS: u64 = 1_000;

/// How much of the quota others use, by the answers of the last windows.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    /// Shares of quotas that others had used, and of windows in which they did, in the windows before: each counts half of the next.
    before: (f64, f64),
    /// The same in this window.
    now: (f64, f64),
}

/// What others use in an instant is no load: so much of a window without any is taken for granted.
const QUIET: f64 = 0.1;

impl Load {
    fn begin_window(&mut self) {
        let (before, now) = (self.before, std::mem::take(&mut self.now));
        self.before = (before.0 / 2.0 + now.0, before.1 / 2.0 + now.1);
    }

    fn see(&mut self, used: f64, passed: f64) {
        self.now = (used.max(self.now.0), passed.max(self.now.1));
    }

    fn share(&self) -> f64 {
        (self.before.0 + self.now.0) / (self.before.1 + self.now.1 + QUIET)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl RateHeaders {
    /// The headers within what can be true: no wait for an hour because a number is wrong.
    fn believable(self) -> RateHeaders {
        let at_most = |most: u64| move |told: u64| told.min(most);
        let is_a_window = |told_ms: &u64| *told_ms <= LONGEST_WINDOW_MS;
        RateHeaders {
            window_ms: self.window_ms.filter(is_a_window),
            reset_ms: self.reset_ms.filter(is_a_window),
            quota: self.quota.map(at_most(LARGEST_QUOTA)),
            left: self.left.map(at_most(LARGEST_QUOTA)),
            retry_after_ms: self.retry_after_ms.filter(is_a_window),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(left: u64, reset_ms: u64) -> RateHeaders {
        RateHeaders { left: Some(left), reset_ms: Some(reset_ms), quota: Some(30), ..RateHeaders::default() }
    }

    #[test]
    fn it_never_sleeps_while_there_is_budget_and_stops_before_the_reserve() {
        let mut pacer = Pacer::new(10);
        assert_eq!(pacer.ready_at_ms(5), 5);
        let mut left = 30;
        while pacer.ready_at_ms(10) == 10 {
            pacer.sent();
            left -= 1;
            pacer.returned(&told(left, 2_000), 10);
        }
        assert_eq!(left, 3, "of 30 a window, three are kept for others");
        assert_eq!(pacer.ready_at_ms(10), 2_010);
        assert_eq!(pacer.ready_at_ms(2_010), 2_010, "a new window");
    }

    #[test]
    fn an_answer_that_was_overtaken_gives_no_budget_back() {
        let mut pacer = Pacer::new(0);
        (0..3).for_each(|_| pacer.sent());
        for left in [1, 2, 3] {
            pacer.returned(&told(left, 1_000), 0);
        }
        assert_eq!(pacer.ready_at_ms(20), 20);
        pacer.sent();
        assert_eq!(pacer.ready_at_ms(20), 1_000, "the one that is left is on its way");
    }

    #[test]
    fn a_429_waits_as_told_or_grows_when_told_nothing() {
        let mut pacer = Pacer::new(10);
        assert_eq!(pacer.limited(&told(0, 700), true, 0, 0.0), 700);
        let mut pacer = Pacer::new(10);
        let after = RateHeaders { retry_after_ms: Some(2_000), ..RateHeaders::default() };
        assert_eq!(pacer.limited(&after, true, 100, 0.0), 2_100);
        let mut pacer = Pacer::new(10);
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                pacer.passed(false);
                pacer.limited(&RateHeaders::default(), true, 0, 1.0)
            })
            .collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        pacer.passed(true);
        assert_eq!(pacer.limited(&RateHeaders::default(), true, 100_000, 0.0), 100_250);
    }

    #[test]
    fn a_store_that_lets_nothing_through_is_shut_until_it_does_or_tells_of_a_window() {
        let (mut pacer, bare) = (Pacer::new(10), RateHeaders::default());
        pacer.crowded(1_000);
        pacer.limited(&bare, true, 2_000, 0.0);
        pacer.limited(&told(0, 0), false, 3_000, 0.0);
        assert_eq!(pacer.shut().count(), 3, "whatever was refused, and why");
        pacer.limited(&told(0, 700), false, 61_000, 0.0);
        assert_eq!(pacer.shut().count(), 0, "others use the quota up");
        pacer.crowded(63_000);
        pacer.passed(false);
        assert_eq!(pacer.shut().count(), 0);
        pacer.crowded(64_000);
        pacer.begin();
        assert_eq!(pacer.shut().count(), 0);
    }

    #[test]
    fn what_is_told_now_goes_before_what_was_told_earlier() {
        let mut pacer = Pacer::new(10);
        pacer.sent();
        pacer.returned(&told(0, 15_000), 0);
        assert_eq!(pacer.ready_at_ms(0), 15_000);
        let bare = RateHeaders { reset_ms: Some(3_000), ..RateHeaders::default() };
        assert_eq!(pacer.limited(&bare, true, 100, 0.0), 3_100);
        assert_eq!(pacer.ready_at_ms(100), 3_100);
        let mut pacer = Pacer::new(10);
        pacer.limited(&told(0, 15_000), true, 0, 0.0);
        assert_eq!(pacer.limited(&told(0, 3_000), true, 100, 0.0), 3_100);
        pacer.returned(&told(20, 2_000), 3_200);
        assert_eq!(pacer.ready_at_ms(3_200), 3_200, "a new window");
        let mut pacer = Pacer::new(10);
        pacer.returned(&told(0, 15_000), 0);
        pacer.returned(&told(20, 2_000), 4_000);
        assert_eq!(pacer.ready_at_ms(4_000), 4_000, "what was left of the one before is of no account");
    }

    #[test]
    fn in_a_crowd_tries_are_spread_over_the_window_and_after_a_quiet_one_they_are_not() {
        let mut pacer = Pacer::new(0);
        let refused = |pacer: &mut Pacer, now_ms| {
            pacer.sent();
            pacer.returned(&told(0, 30_000), now_ms);
            pacer.limited(&told(0, 30_000), true, now_ms, 1.0) - now_ms - 30_000
        };
        assert_eq!(refused(&mut pacer, 0), 250);
        assert_eq!(refused(&mut pacer, 10), 250, "three that were refused together are one refusal");
        assert_eq!(refused(&mut pacer, 40_000), 30_000);
        assert_eq!(refused(&mut pacer, 200_000), 250, "long ago");
    }

    /// Of windows of 30 s with 450 calls.
    fn store(left: u64, reset_ms: u64) -> RateHeaders {
        RateHeaders { quota: Some(450), window_ms: Some(30_000), ..told(left, reset_ms) }
    }

    fn answered(pacer: &mut Pacer, headers: &RateHeaders, now_ms: u64) {
        pacer.sent();
        pacer.returned(headers, now_ms);
    }

    #[test]
    fn what_others_use_is_told_from_what_is_used_here() {
        let mut alone = Pacer::new(10);
        (1..=400).for_each(|n| answered(&mut alone, &store(450 - n, 30_000 - n * 50), n * 50));
        assert_eq!(alone.load(), 0.0, "a lone till that is busy");
        let mut idle = Pacer::new(10);
        for window in 0..6 {
            answered(&mut idle, &store(300, 15_000), window * 60_000 + 15_000);
        }
        assert!((0.5..0.7).contains(&idle.load()), "149 of 450 in half a window: {}", idle.load());
        answered(&mut idle, &store(449, 30_000), 900_000);
        let before = idle.load();
        answered(&mut idle, &store(440, 2_000), 928_000);
        assert!(idle.load() < before, "a quiet window");
    }

    #[test]
    fn a_window_that_is_gone_at_once_is_a_crowd_and_one_that_this_till_has_used_up_is_none() {
        let refused = |pacer: &mut Pacer, now_ms, reset_ms| {
            answered(pacer, &store(0, reset_ms), now_ms);
            pacer.limited(&store(0, reset_ms), false, now_ms, 1.0) - now_ms - reset_ms
        };
        let mut pacer = Pacer::new(10);
        assert_eq!(refused(&mut pacer, 500, 29_500), 90_000, "over three windows, at most");
        assert_eq!(pacer.asked_until_ms(500), 30_000, "the store asks for no more than the window");
        assert_eq!(
            refused(&mut pacer, 45_000, 15_000),
            45_000,
            "half of what was told before, or what is told now"
        );
        assert_eq!(refused(&mut Pacer::new(10), 27_000, 3_000), JITTER_MS, "almost enough for all");
        let mut alone = Pacer::new(0);
        (1..=450).for_each(|n| answered(&mut alone, &store(450 - n, 30_000 - n), n));
        assert_eq!(refused(&mut alone, 460, 29_540), JITTER_MS);
    }

    #[test]
    fn in_a_crowd_most_of_a_window_is_for_edits() {
        let mut pacer = Pacer::new(10);
        answered(&mut pacer, &store(400, 29_000), 1_000);
        assert!(!pacer.has_no_room_for_news(1_000));
        answered(&mut pacer, &store(300, 28_000), 2_000);
        assert!(pacer.has_no_room_for_news(2_000));
        assert!(!pacer.has_no_room_for_news(30_000), "nothing is known of the next window");
        let mut quiet = Pacer::new(10);
        answered(&mut quiet, &store(300, 10_000), 20_000);
        assert!(!quiet.has_no_room_for_news(20_000));
    }

    #[test]
    fn a_turn_is_waited_for_and_what_a_fleet_says_is_believed_within_bounds() {
        let mut pacer = Pacer::new(10);
        assert!(pacer.wants_turn(0));
        pacer.take_turn(Turn::Later { in_ms: 700 }, 0);
        assert_eq!((pacer.wants_turn(699), pacer.ready_at_ms(0)), (false, 700));
        pacer.take_turn(Turn::Now { calls: 2, for_ms: 10_000 }, 700);
        assert_eq!((pacer.wants_turn(700), pacer.ready_at_ms(700)), (false, 700));
        (0..2).for_each(|_| pacer.sent());
        assert!(pacer.wants_turn(700), "both have left");
        pacer.take_turn(Turn::Now { calls: u32::MAX, for_ms: u64::MAX }, 1_000);
        assert!(pacer.wants_turn(31_001), "a grant is void after a while");
        pacer.take_turn(Turn::Later { in_ms: u64::MAX }, 40_000);
        assert_eq!(pacer.ready_at_ms(40_000), 100_000);
        pacer.take_turn(Turn::Later { in_ms: 60_000 }, 340_000);
        (0..9).for_each(|_| pacer.sent());
        assert_eq!(
            (pacer.ready_at_ms(340_000), pacer.wants_turn(399_000)),
            (340_000, false),
            "alone, for a minute"
        );
        pacer.take_turn(Turn::Alone, 450_000);
        assert_eq!((pacer.ready_at_ms(450_000), pacer.wants_turn(450_500)), (450_000, false));
    }

    #[test]
    fn headers_beyond_belief_tell_nothing() {
        let all = Some(u64::MAX);
        let mad = RateHeaders { window_ms: all, reset_ms: all, quota: all, left: all, retry_after_ms: all };
        let mut pacer = Pacer::new(10);
        pacer.sent();
        pacer.returned(&mad, 5);
        assert_eq!(pacer.ready_at_ms(5), 5);
        assert_eq!(pacer.limited(&mad, true, 5, 0.0), 5 + BLIND_WAIT_MS / 2);
        let half_mad = RateHeaders { retry_after_ms: Some(7_000), ..mad };
        assert_eq!(Pacer::new(10).limited(&half_mad, true, 5, 0.0), 7_005, "what can be true is");
        let mut pacer = Pacer::new(10);
        pacer.wait_until(9_000, 5, 1.0);
        pacer.wait_until(u64::MAX, 5, 1.0);
        assert_eq!(pacer.ready_at_ms(5), 9_000 + JITTER_MS, "as an earlier process was told");
        assert_eq!(pacer.asked_until_ms(5), 9_000);
    }
}
