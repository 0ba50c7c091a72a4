//! The packages over the C library: what their own tests say, and what their README begins with.

use std::path::Path;
use std::process::Command;

use tillsync::sandbox::{Sandbox, SandboxOptions};

use crate::guide::blocks;
use crate::language::succeeded;
use crate::library::root;

/// Nothing of this machine's own store or till gets in.
const VARIABLES: [&str; 5] = [
    "BIGCOMMERCE_ACCESS_TOKEN",
    "BIGCOMMERCE_STORE_HASH",
    "TILLSYNC_API_URL",
    "TILLSYNC_AUTHOR",
    "TILLSYNC_KEY",
];

/// Runs the package's own tests: all of them, and none fails. What did not run says so.
#[track_caller]
pub fn tests_itself(program: &mut Command, at_least: usize) {
    VARIABLES.iter().for_each(|name| _ = program.env_remove(name));
    let said = program.env("TILLSYNC_PROGRAM", env!("CARGO_BIN_EXE_tillsync")).output().unwrap();
    let out = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{out}\n{}", String::from_utf8_lossy(&said.stderr));
    out.lines().filter(|line| line.starts_with("NOT RUN")).for_each(|line| eprintln!("{line}"));
    let last = out.lines().last().unwrap_or_default();
    let (passed, rest) = last.split_once(" passed, ").unwrap_or_else(|| panic!("{out}"));
    assert!(passed.parse::<usize>().unwrap() >= at_least && rest == "0 failed", "{out}");
}

/// The only program that its README prints.
#[track_caller]
pub fn printed_in(readme: &str, language: &str) -> String {
    let text = std::fs::read_to_string(root().join(readme)).unwrap();
    let mut found = blocks(&text).into_iter().filter(|block| block.language == language);
    let only = found.next().unwrap();
    assert!(found.next().is_none(), "{readme}");
    only.text
}

/// What a program says in a folder of its own, beside a sandbox that its environment names.
#[track_caller]
pub fn beside_a_sandbox(mut program: Command, folder: &Path) -> String {
    let sandbox = Sandbox::start(SandboxOptions { customers: 3, ..SandboxOptions::default() }).unwrap();
    VARIABLES.iter().for_each(|name| _ = program.env_remove(name));
    program.current_dir(folder);
    program.env("TILLSYNC_API_URL", sandbox.url()).env("BIGCOMMERCE_STORE_HASH", sandbox.store_hash());
    succeeded(&program.env("BIGCOMMERCE_ACCESS_TOKEN", sandbox.token()).output().unwrap())
}
