//! Edits that stand in the journal and were never made.
//!
//! An edit is journaled before its row is written, so that none is lost. A statement may end between the two and keep what it did:
//! `UPDATE OR IGNORE` and `OR FAIL` at a constraint of the app's own in `customer`, `RAISE(IGNORE)` and `RAISE(FAIL)` in a trigger of the
//! app's. Then the journal says what is not so: of a phone that it was set, where an older edit of it is what goes up; of a balance
//! that it was set beneath a payment, which waits for a person then where a payment alone never does.
//!
//! Nothing tells the triggers that a statement went so. So a sync looks, before it merges anything and once more before it sends: an
//! edit was never made where the working copy still has what stood there before it, and is exactly what the journal makes without that
//! edit, and not what it makes with it. It ends as `unchanged`, with its reason. Payments are not among it: a row is called one only when
//! the balance has moved.
//!
//! Where the app has nothing on our tables that could end a statement so, nothing is looked for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row as SqlRow, params};

use super::apply::{settle, shorten};
use super::mend::{forms_by_journal, other};
use super::{Failed, Store, dirty, row, schema};
use crate::error::Result;
use crate::flow::{Dirty, Outcome, Settlement, balance_by_journal};
use crate::resource::{EditSeq, FieldId, Kind, Row, RowId, Value};

/// What the journal says of them.
pub(super) const REASON: &str = "it was never made: the statement met a constraint or a trigger of the app's when this was journaled already";

/// Customers that are looked at in one transaction.
const CHUNK: usize = 250;

impl Store {
    /// Ends edits that were never made. Returns how many those were.
    pub(crate) fn end_unmade(&mut self, now: DateTime<Utc>) -> Result<usize> {
        let is_any = "SELECT EXISTS (SELECT 1 FROM journal INDEXED BY tillsync_journal_unsettled
                                     WHERE settled_at IS NULL AND outcome IS NULL)";
        let waits = |connection: &Connection| {
            Ok(connection.prepare_cached(is_any)?.query_row([], |row| row.get::<_, bool>(0))?)
        };
        match self.read_at_once(waits)? {
            true => self.end_unmade_of(&self.pending_of_all()?, now),
            false => Ok(0),
        }
    }

    /// Of these, all of whom have edits that are pending.
    pub(super) fn end_unmade_of(&mut self, pending: &[RowId], now: DateTime<Utc>) -> Result<usize> {
        if pending.is_empty() || !self.apart()?.is_needed {
            return Ok(0);
        }
        let mut suspects = Vec::new();
        for ids in pending.chunks(CHUNK) {
            suspects.extend(match self.engine_read(|transaction| with_unmade(transaction, ids)) {
                Err(error) if error.unreadable().is_some() => {
                    let ids = self.leave_broken(ids, now)?;
                    self.engine_read(|transaction| with_unmade(transaction, &ids))?
                }
                some => some?,
            });
        }
        let parts = self.in_small_parts(&suspects, |transaction, apart, id, ended: &mut usize| {
            let some = apart.outcomes(transaction, id, now, || end(transaction, id, now))?;
            *ended += some.unwrap_or_default();
            Ok(())
        })?;
        let ended = parts.into_iter().sum();
        if ended > 0 {
            tracing::warn!(
                edits = ended,
                "edits were journaled, and never made: their statements ended before"
            );
        }
        Ok(ended)
    }
}

fn with_unmade(connection: &Connection, ids: &[RowId]) -> Result<Vec<RowId>, Failed> {
    let mut found = Vec::new();
    for id in ids {
        if !unmade(connection, *id)?.is_empty() {
            found.push(*id);
        }
    }
    Ok(found)
}

fn end(connection: &Connection, id: RowId, now: DateTime<Utc>) -> Result<usize, Failed> {
    let unmade = unmade(connection, id)?;
    for (field, seq) in &unmade {
        let reason = Some(REASON.to_owned());
        settle(connection, &Settlement { reason, ..Settlement::new(*seq, Outcome::Unchanged) }, now)?;
        if field.is_unbounded() {
            shorten(connection, *seq, *field)?;
        }
    }
    Ok(unmade.len())
}

/// The edits of a customer that were never made.
fn unmade(connection: &Connection, id: RowId) -> Result<Vec<(FieldId, EditSeq)>, Failed> {
    let Some(dirty) = dirty::load(connection, id)? else { return Ok(Vec::new()) };
    let mut unmade = Vec::new();
    for (field, _) in other(connection, &dirty)? {
        let (edits, never) = never_made_of(connection, &dirty, field)?;
        if !never.is_empty() && is_explained(&dirty, field, &edits, &never)? {
            unmade.extend(never.into_iter().map(|seq| (field, seq)));
        }
    }
    Ok(unmade)
}

/// Of edits that come to their end as such that changed nothing, those that were never made: journaled so while a sync goes on, they may
/// meet what the store says before a sync looks for them.
pub(super) fn among(
    connection: &Connection,
    dirty: &Dirty,
    settle: &[Settlement],
) -> rusqlite::Result<BTreeSet<EditSeq>> {
    let ended = settle.iter().filter(|one| one.outcome == Some(Outcome::Unchanged) && one.reason.is_none());
    let fields = ended.filter_map(|one| Some(dirty.op(one.seq)?.field));
    let fields: BTreeSet<FieldId> = fields.filter(|field| !field.is_secret()).collect();
    let mut never = BTreeSet::new();
    // Else something else was at work.
    if !fields.is_empty() && schema::has_foreign(connection)? {
        for field in fields {
            never.extend(never_made_of(connection, dirty, field)?.1);
        }
    }
    Ok(never)
}

/// A row of the journal, with its values as text.
struct Written {
    seq: EditSeq,
    value: String,
    was: String,
    is_pending: bool,
    is_settled: bool,
    is_payment: bool,
}

/// The edits of an attribute that wait, with those between them that have settled, and which of them were never made.
fn never_made_of(
    connection: &Connection,
    dirty: &Dirty,
    field: FieldId,
) -> rusqlite::Result<(Vec<Written>, Vec<EditSeq>)> {
    let (mut edits, local) = (edits(connection, dirty.id, field)?, dirty.row.get(field));
    let mut never = never_made(&edits, field, local);
    if let Some(oldest) = never.last() {
        edits.extend(settled_since(connection, dirty.id, field, *oldest)?);
        edits.sort_unstable_by_key(|edit| edit.seq);
        never = never_made(&edits, field, local);
    }
    Ok((edits, never))
}

fn edits(connection: &Connection, id: RowId, field: FieldId) -> rusqlite::Result<Vec<Written>> {
    let unsettled = "SELECT seq, value, was, outcome IS NULL, 0, op = 'adjust'
                     FROM journal INDEXED BY tillsync_journal_unsettled
                     WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND field = ?4";
    let mut statement = connection.prepare_cached(unsettled)?;
    let (customer, of_resource, of_row) = dirty::whose(id);
    let edits = statement.query_map(params![customer, of_resource, of_row, field.name()], written)?;
    let mut edits = edits.collect::<rusqlite::Result<Vec<Written>>>()?;
    edits.sort_unstable_by_key(|edit| edit.seq);
    Ok(edits)
}

/// What was edited over and over is superseded while the first of it waits.
fn settled_since(
    connection: &Connection,
    id: RowId,
    field: FieldId,
    seq: EditSeq,
) -> rusqlite::Result<Vec<Written>> {
    let settled = "SELECT seq, value, was, 0, 1, op = 'adjust'
                   FROM journal INDEXED BY tillsync_journal_settled
                   WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NOT NULL
                     AND field = ?4 AND seq > ?5";
    let mut statement = connection.prepare_cached(settled)?;
    let (customer, of_resource, of_row) = dirty::whose(id);
    statement.query_map(params![customer, of_resource, of_row, field.name(), seq.0], written)?.collect()
}

fn written(row: &SqlRow<'_>) -> rusqlite::Result<Written> {
    Ok(Written {
        seq: EditSeq(row.get(0)?),
        value: row.get(1)?,
        was: row::told(row, 2)?,
        is_pending: row.get(3)?,
        is_settled: row.get(4)?,
        is_payment: row.get(5)?,
    })
}

/// Those behind which there was still what had been there before: what the next one changed, or what the working copy has. What is on
/// its way, was refused or is held is none of them, nor is what came before it; what has settled is none, and was made.
fn never_made(edits: &[Written], field: FieldId, local: &Value) -> Vec<EditSeq> {
    let read = |json: &str| Value::from_json(field.kind(), json);
    let (mut never, mut behind) = (Vec::new(), local.clone());
    for edit in edits.iter().rev().take_while(|edit| edit.is_pending || edit.is_settled) {
        let was = read(&edit.was);
        if edit.is_pending && !edit.is_payment && behind == was && behind != read(&edit.value) {
            never.push(edit.seq);
        }
        behind = was;
    }
    never
}

/// Whether the journal makes the working copy of the snapshot without them. Else something else was at work: a merge, a decision.
fn is_explained(dirty: &Dirty, field: FieldId, edits: &[Written], never: &[EditSeq]) -> Result<bool, Failed> {
    let Some(base) = &dirty.base else { return Ok(false) };
    let attributes = base.attributes()?;
    let (theirs, local) = (Row::of(dirty.id, &attributes), dirty.row.get(field));
    let theirs = theirs.get(field);
    let mut without = dirty.clone();
    without.ops.retain(|op| !never.contains(&op.seq));
    let is_bare = without.ops_of(field).next().is_none();
    let expected = match field.kind() {
        _ if is_bare => {
            (attributes.tells(field) && dirty.open_of_field(field).is_none()).then(|| theirs.clone())
        }
        Kind::Credit => balance_by_journal(&without, theirs),
        Kind::Forms => forms_by_journal(&without, theirs),
        _ => {
            let newest = edits.iter().rfind(|edit| !edit.is_settled && !never.contains(&edit.seq));
            newest.map(|edit| Value::from_json(field.kind(), &edit.value))
        }
    };
    Ok(expected.as_ref() == Some(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(seq: i64, was: &str, value: &str) -> Written {
        let (was, value) = (was.to_owned(), value.to_owned());
        Written { seq: EditSeq(seq), was, value, is_pending: true, is_settled: false, is_payment: false }
    }

    fn phone(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn never(edits: &[Written], local: &str) -> Vec<i64> {
        let never = never_made(edits, FieldId::named("phone").unwrap(), &phone(local));
        never.into_iter().rev().map(|seq| seq.0).collect()
    }

    #[test]
    fn what_left_the_value_as_it_was_was_never_made() {
        let (a, b, c) = ("\"a\"", "\"b\"", "\"c\"");
        assert_eq!(never(&[edit(1, a, b)], "b"), [] as [i64; 0]);
        assert_eq!(never(&[edit(1, a, b)], "a"), [1]);
        assert_eq!(never(&[edit(1, a, b), edit(2, b, c)], "b"), [2]);
        assert_eq!(never(&[edit(1, a, b), edit(2, a, c)], "a"), [1, 2]);
        assert_eq!(
            never(&[edit(1, a, b), edit(2, a, c)], "c"),
            [1],
            "an edit of the same value came behind it"
        );
        assert_eq!(never(&[edit(1, a, b), edit(2, b, a)], "a"), [] as [i64; 0], "it was taken back");
        assert_eq!(never(&[edit(1, a, b)], "z"), [] as [i64; 0], "something else was at work");
    }

    /// As what was superseded between the first edit and the newest ones.
    #[test]
    fn what_was_taken_back_by_an_edit_that_has_settled_was_made() {
        let (a, b, c) = ("\"a\"", "\"b\"", "\"c\"");
        let back = Written { is_pending: false, is_settled: true, ..edit(2, b, a) };
        assert_eq!(never(&[edit(1, a, b), back, edit(3, a, c)], "c"), [] as [i64; 0]);
        assert_eq!(never(&[edit(1, a, b), edit(3, a, c)], "c"), [1]);
    }

    #[test]
    fn what_is_on_its_way_and_what_came_before_it_was_made() {
        let sent = Written { is_pending: false, ..edit(2, "\"a\"", "\"b\"") };
        assert_eq!(never(&[edit(1, "\"z\"", "\"y\""), sent], "a"), [] as [i64; 0]);
    }
}
