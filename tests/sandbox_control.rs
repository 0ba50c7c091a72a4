//! The sandbox beside a till in development: a process of its own, which other processes cut, heal, edit and have fail while
//! it runs, and whose store a file keeps.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used)] // helpers of tests fail the test

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

fn tillsync() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillsync"));
    for name in ["TILLSYNC_KEY", "TILLSYNC_DB", "TILLSYNC_AUTHOR"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// `tillsync sandbox` as somebody starts it in a terminal of its own; killed when it is dropped.
struct Sandbox {
    child: Child,
    said: Value,
}

impl Sandbox {
    fn start(arguments: &[&str]) -> Sandbox {
        let mut child = tillsync()
            .arg("sandbox")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Sandbox { said: serde_json::from_str(&line).unwrap(), child }
    }

    fn url(&self) -> &str {
        self.said["url"].as_str().unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // As a power cut ends it: whatever is to be kept is kept by then.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A shell beside it, with the three variables set.
struct Shell {
    folder: tempfile::TempDir,
    url: String,
}

impl Shell {
    fn beside(sandbox: &Sandbox) -> Shell {
        Shell { folder: tempfile::tempdir().unwrap(), url: sandbox.url().to_owned() }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = tillsync();
        command.args(line.split(' ')).arg("--json").current_dir(self.folder.path());
        command.env("TILLSYNC_API_URL", &self.url).env("BIGCOMMERCE_STORE_HASH", "sandbox");
        command.env("BIGCOMMERCE_ACCESS_TOKEN", "sandbox-token");
        command
    }

    /// Status and document of a command.
    fn ends(&self, line: &str) -> (i32, Value) {
        let ran = self.command(line).output().unwrap();
        let json = serde_json::from_slice(&ran.stdout);
        (ran.status.code().unwrap(), json.unwrap_or_else(|e| panic!("{line}: {e}: {ran:?}")))
    }

    #[track_caller]
    fn succeeds(&self, line: &str) -> Value {
        let (status, json) = self.ends(line);
        assert_eq!(status, 0, "{line}: {json}");
        json
    }

    #[track_caller]
    fn until(&self, line: &str, is_so: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let (_, json) = self.ends(line);
            if is_so(&json) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{line}: {json}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_till_is_offline_while_the_sandbox_is_cut_and_in_step_when_it_is_healed() {
    let sandbox = Sandbox::start(&["--customers", "5"]);
    let shell = Shell::beside(&sandbox);
    shell.succeeds("pull");
    let mut worker = shell.command("worker").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    shell.until("status", |status| status["sync"]["worker_alive"] == true);

    assert_eq!(shell.succeeds("sandbox cut")["is_cut"], true);
    shell.succeeds("edit 1 phone=555-0142");
    shell.until("status", |status| status["sync"]["state"] == "offline");
    assert_eq!(shell.succeeds("status")["pending_fields"], 1);

    assert_eq!(shell.succeeds("sandbox heal")["is_cut"], false);
    shell.until("status", |status| status["pending_fields"] == 0 && status["sync"]["state"] == "idle");
    assert_eq!(shell.succeeds("sandbox show 1")["phone"], "555-0142");
    assert_eq!(shell.succeeds("sandbox show")["violations"], json!([]));
    drop(worker.stdin.take());
    assert!(worker.wait().unwrap().success());
}

#[test]
fn what_no_store_holds_is_refused_unless_it_is_asked_for() {
    use tillsync::sandbox::{Control, ControlError};
    let odd = [
        (r#"{"phone": 5}"#, "phone must be text, not 5"),
        (r#"{"fone": "5"}"#, "fone is not an attribute of a customer"),
        (r#"{"customer_group_id": "1"}"#, "customer_group_id must be a whole number"),
        (r#"{"accepts_product_review_abandoned_cart_emails": 1}"#, "must be true or false"),
        (r#"{"store_credit_amounts": [{"amount": "5"}]}"#, "store_credit_amounts must be an array"),
        (r#"{"channel_ids": ["1"]}"#, "channel_ids must be an array"),
        (r#"{"form_fields": [{"name": "a"}]}"#, "form_fields must be an array"),
        (r#"{"date_created": 5}"#, "date_created must be text"),
    ];
    let (sandbox, free) = (Sandbox::start(&[]), Sandbox::start(&["--behaviour", "holds-anything=yes"]));
    let [control, free] = [&sandbox, &free].map(|sandbox| Control::of(sandbox.url()).unwrap());
    for (body, words) in odd {
        for (method, path) in [("PATCH", "/customers/1"), ("POST", "/customers")] {
            match control.ask(method, path, Some(body)) {
                Err(ControlError::Refused(said)) => assert!(said.contains(words), "{body}: {said}"),
                done => panic!("{body}: {done:?}"),
            }
            free.ask(method, path, Some(body)).unwrap();
        }
    }
    let held = r#"{"phone": null, "customer_group_id": 3, "store_credit_amounts": [], "origin_channel_id": 2,
        "form_fields": [{"name": "a", "value": ["b"], "customer_id": 1}], "date_created": "2020-01-01T00:00:00Z", "addresses": []}"#;
    control.ask("PATCH", "/customers/1", Some(held)).unwrap();
}

#[test]
fn what_the_back_office_edits_meanwhile_is_a_conflict() {
    let sandbox = Sandbox::start(&["--customers", "5"]);
    let shell = Shell::beside(&sandbox);
    shell.succeeds("pull");
    shell.succeeds("edit 3 phone=555-0142");
    shell.succeeds("sandbox edit 3 phone=555-0199 customer_group_id=4 channel_ids=[1,2]");
    assert_eq!(shell.ends("sync").0, 3);
    let conflicts = shell.succeeds("conflicts");
    let conflict = ["field", "local", "remote"].map(|key| conflicts[0][key].clone());
    assert_eq!(conflict, ["phone", "555-0142", "555-0199"]);
    assert_eq!(shell.succeeds("show 3")["customer"]["customer_group_id"], 4, "what is no conflict comes in");

    shell.succeeds("resolve 3 phone --keep local");
    shell.succeeds("sync");
    assert_eq!(shell.succeeds("sandbox show 3")["phone"], "555-0142");
}

#[test]
fn what_happens_in_the_back_office_reaches_the_till() {
    let sandbox = Sandbox::start(&["--customers", "5"]);
    let shell = Shell::beside(&sandbox);
    shell.succeeds("pull");
    let had = shell.succeeds("show 1")["customer"]["store_credit_amounts"][0]["amount"].as_f64().unwrap();
    shell.succeeds("sandbox credit 1 +12.50");
    shell.succeeds("sandbox delete 2");
    let new = shell.succeeds("sandbox add first_name=Ana last_name=Lima notes=42");
    shell.succeeds("pull --full");
    let amount = shell.succeeds("show 1")["customer"]["store_credit_amounts"][0]["amount"].as_f64().unwrap();
    assert!((amount - had - 12.5).abs() < 1e-6, "{had} and 12.50 are {amount}");
    assert_eq!(shell.ends("show 2").0, 2, "gone");
    assert_eq!(shell.succeeds(&format!("show {}", new["id"]))["customer"]["notes"], "42");

    let (status, refused) = shell.ends("sandbox edit 2 phone=1");
    assert_eq!((status, &refused["error"]["message"]), (2, &json!("the store has no customer 2")));
    assert_eq!(shell.ends("sandbox edit 1 telephone=1").0, 2);
    assert_eq!(shell.ends("sandbox credit 1 12,50").0, 2);
}

#[test]
fn faults_are_set_and_ended_while_it_runs() {
    let sandbox = Sandbox::start(&["--customers", "5"]);
    let shell = Shell::beside(&sandbox);
    shell.succeeds("pull");
    shell.succeeds("edit 1 notes=again");
    let next = shell.succeeds("sandbox fault lost-answer --updates");
    assert_eq!(next["faults"]["next_updates"], json!(["lost-answer"]));
    shell.succeeds("sync");
    let after = shell.succeeds("sandbox show");
    assert_eq!(after["faults"]["next_updates"], json!([]), "it happened");
    assert_eq!(after["violations"], json!([]));
    assert_eq!(shell.succeeds("sandbox show 1")["notes"], "again");

    let rates = shell.succeeds("sandbox fault status-404=1 slow:500=0.5");
    assert_eq!(rates["faults"]["rates"], json!({"status-404": 1.0, "slow:500": 0.5}));
    assert_eq!(shell.succeeds("sandbox fault slow:500=0")["faults"]["rates"], json!({"status-404": 1.0}));
    assert_ne!(shell.ends("pull").0, 0);
    shell.succeeds("sandbox fault --none");
    shell.succeeds("pull");

    let (status, refused) = shell.ends("sandbox fault gremlins");
    assert_eq!(status, 2);
    assert!(refused["error"]["message"].as_str().unwrap().contains("lost-answer"), "{refused}");
}

/// Its end, which a sandbox that serves does not come to.
fn ends_soon(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it serves: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn state_in(folder: &Path) -> (PathBuf, String) {
    let path = folder.join("store.json");
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

#[test]
fn a_store_that_is_kept_outlives_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let (_, state) = state_in(folder.path());
    let sandbox = Sandbox::start(&["--customers", "8", "--state", &state]);
    let shell = Shell::beside(&sandbox);
    shell.succeeds("pull");
    shell.succeeds("edit 1 phone=555-0142");
    shell.succeeds("credit 1 1.25");
    shell.succeeds("sync");
    shell.succeeds("sandbox edit 3 notes=office");
    shell.succeeds("sandbox delete 4");
    let before: Vec<Value> = [1, 3, 5].map(|id| shell.succeeds(&format!("sandbox show {id}"))).into();
    drop(sandbox); // killed, at once

    let sandbox = Sandbox::start(&["--state", &state]);
    assert_eq!(sandbox.said["customers"], 7);
    let shell = Shell { url: sandbox.url().to_owned(), ..shell };
    let after: Vec<Value> = [1, 3, 5].map(|id| shell.succeeds(&format!("sandbox show {id}"))).into();
    assert_eq!(after, before);
    assert_eq!(shell.ends("sandbox show 4").0, 2);
    shell.succeeds("pull --full");
    shell.succeeds("edit 1 phone=555-0143");
    shell.succeeds("sync");
    assert_eq!(shell.succeeds("sandbox show 1")["phone"], "555-0143", "the till goes on with it");
}

#[test]
fn a_file_that_is_no_store_is_refused_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = state_in(folder.path());
    let refused = |arguments: &[&str], words: &str| {
        let ran =
            tillsync().arg("sandbox").args(arguments).arg("--json").stdout(Stdio::piped()).spawn().unwrap();
        let ran = ends_soon(ran);
        let json: Value = serde_json::from_slice(&ran.stdout).unwrap();
        let message = json["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
        assert_eq!(ran.status.code(), Some(2), "{message}");
    };
    for broken in ["", "{\"tillsync_sandbox\":1,\"seed\":", "[]"] {
        std::fs::write(&path, broken).unwrap();
        refused(&["--state", &state], "no store of a sandbox, or a broken one");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), broken);
    }
    std::fs::remove_file(&path).unwrap();
    let sandbox = Sandbox::start(&["--customers", "8", "--state", &state]);
    refused(&["--state", &state], "another sandbox keeps its store there");
    drop(sandbox);
    let kept = std::fs::read(&path).unwrap();
    refused(&["--customers", "9", "--state", &state], "was begun with 8 customers of seed 1");
    refused(&["--seed", "2", "--state", &state], "was begun with 8 customers of seed 1");
    assert_eq!(std::fs::read(&path).unwrap(), kept);
}

#[test]
fn control_and_the_api_of_the_store_are_never_mixed() {
    let sandbox = Sandbox::start(&["--customers", "5"]);
    let shell = Shell::beside(&sandbox);
    let control = tillsync::sandbox::Control::of(sandbox.url()).unwrap();
    let control = control.url();
    let status = |method: &str, url: String, header: &str| {
        let mut asked = Command::new("curl");
        asked.args(["--silent", "--output", "-", "--write-out", "\n%{http_code}"]);
        let mut asked =
            asked.args(["--request", method, "--header", header]).arg(url).output().unwrap().stdout;
        asked.split_off(asked.len() - 3)
    };
    let token = "X-Auth-Token: sandbox-token";
    assert_eq!(status("GET", format!("{control}/sandbox"), token), b"200");
    assert_eq!(status("GET", format!("{control}/stores/sandbox/v3/customers"), token), b"404");
    assert_eq!(status("POST", format!("{}/sandbox/cut", sandbox.url()), token), b"404");
    assert_eq!(status("POST", format!("{control}/sandbox/cut"), "Origin: http://127.0.0.1"), b"403");
    assert_eq!(shell.succeeds("sandbox show")["is_cut"], false);

    for (url, code) in [("https://api.bigcommerce.com", "usage"), ("http://127.0.0.1:9", "offline")] {
        let (_, refused) = shell.ends(&format!("sandbox cut --api-url {url}"));
        assert_eq!(refused["error"]["code"], code, "{refused}");
    }
}

#[test]
fn help_has_every_fault_and_every_behaviour_with_a_line() {
    let help = tillsync().args(["sandbox", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    for name in tillsync::sandbox::Fault::names()
        .iter()
        .filter(|name| !name.contains(char::is_numeric) || name.starts_with("html"))
    {
        let line =
            help.lines().find(|line| line.trim_start().split(' ').next() == Some(name)).unwrap_or_default();
        assert!(line.trim().len() > name.len() + 10, "{name}: {line}");
    }
    // A long one is folded between its words.
    let help = help.replace("\n    |", "|");
    for knob in tillsync::sandbox::Behaviours::knobs() {
        assert!(help.contains(&format!("  {knob}\n")), "{knob}");
    }
}

/// What the shop has defined, and what a customer has of it, as the back office has it.
#[test]
fn attributes_are_defined_and_set_from_outside() {
    use tillsync::sandbox::{Control, SandboxOptions};
    let sandbox =
        tillsync::sandbox::Sandbox::start(SandboxOptions { control: true, ..SandboxOptions::default() })
            .unwrap();
    let control = Control::of(&sandbox.url()).unwrap();
    let ask = |method: &str, path: &str, body: &str| control.ask(method, path, Some(body));
    ask("PUT", "/attributes/7", r#"{"name":"shoe size","type":"number"}"#).unwrap();
    for (method, body, value) in
        [("PUT", r#"{"value":"42"}"#, json!("42")), ("GET", "", json!("42")), ("DELETE", "", json!(null))]
    {
        let told: Value =
            serde_json::from_str(&ask(method, "/customers/3/attributes/7", body).unwrap()).unwrap();
        assert_eq!(told, json!({ "customer_id": 3, "attribute_id": 7, "value": value }), "{method}");
    }
    for (path, body) in [
        ("/attributes/7", r#"{"name":"shoe size","type":"colour"}"#),
        ("/attributes/x", r#"{"name":"shoe size","type":"number"}"#),
        ("/customers/9999/attributes/7", r#"{"value":"42"}"#),
        ("/customers/3/attributes/7", "{}"),
    ] {
        assert!(ask("PUT", path, body).is_err(), "{path} {body}");
    }
}
