//! A till that has nothing but SQL decides what waits for a person: it writes what it decides, and the library carries it out when it
//! next looks, without a network.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::time::Duration;

use common::odd::{Odd, Told};
use common::{Till, soon, till};
use rusqlite::Connection;
use serde_json::json;
use tillsync::{Keep, Syncer, SyncerOptions};

fn app(till: &Till) -> Connection {
    Connection::open(&till.path).unwrap()
}

/// The name of what waits of a customer, and what it is.
fn shown(app: &Connection, id: i64) -> (String, String) {
    let sql = "SELECT seen, kind || ' ' || field || ' ' || coalesce(local, '') || ' ' || coalesce(remote, '') FROM to_decide
               WHERE customer_id = ?1 ORDER BY id DESC LIMIT 1";
    app.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

fn decides(app: &Connection, seen: &str, keep: &str, value: Option<&str>) -> rusqlite::Result<usize> {
    let decide = "INSERT INTO decision (seen, keep, value, author) VALUES (?1, ?2, ?3, 'ana')";
    app.execute(decide, (seen, keep, value))
}

fn came_of_it(app: &Connection) -> Vec<String> {
    let mut all = app.prepare("SELECT coalesce(outcome, 'waits') FROM decision ORDER BY id").unwrap();
    all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Customers 1 to `count` have a phone that both sides changed.
fn in_conflict(count: i64) -> Till {
    let till = till(8);
    for id in 1..=count {
        till.set(id, "phone", "ours");
        till.office(id, json!({"phone": "theirs"}));
    }
    till.engine().sync().unwrap();
    assert_eq!(till.store().status().unwrap().conflicts, count as u64);
    till
}

#[test]
fn every_way_to_decide_a_conflict_is_there_in_sql() {
    let till = in_conflict(4);
    let app = app(&till);
    for (id, keep, value) in
        [(1, "local", None), (2, "remote", None), (3, "value", Some("555-0142")), (4, "discard", None)]
    {
        let (seen, what) = shown(&app, id);
        assert_eq!(what, "conflict phone \"ours\" \"theirs\"");
        decides(&app, &seen, keep, value).unwrap();
    }
    assert_eq!(till.store().carry_out_decisions().unwrap(), 4);
    assert_eq!(came_of_it(&app), ["done"; 4]);
    assert_eq!(till.store().status().unwrap().conflicts, 0);
    let phones: Vec<_> = (1..=4).map(|id| till.local(id, "phone")).collect();
    assert_eq!(phones, ["\"ours\"", "\"theirs\"", "\"555-0142\"", "\"theirs\""]);
    let by: String = app.query_row("SELECT min(resolved_by) FROM conflict", [], |row| row.get(0)).unwrap();
    assert_eq!(by, "ana");
    till.engine().sync().unwrap();
    let phones: Vec<_> = (1..=4).map(|id| till.remote_value(id, "phone")).collect();
    assert_eq!(phones, ["\"ours\"", "\"theirs\"", "\"555-0142\"", "\"theirs\""]);
}

#[test]
fn a_refused_edit_is_sent_again_or_given_up() {
    let till = till(8);
    let taken = till.local(5, "email");
    for id in [1, 2] {
        till.set(id, "email", taken.trim_matches('"'));
    }
    till.engine().sync().unwrap();
    let app = app(&till);
    assert_eq!(shown(&app, 1).1.split(' ').next(), Some("rejected"));
    decides(&app, &shown(&app, 1).0, "retry", None).unwrap();
    decides(&app, &shown(&app, 2).0, "discard", None).unwrap();
    // A sync looks too, before it begins: the address is free by then.
    till.office(5, json!({"email": "elsewhere@example.com"}));
    till.engine().sync().unwrap();
    assert_eq!(came_of_it(&app), ["done", "done"]);
    assert_eq!(till.remote_value(1, "email"), taken);
    assert_eq!(till.outcomes(2, "email"), ["discarded"]);
}

#[test]
fn a_refused_edit_is_not_sent_again_in_the_name_of_a_newer_one() {
    let till = till(8);
    let taken = |id: i64| till.local(id, "email").trim_matches('"').to_owned();
    till.set(1, "email", &taken(5));
    till.engine().sync().unwrap();
    let first = till.store().rejected().unwrap()[0].seq;
    let refused = |seq| till.store().retry_row(seq).unwrap_err().to_string();
    // A newer one waits: that is sent, by itself.
    till.set(1, "email", &taken(6));
    assert!(refused(first).contains("sent by itself"), "{}", refused(first));
    till.engine().sync().unwrap();
    assert_eq!(till.outcomes(1, "email"), ["rejected", "rejected"]);
    // It was refused, too.
    let newest = till.store().rejected().unwrap()[1].seq;
    assert!(refused(first).contains(&format!("edit {newest} is what counts")), "{}", refused(first));
    let app = app(&till);
    let decide = "INSERT INTO decision (seen, keep) VALUES (json_array('rejected', ?1), 'retry')";
    app.execute(decide, [first.0]).unwrap();
    assert_eq!(till.store().carry_out_decisions().unwrap(), 0);
    till.office(6, json!({"email": "elsewhere@example.com"}));
    till.store().retry_row(newest).unwrap();
    let wanted = till.local(1, "email");
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "email"), wanted);
    assert!(till.store().rejected().unwrap().is_empty());
}

#[test]
fn what_has_moved_on_since_it_was_seen_is_not_decided() {
    let till = in_conflict(2);
    let app = app(&till);
    let (seen, _) = shown(&app, 1);
    // Before it is written.
    till.office(1, json!({"phone": "theirs, once more"}));
    till.engine().sync().unwrap();
    let refused = decides(&app, &seen, "local", None).unwrap_err().to_string();
    assert!(refused.contains("what was seen has moved on"), "{refused}");
    // And after that.
    decides(&app, &shown(&app, 2).0, "local", None).unwrap();
    till.store().resolve(2, "phone", &tillsync::Keep::Remote, None).unwrap();
    assert_eq!(till.store().carry_out_decisions().unwrap(), 0);
    assert_eq!(came_of_it(&app), ["refused"]);
    assert_eq!(till.local(2, "phone"), "\"theirs\"");
    // An edit that is newer than what was seen waits with it, and shows.
    let (older, _) = shown(&app, 1);
    decides(&app, &older, "remote", None).unwrap();
    till.set(1, "phone", "newer");
    till.store().carry_out_decisions().unwrap();
    assert_eq!(till.local(1, "phone"), "\"newer\"");
    assert_eq!(came_of_it(&app), ["refused", "refused"]);
    assert!(decides(&app, &older, "remote", None).is_err());
    let (seen, what) = shown(&app, 1);
    assert_eq!(what, "conflict phone \"newer\" \"theirs, once more\"");
    decides(&app, &seen, "remote", None).unwrap();
    assert_eq!(till.store().carry_out_decisions().unwrap(), 1);
    till.engine().sync().unwrap();
    assert_eq!([till.local(1, "phone"), till.remote_value(1, "phone")], ["\"theirs, once more\""; 2]);
}

/// The view and the library say the same of what was edited since a conflict was found, whatever it is about.
#[test]
fn what_was_set_since_shows_in_the_view_as_in_the_library() {
    let till = till(6);
    let money = |amount: f64| json!([{"amount": amount}]);
    let forms = |size: &str| json!([{"name": "size", "value": size}, {"name": "n", "value": [size, "ü\"\n"]}, {"name": "old", "value": 1.50}]);
    let all =
        json!({"phone": "0", "store_credit_amounts": money(50.0), "form_fields": forms("M"), "notes": "a"});
    (1..=2).for_each(|id| till.office(id, all.clone()));
    till.engine().pull(tillsync::Extent::Full).unwrap();
    let edit = |id: i64, word: &str, amount: f64| {
        till.set(id, "phone", word);
        till.set(id, "store_credit_amounts", &money(amount).to_string());
        till.set(id, "form_fields", &forms(word).to_string());
        till.set(id, "notes", word);
    };
    (1..=2).for_each(|id| edit(id, "L", 100.0));
    till.office(
        1,
        json!({"phone": "9", "store_credit_amounts": money(205.35), "form_fields": forms("S"), "notes": "b"}),
    );
    assert!(till.sandbox.delete(2));
    till.engine().sync().unwrap();
    let app = app(&till);
    let in_view = || {
        let sql = "SELECT customer_id, field, local FROM to_decide WHERE kind = 'conflict' ORDER BY id";
        let mut all = app.prepare(sql).unwrap();
        let rows = all.query_map([], |row| {
            let (id, field, json): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((id, field, serde_json::from_str::<serde_json::Value>(&json).unwrap()))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let in_library = || {
        let all = till.store().conflicts().unwrap();
        let json = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        all.iter().map(|one| (one.customer_id.0, one.field.clone(), json(&one.local))).collect::<Vec<_>>()
    };
    assert_eq!(in_view().len(), 6, "{:?}", in_view());
    assert_eq!(in_view(), in_library());
    let found = in_view();
    (1..=2).for_each(|id| till.adjust(id, "-1"));
    assert_eq!(
        (in_view(), in_library()),
        (found.clone(), found.clone()),
        "a payment goes on top of whatever is decided"
    );
    (1..=2).for_each(|id| edit(id, "XL", 200.0));
    (1..=2).for_each(|id| till.adjust(id, "-7"));
    till.store().edit(2).set("new_password", "correct horse 9").commit().unwrap();
    assert_eq!(in_view(), in_library());
    assert!(in_view().iter().zip(&found).all(|(now, was)| now != was), "{:?}", in_view());
}

/// One row of the journal is about all of them, and what was decided of one is another row.
#[test]
fn form_fields_of_one_customer_are_decided_together() {
    let forms = |side: &str| {
        let all = (0..4).map(|n| json!({"name": format!("n{n}"), "value": format!("{side}{n}")}));
        serde_json::Value::Array(all.collect())
    };
    let sides = |json: &str| {
        let all: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
        let of = |n: i32| {
            let name = format!("n{n}");
            all.iter().find(|one| one["name"] == name.as_str()).unwrap()["value"].as_str().unwrap().to_owned()
        };
        (0..4).map(of).collect::<Vec<_>>().join(" ")
    };
    for (keep, by_command, ends) in [
        (["remote"; 4], false, "r0 r1 r2 r3"),
        (["local"; 4], false, "l0 l1 l2 l3"),
        (["discard"; 4], false, "r0 r1 r2 r3"),
        (["value"; 4], false, "V V V V"),
        (["local", "remote", "value", "discard"], false, "l0 r1 V r3"),
        (["local", "remote", "local", "remote"], true, "l0 r1 l2 r3"),
    ] {
        let till = till(2);
        till.office(1, json!({ "form_fields": forms("v") }));
        till.engine().sync().unwrap();
        till.set(1, "form_fields", &forms("l").to_string());
        till.office(1, json!({ "form_fields": forms("r") }));
        till.engine().sync().unwrap();
        let app = app(&till);
        for (n, keep) in keep.iter().enumerate() {
            if by_command {
                let side = if *keep == "local" { tillsync::Keep::Local } else { tillsync::Keep::Remote };
                till.store().resolve(1, &format!("form_fields.n{n}"), &side, None).unwrap();
                continue;
            }
            let seen = "SELECT seen FROM to_decide WHERE field = ?1";
            let seen: String = app.query_row(seen, [format!("form_fields.n{n}")], |row| row.get(0)).unwrap();
            decides(&app, &seen, keep, (*keep == "value").then_some("V")).unwrap();
        }
        till.engine().sync().unwrap();
        assert!(came_of_it(&app).iter().all(|outcome| outcome == "done"), "{keep:?}: {:?}", came_of_it(&app));
        assert_eq!(till.store().status().unwrap().conflicts, 0, "{keep:?}");
        assert_eq!(sides(&till.local(1, "form_fields")), ends, "{keep:?}: here");
        assert_eq!(sides(&till.remote_value(1, "form_fields")), ends, "{keep:?}: in the store");
        assert_eq!(till.store().status().unwrap().unsent, 0, "{keep:?}");
    }
}

/// One by one that would be quadratic, with a commit for each.
#[test]
fn refused_payments_of_one_customer_are_decided_together() {
    let till = till(8);
    till.office(1, json!({"store_credit_amounts": [{"amount": 50}]}));
    till.office(2, json!({"store_credit_amounts": [{"amount": 50}]}));
    till.engine().sync().unwrap();
    let app = app(&till);
    app.execute_batch("CREATE TABLE commits (n); INSERT INTO commits VALUES (0)").unwrap();
    for n in 0..300 {
        app.execute("INSERT INTO store_credit_adjustment VALUES (?1, '0.01')", [1 + n % 2]).unwrap();
    }
    // As the store refuses them.
    let refuse = "BEGIN; UPDATE tillsync_guard SET writing = 1;
         UPDATE journal SET outcome = 'rejected', reason = 'no', engine_mark = NOT engine_mark;
         UPDATE customer SET store_credit_amounts = '[{\"amount\":50}]', engine_mark = NOT engine_mark WHERE id <= 2;
         UPDATE tillsync_guard SET writing = 0; COMMIT";
    app.execute_batch(refuse).unwrap();
    app.execute_batch(
        "CREATE TRIGGER counts AFTER UPDATE OF writing ON tillsync_guard WHEN NEW.writing = 1 BEGIN UPDATE commits SET n = n + 1; END",
    )
    .unwrap();
    let decide = |customer: i64, keep: &str, more: &str| {
        let sql = format!(
            "INSERT INTO decision (seen, keep, author)
             SELECT seen, '{keep}', 'ana' FROM to_decide WHERE customer_id = {customer} ORDER BY id {more}"
        );
        app.execute(&sql, []).unwrap();
    };
    decide(1, "discard", "");
    decide(2, "retry", "LIMIT 100");
    decide(2, "discard", "LIMIT -1 OFFSET 100");
    assert_eq!(till.store().carry_out_decisions().unwrap(), 300);
    let commits: i64 = app.query_row("SELECT n FROM commits", [], |row| row.get(0)).unwrap();
    assert!(commits < 10, "{commits} transactions");
    let amount = |id| till.local(id, "store_credit_amounts");
    assert_eq!((amount(1), amount(2)), ("[{\"amount\":50}]".into(), "[{\"amount\":51}]".into()));
    let outcomes = "SELECT group_concat(outcome || n, ' ') FROM
                    (SELECT coalesce(outcome, 'pending') AS outcome, count(*) AS n FROM journal GROUP BY 1)";
    let outcomes: String = app.query_row(outcomes, [], |row| row.get(0)).unwrap();
    assert_eq!(outcomes, "discarded200 pending100");
}

/// Nobody would ever hear of it.
#[test]
fn doctor_tells_of_a_decision_of_which_nothing_can_be_noted() {
    let till = in_conflict(2);
    let app = app(&till);
    app.execute_batch(
        "CREATE TRIGGER audit BEFORE UPDATE OF outcome ON decision WHEN OLD.id = 1 BEGIN SELECT RAISE(ABORT, 'not that one'); END",
    )
    .unwrap();
    for id in [1, 2] {
        decides(&app, &shown(&app, id).0, "local", None).unwrap();
    }
    till.engine().sync().unwrap();
    assert_eq!(came_of_it(&app), ["waits", "done"]);
    let stuck = till.store().decisions_stuck().unwrap().unwrap();
    assert_eq!(stuck.cause.as_deref(), Some("audit"));
    assert!(stuck.error.contains("not that one"), "{stuck:?}");
    let said = till.run(["doctor"]).json;
    let check = said["checks"].as_array().unwrap().iter().find(|check| check["name"] == "decisions").unwrap();
    assert!(check["ok"] == false && check["detail"].as_str().unwrap().contains("audit"), "{check}");
    app.execute_batch("DROP TRIGGER audit").unwrap();
    till.engine().sync().unwrap();
    assert_eq!(
        (came_of_it(&app), till.store().decisions_stuck().unwrap()),
        (vec!["done".to_owned(); 2], None)
    );
}

#[test]
fn a_worker_carries_it_out_without_a_network() {
    let till = in_conflict(1);
    till.sandbox.cut();
    let (_syncer, _events) = Syncer::start(till.engine(), SyncerOptions::default()).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let app = app(&till);
    decides(&app, &shown(&app, 1).0, "remote", None).unwrap();
    soon(|| came_of_it(&app) == ["done"]);
    assert_eq!(till.local(1, "phone"), "\"theirs\"");
}

#[test]
fn a_decision_that_waits_can_be_taken_back_and_nothing_else_is_changed() {
    let till = in_conflict(1);
    let app = app(&till);
    let (seen, _) = shown(&app, 1);
    for (keep, value) in [("retry", None), ("mine", None), ("local", Some("5")), ("value", None)] {
        assert!(decides(&app, &seen, keep, value).is_err(), "{keep}");
    }
    decides(&app, &seen, "local", None).unwrap();
    assert!(decides(&app, &seen, "remote", None).is_err(), "there is one");
    assert!(app.execute("UPDATE decision SET keep = 'remote'", []).is_err());
    app.execute("DELETE FROM decision", []).unwrap();
    assert_eq!(till.store().carry_out_decisions().unwrap(), 0);
    decides(&app, &seen, "value", Some(&"5".repeat(51))).unwrap();
    till.store().carry_out_decisions().unwrap();
    assert_eq!(came_of_it(&app), ["refused"]);
    assert!(app.execute("DELETE FROM decision", []).is_err());
    assert_eq!(till.store().status().unwrap().conflicts, 1);
}

/// What would be lost with them: an edit that waits for nobody, an update that is not known to have arrived, a new password.
#[test]
fn private_tables_take_nothing_from_an_app() {
    let till = in_conflict(1);
    till.store().edit(2).set("new_password", "a new secret").commit().unwrap();
    let app = app(&till);
    for sql in [
        "UPDATE conflict SET resolution = 'local'",
        "DELETE FROM conflict",
        "INSERT INTO conflict (customer_id, field, base, local, remote, policy, detected_at)
         SELECT customer_id, field, base, local, remote, policy, detected_at FROM conflict",
        "DELETE FROM pending_password",
        "UPDATE pending_password SET new_password = ''",
        "INSERT INTO batch (sent_at) VALUES ('now')",
    ] {
        let refused = app.execute(sql, []).unwrap_err().to_string();
        assert!(refused.contains("tillsync refused: "), "{sql}: {refused}");
    }
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
}

#[test]
fn an_edit_that_is_held_without_a_conflict_is_counted_and_can_be_given_up() {
    let till = in_conflict(1);
    let app = app(&till);
    // As a file may be that was written to before its tables were guarded.
    app.execute_batch(
        "UPDATE tillsync_guard SET writing = 1; UPDATE conflict SET resolution = 'local'; UPDATE tillsync_guard SET writing = 0",
    )
    .unwrap();
    assert_eq!(till.store().status().unwrap().held_alone, 1);
    let (seen, what) = shown(&app, 1);
    assert!(what.starts_with("held phone"), "{what}");
    assert!(decides(&app, &seen, "retry", None).is_err());
    decides(&app, &seen, "discard", None).unwrap();
    till.store().carry_out_decisions().unwrap();
    assert_eq!((came_of_it(&app), till.store().status().unwrap().held_alone), (vec!["done".to_owned()], 0));
    assert_eq!(till.local(1, "phone"), "\"theirs\"");
}

/// A trigger of the app's refuses what was decided, or ignores that it was: no sync waits for it, and every other edit goes up.
#[test]
fn a_decision_that_the_app_itself_refuses_stops_no_sync() {
    for (trigger, becomes) in [
        (
            "BEFORE UPDATE OF phone ON customer WHEN NEW.phone = 'theirs' BEGIN SELECT RAISE(ABORT, 'no'); END",
            "refused",
        ),
        ("BEFORE UPDATE ON conflict BEGIN SELECT RAISE(ABORT, 'no'); END", "refused"),
        ("BEFORE UPDATE ON conflict BEGIN SELECT RAISE(FAIL, 'no'); END", "refused"),
        ("AFTER UPDATE ON conflict BEGIN SELECT RAISE(FAIL, 'no'); END", "refused"),
        ("AFTER UPDATE ON conflict BEGIN SELECT RAISE(ROLLBACK, 'no'); END", "refused"),
        ("BEFORE UPDATE ON conflict BEGIN SELECT RAISE(IGNORE); END", "refused"),
        ("BEFORE UPDATE ON decision BEGIN SELECT RAISE(IGNORE); END", "waits"),
        ("BEFORE UPDATE ON decision BEGIN SELECT RAISE(ABORT, 'no'); END", "waits"),
        ("AFTER UPDATE ON decision BEGIN SELECT RAISE(FAIL, 'no'); END", "waits"),
        ("AFTER UPDATE ON decision BEGIN SELECT RAISE(ROLLBACK, 'no'); END", "waits"),
        ("AFTER UPDATE ON decision BEGIN SELECT tell_the_screen(NEW.id); END", "waits"),
    ] {
        let till = in_conflict(1);
        let app = app(&till);
        app.execute_batch(&format!("CREATE TRIGGER of_the_app {trigger}")).unwrap();
        let (seen, _) = shown(&app, 1);
        decides(&app, &seen, "remote", None).unwrap();
        till.set(3, "company", "Acme");
        till.engine().sync().unwrap();
        assert_eq!(till.remote_value(3, "company"), "\"Acme\"", "{trigger}");
        assert_eq!(came_of_it(&app), [becomes], "{trigger}");
    }
}

/// What was decided in a copy may have been carried out, and sent, by the till that it is a copy of.
#[test]
fn a_decision_that_waits_in_a_file_that_was_set_back_is_not_carried_out() {
    let till = in_conflict(1);
    let app = app(&till);
    let (seen, _) = shown(&app, 1);
    decides(&app, &seen, "local", None).unwrap();
    let copy = till.folder.path().join("copy.db");
    till.store().backup(&copy).unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), "\"ours\"");
    drop(app);
    for suffix in ["-wal", "-shm"] {
        _ = std::fs::remove_file(format!("{}{suffix}", till.path.display()));
    }
    std::fs::copy(&copy, &till.path).unwrap();
    till.engine().sync().unwrap();
    let app = self::app(&till);
    assert_eq!(came_of_it(&app), ["refused"]);
}

/// Ids begin anew where all are pruned.
#[test]
fn a_decision_of_later_is_not_taken_for_one_of_before_the_file_was_set_back() {
    let till = in_conflict(3);
    let app = app(&till);
    for id in [1, 2] {
        decides(&app, &shown(&app, id).0, "local", None).unwrap();
    }
    let before = "INSERT INTO state (key, value) VALUES ('decisions_of_before', '2')";
    common::as_engine(till.store().connection(), before, []);
    assert_eq!(till.store().carry_out_decisions().unwrap(), 0);
    assert_eq!(came_of_it(&app), ["refused"; 2]);
    till.store().prune(chrono::Utc::now()).unwrap();
    assert!(came_of_it(&app).is_empty());
    decides(&app, &shown(&app, 3).0, "local", None).unwrap();
    assert_eq!(till.store().carry_out_decisions().unwrap(), 1);
}

/// As Debian 12 has it, and whichever is here: what one SQLite names, the library finds.
#[test]
fn a_conflict_is_decided_from_the_program_of_sqlite_too() {
    let mut till = in_conflict(2);
    if till.key.is_some() {
        return;
    }
    till.key = None;
    let decide = "INSERT INTO decision (seen, keep, author)
                  SELECT seen, 'local', 'ana' FROM to_decide WHERE customer_id = 1";
    match std::process::Command::new("sqlite3").arg(&till.path).arg(decide).output() {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => return println!("not run, there is no sqlite3: {error}"),
    }
    let of_the_program = std::process::Command::new("sqlite3")
        .arg(&till.path)
        .arg("SELECT seen FROM to_decide WHERE customer_id = 2")
        .output()
        .unwrap();
    let app = app(&till);
    assert_eq!(String::from_utf8_lossy(&of_the_program.stdout).trim(), shown(&app, 2).0);
    assert_eq!(till.store().carry_out_decisions().unwrap(), 1);
    assert_eq!(came_of_it(&app), ["done"]);
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), "\"ours\"");
}

/// A binding may write any bytes as text; nobody could read them afterwards.
#[test]
fn a_decision_is_text_and_so_is_the_name_of_who_allows_a_payment() {
    let till = in_conflict(1);
    let app = app(&till);
    let (seen, _) = shown(&app, 1);
    for (columns, values) in [
        ("seen, keep, author", "?1, 'remote', CAST(x'416e64e9' AS TEXT)"),
        ("seen, keep, value", "?1, 'value', CAST(x'ff' AS TEXT)"),
    ] {
        let refused =
            app.execute(&format!("INSERT INTO decision ({columns}) VALUES ({values})"), [&seen]).unwrap_err();
        assert!(refused.to_string().contains("tillsync refused: decision: "), "{refused}");
    }
    let allow = "INSERT INTO store_credit_override VALUES (1, '-100', CAST(x'ff' AS TEXT))";
    let refused = app.execute(allow, []).unwrap_err().to_string();
    assert!(refused.contains("allowed_by"), "{refused}");
    assert!(till.store().carry_out_decisions().is_ok() && till.store().journal(None).is_ok());
}

#[test]
fn old_decisions_go_with_the_rest_of_the_history() {
    let till = in_conflict(1);
    let app = app(&till);
    let old = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 350)
               INSERT INTO decision (seen, keep, outcome, decided_at)
               SELECT json_array('conflict', i + 1000), 'remote', 'done', '2020-01-01T00:00:00.000Z' FROM n";
    app.execute_batch("BEGIN; UPDATE tillsync_guard SET writing = 1; DROP TRIGGER tillsync_decision_insert")
        .unwrap();
    app.execute(old, []).unwrap();
    app.execute_batch("UPDATE tillsync_guard SET writing = 0; COMMIT").unwrap();
    let keeps = "CREATE TRIGGER keeps BEFORE DELETE ON decision WHEN OLD.id = 7 BEGIN SELECT RAISE(ABORT, 'audit'); END";
    app.execute_batch(keeps).unwrap();
    let mut store = till.store();
    assert_eq!(store.prune(chrono::Utc::now()).unwrap_err().code(), "kept");
    assert_eq!(came_of_it(&app).len(), 1);
    app.execute_batch("DROP TRIGGER keeps").unwrap();
    assert_eq!(store.prune(chrono::Utc::now()).unwrap(), 1);
}

/// Many share a transaction: what is refused of them is, and nothing else.
#[test]
fn among_many_each_is_carried_out_or_refused_for_itself() {
    for says in ["ABORT", "FAIL", "ROLLBACK", "IGNORE"] {
        let till = in_conflict(6);
        let app = app(&till);
        let refuse = |on: &str, who: i64| {
            let raise = if says == "IGNORE" { "IGNORE" } else { &format!("{says}, 'not now'") };
            app.execute_batch(&format!(
                "CREATE TRIGGER refuses_{who} BEFORE UPDATE ON {on} WHEN NEW.customer_id = {who} BEGIN SELECT RAISE({raise}); END"
            ))
            .unwrap();
        };
        for id in 1..=6 {
            decides(&app, &shown(&app, id).0, "remote", None).unwrap();
        }
        // It was decided elsewhere since.
        till.store().resolve(2, "phone", &Keep::Local, None).unwrap();
        refuse("conflict", 4);
        assert_eq!(till.store().carry_out_decisions().unwrap(), 4, "{says}");
        assert_eq!(came_of_it(&app), ["done", "refused", "done", "refused", "done", "done"], "{says}");
        let phones = [1, 2, 3, 4, 5, 6].map(|id| till.local(id, "phone"));
        let (theirs, ours) = ("\"theirs\"", "\"ours\"");
        assert_eq!(phones, [theirs, ours, theirs, ours, theirs, theirs], "{says}");
    }
}

// ---- form fields of which one is refused and another in conflict ---------------------------------------------------

/// A line on which the store takes no colour that is bad.
fn no_bad_colour(till: &Till) -> Odd {
    Odd::before(&till.sandbox).before_store(|asked| {
        let is_bad = asked.is_put() && asked.json().to_string().contains("\"bad\"");
        let refusal = json!({"status": 422, "title": "no", "errors": {"0.form_fields": "no such colour"}});
        is_bad.then(|| Told::json_of(422, &refusal))
    })
}

fn forms(size: &str, colour: &str) -> serde_json::Value {
    json!([{"name": "colour", "value": colour}, {"name": "size", "value": size}])
}

/// The size and the colour, in the till and in the store.
fn sizes_and_colours(till: &Till) -> [[String; 2]; 2] {
    [till.local(1, "form_fields"), till.remote_value(1, "form_fields")].map(|json| {
        let all: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        ["size", "colour"].map(|name| {
            let one = all.iter().find(|one| one["name"] == name).expect("it is there");
            one["value"].as_str().unwrap().to_owned()
        })
    })
}

/// The colour was refused, and the size is in conflict: in one edit of both, or in one of each.
fn refused_beside_a_conflict(are_apart: bool) -> (Till, Odd) {
    let till = till(3);
    till.office(1, json!({"form_fields": forms("M", "red")}));
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    let odd = no_bad_colour(&till);
    let till = till.through(&odd);
    if are_apart {
        till.set(1, "form_fields", &forms("mine", "red").to_string());
    }
    till.set(1, "form_fields", &forms("mine", "bad").to_string());
    till.office(1, json!({"form_fields": forms("office", "red")}));
    till.engine().sync().unwrap();
    let open = till.store().conflicts().unwrap();
    let sides = open.iter().map(|one| [&*one.field, &*one.local, &*one.remote]).collect::<Vec<_>>();
    assert_eq!(sides, [["form_fields.size", "\"mine\"", "\"office\""]]);
    assert_eq!(open[0].reason, None, "what was refused says so itself");
    assert_eq!(till.store().rejected().unwrap().len(), 1 + usize::from(are_apart));
    (till, odd)
}

/// Decides about the size, as whoever has seen it, or not, does: with the library or by SQL.
fn decide_size(till: &Till, keep: &str, way: &str) {
    let (name, stamp) = ("form_fields.size", till.store().conflicts().unwrap()[0].stamp.clone());
    let side = match keep {
        "remote" => Some(Keep::Remote),
        "local" => Some(Keep::Local),
        "value" => Some(Keep::Value("third".to_owned())),
        _ => None,
    };
    let mut store = till.store();
    let decided = match (way, side) {
        ("sql", _) => {
            let sql = "SELECT seen FROM to_decide WHERE kind = 'conflict' AND customer_id = 1";
            let seen: String = app(till).query_row(sql, [], |row| row.get(0)).unwrap();
            decides(&app(till), &seen, keep, (keep == "value").then_some("third")).unwrap();
            store.carry_out_decisions()
        }
        ("seen", Some(side)) => store.resolve_seen(1, name, &side, &stamp, None),
        ("seen", None) => store.discard_seen(1, name, &stamp, None),
        (_, Some(side)) => store.resolve(1, name, &side, None),
        (_, None) => store.discard(1, Some(name), None),
    };
    assert_eq!(decided.unwrap(), 1, "{keep}, {way}");
}

#[test]
fn a_form_field_is_decided_as_it_is_shown_also_where_another_of_the_same_edit_was_refused() {
    for keep in ["remote", "discard", "value", "local"] {
        for (way, are_apart) in [("", false), ("seen", false), ("sql", false), ("", true), ("seen", true)] {
            let (till, _odd) = refused_beside_a_conflict(are_apart);
            decide_size(&till, keep, way);
            let (size, case) = match keep {
                "value" => ("third", format!("{keep}, {way}, {are_apart}")),
                "local" => ("mine", format!("{keep}, {way}, {are_apart}")),
                _ => ("office", format!("{keep}, {way}, {are_apart}")),
            };
            assert_eq!(sizes_and_colours(&till)[0], [size, "bad"], "{case}");
            let refused = till.store().rejected().unwrap();
            assert_eq!(refused.len(), 1, "the colour waits on: {case}");
            assert!(refused[0].value.contains("bad"), "{case}");
            till.set(1, "form_fields", &forms(size, "green").to_string());
            till.engine().sync().unwrap();
            assert_eq!(sizes_and_colours(&till), [[size, "green"]; 2], "{case}");
            let status = till.store().status().unwrap();
            assert_eq!((status.conflicts, status.rejected, status.pending_fields), (0, 0, 0), "{case}");
        }
    }
}

/// Sent again as it is, or given up.
#[test]
fn a_refused_form_field_goes_again_without_what_was_decided_otherwise() {
    for is_sent in [true, false] {
        let (till, odd) = refused_beside_a_conflict(false);
        decide_size(&till, "remote", "");
        odd.calm();
        let refused = till.store().rejected().unwrap()[0].seq;
        match is_sent {
            true => till.store().retry_row(refused).unwrap(),
            false => till.store().discard_row(refused, None).unwrap(),
        };
        till.engine().sync().unwrap();
        let colour = if is_sent { "bad" } else { "red" };
        assert_eq!(sizes_and_colours(&till), [["office", colour]; 2]);
        assert_eq!(till.store().status().unwrap().rejected, 0);
    }
}

/// What was decided of it already, and what is as the store has it, is nothing to send.
#[test]
fn a_refused_edit_of_which_all_is_decided_waits_for_nothing() {
    let (till, _odd) = refused_beside_a_conflict(false);
    till.store().discard(1, Some("form_fields.colour"), None).unwrap();
    assert_eq!(sizes_and_colours(&till)[0], ["mine", "red"]);
    decide_size(&till, "remote", "seen");
    assert_eq!(sizes_and_colours(&till), [["office", "red"]; 2]);
    assert_eq!(till.outcomes(1, "form_fields"), ["remote"]);
}

/// The refused edit is given up as a whole, and what is in conflict of it with it.
#[test]
fn a_conflict_ends_with_the_refused_edit_that_it_is_about() {
    let (till, _odd) = refused_beside_a_conflict(false);
    let refused = till.store().rejected().unwrap()[0].seq;
    till.store().discard_row(refused, None).unwrap();
    assert_eq!(sizes_and_colours(&till), [["office", "red"]; 2]);
    let status = till.store().status().unwrap();
    assert_eq!((status.conflicts, status.rejected, status.pending_fields), (0, 0, 0));
}

/// The rest of an edit is to be sent, and was not yet: what is in conflict of it is no newer edit.
#[test]
fn a_form_field_is_decided_although_the_rest_of_its_edit_has_yet_to_be_sent() {
    for keep in ["remote", "discard", "value", "local"] {
        let till = till(3);
        till.office(1, json!({"form_fields": forms("M", "red")}));
        till.engine().pull(tillsync::Extent::Changes).unwrap();
        till.set(1, "form_fields", &forms("mine", "green").to_string());
        till.office(1, json!({"form_fields": forms("office", "red")}));
        till.engine().pull(tillsync::Extent::Changes).unwrap();
        decide_size(&till, keep, "");
        till.engine().sync().unwrap();
        let size = match keep {
            "value" => "third",
            "local" => "mine",
            _ => "office",
        };
        assert_eq!(sizes_and_colours(&till), [[size, "green"]; 2], "{keep}");
        assert_eq!(till.store().status().unwrap().conflicts, 0);
    }
}

/// The last of two edits of a form field in conflict is given up: the conflict shows the other.
#[test]
fn a_conflict_shows_what_is_left_where_one_of_its_edits_is_given_up() {
    let till = till(3);
    till.office(1, json!({"form_fields": forms("M", "red")}));
    till.engine().pull(tillsync::Extent::Changes).unwrap();
    till.set(1, "form_fields", &forms("mine", "red").to_string());
    till.set(1, "form_fields", &forms("newest", "red").to_string());
    till.office(1, json!({"form_fields": forms("office", "red")}));
    till.engine().sync().unwrap();
    let newest = till.store().pending(1).unwrap().last().unwrap().seq;
    till.store().discard_row(newest, None).unwrap();
    assert_eq!(sizes_and_colours(&till)[0], ["mine", "red"]);
    assert_eq!(till.store().conflicts().unwrap()[0].local, "\"mine\"");
}
