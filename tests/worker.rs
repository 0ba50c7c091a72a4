//! The background worker as a process, as an app in any language meets it: lines in, lines out, and an end of its own
//! when the app has ended, however that was.

#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;
#[path = "common/worker.rs"]
mod worker;

use std::process::Stdio;
use std::time::Duration;

use common::command::Ran;
use common::{Till, sandbox, soon, till};
use serde_json::{Value, json};
use tillsync::sandbox::Fault;
use worker::Worker;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

// ---- events out --------------------------------------------------------------------------------------------------

#[test]
fn its_first_line_says_that_it_is_ready_and_an_edit_by_sql_goes_up_by_itself() {
    let till = till(5);
    let mut worker = Worker::of(till.worker_command(&[]).spawn().unwrap());
    let ready = worker.line();
    let expected = json!({
        "event": "ready",
        "version": env!("CARGO_PKG_VERSION"),
        "file": till.path,
        "store_hash": till.sandbox.store_hash(),
    });
    assert_eq!(ready, expected);
    worker.until_event("sync_finished");
    till.sell(3, "555-0142");
    let uploaded = worker.until_event("edit_uploaded");
    assert_eq!((&uploaded["customer_id"], &uploaded["field"]), (&json!(3), &json!("phone")));
    assert_eq!(till.remote_value(3, "phone"), "\"555-0142\"");
    till.assert_no_violations();
}

#[test]
fn every_line_is_an_event_an_answer_or_an_error_and_no_secret_is_in_any() {
    let till = till(5);
    till.sandbox.script_updates([Fault::Status(401)]);
    let mut worker = till.worker(&[]);
    till.sell(1, "1");
    assert_eq!(worker.until_event("sync_failed")["code"], "auth");
    worker.say("no JSON");
    worker.call(json!({"command": "status"}));
    worker.call(json!({"command": "stop"}));
    assert_eq!(worker.ended().code(), Some(0));
    let kinds = ["event", "answer", "error"];
    for line in &worker.seen {
        assert_eq!(kinds.into_iter().filter(|kind| line.get(kind).is_some()).count(), 1, "{line}");
        assert!(!line.to_string().contains(till.sandbox.token()), "{line}");
    }
}

#[test]
fn a_store_that_is_down_is_told_once_and_edits_go_up_by_themselves_when_it_is_back() {
    let till = till(5);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    till.sandbox.cut();
    till.sell(1, "1");
    worker.until_event("offline");
    worker.until(|line| line["event"] == "sync_failed" && line["code"] == "offline");
    let status = worker.call(json!({"command": "status"}));
    assert_eq!((&status["pending_fields"], &status["worker"]["running"]), (&json!(1), &json!(true)));
    till.sandbox.heal().unwrap();
    worker.until_event("online");
    soon(|| till.remote_value(1, "phone") == "\"1\"");
    assert_eq!(worker.seen.iter().filter(|line| line["event"] == "offline").count(), 0, "once is enough");
}

// ---- commands in -------------------------------------------------------------------------------------------------

#[test]
fn it_finds_customers_as_the_command_does_and_says_whether_there_are_more() {
    let till = till(5);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    till.sell(3, "030 901820");
    worker.until_event("edit_uploaded"); // else the answers may lie on both sides of it
    let found = worker.call(json!({"command": "find", "text": "03090"}));
    let of_the_command = till.run(["find", "03090"]).json;
    let expected = json!({"answer": "find", "id": 1, "customers": of_the_command, "more": false});
    assert_eq!(found, expected);
    assert_eq!(found["customers"][0]["id"], 3);

    let all = worker.call(json!({"command": "find", "text": "e", "limit": 1}));
    let one_of_them = (all["customers"].as_array().map(Vec::len), &all["more"]);
    assert_eq!(one_of_them, (Some(1), &json!(true)));
}

#[test]
fn paused_it_syncs_only_when_asked_and_goes_on_when_it_may() {
    let till = till(5);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    let state = |paused| json!({"running": true, "at_work": true, "paused": paused});
    let with = |mut state: Value, answer: &str, id: u64| {
        (state["answer"], state["id"]) = (json!(answer), json!(id));
        state
    };
    assert_eq!(worker.call(json!({"command": "pause"})), with(state(true), "pause", 1));
    till.sell(1, "1");
    std::thread::sleep(Duration::from_millis(500));
    let status = worker.call(json!({"command": "status"}));
    assert_eq!((&status["pending_fields"], &status["worker"]), (&json!(1), &state(true)));
    let mut of_the_command = till.run(["status"]).json;
    of_the_command["worker"] = state(true);
    assert_eq!(status, with(of_the_command, "status", 2));

    assert_eq!(worker.call(json!({"command": "sync_now"})), with(state(true), "sync_now", 3));
    worker.until_event("edit_uploaded");
    worker.until_event("sync_finished");
    till.sell(2, "2");
    assert_eq!(worker.call(json!({"command": "resume"})), with(state(false), "resume", 4));
    worker.until_event("edit_uploaded");
    assert_eq!(till.remote_value(2, "phone"), "\"2\"");
}

#[test]
fn a_receipt_that_an_app_took_in_its_own_transaction_tells_the_fate_of_its_edits() {
    let till = till(5);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    worker.call(json!({"command": "pause"}));
    let sold = till.sell(1, "1");
    let wait = |receipt, timeout_ms| json!({"command": "wait", "receipt": receipt, "timeout_ms": timeout_ms});
    let pending = worker.call(wait(sold, 50));
    assert_eq!((&pending["answer"], &pending["fate"]), (&json!("wait"), &json!("pending")));

    // Several are waited for at once, and others are answered meanwhile.
    till.sandbox.edit(2, json!({"phone": "theirs"}));
    let contested = till.sell(2, "ours");
    let waits = [worker.ask(wait(sold, 60_000)), worker.ask(wait(contested, 60_000))];
    assert_eq!(worker.call(json!({"command": "status"}))["pending_fields"], 2);
    // With a pull: a push alone would trust what was read some seconds ago.
    worker.call(json!({"command": "sync_now"}));
    let fates: Vec<Value> = (0..2).map(|_| worker.until(|line| line["answer"] == "wait")).collect();
    let fate = |id| fates.iter().find(|line| line["id"] == id).unwrap();
    assert_eq!(fate(waits[0])["fate"], "uploaded");
    assert!(fate(waits[0])["date_modified"].is_string());
    assert_eq!((&fate(waits[1])["fate"], &fate(waits[1])["field"]), (&json!("in_conflict"), &json!("phone")));
    let nothing = json!({"after": sold.up_to, "up_to": sold.up_to});
    assert_eq!(worker.call(wait(serde_json::from_value(nothing).unwrap(), 60_000))["fate"], "unchanged");
}

#[test]
fn more_waits_than_there_may_be_are_refused_and_a_stop_answers_those_that_are_open() {
    let till = till(5);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    worker.call(json!({"command": "pause"}));
    let receipt = till.sell(1, "1");
    let ids: Vec<u64> = (0..257)
        .map(|_| worker.ask(json!({"command": "wait", "receipt": receipt, "timeout_ms": 600_000})))
        .collect();
    let refused = worker.until(|line| line["error"]["code"] == "usage");
    assert_eq!(refused["id"], ids[256]);
    worker.call(json!({"command": "stop"}));
    let stopped: Vec<&Value> = worker.seen.iter().filter(|line| line["error"]["code"] == "stopped").collect();
    assert_eq!(stopped.len(), 256);
    assert!(stopped[0]["error"]["hint"].as_str().unwrap().contains("the same receipt"));
}

/// Which is no matter of the others that wait.
#[test]
fn a_receipt_of_edits_that_were_never_made_is_refused_alone() {
    let till = till(2);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    worker.call(json!({ "command": "pause" }));
    let receipt = till.sell(1, "555");
    let waits = worker.ask(json!({ "command": "wait", "receipt": receipt, "timeout_ms": 20_000 }));
    let never = json!({ "after": receipt.up_to, "up_to": 999 });
    let refused = worker.call(json!({ "command": "wait", "receipt": never, "timeout_ms": 20_000 }));
    assert_eq!(refused["error"]["code"], "unknown_receipt", "{refused}");
    worker.call(json!({ "command": "resume" }));
    let answer = worker.until(|line| line["id"] == waits);
    assert_eq!(answer["fate"], "uploaded", "{answer}");
}

#[test]
fn a_bad_line_is_answered_by_an_error_and_ends_nothing() {
    let till = till(1);
    let mut worker = till.worker(&[]);
    let bad = [
        ("{\"command\":", None),
        ("", None),
        ("{\"command\":\"edit\",\"id\":\"a\"}", Some("a")),
        ("{\"command\":\"wait\",\"id\":\"b\"}", Some("b")),
        ("{\"command\":\"stop\",\"id\":\"c\",\"when\":\"now\"}", Some("c")),
        ("[]", None),
    ];
    for (line, id) in bad.into_iter().filter(|(line, _)| !line.is_empty()) {
        worker.say(line);
        let error = worker.until(|line| line.get("error").is_some());
        assert_eq!(keys(&error["error"]), ["code", "hint", "message"], "{line}");
        assert_eq!((&error["error"]["code"], error["id"].as_str()), (&json!("usage"), id), "{line}");
    }
    worker.say(&format!("{{\"command\":\"{}\"}}", "x".repeat(1_000_000)));
    assert_eq!(worker.until(|line| line.get("error").is_some())["error"]["code"], "usage");
    worker.say(&json!({"command": "find", "id": 7, "text": "x".repeat(1_000_000)}).to_string());
    assert_eq!(worker.until(|line| line["id"] == 7)["error"]["code"], "usage");
    worker.say("\u{feff}{\"command\":\"status\",\"id\":\"alive\"}\r");
    assert_eq!(worker.until(|line| line["id"] == "alive")["answer"], "status");
}

/// What the documentation shows of the conversation, line for line: the same commands, and lines of the same keys.
#[test]
fn it_speaks_as_the_documentation_has_it() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/embedding.md")).unwrap();
    let shown = docs.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let till = till(1);
    let mut worker = Worker::of(till.worker_command(&[]).spawn().unwrap());
    let mut is_ready = false;
    for line in shown.lines() {
        match line.split_once(' ').unwrap() {
            ("<", command) => worker.say(command),
            (_, said) => {
                let said: Value = serde_json::from_str(said).unwrap();
                worker.until(|line| keys(line) == keys(&said) && line.get("answer") == said.get("answer"));
            }
        }
        if !std::mem::replace(&mut is_ready, true) {
            till.sell(1, "1");
        }
    }
    assert_eq!(worker.ended().code(), Some(0));
}

// ---- its end -----------------------------------------------------------------------------------------------------

#[test]
fn it_stops_when_it_is_told_to_and_when_its_input_ends() {
    let till = till(5);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    let stopped = worker.call(json!({"command": "stop", "within_ms": 5000}));
    assert_eq!(stopped, json!({"answer": "stop", "id": 1, "running": false, "came_to_its_end": true}));
    assert_eq!(worker.ended().code(), Some(0));

    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    worker.close_input();
    let last = worker.until(|line| line["answer"] == "end_of_input");
    assert_eq!(last, json!({"answer": "end_of_input", "running": false, "came_to_its_end": true}));
    assert_eq!(worker.ended().code(), Some(0));
}

/// The app is a process of its own here, and has no chance to say farewell.
#[test]
fn it_ends_when_its_app_is_killed() {
    use std::io::{BufRead, BufReader, Read};
    const APP: &str = "import subprocess, sys, time
worker = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
time.sleep(600)";
    let till = till(5);
    let worker = till.worker_command(&[]);
    let mut app = std::process::Command::new("python3");
    app.args(["-c", APP]).arg(worker.get_program()).args(worker.get_args()).stdin(Stdio::null());
    app.envs(worker.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdout(Stdio::piped());
    let mut app = app.spawn().expect("python3 is needed");
    let mut output = BufReader::new(app.stdout.take().unwrap());
    assert!(output.read_line(&mut String::new()).unwrap() > 0, "it is ready");
    app.kill().unwrap();
    app.wait().unwrap();
    // To its end: until the worker has closed it too.
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(rest.trim_end().ends_with(r#""came_to_its_end":true}"#), "{rest}");
    till.worker(&[]);
}

#[test]
fn a_sync_that_does_not_end_is_abandoned_with_the_app_and_the_next_worker_repairs_it() {
    let till = till(5);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 25_000 }]);
    till.adjust(1, "2.50");
    // The update is on its way.
    soon(|| till.store().status().unwrap().in_flight_batches == 1);
    worker.close_input();
    assert_eq!(worker.ended().code(), Some(0));
    let last = worker.until(|line| line["answer"] == "end_of_input");
    assert_eq!(last["came_to_its_end"], false, "it does not wait for the network");

    let balance = |till: &Till| till.remote_value(1, "store_credit_amounts");
    let mut again = till.worker(&[]);
    again.until_event("sync_finished");
    soon(|| till.store().status().unwrap().in_flight_batches == 0);
    let once = balance(&till);
    again.call(json!({"command": "sync_now"}));
    again.until_event("sync_finished");
    assert_eq!(balance(&till), once);
    assert_eq!(till.local(1, "store_credit_amounts"), once, "the payment is there, and once");
    till.assert_no_violations();
}

#[test]
fn killed_and_started_again_it_goes_on_where_it_was() {
    let till = till(40);
    till.sandbox.set_latency_ms(5);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    for round in 0..12_u64 {
        let mut worker = till.worker(&[]);
        ids.iter().for_each(|id| till.set(*id, "phone", &format!("{round}-{id}")));
        std::thread::sleep(Duration::from_millis(40 + 17 * round));
        worker.child.kill().unwrap();
        worker.child.wait().unwrap();
    }
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    soon(|| ids.iter().all(|id| till.remote_value(*id, "phone") == format!("\"11-{id}\"")));
    worker.call(json!({"command": "stop"}));
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    assert_eq!(till.store().status().unwrap().in_flight_batches, 0);
    till.assert_no_violations();
}

#[test]
fn a_worker_whose_file_another_program_upgrades_says_so_and_ends() {
    let till = till(3);
    let mut worker = till.worker(&[]);
    while worker.line()["event"] != "sync_finished" {}
    let newer = "BEGIN;
        CREATE TABLE later (id INTEGER PRIMARY KEY);
        INSERT INTO tillsync_schema_history SELECT 99, 'later', applied_on, checksum FROM tillsync_schema_history LIMIT 1;
        COMMIT";
    rusqlite::Connection::open(&till.path).unwrap().execute_batch(newer).unwrap();
    while worker.line()["error"]["code"] != "newer_schema" {}
    assert_eq!(worker.ended().code(), Some(6));
}

#[test]
fn an_app_that_reads_no_more_is_an_app_that_has_ended() {
    use std::io::{BufRead, BufReader};
    let till = till(5);
    let mut child = till.worker_command(&[]).spawn().unwrap();
    let (input, mut output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
    assert!(output.read_line(&mut String::new()).unwrap() > 0, "it is ready");
    drop(output);
    till.sell(1, "1");
    assert_eq!(Worker::of_silent(child).ended().code(), Some(0));
    drop(input);
}

// ---- one a file --------------------------------------------------------------------------------------------------

#[test]
fn a_second_one_is_told_busy_or_waits_for_the_first_to_end() {
    let till = till(5);
    let mut first = till.worker(&[]);
    let mut second = till.worker_command(&[]);
    let refused = Ran::of(&second.stdin(Stdio::null()).output().unwrap());
    assert_eq!((refused.exit, refused.code()), (Some(6), "busy"));
    assert!(refused.json["error"]["message"].as_str().unwrap().contains("another worker"));
    assert!(refused.json["error"]["hint"].as_str().unwrap().contains("one worker"));

    let mut patient = Worker::of(till.worker_command(&["--wait", "20"]).spawn().unwrap());
    std::thread::sleep(Duration::from_millis(300));
    first.child.kill().unwrap();
    assert_eq!(patient.line()["event"], "ready", "a killed one leaves no lock");
}

#[test]
fn a_file_that_is_not_there_is_made_only_when_that_was_asked_for() {
    let till = Till::new(sandbox(3));
    let refused = Ran::of(&till.worker_command(&[]).stdin(Stdio::null()).output().unwrap());
    assert_eq!((refused.exit, refused.code()), (Some(6), "not_there"));
    assert!(!till.path.exists());
    let mut worker = till.worker(&["--create"]);
    assert_eq!(worker.until_event("sync_finished")["pulled"], 3);
    drop(worker);

    let mut nameless = till.worker_command(&[]);
    let refused =
        Ran::of(&nameless.env_remove("BIGCOMMERCE_ACCESS_TOKEN").stdin(Stdio::null()).output().unwrap());
    assert_eq!((refused.exit, refused.code()), (Some(2), "usage"));
    assert!(refused.json["error"]["hint"].as_str().unwrap().contains("token"));
}

#[test]
fn where_a_till_was_moved_or_deleted_none_is_begun_unless_somebody_says_so() {
    let till = till(1);
    let mut worker = till.worker(&[]);
    till.sell(1, "555-0142");
    worker.until_event("edit_uploaded");
    worker.call(json!({"command": "stop"}));
    worker.ended();
    std::fs::remove_file(&till.path).unwrap();
    let refused = Ran::of(&till.worker_command(&["--create"]).stdin(Stdio::null()).output().unwrap());
    assert_eq!((refused.exit, refused.code()), (Some(2), "usage"));
    let error = refused.json["error"].to_string();
    assert!(error.contains("was moved or deleted") && error.contains("tillsync create"), "{error}");
    assert!(!till.path.exists());
    assert_eq!(till.run(["create"]).exit, Some(0));
    till.worker(&["--create"]).until_event("sync_finished");
}

#[test]
fn that_a_worker_pauses_is_told_to_whoever_asks_of_the_file() {
    let till = till(1);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    let stands = || till.run(["status"]).json["sync"]["worker_paused"].clone();
    assert_eq!(stands(), false);
    worker.call(json!({"command": "pause"}));
    common::soon(|| stands() == true);
    worker.call(json!({"command": "resume"}));
    common::soon(|| stands() == false);
    worker.call(json!({"command": "pause"}));
    common::soon(|| stands() == true);
    worker.call(json!({"command": "stop"}));
    worker.ended();
    assert_eq!(stands(), false, "none is there that could");
    let mut next = till.worker(&[]);
    next.until_event("sync_finished");
    let sync = till.run(["status"]).json["sync"].clone();
    assert_eq!((&sync["worker_alive"], &sync["worker_paused"]), (&json!(true), &json!(false)));
}

// ---- readers and people ------------------------------------------------------------------------------------------

#[test]
fn a_reader_that_never_reads_holds_up_nothing_and_is_told_what_it_missed() {
    let till = Till::new(sandbox(3_000));
    let mut child = till.worker_command(&["--create", "--events", "50"]).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let mut worker = Worker::of_silent(child);
    // A pipe holds 64 KiB; what is told of these edits is nearly twice as much.
    soon(|| till.path.exists() && till.store().status().unwrap().snapshot_customers == 3_000);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().take(400).map(i64::from).collect();
    for round in 0..4 {
        ids.iter().for_each(|id| till.set(*id, "phone", &format!("{round}-{id}")));
        soon(|| ids.iter().all(|id| till.remote_value(*id, "phone") == format!("\"{round}-{id}\"")));
    }
    worker.ask(json!({"command": "status"}));
    std::thread::sleep(Duration::from_millis(500));
    worker.listen(output);
    let missed = worker.until_event("missed");
    assert!(missed["count"].as_u64().unwrap() > 100, "{missed}");
    let status = worker.until(|line| line["answer"] == "status");
    assert_eq!((&status["id"], &status["pending_fields"]), (&json!(1), &json!(0)));
    worker.close_input();
    worker.until(|line| line["answer"] == "end_of_input");
    assert_eq!(worker.ended().code(), Some(0));
}

#[test]
fn a_reader_that_is_stuck_does_not_keep_it_alive() {
    let till = Till::new(sandbox(3_000));
    let mut child = till.worker_command(&["--create"]).spawn().unwrap();
    let _unread = child.stdout.take();
    let mut worker = Worker::of_silent(child);
    soon(|| till.path.exists() && till.store().status().unwrap().snapshot_customers == 3_000);
    worker.close_input();
    assert_eq!(worker.ended().code(), Some(0));
}

#[test]
fn a_policy_decides_what_both_sides_changed() {
    let till = till(2);
    till.sell(1, "ours");
    till.set(1, "company", "ours");
    till.sandbox.edit(1, json!({"phone": "theirs", "company": "theirs"}));
    let mut worker = till.worker(&["--policy", "remote", "--policy", "company=local"]);
    worker.until_event("sync_finished");
    assert_eq!(
        (till.local(1, "phone"), till.remote_value(1, "phone")),
        ("\"theirs\"".into(), "\"theirs\"".into())
    );
    assert_eq!(till.remote_value(1, "company"), "\"ours\"");
    let refused =
        Ran::of(&till.worker_command(&["--policy", "phone=newest"]).stdin(Stdio::null()).output().unwrap());
    assert_eq!((refused.exit, refused.code()), (Some(2), "usage"));
}

#[test]
fn people_are_told_in_words_and_it_works_without_an_input() {
    use std::io::{BufRead, BufReader};
    let till = till(3);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tillsync"));
    command
        .args(["worker", "--debounce-ms", "50", "--look-ms", "20"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
        .env("TILLSYNC_DB", &till.path)
        .env("TILLSYNC_API_URL", till.sandbox.url())
        .env("BIGCOMMERCE_STORE_HASH", till.sandbox.store_hash())
        .env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token())
        .envs(till.key.as_ref().map(|key| ("TILLSYNC_KEY", key)));
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("in step with"), "the first line says what it is");
    assert!(lines.next().unwrap().contains("Pulled 0 customers. Nothing was sent."));
    till.sell(2, "555-0142");
    assert!(lines.next().unwrap().contains("phone of customer 2 is in the store."));
    assert!(lines.next().unwrap().contains("Sent 1 field of 1 customer in 1 call"));
    child.kill().unwrap();
    child.wait().unwrap();
}

// ---- threads -----------------------------------------------------------------------------------------------------

/// As a user of its own, who may have so many threads; root may have any number. None: this machine cannot.
#[cfg(target_os = "linux")]
fn as_a_user(till: &Till, threads: u32, arguments: &[&str]) -> Option<std::process::Command> {
    use std::process::Command;
    use std::sync::atomic::{AtomicU32, Ordering};
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !is_root || !has("setpriv") || !has("prlimit") {
        return None;
    }
    // Whoever else runs as this user counts too, the other tests of this process among them.
    static USERS: AtomicU32 = AtomicU32::new(0);
    let user = 60_000 + std::process::id() % 500 * 10 + USERS.fetch_add(1, Ordering::Relaxed);
    let user = user.to_string();
    let folder = till.path.parent().unwrap();
    assert!(Command::new("chown").args(["-R", &user]).arg(folder).status().unwrap().success());
    let inner = till.command(arguments.iter().copied());
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()])
        .args(["prlimit".to_owned(), format!("--nproc={threads}:{threads}")])
        .arg(inner.get_program())
        .args(inner.get_args())
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    Some(command)
}

/// False: this machine lets nobody change that.
#[cfg(target_os = "linux")]
fn may_have(worker: &Worker, threads: u32) -> bool {
    let pid = worker.child.id().to_string();
    let limit = format!("--nproc={threads}:{threads}");
    std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success()
}

/// Its own threads, and that of a name that is looked up for a request.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_that_gets_no_thread_says_that_and_goes_on_when_there_are_some() {
    let till = till(2);
    let arguments = [
        "worker",
        "--debounce-ms",
        "100",
        "--retry-base-ms",
        "50",
        "--retry-cap-ms",
        "300",
        "--look-ms",
        "20",
    ];
    let Some(mut command) = as_a_user(&till, 4, &arguments) else { return };
    let mut worker = Worker::of(command.spawn().unwrap());
    std::thread::sleep(Duration::from_secs(1));
    assert!(worker.child.try_wait().unwrap().is_none(), "it has ended");
    if !may_have(&worker, 10) {
        println!("NOT RUN: the limits of a process cannot be changed here");
        return;
    }
    assert_eq!(worker.line()["event"], "ready");
    let failed = worker.until(|line| line["event"] == "sync_failed");
    assert_eq!(failed["code"], "no_thread", "{failed}");
    assert!(failed["hint"].as_str().unwrap().contains("ulimit -u"), "{failed}");
    assert!(may_have(&worker, 100));
    worker.until_event("sync_finished");
}

#[test]
#[cfg(target_os = "linux")]
fn a_command_that_gets_no_thread_says_that() {
    let till = till(2);
    till.set(1, "phone", "555");
    for threads in [1, 3, 6] {
        let Some(mut command) = as_a_user(&till, threads, &["sync"]) else { return };
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let ran = Ran::of(&output);
        assert_eq!((ran.exit, ran.code()), (Some(1), "no_thread"), "{threads}: {ran:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "it is no defect: {said}");
    }
    let mut command = as_a_user(&till, 1, &["status"]).unwrap();
    assert_eq!(Ran::of(&command.output().unwrap()).exit, Some(0), "what needs none goes on");
}
