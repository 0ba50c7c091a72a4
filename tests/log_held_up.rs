//! A reader that stays: what it holds up is told, by whom and since when, and nobody waits for it.

#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Till, till};
use tillsync::rusqlite::Connection;
use tillsync::{Event, Store};

/// What `doctor` says of the log: whether it is good, and its words.
fn doctor(till: &Till) -> (bool, String) {
    let ran = till.run(["doctor"]);
    let checks = ran.json["checks"].as_array().unwrap();
    let log = checks.iter().find(|check| check["name"] == "log").unwrap();
    let is_good = log["ok"].as_bool().unwrap();
    assert!(is_good || ran.exit == Some(3), "{ran:?}");
    (is_good, log["detail"].as_str().unwrap().to_owned())
}

/// Begins to read and stays.
fn begin_reading(reader: &mut Store) -> &Connection {
    let reading = reader.connection();
    reading.execute_batch("BEGIN").unwrap();
    reading.query_row("SELECT count(*) FROM state", [], |row| row.get::<_, i64>(0)).unwrap();
    reading
}

/// An app writes so much into a table of its own.
fn write(till: &Till, mib: i64) {
    let mut store = till.store();
    let app = store.connection();
    app.execute_batch("CREATE TABLE IF NOT EXISTS photo (body BLOB)").unwrap();
    for _ in 0..mib / 8 {
        app.execute("INSERT INTO photo VALUES (zeroblob(8 << 20))", []).unwrap();
    }
}

/// On Linux the process is named: this one.
fn names_us(words: &str) -> bool {
    !cfg!(target_os = "linux") || words.contains(&format!("process {} (", std::process::id()))
}

#[test]
fn a_password_that_a_reader_keeps_in_the_log_is_told_and_leaves_it_with_the_sync_after() {
    let till = till(3);
    let mut reader = till.store();
    let reading = begin_reading(&mut reader);
    till.store().edit(1).set("new_password", "correct horse").commit().unwrap();
    till.engine().sync().unwrap();
    let (is_good, words) = doctor(&till);
    assert!(!is_good && words.contains("a password") && names_us(&words), "{words}");
    reading.execute_batch("COMMIT").unwrap();
    till.engine().sync().unwrap();
    assert!(doctor(&till).0);
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(till.folder.path().join(format!("till.db{suffix}"))).unwrap();
        assert!(!bytes.windows(13).any(|part| part == b"correct horse"), "till.db{suffix}");
    }
}

#[test]
fn a_log_that_a_reader_holds_up_is_told_by_the_doctor_and_by_one_event_an_hour() {
    let till = till(3);
    let mut reader = till.store();
    let reading = begin_reading(&mut reader);
    assert!(doctor(&till).0, "who reads is in nobody's way by that");
    write(&till, 104);
    let (is_good, words) = doctor(&till);
    assert!(!is_good && words.contains("the log beside the file has 104 MiB"), "{words}");
    assert!(names_us(&words), "{words}");

    let told: Arc<Mutex<Vec<Event>>> = Arc::default();
    let listener = told.clone();
    let is_it = |event: &Event| matches!(event, Event::LogHeldUp { .. });
    let mut engine = till.engine().on_event(move |event| {
        listener.lock().unwrap().extend(Some(event).filter(is_it));
    });
    engine.sync().unwrap();
    assert_eq!(told.lock().unwrap().len(), 0, "it may be over in a moment");
    let earlier = "UPDATE state SET value = '2026-01-01T00:00:00Z' WHERE key = 'log_held_up'";
    assert_eq!(common::as_engine(till.store().connection(), earlier, []), 1);
    engine.sync().unwrap();
    engine.sync().unwrap();
    let event = serde_json::to_value(&told.lock().unwrap()[..]).unwrap();
    assert_eq!((event.as_array().unwrap().len(), &event[0]["event"]), (1, &"log_held_up".into()), "{event}");
    assert_eq!(event[0]["since"], "2026-01-01T00:00:00Z");
    if cfg!(target_os = "linux") {
        assert_eq!(event[0]["readers"], serde_json::json!([std::process::id()]));
    }

    reading.execute_batch("COMMIT").unwrap();
    engine.sync().unwrap();
    assert!(till.folder.path().join("till.db-wal").metadata().unwrap().len() < 8 << 20);
    assert!(doctor(&till).0);
}
