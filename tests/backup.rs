//! A backup is whole or is not there, and nothing but a path of a file is taken for one.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use common::till;
use tillsync::Store;

/// The instants lie closer together at first, where the copy is made.
#[test]
fn a_backup_that_is_killed_has_its_name_only_when_it_is_whole() {
    let till = till(300);
    let copy = till.folder.path().join("copy.db");
    let mut whole = 0;
    for instant in 0..100 {
        _ = std::fs::remove_file(&copy);
        remove_what_was_begun(&copy);
        let mut child = Command::new(env!("CARGO_BIN_EXE_tillsync"))
            .arg("--db")
            .arg(&till.path)
            .arg("backup")
            .arg(&copy)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(400 * instant));
        _ = child.kill();
        child.wait().unwrap();
        if copy.exists() {
            let store = Store::open_existing(&copy).unwrap();
            assert_eq!(store.check().unwrap(), Vec::<String>::new());
            assert_eq!(store.status().unwrap().snapshot_customers, 300);
            whole += 1;
        }
    }
    assert!(whole < 100, "none was killed in time");
    _ = std::fs::remove_file(&copy);
    remove_what_was_begun(&copy);
    till.store().backup(&copy).unwrap();
    assert!(!till.folder.path().join("copy.db.part").exists());
}

/// As the error of the next backup tells a person to.
fn remove_what_was_begun(copy: &std::path::Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        _ = std::fs::remove_file(copy.with_file_name(format!("copy.db.part{suffix}")));
    }
}

#[test]
fn what_lies_where_a_backup_would_be_made_is_somebody_s_and_stays() {
    let till = till(3);
    let copy = till.folder.path().join("copy.db");
    for left in [
        "copy.db.part",
        "copy.db.part-journal",
        "copy.db.part-wal",
        "copy.db-journal",
        "copy.db-wal",
        "copy.db-shm",
    ] {
        let left = till.folder.path().join(left);
        std::fs::write(&left, "mine").unwrap();
        let refused = till.store().backup(&copy).unwrap_err();
        assert_eq!(refused.code(), "usage");
        assert!(refused.to_string().contains(&*left.to_string_lossy()), "{refused}");
        assert_eq!(std::fs::read(&left).unwrap(), b"mine");
        assert!(!copy.exists());
        std::fs::remove_file(&left).unwrap();
    }
    // Between its two names a backup may be killed: it is whole, and its first name goes when it is opened.
    till.store().backup(&copy).unwrap();
    let part = till.folder.path().join("copy.db.part");
    std::fs::hard_link(&copy, &part).unwrap();
    assert_eq!(Store::open_existing(&copy).unwrap().status().unwrap().snapshot_customers, 3);
    assert!(!part.exists());
}

/// A restore would take it for the copy that it has begun, and remove it.
#[test]
fn a_backup_has_no_name_that_a_restore_or_doctor_gives_to_what_is_its_own() {
    let till = till(2);
    for name in [
        "till.db.restored-d0c4992445636764",
        "till.db.restored-d0c4992445636764-wal",
        "x.replaced-1",
        "till.db-room-17",
    ] {
        assert_eq!(till.store().backup(till.folder.path().join(name)).unwrap_err().code(), "usage", "{name}");
    }
    for name in ["till.db.restored-monday", "replaced-1.db", "room-1", "till.db.replaced-one"] {
        till.store().backup(till.folder.path().join(name)).unwrap();
    }
}

#[test]
fn no_backup_takes_the_name_of_what_belongs_to_a_till() {
    let till = till(3);
    for suffix in ["-wal", "-shm", "-journal", "-sync", "-worker", "-upgrade", "-WAL", ".part"] {
        for name in ["till.db", "another.db"] {
            let name = till.folder.path().join(format!("{name}{suffix}"));
            let was_there = name.exists();
            assert_eq!(till.store().backup(&name).unwrap_err().code(), "usage", "{suffix}");
            assert_eq!(name.exists(), was_there);
        }
    }
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
}

#[test]
fn nothing_is_overwritten_and_a_failure_leaves_nothing() {
    let till = till(3);
    let copy = till.folder.path().join("copy.db");
    std::fs::write(&copy, "mine").unwrap();
    assert_eq!(till.store().backup(&copy).unwrap_err().code(), "usage");
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
    let nowhere = till.folder.path().join("no folder/copy.db");
    assert_eq!(till.store().backup(&nowhere).unwrap_err().code(), "no_folder");
    assert!(!till.folder.path().join("copy.db.part").exists());
}

#[test]
fn what_names_no_file_is_refused() {
    let till = till(3);
    for name in ["", " ", ":memory:", "file:till.db", "file::memory:?cache=shared"] {
        assert_eq!(Store::open(name).unwrap_err().code(), "usage", "{name:?}");
        assert_eq!(till.store().backup(name).unwrap_err().code(), "usage", "{name:?}");
    }
}

#[test]
fn an_empty_file_is_no_till_unless_one_is_to_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("till.db");
    std::fs::write(&path, "").unwrap();
    assert_eq!(Store::open_existing(&path).unwrap_err().code(), "not_there");
    assert_eq!(path.metadata().unwrap().len(), 0);
    Store::open(&path).unwrap();
    Store::open_existing(&path).unwrap();
}

/// Of an empty file that was about to be written: SQLite takes it back to nothing.
#[test]
fn a_journal_of_another_file_beside_a_till_is_told_and_empties_nothing() {
    let till = till(3);
    let other = till.folder.path().join("other.db");
    let app = rusqlite::Connection::open(&other).unwrap();
    app.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; CREATE TABLE t (x); BEGIN").unwrap();
    for _ in 0..50 {
        app.execute("INSERT INTO t VALUES (zeroblob(3000))", []).unwrap();
    }
    let stray = till.folder.path().join("till.db-journal");
    std::fs::copy(till.folder.path().join("other.db-journal"), &stray).unwrap();
    assert!(stray.metadata().unwrap().len() > 0);
    let before = std::fs::read(&till.path).unwrap();
    let refused = Store::open_existing(&till.path).unwrap_err();
    assert_eq!((refused.code(), refused.is_database()), ("stray_journal", true));
    assert!(refused.to_string().contains("till.db-journal"), "{refused}");
    assert_eq!(std::fs::read(&till.path).unwrap(), before);
    std::fs::remove_file(stray).unwrap();
    assert_eq!(till.store().status().unwrap().snapshot_customers, 3);
}
