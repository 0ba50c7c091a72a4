//! Customers of whom something of the app's refuses what came from the store: a trigger that raises, or calls a function that
//! this SQLite lacks; a unique index; a foreign key, also one that SQLite would look at no sooner than at the commit.
//!
//! It holds up that customer and nobody else. Where the file has such triggers or indexes on our tables (else it costs
//! nothing), what the engine writes of a customer stands in a savepoint of its own. What is refused is taken back whole, so that
//! snapshot and working copy do not part, and the customer is noted in the table `tillsync_held_up`: it is not sent, for its snapshot may be
//! old, and each sync reads it again by id. A row that a trigger ignored is a refusal too. What the store said of an
//! update is written all the same: only the journal then, so that nothing is sent twice; where that is refused too, the
//! update stays in doubt.
//!
//! `RAISE(ROLLBACK)` ends the engine's whole transaction. It is done once more without that customer.
//!
//! A customer of whom a row cannot be read, for some program has changed it without our triggers, is held up in the same way: nothing of it
//! is read from the store, sent or written until somebody has put that right; an update of it that is on its way stays in doubt.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Error as SqlError, ErrorCode, named_params, params};
use serde::Serialize;

use super::steps::{Steps, UNENDING, WITHOUT_MEMORY, found_no_memory, went_too_far};
use super::{Failed, Store, life, schema, sound, state};
use crate::clock::stamp;
use crate::descriptors::has_broken_references;
use crate::error::{Failure, Result};
use crate::resource::{CustomerId, RowId};

/// Customers that are read again in one sync: ten calls.
const AGAIN_AT_ONCE: usize = 1_000;

/// Customers for which a trigger did not end, or took all memory, before a sync ends: each keeps everybody from writing for a second or
/// two; and where it is not the trigger that took the memory, it is the same with the next customer.
const MOST_UNENDING: usize = 5;

/// The key of `state` under which stands when a trigger last did not end, and as of which schema.
const TRIED: &str = "unending_tried";
/// When it is tried again although nothing of the schema has changed: what the trigger walks through may have.
const TRY_AGAIN: TimeDelta = TimeDelta::days(1);

/// A customer that something of the app's holds up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldUp {
    /// The customer.
    pub customer_id: CustomerId,
    /// Since when, by the till's clock.
    pub since: DateTime<Utc>,
    /// SQLite's words, or those of the trigger.
    pub error: String,
    /// The trigger, the index or the table, where it can be told.
    pub cause: Option<String>,
}

/// How customers are written: together, or each in a savepoint of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Apart {
    pub(super) is_needed: bool,
    /// Customers that ended a transaction of this sync, and how often.
    torn: BTreeMap<CustomerId, usize>,
    /// Customers of whom a row cannot be read.
    broken: BTreeSet<CustomerId>,
    /// What a trigger of the app's may go on for, with each customer anew.
    steps: Option<Steps>,
}

/// What of a customer is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    All,
    /// What became of its edits.
    Outcomes,
}

impl Store {
    /// Customers of whom something of the app's refuses what came from the store, the longest held up first. They are not sent, and
    /// each sync tries again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn held_up(&self) -> Result<Vec<HeldUp>> {
        self.read_at_once(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT customer_id, since, error, cause FROM tillsync_held_up ORDER BY since, customer_id",
            )?;
            let all = statement.query_map([], |row| {
                Ok(HeldUp {
                    customer_id: CustomerId(row.get(0)?),
                    since: super::attempt::moment(&row.get::<_, String>(1)?).unwrap_or_default(),
                    error: row.get(2)?,
                    cause: row.get(3)?,
                })
            })?;
            Ok(all.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Those that a sync reads again.
    pub(crate) fn held_up_again(&self) -> Result<Vec<RowId>> {
        self.read_at_once(|connection| {
            // Whoever is tried waits longest for the next turn. Whom the store calls otherwise yet is looked for as what is in doubt.
            let again = "SELECT customer_id, row FROM tillsync_held_up WHERE customer_id > 0 ORDER BY random() LIMIT ?1";
            let mut statement = connection.prepare_cached(again)?;
            let rows = statement.query_map([AGAIN_AT_ONCE], |found| {
                let (customer, row): (_, Option<String>) = (CustomerId(found.get(0)?), found.get(1)?);
                Ok(row.and_then(|code| RowId::coded(&code)).unwrap_or(customer.into()))
            })?;
            let mut rows = rows.collect::<rusqlite::Result<Vec<RowId>>>()?;
            rows.retain(|row| !self.broken.contains(&row.customer));
            Ok(rows)
        })
    }

    /// How customers are to be written now.
    pub(super) fn apart(&mut self) -> Result<Apart> {
        let version = self.schema_changes()?;
        if self.foreign.is_none_or(|(seen, _)| seen != version) {
            let has_any = schema::has_foreign(&self.connection).map_err(|e| self.error(e))?;
            self.foreign = Some((version, has_any));
        }
        let has_any = self.foreign.is_some_and(|(_, has_any)| has_any);
        Ok(Apart {
            is_needed: has_any || self.has_held_up()?,
            torn: self.torn.clone(),
            broken: self.broken.clone(),
            steps: Some(self.steps.clone()),
        })
    }

    /// Those for whom a trigger did not end are not tried again by a sync, since each try keeps everybody from writing for as long as
    /// a statement may take: not before something of the schema has changed, or a day has passed.
    pub(super) fn leave_unending(&mut self) -> Result<()> {
        let Some(tried) = self.state(TRIED)? else { return Ok(()) };
        let (version, at) = tried.split_once(' ').unwrap_or_default();
        let is_recent = super::attempt::moment(at)
            .is_some_and(|at| (TimeDelta::zero()..TRY_AGAIN).contains(&(Utc::now() - at)));
        if !is_recent || version.parse() != Ok(self.schema_changes()?) {
            return Ok(());
        }
        let unending = self.held_up()?.into_iter().filter(|one| one.error == UNENDING);
        self.torn.extend(unending.map(|one| (one.customer_id, usize::MAX / 2)));
        Ok(())
    }

    fn has_held_up(&self) -> Result<bool> {
        let any = "SELECT EXISTS (SELECT 1 FROM tillsync_held_up)";
        let asked =
            self.connection.prepare_cached(any).and_then(|mut any| any.query_row([], |row| row.get(0)));
        asked.map_err(|e| self.error(e))
    }

    /// Does work of which a trigger may end the transaction, and then once more without that customer.
    pub(super) fn holding_up<T>(
        &mut self,
        mut work: impl FnMut(&mut Store, &Apart) -> Result<T>,
    ) -> Result<T> {
        loop {
            let (apart, had_open_pages) = (self.apart()?, self.has_open_pages());
            let failed = match work(self, &apart) {
                Err(error) => error,
                done => return done,
            };
            let Some((id, words)) = failed.torn_down() else { return Err(failed) };
            if let Some(cause) = words.strip_prefix(BROKEN) {
                let (path, cause) = (self.path.clone(), cause.to_owned());
                let Some(row) = self.broken_row_of(id) else {
                    let row = format!("a row of customer {id}");
                    return Err(Failure::BrokenRow { path, row, cause }.into());
                };
                // Pages that shared the transaction went with it: the next sync brings them again.
                let is_lost = had_open_pages && !apart.is_needed;
                if self.leave(id, &row, Utc::now())? && !is_lost {
                    continue;
                }
                return Err(Failure::BrokenRow { path, row, cause }.into());
            }
            let times = self.torn.entry(id).or_default();
            *times += 1;
            if *times > 2 {
                return Err(failed);
            }
            let words = words.to_owned();
            if [UNENDING, WITHOUT_MEMORY].contains(&&*words) {
                self.unending += 1;
                if self.unending > MOST_UNENDING {
                    return Err(match words == WITHOUT_MEMORY {
                        true => Failure::NoMemory(self.path.clone()).into(),
                        false => failed,
                    });
                }
            }
            let (version, now) = (self.schema_changes()?, Utc::now());
            self.engine_note(|transaction| {
                note(transaction, id.into(), &words, now)?;
                if words == UNENDING {
                    state::write(transaction, TRIED, Some(&format!("{version} {}", stamp(now))))?;
                }
                Ok(())
            })?;
        }
    }
}

impl Store {
    /// Customers that were held up because a row of theirs could not be read, and still cannot be.
    pub(super) fn still_broken(&self) -> Result<BTreeSet<CustomerId>> {
        let all = self.held_up()?.into_iter().filter(|one| one.error.starts_with(BROKEN));
        Ok(all.map(|one| one.customer_id).filter(|id| self.broken_row_of(*id).is_some()).collect())
    }

    /// Those of these customers whose rows can be read. The others are held up from now on.
    pub(super) fn leave_broken<I: Copy + Into<RowId>>(
        &mut self,
        ids: &[I],
        now: DateTime<Utc>,
    ) -> Result<Vec<I>> {
        let mut left = Vec::new();
        for id in ids {
            let customer = (*id).into().customer;
            match self.broken_row_of(customer) {
                Some(row) => _ = self.leave(customer, &row, now)?,
                None => left.push(*id),
            }
        }
        Ok(left)
    }

    /// Nothing of this customer is touched any more. Returns whether that was not so before.
    fn leave(&mut self, id: CustomerId, row: &str, now: DateTime<Utc>) -> Result<bool> {
        tracing::warn!(customer = id.0, "{row} cannot be read: nothing of that customer is sent or written");
        self.engine_note(|transaction| Ok(note(transaction, id.into(), &format!("{BROKEN}{row}"), now)?))?;
        Ok(self.broken.insert(id))
    }
}

/// Of a customer of whom a row cannot be read: what was done ends, and is done again without it.
pub(super) fn of(id: CustomerId, failed: Failed) -> Failed {
    match failed.unreadable() {
        Some(cause) => Failed::TornDown { id, words: format!("{BROKEN}{cause}") },
        None => failed,
    }
}

impl Apart {
    /// Whether nothing of this one is read or written.
    pub(super) fn leaves_out(&self, id: CustomerId) -> bool {
        self.broken.contains(&id)
    }

    /// Writes all of a row, or nothing; none: its customer is held up.
    pub(super) fn all<T>(
        &self,
        connection: &Connection,
        id: impl Into<RowId>,
        now: DateTime<Utc>,
        work: impl FnOnce() -> Result<T, Failed>,
    ) -> Result<Option<T>, Failed> {
        self.all_unless(connection, id, now, work, |_| false)
    }

    /// The same of what may be passed over: then it proves nothing, and whoever is held up stays so.
    pub(super) fn all_unless<T>(
        &self,
        connection: &Connection,
        id: impl Into<RowId>,
        now: DateTime<Utc>,
        work: impl FnOnce() -> Result<T, Failed>,
        is_passed_over: impl FnOnce(&T) -> bool,
    ) -> Result<Option<T>, Failed> {
        let id = id.into();
        let done = self.part(connection, id, now, Part::All, work)?;
        if self.is_needed && done.as_ref().is_some_and(|done| !is_passed_over(done)) {
            release(connection, id)?;
        }
        Ok(done)
    }

    /// Writes what became of the edits of a customer that is held up; none: that is refused too.
    pub(super) fn outcomes<T>(
        &self,
        connection: &Connection,
        id: impl Into<RowId>,
        now: DateTime<Utc>,
        work: impl FnOnce() -> Result<T, Failed>,
    ) -> Result<Option<T>, Failed> {
        self.part(connection, id.into(), now, Part::Outcomes, work)
    }

    fn has_gone_too_far(&self) -> bool {
        self.steps.as_ref().is_some_and(Steps::have_ended_it)
    }

    fn part<T>(
        &self,
        connection: &Connection,
        row: RowId,
        now: DateTime<Utc>,
        part: Part,
        work: impl FnOnce() -> Result<T, Failed>,
    ) -> Result<Option<T>, Failed> {
        let id = row.customer;
        if self.leaves_out(id) {
            return Ok(None);
        }
        if !self.is_needed {
            return work().map(Some);
        }
        if self.torn.get(&id).is_some_and(|times| *times > part as usize) {
            return Ok(None);
        }
        self.steps.iter().for_each(Steps::anew);
        connection.prepare_cached("SAVEPOINT apart")?.execute([])?;
        let words = match work() {
            // Else the commit would find it, and end what was written of everybody.
            Ok(_) if has_broken_references(connection) => REFERRED.to_owned(),
            Ok(done) => {
                connection.prepare_cached("RELEASE apart")?.execute([])?;
                return Ok(Some(done));
            }
            Err(Failed::Ignored) => IGNORED.to_owned(),
            Err(Failed::Restless) => RESTLESS.to_owned(),
            Err(Failed::Sql(error)) if went_too_far(&error) && self.has_gone_too_far() => UNENDING.to_owned(),
            // SQLite may say the one word for the other, where a trigger's own statement found no memory.
            Err(Failed::Sql(error)) if went_too_far(&error) || found_no_memory(&error) => {
                WITHOUT_MEMORY.to_owned()
            }
            Err(Failed::Sql(error)) if is_refusal(&error) => words(&error),
            Err(error) => return Err(error),
        };
        // What took the memory may not have let go of it yet: the transaction begins anew.
        if connection.is_autocommit() || words == WITHOUT_MEMORY {
            return Err(Failed::TornDown { id, words });
        }
        connection.execute_batch("ROLLBACK TO apart; RELEASE apart")?;
        tracing::warn!(
            customer = id.0,
            error = words,
            "something of the app's holds up what came from the store"
        );
        note(connection, row, &words, now)?;
        Ok(None)
    }
}

/// How the words begin of what no trigger holds up.
const BROKEN: &str = "a program has changed what it must not: ";
const IGNORED: &str = "a trigger ignored what came from the store";
/// In the place of SQLite's words, which do not say what to do.
const REFERRED: &str = "FOREIGN KEY constraint failed: what a row of the app's refers to is not there, or goes; where that is a customer, declare it \
                        REFERENCES customer (id) ON DELETE SET NULL, or CASCADE";
/// The same of what was to be removed.
pub(super) const KEPT: &str = "a trigger ignored that it was to go";
pub(super) const RESTLESS: &str = "a trigger edits anew whatever is written because of its edits";

/// It is held up no longer; unless it waits for a payment of it to be held, or an update of it is in doubt: what became of that could
/// not be written.
pub(super) fn release(connection: &Connection, row: RowId) -> rusqlite::Result<()> {
    if life::to_hold(connection)?.contains(&row.customer) {
        return Ok(());
    }
    let free = "DELETE FROM tillsync_held_up
                WHERE customer_id = ?1 AND row IS ?2 AND customer_id NOT IN (SELECT customer_id FROM batch_item)";
    connection.prepare_cached(free)?.execute(params![row.customer.0, noted(row)])?;
    Ok(())
}

/// Customers that are held up.
pub(super) fn ids(connection: &Connection) -> rusqlite::Result<Vec<CustomerId>> {
    let mut statement = connection.prepare_cached("SELECT customer_id FROM tillsync_held_up")?;
    statement.query_map([], |row| Ok(CustomerId(row.get(0)?)))?.collect()
}

/// Not the file, the disk or another program: the statement itself was refused.
pub(super) fn is_refusal(error: &SqlError) -> bool {
    use ErrorCode::{ConstraintViolation, TooBig, TypeMismatch, Unknown};
    matches!(sound::code(error), Some(ConstraintViolation | TooBig | TypeMismatch | Unknown))
}

fn is_reference(error: &SqlError) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
}

pub(super) fn words(error: &SqlError) -> String {
    match error {
        error if is_reference(error) => REFERRED.to_owned(),
        SqlError::SqliteFailure(_, Some(words)) => words.clone(),
        SqlError::SqlInputError { msg, .. } => msg.clone(),
        error => error.to_string(),
    }
}

/// The triggers of the app's of which one may be the one that does not end: those that walk in circles by their own text, or all.
pub(super) fn unending(connection: &Connection) -> rusqlite::Result<Option<String>> {
    suspects(connection, "RECURSIVE")
}

/// Those of which one may be the one that ignores what is written.
pub(super) fn ignoring(connection: &Connection) -> rusqlite::Result<Option<String>> {
    suspects(connection, "IGNORE")
}

/// The triggers of the app's with this word in their text, or all; none: it has none.
fn suspects(connection: &Connection, word: &str) -> rusqlite::Result<Option<String>> {
    let all = schema::foreign_triggers(connection)?;
    let named = |some: Vec<&(String, String)>| {
        some.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let suspects: Vec<_> = all.iter().filter(|(_, sql)| sql.to_uppercase().contains(word)).collect();
    Ok(match (suspects.is_empty(), all.is_empty()) {
        (_, true) => None,
        (false, _) => Some(named(suspects)),
        (true, _) => Some(named(all.iter().collect())),
    })
}

/// What is noted of the row that holds up its customer.
fn noted(row: RowId) -> Option<String> {
    (!row.resource.spec().is_of_customers()).then(|| row.code())
}

fn note(connection: &Connection, row: RowId, words: &str, now: DateTime<Utc>) -> rusqlite::Result<()> {
    let cause = cause(connection, words)?;
    connection
        .prepare_cached(
            "INSERT INTO tillsync_held_up (customer_id, since, error, cause, row)
             VALUES (:id, :now, :error, :cause, :row)
             ON CONFLICT (customer_id) DO UPDATE SET error = excluded.error, cause = excluded.cause, row = excluded.row
             WHERE error IS NOT excluded.error OR cause IS NOT excluded.cause OR row IS NOT excluded.row",
        )?
        .execute(named_params! { ":id": row.customer.0, ":now": stamp(now), ":error": words, ":cause": cause, ":row": noted(row) })?;
    Ok(())
}

/// The trigger, the index or the table that said these words, where it can be told.
pub(super) fn cause(connection: &Connection, words: &str) -> rusqlite::Result<Option<String>> {
    if words == UNENDING {
        return unending(connection);
    }
    if words == WITHOUT_MEMORY {
        return suspects(connection, "");
    }
    if words == REFERRED {
        let on_ours = schema::foreign(connection)?.into_iter().filter(|(_, sql)| is_trigger(sql));
        let all = schema::referring(connection)?.into_iter().chain(on_ours.map(|(name, _)| name));
        let all = all.collect::<Vec<_>>().join(", ");
        return Ok((!all.is_empty()).then_some(all));
    }
    // One on a table that refers to ours, or that one of ours leads to, is as good.
    let all = schema::foreign(connection)?.into_iter().chain(schema::foreign_triggers(connection)?);
    Ok(all.filter(|(name, sql)| is_cause(words, name, sql)).map(|(name, _)| name).next())
}

/// What of the app's refused a statement of ours, and its words; none: it was nothing of the app's.
pub(super) fn refused(
    connection: &Connection,
    error: &SqlError,
) -> rusqlite::Result<Option<(Option<String>, String)>> {
    let words = words(error);
    let cause = cause(connection, &words)?;
    let code = error.sqlite_error().map(|error| error.extended_code);
    let is_trigger = code == Some(rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER);
    Ok((is_trigger || cause.is_some()).then_some((cause, words)))
}

fn is_trigger(sql: &str) -> bool {
    sql.trim_start().to_uppercase().split_whitespace().take(3).any(|word| word == "TRIGGER")
}

/// Whether these words come from this trigger or index, as far as they tell.
fn is_cause(words: &str, name: &str, sql: &str) -> bool {
    if let Some(column) = words.strip_prefix("UNIQUE constraint failed: ") {
        let column = column.rsplit('.').next().unwrap_or(column);
        return sql.to_uppercase().starts_with("CREATE UNIQUE") && sql.contains(column);
    }
    if let Some(index) = words.strip_prefix("UNIQUE constraint failed: index ") {
        return index.trim_matches('\'') == name;
    }
    if let Some(function) = words.strip_prefix("unknown function: ") {
        return sql.contains(function.split('(').next().unwrap_or(function));
    }
    match words.split_once("no such ") {
        Some((_, missing)) => {
            missing.split(": ").nth(1).is_some_and(|what| sql.contains(what.trim_start_matches("main.")))
        }
        None if words == IGNORED => sql.to_uppercase().contains("IGNORE"),
        None if words == KEPT => {
            let sql = sql.to_uppercase();
            sql.contains("IGNORE") && sql.contains("DELETE")
        }
        None => sql.contains(words),
    }
}
