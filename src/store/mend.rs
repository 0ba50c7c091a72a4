//! What was edited while our triggers were not there: a mapper's migration, or a database tool, that builds the table
//! `customer` anew takes them out with the old one.
//!
//! Opening makes them again. Where they had been there before, each working copy is then held against what it must be: its
//! snapshot, and on top of that what the journal has that is not settled. A difference becomes an edit of its own, by the
//! triggers themselves, as if it were made now: whatever waited there goes on beneath it. A customer that was deleted comes back.
//! This walks through all customers, and so is done then only; a note in the file keeps it due until it is done.
//!
//! An app may also have switched off triggers for its own connection, which leaves no sign. So `doctor` compares at any time,
//! without the right to write, and journals what it finds. And before what the store says of a customer is written over the working
//! copy, that is held against what it must be: what is found becomes an edit, which is then merged as any other; what
//! cannot be one is not written over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};
use serde::{Deserialize, Serialize};

use super::held_up::Apart;
use super::row::Standing;
use super::{Failed, Store, ahead, aside, dirty, edit, pull, row, schema, search, state, statements};
use crate::error::{Failure, Result, is_unreadable};
use crate::flow::{Change, CustomerPlan, Dirty, Sent, balance_by_journal, is_tidied};
use crate::resource::{
    Attributes, CustomerId, FieldId, Kind, Record, ResourceId, Row, RowId, Subject, Value, add_credit,
};

/// The key of `state` under which it is noted that this is to be done.
pub(super) const DUE: &str = "edits_to_be_found";
/// The key of `state` under which stands what the triggers refused of it, until somebody edits it to a valid value.
const REFUSED: &str = "edits_refused";
/// What the journal says of them.
const LABEL: &str = "found without an entry in the journal";
/// Customers that are looked at in one transaction.
const CHUNK: i64 = 250;
/// The same where nobody is kept from writing.
const AT_A_LOOK: i64 = 2_000;

impl Store {
    /// How many edits were found in no entry of the journal when the triggers of this file were missing and made again;
    /// none: they were all there.
    pub fn mended(&self) -> Option<usize> {
        self.mended
    }

    /// How many customers that somebody deleted past our triggers were made again, with what waits of them: while those were missing, or
    /// by `UPDATE OR REPLACE` over a unique index of the app's.
    pub fn brought_back(&self) -> usize {
        self.brought_back
    }

    /// Nothing is sent from a table of customers, or a journal, in which a row may be there twice.
    pub(super) fn refuse_misshapen(&self) -> Result<()> {
        let of_edits = |table: &&str| ["customer", "journal", "snapshot"].contains(table);
        match self.misshapen()? {
            Some(tables) if tables.split(", ").any(|table| of_edits(&table)) => {
                Err(Failure::Misshapen { path: self.path.clone(), tables }.into())
            }
            _ => Ok(()),
        }
    }

    /// Tables of ours that some program built otherwise than they should be, and that cannot be built anew; with commas between
    /// them. What can be is, when the file is opened.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn misshapen(&self) -> Result<Option<String>> {
        self.state(schema::MISSHAPEN)
    }

    /// Values of the working copy that differ from the snapshot, stand in no entry of the journal, and are no edits that
    /// the store would take: made while our triggers were not there. They are not sent; an edit to a valid value ends it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn unjournaled(&self) -> Result<Vec<Unjournaled>> {
        let Some(json) = self.state(REFUSED)? else { return Ok(Vec::new()) };
        let noted: Vec<Unjournaled> = serde_json::from_str(&json).unwrap_or_default();
        self.engine_read(|transaction| {
            let mut still = Vec::new();
            for one in noted {
                let meant = Subject::meant(one.customer_id, &one.field);
                let row = meant.map_or(one.customer_id.into(), |(row, _)| row);
                let dirty = match dirty::load(transaction, row) {
                    Err(e) if is_unreadable(&e) => {
                        still.push(one);
                        continue;
                    }
                    loaded => loaded?,
                };
                let Some(dirty) = dirty else { continue };
                if untold(transaction, &dirty)?
                    .iter()
                    .any(|(field, _)| Subject::Field(*field).word(row) == one.field)
                {
                    still.push(one);
                }
            }
            Ok(still)
        })
    }

    /// Holds all working copies against their snapshots and what is journaled, and journals what it finds, as opening does
    /// where the triggers of the file were missing: an app may have switched them off (`SQLITE_DBCONFIG_ENABLE_TRIGGER`). Returns
    /// how many edits that were; what the store would not take is told by [`Store::unjournaled`]. Of an attribute of which an edit waits it
    /// is not told: merged with what came from the store, it may be what neither has. It walks through all customers, and keeps nobody from
    /// writing meanwhile.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn find_unjournaled(&mut self) -> Result<usize> {
        self.refuse_misshapen()?;
        let (mut found, mut after, known) = (0, i64::MIN, self.unjournaled()?);
        let mut refused = known.clone();
        while let Some((other, last)) =
            self.engine_read(|transaction| other_than_journaled(transaction, after))?
        {
            let judged = |_: &Connection, dirty: &Dirty, field| Ok(is_certain(dirty, field));
            (found, after) =
                (found + self.mend_some(&other, &BTreeSet::new(), judged, &mut refused)?.0, last);
        }
        for resource in self.keeps()?.into_iter().filter(|resource| *resource != ResourceId::CUSTOMER) {
            for rows in self.rows_of(resource)?.chunks(CHUNK as usize) {
                let other = self.engine_read(|transaction| others_than_journaled(transaction, rows))?;
                let judged = |_: &Connection, dirty: &Dirty, field| Ok(is_certain(dirty, field));
                found += self.mend_some(&other, &BTreeSet::new(), judged, &mut refused)?.0;
            }
        }
        if refused != known {
            self.set_state(REFUSED, Some(&serde_json::to_string(&refused).unwrap_or_default()))?;
        }
        Ok(found)
    }

    /// Journals what was edited while our triggers were not there.
    pub(super) fn mend(&mut self) -> Result<()> {
        // In a table that does not fit nobody can tell what was edited: it stays due.
        if self.state(DUE)?.is_none() || self.refuse_misshapen().is_err() {
            return Ok(());
        }
        self.bring_back()?;
        let lost = self.lost_columns()?;
        let (mut found, mut after, mut refused) = (0, i64::MIN, self.unjournaled()?);
        let mut is_done = true;
        loop {
            let next = self.engine_read(|transaction| Ok(all(transaction, after)?))?;
            let Some(last) = next.last() else { break };
            after = last.0;
            let (edits, is_each) = self.mend_some(&next, &lost, is_edit, &mut refused)?;
            (found, is_done) = (found + edits, is_done && is_each);
        }
        for resource in self.keeps()?.into_iter().filter(|resource| *resource != ResourceId::CUSTOMER) {
            for rows in self.rows_of(resource)?.chunks(CHUNK as usize) {
                let (edits, is_each) = self.mend_some(rows, &BTreeSet::new(), is_edit, &mut refused)?;
                (found, is_done) = (found + edits, is_done && is_each);
            }
        }
        let refused = (!refused.is_empty()).then(|| serde_json::to_string(&refused)).transpose();
        self.set_state(REFUSED, refused.unwrap_or_default().as_deref())?;
        self.engine_write(|transaction| {
            aside::note_strangers(transaction)?;
            // Of one whom something of the app's does not let be written it stays due.
            if is_done {
                state::write(transaction, schema::LOST_COLUMNS, None)?;
                state::write(transaction, DUE, None)?;
            }
            Ok(())
        })?;
        if found > 0 {
            tracing::warn!(
                edits = found,
                "edits were made while triggers of the file were missing; they are journaled now"
            );
        }
        self.mended = Some(found);
        Ok(())
    }

    /// Returns how many edits were found of these, and whether each could be written.
    fn mend_some<I: Copy + Into<RowId>>(
        &mut self,
        rows: &[I],
        lost: &BTreeSet<FieldId>,
        is_judged: impl Fn(&Connection, &Dirty, FieldId) -> rusqlite::Result<bool>,
        refused: &mut Vec<Unjournaled>,
    ) -> Result<(usize, bool)> {
        let parts = self.in_small_parts(rows, |transaction, apart, id, edits: &mut Vec<Option<usize>>| {
            edits.push(apart.outcomes(transaction, id, Utc::now(), || {
                mend_one(transaction, id, lost, &is_judged, refused)
            })?);
            Ok(())
        })?;
        let edits: Vec<Option<usize>> = parts.into_iter().flatten().collect();
        Ok((edits.iter().flatten().sum(), edits.iter().all(Option::is_some)))
    }

    /// Columns that somebody renamed or dropped, and that are there again, empty.
    fn lost_columns(&self) -> Result<BTreeSet<FieldId>> {
        let noted = self.state(schema::LOST_COLUMNS)?.unwrap_or_default();
        Ok(noted.split(' ').filter_map(FieldId::named).collect())
    }

    /// Brings back who is gone from the table, where an index of the app's lets `UPDATE OR REPLACE` take out a customer for
    /// another: SQLite runs no trigger for that, and of no edit would anything be told. Elsewhere it costs nothing.
    pub(super) fn look_for_replaced(&mut self) -> Result<()> {
        self.bring_back_walk_ins()?;
        match schema::may_replace(&self.connection).map_err(|e| self.error(e))? {
            true => self.bring_back_missing(),
            false => Ok(()),
        }
    }

    /// Brings back who is gone from the table `customer`, however it was done, if there are fewer than there must be: that is a look
    /// at an index. Where the app has a unique index there, opening and every sync do it by themselves.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn bring_back_missing(&mut self) -> Result<()> {
        self.bring_back_walk_ins()?;
        // Those below zero are not counted at all.
        let strangers = self.strangers()?.iter().filter(|id| id.0 > 0).count();
        let is_any_missing = self.engine_read(|transaction| {
            let fewer = "SELECT count(*) - (SELECT count(*) FROM customer WHERE id < 0) - ?1
                         < coalesce((SELECT CAST(value AS INTEGER) FROM state WHERE key = 'snapshot_customers'), 0)
                           - (SELECT count(*)
                              FROM journal INDEXED BY tillsync_journal_unsettled
                              WHERE settled_at IS NULL AND op = 'delete' AND of_resource IS NULL AND customer_id >= 0
                                AND customer_id IN (SELECT id FROM snapshot))
                           + (SELECT count(*)
                              FROM conflict AS c INDEXED BY tillsync_conflict_open
                              WHERE resolution IS NULL AND field = '*'
                                AND EXISTS (SELECT 1 FROM customer WHERE id = c.customer_id)
                                AND NOT EXISTS (SELECT 1 FROM snapshot WHERE id = c.customer_id))
                         FROM customer";
            Ok(transaction.prepare_cached(fewer)?.query_row([strangers], |row| row.get(0))?)
        })?;
        if is_any_missing && self.refuse_misshapen().is_ok() { self.bring_back() } else { Ok(()) }
    }

    /// Customers that the store has and the table has not: made again. One that something of the app's does not let in is held up.
    fn bring_back(&mut self) -> Result<()> {
        let (mut brought, mut after) = (0, i64::MIN);
        loop {
            let missing = self.engine_read(|transaction| Ok(missing(transaction, after)?))?;
            let Some(last) = missing.last() else { break };
            after = last.0;
            let parts = self.in_small_parts(&missing, |transaction, apart, id, some: &mut usize| {
                let done = apart.all(transaction, id, Utc::now(), || bring_one_back(transaction, id))?;
                *some += usize::from(done.is_some());
                Ok(())
            })?;
            brought += parts.into_iter().sum::<usize>();
        }
        self.note_brought_back(brought);
        Ok(())
    }

    /// Customers whom the store does not have yet, and whose rows are gone though their creations wait: whoever takes one back by SQL ends
    /// that, and these were taken out past our triggers.
    fn bring_back_walk_ins(&mut self) -> Result<()> {
        let missing = self.read_at_once(|connection| Ok(missing_walk_ins(connection)?))?;
        if missing.is_empty() || self.refuse_misshapen().is_err() {
            return Ok(());
        }
        let parts = self.in_small_parts(&missing, |transaction, apart, id, some: &mut usize| {
            let done = apart.all(transaction, id, Utc::now(), || bring_walk_in_back(transaction, id))?;
            *some += usize::from(done.is_some());
            Ok(())
        })?;
        self.note_brought_back(parts.into_iter().sum());
        Ok(())
    }

    fn note_brought_back(&mut self, brought: usize) {
        if brought > 0 {
            tracing::warn!(
                customers = brought,
                "customers were deleted without our triggers; they are there again, with what waits of them"
            );
        }
        self.brought_back += brought;
    }
}

fn missing_walk_ins(connection: &Connection) -> rusqlite::Result<Vec<RowId>> {
    // Who was deleted while the creation is on its way is missing rightly.
    let missing = "SELECT customer_id FROM journal AS made INDEXED BY tillsync_journal_unsettled
                   WHERE customer_id < 0 AND settled_at IS NULL AND op = 'create' AND of_resource IS NULL
                     AND customer_id NOT IN (SELECT id FROM customer WHERE id < 0)
                     AND NOT EXISTS (SELECT 1 FROM journal AS gone INDEXED BY tillsync_journal_unsettled
                                     WHERE gone.customer_id = made.customer_id AND gone.settled_at IS NULL
                                       AND gone.op = 'delete' AND gone.of_resource IS NULL)";
    let mut missing = connection.prepare_cached(missing)?;
    missing.query_map([], |row| Ok(CustomerId(row.get(0)?).into()))?.collect()
}

/// As it was entered, and on top of that what was edited since.
fn bring_walk_in_back(connection: &Connection, id: RowId) -> Result<(), Failed> {
    let entered = "SELECT value FROM journal INDEXED BY tillsync_journal_unsettled
                   WHERE customer_id = ?1 AND settled_at IS NULL AND op = 'create' AND of_resource IS NULL";
    let entered: String = connection.prepare_cached(entered)?.query_row([id.customer.0], |row| row.get(0))?;
    let entered = Attributes::of_row(id, &entered)?;
    pull::insert_row(connection, &entered)?;
    search::note_rows(connection, [id])?;
    let Some(dirty) = dirty::load_to_decide(connection, id)? else { return Ok(()) };
    let as_entered = Row::of(id, &entered);
    for field in id.resource.columns() {
        let expected = expected(connection, &dirty, field, as_entered.get(field), true)?;
        if let Some(expected) = expected.filter(|expected| expected != dirty.row.get(field)) {
            statements::overwrite(connection, id, &[(field, row::cell(&expected))])?;
        }
    }
    Ok(())
}

/// Some of those that the store has and the table has not.
fn missing(connection: &Connection, after: i64) -> rusqlite::Result<Vec<CustomerId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM snapshot
         WHERE id > ?1 AND id NOT IN (SELECT id FROM customer)
           AND NOT EXISTS (SELECT 1 FROM journal INDEXED BY tillsync_journal_unsettled
                           WHERE customer_id = snapshot.id AND of_resource IS NULL AND settled_at IS NULL AND op = 'delete')
         ORDER BY id LIMIT ?2",
    )?;
    statement.query_map(params![after, CHUNK], |row| Ok(CustomerId(row.get(0)?)))?.collect()
}

/// As the store has it, and on top of that what waits in the journal.
fn bring_one_back(connection: &Connection, id: CustomerId) -> Result<(), Failed> {
    let Some(base) = dirty::load_snapshot(connection, id)? else { return Ok(()) };
    if dirty::load_row(connection, id)?.is_some() {
        return Ok(());
    }
    pull::insert_row(connection, &base.attributes_of(id)?)?;
    search::note_rows(connection, [id])?;
    let Some(dirty) = dirty::load(connection, id)? else { return Ok(()) };
    for (field, expected) in untold(connection, &dirty)? {
        statements::overwrite(connection, id.into(), &[(field, row::cell(&expected))])?;
    }
    Ok(())
}

/// A value of the working copy that nothing in the journal tells of, and that the triggers refuse to journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unjournaled {
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute.
    pub field: String,
    /// Why it is no edit: the words of the refusal, without the value.
    pub problem: String,
}

/// Some of all customers.
fn all(connection: &Connection, after: i64) -> rusqlite::Result<Vec<CustomerId>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM customer WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    statement.query_map(params![after, CHUNK], |row| Ok(CustomerId(row.get(0)?)))?.collect()
}

/// Returns how many edits it found.
fn mend_one(
    connection: &Connection,
    id: impl Into<RowId>,
    lost: &BTreeSet<FieldId>,
    is_judged: impl Fn(&Connection, &Dirty, FieldId) -> rusqlite::Result<bool>,
    refused: &mut Vec<Unjournaled>,
) -> Result<usize, Failed> {
    let id = id.into();
    let Some(dirty) = dirty::load(connection, id)? else { return Ok(0) };
    let other = other(connection, &dirty)?;
    if other.is_empty() {
        return Ok(0);
    }
    let ahead = ahead::of(connection, &dirty)?;
    let mut found = 0;
    for (field, expected) in other {
        if !is_judged(connection, &dirty, field)? {
            continue;
        }
        if lost.contains(&field) {
            search::note_rows(connection, [id])?;
            statements::overwrite(connection, id, &[(field, row::cell(&expected))])?;
            continue;
        }
        if ahead.contains(&field) {
            continue;
        }
        match journal(connection, &dirty, field, &expected)? {
            None => found += 1,
            Some(problem) => note_refused(refused, id, field, &problem),
        }
    }
    Ok(found)
}

/// Whether a difference is an edit for sure: what waits of an attribute may have been brought together with what came from the store, and
/// then its working copy is what neither the snapshot nor the journal has.
fn is_certain(dirty: &Dirty, field: FieldId) -> bool {
    dirty.ops_of(field).next().is_none()
}

/// The same where triggers were missing, so that what waits was probably edited past them too: unless it is what it was brought together
/// to, or decided for, since its newest edit.
fn is_edit(connection: &Connection, dirty: &Dirty, field: FieldId) -> rusqlite::Result<bool> {
    let Some(newest) = dirty.ops_of(field).rfind(|op| op.adjustment().is_none()).map(|op| op.seq) else {
        return Ok(true);
    };
    let word = Subject::Field(field).word(dirty.id);
    let decided: Option<(String, i64)> = connection
        .prepare_cached(
            "SELECT result, seq
             FROM conflict INDEXED BY tillsync_conflict_decided
             WHERE customer_id = ?1 AND resolution IS NOT NULL AND result IS NOT NULL AND seq >= ?3
               AND (field = ?2 OR field LIKE ?2 || '.%')
             ORDER BY id DESC
             LIMIT 1",
        )?
        .query_row(params![dirty.id.customer.0, word, newest.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((result, seq)) = decided else { return Ok(true) };
    if field.has_entries() {
        return Ok(false);
    }
    let later = dirty.ops_of(field).filter(|op| op.seq.0 > seq).filter_map(|op| op.adjustment());
    let value = later
        .into_iter()
        .try_fold(Value::from_json(field.kind(), &result), |value, amount| add_credit(&value, amount));
    Ok(value.is_some_and(|value| !is_tidied(field, &value, dirty.row.get(field))))
}

/// A customer of whom the store says something, before that is written over the working copy.
pub(super) struct Told {
    /// With what was found to be edited.
    pub(super) dirty: Dirty,
    /// Attributes that hold what is no edit that could be journaled: nothing is written over them.
    pub(super) kept: Vec<FieldId>,
}

impl Told {
    /// What is written of a plan.
    pub(super) fn leave(&self, plan: &mut CustomerPlan) {
        plan.columns.retain(|(field, _)| !self.kept.contains(field));
    }
}

/// Journals what a customer has in attributes of which nothing waits, or which are wholly on their way as `sent`, and that is neither what
/// the snapshot has nor what was sent: it was edited past our triggers. It costs nothing where there is no such thing.
pub(super) fn tell(
    connection: &Connection,
    apart: &Apart,
    dirty: Dirty,
    sent: Option<&Sent>,
) -> Result<Told, Failed> {
    let mut found = beneath(&dirty, sent)?;
    if !found.is_empty() {
        let ahead = ahead::of(connection, &dirty)?;
        found.retain(|(field, _)| !ahead.contains(field));
    }
    if found.is_empty() {
        return Ok(Told { dirty, kept: Vec::new() });
    }
    let (id, mut refused) = (dirty.id, noted(connection)?);
    let before = refused.clone();
    let journaled = apart.outcomes(connection, id, Utc::now(), || {
        let mut kept = Vec::new();
        for (field, expected) in &found {
            let newest = newest_edit(connection, id, *field)?;
            let problem = journal(connection, &dirty, *field, expected)?;
            if let Some(problem) = &problem {
                note_refused(&mut refused, id, *field, problem);
            }
            if problem.is_some() || newest_edit(connection, id, *field)? == newest {
                kept.push(*field);
            }
        }
        if refused != before {
            write_refused(connection, &refused)?;
        }
        Ok(kept)
    })?;
    let kept = journaled.unwrap_or_else(|| found.into_iter().map(|(field, _)| field).collect());
    let dirty = dirty::load(connection, id)?.unwrap_or(dirty);
    Ok(Told { dirty, kept })
}

/// What the store changes of a customer of whom nothing waits, where that was edited past our triggers.
pub(super) fn tell_of_untouched(
    connection: &Connection,
    apart: &Apart,
    id: RowId,
    known: &Attributes<'_>,
    mut changed: impl Iterator<Item = FieldId>,
) -> Result<Option<Told>, Failed> {
    let Some(row) = dirty::load_row(connection, id)? else { return Ok(None) };
    let theirs = Row::of(id, known);
    if !changed.any(|field| known.tells(field) && row.get(field) != theirs.get(field)) {
        return Ok(None);
    }
    let Some(dirty) = dirty::load(connection, id)? else { return Ok(None) };
    tell(connection, apart, dirty, None).map(Some)
}

fn beneath(dirty: &Dirty, sent: Option<&Sent>) -> Result<Vec<(FieldId, Value)>, Failed> {
    let Some(base) = &dirty.base else { return Ok(Vec::new()) };
    let attributes = base.attributes()?;
    let theirs = Row::of(dirty.id, &attributes);
    let mut found = Vec::new();
    for field in dirty.resource().columns() {
        let local = dirty.row.get(field);
        if is_certain(dirty, field) {
            let is_known = attributes.tells(field) && dirty.open_of_field(field).is_none();
            if is_known && local != theirs.get(field) {
                found.push((field, theirs.get(field).clone()));
            }
        } else if let Some(sent) = sent.and_then(|sent| sent.of_all(dirty, field))
            && !is_tidied(field, sent, local)
        {
            found.push((field, sent.clone()));
        }
    }
    Ok(found)
}

fn newest_edit(connection: &Connection, id: RowId, field: FieldId) -> rusqlite::Result<Option<i64>> {
    let (customer, of_resource, of_row) = dirty::whose(id);
    connection
        .prepare_cached(
            "SELECT max(seq) FROM journal
             WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND field = ?4",
        )?
        .query_row(params![customer, of_resource, of_row, field.name()], |row| row.get(0))
}

/// What the triggers refused, as it is noted.
fn noted(connection: &Connection) -> rusqlite::Result<Vec<Unjournaled>> {
    let json: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([REFUSED], |row| row.get(0))
        .optional()?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
}

fn write_refused(connection: &Connection, refused: &[Unjournaled]) -> rusqlite::Result<()> {
    let json = (!refused.is_empty()).then(|| serde_json::to_string(refused).unwrap_or_default());
    state::write(connection, REFUSED, json.as_deref())
}

fn note_refused(refused: &mut Vec<Unjournaled>, row: impl Into<RowId>, field: FieldId, problem: &str) {
    let row = row.into();
    let (id, field) = (row.customer, Subject::Field(field).word(row));
    let one = Unjournaled { customer_id: id, field, problem: problem.to_owned() };
    match refused.iter_mut().find(|it| (it.customer_id, &it.field) == (one.customer_id, &one.field)) {
        Some(known) => *known = one,
        None => refused.push(one),
    }
}

/// Those of the next customers that are other than the journal makes of their snapshots, and the last that was looked at; none:
/// there are no more. One statement reads them; what was edited of one is read only where it is other than its snapshot.
fn other_than_journaled(
    connection: &Connection,
    after: i64,
) -> Result<Option<(Vec<CustomerId>, i64)>, Failed> {
    static ALL: LazyLock<String> = LazyLock::new(|| {
        let columns =
            FieldId::columns().map(|field| format!("customer.{field}")).collect::<Vec<_>>().join(", ");
        format!(
            "SELECT customer.id, {columns}, snapshot.body
             FROM customer LEFT JOIN snapshot ON snapshot.id = customer.id
             WHERE customer.id > ?1 ORDER BY customer.id LIMIT ?2"
        )
    });
    let mut statement = connection.prepare_cached(&ALL)?;
    let mut rows = statement.query(params![after, AT_A_LOOK])?;
    let (mut other, mut last) = (Vec::new(), None);
    while let Some(found) = rows.next()? {
        let local = row::read(ResourceId::CUSTOMER, found)?;
        last = Some(local.id().0);
        let body: Option<String> = found.get(FieldId::columns().count() + 1)?;
        let Some(base) = body.map(Record::new) else { continue };
        let attributes = base.attributes()?;
        let theirs = Row::of(local.id(), &attributes);
        let is_other = |field: FieldId| attributes.tells(field) && local.get(field) != theirs.get(field);
        if !FieldId::columns().any(is_other) {
            continue;
        }
        match dirty::load(connection, local.id()) {
            Ok(Some(dirty))
                if !untold(connection, &dirty)?.iter().any(|(field, _)| is_certain(&dirty, *field)) => {}
            Ok(None) => {}
            // Whoever looks closer is told of the row, and holds up this one only.
            Err(e) if !is_unreadable(&e) => return Err(e.into()),
            Ok(Some(_)) | Err(_) => other.push(local.id()),
        }
    }
    Ok(last.map(|last| (other, last)))
}

/// Those of these rows that are other than the journal makes of their snapshots.
fn others_than_journaled(connection: &Connection, rows: &[RowId]) -> Result<Vec<RowId>, Failed> {
    let mut others = Vec::new();
    for row in rows {
        let Some(dirty) = dirty::load(connection, *row)? else { continue };
        if untold(connection, &dirty)?.iter().any(|(field, _)| is_certain(&dirty, *field)) {
            others.push(*row);
        }
    }
    Ok(others)
}

/// Attributes that are not what the journal makes of the snapshot, and what that would be; but for those of which the snapshot is older
/// than the journal.
fn untold(connection: &Connection, dirty: &Dirty) -> Result<Vec<(FieldId, Value)>, Failed> {
    let mut untold = other(connection, dirty)?;
    if !untold.is_empty() {
        let ahead = ahead::of(connection, dirty)?;
        untold.retain(|(field, _)| !ahead.contains(field));
    }
    Ok(untold)
}

pub(super) fn other(connection: &Connection, dirty: &Dirty) -> Result<Vec<(FieldId, Value)>, Failed> {
    let Some(base) = &dirty.base else { return Ok(Vec::new()) };
    let attributes = base.attributes()?;
    let theirs = Row::of(dirty.id, &attributes);
    let mut untold = Vec::new();
    for field in dirty.resource().columns() {
        let Some(expected) = expected(connection, dirty, field, theirs.get(field), attributes.tells(field))?
        else {
            continue;
        };
        if expected != *dirty.row.get(field) {
            untold.push((field, expected));
        }
    }
    Ok(untold)
}

/// What an attribute of the working copy must be. `None`: nobody can know.
fn expected(
    connection: &Connection,
    dirty: &Dirty,
    field: FieldId,
    theirs: &Value,
    is_told: bool,
) -> rusqlite::Result<Option<Value>> {
    let is_edited = dirty.ops_of(field).next().is_some();
    Ok(match field.kind() {
        _ if !is_edited => (is_told && dirty.open_of_field(field).is_none()).then(|| theirs.clone()),
        Kind::Credit => balance_by_journal(dirty, theirs),
        Kind::Forms => forms_by_journal(dirty, theirs),
        _ => newest_value(connection, dirty.id, field)?,
    })
}

/// The entries of form fields that were edited, on top of what the store has of the others.
pub(super) fn forms_by_journal(dirty: &Dirty, theirs: &Value) -> Option<Value> {
    let mut forms = match theirs {
        Value::Forms(forms) => forms.clone(),
        Value::Null => BTreeMap::new(),
        _ => return None,
    };
    for op in dirty.ops.iter().filter(|op| op.field.has_entries()) {
        let Change::Entries(entries) = &op.change else { return None };
        for (name, entry) in entries {
            match entry {
                Some(value) => _ = forms.insert(name.clone(), value.clone()),
                None => _ = forms.remove(name),
            }
        }
    }
    Some(Value::Forms(forms))
}

/// What the newest edit set that is not settled.
fn newest_value(connection: &Connection, id: RowId, field: FieldId) -> rusqlite::Result<Option<Value>> {
    let (customer, of_resource, of_row) = dirty::whose(id);
    let newest = connection
        .prepare_cached(
            "SELECT value
             FROM journal
             WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND field = ?4
             ORDER BY seq DESC
             LIMIT 1",
        )?
        .query_row(params![customer, of_resource, of_row, field.name()], |row| row.get::<_, Option<String>>(0))
        .optional()?;
    Ok(newest.map(|json| json.map_or(Value::Null, |json| Value::from_json(field.kind(), &json))))
}

/// Goes back unseen to what the value must be, and from there to the working copy's as an app would. What the triggers refuse
/// stays as it is: its words are returned.
fn journal(
    connection: &Connection,
    dirty: &Dirty,
    field: FieldId,
    expected: &Value,
) -> rusqlite::Result<Option<String>> {
    connection.execute_batch("SAVEPOINT mend")?;
    let edited = || {
        search::note_rows(connection, [dirty.id])?;
        // Byte for byte: what is no value, the triggers refuse, and it is not sent as one that resembles it.
        let local = Standing::of(connection, dirty.id, field)?;
        statements::overwrite(connection, dirty.id, &[(field, row::cell(expected))])?;
        edit::set_context(connection, Some("tillsync"), Some(LABEL))?;
        let key: Vec<i64> = dirty.id.key().collect();
        let key = key.iter().map(|part| part as &dyn ToSql);
        let parameters = params_from_iter(key.chain([&local as &dyn ToSql]));
        connection.prepare_cached(statements::edit(field))?.execute(parameters)?;
        edit::set_context(connection, None, None)
    };
    let problem = match edited() {
        Ok(()) => None,
        // A trigger of the app's has ended the transaction, and the savepoint with it.
        Err(error) if connection.is_autocommit() => return Err(error),
        Err(error) => Some(words(&error)),
    };
    if problem.is_some() {
        connection.execute_batch("ROLLBACK TO mend")?;
        tracing::warn!(
            customer = dirty.id.customer.0,
            field = field.name(),
            "it stays as it is here, and is sent when it is edited to a valid value"
        );
    }
    connection.execute_batch("RELEASE mend")?;
    Ok(problem)
}

/// What a refusal says behind its customer and field.
fn words(error: &rusqlite::Error) -> String {
    let all = error.to_string();
    let refusal = all.split_once("tillsync refused: ").map_or(all.as_str(), |(_, refusal)| refusal);
    refusal.trim_end_matches('\'').to_owned()
}
