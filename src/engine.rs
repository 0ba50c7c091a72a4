//! The story: one sync, in seven steps.
//!
//! 1. **Recover** what a crash or a timeout left in doubt: read it back, and see whether it landed.
//! 2. **Pull** what changed in the store since the last time, by the server's own clock.
//! 3. **Merge** it with what was edited here, field by field; what both sides changed is brought together, or held.
//! 4. **Diff** the edited customers against the snapshot: the smallest payloads.
//! 5. **Batch** them, oldest edit first, ten a call; each batch is committed to the file before it leaves.
//! 6. **Look, then upload** with three calls at once: a customer that was last read too long ago is read by id first, beside
//!    the updates that are on their way. Each answer is reconciled in one transaction as it arrives.
//! 7. **Report** what was done, and what waits for a person.
//!
//! The decisions are pure and stand in `flow`; this module carries them out: one writer of the file, requests through
//! a [`Remote`], time through a [`Clock`]. `pull` carries out steps 2 and 3, `upload` steps 1, 5 and 6, `exchange` reads.

mod create;
mod delete;
mod events;
mod exchange;
mod options;
mod pull;
mod report;
mod spans;
mod theirs;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use events::{EditEvent, Event};
pub use options::{RETENTION_DAYS, SyncOptions, retention};
pub use report::{Progress, PullReport, Requests, SyncReport};

use crate::api::{Remote, Request};
use crate::clock::{Clock, SystemClock};
use crate::error::{Failure, Result};
use crate::fleet::{Fleet, Slot, Turn, Wants};
use crate::flow::{Answer, Bases, Misses, Moment, Pacer, Part, Parts, ServerClock, Ticket, Tickets, Trouble};
use crate::resource::{CustomerId, EditSeq, ResourceId, RowId};
use crate::store::{HeldUp, Store, SyncLock};
use report::Counts;
use spans::Spans;

/// Calls that are asked of a fleet at once: a look, and what it is made for.
const MOST_CALLS: usize = 8;

/// Whether news can wait for another sync while the store's quota is short, and whether it does.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    may_wait: bool,
    waits: bool,
}

/// Syncs one file with one store. It owns its own connection to the file, so an app reads and edits meanwhile.
pub struct SyncEngine<R> {
    store: Store,
    remote: R,
    options: SyncOptions,
    clock: Arc<dyn Clock>,
    random: fastrand::Rng,
    pacer: Pacer,
    blocks: u64,
    /// When this engine read which customer.
    bases: Bases,
    /// What the server's clock is known to be.
    server_clock: ServerClock,
    /// Updates that are on their way.
    updates: BTreeSet<Ticket>,
    /// Answers by id that may come in parts, and the pages of them that are to be asked for when the store's quota lets.
    parts: BTreeMap<Ticket, Parts>,
    further: Vec<(Ticket, Request)>,
    /// How many deletions a person has allowed to the next pull of everything.
    allowed_deletions: Option<u64>,
    /// The same, while that pull runs.
    word: Option<u64>,
    /// How many deletions of this till's a person has allowed to the next sync.
    word_to_delete: Option<u64>,
    counts: Counts,
    /// What the store failed of one customer alone; the others went on.
    set_aside: Option<Failure>,
    /// Rows that it could not show, asked for alone.
    unshown: BTreeSet<RowId>,
    /// A page of the list came, in the last pull.
    has_listed: bool,
    /// What the file keeps, as that pull found it.
    kept: Option<Vec<ResourceId>>,
    news: News,
    fleet: Option<Box<dyn Fleet>>,
    /// Calls that it has granted to this sync.
    granted: u64,
    /// The newest edit that a plan of this engine has seen, in company.
    planned: Option<EditSeq>,
    /// Since when the fleet has had no slot for an update.
    no_slot_since_ms: Option<u64>,
    spans: Spans,
    on_event: Box<dyn FnMut(Event) + Send>,
    on_answer: Box<dyn FnMut(&Answer) + Send>,
    /// What is told once the open pages are committed.
    untold: Vec<Event>,
    stopper: Option<Stopper>,
    /// When it was last told that a reader holds up the log.
    log_told_ms: Option<u64>,
}

/// Ends a sync from another thread; see [`SyncEngine::stopper`].
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// The sync that runs, and every later one, ends with an error whose code is `stopped`. Updates that it has on their way
    /// end by themselves, within their timeout; until then another sync of the file is told `busy`.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// While somebody may stop it, no wait is longer than this.
const STOP_WITHIN: Duration = Duration::from_millis(100);

/// How much of the store a pull asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What changed since the last pull; everything, if there was none.
    Changes,
    /// Everything; finds customers that were deleted.
    Full,
}

impl<R: Remote> SyncEngine<R> {
    /// An engine for a file and a store.
    pub fn new(store: Store, remote: R, options: SyncOptions) -> SyncEngine<R> {
        SyncEngine::with_clock(store, remote, options, Arc::new(SystemClock::default()), fastrand::Rng::new())
    }

    /// The same with a clock and a source of chance of one's own: for simulation.
    pub fn with_clock(
        store: Store,
        remote: R,
        options: SyncOptions,
        clock: Arc<dyn Clock>,
        random: fastrand::Rng,
    ) -> SyncEngine<R> {
        let pacer = Pacer::new(options.reserve_percent);
        let (blocks, counts, on_event, stopper) = (0, Counts::default(), Box::new(|_| {}), None);
        SyncEngine {
            store,
            remote,
            options,
            clock,
            random,
            pacer,
            blocks,
            bases: Bases::default(),
            server_clock: ServerClock::default(),
            updates: BTreeSet::new(),
            parts: BTreeMap::new(),
            further: Vec::new(),
            allowed_deletions: None,
            word: None,
            word_to_delete: None,
            counts,
            set_aside: None,
            unshown: BTreeSet::new(),
            has_listed: false,
            kept: None,
            news: News::default(),
            fleet: None,
            granted: 0,
            planned: None,
            no_slot_since_ms: None,
            spans: Spans::default(),
            on_event,
            on_answer: Box::new(|_| {}),
            untold: Vec::new(),
            stopper,
            log_told_ms: None,
        }
    }

    /// Calls `listener` as customers come in and go out.
    pub fn on_progress(self, mut listener: impl FnMut(Progress) + Send + 'static) -> Self {
        self.on_event(move |event| {
            if let Event::Progress(progress) = event {
                listener(progress);
            }
        })
    }

    /// Calls `listener` with everything that happens, on the thread that syncs, between two transactions.
    pub fn on_event(mut self, listener: impl FnMut(Event) + Send + 'static) -> Self {
        self.on_event = Box::new(listener);
        self
    }

    /// The same with every answer of the store's, before anything is made of it.
    pub(crate) fn on_answer(mut self, listener: impl FnMut(&Answer) + Send + 'static) -> Self {
        self.on_answer = Box::new(listener);
        self
    }

    /// Ends a sync of this engine from another thread: it abandons what it waits for within a tenth of a second, and the
    /// next sync goes on from there.
    pub fn stopper(&mut self) -> Stopper {
        self.stopper.get_or_insert_default().clone()
    }

    /// Shares the store's quota and its slots with the other tills of the store. It decides nothing about edits: where the fleet is
    /// wrong, slow or gone, this till goes by what the store tells it.
    #[must_use]
    pub fn in_fleet(mut self, fleet: impl Fleet + 'static) -> SyncEngine<R> {
        self.fleet = Some(Box::new(fleet));
        self
    }

    /// One sync. It takes what was journaled when its plan was made; later edits wait for the next one.
    ///
    /// # Errors
    /// When the store cannot be reached or refuses, the file belongs to another store, another sync of it runs, or it fails.
    /// Whatever happens, every edit is kept, and the next sync goes on from there.
    pub fn sync(&mut self) -> Result<SyncReport> {
        let synced = self.whole("sync", |engine| {
            engine.recover()?;
            engine.pull_or_do_without()?;
            engine.pull_others(Extent::Changes)?;
            let plan = engine.plan()?;
            engine.upload(plan)?;
            engine.report()
        });
        self.word_to_delete = None;
        synced
    }

    /// Uploads what was edited, without a pull: only the customers that are to be sent are looked at, by id, a hundred a
    /// call, unless this engine read them less than [`UploadOptions::fresh_ms`](crate::UploadOptions::fresh_ms) ago. An
    /// update built on an old snapshot could overwrite a change that nobody here has seen.
    ///
    /// # Errors
    /// As [`SyncEngine::sync`].
    pub fn push(&mut self) -> Result<SyncReport> {
        let pushed = self.whole("push", |engine| {
            engine.recover()?;
            let plan = engine.plan()?;
            engine.upload(plan)?;
            engine.report()
        });
        self.word_to_delete = None;
        pushed
    }

    /// Brings the snapshot, and every working copy without edits, up to date; nothing is uploaded.
    ///
    /// A pull whose list was not whole is no error: what came is in the file, and
    /// [`PullReport::complete`](crate::PullReport::complete) is false. The next one asks from the same moment again.
    ///
    /// # Errors
    /// As [`SyncEngine::sync`].
    pub fn pull(&mut self, extent: Extent) -> Result<PullReport> {
        self.word = self.allowed_deletions.take_if(|_| extent == Extent::Full);
        let pulled = self.pull_once(extent);
        self.word = None;
        pulled
    }

    fn pull_once(&mut self, extent: Extent) -> Result<PullReport> {
        self.whole("pull", |engine| {
            match engine.recover() {
                // Of a store that answers, and shows none of those in doubt, a list of everybody tells more.
                Err(error) if extent == Extent::Full && error.code() == "unavailable" => {
                    tracing::warn!(%error, "what is in doubt stays so for now");
                }
                recovered => recovered?,
            }
            engine.pull_and_merge(extent)?;
            engine.pull_others(extent)?;
            engine.pull_report()
        })
    }

    /// A part of a pull of everything, which finds customers that were deleted: at most so many pages of the store's list. The
    /// next part goes on there, also when other syncs ran in between; [`PullReport::complete`](crate::PullReport::complete)
    /// is true at the last one. [The worker](crate::Syncer) does it by itself.
    ///
    /// # Errors
    /// As [`SyncEngine::sync`].
    pub fn pull_some(&mut self, pages: u32) -> Result<PullReport> {
        let allowed = self.allowed_deletions.take();
        self.word = allowed;
        let pulled = self.whole("pull", |engine| {
            engine.recover()?;
            engine.pull_pages(Extent::Full, Some(pages.max(1)))?;
            engine.pull_report()
        });
        self.word = None;
        self.allowed_deletions = allowed.filter(|_| pulled.is_ok() && self.counts.is_part);
        pulled
    }

    /// A person's word that so many customers may be gone from the store. The next pull of everything takes it up, in parts or at once, however that
    /// ends; without it, no more deletions are believed than [`SyncOptions::deletions`](crate::SyncOptions::deletions) says.
    pub fn allow_deletions(&mut self, at_most: u64) {
        self.allowed_deletions = Some(at_most);
    }

    /// A person's word that so many customers who were deleted here may be deleted in the store by the next sync or push: the longest waiting
    /// first. Without it, none goes where more wait than [`SyncOptions::max_deletions`](crate::SyncOptions::max_deletions) says.
    pub fn allow_to_delete(&mut self, at_most: u64) {
        self.word_to_delete = Some(at_most);
    }

    /// Has the file keep this too, as [`SyncOptions::keep`] has: from the next sync on.
    pub fn keep(&mut self, what: impl IntoIterator<Item = String>) {
        self.options.keep.extend(what);
    }

    /// The payloads that would be sent now, as JSON objects, passwords as `***`: of these customers, or of all when
    /// there are none. Nothing is sent or written. As values: [`Store::changes`].
    ///
    /// # Errors
    /// When the file fails.
    pub fn diff(&self, ids: &[CustomerId]) -> Result<Vec<String>> {
        self.store.diff(ids)
    }

    /// The file.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Gives the file back, with its connection: what is next need not open it again.
    pub fn into_store(self) -> Store {
        self.store
    }

    /// The store's stand-in or connection.
    pub fn remote(&mut self) -> &mut R {
        &mut self.remote
    }

    /// One sync, in which a panic is a failure like any other: what was open is taken back, and the next sync begins anew.
    pub(crate) fn sync_or_fail(&mut self) -> Result<SyncReport> {
        self.or_fail("sync", SyncEngine::sync)
    }

    /// The same for one that nobody waits for: where the store's quota is short, edits go up, and news waits.
    pub(crate) fn sync_in_turn_or_fail(&mut self) -> Result<SyncReport> {
        self.news.may_wait = true;
        let done = self.sync_or_fail();
        self.news.may_wait = false;
        done
    }

    /// Whether the last sync has put news off.
    pub(crate) fn has_put_news_off(&self) -> bool {
        self.news.waits
    }

    /// The same for a push.
    pub(crate) fn push_or_fail(&mut self) -> Result<SyncReport> {
        self.or_fail("push", SyncEngine::push)
    }

    /// The same for a part of a pull of everything.
    pub(crate) fn pull_some_or_fail(&mut self, pages: u32) -> Result<PullReport> {
        self.or_fail("pull", |engine| engine.pull_some(pages))
    }

    fn or_fail<T>(&mut self, kind: &'static str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        done.unwrap_or_else(|_| {
            self.untold.clear();
            self.store.take_back_pages();
            let defect =
                Failure::Unexpected("the sync met a defect; standard error says where".to_owned()).into();
            if let Err(error) = self.note_end(kind, Some(&defect)) {
                tracing::warn!(code = error.code(), "how the sync ended could not be noted");
            }
            Err(defect)
        })
    }

    /// The time that it goes by.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn begin(&mut self) -> Result<SyncLock> {
        // Before a lock is looked for beside it, and once more when that was waited for.
        self.store.refuse_company()?;
        let lock = self.store.lock_sync(self.options.wait)?;
        self.store.refuse_company()?;
        self.store.begin_sync()?;
        self.store.goes_on_from_here()?;
        if let Some(store_hash) = self.remote.store_hash() {
            self.store.bind_store(store_hash)?;
        }
        for what in &self.options.keep {
            self.store.keep(what)?;
        }
        self.counts = Counts { began_ms: self.clock.now_ms(), ..Counts::default() };
        // Whatever a sync that was stopped has asked for in parts, nobody waits for.
        self.parts.clear();
        self.further.clear();
        self.pacer.begin();
        self.no_slot_since_ms = None;
        self.granted = 0;
        self.news.waits = false;
        self.set_aside = None;
        self.unshown.clear();
        self.options.policies.clock_offset = self.store.clock_offset()?;
        self.server_clock.knows(self.options.policies.clock_offset);
        let held = self.store.come_home(self.clock.utc())?;
        if !held.is_empty() {
            tracing::warn!(
                payments = held.len(),
                "this file was set back, or is a copy: what waits in it waits for a person"
            );
        }
        self.tell(held);
        self.store.carry_out_decisions()?;
        self.store.end_unmade(self.clock.utc())?;
        self.store.supersede_often(self.clock.utc())?;
        self.wipe_log()?;
        Ok(lock)
    }

    /// Customers that something of the app's holds up, and did not before.
    fn tell_of_held_up(&mut self, before: &[HeldUp]) -> Result<()> {
        for HeldUp { customer_id, cause, .. } in self.store.held_up()? {
            if !before.iter().any(|one| one.customer_id == customer_id) {
                (self.on_event)(Event::HeldUp { customer_id, cause });
            }
        }
        Ok(())
    }

    // ---- requests ----------------------------------------------------------------------------------------------------

    fn tickets(&mut self) -> Tickets {
        self.blocks += 1;
        Tickets::block(self.blocks)
    }

    /// Starts a request; the caller has made sure that the pacer lets it.
    fn start(&mut self, ticket: Ticket, request: Request) {
        if let Request::ByIds(rows) = &request
            && let Some(parts) = Parts::of(rows)
        {
            self.parts.insert(ticket, parts);
        }
        match &request {
            Request::Update { .. } => self.counts.put += 1,
            Request::Create { .. } => self.counts.post += 1,
            Request::Delete(_) => self.counts.delete += 1,
            _ => self.counts.get += 1,
        }
        self.counts.bytes_sent += request.body().len() as u64;
        self.pacer.sent();
        if request.is_update() {
            self.updates.insert(ticket);
        }
        self.spans.request(ticket, &request, self.clock.now_ms());
        self.remote.start(ticket, request);
    }

    /// Asks the fleet, where there is one, for its turn.
    fn take_turn(&mut self, wants: Wants, calls: impl FnOnce() -> usize) {
        let now_ms = self.clock.now_ms();
        let Some(fleet) = self.fleet.as_mut().filter(|_| self.pacer.wants_turn(now_ms)) else { return };
        let calls = u32::try_from(calls().min(MOST_CALLS)).unwrap_or(1);
        if calls > 0 {
            let turn = fleet.turn(wants, calls);
            if let Turn::Now { calls, .. } = turn {
                self.granted += u64::from(calls);
            }
            self.pacer.take_turn(turn, self.clock.now_ms());
        }
    }

    /// Whether edits have come since the last plan: they wait behind whatever is asked for now.
    fn has_new_edits(&self) -> Result<bool> {
        Ok(Some(self.store.newest_edit()?) > self.planned && self.store.has_pending()?)
    }

    /// When an update may be tried that finds no slot free now. Whatever a fleet says, that has an end: the store refuses what is one
    /// too many.
    fn no_slot_until_ms(&mut self, update: Ticket) -> Option<u64> {
        const LONGEST_MS: u64 = 2_000;
        const ALL_IN_ALL_MS: u64 = 90_000;
        let now_ms = self.clock.now_ms();
        let Slot::Taken { for_ms } = self.fleet.as_mut()?.slot(update) else {
            self.no_slot_since_ms = None;
            return None;
        };
        let since_ms = *self.no_slot_since_ms.get_or_insert(now_ms);
        (now_ms.saturating_sub(since_ms) < ALL_IN_ALL_MS).then(|| now_ms + for_ms.clamp(1, LONGEST_MS))
    }

    fn tell_fleet(&mut self, ticket: Ticket, answer: Option<&Answer>) {
        let Some(fleet) = &mut self.fleet else { return };
        let told = answer.map(|answer| answer.rate).unwrap_or_default();
        fleet.answered(&told, self.updates.contains(&ticket).then_some(ticket));
    }

    fn refuse_when_stopped(&self) -> Result<()> {
        match &self.stopper {
            Some(stopper) if stopper.is_stopped() => Err(Failure::Stopped.into()),
            _ => Ok(()),
        }
    }

    /// Waits, in slices while somebody may stop it; `None` then too. Pages are committed before: nobody else's edit waits
    /// for the wire.
    fn await_answer(&mut self, wait: Option<Duration>) -> Result<Option<Answered>> {
        if self.store.has_open_pages() {
            // With a fleet, what follows is a question to it: nobody's edit waits for that either.
            if self.fleet.is_none()
                && let Some(answer) = self.remote.next(Some(Duration::ZERO))
            {
                return Ok(Some(answer));
            }
            self.commit_pages()?;
        }
        let Some(stopper) = self.stopper.clone() else { return Ok(self.remote.next(wait)) };
        let mut left = wait;
        while !stopper.is_stopped() && left.is_none_or(|left| !left.is_zero()) {
            let slice = left.map_or(STOP_WITHIN, |left| left.min(STOP_WITHIN));
            if let Some(answer) = self.remote.next(Some(slice)) {
                return Ok(Some(answer));
            }
            left = left.map(|left| left.saturating_sub(slice));
        }
        Ok(None)
    }

    /// The next answer that is whole, as far as the store lets it be.
    fn next_answer(&mut self, until_ms: Option<u64>) -> Result<Option<Answered>> {
        loop {
            let further_ms = self.ask_further();
            let next_ms = until_ms.into_iter().chain(further_ms).min();
            let Some((ticket, answer)) = self.next_part(next_ms)? else {
                let is_for_a_page = further_ms.is_some() && next_ms == further_ms && next_ms != until_ms;
                match is_for_a_page && self.refuse_when_stopped().is_ok() {
                    true => continue,
                    false => return Ok(None),
                }
            };
            if let Some(answer) = self.gathered(ticket, answer) {
                return Ok(Some((ticket, answer)));
            }
        }
    }

    /// An answer that comes in parts is none before the last one.
    fn gathered(
        &mut self,
        ticket: Ticket,
        answer: std::result::Result<Answer, Trouble>,
    ) -> Option<std::result::Result<Answer, Trouble>> {
        let Some(mut parts) = self.parts.remove(&ticket) else { return Some(answer) };
        match parts.take(answer) {
            Part::Whole(answer) => Some(answer),
            // For so long nobody waits: what has come says that it is not whole.
            Part::Next(..) if self.refuse_wait().is_some() => Some(Ok(parts.so_far())),
            Part::Next(number, limit) => {
                let rows = parts.rows().to_vec();
                self.further.push((ticket, Request::MoreByIds { rows, number, limit }));
                self.parts.insert(ticket, parts);
                None
            }
        }
    }

    /// Asks for further pages as far as the store's quota lets; when it lets the next one.
    fn ask_further(&mut self) -> Option<u64> {
        while !self.further.is_empty() {
            self.take_turn(Wants::Edits, || 1);
            let (now_ms, ready_ms) = (self.clock.now_ms(), self.pacer.ready_at_ms(self.clock.now_ms()));
            if ready_ms > now_ms {
                return Some(ready_ms);
            }
            let (ticket, request) = self.further.remove(0);
            self.start(ticket, request);
        }
        None
    }

    /// The next answer, having learned from its headers.
    fn next_part(&mut self, until_ms: Option<u64>) -> Result<Option<Answered>> {
        let wait =
            until_ms.map(|until_ms| Duration::from_millis(until_ms.saturating_sub(self.clock.now_ms())));
        let Some((ticket, answer)) = self.await_answer(wait)? else { return Ok(None) };
        let now_ms = self.clock.now_ms();
        self.spans.answered(ticket, &answer, now_ms);
        self.tell_fleet(ticket, answer.as_ref().ok());
        match &answer {
            Ok(answer) => {
                (self.on_answer)(answer);
                self.pacer.returned(&answer.rate, now_ms);
                self.learn_clock(answer);
                let is_update = self.updates.remove(&ticket);
                self.limited_or_passed(answer, is_update, now_ms);
            }
            Err(_) => {
                self.updates.remove(&ticket);
                self.pacer.returned(&crate::flow::RateHeaders::default(), now_ms);
            }
        }
        Ok(Some((ticket, answer)))
    }

    /// How much of the store's quota others use, as its last answers told; 1.0: all of it.
    pub(crate) fn quota_used_by_others(&self) -> f64 {
        self.pacer.load()
    }

    /// Now, by the till's clock and by the server's.
    fn moment(&self) -> Moment {
        self.options.policies.moment(self.clock.utc())
    }

    /// The till's clock may have been set since the last sync: what is decided by time is decided by the newest answer, unless
    /// that stands alone.
    fn learn_clock(&mut self, answer: &Answer) {
        let Some(date) = answer.date else { return };
        if let Some(offset) = self.server_clock.hear(date, self.clock.now_ms(), self.clock.utc()) {
            self.counts.offset = Some(offset);
            self.options.policies.clock_offset = offset;
        }
    }

    fn limited_or_passed(&mut self, answer: &Answer, is_update: bool, now_ms: u64) {
        if answer.is_crowded() {
            self.counts.slots_refused += 1;
            self.pacer.crowded(now_ms);
            tracing::debug!("too many calls are under way at the store");
        } else if answer.status == 429 {
            self.counts.rate_limited += 1;
            let until_ms = self.pacer.limited(&answer.rate, is_update, now_ms, self.random.f64());
            self.note_throttle();
            tracing::info!(wait_ms = until_ms - now_ms, "the store asks all to wait");
        } else {
            self.pacer.passed(is_update);
        }
    }

    /// A request sent at `sent_ms` met a `429`. That uses up no try, but a store that says nothing else for as long as
    /// that may last is as good as down.
    fn limited(&self, limits: &mut Misses, sent_ms: u64) -> Option<Failure> {
        let now_ms = self.clock.now_ms();
        limits.add(sent_ms, now_ms);
        let (tries, last) = (limits.count(), "status 429: too many requests".to_owned());
        let is_over = limits.are_enough_limits(&self.options.upload.retry, now_ms);
        is_over.then_some(Failure::Unavailable { tries, last })
    }

    fn sleep_until(&mut self, until_ms: u64) -> Result<()> {
        while self.clock.now_ms() < until_ms && self.refuse_when_stopped().is_ok() {
            self.next_answer(Some(until_ms))?;
        }
        Ok(())
    }
}

/// An answer, and what it is the answer to.
type Answered = (Ticket, Result<Answer, Trouble>);

impl<R> std::fmt::Debug for SyncEngine<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncEngine")
            .field("store", &self.store)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
