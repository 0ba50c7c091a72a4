//! Files that are encrypted: the main job on one, what is left to read in its bytes, and every way in which a key can be
//! the wrong one.
//!
//! `TILLSYNC_TEST_KEY=secret cargo test --features sqlcipher --test main_job` runs another suite on encrypted files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::command::Ran;
use common::{SOON, Till, number, sandbox, soon, till};
use rusqlite::Connection;
use tillsync::{Error, Event, Extent, Fate, Key, Store, StoreOptions, Syncer, SyncerOptions};

const PASSPHRASE: &str = "correct horse battery o'staple";
const RAW: &str = "x'000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'";

/// A till whose file is encrypted, and that has pulled everything.
fn vault(customers: usize, key: &str) -> Till {
    let mut till = Till::new(sandbox(customers));
    till.key = Some(key.to_owned());
    till.engine().pull(Extent::Changes).unwrap();
    till.sandbox.clear_requests();
    till
}

fn open(path: &Path, key: Option<&str>) -> Result<Store, Error> {
    let key = key.map(|text| Key::parse(text).unwrap());
    Store::open_with(path, StoreOptions { create: false, key, ..StoreOptions::default() })
}

/// A connection of another program, with a SQLCipher of its own.
fn sql(path: &Path, key: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    if !key.is_empty() {
        connection.pragma_update_and_check(None, "key", key, |_| Ok(())).unwrap();
    }
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

fn exists(path: &Path, suffix: &str) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    Path::new(&name).exists()
}

// ---- nothing to read ---------------------------------------------------------------------------------------------

/// What a thief would look for: everything that the store knows of a person, and what was edited here.
fn words(till: &Till) -> Vec<String> {
    let edited = [
        "+49 30 901820 77",
        "prefers to be called in the morning",
        "Brandstetter & Söhne",
        "sale 1042",
        "hunter2 hunter2",
    ];
    let mut words: Vec<String> = edited.map(str::to_owned).to_vec();
    for id in till.sandbox.ids() {
        let customer = till.sandbox.customer(id).unwrap();
        let of = ["email", "first_name", "last_name", "phone", "company"]
            .map(|field| customer[field].as_str().unwrap_or_default().to_owned());
        // Three letters may turn up by chance.
        words.extend(of.into_iter().filter(|word| word.len() >= 7));
    }
    words
}

/// Which of the words are in which file of the till's folder.
fn found(till: &Till, words: &[String]) -> BTreeMap<String, usize> {
    let files = std::fs::read_dir(till.folder.path()).unwrap().map(Result::unwrap);
    let count = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        words.iter().filter(|word| text.contains(word.as_str())).count()
    };
    files
        .map(|file| (file.file_name().into_string().unwrap(), count(&std::fs::read(file.path()).unwrap())))
        .collect()
}

/// A day of a till, with a look into its files while it has them open, after a sync, and into a backup.
fn day(till: &Till) -> Vec<BTreeMap<String, usize>> {
    let words = words(till);
    till.engine().pull(Extent::Changes).unwrap();
    let mut store = till.store();
    store
        .edit(1)
        .set("phone", "+49 30 901820 77")
        .set("notes", "prefers to be called in the morning")
        .set("company", "Brandstetter & Söhne")
        .set("new_password", "hunter2 hunter2")
        .label("sale 1042")
        .commit()
        .unwrap();
    let open = found(till, &words);
    store.backup(till.folder.path().join("copy.db")).unwrap();
    till.engine().sync().unwrap();
    drop(store);
    vec![open, found(till, &words)]
}

#[test]
fn no_customer_is_in_any_byte_of_an_encrypted_till() {
    let plain = Till::new(sandbox(200));
    let looks = day(&plain);
    for file in ["till.db", "till.db-wal", "copy.db"] {
        let most = looks.iter().map(|look| look.get(file).copied().unwrap_or(0)).max().unwrap();
        assert!(most >= 5, "in a plain file they are found: {file}: {looks:?}");
    }
    for key in [PASSPHRASE, RAW] {
        let mut till = Till::new(sandbox(200));
        till.key = Some(key.to_owned());
        let looks = day(&till);
        for file in ["till.db", "till.db-wal", "till.db-shm", "copy.db"] {
            assert!(
                looks[0].contains_key(file) || looks[1].contains_key(file),
                "{file} was not there: {looks:?}"
            );
        }
        assert!(looks.iter().flat_map(BTreeMap::values).all(|count| *count == 0), "{looks:?}");
        let begin = std::fs::read(&till.path).unwrap();
        assert!(!begin.starts_with(b"SQLite"));
        // It was the main job all the same.
        assert_eq!(till.remote_value(1, "company"), "\"Brandstetter & Söhne\"");
        assert_eq!(till.sandbox.last_password(1).as_deref(), Some("hunter2 hunter2"));
        assert_eq!(till.store().status().unwrap().pending_fields, 0);
        assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
        till.assert_no_violations();
    }
}

// ---- the wrong key -----------------------------------------------------------------------------------------------

/// Whoever opens the file so is told this word; nobody changes a byte of it.
#[track_caller]
fn refused(till: &Till, key: Option<&str>, code: &str, words: &str) {
    let before = std::fs::read(&till.path).unwrap();
    let error = open(&till.path, key).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.is_database() && error.is_key() && !error.can_retry(), "{error:?}");
    assert!(error.to_string().contains("till.db") && error.to_string().contains(words), "{error}");
    assert!(error.hint().is_some());
    for command in [
        vec!["status"],
        vec!["edit", "1", "phone=9"],
        vec!["pull"],
        vec!["sync"],
        vec!["doctor"],
        vec!["backup", "copy.db"],
    ] {
        let mut run = till.command(command.iter().copied());
        run.env_remove("TILLSYNC_KEY").envs(key.map(|key| ("TILLSYNC_KEY", key))).stderr(Stdio::piped());
        let output = run.current_dir(till.folder.path()).output().unwrap();
        let ran = Ran::of(&output);
        assert_eq!(ran.exit, Some(6), "{command:?}: {ran:?}");
        assert!(ran.code() == code || command == ["doctor"], "{command:?}: {ran:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "SQLCipher's own log is off");
        let said = format!("{error} {error:?} {}", ran.json);
        assert!(!key.is_some_and(|key| said.contains(key)), "{said}");
    }
    assert!(std::fs::read(&till.path).unwrap() == before, "{code}: the file was touched");
}

#[test]
fn a_wrong_key_no_key_and_a_key_for_a_plain_file_are_told_apart_and_touch_nothing() {
    for key in [PASSPHRASE, RAW] {
        let till = vault(3, key);
        till.set(1, "phone", "555-0100");
        refused(&till, Some("another"), "wrong_key", "does not open");
        refused(&till, Some(&RAW.replace('f', "e")), "wrong_key", "does not open");
        refused(&till, None, "key_needed", "no key was given");
        assert_eq!(till.run(["sync"]).exit, Some(0));
        assert_eq!(till.remote_value(1, "phone"), "\"555-0100\"");
    }
    let plain = till(3);
    refused(&plain, Some(PASSPHRASE), "not_encrypted", "is not encrypted");
    assert_eq!(plain.run(["sync"]).exit, Some(0));
}

#[test]
fn a_file_in_use_keeps_its_log_when_somebody_comes_with_a_wrong_key() {
    let till = vault(3, RAW);
    let mut store = till.store();
    store.edit(1).set("phone", "1").commit().unwrap();
    assert!(exists(&till.path, "-wal"));
    for key in [Some("another"), None] {
        assert!(open(&till.path, key).is_err());
    }
    store.edit(1).set("phone", "2").commit().unwrap();
    assert_eq!(till.local(1, "phone"), "\"2\"");
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_damaged_page_of_an_encrypted_file_is_found() {
    let till = vault(200, RAW);
    let good = std::fs::read(&till.path).unwrap();
    let mut bad = good.clone();
    let last_page = good.len() - 4096;
    bad[last_page + 100] ^= 1;
    std::fs::write(&till.path, &bad).unwrap();
    let problems = till.store().check();
    assert!(
        problems.as_ref().map_or_else(|e| e.code() == "corrupt", |problems| !problems.is_empty()),
        "{problems:?}"
    );
    assert_eq!(till.run(["doctor"]).exit, Some(6));
    // The first page holds the proof of the key too: no key opens the file any more.
    let mut bad = good.clone();
    bad[100] ^= 1;
    std::fs::write(&till.path, &bad).unwrap();
    let error = open(&till.path, Some(RAW)).unwrap_err();
    assert!(error.code() == "wrong_key" && error.hint().unwrap().contains("damaged"), "{error}");
    std::fs::write(&till.path, &good).unwrap();
    assert_eq!(till.run(["sync"]).exit, Some(0));
}

// ---- where a key comes from --------------------------------------------------------------------------------------

type Variables<'v> = &'v [(&'v str, &'v str)];

/// The command in the till's folder, with these flags and this environment.
fn with(till: &Till, arguments: &[&str], environment: Variables<'_>) -> Ran {
    let mut command = till.command(arguments.iter().copied());
    command.env_remove("TILLSYNC_KEY").envs(environment.iter().copied()).current_dir(till.folder.path());
    Ran::of(&command.output().unwrap())
}

#[test]
fn the_command_takes_a_key_from_the_environment_or_a_file_and_makes_no_plain_file_by_mistake() {
    let mut till = Till::new(sandbox(3));
    till.key = Some(PASSPHRASE.to_owned());
    std::fs::write(till.folder.path().join("key"), format!("{PASSPHRASE}\n")).unwrap();
    std::fs::write(till.folder.path().join("empty"), "\n").unwrap();
    let wrong: [(&[&str], Variables<'_>); 6] = [
        (&["pull", "--key-env", "NO_SUCH_KEY"], &[]),
        (&["pull", "--key-file", "not-there"], &[]),
        (&["pull", "--key-file", "empty"], &[]),
        (&["pull"], &[("TILLSYNC_KEY", "")]),
        (&["pull"], &[("TILLSYNC_KEY", "x'abc'")]),
        (&["pull", "--key-env", "EMPTY"], &[("EMPTY", ""), ("TILLSYNC_KEY", PASSPHRASE)]),
    ];
    for (arguments, environment) in wrong {
        let ran = with(&till, arguments, environment);
        assert_eq!((ran.exit, ran.code()), (Some(2), "key"), "{arguments:?}: {ran:?}");
    }
    let both = with(&till, &["pull", "--key-file", "key", "--key-env", "MY_KEY"], &[("MY_KEY", "1")]);
    assert_eq!((both.exit, both.code()), (Some(2), "usage"), "{both:?}");
    assert!(!till.path.exists(), "nothing was made");

    assert_eq!(with(&till, &["pull", "--key-file", "key"], &[]).exit, Some(0));
    assert_eq!(with(&till, &["status"], &[("TILLSYNC_KEY", PASSPHRASE)]).exit, Some(0));
    assert_eq!(
        with(&till, &["status", "--key-env", "MY_KEY"], &[("MY_KEY", PASSPHRASE), ("TILLSYNC_KEY", "other")])
            .exit,
        Some(0)
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let theirs_alone = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(till.folder.path().join("key"), theirs_alone).unwrap();
    }
    let ran = with(&till, &["doctor", "--key-file", "key"], &[]);
    assert!(ran.exit == Some(0) && ran.json.to_string().contains("encrypted"), "{ran:?}");
}

#[test]
fn no_log_and_no_answer_holds_the_key() {
    let till = vault(3, PASSPHRASE);
    std::fs::write(till.folder.path().join("new"), RAW).unwrap();
    let mut said = String::new();
    for arguments in [
        &["edit", "1", "phone=1"][..],
        &["sync"],
        &["doctor"],
        &["status"],
        &["rekey", "--new-key-file", "new"],
        &["status"],
    ] {
        let mut command = till.command(arguments.iter().copied());
        command.env("TILLSYNC_LOG", "trace").stderr(Stdio::piped()).current_dir(till.folder.path());
        said += &format!("{:?}", command.output().unwrap());
    }
    assert!(said.contains("wrong_key"), "the last one has the old key");
    for word in ["battery", "staple", "0a0b0c0d"] {
        assert!(!said.contains(word), "{word} was said: {said}");
    }
}

#[cfg(feature = "keyring")]
mod drawer {
    use std::any::Any;

    use keyring::credential::{Credential, CredentialApi, CredentialBuilderApi};
    use keyring::{Error, Result};

    use super::*;

    /// A keyring of this process: what is asked of it is named by the user.
    #[derive(Debug)]
    struct Drawer;
    #[derive(Debug)]
    struct Entry(String);

    impl CredentialBuilderApi for Drawer {
        fn build(&self, _: Option<&str>, service: &str, user: &str) -> Result<Box<Credential>> {
            assert_eq!(service, "tillsync");
            Ok(Box::new(Entry(user.to_owned())))
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    impl CredentialApi for Entry {
        fn set_secret(&self, _: &[u8]) -> Result<()> {
            unreachable!("nobody writes to it")
        }
        fn get_secret(&self) -> Result<Vec<u8>> {
            match self.0.as_str() {
                "till 1" => Ok(format!("{PASSPHRASE}\n").into_bytes()),
                "bytes" => Ok(b"secret \xff".to_vec()),
                "locked" => Err(Error::NoStorageAccess("it is locked".into())),
                _ => Err(Error::NoEntry),
            }
        }
        fn delete_credential(&self) -> Result<()> {
            unreachable!("nobody deletes from it")
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    #[test]
    fn a_key_comes_from_the_keyring_and_what_is_wrong_with_it_is_said() {
        keyring::set_default_credential_builder(Box::new(Drawer));
        let till = vault(1, PASSPHRASE);
        let key = Key::from_keyring("tillsync", "till 1").unwrap();
        Store::open_with(
            &till.path,
            StoreOptions { create: false, key: Some(key), ..StoreOptions::default() },
        )
        .unwrap();
        for (user, code, words) in [
            ("nobody", "key", "has no entry tillsync/nobody"),
            ("bytes", "key", "is not UTF-8"),
            ("locked", "keyring", "it is locked"),
        ] {
            let error = Key::from_keyring("tillsync", user).unwrap_err();
            assert_eq!((error.code(), error.is_key(), error.is_usage()), (code, true, true), "{error}");
            assert!(error.to_string().contains(words) && error.hint().is_some(), "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }

    /// Where there is none, which is so on most servers.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_place_without_a_keyring_says_so() {
        let till = vault(1, PASSPHRASE);
        let nowhere = [("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")];
        let ran = with(&till, &["status", "--key-keyring", "tillsync/till 1"], &nowhere);
        assert_eq!((ran.exit, ran.code()), (Some(2), "keyring"), "{ran:?}");
        assert_eq!(with(&till, &["status", "--key-keyring", "tillsync"], &nowhere).code(), "usage");
    }
}

// ---- many at once ------------------------------------------------------------------------------------------------

#[test]
fn a_worker_the_command_and_plain_sql_work_on_one_encrypted_file() {
    let till = vault(5, PASSPHRASE);
    let quick = SyncerOptions {
        debounce: Duration::from_millis(50),
        look: Duration::from_millis(20),
        ..SyncerOptions::default()
    };
    let (_syncer, events) = Syncer::start(till.engine(), quick).unwrap();
    let mut store = till.store();
    let receipt = store.edit(1).set("phone", "of the library").commit().unwrap();
    assert!(matches!(store.wait(&receipt, SOON).unwrap(), Fate::Uploaded { .. }));
    assert_eq!(till.run(["edit", "2", "phone=of the command"]).exit, Some(0));
    let other = sql(&till.path, PASSPHRASE);
    other.execute("UPDATE customer SET phone = 'of SQL' WHERE id = 3", []).unwrap();
    let refused = other.execute("UPDATE customer SET phone = NULL WHERE id = 3", []).unwrap_err();
    assert!(refused.to_string().contains("tillsync refused: "), "{refused}");
    soon(|| {
        let status = store.status().unwrap();
        status.pending_fields == 0 && status.in_flight_batches == 0
    });
    for (id, phone) in [(1, "\"of the library\""), (2, "\"of the command\""), (3, "\"of SQL\"")] {
        assert_eq!(till.remote_value(id, "phone"), phone);
    }
    assert!(std::iter::from_fn(|| events.next(SOON)).any(|event| matches!(event, Event::EditUploaded(_))));
    assert!(store.reopen().unwrap().is_encrypted());
    till.assert_no_violations();
}

#[test]
fn a_backup_opens_with_the_same_key_and_takes_the_place_of_a_lost_file() {
    for key in [PASSPHRASE, RAW] {
        let till = vault(5, key);
        till.set(1, "phone", "waits");
        let copy = till.folder.path().join("copy.db");
        assert_eq!(till.run(["backup", copy.to_str().unwrap()]).exit, Some(0));
        assert_eq!(open(&copy, None).unwrap_err().code(), "key_needed");
        assert_eq!(open(&copy, Some("another")).unwrap_err().code(), "wrong_key");
        let mode: String = sql(&copy, key).query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        std::fs::remove_file(&till.path).unwrap();
        std::fs::rename(&copy, &till.path).unwrap();
        assert_eq!(till.run(["sync"]).exit, Some(0));
        assert_eq!(till.remote_value(1, "phone"), "\"waits\"");
    }
}

/// With the copy in its place, a plain file is encrypted, and an encrypted one plain again.
#[test]
fn a_copy_may_have_another_key_or_none_and_has_all_that_the_file_has() {
    let mut till = till(20);
    till.set(1, "phone", "waits");
    let apps = "CREATE TABLE my_sale (id INTEGER PRIMARY KEY AUTOINCREMENT, total TEXT); CREATE INDEX my_index ON my_sale (total);
                INSERT INTO my_sale (total) VALUES ('12.50'); INSERT INTO my_sale (total) VALUES ('1.00'); DELETE FROM my_sale WHERE id = 2;
                PRAGMA user_version = 7; ANALYZE";
    till.store().connection().execute_batch(apps).unwrap();
    let words = words(&till);
    let before = contents(&till.path, "");
    let keys = [("OLD", PASSPHRASE), ("NEW", RAW)];
    let steps: [(&[&str], &str); 3] = [
        (&["--new-key-env", "OLD"], PASSPHRASE),
        (&["--key-env", "OLD", "--new-key-env", "NEW"], RAW),
        (&["--key-env", "NEW", "--plain"], ""),
    ];
    for (arguments, key) in steps {
        let copy = till.folder.path().join("copy.db");
        let ran = with(&till, &[&["backup", "copy.db"], arguments].concat(), &keys);
        assert_eq!(ran.exit, Some(0), "{ran:?}");
        assert_eq!(ran.json["bytes"], std::fs::metadata(&copy).unwrap().len());
        assert_eq!(found(&till, &words)["copy.db"] == 0, !key.is_empty());
        assert!(before == contents(&copy, key), "{arguments:?}");
        let connection = sql(&copy, key);
        let pragma = |name| {
            connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
        };
        assert_eq!((pragma("user_version"), pragma("journal_mode")), (7.into(), "wal".to_owned().into()));
        drop(connection);
        std::fs::rename(&copy, &till.path).unwrap();
        till.key = Some(key.to_owned()).filter(|key| !key.is_empty());
        assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
        till.set(2, "phone", "");
    }
    assert_eq!(till.run(["sync"]).exit, Some(0));
    assert_eq!(till.remote_value(1, "phone"), "\"waits\"");
    let error = till.store().backup_with_key(&till.path, Some(&Key::parse(RAW).unwrap())).unwrap_err();
    assert!(error.is_usage(), "{error}");
    let both = with(&till, &["backup", "other.db", "--plain", "--new-key-env", "NEW"], &keys);
    assert_eq!(both.code(), "usage");
}

// ---- another key -------------------------------------------------------------------------------------------------

/// Everything that is in a file, as SQL sees it, its schema too; but for its identity, of which each copy has its own.
fn contents(path: &Path, key: &str) -> BTreeMap<String, Vec<String>> {
    let connection = sql(path, key);
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' UNION ALL SELECT 'sqlite_schema' ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let rows = |table: &str| {
        let columns = match table {
            "sqlite_schema" => "type, name, tbl_name, sql",
            "tillsync_guard" => "id, writing, turn",
            _ => "*",
        };
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            Ok((0..columns).map(|n| format!("{:?}", row.get_ref(n).unwrap())).collect::<Vec<_>>().join("|"))
        });
        let mut rows: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
        let of_the_file = format!("{:?}", b"tillsync");
        rows.retain(|row| table != "sqlite_sequence" || !row.contains(of_the_file.trim_end_matches(']')));
        rows.sort();
        rows
    };
    tables.into_iter().map(|table| (table.clone(), rows(&table))).collect()
}

#[test]
fn a_file_gets_another_key_and_keeps_everything() {
    let mut till = vault(50, PASSPHRASE);
    till.set(1, "phone", "waits");
    let before = contents(&till.path, PASSPHRASE);
    let mut store = till.store();
    store.rekey(Key::parse(RAW).unwrap()).unwrap();
    store.edit(2).set("phone", "waits too").commit().unwrap();
    assert_eq!(store.reopen().unwrap().status().unwrap().pending_fields, 2);
    store.edit(2).set("phone", "").commit().unwrap();
    drop(store);
    assert_eq!(open(&till.path, Some(PASSPHRASE)).unwrap_err().code(), "wrong_key");
    assert_eq!(before["snapshot"], contents(&till.path, RAW)["snapshot"]);
    assert_eq!(before["tillsync_schema_history"], contents(&till.path, RAW)["tillsync_schema_history"]);

    // With the command, back to a passphrase.
    let keys = [("OLD", RAW), ("NEW", PASSPHRASE)];
    let ran = with(&till, &["rekey", "--key-env", "OLD", "--new-key-env", "NEW"], &keys);
    assert_eq!((ran.exit, ran.json["path"].as_str()), (Some(0), till.path.to_str()), "{ran:?}");
    assert_eq!(open(&till.path, Some(RAW)).unwrap_err().code(), "wrong_key");
    let mode: String =
        sql(&till.path, PASSPHRASE).query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    till.key = Some(PASSPHRASE.to_owned());
    assert_eq!(till.run(["sync"]).exit, Some(0));
    assert_eq!(till.remote_value(1, "phone"), "\"waits\"");

    // What cannot be done.
    assert_eq!(with(&till, &["rekey", "--key-env", "NEW"], &keys).exit, Some(2));
    assert_eq!(with(&till, &["rekey", "--key-env", "NEW", "--new-key-env", "NONE"], &keys).code(), "key");
    assert_eq!(
        with(&till, &["rekey", "--key-env", "OLD", "--new-key-env", "NEW"], &keys).code(),
        "wrong_key"
    );
    let plain = common::till(1);
    let error = plain.store().rekey(Key::parse(RAW).unwrap()).unwrap_err();
    assert_eq!(error.code(), "not_encrypted");
    assert!(open(&plain.path, None).is_ok());
}

#[test]
fn a_file_that_somebody_has_open_keeps_its_key() {
    let till = vault(5, RAW);
    let mut store = till.store();
    let mut fails = |code: &str| {
        let error = store.rekey(Key::passphrase(PASSPHRASE).unwrap()).unwrap_err();
        assert_eq!((error.code(), error.is_database()), (code, true), "{error}");
        // And goes on.
        assert_eq!(store.get(1).unwrap().unwrap().id().0, 1);
        assert!(open(&till.path, Some(RAW)).is_ok() && open(&till.path, Some(PASSPHRASE)).is_err());
    };
    let here = till.store();
    fails("in_use");
    drop(here);
    let other = sql(&till.path, RAW);
    other.query_row("SELECT count(*) FROM customer", [], |_| Ok(())).unwrap();
    fails("in_use");
    drop(other);
    let (syncer, _events) = Syncer::start(till.engine(), SyncerOptions::default()).unwrap();
    soon(|| syncer.is_at_work());
    syncer.pause();
    soon(|| !till.store().is_syncing().unwrap());
    fails("in_use");
    syncer.stop(SOON);
    till.sandbox.set_latency_ms(3_000);
    let sync = till.command(["sync"]).spawn().unwrap();
    soon(|| till.store().is_syncing().unwrap());
    fails("busy");
    assert!(sync.wait_with_output().unwrap().status.success());
    store.rekey(Key::passphrase(PASSPHRASE).unwrap()).unwrap();
}

/// `TILLSYNC_KILLS=200` for more.
#[test]
fn killed_while_it_gets_another_key_a_file_has_one_of_the_two_and_everything() {
    let till = vault(3_000, RAW);
    till.set(1, "phone", "waits");
    let before = contents(&till.path, RAW);
    let keys = [RAW, PASSPHRASE];
    let kills = number("TILLSYNC_KILLS").unwrap_or(12);
    let (mut has, mut seen, mut midway) = (0, [0, 0], 0);
    let mut random = fastrand::Rng::with_seed(number("TILLSYNC_SEED").unwrap_or(1));
    let mut within = {
        let began = Instant::now();
        assert!(rekey(&till, keys[0], keys[1]).wait_with_output().unwrap().status.success());
        has = 1 - has;
        began.elapsed()
    };
    for kill in 0..kills {
        let mut child = rekey(&till, keys[has], keys[1 - has]);
        std::thread::sleep(within.mul_f64(random.f64()));
        child.kill().unwrap();
        let Output { status, .. } = child.wait_with_output().unwrap();
        midway += u64::from(exists(&till.path, "-wal"));
        let opens = keys.map(|key| open(&till.path, Some(key)).map(|store| store.check().unwrap()));
        let (old, new) = (&opens[has], &opens[1 - has]);
        match (old, new) {
            (Ok(problems), Err(error)) | (Err(error), Ok(problems)) => {
                // Killed between its commit and the next checkpoint, all of it lies in the log, which this key reads as little as a stranger's.
                let is_told =
                    error.code() == "wrong_key" || error.to_string().contains("the key that it got last");
                assert!(is_told && problems.is_empty(), "kill {kill}: {error} {problems:?}");
            }
            _ => panic!("kill {kill}: {opens:?}"),
        }
        assert!(!status.success() || new.is_ok(), "kill {kill}: it said that it was done");
        let took = usize::from(new.is_ok());
        seen[took] += 1;
        // Aimed at the commit: later after one that came too early, earlier after one that came too late.
        within = within.mul_f64([1.25, 0.8][took]);
        has = if new.is_ok() { 1 - has } else { has };
        assert!(before == contents(&till.path, keys[has]), "kill {kill}: something is not as it was");
    }
    println!(
        "of {kills}, {midway} with pages in the log: {} kept the old key, {} got the new one",
        seen[0], seen[1]
    );
    assert!(seen[0] > 0 && seen[1] > 0, "the kills missed the commit by far: {seen:?}");
}

fn rekey(till: &Till, old: &str, new: &str) -> std::process::Child {
    let mut command: Command = till.command(["rekey", "--key-env", "OLD", "--new-key-env", "NEW"]);
    command.env_remove("TILLSYNC_KEY").env("OLD", old).env("NEW", new);
    command.spawn().unwrap()
}

// ---- what it costs -----------------------------------------------------------------------------------------------

/// `cargo test --release --features sqlcipher --test encryption costs -- --ignored --nocapture`
#[test]
#[ignore = "it measures, and takes a while"]
fn what_encryption_costs() {
    const CUSTOMERS: usize = 20_000;
    let sandbox = sandbox(CUSTOMERS);
    let ids: Vec<i64> = sandbox.ids().into_iter().map(i64::from).collect();
    for (name, key) in [("plain", None), ("raw key", Some(RAW)), ("passphrase", Some(PASSPHRASE))] {
        let mut till = Till::new(sandbox.clone());
        till.key = key.map(str::to_owned);
        let timed = |times: u32, mut work: Box<dyn FnMut() + '_>| {
            let began = Instant::now();
            (0..times).for_each(|_| work());
            began.elapsed() / times
        };
        let pull = timed(1, Box::new(|| _ = till.engine().pull(Extent::Changes).unwrap()));
        let open = timed(20, Box::new(|| drop(till.store())));
        let mut store = till.store();
        let mut random = fastrand::Rng::with_seed(1);
        let mut id = || ids[random.usize(..ids.len())];
        let read = timed(100_000, Box::new(|| _ = store.get(id()).unwrap().unwrap()));
        let mut n = 0;
        let edit = timed(
            2_000,
            Box::new(|| {
                n += 1;
                store.edit(id()).set("phone", &n.to_string()).commit().unwrap();
            }),
        );
        let bytes = std::fs::metadata(&till.path).unwrap().len();
        println!(
            "{name}: open {open:?}, edit {edit:?}, read of one customer {read:?}, pull of {CUSTOMERS} {pull:?}, {bytes} bytes"
        );
    }
}
