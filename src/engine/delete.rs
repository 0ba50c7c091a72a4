//! Deletions: the last stage of the upload, for rows that were deleted here.
//!
//! The machine is that of updates. What is other: more than a few wait for a person's word, a yes has nothing to show, and what is in doubt has
//! landed where the store shows it no more, in two looks. Sent twice it does no harm, so what is still there goes once more.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::upload::Run;
use super::{Event, SyncEngine, spans};
use crate::api::Remote;
use crate::error::Result;
use crate::flow::{Act, BaseTime, NOT_SHOWN, Page, Rejection, Ticket, ToSend, Upload};
use crate::resource::{ResourceId, RowId};
use crate::store::Gone;

/// Why a deletion that the store said yes to waits for a person.
const NOT_GONE: &str = "the store accepted the deletion and still shows it";

impl<R: Remote> SyncEngine<R> {
    /// Deletes in the store what was deleted here.
    pub(super) fn delete(&mut self, resource: ResourceId) -> Result<()> {
        if resource.spec().delete.is_none() {
            return Ok(());
        }
        let rows = self.store.deletions(resource, self.clock.utc())?;
        let rows = self.allowed(rows);
        if rows.is_empty() {
            return Ok(());
        }
        let total = rows.len() as u64;
        let work = ToSend { resource, rows, act: Act::Delete, ..ToSend::default() };
        let machine = Upload::of(work, self.options.upload, self.tickets());
        self.traced(&spans::upload(total), |engine| engine.run(resource, machine, total))
    }

    /// Those that may go: all of a few; of more none without a person's word, and with one as many as that says.
    fn allowed(&mut self, mut rows: Vec<RowId>) -> Vec<RowId> {
        let waiting = rows.len() as u64;
        let most = match self.word_to_delete {
            Some(word) => word,
            None if waiting > self.options.max_deletions => 0,
            None => waiting,
        };
        rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let left = waiting - rows.len() as u64;
        self.counts.deletions_waiting += left;
        if left > 0 {
            tracing::warn!(deletions = left, "more wait than go without a person's word");
        }
        self.word_to_delete = self.word_to_delete.map(|word| word.saturating_sub(rows.len() as u64));
        rows
    }

    /// Answers to deletions that say yes.
    pub(super) fn settle_deleted(&mut self, run: &mut Run) -> Result<()> {
        let rows: Vec<RowId> =
            std::mem::take(&mut run.answered).into_iter().flatten().map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let gone = self.store.settle_deleted(&rows, self.clock.utc())?;
        self.take_deleted(run, gone);
        Ok(())
    }

    /// The one row of a call was refused.
    pub(super) fn refuse_to_delete(&mut self, run: &mut Run, mut rejection: Rejection) -> Result<()> {
        if rejection.words == NOT_SHOWN {
            rejection.words = NOT_GONE.to_owned();
        }
        let refused = self.store.reject_deletion(&rejection, self.clock.utc())?;
        self.take_deleted(run, refused);
        Ok(())
    }

    /// Deletions in doubt, or refused, were looked for: who is there no more is deleted; who is was not, and is held where others changed it
    /// meanwhile.
    pub(super) fn looked_for_deleted(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        (ids, asked): (&[RowId], BaseTime),
        page: &Page<'_>,
        server_now: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let shown: BTreeSet<RowId> = page.ids().into_iter().filter(|row| ids.contains(row)).collect();
        let there: Vec<RowId> = ids.iter().copied().filter(|row| shown.contains(row)).collect();
        self.store.release(&there, self.clock.utc())?;
        self.take_looked(page, server_now)?;
        self.tick();
        self.bases.read(there.iter().filter(|row| !page.contradicted.contains(row)).copied(), asked);
        if run.is_cut {
            run.machine.cut(ticket);
        }
        let gone = run.machine.missing(ticket, &shown, self.clock.now_ms());
        let gone = self.store.settle_deleted(&gone, self.clock.utc())?;
        self.take_deleted(run, gone);
        for rejection in run.machine.read(ticket, &there) {
            self.refuse_to_delete(run, rejection)?;
        }
        Ok(())
    }

    fn take_deleted(&mut self, run: &mut Run, gone: Gone) {
        if run.resource == ResourceId::CUSTOMER {
            self.counts.deleted += gone.rows.len() as u64;
        }
        let through = gone.rows.iter().map(|(row, _)| *row).chain(gone.refused.iter().map(|(row, ..)| *row));
        let through: Vec<RowId> = through.collect();
        for (row, seq) in gone.rows {
            self.say(Event::CustomerDeleted { customer_id: row.customer, seq });
        }
        for (row, seq, reason) in gone.refused {
            self.say(Event::DeletionRefused { customer_id: row.customer, seq, reason });
        }
        self.progressed(run, through);
    }
}
