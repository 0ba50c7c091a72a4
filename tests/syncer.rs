//! A worker inside a till, as an app has it: real threads, real HTTP, real processes that are killed.
//!
//! Every wait has a bound that is far above what is stated, so that a busy machine does not fail a test; where a bound
//! itself is the statement, it is written out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::odd::{Kind, Odd, Told};
use common::{SOON, Till, till};
use serde_json::json;
use tillsync::sandbox::{Fault, FaultRate, Faults};
use tillsync::{EditEvent, Event, Events, Extent, Fate, FieldId, Receipt, Store, Syncer, SyncerOptions};

/// Quick to edits and to failures; the schedule is far away.
fn options() -> SyncerOptions {
    SyncerOptions {
        every: Duration::from_secs(600),
        debounce: Duration::from_millis(150),
        patience: Duration::from_millis(600),
        retry_base: Duration::from_millis(100),
        retry_cap: Duration::from_millis(400),
        look: Duration::from_millis(25),
        events: 1_024,
        ..SyncerOptions::default()
    }
}

/// A till whose waits inside a sync are short.
fn quick(customers: usize) -> Till {
    let mut till = till(customers);
    let retry = &mut till.options.upload.retry;
    (retry.read_base_ms, retry.write_base_ms) = (20, 20);
    till.options.upload.grace_ms = 50;
    till
}

/// A worker that has done its first sync.
fn at_work(till: &Till, options: SyncerOptions) -> (Syncer, Events) {
    let (syncer, events) = Syncer::start(till.engine(), options).unwrap();
    until(&events, |event| matches!(event, Event::SyncFinished(_)));
    till.sandbox.clear_requests();
    (syncer, events)
}

/// Reads events up to and with the first that is `wanted`.
#[track_caller]
fn until(events: &Events, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut read = Vec::new();
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        if let Some(event) = events.next(Duration::from_millis(50)) {
            read.push(event);
            if read.last().is_some_and(&wanted) {
                return read;
            }
        }
    }
    panic!("it did not happen; what did: {read:?}");
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "not so after all: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn edit(till: &Till, id: i64, value: &str) -> Receipt {
    till.store().edit(id).set("phone", value).commit().unwrap()
}

fn wait(till: &Till, receipt: &Receipt) -> Fate {
    till.store().wait(receipt, SOON).unwrap()
}

fn is_finished(event: &Event) -> bool {
    matches!(event, Event::SyncFinished(_))
}

fn finished(events: &[Event]) -> usize {
    events.iter().filter(|event| is_finished(event)).count()
}

/// What has been said so far, without waiting.
fn said(events: &Events) -> Vec<Event> {
    std::iter::from_fn(|| events.next(Duration::ZERO)).collect()
}

/// A worker of which everybody is due to be asked for, and news often.
fn asks_for_everybody(till: &Till) -> (Syncer, Events) {
    let long_ago = "UPDATE state SET value = '2026-01-01T00:00:00Z' WHERE key = 'last_full_pull_at'";
    assert_eq!(common::as_engine(till.store().connection(), long_ago, []), 1);
    let options = SyncerOptions { every: Duration::from_millis(100), ..options() };
    Syncer::start(till.engine(), options).unwrap()
}

// ---- when it syncs -----------------------------------------------------------------------------------------------

/// Others use the quota up: the list of news is asked for another time, and nobody's edit waits for it.
#[test]
fn where_the_quota_is_short_news_waits_and_an_edit_goes_up() {
    let till = quick(3);
    let odd =
        Odd::before(&till.sandbox).before_store(|asked| (asked.is_list() && asked.nth > 1).then(used_up));
    let options =
        SyncerOptions { every: Duration::from_millis(300), latest: Duration::from_secs(3_600), ..options() };
    let (_syncer, events) = Syncer::start(till.through(&odd).engine(), options).unwrap();
    until(&events, is_finished);
    let read = until(&events, is_finished);
    let Some(Event::SyncFinished(report)) = read.last() else { panic!("{read:?}") };
    assert_eq!(report.rate_limited, 1);
    assert!(report.incomplete.as_deref().is_some_and(|why| why.contains("put off")), "{report:?}");
    let fate = wait(&till, &edit(&till, 1, "soon"));
    assert!(matches!(fate, Fate::Uploaded { .. }), "{fate:?}");
    assert_eq!(odd.count(Kind::List), 2, "it is not asked for again before half of the latest has passed");
}

fn used_up() -> Told {
    let mut told = Told::json_of(429, &json!({"status": 429, "title": "too many requests"}));
    for (name, value) in [("Requests-Left", "0"), ("Requests-Quota", "150"), ("Time-Reset-Ms", "200")] {
        told.header(&format!("X-Rate-Limit-{name}"), Some(value));
    }
    told
}

#[test]
fn an_edit_is_sent_soon_by_itself() {
    let till = quick(3);
    let (_syncer, _events) = at_work(&till, options());
    let receipt = edit(&till, 1, "soon");
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { date_modified: Some(_) }));
    assert_eq!(till.remote_value(1, "phone"), "\"soon\"");
    till.assert_no_violations();
}

/// By another program, in another language, that knows nothing of this library.
const OTHER_PROGRAM: &str = "import sqlite3, sys
till = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
till.execute('UPDATE customer SET phone = ? WHERE id = 2', ('by SQL',))";

#[test]
fn an_edit_of_another_program_through_plain_sql_is_noticed() {
    let till = quick(3);
    let (_syncer, _events) = at_work(&till, options());
    let done = Command::new("python3").args(["-c", OTHER_PROGRAM]).arg(&till.path).status();
    assert!(done.expect("python3 is needed").success());
    eventually("the edit arrives", || till.remote_value(2, "phone") == "\"by SQL\"");
}

#[test]
fn edits_made_together_go_up_together() {
    let till = quick(12);
    // However slow the disk is, no two of them are so far apart as to be none that were made together.
    let patient =
        SyncerOptions { debounce: Duration::from_secs(2), patience: Duration::from_secs(60), ..options() };
    let (_syncer, events) = at_work(&till, patient);
    let receipts: Vec<Receipt> = (1..=10).map(|id| edit(&till, id, "together")).collect();
    for receipt in &receipts {
        assert!(matches!(wait(&till, receipt), Fate::Uploaded { .. }));
    }
    until(&events, is_finished);
    assert_eq!(till.puts().len(), 1, "ten customers, one call");
}

#[test]
fn it_syncs_on_demand_and_on_its_schedule() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    till.office(1, json!({"phone": "from the office"}));
    syncer.sync_now();
    until(&events, is_finished);
    assert_eq!(till.local(1, "phone"), "\"from the office\"");
    drop(syncer);

    let (_syncer, events) = at_work(&till, SyncerOptions { every: Duration::from_millis(200), ..options() });
    till.office(1, json!({"phone": "again"}));
    eventually("it is pulled without being asked for", || till.local(1, "phone") == "\"again\"");
    until(&events, is_finished);
}

#[test]
fn paused_it_keeps_still_until_it_is_resumed_or_asked() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    syncer.pause();
    let first = edit(&till, 1, "while paused");
    assert_eq!(till.store().wait(&first, Duration::from_millis(800)).unwrap(), Fate::Pending);
    assert_eq!(said(&events), [], "nothing was begun");
    syncer.sync_now();
    assert!(matches!(wait(&till, &first), Fate::Uploaded { .. }), "on demand it syncs also when paused");
    until(&events, is_finished);

    let second = edit(&till, 2, "while paused");
    assert_eq!(till.store().wait(&second, Duration::from_millis(500)).unwrap(), Fate::Pending);
    syncer.resume();
    assert!(matches!(wait(&till, &second), Fate::Uploaded { .. }));
}

#[test]
fn a_refused_edit_that_a_person_frees_is_sent_soon() {
    let till = quick(3);
    let (_syncer, events) = at_work(&till, options());
    till.office(2, json!({"email": "other@example.com"}));
    let taken = till.store().edit(1).set("email", "other@example.com").commit().unwrap();
    until(&events, |event| matches!(event, Event::EditRejected { .. }));
    assert!(matches!(wait(&till, &taken), Fate::Rejected { .. }));
    till.office(2, json!({"email": "elsewhere@example.com"}));
    assert_eq!(till.store().retry(None).unwrap(), 1);
    assert!(matches!(wait(&till, &taken), Fate::Uploaded { .. }), "without a further edit");
}

// ---- the network -------------------------------------------------------------------------------------------------

#[test]
fn what_could_not_be_sent_arrives_by_itself_when_the_network_is_back() {
    let till = quick(3);
    let (_syncer, events) = at_work(&till, options());
    till.sandbox.cut();
    let receipt = edit(&till, 1, "kept");
    let read = until(&events, |event| matches!(event, Event::SyncFailed { .. }));
    assert!(
        matches!(
            &read[..],
            [Event::SyncStarted, Event::Offline { .. }, Event::SyncFailed { code: "offline", .. }]
        ),
        "{read:?}"
    );
    let more = until(&events, |event| matches!(event, Event::SyncFailed { .. }));
    assert!(!more.iter().any(|event| matches!(event, Event::Offline { .. })), "it is said once");
    assert_eq!(till.store().fate(&receipt).unwrap(), Fate::Pending);

    till.sandbox.heal().unwrap();
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { .. }), "the schedule is ten minutes away");
    let told = until(&events, |event| *event == Event::Online);
    let is_news = |event: &Event| matches!(event, Event::EditUploaded(_) | Event::SyncFinished(_));
    assert!(!told.iter().any(is_news), "the store is there before it does anything: {told:?}");
}

/// An edit that is taken back costs no call: of the store nothing was heard then.
#[test]
fn nobody_is_told_that_the_store_is_there_before_it_has_said_a_word() {
    let till = quick(3);
    let (_syncer, events) = at_work(&till, options());
    let before = till.local(1, "phone").replace('"', "");
    till.sandbox.cut();
    edit(&till, 1, "kept");
    until(&events, |event| matches!(event, Event::SyncFailed { .. }));
    edit(&till, 1, &before);
    let told = until(&events, is_finished);
    assert!(!told.contains(&Event::Online), "{told:?}");
    till.sandbox.heal().unwrap();
    edit(&till, 1, "sent");
    until(&events, |event| *event == Event::Online);
}

#[test]
fn the_deadline_of_the_next_try_survives_a_restart() {
    let till = quick(3);
    let slow =
        SyncerOptions { retry_base: Duration::from_secs(4), retry_cap: Duration::from_secs(4), ..options() };
    let receipt = edit(&till, 1, "kept");
    till.sandbox.cut();
    // Before it failed, so that it cannot be too late.
    let began = Instant::now();
    let (syncer, events) = Syncer::start(till.engine(), slow.clone()).unwrap();
    until(&events, |event| matches!(event, Event::SyncFailed { .. }));
    assert!(syncer.stop(SOON));
    till.sandbox.heal().unwrap();

    let (_syncer, events) = Syncer::start(till.engine(), slow).unwrap();
    until(&events, |event| *event == Event::SyncStarted);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(2), "not before the deadline, half of 4 s at least: {waited:?}");
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { .. }), "and without a further edit");
}

#[test]
fn after_a_sync_that_went_well_a_restart_waits_for_nothing() {
    let till = quick(3);
    let patient = SyncerOptions { retry_cap: 3 * SOON, ..options() };
    let (syncer, _events) = at_work(&till, patient.clone());
    assert!(syncer.stop(SOON));
    let receipt = edit(&till, 1, "while nobody worked");
    let (_syncer, _events) = Syncer::start(till.engine(), patient).unwrap();
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { .. }));
}

// ---- its end -----------------------------------------------------------------------------------------------------

#[test]
fn it_stops_within_the_stated_time_in_the_middle_of_a_request_and_the_next_sync_repairs() {
    let mut till = quick(3);
    let (syncer, _events) = at_work(&till, options());
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 4_000 }]);
    let receipt = edit(&till, 1, "on its way");
    eventually("the update is on its way", || till.store().status().unwrap().in_flight_batches == 1);
    eventually("and was applied", || till.remote_value(1, "phone") == "\"on its way\"");

    assert!(!syncer.stop(Duration::from_millis(200)), "it was abandoned");
    assert_eq!(till.store().fate(&receipt).unwrap(), Fate::Pending, "and nobody waited for the answer");

    // Its update is on its way until it is answered: no other sync is beside it.
    assert_eq!(till.engine().sync().unwrap_err().code(), "busy");
    till.options.wait = SOON;
    let report = till.engine().sync().unwrap();
    assert!(matches!(till.store().fate(&receipt).unwrap(), Fate::Uploaded { .. }));
    assert_eq!(report.requests.put, 0, "it is read back, not sent again");
    assert_eq!(till.puts().len(), 1);
}

#[test]
fn a_sync_that_can_end_in_time_does() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 500 }]);
    let receipt = edit(&till, 1, "just in time");
    eventually("the update is on its way", || till.store().status().unwrap().in_flight_batches == 1);
    assert!(syncer.stop(SOON), "it came to its end");
    assert!(matches!(till.store().fate(&receipt).unwrap(), Fate::Uploaded { .. }));
    until(&events, is_finished);
    let began = Instant::now();
    assert_eq!(events.next(SOON), None, "the stream has ended");
    assert!(began.elapsed() < SOON, "and nobody waits for more");
}

#[test]
fn dropping_it_stops_it() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    drop(syncer);
    let receipt = edit(&till, 1, "later");
    assert_eq!(till.store().wait(&receipt, Duration::from_millis(500)).unwrap(), Fate::Pending);
    assert_eq!(said(&events), []);
}

// ---- events and receipts -----------------------------------------------------------------------------------------

#[test]
fn events_are_typed_and_in_the_order_in_which_things_happen() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    syncer.pause();
    till.office(3, json!({"company": "Lima"}));
    let receipt = edit(&till, 1, "up");
    syncer.sync_now();
    let read = until(&events, is_finished);
    let places = [
        read.iter().position(|event| *event == Event::SyncStarted),
        read.iter()
            .position(|event| matches!(event, Event::CustomerChanged { customer_id } if customer_id.0 == 3)),
        read.iter().position(|event| matches!(event, Event::Progress(_))),
        read.iter().position(|event| {
            let seq = receipt.up_to;
            *event
                == Event::EditUploaded(EditEvent {
                    customer_id: 1.into(),
                    field: FieldId::named("phone").unwrap(),
                    seq,
                })
        }),
        read.iter().position(is_finished),
    ];
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {read:?}");
    let Some(Event::SyncFinished(report)) = read.last() else { unreachable!() };
    assert_eq!((report.pulled, report.uploaded_customers, report.uploaded_fields), (1, 1, 1));
}

#[test]
fn the_store_s_refusal_and_a_conflict_reach_the_app_and_the_receipts() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    syncer.pause();
    till.office(2, json!({"email": "taken@example.com"}));
    till.office(3, json!({"phone": "theirs"}));
    let refused = till.store().edit(1).set("email", "taken@example.com").commit().unwrap();
    let contested = edit(&till, 3, "ours");
    syncer.sync_now();
    let read = until(&events, is_finished);

    let told = read.iter().find_map(|event| match event {
        Event::EditRejected { edit, reason } if edit.seq == refused.up_to => Some(reason.clone()),
        _ => None,
    });
    let told = told.expect("the refusal is an event");
    assert!(!told.is_empty());
    match wait(&till, &refused) {
        Fate::Rejected { customer_id, field, reason } => {
            assert_eq!((customer_id.0, field.as_str(), reason), (1, "email", told));
        }
        other => panic!("{other:?}"),
    }
    assert!(
        read.iter().any(|event| matches!(event, Event::EditInConflict(edit) if edit.seq == contested.up_to))
    );
    assert_eq!(wait(&till, &contested), Fate::InConflict { customer_id: 3.into(), field: "phone".into() });
}

#[test]
fn a_receipt_tells_what_took_an_edit_s_place_and_what_needed_no_call() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    syncer.pause();
    let before = till.local(2, "phone").trim_matches('"').to_owned();
    let first = edit(&till, 1, "first");
    let second = edit(&till, 1, "second");
    edit(&till, 2, "there");
    let back = edit(&till, 2, &before);
    let nothing = edit(&till, 3, till.local(3, "phone").trim_matches('"'));
    assert_eq!(till.store().wait(&first, Duration::from_millis(50)).unwrap(), Fate::Pending);
    assert_eq!(nothing.fields(), 0);
    assert_eq!(till.store().fate(&nothing).unwrap(), Fate::Unchanged);

    syncer.sync_now();
    until(&events, is_finished);
    assert_eq!(wait(&till, &first), Fate::Superseded);
    assert!(matches!(wait(&till, &second), Fate::Uploaded { .. }));
    assert_eq!(wait(&till, &back), Fate::Unchanged);
}

#[test]
fn of_edits_that_were_never_made_nobody_says_that_the_store_had_them() {
    let till = common::till(2);
    let made = till.store().edit(1).set("phone", "555").commit().unwrap();
    let receipt = |after: i64, up_to: i64| -> Receipt {
        serde_json::from_value(serde_json::json!({ "after": after, "up_to": up_to })).unwrap()
    };
    let newest = made.up_to.0;
    for never in [
        receipt(newest, newest + 1),
        receipt(newest + 7, newest + 9),
        receipt(newest + 7, newest + 7),
        receipt(newest, newest - 1),
        receipt(-3, newest),
        receipt(i64::MAX, i64::MAX),
    ] {
        let refused = till.store().wait(&never, Duration::from_secs(5)).unwrap_err();
        assert_eq!((refused.code(), refused.is_usage()), ("unknown_receipt", true), "{never:?}: {refused}");
        assert!(refused.to_string().contains(&format!("ends with edit {newest}")), "{refused}");
    }
    // Nor of those that were removed since.
    till.engine().sync().unwrap();
    let fate = till.store().fate(&made).unwrap();
    assert!(matches!(fate, Fate::Uploaded { .. }), "{fate:?}");
    till.store().prune(chrono::Utc::now() + chrono::TimeDelta::days(1)).unwrap();
    let refused = till.store().fate(&made).unwrap_err();
    assert_eq!(refused.code(), "unknown_receipt");
    assert!(refused.to_string().contains("any more"), "{refused}");
}

#[test]
fn a_store_that_asks_to_wait_is_an_event() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    till.sandbox.script([Fault::Status(429)]);
    syncer.sync_now();
    let read = until(&events, is_finished);
    assert!(read.iter().any(|event| matches!(event, Event::ThrottledUntil { .. })), "{read:?}");
}

#[test]
fn a_reader_that_is_late_is_told_what_it_missed_and_holds_nobody_up() {
    let till = quick(60);
    let (syncer, events) = at_work(&till, SyncerOptions { events: 8, ..options() });
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    for id in &ids {
        till.office(*id, json!({"company": "Lima"}));
    }
    syncer.sync_now();
    eventually("the sync ends", || {
        till.local(ids[59], "company") == "\"Lima\"" && !till.store().is_syncing().unwrap()
    });
    eventually(
        "it was told",
        || matches!(events.next(Duration::from_millis(50)), Some(Event::Missed { count }) if count > 40),
    );
    until(&events, is_finished);
}

// ---- one worker a file -------------------------------------------------------------------------------------------

const FILE: &str = "TILLSYNC_TEST_FILE";
const URL: &str = "TILLSYNC_TEST_URL";

/// Not a test: the other process. It works on a file until it is killed.
#[test]
#[ignore = "the other process of a test"]
fn another_process() {
    let (Ok(path), Ok(url)) = (std::env::var(FILE), std::env::var(URL)) else { return };
    let remote =
        tillsync::HttpOptions { api_url: url, ..tillsync::HttpOptions::new("sandbox", "sandbox-token") };
    let remote = tillsync::HttpRemote::new(&remote).unwrap();
    let engine =
        tillsync::SyncEngine::new(Store::open(path).unwrap(), remote, tillsync::SyncOptions::default());
    let (_syncer, _events) = Syncer::start(engine, options()).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

/// Ends it when the test does.
struct Other(Child);

impl Other {
    fn start(till: &Till) -> Other {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "another_process", "--ignored"]).stdout(Stdio::null()).stderr(Stdio::null());
        Other(command.env(FILE, &till.path).env(URL, till.sandbox.url()).spawn().unwrap())
    }

    /// As `kill -9`.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn of_two_workers_one_stands_by_and_takes_over_when_the_first_ends() {
    let till = quick(3);
    let (first, _events) = at_work(&till, options());
    let (second, silence) = Syncer::start(till.engine(), options()).unwrap();
    assert!(first.is_at_work());
    let receipt = edit(&till, 1, "by the first");
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { .. }));
    assert!(!second.is_at_work());
    assert_eq!(said(&silence), []);
    drop(first);
    eventually("the second takes over", || second.is_at_work());
    let receipt = edit(&till, 1, "by the second");
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { .. }));
}

#[test]
fn a_worker_takes_over_when_the_process_of_the_other_is_killed() {
    let till = quick(3);
    let mut other = Other::start(&till);
    eventually("the other process has synced", || till.gets() > 0);
    let (syncer, events) = Syncer::start(till.engine(), options()).unwrap();
    let receipt = edit(&till, 1, "by the other process");
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { .. }));
    assert!(!syncer.is_at_work(), "this one stands by");
    assert_eq!(said(&events), []);

    other.kill();
    let receipt = edit(&till, 2, "after it was killed");
    eventually("this one takes over", || syncer.is_at_work());
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { .. }));
    till.assert_no_violations();
}

// ---- all at once -------------------------------------------------------------------------------------------------

/// The whole minute, with percentiles, is `examples/counter.rs`.
#[test]
fn a_till_that_edits_all_the_time_never_fails_and_everything_arrives_once() {
    let till = quick(40);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    let credit = |id| amount(&till.remote_value(id, "store_credit_amounts"));
    let before: Vec<f64> = ids.iter().map(|id| credit(*id)).collect();
    till.sandbox.set_latency_ms(200);
    let faults = [Fault::LostAnswer, Fault::LostRequest, Fault::Status(503), Fault::Truncated];
    till.sandbox.set_faults(faults.into_iter().map(|fault| FaultRate { fault, rate: 0.005 }).collect());
    let (syncer, _events) = Syncer::start(till.engine(), options()).unwrap();

    let mut store = till.store();
    let (began, mut count) = (Instant::now(), 0);
    // Each customer twice at least, however slow the disk is.
    while began.elapsed() < Duration::from_secs(4) || count < 80 {
        let edit = store.edit(ids[count % 40]).set("phone", &format!("edit {count}"));
        edit.adjust_credit(1.into()).commit().unwrap();
        count += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    till.sandbox.set_faults(Faults::default());
    syncer.sync_now();
    eventually("everything has arrived", || {
        let status = store.status().unwrap();
        status.pending_fields == 0 && status.in_flight_batches == 0
    });
    assert!(syncer.stop(SOON));
    for (place, id) in ids.iter().enumerate() {
        let last = (0..count).rev().find(|count| count % 40 == place).unwrap();
        assert_eq!(till.remote_value(*id, "phone"), format!("\"edit {last}\""));
        let edits = (0..count).filter(|count| count % 40 == place).count();
        let moved = credit(*id) - before[place];
        assert!((moved - edits as f64).abs() < 1e-6, "customer {id}: {edits} payments of 1 moved {moved}");
    }
    let status = store.status().unwrap();
    assert_eq!((status.rejected, status.conflicts), (0, 0));
    till.assert_no_violations();
}

fn amount(json: &str) -> f64 {
    let amounts: serde_json::Value = serde_json::from_str(json).unwrap();
    amounts[0]["amount"].as_f64().unwrap_or(0.0)
}

#[test]
fn a_stream_of_edits_is_not_put_off_for_ever() {
    let till = quick(3);
    let (_syncer, events) = at_work(&till, options());
    let began = Instant::now();
    while finished(&said(&events)) == 0 {
        assert!(began.elapsed() < SOON, "an edit every 50 ms never leaves 150 ms of silence");
        edit(&till, 1, &format!("{:?}", began.elapsed()));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A store whose line panics once.
#[derive(Debug)]
struct Panics(tillsync::HttpRemote, bool);

impl tillsync::Remote for Panics {
    fn start(&mut self, ticket: tillsync::Ticket, request: tillsync::Request) {
        assert!(std::mem::replace(&mut self.1, true), "on purpose");
        self.0.start(ticket, request);
    }

    fn next(
        &mut self,
        wait: Option<std::time::Duration>,
    ) -> Option<(tillsync::Ticket, Result<tillsync::Answer, tillsync::Trouble>)> {
        self.0.next(wait)
    }
}

#[test]
fn a_sync_that_panics_has_failed_is_told_and_tried_again() {
    let till = common::till(3);
    till.set(1, "phone", "here");
    let remote = Panics(till.remote(), false);
    let engine = tillsync::SyncEngine::new(till.store(), remote, till.options.clone());
    let brief = std::time::Duration::from_millis(20);
    let options =
        tillsync::SyncerOptions { retry_base: brief, retry_cap: brief, look: brief, ..Default::default() };
    let (syncer, events) = tillsync::Syncer::start(engine, options).unwrap();
    let mut some = std::iter::from_fn(|| events.next(SOON)).take(200);
    let failed =
        some.find(|event| matches!(event, tillsync::Event::SyncFailed { .. })).expect("it is not told");
    assert!(matches!(failed, tillsync::Event::SyncFailed { code: "unexpected", .. }), "{failed:?}");
    some.find(|event| matches!(event, tillsync::Event::SyncFinished(_))).expect("it is not tried again");
    assert!(syncer.is_at_work());
    assert!(syncer.stop(SOON));
    assert_eq!(till.remote_value(1, "phone"), "\"here\"");
}

// ---- a file that cannot be looked at --------------------------------------------------------------------------------

/// It is told once, a few looks later, and not once more for as long as it lasts; then it goes on.
#[test]
fn a_file_that_cannot_be_looked_at_is_told_once_and_looked_at_until_it_can_be() {
    let till = quick(3);
    let (syncer, events) = at_work(&till, options());
    let app = rusqlite::Connection::open(&till.path).unwrap();
    app.execute_batch("PRAGMA legacy_alter_table = ON; ALTER TABLE state RENAME TO elsewhere").unwrap();
    let told = until(&events, |event| matches!(event, Event::SyncFailed { .. }));
    assert!(matches!(told[..], [Event::SyncFailed { code: "database", .. }]), "{told:?}");
    std::thread::sleep(20 * options().look);
    assert_eq!(format!("{:?}", said(&events)), "[]");
    app.execute_batch("ALTER TABLE elsewhere RENAME TO state").unwrap();
    let receipt = edit(&till, 1, "goes on");
    assert!(matches!(wait(&till, &receipt), Fate::Uploaded { .. }));
    assert!(!said(&events).iter().any(|event| matches!(event, Event::SyncFailed { .. })));
    assert!(syncer.stop(SOON));
}

// ---- everybody ---------------------------------------------------------------------------------------------------

#[test]
fn deletions_that_it_does_not_believe_by_itself_are_told_until_somebody_decides() {
    let till = quick(500);
    till.engine().pull(Extent::Full).unwrap();
    till.sandbox.ids().iter().take(26).for_each(|id| assert!(till.sandbox.delete(*id)));
    let (syncer, events) = asks_for_everybody(&till);
    let told = until(&events, |event| matches!(event, Event::PullFinished(_)));
    let Some(Event::PullFinished(report)) = told.last() else { unreachable!() };
    assert_eq!((report.unbelieved, report.deleted, report.complete), (26, 0, true));
    until(&events, is_finished);
    until(&events, is_finished);
    assert!(syncer.stop(SOON));
    let error = till.store().status().unwrap().sync.last_error.expect("later syncs do not hide it");
    assert_eq!(error.code, "unbelieved");
    assert!(error.hint.unwrap().contains("--allow-deletions 26"));
    let mut engine = till.engine();
    engine.allow_deletions(26);
    assert_eq!(engine.pull(Extent::Full).unwrap().deleted, 26);
    assert_eq!(till.store().status().unwrap().sync.last_error, None);
}

#[test]
fn a_list_of_everybody_that_fails_is_told_and_not_asked_for_with_each_sync() {
    let till = quick(30);
    till.engine().pull(Extent::Full).unwrap();
    for is_down in [true, false] {
        let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
            let is_of_everybody = asked.is_list() && asked.parameter("date_modified:min").is_none();
            match is_down {
                true if is_of_everybody => *told = Told::html(403),
                false if is_of_everybody => {
                    told.customers(|all| all.retain(|one| one["id"].as_i64() <= Some(20)))
                }
                _ => {}
            }
        });
        let till = till.through(&odd);
        let (syncer, events) = asks_for_everybody(&till);
        let told = until(&events, |event| matches!(event, Event::PullFailed { .. } | Event::PullFinished(_)));
        match told.last() {
            Some(Event::PullFailed { code, .. }) => assert_eq!((*code, is_down), ("offline", true)),
            Some(Event::PullFinished(report)) => assert!(report.incomplete.is_some() && !is_down),
            _ => unreachable!(),
        }
        let deadline = Instant::now() + SOON;
        let mut syncs = 0;
        while syncs < 30 && Instant::now() < deadline {
            syncs += usize::from(events.next(Duration::from_millis(50)).as_ref().is_some_and(is_finished));
        }
        assert!(syncer.stop(SOON));
        let code = till.store().status().unwrap().sync.last_error.map(|error| error.code);
        assert_eq!(code.as_deref(), Some(if is_down { "offline" } else { "incomplete" }));
        let lists = odd.asked().into_iter().filter(|(asked, _)| asked.is_list());
        let of_everybody = lists.filter(|(asked, _)| asked.parameter("date_modified:min").is_none()).count();
        assert_eq!(syncs, 30);
        // A try is five of them, where the place behind a cursor is asked for by number as well.
        assert!((1..=90).contains(&of_everybody), "{of_everybody} in {syncs} syncs");
    }
}
