//! A till in another language: the tools that it needs, where it stands beside a store, and what the documentation shows
//! of it.

use std::process::{Command, Output};

use crate::common::Till;
use crate::library::root;

/// Whether these tools are here; says so when they are not.
pub fn are_here(language: &str, tools: &[&[&str]], files: &[&str]) -> bool {
    let runs =
        |tool: &[&str]| Command::new(tool[0]).args(&tool[1..]).output().is_ok_and(|o| o.status.success());
    let missing = tools.iter().filter(|tool| !runs(tool)).map(|tool| tool[0]);
    let missing: Vec<&str> =
        missing.chain(files.iter().copied().filter(|f| !std::fs::exists(f).unwrap())).collect();
    if !missing.is_empty() {
        eprintln!("NOT RUN: the till in {language} needs {}", missing.join(", "));
    }
    missing.is_empty()
}

/// Runs an example that takes a file, a URL, a store hash and a customer, and returns what it printed.
#[track_caller]
pub fn run(till: &Till, program: &mut Command) -> String {
    program.arg(&till.path).args([till.sandbox.url().as_str(), till.sandbox.store_hash(), "1"]);
    succeeded(&program.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token()).output().unwrap())
}

#[track_caller]
pub fn succeeded(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// What `docs/embedding.md` shows in this language stands in the example, line for line, but for its indentation.
#[track_caller]
pub fn is_what_the_docs_show(language: &str, example: &str) {
    let lines = |text: &str| -> Vec<String> { text.lines().map(|line| line.trim().to_owned()).collect() };
    let docs = std::fs::read_to_string(root().join("docs/embedding.md")).unwrap();
    let example = lines(&std::fs::read_to_string(root().join(example)).unwrap());
    let blocks: Vec<_> = docs.split(&format!("```{language}\n")).skip(1).collect();
    assert!(!blocks.is_empty(), "docs/embedding.md shows nothing in {language}");
    for block in blocks {
        let shown = lines(block.split("```").next().unwrap());
        let is_there = example.windows(shown.len()).any(|lines| lines == shown);
        assert!(is_there, "docs/embedding.md shows what the example does not have: {shown:#?}");
    }
}
