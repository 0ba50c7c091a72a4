//! A plan, into the file: the only place that writes snapshots, outcomes and conflicts.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params, params, params_from_iter};

use super::beneath::{Beneath, News};
use super::log::WIPE_DUE;
use super::row::RawCell;
use super::{Failed, ahead, attempt, dirty, row, search, state, statements, unmade};
use crate::clock::stamp;
use crate::flow::{
    ConflictPlan, CustomerPlan, Decided, Dirty, Notice, Op, Outcome, Policies, Settlement, SnapshotPlan,
    Verdict, in_brief, notices, sides_in_brief,
};
use crate::resource::{Attributes, EditSeq, FieldId, Record, RowId, Subject};

/// Carries out a plan that brings no news of the store.
pub(super) fn apply(
    transaction: &Connection,
    dirty: &Dirty,
    plan: &CustomerPlan,
    now: DateTime<Utc>,
) -> Result<Vec<Notice>, Failed> {
    apply_news(transaction, dirty, plan, &Policies::default(), now)
}

/// Carries out a plan. What a trigger of the app's edits beneath it is merged by these policies, if the plan writes over it.
pub(super) fn apply_news(
    transaction: &Connection,
    dirty: &Dirty,
    plan: &CustomerPlan,
    policies: &Policies,
    now: DateTime<Utc>,
) -> Result<Vec<Notice>, Failed> {
    carry_out(transaction, dirty, plan, policies, MOST_ROUNDS, now)
}

/// So often a trigger of the app's may edit what is written because of its edits.
pub(super) const MOST_ROUNDS: usize = 4;

pub(super) fn carry_out(
    transaction: &Connection,
    dirty: &Dirty,
    plan: &CustomerPlan,
    policies: &Policies,
    rounds: usize,
    now: DateTime<Utc>,
) -> Result<Vec<Notice>, Failed> {
    search::note(transaction, plan.id, plan.columns.iter().map(|(field, _)| *field))?;
    let beneath = Beneath::of(transaction);
    let mut own = 0;
    match &plan.snapshot {
        SnapshotPlan::Keep => {}
        SnapshotPlan::Put(record) => {
            let attributes = record.attributes()?;
            own += 1;
            let before = dirty.base.as_ref().map(Record::attributes).transpose()?;
            let lately = before.and_then(|before| {
                let is_own = |field| plan.landed.contains_key(&field);
                dirty.lately.clone().changed(&before, &attributes, policies.moment(now), is_own).text()
            });
            if !update_snapshot(transaction, &attributes, record.body(), lately)? {
                refuse_ignored_row(0, transaction, plan.id.resource.spec().snapshot, plan.id)?;
                insert_snapshot(transaction, &attributes, record.body())?;
                state::count_snapshot(transaction, plan.id.resource, 1)?;
            }
            ahead::forget(transaction, dirty)?;
        }
        SnapshotPlan::Remove => {
            remove_snapshot(transaction, plan.id)?;
            ahead::forget(transaction, dirty)?;
            note_wipe(transaction, now)?;
        }
    }
    let columns: Vec<_> = plan.columns.iter().map(|(field, value)| (*field, row::cell(value))).collect();
    let written = statements::overwrite(transaction, plan.id, &columns)?;
    refuse_ignored_row(written, transaction, plan.id.resource.spec().name, plan.id)?;
    own += if columns.is_empty() { 0 } else { written };
    let has_edits_beneath = beneath.has_any(own);
    if plan.remove_row {
        remove_row(transaction, plan.id, now)?;
    }
    let unmade = unmade::among(transaction, dirty, &plan.settle)?;
    for settlement in &plan.settle {
        let reason = unmade.contains(&settlement.seq).then(|| unmade::REASON.to_owned());
        settle(
            transaction,
            &Settlement { reason: reason.or_else(|| settlement.reason.clone()), ..*settlement },
            now,
        )?;
        let is_settled = settlement.outcome.is_some_and(Outcome::is_settled);
        let op = dirty.op(settlement.seq).filter(|op| is_settled && op.field.is_secret());
        op.map(|op| wipe_password(transaction, op.seq, now)).transpose()?;
        let op = dirty.op(settlement.seq).filter(|op| is_settled && op.field.is_unbounded());
        op.map(|op| shorten(transaction, op.seq, op.field)).transpose()?;
    }
    for settlement in plan.revived.iter().flat_map(|revived| &revived.settle) {
        match settle(transaction, settlement, now) {
            // Its row may be gone with its retention.
            Err(Failed::Ignored) => refuse_ignored(0, transaction, "journal WHERE seq", settlement.seq.0)?,
            settled => settled?,
        }
    }
    for conflict in &plan.conflicts {
        write_conflict(transaction, plan.id, conflict, now)?;
    }
    attempt::note(transaction, dirty, plan)?;
    if is_nothing_any_more(transaction, plan)? {
        remove_row(transaction, plan.id, now)?;
    }
    let mut notices = notices(dirty, plan);
    if has_edits_beneath && !plan.columns.is_empty() {
        let news =
            News { id: plan.id, before: dirty.base.as_ref(), known: &dirty.ops, written: &plan.columns };
        notices.extend(news.over_edits(transaction, policies, rounds, now)?);
    }
    Ok(notices)
}

/// Whether a row that was to be made with its update is not: what was edited of it was given up, or taken back, and the store never had it.
/// What has landed it has, though something of the app's refuses the answer, and no snapshot tells.
fn is_nothing_any_more(transaction: &Connection, plan: &CustomerPlan) -> rusqlite::Result<bool> {
    let spec = plan.id.resource.spec();
    let has_landed = |settlement: &Settlement| settlement.outcome == Some(Outcome::Uploaded);
    Ok(spec.is_upserted
        && !plan.settle.is_empty()
        && !plan.settle.iter().any(has_landed)
        && !statements::is_there(transaction, spec.snapshot, plan.id)?
        && dirty::load_ops(transaction, plan.id)?.is_empty())
}

/// A row as the server describes it, new in the file; to be counted.
pub(super) fn insert_snapshot(
    transaction: &Connection,
    attributes: &Attributes<'_>,
    body: &str,
) -> Result<(), Failed> {
    let row = attributes.row();
    let names = row.names().map(RawCell::Integer);
    let told = [RawCell::Text(Record::without_secrets(body)), RawCell::changed_at(attributes)];
    let inserted = transaction
        .prepare_cached(&statements::of(row.resource).insert_snapshot)?
        .execute(params_from_iter(names.chain(told)))?;
    is_written(inserted)
}

/// A row as the server describes it now; `lately`: what of it was otherwise a moment ago. Returns false when it had no
/// snapshot.
pub(super) fn update_snapshot(
    transaction: &Connection,
    attributes: &Attributes<'_>,
    body: &str,
    lately: Option<String>,
) -> rusqlite::Result<bool> {
    let row = attributes.row();
    let key = row.key().map(RawCell::Integer);
    let lately = lately.map_or(RawCell::Null, |lately| RawCell::Text(lately.into()));
    let told = [RawCell::Text(Record::without_secrets(body)), RawCell::changed_at(attributes), lately];
    let updated = transaction
        .prepare_cached(&statements::of(row.resource).update_snapshot)?
        .execute(params_from_iter(key.chain(told)))?;
    Ok(updated > 0)
}

fn remove_snapshot(transaction: &Connection, row: RowId) -> Result<(), Failed> {
    let removed = statements::remove_snapshot(transaction, row)?;
    refuse_ignored_row(removed, transaction, row.resource.spec().snapshot, row)?;
    Ok(state::count_snapshot(transaction, row.resource, -i64::from(removed > 0))?)
}

/// The row goes, and with it what a trigger of the app's edits of it at the last moment: there is nothing left that it could be
/// an edit of. Returns how many rows went.
pub(super) fn remove_row(
    transaction: &Connection,
    id: impl Into<RowId>,
    now: DateTime<Utc>,
) -> Result<usize, Failed> {
    let row = id.into();
    search::note_rows(transaction, [row])?;
    let beneath = Beneath::of(transaction);
    let removed = statements::remove(transaction, row)?;
    refuse_ignored_row(removed, transaction, row.resource.spec().name, row)?;
    if beneath.has_any(2 * removed) {
        settle_without_customer(transaction, row, WITH_IT, |_| true, now)?;
    }
    Ok(removed)
}

/// How edits end that cannot go on.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) reason: &'static str,
}

pub(super) const WITH_IT: End = End {
    outcome: Outcome::Remote,
    reason: "the customer went from the file while a trigger of the app's edited it",
};

/// Edits of a row that is not in the file come to their end. Returns how many fields those were.
pub(super) fn settle_without_customer(
    transaction: &Connection,
    id: impl Into<RowId>,
    End { outcome, reason }: End,
    which: impl Fn(&Op) -> bool,
    now: DateTime<Utc>,
) -> Result<usize, Failed> {
    let mut fields = BTreeSet::new();
    for op in dirty::load_ops(transaction, id)?.iter().filter(|op| which(op)) {
        let reason = Some(reason.to_owned());
        settle(transaction, &Settlement { reason, ..Settlement::new(op.seq, outcome) }, now)?;
        wipe_password(transaction, op.seq, now)?;
        fields.insert(op.field);
    }
    Ok(fields.len())
}

/// What the store said when it refused an edit stays beside whatever else waits for a person, and beside what was given up;
/// it goes when the edit is sent again, or has arrived.
pub(super) fn settle(
    transaction: &Connection,
    settlement: &Settlement,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let settled_at = settlement.outcome.is_some_and(|outcome| outcome.is_settled()).then(|| stamp(now));
    let settled = transaction
        .prepare_cached(
            "UPDATE journal
             SET outcome = :outcome, reject_group = :reject_group, settled_at = :settled_at,
                 reason = iif(:outcome IN ('held', 'in_flight', 'superseded', 'discarded', 'remote'),
                              coalesce(:reason, reason), :reason),
                 sent = iif(:outcome IN ('held', 'in_flight', 'rejected'), sent, NULL),
                 engine_mark = NOT engine_mark
             WHERE seq = :seq",
        )?
        .execute(named_params! {
            ":seq": settlement.seq.0,
            ":outcome": settlement.outcome.map(|outcome| outcome.as_str()),
            ":reason": settlement.reason,
            ":reject_group": settlement.reject_group,
            ":settled_at": settled_at,
        })?;
    is_written(settled)
}

/// A row that is to be written is: one that is not has met a trigger that ignores it, and what stands on it would go on without.
pub(super) fn is_written(rows: usize) -> Result<(), Failed> {
    if rows == 0 { Err(Failed::Ignored) } else { Ok(()) }
}

/// The same of a row that may not be there, as `table WHERE column`: then there was nothing to write.
pub(super) fn refuse_ignored(
    written: usize,
    transaction: &Connection,
    place: &str,
    id: i64,
) -> Result<(), Failed> {
    let is_there = format!("SELECT 1 FROM {place} = ?1");
    match written == 0 && transaction.prepare_cached(&is_there)?.exists([id])? {
        true => Err(Failed::Ignored),
        false => Ok(()),
    }
}

/// The same of a row by its key.
pub(super) fn refuse_ignored_row(
    written: usize,
    transaction: &Connection,
    table: &str,
    row: RowId,
) -> Result<(), Failed> {
    match written == 0 && statements::is_there(transaction, table, row)? {
        true => Err(Failed::Ignored),
        false => Ok(()),
    }
}

/// A decision for a value is an edit: journaled by hand, since the working copy may have that value already.
pub(super) fn journal_decision(
    transaction: &Connection,
    row: RowId,
    decided: &Decided,
    author: Option<&str>,
    label: &str,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let (op, value) = match &decided.value {
        Verdict::Set(value) => ("set", value.to_json()),
        Verdict::Adjust(amount) => ("adjust", format!("\"{}\"", amount.normalize())),
    };
    let journaled = transaction
        .prepare_cached(
            "INSERT INTO journal (customer_id, of_resource, of_row, field, op, value, was, at, author, label, engine_mark)
             VALUES (:customer_id, :of_resource, :of_row, :field, :op, :value, :was, :now, :author, :label, 1)",
        )?
        .execute(named_params! {
            ":customer_id": row.customer.0, ":of_resource": row.beside_its_customer().0,
            ":of_row": row.beside_its_customer().1, ":field": decided.field.name(), ":op": op, ":value": value,
            ":was": decided.was.to_json(), ":now": stamp(now), ":author": author, ":label": label,
        })?;
    is_written(journaled)
}

fn write_conflict(
    transaction: &Connection,
    row: RowId,
    conflict: &ConflictPlan,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let written = match conflict {
        ConflictPlan::Record { subject, base, local, remote, policy, resolution, result, author, seq } => transaction
            .prepare_cached(
                "INSERT INTO conflict (customer_id, of_resource, of_row, field, base, local, remote, policy, resolution,
                                       result, author, seq, detected_at, resolved_at)
                 VALUES (:customer_id, :of_resource, :of_row, :field, :base, :local, :remote, :policy, :resolution, :result, :author,
                         :seq, :now, iif(:resolution IS NULL, NULL, :now))",
            )?
            .execute(named_params! {
                ":customer_id": row.customer.0, ":of_resource": row.beside_its_customer().0,
                ":of_row": row.beside_its_customer().1, ":field": subject.word(row), ":base": base, ":local": local, ":remote": remote,
                ":policy": policy, ":resolution": resolution, ":result": result, ":author": author,
                ":seq": seq.map(|seq| seq.0), ":now": stamp(now),
            })?,
        ConflictPlan::Update { id, local, remote } => transaction
            .prepare_cached(
                "UPDATE conflict
                 SET local = coalesce(:local, local), remote = coalesce(:remote, remote)
                 WHERE id = :id",
            )?
            .execute(named_params! { ":id": id, ":local": local, ":remote": remote })?,
        ConflictPlan::Close { id, resolution } => transaction
            .prepare_cached("UPDATE conflict SET resolution = :resolution, resolved_at = :now WHERE id = :id")?
            .execute(named_params! { ":id": id, ":resolution": resolution, ":now": stamp(now) })?,
    };
    is_written(written)?;
    match conflict {
        ConflictPlan::Record { subject, .. } => shorten_decided(transaction, row, subject),
        _ => Ok(()),
    }
}

/// A conflict was inserted: nobody takes back what was decided before it of the same text, and of its sides stays what is other.
fn shorten_decided(transaction: &Connection, row: RowId, subject: &Subject) -> Result<(), Failed> {
    let Subject::Field(field) = subject else { return Ok(()) };
    if !field.is_unbounded() {
        return Ok(());
    }
    let before = transaction
        .prepare_cached(
            "SELECT id, base, local, remote, result
             FROM conflict INDEXED BY tillsync_conflict_decided
             WHERE customer_id = ?1 AND resolution IS NOT NULL AND field = ?2
               AND id < last_insert_rowid()
             ORDER BY id DESC
             LIMIT 1",
        )?
        .query_row(params![row.customer.0, subject.word(row)], |row| {
            let sides =
                (1..5).map(|place| row.get(place)).collect::<rusqlite::Result<Vec<Option<String>>>>()?;
            Ok((row.get::<_, i64>(0)?, sides))
        })
        .optional()?;
    let brief = before.and_then(|(before, sides)| Some((before, sides_in_brief(field.kind(), &sides)?)));
    let Some((before, sides)) = brief else { return Ok(()) };
    let shortened = transaction
        .prepare_cached("UPDATE conflict SET base = ?2, local = ?3, remote = ?4, result = ?5 WHERE id = ?1")?
        .execute(params![before, sides[0], sides[1], sides[2], sides[3]])?;
    is_written(shortened)
}

/// Of a long value, what is history is kept in brief.
pub(super) fn shorten(transaction: &Connection, seq: EditSeq, field: FieldId) -> Result<(), Failed> {
    let (value, was): (String, String) = transaction
        .prepare_cached("SELECT value, was FROM journal WHERE seq = ?1")?
        .query_row([seq.0], |row| Ok((row.get(0)?, row::told(row, 1)?)))?;
    if let Some((value, was)) = in_brief(field.kind(), &value, &was) {
        let shortened = transaction
            .prepare_cached(
                "UPDATE journal SET value = ?2, was = ?3, engine_mark = NOT engine_mark WHERE seq = ?1",
            )?
            .execute(params![seq.0, value, was])?;
        is_written(shortened)?;
    }
    Ok(())
}

/// The password of an edit that has settled is overwritten, and the log is to be emptied of it.
fn wipe_password(transaction: &Connection, seq: EditSeq, now: DateTime<Utc>) -> rusqlite::Result<()> {
    let wiped =
        transaction.prepare_cached("DELETE FROM pending_password WHERE seq = ?1")?.execute([seq.0])?;
    if wiped > 0 { note_wipe(transaction, now) } else { Ok(()) }
}

/// The same of all that wait of a row that is not created, and will not be.
pub(super) fn wipe_passwords_of(
    transaction: &Connection,
    row: RowId,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let wipe = "DELETE FROM pending_password WHERE customer_id = ?1";
    let wiped = transaction.prepare_cached(wipe)?.execute([row.customer.0])?;
    if wiped > 0 { note_wipe(transaction, now) } else { Ok(()) }
}

/// Something was removed that shall not stay in the log either.
fn note_wipe(transaction: &Connection, now: DateTime<Utc>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO state (key, value) VALUES (?1, ?2)")?
        .execute([WIPE_DUE, &stamp(now)])?;
    Ok(())
}
