//! P1, P4 and P9 of what the shop has defined, where each value tells who has said it: the last one that a till has set of each was in
//! the store at some time, or its row in the journal says why not; no value of the store's is overwritten of which the till was never
//! told; and in the end both sides agree, but for what waits where a person sees it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tillsync::{JournalRow, Outcome, Store};

use super::{Deed, Invariant, Verdict};
use crate::attributes::is_said_by;
use crate::world::World;

/// Customer and attribute.
type ValueKey = (i32, i32);
/// The last text that was set of each.
type LastSet = BTreeMap<ValueKey, String>;

#[derive(Default)]
pub struct Attributes {
    /// What each till was ever told of a value.
    told: BTreeMap<(usize, ValueKey), BTreeSet<String>>,
    /// What updates have ever brought into the store.
    landed: BTreeSet<(ValueKey, String)>,
    /// What each till has set.
    set: BTreeMap<usize, LastSet>,
    /// The same when its backup was made.
    backed_up: BTreeMap<usize, LastSet>,
}

impl Invariant for Attributes {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::ValueSet { till, key, text } => {
                self.set.entry(*till).or_default().insert(*key, (*text).to_owned());
            }
            Deed::BackedUp => {
                let by_then = self.set.get(&world.active).cloned().unwrap_or_default();
                self.backed_up.insert(world.active, by_then);
            }
            Deed::SetBack { .. } => {
                let by_then = self.backed_up.get(&world.active).cloned().unwrap_or_default();
                self.set.insert(world.active, by_then);
            }
            Deed::ValueTold { till, key, text } => {
                self.told.entry((*till, *key)).or_default().insert((*text).to_owned());
            }
            Deed::ValueLands { till, key, before, after } => {
                self.landed.extend(after.map(|after| (*key, after.to_owned())));
                let is_known =
                    |before: &str| self.told.get(&(*till, *key)).is_some_and(|told| told.contains(before));
                // What the till itself had sent, and never heard of, is its own.
                let is_unseen = |before: &&str| !is_known(before) && !is_said_by(*till, before);
                if let Some(before) = before.filter(is_unseen) {
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
            let journal = store.journal(None).map_err(|e| e.to_string())?;
            self.none_is_lost(till, &journal).map_err(|problem| format!("till {till}: {problem}"))?;
            let excused =
                agree(world, &store, &journal).map_err(|problem| format!("till {till}: {problem}"))?;
            for what in excused {
                world.excuse("deleted, and more than are believed to be", format!("till {till}: {what}"));
            }
            world.tills[till].app = Some(store);
        }
        Ok(())
    }
}

impl Attributes {
    /// The journal says what became of the last value that was set of each. That it is in the store is true.
    fn none_is_lost(&self, till: usize, journal: &[JournalRow]) -> Verdict {
        for (key, text) in self.set.get(&till).into_iter().flatten() {
            let value = json!(text).to_string();
            let row = journal.iter().rfind(|row| is_of(row, *key) && row.value == value);
            let row = row.ok_or_else(|| format!("{text:?} of {key:?} is in no row of the journal"))?;
            let is_there = matches!(row.outcome, Some(Outcome::Uploaded | Outcome::Unchanged));
            if is_there && !self.landed.contains(&(*key, text.clone())) {
                return Err(format!("{text:?} of {key:?} has never reached the store: {row:?}"));
            }
        }
        Ok(())
    }
}

fn is_of(row: &JournalRow, (id, attribute): ValueKey) -> bool {
    row.resource == "attribute_value"
        && row.customer_id.0 == i64::from(id)
        && row.row_id == i64::from(attribute)
}

fn agree(world: &World, store: &Store, journal: &[JournalRow]) -> Result<Vec<String>, String> {
    let mut excused = Vec::new();
    let held_up: Vec<i64> = store.held_up().unwrap().iter().map(|one| one.customer_id.0).collect();
    let conflicts: Vec<_> =
        store.conflicts().unwrap().into_iter().map(|one| (one.customer_id.0, one.field)).collect();
    let rejected: Vec<_> =
        store.rejected().unwrap().into_iter().map(|one| (one.customer_id.0, one.field)).collect();
    for id in world.core.ids().into_iter().filter(|id| !held_up.contains(&i64::from(*id))) {
        if store.get(i64::from(id)).unwrap().is_none() {
            continue;
        }
        let here = store.attribute_values(i64::from(id)).map_err(|e| e.to_string())?;
        for attribute in 1..=3 {
            let is_open = |row: &JournalRow| {
                matches!(row.outcome, None | Some(Outcome::InFlight | Outcome::Held | Outcome::Rejected))
            };
            let word = |what: &str| (i64::from(id), format!("attribute_value.{attribute}.{what}"));
            let mut open =
                journal.iter().filter(|row| is_of(row, (id, attribute)) && is_open(row)).peekable();
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
