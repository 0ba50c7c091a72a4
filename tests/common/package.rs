//! The packages over the C library: what their own tests say, and what their README begins with.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

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

/// Far longer than any of these takes.
const AT_MOST: Duration = Duration::from_secs(300);

/// Runs the package's own tests: all of them, and none fails. So many of them may say that they cannot run here.
#[track_caller]
pub fn tests_itself(program: &mut Command, at_least: usize, may_not_run: usize) {
    VARIABLES.iter().for_each(|name| _ = program.env_remove(name));
    let said = output(program.env("TILLSYNC_PROGRAM", env!("CARGO_BIN_EXE_tillsync")));
    let out = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{out}\n{}", String::from_utf8_lossy(&said.stderr));
    let not_run: Vec<&str> = out.lines().filter(|line| line.starts_with("NOT RUN")).collect();
    not_run.iter().for_each(|line| eprintln!("{line}"));
    assert!(not_run.len() <= may_not_run, "{out}");
    let last = out.lines().last().unwrap_or_default();
    let (passed, rest) = last.split_once(" passed, ").unwrap_or_else(|| panic!("{out}"));
    assert!(passed.parse::<usize>().unwrap() + not_run.len() >= at_least && rest == "0 failed", "{out}");
}

/// What a program says until it ends. One that never ends is ended, with whatever it has started, and what it had said is shown.
#[track_caller]
fn output(program: &mut Command) -> Output {
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = program.process_group(0).spawn().unwrap();
    let group = format!("-{}", running.id());
    let (ended, end) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = end.recv_timeout(AT_MOST) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        late && Command::new("kill").args(["-9", "--", &group]).status().is_ok_and(|killed| killed.success())
    });
    let said = running.wait_with_output().unwrap();
    drop(ended);
    let was_ended = watch.join().unwrap();
    assert!(!was_ended, "after {AT_MOST:?} it had said: {}", String::from_utf8_lossy(&said.stdout));
    said
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
    succeeded(&output(program.env("BIGCOMMERCE_ACCESS_TOKEN", sandbox.token())))
}
