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
    // What the killed ones left is in nobody's way.
    _ = std::fs::remove_file(&copy);
    till.store().backup(&copy).unwrap();
    assert!(!till.folder.path().join("copy.db.part").exists());
}

#[test]
fn nothing_is_overwritten_and_a_failure_leaves_nothing() {
    let till = till(3);
    let copy = till.folder.path().join("copy.db");
    std::fs::write(&copy, "mine").unwrap();
    assert_eq!(till.store().backup(&copy).unwrap_err().code(), "usage");
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
    let nowhere = till.folder.path().join("no folder/copy.db");
    assert_eq!(till.store().backup(&nowhere).unwrap_err().code(), "not_writable");
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
