//! What goes out: documents on one line, and nothing that a terminal would act upon, whoever wrote it.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used)] // helpers of tests fail the test

mod common;

use std::process::{Command, Stdio};

/// Renames the window, clears it, turns the direction of what follows; the second without an ESC.
const EVIL: &str = "a\u{1b}]0;owned\u{7}b\u{9b}2Jc\u{202e}d\u{7f}";

fn is_acted_upon(letter: char) -> bool {
    (letter.is_control() && !matches!(letter, '\r' | '\n'))
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Runs the command on a terminal of its own, and returns all that it wrote there.
fn on_a_terminal(till: &common::Till, arguments: &[&str]) -> String {
    let ready = till.command([]);
    let pty = "import pty, sys; pty.spawn(sys.argv[1:])";
    let mut command = Command::new("python3");
    command.args(["-c", pty]).arg(ready.get_program()).args(arguments);
    command.envs(ready.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let done = command
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("this test needs python3, which could not be started: {e}"));
    String::from_utf8(done.stdout).unwrap()
}

fn till_with_evil_words() -> common::Till {
    let till = common::till(20);
    let store = &mut till.store();
    let sql = store.connection();
    sql.execute("UPDATE edit_context SET author = ?1, label = ?1", [EVIL]).unwrap();
    sql.execute("UPDATE customer SET notes = ?1, company = ?1, last_name = ?1 WHERE id = 1", [EVIL]).unwrap();
    let fields = format!("[\n  {{ \"name\" : \"{}\",\r\n\t\"value\" : [ \"a b\" ] }}\n]", "x\u{9b}2J");
    sql.execute("UPDATE customer SET form_fields = ?1 WHERE id = 1", [fields]).unwrap();
    till
}

#[test]
fn nothing_reaches_a_terminal_that_it_would_act_upon() {
    let till = till_with_evil_words();
    for arguments in [
        &["show", "1"] as &[&str],
        &["log"],
        &["find", "a"],
        &["diff"],
        &["show", "1", "--json"],
        &["log", "--json"],
        &["diff", "--json"],
        &["edit", "--from", EVIL],
        &["edit", "1", &format!("{EVIL}=1")],
        &["credit", "1", EVIL],
        &["edit", EVIL, "phone=1"],
        &["pull", "--token-file", EVIL],
        &["status", "--db", &format!("/nowhere/{EVIL}")],
        &[EVIL],
    ] {
        let shown = on_a_terminal(&till, arguments);
        assert!(!shown.trim().is_empty(), "{arguments:?}");
        assert!(!shown.contains(is_acted_upon), "{arguments:?}: {shown:?}");
    }
}

#[test]
fn a_document_is_one_line_however_the_app_spells_its_json() {
    let till = till_with_evil_words();
    for arguments in [["show", "1"], ["log", "1"], ["diff", "1"]] {
        let done = till.command(arguments).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
        assert!(text.contains("\"value\":[\"a b\"]"), "{arguments:?}: {text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}
