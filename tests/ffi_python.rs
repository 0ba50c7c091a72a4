//! The C interface from Python, and its answers beside those of the command.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;
#[path = "common/library.rs"]
mod library;

use std::collections::BTreeSet;
use std::process::Command;

use common::{Till, sandbox, till};
use library::{root, shared_library};
use serde_json::{Value, json};

#[test]
fn a_till_in_python_does_everything_through_the_library() {
    let till = Till::new(sandbox(3));
    let mut python = Command::new("python3");
    python.arg(root().join("examples/python/library_till.py")).arg(shared_library()).arg(&till.path);
    python.args([till.sandbox.url().as_str(), till.sandbox.store_hash(), "1"]);
    let output =
        python.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token()).output().expect("python3 is needed");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(
        out.contains("refused:") && out.contains("is read-only") && out.contains("edit_uploaded"),
        "{out}"
    );
    assert_eq!(till.remote_value(1, "phone"), "\"+49 30 901820\"");
    till.assert_no_violations();
}

/// Calls the library with each of these requests, and prints the answers as a list.
const CALL: &str = "import json, sys
sys.path.insert(0, sys.argv[1])
import library_till
it = library_till.Till(sys.argv[2], sys.argv[3], **json.loads(sys.argv[4]))
answers = []
for request in json.load(sys.stdin):
    command = request.pop('command')
    answers.append(it.call(command, **request))
it.close()
print(json.dumps(answers))";

fn calls(till: &Till, options: &Value, requests: &Value) -> Vec<Value> {
    use std::io::Write;
    let mut all = json!({
        "api_url": till.sandbox.url(),
        "store_hash": till.sandbox.store_hash(),
        "access_token": till.sandbox.token(),
        "author": "ana",
    });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let mut python = Command::new("python3");
    python.args(["-c", CALL]).arg(root().join("examples/python")).arg(shared_library()).arg(&till.path);
    python.arg(all.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
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
    let answers = calls(&tills[0], &json!({}), &requests);
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

/// Both sides changed three attributes; each is decided as the app said when it opened the till.
#[test]
fn what_the_library_says_goes_into_the_file_that_the_app_names_and_no_secret_with_it() {
    let till = till(3);
    let log = till.folder.path().join("log.txt");
    till.store().edit(1).set("new_password", "zqxj a new secret").commit().unwrap();
    calls(&till, &json!({"log_file": &log, "log_level": "trace"}), &json!([{"command": "sync"}]));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.lines().any(|line| line.contains("INFO") && line.contains("sync")), "{text}");
    assert!(!text.contains("zqxj") && !text.contains(till.sandbox.token()), "{text}");
    assert_eq!(till.sandbox.last_password(1).as_deref(), Some("zqxj a new secret"), "it left");
}

#[test]
fn the_policies_of_an_app_decide_what_both_sides_changed() {
    let till = till(1);
    till.office(1, json!({"phone": "theirs", "company": "theirs", "last_name": "theirs"}));
    till.store()
        .edit(1)
        .set("phone", "ours")
        .set("company", "ours")
        .set("last_name", "ours")
        .commit()
        .unwrap();
    let policies = json!({"default": "remote", "fields": {"company": "local", "last_name": "hold"}});
    let requests = json!([{"command": "sync"}, {"command": "conflicts"}]);
    let answers = calls(&till, &json!({ "policies": policies }), &requests);
    assert_eq!((&answers[0]["uploaded_fields"], &answers[0]["conflicts"]), (&json!(1), &json!(1)));
    assert_eq!(answers[1][0]["field"], "last_name");
    let both = |field| (till.local(1, field), till.remote_value(1, field));
    let [ours, theirs] = ["\"ours\"", "\"theirs\""].map(str::to_owned);
    assert_eq!(both("phone"), (theirs.clone(), theirs.clone()));
    assert_eq!(both("company"), (ours.clone(), ours.clone()));
    assert_eq!(both("last_name"), (ours, theirs));
}

/// Opens the till with what is no key of it, then with its key, and works on it.
#[cfg(feature = "sqlcipher")]
const WITH_A_KEY: &str = "import sys
sys.path.insert(0, sys.argv[1])
import library_till
library, path, url, copy = sys.argv[2:]
for options in [{}, {'key': 'another'}, {'key_env': 'NO_SUCH_KEY'}, {'key': 'a', 'key_env': 'MY_KEY'}, {'key': ['hunter2']}]:
    try:
        library_till.Till(library, path, **options)
        print('opened')
    except library_till.Refused as refused:
        assert 'another' not in str(refused) and 'hunter2' not in str(refused), refused
        print(refused.code)
it = library_till.Till(library, path, api_url=url, store_hash='sandbox', access_token='sandbox-token', key_env='MY_KEY')
it.start(debounce_ms=50, look_ms=20)
receipt = it.call('edit', id=1, fields={'phone': 'of Python'})['receipt']
print(it.call('wait', receipt=receipt, timeout_ms=60000)['fate'])
it.stop()
it.call('backup', path=copy)
print(it.call('sync')['pulled'])
it.close()";

#[cfg(feature = "sqlcipher")]
#[test]
fn an_encrypted_file_opens_with_its_key_and_every_connection_has_it() {
    let mut till = Till::new(sandbox(3));
    till.key = Some("correct horse".to_owned());
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    let copy = till.folder.path().join("copy.db");
    let mut python = Command::new("python3");
    python.args(["-c", WITH_A_KEY]).arg(root().join("examples/python")).arg(shared_library()).arg(&till.path);
    python
        .arg(till.sandbox.url())
        .arg(&copy)
        .env("MY_KEY", "correct horse")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = python.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let said: Vec<&str> = out.lines().collect();
    assert_eq!(said, ["key_needed", "wrong_key", "key", "usage", "usage", "uploaded", "0"], "{err}");
    assert_eq!(till.remote_value(1, "phone"), "\"of Python\"");
    assert_eq!(tillsync::Store::open_existing(&copy).unwrap_err().code(), "key_needed");
    till.assert_no_violations();
}
