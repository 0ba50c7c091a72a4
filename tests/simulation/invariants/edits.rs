//! P1: every acknowledged edit is in the journal, and has an end or stands where a person sees it.

use std::collections::BTreeMap;

use tillsync::{Conflict, JournalRow, Outcome, Rejected, Store};

use super::agreement::why_nobody_is_deleted;
use super::{Deed, Invariant, Verdict};
use crate::world::World;

#[derive(Default)]
pub struct Edits {
    /// Rows that were acknowledged, by till.
    acknowledged: BTreeMap<usize, u64>,
    /// The same when its backup was made.
    backed_up: BTreeMap<usize, u64>,
}

impl Invariant for Edits {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::Edited(edited) => *self.acknowledged.entry(edited.till).or_default() += edited.rows as u64,
            Deed::Decided { till, journaled, .. } => {
                *self.acknowledged.entry(*till).or_default() += journaled;
            }
            Deed::BackedUp => {
                let by_then = self.acknowledged.get(&world.active).copied().unwrap_or_default();
                self.backed_up.insert(world.active, by_then);
            }
            Deed::SetBack { .. } => {
                let by_then = self.backed_up.get(&world.active).copied().unwrap_or_default();
                self.acknowledged.insert(world.active, by_then);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_last(&mut self, world: &mut World) -> Verdict {
        for till in 0..world.tills.len() {
            let store = world.tills[till].take_app();
            let mut journal = store.journal(None).map_err(|e| e.to_string())?;
            // What the shop has defined is another promise's.
            journal.retain(|row| row.resource == "customer");
            let acknowledged = self.acknowledged.get(&till).copied().unwrap_or_default();
            let acknowledged = acknowledged + world.app_edits(till).len() as u64;
            if journal.len() as u64 != acknowledged {
                return Err(format!(
                    "till {till}: {acknowledged} edits were acknowledged, {} are in the journal",
                    journal.len()
                ));
            }
            let excused = all_are_seen(world, &store, &journal);
            for row in excused.map_err(|problem| format!("till {till}: {problem}"))? {
                let why = why_nobody_is_deleted(world).unwrap_or_default();
                world.excuse(
                    why,
                    format!("till {till}: customer {}: {} is pending", row.customer_id, row.field),
                );
            }
            world.tills[till].app = Some(store);
        }
        Ok(())
    }
}

/// Returns those that are pending for ever, of customers who were deleted where nobody can be taken for that.
fn all_are_seen<'a>(
    world: &World,
    store: &Store,
    journal: &'a [JournalRow],
) -> Result<Vec<&'a JournalRow>, String> {
    let is_on_its_way = |row: &&JournalRow| row.outcome == Some(Outcome::InFlight);
    let is_of_nobody = |row: &JournalRow| {
        (row.outcome.is_none() || is_on_its_way(&row))
            && world.deleted.contains(&row.customer_id.0)
            && why_nobody_is_deleted(world).is_some()
    };
    let mut on_their_way = journal.iter().filter(is_on_its_way).peekable();
    let are_of_nobody = on_their_way.peek().is_some() && on_their_way.all(is_of_nobody);
    if store.status().map_err(|e| e.to_string())?.in_flight_batches > 0 && !are_of_nobody {
        return Err("a batch is still in flight".to_owned());
    }
    let (conflicts, rejected) = (store.conflicts().unwrap(), store.rejected().unwrap());
    let held_up: Vec<_> = store.held_up().unwrap().iter().map(|one| one.customer_id).collect();
    let is_held_up = |row: &JournalRow| row.outcome.is_none() && held_up.contains(&row.customer_id);
    let unseen = journal.iter().filter(|row| !is_held_up(row) && !is_seen(row, &conflicts, &rejected));
    let (excused, unseen): (Vec<_>, Vec<_>) = unseen.partition(|row| is_of_nobody(row));
    match unseen.first() {
        Some(row) => Err(format!("an edit is in nobody's sight: {row:?}")),
        None => Ok(excused),
    }
}

fn is_seen(row: &JournalRow, conflicts: &[Conflict], rejected: &[Rejected]) -> bool {
    let is_contested = || {
        conflicts.iter().any(|conflict| {
            let field = conflict.field.split('.').next().unwrap_or_default();
            conflict.customer_id == row.customer_id && (field == row.field || field == "*" || field == "+")
        })
    };
    // Of one whose creation waits all that was edited since waits with it.
    let is_new = row.customer_id.0 < 0;
    let waits = || is_contested() || rejected.iter().any(|one| one.customer_id == row.customer_id);
    match row.outcome {
        None if is_new => waits(),
        // What comes after a balance in doubt goes on top of whatever is decided.
        None => is_contested() && row.field == "store_credit_amounts",
        Some(Outcome::InFlight) => false,
        Some(Outcome::Held) => is_contested(),
        Some(Outcome::Rejected) => {
            rejected.iter().any(|one| one.customer_id == row.customer_id && one.field == row.field)
        }
        Some(_) => true,
    }
}
