//! The answer to an update: what the server confirms becomes the snapshot, and the edits that it covers settle.

use super::merge::{Sent, merge, written_over};
use super::{CustomerPlan, Dirty, Policies};
use crate::customer::{BadRecord, Record, Value};

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
    let base = dirty.base.as_ref().map(Record::attributes).transpose()?;
    for (field, value) in sent.fields.iter().filter(|(field, _)| !told.has(*field)) {
        let before = base.as_ref().map_or(Value::Null, |base| base.get(*field));
        now = now.with(*field, &written_over(&before, value))?;
    }
    merge(dirty, &now, Some(sent), policies)
}
