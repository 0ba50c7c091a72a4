//! Rows that were deleted here: which are due, on their way, gone, or changed in the store meanwhile.
//!
//! The row is gone from its table at once; the journal has it as it was, in a `delete` that waits. What the store last told of it stays, and so
//! does what was edited of it before: that is not sent, ends with the deletion, and comes back with the row where the deletion is given up.
//! Should others change it meanwhile, the deletion is held, and a person says which of the two it shall be.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::apply::{
    End, apply, apply_news, is_written, settle, settle_without_customer, update_snapshot, wipe_passwords_of,
};
use super::batch::{begin, leave, remove_batches, remove_item};
use super::create::{WHOLE, refuse};
use super::decide::others_with_edits;
use super::edit::newest_edit;
use super::held_up::Apart;
use super::{
    FREED_AT, Failed, Prepared, Receipt, Store, attempt, dirty, follow, life, pull, row, schema, search,
    state, statements,
};
use crate::clock::stamp;
use crate::error::{Error, Failure, Result};
use crate::flow::{
    Act, ConflictPlan, CustomerPlan, Deletion, Dirty, Discarded, Keep, OpenConflict, Outcome, Payload,
    Policies, Rejection, SentRow, Settlement, SnapshotPlan, has_changed, merge, refuse_unseen,
};
use crate::resource::{Attributes, CustomerId, EditSeq, Record, ResourceId, Row, RowId, Subject};

/// What becomes of edits of a row that is deleted.
const WITH_IT: End = End { outcome: Outcome::Superseded, reason: "it was deleted" };

/// The deletion of a row that has not settled.
const WAITS: &str = "FROM journal INDEXED BY tillsync_journal_unsettled
                     WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND op = 'delete'";

/// What became of deletions.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// Rows that the store has no more.
    pub(crate) rows: Vec<(RowId, EditSeq)>,
    /// Those that it refused to delete, with its words.
    pub(crate) refused: Vec<(RowId, EditSeq, String)>,
}

impl Store {
    /// Deletes customers, in one durable transaction, all or none: here at once, in the store with the next sync. What else was edited of them
    /// ends with that; [`Store::discard`] brings one back until then.
    ///
    /// The app's own rows that refer to them go by what the app has declared: `ON DELETE CASCADE`, `SET NULL`, or a refusal.
    ///
    /// # Errors
    /// When one is not in the file, or something of the app's refers to it and refuses; nobody is deleted then.
    pub fn delete_customers(
        &mut self,
        ids: &[CustomerId],
        author: Option<&str>,
        label: Option<&str>,
    ) -> Result<Receipt> {
        let path = self.path.clone();
        self.journal_together(0, author, label, |transaction, mut newest, bound| {
            for id in ids {
                bound.anew();
                let id = follow::today(transaction, *id)?;
                let row = RowId::from(id);
                let delete = "DELETE FROM customer WHERE id = ?1";
                if transaction.prepare_cached(delete)?.execute([id.0])? == 0 {
                    return Err(match waits(transaction, row)? {
                        Some(_) => refuse(row, "is deleted already, and waits for a sync"),
                        None => Error::from(Failure::UnknownCustomer(id)).into(),
                    });
                }
                // Where our triggers are not there, nothing was journaled; the next opening mends them.
                let before = std::mem::replace(&mut newest, newest_edit(transaction)?);
                if newest == before {
                    let field = WHOLE.to_owned();
                    return Err(Error::from(Failure::NotJournaled { customer_id: id, field, path }).into());
                }
            }
            Ok(newest)
        })
    }

    /// Customers who were deleted here and are to be deleted in the store by the next sync, the longest waiting first; so far as it lets them:
    /// of very many none goes without a person's word.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn to_be_deleted(&self) -> Result<Vec<CustomerId>> {
        let due = self.engine_read(|transaction| due(transaction, ResourceId::CUSTOMER))?;
        Ok(due.into_iter().map(|row| row.customer).collect())
    }

    /// Rows of a resource that are to be deleted in the store, the oldest deletion first. Of one that the store has not there is nothing
    /// to delete: it ends.
    pub(crate) fn deletions(&mut self, resource: ResourceId, now: DateTime<Utc>) -> Result<Vec<RowId>> {
        let due = self.engine_read(|transaction| due(transaction, resource))?;
        let there = self.of_snapshot(&due)?;
        let (due, nowhere): (Vec<RowId>, Vec<RowId>) = due.into_iter().partition(|row| there.contains(row));
        self.end_deletions(&nowhere, Outcome::Unchanged, now)?;
        Ok(due)
    }

    /// Commits batches of deletions, as [`Store::prepare_batches`] does of updates.
    pub(crate) fn prepare_deletions<'i>(
        &mut self,
        batches: impl IntoIterator<Item = &'i [RowId]>,
        most_bytes: Option<usize>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Prepared>> {
        self.leaving(batches, |transaction, apart, ids| prepare(transaction, apart, ids, most_bytes, now))
    }

    /// The store has these no more, for this till has deleted them.
    pub(crate) fn settle_deleted(&mut self, ids: &[RowId], now: DateTime<Utc>) -> Result<Gone> {
        self.end_deletions(ids, Outcome::Uploaded, now)
    }

    fn end_deletions(&mut self, ids: &[RowId], outcome: Outcome, now: DateTime<Utc>) -> Result<Gone> {
        let parts =
            self.in_small_parts(ids, |transaction, apart, id, gone: &mut Vec<(RowId, EditSeq)>| {
                let Some(seq) = waits(transaction, id)?.map(|deletion| deletion.seq) else { return Ok(()) };
                let done = apart.all(transaction, id, now, || {
                    let Some(dirty) = dirty::load_whole(transaction, id)? else { return Ok(()) };
                    end(transaction, &dirty, outcome, now)
                })?;
                gone.extend(done.map(|()| (id, seq)));
                Ok(remove_batches(transaction)?)
            })?;
        Ok(Gone { rows: parts.concat(), ..Gone::default() })
    }

    /// The store refused to delete it: that waits for a person.
    pub(crate) fn reject_deletion(&mut self, rejection: &Rejection, now: DateTime<Utc>) -> Result<Gone> {
        let ids = [rejection.row];
        let parts = self.in_small_parts(&ids, |transaction, apart, id, seqs: &mut Vec<EditSeq>| {
            // One that others changed meanwhile waits for a person already, who is asked about that.
            let waits = waits(transaction, id)?.filter(|it| it.outcome != Some(Outcome::Held));
            let Some(deletion) = waits else { return Ok(()) };
            let reason = Some(rejection.words.clone());
            let refused = Settlement { reason, ..Settlement::new(deletion.seq, Outcome::Rejected) };
            let done = apart.outcomes(transaction, id, now, || {
                settle(transaction, &refused, now)?;
                remove_item(transaction, id)
            })?;
            seqs.extend(done.map(|()| deletion.seq));
            Ok(remove_batches(transaction)?)
        })?;
        let refused = parts.concat().into_iter().map(|seq| (rejection.row, seq, rejection.words.clone()));
        Ok(Gone { refused: refused.collect(), ..Gone::default() })
    }

    /// Whether a deletion of it waits.
    pub(super) fn is_deleted(&self, id: RowId) -> Result<bool> {
        self.read_at_once(|connection| Ok(is_deleted(connection, id)?))
    }
}

/// The same.
pub(super) fn is_deleted(connection: &Connection, id: RowId) -> rusqlite::Result<bool> {
    Ok(waits(connection, id)?.is_some())
}

/// Of a row that is deleted here nothing else is decided: no row would have it.
pub(super) fn refuse_deleted(dirty: &Dirty) -> Result<(), Failed> {
    match dirty.deletion {
        Some(_) => Err(refuse(dirty.id, "is deleted here: give that up first")),
        None => Ok(()),
    }
}

/// The deletion of a row that waits.
pub(super) fn waits(connection: &Connection, id: RowId) -> rusqlite::Result<Option<Deletion>> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("SELECT seq, outcome, author {WAITS}"));
    connection
        .prepare_cached(&SQL)?
        .query_row(dirty::whose(id), |row| {
            let outcome: Option<String> = row.get(1)?;
            let outcome = outcome.as_deref().and_then(Outcome::named);
            Ok(Deletion { seq: EditSeq(row.get(0)?), outcome, author: row.get(2)? })
        })
        .optional()
}

/// A row that was deleted here, as it was: what the store has told since, and on top of that what had been edited.
pub(super) fn as_it_was(connection: &Connection, id: RowId) -> rusqlite::Result<Option<(Row, Deletion)>> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("SELECT was {WAITS}"));
    let Some(deletion) = waits(connection, id)? else { return Ok(None) };
    let was = connection.prepare_cached(&SQL)?.query_row(dirty::whose(id), |row| row::told(row, 0))?;
    let was = Row::of(id, &Attributes::of_row(id, &was).map_err(|e| dirty::malformed(0, e))?);
    let Some(known) = dirty::load_known(connection, id)? else { return Ok(Some((was, deletion))) };
    let mut row = Row::of(id, &known.record.attributes().map_err(|e| dirty::malformed(0, e))?);
    for op in dirty::load_ops(connection, id)?.iter().filter(|op| !op.field.is_secret()) {
        row.set(op.field, was.get(op.field).clone());
    }
    Ok(Some((row, deletion)))
}

fn due(connection: &Connection, resource: ResourceId) -> Result<Vec<RowId>, Failed> {
    let of_resource = (!resource.spec().is_of_customers()).then_some(resource.spec().name);
    let due = "SELECT customer_id, of_resource, of_row
               FROM journal AS j INDEXED BY tillsync_journal_unsettled
               WHERE settled_at IS NULL AND op = 'delete' AND outcome IS NULL AND of_resource IS ?1 AND customer_id >= 0
                 AND customer_id NOT IN (SELECT customer_id FROM tillsync_held_up)
                 AND NOT EXISTS (SELECT 1 FROM batch_item AS i
                                 WHERE i.customer_id = j.customer_id AND i.of_resource IS j.of_resource AND i.of_row IS j.of_row)
               ORDER BY +seq";
    let mut statement = connection.prepare_cached(due)?;
    let rows = statement.query_map([of_resource], |row| dirty::row_id(row, 0))?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let to_hold = life::to_hold(connection)?;
    rows.retain(|row| !to_hold.contains(&row.customer));
    Ok(rows)
}

fn prepare(
    transaction: &Transaction<'_>,
    apart: &Apart,
    ids: &[RowId],
    most_bytes: Option<usize>,
    now: DateTime<Utc>,
) -> Result<Prepared, Failed> {
    let (mut prepared, mut bytes, mut batch) = (Prepared::default(), 1, None);
    for (place, id) in ids.iter().enumerate() {
        // Held, given up, or changed in the store meanwhile.
        let Some(deletion) = waits(transaction, *id)?.filter(|deletion| deletion.outcome.is_none()) else {
            continue;
        };
        let payload = Payload { id: *id, covers: vec![deletion.seq], ..Payload::default() };
        bytes += payload.to_json().len() + 1;
        if most_bytes.is_some_and(|most| bytes > most) && !prepared.payloads.is_empty() {
            prepared.left = ids[place..].to_vec();
            break;
        }
        let batch = begin(transaction, &mut batch, id.resource, Act::Delete, now)?;
        let position = prepared.payloads.len();
        let left = apart.all(transaction, *id, now, || leave(transaction, batch, position, &payload, now))?;
        if left.is_some() {
            prepared.sent.push(SentRow::of(&payload, None));
            prepared.payloads.push(payload);
        }
    }
    remove_batches(transaction)?;
    Ok(prepared)
}

/// The row is gone there as here; what waits of it, and of what is of it, ends.
fn end(transaction: &Connection, dirty: &Dirty, outcome: Outcome, now: DateTime<Utc>) -> Result<(), Failed> {
    let Some(deletion) = &dirty.deletion else { return Ok(()) };
    let with_it =
        |seq| Settlement { reason: Some(WITH_IT.reason.to_owned()), ..Settlement::new(seq, WITH_IT.outcome) };
    let plan = CustomerPlan {
        snapshot: if dirty.base.is_some() { SnapshotPlan::Remove } else { SnapshotPlan::Keep },
        settle: dirty.ops.iter().map(|op| with_it(op.seq)).collect(),
        conflicts: dirty.open.iter().map(|open| closed(open, "deleted")).collect(),
        ..CustomerPlan::nothing(dirty.id)
    };
    apply(transaction, dirty, &plan, now)?;
    settle(transaction, &Settlement::new(deletion.seq, outcome), now)?;
    remove_item_of(transaction, dirty.id)?;
    match dirty.id.resource.spec().is_of_customers() {
        true => end_all_of(transaction, dirty.id.customer, now),
        false => Ok(()),
    }
}

fn closed(open: &OpenConflict, resolution: &'static str) -> ConflictPlan {
    ConflictPlan::Close { id: open.id, resolution }
}

/// What is of a customer goes with the customer.
fn end_all_of(transaction: &Connection, id: CustomerId, now: DateTime<Utc>) -> Result<(), Failed> {
    for row in others_with_edits(transaction, id)? {
        settle_without_customer(transaction, row, WITH_IT, |_| true, now)?;
    }
    let close = "UPDATE conflict SET resolution = 'deleted', resolved_at = ?2 WHERE customer_id = ?1 AND resolution IS NULL";
    transaction.prepare_cached(close)?.execute(params![id.0, stamp(now)])?;
    wipe_passwords_of(transaction, id.into(), now)?;
    attempt::forget(transaction, id)?;
    for resource in
        schema::kept(transaction)?.into_iter().filter(|resource| *resource != ResourceId::CUSTOMER)
    {
        statements::remove_all_of(transaction, resource, id)?;
    }
    Ok(())
}

fn remove_item_of(transaction: &Connection, id: RowId) -> Result<(), Failed> {
    let remove = "DELETE FROM batch_item WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3";
    transaction.prepare_cached(remove)?.execute(dirty::whose(id))?;
    Ok(())
}

/// The store tells of a row whose deletion waits. Where it is as it was known, the deletion may go; else a person is asked: then the place of
/// the deletion is returned.
pub(super) fn told(
    transaction: &Connection,
    dirty: &Dirty,
    record: &Record,
    now: DateTime<Utc>,
) -> Result<Option<EditSeq>, Failed> {
    let (Some(deletion), Some(base)) = (&dirty.deletion, &dirty.base) else { return Ok(None) };
    if deletion.outcome == Some(Outcome::InFlight) {
        return Ok(None);
    }
    let (mut plan, mut held) = (CustomerPlan::nothing(dirty.id), None);
    match (open(dirty), has_changed(base, record)?) {
        (Some(open), _) => {
            let remote = Some(Record::without_secrets(record.body()).into_owned());
            plan.conflicts.push(ConflictPlan::Update { id: open.id, local: None, remote });
        }
        (None, false) => plan.snapshot = SnapshotPlan::Put(record.clone()),
        (None, true) => {
            plan.conflicts.push(ConflictPlan::Record {
                subject: Subject::Deletion,
                base: Record::without_secrets(base.body()).into_owned(),
                local: "null".to_owned(),
                remote: Record::without_secrets(record.body()).into_owned(),
                policy: "hold",
                resolution: None,
                result: None,
                author: deletion.author.clone(),
                seq: Some(deletion.seq),
            });
            settle(transaction, &Settlement::new(deletion.seq, Outcome::Held), now)?;
            held = Some(deletion.seq);
        }
    }
    apply(transaction, dirty, &plan, now)?;
    Ok(held)
}

fn open(dirty: &Dirty) -> Option<&OpenConflict> {
    dirty.open_of(&Subject::Deletion)
}

/// The store has it no more, and this till did not do that.
pub(super) fn gone(transaction: &Connection, dirty: &Dirty, now: DateTime<Utc>) -> Result<(), Failed> {
    end(transaction, dirty, Outcome::Unchanged, now)
}

// ---- what a person decides ---------------------------------------------------------------------------------------

/// Decides a deletion of what others changed meanwhile: it goes all the same, or the row is here again as the store has it.
pub(super) fn resolve(
    transaction: &Connection,
    id: RowId,
    keep: &Keep,
    seen: Option<&str>,
    author: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let dirty = dirty::load_whole(transaction, id)?;
    let decided = dirty.as_ref().and_then(|dirty| Some((dirty, dirty.deletion.as_ref()?, open(dirty)?)));
    let Some((dirty, deletion, open)) = decided else {
        return Err(refuse(id, "there is no conflict to resolve"));
    };
    refuse_unseen(dirty, &Subject::Deletion, seen)?;
    match keep {
        Keep::Local => {
            let known = Record::of(id.resource, &*open.remote);
            update_snapshot(transaction, &known.attributes()?, known.body(), None)?;
            settle(transaction, &Settlement::new(deletion.seq, None), now)?;
            close(transaction, open.id, "local", author, now)?;
            note_freed(transaction, now)
        }
        Keep::Remote => bring_back(transaction, dirty, (Outcome::Remote, "remote"), author, now),
        Keep::Value(_) => Err(refuse(
            id,
            "was deleted here and changed in the store: keep the till's side, which deletes it, or the store's",
        )),
    }
}

/// A deletion is given up: the row is here again, with what was edited of it. Of such a row nothing else is given up.
pub(super) fn discard(
    transaction: &Connection,
    id: RowId,
    what: &Discarded,
    seen: Option<&str>,
    author: Option<&str>,
    now: DateTime<Utc>,
) -> Result<usize, Failed> {
    let Some(dirty) = dirty::load_whole(transaction, id)? else {
        return Err(Error::from(Failure::UnknownCustomer(id.customer)).into());
    };
    refuse_unseen(&dirty, &Subject::Deletion, seen)?;
    let is_the_deletion = match (what, &dirty.deletion) {
        (Discarded::Row { seq, .. }, Some(deletion)) => *seq == deletion.seq,
        (Discarded::All | Discarded::Subject(Subject::Customer | Subject::Deletion), Some(_)) => true,
        _ => false,
    };
    match &dirty.deletion {
        _ if !is_the_deletion => refuse_deleted(&dirty).map(|()| 0),
        Some(Deletion { outcome: Some(Outcome::InFlight), .. }) => {
            Err(refuse(id, "is on its way to the store: sync first"))
        }
        _ => bring_back(transaction, &dirty, (Outcome::Discarded, "discarded"), author, now).map(|()| 1),
    }
}

/// A deletion that the store refused goes once more. None: there is none of this row.
pub(super) fn free(
    transaction: &Connection,
    id: RowId,
    is_meant: impl Fn(EditSeq) -> bool,
    now: DateTime<Utc>,
) -> Result<Option<usize>, Failed> {
    let Some(deletion) = waits(transaction, id)? else { return Ok(None) };
    if deletion.outcome != Some(Outcome::Rejected) || !is_meant(deletion.seq) {
        return Ok(Some(0));
    }
    settle(transaction, &Settlement::new(deletion.seq, None), now)?;
    note_freed(transaction, now)?;
    Ok(Some(1))
}

/// A background worker hears of new edits by their place in the journal; this one keeps its own.
fn note_freed(transaction: &Connection, now: DateTime<Utc>) -> Result<(), Failed> {
    Ok(state::write(transaction, FREED_AT, Some(&stamp(now)))?)
}

fn close(
    transaction: &Connection,
    conflict: i64,
    resolution: &str,
    author: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let close = "UPDATE conflict SET resolution = ?2, resolved_at = ?3, resolved_by = ?4 WHERE id = ?1";
    is_written(transaction.prepare_cached(close)?.execute(params![
        conflict,
        resolution,
        stamp(now),
        author
    ])?)
}

/// As it was, and with what the store has told since.
fn bring_back(
    transaction: &Connection,
    dirty: &Dirty,
    (outcome, resolution): (Outcome, &'static str),
    author: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let (id, open) = (dirty.id, open(dirty));
    if let Some(deletion) = &dirty.deletion {
        settle(transaction, &Settlement::new(deletion.seq, outcome), now)?;
    }
    if let Some(open) = open {
        close(transaction, open.id, resolution, author, now)?;
    }
    insert(transaction, dirty)?;
    search::note_rows(transaction, [id])?;
    let Some(open) = open else { return Ok(()) };
    let Some(back) = dirty::load_whole(transaction, id)? else { return Ok(()) };
    let policies = Policies::default();
    let plan = merge(&back, &Record::of(id.resource, &*open.remote), None, &policies)?;
    apply_news(transaction, &back, &plan, &policies, now)?;
    Ok(())
}

fn insert(transaction: &Connection, dirty: &Dirty) -> Result<(), Failed> {
    let (id, nothing) = (dirty.id, Record::of_nothing(dirty.id));
    let base = dirty.base.as_ref().unwrap_or(&nothing).attributes()?;
    pull::insert_row(transaction, &base)?;
    let theirs = Row::of(id, &base);
    let other = id.resource.columns().filter(|field| dirty.row.get(*field) != theirs.get(*field));
    let columns: Vec<_> = other.map(|field| (field, row::cell(dirty.row.get(field)))).collect();
    is_written(statements::overwrite(transaction, id, &columns)?)
}
