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
//! | `shown` | a conflict as a person sees it |
//! | `undo` | what a policy or a merge decided is taken back |

mod discard;
mod resolve;
mod shown;
mod undo;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::merge::entries;
use super::{Change, CustomerPlan, Dirty, Op, OpenConflict, Outcome, Settlement};
use crate::resource::{BadRecord, EditError, FieldId, FormValue, Kind, Record, Subject, Value};

pub use discard::{Discarded, discard, discard_payments, discard_rest, meetings, retry};
pub use resolve::{Keep, resolve};
pub use shown::Shown;
pub(super) use shown::waits_with;
pub use undo::{PastDecision, undo};

/// Why a decision cannot be carried out.
#[derive(Debug)]
pub enum CannotDecide {
    /// What was asked for is refused; nothing was changed.
    Refused(EditError),
    /// What was seen is not what is there any more; nothing was changed.
    MovedOn(EditError),
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

fn refuse(dirty: &Dirty, what: &Subject, problem: impl Into<String>) -> CannotDecide {
    EditError { customer_id: dirty.id.customer, field: what.word(dirty.id), problem: problem.into() }.into()
}

fn moved_on(dirty: &Dirty, what: impl ToString, problem: impl Into<String>) -> CannotDecide {
    let problem = problem.into();
    CannotDecide::MovedOn(EditError { customer_id: dirty.id.customer, field: what.to_string(), problem })
}

/// The conflict: if a person has seen it, as it is shown now, which must be what that person saw; else as it was found.
fn as_seen(dirty: &Dirty, subject: &Subject, seen: Option<&str>) -> Result<Option<Shown>, CannotDecide> {
    let Some(seen) = seen else {
        return Ok(dirty.found(subject));
    };
    let over = || moved_on(dirty, subject, "the conflict that was shown is over: look again");
    let shown = dirty.shown(subject).ok_or_else(over)?;
    if shown.stamp() == seen {
        return Ok(Some(shown));
    }
    let problem = format!(
        "the conflict has moved on since it was shown: here {}, in the store {}: look at it again",
        shown.open.local, shown.open.remote
    );
    Err(moved_on(dirty, subject, problem))
}

/// A decision is made of a conflict as it was shown.
///
/// # Errors
/// When it has moved on since it was `seen`.
pub fn refuse_unseen(dirty: &Dirty, subject: &Subject, seen: Option<&str>) -> Result<(), CannotDecide> {
    as_seen(dirty, subject, seen).map(drop)
}

/// What the working copy has of an attribute, of which a decision is made.
fn ours(dirty: &Dirty, field: FieldId) -> Result<&Value, CannotDecide> {
    match dirty.unsound.contains(&field) {
        true => Err(no_value(dirty, field)),
        false => Ok(dirty.row.get(field)),
    }
}

fn no_value(dirty: &Dirty, field: FieldId) -> CannotDecide {
    refuse(dirty, &Subject::Field(field), "holds what is no value of it: edit it first")
}

/// The same of one that has entries. What is no list of them is not taken for an empty one: that would delete all of the store's.
fn our_entries(dirty: &Dirty, field: FieldId) -> Result<BTreeMap<String, FormValue>, CannotDecide> {
    entries(ours(dirty, field)?).ok_or_else(|| no_value(dirty, field))
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

/// The same as it was last known, be it only kept from an earlier record: what the working copy goes back to. `None`: it never was.
fn last_known(dirty: &Dirty, field: FieldId) -> Result<Option<Value>, BadRecord> {
    let base = dirty.base.as_ref().map(Record::attributes).transpose()?;
    Ok(base.filter(|base| base.knows(field)).map(|base| base.get(field)))
}

// ---- what all of them do ---------------------------------------------------------------------------------------

fn settle(plan: &mut CustomerPlan, ops: &[&Op], outcome: impl Into<Option<Outcome>> + Copy) {
    plan.settle.extend(ops.iter().map(|op| Settlement::new(op.seq, outcome)));
}

/// The rows that a conflict is about, and the ones that were added since.
fn covered_and_later<'d>(dirty: &'d Dirty, shown: &Shown, field: FieldId) -> (Vec<&'d Op>, Vec<&'d Op>) {
    dirty.ops_of(field).partition(|op| shown.covers(op))
}

/// What becomes of a row, once a form field that it is about is decided: it goes with that where it is about nothing else, and
/// otherwise still stands for the others. It waits on while one of those is open, so that a person decides each of them; then a
/// diff looks at it again. One that was refused waits for a person all the same, until nothing of it is left to be sent.
fn outcome_of_entry(
    dirty: &Dirty,
    op: &Op,
    name: &str,
    outcome: Outcome,
) -> Result<Option<Option<Outcome>>, BadRecord> {
    let is_refused = op.outcome == Some(Outcome::Rejected);
    let Change::Entries(given) = &op.change else { return Ok((!is_refused).then_some(None)) };
    let mut others = given.keys().filter(|other| *other != name);
    if is_refused {
        let theirs = entries(&last_known(dirty, op.field)?.unwrap_or_default()).unwrap_or_default();
        let ours = entries(dirty.row.get(op.field)).unwrap_or_default();
        return Ok(others.all(|other| ours.get(other) == theirs.get(other)).then_some(Some(outcome)));
    }
    let is_open = |(other, _): (&str, &OpenConflict)| other != name && op.touches(other);
    Ok(match others.next() {
        None => Some(Some(outcome)),
        Some(_) => (!dirty.held_forms().any(is_open)).then_some(None),
    })
}

fn put(entries: &mut BTreeMap<String, FormValue>, name: &str, value: Option<FormValue>) {
    match value {
        Some(value) => _ = entries.insert(name.to_owned(), value),
        None => _ = entries.remove(name),
    }
}
