//! An edit costs what its size costs, in the app's own transaction: eight times the text, the form fields or the amounts cost
//! about eight times as much. Counted are the steps of SQLite's machine, and where a step may be long, as for a text, the time
//! of this thread on a processor.

#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Till, till};
use serde_json::{Value, json};
use tillsync::Extent;
use tillsync::rusqlite::Connection;

/// What one edit took.
#[derive(Debug)]
struct Cost {
    steps: u64,
    /// None where the system does not tell.
    busy_ns: Option<u64>,
}

/// It is counted anew when a thread gives way.
fn busy_ns() -> Option<u64> {
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok()
}

/// Sets a column of customer 1 as an app does, and takes it back.
fn cost(app: &mut Connection, column: &str, value: &str) -> Cost {
    let steps = Arc::new(AtomicU64::new(0));
    let count = steps.clone();
    let counting = move || {
        count.fetch_add(1, Ordering::Relaxed);
        false
    };
    app.execute_batch("BEGIN").unwrap();
    app.progress_handler(1, Some(counting)).unwrap();
    let began = busy_ns();
    let edited = app.execute(&format!("UPDATE customer SET {column} = ?1 WHERE id = 1"), [value]);
    let busy_ns = began.zip(busy_ns()).map(|(began, now)| now - began);
    app.progress_handler(0, None::<fn() -> bool>).unwrap();
    assert_eq!(edited, Ok(1));
    app.execute_batch("ROLLBACK").unwrap();
    Cost { steps: steps.load(Ordering::Relaxed), busy_ns }
}

fn assert_in_step(what: &str, few: &Cost, many: &Cost) {
    assert!(many.steps < 10 * few.steps, "{what}: {few:?}, and eight times of it {many:?}");
    if let Some((few_ns, many_ns)) = few.busy_ns.zip(many.busy_ns) {
        assert!(many_ns < 24 * few_ns.max(1_000_000), "{what}: {few:?}, and eight times of it {many:?}");
    }
}

/// As many as `count` of an attribute are there, and other ones are written.
fn check(what: &str, column: &str, few: usize, value: impl Fn(usize, bool) -> Value) {
    let [few, many] = [few, 8 * few].map(|count| {
        let till = till_with(column, value(count, false));
        let mut store = till.store();
        let written = match value(count, true) {
            Value::String(text) => text,
            json => json.to_string(),
        };
        (0..3).map(|_| cost(store.connection(), column, &written)).min_by_key(|cost| cost.busy_ns).unwrap()
    });
    assert_in_step(what, &few, &many);
}

fn till_with(column: &str, value: Value) -> Till {
    let till = till(1);
    till.office(1, json!({ column: value }));
    till.engine().pull(Extent::Full).unwrap();
    till
}

#[test]
fn a_long_note_with_one_character_that_is_not_ascii() {
    check("one umlaut", "notes", 40_000, |size, is_new| match is_new {
        true => json!("a".repeat(size) + "ü"),
        false => json!("before"),
    });
    check("all umlauts", "notes", 5_000, |size, is_new| json!(if is_new { "ü" } else { "u" }.repeat(size)));
    check("a line more", "notes", 40_000, |size, is_new| {
        json!("Grüße an alle\n".repeat(size / 14) + if is_new { "und mehr" } else { "" })
    });
}

fn forms(names: impl Iterator<Item = usize>, value: &str) -> Value {
    names.map(|n| json!({"name": format!("field {n}"), "value": value})).collect()
}

#[test]
fn very_many_form_fields() {
    check("all of them", "form_fields", 200, |count, is_new| {
        forms(0..count, if is_new { "neu: ü" } else { "old" })
    });
    check("one of them", "form_fields", 200, |count, is_new| {
        let mut all = forms(0..count, "old");
        all[0]["value"] = json!(if is_new { "new" } else { "old" });
        all
    });
}

#[test]
fn very_many_channels_and_what_a_mapper_writes_back() {
    check("channels", "channel_ids", 200, |count, is_new| (1..=count + usize::from(is_new)).collect());
    check("form fields in another order", "form_fields", 200, |count, is_new| match is_new {
        true => forms((0..count).rev(), "same"),
        false => forms(0..count, "same"),
    });
}

/// Only a text that is UTF-8 is taken, wherever in a long one the pieces begin in which it is looked at.
#[test]
fn bytes_that_are_no_utf_8_are_found_wherever_they_stand() {
    let till = till(1);
    let mut store = till.store();
    let app = store.connection();
    let mut set = |bytes: Vec<u8>| {
        let edit = app.transaction().unwrap();
        let set = edit.execute("UPDATE customer SET notes = CAST(?1 AS TEXT) WHERE id = 1", [bytes]);
        set.map_err(|e| e.to_string())
    };
    let places = || (0..4).chain(58..70).chain(122..132);
    for bad in
        ["80", "c3", "c328", "e282", "eda080", "c0af", "f888808080", "f5808080", "e282ac80", "8080808080"]
    {
        let bad: Vec<u8> =
            (0..bad.len()).step_by(2).map(|at| u8::from_str_radix(&bad[at..at + 2], 16).unwrap()).collect();
        for place in places() {
            for behind in [0, 1, 70] {
                let text = [&vec![b'a'; place][..], &bad, &vec![b'z'; behind]].concat();
                assert!(std::str::from_utf8(&text).is_err());
                let refused = set(text).unwrap_err();
                assert!(refused.contains("is not valid UTF-8"), "{bad:x?} at {place}: {refused}");
            }
        }
    }
    for good in ["ü", "€", "😀", "\u{fffd}", "\u{fffe}", "\u{ffff}"] {
        for place in places() {
            assert_eq!(set(("a".repeat(place) + good + "z").into_bytes()), Ok(1), "{good} at {place}");
            assert_eq!(set(good.repeat(place + 1).into_bytes()), Ok(1), "{good}, {place} times");
        }
    }
}

/// So many payments in one transaction of the app, each a statement; or all of them one statement.
fn payments(count: usize, customers: usize, is_one_statement: bool) -> Cost {
    let till = till(customers);
    let mut store = till.store();
    let app = store.connection();
    let steps = Arc::new(AtomicU64::new(0));
    let counted = steps.clone();
    let counting = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    let all = "INSERT INTO store_credit_adjustment
               SELECT ?1, '0.01' FROM (WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2) SELECT n FROM n)";
    app.execute_batch("BEGIN").unwrap();
    app.progress_handler(100, Some(counting)).unwrap();
    let began = busy_ns();
    match is_one_statement {
        true => _ = app.execute(all, [ids[0], count as i64]).unwrap(),
        false => {
            let pay = "INSERT INTO store_credit_adjustment VALUES (?1, '0.01')";
            let mut pay = app.prepare(pay).unwrap();
            (0..count).for_each(|n| _ = pay.execute([ids[n % ids.len()]]).unwrap());
        }
    }
    let busy_ns = began.zip(busy_ns()).map(|(began, now)| now - began);
    app.progress_handler(0, None::<fn() -> bool>).unwrap();
    let journaled: i64 =
        app.query_row("SELECT count(*) FROM journal WHERE op = 'adjust'", [], |row| row.get(0)).unwrap();
    assert_eq!(journaled, count as i64);
    app.execute_batch("ROLLBACK").unwrap();
    Cost { steps: 100 * steps.load(Ordering::Relaxed), busy_ns }
}

/// The hundredth payment costs what the first does, and so does the sixteen thousandth.
#[test]
fn very_many_payments_in_one_transaction() {
    for (what, customers, is_one_statement) in
        [("of one customer", 1, false), ("of fifty", 50, false), ("in one statement", 1, true)]
    {
        let [few, many] = [2_000, 16_000].map(|count| payments(count, customers, is_one_statement));
        assert_in_step(what, &few, &many);
    }
}
