//! Attempts: updates that left and were not confirmed, on record until it is proven what became of them; see `flow/attempt.rs`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row as SqlRow, Transaction, named_params, params};

use super::apply::{is_written, refuse_ignored};
use super::batch::{InFlight, on_its_way};
use super::dirty::malformed;
use super::{Failed, Store, dirty, row, state};
use crate::clock::stamp;
use crate::error::Result;
use crate::flow::{
    Attempt, CustomerPlan, Dirty, Flight, LAGS_AT_MOST, Moment, Outcome, Sent, Settlement, on_record,
    unshown_on_record,
};
use crate::resource::{Attributes, CustomerId, EditSeq, FieldId, ResourceId, RowId, Value};

/// What `is_refuted` holds of a reading that may have lagged, and of one that cannot.
const REFUTED: i64 = 1;
const DISPROVEN: i64 = 2;
/// What `is_accepted` holds where the answer did not tell the attribute, and where it only repeated what was asked.
const UNTOLD: i64 = 1;
const ECHOED: i64 = 2;
/// For so long the store is asked for what it said yes to and does not show.
const ASKED_FOR: TimeDelta = TimeDelta::days(1);
/// With each sync for so long, and then as seldom: who was changed since, or is gone, tells nothing of it however often.
const ASKED_EACH_TIME: TimeDelta = TimeDelta::hours(1);
/// When that was last, a key of `state`.
const ASKED_AT: &str = "unshown_asked_at";
/// So soon after the answer reads may lag, and a list may be on its way that tells.
const ASKED_AFTER: TimeDelta = TimeDelta::seconds(5);

impl Store {
    /// Rows of a resource of which the store said yes to something that no reading has told since; and those of which it refused a payment,
    /// which no reading has shown since that cannot lag; where credit is not dated, no reading would prove it. What is older than an hour is
    /// among them once an hour: whoever asks for these asks the store.
    pub(crate) fn unshown(&mut self, resource: ResourceId, now: DateTime<Utc>) -> Result<Vec<RowId>> {
        static UNSHOWN: LazyLock<String> = LazyLock::new(|| {
            let money = row::names(FieldId::is_money);
            format!(
                "SELECT customer_id, of_resource, of_row, applied_by
                 FROM tillsync_attempt
                 WHERE is_accepted > 0 AND applied_by > ?1 AND applied_by < ?2
                 UNION
                 SELECT customer_id, of_resource, of_row, applied_by
                 FROM tillsync_attempt
                 WHERE is_accepted = 0 AND is_refuted < {DISPROVEN} AND modified IS NOT NULL AND field IN ({money})
                   AND applied_by > ?1 AND applied_by < ?3
                   AND NOT EXISTS (SELECT 1 FROM state WHERE key = 'credit_undated')
                   AND EXISTS (SELECT 1 FROM journal AS j INDEXED BY tillsync_journal_unsettled
                               WHERE (j.customer_id, j.field) = (tillsync_attempt.customer_id, tillsync_attempt.field)
                                 AND j.of_resource IS tillsync_attempt.of_resource AND j.of_row IS tillsync_attempt.of_row
                                 AND j.settled_at IS NULL AND j.outcome = 'rejected')"
            )
        });
        let mut unshown = self.read_at_once(|connection| {
            let mut statement = connection.prepare_cached(&UNSHOWN)?;
            let times = [now - ASKED_FOR, now - ASKED_AFTER, now - LAGS_AT_MOST].map(stamp);
            let found = statement.query_map(times, |row| Ok((dirty::row_id(row, 0)?, row.get(3)?)))?;
            Ok(found.collect::<rusqlite::Result<Vec<(RowId, String)>>>()?)
        })?;
        unshown.retain(|(row, _)| row.resource == resource);
        if unshown.is_empty() {
            return Ok(Vec::new());
        }
        let key = state::key_of(resource, ASKED_AT);
        match self.time(&key)?.filter(|asked| (now - *asked).abs() < ASKED_EACH_TIME) {
            Some(_) => {
                let since = stamp(now - ASKED_EACH_TIME);
                unshown.retain(|(_, applied_by)| *applied_by > since);
            }
            None => self.set_time(&key, Some(now))?,
        }
        let rows: BTreeSet<RowId> = unshown.into_iter().map(|(row, _)| row).collect();
        Ok(rows.into_iter().collect())
    }
}

/// What the store said yes to so long ago, of customers who are not in the file, or of other rows, and of edits that are no newer than
/// that.
const OF_THE_GONE: &str = "DELETE FROM tillsync_attempt
     WHERE is_accepted > 0 AND applied_by < ?1 AND (of_resource IS NOT NULL OR customer_id NOT IN (SELECT id FROM customer))
       AND NOT EXISTS (SELECT 1 FROM json_each(covers) WHERE value > ?2)";

/// What the store said yes to is remembered of a customer who went as long as the edits are.
pub(super) fn forget_unproven(connection: &Connection, before: &str, up_to: EditSeq) -> rusqlite::Result<()> {
    connection.prepare_cached(OF_THE_GONE)?.execute(params![before, up_to.0])?;
    Ok(())
}

/// Nothing is remembered of a customer who is gone, and forgotten.
pub(super) fn forget(connection: &Connection, id: CustomerId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM tillsync_attempt WHERE customer_id = ?1")?.execute([id.0])?;
    Ok(())
}

/// The attempts of a customer, oldest first.
pub(super) fn load(connection: &Connection, id: RowId) -> rusqlite::Result<Vec<Attempt>> {
    connection
        .prepare_cached(
            "SELECT id, field, value, base, modified, covers, left_at, applied_by, is_refuted, is_accepted,
                    coalesce((SELECT min(j.op = 'adjust') FROM json_each(covers) AS c JOIN journal AS j ON j.seq = c.value), 0)
             FROM tillsync_attempt
             WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3
             ORDER BY id",
        )?
        .query_map(dirty::whose(id), |row| attempt(row, id.resource))?
        .collect()
}

fn attempt(row: &SqlRow<'_>, resource: ResourceId) -> rusqlite::Result<Attempt> {
    let field = resource.field(&row.get::<_, String>(1)?).ok_or_else(|| malformed(1, std::fmt::Error))?;
    let value =
        |column| Ok::<_, rusqlite::Error>(Value::from_json(field.kind(), &row.get::<_, String>(column)?));
    let time = |column, text: &str| moment(text).ok_or_else(|| malformed(column, std::fmt::Error));
    let covers: Vec<i64> = serde_json::from_str(&row.get::<_, String>(5)?).map_err(|e| malformed(5, e))?;
    Ok(Attempt {
        id: row.get(0)?,
        field,
        value: value(2)?,
        base: value(3)?,
        modified: row.get::<_, Option<String>>(4)?.as_deref().and_then(moment),
        covers: covers.into_iter().map(EditSeq).collect(),
        flight: Flight {
            left: time(6, &row.get::<_, String>(6)?)?,
            applied_by: time(7, &row.get::<_, String>(7)?)?,
        },
        is_refuted: row.get::<_, i64>(8)? >= REFUTED,
        is_disproven: row.get::<_, i64>(8)? == DISPROVEN,
        is_accepted: row.get(9)?,
        is_echoed: row.get::<_, i64>(9)? == ECHOED,
        is_payment: row.get(10)?,
    })
}

pub(super) fn moment(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// Whether a reading of this customer is to be held against what was sent of it.
pub(super) fn has_any(connection: &Connection, id: RowId) -> rusqlite::Result<bool> {
    let any = "SELECT EXISTS (SELECT 1 FROM tillsync_attempt
                              WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3)";
    connection.prepare_cached(any)?.query_row(dirty::whose(id), |row| row.get(0))
}

/// What a plan, once it is carried out, says of the attempts on record.
pub(super) fn note(connection: &Connection, dirty: &Dirty, plan: &CustomerPlan) -> Result<(), Failed> {
    if dirty.attempts.is_empty() {
        return Ok(());
    }
    for id in dirty.spent_attempts(plan) {
        let removed =
            connection.prepare_cached("DELETE FROM tillsync_attempt WHERE id = ?1")?.execute([id])?;
        refuse_ignored(removed, connection, "tillsync_attempt WHERE id", id)?;
    }
    for revived in &plan.revived {
        let revive = "UPDATE tillsync_attempt SET is_accepted = 0, is_refuted = 0 WHERE id = ?1";
        connection.prepare_cached(revive)?.execute([revived.attempt])?;
    }
    plan.refuted.iter().try_for_each(|id| refute(connection, *id, REFUTED))
}

/// A reading that may lag shows what the store said yes to as it was before: should somebody else move it, nobody knows whether it had landed.
pub(super) fn note_told_as_before(connection: &Connection, told: &Attributes<'_>) -> Result<(), Failed> {
    let attempts = load(connection, told.row())?;
    let is_news =
        |attempt: &&Attempt| attempt.is_accepted && !attempt.is_refuted && attempt.is_told_as_before(told);
    attempts.iter().filter(is_news).try_for_each(|attempt| refute(connection, attempt.id, REFUTED))
}

/// A reading that cannot lag shows what was refused, or lost, as it was before. Where credit is not dated it proves nothing.
pub(super) fn note_told_late(
    connection: &Connection,
    told: &Attributes<'_>,
    now: Moment,
    ahead: TimeDelta,
) -> Result<(), Failed> {
    let attempts = load(connection, told.row())?;
    let is_news = |attempt: &&Attempt| {
        !attempt.is_accepted && !attempt.is_disproven && attempt.is_disproven_by(told, now, ahead)
    };
    let mut news = attempts.iter().filter(is_news).peekable();
    if news.peek().is_none() || state::is_credit_undated(connection)? {
        return Ok(());
    }
    news.try_for_each(|attempt| refute(connection, attempt.id, DISPROVEN))
}

fn refute(connection: &Connection, id: i64, how: i64) -> Result<(), Failed> {
    let refute = "UPDATE tillsync_attempt SET is_refuted = max(is_refuted, ?2) WHERE id = ?1";
    let refuted = connection.prepare_cached(refute)?.execute([id, how])?;
    refuse_ignored(refuted, connection, "tillsync_attempt WHERE id", id)
}

/// What was sent of a customer ended without being confirmed, and its edits wait as the plan says: it stays on record.
pub(super) fn keep(
    connection: &Connection,
    dirty: &Dirty,
    sent: &Sent,
    plan: &CustomerPlan,
    told: Option<&Attributes<'_>>,
) -> Result<(), Failed> {
    for attempt in on_record(dirty, sent, plan, told) {
        if !again(connection, dirty.id, &attempt)? {
            add(connection, dirty.id, &attempt)?;
        }
    }
    Ok(())
}

/// The store said yes to what was sent of a customer: what its answer does not tell stays on record.
pub(super) fn keep_unshown(
    connection: &Connection,
    dirty: &Dirty,
    sent: &Sent,
    plan: &CustomerPlan,
    answer: &Attributes<'_>,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let unshown = unshown_on_record(dirty, sent, plan, answer, now);
    unshown.iter().try_for_each(|attempt| add(connection, dirty.id, attempt))
}

/// The edits that these were made of are decided: what was sent stays on record of the decision.
pub(super) fn keep_decided(connection: &Connection, id: RowId, attempts: &[Attempt]) -> Result<(), Failed> {
    attempts.iter().try_for_each(|attempt| add(connection, id, attempt))
}

/// The update of a customer left, and a refusal ended it: its edits are pending again.
pub(super) fn end(transaction: &Transaction<'_>, id: RowId, now: DateTime<Utc>) -> Result<(), Failed> {
    let Some(InFlight { dirty, sent }) = on_its_way(transaction, id)? else { return Ok(()) };
    let flying = dirty.ops.iter().filter(|op| op.outcome == Some(Outcome::InFlight));
    let settle = flying.map(|op| Settlement::new(op.seq, None)).collect();
    let plan = CustomerPlan { settle, ..CustomerPlan::nothing(id) };
    keep(transaction, &dirty, &sent, &plan, None)?;
    plan.settle.iter().try_for_each(|one| super::apply::settle(transaction, one, now))
}

/// The same once more, as after one 429 and another: it may have been applied by any of them.
fn again(connection: &Connection, id: RowId, attempt: &Attempt) -> rusqlite::Result<bool> {
    let again = connection
        .prepare_cached(
            "UPDATE tillsync_attempt
             SET applied_by = :applied_by, is_refuted = :is_refuted
             WHERE customer_id = :customer_id AND of_resource IS :of_resource AND of_row IS :of_row
               AND field = :field AND value = :value AND base = :base
               AND modified IS :modified AND covers = :covers",
        )?
        .execute(named_params! {
            ":customer_id": id.customer.0,
            ":of_resource": id.beside_its_customer().0,
            ":of_row": id.beside_its_customer().1,
            ":field": attempt.field.name(),
            ":value": attempt.value.to_json(),
            ":base": attempt.base.to_json(),
            ":modified": attempt.modified.map(stamp),
            ":covers": covers(attempt),
            ":applied_by": stamp(attempt.flight.applied_by),
            ":is_refuted": how_refuted(attempt),
        })?;
    Ok(again > 0)
}

fn add(connection: &Connection, id: RowId, attempt: &Attempt) -> Result<(), Failed> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO tillsync_attempt (customer_id, of_resource, of_row, field, value, base, modified, covers, left_at, applied_by, is_refuted,
                                  is_accepted)
             VALUES (:customer_id, :of_resource, :of_row, :field, :value, :base, :modified, :covers, :left_at, :applied_by, :is_refuted,
                     :is_accepted)",
        )?
        .execute(named_params! {
            ":customer_id": id.customer.0,
            ":of_resource": id.beside_its_customer().0,
            ":of_row": id.beside_its_customer().1,
            ":field": attempt.field.name(),
            ":value": attempt.value.to_json(),
            ":base": attempt.base.to_json(),
            ":modified": attempt.modified.map(stamp),
            ":covers": covers(attempt),
            ":left_at": stamp(attempt.flight.left),
            ":applied_by": stamp(attempt.flight.applied_by),
            ":is_refuted": how_refuted(attempt),
            ":is_accepted": if attempt.is_echoed { ECHOED } else { i64::from(attempt.is_accepted) * UNTOLD },
        })?;
    is_written(inserted)
}

fn how_refuted(attempt: &Attempt) -> i64 {
    if attempt.is_disproven { DISPROVEN } else { i64::from(attempt.is_refuted) * REFUTED }
}

fn covers(attempt: &Attempt) -> String {
    let seqs: Vec<i64> = attempt.covers.iter().map(|seq| seq.0).collect();
    serde_json::to_string(&seqs).unwrap_or_default()
}
