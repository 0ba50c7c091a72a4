//! Tills in other languages, each with the SQLite that its language brings, beside `tillsync worker` in a process of its
//! own: the examples that the documentation shows. A day of each; and all of them selling as fast as they can while
//! their workers sync, for a minute:
//!
//! ```text
//! TILLSYNC_SECONDS=600 cargo test --all-features --test languages full_speed
//! ```
//!
//! Node.js needs better-sqlite3 in `target/better-sqlite3`, as `.ci/run` puts it there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "the helpers of a test fail as a test does"
)]

mod common;
#[path = "common/language.rs"]
mod language;
#[path = "common/library.rs"]
mod library;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::ledger::open_accounts;
use common::{Till, number, sandbox};
use language::{Language, SAYS_FOR_ALL};
use serde_json::json;

const SECONDS: u64 = 60;
/// What `open_accounts` gives every customer.
const OPENING_CENTS: i64 = 1_000_000;

/// An example beside a store: `TILLSYNC FILE API_URL STORE_HASH CUSTOMER [SECONDS]`. What it printed.
#[track_caller]
fn run(till: &Till, mut example: Command, seconds: Option<u64>) -> String {
    example.arg(env!("CARGO_BIN_EXE_tillsync")).arg(&till.path);
    example.args([till.sandbox.url().as_str(), till.sandbox.store_hash(), "1"]);
    example.args(seconds.map(|seconds| seconds.to_string()));
    // A key or a store of whoever runs the tests is none of the till's.
    example.env_remove("TILLSYNC_KEY").env_remove("TILLSYNC_DB").env_remove("BIGCOMMERCE_STORE_HASH");
    language::succeeded(&example.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token()).output().unwrap())
}

fn plain_till(customers: usize) -> Till {
    Till { key: None, ..Till::new(sandbox(customers)) }
}

fn count(till: &Till, sql: &str) -> i64 {
    rusqlite::Connection::open(&till.path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// One sale, one refusal, and what became of it.
fn a_day(language: Language) {
    let folder = tempfile::tempdir().unwrap();
    let Some(example) = language.till(folder.path()) else { return };
    let till = plain_till(3);
    till.office(1, json!({"company": SAYS_FOR_ALL}));
    let said = run(&till, example, None);
    for part in [
        "pulled 3\n",
        &format!("sold to {SAYS_FOR_ALL} +49 30 901820\n"),
        "customer 1: date_created: is read-only, the store sets it\n",
        "uploaded ",
        "pending 0\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(till.remote_value(1, "phone"), "\"+49 30 901820\"");
    let journal = till.store().journal(None).unwrap();
    assert_eq!(journal.len(), 2);
    for row in &journal {
        assert_eq!((row.author.as_deref(), row.label.as_deref()), (Some("ana"), Some("sale 1042")));
    }
    assert_eq!(count(&till, "SELECT count(*) FROM my_sale"), 1);
    till.assert_no_violations();
}

#[test]
fn what_the_documents_show_is_a_piece_of_a_program_that_is_run() {
    for language in Language::ALL {
        // That of README.md is a program of its own: tests/snippets.rs.
        let shown = ["docs/sql.md", "docs/embedding.md"]
            .map(|document| language::is_what_a_program_has(document, language.fence(), language.programs()));
        assert!(shown[1] >= 2, "{language:?}: its till is shown");
    }
    assert!(language::is_what_a_program_has("docs/embedding.md", "c", &["examples/c/till.c"]) >= 2);
}

#[test]
fn a_till_in_python_sells_and_its_worker_syncs() {
    a_day(Language::Python);
}

#[test]
fn a_till_in_node_sells_and_its_worker_syncs() {
    a_day(Language::Node);
}

#[test]
fn a_till_in_csharp_sells_and_its_worker_syncs() {
    a_day(Language::CSharp);
}

#[test]
fn a_till_in_java_sells_and_its_worker_syncs() {
    a_day(Language::Java);
}

/// The C library and the language's own SQLite on one file in one process: refused whenever it is tried, while the app edits
/// before, between and after.
#[cfg(all(feature = "ffi", unix))]
fn two_in_one_process_are_refused(language: Language) {
    let folder = tempfile::tempdir().unwrap();
    let source = match language {
        Language::Python => "tests/two_sqlites/two.py",
        Language::Node => "tests/two_sqlites/two.js",
        Language::CSharp => "tests/two_sqlites/Two.cs",
        Language::Java => "tests/two_sqlites/Two.java",
    };
    let Some(mut program) = language.program(&library::root().join(source), folder.path()) else { return };
    let till = plain_till(3);
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    program.arg(library::shared_library()).arg(&till.path).env("LD_LIBRARY_PATH", library::library());
    let said = language::succeeded(&program.output().unwrap());
    assert_eq!(said, "open two_sqlites\nedit two_sqlites\nsync two_sqlites\n");
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    assert_eq!(count(&till, "SELECT count(*) FROM journal"), 500, "every edit of the app is there");
    assert_eq!(till.local(1, "phone"), "\"499\"");
}

#[cfg(all(feature = "ffi", unix))]
#[test]
fn the_library_beside_the_sqlite_of_python_is_refused() {
    two_in_one_process_are_refused(Language::Python);
}

#[cfg(all(feature = "ffi", unix))]
#[test]
fn the_library_beside_the_sqlite_of_node_is_refused() {
    two_in_one_process_are_refused(Language::Node);
}

#[cfg(all(feature = "ffi", unix))]
#[test]
fn the_library_beside_the_sqlite_of_csharp_is_refused() {
    two_in_one_process_are_refused(Language::CSharp);
}

#[cfg(all(feature = "ffi", unix))]
#[test]
fn the_library_beside_the_sqlite_of_java_is_refused() {
    two_in_one_process_are_refused(Language::Java);
}

#[test]
fn at_full_speed_beside_its_worker_every_file_is_whole_and_every_edit_is_there() {
    let seconds = number("TILLSYNC_SECONDS").unwrap_or(SECONDS);
    std::thread::scope(|scope| {
        for language in Language::ALL {
            scope.spawn(move || at_full_speed(language, seconds));
        }
    });
}

fn at_full_speed(language: Language, seconds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let Some(example) = language.till(folder.path()) else { return };
    let till = plain_till(20);
    open_accounts(&till);
    let is_over = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| busy_office(&till, &is_over));
        let said = run(&till, example, Some(seconds));
        is_over.store(true, Ordering::Relaxed);
        said
    });
    let sold: i64 = said.lines().find_map(|line| line.strip_prefix("sold ")?.parse().ok()).unwrap();
    eprintln!("{language:?}: {sold} sales beside {} updates", till.puts().len());
    assert!(sold > 10 && till.puts().len() > 1, "both were at work");
    every_edit_is_there(&till, sold);
}

/// The store has news all the time, so that the worker writes as much as it can.
fn busy_office(till: &Till, is_over: &AtomicBool) {
    for round in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let ids = till.sandbox.ids();
        till.office(i64::from(ids[round % ids.len()]), json!({"company": round.to_string()}));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn every_edit_is_there(till: &Till, sold: i64) {
    assert_eq!(count(till, "SELECT count(*) FROM my_sale"), sold);
    for field in ["phone", "store_credit_amounts"] {
        let edits = format!("SELECT count(*) FROM journal WHERE field = '{field}'");
        assert_eq!(count(till, &edits), sold, "{field}");
    }
    let mut engine = till.engine();
    while till.store().status().unwrap().pending_fields > 0 {
        engine.sync().unwrap();
    }
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    for id in till.sandbox.ids() {
        let of_customer = format!("FROM my_sale WHERE customer_id = {id}");
        let last = count(till, &format!("SELECT max(id) {of_customer}"));
        assert_eq!(till.remote_value(id.into(), "phone"), format!("\"{last}\""));
        let cents = OPENING_CENTS + count(till, &format!("SELECT count(*) {of_customer}"));
        let balance = till.remote_value(id.into(), "store_credit_amounts");
        let amount: f64 =
            serde_json::from_str::<serde_json::Value>(&balance).unwrap()[0]["amount"].as_f64().unwrap();
        assert_eq!((amount * 100.0).round() as i64, cents, "customer {id}: {balance}");
    }
    till.assert_no_violations();
}
