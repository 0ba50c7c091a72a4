//! Money where the store answers oddly: each payment is decided for itself, and nothing about it is guessed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use common::odd::{Kind, Odd, Told};
use common::{Till, sandbox, till};
use serde_json::{Value as Json, json};
use tillsync::sandbox::{Amounts, Behaviours, ResponseAttributes, Tidying, Undated, Untold};
use tillsync::{Conflict, EditSeq, Extent, Keep, Policies, Policy, Rejected, SyncReport};

/// The customer whose money moves.
const ANA: i64 = 2;
const MONEY: &str = "store_credit_amounts";

/// A till and a store in which Ana has so much.
fn with_balance(amount: &str) -> Till {
    let mut till = till(3);
    let retry = &mut till.options.upload.retry;
    (retry.read_base_ms, retry.write_base_ms) = (10, 10);
    till.options.upload.grace_ms = 0;
    // An hour ago: the store's times are whole seconds.
    let balance = format!("{{\"{MONEY}\":[{{\"amount\":{amount}}}]}}");
    let before = Utc::now() - TimeDelta::hours(1);
    till.sandbox.with_core(|core| core.edit_text(before, ANA as i32, &balance)).unwrap();
    till.engine().pull(Extent::Full).unwrap();
    till.sandbox.clear_requests();
    till
}

fn office(till: &Till, amount: &str) {
    till.office(ANA, json!({ MONEY: [{"amount": amount.parse::<f64>().unwrap()}] }));
}

fn sync(till: &Till) -> SyncReport {
    till.engine().sync().unwrap()
}

fn amount(json: &str) -> f64 {
    serde_json::from_str::<Json>(json).unwrap()[0]["amount"].as_f64().unwrap()
}

#[track_caller]
fn check(till: &Till, here: f64, there: f64) {
    let balances = (amount(&till.local(ANA, MONEY)), amount(&till.remote_value(ANA, MONEY)));
    assert_eq!(balances, (here, there), "in the till, in the store");
}

fn conflict(till: &Till) -> Conflict {
    let mut open = till.store().conflicts().unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0)
}

fn outcomes(till: &Till) -> Vec<String> {
    till.outcomes(ANA, MONEY)
}

/// Answers show neither Ana nor that there is one more.
fn hides_ana(till: &Till) -> Odd {
    Odd::before(&till.sandbox).answer(|_, told| {
        told.customers(|all| all.retain(|customer| customer["id"] != ANA));
        told.edit(|page| page["meta"]["pagination"]["total"] = json!(page["data"].as_array().unwrap().len()));
    })
}

/// The store takes no balance below zero.
fn no_debts(till: &Till) -> (Odd, Till) {
    let odd = Odd::before(&till.sandbox).before_store(|asked| {
        let is_debt =
            |customer: &Json| customer[MONEY][0]["amount"].as_f64().is_some_and(|amount| amount < 0.0);
        let customers = asked.json();
        let place = customers.as_array()?.iter().position(is_debt)?;
        let key = format!("{place}.{MONEY}");
        let errors = json!({ key: "the balance may not be negative" });
        Some(Told::json_of(422, &json!({"status": 422, "title": "no debts", "errors": errors})))
    });
    let through = till.through(&odd);
    (odd, through)
}

// ---- in doubt ------------------------------------------------------------------------------------------------------

/// The update lands, its answer is lost, and then somebody brings the balance to `then`.
fn lost(till: &Till, then: &'static str) -> Odd {
    let store = Arc::clone(&till.sandbox);
    Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        told.drop();
        let amount = then.parse::<f64>().unwrap();
        assert!(store.edit(ANA as i32, json!({ MONEY: [{"amount": amount}] })));
    })
}

#[test]
fn a_payment_that_landed_and_was_spent_before_it_was_read_back_is_not_sent_again() {
    let till = with_balance("50");
    let odd = lost(&till, "50");
    till.adjust(ANA, "10");
    let report = sync(&till.through(&odd));
    assert_eq!((report.conflicts, odd.count(Kind::Put)), (1, 1));
    check(&till, 60.0, 50.0);
    let open = conflict(&till);
    assert_eq!((open.local.as_str(), open.remote.as_str()), (r#"[{"amount":60}]"#, r#"[{"amount":50}]"#));
    assert_eq!(outcomes(&till), ["held"]);
    // However often it syncs, and whatever the balance comes to: only a person knows. Times are whole seconds.
    std::thread::sleep(Duration::from_millis(1_100));
    office(&till, "60");
    sync(&till);
    till.minute_passes();
    office(&till, "50");
    sync(&till);
    assert_eq!((outcomes(&till), till.puts().len()), (vec!["held".to_owned()], 1));
    till.store().resolve(ANA, MONEY, &Keep::Remote, Some("bo")).unwrap();
    sync(&till);
    check(&till, 50.0, 50.0);
}

#[test]
fn a_payment_that_did_not_land_is_sent_again_once() {
    let till = with_balance("50");
    let mut lost = false;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        (asked.is_put() && !std::mem::replace(&mut lost, true)).then(Told::dropped)
    });
    till.adjust(ANA, "10");
    sync(&till.through(&odd));
    check(&till, 60.0, 60.0);
    assert_eq!((outcomes(&till), till.puts().len()), (vec!["uploaded".to_owned()], 1));
}

#[test]
fn a_payment_in_doubt_is_held_where_the_store_tells_no_dates() {
    let till = with_balance("50");
    let mut lost = false;
    let odd = Odd::before(&till.sandbox)
        .before_store(move |asked| {
            (asked.is_put() && !std::mem::replace(&mut lost, true)).then(Told::dropped)
        })
        .every(Kind::ById, |told| told.customer(ANA, |ana| ana["date_modified"] = Json::Null));
    till.adjust(ANA, "10");
    sync(&till.through(&odd));
    assert_eq!((outcomes(&till), till.puts().len()), (vec!["held".to_owned()], 0));
}

#[test]
fn a_balance_that_was_set_landed_and_was_taken_back_is_held() {
    let till = with_balance("50");
    let odd = lost(&till, "50");
    till.set(ANA, MONEY, r#"[{"amount":100}]"#);
    sync(&till.through(&odd));
    assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec!["held".to_owned()], 1));
    check(&till, 100.0, 50.0);
    sync(&till);
    assert_eq!(outcomes(&till), ["held"], "a second look at the same is no news");
}

#[test]
fn a_payment_that_went_along_with_a_balance_in_doubt_is_as_doubtful() {
    let till = with_balance("50");
    let odd = lost(&till, "70");
    till.set(ANA, MONEY, r#"[{"amount":100}]"#);
    till.adjust(ANA, "-5");
    sync(&till.through(&odd));
    till.adjust(ANA, "-3");
    assert_eq!(outcomes(&till), ["held", "held", "pending"]);
    let open = conflict(&till);
    assert_eq!((open.local.as_str(), open.seqs.len()), (r#"[{"amount":95}]"#, 2));
    till.store().resolve(ANA, MONEY, &Keep::Remote, None).unwrap();
    sync(&till);
    check(&till, 67.0, 67.0);
}

#[test]
fn no_policy_gives_up_a_payment_that_went_along_with_a_balance_in_doubt() {
    let mut till = with_balance("50");
    till.options.policies = Policies::all(Policy::Remote);
    let odd = lost(&till, "70");
    till.set(ANA, MONEY, r#"[{"amount":100}]"#);
    till.adjust(ANA, "-5");
    sync(&till.through(&odd));
    assert_eq!(outcomes(&till), ["held", "held"]);
    till.store().resolve(ANA, MONEY, &Keep::Local, None).unwrap();
    sync(&till);
    check(&till, 95.0, 95.0);
}

#[test]
fn a_phone_that_landed_and_was_taken_back_is_not_sent_over_that() {
    let till = with_balance("50");
    let before: Json = serde_json::from_str(&till.local(ANA, "phone")).unwrap();
    let (store, old) = (Arc::clone(&till.sandbox), before.clone());
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        told.drop();
        assert!(store.edit(ANA as i32, json!({"phone": old})));
    });
    till.set(ANA, "phone", "555-9");
    sync(&till.through(&odd));
    assert_eq!((till.outcomes(ANA, "phone"), odd.count(Kind::Put)), (vec!["held".to_owned()], 1));
    assert_eq!(till.remote_value(ANA, "phone"), before.to_string());
}

#[test]
fn later_payments_stand_on_what_was_sent() {
    let till = with_balance("50");
    let (late, store) = (till.clone(), Arc::clone(&till.sandbox));
    // The balance is set to 100; while that is on its way 5 are paid here, and elsewhere 10.
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        late.adjust(ANA, "-5");
        assert!(store.edit(ANA as i32, json!({ MONEY: [{"amount": 90}] })));
        told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": 90}]));
    });
    till.set(ANA, MONEY, r#"[{"amount":100}]"#);
    sync(&till.through(&odd));
    check(&till, 85.0, 90.0);
    sync(&till);
    check(&till, 85.0, 85.0);
    assert_eq!(outcomes(&till), ["uploaded", "uploaded"]);
}

// ---- accepted, and another sum -------------------------------------------------------------------------------------

/// The store makes `kept` of the first balance that it is sent, and says so.
fn makes(till: &Till, status: u16, kept: f64) -> Odd {
    let store = Arc::clone(&till.sandbox);
    Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        assert!(store.edit(ANA as i32, json!({ MONEY: [{"amount": kept}] })));
        told.customer(ANA, |ana| *ana = store.customer(ANA as i32).unwrap());
        told.status = status;
    })
}

#[test]
fn a_payment_of_which_a_yes_shows_another_sum_is_held() {
    for (change, sent, kept, why) in [
        ("100", 150.0, 120.0, "the store knows no balance above that"),
        ("5.0049", 55.0049, 55.0, "it keeps cents"),
        ("5.9", 55.9, 55.0, "it keeps whole units"),
        ("-45", 5.0, 20.0, "it knows a lowest one"),
        ("10", 60.0, 35.0, "it did not apply it, and somebody spent 15"),
    ] {
        for status in [200, 207] {
            let till = with_balance("50");
            till.store()
                .edit(ANA)
                .set("phone", "555")
                .adjust_credit(change.parse().unwrap())
                .commit()
                .unwrap();
            let odd = makes(&till, status, kept);
            let through = till.through(&odd);
            let report = sync(&through);
            assert_eq!((outcomes(&till), report.conflicts), (vec!["held".to_owned()], 1), "{why}");
            assert_eq!(till.outcomes(ANA, "phone"), ["uploaded"], "what else was sent has landed");
            assert_eq!((odd.count(Kind::Put), odd.count(Kind::ById)), (1, 1), "no call but the look before");
            let open = conflict(&till);
            assert_eq!((amount(&open.local), amount(&open.remote)), (sent, kept), "{why}");
            check(&till, sent, kept);
            // A payment that is made after it is on top of whatever is decided.
            till.adjust(ANA, "-3");
            sync(&through);
            assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec!["held".into(), "pending".into()], 1));
            till.store().resolve(ANA, MONEY, &Keep::Remote, Some("bo")).unwrap();
            sync(&through);
            check(&till, kept - 3.0, kept - 3.0);
        }
    }
}

#[test]
fn a_payment_that_a_yes_shows_as_it_was_sent_needs_nobody() {
    let till = with_balance("50");
    till.adjust(ANA, "0.1");
    let odd = Odd::before(&till.sandbox).every(Kind::Put, |told| {
        told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": "here"}]));
        told.replace(r#""here""#, "50.100000000000001");
    });
    let report = sync(&till.through(&odd));
    assert_eq!((outcomes(&till), report.conflicts), (vec!["uploaded".to_owned()], 0));
}

#[test]
fn a_balance_that_was_set_and_is_shown_as_another_has_landed_and_was_changed() {
    let till = with_balance("50");
    till.set(ANA, MONEY, r#"[{"amount":150}]"#);
    let report = sync(&till.through(&makes(&till, 200, 120.0)));
    check(&till, 120.0, 120.0);
    assert_eq!((outcomes(&till), report.conflicts), (vec!["uploaded".to_owned()], 0));
}

// ---- refused, and applied all the same -----------------------------------------------------------------------------

/// The first update is applied, and answered so.
fn lies(till: &Till, status: u16) -> Odd {
    let body = json!({"status": status, "title": "no", "errors": {}});
    Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| *told = Told::json_of(status, &body))
}

/// The customers as they were when the line was made: what a replica shows that has heard of no update yet.
fn lagging(till: &Till, odd: Odd) -> Odd {
    let mut lags = 2;
    let old = till.sandbox.customer(ANA as i32).unwrap();
    let mut has_put = false;
    odd.answer(move |asked, told| {
        has_put |= asked.is_put();
        if has_put && asked.is_by_id() && lags > 0 {
            lags -= 1;
            let old = old.clone();
            told.customer(ANA, |ana| *ana = old);
        }
    })
}

#[test]
fn a_payment_that_was_refused_and_applied_all_the_same_is_not_sent_again() {
    for status in [429, 401, 403, 404, 413, 409, 400, 415, 422, 503] {
        let till = with_balance("50");
        let odd = lies(&till, status);
        till.adjust(ANA, "10");
        let through = till.through(&odd);
        _ = through.engine().sync();
        till.adjust(ANA, "-3");
        sync(&through);
        sync(&through);
        check(&till, 57.0, 57.0);
        assert_eq!(outcomes(&till), ["uploaded", "uploaded"], "{status}");
    }
}

#[test]
fn a_payment_that_was_refused_and_applied_and_spent_is_held() {
    for (status, is_crowded) in [(429, false), (429, true), (401, false), (403, false), (404, false)] {
        let till = with_balance("50");
        let store = Arc::clone(&till.sandbox);
        let odd = lies(&till, status).nth(Kind::Put, 1, move |told| {
            // Tenths of a second later it goes once more, and not from the look of before.
            told.header("X-Rate-Limit-Requests-Left", is_crowded.then_some("50"));
            assert!(store.edit(ANA as i32, json!({ MONEY: [{"amount": 45}] })));
        });
        till.adjust(ANA, "10");
        let through = till.through(&odd);
        _ = through.engine().sync();
        _ = through.engine().sync();
        assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec!["held".to_owned()], 1), "{status}");
    }
}

#[test]
fn a_payment_that_was_too_large_and_applied_all_the_same_is_not_sent_with_a_part_of_the_call() {
    let till = with_balance("50");
    let store = Arc::clone(&till.sandbox);
    let odd = lies(&till, 413).nth(Kind::Put, 1, move |_| {
        // It is spent before anybody looks.
        assert!(store.edit(ANA as i32, json!({ MONEY: [{"amount": 50}] })));
    });
    till.adjust(ANA, "10");
    till.set(1, "phone", "555");
    till.set(3, "phone", "555");
    let through = till.through(&odd);
    sync(&through);
    assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec!["held".to_owned()], 1));
    assert_eq!([1, 3].map(|id| till.outcomes(id, "phone").concat()), ["uploaded"; 2]);
}

#[test]
fn what_was_too_large_alone_and_applied_all_the_same_is_not_rejected() {
    for is_money in [true, false] {
        let till = with_balance("50");
        match is_money {
            true => till.adjust(ANA, "10"),
            false => till.set(ANA, "phone", "555"),
        }
        let odd = lies(&till, 413);
        let report = sync(&till.through(&odd));
        assert_eq!(
            (report.uploaded_customers, report.rejected, odd.count(Kind::Put)),
            (1, 0, 1),
            "{is_money}"
        );
    }
}

#[test]
fn a_payment_that_was_refused_and_not_applied_is_sent_again_once() {
    for status in [429, 401, 403, 404] {
        let till = with_balance("50");
        let mut is_first = true;
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            let body = json!({"status": status, "title": "no"});
            (asked.is_put() && std::mem::take(&mut is_first)).then(|| Told::json_of(status, &body))
        });
        till.adjust(ANA, "10");
        let through = till.through(&odd);
        _ = through.engine().sync();
        sync(&through);
        check(&till, 60.0, 60.0);
        assert_eq!((outcomes(&till), till.puts().len()), (vec!["uploaded".to_owned()], 1), "{status}");
    }
}

#[test]
fn a_payment_that_is_refused_time_and_again_is_one_attempt_and_arrives_once() {
    let till = with_balance("50");
    let mut times = 0;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        times += usize::from(asked.is_put());
        (asked.is_put() && times <= 3).then(|| Told::json_of(403, &json!({"status": 403, "title": "no"})))
    });
    till.adjust(ANA, "10");
    let through = till.through(&odd);
    let sql = rusqlite::Connection::open(&till.path).unwrap();
    let on_record =
        || sql.query_row("SELECT count(*) FROM tillsync_attempt", [], |row| row.get::<_, i64>(0)).unwrap();
    for _ in 0..3 {
        assert!(through.engine().sync().unwrap_err().is_auth());
        assert_eq!(on_record(), 1);
    }
    sync(&through);
    check(&till, 60.0, 60.0);
    // The answer does not tell the balance; the next reading does.
    sync(&through);
    assert_eq!(on_record(), 0);
}

#[test]
fn a_payment_that_was_refused_and_applied_and_whose_customer_was_hidden_meanwhile_is_not_sent_again() {
    let till = with_balance("50");
    let odd = lies(&till, 401);
    till.adjust(ANA, "10");
    _ = till.through(&odd).engine().sync();
    let hidden = hides_ana(&till);
    assert_eq!(till.through(&hidden).engine().pull(Extent::Full).unwrap().conflicts, 1);
    assert_eq!((conflict(&till).field.as_str(), outcomes(&till)), ("*", vec!["held".to_owned()]));
    sync(&till);
    sync(&till);
    check(&till, 60.0, 60.0);
    assert_eq!(outcomes(&till), ["uploaded"]);
}

#[test]
fn a_payment_that_was_refused_or_shown_as_before_and_was_applied_and_spent_is_never_rejected() {
    let named = json!({ (format!("0.{MONEY}")): "no" });
    for (status, errors) in
        [(400, json!({})), (409, json!({})), (422, json!({})), (422, named), (200, json!({}))]
    {
        let till = with_balance("50");
        let store = Arc::clone(&till.sandbox);
        let old = till.sandbox.customer(ANA as i32).unwrap();
        let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
            *told = match status {
                200 => Told::page(std::slice::from_ref(&old)),
                _ => Told::json_of(status, &json!({"status": status, "title": "no", "errors": errors})),
            };
            assert!(store.edit(ANA as i32, json!({ MONEY: [{"amount": 50}] })));
        });
        till.adjust(ANA, "10");
        let through = till.through(&odd);
        sync(&through);
        assert_eq!(outcomes(&till), ["held"], "{status}");
        assert_eq!(till.store().retry(None).unwrap(), 0, "there is nothing to retry");
        sync(&through);
        assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec!["held".to_owned()], 1), "{status}");
    }
}

#[test]
fn a_payment_that_a_person_sends_again_and_that_had_landed_after_all_is_not_sent_on_top() {
    for is_seen in [true, false] {
        let till = with_balance("50");
        let store = Arc::clone(&till.sandbox);
        let mut is_first = true;
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            (asked.is_put() && std::mem::take(&mut is_first)).then(|| {
                assert!(store.edit(ANA as i32, json!({"phone": "777"})));
                Told::dropped()
            })
        });
        till.adjust(ANA, "10");
        let through = till.through(&odd);
        sync(&through);
        let open = conflict(&till);
        assert_eq!((outcomes(&till), open.remote.as_str()), (vec!["held".to_owned()], r#"[{"amount":50}]"#));
        // It is applied only now.
        office(&till, "60");
        match is_seen {
            true => till.store().resolve_seen(ANA, MONEY, &Keep::Local, &open.stamp, Some("bo")).unwrap(),
            false => till.store().resolve(ANA, MONEY, &Keep::Local, Some("bo")).unwrap(),
        };
        till.adjust(ANA, "-4");
        sync(&through);
        check(&till, 56.0, 56.0);
        assert_eq!(till.puts().len(), 1, "what is sent is the payment made since");
    }
}

#[test]
fn a_payment_that_a_person_sends_again_and_that_had_not_landed_is_sent_once() {
    let till = with_balance("50");
    let store = Arc::clone(&till.sandbox);
    let mut is_first = true;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        (asked.is_put() && std::mem::take(&mut is_first)).then(|| {
            assert!(store.edit(ANA as i32, json!({"phone": "777"})));
            Told::dropped()
        })
    });
    till.adjust(ANA, "10");
    let through = till.through(&odd);
    sync(&through);
    till.store().resolve(ANA, MONEY, &Keep::Local, Some("bo")).unwrap();
    sync(&through);
    check(&till, 60.0, 60.0);
}

#[test]
fn a_payment_that_a_person_sends_again_and_that_landed_since_is_not_sent_again() {
    let till = with_balance("50");
    let mut is_first = true;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let body = json!({"status": 422, "title": "no", "errors": {}});
        (asked.is_put() && std::mem::take(&mut is_first)).then(|| Told::json_of(422, &body))
    });
    till.adjust(ANA, "10");
    let through = till.through(&odd);
    sync(&through);
    assert_eq!(outcomes(&till), ["rejected"]);
    check(&till, 50.0, 50.0);
    // The store gets to it late.
    office(&till, "60");
    till.store().retry(None).unwrap();
    let report = through.engine().push().unwrap();
    check(&till, 60.0, 60.0);
    assert_eq!((outcomes(&till), report.requests.put), (vec!["uploaded".to_owned()], 0));
}

#[test]
fn what_an_answer_leaves_open_is_not_read_back_before_the_grace_has_passed() {
    let left_out = json!({"data": [], "meta": {}});
    let some = json!({"data": [], "errors": {"9": "somebody else's"}, "meta": {}});
    let no = json!({"status": 422, "title": "no", "errors": {"5.email": "somebody else's"}});
    for (status, body) in [(200, left_out), (207, some), (422, no.clone()), (409, no.clone()), (400, no)] {
        let mut till = with_balance("50");
        till.options.upload.grace_ms = 400;
        let began = std::time::Instant::now();
        let odd =
            Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| *told = Told::json_of(status, &body));
        let old = till.sandbox.customer(ANA as i32).unwrap();
        // Reads lag behind writes, for less than that.
        let odd = odd.answer(move |asked, told| {
            if asked.is_by_id() && asked.nth > 1 && began.elapsed().as_millis() < 350 {
                let old = old.clone();
                told.customer(ANA, |ana| *ana = old);
            }
        });
        till.store().edit(ANA).set("phone", "555").adjust_credit(10.into()).commit().unwrap();
        sync(&till.through(&odd));
        check(&till, 60.0, 60.0);
        assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec!["uploaded".to_owned()], 1), "{status}");
    }
}

#[test]
fn an_edit_that_was_taken_back_is_sent_while_something_else_may_have_landed() {
    let till = with_balance("50");
    let phone: String = serde_json::from_str(&till.local(ANA, "phone")).unwrap();
    let odd = lagging(&till, lies(&till, 401));
    till.store().edit(ANA).set("phone", "555").adjust_credit(10.into()).commit().unwrap();
    let through = till.through(&odd);
    _ = through.engine().sync();
    till.store().edit(ANA).set("phone", &phone).adjust_credit((-10).into()).commit().unwrap();
    _ = through.engine().push();
    sync(&through);
    assert_eq!(till.remote_value(ANA, "phone"), format!("\"{phone}\""));
    check(&till, 50.0, 50.0);
    assert!(till.store().conflicts().unwrap().is_empty());
}

// ---- a store that does not date credit -----------------------------------------------------------------------------

#[test]
fn where_credit_moves_without_a_date_the_date_of_before_proves_nothing() {
    let till = with_balance("50");
    let old = till.sandbox.customer(ANA as i32).unwrap()["date_modified"].clone();
    let undated = move |told: &mut Told| told.customer(ANA, |ana| ana["date_modified"] = old.clone());
    let odd = Odd::before(&till.sandbox).answer(move |_, told| undated(told));
    till.adjust(ANA, "5");
    sync(&till.through(&odd));
    check(&till, 55.0, 55.0);
    // It lands, the answer is lost, and the shopper spends it: all is as it was before.
    let store = Arc::clone(&till.sandbox);
    let odd = odd.nth(Kind::Put, 1, move |told| {
        told.drop();
        assert!(store.edit(ANA as i32, json!({ MONEY: [{"amount": 55}] })));
    });
    till.adjust(ANA, "10");
    sync(&till.through(&odd));
    assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec!["uploaded".to_owned(), "held".to_owned()], 2));
}

// ---- the same sum by another hand ----------------------------------------------------------------------------------

#[test]
fn the_same_sum_at_a_time_that_cannot_be_of_our_update_is_held() {
    for (seconds, is_held) in [(-1_800, true), (0, false), (60, true)] {
        let till = with_balance("50");
        let store = Arc::clone(&till.sandbox);
        let mut is_first = true;
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            if !asked.is_put() || !std::mem::take(&mut is_first) {
                return None;
            }
            let at = Utc::now() + TimeDelta::seconds(seconds);
            let same = format!("{{\"{MONEY}\":[{{\"amount\":60}}]}}");
            store.with_core(|core| core.edit_text(at, ANA as i32, &same)).unwrap();
            Some(Told::dropped())
        });
        till.adjust(ANA, "10");
        sync(&till.through(&odd));
        let outcome = if is_held { "held" } else { "uploaded" };
        assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec![outcome.to_owned()], 1), "{seconds}");
    }
}

// ---- refused -------------------------------------------------------------------------------------------------------

fn refused(till: &Till) -> Vec<Rejected> {
    till.store().rejected().unwrap()
}

#[test]
fn a_refused_payment_leaves_the_sum_and_later_ones_are_sent_on_their_own() {
    let till = with_balance("50");
    let (_odd, strict) = no_debts(&till);
    till.adjust(ANA, "-100");
    sync(&strict);
    check(&till, 50.0, 50.0);
    assert_eq!(refused(&till)[0].reason, "the balance may not be negative");
    assert_eq!(
        refused(&till)[0].sent.as_deref(),
        Some(r#"{"id":2,"store_credit_amounts":[{"amount":-50}]}"#)
    );
    till.adjust(ANA, "150");
    sync(&strict);
    check(&till, 200.0, 200.0);
    assert_eq!(outcomes(&till), ["rejected", "uploaded"]);
    till.store().retry(None).unwrap();
    check(&till, 100.0, 200.0);
    sync(&strict);
    check(&till, 100.0, 100.0);
    assert_eq!(outcomes(&till), ["uploaded", "uploaded"]);
}

/// The store says of the balance that it may not be, and not because of which payment: any of them may be the one that is right.
#[test]
fn payments_that_were_refused_in_one_update_are_sent_again_each_for_itself() {
    let till = with_balance("50");
    let (_odd, strict) = no_debts(&till);
    ["5", "-100", "-3"].iter().for_each(|amount| till.adjust(ANA, amount));
    sync(&strict);
    assert_eq!(outcomes(&till), ["rejected", "rejected", "rejected"]);
    check(&till, 50.0, 50.0);
    let seqs: Vec<EditSeq> = refused(&till).iter().map(|edit| edit.seq).collect();
    for (seq, balance) in [(seqs[0], 55.0), (seqs[2], 52.0)] {
        till.store().retry_row(seq).unwrap();
        sync(&strict);
        check(&till, balance, balance);
    }
    assert_eq!(outcomes(&till), ["uploaded", "rejected", "uploaded"]);
}

/// A payment that landed, whatever the answer says of it, and of which reads show the balance of before while `lags`.
fn denied_and_lagging(till: &Till, status: u16, lags: &Arc<AtomicBool>) -> Odd {
    let old = till.sandbox.customer(ANA as i32).unwrap();
    let lags = Arc::clone(lags);
    let mut is_first = true;
    Odd::before(&till.sandbox).answer(move |asked, told| {
        let errors = json!({ (format!("0.{MONEY}")): "no" });
        match (asked.is_put(), status) {
            (true, _) if !std::mem::take(&mut is_first) => {}
            (true, 0) => told.drop(),
            (true, 200) => *told = Told::page(std::slice::from_ref(&old)),
            (true, 207) => *told = Told::json_of(207, &json!({"data": [], "errors": errors, "meta": {}})),
            (true, _) => {
                *told = Told::json_of(status, &json!({"status": status, "title": "no", "errors": errors}));
            }
            _ if lags.load(Ordering::Relaxed) => told.customer(ANA, |ana| *ana = old.clone()),
            _ => {}
        }
    })
}

/// Nobody knows whether it had landed by the time that another hand moved the balance: a reading so soon may lag.
#[test]
fn a_payment_that_was_refused_and_seen_as_before_is_held_when_somebody_else_moves_the_balance() {
    for status in [200, 207, 422] {
        for keep in [Keep::Remote, Keep::Local] {
            let (till, lags) = (with_balance("50"), Arc::new(AtomicBool::new(true)));
            let odd = denied_and_lagging(&till, status, &lags);
            let through = till.through(&odd);
            till.adjust(ANA, "10");
            sync(&through);
            assert_eq!(outcomes(&till), ["rejected"], "{status}");
            check(&till, 50.0, 60.0);
            office(&till, "85");
            lags.store(false, Ordering::Relaxed);
            // A person may send it again before anybody has read that.
            if keep == Keep::Local {
                till.store().retry(None).unwrap();
            }
            sync(&through);
            assert_eq!((outcomes(&till), odd.count(Kind::Put)), (vec!["held".to_owned()], 1), "{status}");
            let open = conflict(&till);
            let sides = [open.base, open.local, open.remote].map(|side| amount(&side));
            assert_eq!(sides, [50.0, 95.0, 85.0], "without it, and with it on top: {status}");
            check(&till, 95.0, 85.0);
            till.store().resolve(ANA, MONEY, &keep, Some("bo")).unwrap();
            sync(&through);
            let balance = if keep == Keep::Local { 95.0 } else { 85.0 };
            check(&till, balance, balance);
        }
    }
}

/// Another hand pays the same sum meanwhile: the till's own goes on top once a person says so, and nobody is asked again.
#[test]
fn a_payment_that_a_person_sends_on_top_of_the_same_sum_by_another_hand_is_sent() {
    let till = with_balance("50");
    let mut is_first = true;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let errors = json!({ (format!("0.{MONEY}")): "no" });
        (asked.is_put() && std::mem::take(&mut is_first))
            .then(|| Told::json_of(422, &json!({"status": 422, "title": "no", "errors": errors})))
    });
    let through = till.through(&odd);
    till.adjust(ANA, "10");
    sync(&through);
    assert_eq!(outcomes(&till), ["rejected"]);
    std::thread::sleep(Duration::from_secs(4));
    office(&till, "60");
    sync(&through);
    assert_eq!(outcomes(&till), ["held"]);
    let open = conflict(&till);
    assert_eq!([amount(&open.local), amount(&open.remote)], [70.0, 60.0]);
    till.store().resolve_seen(ANA, MONEY, &Keep::Local, &open.stamp, Some("bo")).unwrap();
    sync(&through);
    assert_eq!(till.store().conflicts().unwrap().len(), 0, "it was said");
    check(&till, 70.0, 70.0);
}

/// A payment that waits for a person is asked about on top of what the store has: also when that moves on.
#[test]
fn a_payment_that_is_held_stays_on_top_of_what_the_store_has() {
    for (first, then) in [("57", "60"), ("46", "49"), ("54", "53"), ("52", "0")] {
        let till = with_balance("50");
        let mut is_first = true;
        let store = Arc::clone(&till.sandbox);
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            (asked.is_put() && std::mem::take(&mut is_first)).then(|| {
                let amount = first.parse::<f64>().unwrap();
                assert!(store.edit(ANA as i32, json!({ MONEY: [{"amount": amount}] })));
                Told::dropped()
            })
        });
        let through = till.through(&odd);
        till.adjust(ANA, "5");
        sync(&through);
        till.adjust(ANA, "-2");
        for now in [first, then] {
            office(&till, now);
            sync(&through);
            till.minute_passes();
            sync(&through);
            let there: f64 = now.parse().unwrap();
            let open = conflict(&till);
            assert_eq!([amount(&open.local), amount(&open.remote)], [there + 5.0, there], "{first} {then}");
            check(&till, there + 3.0, there);
        }
        let there: f64 = then.parse().unwrap();
        till.store().resolve(ANA, MONEY, &Keep::Local, Some("bo")).unwrap();
        sync(&through);
        check(&till, there + 3.0, there + 3.0);
    }
}

/// What is seen as before a minute later has not landed: then it is as refused as the store says.
#[test]
fn a_refused_payment_that_is_seen_as_before_a_minute_later_is_sent_again_over_whatever_there_is() {
    let till = with_balance("50");
    let (_odd, strict) = no_debts(&till);
    till.adjust(ANA, "-100");
    sync(&strict);
    till.sent_a_minute_ago();
    sync(&strict);
    assert_eq!(sync(&strict).requests.get, 1, "it is asked for once");
    office(&till, "200");
    sync(&strict);
    assert_eq!(outcomes(&till), ["rejected"]);
    till.store().retry(None).unwrap();
    sync(&strict);
    check(&till, 100.0, 100.0);
}

/// What was open of a customer who is gone is a part of that, and nothing that was seen before decides any of it.
#[test]
fn a_balance_in_conflict_is_a_part_of_its_customers_end_and_is_asked_about_anew() {
    for is_set in [false, true] {
        let till = with_balance("50");
        let (before, now, ours) = match is_set {
            // Set here and there.
            true => {
                till.set(ANA, MONEY, r#"[{"amount":60}]"#);
                office(&till, "20");
                sync(&till);
                (20.0, 20.0, 60.0)
            }
            // Paid, and spent before that was read back.
            false => {
                till.adjust(ANA, "10");
                sync(&till.through(&lost(&till, "50")));
                (50.0, 20.0, 30.0)
            }
        };
        let stale = conflict(&till);
        assert_eq!((amount(&stale.local), amount(&stale.remote)), (60.0, before));
        till.adjust(ANA, "-3");
        let hides = hides_ana(&till);
        till.through(&hides).engine().pull(Extent::Full).unwrap();
        drop(hides);
        let whole = conflict(&till);
        assert_eq!((whole.field.as_str(), whole.seqs.len()), ("*", 2));
        assert!(whole.local.contains("57"), "{}", whole.local);
        let decide = || {
            let keep = &Keep::Local;
            let refused = [
                till.store().resolve_seen(ANA, MONEY, keep, &stale.stamp, Some("bo")),
                till.store().discard_seen(ANA, MONEY, &stale.stamp, Some("bo")),
            ];
            refused.into_iter().for_each(|refused| assert!(refused.unwrap_err().is_usage()));
        };
        decide();
        assert!(till.store().resolve(ANA, MONEY, &Keep::Local, Some("bo")).unwrap_err().is_usage());
        if !is_set {
            office(&till, "20");
        }
        sync(&till);
        let anew = conflict(&till);
        assert_eq!((anew.field.as_str(), amount(&anew.local), amount(&anew.remote)), (MONEY, ours, now));
        decide();
        // What was paid after it is certain, and went on top of what the store has.
        assert_eq!(outcomes(&till), ["held", "pending"]);
        till.store().resolve_seen(ANA, MONEY, &Keep::Local, &anew.stamp, Some("bo")).unwrap();
        sync(&till);
        check(&till, ours - 3.0, ours - 3.0);
    }
}

#[test]
fn a_payment_made_after_a_refused_one_is_not_thrown_away_with_it() {
    let till = with_balance("50");
    let (_odd, strict) = no_debts(&till);
    till.adjust(ANA, "-100");
    sync(&strict);
    till.adjust(ANA, "5");
    assert_eq!(till.store().discard(ANA, Some(MONEY), Some("bo")).unwrap(), 1);
    assert_eq!(outcomes(&till), ["discarded", "pending"]);
    sync(&strict);
    check(&till, 55.0, 55.0);
}

#[test]
fn refused_payments_are_retried_and_given_up_row_by_row() {
    let till = with_balance("50");
    let (_odd, strict) = no_debts(&till);
    for amount in ["-60", "-70", "-80"] {
        till.adjust(ANA, amount);
        sync(&strict);
    }
    let seqs: Vec<EditSeq> = refused(&till).iter().map(|row| row.seq).collect();
    assert_eq!(seqs.len(), 3);
    let mut store = till.store();
    assert_eq!(store.discard_row(seqs[0], Some("bo")).unwrap(), 1);
    assert_eq!(store.retry_row(seqs[1]).unwrap(), 1);
    check(&till, -20.0, 50.0);
    till.sent_a_minute_ago();
    till.engine().pull(Extent::Full).unwrap();
    office(&till, "100");
    sync(&strict);
    check(&till, 30.0, 30.0);
    assert_eq!(outcomes(&till), ["discarded", "uploaded", "rejected"]);
    for settled in [seqs[0], seqs[1], EditSeq(999)] {
        assert!(store.discard_row(settled, None).unwrap_err().is_usage(), "{settled}");
        assert!(store.retry_row(settled).unwrap_err().is_usage(), "{settled}");
    }
}

/// The balance is set to 20, over 50, and refused.
fn set_and_refused() -> (Odd, Till) {
    let till = with_balance("50");
    let mut is_first = true;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let no = json!({"status": 422, "title": "no", "errors": {}});
        (asked.is_put() && std::mem::take(&mut is_first)).then(|| Told::json_of(422, &no))
    });
    till.set(ANA, MONEY, r#"[{"amount":20}]"#);
    let through = till.through(&odd);
    sync(&through);
    assert_eq!(outcomes(&till), ["rejected"]);
    (odd, through)
}

#[test]
fn a_balance_that_was_set_and_refused_is_held_when_it_is_retried_over_another() {
    for (keep, balance) in [(Keep::Local, 16.0), (Keep::Remote, 296.0)] {
        let (_odd, till) = set_and_refused();
        office(&till, "300");
        sync(&till);
        check(&till, 300.0, 300.0);
        till.store().retry(Some(ANA.into())).unwrap();
        let open = conflict(&till);
        assert_eq!([amount(&open.base), amount(&open.local), amount(&open.remote)], [50.0, 20.0, 300.0]);
        check(&till, 20.0, 300.0);
        till.adjust(ANA, "-4");
        sync(&till);
        assert_eq!(outcomes(&till), ["held", "pending"]);
        till.store().resolve_seen(ANA, MONEY, &keep, &conflict(&till).stamp, Some("bo")).unwrap();
        sync(&till);
        check(&till, balance, balance);
    }
}

#[test]
fn a_payment_that_landed_since_a_balance_was_refused_is_not_undone_by_a_retry() {
    let (_odd, till) = set_and_refused();
    let refused = refused(&till)[0].seq;
    till.adjust(ANA, "2");
    sync(&till);
    check(&till, 52.0, 52.0);
    till.adjust(ANA, "-1");
    till.store().retry_row(refused).unwrap();
    check(&till, 19.0, 52.0);
    sync(&till);
    assert_eq!(outcomes(&till), ["held", "uploaded", "pending"]);
    till.store().discard_row(refused, Some("bo")).unwrap();
    sync(&till);
    check(&till, 51.0, 51.0);
    assert_eq!(till.store().status().unwrap().conflicts, 0);
}

/// The balance was set without it, and would take its place: on top of it stands only what comes after it.
#[test]
fn a_payment_that_was_refused_is_not_sent_again_under_a_balance_that_was_set_since() {
    let till = with_balance("100");
    let mut is_first = true;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let no = json!({"status": 422, "title": "no", "errors": {}});
        (asked.is_put() && std::mem::take(&mut is_first)).then(|| Told::json_of(422, &no))
    });
    let through = till.through(&odd);
    till.adjust(ANA, "10");
    sync(&through);
    let payment = refused(&till)[0].seq;
    till.set(ANA, MONEY, r#"[{"amount":150}]"#);
    let refusal = till.store().retry_row(payment).unwrap_err();
    assert!(refusal.is_usage() && refusal.to_string().contains("sync first"), "{refusal}");
    assert!(till.store().retry(Some(ANA.into())).unwrap_err().is_usage());
    assert_eq!(till.store().retry(None).unwrap(), 0);
    sync(&through);
    check(&till, 150.0, 150.0);
    assert_eq!(outcomes(&till), ["rejected", "uploaded"]);
    till.store().retry_row(payment).unwrap();
    sync(&through);
    check(&till, 160.0, 160.0);
}

/// Set while the payment was counted: what was shown was 110, and nobody but the cashier knows what the 150 are made of.
#[test]
fn whether_a_balance_holds_the_payment_that_was_refused_is_for_a_person_to_say() {
    let till = with_balance("100");
    let (mut is_first, path) = (true, till.path.clone());
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let no = json!({"status": 422, "title": "no", "errors": {}});
        (asked.is_put() && std::mem::take(&mut is_first)).then(|| {
            let mut cashier = tillsync::Store::open(&path).unwrap();
            let balance = r#"[{"amount":150}]"#;
            cashier.edit(ANA).set(MONEY, balance).commit().unwrap();
            Told::json_of(422, &no)
        })
    });
    let through = till.through(&odd);
    till.adjust(ANA, "10");
    sync(&through);
    let payment = refused(&till)[0].seq;
    let refusal = till.store().retry_row(payment).unwrap_err().to_string();
    assert!(!refusal.contains("without"), "{refusal}");
    for told in ["from 110.00 to 150.00", "payment of 10.00", "give edit", "sync first"] {
        assert!(refusal.contains(told), "{told}: {refusal}");
    }
    till.store().discard_row(payment, None).unwrap();
    sync(&through);
    check(&till, 150.0, 150.0);
    assert_eq!(outcomes(&till), ["discarded", "uploaded"]);
}

/// A payment of 10 on 100 that was refused, and a balance of 150 that was set without it, and was refused too.
fn both_refused(is_payment_first: bool) -> (Odd, Till, EditSeq, EditSeq) {
    let till = with_balance("100");
    let mut left = 2;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let no = json!({"status": 422, "title": "no", "errors": {}});
        let is_refused = asked.is_put() && left > 0;
        left -= usize::from(is_refused);
        is_refused.then(|| Told::json_of(422, &no))
    });
    let through = till.through(&odd);
    for is_payment in [is_payment_first, !is_payment_first] {
        match is_payment {
            true => till.adjust(ANA, "10"),
            false => till.set(ANA, MONEY, r#"[{"amount":150}]"#),
        }
        sync(&through);
    }
    check(&till, 100.0, 100.0);
    let seqs: Vec<EditSeq> = refused(&till).iter().map(|one| one.seq).collect();
    let (first, second) = (seqs[0], seqs[1]);
    match is_payment_first {
        true => (odd, through, first, second),
        false => (odd, through, second, first),
    }
}

/// Whichever is sent again first: the balance would take the place of the payment.
#[test]
fn a_refused_balance_is_not_sent_again_over_a_payment_that_it_was_set_without() {
    let (_odd, till, payment, set) = both_refused(true);
    till.store().retry_row(payment).unwrap();
    let names_both = |error: tillsync::Error| {
        let text = error.to_string();
        let is_told = text.contains(&format!("edit {payment}")) && text.contains(&format!("edit {set}"));
        assert!(error.is_usage() && is_told && text.contains("sync first"), "{text}");
    };
    names_both(till.store().retry_row(set).unwrap_err());
    names_both(till.store().retry(Some(ANA.into())).unwrap_err());
    assert_eq!(till.store().retry(None).unwrap(), 0);
    // What does not meet it is sent again all the same.
    check(&till, 110.0, 100.0);
    sync(&till);
    check(&till, 110.0, 110.0);
    assert_eq!(outcomes(&till), ["uploaded", "rejected"]);
    till.store().retry_row(set).unwrap();
    assert_eq!(amount(&conflict(&till).remote), 110.0, "the payment is not overwritten unseen");
    // The other way round, and in the same words.
    let (_odd, till, payment, set) = both_refused(true);
    till.store().retry_row(set).unwrap();
    let error = till.store().retry_row(payment).unwrap_err().to_string();
    assert!(error.contains(&format!("edit {payment}")) && error.contains(&format!("edit {set}")), "{error}");
    sync(&till);
    till.store().retry_row(payment).unwrap();
    sync(&till);
    check(&till, 160.0, 160.0);
}

#[test]
fn all_that_was_refused_is_sent_again_but_what_would_be_swallowed() {
    let (_odd, till, payment, _) = both_refused(true);
    assert_eq!(till.store().retry(None).unwrap(), 1);
    check(&till, 150.0, 100.0);
    assert_eq!(refused(&till).iter().map(|one| one.seq).collect::<Vec<_>>(), [payment]);
    sync(&till);
    assert_eq!(till.store().retry(None).unwrap(), 1);
    sync(&till);
    check(&till, 160.0, 160.0);
    // A payment after the balance goes on top of it, whichever comes first.
    for is_set_first in [true, false] {
        let (_odd, till, payment, set) = both_refused(false);
        let (first, second) = if is_set_first { (set, payment) } else { (payment, set) };
        till.store().retry_row(first).unwrap();
        till.store().retry_row(second).unwrap();
        sync(&till);
        check(&till, 160.0, 160.0);
    }
    // Of one that a newer balance takes the place of already, nothing more is lost.
    let (_odd, till, payment, set) = both_refused(true);
    till.store().retry_row(payment).unwrap();
    till.set(ANA, MONEY, r#"[{"amount":170}]"#);
    till.store().retry_row(set).unwrap();
    sync(&till);
    check(&till, 170.0, 170.0);
}

/// While it is held it goes nowhere, but it is let go as soon as the store takes its change back.
#[test]
fn nor_is_a_payment_sent_again_under_a_balance_that_is_held() {
    let (_odd, till, payment, set) = both_refused(true);
    office(&till, "300");
    sync(&till);
    till.store().retry_row(set).unwrap();
    assert_eq!(amount(&conflict(&till).local), 150.0);
    let error = till.store().retry_row(payment).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("conflict"), "{error}");
    // A moment ago it was so here: a reading that shows that again may lag.
    till.minute_passes();
    office(&till, "100");
    sync(&till);
    sync(&till);
    check(&till, 150.0, 150.0);
    till.store().retry_row(payment).unwrap();
    sync(&till);
    check(&till, 160.0, 160.0);
    assert_eq!(outcomes(&till), ["uploaded", "uploaded"]);
}

#[test]
fn nor_is_a_balance_sent_again_over_such_a_payment_of_which_nobody_knows() {
    let (_odd, till, payment, set) = both_refused(true);
    till.store().retry_row(payment).unwrap();
    let odd = lost(&till, "45");
    sync(&till.through(&odd));
    assert_eq!(outcomes(&till), ["held", "rejected"]);
    let error = till.store().retry_row(set).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("conflict"), "{error}");
}

#[test]
fn nor_by_a_decision_in_sql() {
    let (_odd, till, payment, set) = both_refused(true);
    let app = rusqlite::Connection::open(&till.path).unwrap();
    let decide =
        "INSERT INTO decision (seen, keep, author) SELECT seen, 'retry', 'ana' FROM to_decide ORDER BY id";
    assert_eq!(app.execute(decide, []).unwrap(), 2);
    sync(&till);
    check(&till, 110.0, 110.0);
    assert_eq!(outcomes(&till), ["uploaded", "rejected"]);
    let told = "SELECT outcome || coalesce(': ' || reason, '') FROM decision ORDER BY id";
    let told: Vec<String> =
        app.prepare(told).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let names_both = told[1].contains(&payment.to_string()) && told[1].contains(&set.to_string());
    assert!(told[0] == "done" && told[1].starts_with("refused") && names_both, "{told:?}");
}

#[test]
fn a_balance_that_was_set_and_refused_is_sent_when_it_is_retried_over_the_same() {
    for before in ["", "5"] {
        let till = with_balance("50");
        let mut is_first = true;
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            let no = json!({"status": 422, "title": "no", "errors": {}});
            (asked.is_put() && std::mem::take(&mut is_first)).then(|| Told::json_of(422, &no))
        });
        // Perhaps over a payment that had not arrived.
        if !before.is_empty() {
            till.adjust(ANA, before);
        }
        till.set(ANA, MONEY, r#"[{"amount":20}]"#);
        let through = till.through(&odd);
        sync(&through);
        till.adjust(ANA, "2");
        till.store().retry_row(refused(&till).last().unwrap().seq).unwrap();
        let report = sync(&through);
        check(&till, 22.0, 22.0);
        assert_eq!(report.conflicts, 0, "{before}");
    }
}

/// No reading proves any more that it has not landed.
#[test]
fn a_refused_payment_of_somebody_who_was_changed_since_is_asked_for_once_an_hour() {
    let till = with_balance("50");
    let (_odd, strict) = no_debts(&till);
    till.adjust(ANA, "-100");
    sync(&strict);
    till.office(ANA, json!({"company": "New"}));
    let asked = || [sync(&strict), sync(&strict)].map(|report| report.requests.get - 1);
    till.sent_a_minute_ago();
    assert_eq!(asked(), [1, 1], "within the first hour");
    till.sent_ago(TimeDelta::hours(2));
    assert_eq!(asked(), [0, 0]);
    till.store()
        .connection()
        .execute_batch(
            "UPDATE tillsync_guard SET writing = 1;
             UPDATE state SET value = '2026-01-01T00:00:00.000Z' WHERE key = 'unshown_asked_at';
             UPDATE tillsync_guard SET writing = 0;",
        )
        .unwrap();
    assert_eq!(asked(), [1, 0], "it was long ago");
}

#[test]
fn a_refused_payment_of_somebody_who_was_changed_meanwhile_is_held() {
    let till = with_balance("50");
    let (odd, strict) = no_debts(&till);
    let store = Arc::clone(&till.sandbox);
    let _odd = odd.answer(move |asked, _| {
        if asked.is_put() {
            assert!(store.edit(ANA as i32, json!({"company": "New"})));
        }
    });
    till.adjust(ANA, "-100");
    sync(&strict);
    // The store may have applied it, and somebody have taken it back: the amount is as before, its time is not.
    assert_eq!((outcomes(&till), refused(&till).len()), (vec!["held".to_owned()], 0));
    assert_eq!(conflict(&till).remote, r#"[{"amount":50}]"#);
}

#[test]
fn a_new_edit_frees_what_was_refused_with_a_payment_but_not_the_payment() {
    let till = with_balance("50");
    let mut times = 0;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        times += usize::from(asked.is_put());
        let nothing_named = json!({"status": 422, "title": "something is wrong", "errors": {}});
        (asked.is_put() && times == 1).then(|| Told::json_of(422, &nothing_named))
    });
    let through = till.through(&odd);
    till.store().edit(ANA).set("phone", "bad").adjust_credit(10.into()).commit().unwrap();
    sync(&through);
    assert_eq!(
        (till.outcomes(ANA, "phone"), outcomes(&till)),
        (vec!["rejected".into()], vec!["rejected".into()])
    );
    till.set(ANA, "phone", "555");
    sync(&through);
    assert_eq!(till.outcomes(ANA, "phone"), ["superseded", "uploaded"]);
    assert_eq!(outcomes(&till), ["rejected"]);
    check(&till, 50.0, 50.0);
}

// ---- decided by a person -------------------------------------------------------------------------------------------

/// A payment of 10 is in doubt, since somebody moved the balance meanwhile; then three certain sales are made.
fn held_with_three_sales() -> Till {
    let till = with_balance("50");
    let odd = lost(&till, "45");
    till.adjust(ANA, "10");
    sync(&till.through(&odd));
    ["-4", "-6"].iter().for_each(|amount| till.adjust(ANA, amount));
    sync(&till);
    till.adjust(ANA, "-9");
    assert_eq!(outcomes(&till), ["held", "pending", "pending", "pending"]);
    check(&till, 36.0, 45.0);
    till
}

#[test]
fn a_decision_covers_what_was_in_doubt_and_payments_made_since_go_on_top() {
    for (keep, balance) in
        [(Keep::Remote, 26.0), (Keep::Local, 36.0), (Keep::Value(r#"[{"amount":55}]"#.into()), 36.0)]
    {
        let till = held_with_three_sales();
        let open = conflict(&till);
        assert_eq!((open.local.as_str(), open.seqs.len()), (r#"[{"amount":55}]"#, 1));
        till.store().resolve_seen(ANA, MONEY, &keep, &open.stamp, Some("bo")).unwrap();
        check(&till, balance, 45.0);
        sync(&till);
        check(&till, balance, balance);
        assert_eq!(outcomes(&till)[1..4], ["uploaded", "uploaded", "uploaded"], "{keep:?}");
        assert_eq!(till.store().status().unwrap().conflicts, 0);
    }
}

#[test]
fn a_payment_made_elsewhere_after_the_decision_is_not_overwritten_by_it() {
    let till = held_with_three_sales();
    till.store().resolve(ANA, MONEY, &Keep::Local, Some("bo")).unwrap();
    office(&till, "40");
    sync(&till);
    check(&till, 31.0, 31.0);
}

#[test]
fn a_conflict_that_has_moved_on_is_not_decided_as_it_was_seen() {
    let till = held_with_three_sales();
    let seen = conflict(&till).stamp;
    sync(&till);
    assert_eq!(conflict(&till).stamp, seen, "certain payments do not change what is in doubt");
    office(&till, "44");
    sync(&till);
    let mut store = till.store();
    for error in [
        store.resolve_seen(ANA, MONEY, &Keep::Remote, &seen, None).unwrap_err(),
        store.discard_seen(ANA, MONEY, &seen, None).unwrap_err(),
    ] {
        assert!(error.is_usage(), "{error}");
        let text = error.to_string();
        assert!(text.contains(r#"[{"amount":54}]"#) && text.contains(r#"[{"amount":44}]"#), "{text}");
    }
    let now = conflict(&till).stamp;
    store.discard_seen(ANA, MONEY, &now, None).unwrap();
    check(&till, 25.0, 44.0);
    let over = store.resolve_seen(ANA, MONEY, &Keep::Remote, &now, None).unwrap_err();
    assert!(over.is_usage() && over.to_string().contains("is over"), "{over}");
}

/// 100 was set here over 50, and is held: the store has 205.35. Then 200 is set here, and no sync has come by.
fn held_and_set_again() -> (Till, Conflict) {
    let till = with_balance("50");
    till.set(ANA, MONEY, r#"[{"amount":100}]"#);
    office(&till, "205.35");
    sync(&till);
    let older = conflict(&till);
    till.set(ANA, MONEY, r#"[{"amount":200}]"#);
    (till, older)
}

#[test]
fn a_balance_that_was_set_since_waits_with_the_conflict_and_is_decided_with_it() {
    for (keep, balance) in [
        (Some(Keep::Remote), 201.35),
        (Some(Keep::Local), 196.0),
        (Some(Keep::Value(r#"[{"amount":300}]"#.into())), 296.0),
        (None, 201.35),
    ] {
        let (till, older) = held_and_set_again();
        let decide = |stamp: &str| match &keep {
            Some(keep) => till.store().resolve_seen(ANA, MONEY, keep, stamp, Some("bo")),
            None => till.store().discard_seen(ANA, MONEY, stamp, Some("bo")),
        };
        let refused = decide(&older.stamp).unwrap_err();
        assert!(refused.is_usage(), "{refused}");
        let text = refused.to_string();
        assert!(text.contains(r#"[{"amount":200}]"#) && text.contains("205.35"), "{text}");
        // What is paid since is certain, and changes nothing of what is to be decided.
        let shown = conflict(&till);
        till.adjust(ANA, "-4");
        assert_eq!(conflict(&till), shown);
        assert_eq!((shown.local.as_str(), shown.seqs.len()), (r#"[{"amount":200}]"#, 2));
        assert_eq!(decide(&shown.stamp).unwrap(), 1);
        sync(&till);
        check(&till, balance, balance);
        assert_eq!(till.store().status().unwrap().conflicts, 0, "{keep:?}");
    }
}

#[test]
fn a_conflict_is_shown_before_a_sync_as_it_is_after_it() {
    let (till, _) = held_and_set_again();
    till.adjust(ANA, "-4");
    let before = conflict(&till);
    sync(&till);
    assert_eq!(conflict(&till), before);
    assert_eq!(outcomes(&till), ["held", "held", "pending"]);
}

#[test]
fn a_decision_about_a_balance_gives_up_no_payment_that_was_refused() {
    let till = with_balance("5");
    let (_odd, through) = no_debts(&till);
    till.adjust(ANA, "-10");
    sync(&through);
    assert_eq!(outcomes(&till), ["rejected"]);
    till.set(ANA, MONEY, r#"[{"amount":100}]"#);
    office(&till, "7");
    sync(&through);
    assert_eq!(outcomes(&till), ["rejected", "held"]);
    till.store().discard_seen(ANA, MONEY, &conflict(&till).stamp, Some("bo")).unwrap();
    assert_eq!(outcomes(&till), ["rejected", "discarded"]);
    check(&till, 7.0, 7.0);
}

#[test]
fn a_row_that_is_given_up_leaves_the_conflict_to_what_was_set_since() {
    let (till, older) = held_and_set_again();
    till.store().discard_row(older.seqs[0], Some("bo")).unwrap();
    sync(&till);
    assert_eq!(
        (conflict(&till).local.as_str(), outcomes(&till)),
        (r#"[{"amount":200}]"#, vec!["discarded".to_owned(), "held".to_owned()])
    );
    assert_eq!(
        till.remote_value(ANA, MONEY),
        r#"[{"amount":205.35}]"#,
        "nothing goes over what nobody decided"
    );
}

#[test]
fn what_was_set_since_a_customer_was_shown_as_deleted_is_given_up_with_it_once_it_is_seen() {
    let till = with_balance("50");
    till.set(ANA, "phone", "555");
    assert!(till.sandbox.delete(ANA as i32));
    sync(&till);
    let older = conflict(&till);
    till.set(ANA, "phone", "556");
    till.set(ANA, MONEY, r#"[{"amount":70}]"#);
    till.adjust(ANA, "-4");
    let refused = till.store().discard_seen(ANA, "*", &older.stamp, None).unwrap_err();
    assert!(refused.is_usage() && refused.to_string().contains("556"), "{refused}");
    let shown = conflict(&till);
    assert!(shown.local.contains("556") && shown.local.contains("70") && shown.seqs.len() == 3, "{shown:?}");
    till.store().discard_seen(ANA, "*", &shown.stamp, None).unwrap();
    assert_eq!(till.outcomes(ANA, "phone"), ["discarded", "discarded"]);
    // The payment is certain, and nobody was shown it.
    assert_eq!(outcomes(&till), ["discarded", "held"]);
    assert_eq!(amount(&till.local(ANA, MONEY)), 46.0);
}

#[test]
fn a_balance_is_never_decided_anew() {
    let till = with_balance("50");
    till.adjust(ANA, "-10");
    office(&till, "60");
    sync(&till);
    check(&till, 50.0, 50.0);
    let journal = till.store().journal(None).unwrap();
    let merge = &journal[0].decisions[0];
    assert_eq!(merge.resolution.as_deref(), Some("merged"));
    for error in [
        till.store().undo(merge.id, None).unwrap_err(),
        till.store().resolve(ANA, MONEY, &Keep::Remote, None).unwrap_err(),
    ] {
        assert!(error.is_usage(), "{error}");
    }
    check(&till, 50.0, 50.0);
}

#[test]
fn a_payment_made_after_a_customer_was_shown_as_deleted_is_not_thrown_away_with_it() {
    let till = with_balance("50");
    till.adjust(ANA, "10");
    till.set(ANA, "phone", "555");
    assert!(till.sandbox.delete(ANA as i32));
    sync(&till);
    let shown = conflict(&till);
    assert_eq!((shown.field.as_str(), outcomes(&till)), ("*", vec!["held".to_owned()]));
    till.adjust(ANA, "-4");
    till.store().discard_seen(ANA, "*", &shown.stamp, Some("bo")).unwrap();
    assert_eq!(outcomes(&till), ["discarded", "held"]);
    assert_eq!(till.outcomes(ANA, "phone"), ["discarded"]);
    let later = conflict(&till);
    assert!(
        later.stamp != shown.stamp && later.local.contains("46") && !later.local.contains("phone"),
        "{later:?}"
    );
    assert_eq!(amount(&till.local(ANA, MONEY)), 46.0);
    till.store().discard_seen(ANA, "*", &later.stamp, Some("bo")).unwrap();
    assert_eq!(outcomes(&till), ["discarded", "discarded"]);
    assert_eq!(till.store().status().unwrap().conflicts, 0);
}

// ---- not told ------------------------------------------------------------------------------------------------------

fn untold(till: &Till, untold: Untold) {
    till.sandbox.set_behaviours(Behaviours { untold, ..Behaviours::default() });
}

#[test]
fn a_balance_that_lists_leave_out_is_asked_for_by_id() {
    let till = with_balance("50");
    untold(&till, Untold::CreditInLists);
    till.office(ANA, json!({ MONEY: [{"amount": 62.20}], "company": "New" }));
    till.engine().pull(Extent::Changes).unwrap();
    assert_eq!(amount(&till.local(ANA, MONEY)), 50.0, "what is not told is no news");
    till.adjust(ANA, "-10");
    sync(&till);
    check(&till, 52.2, 52.2);
}

/// Where an answer by id holds only one of them, too: the others are not refused for what nobody asked again.
#[test]
fn balances_that_lists_leave_out_are_asked_for_by_id_until_each_was_shown() {
    let till = Till::new(sandbox(5));
    till.sandbox.set_behaviours(Behaviours {
        untold: Untold::CreditInLists,
        by_id_at_most: 1,
        ..Behaviours::default()
    });
    till.engine().pull(Extent::Changes).unwrap();
    let ids = [2, 3, 4];
    let before = ids.map(|id| amount(&till.remote_value(id, MONEY)));
    ids.iter().for_each(|id| till.adjust(*id, "10"));
    sync(&till);
    assert!(refused(&till).is_empty(), "{:?}", refused(&till));
    let after = ids.map(|id| amount(&till.remote_value(id, MONEY)));
    assert_eq!(after, before.map(|amount| amount + 10.0));
}

#[test]
fn nothing_is_computed_from_a_balance_that_is_not_known() {
    let till = with_balance("50");
    untold(&till, Untold::Credit);
    till.office(ANA, json!({ MONEY: [{"amount": 62.20}] }));
    till.engine().pull(Extent::Changes).unwrap();
    till.adjust(ANA, "-10");
    till.set(ANA, "phone", "555");
    sync(&till);
    sync(&till);
    assert_eq!(amount(&till.remote_value(ANA, MONEY)), 62.2);
    assert_eq!(till.remote_value(ANA, "phone"), "\"555\"", "what is known goes up");
    assert!(refused(&till)[0].reason.contains("does not tell"), "{:?}", refused(&till));
    untold(&till, Untold::Nothing);
    till.store().retry(None).unwrap();
    sync(&till);
    check(&till, 52.2, 52.2);
}

#[test]
fn a_balance_that_is_set_takes_the_place_of_a_payment_of_before_also_when_both_were_refused() {
    let till = with_balance("50");
    untold(&till, Untold::Credit);
    till.office(ANA, json!({ "company": "New" }));
    till.engine().pull(Extent::Changes).unwrap();
    till.adjust(ANA, "-10");
    sync(&till);
    till.set(ANA, MONEY, r#"[{"amount":20}]"#);
    sync(&till);
    assert_eq!(refused(&till).len(), 2, "{:?}", refused(&till));
    till.store().retry(None).unwrap();
    assert_eq!(amount(&till.local(ANA, MONEY)), 20.0);
    untold(&till, Untold::Nothing);
    sync(&till);
    check(&till, 20.0, 20.0);
}

#[test]
fn form_fields_that_lists_leave_out_are_not_replaced_unseen() {
    let till = with_balance("50");
    till.office(ANA, json!({"form_fields": [{"name": "size", "value": "M"}]}));
    untold(&till, Untold::FormFieldsInLists);
    till.engine().pull(Extent::Full).unwrap();
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"red"}]"#);
    sync(&till);
    sync(&till);
    let there: Json = serde_json::from_str(&till.remote_value(ANA, "form_fields")).unwrap();
    let names: Vec<&str> =
        there.as_array().unwrap().iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(names.len(), 2, "{there}");
}

// ---- spelled oddly -------------------------------------------------------------------------------------------------

#[test]
fn money_is_what_it_is_however_it_is_spelled() {
    for amounts in [Amounts::Float, Amounts::Exponent, Amounts::Padded] {
        let till = with_balance("50");
        till.sandbox.set_behaviours(Behaviours { amounts, ..Behaviours::default() });
        office(&till, "43.15");
        till.engine().pull(Extent::Full).unwrap();
        assert_eq!(till.local(ANA, MONEY), r#"[{"amount":43.15}]"#, "{amounts:?}");
        till.adjust(ANA, "-0.05");
        // Through plain SQL the trigger reads the same amount.
        let sql = rusqlite::Connection::open(&till.path).unwrap();
        sql.execute("INSERT INTO store_credit_adjustment VALUES (?1, '-3.1')", [ANA]).unwrap();
        let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop);
        let report = sync(&till.through(&odd));
        assert_eq!((report.conflicts, report.rejected), (0, 0), "{amounts:?}");
        check(&till, 40.0, 40.0);
        assert_eq!(outcomes(&till), ["uploaded", "uploaded"]);
    }
}

#[test]
fn a_store_that_tidies_makes_no_money_of_it() {
    let till = with_balance("50");
    let tidying = Tidying { zero_group: true, empty: true, ..Tidying::USUAL };
    till.sandbox.set_behaviours(Behaviours { tidying, ..Behaviours::default() });
    till.adjust(ANA, "-50");
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop);
    sync(&till.through(&odd));
    check(&till, 0.0, 0.0);
    assert_eq!(outcomes(&till), ["uploaded"]);
}

/// A store that shows a balance of nothing as no amounts.
fn empty_when_zero(till: &Till) -> Odd {
    Odd::before(&till.sandbox).answer(|_, told| {
        told.customer(ANA, |ana| {
            if ana[MONEY] == json!([{"amount": 0}]) || ana[MONEY] == json!([{"amount": 0.0}]) {
                ana[MONEY] = json!([]);
            }
        });
    })
}

/// Of a customer that was changed, what such a store shows again at another moment is so; and it does date credit.
#[test]
fn a_balance_that_is_shown_as_an_empty_list_again_is_zero() {
    let till = with_balance("50");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    till.office(ANA, json!({MONEY: [{"amount": 0}]}));
    let odd = empty_when_zero(&till);
    let through = till.through(&odd);
    sync(&through);
    assert_eq!(till.local(ANA, MONEY), r#"[{"amount":50}]"#, "one look is none");
    std::thread::sleep(std::time::Duration::from_millis(5_100));
    sync(&through);
    assert!(["[]", r#"[{"amount":0}]"#].contains(&till.local(ANA, MONEY).as_str()));
    sync(&through);
    till.adjust(ANA, "7");
    sync(&through);
    check(&till, 7.0, 7.0);
    let made_up =
        "SELECT (SELECT count(*) FROM state WHERE key = 'credit_undated') + (SELECT count(*) FROM conflict)";
    let made_up: i64 = till.store().connection().query_row(made_up, [], |row| row.get(0)).unwrap();
    assert_eq!(made_up, 0, "nothing moved without a date, and nothing was merged");
}

/// Of one that was not, it is a part of the store that fails: nothing is paid on top of it, and nothing is lost.
#[test]
fn no_amounts_of_a_customer_that_nobody_changed_are_no_balance_however_often() {
    let till = with_balance("50");
    let odd = Odd::before(&till.sandbox).answer(|_, told| told.customer(ANA, |ana| ana[MONEY] = json!([])));
    let through = till.through(&odd);
    through.engine().pull(Extent::Full).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5_100));
    through.engine().pull(Extent::Full).unwrap();
    till.adjust(ANA, "7");
    sync(&through);
    assert_eq!(till.remote_value(ANA, MONEY), r#"[{"amount":50}]"#);
    let snapshot = till.store().snapshot(ANA).unwrap().unwrap();
    assert!(snapshot.body().contains(r#""store_credit_amounts":[{"amount":50"#), "{}", snapshot.body());
}

#[test]
fn a_balance_that_is_shown_as_an_empty_list_once_is_not_zero() {
    for kind in [Kind::List, Kind::ById] {
        let till = with_balance("50");
        till.office(ANA, json!({"company": "New"}));
        till.adjust(ANA, "10");
        let mut is_first = true;
        let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
            if asked.kind == kind && std::mem::take(&mut is_first) {
                told.customer(ANA, |ana| ana[MONEY] = json!([]));
            }
        });
        let through = till.through(&odd);
        sync(&through);
        sync(&through);
        check(&till, 60.0, 60.0);
    }
}

// ---- reads that lag, where no date shows it ------------------------------------------------------------------------

/// Who moves the balance a moment before reads lag behind that.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mover {
    /// The till, by an update whose answer tells the new balance.
    Till,
    /// The office, and the till has read it.
    Office,
}

/// What the date of a reading says that shows the balance of before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    /// The store does not date credit.
    Undated,
    /// The credit comes from somewhere else than the record, which bears the date of the change.
    OfTheChange,
    /// The same, and somebody touched the customer since.
    Newer,
    /// None at all.
    Untold,
}

fn is_not_taken_back(mover: Mover, shown: Shown) {
    let till = with_balance("100");
    let undated = if shown == Shown::Undated { Undated::StoreCredit } else { Undated::default() };
    // The answer to an update tells the balance.
    let response = ResponseAttributes::Everything;
    till.sandbox.set_behaviours(Behaviours { undated, response, ..Behaviours::default() });
    match mover {
        Mover::Till => till.adjust(ANA, "10"),
        Mover::Office => office(&till, "110"),
    }
    // A change without a date comes with a pull of everybody.
    till.engine().pull(Extent::Full).unwrap();
    sync(&till);
    check(&till, 110.0, 110.0);
    if shown == Shown::Newer {
        till.office(ANA, json!({"phone": "555-7"}));
    }
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        if !asked.is_put() {
            told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": 100}]));
            if shown == Shown::Untold {
                told.customer(ANA, |ana| _ = ana.as_object_mut().unwrap().remove("date_modified"));
            }
        }
    });
    let lagging = till.through(&odd);
    lagging.engine().pull(Extent::Full).unwrap();
    check(&till, 110.0, 110.0);
    till.adjust(ANA, "5");
    assert_eq!(sync(&lagging).uploaded_customers, 0, "{mover:?} {shown:?}: it waits");
    check(&till, 115.0, 110.0);
    odd.calm();
    let report = sync(&lagging);
    assert_eq!(
        report.uploaded_customers,
        1,
        "{mover:?} {shown:?}: {report:?} {:?}",
        till.store().conflicts()
    );
    check(&till, 115.0, 115.0);
    assert_eq!(
        (till.store().conflicts().unwrap().len(), till.puts().len()),
        (0, if mover == Mover::Till { 2 } else { 1 })
    );
}

#[test]
fn a_balance_that_was_moved_a_moment_ago_is_not_taken_back_by_a_reading_that_lags_whatever_its_date() {
    std::thread::scope(|at_once| {
        for mover in [Mover::Till, Mover::Office] {
            for shown in [Shown::Undated, Shown::OfTheChange, Shown::Newer, Shown::Untold] {
                at_once.spawn(move || is_not_taken_back(mover, shown));
            }
        }
    });
}

/// Reads go on lagging when the 5 s are over in which they are expected to.
#[test]
fn nor_where_the_answer_that_showed_it_bore_no_date() {
    let till = with_balance("100");
    tells_balances(&till);
    let before = till.sandbox.customer(ANA as i32).unwrap();
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        told.customer(ANA, |ana| match asked.is_put() {
            true => _ = ana.as_object_mut().unwrap().remove("date_modified"),
            false => *ana = before.clone(),
        });
    });
    let lagging = till.through(&odd);
    till.adjust(ANA, "10");
    sync(&lagging);
    check(&till, 110.0, 110.0);
    std::thread::sleep(std::time::Duration::from_millis(5_100));
    sync(&lagging);
    check(&till, 110.0, 110.0);
    till.adjust(ANA, "5");
    assert_eq!(sync(&lagging).uploaded_customers, 0, "it waits");
    check(&till, 115.0, 110.0);
    odd.calm();
    sync(&lagging);
    check(&till, 115.0, 115.0);
    assert_eq!((till.store().conflicts().unwrap().len(), till.puts().len()), (0, 2));
}

/// Credit comes from a cache, and no answer to an update tells it.
#[test]
fn nor_where_the_answer_did_not_show_it_and_the_record_is_new() {
    let till = with_balance("100");
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        if !asked.is_put() {
            told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": 100}]));
        }
    });
    let lagging = till.through(&odd);
    till.adjust(ANA, "10");
    sync(&lagging);
    for wait_ms in [1_100, 5_100] {
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        till.office(ANA, json!({"phone": "555-7"}));
        sync(&lagging);
        assert_eq!(till.store().conflicts().unwrap(), []);
        check(&till, 110.0, 110.0);
    }
    till.adjust(ANA, "5");
    assert_eq!(sync(&lagging).uploaded_customers, 0, "it waits");
    odd.calm();
    sync(&lagging);
    check(&till, 115.0, 115.0);
    assert_eq!(outcomes(&till), ["uploaded", "uploaded"]);
}

#[test]
fn nor_by_the_answer_to_an_update_of_something_else() {
    let till = with_balance("100");
    till.adjust(ANA, "10");
    sync(&till);
    let odd = Odd::before(&till.sandbox)
        .every(Kind::Put, |told| told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": 100}])));
    till.set(ANA, "phone", "555-7");
    let mut engine = till.through(&odd).engine();
    assert_eq!(engine.sync().unwrap().uploaded_customers, 1);
    check(&till, 110.0, 110.0);
    odd.calm();
    till.adjust(ANA, "5");
    engine.sync().unwrap();
    check(&till, 115.0, 115.0);
}

#[test]
fn a_payment_in_doubt_is_not_held_against_a_reading_that_lags() {
    let till = with_balance("100");
    till.adjust(ANA, "10");
    sync(&till);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    // Its answer is lost, and what is read back shows the balance of before the payment before it, once.
    let mut lags = true;
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop).answer(move |asked, told| {
        if asked.is_by_id() && asked.nth > 1 && std::mem::take(&mut lags) {
            told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": 100}]));
        }
    });
    till.adjust(ANA, "5");
    sync(&till.through(&odd));
    check(&till, 115.0, 115.0);
    assert_eq!(outcomes(&till), ["uploaded", "uploaded"]);
}

#[test]
fn a_payment_that_was_really_taken_back_is_seen_when_the_minute_has_passed() {
    let till = with_balance("100");
    tells_balances(&till);
    till.adjust(ANA, "10");
    sync(&till);
    office(&till, "100");
    sync(&till);
    check(&till, 110.0, 100.0);
    std::thread::sleep(std::time::Duration::from_millis(5_100));
    sync(&till);
    check(&till, 110.0, 100.0);
    till.minute_passes();
    sync(&till);
    check(&till, 100.0, 100.0);
}

/// The office, or another till, paid before this one did, which was never told: a cache that is behind shows it in a record of now.
#[test]
fn what_this_till_paid_a_moment_ago_is_not_taken_back_by_a_balance_that_was_never_known_here() {
    let till = with_balance("100");
    tells_balances(&till);
    till.adjust(ANA, "10");
    sync(&till);
    std::thread::sleep(Duration::from_millis(1_100));
    till.office(ANA, json!({"phone": "555-7"}));
    let odd = Odd::before(&till.sandbox).answer(|asked, told| {
        if !asked.is_put() {
            told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": 170}]));
        }
    });
    let lagging = till.through(&odd);
    sync(&lagging);
    check(&till, 110.0, 110.0);
    till.adjust(ANA, "5");
    assert_eq!(sync(&lagging).uploaded_customers, 0, "it waits");
    check(&till, 115.0, 110.0);
    odd.calm();
    assert_eq!(sync(&lagging).uploaded_customers, 1);
    check(&till, 115.0, 115.0);
}

/// What answers tell of Ana from the moment that an update is answered: a balance from a cache, that nobody here has known.
fn behind_from_the_answer_on(till: &Till, is_lost: bool) -> Odd {
    let mut is_behind = false;
    Odd::before(&till.sandbox).answer(move |asked, told| {
        is_behind |= asked.is_put();
        if is_behind {
            told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": 95}]));
        }
        if is_lost && asked.is_put() && asked.nth == 1 {
            told.drop();
        }
    })
}

/// Nor what such a cache tells in the answer to an update of something else, or in what is read back of one.
#[test]
fn nothing_is_paid_on_a_balance_that_an_answer_brings_from_a_cache_beside_what_was_sent() {
    for is_lost in [false, true] {
        let till = with_balance("100");
        tells_balances(&till);
        till.adjust(ANA, "10");
        sync(&till);
        check(&till, 110.0, 110.0);
        let odd = behind_from_the_answer_on(&till, is_lost);
        let behind = till.through(&odd);
        till.set(ANA, "phone", "555-7");
        sync(&behind);
        assert_eq!(till.outcomes(ANA, "phone"), ["uploaded"], "lost: {is_lost}");
        check(&till, 110.0, 110.0);
        till.adjust(ANA, "5");
        assert_eq!(sync(&behind).uploaded_customers, 0, "lost: {is_lost}: it waits");
        check(&till, 115.0, 110.0);
        odd.calm();
        sync(&till);
        check(&till, 115.0, 115.0);
        assert_eq!(outcomes(&till), ["uploaded", "uploaded"], "lost: {is_lost}");
    }
}

#[test]
fn what_another_hand_pays_within_a_minute_of_this_till_is_seen_when_that_is_over() {
    let till = with_balance("100");
    tells_balances(&till);
    till.adjust(ANA, "10");
    sync(&till);
    office(&till, "130");
    till.adjust(ANA, "5");
    sync(&till);
    check(&till, 115.0, 130.0);
    till.minute_passes();
    sync(&till);
    check(&till, 135.0, 135.0);
    assert_eq!(till.store().conflicts().unwrap().len(), 0);
}

/// One `Date` that is wrong, or none, is no reason to believe what is older than what is known.
#[test]
fn a_wrong_date_does_not_shorten_the_minute() {
    for (seconds, whose) in [(-120, "the till's"), (-3_600, "the till's"), (-120, "the office's")] {
        let till = with_balance("100");
        let before = till.sandbox.customer(ANA as i32).unwrap();
        match whose {
            "the till's" => till.adjust(ANA, "10"),
            _ => office(&till, "110"),
        }
        sync(&till);
        let date = (Utc::now() + TimeDelta::seconds(seconds)).to_rfc2822().replace("+0000", "GMT");
        let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
            if !asked.is_put() {
                told.customer(ANA, |ana| *ana = before.clone());
                told.header("Date", Some(&date));
            }
        });
        till.through(&odd).engine().pull(Extent::Full).unwrap();
        check(&till, 110.0, 110.0);
        till.adjust(ANA, "5");
        assert_eq!(sync(&till.through(&odd)).uploaded_customers, 0, "{seconds} {whose}");
        odd.calm();
        sync(&till);
        check(&till, 115.0, 115.0);
    }
}

/// Readings tell this credit, from a cache that is behind.
fn from_a_cache(till: &Till, amount: &'static str) -> Odd {
    let credit: serde_json::Value = serde_json::from_str(amount).unwrap();
    Odd::before(&till.sandbox).answer(move |asked, told| {
        if !asked.is_put() {
            told.customer(ANA, |ana| ana[MONEY] = json!([{"amount": credit}]));
        }
    })
}

/// The answers to updates tell the balance.
fn tells_balances(till: &Till) {
    let response = ResponseAttributes::Everything;
    till.sandbox.set_behaviours(Behaviours { response, ..Behaviours::default() });
}

/// Nor does the till's own clock, when it is set ahead a moment after a payment; be it before or after such a reading was doubted.
#[test]
fn a_clock_that_is_set_ahead_does_not_shorten_the_minute() {
    for is_doubted_before in [false, true] {
        let till = with_balance("100");
        tells_balances(&till);
        till.adjust(ANA, "10");
        sync(&till);
        let odd = from_a_cache(&till, "100");
        let behind = till.through(&odd);
        if is_doubted_before {
            behind.engine().pull(Extent::Full).unwrap();
        }
        till.adjust(ANA, "5");
        let sync_ahead = || behind.engine_ahead(TimeDelta::minutes(15)).sync().unwrap();
        assert_eq!(sync_ahead().uploaded_customers, 0, "it waits");
        check(&till, 115.0, 110.0);
        odd.calm();
        sync_ahead();
        check(&till, 115.0, 115.0);
    }
}

/// A cache that was seen to be behind may also show what was there in between, and was never known here.
#[test]
fn a_balance_from_a_cache_that_is_behind_is_no_base_though_nobody_here_has_known_it() {
    let till = with_balance("100");
    tells_balances(&till);
    office(&till, "90");
    till.adjust(ANA, "10");
    sync(&till.through(&from_a_cache(&till, "100")));
    check(&till, 110.0, 110.0);
    till.through(&from_a_cache(&till, "100")).engine().pull(Extent::Full).unwrap();
    till.adjust(ANA, "5");
    let odd = from_a_cache(&till, "90");
    assert_eq!(sync(&till.through(&odd)).uploaded_customers, 0, "it waits");
    check(&till, 115.0, 110.0);
    odd.calm();
    sync(&till);
    check(&till, 115.0, 115.0);
}

/// A reading that was not believed for its balance is the newest all the same: what is older than that lags, be it as it is known here or newer.
#[test]
fn nothing_is_sent_over_what_a_reading_showed_that_was_not_believed_for_its_balance() {
    for is_newer_than_known in [false, true] {
        let till = with_balance("100");
        tells_balances(&till);
        till.adjust(ANA, "10");
        sync(&till);
        let mut lagging = till.sandbox.customer(ANA as i32).unwrap();
        std::thread::sleep(Duration::from_millis(1_100));
        if is_newer_than_known {
            till.office(ANA, json!({"company": "office"}));
            lagging = till.sandbox.customer(ANA as i32).unwrap();
            std::thread::sleep(Duration::from_millis(1_100));
        }
        till.office(ANA, json!({"phone": "555-7"}));
        till.through(&from_a_cache(&till, "100")).engine().pull(Extent::Changes).unwrap();
        till.set(ANA, "phone", "555-8");
        let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
            if !asked.is_put() {
                told.customer(ANA, |ana| *ana = lagging.clone());
            }
        });
        let report = sync(&till.through(&odd));
        assert_eq!(report.uploaded_customers, 0, "{is_newer_than_known}: it waits: {report:?}");
        assert_eq!(till.remote_value(ANA, "phone"), r#""555-7""#);
        odd.calm();
        sync(&till);
        assert_eq!(conflict(&till).remote, r#""555-7""#);
    }
}
