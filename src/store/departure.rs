//! When somebody whom the store does not have yet was sent there for the first time, and whether that try or a later one was lost.
//!
//! A try may land long after a later look found nobody: what is there and was made since the first of them may be ours, whichever it was. The
//! time is the store's as it was known then, so that a clock that is set meanwhile changes nothing. It is kept until it is known who made
//! the customer that is there.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::state;
use crate::resource::{Record, RowId};

/// Before the row, a key of `state`.
const LEFT: &str = "left_first";
/// Before the row, under what the store told of it, where something of the app's does not let it follow.
const TOLD: &str = "made_as";

/// The tries so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Departures {
    /// When the first left, by the store's clock.
    pub(super) first: DateTime<Utc>,
    /// Of one of them nothing was heard but that nobody was there.
    pub(super) was_lost: bool,
}

fn key(row: RowId) -> String {
    format!("{LEFT}:{}", row.code())
}

/// It leaves, for the first time or once more.
pub(super) fn note(connection: &Connection, row: RowId, left: DateTime<Utc>) -> rusqlite::Result<()> {
    match of(connection, row)? {
        Some(_) => Ok(()),
        None => write(connection, row, Departures { first: left, was_lost: false }),
    }
}

/// What became of a try is not known, and a look found nobody.
pub(super) fn note_lost(connection: &Connection, row: RowId) -> rusqlite::Result<()> {
    let so_far = of(connection, row)?;
    so_far.map_or(Ok(()), |so_far| write(connection, row, Departures { was_lost: true, ..so_far }))
}

fn write(connection: &Connection, row: RowId, departures: Departures) -> rusqlite::Result<()> {
    state::write(connection, &key(row), serde_json::to_string(&departures).ok().as_deref())
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
