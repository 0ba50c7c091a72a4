//! Two tills and a back office edit the same customers at random, for a long time; then all three agree.
//!
//! One actor talks to the store at a time. What a store without conditional updates cannot show, another's write of the
//! same attribute between a till's pull and its own update, is the one window that `docs/conflicts.md` states.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::{Till, sandbox};
use serde_json::{Value as Json, json};
use tillsync::sandbox::Sandbox;
use tillsync::{CustomerId, Decimal, Edit, Extent, Keep, Outcome, parse_argument};

const CUSTOMERS: usize = 200;
const ROUNDS: u32 = 50;
/// Edits that each of the three makes in a round.
const EDITS: usize = 32;

const ANYTHING: [&str; 6] = ["phone", "company", "notes", "channel_ids", "form_fields", "customer_group_id"];

/// A value that an edit may give; few, so that sides meet. Of form fields, which a store need not date, there are more: what is set back
/// to what it was is not believed for a minute.
fn draw(random: &mut fastrand::Rng, field: &str) -> Json {
    let n = random.u32(..4);
    match field {
        "notes" => json!(format!("first {}\n\nmiddle\n\nlast {}", random.u32(..3), random.u32(..3))),
        "channel_ids" => {
            let ids: BTreeSet<u32> = (0..=random.usize(..3)).map(|_| random.u32(1..5)).collect();
            json!(ids)
        }
        "form_fields" => ["colour", "size"]
            .iter()
            .map(|name| json!({"name": name, "value": format!("{}", random.u32(..1_000))}))
            .collect(),
        "customer_group_id" => json!(n),
        _ => json!(format!("{field} {n}")),
    }
}

/// So many that hardly ever one takes another back: where no reading has told that it landed, a person is asked.
fn amount(random: &mut fastrand::Rng) -> Decimal {
    Decimal::new(random.i64(-200_000..200_000), 4)
}

/// Some are edited more often than others, so that sides meet.
fn any_customer(random: &mut fastrand::Rng, ids: &[i32]) -> i32 {
    ids[(random.f64().powi(2) * ids.len() as f64) as usize]
}

/// Everybody's payments, by customer: what the store must have in the end.
type Ledger = BTreeMap<i64, Decimal>;

/// Returns how many attributes were journaled.
fn edit(till: &Till, random: &mut fastrand::Rng, ids: &[i32], ledger: &mut Ledger) -> usize {
    let mut edits: Vec<(CustomerId, Vec<Edit>)> = Vec::new();
    for _ in 0..EDITS {
        let id = i64::from(any_customer(random, ids));
        let one = match random.u32(..3) {
            0 => {
                let amount = amount(random);
                *ledger.entry(id).or_default() += amount;
                Edit::Adjust(amount)
            }
            _ => {
                let field = ANYTHING[random.usize(..ANYTHING.len())];
                let value = draw(random, field);
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                parse_argument(CustomerId(id), field, &text).unwrap()
            }
        };
        edits.push((CustomerId(id), vec![one]));
    }
    let mut store = till.store();
    store.set_credit_floor(None).unwrap();
    store.edit_all(&edits, Some("till"), None).unwrap().fields()
}

fn office(store: &Sandbox, random: &mut fastrand::Rng, ids: &[i32], ledger: &mut Ledger) {
    for _ in 0..EDITS {
        let id = any_customer(random, ids);
        if random.u32(..3) == 0 {
            let amount = amount(random);
            *ledger.entry(i64::from(id)).or_default() += amount;
            let json =
                format!(r#"{{"store_credit_amounts":[{{"amount":{}}}]}}"#, balance(store, id) + amount);
            assert!(store.edit_text(id, &json).unwrap());
        } else {
            let field = ANYTHING[random.usize(..ANYTHING.len())];
            assert!(store.edit(id, json!({field: draw(random, field)})));
        }
    }
}

/// To the cent: not through a float.
fn balance(store: &Sandbox, id: i32) -> Decimal {
    let text = store.customer_text(id).unwrap();
    let amount = text.split_once(r#""store_credit_amounts":[{"amount":"#).unwrap().1;
    amount.split_once(['}', ',']).unwrap().0.parse().unwrap()
}

/// A person decides each of what is held, or leaves it for later.
fn decide(till: &Till, random: &mut fastrand::Rng, is_last: bool) -> usize {
    let mut store = till.store();
    let conflicts = store.conflicts().unwrap();
    for conflict in &conflicts {
        let keep = match random.u32(if is_last { 0..2 } else { 0..4 }) {
            0 => Keep::Local,
            1 => Keep::Remote,
            2 if conflict.field == "phone" => Keep::Value("a third".to_owned()),
            _ => continue,
        };
        assert_ne!(conflict.field, "store_credit_amounts", "adjustments are never in conflict");
        store.resolve(conflict.customer_id, &conflict.field, &keep, Some("bo")).unwrap();
    }
    conflicts.len()
}

/// Nothing is rejected, but for what somebody set back to just what it was before any reading told that it had landed; a person
/// gives that up.
fn sync(till: &Till) {
    till.engine().sync().unwrap();
    let mut store = till.store();
    for rejected in store.rejected().unwrap() {
        let why = (rejected.field.as_str(), rejected.reason.as_str());
        assert_eq!(why, ("form_fields", "the store accepted the update and does not show it"));
        store.discard(rejected.customer_id, Some("form_fields"), None).unwrap();
    }
}

#[test]
fn two_tills_and_a_back_office_end_equal_and_no_cent_is_lost() {
    let seed = std::env::var("TILLSYNC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4_711);
    let mut random = fastrand::Rng::with_seed(seed);
    let store = sandbox(CUSTOMERS);
    let ids = store.ids();
    // Every entry is there from the start: whether a store takes one away is not documented. Nobody runs out of credit.
    for id in &ids {
        let entries = draw(&mut random, "form_fields");
        let credit = json!([{"amount": 5_000 + id}]);
        store.edit(
            *id,
            json!({"form_fields": entries, "channel_ids": [1, 2], "store_credit_amounts": credit}),
        );
    }
    let mut ledger: Ledger = ids.iter().map(|id| (i64::from(*id), balance(&store, *id))).collect();
    let tills = [Till::new(store.clone()), Till::new(store.clone())];
    tills.iter().for_each(|till| _ = till.engine().pull(Extent::Changes).unwrap());

    let (mut journaled, mut decided) = ([0, 0], 0);
    for _ in 0..ROUNDS {
        office(&store, &mut random, &ids, &mut ledger);
        for (till, journaled) in tills.iter().zip(&mut journaled) {
            *journaled += edit(till, &mut random, &ids, &mut ledger);
        }
        let till = &tills[random.usize(..2)];
        // Rounds are minutes apart: within one, what was set back is looked at again and again (`tests/held_up_answers.rs` and the
        // simulation have that).
        till.minute_passes();
        sync(till);
        decided += decide(till, &mut random, false);
    }
    // The office goes home; the tills sync, and decide, until nobody has anything left.
    while tills.iter().any(|till| {
        sync(till);
        let status = till.store().status().unwrap();
        decide(till, &mut random, true) > 0 || status.pending_fields > 0
    }) {}
    // What was set back within a minute is believed after it, once two readings show it.
    tills.iter().for_each(Till::minute_passes);
    tills.iter().for_each(sync);
    std::thread::sleep(Duration::from_secs(6));
    tills.iter().for_each(sync);

    assert!(decided > 100, "too few met: {decided}");
    for id in &ids {
        check_equal(&store, &tills, *id);
        assert_eq!(balance(&store, *id), ledger[&i64::from(*id)], "customer {id}: the balance");
    }
    for (till, journaled) in tills.iter().zip(journaled) {
        check_accounted_for(till, journaled);
        till.assert_no_violations();
        let again = till.engine().sync().unwrap();
        assert_eq!(
            (again.pulled, again.requests.put, again.conflicts),
            (0, 0, 0),
            "a further sync had something to do"
        );
    }
}

fn check_equal(store: &Sandbox, tills: &[Till], id: i32) {
    let theirs = store.customer(id).unwrap();
    for till in tills {
        let row = till.store().get(i64::from(id)).unwrap().unwrap().to_json();
        let ours: Json = serde_json::from_str(&row).unwrap();
        for field in
            ANYTHING.into_iter().chain(["email", "first_name", "date_modified", "store_credit_amounts"])
        {
            assert_eq!(plain(field, &ours[field]), plain(field, &theirs[field]), "customer {id}: {field}");
        }
    }
}

/// A value without an order that means nothing.
fn plain(field: &str, value: &Json) -> Json {
    match (field, value) {
        ("form_fields", Json::Array(entries)) => entries
            .iter()
            .map(|entry| (entry["name"].to_string(), entry["value"].clone()))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
        ("channel_ids", Json::Array(ids)) => {
            json!(ids.iter().filter_map(Json::as_i64).collect::<BTreeSet<_>>())
        }
        ("store_credit_amounts", amounts) => amounts[0]["amount"].as_f64().into(),
        _ => value.clone(),
    }
}

/// Every edit that was acknowledged is in the journal, with its end; and none was sent that nobody made.
fn check_accounted_for(till: &Till, journaled: usize) {
    let journal = till.store().journal(None).unwrap();
    let decisions = journal.iter().filter(|row| row.label.as_deref() == Some("resolve")).count();
    assert_eq!(journal.len() - decisions, journaled);
    for row in &journal {
        assert!(row.outcome.is_some_and(Outcome::is_settled), "{row:?}");
        // A payment is made, once: a value that took its place, or a decision against it, would be money lost.
        if row.op == "adjust" {
            let landed = [Some(Outcome::Uploaded), Some(Outcome::Unchanged)];
            assert!(landed.contains(&row.outcome), "{row:?}");
        }
    }
}
