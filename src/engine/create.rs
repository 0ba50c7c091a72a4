//! Creations: a stage of the upload for rows that the store does not have yet, before the updates of their resource.
//!
//! The machine is that of updates. What is other: a row is looked for by what no two have, and an answer brings its id.

use std::collections::BTreeSet;

use super::upload::{Errand, Run};
use super::{Event, SyncEngine, spans};
use crate::api::{Remote, Request};
use crate::error::Result;
use crate::flow::{Act, Page, Ticket, ToSend, Upload, folded_identity};
use crate::resource::{Record, ResourceId, RowId};
use crate::store::{Created, LookedFor, Planned, by_identity};

/// A row that is to be created, with what it is looked for by.
pub(super) type Creation = (RowId, Option<String>);
/// Those that may go at once, and those that wait for another row to give up what no two have.
pub(super) type Creations = (Vec<Creation>, Vec<Creation>);

impl<R: Remote> SyncEngine<R> {
    /// Rows that are to be created, in the order in which they were entered.
    pub(super) fn creations(&self, planned: &Planned) -> Result<Creations> {
        if planned.creations.is_empty() {
            return Ok(Creations::default());
        }
        let given_up = self.store.given_up(planned.resource)?;
        Ok(planned.creations.iter().cloned().partition(|(_, identity)| !waits(identity, &given_up)))
    }

    /// Those whose giver is done. The others are for the next sync: the store would take them for somebody else.
    pub(super) fn freed(&self, resource: ResourceId, later: Vec<Creation>) -> Result<Vec<Creation>> {
        let given_up = self.store.given_up(resource)?;
        Ok(later.into_iter().filter(|(_, identity)| !waits(identity, &given_up)).collect())
    }

    /// Brings new rows to the store.
    pub(super) fn create(&mut self, resource: ResourceId, rows: Vec<Creation>) -> Result<()> {
        let rows: Vec<RowId> = rows.into_iter().map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.look_again(resource, &rows)?;
        let total = rows.len() as u64;
        let most_bytes = self.store.body_limit(self.clock.utc())?;
        let work = ToSend { resource, rows, most_bytes, act: Act::Create, ..ToSend::default() };
        let machine = Upload::of(work, self.options.upload, self.tickets());
        self.traced(&spans::upload(total), |engine| engine.run(resource, machine, total))
    }

    /// Whose address was corrected since it was given up as not landed may have landed all the same.
    fn look_again(&mut self, resource: ResourceId, rows: &[RowId]) -> Result<()> {
        let rows = self.store.doubt_anew(rows, self.clock.utc())?;
        if rows.is_empty() {
            return Ok(());
        }
        let (total, now_ms) = (rows.len() as u64, self.clock.now_ms());
        let machine = Upload::recovering(Act::Create, &rows, now_ms, self.options.upload, self.tickets());
        self.traced(&spans::recover(rows.len()), |engine| engine.run(resource, machine, total))?;
        self.store.looked_again(&rows, self.clock.utc())
    }

    /// Creations in doubt, or refused, are looked for.
    pub(super) fn look_for(&mut self, run: &mut Run, ticket: Ticket, ids: Vec<RowId>) -> Result<()> {
        let values: Vec<String> = self.store.identities(&ids)?.into_values().collect();
        if values.is_empty() {
            return self.looked_for(run, ticket, &ids, Page::nobody());
        }
        run.errands.insert(ticket, Errand::LookFor(ids));
        self.start(ticket, Request::ByIdentity { resource: run.resource, values });
        Ok(())
    }

    /// Who is there and is ours has landed; who is another waits for a person; who is not there is sent again, or was refused.
    pub(super) fn looked_for(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        ids: &[RowId],
        page: Page<'_>,
    ) -> Result<()> {
        let shown = page.len() as u64;
        let is_said_to_be_more = page.total.is_some_and(|total| total > shown);
        if is_said_to_be_more {
            self.ask_for_a_total(run, ids)?;
        }
        let is_cut = page.next().is_some()
            || (is_said_to_be_more && !run.totals_are_wrong)
            || !page.contradicted.is_empty()
            || !page.unread.is_empty();
        let found = by_identity(run.resource, page.rows);
        let identities = self.store.identities(ids)?;
        let is_found = |id: &RowId| {
            identities.get(id).is_some_and(|identity| found.contains_key(&folded_identity(identity)))
        };
        let told: BTreeSet<RowId> = ids.iter().copied().filter(|id| !is_cut || is_found(id)).collect();
        if is_cut {
            run.machine.cut(ticket);
        }
        let absent = run.machine.missing(ticket, &told, self.clock.now_ms());
        // What there is nothing to look for by stays in doubt: nobody knows whether it is there.
        let known = ids.iter().filter(|id| identities.contains_key(id));
        let known: Vec<RowId> =
            known.copied().filter(|id| told.contains(id) || absent.contains(id)).collect();
        let (slack, now) = (self.overlap(), self.clock.utc());
        let machine = &mut run.machine;
        let found = LookedFor { rows: found, slack, refused: machine.denied(ticket).into_keys().collect() };
        let refuse = |pending: &[RowId]| machine.read(ticket, pending);
        let created = self.store.looked_for(&known, &found, now, refuse)?;
        self.take_created(run, created);
        Ok(())
    }

    /// Answers to creations: who was made has a new name from now on.
    pub(super) fn settle_created(&mut self, run: &mut Run) -> Result<()> {
        let made: Vec<(RowId, Record)> = std::mem::take(&mut run.answered).into_iter().flatten().collect();
        if made.is_empty() {
            return Ok(());
        }
        let created = self.store.settle_created(&made, self.clock.utc())?;
        self.take_created(run, created);
        Ok(())
    }

    pub(super) fn take_created(&mut self, run: &mut Run, created: Created) {
        if run.resource == ResourceId::CUSTOMER {
            self.counts.created += created.follows.len() as u64;
        }
        for (old, new) in created.follows {
            self.say(Event::CustomerCreated { old_id: old.customer, id: new.customer });
        }
        self.tell(created.notices);
        for (row, seq, reason) in created.refused {
            self.say(Event::CreationRefused { customer_id: row.customer, seq, reason });
        }
        for (row, seq) in created.existing {
            self.say(Event::CreationInConflict { customer_id: row.customer, seq });
        }
        self.progressed(run, created.through);
    }
}

fn waits(identity: &Option<String>, given_up: &BTreeSet<String>) -> bool {
    identity.as_ref().is_some_and(|identity| given_up.contains(identity))
}
