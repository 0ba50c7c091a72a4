//! A row with unsettled edits: all that diff, merge, reconcile and recover need to know of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Attempt, Lately, Outcome};
use crate::resource::{EditSeq, FieldId, FormValue, Record, ResourceId, Row, RowId, Subject, Value};

/// What a journal row did to its attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It set a value: the working copy has the newest.
    Set,
    /// It set the balance; what is adjusted later is added to it.
    Balance(Value),
    /// It set entries of form fields. `None`: it left that one out.
    Entries(BTreeMap<String, Option<FormValue>>),
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
            _ => None,
        }
    }

    /// Whether it is about an entry of form fields.
    pub fn touches(&self, entry: &str) -> bool {
        match &self.change {
            Change::Entries(entries) => entries.contains_key(entry),
            _ => self.field.has_entries(),
        }
    }

    /// Whether the working copy's balance holds it: a refused adjustment has left the sum.
    pub fn is_counted(&self) -> bool {
        self.outcome != Some(Outcome::Rejected)
    }

    /// Whether it waits for a person.
    pub fn waits_for_a_person(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Rejected | Outcome::Held))
    }
}

impl Change {
    /// A set of form fields, by the entries in which the value differs from the one before.
    pub fn of_forms(value: &Value, was: &Value) -> Change {
        let none = BTreeMap::new();
        let [value, was] = match [value, was] {
            [Value::Forms(value), Value::Forms(was)] => [value, was],
            [Value::Forms(value), Value::Null] => [value, &none],
            [Value::Null, Value::Forms(was)] => [&none, was],
            _ => return Change::Set,
        };
        let names = value.keys().chain(was.keys()).filter(|name| value.get(*name) != was.get(*name));
        Change::Entries(names.map(|name| (name.clone(), value.get(name).cloned())).collect())
    }
}

/// A row was deleted here, and that has not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its place in the journal.
    pub seq: EditSeq,
    /// `None`: pending; else one of the unsettled outcomes.
    pub outcome: Option<Outcome>,
    /// Who.
    pub author: Option<String>,
}

/// A conflict that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenConflict {
    /// Its row.
    pub id: i64,
    /// What it is about.
    pub subject: Subject,
    /// JSON of what both started from.
    pub base: String,
    /// JSON of the till's value, as it was shown.
    pub local: String,
    /// JSON of the store's value.
    pub remote: String,
    /// JSON of a [`Doubt`]: of a customer who is gone, the balance that waited for a person by then.
    pub doubt: Option<String>,
}

/// A balance that waited for a person when its customer went. While the customer is gone it is a part of that conflict, and is
/// decided with it; who is there again is asked about anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// JSON of what both started from.
    pub base: String,
    /// JSON of the till's balance.
    pub local: String,
    /// JSON of the store's.
    pub remote: String,
    /// The rows that wait for it.
    pub seqs: Vec<EditSeq>,
}

impl Doubt {
    /// As it is open.
    pub fn of(open: &OpenConflict, ops: &[Op]) -> Doubt {
        let OpenConflict { base, local, remote, .. } = open.clone();
        Doubt { base, local, remote, seqs: open.as_found(ops).seqs }
    }

    /// As it stays in the file.
    pub fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// A row with unsettled edits, read in one transaction.
#[derive(Clone, Debug)]
pub struct Dirty {
    /// The row.
    pub id: RowId,
    /// As the server last described it; `None`: the server does not have it. Where the snapshot stayed behind, with what landed
    /// since.
    pub base: Option<Record>,
    /// The snapshot is not what `base` is: something of the app's refused to have it written.
    pub is_behind: bool,
    /// What of that was otherwise a moment ago.
    pub lately: Lately,
    /// The working copy.
    pub row: Row,
    /// Attributes of which it holds what is no value, as a program wrote it past the triggers: nothing is made of that. Looked for where
    /// a person decides.
    pub unsound: BTreeSet<FieldId>,
    /// The unsettled rows, oldest first.
    pub ops: Vec<Op>,
    /// The conflicts that wait for a person.
    pub open: Vec<OpenConflict>,
    /// Updates of it that left and were refused, or given up, and may have landed all the same; oldest first.
    pub attempts: Vec<Attempt>,
    /// The store moves balances without a newer `date_modified`; it is asked for where there are attempts.
    pub is_credit_undated: bool,
    /// The newest password that waits.
    pub password: Option<SecretString>,
    /// Those that were set before it and wait as well: one that is in doubt may have arrived.
    pub earlier_passwords: Vec<SecretString>,
    /// It was deleted here: the working copy is gone, and `row` is as it was. Nothing else of it is sent.
    pub deletion: Option<Deletion>,
}

impl Dirty {
    /// What it is a row of.
    pub fn resource(&self) -> ResourceId {
        self.id.resource
    }

    /// The unsettled rows of its money, oldest first.
    pub fn ops_of_money(&self) -> impl DoubleEndedIterator<Item = &Op> {
        self.ops.iter().filter(|op| op.field.is_money())
    }

    /// The open conflict about its money.
    pub fn open_of_money(&self) -> Option<&OpenConflict> {
        self.open.iter().find(|conflict| conflict.subject.is_money())
    }

    /// The unsettled rows of one attribute, oldest first.
    pub fn ops_of(&self, field: FieldId) -> impl DoubleEndedIterator<Item = &Op> {
        self.ops.iter().filter(move |op| op.field == field)
    }

    /// The unsettled row of that place.
    pub fn op(&self, seq: EditSeq) -> Option<&Op> {
        self.ops.binary_search_by_key(&seq, |op| op.seq).ok().map(|place| &self.ops[place])
    }

    /// Whether the working copy has this value, as it is read and as it stands there.
    pub fn holds(&self, field: FieldId, value: &Value) -> bool {
        self.row.get(field) == value && !self.unsound.contains(&field)
    }

    /// The open conflict about something.
    pub fn open_of(&self, subject: &Subject) -> Option<&OpenConflict> {
        self.open.iter().find(|conflict| conflict.subject == *subject)
    }

    /// The open conflict of a whole attribute.
    pub fn open_of_field(&self, field: FieldId) -> Option<&OpenConflict> {
        self.open.iter().find(|conflict| conflict.subject == Subject::Field(field))
    }

    /// The form fields that are held, by name.
    pub fn held_forms(&self) -> impl Iterator<Item = (&str, &OpenConflict)> {
        self.open.iter().filter_map(|conflict| Some((conflict.subject.entry_name()?, conflict)))
    }

    /// The passwords of it that the file knows.
    pub fn passwords(&self) -> impl Iterator<Item = &SecretString> {
        self.earlier_passwords.iter().chain(&self.password)
    }

    /// The balance that waited for a person when the customer went, if any of that still does.
    pub fn doubt(&self) -> Option<Doubt> {
        let json = self.open_of(&Subject::Customer)?.doubt.as_ref()?;
        let mut doubt: Doubt = serde_json::from_str(json).ok()?;
        doubt.seqs.retain(|seq| self.op(*seq).is_some_and(|op| op.outcome == Some(Outcome::Held)));
        (!doubt.seqs.is_empty()).then_some(doubt)
    }

    /// Whether the customer was deleted remotely while it had edits.
    pub fn is_gone(&self) -> bool {
        self.open_of(&Subject::Customer).is_some()
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
