//! When somebody whom the store does not have yet was sent there for the first time, and whether that try or a later one was lost.
//!
//! A try may land long after a later look found nobody: what is there and was made since the first of them may be ours, whichever it was. The
//! time is the store's as it was known then, so that a clock that is set meanwhile changes nothing. What was sent last is kept beside it: under
//! another address it does not leave before it was looked for under that one once more. All of it goes when it is known who made the
//! customer that is there.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::state;
use crate::flow::Payload;
use crate::resource::{EditSeq, Record, RowId};

/// Before the row, a key of `state`.
const LEFT: &str = "left_first";
/// Before the row, under what the store told of it, where something of the app's does not let it follow.
const TOLD: &str = "made_as";

/// The tries so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Departures {
    /// When the first left, by the store's clock.
    pub(super) first: DateTime<Utc>,
    /// Of one of them nothing was heard but that nobody was there.
    pub(super) was_lost: bool,
    /// JSON: what left last; none: a later look has shown that it did not land.
    pub(super) sent: Option<String>,
    /// The edits that were part of it.
    pub(super) up_to: EditSeq,
}

fn key(row: RowId) -> String {
    format!("{LEFT}:{}", row.code())
}

/// It leaves, for the first time or once more.
pub(super) fn note(connection: &Connection, payload: &Payload, left: DateTime<Utc>) -> rusqlite::Result<()> {
    let (first, was_lost) =
        of(connection, payload.id)?.map_or((left, false), |so_far| (so_far.first, so_far.was_lost));
    let (sent, up_to) = (Some(payload.to_json_redacted()), payload.up_to());
    write(connection, payload.id, &Departures { first, was_lost, sent, up_to })
}

/// It was looked for once more, and is not there.
pub(super) fn note_looked(connection: &Connection, row: RowId) -> rusqlite::Result<()> {
    match of(connection, row)? {
        Some(so_far) => write(connection, row, &Departures { sent: None, ..so_far }),
        None => Ok(()),
    }
}

/// What became of a try is not known, and a look found nobody.
pub(super) fn note_lost(connection: &Connection, row: RowId) -> rusqlite::Result<()> {
    match of(connection, row)? {
        Some(so_far) => write(connection, row, &Departures { was_lost: true, ..so_far }),
        None => Ok(()),
    }
}

fn write(connection: &Connection, row: RowId, departures: &Departures) -> rusqlite::Result<()> {
    state::write(connection, &key(row), serde_json::to_string(departures).ok().as_deref())
}

/// Those of a row; none: it never left, or whoever was found was there before.
pub(super) fn of(connection: &Connection, row: RowId) -> rusqlite::Result<Option<Departures>> {
    let noted: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([key(row)], |found| found.get(0))
        .optional()?;
    Ok(noted.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The store has made it, and who it is stays known until its id can follow, whatever anybody changes of it meanwhile.
pub(super) fn note_told(connection: &Connection, row: RowId, told: &Record) -> rusqlite::Result<()> {
    let told = Record::without_secrets(told.body());
    state::write(connection, &format!("{TOLD}:{}", row.code()), Some(&told))
}

/// As what the store has made it; none: it is not known.
pub(super) fn told(connection: &Connection, row: RowId) -> rusqlite::Result<Option<Record>> {
    let told: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([format!("{TOLD}:{}", row.code())], |found| found.get(0))
        .optional()?;
    Ok(told.map(|body| Record::of(row.resource, body)))
}

/// Nothing of it can be there any more that is not known.
pub(super) fn forget(connection: &Connection, row: RowId) -> rusqlite::Result<()> {
    state::write(connection, &format!("{TOLD}:{}", row.code()), None)?;
    state::write(connection, &key(row), None)
}
