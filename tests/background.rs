//! The background worker on real threads and real HTTP: it syncs by itself, and tells what happens.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use common::{SOON, Till, soon, till};
use serde_json::json;
use tillsync::sandbox::Fault;
use tillsync::{Event, Events, Fate, Syncer, SyncerOptions};

/// A worker that waits for nothing longer than a test may; its schedule is far away.
fn quick() -> SyncerOptions {
    SyncerOptions {
        every: Duration::from_secs(600),
        debounce: Duration::from_millis(100),
        retry_base: Duration::from_millis(50),
        retry_cap: Duration::from_millis(400),
        look: Duration::from_millis(20),
        ..SyncerOptions::default()
    }
}

fn work(till: &Till) -> (Syncer, Events) {
    work_with(till, quick())
}

fn work_with(till: &Till, options: SyncerOptions) -> (Syncer, Events) {
    let (syncer, events) = Syncer::start(till.engine(), options).unwrap();
    await_event(&events, |event| matches!(event, Event::SyncFinished(_)));
    (syncer, events)
}

/// Reads on until such an event comes.
fn await_event(events: &Events, is_it: impl Fn(&Event) -> bool) -> Event {
    let deadline = Instant::now() + SOON;
    while let Some(event) = events.next(deadline.saturating_duration_since(Instant::now())) {
        if is_it(&event) {
            return event;
        }
    }
    panic!("it did not come");
}

#[test]
fn an_edit_of_another_program_goes_up_by_itself_and_edits_made_together_go_together() {
    let till = till(5);
    // Two of them are never so far apart as to be none that were made together.
    let (_syncer, events) = work_with(&till, SyncerOptions { debounce: Duration::from_secs(2), ..quick() });
    let other = rusqlite::Connection::open(&till.path).unwrap();
    other.busy_timeout(SOON).unwrap();
    for id in 1..=3 {
        other.execute("UPDATE customer SET phone = '1' WHERE id = ?1", [id]).unwrap();
    }
    let Event::SyncFinished(report) =
        await_event(&events, |event| matches!(event, Event::SyncFinished(r) if r.uploaded_customers > 0))
    else {
        unreachable!()
    };
    assert_eq!((report.uploaded_customers, report.requests.put), (3, 1));
    till.assert_no_violations();
}

#[test]
fn a_receipt_tells_the_fate_of_an_edit() {
    let till = till(5);
    let mut store = till.store();
    let waiting = store.edit(1).set("phone", "1").commit().unwrap();
    assert_eq!(store.wait(&waiting, Duration::ZERO).unwrap(), Fate::Pending);
    let refused = store.edit(2).set("email", "no address").commit().unwrap();
    till.sandbox.edit(3, json!({"company": "theirs"}));
    let contested = store.edit(3).set("company", "ours").commit().unwrap();
    let taken_back = [
        store.edit(4).set("phone", "1").commit().unwrap(),
        store.edit(4).set("phone", "2").commit().unwrap(),
    ];
    let (_syncer, events) = work(&till);
    assert!(matches!(store.wait(&waiting, SOON).unwrap(), Fate::Uploaded { date_modified: Some(_) }));
    assert!(
        matches!(store.wait(&refused, SOON).unwrap(), Fate::Rejected { reason, .. } if reason.contains("address"))
    );
    assert!(
        matches!(store.wait(&contested, SOON).unwrap(), Fate::InConflict { field, .. } if field == "company")
    );
    assert_eq!(store.wait(&taken_back[0], SOON).unwrap(), Fate::Superseded);
    drop(events);
}

#[test]
fn events_tell_what_became_of_edits_and_customers() {
    let till = till(5);
    let (syncer, events) = work(&till);
    syncer.pause();
    till.sandbox.edit(4, json!({"company": "theirs"}));
    till.sandbox.edit(3, json!({"company": "theirs"}));
    till.set(1, "phone", "1");
    till.set(2, "email", "no address");
    till.set(3, "company", "ours");
    syncer.sync_now();
    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(Event::SyncFinished(_))) {
        seen.push(events.next(SOON).expect("a sync ends"));
    }
    let journal = till.store().journal(None).unwrap();
    let outcome =
        |field: &str| journal.iter().find(|row| row.field == field).unwrap().outcome.unwrap().as_str();
    assert_eq!([outcome("phone"), outcome("email"), outcome("company")], ["uploaded", "rejected", "held"]);
    assert_eq!(seen.first(), Some(&Event::SyncStarted));
    let edits: Vec<(&str, i64)> = seen
        .iter()
        .filter_map(|event| match event {
            Event::EditUploaded(edit) => Some(("uploaded", edit.customer_id.0)),
            Event::EditRejected { edit, .. } => Some(("rejected", edit.customer_id.0)),
            Event::EditInConflict(edit) => Some(("in conflict", edit.customer_id.0)),
            Event::CustomerChanged { customer_id } => Some(("changed", customer_id.0)),
            _ => None,
        })
        .collect();
    for told in [("changed", 4), ("in conflict", 3), ("uploaded", 1), ("rejected", 2)] {
        assert!(edits.contains(&told), "{told:?} is not in {edits:?}");
    }
}

#[test]
fn what_failed_arrives_without_a_new_edit_once_the_network_is_back() {
    let till = till(5);
    let (_syncer, events) = work(&till);
    till.sandbox.cut();
    till.set(1, "phone", "1");
    await_event(&events, |event| matches!(event, Event::Offline { .. }));
    std::thread::sleep(Duration::from_millis(300));
    till.sandbox.heal().unwrap();
    await_event(&events, |event| matches!(event, Event::Online));
    assert_eq!(till.remote_value(1, "phone"), "\"1\"");
}

#[test]
fn of_two_workers_one_works_and_the_other_takes_over() {
    let till = till(5);
    let (first, _events) = work(&till);
    let (second, events) = Syncer::start(till.engine(), quick()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(first.is_at_work() && !second.is_at_work());
    drop(first);
    soon(|| second.is_at_work());
    till.set(1, "phone", "1");
    await_event(&events, |event| matches!(event, Event::EditUploaded(edit) if edit.customer_id.0 == 1));
}

#[test]
fn it_stops_within_its_time_and_the_next_sync_goes_on_from_there() {
    let mut till = till(5);
    let (syncer, _events) = work(&till);
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 5_000 }]);
    till.set(1, "phone", "1");
    soon(|| till.remote_value(1, "phone") == "\"1\"");
    assert!(!syncer.stop(Duration::from_millis(100)), "the answer takes five seconds");
    // Its update is on its way until it is answered.
    assert_eq!(till.engine().sync().unwrap_err().code(), "busy", "it did not wait for the answer");
    till.options.wait = SOON;
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), "\"1\"");
    till.assert_no_violations();
}

#[test]
fn a_till_that_edits_all_the_time_on_a_bad_line_waits_for_nothing_and_loses_nothing() {
    let till = till(20);
    let mut till = till;
    till.options.upload.retry.write_base_ms = 50;
    till.options.upload.retry.read_base_ms = 50;
    till.options.upload.grace_ms = 100;
    let (_syncer, events) = work(&till);
    till.sandbox.set_latency_ms(20);
    till.sandbox.set_faults("lost-answer=0.02,status-503=0.02".parse().unwrap());
    let before: f64 = credit(&till);
    let mut store = till.store();
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    for n in 0..300 {
        store.edit(ids[n % ids.len()]).set("phone", &n.to_string()).commit().unwrap();
        store.edit(1).adjust_credit("0.01".parse().unwrap()).commit().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    till.sandbox.set_faults(tillsync::sandbox::Faults::none());
    soon(|| {
        let status = store.status().unwrap();
        status.pending_fields == 0 && status.in_flight_batches == 0
    });
    assert_eq!(store.status().unwrap().conflicts, 0);
    assert!((credit(&till) - before - 3.0).abs() < 1e-9, "three hundred cents, once each");
    drop(events);
    till.assert_no_violations();
}

fn credit(till: &Till) -> f64 {
    till.sandbox.customer(1).unwrap()["store_credit_amounts"][0]["amount"].as_f64().unwrap()
}

#[test]
fn the_next_try_is_noted_in_the_file() {
    let till = till(5);
    till.sandbox.script([Fault::Status(401)]);
    let (syncer, events) = Syncer::start(
        till.engine(),
        SyncerOptions { retry_base: Duration::from_secs(20), retry_cap: Duration::from_secs(30), ..quick() },
    )
    .unwrap();
    await_event(&events, |event| matches!(event, Event::SyncFailed { code: "auth", .. }));
    drop(syncer);
    // Another worker takes the deadline over instead of trying at once.
    let patient = SyncerOptions { look: Duration::from_millis(20), ..SyncerOptions::default() };
    let (syncer, events) = Syncer::start(till.engine(), patient).unwrap();
    soon(|| syncer.is_at_work());
    assert_eq!(events.next(Duration::from_millis(500)), None);
    syncer.sync_now();
    await_event(&events, |event| matches!(event, Event::SyncFinished(_)));
}
