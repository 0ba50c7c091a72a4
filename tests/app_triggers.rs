//! An app's own triggers beside ours, and mappers that write every column back: what they edit is journaled or refused,
//! whoever's transaction they run in, and what they leave as it was is no edit.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests fail the test

mod common;

use common::edits::{edit, edits, refusal};
use common::odd::{Odd, Told};
use common::{Till, sandbox, till};
use rusqlite::{Connection, params};
use serde_json::json;
use tillsync::{CustomerId, Extent, Keep};

/// An app's connection, which knows nothing of tillsync.
fn app(till: &Till) -> Connection {
    Connection::open(&till.path).unwrap()
}

fn with_triggers(till: &Till, triggers: &str) {
    app(till).execute_batch(triggers).unwrap();
}

// ---- in the engine's transactions --------------------------------------------------------------------------------

/// A customer who joins the group of VIPs is given 10.
const VIP: &str = "CREATE TRIGGER vip AFTER UPDATE OF customer_group_id ON customer
                   WHEN NEW.customer_group_id = 7 AND OLD.customer_group_id IS NOT 7
                   BEGIN INSERT INTO store_credit_adjustment VALUES (NEW.id, '10'); END";

#[test]
fn what_an_apps_trigger_edits_when_a_pull_comes_in_is_an_edit() {
    let till = till(3);
    with_triggers(&till, VIP);
    till.office(1, json!({"customer_group_id": 7, "store_credit_amounts": [{"amount": 50}]}));
    till.engine().pull(Extent::Changes).unwrap();
    assert_eq!(edits(&till, 1), [edit("store_credit_amounts", "adjust", r#""10""#)]);
    assert_eq!(till.local(1, "store_credit_amounts"), r#"[{"amount":60}]"#);
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "store_credit_amounts"), r#"[{"amount":60}]"#);
    assert_eq!(till.outcomes(1, "store_credit_amounts"), ["uploaded"]);
}

#[test]
fn so_is_what_it_edits_of_a_customer_who_is_new() {
    let till = Till::new(sandbox(3));
    drop(till.store());
    let welcome = "CREATE TRIGGER welcome AFTER INSERT ON customer
                   BEGIN UPDATE customer SET notes = 'new on this till' WHERE id = NEW.id; END";
    with_triggers(&till, welcome);
    till.engine().sync().unwrap();
    for id in 1..=3 {
        assert_eq!(edits(&till, id), [edit("notes", "set", r#""new on this till""#)]);
        assert_eq!(till.remote_value(id, "notes"), r#""new on this till""#);
    }
}

#[test]
fn so_is_what_it_edits_when_an_answer_to_an_update_comes_in() {
    let till = till(1);
    // Whatever the engine writes into the working copy after an upload bears the server's date.
    let seen = "CREATE TRIGGER seen AFTER UPDATE OF date_modified ON customer
                BEGIN UPDATE customer SET company = 'seen' WHERE id = NEW.id; END";
    with_triggers(&till, seen);
    till.set(1, "phone", "555");
    till.engine().sync().unwrap();
    assert!(edits(&till, 1).contains(&edit("company", "set", r#""seen""#)));
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "company"), "\"seen\"");
}

/// An update of both is refused as a whole and read back; what the store has of the first makes a trigger edit the second, of whom
/// the store has news as well.
#[test]
fn so_is_what_it_edits_of_another_who_is_read_back_with_the_one_that_came_in() {
    let till = till(2);
    let bonus = "CREATE TRIGGER bonus AFTER UPDATE OF company ON customer WHEN NEW.id = 1
                 BEGIN INSERT INTO store_credit_adjustment VALUES (2, '5'); END";
    with_triggers(&till, bonus);
    for id in [1, 2] {
        till.set(id, "phone", "555");
    }
    let store = std::sync::Arc::clone(&till.sandbox);
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let is_first = asked.is_put() && asked.nth == 1;
        let office = json!({"company": "office", "store_credit_amounts": [{"amount": 90}]});
        is_first.then(|| [1, 2].map(|id| assert!(store.edit(id, office.clone()))));
        is_first.then(Told::dropped)
    });
    till.through(&odd).engine().sync().unwrap();
    assert_eq!(edits(&till, 2)[1..], [edit("store_credit_amounts", "adjust", r#""5""#)]);
    assert_eq!(till.local(2, "store_credit_amounts"), r#"[{"amount":95}]"#);
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(2, "store_credit_amounts"), r#"[{"amount":95}]"#);
}

#[test]
fn a_trigger_finds_all_that_came_in_and_what_it_edits_stays() {
    let till = till(1);
    let joins = "CREATE TRIGGER joins AFTER UPDATE OF first_name ON customer
                 BEGIN UPDATE customer SET company = NEW.first_name || ' ' || NEW.last_name WHERE id = NEW.id; END";
    with_triggers(&till, joins);
    till.office(1, json!({"first_name": "Ana", "last_name": "Gil", "company": "theirs"}));
    till.engine().pull(Extent::Changes).unwrap();
    assert_eq!(edits(&till, 1), [edit("company", "set", r#""Ana Gil""#)]);
    assert_eq!(till.local(1, "company"), "\"Ana Gil\"");
}

/// What an app may not write at any time, and a word of the refusal.
const NEVER: [(&str, &str); 8] = [
    ("UPDATE customer SET company = printf('%300s', '') WHERE id = NEW.id", "has 300 characters"),
    ("UPDATE customer SET date_created = 'never' WHERE id = NEW.id", "date_created: is read-only"),
    ("UPDATE customer SET origin_channel_id = 9 WHERE id = NEW.id", "origin_channel_id"),
    (
        "UPDATE customer SET store_credit_amounts = '[{\"amount\":\"5\"}]' WHERE id = NEW.id",
        "must be a JSON array",
    ),
    ("UPDATE customer SET id = 999 WHERE id = NEW.id", "names the customer"),
    ("INSERT INTO customer (id, email) VALUES (999, 'x@example.com')", "is given by the store"),
    ("UPDATE journal SET value = '1'", "append-only"),
    ("INSERT INTO store_credit_adjustment VALUES (NEW.id, '1e2')", "an adjustment is a signed amount"),
];

/// Also where the engine's own statement fires it: that customer stays as it was, and it is said why.
#[test]
fn what_no_app_may_write_is_refused_beneath_the_engine_too() {
    for (statement, why) in NEVER {
        for event in [
            "AFTER UPDATE OF phone",
            "BEFORE UPDATE OF phone",
            "AFTER UPDATE OF date_modified",
            "AFTER INSERT",
        ] {
            let till = till(3);
            // So that there is a row of the journal to be changed.
            till.set(3, "notes", "sent");
            till.engine().sync().unwrap();
            with_triggers(
                &till,
                &format!(
                    "CREATE TRIGGER mine {event} ON customer WHEN NEW.id NOT IN (2, 3) BEGIN {statement}; END"
                ),
            );
            let before = (till.local(1, "phone"), edits(&till, 3));
            let new =
                till.sandbox.add(r#"{"email":"new@example.com","first_name":"N","last_name":"N"}"#).unwrap();
            [1, 2].into_iter().for_each(|id| till.office(id, json!({"phone": "news"})));
            till.engine().sync().unwrap();
            let id = if event == "AFTER INSERT" { i64::from(new) } else { 1 };
            let held_up = till.store().held_up().unwrap();
            assert_eq!((held_up.len(), held_up[0].customer_id), (1, CustomerId(id)), "{statement}: {event}");
            assert!(held_up[0].error.contains(why), "{statement}: {event}: {held_up:?}");
            assert_eq!(till.local(2, "phone"), "\"news\"", "{statement}: {event}");
            let is_one = id == 1;
            assert_eq!(till.local(1, "phone") == before.0, is_one, "{statement}: {event}");
            assert_eq!(edits(&till, 3), before.1, "{statement}: {event}");
            assert_eq!((edits(&till, 1), edits(&till, 999)), (vec![], vec![]), "{statement}: {event}");
            assert!(till.store().get(3).unwrap().is_some() && till.store().get(999).unwrap().is_none());
            assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{statement}: {event}");
        }
    }
}

// ---- where the engine writes -------------------------------------------------------------------------------------

/// Where a trigger edits a customer that the engine is about to write over.
const BEFORE_THE_WRITE: [&str; 3] = [
    "BEFORE UPDATE OF customer_group_id ON customer WHEN NEW.customer_group_id = 7",
    "BEFORE UPDATE ON snapshot WHEN json_extract(NEW.body, '$.customer_group_id') = 7",
    "AFTER UPDATE ON snapshot WHEN json_extract(NEW.body, '$.customer_group_id') = 7",
];

#[test]
fn what_a_trigger_edits_where_the_engine_writes_is_in_conflict_with_what_came_in() {
    for event in BEFORE_THE_WRITE {
        for is_edited in [false, true] {
            let till = till(2);
            let was = till.local(1, "company");
            with_triggers(
                &till,
                &format!(
                    "CREATE TRIGGER vip {event} BEGIN UPDATE customer SET company = 'VIP' WHERE id = NEW.id; END"
                ),
            );
            if is_edited {
                till.set(1, "tax_exempt_category", "mine");
            }
            till.office(1, json!({"customer_group_id": 7, "company": "by the office", "phone": "555"}));
            till.engine().sync().unwrap();
            let conflicts = till.store().conflicts().unwrap();
            let told =
                (conflicts[0].base.as_str(), conflicts[0].local.as_str(), conflicts[0].remote.as_str());
            assert_eq!(
                (conflicts.len(), told),
                (1, (was.as_str(), "\"VIP\"", "\"by the office\"")),
                "{event}"
            );
            assert_eq!(
                (till.local(1, "company"), till.local(1, "phone")),
                ("\"VIP\"".into(), "\"555\"".into())
            );
            assert_eq!(till.outcomes(1, "company"), ["held"], "{event}");
            assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{event}");
            till.store().resolve(1, "company", &Keep::Local, None).unwrap();
            till.engine().sync().unwrap();
            assert_eq!(till.remote_value(1, "company"), "\"VIP\"", "{event}");
            assert_eq!(till.local(1, "company"), "\"VIP\"", "{event}");
        }
    }
}

#[test]
fn what_can_be_brought_together_is() {
    for event in BEFORE_THE_WRITE {
        let till = till(2);
        let size = r#"[{"name":"size","value":"M"},{"name":"color","value":"red"}]"#;
        till.office(1, json!({"channel_ids": [1], "form_fields": serde_json::from_str::<serde_json::Value>(size).unwrap(),
                              "store_credit_amounts": [{"amount": 50}]}));
        till.engine().pull(Extent::Changes).unwrap();
        with_triggers(
            &till,
            &format!(
                r#"CREATE TRIGGER vip {event} BEGIN
                     UPDATE customer SET channel_ids = '[1,3]',
                       form_fields = '[{{"name":"size","value":"L"}},{{"name":"color","value":"red"}}]' WHERE id = NEW.id;
                     INSERT INTO store_credit_adjustment VALUES (NEW.id, '10'); END"#
            ),
        );
        till.office(1, json!({"customer_group_id": 7, "channel_ids": [1, 2], "store_credit_amounts": [{"amount": 70}],
                              "form_fields": [{"name": "size", "value": "M"}, {"name": "color", "value": "blue"}]}));
        till.engine().pull(Extent::Changes).unwrap();
        assert_eq!(till.local(1, "store_credit_amounts"), r#"[{"amount":80}]"#, "{event}");
        till.engine().sync().unwrap();
        assert_eq!(till.remote_value(1, "channel_ids"), "[1,2,3]", "{event}");
        assert_eq!(till.remote_value(1, "store_credit_amounts"), r#"[{"amount":80}]"#, "{event}");
        let forms = till.remote_value(1, "form_fields");
        assert!(forms.contains(r#""L""#) && forms.contains(r#""blue""#), "{event}: {forms}");
        assert_eq!(
            (till.store().conflicts().unwrap(), till.store().check().unwrap()),
            (vec![], vec![]),
            "{event}"
        );
    }
}

#[test]
fn a_balance_that_a_trigger_sets_where_another_came_in_waits_for_a_person() {
    for event in BEFORE_THE_WRITE {
        let till = till(1);
        with_triggers(
            &till,
            &format!(
                r#"CREATE TRIGGER vip {event} BEGIN
                     UPDATE customer SET store_credit_amounts = '[{{"amount":5}}]' WHERE id = NEW.id; END"#
            ),
        );
        till.office(1, json!({"customer_group_id": 7, "store_credit_amounts": [{"amount": 70}]}));
        till.engine().sync().unwrap();
        let conflict = &till.store().conflicts().unwrap()[0];
        assert_eq!(
            (conflict.local.as_str(), conflict.remote.as_str()),
            (r#"[{"amount":5}]"#, r#"[{"amount":70}]"#)
        );
        assert_eq!(till.remote_value(1, "store_credit_amounts"), r#"[{"amount":70}]"#, "{event}");
    }
}

/// Giving up an edit writes the store's values; nobody else has changed what the trigger edits.
#[test]
fn what_a_trigger_edits_where_a_decision_writes_is_an_edit() {
    let till = till(1);
    with_triggers(
        &till,
        "CREATE TRIGGER mine BEFORE UPDATE OF phone ON customer
         BEGIN UPDATE customer SET notes = 'phone ' || NEW.phone WHERE id = NEW.id; END",
    );
    let was = till.local(1, "phone").replace('"', "");
    till.set(1, "phone", "555");
    assert_eq!(till.local(1, "notes"), "\"phone 555\"");
    till.store().discard(1, None, None).unwrap();
    assert_eq!(till.local(1, "notes"), format!("\"phone {was}\""));
    assert_eq!(till.outcomes(1, "notes"), ["discarded", "pending"]);
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "notes"), format!("\"phone {was}\""));
}

#[test]
fn a_trigger_that_edits_anew_whatever_is_written_holds_up_its_customer() {
    let till = till(2);
    with_triggers(
        &till,
        "CREATE TRIGGER mine BEFORE UPDATE ON customer WHEN NEW.id = 1 AND NEW.engine_mark IS NOT OLD.engine_mark
         BEGIN UPDATE customer SET notes = hex(randomblob(8)) WHERE id = 1; END",
    );
    [1, 2].into_iter().for_each(|id| till.office(id, json!({"notes": "news"})));
    till.engine().sync().unwrap();
    assert_eq!(till.local(2, "notes"), "\"news\"");
    let held_up = till.store().held_up().unwrap();
    assert_eq!((held_up.len(), held_up[0].customer_id), (1, CustomerId(1)));
    assert!(held_up[0].error.contains("edits anew"), "{held_up:?}");
    assert_eq!(edits(&till, 1), [], "nothing is half written");
}

#[test]
fn what_a_trigger_edits_of_a_customer_who_goes_ends_with_it() {
    for event in ["BEFORE DELETE", "BEFORE UPDATE"] {
        let till = till(30);
        with_triggers(
            &till,
            &format!(
                "CREATE TRIGGER mine {event} ON customer BEGIN UPDATE customer SET phone = 'bye' WHERE id = OLD.id; END"
            ),
        );
        assert!(till.sandbox.delete(1));
        till.engine().pull(Extent::Full).unwrap();
        assert!(till.store().get(1).unwrap().is_none(), "{event}");
        let rows = till.store().journal(Some(CustomerId(1))).unwrap();
        assert_eq!((rows.len(), rows[0].outcome.map(|it| it.as_str())), (1, Some("remote")), "{event}");
        assert!(
            rows[0].reason.as_deref().is_some_and(|reason| reason.contains("went from the file")),
            "{event}"
        );
        let status = till.store().status().unwrap();
        assert_eq!((status.pending_fields, status.unsent), (0, 0), "{event}");
        assert!(till.store().forget(1).unwrap() > 0, "{event}");
    }
}

/// As files of before may hold it.
#[test]
fn an_edit_of_a_customer_who_is_not_in_the_file_can_be_given_up() {
    let orphan = || {
        let till = till(2);
        till.set(1, "phone", "bye");
        till.set(1, "notes", "bye");
        let lost = "UPDATE snapshot SET engine_mark = 2 WHERE id = 1; DELETE FROM snapshot WHERE id = 1;
                    UPDATE tillsync_guard SET writing = 1; UPDATE customer SET engine_mark = 2 WHERE id = 1;
                    DELETE FROM customer WHERE id = 1; UPDATE tillsync_guard SET writing = 0";
        app(&till).execute_batch(lost).unwrap();
        till
    };
    let till = orphan();
    let rows = till.store().journal(Some(CustomerId(1))).unwrap();
    assert_eq!(till.store().discard_row(rows[0].seq, None).unwrap(), 1);
    assert_eq!(
        (till.outcomes(1, rows[0].field.as_str()), till.outcomes(1, rows[1].field.as_str())),
        (vec!["discarded".to_owned()], vec!["pending".to_owned()])
    );
    let till = orphan();
    assert_eq!(till.store().discard(1, None, None).unwrap(), 2);
    assert_eq!(
        (till.outcomes(1, "phone"), till.outcomes(1, "notes")),
        (vec!["discarded".to_owned()], vec!["discarded".to_owned()])
    );
    assert_eq!(till.store().forget(1).unwrap(), 2);
    assert_eq!(till.store().discard(1, None, None).unwrap_err().code(), "unknown_customer");
}

// ---- beneath an edit ---------------------------------------------------------------------------------------------

/// Each of these edits a second customer beneath an edit of a first, of the same kind: with SQLite's default, the trigger
/// that should journal it is on the stack already, and skipped.
const BENEATH: [(&str, &str, &str); 4] = [
    (
        "CREATE TRIGGER sponsor AFTER UPDATE OF store_credit_amounts ON customer WHEN NEW.id = 1
         BEGIN INSERT INTO store_credit_adjustment VALUES (2, '5'); END",
        "INSERT INTO store_credit_adjustment VALUES (1, '10')",
        "store_credit_amounts",
    ),
    (
        "CREATE TRIGGER household AFTER INSERT ON journal WHEN NEW.customer_id = 1 AND NEW.field = 'phone'
         BEGIN UPDATE customer SET phone = '555' WHERE id = 2; END",
        "UPDATE customer SET phone = '555' WHERE id = 1",
        "phone",
    ),
    (
        "CREATE TRIGGER household BEFORE INSERT ON journal WHEN NEW.customer_id = 1 AND NEW.field = 'form_fields'
         BEGIN UPDATE customer SET form_fields = '[{\"name\":\"a\",\"value\":\"b\"}]' WHERE id = 2; END",
        "UPDATE customer SET form_fields = '[{\"name\":\"a\",\"value\":\"b\"}]' WHERE id = 1",
        "form_fields",
    ),
    (
        "CREATE TRIGGER both AFTER INSERT ON journal WHEN NEW.customer_id = 1 AND NEW.field = 'new_password'
         BEGIN INSERT INTO password_change VALUES (2, 'as secret'); END",
        "INSERT INTO password_change VALUES (1, 'secret')",
        "new_password",
    ),
];

#[test]
fn an_edit_beneath_another_of_its_kind_is_journaled_or_fails_and_says_why() {
    for (trigger, statement, field) in BENEATH {
        let till = till(2);
        with_triggers(&till, trigger);
        let app = app(&till);
        let before = (till.local(1, field), till.local(2, field));
        app.execute_batch("PRAGMA recursive_triggers = OFF").unwrap();
        let said = refusal(app.execute(statement, []));
        assert!(said.starts_with(&format!("customer 2: {field}: would not be journaled: ")), "{said}");
        assert!(said.contains("PRAGMA recursive_triggers = ON"), "{said}");
        assert_eq!((edits(&till, 1), edits(&till, 2)), (vec![], vec![]), "{statement}");
        assert_eq!((till.local(1, field), till.local(2, field)), before);
        app.execute_batch("PRAGMA recursive_triggers = ON").unwrap();
        app.execute(statement, []).unwrap();
        assert_eq!((edits(&till, 1).len(), edits(&till, 2).len()), (1, 1), "{statement}");
        till.engine().sync().unwrap();
        assert_eq!(till.outcomes(2, field), ["uploaded"], "{statement}");
    }
}

#[test]
fn an_edit_of_another_field_beneath_one_is_journaled_under_either_setting() {
    for recursive in ["OFF", "ON"] {
        let till = till(2);
        with_triggers(
            &till,
            "CREATE TRIGGER audit AFTER INSERT ON journal WHEN NEW.field = 'phone'
             BEGIN UPDATE customer SET notes = 'phone was ' || NEW.was WHERE id = NEW.customer_id; END",
        );
        let app = app(&till);
        app.execute_batch(&format!("PRAGMA recursive_triggers = {recursive}")).unwrap();
        app.execute("UPDATE customer SET phone = '555'", []).unwrap();
        for id in [1, 2] {
            let fields: Vec<String> = edits(&till, id).into_iter().map(|edit| edit.0).collect();
            assert_eq!(fields, ["phone", "notes"], "{recursive}");
        }
    }
}

/// The journal's row is abandoned, the edit is not: SQLite goes on behind it.
#[test]
fn a_trigger_that_ignores_a_row_of_the_journal_makes_the_edit_fail() {
    let till = till(1);
    with_triggers(&till, "CREATE TRIGGER quiet BEFORE INSERT ON journal BEGIN SELECT RAISE(IGNORE); END");
    let app = app(&till);
    for (statement, field) in [
        ("UPDATE customer SET phone = '555'", "phone"),
        ("UPDATE customer SET customer_group_id = 3", "customer_group_id"),
        ("UPDATE customer SET force_password_reset = NOT force_password_reset", "force_password_reset"),
        ("INSERT INTO store_credit_adjustment VALUES (1, 5)", "store_credit_amounts"),
        ("INSERT INTO password_change VALUES (1, 'secret')", "new_password"),
    ] {
        let said = refusal(app.execute(statement, []));
        assert!(said.starts_with(&format!("customer 1: {field}: would not be journaled")), "{said}");
    }
    let waiting: i64 = app.query_row("SELECT count(*) FROM pending_password", [], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 0);
}

/// The row that is called an adjustment is the adjustment's own, whatever was edited in between.
#[test]
fn a_trigger_that_rounds_the_balance_makes_an_edit_of_its_own() {
    let till = till(1);
    with_triggers(
        &till,
        r#"CREATE TRIGGER rounds AFTER UPDATE OF store_credit_amounts ON customer
           WHEN NEW.store_credit_amounts = '[{"amount":12.5}]'
           BEGIN UPDATE customer SET store_credit_amounts = '[{"amount":12}]' WHERE id = NEW.id; END"#,
    );
    let app = app(&till);
    app.execute("UPDATE customer SET store_credit_amounts = '[{\"amount\":10}]'", []).unwrap();
    app.execute("INSERT INTO store_credit_adjustment VALUES (1, '2.5')", []).unwrap();
    let rows = edits(&till, 1);
    assert_eq!(
        rows[rows.len() - 2..],
        [
            edit("store_credit_amounts", "adjust", r#""2.5""#),
            edit("store_credit_amounts", "set", r#"[{"amount":12}]"#)
        ]
    );
}

// ---- mappers -----------------------------------------------------------------------------------------------------

/// What stores have, and what a mapper makes of it when it saves a customer of whom it changed nothing.
const RESPELLED: [(&str, &str, &str); 19] = [
    ("date_created", "2026-01-02T03:04:05Z", "2026-01-02T04:04:05+0100"),
    ("date_created", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000+00"),
    ("date_modified", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05 UTC"),
    ("date_modified", "2026-01-02T03:04:05Z", "2026-01-02t03:04:05z"),
    ("date_modified", "2026-01-02T03:04:05-0230", "2026-01-02T05:34:05Z"),
    ("date_created", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05.000000"),
    ("date_modified", "2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00"),
    ("registration_ip_address", "", ""),
    ("channel_ids", "[2,1]", "[1, 2]"),
    ("channel_ids", "[]", "[ ]"),
    ("store_credit_amounts", r#"[{"amount":43.10}]"#, r#"[{"amount": 43.1}]"#),
    (
        "store_credit_amounts",
        r#"[{"amount":1e2,"currency":"EUR"}]"#,
        r#"[{"currency": "EUR", "amount": 100.0}]"#,
    ),
    ("form_fields", r#"[{"name":"a","value":null}]"#, r#"[{"value": null, "name": "a"}]"#),
    ("form_fields", r#"[{"name":"a","value":true}]"#, r#"[{"name": "a", "value": true}]"#),
    (
        "form_fields",
        r#"[{"name":"a","value":"1"},{"name":"a","value":"2"}]"#,
        r#"[{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]"#,
    ),
    (
        "form_fields",
        r#"[{"name":"é","value":1.50},{"name":"b","value":["x","é"]}]"#,
        r#"[{"name": "b", "value": ["x", "\u00e9"]}, {"name": "\u00e9", "value": 1.5}]"#,
    ),
    ("form_fields", r#"[{"name":"a","value":"x\u0000y"}]"#, r#"[{"name": "a", "value": "x\u0000y"}]"#),
    (
        "addresses",
        r#"[{"id":1,"city":"Köln","first":null}]"#,
        r#"[{"city": "K\u00f6ln", "first": null, "id": 1}]"#,
    ),
    ("segment_ids", r#"["a","b"]"#, r#"[ "a", "b" ]"#),
];

/// The store has this value, whatever it would take; the engine wrote it.
fn store_has(app: &Connection, column: &str, value: &str) {
    app.execute_batch("BEGIN; UPDATE tillsync_guard SET writing = 1").unwrap();
    let sql = format!("UPDATE customer SET {column} = ?1, engine_mark = NOT engine_mark WHERE id = 1");
    app.execute(&sql, [value]).unwrap();
    app.execute_batch("UPDATE tillsync_guard SET writing = 0; COMMIT").unwrap();
}

#[test]
fn a_value_that_means_what_it_was_is_no_edit_and_is_never_refused() {
    let till = till(1);
    let app = app(&till);
    for (column, store, mapper) in RESPELLED {
        store_has(&app, column, store);
        let save = format!("UPDATE customer SET {column} = ?1 WHERE id = 1");
        app.execute(&save, [mapper]).unwrap_or_else(|e| panic!("{column} {mapper}: {e}"));
        assert_eq!(edits(&till, 1), [], "{column} {mapper}");
    }
    for (now, word) in [(0, "false"), (1, "true"), (1, "True")] {
        app.execute_batch("BEGIN; UPDATE tillsync_guard SET writing = 1").unwrap();
        app.execute("UPDATE customer SET force_password_reset = ?1, engine_mark = NOT engine_mark", [now])
            .unwrap();
        app.execute_batch("UPDATE tillsync_guard SET writing = 0; COMMIT").unwrap();
        app.execute("UPDATE customer SET force_password_reset = ?1", [word]).unwrap();
        let stands: rusqlite::types::Value =
            app.query_row("SELECT force_password_reset FROM customer", [], |row| row.get(0)).unwrap();
        assert_eq!(stands, rusqlite::types::Value::Integer(now), "{word}");
    }
    app.execute("UPDATE customer SET registration_ip_address = coalesce(registration_ip_address, '')", [])
        .unwrap();
    assert_eq!(edits(&till, 1), []);
}

/// What does not mean the same is an edit, or refused, as ever.
#[test]
fn a_value_that_means_something_else_is_an_edit_or_refused() {
    let till = till(1);
    let app = app(&till);
    for (column, store, mapper) in [
        ("date_created", "2026-01-02T03:04:05Z", "2026-01-02 03:04:06"),
        ("date_modified", "2026-01-02T03:04:05Z", "yesterday"),
        ("addresses", r#"[{"id":1}]"#, r#"[{"id":2}]"#),
        ("channel_ids", "[1]", r#"{"a":1}"#),
        ("channel_ids", "[1]", "[true]"),
        ("form_fields", r#"[{"name":"a","value":null}]"#, r#"[{"name":"a","value":true}]"#),
        ("form_fields", r#"[{"name":"a","value":"x\u0000y"}]"#, r#"[{"name":"a","value":"x\u0000z"}]"#),
        (
            "form_fields",
            r#"[{"name":"a","value":"1"},{"name":"a","value":"2"}]"#,
            r#"[{"name":"a","value":"1"},{"name":"a","value":"3"}]"#,
        ),
    ] {
        store_has(&app, column, store);
        let save = format!("UPDATE customer SET {column} = ?1 WHERE id = 1");
        assert!(app.execute(&save, [mapper]).is_err(), "{column} {mapper}");
    }
    store_has(&app, "form_fields", r#"[{"name":"a","value":null},{"name":"b","value":"1"}]"#);
    let beside = r#"[{"name": "a", "value": null}, {"name": "b", "value": "2"}]"#;
    app.execute("UPDATE customer SET form_fields = ?1", params![beside]).unwrap();
    assert_eq!(
        edits(&till, 1),
        [edit("form_fields", "set", beside)],
        "an entry that was odd before is in nobody's way"
    );
}

/// Django, Hibernate and the like write every column that they know, also those that are none of theirs.
#[test]
fn a_mapper_that_saves_every_column_it_read_long_ago_is_no_engine() {
    let till = till(1);
    let app = app(&till);
    let read: i64 = app.query_row("SELECT engine_mark FROM customer", [], |row| row.get(0)).unwrap();
    till.office(1, json!({"company": "theirs"}));
    till.engine().pull(Extent::Changes).unwrap();
    app.execute("UPDATE customer SET phone = '555', engine_mark = ?1", [read]).unwrap();
    assert_eq!(edits(&till, 1), [edit("phone", "set", r#""555""#)]);
}
