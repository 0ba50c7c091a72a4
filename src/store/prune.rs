//! The file does not grow for ever: what settled long ago goes, and what is personal of a customer that is gone.
//!
//! How old a row is, its own time does not prove: the till's clock may have been years off when it settled, or be so now. So a sync
//! notes now and then which row is the newest, by the store's clock, and removes only what was there by then: see
//! [`Store::there_before`].
//!
//! A sync removes a little of what is past its retention, in small parts between which others write; `prune` removes all of it. What
//! waits, in whatever way, is never removed. What was removed is overwritten (`secure_delete`), and the log is emptied of what was
//! forgotten as it is of passwords.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Params, params};

use super::log::WIPE_DUE;
use super::polite::LONG;
use super::{Failed, Store, row};
use crate::clock::stamp;
use crate::customer::{CustomerId, EditError, EditSeq};
use crate::error::{Error, Failure, Result};

/// Rows that are removed in one transaction, at most.
const AT_ONCE: usize = 100;

/// The key of `state` under which it is noted which row was the newest when.
const NEWEST_ROWS: &str = "newest_rows";
/// It is noted so many times within the retention.
const NOTES: i32 = 40;

const OLD_EDITS: &str = "SELECT seq FROM journal INDEXED BY journal_settled_at
     WHERE settled_at < ?1 AND seq <= ?3 LIMIT ?2";
const OLD_CONFLICTS: &str = "SELECT id FROM conflict INDEXED BY conflict_resolved_at
     WHERE resolved_at < ?1 AND coalesce(seq, 0) <= ?3 LIMIT ?2";
const EDITS_OF: &str = "SELECT seq FROM journal INDEXED BY journal_settled
     WHERE customer_id = ?1 AND settled_at IS NOT NULL LIMIT ?2";
const CONFLICTS_OF: &str = "SELECT id FROM conflict INDEXED BY conflict_decided
     WHERE customer_id = ?1 AND resolution IS NOT NULL LIMIT ?2";

impl Store {
    /// Removes what settled before that time: rows of the journal, and conflicts that were decided. In small parts, so that
    /// edits and syncs go on meanwhile. Returns how many rows those were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn prune(&mut self, before: DateTime<Utc>) -> Result<u64> {
        self.prune_some(before, EditSeq(i64::MAX), usize::MAX)
    }

    /// The newest row that was there so long ago, by the store's clock, which says that it is `now`; none: that is not known yet.
    pub(crate) fn there_before(
        &mut self,
        now: DateTime<Utc>,
        retention: TimeDelta,
    ) -> Result<Option<EditSeq>> {
        let noted: Option<Vec<(DateTime<Utc>, EditSeq)>> =
            self.state(NEWEST_ROWS)?.and_then(|json| serde_json::from_str(&json).ok());
        let mut noted = noted.unwrap_or_default();
        let is_due = noted.last().is_none_or(|(at, _)| now - *at >= retention / NOTES);
        let old = noted.iter().rposition(|(at, _)| now - *at >= retention);
        let there = old.map(|place| noted[place].1);
        if is_due {
            noted.drain(..old.unwrap_or(0));
            noted.push((now, self.newest_edit()?));
            self.note_facts(&[(NEWEST_ROWS, serde_json::to_string(&noted).unwrap_or_default())])?;
        }
        Ok(there)
    }

    /// The same of the rows up to one, in at most so many parts: a sync goes on with it next time.
    pub(crate) fn prune_some(&mut self, before: DateTime<Utc>, up_to: EditSeq, parts: usize) -> Result<u64> {
        let (before, mut removed) = (stamp(before), 0);
        for _ in 0..parts {
            if !self.has_old(&before, up_to)? {
                break;
            }
            removed += self.engine_note(|transaction| {
                let began = Instant::now();
                let edits = ids(transaction, OLD_EDITS, params![before, AT_ONCE, up_to.0])?;
                let removed = remove(transaction, &edits, began, remove_edit)?;
                if removed < AT_ONCE as u64 {
                    let conflicts = ids(transaction, OLD_CONFLICTS, params![before, AT_ONCE, up_to.0])?;
                    return Ok(removed + remove(transaction, &conflicts, began, remove_conflict)?);
                }
                Ok(removed)
            })?;
            self.others_write()?;
            self.make_room();
        }
        Ok(removed)
    }

    /// Looked for without the right to write: at most syncs there is nothing.
    fn has_old(&self, before: &str, up_to: EditSeq) -> Result<bool> {
        self.engine_read(|transaction| {
            let is_any = |sql| transaction.prepare_cached(sql)?.exists(params![before, 1, up_to.0]);
            Ok(is_any(OLD_EDITS)? || is_any(OLD_CONFLICTS)?)
        })
    }

    /// Removes everything that the file holds of a customer that is gone from the store: its edits, its conflicts, and what is
    /// left of it besides; from the log too, as soon as nobody reads it. Returns how many rows those were.
    ///
    /// # Errors
    /// When the customer is in the store, as far as this file knows, something of it waits, or nothing is known of it.
    pub fn forget(&mut self, id: impl Into<CustomerId>) -> Result<u64> {
        let id = id.into();
        let mut forgotten = 0;
        loop {
            let removed = self.engine_write(|transaction| {
                refuse_to_forget(transaction, id, forgotten)?;
                transaction
                    .prepare_cached("INSERT OR IGNORE INTO state (key, value) VALUES (?1, ?2)")?
                    .execute([WIPE_DUE, &stamp(Utc::now())])?;
                let began = Instant::now();
                let edits = ids(transaction, EDITS_OF, params![id.0, AT_ONCE])?;
                let mut removed = remove(transaction, &edits, began, remove_edit)?;
                if removed == edits.len() as u64 && edits.len() < AT_ONCE {
                    let conflicts = ids(transaction, CONFLICTS_OF, params![id.0, AT_ONCE])?;
                    removed += remove(transaction, &conflicts, began, remove_conflict)?;
                    if conflicts.len() < AT_ONCE {
                        removed += row::remove(transaction, "customer", id)? as u64;
                    }
                }
                Ok(removed)
            })?;
            self.make_room();
            forgotten += removed;
            if removed == 0 {
                break;
            }
        }
        self.wipe_log()?;
        Ok(forgotten)
    }
}

fn ids(connection: &Connection, sql: &str, of: impl Params) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(of, |row| row.get(0))?.collect()
}

/// Long values take longer: the rest waits for the next part.
fn remove(
    connection: &Connection,
    ids: &[i64],
    began: Instant,
    one: impl Fn(&Connection, i64) -> rusqlite::Result<()>,
) -> rusqlite::Result<u64> {
    let mut removed = 0;
    for id in ids {
        one(connection, *id)?;
        removed += 1;
        if began.elapsed() >= LONG {
            break;
        }
    }
    Ok(removed)
}

fn remove_edit(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE journal SET engine_mark = 2 WHERE seq = ?1")?.execute([seq])?;
    connection.prepare_cached("DELETE FROM journal WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

fn remove_conflict(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM conflict WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Nobody is forgotten who would come back with the next pull, or of whom anything is not done.
fn refuse_to_forget(connection: &Connection, id: CustomerId, forgotten: u64) -> Result<(), Failed> {
    let is_any = |sql: &str| connection.prepare_cached(sql)?.exists([id.0]);
    let refuse = |problem: &str| {
        let problem = problem.to_owned();
        Failed::from(Error::from(Failure::Undecidable(EditError {
            customer_id: id,
            field: "*".to_owned(),
            problem,
        })))
    };
    if is_any("SELECT 1 FROM snapshot WHERE id = ?1")? {
        return Err(refuse(
            "is in the store, as far as this file knows: delete it there, then pull --full, then forget",
        ));
    }
    let waits = is_any("SELECT 1 FROM journal WHERE customer_id = ?1 AND settled_at IS NULL")?
        || is_any(
            "SELECT 1 FROM conflict INDEXED BY conflict_open WHERE customer_id = ?1 AND resolution IS NULL",
        )?
        || is_any("SELECT 1 FROM batch_item WHERE customer_id = ?1")?
        || is_any("SELECT 1 FROM attempt WHERE customer_id = ?1")?
        || is_any("SELECT 1 FROM held_up WHERE customer_id = ?1")?;
    if waits {
        return Err(refuse("has edits that wait: sync, or discard them, then forget"));
    }
    let is_known = forgotten > 0
        || is_any("SELECT 1 FROM customer WHERE id = ?1")?
        || is_any(
            "SELECT 1 FROM conflict INDEXED BY conflict_decided WHERE customer_id = ?1 AND resolution IS NOT NULL",
        )?
        || is_any(
            "SELECT 1 FROM journal INDEXED BY journal_settled WHERE customer_id = ?1 AND settled_at IS NOT NULL",
        )?;
    if is_known { Ok(()) } else { Err(Error::from(Failure::UnknownCustomer(id)).into()) }
}
