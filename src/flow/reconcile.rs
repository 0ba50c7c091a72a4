//! The answer to an update: what the server confirms becomes the snapshot, and the edits that it covers settle.

use super::merge::{Sent, merge, written_over};
use super::{CustomerPlan, Dirty, Policies, is_outdated};
use crate::customer::{Attributes, BadRecord, FieldId, Record, Value, first_credit};

/// Decides what becomes of a customer whose update was accepted with the record `answer`.
///
/// The answer need not hold every attribute: for those that it lacks, what was sent and accepted stands, else what
/// the snapshot had. Attributes that were not sent and differ from the snapshot are remote changes, merged at once.
///
/// # Errors
/// When a record is no customer.
pub fn reconcile(
    dirty: &Dirty,
    sent: &Sent,
    answer: &Record,
    policies: &Policies,
) -> Result<CustomerPlan, BadRecord> {
    let mut now = match &dirty.base {
        Some(base) => base.overlaid(answer)?,
        None => answer.clone(),
    };
    let told = answer.attributes()?;
    let known = dirty.base.as_ref().map(Record::attributes).transpose()?;
    if known.is_some_and(|known| is_outdated(&known, &told, None)) {
        return merge(dirty, &accepted_only(dirty, sent, &told)?, Some(sent), policies);
    }
    let base = dirty.base.as_ref().map(Record::attributes).transpose()?;
    let before = |field| base.as_ref().map_or(Value::Null, |base| base.get(field));
    let is_zero = |value: &Value| first_credit(value).is_zero();
    let lacks = |field: &FieldId| {
        let hides = base.as_ref().is_some_and(|base| told.hides(*field, base));
        !told.tells(*field) || (hides && !sent.value(*field).is_some_and(is_zero))
    };
    for field in FieldId::columns().filter(lacks) {
        if let Some((_, value)) = sent.fields.iter().find(|(sent, _)| *sent == field) {
            now = now.with(field, &written_over(&before(field), value))?;
        } else if told.has(field) && base.as_ref().is_some_and(|base| base.knows(field)) {
            now = now.keeping(field, &before(field))?;
        }
    }
    if !told.has(FieldId::DATE_MODIFIED) && base.is_some_and(|base| base.has(FieldId::DATE_MODIFIED)) {
        // It was changed just now, and when that was by the server's clock comes with the next pull. What is sent until then
        // must not be taken for changed by somebody else.
        now = now.with(FieldId::DATE_MODIFIED, &Value::Null)?;
    }
    merge(dirty, &now, Some(sent), policies)
}

/// An answer that is older than what is known tells what became of the attributes that were sent, and no news of any other.
fn accepted_only(dirty: &Dirty, sent: &Sent, told: &Attributes<'_>) -> Result<Record, BadRecord> {
    let Some(mut now) = dirty.base.clone() else { return Ok(Record::new("{}")) };
    for (field, value) in &sent.fields {
        let before = now.attributes()?.get(*field);
        let is_told = told.tells(*field);
        let value = if is_told { told.get(*field) } else { written_over(&before, value) };
        now = now.with(*field, &value)?;
    }
    Ok(now)
}
