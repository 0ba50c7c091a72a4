//! A store that repeats a new password, in whatever place and spelling: it is in nothing that is kept, and told to nobody.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests fail the test

mod common;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use common::odd::{Kind, Odd, Told};
use common::{Till, till};
use serde_json::{Value, json};
use tillsync::rusqlite::types::ValueRef;

const SECRET: &str = "zqxjü \"2\" & <co>";
/// The same as JSON, as HTML and in a query.
const SPELLINGS: [&str; 4] = [
    SECRET,
    "zqxj\\u00fc \\\"2\\\" & <co>",
    "zqxjü &quot;2&quot; &amp; &lt;co&gt;",
    "zqxj%C3%BC%20%222%22+%26+%3Cco%3E",
];
/// A part that stands in every spelling, and in nothing else.
const TRACE: &str = "zqxj";

/// All that is in the file, but for the place in which a password waits; passwords that settled are not there either.
fn everything_kept(till: &Till) -> String {
    let mut store = till.store();
    let connection = store.connection();
    let mut all = String::new();
    let tables = ["snapshot", "customer", "journal", "conflict", "batch", "batch_item", "state"];
    for table in tables.into_iter().chain(["tillsync_attempt", "tillsync_syncs"]) {
        let mut rows = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for at in 0..columns {
                all += &match row.get_ref(at).unwrap() {
                    ValueRef::Text(text) => format!("{} ", String::from_utf8_lossy(text)),
                    other => format!("{other:?} "),
                };
            }
        }
    }
    all
}

/// What a sync over this line keeps and tells.
fn after_sync(till: &Till, odd: &Odd) -> String {
    till.store().edit(1).set("new_password", SECRET).set("phone", "555-0142").commit().unwrap();
    let mut over = till.through(odd);
    let upload = &mut over.options.upload;
    (upload.retry.read_base_ms, upload.retry.write_base_ms, upload.grace_ms, upload.retry.tries) =
        (1, 1, 1, 2);
    let told = Arc::new(Mutex::new(String::new()));
    let events = told.clone();
    let mut engine = over.engine().on_event(move |event| *events.lock().unwrap() += &format!("{event:?}\n"));
    let report = engine.sync();
    let told = told.lock().unwrap();
    format!("{}\n{told}\n{report:?}\n{:?}", everything_kept(till), till.store().rejected().unwrap())
}

#[test]
fn a_store_that_quotes_a_password_is_not_quoted() {
    for spelled in SPELLINGS {
        let body = |status: u16| {
            let message = format!("the password {spelled} is too weak");
            match status {
                // Valid JSON whatever the spelling.
                422 => json!({"status": 422, "title": &message, "errors": {"0.authentication.new_password": message}}).to_string(),
                400 => json!({"status": 400, "title": &message, "errors": {}}).to_string(),
                409 => json!({"status": 409, "detail": [message]}).to_string(),
                200 => json!({"data": message}).to_string(),
                _ => format!("<html>{}{message}", "x".repeat(100)),
            }
        };
        for status in [422, 400, 409, 200, 500, 503, 413, 403] {
            let (till, text) = (till(3), body(status));
            let (met, seen) = std::sync::mpsc::channel();
            let odd = Odd::before(&till.sandbox).before_store(move |asked| {
                let has_password = asked.json().to_string().contains("new_password");
                (asked.is_put() && has_password).then(|| {
                    _ = met.send(());
                    Told::text(status, "application/json", &text)
                })
            });
            let kept = after_sync(&till, &odd);
            assert!(seen.try_recv().is_ok(), "{status}, {spelled}: the password never left");
            assert!(!kept.contains(TRACE), "{status}, {spelled}: {kept}");
        }
    }
}

#[test]
fn a_store_that_echoes_a_password_leaves_none_in_the_file() {
    let till = till(3);
    let echo = json!({"force_password_reset": false, "new_password": SECRET});
    let odd = Odd::before(&till.sandbox).answer(move |_, told| {
        told.edit(|body| {
            for customer in body["data"].as_array_mut().into_iter().flatten() {
                customer["authentication"] = echo.clone();
            }
        });
    });
    let kept = after_sync(&till, &odd);
    assert!(kept.contains("force_password_reset") && !kept.contains(TRACE), "{kept}");
    till.through(&odd).engine().pull(tillsync::Extent::Full).unwrap();
    assert!(!everything_kept(&till).contains(TRACE));
    assert_eq!(till.outcomes(1, "new_password"), ["uploaded"]);
    let shown = String::from_utf8(till.command(["show", "1"]).output().unwrap().stdout).unwrap();
    assert!(shown.contains("force_password_reset") && !shown.contains(TRACE), "{shown}");
}

/// A store in development repeats what it was sent, somewhere in the record, or in that of another customer of the call.
#[test]
fn a_record_that_quotes_a_password_is_taken_in_without_that() {
    type Put = fn(&mut Value);
    let shapes: [(&str, Put); 9] = [
        ("an object", |customer| customer["debug"] = json!({"pw": SECRET})),
        ("the request", |customer| {
            customer["received"] = json!({"authentication": {"new_password": SECRET}})
        }),
        ("a list", |customer| customer["seen"] = json!([1, [SECRET]])),
        ("a key", |customer| customer[SECRET] = json!(1)),
        ("JSON as text", |customer| customer["raw"] = json!(json!({"new_password": SECRET}).to_string())),
        ("base64", |customer| customer["basic"] = json!("enF4asO8ICIyIiAmIDxjbz4=")),
        ("inside authentication", |customer| customer["authentication"]["was"] = json!(SECRET)),
        ("the notes", |customer| customer["notes"] = json!(format!("your password is {SECRET}"))),
        ("what was sent beside it", |customer| customer["phone"] = json!(format!("555-0142 {SECRET}"))),
    ];
    for (name, put) in shapes {
        let till = till(3);
        till.set(2, "company", "Reyes");
        let odd = Odd::before(&till.sandbox).every(Kind::Put, move |told| {
            told.customers(|all| all.iter_mut().for_each(put));
        });
        let kept = after_sync(&till, &odd);
        assert!(!kept.contains(TRACE) && !kept.contains("enF4as"), "{name}: {kept}");
        assert_eq!(
            (till.outcomes(1, "new_password"), till.outcomes(2, "company")),
            (vec!["uploaded".into()], vec!["uploaded".into()]),
            "{name}"
        );
        assert_eq!(till.local(1, "phone"), r#""555-0142""#, "{name}");
        odd.calm();
        till.engine().sync().unwrap();
        assert_eq!(till.remote_value(1, "phone"), r#""555-0142""#, "{name}");
    }
    // What the till itself wrote is no quotation.
    let till = till(3);
    let note = format!("told her: {SECRET}");
    till.set(1, "notes", &note);
    till.store().edit(1).set("new_password", SECRET).commit().unwrap();
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 2);
    assert_eq!(
        (till.local(1, "notes"), till.outcomes(1, "notes")),
        (json!(note).to_string(), vec!["uploaded".into()])
    );
}

/// Staff wrote it down before it was set: that is theirs, and what a till does with it is an edit like any other.
#[test]
fn a_note_that_named_the_password_before_is_no_quotation() {
    let till = till(3);
    till.office(1, json!({"notes": format!("a regular\nnew password {SECRET}, told by phone")}));
    till.engine().sync().unwrap();
    till.store().edit(1).set("new_password", SECRET).set("notes", "a regular").commit().unwrap();
    // It comes in once more, with news.
    till.office(1, json!({"company": "Acme"}));
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 2);
    assert_eq!(till.outcomes(1, "notes"), ["uploaded"]);
    assert_eq!([till.local(1, "notes"), till.remote_value(1, "notes")], ["\"a regular\"", "\"a regular\""]);

    // A yes that shows it as it was is seen to be none.
    let till = self::till(3);
    let note = format!("new password {SECRET}, told by phone");
    till.office(1, json!({"notes": &note}));
    till.engine().sync().unwrap();
    till.store().edit(1).set("new_password", SECRET).set("notes", "a regular").commit().unwrap();
    let odd = Odd::before(&till.sandbox).every(Kind::Put, move |told| {
        told.customers(|all| all.iter_mut().for_each(|customer| customer["notes"] = json!(&note)));
    });
    till.through(&odd).engine().sync().unwrap();
    assert_eq!(till.local(1, "notes"), "\"a regular\"");
}

/// It may have arrived, so the store may know it.
#[test]
fn a_password_in_doubt_is_not_quoted_when_another_was_set_since() {
    let (said, debug) = ("like the last one", json!({"was": [SECRET]}));
    for lost in [Told::dropped(), Told::empty(503)] {
        for is_refused in [true, false] {
            let till = till(3);
            let is_first = Arc::new(AtomicBool::new(true));
            let (first, lost, debug) = (is_first.clone(), lost.clone(), debug.clone());
            let odd = Odd::before(&till.sandbox)
                .before_store(move |asked| match (asked.is_put(), first.load(SeqCst)) {
                    (true, true) => Some(lost.clone()),
                    (true, false) if is_refused => {
                        let words = format!("qrtv-4711 is {said}, {SECRET}");
                        let errors = json!({"0.authentication.new_password": words});
                        Some(Told::json_of(422, &json!({"status": 422, "title": words, "errors": errors})))
                    }
                    _ => None,
                })
                .every(Kind::Put, move |told| told.customer(1, |ana| ana["debug"] = debug.clone()));
            let mut over = till.through(&odd);
            let upload = &mut over.options.upload;
            (upload.retry.write_base_ms, upload.grace_ms, upload.retry.tries) = (1, 1, 2);
            till.store().edit(1).set("new_password", SECRET).set("phone", "555-0142").commit().unwrap();
            over.engine().sync().unwrap_err();
            till.store().edit(1).set("new_password", "qrtv-4711").commit().unwrap();
            is_first.store(false, SeqCst);
            over.engine().sync().unwrap();
            let rejected = till.store().rejected().unwrap();
            assert_eq!(rejected.is_empty(), !is_refused);
            let kept = format!("{}{rejected:?}", everything_kept(&till));
            assert!(kept.contains(said) == is_refused, "{kept}");
            assert!(!kept.contains(TRACE) && !kept.contains("qrtv"), "{kept}");
        }
    }
}

/// A worker holds the token for as long as it runs.
#[cfg(unix)]
#[test]
fn the_command_leaves_no_core_dump_whatever_its_surroundings_allow() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    let till = till(1);
    let dumps = |program: &str, arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let line = "ulimit -c unlimited; exec \"$0\" \"$@\"";
        command.args(["-c", line, program]).args(arguments).current_dir(folder.path());
        let like = till.command([]);
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        let killed = Command::new("kill").args(["-ABRT", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let ended = child.wait().unwrap();
        assert_eq!(ended.signal(), Some(6));
        ended.core_dumped()
    };
    if !dumps("sh", &["-c", "echo ready; read line"]) {
        return println!("this system makes no core dumps");
    }
    assert!(!dumps(env!("CARGO_BIN_EXE_tillsync"), &["worker", "--json"]));
}

/// A store, or what stands before it, that repeats the token in whatever it answers, to a look or to an update.
#[test]
fn the_token_is_in_nothing_that_is_kept_or_told() {
    for is_update in [false, true] {
        for status in [200, 400, 401, 403, 404, 409, 413, 422, 423, 500, 503] {
            let till = till(3);
            let token = till.sandbox.token().to_owned();
            assert!(token.len() >= 8);
            let text = match status {
                422 => {
                    json!({"title": format!("not for {token}"), "errors": {"0.phone": token.to_uppercase()}})
                        .to_string()
                }
                _ => format!("<html>X-Auth-Token: {token} is {}", token.replace('-', "%2D")),
            };
            let (met, seen) = std::sync::mpsc::channel();
            let odd = Odd::before(&till.sandbox).before_store(move |asked| {
                (asked.is_put() == is_update).then(|| {
                    _ = met.send(());
                    Told::text(status, "text/html", &text)
                })
            });
            let kept = after_sync(&till, &odd);
            let status = format!("{status} to an update: {is_update}");
            let kept = kept.to_lowercase();
            assert!(!kept.contains(&token.to_lowercase()) && !kept.contains("%2dtoken"), "{status}: {kept}");
            assert!(seen.try_recv().is_ok(), "{status}: nothing was told");
        }
    }
}
