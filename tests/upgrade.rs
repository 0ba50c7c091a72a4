//! Backup, restore, and the upgrade of files that earlier versions made.
//!
//! `tests/schemas/vN.db` is a file of schema N with customers, and with edits that wait, are refused, are in conflict and
//! are on their way. With a release that changes the schema, the new one is kept by
//!
//! ```sh
//! TILLSYNC_KEEP_SCHEMA=1 cargo test --test upgrade keep_the_present_schema -- --ignored
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{SOON, Till, sandbox, soon, till};
use rusqlite::Connection;
use serde_json::json;
use tillsync::sandbox::Fault;
use tillsync::{CustomerId, Extent, Store, Syncer, SyncerOptions};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas")
}

/// A till in which every kind of row is there.
fn eventful() -> Till {
    let till = till(6);
    till.office(3, json!({"phone": "theirs", "email": "taken@example.com"}));
    till.set(1, "phone", "arrived");
    till.set(2, "email", "taken@example.com");
    till.set(3, "phone", "ours");
    till.engine().sync().unwrap();
    till.set(4, "phone", "in doubt");
    leave_on_its_way(&till);
    till.set(5, "company", "Lima & Filhos");
    till.adjust(5, "12.5");
    till.store()
        .edit(6)
        .set("new_password", "a new secret")
        .author("ana")
        .label("sale 1042")
        .commit()
        .unwrap();
    till
}

/// A sync that is abandoned while its update is under way.
fn leave_on_its_way(till: &Till) {
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 4_000 }]);
    let (syncer, _events) = Syncer::start(till.engine(), SyncerOptions::default()).unwrap();
    soon(|| till.store().status().unwrap().in_flight_batches > 0);
    assert!(!syncer.stop(Duration::ZERO));
}

#[test]
#[ignore = "writes the present schema to tests/schemas, see above"]
fn keep_the_present_schema() {
    if std::env::var_os("TILLSYNC_KEEP_SCHEMA").is_none() {
        return;
    }
    let till = eventful();
    let version: i64 = sql(&till.path).query_row(VERSION, [], |row| row.get(0)).unwrap();
    let kept = schemas().join(format!("v{version}.db"));
    _ = std::fs::remove_file(&kept);
    till.store().backup(&kept).unwrap();
    // One file, whatever system checks it out.
    sql(&kept).pragma_update(None, "journal_mode", "DELETE").unwrap();
}

const VERSION: &str = "SELECT max(version) FROM tillsync_schema_history";

fn sql(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

/// What the tables, views and triggers are.
fn schema(path: &Path) -> Vec<(String, String)> {
    let file = sql(path);
    let mut statement =
        file.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn a_file_of_every_released_schema_is_upgraded_and_syncs_on() {
    let fresh = Till::new(sandbox(0));
    drop(fresh.store());
    let kept: Vec<PathBuf> =
        std::fs::read_dir(schemas()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<&PathBuf> =
        kept.iter().filter(|path| path.extension().is_some_and(|it| it == "db")).collect();
    assert!(!files.is_empty(), "no schema is kept");
    for file in files {
        let till = Till::new(sandbox(6));
        std::fs::copy(file, &till.path).unwrap();
        // As if it had always been here: of a copy, payments would wait for a person.
        sql(&till.path).execute("DELETE FROM state WHERE key = 'home'", []).unwrap();
        let status = till.store().status().unwrap();
        assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{}", file.display());
        assert!(
            schema(&till.path) == schema(&fresh.path),
            "{}: upgraded, it is other than a new file; if its version is not released yet, keep the schema anew",
            file.display()
        );
        let open = (status.pending_fields, status.in_flight_batches, status.rejected, status.conflicts);
        assert_eq!(open, (3, 1, 1, 1), "{}", file.display());
        assert_eq!(status.snapshot_customers, 6);
        let report = till.engine().sync().unwrap();
        assert_eq!(
            (report.uploaded_customers, report.rejected, report.conflicts),
            (3, 1, 1),
            "{}",
            file.display()
        );
        assert_eq!(till.remote_value(4, "phone"), "\"in doubt\"");
        assert_eq!(till.sandbox.last_password(6).as_deref(), Some("a new secret"));
        till.assert_no_violations();
    }
}

#[test]
fn an_upgrade_that_fails_leaves_the_file_as_it_was() {
    let till = Till::new(sandbox(0));
    std::fs::copy(schemas().join("v14.db"), &till.path).unwrap();
    // A migration after others finds nothing to rename.
    sql(&till.path).execute_batch("DROP TABLE search_due").unwrap();
    let before = schema(&till.path);
    assert!(Store::open(&till.path).is_err());
    assert!(schema(&till.path) == before, "half a schema is left behind");
    let back = "CREATE TABLE search_due (customer_id INTEGER PRIMARY KEY) STRICT";
    sql(&till.path).execute_batch(back).unwrap();
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "with that out of the way it goes on");
}

// ---- an app that has taken a name of ours --------------------------------------------------------------------------

/// All that bears a name of ours: tables, views and indexes.
fn our_names() -> Vec<String> {
    let till = till(1);
    till.store().find("any", 1).unwrap();
    let names = "SELECT name FROM sqlite_schema
                 WHERE type IN ('table', 'view', 'index') AND name NOT LIKE 'sqlite_%' AND name <> 'tillsync_schema_history'";
    let file = sql(&till.path);
    let mut names = file.prepare(names).unwrap();
    let names = names.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<Vec<String>>>();
    let names = names.unwrap();
    for expected in [
        "customer",
        "tillsync_guard",
        "tillsync_refusal",
        "to_decide",
        "customer_search",
        "customer_search_data",
    ] {
        assert!(names.iter().any(|name| name == expected), "{expected}: {names:?}");
    }
    names
}

/// Each kind of object of an app's, by a name that is ours, however it is spelled.
fn objects_called(name: &str) -> [(&'static str, String); 3] {
    [
        ("table", format!("CREATE TABLE {} (mine INTEGER)", name.to_uppercase())),
        ("view", format!("CREATE VIEW {name} AS SELECT 7 AS mine")),
        ("index", format!("CREATE TABLE my_own (mine INTEGER); CREATE INDEX {name} ON my_own (mine)")),
    ]
}

/// What lies in the folder, byte by byte.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    files.sort();
    files
}

fn check_taken(till: &Till, kind: &str, name: &str, code: &str) {
    let before = files(till.folder.path());
    let error = Store::open(&till.path).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.code(), code, "{kind} {name}: {said}");
    assert!(error.is_database() && error.hint().is_some_and(|hint| hint.contains("ATTACH")), "{kind} {name}");
    assert!(
        said.to_lowercase().contains(&format!("the {kind} {name}")) && !said.contains('\n'),
        "{kind} {name}: {said}"
    );
    assert!(files(till.folder.path()) == before, "{kind} {name}: the file was touched");
}

#[test]
fn an_apps_database_that_has_names_of_ours_is_no_till_says_which_and_is_not_touched() {
    for name in our_names() {
        for (kind, made) in objects_called(&name) {
            let till = Till::new(sandbox(0));
            sql(&till.path).execute_batch(&made).unwrap();
            check_taken(&till, kind, &name, "not_a_till");
        }
    }
    for (kind, made) in objects_called("tillsync_schema_history") {
        let till = Till::new(sandbox(0));
        sql(&till.path).execute_batch(&made).unwrap();
        assert_eq!(Store::open(&till.path).unwrap_err().code(), "not_a_till", "{kind}");
    }
}

/// An app had the name before this version of ours came to need it.
#[test]
fn an_older_file_in_which_an_app_has_taken_a_name_is_not_upgraded_until_it_lets_go() {
    let ours = our_names();
    for version in ["v1.db", "v14.db"] {
        let had = schema(&schemas().join(version));
        let is_new = |name: &&String| {
            !had.iter().any(|(had, _)| had == *name)
                && (version == "v1.db" || !name.starts_with("customer_search"))
        };
        let new: Vec<&String> = ours.iter().filter(is_new).collect();
        assert!(new.len() > 20, "{version}: {new:?}");
        for name in new {
            for (kind, made) in objects_called(name) {
                let till = Till::new(sandbox(6));
                std::fs::copy(schemas().join(version), &till.path).unwrap();
                sql(&till.path).execute_batch(&made).unwrap();
                check_taken(&till, kind, name, "name_taken");
            }
        }
        let till = Till::new(sandbox(6));
        std::fs::copy(schemas().join(version), &till.path).unwrap();
        sql(&till.path)
            .execute_batch(
                "CREATE TABLE tillsync_held_up (mine INTEGER); INSERT INTO tillsync_held_up VALUES (7)",
            )
            .unwrap();
        check_taken(&till, "table", "tillsync_held_up", "name_taken");
        sql(&till.path).execute_batch("ALTER TABLE tillsync_held_up RENAME TO held_up_by_me").unwrap();
        assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{version}");
        assert_eq!(sql(&till.path).query_row("SELECT mine FROM held_up_by_me", [], |row| row.get(0)), Ok(7));
    }
}

/// The upgrade would meet it on its way, though this version has given the name up.
#[test]
fn nor_where_that_is_a_name_which_only_versions_in_between_need() {
    for (kind, name) in
        [("table", "attempt"), ("table", "held_up"), ("table", "search_due"), ("index", "journal_settled")]
    {
        let till = Till::new(sandbox(6));
        std::fs::copy(schemas().join("v3.db"), &till.path).unwrap();
        let (_, made) = objects_called(name).into_iter().find(|(made, _)| *made == kind).unwrap();
        sql(&till.path).execute_batch(&made).unwrap();
        check_taken(&till, kind, name, "name_taken");
    }
}

/// A column of an app's in the journal is its own, by whatever name; one that a later version needs is told before anything is touched.
#[test]
fn nor_where_an_app_has_put_a_column_into_a_table_of_ours_by_a_name_that_came_later() {
    for (table, column) in [("journal", "Resource"), ("conflict", "row_id"), ("journal", "of_row")] {
        let till = Till::new(sandbox(6));
        std::fs::copy(schemas().join("v14.db"), &till.path).unwrap();
        sql(&till.path).execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} TEXT")).unwrap();
        check_taken(&till, "column", &column.to_lowercase(), "name_taken");
        sql(&till.path)
            .execute_batch(&format!("ALTER TABLE {table} RENAME COLUMN {column} TO my_own"))
            .unwrap();
        assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "{table}.{column}");
    }
}

/// What is of which resource is computed, also of rows from before there were several.
#[test]
fn an_edit_of_before_there_were_several_resources_is_one_of_its_customer() {
    let till = Till::new(sandbox(6));
    std::fs::copy(schemas().join("v14.db"), &till.path).unwrap();
    drop(till.store());
    for table in ["journal", "conflict", "batch_item"] {
        let others = format!(
            "SELECT count(*), coalesce(sum(resource IS NOT 'customer' OR row_id IS NOT customer_id), 0) FROM {table}"
        );
        let (all, others): (i64, i64) =
            sql(&till.path).query_row(&others, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert!(all > 0 && others == 0, "{table}: {others} of {all}");
    }
}

/// Triggers have names of their own kind: those of older builds go, and an app's by such a name stays.
#[test]
fn an_apps_trigger_that_is_called_as_one_of_an_older_build_outlives_the_upgrade() {
    let till = Till::new(sandbox(6));
    std::fs::copy(schemas().join("v1.db"), &till.path).unwrap();
    let made = "CREATE TABLE my_log (line TEXT);
                CREATE TRIGGER journal_insert_too AFTER INSERT ON journal BEGIN INSERT INTO my_log VALUES ('journal'); END;
                CREATE TRIGGER conflict_insert AFTER INSERT ON conflict BEGIN INSERT INTO my_log VALUES ('conflict'); END";
    sql(&till.path).execute_batch(made).unwrap();
    drop(till.store());
    let theirs = "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema
                  WHERE type = 'trigger' AND name NOT LIKE 'tillsync\\_%' ESCAPE '\\' ORDER BY name)";
    let theirs: String = sql(&till.path).query_row(theirs, [], |row| row.get(0)).unwrap();
    assert_eq!(theirs, "conflict_insert journal_insert_too");
}

/// Nothing of an app's goes because it reads like something of ours.
#[test]
fn an_apps_triggers_that_read_like_those_of_an_older_build_outlive_the_upgrade() {
    let till = Till::new(sandbox(6));
    std::fs::copy(schemas().join("v14.db"), &till.path).unwrap();
    let made = "CREATE TABLE refusals (of_whom INTEGER, words TEXT);
                CREATE TABLE my_orders (id INTEGER PRIMARY KEY, words TEXT);
                CREATE TRIGGER customer_number AFTER UPDATE OF phone ON customer WHEN lower(NEW.phone) IN ('true', 'false')
                BEGIN INSERT INTO refusals VALUES (NEW.id, 'no number'); END;
                CREATE TRIGGER notes_are_read AFTER UPDATE OF notes ON customer
                BEGIN INSERT INTO refusals VALUES (NEW.id, 'tillsync refused: no'); END;
                CREATE TRIGGER my_refusal_insert AFTER INSERT ON my_orders WHEN NEW.words LIKE 'tillsync refused: %'
                BEGIN INSERT INTO refusals VALUES (NEW.id, NEW.words); END";
    sql(&till.path).execute_batch(made).unwrap();
    drop(till.store());
    let file = sql(&till.path);
    file.execute_batch(
        "UPDATE customer SET phone = 'true' WHERE id = 1;
         UPDATE customer SET notes = 'read' WHERE id = 2;
         INSERT INTO my_orders VALUES (7, 'tillsync refused: the seventh')",
    )
    .unwrap();
    let told = "SELECT group_concat(of_whom, ' ') FROM (SELECT of_whom FROM refusals ORDER BY of_whom)";
    assert_eq!(file.query_row(told, [], |row| row.get(0)), Ok("1 2 7".to_owned()));
}

/// The names that have become free are an app's to take, and stay.
#[test]
fn an_apps_objects_by_names_that_were_ours_once_are_its_own() {
    let till = till(2);
    let made = "CREATE TABLE attempt (mine INTEGER); CREATE TABLE held_up (mine INTEGER); CREATE TABLE my_own (mine INTEGER);
                CREATE VIEW refusal AS SELECT 7 AS mine; CREATE INDEX customer_email ON my_own (mine);
                CREATE TRIGGER journal_insert AFTER INSERT ON my_own BEGIN INSERT INTO attempt VALUES (NEW.mine); END";
    sql(&till.path).execute_batch(made).unwrap();
    till.set(1, "phone", "555-0142");
    assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
    sql(&till.path)
        .execute_batch("DROP TRIGGER tillsync_journal_insert; INSERT INTO my_own VALUES (7)")
        .unwrap();
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    assert_eq!(
        sql(&till.path).query_row("SELECT count(*) FROM attempt, refusal", [], |row| row.get(0)),
        Ok(1)
    );
}

/// The index of the search comes with the first one: by then an app may have the name of what FTS5 keeps for it. It finds by beginnings,
/// as where SQLite has no FTS5, and what is the app's stays as it is.
#[test]
fn an_apps_own_table_by_a_name_of_the_searchs_is_left_alone() {
    let mut till = till(3);
    let made =
        "CREATE TABLE customer_search_data (last_name); INSERT INTO customer_search_data VALUES ('mine')";
    sql(&till.path).execute_batch(made).unwrap();
    till.set(1, "company", "Garcia");
    assert_eq!(till.store().find("garc", 5).unwrap().customers.len(), 1);
    till.options.wait = SOON;
    till.engine().sync().unwrap();
    till.store().find("garc", 5).unwrap();
    till.sandbox.delete(1);
    till.engine().pull(Extent::Full).unwrap();
    let rows = "SELECT count(*) FROM customer_search_data WHERE last_name = 'mine'";
    assert_eq!(sql(&till.path).query_row(rows, [], |row| row.get(0)), Ok(1));
}

#[test]
fn a_file_that_holds_other_triggers_gets_those_of_this_build_when_it_is_opened() {
    let till = till(1);
    let made = schema(&till.path);
    let file = sql(&till.path);
    file.execute_batch(
        "DROP TRIGGER tillsync_customer_phone_is_valid;
         DROP TRIGGER tillsync_customer_company;
         CREATE TRIGGER tillsync_customer_company BEFORE UPDATE OF company ON customer BEGIN SELECT 'as it was once'; END;
         DROP VIEW tillsync_check_text;",
    )
    .unwrap();
    drop(till.store());
    assert!(schema(&till.path) == made);
    // SQLite runs the newest first, and ours count on their order.
    let again = "SELECT sql FROM sqlite_schema WHERE name = 'tillsync_customer_phone_is_valid'";
    let again: String = file.query_row(again, [], |row| row.get(0)).unwrap();
    file.execute_batch(&format!("DROP TRIGGER tillsync_customer_phone_is_valid; {again}")).unwrap();
    drop(till.store());
    let last = "SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid DESC LIMIT 1";
    let last: String = file.query_row(last, [], |row| row.get(0)).unwrap();
    assert_ne!(last, "tillsync_customer_phone_is_valid");
    let too_long = file.execute("UPDATE customer SET phone = printf('%51s', '') WHERE id = 1", []);
    assert!(too_long.unwrap_err().to_string().contains("at most 50 are allowed"));
}

/// Also those on our views, which SQLite drops with them.
#[test]
fn an_apps_own_triggers_outlive_those_of_another_build() {
    let till = till(1);
    let file = sql(&till.path);
    file.execute_batch(
        r#"CREATE TABLE my_log (line TEXT);
           CREATE TRIGGER "my ""own" INSTEAD OF INSERT ON store_credit_adjustment
           BEGIN INSERT INTO my_log VALUES ('credit ' || NEW.amount); END;
           CREATE TRIGGER on_phone AFTER UPDATE OF phone ON customer
           BEGIN INSERT INTO my_log VALUES ('phone ' || NEW.phone); END;
           DROP TRIGGER tillsync_store_credit_adjustment_insert;"#,
    )
    .unwrap();
    let (store, before) = (till.store(), till.local(1, "store_credit_amounts"));
    drop(store);
    till.store().edit(1).adjust_credit(5.into()).commit().unwrap();
    till.set(1, "phone", "555");
    assert_ne!(till.local(1, "store_credit_amounts"), before);
    let mut lines = file.prepare("SELECT line FROM my_log").unwrap();
    let lines = lines.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<Vec<String>>>();
    assert_eq!(lines.unwrap(), ["credit 5", "phone 555"]);
}

/// Two builds share a file and know the same tables: the older one does not put its triggers back.
#[test]
fn the_triggers_of_a_newer_build_stay() {
    let till = till(1);
    common::as_engine(&sql(&till.path), "UPDATE state SET value = value + 1 WHERE key = 'triggers'", []);
    sql(&till.path).execute_batch("DROP TRIGGER tillsync_customer_company_is_valid").unwrap();
    let theirs = schema(&till.path);
    drop(till.store());
    assert!(schema(&till.path) == theirs);
}

#[test]
fn a_file_of_a_newer_schema_is_refused_and_not_touched() {
    let till = till(1);
    let newer = "INSERT INTO tillsync_schema_history SELECT 99, 'later', applied_on, checksum
                 FROM tillsync_schema_history LIMIT 1";
    sql(&till.path).execute(newer, []).unwrap();
    let before = std::fs::read(&till.path).unwrap();
    let error = Store::open(&till.path).unwrap_err();
    assert_eq!(error.code(), "newer_schema");
    assert!(error.to_string().contains("99"), "{error}");
    assert_eq!(std::fs::read(&till.path).unwrap(), before);
}

// ---- another program upgrades the file meanwhile -----------------------------------------------------------------

/// As a version that is newer than this one would leave the file.
fn upgrade_to_a_newer_one(path: &Path) {
    let newer = "BEGIN;
        CREATE TABLE later (id INTEGER PRIMARY KEY);
        INSERT INTO tillsync_schema_history SELECT 99, 'later', applied_on, checksum FROM tillsync_schema_history LIMIT 1;
        COMMIT";
    let newer_version = sql(path);
    newer_version.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    newer_version.execute_batch(newer).unwrap();
}

/// The same by one whose migrations change no table.
fn note_a_newer_one(path: &Path) {
    let noted = "INSERT INTO tillsync_schema_history SELECT 99, 'later', applied_on, checksum FROM tillsync_schema_history LIMIT 1";
    sql(path).execute_batch(noted).unwrap();
}

/// All that the engine writes, and the journal.
fn contents(path: &Path) -> Vec<String> {
    let file = sql(path);
    let tables = [
        "state",
        "snapshot",
        "journal",
        "batch",
        "batch_item",
        "conflict",
        "tillsync_guard",
        "tillsync_syncs",
    ];
    let text = |table: &&str| {
        let mut rows = file.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = rows.column_count();
        let rows = rows.query_map([], |row| (0..columns).map(|at| row.get(at)).collect()).unwrap();
        let rows: Vec<Vec<rusqlite::types::Value>> = rows.collect::<rusqlite::Result<_>>().unwrap();
        format!("{rows:?}")
    };
    tables.iter().map(text).collect()
}

#[test]
fn a_sync_after_that_says_so_and_writes_nothing() {
    for upgrade in [upgrade_to_a_newer_one, note_a_newer_one] {
        let till = till(3);
        let mut engine = till.engine();
        engine.sync().unwrap();
        till.set(1, "phone", "555-0142");
        upgrade(&till.path);
        let before = contents(&till.path);
        assert_eq!(engine.sync().unwrap_err().code(), "newer_schema");
        assert_eq!(engine.push().unwrap_err().code(), "newer_schema");
        assert_eq!(contents(&till.path), before);
        assert_eq!(till.puts(), Vec::<String>::new());
    }
}

/// What was on its way is in doubt, as after a crash, and the newer version reads it back.
#[test]
fn a_sync_in_the_middle_of_which_that_happens_stops_before_it_writes() {
    let till = till(3);
    till.set(1, "phone", "555-0142");
    let kept = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (path, at_that_moment) = (till.path.clone(), kept.clone());
    let odd = common::odd::Odd::before(&till.sandbox).answer(move |asked, _| {
        if asked.is_put() {
            upgrade_to_a_newer_one(&path);
            *at_that_moment.lock().unwrap() = contents(&path);
        }
    });
    let mut engine = till.through(&odd).engine();
    assert_eq!(engine.sync().unwrap_err().code(), "newer_schema");
    assert_eq!(contents(&till.path), *kept.lock().unwrap());
    let in_doubt: i64 =
        sql(&till.path).query_row("SELECT count(*) FROM batch_item", [], |r| r.get(0)).unwrap();
    assert_eq!(in_doubt, 1);
}

#[test]
fn a_worker_says_so_and_ends() {
    [upgrade_to_a_newer_one, note_a_newer_one].into_iter().for_each(worker_ends_after);
}

fn worker_ends_after(upgrade: fn(&Path)) {
    let till = till(3);
    let options = tillsync::SyncerOptions {
        look: std::time::Duration::from_millis(20),
        ..tillsync::SyncerOptions::default()
    };
    let (syncer, events) = tillsync::Syncer::start(till.engine(), options).unwrap();
    let mut said = Vec::new();
    let deadline = std::time::Instant::now() + SOON;
    while !events.have_ended() && std::time::Instant::now() < deadline {
        match events.next(std::time::Duration::from_millis(100)) {
            Some(tillsync::Event::SyncFinished(_)) => upgrade(&till.path),
            Some(tillsync::Event::SyncFailed { code, .. }) => said.push(code),
            _ => {}
        }
    }
    assert_eq!(said, ["newer_schema"]);
    assert!(events.have_ended());
    assert!(syncer.stop(SOON));
}

// ---- an app that has migrations of its own -------------------------------------------------------------------------

fn migrations_of_the_app() -> refinery::Runner {
    let ours = [
        ("V1__sales", "CREATE TABLE my_sale (id INTEGER PRIMARY KEY, customer_id INTEGER, total TEXT)"),
        ("V9__vouchers", "CREATE TABLE my_voucher (code TEXT PRIMARY KEY)"),
    ];
    let ours = ours.map(|(name, sql)| refinery::Migration::unapplied(name, sql).unwrap());
    refinery::Runner::new(&ours)
}

#[test]
fn an_app_uses_refinery_for_its_own_tables_in_the_same_file() {
    let till = till(3);
    let done = migrations_of_the_app().run(&mut sql(&till.path)).unwrap();
    assert_eq!(done.applied_migrations().len(), 2);
    let mut store = till.store();
    store.edit(1).set("phone", "555-0142").commit().unwrap();
    assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
    assert!(migrations_of_the_app().run(&mut sql(&till.path)).unwrap().applied_migrations().is_empty());
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

/// An older build noted its migrations in refinery's table; the app's notes beside them stay where they are.
#[test]
fn the_notes_of_an_older_build_are_moved_and_those_of_the_app_are_not() {
    let till = Till::new(sandbox(6));
    std::fs::copy(schemas().join("v3.db"), &till.path).unwrap();
    let note = "INSERT INTO refinery_schema_history SELECT 9, 'vouchers', applied_on, '1' FROM refinery_schema_history LIMIT 1";
    sql(&till.path).execute(note, []).unwrap();
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    let left = sql(&till.path).query_row(
        "SELECT group_concat(version || name) FROM refinery_schema_history",
        [],
        |row| row.get(0),
    );
    assert_eq!(left, Ok("9vouchers".to_owned()));
    let newest: i64 = sql(&till.path).query_row(VERSION, [], |row| row.get(0)).unwrap();
    assert!(newest >= 5, "{newest}");
}

#[test]
fn a_database_of_an_app_that_uses_refinery_is_no_till_and_not_touched() {
    let till = Till::new(sandbox(0));
    migrations_of_the_app().run(&mut sql(&till.path)).unwrap();
    let before = std::fs::read(&till.path).unwrap();
    assert_eq!(Store::open(&till.path).unwrap_err().code(), "not_a_till");
    assert_eq!(std::fs::read(&till.path).unwrap(), before);
}

// ---- backup ------------------------------------------------------------------------------------------------------

#[test]
fn a_backup_is_of_one_instant_while_edits_go_on() {
    let till = till(3);
    let is_done = Arc::new(AtomicBool::new(false));
    let edits = Arc::new(AtomicUsize::new(0));
    let (path, done, counted) = (till.path.clone(), is_done.clone(), edits.clone());
    let counter = std::thread::spawn(move || {
        let mut store = Store::open(path).unwrap();
        while !done.load(Ordering::Relaxed) {
            let count = counted.load(Ordering::Relaxed);
            store.edit(1).set("phone", &format!("edit {count}")).commit().unwrap();
            counted.store(count + 1, Ordering::Relaxed);
        }
    });
    let copies: Vec<PathBuf> = (0..5).map(|n| till.folder.path().join(format!("copy {n}.db"))).collect();
    for copy in &copies {
        let bytes = till.store().backup(copy).unwrap();
        assert_eq!(bytes, std::fs::metadata(copy).unwrap().len());
        let so_far = edits.load(Ordering::Relaxed);
        soon(|| edits.load(Ordering::Relaxed) > so_far + 1);
    }
    is_done.store(true, Ordering::Relaxed);
    counter.join().unwrap();

    let mut sizes = Vec::new();
    for copy in &copies {
        let store = Store::open_existing(copy).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        let journal = store.journal(Some(CustomerId(1))).unwrap();
        let row: serde_json::Value = serde_json::from_str(&store.get(1).unwrap().unwrap().to_json()).unwrap();
        if let Some(last) = journal.last() {
            assert_eq!(
                row["phone"].to_string(),
                last.value,
                "the working copy and the journal belong together"
            );
        }
        let mode: String = sql(copy).query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal", "or readers would wait for writers");
        sizes.push(journal.len());
    }
    assert!(sizes.is_sorted() && sizes[4] > sizes[0], "{sizes:?}");
}

#[cfg(unix)]
#[test]
fn a_backup_is_for_its_owner_only_overwrites_nothing_and_leaves_nothing_when_it_fails() {
    use std::os::unix::fs::PermissionsExt;
    let till = till(1);
    let copy = till.folder.path().join("copy.db");
    till.store().backup(&copy).unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&copy).unwrap();
    let error = till.store().backup(&copy).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("copy.db is there already"), "{error}");
    assert_eq!(std::fs::read(&copy).unwrap(), before);

    let nowhere = till.folder.path().join("no folder/copy.db");
    assert_eq!(till.store().backup(&nowhere).unwrap_err().code(), "no_folder");
    // The connection is in a transaction, so SQLite refuses: what was reserved is gone again.
    let mut store = till.store();
    store.connection().execute_batch("BEGIN").unwrap();
    let other = till.folder.path().join("other.db");
    assert!(store.backup(&other).is_err());
    assert!(!other.exists());
}

#[test]
fn a_backup_put_in_the_place_of_a_lost_file_syncs_on() {
    let mut till = eventful();
    let copy = till.folder.path().join("copy.db");
    till.store().backup(&copy).unwrap();
    till.set(5, "company", "not in the backup");
    for suffix in ["", "-wal", "-shm"] {
        let mut lost = till.path.clone().into_os_string();
        lost.push(suffix);
        _ = std::fs::remove_file(lost);
    }
    std::fs::rename(&copy, &till.path).unwrap();
    // The update that was left on its way is still to be answered.
    till.options.wait = SOON;
    till.engine().pull(Extent::Full).unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(5, "company"), "\"Lima & Filhos\"");
    assert_eq!(till.store().status().unwrap().pending_fields, 0);
    till.assert_no_violations();
}

#[cfg(feature = "cli")]
#[test]
fn the_command_makes_a_backup_and_says_where() {
    let till = till(1);
    let copy = till.folder.path().join("copy.db");
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_tillsync"));
    run.args(["--json", "--db"]).arg(&till.path).arg("backup").arg(&copy);
    let output = run.output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said, json!({"path": copy, "bytes": std::fs::metadata(&copy).unwrap().len()}));
    let again = run.output().unwrap();
    assert_eq!(again.status.code(), Some(2));
}
