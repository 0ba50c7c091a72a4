//! `worker`: the background worker as a process of its own, for apps that bring a SQLite of their own.
//!
//! Two SQLites in one process do not see each other's locks and destroy the file, so such an app leaves the syncing to this
//! process. With `--json`, standard output carries events and answers out and standard input commands in, one JSON
//! object a line; every line out begins with what it is: `event`, `answer` or `error`. It ends with the app: when its
//! input ends, or nobody reads its output, it stops as if it had been told to. Without `--json` it tells people what
//! happens, reads nothing, and works until it is interrupted.
//!
//! Four threads, of which none waits for a reader: the [`Syncer`]'s own; one that reads commands; one that takes the
//! events; one that writes. The main one answers. Nothing here decides when to sync: that is the library's.
//!
//! | file | what it holds |
//! |---|---|
//! | `request` | a line of the input, taken apart |
//! | `outbox` | what is on its way to a reader who may be slow |
//! | `waits` | receipts whose fate an app waits for |
//! | `words` | events for people |

mod outbox;
mod request;
mod waits;
mod words;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tillsync::{Event, Events, Fate, Found, LogLevel, Status, Store, Syncer, SyncerOptions, WhenTaken};

use super::Done;
use super::exit::{Exit, Failed};
use super::out::Out;
use super::policies::{PolicyFlag, policies};
use super::render;
use super::settings::{Missing, Till};
use outbox::{Outbox, Said};
use request::{Command, Id, Request, STOP_WITHIN};
use waits::{Wait, Waits};

/// Commands that are read and not answered yet; the next one waits in the pipe.
const INBOX: usize = 64;
/// What a reader who is slow gets to read the rest.
const FAREWELL: Duration = Duration::from_secs(1);
/// Beside the main one: three of its own, the syncer's, and five for requests. And how long, and how often, they are asked for.
const THREADS: usize = 3 + 1 + 5;
const PATIENCE: Duration = Duration::from_secs(10);
const THREADS_AGAIN: Duration = Duration::from_millis(200);
/// How often the thread that takes the events looks whether there are to be any more.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Sync in the background
///
/// Soon after an edit, on a schedule, and when the network is back.
#[derive(Args)]
#[command(after_help = "Examples:
  # tells what happens, until it is interrupted:
  tillsync worker
  # for a program that starts it: events out, commands in:
  tillsync worker --json
  echo '{\"command\":\"status\",\"id\":1}' |
      tillsync worker --json

Commands: sync_now, pause, resume, status, find (text, limit), wait (receipt, timeout_ms), stop (within_ms). With --json each is one JSON object on a line, and it ends when its standard input does.")]
pub(super) struct Worker {
    /// Make the file if it is not there; the first sync then pulls every customer
    #[arg(long)]
    create: bool,
    /// Who decides when both sides changed an attribute: hold (a person, the default), local, remote or latest; with
    /// FIELD= for one attribute only. May be given again
    #[arg(long, value_name = "[FIELD=]POLICY")]
    policy: Vec<PolicyFlag>,
    /// Look for news this often; default: 60000
    #[arg(long, value_name = "N")]
    every_ms: Option<u32>,
    /// This often at least, while others use the store's quota; default: 900000
    #[arg(long, value_name = "N")]
    latest_ms: Option<u32>,
    /// Ask for everybody this often, a little with each sync, to find deletions; 0: never; default: 604800000, a week
    #[arg(long, value_name = "N")]
    full_every_ms: Option<u32>,
    /// Sync this long after an edit; default: 2000
    #[arg(long, value_name = "N")]
    debounce_ms: Option<u32>,
    /// Never later than this after the first edit that waits; default: 10000
    #[arg(long, value_name = "N")]
    patience_ms: Option<u32>,
    /// After a first sync that failed, try again within this; doubles; default: 1000
    #[arg(long, value_name = "N")]
    retry_base_ms: Option<u32>,
    /// Never wait longer than this after a failure; default: 30000
    #[arg(long, value_name = "N")]
    retry_cap_ms: Option<u32>,
    /// Look this often for edits of other programs; default: 250
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    look_ms: Option<u32>,
    /// Tell of an edit that has waited so long; default: 86400000, a day
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    waiting_long_ms: Option<u32>,
    /// Lines that are kept for a slow reader; default: 1024
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    events: Option<u32>,
    /// Append what the library says to this file, instead of telling warnings on standard error
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// How much: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", requires = "log_file", value_parser = level)]
    log_level: LogLevel,
}

fn level(text: &str) -> Result<LogLevel, String> {
    text.parse().map_err(|_| "it is error, warn, info, debug or trace".to_owned())
}

impl Worker {
    /// Where its log goes, and how much of it; else to standard error.
    pub(in crate::cli) fn log(&self) -> Option<(&Path, LogLevel)> {
        self.log_file.as_deref().map(|file| (file, self.log_level))
    }
}

/// The first line out.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    version: &'static str,
    file: PathBuf,
    store_hash: Option<&'a str>,
}

/// A line that answers a command.
#[derive(Serialize)]
struct Answer<'a, T> {
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Id>,
    #[serde(flatten)]
    document: T,
}

/// How the worker is.
#[derive(Clone, Copy, Serialize)]
struct WorkerState {
    running: bool,
    at_work: bool,
    paused: bool,
}

/// How it ended.
#[derive(Serialize)]
struct Stopped {
    running: bool,
    came_to_its_end: bool,
}

#[derive(Serialize)]
struct WholeStatus {
    #[serde(flatten)]
    status: Status,
    worker: WorkerState,
}

/// Who was found; each as `show` has a customer.
#[derive(Serialize)]
struct FoundCustomers {
    customers: Vec<Box<RawValue>>,
    more: bool,
}

/// What comes to the thread that answers.
enum Incoming {
    Request(Request),
    /// The app has closed the input, or has died.
    EndOfInput,
    /// Nobody reads what is said any more.
    NobodyListens,
    /// The library's thread has ended though nobody stopped it; why, if it has said so.
    Died(Option<Failed>),
}

impl Worker {
    pub(super) fn run(self, till: &Till) -> Done {
        wait_for_threads()?;
        let missing = if self.create { Missing::Make } else { Missing::Refuse };
        let engine = till.engine_with(missing, policies(&self.policy))?;
        let store = engine.store().reopen()?;
        let options = self.options(till.wait());
        let outbox = Arc::new(Outbox::new(options.events));
        let (syncer, events) = Syncer::start(engine, options)?;
        greet(till, &store)?;

        let (inbox, incoming) = mpsc::sync_channel(INBOX);
        write_out(till.out, outbox.clone(), inbox.clone())?;
        let told = take_events(events, outbox.clone(), inbox.clone())?;
        if till.out.is_json() {
            read_in(inbox)?;
        }
        let mut desk = Desk { syncer, store, outbox, waits: Waits::default() };
        let ended = desk.work(&incoming);
        drop(incoming);
        desk.close(ended, told)
    }

    fn options(&self, wait: Duration) -> SyncerOptions {
        let usual = SyncerOptions::default();
        let or = |given: Option<u32>, usual| given.map_or(usual, |ms| Duration::from_millis(ms.into()));
        SyncerOptions {
            every: or(self.every_ms, usual.every),
            latest: or(self.latest_ms, usual.latest),
            full_every: self
                .full_every_ms
                .map_or(usual.full_every, |ms| (ms > 0).then(|| Duration::from_millis(ms.into()))),
            debounce: or(self.debounce_ms, usual.debounce),
            patience: or(self.patience_ms, usual.patience),
            retry_base: or(self.retry_base_ms, usual.retry_base),
            retry_cap: or(self.retry_cap_ms, usual.retry_cap),
            look: or(self.look_ms, usual.look),
            waiting_long: or(self.waiting_long_ms, usual.waiting_long),
            events: self.events.and_then(|events| usize::try_from(events).ok()).unwrap_or(usual.events),
            when_taken: WhenTaken::Refuse { after: wait },
        }
    }
}

/// Waits until the system gives all threads that it takes, so that none fails once it is ready: they are tried together.
fn wait_for_threads() -> Result<(), Failed> {
    let began = Instant::now();
    loop {
        let (hold, held) = mpsc::sync_channel::<()>(0);
        let held = Arc::new(Mutex::new(held));
        let started: Result<Vec<_>, _> = (0..THREADS)
            .map(|_| {
                let held = held.clone();
                start("tried", move || _ = held.lock().map(|held| held.recv()))
            })
            .collect();
        drop(hold);
        match started {
            Ok(threads) => {
                threads.into_iter().for_each(|thread| _ = thread.join());
                return Ok(());
            }
            Err(failed) if began.elapsed() >= PATIENCE => return Err(failed),
            Err(_) => std::thread::sleep(THREADS_AGAIN),
        }
    }
}

/// Says that it is ready: from here on, events come.
fn greet(till: &Till, store: &Store) -> Result<(), Failed> {
    let (version, hash) = (env!("CARGO_PKG_VERSION"), store.store_hash()?);
    let file = std::path::absolute(till.path()).unwrap_or_else(|_| till.path().to_owned());
    let words = || {
        let store = hash.as_deref().unwrap_or("its store");
        format!("tillsync {version} keeps {} in step with {store}. Ctrl-C ends it.", file.display())
    };
    let ready = Ready { event: "ready", version, file: file.clone(), store_hash: hash.as_deref() };
    Ok(till.out.answer(&ready, words)?)
}

// ---- the threads around it ---------------------------------------------------------------------------------------

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failed> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|e| {
        Failed::coded("no_thread", format!("the system gives this process no thread: {e}")).hint(
            "too many run for this user or on this machine (ulimit -u); every edit is kept; start it again",
        )
    })
}

/// Writes what is in the outbox, as slowly as it is read.
fn write_out(out: Out, outbox: Arc<Outbox>, inbox: SyncSender<Incoming>) -> Result<JoinHandle<()>, Failed> {
    start("stdout", move || {
        while let Some(said) = outbox.next() {
            let written = match said {
                Said::Answer(line) => out.json(&line),
                Said::Event(event) if out.is_json() => out.document(&event),
                Said::Event(event) => words::of(&event).map_or(Ok(()), |line| out.text(&line)),
            };
            if written.is_err() {
                outbox.written();
                _ = inbox.send(Incoming::NobodyListens);
                return;
            }
        }
        outbox.written();
    })
}

fn take_events(
    events: Events,
    outbox: Arc<Outbox>,
    inbox: SyncSender<Incoming>,
) -> Result<JoinHandle<()>, Failed> {
    start("events", move || {
        let mut why = None;
        while !events.have_ended() {
            if let Some(event) = events.next(LOOK_AGAIN) {
                if let Event::SyncFailed { code: code @ "newer_schema", message, hint } = &event {
                    why = Some(Failed::of_event(code, message.clone(), *hint));
                }
                outbox.push(Said::Event(event));
            }
        }
        // When it was stopped, nobody is there to be told.
        _ = inbox.send(Incoming::Died(why));
    })
}

/// An input that cannot be read is as good as one that has ended.
fn read_in(inbox: SyncSender<Incoming>) -> Result<JoinHandle<()>, Failed> {
    start("stdin", move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(request)) = request::next(&mut input) {
            if inbox.send(Incoming::Request(request)).is_err() {
                return;
            }
        }
        _ = inbox.send(Incoming::EndOfInput);
    })
}

// ---- the one that answers ----------------------------------------------------------------------------------------

/// Why it comes to an end.
enum Ended {
    Asked { id: Option<Id>, within: Duration },
    EndOfInput,
    NobodyListens,
    Died(Failed),
}

/// What commands are answered with.
struct Desk {
    syncer: Syncer,
    store: Store,
    outbox: Arc<Outbox>,
    waits: Waits,
}

impl Desk {
    fn work(&mut self, incoming: &Receiver<Incoming>) -> Ended {
        loop {
            let next = match self.waits.is_empty() {
                true => incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => incoming.recv_timeout(waits::LOOK_AGAIN),
            };
            match next {
                Ok(Incoming::Request(Request { id, command: Ok(Command::Stop { within }) })) => {
                    return Ended::Asked { id, within };
                }
                Ok(Incoming::Request(request)) => self.answer(request),
                Ok(Incoming::EndOfInput) => return Ended::EndOfInput,
                Ok(Incoming::NobodyListens) => return Ended::NobodyListens,
                Ok(Incoming::Died(why)) => return Ended::Died(why.unwrap_or_else(died)),
                Err(RecvTimeoutError::Disconnected) => return Ended::Died(died()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.tell_fates();
        }
    }

    fn answer(&mut self, Request { id, command }: Request) {
        let answered = command.and_then(|command| self.carry_out(command, id.as_ref()));
        match answered {
            Ok(None) => {}
            Ok(Some(line)) => self.outbox.push(Said::Answer(line)),
            Err(failed) => self.refuse(&failed, id.as_ref()),
        }
    }

    /// None: the answer comes later.
    fn carry_out(&mut self, command: Command, id: Option<&Id>) -> Result<Option<String>, Failed> {
        let name = match command {
            Command::Wait { receipt, timeout } => {
                // What is wrong with it is told at once, and is no matter of the others that wait.
                self.store.fate(&receipt)?;
                let wait = Wait { id: id.cloned(), receipt, deadline: Instant::now() + timeout };
                return if self.waits.add(wait) { Ok(None) } else { Err(too_many_waits()) };
            }
            Command::Status => {
                let status = WholeStatus { status: self.store.status()?, worker: self.state() };
                return line("status", id, status).map(Some);
            }
            Command::Find { text, limit } => {
                return line("find", id, found(&mut self.store, &text, limit)?).map(Some);
            }
            Command::SyncNow => {
                self.syncer.sync_now();
                "sync_now"
            }
            Command::Pause => {
                self.syncer.pause();
                "pause"
            }
            Command::Resume => {
                self.syncer.resume();
                "resume"
            }
            Command::Stop { .. } => "stop",
        };
        line(name, id, self.state()).map(Some)
    }

    fn state(&self) -> WorkerState {
        WorkerState { running: true, at_work: self.syncer.is_at_work(), paused: self.syncer.is_paused() }
    }

    fn tell_fates(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        match self.waits.met(&self.store) {
            Ok(met) => met.into_iter().for_each(|(wait, fate)| self.tell_fate(&wait, &fate)),
            Err(error) => {
                let failed = Failed::from(error);
                self.waits.give_up().iter().for_each(|wait| self.refuse(&failed, wait.id.as_ref()));
            }
        }
    }

    fn tell_fate(&self, wait: &Wait, fate: &Fate) {
        match line("wait", wait.id.as_ref(), fate) {
            Ok(line) => self.outbox.push(Said::Answer(line)),
            Err(failed) => self.refuse(&failed, wait.id.as_ref()),
        }
    }

    fn refuse(&self, failed: &Failed, id: Option<&Id>) {
        let mut document = failed.document();
        if let Some(id) = id {
            document["id"] = json!(id);
        }
        self.outbox.push(Said::Answer(document.to_string()));
    }

    /// Ends the worker, and says how, after all that it had to tell.
    fn close(mut self, ended: Ended, told: JoinHandle<()>) -> Done {
        self.waits.give_up().iter().for_each(|wait| self.refuse(&stopped(), wait.id.as_ref()));
        let (within, exit) = match &ended {
            Ended::Asked { within, .. } => (*within, Exit::Done),
            Ended::EndOfInput | Ended::NobodyListens => (STOP_WITHIN, Exit::Done),
            Ended::Died(why) => (Duration::ZERO, why.exit()),
        };
        let came_to_its_end = self.syncer.stop(within);
        _ = told.join();
        let stopped = Stopped { running: false, came_to_its_end };
        match ended {
            Ended::Asked { id, .. } => self.outbox.push(Said::Answer(line("stop", id.as_ref(), stopped)?)),
            Ended::EndOfInput => self.outbox.push(Said::Answer(line("end_of_input", None, stopped)?)),
            Ended::Died(why) => self.outbox.push(Said::Answer(why.document().to_string())),
            Ended::NobodyListens => {}
        }
        self.outbox.close();
        self.outbox.wait_until_written(FAREWELL);
        Ok(exit)
    }
}

fn found(store: &mut Store, text: &str, limit: usize) -> Result<FoundCustomers, Failed> {
    let Found { customers, more } = store.find(text, limit)?;
    let customers = customers.iter().map(|row| render::raw(row.to_json())).collect::<Result<_, _>>()?;
    Ok(FoundCustomers { customers, more })
}

fn line(answer: &'static str, id: Option<&Id>, document: impl Serialize) -> Result<String, Failed> {
    Ok(serde_json::to_string(&Answer { answer, id, document })?)
}

fn too_many_waits() -> Failed {
    Failed::usage(format!("{} receipts are waited for already", waits::MOST))
        .hint("wait for some of them to be answered")
}

fn stopped() -> Failed {
    Failed::coded("stopped", "the worker was stopped before this was known")
        .hint("every edit is kept; ask again with the same receipt")
}

fn died() -> Failed {
    Failed::unexpected("the worker has a defect and has ended").hint("every edit is kept; start it again")
}
