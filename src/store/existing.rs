//! Somebody was entered here whom the store has already, or somebody with the same address: a person says which.
//!
//! The same person: what was entered becomes that customer, and what was typed becomes edits of it, with nothing as their base. What only
//! one side has is taken; what both have waits for a person, field by field. Nobody adds money by a guess: what both have waits too.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use secrecy::ExposeSecret;

use super::apply::{insert_snapshot, is_written, settle, wipe_passwords_of};
use super::create::{self, close_existing, is_uncreated, refuse};
use super::{Failed, attempt, delete, departure, dirty, edit, follow, row, state, statements};
use crate::clock::stamp;
use crate::error::Error;
use crate::flow::{Keep, Outcome, Settlement, is_tidied, made, refuse_unseen, was_made_since};
use crate::resource::{
    Edit, EditSeq, FieldId, FormValue, Record, Row, RowId, Subject, Value, add_credit, first_credit,
    parse_argument,
};

/// Why the till's side alone is none.
const NO_LOCAL: &str = "exists in the store already: it is the same person (keep the store's), another one (give its address), or \
                        not to be created (discard)";

/// So much what is known of the store's clock may be wrong.
const CLOCKS: TimeDelta = TimeDelta::seconds(61);

/// Decides who somebody is that exists in the store already.
pub(super) fn resolve(
    transaction: &Connection,
    id: RowId,
    keep: &Keep,
    seen: Option<&str>,
    author: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    refuse_moved_on(transaction, id, seen)?;
    let Some((conflict, record)) = open(transaction, id)? else {
        return Err(refuse(id, "there is no conflict to resolve"));
    };
    edit::set_context(transaction, author, Some("resolve"))?;
    let done = match keep {
        Keep::Local => Err(refuse(id, NO_LOCAL)),
        Keep::Value(text) => is_another(transaction, id, text, now),
        Keep::Remote => is_the_same(transaction, id, &record, now),
    };
    edit::set_context(transaction, None, None)?;
    done?;
    let decided = "UPDATE conflict SET resolved_by = ?2 WHERE id = ?1";
    is_written(transaction.prepare_cached(decided)?.execute(params![conflict, author])?)
}

/// Nothing is decided of what has moved on since it was `seen`.
pub(super) fn refuse_moved_on(transaction: &Connection, id: RowId, seen: Option<&str>) -> Result<(), Failed> {
    match (seen, dirty::load_whole(transaction, id)?) {
        (Some(_), Some(dirty)) => Ok(refuse_unseen(&dirty, &Subject::Existing, seen)?),
        _ => Ok(()),
    }
}

/// The conflict that waits, and what the store has.
fn open(connection: &Connection, id: RowId) -> rusqlite::Result<Option<(i64, Record)>> {
    connection
        .prepare_cached(
            "SELECT id, remote FROM conflict INDEXED BY tillsync_conflict_open
             WHERE customer_id = ?1 AND field = ?2 AND resolution IS NULL",
        )?
        .query_row(params![id.customer.0, Subject::Existing.word(id)], |row| {
            Ok((row.get(0)?, Record::of(id.resource, row.get::<_, String>(1)?)))
        })
        .optional()
}

fn is_another(transaction: &Connection, id: RowId, text: &str, now: DateTime<Utc>) -> Result<(), Failed> {
    let Some(unique) = id.resource.unique() else { return Err(refuse(id, NO_LOCAL)) };
    let edit = parse_argument(id.customer, unique.name(), text).map_err(Error::from)?;
    if let Edit::Set(field, value) = edit {
        as_edit(transaction, id, field, &value)?;
    }
    close_existing(transaction, id, "value", now)?;
    for (seq, _) in
        create::unsettled(transaction, id)?.into_iter().filter(|(_, it)| *it == Some(Outcome::Held))
    {
        settle(transaction, &Settlement::new(seq, None), now)?;
    }
    Ok(())
}

fn is_the_same(
    transaction: &Connection,
    id: RowId,
    record: &Record,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    if !is_uncreated(transaction, id)? {
        return Err(refuse(id, "there is no conflict to resolve"));
    }
    let entered = dirty::load_to_decide(transaction, id)?.ok_or(Failed::Ignored)?;
    let known_as = made(id, &record.attributes()?);
    if delete::waits(transaction, known_as)?.is_some() {
        let whom = known_as.customer;
        return Err(refuse(
            id,
            &format!("customer {whom} is to be deleted: give that up first, with discard {whom}"),
        ));
    }
    // What the till granted may be in what the store has, and spent since.
    let may_be_ours =
        departure::of(transaction, id)?.is_some() || !was_there_before(transaction, id, record)?;
    departure::forget(transaction, id)?;
    if let Some(creation) = create::creation_of(transaction, id)? {
        settle(transaction, &Settlement::new(creation, Outcome::Uploaded), now)?;
    }
    create::end_all(transaction, id, Outcome::Superseded, now)?;
    wipe_passwords_of(transaction, id, now)?;
    close_existing(transaction, id, "remote", now)?;
    follow::follow(transaction, id, known_as, now)?;
    as_the_store_has_it(transaction, known_as, record)?;
    let theirs = dirty::load_snapshot(transaction, known_as)?.ok_or(Failed::Ignored)?;
    let theirs = Row::of(known_as, &theirs.attributes_of(known_as)?);
    for field in known_as.resource.editable_columns() {
        match entered.row.get(field) {
            value if field.is_money() => money(transaction, &theirs, field, value, may_be_ours, now)?,
            value => typed(transaction, &theirs, field, value, now)?,
        }
    }
    if let Some(password) = &entered.password {
        let set = "INSERT INTO password_change VALUES (?1, ?2)";
        transaction.prepare_cached(set)?.execute(params![known_as.customer.0, password.expose_secret()])?;
    }
    Ok(())
}

/// Whether the store has made it before it was entered here, by the store's clock: no try of this till's has, also if the file was set
/// back to before it left.
fn was_there_before(transaction: &Connection, id: RowId, record: &Record) -> Result<bool, Failed> {
    let entered: Option<String> = transaction
        .prepare_cached(
            "SELECT at FROM journal INDEXED BY tillsync_journal_unsettled
             WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND op = 'create'",
        )?
        .query_row(dirty::whose(id), |row| row.get(0))
        .optional()?;
    let entered = entered.as_deref().and_then(attempt::moment);
    let ahead = state::clock_offset(transaction)?;
    let since = entered.map_or(DateTime::UNIX_EPOCH, |entered| entered + ahead - CLOCKS);
    Ok(!was_made_since(&record.attributes()?, since))
}

/// Who was not pulled yet is in the file from now on, as the store showed it.
fn as_the_store_has_it(transaction: &Connection, id: RowId, record: &Record) -> Result<(), Failed> {
    if dirty::load_snapshot(transaction, id)?.is_some() {
        return Ok(());
    }
    let attributes = record.attributes()?;
    insert_snapshot(transaction, &attributes, record.body())?;
    state::count_snapshot(transaction, id.resource, 1)?;
    let theirs = Row::of(id, &attributes);
    let columns: Vec<_> = id.resource.columns().map(|field| (field, row::cell(theirs.get(field)))).collect();
    is_written(statements::overwrite(transaction, id, &columns)?)
}

/// What was typed of an attribute becomes an edit of what the store has; what waits of it under that id already is no word of the store's.
fn typed(
    transaction: &Connection,
    theirs: &Row,
    field: FieldId,
    typed: &Value,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let id = theirs.row_id();
    let Some(row) = dirty::load_row(transaction, id)? else { return Ok(()) };
    let (ours, theirs) = (row.get(field), theirs.get(field));
    if is_nothing(typed) || is_tidied(field, typed, theirs) || is_tidied(field, typed, ours) {
        return Ok(());
    }
    if let (Value::Forms(typed), Value::Forms(known)) = (typed, theirs) {
        let ours = if let Value::Forms(ours) = ours { ours } else { known };
        let both = typed.iter().filter(|(name, value)| known.get(*name).is_some_and(|known| known != *value));
        let both: Vec<(&String, &FormValue)> = both.collect();
        let all = ours.iter().chain(typed).map(|(name, value)| (name.clone(), value.clone()));
        as_edit(transaction, id, field, &Value::Forms(all.collect()))?;
        for (name, value) in both {
            let theirs = known.get(name).map(FormValue::to_json).unwrap_or_else(|| "null".to_owned());
            hold(transaction, id, &Subject::entry(field, name), &value.to_json(), &theirs, now)?;
        }
        return Ok(());
    }
    as_edit(transaction, id, field, typed)?;
    match is_nothing(theirs) && is_nothing(ours) {
        true => Ok(()),
        false => hold(transaction, id, &Subject::Field(field), &typed.to_json(), &theirs.to_json(), now),
    }
}

/// Nothing was said of it.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::Credit(_) => first_credit(value).is_zero(),
        Value::Forms(entries) => entries.is_empty(),
        Value::Channels(ids) => ids.is_empty(),
        _ => false,
    }
}

/// What the till granted goes on top of nothing; on top of something only by a person's word, and so where what the store has may be what is
/// left of it.
fn money(
    transaction: &Connection,
    theirs: &Row,
    field: FieldId,
    typed: &Value,
    may_be_ours: bool,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let (id, granted, theirs) = (theirs.row_id(), first_credit(typed), theirs.get(field));
    if granted.is_zero() {
        return Ok(());
    }
    let pay = "INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?1, ?2)";
    transaction.prepare_cached(pay)?.execute(params![id.customer.0, granted.to_string()])?;
    if first_credit(theirs).is_zero() && !may_be_ours {
        return Ok(());
    }
    let both = add_credit(theirs, granted).unwrap_or_else(|| typed.clone());
    hold(transaction, id, &Subject::Field(field), &both.to_json(), &theirs.to_json(), now)
}

/// As anybody's: the triggers check and journal it.
fn as_edit(transaction: &Connection, id: RowId, field: FieldId, value: &Value) -> Result<(), Failed> {
    let key = id.key().map(rusqlite::types::Value::Integer);
    let mut statement = transaction.prepare_cached(statements::edit(field))?;
    for (place, part) in key.enumerate() {
        statement.raw_bind_parameter(place + 1, part)?;
    }
    statement.raw_bind_parameter(id.resource.spec().key.len() + 1, row::cell(value))?;
    is_written(statement.raw_execute()?)
}

/// The edit that was made just now waits for a person.
fn hold(
    transaction: &Connection,
    id: RowId,
    subject: &Subject,
    local: &str,
    remote: &str,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let Some(field) = subject.field() else { return Ok(()) };
    let (customer, of_resource, of_row) = dirty::whose(id);
    let edits = "SELECT seq FROM journal INDEXED BY tillsync_journal_unsettled
                 WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND field = ?4
                   AND coalesce(outcome, 'held') = 'held'
                 ORDER BY seq DESC";
    let edits: Vec<EditSeq> = transaction
        .prepare_cached(edits)?
        .query_map(params![customer, of_resource, of_row, field.name()], |row| Ok(EditSeq(row.get(0)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let Some(seq) = edits.first().copied() else { return Ok(()) };
    // What was set before, and waited, has the same value in the row now. A payment and an entry stand for themselves.
    let is_of_all = matches!(subject, Subject::Field(field) if !field.is_money());
    for seq in edits.into_iter().take(if is_of_all { usize::MAX } else { 1 }) {
        settle(transaction, &Settlement::new(seq, Outcome::Held), now)?;
    }
    // Where a conflict of that customer is open about it already, that one stands for both.
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO conflict (customer_id, of_resource, of_row, field, base, local, remote, policy, author, seq, detected_at)
             SELECT ?1, ?2, ?3, ?4, 'null', ?5, ?6, 'hold', author, seq, ?7 FROM journal WHERE seq = ?8",
        )?
        .execute(params![customer, of_resource, of_row, subject.word(id), local, remote, stamp(now), seq.0])?;
    Ok(())
}
