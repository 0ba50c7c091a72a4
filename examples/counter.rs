//! A till at a busy counter: edits every ten milliseconds while a background worker syncs with a store that is slow and
//! that sometimes fails. Prints how long an edit took, what arrived, and whether anything came twice.
//!
//!     cargo run --release --example counter -- --seconds 60 --strict
//!
//! Ends with 1 when an edit failed, was lost or came twice; with `--strict`, which needs an idle machine, also when the
//! 99.9th percentile of an edit is above 50 ms.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example that prints, and ends where it fails"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tillsync::sandbox::{Fault, FaultRate, Faults, Sandbox, SandboxOptions};
use tillsync::{
    Decimal, Event, Events, Extent, HttpOptions, HttpRemote, Store, SyncEngine, SyncOptions, Syncer,
    SyncerOptions,
};

/// How often the counter edits.
const EVERY: Duration = Duration::from_millis(10);
/// What an edit may take at the 99.9th percentile.
const AT_MOST: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("till.db");
    let sandbox = store();
    engine(&sandbox, &path).pull(Extent::Changes).unwrap();
    let before = credits(&sandbox);
    make_slow_and_unreliable(&sandbox);

    let quick = Duration::from_millis(500);
    let options = SyncerOptions { debounce: quick, patience: 4 * quick, ..SyncerOptions::default() };
    let (syncer, events) = Syncer::start(engine(&sandbox, &path), options).unwrap();
    let listener = std::thread::spawn(move || listen(&events));

    let mut till = Store::open(&path).unwrap();
    let (waits, edits) = edit_for(seconds(), &mut till, &sandbox.ids());
    let is_quick = tell_waits(waits);

    sandbox.set_faults(Faults::default());
    let has_arrived = wait_until_all_arrived(&till, &syncer);
    syncer.stop(Duration::from_secs(10));
    tell_syncs(listener.join().unwrap(), &sandbox);
    let is_right = tell_arrivals(&sandbox, &edits, &before) && has_arrived;
    let is_strict = std::env::args().any(|argument| argument == "--strict");
    if is_right && (is_quick || !is_strict) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seconds() -> Duration {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--seconds").skip(1);
    Duration::from_secs(arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(5))
}

fn store() -> Sandbox {
    Sandbox::start(SandboxOptions { customers: 200, quota: 1_000_000, ..SandboxOptions::default() }).unwrap()
}

/// 200 ms of latency, and two of a hundred requests go wrong.
fn make_slow_and_unreliable(sandbox: &Sandbox) {
    let faults = [Fault::LostAnswer, Fault::LostRequest, Fault::Status(503), Fault::Truncated];
    sandbox.set_latency_ms(200);
    sandbox.set_faults(faults.into_iter().map(|fault| FaultRate { fault, rate: 0.005 }).collect());
}

fn engine(sandbox: &Sandbox, path: &std::path::Path) -> SyncEngine<HttpRemote> {
    let options =
        HttpOptions { api_url: sandbox.url(), ..HttpOptions::new(sandbox.store_hash(), sandbox.token()) };
    SyncEngine::new(Store::open(path).unwrap(), HttpRemote::new(&options).unwrap(), SyncOptions::default())
}

/// What was edited of a customer: the last phone number, and how many units of credit were added.
type Edits = BTreeMap<i32, (String, i64)>;

/// Two attributes an edit, one of them money, in one durable transaction. Returns how long each took.
fn edit_for(time: Duration, till: &mut Store, ids: &[i32]) -> (Vec<Duration>, Edits) {
    let (mut waits, mut edits) = (Vec::new(), Edits::new());
    let began = Instant::now();
    while began.elapsed() < time {
        let count = waits.len();
        let id = ids[count % ids.len()];
        let phone = format!("edit {count}");
        let edit_began = Instant::now();
        let edit = till.edit(i64::from(id)).set("phone", &phone).adjust_credit(Decimal::ONE);
        edit.author("ana").label(format!("sale {count}")).commit().expect("an edit failed");
        waits.push(edit_began.elapsed());
        let edited = edits.entry(id).or_default();
        *edited = (phone, edited.1 + 1);
        std::thread::sleep(EVERY.saturating_sub(edit_began.elapsed()));
    }
    (waits, edits)
}

fn tell_waits(mut waits: Vec<Duration>) -> bool {
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share).round() as usize];
    let ms = |wait: Duration| wait.as_secs_f64() * 1_000.0;
    let [median, p99, p999, most] = [0.5, 0.99, 0.999, 1.0].map(at);
    println!("edits     {}", waits.len());
    println!(
        "an edit   p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
        ms(median),
        ms(p99),
        ms(p999),
        ms(most)
    );
    p999 <= AT_MOST
}

/// Syncs that went well, and those that failed.
fn listen(events: &Events) -> (u64, u64) {
    let (mut well, mut badly) = (0, 0);
    while let Some(event) = events.next(Duration::from_secs(120)) {
        match event {
            Event::SyncFinished(_) => well += 1,
            Event::SyncFailed { .. } => badly += 1,
            _ => {}
        }
    }
    (well, badly)
}

fn wait_until_all_arrived(till: &Store, syncer: &Syncer) -> bool {
    let began = Instant::now();
    syncer.sync_now();
    while began.elapsed() < Duration::from_secs(120) {
        let status = till.status().unwrap();
        if (status.pending_fields, status.in_flight_batches) == (0, 0) {
            println!("the last  arrived {:.1} s after the last edit", began.elapsed().as_secs_f64());
            return (status.rejected, status.conflicts) == (0, 0);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("not everything arrived within two minutes");
    false
}

fn tell_syncs((well, badly): (u64, u64), sandbox: &Sandbox) {
    println!("syncs     {well} went well, {badly} failed and were tried again; {:?}", sandbox.stats());
}

/// Every customer's last number is there, and its credit moved once for each edit.
fn tell_arrivals(sandbox: &Sandbox, edits: &Edits, before: &BTreeMap<i32, i64>) -> bool {
    let after = credits(sandbox);
    let missing =
        edits.iter().filter(|(id, (phone, _))| sandbox.customer(**id).unwrap()["phone"] != *phone).count();
    let moved: i64 = edits.values().map(|(_, count)| count).sum();
    let wrong = edits.iter().filter(|(id, (_, count))| after[id] - before[id] != *count * 10_000).count();
    let violations = sandbox.violations();
    println!("arrivals  {} customers, {missing} without their last edit", edits.len());
    println!("money     {moved} adjustments, {wrong} customers with too much or too little");
    println!("rules     {} violations {violations:?}", violations.len());
    missing == 0 && wrong == 0 && violations.is_empty()
}

/// In ten-thousandths, so that no rounding of floats is taken for money.
fn credits(sandbox: &Sandbox) -> BTreeMap<i32, i64> {
    let credit =
        |id| sandbox.customer(id).unwrap()["store_credit_amounts"][0]["amount"].as_f64().unwrap_or(0.0);
    let credit = |id| (credit(id) * 10_000.0).round() as i64;
    sandbox.ids().into_iter().map(|id| (id, credit(id))).collect()
}
