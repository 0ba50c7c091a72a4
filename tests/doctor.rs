//! What somebody can find out who was not there: how it stands with the syncs of a file, by whatever process they ran; what
//! still waits, and since when; who holds what.

#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;
#[path = "common/worker.rs"]
mod worker;

use std::io::{BufRead, BufReader};
use std::time::Duration;

use common::{Till, soon, till};
use serde_json::{Value, json};

/// How it stands, asked by a process of its own.
fn status(till: &Till) -> Value {
    till.run(["status"]).json
}

/// How it stands with the syncs.
fn sync(till: &Till) -> Value {
    status(till)["sync"].take()
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
    soon(|| till.remote_value(1, "phone") == "\"555-0142\"");
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
    let mut worker = till.worker(&["--waiting-long-ms", "3000"]);
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
    till.sandbox.script_updates([tillsync::sandbox::Fault::DelayedAnswer { ms: 25_000 }]);
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

// ---- for whoever helps -------------------------------------------------------------------------------------------

/// What must be nowhere in a report, put into every place that could hold it.
const CANARY: &str = "canary";

/// A till, in a folder of that name, in which every kind of row is there and holds it wherever it can.
fn full_of_canaries() -> Till {
    let sandbox = common::sandbox(5);
    for id in 1..=5 {
        assert!(sandbox.edit(id, canaries(id, "theirs")));
    }
    let mut till = Till::new(sandbox);
    let folder = till.folder.path().join(CANARY);
    std::fs::create_dir(&folder).unwrap();
    till.path = folder.join("canary.db");
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    let mut app = rusqlite::Connection::open(&till.path).unwrap();
    app.execute_batch(
        "CREATE TABLE canary_sale (canary TEXT);
         INSERT INTO canary_sale VALUES ('canary');
         CREATE INDEX canary_index ON customer (email COLLATE NOCASE, first_name);
         CREATE TRIGGER canary_trigger AFTER UPDATE OF company ON customer
         BEGIN INSERT INTO canary_sale VALUES (NEW.company); END;",
    )
    .unwrap();
    // Edits that wait, by an app that says who and for what, and forgets to take it back.
    app.execute("UPDATE edit_context SET author = 'canary', label = 'canary'", []).unwrap();
    let own = canaries(1, "ours");
    for (field, value) in own.as_object().unwrap() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        app.execute(&format!("UPDATE customer SET {field} = ?1 WHERE id = 1"), [value]).unwrap();
    }
    // Refused, in words that repeat it; in conflict, a form field among it; on its way.
    app.execute("UPDATE customer SET email = 'canary3theirs@example.com' WHERE id = 2", []).unwrap();
    app.execute(
        "UPDATE customer SET form_fields = '[{\"name\":\"canary\",\"value\":\"canary x\"}]' WHERE id = 4",
        [],
    )
    .unwrap();
    till.office(4, json!({"form_fields": [{"name": "canary", "value": "canary y"}]}));
    let refused = till.run(["sync"]);
    assert_eq!(refused.exit, Some(3), "{refused:?}");
    let sale = app.transaction().unwrap();
    sale.execute("INSERT INTO password_change (customer_id, new_password) VALUES (5, 'canary-canary')", [])
        .unwrap();
    sale.execute("UPDATE customer SET notes = 'canary canary', phone = 'canary 2' WHERE id = 5", []).unwrap();
    sale.commit().unwrap();
    till.sandbox.script_updates([tillsync::sandbox::Fault::DelayedAnswer { ms: 25_000 }]);
    let mut sync = till.command(["sync"]).spawn().unwrap();
    soon(|| status(&till)["in_flight_batches"] == 1);
    sync.kill().unwrap();
    sync.wait().unwrap();
    till.sandbox.cut();
    assert_eq!(till.run(["sync"]).exit, Some(4));
    app.execute("INSERT INTO store_credit_override VALUES (3, '-1.25', 'ana')", []).unwrap();
    till
}

fn canaries(id: i32, whose: &str) -> Value {
    json!({
        "email": format!("canary{id}{whose}@example.com"), "first_name": format!("canary {whose}"), "last_name": "canary",
        "company": format!("canary {whose}"), "phone": format!("canary {whose}"), "notes": format!("canary {whose}"),
        "tax_exempt_category": format!("canary {whose}"),
        "form_fields": [{"name": "canary", "value": format!("canary {whose}")}, {"name": "other", "value": ["canary"]}],
    })
}

#[test]
fn a_report_for_support_tells_how_it_stands_and_nothing_of_anybody() {
    let till = full_of_canaries();
    let to = till.folder.path().join("report.json");
    let path = to.to_str().unwrap();
    let mut command = till.command(["report", path]);
    let ran = command.env("TILLSYNC_AUTHOR", CANARY).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let text = std::fs::read_to_string(&to).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let small = text.to_lowercase();
    for secret in [CANARY, till.sandbox.token(), "example.com", &till.folder.path().display().to_string()] {
        let line = text.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
        assert!(!small.contains(&secret.to_lowercase()), "{secret}: {line:?}");
    }
    // It is of use all the same.
    assert_eq!(report["versions"]["tillsync"], env!("CARGO_PKG_VERSION"));
    assert!(report["versions"]["schema"].as_i64().unwrap() >= 8, "{report:#}");
    let waiting = report["waiting"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    let kinds: Vec<&str> = waiting
        .iter()
        .map(|kind| kind["outcome"].as_str().unwrap_or_else(|| panic!("{waiting:#?}")))
        .collect();
    for kind in ["pending", "in_flight", "rejected", "held"] {
        assert!(kinds.contains(&kind), "{kind}: {waiting:#?}");
    }
    assert_eq!(report["conflicts"][0]["field"], "form_fields");
    assert_eq!(report["status"]["sync"]["last_error"]["code"], "offline");
    let syncs = report["syncs"].as_array().unwrap();
    assert_eq!(syncs.last().unwrap()["outcome"], "offline");
    assert!(syncs.iter().any(|sync| sync["counts"]["put"].as_i64() > Some(0)), "{syncs:#?}");
    assert!(report["query_plans"].as_array().unwrap().len() >= 3);
    assert_eq!(report["of_the_app"]["triggers_on_our_tables"], 1);
    assert_eq!(report["settings"]["token_from"], "the environment");
    assert_eq!(report["checks"]["integrity"], true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(till.run(["report", path]).exit, Some(2), "nothing is overwritten");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), text);
}

#[test]
fn a_report_is_made_of_a_file_too_that_does_not_open() {
    let till = till(3);
    std::fs::write(&till.path, vec![b'x'; 8_192]).unwrap();
    let to = till.folder.path().join("report.json");
    assert_eq!(till.run(["report", to.to_str().unwrap()]).exit, Some(0));
    let report: Value = serde_json::from_slice(&std::fs::read(&to).unwrap()).unwrap();
    assert!(report["file"]["error"].is_string(), "{report:#}");
    assert_eq!(report["checks"]["database"], false);
}
