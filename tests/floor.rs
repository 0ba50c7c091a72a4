//! Credit that is not there is not spent: a payment of this till takes no balance below the floor of the file, whichever way it comes,
//! unless somebody allows it by name.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

mod common;

use common::command::Ran;
use common::{Till, till};
use rusqlite::Connection;
use serde_json::json;
use tillsync::Store;

fn app(till: &Till) -> Connection {
    Connection::open(&till.path).unwrap()
}

fn pays(app: &Connection, id: i64, amount: &str) -> rusqlite::Result<usize> {
    app.execute("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?1, ?2)", (id, amount))
}

fn credit(till: &Till, id: i64) -> Option<String> {
    let balance = "SELECT balance FROM customer_credit WHERE customer_id = ?1";
    app(till).query_row(balance, [id], |row| row.get(0)).unwrap()
}

/// A till whose customer 1 has so much.
fn with(balance: serde_json::Value) -> Till {
    let till = till(3);
    till.office(1, json!({"store_credit_amounts": [{"amount": balance}]}));
    till.engine().pull(tillsync::Extent::Full).unwrap();
    till
}

#[test]
fn credit_that_is_not_there_is_not_spent_whichever_way() {
    let till = with(json!(10));
    let app = app(&till);
    pays(&app, 1, "-4.50").unwrap();
    let refused = pays(&app, 1, "-5.51").unwrap_err().to_string();
    let words =
        "customer 1: store_credit_amounts: the balance is 5.50 and would be -0.01, below the floor of 0.00";
    assert!(refused.contains(words), "{refused}");
    let mut store = till.store();
    let refused = store.edit(1).adjust_credit((-6).into()).commit().unwrap_err();
    assert!(refused.is_usage() && refused.about().customer_id == Some(1.into()), "{refused}");
    assert_eq!(refused.about().limit, Some(0), "{refused}");
    let ways = ["override_floor", "\"override\": true", "store_credit_override", "--override"];
    assert!(ways.iter().all(|way| refused.hint().unwrap().contains(way)), "{:?}", refused.hint());
    let said = till.run(["credit", "1", "-6"]);
    assert_eq!((said.exit, said.code()), (Some(2), "refused"), "{}", said.json);
    assert_eq!(till.outcomes(1, "store_credit_amounts"), ["pending"], "nothing of it is journaled");
    // Down to nothing, and no further; up, always.
    pays(&app, 1, "-5.5").unwrap();
    assert!(pays(&app, 1, "-0.0001").is_err());
    pays(&app, 1, "0.0001").unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "store_credit_amounts"), r#"[{"amount":0.0001}]"#);
}

#[test]
fn whoever_allows_it_stands_in_the_journal() {
    let till = with(json!(10));
    till.store().set_credit_floor(Some(9.into())).unwrap();
    let app = app(&till);
    let allow = "INSERT INTO store_credit_override (customer_id, amount, allowed_by) VALUES (1, '-2.50', ?1)";
    for nobody in [None, Some(""), Some("  ")] {
        let refused = app.execute(allow, [nobody]).unwrap_err().to_string();
        assert!(refused.contains("an override says who allows it"), "{refused}");
    }
    app.execute(allow, ["bo"]).unwrap();
    let mut nameless = till.command(["credit", "1", "-1.5", "--override"]);
    let refused = Ran::of(&nameless.env_remove("TILLSYNC_AUTHOR").output().unwrap());
    assert_eq!((refused.exit, refused.code()), (Some(2), "usage"), "{}", refused.json);
    assert!(refused.json["error"]["hint"].as_str().unwrap().contains("--author"), "{}", refused.json);
    let said = till.run(["credit", "1", "-1.5", "--override", "--author", "cem"]);
    assert_eq!(
        (said.exit, &said.json),
        (Some(0), &json!({"customer_id": 1, "amount": "-1.50", "balance": "6.00"}))
    );
    assert_eq!(credit(&till, 1).as_deref(), Some("6.00"));
    // What needs nobody's word bears nobody's name; and below the floor it goes up without one.
    pays(&app, 1, "1").unwrap();
    let log = till.run(["log", "1"]);
    let allowed: Vec<_> = log.json.as_array().unwrap().iter().map(|row| row["allowed_by"].clone()).collect();
    assert!(
        [json!(["bo", "cem", null]), json!([null, "cem", "bo"])].contains(&json!(allowed)),
        "{}",
        log.json
    );
    let nobody = till.store().edit(1).adjust_credit((-1).into()).override_floor().commit().unwrap_err();
    assert!(nobody.is_usage(), "{nobody}");
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "store_credit_amounts"), r#"[{"amount":7}]"#);
}

#[test]
fn the_floor_stands_in_the_file_and_can_be_set() {
    let till = with(json!(1.25));
    let floor = |arguments: &[&str]| till.run(arguments.iter().copied()).json["floor"].clone();
    assert_eq!(floor(&["floor"]), "0.00");
    assert_eq!(floor(&["floor", "-50"]), "-50.00");
    let app = app(&till);
    pays(&app, 1, "-51.25").unwrap();
    assert!(pays(&app, 1, "-0.01").unwrap_err().to_string().contains("below the floor of -50.00"));
    assert_eq!(floor(&["floor", "none"]), json!(null));
    pays(&app, 1, "-1000").unwrap();
    let mut store = till.store();
    store.set_credit_floor(Some("12.3456".parse().unwrap())).unwrap();
    assert_eq!(store.credit_floor().unwrap(), Some("12.3456".parse().unwrap()));
    assert!(store.set_credit_floor(Some("0.00001".parse().unwrap())).unwrap_err().is_usage());
    assert_eq!(till.run(["floor", "1e2"]).exit, Some(2));
    assert!(pays(&app, 2, "-99999").is_err());
}

/// What nobody knows is below nothing.
#[test]
fn a_balance_that_the_store_does_not_tell_is_held_against_nothing() {
    let till = with(json!(10));
    let mut store: Store = till.store();
    let hide = "UPDATE tillsync_guard SET writing = 1; UPDATE customer SET store_credit_amounts = NULL, engine_mark = NOT engine_mark
                WHERE id = 1; UPDATE tillsync_guard SET writing = 0";
    store.connection().execute_batch(hide).unwrap();
    assert_eq!(credit(&till, 1), None);
    pays(&app(&till), 1, "-3").unwrap();
}

#[test]
fn a_balance_is_shown_as_a_person_writes_it() {
    for (balance, shown) in [
        (json!(0), "0.00"),
        (json!(10.5), "10.50"),
        (json!(7.1234), "7.1234"),
        (json!(-3.1), "-3.10"),
        (json!(2.125), "2.125"),
    ] {
        assert_eq!(credit(&with(balance), 1).as_deref(), Some(shown));
    }
}

/// One way to pay beneath the other, by a trigger of the app's.
#[test]
fn no_payment_beneath_another_goes_unjournaled() {
    let till = with(json!(10));
    let app = app(&till);
    app.execute_batch(
        "CREATE TRIGGER commission AFTER UPDATE OF store_credit_amounts ON customer WHEN NEW.id = 1
         BEGIN INSERT INTO store_credit_override (customer_id, amount, allowed_by) VALUES (2, '-5', 'ana'); END",
    )
    .unwrap();
    let refused = pays(&app, 1, "-1").unwrap_err().to_string();
    assert!(refused.contains("customer 2: store_credit_amounts: would not be journaled"), "{refused}");
    app.execute_batch("PRAGMA recursive_triggers = ON").unwrap();
    pays(&app, 1, "-1").unwrap();
    assert_eq!(till.outcomes(2, "store_credit_amounts"), ["pending"]);
}

/// It may be set within a transaction of the app's, which is the app's all the same.
#[test]
fn a_floor_is_the_librarys_to_set_and_is_taken_back_with_the_apps_transaction() {
    let till = till(1);
    let mut store = till.store();
    store.connection().execute_batch("BEGIN").unwrap();
    store.set_credit_floor(None).unwrap();
    assert_eq!(store.credit_floor().unwrap(), None);
    let refusal = store.connection().execute("DELETE FROM state WHERE key = 'credit_floor'", []).unwrap_err();
    assert!(refusal.to_string().contains("state: is the engine's alone"), "{refusal}");
    store.connection().execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.credit_floor().unwrap(), Some(0.into()));
    assert!(store.connection().is_autocommit());
    store.try_to_write().unwrap();
}
