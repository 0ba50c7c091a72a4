//! Where all is calm, a till and the store agree, but for what waits for a person.

use serde_json::{Value, json};
use tillsync::sandbox::{Behaviours, Pages, Totals};
use tillsync::{JournalRow, Outcome, Store};

use super::payments::GRACE_MS;
use super::{ECHOED, Invariant, Verdict};
use crate::people::{OFFICE_ONLY, TILL_ONLY};
use crate::values::{canonical, lenient};
use crate::world::World;

pub struct Agreement;

/// The label of edits that were found past the triggers.
const FOUND: &str = "found without an entry in the journal";

impl Invariant for Agreement {
    fn at_last(&mut self, world: &mut World) -> Verdict {
        world
            .core
            .violations()
            .first()
            .map_or(Ok(()), |violation| Err(format!("a request breaks the contract: {violation}")))?;
        for till in 0..world.tills.len() {
            let mut store = world.tills[till].take_app();
            // What a till has is what it knows of the store, where nothing is journaled on top of that.
            match store.find_unjournaled() {
                Ok(0) => {}
                found => {
                    let journal = store.journal(None).unwrap_or_default();
                    let found_now: Vec<_> =
                        journal.iter().filter(|row| row.label.as_deref() == Some(FOUND)).collect();
                    return Err(format!(
                        "till {till}: edits that no row of the journal tells of: {found:?} {found_now:?}"
                    ));
                }
            }
            let journal = store.journal(None).map_err(|e| e.to_string())?;
            // Nobody here edits past the triggers: whatever is taken for that was no edit.
            if let Some(made_up) = journal.iter().find(|row| row.label.as_deref() == Some(FOUND)) {
                return Err(format!("till {till}: an edit that nobody made: {made_up:?}"));
            }
            if let Some(kept) = store.unjournaled().map_err(|e| e.to_string())?.first() {
                return Err(format!("till {till}: a value that nobody edited in: {kept:?}"));
            }
            let held_up: Vec<i64> = store.held_up().unwrap().iter().map(|one| one.customer_id.0).collect();
            for id in world.core.ids().into_iter().filter(|id| !held_up.contains(&i64::from(*id))) {
                let excuses = customer(world, till, &store, &journal, i64::from(id))
                    .map_err(|problem| format!("till {till}: customer {id}: {problem}"))?;
                for why in excuses {
                    world.excuse(why, format!("till {till}: customer {id}"));
                }
            }
            the_deleted(world, &store).map_err(|problem| format!("till {till}: {problem}"))?;
            world.tills[till].app = Some(store);
        }
        Ok(())
    }
}

/// Why something is let pass.
type Excuses = Result<Vec<&'static str>, String>;

fn customer(world: &World, till: usize, store: &Store, journal: &[JournalRow], id: i64) -> Excuses {
    let theirs = world.customer(id).unwrap_or_default();
    let Some(row) = store.get(id).unwrap() else { return Err("it is not in the file".to_owned()) };
    let ours = lenient(&row.to_json());
    let edits: Vec<&JournalRow> = journal.iter().filter(|row| row.customer_id.0 == id).collect();
    let waits = |field: &str| {
        let waiting = [None, Some(Outcome::Held), Some(Outcome::Rejected)];
        edits.iter().any(|row| row.field == field && waiting.contains(&row.outcome))
    };
    let mut excuses = Vec::new();
    let fields = ours.as_object().into_iter().flatten().map(|(field, _)| field);
    for field in fields.filter(|field| theirs.get(field.as_str()).is_some()) {
        let (ours, theirs) = (canonical(field, &ours[field]), canonical(field, &theirs[field]));
        if field == "date_modified" && is_empty(&ours) && !is_empty(&theirs) {
            // It is told again with the next change, or the next list of everybody.
            excuses.push("an update changed nothing, and its answer told no date");
        } else if ours != theirs && !waits(field) && !both_empty(&ours, &theirs) {
            return Err(format!("{field}: the till has {ours}, the store {theirs}"));
        }
    }
    // Of one who came in each till has its own word.
    let is_tills = till == 0 && !world.made.contains_key(&id);
    for field in TILL_ONLY.into_iter().filter(|_| is_tills) {
        excuses.extend(last_upload(world, id, field, &edits, &canonical(field, &theirs[field]))?);
    }
    let office = world.written.get(&(id, OFFICE_ONLY.to_owned())).and_then(|all| all.last());
    match office {
        Some(office) if office.value != canonical(OFFICE_ONLY, &theirs[OFFICE_ONLY]) => Err(format!(
            "{OFFICE_ONLY}: the office set {}, the store has {}",
            office.value, theirs[OFFICE_ONLY]
        )),
        _ => Ok(excuses),
    }
}

fn both_empty(ours: &Value, theirs: &Value) -> bool {
    is_empty(ours) && is_empty(theirs)
}

fn is_empty(value: &Value) -> bool {
    [Value::Null, json!([]), json!({}), json!("")].contains(value)
}

/// An attribute that only the till edits has the value of its last edit that was uploaded, unless somebody was faster.
fn last_upload(world: &World, id: i64, field: &str, edits: &[&JournalRow], theirs: &Value) -> Excuses {
    let landed = [Some(Outcome::Uploaded), Some(Outcome::Unchanged)];
    let last = edits.iter().rev().find(|row| row.field == field && landed.contains(&row.outcome));
    let Some(last) = last else { return Ok(Vec::new()) };
    let value = canonical(field, &lenient(&last.value));
    let by_somebody = world.writing_of(id, field, theirs).is_some_and(|written| !written.is_till);
    // One that is in doubt may have landed; a person is asked about it.
    let in_doubt = |row: &&&JournalRow| row.seq > last.seq && !landed.contains(&row.outcome);
    let of_field = edits.iter().filter(|row| row.field == field);
    let is_in_doubt = of_field.filter(in_doubt).any(|row| canonical(field, &lenient(&row.value)) == *theirs);
    if value == *theirs || by_somebody || is_in_doubt {
        return Ok(Vec::new());
    }
    let is_tills =
        |row: &&&JournalRow| row.field == field && canonical(field, &lenient(&row.value)) == *theirs;
    // Another word of the same till is what stands there, and nothing else.
    let excuse =
        excuse(world, id, field).filter(|why| *why == ECHOED || edits.iter().any(|row| is_tills(&row)));
    excuse
        .map(|why| vec![why])
        .ok_or_else(|| format!("{field}: {value} was uploaded, the store has {theirs}"))
}

/// Why the last word of an edit may not be what the store has.
fn excuse(world: &World, id: i64, field: &str) -> Option<&'static str> {
    let Behaviours { tidying, .. } = world.core.options().behaviours;
    match () {
        // An update in doubt is not known again: nobody would foresee that.
        () if field == "phone" && tidying.phones => Some("of a phone the store keeps the digits"),
        () if world.is_echoed(id, Some(field)) => Some(ECHOED),
        // Read back before it showed.
        () if world.lagged_ms > GRACE_MS => Some("a last word where reads lag by more than the grace"),
        () => None,
    }
}

/// Nobody is taken for deleted by an answer that tells another number than it shows, nor by one that does not even show those
/// who keep company.
pub fn why_nobody_is_deleted(world: &World) -> Option<&'static str> {
    let Behaviours { pages, totals, by_id_at_most, .. } = world.core.options().behaviours;
    let is_cut_short = matches!(pages, Pages::AtMost(1) | Pages::Ragged) || by_id_at_most == 1;
    match () {
        () if matches!(totals, Totals::TooHigh | Totals::TooLow) => Some("deleted, and totals are wrong"),
        () if is_cut_short => Some("deleted, and answers by id do not even show those who keep company"),
        () => None,
    }
}

/// A deleted customer is gone from the file, or its edits wait for a person.
fn the_deleted(world: &mut World, store: &Store) -> Verdict {
    let excuse = why_nobody_is_deleted(world);
    let conflicts = store.conflicts().unwrap();
    for id in world.deleted.clone() {
        let is_asked = conflicts.iter().any(|conflict| conflict.customer_id.0 == id && conflict.field == "*");
        if store.get(id).unwrap().is_none() || is_asked {
            continue;
        }
        let what = format!("customer {id} was deleted, and is still in the file");
        match excuse {
            Some(why) => world.excuse(why, what),
            None => return Err(what),
        }
    }
    Ok(())
}
