//! Which customers go up together, and who must wait for whom.
//!
//! Emails are unique in a store. A customer that takes an address which another is giving up goes up after that one;
//! customers that pass addresses around in a ring cannot go up at all, one call at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::customer::CustomerId;

/// A customer whose email is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailEdit {
    /// The customer.
    pub id: CustomerId,
    /// The address that the store has.
    pub from: String,
    /// The address that it is to get.
    pub to: String,
}

/// Who waits for whom to give up an address, and who waits in a ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailOrder {
    /// The first goes up only after the second has landed.
    pub after: BTreeMap<CustomerId, CustomerId>,
    /// Customers whose addresses go round: none of them can be first.
    pub rings: BTreeSet<CustomerId>,
}

/// Orders the changes of emails.
pub fn order_emails(edits: &[EmailEdit]) -> EmailOrder {
    let givers: BTreeMap<String, CustomerId> = edits
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
    order.rings = edits.iter().map(|edit| edit.id).filter(|id| is_in_ring(*id, &order.after)).collect();
    order.after.retain(|id, giver| !order.rings.contains(id) && !order.rings.contains(giver));
    order
}

fn is_in_ring(start: CustomerId, after: &BTreeMap<CustomerId, CustomerId>) -> bool {
    let mut seen = BTreeSet::new();
    let mut at = start;
    while let Some(next) = after.get(&at) {
        if *next == start {
            return true;
        }
        if !seen.insert(*next) {
            return false;
        }
        at = *next;
    }
    false
}

fn key(email: &str) -> String {
    email.trim().to_lowercase()
}

fn same(one: &str, other: &str) -> bool {
    key(one) == key(other)
}

/// The customers that are still to be sent, oldest edit first.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    ready: VecDeque<CustomerId>,
    /// By whom they wait for.
    blocked: BTreeMap<CustomerId, Vec<CustomerId>>,
}

impl Queue {
    pub(super) fn new(customers: Vec<CustomerId>, order: &EmailOrder) -> Queue {
        let mut queue = Queue::default();
        for id in customers {
            match order.after.get(&id) {
                Some(giver) => queue.blocked.entry(*giver).or_default().push(id),
                None => queue.ready.push_back(id),
            }
        }
        queue
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.blocked.is_empty()
    }

    /// `id` has landed, or will not in this sync: nobody waits for it any more.
    pub(super) fn is_through(&mut self, id: CustomerId) {
        for taker in self.blocked.remove(&id).unwrap_or_default().into_iter().rev() {
            self.ready.push_front(taker);
        }
    }

    /// Takes the next `size` customers that wait for nobody. While something is `on_its_way`, fewer than `size` are
    /// taken only if nobody else could still join them: calls are the fewest.
    pub(super) fn take(&mut self, size: usize, on_its_way: bool) -> Vec<CustomerId> {
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

    fn edit(id: i64, from: &str, to: &str) -> EmailEdit {
        EmailEdit { id: CustomerId(id), from: from.into(), to: to.into() }
    }

    #[test]
    fn a_taker_waits_for_the_giver_and_a_ring_for_nobody() {
        let order = order_emails(&[edit(1, "a@x", "B@x"), edit(2, "b@x", "c@x"), edit(3, "c@x", "new@x")]);
        assert_eq!(
            order.after,
            BTreeMap::from([(CustomerId(1), CustomerId(2)), (CustomerId(2), CustomerId(3))])
        );
        assert!(order.rings.is_empty());
        let swap = order_emails(&[edit(1, "a@x", "b@x"), edit(2, "b@x", "a@x"), edit(3, "c@x", "a@x")]);
        assert_eq!(swap.rings, BTreeSet::from([CustomerId(1), CustomerId(2)]));
        assert!(swap.after.is_empty());
        assert_eq!(order_emails(&[edit(1, "a@x", "A@x")]), EmailOrder::default());
    }

    #[test]
    fn a_batch_that_could_still_fill_up_waits_while_something_is_on_its_way() {
        let ids = |list: &[i64]| list.iter().copied().map(CustomerId).collect::<Vec<_>>();
        let order =
            EmailOrder { after: BTreeMap::from([(CustomerId(2), CustomerId(1))]), ..EmailOrder::default() };
        let mut queue = Queue::new(ids(&[1, 2, 3, 4]), &order);
        assert_eq!(queue.take(2, false), ids(&[1, 3]));
        assert_eq!(queue.take(2, true), ids(&[]));
        queue.is_through(CustomerId(1));
        assert_eq!(queue.take(2, true), ids(&[2, 4]));
        assert!(queue.is_empty());
    }
}
