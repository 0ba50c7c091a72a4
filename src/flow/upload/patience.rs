//! How long a store that does not do its part is asked again, and when that is enough.
//!
//! A store that is down fails reads and updates alike, and is given up after a few tries. One that answers reads and fails
//! every update is given up once calls of a single customer fail too: until then it may be the size of a call, or one record
//! in it. One that answers, but only with `429`, is not down: others are using it.

use crate::error::Failure;
use crate::flow::{Misses, RetryOptions, crowd_wait_ms};

/// The waits of an upload.
#[derive(Debug)]
pub(super) struct Patience {
    retry: RetryOptions,
    /// Failures since anything went well.
    misses: Misses,
    /// Updates that failed since one went well.
    writes: Misses,
    /// Those of them that held one customer.
    alone: u32,
    /// Reads, and updates, that met a `429` in a row: looks that go well say nothing of the updates that they are for.
    limits: [Misses; 2],
    paused_until_ms: u64,
    retries: u32,
}

/// Places in the counts of refusals.
const READ: usize = 0;
const WRITE: usize = 1;
/// The longest wait of updates that fail while reads go well doubles so often.
const DOUBLED_AT_MOST: u32 = 3;
/// Updates that may fail one after the other.
const WARY_AFTER: u32 = 2;

impl Patience {
    pub(super) fn new(retry: RetryOptions) -> Patience {
        Patience {
            retry,
            misses: Misses::default(),
            writes: Misses::default(),
            alone: 0,
            limits: [Misses::default(); 2],
            paused_until_ms: 0,
            retries: 0,
        }
    }

    /// Nothing is sent before.
    pub(super) fn paused_until_ms(&self) -> u64 {
        self.paused_until_ms
    }

    /// How often something was sent or read once more.
    pub(super) fn retries(&self) -> u32 {
        self.retries
    }

    pub(super) fn note_retry(&mut self) {
        self.retries += 1;
    }

    /// The store answered a read.
    pub(super) fn has_read(&mut self) {
        self.misses.clear();
        self.limits[READ].clear();
    }

    /// The store answered an update, whatever it said.
    pub(super) fn has_written(&mut self) {
        self.has_read();
        self.limits[WRITE].clear();
        self.writes.clear();
        self.alone = 0;
    }

    /// Whether updates fail one after the other: nobody who was not sent yet is sent before one goes well.
    pub(super) fn is_wary(&self) -> bool {
        self.writes.count() >= WARY_AFTER
    }

    /// A read sent at `sent_ms` failed. Until when to wait, or why it is enough.
    pub(super) fn missed_read(
        &mut self,
        sent_ms: u64,
        now_ms: u64,
        chance: f64,
        why: &str,
    ) -> Result<u64, Failure> {
        self.retries += 1;
        self.misses.add(sent_ms, now_ms);
        let wait_ms = self.retry.wait_ms(self.retry.read_base_ms, self.misses.count(), chance);
        self.pause(now_ms, wait_ms, why)
    }

    /// The same for an update of so many customers.
    pub(super) fn missed_write(
        &mut self,
        customers: usize,
        sent_ms: u64,
        now_ms: u64,
        chance: f64,
        why: &str,
    ) -> Result<u64, Failure> {
        self.retries += 1;
        self.misses.add(sent_ms, now_ms);
        self.writes.add(sent_ms, now_ms);
        self.alone += u32::from(customers == 1);
        let in_a_row = self.misses.count().max(self.writes.count().min(DOUBLED_AT_MOST));
        let wait_ms = self.retry.wait_ms(self.retry.write_base_ms, in_a_row, chance);
        self.pause(now_ms, wait_ms, why)
    }

    fn pause(&mut self, now_ms: u64, wait_ms: u64, why: &str) -> Result<u64, Failure> {
        let is_enough = self.misses.are_enough(&self.retry, now_ms)
            || self.alone >= self.retry.tries
            || (self.alone > 0 && self.writes.have_lasted(&self.retry, now_ms));
        if is_enough {
            let tries = self.misses.count().max(self.writes.count());
            return Err(Failure::Unavailable { tries, last: why.to_owned() });
        }
        self.paused_until_ms = now_ms + wait_ms;
        Ok(self.paused_until_ms)
    }

    /// A request sent at `sent_ms` met a `429`: that uses up no try. Why it is enough all the same, if it is.
    pub(super) fn limited(&mut self, is_update: bool, sent_ms: u64, now_ms: u64) -> Option<Failure> {
        let limits = &mut self.limits[usize::from(is_update)];
        limits.add(sent_ms, now_ms);
        let (tries, last) = (limits.count(), "status 429: too many requests".to_owned());
        let is_enough = limits.are_enough_limits(&self.retry, now_ms);
        is_enough.then_some(Failure::Unavailable { tries, last })
    }

    /// How long a read waits that was refused because too many calls were under way.
    pub(super) fn crowd_wait_ms(&self, chance: f64) -> u64 {
        crowd_wait_ms(self.limits[READ].count(), chance)
    }
}

/// The calls for updates: so many at once, of which one that was refused because others had theirs under way rests.
#[derive(Debug)]
pub(super) struct Slots {
    count: usize,
    resting_until_ms: Vec<u64>,
    refused_in_a_row: u32,
}

impl Slots {
    pub(super) fn new(count: usize) -> Slots {
        Slots { count, resting_until_ms: Vec::new(), refused_in_a_row: 0 }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether one more update may leave beside so many.
    pub(super) fn has_free(&self, on_their_way: usize, now_ms: u64) -> bool {
        let resting = self.resting_until_ms.iter().filter(|until_ms| **until_ms > now_ms).count();
        on_their_way + resting < self.count
    }

    /// When the first that rests is free again.
    pub(super) fn free_ms(&self, now_ms: u64) -> Option<u64> {
        self.resting_until_ms.iter().copied().filter(|until_ms| *until_ms > now_ms).min()
    }

    /// An update was refused because too many were under way, so many of them our own: what is left of the slots has others in it.
    pub(super) fn refused(&mut self, on_their_way: usize, now_ms: u64, chance: f64) {
        self.refused_in_a_row += 1;
        let until_ms = now_ms + crowd_wait_ms(self.refused_in_a_row, chance);
        self.taken(on_their_way, now_ms, until_ms);
    }

    /// Whether others have all of them.
    pub(super) fn all_rest(&self, now_ms: u64) -> bool {
        !self.has_free(0, now_ms)
    }

    /// Others have the slots that this till has no update in, until then.
    pub(super) fn taken(&mut self, on_their_way: usize, now_ms: u64, until_ms: u64) {
        self.resting_until_ms.retain(|until_ms| *until_ms > now_ms);
        let of_others = self.count.saturating_sub(on_their_way + self.resting_until_ms.len()).max(1);
        self.resting_until_ms.extend(std::iter::repeat_n(until_ms, of_others));
    }

    /// An update was let in.
    pub(super) fn passed(&mut self) {
        self.refused_in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str = "status 503";

    #[test]
    fn a_store_that_is_down_is_given_up_after_a_few_tries() {
        let mut patience = Patience::new(RetryOptions::default());
        let mut tries = (0..).map(|n| patience.missed_write(10, n * 1_000, n * 1_000, 0.5, WHY).is_ok());
        assert_eq!(tries.position(|goes_on| !goes_on), Some(4));
    }

    #[test]
    fn one_that_answers_reads_is_given_up_once_single_customers_fail_too() {
        let mut patience = Patience::new(RetryOptions::default());
        for n in 0..12 {
            assert!(patience.missed_write(10, n, n, 1.0, WHY).is_ok_and(|until_ms| until_ms <= n + 4_000));
            patience.has_read();
        }
        for n in 0..4 {
            assert!(patience.missed_write(1, n, n, 1.0, WHY).is_ok());
            patience.has_read();
        }
        assert!(patience.missed_write(1, 20, 20, 1.0, WHY).is_err());
        patience.has_written();
        assert!(patience.missed_write(1, 20, 20, 1.0, WHY).is_ok());
    }

    #[test]
    fn a_store_that_answers_looks_and_every_update_with_429_is_given_up() {
        let mut patience = Patience::new(RetryOptions::default());
        let mut limited = (0..).map(|n| {
            patience.has_read();
            patience.limited(true, n * 10_000, n * 10_000)
        });
        assert_eq!(limited.position(|failure| failure.is_some()), Some(29));
        assert!(patience.limited(false, 900_000, 900_000).is_none());
    }

    #[test]
    fn the_slot_that_was_refused_rests_for_tenths_of_a_second_and_the_others_do_not() {
        let mut slots = Slots::new(3);
        slots.refused(2, 0, 0.0);
        assert!(slots.has_free(1, 0) && !slots.has_free(2, 0));
        assert_eq!(slots.free_ms(0), Some(200));
        assert!(slots.has_free(2, 200));
        slots.refused(2, 1_000, 1.0);
        assert_eq!(slots.resting_until_ms, [1_800], "longer each time");
        slots.passed();
        slots.refused(2, 5_000, 1.0);
        assert_eq!(slots.resting_until_ms, [5_400]);
    }

    #[test]
    fn where_others_have_all_slots_none_of_them_is_tried_at_once() {
        let mut slots = Slots::new(3);
        slots.refused(0, 0, 0.0);
        assert!(slots.all_rest(199) && !slots.has_free(0, 199));
        assert!(slots.has_free(2, 200) && !slots.all_rest(200));
    }
}
