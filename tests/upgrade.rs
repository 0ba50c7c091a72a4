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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Till, sandbox, till};
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
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 2_000 }]);
    let (syncer, _events) = Syncer::start(till.engine(), SyncerOptions::default()).unwrap();
    while till.store().status().unwrap().in_flight_batches == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
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
    let in_the_way = "CREATE TABLE pull_seen (mine INTEGER); INSERT INTO pull_seen VALUES (7)";
    sql(&till.path).execute_batch(in_the_way).unwrap();
    assert!(Store::open(&till.path).is_err());
    let left: Vec<String> = schema(&till.path).into_iter().map(|(name, _)| name).collect();
    let ours: Vec<&String> = left.iter().filter(|name| !name.contains("schema_history")).collect();
    assert_eq!(ours, ["pull_seen"], "half a schema is left behind");
    sql(&till.path).execute_batch("DROP TABLE pull_seen").unwrap();
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new(), "with that out of the way it goes on");
}

/// What an app has made stands in the way of a view of ours: not even the migrations before it are kept.
#[test]
fn triggers_that_cannot_be_made_take_the_migrations_back() {
    let till = Till::new(sandbox(0));
    sql(&till.path).execute_batch("CREATE TABLE refusal (mine INTEGER)").unwrap();
    assert!(Store::open(&till.path).is_err());
    let left: Vec<String> = schema(&till.path).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["refusal"]);
}

#[test]
fn a_file_that_holds_other_triggers_gets_those_of_this_build_when_it_is_opened() {
    let till = till(1);
    let made = schema(&till.path);
    let file = sql(&till.path);
    file.execute_batch(
        "DROP TRIGGER customer_phone_is_valid;
         DROP TRIGGER customer_company;
         CREATE TRIGGER customer_company BEFORE UPDATE OF company ON customer BEGIN SELECT 'as it was once'; END;
         DROP VIEW check_text;",
    )
    .unwrap();
    drop(till.store());
    assert!(schema(&till.path) == made);
    // SQLite runs the newest first, and ours count on their order.
    let again = "SELECT sql FROM sqlite_schema WHERE name = 'customer_phone_is_valid'";
    let again: String = file.query_row(again, [], |row| row.get(0)).unwrap();
    file.execute_batch(&format!("DROP TRIGGER customer_phone_is_valid; {again}")).unwrap();
    drop(till.store());
    let last = "SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid DESC LIMIT 1";
    let last: String = file.query_row(last, [], |row| row.get(0)).unwrap();
    assert_ne!(last, "customer_phone_is_valid");
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
           DROP TRIGGER store_credit_adjustment_insert;"#,
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
    let newer =
        "UPDATE state SET value = value + 1 WHERE key = 'triggers'; DROP TRIGGER customer_company_is_valid";
    sql(&till.path).execute_batch(newer).unwrap();
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

/// All that the engine writes, and the journal.
fn contents(path: &Path) -> Vec<String> {
    let file = sql(path);
    let tables =
        ["state", "snapshot", "journal", "batch", "batch_item", "conflict", "engine_guard", "tillsync_syncs"];
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
    let till = till(3);
    let mut engine = till.engine();
    engine.sync().unwrap();
    till.set(1, "phone", "555-0142");
    upgrade_to_a_newer_one(&till.path);
    let before = contents(&till.path);
    assert_eq!(engine.sync().unwrap_err().code(), "newer_schema");
    assert_eq!(engine.push().unwrap_err().code(), "newer_schema");
    assert_eq!(contents(&till.path), before);
    assert_eq!(till.puts(), Vec::<String>::new());
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
    let till = till(3);
    let options = tillsync::SyncerOptions {
        look: std::time::Duration::from_millis(20),
        ..tillsync::SyncerOptions::default()
    };
    let (syncer, events) = tillsync::Syncer::start(till.engine(), options).unwrap();
    let mut said = Vec::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !events.have_ended() && std::time::Instant::now() < deadline {
        match events.next(std::time::Duration::from_millis(100)) {
            Some(tillsync::Event::SyncFinished(_)) => upgrade_to_a_newer_one(&till.path),
            Some(tillsync::Event::SyncFailed { code, .. }) => said.push(code),
            _ => {}
        }
    }
    assert_eq!(said, ["newer_schema"]);
    assert!(events.have_ended());
    assert!(syncer.stop(std::time::Duration::from_secs(5)));
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
    let (path, done) = (till.path.clone(), is_done.clone());
    let counter = std::thread::spawn(move || {
        let mut store = Store::open(path).unwrap();
        let mut count = 0;
        while !done.load(Ordering::Relaxed) {
            store.edit(1).set("phone", &format!("edit {count}")).commit().unwrap();
            count += 1;
        }
        count
    });
    let copies: Vec<PathBuf> = (0..5).map(|n| till.folder.path().join(format!("copy {n}.db"))).collect();
    for copy in &copies {
        let bytes = till.store().backup(copy).unwrap();
        assert_eq!(bytes, std::fs::metadata(copy).unwrap().len());
        std::thread::sleep(Duration::from_millis(50));
    }
    is_done.store(true, Ordering::Relaxed);
    assert!(counter.join().unwrap() > 5);

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
    till.options.wait = Duration::from_secs(20);
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
