//! The C interface from C#: a till that does everything through it, compiled and run by Mono beside a store.

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

use common::{Till, sandbox};
use library::{library, root};
use serde_json::json;

const ASSEMBLIES: &str = "-r:System.Xml,System.Xml.Linq,System.Runtime.Serialization";

#[test]
fn a_till_in_csharp_does_everything_through_the_library() {
    if !language::are_here("C#", &[&["mcs", "--version"], &["mono", "--version"]], &[]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("Till.exe");
    let mut mcs = Command::new("mcs");
    mcs.args([ASSEMBLIES, "-warnaserror"]).arg(root().join("examples/csharp/LibraryTill.cs"));
    language::succeeded(&mcs.arg(format!("-out:{}", program.display())).output().unwrap());

    let till = Till::new(sandbox(3));
    till.office(1, json!({"company": "Søn & Œuvre, 京都"}));
    let said = language::run(&till, Command::new("mono").arg(&program).env("LD_LIBRARY_PATH", library()));
    assert!(said.contains("edited Zoë \"Ђорђевић\" 東京 \\ 🛒 of Søn & Œuvre, 京都\n"), "{said}");
    assert!(said.contains("date_created: is read-only") && said.contains("event edit_uploaded"), "{said}");
    assert_eq!(till.remote_value(1, "first_name"), json!("Zoë \"Ђорђевић\" 東京 \\ 🛒").to_string());
    till.assert_no_violations();
}
