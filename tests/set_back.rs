//! A file that was set back, or copied: what waits in it may have been sent already, and is sent once all the same.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::odd::{Kind, Odd, Told};
use common::{Till, till};
use serde_json::json;
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

/// Through SQLite, while others have it open: a transaction as any other.
fn put_in_place_through_sqlite(till: &Path, copy: &Path) {
    let from = rusqlite::Connection::open(copy).unwrap();
    let mut to = rusqlite::Connection::open(till).unwrap();
    to.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let backup = rusqlite::backup::Backup::new(&from, &mut to).unwrap();
    backup.run_to_completion(1_000, std::time::Duration::from_millis(10), None).unwrap();
}

/// By each way to make a copy; before a pull's answer, a look's and an update's is taken in.
#[test]
fn nor_where_a_copy_is_put_back_through_sqlite_while_a_sync_runs() {
    for kind in [Kind::List, Kind::ById, Kind::Put] {
        for ours in [true, false] {
            let till = with_a_payment();
            let copy = till.folder.path().join("copy.db");
            match ours {
                true => _ = till.store().backup(&copy).unwrap(),
                false => put_in_place_through_sqlite(&copy, &till.path),
            }
            if kind != Kind::Put {
                till.engine().sync().unwrap();
                till.adjust(1, "-1");
            }
            let (path, mut is_back) = (till.path.clone(), false);
            let odd = Odd::before(&till.sandbox).answer(move |asked, _| {
                if asked.kind == kind && !is_back {
                    is_back = true;
                    put_in_place_through_sqlite(&path, &copy);
                }
            });
            let error = till.through(&odd).engine().sync().unwrap_err();
            assert_eq!(error.code(), "set_back", "{kind:?}, {ours}: {error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("sync again")));
            assert_eq!(balance(&till), r#"[{"amount":40}]"#, "{kind:?}, {ours}");
            waits_once(&till, r#"[{"amount":40}]"#);
        }
    }
}

/// What waits in it is in no other file, and nobody would miss it: whoever opens, unless they say so.
#[test]
fn where_a_till_was_moved_away_nobody_begins_another_one_unseen() {
    type Stead = (&'static str, fn(&Path));
    let steads: [Stead; 3] = [
        ("nothing", |_| ()),
        ("an empty file", |path| std::fs::write(path, "").unwrap()),
        ("a database without a table", |path| {
            let app = rusqlite::Connection::open(path).unwrap();
            app.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        }),
    ];
    for (what, put) in steads {
        let till = with_a_payment();
        let away = till.folder.path().join("away.db");
        drop(till.store());
        std::fs::rename(&till.path, &away).unwrap();
        put(&till.path);
        let before = till.path.metadata().ok().map(|file| file.len());
        let refused = Store::open(&till.path).unwrap_err();
        assert_eq!(refused.code(), "usage", "{what}");
        let (words, hint) = (refused.to_string(), refused.hint().unwrap());
        assert!(words.contains("was moved or deleted") && hint.contains("move it back"), "{words}: {hint}");
        assert_eq!(till.path.metadata().ok().map(|file| file.len()), before, "{what}: nothing was made");
        for command in [&["pull"] as &[&str], &["worker", "--create"]] {
            let refused = till.run(command.iter().copied());
            assert_eq!((refused.exit, refused.code()), (Some(2), "usage"), "{what}: {command:?}");
        }
        _ = std::fs::remove_file(&till.path);
        std::fs::rename(&away, &till.path).unwrap();
        assert_eq!(till.store().status().unwrap().pending_fields, 2, "{what}: it is all there");
        std::fs::remove_file(&till.path).unwrap();
        put(&till.path);
        let anew = tillsync::StoreOptions { anew: true, ..tillsync::StoreOptions::default() };
        assert_eq!(Store::open_with(&till.path, anew).unwrap().status().unwrap().pending_fields, 0, "{what}");
    }
}

/// Without it, a copy that is put back by other means would not be known.
#[cfg(unix)]
#[test]
fn nothing_leaves_where_it_cannot_be_noted_beside_the_file() {
    let till = with_a_payment();
    let life = beside(&till.path, "-life");
    // What lies there stays as it is.
    let letter = life.with_extension("txt");
    type Odd = (&'static str, fn(&Path));
    let odd: [Odd; 6] = [
        ("folder", |life| std::fs::create_dir(life).unwrap()),
        ("symbolic link", |life| std::os::unix::fs::symlink("/nonexistent/life", life).unwrap()),
        ("symbolic link", |life| std::os::unix::fs::symlink(life.with_extension("txt"), life).unwrap()),
        ("is no file", |life| assert!(Command::new("mkfifo").arg(life).status().unwrap().success())),
        ("hard link", |life| std::fs::hard_link(life.with_extension("txt"), life).unwrap()),
        ("not written there", |life| _ = std::fs::copy(life.with_extension("txt"), life).unwrap()),
    ];
    for (words, put) in odd {
        _ = std::fs::remove_file(&life);
        std::fs::write(&letter, "7 7 7 sent by post").unwrap();
        put(&life);
        let refused = till.run(["sync"]);
        assert_eq!((refused.exit, refused.code()), (Some(6), "no_lock"), "{words}: {:?}", refused.json);
        let said = refused.json["error"]["message"].as_str().unwrap();
        assert!(said.contains("till.db-life") && said.contains(words), "{said}");
        assert_eq!(till.run(["status"]).json["sync"]["last_error"]["message"], said);
        let doctor = till.run(["doctor"]);
        let check = doctor.json["checks"].as_array().unwrap().iter().find(|check| check["name"] == "sync");
        assert_eq!(check.unwrap()["detail"], said, "{doctor:?}");
        assert_eq!(balance(&till), r#"[{"amount":50}]"#);
        assert_eq!(std::fs::read_to_string(&letter).unwrap(), "7 7 7 sent by post");
        _ = std::fs::remove_dir(&life);
    }
    _ = std::fs::remove_file(&life);
    // As a crash may leave its own.
    std::fs::write(&life, "    7   ").unwrap();
    till.engine().sync().unwrap();
    assert_eq!(balance(&till), r#"[{"amount":40}]"#);
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
    // Else the file doubts what is other than its own payment of just now.
    till.minute_passes();
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
    assert_eq!(common::as_engine(till.store().connection(), home, []), 1);
    let mut files = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter();
    let has_identity = cfg!(windows)
        || files.any(|path| std::fs::read_to_string(path).is_ok_and(|id| id.trim().len() >= 32));
    if has_identity {
        return waits_once(&till, r#"[{"amount":50}]"#);
    }
    // A machine without an identity cannot tell, as docs/operations.md says.
    assert_eq!(till.engine().sync().unwrap().rejected, 0);
    assert_eq!(balance(&till), r#"[{"amount":40}]"#);
}

/// What is to be held of one customer, and something of the app's does not let be, waits with that customer until it does; nobody
/// else does, and it is not sent.
#[test]
fn a_payment_that_a_trigger_does_not_let_be_held_waits_alone() {
    for raise in ["ABORT, 'no'", "ROLLBACK, 'no'", "IGNORE"] {
        let till = with_a_payment();
        till.adjust(2, "5");
        till.adjust(3, "7");
        let before = [2, 3].map(|id| till.remote_value(id, "store_credit_amounts"));
        let copy = till.folder.path().join("monday.db");
        till.store().backup(&copy).unwrap();
        till.engine().sync().unwrap();
        let sent = [2, 3].map(|id| till.remote_value(id, "store_credit_amounts"));
        assert_ne!(sent, before);
        put_in_place(&till, &copy);
        let app = rusqlite::Connection::open(&till.path).unwrap();
        app.execute_batch(&format!(
            "CREATE TRIGGER mine BEFORE UPDATE ON journal WHEN NEW.customer_id = 2 AND NEW.outcome = 'rejected'
             BEGIN SELECT RAISE({raise}); END"
        ))
        .unwrap();
        till.set(2, "phone", "555");
        for _ in 0..2 {
            assert_eq!(till.engine().sync().unwrap().rejected, 2, "{raise}: of customers 1 and 3");
            assert_eq!(till.outcomes(2, "store_credit_amounts"), ["pending"], "{raise}");
            assert_eq!([2, 3].map(|id| till.remote_value(id, "store_credit_amounts")), sent, "{raise}");
        }
        assert_eq!(till.store().held_up().unwrap()[0].cause.as_deref(), Some("mine"), "{raise}");
        // A person's word counts meanwhile.
        till.store().retry(Some(1.into())).unwrap();
        assert_eq!(till.engine().sync().unwrap().rejected, 1, "{raise}");
        till.adjust(3, "1");
        app.execute_batch("DROP TRIGGER mine").unwrap();
        let report = till.engine().sync().unwrap();
        assert_eq!(report.rejected, 2, "{raise}");
        assert_eq!(till.remote_value(2, "store_credit_amounts"), sent[0], "{raise}");
        assert_eq!(till.remote_value(2, "phone"), "\"555\"", "{raise}");
        assert_ne!(
            till.remote_value(3, "store_credit_amounts"),
            sent[1],
            "{raise}: what is paid later goes its way"
        );
    }
}

/// Which noted up to where payments are to be held, and was stopped before they were.
#[test]
fn what_an_earlier_build_noted_is_held_too() {
    let till = with_a_payment();
    let noted = "INSERT INTO state (key, value) SELECT 'payments_to_hold', max(seq) FROM journal";
    common::as_engine(till.store().connection(), noted, []);
    till.adjust(2, "1");
    let before = [1, 2].map(|id| till.remote_value(id, "store_credit_amounts"));
    assert_eq!(till.engine().sync().unwrap().rejected, 1);
    assert!(till.store().rejected().unwrap()[0].reason.contains("set back"));
    let now = [1, 2].map(|id| till.remote_value(id, "store_credit_amounts"));
    assert_eq!(now[0], before[0]);
    assert_ne!(now[1], before[1], "what was paid later goes its way");
    let left = "SELECT count(*) FROM state WHERE key LIKE 'payment%to_hold%'";
    assert_eq!(till.store().connection().query_row(left, [], |row| row.get::<_, i64>(0)), Ok(0));
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

/// The store tells no password: nothing shows that the customer has chosen another one since.
#[test]
fn a_password_that_waited_in_a_backup_waits_for_a_person() {
    let till = till(3);
    let password = |words: &str| till.store().edit(2).set("new_password", words).commit().unwrap();
    password("of the backup");
    till.set(2, "phone", "555-0142");
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    till.engine().sync().unwrap();
    password("chosen since");
    till.engine().sync().unwrap();
    put_in_place(&till, &copy);
    assert_eq!(till.engine().sync().unwrap().rejected, 1);
    assert_eq!(till.sandbox.last_password(2).as_deref(), Some("chosen since"));
    assert_eq!(till.outcomes(2, "new_password"), ["rejected"]);
    assert!(till.store().rejected().unwrap()[0].reason.contains("password may have been sent since"));
    assert_eq!(till.run(["retry", "2"]).exit, Some(0));
    till.engine().sync().unwrap();
    assert_eq!(till.sandbox.last_password(2).as_deref(), Some("of the backup"));
    till.assert_no_violations();
}

/// Whoever freed it since did so in the file that is gone: its old reason would invite to send it twice.
#[test]
fn a_payment_that_was_refused_before_the_backup_and_freed_since_is_told_as_one_that_may_have_been_sent() {
    let till = till(3);
    till.set(1, "store_credit_amounts", r#"[{"amount":50}]"#);
    till.engine().sync().unwrap();
    let mut is_first = true;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let no = json!({"status": 422, "title": "no", "errors": {"0.store_credit_amounts": "card blocked"}});
        (asked.is_put() && std::mem::take(&mut is_first)).then(|| Told::json_of(422, &no))
    });
    till.adjust(1, "-10");
    assert_eq!(till.through(&odd).engine().sync().unwrap().rejected, 1);
    // A reading that cannot lag shows that it has not landed.
    till.sent_a_minute_ago();
    till.minute_passes();
    till.engine().sync().unwrap();
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    let retried = till.store().retry(None).unwrap();
    assert_eq!((retried, till.engine().sync().unwrap().uploaded_fields), (1, 1));
    // Else the balance alone would show that it has landed.
    till.office(1, json!({"store_credit_amounts": [{"amount": 45}]}));
    put_in_place(&till, &copy);
    for _ in 0..2 {
        assert_eq!(till.engine().sync().unwrap().rejected, 1);
        let reason = &till.store().rejected().unwrap()[0].reason;
        assert!(reason.starts_with("this file was set back") && reason.contains("card blocked"), "{reason}");
        assert_eq!(reason.matches("set back").count(), 1);
        assert_eq!(balance(&till), r#"[{"amount":45}]"#);
        assert_eq!(till.local(1, "store_credit_amounts"), r#"[{"amount":45}]"#);
    }
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

/// A slip of the pen: nothing of the other program's is touched, nor put beside it, be it open or left with its log.
#[test]
fn no_backup_takes_the_place_of_another_programs_database() {
    let till = with_a_payment();
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    let all = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        let mut all: Vec<_> = files.map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect();
        all.sort();
        all
    };
    let program = rusqlite::Connection::open(&other).unwrap();
    program.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE theirs (id)").unwrap();
    let log = std::fs::read(beside(&other, "-wal")).unwrap();
    drop(program);
    for left in [Vec::new(), log] {
        if !left.is_empty() {
            std::fs::write(beside(&other, "-wal"), left).unwrap();
        }
        let before = all();
        let refused = Store::restore(&other, &copy, None).unwrap_err();
        assert_eq!((refused.code(), refused.is_database()), ("not_a_till", true));
        assert!(all() == before, "{:?}", all().iter().map(|(file, _)| file.clone()).collect::<Vec<_>>());
    }
    // Where a till has lived, and something was copied over it, its backup is what belongs there.
    till.engine().sync().unwrap();
    std::fs::copy(&other, &till.path).unwrap();
    assert!(Store::restore(&till.path, &copy, None).unwrap().replaced.is_some());
}

#[test]
fn a_restore_removes_nothing_that_it_did_not_make() {
    let till = with_a_payment();
    for suffix in [".restored", ".restored-monday", ".restored-0123456789abcdef.db"] {
        let copy = beside(&till.path, suffix);
        till.store().backup(&copy).unwrap();
        let kept = std::fs::read(&copy).unwrap();
        let restored = till.run(["restore", copy.to_str().unwrap()]);
        assert_eq!((restored.exit, &restored.json["held"]), (Some(0), &0.into()), "{restored:?}");
        assert!(std::fs::read(&copy).unwrap() == kept, "{suffix}: the only backup");
        assert_eq!(till.store().status().unwrap().pending_fields, 2);
    }
}

/// SQLite and our locks follow links, and so does a restore: whoever comes by the link, or by the name behind it, finds one till.
#[cfg(unix)]
#[test]
fn a_restore_by_a_link_replaces_what_is_behind_it() {
    let till = with_a_payment();
    let (copy, link) = (till.folder.path().join("monday.db"), till.folder.path().join("link.db"));
    till.store().backup(&copy).unwrap();
    till.set(2, "company", "after the backup");
    std::os::unix::fs::symlink(&till.path, &link).unwrap();
    let restored = Store::restore(&link, &copy, None).unwrap();
    assert!(link.is_symlink());
    assert!(!till.local(2, "company").contains("after the backup"));
    assert!(restored.replaced.unwrap().to_str().unwrap().contains("till.db.replaced-1"));
}

/// A program that was killed left a log that the key of the backup does not open.
#[cfg(feature = "sqlcipher")]
#[test]
fn a_log_that_the_key_does_not_open_stays_where_it_is() {
    use tillsync::{Key, StoreOptions};
    let key = |text: &str| Some(Key::passphrase(text).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let [living, copy, path] = ["living.db", "copy.db", "till.db"].map(|name| folder.path().join(name));
    let mut store =
        Store::open_with(&living, StoreOptions { key: key("the key of today"), ..StoreOptions::default() })
            .unwrap();
    store.backup_with_key(&copy, key("the key of monday").as_ref()).unwrap();
    store.connection().execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)").unwrap();
    for suffix in ["", "-wal"] {
        std::fs::copy(beside(&living, suffix), beside(&path, suffix)).unwrap();
    }
    let log = std::fs::read(beside(&path, "-wal")).unwrap();
    let refused = Store::restore(&path, &copy, key("the key of monday")).unwrap_err();
    assert_eq!(refused.code(), "usage");
    assert!(refused.to_string().contains("till.db-wal"), "{refused}");
    assert!(std::fs::read(beside(&path, "-wal")).unwrap() == log);
    let today = StoreOptions { key: key("the key of today"), ..StoreOptions::default() };
    let mut store = Store::open_with(&path, today).unwrap();
    store.connection().query_row("SELECT x FROM mine", [], |_| Ok(())).unwrap();
    let refused = Store::restore(&path, &copy, key("the key of monday")).unwrap_err();
    assert_eq!(refused.code(), "in_use");
    drop(store);
    assert!(Store::restore(&path, &copy, key("the key of monday")).unwrap().replaced.is_some());
}

/// The backup is encrypted, the file is not: it is asked all the same whether anybody has it open.
#[cfg(feature = "sqlcipher")]
#[test]
fn a_plain_file_that_is_open_is_in_use_whatever_key_the_backup_has() {
    let till = with_a_payment();
    let copy = till.folder.path().join("monday.db");
    let key = tillsync::Key::passphrase("the key of monday").unwrap();
    till.store().backup_with_key(&copy, Some(&key)).unwrap();
    let open = till.store();
    assert_eq!(Store::restore(&till.path, &copy, Some(key.clone())).unwrap_err().code(), "in_use");
    drop(open);
    Store::restore(&till.path, &copy, Some(key)).unwrap();
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

// ---- a restore that ends in the middle -----------------------------------------------------------------------------

/// A restore of which each step is seen (`power/steps.c`).
#[cfg(target_os = "linux")]
struct Steps(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Steps {
    fn build() -> Steps {
        let folder = tempfile::tempdir().unwrap();
        let built = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .arg(folder.path().join("steps.so"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power/steps.c"))
            .status();
        assert!(built.expect("a C compiler is needed: cc").success());
        Steps(folder)
    }

    fn restore(&self, till: &Till, copy: &Path, how: &[(&str, &str)]) -> common::command::Ran {
        let mut command = till.command(["restore", copy.to_str().unwrap()]);
        command.env("LD_PRELOAD", self.0.path().join("steps.so")).env("STEPS_OF", &till.path);
        common::command::Ran::of(&command.envs(how.iter().copied()).output().unwrap())
    }

    /// What was done, with the names of files alone.
    fn of(&self, till: &Till, copy: &Path, how: &[(&str, &str)]) -> Vec<String> {
        let log = self.0.path().join("log");
        let how = [how, &[("STEPS_LOG", log.to_str().unwrap())]].concat();
        assert_eq!(self.restore(till, copy, &how).exit, Some(0));
        let folder = format!("{}/", till.folder.path().display());
        let steps = std::fs::read_to_string(log).unwrap().replace(&folder, "");
        steps.lines().map(|step| step.trim_end().replace(folder.trim_end_matches('/'), ".")).collect()
    }
}

/// Everything that begins with the name of the file.
#[cfg(target_os = "linux")]
fn all_of_it(till: &Till) -> Vec<(PathBuf, Vec<u8>)> {
    let all = std::fs::read_dir(till.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = all
        .filter(|path| path.to_str().unwrap().starts_with(till.path.to_str().unwrap()))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// Between any two of its steps: then the file is the old one, to the byte and with its log, or the new one; nothing of it has two
/// names; and the next restore goes on as if there had been none.
#[cfg(target_os = "linux")]
#[test]
fn a_restore_that_is_killed_at_any_step_leaves_the_old_file_or_the_new_one() {
    let steps = Steps::build();
    let till = with_a_payment();
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    till.set(2, "company", "after the backup");
    drop(till.store());
    let other = rusqlite::Connection::open(till.folder.path().join("other.db")).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    let strange = std::fs::read(till.folder.path().join("other.db-wal")).unwrap();
    let (whole, before) = (std::fs::read(&till.path).unwrap(), all_of_it(&till));
    let is_old = |path: &Path| {
        let customer = Store::open_existing(path).unwrap().get(2).unwrap().unwrap().to_json();
        customer.contains("after the backup")
    };
    let disks = [&[][..], &[("STEPS_COPY", "1")]];
    let cases = [
        ("nothing", None, disks[0]),
        ("a log of another file", Some(&strange), disks[0]),
        ("no links", None, disks[1]),
    ];
    for (lies_beside, log, disk) in cases {
        let (mut old, mut new) = (0, 0);
        for step in 1.. {
            all_of_it(&till).iter().for_each(|(path, _)| std::fs::remove_file(path).unwrap());
            before.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
            if let Some(log) = log {
                std::fs::write(beside(&till.path, "-wal"), log).unwrap();
            }
            let step = step.to_string();
            let how = [disk, &[("STEPS_KILL", step.as_str())]].concat();
            if steps.restore(&till, &copy, &how).exit.is_some() {
                break;
            }
            let when = format!("beside it {lies_beside}, killed before step {step}");
            let opened = Store::open_existing(&till.path).map(drop).map_err(|error| error.code());
            match (opened, log) {
                (Ok(()), _) if !is_old(&till.path) => new += 1,
                (Ok(()), None) | (Err("stray_log"), Some(_)) => {
                    old += 1;
                    assert!(std::fs::read(&till.path).unwrap() == whole, "{when}");
                    assert_eq!(std::fs::read(beside(&till.path, "-wal")).ok().as_ref(), log, "{when}");
                }
                (opened, _) => panic!("{when}: {opened:?}"),
            }
            use std::os::unix::fs::MetadataExt as _;
            assert_eq!(till.path.metadata().unwrap().nlink(), 1, "{when}");
            let again = till.run(["restore", copy.to_str().unwrap()]);
            assert_eq!(again.exit, Some(0), "{when}: {again:?}");
            assert!(!is_old(&till.path), "{when}");
            let aside = beside(&till.path, ".replaced-1");
            assert_eq!(std::fs::read(beside(&aside, "-wal")).ok().as_ref(), log, "{when}");
            _ = std::fs::remove_file(beside(&aside, "-wal"));
            assert!(is_old(&aside), "{when}: what was edited after the backup is there");
            let left = all_of_it(&till);
            assert!(!left.iter().any(|(path, _)| path.to_str().unwrap().contains(".restored")), "{when}");
        }
        assert!(old > 3 && new > 0, "beside it {lies_beside}: {old} old, {new} new");
    }
}

/// What goes aside is on the disk, under its new name, before the old name is the backup's; also where that takes a copy.
#[cfg(target_os = "linux")]
#[test]
fn what_went_aside_is_on_the_disk_before_its_name_goes() {
    let steps = Steps::build();
    for how in [&[][..], &[("STEPS_COPY", "1")]] {
        let till = with_a_payment();
        let copy = till.folder.path().join("monday.db");
        till.store().backup(&copy).unwrap();
        let done = steps.of(&till, &copy, how);
        let named = |step: &String| step.starts_with("rename") && step.ends_with(" till.db");
        let named = done.iter().position(named).unwrap();
        let (before, after) = done.split_at(named);
        let is_aside = |step: &String| !step.starts_with("sync") && step.ends_with(" till.db.replaced-1");
        let aside = before.iter().position(is_aside).unwrap_or_else(|| panic!("{done:?}"));
        if let Some(copied) = before[aside].strip_prefix("rename ").filter(|_| !how.is_empty()) {
            let copied = format!("sync {}", copied.split(' ').next().unwrap());
            assert_eq!(before[aside - 1], copied, "{done:?}");
        }
        assert_eq!(before[aside].starts_with("link "), how.is_empty(), "{done:?}");
        assert!(before[aside..].iter().any(|step| step == "sync ."), "{done:?}");
        assert!(after.iter().any(|step| step == "sync ."), "{done:?}");
        let logs = ["unlink till.db-wal", "unlink till.db-journal"];
        assert!(!after.iter().any(|step| logs.contains(&step.as_str())), "{done:?}");
        let replaced = beside(&till.path, ".replaced-1");
        assert_eq!(Store::open_existing(replaced).unwrap().status().unwrap().pending_fields, 2);
    }
}

/// As a plain file it is opened and closed again, by which the process loses all its locks on it.
#[test]
fn a_backup_that_is_open_in_this_process_is_not_restored() {
    let till = with_a_payment();
    let copy = till.folder.path().join("monday.db");
    till.store().backup(&copy).unwrap();
    let open = Store::open(&copy).unwrap();
    assert_eq!(Store::restore(&till.path, &copy, None).unwrap_err().code(), "in_use");
    drop(open);
    assert_eq!(till.outcomes(1, "phone"), ["pending"], "the till is as it was");
    assert!(Store::restore(&till.path, &copy, None).unwrap().replaced.is_some());
}

/// What it is that lies there, and whose, and that it is not in the copy.
#[test]
fn a_log_beside_a_backup_is_told_as_what_it_is() {
    let till = with_a_payment();
    let [copy, other] = ["monday.db", "other.db"].map(|name| till.folder.path().join(name));
    till.store().backup(&copy).unwrap();
    till.store().backup(&other).unwrap();
    let log_of = |path: &Path| {
        let app = rusqlite::Connection::open(path).unwrap();
        app.execute("UPDATE customer SET phone = '777' WHERE id = 1", []).unwrap();
        std::fs::read(beside(path, "-wal")).unwrap()
    };
    let (own, others) = (log_of(&copy), log_of(&other));
    let before = std::fs::read(&copy).unwrap();
    let told = |log: &[u8]| {
        std::fs::write(beside(&copy, "-wal"), log).unwrap();
        let refused = Store::restore(&till.path, &copy, None).unwrap_err();
        assert!(refused.to_string().contains("monday.db-wal"), "{refused}");
        assert!(std::fs::read(&copy).unwrap() == before, "the backup was touched");
        assert!(std::fs::read(beside(&copy, "-wal")).unwrap() == log, "its log was touched");
        assert!(!beside(&copy, "-shm").exists());
        refused
    };
    assert_eq!(told(&others).code(), "stray_log");
    let refused = told(&own);
    assert_eq!(refused.code(), "usage");
    assert!(refused.to_string().contains("was written to it last"), "{refused}");
    std::fs::remove_file(beside(&copy, "-wal")).unwrap();
    let app = rusqlite::Connection::open(&copy).unwrap();
    app.execute("UPDATE customer SET phone = '777' WHERE id = 1", []).unwrap();
    drop(app);
    assert!(Store::restore(&till.path, &copy, None).unwrap().replaced.is_some());
}
