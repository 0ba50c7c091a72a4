//! Uploading as a state machine: commands out, answers in. No IO, no clock, no chance of its own.
//!
//! ```text
//! lanes ──▶ Look, if the base is old ──▶ Prepare ──▶ ready ──▶ Send ──▶ on its way ──200──▶ settled
//!   ▲                                                  │                   ├── 429, 413, not sent ──▶ sent again; on record
//!   │                                                  │                   └── in doubt, refused, unconfirmed ──▶ Read ──┐
//!   └── too old by now, too large, or it is over ── Retract                                                             │
//!   └── what did not land is sent again ◀───────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! | piece | what it knows |
//! |---|---|
//! | `lanes` | who is still to be sent, in which order, and who waits for whom |
//! | `look` | whose base is too old, and who is missing in the store |
//! | `ready` | what is committed and has not left |
//! | `doubt` | what is to be read back, and why |
//! | `isolate` | whether one customer is to blame for a call that failed, or its size |
//! | `room` | how much goes into a call |
//! | `patience` | how long to wait, and when it is enough |
//!
//! The shell drives it with HTTP threads and one writer of the database; the simulation drives the same machine on one
//! thread and lets a seed choose which answer comes next. Whatever may have been applied is read back before it is sent
//! again, so nothing is applied twice and no remote change is overwritten unseen. Reads take none of the three calls for
//! updates: they go beside them.

mod doubt;
mod isolate;
mod lanes;
mod look;
mod patience;
mod ready;
mod room;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use lanes::{EmailEdit, EmailOrder, order_emails};

use super::{Bases, Pacer, PutVerdict, Rejection, RetryOptions, Ticket, Tickets};
use crate::error::Failure;
use crate::resource::{FieldId, Identity, Record, ResourceId, RowId, Verb};
use doubt::{Doubt, Doubts, Reading, ToRead};
use isolate::{Families, first_third, smaller};
use lanes::{Group, Lanes};
use look::Look;
use patience::{Patience, Slots};
use ready::{Batch, Ready};
use room::Room;

/// How updates are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadOptions {
    /// Customers a call, at most 10 (the API's limit). Default: 10.
    pub batch_size: usize,
    /// Calls at once, at most 3 (the API's limit). Default: 3.
    pub concurrency: usize,
    /// No update leaves whose customers were last read longer ago, in milliseconds; they are read by id first. An
    /// adjustment of store credit is always read for its own update. `u64::MAX`: any age will do. Default: 10,000.
    pub fresh_ms: u64,
    /// A batch of which anything was not confirmed is not read back before this much time has passed since it was sent, in
    /// milliseconds: the server may still be busy with it, and its reads may lag behind its writes. Others go on meanwhile. Only
    /// what the API itself refuses, and moves no balance, is read back and split at once. As much lies between the two looks after which a customer counts as gone. Default:
    /// 5,000.
    pub grace_ms: u64,
    /// How a failed call is tried again.
    pub retry: RetryOptions,
}

/// The most that the API takes of customers.
const MOST: Verb = ResourceId::CUSTOMER.spec().most();
/// Reads at once: they take none of the calls for updates.
pub(crate) const MAX_READS: usize = 2;
/// Customers read back in one call: the address stays short.
const READ_AT_ONCE: usize = 50;
/// Looks in a row that brought no update, while nothing else was on its way: more bring none either.
const LOOKS_IN_VAIN: u32 = 20;
/// So often a customer is looked at alone that the store cannot show, while others go well.
const ALONE_AT_MOST: u32 = 3;
/// So often others are asked for, others each time, before it is the store that shows nobody.
const OTHERS_AT_MOST: u32 = 2;
/// Customers whom the store cannot show, in one upload: each costs some failing reads, and where they are more, it is the store.
const ALONE_IN_ALL: usize = 50;
/// A call of several customers that failed so often as a whole is halved.
const HALVED_AFTER: u32 = 2;

impl Default for UploadOptions {
    fn default() -> Self {
        UploadOptions {
            batch_size: MOST.rows,
            concurrency: MOST.at_once,
            fresh_ms: 10_000,
            grace_ms: 5_000,
            retry: RetryOptions::default(),
        }
    }
}

/// What is done to rows in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Act {
    /// They are new: whatever the store says of one, it is looked for before that is believed.
    Create,
    /// They are there.
    #[default]
    Update,
    /// They are to be there no more: what is not there is deleted, and of one that is nothing was done.
    Delete,
}

impl Act {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Act::Create => "create",
            Act::Update => "update",
            Act::Delete => "delete",
        }
    }

    /// That of this word.
    pub fn named(word: &str) -> Act {
        let is_it = |act: &Act| act.word() == word;
        [Act::Create, Act::Delete].into_iter().find(is_it).unwrap_or_default()
    }

    /// What a call of it takes.
    fn most(self, resource: ResourceId) -> Verb {
        let spec = resource.spec();
        let verb = match self {
            Act::Create => spec.create.map(|creation| creation.verb),
            Act::Update => spec.update,
            Act::Delete => spec.delete,
        };
        verb.unwrap_or(spec.most())
    }
}

/// A command to the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read these customers, whose base is too old; say [`Upload::looked`].
    Look(Ticket, Vec<RowId>),
    /// Commit these customers as a batch; say [`Upload::prepared`].
    Prepare(Ticket, Vec<RowId>),
    /// A batch that was prepared leaves; say [`Upload::sent`].
    Send(Ticket),
    /// A batch that was prepared does not leave: its edits are pending again.
    Retract(Ticket, Vec<RowId>),
    /// Read these customers back; say [`Upload::missing`], then [`Upload::read`].
    Read(Ticket, Vec<RowId>),
    /// Ask for a few customers of the file, others than these and others each time (the number); say [`Upload::others`].
    Others(Ticket, u32, BTreeSet<RowId>),
    /// Wait for an answer, or until this instant of the clock.
    Wait(Option<u64>),
    /// It is over.
    Done,
}

/// What the shell writes after an answer.
#[derive(Debug)]
pub enum Write {
    /// Settle these; what else was in the batch stays in doubt in the file.
    Settle(Vec<(RowId, Record)>),
    /// It never left: the edits are pending again.
    Release,
    /// It was refused as a whole: the edits are pending again, and what was sent stays on record.
    EndRefused,
    /// The one customer of the batch was refused: those edits wait for a person, its others are pending again.
    Reject(Rejection),
    /// Nothing: the batch stays in doubt in the file.
    Nothing,
}

/// What is to be sent.
#[derive(Clone, Debug, Default)]
pub struct ToSend {
    /// What they are rows of.
    pub resource: ResourceId,
    /// Oldest edit first.
    pub rows: Vec<RowId>,
    /// Who waits for whom.
    pub order: EmailOrder,
    /// Those whose store credit is adjusted.
    pub adjusting: BTreeSet<RowId>,
    /// Bytes a call, if the store refused more a while ago.
    pub most_bytes: Option<usize>,
    /// What is done to them.
    pub act: Act,
}

/// What became of a `Prepare`.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The rows of the batch in the order of the call, each with its bytes. None: no batch was committed.
    pub rows: Vec<(RowId, usize)>,
    /// Those of them whose store credit is adjusted or set.
    pub adjusting: Vec<RowId>,
    /// A balance is among what is sent.
    pub pays: bool,
    /// Customers that did not fit in; those in neither list had nothing to send.
    pub left: Vec<RowId>,
}

/// Why a read brought nothing.
#[derive(Debug)]
pub enum ReadFailure {
    /// The quota is used up: the pacer knows until when.
    Limited,
    /// Too many calls were under way.
    Crowded,
    /// It may go better next time.
    Again(String),
    /// It is too large, or too slow, for so many customers.
    TooMuch(String),
    /// It will not.
    Stop(Failure),
}

/// Two customers failed alone, one after the other: is it they, or the store?
#[derive(Debug)]
struct Question {
    /// The last one, if it is the store.
    failure: Failure,
    /// So often it was asked, and nothing came of it.
    nth: u32,
    at_ms: u64,
}

/// An update that is on its way.
#[derive(Debug)]
struct Flight {
    batch: Batch,
    sent_ms: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Upload {
    options: UploadOptions,
    lanes: Lanes,
    look: Look,
    ready: Ready,
    flights: BTreeMap<Ticket, Flight>,
    doubts: Doubts,
    families: Families,
    room: Room,
    slots: Slots,
    patience: Patience,
    /// Looks since an update left, or somebody turned out to have nothing to send.
    looks_in_vain: u32,
    tickets: Tickets,
    /// Set when nothing more is to be sent.
    failure: Option<Failure>,
    /// A customer whose update failed too often, with the last reason; the others went on.
    set_aside: Option<Failure>,
    /// Customers whom no whole answer showed.
    unbelieved: BTreeSet<RowId>,
    /// Customers whose look failed alone, since any read went well.
    failed_alone: u32,
    /// All of them.
    unshown: BTreeSet<RowId>,
    /// No read leaves before it is answered; and the question that is on its way, with when it left.
    question: Option<Question>,
    asking: Option<(Ticket, u64)>,
    /// Off: what did not land is left for the plan that follows.
    sends: bool,
    /// What is done to what is sent.
    act: Act,
}

impl Upload {
    /// Sends what is to be sent.
    pub fn of(work: ToSend, options: UploadOptions, tickets: Tickets) -> Upload {
        let most = work.act.most(work.resource);
        // Of what the store does not have there is nothing to look at before it leaves.
        let fresh_ms = if work.act == Act::Create { u64::MAX } else { options.fresh_ms };
        // How many an update takes says nothing of a list of ids.
        let at_once =
            if work.act == Act::Delete { most.rows } else { options.batch_size.clamp(1, most.rows) };
        Upload {
            options,
            lanes: Lanes::new(work.rows, &work.order),
            look: Look::new(fresh_ms, options.grace_ms, work.adjusting),
            ready: Ready::default(),
            flights: BTreeMap::new(),
            doubts: Doubts::default(),
            families: Families::default(),
            room: Room::new(at_once, work.most_bytes),
            slots: Slots::new(options.concurrency.clamp(1, most.at_once)),
            patience: Patience::new(options.retry),
            looks_in_vain: 0,
            tickets,
            failure: None,
            set_aside: None,
            unbelieved: BTreeSet::new(),
            failed_alone: 0,
            unshown: BTreeSet::new(),
            question: None,
            asking: None,
            sends: true,
            act: work.act,
        }
    }

    /// Reads back what a crash left in doubt, from `at_ms` on, and sends nothing.
    pub fn recovering(
        act: Act,
        rows: &[RowId],
        at_ms: u64,
        options: UploadOptions,
        tickets: Tickets,
    ) -> Upload {
        let first = rows.first().copied().unwrap_or_default();
        let work = ToSend { resource: first.resource, act, ..ToSend::default() };
        let mut upload = Upload::of(work, options, tickets);
        // What is asked for in words takes more room than an id.
        let at_once = if act == Act::Create { upload.room.customers() } else { READ_AT_ONCE };
        for ids in rows.chunks(at_once) {
            let doubt = Doubt::Lost("an earlier sync did not end".to_owned());
            upload.doubts.add(Group::of(ids.to_vec()), doubt, at_ms);
        }
        upload.sends = false;
        upload
    }

    /// What is to be done next.
    pub fn next(&mut self, now_ms: u64, pacer: &Pacer, bases: &Bases) -> Step {
        if let Some(step) = self.retract(bases) {
            return step;
        }
        if self.failure.is_some() {
            return if self.in_flight() == 0 { Step::Done } else { Step::Wait(None) };
        }
        let is_too_long = self.options.retry.refuse_wait(pacer, now_ms);
        if let Some(failure) = is_too_long.filter(|_| !self.is_over()) {
            self.failure = Some(failure);
            return self.next(now_ms, pacer, bases);
        }
        let paused_ms = self.patience.paused_until_ms();
        let ready_ms = pacer.ready_at_ms(now_ms).max(paused_ms);
        if self.looks_in_vain > 1 && pacer.ready_after_look_at_ms(now_ms).max(paused_ms) <= now_ms {
            // A look was too old by the next window already, and this one would be, too: where others use every window up, for ever.
            // One update goes into what is kept for them.
            if let Some(step) = self.leave(now_ms).or_else(|| self.prepare(bases)) {
                return step;
            }
        }
        if ready_ms <= now_ms {
            let leaves = self.leave(now_ms).or_else(|| self.ask_for_others(now_ms));
            let leaves = leaves.or_else(|| self.read_back(now_ms));
            // What a look has shown goes before the next look: where calls are few, there would be nothing but looks. And whoever
            // waited for another one in vain is freed by it, and may have to be looked at.
            let prepares = leaves.or_else(|| self.prepare(bases));
            if let Some(step) = prepares.or_else(|| self.look(now_ms, bases)) {
                return step;
            }
        }
        if self.is_over() { Step::Done } else { self.wait(now_ms, ready_ms) }
    }

    /// The answer to a `Send`.
    pub fn answered(&mut self, ticket: Ticket, verdict: PutVerdict, now_ms: u64, chance: f64) -> Write {
        let Some(Flight { batch, sent_ms }) = self.flights.remove(&ticket) else { return Write::Nothing };
        let after_grace_ms = now_ms.max(sent_ms + self.options.grace_ms);
        self.note(&verdict, now_ms, chance);
        match verdict {
            PutVerdict::Confirmed { records, missing, unshown, rejections } => {
                self.room.worked(batch.body_bytes());
                let group = self.call_passed(batch.group);
                if !unshown.is_empty() {
                    let ids: Vec<RowId> = unshown.keys().copied().collect();
                    self.read_back_at(group.part(&ids), Doubt::Unshown(unshown), after_grace_ms);
                }
                let landed = records.iter().map(|(id, _)| *id);
                landed.for_each(|id| self.lanes.done_with(id));
                if missing.is_empty() {
                    self.passed(group);
                } else {
                    self.unconfirmed(Group { ids: missing, ..group }, rejections, after_grace_ms);
                }
                Write::Settle(records)
            }
            PutVerdict::Refused { wants: Some(_), words, .. } => {
                self.read_back_at(batch.group, Doubt::Wanting(words), now_ms);
                Write::Nothing
            }
            PutVerdict::Refused { rejections, words, is_the_apis, .. } => {
                if let ([id], true) =
                    (&batch.group.ids[..], batch.group.is_checked && self.act != Act::Create)
                {
                    let rejection = rejections.into_iter().next();
                    let rejection = rejection.unwrap_or(Rejection { row: *id, field: None, words });
                    return self.refused_alone(batch.group, rejection);
                }
                // What was refused is split at once. Only a payment must not be sent again on a reading that lags; and who is no
                // API may have passed on what it refuses.
                let at_ms = if batch.pays || !is_the_apis { after_grace_ms } else { now_ms };
                self.read_back_at(batch.group, Doubt::Refused { rejections, words }, at_ms);
                Write::Nothing
            }
            PutVerdict::TooLarge { words } => self.too_large(batch, words, after_grace_ms),
            PutVerdict::Limited | PutVerdict::Crowded => {
                self.failure = self.failure.take().or(self.patience.limited(true, sent_ms, now_ms));
                self.lanes.first(batch.group);
                Write::EndRefused
            }
            PutVerdict::InDoubt(why) => {
                let customers = batch.group.ids.len();
                let again_ms = self.patience.missed_write(customers, sent_ms, now_ms, chance, &why);
                let again_ms = again_ms.unwrap_or_else(|failure| self.give_up(failure, now_ms));
                self.doubts.add(batch.group, Doubt::Lost(why), after_grace_ms.max(again_ms));
                Write::Nothing
            }
            PutVerdict::NotSent(failure) => {
                self.failure.get_or_insert(failure);
                Write::Release
            }
            PutVerdict::Stop(failure) => {
                self.failure.get_or_insert(failure);
                // What is new is looked for before anybody believes that it is not there.
                if self.act == Act::Create { Write::Nothing } else { Write::EndRefused }
            }
        }
    }

    // ---- looks and batches: what the shell tells -------------------------------------------------------------------

    /// The answer to a `Look` shows these customers, and they were taken in. Returns those that two looks did not show:
    /// they are gone from the store.
    pub fn looked(&mut self, ticket: Ticket, shown: &BTreeSet<RowId>, now_ms: u64) -> Vec<RowId> {
        self.has_read();
        let mut looked = self.look.answered(ticket, shown, now_ms);
        let unknown = std::mem::take(&mut looked.unknown);
        self.unbelieved.extend(&unknown);
        self.lanes.put_off(unknown);
        self.lanes.take_out(&looked.missing);
        if !looked.back.is_empty() {
            self.lanes.last(Group::of(looked.back));
        }
        looked.gone.iter().for_each(|id| self.lanes.done_with(*id));
        if looked.missing.is_empty() && looked.gone.is_empty() && !self.is_busy() {
            self.looks_in_vain += 1;
        }
        if self.looks_in_vain > LOOKS_IN_VAIN {
            let last =
                "what was read by id was too old each time, before an update of it could leave".to_owned();
            self.failure.get_or_insert(Failure::Unavailable { tries: self.looks_in_vain, last });
        }
        looked.gone
    }

    /// Another batch that may be committed now, beside those that were handed out: not before the base of each of its
    /// customers is fresh.
    pub fn next_to_prepare(&mut self, bases: &Bases) -> Option<(Ticket, Vec<RowId>)> {
        let is_wary = self.patience.is_wary() && !self.lanes.has_sent_before() && self.is_busy();
        if self.ready.len() >= self.slots.count() || is_wary {
            return None;
        }
        let mut group = self.lanes.draw(self.room.customers(), self.is_busy())?;
        while group.ids.is_empty() {
            // Whoever was in it is missing in the store, and is looked for again.
            self.passed(group);
            group = self.lanes.draw(self.room.customers(), self.is_busy())?;
        }
        if group.ids.len() > self.room.customers() {
            let rest = group.ids.split_off(self.room.customers());
            self.lanes.first(Group::of(rest));
        }
        if !group.ids.iter().all(|id| self.look.is_fresh(*id, bases)) {
            let (looked_at, rest) = self.looked_at(group, bases);
            self.lanes.stays_next(rest);
            group = looked_at?;
        }
        let (ticket, ids) = (self.tickets.take(), group.ids.clone());
        self.ready.add(ticket, group);
        Some((ticket, ids))
    }

    /// Of a group that is not fresh as a whole, those that a look has just shown, where looks show fewer than a call holds: they go
    /// before the others, or they would be old again by the time that the last of those is fresh.
    fn looked_at(&self, group: Group, bases: &Bases) -> (Option<Group>, Group) {
        let at_once = self.look.at_once();
        let is_whole = group.suspects.is_some() || group.part_of.is_some();
        let (fresh, old): (Vec<RowId>, Vec<RowId>) =
            group.ids.iter().copied().partition(|id| self.look.is_fresh(*id, bases));
        match !is_whole && group.ids.len() > at_once && fresh.len() >= at_once {
            true => (Some(Group { ids: fresh, ..group.clone() }), Group { ids: old, ..group }),
            false => (None, group),
        }
    }

    /// What became of a `Prepare`.
    pub fn prepared(&mut self, ticket: Ticket, committed: Committed) {
        let Committed { rows, adjusting, pays, left } = committed;
        let Some(batch) = self.ready.get(ticket) else { return };
        let (ids, bytes): (Vec<RowId>, Vec<usize>) = rows.into_iter().unzip();
        let was = std::mem::replace(&mut batch.group.ids, ids);
        (batch.bytes, batch.pays) = (Some(bytes), pays);
        let through = was.into_iter().filter(|id| !batch.group.ids.contains(id) && !left.contains(id));
        for id in through {
            self.lanes.done_with(id);
            self.looks_in_vain = 0;
        }
        self.look.adjust_too(adjusting);
        if batch.group.ids.is_empty() {
            self.ready.take(ticket).into_iter().for_each(|batch| self.passed(batch.group));
        }
        if !left.is_empty() {
            self.lanes.put_back(Group::of(left));
        }
    }

    /// Bytes that a batch may hold, if that is known.
    pub fn most_bytes(&self) -> Option<usize> {
        self.room.most_bytes()
    }

    /// The batch of a `Send` left at `now_ms`.
    pub fn sent(&mut self, ticket: Ticket, now_ms: u64) {
        if let Some(flight) = self.flights.get_mut(&ticket) {
            flight.sent_ms = now_ms;
        }
    }

    /// The batch of a `Send` has found no slot among the fleet's, and has not left: it is tried again then.
    pub fn found_no_slot(&mut self, ticket: Ticket, now_ms: u64, until_ms: u64) {
        let Some(Flight { batch, .. }) = self.flights.remove(&ticket) else { return };
        self.ready.stays(batch);
        self.slots.taken(self.flights.len(), now_ms, until_ms);
    }

    /// Whether the batch of a `Send` may still leave: what it was made of may have become too old while a slot was asked for.
    pub fn may_leave(&self, ticket: Ticket, bases: &Bases) -> bool {
        let ids = self.flights.get(&ticket).into_iter().flat_map(|flight| &flight.batch.group.ids);
        ids.copied().all(|id| self.look.is_fresh(id, bases))
    }

    /// It has not left.
    pub fn stays(&mut self, ticket: Ticket) {
        self.flights.remove(&ticket).into_iter().for_each(|flight| self.ready.stays(flight.batch));
    }

    /// Calls that it will want, about: none while it only waits for answers.
    pub fn calls_wanted(&self) -> usize {
        let batches = self.ready.len() + self.lanes.coming().count().div_ceil(self.room.customers());
        let looks = usize::from(!self.lanes.is_empty());
        batches + looks + usize::from(!self.doubts.is_empty()) + usize::from(self.question.is_some())
    }

    // ---- reading back: what the shell tells ------------------------------------------------------------------------

    /// The answer to a `Read` or a `Look` shows fewer than it says that there are. Of those that are not in it it says nothing: they
    /// are asked for as if for the first time. Before [`Upload::missing`] and [`Upload::looked`].
    pub fn cut(&mut self, ticket: Ticket) {
        self.look.cut(ticket);
        self.doubts.cut(ticket);
    }

    /// Whether the answer to a `Look`, which shows these, is the second one that does not show the others; a list just now
    /// (`was_listed`) is the first.
    pub fn look_confirms(&mut self, ticket: Ticket, shown: &BTreeSet<RowId>, was_listed: bool) -> bool {
        self.look.confirms(ticket, shown, was_listed)
    }

    /// Whether the store took what a `Read` reads back, and left it out of its answer.
    pub fn left_out(&self, ticket: Ticket) -> bool {
        self.doubts.left_out(ticket)
    }

    /// The same of a `Read`; of what the store refused its own word is the first.
    pub fn read_confirms(&self, ticket: Ticket, shown: &BTreeSet<RowId>) -> bool {
        self.doubts.confirms(ticket, shown)
    }

    /// The answer to a `Read` shows these customers. Returns those that two looks did not show: they are gone. Who is
    /// missing for the first time is not: it stays in doubt, and is read back once more.
    pub fn missing(&mut self, ticket: Ticket, shown: &BTreeSet<RowId>, now_ms: u64) -> Vec<RowId> {
        self.doubts.missing(ticket, shown, now_ms + self.options.grace_ms)
    }

    /// The answer to a `Read` shows these customers as they were before what is known of them: its reads lag behind its writes,
    /// and nothing is told by it. Returns those that are read back once more; a store that goes on like that was set back.
    pub fn lagging(&mut self, ticket: Ticket, ids: &BTreeSet<RowId>, now_ms: u64) -> BTreeSet<RowId> {
        self.doubts.lagging(ticket, ids, now_ms + self.options.grace_ms)
    }

    /// The same of a `Look`: no base is fresher for it. They are looked at again; of those that go on like that nobody knows which
    /// is the truth, and their edits wait for another sync.
    pub fn lagging_look(&mut self, ids: &BTreeSet<RowId>, now_ms: u64) {
        let again = self.look.lagging(ids, now_ms);
        let left: BTreeSet<RowId> = ids.difference(&again).copied().collect();
        self.lanes.put_off(left);
    }

    /// Attributes that the store refused, or showed as they were before, when it answered the update that is now read back:
    /// what still is as it was did not land.
    pub fn denied(&self, ticket: Ticket) -> BTreeMap<RowId, Vec<FieldId>> {
        self.doubts.denied(ticket)
    }

    /// Attributes that the store showed as they were before, and all the rest of the update as it was sent: they may be told late.
    pub fn late(&self, ticket: Ticket) -> BTreeMap<RowId, Vec<FieldId>> {
        self.doubts.late(ticket)
    }

    /// The customers of a `Read` that did not land and wait again; `gone` and landed ones are not among them. Returns
    /// the refusals that are to be written with it.
    pub fn read(&mut self, ticket: Ticket, pending: &[RowId]) -> Vec<Rejection> {
        let Some(Reading { read, .. }) = self.doubts.take(ticket) else { return Vec::new() };
        self.has_read();
        let (mut group, doubt) = (read.group, read.doubt);
        let was_alone = group.ids.len() == 1;
        let pending: BTreeSet<RowId> = pending.iter().copied().collect();
        let (rest, through): (Vec<_>, Vec<_>) = group.ids.iter().partition(|id| pending.contains(id));
        // Whom a look has found the store has already: for that it refused the call, as if it had said so.
        let is_found = self.act == Act::Create && !through.is_empty();
        through.into_iter().for_each(|id: RowId| self.lanes.done_with(id));
        if rest.is_empty() {
            self.passed(group);
            return Vec::new();
        }
        (group.ids, group.is_checked) = (rest, true);
        match doubt {
            _ if !self.sends => Vec::new(),
            Doubt::Lost(why) => self.again(group, why),
            Doubt::Unconfirmed => self.again_or_reject(group),
            Doubt::Unshown(fields) => self.not_shown(group, &fields),
            Doubt::TooLarge { words, bytes } => self.smaller_again(group, was_alone, words, &bytes),
            Doubt::Wanting(words) => self.again_with_it(group, words),
            Doubt::Refused { rejections, .. } if is_found && rejections.is_empty() => {
                self.acquit(&mut group);
                self.leaves_family(&mut group);
                self.lanes.first(group);
                Vec::new()
            }
            Doubt::Refused { rejections, words } => self.isolate(group, was_alone, rejections, words),
        }
    }

    /// A `Read` or a `Look` brought nothing.
    pub fn read_failed(&mut self, ticket: Ticket, failure: ReadFailure, now_ms: u64, chance: f64) {
        let reading = self.doubts.take(ticket);
        let sent_ms = match &reading {
            Some(reading) => reading.sent_ms,
            None => self.look.sent_ms(ticket).unwrap_or(now_ms),
        };
        let again_ms = match failure {
            ReadFailure::Stop(failure) => self.give_up(failure, now_ms),
            ReadFailure::TooMuch(_)
                if reading.as_ref().is_some_and(|reading| reading.read.group.ids.len() > 1) =>
            {
                return reading.into_iter().for_each(|reading| self.read_fewer(reading.read, now_ms));
            }
            ReadFailure::TooMuch(_) if reading.is_none() && self.look.ask_fewer(ticket) => now_ms,
            ReadFailure::Again(_) if self.look.is_finding() && self.look.ask_fewer(ticket) => now_ms,
            ReadFailure::Again(why) | ReadFailure::TooMuch(why) => {
                // Others go well meanwhile: of one that is looked at alone the tries are counted for itself.
                let tries = if reading.is_none() { self.look.failed_alone(ticket) } else { 0 };
                match self.patience.missed_read(sent_ms, now_ms, chance, &why) {
                    Ok(_) if tries >= ALONE_AT_MOST => {
                        let failure = Failure::Unavailable { tries, last: why };
                        return self.find(ticket, reading, failure, now_ms);
                    }
                    Ok(again_ms) => again_ms,
                    Err(failure) => return self.find(ticket, reading, failure, now_ms),
                }
            }
            ReadFailure::Limited | ReadFailure::Crowded => {
                let is_crowded = matches!(failure, ReadFailure::Crowded);
                let enough = self.patience.limited(false, sent_ms, now_ms);
                self.failure = self.failure.take().or(enough);
                now_ms + if is_crowded { self.patience.crowd_wait_ms(chance) } else { 0 }
            }
        };
        match reading {
            Some(reading) => self.doubts.again(reading.read, again_ms),
            None => self.look.failed(ticket, again_ms),
        }
    }

    /// The store answered a read.
    fn has_read(&mut self) {
        self.patience.has_read();
        (self.failed_alone, self.question) = (0, None);
    }

    /// The answer to [`Step::Others`]: whether the store shows anybody.
    pub fn others(&mut self, ticket: Ticket, answer: Result<(), ReadFailure>, now_ms: u64, chance: f64) {
        let Some((_, sent_ms)) = self.asking.take_if(|(asked, _)| *asked == ticket) else { return };
        match answer {
            Ok(()) => self.has_read(),
            Err(ReadFailure::Stop(failure)) => _ = self.give_up(failure, now_ms),
            Err(failure @ (ReadFailure::Limited | ReadFailure::Crowded)) => {
                let is_crowded = matches!(failure, ReadFailure::Crowded);
                let enough = self.patience.limited(false, sent_ms, now_ms);
                self.failure = self.failure.take().or(enough);
                let wait_ms = if is_crowded { self.patience.crowd_wait_ms(chance) } else { 0 };
                self.question.iter_mut().for_each(|question| question.at_ms = now_ms + wait_ms);
            }
            Err(ReadFailure::Again(_) | ReadFailure::TooMuch(_)) => {
                let Some(Question { failure, nth, .. }) = self.question.take() else { return };
                match nth + 1 < OTHERS_AT_MOST {
                    true => self.question = Some(Question { failure, nth: nth + 1, at_ms: now_ms }),
                    false => _ = self.give_up(failure, now_ms),
                }
            }
        }
    }

    /// A read failed, however often it was tried. It may be because of one whom the store cannot show: that one is found, and is for
    /// another sync, with what is pending of it or in doubt; the others go on. Where two fail alone, one after the other, the store may
    /// show nobody: others are asked for.
    fn find(&mut self, ticket: Ticket, reading: Option<Reading>, failure: Failure, now_ms: u64) {
        let ids = match &reading {
            Some(reading) => reading.read.group.ids.clone(),
            None => self.look.asked_for(ticket).to_vec(),
        };
        self.look.failed(ticket, now_ms);
        if let [id] = ids[..] {
            let Failure::Unavailable { tries, last } = failure else {
                _ = self.give_up(failure, now_ms);
                return;
            };
            let last = format!("{id}, asked for alone: {last}");
            self.failed_alone += 1;
            self.unshown.insert(id);
            if self.failed_alone > 1 {
                let failure = Failure::Unavailable { tries, last: last.clone() };
                self.question.get_or_insert(Question { failure, nth: 0, at_ms: now_ms });
            }
            if self.unshown.len() > ALONE_IN_ALL {
                _ = self.give_up(Failure::Unavailable { tries, last }, now_ms);
                return;
            }
            self.set_aside.get_or_insert(Failure::Unavailable { tries, last });
            // Behind it they grow again.
            self.look.ask_one();
            self.look.forget(id);
            self.lanes.put_off([id].into());
            return reading.into_iter().for_each(|reading| self.leave_open(reading.read.group));
        }
        match reading {
            Some(reading) => self.read_one(reading.read, now_ms),
            None => self.look.ask_one(),
        }
    }

    /// What is in doubt of a customer stays so in the file, and says nothing of others.
    fn leave_open(&mut self, mut group: Group) {
        self.acquit(&mut group);
        self.leaves_family(&mut group);
    }

    /// What failed for several is read back one by one.
    fn read_one(&mut self, mut read: ToRead, now_ms: u64) {
        read.at_ms = now_ms;
        self.acquit(&mut read.group);
        self.leaves_family(&mut read.group);
        self.doubts.divide(read, 1);
    }

    /// An answer that is too large or too slow for so many customers: half as many are read back at once from now on.
    fn read_fewer(&mut self, mut read: ToRead, now_ms: u64) {
        let at_once = read.group.ids.len().div_ceil(2);
        let mut larger = self.doubts.larger_than(at_once);
        read.at_ms = now_ms;
        larger.push(read);
        for mut read in larger {
            self.acquit(&mut read.group);
            self.leaves_family(&mut read.group);
            self.doubts.divide(read, at_once);
        }
    }

    // ---- how it went -------------------------------------------------------------------------------------------------

    /// What is done to what it sends.
    pub fn act(&self) -> Act {
        self.act
    }

    /// Why it ended early, if it did.
    pub fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// What the store failed of one customer alone; the others went on.
    pub fn set_aside(&mut self) -> Option<Failure> {
        self.set_aside.take()
    }

    /// Customers whom the store could not show, asked for alone.
    pub fn unshown(&self) -> impl Iterator<Item = RowId> {
        self.unshown.iter().copied()
    }

    /// Customers whom it did not show, in answers that were not whole.
    pub fn unbelieved(&self) -> impl Iterator<Item = RowId> {
        self.unbelieved.union(&self.doubts.unknown).copied()
    }

    /// How often something was sent or read once more.
    pub fn retries(&self) -> u32 {
        self.patience.retries()
    }

    /// Bytes of a call that the store takes, if it refused more.
    pub fn learned_bytes(&self) -> Option<usize> {
        self.room.learned_bytes()
    }

    /// How many calls an answer is awaited for.
    pub fn in_flight(&self) -> usize {
        self.flights.len() + self.reads_in_flight()
    }

    // ---- what next ---------------------------------------------------------------------------------------------------

    fn reads_in_flight(&self) -> usize {
        self.doubts.in_flight() + self.look.in_flight() + usize::from(self.asking.is_some())
    }

    /// Whether something may still free a customer that waits for another one.
    fn is_busy(&self) -> bool {
        !self.flights.is_empty() || !self.doubts.is_empty() || !self.ready.is_empty()
    }

    fn is_over(&self) -> bool {
        let is_idle = !self.is_busy() && self.in_flight() == 0 && self.question.is_none();
        is_idle && !self.look.is_searching() && self.lanes.is_empty()
    }

    fn ask_for_others(&mut self, now_ms: u64) -> Option<Step> {
        let Question { nth, at_ms, .. } = self.question.as_ref()?;
        if self.asking.is_some() || *at_ms > now_ms || self.reads_in_flight() >= MAX_READS {
            return None;
        }
        let (ticket, nth) = (self.tickets.take(), *nth);
        self.asking = Some((ticket, now_ms));
        Some(Step::Others(ticket, nth, self.unshown.clone()))
    }

    /// Whether a read may leave.
    fn may_read(&self) -> bool {
        self.reads_in_flight() < MAX_READS && self.question.is_none()
    }

    fn read_back(&mut self, now_ms: u64) -> Option<Step> {
        if !self.may_read() || self.doubts.due_ms()? > now_ms {
            return None;
        }
        let ticket = self.tickets.take();
        self.doubts.leave(ticket, now_ms).map(|ids| Step::Read(ticket, ids))
    }

    /// A look at those whose base is too old. One of the next three batches is among them, so that the next is there by
    /// the time that it is needed.
    fn look(&mut self, now_ms: u64, bases: &Bases) -> Option<Step> {
        if !self.may_read() || self.slots.all_rest(now_ms) {
            return None;
        }
        let soon = self.slots.count() * self.room.customers();
        let ids = self.look.due(self.lanes.coming(), soon, self.is_busy(), bases, now_ms);
        if ids.is_empty() {
            return None;
        }
        let ticket = self.tickets.take();
        self.look.asked(ticket, ids.clone(), now_ms);
        Some(Step::Look(ticket, ids))
    }

    fn prepare(&mut self, bases: &Bases) -> Option<Step> {
        self.next_to_prepare(bases).map(|(ticket, ids)| Step::Prepare(ticket, ids))
    }

    fn leave(&mut self, now_ms: u64) -> Option<Step> {
        if !self.slots.has_free(self.flights.len(), now_ms) {
            return None;
        }
        let batch = self.ready.leave()?;
        self.looks_in_vain = 0;
        let ticket = batch.ticket;
        self.flights.insert(ticket, Flight { batch, sent_ms: now_ms });
        Some(Step::Send(ticket))
    }

    /// Takes back a batch that is not to leave as it is: because of a failure, because updates fail one after the other and
    /// those that did go first, because the base of one of its customers is too old by now, or because it is larger than
    /// what the store takes.
    fn retract(&mut self, bases: &Bases) -> Option<Step> {
        let is_over = self.failure.is_some();
        let (look, room) = (&self.look, &self.room);
        let is_wary = self.patience.is_wary() && (self.lanes.has_sent_before() || !self.doubts.is_empty());
        let is_void = |batch: &Batch| {
            is_over
                || (is_wary && !batch.group.has_a_past())
                || !room.takes(batch.group.ids.len(), batch.body_bytes())
                || !batch.group.ids.iter().all(|id| look.is_fresh(*id, bases))
        };
        let Batch { ticket, group, .. } = self.ready.retract(is_void)?;
        let ids = group.ids.clone();
        self.lanes.put_back(group);
        Some(Step::Retract(ticket, ids))
    }

    fn wait(&self, now_ms: u64, ready_ms: u64) -> Step {
        let may_read = self.may_read();
        let reads_ms = self.doubts.due_ms().into_iter().chain(self.look.due_ms()).filter(|_| may_read);
        let question = self.question.iter().filter(|_| self.asking.is_none());
        let reads_ms = reads_ms.chain(question.map(|question| question.at_ms));
        let reads_ms = reads_ms.map(|at_ms| at_ms.max(ready_ms));
        let has_unsent = !self.lanes.is_empty() || !self.ready.is_empty();
        let slot_ms = self.slots.free_ms(now_ms).map(|at_ms| at_ms.max(ready_ms));
        let unsent_ms = Some(ready_ms).into_iter().chain(slot_ms).filter(|_| has_unsent);
        Step::Wait(reads_ms.chain(unsent_ms).filter(|at_ms| *at_ms > now_ms).min())
    }

    // ---- what an answer leads to -------------------------------------------------------------------------------------

    /// What any answer says of waits: of the slot, and of the store.
    fn note(&mut self, verdict: &PutVerdict, now_ms: u64, chance: f64) {
        match verdict {
            PutVerdict::Limited | PutVerdict::InDoubt(_) => {}
            PutVerdict::Crowded => self.slots.refused(self.flights.len(), now_ms, chance),
            _ => {
                self.slots.passed();
                self.patience.has_written();
            }
        }
    }

    /// A call was taken. If it was the last part of one that was too large, calls keep to what went through.
    fn call_passed(&mut self, mut group: Group) -> Group {
        if let Some(customers) = self.families.landed(&group) {
            self.room.keep_to(customers);
        }
        group.part_of = None;
        group
    }

    fn unconfirmed(&mut self, group: Group, rejections: Vec<Rejection>, at_ms: u64) {
        let doubt = match rejections.first() {
            None => Doubt::Unconfirmed,
            Some(first) => Doubt::Refused { words: first.words.clone(), rejections },
        };
        self.read_back_at(group, doubt, at_ms);
    }

    fn read_back_at(&mut self, group: Group, doubt: Doubt, at_ms: u64) {
        self.patience.note_retry();
        self.doubts.add(group, doubt, at_ms);
    }

    /// A group went through: if it was the first part of a bad batch, the bad record is in the rest.
    fn passed(&mut self, group: Group) {
        let group = self.call_passed(group);
        group.ids.iter().for_each(|id| self.lanes.done_with(*id));
        if let Some(suspects) = group.suspects {
            self.lanes.first(first_third(&suspects.group, suspects.words));
        }
    }

    /// A group did not go through: its own records are to blame, the rest is like any other.
    fn acquit(&mut self, group: &mut Group) {
        if let Some(suspects) = group.suspects.take() {
            self.lanes.last(suspects.group);
        }
    }

    /// A group is part of its family no longer: what becomes of it says nothing about the size of calls.
    fn leaves_family(&mut self, group: &mut Group) {
        self.families.ended(group);
        group.part_of = None;
    }

    /// It did not arrive, or was not applied, and nobody knows why. A call that fails again is halved, until a customer
    /// fails alone.
    fn again(&mut self, mut group: Group, why: String) -> Vec<Rejection> {
        group.attempt += 1;
        if let [id] = group.ids[..] {
            if group.attempt >= self.options.retry.tries {
                self.acquit(&mut group);
                self.leaves_family(&mut group);
                self.lanes.done_with(id);
                let last = format!("{id}, alone in its call: {why}");
                self.set_aside.get_or_insert(Failure::Unavailable { tries: group.attempt, last });
                return Vec::new();
            }
        } else if group.attempt >= HALVED_AFTER {
            self.acquit(&mut group);
            group.attempt = HALVED_AFTER - 1;
            self.families.halve(&group).into_iter().rev().for_each(|half| self.lanes.first(half));
            return Vec::new();
        }
        self.lanes.first(group);
        Vec::new()
    }

    /// The store says yes and leaves it out: after some tries that is for a person to see.
    fn again_or_reject(&mut self, mut group: Group) -> Vec<Rejection> {
        group.attempt += 1;
        // What is its content was looked for under another id, too.
        let is_its_content = group.ids.iter().any(|id| id.resource.spec().identity == Identity::Content);
        let most = if is_its_content { 2 } else { 3 };
        if group.attempt < self.options.retry.tries.min(most) {
            self.lanes.first(group);
            return Vec::new();
        }
        self.acquit(&mut group);
        self.leaves_family(&mut group);
        group.ids.iter().for_each(|id| self.lanes.done_with(*id));
        let rejection = |id: &RowId| Rejection { row: *id, field: None, words: NOT_SHOWN.to_owned() };
        group.ids.iter().map(rejection).collect()
    }

    /// The store wants more said than changes: it is said from now on. One that goes on like that refuses it.
    fn again_with_it(&mut self, mut group: Group, words: String) -> Vec<Rejection> {
        group.attempt += 1;
        if group.attempt < self.options.retry.tries.min(3) {
            self.lanes.first(group);
            return Vec::new();
        }
        self.isolate(group, true, Vec::new(), words)
    }

    /// The store said yes, and shows these attributes as they were before, also at another moment.
    fn not_shown(&mut self, mut group: Group, fields: &BTreeMap<RowId, Vec<FieldId>>) -> Vec<Rejection> {
        let mut rejections = Vec::new();
        for row in group.ids.iter().copied() {
            let fields = fields.get(&row).into_iter().flatten().copied();
            let words = NOT_SHOWN.to_owned();
            rejections.extend(fields.map(|field| Rejection {
                row,
                field: Some(field),
                words: words.clone(),
            }));
        }
        group.attempt += 1;
        match group.attempt < self.options.retry.tries {
            // What else is pending of them goes on.
            true => self.lanes.first(group),
            false => group.ids.iter().for_each(|id| self.lanes.done_with(*id)),
        }
        rejections
    }

    /// A customer on its own that is known to be there: there is nothing to find out.
    fn refused_alone(&mut self, mut group: Group, rejection: Rejection) -> Write {
        self.acquit(&mut group);
        self.leaves_family(&mut group);
        match rejection.field {
            Some(_) => self.lanes.first(group),
            None => self.lanes.done_with(rejection.row),
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
        self.leaves_family(&mut group);
        self.acquit(&mut group);
        let is_named = !rejections.is_empty();
        let named: Vec<Rejection> = rejections.into_iter().filter(|r| group.ids.contains(&r.row)).collect();
        // Who was named and is gone by now was to blame; who is left alone by that is not, before it was sent alone.
        if is_named || (group.ids.len() == 1 && !was_alone) {
            self.lanes.first(group);
            return named;
        }
        if let [id] = group.ids[..] {
            self.lanes.done_with(id);
            return vec![Rejection { row: id, field: None, words }];
        }
        self.lanes.first(first_third(&group, words));
        Vec::new()
    }

    /// It says that nothing was applied, and something in front of the store may have said it: what holds payments is read back
    /// before a part of it is sent again, as is what is to be rejected. A record that is too large on its own is for a person to
    /// see.
    fn too_large(&mut self, batch: Batch, words: String, after_grace_ms: u64) -> Write {
        let (bytes, mut group) = (batch.body_bytes(), batch.group);
        self.room.refused(group.ids.len(), bytes);
        let is_alone = group.ids.len() == 1;
        let words = match is_alone {
            true => format!("too large for the store, alone in its call ({bytes} bytes): {words}"),
            false => words,
        };
        let adjusts = group.ids.iter().any(|id| self.look.adjusts(*id));
        if adjusts || (is_alone && !group.is_checked) {
            let bytes = group.ids.iter().copied().zip(batch.bytes.unwrap_or_default()).collect();
            self.acquit(&mut group);
            self.leaves_family(&mut group);
            self.read_back_at(group, Doubt::TooLarge { words, bytes }, after_grace_ms);
            return Write::Nothing;
        }
        if let [row] = group.ids[..] {
            return self.refused_alone(group, Rejection { row, field: None, words });
        }
        self.patience.note_retry();
        self.acquit(&mut group);
        self.leaves_family(&mut group);
        smaller(&group, &batch.bytes.unwrap_or_default())
            .into_iter()
            .rev()
            .for_each(|part| self.lanes.first(part));
        Write::EndRefused
    }

    /// What was too large was read back, and did not land: in smaller parts, and what was alone waits for a person.
    fn smaller_again(
        &mut self,
        group: Group,
        was_alone: bool,
        words: String,
        bytes: &[(RowId, usize)],
    ) -> Vec<Rejection> {
        if let ([row], true) = (&group.ids[..], was_alone) {
            self.lanes.done_with(*row);
            return vec![Rejection { row: *row, field: None, words }];
        }
        if group.ids.len() == 1 {
            self.lanes.first(group);
            return Vec::new();
        }
        let of_these = bytes.iter().filter(|(id, _)| group.ids.contains(id));
        let bytes: Vec<usize> = of_these.map(|(_, bytes)| *bytes).collect();
        smaller(&group, &bytes).into_iter().rev().for_each(|part| self.lanes.first(part));
        Vec::new()
    }

    /// Nothing more is sent; what is in doubt stays so in the file.
    fn give_up(&mut self, failure: Failure, now_ms: u64) -> u64 {
        self.failure.get_or_insert(failure);
        now_ms
    }
}

/// Why an edit that the store said yes to waits for a person.
pub(crate) const NOT_SHOWN: &str = "the store accepted the update and does not show it";
