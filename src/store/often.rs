//! What is edited over and over, and waits, stays within bounds.
//!
//! An edit keeps its value and the one before it whole as long as it waits, for it may be gone back to. Of a note of 40 kB to
//! which a till that is offline adds two thousand lines, that would be four thousand copies; and sixteen thousand edits of one
//! walk-in customer would be marked as on their way in one transaction, which nobody may hold for so long. So of the edits of
//! one attribute that wait, the first and the newest stay, and those between them are superseded, as they would be by the upload: they
//! are history, kept in brief like what has settled. The value loses nothing by that, for each edit stands on those before it;
//! only who gives up row by row goes back over all of those at once. See
//! `docs/decisions/0016-what-a-long-text-costs.md`.
//!
//! A sync does it before anything else, so also one that finds no network, in small parts; and again while it goes on, of whom has been
//! edited meanwhile: who waits for a place in a batch for minutes, and is edited all the time, would have as many again by then. Costs
//! follow what waits. Payments and form fields are not among it: each of those edits says something of its own.

use std::sync::LazyLock;
use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::apply::{settle, shorten};
use super::edit::newest_edit;
use super::polite::LONG;
use super::{Failed, Store, dirty, row};
use crate::error::Result;
use crate::flow::{Outcome, Settlement};
use crate::resource::{EditSeq, FieldId, Kind, RowId};

/// So many of the newest edits stay: a person who takes back the last ones takes back each.
const KEPT: usize = 16;
/// So many may wait of a short value.
const MANY: usize = 200;
/// What is edited while that is done is much less, unless somebody edits faster than it can be done.
const MOST_ROUNDS: usize = 4;
/// Characters of JSON up to which a value is short.
const SHORT: usize = 2_000;

impl Store {
    /// Supersedes what has been edited over and over, and waits.
    pub(crate) fn supersede_often(&mut self, now: DateTime<Utc>) -> Result<()> {
        let look = |connection: &Connection| Ok((newest_edit(connection)?, often_edited(connection, None)?));
        let (newest, often) = look(&self.connection).map_err(|e| self.error(e))?;
        self.superseded_through = newest;
        self.supersede_each(&often, now)
    }

    /// The same, while the sync goes on, of whoever was edited since. It costs nothing until that is much.
    pub(crate) fn supersede_meanwhile(&mut self, now: DateTime<Utc>) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            let through = self.superseded_through;
            let look = |connection: &Connection| match newest_edit(connection)? {
                newest if newest < through.saturating_add(MANY as i64) => Ok(None),
                newest => Ok(Some((newest, often_edited(connection, Some(through))?))),
            };
            let looked: rusqlite::Result<_> = look(&self.connection);
            let Some((newest, often)) = looked.map_err(|e| self.error(e))? else { break };
            self.superseded_through = newest;
            self.supersede_each(&often, now)?;
        }
        Ok(())
    }

    fn supersede_each(&mut self, often: &[(RowId, FieldId)], now: DateTime<Utc>) -> Result<()> {
        for &(id, field) in often {
            let between = between(&self.connection, id, field).map_err(|e| self.error(e))?;
            let mut rest = &between[..];
            while !rest.is_empty() {
                let done = self.supersede_some(id, rest, now)?;
                rest = &rest[done..];
                self.others_write()?;
                self.give_way();
            }
        }
        Ok(())
    }

    /// Returns with how many of them it is done; with all, where something of the app's keeps them as they are.
    fn supersede_some(&mut self, id: RowId, rest: &[EditSeq], now: DateTime<Utc>) -> Result<usize> {
        self.holding_up(|store, apart| {
            store.engine_note(|transaction| {
                let began = Instant::now();
                for (place, seq) in rest.iter().enumerate() {
                    if apart
                        .outcomes(transaction, id.customer, now, || supersede(transaction, *seq, now))?
                        .is_none()
                    {
                        break;
                    }
                    if began.elapsed() >= LONG {
                        return Ok(place + 1);
                    }
                }
                Ok(rest.len())
            })
        })
    }
}

/// Customers and attributes of which more edits wait than shall: of all, or of those that were edited since.
fn often_edited(connection: &Connection, since: Option<i64>) -> rusqlite::Result<Vec<(RowId, FieldId)>> {
    static OF_ALL: LazyLock<String> = LazyLock::new(|| often(""));
    static OF_SOME: LazyLock<String> = LazyLock::new(|| {
        often(
            "AND customer_id IN (SELECT customer_id FROM journal NOT INDEXED WHERE seq > ?2 AND settled_at IS NULL)",
        )
    });
    let mut statement = connection.prepare_cached(if since.is_none() { &OF_ALL } else { &OF_SOME })?;
    let mut found = match since {
        None => statement.query([KEPT])?,
        Some(since) => statement.query(params![KEPT, since])?,
    };
    let mut often = Vec::new();
    while let Some(row) = found.next()? {
        let (id, field): (_, String) = (dirty::row_id(row, 0)?, row.get(3)?);
        let (newest, count): (i64, usize) = (row.get(4)?, row.get(5)?);
        let is_long = "SELECT length(value) > ?2 FROM journal WHERE seq = ?1";
        let field = id.resource.field(&field).ok_or_else(|| dirty::malformed(1, std::fmt::Error))?;
        if count > MANY
            || connection.prepare_cached(is_long)?.query_row(params![newest, SHORT], |row| row.get(0))?
        {
            often.push((id, field));
        }
    }
    Ok(often)
}

fn often(whose: &str) -> String {
    let stands_on_the_last = |field: &FieldId| !matches!(field.kind(), Kind::Credit | Kind::Forms);
    let fields = row::names(|field| !field.is_secret() && stands_on_the_last(&field));
    format!(
        "SELECT customer_id, of_resource, of_row, field, max(seq), count(*) - count(outcome)
         FROM journal INDEXED BY tillsync_journal_unsettled
         WHERE settled_at IS NULL AND field IN ({fields}) {whose}
         GROUP BY customer_id, of_resource, of_row, field
         HAVING count(*) - count(outcome) > ?1 + 1"
    )
}

/// Those between the first and the newest, the oldest first; behind whatever is on its way, was refused or is held.
fn between(connection: &Connection, id: RowId, field: FieldId) -> rusqlite::Result<Vec<EditSeq>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, outcome IS NULL
         FROM journal INDEXED BY tillsync_journal_unsettled
         WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND field = ?4",
    )?;
    let (customer, of_resource, of_row) = dirty::whose(id);
    let all = statement.query_map(params![customer, of_resource, of_row, field.name()], |row| {
        Ok((EditSeq(row.get(0)?), row.get(1)?))
    })?;
    let mut all = all.collect::<rusqlite::Result<Vec<(EditSeq, bool)>>>()?;
    all.sort_unstable();
    let first = all.iter().rposition(|(_, is_pending)| !is_pending).map_or(0, |place| place + 1);
    let newest = all.len().saturating_sub(KEPT);
    Ok(all.get(first + 1..newest).into_iter().flatten().map(|(seq, _)| *seq).collect())
}

/// Unless something became of it meanwhile.
fn supersede(transaction: &Connection, seq: EditSeq, now: DateTime<Utc>) -> Result<(), Failed> {
    let edited: Option<(RowId, String)> = transaction
        .prepare_cached(
            "SELECT customer_id, of_resource, of_row, field FROM journal WHERE seq = ?1 AND settled_at IS NULL AND outcome IS NULL",
        )?
        .query_row([seq.0], |row| Ok((dirty::row_id(row, 0)?, row.get(3)?)))
        .optional()?;
    let Some(field) = edited.and_then(|(row, field)| row.resource.field(&field)) else { return Ok(()) };
    settle(transaction, &Settlement::new(seq, Outcome::Superseded), now)?;
    if field.is_unbounded() { shorten(transaction, seq, field) } else { Ok(()) }
}
