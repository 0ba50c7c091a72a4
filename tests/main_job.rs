//! The main job over real HTTP: edit offline, sync, see it arrive.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Till, sandbox, soon, till};
use serde_json::{Value, json};
use tillsync::{CustomerId, Extent, Store};

#[test]
fn an_edit_arrives_as_the_smallest_payload_and_a_second_sync_makes_no_call() {
    let till = till(20);
    till.set(3, "phone", "555-0199");
    till.set(3, "notes", "rings twice");
    till.set(4, "customer_group_id", "7");
    let report = till.engine().sync().unwrap();
    assert_eq!((report.uploaded_customers, report.uploaded_fields, report.requests.put), (2, 3, 1));
    assert_eq!(
        till.puts(),
        [r#"[{"id":3,"phone":"555-0199","notes":"rings twice"},{"id":4,"customer_group_id":7}]"#]
    );
    assert_eq!(till.remote_value(3, "phone"), r#""555-0199""#);
    assert_eq!(till.outcomes(3, "phone"), ["uploaded"]);
    assert_eq!(till.local(3, "date_modified"), till.remote_value(3, "date_modified"));
    let again = till.engine().sync().unwrap();
    assert_eq!((again.requests.get, again.requests.put), (1, 0));
    till.assert_no_violations();
}

#[test]
fn two_thousand_of_ten_thousand_go_up_in_two_hundred_calls_three_at_once() {
    let till = till(10_000);
    till.sandbox.set_latency_ms(20);
    let ids: Vec<i64> = till.sandbox.ids().iter().step_by(5).map(|id| i64::from(*id)).collect();
    let mut store = till.store();
    let accepts = "accepts_product_review_abandoned_cart_emails";
    let before: Vec<Value> = ids.iter().map(|id| row(&store, *id)).collect();
    let opposite = |value: &Value| (value != &json!(true)).to_string();
    let edits = |n: usize| -> Vec<(&'static str, String)> {
        match n % 11 {
            0 => vec![("email", format!("new{n}@example.com"))],
            1 => vec![("first_name", format!("Анна {n}"))],
            2 => vec![("last_name", format!("Ünal {n}")), ("company", format!("株式会社 {n}"))],
            3 => vec![("phone", format!("+49 {n}"))],
            4 => vec![("notes", format!("line 1\nline {n}"))],
            5 => vec![("tax_exempt_category", format!("T{n}")), ("customer_group_id", format!("{}", n + 10))],
            6 => vec![(accepts, opposite(&before[n][accepts])), ("company", format!("x{n}"))],
            7 => vec![
                ("force_password_reset", opposite(&before[n]["authentication"]["force_password_reset"])),
                ("phone", format!("y{n}")),
            ],
            8 => vec![("store_credit_amounts", format!("[{{\"amount\":{n}.{:02}}}]", n % 99 + 1))],
            9 => vec![("channel_ids", format!("[1,{}]", n + 2))],
            _ => vec![(
                "form_fields",
                format!("[{{\"name\":\"size\",\"value\":\"{n}\"}},{{\"name\":\"n\",\"value\":{n}}}]"),
            )],
        }
    };
    for (n, id) in ids.iter().enumerate() {
        let mut edit = store.edit(*id);
        for (field, value) in edits(n) {
            edit = edit.set(field, &value);
        }
        assert!(edit.commit().unwrap().fields() > 0, "customer {id}: {:?}", edits(n));
    }
    let report = till.engine().sync().unwrap();
    assert_eq!((report.uploaded_customers, report.requests.put), (2_000, 200));
    assert_eq!(till.sandbox.stats().peak_concurrent_updates, 3);
    for body in till.puts() {
        for object in serde_json::from_str::<Vec<serde_json::Map<String, Value>>>(&body).unwrap() {
            let n = ids.iter().position(|id| json!(id) == object["id"]).unwrap();
            assert_eq!(object.len(), 1 + edits(n).len(), "{object:?}");
        }
    }
    for id in &ids {
        let (local, remote) = (row(&store, *id), till.sandbox.customer(*id as i32).unwrap());
        for field in [
            "email",
            "first_name",
            "last_name",
            "company",
            "phone",
            "notes",
            "tax_exempt_category",
            "channel_ids",
            "customer_group_id",
            "authentication",
            accepts,
        ] {
            assert_eq!(local[field], remote[field], "customer {id}: {field}");
        }
    }
    let amount = |customer: &Value| customer["store_credit_amounts"][0]["amount"].as_f64();
    for id in &ids {
        assert_eq!(
            amount(&row(&store, *id)),
            amount(&till.sandbox.customer(*id as i32).unwrap()),
            "customer {id}"
        );
    }
    let again = till.engine().sync().unwrap();
    assert_eq!(again.requests.put, 0);
    assert_eq!(till.store().status().unwrap().pending_fields, 0);
    till.assert_no_violations();
}

/// The working copy of a customer.
fn row(store: &Store, id: i64) -> Value {
    serde_json::from_str(&store.get(id).unwrap().unwrap().to_json()).unwrap()
}

#[test]
fn an_edit_taken_back_or_set_to_the_servers_value_makes_no_call() {
    let till = till(5);
    let phone: String = serde_json::from_str(&till.local(2, "phone")).unwrap();
    till.set(2, "phone", "1");
    till.set(2, "phone", &phone);
    till.sandbox.edit(3, json!({"company": "Same Ltd"}));
    till.set(3, "company", "Same Ltd");
    let report = till.engine().sync().unwrap();
    assert_eq!(report.requests.put, 0);
    assert_eq!(till.outcomes(2, "phone"), ["superseded", "unchanged"]);
    assert_eq!(till.outcomes(3, "company"), ["unchanged"]);
}

#[test]
fn money_arrives_to_the_cent() {
    let till = till(5);
    for (id, amount) in [(1, "43.15"), (2, "999999999.99"), (3, "0.1")] {
        till.set(id, "store_credit_amounts", &format!("[{{\"amount\":{amount}}}]"));
    }
    till.engine().sync().unwrap();
    till.store().edit(3).adjust_credit("0.2".parse().unwrap()).commit().unwrap();
    till.engine().sync().unwrap();
    for (id, amount) in [(1, "43.15"), (2, "999999999.99"), (3, "0.3")] {
        let text = till.sandbox.customer_text(id).unwrap();
        assert!(text.contains(&format!("\"store_credit_amounts\":[{{\"amount\":{amount}}}]")), "{text}");
    }
    till.assert_no_violations();
}

#[test]
fn a_password_and_the_token_leave_no_trace() {
    let till = till(5);
    till.store().edit(2).set("new_password", "correct horse battery").commit().unwrap();
    assert!(bytes_of(&till).contains("correct horse battery"), "it waits in the file until the sync");
    assert_eq!(till.outcomes(2, "new_password"), ["pending"]);
    assert_eq!(till.store().diff(&[]).unwrap(), [r#"{"id":2,"authentication":{"new_password":"***"}}"#]);
    till.engine().sync().unwrap();
    assert_eq!(till.sandbox.last_password(2).as_deref(), Some("correct horse battery"));
    let bytes = bytes_of(&till);
    assert!(!bytes.contains("correct horse"), "the password is still in the file");
    assert!(!bytes.contains(till.sandbox.token()), "the token is in the file");
    till.assert_no_violations();
}

/// Everything in the till's folder, as text.
fn bytes_of(till: &Till) -> String {
    let files = std::fs::read_dir(till.folder.path()).unwrap();
    files
        .map(|file| String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned())
        .collect()
}

#[test]
fn attributes_that_nobody_knows_survive_verbatim() {
    let till = till(3);
    till.sandbox.edit_text(2, r#"{"loyalty":{"tier":"gold","points":[1.50,2]}}"#).unwrap();
    till.engine().pull(Extent::Changes).unwrap();
    till.set(2, "phone", "1");
    till.engine().sync().unwrap();
    let snapshot = till.store().snapshot(2).unwrap().unwrap();
    assert!(
        snapshot.body().contains(r#""loyalty":{"tier":"gold","points":[1.50,2]}"#),
        "{}",
        snapshot.body()
    );
}

#[test]
fn a_full_pull_finds_deletions_and_a_cut_one_goes_on_where_it_was() {
    let till = Till::new(sandbox(1_000));
    till.sandbox.script([
        tillsync::sandbox::Fault::None,
        tillsync::sandbox::Fault::None,
        "reset".parse().unwrap(),
    ]);
    let mut engine = till.engine();
    engine.pull(Extent::Changes).unwrap();
    assert_eq!(till.store().status().unwrap().snapshot_customers, 1_000);

    let ids = till.sandbox.ids();
    till.sandbox.delete(ids[10]);
    till.sandbox.delete(ids[500]);
    assert_eq!(engine.pull(Extent::Changes).unwrap().deleted, 0);
    let report = engine.pull(Extent::Full).unwrap();
    assert_eq!((report.deleted, report.pulled), (2, 0));
    assert_eq!(till.store().get(i64::from(ids[10])).unwrap(), None);
}

#[test]
fn a_later_edit_stays_pending_while_an_earlier_one_is_on_its_way() {
    let till = till(3);
    till.set(1, "phone", "first");
    let (path, mut sent) = (till.path.clone(), false);
    let mut engine = till.engine().on_progress(move |progress| {
        // The answer is settled by now; what is edited here has a later place in the journal.
        if matches!(progress, tillsync::Progress::Uploaded { .. }) && !std::mem::replace(&mut sent, true) {
            tillsync::Store::open(&path).unwrap().edit(1).set("phone", "second").commit().unwrap();
        }
    });
    engine.sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), r#""first""#);
    assert_eq!(till.outcomes(1, "phone"), ["uploaded", "pending"]);
    engine.sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), r#""second""#);
}

#[test]
fn one_sync_a_file_at_a_time() {
    let till = till(3);
    till.sandbox.set_latency_ms(2_000);
    let mut first = till.engine();
    let running = std::thread::spawn(move || first.sync().map(drop));
    soon(|| till.store().is_syncing().unwrap());
    let error = till.engine().sync().unwrap_err();
    assert!(error.is_busy(), "{error}");
    running.join().unwrap().unwrap();
    till.sandbox.set_latency_ms(0);
    till.engine().sync().unwrap();
}

#[test]
fn without_a_network_every_edit_is_kept() {
    let till = till(3);
    till.sandbox.cut();
    till.set(1, "phone", "1");
    let error = till.engine().sync().unwrap_err();
    assert!(error.is_offline() && error.code() == "offline", "{error}");
    assert_eq!(till.outcomes(1, "phone"), ["pending"]);
    till.sandbox.heal().unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), r#""1""#);
    assert_eq!(till.store().journal(Some(CustomerId(1))).unwrap().len(), 1);
}
