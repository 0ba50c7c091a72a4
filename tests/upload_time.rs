//! How long an upload takes where every call takes 50 ms, or the quota is small: in virtual time, so what is counted is the calls, and
//! that they go beside each other; what the machine itself needs is for `cargo bench`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tillsync::sandbox::{RawRequest, SandboxOptions, StoreCore};
use tillsync::{
    Answer, Clock, Extent, RateHeaders, Remote, Request, Store, SyncEngine, SyncOptions, SyncReport, Ticket,
    Trouble,
};

const CALL_MS: u64 = 50;
const CUSTOMERS: usize = 2_000;

/// A store behind a line on which each call takes as long, on a clock that moves only when the engine waits.
#[derive(Clone)]
struct Line(Arc<Mutex<World>>);

struct World {
    core: StoreCore,
    now_ms: u64,
    answers: VecDeque<(u64, Ticket, Answer)>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a line of 50 ms")
    }
}

impl World {
    fn utc(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_225_600_000 + self.now_ms as i64).unwrap()
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let path = self.core.customers_path();
        let raw = match request.method() {
            "PUT" => RawRequest::put(path, request.body()).with_header("Content-Type", "application/json"),
            _ => RawRequest::get(path, request.query()),
        };
        let token = self.core.token().to_owned();
        let raw = raw.with_header("X-Auth-Token", &token).with_header("User-Agent", "tillsync/virtual");
        let response = self.core.handle(self.utc(), &raw);
        let number = |name: &str| response.header(name).and_then(|value| value.parse::<u64>().ok());
        let rate = RateHeaders {
            window_ms: number("X-Rate-Limit-Time-Window-Ms"),
            reset_ms: number("X-Rate-Limit-Time-Reset-Ms"),
            quota: number("X-Rate-Limit-Requests-Quota"),
            left: number("X-Rate-Limit-Requests-Left"),
            retry_after_ms: number("X-Retry-After").map(|seconds| seconds * 1_000),
        };
        let date = Some(self.utc());
        Answer { status: response.status, date, rate, body: response.body, ..Answer::default() }
    }
}

impl Clock for Line {
    fn now_ms(&self) -> u64 {
        self.0.lock().unwrap().now_ms
    }

    fn utc(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().utc()
    }
}

impl Remote for Line {
    fn start(&mut self, ticket: Ticket, request: Request) {
        let mut world = self.0.lock().unwrap();
        let (at_ms, answer) = (world.now_ms + CALL_MS, world.answer(&request));
        world.answers.push_back((at_ms, ticket, answer));
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let mut world = self.0.lock().unwrap();
        let until_ms = wait.map(|wait| world.now_ms + wait.as_millis() as u64);
        match world.answers.front() {
            Some((at_ms, ..)) if until_ms.is_none_or(|until_ms| *at_ms <= until_ms) => {
                let (at_ms, ticket, answer) = world.answers.pop_front()?;
                world.now_ms = world.now_ms.max(at_ms);
                Some((ticket, Ok(answer)))
            }
            _ => {
                world.now_ms = world.now_ms.max(until_ms?);
                None
            }
        }
    }
}

/// An upload of everybody, by a process that has read nobody.
fn upload(
    options: &SandboxOptions,
    edit: impl Fn(&mut Store, i64),
    work: impl FnOnce(&mut SyncEngine<Line>) -> tillsync::Result<SyncReport>,
) -> SyncReport {
    let core = StoreCore::new(options);
    let ids = core.ids();
    let line = Line(Arc::new(Mutex::new(World { core, now_ms: 0, answers: VecDeque::new() })));
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("till.db");
    let engine = |line: &Line| {
        let (store, clock) = (Store::open(&path).unwrap(), Arc::new(line.clone()));
        SyncEngine::with_clock(
            store,
            line.clone(),
            SyncOptions::default(),
            clock,
            fastrand::Rng::with_seed(7),
        )
    };
    engine(&line).pull(Extent::Full).unwrap();
    let mut store = Store::open(&path).unwrap();
    ids.iter().for_each(|id| edit(&mut store, i64::from(*id)));
    line.0.lock().unwrap().now_ms += 3_600_000;
    let report = work(&mut engine(&line)).unwrap();
    assert_eq!(report.uploaded_customers, options.customers as u64);
    report
}

/// The same where no quota is in the way.
fn push(edit: impl Fn(&mut Store, i64)) -> SyncReport {
    let options =
        SandboxOptions { customers: CUSTOMERS, seed: 7, quota: 1_000_000, ..SandboxOptions::default() };
    upload(&options, edit, SyncEngine::push)
}

fn phone(store: &mut Store, id: i64) {
    store.edit(id).set("phone", "555-0199").commit().unwrap();
}

/// The time of two hundred updates, three at once.
fn of_the_calls() -> u64 {
    (CUSTOMERS as u64 / 10).div_ceil(3) * CALL_MS
}

#[track_caller]
fn check(kind: &str, report: &SyncReport, looks: u64) {
    let elapsed_ms = report.elapsed_ms;
    let ratio = elapsed_ms as f64 / of_the_calls() as f64;
    println!("{kind}: {elapsed_ms} ms, {ratio:.3} of the calls' time, {} looks", report.looks);
    assert_eq!((report.requests.put, report.requests.get, report.looks), (200, looks, looks));
    assert!(ratio <= 1.05, "{kind}: {elapsed_ms} ms are {ratio:.3} of the time of the calls");
}

#[test]
fn two_thousand_customers_with_old_bases_take_the_time_of_their_updates_and_one_look() {
    check("texts", &push(phone), 20);
}

#[test]
fn two_thousand_payments_take_as_long() {
    let pay = |store: &mut Store, id| {
        _ = store.edit(id).adjust_credit(1.into()).author("ana").commit().unwrap();
    };
    check("payments", &push(pay), 20);
}

#[test]
fn the_quota_is_used_to_the_full_and_hardly_ever_overrun() {
    let options = SandboxOptions { customers: 900, quota: 30, window_ms: 2_000, ..SandboxOptions::default() };
    let report = upload(&options, phone, SyncEngine::sync);
    // 91 calls at 30 a window: the fourth window must have begun, so three windows and a little is the least.
    assert_eq!(report.requests.put, 90);
    assert!(report.rate_limited <= 2, "{} times 429", report.rate_limited);
    assert!((6_000..6_900).contains(&report.elapsed_ms), "{} ms", report.elapsed_ms);
}

// ---- a store that lets nothing through ----------------------------------------------------------------------------

/// A store that answers everything with one refusal.
#[derive(Clone, Debug)]
struct Shut(Line, RateHeaders);

impl Remote for Shut {
    fn start(&mut self, ticket: Ticket, _: Request) {
        let mut world = self.0.0.lock().unwrap();
        let (at_ms, date) = (world.now_ms + CALL_MS, Some(world.utc()));
        let answer = Answer { status: 429, date, rate: self.1, body: b"{}".to_vec(), ..Answer::default() };
        world.answers.push_back((at_ms, ticket, answer));
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        self.0.next(wait)
    }
}

/// How long a sync with an edit lasts there, and how often it asks.
fn shut(rate: RateHeaders) -> (u64, String) {
    let options = SandboxOptions { customers: 3, seed: 7, ..SandboxOptions::default() };
    let core = StoreCore::new(&options);
    let line = Line(Arc::new(Mutex::new(World { core, now_ms: 0, answers: VecDeque::new() })));
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("till.db");
    let (clock, chance) = (Arc::new(line.clone()), || fastrand::Rng::with_seed(7));
    let open = || Store::open(&path).unwrap();
    let mut open_store =
        SyncEngine::with_clock(open(), line.clone(), SyncOptions::default(), clock.clone(), chance());
    open_store.pull(Extent::Full).unwrap();
    let id = line.0.lock().unwrap().core.ids()[0];
    phone(&mut open(), i64::from(id));
    let began_ms = line.now_ms();
    let remote = Shut(line.clone(), rate);
    let mut engine = SyncEngine::with_clock(open(), remote, SyncOptions::default(), clock, chance());
    let error = engine.sync().unwrap_err();
    (line.now_ms() - began_ms, format!("{}: {error}", error.code()))
}

#[test]
fn a_store_that_refuses_everything_and_tells_no_time_ends_a_sync_within_two_minutes_and_a_wait() {
    let nothing = RateHeaders::default();
    let told = |left, reset_ms| RateHeaders { left: Some(left), reset_ms, quota: Some(150), ..nothing };
    for rate in [nothing, told(5, None), told(5, Some(30_000)), told(0, None), told(0, Some(0))] {
        let (elapsed_ms, error) = shut(rate);
        println!("{rate:?}: {elapsed_ms} ms, {error}");
        assert!((120_000..151_000).contains(&elapsed_ms), "{rate:?}: {elapsed_ms} ms");
        assert!(error.starts_with("unavailable: ") && error.contains("429"), "{error}");
    }
}
