//! The promises, held against the model.

use std::collections::BTreeMap;

use serde_json::Value;
use tillsync::sandbox::RawRequest;
use tillsync::{Decimal, JournalRow, Outcome, Store};

use crate::model::TILL_ONLY;
use crate::run::balance;
use crate::world::{Shared, Till, World};

/// P2, P4, P5, as an update reaches the store: it holds only what the till edited, and what it overwrites was seen.
pub fn put(world: &mut World, raw: &RawRequest) {
    let Ok(objects) = serde_json::from_slice::<Vec<serde_json::Map<String, Value>>>(&raw.body) else {
        return world.problems.push("an update is no array of objects".to_owned());
    };
    if objects.len() > 10 {
        world.problems.push("more than ten in a call".to_owned());
    }
    for object in objects {
        let Some(id) = object["id"].as_i64() else { continue };
        for (field, value) in object.iter().filter(|(field, _)| *field != "id") {
            if !world.model.edited.contains(&(id, field.clone())) {
                world.problems.push(format!("customer {id}: {field} was written, and nobody edited it"));
            }
            overwrites(world, id, field, value);
        }
    }
}

/// What the store has is what the till last saw, or what it now sends.
fn overwrites(world: &mut World, id: i64, field: &str, value: &Value) {
    let Some(text) = i32::try_from(id).ok().and_then(|id| world.core.customer_text(id)) else { return };
    let now = plain(field, &serde_json::from_str::<Value>(&text).unwrap()[field]);
    let seen = snapshot(world, id).map(|snapshot| plain(field, &snapshot[field]));
    was_decided(world, id, field, &now, value);
    if seen.as_ref() != Some(&now) && now != plain(field, value) {
        world.problems.push(format!(
            "customer {id}: {field}: {now} is overwritten by {value}, unseen (seen: {seen:?})"
        ));
    }
}

/// A value that a text replaces was there when it was edited, or both values stand in a conflict.
fn was_decided(world: &mut World, id: i64, field: &str, now: &Value, value: &Value) {
    if !["company", "first_name"].contains(&field) || now == value {
        return;
    }
    let connection = world.till().looks();
    let texts = |sql: &str| -> Vec<Value> {
        let mut statement = connection.prepare_cached(sql).unwrap();
        let rows = statement.query_map((id, field), |row| row.get::<_, String>(0)).unwrap();
        rows.map(|text| serde_json::from_str(&text.unwrap()).unwrap()).collect()
    };
    let edited = "SELECT was FROM journal WHERE customer_id = ?1 AND field = ?2 AND settled_at IS NULL ORDER BY seq LIMIT 1";
    let decided = "SELECT remote FROM conflict WHERE customer_id = ?1 AND field = ?2";
    if !texts(edited).contains(now) && !texts(decided).contains(now) {
        world
            .problems
            .push(format!("customer {id}: {field}: {value} replaces {now}, and nobody decided that"));
    }
}

fn snapshot(world: &mut World, id: i64) -> Option<Value> {
    let connection = world.till().looks();
    let body =
        connection.query_row("SELECT body FROM snapshot WHERE id = ?1", [id], |row| row.get::<_, String>(0));
    serde_json::from_str(&body.ok()?).ok()
}

/// A value without what the store adds to it, and without an order that means nothing.
fn plain(field: &str, value: &Value) -> Value {
    match (field, value) {
        ("form_fields", Value::Array(entries)) => {
            let by_name = entries.iter().map(|entry| (entry["name"].to_string(), entry["value"].clone()));
            serde_json::to_value(by_name.collect::<BTreeMap<_, _>>()).unwrap()
        }
        ("form_fields", Value::Null) => serde_json::json!({}),
        ("channel_ids", Value::Array(ids)) => {
            let mut ids: Vec<i64> = ids.iter().filter_map(Value::as_i64).collect();
            ids.sort_unstable();
            ids.into()
        }
        ("store_credit_amounts", Value::Array(amounts)) => {
            amounts.iter().map(|one| one["amount"].as_f64().unwrap_or_default()).collect()
        }
        _ => value.clone(),
    }
}

/// Everything, when all is calm.
pub fn all(world: &Shared) -> Result<(), String> {
    let mut world = world.lock();
    world.problems.pop().map_or(Ok(()), Err)?;
    world.core.violations().first().map_or(Ok(()), |violation| Err(format!("violation: {violation}")))?;
    let mut adjusted = BTreeMap::new();
    for till in 0..world.tills.len() {
        one_till(&mut world, till, &mut adjusted).map_err(|problem| format!("till {till}: {problem}"))?;
    }
    world.core.ids().into_iter().try_for_each(|id| money(&world, i64::from(id), &adjusted))
}

/// What adjustments came to, by customer; none: one of them waits for a person.
type Adjusted = BTreeMap<i64, Option<Decimal>>;

fn one_till(world: &mut World, till: usize, adjusted: &mut Adjusted) -> Result<(), String> {
    let Till { path, acknowledged, .. } = &world.tills[till];
    let store = Store::open(path).map_err(|e| e.to_string())?;
    let journal = store.journal(None).map_err(|e| e.to_string())?;
    nothing_is_pending(&store, &journal)?;
    if journal.len() as u64 != *acknowledged {
        return Err(format!("{acknowledged} edits were acknowledged, {} are in the journal", journal.len()));
    }
    no_further_call(world, till)?;
    for id in world.core.ids() {
        customer(world, till, &store, &journal, i64::from(id))?;
    }
    journal.iter().filter(|row| row.op == "adjust").for_each(|row| add(adjusted, row));
    the_deleted(world, &store)
}

fn add(adjusted: &mut Adjusted, row: &JournalRow) {
    let amount: Decimal = row.value.trim_matches('"').parse().unwrap();
    let sum = adjusted.entry(row.customer_id.0).or_insert(Some(Decimal::ZERO));
    match row.outcome {
        Some(Outcome::Uploaded | Outcome::Unchanged) => *sum = sum.map(|sum| sum + amount),
        Some(Outcome::Held) => *sum = None,
        _ => {}
    }
}

/// P1: every edit has an end, or waits where a person sees it.
fn nothing_is_pending(store: &Store, journal: &[JournalRow]) -> Result<(), String> {
    let status = store.status().map_err(|e| e.to_string())?;
    if status.in_flight_batches > 0 {
        return Err("a batch is still in flight".to_owned());
    }
    let (conflicts, rejected) = (store.conflicts().unwrap(), store.rejected().unwrap());
    for row in journal {
        let is_visible = match row.outcome {
            // A payment that was made beside a balance in doubt goes on top of whatever is decided.
            None if row.op == "adjust" => conflicts.iter().any(|conflict| {
                conflict.customer_id == row.customer_id && conflict.field == "store_credit_amounts"
            }),
            None | Some(Outcome::InFlight) => false,
            Some(Outcome::Held) => conflicts.iter().any(|conflict| {
                let field = conflict.field.split('.').next().unwrap_or_default();
                conflict.customer_id == row.customer_id && (field == row.field || field == "*")
            }),
            Some(Outcome::Rejected) => {
                rejected.iter().any(|one| one.customer_id == row.customer_id && one.field == row.field)
            }
            _ => true,
        };
        if !is_visible {
            return Err(format!("an edit is in nobody's sight: {row:?}"));
        }
    }
    Ok(())
}

/// A till's last sync made no update.
fn no_further_call(world: &World, till: usize) -> Result<(), String> {
    let own = |line: &str| line.contains(&format!("[{till}]"));
    let from =
        world.trace.iter().rposition(|line| own(line) && line.contains("== Sync Weather")).unwrap_or(0);
    let mut sent = world.trace[from..].iter().filter(|line| own(line) && line.contains("-> "));
    match sent.find(|line| line.contains("[{")) {
        Some(line) => Err(format!("the last sync still sent something: {line}")),
        None => Ok(()),
    }
}

fn customer(
    world: &World,
    till: usize,
    store: &Store,
    journal: &[JournalRow],
    id: i64,
) -> Result<(), String> {
    let theirs: Value = serde_json::from_str(&world.core.customer_text(id as i32).unwrap()).unwrap();
    let Some(row) = store.get(id).unwrap() else { return Err(format!("customer {id} is not in the file")) };
    let ours: Value = serde_json::from_str(&row.to_json()).unwrap();
    let edits: Vec<&JournalRow> = journal.iter().filter(|row| row.customer_id.0 == id).collect();
    let waits = |field: &str| {
        let waiting = [Some(Outcome::Held), Some(Outcome::Rejected)];
        edits.iter().any(|row| row.field == field && waiting.contains(&row.outcome))
    };
    for field in ours.as_object().unwrap().keys().filter(|field| theirs.get(field.as_str()).is_some()) {
        let (ours, theirs) = (plain(field, &ours[field]), plain(field, &theirs[field]));
        if ours != theirs && !waits(field) && !both_empty(&ours, &theirs) {
            return Err(format!("customer {id}: {field}: the till has {ours}, the store {theirs}"));
        }
    }
    for field in TILL_ONLY.into_iter().filter(|_| till == 0) {
        last_upload(id, field, &edits, &theirs[field])?;
    }
    for ((_, field), value) in world.model.office.iter().filter(|((of, _), _)| *of == id) {
        if theirs[*field] != value.as_str() {
            return Err(format!(
                "customer {id}: {field}: the office set {value}, the store has {}",
                theirs[*field]
            ));
        }
    }
    Ok(())
}

fn both_empty(ours: &Value, theirs: &Value) -> bool {
    let is_empty =
        |value: &Value| value.is_null() || *value == serde_json::json!([]) || *value == serde_json::json!({});
    is_empty(ours) && is_empty(theirs)
}

/// An attribute that only the till edits has the value of its last edit that was uploaded.
fn last_upload(id: i64, field: &str, edits: &[&JournalRow], theirs: &Value) -> Result<(), String> {
    let landed = [Some(Outcome::Uploaded), Some(Outcome::Unchanged)];
    let last = edits.iter().rev().find(|row| row.field == field && landed.contains(&row.outcome));
    let Some(last) = last else { return Ok(()) };
    let value: Value = serde_json::from_str(&last.value).unwrap();
    match value == *theirs {
        true => Ok(()),
        false => Err(format!("customer {id}: {field}: {value} was uploaded, the store has {theirs}")),
    }
}

/// P5: the balance is what it was, what the office added, and every adjustment of every till once.
fn money(world: &World, id: i64, adjusted: &Adjusted) -> Result<(), String> {
    let Some(sum) = adjusted.get(&id).copied().unwrap_or(Some(Decimal::ZERO)) else { return Ok(()) };
    let expected = Decimal::from(world.model.credit[&id]) + sum;
    let has = balance(world, id as i32);
    match has == expected || world.model.decided.contains(&id) {
        true => Ok(()),
        false => Err(format!("customer {id}: the balance is {has}, and should be {expected}")),
    }
}

/// A deleted customer is gone from the file, or its edits wait for a person.
fn the_deleted(world: &World, store: &Store) -> Result<(), String> {
    let conflicts = store.conflicts().unwrap();
    for id in &world.model.deleted {
        let is_asked =
            conflicts.iter().any(|conflict| conflict.customer_id.0 == *id && conflict.field == "*");
        if store.get(*id).unwrap().is_some() && !is_asked {
            return Err(format!("customer {id} was deleted, and is still in the file"));
        }
    }
    Ok(())
}
