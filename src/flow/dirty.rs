//! A customer with unsettled edits: all that diff, merge, reconcile and recover need to know of it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use secrecy::SecretString;

use super::{DELETED, Outcome};
use crate::customer::{CustomerId, EditSeq, FieldId, Record, Row};

/// What a journal row did to its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It set a value.
    Set,
    /// It added a signed amount to the store credit.
    Adjust(Decimal),
}

/// An unsettled row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Its place in the journal.
    pub seq: EditSeq,
    /// The attribute.
    pub field: FieldId,
    /// What it did.
    pub change: Change,
    /// `None`: pending; else one of the unsettled outcomes.
    pub outcome: Option<Outcome>,
    /// Rejected together with others.
    pub reject_group: Option<i64>,
    /// When, by the till's clock.
    pub at: Option<DateTime<Utc>>,
    /// Who.
    pub author: Option<String>,
}

impl Op {
    /// Whether it waits for a sync.
    pub fn is_pending(&self) -> bool {
        self.outcome.is_none()
    }

    /// The signed amount, if it is an adjustment.
    pub fn adjustment(&self) -> Option<Decimal> {
        match self.change {
            Change::Adjust(amount) => Some(amount),
            Change::Set => None,
        }
    }
}

/// A conflict that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenConflict {
    /// Its row.
    pub id: i64,
    /// The attribute, `form_fields.NAME`, or [`DELETED`].
    pub field: String,
    /// JSON of what both started from.
    pub base: String,
    /// JSON of the store's value.
    pub remote: String,
}

/// A customer with unsettled edits, read in one transaction.
#[derive(Clone, Debug)]
pub struct Dirty {
    /// The customer.
    pub id: CustomerId,
    /// As the server last described it; `None`: the server does not have it.
    pub base: Option<Record>,
    /// The working copy.
    pub row: Row,
    /// The unsettled rows, oldest first.
    pub ops: Vec<Op>,
    /// The conflicts that wait for a person.
    pub open: Vec<OpenConflict>,
    /// The newest password that waits.
    pub password: Option<SecretString>,
}

impl Dirty {
    /// The unsettled rows of one attribute, oldest first.
    pub fn ops_of(&self, field: FieldId) -> impl DoubleEndedIterator<Item = &Op> {
        self.ops.iter().filter(move |op| op.field == field)
    }

    /// The open conflict of a field, by its name in the conflict table.
    pub fn open_of(&self, field: &str) -> Option<&OpenConflict> {
        self.open.iter().find(|conflict| conflict.field == field)
    }

    /// The form fields that are held, by name.
    pub fn held_forms(&self) -> impl Iterator<Item = (&str, &OpenConflict)> {
        self.open.iter().filter_map(|c| Some((c.field.strip_prefix("form_fields.")?, c)))
    }

    /// Whether the customer was deleted remotely while it had edits.
    pub fn is_gone(&self) -> bool {
        self.open_of(DELETED).is_some()
    }

    /// Who made the newest edit of a field.
    pub fn author_of(&self, field: FieldId) -> Option<String> {
        self.ops_of(field).next_back().and_then(|op| op.author.clone())
    }
}

/// The sum of the adjustments among some rows, if they are nothing else.
pub(super) fn only_adjustments<'o>(ops: impl IntoIterator<Item = &'o Op>) -> Option<Decimal> {
    let mut sum = Decimal::ZERO;
    for op in ops {
        sum = sum.checked_add(op.adjustment()?)?;
    }
    Some(sum)
}
