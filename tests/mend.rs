//! Our triggers are there, or it is told: what a mapper's migration takes out comes back, and what was edited meanwhile is
//! journaled. And not any file is a till.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::process::Command;

use common::odd::{Kind, Odd, Told};
use common::{Till, till};
use rusqlite::Connection;
use tillsync::Store;

/// What a mapper does to change a column: the table built anew, without the triggers that were on the old one, nor the column
/// that it knows nothing of.
fn rebuild(connection: &Connection) {
    connection
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             PRAGMA legacy_alter_table = ON;
             BEGIN;
             CREATE TABLE customer_new AS SELECT * FROM customer;
             ALTER TABLE customer_new DROP COLUMN engine_mark;
             DROP TABLE customer;
             ALTER TABLE customer_new RENAME TO customer;
             CREATE UNIQUE INDEX my_customer_id ON customer (id);
             COMMIT;
             PRAGMA legacy_alter_table = OFF;",
        )
        .unwrap();
}

fn doctor(till: &Till) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillsync"));
    command.arg("--json").arg("--db").arg(&till.path).arg("doctor");
    let said: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let checks = said["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "triggers").unwrap().clone()
}

#[test]
fn an_edit_that_no_trigger_journals_is_rolled_back_with_an_error() {
    let till = till(3);
    let mut store = till.store();
    let (phone, credit) = (till.local(1, "phone"), till.local(1, "store_credit_amounts"));
    rebuild(store.connection());
    let refused = store.edit(1).set("phone", "unseen").commit().unwrap_err();
    assert_eq!((refused.code(), refused.is_database()), ("not_journaled", true));
    assert!(refused.to_string().starts_with("customer 1: phone: was not journaled"), "{refused}");
    drop(store);
    assert_eq!((till.local(1, "phone"), till.local(1, "store_credit_amounts")), (phone, credit));
}

#[test]
fn triggers_that_were_taken_out_are_made_again_and_what_was_edited_without_them_is_journaled() {
    let till = till(600);
    till.set(2, "company", "journaled");
    let app = Connection::open(&till.path).unwrap();
    rebuild(&app);
    app.execute_batch("UPDATE customer SET phone = 'unseen' WHERE id IN (1, 599)").unwrap();
    drop(app);

    let found = doctor(&till);
    assert_eq!(found["ok"], false);
    assert!(found["detail"].as_str().unwrap().contains("2 edits without an entry"), "{found}");
    assert_eq!(doctor(&till)["ok"], true, "it is told once");
    assert_eq!(till.store().status().unwrap().pending_fields, 3);
    let edit = till.store().journal(Some(tillsync::CustomerId(1))).unwrap().pop().unwrap();
    assert_eq!((edit.field.as_str(), edit.author.as_deref()), ("phone", Some("tillsync")));

    till.set(1, "notes", "journaled again");
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 4);
    assert_eq!(till.remote_value(599, "phone"), "\"unseen\"");
    assert_eq!(till.remote_value(2, "company"), "\"journaled\"");
}

#[test]
fn what_the_store_would_not_take_of_it_is_shown_until_it_is_edited() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    rebuild(&app);
    let long = "x".repeat(60);
    app.execute("UPDATE customer SET phone = ?1 WHERE id IN (2, 3)", [&long]).unwrap();
    drop(app);

    for _ in 0..2 {
        let told = doctor(&till);
        assert_eq!(told["ok"], false);
        let detail = told["detail"].as_str().unwrap();
        for id in [2, 3] {
            let problem = format!("customer {id}: phone: has 60 characters, at most 50 are allowed");
            assert!(detail.contains(&problem), "{detail}");
        }
    }
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 0);
    assert_eq!(till.local(2, "phone"), format!("\"{long}\""), "it is not lost");
    till.set(2, "phone", "555");
    till.set(3, "phone", "555");
    assert_eq!(doctor(&till)["ok"], true);
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 2);
    assert_eq!(till.remote_value(2, "phone"), "\"555\"");
}

/// That leaves no sign: whoever looks after the file asks `doctor`.
#[test]
fn what_was_edited_with_triggers_switched_off_is_found_and_journaled() {
    use rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    let till = till(2_100);
    till.set(2, "phone", "journaled");
    till.adjust(5, "2.50");
    till.set(6, "phone", "held");
    till.office(6, serde_json::json!({ "phone": "theirs" }));
    till.engine().sync().unwrap();
    till.set(2, "phone", "journaled again");
    assert_eq!(doctor(&till)["ok"], true, "nothing was edited past the journal");
    let app = Connection::open(&till.path).unwrap();
    app.set_db_config(SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    app.execute_batch(
        "UPDATE customer SET company = 'unseen' WHERE id IN (1, 2, 2099);
         UPDATE customer SET store_credit_amounts = '[{\"amount\":77}]' WHERE id = 3",
    )
    .unwrap();
    app.execute("UPDATE customer SET phone = ?1 WHERE id = 4", ["x".repeat(60)]).unwrap();
    drop(app);

    let told = doctor(&till);
    assert_eq!(told["ok"], false);
    assert!(told["detail"].as_str().unwrap().contains("customer 4: phone: has 60 characters"), "{told}");
    assert_eq!(till.store().find_unjournaled().unwrap(), 0, "each is journaled once");
    assert_eq!(till.store().status().unwrap().pending_fields, 5);
    till.set(4, "phone", "555");
    assert_eq!(doctor(&till)["ok"], true);
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 6);
    assert_eq!(till.remote_value(2099, "company"), "\"unseen\"");
    assert_eq!(till.remote_value(2, "phone"), "\"journaled again\"");
    assert!(till.remote_value(3, "store_credit_amounts").contains("77"));
}

#[test]
fn an_index_that_was_dropped_is_made_again() {
    let till = till(3);
    till.set(1, "phone", "555");
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch("DROP INDEX tillsync_journal_unsettled; DROP INDEX tillsync_conflict_open; DROP INDEX tillsync_customer_email")
        .unwrap();
    drop(app);
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
    let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name IN ('tillsync_journal_unsettled', 'tillsync_conflict_open', 'tillsync_customer_email')";
    let there: i64 = till.store().connection().query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(there, 3);
}

/// An engine that was open all the time.
#[test]
fn a_sync_finds_out_too() {
    let till = till(3);
    let mut engine = till.engine();
    let app = Connection::open(&till.path).unwrap();
    rebuild(&app);
    app.execute_batch("UPDATE customer SET phone = 'unseen' WHERE id = 1").unwrap();
    assert_eq!(engine.sync().unwrap().uploaded_fields, 1);
    assert_eq!(till.remote_value(1, "phone"), "\"unseen\"");
    assert_eq!(engine.store().mended(), Some(1));
}

/// SQLite has what refers to a table follow its new name.
#[test]
fn a_table_that_was_renamed_or_built_anew_behind_its_name_is_referred_to_again_and_all_is_sent() {
    for classic in [true, false] {
        let till = till(3);
        let app = Connection::open(&till.path).unwrap();
        till.set(1, "phone", "before");
        let sql: String = app
            .query_row("SELECT sql FROM sqlite_schema WHERE name = 'batch'", [], |row| row.get(0))
            .unwrap();
        let anew = format!("{sql}; INSERT INTO batch SELECT * FROM my_batch; DROP TABLE my_batch;");
        app.execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; BEGIN; ALTER TABLE batch RENAME TO my_batch; {} COMMIT",
            if classic { &anew } else { "" }
        ))
        .unwrap();
        till.set(2, "phone", "after");
        assert_eq!(till.engine().sync().unwrap().uploaded_fields, 2, "classic: {classic}");
        assert_eq!(till.remote_value(1, "phone"), "\"before\"");
        assert_eq!(till.run(["doctor"]).exit, Some(0));
    }
}

/// A payment that may have landed is not sent again unseen because the table of what is on its way was renamed.
#[test]
fn what_was_on_its_way_when_its_table_was_renamed_is_in_doubt_all_the_same() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    let ours = "SELECT group_concat('DROP TRIGGER ' || name, '; ') FROM sqlite_schema
                WHERE type = 'trigger' AND tbl_name LIKE 'batch%'";
    let ours: String = app.query_row(ours, [], |row| row.get(0)).unwrap();
    app.execute_batch(&ours).unwrap();
    app.execute_batch(
        r#"INSERT INTO batch (id, sent_at) VALUES (7, '2026-01-02T03:04:05Z');
         INSERT INTO batch_item (batch_id, position, customer_id, up_to_seq, payload) VALUES (7, 0, 1, 0, '{"id":1}');
         PRAGMA foreign_keys = OFF; ALTER TABLE batch RENAME TO my_batch"#,
    )
    .unwrap();
    drop(till.store());
    let [batches, items] = ["batch WHERE id = 7", "batch_item WHERE batch_id = 7"].map(|rows| {
        app.query_row(&format!("SELECT count(*) FROM {rows}"), [], |row| row.get::<_, i64>(0)).unwrap()
    });
    assert_eq!((batches, items), (1, 1));
    till.engine().sync().unwrap();
    assert_eq!(till.store().status().unwrap().pending_fields, 0);
}

/// The search neither writes into it nor removes from it.
#[test]
fn an_apps_own_table_with_the_name_of_our_index_is_told_and_not_touched() {
    let till = till(2);
    let app = Connection::open(&till.path).unwrap();
    for (made, kind) in [
        ("CREATE TABLE customer_search (last_name, rank, customer_search)", "TABLE"),
        ("CREATE VIRTUAL TABLE customer_search USING fts5(last_name, first_name, rank_of)", "TABLE"),
    ] {
        app.execute_batch(&format!(
            "{made}; INSERT INTO customer_search (rowid, last_name) VALUES (1, 'theirs')"
        ))
        .unwrap();
        let refused = Store::open(&till.path).unwrap_err();
        assert_eq!(refused.code(), "misshapen", "{made}");
        assert!(
            refused.to_string().contains("in the place of the virtual table customer_search"),
            "{refused}"
        );
        let kept: String =
            app.query_row("SELECT last_name FROM customer_search", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "theirs");
        app.execute_batch(&format!("DROP {kind} customer_search")).unwrap();
        till.store().find("a", 1).unwrap();
        app.execute_batch("DROP TABLE customer_search").unwrap();
    }
}

/// While the file is open, too.
#[test]
fn nor_is_one_that_came_while_the_file_was_open() {
    let till = till(2);
    let mut store = till.store();
    store.find("a", 1).unwrap();
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(
        "DROP TABLE customer_search; CREATE TABLE customer_search (last_name, rank, customer_search);
         INSERT INTO customer_search (rowid, last_name) VALUES (1, 'theirs')",
    )
    .unwrap();
    store.find("a", 1).unwrap();
    let all: i64 = app.query_row("SELECT count(*) FROM customer_search", [], |row| row.get(0)).unwrap();
    assert_eq!(all, 1, "the search wrote into it");
}

/// It is not touched: not even turned to write-ahead.
#[test]
fn a_database_of_another_program_is_refused_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (id); INSERT INTO theirs VALUES (1)")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    for refused in [Store::open(&path).unwrap_err(), Store::open_existing(&path).unwrap_err()] {
        assert_eq!((refused.code(), refused.is_database()), ("not_a_till", true));
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_view_in_the_place_of_a_table_of_ours_is_told_and_nothing_is_touched() {
    let till = till(2);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(
        "PRAGMA legacy_alter_table = ON; PRAGMA foreign_keys = OFF;
         ALTER TABLE customer RENAME TO moved; CREATE VIEW customer AS SELECT * FROM moved",
    )
    .unwrap();
    let refused = Store::open(&till.path).unwrap_err();
    assert_eq!(refused.code(), "misshapen");
    assert!(refused.to_string().contains("a view in the place of the table customer"), "{refused}");
    app.execute_batch("DROP VIEW customer; ALTER TABLE moved RENAME TO customer").unwrap();
    assert_eq!(Store::open(&till.path).unwrap().status().unwrap().snapshot_customers, 2);
}

/// Nor is what lies beside it brought in: its own log, which its program left, or one that is not of it.
#[test]
fn a_database_of_another_program_keeps_what_lies_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let [path, alive] = ["other.db", "alive.db"].map(|name| folder.path().join(name));
    let program = Connection::open(&alive).unwrap();
    program
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE theirs (id)")
        .unwrap();
    program.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO theirs VALUES (1)").unwrap();
    // As if it had been killed: the file, and the log with what was written last.
    std::fs::copy(&alive, &path).unwrap();
    let log = folder.path().join("other.db-wal");
    std::fs::copy(folder.path().join("alive.db-wal"), &log).unwrap();
    let before = [&path, &log].map(|file| std::fs::read(file).unwrap());
    assert!(before[1].len() > 1_000);
    for refused in [Store::open(&path).unwrap_err(), Store::open_existing(&path).unwrap_err()] {
        assert_eq!(refused.code(), "not_a_till");
    }
    assert_eq!([&path, &log].map(|file| std::fs::read(file).unwrap()), before);
    let beside = folder.path().join("other.db-journal");
    std::fs::rename(&log, &beside).unwrap();
    assert_eq!(Store::open(&path).unwrap_err().code(), "not_a_till");
    assert_eq!([&path, &beside].map(|file| std::fs::read(file).unwrap()), before);
}

/// All that lies in a folder, with its bytes.
fn all_in(folder: &std::path::Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> = files.map(|file| (file.file_name(), std::fs::read(file.path()).unwrap())).collect();
    all.sort();
    all
}

/// By whatever command: nothing of it is read into it, and nothing is made or taken away beside it.
#[test]
fn what_is_no_till_is_as_it_was_with_all_that_lies_beside_it() {
    type Make = fn(&std::path::Path);
    fn killed(path: &std::path::Path, suffixes: &[&str], sql: &str) {
        let alive = path.with_file_name("alive.db");
        let program = Connection::open(&alive).unwrap();
        program.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
        program.execute_batch(sql).unwrap();
        for suffix in suffixes {
            std::fs::copy(format!("{}{suffix}", alive.display()), format!("{}{suffix}", path.display()))
                .unwrap();
        }
        drop(program);
        std::fs::remove_file(alive).unwrap();
    }
    const TABLE: &str = "CREATE TABLE theirs (id); INSERT INTO theirs VALUES (1)";
    let kinds: [(&str, Make); 9] = [
        ("a log, and nothing in the file", |path| killed(path, &["", "-wal"], TABLE)),
        ("the same, and its index", |path| killed(path, &["", "-wal", "-shm"], TABLE)),
        ("a log of some tables", |path| {
            killed(path, &["", "-wal"], "CREATE TABLE a (b); PRAGMA wal_checkpoint; CREATE TABLE c (d)")
        }),
        ("write-ahead mode, and no log", |path| {
            killed(path, &[""], "CREATE TABLE a (b); PRAGMA wal_checkpoint(TRUNCATE)")
        }),
        ("an application's number, and no table", |path| {
            Connection::open(path).unwrap().execute_batch("PRAGMA application_id = 77").unwrap();
        }),
        ("a version of its own, and no table", |path| {
            Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 5").unwrap();
        }),
        ("the same in a log", |path| killed(path, &["", "-wal"], "PRAGMA user_version = 5")),
        ("one byte", |path| std::fs::write(path, "x").unwrap()),
        ("less than a page", |path| std::fs::write(path, [0; 511]).unwrap()),
    ];
    let till = till(1);
    for (what, make) in kinds {
        let folder = tempfile::tempdir().unwrap();
        let other = Till { path: folder.path().join("other.db"), ..till.clone() };
        make(&other.path);
        let before = all_in(folder.path());
        for command in [
            &["pull"][..],
            &["status"],
            &["edit", "1", "phone=5"],
            &["sync"],
            &["worker"],
            &["doctor"],
            &["find", "a"],
        ] {
            let ran = other.run(command.iter().copied());
            assert_eq!(ran.exit, Some(6), "{what}: {command:?}: {ran:?}");
            if command != ["doctor"] {
                assert_eq!(ran.code(), "not_a_till", "{what}: {command:?}: {ran:?}");
            }
            assert!(all_in(folder.path()) == before, "{what}: {command:?}: it was touched");
        }
    }
}

#[test]
fn a_till_says_of_itself_that_it_is_one_and_an_old_one_does_after_its_upgrade() {
    let id = |path: &std::path::Path| -> i64 {
        Connection::open(path).unwrap().pragma_query_value(None, "application_id", |row| row.get(0)).unwrap()
    };
    let till = till(1);
    assert_eq!(id(&till.path), 0x7469_6c6c);
    till.store().connection().execute_batch("PRAGMA application_id = 0; UPDATE tillsync_guard SET writing = 1; UPDATE state SET value = '0' WHERE key = 'triggers'; UPDATE tillsync_guard SET writing = 0; DROP TRIGGER tillsync_journal_delete").unwrap();
    drop(till.store());
    assert_eq!(id(&till.path), 0x7469_6c6c);
}

/// Builds a table anew as a mapper does, from its own statement, changed.
fn rebuild_as(app: &Connection, table: &str, change: fn(String) -> String) {
    let sql: String =
        app.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0)).unwrap();
    let built = change(sql.replacen(table, "built", 1));
    let indexes: Vec<String> = app
        .prepare("SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL AND name LIKE 'my_%'")
        .unwrap()
        .query_map([table], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let columns = shape(app, table);
    let columns: Vec<&str> = columns.iter().filter_map(|column| column.split(' ').next()).collect();
    let columns = columns.join(", ");
    let script = format!(
        "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON; BEGIN; {built};
         INSERT INTO built ({columns}) SELECT {columns} FROM {table}; DROP TABLE {table}; ALTER TABLE built RENAME TO {table}; {}; COMMIT;
         PRAGMA legacy_alter_table = OFF",
        indexes.join(";")
    );
    app.execute_batch(&script).unwrap_or_else(|e| panic!("{table}: {e}: {built}"));
}

/// A table, and what a mapper makes of its statement.
type Change = (&'static str, fn(String) -> String);

fn shape(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' || coalesce(dflt_value, '') || ' ' || pk FROM pragma_table_info(?1)")
        .unwrap();
    statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        Ok((0..columns).map(|n| format!("{:?}", row.get_ref(n).unwrap())).collect::<Vec<_>>().join("|"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn what_a_mapper_makes_of_our_tables_is_taken_back_with_every_row_and_what_an_app_has_put_on_them() {
    let changes: [Change; 9] = [
        ("customer", |sql| sql.replace("INTEGER PRIMARY KEY", "INTEGER")),
        ("customer", |sql| {
            sql.replacen("phone                                        TEXT", "phone INTEGER", 1)
        }),
        ("customer", |sql| {
            sql.replacen("email                                        TEXT", "email TEXT COLLATE NOCASE", 1)
        }),
        ("customer", |sql| {
            sql.replacen(
                "company                                      TEXT",
                "company TEXT NOT NULL DEFAULT ''",
                1,
            )
        }),
        ("customer", |sql| sql.replace("INTEGER NOT NULL DEFAULT 0", "INTEGER")),
        ("journal", |sql| sql.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER PRIMARY KEY")),
        ("journal", |sql| sql.replace("CHECK (op IN ('set', 'adjust'))", "").replace("STRICT", "")),
        ("snapshot", |sql| sql.replace("STRICT", "").replace("TEXT NOT NULL", "TEXT")),
        ("conflict", |sql| sql.replace("TEXT NOT NULL", "TEXT")),
    ];
    for (table, change) in changes {
        let till = till(5);
        till.set(1, "company", "waits");
        till.adjust(2, "1.5");
        let app = Connection::open(&till.path).unwrap();
        app.execute_batch(
            "ALTER TABLE customer ADD COLUMN loyalty INTEGER DEFAULT 7;
             CREATE INDEX my_index ON customer (loyalty);
             CREATE TABLE my_sale (customer_id INTEGER REFERENCES customer (id) ON DELETE CASCADE);
             INSERT INTO my_sale VALUES (1);
             CREATE TABLE my_log (id INTEGER);
             CREATE TRIGGER my_trigger AFTER UPDATE OF phone ON customer BEGIN INSERT INTO my_log VALUES (NEW.id); END",
        )
        .unwrap();
        let (ours, sql) = (shape(&app, table), text(&app, table));
        let before = rows(&app, table);
        rebuild_as(&app, table, change);
        let built = text(&app, table).replacen(&format!("\"{table}\""), table, 1);
        assert_ne!(built, sql, "{table}: the mapper changed nothing");
        let store = till.store();
        assert_eq!(store.mended(), Some(0), "{table}: nothing was edited meanwhile");
        assert_eq!(store.misshapen().unwrap(), None);
        assert_eq!(shape(&app, table), ours);
        assert_eq!(rows(&app, table), before, "{table}");
        assert_eq!(rows(&app, "my_sale"), ["Integer(1)"]);
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        drop(store);
        app.execute_batch("UPDATE customer SET phone = '0123', email = upper(email) WHERE id = 3").unwrap();
        assert_eq!(
            (till.outcomes(3, "phone"), till.outcomes(3, "email").len()),
            (vec!["pending".to_owned()], 1)
        );
        assert_eq!(rows(&app, "my_log"), ["Integer(3)"]);
        assert_eq!(
            app.query_row("SELECT loyalty FROM customer WHERE id = 1", [], |row| row.get::<_, i64>(0)),
            Ok(7)
        );
        let report = till.engine().sync().unwrap();
        assert_eq!((report.uploaded_customers, report.rejected), (3, 0), "{table}");
        assert_eq!(till.remote_value(3, "phone"), "\"0123\"");
    }
}

/// What an app has put into our tables, with everything that SQL has for it.
const APPS_OWN: &str = "ALTER TABLE customer ADD COLUMN card TEXT NOT NULL DEFAULT '' COLLATE NOCASE CHECK (length(card) < 20);
     ALTER TABLE customer ADD COLUMN folded TEXT COLLATE NOCASE GENERATED ALWAYS AS (lower(last_name)) VIRTUAL;
     CREATE INDEX my_folded ON customer (folded);
     CREATE UNIQUE INDEX my_card ON customer (card) WHERE card <> '';
     UPDATE customer SET card = 'A1' WHERE id = 1";

fn text(connection: &Connection, table: &str) -> String {
    connection.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0)).unwrap()
}

#[test]
fn an_apps_own_columns_are_judged_by_nobody() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(APPS_OWN).unwrap();
    let before = text(&app, "customer");
    assert_eq!(till.store().misshapen().unwrap(), None);
    till.set(1, "phone", "555");
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
    assert_eq!(text(&app, "customer"), before, "nothing was built anew");
}

#[test]
fn an_apps_own_columns_are_carried_over_by_their_own_text_when_a_table_is_built_anew() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(APPS_OWN).unwrap();
    // A mapper that folds our emails, and has a check over its own column and one of ours.
    rebuild_as(&app, "customer", |sql| {
        let sql =
            sql.replacen("email                                        TEXT", "email TEXT COLLATE NOCASE", 1);
        let end = sql.rfind(')').unwrap();
        format!("{}, CONSTRAINT my_check CHECK (card <> email))", &sql[..end])
    });
    assert_eq!(till.store().misshapen().unwrap(), None);
    let now = text(&app, "customer");
    assert!(!now.contains("email TEXT COLLATE"), "ours is as it was: {now}");
    for theirs in [
        "card TEXT NOT NULL DEFAULT '' COLLATE NOCASE CHECK (length(card) < 20)",
        "folded TEXT COLLATE NOCASE GENERATED ALWAYS AS (lower(last_name)) VIRTUAL",
        "CONSTRAINT my_check CHECK (card <> email)",
    ] {
        assert!(now.contains(theirs), "{theirs}: {now}");
    }
    let card = "SELECT id FROM customer INDEXED BY my_card WHERE card = 'a1' AND card <> ''";
    assert_eq!(app.query_row(card, [], |row| row.get::<_, i64>(0)), Ok(1));
    app.query_row("SELECT count(*) FROM customer INDEXED BY my_folded WHERE folded = 'x'", [], |_| Ok(()))
        .unwrap();
    till.set(1, "phone", "555");
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
}

/// A type that a STRICT table of ours does not know, a second key, and a generated column of such a type with an index.
#[test]
fn what_cannot_be_carried_over_keeps_its_values_and_stops_no_sync() {
    let till = till(3);
    till.set(1, "company", "waits");
    let app = Connection::open(&till.path).unwrap();
    rebuild_as(&app, "journal", |sql| {
        let sql = sql
            .replace("STRICT", "")
            .replace("seq          INTEGER PRIMARY KEY AUTOINCREMENT", "seq INTEGER");
        let end = sql.rfind(')').unwrap();
        format!("{}, my_no INTEGER PRIMARY KEY, my_shop VARCHAR(10) DEFAULT 'here')", &sql[..end])
    });
    app.execute_batch(
        "ALTER TABLE journal ADD COLUMN my_op VARCHAR(10) AS (upper(op));
         CREATE INDEX my_index ON journal (my_op)",
    )
    .unwrap();
    assert_eq!(till.store().misshapen().unwrap(), None);
    let kept: (i64, String) = app
        .query_row("SELECT my_no, my_shop FROM journal", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(kept, (1, "here".to_owned()));
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
}

/// Its own columns may refuse a customer as its triggers may.
#[test]
fn a_customer_that_an_apps_own_column_refuses_is_held_up_alone() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(
        "ALTER TABLE customer ADD COLUMN mine TEXT CHECK (coalesce(phone, '') <> 'never');
         CREATE INDEX my_notes ON customer (json_extract(company, '$.a'))",
    )
    .unwrap_err();
    app.execute_batch("UPDATE customer SET company = '{}'").unwrap();
    till.engine().sync().unwrap();
    app.execute_batch("CREATE INDEX my_notes ON customer (json_extract(company, '$.a'))").unwrap();
    till.office(1, serde_json::json!({"phone": "never"}));
    till.office(2, serde_json::json!({"company": "no JSON"}));
    till.office(3, serde_json::json!({"phone": "555"}));
    till.engine().sync().unwrap();
    assert_eq!(till.local(3, "phone"), "\"555\"");
    let held: Vec<_> = till.store().held_up().unwrap().iter().map(|one| one.customer_id.0).collect();
    assert_eq!(held, [1, 2]);
}

#[test]
fn a_table_that_was_dropped_is_made_again_and_one_with_rows_that_do_not_fit_is_told() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(
        "PRAGMA foreign_keys = OFF; DROP TABLE batch_item; DROP TABLE edit_context; DROP TABLE tillsync_pull_seen",
    )
    .unwrap();
    till.set(1, "phone", "after");
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
    rebuild_as(&app, "customer", |sql| sql.replace("INTEGER PRIMARY KEY", "TEXT"));
    app.execute_batch("INSERT INTO customer (id) VALUES ('none')").unwrap();
    for _ in 0..2 {
        assert_eq!(till.store().misshapen().unwrap().as_deref(), Some("customer"));
    }
    let said = till.run(["doctor"]);
    let check = said.json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "tables")
        .unwrap()
        .clone();
    assert_eq!((said.exit, check["ok"].as_bool()), (Some(3), Some(false)), "{check}");
    assert!(check["detail"].as_str().unwrap().contains("customer"));
    assert_eq!(till.engine().sync().unwrap_err().code(), "misshapen", "nothing is sent from it");
}

/// The table without its key, and a row saved once more: each edit would be two.
#[test]
fn a_customer_that_is_in_the_table_twice_is_there_once_and_a_payment_is_one() {
    let till = till(5);
    till.adjust(3, "1");
    let app = Connection::open(&till.path).unwrap();
    let before = credit(&till.remote_value(2, "store_credit_amounts"));
    app.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON; BEGIN; CREATE TABLE c2 AS SELECT * FROM customer; DROP TABLE customer;
         ALTER TABLE c2 RENAME TO customer; COMMIT; PRAGMA legacy_alter_table = OFF;
         UPDATE customer SET company = 'first' WHERE id = 3;
         INSERT OR REPLACE INTO customer SELECT * FROM customer WHERE id IN (2, 3);
         UPDATE customer SET company = 'second' WHERE id = 3 AND rowid > 5;
         INSERT INTO customer (id, phone) VALUES (NULL, 'nobody''s')",
    )
    .unwrap();
    drop(app);
    till.adjust(2, "10");
    let mut store = till.store();
    let rows = store.journal(Some(tillsync::CustomerId(2))).unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(store.misshapen().unwrap(), None);
    let aside = store.set_aside().unwrap();
    let values: Vec<_> = aside.iter().map(|one| (one.customer_id.0, one.values.len())).collect();
    assert_eq!(values, [(0, 1), (3, 1)]);
    assert_eq!(aside[1].values["company"], "\"first\"");
    assert_eq!(store.status().unwrap().unsent, 5, "a payment, an edit, a payment, and what is set aside");
    let said = till.run(["doctor"]);
    let check = said.json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "tables")
        .unwrap()
        .clone();
    assert!(
        check["detail"].as_str().unwrap().contains("of customer 3 there was company \"first\" too"),
        "{check}"
    );
    assert_eq!(store.discard(0, None, None).unwrap() + store.check().unwrap().len(), 1);
    drop(store);
    till.engine().sync().unwrap();
    assert_eq!(credit(&till.remote_value(2, "store_credit_amounts")), before + 10.0);
    assert_eq!(till.remote_value(3, "company"), "\"second\"");
    assert_eq!(till.store().discard(3, None, None).unwrap(), 1);
    assert!(till.store().set_aside().unwrap().is_empty());
}

/// So many that it would take minutes, were all of them gone through for each.
#[test]
fn a_table_in_which_everybody_is_twice_is_mended_in_the_time_that_it_takes_to_read_it() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON; BEGIN; CREATE TABLE c2 AS SELECT * FROM customer; DROP TABLE customer;
         ALTER TABLE c2 RENAME TO customer; PRAGMA legacy_alter_table = OFF;
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12000)
         INSERT INTO customer (id, phone) SELECT 10 + n % 6000, n FROM n; COMMIT",
    )
    .unwrap();
    drop(app);
    let began = std::time::Instant::now();
    let store = till.store();
    assert!(began.elapsed() < common::SOON, "{:?}", began.elapsed());
    assert_eq!((store.set_aside().unwrap().len(), store.strangers().unwrap().len()), (6_000, 6_000));
    let said = till.run(["doctor"]);
    let checks = said.json["checks"].as_array().unwrap();
    let detail = checks.iter().find(|check| check["name"] == "tables").unwrap()["detail"].to_string();
    assert_eq!(detail.matches("and 5990 more").count(), 2, "{detail}");
}

/// In a file that is open: the guard of the library, before our next look.
#[test]
fn an_edit_that_meets_a_customer_twice_is_rolled_back() {
    let till = till(3);
    let mut store = till.store();
    let app = Connection::open(&till.path).unwrap();
    rebuild_as(&app, "customer", |sql| sql.replace("INTEGER PRIMARY KEY", "INTEGER"));
    app.execute_batch("INSERT INTO customer SELECT * FROM customer WHERE id = 1").unwrap();
    let phone = store.edit(1).set("phone", "twice").commit().unwrap_err();
    let credit = store.edit(1).adjust_credit("1".parse().unwrap()).commit().unwrap_err();
    assert_eq!((phone.code(), credit.code()), ("misshapen", "misshapen"));
    assert!(till.store().journal(None).unwrap().is_empty());
}

#[test]
fn a_customer_that_was_deleted_without_triggers_comes_back_with_what_waits_of_it() {
    let till = till(5);
    let balance = credit(&till.local(2, "store_credit_amounts"));
    till.adjust(2, "5");
    till.set(2, "phone", "waits");
    without_triggers(&till, "DELETE FROM customer WHERE id IN (1, 2)");
    let store = till.store();
    assert_eq!((store.mended(), store.brought_back()), (Some(0), 2));
    drop(store);
    assert_eq!(credit(&till.local(2, "store_credit_amounts")), balance + 5.0);
    assert_eq!(till.local(2, "phone"), "\"waits\"");
    assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
    assert_eq!(credit(&till.remote_value(2, "store_credit_amounts")), balance + 5.0);
}

/// SQLite runs no trigger for a row that `REPLACE` takes out, unless `recursive_triggers` is on.
#[test]
fn a_customer_that_another_replaced_over_a_column_of_the_apps_comes_back_with_what_waits() {
    let till = till(5);
    let mut engine = till.engine();
    let balance = credit(&till.local(2, "store_credit_amounts"));
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(
        "ALTER TABLE customer ADD COLUMN card TEXT; CREATE UNIQUE INDEX my_card ON customer (card);
         CREATE TABLE sale (id INTEGER PRIMARY KEY, customer_id INTEGER, card TEXT);
         CREATE TRIGGER sold AFTER INSERT ON sale BEGIN UPDATE customer SET card = NEW.card WHERE id = NEW.customer_id; END;
         UPDATE customer SET card = 'A' WHERE id = 2; UPDATE customer SET card = 'C' WHERE id = 3",
    )
    .unwrap();
    engine.sync().unwrap();
    till.adjust(2, "5");
    till.set(2, "phone", "waits");
    app.execute_batch(
        "UPDATE OR REPLACE customer SET card = 'A' WHERE id = 1;
         REPLACE INTO sale (id, customer_id, card) VALUES (1, 4, 'C')",
    )
    .unwrap();
    let there: i64 = app.query_row("SELECT count(*) FROM customer", [], |row| row.get(0)).unwrap();
    assert_eq!(there, 3, "two were taken out, and nothing was told");

    let told = doctor(&till);
    assert_eq!(told["ok"], false);
    assert!(told["detail"].as_str().unwrap().contains("2 customers"), "{told}");
    assert_eq!(credit(&till.local(2, "store_credit_amounts")), balance + 5.0);
    assert_eq!(till.local(2, "phone"), "\"waits\"");
    assert_eq!(doctor(&till)["ok"], true, "it is told once");

    // The file stays open: a sync finds out as well.
    app.execute_batch("UPDATE OR REPLACE customer SET card = 'B' WHERE id IN (1, 2)").unwrap();
    assert_eq!(engine.sync().unwrap().uploaded_customers, 1);
    assert_eq!(credit(&till.remote_value(2, "store_credit_amounts")), balance + 5.0);
    assert_eq!(till.remote_value(2, "phone"), "\"waits\"");
    assert_eq!(till.store().status().unwrap().unsent, 0);
    let cards = "SELECT group_concat(id || coalesce(card, '-'), ' ') FROM (SELECT id, card FROM customer ORDER BY id)";
    let cards: String = app.query_row(cards, [], |row| row.get(0)).unwrap();
    assert_eq!(cards, "1- 2B 3- 4C 5-");
}

/// What is unique and not free any more holds up that customer, and the file opens.
#[test]
fn one_whose_place_is_taken_is_held_up() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch("CREATE UNIQUE INDEX my_email ON customer (email)").unwrap();
    app.execute_batch(
        "UPDATE OR REPLACE customer SET email = (SELECT email FROM customer WHERE id = 2) WHERE id = 1",
    )
    .unwrap();
    let store = till.store();
    assert_eq!((store.brought_back(), store.held_up().unwrap().len()), (0, 1));
    assert_eq!(store.held_up().unwrap()[0].customer_id.0, 2);
    app.execute_batch("UPDATE customer SET email = 'another@example.com' WHERE id = 1").unwrap();
    drop(store);
    let store = till.store();
    assert_eq!((store.brought_back(), store.held_up().unwrap().len()), (1, 0));
}

/// An edit beside any reader would wait, and fail.
#[test]
fn a_file_that_an_app_took_out_of_wal_mode_is_back_in_it_as_soon_as_it_can_be() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    let read: Vec<i64> = app
        .prepare("SELECT id FROM customer")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read.len(), 3);
    let began = std::time::Instant::now();
    app.execute_batch("BEGIN; SELECT * FROM customer").unwrap();
    let store = till.store();
    assert!(!store.has_log().unwrap(), "somebody has it open");
    // SQLite would wait ten seconds.
    assert!(began.elapsed() < std::time::Duration::from_secs(9), "nobody is waited for");
    drop((store, app));
    assert!(till.store().has_log().unwrap());
    till.set(1, "phone", "555");
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
}

#[test]
fn doctor_brings_back_whom_somebody_deleted_with_triggers_switched_off() {
    use rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    let till = till(3);
    till.set(2, "phone", "waits");
    let app = Connection::open(&till.path).unwrap();
    app.set_db_config(SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    app.execute_batch("DELETE FROM customer WHERE id = 2").unwrap();
    assert_eq!(doctor(&till)["ok"], false);
    assert_eq!(till.local(2, "phone"), "\"waits\"");
}

#[test]
fn a_table_of_customers_that_is_gone_and_a_column_that_was_renamed_are_filled_again_and_nothing_is_sent() {
    let till = till(5);
    till.set(2, "company", "waits");
    let before: Vec<String> = (1..6).map(|id| till.store().get(id).unwrap().unwrap().to_json()).collect();
    for sql in ["ALTER TABLE customer RENAME COLUMN phone TO telephone", "DROP TABLE customer"] {
        without_triggers(&till, sql);
        let after: Vec<String> = (1..6).map(|id| till.store().get(id).unwrap().unwrap().to_json()).collect();
        assert_eq!(after, before, "{sql}");
    }
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
}

#[test]
fn a_row_that_came_by_no_pull_is_told_and_gives_way_to_the_stores() {
    let till = till(3);
    without_triggers(&till, "INSERT INTO customer (id, phone) VALUES (4, 'here'), (77, 'alone')");
    assert_eq!(till.store().strangers().unwrap(), [tillsync::CustomerId(4), tillsync::CustomerId(77)]);
    assert_eq!(till.store().status().unwrap().unsent, 2);
    assert_eq!(
        till.sandbox.add(r#"{"email":"new@example.com","first_name":"N","last_name":"N"}"#).unwrap(),
        4
    );
    till.engine().sync().unwrap();
    assert_eq!(till.local(4, "phone"), till.remote_value(4, "phone"));
    assert_eq!(till.store().set_aside().unwrap()[0].values["phone"], "\"here\"");
    assert_eq!(till.store().discard(77, None, None).unwrap(), 1);
    assert!(till.store().strangers().unwrap().is_empty());
    assert!(till.store().get(77).unwrap().is_none());
}

#[test]
fn what_lies_in_the_place_of_a_lock_is_not_emptied_and_a_till_is_not_called_as_what_lies_beside_one() {
    let till = till(1);
    for suffix in ["-sync", "-worker"] {
        let path = std::path::PathBuf::from(format!("{}{suffix}", till.path.display()));
        std::fs::write(&path, "a letter").unwrap();
    }
    assert_eq!(till.engine().sync().unwrap_err().code(), "no_lock");
    let worker = till.run(["worker"]);
    assert_ne!(worker.exit, Some(0));
    for suffix in ["-sync", "-worker"] {
        let path = std::path::PathBuf::from(format!("{}{suffix}", till.path.display()));
        assert_eq!(std::fs::read(&path).unwrap(), b"a letter");
    }
    for suffix in ["-wal", "-shm", "-journal", "-sync", "-worker", "-upgrade", "-life", "-SYNC", ".part"] {
        let path = till.folder.path().join(format!("other.db{suffix}"));
        std::fs::copy(&till.path, &path).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert_eq!(Store::open(&path).unwrap_err().code(), "usage", "{suffix}");
        assert_eq!(till.store().backup(&path).unwrap_err().code(), "usage", "{suffix}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

/// While a worker runs: an edit that nobody journaled shows in nothing but the schema.
#[test]
fn a_worker_finds_out_at_once_that_triggers_were_taken_out() {
    let till = till(3);
    let brief = std::time::Duration::from_millis(20);
    let options = tillsync::SyncerOptions { debounce: brief, look: brief / 4, ..Default::default() };
    let (_syncer, events) = tillsync::Syncer::start(till.engine(), options).unwrap();
    let next = || loop {
        match events.next(common::SOON).expect("the worker notices nothing") {
            tillsync::Event::SyncFinished(report) => return report,
            _ => continue,
        }
    };
    next();
    let app = Connection::open(&till.path).unwrap();
    let without =
        "BEGIN; DROP TRIGGER tillsync_customer_phone; DROP TRIGGER tillsync_customer_phone_is_valid;
                   UPDATE customer SET phone = 'unseen' WHERE id = 1; COMMIT";
    app.execute_batch(without).unwrap();
    while till.remote_value(1, "phone") != "\"unseen\"" {
        next();
    }
    assert_eq!(till.outcomes(1, "phone"), ["uploaded"]);
}

/// Without triggers, and then as the store or a person left it.
fn without_triggers(till: &Till, sql: &str) {
    let app = Connection::open(&till.path).unwrap();
    rebuild(&app);
    app.execute_batch(sql).unwrap();
}

/// Neither the store's other value, nor that which it had, comes into its place by an answer.
#[test]
fn what_the_store_would_not_take_of_it_outlives_the_answer_to_another_edit() {
    let till = till(3);
    till.adjust(2, "2.50");
    let long = "x".repeat(60);
    without_triggers(&till, &format!("UPDATE customer SET phone = '{long}' WHERE id = 2"));
    assert_eq!(doctor(&till)["ok"], false);
    assert_eq!(till.engine().push().unwrap().uploaded_fields, 1);
    assert_eq!(till.local(2, "phone"), format!("\"{long}\""), "it is not lost");
    assert_eq!(till.store().unjournaled().unwrap().len(), 1);
    assert_eq!(till.store().status().unwrap().unsent, 1);
    till.set(2, "phone", "555");
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
}

/// Nor by a page of a pull, whether or not anything else waits.
#[test]
fn what_the_store_would_not_take_of_it_outlives_what_the_store_changed() {
    let till = till(3);
    let long = "x".repeat(60);
    without_triggers(&till, &format!("UPDATE customer SET phone = '{long}' WHERE id IN (2, 3)"));
    assert_eq!(doctor(&till)["ok"], false);
    till.set(3, "notes", "waits");
    for id in [2, 3] {
        till.office(id, serde_json::json!({ "phone": "theirs", "company": "theirs" }));
    }
    till.engine().sync().unwrap();
    for id in [2, 3] {
        assert_eq!(till.local(id, "phone"), format!("\"{long}\""), "it is not lost");
        assert_eq!(till.local(id, "company"), "\"theirs\"");
        assert_eq!(till.remote_value(id, "phone"), "\"theirs\"");
    }
    assert_eq!(till.store().unjournaled().unwrap().len(), 2);
}

/// Switches triggers off for a connection, which leaves no sign.
fn unseen(till: &Till, sql: &str) {
    use rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    let app = Connection::open(&till.path).unwrap();
    app.set_db_config(SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    app.execute_batch(sql).unwrap();
}

/// With its table and its customer, who waits until somebody has put it right. Everybody else goes on.
#[test]
fn a_row_that_a_program_has_broken_is_named_and_holds_up_its_customer_only() {
    for ((broken, id, table), is_news) in [
        ("UPDATE snapshot SET body = '{' WHERE id = 2", 2, "snapshot"),
        ("UPDATE snapshot SET body = '{}' WHERE id = 2", 2, "snapshot"),
        ("UPDATE journal SET field = 'none' WHERE customer_id = 2", 2, "journal"),
        ("UPDATE journal SET value = 'oops' WHERE customer_id = 1", 1, "journal"),
    ]
    .into_iter()
    .flat_map(|case| [(case, false), (case, true)])
    {
        let till = till(3);
        till.adjust(1, "1");
        till.set(2, "phone", "555");
        till.set(3, "phone", "goes on");
        let before = [1, 2].map(|id| till.remote_value(id, "store_credit_amounts"));
        unseen(
            &till,
            "CREATE TABLE snapshots AS SELECT * FROM snapshot; CREATE TABLE edits AS SELECT * FROM journal",
        );
        unseen(&till, broken);
        for id in if is_news { vec![1, 2, 3] } else { vec![3] } {
            till.office(id, serde_json::json!({ "company": "theirs" }));
        }
        let row = format!("the row of customer {id} in the table {table}");
        for _ in 0..2 {
            till.engine().sync().unwrap_or_else(|e| panic!("{broken}: {e}"));
            assert_eq!(till.remote_value(3, "phone"), "\"goes on\"", "{broken}");
            assert_eq!(till.local(3, "company"), "\"theirs\"", "{broken}");
            let held: Vec<_> = till.store().held_up().unwrap();
            assert_eq!(held.iter().map(|one| one.customer_id.0).collect::<Vec<_>>(), [id], "{broken}");
            assert!(held[0].error.contains(&row), "{broken}: {}", held[0].error);
        }
        assert_ne!(till.remote_value(2, "phone") == "\"555\"", id == 2, "{broken}");
        assert_eq!(
            till.remote_value(1, "store_credit_amounts") == before[0],
            id == 1,
            "{broken}: nothing of it is sent"
        );
        let ran = till.run(["doctor"]);
        assert!(ran.exit != Some(0) && ran.json.to_string().contains(&row), "{broken}: {ran:?}");
        unseen(
            &till,
            "UPDATE snapshot SET body = (SELECT body FROM snapshots AS s WHERE s.id = snapshot.id)
             WHERE id IN (SELECT customer_id FROM tillsync_held_up);
             UPDATE journal SET (field, value) = (SELECT field, value FROM edits AS e WHERE e.seq = journal.seq)
             WHERE customer_id IN (SELECT customer_id FROM tillsync_held_up)",
        );
        till.engine().sync().unwrap();
        till.engine().sync().unwrap();
        assert_eq!(till.store().held_up().unwrap(), [], "{broken}");
        assert_eq!(till.remote_value(2, "phone"), "\"555\"", "{broken}");
        assert_eq!(
            credit(&till.remote_value(1, "store_credit_amounts")),
            credit(&before[0]) + 1.0,
            "{broken}"
        );
        assert_eq!([1, 2].map(|id| till.local(id, "company") == "\"theirs\""), [is_news; 2], "{broken}");
    }
}

/// Values that no edit can hold, past the triggers, and what the triggers say of each. Bytes that are no text look like some when they are
/// read, a blob like nothing, and a 7 like a yes.
const NO_VALUES: [(&str, &str, &str); 10] = [
    ("first_name", "CAST(x'ff41' AS TEXT)", "is not valid UTF-8"),
    ("company", "CAST(x'41c3' AS TEXT)", "is not valid UTF-8"),
    ("notes", "CAST(x'41eda08041' AS TEXT)", "is not valid UTF-8"),
    ("phone", "'5' || char(0) || '5'", "holds a NUL character"),
    ("last_name", "x'4142'", "must be text, not blob"),
    (
        "form_fields",
        r#"CAST(CAST('[{"name":"size","value":"' AS BLOB) || x'ff' || CAST('"}]' AS BLOB) AS TEXT)"#,
        "is not valid UTF-8",
    ),
    ("form_fields", "x'5b5d'", "must be a JSON array of"),
    ("channel_ids", "CAST(x'5b312cff5d' AS TEXT)", "must be a JSON array of channel ids"),
    ("customer_group_id", "'seven'", "must be a whole number"),
    ("force_password_reset", "7", "must be 0 or 1"),
];

/// None is sent as what it looks like: it is told, with its customer and column, until somebody edits it to a value.
#[test]
fn what_is_no_value_is_sent_as_none() {
    for (column, value, refusal) in NO_VALUES {
        let till = till(3);
        let before = till.remote_value(2, column);
        unseen(&till, &format!("UPDATE customer SET {column} = {value} WHERE id = 2"));
        let found = doctor(&till);
        let words = found["detail"].as_str().unwrap();
        assert!(
            found["ok"] == false && words.contains(&format!("customer 2: {column}: {refusal}")),
            "{found}"
        );
        assert_eq!(till.store().status().unwrap().unsent, 1, "{column}");
        till.set(3, "phone", "goes on");
        till.office(2, serde_json::json!({ "tax_exempt_category": "theirs" }));
        till.engine().sync().unwrap();
        assert_eq!(till.remote_value(2, column), before);
        assert_eq!(till.store().unjournaled().unwrap().len(), 1, "{column}");

        let app = Connection::open(&till.path).unwrap();
        let valid = format!("UPDATE customer SET {column} = {} WHERE id = 2", a_value(column));
        app.execute_batch(&valid).unwrap_or_else(|e| panic!("{column}: {e}"));
        assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1, "{column}");
        assert_eq!(
            (doctor(&till)["ok"].clone(), till.outcomes(2, column)),
            (true.into(), vec!["uploaded".to_owned()])
        );
    }
}

/// Nor where an edit of it waits, whose value it has taken the place of: that customer waits, and nobody else.
#[test]
fn what_is_no_value_is_not_sent_in_the_place_of_an_edit_that_waits() {
    for (column, value, _) in NO_VALUES {
        // A text with a NUL in it is one, and the store says what it thinks of it.
        if column == "phone" {
            continue;
        }
        let till = till(3);
        let before = till.remote_value(2, column);
        let app = Connection::open(&till.path).unwrap();
        till.set(2, "email", &till.local(3, "email").replace('"', ""));
        till.engine().sync().unwrap();
        assert_eq!(till.outcomes(2, "email"), ["rejected"]);
        let valid = format!("UPDATE customer SET {column} = {} WHERE id = 2", a_value(column));
        app.execute_batch(&valid).unwrap_or_else(|e| panic!("{column}: {e}"));
        unseen(&till, &format!("UPDATE customer SET {column} = {value} WHERE id = 2"));
        till.set(3, "phone", "goes on");
        // Nobody else is kept from anything, before a sync knows of it and after.
        let others = till.store().diff(&[]).unwrap();
        assert!(others.len() == 1 && others[0].contains("goes on"), "{others:?}");
        let give_up =
            "INSERT INTO decision (seen, keep, author) SELECT seen, 'discard', 'ana' FROM to_decide";
        assert_eq!(app.execute(give_up, []).unwrap(), 1);
        assert_eq!(till.store().find_unjournaled().unwrap(), 0);
        till.store().status().unwrap();
        for _ in 0..2 {
            till.engine().sync().unwrap();
            assert_eq!(till.outcomes(2, "email"), ["discarded"], "{column}");
            let held = till.store().held_up().unwrap();
            let words =
                format!("the row of customer 2 in the table customer: {column} holds what is no value of it");
            assert!(held.len() == 1 && held[0].error.contains(&words), "{held:?}");
        }
        assert_eq!(
            (till.remote_value(2, column), till.remote_value(3, "phone")),
            (before, "\"goes on\"".into())
        );
        app.execute_batch(&valid).unwrap_or_else(|e| panic!("{column}: {e}"));
        till.engine().sync().unwrap();
        till.engine().sync().unwrap();
        assert_eq!(
            (till.store().held_up().unwrap(), till.store().status().unwrap().unsent),
            (vec![], 0),
            "{column}"
        );
        assert!(till.outcomes(2, column).contains(&"uploaded".to_owned()), "{column}");
        till.store().journal(None).unwrap();
    }
}

/// Customer 2, of whom an attribute is in conflict.
fn contested(column: &str, till: &Till) {
    let theirs = match column {
        "form_fields" => serde_json::json!([{ "name": "size", "value": "M" }]),
        "customer_group_id" => serde_json::json!(5),
        _ => serde_json::json!("theirs"),
    };
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(&format!("UPDATE customer SET {column} = {} WHERE id = 2", a_value(column))).unwrap();
    till.office(2, serde_json::json!({ column: theirs }));
    till.engine().sync().unwrap();
    assert_eq!(till.outcomes(2, column), ["held"], "{column}");
}

/// It would be sent, or the rest would be made of it. What takes its place as a whole is decided for.
#[test]
fn what_is_no_value_is_nothing_that_a_decision_is_made_of() {
    use tillsync::Keep;
    for (column, value, subject) in [
        ("last_name", "x'4142'", "last_name"),
        ("customer_group_id", "'seven'", "customer_group_id"),
        ("form_fields", "'[{\"name\":\"size\"'", "form_fields.size"),
        ("form_fields", "NULL", "form_fields.size"),
        ("form_fields", r#"'{"size":"L"}'"#, "form_fields.size"),
        ("form_fields", r#"'[{"name":"size","value":"L"},{"name":"size","value":"S"}]'"#, "form_fields.size"),
    ] {
        let till = till(3);
        contested(column, &till);
        unseen(&till, &format!("UPDATE customer SET {column} = {value} WHERE id = 2"));
        let before = till.remote_value(2, column);
        let is_refused = |done: tillsync::Result<usize>| {
            let refused = done.unwrap_err();
            let words = format!("customer 2: {column}: holds what is no value of it");
            assert!(refused.is_usage() && refused.to_string().contains(&words), "{value}: {refused}");
            assert_eq!(refused.about().field.as_deref(), Some(column));
        };
        is_refused(till.store().resolve(2, subject, &Keep::Local, None));
        if column == "form_fields" {
            is_refused(till.store().resolve(2, subject, &Keep::Value("L".to_owned()), None));
            is_refused(till.store().discard(2, Some(subject), None));
        }
        let app = Connection::open(&till.path).unwrap();
        let keep = "INSERT INTO decision (seen, keep, author) SELECT seen, 'local', 'ana' FROM to_decide";
        assert_eq!(app.execute(keep, []).unwrap(), 1);
        till.engine().sync().unwrap();
        let reason = "SELECT outcome || ': ' || reason FROM decision";
        let reason: String = app.query_row(reason, [], |row| row.get(0)).unwrap();
        assert!(reason.starts_with("refused: ") && reason.contains("no value of it"), "{reason}");
        assert_eq!(
            (till.remote_value(2, column), till.outcomes(2, column)),
            (before.clone(), vec!["held".into()])
        );

        // Given up as a whole, it is as the store has it.
        till.store().discard(2, Some(column), None).unwrap();
        till.engine().sync().unwrap();
        assert_eq!(
            (till.remote_value(2, column), till.local(2, column)),
            (before.clone(), before),
            "{value}"
        );
        assert_eq!(till.store().status().unwrap().unsent, 0, "{value}");
    }
}

/// The store's side, or a value that a person gives, takes its place.
#[test]
fn what_is_no_value_goes_with_a_decision_for_another_one() {
    use tillsync::Keep;
    for keep in [Keep::Remote, Keep::Value("given".to_owned())] {
        let till = till(3);
        contested("last_name", &till);
        unseen(&till, "UPDATE customer SET last_name = x'4142' WHERE id = 2");
        till.store().resolve(2, "last_name", &keep, None).unwrap();
        till.engine().sync().unwrap();
        let is_now = if keep == Keep::Remote { "\"theirs\"" } else { "\"given\"" };
        assert_eq!(
            (till.local(2, "last_name"), till.remote_value(2, "last_name")),
            (is_now.into(), is_now.into())
        );
    }
}

/// Of one customer it says why; of all, whoever can be read is freed.
#[test]
fn a_refused_edit_whose_place_something_has_taken_that_is_no_value_stays_refused() {
    let till = till(4);
    for id in [2, 3] {
        till.set(id, "email", &till.local(4, "email").replace('"', ""));
    }
    till.engine().sync().unwrap();
    assert_eq!([2, 3].map(|id| till.outcomes(id, "email")), [["rejected"], ["rejected"]]);
    unseen(&till, "UPDATE customer SET email = x'4142' WHERE id = 2");
    let refused = till.store().retry(Some(tillsync::CustomerId(2))).unwrap_err();
    assert!(refused.to_string().contains("customer 2: email: holds what is no value of it"), "{refused}");
    let seq = till.store().rejected().unwrap()[0].seq;
    assert!(till.store().retry_row(seq).unwrap_err().to_string().contains("customer 2: email"));
    assert_eq!(till.store().retry(None).unwrap(), 1);
    assert_eq!([2, 3].map(|id| till.outcomes(id, "email")), [["rejected"], ["pending"]]);
    // It is given up all the same.
    till.store().discard_row(seq, None).unwrap();
    assert_eq!(till.local(2, "email"), till.remote_value(2, "email"));

    let till = self::till(3);
    till.adjust(2, "5");
    unseen(
        &till,
        "UPDATE journal SET outcome = 'rejected', reason = 'no'; UPDATE customer SET store_credit_amounts = x'4142' WHERE id = 2",
    );
    let refused = till.store().retry(Some(tillsync::CustomerId(2))).unwrap_err();
    assert!(refused.to_string().contains("customer 2"), "{refused}");
    assert!(refused.to_string().contains("store_credit_amounts holds what is no value of it"), "{refused}");
}

/// Of a customer that one attribute cannot be read of, whatever else was refused is sent again.
#[test]
fn what_is_no_value_keeps_no_refused_payment_back() {
    let till = till(4);
    till.set(2, "email", &till.local(4, "email").replace('"', ""));
    till.engine().sync().unwrap();
    till.adjust(2, "5");
    unseen(
        &till,
        "UPDATE journal SET outcome = 'rejected', reason = 'no' WHERE outcome IS NULL;
         UPDATE customer SET email = x'4142' WHERE id = 2",
    );
    assert_eq!(till.store().retry(Some(tillsync::CustomerId(2))).unwrap(), 1);
    assert_eq!(till.outcomes(2, "store_credit_amounts"), ["pending"]);
    assert_eq!(till.outcomes(2, "email"), ["rejected"]);
}

/// The view is one for all: what is no entry of one customer's form fields is in nobody's way.
#[test]
fn an_entry_that_is_none_leaves_what_waits_readable() {
    let till = till(3);
    contested("form_fields", &till);
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(r#"UPDATE customer SET form_fields = '[{"name":"size","value":"S"}]' WHERE id = 2"#)
        .unwrap();
    unseen(
        &till,
        r#"UPDATE journal SET value = '["a", 1, null, {"name":"size","value":"S"}]' WHERE outcome IS NULL"#,
    );
    let shown = "SELECT field || ' ' || local FROM to_decide";
    let shown = app.query_row(shown, [], |row| row.get::<_, String>(0));
    assert_eq!(shown, Ok(r#"form_fields.size "S""#.to_owned()));
}

/// No edit takes them out so: read as such, it would be another edit than the one that waits.
#[test]
fn form_fields_that_are_none_past_the_triggers_delete_nothing_in_the_store() {
    for (none, is_news) in [("NULL", true), ("'null'", true), ("NULL", false), ("'null'", false)] {
        let till = till(3);
        let theirs = serde_json::json!([{ "name": "size", "value": "M" }, { "name": "hat", "value": "7" }]);
        till.office(2, serde_json::json!({ "form_fields": theirs }));
        till.engine().pull(tillsync::Extent::Changes).unwrap();
        let app = Connection::open(&till.path).unwrap();
        let edit = r#"UPDATE customer SET form_fields = '[{"name":"size","value":"XL"},{"name":"hat","value":"7"}]' WHERE id = 2"#;
        app.execute_batch(edit).unwrap();
        let before = till.remote_value(2, "form_fields");
        unseen(&till, &format!("UPDATE customer SET form_fields = {none} WHERE id = 2"));
        // What comes in is brought together with what is here.
        let more = serde_json::json!([{ "name": "size", "value": "M" }, { "name": "hat", "value": "8" }]);
        if is_news {
            till.office(2, serde_json::json!({ "form_fields": more }));
        }
        let before = if is_news { till.remote_value(2, "form_fields") } else { before };
        till.set(3, "phone", "goes on");
        assert_eq!(till.store().diff(&[]).unwrap().len(), 1, "{none}");
        till.engine().sync().unwrap();
        assert_eq!(
            (till.remote_value(2, "form_fields"), till.remote_value(3, "phone")),
            (before, "\"goes on\"".into())
        );
        let held = till.store().held_up().unwrap();
        assert!(
            held.len() == 1 && held[0].error.contains("form_fields holds what is no value"),
            "{none}: {held:?}"
        );
        app.execute_batch(edit).unwrap();
        till.engine().sync().unwrap();
        till.engine().sync().unwrap();
        assert!(till.remote_value(2, "form_fields").contains("XL"), "{none}");
        assert_eq!(
            (till.store().held_up().unwrap(), till.store().status().unwrap().unsent),
            (vec![], 0),
            "{none}"
        );
    }
}

/// Of a balance too, which a person sets anew.
#[test]
fn a_blob_in_the_place_of_json_is_in_the_way_of_no_edit() {
    for (column, value) in [
        ("store_credit_amounts", r#"'[{"amount":12.5}]'"#),
        ("form_fields", a_value("form_fields")),
        ("channel_ids", a_value("channel_ids")),
    ] {
        for blob in ["x'4142'", "x'5b5d'", "x'ff'"] {
            let till = till(3);
            unseen(&till, &format!("UPDATE customer SET {column} = {blob} WHERE id = 2"));
            let app = Connection::open(&till.path).unwrap();
            let edit = format!("UPDATE customer SET {column} = {value} WHERE id = 2");
            app.execute_batch(&edit).unwrap_or_else(|e| panic!("{column}, {blob}: {e}"));
            till.engine().sync().unwrap();
            assert_eq!(till.outcomes(2, column), ["uploaded"], "{column}, {blob}");
            assert_eq!(till.store().status().unwrap().unsent, 0, "{column}, {blob}");
            let was: String =
                app.query_row("SELECT typeof(was) || was FROM journal", [], |row| row.get(0)).unwrap();
            assert_eq!(was, "textnull", "{column}, {blob}");
        }
    }
}

#[cfg(feature = "cli")]
#[test]
fn what_is_no_json_is_shown_as_a_text() {
    let till = till(3);
    unseen(&till, "UPDATE customer SET form_fields = '{broken', customer_group_id = 'seven' WHERE id = 2");
    let shown = till.run(["show", "2"]);
    assert_eq!(shown.exit, Some(0), "{shown:?}");
    assert!(shown.json.to_string().contains("\"form_fields\":\"{broken\""), "{}", shown.json);
    let email = till.local(2, "email").replace('"', "");
    let found = till.run(["find", &email]);
    assert_eq!(found.exit, Some(0), "{found:?}");
    assert!(found.json.to_string().contains("\"customer_group_id\":\"seven\""), "{}", found.json);

    contested("last_name", &till);
    unseen(&till, "UPDATE conflict SET local = '{broken'");
    let conflicts = till.run(["conflicts"]);
    assert!(conflicts.exit != Some(1) && conflicts.json.to_string().contains("{broken"), "{conflicts:?}");
}

fn a_value(column: &str) -> &'static str {
    match column {
        "form_fields" => r#"'[{"name":"size","value":"XL"}]'"#,
        "channel_ids" => "'[1,7]'",
        "customer_group_id" => "77",
        "force_password_reset" => {
            "NOT coalesce((SELECT json_extract(body, '$.authentication.force_password_reset') FROM snapshot WHERE id = 2), 0)"
        }
        _ => "'valid'",
    }
}

/// What became of its update nobody can write: it stays in doubt, alone, and is not sent again.
#[test]
fn an_update_of_one_whose_row_was_broken_while_it_was_on_its_way_stays_in_doubt() {
    let till = till(3);
    till.set(2, "phone", "555");
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop).every(Kind::ById, Told::drop);
    let mut through = till.through(&odd);
    through.options.upload.retry.tries = 1;
    through.engine().sync().unwrap_err();
    assert_eq!(till.store().status().unwrap().in_flight_batches, 1);
    unseen(
        &till,
        "CREATE TABLE snapshots AS SELECT * FROM snapshot; UPDATE snapshot SET body = '{' WHERE id = 2",
    );
    till.set(3, "phone", "goes on");
    for _ in 0..2 {
        till.engine().sync().unwrap();
        assert_eq!(till.remote_value(3, "phone"), "\"goes on\"");
        assert_eq!(till.store().status().unwrap().in_flight_batches, 1);
    }
    unseen(&till, "UPDATE snapshot SET body = (SELECT body FROM snapshots AS s WHERE s.id = 2) WHERE id = 2");
    till.engine().sync().unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.outcomes(2, "phone"), ["uploaded"]);
    assert_eq!(till.remote_value(2, "phone"), "\"555\"");
    let status = till.store().status().unwrap();
    assert_eq!((status.in_flight_batches, till.store().held_up().unwrap().len()), (0, 0));
}

/// As a database tool does that counts ids on: the file opens all the same, and says whose it is.
#[test]
fn a_snapshot_that_a_program_has_given_another_id_is_named() {
    let till = till(3);
    till.set(3, "phone", "goes on");
    without_triggers(&till, "");
    unseen(&till, "UPDATE snapshot SET id = 9002 WHERE id = 2");
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(3, "phone"), "\"goes on\"");
    let held = till.store().held_up().unwrap();
    assert!(held[0].error.contains("the row of customer 9002 in the table snapshot"), "{held:?}");
    let ran = till.run(["status"]);
    assert_ne!(ran.exit, Some(6), "{ran:?}");
}

/// What nobody journaled meets what the store has changed: both sides are shown.
#[test]
fn an_edit_past_the_triggers_of_what_the_store_changed_too_is_a_conflict() {
    let till = till(4);
    unseen(&till, "UPDATE customer SET phone = 'ours' WHERE id IN (1, 2)");
    till.set(2, "notes", "waits");
    for id in [1, 2, 3] {
        till.office(id, serde_json::json!({ "phone": "theirs" }));
    }
    till.engine().sync().unwrap();
    for id in [1, 2] {
        assert_eq!(till.outcomes(id, "phone"), ["held"]);
        assert_eq!(till.local(id, "phone"), "\"ours\"");
    }
    let shown = till.store().conflicts().unwrap();
    let sides: Vec<_> = shown.iter().map(|one| (one.local.as_str(), one.remote.as_str())).collect();
    assert_eq!(sides, [("\"ours\"", "\"theirs\""); 2]);
    assert_eq!(till.local(3, "phone"), "\"theirs\"");
}

/// A customer who is gone from the store takes nothing along of which nobody was told.
#[test]
fn an_edit_past_the_triggers_of_a_customer_who_is_gone_from_the_store_is_a_conflict() {
    let till = till(4);
    unseen(&till, "UPDATE customer SET phone = 'ours' WHERE id = 1");
    for id in [1, 2] {
        assert!(till.sandbox.delete(id));
    }
    till.engine().pull(tillsync::Extent::Full).unwrap();
    assert!(till.store().get(2).unwrap().is_none());
    let shown = till.store().conflicts().unwrap();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].local.contains("ours"), "{shown:?}");
}

/// Nor what can be no edit: it would stand in no conflict. Whether or not anything else of the customer waits.
#[test]
fn what_the_store_would_not_take_of_a_customer_who_is_gone_from_it_is_set_aside() {
    let till = till(20);
    let long = "x".repeat(60);
    unseen(&till, &format!("UPDATE customer SET phone = '{long}' WHERE id IN (1, 2)"));
    till.set(2, "notes", "waits");
    for id in [1, 2, 3] {
        assert!(till.sandbox.delete(id));
    }
    till.engine().pull(tillsync::Extent::Full).unwrap();
    let mut store = till.store();
    assert_eq!([1, 2, 3].map(|id| store.get(id).unwrap().is_some()), [false, true, false]);
    let aside: Vec<_> = store
        .set_aside()
        .unwrap()
        .iter()
        .map(|one| (one.customer_id.0, one.values["phone"].clone()))
        .collect();
    assert_eq!(aside, [1, 2].map(|id| (id, format!("\"{long}\""))));
    assert_eq!(store.status().unwrap().unsent, 3);
    let checks = till.run(["doctor"]).json["checks"].to_string();
    assert!(checks.contains("of customer 1 there was phone") && checks.contains(&long), "{checks}");
    assert_eq!(store.discard(1, None, None).unwrap(), 1);
    assert_eq!(store.set_aside().unwrap().len(), 1);
}

/// Without a trigger there, or with none of them fired; a payment and a balance, an attribute that is on its way, and another one.
#[test]
fn what_is_edited_past_the_triggers_while_an_update_is_on_its_way_is_taken_away_by_no_answer() {
    for is_dropped in [true, false] {
        let till = till(5);
        till.set(2, "phone", "on its way");
        till.set(4, "phone", "on its way");
        till.adjust(3, "1");
        let before = credit(&till.remote_value(3, "store_credit_amounts"));
        till.sandbox.set_latency_ms(2_500);
        let other = till.clone();
        let pushing = std::thread::spawn(move || other.engine().push().unwrap());
        let app = Connection::open(&till.path).unwrap();
        let on_its_way =
            || app.query_row("SELECT count(*) FROM batch_item", [], |row| row.get::<_, i64>(0)).unwrap();
        common::soon(|| on_its_way() == 3);
        let edits = format!(
            r#"UPDATE customer SET company = 'unseen' WHERE id = 2;
               UPDATE customer SET phone = 'unseen' WHERE id = 4;
               UPDATE customer SET store_credit_amounts = '[{{"amount":{}}}]' WHERE id = 3"#,
            before + 501.0
        );
        if is_dropped {
            let ours = "SELECT group_concat('DROP TRIGGER ' || name, '; ') FROM sqlite_schema
                        WHERE type = 'trigger' AND tbl_name = 'customer'";
            let ours: String = app.query_row(ours, [], |row| row.get(0)).unwrap();
            app.execute_batch(&ours).unwrap();
            app.execute_batch(&edits).unwrap();
        } else {
            unseen(&till, &edits);
        }
        assert_eq!(pushing.join().unwrap().uploaded_fields, 3);
        till.sandbox.set_latency_ms(0);
        assert_eq!(till.local(2, "company"), "\"unseen\"");
        assert_eq!(till.store().status().unwrap().unsent, 3, "{:?}", till.store().journal(None).unwrap());
        let report = till.engine().sync().unwrap();
        assert_eq!((report.uploaded_fields, report.conflicts), (3, 0), "{report:?}");
        assert_eq!(till.remote_value(2, "company"), "\"unseen\"");
        assert_eq!(till.remote_value(2, "phone"), "\"on its way\"");
        assert_eq!(till.remote_value(4, "phone"), "\"unseen\"");
        assert_eq!(credit(&till.remote_value(3, "store_credit_amounts")), before + 501.0);
    }
}

/// Its value stands in no edit, and yet it is none.
#[test]
fn what_was_brought_together_and_waits_is_no_edit_past_the_triggers() {
    let till = till(3);
    till.set(1, "notes", "first");
    till.set(2, "channel_ids", "[1]");
    till.engine().sync().unwrap();
    till.set(1, "notes", "first\nours");
    till.set(2, "form_fields", r#"[{"name":"Color","value":"red"}]"#);
    till.office(1, serde_json::json!({ "notes": "theirs\nfirst" }));
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    assert_eq!(till.local(1, "notes"), r#""theirs\nfirst\nours""#);
    let rows = |id| till.store().journal(Some(tillsync::CustomerId(id))).unwrap().len();
    let before = rows(1);
    without_triggers(&till, "UPDATE customer SET company = 'unseen' WHERE id = 3");
    assert_eq!(till.store().mended(), Some(1), "and that is of another one");
    assert_eq!(rows(1), before);
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 3);
    assert_eq!(till.remote_value(1, "notes"), r#""theirs\nfirst\nours""#);
    till.set(1, "notes", "A");
    without_triggers(&till, "UPDATE customer SET notes = 'B' WHERE id = 1");
    assert_eq!(till.store().mended(), Some(1));
}

/// What became of its edit was written, and nothing else could be.
#[test]
fn a_customer_who_is_held_up_has_no_edits_past_the_triggers() {
    let till = till(3);
    till.adjust(1, "5");
    till.set(1, "phone", "ours");
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(
        "CREATE TRIGGER mine BEFORE UPDATE ON snapshot BEGIN SELECT RAISE(ABORT, 'not today'); END",
    )
    .unwrap();
    till.engine().push().unwrap();
    assert_eq!(till.store().held_up().unwrap().len(), 1);
    assert_eq!(till.outcomes(1, "phone"), ["uploaded"]);
    assert_eq!(till.store().find_unjournaled().unwrap(), 0);
    app.execute_batch("DROP TRIGGER mine").unwrap();
    till.engine().sync().unwrap();
    assert_eq!((till.outcomes(1, "phone").len(), till.outcomes(1, "store_credit_amounts").len()), (1, 1));
}

/// Whom the app's trigger held up has edits past ours like anybody, also of another attribute than the one whose answer was let in only
/// in part: the store's news takes none of them away, and no payment leaves twice.
#[test]
fn what_is_edited_past_the_triggers_of_one_who_is_held_up_outlives_that_he_is_let_go() {
    let till = till(3);
    let before = credit(&till.remote_value(2, "store_credit_amounts"));
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch(
        "CREATE TRIGGER mine BEFORE UPDATE OF date_modified ON customer WHEN NEW.id IN (1, 2)
         BEGIN SELECT RAISE(ABORT, 'not today'); END",
    )
    .unwrap();
    till.adjust(2, "5");
    till.engine().push().unwrap();
    for id in [1, 2] {
        till.office(id, serde_json::json!({ "phone": "theirs", "notes": "theirs" }));
    }
    till.engine().sync().unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.store().held_up().unwrap().len(), 2);
    assert_eq!(till.outcomes(2, "store_credit_amounts"), ["uploaded"]);
    unseen(&till, "UPDATE customer SET company = 'unseen', phone = 'ours' WHERE id IN (1, 2)");
    app.execute_batch("DROP TRIGGER mine").unwrap();
    till.engine().sync().unwrap();
    till.engine().sync().unwrap();
    for id in [1, 2] {
        assert_eq!(till.local(id, "company"), "\"unseen\"", "{id}");
        assert_eq!(till.remote_value(id, "company"), "\"unseen\"", "{id}");
        assert_eq!(till.local(id, "phone"), "\"ours\"", "{id}");
        assert_eq!(till.outcomes(id, "phone"), ["held"], "{id}");
        assert_eq!(till.local(id, "notes"), "\"theirs\"", "{id}");
    }
    assert_eq!(credit(&till.remote_value(2, "store_credit_amounts")), before + 5.0);
    assert_eq!(credit(&till.local(2, "store_credit_amounts")), before + 5.0);
    assert_eq!(till.store().held_up().unwrap(), []);
}

/// Also of whom something of the app's does not let be written.
#[test]
fn a_column_that_was_lost_is_filled_of_one_who_is_held_up_as_soon_as_it_can_be() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    let refusing =
        "CREATE TRIGGER mine BEFORE UPDATE ON snapshot BEGIN SELECT RAISE(ABORT, 'not today'); END";
    app.execute_batch(refusing).unwrap();
    till.set(1, "notes", "ours");
    till.engine().push().unwrap();
    assert_eq!(till.store().held_up().unwrap().len(), 1);
    let before = till.local(1, "phone");
    without_triggers(&till, "ALTER TABLE customer RENAME COLUMN phone TO telephone");
    drop(till.store());
    assert_eq!(till.local(1, "phone"), before);
    app.execute_batch("DROP TRIGGER mine").unwrap();
    till.engine().sync().unwrap();

    let before: Vec<_> = (1..4).map(|id| till.local(id, "phone")).collect();
    let refusing = "CREATE TRIGGER mine BEFORE UPDATE ON customer WHEN NEW.id = 2 BEGIN SELECT RAISE(ABORT, 'not today'); END";
    without_triggers(&till, &format!("ALTER TABLE customer RENAME COLUMN phone TO my_phone; {refusing}"));
    drop(till.store());
    let now: Vec<_> = (1..4).map(|id| till.local(id, "phone")).collect();
    assert_eq!((&now[0], &now[2]), (&before[0], &before[2]));
    assert_ne!(now[1], before[1]);
    app.execute_batch("DROP TRIGGER mine").unwrap();
    drop(till.store());
    let now: Vec<_> = (1..4).map(|id| till.local(id, "phone")).collect();
    assert_eq!(now, before);
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 0);
    assert_eq!(till.store().held_up().unwrap(), []);
}

#[test]
fn a_change_without_triggers_to_what_waits_already_is_an_edit_of_its_own() {
    let till = till(3);
    till.set(1, "phone", "A");
    till.adjust(1, "5");
    let balance: f64 = credit(&till.local(1, "store_credit_amounts"));
    let more = format!(
        "UPDATE customer SET phone = 'B', store_credit_amounts = '[{{\"amount\":{}}}]' WHERE id = 1",
        balance + 20.0
    );
    without_triggers(&till, &more);
    assert_eq!(till.store().mended(), Some(2));
    let rows = till.store().journal(Some(tillsync::CustomerId(1))).unwrap();
    let authors: Vec<_> = rows.iter().map(|row| (row.field.as_str(), row.author.as_deref())).collect();
    assert_eq!(authors.iter().filter(|(_, author)| *author == Some("tillsync")).count(), 2, "{authors:?}");
    assert_eq!(till.engine().sync().unwrap().rejected, 0);
    assert_eq!(credit(&till.local(1, "store_credit_amounts")), balance + 20.0);
    assert_eq!(credit(&till.remote_value(1, "store_credit_amounts")), balance + 20.0);
    assert_eq!(till.remote_value(1, "phone"), "\"B\"");
}

fn credit(json: &str) -> f64 {
    let amounts: serde_json::Value = serde_json::from_str(json).unwrap();
    amounts[0]["amount"].as_f64().unwrap_or(0.0)
}

#[test]
fn what_waits_and_was_not_touched_is_found_by_nobody() {
    let till = till(4);
    till.set(1, "phone", "A");
    till.set(1, "phone", "A2");
    till.adjust(1, "5");
    till.adjust(1, "-2.5");
    till.set(2, "form_fields", r#"[{"name":"Color","value":"red"}]"#);
    till.set(2, "channel_ids", "[1]");
    till.set(2, "notes", "a note");
    till.set(2, "customer_group_id", "1");
    till.adjust(3, "-999999");
    till.set(4, "phone", "mine");
    till.office(4, serde_json::json!({ "phone": "theirs" }));
    till.engine().sync().unwrap();
    till.set(1, "company", "waits");
    till.adjust(1, "1");
    till.set(2, "form_fields", r#"[{"name":"Color","value":"blue"}]"#);
    till.adjust(3, "2");
    let before: Vec<String> = (1..5).map(|id| till.store().get(id).unwrap().unwrap().to_json()).collect();
    without_triggers(&till, "");
    assert_eq!(till.store().mended(), Some(0));
    let after: Vec<String> = (1..5).map(|id| till.store().get(id).unwrap().unwrap().to_json()).collect();
    assert_eq!(after, before);
}

#[test]
fn a_held_and_a_refused_value_that_were_changed_without_triggers_are_newer_edits() {
    let till = till(3);
    till.set(1, "phone", "L");
    till.office(1, serde_json::json!({ "phone": "R" }));
    till.set(2, "email", &till.local(3, "email").replace('"', ""));
    till.engine().sync().unwrap();
    assert_eq!(till.outcomes(1, "phone"), ["held"]);
    assert_eq!(till.outcomes(2, "email"), ["rejected"]);
    let shown = till.store().conflicts().unwrap();
    without_triggers(
        &till,
        "UPDATE customer SET phone = 'Z' WHERE id = 1; UPDATE customer SET email = 'z@example.com' WHERE id = 2",
    );
    assert_eq!(till.store().mended(), Some(2));
    assert_eq!(till.outcomes(1, "phone").len(), 2);
    let mut engine = till.engine();
    engine.sync().unwrap();
    assert_eq!(till.remote_value(2, "email"), "\"z@example.com\"");
    let now = till.store().conflicts().unwrap();
    assert_eq!((shown[0].local.as_str(), now[0].local.as_str()), ("\"L\"", "\"Z\""));
    assert_eq!(till.remote_value(1, "phone"), "\"R\"");
}

// ---- what another program puts in the place of something of ours -------------------------------------------------

/// What a program may make of a name.
const KINDS: [(&str, &str); 5] = [
    ("nothing", ""),
    ("table", "CREATE TABLE {name} (id INTEGER PRIMARY KEY, mine)"),
    ("view", "CREATE VIEW {name} AS SELECT 1 AS id"),
    ("index", "CREATE INDEX {name} ON my_own (a)"),
    ("virtual table", "CREATE VIRTUAL TABLE {name} USING fts5(a)"),
];

/// Every table, view and index of a till, gone or in another form: mended, or told by its name; never in SQLite's words.
#[test]
fn whatever_a_program_puts_in_the_place_of_something_of_ours_is_mended_or_told() {
    let till = till(2);
    till.store().find("a", 1).unwrap();
    till.set(1, "phone", "555");
    let template = till.folder.path().join("template.db");
    till.store().backup(&template).unwrap();
    let ours: Vec<(String, String)> = Connection::open(&till.path)
        .unwrap()
        .prepare("SELECT type, name FROM sqlite_schema WHERE type <> 'trigger' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'customer_search_%'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(ours.len() > 30, "{ours:?}");
    let mut wrong = Vec::new();
    for (was, name) in &ours {
        for (is, sql) in KINDS {
            let path = till.folder.path().join("changed.db");
            for suffix in ["", "-wal", "-shm"] {
                _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
            }
            std::fs::copy(&template, &path).unwrap();
            let app = Connection::open(&path).unwrap();
            let made = app.execute_batch(&format!(
                "PRAGMA foreign_keys = OFF; CREATE TABLE my_own (a); DROP {was} {name}; {}",
                sql.replace("{name}", name)
            ));
            // SQLite itself does not let a table of its own name go.
            if made.is_err() {
                continue;
            }
            drop(app);
            let changed = tillsync_till(&till, &path);
            let told = |error: &tillsync::Error| {
                let words = error.to_string();
                error.code() == "misshapen" && words.contains(name.as_str()) && error.hint().is_some()
            };
            let done = (|| {
                let mut store = Store::open(&path)?;
                let status = store.status()?;
                assert_eq!(status.pending_fields, 1, "{was} {name}, now {is}: what waits is not told");
                store.find("a", 1)?;
                store.edit(2).set("phone", "777").commit()?;
                changed.engine().sync()
            })();
            match done {
                Ok(_) if Store::open(&path).unwrap().status().unwrap().pending_fields == 0 => {}
                Err(error) if told(&error) => {}
                done => wrong.push(format!("{was} {name}, now {is}: {done:?}")),
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The same till, of another file.
fn tillsync_till(till: &Till, path: &std::path::Path) -> Till {
    till.office(1, serde_json::json!({ "phone": "1" }));
    Till { path: path.to_owned(), ..till.clone() }
}

#[test]
fn a_table_of_customers_without_row_ids_is_built_anew_and_nothing_of_it_is_lost() {
    let till = till(3);
    let app = Connection::open(&till.path).unwrap();
    rebuild_as(&app, "customer", |sql| {
        format!("{} WITHOUT ROWID", sql.trim_end().trim_end_matches("STRICT"))
    });
    app.execute_batch("UPDATE customer SET phone = '555-0142' WHERE id = 2").unwrap();
    let store = till.store();
    assert_eq!(store.misshapen().unwrap(), None);
    assert_eq!(store.status().unwrap().pending_fields, 1);
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
    assert_eq!(till.remote_value(2, "phone"), "\"555-0142\"");

    // By another key than the id, so that a customer may be there twice.
    rebuild_as(&app, "customer", |sql| {
        let sql = sql.replace("INTEGER PRIMARY KEY", "INTEGER").replace("STRICT", "");
        format!(
            "{}, mine INTEGER DEFAULT 0, PRIMARY KEY (id, mine)) WITHOUT ROWID",
            sql.trim_end().trim_end_matches(')')
        )
    });
    app.execute_batch(
        "INSERT INTO customer (id, mine, phone, email) SELECT id, 1, '777', email FROM customer WHERE id = 3",
    )
    .unwrap();
    let store = till.store();
    assert_eq!((store.misshapen().unwrap(), store.set_aside().unwrap().len()), (None, 1));
    assert_eq!(till.store().get(3).unwrap().unwrap().id().0, 3);
}

/// What cannot be mended: nobody knows what waits, and nobody says that nothing does.
#[test]
fn where_a_table_is_misshapen_nobody_says_that_nothing_waits() {
    let till = till(3);
    let store = till.store();
    let app = Connection::open(&till.path).unwrap();
    rebuild_as(&app, "customer", |sql| sql.replace("INTEGER PRIMARY KEY", "TEXT"));
    app.execute_batch(
        "INSERT INTO customer (id) VALUES ('none'); UPDATE customer SET phone = '5' WHERE id = 2",
    )
    .unwrap();
    for status in [store.status(), till.store().status()] {
        let error = status.unwrap_err();
        assert_eq!(error.code(), "misshapen");
        assert!(error.hint().unwrap().contains("shows nowhere"), "{error:?}");
    }
    assert_eq!((till.run(["status"]).exit, till.run(["status"]).code()), (Some(6), "misshapen"));
    assert_eq!(till.run(["doctor", "--safe-to-remove"]).exit, Some(3));
    assert_eq!(till.run(["report", till.folder.path().join("r.json").to_str().unwrap()]).exit, Some(0));
}

#[test]
fn a_status_sees_what_was_edited_since_triggers_were_taken_out() {
    let till = till(3);
    let store = till.store();
    let app = Connection::open(&till.path).unwrap();
    rebuild(&app);
    app.execute_batch("UPDATE customer SET phone = '555-0142' WHERE id = 2").unwrap();
    assert_eq!(store.status().unwrap().pending_fields, 1);
}

/// Of a table or an index of an app's own it takes note once, and opens no file for it; of what is taken out later it does.
#[test]
fn a_status_looks_once_after_a_change_of_the_schema() {
    let till = till(3);
    let store = till.store();
    let app = Connection::open(&till.path).unwrap();
    app.execute_batch("CREATE TABLE my_sale (id INTEGER PRIMARY KEY)").unwrap();
    store.status().unwrap();
    // The quickest of each, on a machine that has other work.
    let quickest = |times: u32, work: &dyn Fn()| {
        let took = |_| {
            let began = std::time::Instant::now();
            work();
            began.elapsed()
        };
        (0..times).map(took).min().unwrap()
    };
    let took = quickest(200, &|| _ = store.status().unwrap());
    let opening = quickest(10, &|| drop(store.reopen().unwrap()));
    assert!(took * 3 < opening, "{took:?} for a status, {opening:?} for an opening");
    rebuild(&app);
    app.execute_batch("UPDATE customer SET phone = '555-0142' WHERE id = 2").unwrap();
    assert_eq!(store.status().unwrap().pending_fields, 1);
}
