//! Steps 1, 4, 5 and 6: drives the upload machine. Commands come out of it and are carried out here, answers go in; this
//! thread is the one writer of the file.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{Event, Extent, Progress, SyncEngine, spans};
use crate::api::{Remote, Request};
use crate::customer::{CustomerId, FieldId, Record};
use crate::error::{Failure, Result};
use crate::flow::{
    Answer, EmailOrder, GetVerdict, Misses, Notice, PutVerdict, Step, Ticket, Trouble, Upload, Write,
    judge_get, judge_put, order_emails,
};
use crate::store::{Planned, Prepared, Uploaded};

/// What a ticket stands for.
enum Errand {
    Put(Vec<(CustomerId, Vec<FieldId>)>),
    Read(Vec<CustomerId>),
}

/// A machine and what it has on its way.
struct Run {
    machine: Upload,
    errands: BTreeMap<Ticket, Errand>,
    total: u64,
    done: BTreeSet<CustomerId>,
    /// Committed, and not on their way yet.
    ready: BTreeMap<Ticket, Ready>,
    /// Answered, and not settled in the file yet: what can leave meanwhile leaves first.
    answered: Vec<Vec<(CustomerId, Record)>>,
    /// Updates that the store put off since it last let one through: what a refresh reads meanwhile is no progress.
    limits: Misses,
}

/// A batch that was committed.
struct Ready {
    request: Request,
    sent: Vec<(CustomerId, Vec<FieldId>)>,
    /// When it was committed, if how long ago it was sent will matter.
    adjusts_since_ms: Option<u64>,
}

/// A batch with an adjustment that has waited longer is told to leave now, in the file. One that has not may have left so
/// much later than the file says, which the grace of a recovery allows for.
const LEAVES_AT_ONCE_MS: u64 = 500;

/// Why two customers that swap addresses are not sent.
const RING: &str = "its address goes to a customer whose address it takes, directly or in a ring: no order of single \
                    updates can do that; give one of them another address first, sync, then go on";

impl<R: Remote> SyncEngine<R> {
    /// Step 1. What an earlier sync left on its way is read back; what did not land is pending again.
    pub(super) fn recover(&mut self) -> Result<()> {
        let doubt = self.store.in_doubt()?;
        if doubt.customers.is_empty() {
            return Ok(());
        }
        let grace_ms = self.options.upload.grace_ms.saturating_add(LEAVES_AT_ONCE_MS);
        let grace = TimeDelta::try_milliseconds(i64::try_from(grace_ms).unwrap_or(i64::MAX))
            .unwrap_or(TimeDelta::MAX);
        // A clock that was set meanwhile must not make it wait longer than the grace.
        let left = doubt
            .adjustment_sent_at
            .map_or(TimeDelta::zero(), |sent_at| grace - (self.clock.utc() - sent_at));
        let left_ms = left.clamp(TimeDelta::zero(), grace).num_milliseconds().unsigned_abs();
        let now_ms = self.clock.now_ms();
        let tickets = self.tickets();
        let span = spans::recover(doubt.customers.len());
        let machine =
            Upload::recovering(doubt.customers, now_ms + left_ms, self.options.upload, now_ms, tickets);
        self.traced(&span, |engine| engine.run(machine, 0))
    }

    /// Step 4. What is to be sent; what needs no call settles here.
    pub(super) fn plan(&mut self) -> Result<Planned> {
        let planned = self.store.plan(self.clock.utc())?;
        self.counts.unchanged_customers += planned.unchanged_customers as u64;
        tracing::debug!(
            customers = planned.customers.len(),
            unchanged = planned.unchanged_customers,
            "planned"
        );
        self.tell(planned.notices.iter().cloned());
        Ok(planned)
    }

    pub(super) fn tell(&mut self, notices: impl IntoIterator<Item = Notice>) {
        notices.into_iter().for_each(|notice| self.say(Event::of(notice)));
    }

    /// How long ago this engine pulled. What an earlier process pulled is of no use: only the wall clock could tell its
    /// age, and that may have been set.
    pub(super) fn base_age_ms(&self) -> u64 {
        self.pulled_ms.map_or(u64::MAX, |pulled_ms| self.clock.now_ms().saturating_sub(pulled_ms))
    }

    /// Steps 5 and 6, with snapshots that are `base_age_ms` old.
    pub(super) fn upload(&mut self, planned: Planned, base_age_ms: u64) -> Result<()> {
        let order = self.order(&planned)?;
        let total = planned.customers.len() as u64;
        let size = self.store.batch_limit(self.clock.utc())?.unwrap_or(self.options.upload.batch_size);
        let (times, tickets) = ((self.clock.now_ms(), base_age_ms), self.tickets());
        let machine = Upload::of(planned.customers, &order, size, self.options.upload, times, tickets);
        self.traced(&spans::upload(total), |engine| engine.run(machine, total))
    }

    fn order(&mut self, planned: &Planned) -> Result<EmailOrder> {
        let order = order_emails(&planned.emails);
        if !order.rings.is_empty() {
            self.store.reject_unsent(&order.rings, FieldId::EMAIL, RING, self.clock.utc())?;
        }
        Ok(order)
    }

    fn run(&mut self, machine: Upload, total: u64) -> Result<()> {
        let mut run = Run {
            machine,
            errands: BTreeMap::new(),
            total,
            done: BTreeSet::new(),
            ready: BTreeMap::new(),
            answered: Vec::new(),
            limits: Misses::default(),
        };
        loop {
            if let Err(stopped) = self.refuse_when_stopped() {
                self.lay_down(&mut run)?;
                return Err(stopped);
            }
            let step = run.machine.next(self.clock.now_ms(), &self.pacer);
            if !matches!(step, Step::Send(_) | Step::Prepare(..)) {
                self.settle(&mut run)?;
            }
            match step {
                Step::Prepare(ticket, ids) => self.prepare(&mut run, ticket, ids)?,
                Step::Send(ticket) => self.send(&mut run, ticket)?,
                Step::Retract(ticket, ids) => {
                    run.ready.remove(&ticket);
                    self.store.release(&ids, self.clock.utc())?;
                }
                Step::Read(ticket, ids) => {
                    run.errands.insert(ticket, Errand::Read(ids.clone()));
                    self.start(ticket, Request::ByIds(ids));
                }
                Step::Refresh => {
                    self.pull_and_merge(Extent::Changes)?;
                    run.machine.refreshed(self.clock.now_ms());
                }
                Step::Wait(until_ms) => self.wait(&mut run, until_ms)?,
                Step::Done => break,
            }
        }
        self.counts.retries += u64::from(run.machine.retries());
        if let Some(size) = run.machine.learned_size() {
            self.store.set_batch_limit(size, self.clock.utc())?;
        }
        run.machine.failure().map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Commits a batch, and with it what else may be prepared, unless others write too: one wait for the disk.
    fn prepare(&mut self, run: &mut Run, ticket: Ticket, ids: Vec<CustomerId>) -> Result<()> {
        let (now_ms, mut batches) = (self.clock.now_ms(), vec![(ticket, ids)]);
        if !self.store.others_write()? {
            batches.extend(std::iter::from_fn(|| run.machine.next_to_prepare(now_ms)));
        }
        let ids = batches.iter().map(|(_, ids)| &ids[..]);
        let prepared = self.store.prepare_batches(ids, self.clock.utc())?;
        for ((ticket, _), prepared) in batches.iter().zip(prepared) {
            self.prepared(run, *ticket, prepared, now_ms);
        }
        Ok(())
    }

    fn prepared(&mut self, run: &mut Run, ticket: Ticket, prepared: Prepared, now_ms: u64) {
        self.counts.unchanged_customers += prepared.unchanged_customers as u64;
        self.tell(prepared.notices);
        if prepared.payloads.is_empty() {
            run.machine.nothing_to_send(ticket);
            return;
        }
        let customers: Vec<CustomerId> = prepared.payloads.iter().map(|payload| payload.id).collect();
        let has_adjustment = prepared.payloads.iter().any(|payload| payload.credit.is_some());
        run.machine.prepared(ticket, &customers, has_adjustment);
        let ready = Ready {
            request: Request::update(&prepared.payloads),
            sent: prepared.payloads.iter().map(|payload| (payload.id, payload.sent().collect())).collect(),
            adjusts_since_ms: has_adjustment.then_some(now_ms),
        };
        run.ready.insert(ticket, ready);
    }

    /// Lets a batch leave that was committed.
    fn send(&mut self, run: &mut Run, ticket: Ticket) -> Result<()> {
        let Some(Ready { request, sent, adjusts_since_ms }) = run.ready.remove(&ticket) else {
            return Err(Failure::Unexpected("a batch was to leave that is not ready".to_owned()).into());
        };
        let now_ms = self.clock.now_ms();
        if adjusts_since_ms.is_some_and(|since_ms| now_ms - since_ms > LEAVES_AT_ONCE_MS) {
            self.store.leaves_now(sent[0].0, self.clock.utc())?;
        }
        run.machine.sent(ticket, now_ms);
        self.spans.batch(ticket, &sent, now_ms);
        run.errands.insert(ticket, Errand::Put(sent));
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
            Some(Errand::Put(sent)) => self.put_answered(run, ticket, &sent, answer),
            Some(Errand::Read(ids)) => self.read_answered(run, ticket, &ids, answer),
            None => Ok(()),
        }
    }

    fn put_answered(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        sent: &[(CustomerId, Vec<FieldId>)],
        answer: &Result<Answer, Trouble>,
    ) -> Result<()> {
        let verdict = self.within_patience(run, judge_put(answer, sent));
        self.spans.judged(ticket, &verdict, self.clock.now_ms());
        let (now_ms, now, chance) = (self.clock.now_ms(), self.clock.utc(), self.random.f64());
        match run.machine.answered(ticket, verdict, now_ms, chance) {
            Write::Settle(records) => run.answered.push(records),
            Write::Release => {
                let ids: Vec<CustomerId> = sent.iter().map(|(id, _)| *id).collect();
                self.store.release(&ids, now)?;
            }
            Write::Reject(rejection) => {
                let notices = self.store.reject(&rejection, now)?;
                self.progress(run, [rejection.customer_id], Uploaded { notices, ..Uploaded::default() });
            }
            Write::Nothing => {}
        }
        Ok(())
    }

    /// Settles what was answered: in one transaction, if nobody else writes.
    fn settle(&mut self, run: &mut Run) -> Result<()> {
        let answers = std::mem::take(&mut run.answered);
        let mut rest = &answers[..];
        while !rest.is_empty() {
            let (settled, uploaded) =
                self.store.settle_some(rest, &self.options.policies, self.clock.utc())?;
            let through = rest[..settled].iter().flatten().map(|(id, _)| *id);
            self.progress(run, through, uploaded);
            rest = &rest[settled..];
        }
        Ok(())
    }

    /// Stopped in the middle: what was answered is settled, and what has not left is pending again. What is on its way is
    /// in doubt, and the next sync reads it back.
    fn lay_down(&mut self, run: &mut Run) -> Result<()> {
        self.settle(run)?;
        let ready = std::mem::take(&mut run.ready);
        let ids: Vec<CustomerId> = ready.values().flat_map(|ready| &ready.sent).map(|(id, _)| *id).collect();
        self.store.release(&ids, self.clock.utc())
    }

    fn within_patience(&self, run: &mut Run, verdict: PutVerdict) -> PutVerdict {
        match verdict {
            PutVerdict::Limited => self
                .limited(&mut run.limits, self.clock.now_ms())
                .map_or(PutVerdict::Limited, PutVerdict::NotSent),
            passed => {
                run.limits.clear();
                passed
            }
        }
    }

    fn read_answered(
        &mut self,
        run: &mut Run,
        ticket: Ticket,
        ids: &[CustomerId],
        answer: &Result<Answer, Trouble>,
    ) -> Result<()> {
        let (now_ms, now, chance) = (self.clock.now_ms(), self.clock.utc(), self.random.f64());
        match judge_get(answer) {
            GetVerdict::Page(page) => {
                let records =
                    page.customers.iter().map(|(attributes, body)| (attributes.id(), Record::new(*body)));
                let records: BTreeMap<CustomerId, Record> = records.collect();
                let machine = &mut run.machine;
                let refuse = |pending: &[CustomerId]| machine.read(ticket, pending);
                let uploaded = self.store.recover(ids, &records, &self.options.policies, now, refuse)?;
                self.progress(run, [], uploaded);
            }
            GetVerdict::Limited => match self.limited(&mut run.limits, now_ms) {
                Some(failure) => run.machine.read_failed(ticket, Err(failure), now_ms, chance),
                None => run.machine.read_limited(ticket, now_ms),
            },
            GetVerdict::Again(why) => run.machine.read_failed(ticket, Ok(why), now_ms, chance),
            GetVerdict::Stop(failure) => run.machine.read_failed(ticket, Err(failure), now_ms, chance),
        }
        Ok(())
    }

    fn progress(&mut self, run: &mut Run, through: impl IntoIterator<Item = CustomerId>, uploaded: Uploaded) {
        self.counts.uploaded.customers += uploaded.customers;
        self.counts.uploaded.fields += uploaded.fields;
        run.done.extend(through);
        self.tell(uploaded.notices);
        self.say(Event::Progress(Progress::Uploaded { customers: run.done.len() as u64, of: run.total }));
    }
}
