//! Steps 1, 4, 5 and 6: drives the upload machine. Commands come out of it and are carried out here, answers go in; this
//! thread is the one writer of the file.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Event, Progress, SyncEngine, spans};
use crate::api::{Remote, Request};
use crate::error::{Failure, Result};
use crate::fleet::Wants;
use crate::flow::{
    Act, Answer, BaseTime, Committed, EmailOrder, GetVerdict, LAGS_AT_MOST, Notice, Page, Payload,
    PutVerdict, RateHeaders, ReadFailure, SentRow, Step, Ticket, ToSend, Trouble, Upload, Write,
    judge_delete, judge_get_by_ids, judge_post, judge_put, order_emails, shows_strangers,
};
use crate::resource::{Record, ResourceId, RowId};
use crate::store::{Planned, Prepared, Said, StoreClock, Uploaded};

/// What a ticket stands for.
pub(super) enum Errand {
    /// A batch: committed, then on its way.
    Batch(Batch),
    /// A reading back of what is in doubt.
    ReadBack { ids: Vec<RowId>, asked: BaseTime },
    /// A look at customers whose base is too old.
    Look { ids: Vec<RowId>, asked: BaseTime },
    /// A look for creations in doubt, by what no two have.
    LookFor(Vec<RowId>),
    /// A question for somebody who is there: is the total of its answer right?
    Total(RowId),
    /// Whether others are shown than those who failed alone.
    Others,
}

/// A batch that was committed.
pub(super) struct Batch {
    /// None: it has left.
    request: Option<Request>,
    sent: Vec<SentRow>,
    /// When it was committed, if how long ago it was sent will matter.
    adjusts_since_ms: Option<u64>,
}

impl Batch {
    fn ids(&self) -> impl Iterator<Item = RowId> {
        self.sent.iter().map(|row| row.id)
    }
}

/// A machine, and what its tickets stand for.
pub(super) struct Run {
    /// Of what its rows are.
    pub(super) resource: ResourceId,
    pub(super) machine: Upload,
    pub(super) errands: BTreeMap<Ticket, Errand>,
    pub(super) total: u64,
    done: BTreeSet<RowId>,
    /// Reads that ask for others of the file besides: the answer before showed nobody.
    accompanied: BTreeMap<Ticket, Vec<RowId>>,
    /// An answer that showed all who were asked for told another total: the store's totals say nothing.
    pub(super) totals_are_wrong: bool,
    /// So often that was asked for its own sake.
    totals_asked: u32,
    /// The answer that is being taken in says nothing of those whom it does not show.
    pub(super) is_cut: bool,
    /// Answers that showed nobody.
    silences: u32,
    /// Answered, and not settled in the file yet: what can leave meanwhile leaves first.
    pub(super) answered: Vec<Vec<(RowId, Record)>>,
}

/// A batch with an adjustment that has waited longer is told to leave now, in the file. One that has not may have left so
/// much later than the file says, which the grace of a recovery allows for.
const LEAVES_AT_ONCE_MS: u64 = 500;

/// So often in an upload it is asked whether totals are right.
const TOTALS_AT_MOST: u32 = 3;

/// Customers that are asked for by id in one call.
const ASK_AT_ONCE: usize = 50;

/// Why two customers that swap addresses are not sent.
const RING: &str = "its address goes to a customer whose address it takes, directly or in a ring: no order of single \
                    updates can do that; give one of them another address first, sync, then go on";

/// Whether the total of an answer by id is of others than it shows.
fn has_another_total(page: &Page<'_>) -> bool {
    page.total.is_some_and(|total| total != page.ids().len() as u64)
}

/// Whether it may be of somebody who was asked for: those of the `company` that are not shown account for as many.
fn may_hide(page: &Page<'_>, company: &[RowId]) -> bool {
    let shown = page.ids();
    let others = company.iter().filter(|id| !shown.contains(id)).count() as u64;
    page.total.is_some_and(|total| total < shown.len() as u64 || total > shown.len() as u64 + others)
}

/// Whether an answer shows some of those asked for, and not all.
fn shows_a_part(shown: &BTreeSet<RowId>, asked: &[RowId]) -> bool {
    let there = asked.iter().filter(|id| shown.contains(id)).count();
    (1..asked.len()).contains(&there)
}

/// Why a read brought nothing.
fn failed_read(verdict: GetVerdict<'_>) -> ReadFailure {
    match verdict {
        GetVerdict::Page(_) | GetVerdict::Blank => ReadFailure::Again("an answer without a body".to_owned()),
        GetVerdict::Limited => ReadFailure::Limited,
        GetVerdict::Crowded => ReadFailure::Crowded,
        GetVerdict::Again(why) => ReadFailure::Again(why),
        GetVerdict::TooMuch { why, .. } => ReadFailure::TooMuch(why),
        GetVerdict::Stop(failure) => ReadFailure::Stop(failure),
    }
}

impl<R: Remote> SyncEngine<R> {
    /// Step 1. What an earlier sync left on its way is read back; what did not land is pending again.
    pub(super) fn recover(&mut self) -> Result<()> {
        let doubt = self.store.in_doubt()?;
        if doubt.rows.is_empty() {
            return Ok(());
        }
        let grace_ms = self.options.upload.grace_ms.saturating_add(LEAVES_AT_ONCE_MS);
        let grace = TimeDelta::try_milliseconds(i64::try_from(grace_ms).unwrap_or(i64::MAX))
            .unwrap_or(TimeDelta::MAX);
        // A clock that was set meanwhile must not make it wait longer than the grace.
        let left = doubt.sent_at.map_or(TimeDelta::zero(), |sent_at| grace - (self.clock.utc() - sent_at));
        let left_ms = left.clamp(TimeDelta::zero(), grace).num_milliseconds().unsigned_abs();
        let at_ms = self.clock.now_ms() + left_ms;
        let acts = [Act::Create, Act::Update, Act::Delete];
        for (resource, act) in ResourceId::all().flat_map(|resource| acts.map(|act| (resource, act))) {
            let is_of_it = |(row, done): &&(RowId, Act)| row.resource == resource && *done == act;
            let rows: Vec<RowId> = doubt.rows.iter().filter(is_of_it).map(|(row, _)| *row).collect();
            if rows.is_empty() {
                continue;
            }
            let (total, tickets) = (rows.len() as u64, self.tickets());
            let span = spans::recover(rows.len());
            let machine = Upload::recovering(act, &rows, at_ms, self.options.upload, tickets);
            self.traced(&span, |engine| engine.run(resource, machine, total))?;
        }
        // What is in doubt of one whom the store cannot show stays so; a store that answers nothing is down.
        match self.set_aside.is_some() && !self.answers_by_id()? {
            true => self.set_aside.take().map_or(Ok(()), |failure| Err(failure.into())),
            false => Ok(()),
        }
    }

    /// Step 4. What is to be sent, resource by resource; what needs no call settles here.
    pub(super) fn plan(&mut self) -> Result<Vec<Planned>> {
        if self.fleet.is_some() {
            self.planned = Some(self.store.newest_edit()?);
        }
        self.store.keeps()?.into_iter().map(|resource| self.plan_of(resource)).collect()
    }

    fn plan_of(&mut self, resource: ResourceId) -> Result<Planned> {
        let mut planned = self.plan_once(resource)?;
        if !planned.untold.is_empty() {
            self.ask_untold(&planned.untold)?;
            planned = self.plan_once(resource)?;
        }
        Ok(planned)
    }

    /// A list may leave out what was asked for; by id it may be told. What is not is sent by nobody: not told is not nothing.
    fn ask_untold(&mut self, ids: &[RowId]) -> Result<()> {
        for ids in ids.chunks(ASK_AT_ONCE) {
            let unshown = self.look_at_each(ids)?;
            let told: Vec<RowId> = ids.iter().copied().filter(|id| !unshown.contains(id)).collect();
            let notices = self.store.give_up_untold(&told, self.clock.utc())?;
            self.tell(notices);
        }
        Ok(())
    }

    fn plan_once(&mut self, resource: ResourceId) -> Result<Planned> {
        let planned = self.store.plan(resource, self.clock.utc())?;
        self.count_unchanged(resource, planned.unchanged);
        tracing::debug!(
            resource = resource.spec().name,
            rows = planned.rows.len(),
            unchanged = planned.unchanged,
            "planned"
        );
        self.tell(planned.notices.iter().cloned());
        Ok(planned)
    }

    pub(super) fn tell(&mut self, notices: impl IntoIterator<Item = Notice>) {
        notices.into_iter().for_each(|notice| self.say(Event::of(notice)));
    }

    /// Steps 5 and 6: two stages for each resource, in their order: what is new, and what is other than it was, each with a machine and
    /// the calls of its own endpoint and verb.
    pub(super) fn upload(&mut self, planned: Vec<Planned>) -> Result<()> {
        let edited = planned.iter().filter(|planned| planned.is_edited).map(|planned| planned.resource);
        let edited: Vec<ResourceId> = edited.collect();
        for planned in planned {
            let resource = planned.resource;
            let (first, later) = self.creations(&planned)?;
            self.create(resource, first)?;
            self.upload_of(planned)?;
            if !later.is_empty() {
                let freed = self.freed(resource, later)?;
                self.create(resource, freed)?;
            }
        }
        // What is of others goes before them.
        edited.into_iter().rev().try_for_each(|resource| self.delete(resource))
    }

    fn upload_of(&mut self, planned: Planned) -> Result<()> {
        let order = self.order(&planned)?;
        let Planned { resource, rows, adjusting, .. } = planned;
        let total = rows.len() as u64;
        if total == 0 && resource != ResourceId::CUSTOMER {
            return Ok(());
        }
        let most_bytes = self.store.body_limit(self.clock.utc())?;
        let work = ToSend { resource, rows, order, adjusting, most_bytes, act: Act::Update };
        let machine = Upload::of(work, self.options.upload, self.tickets());
        self.traced(&spans::upload(total), |engine| engine.run(resource, machine, total))
    }

    /// The report counts customers.
    fn count_unchanged(&mut self, resource: ResourceId, unchanged: usize) {
        if resource == ResourceId::CUSTOMER {
            self.counts.unchanged_customers += unchanged as u64;
        }
    }

    fn order(&mut self, planned: &Planned) -> Result<EmailOrder> {
        let order = order_emails(&planned.emails);
        if !order.rings.is_empty() {
            self.store.reject_rings(&order.rings, RING, self.clock.utc())?;
        }
        Ok(order)
    }

    pub(super) fn run(&mut self, resource: ResourceId, machine: Upload, total: u64) -> Result<()> {
        let mut run = Run {
            resource,
            machine,
            errands: BTreeMap::new(),
            total,
            done: BTreeSet::new(),
            accompanied: BTreeMap::new(),
            totals_are_wrong: false,
            totals_asked: 0,
            is_cut: false,
            silences: 0,
            answered: Vec::new(),
        };
        loop {
            if let Err(stopped) = self.refuse_when_stopped() {
                self.lay_down(&mut run)?;
                return Err(stopped);
            }
            let now = self.tick();
            self.store.supersede_meanwhile(self.clock.utc())?;
            self.take_turn(Wants::Edits, || run.machine.calls_wanted());
            let step = run.machine.next(self.clock.now_ms(), &self.pacer, &self.bases);
            if !matches!(step, Step::Send(_) | Step::Prepare(..) | Step::Look(..)) {
                self.settle(&mut run)?;
            }
            match step {
                Step::Look(ticket, ids) => {
                    self.counts.looks += 1;
                    self.read(&mut run, ticket, ids, |ids| Errand::Look { ids, asked: now });
                }
                Step::Prepare(ticket, ids) => self.prepare(&mut run, ticket, ids)?,
                Step::Send(ticket) => match self.no_slot_until_ms(ticket) {
                    Some(until_ms) => run.machine.found_no_slot(ticket, self.clock.now_ms(), until_ms),
                    None if self.is_too_late(&run, ticket) => run.machine.stays(ticket),
                    None => self.send(&mut run, ticket)?,
                },
                Step::Retract(ticket, ids) => {
                    run.errands.remove(&ticket);
                    self.store.release(&ids, self.clock.utc())?;
                }
                Step::Read(ticket, ids) if run.machine.act() == Act::Create => {
                    self.look_for(&mut run, ticket, ids)?
                }
                Step::Read(ticket, ids) => {
                    self.read(&mut run, ticket, ids, |ids| Errand::ReadBack { ids, asked: now });
                }
                Step::Others(ticket, nth, failed) => self.ask_for_others(&mut run, ticket, nth, &failed)?,
                Step::Wait(until_ms) => self.wait(&mut run, until_ms)?,
                Step::Done => break,
            }
        }
        self.counts.retries += u64::from(run.machine.retries());
        // How many ids an address may hold says nothing of a body.
        if let Some(bytes) = run.machine.learned_bytes().filter(|_| run.machine.act() != Act::Delete) {
            self.store.set_body_limit(bytes, self.clock.utc())?;
        }
        _ = self.refuse_wait();
        self.counts.doubted.extend(run.machine.unbelieved());
        self.unshown.extend(run.machine.unshown());
        if let Some(failure) = run.machine.set_aside() {
            tracing::warn!(%failure, "a customer is set aside, with what is pending of it or in doubt");
            self.set_aside.get_or_insert(failure);
        }
        run.machine.failure().map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// To ask for a slot takes its time, too: what a batch was made of ages meanwhile. One that is too old leaves its slot to others.
    fn is_too_late(&mut self, run: &Run, ticket: Ticket) -> bool {
        if self.fleet.is_none() {
            return false;
        }
        self.tick();
        let is_late = !run.machine.may_leave(ticket, &self.bases);
        if is_late {
            self.fleet.iter_mut().for_each(|fleet| fleet.answered(&RateHeaders::default(), Some(ticket)));
        }
        is_late
    }

    /// The time by which bases age.
    pub(super) fn tick(&mut self) -> BaseTime {
        self.bases.tick(self.clock.now_ms(), self.clock.utc())
    }

    fn read(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        ids: Vec<RowId>,
        errand: impl FnOnce(Vec<RowId>) -> Errand,
    ) {
        run.errands.insert(ticket, errand(ids.clone()));
        self.start(ticket, Request::ByIds(ids));
    }

    /// An answer about customers that were not asked for is none. One that shows nobody says nothing before others of the file
    /// were asked for along with them: the store may be closed for an hour. If it does not show those either, it is asked again
    /// later. True: there is nothing to take in yet.
    fn is_silent(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        ids: &[RowId],
        page: &Page<'_>,
        again: impl FnOnce(Vec<RowId>) -> Errand,
    ) -> Result<bool> {
        let (shown, company) = (page.ids(), run.accompanied.remove(&ticket));
        let is_missing = |id: &RowId| !shown.contains(id);
        let mut asked = ids.iter().chain(company.iter().flatten());
        // Whoever is asked for along with others of theirs is shown, and what is not may be theirs too.
        let is_of_many = run.resource.spec().is_asked_by_customer();
        run.totals_are_wrong |= !is_of_many && has_another_total(page) && !asked.any(is_missing);
        let is_told_cut = match is_of_many {
            true => has_another_total(page),
            false => !run.totals_are_wrong && may_hide(page, company.as_deref().unwrap_or_default()),
        };
        if is_told_cut {
            self.ask_for_a_total(run, ids)?;
        }
        // Where totals say nothing, one that shows some of those asked for may have no room for the others: they are asked for
        // without them.
        let says_nothing = run.totals_are_wrong || page.total.is_none();
        run.is_cut = is_told_cut || (says_nothing && shows_a_part(&shown, ids));
        if ids.iter().any(is_missing) && shows_strangers(&shown, ids, company.as_deref().unwrap_or_default())
        {
            let why =
                "the answer shows customers that were not asked for, and not those that were".to_owned();
            let (now_ms, chance) = (self.clock.now_ms(), self.random.f64());
            run.machine.read_failed(ticket, ReadFailure::Again(why), now_ms, chance);
            return Ok(true);
        }
        if !page.is_empty() {
            return Ok(false);
        }
        if company.is_some() {
            let why = "the answer shows nobody, not even customers that nobody is to update".to_owned();
            let (now_ms, chance) = (self.clock.now_ms(), self.random.f64());
            run.machine.read_failed(ticket, ReadFailure::Again(why), now_ms, chance);
            return Ok(true);
        }
        let others = |company: Vec<RowId>| -> Vec<RowId> {
            company.into_iter().filter(|id| !ids.contains(id)).collect()
        };
        let mut company = self.store.company(run.resource, run.silences)?;
        if company.is_empty() {
            // Round and round: those who are there may be in the middle of the file.
            run.silences = 0;
            company = self.store.company(run.resource, 0)?;
        }
        let mut company = others(company);
        if company.is_empty() {
            company = others(self.store.company(run.resource, 0)?);
        }
        run.silences += 1;
        if company.is_empty() {
            return Ok(false);
        }
        run.accompanied.insert(ticket, company.clone());
        run.errands.insert(ticket, again(ids.to_vec()));
        self.start(ticket, Request::ByIds([ids, &company].concat()));
        Ok(true)
    }

    fn ask_for_others(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        nth: u32,
        failed: &BTreeSet<RowId>,
    ) -> Result<()> {
        self.unshown.extend(failed);
        let company = self.company_shown(run.resource, nth)?;
        if company.is_empty() {
            let nobody = ReadFailure::Again("there is nobody else to ask for".to_owned());
            run.machine.others(ticket, Err(nobody), self.clock.now_ms(), self.random.f64());
            return Ok(());
        }
        run.errands.insert(ticket, Errand::Others);
        self.start(ticket, Request::ByIds(company));
        Ok(())
    }

    /// Some rows of the file, without those whom the store could not show.
    pub(super) fn company_shown(&self, resource: ResourceId, nth: u32) -> Result<Vec<RowId>> {
        let company = self.store.company(resource, nth)?;
        Ok(company.into_iter().filter(|id| !self.unshown.contains(id)).collect())
    }

    /// A total that is of others than are shown may be wrong whoever is asked for: somebody else is, alone.
    pub(super) fn ask_for_a_total(&mut self, run: &mut Run, ids: &[RowId]) -> Result<()> {
        if run.totals_asked < TOTALS_AT_MOST && !run.resource.spec().is_asked_by_customer() {
            let company = self.store.company(run.resource, run.totals_asked)?;
            run.totals_asked += 1;
            if let Some(id) = company.into_iter().find(|id| !ids.contains(id)) {
                let ticket = self.tickets().take();
                run.errands.insert(ticket, Errand::Total(id));
                self.start(ticket, Request::ByIds(vec![id]));
            }
        }
        Ok(())
    }

    /// Those of them who are not as young as a reading may lag: whom this till has made a moment ago was there.
    pub(super) fn old_enough(&self, gone: Vec<RowId>) -> Result<Vec<RowId>> {
        let made = if gone.is_empty() { BTreeMap::new() } else { self.store.made_here(&gone)? };
        if made.is_empty() {
            return Ok(gone);
        }
        let since = self.moment().there - LAGS_AT_MOST;
        let is_young = |row: &RowId| made.get(row).is_some_and(|made| *made >= since);
        Ok(gone.into_iter().filter(|row| !is_young(row)).collect())
    }

    /// Those of them that are believed to be gone: more than a share of the file are not, without a person's word.
    pub(super) fn believed(&mut self, gone: Vec<RowId>) -> Result<Vec<RowId>> {
        let gone = self.old_enough(gone)?;
        let Some(resource) = gone.first().map(|row| row.resource) else { return Ok(gone) };
        let (rows, now) = (self.store.count_rows(resource)?, self.clock.utc());
        let word = self.word;
        let most = self.options.deletions.most(rows, self.store.gone_lately(resource, now)?, word);
        // Those that were taken for gone before, and of which something was in doubt, are no more than that.
        let (news, known): (Vec<_>, Vec<_>) = {
            let there = self.store.of_snapshot(&gone)?;
            gone.into_iter().partition(|id| there.contains(id))
        };
        let count = news.len() as u64;
        if count <= most {
            // Of what a person said is no account kept.
            if count > 0 && word.is_none_or(|word| word < count) {
                self.store.note_gone(resource, count, now)?;
            }
            self.word = word.map(|word| word.saturating_sub(count));
            return Ok([news, known].concat());
        }
        self.counts.unbelieved += count;
        tracing::warn!(customers = count, "too many are absent to be believed");
        Ok(known)
    }

    /// Commits a batch, and with it what else may be prepared, unless others write too: one wait for the disk.
    fn prepare(&mut self, run: &mut Run, ticket: Ticket, ids: Vec<RowId>) -> Result<()> {
        let (now_ms, mut batches) = (self.clock.now_ms(), vec![(ticket, ids)]);
        if !self.store.others_write()? {
            batches.extend(std::iter::from_fn(|| run.machine.next_to_prepare(&self.bases)));
        }
        let ids = batches.iter().map(|(_, ids)| &ids[..]);
        let (most_bytes, now) = (run.machine.most_bytes(), self.clock.utc());
        let clock = StoreClock { ahead: self.options.policies.clock_offset, slack: self.overlap() };
        let prepared = match run.machine.act() {
            Act::Create => self.store.prepare_creations(ids, most_bytes, clock, now)?,
            Act::Update => self.store.prepare_batches(ids, most_bytes, now)?,
            Act::Delete => self.store.prepare_deletions(ids, most_bytes, now)?,
        };
        batches
            .iter()
            .zip(prepared)
            .try_for_each(|((ticket, _), prepared)| self.prepared(run, *ticket, prepared, now_ms))
    }

    fn prepared(&mut self, run: &mut Run, ticket: Ticket, prepared: Prepared, now_ms: u64) -> Result<()> {
        self.take_created(run, prepared.created);
        self.count_unchanged(run.resource, prepared.unchanged);
        self.tell(prepared.notices);
        let payloads = &prepared.payloads;
        // What is new has no balance that anybody else may have moved.
        let is_known = |payload: &&Payload| !payload.id.is_new();
        let adjusts = payloads.iter().filter(is_known).filter(|payload| payload.is_of_undated());
        let committed = Committed {
            rows: payloads.iter().map(|payload| (payload.id, payload.to_json().len())).collect(),
            adjusting: adjusts.map(|payload| payload.id).collect(),
            pays: payloads.iter().filter(is_known).any(Payload::is_of_money),
            left: prepared.left,
        };
        if !payloads.is_empty() {
            let request = Request::doing(run.machine.act(), payloads);
            let unfit = || Failure::Unexpected("what was to be sent names no row".to_owned());
            let batch = Batch {
                request: Some(request.ok_or_else(unfit)?),
                sent: prepared.sent,
                adjusts_since_ms: (!committed.adjusting.is_empty()).then_some(now_ms),
            };
            run.errands.insert(ticket, Errand::Batch(batch));
        }
        run.machine.prepared(ticket, committed);
        Ok(())
    }

    /// Lets a batch leave that was committed.
    fn send(&mut self, run: &mut Run, ticket: Ticket) -> Result<()> {
        let errand = run.errands.get_mut(&ticket);
        let batch =
            errand.and_then(|errand| if let Errand::Batch(batch) = errand { Some(batch) } else { None });
        let Some((request, batch)) = batch.and_then(|batch| Some((batch.request.take()?, batch))) else {
            return Err(Failure::Unexpected("a batch was to leave that is not ready".to_owned()).into());
        };
        let now_ms = self.clock.now_ms();
        if batch.adjusts_since_ms.is_some_and(|since_ms| now_ms - since_ms > LEAVES_AT_ONCE_MS) {
            self.store.leaves_now(batch.sent[0].id, self.clock.utc())?;
        }
        run.machine.sent(ticket, now_ms);
        self.spans.batch(ticket, &batch.sent, now_ms);
        self.start(ticket, request);
        Ok(())
    }

    /// Takes the next answer, and whatever else has come by then: what leaves next shares one commit.
    fn wait(&mut self, run: &mut Run, until_ms: Option<u64>) -> Result<()> {
        let Some((ticket, answer)) = self.next_answer(until_ms)? else {
            if until_ms.is_none() && run.machine.in_flight() == 0 && self.refuse_when_stopped().is_ok() {
                return Err(Failure::Unexpected("the upload waits for nothing".to_owned()).into());
            }
            return Ok(());
        };
        self.take_answer(run, ticket, &answer)?;
        while run.machine.in_flight() > 0 {
            let Some((ticket, answer)) = self.next_answer(Some(self.clock.now_ms()))? else { break };
            self.take_answer(run, ticket, &answer)?;
        }
        Ok(())
    }

    fn take_answer(&mut self, run: &mut Run, ticket: Ticket, answer: &Result<Answer, Trouble>) -> Result<()> {
        match run.errands.remove(&ticket) {
            Some(Errand::Batch(batch)) => self.put_answered(run, ticket, &batch, answer),
            Some(Errand::ReadBack { ids, asked }) => {
                let date = answer.as_ref().ok().and_then(|answer| answer.date);
                self.read_answered(run, ticket, answer, |engine, run, page| {
                    engine.read_back(run, ticket, (&ids, asked), page, date)
                })
            }
            Some(Errand::Look { ids, asked }) => {
                let date = answer.as_ref().ok().and_then(|answer| answer.date);
                self.read_answered(run, ticket, answer, |engine, run, page| {
                    engine.looked(run, ticket, (&ids, asked), page, date)
                })
            }
            Some(Errand::LookFor(ids)) => self.read_answered(run, ticket, answer, |engine, run, page| {
                engine.looked_for(run, ticket, &ids, page)
            }),
            Some(Errand::Total(id)) => {
                if let GetVerdict::Page(page) = judge_get_by_ids(run.resource, answer) {
                    run.totals_are_wrong |= has_another_total(&page) && page.ids().contains(&id);
                }
                Ok(())
            }
            Some(Errand::Others) => {
                let told = match judge_get_by_ids(run.resource, answer) {
                    GetVerdict::Page(page) if page.is_empty() => {
                        Err(ReadFailure::Again("it shows nobody".to_owned()))
                    }
                    GetVerdict::TooMuch { has_begun: true, .. } | GetVerdict::Page(_) => Ok(()),
                    verdict => Err(failed_read(verdict)),
                };
                run.machine.others(ticket, told, self.clock.now_ms(), self.random.f64());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn put_answered(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        batch: &Batch,
        answer: &Result<Answer, Trouble>,
    ) -> Result<()> {
        let act = run.machine.act();
        let verdict = match act {
            Act::Create => judge_post(answer, &batch.sent),
            Act::Update => judge_put(answer, &batch.sent),
            Act::Delete => judge_delete(answer, &batch.sent),
        };
        self.spans.judged(ticket, &verdict, self.clock.now_ms());
        if let PutVerdict::Refused { wants: Some(field), .. } = &verdict {
            self.store.note_wanted(*field)?;
        }
        let (now_ms, now, chance) = (self.clock.now_ms(), self.clock.utc(), self.random.f64());
        match run.machine.answered(ticket, verdict, now_ms, chance) {
            Write::Settle(records) => {
                let is_confirmed = |id: RowId| records.iter().any(|(confirmed, _)| *confirmed == id);
                if let Some(id) = batch.ids().find(|id| !is_confirmed(*id)) {
                    self.note_applied_by(id)?;
                }
                run.answered.push(records);
            }
            Write::Release | Write::EndRefused if act != Act::Update => {
                self.store.release(&batch.ids().collect::<Vec<_>>(), now)?;
            }
            Write::Release => self.store.release(&batch.ids().collect::<Vec<_>>(), now)?,
            Write::EndRefused => {
                let ids: Vec<RowId> = batch.ids().collect();
                self.note_applied_by(ids[0])?;
                if batch.adjusts_since_ms.is_some() {
                    self.bases.refused(&ids);
                }
                self.store.end_refused(&ids, now)?;
            }
            Write::Reject(rejection) if act == Act::Create => {
                let refused = self.store.reject_creation(&rejection, now)?;
                self.take_created(run, refused);
            }
            Write::Reject(rejection) if act == Act::Delete => self.refuse_to_delete(run, rejection)?,
            Write::Reject(rejection) => {
                let notices = self.store.reject(&rejection, now)?;
                self.progress(run, [rejection.row], Uploaded { notices, ..Uploaded::default() });
            }
            Write::Nothing => batch.ids().next().map_or(Ok(()), |id| self.note_applied_by(id))?,
        }
        Ok(())
    }

    /// The batch of this customer was answered, or its line has ended: whoever is still busy with it is so no longer than the
    /// grace.
    fn note_applied_by(&mut self, id: RowId) -> Result<()> {
        let grace =
            TimeDelta::try_milliseconds(i64::try_from(self.options.upload.grace_ms).unwrap_or(i64::MAX));
        let now = self.clock.utc();
        self.store.note_applied_by(id, now.checked_add_signed(grace.unwrap_or(TimeDelta::MAX)).unwrap_or(now))
    }

    /// An answer to a read: its page is handed on, and what brought none goes back to the machine.
    fn read_answered(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        answer: &Result<Answer, Trouble>,
        take: impl FnOnce(&mut Self, &mut Run, Page<'_>) -> Result<()>,
    ) -> Result<()> {
        let failure = match judge_get_by_ids(run.resource, answer) {
            GetVerdict::Page(page) => return take(self, run, page),
            verdict => failed_read(verdict),
        };
        let (now_ms, chance) = (self.clock.now_ms(), self.random.f64());
        run.machine.read_failed(ticket, failure, now_ms, chance);
        Ok(())
    }

    /// What is in doubt was read back: what landed settles, and what did not is pending again.
    fn read_back(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        (ids, asked): (&[RowId], BaseTime),
        mut page: Page<'_>,
        server_now: Option<DateTime<Utc>>,
    ) -> Result<()> {
        page.leave_open(ids);
        if self.is_silent(run, ticket, ids, &page, |ids| Errand::ReadBack { ids, asked })? {
            return Ok(());
        }
        if run.machine.act() == Act::Delete {
            return self.looked_for_deleted(run, ticket, (ids, asked), &page, server_now);
        }
        let is_cut = run.is_cut;
        let unmade = match run.machine.read_confirms(ticket, &page.ids()) {
            true => self.told_as_nothing(is_cut, ids, &page)?,
            false => Vec::new(),
        };
        let mut page = page;
        page.tell(&unmade);
        let all_shown = match run.machine.left_out(ticket) {
            true => page.rows.iter().map(|(told, body)| Record::of(told.resource(), *body)).collect(),
            false => Vec::new(),
        };
        let meant = page.rows.extract_if(.., |(attributes, _)| ids.contains(&attributes.row()));
        let meant: Vec<_> = meant.collect();
        // Who only kept others company is news like any other.
        self.take_looked(&page, server_now)?;
        let mut lagging = self.store.outdated(&meant, server_now, self.moment())?;
        // Of whom an answer tells two things at once it tells nothing: in doubt they stay.
        let contradicted: BTreeSet<RowId> =
            page.contradicted.iter().copied().filter(|id| ids.contains(id)).collect();
        lagging.extend(&contradicted);
        let mut lagging = run.machine.lagging(ticket, &lagging, self.clock.now_ms());
        lagging.extend(contradicted);
        let records = meant
            .iter()
            .map(|(attributes, body)| (attributes.row(), Record::of(attributes.resource(), *body)));
        let records: BTreeMap<RowId, Record> = records.filter(|(id, _)| !lagging.contains(id)).collect();
        let mut shown: BTreeSet<RowId> = records.keys().copied().collect();
        self.tick();
        self.bases.read(shown.iter().copied(), asked);
        shown.extend(lagging);
        if is_cut {
            run.machine.cut(ticket);
        }
        let gone = run.machine.missing(ticket, &shown, self.clock.now_ms());
        let gone = self.believed(gone)?;
        let known: Vec<RowId> =
            ids.iter().copied().filter(|id| records.contains_key(id) || gone.contains(id)).collect();
        let said =
            Said { denied: run.machine.denied(ticket), late: run.machine.late(ticket), shown: all_shown };
        let (machine, now) = (&mut run.machine, self.clock.utc());
        let mut through = known.clone();
        let refuse = |pending: &[RowId]| {
            let rejections = machine.read(ticket, pending);
            let is_refused = |id: &RowId| rejections.iter().any(|refused| refused.row == *id);
            through.retain(|id| !pending.contains(id) || is_refused(id));
            rejections
        };
        let uploaded = self.store.recover(&known, &records, &said, &self.options.policies, now, refuse)?;
        self.note_doubts(&uploaded)?;
        self.progress(run, through, uploaded);
        Ok(())
    }

    /// A look: what it shows is merged before the batch is made that it was for.
    fn looked(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        (ids, asked): (&[RowId], BaseTime),
        mut page: Page<'_>,
        server_now: Option<DateTime<Utc>>,
    ) -> Result<()> {
        page.leave_open(ids);
        if self.is_silent(run, ticket, ids, &page, |ids| Errand::Look { ids, asked })? {
            return Ok(());
        }
        let unmade = match !run.is_cut && run.machine.look_confirms(ticket, &page.ids(), self.was_listed(ids))
        {
            true => self.told_as_nothing(run.is_cut, ids, &page)?,
            false => Vec::new(),
        };
        let mut page = page;
        page.tell(&unmade);
        // Who only kept others company is news too. What is older and stays so becomes what is known.
        let passed_over = self.take_looked(&page, server_now)?;
        let mut lagging = self.store.outdated(&page.rows, server_now, self.moment())?;
        lagging.extend(page.contradicted.iter().copied().filter(|id| ids.contains(id)));
        // What was not believed is nobody's base, whatever its date.
        let doubted = self.store.doubted()?.into_iter().chain(passed_over);
        lagging.extend(doubted.filter(|id| ids.contains(id)));
        run.machine.lagging_look(&lagging, self.clock.now_ms());
        let shown: BTreeSet<RowId> = page.ids().into_iter().filter(|id| ids.contains(id)).collect();
        self.tick();
        self.bases.read(shown.difference(&lagging).copied(), asked);
        if run.is_cut {
            run.machine.cut(ticket);
        }
        let gone = run.machine.looked(ticket, &shown, self.clock.now_ms());
        // Who is deleted here hangs on nothing any more.
        let gone = if run.machine.act() == Act::Delete { gone } else { self.believed(gone)? };
        self.take_gone(&gone)
    }

    /// Whether a list has just shown all that is new of what these are.
    fn was_listed(&self, ids: &[RowId]) -> bool {
        let fresh_ms = self.options.upload.fresh_ms;
        ids.first().is_some_and(|id| self.bases.was_listed(id.resource, fresh_ms))
    }

    /// Those asked for that the store never had, and does not show: of them a whole answer tells that it has nothing.
    fn told_as_nothing(&self, is_cut: bool, ids: &[RowId], page: &Page<'_>) -> Result<Vec<Record>> {
        let unmade = if is_cut { Vec::new() } else { self.store.unmade(ids, &page.ids())? };
        Ok(unmade.into_iter().map(Record::of_nothing).collect())
    }

    /// Settles what was answered: in one transaction, if nobody else writes.
    fn settle(&mut self, run: &mut Run) -> Result<()> {
        match run.machine.act() {
            Act::Create => return self.settle_created(run),
            Act::Delete => return self.settle_deleted(run),
            Act::Update => {}
        }
        let answers = std::mem::take(&mut run.answered);
        let mut rest = &answers[..];
        while !rest.is_empty() {
            let (settled, uploaded) =
                self.store.settle_some(rest, &self.options.policies, self.clock.utc())?;
            self.note_doubts(&uploaded)?;
            let through = rest[..settled].iter().flatten().map(|(id, _)| *id);
            self.progress(run, through, uploaded);
            rest = &rest[settled..];
        }
        Ok(())
    }

    /// What was answered may lag: what is known of those customers counts as old.
    fn note_doubts(&mut self, uploaded: &Uploaded) -> Result<()> {
        if uploaded.is_outdated {
            self.bases.doubted(self.store.doubted()?);
        }
        Ok(())
    }

    /// Stopped in the middle: what was answered is settled, and what has not left is pending again. What is on its way is
    /// in doubt, and the next sync reads it back.
    fn lay_down(&mut self, run: &mut Run) -> Result<()> {
        self.settle(run)?;
        let is_here = |errand: &Errand| matches!(errand, Errand::Batch(Batch { request: Some(_), .. }));
        let batches = run.errands.values().filter(|errand| is_here(errand));
        let ids =
            batches.flat_map(|errand| if let Errand::Batch(batch) = errand { &batch.sent[..] } else { &[] });
        let ids: Vec<RowId> = ids.map(|row| row.id).collect();
        self.store.release(&ids, self.clock.utc())
    }

    fn progress(&mut self, run: &mut Run, through: impl IntoIterator<Item = RowId>, uploaded: Uploaded) {
        if run.resource == ResourceId::CUSTOMER {
            self.counts.uploaded.customers += uploaded.customers;
            self.counts.uploaded.fields += uploaded.fields;
        } else {
            *self.counts.landed.entry(run.resource).or_default() += uploaded.customers as u64;
        }
        self.tell(uploaded.notices);
        self.progressed(run, through);
    }

    /// How many of those who are sent have been answered.
    pub(super) fn progressed(&mut self, run: &mut Run, through: impl IntoIterator<Item = RowId>) {
        let before = run.done.len();
        run.done.extend(through);
        if run.done.len() > before {
            self.say(Event::Progress(Progress::Uploaded { customers: run.done.len() as u64, of: run.total }));
        }
    }
}
