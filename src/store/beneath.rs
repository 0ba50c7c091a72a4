//! What a trigger of the app's edits beneath a statement of the engine's, and that statement then writes over.
//!
//! A trigger `BEFORE UPDATE` on `customer`, or one on `snapshot`, which is written first, edits a customer as it was: such an edit
//! is journaled, and the column gets the store's value all the same. So both sides have changed that field, and it is merged as any
//! field is: its base is what the store had before, its local side what the trigger set. An edit that a trigger makes after the
//! columns are written stands on them, and is nothing of this.
//!
//! SQLite counts the rows that it writes: where no trigger wrote any, nothing is looked for, and nobody pays.

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::apply::carry_out;
use super::{Failed, dirty};
use crate::flow::{Dirty, Notice, Op, Policies, SnapshotPlan, merge};
use crate::resource::{BadRecord, FieldId, Record, RowId, Value, add_credit};

/// How many rows had been written, over all statements and their triggers.
pub(super) struct Beneath<'c> {
    connection: &'c Connection,
    before: u64,
}

impl<'c> Beneath<'c> {
    pub(super) fn of(connection: &'c Connection) -> Beneath<'c> {
        Beneath { connection, before: connection.total_changes() }
    }

    /// Whether more was written since than the `own` rows of the engine's statements.
    pub(super) fn has_any(&self, own: usize) -> bool {
        self.connection.total_changes() - self.before > own as u64
    }
}

/// What the engine has just written of a customer.
pub(super) struct News<'n> {
    pub(super) id: RowId,
    /// As the server described it before.
    pub(super) before: Option<&'n Record>,
    /// The edits that were known when it was decided what to write.
    pub(super) known: &'n [Op],
    pub(super) written: &'n [(FieldId, Value)],
}

impl News<'_> {
    /// Merges what was written with the edits that it was written over.
    pub(super) fn over_edits(
        &self,
        transaction: &Connection,
        policies: &Policies,
        rounds: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<Notice>, Failed> {
        let Some(there) = dirty::load(transaction, self.id)? else { return Ok(Vec::new()) };
        let lost = self.lost(transaction, &there)?;
        let Some(remote) = there.base.clone().filter(|_| !lost.is_empty()) else { return Ok(Vec::new()) };
        let mut edited = Dirty { base: Some(self.stood_on(&remote, &lost)?), ..there.clone() };
        lost.iter().for_each(|(field, value)| edited.row.set(*field, value.clone()));
        let mut plan = merge(&edited, &remote, None, policies)?;
        plan.snapshot = SnapshotPlan::Keep;
        for (field, value) in lost {
            if !plan.columns.iter().any(|(planned, _)| *planned == field) {
                plan.columns.push((field, value));
            }
        }
        plan.columns.retain(|(field, value)| there.row.get(*field) != value);
        let left = rounds.checked_sub(1).ok_or(Failed::Restless)?;
        carry_out(transaction, &edited, &plan, policies, left, now)
    }

    /// The attributes that hold what was written although they were edited beneath that, with what the edits had made of them.
    fn lost(&self, transaction: &Connection, there: &Dirty) -> rusqlite::Result<Vec<(FieldId, Value)>> {
        let mut lost = Vec::new();
        for (field, written) in
            self.written.iter().filter(|(field, written)| there.row.get(*field) == written)
        {
            let is_new = |op: &&Op| !self.known.iter().any(|known| known.seq == op.seq);
            let ops: Vec<&Op> = there.ops_of(*field).filter(is_new).collect();
            let set = ops.iter().rposition(|op| op.adjustment().is_none());
            let from = match set {
                Some(place) => dirty::load_value(transaction, ops[place])?,
                None => written.clone(),
            };
            let paid = ops[set.map_or(0, |place| place + 1)..].iter().filter_map(|op| op.adjustment());
            let value = paid.into_iter().try_fold(from, |value, amount| add_credit(&value, amount));
            lost.extend(value.filter(|value| value != written).map(|value| (*field, value)));
        }
        Ok(lost)
    }

    /// The customer as the server describes it now, but for what those edits started from.
    fn stood_on(&self, remote: &Record, lost: &[(FieldId, Value)]) -> Result<Record, BadRecord> {
        let Some(before) = self.before else { return Ok(remote.clone()) };
        let before = before.attributes()?;
        let told = lost.iter().filter(|(field, _)| before.tells(*field));
        told.into_iter().try_fold(remote.clone(), |base, (field, _)| base.with(*field, &before.get(*field)))
    }
}
