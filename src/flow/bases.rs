//! How old what the snapshots say is: when each customer was last read, by a clock that goes on while the machine sleeps.
//!
//! A monotonic clock may stand still while a machine sleeps, and a wall clock may be set. So time is counted here by
//! whichever of the two says that more has passed, and when the wall clock was set back nobody knows how much has: then
//! nothing counts as read. Either mistake costs a call and overwrites nothing.
//!
//! It is memory of one process. What an earlier one read is of no use: only the wall clock could tell its age.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::resource::{ResourceId, RowId};

/// For so long what a look by id brought serves an adjustment, and any batch that it was made for, counted from its answer:
/// time to commit the batches of a look and to let them leave.
pub(super) const FOR_THIS_BATCH_MS: u64 = 2_000;
/// No line is as slow as that: whose answer took longer slept meanwhile, and the answer is as old as the sleep was long.
const SLOWEST_LINE_MS: u64 = 600_000;
/// A wall clock that lags behind the other one by more than this was set back. Clocks are corrected by less all day.
const SET_BACK_MS: i64 = 1_000;

/// When each customer was last read.
#[derive(Clone, Debug, Default)]
pub struct Bases {
    /// The clocks, as they were last looked at.
    clocks: Option<(u64, DateTime<Utc>)>,
    /// What has passed by then, in milliseconds.
    passed_ms: u64,
    /// When the last pull that brought all news of a resource began.
    pulled_ms: BTreeMap<ResourceId, u64>,
    /// The same of lists that are one look of two at what the store has not.
    listed_ms: BTreeMap<ResourceId, u64>,
    /// Customers that the last list of everybody lacked, although they are there: no pull says anything of them.
    overlooked: BTreeSet<RowId>,
    /// Customers of whom an older reading was seen: what is known of them may not be the truth.
    doubted: BTreeSet<RowId>,
    /// Customers that were read by id since.
    read: BTreeMap<RowId, Read>,
}

/// An instant on the clock of the bases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseTime(u64);

#[derive(Clone, Copy, Debug)]
struct Read {
    asked_ms: u64,
    answered_ms: u64,
}

impl Bases {
    /// It is `now_ms` by a clock that never jumps, and `utc` by one that goes on while the machine sleeps.
    pub fn tick(&mut self, now_ms: u64, utc: DateTime<Utc>) -> BaseTime {
        let (was_ms, was) = self.clocks.replace((now_ms, utc)).unwrap_or((now_ms, utc));
        let awake_ms = now_ms.saturating_sub(was_ms);
        let wall_ms = (utc - was).num_milliseconds();
        if wall_ms.saturating_add(SET_BACK_MS) < i64::try_from(awake_ms).unwrap_or(i64::MAX) {
            self.forget();
        }
        self.passed_ms = self.passed_ms.saturating_add(awake_ms.max(u64::try_from(wall_ms).unwrap_or(0)));
        BaseTime(self.passed_ms)
    }

    /// A pull that began then brought all news of customers.
    pub fn pulled(&mut self, began: BaseTime) {
        self.pulled_of(ResourceId::CUSTOMER, began);
    }

    /// The same of any resource.
    pub fn pulled_of(&mut self, resource: ResourceId, began: BaseTime) {
        self.pulled_ms.insert(resource, began.0);
        self.read.retain(|row, read| row.resource != resource || read.answered_ms > began.0);
    }

    /// A list that began then showed all that is new of a resource of which an update makes what is not there. It makes nothing
    /// fresh: no list of changes tells what was deleted, and what is not there is looked at once more.
    pub fn listed(&mut self, resource: ResourceId, began: BaseTime) {
        self.listed_ms.insert(resource, began.0);
    }

    /// Whether such a list is at most `fresh_ms` old.
    pub fn was_listed(&self, resource: ResourceId, fresh_ms: u64) -> bool {
        self.listed_ms.get(&resource).is_some_and(|at_ms| self.passed_ms - at_ms <= fresh_ms)
    }

    /// A list of everybody lacked these, and they are not known to be gone.
    pub fn overlooked(&mut self, ids: BTreeSet<RowId>) {
        self.overlooked = ids;
    }

    /// Of these an older reading was seen than what is known, and which is the truth is not known yet.
    pub fn doubted(&mut self, ids: BTreeSet<RowId>) {
        self.read.retain(|id, _| !ids.contains(id));
        self.doubted = ids;
    }

    /// These customers were asked for by id then, and the answer is here.
    pub fn read(&mut self, ids: impl IntoIterator<Item = RowId>, asked: BaseTime) {
        if self.passed_ms.saturating_sub(asked.0) > SLOWEST_LINE_MS {
            return;
        }
        let read = Read { asked_ms: asked.0, answered_ms: self.passed_ms };
        self.read.extend(ids.into_iter().map(|id| (id, read)));
    }

    /// An update of these was refused, and may have been applied all the same: no look from before serves another one.
    pub fn refused(&mut self, ids: &[RowId]) {
        ids.iter().for_each(|id| _ = self.read.remove(id));
    }

    /// Whether what the snapshot of a customer says is at most `fresh_ms` old, or was read by id just now: on a line so
    /// slow that the way there and back takes longer, that is the best there is.
    pub fn is_fresh(&self, id: RowId, fresh_ms: u64) -> bool {
        let asked_ms = self.read.get(&id).map(|read| read.asked_ms);
        let is_pulled = !self.overlooked.contains(&id) && !self.doubted.contains(&id);
        let pulled_ms = self.pulled_ms.get(&id.resource).copied();
        let newest_ms = asked_ms.max(pulled_ms.filter(|_| is_pulled));
        let age_ms = newest_ms.map_or(u64::MAX, |at_ms| self.passed_ms - at_ms);
        age_ms <= fresh_ms || self.was_read_just_now(id)
    }

    /// Whether it was read by id within the last two seconds. A pull does not count: store credit may move without a newer
    /// date, and no pull by date ever shows that.
    pub fn was_read_just_now(&self, id: RowId) -> bool {
        self.read.get(&id).is_some_and(|read| self.passed_ms - read.answered_ms <= FOR_THIS_BATCH_MS)
    }

    fn forget(&mut self) {
        self.pulled_ms.clear();
        self.listed_ms.clear();
        self.read.clear();
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::resource::customer;

    const ANA: RowId = customer(1);
    const BO: RowId = customer(2);

    fn noon(plus_ms: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(plus_ms)
    }

    /// Bases of a pull that began at noon, when both clocks began.
    fn pulled() -> Bases {
        let mut bases = Bases::default();
        let began = bases.tick(0, noon(0));
        bases.pulled(began);
        bases
    }

    #[test]
    fn a_pull_makes_all_fresh_and_a_look_those_that_it_read() {
        let mut bases = pulled();
        let asked = bases.tick(9_000, noon(9_000));
        assert!(bases.is_fresh(ANA, 10_000) && !bases.was_read_just_now(ANA));
        bases.tick(9_500, noon(9_500));
        bases.read([ANA], asked);
        assert!(bases.was_read_just_now(ANA));
        bases.tick(18_000, noon(18_000));
        assert!(bases.is_fresh(ANA, 10_000) && !bases.is_fresh(BO, 10_000) && !bases.was_read_just_now(ANA));
        bases.tick(19_001, noon(19_001));
        assert!(!bases.is_fresh(ANA, 10_000));
    }

    #[test]
    fn who_was_overlooked_by_a_list_is_no_fresher_for_it() {
        let mut bases = pulled();
        bases.overlooked([BO].into());
        assert!(bases.is_fresh(ANA, 10_000) && !bases.is_fresh(BO, 10_000));
        let asked = bases.tick(100, noon(100));
        bases.read([BO], asked);
        assert!(bases.is_fresh(BO, 10_000));
    }

    #[test]
    fn of_whom_something_older_was_seen_is_no_fresher_for_what_was_read_before() {
        let mut bases = pulled();
        let asked = bases.tick(100, noon(100));
        bases.read([BO], asked);
        bases.doubted([BO].into());
        assert!(bases.is_fresh(ANA, 10_000) && !bases.is_fresh(BO, 10_000));
        bases.read([BO], asked);
        assert!(bases.is_fresh(BO, 10_000));
    }

    #[test]
    fn it_ages_while_the_machine_sleeps_and_one_clock_stands_still() {
        let mut bases = pulled();
        bases.tick(2, noon(8 * 3_600_000));
        assert!(!bases.is_fresh(ANA, 10_000));
        let mut bases = pulled();
        bases.tick(11_000, noon(10_500));
        assert!(!bases.is_fresh(ANA, 10_000), "the other one is believed as well");
    }

    #[test]
    fn an_answer_that_a_night_lay_on_the_wire_is_as_old_as_the_night() {
        let mut bases = pulled();
        let asked = bases.tick(1_000, noon(1_000));
        bases.tick(1_100, noon(8 * 3_600_000));
        bases.read([ANA], asked);
        assert!(!bases.is_fresh(ANA, 10_000) && !bases.was_read_just_now(ANA));
    }

    #[test]
    fn when_the_wall_clock_was_set_back_nothing_counts_as_read() {
        let mut bases = pulled();
        bases.tick(100, noon(-900));
        assert!(bases.is_fresh(ANA, 10_000), "a clock is corrected by less than a second all day");
        bases.tick(200, noon(-2_000));
        assert!(!bases.is_fresh(ANA, 10_000));
    }

    #[test]
    fn what_was_never_read_is_never_fresh_unless_any_age_will_do() {
        let bases = Bases::default();
        assert!(!bases.is_fresh(ANA, u64::MAX - 1) && bases.is_fresh(ANA, u64::MAX));
    }

    #[test]
    fn on_a_slow_line_a_look_serves_the_batch_that_it_was_made_for() {
        let mut bases = pulled();
        let asked = bases.tick(1_000, noon(1_000));
        bases.tick(21_000, noon(21_000));
        bases.read([ANA], asked);
        bases.tick(23_000, noon(23_000));
        assert!(bases.is_fresh(ANA, 10_000) && bases.was_read_just_now(ANA));
        bases.tick(23_001, noon(23_001));
        assert!(!bases.is_fresh(ANA, 10_000));
    }
}
