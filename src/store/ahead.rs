//! Customers whose snapshot stayed behind: their edits came to an end, but something of the app's refused what the store answered, and
//! only what became of the edits was written (see `held_up`).
//!
//! What both sides have since stands neither in the snapshot nor in an entry that waits. So it is noted beside the snapshot, with the
//! time that the store gave it, and goes on top wherever a customer is read: it is what a reading is held against, and what an edit
//! made meanwhile stands on. Held against the snapshot itself, a store that was set back to what it had before would bring no news,
//! and what has landed would be an edit past our triggers: a payment would leave once more.
//!
//! A note holds for as long as the snapshot is what it was then, also where the customer is let go by a reading that lags, and goes with
//! the first one that is believed.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{Failed, dirty, state};
use crate::flow::{CustomerPlan, Dirty, Lately, Moment, SnapshotPlan, hash};
use crate::resource::{BadRecord, FieldId, Record, Resource, RowId, Value};

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
    /// Attributes of which an edit came to its end, and the time: whatever the working copy has of them, it is no edit past our triggers.
    fields: BTreeSet<String>,
    /// What both sides have of those, as JSON, and of when that is.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// What was otherwise a moment before that.
    #[serde(default)]
    lately: Lately,
}

/// What is known of a customer.
pub(super) struct Known {
    pub(super) record: Record,
    /// What of that was otherwise a moment ago.
    pub(super) lately: Lately,
    /// The snapshot stayed behind it.
    pub(super) is_behind: bool,
}

impl Known {
    /// A snapshot, with what is `noted` beside it.
    pub(super) fn of(snapshot: Record, lately: Lately, noted: Option<String>) -> Known {
        let noted = noted.and_then(|json| read(&json)).filter(|one| one.is_of(&snapshot));
        let ahead = noted.and_then(|one| Some((one.on_top_of(&snapshot).ok()?, one.lately)));
        match ahead {
            Some((record, lately)) => Known { record, lately, is_behind: true },
            None => Known { record: snapshot, lately, is_behind: false },
        }
    }
}

/// Of this plan, what became of the edits is written, and nothing else.
pub(super) fn note(
    connection: &Connection,
    dirty: &Dirty,
    plan: &CustomerPlan,
    now: Moment,
) -> Result<(), Failed> {
    let (Some(known), Some(snapshot)) = (&dirty.base, dirty::load_snapshot(connection, dirty.id)?) else {
        return Ok(());
    };
    let ended = plan.settle.iter().filter(|settlement| settlement.outcome.is_some());
    let fields: BTreeSet<FieldId> =
        ended.filter_map(|settlement| Some(dirty.op(settlement.seq)?.field)).collect();
    if fields.is_empty() {
        return Ok(());
    }
    let before = noted(connection, dirty.id)?.filter(|one| one.is_of(&snapshot));
    let mut one = before.unwrap_or_else(|| Ahead {
        snapshot: hash(snapshot.body()),
        fields: BTreeSet::new(),
        values: BTreeMap::new(),
        lately: Lately::default(),
    });
    for field in fields {
        one.fields.insert(field.name().to_owned());
        if let Some(value) = plan.agreed(field)? {
            one.values.insert(field.name().to_owned(), value.to_json());
        }
    }
    if let (SnapshotPlan::Put(told), Some(changed_at)) = (&plan.snapshot, dirty.resource().changed_at()) {
        let modified = told.attributes()?.get(changed_at);
        one.fields.insert(changed_at.name().to_owned());
        one.values.insert(changed_at.name().to_owned(), modified.to_json());
    }
    let after = one.on_top_of(&snapshot)?;
    let is_own = |field| plan.landed.contains_key(&field);
    one.lately = dirty.lately.clone().changed(&known.attributes()?, &after.attributes()?, now, is_own);
    state::write(connection, &key(dirty.id), Some(&serde_json::to_string(&one).unwrap_or_default()))?;
    forget_some(connection, dirty.id)
}

/// The snapshot of this one is as new as anything.
pub(super) fn forget(connection: &Connection, dirty: &Dirty) -> rusqlite::Result<()> {
    if dirty.is_behind { state::write(connection, &key(dirty.id), None) } else { Ok(()) }
}

/// The attributes of this one that are ahead of its snapshot.
pub(super) fn of(connection: &Connection, dirty: &Dirty) -> rusqlite::Result<BTreeSet<FieldId>> {
    let noted = if dirty.is_behind { noted(connection, dirty.id)? } else { None };
    let fields = noted.into_iter().flat_map(|one| one.fields);
    Ok(fields.filter_map(|field| dirty.resource().field(&field)).collect())
}

impl Ahead {
    fn is_of(&self, snapshot: &Record) -> bool {
        hash(snapshot.body()) == self.snapshot
    }

    fn on_top_of(&self, snapshot: &Record) -> Result<Record, BadRecord> {
        let mut record = snapshot.clone();
        for (name, json) in &self.values {
            let Some(field) = snapshot.resource().field(name) else { continue };
            record = record.with(field, &Value::from_json(field.kind(), json))?;
        }
        Ok(record)
    }
}

pub(super) fn key(row: RowId) -> String {
    format!("{AHEAD}{}", row.code())
}

/// The same in SQL, of a row of the resource's snapshots.
pub(super) fn key_of(resource: &Resource) -> String {
    let (name, customer, row) = (resource.name, resource.whose(), resource.row());
    match resource.is_of_customers() {
        true => format!("'{AHEAD}' || {row}"),
        false => format!("'{AHEAD}{name}.' || {customer} || '.' || {row}"),
    }
}

fn read(json: &str) -> Option<Ahead> {
    serde_json::from_str(json).ok()
}

fn noted(connection: &Connection, id: RowId) -> rusqlite::Result<Option<Ahead>> {
    let json: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([key(id)], |row| row.get(0))
        .optional()?;
    Ok(json.and_then(|json| read(&json)))
}

/// The next ones behind this, round and round: of whose snapshot they are not any more, or who is gone.
fn forget_some(connection: &Connection, id: RowId) -> Result<(), Failed> {
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
        let Some(id) = key.strip_prefix(AHEAD).and_then(RowId::coded) else { continue };
        let base = dirty::load_snapshot(connection, id)?;
        let is_behind = noted(connection, id)?.is_some_and(|one| base.is_some_and(|base| one.is_of(&base)));
        if !is_behind {
            state::write(connection, &key, None)?;
        }
    }
    Ok(())
}
