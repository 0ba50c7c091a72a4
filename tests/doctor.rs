//! What somebody can find out who was not there: how it stands with the syncs of a file, by whatever process they ran; what
//! still waits, and since when; who holds what.

#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;
#[path = "common/worker.rs"]
mod worker;

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use common::{Till, till};
use serde_json::{Value, json};
use worker::SOON;

/// How it stands, asked by a process of its own.
fn status(till: &Till) -> Value {
    till.run(["status"]).json
}

/// How it stands with the syncs.
fn sync(till: &Till) -> Value {
    status(till)["sync"].take()
}

#[track_caller]
fn soon(is_it: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_it() {
        assert!(began.elapsed() < SOON, "it does not come to that");
        std::thread::sleep(Duration::from_millis(50));
    }
}

// ---- how the syncs went ------------------------------------------------------------------------------------------

#[test]
fn what_the_last_sync_came_to_is_known_to_whoever_asks_later() {
    let till = till(3);
    let pulled = sync(&till);
    assert_eq!((&pulled["state"], &pulled["last_error"]), (&json!("idle"), &Value::Null));
    let success = pulled["last_success_at"].clone();
    assert!(success.is_string(), "{pulled}");

    till.sandbox.cut();
    assert_eq!(till.run(["sync"]).exit, Some(4));
    let offline = sync(&till);
    assert_eq!((&offline["state"], &offline["last_success_at"]), (&json!("offline"), &success));
    let error = &offline["last_error"];
    assert_eq!(error["code"], "offline");
    assert!(error["message"].is_string() && error["hint"].is_string() && error["at"].is_string(), "{error}");
    let since = offline["since"].clone();
    assert_eq!(till.run(["push"]).exit, Some(0), "there is nothing to send, and so nobody to ask");
    assert_eq!(till.run(["sync"]).exit, Some(4));
    assert_eq!(sync(&till)["since"], since, "since it began, not since it was last tried");
    till.sandbox.heal().unwrap();

    let refused = till.command(["sync"]).env("BIGCOMMERCE_ACCESS_TOKEN", "wrong").output().unwrap();
    assert_eq!(refused.status.code(), Some(5));
    let refused = sync(&till);
    assert_eq!((&refused["state"], &refused["last_error"]["code"]), (&json!("refused"), &json!("auth")));
    assert!(!refused.to_string().contains("wrong"), "the token is nobody's business: {refused}");

    assert_eq!(till.run(["sync"]).exit, Some(0));
    let idle = sync(&till);
    assert_eq!((&idle["state"], &idle["last_error"]), (&json!("idle"), &Value::Null));
    assert_eq!((&idle["worker_alive"], &idle["next_try_at"]), (&json!(false), &Value::Null));
    assert_eq!(status(&till)["last_push_at"], Value::Null, "nothing was sent yet");
    till.set(1, "phone", "5");
    assert_eq!(till.run(["sync"]).exit, Some(0));
    assert!(status(&till)["last_push_at"].is_string());
}

#[test]
fn a_worker_of_another_process_is_seen_at_work_and_its_next_try_is_known() {
    let till = till(3);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    let idle = sync(&till);
    assert_eq!((&idle["state"], &idle["worker_alive"]), (&json!("idle"), &json!(true)));
    till.sandbox.cut();
    till.sell(1, "1");
    let failed = worker.until_event("sync_failed");
    assert!(failed["hint"].as_str().unwrap().contains("every edit is kept"), "{failed}");
    soon(|| sync(&till)["next_try_at"].is_string());
    soon(|| sync(&till)["state"] == "offline");
    drop(worker);
    let alone = sync(&till);
    assert_eq!(
        (&alone["worker_alive"], &alone["next_try_at"]),
        (&json!(false), &Value::Null),
        "nobody tries"
    );
}

/// A watch used to sleep through its whole interval after a failure.
#[test]
fn a_watch_tries_again_long_before_its_interval_is_over() {
    let till = till(3);
    let mut watch = till.command(["sync", "--watch", "300"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["pulled"], 0);
    till.sandbox.cut();
    till.sell(1, "555-0142");
    let offline = next();
    assert_eq!(offline["error"]["code"], "offline");
    assert!(offline["error"]["hint"].is_string(), "{offline}");
    assert_eq!(till.run(["worker"]).code(), "busy", "it is a worker like any other");
    std::thread::sleep(Duration::from_secs(6));
    till.sandbox.heal().unwrap();
    let healed = Instant::now();
    soon(|| till.remote_value(1, "phone") == "\"555-0142\"");
    assert!(healed.elapsed() < SOON, "{:?}", healed.elapsed());
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_watch_whose_token_is_refused_ends_and_says_so() {
    let till = till(3);
    let mut watch = till.command(["sync", "--watch", "300"]);
    let ended = watch.env("BIGCOMMERCE_ACCESS_TOKEN", "wrong").output().unwrap();
    assert_eq!(ended.status.code(), Some(5));
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(told["error"]["code"], "auth");
}

// ---- what waits --------------------------------------------------------------------------------------------------

#[test]
fn how_long_edits_wait_is_told_by_status_and_by_an_event() {
    let till = till(3);
    assert_eq!((&status(&till)["oldest_pending_at"], &status(&till)["unsent"]), (&Value::Null, &json!(0)));
    let mut worker = till.worker(&["--waiting-long-ms", "300"]);
    worker.until_event("sync_finished");
    till.sandbox.cut();
    till.sell(1, "1");
    till.sell(2, "2");
    let waiting = worker.until_event("waiting_long");
    assert_eq!(waiting["edits"], 2);
    let status = status(&till);
    assert_eq!(status["unsent"], 2);
    let oldest = status["oldest_pending_at"].as_str().unwrap();
    assert_eq!(waiting["since"], oldest);
    worker.until_event("waiting_long");
    till.sandbox.heal().unwrap();
    soon(|| self::status(&till)["unsent"] == 0);
}

#[test]
fn a_file_may_be_thrown_away_only_when_all_that_was_edited_in_it_is_in_the_store() {
    let till = till(4);
    let may_go = || till.run(["doctor", "--safe-to-remove"]).exit.unwrap();
    assert_eq!(may_go(), 0);
    till.set(1, "phone", "ours");
    assert_eq!(may_go(), 3, "pending");
    till.office(1, json!({"phone": "theirs"}));
    till.set(2, "email", "taken@example.com");
    till.office(3, json!({"email": "taken@example.com"}));
    till.run(["sync"]);
    let waiting = status(&till);
    assert_eq!((&waiting["conflicts"], &waiting["rejected"]), (&json!(1), &json!(1)));
    assert_eq!((&waiting["unsent"], &waiting["pending_fields"]), (&json!(2), &json!(0)));
    assert_eq!(may_go(), 3, "in conflict and refused");
    till.run(["discard", "2"]);
    assert_eq!(may_go(), 3, "in conflict");
    till.run(["resolve", "1", "phone", "--keep", "local"]);
    assert_eq!(may_go(), 3, "decided, and not sent yet");
    till.run(["sync"]);
    assert_eq!(may_go(), 0);
    till.sandbox.script_updates([tillsync::sandbox::Fault::DelayedAnswer { ms: 3_000 }]);
    till.set(4, "phone", "in doubt");
    let mut sync = till.command(["sync"]).spawn().unwrap();
    soon(|| status(&till)["in_flight_batches"] == 1);
    sync.kill().unwrap();
    sync.wait().unwrap();
    assert_eq!(may_go(), 3, "nobody knows whether it arrived");
    soon(|| till.run(["sync"]).exit == Some(0));
    assert_eq!(may_go(), 0);
}

// ---- who holds what ----------------------------------------------------------------------------------------------

/// Every check by its name: whether it is good, and its words.
fn check(till: &Till, name: &str) -> (Option<i32>, bool, String) {
    let ran = till.run(["doctor"]);
    let checks = ran.json["checks"].as_array().unwrap_or_else(|| panic!("{ran:?}"));
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{ran:?}"));
    (ran.exit, check["ok"].as_bool().unwrap(), check["detail"].as_str().unwrap().to_owned())
}

#[test]
fn a_program_that_holds_the_right_to_write_is_named() {
    let till = till(3);
    assert!(check(&till, "writing").1);
    let mut app = rusqlite::Connection::open(&till.path).unwrap();
    let sale = app.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let (exit, ok, words) = check(&till, "writing");
    assert_eq!((exit, ok), (Some(6), false), "{words}");
    if cfg!(target_os = "linux") {
        assert!(words.contains(&format!("process {} ", std::process::id())), "{words}");
    }
    drop(sale);
    assert!(check(&till, "writing").1, "and nothing of the try stays");
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_was_frozen_is_told_with_its_process_and_since_when() {
    let till = till(3);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    let pid = worker.child.id();
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
        assert!(sent.success());
    };
    soon(|| sync(&till)["worker_alive"] == true);
    let (_, ok, words) = check(&till, "worker");
    assert!(ok && words.contains(&format!("process {pid} (tillsync) has it since 20")), "{words}");
    signal("-STOP");
    soon(|| sync(&till)["worker_alive"] == false);
    let (exit, ok, words) = check(&till, "worker");
    assert_eq!((exit, ok), (Some(3), false), "{words}");
    assert!(words.contains(&format!("process {pid} (tillsync)")) && words.contains("was stopped"), "{words}");
    signal("-CONT");
    soon(|| check(&till, "worker").1);
    drop(worker);
    assert_eq!(check(&till, "worker").2, "none keeps the file in step");
}
