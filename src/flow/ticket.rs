//! What a request is called between leaving and coming back.

/// Names a request between its command and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A supply of tickets that no one else gives out.
#[derive(Clone, Copy, Debug)]
pub struct Tickets(u64);

impl Tickets {
    /// The `block`th supply of a process.
    pub fn block(block: u64) -> Tickets {
        Tickets(block << 32)
    }

    /// The next ticket.
    pub fn take(&mut self) -> Ticket {
        self.0 += 1;
        Ticket(self.0)
    }
}
