//! What an app may want to know while syncs run.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Progress, PullReport, SyncReport};
use crate::flow::{Notice, Outcome};
use crate::resource::{CustomerId, EditSeq, FieldId};

/// Something happened. No event holds a value of a customer: an app reads that from its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A sync began.
    SyncStarted,
    /// How far it has come.
    Progress(Progress),
    /// It is done.
    SyncFinished(SyncReport),
    /// It ended early; every edit is kept.
    SyncFailed {
        /// As [`Error::code`](crate::Error::code).
        code: &'static str,
        /// What happened, for a person.
        message: String,
        /// What to do next, where there is something to say: as [`Error::hint`](crate::Error::hint).
        hint: Option<&'static str>,
    },
    /// A pull of everybody that the worker makes by itself, to find deletions, came to the end of the list: what it did, also
    /// that the list was not whole, or that more customers are absent than are believed to be gone.
    PullFinished(PullReport),
    /// Such a pull ended early. It goes on where it is, later and later while it fails; edits and news do not wait for it.
    PullFailed {
        /// As [`Error::code`](crate::Error::code).
        code: &'static str,
        /// What happened, for a person.
        message: String,
        /// What to do next, where there is something to say: as [`Error::hint`](crate::Error::hint).
        hint: Option<&'static str>,
    },
    /// A customer is new or other than it was, by the store's doing.
    CustomerChanged {
        /// The customer.
        customer_id: CustomerId,
    },
    /// The store has made a customer who was entered here: all that is of it goes by the new id from now on, and by the old one in
    /// every call of the library.
    CustomerCreated {
        /// Below zero: what it was called here.
        old_id: CustomerId,
        /// What the store calls it.
        id: CustomerId,
    },
    /// The store refused to make a customer who was entered here; it waits for a person, or for an edit of it.
    CreationRefused {
        /// The customer, below zero.
        customer_id: CustomerId,
        /// The place of the creation in the journal.
        seq: EditSeq,
        /// The server's words.
        reason: String,
    },
    /// A customer who was entered here exists in the store already, or somebody else does with the same address: a person decides.
    CreationInConflict {
        /// The customer, below zero.
        customer_id: CustomerId,
        /// The place of the creation in the journal.
        seq: EditSeq,
    },
    /// The store has deleted a customer who was deleted here.
    CustomerDeleted {
        /// The customer.
        customer_id: CustomerId,
        /// The place of the deletion in the journal.
        seq: EditSeq,
    },
    /// The store refused to delete a customer who was deleted here; that waits for a person.
    DeletionRefused {
        /// The customer.
        customer_id: CustomerId,
        /// The place of the deletion in the journal.
        seq: EditSeq,
        /// The server's words.
        reason: String,
    },
    /// A customer who was deleted here was changed in the store meanwhile: a person decides.
    DeletionInConflict {
        /// The customer.
        customer_id: CustomerId,
        /// The place of the deletion in the journal.
        seq: EditSeq,
    },
    /// The store took an edit.
    EditUploaded(EditEvent),
    /// The store refused an edit; it waits for a person.
    EditRejected {
        /// The edit.
        #[serde(flatten)]
        edit: EditEvent,
        /// The server's words.
        reason: String,
    },
    /// Both sides changed an attribute; the edit waits for a decision.
    EditInConflict(EditEvent),
    /// The store cannot be reached any more.
    Offline {
        /// Why.
        message: String,
    },
    /// The store can be reached again.
    Online,
    /// The store asks all to wait.
    ThrottledUntil {
        /// By the till's clock.
        until: DateTime<Utc>,
    },
    /// A transaction that reads the file has been open for long: the log beside the file cannot begin anew and grows with
    /// every edit. Told once an hour at most.
    LogHeldUp {
        /// The size of the log.
        bytes: u64,
        /// Since when syncs find it so, by the till's clock.
        since: DateTime<Utc>,
        /// The processes that read, by their id, where the system tells.
        readers: Vec<u32>,
    },
    /// An edit has waited for a sync for so long that somebody should look: see
    /// [`SyncerOptions::waiting_long`](crate::SyncerOptions::waiting_long). Told again each time that it has waited as long
    /// once more.
    WaitingLong {
        /// When the oldest of them was made, by the till's clock.
        since: DateTime<Utc>,
        /// How many wait, old and new.
        edits: u64,
    },
    /// Something of the app's (a trigger, a unique index) refuses what came from the store: the customer waits, and is not sent;
    /// each sync tries again. See [`Store::held_up`](crate::Store::held_up).
    HeldUp {
        /// The customer.
        customer_id: CustomerId,
        /// The trigger or the index, where it can be told.
        cause: Option<String>,
    },
    /// Events came faster than they were read, and the oldest were dropped.
    Missed {
        /// How many.
        count: u64,
    },
}

/// An edit that something happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EditEvent {
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute.
    pub field: FieldId,
    /// Its place in the journal; a receipt's places hold it.
    pub seq: EditSeq,
}

impl Event {
    /// The event of a notice.
    pub(super) fn of(notice: Notice) -> Event {
        let edit = EditEvent { customer_id: notice.customer_id, field: notice.field, seq: notice.seq };
        match notice.outcome {
            Outcome::Rejected => Event::EditRejected { edit, reason: notice.reason.unwrap_or_default() },
            Outcome::Held => Event::EditInConflict(edit),
            _ => Event::EditUploaded(edit),
        }
    }
}
