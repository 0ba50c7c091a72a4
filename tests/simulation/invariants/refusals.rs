//! Nothing is refused that no store refused: an edit that waits as refused belongs to a customer of whom an update was answered
//! with something else than all of it, or the till says why it cannot be sent as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tillsync::sandbox::FormFieldWrites;
use tillsync::{Answer, Ticket, Trouble};

use super::{Deed, Invariant, Verdict};
use crate::values::{canonical, lenient};
use crate::world::{Ended, World, Written};

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
    /// Customers of whom an update was taken, and the answer told no date, by till: what it brought is told by a reading only.
    untold: BTreeSet<(usize, i64)>,
}

impl Invariant for Refusals {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::Leaves { ticket, body, .. } if !body.is_empty() => {
                self.updates.insert(*ticket, ids(&lenient(body)));
            }
            Deed::Answered { ticket, answer, .. } => {
                let Some(sent) = self.updates.remove(ticket) else { return Ok(()) };
                self.untold.extend(undated(answer).into_iter().map(|id| (world.active, id)));
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
        for Refused { id, field, value, was, reason } in refused(world) {
            let is_own = OWN_REASONS.iter().any(|own| reason.starts_with(own));
            let is_late = world.behind_ms(&field) > 0 && field == "form_fields";
            let is_untold = reason.starts_with(NOT_SHOWN) && (is_late || self.untold.contains(&(till, id)));
            if field == "form_fields" && reason.starts_with(NOT_SHOWN) && keeps_entries(world) {
                world.excuse("the store keeps entries that an update leaves out", format!("customer {id}"));
            } else if is_untold && was_set_back(world, id, &field, &value, &was) {
                world
                    .excuse("set back by another hand before it was told", format!("customer {id}: {field}"));
            } else if is_untold && was_clock_set_since(world, id, &field, &value) {
                world.excuse("a clock was set, and reads lag", format!("customer {id}: {field}"));
            } else if !is_own && !self.troubled.contains(&(till, id)) {
                return Err(format!(
                    "till {till}: customer {id}: {field} is refused, and no store did that: {reason}"
                ));
            }
        }
        Ok(())
    }
}

/// What was written to an attribute from when a till wrote this value on; and what stood there before, if that was written too.
fn since_it_landed<'a>(
    world: &'a World,
    id: i64,
    field: &str,
    value: &str,
) -> Option<(Option<&'a Written>, &'a [Written])> {
    let value = canonical(field, &lenient(value));
    let all = world.written.get(&(id, field.to_owned()))?;
    let landed = all.iter().rposition(|written| written.is_till && written.value == value)?;
    Some((all[..landed].last(), &all[landed..]))
}

/// Whether what was refused was written, and then what had been there before it.
fn was_set_back(world: &World, id: i64, field: &str, value: &str, was: &str) -> bool {
    let was = canonical(field, &lenient(was));
    since_it_landed(world, id, field, value).is_some_and(|(before, since)| {
        let before = before.map_or(&was, |written| &written.value);
        since.iter().any(|written| written.value == *before)
    })
}

/// Whether the till's clock was set since what was refused was written, so that it cannot tell how long ago that was; and a reading
/// may be of before. The minute in which nothing of before is believed is counted by that clock.
fn was_clock_set_since(world: &mut World, id: i64, field: &str, value: &str) -> bool {
    let (set_ms, lag_ms) = (world.till().set_ms, world.lag_ms() + world.forms_behind_ms());
    let landed = since_it_landed(world, id, field, value).map(|(_, since)| since[0].at_ms);
    lag_ms > 0 && landed.is_some() && set_ms >= landed
}

/// Whether the store keeps the form fields that an update does not name: one that only leaves some out changes nothing.
fn keeps_entries(world: &World) -> bool {
    world.core.options().behaviours.form_fields == FormFieldWrites::MergeByName
}

fn is_taken(answer: &Result<Answer, Trouble>, sent: &BTreeSet<i64>) -> bool {
    let Ok(answer) = answer else { return false };
    answer.status == 200 && ids(&lenient(&String::from_utf8_lossy(&answer.body))["data"]) == *sent
}

/// Of whom an answer tells, and not when they were changed.
fn undated(answer: &Result<Answer, Trouble>) -> BTreeSet<i64> {
    let Ok(answer) = answer else { return BTreeSet::new() };
    let body = lenient(&String::from_utf8_lossy(&answer.body));
    let of_some = body["data"].as_array().into_iter().flatten();
    of_some.filter(|told| told["date_modified"].is_null()).filter_map(|told| told["id"].as_i64()).collect()
}

fn ids(customers: &Value) -> BTreeSet<i64> {
    customers.as_array().into_iter().flatten().filter_map(|customer| customer["id"].as_i64()).collect()
}

/// An edit that waits as refused.
struct Refused {
    id: i64,
    field: String,
    value: String,
    was: String,
    reason: String,
}

fn refused(world: &mut World) -> Vec<Refused> {
    let sql = "SELECT customer_id, field, value, coalesce(was, 'null'), coalesce(reason, '')
               FROM journal WHERE outcome = 'rejected'";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let (id, field, value) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Refused { id, field, value, was: row.get(3)?, reason: row.get(4)? })
    });
    rows.unwrap().map(Result::unwrap).collect()
}
