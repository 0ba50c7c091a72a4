//! What a person decides, as plans: resolve and undo, retry and discard.
//!
//! A decision covers what the person was shown: the rows of the journal that a conflict names, in the state that its stamp
//! names. What was edited since is not thrown away with it: a newer value stands, a newer payment goes on top. So each row
//! is decided for itself, and a decision about a balance is written as the difference to what the store has: what is paid
//! meanwhile, here or there, is kept.
//!
//! ```text
//! conflict as shown + unsettled rows + snapshot ──resolve, discard──▶ CustomerPlan ──▶ store
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `resolve` | a conflict is decided |
//! | `discard` | edits are given up, or tried again |
//! | `undo` | what a policy or a merge decided is taken back |

mod discard;
mod resolve;
mod undo;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::IgnoredAny;

use super::{Change, CustomerPlan, Dirty, Op, OpenConflict, Outcome, Settlement};
use crate::resource::{BadRecord, EditError, EditSeq, FieldId, FormValue, Kind, Record, Subject, Value};

pub use discard::{Discarded, discard, discard_payments, meetings, retry};
pub use resolve::{Keep, resolve};
pub use undo::{PastDecision, undo};

/// Why a decision cannot be carried out.
#[derive(Debug)]
pub enum CannotDecide {
    /// What was asked for is refused; nothing was changed.
    Refused(EditError),
    /// The snapshot is no customer.
    BadRecord(BadRecord),
}

impl From<EditError> for CannotDecide {
    fn from(refused: EditError) -> Self {
        CannotDecide::Refused(refused)
    }
}

impl From<BadRecord> for CannotDecide {
    fn from(bad: BadRecord) -> Self {
        CannotDecide::BadRecord(bad)
    }
}

type Plan = Result<CustomerPlan, CannotDecide>;

// ---- what was shown ------------------------------------------------------------------------------------------------

impl OpenConflict {
    /// The rows of the journal that it is about.
    pub fn seqs(&self, ops: &[Op]) -> Vec<EditSeq> {
        let is_part = |op: &&Op| match &self.subject {
            Subject::Field(field) => op.field == *field,
            Subject::Entry(field, name) => op.field == *field && op.touches(name),
            Subject::Customer => true,
        };
        let held = ops.iter().filter(|op| op.outcome == Some(Outcome::Held));
        held.filter(is_part).map(|op| op.seq).collect()
    }

    /// What tells this conflict from what it was, or will be: its identity, both values, and the rows that it is about.
    pub fn stamp(&self, ops: &[Op]) -> String {
        let seqs: Vec<String> = self.seqs(ops).iter().map(EditSeq::to_string).collect();
        let parts = [self.base.as_str(), self.local.as_str(), self.remote.as_str(), &seqs.join(",")];
        // FNV-1a: the same in every build, and nobody's secret.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let bytes = parts.iter().flat_map(|part| part.as_bytes().iter().chain(&[0xff]));
        format!("{}-{:016x}", self.id, bytes.fold(0xcbf2_9ce4_8422_2325, step))
    }
}

fn refuse(dirty: &Dirty, what: &Subject, problem: impl Into<String>) -> CannotDecide {
    EditError { customer_id: dirty.id, field: what.to_string(), problem: problem.into() }.into()
}

/// The conflict, if it still is as the person saw it.
fn as_seen<'d>(
    dirty: &'d Dirty,
    subject: &Subject,
    seen: Option<&str>,
) -> Result<Option<&'d OpenConflict>, CannotDecide> {
    let open = dirty.open_of(subject);
    match (open, seen) {
        (Some(open), Some(seen)) if open.stamp(&dirty.ops) != seen => {
            let problem = format!(
                "the conflict has moved on since it was shown: here {}, in the store {}: look at it again",
                open.local, open.remote
            );
            Err(refuse(dirty, subject, problem))
        }
        (None, Some(_)) => Err(refuse(dirty, subject, "the conflict that was shown is over: look again")),
        _ => Ok(open),
    }
}

/// What the working copy has of an attribute, of which a decision is made.
fn ours(dirty: &Dirty, field: FieldId) -> Result<&Value, CannotDecide> {
    match dirty.unsound.contains(&field) {
        true => Err(refuse(dirty, &Subject::Field(field), "holds what is no value of it: edit it first")),
        false => Ok(dirty.row.get(field)),
    }
}

/// What the file has noted of an attribute: a side of a conflict, or what was decided for.
fn noted(dirty: &Dirty, what: &Subject, json: &str) -> Result<Value, CannotDecide> {
    let kind = what.field().map_or(Kind::Json, FieldId::kind);
    match serde_json::from_str::<IgnoredAny>(json) {
        Ok(_) => Ok(Value::from_json(kind, json)),
        Err(_) => Err(refuse(dirty, what, "what is noted of it is no value: edit it, or discard its edits")),
    }
}

fn refuse_in_flight<'o>(dirty: &Dirty, mut ops: impl Iterator<Item = &'o Op>) -> Result<(), CannotDecide> {
    match ops.find(|op| op.outcome == Some(Outcome::InFlight)) {
        None => Ok(()),
        Some(op) => {
            let problem = "its edit is on its way to the store: sync first, then decide";
            Err(refuse(dirty, &Subject::Field(op.field), problem))
        }
    }
}

/// What the store has of an attribute; `None`: it was not told.
fn stored(dirty: &Dirty, field: FieldId) -> Result<Option<Value>, BadRecord> {
    let base = dirty.base.as_ref().map(Record::attributes).transpose()?;
    Ok(base.filter(|base| base.tells(field)).map(|base| base.get(field)))
}

// ---- what all of them do ---------------------------------------------------------------------------------------

fn settle(plan: &mut CustomerPlan, ops: &[&Op], outcome: impl Into<Option<Outcome>> + Copy) {
    plan.settle.extend(ops.iter().map(|op| Settlement::new(op.seq, outcome)));
}

/// The rows that a conflict is about, and the ones that were added since.
fn covered_and_later<'d>(
    dirty: &'d Dirty,
    open: &OpenConflict,
    field: FieldId,
) -> (Vec<&'d Op>, Vec<&'d Op>) {
    let covered: BTreeSet<EditSeq> = open.seqs(&dirty.ops).into_iter().collect();
    dirty.ops_of(field).partition(|op| covered.contains(&op.seq))
}

/// What becomes of a row, once a form field that it is about is decided: it goes with that where it is about nothing else, and
/// otherwise still stands for the others. It waits on while one of those is open, so that a person decides each of them; then a
/// diff looks at it again.
fn outcome_of_entry(dirty: &Dirty, op: &Op, name: &str, outcome: Outcome) -> Option<Option<Outcome>> {
    let Change::Entries(entries) = &op.change else { return Some(None) };
    let is_open = |(other, _): (&str, &OpenConflict)| other != name && op.touches(other);
    match entries.len() == 1 {
        true => Some(Some(outcome)),
        false => (!dirty.held_forms().any(is_open)).then_some(None),
    }
}

fn put(entries: &mut BTreeMap<String, FormValue>, name: &str, value: Option<FormValue>) {
    match value {
        Some(value) => _ = entries.insert(name.to_owned(), value),
        None => _ = entries.remove(name),
    }
}
