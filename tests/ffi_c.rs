//! The C interface from C: the example of `examples/c` beside a store, and garbage into every function; under valgrind
//! too where there is one. The SQLite of the library, by its table and by its names.

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

/// A program in C, built against the headers and the library.
fn build(source: &str, into: &Path) -> PathBuf {
    let library = library();
    let shared = ["-L".to_owned(), library.display().to_string(), "-ltillsync".to_owned()];
    let rpath = format!("-Wl,-rpath,{}", library.display());
    compile("cc", &["-std=c11", "-D_POSIX_C_SOURCE=200809L"], source, into, shared.into_iter().chain([rpath]))
}

fn compile(
    compiler: &str,
    flags: &[&str],
    source: &str,
    into: &Path,
    libraries: impl IntoIterator<Item = String>,
) -> PathBuf {
    let program = into.join("program");
    let mut cc = Command::new(compiler);
    cc.args(flags).args(["-Wall", "-Wextra", "-Werror", "-g", "-pthread"]);
    cc.arg(root().join(source)).arg("-I").arg(root().join("include")).args(libraries);
    assert!(cc.arg("-o").arg(&program).status().unwrap_or_else(|_| panic!("{compiler} is needed")).success());
    program
}

/// Plainly, and under valgrind: an error or a leak fails it.
fn ways(program: &Path) -> Vec<Command> {
    let mut ways = vec![Command::new(program)];
    // Cargo's has the folder of other builds in it, which would come before the one that the program was linked with.
    ways[0].env_remove("LD_LIBRARY_PATH");
    if Command::new("valgrind").arg("--version").output().is_ok() {
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "--quiet",
            "--error-exitcode=99",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
        ]);
        valgrind.arg(program).env_remove("LD_LIBRARY_PATH");
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
        for (field, value) in [("phone", "+49 30 901820"), ("notes", "sale 1042"), ("company", "Anker & Co")]
        {
            assert_eq!(till.local(1, field), format!("\"{value}\""));
        }
        assert_eq!(till.remote_value(1, "phone"), "\"+49 30 901820\"");
        assert!(said.contains(r#""rows":[[1,"12.50"]]"#) && said.contains("sold by SQLite 3."), "{said}");
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

#[test]
fn the_headers_are_those_of_cpp_too() {
    if Command::new("c++").arg("--version").output().is_err() {
        return eprintln!("NOT RUN: the headers are not compiled as C++: no c++");
    }
    let folder = tempfile::tempdir().unwrap();
    let library = library().display().to_string();
    let shared = [format!("-L{library}"), "-ltillsync".to_owned(), format!("-Wl,-rpath,{library}")];
    let program = compile("c++", &["-std=c++11"], "tests/c/header.cpp", folder.path(), shared);
    succeeded(&Command::new(program).env_remove("LD_LIBRARY_PATH").output().unwrap());
}

#[test]
fn linked_statically_its_sqlite_has_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut needs = vec![library().join("libtillsync.a").display().to_string()];
    needs.extend(["-ldl", "-lm", "-lrt", "-lutil", "-lgcc_s"].map(str::to_owned));
    let program = compile("cc", &["-std=c11"], "tests/c/static.c", folder.path(), needs);
    let said = succeeded(&Command::new(program).arg(folder.path().join("till.db")).output().unwrap());
    let (version, answer) = said.trim().split_once(' ').unwrap();
    assert!(answer.contains(&format!(r#""rows":[[7,"{version}"]]"#)), "{said}");
}

/// Nor is it taken for another one that the program brings, or another one for it.
#[test]
fn the_shared_library_exports_nothing_of_its_sqlite() {
    let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(library().join("libtillsync.so")).output();
    let exported = succeeded(&nm.expect("nm is needed"));
    assert!(exported.contains("tillsync_sqlite") && !exported.contains("sqlite3_"), "{exported}");
}
