//! P4: what an update overwrites was seen before: it stood in the till's snapshot, or in a conflict.
//!
//! One window cannot be closed: what somebody writes between the till's look at a customer and the landing of its update. It
//! is as long as a base may be old, and for money it begins with a look by id in that very run. Reads that lag make it
//! longer by their lag. A list that lacks a customer and gives no sign of that blinds the till for that customer until it is
//! told of it again; and what is written without a date is told by no list of changes.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension;
use serde_json::{Map, Value, json};
use tillsync::Ticket;
use tillsync::sandbox::FormFieldWrites;

use super::{Deed, ECHOED, Invariant, Verdict};
use crate::values::{canonical, lenient, newest};
use crate::world::{Read, World, Written};

/// How old a base may be when its update leaves: `fresh_ms`, and what lies between the commit and the wire.
const FRESH_MS: u64 = 10_000 + 2_000;
/// Attributes of which every value that is replaced stood in the till when it was edited, or in a conflict.
const DECIDED: [&str; 2] = ["company", "first_name"];
const CREDIT: &str = "store_credit_amounts";
/// The minute in which nothing of before is believed, and the longest time that an answer is on its way.
const MINUTE_FROM_THE_ANSWER_MS: u64 = 60_000 + 30_000;

#[derive(Default)]
pub struct Unseen {
    /// What the till had seen of a customer when an update left.
    departures: BTreeMap<(Ticket, i64), Departure>,
}

struct Departure {
    at_ms: u64,
    run: u64,
    snapshot: Value,
    /// By attribute or entry, the store's side of its conflicts.
    conflicts: Vec<(String, Value)>,
    /// By attribute, what the working copy had when its unsettled edits were made, and those that they replaced.
    was: Vec<(String, Value)>,
    /// The same of edits that a person gave up: what they stood on, the next one does.
    was_given_up: Vec<(String, Value)>,
    /// What the till had been told of the customer: what it hears later tells nothing to an update that is on its way.
    read: Read,
    listed_ms: Option<u64>,
    is_blind: bool,
    is_unlisted: bool,
}

impl Invariant for Unseen {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::Leaves { ticket, body, .. } if !body.is_empty() => {
                let customers: Vec<Map<String, Value>> = serde_json::from_str(body).unwrap_or_default();
                for id in customers.iter().filter_map(|customer| customer["id"].as_i64()) {
                    let departure = Departure::of(world, id);
                    self.departures.insert((*ticket, id), departure);
                }
                Ok(())
            }
            Deed::Lands { ticket, id, sent, before, after } => {
                let Some(departure) = self.departures.get(&(*ticket, *id)) else { return Ok(()) };
                for (field, value) in sent.iter().filter(|(field, _)| *field != "id") {
                    let shown = &before[field];
                    departure.overwrites(world, *id, field, shown, value)?;
                    let becomes = written_over(world, field, shown, value);
                    if canonical(field, shown) != canonical(field, &becomes) {
                        world.enter(*id, field, &becomes, true);
                    }
                    if canonical(field, &after[field]) != canonical(field, &becomes) {
                        world.enter(*id, field, &after[field], false);
                    }
                }
                Ok(())
            }
            Deed::Answered { answer: Ok(answer), as_of_ms: None, .. } if answer.status < 300 => {
                let body = lenient(&String::from_utf8_lossy(&answer.body));
                for record in newest(&body["data"]) {
                    if let Some(id) = record["id"].as_i64() {
                        world.is_shown(id, CREDIT, &record[CREDIT]);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Whether the minute in which nothing of before is believed was over before its time, and nothing but the till's own clock could
/// tell: no answer bears a `Date`.
fn is_minute_shortened(world: &mut World, written: &Written, left_ms: u64) -> bool {
    let set_ms = world.till().set_ahead_ms;
    let is_within = written.at_ms..=written.at_ms + MINUTE_FROM_THE_ANSWER_MS;
    world.odd.has("no-dates") && is_within.contains(&left_ms) && set_ms >= Some(written.at_ms)
}

/// What an attribute is after a write.
fn written_over(world: &World, field: &str, before: &Value, sent: &Value) -> Value {
    let merges = world.core.options().behaviours.form_fields == FormFieldWrites::MergeByName;
    match (field, before, sent) {
        ("form_fields", Value::Array(before), Value::Array(sent)) if merges => {
            let is_named = |entry: &&Value| sent.iter().all(|other| other["name"] != entry["name"]);
            before.iter().filter(is_named).chain(sent).cloned().collect()
        }
        _ => sent.clone(),
    }
}

fn written_over_canonical(world: &World, field: &str, before: &Value, sent: &Value) -> Value {
    canonical(field, &written_over(world, field, before, sent))
}

impl Departure {
    fn of(world: &mut World, id: i64) -> Departure {
        let (at_ms, run) = (world.now_ms, world.runs);
        let looks = world.till().looks();
        let snapshot = looks
            .prepare_cached("SELECT body FROM snapshot WHERE id = ?1")
            .unwrap()
            .query_row([id], |row| row.get::<_, String>(0))
            .optional()
            .unwrap();
        let pairs = |sql: &str| -> Vec<(String, Value)> {
            let mut statement = looks.prepare_cached(sql).unwrap();
            let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
            rows.map(|row| row.map(|(field, json)| (field, lenient(&json))).unwrap()).collect()
        };
        let conflicts = pairs("SELECT field, remote FROM conflict WHERE customer_id = ?1");
        let was = pairs(
            "SELECT field, was FROM journal
             WHERE customer_id = ?1 AND (settled_at IS NULL OR outcome = 'superseded') ORDER BY seq",
        );
        let was_given_up = pairs(
            "SELECT field, was FROM journal WHERE customer_id = ?1 AND outcome = 'discarded' ORDER BY seq",
        );
        let snapshot = snapshot.map_or(Value::Null, |body| lenient(&body));
        let told = &world.till().told;
        let (read, listed_ms) = (told.reads.get(&id).copied().unwrap_or_default(), told.listed_ms);
        let (is_blind, is_unlisted) = (told.blind.contains(&id), told.unlisted.contains(&id));
        Departure {
            at_ms,
            run,
            snapshot,
            conflicts,
            was,
            was_given_up,
            read,
            listed_ms,
            is_blind,
            is_unlisted,
        }
    }

    fn overwrites(&self, world: &mut World, id: i64, field: &str, before: &Value, sent: &Value) -> Verdict {
        let now = canonical(field, before);
        let becomes = written_over_canonical(world, field, before, sent);
        let seen = self.snapshot.get(field).map(|value| canonical(field, value));
        if now == becomes {
            return Ok(());
        }
        if seen.as_ref() == Some(&now) || self.lost(field, before, sent, world).is_empty() {
            return self.was_decided(id, field, &now, sent);
        }
        let what = format!(
            "customer {id}: {field}: {now} is overwritten by {sent}, unseen (seen: {})",
            seen.unwrap_or_default()
        );
        match self.excuse(world, id, field, &now) {
            Some(why) => {
                world.excuse(why, what);
                Ok(())
            }
            None => Err(what),
        }
    }

    /// The parts of a value that go, and that the till had not seen; of form fields, the entries.
    fn lost(&self, field: &str, before: &Value, sent: &Value, world: &World) -> Vec<String> {
        let in_conflict = |name: &str, value: &Value| {
            self.conflicts.iter().any(|(of, remote)| of == name && canonical(field, remote) == *value)
        };
        let now = canonical(field, before);
        if field != "form_fields" {
            return if in_conflict(field, &now) { Vec::new() } else { vec![field.to_owned()] };
        }
        let becomes = written_over_canonical(world, field, before, sent);
        let seen = self.snapshot.get(field).map_or(json!({}), |value| canonical(field, value));
        let entries = now.as_object().cloned().unwrap_or_default();
        let goes = entries.into_iter().filter(|(name, value)| {
            becomes.get(name) != Some(value)
                && seen.get(name) != Some(value)
                && !self.conflicts.iter().any(|(of, remote)| {
                    *of == format!("form_fields.{name}")
                        && canonical(field, &json!([{"name": name, "value": remote}]))[name] == *value
                })
        });
        goes.map(|(name, _)| name).collect()
    }

    /// Why nobody could have seen a value.
    fn excuse(&self, world: &mut World, id: i64, field: &str, now: &Value) -> Option<&'static str> {
        if world.is_echoed(id, Some(field)) {
            return Some(ECHOED);
        }
        let written = world.writing_of(id, field, now)?.clone();
        let (lag_ms, run) = (world.lag_ms(), self.run);
        let is_untold = world.is_untold(field);
        let behind_ms = world.behind_ms(field);
        let Departure { read, is_blind, .. } = *self;
        let is_listed = !is_blind && !self.is_unlisted;
        let listed_ms = self.listed_ms.filter(|_| is_listed && !is_untold && !written.is_undated);
        let listed_ms = listed_ms.map(|ms| ms.saturating_sub(behind_ms));
        let last_ms = read.of(field).max(listed_ms)?;
        let is_for_this = read.was_answered_before(self.at_ms);
        let is_fresh = |at_ms: u64| is_for_this || at_ms + lag_ms + behind_ms + FRESH_MS >= self.at_ms;
        let was_there = written.at_ms < last_ms;
        if is_minute_shortened(world, &written, self.at_ms) {
            return Some("no answer bears a Date, and a clock was set ahead");
        }
        if field == CREDIT {
            let looked_ms = read.looked_ms(run)?;
            // What it was told or shown of before does not go out of sight because a later reading lags.
            let is_known = was_there || written.shown_to.is_some_and(|(till, _)| till == world.active);
            let is_window = written.at_ms >= looked_ms && is_for_this && !is_known;
            return is_window.then_some("written between the look and the update");
        }
        match () {
            () if was_there => None,
            () if is_fresh(last_ms) => Some("written between the look and the update"),
            () if is_blind => Some("a list lacked the customer"),
            () if written.is_undated => Some("written without a date"),
            () => None,
        }
    }

    /// A value that a text replaces was there when it was edited, or both values stand in a conflict.
    fn was_decided(&self, id: i64, field: &str, now: &Value, sent: &Value) -> Verdict {
        let is_it = |(_, value): &&(String, Value)| canonical(field, value) == *now;
        let of_field = |(of, _): &&(String, Value)| of == field;
        let was_there = self.was.iter().filter(of_field).any(|pair| is_it(&pair))
            || self.was_given_up.iter().filter(of_field).any(|pair| is_it(&pair));
        let is_shown = self.conflicts.iter().filter(of_field).any(|pair| is_it(&pair));
        if !DECIDED.contains(&field) || was_there || is_shown {
            return Ok(());
        }
        Err(format!("customer {id}: {field}: {sent} replaces {now}, and nobody decided that"))
    }
}
