//! A yes of the store's, and what it is worth: one that does not show what was sent, one that only repeats it, and one that is seen
//! to be none. Over real HTTP; what an answer tells otherwise stands in `tests/odd_uploads.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::odd::{Kind, Odd, Told};
use common::{Till, till};
use serde_json::json;
use tillsync::sandbox::Sandbox;
use tillsync::{Extent, Keep, SyncReport};

/// A till over a line, with waits that are short.
fn over(till: &Till, odd: &Odd) -> Till {
    let mut through = till.through(odd);
    let upload = &mut through.options.upload;
    (upload.retry.read_base_ms, upload.retry.write_base_ms, upload.grace_ms) = (20, 20, 50);
    through
}

fn sync(till: &Till) -> SyncReport {
    till.engine().sync().unwrap()
}

fn on_record(till: &Till) -> i64 {
    let sql = rusqlite::Connection::open(&till.path).unwrap();
    sql.query_row("SELECT count(*) FROM tillsync_attempt", [], |row| row.get(0)).unwrap()
}

const AT_ANOTHER_MOMENT: Duration = Duration::from_millis(5_200);

/// The first answer has one record for each that was sent, and nothing was done.
fn does_nothing(
    till: &Till,
    record: impl Fn(&Sandbox, &serde_json::Value) -> serde_json::Value + Send + 'static,
) -> Odd {
    let sandbox = Arc::clone(&till.sandbox);
    Odd::before(&till.sandbox).before_store(move |asked| {
        let records =
            || asked.json().as_array().unwrap().iter().map(|sent| record(&sandbox, sent)).collect::<Vec<_>>();
        (asked.is_put() && asked.nth == 1).then(|| Told::page(&records()))
    })
}

/// Three customers, of whom the first has 50.
fn with_money() -> Till {
    let till = till(3);
    till.office(1, json!({"store_credit_amounts": [{"amount": 50}]}));
    till.engine().pull(Extent::Full).unwrap();
    // Times are whole seconds, and clocks are known to about one: within that nobody can tell.
    std::thread::sleep(Duration::from_millis(2_500));
    till
}

const MONEY: &str = "store_credit_amounts";

#[test]
fn a_yes_that_is_none_of_one_customer_says_nothing_of_what_it_does_not_show_of_another() {
    let till = with_money();
    till.adjust(1, "10");
    till.set(2, "phone", "555");
    let odd = does_nothing(&till, |store, sent| match sent["id"].as_i64() {
        Some(2) => store.customer(2).unwrap(),
        _ => json!({"id": 1}),
    });
    let report = sync(&over(&till, &odd));
    assert_eq!((report.uploaded_customers, report.rejected), (1, 1), "the phone is not shown");
    assert_eq!(odd.count(Kind::Put), 2, "nothing landed: it was read back, and sent again");
    assert_eq!((till.outcomes(1, MONEY), till.remote_value(1, MONEY)), (vec!["uploaded".into()], credit(60)));
}

fn credit(amount: i32) -> String {
    format!(r#"[{{"amount":{amount}}}]"#)
}

fn a_minute_passes(till: &Till) {
    let minute_ago = (chrono::Utc::now() - chrono::TimeDelta::seconds(61)).to_rfc3339();
    let pass = format!(
        "UPDATE tillsync_guard SET writing = 1;
         UPDATE tillsync_attempt SET applied_by = '{minute_ago}';
         UPDATE snapshot SET lately = NULL, engine_mark = NOT engine_mark;
         UPDATE tillsync_guard SET writing = 0;"
    );
    till.store().connection().execute_batch(&pass).unwrap();
}

#[test]
fn a_yes_that_only_repeats_what_was_asked_proves_nothing() {
    let till = with_money();
    till.store().edit(1).set("phone", "555").adjust_credit(10.into()).commit().unwrap();
    let odd = does_nothing(&till, |_, sent| sent.clone());
    let report = sync(&over(&till, &odd));
    assert_eq!((report.uploaded_customers, report.requests.put, on_record(&till)), (1, 1, 2));
    a_minute_passes(&till);
    let report = sync(&till);
    assert_eq!((report.conflicts, report.rejected), (1, 1));
    assert_eq!([till.outcomes(1, MONEY), till.outcomes(1, "phone")], [["held"], ["rejected"]]);
    let open = till.store().conflicts().unwrap().remove(0);
    assert_eq!([open.local, open.remote], [credit(60), credit(50)]);
}

#[test]
fn a_store_that_answers_without_dates_is_not_asked_twice() {
    let till = with_money();
    till.store().edit(1).set("phone", "555").adjust_credit(10.into()).commit().unwrap();
    let odd = Odd::before(&till.sandbox).every(Kind::Put, |told| {
        told.customer(1, |ana| {
            let ana = ana.as_object_mut().unwrap();
            _ = ana.remove("date_modified");
            _ = ana.insert(MONEY.to_owned(), json!([{"amount": 60}]));
        });
    });
    sync(&over(&till, &odd));
    std::thread::sleep(AT_ANOTHER_MOMENT);
    let report = sync(&till);
    assert_eq!((report.requests.get, report.requests.put, on_record(&till)), (1, 0, 0), "the list tells");
    assert_eq!([till.outcomes(1, MONEY), till.outcomes(1, "phone")], [["uploaded"], ["uploaded"]]);
    assert_eq!(till.remote_value(1, MONEY), credit(60));
}

#[test]
fn a_payment_of_which_the_rest_of_its_update_is_seen_not_to_have_landed_is_held() {
    let till = with_money();
    till.store().edit(1).set("phone", "555").adjust_credit(10.into()).commit().unwrap();
    sync(&over(&till, &does_nothing(&till, |_, sent| json!({"id": sent["id"]}))));
    till.office(1, json!({ MONEY: [{"amount": 70}] }));
    std::thread::sleep(AT_ANOTHER_MOMENT);
    let report = sync(&till);
    assert_eq!((report.conflicts, report.rejected), (1, 1));
    assert_eq!([till.outcomes(1, MONEY), till.outcomes(1, "phone")], [["held"], ["rejected"]]);
    till.store().resolve(1, MONEY, &Keep::Local, Some("bo")).unwrap();
    sync(&till);
    assert_eq!(till.remote_value(1, MONEY), credit(80), "on top, as the person was shown");
}

/// Another till takes the same amount later: the time of that is not of the update.
#[test]
fn nor_is_it_proven_by_the_same_sum_at_another_time() {
    let till = with_money();
    till.store().edit(1).set("phone", "555").adjust_credit(10.into()).commit().unwrap();
    sync(&over(&till, &does_nothing(&till, |_, sent| sent.clone())));
    a_minute_passes(&till);
    till.office(1, json!({ MONEY: [{"amount": 60}] }));
    let report = sync(&till);
    assert_eq!((report.conflicts, report.rejected), (1, 1));
    assert_eq!([till.outcomes(1, MONEY), till.outcomes(1, "phone")], [["held"], ["rejected"]]);
    till.store().resolve(1, MONEY, &Keep::Remote, Some("bo")).unwrap();
    assert_eq!(till.local(1, MONEY), credit(60));
}

/// Two of three cannot be taken for deleted without a person's word.
#[test]
fn who_is_in_doubt_is_not_sent_again_while_nobody_believes_that_it_is_gone() {
    let till = till(4);
    let store = Arc::clone(&till.sandbox);
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        told.drop();
        [1, 2, 3].iter().for_each(|id| assert!(store.delete(*id)));
    });
    [1, 2, 3].iter().for_each(|id| till.set(*id, "phone", "555"));
    let mut through = over(&till, &odd);
    through.options.upload.retry.tries = 2;
    _ = through.engine().sync();
    let puts = odd.count(Kind::Put);
    [1, 2, 3].iter().for_each(|id| till.set(*id, "company", "New"));
    _ = through.engine().sync();
    _ = through.engine().sync();
    assert_eq!(odd.count(Kind::Put), puts, "nothing more of them leaves");
    assert_eq!(till.store().status().unwrap().in_flight_batches, 1);
    let mut engine = through.engine();
    engine.allow_deletions(3);
    engine.pull(Extent::Full).unwrap();
    assert_eq!(till.store().status().unwrap().in_flight_batches, 0);
}

/// What was refused is read back at once, and that reading may lag.
#[test]
fn an_edit_that_was_taken_back_is_sent_where_a_refused_update_may_have_landed() {
    let till = till(3);
    till.office(1, json!({"phone": "1"}));
    till.engine().pull(Extent::Full).unwrap();
    let before = till.sandbox.customer(1).unwrap();
    let (path, mut lags) = (till.path.clone(), 0);
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        if asked.is_put() && lags == 0 {
            lags = 1;
            *told = Told::json_of(
                422,
                &json!({"status": 422, "title": "another one is not valid", "errors": {}}),
            );
            let mut store = tillsync::Store::open(&path).unwrap();
            store.edit(1).set("phone", "1").commit().unwrap();
        } else if asked.is_by_id() && lags == 1 {
            lags = 2;
            told.customer(1, |ana| *ana = before.clone());
        }
    });
    till.set(1, "phone", "2");
    till.set(2, "phone", "2");
    sync(&over(&till, &odd));
    sync(&till);
    assert_eq!(till.remote_value(1, "phone"), "\"1\"", "the last word");
}

// ---- seen as it was before, and then moved by another hand -------------------------------------------------------

/// Four customers with 50, a size and a colour, and what a yes to an update of them tells that was none.
fn told_less() -> Till {
    let till = till(5);
    for id in 1..=4 {
        till.office(id, json!({ MONEY: [{"amount": 50}], "form_fields": forms("M", "red") }));
    }
    till.engine().pull(Extent::Full).unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    till
}

fn forms(size: &str, colour: &str) -> serde_json::Value {
    json!([{"name": "Colour", "value": colour}, {"name": "Size", "value": size}])
}

fn forms_of_store(till: &Till, id: i32) -> serde_json::Value {
    let mut entries = till.sandbox.customer(id).unwrap()["form_fields"].clone();
    let entries_of = entries.as_array_mut().unwrap();
    entries_of.iter_mut().for_each(|entry| _ = entry.as_object_mut().unwrap().remove("customer_id"));
    entries
}

/// Only the id; the record as it was, without credit and form fields; the same with a new date; what was asked.
fn less(store: &Sandbox, sent: &serde_json::Value) -> serde_json::Value {
    let id = sent["id"].as_i64().unwrap();
    let mut record = store.customer(id as i32).unwrap();
    let members = record.as_object_mut().unwrap();
    members.retain(|name, _| ![MONEY, "form_fields"].contains(&name.as_str()));
    match id {
        1 => json!({"id": 1}),
        2 => record,
        3 => {
            let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            members.insert("date_modified".to_owned(), json!(now));
            record
        }
        _ => sent.clone(),
    }
}

#[test]
fn a_payment_that_was_seen_as_before_and_then_moved_by_somebody_else_is_held() {
    let till = told_less();
    (1..=4).for_each(|id| till.adjust(id, "-5"));
    let odd = does_nothing(&till, less);
    assert_eq!(sync(&over(&till, &odd)).uploaded_customers, 4);
    std::thread::sleep(AT_ANOTHER_MOMENT);
    sync(&till);
    (1..=4).for_each(|id| assert_eq!(till.outcomes(id, MONEY), ["uploaded"], "reads may lag"));
    till.adjust(2, "-1");
    (1..=4).for_each(|id| till.office(id, json!({ MONEY: [{"amount": if id == 4 { 45 } else { 75 }}] })));
    sync(&till);
    a_minute_passes(&till);
    sync(&till);
    let open = till.store().conflicts().unwrap();
    assert_eq!(open.len(), 4, "{open:?}");
    for (conflict, amount) in open.iter().zip([75, 75, 75, 45]) {
        assert_eq!((&conflict.local, &conflict.remote), (&credit(amount - 5), &credit(amount)));
    }
    assert_eq!(till.outcomes(2, MONEY), ["held", "pending"], "the next one is certain");
    till.store().resolve(2, MONEY, &Keep::Remote, Some("bo")).unwrap();
    sync(&till);
    assert_eq!((till.outcomes(2, MONEY)[1].as_str(), till.remote_value(2, MONEY)), ("uploaded", credit(74)));
}

/// Reads by id, and lists, show a customer as it was while this is on.
fn lags(till: &Till, id: i32, was: serde_json::Value, is_behind: &Arc<AtomicBool>) -> Odd {
    let (store, is_behind) = (Arc::clone(&till.sandbox), Arc::clone(is_behind));
    Odd::before(&till.sandbox).answer(move |asked, told| {
        if asked.is_put() {
            told.edit(|body| body["data"] = json!([{ "id": id }]));
            assert!(store.customer(id).is_some());
        } else if is_behind.load(Ordering::Relaxed) {
            told.customer(id.into(), |shown| *shown = was.clone());
        }
    })
}

#[test]
fn a_payment_that_landed_and_is_shown_late_is_no_question_unless_somebody_else_moved_it() {
    let till = told_less();
    let is_behind = Arc::new(AtomicBool::new(true));
    let odd = lags(&till, 1, till.sandbox.customer(1).unwrap(), &is_behind);
    let through = over(&till, &odd);
    till.adjust(1, "-5");
    sync(&through);
    std::thread::sleep(AT_ANOTHER_MOMENT);
    sync(&through);
    till.adjust(1, "-1");
    sync(&through);
    assert_eq!(till.outcomes(1, MONEY), ["uploaded", "pending"], "nothing stands on a reading that may lag");
    is_behind.store(false, Ordering::Relaxed);
    sync(&through);
    assert_eq!(
        (till.outcomes(1, MONEY), till.remote_value(1, MONEY)),
        (vec!["uploaded".into(); 2], credit(44))
    );
    assert_eq!(till.store().conflicts().unwrap().len(), 0);
    // And now another hand comes, while reads are behind.
    is_behind.store(true, Ordering::Relaxed);
    drop(odd);
    let odd = lags(&till, 1, till.sandbox.customer(1).unwrap(), &is_behind);
    let through = over(&till, &odd);
    std::thread::sleep(AT_ANOTHER_MOMENT);
    till.minute_passes();
    till.adjust(1, "-5");
    sync(&through);
    assert_eq!(till.remote_value(1, MONEY), credit(39));
    std::thread::sleep(AT_ANOTHER_MOMENT);
    sync(&through);
    till.office(1, json!({ MONEY: [{"amount": 64}] }));
    is_behind.store(false, Ordering::Relaxed);
    sync(&through);
    assert_eq!(till.outcomes(1, MONEY)[2], "held", "nobody knows");
    assert_eq!(
        (odd.count(Kind::Put), till.remote_value(1, MONEY)),
        (1, credit(64)),
        "and nothing is sent again"
    );
}

/// The record is that of now, and of its credit a cache tells: nobody else was there, and nobody is asked for good.
#[test]
fn a_payment_whose_balance_is_shown_late_in_a_record_of_now_is_no_question_in_the_end() {
    let till = told_less();
    let is_behind = Arc::new(AtomicBool::new(true));
    let behind = Arc::clone(&is_behind);
    let odd = Odd::before(&till.sandbox).answer(move |_, told| {
        if behind.load(Ordering::Relaxed) {
            told.customer(1, |shown| shown[MONEY] = json!([{"amount": 50}]));
        }
    });
    let through = over(&till, &odd);
    till.adjust(1, "5");
    sync(&through);
    std::thread::sleep(AT_ANOTHER_MOMENT);
    sync(&through);
    till.adjust(1, "-1");
    sync(&through);
    assert_eq!(odd.count(Kind::Put), 1, "nothing is sent again, and nothing stands on what is not known");
    is_behind.store(false, Ordering::Relaxed);
    till.minute_passes();
    through.engine().pull(tillsync::Extent::Full).unwrap();
    sync(&through);
    assert_eq!(till.store().conflicts().unwrap().len(), 0);
    assert_eq!(till.outcomes(1, MONEY), ["uploaded"; 2]);
    assert_eq!((till.local(1, MONEY), till.remote_value(1, MONEY)), (credit(54), credit(54)));
}

#[test]
fn what_was_there_before_the_base_is_no_news_of_a_payment_that_is_not_shown() {
    let till = told_less();
    till.adjust(1, "10");
    sync(&till);
    assert_eq!(till.remote_value(1, MONEY), credit(60));
    let is_behind = Arc::new(AtomicBool::new(false));
    let mut long_ago = till.sandbox.customer(1).unwrap();
    long_ago[MONEY] = json!([{"amount": 50}]);
    till.adjust(1, "-5");
    sync(&over(&till, &does_nothing(&till, less)));
    std::thread::sleep(AT_ANOTHER_MOMENT);
    is_behind.store(true, Ordering::Relaxed);
    let odd = lags(&till, 1, long_ago, &is_behind);
    sync(&over(&till, &odd));
    a_minute_passes(&till);
    sync(&till);
    assert_eq!(till.outcomes(1, MONEY), ["uploaded", "held"]);
}

#[test]
fn that_another_form_field_was_moved_says_nothing_of_one_that_is_as_before() {
    let till = told_less();
    (1..=4).for_each(|id| till.set(id, "form_fields", &forms("M", "green").to_string()));
    sync(&over(&till, &does_nothing(&till, less)));
    (1..=4).for_each(|id| till.office(id, json!({ "form_fields": forms("L", "red") })));
    std::thread::sleep(AT_ANOTHER_MOMENT);
    sync(&till);
    (1..=4).for_each(|id| assert_eq!(till.local(id, "form_fields"), forms("M", "green").to_string()));
    a_minute_passes(&till);
    assert_eq!(sync(&till).rejected, 4);
    for id in 1..=4 {
        assert_eq!(till.outcomes(id, "form_fields"), ["rejected"]);
        assert_eq!(
            till.local(id, "form_fields"),
            forms("L", "green").to_string(),
            "nothing is gone from sight"
        );
    }
    till.store().retry(None).unwrap();
    sync(&till);
    assert_eq!(forms_of_store(&till, 1), forms("L", "green"));
}

#[test]
fn a_form_field_that_was_seen_as_before_and_then_moved_by_somebody_else_is_held() {
    let till = told_less();
    (1..=4).for_each(|id| till.set(id, "form_fields", &forms("M", "green").to_string()));
    sync(&over(&till, &does_nothing(&till, less)));
    std::thread::sleep(AT_ANOTHER_MOMENT);
    sync(&till);
    (1..=4).for_each(|id| till.office(id, json!({ "form_fields": forms("L", "blue") })));
    a_minute_passes(&till);
    sync(&till);
    let open = till.store().conflicts().unwrap();
    assert_eq!(open.len(), 4);
    for (id, conflict) in (1..=4).zip(open) {
        assert_eq!([till.outcomes(id, "form_fields")], [["held"]]);
        assert_eq!((conflict.field.as_str(), conflict.remote.as_str()), ("form_fields.Colour", "\"blue\""));
        assert_eq!(till.local(id, "form_fields"), forms("L", "green").to_string());
    }
    till.store().resolve(1, "form_fields.Colour", &Keep::Local, Some("bo")).unwrap();
    till.store().resolve(2, "form_fields.Colour", &Keep::Remote, Some("bo")).unwrap();
    sync(&till);
    assert_eq!(forms_of_store(&till, 1), forms("L", "green"));
    assert_eq!(till.local(2, "form_fields"), forms("L", "blue").to_string());
}

/// What was left out stays in the store beside what was given, or not: whatever is there, the rest landed.
#[test]
fn a_form_field_that_landed_is_not_refused_for_one_that_was_left_out_and_moved_by_somebody_else() {
    let till = told_less();
    let is_behind = Arc::new(AtomicBool::new(true));
    let odd = lags(&till, 1, till.sandbox.customer(1).unwrap(), &is_behind);
    let through = over(&till, &odd);
    till.set(1, "form_fields", r#"[{"name":"Size","value":"L"}]"#);
    sync(&through);
    std::thread::sleep(AT_ANOTHER_MOMENT);
    sync(&through);
    till.office(1, json!({ "form_fields": forms("L", "blue") }));
    is_behind.store(false, Ordering::Relaxed);
    assert_eq!(sync(&through).rejected, 0);
    assert_eq!((till.outcomes(1, "form_fields"), on_record(&till)), (vec!["uploaded".to_owned()], 0));
    assert_eq!(till.local(1, "form_fields"), forms("L", "blue").to_string());
}

// ---- empty lists -------------------------------------------------------------------------------------------------

/// Form fields come with an answer to an update only if somebody asks for them, and nobody can.
#[test]
fn an_empty_list_of_form_fields_in_an_answer_tells_nothing_of_them() {
    for nothing in [json!([]), json!(null)] {
        let till = told_less();
        // What is known is old.
        a_minute_passes(&till);
        let odd = Odd::before(&till.sandbox).every(Kind::Put, move |told| {
            told.customers(|all| all.iter_mut().for_each(|one| one["form_fields"] = nothing.clone()));
        });
        let through = over(&till, &odd);
        till.set(1, "phone", "555");
        till.set(2, "form_fields", &forms("M", "green").to_string());
        assert_eq!(sync(&through).uploaded_customers, 2);
        assert_eq!(till.local(1, "form_fields"), forms("M", "red").to_string());
        assert_eq!(till.local(2, "form_fields"), forms("M", "green").to_string());
        till.set(1, "form_fields", &forms("L", "red").to_string());
        sync(&through);
        assert_eq!(forms_of_store(&till, 1), forms("L", "red"));
        sync(&through);
        assert_eq!((till.local(2, "form_fields"), on_record(&till)), (forms("M", "green").to_string(), 0));
    }
}

/// The API takes no empty set of channels: one in an answer is no word about them.
#[test]
fn an_empty_list_of_channels_in_an_answer_tells_nothing_of_them() {
    let till = told_less();
    till.office(1, json!({"channel_ids": [1]}));
    sync(&till);
    let odd = Odd::before(&till.sandbox)
        .every(Kind::Put, |told| told.customer(1, |ana| ana["channel_ids"] = json!([])));
    till.set(1, "phone", "555");
    sync(&over(&till, &odd));
    assert_eq!(
        (till.local(1, "channel_ids").as_str(), till.outcomes(1, "phone")),
        ("[1]", vec!["uploaded".into()])
    );
}
