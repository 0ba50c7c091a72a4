//! The promises, each as an object that watches the world and keeps a book of its own.
//!
//! A new promise is a file here and a line in [`all`]. It is told of everything that happens ([`Deed`]), is asked after each
//! run of an engine, and once more when all is calm. Where no client could have done better, it says so by
//! [`World::excuse`], with the reason; how often that was is counted.

mod agreement;
mod attributes;
mod company;
mod contests;
mod edits;
mod held_up;
mod patience;
mod payloads;
mod payments;
mod pulls;
mod refusals;
mod thrift;
mod unseen;
mod walk_ins;

use serde_json::{Map, Value};
use tillsync::{Answer, Decimal, Ticket, Trouble};

use crate::world::{Ended, World};

/// Why what a store told of an update need not be so.
pub const ECHOED: &str = "the store said yes, showed it, and did nothing";

/// What an invariant thinks of the world.
pub type Verdict = Result<(), String>;

pub trait Invariant: Send {
    /// Something happened.
    fn saw(&mut self, _: &mut World, _: &Deed<'_>) -> Verdict {
        Ok(())
    }

    /// A run of the engine is over: well, with an error, or with the process dead. What was on its way has arrived.
    fn at_restart(&mut self, _: &mut World, _: &Ended<'_>) -> Verdict {
        Ok(())
    }

    /// All is calm: the network is well, the store tells the truth, every till has synced.
    fn at_last(&mut self, _: &mut World) -> Verdict {
        Ok(())
    }
}

/// All promises.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(payloads::Payloads::default()),
        Box::new(unseen::Unseen::default()),
        Box::new(payments::Payments::default()),
        Box::new(edits::Edits::default()),
        Box::new(pulls::Pulls::default()),
        Box::new(company::Company::default()),
        Box::new(patience::Patience::default()),
        Box::new(contests::Contests::default()),
        Box::new(refusals::Refusals::default()),
        Box::new(thrift::Thrift::default()),
        Box::new(held_up::HeldUp),
        Box::new(agreement::Agreement),
        Box::new(attributes::Attributes::default()),
        Box::new(walk_ins::WalkIns::default()),
    ]
}

/// What happens in the world.
#[derive(Debug)]
pub enum Deed<'a> {
    /// An edit was acknowledged.
    Edited(Edited),
    /// A request leaves the till; a body: an update, else a question.
    Leaves { ticket: Ticket, query: &'a str, body: &'a str },
    /// An update has reached a customer, of which `sent` was asked.
    Lands { ticket: Ticket, id: i64, sent: &'a Map<String, Value>, before: &'a Value, after: &'a Value },
    /// An update has reached a customer or not: nothing tells.
    MayHaveLanded { ticket: Ticket, id: i64 },
    /// The till hears of a request; of a question, with the time at which the store was as it is told.
    Answered { ticket: Ticket, answer: &'a Result<Answer, Trouble>, as_of_ms: Option<u64> },
    /// The app has set what a customer has of an attribute.
    ValueSet { till: usize, key: (i32, i32), text: &'a str },
    /// An update has changed what a customer has of an attribute: `before` stood there, and now `after`.
    ValueLands { till: usize, key: (i32, i32), before: Option<&'a str>, after: Option<&'a str> },
    /// The till was told what a customer has of an attribute.
    ValueTold { till: usize, key: (i32, i32), text: &'a str },
    /// A creation leaves the till.
    CreationLeaves { ticket: Ticket, body: &'a str },
    /// A till looks for those whom it has created, or not.
    LooksFor { ticket: Ticket, emails: &'a [String] },
    /// It hears of a creation, or of such a look.
    HeardOfWalkIns { ticket: Ticket, answer: &'a Result<Answer, Trouble> },
    /// A customer is new in the store: by a creation of the till that is at work, which `sent` this, or by the office.
    Made { id: i64, record: &'a Value, sent: Option<&'a Map<String, Value>> },
    /// Who was called `old` in the file of a till is `new` from now on.
    Followed { till: usize, old: i64, new: i64 },
    /// A person decided about these edits, which they were shown.
    Decided { till: usize, shown: &'a [i64], journaled: u64 },
    /// A person had these edits sent again.
    Retried { till: usize, rows: &'a [i64] },
    /// A backup was made of the file of the till that is at work.
    BackedUp,
    /// That file was set back to the backup: what was journaled after this row is gone, and these rows wait or are in doubt again.
    SetBack { up_to: i64, open: &'a [i64] },
}

/// An edit that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Edited {
    pub till: usize,
    pub id: i64,
    pub field: &'static str,
    /// How many rows of the journal it made.
    pub rows: usize,
    /// The newest of them.
    pub seq: Option<i64>,
    /// Set for a payment.
    pub amount: Option<Decimal>,
}
