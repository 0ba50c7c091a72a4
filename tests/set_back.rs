//! A file that was set back, or copied: what waits in it may have been sent already, and is sent once all the same.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::path::{Path, PathBuf};

use common::{Till, till};
use tillsync::{Store, rusqlite};

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A till whose customer 1 has 50, and that has a payment of 10 and a new phone waiting.
fn with_a_payment() -> Till {
    let mut till = till(3);
    till.key = None;
    till.set(1, "store_credit_amounts", r#"[{"amount":50}]"#);
    till.engine().sync().unwrap();
    till.adjust(1, "-10");
    till.set(1, "phone", "555-0142");
    till
}

fn balance(till: &Till) -> String {
    till.remote_value(1, "store_credit_amounts")
}

/// By other means than ours, with every program stopped.
fn put_in_place(till: &Till, copy: &Path) {
    for suffix in ["-wal", "-shm"] {
        _ = std::fs::remove_file(beside(&till.path, suffix));
    }
    std::fs::copy(copy, &till.path).unwrap();
}

/// What waited is before a person, and nothing of it went to the store a second time.
#[track_caller]
fn waits_once(till: &Till, sent_before: &str) {
    let report = till.engine().sync().unwrap();
    assert_eq!((report.rejected, balance(till).as_str()), (1, sent_before));
    let rejected = till.store().rejected().unwrap();
    assert!(rejected[0].reason.contains("set back"), "{}", rejected[0].reason);
    assert_eq!(till.local(1, "store_credit_amounts"), sent_before, "it is not in the balance here");
    assert_eq!(till.remote_value(1, "phone"), "\"555-0142\"");
    // Once: what is paid from now on goes its way.
    till.adjust(1, "-1");
    assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
    till.assert_no_violations();
}

/// What a person decides in it moves the file on, and tells nothing of what was sent.
#[test]
fn a_copy_in_which_much_was_decided_before_its_first_sync_is_a_copy_all_the_same() {
    for decisions in [1, 40] {
        let till = with_a_payment();
        let copy = till.folder.path().join("by hand.db");
        till.store().backup(till.folder.path().join("unused.db")).unwrap();
        // Everything into the file itself, so that a plain copy is whole.
        rusqlite::Connection::open(&till.path)
            .unwrap()
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        std::fs::copy(&till.path, &copy).unwrap();
        till.engine().sync().unwrap();
        assert_eq!(balance(&till), r#"[{"amount":40}]"#);
        put_in_place(&till, &copy);
        for nth in 0..decisions {
            till.set(2, "company", &format!("decided {nth}"));
            till.store().discard(2, Some("company"), None).unwrap();
        }
        waits_once(&till, r#"[{"amount":40}]"#);
    }
}

#[test]
fn a_payment_that_waited_in_a_backup_and_was_sent_since_is_not_sent_again() {
    let till = with_a_payment();
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    till.engine().sync().unwrap();
    assert_eq!(balance(&till), r#"[{"amount":40}]"#);
    put_in_place(&till, &copy);
    waits_once(&till, r#"[{"amount":40}]"#);
}

/// What SQLite counts by itself, a tool may empty: that sets no file back, and hides none that was.
#[test]
fn a_tool_that_empties_the_counters_of_sqlite_sets_nothing_back() {
    let till = with_a_payment();
    till.engine().sync().unwrap();
    for nth in 0..3 {
        till.set(2, "company", &format!("sent {nth}"));
        till.engine().sync().unwrap();
    }
    till.adjust(1, "-10");
    let copy = till.folder.path().join("copy.db");
    std::fs::copy(&till.path, &copy).unwrap();
    rusqlite::Connection::open(&till.path).unwrap().execute_batch("DELETE FROM sqlite_sequence").unwrap();
    let report = till.engine().sync().unwrap();
    assert_eq!((report.rejected, balance(&till).as_str()), (0, r#"[{"amount":30}]"#));
    put_in_place(&till, &copy);
    waits_once(&till, r#"[{"amount":30}]"#);
}

/// The file and its copies are of one line: whichever of them comes back is behind the others.
#[test]
fn nor_does_the_file_itself_when_its_backup_has_lived_in_its_place() {
    let till = with_a_payment();
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    let restored = Store::restore(&till.path, &copy, None).unwrap();
    assert_eq!(restored.held, 0, "nothing was sent since");
    till.engine().sync().unwrap();
    assert_eq!(balance(&till), r#"[{"amount":40}]"#);
    put_in_place(&till, &restored.replaced.unwrap());
    waits_once(&till, r#"[{"amount":40}]"#);
}

#[test]
fn nor_is_one_in_a_copy_by_other_means() {
    let till = with_a_payment();
    let copy = till.folder.path().join("copy.db");
    std::fs::copy(&till.path, &copy).unwrap();
    till.engine().sync().unwrap();
    put_in_place(&till, &copy);
    waits_once(&till, r#"[{"amount":40}]"#);
}

#[test]
fn nor_in_a_backup_that_a_second_till_lives_on_from() {
    let till = with_a_payment();
    let second = Till { path: till.folder.path().join("second.db"), ..till.clone() };
    till.store().backup(&second.path).unwrap();
    till.engine().sync().unwrap();
    waits_once(&second, r#"[{"amount":40}]"#);
}

#[test]
fn nor_in_a_copy_on_another_machine() {
    let till = with_a_payment();
    let home = "UPDATE state SET value = substr(value, 1, instr(value, ' ')) || '00000000000000aa' WHERE key = 'home'";
    assert_eq!(rusqlite::Connection::open(&till.path).unwrap().execute(home, []), Ok(1));
    if !std::fs::read_to_string("/etc/machine-id").is_ok_and(|id| id.trim().len() >= 32) {
        return; // A machine without an identity.
    }
    waits_once(&till, r#"[{"amount":50}]"#);
}

#[test]
fn where_nothing_was_sent_since_nothing_waits() {
    let till = with_a_payment();
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    put_in_place(&till, &copy);
    let report = till.engine().sync().unwrap();
    assert_eq!((report.rejected, balance(&till).as_str()), (0, r#"[{"amount":40}]"#));
}

#[test]
fn a_file_that_was_moved_or_lost_its_life_goes_on() {
    let mut till = with_a_payment();
    let moved = till.folder.path().join("moved.db");
    std::fs::rename(&till.path, &moved).unwrap();
    till.path = moved;
    assert_eq!(till.engine().sync().unwrap().rejected, 0);
    assert_eq!(balance(&till), r#"[{"amount":40}]"#);
    assert!(beside(&till.path, "-life").metadata().is_ok());
}

#[test]
fn what_was_held_is_sent_by_a_persons_word() {
    let till = with_a_payment();
    let second = Till { path: till.folder.path().join("second.db"), ..till.clone() };
    till.store().backup(&second.path).unwrap();
    second.engine().sync().unwrap();
    let seq = second.store().rejected().unwrap()[0].seq.to_string();
    assert_eq!(second.run(["retry", "--seq", &seq]).exit, Some(0));
    second.engine().sync().unwrap();
    assert_eq!(balance(&second), r#"[{"amount":40}]"#);
}

// ---- the command ---------------------------------------------------------------------------------------------------

#[test]
fn restore_puts_a_backup_back_whatever_log_lies_there() {
    let till = with_a_payment();
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    till.engine().sync().unwrap();
    // A program that was killed left its log.
    let app = rusqlite::Connection::open(&till.path).unwrap();
    app.execute("UPDATE customer SET company = 'after the backup' WHERE id = 2", []).unwrap();
    let log = std::fs::read(beside(&till.path, "-wal")).unwrap();
    let refused = till.run(["restore", copy.to_str().unwrap()]);
    assert_eq!((refused.exit, refused.code()), (Some(6), "in_use"));
    drop(app);
    std::fs::write(beside(&till.path, "-wal"), log).unwrap();

    let restored = till.run(["restore", copy.to_str().unwrap()]);
    assert_eq!((restored.exit, &restored.json["held"]), (Some(3), &1.into()), "{restored:?}");
    let replaced = restored.json["replaced"].as_str().unwrap();
    let before = Store::open_existing(replaced).unwrap().get(2).unwrap().unwrap().to_json();
    assert!(before.contains("after the backup"), "{before}");
    assert!(!till.local(2, "company").contains("after the backup"));
    assert_eq!(till.run(["pull", "--full"]).exit, Some(0));
    waits_once(&till, r#"[{"amount":40}]"#);
}

#[test]
fn a_restore_removes_nothing_that_it_did_not_make() {
    let till = with_a_payment();
    let copy = beside(&till.path, ".restored");
    till.store().backup(&copy).unwrap();
    let refused = till.run(["restore", copy.to_str().unwrap()]);
    assert_eq!((refused.exit, refused.code()), (Some(2), "usage"), "{refused:?}");
    assert!(Store::open_existing(&copy).unwrap().check().unwrap().is_empty(), "the only backup");
    assert_eq!(till.store().status().unwrap().pending_fields, 2);
}

#[test]
fn what_is_no_backup_is_not_put_back() {
    let till = with_a_payment();
    let folder = till.folder.path();
    let (cut, text) = (folder.join("cut.db"), folder.join("text.db"));
    let whole = folder.join("whole.db");
    till.store().backup(&whole).unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(&text, "no database, and long enough for a head of one: ".repeat(50)).unwrap();
    let before = std::fs::read(&till.path).unwrap();
    for (backup, exit) in [(&cut, 6), (&text, 6), (&folder.join("nowhere.db"), 6), (&till.path, 2)] {
        let ran = till.run(["restore", backup.to_str().unwrap()]);
        assert_eq!(ran.exit, Some(exit), "{}: {ran:?}", backup.display());
        assert!(std::fs::read(&till.path).unwrap() == before, "{}", backup.display());
    }
    assert_eq!(till.engine().sync().unwrap().rejected, 0);
    assert_eq!(balance(&till), r#"[{"amount":40}]"#);
}
