//! The C interface from Java: a till that does everything through it, run with JNA beside a store.

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
const JARS: [&str; 2] = ["/usr/share/java/jna.jar", "/usr/share/java/gson.jar"];

#[test]
fn a_till_in_java_does_everything_through_the_library() {
    if !language::are_here("Java", &[&["java", "--version"], &["javac", "--version"]], &JARS) {
        return;
    }
    let till = Till::new(sandbox(3));
    let mut java = Command::new("java");
    java.args(["-cp", &JARS.join(":")]).arg(format!("-Djna.library.path={}", library().display()));
    java.arg(root().join("examples/java/LibraryTill.java"));
    let said = language::run(&till, &mut java);
    assert!(said.contains("edited Zoë \"Ђорђевић\" 東京 \\ 🛒\n"), "{said}");
    assert!(said.contains("date_created: is read-only"), "{said}");
    assert_eq!(till.remote_value(1, "first_name"), json!("Zoë \"Ђорђевић\" 東京 \\ 🛒").to_string());
    till.assert_no_violations();
}
