//! The answer to an update that something of the app's holds up: the update landed, and only that is written. What the store has later is
//! held against what landed, and not against the snapshot, which stayed as it was before.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use chrono::{TimeDelta, Utc};
use common::odd::{Kind, Odd};
use common::{Till, till};
use rusqlite::Connection;
use serde_json::{Value, json};
use tillsync::sandbox::{Behaviours, ResponseAttributes};

/// The customer that is held up.
const ANA: i64 = 2;
const CREDIT: &str = "store_credit_amounts";

/// What refuses an answer.
const REFUSALS: [&str; 6] = [
    "CREATE TRIGGER mine BEFORE UPDATE OF date_modified ON customer BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER mine AFTER UPDATE OF date_modified ON customer BEGIN SELECT RAISE(FAIL, 'no'); END",
    "CREATE TRIGGER mine BEFORE UPDATE OF date_modified ON customer BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER mine BEFORE UPDATE ON snapshot BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER mine BEFORE UPDATE ON snapshot BEGIN SELECT RAISE(IGNORE); END",
    UNIQUE,
];
const UNIQUE: &str = "CREATE UNIQUE INDEX mine ON customer (company) WHERE company = 'taken'";

/// A till of which an update of Ana's landed, and is not let in.
struct HeldUp {
    till: Till,
    odd: Odd,
    refusal: &'static str,
}

fn held_up(refusal: &'static str, edit: impl Fn(&Till)) -> HeldUp {
    let plain = till(3);
    let response = ResponseAttributes::Everything;
    plain.sandbox.set_behaviours(Behaviours { response, ..Behaviours::default() });
    plain.office(3, json!({"company": "taken"}));
    // An hour ago: the store's times are whole seconds.
    let (before, ana) =
        (Utc::now() - TimeDelta::hours(1), json!({"phone": "old", "notes": "", CREDIT: [{"amount": 100}]}));
    plain.sandbox.with_core(|core| core.edit_text(before, ANA as i32, &ana.to_string())).unwrap();
    plain.engine().pull(tillsync::Extent::Full).unwrap();
    plain.minute_passes();
    plain.sandbox.clear_requests();
    let mut odd = Odd::before(&plain.sandbox);
    if refusal == UNIQUE {
        odd = odd.every(Kind::Put, |told| told.customer(ANA, |ana| ana["company"] = json!("taken")));
    }
    let till = plain.through(&odd);
    edit(&till);
    let held_up = HeldUp { till, odd, refusal };
    held_up.app(refusal);
    held_up.sync();
    assert_eq!(held_up.count(), 1, "{refusal}");
    assert_eq!(held_up.till.puts().len(), 1, "{refusal}");
    held_up
}

impl HeldUp {
    fn app(&self, sql: &str) {
        Connection::open(&self.till.path).unwrap().execute_batch(sql).unwrap();
    }

    /// It is let in, and a minute has passed since the answer.
    fn free(&self) {
        self.odd.calm();
        self.app("DROP TRIGGER IF EXISTS mine");
        self.till.minute_passes();
    }

    fn sync(&self) {
        self.till.engine().sync().unwrap_or_else(|e| panic!("{}: {e}", self.refusal));
    }

    fn count(&self) -> usize {
        self.till.store().held_up().unwrap().len()
    }

    /// The office, or a shopper who spends.
    fn store(&self, attributes: Value) {
        self.till.office(ANA, attributes);
    }

    #[track_caller]
    fn check(&self, field: &str, here: &str, there: &str, outcomes: &[&str]) {
        let (here, there) = (here.to_owned(), there.to_owned());
        let sides = (plain(&self.till.local(ANA, field)), plain(&self.till.remote_value(ANA, field)));
        assert_eq!(sides, (here, there), "{}: in the till, in the store", self.refusal);
        assert_eq!(self.till.outcomes(ANA, field), outcomes, "{}", self.refusal);
        assert_eq!(self.till.store().check().unwrap(), Vec::<String>::new(), "{}", self.refusal);
        self.till.assert_no_violations();
    }
}

/// A text, or an amount, as it is said.
fn plain(json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    match &value {
        Value::Array(amounts) => amounts[0]["amount"].as_f64().unwrap().to_string(),
        value => value.as_str().unwrap().to_owned(),
    }
}

fn credit(amount: u32) -> Value {
    json!({ CREDIT: [{"amount": amount}] })
}

/// A payment of ten landed, and the shopper spent exactly that: the store has what it had before.
#[test]
fn a_payment_that_was_spent_again_is_not_paid_twice() {
    for refusal in REFUSALS {
        for is_read_while_held_up in [false, true] {
            let ana = held_up(refusal, |till| till.adjust(ANA, "10"));
            ana.check(CREDIT, "110", "110", &["uploaded"]);
            ana.store(credit(100));
            if is_read_while_held_up {
                ana.sync();
                ana.check(CREDIT, "110", "100", &["uploaded"]);
                ana.till.run(["doctor"]);
                ana.free();
                ana.sync();
                // It was seen within the minute: another moment tells.
                std::thread::sleep(std::time::Duration::from_millis(5_100));
            }
            ana.free();
            ana.sync();
            ana.check(CREDIT, "100", "100", &["uploaded"]);
            assert_eq!(ana.count(), 0, "{refusal}");
            ana.till.run(["doctor"]);
            ana.till.adjust(ANA, "5");
            ana.till.minute_passes();
            (0..2).for_each(|_| ana.sync());
            ana.check(CREDIT, "105", "105", &["uploaded", "uploaded"]);
            assert_eq!(ana.till.puts().len(), 2, "{refusal}");
        }
    }
}

/// Within the minute a reading may lag: nothing is sent over it, and nothing of it is lost.
#[test]
fn what_may_lag_behind_a_payment_that_landed_waits() {
    for refusal in [REFUSALS[0], REFUSALS[3]] {
        let ana = held_up(refusal, |till| till.adjust(ANA, "10"));
        ana.store(credit(100));
        ana.app("DROP TRIGGER IF EXISTS mine");
        ana.till.adjust(ANA, "5");
        (0..2).for_each(|_| ana.sync());
        ana.check(CREDIT, "115", "100", &["uploaded", "pending"]);
        assert_eq!((ana.till.puts().len(), ana.count()), (1, 1), "{refusal}: nothing was taken in");
    }
}

/// A reading of before the payment is no news, however late the customer is let in.
#[test]
fn a_reading_that_lags_takes_no_payment_back() {
    for refusal in REFUSALS {
        let ana = held_up(refusal, |till| till.adjust(ANA, "10"));
        let before = json!([{"amount": 100}]);
        let lags = move |told: &mut common::odd::Told| {
            told.customer(ANA, |ana| {
                ana[CREDIT] = before.clone();
                ana["date_modified"] = json!("2020-01-01T00:00:00Z");
            });
        };
        ana.app("DROP TRIGGER IF EXISTS mine");
        let HeldUp { till, odd, refusal } = ana;
        odd.calm();
        let odd = odd.every(Kind::ById, lags.clone()).every(Kind::List, lags);
        let ana = HeldUp { till, odd, refusal };
        ana.till.adjust(ANA, "5");
        ana.sync();
        ana.check(CREDIT, "115", "110", &["uploaded", "pending"]);
        ana.odd.calm();
        (0..2).for_each(|_| ana.sync());
        ana.check(CREDIT, "115", "115", &["uploaded", "uploaded"]);
    }
}

#[test]
fn a_payment_made_meanwhile_goes_on_top_of_what_was_spent() {
    for refusal in REFUSALS {
        let ana = held_up(refusal, |till| till.adjust(ANA, "10"));
        ana.till.adjust(ANA, "5");
        ana.store(credit(100));
        ana.free();
        (0..2).for_each(|_| ana.sync());
        ana.check(CREDIT, "105", "105", &["uploaded", "uploaded"]);
    }
}

#[test]
fn what_the_office_set_back_is_not_overwritten_unseen() {
    for refusal in REFUSALS {
        for (field, was) in [("phone", "old"), ("notes", "")] {
            let ana = held_up(refusal, |till| till.set(ANA, field, "mine"));
            ana.check(field, "mine", "mine", &["uploaded"]);
            std::thread::sleep(std::time::Duration::from_millis(1_100));
            ana.store(json!({ field: was }));
            ana.free();
            ana.sync();
            ana.check(field, was, was, &["uploaded"]);
            ana.till.run(["doctor"]);
            ana.till.set(ANA, "tax_exempt_category", "later");
            (0..2).for_each(|_| ana.sync());
            ana.check(field, was, was, &["uploaded"]);
        }
    }
}

#[test]
fn an_edit_made_meanwhile_is_in_conflict_with_what_the_office_set_back() {
    for refusal in REFUSALS {
        let ana = held_up(refusal, |till| till.set(ANA, "phone", "mine"));
        ana.till.set(ANA, "phone", "newer");
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        ana.store(json!({"phone": "old"}));
        ana.free();
        (0..2).for_each(|_| ana.sync());
        ana.check("phone", "newer", "old", &["uploaded", "held"]);
        let open = ana.till.store().conflicts().unwrap();
        let sides = (open[0].base.as_str(), open[0].local.as_str(), open[0].remote.as_str());
        assert_eq!(sides, ("\"mine\"", "\"newer\"", "\"old\""), "{refusal}");
    }
}

/// Where nobody else moved anything, an edit made meanwhile follows by itself.
#[test]
fn an_edit_made_meanwhile_follows() {
    for refusal in REFUSALS {
        let ana = held_up(refusal, |till| till.set(ANA, "phone", "mine"));
        ana.till.set(ANA, "phone", "newer");
        ana.free();
        (0..2).for_each(|_| ana.sync());
        ana.check("phone", "newer", "newer", &["uploaded", "uploaded"]);
        assert_eq!((ana.till.store().conflicts().unwrap().len(), ana.count()), (0, 0), "{refusal}");
    }
}
