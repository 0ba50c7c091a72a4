//! What a decision costs follows the size of what it decides about, at worst by n·log n: held to by eightfold inputs.
//!
//! Each case is a customer, or a sync, with far more edits than a till ever makes in good order: a walk-in customer that every
//! sale edits, a till that was offline for months. What is counted is the time of this thread on a processor, by the
//! system's own count, and only how it grows: eight times the input costs about eight times as much, and sixty-four
//! times where somebody looks through everything for each part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

use chrono::DateTime;
use rust_decimal::Decimal;

use super::secrets::Secrets;
use super::*;
use crate::resource::{CustomerId, EditSeq, FieldId, FormValue, Record, Row, Subject, Value};

const ID: CustomerId = CustomerId(42);
const FEW: usize = 2_000;

/// Nanoseconds on a processor so far; none where the system does not tell. It is counted anew when a thread gives way.
fn busy_ns() -> Option<u64> {
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok()
}

fn costs<T, U>(input: &T, decide: &impl Fn(&T) -> U) -> Option<u64> {
    let once = || {
        let began = busy_ns()?;
        black_box(decide(black_box(input)));
        Some(busy_ns()?.saturating_sub(began))
    };
    (0..3).map(|_| once()).min().flatten()
}

/// Eight times as many cost at most twenty times as much.
fn check<T, U>(what: &str, input: impl Fn(usize) -> T, decide: impl Fn(&T) -> U) {
    let [few, many] = [FEW, 8 * FEW].map(&input);
    let Some((few, many)) = costs(&few, &decide).zip(costs(&many, &decide)) else { return };
    assert!(many < 20 * few.max(100_000), "{what}: {few} ns, and eight times of it {many} ns");
}

fn phone() -> FieldId {
    FieldId::named("phone").unwrap()
}

fn till(body: &str, ops: Vec<Op>) -> Dirty {
    let base = Record::new(body.to_owned());
    let row = Row::of(ID, &base.attributes().unwrap());
    Dirty {
        id: ID.into(),
        base: Some(base),
        lately: Lately::default(),
        row,
        unsound: BTreeSet::new(),
        ops,
        open: Vec::new(),
        attempts: Vec::new(),
        is_credit_undated: false,
        is_behind: false,
        password: None,
        earlier_passwords: Vec::new(),
        deletion: None,
    }
}

fn op(seq: usize, field: FieldId, change: Change, outcome: Option<Outcome>, group: Option<i64>) -> Op {
    let seq = EditSeq(i64::try_from(seq).unwrap());
    Op { seq, field, change, outcome, reject_group: group, at: None, author: None }
}

fn phones(count: usize, outcome: Option<Outcome>) -> Dirty {
    let ops = (1..=count).map(|seq| op(seq, phone(), Change::Set, outcome, None)).collect();
    let mut dirty = till(r#"{"id":42,"phone":"1","notes":"n"}"#, ops);
    dirty.row.set(phone(), Value::Text("2".to_owned()));
    dirty
}

/// Half of them refused together, half made since.
fn refused_and_new(count: usize, group: Option<i64>) -> Dirty {
    let mut dirty = phones(count, None);
    for op in &mut dirty.ops[..count / 2] {
        (op.outcome, op.reject_group) = (Some(Outcome::Rejected), group);
    }
    dirty
}

#[test]
fn refused_edits_and_new_ones_of_one_customer() {
    check("freed by field", |count| refused_and_new(count, None), |dirty| diff(dirty).unwrap());
    check("freed by group", |count| refused_and_new(count, Some(1)), |dirty| diff(dirty).unwrap());
}

#[test]
fn very_many_edits_of_one_customer() {
    let flying = |count| phones(count, Some(Outcome::InFlight));
    let sent = |dirty: &Dirty| Sent {
        up_to: dirty.ops.last().unwrap().seq,
        fields: vec![(phone(), Value::Text("2".to_owned()))],
        is_accepted: true,
        ..Sent::default()
    };
    let answer = Record::new(r#"{"id":42,"phone":"2","notes":"n"}"#.to_owned());
    check("an answer", flying, |dirty| {
        let plan = merge(dirty, &answer, Some(&sent(dirty)), &Policies::default()).unwrap();
        notices(dirty, &plan)
    });
    let words = Rejection { row: ID.into(), field: None, words: "no".to_owned() };
    check("a refusal", flying, |dirty| {
        let as_it_was = Record::new(r#"{"id":42,"phone":"1","notes":"n"}"#.to_owned());
        let sent = Sent { is_accepted: false, denied: vec![phone()], ..sent(dirty) };
        let mut recovered = recover(dirty, &sent, Some(&as_it_was), &Policies::default()).unwrap();
        recovered.reject(dirty, &words).unwrap()
    });
    check(
        "a conflict",
        |count| phones(count, None),
        |dirty| {
            let theirs = Record::new(r#"{"id":42,"phone":"3","notes":"n"}"#.to_owned());
            notices(dirty, &merge(dirty, &theirs, None, &Policies::default()).unwrap())
        },
    );
    check("given up", |count| phones(count, None), |dirty| discard(dirty, &Discarded::All, None).unwrap());
}

#[test]
fn very_many_payments_of_one_customer() {
    let payments = |count: usize| {
        let change = || Change::Adjust(Decimal::ONE);
        let refused = Some(Outcome::Rejected);
        let ops = (1..=count).map(|seq| op(seq, FieldId::STORE_CREDIT_AMOUNTS, change(), refused, None));
        till(r#"{"id":42,"store_credit_amounts":[{"amount":5}]}"#, ops.collect())
    };
    check("tried again", payments, |dirty| retry(dirty, None, &BTreeMap::new()).unwrap());
    check("given up", payments, |dirty| discard(dirty, &Discarded::All, None).unwrap());
}

/// Each payment sent by itself, refused by something in front of the store, and on record.
fn attempts(count: usize, of_each: Option<Outcome>) -> Dirty {
    let balance = |cents: usize| {
        let json = format!("[{{\"amount\":{cents}}}]");
        Value::from_json(FieldId::STORE_CREDIT_AMOUNTS.kind(), &json)
    };
    let left = DateTime::UNIX_EPOCH;
    let attempt = |n: usize| Attempt {
        id: i64::try_from(n).unwrap(),
        field: FieldId::STORE_CREDIT_AMOUNTS,
        value: balance(5 + n),
        base: balance(5),
        modified: Some(left),
        covers: (1..=n).rev().take(2).map(|seq| EditSeq(i64::try_from(seq).unwrap())).collect(),
        flight: Flight { left, applied_by: left },
        is_refuted: false,
        is_disproven: false,
        is_accepted: false,
        is_echoed: false,
        is_payment: true,
    };
    let payment = |seq| op(seq, FieldId::STORE_CREDIT_AMOUNTS, Change::Adjust(Decimal::ONE), of_each, None);
    let mut dirty = till(
        r#"{"id":42,"store_credit_amounts":[{"amount":5}],"date_modified":"1970-01-01T00:00:00Z"}"#,
        (1..=count).map(payment).collect(),
    );
    dirty.attempts = (1..=count).map(attempt).collect();
    dirty
}

#[test]
fn very_many_attempts_of_one_customer() {
    let reading = |amount: usize, second: u32| {
        let date = format!("1970-01-01T00:00:{second:02}Z");
        Record::new(format!(
            r#"{{"id":42,"store_credit_amounts":[{{"amount":{amount}}}],"date_modified":"{date}"}}"#
        ))
    };
    for (what, record) in [
        ("as before", reading(5, 0)),
        ("the first of them landed", reading(6, 0)),
        ("nobody knows which", reading(3, 9)),
    ] {
        for outcome in [None, Some(Outcome::Rejected)] {
            check(
                what,
                |count| attempts(count, outcome),
                |dirty| {
                    let plan = merge(dirty, &record, None, &Policies::default()).unwrap();
                    dirty.spent_attempts(&plan)
                },
            );
        }
    }
    let flying = |count| attempts(count, Some(Outcome::InFlight));
    let sent = |dirty: &Dirty| {
        let last = dirty.attempts.last().unwrap();
        Sent {
            up_to: dirty.ops.last().unwrap().seq,
            fields: vec![(last.field, last.value.clone())],
            flight: Some(last.flight),
            base: SentBase { modified: last.modified, fields: vec![(last.field, last.base.clone())] },
            ..Sent::default()
        }
    };
    check("one more", flying, |dirty| {
        let (sent, record) = (sent(dirty), reading(5, 0));
        let recovered = recover(dirty, &sent, Some(&record), &Policies::default()).unwrap();
        let told = record.attributes().unwrap();
        (on_record(dirty, &sent, &recovered.plan, Some(&told)), dirty.spent_attempts(&recovered.plan))
    });
    check(
        "decided",
        |count| attempts(count, Some(Outcome::Rejected)),
        |dirty| {
            let plan = discard(dirty, &Discarded::All, None).unwrap();
            (dirty.decided_attempts(&plan, EditSeq(i64::MAX)), dirty.spent_attempts(&plan))
        },
    );
}

/// Each form field edited by itself.
fn forms(count: usize) -> Dirty {
    let body = |value: &str| {
        let entries: Vec<String> =
            (0..count).map(|n| format!(r#"{{"name":"f{n}","value":"{value}"}}"#)).collect();
        format!(r#"{{"id":42,"form_fields":[{}]}}"#, entries.join(","))
    };
    let entry = |n: usize| {
        let entry = (format!("f{n}"), Some(FormValue::from_json("\"here\"")));
        Change::Entries([entry].into_iter().collect())
    };
    let ops = (0..count).map(|n| op(n + 1, FieldId::FORM_FIELDS, entry(n), None, None)).collect();
    let mut dirty = till(&body("base"), ops);
    let ours = Record::new(body("here"));
    dirty.row.set(FieldId::FORM_FIELDS, ours.attributes().unwrap().get(FieldId::FORM_FIELDS));
    dirty
}

#[test]
fn very_many_form_fields_that_both_sides_changed() {
    let theirs =
        |dirty: &Dirty| Record::new(dirty.base.as_ref().unwrap().body().replace("\"base\"", "\"there\""));
    check("contested", forms, |dirty| merge(dirty, &theirs(dirty), None, &Policies::default()).unwrap());
    let held = |count| {
        let mut dirty = forms(count);
        dirty.open = (0..count)
            .map(|n| OpenConflict {
                id: i64::try_from(n).unwrap(),
                subject: Subject::entry(FieldId::FORM_FIELDS, &format!("f{n}")),
                base: "\"base\"".to_owned(),
                local: "\"here\"".to_owned(),
                remote: "\"there\"".to_owned(),
                doubt: None,
            })
            .collect();
        dirty.ops.iter_mut().for_each(|op| op.outcome = Some(Outcome::Held));
        dirty
    };
    check("still held", held, |dirty| merge(dirty, &theirs(dirty), None, &Policies::default()).unwrap());
    let one = EditSeq(1);
    check("one given up", forms, |dirty| {
        discard(dirty, &Discarded::Row { seq: one, before: None }, None).unwrap()
    });
}

/// Bodies that were made to be searched for long, and passwords that all but stand in them.
#[test]
fn a_large_body_in_which_passwords_are_looked_for() {
    let almost = |count: usize| {
        let secrets: Vec<String> = (0..10).map(|n| format!("{}{n}", "a".repeat(count / 200))).collect();
        (Secrets::these(&secrets), "a".repeat(4 * count))
    };
    let nested = |sign: &'static str| {
        move |count: usize| (Secrets::these(&["\\\\ & secret".to_owned()]), sign.repeat(4 * count))
    };
    check("one that almost stands there", almost, |(secrets, text)| secrets.masked(&**text).len());
    for sign in ["\\", "&", "%", "\\u", "&#x", "+"] {
        check(sign, nested(sign), |(secrets, text)| secrets.masked(&**text).len());
    }
    let found = |count: usize| (Secrets::these(&["anana".to_owned()]), "an".repeat(2 * count));
    check("one that stands there often", found, |(secrets, text)| secrets.masked(&**text).len());
    // "anana1" in base64, and in hexadecimal digits.
    for encoded in ["YW5hbmEx", "616e616e6131"] {
        let found = move |count: usize| (Secrets::these(&["anana1".to_owned()]), encoded.repeat(count / 2));
        check("one that stands there encoded", found, |(secrets, text)| secrets.masked(&**text).len());
    }
}

#[test]
fn a_chain_of_addresses_that_are_handed_over() {
    let chain = |count: usize| {
        let edit = |n: usize| EmailEdit {
            id: CustomerId(i64::try_from(n).unwrap()).into(),
            from: format!("{n}@x"),
            to: format!("{}@x", n + 1),
        };
        (0..count).map(edit).collect::<Vec<_>>()
    };
    check("a chain", chain, |edits| order_emails(edits));
    let rho = |count| {
        let mut edits = chain(count);
        edits.last_mut().unwrap().to = format!("{}@x", count / 2);
        edits
    };
    assert_eq!(order_emails(&rho(100)).rings.len(), 50);
    check("a chain into a ring", rho, |edits| order_emails(edits));
}
