//! Disks that are full, closed to writing or damaged, and files that are not what they should be.
//!
//! Each gives an error with its own word, exit status 6, and leaves the file as it was, to the byte; when the disk is
//! well again everything goes on, and nothing that was acknowledged is missing.
//!
//! The disks are real: a test that needs one starts this program again in a mount namespace of its own, where it may
//! mount a small file system or one that cannot be written, as root or as anybody. Where the system allows no such
//! namespace, those tests say so and pass.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::ledger::{Change, Intent, Ledger, is_whole, open_accounts};
use common::{Till, sandbox, till};
use rusqlite::Connection;
use tillsync::{Error, Extent, Store};

// ---- full --------------------------------------------------------------------------------------------------------

#[test]
fn a_full_disk_stops_everything_with_a_word_and_loses_nothing() {
    in_a_mount_namespace("a_full_disk_stops_everything_with_a_word_and_loses_nothing", || {
        let till = Till::new(sandbox(200));
        mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], till.folder.path());
        open_accounts(&till);
        assert_eq!(till.run(["pull"]).exit, Some(0));
        let mut books = Books::of(&till);
        let mut store = till.store();
        books.edit(&mut store).unwrap();

        let ballast = fill(till.folder.path(), "ballast");
        let error = (0..5_000).find_map(|_| books.edit(&mut store).err()).expect("the disk has no end");
        assert_eq!(error.code(), "disk_full", "{error}");
        assert!(error.to_string().contains("till.db"), "it names the file: {error}");
        for command in [vec!["edit", "1", "phone=1"], vec!["sync"], vec!["pull", "--full"]] {
            let ran = till.run(command.iter().copied());
            assert_eq!((ran.exit, ran.code()), (Some(6), "disk_full"), "{command:?}: {ran:?}");
        }
        let doctor = till.run(["doctor"]);
        let checks = doctor.json["checks"].as_array().expect("it finds out all the same");
        let room = checks.iter().find(|check| check["name"] == "room").unwrap();
        assert_eq!((doctor.exit, &room["ok"]), (Some(6), &false.into()), "{doctor:?}");
        let left: Vec<_> = fs::read_dir(till.folder.path()).unwrap().flatten().collect();
        assert!(!left.iter().any(|file| file.file_name().to_string_lossy().contains("-room-")), "{left:?}");
        assert_eq!(till.sandbox.stats().put, 0, "what cannot be noted down is not sent");
        books.ledger.check_journal(&store).unwrap();
        // Whoever closes the file last makes room: the write-ahead log goes.
        drop(store);
        let more = fill(till.folder.path(), "more ballast");
        let error = Store::open(&till.path).and_then(|mut store| books.edit(&mut store)).unwrap_err();
        assert_eq!(error.code(), "disk_full", "opened on a full disk: {error}");
        let error = Store::open(till.folder.path().join("new.db")).unwrap_err();
        assert_eq!(error.code(), "disk_full", "made on a full disk: {error}");

        fs::remove_file(ballast).unwrap();
        fs::remove_file(more).unwrap();
        let mut store = till.store();
        is_whole(&store).unwrap();
        books.edit(&mut store).unwrap();
        assert_eq!(till.run(["sync"]).exit, Some(0));
        books.ledger.check_all(&till).unwrap();
        assert!(Store::open(till.folder.path().join("new.db")).is_ok());
    });
}

#[test]
fn a_disk_that_fills_up_during_a_pull_keeps_what_was_there() {
    in_a_mount_namespace("a_disk_that_fills_up_during_a_pull_keeps_what_was_there", || {
        let till = Till::new(sandbox(3_000));
        mount(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"], till.folder.path());
        let ran = till.run(["pull"]);
        assert_eq!((ran.exit, ran.code()), (Some(6), "disk_full"), "{ran:?}");
        mount(&["-o", "remount,size=200m"], till.folder.path());
        assert_eq!(till.run(["pull"]).exit, Some(0));
        assert_eq!(till.store().status().unwrap().snapshot_customers, 3_000);
        is_whole(&till.store()).unwrap();
    });
}

/// SQLCipher does not tell when the commit of another key fails: the file is asked which one it has.
#[cfg(feature = "sqlcipher")]
#[test]
fn a_file_keeps_its_key_when_there_is_no_space_to_write_it_anew() {
    in_a_mount_namespace("a_file_keeps_its_key_when_there_is_no_space_to_write_it_anew", || {
        let mut till = Till::new(sandbox(3_000));
        till.key = Some("the old one".to_owned());
        mount(&["-t", "tmpfs", "-o", "size=200m", "tmpfs"], till.folder.path());
        assert_eq!(till.run(["pull"]).exit, Some(0));
        till.set(1, "phone", "555-0100");
        let bytes = fs::metadata(&till.path).unwrap().len();
        let fails = |left: u64| {
            mount(&["-o", &format!("remount,size={}", bytes + left)], till.folder.path());
            let mut store = till.store();
            let error = store.rekey(tillsync::Key::passphrase("the new one").unwrap()).unwrap_err();
            assert!(matches!(error.code(), "disk_full" | "not_writable"), "{left}: {error:?}");
            assert!(error.to_string().contains("till.db"), "{error}");
            is_whole(&store).unwrap();
            drop(store);
            is_whole(&till.store()).unwrap();
        };
        for part in [0.1, 0.5, 0.9] {
            fails((bytes as f64 * part) as u64);
        }
        mount(&["-o", "remount,size=200m"], till.folder.path());
        goes_on(&till);
        till.store().rekey(tillsync::Key::passphrase("the new one").unwrap()).unwrap();
        till.key = Some("the new one".to_owned());
        assert_eq!(till.run(["sync"]).exit, Some(0));
    });
}

/// What a till's people asked for while its disk was in trouble.
struct Books {
    ledger: Ledger,
    ids: Vec<i64>,
    random: fastrand::Rng,
}

impl Books {
    fn of(till: &Till) -> Books {
        let ids = till.sandbox.ids().into_iter().map(i64::from).collect();
        Books { ledger: Ledger::default(), ids, random: fastrand::Rng::with_seed(7) }
    }

    fn edit(&mut self, store: &mut Store) -> Result<(), Error> {
        let changes = vec![Change::random(&self.ids, 0.3, &mut self.random)];
        let label = format!("{:016x}", self.random.u64(..));
        let entry = self.ledger.enter(Intent { label: label.clone(), changes: changes.clone() });
        changes[0].commit(store, &label)?;
        self.ledger.acknowledge(entry);
        Ok(())
    }
}

/// Takes all the space that is left.
fn fill(folder: &Path, name: &str) -> PathBuf {
    use std::io::Write;
    let path = folder.join(name);
    let mut file = fs::File::create(&path).unwrap();
    for size in [65_536, 4_096, 512] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    path
}

// ---- closed to writing -------------------------------------------------------------------------------------------

#[test]
fn a_folder_or_a_file_that_cannot_be_written_is_named_and_left_alone() {
    in_a_mount_namespace("a_folder_or_a_file_that_cannot_be_written_is_named_and_left_alone", || {
        for is_folder in [true, false] {
            let till = pending();
            let place = if is_folder { till.folder.path() } else { &till.path };
            mount(&["--bind", place.to_str().unwrap()], place);
            mount(&["-o", "remount,bind,ro"], place);
            unusable(&till, "not_writable");
            let error = Store::open(&till.path).unwrap_err();
            assert!(error.hint().is_some_and(|hint| hint.contains("writable")), "{error}");
            if is_folder {
                let error = Store::open(till.folder.path().join("new.db")).unwrap_err();
                assert_eq!(error.code(), "not_writable", "{error}");
            }
            mount(&["-o", "remount,bind,rw"], place);
            goes_on(&till);
        }
    });
}

// ---- damaged, foreign, newer -------------------------------------------------------------------------------------

#[test]
fn a_file_with_a_damaged_header_or_that_is_no_database_is_refused() {
    let texts: [&[u8]; 4] =
        [b"hello", &[0; 4096], b"SQLite format 3\0 and then nothing of the kind", &[0xff; 20_000]];
    for text in texts {
        let till = Till::new(sandbox(1));
        fs::write(&till.path, text).unwrap();
        // What is shorter than the smallest page is no database at all.
        unusable(&till, if text.len() < 512 { "not_a_till" } else { "corrupt" });
        let told = tillsync::Store::open(&till.path).unwrap_err().to_string();
        assert!(!told.contains("another program"), "{told}");
    }
    let till = pending();
    let good = fs::read(&till.path).unwrap();
    let mut bad = good.clone();
    bad[..100].fill(0xaa);
    fs::write(&till.path, &bad).unwrap();
    unusable(&till, "corrupt");
    fs::write(&till.path, &good).unwrap();
    goes_on(&till);
}

#[test]
fn a_damaged_page_is_found_by_whoever_needs_it_and_by_the_doctor() {
    for table in ["journal", "customer", "state"] {
        let till = pending();
        let good = fs::read(&till.path).unwrap();
        let (page, size) = root_of(&till.path, table);
        let damaged = (page - 1) * size..page * size;
        let mut bad = good.clone();
        bad[damaged.clone()].fill(0xaa);
        fs::write(&till.path, &bad).unwrap();
        for command in [vec!["sync"], vec!["edit", "1", "phone=9"]] {
            if (table, command[0]) == ("state", "edit") {
                continue;
            }
            let ran = till.run(command.iter().copied());
            assert_eq!((ran.exit, ran.code()), (Some(6), "corrupt"), "{table}: {command:?}: {ran:?}");
        }
        assert_ne!(till.run(["doctor"]).exit, Some(0), "{table}");
        let left = fs::read(&till.path).unwrap();
        assert!(left[damaged].iter().all(|byte| *byte == 0xaa), "{table}: the damage was written over");
        fs::write(&till.path, &good).unwrap();
        goes_on(&till);
    }
}

fn root_of(path: &Path, table: &str) -> (usize, usize) {
    let connection = Connection::open(path).unwrap();
    let page = connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0))
        .unwrap();
    let size = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    (page, size)
}

#[test]
fn a_file_of_a_newer_schema_is_left_to_the_newer_version() {
    let till = pending();
    let change = |sql: &str| _ = common::as_engine(&Connection::open(&till.path).unwrap(), sql, []);
    change(
        "INSERT INTO tillsync_schema_history (version, name, applied_on, checksum)
         VALUES (9999, 'later', '2030-01-01T00:00:00Z', '1')",
    );
    unusable(&till, "newer_schema");
    change("DELETE FROM tillsync_schema_history WHERE version = 9999");
    goes_on(&till);
}

#[test]
fn a_file_that_is_not_there_is_not_made_by_an_edit() {
    let till = Till::new(sandbox(1));
    assert_ne!(till.run(["edit", "1", "phone=1"]).exit, Some(0));
    assert!(!till.path.exists());
}

// ---- locked ------------------------------------------------------------------------------------------------------

#[test]
fn an_edit_waits_for_a_transaction_that_ends_and_gives_up_on_one_that_does_not() {
    let till = pending();
    let other = Connection::open(&till.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let began = Instant::now();
    let ran = till.run(["edit", "1", "phone=7"]);
    assert_eq!((ran.exit, ran.code()), (Some(6), "locked"), "{ran:?}");
    assert!(began.elapsed() > Duration::from_secs(9), "it gave up after {:?}", began.elapsed());

    let waiting = till.command(["edit", "1", "phone=8"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    other.execute_batch("COMMIT").unwrap();
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_eq!(till.local(1, "phone"), r#""8""#);
    goes_on(&till);
}

#[test]
fn reading_does_not_wait_for_a_writer() {
    let till = pending();
    let other = Connection::open(&till.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    assert_eq!(till.store().get(1).unwrap().unwrap().id().0, 1);
    assert_eq!(till.run(["show", "1"]).exit, Some(0));
    assert!(began.elapsed() < Duration::from_secs(9), "SQLite would wait ten seconds");
}

// ---- helpers -----------------------------------------------------------------------------------------------------

/// A till with one edit that waits, and whose file nobody has open.
fn pending() -> Till {
    let till = till(20);
    till.set(1, "phone", "555-0100");
    till
}

/// Whoever opens the file is told this word; nobody changes a byte of it.
fn unusable(till: &Till, code: &str) {
    let before = fs::read(&till.path).unwrap();
    let error = Store::open(&till.path).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.is_database() && error.to_string().contains("till.db"), "{error}");
    for command in [vec!["sync"], vec!["edit", "1", "phone=9"], vec!["status"], vec!["pull", "--full"]] {
        let ran = till.run(command.iter().copied());
        assert_eq!((ran.exit, ran.code()), (Some(6), code), "{command:?}: {ran:?}");
    }
    assert!(fs::read(&till.path).unwrap() == before, "{code}: the file was touched");
}

/// The disk is well again: what was journaled is there and goes up.
fn goes_on(till: &Till) {
    let store = till.store();
    is_whole(&store).unwrap();
    assert!(store.pending(1).unwrap().iter().any(|row| row.value.contains("555-0100")), "the edit is gone");
    let phone = till.local(1, "phone");
    assert_eq!(till.run(["sync"]).exit, Some(0));
    assert_eq!(till.remote_value(1, "phone"), phone);
    till.engine().pull(Extent::Full).unwrap();
    till.assert_no_violations();
}

const INSIDE: &str = "TILLSYNC_INSIDE_A_NAMESPACE";

/// Runs a test of this program where it may mount what it likes, and nobody else sees it.
fn in_a_mount_namespace(test: &str, scenario: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return scenario();
    }
    let unshare = |flags: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags);
        command
    };
    for flags in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let may = unshare(flags).args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"]).output();
        if may.is_ok_and(|output| output.status.success()) {
            let itself = std::env::current_exe().unwrap();
            let status =
                unshare(flags).arg(itself).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").status();
            return assert!(status.unwrap().success(), "see above");
        }
    }
    println!("not tested: this system allows no mount namespace");
}

fn mount(arguments: &[&str], place: &Path) {
    let done = Command::new("mount").args(arguments).arg(place).status().unwrap();
    assert!(done.success(), "mount {arguments:?}");
}
