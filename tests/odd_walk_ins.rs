//! Walk-ins whom something odd befalls: the store knows them by now, a program takes them out past the triggers, somebody decides on an old
//! page.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use common::{Till, as_engine, till, trying};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::json;
use tillsync::sandbox::Fault;
use tillsync::{CustomerId, Event, Fate, Keep, SyncReport};

fn app(till: &Till) -> Connection {
    Connection::open(&till.path).unwrap()
}

fn walk_in(app: &Connection, name: &str) -> i64 {
    let insert = format!(
        "INSERT INTO customer (id, email, first_name, last_name)
         SELECT id, '{name}@example.com', '{name}', 'Walker' FROM new_id RETURNING id"
    );
    app.query_row(&insert, [], |row| row.get(0)).unwrap()
}

/// Past the triggers.
fn untold(app: &Connection, sql: &str) {
    app.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    app.execute_batch(sql).unwrap();
    app.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
}

fn sync(till: &Till) -> SyncReport {
    till.engine().sync().unwrap()
}

/// Somebody whom the office has entered some minutes before.
fn of_before(till: &Till, name: &str, more: serde_json::Value) -> i64 {
    till.sandbox.set_clock_offset(TimeDelta::minutes(-5));
    let id = of_now(till, name, more);
    till.sandbox.set_clock_offset(TimeDelta::zero());
    id
}

fn of_now(till: &Till, name: &str, more: serde_json::Value) -> i64 {
    let mut customer =
        json!({"email": format!("{name}@example.com"), "first_name": name, "last_name": "Walker"});
    customer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    i64::from(till.sandbox.add(&customer.to_string()).unwrap())
}

fn posts(till: &Till) -> usize {
    till.sandbox.requests().iter().filter(|request| request.method == "POST").count()
}

fn asked(till: &Till) -> Vec<String> {
    till.store().conflicts().unwrap().into_iter().map(|conflict| conflict.field).collect()
}

fn credit(till: &Till, id: i64) -> String {
    till.remote_value(id, "store_credit_amounts")
}

fn in_store(till: &Till, email: &str) -> usize {
    let has_it = |id: &i32| till.sandbox.customer(*id).unwrap()["email"].as_str() == Some(email);
    till.sandbox.ids().into_iter().filter(has_it).count()
}

// ---- whom the store knows by now ---------------------------------------------------------------------------------

#[test]
fn whom_the_file_knows_by_now_is_for_a_person_to_decide_and_costs_no_call() {
    let till = trying(3, 5);
    let app = app(&till);
    (0..9).for_each(|nth| _ = walk_in(&app, &format!("walker{nth}")));
    let ana = walk_in(&app, "ana");
    let known = of_before(&till, "ana", json!({}));
    till.office(known, json!({"company": "Hers"}));
    let report = sync(&till);
    assert_eq!((report.created, report.conflicts, report.requests.post), (9, 1, 1));
    let conflicts = till.store().conflicts().unwrap();
    assert_eq!((conflicts[0].field.as_str(), conflicts[0].customer_id.0), ("+", ana));
    assert!(conflicts[0].remote.contains("Hers") && conflicts[0].local.contains("ana@example.com"));
    till.store().resolve(ana, "+", &Keep::Remote, None).unwrap();
    assert_eq!(till.store().get(ana).unwrap().unwrap().id(), CustomerId(known));
    sync(&till);
    assert_eq!((in_store(&till, "ana@example.com"), till.store().status().unwrap().unsent), (1, 0));
    till.assert_no_violations();
}

/// What the look finds is as good as a name.
#[test]
fn who_shares_a_call_with_somebody_who_exists_goes_with_the_next_one() {
    let till = trying(3, 5);
    till.sandbox.set_behaviours("used-emails=untold".parse().unwrap());
    let app = app(&till);
    (0..9).for_each(|nth| _ = walk_in(&app, &format!("walker{nth}")));
    walk_in(&app, "ana");
    of_before(&till, "ana", json!({}));
    let report = till.engine().push().unwrap();
    assert_eq!((report.created, report.conflicts, report.requests.post), (9, 1, 2));
}

#[test]
fn what_was_granted_to_one_who_may_have_landed_before_the_file_was_set_back_is_for_a_person_to_add() {
    let till = trying(3, 5);
    let id = walk_in(&app(&till), "ana");
    till.adjust(id, "5");
    // As if ours: made since she was entered, and spent by now.
    let known = of_now(&till, "ana", json!({}));
    assert_eq!(sync(&till).conflicts, 1);
    till.store().resolve(id, "+", &Keep::Remote, None).unwrap();
    sync(&till);
    assert_eq!(
        (asked(&till), till.remote_value(known, "store_credit_amounts")),
        (vec!["store_credit_amounts".to_owned()], "[{\"amount\":0}]".to_owned())
    );
}

#[test]
fn what_waits_of_the_known_one_counts_once_and_is_not_shown_as_the_stores() {
    let till = trying(3, 5);
    let id = walk_in(&app(&till), "ana");
    till.adjust(id, "25");
    till.set(id, "phone", "333");
    let known = of_before(&till, "ana", json!({"phone": "222", "store_credit_amounts": [{"amount": 10}]}));
    till.office(known, json!({"company": "Hers"}));
    assert_eq!(sync(&till).conflicts, 1);
    till.adjust(known, "5");
    till.set(known, "phone", "111");
    till.store().resolve(id, "+", &Keep::Remote, None).unwrap();
    let conflicts = till.store().conflicts().unwrap();
    let phone = conflicts.iter().find(|conflict| conflict.field == "phone").unwrap();
    assert_eq!((phone.local.as_str(), phone.remote.as_str()), ("\"333\"", "\"222\""));
    till.store().resolve(known, "store_credit_amounts", &Keep::Local, None).unwrap();
    sync(&till);
    assert_eq!(
        (credit(&till, known), till.remote_value(known, "phone")),
        ("[{\"amount\":40}]".to_owned(), "\"222\"".to_owned())
    );
    till.store().resolve(known, "phone", &Keep::Local, None).unwrap();
    sync(&till);
    assert_eq!(
        (till.remote_value(known, "phone"), till.store().status().unwrap().unsent),
        ("\"333\"".to_owned(), 0)
    );
}

#[test]
fn the_receipt_of_a_walk_in_who_is_somebody_known_tells_the_id() {
    let till = trying(3, 5);
    let mut store = till.store();
    let ana =
        store.create().set("email", "ana@example.com").set("first_name", "ana").set("last_name", "Walker");
    let entered = ana.commit().unwrap();
    let known = of_before(&till, "ana", json!({}));
    sync(&till);
    store.resolve(entered.ids[0], "+", &Keep::Remote, None).unwrap();
    assert_eq!(store.fate(&entered.receipt).unwrap(), Fate::Created { customer_id: CustomerId(known) });
}

#[test]
fn a_decision_on_an_old_page_is_refused() {
    let till = trying(3, 5);
    let id = walk_in(&app(&till), "ana");
    of_before(&till, "ana", json!({}));
    sync(&till);
    let mut store = till.store();
    let stamp = store.conflicts().unwrap()[0].stamp.clone();
    till.set(id, "phone", "555");
    let moved = store.resolve_seen(id, "+", &Keep::Remote, &stamp, None).unwrap_err();
    assert_eq!((moved.code(), store.get(id).unwrap().unwrap().id().0), ("usage", id));
    store.discard_seen(id, "+", &stamp, None).unwrap_err();
    assert!(store.get(id).unwrap().is_some());
    let stamp = store.conflicts().unwrap()[0].stamp.clone();
    till.adjust(id, "5");
    store.discard_seen(id, "+", &stamp, None).unwrap_err();
    let stamp = store.conflicts().unwrap()[0].stamp.clone();
    assert!(store.discard_seen(id, "+", &stamp, None).unwrap() > 0);
    assert!(store.get(id).unwrap().is_none());
}

// ---- addresses ---------------------------------------------------------------------------------------------------

/// The one who is to give it up was refused: the walk-in is nobody else for that.
#[test]
fn an_address_that_is_not_given_up_after_all_is_waited_for() {
    let till = trying(3, 5);
    let giver = i64::from(till.sandbox.ids()[0]);
    till.office(giver, json!({"email": "ana@example.com"}));
    sync(&till);
    of_before(&till, "taken", json!({}));
    till.set(giver, "email", "taken@example.com");
    let id = walk_in(&app(&till), "ana");
    let report = till.engine().push().unwrap();
    assert_eq!((report.rejected, posts(&till), asked(&till).len()), (1, 0, 0), "{report:?}");
    till.engine().push().unwrap();
    assert_eq!((posts(&till), asked(&till).len()), (0, 0));
    till.set(giver, "email", "other@example.com");
    assert_eq!(till.engine().push().unwrap().created, 1);
    assert!(till.store().get(id).unwrap().unwrap().id().0 > 0);
    till.assert_no_violations();
}

#[test]
fn what_cannot_be_looked_for_is_not_sent_again() {
    let till = trying(3, 1);
    let app = app(&till);
    walk_in(&app, "ana");
    till.sandbox.script_updates([Fault::LostAnswer]);
    till.engine().push().unwrap_err();
    as_engine(&app, "UPDATE batch_item SET payload = json_remove(payload, '$.email')", []);
    let before = posts(&till);
    _ = till.engine().push();
    _ = till.engine().push();
    assert_eq!((posts(&till), till.store().status().unwrap().unsent), (before, 1));
}

// ---- past the triggers -------------------------------------------------------------------------------------------

#[test]
fn a_walk_in_who_is_taken_out_past_the_triggers_is_brought_back_with_what_was_edited() {
    for is_on_its_way in [false, true] {
        let till = trying(3, if is_on_its_way { 1 } else { 5 });
        let app = app(&till);
        let id = walk_in(&app, "ana");
        till.set(id, "phone", "555");
        till.adjust(id, "5");
        if is_on_its_way {
            till.sandbox.script_updates([Fault::LostRequest]);
            till.engine().push().unwrap_err();
        }
        untold(&app, "DELETE FROM customer WHERE id < 0");
        sync(&till);
        sync(&till);
        let ana = till.store().get(id).unwrap().unwrap().id().0;
        assert_eq!(
            (till.remote_value(ana, "phone"), credit(&till, ana)),
            ("\"555\"".to_owned(), "[{\"amount\":5}]".to_owned())
        );
        assert_eq!((in_store(&till, "ana@example.com"), till.store().status().unwrap().unsent), (1, 0));
    }
}

#[test]
fn a_walk_in_whom_an_index_of_the_apps_let_replace_is_brought_back() {
    let till = trying(3, 5);
    let app = app(&till);
    app.execute_batch("CREATE UNIQUE INDEX mine ON customer (company) WHERE company LIKE 'card %'").unwrap();
    let (ana, bo) = (walk_in(&app, "ana"), walk_in(&app, "bo"));
    till.set(ana, "company", "card 1");
    app.execute("UPDATE OR REPLACE customer SET company = 'card 1' WHERE id = ?1", [bo]).unwrap();
    assert!(till.store().get(bo).unwrap().is_some());
    till.set(bo, "company", "card 2");
    sync(&till);
    assert_eq!((in_store(&till, "ana@example.com"), in_store(&till, "bo@example.com")), (1, 1));
}

#[test]
fn who_was_entered_past_the_triggers_is_told_as_unknown() {
    let till = trying(3, 5);
    let app = app(&till);
    walk_in(&app, "ana");
    app.execute_batch(
        "DROP TRIGGER tillsync_customer_insert; DROP TRIGGER tillsync_customer_replace;
         INSERT INTO customer (id, email, first_name, last_name) VALUES (-7, 'bo@example.com', 'Bo', 'Lind')",
    )
    .unwrap();
    assert_eq!(till.store().strangers().unwrap(), [CustomerId(-7)]);
    assert_eq!(till.store().discard(-7, None, None).unwrap(), 1);
    assert_eq!(sync(&till).created, 1);
}

#[test]
fn a_walk_in_with_what_is_no_value_is_told_once_and_goes_when_it_is_mended() {
    let till = trying(3, 5);
    let app = app(&till);
    let id = walk_in(&app, "ana");
    till.set(id, "phone", "555");
    untold(&app, "UPDATE customer SET form_fields = '{' WHERE id < 0");
    let told = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 {
        let hears = told.clone();
        till.engine().on_event(move |event| hears.lock().unwrap().push(event)).sync().unwrap();
    }
    let is_refusal =
        |event: &&Event| matches!(event, Event::CreationRefused { customer_id, .. } if customer_id.0 == id);
    assert_eq!(told.lock().unwrap().iter().filter(is_refusal).count(), 1, "{told:?}");
    assert!(till.store().rejected().unwrap().iter().any(|it| it.reason.contains("form_fields")));
    till.set(id, "form_fields", "[]");
    assert_eq!((sync(&till).created, till.store().status().unwrap().unsent), (1, 0));
}

// ---- the command -------------------------------------------------------------------------------------------------

#[test]
fn of_many_who_are_entered_the_refused_one_is_named_by_its_line() {
    let till = till(1);
    let lines = till.folder.path().join("walkers.jsonl");
    let walker = |name: &str| {
        json!({"email": format!("{name}@example.com"), "first_name": name, "last_name": "W"}).to_string()
    };
    std::fs::write(&lines, [walker("bo"), String::new(), walker("BO")].join("\n")).unwrap();
    let ran = till.run(["new", "--from", lines.to_str().unwrap()]);
    let message = ran.json["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(
        (ran.exit, message.as_str()),
        (Some(2), "line 3: customer -2: email: is that of customer -1 already")
    );
}
