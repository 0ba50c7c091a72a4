//! Where all is calm, a till and the store agree, but for what waits for a person.

use serde_json::{Value, json};
use tillsync::sandbox::{Pages, ResponseAttributes, Totals};
use tillsync::{JournalRow, Outcome, Store};

use super::payments::GRACE_MS;
use super::{Invariant, Verdict};
use crate::oddities::is_promised;
use crate::people::{OFFICE_ONLY, TILL_ONLY};
use crate::values::{canonical, lenient};
use crate::world::World;

pub struct Agreement;

impl Invariant for Agreement {
    fn at_last(&mut self, world: &mut World) -> Verdict {
        world
            .core
            .violations()
            .first()
            .map_or(Ok(()), |violation| Err(format!("a request breaks the contract: {violation}")))?;
        for till in 0..world.tills.len() {
            let store = Store::open(&world.tills[till].path).map_err(|e| e.to_string())?;
            let journal = store.journal(None).map_err(|e| e.to_string())?;
            let held_up: Vec<i64> = store.held_up().unwrap().iter().map(|one| one.customer_id.0).collect();
            for id in world.core.ids().into_iter().filter(|id| !held_up.contains(&i64::from(*id))) {
                customer(world, till, &store, &journal, i64::from(id))
                    .map_err(|problem| format!("till {till}: customer {id}: {problem}"))?;
            }
            the_deleted(world, &store).map_err(|problem| format!("till {till}: {problem}"))?;
        }
        Ok(())
    }
}

fn customer(world: &World, till: usize, store: &Store, journal: &[JournalRow], id: i64) -> Verdict {
    let theirs = world.customer(id).unwrap_or_default();
    let Some(row) = store.get(id).unwrap() else { return Err("it is not in the file".to_owned()) };
    let ours = lenient(&row.to_json());
    let edits: Vec<&JournalRow> = journal.iter().filter(|row| row.customer_id.0 == id).collect();
    let waits = |field: &str| {
        let waiting = [None, Some(Outcome::Held), Some(Outcome::Rejected)];
        edits.iter().any(|row| row.field == field && waiting.contains(&row.outcome))
    };
    let fields = ours.as_object().into_iter().flatten().map(|(field, _)| field);
    for field in fields.filter(|field| theirs.get(field.as_str()).is_some()) {
        let (ours, theirs) = (canonical(field, &ours[field]), canonical(field, &theirs[field]));
        if ours != theirs && !waits(field) && !both_empty(&ours, &theirs) {
            return Err(format!("{field}: the till has {ours}, the store {theirs}"));
        }
    }
    // Where a store keeps the digits of a phone only, an update in doubt is not known again: nobody would foresee that.
    let digits_only = world.core.options().behaviours.tidying.phones;
    let own = TILL_ONLY.into_iter().filter(|field| till == 0 && (*field != "phone" || !digits_only));
    for field in own {
        last_upload(world, id, field, &edits, &canonical(field, &theirs[field]))?;
    }
    let office = world.written.get(&(id, OFFICE_ONLY.to_owned())).and_then(|all| all.last());
    match office {
        Some(office) if office.value != canonical(OFFICE_ONLY, &theirs[OFFICE_ONLY]) => Err(format!(
            "{OFFICE_ONLY}: the office set {}, the store has {}",
            office.value, theirs[OFFICE_ONLY]
        )),
        _ => Ok(()),
    }
}

fn both_empty(ours: &Value, theirs: &Value) -> bool {
    let is_empty = |value: &Value| [Value::Null, json!([]), json!({}), json!("")].contains(value);
    is_empty(ours) && is_empty(theirs)
}

/// An attribute that only the till edits has the value of its last edit that was uploaded, unless somebody was faster.
fn last_upload(world: &World, id: i64, field: &str, edits: &[&JournalRow], theirs: &Value) -> Verdict {
    let landed = [Some(Outcome::Uploaded), Some(Outcome::Unchanged)];
    let last = edits.iter().rev().find(|row| row.field == field && landed.contains(&row.outcome));
    let Some(last) = last else { return Ok(()) };
    let value = canonical(field, &lenient(&last.value));
    let told = world.core.options().behaviours.response;
    let is_undated =
        matches!(told, ResponseAttributes::Minimal | ResponseAttributes::OnlyIds) && world.lagged_ms > 0;
    if is_undated && !is_promised("last-words-over-undated-answers") {
        return Ok(());
    }
    // Read back before it showed: reads lag by more than the grace.
    if world.lagged_ms > GRACE_MS {
        return Ok(());
    }
    let by_somebody = world.writing_of(id, field, theirs).is_some_and(|written| !written.is_till);
    // One that is in doubt may have landed; a person is asked about it.
    let in_doubt = |row: &&&JournalRow| row.seq > last.seq && !landed.contains(&row.outcome);
    let of_field = edits.iter().filter(|row| row.field == field);
    let is_in_doubt = of_field.filter(in_doubt).any(|row| canonical(field, &lenient(&row.value)) == *theirs);
    match value == *theirs || by_somebody || is_in_doubt {
        true => Ok(()),
        false => Err(format!("{field}: {value} was uploaded, the store has {theirs}")),
    }
}

/// A deleted customer is gone from the file, or its edits wait for a person.
fn the_deleted(world: &World, store: &Store) -> Verdict {
    // Nobody is taken for deleted by an answer that tells another number than it shows, nor by one that does not even show those
    // who keep company.
    let behaviours = world.core.options().behaviours;
    let is_cut_short =
        matches!(behaviours.pages, Pages::AtMost(1) | Pages::Ragged) || behaviours.by_id_at_most == 1;
    if matches!(behaviours.totals, Totals::TooHigh | Totals::TooLow) || is_cut_short {
        return Ok(());
    }
    let conflicts = store.conflicts().unwrap();
    for id in &world.deleted {
        let is_asked =
            conflicts.iter().any(|conflict| conflict.customer_id.0 == *id && conflict.field == "*");
        if store.get(*id).unwrap().is_some() && !is_asked {
            return Err(format!("customer {id} was deleted, and is still in the file"));
        }
    }
    Ok(())
}
