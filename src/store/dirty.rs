//! Rows with unsettled edits, out of the file.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, ToSql, params_from_iter};
use secrecy::SecretString;
use serde::de::IgnoredAny;

use super::ahead::Known;
use super::apply::apply;
use super::{Failed, Store, ahead, attempt, delete, life, row, state, statements};
use crate::error::Result;
use crate::flow::{
    Change, Diff, Dirty, EmailEdit, Lately, Notice, Op, OpenConflict, Outcome, Payload, diff, give_up_untold,
};
use crate::resource::{
    BadRecord, CustomerId, Edit, EditSeq, FieldId, Kind, Record, ResourceId, Row, RowId, Subject, Value,
};
use crate::threads;

/// What a sync takes, as the journal stood when the plan was made.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    /// Of what the rows are.
    pub(crate) resource: ResourceId,
    /// Any edit of it is pending, a deletion among them.
    pub(crate) is_edited: bool,
    /// Rows that have something to send, oldest edit first.
    pub(crate) rows: Vec<RowId>,
    /// Those of them whose store credit is adjusted.
    pub(crate) adjusting: BTreeSet<RowId>,
    /// Rows that are to be created, each with what it is looked for by.
    pub(crate) creations: Vec<(RowId, Option<String>)>,
    /// Those of them whose email is to change.
    pub(crate) emails: Vec<EmailEdit>,
    /// Rows of which the snapshot does not tell what an edit is to be computed from: they are asked for by id first.
    pub(crate) untold: Vec<RowId>,
    /// Rows whose edits ended up where the server already is.
    pub(crate) unchanged: usize,
    pub(crate) notices: Vec<Notice>,
}

/// Rows that are read and compared at once.
const CHUNK: usize = 250;

impl Store {
    /// Rows of all resources with pending edits, one resource after the other.
    pub(super) fn pending_of_all(&self) -> Result<Vec<RowId>> {
        let all = ResourceId::all().map(|resource| self.pending_rows(resource));
        Ok(all.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Rows of a resource with pending edits, oldest edit first. Of what is not created yet edits go with its creation.
    pub(crate) fn pending_rows(&self, resource: ResourceId) -> Result<Vec<RowId>> {
        let all = self.pending_and_new(resource)?.into_iter();
        Ok(all.filter(|row| !row.is_new() && row.customer.0 > 0).collect())
    }

    /// The same with those that are not created yet.
    fn pending_and_new(&self, resource: ResourceId) -> Result<Vec<RowId>> {
        self.engine_read(|transaction| {
            let of_resource = (!resource.spec().is_of_customers()).then_some(resource.spec().name);
            let (mut row, mut each) = ("customer_id", "customer_id");
            if of_resource.is_some() {
                (row, each) = ("(customer_id, of_row)", "customer_id, of_row");
            }
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT customer_id, of_resource, of_row
                 FROM journal
                 WHERE settled_at IS NULL AND outcome IS NULL AND of_resource IS ?1
                   AND (customer_id < 0 OR customer_id NOT IN (SELECT customer_id FROM tillsync_held_up))
                   AND {row} NOT IN (SELECT {each} FROM batch_item WHERE of_resource IS ?1)
                 GROUP BY {each}
                 ORDER BY min(seq)"
            ))?;
            let rows = statement.query_map([of_resource], |row| row_id(row, 0))?;
            let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let to_hold = life::to_hold(transaction)?;
            rows.retain(|row| !to_hold.contains(&row.customer));
            Ok(rows)
        })
    }

    /// Whether any edit waits for a sync.
    pub(crate) fn has_pending(&self) -> Result<bool> {
        let pending = "SELECT EXISTS (SELECT 1 FROM journal WHERE settled_at IS NULL AND outcome IS NULL)";
        self.read_at_once(|connection| {
            Ok(connection.prepare_cached(pending)?.query_row([], |row| row.get(0))?)
        })
    }

    /// The payloads of these rows, as far as they have something to send. Nothing is written.
    pub(crate) fn payloads(&self, ids: &[RowId]) -> Result<Vec<Payload>> {
        let (new, known): (Vec<RowId>, Vec<RowId>) = ids.iter().partition(|id| id.is_new());
        let diffs = known.chunks(CHUNK).map(|ids| self.diffs(ids)).collect::<Result<Vec<_>>>()?;
        let updates = diffs.into_iter().flatten().filter_map(|(_, diff)| diff.payload);
        Ok(self.creation_payloads(&new)?.into_iter().chain(updates).collect())
    }

    /// The payloads that would be sent now, as the JSON objects that they are, passwords as `***`: of these customers, or
    /// of all when there are none; behind them, those of what else the file keeps of them, each with its `customer_id`. A program that
    /// goes by the customers' values takes [`Store::changes`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn diff(&self, ids: &[CustomerId]) -> Result<Vec<String>> {
        let all = [self.unsent(ids)?, self.unsent_of_others(ids)?].concat();
        Ok(all.iter().map(Payload::to_json_shown).collect())
    }

    /// What would be sent now, as values: of these customers, or of all when there are none, the attributes as they would
    /// be set, a new password as `***`. [`Store::diff`] has the same as JSON.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn changes(&self, ids: &[CustomerId]) -> Result<Vec<(CustomerId, Vec<Edit>)>> {
        let values = |payload: Payload| {
            let hidden = payload.password.map(|_| Value::Text("***".to_owned()));
            let password = payload.id.resource.secret().zip(hidden);
            let fields = payload.fields.into_iter().chain(password);
            (payload.id.customer, fields.map(|(field, value)| Edit::Set(field, value)).collect())
        };
        Ok(self.unsent(ids)?.into_iter().map(values).collect())
    }

    fn unsent(&self, ids: &[CustomerId]) -> Result<Vec<Payload>> {
        if !ids.is_empty() {
            let ids = ids.iter().map(|id| Ok(RowId::from(self.today(*id)?)));
            return self.payloads(&ids.collect::<Result<Vec<_>>>()?);
        }
        let mut pending = self.pending_and_new(ResourceId::CUSTOMER)?;
        pending.sort_by_key(|row| !row.is_new());
        self.payloads(&pending).or_else(|_| {
            // A row that cannot be read is its customer's trouble, whom the next sync holds up.
            pending.retain(|row| self.broken_row_of(row.customer).is_none());
            self.payloads(&pending)
        })
    }

    fn unsent_of_others(&self, ids: &[CustomerId]) -> Result<Vec<Payload>> {
        let ids = ids.iter().map(|id| self.today(*id)).collect::<Result<Vec<_>>>()?;
        let mut pending = Vec::new();
        for resource in self.keeps()?.into_iter().filter(|resource| *resource != ResourceId::CUSTOMER) {
            pending.extend(self.pending_rows(resource)?);
        }
        pending.retain(|row| ids.is_empty() || ids.contains(&row.customer));
        self.payloads(&pending)
    }

    /// Makes the plan of an upload of rows of a resource, and settles what needs no call.
    pub(crate) fn plan(&mut self, resource: ResourceId, now: DateTime<Utc>) -> Result<Planned> {
        let mut planned = Planned { resource, ..Planned::default() };
        let (new, mut pending): (Vec<RowId>, Vec<RowId>) =
            self.pending_and_new(resource)?.into_iter().partition(|row| row.is_new());
        planned.is_edited = !new.is_empty() || !pending.is_empty();
        pending.retain(|row| row.customer.0 > 0);
        planned.creations = self.creations(&new, now)?;
        if self.end_unmade_of(&pending, now)? > 0 {
            pending = self.pending_rows(resource)?;
        }
        for ids in pending.chunks(CHUNK) {
            let diffs = match self.diffs(ids) {
                Err(error) if error.unreadable().is_some() => {
                    let ids = self.leave_broken(ids, now)?;
                    self.diffs(&ids)?
                }
                diffs => diffs?,
            };
            let settled: Vec<RowId> =
                diffs.iter().filter(|(_, diff)| !diff.plan.is_nothing()).map(|(dirty, _)| dirty.id).collect();
            let (unchanged, notices) = self.settle_without_call(&settled, now)?;
            planned.unchanged += unchanged;
            planned.notices.extend(notices);
            let untold = diffs.iter().filter(|(_, diff)| !diff.untold.is_empty());
            planned.untold.extend(untold.map(|(dirty, _)| dirty.id));
            for (dirty, payload) in diffs.into_iter().filter_map(|(dirty, diff)| Some((dirty, diff.payload?)))
            {
                planned.emails.extend(email_edit(&dirty, &payload));
                planned.adjusting.extend(payload.is_of_undated().then_some(dirty.id));
                planned.rows.push(dirty.id);
            }
        }
        Ok(planned)
    }

    /// The store was asked for these customers by id: edits of what it does not tell then either wait for a person.
    pub(crate) fn give_up_untold(&mut self, ids: &[RowId], now: DateTime<Utc>) -> Result<Vec<Notice>> {
        let parts = self.in_small_parts(ids, |transaction, apart, id, notices: &mut Vec<Notice>| {
            let Some(dirty) = load(transaction, id)? else { return Ok(()) };
            let plan = give_up_untold(&dirty)?;
            let given_up = apart.outcomes(transaction, id, now, || apply(transaction, &dirty, &plan, now))?;
            notices.extend(given_up.into_iter().flatten());
            Ok(())
        })?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn diffs(&self, ids: &[RowId]) -> Result<Vec<(Dirty, Diff)>> {
        let dirty = self.engine_read(|transaction| {
            let all = ids.iter().filter_map(|id| load(transaction, *id).transpose());
            let mut all = all.collect::<rusqlite::Result<Vec<_>>>()?;
            // Nothing else of a row that is deleted here is sent.
            all.retain(|dirty| dirty.deletion.is_none());
            Ok(all)
        })?;
        let one = |dirty| diff(&dirty).map(|diff| (dirty, diff));
        let diffs: Result<_, BadRecord> = match threads::are_shared() {
            true => dirty.into_par_iter().map(one).collect(),
            false => dirty.into_iter().map(one).collect(),
        };
        diffs.map_err(|e| self.naming_row(Failed::from(e).at(&self.path)))
    }

    fn settle_without_call(&mut self, ids: &[RowId], now: DateTime<Utc>) -> Result<(usize, Vec<Notice>)> {
        type Part = (usize, Vec<Notice>);
        let parts = self.in_small_parts(ids, |transaction, apart, id, (unchanged, notices): &mut Part| {
            let Some(dirty) = load(transaction, id)? else { return Ok(()) };
            let diff = diff(&dirty)?;
            let settled = || apply(transaction, &dirty, &diff.plan, now);
            let Some(settled) = apart.all(transaction, id, now, settled)? else { return Ok(()) };
            notices.extend(settled);
            *unchanged += usize::from(diff.is_unchanged());
            Ok(())
        })?;
        let (unchanged, notices): (Vec<usize>, Vec<Vec<Notice>>) = parts.into_iter().unzip();
        Ok((unchanged.into_iter().sum(), notices.into_iter().flatten().collect()))
    }
}

fn email_edit(dirty: &Dirty, payload: &Payload) -> Option<EmailEdit> {
    let unique = dirty.resource().unique()?;
    let Value::Text(to) = payload.value(unique)? else { return None };
    let from = match dirty.base.as_ref()?.attributes().ok()?.get(unique) {
        Value::Text(from) => from,
        _ => String::new(),
    };
    Some(EmailEdit { id: dirty.id, from, to: to.clone() })
}

/// Whose rows of a table these are, as parameters of `customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3`.
pub(super) fn whose(row: RowId) -> (i64, Option<&'static str>, Option<i64>) {
    let (resource, of_row) = row.beside_its_customer();
    (row.customer.0, resource, of_row)
}

/// The row that three columns from this place on name.
pub(super) fn row_id(sql: &SqlRow<'_>, place: usize) -> rusqlite::Result<RowId> {
    let resource = sql.get_ref(place + 1)?.as_str_or_null().map_err(|e| malformed(place + 1, e))?;
    let row = RowId::standing(CustomerId(sql.get(place)?), resource, sql.get(place + 2)?);
    row.ok_or_else(|| malformed(place + 1, std::fmt::Error))
}

/// One row with its unsettled edits; `None`: it is not in the file. Without such edits there is nothing to decide, and
/// conflicts are not looked for.
///
/// # Errors
/// When a row cannot be read; where a program has put what is no value into an attribute of which edits wait, too.
pub(super) fn load(connection: &Connection, id: impl Into<RowId>) -> rusqlite::Result<Option<Dirty>> {
    load_for(connection, id.into(), For::Store)
}

/// The same for what a person decides: what is no value is told with it, and of money alone it is in the way of each decision.
pub(super) fn load_to_decide(
    connection: &Connection,
    id: impl Into<RowId>,
) -> rusqlite::Result<Option<Dirty>> {
    load_for(connection, id.into(), For::Person)
}

/// For whom a customer is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Store,
    Person,
}

fn load_for(connection: &Connection, id: RowId, whom: For) -> rusqlite::Result<Option<Dirty>> {
    let mut statement = connection.prepare_cached(&statements::of(id.resource).select)?;
    let mut rows = statement.query(params_from_iter(id.key()))?;
    let Some(found) = rows.next()? else {
        let Some((row, deletion)) = delete::as_it_was(connection, id)? else { return Ok(None) };
        let around = load_around(connection, row, load_ops(connection, id)?)?;
        return Ok(Some(Dirty { deletion: Some(deletion), open: load_open(connection, id)?, ..around }));
    };
    let row = row::read(id.resource, found)?;
    let ops = load_ops(connection, id)?;
    let may_be_sent = |op: &Op| match whom {
        For::Store => op.is_pending() || op.outcome == Some(Outcome::Rejected),
        For::Person => op.field.is_money() && op.outcome != Some(Outcome::InFlight),
    };
    let waits = |field: FieldId| ops.iter().any(|op| op.field == field && may_be_sent(op));
    row::refuse_unsound(id.resource, found, waits)?;
    let mut unsound = match whom {
        For::Store => BTreeSet::new(),
        For::Person => row::unsound_among(id.resource, found, |_| true)?,
    };
    let dirty = load_around(connection, row, ops)?;
    let waits = |field: FieldId| dirty.ops.iter().any(|op| op.field == field && may_be_sent(op));
    let entries = dirty.row.resource().entries().filter(|entries| whom == For::Person || waits(*entries));
    match entries
        .filter(|entries| dirty.base.as_ref().is_some_and(|base| lacks_all(*entries, &dirty.row, base)))
    {
        Some(entries) if whom == For::Store => return Err(row::no_value(entries)),
        Some(entries) => _ = unsound.insert(entries),
        None => {}
    }
    Ok(Some(Dirty { unsound, ..dirty }))
}

/// What there is around a row.
fn load_around(connection: &Connection, row: Row, ops: Vec<Op>) -> rusqlite::Result<Dirty> {
    let id = row.row_id();
    let of_secret = ops.iter().filter(|op| op.field.is_secret());
    let mut passwords = of_secret
        .map(|op| load_password(connection, op.seq))
        .collect::<rusqlite::Result<Vec<Option<SecretString>>>>()?;
    let (known, has_attempts) = load_base(connection, id)?;
    let open = if ops.is_empty() && !has_attempts { Vec::new() } else { load_open(connection, id)? };
    let is_gone = open.iter().any(|open| open.subject == Subject::Customer);
    let (base, lately, is_behind) = match known {
        Some(Known { record, lately, is_behind }) => (Some(record), lately, is_behind),
        None if id.resource.spec().is_upserted && !is_gone => {
            (Some(Record::of_nothing(id)), Lately::default(), false)
        }
        None => (None, Lately::default(), false),
    };
    Ok(Dirty {
        id,
        base,
        is_behind,
        lately,
        row,
        unsound: BTreeSet::new(),
        open,
        is_credit_undated: has_attempts && state::is_credit_undated(connection)?,
        attempts: if has_attempts { attempt::load(connection, id)? } else { Vec::new() },
        password: passwords.pop().flatten(),
        earlier_passwords: passwords.into_iter().flatten().collect(),
        deletion: None,
        ops,
    })
}

/// No edit takes out the form fields by NULL where the store has some: read as such, it would be another edit than the one that waits.
fn lacks_all(entries: FieldId, row: &Row, base: &Record) -> bool {
    let has_some = |forms: Value| matches!(forms, Value::Forms(entries) if !entries.is_empty());
    row.get(entries).is_null() && base.attributes().is_ok_and(|base| has_some(base.get(entries)))
}

/// The same with its conflicts, whether or not edits are left.
pub(super) fn load_whole(connection: &Connection, id: impl Into<RowId>) -> rusqlite::Result<Option<Dirty>> {
    let id = id.into();
    let Some(dirty) = load_to_decide(connection, id)? else { return Ok(None) };
    Ok(Some(Dirty { open: load_open(connection, id)?, ..dirty }))
}

pub(super) fn load_row(connection: &Connection, id: impl Into<RowId>) -> rusqlite::Result<Option<Row>> {
    let id = id.into();
    connection
        .prepare_cached(&statements::of(id.resource).select)?
        .query_row(params_from_iter(id.key()), |found| row::read(id.resource, found))
        .optional()
}

pub(super) fn load_snapshot(
    connection: &Connection,
    id: impl Into<RowId>,
) -> rusqlite::Result<Option<Record>> {
    let id = id.into();
    connection
        .prepare_cached(&statements::of(id.resource).snapshot)?
        .query_row(params_from_iter(id.key()), |row| {
            row::refuse_too_large(row)?;
            Ok(Record::of(id.resource, row.get::<_, String>(0)?))
        })
        .optional()
}

/// What is known of a row.
pub(super) fn load_known(connection: &Connection, id: RowId) -> rusqlite::Result<Option<Known>> {
    connection
        .prepare_cached(&statements::of(id.resource).known)?
        .query_row(params_from_iter(id.key()), |row| {
            row::refuse_too_large(row)?;
            let record = Record::of(id.resource, row.get::<_, String>(0)?);
            Ok(Known::of(record, lately(row.get(1)?), row.get(2)?))
        })
        .optional()
}

/// The same, and whether anything that was sent of it is on record: one statement.
fn load_base(connection: &Connection, id: RowId) -> rusqlite::Result<(Option<Known>, bool)> {
    let (customer, resource, of_row) = whose(id);
    let (key, note) = (id.key().collect::<Vec<_>>(), ahead::key(id));
    let key = key.iter().map(|part| part as &dyn ToSql);
    let parameters: [&dyn ToSql; 4] = [&customer, &resource, &of_row, &note];
    connection.prepare_cached(&statements::of(id.resource).base)?.query_row(
        params_from_iter(key.chain(parameters)),
        |row| {
            row::refuse_too_large(row)?;
            let (snapshot, noted): (Option<String>, Option<String>) = (row.get(0)?, row.get(3)?);
            let lately = lately(row.get(2)?);
            let record = snapshot.map(|body| Record::of(id.resource, body));
            Ok((record.map(|record| Known::of(record, lately, noted)), row.get(1)?))
        },
    )
}

fn lately(text: Option<String>) -> Lately {
    Lately::read(text.as_deref())
}

/// Sorted here: with `ORDER BY` beside a partial index, SQLite parses the statement anew for every customer.
pub(super) fn load_ops(connection: &Connection, id: impl Into<RowId>) -> rusqlite::Result<Vec<Op>> {
    let id = id.into();
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT seq, field, op,
                    iif(op = 'adjust' OR field IN ({}), value, ''),
                    iif(field IN ({}), was, ''), outcome, reject_group, at, author
             FROM journal
             WHERE customer_id = ?1 AND settled_at IS NULL AND of_resource IS ?2 AND of_row IS ?3
               AND op IN ('set', 'adjust')",
            row::names(|field| field.is_money() || field.has_entries()),
            row::names(FieldId::has_entries)
        )
    });
    let mut ops: Vec<Op> = connection
        .prepare_cached(&SQL)?
        .query_map(whose(id), |row| op(row, id.resource))?
        .collect::<rusqlite::Result<_>>()?;
    ops.sort_unstable_by_key(|op| op.seq);
    Ok(ops)
}

fn op(row: &SqlRow<'_>, resource: ResourceId) -> rusqlite::Result<Op> {
    let (field, kind, value): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let field = resource.field(&field).ok_or_else(|| malformed(1, std::fmt::Error))?;
    let amount = || value.trim_matches('"').parse().map_err(|e| malformed(3, e));
    let read = |json: &str| Value::from_json(field.kind(), json);
    let sound = |json: &str| serde_json::from_str::<IgnoredAny>(json).map(|_| read(json));
    let change = match (kind.as_str(), field.kind()) {
        ("adjust", _) => Change::Adjust(amount()?),
        (_, Kind::Credit) => Change::Balance(sound(&value).map_err(|e| malformed(3, e))?),
        (_, Kind::Forms) => Change::of_forms(&read(&value), &read(&row::told(row, 4)?)),
        _ => Change::Set,
    };
    let at: String = row.get(7)?;
    Ok(Op {
        seq: EditSeq(row.get(0)?),
        field,
        change,
        outcome: row.get::<_, Option<String>>(5)?.as_deref().and_then(Outcome::named),
        reject_group: row.get(6)?,
        at: DateTime::parse_from_rfc3339(&at).ok().map(|at| at.with_timezone(&Utc)),
        author: row.get(8)?,
    })
}

/// A column holds what the triggers never write: the file was changed from outside.
pub(super) fn malformed(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

pub(super) fn load_open(
    connection: &Connection,
    id: impl Into<RowId>,
) -> rusqlite::Result<Vec<OpenConflict>> {
    let id = id.into();
    let mut open: Vec<OpenConflict> = connection
        .prepare_cached(
            "SELECT id, field, base, local, remote, result
             FROM conflict INDEXED BY tillsync_conflict_open
             WHERE customer_id = ?1 AND resolution IS NULL AND of_resource IS ?2 AND of_row IS ?3",
        )?
        .query_map(whose(id), |row| {
            let subject =
                Subject::read(id, &row.get::<_, String>(1)?).ok_or_else(|| malformed(1, std::fmt::Error))?;
            let (base, local, remote) = (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(OpenConflict { id: row.get(0)?, subject, base, local, remote, doubt: row.get(5)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    open.sort_unstable_by_key(|conflict| conflict.id);
    Ok(open)
}

/// What an edit had set.
pub(super) fn load_value(connection: &Connection, op: &Op) -> rusqlite::Result<Value> {
    connection.prepare_cached("SELECT value FROM journal WHERE seq = ?1")?.query_row([op.seq.0], |row| {
        row::refuse_too_large(row)?;
        Ok(Value::from_json(op.field.kind(), &row.get::<_, String>(0)?))
    })
}

fn load_password(connection: &Connection, seq: EditSeq) -> rusqlite::Result<Option<SecretString>> {
    connection
        .prepare_cached("SELECT new_password FROM pending_password WHERE seq = ?1")?
        .query_row([seq.0], |row| Ok(SecretString::from(row.get::<_, String>(0)?)))
        .optional()
}
