//! Customers who are deleted at the till: by SQL, offline, and then in the store.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::{Arc, Mutex};

use common::odd::{Kind, Odd, Told};
use common::{Till, till};
use rusqlite::Connection;
use serde_json::json;
use tillsync::sandbox::Fault;
use tillsync::{CustomerId, Event, Fate, Keep, SyncReport};

fn app(till: &Till) -> Connection {
    let app = Connection::open(&till.path).unwrap();
    app.pragma_update(None, "foreign_keys", true).unwrap();
    app
}

/// A till of so many customers, all of them pulled.
fn pulled(customers: usize) -> Till {
    let mut till = till(customers);
    till.options.upload.grace_ms = 30;
    sync(&till);
    till
}

fn sync(till: &Till) -> SyncReport {
    till.engine().sync().unwrap()
}

fn delete(till: &Till, ids: impl IntoIterator<Item = i64>) {
    let ids: Vec<CustomerId> = ids.into_iter().map(CustomerId).collect();
    till.store().delete_customers(&ids, Some("eva"), Some("asked for it")).unwrap();
}

fn ops(till: &Till, id: i64) -> Vec<String> {
    let rows = till.store().journal(Some(CustomerId(id))).unwrap();
    let said = |outcome: Option<tillsync::Outcome>| outcome.map_or("pending", |outcome| outcome.as_str());
    rows.iter().map(|row| format!("{} {} {}", row.op, row.field, said(row.outcome))).collect()
}

/// The queries of the deletions that were sent.
fn deletes(till: &Till) -> Vec<String> {
    let requests = till.sandbox.requests().into_iter();
    requests.filter(|request| request.method == "DELETE").map(|request| request.query).collect()
}

fn is_here(till: &Till, id: i64) -> bool {
    till.store().get(id).unwrap().is_some()
}

fn is_there(till: &Till, id: i64) -> bool {
    till.sandbox.customer(id.try_into().unwrap()).is_some()
}

fn count(till: &Till, sql: &str) -> i64 {
    app(till).query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_customer_is_deleted_here_at_once_and_in_the_store_with_the_next_sync() {
    let till = pulled(5);
    app(&till)
        .execute_batch("UPDATE edit_context SET author = 'eva'; DELETE FROM customer WHERE id IN (2, 4)")
        .unwrap();
    assert_eq!(ops(&till, 2), ["delete * pending"]);
    let was = &till.store().journal(Some(CustomerId(2))).unwrap()[0];
    assert!(was.was.contains("\"email\":\""), "{}", was.was);
    assert_eq!((was.author.as_deref(), is_here(&till, 2), is_there(&till, 2)), (Some("eva"), false, true));
    let report = sync(&till);
    assert_eq!((report.deleted, report.gone, report.deletions_waiting), (2, 0, 0), "{report:?}");
    assert_eq!((report.requests.delete, report.requests.put), (1, 0));
    assert_eq!(deletes(&till), ["id:in=2,4"]);
    assert_eq!(ops(&till, 2), ["delete * uploaded"]);
    assert!(!is_there(&till, 2) && !is_there(&till, 4) && is_there(&till, 3));
    assert_eq!(count(&till, "SELECT count(*) FROM snapshot"), 3);
    let again = sync(&till);
    assert_eq!((again.deleted, again.gone, again.requests.delete), (0, 0, 0));
    assert!(till.store().check().unwrap().is_empty());
    till.assert_no_violations();
}

#[test]
fn a_receipt_and_the_events_tell_what_became_of_it() {
    let till = pulled(3);
    let mut store = till.store();
    let receipt = store.delete_customers(&[CustomerId(2)], None, None).unwrap();
    assert_eq!(store.fate(&receipt).unwrap(), Fate::Pending);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = heard.clone();
    till.engine().on_event(move |event| told.lock().unwrap().push(event)).sync().unwrap();
    assert!(matches!(store.fate(&receipt).unwrap(), Fate::Deleted { customer_id: CustomerId(2) }));
    let heard = heard.lock().unwrap();
    let is_it = |event: &&Event| matches!(event, Event::CustomerDeleted { customer_id: CustomerId(2), .. });
    assert_eq!(heard.iter().filter(is_it).count(), 1, "{heard:?}");
    let unknown = store.delete_customers(&[CustomerId(1), CustomerId(77)], None, None).unwrap_err();
    assert_eq!((unknown.code(), is_here(&till, 1)), ("unknown_customer", true), "all or none");
}

#[test]
fn a_deletion_that_is_given_up_brings_the_row_back_with_what_was_edited() {
    let till = pulled(3);
    till.set(2, "phone", "555");
    till.adjust(2, "7.50");
    app(&till).execute_batch("INSERT INTO password_change VALUES (2, 'a new word')").unwrap();
    let before = till.store().get(2).unwrap().unwrap();
    delete(&till, [2]);
    assert_eq!(sync_offline(&till), (0, 0));
    let twice = till.store().delete_customers(&[CustomerId(2)], None, None).unwrap_err();
    assert!(twice.to_string().contains("is deleted already"), "{twice}");
    let other = till.store().discard(2, Some("phone"), None).unwrap_err();
    assert!(other.to_string().contains("is deleted here"), "{other}");
    assert_eq!(till.store().discard(2, None, Some("ana")).unwrap(), 1);
    assert_eq!(till.store().get(2).unwrap().unwrap(), before);
    assert_eq!(
        ops(&till, 2),
        [
            "set phone pending",
            "adjust store_credit_amounts pending",
            "set new_password pending",
            "delete * discarded"
        ]
    );
    let report = sync(&till);
    assert_eq!((report.uploaded_fields, report.deleted), (3, 0));
    assert_eq!(till.remote_value(2, "phone"), "\"555\"");
    till.assert_no_violations();
}

/// Nothing of a row that is deleted is sent while the store cannot be reached.
fn sync_offline(till: &Till) -> (usize, usize) {
    (till.store().diff(&[CustomerId(2)]).unwrap().len(), till.puts().len())
}

#[test]
fn what_was_edited_before_goes_with_it() {
    let till = pulled(3);
    till.set(2, "phone", "555");
    app(&till).execute_batch("INSERT INTO password_change VALUES (2, 'a new word')").unwrap();
    delete(&till, [2]);
    let report = sync(&till);
    assert_eq!((report.deleted, report.requests.put), (1, 0));
    assert_eq!(ops(&till, 2), ["set phone superseded", "set new_password superseded", "delete * uploaded"]);
    assert_eq!(count(&till, "SELECT count(*) FROM pending_password"), 0);
    assert_eq!(till.store().status().unwrap().unsent, 0);
}

#[test]
fn the_apps_own_rows_go_by_what_the_app_has_declared() {
    let till = pulled(4);
    let app = app(&till);
    app.execute_batch(
        "CREATE TABLE my_note (customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE ON DELETE CASCADE);
         CREATE TABLE my_sale (customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE);
         INSERT INTO my_note VALUES (2), (3);
         INSERT INTO my_sale VALUES (3)",
    )
    .unwrap();
    let refused = app.execute_batch("DELETE FROM customer WHERE id IN (2, 3)").unwrap_err().to_string();
    assert!(refused.contains("FOREIGN KEY"), "{refused}");
    assert_eq!((ops(&till, 2), is_here(&till, 2)), (vec![], true), "the statement as a whole");
    let by_library = till.store().delete_customers(&[CustomerId(3)], None, None).unwrap_err();
    assert_eq!(by_library.code(), "referenced", "{by_library}");
    delete(&till, [2]);
    assert_eq!(count(&till, "SELECT count(*) FROM my_note"), 1);
    assert_eq!(sync(&till).deleted, 1);
    assert!(is_here(&till, 3));
}

#[test]
fn more_than_a_few_wait_for_a_persons_word() {
    let till = pulled(80);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).take(60).collect();
    delete(&till, ids);
    let report = sync(&till);
    assert_eq!((report.deleted, report.deletions_waiting, report.requests.delete), (0, 60, 0));
    assert_eq!(till.sandbox.customer_count(), 80);
    let mut engine = till.engine();
    engine.allow_to_delete(5);
    let report = engine.sync().unwrap();
    assert_eq!((report.deleted, report.deletions_waiting), (5, 55), "no more than were named");
    engine.allow_to_delete(50);
    let report = engine.sync().unwrap();
    assert_eq!((report.deleted, report.deletions_waiting, report.requests.delete), (50, 5, 1));
    assert_eq!(engine.sync().unwrap().deleted, 5, "so few need no word");
    assert_eq!(till.sandbox.customer_count(), 20);
    assert!(deletes(&till).iter().all(|query| query.split(',').count() <= 50));
    till.assert_no_violations();
}

#[test]
fn what_others_changed_meanwhile_is_held_for_a_person() {
    for by_push in [false, true] {
        for (way, is_kept) in [("local", false), ("remote", true), ("discard", true)] {
            let till = pulled(4);
            till.set(2, "company", "here");
            delete(&till, [2]);
            till.office(2, json!({"phone": "0800"}));
            let heard = Arc::new(Mutex::new(Vec::new()));
            let told = heard.clone();
            let mut engine = till.engine().on_event(move |event| told.lock().unwrap().push(event));
            let report = if by_push { engine.push() } else { engine.sync() }.unwrap();
            assert_eq!((report.deleted, report.conflicts), (0, 1), "{way}: {report:?}");
            let is_it =
                |event: &Event| matches!(event, Event::DeletionInConflict { customer_id: CustomerId(2), .. });
            assert!(heard.lock().unwrap().iter().any(is_it));
            assert_eq!(ops(&till, 2), ["set company pending", "delete * held"]);
            let open = &till.store().conflicts().unwrap()[0];
            assert_eq!((open.field.as_str(), open.local.as_str()), ("-", "null"));
            assert!(open.remote.contains("0800"), "{}", open.remote);
            assert_eq!(sync(&till).requests.delete, 0, "it waits");
            let mut store = till.store();
            // What was shown is decided, and nothing else.
            store.resolve_seen(2, "-", &Keep::Local, "another page", None).unwrap_err();
            store.discard_seen(2, "-", "another page", None).unwrap_err();
            match way {
                "local" => _ = store.resolve_seen(2, "-", &Keep::Local, &open.stamp, Some("ana")).unwrap(),
                "remote" => _ = store.resolve(2, "-", &Keep::Remote, Some("ana")).unwrap(),
                _ => _ = store.discard(2, Some("-"), Some("ana")).unwrap(),
            }
            assert_eq!(is_here(&till, 2), is_kept, "{way}");
            let report = sync(&till);
            assert_eq!((report.deleted, report.conflicts), (u64::from(!is_kept), 0), "{way}");
            assert_eq!(is_there(&till, 2), is_kept);
            if is_kept {
                assert_eq!(till.local(2, "phone"), "\"0800\"");
                assert_eq!(till.remote_value(2, "company"), "\"here\"", "what was edited goes on");
            }
            till.assert_no_violations();
        }
    }
}

#[test]
fn a_date_alone_is_no_change() {
    let till = pulled(4);
    delete(&till, [2]);
    let same = till.remote_value(2, "phone");
    till.office(2, json!({"phone": "0800"}));
    till.office(2, json!({"phone": same.trim_matches('"')}));
    assert_eq!(sync(&till).deleted, 1);
}

#[test]
fn a_conflict_is_decided_by_sql_too() {
    let till = pulled(4);
    let app = app(&till);
    for (keep, is_kept) in [("local", false), ("remote", true), ("discard", true)] {
        let id = if is_kept { 3 } else { 2 };
        delete(&till, [id]);
        till.office(id, json!({"phone": format!("0{keep}")}));
        assert_eq!(sync(&till).conflicts, 1);
        let decide = format!("INSERT INTO decision (seen, keep) SELECT seen, '{keep}' FROM to_decide");
        assert_eq!(app.execute(&decide, []).unwrap(), 1);
        assert_eq!(till.store().carry_out_decisions().unwrap(), 1);
        assert_eq!(is_here(&till, id), is_kept, "{keep}");
        assert_eq!(sync(&till).deleted, u64::from(!is_kept));
    }
}

#[test]
fn who_is_gone_there_already_needs_no_call() {
    for by_push in [false, true] {
        let till = pulled(4);
        delete(&till, [2]);
        till.sandbox.delete(2);
        let report = if by_push { till.engine().push() } else { till.engine().sync() }.unwrap();
        match by_push {
            // Looked at, for nothing was pulled: twice it was not there.
            true => {
                assert_eq!((report.gone, report.deleted, report.requests.delete), (1, 0, 0), "{report:?}")
            }
            // The store says yes to that as well.
            false => assert_eq!((report.deleted, report.requests.delete), (1, 1), "{report:?}"),
        }
        assert_eq!(count(&till, "SELECT count(*) FROM snapshot"), 3);
        assert_eq!(till.store().status().unwrap().unsent, 0);
    }
}

#[test]
fn an_answer_that_is_lost_is_found_by_looking_twice() {
    let till = pulled(6);
    delete(&till, [2, 3, 4]);
    till.sandbox.script_updates([Fault::LostAnswer]);
    let report = sync(&till);
    assert_eq!((report.deleted, report.requests.delete), (3, 1), "{report:?}");
    till.assert_no_violations();
}

/// What one look does not show may be hidden for a moment: nobody is taken for deleted who is there.
#[test]
fn one_look_that_does_not_show_them_proves_no_deletion() {
    let till = pulled(6);
    delete(&till, [2, 3]);
    till.sandbox.script_updates([Fault::LostRequest]);
    // The first look, alone and then in company.
    let hides = |told: &mut Told| {
        let all = told.json()["data"].as_array().cloned().unwrap_or_default();
        let others = all.into_iter().filter(|one| ![Some(2), Some(3)].contains(&one["id"].as_i64()));
        *told = Told::page(&others.collect::<Vec<_>>());
    };
    let odd = Odd::before(&till.sandbox).nth(Kind::ById, 1, hides).nth(Kind::ById, 2, hides);
    let report = till.through(&odd).engine().sync().unwrap();
    assert_eq!((report.deleted, report.requests.delete), (2, 2), "{report:?}");
    assert!(!is_there(&till, 2) && !is_there(&till, 3));
}

#[test]
fn what_did_not_arrive_goes_once_more() {
    for fault in [Fault::LostRequest, Fault::Status(503), Fault::Html, Fault::Ignored, Fault::SkippedIds] {
        let mut till = pulled(6);
        till.sandbox.set_behaviours("deletions=200".parse().unwrap());
        till.options.upload.grace_ms = 20;
        delete(&till, [2, 3, 4]);
        till.sandbox.script_updates([fault]);
        let report = sync(&till);
        assert_eq!((report.deleted, till.sandbox.customer_count()), (3, 3), "{fault}: {report:?}");
        till.assert_no_violations();
    }
}

#[test]
fn a_kill_between_request_and_answer_is_found_out_by_the_next_sync() {
    for has_landed in [true, false] {
        let till = pulled(6);
        delete(&till, [2, 3]);
        let fault = if has_landed { Fault::LostAnswer } else { Fault::LostRequest };
        till.sandbox.script_updates([fault]);
        let mut engine = till.engine();
        let stopper = engine.stopper();
        let stopping = Mutex::new(Some(stopper));
        let sandbox = till.sandbox.clone();
        let watch = std::thread::spawn(move || {
            common::soon(|| sandbox.requests().iter().any(|request| request.method == "DELETE"));
            stopping.lock().unwrap().take().unwrap().stop();
        });
        assert_eq!(engine.sync().unwrap_err().code(), "stopped");
        watch.join().unwrap();
        assert_eq!(ops(&till, 2), ["delete * in_flight"]);
        let waits = till.store().discard(2, None, None).unwrap_err();
        assert!(waits.to_string().contains("on its way"), "{waits}");
        let report = sync(&till);
        assert_eq!(report.deleted, 2, "{has_landed}: {report:?}");
        assert_eq!(report.requests.delete, u64::from(!has_landed), "{has_landed}: {report:?}");
        assert!(!is_there(&till, 2) && !is_there(&till, 3));
        till.assert_no_violations();
    }
}

#[test]
fn what_changed_while_it_was_in_doubt_is_held() {
    let till = pulled(6);
    delete(&till, [2, 3]);
    till.sandbox.script_updates([Fault::LostRequest]);
    let mut engine = till.engine();
    let (stopper, sandbox) = (engine.stopper(), till.sandbox.clone());
    let watch = std::thread::spawn(move || {
        common::soon(|| sandbox.requests().iter().any(|request| request.method == "DELETE"));
        stopper.stop();
    });
    engine.sync().unwrap_err();
    watch.join().unwrap();
    till.office(3, json!({"phone": "0800"}));
    let report = sync(&till);
    assert_eq!((report.deleted, report.conflicts), (1, 1), "{report:?}");
    assert!(is_there(&till, 3));
}

#[test]
fn undocumented_answers_are_survived() {
    for (behaviours, faults, deletes) in [
        ("deletions=200", vec![], 1),
        ("deletions=404-of-nobody", vec![], 1),
        // The one who is to blame is looked for.
        ("", vec![Fault::Status(404)], 4),
        ("", vec![Fault::Status(429)], 2),
        ("", vec![Fault::Crowded], 2),
        ("", vec![Fault::AppliedThenStatus(404)], 1),
        ("", vec![Fault::AppliedThenStatus(422)], 1),
        ("", vec![Fault::AppliedThenStatus(504)], 1),
        ("", vec![Fault::HtmlForbidden], 2),
        ("delete-at-most=2", vec![], 4),
    ] {
        let till = pulled(6);
        till.sandbox.set_behaviours(behaviours.parse().unwrap());
        delete(&till, [2, 3, 4]);
        till.sandbox.script_updates(faults.clone());
        let report = till.engine().sync().unwrap_or_else(|error| panic!("{behaviours} {faults:?}: {error}"));
        let outcome = (report.deleted, report.rejected, report.requests.delete);
        assert_eq!(outcome, (3, 0, deletes), "{behaviours} {faults:?}: {report:?}");
        assert_eq!(till.sandbox.customer_count(), 3);
    }
}

#[test]
fn one_that_cannot_be_deleted_is_told_apart_from_the_others() {
    let till = pulled(12);
    till.sandbox.set_behaviours("undeletable-every=7".parse().unwrap());
    delete(&till, 4..=10);
    let report = sync(&till);
    assert_eq!((report.deleted, report.rejected), (6, 1), "{report:?}");
    let refused = &till.store().rejected().unwrap()[0];
    assert_eq!((refused.customer_id, refused.field.as_str()), (CustomerId(7), "*"));
    assert!(refused.reason.contains("has open orders"), "{}", refused.reason);
    assert_eq!((ops(&till, 7), is_here(&till, 7)), (vec!["delete * rejected".to_owned()], false));
    assert_eq!(sync(&till).requests.delete, 0, "it waits for a person");
    till.sandbox.set_behaviours("".parse().unwrap());
    assert_eq!(till.store().retry(Some(CustomerId(7))).unwrap(), 1);
    assert_eq!(sync(&till).deleted, 1);
    assert!(!is_there(&till, 7));
}

#[test]
fn a_refused_deletion_is_given_up_and_the_row_is_here_again() {
    let till = pulled(12);
    till.sandbox.set_behaviours("undeletable-every=7".parse().unwrap());
    delete(&till, [7]);
    assert_eq!(sync(&till).rejected, 1);
    let seq = till.store().rejected().unwrap()[0].seq;
    assert_eq!(till.store().discard_row(seq, None).unwrap(), 1);
    assert!(is_here(&till, 7));
    assert_eq!(till.store().status().unwrap().rejected, 0);
}

#[test]
fn two_tills_delete_the_same_customers() {
    let one = pulled(8);
    let other = Till::new(one.sandbox.clone());
    sync(&other);
    delete(&one, [2, 3]);
    delete(&other, [3, 4]);
    assert_eq!(sync(&one).deleted, 2);
    let report = sync(&other);
    assert_eq!(report.deleted, 2, "{report:?}");
    one.engine().pull(tillsync::Extent::Full).unwrap();
    for till in [&one, &other] {
        assert_eq!((is_here(till, 2) && till.path == one.path, is_here(till, 4)), (false, false));
        assert_eq!(till.store().status().unwrap().unsent, 0);
    }
    assert_eq!(one.sandbox.customer_count(), 5);
}

#[test]
fn a_customer_whose_creation_is_on_its_way_is_deleted_once_it_has_landed() {
    for has_landed in [true, false] {
        let till = pulled(3);
        let app = app(&till);
        app.execute_batch(
            "INSERT INTO customer (id, email, first_name, last_name) SELECT id, 'ana@example.com', 'Ana', 'Reyes' FROM new_id",
        )
        .unwrap();
        let fault = if has_landed { Fault::LostAnswer } else { Fault::LostRequest };
        till.sandbox.script_updates([fault]);
        let mut engine = till.engine();
        let (stopper, sandbox) = (engine.stopper(), till.sandbox.clone());
        let watch = std::thread::spawn(move || {
            common::soon(|| sandbox.requests().iter().any(|request| request.method == "POST"));
            stopper.stop();
        });
        engine.sync().unwrap_err();
        watch.join().unwrap();
        delete(&till, [-1]);
        assert_eq!(ops(&till, -1), ["create * in_flight", "delete * pending"]);
        let mut deleted = sync(&till).deleted;
        deleted += sync(&till).deleted;
        assert_eq!(deleted, u64::from(has_landed));
        assert_eq!(till.sandbox.customer_count(), 3, "{has_landed}");
        assert_eq!(till.store().status().unwrap().unsent, 0);
        assert_eq!(count(&till, "SELECT count(*) FROM customer"), 3);
        till.assert_no_violations();
    }
}

#[test]
fn an_edit_that_is_on_its_way_lands_before_the_deletion_goes() {
    let till = pulled(4);
    till.set(2, "phone", "555");
    till.sandbox.script_updates([Fault::LostAnswer]);
    let mut engine = till.engine();
    let (stopper, sandbox) = (engine.stopper(), till.sandbox.clone());
    let watch = std::thread::spawn(move || {
        common::soon(|| sandbox.requests().iter().any(|request| request.method == "PUT"));
        stopper.stop();
    });
    engine.sync().unwrap_err();
    watch.join().unwrap();
    delete(&till, [2]);
    let report = sync(&till);
    assert_eq!((report.deleted, report.conflicts, report.requests.put), (1, 0, 0), "{report:?}");
    assert_eq!(ops(&till, 2), ["set phone uploaded", "delete * uploaded"]);
}

#[test]
fn who_is_deleted_here_is_no_loss_that_is_made_good() {
    let till = pulled(4);
    delete(&till, [2]);
    let mut store = till.store();
    store.bring_back_missing().unwrap();
    assert_eq!((store.brought_back(), is_here(&till, 2)), (0, false));
    app(&till).execute_batch("DROP TRIGGER tillsync_customer_phone").unwrap();
    let store = till.store();
    assert_eq!((store.brought_back(), is_here(&till, 2)), (0, false), "nor where triggers were missing");
    till.engine().pull(tillsync::Extent::Full).unwrap();
    assert!(!is_here(&till, 2), "nor by a list of everybody");
    assert_eq!(sync(&till).deleted, 1);
}

#[test]
fn what_is_of_a_customer_goes_with_it() {
    let mut till = pulled(3);
    till.options.keep = vec!["attributes".to_owned()];
    till.sandbox.define_attribute(3, "shoe size", "number");
    sync(&till);
    till.store().set_attribute_values(2, &[(3, "42")], None, None).unwrap();
    sync(&till);
    till.store().set_attribute_values(2, &[(3, "43")], None, None).unwrap();
    delete(&till, [2]);
    let report = sync(&till);
    assert_eq!(report.deleted, 1);
    assert_eq!(count(&till, "SELECT count(*) FROM attribute_value WHERE customer_id = 2"), 0);
    assert_eq!(till.store().status().unwrap().unsent, 0);
    till.assert_no_violations();
}

#[test]
fn who_the_store_has_lost_is_deleted_without_a_call() {
    let till = pulled(8);
    till.set(2, "phone", "555");
    till.sandbox.delete(2);
    till.engine().pull(tillsync::Extent::Full).unwrap();
    assert_eq!(till.store().conflicts().unwrap()[0].field, "*");
    delete(&till, [2]);
    let report = sync(&till);
    assert_eq!((report.conflicts, report.requests.delete), (0, 0), "{report:?}");
    assert_eq!(till.store().status().unwrap().unsent, 0);
}

#[test]
fn the_command_deletes_tells_what_waits_and_takes_the_word_for_it() {
    let till = pulled(30);
    let ids: Vec<String> = till.sandbox.ids().into_iter().take(22).map(|id| id.to_string()).collect();
    let ran = till.run(["delete", &ids[0], &ids[1], &ids[0], "--label", "asked for it"]);
    assert_eq!((ran.exit, ran.json.to_string()), (Some(0), "{\"deleted\":2}".to_owned()));
    let shown = till.run(["show", &ids[0]]).json;
    assert_eq!(
        (shown["deleted"].as_bool(), shown["customer"]["id"].to_string()),
        (Some(true), ids[0].clone())
    );
    assert_eq!(shown["pending"][0]["op"], "delete");
    assert_eq!(till.run(["log", &ids[0]]).json[0]["label"], "asked for it");
    assert_eq!(till.run(["push", "--dry-run"]).json["deletions"].as_array().unwrap().len(), 2);
    let status = till.run(["status"]).json;
    assert_eq!(status["pending_customers"], 2);
    assert_eq!(till.run(["edit", &ids[0], "phone=1"]).code(), "unknown_customer");
    assert_eq!(till.run(["discard", &ids[1]]).exit, Some(0));
    assert_eq!(till.run(["sync"]).json["deleted"], 1);
    assert_eq!(till.run(["delete", "77"]).code(), "unknown_customer");
    let rest = ["delete"].into_iter().chain(ids[1..].iter().map(String::as_str));
    assert_eq!(till.run(rest).json["deleted"], 21);
    let ran = till.run(["sync"]);
    assert_eq!((ran.exit, ran.json["deletions_waiting"].as_u64()), (Some(3), Some(21)));
    let ran = till.run(["push", "--allow-deletions", "21"]);
    assert_eq!((ran.exit, ran.json["deleted"].as_u64()), (Some(0), Some(21)));
    assert_eq!(ran.json["requests"]["delete"], 1);
    till.assert_no_violations();
}

#[test]
fn the_command_lists_and_decides_a_deletion_of_what_others_changed() {
    let till = pulled(5);
    assert_eq!(till.run(["delete", "2"]).exit, Some(0));
    till.office(2, json!({"phone": "0800"}));
    assert_eq!(till.run(["sync"]).exit, Some(3));
    let conflicts = till.run(["conflicts", "2"]).json;
    assert_eq!(
        (conflicts[0]["field"].as_str(), conflicts[0]["resource"].as_str()),
        (Some("-"), Some("customer"))
    );
    let wrong = till.run(["resolve", "2", "-", "--value", "x"]);
    assert_eq!(wrong.exit, Some(2), "{}", wrong.json);
    assert_eq!(till.run(["resolve", "2", "-", "--keep", "remote"]).exit, Some(0));
    assert_eq!(till.run(["show", "2"]).json["customer"]["phone"], "0800");
}

/// Its address is another's from then on, and not before.
#[test]
fn who_is_entered_under_the_address_of_one_who_is_deleted_waits_for_that() {
    let till = pulled(4);
    let email: String = serde_json::from_str(&till.local(2, "email")).unwrap();
    delete(&till, [2]);
    let enter =
        "INSERT INTO customer (id, email, first_name, last_name) SELECT id, ?1, 'Ana', 'Reyes' FROM new_id";
    app(&till).execute(enter, [&email]).unwrap();
    let first = sync(&till);
    assert_eq!((first.deleted, first.created, first.conflicts), (1, 0, 0), "{first:?}");
    assert_eq!(sync(&till).created, 1);
    assert_eq!((is_there(&till, 2), till.sandbox.customer_count()), (false, 4));
    assert_eq!(till.store().status().unwrap().unsent, 0);
    till.assert_no_violations();
}
