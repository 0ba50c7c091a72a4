//! The engine inside the app's own SQLite: the extension, loaded by Python, by better-sqlite3 and by SQLite's shell. Each
//! edits at full speed beside a worker in the same process, and every edit arrives.
//!
//! `TILLSYNC_EXTENSION_SECONDS` makes it longer than 8 seconds. `.ci/run` fetches better-sqlite3 and apsw into `target`;
//! where there is none, its test says that it did not run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "the helpers of a test fail as a test does"
)]

mod common;
#[path = "common/guide.rs"]
mod guide;
#[path = "common/library.rs"]
mod library;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Till, number, sandbox_with};
use library::{extension, root};
use serde_json::{Value, json};
use tillsync::sandbox::SandboxOptions;

const CUSTOMERS: usize = 20;

fn seconds() -> u64 {
    number("TILLSYNC_EXTENSION_SECONDS").unwrap_or(8)
}

/// A till whose store takes 20 ms to answer, so that there is always an update on its way.
fn till() -> Till {
    let quota = 1_000_000;
    Till::new(sandbox_with(SandboxOptions {
        customers: CUSTOMERS,
        quota,
        latency_ms: 20,
        ..SandboxOptions::default()
    }))
}

/// Their ids; there are gaps.
fn customers(till: &Till) -> Vec<i64> {
    (1..2 * CUSTOMERS as i64).filter(|id| till.sandbox.customer(*id as i32).is_some()).collect()
}

/// What `.ci/run` put beside what is built: `target/…`.
fn fetched(what: &str) -> Option<PathBuf> {
    let path = root().join("target").join(what);
    let is_there = path.exists();
    if !is_there {
        eprintln!("NOT RUN: {} is not there; .ci/run fetches it", path.display());
    }
    is_there.then_some(path)
}

/// A Python whose SQLite can load extensions; Debian's can, others were built without.
fn python() -> Option<Command> {
    let can = "import sqlite3; sqlite3.Connection.enable_load_extension";
    let python = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        Command::new(python).args(["-c", can]).output().is_ok_and(|output| output.status.success())
    });
    if python.is_none() {
        eprintln!("NOT RUN: this Python's sqlite3 loads no extensions");
    }
    python.map(Command::new)
}

/// Runs a till at full speed, and returns what it says in the end.
#[track_caller]
fn at_full_speed(till: &Till, mut program: Command, module: Option<&str>) -> Value {
    program.arg(extension()).arg(&till.path).args([till.sandbox.url().as_str(), till.sandbox.store_hash()]);
    program.arg(seconds().to_string()).args(module).env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token());
    let output = program.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// The file is whole; every edit is there, and its last word is the store's; the engine saw to it meanwhile.
#[track_caller]
fn all_arrived(till: &Till, said: &Value) {
    let edits = said["edits"].as_u64().unwrap();
    eprintln!("{edits} edits, SQLite {}: {}", said["sqlite"], said["heard"]);
    assert_eq!(said["whole"], "ok");
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    assert_eq!(
        (said["refused_in_transaction"].as_str(), said["came_to_its_end"].as_bool()),
        (Some("in_transaction"), Some(true))
    );
    assert!(said["heard"]["edit_uploaded"].as_u64().unwrap() > 0, "{said}");

    let mut store = till.store();
    let sales = "SELECT count(*), count(*) FILTER (WHERE number < ?1) FROM my_sale";
    let counted: (u64, u64) =
        store.connection().query_row(sales, [edits], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(counted, (edits, edits));
    let journal = store.journal(None).unwrap();
    assert_eq!(journal.len() as u64, edits);
    assert!(journal.iter().all(|row| row.outcome.is_some()), "something is pending still");
    let customers = customers(till);
    for last in edits.saturating_sub(customers.len() as u64)..edits {
        let customer = customers[last as usize % customers.len()];
        assert_eq!(till.remote_value(customer, "phone"), format!("\"555-{last}\""));
    }
    till.assert_no_violations();
}

#[test]
fn in_the_sqlite_of_python() {
    let Some(mut python) = python() else { return };
    let till = till();
    python.arg(root().join("tests/extension/till.py"));
    all_arrived(&till, &at_full_speed(&till, python, Some("sqlite3")));
}

#[test]
fn in_the_sqlite_of_apsw() {
    let (Some(mut python), Some(apsw)) = (python(), fetched("apsw")) else { return };
    let till = till();
    python.env("PYTHONPATH", apsw).arg(root().join("tests/extension/till.py"));
    all_arrived(&till, &at_full_speed(&till, python, Some("apsw")));
}

#[test]
fn in_the_sqlite_of_better_sqlite3() {
    let Some(modules) = fetched("better-sqlite3/node_modules") else { return };
    let till = till();
    let mut node = Command::new("node");
    node.env("NODE_PATH", modules).arg(root().join("tests/extension/till.js"));
    all_arrived(&till, &at_full_speed(&till, node, None));
}

/// What the shell of SQLite answers, a line a row; what it is told comes from `tell`.
fn shell(path: &Path, tell: impl FnOnce(&mut dyn Write)) -> Vec<String> {
    let mut shell = Command::new("sqlite3");
    shell.arg("-batch").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut shell = shell.spawn().expect("sqlite3 is needed");
    let mut stdin = shell.stdin.take().unwrap();
    let said = std::thread::scope(|scope| {
        let said = scope.spawn(|| std::io::read_to_string(shell.stdout.take().unwrap()).unwrap());
        writeln!(stdin, ".load {}", extension().display()).unwrap();
        tell(&mut stdin);
        drop(stdin);
        said.join().unwrap()
    });
    shell.wait().unwrap();
    said.lines().map(str::to_owned).collect()
}

#[test]
fn in_the_sqlite_of_its_shell() {
    let till = till();
    let options = json!({
        "api_url": till.sandbox.url(), "store_hash": till.sandbox.store_hash(), "access_token": till.sandbox.token(),
    });
    let (customers, mut edits) = (customers(&till), 0);
    let said = shell(&till.path, |sql| {
        let mut say = |text: String| writeln!(sql, "{text}").unwrap();
        say(format!("SELECT tillsync_open('{options}') IS NULL;"));
        say(r#"SELECT tillsync_call('{"command":"pull"}') IS NULL;"#.to_owned());
        say("CREATE TABLE my_sale (number INTEGER PRIMARY KEY);\n.timeout 10000".to_owned());
        say(r#"SELECT tillsync_start('{"debounce_ms":20,"every_ms":100,"patience_ms":100}') IS NULL;"#
            .to_owned());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(seconds()) {
            let customer = customers[edits % customers.len()];
            say(format!(
                "BEGIN IMMEDIATE; INSERT INTO my_sale VALUES ({edits});
                 UPDATE customer SET phone = '555-{edits}' WHERE id = {customer}; COMMIT;"
            ));
            edits += 1;
        }
        say("SELECT json_extract(tillsync_next_event(1000), '$.event') IN ('missed', 'sync_started');"
            .to_owned());
        say("BEGIN IMMEDIATE;".to_owned());
        say(r#"SELECT json_extract(tillsync_call('{"command":"sync"}'), '$.error.code'); COMMIT;"#.to_owned());
        say("SELECT json_extract(tillsync_stop(20000), '$.came_to_its_end');".to_owned());
        say(r#"SELECT json_extract(tillsync_call('{"command":"sync"}'), '$.error.code') IS NULL;"#.to_owned());
        say("PRAGMA integrity_check; SELECT sqlite_version();".to_owned());
        say("SELECT json_extract(tillsync_close(), '$.closed');".to_owned());
    });
    assert_eq!(
        said[3..].iter().map(String::as_str).filter(|line| !line.starts_with('3')).collect::<Vec<_>>(),
        ["1", "in_transaction", "1", "1", "ok", "1"]
    );
    let said = json!({
        "edits": edits, "whole": said[7], "sqlite": said[8], "heard": {"edit_uploaded": 1},
        "refused_in_transaction": said[4], "came_to_its_end": said[5] == "1",
    });
    all_arrived(&till, &said);
}

/// A file that somebody sends may hold views and triggers; none of them makes an app sync.
#[test]
fn no_view_and_no_trigger_calls_it() {
    let folder = tempfile::tempdir().unwrap();
    let said = shell(&folder.path().join("till.db"), |sql| {
        writeln!(sql, "CREATE VIEW v AS SELECT tillsync_version();\nSELECT * FROM v;\nSELECT 'alive';")
            .unwrap();
    });
    assert_eq!(said, ["alive"]);
}

#[test]
fn garbage_is_answered_with_errors() {
    let asked = [
        "tillsync_call(NULL)",
        "tillsync_call(7)",
        "tillsync_call('')",
        "tillsync_call('{}')",
        "tillsync_call(x'7b7d')",
        "tillsync_call(CAST(x'ff' AS TEXT))",
        "tillsync_open('[]')",
        "tillsync_open('{\"path\":7}')",
        "tillsync_open('{\"hunter2\":1}')",
        "tillsync_start('x')",
        "tillsync_start()",
        "tillsync_stop(-1)",
        "tillsync_stop(4294967296)",
        "tillsync_stop(0)",
        "tillsync_next_event('soon')",
        "tillsync_next_event()",
        "tillsync_call('{\"command\":\"sync\"}')",
    ];
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("till.db"), PathBuf::from(":memory:")] {
        let said = shell(&path, |sql| {
            asked.iter().for_each(|asked| writeln!(sql, "SELECT {asked};").unwrap());
        });
        assert_eq!(said.len(), asked.len());
        for (asked, said) in asked.iter().zip(&said) {
            assert!(said.starts_with("{\"error\":{\"code\":\""), "{asked}: {said}");
        }
    }
}

/// The lines that docs/embedding.md prints, typed into SQLite's shell beside a till that has pulled.
#[test]
fn the_lines_of_the_documents_load_it_and_sync() {
    let till = till();
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    let printed = guide::blocks(&std::fs::read_to_string(root().join("docs/embedding.md")).unwrap());
    let printed =
        printed.iter().find(|block| block.text.starts_with("SELECT load_extension('./tillsync')")).unwrap();
    let library = extension().with_extension(std::env::consts::DLL_EXTENSION);
    let here = till.folder.path().join(format!("tillsync.{}", std::env::consts::DLL_EXTENSION));
    std::fs::copy(library, here).unwrap();
    let store =
        format!("\"store_hash\":\"{}\",\"api_url\":\"{}\"", till.sandbox.store_hash(), till.sandbox.url());
    let mut shell = Command::new("sqlite3");
    shell
        .arg("till.db")
        .current_dir(till.folder.path())
        .env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token());
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let typed = printed.text.replace("\"store_hash\":\"abc123\"", &store);
    shell.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let said = shell.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.lines().count(), 5, "{said}");
    assert!(!said.contains("\"error\"") && said.contains("\"event\""), "{said}");
}

/// What is loaded lives in one copy of SQLite: a second one of the same process would lock past the first.
#[test]
fn a_second_sqlite_of_the_process_is_refused() {
    let (Some(mut python), Some(apsw)) = (python(), fetched("apsw")) else { return };
    let twice = "import sys, sqlite3, apsw
one = sqlite3.connect(':memory:')
one.enable_load_extension(True)
one.execute('SELECT load_extension(?)', (sys.argv[1],))
other = apsw.Connection(':memory:')
other.enable_load_extension(True)
try:
    other.load_extension(sys.argv[1])
except Exception as error:
    print(error)
print(one.execute('SELECT tillsync_version()').fetchone()[0])";
    let output = python.env("PYTHONPATH", apsw).args(["-c", twice]).arg(extension()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("tillsync: another copy of SQLite in this process"), "{said}");
    assert!(said.ends_with(concat!(env!("CARGO_PKG_VERSION"), "\n")), "{said}");
}

/// Nor does it go on when a second one has opened the file: neither would see the other's locks.
#[test]
fn a_file_that_a_second_sqlite_has_open_is_refused_and_so_is_the_one_whose_log_it_deleted() {
    let (Some(mut python), Some(apsw)) = (python(), fetched("apsw")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let company = "import json, sys, sqlite3, apsw
one = sqlite3.connect(sys.argv[2])
one.enable_load_extension(True)
one.execute('SELECT load_extension(?)', (sys.argv[1],))
def status():
    (answer,) = one.execute('SELECT tillsync_call(?)', (json.dumps({'command': 'status'}),)).fetchone()
    print(json.loads(answer).get('error', {'code': 'fine'})['code'])
status()
other = apsw.Connection(sys.argv[2])
list(other.execute('SELECT count(*) FROM customer'))
status()
other.close()
status()";
    // A till makes its file itself.
    Till::new(common::sandbox(1)).store().backup(folder.path().join("till.db")).unwrap();
    let mut python = python.env("PYTHONPATH", apsw).args(["-c", company]).arg(extension());
    python = python.arg(folder.path().join("till.db"));
    let output = python.output().unwrap();
    let (said, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().collect::<Vec<_>>(), ["fine", "two_sqlites", "log_gone"], "{err}");
}

/// The library came first: its descriptors were open when the extension was loaded, as the app's may have been.
#[test]
#[cfg(target_os = "linux")]
fn beside_the_library_that_has_the_file_open_it_is_refused_and_when_that_has_closed_it_goes_on() {
    let Some(mut python) = python() else { return };
    let till = common::till(3);
    let script = r#"
import ctypes, json, sqlite3, sys
library, extension, path = sys.argv[1:]
c = ctypes.CDLL(library)
c.tillsync_open.restype, c.tillsync_open.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_char_p]
c.tillsync_close.argtypes = [ctypes.c_uint64]
till = c.tillsync_open(path.encode(), None)
file = sqlite3.connect(':memory:', isolation_level=None)
file.enable_load_extension(True)
file.execute('SELECT load_extension(?)', (extension,))
def call(function, request):
    return json.loads(file.execute('SELECT %s(?)' % function, (json.dumps(request),)).fetchone()[0])
def status():
    answer = call('tillsync_call', {'command': 'status'})
    return answer.get('error', {}).get('code', 'answered')
opened = call('tillsync_open', {'path': path})
first = opened.get('error', {}).get('code') or status()
c.tillsync_close(till)
call('tillsync_open', {'path': path})
print(json.dumps([till > 0, first, status()]))
"#;
    let output = python
        .args(["-c", script])
        .args([library::shared_library().as_path(), extension(), till.path.as_path()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said, json!([true, "two_sqlites", "answered"]));
}
