//! What was decided by itself is taken back.

use super::{Plan, last_known, noted, ours, put, refuse, refuse_in_flight, settle};
use crate::flow::merge::{entries, form_json};
use crate::flow::{ConflictPlan, CustomerPlan, Decided, Dirty, Outcome, Verdict};
use crate::resource::{FormValue, Subject, Value};

/// A decision that a policy or a merge made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastDecision {
    /// Its row.
    pub id: i64,
    /// What it was about.
    pub subject: Subject,
    /// JSON of the till's value.
    pub local: String,
    /// JSON of the store's.
    pub remote: String,
    /// JSON of the value that was decided for; `None`: a file of an earlier version did not keep it.
    pub result: Option<String>,
    /// The till's side was given up.
    pub is_remote: bool,
    /// It was edited here since.
    pub is_edited_since: bool,
}

/// Takes back what a policy or a merge decided: the other side's value is an edit again. Only while nothing newer was
/// edited or pulled, and never for money.
///
/// # Errors
/// When it cannot be taken back any more.
pub fn undo(dirty: &Dirty, past: &PastDecision) -> Plan {
    let subject = &past.subject;
    let Some(field) = subject.field().filter(|field| !field.is_money()) else {
        let problem = "money is never decided anew: adjust the balance by what is wrong with it";
        return Err(refuse(dirty, subject, problem));
    };
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let result = match (&past.result, past.is_remote) {
        (Some(result), _) => result,
        (None, true) => &past.remote,
        (None, false) => {
            return Err(refuse(
                dirty,
                subject,
                "was decided by an earlier version, which did not keep the result",
            ));
        }
    };
    let part = |value: &Value| match subject.entry_name() {
        None => value.to_json(),
        Some(name) => form_json(entries(value).unwrap_or_default().get(name)),
    };
    let is = |value: &Value, json: &str| match subject.entry_name() {
        None => *value == Value::from_json(field.kind(), json),
        Some(_) => part(value) == form_json(Some(&FormValue::from_json(json))),
    };
    let (row, theirs) = (ours(dirty, field)?, last_known(dirty, field)?.unwrap_or_default());
    if past.is_edited_since || !is(row, result) || !(is(&theirs, result) || is(&theirs, &past.remote)) {
        let problem = format!(
            "was edited or pulled since it was decided: here {}, in the store {}: edit it instead",
            part(row),
            part(&theirs)
        );
        return Err(refuse(dirty, subject, problem));
    }
    let json = if past.is_remote { &past.local } else { &past.remote };
    let other = noted(dirty, subject, json)?;
    let value = match subject.entry_name() {
        None => other,
        Some(name) => {
            let mut ours = entries(row).unwrap_or_default();
            put(&mut ours, name, (json != "null").then(|| FormValue::from_json(json)));
            Value::Forms(ours)
        }
    };
    let mut plan = CustomerPlan::nothing(dirty.id);
    plan.conflicts.push(ConflictPlan::Close { id: past.id, resolution: "undone" });
    if subject.entry_name().is_none() {
        settle(&mut plan, &dirty.ops_of(field).collect::<Vec<_>>(), Outcome::Superseded);
    }
    plan.columns.push((field, value.clone()));
    plan.decided = Some(Decided { field, value: Verdict::Set(value), was: row.clone() });
    Ok(plan)
}
