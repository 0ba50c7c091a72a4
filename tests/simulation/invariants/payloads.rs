//! P2 and P3: an update holds what somebody edited and nothing else, for at most ten customers, and nothing that waits for a
//! person; and where all is calm, there is none.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Deed, Invariant, Verdict};
use crate::script::Job;
use crate::values::{canonical, lenient};
use crate::world::{Ended, World};

#[derive(Default)]
pub struct Payloads {
    /// Attributes of a customer that somebody edited.
    edited: BTreeSet<(i64, String)>,
    /// The first update of the run.
    first: Option<String>,
    /// Tills whose last run sent something.
    sent: BTreeSet<usize>,
    last: Vec<String>,
}

impl Invariant for Payloads {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::Edited(edited) => _ = self.edited.insert((edited.id, edited.field.to_owned())),
            // All that was typed of one who exists already becomes an edit.
            Deed::Followed { new, .. } => {
                let typed = ["email", "first_name", "last_name", "company", "phone", "store_credit_amounts"];
                self.edited.extend(typed.map(|field| (*new, field.to_owned())));
            }
            Deed::Leaves { body, .. } if !body.is_empty() => {
                self.first.get_or_insert_with(|| (*body).to_owned());
                self.edited.extend(world.app_edits(world.active));
                return self.update(world, body);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_restart(&mut self, world: &mut World, ended: &Ended<'_>) -> Verdict {
        self.sent.remove(&world.active);
        if let Some(body) = self.first.take() {
            self.sent.insert(world.active);
            self.last.push(body);
        }
        debug_assert!(ended.job == Job::Sync || ended.job == Job::Push || !self.sent.contains(&world.active));
        Ok(())
    }

    fn at_last(&mut self, _: &mut World) -> Verdict {
        match self.sent.first() {
            Some(till) => {
                Err(format!("till {till}: the last sync still sent something: {:?}", self.last.last()))
            }
            None => Ok(()),
        }
    }
}

impl Payloads {
    fn update(&self, world: &mut World, body: &str) -> Verdict {
        let customers: Vec<Map<String, Value>> =
            serde_json::from_str(body).map_err(|_| "an update is no array of objects".to_owned())?;
        if customers.len() > 10 {
            return Err("more than ten in a call".to_owned());
        }
        for customer in &customers {
            let id = customer["id"].as_i64().unwrap_or_default();
            let unasked =
                customer.keys().find(|name| *name != "id" && !self.edited.contains(&(id, (*name).clone())));
            if let Some(field) = unasked {
                return Err(format!("customer {id}: {field} is written, and nobody edited it"));
            }
            nothing_waits(world, id, customer)?;
        }
        Ok(())
    }
}

/// What waits for a person is not sent; an entry of form fields that waits goes along as the store has it.
fn nothing_waits(world: &mut World, id: i64, sent: &Map<String, Value>) -> Verdict {
    let looks = world.till().looks();
    let sql = "SELECT field FROM conflict WHERE customer_id = ?1 AND resolution IS NULL";
    let mut statement = looks.prepare_cached(sql).unwrap();
    let rows = statement.query_map([id], |row| row.get::<_, String>(0)).unwrap();
    let waiting: Vec<String> = rows.map(Result::unwrap).collect();
    let body = looks.prepare_cached("SELECT body FROM snapshot WHERE id = ?1").unwrap();
    let known = { body }.query_row([id], |row| row.get::<_, String>(0)).unwrap_or_default();
    let known = forms(&lenient(&known)["form_fields"]);
    let is_sent = |field: &&String| match field.strip_prefix("form_fields.") {
        Some(name) => sent.get("form_fields").is_some_and(|value| forms(value).get(name) != known.get(name)),
        None => sent.contains_key(field.as_str()) || *field == "*",
    };
    match waiting.iter().find(is_sent) {
        Some(field) => Err(format!("customer {id}: {field} waits for a person, and is sent")),
        None => Ok(()),
    }
}

fn forms(value: &Value) -> Map<String, Value> {
    canonical("form_fields", value).as_object().cloned().unwrap_or_default()
}
