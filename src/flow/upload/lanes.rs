//! Which customers go up together, and who must wait for whom.
//!
//! Emails are unique in a store. A customer that takes an address which another is giving up goes up after that one;
//! customers that pass addresses around in a ring cannot go up at all, one call at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::resource::RowId;

/// A customer whose email is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailEdit {
    /// The customer.
    pub id: RowId,
    /// The address that the store has.
    pub from: String,
    /// The address that it is to get.
    pub to: String,
}

/// Who waits for whom to give up an address, and who waits in a ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailOrder {
    /// The first goes up only after the second has landed.
    pub after: BTreeMap<RowId, RowId>,
    /// Customers whose addresses go round: none of them can be first.
    pub rings: BTreeSet<RowId>,
}

/// Orders the changes of emails.
pub fn order_emails(edits: &[EmailEdit]) -> EmailOrder {
    let givers: BTreeMap<String, RowId> = edits
        .iter()
        .filter(|edit| !edit.from.is_empty() && !same(&edit.from, &edit.to))
        .map(|edit| (key(&edit.from), edit.id))
        .collect();
    let mut order = EmailOrder::default();
    for edit in edits {
        match givers.get(&key(&edit.to)) {
            Some(giver) if *giver != edit.id => _ = order.after.insert(edit.id, *giver),
            _ => {}
        }
    }
    order.rings = rings(&order.after);
    order.after.retain(|id, giver| !order.rings.contains(id) && !order.rings.contains(giver));
    order
}

/// Everybody waits for one at most, so who is followed comes to an end, to somebody followed before, or back into its own
/// steps: those are a ring. Nobody is followed twice.
fn rings(after: &BTreeMap<RowId, RowId>) -> BTreeSet<RowId> {
    let (mut rings, mut followed) = (BTreeSet::new(), BTreeSet::new());
    for start in after.keys() {
        let (mut steps, mut at) = (Vec::new(), Some(start));
        while let Some(id) = at.filter(|id| followed.insert(**id)) {
            steps.push(*id);
            at = after.get(id);
        }
        let ring = at.and_then(|met| steps.iter().position(|step| step == met));
        rings.extend(ring.into_iter().flat_map(|first| &steps[first..]));
    }
    rings
}

fn key(email: &str) -> String {
    email.trim().to_lowercase()
}

fn same(one: &str, other: &str) -> bool {
    key(one) == key(other)
}

/// Customers that go up together.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) ids: Vec<RowId>,
    /// Failures so far.
    pub(super) attempt: u32,
    /// They were read back: none of them is gone.
    pub(super) is_checked: bool,
    /// The rest of a batch that holds a bad record: if this group passes, the bad one is there.
    pub(super) suspects: Option<Box<Suspects>>,
    /// The call of which this is a part, if that failed as a whole.
    pub(super) part_of: Option<Family>,
}

/// Customers one of whom the store refuses, and its words.
#[derive(Clone, Debug)]
pub(super) struct Suspects {
    pub(super) group: Group,
    pub(super) words: String,
}

/// Groups that were one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Family(pub(super) u32);

impl Group {
    pub(super) fn of(ids: Vec<RowId>) -> Group {
        Group { ids, ..Group::default() }
    }

    /// Some of them, with the same past.
    pub(super) fn part(&self, ids: &[RowId]) -> Group {
        Group { ids: ids.to_vec(), suspects: None, ..self.clone() }
    }

    /// Whether it was sent before, whole or with others.
    pub(super) fn has_a_past(&self) -> bool {
        self.attempt > 0 || self.is_checked || self.suspects.is_some() || self.part_of.is_some()
    }
}

/// What is still to be sent: groups that were sent before, and behind them everybody else, oldest edit first.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    groups: VecDeque<Group>,
    queue: Queue,
}

impl Lanes {
    pub(super) fn new(customers: Vec<RowId>, order: &EmailOrder) -> Lanes {
        Lanes { groups: VecDeque::new(), queue: Queue::new(customers, order) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.queue.is_empty()
    }

    /// Whether the next group was sent before.
    pub(super) fn has_sent_before(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Takes the next group, of at most `size` customers if it was never sent.
    pub(super) fn draw(&mut self, size: usize, on_its_way: bool) -> Option<Group> {
        if let Some(group) = self.groups.pop_front() {
            return Some(group);
        }
        let ids = self.queue.take(size, on_its_way);
        (!ids.is_empty()).then(|| Group::of(ids))
    }

    /// A group that was drawn stays the next one: it waits for a look, which is made at those who are next.
    pub(super) fn stays_next(&mut self, group: Group) {
        match self.groups.is_empty() {
            true => self.put_back(group),
            false => self.groups.push_front(group),
        }
    }

    /// A group that was drawn does not leave yet.
    pub(super) fn put_back(&mut self, group: Group) {
        match group.has_a_past() {
            true => self.groups.push_front(group),
            false => self.queue.put_back(group.ids),
        }
    }

    /// This group goes next.
    pub(super) fn first(&mut self, group: Group) {
        self.groups.push_front(group);
    }

    /// This group goes behind the others that were sent before.
    pub(super) fn last(&mut self, group: Group) {
        self.groups.push_back(group);
    }

    /// A customer has landed, or will not in this sync: nobody waits for it any more.
    pub(super) fn done_with(&mut self, id: RowId) {
        self.queue.done_with(id);
    }

    /// Those that wait for nobody, in the order in which they leave.
    pub(super) fn coming(&self) -> impl Iterator<Item = RowId> + Clone {
        let groups = self.groups.iter().flat_map(|group| &group.ids);
        groups.chain(&self.queue.ready).copied()
    }

    /// These customers, and those who wait for an address of theirs, are for another sync.
    pub(super) fn put_off(&mut self, ids: BTreeSet<RowId>) {
        let mut left: Vec<RowId> = ids.iter().copied().collect();
        let mut out = ids;
        while let Some(giver) = left.pop() {
            let takers = self.queue.blocked.remove(&giver).unwrap_or_default();
            left.extend(takers.into_iter().filter(|taker| out.insert(*taker)));
        }
        self.take_out(&out);
    }

    /// Takes customers out, wherever they stand.
    pub(super) fn take_out(&mut self, ids: &BTreeSet<RowId>) {
        self.groups.iter_mut().for_each(|group| group.ids.retain(|id| !ids.contains(id)));
        self.queue.ready.retain(|id| !ids.contains(id));
    }
}

/// The customers that were not sent yet, oldest edit first.
#[derive(Clone, Debug, Default)]
struct Queue {
    ready: VecDeque<RowId>,
    /// By whom they wait for.
    blocked: BTreeMap<RowId, Vec<RowId>>,
}

impl Queue {
    fn new(customers: Vec<RowId>, order: &EmailOrder) -> Queue {
        let mut queue = Queue::default();
        for id in customers {
            match order.after.get(&id) {
                Some(giver) => queue.blocked.entry(*giver).or_default().push(id),
                None => queue.ready.push_back(id),
            }
        }
        queue
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.blocked.is_empty()
    }

    fn put_back(&mut self, ids: Vec<RowId>) {
        ids.into_iter().rev().for_each(|id| self.ready.push_front(id));
    }

    fn done_with(&mut self, id: RowId) {
        for taker in self.blocked.remove(&id).unwrap_or_default().into_iter().rev() {
            self.ready.push_front(taker);
        }
    }

    /// Takes the next `size` customers that wait for nobody. While something is `on_its_way`, fewer than `size` are
    /// taken only if nobody else could still join them: calls are the fewest.
    fn take(&mut self, size: usize, on_its_way: bool) -> Vec<RowId> {
        if self.ready.len() < size && on_its_way && !self.blocked.is_empty() {
            return Vec::new();
        }
        if self.ready.is_empty() && !on_its_way {
            self.ready.extend(std::mem::take(&mut self.blocked).into_values().flatten());
        }
        self.ready.drain(..size.min(self.ready.len())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::customer;

    fn edit(id: i64, from: &str, to: &str) -> EmailEdit {
        EmailEdit { id: customer(id), from: from.into(), to: to.into() }
    }

    #[test]
    fn a_taker_waits_for_the_giver_and_a_ring_for_nobody() {
        let order = order_emails(&[edit(1, "a@x", "B@x"), edit(2, "b@x", "c@x"), edit(3, "c@x", "new@x")]);
        assert_eq!(order.after, BTreeMap::from([(customer(1), customer(2)), (customer(2), customer(3))]));
        assert!(order.rings.is_empty());
        let swap = order_emails(&[edit(1, "a@x", "b@x"), edit(2, "b@x", "a@x"), edit(3, "c@x", "a@x")]);
        assert_eq!(swap.rings, BTreeSet::from([customer(1), customer(2)]));
        assert!(swap.after.is_empty());
        assert_eq!(order_emails(&[edit(1, "a@x", "A@x")]), EmailOrder::default());
    }

    #[test]
    fn who_waits_for_somebody_that_is_put_off_waits_too() {
        let ids = |list: &[i64]| list.iter().copied().map(customer).collect::<Vec<_>>();
        let after = [(customer(2), customer(1)), (customer(3), customer(2)), (customer(5), customer(4))];
        let order = EmailOrder { after: BTreeMap::from(after), ..EmailOrder::default() };
        let mut lanes = Lanes::new(ids(&[1, 2, 3, 4, 5]), &order);
        lanes.put_off(BTreeSet::from([customer(1)]));
        assert_eq!(lanes.draw(10, false).unwrap().ids, ids(&[4]));
        assert_eq!(lanes.draw(10, false).unwrap().ids, ids(&[5]));
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_batch_that_could_still_fill_up_waits_while_something_is_on_its_way() {
        let ids = |list: &[i64]| list.iter().copied().map(customer).collect::<Vec<_>>();
        let order =
            EmailOrder { after: BTreeMap::from([(customer(2), customer(1))]), ..EmailOrder::default() };
        let mut queue = Queue::new(ids(&[1, 2, 3, 4]), &order);
        assert_eq!(queue.take(2, false), ids(&[1, 3]));
        assert_eq!(queue.take(2, true), ids(&[]));
        queue.done_with(customer(1));
        assert_eq!(queue.take(2, true), ids(&[2, 4]));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_was_sent_before_goes_first_and_what_was_only_drawn_goes_back_to_its_place() {
        let ids = |list: &[i64]| list.iter().copied().map(customer).collect::<Vec<_>>();
        let mut lanes = Lanes::new(ids(&[1, 2, 3, 4, 5]), &EmailOrder::default());
        let drawn = lanes.draw(2, false).unwrap_or_default();
        lanes.put_back(drawn);
        lanes.last(Group { attempt: 1, ..Group::of(ids(&[8, 9])) });
        assert_eq!(lanes.coming().collect::<Vec<_>>(), ids(&[8, 9, 1, 2, 3, 4, 5]));
        lanes.take_out(&ids(&[9, 2]).into_iter().collect());
        let left: Vec<Vec<RowId>> =
            std::iter::from_fn(|| lanes.draw(3, false).map(|group| group.ids)).collect();
        assert_eq!(left, [ids(&[8]), ids(&[1, 3, 4]), ids(&[5])]);
        assert!(lanes.is_empty());
    }
}
