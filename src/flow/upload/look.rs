//! Whose base is too old to build an update on, and what a look at them brought.
//!
//! Looks go beside the updates that are on their way, at up to a hundred customers at once: the next ones whose base is too
//! old, in the order in which they leave, as soon as one of those that leave next is among them. A customer with an
//! adjustment is looked at for its own batch, however fresh a pull is.
//!
//! A customer that a look does not show is not gone after that one look: the others go on, and it is looked for once more, at
//! another moment. An answer that shows some of those that were missing was cut before, and starts the count anew.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::{Bases, Ticket};
use crate::resource::RowId;

/// So often a look that is older than what is known is no look, and the pause before the next.
const LAGS_AT_MOST: u32 = 3;
const LAG_PAUSE_MS: u64 = 2_500;
/// So often an answer whose total is of others is asked for once more, for the sake of one whom it does not show.
const CUT_AT_MOST: u32 = 2;
/// Customers asked for by id in one call.
const AT_ONCE: usize = 100;

/// Customers to be looked at.
#[derive(Debug)]
pub(super) struct Look {
    fresh_ms: u64,
    /// Between two looks for a customer that the first one did not show.
    apart_ms: u64,
    /// Customers with adjustments.
    adjusting: BTreeSet<RowId>,
    on_their_way: BTreeMap<Ticket, Asked>,
    /// Customers that a look did not show, and from when on they are looked for again.
    absent: BTreeMap<RowId, u64>,
    /// Those of them whose look was cut: it says nothing of them.
    uncounted: BTreeSet<RowId>,
    /// Whom two looks did not show, or a list and a look.
    confirmed: BTreeSet<RowId>,
    /// How often a look that was cut did not show a customer.
    cuts: BTreeMap<RowId, u32>,
    /// How often a look showed a customer as it was before what is known of it.
    lags: BTreeMap<RowId, u32>,
    /// No look before.
    not_before_ms: u64,
    /// Customers a call.
    at_once: usize,
    /// Looks fail because of somebody: those that go well grow again.
    is_finding: bool,
    alone: BTreeMap<RowId, u32>,
}

/// A look that is on its way.
#[derive(Debug)]
struct Asked {
    ids: Vec<RowId>,
    sent_ms: u64,
    /// It asks for those that were absent before.
    is_second: bool,
    /// Its answer was cut.
    is_cut: bool,
}

/// What a look came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// They had been missing, and are there.
    pub(super) back: Vec<RowId>,
    /// They are missing for the first time: they leave the queue for now.
    pub(super) missing: BTreeSet<RowId>,
    /// Two looks did not show them.
    pub(super) gone: Vec<RowId>,
    /// All looks that might have shown them were cut: nothing is known of them.
    pub(super) unknown: BTreeSet<RowId>,
}

impl Look {
    pub(super) fn new(fresh_ms: u64, apart_ms: u64, adjusting: BTreeSet<RowId>) -> Look {
        Look {
            fresh_ms,
            apart_ms,
            adjusting,
            on_their_way: BTreeMap::new(),
            absent: BTreeMap::new(),
            uncounted: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            cuts: BTreeMap::new(),
            lags: BTreeMap::new(),
            not_before_ms: 0,
            at_once: AT_ONCE,
            is_finding: false,
            alone: BTreeMap::new(),
        }
    }

    /// These have adjustments after all: they were made since the plan.
    pub(super) fn adjust_too(&mut self, ids: impl IntoIterator<Item = RowId>) {
        self.adjusting.extend(ids);
    }

    /// Whether an update of this customer moves what a store need not date.
    pub(super) fn adjusts(&self, id: RowId) -> bool {
        self.adjusting.contains(&id)
    }

    /// Whether an update of this customer may be built on what its snapshot says. One that is being looked at is fresh again
    /// when that look is over: it would overtake it.
    pub(super) fn is_fresh(&self, id: RowId, bases: &Bases) -> bool {
        let is_fresh = match self.adjusting.contains(&id) {
            true => bases.was_read_just_now(id),
            false => bases.is_fresh(id, self.fresh_ms),
        };
        is_fresh && !self.is_on_its_way(id)
    }

    /// Whom to look at now, of those that are `coming`; nobody unless one of the next `soon` needs it, or it is time to look
    /// for the absent once more.
    ///
    /// What a look brought serves for two seconds, and a look may take longer: of two looks one after the other, the first would
    /// be old by the time that the second is there, and those of a call that came from both never be fresh together. So where
    /// nothing `leaves`, those of the last look go along with the next, which is made when that is over.
    pub(super) fn due(
        &self,
        coming: impl Iterator<Item = RowId> + Clone,
        soon: usize,
        leaves: bool,
        bases: &Bases,
        now_ms: u64,
    ) -> Vec<RowId> {
        if now_ms < self.not_before_ms {
            return Vec::new();
        }
        let absent = self.absent.iter().filter(|(_, at_ms)| **at_ms <= now_ms).map(|(id, _)| *id);
        let absent: Vec<RowId> = absent.take(self.at_once).collect();
        if !absent.is_empty() {
            return absent;
        }
        let is_old = |id: &RowId| !self.is_fresh(*id, bases) && !self.is_on_its_way(*id);
        let next = coming.clone().take(soon);
        let is_awaited = |id: RowId| self.adjusts(id) && self.is_on_its_way(id);
        if !next.clone().any(|id| is_old(&id)) || (!leaves && next.clone().any(is_awaited)) {
            return Vec::new();
        }
        let was_for_this_batch = |id: RowId| bases.was_read_just_now(id) && !self.is_on_its_way(id);
        let goes_along = |id: &RowId| is_old(id) || (!leaves && was_for_this_batch(*id));
        let mut coming = coming.filter(goes_along);
        let Some(first) = coming.next() else { return Vec::new() };
        if self.has_failed_alone(first) {
            return vec![first];
        }
        let others = coming.filter(|id| !self.has_failed_alone(*id));
        [first].into_iter().chain(others).take(self.at_once).collect()
    }

    /// Whether a look at this one alone failed: the next is at nobody else either.
    fn has_failed_alone(&self, id: RowId) -> bool {
        self.alone.contains_key(&id)
    }

    /// When somebody absent is to be looked for again, and when looks go on after a pause.
    pub(super) fn due_ms(&self) -> impl Iterator<Item = u64> {
        let absent_ms = self.absent.values().min().map(|at_ms| self.not_before_ms.max(*at_ms));
        absent_ms.into_iter().chain([self.not_before_ms])
    }

    /// A look leaves.
    pub(super) fn asked(&mut self, ticket: Ticket, ids: Vec<RowId>, now_ms: u64) {
        let is_second = ids.iter().all(|id| self.absent.remove(id).is_some());
        self.on_their_way.insert(ticket, Asked { ids, sent_ms: now_ms, is_second, is_cut: false });
    }

    /// When a look left that is on its way.
    pub(super) fn sent_ms(&self, ticket: Ticket) -> Option<u64> {
        self.on_their_way.get(&ticket).map(|asked| asked.sent_ms)
    }

    /// The answer to a look was too large or too slow: half as many are asked for at once from now on. Returns false when
    /// it was for one customer only.
    pub(super) fn ask_fewer(&mut self, ticket: Ticket) -> bool {
        let asked = self.on_their_way.get(&ticket).map_or(0, |asked| asked.ids.len());
        if asked > 1 {
            self.at_once = self.at_once.min(asked.div_ceil(2));
        }
        asked > 1
    }

    /// A look at several failed, however often it was tried: whoever it is because of is found one by one.
    pub(super) fn ask_one(&mut self) {
        self.at_once = 1;
        self.is_finding = true;
    }

    /// Whom a look asked for.
    pub(super) fn asked_for(&self, ticket: Ticket) -> &[RowId] {
        self.on_their_way.get(&ticket).map_or(&[], |asked| &asked.ids)
    }

    /// How often a look at one customer alone has failed, with this one, since it is looked for somebody whom the store cannot show;
    /// 0: it is not that.
    pub(super) fn failed_alone(&mut self, ticket: Ticket) -> u32 {
        let [id] = *self.asked_for(ticket) else { return 0 };
        if !self.is_finding {
            return 0;
        }
        let failed = self.alone.entry(id).or_default();
        *failed += 1;
        *failed
    }

    /// Whether it is looked for somebody whom the store cannot show.
    pub(super) fn is_finding(&self) -> bool {
        self.is_finding
    }

    /// A look showed these as they were before what is known of them: its reads lag behind. Returns those that are
    /// worth another look in this upload.
    pub(super) fn lagging(&mut self, ids: &BTreeSet<RowId>, now_ms: u64) -> BTreeSet<RowId> {
        let mut again = BTreeSet::new();
        for id in ids {
            let lags = self.lags.entry(*id).or_default();
            *lags += 1;
            if *lags <= LAGS_AT_MOST {
                again.insert(*id);
            }
        }
        if !again.is_empty() {
            self.not_before_ms = self.not_before_ms.max(now_ms + LAG_PAUSE_MS);
        }
        again
    }

    /// A look brought nothing.
    pub(super) fn failed(&mut self, ticket: Ticket, again_ms: u64) {
        let Some(asked) = self.on_their_way.remove(&ticket) else { return };
        if asked.is_second {
            self.absent.extend(asked.ids.iter().map(|id| (*id, again_ms)));
        }
        self.not_before_ms = self.not_before_ms.max(again_ms);
    }

    /// This one is looked at no more.
    pub(super) fn forget(&mut self, id: RowId) {
        self.absent.remove(&id);
    }

    /// Customers a call.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Whether a look before did not show those either whom the answer does not show, or a list (`was_listed`). Once that is so of
    /// somebody, one more look is enough in this upload: where others use the store's quota up, there would be nothing but looks.
    pub(super) fn confirms(&mut self, ticket: Ticket, shown: &BTreeSet<RowId>, was_listed: bool) -> bool {
        let Some(asked) = self.on_their_way.get(&ticket) else { return false };
        let is_new = |id: &RowId| shown.contains(id) || self.uncounted.contains(id);
        let is_second = asked.is_second && !asked.ids.iter().any(is_new);
        let missing = asked.ids.iter().copied().filter(|id| !shown.contains(id));
        let confirms = was_listed || is_second || missing.clone().all(|id| self.confirmed.contains(&id));
        if confirms {
            self.confirmed.extend(missing);
        }
        confirms
    }

    /// The answer shows fewer than it says that there are.
    pub(super) fn cut(&mut self, ticket: Ticket) {
        self.on_their_way.get_mut(&ticket).into_iter().for_each(|asked| asked.is_cut = true);
    }

    /// The answer shows these customers.
    pub(super) fn answered(&mut self, ticket: Ticket, shown: &BTreeSet<RowId>, now_ms: u64) -> Looked {
        let Some(asked) = self.on_their_way.remove(&ticket) else { return Looked::default() };
        if self.is_finding {
            self.at_once = (2 * self.at_once).min(AT_ONCE);
        }
        let (there, missing): (BTreeSet<_>, BTreeSet<_>) =
            asked.ids.into_iter().partition(|id| shown.contains(id));
        let again_ms = now_ms + self.apart_ms;
        self.alone.retain(|id, _| !there.contains(id));
        self.uncounted.retain(|id| !there.contains(id));
        let mut unknown = BTreeSet::new();
        if asked.is_cut {
            for id in &missing {
                let cuts = self.cuts.entry(*id).or_default();
                // One that shows others of them brings them nearer.
                *cuts += u32::from(there.is_empty());
                _ = if *cuts > CUT_AT_MOST { unknown.insert(*id) } else { self.uncounted.insert(*id) };
            }
        }
        let missing: BTreeSet<RowId> = missing.difference(&unknown).copied().collect();
        if asked.is_second && there.is_empty() {
            let (first, gone): (Vec<_>, Vec<_>) = match asked.is_cut {
                true => (missing.into_iter().collect(), Vec::new()),
                false => missing.into_iter().partition(|id| self.uncounted.remove(id)),
            };
            self.absent.extend(first.into_iter().map(|id| (id, again_ms)));
            return Looked { gone, unknown, ..Looked::default() };
        }
        self.absent.extend(missing.iter().map(|id| (*id, again_ms)));
        let back = if asked.is_second { there.into_iter().collect() } else { Vec::new() };
        Looked { back, missing, gone: Vec::new(), unknown }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.on_their_way.len()
    }

    /// Whether somebody is looked for once more.
    pub(super) fn is_searching(&self) -> bool {
        !self.absent.is_empty()
    }

    fn is_on_its_way(&self, id: RowId) -> bool {
        self.on_their_way.values().any(|asked| asked.ids.contains(&id))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::resource::customer;

    fn ids(list: impl IntoIterator<Item = i64>) -> Vec<RowId> {
        list.into_iter().map(customer).collect()
    }

    fn at(ms: u64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(0))
    }

    fn look(adjusting: &[i64]) -> Look {
        Look::new(10_000, 5_000, ids(adjusting.iter().copied()).into_iter().collect())
    }

    /// Everybody was pulled at 0; it is `now_ms`.
    fn pulled(now_ms: u64) -> Bases {
        let mut bases = Bases::default();
        let began = bases.tick(0, at(0));
        bases.pulled(began);
        bases.tick(now_ms, at(now_ms));
        bases
    }

    fn due(look: &Look, coming: std::ops::RangeInclusive<i64>, bases: &Bases) -> Vec<RowId> {
        look.due(coming.map(customer), 30, true, bases, 0)
    }

    #[test]
    fn after_a_pull_nobody_is_looked_at_but_for_adjustments() {
        assert_eq!(due(&look(&[]), 1..=200, &pulled(9_000)), []);
        assert_eq!(due(&look(&[7, 150]), 1..=200, &pulled(0)), ids([7, 150]));
        assert_eq!(due(&look(&[150]), 1..=200, &pulled(0)), [], "it does not leave soon");
    }

    #[test]
    fn a_hundred_are_looked_at_once_and_the_next_when_few_are_left() {
        let (mut look, mut bases) = (look(&[]), Bases::default());
        let asked = bases.tick(0, at(0));
        let first = due(&look, 1..=200, &bases);
        assert_eq!(first, ids(1..=100));
        look.asked(Ticket(1), first.clone(), 0);
        assert_eq!(due(&look, 1..=100, &bases), [], "they are on their way");
        look.answered(Ticket(1), &first.iter().copied().collect(), 0);
        bases.read(first, asked);
        assert_eq!(due(&look, 61..=200, &bases), []);
        assert_eq!(due(&look, 72..=200, &bases), ids(101..=200));
    }

    #[test]
    fn who_is_absent_is_looked_for_once_more_and_only_then_gone() {
        let mut look = look(&[]);
        look.asked(Ticket(1), ids(1..=3), 0);
        let looked = look.answered(Ticket(1), &ids(1..=2).into_iter().collect(), 10);
        assert_eq!((looked.gone, looked.missing), (vec![], ids([3]).into_iter().collect()));
        assert_eq!((look.due_ms().max(), look.is_searching()), (Some(5_010), true));
        assert_eq!(look.due(std::iter::empty(), 30, true, &Bases::default(), 5_009), []);
        assert_eq!(look.due(std::iter::empty(), 30, true, &Bases::default(), 5_010), ids([3]));
        look.asked(Ticket(2), ids([3]), 5_010);
        assert_eq!(look.answered(Ticket(2), &BTreeSet::new(), 5_020).gone, ids([3]));
        assert!(!look.is_searching());
    }

    #[test]
    fn an_answer_that_shows_some_of_the_absent_was_cut_before() {
        let mut look = look(&[]);
        look.asked(Ticket(1), ids(1..=6), 0);
        look.answered(Ticket(1), &ids(1..=2).into_iter().collect(), 0);
        look.asked(Ticket(2), ids(3..=6), 5_000);
        let looked = look.answered(Ticket(2), &ids(3..=4).into_iter().collect(), 5_000);
        assert_eq!((looked.back, looked.gone), (ids(3..=4), vec![]));
        assert_eq!(look.due_ms().max(), Some(10_000), "the others are looked for again");
    }

    #[test]
    fn an_answer_that_says_that_it_was_cut_counts_as_no_look() {
        let mut look = look(&[]);
        look.asked(Ticket(1), ids(1..=3), 0);
        look.cut(Ticket(1));
        let looked = look.answered(Ticket(1), &ids(1..=2).into_iter().collect(), 0);
        assert_eq!((looked.gone, looked.missing), (vec![], ids([3]).into_iter().collect()));
        look.asked(Ticket(2), ids([3]), 5_000);
        assert_eq!(look.answered(Ticket(2), &BTreeSet::new(), 5_000), Looked::default(), "the first look");
        look.asked(Ticket(3), ids([3]), 10_000);
        assert_eq!(look.answered(Ticket(3), &BTreeSet::new(), 10_000).gone, ids([3]));
    }

    #[test]
    fn a_look_that_is_too_much_at_once_is_made_in_parts() {
        let mut look = look(&[]);
        look.asked(Ticket(1), ids(1..=100), 0);
        assert!(look.ask_fewer(Ticket(1)));
        look.failed(Ticket(1), 0);
        assert_eq!(due(&look, 1..=200, &Bases::default()), ids(1..=50));
        look.asked(Ticket(2), ids([1]), 0);
        assert!(!look.ask_fewer(Ticket(2)), "it cannot be less");
    }

    #[test]
    fn who_failed_alone_is_looked_at_with_nobody_else() {
        let mut look = look(&[]);
        look.ask_one();
        look.asked(Ticket(1), ids([2]), 0);
        assert_eq!(look.failed_alone(Ticket(1)), 1);
        look.failed(Ticket(1), 0);
        look.at_once = AT_ONCE;
        assert_eq!(due(&look, 1..=4, &Bases::default()), ids([1, 3, 4]));
        assert_eq!(due(&look, 2..=4, &Bases::default()), ids([2]));
        look.asked(Ticket(2), ids([2]), 0);
        look.answered(Ticket(2), &ids([2]).into_iter().collect(), 0);
        assert_eq!(due(&look, 2..=4, &Bases::default()), ids([2, 3, 4]), "it was a slip");
    }

    #[test]
    fn a_look_that_failed_is_made_again_later() {
        let mut look = look(&[]);
        look.asked(Ticket(1), ids(1..=3), 0);
        assert_eq!(look.sent_ms(Ticket(1)), Some(0));
        look.failed(Ticket(1), 700);
        assert_eq!((look.in_flight(), look.due_ms().max()), (0, Some(700)));
        let coming = || (1..=3).map(customer);
        assert_eq!(look.due(coming(), 30, true, &Bases::default(), 699), []);
        assert_eq!(look.due(coming(), 30, true, &Bases::default(), 700), ids(1..=3));
    }

    #[test]
    fn what_two_looks_did_not_show_one_more_confirms_and_so_does_a_list() {
        let (mut look, nobody) = (look(&[]), BTreeSet::new());
        look.asked(Ticket(1), ids([3]), 0);
        assert!(!look.confirms(Ticket(1), &nobody, false), "after one look");
        look.answered(Ticket(1), &nobody, 0);
        look.asked(Ticket(2), ids([3]), 5_000);
        assert!(look.confirms(Ticket(2), &nobody, false));
        look.answered(Ticket(2), &ids([3]).into_iter().collect(), 5_000);
        // Its update was refused, since there was no quota left.
        look.asked(Ticket(3), ids([3]), 30_000);
        assert!(look.confirms(Ticket(3), &nobody, false));
        look.asked(Ticket(4), ids([3, 4]), 30_000);
        assert!(!look.confirms(Ticket(4), &nobody, false), "of the other it is the first");
        assert!(look.confirms(Ticket(4), &nobody, true));
    }
}
