//! A background worker that keeps a file in step with its store: it pushes soon after an edit by whatever program, and syncs
//! on a schedule, on demand, and when the network comes back.
//!
//! One thread a worker. It looks at the file a few times a second with a pragma that reads no table; an edit, a command
//! or a deadline makes it sync. When a sync fails it tries again by itself, later and later up to a bound, without
//! waiting for an edit; that deadline is in the file, so it survives a restart. Of several workers on one file, in
//! whatever processes, one works and the others stand by; when it ends or dies, another takes over.
//!
//! *When* to sync is decided in `schedule`, pure; what an app hears of it comes out of [`Events`].

mod events;
mod schedule;
#[cfg(all(test, feature = "sandbox"))]
mod virtual_time;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

pub use events::Events;
pub use schedule::{Job, QuotaUse, Schedule, SyncerOptions, WhenTaken};

use crate::api::Remote;
use crate::clock::Clock;
use crate::engine::{Event, Requests, Stopper, SyncEngine};
use crate::error::{Error, Failure, Result};
use crate::resource::EditSeq;
use crate::store::{FREED_AT, LAST_FULL_PULL, Lock, NEXT_TRY, Store};
use crate::threads;
use events::Queue;

/// How often a worker says that it lives, and looks whether an edit has waited for long.
const LIVES_EVERY: Duration = Duration::from_secs(10);
const LOOK_FOR_OLD_EVERY: Duration = Duration::from_secs(60);
/// How often what edits add to the log is moved into the file, while there are edits.
const TEND_LOG_EVERY: Duration = Duration::from_secs(5);
/// Pages of the list of everybody that are asked for after a sync.
const PAGES_AT_ONCE: u32 = 4;

/// A background worker; dropping it stops it.
///
/// ```
/// use std::time::Duration;
/// use tillsync::sandbox::{Sandbox, SandboxOptions};
/// use tillsync::{HttpOptions, HttpRemote, Store, SyncEngine, SyncOptions, Syncer, SyncerOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sandbox = Sandbox::start(SandboxOptions { customers: 3, ..SandboxOptions::default() })?;
/// let remote = HttpOptions { api_url: sandbox.url(), ..HttpOptions::new(sandbox.store_hash(), sandbox.token()) };
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("till.db");
/// let engine = SyncEngine::new(Store::open(&path)?, HttpRemote::new(&remote)?, SyncOptions::default());
/// let (syncer, events) = Syncer::start(engine, SyncerOptions::default())?;
///
/// syncer.sync_now();
/// while let Some(event) = events.next(Duration::from_secs(10)) {
///     if let tillsync::Event::SyncFinished(report) = event {
///         assert_eq!(report.pulled, 3);
///         break;
///     }
/// }
/// assert!(syncer.stop(Duration::from_secs(2)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Syncer {
    commands: Sender<Command>,
    stopper: Stopper,
    is_at_work: Arc<AtomicBool>,
    is_paused: AtomicBool,
    done: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug)]
enum Command {
    SyncNow,
    Pause,
    Resume,
    Stop,
}

impl Syncer {
    /// Starts a worker with an engine of its own. Events come out of the second half; see [`Events`].
    ///
    /// # Errors
    /// When the file cannot be opened once more, the system gives no thread, or another worker has the file and this one
    /// is not to stand by ([`SyncerOptions::when_taken`]).
    pub fn start<R: Remote + Send + 'static>(
        engine: SyncEngine<R>,
        options: SyncerOptions,
    ) -> Result<(Syncer, Events)> {
        let queue = Arc::new(Queue::new(options.events));
        let (commands, inbox) = mpsc::channel();
        let is_at_work = Arc::new(AtomicBool::new(false));
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let when_taken = options.when_taken;
        let mut worker = Worker::new(engine, options, queue.clone(), is_at_work.clone())?;
        if let WhenTaken::Refuse { after } = when_taken {
            worker.take_the_file(after)?;
        }
        let stopper = worker.engine.stopper();
        let farewell = Farewell { is_at_work: is_at_work.clone(), queue: queue.clone(), done: done.clone() };
        let thread = threads::spawn("tillsync", move || {
            // Dropped last: by then the file and its locks are free.
            let _farewell = farewell;
            worker.run(&inbox);
            drop(worker);
        })?;
        let (is_paused, thread) = (AtomicBool::new(false), Some(thread));
        Ok((Syncer { commands, stopper, is_at_work, is_paused, done, thread }, Events::of(queue)))
    }

    /// Syncs at once, also when paused; after the sync that runs, if one does.
    pub fn sync_now(&self) {
        _ = self.commands.send(Command::SyncNow);
    }

    /// Starts no further sync by itself; one that runs goes on to its end.
    pub fn pause(&self) {
        self.is_paused.store(true, Ordering::Relaxed);
        _ = self.commands.send(Command::Pause);
    }

    /// Goes on; what came due meanwhile is done at once.
    pub fn resume(&self) {
        self.is_paused.store(false, Ordering::Relaxed);
        _ = self.commands.send(Command::Resume);
    }

    /// Whether it was told to pause, and not to go on since.
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Whether it is this worker that syncs the file; else it stands by for another one.
    pub fn is_at_work(&self) -> bool {
        self.is_at_work.load(Ordering::Relaxed)
    }

    /// Stops the worker. A sync that runs may go on to its end for `within`; then it is abandoned, which takes a fraction
    /// of a second more: what it had on its way is read back by the next sync. While another program holds a transaction
    /// of the file open, it takes until that ends, 10 s at most. True: it came to its end.
    pub fn stop(mut self, within: Duration) -> bool {
        _ = self.commands.send(Command::Stop);
        let came_to_its_end = self.wait_until_done(within);
        self.abandon();
        came_to_its_end
    }

    fn wait_until_done(&self, within: Duration) -> bool {
        let is_done = self.done.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.done.1.wait_timeout_while(is_done, within, |done| !*done);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn abandon(&mut self) {
        self.stopper.stop();
        _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has said so on its own thread.
            _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// What the thread has in its hands.
struct Worker<R> {
    engine: SyncEngine<R>,
    /// Looks at the file without the engine's connection, which never sees its own writes as news.
    watch: Store,
    schedule: Schedule,
    options: SyncerOptions,
    clock: Arc<dyn Clock>,
    queue: Arc<Queue>,
    lock: Option<Lock>,
    is_at_work: Arc<AtomicBool>,
    seen_version: i64,
    seen: Seen,
    is_offline: Arc<AtomicBool>,
    /// Nothing may be done with the file for now, which was told.
    is_shut_out: bool,
    /// The file was this worker's, until then.
    has_let_go: bool,
    /// Another program has upgraded the file, which was told.
    is_outdated: bool,
    said_alive_ms: Option<u64>,
    looked_for_old_ms: Option<u64>,
    tended_log_ms: Option<u64>,
    told_of_old: Option<DateTime<Utc>>,
    /// What keeps the file from being looked at, and for how many looks in a row.
    trouble: Option<(&'static str, u32)>,
}

/// What was seen of the edits in the file: the newest, and when refused ones were last freed to be sent again. And of its schema:
/// where our triggers were taken out an edit shows in no journal, until the next sync makes them again and finds it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    newest: EditSeq,
    freed_at: Option<String>,
    schema: i64,
}

/// Says so when the thread ends, also when it panics: nobody waits for it in vain.
struct Farewell {
    is_at_work: Arc<AtomicBool>,
    queue: Arc<Queue>,
    done: Arc<(Mutex<bool>, Condvar)>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.is_at_work.store(false, Ordering::Relaxed);
        self.queue.close();
        *self.done.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.done.1.notify_all();
    }
}

/// Once, after it was offline.
fn tell_online(queue: &Queue, is_offline: &AtomicBool) {
    if is_offline.swap(false, Ordering::Relaxed) {
        queue.push(Event::Online);
    }
}

impl<R: Remote> Worker<R> {
    fn new(
        engine: SyncEngine<R>,
        options: SyncerOptions,
        queue: Arc<Queue>,
        is_at_work: Arc<AtomicBool>,
    ) -> Result<Worker<R>> {
        let clock = engine.clock();
        let is_offline = Arc::new(AtomicBool::new(false));
        let (told, was_offline) = (queue.clone(), is_offline.clone());
        let heard = queue.clone();
        let engine = engine.on_event(move |event| told.push(event)).on_answer(move |answer| {
            // Who is told what the store did has heard before that it is there.
            if was_offline.load(Ordering::Relaxed) && answer.is_the_stores_word() {
                tell_online(&heard, &was_offline);
            }
        });
        let watch = engine.store().reopen()?;
        let schedule = Schedule::new(&options, clock.now_ms());
        let (seen_version, seen) =
            (watch.data_version()?, Seen { newest: EditSeq(0), freed_at: None, schema: 0 });
        Ok(Worker {
            engine,
            watch,
            schedule,
            options,
            clock,
            queue,
            lock: None,
            is_at_work,
            seen_version,
            seen,
            is_offline,
            is_shut_out: false,
            has_let_go: false,
            is_outdated: false,
            said_alive_ms: None,
            looked_for_old_ms: None,
            tended_log_ms: None,
            told_of_old: None,
            trouble: None,
        })
    }

    fn run(&mut self, inbox: &Receiver<Command>) {
        loop {
            match inbox.recv_timeout(self.options.look) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Command::SyncNow) => self.schedule.asked(),
                Ok(Command::Pause) => self.pause(true),
                Ok(Command::Resume) => self.pause(false),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let looked = self.look();
            if self.ended(looked) {
                return;
            }
        }
    }

    fn pause(&mut self, yes: bool) {
        if yes {
            self.schedule.pause()
        } else {
            self.schedule.resume()
        }
        if self.is_at_work.load(Ordering::Relaxed) {
            self.note_pause();
        }
    }

    /// Whoever asks of the file is told; where that cannot be written now, only whoever asks the worker.
    fn note_pause(&mut self) {
        if let Err(error) = self.watch.note_pause(self.schedule.is_paused()) {
            tracing::warn!(%error, "that the worker pauses, or goes on, could not be noted in the file");
        }
    }

    /// Whether a look was the last one. What keeps the file from being looked at is told once, for as long as it lasts.
    fn ended(&mut self, looked: Result<()>) -> bool {
        /// What passes by itself has passed by then.
        const TOLD_AFTER_LOOKS: u32 = 4;
        let Err(error) = looked else {
            self.trouble = None;
            return self.is_outdated;
        };
        if error.is_newer_schema() {
            self.queue.push(failed(&error));
            return true;
        }
        let is_same = |(code, _): &(&str, u32)| *code == error.code();
        let looks = self.trouble.filter(is_same).map_or(1, |(_, looks)| looks.saturating_add(1));
        self.trouble = Some((error.code(), looks));
        if looks == 1 {
            tracing::warn!(%error, "the file cannot be looked at");
        }
        if looks == TOLD_AFTER_LOOKS {
            self.queue.push(failed(&error));
        }
        false
    }

    /// Looks around once, and syncs if it is time to. Where another program has upgraded the file, this one is done with it: that
    /// is told, and the worker ends.
    fn look(&mut self) -> Result<()> {
        let may_look = self.may_look();
        let is_its_own = if may_look { self.has_the_file()? } else { self.let_go() };
        if !is_its_own {
            return Ok(());
        }
        self.live();
        if may_look {
            self.notice_edits()?;
            self.notice_old_edits()?;
        }
        if let Some(job) = self.schedule.due(self.clock.now_ms()) {
            if may_look {
                self.watch.refuse_newer()?;
            }
            self.sync(job);
        }
        Ok(())
    }

    /// Nothing may be done with the file by this worker: whoever can keeps it in step meanwhile, and nobody takes this one for at work. Whether
    /// it was its own, so that each sync that is due tells again.
    fn let_go(&mut self) -> bool {
        if self.lock.take().is_some() {
            self.has_let_go = true;
            self.is_at_work.store(false, Ordering::Relaxed);
        }
        self.has_let_go
    }

    /// Whether this worker is the one that works on the file; a second one takes over when the first has ended.
    fn has_the_file(&mut self) -> Result<bool> {
        if self.lock.as_ref().is_some_and(|lock| !lock.is_there()) {
            // Somebody has removed it, and another worker may have made it anew.
            tracing::warn!("the lock of the worker was removed while it was held");
            self.lock = None;
            self.is_at_work.store(false, Ordering::Relaxed);
        }
        if self.lock.is_none() {
            self.lock = self.watch.lock_worker()?;
            if self.lock.is_some() {
                self.is_at_work.store(true, Ordering::Relaxed);
                if self.may_look() {
                    self.note_pause();
                    self.take_up()?;
                }
            }
        }
        Ok(self.lock.is_some())
    }

    /// Makes this worker the one that works on the file, or refuses when it is another one's for so long.
    fn take_the_file(&mut self, within: Duration) -> Result<()> {
        let began = Instant::now();
        while !self.has_the_file()? {
            let left = within.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Failure::WorkerBusy(self.watch.path().to_owned()).into());
            }
            std::thread::sleep(self.options.look.min(left));
        }
        Ok(())
    }

    /// While this process has the file in other hands too, or it is not where it was, there is not even a look. That is told
    /// at once, and again by each sync that is due.
    fn may_look(&mut self) -> bool {
        match self.watch.refuse_company() {
            Ok(()) => {
                self.has_let_go = false;
                if std::mem::take(&mut self.is_shut_out) {
                    self.schedule.edited(self.clock.now_ms());
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_shut_out, true) {
                    self.queue.push(failed(&error));
                }
            }
        }
        !self.is_shut_out
    }

    /// Goes on where the last worker of the file ended.
    fn take_up(&mut self) -> Result<()> {
        self.seen = self.see()?;
        let left = self.watch.time(NEXT_TRY)?.map(|at| at - self.clock.utc());
        let left_ms = left.map(|left| left.max(TimeDelta::zero()).num_milliseconds().unsigned_abs());
        self.schedule.taken_up(self.clock.now_ms(), left_ms, self.watch.has_pending()?);
        Ok(())
    }

    /// Edits of any program show in a number that costs no read of a table.
    fn notice_edits(&mut self) -> Result<()> {
        let version = self.watch.data_version()?;
        if version == self.seen_version {
            return Ok(());
        }
        self.watch.refuse_newer()?;
        let seen = self.see()?;
        self.seen_version = version;
        if seen != self.seen {
            self.seen = seen;
            self.schedule.edited(self.clock.now_ms());
        }
        // Whatever becomes of these, the edits are seen.
        if is_time(&mut self.tended_log_ms, self.clock.now_ms(), TEND_LOG_EVERY) {
            self.watch.tend_log_of_others()?;
        }
        if self.watch.carry_out_decisions()? > 0 {
            self.seen = self.see()?;
            self.schedule.edited(self.clock.now_ms());
        }
        Ok(())
    }

    /// Others see by the lock's file that it goes on, and does not hang.
    fn live(&mut self) {
        if is_time(&mut self.said_alive_ms, self.clock.now_ms(), LIVES_EVERY) {
            self.lock.iter().for_each(Lock::live);
        }
    }

    /// Edits that have waited for long are told of, paused or not.
    fn notice_old_edits(&mut self) -> Result<()> {
        let every = LOOK_FOR_OLD_EVERY.min(self.options.waiting_long);
        if !is_time(&mut self.looked_for_old_ms, self.clock.now_ms(), every) {
            return Ok(());
        }
        let long = TimeDelta::from_std(self.options.waiting_long).unwrap_or(TimeDelta::MAX);
        let now = self.clock.utc();
        let has_waited = |since: DateTime<Utc>| now - since >= long;
        match self.watch.oldest_unsent()?.filter(|(since, _)| has_waited(*since)) {
            None => self.told_of_old = None,
            Some((since, edits)) => {
                if self.told_of_old.is_none_or(has_waited) {
                    self.told_of_old = Some(now);
                    self.queue.push(Event::WaitingLong { since, edits });
                }
            }
        }
        Ok(())
    }

    fn see(&self) -> Result<Seen> {
        let (newest, freed_at) = (self.watch.newest_edit()?, self.watch.state(FREED_AT)?);
        Ok(Seen { newest, freed_at, schema: self.watch.schema_changes()? })
    }

    fn sync(&mut self, job: Job) {
        self.queue.push(Event::SyncStarted);
        let has_to_bring_news = job == Job::Sync && !self.schedule.may_put_news_off(self.clock.now_ms());
        let done = match job {
            Job::Push => self.engine.push_or_fail(),
            Job::Sync if has_to_bring_news => self.engine.sync_or_fail(),
            Job::Sync => self.engine.sync_in_turn_or_fail(),
        };
        match done {
            Ok(report) => {
                // A push that had nothing to send has heard nothing of the store.
                if report.requests != Requests::default() {
                    tell_online(&self.queue, &self.is_offline);
                }
                let is_short = report.rate_limited > 0;
                self.queue.push(Event::SyncFinished(report));
                let quota = QuotaUse {
                    is_used_up: is_short,
                    of_others: self.engine.quota_used_by_others(),
                    has_put_news_off: self.engine.has_put_news_off(),
                };
                self.schedule.went_well(job, self.clock.now_ms(), quota, fastrand::f64());
                self.remember_the_next_try(None);
                if job == Job::Sync && !is_short && !quota.has_put_news_off {
                    self.look_for_deletions();
                }
            }
            Err(error) => {
                if error.is_offline() && !self.is_offline.swap(true, Ordering::Relaxed) {
                    self.queue.push(Event::Offline { message: error.to_string() });
                }
                self.queue.push(failed(&error));
                self.schedule.failed(has_to_bring_news, self.clock.now_ms(), fastrand::f64());
                self.is_outdated = error.is_newer_schema();
                if error.forbids_writing() {
                    return;
                }
                self.remember_the_next_try(Some(self.schedule.due_ms()));
            }
        }
    }

    /// A deletion shows in no list of changes: once in a while everybody is asked for, a few pages with each sync, so that
    /// nobody waits for it.
    fn look_for_deletions(&mut self) {
        let Some(every) = self.options.full_every else { return };
        let is_due = match self.watch.time(LAST_FULL_PULL) {
            Ok(Some(at)) => (self.clock.utc() - at).abs().to_std().is_ok_and(|since| since >= every),
            Ok(None) => true,
            Err(_) => false,
        };
        if !is_due || !self.schedule.may_ask_for_everybody(self.clock.now_ms()) {
            return;
        }
        match self.engine.pull_some_or_fail(PAGES_AT_ONCE) {
            Ok(report) => {
                match report.incomplete {
                    Some(_) => self.schedule.everybody_failed(self.clock.now_ms(), fastrand::f64()),
                    // Of a part nobody knows yet whether the whole comes to a good end.
                    None if report.complete => self.schedule.asked_for_everybody(),
                    None => {}
                }
                if report.complete || report.incomplete.is_some() {
                    self.queue.push(Event::PullFinished(report));
                }
            }
            Err(error) => {
                let (code, message, hint) = (error.code(), error.to_string(), error.hint());
                self.queue.push(Event::PullFailed { code, message, hint });
                self.schedule.everybody_failed(self.clock.now_ms(), fastrand::f64());
                self.is_outdated = error.is_newer_schema();
            }
        }
    }

    /// Only a sync that failed has a next try to be remembered: after one that went well, whoever takes the file up
    /// looks at the store at once.
    fn remember_the_next_try(&mut self, due_ms: Option<u64>) {
        let at = due_ms.map(|due_ms| {
            let wait_ms = i64::try_from(due_ms.saturating_sub(self.clock.now_ms())).unwrap_or(i64::MAX);
            self.clock.utc() + TimeDelta::milliseconds(wait_ms.min(86_400_000))
        });
        if at.is_none() && matches!(self.watch.state(NEXT_TRY), Ok(None)) {
            return;
        }
        if let Err(error) = self.watch.set_time(NEXT_TRY, at) {
            tracing::warn!(code = error.code(), "the next try could not be noted");
        }
    }
}

fn failed(error: &Error) -> Event {
    Event::SyncFailed { code: error.code(), message: error.to_string(), hint: error.hint() }
}

/// Whether so much time has passed since then; then it begins anew.
fn is_time(last_ms: &mut Option<u64>, now_ms: u64, every: Duration) -> bool {
    let has_passed = last_ms.is_none_or(|last_ms| u128::from(now_ms - last_ms) >= every.as_millis());
    if has_passed {
        *last_ms = Some(now_ms);
    }
    has_passed
}
