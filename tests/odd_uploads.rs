//! A store that answers oddly when it is updated: what the till makes of it, over real HTTP. The rows that are named stand in
//! `tests/failures.rs`; these are the answers that are allowed and that nobody expects.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use common::odd::{Kind, Odd, Told};
use common::{Till, till};
use serde_json::json;
use tillsync::sandbox::{Behaviours, Sandbox, Undated};
use tillsync::{Event, Extent, Keep, Progress, SyncReport};

/// A till over a line, with waits that are short.
fn over(till: &Till, odd: &Odd) -> Till {
    let mut through = till.through(odd);
    let upload = &mut through.options.upload;
    (upload.retry.read_base_ms, upload.retry.write_base_ms, upload.grace_ms) = (20, 20, 50);
    through
}

fn edit_all(till: &Till) -> Vec<i64> {
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    let mut store = till.store();
    ids.iter().for_each(|id| _ = store.edit(*id).set("phone", &format!("edited {id}")).commit().unwrap());
    ids
}

fn assert_arrived(till: &Till, ids: impl IntoIterator<Item = i64>) {
    for id in ids {
        assert_eq!(till.remote_value(id, "phone"), format!("\"edited {id}\""), "customer {id}");
        assert_eq!(till.outcomes(id, "phone"), ["uploaded"], "customer {id}");
    }
}

fn sync(till: &Till) -> SyncReport {
    till.engine().sync().unwrap()
}

fn sizes(odd: &Odd) -> Vec<usize> {
    odd.asked().iter().filter(|(asked, _)| asked.is_put()).map(|(asked, _)| asked.ids().len()).collect()
}

// ---- 200, and the values of before -------------------------------------------------------------------------------

#[test]
fn a_200_that_shows_the_values_of_before_and_did_nothing_ends_before_a_person() {
    let till = till(3);
    let sandbox = Arc::clone(&till.sandbox);
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let as_they_are =
            || asked.ids().iter().map(|id| sandbox.customer(*id as i32).unwrap()).collect::<Vec<_>>();
        asked.is_put().then(|| Told::page(&as_they_are()))
    });
    edit_all(&till);
    let report = sync(&over(&till, &odd));
    assert_eq!((report.uploaded_customers, report.rejected, report.requests.put), (0, 3, 1));
    let rejected = till.store().rejected().unwrap();
    assert!(rejected.iter().all(|one| one.reason == "the store accepted the update and does not show it"));
    odd.calm();
    till.store().retry(None).unwrap();
    assert_eq!(sync(&over(&till, &odd)).uploaded_customers, 3);
}

#[test]
fn a_200_that_shows_the_values_of_before_and_did_it_is_read_back_and_has_landed() {
    let till = till(3);
    let before: Vec<_> = (1..=3).map(|id| till.sandbox.customer(id).unwrap()["phone"].clone()).collect();
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        for (place, phone) in before.iter().enumerate() {
            told.customer(place as i64 + 1, |customer| customer["phone"] = phone.clone());
        }
    });
    let ids = edit_all(&till);
    let report = sync(&over(&till, &odd));
    assert_eq!((report.uploaded_customers, report.rejected, report.requests.put), (3, 0, 1));
    assert_arrived(&till, ids);
}

/// Each is told once it has got through, whenever it was found out.
#[test]
fn what_landed_while_it_was_in_doubt_is_told_as_through() {
    for is_found_later in [false, true] {
        let till = till(3);
        let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop);
        let odd = match is_found_later {
            true => odd.before_store(|asked| asked.is_by_id().then(|| Told::empty(503))),
            false => odd,
        };
        edit_all(&till);
        let mut through = over(&till, &odd);
        through.options.upload.retry.tries = 2;
        let told = Arc::new(Mutex::new(Vec::new()));
        let sync = || {
            let told = Arc::clone(&told);
            let mut engine = through.engine().on_event(move |event| {
                if let Event::Progress(Progress::Uploaded { customers, of }) = event {
                    told.lock().unwrap().push((customers, of));
                }
            });
            engine.sync().map(|report| report.uploaded_customers)
        };
        if is_found_later {
            sync().unwrap_err();
            assert!(told.lock().unwrap().is_empty());
            odd.calm();
        }
        assert_eq!(sync().unwrap(), 3);
        assert_eq!(*told.lock().unwrap(), [(3, 3)], "found out by another sync: {is_found_later}");
    }
}

// ---- 422, and whom it means ---------------------------------------------------------------------------------------

/// One of ten is bad, and the refusal names nobody. Only a payment that may have landed, or a refusal that is not the API's, is left
/// alone for the grace first; the rest is split at once.
#[test]
fn a_refusal_is_split_at_once_unless_something_may_have_landed_that_must_not_be_sent_twice() {
    let nameless =
        || Told::json_of(422, &json!({"status": 422, "title": "one of these is bad", "errors": {}}));
    for (pays, is_html, waits) in [(false, false, false), (true, false, true), (false, true, true)] {
        let till = till(10);
        let mut is_first = true;
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            let is_refused = asked.is_put() && asked.ids().contains(&7);
            let is_first = is_refused && std::mem::take(&mut is_first);
            is_refused.then(|| if is_first && is_html { Told::html(422) } else { nameless() })
        });
        let mut through = over(&till, &odd);
        // Whoever does not wait for it is not held up by a slow disk for so long either.
        let grace = Duration::from_secs(if waits { 2 } else { 60 });
        through.options.upload.grace_ms = grace.as_millis() as u64;
        edit_all(&till);
        if pays {
            till.adjust(2, "10");
        }
        let began = Instant::now();
        let report = sync(&through);
        let took = began.elapsed();
        assert_eq!((report.uploaded_customers, report.rejected), (9, 1), "{report:?}");
        assert_eq!(took >= grace, waits, "{took:?}, {pays} {is_html}");
    }
}

// ---- records that are older than what is known -------------------------------------------------------------------

#[test]
fn an_answer_that_is_older_than_what_is_known_settles_what_was_sent_and_is_no_other_news() {
    let till = till(1);
    let old = till.sandbox.customer(1).unwrap();
    till.office(1, json!({"company": "new"}));
    till.engine().pull(Extent::Full).unwrap();
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        let old = old.clone();
        told.customer(1, |customer| {
            let phone = customer["phone"].clone();
            *customer = old;
            customer["phone"] = phone;
        });
    });
    till.set(1, "phone", "555");
    let report = sync(&over(&till, &odd));
    assert_eq!((report.uploaded_customers, report.conflicts), (1, 0));
    assert_eq!(till.local(1, "company"), r#""new""#);
}

/// Neither what was sent nor what is known is given up for it, and the customer is read again.
#[test]
fn an_answer_that_is_older_than_what_is_known_takes_nothing_back() {
    let till = till(1);
    let old = till.sandbox.customer(1).unwrap();
    till.office(1, json!({"phone": "new"}));
    till.engine().pull(Extent::Full).unwrap();
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        let old = old.clone();
        told.customer(1, |customer| *customer = old);
    });
    till.set(1, "phone", "555");
    let report = sync(&over(&till, &odd));
    assert_eq!(
        (report.uploaded_customers, report.conflicts, till.local(1, "phone").as_str()),
        (1, 0, r#""555""#)
    );
    let asked = odd.count(Kind::ById);
    let report = sync(&over(&till, &odd));
    assert_eq!((report.requests.put, odd.count(Kind::ById) - asked), (0, 1), "{report:?}");
    assert_eq!(
        (till.local(1, "phone").as_str(), till.remote_value(1, "phone").as_str()),
        (r#""555""#, r#""555""#)
    );
}

#[test]
fn a_reading_back_that_is_older_than_what_is_known_is_asked_again() {
    let till = till(1);
    let old = till.sandbox.customer(1).unwrap();
    till.office(1, json!({"company": "new"}));
    till.engine().pull(Extent::Full).unwrap();
    let mut lags = 0;
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop).every(Kind::ById, move |told| {
        lags += 1;
        // The look for the batch is up to date, and two readings back are not.
        if [2, 3].contains(&lags) {
            let old = old.clone();
            told.customer(1, |customer| *customer = old);
        }
    });
    till.adjust(1, "10");
    till.set(1, "phone", "555");
    let report = sync(&over(&till, &odd));
    assert_eq!((report.uploaded_customers, report.conflicts, odd.count(Kind::ById)), (1, 0, 4), "{report:?}");
    assert_eq!(till.local(1, "company"), r#""new""#);
}

#[test]
fn a_look_that_is_older_than_what_is_known_is_no_look() {
    let till = till(1);
    let old = till.sandbox.customer(1).unwrap();
    till.office(1, json!({"company": "new"}));
    till.engine().pull(Extent::Full).unwrap();
    till.office(1, json!({"store_credit_amounts": [{"amount": 30}]}));
    let odd = Odd::before(&till.sandbox).nth(Kind::ById, 1, move |told| {
        let old = old.clone();
        told.customer(1, |customer| *customer = old);
    });
    till.adjust(1, "10");
    let report = over(&till, &odd).engine().push().unwrap();
    assert_eq!((report.uploaded_customers, report.looks), (1, 2), "{report:?}");
    assert_eq!(till.sandbox.customer(1).unwrap()["store_credit_amounts"][0]["amount"].as_f64(), Some(40.0));
}

#[test]
fn who_only_kept_others_company_is_news_too() {
    let till = till(9);
    let mut times = 0;
    let odd = Odd::before(&till.sandbox).every(Kind::ById, move |told| {
        times += 1;
        if times == 1 {
            *told = Told::json_of(200, &json!({"data": [], "meta": {}}));
        }
    });
    till.set(5, "phone", "555");
    till.office(1, json!({"company": "new"}));
    let report = over(&till, &odd).engine().push().unwrap();
    assert_eq!((report.uploaded_customers, odd.count(Kind::ById)), (1, 2));
    assert_eq!(till.local(1, "company"), r#""new""#);
}

#[test]
fn who_is_in_doubt_and_was_deleted_along_with_its_company_holds_up_no_sync() {
    let till = till(12);
    let store = Arc::clone(&till.sandbox);
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        told.drop();
        [5, 1, 2, 11, 12].iter().for_each(|id| assert!(store.delete(*id)));
    });
    till.set(5, "phone", "555");
    let mut through = over(&till, &odd);
    through.options.upload.retry.tries = 2;
    _ = through.engine().sync();
    let report = sync(&over(&till, &odd));
    assert_eq!((report.conflicts, till.store().status().unwrap().in_flight_batches), (1, 0));
    assert_eq!(till.store().conflicts().unwrap()[0].field, "*");
}

#[test]
fn an_answer_by_id_that_shows_fewer_than_it_says_is_no_word_about_the_others() {
    let till = till(1);
    let mut times = 0;
    let odd = Odd::before(&till.sandbox).every(Kind::ById, move |told| {
        times += 1;
        // They say that there is one, and show none.
        if times <= 2 {
            told.customers(Vec::clear);
        }
    });
    till.set(1, "phone", "555");
    let report = over(&till, &odd).engine().push().unwrap();
    assert_eq!((report.uploaded_customers, report.conflicts), (1, 0), "{report:?}");
}

#[test]
fn where_totals_say_nothing_an_answer_by_id_that_shows_some_is_no_word_about_the_others() {
    let till = till(4);
    let mut times = 0;
    // Answers hold three at most, and the store is busy for a moment when it is asked for the fourth.
    let odd = Odd::before(&till.sandbox).every(Kind::ById, move |told| {
        times += 1;
        told.edit(|page| page["meta"] = json!({}));
        told.customers(|all| match times {
            1 => all.truncate(3),
            2 | 3 => all.retain(|customer| customer["id"] != 4),
            _ => {}
        });
    });
    (1..=4).for_each(|id| till.set(id, "phone", &format!("edited {id}")));
    let report = over(&till, &odd).engine().push().unwrap();
    assert_eq!((report.uploaded_customers, report.conflicts), (4, 0), "{report:?}");
}

// ---- form fields that move without a newer date ------------------------------------------------------------------

#[test]
fn a_form_field_that_was_changed_without_a_date_is_seen_by_the_look_for_the_batch() {
    let till = till(1);
    let form = |size: &str| json!({"form_fields": [{"name": "size", "value": size}]});
    till.office(1, form("M"));
    till.engine().pull(Extent::Full).unwrap();
    till.office(1, form("L"));
    till.set(1, "form_fields", r#"[{"name":"size","value":"S"}]"#);
    let nobody = json!({"data": [], "meta": {}});
    let odd = Odd::before(&till.sandbox).every(Kind::List, move |told| *told = Told::json_of(200, &nobody));
    let report = sync(&over(&till, &odd));
    assert_eq!((report.looks, report.conflicts, report.requests.put), (1, 1, 0), "{report:?}");
}

// ---- store credit that moves without a newer date ----------------------------------------------------------------

#[test]
fn a_payment_elsewhere_that_no_pull_shows_is_seen_by_the_look_for_the_batch() {
    let till = till(1);
    till.office(1, json!({"store_credit_amounts": [{"amount": 50}]}));
    till.engine().pull(Extent::Changes).unwrap();
    till.office(1, json!({"store_credit_amounts": [{"amount": 30}]}));
    till.adjust(1, "-10");
    // The date did not move, so the list does not know of it.
    let nobody = json!({"data": [], "meta": {}});
    let odd = Odd::before(&till.sandbox).every(Kind::List, move |told| *told = Told::json_of(200, &nobody));
    let report = sync(&over(&till, &odd));
    assert_eq!((report.incomplete, report.looks, report.requests.put), (None, 1, 1));
    assert_eq!(till.sandbox.customer(1).unwrap()["store_credit_amounts"][0]["amount"].as_f64(), Some(20.0));
}

#[test]
fn two_tills_that_sell_on_credit_within_a_second_both_count() {
    let one = till(1);
    one.office(1, json!({"store_credit_amounts": [{"amount": 100}]}));
    let two = Till::new(Arc::clone(&one.sandbox));
    let [mut first, mut second] = [&one, &two].map(Till::engine);
    for engine in [&mut first, &mut second] {
        engine.pull(Extent::Changes).unwrap();
    }
    one.adjust(1, "-10");
    two.adjust(1, "-20");
    // Both have just pulled, and a push trusts that for everything but money.
    assert_eq!((first.push().unwrap().looks, second.push().unwrap().looks), (1, 1));
    assert_eq!(one.sandbox.customer(1).unwrap()["store_credit_amounts"][0]["amount"].as_f64(), Some(70.0));
}

// ---- 429 with budget left ----------------------------------------------------------------------------------------

#[test]
fn a_refusal_of_concurrency_costs_tenths_of_a_second_and_not_the_window() {
    let till = till(60);
    let crowded = || {
        let mut told = Told::json_of(429, &json!({"status": 429, "title": "too many concurrent requests"}));
        told.header("X-Rate-Limit-Requests-Left", Some("900000"));
        told.header("X-Rate-Limit-Requests-Quota", Some("1000000"));
        told.header("X-Rate-Limit-Time-Reset-Ms", Some("120000"));
        told
    };
    let odd = Odd::before(&till.sandbox)
        .before_store(move |asked| (asked.is_put() && asked.nth <= 3).then(crowded));
    let ids = edit_all(&till);
    let began = Instant::now();
    let report = sync(&over(&till, &odd));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!((report.slots_refused, report.rate_limited, report.uploaded_customers), (3, 0, 60));
    assert_arrived(&till, ids);
}

// ---- news that nobody asked for ----------------------------------------------------------------------------------

#[test]
fn a_push_asks_for_those_that_it_sends_and_for_nobody_elses_news() {
    let till = till(300);
    till.sandbox.ids().iter().for_each(|id| till.office(i64::from(*id), json!({"company": "news"})));
    (1..=10).for_each(|id| till.set(id, "phone", "555"));
    let odd = Odd::before(&till.sandbox);
    let report = over(&till, &odd).engine().push().unwrap();
    assert_eq!((odd.count(Kind::List), odd.count(Kind::ById), odd.count(Kind::Put)), (0, 1, 1));
    assert_eq!((report.looks, report.pulled, report.uploaded_customers), (1, 10, 10));
}

#[test]
fn who_is_missing_in_a_look_holds_nobody_up_and_is_sent_when_it_is_there_again() {
    let till = till(10);
    let odd = Odd::before(&till.sandbox)
        .nth(Kind::ById, 1, |told| told.customers(|all| all.retain(|customer| customer["id"] != 6)));
    let ids = edit_all(&till);
    let report = over(&till, &odd).engine().push().unwrap();
    assert_eq!((report.uploaded_customers, report.conflicts, report.looks), (10, 0, 2));
    assert_arrived(&till, ids);
}

#[test]
fn answers_that_show_nobody_at_all_make_nobody_deleted() {
    let till = till(30);
    let nobody = |told: &mut Told| told.customers(Vec::clear);
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop).every(Kind::ById, nobody);
    (1..=10).for_each(|id| till.set(id, "phone", &format!("edited {id}")));
    for is_push in [true, false] {
        let mut engine = over(&till, &odd).engine();
        let error = if is_push { engine.push() } else { engine.sync() }.unwrap_err();
        assert!(error.is_offline() && error.to_string().contains("not even"), "{error}");
    }
    assert_eq!(till.store().status().unwrap().conflicts, 0);
    odd.calm();
    assert_eq!(sync(&over(&till, &odd)).conflicts, 0);
    assert_arrived(&till, 1..=10);
}

#[test]
fn more_than_a_share_of_the_file_is_not_taken_for_deleted_by_an_upload() {
    let till = till(100);
    let ids = edit_all(&till);
    // Somebody is shown, and seventy are not, twice.
    let shown: Vec<i64> = ids.iter().copied().take(30).collect();
    let odd = Odd::before(&till.sandbox).every(Kind::ById, move |told| {
        told.customers(|all| all.retain(|customer| shown.contains(&customer["id"].as_i64().unwrap())));
    });
    let report = over(&till, &odd).engine().push().unwrap();
    assert_eq!((report.uploaded_customers, report.conflicts), (30, 0));
    assert_eq!(till.store().status().unwrap().pending_fields, 70);
    odd.calm();
    assert_eq!(sync(&over(&till, &odd)).uploaded_customers, 70);
}

// ---- 5xx for large calls only ------------------------------------------------------------------------------------

#[test]
fn what_a_store_fails_in_large_calls_passes_in_small_ones() {
    let till = till(60);
    let odd = Odd::before(&till.sandbox)
        .before_store(|asked| (asked.is_put() && asked.ids().len() > 4).then(|| Told::html(504)));
    let ids = edit_all(&till);
    let report = sync(&over(&till, &odd));
    assert_eq!(report.uploaded_customers, 60);
    assert_arrived(&till, ids);
    assert!(sizes(&odd).iter().filter(|size| **size > 4).count() <= 24, "{:?}", sizes(&odd));
}

#[test]
fn one_customer_that_fails_alone_is_set_aside_with_its_reason_and_the_others_go_on() {
    let till = till(60);
    let odd = Odd::before(&till.sandbox).before_store(|asked| {
        (asked.is_put() && asked.ids().contains(&7)).then(|| Told::json_of(500, &json!({"title": "no"})))
    });
    let ids = edit_all(&till);
    let error = over(&till, &odd).engine().sync().unwrap_err();
    assert!(error.is_offline() && error.to_string().contains("customer 7, alone in its call"), "{error}");
    assert_arrived(&till, ids.into_iter().filter(|id| *id != 7));
    assert_eq!(till.store().status().unwrap().pending_fields, 1);
}

#[test]
fn a_store_that_fails_every_update_is_not_asked_hundreds_of_times() {
    let till = till(400);
    let odd = Odd::before(&till.sandbox).before_store(|asked| asked.is_put().then(|| Told::html(503)));
    edit_all(&till);
    assert!(over(&till, &odd).engine().sync().unwrap_err().is_offline());
    assert!(odd.count(Kind::Put) <= 60, "{} updates", odd.count(Kind::Put));
}

// ---- 200, and not shown ------------------------------------------------------------------------------------------

/// Updates are answered with yes and the phone alone, which is all that the store takes of them if `takes` says nothing else.
fn tells_the_phone(till: &Till, takes: impl Fn(&Sandbox, i32) + Send + 'static) -> Odd {
    let sandbox = Arc::clone(&till.sandbox);
    Odd::before(&till.sandbox).before_store(move |asked| {
        asked.is_put().then(|| {
            let id = asked.ids()[0] as i32;
            let phone = asked.json()[0]["phone"].clone();
            assert!(sandbox.edit(id, json!({ "phone": phone })));
            takes(&sandbox, id);
            let there = sandbox.customer(id).unwrap();
            Told::page(&[json!({"id": id, "phone": phone, "date_modified": there["date_modified"]})])
        })
    })
}

fn form(size: &str) -> String {
    json!([{"name": "size", "value": size}]).to_string()
}

/// What the store has.
fn size(till: &Till) -> String {
    let there: serde_json::Value = serde_json::from_str(&till.remote_value(1, "form_fields")).unwrap();
    there[0]["value"].as_str().unwrap().to_owned()
}

/// Ana's size was M.
fn with_a_size() -> Till {
    let till = till(3);
    till.office(1, json!({"form_fields": [{"name": "size", "value": "M"}]}));
    till.engine().pull(Extent::Full).unwrap();
    till.store().edit(1).set("phone", "555").set("form_fields", &form("L")).commit().unwrap();
    till
}

fn on_record(till: &Till) -> i64 {
    let sql = rusqlite::Connection::open(&till.path).unwrap();
    sql.query_row("SELECT count(*) FROM tillsync_attempt", [], |row| row.get(0)).unwrap()
}

fn is_there(till: &Till) -> bool {
    let sql = rusqlite::Connection::open(&till.path).unwrap();
    sql.query_row("SELECT count(*) FROM customer WHERE id = 1", [], |row| row.get(0)).unwrap()
}

const AT_ANOTHER_MOMENT: Duration = Duration::from_millis(5_200);

/// Form fields come from somewhere else than the record, and answers and reads show them as they were while `is_behind`; the store has
/// them.
fn shows_an_old_size(till: &Till, is_behind: &Arc<AtomicBool>) -> Odd {
    let is_behind = Arc::clone(is_behind);
    Odd::before(&till.sandbox).answer(move |asked, told| {
        if is_behind.load(Ordering::Relaxed) && (asked.is_put() || asked.is_by_id() || asked.is_list()) {
            told.customers(|all| {
                all.iter_mut()
                    .filter(|customer| customer["id"] == 1)
                    .for_each(|customer| customer["form_fields"] = json!([{"name": "size", "value": "M"}]));
            });
        }
    })
}

#[test]
fn form_fields_that_are_told_late_are_no_refusal() {
    let (till, is_behind) = (with_a_size(), Arc::new(AtomicBool::new(true)));
    let odd = shows_an_old_size(&till, &is_behind);
    let through = over(&till, &odd);
    let report = sync(&through);
    assert_eq!((report.rejected, report.uploaded_fields, on_record(&till)), (0, 2, 1), "{report:?}");
    assert_eq!((size(&till).as_str(), till.local(1, "form_fields")), ("L", form("L")));
    // However often it is read within the minute, and although the record is newer than what is known.
    std::thread::sleep(AT_ANOTHER_MOMENT);
    till.office(1, json!({"company": "New"}));
    (0..3).for_each(|_| assert_eq!(sync(&through).rejected, 0));
    assert_eq!((till.local(1, "form_fields"), on_record(&till)), (form("L"), 1));
    is_behind.store(false, Ordering::Relaxed);
    assert_eq!((sync(&through).rejected, on_record(&till)), (0, 0));
    assert_eq!((till.local(1, "company"), till.local(1, "form_fields")), ("\"New\"".into(), form("L")));
    assert_eq!(odd.asked().iter().filter(|(asked, _)| asked.is_put()).count(), 1);
}

#[test]
fn form_fields_that_are_never_told_wait_for_a_person_when_a_minute_has_passed() {
    let (till, is_behind) = (with_a_size(), Arc::new(AtomicBool::new(true)));
    let odd = shows_an_old_size(&till, &is_behind);
    let through = over(&till, &odd);
    sync(&through);
    till.sent_a_minute_ago();
    assert_eq!((sync(&through).rejected, till.local(1, "form_fields")), (1, form("L")));
    assert_eq!(
        till.store().rejected().unwrap()[0].reason,
        "the store accepted the update and does not show it"
    );
    // It was there all the time: nothing is sent again.
    is_behind.store(false, Ordering::Relaxed);
    sync(&through);
    assert_eq!((till.outcomes(1, "form_fields"), on_record(&till)), (vec!["uploaded".to_owned()], 0));
}

#[test]
fn what_the_store_said_yes_to_and_does_not_have_waits_for_a_person() {
    let till = with_a_size();
    let odd = tells_the_phone(&till, |_, _| {});
    let through = over(&till, &odd);
    sync(&through);
    assert_eq!((till.outcomes(1, "form_fields"), on_record(&till)), (vec!["uploaded".to_owned()], 1));
    // A reading so soon may lag.
    sync(&till);
    assert_eq!(till.outcomes(1, "form_fields"), ["uploaded"]);
    till.sent_a_minute_ago();
    let report = sync(&till);
    assert_eq!((report.rejected, till.local(1, "form_fields")), (1, form("L")), "nothing is gone from sight");
    let rejected = till.store().rejected().unwrap();
    assert_eq!(rejected[0].reason, "the store accepted the update and does not show it");
    assert_eq!(till.outcomes(1, "phone"), ["uploaded"]);
    till.store().retry(None).unwrap();
    sync(&till);
    assert_eq!((size(&till).as_str(), on_record(&till)), ("L", 1));
    sync(&till);
    assert_eq!((till.outcomes(1, "form_fields"), on_record(&till)), (vec!["uploaded".to_owned()], 0));
}

#[test]
fn a_reading_that_is_newer_than_the_yes_is_news_however_soon_it_comes() {
    let till = till(3);
    till.store().edit(1).set("phone", "555").set("notes", "called").commit().unwrap();
    let odd = tells_the_phone(&till, |_, _| {});
    sync(&over(&till, &odd));
    assert_eq!(till.outcomes(1, "notes"), ["uploaded"]);
    // The store's times are whole seconds.
    std::thread::sleep(Duration::from_millis(1_100));
    till.office(1, json!({"company": "New"}));
    assert_eq!(sync(&till).rejected, 1);
    assert_eq!((till.local(1, "company"), till.local(1, "notes")), ("\"New\"".into(), "\"called\"".into()));
}

#[test]
fn a_newer_edit_of_what_was_not_shown_and_did_not_land_is_sent() {
    let till = with_a_size();
    sync(&over(&till, &tells_the_phone(&till, |_, _| {})));
    till.sent_a_minute_ago();
    till.set(1, "form_fields", &form("XL"));
    let report = sync(&till);
    assert_eq!((report.rejected, report.conflicts), (0, 0));
    assert_eq!(size(&till), "XL");
}

#[test]
fn what_the_store_said_yes_to_and_shows_later_is_proven_without_a_call() {
    for (there, why) in [("L", "as it was sent"), ("S", "somebody changed it since")] {
        let till = with_a_size();
        let size = json!({"form_fields": [{"name": "size", "value": there}]});
        sync(&over(&till, &tells_the_phone(&till, move |store, id| assert!(store.edit(id, size.clone())))));
        assert_eq!(on_record(&till), 1);
        let report = sync(&till);
        assert_eq!((report.requests.get, report.rejected, report.conflicts), (1, 0, 0), "{why}");
        assert_eq!((till.local(1, "form_fields"), on_record(&till)), (form(there), 0), "{why}");
        assert_eq!(till.outcomes(1, "form_fields"), ["uploaded"], "{why}");
    }
}

#[test]
fn an_update_that_was_not_applied_at_all_and_answered_by_its_id_is_asked_for() {
    let till = till(3);
    let odd = Odd::before(&till.sandbox)
        .before_store(|asked| asked.is_put().then(|| Told::page(&[json!({"id": asked.ids()[0]})])));
    till.set(1, "phone", "555");
    sync(&over(&till, &odd));
    std::thread::sleep(AT_ANOTHER_MOMENT);
    assert_eq!(sync(&till).rejected, 1);
    assert_eq!(
        (till.local(1, "phone"), till.outcomes(1, "phone")),
        ("\"555\"".into(), vec!["rejected".into()])
    );
    assert_eq!(sync(&till).requests.get, 1, "and not once more");
}

#[test]
fn a_payment_that_the_store_said_yes_to_and_does_not_have_is_held() {
    let till = till(3);
    let money = "store_credit_amounts";
    till.office(1, json!({ money: [{"amount": 50}] }));
    till.engine().pull(Extent::Full).unwrap();
    till.store().edit(1).set("phone", "555").adjust_credit(10.into()).commit().unwrap();
    let odd = tells_the_phone(&till, |_, _| {});
    let through = over(&till, &odd);
    sync(&through);
    std::thread::sleep(AT_ANOTHER_MOMENT);
    // Credit may come from a cache that is behind.
    assert_eq!((sync(&through).conflicts, till.outcomes(1, money)), (0, vec!["uploaded".to_owned()]));
    till.sent_a_minute_ago();
    let report = sync(&through);
    assert_eq!((report.conflicts, till.outcomes(1, money)), (1, vec!["held".to_owned()]));
    let open = till.store().conflicts().unwrap().remove(0);
    assert_eq!([open.local, open.remote], [r#"[{"amount":60}]"#, r#"[{"amount":50}]"#]);
    till.store().resolve(1, money, &Keep::Local, Some("bo")).unwrap();
    sync(&till);
    assert_eq!(till.remote_value(1, money), r#"[{"amount":60}]"#);
}

/// Answers show neither Ana nor that there is one more.
fn hides_ana(till: &Till) -> Odd {
    Odd::before(&till.sandbox).answer(|_, told| {
        told.customers(|all| all.retain(|customer| customer["id"] != 1));
        told.edit(|page| page["meta"]["pagination"]["total"] = json!(page["data"].as_array().unwrap().len()));
    })
}

/// A yes of which nothing was told when its customer went: who was only hidden is held against it, as if never gone.
#[test]
fn what_the_store_said_yes_to_is_not_forgotten_with_a_customer_who_was_hidden() {
    let money = "store_credit_amounts";
    for (lands, outcomes) in [(false, ["rejected", "rejected", "held"]), (true, ["uploaded"; 3])] {
        let till = till(3);
        till.office(1, json!({"form_fields": [{"name": "size", "value": "M"}], money: [{"amount": 50}]}));
        till.engine().pull(Extent::Full).unwrap();
        let mut store = till.store();
        let edit = store.edit(1).set("phone", "555").set("form_fields", &form("L"));
        edit.adjust_credit((-5).into()).commit().unwrap();
        let sandbox = Arc::clone(&till.sandbox);
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            asked.is_put().then(|| {
                let mut sent = asked.json()[0].clone();
                sent.as_object_mut().unwrap().remove("id");
                assert!(!lands || sandbox.edit(1, sent));
                Told::page(&[json!({"id": 1})])
            })
        });
        sync(&over(&till, &odd));
        till.through(&hides_ana(&till)).engine().pull(Extent::Full).unwrap();
        assert!(!is_there(&till));
        // There again, and so soon that what is read of her may lag.
        sync(&till);
        till.engine().pull(Extent::Full).unwrap();
        assert_eq!(is_there(&till), lands);
        assert_eq!((till.outcomes(1, money), on_record(&till) > 0), (vec!["uploaded".to_owned()], !lands));
        till.sent_a_minute_ago();
        sync(&till);
        let ours = ["phone", "form_fields", money].map(|field| till.outcomes(1, field).concat());
        assert_eq!(ours, outcomes, "it landed: {lands}");
        let shown = ["phone", "form_fields", money].map(|field| till.local(1, field));
        assert_eq!(shown, ["\"555\"".to_owned(), form("L"), r#"[{"amount":45}]"#.to_owned()]);
        if !lands {
            let open = till.store().conflicts().unwrap().remove(0);
            assert_eq!([open.local, open.remote], [r#"[{"amount":45}]"#, r#"[{"amount":50}]"#]);
            till.store().resolve(1, money, &Keep::Local, Some("bo")).unwrap();
            till.store().retry(None).unwrap();
            sync(&till);
            assert_eq!(till.remote_value(1, money), r#"[{"amount":45}]"#);
            assert_eq!((till.remote_value(1, "phone"), size(&till).as_str()), ("\"555\"".into(), "L"));
        }
    }
}

/// The same where edits were given up with the customer; and nothing hinders forgetting who never comes back.
#[test]
fn a_yes_outlives_what_was_given_up_with_its_customer_and_is_forgotten_with_who_is_forgotten() {
    for end in ["back", "forgotten", "past its retention"] {
        let till = with_a_size();
        sync(&over(&till, &tells_the_phone(&till, |_, _| {})));
        till.set(1, "company", "New");
        till.through(&hides_ana(&till)).engine().pull(Extent::Full).unwrap();
        till.store().discard(1, Some("*"), Some("bo")).unwrap();
        assert_eq!((is_there(&till), on_record(&till)), (false, 1));
        till.sent_a_minute_ago();
        match end {
            "back" => {
                sync(&till);
                let outcomes = ["form_fields", "company"].map(|field| till.outcomes(1, field).concat());
                assert_eq!(outcomes, ["rejected", "discarded"]);
                assert_eq!(till.local(1, "form_fields"), form("L"));
                continue;
            }
            "forgotten" => assert!(till.store().forget(1).unwrap() > 0),
            _ => assert!(till.store().prune(chrono::Utc::now()).unwrap() > 0),
        }
        assert_eq!(on_record(&till), 0, "{end}");
    }
}

/// The history of what was sent may be gone when a reading tells that it did not land: what is on record waits all the same.
#[test]
fn what_did_not_land_is_told_also_when_its_history_was_pruned() {
    let till = with_a_size();
    sync(&over(&till, &tells_the_phone(&till, |_, _| {})));
    till.store().prune(chrono::Utc::now()).unwrap();
    till.sent_a_minute_ago();
    assert_eq!(sync(&till).rejected, 1);
    // A row that somebody took out by other means stops nobody.
    let till = with_a_size();
    sync(&over(&till, &tells_the_phone(&till, |_, _| {})));
    till.store()
        .connection()
        .execute_batch("BEGIN; UPDATE tillsync_guard SET writing = 1; UPDATE journal SET engine_mark = 2; DELETE FROM journal; UPDATE tillsync_guard SET writing = 0; COMMIT")
        .unwrap();
    till.sent_a_minute_ago();
    sync(&till);
}

/// Where nothing is dated, a look that shows what was there before a yes is no base, however soon it comes.
#[test]
fn no_payment_stands_on_a_look_that_is_not_believed() {
    let till = till(3);
    let money = "store_credit_amounts";
    let behaviours = Behaviours { undated: Undated::StoreCredit, ..Behaviours::default() };
    till.office(1, json!({money: [{"amount": 10}]}));
    till.engine().pull(Extent::Full).unwrap();
    till.sandbox.with_core(|core| core.set_behaviours(behaviours));
    let odd = Odd::before(&till.sandbox).every(Kind::Put, |told| {
        told.customer(1, |ana| _ = ana.as_object_mut().unwrap().remove(money));
    });
    let through = over(&till, &odd);
    till.adjust(1, "5");
    through.engine().push().unwrap();
    till.office(1, json!({money: [{"amount": 10}]}));
    till.adjust(1, "5");
    _ = through.engine().push();
    assert_ne!(till.remote_value(1, money), r#"[{"amount":20}]"#, "what was spent is given back");
}

/// A quota that is used up for long, told with an answer that went well, is a wait like any other.
#[test]
fn a_quota_that_is_used_up_for_long_is_told_as_that_and_waited_for() {
    let till = till(3);
    let odd = Odd::before(&till.sandbox).every(Kind::List, |told| {
        told.header("X-Rate-Limit-Requests-Left", Some("0"));
        told.header("X-Rate-Limit-Time-Reset-Ms", Some("200000"));
        told.header("X-Rate-Limit-Time-Window-Ms", Some("200000"));
    });
    till.set(1, "phone", "555");
    let through = over(&till, &odd);
    let error = through.engine().sync().unwrap_err();
    assert!(!error.to_string().contains("429") && error.to_string().contains("asks to wait for"), "{error}");
    let asked = odd.asked().len();
    assert!(through.engine().sync().is_err());
    assert_eq!((odd.asked().len(), till.store().status().unwrap().throttled_until.is_some()), (asked, true));
}

// ---- waits -------------------------------------------------------------------------------------------------------

fn too_many(headers: &[(&str, &str)]) -> Told {
    let mut told = Told::json_of(429, &json!({"status": 429, "title": "too many requests"}));
    headers.iter().for_each(|(name, value)| told.header(name, Some(value)));
    told
}

#[test]
fn a_wait_that_nobody_means_stops_no_till() {
    for headers in [
        &[("X-Retry-After", "999999999")][..],
        &[("X-Rate-Limit-Time-Reset-Ms", "99999999999"), ("X-Rate-Limit-Requests-Left", "0")],
    ] {
        let till = till(3);
        let mut is_first = true;
        let odd = Odd::before(&till.sandbox)
            .before_store(move |asked| {
                (asked.is_put() && std::mem::take(&mut is_first)).then(|| too_many(headers))
            })
            .every(Kind::Put, |told| told.header("X-Rate-Limit-Time-Window-Ms", Some("99999999999")));
        till.set(1, "phone", "555");
        assert_eq!(sync(&over(&till, &odd)).uploaded_customers, 1);
    }
}

#[test]
fn a_wait_that_is_longer_than_a_sync_may_last_ends_it_and_holds_for_the_next_process() {
    let till = till(3);
    let odd = Odd::before(&till.sandbox)
        .before_store(|asked| asked.is_put().then(|| too_many(&[("X-Retry-After", "200")])));
    till.set(1, "phone", "555");
    let through = over(&till, &odd);
    let error = through.engine().sync().unwrap_err();
    assert!(error.is_offline() && error.to_string().contains("asks to wait for 2"), "{error}");
    let status = till.store().status().unwrap();
    let wait = status.throttled_until.unwrap() - chrono::Utc::now();
    assert!(wait > chrono::TimeDelta::seconds(150) && status.pending_fields == 1, "{wait}");
    let asked = odd.asked().len();
    assert!(through.engine().sync().unwrap_err().is_offline());
    assert_eq!(odd.asked().len(), asked, "nothing is asked before");
}

/// Others have used the window up at once, and tries are spread over the next ones: by that till, for itself.
#[test]
fn a_wait_is_noted_as_the_store_asked_for_it() {
    let till = till(3);
    let used_up = [
        ("X-Rate-Limit-Requests-Quota", "450"),
        ("X-Rate-Limit-Requests-Left", "0"),
        ("X-Rate-Limit-Time-Window-Ms", "210000"),
        ("X-Rate-Limit-Time-Reset-Ms", "200000"),
    ];
    let odd =
        Odd::before(&till.sandbox).before_store(move |asked| asked.is_put().then(|| too_many(&used_up)));
    till.set(1, "phone", "555");
    let through = over(&till, &odd);
    for _ in 0..2 {
        let error = through.engine().sync().unwrap_err().to_string();
        assert!(
            error.contains("asks to wait for 200 s") || error.contains("asks to wait for 199 s"),
            "{error}"
        );
        let wait = till.store().status().unwrap().throttled_until.unwrap() - chrono::Utc::now();
        assert!(wait < TimeDelta::seconds(201), "{wait}");
    }
}

#[test]
fn a_wait_is_over_when_the_clock_was_set_back_since() {
    let till = till(3);
    let mut is_first = true;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        (asked.is_put() && std::mem::take(&mut is_first)).then(|| too_many(&[("X-Retry-After", "200")]))
    });
    till.set(1, "phone", "555");
    let through = over(&till, &odd);
    assert!(through.engine().sync().unwrap_err().is_offline());
    let mut engine = through.engine_ahead(TimeDelta::seconds(-60));
    assert_eq!(engine.push().unwrap().uploaded_customers, 1);
    assert_eq!(till.store().status().unwrap().throttled_until, None);
}

// ---- 413 ---------------------------------------------------------------------------------------------------------

#[test]
fn one_large_note_is_rejected_alone_and_makes_nobody_elses_call_small() {
    let till = till(60);
    let refuse = || Told::json_of(413, &json!({"status": 413, "title": "payload too large"}));
    let odd = Odd::before(&till.sandbox)
        .before_store(move |asked| (asked.is_put() && asked.body.len() > 100_000).then(refuse));
    let ids = edit_all(&till);
    till.set(ids[3], "notes", &"n".repeat(200_000));
    let report = sync(&over(&till, &odd));
    assert_eq!((report.uploaded_customers, report.rejected), (59, 2), "its phone went with its note");
    let rejected = till.store().rejected().unwrap();
    assert!(rejected[0].reason.contains("too large for the store, alone in its call (200"), "{rejected:?}");
    assert_eq!(sizes(&odd).len(), 6 + 2, "{:?}", sizes(&odd));
    // What was learned is about bytes: the next day's calls are whole.
    ids.iter().skip(10).for_each(|id| till.set(*id, "company", "next"));
    assert_eq!(sync(&over(&till, &odd)).requests.put, 5);
}

/// As where other apps of the store use up each window: the look is old before the next one begins.
#[test]
fn where_nothing_is_left_of_any_window_what_was_looked_at_is_sent() {
    let till = till(3);
    till.adjust(1, "10");
    till.set(2, "phone", "555-0142");
    let odd = Odd::before(&till.sandbox).answer(|_, told| {
        told.header("X-Rate-Limit-Requests-Left", Some("0"));
        told.header("X-Rate-Limit-Time-Reset-Ms", Some("2600"));
    });
    let report = over(&till, &odd).engine().push().unwrap();
    assert_eq!((report.uploaded_fields, report.looks), (2, 2));
    assert_eq!((odd.count(Kind::ById), odd.count(Kind::Put)), (2, 1));
    till.assert_no_violations();
}

// ---- questions for customers by id that bring nothing ------------------------------------------------------------

#[test]
fn a_list_of_ids_that_is_refused_is_asked_for_in_smaller_ones_down_to_one() {
    for (status, most) in [(414, 30), (400, 7), (414, 1)] {
        let till = till(60);
        let ids = edit_all(&till);
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            let is_too_long = asked.is_by_id() && asked.ids().len() > most;
            is_too_long.then(|| {
                if status == 414 { Told::html(414) } else { Told::json_of(400, &json!({"status": 400})) }
            })
        });
        let report = over(&till, &odd).engine().push().unwrap();
        assert_eq!(report.uploaded_customers, 60, "{status} {most}");
        assert_arrived(&till, ids);
    }
}

#[test]
fn one_whom_the_store_cannot_show_by_id_is_named_and_the_others_go_up() {
    for no in [Told::html(500), Told::dropped(), Told::html(414), Told::json_of(400, &json!({"status": 400}))]
    {
        let till = till(60);
        let ids = edit_all(&till);
        // What is refused for the list that it is makes lists stay small.
        let most = if [400, 414].contains(&no.status) { 100 } else { 40 };
        let odd = Odd::before(&till.sandbox)
            .before_store(move |asked| (asked.is_by_id() && asked.ids().contains(&7)).then(|| no.clone()));
        let mut through = over(&till, &odd);
        through.options.upload.retry.tries = 3;
        let error = through.engine().push().unwrap_err();
        assert!(error.to_string().contains("customer 7, asked for alone"), "{error}");
        assert_arrived(&till, ids.iter().copied().filter(|id| *id != 7));
        let sizes: Vec<usize> = odd
            .asked()
            .iter()
            .filter(|(asked, _)| asked.is_by_id())
            .map(|(asked, _)| asked.ids().len())
            .collect();
        assert!(sizes.len() < most, "{sizes:?}");
        odd.calm();
        assert_eq!(sync(&till).uploaded_customers, 1);
    }
}

#[test]
fn what_is_in_doubt_of_one_whom_the_store_cannot_show_stops_nobody() {
    let till = till(30);
    till.set(7, "phone", "edited 7");
    till.set(8, "phone", "edited 8");
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop);
    let mut through = over(&till, &odd);
    through.options.upload.retry.tries = 1;
    _ = through.engine().sync();
    till.set(9, "phone", "edited 9");
    let odd = Odd::before(&till.sandbox)
        .before_store(|asked| (asked.is_by_id() && asked.ids().contains(&7)).then(|| Told::html(500)));
    let mut through = over(&till, &odd);
    through.options.upload.retry.tries = 2;
    let error = through.engine().sync().unwrap_err();
    assert!(error.to_string().contains("customer 7, asked for alone"), "{error}");
    assert_arrived(&till, [8, 9]);
    odd.calm();
    sync(&till);
    assert_arrived(&till, [7]);
}

/// A store that can show none of these by id.
fn cannot_show(till: &Till, poison: &'static [i64]) -> Odd {
    Odd::before(&till.sandbox).before_store(move |asked| {
        let is_asked = asked.is_by_id() && asked.ids().iter().any(|id| poison.contains(id));
        is_asked.then(|| Told::html(500))
    })
}

#[test]
fn neighbours_whom_the_store_cannot_show_by_id_are_set_aside_and_the_others_go_up() {
    for poison in [&[1, 2][..], &[1, 2, 29, 30], &[1, 3]] {
        let till = till(30);
        let ids = edit_all(&till);
        let odd = cannot_show(&till, poison);
        let mut through = over(&till, &odd);
        through.options.upload.retry.tries = 2;
        let error = through.engine().push().unwrap_err();
        assert!(error.to_string().contains(", asked for alone"), "{error}");
        assert_arrived(&till, ids.iter().copied().filter(|id| !poison.contains(id)));
        // How many go well depends on how long a reading serves; those that fail are what each of them costs.
        let failed = odd.asked().iter().filter(|(asked, status)| asked.is_by_id() && *status == 500).count();
        assert!(failed <= 4 + 4 * poison.len(), "{failed}");
        odd.calm();
        assert_eq!(sync(&till).uploaded_customers, poison.len() as u64);
    }
}

#[test]
fn what_is_in_doubt_of_neighbours_whom_the_store_cannot_show_stops_nobody() {
    for poison in [&[1, 2][..], &[1, 3], &[3]] {
        let till = till(30);
        poison.iter().for_each(|id| till.set(*id, "phone", &format!("edited {id}")));
        let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop);
        let mut through = over(&till, &odd);
        through.options.upload.retry.tries = 1;
        _ = through.engine().sync();
        assert_eq!(till.store().status().unwrap().in_flight_batches, 1);
        till.set(9, "phone", "edited 9");
        let odd = cannot_show(&till, poison);
        let mut through = over(&till, &odd);
        through.options.upload.retry.tries = 2;
        till.office(20, json!({"company": "theirs"}));
        let error = through.engine().pull(Extent::Changes).unwrap_err();
        assert!(error.to_string().contains(", asked for alone"), "{error}");
        assert_eq!(till.local(20, "company"), r#""theirs""#, "what came is in the file");
        let error = through.engine().sync().unwrap_err();
        assert!(error.to_string().contains(", asked for alone"), "{error}");
        assert_arrived(&till, [9]);
        odd.calm();
        sync(&till);
        assert_arrived(&till, poison.iter().copied());
    }
}

#[test]
fn an_answer_by_id_whose_total_counts_whom_it_does_not_show_makes_nobody_gone() {
    for of in [Kind::ById, Kind::Put] {
        let till = till(30);
        till.set(2, "phone", "edited 2");
        till.set(3, "phone", "edited 3");
        let odd = Odd::before(&till.sandbox).every(Kind::ById, |told| {
            told.customers(|all| all.retain(|customer| customer["id"] != 2));
        });
        let odd = if of == Kind::Put { odd.nth(Kind::Put, 1, Told::drop) } else { odd };
        let mut through = over(&till, &odd);
        if of == Kind::Put {
            through.options.upload.fresh_ms = u64::MAX;
        }
        let report = through.engine().push().unwrap();
        assert_eq!((report.conflicts, report.doubted), (0, 1), "{of:?}: {report:?}");
        assert_arrived(&till, [3]);
        assert!(odd.count(Kind::ById) < 12, "{}", odd.count(Kind::ById));
        odd.calm();
        sync(&till);
        assert_arrived(&till, [2]);
    }
}

#[test]
fn totals_that_are_wrong_of_whoever_is_shown_say_nothing_of_who_is_not() {
    let till = till(30);
    let ids = edit_all(&till);
    assert!(till.sandbox.delete(2));
    let odd = Odd::before(&till.sandbox).every(Kind::ById, |told| {
        told.edit(|page| page["meta"]["pagination"]["total"] = json!(30_000));
    });
    let through = over(&till, &odd);
    for _ in 0..2 {
        _ = through.engine().push().unwrap();
        till.set(5, "phone", "edited 5");
    }
    assert_arrived(&till, ids.into_iter().filter(|id| ![2, 5].contains(id)));
}
