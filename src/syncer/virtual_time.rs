//! The worker itself on a clock of the test's own: a store that is away for as long as a seed says, an edit that nobody
//! follows up, and a till that is started anew meanwhile. Nothing sleeps; an hour takes a moment.
//!
//! What is held against it is what `docs/embedding.md` states: once the store is back, an edit arrives within
//! `retry_cap` and a sync, and a restart neither hurries nor forgets the next try. `TILLSYNC_SEEDS` and `TILLSYNC_SEED`
//! make it longer and replay one.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use tempfile::TempDir;

use super::*;
use crate::api::Request;
use crate::engine::{Extent, SyncOptions};
use crate::flow::{Answer, Ticket, Trouble};
use crate::sandbox::{RawRequest, SandboxOptions, StoreCore};

const SEEDS: u64 = 150;
/// There and back.
const LATENCY_MS: u64 = 40;
/// A request that nobody answers is given up.
const TIMEOUT_MS: u64 = 30_000;
/// A sync of one customer: a page, an update, and a pull of what changed.
const A_SYNC_MS: u64 = 10 * LATENCY_MS;

/// How the store is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Refused,
    Unavailable,
    Silent,
    /// It answers with nothing but a bare `429`.
    Limited,
    /// The same, to updates alone.
    UpdatesLimited,
}

struct World {
    now_ms: u64,
    core: StoreCore,
    away: Away,
    /// Away from the beginning of the outage until then.
    back_ms: u64,
    answers: VecDeque<(u64, Ticket, Result<Answer, Trouble>)>,
    /// When an update was applied.
    arrived_ms: Vec<u64>,
    tries_ms: Vec<u64>,
    /// The till's wall clock less the true time, and since when.
    skew: TimeDelta,
    set_ms: u64,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

/// The clocks of a process: one begins with it, the other was there before.
struct Clocks {
    world: Shared,
    born_ms: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn pass(&self, time: Duration) {
        self.lock().now_ms += time.as_millis() as u64;
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a line that is down at times")
    }
}

impl Clock for Clocks {
    fn now_ms(&self) -> u64 {
        self.world.lock().now_ms - self.born_ms
    }

    fn utc(&self) -> DateTime<Utc> {
        let world = self.world.lock();
        world.utc() + world.skew
    }
}

impl World {
    fn utc(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_225_600_000 + self.now_ms as i64).unwrap()
    }

    fn answer(&mut self, request: &Request) -> (u64, Result<Answer, Trouble>) {
        let is_update = request.method() == "PUT";
        if self.now_ms < self.back_ms && (is_update || self.away != Away::UpdatesLimited) {
            self.tries_ms.push(self.now_ms);
            return match self.away {
                Away::Refused => (3, Err(Trouble::Offline("connection refused".to_owned()))),
                Away::Unavailable => (LATENCY_MS, Ok(Answer { status: 503, ..Answer::default() })),
                Away::Limited | Away::UpdatesLimited => {
                    (LATENCY_MS, Ok(Answer { status: 429, ..Answer::default() }))
                }
                Away::Silent => (TIMEOUT_MS, Err(Trouble::Broken("timed out".to_owned()))),
            };
        }
        let path = self.core.customers_path();
        let raw = match request.method() {
            "PUT" => RawRequest::put(path, request.body()).with_header("Content-Type", "application/json"),
            _ => RawRequest::get(path, request.query()),
        };
        let token = self.core.token().to_owned();
        let raw = raw.with_header("X-Auth-Token", &token).with_header("User-Agent", "tillsync/virtual");
        let response = self.core.handle(self.utc(), &raw);
        if is_update && response.status == 200 {
            self.arrived_ms.push(self.now_ms);
        }
        let (date, status) = (Some(self.utc()), response.status);
        (LATENCY_MS, Ok(Answer { status, date, body: response.body, ..Answer::default() }))
    }
}

impl Remote for Shared {
    fn start(&mut self, ticket: Ticket, request: Request) {
        let mut world = self.lock();
        let (takes_ms, answer) = world.answer(&request);
        let at_ms = world.now_ms + takes_ms;
        world.answers.push_back((at_ms, ticket, answer));
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let mut world = self.lock();
        let until_ms = wait.map(|wait| world.now_ms + wait.as_millis() as u64);
        let is_in_time = |at_ms: u64| until_ms.is_none_or(|until_ms| at_ms <= until_ms);
        match world.answers.front() {
            Some((at_ms, ..)) if is_in_time(*at_ms) => {
                let (at_ms, ticket, answer) = world.answers.pop_front()?;
                world.now_ms = world.now_ms.max(at_ms);
                Some((ticket, answer))
            }
            _ => {
                world.now_ms = world.now_ms.max(until_ms?);
                None
            }
        }
    }
}

/// A process that works on the file.
fn worker(world: &Shared, path: &Path, seed: u64) -> Worker<Shared> {
    world.lock().answers.clear();
    let engine = engine(world, path, seed);
    let (queue, is_at_work) = (Arc::new(Queue::new(64)), Arc::new(AtomicBool::new(false)));
    Worker::new(engine, SyncerOptions::default(), queue, is_at_work).unwrap()
}

fn engine(world: &Shared, path: &Path, seed: u64) -> SyncEngine<Shared> {
    let clocks = Clocks { world: world.clone(), born_ms: world.lock().now_ms };
    let (store, chance) = (Store::open(path).unwrap(), fastrand::Rng::with_seed(seed));
    SyncEngine::with_clock(store, world.clone(), SyncOptions::default(), Arc::new(clocks), chance)
}

/// In memory where the system has such a place: the file is real, its disk need not be.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

/// From a second to an hour, short ones as often as long ones.
fn length_ms(random: &mut fastrand::Rng) -> u64 {
    (1_000.0 * 3_600.0_f64.powf(random.f64())) as u64
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn what_could_not_be_sent_arrives_in_time_however_long_the_store_was_away_and_whoever_restarted() {
    let seeds = match number("TILLSYNC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TILLSYNC_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| outage(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

/// A bare `429` for ever uses up no try, and ends all the same: some half a minute each, thirty in a row.
#[test]
fn a_bare_429_for_ever_ends_within_a_quarter_of_an_hour_and_says_what_it_is() {
    for (away, seed) in
        [Away::Limited, Away::UpdatesLimited].into_iter().flat_map(|away| [(away, 1), (away, 2)])
    {
        let folder = folder();
        let path = folder.path().join("till.db");
        let core =
            StoreCore::new(&SandboxOptions { customers: 40, quota: 1_000_000, ..SandboxOptions::default() });
        let world = world(core, away);
        let mut engine = engine(&world, &path, seed);
        engine.pull(Extent::Changes).unwrap();
        let mut store = Store::open(&path).unwrap();
        let ids: Vec<i64> = {
            let mut statement = store.connection().prepare("SELECT id FROM customer").unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(std::result::Result::unwrap).collect()
        };
        for id in ids {
            store.edit(id).set("phone", "kept").adjust_credit(1.into()).commit().unwrap();
        }
        world.lock().back_ms = u64::MAX;
        let began_ms = world.lock().now_ms;
        let error = engine.sync().unwrap_err();
        assert!(error.code() == "unavailable" && error.to_string().contains("429"), "{error}");
        let (took_ms, tries) = {
            let world = world.lock();
            (world.now_ms - began_ms, world.tries_ms.len())
        };
        assert!((120_000..=15 * 60_000).contains(&took_ms), "{away:?}: {took_ms} ms");
        assert!(tries <= 120, "{away:?}: {tries}");
        let status = store.status().unwrap();
        assert_eq!((status.unsent, status.rejected, status.conflicts), (80, 0, 0), "every edit is kept");
        // The updates had not been applied, and the first calm sync sends them, once.
        world.lock().back_ms = 0;
        world.pass(Duration::from_secs(60));
        assert_eq!(engine.sync().unwrap().uploaded_customers, 40);
        assert_eq!(store.status().unwrap().unsent, 0);
    }
}

fn world(core: StoreCore, away: Away) -> Shared {
    Shared(Arc::new(Mutex::new(World {
        now_ms: 0,
        core,
        away,
        back_ms: 0,
        answers: VecDeque::new(),
        arrived_ms: Vec::new(),
        tries_ms: Vec::new(),
        skew: TimeDelta::zero(),
        set_ms: 0,
    })))
}

fn outage(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    // The worker draws the chance in its waits from the thread.
    fastrand::seed(random.u64(..));
    let (folder, options) = (folder(), SyncerOptions::default());
    let path = folder.path().join("till.db");
    let core =
        StoreCore::new(&SandboxOptions { customers: 3, quota: 1_000_000, ..SandboxOptions::default() });
    let away = [Away::Refused, Away::Unavailable, Away::Silent][random.usize(..3)];
    let world = world(core, away);
    engine(&world, &path, seed).pull(Extent::Changes).unwrap();

    let back_ms = world.lock().now_ms + length_ms(&mut random);
    world.lock().back_ms = back_ms;
    let receipt = Store::open(&path).unwrap().edit(1).set("phone", "kept").commit().unwrap();
    let mut now = worker(&world, &path, seed);
    let mut restart_ms = (random.u8(..3) > 0).then(|| random.u64(..back_ms + 60_000));
    let at_most_ms = back_ms + 4_000_000;
    while world.lock().arrived_ms.is_empty() {
        now.look().unwrap();
        let now_ms = world.lock().now_ms;
        assert!(now_ms < at_most_ms, "it never arrived");
        if restart_ms.is_some_and(|restart_ms| now_ms >= restart_ms) {
            restart_ms = None;
            now = restarted(now, &world, &path, &mut random);
        }
        world.pass(options.look);
    }

    assert_eq!(
        Store::open(&path)
            .unwrap()
            .fate(&receipt)
            .map(|fate| matches!(fate, crate::Fate::Uploaded { .. }))
            .ok(),
        Some(true)
    );
    let world = world.lock();
    assert_eq!(world.arrived_ms.len(), 1, "once");
    assert!(!world.tries_ms.is_empty(), "the first try met the outage");
    assert!(world.core.customer_text(1).unwrap().contains(r#""phone":"kept""#));
    // A process that finds the clock set begins the wait anew: nobody knows how much of it has passed.
    let took_ms = world.arrived_ms[0].saturating_sub(back_ms.max(world.set_ms));
    let given_up_ms = if away == Away::Silent { TIMEOUT_MS } else { 0 };
    let stated_ms = (options.retry_cap + options.look).as_millis() as u64 + A_SYNC_MS + given_up_ms;
    assert!(
        took_ms <= stated_ms,
        "{away:?}: {took_ms} ms after the store was back, {stated_ms} ms are stated"
    );
}

/// Another process takes the file up. Where the clock was not set meanwhile, it keeps the deadline of the next try;
/// where it was, it never waits longer than any failure would.
fn restarted(old: Worker<Shared>, world: &Shared, path: &Path, random: &mut fastrand::Rng) -> Worker<Shared> {
    let failed = {
        let world = world.lock();
        !world.tries_ms.is_empty() && world.arrived_ms.is_empty()
    };
    let left_ms = old.schedule.due_ms().saturating_sub(old.clock.now_ms());
    drop(old);
    let is_set = random.u8(..4) == 0;
    if is_set {
        let mut world = world.lock();
        (world.skew, world.set_ms) = (TimeDelta::hours(random.i64(-100_000..100_000)), world.now_ms);
    }
    let mut new = worker(world, path, random.u64(..));
    assert!(new.has_the_file().unwrap(), "the lock died with its process");
    let due_ms = new.schedule.due_ms();
    match (failed, is_set) {
        (true, false) => assert!(due_ms.abs_diff(left_ms) <= 1, "{due_ms} ms are left, and were {left_ms}"),
        (true, true) => assert!(u128::from(due_ms) <= SyncerOptions::default().retry_cap.as_millis()),
        (false, _) => assert_eq!(due_ms, 0, "nothing failed: it looks at the store at once"),
    }
    new
}
