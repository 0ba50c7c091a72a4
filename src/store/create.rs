//! Rows that the store does not have yet: which are due, on their way, landed or refused.
//!
//! Who is entered here has an id below zero, an unsettled `create` in the journal, and no snapshot. All that is edited until it leaves is part
//! of its creation. When the store has given it an id, all that is of it goes by that from then on (`follow`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::apply::{apply, is_written, remove_row, settle, wipe_passwords_of};
use super::batch::{self, InFlight, begin, leave, remove_batches, remove_item};
use super::held_up::{self, Apart};
use super::{Failed, Prepared, Store, delete, departure, dirty, follow, life, row, state};
use crate::clock::stamp;
use crate::error::{Error, Failure, Result};
use crate::flow::{
    Act, Notice, Outcome, Payload, Rejection, SentRow, Settlement, creation, folded_identity, identity,
    is_as_sent, landed, made, sent_identity, was_made_since,
};
use crate::resource::{
    Attributes, CustomerId, EditError, EditSeq, FieldId, Record, ResourceId, Row, RowId, Subject, Value,
    first_credit,
};

/// What is journaled of a whole row.
pub(super) const WHOLE: &str = "*";

/// So much what is known of the store's clock may be wrong.
const CLOCKS: TimeDelta = TimeDelta::seconds(61);

/// Which rows of the journal are a row's.
const IS_ITS: &str = "customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3";

/// What became of creations.
#[derive(Debug, Default)]
pub(crate) struct Created {
    /// What each was called here, and is called now.
    pub(crate) follows: Vec<(RowId, RowId)>,
    /// Those that were refused, with the edit that stands for each, and the store's words.
    pub(crate) refused: Vec<(RowId, EditSeq, String)>,
    /// Those that exist in the store already.
    pub(crate) existing: Vec<(RowId, EditSeq)>,
    /// All whose answer is known.
    pub(crate) through: Vec<RowId>,
    /// What became of edits that were part of them.
    pub(crate) notices: Vec<Notice>,
}

impl Created {
    fn with(mut self, other: Created) -> Created {
        self.follows.extend(other.follows);
        self.refused.extend(other.refused);
        self.existing.extend(other.existing);
        self.through.extend(other.through);
        self.notices.extend(other.notices);
        self
    }
}

impl Store {
    /// Those of these new rows with pending edits that are to be created, each with what it is looked for by. Of what was edited of none
    /// that is to be created, and is not there, nothing is left to send: it ends.
    pub(super) fn creations(
        &mut self,
        new: &[RowId],
        now: DateTime<Utc>,
    ) -> Result<Vec<(RowId, Option<String>)>> {
        let (mut named, mut gone) = (Vec::new(), Vec::new());
        for row in new {
            let found =
                |connection: &Connection| Ok((dirty::load_row(connection, *row)?, is_due(connection, *row)?));
            match self.read_at_once(found)? {
                (Some(found), true) => named.push((*row, identity_of(&found))),
                // Of a creation whose row cannot be brought back nothing is sent, and nothing is given up.
                (None, _) if self.read_at_once(|it| is_over(it, *row))? => gone.push(*row),
                _ => {}
            }
        }
        self.end_taken_back(&gone, now)?;
        Ok(named)
    }

    /// What rows of the store are to give up by edits that have not landed, of what no two have.
    pub(crate) fn given_up(&self, resource: ResourceId) -> Result<BTreeSet<String>> {
        let Some(unique) = resource.unique() else { return Ok(BTreeSet::new()) };
        self.read_at_once(|connection| {
            let mut givers = connection.prepare_cached(
                "SELECT DISTINCT customer_id, of_resource, of_row FROM journal INDEXED BY tillsync_journal_unsettled
                 WHERE settled_at IS NULL AND customer_id > 0 AND (field = ?1 OR op = 'delete')",
            )?;
            let givers = givers.query_map([unique.name()], |row| dirty::row_id(row, 0))?;
            let mut given_up = BTreeSet::new();
            for giver in givers.filter(|it| it.as_ref().map_or(true, |it| it.resource == resource)) {
                given_up.extend(identity_in_store(connection, giver?)?);
            }
            Ok(given_up)
        })
    }

    /// By what these are looked for in the store.
    pub(crate) fn identities(&self, rows: &[RowId]) -> Result<BTreeMap<RowId, String>> {
        self.engine_read(|transaction| {
            let mut all = BTreeMap::new();
            for row in rows {
                let unique = row.resource.unique();
                let sent = batch::on_its_way(transaction, *row)?.map(|flight| flight.sent.fields);
                let value = match (unique, sent) {
                    (Some(unique), Some(fields)) => {
                        fields.into_iter().find(|(field, _)| *field == unique).map(|(_, value)| value)
                    }
                    _ => None,
                };
                if let Some(Value::Text(text)) = value {
                    all.insert(*row, text);
                }
            }
            Ok(all)
        })
    }

    fn end_taken_back(&mut self, gone: &[RowId], now: DateTime<Utc>) -> Result<()> {
        self.in_small_parts(gone, |transaction, _, id, (): &mut ()| {
            departure::forget(transaction, id)?;
            end_all(transaction, id, Outcome::Unchanged, now)?;
            close_existing(transaction, id, "discarded", now)?;
            Ok(wipe_passwords_of(transaction, id, now)?)
        })?;
        Ok(())
    }

    /// Commits batches of creations, as [`Store::prepare_batches`] does of updates.
    pub(crate) fn prepare_creations<'i>(
        &mut self,
        batches: impl IntoIterator<Item = &'i [RowId]>,
        most_bytes: Option<usize>,
        clock: StoreClock,
        now: DateTime<Utc>,
    ) -> Result<Vec<Prepared>> {
        self.leaving(batches, |transaction, apart, ids| {
            prepare(transaction, apart, ids, most_bytes, clock, now)
        })
    }

    /// Those of these rows that left under another address before, and may have landed since nobody was found there: they are in doubt again,
    /// as they were sent then. What was edited since waits.
    pub(crate) fn doubt_anew(&mut self, rows: &[RowId], now: DateTime<Utc>) -> Result<Vec<RowId>> {
        let anew = self.engine_read(|transaction| {
            let mut anew = Vec::new();
            for row in rows {
                if is_due(transaction, *row)? && sent_as_another(transaction, *row)?.is_some() {
                    anew.push(*row);
                }
            }
            Ok(anew)
        })?;
        let parts = self.in_small_parts(&anew, |transaction, apart, id, all: &mut Vec<RowId>| {
            let Some(payload) = sent_as_another(transaction, id)? else { return Ok(()) };
            let doubted = apart.all(transaction, id, now, || {
                let batch = begin(transaction, &mut None, id.resource, Act::Create, now)?;
                leave(transaction, batch, 0, &payload, now)
            })?;
            all.extend(doubted.map(|()| id));
            Ok(())
        })?;
        Ok(parts.concat())
    }

    /// Those that were doubted anew were looked for, and those that are not in doubt any more are not there.
    pub(crate) fn looked_again(&mut self, rows: &[RowId], now: DateTime<Utc>) -> Result<()> {
        self.in_small_parts(rows, |transaction, apart, id, (): &mut ()| {
            if batch::on_its_way(transaction, id)?.is_none() {
                apart.outcomes(transaction, id, now, || Ok(departure::note_looked(transaction, id)?))?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Those of these whom this file has made, and when, by the store's clock.
    pub(crate) fn made_here(&self, rows: &[RowId]) -> Result<BTreeMap<RowId, DateTime<Utc>>> {
        self.engine_read(|transaction| {
            let mut made = BTreeMap::new();
            for row in rows {
                let known = match follow::is_taken(transaction, *row)? {
                    true => dirty::load_snapshot(transaction, *row)?,
                    false => None,
                };
                let Some(known) = known else { continue };
                let told = known.attributes()?;
                let created = row.resource.created_at().and_then(|field| told.get(field).date());
                made.extend(created.map(|created| (*row, created)));
            }
            Ok(made)
        })
    }

    /// These were made: each goes by its new id from now on. One whose id something of the app's does not let follow stays in doubt, and is
    /// looked for again by the next sync.
    pub(crate) fn settle_created(&mut self, made: &[(RowId, Record)], now: DateTime<Utc>) -> Result<Created> {
        self.look_at_triggers();
        let ids: Vec<RowId> = made.iter().map(|(id, _)| *id).collect();
        let records: BTreeMap<RowId, &Record> = made.iter().map(|(id, record)| (*id, record)).collect();
        let parts = self.in_small_parts(&ids, |transaction, apart, id, created: &mut Created| {
            if let Some(record) = records.get(&id)
                && !is_somebody_else(transaction, id, record)?
            {
                land(transaction, apart, id, record, created, now)?;
            }
            Ok(remove_batches(transaction)?)
        })?;
        Ok(parts.into_iter().fold(Created::default(), Created::with))
    }

    /// Creations in doubt, or refused, were looked for.
    pub(crate) fn looked_for(
        &mut self,
        ids: &[RowId],
        found: &LookedFor,
        now: DateTime<Utc>,
        refuse: impl FnOnce(&[RowId]) -> Vec<Rejection>,
    ) -> Result<Created> {
        let parts = self.in_small_parts(ids, |transaction, apart, id, (created, pending): &mut Looked| {
            let Some(flight) = batch::on_its_way(transaction, id)? else { return Ok(()) };
            // Who was told once is that one, by whatever address it is found by now.
            if let Some(told) = departure::told(transaction, id)? {
                // What the file knows of that one was read since.
                let known = dirty::load_snapshot(transaction, made(id, &told.attributes()?))?;
                land(transaction, apart, id, &known.unwrap_or(told), created, now)?;
                return Ok(remove_batches(transaction)?);
            }
            let who = as_found(transaction, &flight, found)?;
            if !believe(transaction, apart, &flight, who, created, now)? {
                if !found.refused.contains(&id) {
                    departure::note_lost(transaction, id)?;
                }
                pending.push(id);
            }
            Ok(remove_batches(transaction)?)
        })?;
        let (created, pending): (Vec<Created>, Vec<Vec<RowId>>) = parts.into_iter().unzip();
        let (created, pending) =
            (created.into_iter().fold(Created::default(), Created::with), pending.concat());
        let rejections = refuse(&pending);
        let is_refused = |id: &RowId| rejections.iter().any(|refused| refused.row == *id);
        let again: Vec<RowId> = pending.iter().copied().filter(|id| !is_refused(id)).collect();
        self.release(&again, now)?;
        rejections
            .iter()
            .filter(|rejection| pending.contains(&rejection.row))
            .try_fold(created, |created, rejection| Ok(created.with(self.reject_creation(rejection, now)?)))
    }

    /// The store refused it: it waits for a person, or for an edit of it.
    pub(crate) fn reject_creation(&mut self, rejection: &Rejection, now: DateTime<Utc>) -> Result<Created> {
        let ids = [rejection.row];
        let parts = self.in_small_parts(&ids, |transaction, apart, id, created: &mut Created| {
            let refused = apart.outcomes(transaction, id, now, || reject(transaction, rejection, now))?;
            created.refused.extend(refused.flatten().map(|seq| (id, seq, rejection.words.clone())));
            created.through.push(id);
            Ok(remove_batches(transaction)?)
        })?;
        Ok(parts.into_iter().fold(Created::default(), Created::with))
    }

    /// These rows as they would be sent: as far as they are here alone.
    pub(super) fn creation_payloads(&self, rows: &[RowId]) -> Result<Vec<Payload>> {
        self.engine_read(|transaction| {
            let mut payloads = Vec::new();
            for row in rows {
                if is_uncreated(transaction, *row)? {
                    let row = dirty::load_to_decide(transaction, *row)?;
                    payloads.extend(row.filter(|row| row.deletion.is_none()).as_ref().map(creation));
                }
            }
            Ok(payloads)
        })
    }

    /// What a customer is called now: an id below zero was given here, and may have become another since.
    pub(super) fn today(&self, id: CustomerId) -> Result<CustomerId> {
        if id.0 >= 0 {
            return Ok(id);
        }
        self.read_at_once(|connection| Ok(follow::today(connection, id)?))
    }
}

/// What is known of the store's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreClock {
    /// How much it is ahead of the till's.
    pub(crate) ahead: TimeDelta,
    /// By how much that may be wrong.
    pub(crate) slack: TimeDelta,
}

/// Creations that were looked for, and those that are not there.
type Looked = (Created, Vec<RowId>);

/// What a look for creations has found.
#[derive(Debug)]
pub(crate) struct LookedFor {
    /// Rows of the store, by what no two have.
    pub(crate) rows: BTreeMap<String, Vec<Record>>,
    /// By how much what is known of the store's clock may be wrong.
    pub(crate) slack: TimeDelta,
    /// Those that the store refused by name, or alone: whoever is there need not be of that try.
    pub(crate) refused: BTreeSet<RowId>,
}

/// Whom a look has found for a creation.
enum Who<'f> {
    Ours(&'f Record),
    /// With what was sent changed since, ours may look like that too.
    Another {
        record: &'f Record,
        may_be_ours: bool,
    },
    Nobody,
}

fn as_found<'f>(connection: &Connection, flight: &InFlight, found: &'f LookedFor) -> Result<Who<'f>, Failed> {
    let (id, sent) = (flight.dirty.id, &flight.sent.fields);
    let payload = Payload { id, fields: sent.clone(), ..Payload::default() };
    let identity = sent_identity(&SentRow::of(&payload, None));
    let all = identity.and_then(|identity| found.rows.get(&identity)).map_or(&[][..], Vec::as_slice);
    let departures = departure::of(connection, id)?;
    let since = departures.as_ref().map_or(DateTime::UNIX_EPOCH, |departures| departures.first - found.slack);
    // Who was refused, and of whom no try was lost, was made by another hand: by another till, that may have granted as much. Or it was no
    // store that refused.
    let was_lost = departures.is_some_and(|departures| departures.was_lost) || !found.refused.contains(&id);
    let is_a_guess = !was_lost && has_money(sent);
    let mut may_be_ours = false;
    for record in all {
        let told = record.attributes()?;
        if !was_made_since(&told, since) || follow::is_taken(connection, made(id, &told))? {
            continue;
        }
        may_be_ours |= was_lost;
        if !is_a_guess && is_as_sent(sent, &told) {
            return Ok(Who::Ours(record));
        }
    }
    Ok(all.first().map_or(Who::Nobody, |record| Who::Another { record, may_be_ours }))
}

/// What follows from who was found. Returns whether anybody was.
fn believe(
    transaction: &Transaction<'_>,
    apart: &Apart,
    flight: &InFlight,
    who: Who<'_>,
    created: &mut Created,
    now: DateTime<Utc>,
) -> Result<bool, Failed> {
    let id = flight.dirty.id;
    match who {
        Who::Ours(record) => land(transaction, apart, id, record, created, now)?,
        Who::Another { record, may_be_ours } => {
            if !may_be_ours {
                departure::forget(transaction, id)?;
            }
            exists(transaction, apart, flight, record, created, now)?;
        }
        Who::Nobody => return Ok(false),
    }
    Ok(true)
}

/// Whom the file knows under what no two have: the store has them already.
fn known_already(connection: &Connection, entered: &Row) -> Result<Option<Record>, Failed> {
    let (Some(unique), Some(identity)) = (entered.resource().unique(), identity_of(entered)) else {
        return Ok(None);
    };
    let spec = entered.resource().spec();
    let (table, row) = (spec.name, spec.row());
    let namesakes = format!("SELECT {row} FROM {table} WHERE {unique} = ?1 COLLATE NOCASE AND {row} > 0");
    let mut namesakes = connection.prepare_cached(&namesakes)?;
    let of_row = |row: &rusqlite::Row<'_>| Ok(RowId::of_customer(CustomerId(row.get(0)?)));
    for namesake in namesakes.query_map([row::cell(entered.get(unique))], of_row)? {
        let namesake = namesake?;
        if identity_in_store(connection, namesake)?.as_ref() == Some(&identity) {
            return Ok(dirty::load_snapshot(connection, namesake)?);
        }
    }
    Ok(None)
}

/// What the store has of a row that no two have.
fn identity_in_store(connection: &Connection, row: RowId) -> rusqlite::Result<Option<String>> {
    let known = dirty::load_snapshot(connection, row)?;
    Ok(known.and_then(|known| identity(row.resource, &known.attributes_of(row).ok()?)))
}

/// Whether the id that is told of it is another's: of a row of this file that has become that one, or of one that was there, under another
/// address, before it left.
fn is_somebody_else(connection: &Connection, id: RowId, record: &Record) -> Result<bool, Failed> {
    let told = record.attributes()?;
    let made = made(id, &told);
    if follow::is_taken(connection, made)? {
        return Ok(true);
    }
    let Some(known) = dirty::load_snapshot(connection, made)? else { return Ok(false) };
    let known = known.attributes()?;
    let first = departure::of(connection, id)?.map(|departures| departures.first - CLOCKS);
    let was_there = first.is_some_and(|first| !was_made_since(&known, first));
    Ok(was_there && identity(id.resource, &known) != identity(id.resource, &told))
}

fn has_money(fields: &[(FieldId, Value)]) -> bool {
    fields.iter().any(|(field, value)| field.is_money() && !first_credit(value).is_zero())
}

/// Whether a row waits to be created: never sent, or freed by an edit since it was refused. Of what exists in the store already an edit of that by
/// which it was found.
fn is_due(connection: &Connection, id: RowId) -> rusqlite::Result<bool> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let (money, unique) = (row::names(FieldId::is_money), row::names(FieldId::is_unique));
        format!(
            "SELECT outcome IS NULL
                    OR EXISTS (SELECT 1 FROM journal AS k INDEXED BY tillsync_journal_unsettled
                               WHERE k.customer_id = ?1 AND k.settled_at IS NULL
                                 AND k.of_resource IS ?2 AND k.of_row IS ?3 AND k.outcome IS NULL
                                 AND CASE j.outcome WHEN 'rejected' THEN k.field NOT IN ({money}) ELSE k.field IN ({unique}) END)
             FROM journal AS j INDEXED BY tillsync_journal_unsettled
             WHERE {IS_ITS} AND settled_at IS NULL AND op = 'create' AND coalesce(outcome, '') <> 'in_flight'"
        )
    });
    let is_due = connection.prepare_cached(&SQL)?.query_row(dirty::whose(id), |row| row.get(0)).optional()?;
    Ok(is_due.unwrap_or(false))
}

/// What a row is looked for by.
fn identity_of(row: &Row) -> Option<String> {
    match row.get(row.resource().unique()?) {
        Value::Text(text) => Some(folded_identity(text)),
        _ => None,
    }
}

/// What was sent of it last, where that was under another address than it has now.
fn sent_as_another(connection: &Connection, id: RowId) -> Result<Option<Payload>, Failed> {
    let Some(departures) = departure::of(connection, id)? else { return Ok(None) };
    let now_as = dirty::load_row(connection, id)?.and_then(|row| identity_of(&row));
    let Some(sent) = &departures.sent else { return Ok(None) };
    let sent = Attributes::of_row(id, sent)?;
    let fields = id.resource.columns().filter(|field| sent.has(*field));
    let covers = unsettled(connection, id)?.into_iter().map(|(seq, _)| seq);
    let payload = Payload {
        id,
        fields: fields.map(|field| (field, sent.get(field))).collect(),
        covers: covers.filter(|seq| *seq <= departures.up_to).collect(),
        ..Payload::default()
    };
    let sent_as = sent_identity(&SentRow::of(&payload, None));
    Ok((sent_as.is_some() && now_as.is_some() && sent_as != now_as).then_some(payload))
}

/// The edits of a row that wait, with what has become of each: its creation among them.
pub(super) fn unsettled(
    connection: &Connection,
    id: RowId,
) -> rusqlite::Result<Vec<(EditSeq, Option<Outcome>)>> {
    let unsettled = format!(
        "SELECT seq, outcome FROM journal INDEXED BY tillsync_journal_unsettled
         WHERE {IS_ITS} AND settled_at IS NULL ORDER BY seq"
    );
    connection
        .prepare_cached(&unsettled)?
        .query_map(dirty::whose(id), |row| {
            let outcome: Option<String> = row.get(1)?;
            Ok((EditSeq(row.get(0)?), outcome.as_deref().and_then(Outcome::named)))
        })?
        .collect()
}

/// The edit that stands for its creation.
pub(super) fn creation_of(connection: &Connection, id: RowId) -> rusqlite::Result<Option<EditSeq>> {
    let creation = format!(
        "SELECT seq FROM journal INDEXED BY tillsync_journal_unsettled
         WHERE {IS_ITS} AND settled_at IS NULL AND op = 'create'"
    );
    connection
        .prepare_cached(&creation)?
        .query_row(dirty::whose(id), |row| Ok(EditSeq(row.get(0)?)))
        .optional()
}

/// Whether there is nothing left of a row that is not there: it is not to be created, or was deleted before it was.
fn is_over(connection: &Connection, row: RowId) -> Result<bool, Failed> {
    Ok(!is_uncreated(connection, row)? || delete::waits(connection, row)?.is_some())
}

pub(super) fn is_uncreated(connection: &Connection, id: RowId) -> rusqlite::Result<bool> {
    Ok(creation_of(connection, id)?.is_some())
}

fn prepare(
    transaction: &Transaction<'_>,
    apart: &Apart,
    ids: &[RowId],
    most_bytes: Option<usize>,
    clock: StoreClock,
    now: DateTime<Utc>,
) -> Result<Prepared, Failed> {
    let (mut prepared, mut bytes, mut batch) = (Prepared::default(), 1, None);
    let to_hold = life::to_hold(transaction)?;
    for (place, id) in ids.iter().enumerate().filter(|(_, id)| !to_hold.contains(&id.customer)) {
        let loaded =
            dirty::load_to_decide(transaction, *id).map_err(|e| held_up::of(id.customer, e.into()))?;
        // Of one that was deleted meanwhile nothing is sent: it ends with the next plan.
        let Some(dirty) = loaded.filter(|dirty| dirty.deletion.is_none()) else { continue };
        // Corrected since it was looked for a moment ago: the next sync looks once more before it leaves.
        if !is_due(transaction, *id)? || sent_as_another(transaction, *id)?.is_some() {
            continue;
        }
        if let Some(field) = dirty.unsound.first() {
            refuse_unsound(transaction, apart, *id, *field, &mut prepared.created, now)?;
            continue;
        }
        let known = known_already(transaction, &dirty.row)?;
        let has_left = departure::of(transaction, *id)?.is_some();
        let all = unsettled(transaction, *id)?.into_iter().map(|(seq, _)| seq).collect();
        let payload = Payload { covers: all, ..creation(&dirty) };
        bytes += if known.is_some() { 0 } else { payload.to_json().len() + 1 };
        if most_bytes.is_some_and(|most| bytes > most) && !prepared.payloads.is_empty() {
            prepared.left = ids[place..].to_vec();
            break;
        }
        let batch = begin(transaction, &mut batch, id.resource, Act::Create, now)?;
        let position = prepared.payloads.len();
        let written = apart.all(transaction, *id, now, || {
            close_existing(transaction, *id, "value", now)?;
            if known.is_none() {
                departure::note(transaction, &payload, now + clock.ahead)?;
            }
            leave(transaction, batch, position, &payload, now)
        })?;
        if let (Some(_), Some(known)) = (written, &known) {
            as_known(transaction, apart, *id, known, has_left.then_some(clock), &mut prepared.created, now)?;
        } else if written.is_some() {
            let other_passwords = dirty.earlier_passwords.clone();
            prepared.sent.push(SentRow { other_passwords, ..SentRow::of(&payload, None) });
            prepared.payloads.push(payload);
        }
    }
    remove_batches(transaction)?;
    Ok(prepared)
}

/// What is to leave is held against whom the file knows, and nothing leaves: one who never did is nobody who is there.
fn as_known(
    transaction: &Transaction<'_>,
    apart: &Apart,
    id: RowId,
    known: &Record,
    left_by: Option<StoreClock>,
    created: &mut Created,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let Some(flight) = batch::on_its_way(transaction, id)? else { return Ok(()) };
    let named = identity(id.resource, &known.attributes()?).map(|identity| (identity, vec![known.clone()]));
    let slack = left_by.map_or(TimeDelta::zero(), |clock| clock.slack);
    let found = LookedFor { rows: named.into_iter().collect(), slack, refused: BTreeSet::from([id]) };
    let who = match left_by {
        Some(_) => as_found(transaction, &flight, &found)?,
        None => Who::Another { record: known, may_be_ours: false },
    };
    believe(transaction, apart, &flight, who, created, now).map(drop)
}

/// What a program wrote past the triggers, and is no value, is sent by nobody: it waits for a person, or for an edit of it.
fn refuse_unsound(
    transaction: &Transaction<'_>,
    apart: &Apart,
    id: RowId,
    field: FieldId,
    created: &mut Created,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let words = format!("{field} holds what is no value of it: give it another one");
    let refused =
        apart.outcomes(transaction, id, now, || refuse_all(transaction, id, |_| true, &words, now))?;
    created.refused.extend(refused.flatten().map(|seq| (id, seq, words)));
    created.through.push(id);
    Ok(())
}

/// The store has made it.
fn land(
    transaction: &Transaction<'_>,
    apart: &Apart,
    id: RowId,
    record: &Record,
    created: &mut Created,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let Some(InFlight { dirty: before, sent }) = batch::on_its_way(transaction, id)? else { return Ok(()) };
    let now_called = made(id, &record.attributes()?);
    let done = apart.all(transaction, id, now, || {
        let creation = creation_of(transaction, id)?;
        // A list may have brought it in before anybody knew who it is, and it may have been edited as such.
        let known = dirty::load_whole(transaction, now_called)?;
        remove_item(transaction, id)?;
        departure::forget(transaction, id)?;
        follow::follow(transaction, id, now_called, now)?;
        if let Some(seq) = creation {
            settle(transaction, &Settlement::new(seq, Outcome::Uploaded), now)?;
        }
        let after = dirty::load_whole(transaction, now_called)?.ok_or(Failed::Ignored)?;
        let plan = landed(&after, &before, known.as_ref(), &sent.fields, record)?;
        apply(transaction, &after, &plan, now)
    })?;
    match done {
        Some(notices) => {
            created.notices.extend(notices);
            created.follows.push((id, now_called));
            created.through.push(id);
        }
        None => departure::note_told(transaction, id, record)?,
    }
    Ok(())
}

/// The store has somebody whom no two may be, and who is not seen to be the one that was sent.
fn exists(
    transaction: &Transaction<'_>,
    apart: &Apart,
    flight: &InFlight,
    record: &Record,
    created: &mut Created,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let id = flight.dirty.id;
    let seq = apart.outcomes(transaction, id, now, || {
        let creation = creation_of(transaction, id)?;
        for (seq, _) in
            unsettled(transaction, id)?.into_iter().filter(|(_, it)| *it == Some(Outcome::InFlight))
        {
            settle(transaction, &Settlement::new(seq, Outcome::Held), now)?;
        }
        note_existing(transaction, id, creation, record, now)?;
        remove_item(transaction, id)?;
        Ok(creation)
    })?;
    created.existing.extend(seq.flatten().map(|seq| (id, seq)));
    created.through.push(id);
    Ok(())
}

fn note_existing(
    transaction: &Connection,
    id: RowId,
    creation: Option<EditSeq>,
    record: &Record,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let (customer, of_resource, of_row) = dirty::whose(id);
    let written = transaction
        .prepare_cached(
            "INSERT INTO conflict (customer_id, of_resource, of_row, field, base, local, remote, policy, author, seq, detected_at)
             SELECT ?1, ?2, ?3, ?4, 'null', payload, ?5, 'hold', (SELECT author FROM journal WHERE seq = ?6), ?6, ?7
             FROM batch_item
             WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3",
        )?
        .execute(params![
            customer,
            of_resource,
            of_row,
            Subject::Existing.word(id),
            Record::without_secrets(record.body()),
            creation.map(|seq| seq.0),
            stamp(now)
        ])?;
    is_written(written)
}

/// It is another one now, or nobody's.
pub(super) fn close_existing(
    transaction: &Connection,
    id: RowId,
    resolution: &str,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let (customer, ..) = dirty::whose(id);
    transaction
        .prepare_cached(
            "UPDATE conflict SET resolution = ?3, resolved_at = ?4
             WHERE customer_id = ?1 AND field = ?2 AND resolution IS NULL",
        )?
        .execute(params![customer, Subject::Existing.word(id), resolution, stamp(now)])?;
    Ok(())
}

/// All of it that left waits for a person together; a payment waits with it, and is refused by nobody.
fn reject(
    transaction: &Transaction<'_>,
    rejection: &Rejection,
    now: DateTime<Utc>,
) -> Result<Option<EditSeq>, Failed> {
    let id = rejection.row;
    if batch::on_its_way(transaction, id)?.is_none() {
        return Ok(None);
    }
    let has_left = |outcome| outcome == Some(Outcome::InFlight);
    let creation = refuse_all(transaction, id, has_left, &rejection.words, now)?;
    if let Some(creation) = creation {
        batch::keep_sent(transaction, id, creation)?;
    }
    remove_item(transaction, id)?;
    Ok(creation)
}

/// Returns the edit that stands for all of them.
fn refuse_all(
    transaction: &Connection,
    id: RowId,
    is_refused: impl Fn(Option<Outcome>) -> bool,
    words: &str,
    now: DateTime<Utc>,
) -> Result<Option<EditSeq>, Failed> {
    let (creation, ops) = (creation_of(transaction, id)?, dirty::load_ops(transaction, id)?);
    for (seq, _) in unsettled(transaction, id)?.into_iter().filter(|(_, outcome)| is_refused(*outcome)) {
        let is_money = ops.iter().any(|op| op.seq == seq && op.field.is_money());
        let refused = Settlement {
            reason: Some(words.to_owned()),
            reject_group: creation.map(|seq| seq.0),
            ..Settlement::new(seq, Outcome::Rejected)
        };
        settle(transaction, &if is_money { Settlement::new(seq, None) } else { refused }, now)?;
    }
    Ok(creation)
}

/// What waits of a creation, or was refused, waits for a person: it may have happened already. Returns the edit that stands for it.
pub(super) fn hold(
    transaction: &Connection,
    id: RowId,
    words: &str,
    now: DateTime<Utc>,
) -> Result<Option<EditSeq>, Failed> {
    let Some(dirty) = dirty::load_to_decide(transaction, id)? else { return Ok(None) };
    let creation = creation_of(transaction, id)?;
    let is_money = |seq| dirty.op(seq).is_some_and(|op| op.field.is_money());
    for (seq, outcome) in unsettled(transaction, id)? {
        if is_money(seq) || !matches!(outcome, None | Some(Outcome::Rejected)) {
            continue;
        }
        let (reason, reject_group) = (Some(words.to_owned()), creation.map(|seq| seq.0));
        let held = Settlement { reason, reject_group, ..Settlement::new(seq, Outcome::Rejected) };
        settle(transaction, &held, now)?;
    }
    Ok(creation)
}

/// All that waits of a row ends so.
pub(super) fn end_all(
    transaction: &Connection,
    id: RowId,
    outcome: Outcome,
    now: DateTime<Utc>,
) -> Result<usize, Failed> {
    let all = unsettled(transaction, id)?;
    for (seq, _) in &all {
        settle(transaction, &Settlement::new(*seq, outcome), now)?;
    }
    Ok(all.len())
}

/// What was refused of a row that is not created is sent again. Returns how many edits that were.
pub(super) fn free(transaction: &Connection, id: RowId, now: DateTime<Utc>) -> Result<usize, Failed> {
    let refused = unsettled(transaction, id)?;
    let refused = refused.into_iter().filter(|(_, outcome)| *outcome == Some(Outcome::Rejected));
    let mut count = 0;
    for (seq, _) in refused {
        settle(transaction, &Settlement::new(seq, None), now)?;
        count += 1;
    }
    if count > 0 {
        state::write(transaction, super::FREED_AT, Some(&stamp(now)))?;
    }
    Ok(count)
}

/// A creation is given up: the row goes, with all that waits of it. Returns how many edits that were.
pub(super) fn undo(transaction: &Connection, id: RowId, now: DateTime<Utc>) -> Result<usize, Failed> {
    let all = unsettled(transaction, id)?;
    if all.iter().any(|(_, outcome)| *outcome == Some(Outcome::InFlight)) {
        return Err(refuse(id, "is on its way to the store: sync first"));
    }
    departure::forget(transaction, id)?;
    let ended = end_all(transaction, id, Outcome::Discarded, now)?;
    close_existing(transaction, id, "discarded", now)?;
    wipe_passwords_of(transaction, id, now)?;
    remove_row(transaction, id, now)?;
    Ok(ended)
}

/// Why nothing can be decided of it so.
pub(super) fn refuse(id: RowId, problem: &str) -> Failed {
    let refused =
        EditError { customer_id: id.customer, field: WHOLE.to_owned(), problem: problem.to_owned() };
    Error::from(Failure::Undecidable(refused)).into()
}

/// Rows of the store, by what no two have; where a store has two all the same, both.
pub(crate) fn by_identity<'a>(
    resource: ResourceId,
    rows: impl IntoIterator<Item = (Attributes<'a>, &'a str)>,
) -> BTreeMap<String, Vec<Record>> {
    let mut named: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for (attributes, body) in rows {
        if let Some(identity) = identity(resource, &attributes) {
            named.entry(identity).or_default().push(Record::of(resource, body));
        }
    }
    named
}
