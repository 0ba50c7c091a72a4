//! The C interface from Java: the example of `examples/java`, run with JNA beside a store.

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

/// Where Debian puts jars.
const JARS: [&str; 3] =
    ["/usr/share/java/jna.jar", "/usr/share/java/gson.jar", "/usr/share/java/sqlite-jdbc.jar"];

#[test]
fn the_example_in_java_edits_by_sql_and_syncs_by_jna() {
    if !language::are_here("Java", &[&["java", "--version"], &["javac", "--version"]], &JARS) {
        return;
    }
    let till = Till::new(sandbox(3));
    till.office(1, json!({"company": "Søn & Œuvre, 京都"}));
    let mut java = Command::new("java");
    java.args(["-cp", &JARS.join(":")]).arg(format!("-Djna.library.path={}", library().display()));
    java.arg(root().join("examples/java/Till.java"));
    let said = language::run(&till, &mut java);
    assert!(said.contains("sold to Søn & Œuvre, 京都, +49 30 901820\n"), "{said}");
    assert!(said.contains("edited Zoë \"Ђорђевић\" 東京 \\ 🛒\n"), "{said}");
    assert!(said.contains("date_created: is read-only"), "{said}");
    assert_eq!(till.remote_value(1, "first_name"), json!("Zoë \"Ђорђевић\" 東京 \\ 🛒").to_string());
    assert_eq!(till.remote_value(1, "phone"), "\"+49 30 901820\"");
    let sale = till.store().journal(None).unwrap().into_iter().find(|row| row.field == "phone").unwrap();
    assert_eq!((sale.author.as_deref(), sale.label.as_deref()), (Some("ana"), Some("sale 1042")));
    till.assert_no_violations();
}

#[test]
fn the_documentation_shows_the_example_in_java() {
    language::is_what_the_docs_show("java", "examples/java/Till.java");
}
