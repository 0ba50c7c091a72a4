//! The file does not grow for ever: what settled long ago goes, and what is personal of a customer that is gone.
//!
//! How old a row is, its own time does not prove: the till's clock may have been years off when it settled, or be so now. So a sync
//! notes now and then which rows are the newest, by the store's clock, and removes only what was there by then: see
//! [`Store::there_before`].
//!
//! A sync removes a little of what is past its retention, in small parts between which others write; `prune` removes all of it. What
//! waits, in whatever way, is never removed. What was removed is overwritten (`secure_delete`), and the log is emptied of what was
//! forgotten as it is of passwords.
//!
//! A trigger of the app's may not let a row go. Then the row stays as it was and is passed over: whoever asked for it to go gets an
//! error, and a sync notes what it met, for `doctor`, and goes on. `RAISE(ROLLBACK)` ends the whole part; that is done once more without
//! the row, unless it were too many.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Params, params};
use serde::{Deserialize, Serialize};

use super::apply::{WITH_IT, settle_without_customer};
use super::log::WIPE_DUE;
use super::polite::LONG;
use super::{Failed, Store, aside, attempt, held_up, schema, search, statements};
use crate::clock::stamp;
use crate::error::{Error, Failure, Result};
use crate::resource::{CustomerId, EditError, EditSeq};

/// Rows that are removed in one transaction, at most.
const AT_ONCE: usize = 100;

/// The key of `state` under which it is noted which row was the newest when.
const NEWEST_ROWS: &str = "newest_rows";
/// It is noted so many times within the retention.
const NOTES: i32 = 40;
/// The key of `state` under which stands what does not let go of rows that are past their retention.
const KEPT: &str = "history_kept";

const OLD_EDITS: &str = "SELECT seq FROM journal INDEXED BY tillsync_journal_settled_at
     WHERE settled_at < ?1 AND seq <= ?3
       AND NOT EXISTS (SELECT 1 FROM tillsync_attempt AS a
                       WHERE a.customer_id = journal.customer_id
                         AND (a.is_accepted = 0 OR a.of_resource IS NULL AND EXISTS (SELECT 1 FROM customer WHERE id = a.customer_id)))
     LIMIT ?2 OFFSET ?4";
const OLD_CONFLICTS: &str = "SELECT id FROM conflict INDEXED BY tillsync_conflict_resolved_at
     WHERE resolved_at < ?1 AND coalesce(seq, 0) <= ?3 LIMIT ?2 OFFSET ?4";
const OLD_DECISIONS: &str = "SELECT id FROM decision INDEXED BY tillsync_decision_decided_at
     WHERE decided_at < ?1 AND id <= ?3 LIMIT ?2 OFFSET ?4";
const EDITS_OF: &str = "SELECT seq FROM journal INDEXED BY tillsync_journal_settled
     WHERE customer_id = ?1 AND settled_at IS NOT NULL LIMIT ?2 OFFSET ?3";
const CONFLICTS_OF: &str = "SELECT id FROM conflict INDEXED BY tillsync_conflict_decided
     WHERE customer_id = ?1 AND resolution IS NOT NULL LIMIT ?2 OFFSET ?3";
/// Decisions by SQL, of whatever waited of a customer.
const DECISIONS_OF: &str = "SELECT id FROM decision
     WHERE CASE WHEN NOT json_valid(seen) THEN 0
                WHEN json_extract(seen, '$[0]') = 'conflict' THEN json_extract(seen, '$[1]') IN (
                    SELECT id FROM conflict INDEXED BY tillsync_conflict_decided WHERE customer_id = ?1 AND resolution IS NOT NULL)
                ELSE json_extract(seen, '$[1]') IN (
                    SELECT seq FROM journal INDEXED BY tillsync_journal_settled WHERE customer_id = ?1 AND settled_at IS NOT NULL)
           END";

const ROW_OF: &str = "SELECT 1 FROM customer WHERE id = ?1";

/// Something of the app's that does not let go what is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// SQLite's words, or those of the trigger.
    pub error: String,
    /// The trigger, where it can be told.
    pub cause: Option<String>,
}

/// The newest rows at some moment: those behind them came later, whatever their own time says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Newest {
    edit: EditSeq,
    /// Of `decision`, whose rows are counted by themselves.
    decision: i64,
}

/// Which rows were the newest when.
type Noted = Vec<(DateTime<Utc>, Newest)>;

/// Whatever is there.
const ALL: Newest = Newest { edit: EditSeq(i64::MAX), decision: i64::MAX };

/// So many rows may end a part each before the removal ends: every one of them undoes what the part had removed.
const MOST_TORN: usize = 100;

/// A row that is to be removed, by its table.
type Doomed = (&'static str, i64);

/// Rows of which a trigger of the app's ended the transaction, and what it said: they are not tried again.
#[derive(Default)]
struct Torn {
    passed_over: BTreeSet<Doomed>,
    words: Option<String>,
    /// The row that is tried.
    tried: Cell<Option<Doomed>>,
}

/// How far a removal has come.
#[derive(Default)]
pub(crate) struct Pruned {
    pub(crate) removed: u64,
    torn: Torn,
    /// Rows that something of the app's keeps: they are passed over from then on.
    edits_kept: usize,
    conflicts_kept: usize,
    decisions_kept: usize,
    pub(crate) kept: Option<Kept>,
}

/// What became of a part of it.
#[derive(Default)]
struct Part {
    looked_at: usize,
    removed: u64,
    kept: usize,
    words: Option<String>,
}

impl Store {
    /// Removes what settled before that time: rows of the journal, and conflicts that were decided. In small parts, so that
    /// edits and syncs go on meanwhile. What a sync has seen to come later stays, whatever the till's clock said when it settled.
    /// Returns how many rows those were.
    ///
    /// # Errors
    /// When the file cannot be written; when something of the app's keeps rows: all others are removed.
    pub fn prune(&mut self, before: DateTime<Utc>) -> Result<u64> {
        let up_to = self.not_seen_to_come_after(before)?;
        let pruned = self.prune_some(before, up_to, usize::MAX)?;
        self.unless_kept(pruned)
    }

    /// What of the app's keeps rows that are past their retention, as the last sync that met it has noted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn history_kept(&self) -> Result<Option<Kept>> {
        Ok(self.state(KEPT)?.and_then(|json| serde_json::from_str(&json).ok()))
    }

    fn unless_kept(&self, pruned: Pruned) -> Result<u64> {
        let Pruned { removed, kept, edits_kept, conflicts_kept, decisions_kept, .. } = pruned;
        let Some(Kept { error, cause }) = kept else { return Ok(removed) };
        let rows = (edits_kept + conflicts_kept + decisions_kept).max(1);
        Err(Failure::Kept { path: self.path.clone(), removed, rows, cause, error }.into())
    }

    fn note_kept(&mut self, kept: Option<&Kept>) -> Result<()> {
        if self.history_kept()?.as_ref() == kept {
            return Ok(());
        }
        let json = kept.map(|kept| serde_json::to_string(kept).unwrap_or_default());
        self.set_state(KEPT, json.as_deref())
    }

    /// The newest rows that were there so long ago, by the store's clock, which says that it is `now`; none: that is not known yet.
    pub(crate) fn there_before(
        &mut self,
        now: DateTime<Utc>,
        retention: TimeDelta,
    ) -> Result<Option<Newest>> {
        let newest = self.newest_rows()?;
        let (mut noted, is_anew) = self.noted_rows(newest)?;
        let apart = retention / NOTES;
        // Of a clock that was ahead: nothing would be noted until then. By a hair it is one that tells whole seconds.
        while noted.pop_if(|(at, _)| *at - now >= apart).is_some() {}
        let is_due = is_anew || noted.last().is_none_or(|(at, _)| now - *at >= apart);
        let old = noted.iter().rposition(|(at, _)| now - *at >= retention);
        let there = old.map(|place| noted[place].1);
        if is_due {
            noted.drain(..old.unwrap_or(0));
            noted.push((now, newest));
            self.note_facts(&[(NEWEST_ROWS, serde_json::to_string(&noted).unwrap_or_default())])?;
        }
        Ok(there)
    }

    /// Which rows were the newest when, and whether decisions are counted anew since.
    fn noted_rows(&self, newest: Newest) -> Result<(Noted, bool)> {
        let json = self.state(NEWEST_ROWS)?;
        let mut noted: Noted = json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        // Where all decisions are gone, their ids begin anew.
        let is_anew = noted.last().is_some_and(|(_, noted)| newest.decision < noted.decision);
        if is_anew {
            noted.iter_mut().for_each(|(_, noted)| noted.decision = 0);
        }
        Ok((noted, is_anew))
    }

    /// All rows but those that came behind the newest of a note that is younger than `before`. The till's clock may be off now, or
    /// may have been set since it was last held against the store's: what is younger by either stays.
    fn not_seen_to_come_after(&self, before: DateTime<Utc>) -> Result<Newest> {
        let by_the_stores = before.checked_add_signed(self.clock_offset()?).unwrap_or(before);
        // A clock that tells whole seconds, and the way of an answer, are nothing that came later.
        let before = before.min(by_the_stores) + TimeDelta::seconds(2);
        let (noted, _) = self.noted_rows(self.newest_rows()?)?;
        Ok(noted.into_iter().find(|(at, _)| *at > before).map_or(ALL, |(_, newest)| newest))
    }

    fn newest_rows(&self) -> Result<Newest> {
        let edit = self.newest_edit()?;
        self.read_at_once(|connection| {
            let newest = "SELECT coalesce(max(id), 0) FROM decision";
            let decision = connection.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
            Ok(Newest { edit, decision })
        })
    }

    /// The same of the rows up to these, in at most so many parts: a sync goes on with it next time.
    pub(crate) fn prune_some(
        &mut self,
        before: DateTime<Utc>,
        up_to: Newest,
        parts: usize,
    ) -> Result<Pruned> {
        let (before, mut pruned) = (stamp(before), Pruned::default());
        for _ in 0..parts {
            if !self.has_old(&before, up_to, &pruned)? {
                break;
            }
            let Pruned { removed, edits_kept, conflicts_kept, decisions_kept, .. } = pruned;
            let (torn, torn_before) = (&pruned.torn, pruned.torn.passed_over.len());
            let done = self.engine_note(|transaction| {
                let began = Instant::now();
                attempt::forget_unproven(transaction, &before, up_to.edit)?;
                let old = ids(transaction, OLD_EDITS, params![before, AT_ONCE, up_to.edit.0, edits_kept])?;
                let edits = remove(transaction, "journal", &old, began, torn, remove_edit)?;
                if edits.looked_at == AT_ONCE || edits.looked_at < old.len() {
                    return Ok([edits, Part::default(), Part::default()]);
                }
                let old =
                    ids(transaction, OLD_CONFLICTS, params![before, AT_ONCE, up_to.edit.0, conflicts_kept])?;
                let conflicts = remove(transaction, "conflict", &old, began, torn, remove_conflict)?;
                let old = params![before, AT_ONCE, up_to.decision, decisions_kept];
                let old = ids(transaction, OLD_DECISIONS, old)?;
                Ok([edits, conflicts, remove(transaction, "decision", &old, began, torn, remove_decision)?])
            });
            let goes_on = pruned.goes_on(&self.connection, done).map_err(|failed| failed.at(&self.path))?;
            // A sync does not look for what goes behind all that is kept.
            let is_stuck = pruned.removed == removed && pruned.torn.passed_over.len() == torn_before;
            if !goes_on || is_stuck && parts < usize::MAX {
                break;
            }
            self.others_write()?;
            self.give_way();
        }
        self.note_kept(pruned.kept.as_ref())?;
        Ok(pruned)
    }

    /// Looked for without the right to write: at most syncs there is nothing.
    fn has_old(&self, before: &str, up_to: Newest, pruned: &Pruned) -> Result<bool> {
        self.engine_read(|transaction| {
            let is_any = |sql, up_to: i64, kept: usize| {
                transaction.prepare_cached(sql)?.exists(params![before, 1, up_to, kept])
            };
            Ok(is_any(OLD_EDITS, up_to.edit.0, pruned.edits_kept)?
                || is_any(OLD_CONFLICTS, up_to.edit.0, pruned.conflicts_kept)?
                || is_any(OLD_DECISIONS, up_to.decision, pruned.decisions_kept)?)
        })
    }

    /// Removes everything that the file holds of a customer that is gone from the store: its edits, its conflicts, what was decided
    /// of them by SQL, and what is left of it besides; from the log too, as soon as nobody reads it. Returns how many rows those were.
    ///
    /// # Errors
    /// When the customer is in the store, as far as this file knows, something of it waits, or nothing is known of it; when
    /// something of the app's keeps rows of it: all others are removed.
    pub fn forget(&mut self, id: impl Into<CustomerId>) -> Result<u64> {
        let id = id.into();
        let (mut forgotten, mut decisions) = (Pruned::default(), self.decisions_of(id)?);
        loop {
            let Pruned { removed, edits_kept, conflicts_kept, .. } = forgotten;
            let torn = &forgotten.torn;
            let done = self.engine_write(|transaction| {
                refuse_to_forget(transaction, id, removed)?;
                transaction
                    .prepare_cached("INSERT OR IGNORE INTO state (key, value) VALUES (?1, ?2)")?
                    .execute([WIPE_DUE, &stamp(Utc::now())])?;
                let began = Instant::now();
                // First: later nobody knows whose they were.
                let some = &decisions[..decisions.len().min(AT_ONCE)];
                let decided = remove(transaction, "decision", some, began, torn, remove_decision)?;
                if decided.looked_at > 0 {
                    return Ok([Part::default(), Part::default(), decided]);
                }
                let of = ids(transaction, EDITS_OF, params![id.0, AT_ONCE, edits_kept])?;
                let edits = remove(transaction, "journal", &of, began, torn, remove_edit)?;
                let of = ids(transaction, CONFLICTS_OF, params![id.0, AT_ONCE, conflicts_kept])?;
                let mut others = remove(transaction, "conflict", &of, began, torn, remove_conflict)?;
                if edits.looked_at + others.looked_at == 0 {
                    // Nothing else is left, but for what is kept.
                    let is_there = transaction.prepare_cached(ROW_OF)?.exists([id.0])?;
                    let rows: &[i64] = if is_there { &[id.0] } else { &[] };
                    others = remove(transaction, "customer", rows, began, torn, |transaction, _| {
                        statements::remove(transaction, id.into())
                    })?;
                    search::forget(transaction, id)?;
                    attempt::forget(transaction, id)?;
                    for resource in schema::kept(transaction)? {
                        statements::remove_all_of(transaction, resource, id)?;
                    }
                    // It was the last, but for what a trigger edited of it.
                    others.looked_at =
                        settle_without_customer(transaction, id, WITH_IT, |_| true, Utc::now())?;
                }
                Ok([edits, others, Part::default()])
            });
            if let Ok([.., decided]) = &done {
                decisions.drain(..decided.looked_at);
            }
            let goes_on =
                forgotten.goes_on(&self.connection, done).map_err(|failed| failed.at(&self.path))?;
            self.others_write()?;
            self.give_way();
            if !goes_on {
                break;
            }
        }
        self.write_index_anew_now()?;
        self.wipe_log()?;
        self.unless_kept(forgotten)
    }

    /// Walks through all decisions, without the right to write.
    fn decisions_of(&self, id: CustomerId) -> Result<Vec<i64>> {
        self.read_at_once(|connection| Ok(ids(connection, DECISIONS_OF, [id.0])?))
    }
}

impl Pruned {
    /// Takes in what became of a part; whether there may be more.
    fn goes_on(
        &mut self,
        connection: &Connection,
        done: Result<[Part; 3]>,
    ) -> std::result::Result<bool, Failed> {
        let [edits, conflicts, decisions] = match done {
            Ok(parts) => parts,
            // That part is as it was, and is done once more without that row.
            Err(error) => match (error.torn_down(), self.torn.tried.take()) {
                (Some((_, words)), Some(row)) => {
                    self.torn.words = Some(words.to_owned());
                    if self.kept.is_none() {
                        let cause = held_up::cause(connection, words)?;
                        self.kept = Some(Kept { error: words.to_owned(), cause });
                    }
                    return Ok(self.torn.passed_over.insert(row) && self.torn.passed_over.len() <= MOST_TORN);
                }
                _ => return Err(error.into()),
            },
        };
        self.removed += edits.removed + conflicts.removed + decisions.removed;
        self.edits_kept += edits.kept;
        self.conflicts_kept += conflicts.kept;
        self.decisions_kept += decisions.kept;
        let looked_at = edits.looked_at + conflicts.looked_at + decisions.looked_at;
        if let (None, Some(words)) = (&self.kept, edits.words.or(conflicts.words).or(decisions.words)) {
            self.kept = Some(Kept { cause: held_up::cause(connection, &words)?, error: words });
        }
        Ok(looked_at > 0)
    }
}

fn ids(connection: &Connection, sql: &str, of: impl Params) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(of, |row| row.get(0))?.collect()
}

/// Long values take longer: the rest waits for the next part.
fn remove(
    connection: &Connection,
    table: &'static str,
    ids: &[i64],
    began: Instant,
    torn: &Torn,
    one: impl Fn(&Connection, i64) -> rusqlite::Result<usize>,
) -> Result<Part, Failed> {
    let mut part = Part::default();
    for id in ids {
        part.looked_at += 1;
        let row = (table, *id);
        if torn.passed_over.contains(&row) {
            part.kept += 1;
            part.words.clone_from(&torn.words);
            continue;
        }
        torn.tried.set(Some(row));
        match let_go(connection, || one(connection, *id))? {
            None => part.removed += 1,
            Some(words) => {
                part.kept += 1;
                part.words = Some(words);
            }
        }
        if began.elapsed() >= LONG {
            break;
        }
    }
    Ok(part)
}

/// Removes a row, or leaves it as it was, its mark too, where something of the app's keeps it: what that said.
fn let_go(
    connection: &Connection,
    remove: impl FnOnce() -> rusqlite::Result<usize>,
) -> Result<Option<String>, Failed> {
    connection.prepare_cached("SAVEPOINT let_go")?.execute([])?;
    let words = match remove() {
        Ok(0) => held_up::KEPT.to_owned(),
        Ok(_) => {
            connection.prepare_cached("RELEASE let_go")?.execute([])?;
            return Ok(None);
        }
        Err(error) if held_up::is_refusal(&error) => held_up::words(&error),
        Err(error) => return Err(error.into()),
    };
    if connection.is_autocommit() {
        return Err(Failed::TornDown { id: CustomerId(0), words });
    }
    connection.execute_batch("ROLLBACK TO let_go; RELEASE let_go")?;
    Ok(Some(words))
}

fn remove_edit(connection: &Connection, seq: i64) -> rusqlite::Result<usize> {
    connection.prepare_cached("UPDATE journal SET engine_mark = 2 WHERE seq = ?1")?.execute([seq])?;
    connection.prepare_cached("DELETE FROM journal WHERE seq = ?1")?.execute([seq])
}

fn remove_conflict(connection: &Connection, id: i64) -> rusqlite::Result<usize> {
    connection.prepare_cached("DELETE FROM conflict WHERE id = ?1")?.execute([id])
}

fn remove_decision(connection: &Connection, id: i64) -> rusqlite::Result<usize> {
    connection.prepare_cached("DELETE FROM decision WHERE id = ?1")?.execute([id])
}

/// Nobody is forgotten who would come back with the next pull, or of whom anything is not done.
fn refuse_to_forget(connection: &Connection, id: CustomerId, forgotten: u64) -> Result<(), Failed> {
    let is_any = |sql: &str| connection.prepare_cached(sql)?.exists([id.0]);
    let refuse = |problem: &str| {
        let problem = problem.to_owned();
        Failed::from(Error::from(Failure::Unforgettable(EditError {
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
            "SELECT 1 FROM conflict INDEXED BY tillsync_conflict_open WHERE customer_id = ?1 AND resolution IS NULL",
        )?
        || is_any("SELECT 1 FROM batch_item WHERE customer_id = ?1")?
        || is_any("SELECT 1 FROM tillsync_attempt WHERE customer_id = ?1 AND is_accepted = 0")?
        || is_any("SELECT 1 FROM tillsync_held_up WHERE customer_id = ?1")?;
    if waits {
        return Err(refuse("has edits that wait: sync, or discard them, then forget"));
    }
    if aside::is_any_of(connection, id)? {
        return Err(refuse(
            "has values of a second row that are set aside: doctor shows them; discard them, then forget",
        ));
    }
    let is_known = forgotten > 0
        || is_any(ROW_OF)?
        || is_any(
            "SELECT 1 FROM conflict INDEXED BY tillsync_conflict_decided WHERE customer_id = ?1 AND resolution IS NOT NULL",
        )?
        || is_any(
            "SELECT 1 FROM journal INDEXED BY tillsync_journal_settled WHERE customer_id = ?1 AND settled_at IS NOT NULL",
        )?;
    if is_known { Ok(()) } else { Err(Error::from(Failure::UnknownCustomer(id)).into()) }
}
