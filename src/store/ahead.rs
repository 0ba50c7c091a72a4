//! Attributes whose edits came to their end, while the snapshot stayed behind: something of the app's refused what the store answered,
//! and only what became of the edits was written (see `held_up`).
//!
//! What such an attribute has here stands neither in the snapshot nor in an entry that waits, and yet it is no edit past our triggers:
//! journaled, a payment would leave once more. It is noted with what the snapshot was then, and holds for as long as it is that: also
//! where the customer is let go by a reading that brings nothing new.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{Failed, dirty, state};
use crate::customer::{CustomerId, FieldId, Record};
use crate::flow::{CustomerPlan, Dirty, hash};

/// Behind it the customer, each in a key of `state` of its own; so that however many there are, one more costs no more.
const AHEAD: &str = "snapshot_behind:";
/// What is behind all of those.
const BEHIND: &str = "snapshot_behind;";
/// With each that is noted so many others are looked at, and go where their snapshot has moved on.
const LOOKED_AT: usize = 3;

/// Of one customer.
#[derive(Debug, Serialize, Deserialize)]
struct Ahead {
    /// The snapshot, as a hash.
    snapshot: String,
    fields: BTreeSet<String>,
}

/// Of this plan, what became of the edits is written, and nothing else.
pub(super) fn note(connection: &Connection, dirty: &Dirty, plan: &CustomerPlan) -> Result<(), Failed> {
    let Some(base) = &dirty.base else { return Ok(()) };
    let ended = plan.settle.iter().filter(|settlement| settlement.outcome.is_some());
    let fields = ended.filter_map(|settlement| Some(dirty.op(settlement.seq)?.field.name().to_owned()));
    let fields: BTreeSet<String> = fields.collect();
    if fields.is_empty() {
        return Ok(());
    }
    let known = noted(connection, dirty.id)?.filter(|known| known.is_of(base));
    let mut one = known.unwrap_or_else(|| Ahead { snapshot: hash(base.body()), fields: BTreeSet::new() });
    one.fields.extend(fields);
    state::write(connection, &key(dirty.id), Some(&serde_json::to_string(&one).unwrap_or_default()))?;
    forget_some(connection, dirty.id)
}

/// The attributes of this one that are ahead of its snapshot.
pub(super) fn of(connection: &Connection, dirty: &Dirty) -> rusqlite::Result<BTreeSet<FieldId>> {
    let noted = noted(connection, dirty.id)?;
    let behind = noted.filter(|one| dirty.base.as_ref().is_some_and(|base| one.is_of(base)));
    Ok(behind.into_iter().flat_map(|one| one.fields).filter_map(|field| FieldId::named(&field)).collect())
}

impl Ahead {
    fn is_of(&self, base: &Record) -> bool {
        hash(base.body()) == self.snapshot
    }
}

fn key(id: CustomerId) -> String {
    format!("{AHEAD}{id}")
}

fn noted(connection: &Connection, id: CustomerId) -> rusqlite::Result<Option<Ahead>> {
    let json: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([key(id)], |row| row.get(0))
        .optional()?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
}

/// The next ones behind this, round and round: of whose snapshot they are not any more, or who is gone.
fn forget_some(connection: &Connection, id: CustomerId) -> Result<(), Failed> {
    let next = |after: &str| {
        let next = "SELECT key FROM state WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3";
        let mut next = connection.prepare_cached(next)?;
        let keys = next.query_map((after, BEHIND, LOOKED_AT), |row| row.get::<_, String>(0))?;
        keys.collect::<rusqlite::Result<Vec<_>>>()
    };
    let keys = match next(&key(id))? {
        none if none.is_empty() => next(AHEAD)?,
        keys => keys,
    };
    for key in keys {
        let Some(id) = key.strip_prefix(AHEAD).and_then(|id| id.parse().ok()).map(CustomerId) else {
            continue;
        };
        let base = dirty::load_snapshot(connection, id)?;
        let is_behind = noted(connection, id)?.is_some_and(|one| base.is_some_and(|base| one.is_of(&base)));
        if !is_behind {
            state::write(connection, &key, None)?;
        }
    }
    Ok(())
}
