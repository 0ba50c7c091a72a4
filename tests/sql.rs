//! Plain SQL as the way to edit: what is journaled, what is refused and in which words, and that nothing is ever left
//! half done. All of it through a connection that knows nothing of tillsync, as an app in another language has it.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests fail the test

mod common;

use std::str::FromStr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params};
use tillsync::{Access, CustomerId, Decimal, Edit, FIELDS, FieldId, Kind, Row, Store, Value, parse_argument};

/// Customer 1 of every till here.
const ANA: &str = r#"{"email":"ana@example.com", "first_name":"Ana", "last_name":"Gil", "company":"", "phone":"1",
    "notes":"", "tax_exempt_category":"", "customer_group_id":0, "channel_ids":[1],
    "accepts_product_review_abandoned_cart_emails":false, "authentication":{"force_password_reset":false},
    "store_credit_amounts":[{"amount":10}], "form_fields":[{"name":"size","value":"M"}]}"#;

/// A till with 20 customers, and an app beside it that knows only SQLite.
struct App {
    till: common::Till,
    sql: Connection,
}

fn app() -> App {
    let sandbox = common::sandbox(20);
    assert!(sandbox.edit_text(1, ANA).unwrap());
    let till = common::Till::new(sandbox);
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    let sql = Connection::open(&till.path).unwrap();
    sql.execute_batch("CREATE TABLE my_sale (id INTEGER PRIMARY KEY, total TEXT)").unwrap();
    App { till, sql }
}

/// field, op, value, was.
type Journaled = (String, String, String, String);

fn row(field: &str, op: &str, value: &str, was: &str) -> Journaled {
    (field.into(), op.into(), value.into(), was.into())
}

impl App {
    fn no_floor(&self) {
        let none = "UPDATE tillsync_guard SET writing = 1;
                    INSERT INTO state (key, value) VALUES ('credit_floor', 'none');
                    UPDATE tillsync_guard SET writing = 0";
        self.sql.execute_batch(none).unwrap();
    }

    fn run(&self, sql: &str) -> Result<usize, String> {
        self.sql.execute(sql, []).map_err(|e| e.to_string())
    }

    /// The words of the refusal, without what SQLite wraps them in.
    fn refusal(&self, sql: &str) -> String {
        words(self.run(sql).expect_err(sql))
    }

    fn journal(&self) -> Vec<Journaled> {
        let mut statement =
            self.sql.prepare_cached("SELECT field, op, value, was FROM journal ORDER BY seq").unwrap();
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    /// Does `act` in a transaction that is then rolled back, and returns what it returned.
    fn undone<T>(&self, act: impl FnOnce() -> T) -> T {
        self.sql.execute_batch("BEGIN").unwrap();
        let done = act();
        assert!(!self.sql.is_autocommit(), "the transaction was ended behind the app's back");
        self.sql.execute_batch("ROLLBACK").unwrap();
        done
    }

    /// Every byte of every table that matters, for comparison.
    fn all(&self) -> Vec<String> {
        let tables = [
            "customer",
            "snapshot",
            "journal",
            "pending_password",
            "edit_context",
            "tillsync_guard",
            "my_sale",
        ];
        tables.iter().map(|table| self.table(table)).collect()
    }

    fn table(&self, table: &str) -> String {
        let mut statement = self.sql.prepare_cached(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut out = String::new();
        while let Some(row) = rows.next().unwrap() {
            (0..columns).for_each(|i| out += &format!("{:?}|", row.get::<_, Cell>(i).ok()));
            out.push('\n');
        }
        out
    }

    fn text(&self, sql: &str) -> String {
        self.sql.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn ana(&self) -> Row {
        self.till.store().get(CustomerId(1)).unwrap().unwrap()
    }
}

/// A fresh runner for each property: one that has run does nothing more.
fn cases(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn words(message: String) -> String {
    let start = message.find("tillsync refused: ").unwrap_or_else(|| panic!("no refusal: {message}"));
    message[start + "tillsync refused: ".len()..].trim_end_matches('\'').to_owned()
}

// ---- what is journaled -------------------------------------------------------------------------------------------

#[test]
fn an_edit_is_journaled_attribute_by_attribute() {
    let app = app();
    for (set, rows) in [
        ("phone = '555'", vec![row("phone", "set", r#""555""#, r#""1""#)]),
        ("phone = 555", vec![row("phone", "set", r#""555""#, r#""1""#)]),
        ("phone = 1", vec![]),
        ("email = 'é日😀'", vec![row("email", "set", r#""é日😀""#, r#""ana@example.com""#)]),
        ("company = 'a \"b\" \\ c' || char(10)", vec![row("company", "set", r#""a \"b\" \\ c\n""#, r#""""#)]),
        (
            "notes = char(65533, 65534, 65535, 1114111)",
            vec![row("notes", "set", "\"\u{fffd}\u{fffe}\u{ffff}\u{10ffff}\"", r#""""#)],
        ),
        ("customer_group_id = 7", vec![row("customer_group_id", "set", "7", "0")]),
        ("customer_group_id = 7.0", vec![row("customer_group_id", "set", "7", "0")]),
        ("customer_group_id = '7'", vec![row("customer_group_id", "set", "7", "0")]),
        ("force_password_reset = 1", vec![row("force_password_reset", "set", "true", "false")]),
        (
            "accepts_product_review_abandoned_cart_emails = TRUE",
            vec![row("accepts_product_review_abandoned_cart_emails", "set", "true", "false")],
        ),
        ("channel_ids = '[2, 1]'", vec![row("channel_ids", "set", "[2, 1]", "[1]")]),
        (
            "store_credit_amounts = '[{\"amount\":43.15}]'",
            vec![row("store_credit_amounts", "set", r#"[{"amount":43.15}]"#, r#"[{"amount":10}]"#)],
        ),
        (
            "store_credit_amounts = '[{\"amount\":-99999999999999.9999}]'",
            vec![row(
                "store_credit_amounts",
                "set",
                r#"[{"amount":-99999999999999.9999}]"#,
                r#"[{"amount":10}]"#,
            )],
        ),
        (
            "store_credit_amounts = '[{\"amount\":10},{\"amount\":5}]'",
            vec![row("store_credit_amounts", "set", r#"[{"amount":10},{"amount":5}]"#, r#"[{"amount":10}]"#)],
        ),
        ("form_fields = '[]'", vec![row("form_fields", "set", "[]", r#"[{"name":"size","value":"M"}]"#)]),
        (
            "form_fields = '[{\"name\":\"a\",\"value\":[\"x\",\"y\"]},{\"name\":\"b\",\"value\":1.5}]'",
            vec![row(
                "form_fields",
                "set",
                r#"[{"name":"a","value":["x","y"]},{"name":"b","value":1.5}]"#,
                r#"[{"name":"size","value":"M"}]"#,
            )],
        ),
        // Several attributes at once, of which some stay as they are.
        (
            "first_name = 'Ana', phone = '2', date_created = date_created, id = 1",
            vec![row("phone", "set", r#""2""#, r#""1""#)],
        ),
        // The same value in another spelling.
        ("channel_ids = '[1, 1]'", vec![]),
        ("store_credit_amounts = '[ {\"amount\": 10.00} ]'", vec![]),
        (r#"form_fields = '[{"value":"\u004d","name":"size","customer_id":1}]'"#, vec![]),
    ] {
        let got = app.undone(|| {
            app.run(&format!("UPDATE customer SET {set} WHERE id = 1"))
                .unwrap_or_else(|e| panic!("{set}: {e}"));
            app.journal()
        });
        assert_eq!(got, rows, "{set}");
    }
    assert_eq!(app.journal(), []);
}

#[test]
fn an_edit_taken_back_is_journaled_too_and_makes_no_call() {
    let app = app();
    app.run("UPDATE customer SET phone = '2' WHERE id = 1").unwrap();
    app.run("UPDATE customer SET phone = '1' WHERE id = 1").unwrap();
    assert_eq!(
        app.journal(),
        [row("phone", "set", r#""2""#, r#""1""#), row("phone", "set", r#""1""#, r#""2""#)]
    );
    assert_eq!(app.till.store().diff(&[]).unwrap(), Vec::<String>::new());
    app.till.engine().sync().unwrap();
    assert_eq!(app.till.puts(), Vec::<String>::new());
    assert_eq!(app.till.outcomes(1, "phone"), ["superseded", "unchanged"]);
}

#[test]
fn null_is_only_taken_back_to() {
    let app = app();
    assert_eq!(
        app.refusal("UPDATE customer SET phone = NULL WHERE id = 1"),
        "customer 1: phone: NULL is not allowed"
    );
    app.sql
        .execute_batch(
            "BEGIN;
             UPDATE tillsync_guard SET writing = 1;
             UPDATE snapshot SET body = json_remove(body, '$.phone', '$.store_credit_amounts'),
                                 engine_mark = NOT engine_mark WHERE id = 1;
             UPDATE customer SET phone = NULL, store_credit_amounts = NULL, engine_mark = NOT engine_mark WHERE id = 1;
             UPDATE tillsync_guard SET writing = 0;
             COMMIT",
        )
        .unwrap();
    app.run("UPDATE customer SET phone = '2' WHERE id = 1").unwrap();
    app.run("UPDATE customer SET phone = NULL WHERE id = 1").unwrap();
    app.run("INSERT INTO store_credit_adjustment VALUES (1, '2.50')").unwrap();
    assert_eq!(
        app.journal(),
        [
            row("phone", "set", r#""2""#, "null"),
            row("phone", "set", "null", r#""2""#),
            row("store_credit_amounts", "adjust", r#""2.5""#, "null")
        ]
    );
    assert_eq!(app.till.local(1, "store_credit_amounts"), r#"[{"amount":2.5}]"#);
}

#[test]
fn one_statement_edits_many_customers_or_none() {
    let app = app();
    app.run("UPDATE customer SET company = 'Acme ' || id").unwrap();
    assert_eq!(app.journal().len(), 20);
    let before = app.all();
    let refused =
        app.refusal("UPDATE customer SET company = CASE id WHEN 1 THEN printf('%300s', '') ELSE 'x' END");
    assert_eq!(refused, "customer 1: company: has 300 characters, at most 255 are allowed");
    assert_eq!(app.all(), before);
}

#[test]
fn the_author_and_the_label_are_those_of_the_moment() {
    let app = app();
    app.sql
        .execute_batch(
            "BEGIN;
             UPDATE edit_context SET author = 'ana', label = 'sale 1042';
             UPDATE customer SET phone = '2' WHERE id = 1;
             INSERT INTO store_credit_adjustment VALUES (1, -5);
             INSERT INTO password_change VALUES (1, 'secret');
             UPDATE edit_context SET author = NULL, label = NULL;
             COMMIT;
             INSERT OR REPLACE INTO edit_context (id, author) VALUES (1, 'bo');
             UPDATE customer SET phone = '3' WHERE id = 1;",
        )
        .unwrap();
    let rows = app.till.store().journal(None).unwrap();
    let by: Vec<_> = rows.iter().map(|row| (row.author.as_deref(), row.label.as_deref())).collect();
    let sale = (Some("ana"), Some("sale 1042"));
    assert_eq!(by, [sale, sale, sale, (Some("bo"), None)]);
    assert_eq!(
        app.refusal("DELETE FROM edit_context"),
        "edit_context: keeps its one row: set author and label to NULL"
    );
    let latin1 = app.refusal("UPDATE edit_context SET author = CAST(x'4a6f73e9' AS TEXT)");
    assert_eq!(latin1, "edit_context: author: is not valid UTF-8");
    assert!(app.run("INSERT INTO edit_context (id) VALUES (2)").is_err());
}

#[test]
fn a_password_waits_in_one_place() {
    let app = app();
    app.run("INSERT INTO password_change (customer_id, new_password) VALUES (1, 'correct horse')").unwrap();
    assert_eq!(app.journal(), [row("new_password", "set", r#""***""#, r#""***""#)]);
    assert_eq!(app.text("SELECT new_password FROM pending_password"), "correct horse");
    assert_eq!(app.sql.query_row("SELECT count(*) FROM password_change", [], |row| row.get(0)), Ok(0));
    assert!(app.all().iter().filter(|table| table.contains("correct horse")).count() == 1);
    app.till.engine().sync().unwrap();
    assert_eq!(app.till.sandbox.last_password(1).as_deref(), Some("correct horse"));
    assert_eq!(app.table("pending_password"), "");
}

// ---- what is refused ---------------------------------------------------------------------------------------------

const CREDIT: &str = r#"customer 1: store_credit_amounts: must be a JSON array such as [{"amount":43.15}]"#;
const DIGITS: &str = "customer 1: store_credit_amounts: an amount has at most 14 digits before the point and 4 after it, and no exponent, not ";
const CHANNELS: &str = "customer 1: channel_ids: must be a JSON array of channel ids, such as [1,2]";
const FORMS: &str = r#"customer 1: form_fields: must be a JSON array of {"name": text, "value": text, number or array of texts}"#;

#[test]
fn a_refusal_names_customer_field_and_limit() {
    let app = app();
    let digits = |typed: &str| format!("{DIGITS}{typed}");
    let deep =
        format!("form_fields = '[{{\"name\":\"a\",\"value\":{}{}}}]'", "[".repeat(500), "]".repeat(500));
    for (set, message) in [
        ("email = 'a'", "customer 1: email: has 1 character, at least 3 are needed"),
        ("email = 'ab'", "customer 1: email: has 2 characters, at least 3 are needed"),
        (
            "email = printf('%.*c', 256, 'é')",
            "customer 1: email: has 256 characters, at most 255 are allowed",
        ),
        ("email = x'616263'", "customer 1: email: must be text, not blob"),
        ("email = NULL", "customer 1: email: NULL is not allowed"),
        ("email = 9e999 - 9e999", "customer 1: email: NULL is not allowed"), // NaN
        ("first_name = ''", "customer 1: first_name: has 0 characters, at least 1 is needed"),
        (
            "last_name = printf('%101s', '')",
            "customer 1: last_name: has 101 characters, at most 100 are allowed",
        ),
        ("notes = 'a' || char(0) || 'b'", "customer 1: notes: holds a NUL character"),
        ("notes = CAST(x'4a6f73e9' AS TEXT)", "customer 1: notes: is not valid UTF-8"),
        ("notes = printf('%100s', 'é') || CAST(x'eda080' AS TEXT)", "customer 1: notes: is not valid UTF-8"),
        (
            "notes = printf('%62s', 'é') || CAST(x'e282' AS TEXT) || 'z'",
            "customer 1: notes: is not valid UTF-8",
        ),
        ("notes = CAST(x'c080' AS TEXT)", "customer 1: notes: is not valid UTF-8"),
        ("customer_group_id = 'retail'", "customer 1: customer_group_id: must be a whole number, not text"),
        ("customer_group_id = 1.5", "customer 1: customer_group_id: must be a whole number, not real"),
        ("customer_group_id = 9e999", "customer 1: customer_group_id: must be a whole number, not real"),
        ("customer_group_id = -1", "customer 1: customer_group_id: must be from 0 (no group) to 2147483647"),
        (
            "customer_group_id = 2147483648",
            "customer 1: customer_group_id: must be from 0 (no group) to 2147483647",
        ),
        ("force_password_reset = 'true'", "customer 1: force_password_reset: must be 0 or 1"),
        (
            "accepts_product_review_abandoned_cart_emails = 2",
            "customer 1: accepts_product_review_abandoned_cart_emails: must be 0 or 1",
        ),
        ("channel_ids = NULL", "customer 1: channel_ids: NULL is not allowed"),
        ("channel_ids = '[]'", "customer 1: channel_ids: an empty array is not allowed"),
        ("channel_ids = '1'", CHANNELS),
        ("channel_ids = '[1'", CHANNELS),
        ("channel_ids = '[1.0]'", CHANNELS),
        ("channel_ids = '[0]'", CHANNELS),
        ("channel_ids = '[-1]'", CHANNELS),
        ("channel_ids = '[99999999999999999999]'", CHANNELS),
        ("channel_ids = x'5b315d'", CHANNELS),
        ("channel_ids = '[0x1]'", CHANNELS), // JSON5
        ("channel_ids = '[1]' || char(0) || 'x'", CHANNELS),
        (
            "store_credit_amounts = '[]'",
            "customer 1: store_credit_amounts: an empty array is not allowed: give [{\"amount\":0}]",
        ),
        ("store_credit_amounts = '43.15'", CREDIT),
        ("store_credit_amounts = '[43.15]'", CREDIT),
        ("store_credit_amounts = '[{\"amount\":\"43.15\"}]'", CREDIT),
        ("store_credit_amounts = '[{\"amount\":1,\"amount\":2}]'", CREDIT),
        ("store_credit_amounts = '[{\"amount\":1,\"currency\":\"USD\"}]'", CREDIT),
        ("store_credit_amounts = '[{\"amount\":Infinity}]'", CREDIT),
        ("store_credit_amounts = '[{\"amount\":1e2}]'", &digits("1e2")),
        ("store_credit_amounts = '[{\"amount\":-0.00001}]'", &digits("-0.00001")),
        (
            "store_credit_amounts = '[{\"amount\":1},{\"amount\":123456789012345}]'",
            &digits("123456789012345"),
        ),
        ("form_fields = '{}'", FORMS),
        ("form_fields = '[{\"name\":\"a\"}]'", FORMS),
        ("form_fields = '[{\"name\":\"a\",\"value\":null}]'", FORMS),
        ("form_fields = '[{\"name\":\"a\",\"value\":true}]'", FORMS),
        ("form_fields = '[{\"name\":\"a\",\"value\":[1]}]'", FORMS),
        ("form_fields = '[{\"name\":\"\",\"value\":1}]'", FORMS),
        ("form_fields = '[{\"name\":\"a\",\"value\":1,\"value\":2}]'", FORMS),
        (&deep, FORMS),
        (
            "form_fields = '[{\"name\":\"a\",\"valu\":1}]'",
            "customer 1: form_fields: an entry has only name and value",
        ),
        (
            "form_fields = '[{\"name\":\"a\",\"value\":1},{\"name\":\"\\u0061\",\"value\":2}]'",
            "customer 1: form_fields: names an entry twice",
        ),
        (
            "form_fields = '[{\"name\":\"a\",\"value\":\"\\\\\\u0000\"}]'",
            "customer 1: form_fields: holds a NUL character",
        ),
        (
            "form_fields = '[{\"name\":\"a\",\"value\":\"\\ud800\"}]'",
            "customer 1: form_fields: is not valid UTF-8",
        ),
        ("id = 77", "customer 1: id: is read-only, it names the customer"),
        ("rowid = 77", "customer 1: id: is read-only, it names the customer"),
        ("_rowid_ = 77", "customer 1: id: is read-only, it names the customer"),
    ] {
        let before = app.all();
        let got = app.undone(|| app.refusal(&format!("UPDATE customer SET {set} WHERE id = 1")));
        assert_eq!(got, message, "{set}");
        assert_eq!(app.all(), before, "{set}");
    }
    for field in FIELDS.iter().filter(|field| field.access != Access::Editable) {
        let refused = app.refusal(&format!("UPDATE customer SET {} = 77 WHERE id = 1", field.name));
        let library = parse_argument(CustomerId(1), field.name, "77").unwrap_err().to_string();
        assert_eq!(refused, library);
    }
}

/// A refusal takes back its statement, whatever `OR …` it was run with, and nothing else of the transaction.
#[test]
fn a_refusal_takes_back_its_statement_and_no_more() {
    let app = app();
    for verb in ["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE", "UPDATE OR FAIL", "UPDATE OR ABORT"] {
        app.undone(|| {
            app.run("INSERT INTO my_sale (total) VALUES ('9.99')").unwrap();
            app.run("UPDATE customer SET notes = 'kept' WHERE id = 1").unwrap();
            let before = app.all();
            app.refusal(&format!("{verb} customer SET phone = '2', company = 'x', email = 'x'"));
            app.refusal(&format!("{verb} customer SET id = id + 1000"));
            app.refusal(&format!("{verb} customer SET phone = '3', date_created = 'x'"));
            assert_eq!(app.all(), before, "{verb}");
            app.run("UPDATE customer SET phone = '4' WHERE id = 1").unwrap();
        });
    }
    assert_eq!(app.journal(), []);
}

#[test]
fn customers_of_the_store_are_neither_made_nor_replaced_here() {
    let app = app();
    let before = app.all();
    let given =
        "customer 99: id: is given by the store: a new customer takes the one that the view new_id shows";
    let needed = "customer -1: first_name: is needed to create a customer";
    for verb in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "INSERT OR FAIL", "REPLACE"] {
        for (columns, made) in [
            ("(id, email) VALUES (99, 'a@b.c')", given),
            ("(email) VALUES ('a@b.c')", needed),
            ("(id, email) VALUES (NULL, 'a@b.c')", needed),
            (
                "(email, first_name, last_name) VALUES ('a@b.c', 'A', 'B')",
                "customer: id: is missing: a new customer takes the one that the view new_id shows",
            ),
        ] {
            assert_eq!(app.refusal(&format!("{verb} INTO customer {columns}")), made, "{verb}");
        }
    }
    let upsert = "INSERT INTO customer (id, phone) VALUES (1, 'x'), (99, 'x') ON CONFLICT (id) DO UPDATE SET phone = excluded.phone";
    assert_eq!(app.refusal(upsert), given, "not even the one who is there");
    for recursive in [false, true] {
        app.sql.pragma_update(None, "recursive_triggers", recursive).unwrap();
        for verb in ["INSERT OR REPLACE", "REPLACE"] {
            let refused = app.refusal(&format!("{verb} INTO customer (id, email) VALUES (1, 'a@b.c')"));
            assert!(refused.starts_with("customer: REPLACE would lose"), "{refused}");
        }
    }
    app.sql.pragma_update(None, "recursive_triggers", false).unwrap();
    assert_eq!(app.all(), before);
}

/// As mappers write it, who do not know whether the row is there.
#[test]
fn an_insert_that_updates_who_is_there_is_an_edit() {
    let app = app();
    let upsert = "INSERT INTO customer (id, phone, company) VALUES (1, '555', 'x')
                  ON CONFLICT (id) DO UPDATE SET phone = excluded.phone, company = excluded.company";
    let update = "UPDATE customer SET phone = '555', company = 'x' WHERE id = 1";
    let edited = |sql: &str| {
        app.undone(|| {
            assert_eq!(app.run(sql).unwrap(), 1, "{sql}");
            (app.table("customer"), app.journal())
        })
    };
    assert_eq!(edited(upsert), edited(update));
    assert_eq!(edited(upsert).1.len(), 2);
    // What is refused of an edit is refused of this one, and all of the statement with it.
    let before = app.all();
    let too_long = "INSERT INTO customer (id) VALUES (1) ON CONFLICT DO UPDATE SET company = 'y', phone = printf('%51s', '')";
    assert_eq!(app.refusal(too_long), "customer 1: phone: has 51 characters, at most 50 are allowed");
    // Who is there is told, or left alone, as the statement asks.
    let twice = app.run("INSERT INTO customer (id, phone) VALUES (1, '555')").unwrap_err().to_string();
    assert!(twice.contains("UNIQUE constraint failed: customer.id"), "{twice}");
    assert_eq!(app.run("INSERT OR IGNORE INTO customer (id, phone) VALUES (1, '555')"), Ok(0));
    assert_eq!(app.run("INSERT INTO customer (id, phone) VALUES (1, '555') ON CONFLICT DO NOTHING"), Ok(0));
    assert_eq!(app.all(), before);
}

#[test]
fn a_password_goes_in_by_its_view_alone() {
    let app = app();
    app.run("INSERT INTO password_change VALUES (1, 'correct horse')").unwrap();
    let seq: i64 = app.text("SELECT CAST(max(seq) AS TEXT) FROM journal").parse().unwrap();
    let before = app.all();
    for sql in [
        format!(
            "INSERT OR REPLACE INTO pending_password (seq, customer_id, new_password) VALUES ({seq}, 1, 'smuggled')"
        ),
        format!(
            "INSERT INTO pending_password (seq, customer_id, new_password) VALUES ({}, 2, 'for later')",
            seq + 1
        ),
        "INSERT INTO pending_password (customer_id, new_password) VALUES (1, 'no edit')".to_owned(),
        "UPDATE pending_password SET new_password = 'another one'".to_owned(),
        "DELETE FROM pending_password".to_owned(),
    ] {
        let words = "pending_password: is the engine's alone: use password_change, or discard";
        assert_eq!(app.refusal(&sql), words, "{sql}");
    }
    assert_eq!(app.all(), before);
    app.run("INSERT INTO password_change VALUES (2, 'staple battery')").unwrap();
}

#[test]
fn the_engines_tables_are_the_engines() {
    let app = app();
    app.run("UPDATE customer SET phone = '2' WHERE id = 1").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2)); // what follows is no part of that statement
    let before = app.all();
    let (appended, written, theirs) = (
        "journal: is append-only: use discard or retry",
        "journal: is written by the triggers: edit customer",
        "snapshot: is the engine's alone: edit customer",
    );
    let of_state = "state: is the engine's alone";
    for (sql, message) in [
        ("UPDATE journal SET outcome = 'uploaded'", appended),
        ("UPDATE journal SET op = 'adjust', value = '\"5\"'", appended),
        ("DELETE FROM journal", appended),
        (
            "INSERT INTO journal (customer_id, field, op, value, was, at) VALUES (1, 'phone', 'set', '1', '1', datetime('now'))",
            written,
        ),
        (
            "REPLACE INTO journal (seq, customer_id, field, op, value, was, at) VALUES (1, 1, 'phone', 'set', '1', '1', '2026-01-01T00:00:00.000Z')",
            written,
        ),
        ("INSERT OR REPLACE INTO snapshot (id, body) VALUES (1, '{}')", theirs),
        ("INSERT INTO snapshot (id, body) VALUES (99, '{}')", theirs),
        ("UPDATE snapshot SET body = '{}'", theirs),
        ("DELETE FROM snapshot", theirs),
        ("DELETE FROM tillsync_guard", "tillsync_guard: is the engine's alone"),
        ("REPLACE INTO tillsync_guard (id, writing) VALUES (1, 1)", "tillsync_guard: is the engine's alone"),
        // The floor of every balance, what holds a payment that was perhaps sent, how far a pull has come.
        ("INSERT INTO state (key, value) VALUES ('credit_floor', 'none')", of_state),
        (
            "INSERT OR REPLACE INTO state (key, value) VALUES ('pull_cursor', '2126-01-01T00:00:00Z')",
            of_state,
        ),
        ("UPDATE state SET value = 'no time'", of_state),
        ("UPDATE OR REPLACE state SET key = 'home'", of_state),
        ("DELETE FROM state", of_state),
        (
            "INSERT INTO tillsync_held_up (customer_id, since, error) VALUES (1, '2026-01-01T00:00:00Z', 'no')",
            "tillsync_held_up: is the engine's alone",
        ),
        ("INSERT INTO tillsync_pull_seen (id) VALUES (1)", "tillsync_pull_seen: is the engine's alone"),
        (
            "INSERT INTO tillsync_syncs (kind, began_at, ended_at, elapsed_ms, outcome, counts) VALUES ('sync', '', '', 0, 'done', '{}')",
            "tillsync_syncs: is the engine's alone",
        ),
        ("DELETE FROM tillsync_schema_history", "tillsync_schema_history: is the engine's alone"),
        (
            "UPDATE tillsync_schema_history SET version = version + 1",
            "tillsync_schema_history: is the engine's alone",
        ),
    ] {
        assert_eq!(app.refusal(sql), message, "{sql}");
    }
    assert_eq!(app.all(), before);
}

#[test]
fn passwords_and_adjustments_are_refused_by_name() {
    let app = app();
    let before = app.all();
    let signed = |typed: &str| {
        format!(
            "customer 1: store_credit_amounts: an adjustment is a signed amount, such as -12.50, not {typed}"
        )
    };
    for (values, problem) in [
        ("1, NULL", "NULL"),
        ("1, ''", "\"\""),
        ("1, x'35'", "a blob"),
        ("1, '-'", "\"-\""),
        ("1, '.'", "\".\""),
        ("1, '--5'", "\"--5\""),
        ("1, '5-'", "\"5-\""),
        ("1, '1e3'", "\"1e3\""),
        ("1, '1_000'", "\"1_000\""),
        ("1, 1e20", "\"1.0e+20\""),
        ("1, '1,50'", "\"1,50\", which has a comma for a decimal point"),
        ("1, '1.2.3'", "\"1.2.3\""),
        ("1, ' 5'", "\" 5\""),
        ("1, '5' || char(0)", "\"5\""),
        ("1, 'it''s'", "\"it´s\""),
        ("1, printf('%.60c', 'x')", "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\""),
    ] {
        let insert = format!("INSERT INTO store_credit_adjustment VALUES ({values})");
        assert_eq!(app.refusal(&insert), signed(problem), "{values}");
    }
    for (values, message) in [
        ("99, '1'", "customer 99: store_credit_amounts: no such customer in this file"),
        ("NULL, '1'", "customer NULL: store_credit_amounts: no such customer in this file"),
        ("1, 123456789012.1234", "customer 1: store_credit_amounts: give an amount of this size as text"),
        (
            "1, '0.00001'",
            "customer 1: store_credit_amounts: an adjustment has at most four decimal places, not \"0.00001\"",
        ),
        (
            "1, '123456789012345'",
            "customer 1: store_credit_amounts: an adjustment has at most 14 digits before the point, not \"123456789012345\"",
        ),
        ("1, '99999999999990'", "customer 1: store_credit_amounts: the amount is too large"),
        // As a language without whole numbers gives it.
        ("99.0, 1", "customer 99: store_credit_amounts: no such customer in this file"),
        ("9.5, 1", "customer 9.5: store_credit_amounts: no such customer in this file"),
        ("'x', 1", "customer x: store_credit_amounts: no such customer in this file"),
        ("1.0, '99999999999990'", "customer 1: store_credit_amounts: the amount is too large"),
    ] {
        assert_eq!(
            app.refusal(&format!("INSERT INTO store_credit_adjustment VALUES ({values})")),
            message,
            "{values}"
        );
    }
    for (values, message) in [
        ("99, 'secret'", "customer 99: new_password: no such customer in this file"),
        ("1, NULL", "customer 1: new_password: NULL is not allowed"),
        ("1, ''", "customer 1: new_password: has 0 characters, at least 1 is needed"),
        ("1.0, ''", "customer 1: new_password: has 0 characters, at least 1 is needed"),
        ("99.0, 'secret'", "customer 99: new_password: no such customer in this file"),
        ("1, 5", "customer 1: new_password: must be text, not integer"),
        ("1, CAST(x'ff' AS TEXT)", "customer 1: new_password: is not valid UTF-8"),
    ] {
        assert_eq!(
            app.refusal(&format!("INSERT INTO password_change VALUES ({values})")),
            message,
            "{values}"
        );
    }
    assert_eq!(app.all(), before);
}

/// What a person types, what a program hands over and what SQL inserts is read by one grammar, and refused in the same words.
#[test]
fn an_amount_is_read_alike_by_the_library_and_by_sql() {
    let app = app();
    for typed in [
        "1e2",
        "1_000",
        "1234567890123456789012345678901",
        "12,50",
        "1 lots",
        "",
        "+",
        "-.",
        "0x10",
        "1.23456",
        "-123456789012345.0",
        "٣",
    ] {
        let refused = tillsync::parse_adjustment(tillsync::CustomerId(1), typed).unwrap_err().to_string();
        let by_sql = app.refusal(&format!("INSERT INTO store_credit_adjustment VALUES (1, '{typed}')"));
        assert_eq!(refused, by_sql);
        assert!(refused.contains(&format!("\"{typed}\"")), "{refused}");
    }
    for (typed, amount) in [
        ("+12.50", "12.5"),
        ("-.5", "-0.5"),
        ("5.", "5"),
        ("007", "7"),
        ("1.23450000", "1.2345"),
        ("00000000000000000000012345678901234.0000", "12345678901234"),
    ] {
        let read = tillsync::parse_adjustment(tillsync::CustomerId(1), typed).unwrap();
        assert_eq!(read, Decimal::from_str(amount).unwrap(), "{typed}");
        app.run(&format!("INSERT INTO store_credit_adjustment VALUES (1, '{typed}')")).unwrap();
        let journaled = app.till.store().pending(1).unwrap().pop().unwrap().value;
        assert_eq!(journaled, format!("\"{amount}\""), "{typed}");
    }
}

#[test]
fn the_library_strips_what_sqlite_wraps_a_refusal_in() {
    let app = app();
    let mut store = app.till.store();
    let too_much = Decimal::from_str("0.00001").unwrap();
    let error = store.edit(1).adjust_credit(too_much).commit().unwrap_err();
    assert_eq!(
        error.to_string(),
        "customer 1: store_credit_amounts: an adjustment has at most four decimal places, not \"0.00001\""
    );
    assert_eq!(error.code(), "refused");
}

// ---- transactions ------------------------------------------------------------------------------------------------

#[test]
fn an_edit_shares_the_fate_of_the_apps_transaction() {
    let app = app();
    let before = app.all();
    let sale = "UPDATE customer SET phone = '2' WHERE id = 1; INSERT INTO my_sale (total) VALUES ('9.99');
                INSERT INTO store_credit_adjustment VALUES (1, '-9.99'); INSERT INTO password_change VALUES (1, 'x');";
    app.sql.execute_batch(&format!("BEGIN; {sale} ROLLBACK")).unwrap();
    assert_eq!(app.all(), before);
    app.sql.execute_batch(&format!("BEGIN; SAVEPOINT one; {sale} ROLLBACK TO one; COMMIT")).unwrap();
    assert_eq!(app.all(), before);
    app.sql.execute_batch(&format!("BEGIN; SAVEPOINT one; {sale} RELEASE one; COMMIT")).unwrap();
    assert_eq!(app.journal().len(), 3);
    assert_eq!(app.text("SELECT total FROM my_sale"), "9.99");
    assert_eq!(app.till.local(1, "store_credit_amounts"), r#"[{"amount":0.01}]"#);
}

/// Triggers of the app's own: what they edit is journaled, and where they give up, no change is without its journal row.
#[test]
fn triggers_of_the_app_lose_no_edit() {
    for recursive in ["OFF", "ON"] {
        let app = app();
        app.sql
            .execute_batch(&format!(
                "PRAGMA recursive_triggers = {recursive};
                 CREATE TRIGGER tidy AFTER UPDATE OF phone ON customer WHEN instr(NEW.phone, ' ')
                 BEGIN UPDATE customer SET phone = replace(NEW.phone, ' ', '') WHERE id = NEW.id; END;
                 CREATE TRIGGER note AFTER UPDATE OF store_credit_amounts ON customer
                 BEGIN UPDATE customer SET notes = 'paid' WHERE id = NEW.id; END;
                 UPDATE customer SET phone = '5 5' WHERE id = 1;
                 INSERT INTO store_credit_adjustment VALUES (1, 1);",
            ))
            .unwrap();
        let fields: Vec<(String, String)> = app.journal().into_iter().map(|row| (row.0, row.2)).collect();
        let expected = [
            ("phone", r#""5 5""#),
            ("phone", r#""55""#),
            ("store_credit_amounts", r#""1""#),
            ("notes", r#""paid""#),
        ];
        assert_eq!(fields, expected.map(|(field, value)| (field.to_owned(), value.to_owned())));
    }
    for (when, how) in
        [("BEFORE", "IGNORE"), ("AFTER", "IGNORE"), ("BEFORE", "FAIL, 'no'"), ("AFTER", "FAIL, 'no'")]
    {
        let app = app();
        let trigger = format!("CREATE TRIGGER stop {when} UPDATE ON customer BEGIN SELECT RAISE({how}); END");
        app.sql.execute_batch(&trigger).unwrap();
        _ = app.run("UPDATE customer SET phone = '2' WHERE id = 1");
        _ = app.run("INSERT INTO store_credit_adjustment VALUES (1, 1)");
        let journaled = |field: &str| app.journal().iter().any(|row| row.0 == field);
        assert_eq!(app.till.local(1, "phone") != "\"1\"", journaled("phone"), "{when} {how}");
        let credit = app.till.local(1, "store_credit_amounts");
        assert_eq!(credit != r#"[{"amount":10}]"#, journaled("store_credit_amounts"), "{when} {how}");
        assert_eq!(app.sql.query_row("SELECT writing FROM tillsync_guard", [], |row| row.get(0)), Ok(0));
    }
}

#[test]
fn an_attached_file_is_edited_by_its_own_triggers() {
    let app = app();
    let other = Connection::open_in_memory().unwrap();
    other
        .execute_batch(
            "PRAGMA trusted_schema = OFF;
             CREATE TABLE tillsync_guard (id, writing); INSERT INTO tillsync_guard VALUES (1, 1);
             CREATE TABLE edit_context (author, label); INSERT INTO edit_context VALUES ('wrong', 'wrong');
             CREATE TABLE journal (wrong); CREATE TABLE customer (id, phone); CREATE TABLE snapshot (id, body);",
        )
        .unwrap();
    other.execute("ATTACH ?1 AS till", [app.till.path.to_str()]).unwrap();
    other.execute_batch("UPDATE till.customer SET phone = 'é' WHERE id = 1").unwrap();
    other.execute_batch("INSERT INTO till.store_credit_adjustment VALUES (1, '-3')").unwrap();
    let refused = other.execute_batch("UPDATE till.customer SET email = 'x' WHERE id = 1").unwrap_err();
    assert_eq!(words(refused.to_string()), "customer 1: email: has 1 character, at least 3 are needed");
    assert_eq!(
        app.journal(),
        [
            row("phone", "set", r#""é""#, r#""1""#),
            row("store_credit_amounts", "adjust", r#""-3""#, r#"[{"amount":10}]"#)
        ]
    );
    assert_eq!(app.till.store().journal(None).unwrap()[0].author, None);
}

// ---- money -------------------------------------------------------------------------------------------------------

#[test]
fn an_adjustment_takes_the_spellings_of_an_amount() {
    let app = app();
    for (amount, journaled, balance) in [
        ("'+5'", "5", "15"),
        ("'-12.50'", "-12.5", "-2.5"),
        ("'.5'", "0.5", "10.5"),
        ("'5.'", "5", "15"),
        ("'-.0001'", "-0.0001", "9.9999"),
        ("0.1", "0.1", "10.1"),
        ("0.1 + 0.2", "0.3", "10.3"),
        ("7", "7", "17"),
        ("'-10.5'", "-10.5", "-0.5"),
        ("-10", "-10", "0"),
        ("'1.10000000'", "1.1", "11.1"),
        ("'0005'", "5", "15"),
        ("'999999999.99'", "999999999.99", "1000000009.99"),
    ] {
        let (rows, credit) = app.undone(|| {
            app.no_floor();
            app.run(&format!("INSERT INTO store_credit_adjustment VALUES (1, {amount})")).unwrap();
            (app.journal(), app.text("SELECT store_credit_amounts FROM customer WHERE id = 1"))
        });
        let value = format!("\"{journaled}\"");
        assert_eq!(rows, [row("store_credit_amounts", "adjust", &value, r#"[{"amount":10}]"#)], "{amount}");
        assert_eq!(credit, format!("[{{\"amount\":{balance}}}]"), "{amount}");
    }
    for nothing in ["0", "'-0.00'", "0.0"] {
        app.run(&format!("INSERT INTO store_credit_adjustment VALUES (1, {nothing})")).unwrap();
    }
    assert_eq!(app.journal(), []);
}

#[test]
fn an_adjustment_after_a_set_and_a_set_after_an_adjustment_are_told_apart() {
    let app = app();
    app.sql
        .execute_batch(
            r#"BEGIN;
               UPDATE customer SET store_credit_amounts = '[{"amount":1},{"amount":2}]' WHERE id = 1;
               INSERT INTO store_credit_adjustment VALUES (1, 5);
               UPDATE customer SET store_credit_amounts = '[{"amount":1},{"amount":2}]' WHERE id = 1;
               INSERT INTO store_credit_adjustment VALUES (1, 0);
               COMMIT"#,
        )
        .unwrap();
    let (one, six) = (r#"[{"amount":1},{"amount":2}]"#, r#"[{"amount":6},{"amount":2}]"#);
    assert_eq!(
        app.journal(),
        [
            row("store_credit_amounts", "set", one, r#"[{"amount":10}]"#),
            row("store_credit_amounts", "adjust", r#""5""#, one),
            row("store_credit_amounts", "set", one, six),
        ]
    );
}

#[test]
fn the_triggers_add_as_decimals_do() {
    let app = app();
    let scaled = -9_999_999_999_999_999_i64..=9_999_999_999_999_999;
    let small = -30_000_i64..=30_000;
    let amount = || prop_oneof![scaled.clone(), small.clone()].prop_map(|n| Decimal::new(n, 4));
    app.sql.execute_batch("BEGIN").unwrap();
    app.no_floor();
    cases(3_000)
        .run(&(amount(), amount(), 0..3_u32), |(balance, change, places)| {
            let balance = balance.round_dp(places + 2);
            app.sql.execute_batch("SAVEPOINT pair").unwrap();
            let set = format!("[{{\"amount\":{balance}}}]");
            app.sql.execute("UPDATE customer SET store_credit_amounts = ?1 WHERE id = 1", [&set]).unwrap();
            let adjust = "INSERT INTO store_credit_adjustment VALUES (1, ?1)";
            app.sql.execute(adjust, [change.to_string()]).unwrap();
            let credit = app.text("SELECT store_credit_amounts FROM customer WHERE id = 1");
            let last = app.journal().pop();
            app.sql.execute_batch("ROLLBACK TO pair; RELEASE pair").unwrap();
            let sum = Value::Credit(vec![balance + change]);
            prop_assert_eq!(Value::from_json(Kind::Credit, &credit), sum);
            if !change.is_zero() {
                let value = format!("\"{}\"", change.normalize());
                prop_assert_eq!(last, Some(row("store_credit_amounts", "adjust", &value, &set)));
            }
            Ok(())
        })
        .unwrap();
}

// ---- one table, two gates ----------------------------------------------------------------------------------------

#[test]
fn the_limits_of_text_are_those_of_the_field_table() {
    let app = app();
    for field in FIELDS.iter().filter(|field| field.kind == Kind::Text && field.access == Access::Editable) {
        let (least, most) = field.limit_chars;
        let update = format!("UPDATE customer SET {} = ?1 WHERE id = 1", field.name);
        for letter in ["x", "é", "日", "😀"] {
            let set = |length: usize| {
                app.undone(|| {
                    app.sql.execute(&update, [letter.repeat(length)]).map_err(|e| words(e.to_string()))
                })
            };
            let name = field.name;
            assert_eq!(set(least), Ok(1), "{name}");
            if least > 0 {
                let needed = if least == 1 { "1 is" } else { &format!("{least} are") };
                let message =
                    format!("customer 1: {name}: has {} characters, at least {needed} needed", least - 1);
                assert_eq!(set(least - 1), Err(message));
            }
            if most == usize::MAX {
                assert_eq!(set(20_000), Ok(1), "{name}");
                continue;
            }
            let message =
                format!("customer 1: {name}: has {} characters, at most {most} are allowed", most + 1);
            assert_eq!((set(most), set(most + 1)), (Ok(1), Err(message)));
        }
    }
}

/// JSON text that is often of the right shape, and often just not.
fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,15})(\\.[0-9]{1,5})?",
        "-?[0-9]{1,3}([eE][+-]?[0-9]{1,3})?",
        (-3..3_i64).prop_map(|n| n.to_string()),
        prop::sample::select(vec![
            "2147483647",
            "2147483648",
            "1e400",
            "-0",
            "01",
            "1.",
            ".5",
            "+1",
            "99999999999999.9999"
        ])
        .prop_map(str::to_owned),
    ];
    let text = prop_oneof![
        "[ -~é日😀]{0,6}".prop_map(|text| serde_json::Value::from(text).to_string()),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        prop::sample::select(vec![
            r#""a""#,
            r#""""#,
            r#""\u0061""#,
            r#""\u0000""#,
            r#""\\u0000""#,
            r#""\ud800""#,
            r#""\ud83d\ude00""#,
            "\"\u{1}\"",
            r#""\x""#,
            "'a'"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![4 => number.clone(), 4 => text.clone(), 1 => Just("null".to_owned()), 1 => Just("true".to_owned())];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            inner.prop_map(|value| format!("{{\"name\":{value}}}")),
        ]
    });
    let texts = prop::collection::vec(text.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", ")));
    let key = prop::sample::select(vec!["amount", "name", "value", "customer_id", "x"]);
    let loose = prop::collection::vec((key, value.clone()), 0..4).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{{}}}", members.join(","))
    });
    let credit = number.clone().prop_map(|amount| format!("{{\"amount\":{amount}}}"));
    let form = (text.clone(), prop_oneof![text, number.clone(), texts, value.clone()])
        .prop_map(|(name, value)| format!("{{\"name\":{name},\"value\":{value}}}"));
    let array = |items: BoxedStrategy<String>| {
        prop::collection::vec(items, 0..4).prop_map(|items| format!(" [{}]\n", items.join(",")))
    };
    prop_oneof![
        3 => array(number.boxed()),
        3 => array(credit.clone().boxed()),
        3 => array(form.clone().boxed()),
        3 => array(prop_oneof![credit, form, loose, value.clone()].boxed()),
        1 => value,
        1 => any::<String>(),
    ]
}

/// Text, half of it near a limit in length.
fn text() -> impl Strategy<Value = String> {
    let letter = prop::sample::select(vec!["x", "é", "日", "😀", "\0"]);
    let length =
        prop::sample::select(vec![0_usize, 1, 2, 3, 49, 50, 51, 63, 64, 65, 99, 100, 101, 254, 255, 256]);
    prop_oneof![any::<String>(), (letter, length).prop_map(|(letter, length)| letter.repeat(length))]
}

/// Whatever the library takes, the triggers take, and the other way round; and both understand the same by it.
#[test]
fn the_triggers_and_the_library_agree() {
    let app = app();
    app.sql.execute_batch("BEGIN").unwrap();
    let of_kind =
        |kind: Kind| move |field: &&tillsync::Field| field.kind == kind && field.access == Access::Editable;
    let agree = |field: &tillsync::Field, typed: Cell, argument: &str| -> Result<(), TestCaseError> {
        let name = field.name;
        let update = format!("UPDATE customer SET {name} = ?1 WHERE id = 1");
        let before: Cell = app
            .sql
            .query_row(&format!("SELECT {name} FROM customer WHERE id = 1"), [], |r| r.get(0))
            .unwrap();
        let set = |cell: &Cell| {
            app.sql.execute_batch("SAVEPOINT value").unwrap();
            let done = app.sql.execute(&update, [cell]).map_err(|e| words(e.to_string()));
            let stored: Cell = app
                .sql
                .query_row(&format!("SELECT {name} FROM customer WHERE id = 1"), [], |r| r.get(0))
                .unwrap();
            app.sql.execute_batch("ROLLBACK TO value; RELEASE value").unwrap();
            done.map(|_| stored)
        };
        match (parse_argument(CustomerId(1), name, argument), set(&typed)) {
            (Err(_), Err(_)) => {}
            // What means what is there is no edit, however it is spelled.
            (Err(_), Ok(stored)) if stored == before => {}
            (Ok(Edit::Set(_, value)), Ok(stored)) => {
                let json = match &stored {
                    Cell::Text(text) if field.kind == Kind::Text => {
                        serde_json::Value::from(text.as_str()).to_string()
                    }
                    Cell::Text(text) => text.clone(),
                    Cell::Integer(yes) if field.kind == Kind::Boolean => (*yes == 1).to_string(),
                    Cell::Integer(number) => number.to_string(),
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(&Value::from_json(field.kind, &json), &value);
                if field.kind != Kind::Text && field.kind != Kind::Boolean {
                    prop_assert!(
                        set(&Cell::Text(value.to_json())).is_ok(),
                        "{} as the library writes it",
                        value.to_json()
                    );
                }
            }
            (library, triggers) => {
                prop_assert!(
                    false,
                    "{name} = {argument:?}: the library says {library:?}, the triggers {triggers:?}"
                );
            }
        }
        Ok(())
    };
    cases(1_500)
        .run(&text(), |text| {
            FIELDS
                .iter()
                .filter(of_kind(Kind::Text))
                .try_for_each(|f| agree(f, Cell::Text(text.clone()), &text))
        })
        .unwrap();
    cases(4_000)
        .run(&json(), |json| {
            [Kind::Channels, Kind::Credit, Kind::Forms].into_iter().try_for_each(|kind| {
                FIELDS
                    .iter()
                    .filter(of_kind(kind))
                    .try_for_each(|f| agree(f, Cell::Text(json.clone()), &json))
            })
        })
        .unwrap();
    cases(500)
        .run(&prop_oneof![any::<i64>(), -2..3_i64, 2_147_483_646..2_147_483_650_i64], |number| {
            FIELDS
                .iter()
                .filter(of_kind(Kind::Integer))
                .try_for_each(|f| agree(f, Cell::Integer(number), &number.to_string()))?;
            let word =
                ["false", "true"].get(usize::try_from(number).unwrap_or(9)).copied().unwrap_or("maybe");
            FIELDS
                .iter()
                .filter(of_kind(Kind::Boolean))
                .try_for_each(|f| agree(f, Cell::Integer(number), word))
        })
        .unwrap();
}

/// Any value of any type into any column or view: it is journaled or refused, and nothing else ever happens.
#[test]
fn hostile_values_leave_nothing_half_done() {
    let app = app();
    let ascii = "[ -~]{0,20}".prop_map(Cell::Text);
    let cell = prop_oneof![
        Just(Cell::Null),
        any::<i64>().prop_map(Cell::Integer),
        (-2..3_i64).prop_map(Cell::Integer),
        any::<f64>().prop_map(Cell::Real),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Cell::Blob),
        text().prop_map(Cell::Text),
        json().prop_map(Cell::Text),
        ascii,
    ];
    let columns: Vec<&str> =
        FIELDS.iter().map(|field| field.name).chain(["id"]).filter(|n| *n != "new_password").collect();
    let mut statements: Vec<String> = columns
        .iter()
        .flat_map(|column| {
            [
                format!("UPDATE customer SET {column} = ?1 WHERE id = 1"),
                format!("UPDATE OR FAIL customer SET {column} = CAST(?1 AS TEXT) WHERE id = 1"),
                format!("UPDATE OR IGNORE customer SET phone = '9', {column} = ?1, notes = '9' WHERE id = 1"),
            ]
        })
        .collect();
    statements.extend(
        [
            "INSERT INTO store_credit_adjustment VALUES (1, ?1)",
            "INSERT OR IGNORE INTO store_credit_adjustment VALUES (?1, '1')",
            "INSERT INTO password_change VALUES (1, ?1)",
            "INSERT INTO password_change VALUES (?1, 'secret')",
        ]
        .map(str::to_owned),
    );
    app.sql.execute_batch("BEGIN").unwrap();
    let start = app.all();
    cases(2_500)
        .run(&(prop::sample::select(statements), cell), |(sql, cell)| {
            app.sql.execute_batch("SAVEPOINT hostile").unwrap();
            let outcome = app.sql.execute(&sql, params![cell]);
            let (after, journal) = (app.all(), app.journal());
            prop_assert!(!app.sql.is_autocommit());
            app.sql.execute_batch("ROLLBACK TO hostile; RELEASE hostile").unwrap();
            match outcome {
                Err(e) => {
                    let words = e.to_string();
                    let is_refused = words.contains("tillsync refused: ") || words == "datatype mismatch"; // of an id
                    prop_assert!(is_refused, "{}: {:?}: {}", sql, cell, words);
                    prop_assert_eq!(&after, &start);
                }
                Ok(_) => {
                    let (customers, journaled) = (after[0] != start[0], !journal.is_empty());
                    let of_the_store = FIELDS.iter().filter(|field| field.access != Access::Editable);
                    let mut of_the_store = of_the_store.map(|field| field.name);
                    let is_respelt = ["channel_ids", "form_fields", "credit"].iter().any(|n| sql.contains(n))
                        || of_the_store.any(|name| sql.contains(name));
                    let is_password = sql.contains("password_change");
                    prop_assert!(customers == journaled || is_respelt || is_password, "{}: {:?}", sql, cell);
                    prop_assert_eq!(&after[1], &start[1], "the snapshot");
                    prop_assert_eq!(&after[5], &start[5], "the guard");
                    let mut fields: Vec<&str> = journal.iter().map(|row| row.0.as_str()).collect();
                    fields.sort_unstable();
                    fields.dedup();
                    prop_assert_eq!(fields.len(), journal.len(), "one row for each attribute");
                }
            }
            Ok(())
        })
        .unwrap();
    app.sql.execute_batch("ROLLBACK").unwrap();
    assert_eq!(app.ana().get(tillsync::FieldId::EMAIL), &Value::Text("ana@example.com".into()));
}

// ---- the file ----------------------------------------------------------------------------------------------------

#[cfg(unix)]
#[test]
fn the_file_and_its_log_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let app = app();
    app.run("UPDATE customer SET phone = '2' WHERE id = 1").unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(app.till.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        seen += usize::from(
            ["till.db", "till.db-wal", "till.db-shm"].map(Into::into).contains(&entry.file_name()),
        );
    }
    assert_eq!(seen, 3);
}

#[test]
fn many_open_a_fresh_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let path = folder.path().join(format!("{round}.db"));
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(Store::open(&path).unwrap().status().unwrap().pending_fields, 0);
                });
            }
        });
    }
}

/// The other half of [`processes_open_a_fresh_file_at_once`]: a process of its own that opens the file it is told.
#[test]
fn a_process_that_opens_the_file_it_is_told() {
    if let Some(path) = std::env::var_os("TILLSYNC_TEST_OPEN") {
        Store::open(path).unwrap().status().unwrap();
    }
}

#[test]
fn processes_open_a_fresh_file_at_once() {
    let path = tempfile::tempdir().unwrap().keep().join("till.db");
    let open = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_that_opens_the_file_it_is_told"])
            .env("TILLSYNC_TEST_OPEN", &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..4).map(|_| open()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    Store::open_existing(&path).unwrap();
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn what_would_be_sent_and_what_is_there_have_their_types() {
    let till = common::till(2);
    let mut store = till.store();
    store.edit(1).set("phone", "555-0142").set("new_password", "canary").commit().unwrap();
    store.edit(1).adjust_credit("12.5".parse().unwrap()).commit().unwrap();
    let changes = store.changes(&[]).unwrap();
    let [(id, fields)] = &changes[..] else { panic!("{changes:?}") };
    let told = |name: &str| {
        let is_it = |edit: &Edit| match edit {
            Edit::Set(field, value) if field.name() == name => Some(value.clone()),
            _ => None,
        };
        fields.iter().find_map(is_it).unwrap()
    };
    assert_eq!((id.0, fields.len()), (1, 3));
    assert_eq!((told("phone").text(), told("new_password").text()), (Some("555-0142"), Some("***")));
    let row = store.get(1).unwrap().unwrap();
    let balance = row.get(FieldId::STORE_CREDIT_AMOUNTS).credit();
    assert!(balance.is_some() && balance == told("store_credit_amounts").credit());
    let value = |name: &str| row.get(FieldId::named(name).unwrap());
    assert!(value("email").text().unwrap().contains('@') && value("email").integer().is_none());
    assert!(value("customer_group_id").integer().is_some() && value("channel_ids").text().is_none());
    assert_eq!(value("force_password_reset").boolean(), Some(false));
    // By name, too.
    let customer: &tillsync::Customer = &row;
    assert_eq!((customer.email(), customer.phone()), (value("email").text(), Some("555-0142")));
    assert_eq!(customer.store_credit_amounts(), balance);
    assert_eq!(customer.customer_group_id(), value("customer_group_id").integer());
    assert_eq!(customer.force_password_reset(), Some(false));
    assert_eq!(customer.form_fields(), value("form_fields").forms());
    assert!(customer.date_created().unwrap() <= customer.date_modified().unwrap());
}
