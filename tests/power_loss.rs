//! The power fails: what the till acknowledged is in the file that is left.
//!
//! A till runs as a process of its own, with a shim between it and the system that writes down, in one order, what is
//! done to the till's files (`power/shim.c`). From that log a disk is rebuilt as it may stand when the power fails at
//! any point: what was synced is there; the rest is there, missing or torn, write by write (`power/disk.rs`). The
//! library must open what is left, find it whole, and know every edit whose commit had returned by then. Where the
//! power fails at the end of a life, the store is as it was at that instant, so a sync must bring both sides together.
//!
//! ```text
//! TILLSYNC_LIVES=200 cargo test --test power_loss     a long hunt
//! TILLSYNC_SEED=4711 cargo test --test power_loss     other edits, other instants; or those of a run that failed
//! ```
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;
#[path = "power/disk.rs"]
mod disk;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::ledger::{Change, Intent, Ledger, is_whole, open_accounts};
use common::{SOON, Till, number, sandbox, sandbox_with, soon};
use disk::{Event, lose_power, read_log};
use tempfile::TempDir;
use tillsync::sandbox::{Fault, Faults, SandboxOptions};
use tillsync::{Extent, HttpOptions, HttpRemote, Keep, RetryOptions, Store, SyncEngine, SyncOptions};

/// Lives in a run of the test suite, and points in each at which the power fails.
const LIVES: u64 = 10;
const POINTS: usize = 20;
/// Of those, points at the very end of a life, with a sync.
const ENDS: usize = 3;

#[test]
fn what_was_acknowledged_is_there_when_the_power_is_back() {
    let lives = number("TILLSYNC_LIVES").unwrap_or(LIVES);
    let first = number("TILLSYNC_SEED").unwrap_or(1) * 1_000;
    let shim = Shim::build();
    let (mut acknowledged, mut points) = (0, 0);
    for seed in first..first + lives {
        let life = Life::live(&shim, seed);
        match life.end(seed) {
            Ok(()) => acknowledged += life.ledger_at(life.log.len()).acknowledged(),
            Err(problem) => {
                let seed = first / 1_000;
                panic!(
                    "{problem}\nreplay: TILLSYNC_SEED={seed} TILLSYNC_LIVES={lives} cargo test --test power_loss"
                )
            }
        }
        points += POINTS;
    }
    println!("{points} power failures; {acknowledged} edits had been acknowledged in {lives} lives");
    assert!(
        acknowledged as u64 > 10 * lives,
        "only {acknowledged} edits were acknowledged: that shows little"
    );
}

#[test]
fn an_edit_costs_one_sync_of_the_disk() {
    let shim = Shim::build();
    let till = Till::new(sandbox(20));
    till.engine().pull(Extent::Changes).unwrap();
    let log = shim.run(&till, "count", |child, _| assert!(child.wait().unwrap().success()));
    let marks: Vec<usize> = (0..log.len()).filter(|at| matches!(log[*at], Event::Mark(_))).collect();
    let syncs = marks.windows(2).map(|pair| {
        let between = &log[pair[0]..pair[1]];
        between.iter().filter(|event| matches!(event, Event::Sync(_))).count()
    });
    // The first edit also makes the write-ahead log.
    assert_eq!(syncs.collect::<Vec<_>>(), [1; EDITS_COUNTED - 1]);
}

// ---- a life ------------------------------------------------------------------------------------------------------

/// What a till did until it was killed, and the store at that instant.
struct Life {
    till: Till,
    log: Vec<Event>,
}

impl Life {
    fn live(shim: &Shim, seed: u64) -> Life {
        let mut random = fastrand::Rng::with_seed(seed);
        let till = Till::new(sandbox_with(SandboxOptions {
            customers: 60,
            quota: 1_000_000,
            latency_ms: random.u64(1..8),
            faults: Faults::none().with(Fault::LostAnswer, 0.05).with(Fault::MissingIds, 0.05),
            seed,
            ..SandboxOptions::default()
        }));
        open_accounts(&till);
        let log = shim.run(&till, &seed.to_string(), |child, mark| {
            // Some edits, however slow the machine is, and a while.
            soon(|| std::fs::read_to_string(mark).is_ok_and(|said| said.matches("done").count() > 10));
            std::thread::sleep(Duration::from_millis(random.u64(..900)));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        // What the till had sent when it died has arrived or never will.
        std::thread::sleep(Duration::from_millis(50));
        Life { till, log }
    }

    /// The power fails at many points of this life.
    fn end(&self, seed: u64) -> Result<(), String> {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..POINTS - ENDS {
            let point = self.point(&mut random);
            let left = self.left_at(point, &mut random);
            let at = |problem| format!("seed {seed}, point {point} of {}: {problem}", self.log.len());
            let store = Store::open(&left.path).map_err(|e| at(e.to_string()))?;
            is_whole(&store).map_err(at)?;
            self.ledger_at(point).check_journal(&store).map_err(at)?;
        }
        let core = self.till.sandbox.with_core(|core| core.clone());
        for nth in 0..ENDS {
            let left = self.left_at(self.log.len(), &mut random);
            self.till.sandbox.with_core(|now| *now = core.clone());
            self.sync(&left).map_err(|problem| format!("seed {seed}, end {nth}: {problem}"))?;
        }
        Ok(())
    }

    /// Half of the points lie where edits were acknowledged: a first pull writes a lot.
    fn point(&self, random: &mut fastrand::Rng) -> usize {
        let is_mark = |event: &Event| matches!(event, Event::Mark(_));
        let from = if random.bool() { self.log.iter().position(is_mark).unwrap_or(0) } else { 0 };
        random.usize(from..=self.log.len())
    }

    fn left_at(&self, point: usize, random: &mut fastrand::Rng) -> Till {
        let mut left = Till::new(self.till.sandbox.clone());
        left.options = self.till.options.clone();
        let folder = self.till.folder.path().canonicalize().unwrap();
        lose_power(&self.log[..point], &folder, left.folder.path(), random);
        left
    }

    /// What was asked for and acknowledged before a point.
    fn ledger_at(&self, point: usize) -> Ledger {
        let mut ledger = Ledger::default();
        for event in &self.log[..point] {
            match event {
                Event::Mark(text) if text.starts_with('{') => {
                    ledger.enter(serde_json::from_str(text).unwrap());
                }
                Event::Mark(_) => ledger.acknowledge(ledger.intents.len() - 1),
                _ => {}
            }
        }
        ledger
    }

    /// Dates are whole seconds: a payment to a customer who was changed in the very second before is held when its update is in
    /// doubt and the balance is as it was. A person sees that nobody spent it in this store. Returns how many were decided.
    fn decide_what_nobody_can_know(&self, left: &Till) -> Result<usize, String> {
        let mut store = left.store();
        let all = store.conflicts().map_err(|e| e.to_string())?;
        for held in &all {
            if held.field != "store_credit_amounts" || held.base != held.remote {
                return Err(format!("no such thing may be held: {held:?}"));
            }
            if !left_within_the_second(&mut store, held.customer_id.0) {
                return Err(format!("its date proves that it did not land: {held:?}"));
            }
            store
                .resolve_seen(held.customer_id, &held.field, &Keep::Local, &held.stamp, None)
                .map_err(|e| e.to_string())?;
        }
        Ok(all.len())
    }

    /// The network is calm; one sync repairs everything, and the next has nothing to do.
    fn sync(&self, left: &Till) -> Result<(), String> {
        left.sandbox.set_faults(Faults::none());
        let mut engine = SyncEngine::new(left.store(), left.remote(), options());
        engine.sync().map_err(|e| e.to_string())?;
        if self.decide_what_nobody_can_know(left)? > 0 {
            engine.sync().map_err(|e| e.to_string())?;
        }
        self.ledger_at(self.log.len()).check_all(left)?;
        let again = engine.sync().map_err(|e| e.to_string())?;
        if again.requests.put > 0 {
            return Err(format!("the next sync is not idle: {again:?}"));
        }
        Ok(())
    }
}

/// Whether an update of this customer's balance is on record that left within the second of another change, by the clock of the
/// server, which an engine knows to a second.
fn left_within_the_second(store: &mut Store, customer_id: i64) -> bool {
    let newest = "SELECT 86400 * (julianday(left_at) - julianday(modified))
                  FROM tillsync_attempt
                  WHERE customer_id = ?1 AND field = 'store_credit_amounts'
                  ORDER BY id DESC";
    let apart_s = store.connection().query_row(newest, [customer_id], |row| row.get::<_, f64>(0));
    apart_s.is_ok_and(|apart_s| (-2.1..2.1).contains(&apart_s))
}

fn options() -> SyncOptions {
    let mut options = SyncOptions::default();
    options.upload.grace_ms = 100;
    options.upload.retry = RetryOptions { read_base_ms: 5, write_base_ms: 5, ..RetryOptions::default() };
    options
}

// ---- the process -------------------------------------------------------------------------------------------------

const FOLDER: &str = "POWER_FOLDER";
const MARK: &str = "POWER_MARK";
const JOB: &str = "POWER_JOB";
const STORE: &str = "POWER_STORE";
const EDITS_COUNTED: usize = 30;

struct Shim {
    _folder: TempDir,
    library: PathBuf,
}

impl Shim {
    fn build() -> Shim {
        let folder = TempDir::new().unwrap();
        let library = folder.path().join("shim.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power/shim.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .arg(&library)
            .args([source, "-lpthread"])
            .status();
        assert!(built.expect("a C compiler is needed: cc").success());
        Shim { _folder: folder, library }
    }

    /// Runs the test `child` of this program as a process on the till's file; returns what it did.
    fn run(&self, till: &Till, job: &str, watch: impl FnOnce(&mut std::process::Child, &Path)) -> Vec<Event> {
        let beside = TempDir::new().unwrap();
        let beside_path = beside.path().canonicalize().unwrap();
        let (log, mark) = (beside_path.join("log"), beside_path.join("mark"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env("LD_PRELOAD", &self.library)
            .env("POWER_LOG", &log)
            .env(FOLDER, till.folder.path().canonicalize().unwrap())
            .env(MARK, &mark)
            .env(JOB, job)
            .env(STORE, till.sandbox.url())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        watch(&mut child, &mark);
        read_log(&log)
    }
}

/// Not a test of its own: the process that the others start.
#[test]
fn child() {
    let Ok(job) = std::env::var(JOB) else { return };
    let path = Path::new(&std::env::var(FOLDER).unwrap()).join("till.db");
    match job.parse() {
        Ok(seed) => work(&path, seed),
        Err(_) => count(&path),
    }
}

/// Says something in the same order as the writes.
fn mark(text: &str) {
    use std::io::Write;
    let mut file =
        std::fs::OpenOptions::new().create(true).append(true).open(std::env::var(MARK).unwrap()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Edits, one transaction each, with the file open all the time.
fn count(path: &Path) {
    let mut store = Store::open(path).unwrap();
    for n in 0..EDITS_COUNTED {
        store.edit(1).set("phone", &format!("555-{n}")).commit().unwrap();
        mark("done");
    }
}

/// Edits while syncs run, until the process is killed.
fn work(path: &Path, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    engine(path).pull(Extent::Changes).unwrap();
    let mut store = Store::open(path).unwrap();
    let ids = customers(&mut store);
    let is_over = Arc::new(AtomicBool::new(false));
    let syncing = {
        let (path, is_over) = (path.to_owned(), is_over.clone());
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                _ = engine(&path).sync();
            }
        })
    };
    let began = Instant::now();
    // An end, should nobody kill it.
    while began.elapsed() < SOON {
        let intent = Intent {
            label: format!("{:016x}", random.u64(..)),
            changes: vec![Change::random(&ids, 0.3, &mut random)],
        };
        mark(&serde_json::to_string(&intent).unwrap());
        intent.changes[0].commit(&mut store, &intent.label).unwrap();
        mark("done");
        if random.u8(..10) == 0 {
            store = Store::open(path).unwrap();
        }
        std::thread::sleep(Duration::from_millis(random.u64(..6)));
    }
    is_over.store(true, Ordering::Relaxed);
    syncing.join().unwrap();
}

fn customers(store: &mut Store) -> Vec<i64> {
    let mut statement = store.connection().prepare("SELECT id FROM customer").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn engine(path: &Path) -> SyncEngine<HttpRemote> {
    let http = HttpOptions {
        api_url: std::env::var(STORE).unwrap(),
        timeout: Duration::from_secs(5),
        ..HttpOptions::new("sandbox", "sandbox-token")
    };
    SyncEngine::new(Store::open(path).unwrap(), HttpRemote::new(&http).unwrap(), options())
}
