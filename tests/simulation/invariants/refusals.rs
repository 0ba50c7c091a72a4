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
    /// Whom an update on its way is about, and which attributes.
    updates: BTreeMap<Ticket, BTreeMap<i64, Vec<String>>>,
    /// Customers of whom an update was not taken as it was, by till.
    troubled: BTreeSet<(usize, i64)>,
    /// What an update was taken of, and its answer did not tell, or told late or without a date, by till and customer: only a reading tells it.
    untold: BTreeSet<(usize, i64, String)>,
    /// What the store had of an attribute before a till's update of it landed for the first time.
    at_first: BTreeMap<(i64, String), Value>,
}

impl Invariant for Refusals {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::Leaves { ticket, body, .. } if !body.is_empty() => {
                self.updates.insert(*ticket, named(&lenient(body)));
            }
            Deed::Lands { id, sent, before, .. } => {
                for field in sent.keys() {
                    self.at_first.entry((*id, field.clone())).or_insert_with(|| before[field].clone());
                }
            }
            Deed::Answered { ticket, answer, .. } => {
                let Some(sent) = self.updates.remove(ticket) else { return Ok(()) };
                let is_late = world.behind_ms("form_fields") > 0;
                let untold = untold(answer, &sent, is_late).into_iter();
                self.untold.extend(untold.map(|(id, field)| (world.active, id, field)));
                if !is_taken(answer, &sent) || world.has_faults() {
                    self.troubled.extend(sent.into_keys().map(|id| (world.active, id)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_restart(&mut self, world: &mut World, _: &Ended<'_>) -> Verdict {
        // Nobody heard of those.
        for sent in std::mem::take(&mut self.updates).into_values() {
            self.troubled.extend(sent.into_keys().map(|id| (world.active, id)));
        }
        let till = world.active;
        let mut set_back = BTreeSet::new();
        // Newest first: what was sent with others was written as the last of them.
        for Refused { id, field, value, reason } in refused(world).into_iter().rev() {
            let is_own = OWN_REASONS.iter().any(|own| reason.starts_with(own));
            let is_untold = reason.starts_with(NOT_SHOWN) && self.untold.contains(&(till, id, field.clone()));
            if field == "form_fields" && reason.starts_with(NOT_SHOWN) && keeps_entries(world) {
                world.excuse("the store keeps entries that an update leaves out", format!("customer {id}"));
            } else if is_untold
                && (set_back.contains(&(id, field.clone())) || self.was_set_back(world, id, &field, &value))
            {
                set_back.insert((id, field.clone()));
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

impl Refusals {
    /// Whether what was refused was written, and then what had been there before it; of form fields, an entry of it.
    fn was_set_back(&self, world: &World, id: i64, field: &str, value: &str) -> bool {
        let at_first = self.at_first.get(&(id, field.to_owned())).unwrap_or(&Value::Null);
        let at_first = canonical(field, at_first);
        since_it_landed(world, id, field, value).is_some_and(|(before, since)| {
            let before = before.map_or(&at_first, |written| &written.value);
            let landed = &since[0].value;
            let is_back = |now: &Value| match field {
                "form_fields" => names(landed)
                    .chain(names(before))
                    .any(|name| landed.get(name) != before.get(name) && now.get(name) == before.get(name)),
                _ => now == before,
            };
            since.iter().any(|written| is_back(&written.value))
        })
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

/// The entries of form fields, by their names.
fn names(forms: &Value) -> impl Iterator<Item = &String> {
    forms.as_object().into_iter().flatten().map(|(name, _)| name)
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

fn is_taken(answer: &Result<Answer, Trouble>, sent: &BTreeMap<i64, Vec<String>>) -> bool {
    let Ok(answer) = answer else { return false };
    let told = named(&lenient(&String::from_utf8_lossy(&answer.body))["data"]);
    answer.status == 200 && told.keys().eq(sent.keys())
}

/// What was sent of those whom an answer tells, and it does not tell, or without saying when they were changed; form fields also where they
/// are told as they were before, for a while.
fn untold(
    answer: &Result<Answer, Trouble>,
    sent: &BTreeMap<i64, Vec<String>>,
    are_forms_late: bool,
) -> Vec<(i64, String)> {
    let Ok(answer) = answer else { return Vec::new() };
    let body = lenient(&String::from_utf8_lossy(&answer.body));
    let mut untold = Vec::new();
    for told in body["data"].as_array().into_iter().flatten() {
        let Some((id, fields)) = told["id"].as_i64().and_then(|id| sent.get_key_value(&id)) else { continue };
        let is_untold = |field: &&String| {
            let is_late = are_forms_late && *field == "form_fields";
            is_late || told["date_modified"].is_null() || told.get(*field).is_none()
        };
        untold.extend(fields.iter().filter(is_untold).map(|field| (*id, field.clone())));
    }
    untold
}

/// Customers, and what is said of each.
fn named(customers: &Value) -> BTreeMap<i64, Vec<String>> {
    let customers = customers.as_array().into_iter().flatten().filter_map(Value::as_object);
    let named = customers.map(|of_one| Some((of_one.get("id")?.as_i64()?, of_one.keys().cloned().collect())));
    named.flatten().collect()
}

/// An edit that waits as refused.
struct Refused {
    id: i64,
    field: String,
    value: String,
    reason: String,
}

fn refused(world: &mut World) -> Vec<Refused> {
    let sql = "SELECT customer_id, field, value, coalesce(reason, '')
               FROM journal WHERE outcome = 'rejected' AND of_resource IS NULL AND customer_id > 0 ORDER BY seq";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let (id, field, value) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Refused { id, field, value, reason: row.get(3)? })
    });
    rows.unwrap().map(Result::unwrap).collect()
}
