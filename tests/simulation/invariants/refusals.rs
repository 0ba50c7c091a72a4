//! Nothing is refused that no store refused: an edit that waits as refused belongs to a customer of whom an update was answered
//! with something else than all of it, or the till says why it cannot be sent as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tillsync::sandbox::FormFieldWrites;
use tillsync::{Answer, Ticket, Trouble};

use super::{Deed, Invariant, Verdict};
use crate::values::lenient;
use crate::world::{Ended, World};

/// Why a till itself refuses: a ring of addresses; a balance or form fields that the store does not tell; a payment in a file that
/// was set back.
const OWN_REASONS: [&str; 3] = [
    "its address goes to a customer",
    "the store does not tell what it has of",
    "this file was set back, or is a copy",
];

/// Why one is refused that was taken.
const NOT_SHOWN: &str = "the store accepted the update and does not show it";

#[derive(Default)]
pub struct Refusals {
    updates: BTreeMap<Ticket, BTreeSet<i64>>,
    /// Customers of whom an update was not taken as it was, by till.
    troubled: BTreeSet<(usize, i64)>,
}

impl Invariant for Refusals {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::Leaves { ticket, body, .. } if !body.is_empty() => {
                self.updates.insert(*ticket, ids(&lenient(body)));
            }
            Deed::Answered { ticket, answer, .. } => {
                let Some(sent) = self.updates.remove(ticket) else { return Ok(()) };
                if !is_taken(answer, &sent) || world.has_faults() {
                    self.troubled.extend(sent.into_iter().map(|id| (world.active, id)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_restart(&mut self, world: &mut World, _: &Ended<'_>) -> Verdict {
        // Nobody heard of those.
        for sent in std::mem::take(&mut self.updates).into_values() {
            self.troubled.extend(sent.into_iter().map(|id| (world.active, id)));
        }
        let till = world.active;
        for (id, field, reason) in refused(world) {
            let is_own = OWN_REASONS.iter().any(|own| reason.starts_with(own));
            if field == "form_fields" && reason.starts_with(NOT_SHOWN) && keeps_entries(world) {
                world.excuse("the store keeps entries that an update leaves out", format!("customer {id}"));
            } else if !is_own && !self.troubled.contains(&(till, id)) {
                return Err(format!(
                    "till {till}: customer {id}: {field} is refused, and no store did that: {reason}"
                ));
            }
        }
        Ok(())
    }
}

/// Whether the store keeps the form fields that an update does not name: one that only leaves some out changes nothing.
fn keeps_entries(world: &World) -> bool {
    world.core.options().behaviours.form_fields == FormFieldWrites::MergeByName
}

fn is_taken(answer: &Result<Answer, Trouble>, sent: &BTreeSet<i64>) -> bool {
    let Ok(answer) = answer else { return false };
    answer.status == 200 && ids(&lenient(&String::from_utf8_lossy(&answer.body))["data"]) == *sent
}

fn ids(customers: &Value) -> BTreeSet<i64> {
    customers.as_array().into_iter().flatten().filter_map(|customer| customer["id"].as_i64()).collect()
}

fn refused(world: &mut World) -> Vec<(i64, String, String)> {
    let sql = "SELECT customer_id, field, coalesce(reason, '') FROM journal WHERE outcome = 'rejected'";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}
