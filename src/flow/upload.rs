//! Uploading as a state machine: commands out, answers in. No IO, no clock, no chance of its own.
//!
//! ```text
//! queue ──▶ Prepare ──▶ ready ──▶ Send ──▶ on its way ──200──▶ settled
//!                         │                   ├── 429, 413, not sent ──▶ released, sent again
//!                         │                   └── in doubt, refused, unconfirmed ──▶ Read ──▶ what did not land is sent again
//!                         └── too old, too large, or it is over ──▶ Retract
//! ```
//!
//! As many batches as may be on their way wait ready behind them, committed, so that one leaves in the instant in which
//! an answer comes, and the file is written while the store is busy.
//!
//! The shell drives it with three HTTP threads and one writer of the database; the simulation drives the same
//! machine on one thread and lets a seed choose which answer comes next. Whatever may have been applied is read back
//! before it is sent again, so nothing is applied twice and no remote change is overwritten unseen.
//!
//! Isolation of a bad record that the server does not name: the batch is read back (a customer that is gone, or a
//! server that took the good ones, shows at once), then a third of it is sent; if that passes, the bad one is in the
//! rest, which is split on without being sent. One among ten costs eight calls at the most.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::batch::Queue;
use super::retry::Misses;
use super::{EmailOrder, Pacer, PutVerdict, Rejection, RetryOptions};
use crate::customer::CustomerId;
use crate::error::Failure;

/// How updates are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadOptions {
    /// Customers a call, at most 10 (the API's limit). Default: 10.
    pub batch_size: usize,
    /// Calls at once, at most 3 (the API's limit). Default: 3.
    pub concurrency: usize,
    /// An upload that lasts longer pulls again between batches, in milliseconds; `None`: never. Default: 30,000.
    pub refresh_ms: Option<u64>,
    /// A batch in doubt that holds an adjustment is not read back before this much time has passed since it was
    /// sent, in milliseconds: the server may still be busy with it. Default: 5,000.
    pub grace_ms: u64,
    /// How a failed call is tried again.
    pub retry: RetryOptions,
}

/// The most that the API takes.
const MAX_BATCH: usize = 10;
const MAX_CONCURRENT: usize = 3;

impl Default for UploadOptions {
    fn default() -> Self {
        UploadOptions {
            batch_size: MAX_BATCH,
            concurrency: MAX_CONCURRENT,
            refresh_ms: Some(30_000),
            grace_ms: 5_000,
            retry: RetryOptions::default(),
        }
    }
}

/// Names a request between its command and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A supply of tickets that no one else gives out.
#[derive(Clone, Copy, Debug)]
pub struct Tickets(u64);

impl Tickets {
    /// The `block`th supply of a process.
    pub fn block(block: u64) -> Tickets {
        Tickets(block << 32)
    }

    /// The next ticket.
    pub fn take(&mut self) -> Ticket {
        self.0 += 1;
        Ticket(self.0)
    }
}

/// A command to the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Commit these customers as a batch; say [`Upload::prepared`] or [`Upload::nothing_to_send`].
    Prepare(Ticket, Vec<CustomerId>),
    /// A batch that was prepared leaves; say [`Upload::sent`].
    Send(Ticket),
    /// A batch that was prepared does not leave: its edits are pending again.
    Retract(Ticket, Vec<CustomerId>),
    /// Read these customers back; say [`Upload::read`].
    Read(Ticket, Vec<CustomerId>),
    /// Nothing is on its way: pull, then say [`Upload::refreshed`].
    Refresh,
    /// Wait for an answer, or until this instant of the clock.
    Wait(Option<u64>),
    /// It is over.
    Done,
}

/// What the shell writes after an answer.
#[derive(Debug)]
pub enum Write {
    /// Settle these; what else was in the batch stays in doubt in the file.
    Settle(Vec<(CustomerId, crate::customer::Record)>),
    /// Nothing was applied: the edits are pending again.
    Release,
    /// The one customer of the batch was refused: those edits wait for a person, its others are pending again.
    Reject(Rejection),
    /// Nothing: the batch stays in doubt in the file.
    Nothing,
}

/// Customers that go up together.
#[derive(Clone, Debug, Default)]
struct Group {
    ids: Vec<CustomerId>,
    /// Failures so far.
    attempt: u32,
    /// They were read back: none of them is gone.
    is_checked: bool,
    /// The rest of a batch that holds a bad record: if this group passes, the bad one is there.
    suspects: Option<Box<Suspects>>,
}

#[derive(Clone, Debug)]
struct Suspects {
    group: Group,
    words: String,
}

/// Why a batch is to be read back.
#[derive(Clone, Debug)]
enum Doubt {
    /// Whether it arrived is not known.
    Lost(String),
    /// The store took it, and did not show all of it.
    Unconfirmed,
    /// The store refused it, or a part of it.
    Refused { rejections: Vec<Rejection>, words: String },
}

/// A batch that is not on its way yet.
#[derive(Debug)]
struct Ready {
    ticket: Ticket,
    group: Group,
    /// It stands in the file.
    is_committed: bool,
    has_adjustment: bool,
}

#[derive(Debug)]
enum Flight {
    Put { group: Group, sent_ms: u64, has_adjustment: bool },
    Read { group: Group, sent_ms: u64, doubt: Doubt },
}

#[derive(Debug)]
struct ToRead {
    group: Group,
    doubt: Doubt,
    at_ms: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Upload {
    options: UploadOptions,
    size: usize,
    queue: Queue,
    groups: VecDeque<Group>,
    /// Handed out to be committed, in the order in which they leave.
    ready: VecDeque<Ready>,
    to_read: Vec<ToRead>,
    flights: BTreeMap<Ticket, Flight>,
    tickets: Tickets,
    misses: Misses,
    paused_until_ms: u64,
    /// No base is older than the option allows, until then.
    fresh_until_ms: u64,
    /// Set when nothing more is to be sent.
    failure: Option<Failure>,
    /// Customers whose batch failed too often, with the last reason; others went on.
    set_aside: Option<Failure>,
    retries: u32,
    is_smaller: bool,
    /// Off: what did not land is left for the plan that follows.
    sends: bool,
}

impl Upload {
    /// Sends these customers, oldest edit first, in batches of at most `size`. It is `now_ms`, and what the snapshots
    /// say is `base_age_ms` old.
    pub fn of(
        customers: Vec<CustomerId>,
        order: &EmailOrder,
        size: usize,
        options: UploadOptions,
        (now_ms, base_age_ms): (u64, u64),
        tickets: Tickets,
    ) -> Upload {
        let options = UploadOptions { concurrency: options.concurrency.clamp(1, MAX_CONCURRENT), ..options };
        Upload {
            options,
            size: size.min(options.batch_size).clamp(1, MAX_BATCH),
            queue: Queue::new(customers, order),
            groups: VecDeque::new(),
            ready: VecDeque::new(),
            to_read: Vec::new(),
            flights: BTreeMap::new(),
            tickets,
            misses: Misses::default(),
            paused_until_ms: 0,
            fresh_until_ms: options
                .refresh_ms
                .map_or(u64::MAX, |every_ms| (now_ms + every_ms).saturating_sub(base_age_ms)),
            failure: None,
            set_aside: None,
            retries: 0,
            is_smaller: false,
            sends: true,
        }
    }

    /// Reads back what a crash left in doubt, from `at_ms` on, and sends nothing.
    pub fn recovering(
        customers: Vec<CustomerId>,
        at_ms: u64,
        options: UploadOptions,
        now_ms: u64,
        tickets: Tickets,
    ) -> Upload {
        let mut upload =
            Upload::of(Vec::new(), &EmailOrder::default(), MAX_BATCH, options, (now_ms, 0), tickets);
        let doubt = || Doubt::Lost("an earlier sync did not end".to_owned());
        upload.to_read = customers
            .chunks(READ_AT_ONCE)
            .map(|ids| ToRead {
                group: Group { ids: ids.to_vec(), ..Group::default() },
                doubt: doubt(),
                at_ms,
            })
            .collect();
        upload.fresh_until_ms = u64::MAX;
        upload.sends = false;
        upload
    }

    /// What is to be done next.
    pub fn next(&mut self, now_ms: u64, pacer: &Pacer) -> Step {
        if let Some(step) = self.retract(now_ms) {
            return step;
        }
        if self.failure.is_some() {
            return if self.flights.is_empty() { Step::Done } else { Step::Wait(None) };
        }
        let ready_ms = pacer.ready_at_ms(now_ms).max(self.paused_until_ms);
        if ready_ms <= now_ms {
            let leaves =
                if self.has_free_call() { self.due_read(now_ms).or_else(|| self.leave()) } else { None };
            let prepares = || self.next_to_prepare(now_ms).map(|(ticket, ids)| Step::Prepare(ticket, ids));
            if let Some(step) = leaves.or_else(prepares) {
                return step;
            }
        }
        let is_quiet = self.flights.is_empty() && self.to_read.is_empty() && self.ready.is_empty();
        match (is_quiet, self.has_unsent()) {
            (true, false) => Step::Done,
            (true, true) if self.is_stale(now_ms) => Step::Refresh,
            _ => self.wait(now_ms, ready_ms),
        }
    }

    /// Another batch that may be committed now, beside those that were handed out.
    pub fn next_to_prepare(&mut self, now_ms: u64) -> Option<(Ticket, Vec<CustomerId>)> {
        if self.ready.len() >= self.options.concurrency || self.is_stale(now_ms) {
            return None;
        }
        let group = match self.groups.pop_front() {
            Some(group) => group,
            None => {
                let on_its_way =
                    !self.flights.is_empty() || !self.to_read.is_empty() || !self.ready.is_empty();
                let ids = self.queue.take(self.size, on_its_way);
                (!ids.is_empty()).then_some(Group { ids, ..Group::default() })?
            }
        };
        let (ticket, ids) = (self.tickets.take(), group.ids.clone());
        self.ready.push_back(Ready { ticket, group, is_committed: false, has_adjustment: false });
        Some((ticket, ids))
    }

    /// The customers of a `Prepare` that were committed. The others of that step had nothing to send.
    pub fn prepared(&mut self, ticket: Ticket, ids: &[CustomerId], has_adjustment: bool) {
        let Some(ready) = self.ready.iter_mut().find(|ready| ready.ticket == ticket) else { return };
        let was = std::mem::replace(&mut ready.group.ids, ids.to_vec());
        (ready.is_committed, ready.has_adjustment) = (true, has_adjustment);
        was.into_iter().filter(|id| !ids.contains(id)).for_each(|id| self.queue.is_through(id));
    }

    /// None of the customers of a `Prepare` had anything to send.
    pub fn nothing_to_send(&mut self, ticket: Ticket) {
        if let Some(place) = self.ready.iter().position(|ready| ready.ticket == ticket) {
            let ready = self.ready.remove(place);
            ready.into_iter().for_each(|ready| self.passed(ready.group));
        }
    }

    /// The batch of a `Send` left at `now_ms`.
    pub fn sent(&mut self, ticket: Ticket, now_ms: u64) {
        if let Some(Flight::Put { sent_ms, .. }) = self.flights.get_mut(&ticket) {
            *sent_ms = now_ms;
        }
    }

    /// The answer to a `Send`.
    pub fn answered(&mut self, ticket: Ticket, verdict: PutVerdict, now_ms: u64, chance: f64) -> Write {
        let Some(Flight::Put { group, sent_ms, has_adjustment }) = self.flights.remove(&ticket) else {
            return Write::Nothing;
        };
        match verdict {
            PutVerdict::Confirmed { records, missing, rejections } => {
                self.misses.clear();
                self.confirmed(group, missing, rejections, now_ms);
                Write::Settle(records)
            }
            PutVerdict::Refused { rejections, words } => {
                self.misses.clear();
                if let ([id], true) = (&group.ids[..], group.is_checked) {
                    let rejection = rejections.into_iter().next();
                    let rejection = rejection.unwrap_or(Rejection { customer_id: *id, field: None, words });
                    return self.refused_alone(group, rejection);
                }
                self.read_back(group, Doubt::Refused { rejections, words }, now_ms);
                Write::Nothing
            }
            PutVerdict::TooLarge => {
                self.too_large(group);
                Write::Release
            }
            PutVerdict::Limited => {
                self.groups.push_front(group);
                Write::Release
            }
            PutVerdict::InDoubt(why) => {
                let wait_ms = self.missed(sent_ms, now_ms, chance, &why);
                let grace_ms = if has_adjustment { sent_ms + self.options.grace_ms } else { 0 };
                self.to_read.push(ToRead {
                    group,
                    doubt: Doubt::Lost(why),
                    at_ms: grace_ms.max(now_ms + wait_ms),
                });
                Write::Nothing
            }
            PutVerdict::NotSent(failure) | PutVerdict::Stop(failure) => {
                self.failure.get_or_insert(failure);
                Write::Release
            }
        }
    }

    /// The customers of a `Read` that did not land and wait again; `gone` and landed ones are not among them. Returns
    /// the refusals that are to be written with it.
    pub fn read(&mut self, ticket: Ticket, pending: &[CustomerId]) -> Vec<Rejection> {
        let Some(Flight::Read { mut group, doubt, .. }) = self.flights.remove(&ticket) else {
            return Vec::new();
        };
        self.misses.clear();
        let was_alone = group.ids.len() == 1;
        let pending_set: BTreeSet<CustomerId> = pending.iter().copied().collect();
        let (rest, through): (Vec<_>, Vec<_>) = group.ids.iter().partition(|id| pending_set.contains(id));
        through.into_iter().for_each(|id: CustomerId| self.queue.is_through(id));
        group.ids = rest;
        group.is_checked = true;
        if group.ids.is_empty() {
            self.passed(group);
            return Vec::new();
        }
        match doubt {
            _ if !self.sends => Vec::new(),
            Doubt::Lost(why) => self.again(group, why),
            Doubt::Unconfirmed => self.again_or_reject(group),
            Doubt::Refused { rejections, words } => self.isolate(group, was_alone, rejections, words),
        }
    }

    /// A `Read` failed and is tried again; `failure` ends the upload.
    pub fn read_failed(
        &mut self,
        ticket: Ticket,
        failure: Result<String, Failure>,
        now_ms: u64,
        chance: f64,
    ) {
        let Some(Flight::Read { group, sent_ms, doubt }) = self.flights.remove(&ticket) else { return };
        match failure {
            Err(failure) => _ = self.failure.get_or_insert(failure),
            Ok(why) => {
                let wait_ms = self.missed(sent_ms, now_ms, chance, &why);
                self.to_read.push(ToRead { group, doubt, at_ms: now_ms + wait_ms });
            }
        }
    }

    /// A `Read` met a rate limit: the pacer knows until when.
    pub fn read_limited(&mut self, ticket: Ticket, now_ms: u64) {
        if let Some(Flight::Read { group, doubt, .. }) = self.flights.remove(&ticket) {
            self.to_read.push(ToRead { group, doubt, at_ms: now_ms });
        }
    }

    /// The snapshot is fresh again.
    pub fn refreshed(&mut self, now_ms: u64) {
        self.fresh_until_ms = self.options.refresh_ms.map_or(u64::MAX, |every_ms| now_ms + every_ms);
    }

    /// Why it ended early, if it did.
    pub fn failure(&mut self) -> Option<Failure> {
        self.failure.take().or_else(|| self.set_aside.take())
    }

    /// How often something was sent or read once more.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// The size of call that the store takes, if it refused a larger one.
    pub fn learned_size(&self) -> Option<usize> {
        self.is_smaller.then_some(self.size)
    }

    /// How many calls an answer is awaited for.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    // ---- what next ---------------------------------------------------------------------------------------------------

    fn due_read(&mut self, now_ms: u64) -> Option<Step> {
        let due = self.to_read.iter().position(|read| read.at_ms <= now_ms)?;
        let ToRead { group, doubt, .. } = self.to_read.swap_remove(due);
        let (ticket, ids) = (self.tickets.take(), group.ids.clone());
        self.flights.insert(ticket, Flight::Read { group, sent_ms: now_ms, doubt });
        Some(Step::Read(ticket, ids))
    }

    fn has_free_call(&self) -> bool {
        self.flights.len() < self.options.concurrency
    }

    /// The batch that was committed first.
    fn leave(&mut self) -> Option<Step> {
        self.ready.front().filter(|ready| ready.is_committed)?;
        let Ready { ticket, group, has_adjustment, .. } = self.ready.pop_front()?;
        self.flights.insert(ticket, Flight::Put { group, sent_ms: 0, has_adjustment });
        Some(Step::Send(ticket))
    }

    /// Takes back a batch that is not to leave as it is: because of a failure, because its base is too old, or because
    /// the store takes fewer customers a call.
    fn retract(&mut self, now_ms: u64) -> Option<Step> {
        let is_over = self.failure.is_some() || self.is_stale(now_ms);
        let is_due = |ready: &Ready| ready.is_committed && (is_over || ready.group.ids.len() > self.size);
        let place = self.ready.iter().position(is_due)?;
        let Ready { ticket, mut group, .. } = self.ready.remove(place)?;
        if group.ids.len() > self.size {
            self.acquit(&mut group);
        }
        let ids = group.ids.clone();
        let parts = ids.chunks(self.size).map(|ids| Group { ids: ids.to_vec(), ..group.clone() });
        parts.rev().for_each(|part| self.groups.push_front(part));
        Some(Step::Retract(ticket, ids))
    }

    fn has_unsent(&self) -> bool {
        !self.queue.is_empty() || !self.groups.is_empty() || !self.ready.is_empty()
    }

    fn is_stale(&self, now_ms: u64) -> bool {
        now_ms >= self.fresh_until_ms
    }

    fn wait(&self, now_ms: u64, ready_ms: u64) -> Step {
        if self.flights.len() >= self.options.concurrency {
            return Step::Wait(None);
        }
        let read_ms = self.to_read.iter().map(|read| read.at_ms.max(ready_ms)).min();
        let send_ms = (self.has_unsent() && !self.is_stale(now_ms)).then_some(ready_ms);
        Step::Wait(read_ms.into_iter().chain(send_ms).filter(|at_ms| *at_ms > now_ms).min())
    }

    // ---- what an answer leads to -------------------------------------------------------------------------------------

    fn confirmed(
        &mut self,
        mut group: Group,
        missing: Vec<CustomerId>,
        rejections: Vec<Rejection>,
        now_ms: u64,
    ) {
        let landed: Vec<CustomerId> = group.ids.iter().filter(|id| !missing.contains(id)).copied().collect();
        landed.into_iter().for_each(|id| self.queue.is_through(id));
        if missing.is_empty() {
            return self.passed(group);
        }
        group.ids = missing;
        let doubt = if rejections.is_empty() {
            Doubt::Unconfirmed
        } else {
            Doubt::Refused { words: rejections[0].words.clone(), rejections }
        };
        self.read_back(group, doubt, now_ms);
    }

    /// A group went through: if it was the first part of a bad batch, the bad record is in the rest.
    fn passed(&mut self, group: Group) {
        group.ids.iter().for_each(|id| self.queue.is_through(*id));
        if let Some(suspects) = group.suspects {
            self.split(suspects.group, suspects.words);
        }
    }

    /// A group did not go through: its own records are to blame, the rest is like any other.
    fn acquit(&mut self, group: &mut Group) {
        if let Some(suspects) = group.suspects.take() {
            self.groups.push_back(suspects.group);
        }
    }

    fn read_back(&mut self, group: Group, doubt: Doubt, now_ms: u64) {
        self.retries += 1;
        self.to_read.push(ToRead { group, doubt, at_ms: now_ms });
    }

    fn again(&mut self, mut group: Group, why: String) -> Vec<Rejection> {
        group.attempt += 1;
        if group.attempt >= self.options.retry.tries {
            self.acquit(&mut group);
            group.ids.iter().for_each(|id| self.queue.is_through(*id));
            self.set_aside.get_or_insert(Failure::Unavailable { tries: group.attempt, last: why });
            return Vec::new();
        }
        self.groups.push_front(group);
        Vec::new()
    }

    /// The store says yes and does not do it: after some tries that is for a person to see.
    fn again_or_reject(&mut self, mut group: Group) -> Vec<Rejection> {
        if group.attempt + 1 < self.options.retry.tries.min(3) {
            return self.again(group, String::new());
        }
        self.acquit(&mut group);
        group.ids.iter().for_each(|id| self.queue.is_through(*id));
        let words = "the store accepted the update, but does not show it".to_owned();
        group.ids.iter().map(|id| Rejection { customer_id: *id, field: None, words: words.clone() }).collect()
    }

    /// A customer on its own that is known to be there: there is nothing to find out.
    fn refused_alone(&mut self, mut group: Group, rejection: Rejection) -> Write {
        self.acquit(&mut group);
        match rejection.field {
            Some(_) => self.groups.push_front(group),
            None => self.queue.is_through(rejection.customer_id),
        }
        Write::Reject(rejection)
    }

    fn isolate(
        &mut self,
        mut group: Group,
        was_alone: bool,
        rejections: Vec<Rejection>,
        words: String,
    ) -> Vec<Rejection> {
        let is_named = !rejections.is_empty();
        let named: Vec<Rejection> =
            rejections.into_iter().filter(|r| group.ids.contains(&r.customer_id)).collect();
        // Who was named and is gone by now was to blame; who is left alone by that is not, before it was sent alone.
        if is_named || (group.ids.len() == 1 && !was_alone) {
            self.acquit(&mut group);
            self.groups.push_front(group);
            return named;
        }
        if let [id] = group.ids[..] {
            self.acquit(&mut group);
            self.queue.is_through(id);
            return vec![Rejection { customer_id: id, field: None, words }];
        }
        self.acquit(&mut group);
        self.split(group, words);
        Vec::new()
    }

    /// A part of a batch that holds a bad record goes first; a single suspect that is left is sent for its own words.
    fn split(&mut self, group: Group, words: String) {
        let first = (group.ids.len() / 3).max(1);
        let (ids, rest) = group.ids.split_at(first);
        let part = |ids: &[CustomerId]| Group { ids: ids.to_vec(), suspects: None, ..group.clone() };
        let suspects = (!rest.is_empty()).then(|| Box::new(Suspects { group: part(rest), words }));
        self.groups.push_front(Group { suspects, ..part(ids) });
    }

    fn too_large(&mut self, mut group: Group) {
        self.retries += 1;
        self.acquit(&mut group);
        self.is_smaller = true;
        self.size = (group.ids.len() / 2).max(1).min(self.size);
        let halves = group.ids.chunks(group.ids.len().div_ceil(2));
        let halves: Vec<Group> = halves.map(|ids| Group { ids: ids.to_vec(), ..group.clone() }).collect();
        halves.into_iter().rev().for_each(|half| self.groups.push_front(half));
    }

    /// Counts a failure; returns how long to wait, and gives up when there were enough.
    fn missed(&mut self, sent_ms: u64, now_ms: u64, chance: f64, why: &str) -> u64 {
        let retry = self.options.retry;
        self.retries += 1;
        self.misses.add(sent_ms, now_ms);
        if self.misses.are_enough(&retry, now_ms) {
            let failure = Failure::Unavailable { tries: self.misses.count(), last: why.to_owned() };
            self.failure.get_or_insert(failure);
        }
        let wait_ms = retry.wait_ms(retry.write_base_ms, self.misses.count(), chance);
        self.paused_until_ms = now_ms + wait_ms;
        wait_ms
    }
}

/// Customers read back in one call: the address stays short.
const READ_AT_ONCE: usize = 50;
