//! A till: the engine's own pacer, upload machine, schedule and reading of answers, driven as the engine and its
//! background worker drive them, less the file. What those do in blocking calls is a state here, because a thousand
//! tills share one thread and one clock.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use tillsync::parts::{
    BaseTime, Bases, Committed, GetVerdict, Job, Misses, Pacer, QuotaUse, ReadFailure, ResourceId, RowId,
    Schedule, SentRow, Step, Tickets, ToSend, Upload, Write, judge_get, judge_put,
};
use tillsync::{Answer, CustomerId, RateHeaders, SyncOptions, SyncerOptions, Ticket, Trouble};

use super::store::{Call, Reply};

/// What the network gives back: an answer, or that there is none to be had.
pub type Outcome = Result<Reply, Trouble>;

pub struct Till {
    sync: SyncOptions,
    schedule: Schedule,
    /// The worker looks at its file every so often, from this instant on.
    looks: (u64, u64),
    pacer: Pacer,
    random: fastrand::Rng,
    /// Edits that have not settled, oldest first.
    unsettled: BTreeSet<RowId>,
    has_unseen_edit: bool,
    /// The worker has begun.
    is_taken_up: bool,
    /// From when on the next pull asks, by the store's clock.
    cursor_s: u64,
    bases: Bases,
    blocks: u64,
    doing: Doing,
    /// What it is doing that for, and whether the store said meanwhile that its quota is used up.
    job: Job,
    is_short: bool,
    /// News is put off until another sync.
    news_waits: bool,
    may_put_off: bool,
    /// Calls that leave now.
    outbox: Vec<(Ticket, Call)>,
    /// When syncs ended early.
    pub failures_ms: Vec<u64>,
}

enum Doing {
    Rest,
    Pull(Pull),
    Upload(Box<Run>),
}

struct Pull {
    began: BaseTime,
    /// The store's clock when it began.
    began_at_s: Option<u64>,
    after: Option<String>,
    limits: Misses,
    stage: Stage,
}

enum Stage {
    Waits { until_ms: u64 },
    Asked { sent_ms: u64 },
}

struct Run {
    machine: Upload,
    /// Prepared, and not on their way yet.
    ready: BTreeMap<Ticket, Vec<RowId>>,
    sent: BTreeMap<Ticket, Vec<SentRow>>,
    looks: BTreeMap<Ticket, (Vec<RowId>, BaseTime)>,
    waits_until_ms: Option<u64>,
}

impl Till {
    pub fn new(sync: SyncOptions, syncer: &SyncerOptions, now_ms: u64, random: fastrand::Rng) -> Till {
        Till {
            schedule: Schedule::new(syncer, now_ms),
            looks: (now_ms, syncer.look.as_millis() as u64),
            pacer: Pacer::new(sync.reserve_percent),
            sync,
            random,
            unsettled: BTreeSet::new(),
            has_unseen_edit: false,
            is_taken_up: false,
            cursor_s: 0,
            bases: Bases::default(),
            blocks: 0,
            doing: Doing::Rest,
            job: Job::Sync,
            is_short: false,
            news_waits: false,
            may_put_off: true,
            outbox: Vec::new(),
            failures_ms: Vec::new(),
        }
    }

    /// Somebody edits a customer.
    pub fn edit(&mut self, id: i64) {
        self.unsettled.insert(CustomerId(id).into());
        self.has_unseen_edit = true;
    }

    /// Does whatever is due; the calls that leave.
    pub fn act(&mut self, now_ms: u64) -> Vec<(Ticket, Call)> {
        loop {
            let doing = std::mem::replace(&mut self.doing, Doing::Rest);
            let (doing, goes_on) = match doing {
                Doing::Rest => self.rest(now_ms),
                Doing::Pull(pull) => self.pull(pull, now_ms),
                Doing::Upload(run) => self.upload(run, now_ms),
            };
            self.doing = doing;
            if !goes_on {
                return std::mem::take(&mut self.outbox);
            }
        }
    }

    /// When it will do something by itself; `None`: it waits for an answer.
    pub fn wakes_at_ms(&self, now_ms: u64) -> Option<u64> {
        match &self.doing {
            Doing::Rest if self.has_unseen_edit => Some(self.next_look_ms(now_ms + 1)),
            Doing::Rest => Some(self.next_look_ms(self.schedule.due_ms().max(now_ms + 1))),
            Doing::Pull(Pull { stage: Stage::Waits { until_ms }, .. }) => Some(*until_ms),
            Doing::Pull(_) => None,
            Doing::Upload(run) => run.waits_until_ms,
        }
    }

    /// The answer to a call.
    pub fn take(&mut self, ticket: Ticket, outcome: &Outcome, now_ms: u64) {
        let answer = outcome.as_ref().map(answer).map_err(Clone::clone);
        let is_update = matches!(&self.doing, Doing::Upload(run) if !run.looks.contains_key(&ticket));
        match &answer {
            Ok(answer) => {
                self.pacer.returned(&answer.rate, now_ms);
                match answer.status {
                    _ if answer.is_crowded() => self.pacer.crowded(now_ms),
                    429 => {
                        self.is_short = true;
                        self.pacer.limited(&answer.rate, is_update, now_ms, self.random.f64());
                    }
                    _ => self.pacer.passed(is_update),
                }
            }
            Err(_) => self.pacer.returned(&RateHeaders::default(), now_ms),
        }
        let date_s = outcome.as_ref().ok().map(|reply| reply.date_s);
        self.doing = match std::mem::replace(&mut self.doing, Doing::Rest) {
            Doing::Rest => Doing::Rest,
            Doing::Pull(pull) => self.page(pull, &answer, date_s, now_ms),
            Doing::Upload(run) if run.looks.contains_key(&ticket) => {
                self.looked(run, ticket, &answer, now_ms)
            }
            Doing::Upload(run) => self.updated(run, ticket, &answer, now_ms),
        };
    }

    // ---- the background worker -----------------------------------------------------------------------------------

    fn next_look_ms(&self, from_ms: u64) -> u64 {
        let (first_ms, every_ms) = self.looks;
        first_ms + from_ms.saturating_sub(first_ms).div_ceil(every_ms) * every_ms
    }

    fn rest(&mut self, now_ms: u64) -> (Doing, bool) {
        if self.next_look_ms(now_ms) != now_ms {
            return (Doing::Rest, false);
        }
        if !std::mem::replace(&mut self.is_taken_up, true) {
            self.schedule.taken_up(now_ms, None, std::mem::take(&mut self.has_unseen_edit));
        }
        if std::mem::take(&mut self.has_unseen_edit) {
            self.schedule.edited(now_ms);
        }
        let Some(job) = self.schedule.due(now_ms) else { return (Doing::Rest, false) };
        (self.job, self.is_short, self.news_waits) = (job, false, false);
        self.may_put_off = self.schedule.may_put_news_off(now_ms);
        match job {
            Job::Push => (self.begin_upload(), true),
            Job::Sync => (self.begin_pull(now_ms), true),
        }
    }

    fn ended(&mut self, failed: bool, now_ms: u64) -> Doing {
        match failed {
            true => {
                self.failures_ms.push(now_ms);
                let had_to_bring_news = self.job == Job::Sync && !self.may_put_off;
                self.schedule.failed(had_to_bring_news, now_ms, self.random.f64());
            }
            false => {
                let quota = QuotaUse {
                    is_used_up: self.is_short,
                    of_others: self.pacer.load(),
                    has_put_news_off: self.news_waits,
                };
                self.schedule.went_well(self.job, now_ms, quota, self.random.f64());
            }
        }
        Doing::Rest
    }

    // ---- the engine: pull ----------------------------------------------------------------------------------------

    fn tickets(&mut self) -> Tickets {
        self.blocks += 1;
        Tickets::block(self.blocks)
    }

    fn begin_pull(&mut self, now_ms: u64) -> Doing {
        let until_ms = self.pacer.ready_at_ms(now_ms);
        Doing::Pull(Pull {
            began: self.tick(now_ms),
            began_at_s: None,
            after: None,
            limits: Misses::default(),
            stage: Stage::Waits { until_ms },
        })
    }

    fn pull(&mut self, mut pull: Pull, now_ms: u64) -> (Doing, bool) {
        if matches!(pull.stage, Stage::Waits { until_ms } if until_ms <= now_ms) {
            let ticket = self.tickets().take();
            let page = Call::Page { modified_min_s: self.cursor_s, after: pull.after.clone() };
            self.pacer.sent();
            self.outbox.push((ticket, page));
            pull.stage = Stage::Asked { sent_ms: now_ms };
        }
        (Doing::Pull(pull), false)
    }

    fn page(
        &mut self,
        mut pull: Pull,
        answer: &Result<Answer, Trouble>,
        date_s: Option<u64>,
        now_ms: u64,
    ) -> Doing {
        let Stage::Asked { sent_ms } = pull.stage else { return Doing::Pull(pull) };
        let is_first = pull.after.is_none();
        pull.stage = Stage::Waits { until_ms: self.pacer.ready_at_ms(now_ms) };
        match judge_get(ResourceId::default(), answer) {
            GetVerdict::Page(page) => {
                pull.began_at_s = pull.began_at_s.or(date_s);
                pull.limits.clear();
                pull.after = page.next().map(str::to_owned);
                if pull.after.is_none() {
                    return self.pulled(pull);
                }
                match is_first && self.may_put_off && self.pacer.has_no_room_for_news(now_ms) {
                    true => self.put_news_off(),
                    false => Doing::Pull(pull),
                }
            }
            GetVerdict::Limited if is_first && self.may_put_off => self.put_news_off(),
            GetVerdict::Limited | GetVerdict::Crowded => {
                match self.is_out_of_patience(&mut pull.limits, sent_ms, now_ms) {
                    true => self.ended(true, now_ms),
                    false => Doing::Pull(pull),
                }
            }
            _ => self.ended(true, now_ms),
        }
    }

    fn put_news_off(&mut self) -> Doing {
        self.news_waits = true;
        self.begin_upload()
    }

    fn pulled(&mut self, pull: Pull) -> Doing {
        self.bases.pulled(pull.began);
        let overlap_s = self.sync.overlap.as_secs() + 1;
        self.cursor_s = pull.began_at_s.map_or(self.cursor_s, |at_s| at_s.saturating_sub(overlap_s));
        self.begin_upload()
    }

    fn is_out_of_patience(&self, limits: &mut Misses, sent_ms: u64, now_ms: u64) -> bool {
        limits.add(sent_ms, now_ms);
        limits.are_enough_limits(&self.sync.upload.retry, now_ms)
    }

    // ---- the engine: upload --------------------------------------------------------------------------------------

    fn begin_upload(&mut self) -> Doing {
        let work = ToSend { rows: self.unsettled.iter().copied().collect(), ..ToSend::default() };
        let machine = Upload::of(work, self.sync.upload, self.tickets());
        Doing::Upload(Box::new(Run {
            machine,
            ready: BTreeMap::new(),
            sent: BTreeMap::new(),
            looks: BTreeMap::new(),
            waits_until_ms: None,
        }))
    }

    /// One clock is all there is here: no machine sleeps.
    fn tick(&mut self, now_ms: u64) -> BaseTime {
        let utc = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(now_ms as i64);
        self.bases.tick(now_ms, utc)
    }

    fn upload(&mut self, mut run: Box<Run>, now_ms: u64) -> (Doing, bool) {
        let now = self.tick(now_ms);
        match run.machine.next(now_ms, &self.pacer, &self.bases) {
            Step::Look(ticket, ids) => {
                self.pacer.sent();
                self.outbox.push((ticket, Call::ByIds(ids.iter().map(|row| row.row).collect())));
                run.looks.insert(ticket, (ids, now));
                (Doing::Upload(run), true)
            }
            Step::Prepare(ticket, ids) => {
                let others = std::iter::from_fn(|| run.machine.next_to_prepare(&self.bases));
                let batches: Vec<_> = std::iter::once((ticket, ids)).chain(others).collect();
                for (ticket, ids) in &batches {
                    let rows = ids.iter().map(|id| (*id, 0)).collect();
                    run.machine.prepared(*ticket, Committed { rows, ..Committed::default() });
                }
                run.ready.extend(batches);
                (Doing::Upload(run), true)
            }
            Step::Send(ticket) => {
                let ids = run.ready.remove(&ticket).unwrap_or_default();
                run.machine.sent(ticket, now_ms);
                self.pacer.sent();
                self.outbox.push((ticket, Call::Update(ids.iter().map(|row| row.row).collect())));
                // No update is refused here, so which attributes it holds plays no part.
                let row =
                    |id| SentRow { id, fields: Vec::new(), password: None, other_passwords: Vec::new() };
                run.sent.insert(ticket, ids.into_iter().map(row).collect());
                (Doing::Upload(run), true)
            }
            Step::Retract(ticket, _) => {
                run.ready.remove(&ticket);
                (Doing::Upload(run), true)
            }
            Step::Wait(until_ms) => {
                run.waits_until_ms = until_ms;
                (Doing::Upload(run), false)
            }
            Step::Done => (self.ended(run.machine.failure().is_some(), now_ms), true),
            Step::Read(..) | Step::Others(..) => {
                unreachable!("no answer is lost here, so nothing is in doubt and nobody is passed over")
            }
        }
    }

    fn updated(
        &mut self,
        mut run: Box<Run>,
        ticket: Ticket,
        answer: &Result<Answer, Trouble>,
        now_ms: u64,
    ) -> Doing {
        let sent = run.sent.remove(&ticket).unwrap_or_default();
        let verdict = judge_put(answer, &sent);
        if let Write::Settle(records) = run.machine.answered(ticket, verdict, now_ms, self.random.f64()) {
            records.iter().for_each(|(id, _)| _ = self.unsettled.remove(id));
        }
        Doing::Upload(run)
    }

    fn looked(
        &mut self,
        mut run: Box<Run>,
        ticket: Ticket,
        answer: &Result<Answer, Trouble>,
        now_ms: u64,
    ) -> Doing {
        let Some((ids, asked)) = run.looks.remove(&ticket) else { return Doing::Upload(run) };
        let failure = match judge_get(ResourceId::default(), answer) {
            GetVerdict::Page(_) => {
                self.tick(now_ms);
                self.bases.read(ids.iter().copied(), asked);
                run.machine.looked(ticket, &ids.into_iter().collect(), now_ms);
                return Doing::Upload(run);
            }
            GetVerdict::Limited => ReadFailure::Limited,
            GetVerdict::Crowded => ReadFailure::Crowded,
            GetVerdict::Blank => ReadFailure::Again("an answer without a body".to_owned()),
            GetVerdict::Again(why) | GetVerdict::TooMuch { why, .. } => ReadFailure::Again(why),
            GetVerdict::Stop(failure) => ReadFailure::Stop(failure),
        };
        run.machine.read_failed(ticket, failure, now_ms, self.random.f64());
        Doing::Upload(run)
    }
}

/// As the client reads it.
fn answer(reply: &Reply) -> Answer {
    Answer {
        status: reply.status,
        rate: RateHeaders {
            window_ms: Some(reply.window_ms),
            reset_ms: Some(reply.reset_ms),
            quota: Some(reply.quota),
            left: Some(reply.left),
            retry_after_ms: reply.retry_after_s.map(|seconds| seconds * 1_000),
        },
        date: None,
        body: reply.body.clone().into_bytes(),
        sends_to: None,
    }
}
