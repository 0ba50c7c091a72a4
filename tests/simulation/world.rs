//! The world outside the engine: a network, a store and two clocks, all in one queue of events.
//!
//! Time moves only when the engine waits. What is on its way arrives, is applied and is answered in the order of the
//! queue, so a seed decides which answer comes first. Every call that the engine makes of the world is a place where
//! the process may die: a write to the file lies between any two of them.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use tillsync::sandbox::{Fault, Handled, RawRequest, RawResponse, StoreCore};
use tillsync::{Answer, Clock, RateHeaders, Remote, Request, Store, Ticket, Trouble};

use crate::model::Model;

/// What a process dies of here.
#[derive(Debug)]
pub struct Crash;

/// A request that takes longer is given up by the client.
const TIMEOUT_MS: u64 = 30_000;
/// A broken connection leaves a request that may still be applied: within this time, and only if it holds an
/// adjustment, whose grace is longer. What is later than that is the one window that no client can close.
const APPLY_WITHIN_MS: u64 = 4_000;

/// How bad things are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub is_down: bool,
    /// Chance of a fault a request.
    pub faults: f64,
    /// The process dies at the nth call of the world from now.
    pub dies_at: Option<u64>,
    /// Chance that the app edits at a call of the world.
    pub edits: f64,
}

/// A till's file and its clock.
#[derive(Default)]
pub struct Till {
    pub path: PathBuf,
    /// The app's own way into the file, open all its life.
    pub app: Option<Store>,
    /// The same for what is checked.
    looks: Option<Connection>,
    /// Its clock less the true time.
    pub skew: TimeDelta,
    /// Edits that were acknowledged: journal rows that must be there.
    pub acknowledged: u64,
}

impl Till {
    /// The file, to look into.
    pub fn looks(&mut self) -> &Connection {
        self.looks.get_or_insert_with(|| Connection::open(&self.path).unwrap())
    }
}

enum Event {
    Arrive(Ticket, RawRequest),
    ApplyLate(RawRequest),
    Deliver(Ticket, Result<Answer, Trouble>),
}

pub struct World {
    pub core: StoreCore,
    pub random: fastrand::Rng,
    pub weather: Weather,
    pub model: Model,
    pub trace: Vec<String>,
    pub problems: Vec<String>,
    /// The tills of the store; the first one has attributes that nobody else edits.
    pub tills: Vec<Till>,
    /// The till that is at work.
    pub active: usize,
    pub calls: u64,
    now_ms: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    on_its_way: BTreeSet<(Ticket, bool)>,
}

/// The handle that the engine, its clock and the run share.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated world")
    }
}

/// A process that dies here does not print a backtrace.
pub fn quiet_crashes() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !is_crash(info.payload()) {
            usual(info);
        }
    }));
}

pub fn is_crash(payload: &dyn Any) -> bool {
    payload.downcast_ref::<Crash>().is_some()
}

impl World {
    pub fn new(core: StoreCore, random: fastrand::Rng, paths: impl IntoIterator<Item = PathBuf>) -> World {
        let tills = paths.into_iter().map(|path| Till { path, ..Till::default() }).collect();
        World {
            core,
            random,
            weather: Weather::default(),
            model: Model::default(),
            trace: Vec::new(),
            problems: Vec::new(),
            tills,
            active: 0,
            calls: 0,
            now_ms: 0,
            events: BTreeMap::new(),
            next_event: 0,
            on_its_way: BTreeSet::new(),
        }
    }

    pub fn share(self) -> Shared {
        Shared(Arc::new(Mutex::new(self)))
    }

    /// The till that is at work.
    pub fn till(&mut self) -> &mut Till {
        &mut self.tills[self.active]
    }

    /// The true time.
    pub fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        start + TimeDelta::milliseconds(self.now_ms as i64)
    }

    pub fn note(&mut self, line: impl Into<String>) {
        let line = format!("{:>9} [{}] {}", self.now_ms, self.active, line.into());
        self.trace.push(line);
    }

    /// Lets all that is on its way arrive: what a dead process sent is with the store before anybody comes back.
    pub fn settle(&mut self) {
        while let Some(((at_ms, _), event)) = self.events.pop_first() {
            self.now_ms = self.now_ms.max(at_ms);
            self.happen(event);
        }
        self.on_its_way.clear();
    }

    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    fn later(&mut self, in_ms: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now_ms + in_ms, self.next_event), event);
    }

    fn start(&mut self, ticket: Ticket, request: &Request) {
        let is_put = request.method() == "PUT";
        self.on_its_way.insert((ticket, is_put));
        if self.on_its_way.iter().filter(|(_, is_put)| *is_put).count() > 3 {
            self.problems.push("more than three updates at once".to_owned());
        }
        self.note(format!("-> {} {} {}", ticket.0 & 0xffff_ffff, request.query(), request.body()));
        if self.weather.is_down {
            let trouble = Trouble::Offline("connection refused".to_owned());
            return self.later(3, Event::Deliver(ticket, Err(trouble)));
        }
        let path = self.core.customers_path();
        let raw = match is_put {
            true => RawRequest::put(path, request.body()).with_header("Content-Type", "application/json"),
            false => RawRequest::get(path, request.query()),
        };
        let token = self.core.token().to_owned();
        let raw = raw.with_header("X-Auth-Token", &token).with_header("User-Agent", "tillsync/simulated");
        let raw = raw.with_header("Accept", "application/json");
        let transit_ms = self.random.u64(1..150);
        self.later(transit_ms, Event::Arrive(ticket, raw));
        self.later(TIMEOUT_MS, Event::Deliver(ticket, Err(Trouble::Broken("timed out".to_owned()))));
    }

    /// The engine's next answer, or the end of its patience.
    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let until_ms = wait.map(|wait| self.now_ms + wait.as_millis() as u64);
        if until_ms.is_none() && self.on_its_way.is_empty() {
            return None;
        }
        loop {
            let due = self.events.first_key_value().map(|((at_ms, _), _)| *at_ms);
            match due {
                Some(at_ms) if until_ms.is_none_or(|until_ms| at_ms <= until_ms) => {}
                _ => {
                    self.now_ms = self.now_ms.max(until_ms?);
                    return None;
                }
            }
            let ((at_ms, _), event) = self.events.pop_first()?;
            self.now_ms = self.now_ms.max(at_ms);
            if let Some(delivered) = self.happen(event) {
                return Some(delivered);
            }
        }
    }

    fn happen(&mut self, event: Event) -> Option<(Ticket, Result<Answer, Trouble>)> {
        match event {
            Event::Arrive(ticket, raw) => {
                self.arrive(ticket, &raw);
                None
            }
            Event::ApplyLate(raw) => {
                self.note("   a dropped request is applied after all");
                let now = self.now();
                self.core.apply_late(now, &raw);
                None
            }
            Event::Deliver(ticket, answer) => {
                let is_awaited =
                    self.on_its_way.remove(&(ticket, true)) || self.on_its_way.remove(&(ticket, false));
                if !is_awaited {
                    return None;
                }
                let said = match &answer {
                    Ok(answer) => format!("{} {}", answer.status, excerpt(&answer.body)),
                    Err(trouble) => format!("{trouble:?}"),
                };
                self.note(format!("<- {} {said}", ticket.0 & 0xffff_ffff));
                Some((ticket, answer))
            }
        }
    }

    fn arrive(&mut self, ticket: Ticket, raw: &RawRequest) {
        if raw.method == "PUT" {
            crate::check::put(self, raw);
        }
        let fault = self.fault(raw);
        if let Some(fault) = fault {
            self.note(format!("   fault {fault}"));
        }
        let now = self.now();
        let Handled { response, delay_ms, cut_after_bytes, apply_after_ms, .. } =
            self.core.handle_with(now, raw, fault);
        if let Some(ms) = apply_after_ms {
            self.later(ms, Event::ApplyLate(raw.clone()));
        }
        let back_ms = self.random.u64(1..150) + delay_ms;
        let answer = match (response, cut_after_bytes) {
            (None, _) => Err(Trouble::Broken("connection reset".to_owned())),
            (Some(_), Some(_)) if self.random.bool() => Err(Trouble::Broken("closed early".to_owned())),
            (Some(response), cut) => Ok(answer(&response, cut)),
        };
        self.later(back_ms, Event::Deliver(ticket, answer));
    }

    fn fault(&mut self, raw: &RawRequest) -> Option<Fault> {
        if self.random.f64() >= self.weather.faults {
            return None;
        }
        let statuses = [401, 403, 404, 409, 413, 423, 429, 499, 500, 502, 503, 504, 507];
        let mut faults = vec![
            Fault::LostRequest,
            Fault::Reset,
            Fault::LostAnswer,
            Fault::DelayedAnswer { ms: self.random.u64(0..40_000) },
            Fault::Truncated,
            Fault::Html,
            Fault::HtmlUnavailable,
            Fault::EmptyBody,
            Fault::Status(statuses[self.random.usize(..statuses.len())]),
        ];
        if raw.method == "PUT" {
            let applied = [500, 502, 503, 504];
            faults.extend([
                Fault::MissingIds,
                Fault::SkippedIds,
                Fault::MultiStatus,
                Fault::AppliedThenStatus(applied[self.random.usize(..applied.len())]),
            ]);
            if String::from_utf8_lossy(&raw.body).contains("store_credit_amounts") {
                faults.push(Fault::DelayedApply { ms: self.random.u64(0..APPLY_WITHIN_MS) });
            }
        }
        Some(faults[self.random.usize(..faults.len())])
    }
}

fn answer(response: &RawResponse, cut: Option<usize>) -> Answer {
    let number = |name: &str| response.header(name).and_then(|text| text.parse::<u64>().ok());
    let body = &response.body[..cut.unwrap_or(response.body.len()).min(response.body.len())];
    Answer {
        status: response.status,
        rate: RateHeaders {
            reset_ms: number("X-Rate-Limit-Time-Reset-Ms"),
            quota: number("X-Rate-Limit-Requests-Quota"),
            left: number("X-Rate-Limit-Requests-Left"),
            retry_after_ms: number("X-Retry-After").map(|seconds| seconds * 1_000),
        },
        date: response
            .header("Date")
            .and_then(|date| Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc())),
        body: body.to_vec(),
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.len() > 300 {
        format!("{}…", text.chars().take(300).collect::<String>())
    } else {
        text.into_owned()
    }
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// What happened, also when something panicked with the world in its hands.
    pub fn into_trace(self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).trace)
    }

    /// A call of the world: the process may die here, and the app may edit.
    fn call(&self) {
        let (dies, edits) = {
            let mut world = self.lock();
            world.calls += 1;
            let dies = world.weather.dies_at.is_some_and(|at| world.calls >= at);
            if dies {
                world.note("!! the process dies");
            }
            let chance = world.weather.edits;
            (dies, world.random.f64() < chance)
        };
        if dies {
            std::panic::panic_any(Crash);
        }
        if edits {
            crate::run::edit(self);
        }
    }
}

impl Remote for Shared {
    fn start(&mut self, ticket: Ticket, request: Request) {
        self.call();
        self.lock().start(ticket, &request);
        self.call();
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        self.call();
        let delivered = self.lock().next(wait);
        self.call();
        delivered
    }
}

impl Clock for Shared {
    fn now_ms(&self) -> u64 {
        self.lock().now_ms
    }

    fn utc(&self) -> DateTime<Utc> {
        self.call();
        let world = self.lock();
        world.now() + world.tills[world.active].skew
    }
}
