//! The C interface from Python, and its answers beside those of the command.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;
#[path = "common/library.rs"]
mod library;

use std::collections::BTreeSet;
use std::process::Command;

use common::{Till, sandbox, till};
use library::{library, root};
use serde_json::{Value, json};

fn shared_library() -> std::path::PathBuf {
    let name = format!("{}tillsync{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    library().join(name)
}

#[test]
fn the_example_in_python_edits_by_sql_and_syncs_by_ctypes() {
    let till = Till::new(sandbox(3));
    let mut python = Command::new("python3");
    python.arg(root().join("examples/python/till.py")).arg(shared_library()).arg(&till.path);
    python.args([till.sandbox.url().as_str(), till.sandbox.store_hash(), "1"]);
    let output =
        python.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token()).output().expect("python3 is needed");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(
        out.contains("refused by SQL:") && out.contains("is read-only") && out.contains("edit_uploaded"),
        "{out}"
    );
    assert_eq!(till.remote_value(1, "phone"), "\"+49 30 901820\"");
    till.assert_no_violations();
}

/// Calls the library with each of these requests, and prints the answers as a list.
const CALL: &str = "import json, sys
sys.path.insert(0, sys.argv[1])
import till
options = {'api_url': sys.argv[4], 'store_hash': 'sandbox', 'access_token': 'sandbox-token', 'author': 'ana'}
it = till.Till(sys.argv[2], sys.argv[3], **options)
answers = []
for request in json.load(sys.stdin):
    command = request.pop('command')
    answers.append(it.call(command, **request))
it.close()
print(json.dumps(answers))";

fn calls(till: &Till, requests: &Value) -> Vec<Value> {
    use std::io::Write;
    let mut python = Command::new("python3");
    python.args(["-c", CALL]).arg(root().join("examples/python")).arg(shared_library()).arg(&till.path);
    python.arg(till.sandbox.url()).env("PYTHONDONTWRITEBYTECODE", "1");
    python.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(requests.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn command(till: &Till, arguments: &[&str]) -> Value {
    let mut tillsync = Command::new(env!("CARGO_BIN_EXE_tillsync"));
    tillsync.arg("--json").arg("--db").arg(&till.path).args(arguments);
    tillsync
        .env("TILLSYNC_API_URL", till.sandbox.url())
        .env("BIGCOMMERCE_STORE_HASH", till.sandbox.store_hash());
    tillsync.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token()).env("TILLSYNC_AUTHOR", "ana");
    serde_json::from_slice(&tillsync.output().unwrap().stdout).unwrap()
}

/// A document's shape: the keys of its objects, at every depth.
fn shape(value: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                keys.insert(key.clone());
                keys.extend(shape(value).into_iter().map(|inner| format!("{key}.{inner}")));
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys.extend(shape(value))),
        _ => {}
    }
    keys
}

/// Two equal tills beside two equal stores: one is worked through the library, the other with the command.
#[test]
fn every_answer_has_the_shape_of_the_command_s() {
    let steps: [(Value, Vec<&str>); 18] = [
        (json!({"command": "edit", "id": 1, "fields": {"phone": "one"}}), vec!["edit", "1", "phone=one"]),
        (json!({"command": "credit", "id": 1, "amount": "2.50"}), vec!["credit", "1", "+2.50"]),
        (
            json!({"command": "edit", "id": 2, "fields": {"email": "taken@example.com"}}),
            vec!["edit", "2", "email=taken@example.com"],
        ),
        (json!({"command": "edit", "id": 3, "fields": {"phone": "ours"}}), vec!["edit", "3", "phone=ours"]),
        (json!({"command": "show", "id": 1}), vec!["show", "1"]),
        (json!({"command": "diff"}), vec!["diff"]),
        (json!({"command": "push", "dry_run": true}), vec!["push", "--dry-run"]),
        (json!({"command": "find", "text": "taken", "limit": 5}), vec!["find", "taken", "--limit", "5"]),
        (json!({"command": "pull"}), vec!["pull"]),
        (json!({"command": "sync"}), vec!["sync"]),
        (json!({"command": "status"}), vec!["status"]),
        (json!({"command": "log"}), vec!["log"]),
        (json!({"command": "conflicts"}), vec!["conflicts"]),
        (json!({"command": "rejected"}), vec!["rejected"]),
        (
            json!({"command": "resolve", "id": 3, "field": "phone", "value": "both"}),
            vec!["resolve", "3", "phone", "--value", "both"],
        ),
        (json!({"command": "retry", "id": 2}), vec!["retry", "2"]),
        (json!({"command": "discard", "id": 2, "field": "email"}), vec!["discard", "2", "email"]),
        (json!({"command": "push"}), vec!["push"]),
    ];
    let tills = [till(3), till(3)];
    for till in &tills {
        till.office(3, json!({"phone": "theirs", "email": "taken@example.com"}));
    }
    let requests: Value = steps.iter().map(|(request, _)| request.clone()).collect();
    let answers = calls(&tills[0], &requests);
    for ((request, arguments), answer) in steps.iter().zip(&answers) {
        let mut ours = shape(answer);
        ours.retain(|key| !key.starts_with("receipt"));
        assert_eq!(ours, shape(&command(&tills[1], arguments)), "{request}: {answer}");
    }
    assert_eq!(answers[17]["uploaded_fields"], 1, "the decision went up: {}", answers[17]);
    assert_eq!(tills[0].remote_value(3, "phone"), "\"both\"");
    assert_eq!(
        tills[0].remote_value(1, "store_credit_amounts"),
        tills[1].remote_value(1, "store_credit_amounts")
    );
    assert_eq!(answers[12][0]["field"], "phone", "{}", answers[12]);
    assert_eq!(answers[13][0]["field"], "email", "{}", answers[13]);
}
