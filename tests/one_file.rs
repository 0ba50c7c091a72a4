//! A till is one file under one name, with its own log and its own locks; and what is no longer so is told before anything
//! is written.
#![cfg(all(unix, feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;
#[path = "common/worker.rs"]
mod worker;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::command::Ran;
use common::{Till, sandbox, soon, till};
use rusqlite::Connection;
use tillsync::{Event, Extent, Store, Syncer, SyncerOptions};

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

// ---- the log -----------------------------------------------------------------------------------------------------

/// The log of a file as a killed program leaves it: taken while the file is open. What `write` does is in it, and nothing else.
fn log_of(path: &Path, write: impl FnOnce(&Connection)) -> Vec<u8> {
    let app = Connection::open(path).unwrap();
    app.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    write(&app);
    let log = std::fs::read(beside(path, "-wal")).unwrap();
    assert!(log.len() > 32);
    log
}

fn phone(app: &Connection, phone: &str) {
    app.execute("UPDATE customer SET phone = ?1 WHERE id = 1", [phone]).unwrap();
}

/// Refused, with the words, and as it was before; without the log it opens.
fn is_told_and_taken_in_by_nobody(till: &Till, log: &[u8], words: &str) {
    let before = std::fs::read(&till.path).unwrap();
    let stray = beside(&till.path, "-wal");
    std::fs::write(&stray, log).unwrap();
    for _ in 0..2 {
        let refused = Store::open_existing(&till.path).unwrap_err();
        assert_eq!((refused.code(), refused.is_database()), ("stray_log", true), "{refused}");
        assert!(refused.to_string().contains("till.db-wal"), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
        assert_eq!(till.run(["doctor"]).json["checks"][0]["ok"], false);
        assert_eq!((till.run(["status"]).exit, till.run(["status"]).code()), (Some(6), "stray_log"));
    }
    assert!(std::fs::read(&till.path).unwrap() == before, "the file was written");
    assert!(std::fs::read(&stray).unwrap() == log, "the log was written");
    std::fs::remove_file(&stray).unwrap();
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
}

/// A copy of the whole folder, made while nobody has it open.
fn copy_of(till: &Till, name: &str) -> PathBuf {
    let copy = till.folder.path().join(name);
    std::fs::copy(&till.path, &copy).unwrap();
    copy
}

/// Two files of one identity, each edited by itself: the log of the one has gone further than the other.
#[test]
fn so_is_the_log_of_a_copy_that_went_on_by_itself() {
    let till = plain(3);
    let copy = copy_of(&till, "copy.db");
    for id in [1, 2] {
        till.set(id, "phone", "555");
    }
    let edits = log_of(&copy, |app| {
        for phone in ["1", "2", "3"] {
            app.execute("UPDATE customer SET phone = ?1 WHERE id = 3", [phone]).unwrap();
        }
    });
    is_told_and_taken_in_by_nobody(&till, &edits, "of a copy of this file");

    // By syncs only.
    let till = plain(3);
    let copy = Till { path: copy_of(&till, "copy.db"), ..till.clone() };
    till.engine().sync().unwrap();
    let syncs = {
        let open = Connection::open(&copy.path).unwrap();
        open.query_row("SELECT count(*) FROM customer", [], |_| Ok(())).unwrap();
        copy.engine().sync().unwrap();
        copy.engine().sync().unwrap();
        std::fs::read(beside(&copy.path, "-wal")).unwrap()
    };
    is_told_and_taken_in_by_nobody(&till, &syncs, "of a copy of this file");
}

#[test]
fn so_is_one_that_is_newer_than_a_file_that_was_set_back() {
    let till = plain(3);
    let older = copy_of(&till, "older.db");
    till.engine().sync().unwrap();
    let log = {
        let open = Connection::open(&till.path).unwrap();
        open.query_row("SELECT count(*) FROM customer", [], |_| Ok(())).unwrap();
        empty_log(&till);
        till.engine().sync().unwrap();
        std::fs::read(beside(&till.path, "-wal")).unwrap()
    };
    std::fs::copy(older, &till.path).unwrap();
    is_told_and_taken_in_by_nobody(&till, &log, "was set back");
}

/// No sync counts between the two, but the file has grown.
#[test]
fn so_is_one_where_nothing_but_edits_made_it_grow_in_between() {
    let till = plain(3);
    let older = copy_of(&till, "older.db");
    let app = Connection::open(&till.path).unwrap();
    for round in 0..100 {
        phone(&app, &format!("{round}"));
    }
    let log = log_of(&till.path, |app| phone(app, "in the log"));
    drop(app);
    std::fs::copy(older, &till.path).unwrap();
    is_told_and_taken_in_by_nobody(&till, &log, "was set back");
}

/// SQLite deletes a log beside a file that is empty.
#[test]
fn a_log_that_stayed_when_its_file_was_deleted_is_not_deleted_with_what_was_edited() {
    let till = plain(2);
    let log = log_of(&till.path, |app| phone(app, "555"));
    let stayed = beside(&till.path, "-wal");
    for is_empty in [false, true] {
        _ = std::fs::remove_file(&till.path);
        if is_empty {
            std::fs::write(&till.path, "").unwrap();
        }
        std::fs::write(&stayed, &log).unwrap();
        for command in ["pull", "status", "sync"] {
            let ran = till.run([command]);
            assert_eq!(ran.exit, Some(6), "{command}: {ran:?}");
            assert!(["stray_log", "not_there"].contains(&ran.code()), "{command}: {ran:?}");
        }
        assert_eq!(Store::open(&till.path).unwrap_err().code(), "stray_log");
        assert!(std::fs::read(&stayed).unwrap() == log);
    }
    std::fs::remove_file(&stayed).unwrap();
    // What is empty is no till, and one was here: who wants another says so.
    assert_eq!(till.run(["pull"]).exit, Some(2));
    std::fs::remove_file(&till.path).unwrap();
    assert_eq!([["create"], ["pull"]].map(|command| till.run(command).exit), [Some(0); 2]);
}

fn plain(customers: usize) -> Till {
    let mut till = Till::new(sandbox(customers));
    till.key = None;
    till.engine().pull(Extent::Changes).unwrap();
    till
}

#[test]
fn a_log_of_another_till_is_told() {
    let (mine, other) = (plain(30), plain(30));
    let edit = log_of(&other.path, |app| phone(app, "theirs"));
    is_told_and_taken_in_by_nobody(&mine, &edit, "another database");
    // And one in which no edit is, but a sync.
    let app = Connection::open(&other.path).unwrap();
    app.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    other.office(2, serde_json::json!({"company": "theirs"}));
    other.engine().pull(Extent::Changes).unwrap();
    let pull = std::fs::read(beside(&other.path, "-wal")).unwrap();
    is_told_and_taken_in_by_nobody(&mine, &pull, "another database");
    assert_ne!(mine.local(1, "phone"), "\"theirs\"");
}

#[test]
fn so_is_the_log_that_stayed_when_a_backup_took_the_file_s_place() {
    let till = plain(30);
    let copy = till.folder.path().join("copy.db");
    till.store().backup(&copy).unwrap();
    let log = log_of(&till.path, |app| phone(app, "after the backup"));
    std::fs::rename(&copy, &till.path).unwrap();
    is_told_and_taken_in_by_nobody(&till, &log, "another database");
}

#[test]
fn so_is_one_of_the_same_file_as_it_was_earlier() {
    let till = plain(30);
    let log = log_of(&till.path, |app| phone(app, "first"));
    till.set(1, "phone", "second");
    is_told_and_taken_in_by_nobody(&till, &log, "older than the file");
    assert_eq!(till.local(1, "phone"), "\"second\"");
}

/// What an edit wrote to it has been sent since, and nothing was edited after that: read in again, it would be sent twice.
#[test]
fn so_is_one_that_a_sync_has_left_behind() {
    for news in [false, true] {
        let till = plain(3);
        let before = till.remote_value(1, "store_credit_amounts");
        let log = log_of(&till.path, |app| {
            app.execute("INSERT INTO store_credit_adjustment VALUES (1, '7')", []).unwrap();
            phone(app, "555-0142");
        });
        till.engine().sync().unwrap();
        if news {
            till.office(2, serde_json::json!({"notes": "pulled"}));
            till.engine().pull(Extent::Changes).unwrap();
        }
        let sent = till.remote_value(1, "store_credit_amounts");
        assert_ne!(sent, before);
        is_told_and_taken_in_by_nobody(&till, &log, "older than the file");
        till.engine().sync().unwrap();
        assert_eq!(till.remote_value(1, "store_credit_amounts"), sent);
        assert_eq!(till.local(2, "notes") == "\"pulled\"", news);
    }
}

/// A pull stands in it, and edits were made since: they count on in a page that the log has as it was.
#[test]
fn so_is_one_of_a_pull_behind_which_there_are_edits() {
    for edits in [1, 20] {
        let till = plain(3);
        // Perhaps the first ones.
        if edits > 1 {
            phone(&Connection::open(&till.path).unwrap(), "555-0141");
        }
        till.office(2, serde_json::json!({"notes": "pulled"}));
        let log = log_of(&till.path, |_| _ = till.engine().pull(Extent::Changes).unwrap());
        (0..edits).for_each(|edit| till.set(1, "phone", &format!("555-{edit}")));
        is_told_and_taken_in_by_nobody(&till, &log, "older than the file");
        till.engine().sync().unwrap();
        assert_eq!(till.remote_value(1, "phone"), format!("\"555-{}\"", edits - 1));
    }
}

/// No table of ours is in it. SQLite counts in the first page; and the engine notes to which log it writes.
#[test]
fn so_is_one_in_which_only_an_app_has_written_where_that_can_be_known() {
    let sell = |app: &Connection| _ = app.execute("INSERT INTO sale VALUES ('x')", []).unwrap();
    let sales = || {
        let till = plain(3);
        let app = Connection::open(&till.path).unwrap();
        app.execute_batch("CREATE TABLE sale (x); INSERT INTO sale VALUES ('y')").unwrap();
        till
    };
    let till = sales();
    let log = log_of(&till.path, |app| app.execute_batch("CREATE TABLE tip (x)").unwrap());
    log_of(&till.path, |app| app.execute_batch("CREATE TABLE till_2 (x)").unwrap());
    is_told_and_taken_in_by_nobody(&till, &log, "older than the file");

    let till = sales();
    let app = Connection::open(&till.path).unwrap();
    sell(&app);
    let log = log_of(&till.path, sell);
    // The engine writes to it, to the next one, and into the file.
    for _ in 0..2 {
        till.engine().sync().unwrap();
        sell(&app);
        empty_log(&till);
    }
    till.engine().sync().unwrap();
    drop(app);
    is_told_and_taken_in_by_nobody(&till, &log, "older than the file");
}

#[test]
fn so_is_one_of_another_program_s_database_whatever_pages_it_has() {
    let till = plain(300);
    let other = till.folder.path().join("other.db");
    let app = Connection::open(&other).unwrap();
    app.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    let first_page_too = std::fs::read(beside(&other, "-wal")).unwrap();
    is_told_and_taken_in_by_nobody(&till, &first_page_too, "another database");
    let fill = "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO t SELECT zeroblob(3000) FROM n";
    app.execute_batch(fill).unwrap();
    let only_one = |row: i64| {
        let update = "UPDATE t SET x = randomblob(3000) WHERE rowid = ?1";
        log_of(&other, |app| assert_eq!(app.execute(update, [row]).unwrap(), 1))
    };
    // What falls on a page that is free, or behind the last, is no harm.
    let customers = || till.run(["find", "--limit", "1000", ""]).json;
    let (before, mut told) = (customers(), Vec::new());
    for row in (2..200).step_by(9) {
        std::fs::write(beside(&till.path, "-wal"), only_one(row)).unwrap();
        match Store::open_existing(&till.path) {
            Err(refused) => {
                assert_eq!(refused.code(), "stray_log");
                told.push(refused.to_string());
                std::fs::remove_file(beside(&till.path, "-wal")).unwrap();
            }
            Ok(store) => assert_eq!(store.check().unwrap(), Vec::<String>::new()),
        }
        assert_eq!(customers(), before);
    }
    // Of those that bring the file's first page too, as one that another process has begun anew may, something else is said.
    let is_of_it = |told: &&String| told.contains("would be damaged") || told.contains("another database");
    assert!(told.len() > 5 && told.iter().filter(is_of_it).count() == told.len(), "{told:?}");
    is_told_and_taken_in_by_nobody(&till, &[7; 9_000], "no log of SQLite");
    let small = till.folder.path().join("small.db");
    let app = Connection::open(&small).unwrap();
    app.execute_batch("PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
    let small = std::fs::read(beside(&small, "-wal")).unwrap();
    is_told_and_taken_in_by_nobody(&till, &small, "pages of another size");
}

#[cfg(feature = "sqlcipher")]
#[test]
fn so_is_one_beside_an_encrypted_file() {
    let encrypted = || {
        let mut till = Till::new(sandbox(5));
        till.key = Some("correct horse".to_owned());
        till.engine().pull(Extent::Changes).unwrap();
        till
    };
    let (mine, other) = (encrypted(), encrypted());
    let mut open = other.store();
    open.edit(1).set("phone", "theirs").commit().unwrap();
    let log = std::fs::read(beside(&other.path, "-wal")).unwrap();
    drop(open);
    let before = std::fs::read(&mine.path).unwrap();
    std::fs::write(beside(&mine.path, "-wal"), log).unwrap();
    let key = tillsync::Key::parse("correct horse").unwrap();
    let options = tillsync::StoreOptions { create: false, key: Some(key), ..Default::default() };
    assert_eq!(Store::open_with(&mine.path, options).unwrap_err().code(), "stray_log");
    assert_eq!(mine.run(["status"]).code(), "stray_log");
    assert!(std::fs::read(&mine.path).unwrap() == before);
    std::fs::remove_file(beside(&mine.path, "-wal")).unwrap();
    assert_eq!(mine.store().check().unwrap(), Vec::<String>::new());
}

/// It has every page too, where it reaches back to the beginning.
#[test]
fn so_is_one_of_before_the_backup_that_was_put_beside_it() {
    let keys = if cfg!(feature = "sqlcipher") { &[None, Some("correct horse")][..] } else { &[None] };
    for key in keys {
        let mut till = Till::new(sandbox(20));
        till.key = key.map(str::to_owned);
        let mut open = till.engine();
        open.pull(Extent::Changes).unwrap();
        let log = std::fs::read(beside(&till.path, "-wal")).unwrap();
        till.set(1, "phone", "later than the log");
        let put_back = till.folder.path().join("put back");
        std::fs::create_dir(&put_back).unwrap();
        let mine = Till { path: put_back.join("till.db"), ..till.clone() };
        till.store().backup(&mine.path).unwrap();
        let before = std::fs::read(&mine.path).unwrap();
        std::fs::write(beside(&mine.path, "-wal"), log).unwrap();
        assert_eq!(mine.run(["status"]).code(), "stray_log", "{key:?}");
        assert!(std::fs::read(&mine.path).unwrap() == before);
        std::fs::remove_file(beside(&mine.path, "-wal")).unwrap();
        assert_eq!(mine.local(1, "phone"), till.local(1, "phone"));
    }
}

/// So is one that is newer: the sync in between wrote to a log of its own, of which the copy knows nothing. With it, what waits in the copy
/// would be sent once more.
#[test]
fn so_is_one_of_after_the_copy_that_was_put_beside_it() {
    let keys = if cfg!(feature = "sqlcipher") { &[None, Some("correct horse")][..] } else { &[None] };
    for key in keys {
        let mut till = Till::new(sandbox(5));
        till.key = key.map(str::to_owned);
        till.engine().pull(Extent::Changes).unwrap();
        till.store().edit(1).adjust_credit("7".parse().unwrap()).commit().unwrap();
        assert!(!beside(&till.path, "-wal").exists());
        let copy = std::fs::read(&till.path).unwrap();
        till.engine().sync().unwrap();
        // As a worker leaves it that is killed after its first sync.
        let mut open = till.engine();
        open.sync().unwrap();
        let log = std::fs::read(beside(&till.path, "-wal")).unwrap();
        drop(open);
        std::fs::write(&till.path, &copy).unwrap();
        std::fs::write(beside(&till.path, "-wal"), log).unwrap();
        assert_eq!(till.run(["sync"]).code(), "stray_log", "{key:?}");
        std::fs::remove_file(beside(&till.path, "-wal")).unwrap();
        assert_eq!(till.run(["sync"]).code(), "");
        assert_eq!(till.outcomes(1, "store_credit_amounts"), ["rejected"], "{key:?}: it waits for a person");
    }
}

/// Nor does it where nothing but edits are in the log: no transaction of the engine has noted it then, and it shows later ones than the copy has.
#[test]
fn so_is_one_of_edits_alone_after_the_copy_that_was_put_beside_it() {
    let keys = if cfg!(feature = "sqlcipher") { &[None, Some("correct horse")][..] } else { &[None] };
    for key in keys {
        let mut till = Till::new(sandbox(5));
        till.key = key.map(str::to_owned);
        till.engine().pull(Extent::Changes).unwrap();
        let before = till.remote_value(1, "store_credit_amounts");
        till.store().edit(1).adjust_credit("7".parse().unwrap()).commit().unwrap();
        let copy = std::fs::read(&till.path).unwrap();
        for _ in 0..2 {
            till.engine().sync().unwrap();
        }
        let sent = till.remote_value(1, "store_credit_amounts");
        assert_ne!(sent, before);
        assert!(!beside(&till.path, "-wal").exists());
        let mut open = till.store();
        open.edit(2).set("phone", "555-0142").commit().unwrap();
        let log = std::fs::read(beside(&till.path, "-wal")).unwrap();
        drop(open);
        std::fs::write(&till.path, &copy).unwrap();
        std::fs::write(beside(&till.path, "-wal"), log).unwrap();
        assert_eq!(till.run(["sync"]).code(), "stray_log", "{key:?}");
        assert!(std::fs::read(&till.path).unwrap() == copy);
        assert_eq!(till.remote_value(1, "store_credit_amounts"), sent, "{key:?}");
    }
}

/// The file is whole without it: it is not the file that is damaged.
#[test]
fn so_is_one_with_which_the_journal_cannot_be_read() {
    let till = plain(3);
    let file = std::fs::read(&till.path).unwrap();
    let log = log_of(&till.path, |app| {
        phone(app, "555-0142");
        app.execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema
             SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'tillsync_journal_unsettled')
             WHERE name = 'journal'",
        )
        .unwrap();
    });
    // Closing has moved it in.
    std::fs::write(&till.path, file).unwrap();
    is_told_and_taken_in_by_nobody(&till, &log, "would be damaged");
}

/// It knew nothing of turns, and took the note for that of another log.
#[test]
fn a_log_that_an_earlier_build_noted_too_is_the_files_own_and_noted_once() {
    let till = plain(3);
    let _open = Connection::open(&till.path).unwrap().query_row("SELECT 1 FROM customer", [], |_| Ok(()));
    let mut engine = till.engine();
    engine.sync().unwrap();
    let noted = || {
        let app = Connection::open(&till.path).unwrap();
        let notes = "SELECT value FROM state WHERE key = 'logs'";
        let notes: String = app.query_row(notes, [], |row| row.get(0)).unwrap();
        notes.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let last = noted().pop().unwrap();
    let number = last.split_once('@').unwrap().0;
    let app = Connection::open(&till.path).unwrap();
    let note = "UPDATE state SET value = value || ' ' || ?1 WHERE key = 'logs'";
    assert_eq!(common::as_engine(&app, note, [number]), 1);
    app.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    // As whoever is killed leaves it.
    let spare = till.folder.path().join("spare");
    std::fs::create_dir(&spare).unwrap();
    for suffix in ["", "-wal"] {
        std::fs::copy(beside(&till.path, suffix), beside(&spare.join("till.db"), suffix)).unwrap();
    }
    let killed = Till { path: spare.join("till.db"), ..till.clone() };
    assert_eq!(killed.run(["status"]).code(), "");
    phone(&app, "555-0142");
    engine.sync().unwrap();
    engine.sync().unwrap();
    let notes = noted();
    assert_eq!(
        notes.iter().filter(|note| note.starts_with(number)).collect::<Vec<_>>(),
        [&last],
        "{notes:?}"
    );
}

/// As a power cut leaves it, at many moments of a file's life: its own log is never taken for a stray one.
#[test]
fn the_file_s_own_log_is_read_whatever_is_in_it() {
    let till = till(30);
    let mut open = till.store();
    let spare = till.folder.path().join("spare");
    std::fs::create_dir(&spare).unwrap();
    let cut = |what: &str| {
        for suffix in ["", "-wal"] {
            std::fs::copy(beside(&till.path, suffix), beside(&spare.join("till.db"), suffix)).unwrap();
        }
        _ = std::fs::remove_file(spare.join("till.db-shm"));
        let copy = Till { path: spare.join("till.db"), ..till.clone() };
        let said = copy.run(["show", "1"]);
        assert_eq!(said.exit, Some(0), "{what}: {:?}", said.json);
        assert_eq!(copy.local(1, "phone"), till.local(1, "phone"), "{what}");
    };
    cut("after a pull");
    for round in 0..6 {
        open.edit(1).set("phone", &format!("{round}")).commit().unwrap();
        cut("after an edit");
        let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE", "PASSIVE", "RESTART"][round];
        let app = open.connection();
        app.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
        cut(mode);
        app.execute_batch("CREATE TABLE IF NOT EXISTS sale (x); INSERT INTO sale VALUES (1)").unwrap();
        cut("after a sale");
        till.office(2, serde_json::json!({"company": format!("office {round}")}));
        till.engine().sync().unwrap();
        cut("after a sync");
    }
    // All in one log, with the tables at other places each time.
    for round in 0..4 {
        let moved = if round % 2 == 0 {
            "CREATE TABLE wide (x); INSERT INTO wide VALUES (zeroblob(40000))"
        } else {
            "DROP TABLE wide"
        };
        open.connection().execute_batch(&format!("{moved}; VACUUM")).unwrap();
        cut("after VACUUM");
        for again in 0..3 {
            open.edit(1).set("phone", &format!("{round} {again}")).commit().unwrap();
            till.engine().push().unwrap();
            cut("after a push");
        }
    }
    for (what, tool) in [
        ("emptied", "DELETE FROM sqlite_sequence"),
        ("set back", "UPDATE sqlite_sequence SET seq = 0 WHERE name <> 'journal'"),
    ] {
        open.connection().execute_batch(tool).unwrap();
        cut(&format!("after a tool {what} the counters"));
        till.engine().sync().unwrap();
        cut("and a sync");
    }
    drop(open);
    till.set(1, "phone", "in the end");
    assert_eq!(till.local(1, "phone"), "\"in the end\"");
}

/// A program has taken out a table of ours, and has the file open still, or was killed: its log is no stray one, and nobody is told to move
/// it away.
#[test]
fn a_log_in_which_a_table_of_ours_was_taken_out_is_the_files_own() {
    for taken in
        ["DROP TABLE tillsync_guard", "ALTER TABLE journal RENAME TO journal_2", "DROP TABLE journal"]
    {
        let till = plain(3);
        let app = Connection::open(&till.path).unwrap();
        app.execute_batch(&format!(
            "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA foreign_keys = OFF; {taken};
             CREATE TABLE sale (x); INSERT INTO sale VALUES (1)"
        ))
        .unwrap();
        let killed = elsewhere(&till);
        for suffix in ["", "-wal"] {
            std::fs::copy(beside(&till.path, suffix), beside(&killed, suffix)).unwrap();
        }
        for path in [&till.path, &killed] {
            for _ in 0..2 {
                let ran = Till { path: path.clone(), ..till.clone() }.run(["status"]);
                assert_eq!((ran.exit, ran.code()), (Some(6), "misshapen"), "{taken}");
            }
        }
        assert_eq!(app.query_row("SELECT x FROM sale", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }
}

/// Through SQLite, as an app does it, into the connection that it goes on with.
fn put_back(app: &mut Connection, copy: &Path) {
    let copy = Connection::open(copy).unwrap();
    let copying = rusqlite::backup::Backup::new(&copy, app).unwrap();
    copying.run_to_completion(i32::MAX, Duration::ZERO, None).unwrap();
}

/// Nothing is mixed: the log has every page, and was written over this file. It is read in, whoever is there, and what was edited since.
#[test]
fn a_copy_that_an_app_puts_back_through_sqlite_is_the_files_own() {
    for of_ours in [true, false] {
        let till = plain(30);
        let copy = till.folder.path().join("copy.db");
        match of_ours {
            true => _ = till.store().backup(&copy).unwrap(),
            false => _ = std::fs::copy(&till.path, &copy).unwrap(),
        }
        till.set(2, "phone", "after the copy");
        let mut app = Connection::open(&till.path).unwrap();
        app.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE sale (x)").unwrap();
        put_back(&mut app, &copy);
        phone(&app, "after it was put back");
        let killed = elsewhere(&till);
        for suffix in ["", "-wal"] {
            std::fs::copy(beside(&till.path, suffix), beside(&killed, suffix)).unwrap();
        }
        for (path, what) in [(&till.path, "open"), (&killed, "killed")] {
            let till = Till { path: path.clone(), ..till.clone() };
            for command in [&["status"][..], &["show", "1"], &["edit", "3", "phone=too"], &["status"]] {
                let ran = till.run(command.iter().copied());
                assert_eq!(ran.exit, Some(0), "{of_ours}, {what}, {command:?}: {:?}", ran.json);
            }
            assert_eq!(till.run(["doctor"]).json["checks"][0]["ok"], true, "{of_ours}, {what}");
            assert_eq!(till.local(1, "phone"), "\"after it was put back\"");
            assert_ne!(till.local(2, "phone"), "\"after the copy\"");
        }
        app.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(app);
        assert_eq!(till.run(["status"]).exit, Some(0));
        assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    }
}

/// Of another till, that has all of it in its log: its identity is in there before.
#[test]
fn a_log_that_has_every_page_of_another_till_is_none_of_it() {
    let (mine, other) = (plain(30), plain(30));
    let whole = log_of(&other.path, |app| {
        phone(app, "theirs");
        app.execute_batch("VACUUM").unwrap();
    });
    is_told_and_taken_in_by_nobody(&mine, &whole, "another database");
}

/// What an app put there that is no till is called what it is, and not a log of another database.
#[test]
fn what_is_put_there_through_sqlite_and_is_no_till_is_called_so() {
    let till = plain(3);
    let other = till.folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (1)").unwrap();
    let mut app = Connection::open(&till.path).unwrap();
    put_back(&mut app, &other);
    for _ in 0..2 {
        let ran = till.run(["status"]);
        assert_eq!((ran.exit, ran.code()), (Some(6), "not_a_till"), "{:?}", ran.json);
    }
    assert_eq!(app.query_row("SELECT b FROM a", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

// ---- the path ----------------------------------------------------------------------------------------------------

/// What is to be done to the file, and with which code that is told.
type Fate = (&'static str, fn(&Till), &'static str);

const FATES: [Fate; 5] = [
    ("moved", |till| std::fs::rename(&till.path, elsewhere(till)).unwrap(), "moved"),
    ("deleted", |till| std::fs::remove_file(&till.path).unwrap(), "moved"),
    ("replaced", |till| std::fs::rename(other(till), &till.path).unwrap(), "moved"),
    ("its folder moved", move_the_folder, "moved"),
    ("linked", |till| std::fs::hard_link(&till.path, elsewhere(till)).unwrap(), "hard_link"),
];

fn elsewhere(till: &Till) -> PathBuf {
    till.path.with_file_name("elsewhere.db")
}

fn other(till: &Till) -> PathBuf {
    let path = till.path.with_file_name("other.db");
    till.store().backup(&path).unwrap();
    path
}

fn move_the_folder(till: &Till) {
    let folder = till.path.parent().unwrap();
    std::fs::rename(folder, folder.with_file_name("moved")).unwrap();
}

/// In a folder of its own, which may be moved.
fn movable() -> Till {
    let till = Till::new(sandbox(3));
    let folder = till.folder.path().join("here");
    std::fs::create_dir(&folder).unwrap();
    let till = Till { path: folder.join("till.db"), ..till };
    till.engine().pull(Extent::Changes).unwrap();
    till
}

#[test]
fn a_file_that_was_moved_deleted_replaced_or_linked_while_it_was_open_is_told_and_written_to_no_more() {
    for (what, happens, code) in FATES {
        let till = movable();
        let (mut store, mut engine) = (till.store(), till.engine());
        store.edit(1).set("phone", "before").commit().unwrap();
        happens(&till);
        let refused = store.edit(1).set("phone", "after").commit().unwrap_err();
        assert_eq!((refused.code(), refused.is_database()), (code, true), "{what}");
        let failed = engine.sync().unwrap_err();
        assert_eq!(failed.code(), code, "{what}");
        assert_eq!(store.status().unwrap_err().code(), code, "{what}: it is not of the file that is there");
        let hint = failed.hint().unwrap();
        assert!(hint.contains(if code == "moved" { "-wal" } else { "-samefile" }), "{hint}");
        assert!(till.puts().is_empty(), "{what}");
    }
}

#[test]
fn a_worker_says_so_syncs_no_more_and_goes_on_when_the_file_is_back() {
    for (what, happens, code) in FATES {
        let till = movable();
        let mut worker = till.worker(&[]);
        worker.until_event("sync_finished");
        happens(&till);
        till.sandbox.clear_requests();
        let failed = worker.until(|line| line["event"] == "sync_failed");
        assert_eq!(failed["code"], code, "{what}");
        assert!(failed["hint"].is_string());
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!((till.gets(), till.puts().len()), (0, 0), "{what}: the store is asked for nothing");
        let status = worker.call(serde_json::json!({ "command": "status" }));
        assert_eq!(status["error"]["code"], code, "{what}: {status}");
        match what {
            "moved" => std::fs::rename(elsewhere(&till), &till.path).unwrap(),
            "linked" => std::fs::remove_file(elsewhere(&till)).unwrap(),
            _ => continue,
        }
        worker.until_event("sync_finished");
        till.sell(1, "555");
        soon(|| till.remote_value(1, "phone") == "\"555\"");
    }
}

#[test]
fn a_second_name_is_refused_and_a_symbolic_link_is_the_file_itself_with_its_locks() {
    let till = till(3);
    let (second, symbolic) = (till.folder.path().join("second.db"), till.folder.path().join("symbolic.db"));
    std::fs::hard_link(&till.path, &second).unwrap();
    for path in [&till.path, &second] {
        let refused = Store::open(path).unwrap_err();
        assert_eq!(refused.code(), "hard_link");
        assert!(refused.hint().unwrap().contains("symbolic link"));
    }
    assert_eq!((till.run(["status"]).exit, till.run(["status"]).code()), (Some(6), "hard_link"));
    std::fs::remove_file(&second).unwrap();

    std::os::unix::fs::symlink("till.db", &symbolic).unwrap();
    let linked = Till { path: symbolic, ..till.clone() };
    linked.set(1, "phone", "by the link");
    assert_eq!(till.local(1, "phone"), "\"by the link\"");
    let options = || SyncerOptions { look: Duration::from_millis(5), ..SyncerOptions::default() };
    let (first, _events) = Syncer::start(till.engine(), options()).unwrap();
    soon(|| first.is_at_work());
    let (second, _events) = Syncer::start(linked.engine(), options()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(!second.is_at_work(), "one worker a file");
    let beside: Vec<String> = std::fs::read_dir(till.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("symbolic"))
        .collect();
    assert_eq!(beside, ["symbolic.db"]);
}

#[test]
fn what_is_no_file_is_called_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let cases = [
        (Path::new("/dev/null"), "a device"),
        (folder.path(), "a folder"),
        (&pipe, "a pipe"),
        (&socket, "a socket"),
    ];
    for (path, what) in cases {
        for refused in [Store::open(path).unwrap_err(), Store::open_existing(path).unwrap_err()] {
            assert_eq!((refused.code(), refused.is_database()), ("not_a_file", true), "{refused}");
            assert!(refused.to_string().contains(what), "{refused}");
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillsync"));
        let said = Ran::of(&command.args(["--json", "status", "--db"]).arg(path).output().unwrap());
        assert_eq!((said.exit, said.code()), (Some(6), "not_a_file"));
    }
}

/// No file is made behind it, and none in its place: perhaps a disk is not there now.
#[test]
#[cfg(unix)]
fn a_link_that_leads_nowhere_is_told_as_that() {
    let till = till(3);
    let link = till.folder.path().join("link.db");
    for target in ["nowhere/till.db", "nothing.db"] {
        std::os::unix::fs::symlink(target, &link).unwrap();
        let ran = Till { path: link.clone(), ..till.clone() }.run(["pull"]);
        assert_eq!((ran.exit, ran.code()), (Some(6), "not_a_file"), "{ran:?}");
        assert!(ran.json["error"]["message"].to_string().contains("a symbolic link to what is not there"));
        std::fs::remove_file(&link).unwrap();
    }
    assert!(!till.folder.path().join("nothing.db").exists());
}

/// Whoever has the file open has it still; the others know by its index that there was one.
#[test]
#[cfg(unix)]
fn a_log_that_somebody_removed_under_a_program_is_told_to_the_others_too() {
    let till = plain(3);
    let app = Connection::open(&till.path).unwrap();
    phone(&app, "in the log");
    std::fs::remove_file(beside(&till.path, "-wal")).unwrap();
    for arguments in [["status"].as_slice(), &["edit", "1", "phone=5"], &["sync"]] {
        let ran = till.run(arguments.iter().copied());
        assert_eq!((ran.exit, ran.code()), (Some(6), "log_gone"), "{ran:?}");
    }
    drop(app);
    assert_eq!(till.run(["status"]).exit, Some(0));
}

/// From the fewest with which a program can be loaded at all.
#[test]
fn a_process_that_may_open_no_more_files_is_told_that_and_nothing_else() {
    let till = till(3);
    for command in ["edit 1 phone=$2", "backup \"$1.copy-$2\""] {
        let mut said = Vec::new();
        for most in 4..14 {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n $2; exec \"$0\" --json --db \"$1\" {command}")]);
            shell.arg(env!("CARGO_BIN_EXE_tillsync")).arg(&till.path).arg(most.to_string());
            let ran = Ran::of(&shell.output().unwrap());
            said.push(match ran.exit {
                Some(0) => "fine".to_owned(),
                _ => ran.code().to_owned(),
            });
        }
        assert!(said.iter().all(|code| code == "too_many_files" || code == "fine"), "{command}: {said:?}");
        assert!(said.contains(&"too_many_files".to_owned()), "{command}: {said:?}");
        assert_eq!(said.last().map(String::as_str), Some("fine"), "{command}");
    }
}

/// Whether no descriptor is left for the file, for what lies beside it, or for a connection to the store: it is never the network.
#[test]
fn a_sync_for_whose_connections_no_descriptor_is_left_is_told_that() {
    let till = till(60);
    let with = |most: u32, arguments: &str| {
        let line = format!("ulimit -n {most}; exec \"$0\" {arguments} --json");
        let mut command = till.command([]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_tillsync")]);
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        _ = command.stdin(Stdio::null());
        Ran::of(&shell.output().unwrap())
    };
    let mut said = Vec::new();
    for most in 4..30 {
        (1..=10).for_each(|id| till.set(id, "phone", &format!("{most}")));
        // It is opened as the first connection is, and would always be the one that fails.
        _ = std::fs::remove_file(beside(&till.path, "-life"));
        let ran = with(most, "sync");
        said.push(match ran.exit {
            Some(0) => "fine".to_owned(),
            _ => format!("{} {}", ran.code(), ran.json["error"]["message"]),
        });
    }
    let is_told = |said: &String| said == "fine" || said.starts_with("too_many_files ");
    assert!(said.iter().all(is_told), "{said:#?}");
    assert!(said.iter().any(|said| said.contains("no connection to the store")), "{said:#?}");
    assert_eq!(said.last().map(String::as_str), Some("fine"));
    let lacks = |ran: &Ran| {
        let checks = ran.json["checks"].as_array().cloned().unwrap_or_default();
        checks.iter().any(|check| check["detail"].as_str().unwrap().contains("may open no more files"))
    };
    assert!((4..8).any(|most| lacks(&with(most, "doctor"))));
}

// ---- the locks ---------------------------------------------------------------------------------------------------

#[test]
fn two_workers_are_never_both_at_work_also_when_their_lock_was_removed() {
    let till = till(3);
    let options = || SyncerOptions { look: Duration::from_millis(5), ..SyncerOptions::default() };
    let (first, _events) = Syncer::start(till.engine(), options()).unwrap();
    soon(|| first.is_at_work());
    for _ in 0..3 {
        std::fs::remove_file(beside(&till.path, "-worker")).unwrap();
        let (second, _events) = Syncer::start(till.engine(), options()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        soon(|| first.is_at_work() != second.is_at_work());
        drop(second);
        soon(|| first.is_at_work());
    }
}

#[test]
fn a_sync_whose_lock_was_removed_writes_nothing_more() {
    let till = Till::new(sandbox(5_000));
    let lock = beside(&till.path, "-sync");
    let mut engine = till.engine().on_event(move |event| {
        if matches!(event, Event::Progress(_)) {
            _ = std::fs::remove_file(&lock);
        }
    });
    let failed = engine.pull(Extent::Full).unwrap_err();
    assert_eq!((failed.code(), failed.is_database(), failed.can_retry()), ("lock_gone", true, true));
    assert!(till.store().status().unwrap().snapshot_customers < 5_000);
    drop(engine);
    assert!(till.engine().pull(Extent::Full).unwrap().complete);
}

#[cfg(unix)]
#[test]
fn an_empty_file_that_becomes_a_till_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("till.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _store = tillsync::Store::open(&path).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

/// SQLite would say so only after the file was made.
#[test]
fn a_name_to_which_what_lies_beside_does_not_fit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let deep = (0..4).fold(folder.path().to_owned(), |path, _| path.join("d".repeat(120)));
    std::fs::create_dir_all(&deep).unwrap();
    for path in
        [folder.path().join("n".repeat(250)), folder.path().join("n".repeat(248)), deep.join("till.db")]
    {
        let refused = tillsync::Store::open(&path).unwrap_err();
        assert_eq!(refused.code(), "usage", "{refused}");
        assert!(!path.exists());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(tillsync::Store::open(folder.path().join("n".repeat(247))).is_ok());
}

/// Somebody deletes the index of the log under a worker: who opens the file next makes another one, and neither sees the other's locks.
#[test]
#[cfg(target_os = "linux")]
fn an_index_of_the_log_that_was_deleted_is_found_out_and_what_was_edited_is_there() {
    let till = common::till(20);
    let mut engine = till.engine();
    engine.sync().unwrap();
    std::fs::remove_file(format!("{}-shm", till.path.display())).unwrap();
    let edited = till.command(["edit", "3", "phone=555-0142"]).output().unwrap();
    assert!(edited.status.success());
    assert_eq!(engine.sync().unwrap_err().code(), "log_gone");
    assert_eq!(engine.store().status().unwrap_err().code(), "log_gone");
    drop(engine);
    let there = till.command(["show", "3"]).output().unwrap();
    assert!(String::from_utf8_lossy(&there.stdout).contains("555-0142"), "{there:?}");
}

/// A worker goes on with the file that it opened: of the one that took its place it is none.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_of_the_file_that_was_here_before_keeps_this_one_in_no_step() {
    let till = common::till(20);
    let other = till.folder.path().join("other.db");
    till.store().backup(&other).unwrap();
    let mut command = till.command(["worker"]);
    let mut worker =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(worker.stdout.as_mut().unwrap()), &mut ready)
        .unwrap();
    assert!(ready.contains("ready"), "{ready}");
    let is_kept = || till.run(["status"]).json["sync"]["worker_alive"] == true;
    assert!(is_kept());
    std::fs::rename(&other, &till.path).unwrap();
    for suffix in ["-wal", "-shm"] {
        _ = std::fs::rename(
            format!("{}{suffix}", till.path.display()),
            format!("{}{suffix}", other.display()),
        );
    }
    soon(|| !is_kept());
    // And as soon as it has found out, it is in nobody's way.
    let lock = std::fs::File::open(beside(&till.path, "-worker")).unwrap();
    soon(|| lock.try_lock_shared().is_ok());
    drop(lock);
    let mut second = till.worker(&[]);
    second.until_event("sync_finished");
    assert!(is_kept());
    worker.kill().unwrap();
    worker.wait().unwrap();
}

/// It is at work for nobody, and says so by its lock, which went with the folder.
#[test]
fn a_worker_that_has_given_up_is_none_and_another_one_takes_the_file() {
    let till = movable();
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    move_the_folder(&till);
    let failed = worker.until(|line| line["event"] == "sync_failed");
    assert_eq!(failed["code"], "moved");
    let there = till.path.parent().unwrap().with_file_name("moved").join("till.db");
    let moved = Till { path: there, ..till.clone() };
    soon(|| moved.run(["status"]).json["sync"]["worker_alive"] == false);
    let mut second = moved.worker(&[]);
    second.until_event("sync_finished");
    assert_eq!(moved.run(["status"]).json["sync"]["worker_alive"], true);
}

// ---- what lies beside it -----------------------------------------------------------------------------------------

/// Whether this user is kept from anything: root is not.
#[allow(clippy::print_stderr, reason = "what did not run is said")]
fn rights_count(path: &Path) -> bool {
    let counts = std::fs::OpenOptions::new().read(true).write(true).open(path).is_err();
    if !counts {
        eprintln!("NOT RUN: this user may open everything");
    }
    counts
}

fn set_rights(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_no_lock_is_told_by_whoever_looks() {
    type Odd = (&'static str, fn(&Path));
    let odd: [Odd; 6] = [
        ("folder", |lock| std::fs::create_dir(lock).unwrap()),
        ("symbolic link", |lock| std::os::unix::fs::symlink("nowhere", lock).unwrap()),
        ("hard link", |lock| {
            let letter = lock.with_file_name("letter");
            std::fs::write(&letter, "").unwrap();
            std::fs::hard_link(letter, lock).unwrap();
        }),
        ("no file", |lock| assert!(Command::new("mkfifo").arg(lock).status().unwrap().success())),
        ("no lock holds", |lock| std::fs::write(lock, "a letter").unwrap()),
        ("may not", |lock| {
            std::fs::write(lock, "").unwrap();
            set_rights(lock, 0o400);
        }),
    ];
    for (words, put) in odd {
        for (suffix, name) in [("-sync", "sync"), ("-worker", "worker")] {
            let till = plain(3);
            let lock = beside(&till.path, suffix);
            _ = std::fs::remove_file(&lock);
            put(&lock);
            if words == "may not" && !rights_count(&lock) {
                continue;
            }
            let refused = till.run([name]);
            assert_eq!((refused.exit, refused.code()), (Some(6), "no_lock"), "{words}: {:?}", refused.json);
            let status = till.run(["status"]);
            let sync = &status.json["sync"];
            assert_eq!((status.exit, &sync["state"]), (Some(0), &"failed".into()), "{words}: {sync}");
            let said = sync["last_error"]["message"].as_str().unwrap();
            assert_eq!(sync["last_error"]["code"], "no_lock");
            assert!(said.contains(words) && said.contains(&format!("till.db{suffix}")), "{said}");
            let doctor = till.run(["doctor"]);
            let checks = doctor.json["checks"].as_array().unwrap();
            let check = checks.iter().find(|check| check["name"] == name).unwrap();
            assert_eq!((&check["ok"], check["detail"].as_str()), (&false.into(), Some(said)), "{words}");
            till.set(1, "phone", "an edit is taken all the same");
        }
    }
}

/// What SQLite would make there would be read-only too, and stay.
#[test]
fn a_file_that_is_read_only_gets_nothing_beside_it() {
    let till = plain(3);
    set_rights(&till.path, 0o444);
    if !rights_count(&till.path) {
        return;
    }
    for command in [&["status"][..], &["edit", "1", "phone=2"], &["doctor"]] {
        let ran = till.run(command.iter().copied());
        assert_eq!(ran.exit, Some(6), "{:?}", ran.json);
        assert!(!beside(&till.path, "-shm").exists() && !beside(&till.path, "-wal").exists());
    }
    set_rights(&till.path, 0o600);
    till.set(1, "phone", "3");
}

// ---- pages of another file ---------------------------------------------------------------------------------------

/// Into the file that is there, by another program.
fn copy_into(till: &Till, from: &Path) {
    assert!(Command::new("cp").arg(from).arg(&till.path).status().unwrap().success());
}

/// All that was written is in the file itself.
fn empty_log(till: &Till) {
    let log = Connection::open(&till.path).unwrap();
    log.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// What somebody copies into the file, made before the last edits of it.
fn what_is_copied(till: &Till) -> Vec<(&'static str, PathBuf)> {
    let name = |name: &str| till.folder.path().join(name);
    till.store().backup(name("backup.db")).unwrap();
    std::fs::copy(&till.path, name("older.db")).unwrap();
    let foreign = Connection::open(name("foreign.db")).unwrap();
    foreign
        .execute_batch("CREATE TABLE tillsync_guard (id INTEGER PRIMARY KEY, a, b, c); CREATE TABLE t (a)")
        .unwrap();
    drop(foreign);
    std::fs::write(name("text.txt"), "no database".repeat(1_000)).unwrap();
    std::fs::write(name("empty"), "").unwrap();
    let of = |file: &'static str| (file, name(file));
    ["backup.db", "older.db", "foreign.db", "text.txt", "empty"].map(of).into()
}

#[test]
fn a_file_into_which_something_was_copied_while_it_was_open_is_told_and_written_to_no_more() {
    for (what, _) in what_is_copied(&plain(3)) {
        let till = plain(3);
        till.engine().sync().unwrap();
        let copied = what_is_copied(&till).into_iter().find(|(name, _)| *name == what).unwrap().1;
        let (mut store, mut engine) = (till.store(), till.engine());
        engine.sync().unwrap();
        empty_log(&till);
        // How far the file has come is known to whoever looked at it since.
        engine.sync().unwrap();
        store.edit(1).set("phone", "before").commit().unwrap();
        let log = std::fs::read(beside(&till.path, "-wal")).unwrap();
        copy_into(&till, &copied);
        till.sandbox.clear_requests();

        let refused = store.edit(1).set("phone", "after").commit().expect_err(what);
        assert_eq!((refused.code(), refused.is_database()), ("overwritten", true), "{what}: {refused}");
        let hint = refused.hint().unwrap();
        assert!(hint.contains("-wal") && hint.contains("tillsync restore"), "{hint}");
        assert_eq!(engine.sync().unwrap_err().code(), "overwritten", "{what}");
        assert_eq!(store.status().unwrap_err().code(), "overwritten", "{what}: it cannot know what waits");
        assert_eq!(store.log_state().unwrap_err().code(), "overwritten", "{what}");
        assert_eq!(store.held_up().unwrap_err().code(), "overwritten", "{what}: by one statement that reads");
        assert!(till.puts().is_empty() && till.gets() == 0, "{what}");
        drop((store, engine));
        assert!(
            std::fs::read(&till.path).unwrap() == std::fs::read(&copied).unwrap(),
            "{what}: it was written to"
        );
        assert!(std::fs::read(beside(&till.path, "-wal")).unwrap() == log, "{what}: the log was written to");
    }
}

/// No sync counts between the two, but edits do.
#[test]
fn so_is_one_of_the_same_file_with_nothing_but_edits_in_between() {
    for is_edited_before in [false, true] {
        let till = plain(3);
        if is_edited_before {
            till.set(1, "phone", "long ago");
        }
        is_told_and_not_written_to_after_edits(&till);
    }
}

fn is_told_and_not_written_to_after_edits(till: &Till) {
    let mut store = till.store();
    let into_the_file = |store: &mut Store| {
        store.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    };
    into_the_file(&mut store);
    let older = copy_of(till, "older.db");
    store.edit(2).set("phone", "before").commit().unwrap();
    into_the_file(&mut store);
    store.edit(3).set("phone", "in the log").commit().unwrap();
    let log = std::fs::read(beside(&till.path, "-wal")).unwrap();
    copy_into(till, &older);
    assert_eq!(store.edit(1).set("phone", "after").commit().unwrap_err().code(), "overwritten");
    assert_eq!(store.status().unwrap_err().code(), "overwritten");
    drop(store);
    assert!(std::fs::read(&till.path).unwrap() == std::fs::read(&older).unwrap(), "it was written to");
    assert!(std::fs::read(beside(&till.path, "-wal")).unwrap() == log, "the log was written to");
}

/// What a tool does to the counters of SQLite, or to the table of the journal, is no other file.
#[test]
fn counters_that_a_tool_has_emptied_make_no_other_file_of_it() {
    let anew = "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;
                CREATE TABLE anew AS SELECT * FROM journal; DROP TABLE journal; ALTER TABLE anew RENAME TO journal";
    for tool in [
        "DELETE FROM sqlite_sequence",
        "DELETE FROM sqlite_sequence WHERE name = 'journal'",
        "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'journal'",
        "UPDATE sqlite_sequence SET seq = 0",
        anew,
        "VACUUM",
    ] {
        let till = plain(3);
        let mut store = till.store();
        for round in 0..3 {
            store.edit(1).set("phone", &format!("{round}")).commit().unwrap();
            empty_log(&till);
            store.status().unwrap_or_else(|e| panic!("{tool}: {e}"));
            if round == 1 {
                Connection::open(&till.path).unwrap().execute_batch(tool).unwrap();
                empty_log(&till);
                let said = store.status().err().map(|error| error.code());
                assert_ne!(said, Some("overwritten"), "{tool}");
                // What of it has to be mended is mended.
                drop(till.store());
            }
        }
        till.engine().sync().unwrap();
        store.edit(1).set("phone", "in the end").commit().unwrap();
        till.engine().sync().unwrap();
        assert_eq!(till.remote_value(1, "phone"), "\"in the end\"", "{tool}");
    }
}

#[test]
fn a_worker_into_whose_file_something_was_copied_says_so_and_leaves_file_and_log_as_they_are() {
    let till = plain(3);
    let backup = other(&till);
    let mut worker = till.worker(&[]);
    worker.until_event("sync_finished");
    till.sell(1, "555");
    worker.until_event("sync_finished");
    empty_log(&till);
    till.sandbox.clear_requests();
    // It lives in the log only, and nothing moves that now.
    let edit = Connection::open(&till.path).unwrap();
    copy_into(&till, &backup);
    let failed = worker.until(|line| line["event"] == "sync_failed");
    assert_eq!(failed["code"], "overwritten");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!((till.gets(), till.puts().len()), (0, 0), "the store is asked for nothing");
    let answer = worker.call(serde_json::json!({ "command": "status" }));
    drop(edit);
    assert_eq!(answer["error"]["code"], "overwritten", "{answer}");
    drop(worker);
    assert!(std::fs::read(&till.path).unwrap() == std::fs::read(&backup).unwrap(), "the file was written to");
}

/// What was edited after the backup, and not sent, is told with all that it takes to edit it in anew.
#[test]
fn what_waited_in_the_log_of_a_file_that_was_overwritten_is_told_when_a_backup_is_restored() {
    let till = plain(3);
    till.set(1, "phone", "in the backup");
    let backup = other(&till);
    till.set(2, "phone", "moved into the file, and gone");
    let mut store = till.store();
    empty_log(&till);
    store.edit(3).set("phone", "555-0142").author("ana").label("sale 1042").commit().unwrap();
    store.edit(1).adjust_credit("12.50".parse().unwrap()).author("ben").commit().unwrap();
    store.edit(2).set("notes", &"long".repeat(2_500)).commit().unwrap();
    copy_into(&till, &backup);
    assert_eq!(store.status().unwrap_err().code(), "overwritten");
    drop(store);
    let ran = till.run(["restore", backup.to_str().unwrap()]);
    assert_eq!(ran.exit, Some(3), "{ran:?}");
    let found = ran.json["found"].as_array().unwrap();
    let of = |customer: u64, field: &str| {
        let is_it = |one: &&serde_json::Value| one["customer_id"] == customer && one["field"] == field;
        found.iter().find(is_it).unwrap_or_else(|| panic!("{customer} {field}: {found:?}"))
    };
    let phone = of(3, "phone");
    assert_eq!((&phone["value"], &phone["op"]), (&"\"555-0142\"".into(), &"set".into()), "{phone}");
    assert_eq!((&phone["author"], &phone["label"]), (&"ana".into(), &"sale 1042".into()));
    let payment = of(1, "store_credit_amounts");
    assert_eq!((&payment["value"], &payment["op"]), (&"\"12.5\"".into(), &"adjust".into()), "{payment}");
    assert_eq!(
        of(2, "notes")["value"],
        serde_json::json!("long".repeat(2_500)).to_string(),
        "longer than a page"
    );
    assert!(!found.iter().any(|one| one["value"] == "\"in the backup\""), "that is in the file: {found:?}");
    // A healthy log goes into the file that goes aside.
    till.set(3, "phone", "777");
    let ran = till.run(["restore", backup.to_str().unwrap()]);
    assert_eq!((ran.exit, &ran.json["found"]), (Some(0), &serde_json::json!([])), "{ran:?}");
}

/// Nobody can say of it whose it is: what is copied in has only begun to come, or is too large to be walked through. So nothing is moved
/// into it, neither while it is open nor when it is closed.
#[test]
fn what_tells_nothing_of_itself_does_not_get_the_log_of_the_file() {
    for rows in [1_000, 25] {
        let till = plain(3);
        let foreign = till.folder.path().join("foreign.db");
        let fill = format!(
            "CREATE TABLE t (a);
             WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO t SELECT randomblob(80000) FROM n"
        );
        Connection::open(&foreign).unwrap().execute_batch(&fill).unwrap();
        if rows == 25 {
            std::fs::File::options().write(true).open(&foreign).unwrap().set_len(20 * 4_096).unwrap();
        }
        let (mut store, mut engine) = (till.store(), till.engine());
        engine.sync().unwrap();
        empty_log(&till);
        engine.sync().unwrap();
        store.edit(1).set("phone", "before").commit().unwrap();
        copy_into(&till, &foreign);
        // Whatever comes of it.
        for round in 0..300 {
            _ = store.edit(1).set("notes", &format!("{round}").repeat(6_000)).commit();
        }
        _ = (engine.sync(), store.log_state());
        drop((store, engine));
        assert!(std::fs::read(&till.path).unwrap() == std::fs::read(&foreign).unwrap(), "{rows}");
        let found = salvaged(&till);
        assert!(found.contains("before"), "{rows}: {found}");
    }
}

/// What a restore finds in the log that stayed.
fn salvaged(till: &Till) -> String {
    let backup = till.folder.path().join("other_till.db");
    plain(1).store().backup(&backup).unwrap();
    till.run(["restore", backup.to_str().unwrap()]).json["found"].to_string()
}

/// Of an encrypted file its beginning tells, and how far it has come: a copy of itself begins as it does.
#[test]
#[cfg(feature = "sqlcipher")]
fn so_is_an_encrypted_one() {
    let encrypted = |key: &str| {
        let mut till = Till { key: Some(format!("x'{}'", key.repeat(64))), ..Till::new(sandbox(3)) };
        till.options.wait = Duration::from_secs(5);
        till.engine().sync().unwrap();
        till
    };
    for copied in ["backup.db", "older.db", "another_key.db"] {
        // With a log from the beginning, and without.
        for is_open in [false, true] {
            let till = encrypted("a");
            let copy = till.folder.path().join(copied);
            match copied {
                "backup.db" => _ = till.store().backup(&copy).unwrap(),
                "older.db" => _ = std::fs::copy(&till.path, &copy).unwrap(),
                _ => _ = std::fs::copy(encrypted("b").path, &copy).unwrap(),
            }
            till.engine().sync().unwrap();
            let mut first = till.store();
            if is_open {
                first.edit(2).set("phone", "in the log").commit().unwrap();
                till.engine().push().unwrap();
            }
            let (mut store, mut engine) = (till.store(), till.engine());
            if !is_open {
                drop(first);
            }
            store.edit(1).set("phone", "before").commit().unwrap();
            copy_into(&till, &copy);
            let refused = store.edit(1).set("phone", "after").commit().expect_err(copied);
            assert_eq!(refused.code(), "overwritten", "{copied}, open: {is_open}");
            assert_eq!(engine.sync().unwrap_err().code(), "overwritten", "{copied}, open: {is_open}");
            drop((store, engine));
            assert!(std::fs::read(&till.path).unwrap() == std::fs::read(&copy).unwrap(), "{copied}");
        }
    }
    // From its beginning, and after something of the log has come into it.
    for is_edited_before in [false, true] {
        let till = encrypted("a");
        if is_edited_before {
            till.set(1, "phone", "long ago");
        }
        is_told_and_not_written_to_after_edits(&till);
    }
}

/// A program has dropped the table with the identity: whoever has the file open goes on, and an older log is still told.
#[test]
fn a_guard_that_was_dropped_is_made_again_as_it_was() {
    let till = plain(3);
    let guard = |app: &Connection| {
        let guard = "SELECT identity, turn FROM tillsync_guard";
        app.query_row(guard, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap()
    };
    let mut store = till.store();
    let app = Connection::open(&till.path).unwrap();
    let (identity, turn) = guard(&app);
    assert!(turn > 1);
    app.execute_batch("DROP TABLE tillsync_guard").unwrap();
    drop(till.store());
    empty_log(&till);
    let (again, later) = guard(&app);
    assert!(again == identity && later > turn, "{again} {later}");
    till.engine().sync().unwrap();
    empty_log(&till);
    store.edit(1).set("phone", "555-0142").commit().unwrap();
    assert_eq!(store.status().unwrap().pending_fields, 1);
}

/// A program of the app's moves every page of the file about, and the log into the file, as it pleases.
#[test]
fn what_sqlite_does_with_the_pages_is_nobody_elses_doing() {
    let till = plain(200);
    let (mut store, mut engine) = (till.store(), till.engine());
    let app = Connection::open(&till.path).unwrap();
    for round in 0..6 {
        app.execute_batch(
            "CREATE TABLE IF NOT EXISTS mine (a); INSERT INTO mine VALUES (hex(randomblob(90000)))",
        )
        .unwrap();
        store.edit(1).set("phone", &round.to_string()).commit().unwrap();
        app.execute_batch(if round % 2 == 0 { "VACUUM" } else { "DROP TABLE mine; VACUUM" }).unwrap();
        store.edit(2).set("phone", &round.to_string()).commit().unwrap();
        if round > 1 {
            app.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
        engine.sync().unwrap();
        assert_eq!(store.status().unwrap().pending_fields, 0);
    }
}

/// All of it is in the log at first, and comes into the file while it is open.
#[test]
#[cfg(feature = "sqlcipher")]
fn an_encrypted_file_that_grows_while_it_is_open_is_itself() {
    let till = Till { key: Some("a passphrase".to_owned()), ..Till::new(sandbox(3)) };
    let mut store = till.store();
    let mut engine = till.engine();
    engine.pull(Extent::Changes).unwrap();
    for round in 0..3 {
        let moved = "PRAGMA wal_checkpoint(TRUNCATE)";
        store.connection().query_row(moved, [], |_| Ok(())).unwrap();
        store.edit(1).set("phone", &round.to_string()).commit().unwrap();
        let grown = format!(
            "CREATE TABLE mine_{round} (a); INSERT INTO mine_{round} VALUES (hex(randomblob(200000)))"
        );
        store.connection().execute_batch(&grown).unwrap();
        engine.sync().unwrap();
        assert_eq!(store.status().unwrap().pending_fields, 0);
    }
}

/// While somebody reads, a part of the log comes into the file: without its log it is no whole file then, and it is its own all the same.
#[test]
fn a_log_that_a_reader_lets_into_the_file_in_part_makes_no_other_file_of_it() {
    for is_vacuumed in [true, false] {
        let till = if is_vacuumed { till(300) } else { till(3) };
        let app = Connection::open(&till.path).unwrap();
        if is_vacuumed {
            app.execute_batch("CREATE TABLE mine (a); INSERT INTO mine VALUES (1); DROP TABLE mine; VACUUM")
                .unwrap();
        }
        let mut store = till.store();
        let reader = Connection::open(&till.path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM customer").unwrap();
        for round in 0..3 {
            store.edit(1).set("phone", &format!("edit {round}")).commit().unwrap();
            till.engine().sync().unwrap();
            app.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            assert_eq!(till.run(["status"]).exit, Some(0), "vacuumed: {is_vacuumed}, round {round}");
        }
        drop(reader);
        app.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        assert_eq!(store.status().unwrap().pending_fields, 0);
        assert!(store.check().unwrap().is_empty());
    }
}
