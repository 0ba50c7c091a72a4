//! Memory is bounded, and where there is none that is told: no input is so large, and nobody reads so late, that the process
//! grows without end or is ended by the system in the middle of something.
#![cfg(all(target_os = "linux", feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::command::Ran;
use common::{Till, till};
use serde_json::json;
use tillsync::{Syncer, SyncerOptions};

/// Each has the process to itself: what the others have would be counted.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this process has in memory.
fn resident_bytes() -> usize {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap();
    told.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// Customer 1 has so many conflicts that wait, with sides of some length.
fn in_conflict(till: &Till, count: usize) {
    till.store()
        .connection()
        .execute_batch(&format!(
            "BEGIN;
             UPDATE tillsync_guard SET writing = 1;
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
             INSERT INTO conflict (customer_id, field, base, local, remote, policy, detected_at)
             SELECT 1, 'form_fields.f' || n, 'null', json_quote(printf('%.200c', 'a')), json_quote(printf('%.200c', 'b')), 'hold',
                    strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             FROM n;
             UPDATE tillsync_guard SET writing = 0;
             COMMIT;"
        ))
        .unwrap();
}

/// A worker whose app sleeps, beside five thousand decisions that nobody takes.
#[test]
fn events_that_nobody_reads_hold_counts_and_no_conflicts() {
    let _alone = alone();
    let till = till(30);
    in_conflict(&till, 5_000);
    let options = SyncerOptions { debounce: Duration::from_millis(1), ..SyncerOptions::default() };
    let (syncer, events) = Syncer::start(till.engine(), options).unwrap();
    let syncs = |more: usize| {
        let (until, began) = (till.gets() + more, Instant::now());
        while till.gets() < until {
            assert!(began.elapsed() < Duration::from_secs(120), "it syncs no more");
            syncer.sync_now();
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    syncs(20);
    let before = resident_bytes();
    // Kept with each event, the conflicts alone would be a hundred megabytes.
    syncs(60);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 24 << 20, "{} KiB more after 60 syncs", grown >> 10);
    assert!(events.next(Duration::ZERO).is_some());
    assert!(syncer.stop(Duration::from_secs(10)));
}

/// The command with so much address space, in KiB.
fn within(till: &Till, kib: u64, arguments: &[&str], input: &[u8]) -> Ran {
    let command = till.command([]);
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        &format!("ulimit -v {kib}; exec \"$0\" \"$@\" --json"),
        env!("CARGO_BIN_EXE_tillsync"),
    ]);
    shell.args(arguments).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // Threads take address space too: of two there is room for their stacks.
    shell.env("RAYON_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1");
    let mut child =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    _ = child.stdin.take().unwrap().write_all(input);
    Ran::of(&child.wait_with_output().unwrap())
}

const STEP_KIB: u64 = 16 << 10;

/// From the least with which the command does its work on what is small, in steps: it ends by itself, with words for it, until
/// there is enough.
fn until_enough(least: u64, run: impl Fn(u64) -> Ran) {
    let mut said = Vec::new();
    for kib in (least..least + 64 * STEP_KIB).step_by(STEP_KIB as usize) {
        let ran = run(kib);
        assert!(ran.exit.is_some(), "{kib} KiB: ended by a signal: {ran:?}");
        if ran.exit == Some(0) {
            assert!(!said.is_empty(), "it was enough at once, and the test shows nothing");
            return;
        }
        let words = ran.json.to_string();
        assert!(words.contains("memory"), "{kib} KiB: {words}");
        said.push(words);
    }
    panic!("it was never enough: {:?}", said.last());
}

/// The least address space in which this is done, and a step.
fn least(run: impl Fn(u64) -> Ran) -> u64 {
    let all = (64 << 10..2 << 20).step_by(STEP_KIB as usize);
    all.into_iter().find(|kib| run(*kib).exit == Some(0)).unwrap() + STEP_KIB
}

#[test]
fn an_answer_that_there_is_no_memory_for_is_told_as_that() {
    let _alone = alone();
    let till = till(3);
    let least = least(|kib| within(&till, kib, &["pull"], b""));
    till.office(2, json!({ "notes": "a line of a note\n".repeat(900_000) }));
    until_enough(least, |kib| within(&till, kib, &["pull", "--full"], b""));
    assert_eq!(till.local(2, "notes"), till.remote_value(2, "notes"));
}

/// More than `within` gives in the test below.
const GREEDY: &str = "SELECT length(hex(zeroblob(400000000)))";

#[test]
fn a_trigger_that_there_is_no_memory_for_holds_up_its_customer_and_is_told_as_that() {
    let _alone = alone();
    let till = till(20);
    let kib = 640 << 10;
    let greedy = |of: &str| {
        let trigger = format!(
            "DROP TRIGGER IF EXISTS greedy;
             CREATE TRIGGER greedy AFTER UPDATE OF notes ON customer WHEN {of} BEGIN {GREEDY}; END"
        );
        till.store().connection().execute_batch(&trigger).unwrap();
    };
    greedy("NEW.id = 1");
    let edited = within(&till, kib, &["edit", "1", "notes=a"], b"");
    assert_eq!(
        (edited.exit, edited.json["error"]["code"].as_str()),
        (Some(6), Some("no_memory")),
        "{edited:?}"
    );
    assert_eq!(within(&till, kib, &["edit", "2", "notes=b"], b"").exit, Some(0));
    let office = |what: &str| {
        let ids = till.sandbox.ids();
        ids.iter().for_each(|id| till.office((*id).into(), json!({"notes": what, "company": what})));
    };
    office("news");
    let synced = within(&till, kib, &["sync"], b"");
    assert_eq!(synced.exit, Some(3), "{synced:?}");
    let held_up = till.store().held_up().unwrap();
    assert_eq!((held_up.len(), held_up[0].customer_id.0), (1, 1));
    assert!(held_up[0].error.contains("got no memory"), "{held_up:?}");
    assert_eq!(held_up[0].cause.as_deref(), Some("greedy"));
    assert_eq!(till.local(3, "company"), "\"news\"");
    assert_eq!(within(&till, kib, &["doctor"], b"").exit, Some(3));
    // Of many it may be the machine that has none: that ends the sync, which says so.
    office("more");
    greedy("NEW.id > 2");
    let ended = within(&till, kib, &["sync"], b"");
    assert_eq!((ended.exit, ended.json["error"]["code"].as_str()), (Some(6), Some("no_memory")), "{ended:?}");
    till.store().connection().execute_batch("DROP TRIGGER greedy").unwrap();
    (0..2).for_each(|_| _ = within(&till, kib, &["sync"], b""));
    assert_eq!(till.store().held_up().unwrap(), []);
    assert_eq!(till.local(10, "notes"), "\"more\"");
}
