//! Batches that stand in the file and have not left yet, in the order in which they leave.
//!
//! As many as may be on their way wait here, so that one leaves in the instant in which an answer comes, and the file is
//! written while the store is busy.

use std::collections::VecDeque;

use super::lanes::Group;
use crate::flow::Ticket;

/// A batch that is not on its way yet.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) ticket: Ticket,
    pub(super) group: Group,
    /// Bytes of each customer; none: it is not committed yet.
    pub(super) bytes: Option<Vec<usize>>,
    /// A balance is among what is sent.
    pub(super) pays: bool,
}

impl Batch {
    /// Bytes of its body: an array.
    pub(super) fn body_bytes(&self) -> usize {
        let each = self.bytes.as_deref().unwrap_or_default();
        each.iter().sum::<usize>() + each.len() + 1
    }
}

/// Batches that wait for a free call.
#[derive(Debug, Default)]
pub(super) struct Ready(VecDeque<Batch>);

impl Ready {
    /// A batch was handed out to be committed.
    pub(super) fn add(&mut self, ticket: Ticket, group: Group) {
        self.0.push_back(Batch { ticket, group, bytes: None, pays: false });
    }

    /// The batch of this ticket.
    pub(super) fn get(&mut self, ticket: Ticket) -> Option<&mut Batch> {
        self.0.iter_mut().find(|batch| batch.ticket == ticket)
    }

    /// Takes a batch out.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Batch> {
        let place = self.0.iter().position(|batch| batch.ticket == ticket)?;
        self.0.remove(place)
    }

    /// The batch that was committed first leaves.
    pub(super) fn leave(&mut self) -> Option<Batch> {
        self.0.front().filter(|batch| batch.bytes.is_some())?;
        self.0.pop_front()
    }

    /// It does not leave yet after all.
    pub(super) fn stays(&mut self, batch: Batch) {
        self.0.push_front(batch);
    }

    /// Takes out the last batch that was committed and is not to leave as it is.
    pub(super) fn retract(&mut self, is_void: impl Fn(&Batch) -> bool) -> Option<Batch> {
        let place = self.0.iter().rposition(|batch| batch.bytes.is_some() && is_void(batch))?;
        self.0.remove(place)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::customer;

    fn ready(tickets: &[u64]) -> Ready {
        let mut ready = Ready::default();
        for ticket in tickets {
            ready.add(Ticket(*ticket), Group::of(vec![customer(*ticket as i64)]));
        }
        ready
    }

    fn commit(ready: &mut Ready, ticket: u64, bytes: usize) {
        if let Some(batch) = ready.get(Ticket(ticket)) {
            batch.bytes = Some(vec![bytes]);
        }
    }

    #[test]
    fn they_leave_in_the_order_in_which_they_were_handed_out_once_they_are_committed() {
        let mut ready = ready(&[1, 2]);
        commit(&mut ready, 2, 10);
        assert!(ready.leave().is_none(), "the first is not in the file yet");
        commit(&mut ready, 1, 10);
        let left = std::iter::from_fn(|| ready.leave().map(|batch| batch.ticket.0));
        assert_eq!(left.collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_last_is_retracted_first_so_that_all_come_back_in_their_order() {
        let mut ready = ready(&[1, 2, 3]);
        (1..=2).for_each(|ticket| commit(&mut ready, ticket, 10));
        let mut back = Vec::new();
        while let Some(batch) = ready.retract(|batch| batch.body_bytes() > 5) {
            back.push(batch.ticket.0);
        }
        assert_eq!((back, ready.len()), (vec![2, 1], 1));
    }
}
