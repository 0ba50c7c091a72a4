//! "When it goes wrong", row by row, over real HTTP. Each test fails when its row is taken out of the engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::odd::{Kind, Odd};
use common::{SOON, Till, sandbox_with, soon, till};
use serde_json::json;
use tillsync::sandbox::{
    Behaviours, ErrorKeys, Fault, Partial, ResponseAttributes, SandboxOptions, TooManyRequests,
};
use tillsync::{CustomerId, Error, Extent, SyncReport};

/// A till whose waits are short, so that a test is.
fn quick(customers: usize) -> Till {
    let mut till = till(customers);
    hurry(&mut till);
    till
}

fn hurry(till: &mut Till) {
    let retry = &mut till.options.upload.retry;
    (retry.read_base_ms, retry.write_base_ms) = (20, 20);
    till.options.upload.grace_ms = 50;
}

/// A till beside a store that behaves like this.
fn beside(behaviours: Behaviours, customers: usize) -> Till {
    let till = quick(customers);
    till.sandbox.set_behaviours(behaviours);
    till
}

fn edit_all(till: &Till, ids: impl IntoIterator<Item = i64>) {
    let mut store = till.store();
    for id in ids {
        store.edit(id).set("phone", &format!("edited {id}")).commit().unwrap();
    }
}

fn sync(till: &Till) -> SyncReport {
    let report = till.engine().sync().unwrap();
    till.assert_no_violations();
    report
}

fn fails(till: &Till) -> Error {
    till.engine().sync().unwrap_err()
}

/// Every one of these edits is with the store, and settled as uploaded, once.
fn assert_arrived(till: &Till, ids: impl IntoIterator<Item = i64>) {
    for id in ids {
        assert_eq!(till.remote_value(id, "phone"), format!("\"edited {id}\""), "customer {id}");
        assert_eq!(till.outcomes(id, "phone"), ["uploaded"], "customer {id}");
    }
}

// ---- 200, 207 ----------------------------------------------------------------------------------------------------

#[test]
fn ids_missing_from_a_200_are_read_back_and_settle_without_a_second_update() {
    let till = quick(10);
    edit_all(&till, 1..=10);
    till.sandbox.script_updates([Fault::MissingIds]);
    let report = sync(&till);
    assert_eq!((report.requests.put, report.requests.get, report.uploaded_customers), (1, 2, 10));
    assert_arrived(&till, 1..=10);
}

#[test]
fn ids_that_a_200_left_out_and_did_not_apply_are_sent_again() {
    let till = quick(10);
    edit_all(&till, 1..=10);
    till.sandbox.script_updates([Fault::SkippedIds]);
    assert_eq!(sync(&till).requests.put, 2);
    assert_arrived(&till, 1..=10);
}

#[test]
fn what_was_sent_stands_for_what_an_answer_lacks() {
    let till = beside(Behaviours { response: ResponseAttributes::Minimal, ..Behaviours::default() }, 3);
    till.set(1, "form_fields", r#"[{"name":"size","value":"XL"}]"#);
    till.store().edit(2).adjust_credit("1.25".parse().unwrap()).commit().unwrap();
    let report = sync(&till);
    assert_eq!((report.requests.get, report.looks, report.requests.put), (2, 1, 1), "no call for what lacks");
    assert!(till.store().snapshot(1).unwrap().unwrap().body().contains("XL"));
    let again = sync(&till);
    assert_eq!((again.requests.put, again.conflicts), (0, 0));
    assert_eq!(
        till.local(1, "date_modified"),
        till.remote_value(1, "date_modified"),
        "it comes with the next pull"
    );
}

#[test]
fn a_207_settles_some_rejects_some_and_reads_the_rest() {
    let till = quick(10);
    edit_all(&till, 2..=10);
    till.set(1, "email", "no address");
    till.sandbox.script_updates([Fault::MultiStatus]);
    let report = sync(&till);
    assert_eq!(report.rejected, 1);
    assert_arrived(&till, 2..=10);
    assert_eq!(till.outcomes(1, "email"), ["rejected"]);
}

// ---- 422 ---------------------------------------------------------------------------------------------------------

#[test]
fn a_named_field_is_rejected_with_the_servers_words_and_the_customers_others_go_on() {
    for keys in [ErrorKeys::Indexed, ErrorKeys::Named] {
        let till = beside(Behaviours { error_keys: keys, ..Behaviours::default() }, 10);
        edit_all(&till, 1..=10);
        till.set(4, "email", "no address");
        let report = sync(&till);
        assert_eq!((report.rejected, report.requests.put), (1, 2), "{keys:?}");
        assert_arrived(&till, 1..=10);
        let rejected = till.store().rejected().unwrap();
        assert_eq!((rejected[0].customer_id, rejected[0].field.as_str()), (CustomerId(4), "email"));
        assert!(rejected[0].reason.contains("not a valid address"), "{}", rejected[0].reason);
        assert_eq!(sync(&till).requests.put, 0, "a rejected edit is not sent again by itself");
    }
}

#[test]
fn an_unnamed_bad_record_costs_at_most_eight_calls_wherever_it_stands() {
    for partial in [Partial::Atomic, Partial::GoodOnesLand, Partial::UntilFirstError] {
        for bad in 1..=10 {
            let till =
                beside(Behaviours { error_keys: ErrorKeys::General, partial, ..Behaviours::default() }, 10);
            edit_all(&till, (1..=10).filter(|id| *id != bad));
            till.set(bad, "email", "no address");
            let report = sync(&till);
            let extra = report.requests.put + report.requests.get - 2;
            assert!(extra <= 8, "{partial:?}, number {bad}: {extra} extra calls");
            assert_arrived(&till, (1..=10).filter(|id| *id != bad));
            assert_eq!(till.outcomes(bad, "email"), ["rejected"]);
        }
    }
}

#[test]
fn an_unnamed_bad_record_among_adjustments_is_found_in_eight_calls_and_no_amount_moves_twice() {
    for partial in [Partial::Atomic, Partial::GoodOnesLand, Partial::UntilFirstError] {
        for bad in 1..=10 {
            let till =
                beside(Behaviours { error_keys: ErrorKeys::General, partial, ..Behaviours::default() }, 10);
            let mut store = till.store();
            let before: Vec<f64> = (1..=10).map(|id| credit(&till, id)).collect();
            for id in (1..=10).filter(|id| *id != bad) {
                store.edit(id).adjust_credit("2.5".parse().unwrap()).commit().unwrap();
            }
            till.set(bad, "email", "no address");
            let report = sync(&till);
            let extra = report.requests.put + report.requests.get - report.looks - 2;
            assert!(extra <= 8 && report.looks == 1, "{partial:?}, number {bad}: {extra} extra calls");
            for id in (1..=10).filter(|id| *id != bad) {
                assert_eq!(credit(&till, id), before[id as usize - 1] + 2.5, "{partial:?}, customer {id}");
            }
        }
    }
}

fn credit(till: &Till, id: i64) -> f64 {
    till.sandbox.customer(id as i32).unwrap()["store_credit_amounts"][0]["amount"].as_f64().unwrap()
}

#[test]
fn three_bad_among_a_hundred_let_ninety_seven_land() {
    let till = beside(Behaviours { error_keys: ErrorKeys::General, ..Behaviours::default() }, 100);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    let bad = [ids[4], ids[5], ids[77]];
    let good = || ids.iter().copied().filter(|id| !bad.contains(id));
    edit_all(&till, good());
    bad.iter().for_each(|id| till.set(*id, "email", "no address"));
    let report = sync(&till);
    assert_eq!((report.uploaded_customers, report.rejected), (97, 3));
    assert_arrived(&till, good());
}

#[test]
fn fields_rejected_together_are_freed_together_by_a_new_edit_of_one_of_them() {
    let till = beside(Behaviours { error_keys: ErrorKeys::General, ..Behaviours::default() }, 3);
    till.store().edit(1).set("email", "no address").set("phone", "5").commit().unwrap();
    assert_eq!(sync(&till).rejected, 2);
    till.set(1, "email", "an@address.example");
    assert_eq!(sync(&till).rejected, 0);
    assert_eq!(till.remote_value(1, "phone"), "\"5\"");
    assert_eq!(till.outcomes(1, "email"), ["superseded", "uploaded"]);
}

#[test]
fn a_rejected_edit_can_be_sent_again_or_given_up() {
    let till = quick(3);
    let phone = till.local(1, "phone");
    let taken: String = serde_json::from_str(&till.local(2, "email")).unwrap();
    till.store().edit(1).set("email", &taken).commit().unwrap();
    assert_eq!(sync(&till).rejected, 1);
    till.sandbox.edit(2, json!({"email": "moved@example.com"}));
    assert_eq!(till.store().retry(Some(CustomerId(1))).unwrap(), 1);
    assert_eq!(sync(&till).rejected, 0);
    assert_eq!(till.remote_value(1, "email"), json!(taken).to_string());

    till.store().edit(1).set("email", "no address").set("phone", "7").commit().unwrap();
    assert_eq!(sync(&till).rejected, 1);
    assert_eq!(till.store().discard(1, Some("email"), None).unwrap(), 1);
    assert_eq!(till.local(1, "email"), json!(taken).to_string());
    assert_ne!(till.local(1, "phone"), phone);
    assert_eq!(till.store().status().unwrap().rejected, 0);
}

#[test]
fn a_customer_that_is_gone_becomes_a_conflict_and_the_others_land() {
    let till = quick(10);
    edit_all(&till, 1..=10);
    till.sandbox.delete(6);
    let report = sync(&till);
    assert_eq!((report.conflicts, report.rejected), (1, 0));
    assert_eq!(till.store().conflicts().unwrap()[0].field, "*");
    assert_arrived(&till, (1..=10).filter(|id| *id != 6));
    till.store().discard(6, None, None).unwrap();
    assert_eq!(till.store().get(6).unwrap(), None);
    assert_eq!(till.outcomes(6, "phone"), ["discarded"]);
}

// ---- 413, emails -------------------------------------------------------------------------------------------------

#[test]
fn a_413_halves_the_batch_and_the_size_is_remembered() {
    let till = common::Till::new(sandbox_with(SandboxOptions {
        customers: 30,
        max_customers_per_update: 4,
        ..SandboxOptions::default()
    }));
    till.engine().pull(Extent::Changes).unwrap();
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    edit_all(&till, ids.iter().copied());
    assert_eq!(sync(&till).uploaded_customers, 30);
    till.sandbox.clear_requests();
    ids.iter().for_each(|id| till.set(*id, "company", "next"));
    assert_eq!(sync(&till).requests.put, 8, "four at a time, as it worked, and none refused");
}

#[test]
fn an_address_is_handed_over_in_one_sync_and_a_swap_is_reported() {
    let till = quick(6);
    let email = |id| -> String { serde_json::from_str(&till.local(id, "email")).unwrap() };
    let (one, two, three, four) = (email(1), email(2), email(3), email(4));
    till.set(1, "email", &two);
    till.set(2, "email", &three);
    till.set(3, "email", "new@example.com");
    till.set(4, "email", &email(5));
    till.set(5, "email", &four);
    let report = sync(&till);
    assert_eq!(till.remote_value(1, "email"), json!(two).to_string());
    assert_eq!(till.remote_value(2, "email"), json!(three).to_string());
    assert_eq!((report.requests.put, report.rejected), (3, 2));
    let rejected = till.store().rejected().unwrap();
    assert!(rejected.iter().all(|r| r.reason.contains("whose address it takes")), "{rejected:?}");
    assert_ne!(one, two);
}

// ---- 429 ---------------------------------------------------------------------------------------------------------

#[test]
fn a_429_uses_up_no_try_and_waits_as_it_was_told() {
    for told in [TooManyRequests::AllHeaders, TooManyRequests::RetryAfterOnly, TooManyRequests::Bare] {
        let till = Till::new(sandbox_with(SandboxOptions {
            customers: 30,
            quota: 2,
            window_ms: 300,
            tolerated_refusals: 1_000,
            behaviours: Behaviours { too_many_requests: told, ..Behaviours::default() },
            ..SandboxOptions::default()
        }));
        till.engine().pull(Extent::Changes).unwrap();
        edit_all(&till, till.sandbox.ids().into_iter().map(i64::from));
        let report = till.engine().sync().unwrap();
        assert_eq!(report.uploaded_customers, 30, "{told:?}");
        assert_eq!(till.store().status().unwrap().pending_fields, 0);
    }
}

// ---- in doubt ----------------------------------------------------------------------------------------------------

#[test]
fn an_update_in_doubt_is_read_back_before_anything_is_sent_again() {
    let landed =
        [Fault::LostAnswer, Fault::Truncated, Fault::AppliedThenStatus(503), Fault::AppliedThenStatus(504)];
    let lost = [Fault::LostRequest, Fault::Reset, Fault::Html, Fault::HtmlUnavailable];
    let lost = lost.into_iter().chain([423, 499, 500, 502, 503, 504, 507].map(Fault::Status));
    let cases = landed.map(|fault| (fault, true)).into_iter().chain(lost.map(|fault| (fault, false)));
    for (fault, has_landed) in cases {
        let till = quick(10);
        let before = credit(&till, 1);
        edit_all(&till, 2..=10);
        till.store().edit(1).adjust_credit("3.5".parse().unwrap()).commit().unwrap();
        till.sandbox.script_updates([fault]);
        let report = sync(&till);
        let puts = till.puts().len();
        if has_landed {
            assert_eq!(puts, 1, "{fault}: it had landed, and was sent again");
        }
        assert!(report.retries > 0, "{fault}");
        assert_eq!(credit(&till, 1), before + 3.5, "{fault}");
        assert_arrived(&till, 2..=10);
    }
}

#[test]
fn an_adjustment_in_doubt_is_not_read_back_before_its_grace() {
    let mut till = quick(3);
    till.options.upload.grace_ms = 600;
    let before = credit(&till, 1);
    till.store().edit(1).adjust_credit("3.5".parse().unwrap()).commit().unwrap();
    // The connection breaks, and the store applies the update 300 ms later.
    till.sandbox.script_updates([Fault::DelayedApply { ms: 300 }]);
    sync(&till);
    assert_eq!(credit(&till, 1), before + 3.5);
    assert_eq!(till.puts().len(), 1, "it had landed within the grace");
}

#[test]
fn an_adjustment_in_doubt_whose_balance_somebody_else_moved_is_held() {
    let till = quick(3);
    let before = credit(&till, 1);
    till.store().edit(1).adjust_credit("3.5".parse().unwrap()).commit().unwrap();
    let sandbox = till.sandbox.clone();
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        sandbox.edit(1, json!({"store_credit_amounts": [{"amount": 777}]}));
        told.drop();
    });
    let report = sync(&till.through(&odd));
    assert_eq!(report.conflicts, 1, "only a person can tell whether {before} + 3.5 was in the 777");
    assert_eq!(credit(&till, 1), 777.0);
}

#[test]
fn tries_are_bounded_and_every_edit_is_kept() {
    let till = quick(3);
    edit_all(&till, 1..=3);
    till.sandbox.script_updates([Fault::Status(503); 20]);
    till.sandbox.script([]);
    let error = fails(&till);
    assert!(error.is_offline() && error.code() == "unavailable", "{error}");
    assert!(till.puts().len() <= 10, "of three, of two, and of one, to the end of its tries");
    assert_eq!(
        till.store().status().unwrap().pending_fields + till.store().status().unwrap().in_flight_batches,
        3
    );
    till.sandbox.script_updates([]);
    till.sandbox.with_core(|core| while core.draw_fault("PUT").is_some() {});
    sync(&till);
    assert_arrived(&till, 1..=3);
}

#[test]
fn one_batch_that_always_fails_does_not_stop_the_others() {
    let till = quick(30);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    edit_all(&till, ids.iter().copied());
    till.sandbox.script_updates([Fault::Status(500), Fault::None, Fault::None]);
    assert_eq!(sync(&till).uploaded_customers, 30);
    assert_arrived(&till, ids);
}

// ---- it stops at once --------------------------------------------------------------------------------------------

#[test]
fn a_refused_token_scope_or_hash_stops_all_and_says_which() {
    for (status, what) in [(401, "access token"), (403, "scope"), (404, "store hash")] {
        let till = quick(30);
        edit_all(&till, till.sandbox.ids().into_iter().map(i64::from));
        till.sandbox.script_updates([Fault::Status(status)]);
        let error = fails(&till);
        assert!(error.is_auth() && error.to_string().contains(what), "{error}");
        let status = till.store().status().unwrap();
        assert_eq!(status.in_flight_batches, 0);
        sync(&till);
        assert_eq!(till.store().status().unwrap().pending_fields, 0);
    }
}

#[test]
fn a_body_that_is_no_json_shows_its_first_bytes() {
    let till = quick(3);
    till.sandbox.script([Fault::Html; 8]);
    let error = fails(&till);
    assert!(error.to_string().contains("<html"), "{error}");
}

#[test]
fn a_sync_that_is_stopped_leaves_in_doubt_only_what_had_left() {
    let mut till = till(100);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    ids.iter().for_each(|id| till.set(*id, "phone", "555"));
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 5_000 }; 3]);
    let mut engine = till.engine();
    engine.pull(Extent::Changes).unwrap();
    let stopper = engine.stopper();
    let watch = till.store();
    let stops = std::thread::spawn(move || {
        // Three on their way, and three that wait ready.
        soon(|| watch.status().unwrap().in_flight_batches >= 6);
        stopper.stop();
    });
    assert_eq!(engine.sync().unwrap_err().code(), "stopped");
    stops.join().unwrap();
    let status = till.store().status().unwrap();
    assert_eq!((status.in_flight_batches, status.pending_fields), (3, 70));
    // The three are still on their way: a sync beside them could have six.
    drop(engine);
    assert_eq!(till.engine().sync().unwrap_err().code(), "busy");
    till.options.wait = SOON;
    till.engine().sync().unwrap();
    assert!(ids.iter().all(|id| till.remote_value(*id, "phone") == "\"555\""));
    assert_eq!(till.store().status().unwrap().pending_fields, 0);
    till.assert_no_violations();
}

/// The hash of another shop in the settings of an app: nobody of that store comes into this file, and no edit goes there.
#[test]
fn a_file_of_one_store_is_not_brought_in_step_with_another() {
    let till = till(3);
    let other = SandboxOptions { customers: 2, store_hash: "other1".to_owned(), ..SandboxOptions::default() };
    let other = sandbox_with(other);
    let there = Till { sandbox: other.clone(), api_url: other.url(), ..till.clone() };
    till.set(1, "phone", "555");
    let mut engine = there.engine();
    for refused in
        [engine.sync().unwrap_err(), engine.push().unwrap_err(), engine.pull(Extent::Full).unwrap_err()]
    {
        assert_eq!((refused.code(), refused.is_usage()), ("wrong_store", true), "{refused}");
        assert!(
            refused.to_string().contains("sandbox") && refused.to_string().contains("other1"),
            "{refused}"
        );
    }
    assert_eq!(other.requests(), [], "nothing was asked there");
    assert_eq!(till.store().store_hash().unwrap().as_deref(), Some("sandbox"));
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), "\"555\"");
}
