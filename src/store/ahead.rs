//! Attributes whose edits came to their end, while the snapshot stayed behind: something of the app's refused what the store answered,
//! and only what became of the edits was written (see `held_up`).
//!
//! What such an attribute has here stands neither in the snapshot nor in an entry that waits, and yet it is no edit past our triggers:
//! journaled, a payment would leave once more. It is noted with what the snapshot was then, and holds for as long as it is that: also
//! where the customer is let go by a reading that brings nothing new.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{Failed, dirty, state};
use crate::customer::{CustomerId, FieldId, Record};
use crate::flow::{CustomerPlan, Dirty, hash};

/// The key of `state` under which they stand.
const AHEAD: &str = "snapshots_behind";

/// Of one customer.
#[derive(Debug, Serialize, Deserialize)]
struct Ahead {
    /// The snapshot, as a hash.
    snapshot: String,
    fields: BTreeSet<String>,
}

/// Of this plan, what became of the edits is written, and nothing else.
pub(super) fn note(connection: &Connection, dirty: &Dirty, plan: &CustomerPlan) -> Result<(), Failed> {
    let Some(snapshot) = dirty.base.as_ref().map(|base| hash(base.body())) else { return Ok(()) };
    let ended = plan.settle.iter().filter(|settlement| settlement.outcome.is_some());
    let fields = ended.filter_map(|settlement| Some(dirty.op(settlement.seq)?.field.name().to_owned()));
    let fields: BTreeSet<String> = fields.collect();
    if fields.is_empty() {
        return Ok(());
    }
    let mut still = BTreeMap::new();
    for (id, one) in noted(connection)? {
        let known = dirty::load_snapshot(connection, CustomerId(id))?;
        if known.is_some_and(|known| hash(known.body()) == one.snapshot) {
            still.insert(id, one);
        }
    }
    let one = still.entry(dirty.id.0).or_insert(Ahead { snapshot, fields: BTreeSet::new() });
    one.fields.extend(fields);
    Ok(state::write(connection, AHEAD, Some(&serde_json::to_string(&still).unwrap_or_default()))?)
}

/// The attributes of this one that are ahead of its snapshot.
pub(super) fn of(connection: &Connection, dirty: &Dirty) -> rusqlite::Result<BTreeSet<FieldId>> {
    let Some(one) = noted(connection)?.remove(&dirty.id.0) else { return Ok(BTreeSet::new()) };
    let is_behind = |base: &Record| hash(base.body()) == one.snapshot;
    match dirty.base.as_ref().is_some_and(is_behind) {
        true => Ok(one.fields.iter().filter_map(|field| FieldId::named(field)).collect()),
        false => Ok(BTreeSet::new()),
    }
}

fn noted(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, Ahead>> {
    let json: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([AHEAD], |row| row.get(0))
        .optional()?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
}
