//! The model of a till's life: what was asked for, what was acknowledged, and hence what must be true in the end.
//!
//! Every edit bears a label of its own, so the journal tells of each whether it is there. One that was acknowledged
//! must be; one whose process died before it could say so may be, whole or not at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tillsync::{CustomerId, Decimal, JournalRow, Outcome, Store};

use super::Till;

/// Attributes that the till edits.
pub const EDITED: [&str; 4] = ["phone", "company", "notes", "first_name"];
/// Attributes that must be the same on both sides when all is calm.
const COMPARED: [&str; 10] = [
    "email",
    "first_name",
    "last_name",
    "company",
    "phone",
    "notes",
    "tax_exempt_category",
    "customer_group_id",
    "date_modified",
    "channel_ids",
];
/// What every customer begins with: no adjustment exhausts it.
const OPENING: i64 = 10_000;

/// A change of one attribute of one customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    Set { id: i64, field: String, value: String },
    Adjust { id: i64, amount: Decimal },
}

/// Changes that are journaled together or not at all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Intent {
    pub label: String,
    pub changes: Vec<Change>,
}

/// All that was asked for.
#[derive(Debug, Default)]
pub struct Ledger {
    pub intents: Vec<Intent>,
    acknowledged: Vec<bool>,
}

impl Change {
    /// A change that no other is equal to.
    pub fn random(ids: &[i64], money: f64, random: &mut fastrand::Rng) -> Change {
        let id = ids[random.usize(..ids.len())];
        if random.f64() < money {
            let cents = [random.i64(-900..0), random.i64(1..900)][random.usize(..2)];
            return Change::Adjust { id, amount: Decimal::new(cents, 2) };
        }
        let field = EDITED[random.usize(..EDITED.len())].to_owned();
        Change::Set { id, field, value: format!("{:016x}", random.u64(..)) }
    }

    fn is(&self, row: &JournalRow) -> bool {
        match self {
            Change::Set { id, field, value } => {
                let json = Value::from(value.as_str()).to_string();
                (row.op.as_str(), row.customer_id, &row.field) == ("set", CustomerId(*id), field)
                    && row.value == json
            }
            Change::Adjust { id, amount } => {
                row.op == "adjust" && row.customer_id == CustomerId(*id) && amount_of(row) == *amount
            }
        }
    }

    /// Journals it through the library.
    pub fn commit(&self, store: &mut Store, label: &str) -> tillsync::Result<usize> {
        match self {
            Change::Set { id, field, value } => {
                store.edit(*id).set(field, value).label(label).commit().map(|receipt| receipt.fields())
            }
            Change::Adjust { id, amount } => {
                let edit = store.edit(*id).adjust_credit(*amount).author("ana").override_floor();
                edit.label(label).commit().map(|receipt| receipt.fields())
            }
        }
    }
}

fn amount_of(row: &JournalRow) -> Decimal {
    row.value.trim_matches('"').parse().unwrap()
}

/// Gives every customer of the store the balance that the ledger reckons from.
pub fn open_accounts(till: &Till) {
    for id in till.sandbox.ids() {
        let json = format!(r#"{{"store_credit_amounts":[{{"amount":{OPENING}}}]}}"#);
        till.sandbox.edit_text(id, &json).unwrap();
    }
}

impl Ledger {
    /// Enters an intent before it is tried.
    pub fn enter(&mut self, intent: Intent) -> usize {
        self.intents.push(intent);
        self.acknowledged.push(false);
        self.intents.len() - 1
    }

    pub fn acknowledge(&mut self, entry: usize) {
        self.acknowledged[entry] = true;
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.iter().filter(|yes| **yes).count()
    }

    /// P1: every edit that was acknowledged is in the journal, and every intent is there whole or not at all.
    pub fn check_journal(&self, store: &Store) -> Result<(), String> {
        let journal = store.journal(None).map_err(|e| e.to_string())?;
        let mut by_label: BTreeMap<&str, Vec<&JournalRow>> = BTreeMap::new();
        for row in &journal {
            by_label.entry(row.label.as_deref().unwrap_or_default()).or_default().push(row);
        }
        // What a person decided is no edit of the till's; whether the sum is right is seen in the store.
        by_label.remove("resolve");
        for (intent, is_acknowledged) in self.intents.iter().zip(&self.acknowledged) {
            let rows = by_label.remove(intent.label.as_str()).unwrap_or_default();
            let is_whole = intent.changes.len() == rows.len()
                && intent.changes.iter().all(|change| rows.iter().any(|row| change.is(row)));
            if !is_whole && (*is_acknowledged || !rows.is_empty()) {
                return Err(format!(
                    "acknowledged: {is_acknowledged}; {intent:?} is in the journal as {rows:?}"
                ));
            }
        }
        match by_label.first_key_value() {
            Some((label, rows)) => Err(format!("nobody asked for {label}: {rows:?}")),
            None => Ok(()),
        }
    }

    /// P1 to P6, after a sync in calm weather.
    pub fn check_all(&self, till: &Till) -> Result<(), String> {
        let store = till.store();
        is_whole(&store)?;
        self.check_journal(&store)?;
        let status = store.status().map_err(|e| e.to_string())?;
        if (status.pending_fields, status.in_flight_batches, status.rejected, status.conflicts)
            != (0, 0, 0, 0)
        {
            return Err(format!("something waits: {status:?}"));
        }
        let journal = store.journal(None).map_err(|e| e.to_string())?;
        for id in till.sandbox.ids() {
            let rows: Vec<&JournalRow> =
                journal.iter().filter(|row| row.customer_id.0 == i64::from(id)).collect();
            customer(till, &store, id, &rows)?;
        }
        till.sandbox.violations().first().map_or(Ok(()), |violation| Err(format!("violation: {violation}")))
    }
}

/// SQLite's own check of the file, and the engine's.
pub fn is_whole(store: &Store) -> Result<(), String> {
    match store.check().map_err(|e| e.to_string())?.first() {
        Some(problem) => Err(format!("the file is damaged: {problem}")),
        None => Ok(()),
    }
}

fn customer(till: &Till, store: &Store, id: i32, rows: &[&JournalRow]) -> Result<(), String> {
    let ours = store.get(i64::from(id)).unwrap().ok_or(format!("customer {id} is not in the file"))?;
    let ours: Value = serde_json::from_str(&ours.to_json()).unwrap();
    let theirs = till.sandbox.customer(id).unwrap();
    for field in COMPARED {
        if ours[field] != theirs[field] {
            let (ours, theirs) = (&ours[field], &theirs[field]);
            return Err(format!("customer {id}: {field}: the till has {ours}, the store {theirs}; {rows:?}"));
        }
    }
    for field in EDITED {
        let mut edits = rows.iter().filter(|row| row.field == field).rev();
        if let Some(last) = edits.next() {
            landed(last, &theirs[field])?;
        }
        edits.try_for_each(|row| match row.outcome {
            Some(Outcome::Uploaded | Outcome::Unchanged | Outcome::Superseded) => Ok(()),
            _ => Err(format!("an edit has no end: {row:?}")),
        })?;
    }
    money(till, id, rows)
}

fn landed(row: &JournalRow, theirs: &Value) -> Result<(), String> {
    let has_landed = matches!(row.outcome, Some(Outcome::Uploaded | Outcome::Unchanged));
    let json = theirs.to_string();
    match has_landed && row.value == json {
        true => Ok(()),
        false => Err(format!("the last edit did not land: {row:?}; the store has {theirs}")),
    }
}

/// P5: the balance is what it was, and every adjustment once.
fn money(till: &Till, id: i32, rows: &[&JournalRow]) -> Result<(), String> {
    let adjustments = rows.iter().filter(|row| row.op == "adjust" && row.label.as_deref() != Some("resolve"));
    let expected = Decimal::from(OPENING) + adjustments.map(|row| amount_of(row)).sum::<Decimal>();
    let has = balance(till, id);
    match has == expected {
        true => Ok(()),
        false => Err(format!("customer {id}: the balance is {has}, and should be {expected}; {rows:?}")),
    }
}

/// The balance in the store, from its exact text.
fn balance(till: &Till, id: i32) -> Decimal {
    #[derive(Deserialize)]
    struct Customer {
        store_credit_amounts: Vec<BTreeMap<String, Box<serde_json::value::RawValue>>>,
    }
    let customer: Customer = serde_json::from_str(&till.sandbox.customer_text(id).unwrap()).unwrap();
    customer.store_credit_amounts[0]["amount"].get().parse().unwrap()
}
