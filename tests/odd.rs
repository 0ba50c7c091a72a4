//! The line on which odd things happen, by which other tests show what an odd store does to a till: see `common::odd`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::odd::{Kind, Odd, Told};
use common::till;
use serde_json::json;
use tillsync::Extent;

#[test]
fn an_answer_is_rewritten_and_the_store_knows_nothing_of_it() {
    let till = till(3);
    till.office(2, json!({"phone": "555", "store_credit_amounts": [{"amount": 43.15}]}));
    let odd = Odd::before(&till.sandbox).answer(|asked, told| {
        if asked.is_list() && asked.nth == 1 {
            told.customer(2, |customer| customer["phone"] = json!("not so"));
            told.replace("43.15", "43.149999999999999");
            told.header("X-Odd", Some("yes"));
        }
    });
    let through = till.through(&odd);
    through.engine().pull(Extent::Changes).unwrap();
    assert_eq!(till.local(2, "phone"), "\"not so\"");
    assert_eq!(till.remote_value(2, "phone"), "\"555\"");
    assert_eq!(odd.asked().len(), till.gets());
}

#[test]
fn a_connection_is_dropped_before_or_after_the_store_has_seen_the_request() {
    for has_landed in [false, true] {
        let till = till(1);
        let odd = Odd::before(&till.sandbox);
        let odd = match has_landed {
            false => odd.before_store(|asked| asked.is_put().then(Told::dropped)),
            true => odd.nth(Kind::Put, 1, Told::drop),
        };
        till.set(1, "phone", "555");
        let mut through = till.through(&odd);
        through.options.upload.retry.tries = 1;
        _ = through.engine().sync();
        assert_eq!(till.remote_value(1, "phone") == "\"555\"", has_landed);
        odd.calm();
        through.engine().sync().unwrap();
        assert_eq!(
            (till.remote_value(1, "phone").as_str(), odd.count(Kind::Put)),
            ("\"555\"", 2 - usize::from(has_landed))
        );
    }
}

#[test]
fn somebody_acts_between_a_look_and_an_update_and_the_line_answers_by_itself() {
    let till = till(1);
    let office = Arc::clone(&till.sandbox);
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        if asked.is_put() {
            assert_eq!((asked.ids(), asked.json()[0]["phone"].clone()), (vec![1], json!("555")));
            office.edit(1, json!({"company": "Bakery"}));
        }
        asked.is_list().then(|| Told::page(&[]))
    });
    till.set(1, "phone", "555");
    till.through(&odd).engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "company"), "\"Bakery\"");
    assert_eq!(
        till.gets(),
        1,
        "the line answered the list, and the look for the update went on to the store"
    );
}

#[test]
fn an_answer_is_held_back_slow_or_cut_off() {
    let till = till(1);
    let odd =
        Odd::before(&till.sandbox).nth(Kind::List, 1, |told| told.delay_ms(200)).nth(Kind::List, 2, |told| {
            told.body = vec![b' '; 1_000];
            told.slow(5_000);
        });
    let began = Instant::now();
    let odd = odd.nth(Kind::List, 3, |told| told.cut_after(10));
    let mut through = till.through(&odd);
    through.options.upload.retry.read_base_ms = 1;
    through.engine().pull(Extent::Changes).unwrap();
    assert!(began.elapsed().as_millis() >= 200);
    through.engine().pull(Extent::Changes).unwrap();
    assert!(began.elapsed().as_millis() >= 400);
    assert_eq!(
        odd.count(Kind::List),
        4,
        "one was slow and no JSON, one was cut off; both were asked for again"
    );
}
