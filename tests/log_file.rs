//! A log in a file, for programs without a subscriber of their own: `log_file` and `log_level`.

#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use common::odd::{Odd, Told};
use common::till;
use serde_json::json;
use tillsync::{LogLevel, log_to};

const SECRET: &str = "zqxj a new secret";

/// One test, for a process has one log.
#[test]
fn a_log_is_a_file_of_its_own_that_tells_of_syncs_and_no_secret() {
    let till = till(3);
    let folder = till.folder.path();
    let refused = |name: &str| log_to(&folder.join(name), LogLevel::Debug, &till.path).unwrap_err();
    let before = std::fs::read(&till.path).unwrap();
    for name in ["till.db", "till.db-wal", "./till.db", "till.db-sync"] {
        assert_eq!(refused(name).code(), "usage", "{name}");
    }
    let beside = tillsync::Store::open(folder.join("another.db")).unwrap();
    assert_eq!(refused("another.db").code(), "usage", "a till that this process has open");
    drop(beside);
    std::fs::write(folder.join("other.db"), b"SQLite format 3\0and so on").unwrap();
    for name in ["no/folder/log", "", "other.db"] {
        let error = refused(name);
        assert!(error.code() == "log_file" && error.hint().is_some(), "{name}: {error}");
    }
    assert_eq!(std::fs::read(&till.path).unwrap(), before);
    assert!("loud".parse::<LogLevel>().unwrap_err().is_usage());

    let log = folder.join("till.log");
    std::fs::write(&log, "of yesterday\n").unwrap();
    log_to(&log, LogLevel::Trace, &till.path).unwrap();
    log_to(&log, LogLevel::Error, &till.path).unwrap();
    let other = refused("another.log");
    assert!(other.is_usage() && other.to_string().contains("till.log"), "{other}");
    till.store().edit(1).set("new_password", SECRET).commit().unwrap();
    till.set(2, "phone", "555-0142");
    till.engine().sync().unwrap();
    // A store that repeats what it was told, the token too.
    for status in [422, 400, 500, 401] {
        let message = format!("{SECRET} of {}", till.sandbox.token());
        let body = json!({"status": status, "title": &message, "errors": {"0.authentication.new_password": message}});
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            asked.is_put().then(|| Told::text(status, "application/json", &body.to_string()))
        });
        till.store().edit(3).set("new_password", SECRET).commit().unwrap();
        let mut over = till.through(&odd);
        over.options.upload.retry.tries = 1;
        _ = over.engine().sync();
    }
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("of yesterday\n") && text.contains("ended"), "{text}");
    assert!(text.contains("401") || text.contains("token"), "what the store said is told: {text}");
    for secret in [SECRET, "zqxj", till.sandbox.token(), "\u{1b}"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn a_worker_writes_its_log_into_a_file_for_its_owner() {
    let till = till(3);
    let log = till.folder.path().join("worker.log");
    let worker = |extra: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillsync"));
        command.args(["worker", "--json", "--db"]).arg(&till.path).args(["--api-url", &till.sandbox.url()]);
        command.args(["--store-hash", till.sandbox.store_hash(), "--log-file"]).args(extra);
        command.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        _ = child
            .stdin
            .take()
            .unwrap()
            .write_all(b"{\"command\":\"sync_now\"}\n{\"command\":\"stop\",\"within_ms\":20000}\n");
        child.wait_with_output().unwrap()
    };
    let output = worker(&[log.to_str().unwrap(), "--log-level", "debug"]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.is_empty() && !text.contains(till.sandbox.token()), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let output = worker(&["/no/folder/log"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.code() == Some(2) && said.contains("\"log_file\"") && said.lines().count() == 1,
        "{said}"
    );
}
