//! P1, P3 and P9 of what the shop has defined: no value that is set here is lost from sight, none of the store's is overwritten that the till was
//! never told of, and in the end both agree.

use std::collections::{BTreeMap, BTreeSet};

use tillsync::{JournalRow, Outcome, Store};

use super::{Deed, Invariant, Verdict};
use crate::world::World;

#[derive(Default)]
pub struct Attributes {
    /// What each till was ever told of a value.
    told: BTreeMap<(usize, (i32, i32)), BTreeSet<String>>,
}

impl Invariant for Attributes {
    fn saw(&mut self, _: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::ValueTold { till, key, text } => {
                self.told.entry((*till, *key)).or_default().insert((*text).to_owned());
            }
            Deed::ValueLands { till, key, before: Some(before) } => {
                let is_known = self.told.get(&(*till, *key)).is_some_and(|told| told.contains(*before));
                // What the till itself had sent, and never heard of, is its own.
                let is_its_own = before.starts_with(&format!("till {till} "));
                if !is_known && !is_its_own && before.parse::<u32>().is_err() {
                    return Err(format!(
                        "till {till} has overwritten {before:?} of {key:?}, of which it was never told"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_last(&mut self, world: &mut World) -> Verdict {
        if !world.odd.has("attributes") {
            return Ok(());
        }
        for till in 0..world.tills.len() {
            let store = world.tills[till].take_app();
            let excused = agree(world, &store).map_err(|problem| format!("till {till}: {problem}"))?;
            for what in excused {
                world.excuse("deleted, and more than are believed to be", format!("till {till}: {what}"));
            }
            world.tills[till].app = Some(store);
        }
        Ok(())
    }
}

fn agree(world: &World, store: &Store) -> Result<Vec<String>, String> {
    let mut excused = Vec::new();
    let journal = store.journal(None).map_err(|e| e.to_string())?;
    let held_up: Vec<i64> = store.held_up().unwrap().iter().map(|one| one.customer_id.0).collect();
    let conflicts: Vec<String> = store.conflicts().unwrap().into_iter().map(|one| one.field).collect();
    let rejected: Vec<String> = store.rejected().unwrap().into_iter().map(|one| one.field).collect();
    for id in world.core.ids().into_iter().filter(|id| !held_up.contains(&i64::from(*id))) {
        if store.get(i64::from(id)).unwrap().is_none() {
            continue;
        }
        let here = store.attribute_values(i64::from(id)).map_err(|e| e.to_string())?;
        for attribute in 1..=3 {
            let is_it = |row: &&JournalRow| {
                row.resource == "attribute_value"
                    && row.customer_id.0 == i64::from(id)
                    && row.row_id == i64::from(attribute)
            };
            let is_open = |row: &JournalRow| {
                matches!(row.outcome, None | Some(Outcome::InFlight | Outcome::Held | Outcome::Rejected))
            };
            let word = |what: &str| format!("attribute_value.{attribute}.{what}");
            let mut open = journal.iter().filter(is_it).filter(|row| is_open(row)).peekable();
            if open.peek().is_some() {
                let is_seen = |row: &JournalRow| match row.outcome {
                    Some(Outcome::Held) => {
                        conflicts.contains(&word("value")) || conflicts.contains(&word("*"))
                    }
                    Some(Outcome::Rejected) => rejected.contains(&word("value")),
                    _ => false,
                };
                match open.find(|row| !is_seen(row)) {
                    Some(row) => return Err(format!("an edit is in nobody's sight: {row:?}")),
                    None => continue,
                }
            }
            let ours = here.iter().find(|one| one.attribute_id == i64::from(attribute));
            let ours = ours.and_then(|one| one.value.as_deref());
            let theirs = world.core.attribute_value(id, attribute);
            if theirs.is_none() && world.values_deleted.contains(&(id, attribute)) && ours.is_some() {
                excused.push(format!("{id}.{attribute} is {ours:?} here"));
            } else if ours != theirs {
                return Err(format!("{id}.{attribute} is {ours:?} here, and {theirs:?} in the store"));
            }
        }
    }
    Ok(excused)
}
