//! What the shop has defined for its customers, where a seed has that: its endpoints, and who sets what.

use serde_json::{Map, Value};
use tillsync::sandbox::{Fault, Handled, RawRequest};
use tillsync::{Answer, Request, Ticket, Trouble};

use crate::invariants::Deed;
use crate::network::{Event, answer};
use crate::values::lenient;
use crate::world::{Shared, World};

/// The attributes of the shop: two texts and a number.
const ATTRIBUTES: [(i32, &str); 3] = [(1, "string"), (2, "string"), (3, "number")];
/// An update that was dropped may be applied within this time.
const APPLY_WITHIN_MS: u64 = 4_000;

/// The shop has defined some.
pub fn define(world: &Shared) {
    let mut world = world.lock();
    for (id, kind) in ATTRIBUTES {
        world.core.define_attribute(id, &format!("attribute {id}"), kind);
    }
}

/// A value that nobody else sets, nor the same one again: it tells who has said it, the office or a till.
fn drawn(world: &mut World, till: Option<usize>) -> (i32, i32, String) {
    let ids = world.core.ids();
    let (id, (attribute, kind)) = (ids[world.random.usize(..ids.len())], world.any(&ATTRIBUTES));
    world.values_said += 1;
    let n = world.values_said;
    let text = match till {
        _ if kind == "number" => (thousand_of(till) * 1_000 + n).to_string(),
        Some(till) => format!("till {till} {n}"),
        None => format!("office {n}"),
    };
    (id, attribute, text)
}

fn thousand_of(till: Option<usize>) -> usize {
    till.map_or(1, |till| till + 2)
}

/// Whether it is this till that has said it.
pub fn is_said_by(till: usize, text: &str) -> bool {
    match text.parse::<usize>() {
        Ok(number) => number / 1_000 == thousand_of(Some(till)),
        Err(_) => text.starts_with(&format!("till {till} ")),
    }
}

/// The app sets one, whether it is there or not.
pub fn set(world: &Shared) {
    let (mut store, id, attribute, text) = {
        let mut world = world.lock();
        if world.core.ids().is_empty() {
            return;
        }
        let till = world.active;
        let (id, attribute, text) = drawn(&mut world, Some(till));
        (world.till().take_app(), id, attribute, text)
    };
    let done = store.set_attribute_values(i64::from(id), &[(attribute.into(), &text)], None, None);
    let mut world = world.lock();
    world.till().app = Some(store);
    match done {
        Ok(_) => {
            world.note(format!(".. the app sets {id}.{attribute}: {text}"));
            let till = world.active;
            world.tell(&Deed::ValueSet { till, key: (id, attribute), text: &text });
        }
        // Of a customer whom the till does not know.
        Err(error) if error.to_string().contains("no such") => {}
        Err(error) => world.problems.push(format!("{id}.{attribute} could not be set: {error}")),
    }
}

/// So does the office.
pub fn office_sets(world: &mut World) {
    if world.core.ids().is_empty() {
        return;
    }
    let (id, attribute, text) = drawn(world, None);
    if world.random.u8(..6) == 0 {
        world.core.delete_attribute_value(id, attribute);
        world.values_deleted.insert((id, attribute));
        return world.note(format!(".. the office deletes {id}.{attribute}"));
    }
    let now = world.now();
    world.core.put_attribute_value(now, id, attribute, &text);
    world.note(format!(".. the office sets {id}.{attribute}: {text}"));
}

/// The customer, the attribute and the text of each value in a body.
fn values_in(objects: &[Map<String, Value>]) -> impl Iterator<Item = ((i32, i32), &str)> {
    let number = |object: &Map<String, Value>, name: &str| object.get(name)?.as_i64()?.try_into().ok();
    objects.iter().filter_map(move |object| {
        let text = object.get("attribute_value").or(object.get("value"))?.as_str()?;
        Some(((number(object, "customer_id")?, number(object, "attribute_id")?), text))
    })
}

impl World {
    /// Where a request goes.
    pub fn path_of(&self, request: &Request) -> String {
        let customers = self.core.customers_path();
        let before = customers.strip_suffix("/customers").unwrap_or_default();
        format!("{before}{}", request.resource().spec().endpoint)
    }

    /// Whether a request is about these, and not about customers.
    pub fn is_of_attributes(&self, raw: &RawRequest) -> bool {
        raw.path != self.core.customers_path()
    }

    pub fn arrive_at_attributes(&mut self, ticket: Ticket, raw: &RawRequest) {
        let fault = self.fault_of_attributes(raw);
        let now = self.now();
        let Handled { response, apply_after_ms, .. } =
            self.values_land(raw, |world| world.core.handle_with(now, raw, fault));
        if let Some(ms) = apply_after_ms {
            self.later(ms, Event::ApplyLate(ticket, raw.clone()));
        }
        let back_ms = self.random.u64(1..150);
        let heard = match response {
            Some(response) => Ok(answer(&response, None)),
            None => Err(Trouble::Broken("connection reset".to_owned())),
        };
        self.later(back_ms, Event::Deliver(ticket, heard, None));
    }

    fn fault_of_attributes(&mut self, raw: &RawRequest) -> Option<Fault> {
        let chance = self.weather.faults;
        if !self.happens(chance) {
            return None;
        }
        let mut faults = vec![Fault::LostRequest, Fault::LostAnswer, Fault::Status(503), Fault::Status(429)];
        if raw.method == "PUT" {
            faults.push(Fault::DelayedApply { ms: self.random.u64(0..APPLY_WITHIN_MS) });
        }
        let fault = faults[self.random.usize(..faults.len())];
        self.note(format!("   fault {fault}"));
        Some(fault)
    }

    /// Tells of each value that an update has reached.
    pub fn values_land<T>(&mut self, raw: &RawRequest, apply: impl FnOnce(&mut World) -> T) -> T {
        let objects: Vec<Map<String, Value>> = serde_json::from_slice(&raw.body).unwrap_or_default();
        let shown =
            |world: &World, (id, attribute)| world.core.attribute_value(id, attribute).map(str::to_owned);
        let keys: Vec<(i32, i32)> = values_in(&objects).map(|(key, _)| key).collect();
        let before: Vec<Option<String>> = keys.iter().map(|key| shown(self, *key)).collect();
        let done = apply(self);
        let till = self.active;
        for (key, before) in keys.into_iter().zip(before) {
            let after = shown(self, key);
            if after != before {
                let (before, after) = (before.as_deref(), after.as_deref());
                self.tell(&Deed::ValueLands { till, key, before, after });
            }
        }
        done
    }

    /// A till was told of values.
    pub fn told_of_attributes(&mut self, answer: &Answer) {
        let body = lenient(&String::from_utf8_lossy(&answer.body));
        let all: Vec<Value> = body["data"].as_array().cloned().unwrap_or_default();
        let all: Vec<Map<String, Value>> = all.iter().filter_map(|one| one.as_object().cloned()).collect();
        let till = self.active;
        for (key, text) in values_in(&all) {
            self.tell(&Deed::ValueTold { till, key, text });
        }
    }
}
