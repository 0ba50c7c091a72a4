//! The command line as a till's staff and a till's programs meet it: the real binary, over real HTTP, against a
//! sandbox store in this process. `till()` gives all three in one line.
//!
//! The contract is exact: which status, which JSON keys, and nothing but one document on standard output. What people
//! read is held by snapshots.

#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tillsync::sandbox::{Sandbox, SandboxOptions};

/// A till with its own file, its own store, and the binary between them.
struct Till {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    api_url: String,
}

/// How a command ended, and what it printed.
#[derive(Debug)]
struct Ran {
    status: i32,
    out: String,
    err: String,
}

/// A till that has pulled twenty customers; 1 and 2 are known by name.
fn till() -> Till {
    let till = empty_till();
    till.ok(&["pull"]);
    till
}

/// A till without a file.
fn empty_till() -> Till {
    let sandbox = Sandbox::start(SandboxOptions { customers: 20, ..SandboxOptions::default() }).unwrap();
    for (id, first, last) in [(1, "Ana", "Lima"), (2, "Ben", "Okafor")] {
        let address = format!("{}@example.com", first.to_lowercase());
        assert!(sandbox.edit(
            id,
            json!({
                "first_name": first, "last_name": last, "email": address, "phone": format!("555-010{id}"),
                "company": "", "notes": "", "customer_group_id": 1, "channel_ids": [1, 2],
                "form_fields": [{"name": "Shoe size", "value": "42"}, {"name": "VIP", "value": "no"}],
                "store_credit_amounts": [{"amount": 10}],
            })
        ));
    }
    let api_url = sandbox.url();
    Till { folder: tempfile::tempdir().unwrap(), sandbox, api_url }
}

impl Till {
    fn file(&self) -> PathBuf {
        self.folder.path().join("till.db")
    }

    /// The binary, in an environment that holds this till's settings and nothing else.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillsync"));
        command
            .args(arguments)
            .env_clear()
            .env("TILLSYNC_DB", self.file())
            .env("TILLSYNC_API_URL", &self.api_url)
            .env("TILLSYNC_AUTHOR", "ana")
            .env("BIGCOMMERCE_STORE_HASH", self.sandbox.store_hash())
            .env("BIGCOMMERCE_ACCESS_TOKEN", self.sandbox.token())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        of(child.wait_with_output().unwrap())
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.status, 0, "{arguments:?}: {ran:?}");
        ran.out
    }

    /// The one document that a command prints with `--json`, whatever its status.
    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.err, "", "{arguments:?}: nothing but JSON is said");
        let document = serde_json::from_str(&ran.out);
        (ran.status, document.unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", ran.out)))
    }

    /// Somebody at the back office changes a field that is edited here too, and the till finds out.
    fn conflict(&self) {
        self.ok(&["edit", "1", "phone=555-0142"]);
        assert!(self.sandbox.edit(1, json!({"phone": "555-0199"})));
        assert_eq!(self.run(&["sync"]).status, 3);
    }

    /// An edit that the store refuses: the address is another customer's.
    fn rejection(&self) {
        self.ok(&["edit", "2", "email=ana@example.com"]);
        assert_eq!(self.run(&["sync"]).status, 3);
    }

    /// Every byte of every file beside and in the database.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// What a person sees, without what differs from run to run; as wide as before, so that tables stay tables.
    fn seen(&self, arguments: &[&str]) -> String {
        self.told(&self.run(arguments))
    }

    /// The same on a terminal of another width.
    fn seen_at(&self, columns: &str, arguments: &[&str]) -> String {
        self.told(&ran(self.command(arguments).env("COLUMNS", columns)))
    }

    fn told(&self, ran: &Ran) -> String {
        let mut text = format!("status {}\n{}", ran.status, ran.out);
        if !ran.err.is_empty() {
            text += &format!("--- standard error ---\n{}", ran.err);
        }
        text.replace(&self.folder.path().display().to_string(), "[folder]")
            .replace(&self.sandbox.url(), "[store]")
    }
}

fn ran(command: &mut Command) -> Ran {
    of(command.output().unwrap())
}

fn of(output: std::process::Output) -> Ran {
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

// ---- exit statuses -----------------------------------------------------------------------------------------------

#[test]
fn every_status_means_what_the_contract_says() {
    let till = till();
    let check = |status: i32, arguments: &[&str]| {
        let ran = till.run(arguments);
        assert_eq!(ran.status, status, "{arguments:?}: {ran:?}");
        assert_eq!(ran.err.contains("error: "), !matches!(status, 0 | 3), "{arguments:?}: {ran:?}");
    };
    check(0, &["status"]);
    check(0, &["sync"]);
    check(0, &["--help"]);
    check(0, &["edit", "--help"]);
    check(0, &["--version"]);
    // Usage: of clap, of values, of ids, of files; nothing is journaled.
    check(2, &["no-such-command"]);
    check(2, &["edit", "1"]);
    check(2, &["edit", "1", "nope=1"]);
    check(2, &["edit", "1", "date_created=now"]);
    check(2, &["edit", "1", "phone=1", "customer_group_id=many"]);
    check(2, &["edit", "999", "phone=1"]);
    check(2, &["show", "999"]);
    check(2, &["log", "999"]);
    check(2, &["diff", "999"]);
    check(2, &["retry", "999"]);
    check(2, &["discard", "999"]);
    check(2, &["credit", "1", "much"]);
    check(2, &["credit", "1", "+0.00001"]);
    for amount in ["1e2", "1_000", "1234567890123456789012345678901", "12,50"] {
        let error = till.json(&["credit", "1", amount]).1["error"].clone();
        let words = error["message"].as_str().unwrap();
        assert!(words.contains(&format!("\"{amount}\"")), "{words}");
    }
    check(2, &["find", "ana", "--limit", "18446744073709551615"]);
    check(2, &["resolve", "1", "phone", "--keep", "local"]);
    check(2, &["resolve", "1", "phone", "--keep", "local", "--value", "1"]);
    check(2, &["edit", "--from", "not-there.jsonl"]);
    check(2, &["sync", "--token-file", "not-there.txt"]);
    check(2, &["sync", "--api-url", "http://example.com"]);
    assert_eq!(till.json(&["log"]).1, json!([]), "a mistake journals nothing");
    // The store.
    check(4, &["sync", "--api-url", "http://127.0.0.1:1"]);
    std::fs::write(till.folder.path().join("token.txt"), "wrong\n").unwrap();
    check(5, &["sync", "--token-file", "token.txt"]);
    // The file.
    check(6, &["status", "--db", "not-there.db"]);
    check(6, &["edit", "1", "phone=1", "--db", "not-there.db"]);
    check(6, &["push", "--db", "not-there.db"]);
    check(6, &["pull", "--db", "no-such-folder/till.db"]);
    assert!(!till.folder.path().join("not-there.db").exists(), "only pull and sync make the file");
    std::fs::write(till.folder.path().join("broken.db"), vec![b'x'; 4096]).unwrap();
    check(6, &["status", "--db", "broken.db"]);
    // A person is wanted; whoever only lists has done what was asked.
    till.conflict();
    check(3, &["sync"]);
    check(3, &["push"]);
    check(0, &["conflicts"]);
    check(0, &["pull"]);
}

#[test]
fn decisions_name_what_was_seen() {
    let till = till();
    let status = |arguments: &[&str]| till.run(arguments).status;
    till.conflict();
    let (_, conflicts) = till.json(&["conflicts"]);
    let stamp = conflicts[0]["stamp"].as_str().unwrap();
    assert_eq!(conflicts[0]["seqs"], json!([1]));
    // The store moves on, and so does the conflict.
    assert!(till.sandbox.edit(1, json!({"phone": "555-0200"})));
    assert_eq!(status(&["sync"]), 3);
    let (code, refused) = till.json(&["resolve", "1", "phone", "--keep", "local", "--seen", stamp]);
    assert_eq!((code, &refused["error"]["code"]), (2, &json!("usage")));
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("555-0142") && message.contains("555-0200"), "{message}");
    assert_eq!(status(&["discard", "1", "phone", "--seen", stamp]), 2);
    let (_, conflicts) = till.json(&["conflicts"]);
    let stamp = conflicts[0]["stamp"].as_str().unwrap();
    assert_eq!(status(&["resolve", "1", "phone", "--keep", "local", "--seen", stamp]), 0);
    // A command takes exactly the names that it prints.
    for name in ["phone.xyz", "form_field.size", "nonsense", "*"] {
        assert_eq!(status(&["discard", "1", name]), 2, "{name}");
    }
    assert_eq!(status(&["sync"]), 0);
    assert_eq!(status(&["resolve", "1", "phone", "--keep", "remote"]), 2, "no conflict is open");
    assert_eq!(status(&["undo", "1"]), 2, "a person decided it");
    // Refused edits, row by row.
    till.rejection();
    let (_, rejected) = till.json(&["rejected"]);
    let seq = rejected[0]["seq"].to_string();
    assert_eq!(till.json(&["retry", "--seq", &seq]), (0, json!({"customer_id": null, "fields": 1})));
    assert_eq!(status(&["retry", "--seq", &seq]), 2, "it is not refused any more");
    assert_eq!(till.json(&["discard", "--seq", &seq]), (0, json!({"customer_id": null, "fields": 1})));
    for usage in
        [&["discard", "--seq", &seq][..], &["discard"], &["discard", "2", "--seq", "1"], &["undo", "77"]]
    {
        assert_eq!(status(usage), 2, "{usage:?}");
    }
    // What was brought together by itself is taken back.
    assert!(till.sandbox.edit(2, json!({"channel_ids": [1, 2]})));
    assert_eq!(status(&["sync"]), 0);
    till.ok(&["edit", "2", "channel_ids=[1,2,3]"]);
    assert!(till.sandbox.edit(2, json!({"channel_ids": [1, 2, 4]})));
    assert_eq!(status(&["sync"]), 0);
    let (_, log) = till.json(&["log", "2"]);
    let decision = log.as_array().unwrap().last().unwrap()["decisions"][0]["id"].to_string();
    assert_eq!(status(&["undo", &decision]), 0);
    assert_eq!(till.json(&["show", "2"]).1["customer"]["channel_ids"], json!([1, 2, 4]));
    assert_eq!(status(&["undo", &decision]), 2);
}

#[test]
fn a_refused_payment_is_readable_row_by_row() {
    let till = till();
    till.ok(&["credit", "2", "-2.50"]);
    let sql = rusqlite::Connection::open(till.folder.path().join("till.db")).unwrap();
    let triggers: Vec<String> = sql
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'journal'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    triggers.iter().for_each(|name| sql.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    sql.execute("UPDATE journal SET outcome = 'rejected', reason = 'no debts'", []).unwrap();
    with_filters(|| insta::assert_snapshot!("rejected_payment", till.seen(&["rejected"])));
}

#[test]
fn a_second_sync_of_the_same_file_is_told_at_once() {
    let till = till();
    let lock = File::open(till.folder.path().join("till.db-sync")).unwrap();
    lock.try_lock().unwrap();
    let (status, document) = till.json(&["sync"]);
    assert_eq!((status, &document["error"]["code"]), (6, &json!("busy")));
    till.ok(&["edit", "1", "phone=1"]); // editing goes on
    assert_eq!(till.json(&["doctor"]).0, 0);
    let waiting = till.command(&["sync", "--wait", "30"]).stdout(Stdio::null()).spawn().unwrap();
    drop(lock);
    assert!(waiting.wait_with_output().unwrap().status.success());
}

// ---- JSON --------------------------------------------------------------------------------------------------------

#[test]
fn every_document_has_the_keys_of_the_contract() {
    let till = till();
    till.conflict();
    till.rejection();
    till.ok(&["edit", "2", "phone=1"]);
    let requests = ["delete", "get", "post", "put"];
    let sync = [
        "addresses",
        "attribute_values",
        "bytes_sent",
        "conflicts",
        "created",
        "deleted",
        "deletions_waiting",
        "doubted",
        "elapsed_ms",
        "gone",
        "held_up",
        "looks",
        "pulled",
        "rate_limited",
        "rejected",
        "requests",
        "retries",
        "slots_refused",
        "unbelieved",
        "unchanged_customers",
        "uploaded_customers",
        "uploaded_fields",
    ];
    let log = [
        "allowed_by",
        "at",
        "author",
        "customer_id",
        "decisions",
        "field",
        "label",
        "op",
        "outcome",
        "reason",
        "resource",
        "row_id",
        "seq",
        "value",
        "was",
    ];
    let (_, pull) = till.json(&["pull"]);
    assert_eq!(
        keys(&pull),
        ["complete", "conflicts", "deleted", "held_up", "pulled", "requests", "unbelieved"]
    );
    assert_eq!(keys(&pull["requests"]), requests);
    let (_, status) = till.json(&["status"]);
    assert_eq!(
        keys(&status),
        [
            "conflicts",
            "held_alone",
            "held_up",
            "in_flight_batches",
            "last_pull_at",
            "last_push_at",
            "oldest_pending_at",
            "pending_customers",
            "pending_fields",
            "rejected",
            "snapshot_customers",
            "store_hash",
            "sync",
            "throttled_until",
            "unsent",
        ]
    );
    let about_syncs =
        ["last_error", "last_success_at", "next_try_at", "since", "state", "worker_alive", "worker_paused"];
    assert_eq!(keys(&status["sync"]), about_syncs);
    assert_eq!((&status["conflicts"], &status["rejected"]), (&json!(1), &json!(1)));
    let (_, show) = till.json(&["show", "2"]);
    assert_eq!(keys(&show), ["customer", "pending", "snapshot"]);
    assert_eq!((&show["customer"]["phone"], &show["snapshot"]["phone"]), (&json!("1"), &json!("555-0102")));
    assert_eq!(keys(&show["pending"][0]), log);
    assert_eq!(till.json(&["find", "ana"]).1[0]["email"], "ana@example.com");
    assert_eq!(till.json(&["diff", "2"]).1, json!([{"id": 2, "phone": "1"}]));
    assert_eq!(till.json(&["push", "--dry-run"]).1, json!({"batches": [[{"id": 2, "phone": "1"}]]}));
    assert_eq!(keys(&till.json(&["log", "1"]).1[0]), log);
    let (_, conflicts) = till.json(&["conflicts"]);
    assert_eq!(
        keys(&conflicts[0]),
        [
            "author",
            "base",
            "customer_id",
            "detected_at",
            "field",
            "id",
            "local",
            "reason",
            "remote",
            "resource",
            "row_id",
            "seqs",
            "stamp",
        ]
    );
    let (_, rejected) = till.json(&["rejected"]);
    assert_eq!(
        keys(&rejected[0]),
        ["customer_id", "field", "reason", "resource", "row_id", "sent", "seq", "value"]
    );
    assert_eq!(rejected[0]["sent"], json!({"id": 2, "email": "ana@example.com"}));
    assert_eq!(till.json(&["edit", "2", "company=A", "notes=B"]).1, json!({"edited": 2}));
    assert_eq!(
        till.json(&["credit", "2", "-0.25"]).1,
        json!({"customer_id": 2, "amount": "-0.25", "balance": "9.75"})
    );
    assert_eq!(
        till.json(&["resolve", "1", "phone", "--keep", "remote"]).1,
        json!({"customer_id": 1, "fields": 1})
    );
    assert_eq!(till.json(&["retry", "2"]).1, json!({"customer_id": 2, "fields": 1}));
    assert_eq!(till.json(&["retry", "--all"]).1, json!({"customer_id": null, "fields": 0}));
    assert_eq!(till.json(&["discard", "2", "email"]).1, json!({"customer_id": 2, "fields": 1}));
    let (code, push) = till.json(&["push"]);
    assert_eq!((code, keys(&push)), (0, sync.to_vec()));
    assert_eq!(push["uploaded_fields"], 4);
    let (code, synced) = till.json(&["sync"]);
    assert_eq!((code, keys(&synced), keys(&synced["requests"])), (0, sync.to_vec(), requests.to_vec()));
    let (code, doctor) = till.json(&["doctor"]);
    assert_eq!((code, keys(&doctor)), (0, vec!["checks"]));
    assert!(doctor["checks"].as_array().unwrap().iter().all(|check| keys(check) == ["detail", "name", "ok"]));
    assert_eq!(keys(&till.json(&["completions", "bash"]).1), ["script", "shell"]);
    assert_eq!(till.sandbox.violations(), Vec::<String>::new());
}

#[test]
fn failures_are_documents_too() {
    let till = till();
    let check = |code: &str, arguments: &[&str]| {
        let (status, document) = till.json(arguments);
        assert_ne!(status, 0, "{arguments:?}");
        assert_eq!(keys(&document), ["error"]);
        assert_eq!(document["error"]["code"], code, "{arguments:?}");
        let error = document["error"].clone();
        assert!(error["message"].is_string() && error["hint"].is_string(), "{arguments:?}: {error}");
        error
    };
    check("usage", &["no-such-command"]);
    check("usage", &["status", "--no-such-flag"]);
    check("usage", &["edit", "1"]);
    check("refused", &["edit", "1", "email=x"]);
    check("unknown_customer", &["show", "999"]);
    check("unknown_customer", &["edit", "999", "phone=1"]);
    check("not_there", &["status", "--db", "not-there.db"]);
    check("wrong_store", &["sync", "--store-hash", "other"]);
    check("offline", &["sync", "--api-url", "http://127.0.0.1:1"]);
    // Whom and what it is about, for a form that shows it beside its field; where it is about nobody, no such member.
    let about = |code: &str, arguments: &[&str]| {
        let error = check(code, arguments);
        ["customer_id", "field", "limit"].map(|name| error.get(name).cloned())
    };
    let (one, phone) = (Some(json!(1)), Some(json!("phone")));
    assert_eq!(
        about("refused", &["edit", "1", &format!("phone={}", "5".repeat(51))]),
        [one.clone(), phone.clone(), Some(json!(50))]
    );
    assert_eq!(
        about("refused", &["edit", "1", "email=x"]),
        [one.clone(), Some(json!("email")), Some(json!(3))]
    );
    assert_eq!(about("usage", &["resolve", "1", "phone", "--keep", "local"]), [one, phone, None]);
    assert_eq!(about("unknown_customer", &["show", "999"]), [Some(json!(999)), None, None]);
    assert_eq!(about("offline", &["sync", "--api-url", "http://127.0.0.1:1"]), [None, None, None]);
}

#[test]
fn amounts_pass_through_no_float() {
    let till = empty_till();
    let huge = r#"{"store_credit_amounts":[{"amount":999999999.99}]}"#;
    assert!(till.sandbox.edit_text(1, huge).unwrap());
    till.ok(&["pull"]);
    assert!(
        till.ok(&["show", "1", "--json"]).contains(r#""store_credit_amounts":[{"amount":999999999.99}]"#)
    );
    till.ok(&["edit", "1", r#"store_credit_amounts=[{"amount":0.1}]"#]);
    till.ok(&["credit", "1", "+0.2"]);
    let sent = r#"[{"id":1,"store_credit_amounts":[{"amount":0.3}]}]"#;
    assert_eq!(till.ok(&["diff", "--json"]).trim_end(), sent);
    till.ok(&["sync"]);
    assert!(till.sandbox.customer_text(1).unwrap().contains(r#""store_credit_amounts":[{"amount":0.3}]"#));
}

// ---- editing -----------------------------------------------------------------------------------------------------

#[test]
fn json_lines_are_journaled_all_or_not_at_all() {
    let till = till();
    let good = r#"{"id":1,"phone":"1","authentication":{"force_password_reset":true}}"#;
    for (bad, said) in [
        (r#"{"id":2,"nope":1}"#, "line 3: customer 2: nope: is no attribute"),
        (r#"{"id":2,"customer_group_id":-1}"#, "line 3: customer 2: customer_group_id: must be from 0"),
        (r#"{"id":999,"phone":"1"}"#, "line 3: customer 999 is not in this file"),
        (r#"{"phone":"1"}"#, "line 3: customer 0: id: is missing"),
        ("not json", "line 3: customer 0: id: not a JSON object"),
    ] {
        let ran = till.run_with_input(&["edit", "--from", "-"], &format!("{good}\n\n{bad}\n"));
        assert_eq!(ran.status, 2, "{bad}");
        assert!(ran.err.contains(said), "{bad}: {}", ran.err);
        assert_eq!(till.json(&["log"]).1, json!([]), "{bad}");
    }
    let file = till.folder.path().join("edits.jsonl");
    std::fs::write(&file, format!("{good}\n{{\"id\":2,\"notes\":\"日本語\"}}\n")).unwrap();
    let arguments = ["edit", "--from", file.to_str().unwrap(), "--label", "sale 7"];
    assert_eq!(till.json(&arguments).1, json!({"edited": 3}));
    let (_, log) = till.json(&["log"]);
    let rows = log.as_array().unwrap();
    assert!(rows.iter().all(|row| row["label"] == "sale 7" && row["author"] == "ana"), "{log}");
}

#[test]
fn a_value_comes_from_standard_input() {
    let till = till();
    let edited = till.run_with_input(&["edit", "1", "notes=@-", "phone=7"], "two\nlines\n");
    assert_eq!(edited.status, 0, "{edited:?}");
    assert_eq!(till.json(&["diff"]).1, json!([{"id": 1, "phone": "7", "notes": "two\nlines"}]));
    let twice = till.run_with_input(&["edit", "1", "notes=@-", "company=@-"], "x");
    assert_eq!(twice.status, 2);
}

#[test]
fn a_password_and_a_token_leave_no_trace() {
    let till = till();
    let secret = "pa55word-that-nobody-else-has";
    let shown = till.run(&["edit", "1", &format!("new_password={secret}")]);
    assert_eq!(shown.status, 2);
    assert!(!format!("{shown:?}").contains(secret));
    let edited = till.run_with_input(&["edit", "1", "new_password=@-"], &format!("{secret}\n"));
    assert_eq!(edited.status, 0, "{edited:?}");
    let mut said = Vec::new();
    for arguments in [
        &["diff"][..],
        &["show", "1"],
        &["log"],
        &["push", "--dry-run"],
        &["status"],
        &["doctor"],
        &["sync"],
        &["log"],
        &["show", "1"],
    ] {
        for json in [&[][..], &["--json"]] {
            let mut command = till.command(&[arguments, json].concat());
            said.push(format!("{:?}", ran(command.env("TILLSYNC_LOG", "trace"))));
        }
    }
    assert_eq!(till.sandbox.last_password(1).as_deref(), Some(secret));
    let said = said.concat();
    assert!(said.contains("DEBUG sync{") && said.contains("DEBUG ureq"), "the logs are on");
    assert!(!said.contains("TRACE ureq"), "every byte on the wire is in those, as a table of hex");
    let files = till.bytes();
    for word in [secret, till.sandbox.token()] {
        assert!(!said.contains(word), "{word} was said");
        assert!(!contains(&files, word), "{word} is in a file");
    }
}

// ---- the store ---------------------------------------------------------------------------------------------------

#[test]
fn offline_everything_is_kept_and_later_it_arrives() {
    let till = till();
    till.sandbox.cut();
    till.ok(&["edit", "1", "phone=555-0177", r#"form_fields=[{"name":"Shoe size","value":"43"}]"#]);
    till.ok(&["credit", "1", "-2.50"]);
    assert_eq!(till.run(&["sync"]).status, 4);
    assert_eq!(till.run(&["doctor"]).status, 4, "the checks of the file run all the same");
    assert_eq!(till.json(&["status"]).1["pending_fields"], 3);
    till.sandbox.heal().unwrap();
    let (status, report) = till.json(&["sync"]);
    assert_eq!((status, &report["uploaded_fields"], &report["requests"]["put"]), (0, &json!(3), &json!(1)));
    let there = till.sandbox.customer(1).unwrap();
    assert_eq!(
        (&there["phone"], &there["store_credit_amounts"][0]["amount"]),
        (&json!("555-0177"), &json!(7.5))
    );
    assert_eq!(till.json(&["sync"]).1["requests"]["put"], 0);
    assert_eq!(till.sandbox.violations(), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_token_that_others_may_read_is_told_by_doctor() {
    use std::os::unix::fs::PermissionsExt;
    let till = till();
    let token = till.folder.path().join("token.txt");
    std::fs::write(&token, till.sandbox.token()).unwrap();
    let doctor = |mode: u32| {
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).unwrap();
        till.json(&["doctor", "--token-file", token.to_str().unwrap()])
    };
    let (status, told) = doctor(0o644);
    let checks = told["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "secrets").unwrap();
    assert!(status == 3 && check["detail"].as_str().unwrap().contains("token.txt"), "{told}");
    assert_eq!(doctor(0o600).0, 0);
}

#[cfg(unix)]
#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let till = till();
    for lock in ["-sync", "-worker"] {
        let (link, target) =
            (till.folder.path().join(format!("till.db{lock}")), till.folder.path().join("target"));
        std::fs::remove_file(&link).ok();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let command: &[&str] = if lock == "-sync" { &["sync"] } else { &["worker"] };
        let ran = till.run(command);
        assert_eq!(ran.status, 6, "{ran:?}");
        assert!(ran.err.contains("symbolic link"), "{ran:?}");
        assert!(!target.exists(), "what the link names was made");
        std::fs::remove_file(&link).unwrap();
    }
    till.ok(&["sync"]);
}

#[test]
fn a_file_belongs_to_one_store() {
    let till = till();
    till.ok(&["edit", "1", "phone=1"]);
    for command in ["pull", "sync", "push"] {
        let ran = till.run(&[command, "--store-hash", "other"]);
        assert_eq!(ran.status, 2);
        assert!(ran.err.contains("sandbox") && ran.err.contains("other"), "{}", ran.err);
    }
    assert_eq!(till.json(&["doctor", "--store-hash", "other"]).0, 2);
    // What the control panel shows, pasted where a hash or a URL is asked for.
    let path = format!("{}/stores/{}/v3/", till.api_url, till.sandbox.store_hash());
    till.ok(&["pull", "--store-hash", &path]);
    till.ok(&["pull", "--api-url", &path]);
    let error = till.json(&["pull", "--store-hash", "https://shop.example.com"]).1["error"].clone();
    assert_eq!(error["code"], "usage");
    assert!(error["message"].as_str().unwrap().contains("stores/abc123/v3/"), "{error}");
    assert_eq!(ran(till.command(&["sync"]).env_remove("BIGCOMMERCE_STORE_HASH")).status, 0, "it is recorded");
    let fresh = empty_till();
    for missing in ["BIGCOMMERCE_STORE_HASH", "BIGCOMMERCE_ACCESS_TOKEN"] {
        let ran = ran(fresh.command(&["pull"]).env_remove(missing));
        assert_eq!(ran.status, 2);
        assert!(ran.err.contains(missing), "{}", ran.err);
        assert!(!fresh.file().exists(), "nothing is made before the settings are in order");
    }
}

#[test]
fn a_mistyped_store_does_not_spoil_a_fresh_file() {
    let till = empty_till();
    assert_eq!(till.run(&["pull", "--store-hash", "sanbdox"]).status, 5);
    till.ok(&["doctor"]);
    till.ok(&["pull"]);
    assert_eq!(till.run(&["pull", "--store-hash", "sanbdox"]).status, 2);
}

#[test]
fn a_watching_sync_prints_a_line_a_sync_and_survives_a_cut() {
    let till = till();
    let mut child = till.command(&["sync", "--watch", "1", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["rejected"], 0);
    till.sandbox.cut();
    // Another one may have gone well before that.
    let cut = (0..60).map(|_| next()).find(|line| line["rejected"] != 0).unwrap();
    assert_eq!(cut["error"]["code"], "offline");
    till.ok(&["edit", "1", "phone=555-0166"]);
    till.sandbox.heal().unwrap();
    let mut uploaded = 0;
    while uploaded == 0 {
        uploaded = next()["uploaded_fields"].as_u64().unwrap_or(0);
    }
    end(child);
    assert_eq!(till.sandbox.customer(1).unwrap()["phone"], "555-0166");
}

#[test]
fn the_sandbox_command_serves_a_store() {
    let mut till = empty_till();
    let mut child = till
        .command(&["sandbox", "--customers", "7", "--seed", "3", "--quota", "90", "--fault", "html=0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(keys(&told), ["customers", "store_hash", "token", "url"]);
    till.api_url = told["url"].as_str().unwrap().to_owned();
    assert_eq!(till.json(&["pull"]).1["pulled"], 7);
    end(child);
    let wrong = till.run(&["sandbox", "--fault", "gremlins=1"]);
    assert!(wrong.status == 2 && wrong.err.contains("lost-answer"), "{wrong:?}");
}

#[test]
fn the_demo_finds_everything_in_place() {
    let till = empty_till();
    let (status, findings) = till.json(&["demo"]);
    assert_eq!((status, keys(&findings)), (0, vec!["checks", "report"]));
    assert!(findings["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true), "{findings}");
    assert_eq!(findings["report"]["sync"]["requests"]["put"], 2);
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let till = till();
    let mut child = till.command(&["completions", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What is done cannot be told: nobody takes it for not done, and pays once more.
#[cfg(target_os = "linux")]
#[test]
fn what_is_done_and_cannot_be_told_says_so() {
    let till = till();
    till.conflict();
    let backup = till.folder.path().join("backup.db");
    let report = till.folder.path().join("report.json");
    let [backup, report] = [&backup, &report].map(|path| path.to_str().unwrap());
    for (arguments, words) in [
        (&["credit", "3", "5", "--json"][..], "it is journaled"),
        (&["credit", "3", "5"], "it is journaled"),
        (&["edit", "3", "company=Sol", "--json"], "it is journaled"),
        (&["discard", "3", "company", "--json"], "it is journaled"),
        (&["resolve", "1", "phone", "--keep", "local", "--json"], "it is journaled"),
        (&["floor", "-50", "--json"], "the floor is as it was to be"),
        (&["backup", backup], "the backup is made"),
        (&["report", report, "--json"], "the report is written"),
        (&["prune", "--json"], "the rows are removed"),
        (&["sync", "--json"], "the sync has ended"),
        (&["pull"], "the sync has ended"),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = till.command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let told = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains(words) && told.contains("do not repeat it: "), "{arguments:?}: {told}");
    }
    let credit = till.sandbox.customer(3).unwrap()["store_credit_amounts"][0]["amount"].as_f64();
    let told = till.json(&["show", "3"]).1;
    assert_eq!(told["pending"].as_array().map(Vec::len), Some(0), "{told} {credit:?}");
}

/// What only its owner knows of a URL is nobody's who reads a screen or a log.
#[test]
fn a_password_in_the_url_of_the_api_is_told_to_nobody() {
    let till = till();
    let here = till.sandbox.url().replace("http://", "http://ana:hunter2@");
    for url in [
        &*here,
        "http://ana:hunter2@shop.example.com",
        "ftp://ana:hunter2@x",
        "ana:hunter2@x",
        "https://ana:hun ter2@x",
    ] {
        for command in [&["doctor"][..], &["doctor", "--json"], &["pull"], &["pull", "--json"]] {
            let ran = till.run(&[command, &["--api-url", url]].concat());
            let told = format!("{}{}", ran.out, ran.err);
            assert!(!told.contains("ter2") && !told.contains("ana:"), "{url}: {told}");
        }
    }
    let options = tillsync::HttpOptions { api_url: here, ..tillsync::HttpOptions::new("abc", "token") };
    assert!(format!("{options:?}").contains("http://***@127.0.0.1"), "{options:?}");
}

#[test]
fn a_report_goes_where_a_file_can_be_and_not_where_a_tills_own_lie() {
    let till = till();
    till.ok(&["edit", "1", "phone=555"]);
    let code = |path: &str| {
        let (status, told) = till.json(&["report", path]);
        (status, told["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let nowhere = till.folder.path().join("nowhere/report.json");
    assert_eq!(code(nowhere.to_str().unwrap()), (6, "no_folder".to_owned()));
    for suffix in ["-wal", "-journal", "-shm", "-sync", "-worker", "-life", "-upgrade"] {
        let beside = format!("{}{suffix}", till.file().display());
        let was_there = std::fs::exists(&beside).unwrap();
        assert_eq!(code(&beside), (2, "usage".to_owned()), "{suffix}");
        assert_eq!(std::fs::exists(&beside).unwrap(), was_there, "{suffix}");
    }
    till.ok(&["status"]);
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

// ---- what a person sees ------------------------------------------------------------------------------------------

fn with_filters(check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[------ time -----]");
    // Each system has its own words.
    settings.add_filter(r"io: .*\(os error \d+\)", "io: [what the system says]");
    settings.bind(check);
}

#[test]
fn a_report_may_go_to_standard_output() {
    let till = till();
    let report: Value = serde_json::from_str(&till.ok(&["report", "-"])).unwrap();
    assert!(report["checks"].is_object() && report["versions"].is_object(), "{report}");
    assert!(!till.folder.path().join("-").exists());
}

#[test]
fn a_till_that_was_moved_away_is_not_begun_anew_by_a_pull() {
    let till = till();
    till.ok(&["edit", "1", "phone=555"]);
    till.ok(&["sync"]);
    let away = till.folder.path().join("away.db");
    for suffix in ["", "-wal", "-shm"] {
        let beside = |path: &std::path::Path| PathBuf::from(format!("{}{suffix}", path.display()));
        _ = std::fs::rename(beside(&till.file()), beside(&away));
    }
    let refused = till.run(&["pull"]);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(
        refused.err.contains("was moved or deleted") && refused.err.contains("tillsync create"),
        "{refused:?}"
    );
    assert!(!till.file().exists());
    // The others name the same way out, and not a pull that will be refused.
    let hints = ["status", "sync"].map(|command| till.run(&[command]).err);
    assert!(
        hints.iter().all(|said| said.contains("tillsync create") && !said.contains("pull makes")),
        "{hints:?}"
    );
    // Who says so begins anew.
    till.ok(&["create"]);
    till.ok(&["pull"]);
}

#[test]
fn a_change_of_channels_says_what_it_may_do() {
    let till = till();
    let said = till.seen(&["edit", "1", "channel_ids=[1,77]"]);
    assert!(said.contains("1 field journaled") && said.contains("may open another account"), "{said}");
    for edit in ["channel_ids=[1,77]", "phone=555-0142"] {
        assert!(!till.seen(&["edit", "1", edit]).contains("account"), "{edit}");
    }
}

#[test]
fn pending_edits_are_readable() {
    let till = till();
    till.ok(&["edit", "1", "phone=555-0142", "notes=Ligar à tarde\nbis 18 Uhr", "channel_ids=[1]"]);
    till.ok(&["edit", "1", r#"form_fields=[{"name":"Shoe size","value":"43"},{"name":"VIP","value":"no"}]"#]);
    till.ok(&["credit", "2", "-2.50", "--label", "return 77"]);
    till.run_with_input(&["edit", "2", "new_password=@-"], "hunter2");
    with_filters(|| {
        insta::assert_snapshot!("status", till.seen(&["status"]));
        insta::assert_snapshot!("diff", till.seen(&["diff"]));
        insta::assert_snapshot!("dry_run", till.seen(&["push", "--dry-run"]));
        insta::assert_snapshot!("log", till.seen(&["log"]));
        insta::assert_snapshot!("find", till.seen(&["find", "ben ok"]));
    });
}

#[test]
fn two_sides_that_differ_look_different() {
    let till = till();
    let note = |door: &str| {
        format!("Prefers to be called in the afternoon, never on a Friday.\nRing at door {door}")
    };
    let credit = |amount: f64| json!([{"amount": amount}]);
    till.ok(&["edit", "1", &format!("notes={}", note("4"))]);
    till.ok(&["edit", "1", &format!("store_credit_amounts={}", credit(1.994))]);
    assert!(till.sandbox.edit(1, json!({"notes": note("5"), "store_credit_amounts": credit(1.999)})));
    assert_eq!(till.run(&["sync"]).status, 3);
    with_filters(|| {
        insta::assert_snapshot!("conflicts_alike", till.seen(&["conflicts"]));
        insta::assert_snapshot!("conflict_whole", till.seen(&["conflicts", "1", "notes"]));
    });
    let (_, one) = till.json(&["conflicts", "1", "notes"]);
    assert_eq!((one.as_array().unwrap().len(), &one[0]["local"]), (1, &json!(note("4"))));
    assert_eq!(till.json(&["conflicts", "1"]).1.as_array().unwrap().len(), 2);
    assert_eq!(till.json(&["conflicts", "2"]), (0, json!([])));
    assert_eq!(till.json(&["conflicts", "999"]).0, 2);
}

#[test]
fn what_wants_a_person_is_readable() {
    let till = till();
    till.conflict();
    till.rejection();
    with_filters(|| {
        insta::assert_snapshot!("conflicts", till.seen(&["conflicts"]));
        insta::assert_snapshot!("rejected", till.seen(&["rejected"]));
        insta::assert_snapshot!("status_waiting", till.seen(&["status"]));
        insta::assert_snapshot!("resolve", till.seen(&["resolve", "1", "phone", "--keep", "local"]));
        insta::assert_snapshot!("discard", till.seen(&["discard", "2"]));
        insta::assert_snapshot!("sync", till.seen(&["sync"]).replace("112 bytes", "[n] bytes"));
        insta::assert_snapshot!("log_settled", till.seen(&["log"]));
    });
}

#[test]
fn a_file_is_made_by_pull_and_by_create_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tillsync"));
        let output = command.arg("--json").arg("--db").arg(&path).args(words).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), said["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    for words in [&["status"][..], &["edit", "1", "phone=5"], &["log"], &["doctor"], &["conflicts"]] {
        assert_eq!(run(words).0, 6, "{words:?}");
        assert!(!path.exists(), "{words:?} made a file");
    }
    assert_eq!(run(&["create"]), (0, String::new()));
    assert_eq!(run(&["status"]), (0, String::new()));
    assert_eq!(run(&["create"]), (2, "usage".to_owned()));

    std::fs::write(&path, "").unwrap();
    for words in [&["sync"][..], &["push"], &["worker"]] {
        assert_eq!(run(words), (6, "not_there".to_owned()), "{words:?}");
    }
    assert_eq!(run(&["status"]), (6, "not_there".to_owned()));
    assert_eq!(run(&["create"]).0, 2);
    assert_eq!(std::fs::read(&path).unwrap(), b"");
}

#[test]
fn mistakes_and_help_are_readable() {
    let till = till();
    with_filters(|| {
        insta::assert_snapshot!("error_field", till.seen(&["edit", "1", "date_created=now"]));
        insta::assert_snapshot!("error_password", till.seen(&["edit", "1", "new_password=hunter2"]));
        insta::assert_snapshot!("error_missing", till.seen(&["status", "--db", "other.db"]));
        insta::assert_snapshot!("error_offline", till.seen(&["sync", "--api-url", "http://127.0.0.1:1"]));
        insta::assert_snapshot!("error_number", till.seen(&["show", "abc"]));
        insta::assert_snapshot!("error_argument", till.seen(&["credit", "1"]));
        insta::assert_snapshot!("error_comma", till.seen(&["credit", "1", "12,50"]));
        insta::assert_snapshot!("error_folder", till.seen(&["create", "--db", "no/folder/till.db"]));
        insta::assert_snapshot!("error_folder_of_a_backup", till.seen(&["backup", "no/folder/monday.db"]));
        let sql = |sql: &str| {
            tillsync::rusqlite::Connection::open(till.folder.path().join("till.db"))
                .unwrap()
                .execute_batch(sql)
                .unwrap()
        };
        sql(
            "CREATE TRIGGER my_audit AFTER UPDATE OF phone ON customer BEGIN SELECT my_function(NEW.id); END",
        );
        insta::assert_snapshot!("error_of_the_app", till.seen(&["edit", "1", "phone=555"]));
        sql("DROP TRIGGER my_audit");
        insta::assert_snapshot!("overview", till.seen(&[]));
        insta::assert_snapshot!("help", till.seen(&["--help"]));
        for columns in ["60", "100"] {
            let seen = |arguments| till.seen_at(columns, arguments);
            insta::assert_snapshot!(format!("help_edit_{columns}"), seen(&["edit", "--help"]));
            insta::assert_snapshot!(format!("help_worker_{columns}"), seen(&["help", "worker"]));
            insta::assert_snapshot!(format!("overview_{columns}"), seen(&[]));
            insta::assert_snapshot!(format!("help_{columns}"), seen(&["--help"]));
        }
    });
}

/// An empty setting of the environment is as none: the file is `till.db` of the folder then.
#[test]
fn an_empty_setting_of_the_environment_is_not_set() {
    let till = till();
    let all = [
        "TILLSYNC_DB",
        "TILLSYNC_AUTHOR",
        "TILLSYNC_TIMEOUT",
        "TILLSYNC_PROXY",
        "TILLSYNC_ROOTS",
        "TILLSYNC_RETENTION",
    ];
    let mut command = till.command(&["sync"]);
    all.iter().for_each(|name| _ = command.env(name, ""));
    let ran = ran(&mut command);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{}", ran.out);
}

#[test]
fn what_is_no_till_is_not_called_one_to_go_on_with() {
    let till = empty_till();
    std::fs::write(till.file(), "somebody's letter").unwrap();
    let refused = till.run(&["create"]);
    assert_eq!(refused.status, 2);
    assert!(refused.err.contains("if it is anything else, name another with --db"), "{refused:?}");
}

#[test]
fn a_search_that_is_cut_says_so_to_programs_and_its_list_stays_a_list() {
    let till = till();
    let told = till.run(&["find", "example", "--limit", "1", "--json"]);
    let found: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert!(told.err.starts_with("There are more"), "{told:?}");
    assert_eq!(till.json(&["find", "ana lima"]).1.as_array().unwrap().len(), 1);
}

#[test]
fn who_allowed_a_payment_is_shown_to_people() {
    let till = till();
    till.ok(&["credit", "2", "-12.50", "--override"]);
    till.ok(&["credit", "1", "1"]);
    let shown = till.ok(&["log", "2"]);
    assert!(shown.contains("pending, allowed by ana"), "{shown}");
    assert!(till.seen_at("60", &["log", "2"]).contains("pending, allowed by ana"));
    assert!(!till.ok(&["log", "1"]).contains("allowed"));
}

#[test]
fn a_sandbox_tells_its_settings_to_a_log_too_and_its_help_fits_a_narrow_terminal() {
    let till = empty_till();
    let mut sandbox = till.command(&["sandbox", "--port", "0"]);
    let mut sandbox = sandbox.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = |read: &mut dyn BufRead, until: &str| {
        let mut all = String::new();
        while !all.contains(until) && read.read_line(&mut all).unwrap() > 0 {}
        all
    };
    let document: Value =
        serde_json::from_str(&said(&mut BufReader::new(sandbox.stdout.take().unwrap()), "\n")).unwrap();
    let told = said(&mut BufReader::new(sandbox.stderr.take().unwrap()), "Ctrl-C");
    end(sandbox);
    let url = document["url"].as_str().unwrap();
    assert!(told.contains(&format!("export TILLSYNC_API_URL={url}\n")), "{told}");

    let help = till.seen_at("60", &["sandbox", "--help"]);
    let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 60, "{widest}\n{help}");
}

/// Tables and lists fold by themselves, and none is wider than the terminal.
#[test]
fn what_is_shown_fits_a_terminal_of_60_columns_and_of_100() {
    let till = till();
    till.conflict();
    till.rejection();
    till.ok(&["credit", "2", "-2.50"]);
    with_filters(|| {
        for columns in ["60", "100"] {
            let seen = |name: &str, arguments: &[&str]| {
                let text = till.seen_at(columns, arguments);
                let most: usize = columns.parse().unwrap();
                // A sentence is folded by the terminal, a table is not.
                let has_rule = text.contains('─');
                let tables = text.lines().filter(|line| !has_rule || line.starts_with('─'));
                let widest = tables.map(|line| line.chars().count()).max().unwrap();
                assert!(widest <= most, "{name}: {widest} columns\n{text}");
                // A time that is folded is found by no filter.
                let is_in_lines = (name, columns) == ("log", "60");
                if is_in_lines || !["log", "conflicts", "show"].contains(&name) {
                    insta::assert_snapshot!(format!("{name}_{columns}"), text);
                }
            };
            seen("status", &["status"]);
            seen("log", &["log"]);
            seen("conflicts", &["conflicts"]);
            seen("rejected", &["rejected"]);
            seen("find", &["find", "ben ok"]);
            seen("show", &["show", "2"]);
        }
    });
}

/// As cargo does it: on a terminal, unless somebody wants none; into a pipe only when asked for.
#[test]
fn colours_are_for_eyes_and_for_who_asks() {
    let till = till();
    let escapes = |arguments: &[&str], environment: &[(&str, &str)]| {
        let ran = ran(till.command(arguments).envs(environment.iter().copied()));
        (ran.out.contains('\u{1b}'), ran.err.contains('\u{1b}'))
    };
    for arguments in [&["find", "ben"][..], &["show", "abc"], &["show", "999"], &["--help"]] {
        let asked = |flag: &'static str| [arguments, &[flag]].concat();
        assert_eq!(escapes(arguments, &[]), (false, false), "{arguments:?}");
        let (out, err) = escapes(&asked("--color=always"), &[("NO_COLOR", "1")]);
        assert!(out != err, "{arguments:?}: {out} {err}");
        assert!(escapes(arguments, &[("CLICOLOR_FORCE", "1")]) == (out, err), "{arguments:?}");
        assert_eq!(
            escapes(&asked("--color=never"), &[("CLICOLOR_FORCE", "1")]),
            (false, false),
            "{arguments:?}"
        );
    }
    let document = till.seen(&["find", "ben", "--json", "--color", "always"]);
    assert!(!document.contains('\u{1b}'), "{document}");
    assert_eq!(till.run(&["status", "--color", "sometimes"]).status, 2);
}

/// What somebody typed into an app is nobody's business who lists programs.
#[test]
fn what_is_searched_for_is_read_from_standard_input_too() {
    let till = till();
    let found = till.run_with_input(&["find", "-", "--json"], "ben\n");
    assert_eq!((found.status, found.out), (0, till.ok(&["find", "ben", "--json"])));
    let none = till.run_with_input(&["find", "-", "--json"], "nobody-of-that-name");
    assert_eq!((none.status, none.out.trim()), (0, "[]"));
}

/// They stand once, at the top; every command takes them all the same, in front of it and behind it.
#[test]
fn settings_are_taken_in_front_of_a_command_and_behind_it() {
    let till = till();
    for arguments in [["--json", "status"], ["status", "--json"]] {
        let document: Value = serde_json::from_str(&till.ok(&arguments)).unwrap();
        assert_eq!(document["pending_fields"], 0, "{arguments:?}");
    }
    let completions = till.seen(&["completions", "bash"]);
    assert!(completions.contains("--store-hash"));
}

// ---- addresses -------------------------------------------------------------------------------------------------------

#[test]
fn addresses_are_listed_edited_by_their_number_and_sent() {
    let till = empty_till();
    till.sandbox.put_address(7, 1, &json!({}));
    till.sandbox.put_address(8, 1, &json!({ "company": "Reyes & Co" }));
    till.ok(&["pull", "--with", "addresses"]);
    assert_eq!(till.json(&["address", "edit", "7", "city=Bilbao", "phone=555"]), (0, json!({ "edited": 2 })));
    let (status, all) = till.json(&["address", "list", "1"]);
    assert_eq!(status, 0);
    assert_eq!(
        all[0],
        json!({
            "id": 7, "customer_id": 1, "first_name": "Ana", "last_name": "Reyes", "company": "",
            "address1": "Calle Mayor 7", "address2": "", "city": "Bilbao", "state_or_province": "Madrid",
            "postal_code": "28013", "country_code": "ES", "phone": "555", "address_type": "residential",
            "form_fields": [], "country": "Spain",
        })
    );
    assert_eq!(till.json(&["show", "1"]).1["addresses"], all);
    let shown = till.ok(&["show", "1"]);
    assert!(
        shown.contains("Addresses\n7   Ana Reyes, Calle Mayor 7, 28013 Bilbao, Madrid, ES, 555"),
        "{shown}"
    );
    assert_eq!(
        till.json(&["diff"]).1,
        json!([{ "id": 7, "customer_id": 1, "city": "Bilbao", "phone": "555" }])
    );
    let changes = till.ok(&["diff"]);
    assert!(changes.contains("address.7.city") && changes.contains("2 changes of 1 customer"), "{changes}");
    assert!(changes.contains("Madrid") && changes.contains("Bilbao"), "{changes}");
    assert_eq!(till.json(&["status"]).1["pending_fields"], json!(2));
    let (status, report) = till.json(&["sync"]);
    assert_eq!((status, &report["addresses"], &report["uploaded_customers"]), (0, &json!(1), &json!(0)));
    assert_eq!(till.sandbox.address(7).unwrap()["city"], "Bilbao");
    let (_, log) = till.json(&["log", "1"]);
    let told = log.as_array().unwrap().iter().map(|row| (&row["resource"], &row["row_id"], &row["outcome"]));
    let is_of_it = |row| row == (&json!("address"), &json!(7), &json!("uploaded"));
    assert!(told.clone().take(2).all(is_of_it), "{log}");
    till.ok(&["address", "edit", "8", "city=Sevilla"]);
    let words = till.ok(&["sync"]);
    assert!(words.contains("Sent 1 address."), "{words}");
}

#[test]
fn what_is_wrong_with_an_address_is_a_usage_error_that_says_what_to_do() {
    let till = empty_till();
    till.sandbox.put_address(7, 1, &json!({}));
    till.ok(&["pull", "--with", "addresses"]);
    for (words, said) in [
        (
            &["7", "colour=red"][..],
            "address 7: colour: is no attribute of an address; editable are first_name,",
        ),
        (&["7", "country=Spain"], "address 7: country: is read-only, the store sets it"),
        (&["7", "customer_id=2"], "address 7: customer_id: is read-only, it names the address"),
        (&["7", "country_code=Spain"], "address 7: country_code: must be two letters, such as ES"),
        (&["7", "address_type=castle"], "address 7: address_type: must be residential or commercial"),
        (&["99", "city=x"], "address 99: there is no such address in this file"),
        (&["7", "red"], "a field is written FIELD=VALUE"),
    ] {
        let ran = till.run(&[&["address", "edit"], words].concat());
        assert_eq!(ran.status, 2, "{words:?}: {ran:?}");
        assert!(ran.err.contains(said), "{words:?}: {}", ran.err);
    }
    assert_eq!(till.json(&["status"]).1["pending_fields"], json!(0));
    let other = self::till();
    for command in [&["address", "list", "1"][..], &["address", "edit", "7", "city=x"]] {
        let ran = other.run(command);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.err.contains("this file does not keep addresses"), "{}", ran.err);
        assert!(ran.err.contains("pull --with addresses"), "{}", ran.err);
    }
    assert_eq!(other.json(&["show", "1"]).1.get("addresses"), None);
}

// ---- attributes ------------------------------------------------------------------------------------------------------

/// A till that keeps what the shop has defined: a size, which is a number, and a tier, which customer 1 has.
fn till_of_attributes() -> Till {
    let till = empty_till();
    till.sandbox.define_attribute(3, "shoe size", "number");
    till.sandbox.define_attribute(4, "tier=", "string");
    till.sandbox.put_attribute_value(1, 4, "silver");
    till.ok(&["pull", "--with", "attributes"]);
    till
}

#[test]
fn attributes_are_listed_set_by_name_or_number_and_sent() {
    let till = till_of_attributes();
    let definitions = json!([
        { "id": 3, "name": "shoe size", "type": "number" }, { "id": 4, "name": "tier=", "type": "string" },
    ]);
    assert_eq!(till.json(&["attribute", "list"]), (0, definitions));
    assert_eq!(
        till.json(&["attribute", "set", "1", "shoe size=41", "tier==gold"]),
        (0, json!({ "edited": 2 }))
    );
    assert_eq!(till.json(&["attribute", "set", "1", "3=42"]), (0, json!({ "edited": 1 })));
    let values = json!([
        { "customer_id": 1, "attribute_id": 3, "name": "shoe size", "type": "number", "value": "42" },
        { "customer_id": 1, "attribute_id": 4, "name": "tier=", "type": "string", "value": "gold" },
    ]);
    assert_eq!(till.json(&["attribute", "list", "1"]), (0, values.clone()));
    assert_eq!(till.json(&["show", "1"]).1["attributes"], values);
    let sent = json!([
        { "customer_id": 1, "attribute_id": 4, "value": "gold" }, { "customer_id": 1, "attribute_id": 3, "value": "42" },
    ]);
    let sent = |(_, shown): (i32, Value)| {
        let mut all = shown.as_array().unwrap().clone();
        all.sort_by_key(|one| std::cmp::Reverse(one["attribute_id"].as_i64()));
        assert_eq!(json!(all), sent);
    };
    sent(till.json(&["diff"]));
    sent(till.json(&["diff", "1"]));
    assert_eq!(till.json(&["diff", "2"]).1, json!([]));
    let shown = till.ok(&["diff"]);
    assert!(
        shown.contains("attribute_value.4.value") && shown.contains("2 changes of 1 customer"),
        "{shown}"
    );
    till.ok(&["edit", "1", "phone=1"]);
    assert_eq!(till.json(&["push", "--dry-run"]).1["batches"].as_array().unwrap().len(), 2);
    till.ok(&["discard", "1", "phone"]);
    let (status, report) = till.json(&["sync"]);
    assert_eq!(
        (status, &report["attribute_values"], &report["uploaded_customers"]),
        (0, &json!(2), &json!(0))
    );
    assert_eq!(till.sandbox.attribute_value(1, 3).as_deref(), Some("42"));
    let (_, log) = till.json(&["log", "1"]);
    let told: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["resource"], &row["row_id"], &row["outcome"]))
        .collect();
    let of = json!("attribute_value");
    let [superseded, uploaded] = [json!("superseded"), json!("uploaded")];
    let of_values = [(&of, &json!(3), &superseded), (&of, &json!(4), &uploaded), (&of, &json!(3), &uploaded)];
    assert_eq!(told[..3], of_values);
    assert_eq!(told[3].0, &json!("customer"));
    assert_eq!(till.ok(&["attribute", "list", "1"]).trim(), "shoe size   42\ntier=       gold");
}

/// Where a name is the beginning of another one, the longest that fits is meant.
#[test]
fn of_two_names_that_fit_the_longest_is_meant() {
    let till = till_of_attributes();
    for (id, name) in [(5, "size"), (6, "size=eu")] {
        till.sandbox.define_attribute(id, name, "string");
    }
    till.ok(&["pull"]);
    till.ok(&["attribute", "set", "1", "size=eu=42", "size=XL"]);
    let (_, values) = till.json(&["attribute", "list", "1"]);
    let set = |id: i64| {
        values.as_array().unwrap().iter().find(|one| one["attribute_id"] == id).unwrap()["value"].clone()
    };
    assert_eq!((set(6), set(5)), (json!("42"), json!("XL")));
}

#[test]
fn what_is_wrong_with_an_attribute_is_a_usage_error_that_says_what_to_do() {
    let till = till_of_attributes();
    for (words, said) in [
        (&["1", "colour=red"][..], "colour: no such attribute in this file"),
        (&["1", "9=red"], "9: no such attribute in this file"),
        (&["1", "red"], "a value is written NAME=VALUE"),
        (
            &["1", "shoe size=large"],
            "attribute_value 3: value: must be a number, such as 12.5: shoe size is one",
        ),
        (&["99", "3=1"], "no such customer in this file"),
    ] {
        let ran = till.run(&[&["attribute", "set"], words].concat());
        assert_eq!(ran.status, 2, "{words:?}: {ran:?}");
        assert!(ran.err.contains(said), "{words:?}: {}", ran.err);
    }
    let other = self::till();
    for command in [&["attribute", "list"][..], &["attribute", "set", "1", "3=1"]] {
        let ran = other.run(command);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(
            ran.err.contains("this file does not keep attributes")
                && ran.err.contains("pull --with attributes"),
            "{}",
            ran.err
        );
    }
    assert_eq!(other.json(&["show", "1"]).1.get("attributes"), None);
    let ran = other.run(&["pull", "--with", "adresses"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.err.contains("it may keep addresses, attributes"), "{}", ran.err);
}

#[test]
fn a_conflict_about_a_value_is_named_and_decided_by_its_word() {
    let till = till_of_attributes();
    till.ok(&["attribute", "set", "1", "4=gold"]);
    till.sandbox.put_attribute_value(1, 4, "bronze");
    assert_eq!(till.run(&["sync"]).status, 3);
    let (_, conflicts) = till.json(&["conflicts"]);
    let one = &conflicts[0];
    assert_eq!(
        (&one["field"], &one["resource"], &one["row_id"]),
        (&json!("attribute_value.4.value"), &json!("attribute_value"), &json!(4))
    );
    till.ok(&["conflicts"]);
    till.ok(&["resolve", "1", "attribute_value.4.value", "--keep", "local"]);
    till.ok(&["sync"]);
    assert_eq!(till.sandbox.attribute_value(1, 4).as_deref(), Some("gold"));
    till.sandbox.set_behaviours("value-at-most=8".parse().unwrap());
    till.ok(&["attribute", "set", "1", "4=platinum and more"]);
    assert_eq!(till.run(&["sync"]).status, 3);
    assert_eq!(till.json(&["rejected"]).1[0]["field"], json!("attribute_value.4.value"));
    till.ok(&["discard", "1", "attribute_value.4.value"]);
    assert_eq!(till.json(&["attribute", "list", "1"]).1[0]["value"], json!("gold"));
}
