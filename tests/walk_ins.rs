//! Customers who are entered at the till, and whom the store does not have yet: by SQL, offline, and then in the store.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use common::odd::Odd;
use common::{Till, till, trying};
use rusqlite::Connection;
use serde_json::json;
use tillsync::sandbox::Fault;
use tillsync::{CustomerId, Decimal, Event, Fate, Keep, Key, Store, SyncReport};

const ANA: &str = "INSERT INTO customer (id, email, first_name, last_name, phone)
                   SELECT id, 'ana@example.com', 'Ana', 'Reyes', '+34 600 100 200' FROM new_id RETURNING id";

fn app(till: &Till) -> Connection {
    let app = Connection::open(&till.path).unwrap();
    app.pragma_update(None, "foreign_keys", true).unwrap();
    app
}

fn enter(app: &Connection, sql: &str) -> i64 {
    app.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A walk-in of that name.
fn walk_in(app: &Connection, name: &str) -> i64 {
    enter(
        app,
        &format!(
            "INSERT INTO customer (id, email, first_name, last_name)
             SELECT id, '{name}@example.com', '{name}', 'Walker' FROM new_id RETURNING id"
        ),
    )
}

fn refused(app: &Connection, sql: &str) -> String {
    let error = app.execute_batch(sql).unwrap_err().to_string();
    error
        .split_once("tillsync refused: ")
        .map_or(error.clone(), |(_, words)| words.trim_end_matches('\'').to_owned())
}

fn sync(till: &Till) -> SyncReport {
    till.engine().sync().unwrap()
}

/// Who has this address in the store.
fn in_store(till: &Till, email: &str) -> Vec<i64> {
    let ids = till.sandbox.ids().into_iter();
    let has_it = |id: &i32| till.sandbox.customer(*id).unwrap()["email"].as_str() == Some(email);
    ids.filter(has_it).map(i64::from).collect()
}

fn only(till: &Till, email: &str) -> i64 {
    let all = in_store(till, email);
    assert_eq!(all.len(), 1, "{email}: {all:?}");
    all[0]
}

fn ops(till: &Till, id: i64) -> Vec<String> {
    let rows = till.store().journal(Some(CustomerId(id))).unwrap();
    let said = |outcome: Option<tillsync::Outcome>| outcome.map_or("pending", |outcome| outcome.as_str());
    rows.iter().map(|row| format!("{} {} {}", row.op, row.field, said(row.outcome))).collect()
}

fn posts(till: &Till) -> Vec<String> {
    let requests = till.sandbox.requests().into_iter();
    requests.filter(|request| request.method == "POST").map(|request| request.body).collect()
}

#[test]
fn a_walk_in_is_entered_offline_edited_and_arrives_in_one_call() {
    let till = till(5);
    let app = app(&till);
    assert_eq!((enter(&app, ANA), walk_in(&app, "bo")), (-1, -2));
    app.execute_batch("UPDATE customer SET phone = '555' WHERE id = -1").unwrap();
    app.execute_batch("INSERT INTO store_credit_adjustment VALUES (-1, '12.50')").unwrap();
    assert_eq!(
        ops(&till, -1),
        ["create * pending", "set phone pending", "adjust store_credit_amounts pending"]
    );
    let report = sync(&till);
    assert_eq!((report.created, report.requests.post, report.requests.put), (2, 1, 0));
    let ana = only(&till, "ana@example.com");
    assert_eq!(till.remote_value(ana, "phone"), "\"555\"");
    assert_eq!(till.remote_value(ana, "store_credit_amounts"), r#"[{"amount":12.5}]"#);
    assert!(posts(&till)[0].contains("\"trigger_account_created_notification\":false"), "{:?}", posts(&till));
    assert_eq!(
        ops(&till, ana),
        ["create * uploaded", "set phone uploaded", "adjust store_credit_amounts uploaded"]
    );
    assert_eq!(till.local(ana, "id"), ana.to_string());
    assert_eq!(till.store().get(-1).unwrap().unwrap().id(), CustomerId(ana), "the old id is taken");
    let again = sync(&till);
    assert_eq!((again.created, again.requests.post, again.requests.put), (0, 0, 0));
    till.assert_no_violations();
}

#[test]
fn what_a_creation_needs_is_needed_at_the_insert() {
    let till = till(5);
    let app = app(&till);
    let insert =
        |columns: &str, values: &str| format!("INSERT INTO customer ({columns}) SELECT {values} FROM new_id");
    let known: String =
        app.query_row("SELECT upper(email) FROM customer WHERE id = 3", [], |row| row.get(0)).unwrap();
    for (columns, values, words) in [
        ("id, email, first_name", "id, 'a@b', 'A'", "customer -1: last_name: is needed to create a customer"),
        ("id, first_name, last_name", "id, 'A', 'B'", "customer -1: email: is needed to create a customer"),
        (
            "id, email, first_name, last_name",
            "7000, 'a@b', 'A', 'B'",
            "customer 7000: id: is given by the store",
        ),
        ("email, first_name, last_name", "'a@b', 'A', 'B'", "customer: id: is missing"),
        (
            "id, email, first_name, last_name, phone",
            "id, 'a@b', 'A', 'B', printf('%51s', '')",
            "customer -1: phone: has 51 characters",
        ),
        (
            "id, email, first_name, last_name",
            "id, printf('%251s', '@'), 'A', 'B'",
            "customer -1: email: has 251 characters, at most 250",
        ),
        (
            "id, email, first_name, last_name, customer_group_id",
            "id, 'a@b', 'A', 'B', -1",
            "customer -1: customer_group_id: must be from 0",
        ),
        (
            "id, email, first_name, last_name, channel_ids",
            "id, 'a@b', 'A', 'B', '[]'",
            "customer -1: channel_ids: an empty array",
        ),
        (
            "id, email, first_name, last_name, form_fields",
            "id, 'a@b', 'A', 'B', '[{}]'",
            "customer -1: form_fields: must be a JSON array",
        ),
        (
            "id, email, first_name, last_name, store_credit_amounts",
            "id, 'a@b', 'A', 'B', '[]'",
            "customer -1: store_credit_amounts: an empty array",
        ),
        (
            "id, email, first_name, last_name, date_created",
            "id, 'a@b', 'A', 'B', 'today'",
            "customer -1: date_created: is read-only",
        ),
    ] {
        let said = refused(&app, &insert(columns, values));
        assert!(said.starts_with(words), "{said}, not {words}");
    }
    let used = insert("id, email, first_name, last_name", &format!("id, '{known}', 'A', 'B'"));
    assert_eq!(refused(&app, &used), "customer -1: email: is that of customer 3 already");
    assert_eq!(enter(&app, ANA), -1);
    let twice = insert("id, email, first_name, last_name", "id, 'ANA@example.com', 'A', 'B'");
    assert_eq!(refused(&app, &twice), "customer -2: email: is that of customer -1 already");
    let again = insert("id, email, first_name, last_name", "-1, 'c@d', 'A', 'B'")
        .replace("INSERT", "INSERT OR REPLACE");
    assert!(refused(&app, &again).starts_with("customer: REPLACE would lose"), "{}", refused(&app, &again));
    assert!(refused(&app, "UPDATE customer SET email = NULL WHERE id = -1").contains("email: is needed"));
    assert!(refused(&app, "UPDATE customer SET id = -9 WHERE id = -1").contains("id: is read-only"));
}

/// What hangs on a customer by the store's id waits until there is one.
#[test]
fn an_attributes_value_is_set_once_the_customer_is_in_the_store() {
    let mut till = till(1);
    till.options.keep = vec!["attributes".to_owned()];
    till.sandbox.define_attribute(3, "shoe size", "number");
    sync(&till);
    let app = app(&till);
    let old = walk_in(&app, "ana");
    let set = |id: i64| {
        format!("INSERT INTO attribute_value (customer_id, attribute_id, value) VALUES ({id}, 3, '42')")
    };
    assert!(refused(&app, &set(old)).contains("is not in the store yet"), "{}", refused(&app, &set(old)));
    assert!(till.store().set_attribute_values(old, &[(3, "42")], None, None).unwrap_err().is_usage());
    sync(&till);
    let id = only(&till, "ana@example.com");
    assert_eq!(till.store().set_attribute_values(old, &[(3, "42")], None, None).unwrap().fields(), 1);
    sync(&till);
    assert_eq!(till.sandbox.attribute_value(id.try_into().unwrap(), 3).as_deref(), Some("42"));
}

#[test]
fn an_id_is_never_given_twice() {
    let till = till(1);
    let app = app(&till);
    assert_eq!(walk_in(&app, "ana"), -1);
    app.execute_batch("DELETE FROM customer WHERE id = -1").unwrap();
    assert_eq!(walk_in(&app, "bo"), -2);
    till.store().discard(-2, None, None).unwrap();
    assert_eq!(walk_in(&app, "cy"), -3);
    sync(&till);
    assert_eq!(walk_in(&app, "di"), -4);
    let used = "INSERT INTO customer (id, email, first_name, last_name) VALUES (-3, 'e@f', 'E', 'F')";
    assert!(refused(&app, used).contains("was given before"), "{}", refused(&app, used));
    assert!(refused(&app, "DELETE FROM tillsync_new_id").contains("the engine's alone"));
    assert!(refused(&app, "DELETE FROM alias").contains("the engine's alone"));
}

#[test]
fn created_and_deleted_before_a_sync_costs_no_call() {
    let till = till(1);
    let app = app(&till);
    let id = enter(&app, ANA);
    app.execute_batch("UPDATE customer SET phone = '1' WHERE id = -1; DELETE FROM customer WHERE id = -1")
        .unwrap();
    assert_eq!(ops(&till, id), ["create * unchanged", "set phone unchanged", "delete * unchanged"]);
    assert_eq!(sync(&till).requests.post, 0);
    assert!(in_store(&till, "ana@example.com").is_empty());
}

#[test]
fn a_creation_that_is_given_up_takes_its_row_along() {
    let till = till(1);
    let app = app(&till);
    let id = enter(&app, ANA);
    app.execute_batch("INSERT INTO password_change VALUES (-1, 'secret word')").unwrap();
    assert_eq!(till.store().discard(id, Some("phone"), None).unwrap_err().code(), "usage");
    assert!(till.store().discard(id, None, Some("ana")).unwrap() > 0);
    assert_eq!(till.store().get(id).unwrap(), None);
    assert_eq!(ops(&till, id), ["create * discarded", "set new_password discarded"]);
    let passwords: i64 =
        app.query_row("SELECT count(*) FROM pending_password", [], |row| row.get(0)).unwrap();
    assert_eq!((passwords, sync(&till).requests.post), (0, 0));
}

#[test]
fn a_hundred_walk_ins_cost_ten_calls() {
    let till = till(1);
    let app = app(&till);
    app.execute_batch("BEGIN").unwrap();
    (0..100).for_each(|nth| _ = walk_in(&app, &format!("walker{nth}")));
    app.execute_batch("COMMIT").unwrap();
    let report = sync(&till);
    assert_eq!((report.created, report.requests.post), (100, 10));
    assert_eq!(till.sandbox.customer_count(), 101);
    till.assert_no_violations();
}

#[test]
fn an_answer_that_is_lost_makes_nobody_twice() {
    let till = till(3);
    let app = app(&till);
    (0..12).for_each(|nth| _ = walk_in(&app, &format!("walker{nth}")));
    till.sandbox.script_updates([Fault::LostAnswer, Fault::MissingIds]);
    let mut till = till;
    till.options.upload.grace_ms = 50;
    let report = sync(&till);
    assert_eq!((report.created, till.sandbox.customer_count()), (12, 15));
    assert_eq!(report.requests.post, 2, "whoever is there is not sent again");
    till.assert_no_violations();
}

#[test]
fn a_request_that_is_lost_is_sent_again_after_a_look() {
    let mut till = till(3);
    till.options.upload.grace_ms = 50;
    let app = app(&till);
    enter(&app, ANA);
    for fault in [Fault::LostRequest, Fault::Status(503), Fault::Html] {
        till.sandbox.script_updates([fault]);
    }
    let report = sync(&till);
    assert_eq!((report.created, report.requests.post), (1, 4));
    let looks =
        till.sandbox.requests().iter().filter(|it| it.query.contains("email:in=ana%40example.com")).count();
    assert_eq!(looks, 3, "none is sent again without");
    only(&till, "ana@example.com");
}

#[test]
fn what_lands_after_the_look_is_found_by_the_refusal_of_the_second() {
    let mut till = till(3);
    till.options.upload.grace_ms = 20;
    let app = app(&till);
    enter(&app, ANA);
    till.sandbox.script_updates([Fault::DelayedApply { ms: 300 }, Fault::DelayedAnswer { ms: 600 }]);
    let report = sync(&till);
    assert_eq!(report.created, 1, "{report:?}");
    only(&till, "ana@example.com");
}

#[test]
fn one_bad_record_is_told_apart_from_the_good_ones_of_its_call() {
    for keys in ["indexed", "named", "general"] {
        let mut till = till(3);
        till.options.upload.grace_ms = 20;
        till.sandbox.set_behaviours(format!("error-keys={keys}").parse().unwrap());
        let app = app(&till);
        (0..7).for_each(|nth| _ = walk_in(&app, &format!("walker{nth}")));
        app.execute_batch("UPDATE customer SET email = 'no address' WHERE id = -4").unwrap();
        let report = sync(&till);
        assert_eq!((report.created, report.rejected), (6, 2), "{keys}: {report:?}");
        let refused = till.store().rejected().unwrap();
        assert_eq!((refused[0].field.as_str(), refused[0].customer_id), ("*", CustomerId(-4)));
        assert!(refused[0].reason.contains("not a valid address"), "{keys}: {}", refused[0].reason);
        assert!(refused[0].sent.as_ref().unwrap().contains("no address"));
        assert_eq!(sync(&till).requests.post, 0, "it waits for a person");
        app.execute_batch("UPDATE customer SET email = 'an@address' WHERE id = -4").unwrap();
        assert_eq!(sync(&till).created, 1);
        only(&till, "an@address");
    }
}

#[test]
fn who_exists_in_the_store_already_is_for_a_person_to_decide() {
    for untold in [false, true] {
        let mut till = till(3);
        till.options.upload.grace_ms = 20;
        if untold {
            till.sandbox.set_behaviours("used-emails=untold".parse().unwrap());
        }
        let app = app(&till);
        app.execute_batch(
            "CREATE TABLE my_sale (customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE)",
        )
        .unwrap();
        let (same, other, none) = (enter(&app, ANA), walk_in(&app, "bo"), walk_in(&app, "cy"));
        app.execute_batch("INSERT INTO my_sale VALUES (-1)").unwrap();
        app.execute_batch("INSERT INTO store_credit_adjustment VALUES (-1, '5')").unwrap();
        let made = |email: &str| {
            let ann = json!({"email": email, "first_name": "Ann", "company": "Hers"});
            i64::from(till.sandbox.add(&ann.to_string()).unwrap())
        };
        till.sandbox.set_clock_offset(chrono::TimeDelta::minutes(-5));
        let (ann, _, _) = (made("Ana@example.com"), made("bo@example.com"), made("cy@example.com"));
        till.sandbox.set_clock_offset(chrono::TimeDelta::zero());
        let report = sync(&till);
        assert_eq!((report.created, report.conflicts), (0, 3), "{report:?}");
        let conflicts = till.store().conflicts().unwrap();
        assert!(conflicts.iter().all(|conflict| conflict.field == "+"), "{conflicts:?}");
        assert!(conflicts[0].remote.contains("Hers") && conflicts[0].local.contains("Reyes"));
        let mut store = till.store();
        assert_eq!(store.resolve(same, "+", &Keep::Local, None).unwrap_err().code(), "usage");
        assert_eq!(store.resolve(same, "+", &Keep::Remote, Some("eva")).unwrap(), 1);
        assert_eq!(store.resolve(other, "+", &Keep::Value("bo2@example.com".into()), None).unwrap(), 1);
        assert!(store.discard(none, Some("+"), None).unwrap() > 0);
        assert_eq!(
            (store.get(same).unwrap().unwrap().id(), store.get(none).unwrap()),
            (CustomerId(ann), None)
        );
        let sale: i64 = app.query_row("SELECT customer_id FROM my_sale", [], |row| row.get(0)).unwrap();
        assert_eq!(sale, ann);
        let report = sync(&till);
        assert_eq!((report.created, till.sandbox.customer_count()), (1, 7), "{report:?}");
        let value = |field: &str| till.remote_value(ann, field);
        assert_eq!((value("phone"), value("company")), ("\"+34 600 100 200\"".into(), "\"Hers\"".into()));
        assert_eq!(
            (value("store_credit_amounts"), value("first_name")),
            ("[{\"amount\":5}]".into(), "\"Ann\"".into())
        );
        let held: Vec<String> = till.store().conflicts().unwrap().into_iter().map(|it| it.field).collect();
        assert_eq!(held, ["first_name", "last_name"], "both sides have one");
        till.assert_no_violations();
    }
}

#[test]
fn the_apps_rows_follow_and_one_that_would_stay_behind_holds_up_that_one_alone() {
    let mut till = till(3);
    till.options.upload.grace_ms = 20;
    let app = app(&till);
    app.execute_batch(
        "CREATE TABLE my_sale (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE);
         CREATE TABLE my_card (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (id))",
    )
    .unwrap();
    let (ana, bo) = (enter(&app, ANA), walk_in(&app, "bo"));
    app.execute_batch(&format!(
        "INSERT INTO my_sale (customer_id) VALUES ({ana}), ({bo}); INSERT INTO my_card (customer_id) VALUES ({bo})"
    ))
    .unwrap();
    let report = sync(&till);
    assert_eq!((report.created, report.held_up), (1, 1), "{report:?}");
    let sales = || -> Vec<i64> {
        let mut all = app.prepare("SELECT customer_id FROM my_sale ORDER BY id").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(sales(), [only(&till, "ana@example.com"), bo]);
    let held = till.store().held_up().unwrap();
    assert!(held[0].error.contains("my_card"), "{held:?}");
    app.execute_batch("DELETE FROM my_card").unwrap();
    let report = sync(&till);
    assert_eq!((report.created, report.held_up, report.requests.post), (1, 0, 0), "{report:?}");
    assert_eq!(sales()[1], only(&till, "bo@example.com"));
    assert_eq!(till.sandbox.customer_count(), 5);
}

#[test]
fn an_old_id_is_taken_everywhere_and_told_by_an_event_and_the_receipt() {
    let till = till(3);
    let app = app(&till);
    let mut store = till.store();
    let before = store.journal(None).unwrap().len() as i64;
    assert_eq!(before, 0);
    let id = enter(&app, ANA);
    let receipt = store.edit(id).set("company", "Hers").commit().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = told.clone();
    till.engine().on_event(move |event| hears.lock().unwrap().push(event)).sync().unwrap();
    let ana = CustomerId(only(&till, "ana@example.com"));
    let created = Event::CustomerCreated { old_id: CustomerId(id), id: ana };
    assert!(told.lock().unwrap().contains(&created), "{told:?}");
    let whole = tillsync::Receipt { after: tillsync::EditSeq(receipt.after.0 - 1), ..receipt };
    assert_eq!(store.fate(&whole).unwrap(), Fate::Created { customer_id: ana });
    store.edit(id).set("phone", "1").adjust_credit(Decimal::ONE).commit().unwrap();
    app.execute_batch(
        "INSERT INTO store_credit_adjustment VALUES (-1, 2);
         INSERT INTO password_change VALUES (-1, 'secret word');
         UPDATE customer_by_any_id SET company = 'theirs' WHERE any_id = -1",
    )
    .unwrap();
    let seen: i64 =
        app.query_row("SELECT id FROM customer_by_any_id WHERE any_id = -1", [], |row| row.get(0)).unwrap();
    assert_eq!(seen, ana.0);
    assert_eq!(store.pending(id).unwrap().len(), 5);
    sync(&till);
    assert_eq!(till.remote_value(ana.0, "company"), "\"theirs\"");
    assert_eq!(till.remote_value(ana.0, "store_credit_amounts"), r#"[{"amount":3}]"#);
    assert_eq!(till.sandbox.last_password(ana.0 as i32), Some("secret word".to_owned()));
}

#[test]
fn what_is_edited_while_it_is_on_its_way_waits_for_the_next_sync() {
    let till = till(3);
    let app = app(&till);
    enter(&app, ANA);
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 600 }]);
    std::thread::scope(|scope| {
        let syncs = scope.spawn(|| sync(&till));
        common::soon(|| till.sandbox.stats().post > 0);
        app.busy_timeout(common::SOON).unwrap();
        app.execute_batch("UPDATE customer SET phone = 'later' WHERE id = -1").unwrap();
        app.execute_batch("INSERT INTO store_credit_adjustment VALUES (-1, '7')").unwrap();
        assert_eq!(syncs.join().unwrap().created, 1);
    });
    let ana = only(&till, "ana@example.com");
    assert_eq!(
        (till.local(ana, "phone"), till.local(ana, "store_credit_amounts")),
        ("\"later\"".into(), "[{\"amount\":7}]".into())
    );
    sync(&till);
    assert_eq!(till.remote_value(ana, "phone"), "\"later\"");
    assert_eq!(till.remote_value(ana, "store_credit_amounts"), "[{\"amount\":7}]");
}

#[test]
fn an_address_that_another_one_gives_up_is_waited_for() {
    let till = till(3);
    let app = app(&till);
    let email: String =
        app.query_row("SELECT email FROM customer WHERE id = 2", [], |row| row.get(0)).unwrap();
    app.execute_batch("UPDATE customer SET email = 'new@example.com' WHERE id = 2").unwrap();
    app.execute_batch(&format!(
        "INSERT INTO customer (id, email, first_name, last_name) SELECT id, '{email}', 'A', 'B' FROM new_id"
    ))
    .unwrap();
    let report = sync(&till);
    assert_eq!((report.created, report.requests.post, report.conflicts), (1, 1, 0), "{report:?}");
}

/// Of a till that tries twice, the first try lands and its answer is lost, and two looks are answered as if there was nobody.
const LANDS_UNSEEN: [Fault; 4] = [Fault::LostAnswer, Fault::EmptyList, Fault::LostRequest, Fault::EmptyList];

#[test]
fn what_is_edited_by_the_stores_id_before_anybody_knows_whose_it_is_stays() {
    let mut till = trying(3, 2);
    let old = walk_in(&app(&till), "ana");
    till.sandbox.script(LANDS_UNSEEN);
    assert_eq!(till.engine().push().unwrap_err().code(), "unavailable");
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    let ana = only(&till, "ana@example.com");
    till.set(ana, "phone", "999");
    till.adjust(ana, "3");
    till.options.upload.retry.tries = 5;
    assert_eq!(sync(&till).created, 1);
    assert_eq!(till.store().get(old).unwrap().unwrap().id(), CustomerId(ana));
    assert_eq!(
        (till.remote_value(ana, "phone"), till.remote_value(ana, "store_credit_amounts")),
        ("\"999\"".into(), "[{\"amount\":3}]".into())
    );
    assert_eq!(till.store().status().unwrap().unsent, 0);
}

/// Whose row of the app's holds it up is in the file under the store's id meanwhile, and an update of that may be on its way.
#[test]
fn an_update_by_the_stores_id_is_not_taken_for_part_of_the_creation() {
    let mut till = trying(3, 5);
    let app = app(&till);
    app.execute_batch("CREATE TABLE my_card (customer_id INTEGER REFERENCES customer (id))").unwrap();
    let old = walk_in(&app, "ana");
    app.execute("INSERT INTO my_card VALUES (?1)", [old]).unwrap();
    assert_eq!(sync(&till).held_up, 1);
    sync(&till);
    let ana = only(&till, "ana@example.com");
    till.set(ana, "phone", "999");
    till.options.upload.retry.tries = 1;
    till.sandbox.script_updates([Fault::LostRequest]);
    till.engine().sync().unwrap_err();
    app.execute_batch("DELETE FROM my_card").unwrap();
    till.options.upload.retry.tries = 5;
    sync(&till);
    sync(&till);
    assert_eq!(till.store().get(old).unwrap().unwrap().id(), CustomerId(ana));
    assert_eq!(till.remote_value(ana, "phone"), "\"999\"");
}

#[test]
fn totals_that_fit_nothing_leave_nobody_in_doubt() {
    let till = trying(3, 5);
    till.sandbox.set_behaviours("totals=too-high".parse().unwrap());
    let app = app(&till);
    (0..3).for_each(|nth| _ = walk_in(&app, &format!("walker{nth}")));
    till.sandbox.script_updates([Fault::LostRequest]);
    assert_eq!((sync(&till).created, till.store().status().unwrap().unsent), (3, 0));
}

/// Whoever said no to the token may have let the creation through, and its address may be corrected before the next sync.
#[test]
fn after_a_refusal_of_the_token_it_is_looked_for_before_it_is_sent_again() {
    for status in [401, 403, 404] {
        let till = trying(3, 5);
        let id = walk_in(&app(&till), "ana");
        till.sandbox.script_updates([Fault::AppliedThenStatus(status)]);
        assert!(till.engine().sync().unwrap_err().is_auth());
        till.set(id, "email", "anna@example.com");
        assert_eq!(sync(&till).created, 1);
        sync(&till);
        only(&till, "anna@example.com");
        assert_eq!(till.sandbox.customer_count(), 4, "{status}: nobody is there twice");
    }
}

/// Reads lag behind writes, so that two looks do not show her yet.
#[test]
fn whom_the_store_has_made_a_moment_ago_is_not_taken_for_deleted() {
    let till = till(3);
    let app = app(&till);
    app.execute_batch(
        "CREATE TABLE my_sale (customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE ON DELETE SET NULL)",
    )
    .unwrap();
    let old = walk_in(&app, "ana");
    app.execute("INSERT INTO my_sale VALUES (?1)", [old]).unwrap();
    till.sandbox.set_behaviours("read-lag-ms=3000".parse().unwrap());
    assert_eq!(sync(&till).created, 1);
    let ana = only(&till, "ana@example.com");
    assert_eq!(till.engine().pull(tillsync::Extent::Full).unwrap().deleted, 0);
    let sale: Option<i64> = app.query_row("SELECT customer_id FROM my_sale", [], |row| row.get(0)).unwrap();
    assert_eq!(sale, Some(ana));
}

/// One look lags, and says that nobody is there; then the clerk corrects the address.
#[test]
fn whose_address_is_corrected_since_it_landed_unseen_is_not_there_twice() {
    let mut till = trying(3, 2);
    let id = walk_in(&app(&till), "ana");
    till.adjust(id, "5");
    till.sandbox.script(LANDS_UNSEEN);
    till.engine().push().unwrap_err();
    till.options.upload.retry.tries = 5;
    till.set(id, "email", "anna@example.com");
    let report = sync(&till);
    assert_eq!((report.created, report.conflicts, report.requests.post), (1, 0, 0), "{report:?}");
    sync(&till);
    let anna = only(&till, "anna@example.com");
    assert_eq!(till.sandbox.customer_count(), 4);
    assert_eq!(till.remote_value(anna, "store_credit_amounts"), "[{\"amount\":5}]");
}

#[test]
fn what_landed_long_before_the_last_try_is_ours() {
    let mut till = trying(3, 2);
    walk_in(&app(&till), "ana");
    till.sandbox.script(LANDS_UNSEEN);
    till.engine().push().unwrap_err();
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let report = sync(&till);
    assert_eq!((report.created, report.conflicts), (1, 0));
    till.options.upload.retry.tries = 5;
    only(&till, "ana@example.com");
}

#[test]
fn what_was_granted_to_a_walk_in_and_is_spent_by_now_is_not_granted_again() {
    let till = trying(3, 2);
    let id = walk_in(&app(&till), "ana");
    till.adjust(id, "5");
    till.sandbox.script(LANDS_UNSEEN);
    till.engine().push().unwrap_err();
    let ana = only(&till, "ana@example.com");
    till.sandbox.adjust_credit(ana.try_into().unwrap(), Decimal::from(-5));
    assert_eq!(sync(&till).conflicts, 1);
    assert_eq!(till.store().resolve(id, "+", &Keep::Remote, None).unwrap(), 1);
    sync(&till);
    assert_eq!(till.remote_value(ana, "store_credit_amounts"), "[{\"amount\":0}]");
    let held = till.store().conflicts().unwrap();
    assert_eq!((held.len(), held[0].field.as_str()), (1, "store_credit_amounts"), "a person says so");
}

/// Both grant the same to the same one, in the same minute: what the first has granted is not taken for the second's.
#[test]
fn what_two_tills_grant_one_walk_in_at_once_is_for_a_person_to_add_up() {
    let sandbox = common::sandbox(2);
    let tills = [(); 2].map(|()| {
        let mut till = Till::new(sandbox.clone());
        till.engine().pull(tillsync::Extent::Changes).unwrap();
        till.options.overlap = std::time::Duration::from_secs(60);
        till
    });
    for till in &tills {
        let id = walk_in(&app(till), "ana");
        till.adjust(id, "5");
        till.engine().push().unwrap();
    }
    let ana = only(&tills[0], "ana@example.com");
    let mut store = tills[1].store();
    let asked: Vec<String> = store.conflicts().unwrap().into_iter().map(|it| it.field).collect();
    assert_eq!(asked, ["+"]);
    store.resolve(-1, "+", &Keep::Remote, None).unwrap();
    store.resolve(-1, "store_credit_amounts", &Keep::Local, None).unwrap();
    sync(&tills[1]);
    assert_eq!(tills[1].remote_value(ana, "store_credit_amounts"), "[{\"amount\":10}]");
}

/// The command, killed at random instants, half of them when a creation is under way or was just answered.
#[cfg(unix)]
#[test]
fn killed_between_an_answer_and_the_new_id_nobody_is_lost_or_made_twice() {
    let mut till = till(2);
    till.options.upload.grace_ms = 20;
    let app = app(&till);
    app.busy_timeout(common::SOON).unwrap();
    app.execute_batch(
        "CREATE TABLE my_sale (walker TEXT, customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE)",
    )
    .unwrap();
    let rounds = common::number("TILLSYNC_KILLS").unwrap_or(12);
    let seed = common::number("TILLSYNC_SEED").unwrap_or(1);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..rounds {
        for nth in 0..random.usize(1..5) {
            let name = format!("walker{round}of{nth}");
            let id = walk_in(&app, &name);
            app.execute("INSERT INTO my_sale VALUES (?1, ?2)", (&name, id)).unwrap();
        }
        till.sandbox.script_updates([Fault::DelayedAnswer { ms: random.u64(0..60) }]);
        sync_and_kill(&till, &mut random);
    }
    till.sandbox.clear_faults();
    sync(&till);
    sync(&till);
    let mut sales = app.prepare("SELECT walker, customer_id FROM my_sale").unwrap();
    let sales = sales.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
    let sales: Vec<(String, i64)> = sales.map(Result::unwrap).collect();
    for (walker, id) in &sales {
        assert_eq!(only(&till, &format!("{walker}@example.com")), *id, "TILLSYNC_SEED={seed}");
    }
    assert_eq!(till.sandbox.customer_count(), 2 + sales.len());
    assert_eq!(till.store().status().unwrap().unsent, 0);
    till.assert_no_violations();
}

/// Two tills, a tenth of the answers lost, and every other sync a process that is killed: every walk-in is there exactly once, and the tills' own
/// sales are of the right one. `TILLSYNC_WALK_INS=2000`: so many.
#[cfg(unix)]
#[test]
fn walk_ins_of_two_tills_are_there_once_though_answers_are_lost_and_processes_killed() {
    const A_ROUND: u64 = 10;
    let rounds = common::number("TILLSYNC_WALK_INS").unwrap_or(60).div_ceil(2 * A_ROUND);
    let seed = common::number("TILLSYNC_SEED").unwrap_or(1);
    let mut random = fastrand::Rng::with_seed(seed);
    let sandbox = common::sandbox(2);
    let tills = [(); 2].map(|()| {
        let mut till = Till::new(sandbox.clone());
        till.options.upload.grace_ms = 20;
        till.engine().pull(tillsync::Extent::Changes).unwrap();
        let table = "CREATE TABLE my_sale (walker TEXT, customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE)";
        app(&till).execute_batch(table).unwrap();
        till
    });
    sandbox.set_faults("lost-answer=0.1,lost-request=0.05,status-503=0.05,skipped-ids=0.05".parse().unwrap());
    for round in 0..rounds {
        for (nth, till) in tills.iter().enumerate() {
            let app = app(till);
            app.busy_timeout(common::SOON).unwrap();
            for walker in 0..A_ROUND {
                let name = format!("w{round}t{nth}w{walker}");
                let id = walk_in(&app, &name);
                app.execute("INSERT INTO my_sale VALUES (?1, ?2)", (&name, id)).unwrap();
            }
            match random.bool() {
                true => sync_and_kill(till, &mut random),
                false => _ = till.engine().sync(),
            }
        }
    }
    sandbox.clear_faults();
    let mut by_email: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for till in &tills {
        sync(till);
        sync(till);
    }
    for id in sandbox.ids() {
        let email = sandbox.customer(id).unwrap()["email"].as_str().unwrap().to_owned();
        by_email.entry(email).or_default().push(i64::from(id));
    }
    for till in &tills {
        assert_eq!(till.store().status().unwrap().unsent, 0, "TILLSYNC_SEED={seed}");
        let app = app(till);
        let mut sales = app.prepare("SELECT walker, customer_id FROM my_sale").unwrap();
        let sales = sales.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
        for (walker, id) in sales.unwrap().map(Result::unwrap) {
            let there = by_email.get(&format!("{walker}@example.com"));
            assert_eq!(there, Some(&vec![id]), "TILLSYNC_SEED={seed}: {walker}");
        }
    }
    assert_eq!(sandbox.customer_count() as u64, 2 + rounds * 2 * A_ROUND);
    tills[0].assert_no_violations();
}

/// The command, killed a moment after it has sent a creation, or did not come to that.
#[cfg(unix)]
fn sync_and_kill(till: &Till, random: &mut fastrand::Rng) {
    let posts = till.sandbox.stats().post;
    let mut child = till.command(["sync"]).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while till.sandbox.stats().post == posts && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    std::thread::sleep(std::time::Duration::from_millis(random.u64(0..80)));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_command_enters_shows_and_takes_an_old_id() {
    let till = till(1);
    let ran = till.run(["new", "email=ana@example.com", "first_name=Ana", "last_name=Reyes"]);
    assert_eq!((ran.exit, ran.json["created"].to_string()), (Some(0), "[-1]".to_owned()));
    let lines = till.folder.path().join("walkers.jsonl");
    let walker = |name: &str| {
        format!("{{\"email\":\"{name}@example.com\",\"first_name\":\"{name}\",\"last_name\":\"W\"}}\n")
    };
    std::fs::write(&lines, walker("bo") + &walker("cy")).unwrap();
    let ran = till.run(["new", "--from", lines.to_str().unwrap()]);
    assert_eq!(ran.json["created"].to_string(), "[-2,-3]");
    let again = till.run(["new", "email=ANA@example.com", "first_name=A", "last_name=R"]);
    assert_eq!(
        (again.exit, again.json["error"]["message"].as_str()),
        (Some(2), Some("customer -4: email: is that of customer -1 already"))
    );
    assert_eq!(till.run(["diff"]).json[0]["id"], -1);
    assert_eq!(till.run(["edit", "-1", "phone=555"]).exit, Some(0));
    assert_eq!(till.run(["credit", "-1", "+5"]).json["balance"], "5.00");
    assert_eq!(till.run(["discard", "-3"]).exit, Some(0));
    let ran = till.run(["sync"]);
    assert_eq!((ran.json["created"].as_u64(), ran.json["requests"]["post"].as_u64()), (Some(2), Some(1)));
    let ana = only(&till, "ana@example.com");
    assert_eq!(till.run(["show", "-1"]).json["customer"]["id"], ana);
}

#[test]
fn a_walk_in_is_found_by_words_before_and_after_it_has_the_stores_id() {
    let till = till(3);
    let app = app(&till);
    let mut store = till.store();
    let found = |store: &mut tillsync::Store| -> Vec<i64> {
        store.find("reyes", 10).unwrap().customers.iter().map(|found| found.id().0).collect()
    };
    assert_eq!(enter(&app, ANA), -1);
    assert_eq!(found(&mut store), [-1]);
    assert!(store.complete_search().unwrap());
    assert_eq!(found(&mut store), [-1]);
    walk_in(&app, "bo");
    assert_eq!(store.find("walker", 10).unwrap().customers.len(), 1);
    sync(&till);
    assert!(store.complete_search().unwrap());
    assert_eq!(found(&mut store), [only(&till, "ana@example.com")]);
}

/// A mapper that knows the table as it was builds it anew with the check of before.
#[test]
fn a_journal_that_lets_no_creation_in_is_built_anew() {
    let till = till(1);
    app(&till)
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, ', ''create'', ''delete''', '') WHERE name = 'journal';
             PRAGMA writable_schema = RESET; CREATE TABLE mine (id INTEGER); DROP TABLE mine;",
        )
        .unwrap();
    drop(till.store());
    enter(&app(&till), ANA);
    assert_eq!(sync(&till).created, 1);
}

/// What lies beside the file then begins when the walk-in had an id of the till's, and ends when the store has given one.
#[test]
fn a_walk_in_who_lands_beside_an_app_that_reads_leaves_a_log_that_is_the_files_own() {
    let till = till(3);
    let app = app(&till);
    walk_in(&app, "ana");
    drop(app);
    let reader = Connection::open(&till.path).unwrap();
    let count = |what: &str| reader.query_row(what, [], |row| row.get::<_, i64>(0)).unwrap();
    let begun = reader.unchecked_transaction().unwrap();
    count("SELECT count(*) FROM customer");
    sync(&till);
    let status = || {
        let mut status = std::process::Command::new(env!("CARGO_BIN_EXE_tillsync"));
        status.arg("--db").arg(&till.path).arg("status").output().unwrap()
    };
    let told = status();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    begun.commit().unwrap();
    assert!(status().status.success());
}

/// What a backup holds of a walk-in may be in the store by now, under another address.
#[test]
fn a_walk_in_who_waits_in_a_backup_is_not_made_again_unasked() {
    let till = till(3);
    let ana = enter(&app(&till), ANA);
    till.adjust(ana, "10");
    let backup = till.folder.path().join("backup.db");
    till.store().backup(&backup).unwrap();
    sync(&till);
    let made = only(&till, "ana@example.com");
    till.office(made, json!({"email": "ana.new@example.com"}));
    let restored =
        Store::restore(&till.path, &backup, till.key.as_deref().map(|key| Key::parse(key).unwrap()));
    assert_eq!(restored.unwrap().held, 1);
    let report = sync(&till);
    assert_eq!((report.rejected, report.requests.post, in_store(&till, "ana@example.com").len()), (1, 0, 0));
    let rejected = till.store().rejected().unwrap();
    assert!(rejected[0].reason.contains("set back"), "{}", rejected[0].reason);
    assert_eq!((sync(&till).requests.post, till.sandbox.customer_count()), (0, 4), "and stays so");
    till.store().discard(ana, None, None).unwrap();
    assert_eq!(till.store().status().unwrap().unsent, 0);
}

/// A backup that is made while she is on her way: where the look does not find her, a person says whether she is there.
#[test]
fn a_walk_in_who_is_on_her_way_in_a_backup_is_not_made_again_unasked() {
    let till = trying(3, 1);
    let ana = enter(&app(&till), ANA);
    till.adjust(ana, "10");
    till.sandbox.script([Fault::LostAnswer].into_iter().chain([Fault::Status(503); 9]));
    _ = till.engine().push();
    till.sandbox.clear_faults();
    assert_eq!(till.store().status().unwrap().in_flight_batches, 1, "in doubt");
    let backup = till.folder.path().join("backup.db");
    till.store().backup(&backup).unwrap();
    sync(&till);
    till.office(only(&till, "ana@example.com"), json!({"email": "ana.new@example.com"}));
    // Something else leaves, so that the backup is behind.
    till.set(1, "phone", "5");
    sync(&till);
    Store::restore(&till.path, &backup, till.key.as_deref().map(|key| Key::parse(key).unwrap())).unwrap();
    sync(&till);
    sync(&till);
    assert_eq!(till.sandbox.customer_count(), 4);
}

/// The id that the answer told stays known, whatever the office changes before it can follow.
#[test]
fn who_is_held_up_lands_under_the_id_that_was_told() {
    for change in [json!({"email": "office@example.com"}), json!({"phone": "office"})] {
        let mut till = till(3);
        till.options.upload.grace_ms = 20;
        let app = app(&till);
        app.execute_batch(
            "CREATE TABLE my_card (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (id))",
        )
        .unwrap();
        let ana = enter(&app, ANA);
        till.adjust(ana, "10");
        app.execute("INSERT INTO my_card (customer_id) VALUES (?1)", [ana]).unwrap();
        assert_eq!(sync(&till).held_up, 1);
        let made = only(&till, "ana@example.com");
        till.office(made, change);
        till.adjust(ana, "5");
        assert_eq!((sync(&till).requests.post, till.store().conflicts().unwrap().len()), (0, 0));
        app.execute_batch("DROP TABLE my_card").unwrap();
        let report = sync(&till);
        assert_eq!((report.created, report.held_up, report.requests.post), (1, 0, 0), "{report:?}");
        assert_eq!(till.store().get(ana).unwrap().unwrap().id(), CustomerId(made));
        assert_eq!(till.sandbox.customer_count(), 4);
        assert!(till.store().held_up().unwrap().is_empty());
        sync(&till);
        assert_eq!(till.remote_value(made, "store_credit_amounts"), r#"[{"amount":15}]"#);
    }
}

#[test]
fn an_id_that_no_customer_can_have_is_refused_at_the_insert() {
    let till = till(3);
    let app = app(&till);
    for id in ["-2147483648", "-1795852041000", "-9223372036854775808"] {
        let insert =
            format!("INSERT INTO customer (id, email, first_name, last_name) VALUES ({id}, 'a@b', 'A', 'B')");
        let words = refused(&app, &insert);
        assert!(words.contains("is below -2147483647"), "{words}");
    }
    assert_eq!(walk_in(&app, "bo"), -1);
}

/// The ids that an answer to a creation tells are made these.
fn told(till: &Till, ids: &'static [i64]) -> Till {
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        if asked.method == "POST" {
            told.customers(|all| {
                all.iter_mut().zip(ids).for_each(|(customer, id)| customer["id"] = json!(*id));
            });
        }
    });
    let mut through = till.through(&odd);
    through.options.upload.grace_ms = 20;
    _ = through.engine().sync();
    through.engine().sync().unwrap();
    through
}

#[test]
fn an_id_that_is_somebody_elses_is_nobodys() {
    for ids in [&[1_i64][..], &[0], &[-7], &[-1]] {
        let till = till(3);
        let known = till.local(1, "email");
        let ana = enter(&app(&till), ANA);
        let till = told(&till, ids);
        assert_eq!(till.local(1, "email"), known, "{ids:?}");
        let made = only(&till, "ana@example.com");
        assert_eq!(till.store().get(ana).unwrap().unwrap().id(), CustomerId(made), "{ids:?}");
    }
}

#[test]
fn one_id_for_two_is_nobodys() {
    let till = till(3);
    let app = app(&till);
    let (ana, bo) = (enter(&app, ANA), walk_in(&app, "bo"));
    let till = told(&till, &[5_000, 5_000]);
    for (id, email) in [(ana, "ana@example.com"), (bo, "bo@example.com")] {
        assert_eq!(till.store().get(id).unwrap().unwrap().id(), CustomerId(only(&till, email)));
    }
}
