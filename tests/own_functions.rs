//! An app's indexes with a function or a collation of its own, which the engine's SQLite lacks: they hold up those whom they
//! concern and nobody else, and damage nothing.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use common::{Till, till};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use serde_json::json;
use tillsync::Store;

/// The app's own SQLite.
fn app(till: &Till) -> Connection {
    let app = Connection::open(&till.path).unwrap();
    app.create_collation("app_order", |one, other| one.to_lowercase().cmp(&other.to_lowercase())).unwrap();
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8;
    app.create_scalar_function("app_key", 1, flags, |given| Ok(format!("{:?}", given.get_raw(0)))).unwrap();
    app
}

fn held_up(till: &Till) -> Vec<(i64, Option<String>)> {
    till.store().held_up().unwrap().into_iter().map(|one| (one.customer_id.0, one.cause)).collect()
}

#[test]
fn one_on_customers_holds_up_those_whom_it_concerns() {
    for index in [
        "CREATE INDEX own ON customer (app_key(company))",
        "CREATE INDEX own ON customer (company COLLATE app_order)",
        "CREATE INDEX own ON customer (company) WHERE app_key(company) <> ''",
    ] {
        let mut till = till(5);
        till.key = None;
        let app = app(&till);
        app.execute_batch(index).unwrap();
        till.office(3, json!({"company": "news"}));
        till.set(1, "phone", "mine");
        till.adjust(2, "1");
        let report = till.engine().sync().unwrap_or_else(|e| panic!("{index}: {e}"));
        assert_eq!((report.uploaded_fields, report.held_up), (2, 1), "{index}");
        assert_eq!(held_up(&till), [(3, Some("own".to_owned()))], "{index}");
        assert_eq!(till.remote_value(1, "phone"), "\"mine\"");
        app.execute_batch("DROP INDEX own").unwrap();
        assert_eq!(till.engine().sync().unwrap().held_up, 0, "{index}");
        assert_eq!(till.local(3, "company"), "\"news\"");
        till.assert_no_violations();
    }
}

/// What the engine cannot check it does not call damaged, and copies as it is.
#[test]
fn one_in_its_own_tables_is_not_checked_and_is_in_every_backup() {
    for index in
        ["CREATE INDEX own ON sale (app_key(who))", "CREATE INDEX own ON sale (who COLLATE app_order)"]
    {
        let mut till = till(3);
        till.key = None;
        let app = app(&till);
        app.execute_batch("CREATE TABLE sale (who TEXT); INSERT INTO sale VALUES ('ana'), ('Bea')").unwrap();
        app.execute_batch(index).unwrap();
        till.adjust(1, "-10");
        let found = till.store().soundness().unwrap();
        assert!(found.problems.is_empty(), "{found:?}");
        assert!(found.unchecked.len() == 1 && found.unchecked[0].starts_with("sale ("), "{found:?}");
        let copy = till.folder.path().join("copy.db");
        till.store().backup(&copy).unwrap();
        drop(app);
        assert_eq!(Store::restore(&till.path, &copy, None).unwrap().held, 0, "{index}");
        let check = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        let restored = self::app(&till).query_row("PRAGMA integrity_check", [], check);
        assert_eq!(restored.as_deref(), Ok("ok"), "{index}");
        assert_eq!(till.store().status().unwrap().pending_fields, 1);
    }
}

/// A log that shows nothing but a change of the schema is judged by whether the file is sound with it.
#[test]
fn nor_does_it_make_a_strange_log_of_the_files_own() {
    let mut till = till(3);
    till.key = None;
    let app = app(&till);
    app.execute_batch("CREATE TABLE sale (who TEXT COLLATE app_order); CREATE INDEX own ON sale (who)")
        .unwrap();
    app.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE another (x)").unwrap();
    assert_eq!(till.run(["status"]).exit, Some(0));
    app.execute("UPDATE customer SET phone = 'mine' WHERE id = 2", []).unwrap();
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
}
