//! A file is never in the hands of two SQLites of one process: their locks would not see each other. What is open in this
//! process by other means is refused, before anything is written and without taking anybody's lock.
#![cfg(all(unix, feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;
#[cfg(feature = "ffi")]
#[path = "common/library.rs"]
mod library;

use std::fs::File;
use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{SOON, Till, sandbox, till};
use tillsync::{Event, Store, Syncer, SyncerOptions};

/// What is in the folder of a till, byte for byte.
fn bytes(till: &Till) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(till.folder.path()).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn a_file_that_this_process_has_open_by_other_means_is_refused() {
    let till = till(3);
    let before = bytes(&till);
    let other = File::open(&till.path).unwrap();
    let refused = Store::open(&till.path).unwrap_err();
    assert_eq!(
        (refused.code(), refused.is_two_sqlites(), refused.is_database()),
        ("two_sqlites", true, true)
    );
    let hint = refused.hint().unwrap();
    assert!(
        ["tillsync worker", "extension", "this library", "backup"].iter().all(|way| hint.contains(way)),
        "{hint}"
    );
    assert_eq!(bytes(&till), before);
    drop(other);
    Store::open(&till.path).unwrap();
}

#[test]
fn so_is_one_under_another_name_or_of_which_only_the_log_is_open() {
    let till = till(3);
    let linked = till.folder.path().join("linked.db");
    std::os::unix::fs::symlink(&till.path, &linked).unwrap();
    let other = File::open(&till.path).unwrap();
    assert_eq!(Store::open(&linked).unwrap_err().code(), "two_sqlites");
    drop(other);

    let store = till.store();
    let log = File::open(till.folder.path().join("till.db-wal")).unwrap();
    assert_eq!(Store::open(&till.path).unwrap_err().code(), "two_sqlites");
    drop(log);
    drop(store);
    Store::open(&till.path).unwrap();
}

/// They are of the same SQLite, whoever opened them and when.
#[test]
fn connections_of_an_app_by_rusqlite_are_no_others() {
    let till = till(3);
    let before = rusqlite::Connection::open(&till.path).unwrap();
    let mut engine = till.engine();
    let after = rusqlite::Connection::open(&till.path).unwrap();
    for connection in [&before, &after] {
        connection.execute("UPDATE customer SET phone = phone || '7' WHERE id = 1", []).unwrap();
        assert_eq!(engine.sync().unwrap().uploaded_fields, 1);
    }
    drop(before);
    Store::open(&till.path).unwrap();
}

/// In a process of its own, in which no till was opened before.
#[test]
fn so_are_those_that_were_there_before_the_first_till() {
    let till = till(3);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "an_app_that_opened_its_connection_first"]).env("TILL", &till.path);
    let said = String::from_utf8_lossy(&child.output().unwrap().stdout).into_owned();
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by the one above"]
fn an_app_that_opened_its_connection_first() {
    let path = std::path::PathBuf::from(std::env::var("TILL").unwrap());
    let app = rusqlite::Connection::open(&path).unwrap();
    app.execute_batch("CREATE TABLE my_sale (id INTEGER)").unwrap();
    let store = Store::open(&path).unwrap();
    app.execute("INSERT INTO my_sale VALUES (1)", []).unwrap();
    // By other means is refused here too.
    let other = File::open(&path).unwrap();
    assert_eq!(store.reopen().unwrap_err().code(), "two_sqlites");
    drop(other);
    store.reopen().unwrap();
}

#[test]
fn a_sync_does_not_begin_while_the_file_is_open_by_other_means() {
    let till = till(3);
    let mut engine = till.engine();
    till.set(1, "phone", "here");
    let other = File::open(&till.path).unwrap();
    let before = bytes_of(&till);
    assert_eq!(engine.sync().unwrap_err().code(), "two_sqlites");
    assert_eq!(engine.push().unwrap_err().code(), "two_sqlites");
    assert_eq!(bytes_of(&till), before);
    assert_eq!((till.gets(), till.puts().len()), (0, 0));
    drop(other);
    assert_eq!(engine.sync().unwrap().uploaded_fields, 1);
}

/// The file and its log, without opening them: as they were written last.
/// Opened by the app's own SQLite between two pages: the next transaction is not begun.
#[test]
fn a_sync_ends_when_the_file_is_opened_by_other_means_meanwhile() {
    let till = Till::new(sandbox(600));
    let (path, opened) = (till.path.clone(), Arc::new(Mutex::new(None)));
    let keep = opened.clone();
    let mut engine = till.engine().on_event(move |event| {
        if matches!(event, Event::Progress(_)) {
            keep.lock().unwrap().get_or_insert_with(|| File::open(&path).unwrap());
        }
    });
    let refused = engine.pull(tillsync::Extent::Full).unwrap_err();
    assert_eq!(refused.code(), "two_sqlites");
    drop(engine);
    assert!(
        is_locked(&till.path) || till.path.with_extension("db-wal").exists(),
        "its log is not taken away"
    );
    drop(opened);
    assert_eq!(till.engine().pull(tillsync::Extent::Full).map(|report| report.complete).ok(), Some(true));
}

/// As a second SQLite of the process leaves it that has opened and closed the file.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_written_to_a_log_that_was_deleted() {
    let till = till(3);
    let mut engine = till.engine();
    till.set(1, "phone", "555");
    std::fs::remove_file(till.path.with_extension("db-wal")).unwrap();
    let refused = engine.sync().unwrap_err();
    assert_eq!((refused.code(), refused.is_database()), ("log_gone", true));
}

fn bytes_of(till: &Till) -> Vec<(u64, std::time::SystemTime)> {
    let files = ["till.db", "till.db-wal"].map(|name| till.folder.path().join(name).metadata().unwrap());
    files.iter().map(|file| (file.len(), file.modified().unwrap())).collect()
}

#[test]
fn a_worker_says_so_stays_away_from_the_file_and_goes_on_when_it_is_alone_again() {
    let till = till(3);
    let brief = Duration::from_millis(20);
    let options = SyncerOptions {
        every: Duration::from_millis(50),
        debounce: brief,
        retry_base: brief,
        retry_cap: brief * 2,
        look: Duration::from_millis(5),
        ..SyncerOptions::default()
    };
    let (syncer, events) = Syncer::start(till.engine(), options).unwrap();
    let next = |wanted: fn(&Event) -> bool| {
        let mut some = std::iter::from_fn(|| events.next(SOON)).take(500);
        some.find(wanted).expect("the worker does not say so")
    };
    next(|event| matches!(event, Event::SyncFinished(_)));
    let other = File::open(&till.path).unwrap();
    next(|event| matches!(event, Event::SyncFailed { code: "two_sqlites", .. }));
    let before = bytes_of(&till);
    next(|event| matches!(event, Event::SyncFailed { code: "two_sqlites", .. }));
    assert_eq!(bytes_of(&till), before);
    drop(other);
    next(|event| matches!(event, Event::SyncFinished(_)));
    assert!(syncer.stop(SOON));
}

/// Whether another process finds the shared lock of a connection on the file.
fn is_locked(path: &std::path::Path) -> bool {
    let look = "import fcntl, os, struct, sys
file = os.open(sys.argv[1], os.O_RDWR)
asked = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0x40000002, 1, 0)
print(struct.unpack('hhqqi4x', fcntl.fcntl(file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK)";
    let output =
        Command::new("python3").args(["-c", look]).arg(path).output().expect("this test needs python3");
    String::from_utf8_lossy(&output.stdout).trim() == "True"
}

/// Asks as another process whether a connection of this one still has its part in the lock of a file.
struct Asker {
    python: std::process::Child,
    answers: std::io::BufReader<std::process::ChildStdout>,
}

impl Asker {
    fn new() -> Asker {
        const LOOK: &str = "import fcntl, os, struct, sys
for line in sys.stdin:
    file = os.open(line.strip(), os.O_RDWR)
    asked = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0x40000002, 1, 0)
    print(struct.unpack('hhqqi4x', fcntl.fcntl(file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK, flush=True)
    os.close(file)";
        let mut python = Command::new("python3");
        python.args(["-c", LOOK]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut python = python.spawn().expect("this test needs python3");
        let answers = std::io::BufReader::new(python.stdout.take().unwrap());
        Asker { python, answers }
    }

    fn is_locked(&mut self, path: &std::path::Path) -> bool {
        writeln!(self.python.stdin.as_mut().unwrap(), "{}", path.display()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim() == "True"
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        _ = self.python.kill();
        _ = self.python.wait();
    }
}

/// A call, or several that belong together, by their names.
type Call = (&'static str, fn(&Till, &mut Store));

/// Every public function that has to do with the file; a test below holds the list against the sources.
const CALLS: [Call; 61] = [
    ("open", |till, _| _ = Store::open_with(&till.path, options(till))),
    ("open_existing", |till, _| _ = Store::open_existing(&till.path)),
    ("open_with", |till, _| assert!(Store::open_with(&till.path, wrong(till)).is_err())),
    ("reopen", |_, store| drop(store.reopen().unwrap())),
    ("is_encrypted path mended misshapen history_kept", |_, store| {
        _ = (store.is_encrypted(), store.path().exists(), store.mended());
        _ = (store.misshapen().unwrap(), store.history_kept().unwrap());
    }),
    ("keep", |_, store| assert!(store.keep("nonsense").is_err())),
    ("addresses edit_address", |_, store| {
        _ = store.addresses(1).unwrap();
        assert!(store.edit_address(7, &[("city", "Bilbao")], None, None).is_err());
    }),
    ("is_kept attributes attribute_values set_attribute_values", |_, store| {
        assert!(!store.is_kept("attributes").unwrap() && store.attributes().unwrap().is_empty());
        _ = store.attribute_values(1).unwrap();
        assert!(store.set_attribute_values(1, &[(3, "x")], None, None).is_err());
    }),
    ("connection", |_, store| store.connection().execute_batch("SELECT count(*) FROM customer").unwrap()),
    ("edit commit set author label with", |_, store| {
        let edit = tillsync::Edit::Set(
            tillsync::FieldId::named("company").unwrap(),
            tillsync::Value::Text("c".into()),
        );
        _ = store.edit(1).set("phone", "1").with(edit).author("a").label("l").commit().unwrap();
    }),
    ("adjust_credit override_floor", |_, store| {
        let edit = store.edit(1).adjust_credit("1".parse().unwrap());
        _ = edit.author("ana").override_floor().commit().unwrap();
    }),
    ("credit_floor set_credit_floor", |_, store| {
        store.set_credit_floor(Some(0.into())).unwrap();
        _ = store.credit_floor().unwrap();
    }),
    ("carry_out_decisions", |_, store| assert_eq!(store.carry_out_decisions().unwrap(), 0)),
    ("edit_all", |_, store| {
        assert!(store.edit_all(&[(tillsync::CustomerId(99), vec![])], None, None).is_err())
    }),
    ("create create_all", |_, store| assert!(store.create().commit().is_err())),
    ("delete_customers deleted to_be_deleted", |_, store| {
        assert!(store.delete_customers(&[tillsync::CustomerId(99)], None, None).is_err());
        assert!(store.deleted(1).unwrap().is_none() && store.to_be_deleted().unwrap().is_empty());
    }),
    ("left_behind", |_, store| assert!(store.left_behind().unwrap().is_empty())),
    ("get", |_, store| assert!(store.get(1).unwrap().is_some())),
    ("snapshot", |_, store| assert!(store.snapshot(1).unwrap().is_some())),
    ("find complete_search", |_, store| {
        _ = store.find("a", 5).unwrap();
        assert!(store.complete_search().unwrap());
    }),
    ("status", |_, store| _ = store.status().unwrap()),
    ("journal", |_, store| _ = store.journal(None).unwrap()),
    ("pending balance_set_since", |_, store| {
        _ = (store.pending(1).unwrap(), store.balance_set_since(1, tillsync::EditSeq(0)).unwrap());
    }),
    ("check", |_, store| assert!(store.check().unwrap().is_empty())),
    ("into_store", |till, _| _ = till.engine().into_store()),
    ("soundness", |_, store| assert_eq!(store.soundness().unwrap(), tillsync::Soundness::default())),
    ("conflicts", |_, store| _ = store.conflicts().unwrap()),
    ("rejected", |_, store| _ = store.rejected().unwrap()),
    ("decisions_stuck", |_, store| _ = store.decisions_stuck().unwrap()),
    ("has_log", |_, store| _ = store.has_log().unwrap()),
    ("bring_back_missing", |_, store| store.bring_back_missing().unwrap()),
    ("unjournaled find_unjournaled", |_, store| {
        _ = (store.unjournaled().unwrap(), store.find_unjournaled().unwrap());
    }),
    ("resolve resolve_seen", |_, store| {
        assert!(store.resolve(1, "phone", &tillsync::Keep::Local, None).is_err());
        assert!(store.resolve_seen(1, "phone", &tillsync::Keep::Local, "x", None).is_err());
    }),
    ("undo", |_, store| assert!(store.undo(99, None).is_err())),
    ("retry retry_row", |_, store| {
        store.retry(None).unwrap();
        assert!(store.retry_row(tillsync::EditSeq(99)).is_err());
    }),
    ("discard discard_seen discard_row", |_, store| {
        assert!(store.discard(1, Some("company"), None).unwrap() > 0);
        assert!(store.discard_seen(1, "notes", "x", None).is_err());
        assert!(store.discard_row(tillsync::EditSeq(99), None).is_err());
    }),
    ("diff changes", |_, store| _ = (store.diff(&[]).unwrap(), store.changes(&[]).unwrap())),
    ("is_syncing", |_, store| assert!(!store.is_syncing().unwrap())),
    ("fate wait fields", |_, store| {
        let receipt = store.edit(2).set("phone", "2").commit().unwrap();
        assert_eq!(receipt.fields(), 1);
        _ = (store.fate(&receipt).unwrap(), store.wait(&receipt, Duration::from_millis(5)).unwrap());
    }),
    ("around", |_, store| {
        let sale = store.connection().transaction().unwrap();
        _ = tillsync::Receipt::around(&sale, |_| Ok::<_, rusqlite::Error>(())).unwrap();
        sale.commit().unwrap();
    }),
    ("sync_holder worker_holder writer is_working can_note_beside", |_, store| {
        store.can_note_beside().unwrap();
        let holders = [store.sync_holder().unwrap(), store.worker_holder().unwrap(), store.writer()];
        _ = holders.iter().flatten().filter(|holder| holder.is_working()).count();
    }),
    ("log_state past_syncs", |_, store| _ = (store.log_state().unwrap(), store.past_syncs().unwrap())),
    ("try_to_write room", |_, store| {
        store.try_to_write().unwrap();
        _ = store.room().unwrap();
    }),
    ("report", |_, store| _ = store.report().unwrap()),
    ("restore", |till, store| {
        // In its place somebody has it open.
        let copy = till.folder.path().join("to restore.db");
        store.backup(&copy).unwrap();
        assert!(Store::restore(&till.path, &copy, options(till).key).is_err());
        assert!(store.get(1).unwrap().is_some());
        std::fs::remove_file(copy).unwrap();
    }),
    ("conflicts_page rejected_page journal_page waiting_page", |_, store| {
        _ = store.waiting_page(tillsync::EditSeq(0), 5).unwrap();
        _ = (store.conflicts_page(0, 5).unwrap(), store.rejected_page(tillsync::EditSeq(0), 5).unwrap());
        _ = store.journal_page(None, None, 5).unwrap();
    }),
    ("prune forget", |_, store| {
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        _ = store.prune(long_ago.into()).unwrap();
        _ = store.forget(99);
    }),
    ("pull_some", |till, _| _ = till.engine().pull_some(1).unwrap()),
    ("held_up", |_, store| _ = store.held_up().unwrap()),
    ("set_aside strangers brought_back", |_, store| {
        _ = (store.set_aside().unwrap(), store.strangers().unwrap(), store.brought_back());
    }),
    ("data_version", |_, store| _ = store.data_version().unwrap()),
    ("store_hash bind_store", |till, store| {
        store.bind_store(till.sandbox.store_hash()).unwrap();
        assert_eq!(store.store_hash().unwrap().as_deref(), Some(till.sandbox.store_hash()));
        assert!(store.bind_store("another").is_err());
    }),
    ("backup", |till, store| {
        _ = store.backup(till.folder.path().join("copy.db")).unwrap();
        assert!(store.backup(till.folder.path().join("copy.db")).is_err());
    }),
    ("backup_with_key", |till, store| {
        _ = store.backup_with_key(till.folder.path().join("plain.db"), None).unwrap();
    }),
    ("rekey", |_, store| {
        // It takes the place of the connection, and has the file for itself or not at all.
        let mut other = store.reopen().unwrap();
        assert!(other.rekey(tillsync::Key::parse("another").unwrap()).is_err());
    }),
    ("sync", |till, _| _ = till.engine().sync().unwrap()),
    ("push", |till, _| _ = till.engine().push().unwrap()),
    ("pull allow_deletions allow_to_delete", |till, _| {
        let mut engine = till.engine();
        engine.allow_deletions(1);
        engine.allow_to_delete(1);
        _ = engine.pull(tillsync::Extent::Full).unwrap();
    }),
    ("new with_clock on_progress on_event stopper stop is_stopped store remote", |till, _| {
        let mut engine = till.engine().on_progress(|_| {}).on_event(|_| {});
        let stopper = engine.stopper();
        stopper.stop();
        assert!(engine.sync().is_err() && stopper.is_stopped());
        _ = engine.store().path();
        _ = engine.remote();
    }),
    ("start sync_now pause resume is_at_work is_paused next have_ended", |till, _| {
        let (syncer, events) = Syncer::start(till.engine(), SyncerOptions::default()).unwrap();
        syncer.pause();
        syncer.sync_now();
        while !matches!(events.next(SOON), Some(Event::SyncFinished(_))) {}
        syncer.resume();
        assert!(syncer.is_at_work() && !syncer.is_paused() && !events.have_ended());
        assert!(syncer.stop(SOON));
    }),
    ("drop", |till, _| drop(till.store())),
];

fn options(till: &Till) -> tillsync::StoreOptions {
    let key = till.key.as_deref().map(|key| tillsync::Key::parse(key).unwrap());
    tillsync::StoreOptions { key, ..Default::default() }
}

/// Another key, or one where there is none.
fn wrong(till: &Till) -> tillsync::StoreOptions {
    let key = till.key.is_none().then(|| tillsync::Key::parse("another").unwrap());
    tillsync::StoreOptions { key, ..Default::default() }
}

/// Whoever opens and closes the file beside SQLite gives up the locks of every connection in this process.
#[test]
fn nothing_that_is_done_with_a_file_gives_up_the_locks_on_it() {
    let mut asker = Asker::new();
    for key in [None, Some("correct horse")] {
        if key.is_some() && cfg!(not(feature = "sqlcipher")) {
            continue;
        }
        let mut till = Till::new(common::sandbox(3));
        till.key = key.map(str::to_owned);
        till.engine().pull(tillsync::Extent::Changes).unwrap();
        let keeper = till.store();
        _ = keeper.get(1).unwrap();
        let mut store = till.store();
        assert!(asker.is_locked(&till.path), "a connection has a part in the lock of the file");
        for (names, call) in CALLS {
            call(&till, &mut store);
            assert!(asker.is_locked(&till.path), "{names} gave up the lock");
        }
        drop(store);
        assert!(asker.is_locked(&till.path));
        drop(keeper);
        assert!(!asker.is_locked(&till.path), "whoever asks can tell");
    }
}

/// Public functions that have nothing to do with a till's file, or are asked of another type.
const OTHERS: [&str; 4] = ["is_worth_a_word", "payment", "is_in_words_of_the_store", "in_fleet"];

#[test]
fn every_public_function_of_a_till_is_in_that_list() {
    let named: Vec<&str> = CALLS.iter().flat_map(|(names, _)| names.split(' ')).chain(OTHERS).collect();
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> =
        std::fs::read_dir(sources.join("store")).unwrap().map(|one| one.unwrap().path()).collect();
    files.extend(["engine.rs", "syncer/mod.rs", "syncer/events.rs"].map(|name| sources.join(name)));
    for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        for name in text.lines().filter_map(|line| line.strip_prefix("    pub fn ")) {
            let name = name.split(['(', '<']).next().unwrap();
            assert!(
                named.contains(&name),
                "{name} of {} is not asked about: add it to CALLS",
                file.display()
            );
        }
    }
}

#[cfg(feature = "ffi")]
mod in_another_language {
    use super::*;
    use serde_json::Value;

    /// What a script finds: the library, `refused(what)`, which says with which code that was refused, and `locks()`: how
    /// many bytes of the file and its shared memory another process finds locked.
    const PREAMBLE: &str = r#"
import ctypes, fcntl, json, os, sqlite3, struct, subprocess, sys
library, path = sys.argv[1:3]
c = ctypes.CDLL(library)
c.tillsync_open.restype, c.tillsync_open.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_char_p]
for name, arguments in [('call', [ctypes.c_uint64, ctypes.c_char_p]), ('last_error', [])]:
    function = getattr(c, 'tillsync_' + name)
    function.restype, function.argtypes = ctypes.c_void_p, arguments
c.tillsync_close.argtypes = [ctypes.c_uint64]

def read(pointer):
    return json.loads(ctypes.string_at(pointer))

def call(till, **request):
    answer = read(c.tillsync_call(till, json.dumps(request).encode()))
    return answer['error']['code'] if 'error' in answer else answer

LOOK = '''
import fcntl, os, struct, sys
def locked(path, byte):
    file = os.open(path, os.O_RDWR)
    asked = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, byte, 1, 0)
    found = struct.unpack('hhqqi4x', fcntl.fcntl(file, fcntl.F_GETLK, asked))
    os.close(file)
    return found[0] != fcntl.F_UNLCK
path = sys.argv[1]
shared = [locked(path, 0x40000002)]
print(sum(shared + [locked(path + '-shm', byte) for byte in range(120, 129)]))
'''
def locks():
    return int(subprocess.check_output([sys.executable, '-c', LOOK, path]))

def app():
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute('SELECT count(*) FROM customer').fetchone()
    return connection
"#;

    fn store(till: &Till) -> String {
        let (store, token, url) = (till.sandbox.store_hash(), till.sandbox.token(), till.sandbox.url());
        format!("STORE, TOKEN, URL = {store:?}, {token:?}, {url:?}\n")
    }

    fn python(till: &Till, script: &str) -> Value {
        let name = format!("{}tillsync{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let mut python = Command::new("python3");
        python
            .args(["-c", &format!("{PREAMBLE}{}{script}", store(till))])
            .arg(library::library().join(name))
            .arg(&till.path);
        let output = python.output().expect("this test needs python3");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[test]
    fn the_library_beside_python_s_sqlite_is_refused_and_takes_none_of_its_locks() {
        let till = till(3);
        let said = python(
            &till,
            "
file = app()
file.execute('BEGIN IMMEDIATE')
file.execute(\"UPDATE customer SET phone = 'python' WHERE id = 1\")
before = locks()
handle = c.tillsync_open(path.encode(), None)
error = read(c.tillsync_last_error())['error']
after = locks()
file.execute('COMMIT')
print(json.dumps([handle, error['code'], 'tillsync worker' in error['hint'], before > 2, after == before,
    file.execute('PRAGMA integrity_check').fetchone()[0]]))",
        );
        assert_eq!(said, serde_json::json!([0, "two_sqlites", true, true, true, "ok"]));
        assert_eq!(till.local(1, "phone"), "\"python\"");
    }

    #[test]
    fn python_s_sqlite_beside_the_library_ends_what_the_library_does() {
        let till = till(3);
        let said = python(
            &till,
            "
till = c.tillsync_open(path.encode(), b'{\"store_hash\":\"sandbox\",\"access_token\":\"x\"}')
first = call(till, command='edit', id=1, fields={'phone': 'library'})['edited']
file = app()
file.execute('BEGIN IMMEDIATE')
file.execute(\"UPDATE customer SET company = 'python' WHERE id = 1\")
before = locks()
said = [call(till, command=command, **more) for command, more in
    [('edit', {'id': 2, 'fields': {'phone': 'never'}}), ('sync', {}), ('status', {})]]
c.tillsync_close(till)
after = locks()
file.execute('COMMIT')
print(json.dumps([first, said, after == before, os.path.exists(path + '-wal'), file.execute('PRAGMA integrity_check').fetchone()[0]]))",
        );
        let refused = ["two_sqlites"; 3];
        assert_eq!(said, serde_json::json!([1, refused, true, true, "ok"]));
        assert_eq!(
            (till.local(1, "phone"), till.local(1, "company")),
            ("\"library\"".into(), "\"python\"".into())
        );
    }

    /// One handle keeps the file open; whatever is done through another, the lock stays.
    #[test]
    fn no_function_of_the_library_gives_up_the_locks() {
        let till = till(3);
        let said = python(
            &till,
            "
options = json.dumps({'store_hash': STORE, 'access_token': TOKEN, 'api_url': URL}).encode()
keeper = c.tillsync_open(path.encode(), options)
call(keeper, command='status')
gave_up = [] if locks() else ['open']
till = c.tillsync_open(path.encode(), options)
c.tillsync_query.restype, c.tillsync_query.argtypes = ctypes.c_void_p, [ctypes.c_uint64, ctypes.c_char_p, ctypes.c_char_p]
for name, arguments in [('start', [ctypes.c_uint64, ctypes.c_char_p]), ('stop', [ctypes.c_uint64, ctypes.c_uint32]),
                        ('next_event', [ctypes.c_uint64, ctypes.c_uint32]), ('version', [])]:
    function = getattr(c, 'tillsync_' + name)
    function.restype, function.argtypes = ctypes.c_void_p, arguments
c.tillsync_sqlite.restype = ctypes.c_void_p
nothing = {'command': 'status'}
commands = [
    {'command': 'edit', 'id': 1, 'fields': {'phone': '1'}}, {'command': 'new', 'fields': {'phone': '1'}}, {'command': 'delete', 'ids': [99]}, {'command': 'credit', 'id': 1, 'amount': 1}, {'command': 'show', 'id': 1},
    {'command': 'floor'},
    {'command': 'find', 'text': 'a'}, {'command': 'diff'}, nothing, {'command': 'log'}, {'command': 'conflicts'},
    {'command': 'resolve', 'id': 1, 'field': 'phone', 'keep': 'local'}, {'command': 'undo', 'conflict': 9}, {'command': 'rejected'},
    {'command': 'retry', 'all': True}, {'command': 'discard', 'id': 1, 'field': 'phone'}, {'command': 'pull'}, {'command': 'push'},
    {'command': 'sync'}, {'command': 'wait', 'receipt': {'after': 0, 'up_to': 1}}, {'command': 'backup', 'path': path + '.copy'},
    {'command': 'report', 'path': path + '.report'}, {'command': 'prune'}, {'command': 'forget', 'id': 99},
    {'command': 'sync_now'}, {'command': 'pause'}, {'command': 'resume'}, {'command': 'worker'}, {'command': 'none'}]
calls = [(request['command'], lambda request=request: call(till, **request)) for request in commands]
calls += [
    ('query', lambda: c.tillsync_query(till, b'SELECT count(*) FROM customer', None)),
    ('query BEGIN', lambda: c.tillsync_query(till, b'BEGIN IMMEDIATE', None)),
    ('query ROLLBACK', lambda: c.tillsync_query(till, b'ROLLBACK', None)),
    ('start', lambda: c.tillsync_start(till, None)), ('next_event', lambda: c.tillsync_next_event(till, 100)),
    ('sync_now at work', lambda: call(till, command='sync_now')), ('stop', lambda: c.tillsync_stop(till, 5000)),
    ('sqlite', lambda: c.tillsync_sqlite()), ('version', lambda: c.tillsync_version()), ('last_error', lambda: c.tillsync_last_error()),
    ('open wrongly', lambda: c.tillsync_open(path.encode(), b'{\"key\":\"wrong\"}')), ('close', lambda: c.tillsync_close(till))]
for name, one in calls:
    one()
    if not locks():
        gave_up.append(name)
known = call(keeper, command='none')
c.tillsync_close(keeper)
print(json.dumps([gave_up, os.path.exists(path + '-shm'), sorted({request['command'] for request in commands} - {'none'})]))",
        );
        let named = "edit, new, delete, credit, floor, show, find, diff, status, report, log, conflicts, resolve, undo, rejected, retry, discard, pull, \
                     push, sync, wait, backup, prune, forget, sync_now, pause, resume, worker";
        let mut named: Vec<&str> = named.split(", ").map(str::trim).collect();
        named.sort_unstable();
        assert_eq!(said, serde_json::json!([[], false, named]));
        let source = include_str!("../src/embed/call.rs");
        let commands = source.split("const COMMANDS: &str = \"").nth(1).unwrap().split('"').next().unwrap();
        let count = commands.split(',').count();
        assert_eq!(count, named.len(), "a command is not asked about: {commands}");
    }

    /// A fork hands on SQLite's memory of its locks, and not the locks: what the child wrote would go with the log when the parent ends.
    #[test]
    fn a_forked_child_has_no_till_that_its_parent_had_open() {
        let till = till(3);
        let said = python(
            &till,
            "
till = c.tillsync_open(path.encode(), None)
closed = path + '.closed'
assert call(till, command='backup', path=closed)
def in_child(work):
    ends, says = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(says, json.dumps(work()).encode())
        os._exit(0)
    os.close(says)
    told = os.read(ends, 4096)
    os.waitpid(child, 0)
    return json.loads(told)
def child():
    edit = call(till, command='edit', id=1, fields={'phone': 'child'})
    anew = c.tillsync_open(path.encode(), None)
    error = read(c.tillsync_last_error())['error']
    other = c.tillsync_open(closed.encode(), None)
    c.tillsync_close(till)
    return [edit, anew, error['code'], 'spawn' in error['hint'], other > 0]
told = in_child(child)
edited = call(till, command='edit', id=1, fields={'phone': 'parent'})['edited']
c.tillsync_close(till)
now = in_child(lambda: call(c.tillsync_open(path.encode(), None), command='edit', id=2, fields={'phone': 'child'}))['edited']
print(json.dumps([told, edited, now]))",
        );
        assert_eq!(said, serde_json::json!([["forked", 0, "forked", true, true], 1, 1]));
        assert_eq!(
            (till.local(1, "phone"), till.local(2, "phone")),
            ("\"parent\"".into(), "\"child\"".into())
        );
    }

    /// Nothing else of the process is in the way: a file of another till, or a plain file that is closed again.
    #[test]
    fn other_files_of_python_s_sqlite_are_no_matter() {
        let till = till(3);
        let said = python(
            &till,
            "
file = sqlite3.connect(path + '.own', isolation_level=None)
file.execute('CREATE TABLE sale (id)')
app().close()
till = c.tillsync_open(path.encode(), None)
print(json.dumps([till > 0, call(till, command='edit', id=1, fields={'phone': 'fine'})['edited']]))",
        );
        assert_eq!(said, serde_json::json!([true, 1]));
    }
}
