//! Rows that the store does not have yet: what is sent of them, and what became of it.
//!
//! A creation is all that its row holds when it leaves; what was edited before is part of it, and settles with it. The store takes no key
//! that would make it happen once, so what no two rows share tells what became of it: a creation in doubt is looked for by that, and is
//! never sent again without such a look.
//!
//! ```text
//! answered with an id ──────────────────────────────────────────────────▶ landed
//! in doubt, refused ──look──▶ there, as it was sent, and made since ────▶ landed
//!                       ├───▶ there, and of before or another ──────────▶ exists: for a person to decide
//!                       └───▶ not there ────────────────────────────────▶ again, or refused
//! ```

use chrono::{DateTime, Utc};

use super::merge::{outcomes, written_over};
use super::money::balance;
use super::tidied::has_landed;
use super::{CustomerPlan, Dirty, Op, Outcome, Payload, SentRow, SnapshotPlan, is_outdated};
use crate::resource::{Attributes, BadRecord, FieldId, Kind, Record, ResourceId, RowId, Value};

/// All that is sent of a row that is not created yet.
pub fn creation(dirty: &Dirty) -> Payload {
    let told = |field: &FieldId| !dirty.row.get(*field).is_null();
    let fields = dirty.resource().editable_columns().filter(told);
    Payload {
        id: dirty.id,
        fields: fields.map(|field| (field, dirty.row.get(field).clone())).collect(),
        password: dirty.password.clone(),
        covers: dirty.ops.iter().map(|op| op.seq).collect(),
        ..Payload::default()
    }
}

/// What a row is looked for by, as it is held against that of another one; none: it has none.
pub fn identity(resource: ResourceId, attributes: &Attributes<'_>) -> Option<String> {
    match attributes.get(resource.unique()?) {
        Value::Text(text) => Some(folded_identity(&text)),
        _ => None,
    }
}

/// The same of what was sent.
pub fn sent_identity(row: &SentRow) -> Option<String> {
    let unique = row.id.resource.unique()?;
    match row.fields.iter().find(|(field, ..)| *field == unique) {
        Some((_, _, Value::Text(text))) => Some(folded_identity(text)),
        _ => None,
    }
}

/// What no two have, whatever its case and the blanks around it.
pub fn folded_identity(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Whether the store has made a row that was found since then.
pub fn was_made_since(found: &Attributes<'_>, since: DateTime<Utc>) -> bool {
    let created = found.resource().created_at().and_then(|field| found.get(field).date());
    created.is_some_and(|created| created >= since)
}

/// Whether a row that was found has all that was sent.
pub fn is_as_sent(fields: &[(FieldId, Value)], found: &Attributes<'_>) -> bool {
    fields.iter().all(|(field, sent)| {
        !found.tells(*field) || has_landed(*field, &Value::Null, sent, &found.get(*field))
    })
}

/// What is to be written of a row that the store has made: `dirty` bears its id by now, `entered` is what it was here before, `known` what the
/// file had under that id already, and `answer` what the store says of it.
///
/// # Errors
/// When a record is no row.
pub fn landed(
    dirty: &Dirty,
    entered: &Dirty,
    known: Option<&Dirty>,
    fields: &[(FieldId, Value)],
    answer: &Record,
) -> Result<CustomerPlan, BadRecord> {
    let now = with_what_was_sent(dirty, fields, answer)?;
    let told = now.attributes()?;
    let mut plan = CustomerPlan::nothing(dirty.id);
    for field in dirty.resource().fields() {
        let is_its_own = |op: &&Op| op.outcome == Some(Outcome::InFlight) && entered.op(op.seq).is_some();
        let (flying, later): (Vec<&Op>, Vec<&Op>) = dirty.ops_of(field).partition(is_its_own);
        plan.settle.extend(outcomes(&flying, Outcome::Uploaded));
        // Under which id it was edited last.
        let newest = later.last().map(|op| op.seq);
        let is_of_known = |known: &&Dirty| newest.is_some_and(|seq| known.op(seq).is_some());
        let typed = &known.filter(is_of_known).unwrap_or(entered).row;
        let value = match field {
            field if field.is_secret() => continue,
            _ if later.is_empty() => told.get(field),
            // Payments that were made since go on top.
            field if field.is_money() => {
                let counted = later.into_iter().filter(|op| op.is_counted());
                balance(&told.get(field), counted).unwrap_or_else(|| typed.get(field).clone())
            }
            field => typed.get(field).clone(),
        };
        if *dirty.row.get(field) != value {
            plan.columns.push((field, value));
        }
    }
    plan.snapshot = SnapshotPlan::Put(now);
    Ok(plan)
}

/// What the answer leaves out of what was sent stands, and what was known of the row where that is newer. A text that was not sent is empty,
/// where nothing is told of it: what is edited before the next reading changes that, and nothing else.
fn with_what_was_sent(
    dirty: &Dirty,
    fields: &[(FieldId, Value)],
    answer: &Record,
) -> Result<Record, BadRecord> {
    if let Some(known) = &dirty.base
        && is_outdated(&known.attributes()?, &answer.attributes()?, None)
    {
        return Ok(known.clone());
    }
    let mut now = match &dirty.base {
        Some(known) => known.overlaid(answer)?,
        None => answer.clone(),
    };
    for (field, value) in fields {
        if !now.attributes()?.tells(*field) {
            now = now.with(*field, &written_over(&Value::Null, value))?;
        }
    }
    for field in dirty.resource().editable_columns().filter(|field| field.kind() == Kind::Text) {
        if !now.attributes()?.has(field) {
            now = now.with(field, &Value::Text(String::new()))?;
        }
    }
    Ok(now)
}

/// The row of a customer that the store has made.
pub fn made(row: RowId, told: &Attributes<'_>) -> RowId {
    RowId { resource: row.resource, ..told.row() }
}
