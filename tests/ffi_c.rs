//! The C interface from C: the example of `examples/c` beside a store, and garbage into every function; under valgrind
//! too where there is one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "the helpers of a test fail as a test does"
)]

mod common;
#[path = "common/library.rs"]
mod library;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Till, sandbox};
use library::{library, root};

/// A program in C, built against the header and the library.
fn build(source: &str, into: &Path) -> PathBuf {
    let program = into.join("program");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-D_POSIX_C_SOURCE=200809L", "-pthread"]);
    cc.arg(root().join(source)).arg("-I").arg(root().join("include"));
    cc.arg("-L").arg(library()).arg("-ltillsync").arg(format!("-Wl,-rpath,{}", library().display()));
    assert!(cc.arg("-o").arg(&program).status().expect("cc is needed").success());
    program
}

/// Plainly, and under valgrind: an error or a leak fails it.
fn ways(program: &Path) -> Vec<Command> {
    let mut ways = vec![Command::new(program)];
    if Command::new("valgrind").arg("--version").output().is_ok() {
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "--quiet",
            "--error-exitcode=99",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
        ]);
        valgrind.arg(program);
        ways.push(valgrind);
    } else {
        eprintln!("valgrind is not installed: the C interface was not run under it");
    }
    ways
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

#[test]
fn the_example_in_c_edits_and_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let program = build("examples/c/till.c", folder.path());
    for mut way in ways(&program) {
        let till = Till::new(sandbox(3));
        way.arg(&till.path).args([till.sandbox.url().as_str(), till.sandbox.store_hash(), "1"]);
        let said = succeeded(&way.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token()).output().unwrap());
        assert!(said.contains("\"fate\":\"uploaded\"") && said.contains("came_to_its_end"), "{said}");
        assert_eq!(till.remote_value(1, "phone"), "\"+49 30 901820\"");
        let journal = till.store().journal(None).unwrap();
        assert_eq!(
            (journal[0].author.as_deref(), journal[0].label.as_deref()),
            (Some("ana"), Some("sale 1042"))
        );
        till.assert_no_violations();
    }
}

#[test]
fn garbage_is_answered_with_errors() {
    let folder = tempfile::tempdir().unwrap();
    let program = build("tests/c/garbage.c", folder.path());
    for mut way in ways(&program) {
        let path = folder.path().join("till.db");
        succeeded(&way.arg(&path).arg(folder.path().join("not/there.db")).output().unwrap());
    }
}
