//! Statements of an app that end halfway and keep what they did: conflict clauses, and triggers that raise FAIL. What they change is
//! journaled, and what they journaled and did not change goes nowhere.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests fail the test

mod common;

use common::edits::{edit, edits, refusal};
use common::{Till, till};
use rusqlite::Connection;
use serde_json::json;
use tillsync::{CustomerId, Extent};

/// An app's connection, which knows nothing of tillsync.
fn app(till: &Till) -> Connection {
    Connection::open(&till.path).unwrap()
}

/// What an app may have in `customer` that ends a statement behind our triggers, and what meets it.
const CONSTRAINTS: [(&str, &str); 5] = [
    (
        "ALTER TABLE customer ADD COLUMN card TEXT; CREATE UNIQUE INDEX my_card ON customer (card);
         UPDATE customer SET card = 'A' WHERE id = 2",
        "card = 'A'",
    ),
    ("ALTER TABLE customer ADD COLUMN card TEXT CHECK (card <> 'A')", "card = 'A'"),
    ("ALTER TABLE customer ADD COLUMN card TEXT NOT NULL DEFAULT ''", "card = NULL"),
    (
        "CREATE TRIGGER full AFTER INSERT ON journal WHEN NEW.label = 'phantom' BEGIN SELECT RAISE(FAIL, 'no'); END",
        "card = 'A'",
    ),
    (
        "CREATE TRIGGER full AFTER INSERT ON journal WHEN NEW.label = 'phantom' BEGIN SELECT RAISE(IGNORE); END;
         ALTER TABLE customer ADD COLUMN card TEXT CHECK (card <> 'A')",
        "card = 'A'",
    ),
];

const EDITABLE: [(&str, &str); 13] = [
    ("email", "'phantom@example.com'"),
    ("first_name", "'phantom'"),
    ("last_name", "'phantom'"),
    ("company", "'phantom'"),
    ("phone", "'phantom'"),
    ("notes", "'phantom'"),
    ("tax_exempt_category", "'phantom'"),
    ("customer_group_id", "77"),
    ("accepts_product_review_abandoned_cart_emails", "NOT accepts_product_review_abandoned_cart_emails"),
    ("force_password_reset", "NOT force_password_reset"),
    ("store_credit_amounts", r#"'[{"amount":777}]'"#),
    ("channel_ids", "'[7,8]'"),
    ("form_fields", r#"'[{"name":"size","value":"phantom"}]'"#),
];

/// All columns and the journal, as text.
fn all_of(app: &Connection, table: &str) -> Vec<Vec<String>> {
    let mut all = app.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
    let columns = all.column_count();
    all.query_map([], |row| (0..columns).map(|n| Ok(format!("{:?}", row.get_ref(n)?))).collect())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Each conflict clause, under both settings: there is no change without its entry in the journal, and an entry without its change
/// is none for the sync.
#[test]
fn whatever_a_statement_does_at_a_constraint_nothing_changes_unjournaled_and_nothing_goes_up_that_is_not_there()
 {
    let edits: Vec<String> = EDITABLE.iter().map(|(column, value)| format!("{column} = {value}")).collect();
    for (constraint, (setup, meets)) in CONSTRAINTS.into_iter().enumerate() {
        let till = till(3);
        till.set(1, "phone", "real");
        till.adjust(1, "5");
        let app = app(&till);
        app.execute_batch(setup).unwrap();
        _ = app.execute_batch("ALTER TABLE customer ADD COLUMN card TEXT"); // where it is not there
        app.execute_batch("UPDATE edit_context SET label = 'phantom'").unwrap();
        let (mut phantoms, mut was_last) = (0, all_of(&app, "customer"));
        for recursive in ["OFF", "ON"] {
            app.execute_batch(&format!("PRAGMA recursive_triggers = {recursive}")).unwrap();
            for clause in ["", "OR ABORT", "OR FAIL", "OR IGNORE"] {
                let before = all_of(&app, "journal").len();
                let sql = format!("UPDATE {clause} customer SET {}, {meets} WHERE id = 1", edits.join(", "));
                _ = app.execute(&sql, []);
                let now = all_of(&app, "customer");
                assert_eq!(now, was_last, "{setup}: {sql}: {recursive}");
                was_last = now;
                phantoms += all_of(&app, "journal").len() - before;
            }
        }
        assert!(phantoms > 0, "{constraint}: the test shows nothing");
        drop(app);
        // The balance moves in the store: beneath a payment alone that is nothing for a person.
        till.office(1, json!({"store_credit_amounts": [{"amount": 70}], "company": "by the office"}));
        let report = till.engine().sync().unwrap();
        assert_eq!(report.uploaded_fields, 2, "{setup}: {report:?}");
        assert_eq!(till.store().conflicts().unwrap(), [], "{setup}");
        assert_eq!(till.remote_value(1, "phone"), "\"real\"", "{setup}");
        assert_eq!(till.remote_value(1, "store_credit_amounts"), r#"[{"amount":75}]"#, "{setup}");
        assert_eq!(till.remote_value(1, "company"), "\"by the office\"", "{setup}");
        let rows = till.store().journal(Some(CustomerId(1))).unwrap();
        for row in rows {
            let is_phantom = row.label.as_deref() == Some("phantom");
            let outcome = row.outcome.map(|outcome| outcome.as_str());
            assert_eq!(outcome, Some(if is_phantom { "unchanged" } else { "uploaded" }), "{setup}: {row:?}");
            assert!(
                !is_phantom || row.reason.as_deref().is_some_and(|why| why.contains("never made")),
                "{row:?}"
            );
        }
        assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{setup}");
    }
}

/// `OR REPLACE` at a `NOT NULL` column writes its default, and at a unique one takes out another customer, who comes back; a customer
/// that is put in over another is refused under either setting.
#[test]
fn what_or_replace_writes_is_journaled_and_whom_it_takes_out_comes_back() {
    for recursive in ["OFF", "ON"] {
        let till = till(3);
        till.set(2, "phone", "waits");
        let app = app(&till);
        app.execute_batch(&format!("PRAGMA recursive_triggers = {recursive}")).unwrap();
        let (unique, _) = CONSTRAINTS[0];
        app.execute_batch(unique).unwrap();
        app.execute_batch("ALTER TABLE customer ADD COLUMN kind TEXT NOT NULL DEFAULT 'usual'").unwrap();
        app.execute("UPDATE OR REPLACE customer SET company = 'ours', kind = NULL WHERE id = 1", []).unwrap();
        assert_eq!(edits(&till, 1), [edit("company", "set", "\"ours\"")]);
        let taken = app.execute("UPDATE OR REPLACE customer SET notes = 'ours', card = 'A' WHERE id = 1", []);
        assert_eq!(taken, Ok(1));
        if recursive == "ON" {
            // SQLite fires the triggers of a DELETE then: it is one, and is given up as one.
            assert_eq!(edits(&till, 2).last().unwrap().1, "delete");
            assert_eq!(till.store().discard(2, None, None).unwrap(), 1);
        }
        for clause in ["INSERT OR REPLACE", "REPLACE"] {
            let over = app.execute(&format!("{clause} INTO customer (id, notes) VALUES (3, 'over')"), []);
            let said = refusal(over);
            assert!(said.contains("REPLACE would lose"), "{said}");
        }
        assert_eq!(app.execute("INSERT OR IGNORE INTO customer (id, notes) VALUES (3, 'over')", []), Ok(0));
        assert_eq!(edits(&till, 3), []);
        drop(app);
        assert_eq!(till.engine().sync().unwrap().uploaded_fields, 3, "{recursive}");
        assert_eq!(till.local(2, "phone"), "\"waits\"", "{recursive}");
        assert_eq!(till.remote_value(2, "phone"), "\"waits\"", "{recursive}");
        assert_eq!(till.remote_value(1, "company"), "\"ours\"", "{recursive}");
    }
}

/// An edit beneath which nothing was made is told apart from one that a person or the store has decided about since.
#[test]
fn an_edit_that_was_made_is_not_ended_whatever_came_over_it() {
    let till = till(2);
    // The app has something on our tables, so that unmade edits are looked for.
    app(&till).execute_batch("CREATE TRIGGER mine AFTER INSERT ON journal BEGIN SELECT 1; END").unwrap();
    let was = till.local(1, "phone").replace('"', "");
    till.set(1, "phone", "555");
    till.set(1, "phone", &was);
    till.set(1, "phone", "556");
    till.adjust(1, "5");
    let held = till.local(1, "store_credit_amounts");
    // The office takes what the payment gives: the balance here is what it was before it.
    till.office(1, json!({"store_credit_amounts": [{"amount": -5}], "notes": "a\nb"}));
    till.engine().pull(Extent::Changes).unwrap();
    assert_ne!(till.local(1, "store_credit_amounts"), held);
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 2);
    assert_eq!(till.remote_value(1, "phone"), "\"556\"");
    assert_eq!(till.remote_value(1, "store_credit_amounts"), r#"[{"amount":0}]"#);
    assert_eq!(till.outcomes(1, "phone"), ["superseded", "superseded", "uploaded"]);
    assert_eq!(till.outcomes(1, "store_credit_amounts"), ["uploaded"]);
}

// ---- FAIL and ROLLBACK under the library -------------------------------------------------------------------------

/// Where a trigger of the app's ends a payment.
const PLACES: [&str; 6] = [
    "BEFORE UPDATE OF store_credit_amounts ON customer WHEN NEW.id = 1",
    "AFTER UPDATE OF store_credit_amounts ON customer WHEN NEW.id = 1",
    "BEFORE INSERT ON journal WHEN NEW.customer_id = 1 AND NEW.field = 'store_credit_amounts'",
    "AFTER INSERT ON journal WHEN NEW.customer_id = 1 AND NEW.field = 'store_credit_amounts'",
    "BEFORE UPDATE ON journal WHEN NEW.customer_id = 1 AND NEW.field = 'store_credit_amounts'",
    "AFTER UPDATE ON journal WHEN NEW.customer_id = 1 AND NEW.field = 'store_credit_amounts'",
];
const WAYS: [&str; 3] = ["FAIL", "ROLLBACK", "ABORT"];

fn ends(till: &Till, place: &str, way: &str) {
    app(till)
        .execute_batch(&format!(
            "CREATE TRIGGER printer {place} BEGIN SELECT RAISE({way}, 'out of paper'); END"
        ))
        .unwrap();
}

fn mended(till: &Till) {
    app(till).execute_batch("DROP TRIGGER printer").unwrap();
}

/// What `FAIL` keeps of a statement does not stay where the statement is the library's: the payment is made, or nothing of it is.
#[test]
fn a_payment_of_the_library_is_made_or_nothing_of_it_whatever_ends_it() {
    for place in PLACES {
        for way in WAYS {
            let till = till(2);
            let was = till.local(1, "store_credit_amounts");
            ends(&till, place, way);
            let mut store = till.store();
            let ended =
                store.edit(1).set("phone", "555").adjust_credit("5".parse().unwrap()).commit().unwrap_err();
            assert!(
                ended.to_string().starts_with("printer of the app refuses what was to be written to "),
                "{ended}"
            );
            assert!(ended.to_string().ends_with("out of paper") && ended.hint().is_some(), "{ended}");
            assert_eq!(edits(&till, 1), [], "{place}: {way}");
            assert_eq!(till.local(1, "store_credit_amounts"), was, "{place}: {way}");
            mended(&till);
            // The same connection goes on, and what it does next stands by itself.
            store.edit(1).adjust_credit("5".parse().unwrap()).commit().unwrap();
            assert_eq!(edits(&till, 1), [edit("store_credit_amounts", "adjust", "\"5\"")], "{place}: {way}");
        }
    }
}

/// A trigger pays when a pull or an answer comes in, and another ends that payment.
#[test]
fn a_payment_beneath_a_sync_is_made_or_nothing_of_it_whatever_ends_it() {
    for place in PLACES {
        for way in ["FAIL", "ROLLBACK"] {
            let till = till(3);
            let bonus = "CREATE TRIGGER bonus AFTER UPDATE OF date_modified ON customer
                         WHEN NOT EXISTS (SELECT 1 FROM journal WHERE customer_id = NEW.id AND op = 'adjust')
                         BEGIN INSERT INTO store_credit_adjustment VALUES (NEW.id, '10'); END";
            app(&till).execute_batch(bonus).unwrap();
            ends(&till, place, way);
            [1, 2]
                .into_iter()
                .for_each(|id| till.office(id, json!({"store_credit_amounts": [{"amount": 50}]})));
            till.set(1, "phone", "555");
            for _ in 0..2 {
                till.engine().sync().unwrap();
                assert_eq!(
                    till.remote_value(1, "store_credit_amounts"),
                    r#"[{"amount":50}]"#,
                    "{place}: {way}"
                );
                let made = edits(&till, 1).iter().filter(|edit| edit.0 == "store_credit_amounts").count();
                assert_eq!(made, 0, "{place}: {way}");
            }
            assert_eq!(till.remote_value(2, "store_credit_amounts"), r#"[{"amount":60}]"#, "{place}: {way}");
            let held_up = till.store().held_up().unwrap();
            assert_eq!((held_up.len(), held_up[0].customer_id), (1, CustomerId(1)), "{place}: {way}");
            assert_eq!(held_up[0].error, "out of paper", "{place}: {way}");
            mended(&till);
            (0..2).for_each(|_| _ = till.engine().sync().unwrap());
            assert_eq!(till.remote_value(1, "store_credit_amounts"), r#"[{"amount":60}]"#, "{place}: {way}");
            assert_eq!(till.outcomes(1, "store_credit_amounts"), ["uploaded"], "{place}: {way}");
            assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{place}: {way}");
        }
    }
}

/// The app's own statement keeps what it did, as SQLite has it: the balance and the journal do not part, and one
/// that rolls back, as docs/sql.md asks for, is rid of all of it.
#[test]
fn a_payment_of_the_app_that_fails_parts_no_balance_from_its_journal() {
    for place in PLACES {
        let till = till(2);
        ends(&till, place, "FAIL");
        let mut app = app(&till);
        let rolled_back = app.transaction().unwrap();
        rolled_back.execute("INSERT INTO store_credit_adjustment VALUES (1, '5')", []).unwrap_err();
        rolled_back.rollback().unwrap();
        assert_eq!(edits(&till, 1), [], "{place}");
        app.execute("INSERT INTO store_credit_adjustment VALUES (1, '5')", []).unwrap_err();
        let here = till.local(1, "store_credit_amounts");
        mended(&till);
        till.engine().sync().unwrap();
        assert_eq!(till.local(1, "store_credit_amounts"), here, "{place}");
        assert_eq!(till.remote_value(1, "store_credit_amounts"), here, "{place}");
        assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{place}");
    }
}

/// What a person decides, and a trigger ends: nothing of it is done, it says which trigger that was, and the same connection
/// goes on with what comes next.
#[test]
fn a_decision_that_a_trigger_ends_is_not_made_and_names_it() {
    type Decision = fn(&mut tillsync::Store) -> tillsync::Result<()>;
    let decisions: [(&str, Decision); 4] = [
        ("resolve", |store| store.resolve(1, "company", &tillsync::Keep::Remote, None).map(drop)),
        ("keep local", |store| store.resolve(1, "company", &tillsync::Keep::Local, None).map(drop)),
        ("discard", |store| store.discard(1, None, None).map(drop)),
        ("discard a row", |store| {
            let rows = store.journal(Some(CustomerId(1)))?;
            let waits = rows.iter().rfind(|row| row.outcome.is_none_or(|it| !it.is_settled())).unwrap().seq;
            store.discard_row(waits, None).map(drop)
        }),
    ];
    for way in WAYS {
        for (what, decide) in decisions {
            let till = till(2);
            till.set(1, "company", "ours");
            till.office(1, json!({"company": "theirs"}));
            till.engine().sync().unwrap();
            till.set(1, "phone", "555");
            ends(&till, "AFTER UPDATE ON journal", way);
            let (mut store, before) = (till.store(), all_of(&app(&till), "journal"));
            let ended = decide(&mut store).unwrap_err();
            assert!(ended.to_string().starts_with("printer of the app refuses"), "{what}: {way}: {ended}");
            assert_eq!(all_of(&app(&till), "journal"), before, "{what}: {way}");
            assert_eq!(store.conflicts().unwrap().len(), 1, "{what}: {way}");
            mended(&till);
            decide(&mut store).unwrap();
            till.engine().sync().unwrap();
            assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{what}: {way}");
        }
    }
}

/// What may end a statement behind our triggers, and ends none here.
const ON_OURS: &str = "CREATE TRIGGER mine AFTER UPDATE OF company ON customer BEGIN SELECT RAISE(FAIL, 'no') WHERE NEW.company = 'never'; END";

/// Back and forth, so that the first edit begins where the newest ones do; what was between them is superseded by then.
#[test]
fn an_edit_that_was_taken_back_by_what_has_settled_since_is_not_called_never_made() {
    let till = till(2);
    let app = app(&till);
    app.execute_batch(ON_OURS).unwrap();
    let before: String =
        app.query_row("SELECT phone FROM customer WHERE id = 1", [], |row| row.get(0)).unwrap();
    app.execute_batch("BEGIN").unwrap();
    for n in 0..401 {
        let phone = if n % 2 == 0 { "other" } else { &*before };
        app.execute("UPDATE customer SET phone = ?1 WHERE id = 1", [phone]).unwrap();
    }
    app.execute_batch("UPDATE customer SET phone = 'last' WHERE id = 1; COMMIT").unwrap();
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
    let rows = till.store().journal(Some(CustomerId(1))).unwrap();
    assert!(
        rows.iter().all(|row| row.reason.is_none()),
        "{:?}",
        rows.iter().find(|row| row.reason.is_some())
    );
    let outcomes = till.outcomes(1, "phone");
    assert!(outcomes[..401].iter().all(|outcome| outcome == "superseded") && outcomes[401] == "uploaded");
}

/// It meets what the store says of its customer before a sync looks for such edits.
#[test]
fn an_edit_that_is_never_made_while_a_sync_goes_on_is_told_with_its_reason_too() {
    let till = till(600);
    let (constraint, meets) = CONSTRAINTS[1];
    app(&till).execute_batch(constraint).unwrap();
    let last = till.sandbox.ids().into_iter().max().map(i64::from).unwrap();
    till.office(last, json!({"company": "by the office"}));
    let (other, mut is_first) = (app(&till), true);
    let mut engine = till.engine().on_progress(move |_| {
        if std::mem::take(&mut is_first) {
            let phantom =
                format!("UPDATE OR IGNORE customer SET phone = 'phantom', {meets} WHERE id = {last}");
            assert_eq!(other.execute(&phantom, []), Ok(0));
        }
    });
    engine.pull(Extent::Full).unwrap();
    assert_eq!(till.local(last, "company"), "\"by the office\"");
    let rows = till.store().journal(Some(CustomerId(last))).unwrap();
    assert_eq!(rows.len(), 1, "the test shows nothing");
    assert_eq!(rows[0].outcome.map(|outcome| outcome.as_str()), Some("unchanged"), "{rows:?}");
    assert!(rows[0].reason.as_deref().is_some_and(|why| why.contains("never made")), "{rows:?}");
}
