//! What something of the app's refuses holds up that customer and nobody else, is told, and is tried again; and nothing is sent
//! twice because of it.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::{Arc, Mutex};

use common::odd::{Kind, Odd};
use common::{Till, till};
use rusqlite::Connection;
use serde_json::json;
use tillsync::{CustomerId, Event};

/// The four ways in which a trigger refuses, and where it fires.
const RAISES: [&str; 4] = [
    "RAISE(ABORT, 'not this one')",
    "RAISE(FAIL, 'not this one')",
    "RAISE(ROLLBACK, 'not this one')",
    "RAISE(IGNORE)",
];

fn app(till: &Till, sql: &str) {
    Connection::open(&till.path).unwrap().execute_batch(sql).unwrap();
}

fn snapshot(till: &Till, id: i64, field: &str) -> String {
    let record = till.store().snapshot(id).unwrap().unwrap();
    serde_json::from_str::<serde_json::Value>(record.body()).unwrap()[field].to_string()
}

fn number(text: &str) -> f64 {
    text.split(':').nth(1).unwrap().trim_end_matches(['}', ']']).parse().unwrap()
}

fn who_is_held_up(till: &Till) -> Vec<(i64, Option<String>)> {
    till.store().held_up().unwrap().into_iter().map(|one| (one.customer_id.0, one.cause)).collect()
}

/// One sync with news of customers 1, 2 and 3, an edit of 4 and one of 2; of these, 2 is held up.
fn holds_up_the_second_only(trigger: &str, cause: Option<&str>) {
    let till = till(5);
    till.office(5, json!({"company": "news"}));
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    let before = (till.local(2, "company"), snapshot(&till, 2, "company"));
    app(&till, trigger);
    [1, 2, 3].into_iter().for_each(|id| till.office(id, json!({"company": "news"})));
    till.set(4, "phone", "mine");
    till.set(2, "phone", "waits");
    let told = Arc::new(Mutex::new(Vec::new()));
    let keep = told.clone();
    let mut engine = till.engine().on_event(move |event| {
        if let Event::HeldUp { customer_id, cause } = event {
            keep.lock().unwrap().push((customer_id, cause));
        }
    });
    for round in 0..3 {
        let report = engine.sync().unwrap_or_else(|e| panic!("{trigger}: {e}"));
        assert_eq!(report.uploaded_fields, u64::from(round == 0), "{trigger}");
        assert_eq!(
            (till.local(1, "company"), till.local(3, "company")),
            ("\"news\"".into(), "\"news\"".into())
        );
        assert_eq!(till.remote_value(4, "phone"), "\"mine\"");
        assert_eq!(
            (till.local(2, "company"), snapshot(&till, 2, "company")),
            before,
            "{trigger}: both, or neither"
        );
        assert_eq!(till.outcomes(2, "phone"), ["pending"], "{trigger}");
        assert_eq!(till.puts().len(), 1, "{trigger}: what is held up is not sent");
    }
    assert_eq!(*told.lock().unwrap(), [(CustomerId(2), cause.map(str::to_owned))], "{trigger}");
    let held_up = till.store().held_up().unwrap();
    assert_eq!((held_up.len(), held_up[0].cause.as_deref()), (1, cause), "{trigger}");
    assert_eq!((till.store().status().unwrap().held_up, till.store().status().unwrap().unsent), (1, 1));
    let doctor = till.run(["doctor"]);
    let check = doctor.json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "held_up")
        .unwrap()
        .clone();
    assert_eq!((doctor.exit, &check["ok"]), (Some(3), &json!(false)), "{check}");
    assert!(check["detail"].as_str().unwrap().contains("(2)"), "{check}");

    app(&till, "DROP TRIGGER IF EXISTS mine; DROP INDEX IF EXISTS mine");
    engine.sync().unwrap();
    assert_eq!(
        (till.local(2, "company"), till.remote_value(2, "phone")),
        ("\"news\"".into(), "\"waits\"".into()),
        "{trigger}"
    );
    assert_eq!(till.store().held_up().unwrap(), []);
    assert_eq!(
        till.run(["doctor"]).json["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["ok"] == false)
            .count(),
        0
    );
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    till.assert_no_violations();
}

#[test]
fn a_trigger_that_refuses_what_a_pull_brings_holds_up_that_customer_only() {
    for raise in RAISES {
        for before in ["customer", "snapshot"] {
            let when = if before == "customer" { "NEW.company = 'news'" } else { "NEW.body LIKE '%news%'" };
            holds_up_the_second_only(
                &format!(
                    "CREATE TRIGGER mine BEFORE UPDATE ON {before} WHEN NEW.id = 2 AND {when} BEGIN SELECT {raise}; END"
                ),
                Some("mine"),
            );
        }
    }
    for raise in &RAISES[..3] {
        holds_up_the_second_only(
            &format!(
                "CREATE TABLE my_log (id INTEGER);
                 CREATE TRIGGER mine AFTER UPDATE OF company ON customer WHEN NEW.company = 'news'
                 BEGIN INSERT INTO my_log VALUES (NEW.id); SELECT {raise} WHERE NEW.id = 2; END"
            ),
            Some("mine"),
        );
    }
}

#[test]
fn so_does_a_unique_index() {
    let index = "CREATE UNIQUE INDEX mine ON customer (company) WHERE company = 'news' AND id IN (2, 5)";
    holds_up_the_second_only(index, Some("mine"));
}

/// An edit that something of the app's refuses is refused by its name.
#[test]
fn an_edit_that_the_app_refuses_names_what_refused_it() {
    let till = till(5);
    for (cause, sql, words) in [
        (
            "my_audit",
            "CREATE TRIGGER my_audit AFTER UPDATE OF phone ON customer BEGIN SELECT my_function(NEW.id); END",
            "no such function: my_function",
        ),
        (
            "my_rule",
            "CREATE TRIGGER my_rule BEFORE UPDATE ON customer BEGIN SELECT RAISE(ABORT, 'not this one'); END",
            "not this one",
        ),
        (
            "my_index",
            "CREATE UNIQUE INDEX my_index ON customer (phone) WHERE phone = '555'",
            "UNIQUE constraint failed: customer.phone",
        ),
    ] {
        till.set(2, "phone", "555");
        app(&till, sql);
        let refused = till.store().edit(1).set("phone", "555").commit().unwrap_err();
        assert_eq!(refused.code(), "refused_by_app", "{refused}");
        let told = refused.to_string();
        assert!(told.starts_with(&format!("{cause} of the app")) && told.ends_with(words), "{told}");
        app(&till, &format!("DROP {} {cause}", if cause == "my_index" { "INDEX" } else { "TRIGGER" }));
        till.set(2, "phone", "1");
    }
}

#[test]
fn a_trigger_that_calls_what_this_sqlite_lacks_holds_up_whom_it_fires_for() {
    let till = till(5);
    app(
        &till,
        "CREATE TRIGGER mine BEFORE UPDATE OF company ON customer BEGIN SELECT my_function(NEW.id); END",
    );
    [1, 2].into_iter().for_each(|id| till.office(id, json!({"company": "news"})));
    till.office(3, json!({"phone": "other columns"}));
    let report = till.engine().sync().unwrap();
    assert_eq!((report.pulled, till.local(3, "phone")), (1, "\"other columns\"".into()));
    let held_up = till.store().held_up().unwrap();
    let all: Vec<_> = held_up.iter().map(|one| (one.customer_id.0, one.cause.as_deref())).collect();
    assert_eq!(all, [(1, Some("mine")), (2, Some("mine"))]);
    assert!(held_up[0].error.contains("no such function: my_function"), "{held_up:?}");
    app(&till, "DROP TRIGGER mine");
    till.engine().sync().unwrap();
    assert_eq!((till.local(2, "company"), till.store().held_up().unwrap()), ("\"news\"".into(), vec![]));
}

#[test]
fn a_deletion_and_a_new_customer_are_held_up_alike() {
    for raise in RAISES {
        let till = till(30);
        app(&till, &format!("CREATE TRIGGER mine BEFORE DELETE ON customer WHEN OLD.id = 2 BEGIN SELECT {raise}; END;
                             CREATE TRIGGER mine_too BEFORE INSERT ON customer WHEN NEW.email = 'new@example.com' BEGIN SELECT {raise}; END"));
        assert!(till.sandbox.delete(2) && till.sandbox.delete(3));
        let new = till
            .sandbox
            .add(&json!({"email": "new@example.com", "first_name": "N", "last_name": "N"}).to_string())
            .unwrap();
        let report = till.engine().pull(tillsync::Extent::Full).unwrap();
        assert!(report.complete, "{raise}");
        let store = till.store();
        assert!(store.get(3).unwrap().is_none(), "{raise}");
        assert!(store.get(2).unwrap().is_some() && store.snapshot(2).unwrap().is_some(), "{raise}");
        assert!(
            store.get(i64::from(new)).unwrap().is_none() && store.snapshot(i64::from(new)).unwrap().is_none(),
            "{raise}"
        );
        assert_eq!(store.held_up().unwrap().len(), 2, "{raise}");
        app(&till, "DROP TRIGGER mine; DROP TRIGGER mine_too");
        till.engine().pull(tillsync::Extent::Full).unwrap();
        assert!(store.get(2).unwrap().is_none() && store.get(i64::from(new)).unwrap().is_some(), "{raise}");
        assert_eq!(store.held_up().unwrap(), [], "{raise}");
    }
}

/// What refuses is a trigger of a table that refers to customers, what that table demands, or that a row of it is there at all.
#[test]
fn what_a_table_refuses_that_refers_to_a_customer_holds_up_that_customer_only() {
    for (table, trigger, cause) in [
        (
            "c INTEGER REFERENCES customer (id) ON UPDATE CASCADE ON DELETE CASCADE",
            "CREATE TRIGGER mine BEFORE DELETE ON sale BEGIN SELECT RAISE(ABORT, 'books must stay'); END",
            Some("mine"),
        ),
        ("c INTEGER NOT NULL REFERENCES customer (id) ON UPDATE CASCADE ON DELETE SET NULL", "", None),
        ("c INTEGER REFERENCES customer (id)", "", Some("sale")),
        ("c INTEGER REFERENCES customer", "", Some("sale")),
        ("c INTEGER REFERENCES Customer (ID) DEFERRABLE INITIALLY DEFERRED", "", Some("sale")),
    ] {
        let till = till(30);
        app(
            &till,
            &format!(
                "CREATE TABLE sale (id INTEGER PRIMARY KEY, {table}); {trigger}; INSERT INTO sale VALUES (1, 2)"
            ),
        );
        assert!(till.sandbox.delete(2) && till.sandbox.delete(3));
        till.office(4, json!({"company": "news"}));
        till.set(5, "phone", "mine");
        for _ in 0..2 {
            till.engine().pull(tillsync::Extent::Full).unwrap_or_else(|e| panic!("{table}: {e}"));
            assert!(
                till.store().get(3).unwrap().is_none() && till.store().get(2).unwrap().is_some(),
                "{table}"
            );
            assert_eq!(who_is_held_up(&till), [(2, cause.map(str::to_owned))], "{table}");
        }
        till.engine().sync().unwrap();
        assert_eq!(
            (till.local(4, "company"), till.remote_value(5, "phone")),
            ("\"news\"".into(), "\"mine\"".into())
        );
        let synced = till.run(["sync"]);
        assert_eq!((synced.exit, &synced.json["held_up"]), (Some(3), &json!(1)), "a person must act");
        app(&till, "DROP TABLE sale");
        till.engine().pull(tillsync::Extent::Full).unwrap();
        assert!(till.store().get(2).unwrap().is_none(), "{table}");
        assert_eq!((who_is_held_up(&till), till.run(["sync"]).exit), (vec![], Some(0)), "{table}");
    }
}

/// SQLite finds it when all is to be committed.
#[test]
fn a_trigger_that_breaks_a_deferred_foreign_key_holds_up_whom_it_fires_for() {
    holds_up_the_second_only(
        "CREATE TABLE branch (id INTEGER PRIMARY KEY);
         CREATE TABLE sale (branch INTEGER REFERENCES branch (id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER mine AFTER UPDATE ON customer WHEN NEW.id = 2 AND NEW.company = 'news'
         BEGIN INSERT INTO sale VALUES (999); END",
        Some("mine"),
    );
}

/// A payment that the store took, whose answer the app's trigger does not let in.
#[test]
fn what_was_answered_is_not_sent_again() {
    for raise in RAISES {
        let till = till(3);
        let before = number(&till.remote_value(2, "store_credit_amounts"));
        app(
            &till,
            &format!(
                "CREATE TRIGGER mine BEFORE UPDATE OF date_modified ON customer WHEN NEW.id = 2 BEGIN SELECT {raise}; END"
            ),
        );
        till.adjust(2, "5");
        till.set(3, "phone", "beside it");
        for _ in 0..3 {
            till.engine().sync().unwrap_or_else(|e| panic!("{raise}: {e}"));
            assert_eq!(till.puts().len(), 1, "{raise}");
            assert_eq!(number(&till.remote_value(2, "store_credit_amounts")), before + 5.0, "{raise}: once");
            assert_eq!(till.outcomes(2, "store_credit_amounts"), ["uploaded"], "{raise}");
            assert_eq!(till.outcomes(3, "phone"), ["uploaded"], "{raise}");
        }
        assert_eq!(till.store().held_up().unwrap()[0].customer_id, CustomerId(2));
        till.adjust(2, "1");
        till.engine().sync().unwrap();
        assert_eq!(till.puts().len(), 1, "{raise}: what is known of its balance is old");
        app(&till, "DROP TRIGGER mine");
        till.engine().sync().unwrap();
        assert_eq!(number(&till.remote_value(2, "store_credit_amounts")), before + 6.0, "{raise}");
        assert_eq!(number(&till.local(2, "store_credit_amounts")), before + 6.0, "{raise}");
        assert_eq!((till.puts().len(), till.store().held_up().unwrap()), (2, vec![]), "{raise}");
        till.assert_no_violations();
    }
}

/// Not even what became of it can be written: it stays in doubt, and is read back.
#[test]
fn nor_is_it_when_the_journal_itself_is_refused() {
    for raise in RAISES {
        let till = till(3);
        let before = number(&till.remote_value(2, "store_credit_amounts"));
        app(
            &till,
            &format!(
                "CREATE TRIGGER mine BEFORE UPDATE ON journal WHEN NEW.outcome = 'uploaded' AND NEW.customer_id = 2 BEGIN SELECT {raise}; END"
            ),
        );
        till.adjust(2, "5");
        till.set(3, "phone", "beside it");
        for _ in 0..3 {
            till.engine().sync().unwrap_or_else(|e| panic!("{raise}: {e}"));
            assert_eq!(till.puts().len(), 1, "{raise}");
            assert_eq!(number(&till.remote_value(2, "store_credit_amounts")), before + 5.0, "{raise}: once");
            assert_eq!(till.outcomes(3, "phone"), ["uploaded"], "{raise}");
            assert_eq!(
                who_is_held_up(&till),
                [(2, Some("mine".to_owned()))],
                "{raise}: told, sync after sync"
            );
        }
        assert_eq!(till.run(["doctor"]).exit, Some(3), "{raise}");
        app(&till, "DROP TRIGGER mine");
        till.engine().sync().unwrap();
        assert_eq!(who_is_held_up(&till), [], "{raise}");
        assert_eq!(till.outcomes(2, "store_credit_amounts"), ["uploaded"], "{raise}");
        assert_eq!(till.puts().len(), 1, "{raise}");
        assert_eq!(till.store().status().unwrap().in_flight_batches, 0, "{raise}");
    }
}

/// Before it leaves, an update is marked as on its way: one that cannot be would leave with every sync.
#[test]
fn what_cannot_be_marked_as_on_its_way_does_not_leave() {
    for raise in RAISES {
        for when in ["NEW.customer_id = 2", "NEW.customer_id = 2 AND NEW.outcome = 'in_flight'"] {
            let (till, event) = (till(3), "UPDATE OF outcome ON journal");
            refuses_the_payment_of_the_second(&till, event, when, raise);
        }
        let event = "INSERT ON batch_item";
        refuses_the_payment_of_the_second(&till(3), event, "NEW.customer_id = 2", raise);
    }
}

fn refuses_the_payment_of_the_second(till: &Till, event: &str, when: &str, raise: &str) {
    let before = number(&till.remote_value(2, "store_credit_amounts"));
    let what = format!("{event} WHEN {when}: {raise}");
    app(till, &format!("CREATE TRIGGER mine BEFORE {event} WHEN {when} BEGIN SELECT {raise}; END"));
    till.adjust(2, "5");
    till.set(3, "phone", "beside it");
    for _ in 0..3 {
        till.engine().sync().unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(till.puts().len(), 1, "{what}");
        assert_eq!(number(&till.remote_value(2, "store_credit_amounts")), before, "{what}");
        assert_eq!(till.outcomes(2, "store_credit_amounts"), ["pending"], "{what}");
        assert_eq!(till.outcomes(3, "phone"), ["uploaded"], "{what}");
        assert_eq!(who_is_held_up(till), [(2, Some("mine".to_owned()))], "{what}");
    }
    app(till, "DROP TRIGGER mine");
    till.engine().sync().unwrap();
    assert_eq!(number(&till.remote_value(2, "store_credit_amounts")), before + 5.0, "{what}: once");
    assert_eq!((who_is_held_up(till), till.puts().len()), (vec![], 2), "{what}");
    till.assert_no_violations();
}

/// A table that is gone from beneath a trigger refuses everybody's edits, and nobody's news.
#[test]
fn a_trigger_that_calls_what_is_gone_stops_no_sync() {
    let till = till(4);
    app(
        &till,
        "CREATE TABLE my_log (id INTEGER);
         CREATE TRIGGER mine AFTER UPDATE ON journal BEGIN INSERT INTO my_log VALUES (NEW.seq); END",
    );
    till.set(2, "phone", "waits");
    app(&till, "PRAGMA legacy_alter_table = ON; DROP TABLE my_log");
    till.office(3, json!({"company": "news"}));
    till.engine().sync().unwrap();
    assert_eq!(till.local(3, "company"), "\"news\"");
    assert_eq!((who_is_held_up(&till), till.puts().len()), (vec![(2, Some("mine".to_owned()))], 0));
}

/// A field that both sides changed waits for a person, who must find it: where the conflict cannot be written, nothing is.
#[test]
fn a_conflict_that_cannot_be_written_holds_up_its_customer() {
    for raise in RAISES {
        let till = till(3);
        app(
            &till,
            &format!(
                "CREATE TRIGGER mine BEFORE INSERT ON conflict WHEN NEW.customer_id = 2 BEGIN SELECT {raise}; END"
            ),
        );
        [1, 2].into_iter().for_each(|id| till.set(id, "phone", "mine"));
        [1, 2].into_iter().for_each(|id| till.office(id, json!({"phone": "theirs"})));
        for _ in 0..2 {
            till.engine().sync().unwrap_or_else(|e| panic!("{raise}: {e}"));
            assert_eq!(
                (till.outcomes(1, "phone"), till.outcomes(2, "phone")),
                (vec!["held".to_owned()], vec!["pending".to_owned()]),
                "{raise}"
            );
            assert_eq!(who_is_held_up(&till), [(2, Some("mine".to_owned()))], "{raise}");
        }
        app(&till, "DROP TRIGGER mine");
        till.engine().sync().unwrap();
        assert_eq!(
            (till.outcomes(2, "phone"), who_is_held_up(&till)),
            (vec!["held".to_owned()], vec![]),
            "{raise}"
        );
        assert_eq!(till.store().conflicts().unwrap().len(), 2, "{raise}");
    }
}

#[test]
fn a_decision_that_a_trigger_ignores_is_refused_and_not_said_to_be_made() {
    let till = till(3);
    till.set(1, "phone", "mine");
    till.office(1, json!({"phone": "theirs"}));
    till.engine().sync().unwrap();
    app(&till, "CREATE TRIGGER mine BEFORE UPDATE ON conflict BEGIN SELECT RAISE(IGNORE); END");
    for decide in [&["resolve", "1", "phone", "--keep", "local"][..], &["discard", "1", "phone"]] {
        let refused = till.run(decide.iter().copied());
        assert_eq!((refused.exit, refused.code()), (Some(6), "ignored"), "{}", refused.json);
        assert!(refused.json["error"]["message"].as_str().unwrap().contains("mine"), "{}", refused.json);
        assert_eq!(
            (till.outcomes(1, "phone"), till.local(1, "phone")),
            (vec!["held".to_owned()], "\"mine\"".to_owned())
        );
    }
    app(&till, "DROP TRIGGER mine");
    assert_eq!(till.run(["resolve", "1", "phone", "--keep", "local"]).exit, Some(0));
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), "\"mine\"");
}

// ---- a trigger that edits another customer -----------------------------------------------------------------------

#[test]
fn what_a_trigger_edits_of_a_customer_later_in_the_page_is_an_edit_like_any_other() {
    let till = till(3);
    app(
        &till,
        "CREATE TRIGGER mine AFTER UPDATE OF company ON customer WHEN NEW.id = 1 BEGIN
                    UPDATE customer SET phone = 'by the trigger', notes = 'too' WHERE id = 3; END",
    );
    let was = till.local(3, "phone");
    till.office(1, json!({"company": "news"}));
    till.office(3, json!({"phone": "by the office", "company": "untouched"}));
    till.engine().sync().unwrap();
    let conflict = &till.store().conflicts().unwrap()[0];
    assert_eq!(
        (conflict.customer_id, conflict.field.as_str(), &conflict.base),
        (CustomerId(3), "phone", &was)
    );
    assert_eq!(till.local(3, "phone"), "\"by the trigger\"");
    assert_eq!(
        (till.local(3, "company"), till.remote_value(3, "notes")),
        ("\"untouched\"".into(), "\"too\"".into())
    );
    assert_eq!(till.outcomes(3, "notes"), ["uploaded"]);
}

// ---- a trigger that never ends -----------------------------------------------------------------------------------

const FOR_EVER: &str =
    "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT max(n) FROM n";

#[test]
fn an_edit_of_which_a_trigger_never_ends_is_undone_and_names_it() {
    let till = till(3);
    app(&till, "CREATE TABLE mine (id); CREATE TRIGGER count_up AFTER INSERT ON mine BEGIN SELECT 1; END;");
    app(&till, &format!("CREATE TRIGGER for_ever AFTER UPDATE OF phone ON customer BEGIN {FOR_EVER}; END"));
    let edited = till.run(["edit", "2", "company=Lima", "phone=1"]);
    assert_eq!((edited.exit, edited.code()), (Some(6), "unending"), "{}", edited.json);
    let message = edited.json["error"]["message"].as_str().unwrap();
    assert!(message.contains("for_ever") && !message.contains("count_up"), "{message}");
    assert_eq!(till.store().status().unwrap().pending_fields, 0, "nothing is half written");
    let mut store = till.store();
    assert_eq!(store.edit(2).set("phone", "2").commit().unwrap_err().code(), "unending");
    store.edit(2).set("company", "Lima").commit().unwrap();
    // What an app's own statements take is the app's business.
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000000) SELECT max(n) FROM n";
    assert_eq!(store.connection().query_row(many, [], |row| row.get(0)), Ok(20_000_000));
}

#[test]
fn a_customer_for_whom_a_trigger_never_ends_is_held_up_and_the_others_go_on() {
    let till = till(4);
    app(
        &till,
        &format!("CREATE TRIGGER for_ever AFTER UPDATE ON customer WHEN NEW.id = 2 BEGIN {FOR_EVER}; END"),
    );
    (1..=4).for_each(|id| till.office(id, json!({"company": "news"})));
    till.engine().sync().unwrap();
    assert_eq!((till.local(1, "company"), till.local(4, "company")), ("\"news\"".into(), "\"news\"".into()));
    let held_up = till.store().held_up().unwrap();
    let told: Vec<_> = held_up.iter().map(|one| (one.customer_id, one.cause.as_deref())).collect();
    assert_eq!(told, [(CustomerId(2), Some("for_ever"))]);
    assert!(held_up[0].error.contains("does not end"), "{held_up:?}");
    // An app's screen shows it.
    let state = "SELECT state || held_up FROM customer_state WHERE id = 2";
    assert_eq!(till.store().connection().query_row(state, [], |row| row.get(0)), Ok("held_up1".to_owned()));
    app(&till, "DROP TRIGGER for_ever");
    till.engine().sync().unwrap();
    assert_eq!((till.local(2, "company"), till.store().held_up().unwrap()), ("\"news\"".into(), vec![]));
}

/// Each try keeps everybody from writing for a second or two: one is enough.
#[test]
fn a_trigger_that_does_not_end_is_not_tried_at_every_sync() {
    let till = till(4);
    app(&till, "CREATE TABLE mine (n); INSERT INTO mine VALUES (0)");
    app(
        &till,
        &format!("CREATE TRIGGER for_ever AFTER UPDATE ON snapshot WHEN NEW.id = 2 BEGIN {FOR_EVER}; END"),
    );
    till.office(2, json!({"company": "news"}));
    till.engine().sync().unwrap();
    assert_eq!(till.store().held_up().unwrap().len(), 1);
    let mut engine = till.engine();
    let began = std::time::Instant::now();
    for n in 0..4 {
        till.office(3, json!({ "company": n.to_string() }));
        engine.sync().unwrap();
        assert_eq!(till.local(3, "company"), format!("\"{n}\""));
        assert_eq!(till.store().held_up().unwrap().len(), 1);
    }
    let syncs = began.elapsed();
    // How long one takes that is tried again: something of the schema has changed.
    app(&till, "CREATE TABLE other (n)");
    let began = std::time::Instant::now();
    engine.sync().unwrap();
    assert!(syncs < 3 * began.elapsed(), "{syncs:?} for four syncs");
    app(&till, "DROP TRIGGER for_ever");
    engine.sync().unwrap();
    assert_eq!((till.local(2, "company"), till.store().held_up().unwrap()), ("\"news\"".into(), vec![]));
}

/// Each keeps everybody from writing for a while: not one after the other, for as many as there are.
#[test]
fn a_trigger_that_ends_for_nobody_ends_the_sync() {
    let till = till(20);
    app(&till, &format!("CREATE TRIGGER for_ever AFTER UPDATE ON snapshot BEGIN {FOR_EVER}; END"));
    (1..=8).for_each(|id| till.office(id, json!({"company": "news"})));
    let failed = till.engine().sync().unwrap_err();
    assert!(failed.to_string().contains("does not end"), "{failed}");
    assert_eq!(till.store().held_up().unwrap().len(), 5);
}

/// Nobody knows it here, and no list shows it any more.
#[test]
fn a_new_customer_that_was_refused_and_is_then_deleted_in_the_store_is_held_up_no_longer() {
    let till = till(5);
    app(
        &till,
        "CREATE TRIGGER mine BEFORE INSERT ON customer WHEN NEW.company = 'no' BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    let new = r#"{"email":"new@example.com","first_name":"N","last_name":"N","company":"no"}"#;
    let id = till.sandbox.add(new).unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.store().held_up().unwrap()[0].customer_id, CustomerId(id.into()));
    till.engine().pull(tillsync::Extent::Full).unwrap();
    assert_eq!(till.store().held_up().unwrap().len(), 1, "it is there");
    assert!(till.sandbox.delete(id));
    till.engine().sync().unwrap();
    assert_eq!(till.store().held_up().unwrap().len(), 1, "one look is not enough");
    till.engine().pull(tillsync::Extent::Full).unwrap();
    assert_eq!(till.store().held_up().unwrap(), []);
    assert_eq!(till.store().status().unwrap().snapshot_customers, 5);
}

#[test]
fn what_is_done_once_more_because_a_trigger_ended_it_is_told_once() {
    let till = till(30);
    for id in 1..=3 {
        till.set(id, "phone", "mine");
        assert!(till.sandbox.delete(i32::try_from(id).unwrap()));
    }
    app(
        &till,
        "CREATE TRIGGER mine AFTER INSERT ON conflict WHEN NEW.customer_id = 3 BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    );
    let told = Arc::new(Mutex::new(Vec::new()));
    let keep = told.clone();
    let mut engine = till.engine().on_event(move |event| keep.lock().unwrap().push(format!("{event:?}")));
    let report = engine.pull(tillsync::Extent::Full).unwrap();
    assert_eq!(report.deleted, 2, "the third is held up: {report:?}");
    let told = told.lock().unwrap();
    let once = told.iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(once.len(), told.len(), "{told:?}");
    assert!(told.iter().any(|event| event.contains("EditInConflict")), "{told:?}");
}

#[test]
fn a_reading_that_lags_lets_nobody_go_whom_a_trigger_still_refuses() {
    let till = till(3);
    app(
        &till,
        "CREATE TRIGGER mine BEFORE UPDATE ON customer WHEN NEW.company = 'no' BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    till.office(2, json!({"company": "no"}));
    till.set(2, "phone", "waits");
    till.engine().sync().unwrap();
    let held_up = till.store().held_up().unwrap();
    assert_eq!(who_is_held_up(&till), [(2, Some("mine".into()))]);
    // A replica has not heard of anything that happened to it.
    let lags = |told: &mut common::odd::Told| {
        told.customer(2, |two| {
            two["company"] = json!("of long ago");
            two["date_modified"] = json!("2020-01-01T00:00:00Z");
        });
    };
    let odd = Odd::before(&till.sandbox).every(Kind::ById, lags).every(Kind::List, lags);
    till.through(&odd).engine().sync().unwrap();
    assert_eq!(till.store().held_up().unwrap(), held_up, "nothing was tried");
    assert_eq!(till.run(["doctor"]).exit, Some(3));
    app(&till, "DROP TRIGGER mine");
    (0..2).for_each(|_| drop(till.engine().sync().unwrap()));
    assert_eq!(till.store().held_up().unwrap(), []);
    assert_eq!(
        (till.local(2, "company"), till.remote_value(2, "phone")),
        ("\"no\"".into(), "\"waits\"".into())
    );
}
