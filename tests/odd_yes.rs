//! A yes of the store's, and what it is worth: one that does not show what was sent, one that only repeats it, and one that is seen
//! to be none. Over real HTTP; what an answer tells otherwise stands in `tests/odd_uploads.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
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
    assert_eq!(till.remote_value(1, MONEY), credit(60), "as the person was shown");
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
