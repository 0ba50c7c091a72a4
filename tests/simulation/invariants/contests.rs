//! What a person is asked, and what is brought together without one: nobody is asked about two values that mean the same,
//! nor about lines that both sides add at one end; and no channels are made up of which neither side started.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Deed, Invariant, Verdict};
use crate::values::{canonical, lenient};
use crate::world::{Ended, World};

#[derive(Default)]
pub struct Contests {
    /// The newest conflict that was looked at, by till.
    newest: BTreeMap<usize, i64>,
}

struct Conflict {
    id: i64,
    customer: i64,
    field: String,
    base: Value,
    local: Value,
    remote: Value,
    result: Value,
    policy: String,
    is_open: bool,
}

impl Invariant for Contests {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        if let Deed::SetBack { .. } = deed {
            let there = newer(world, 0).iter().map(|conflict| conflict.id).max();
            self.newest.insert(world.active, there.unwrap_or_default());
        }
        Ok(())
    }

    fn at_restart(&mut self, world: &mut World, _: &Ended<'_>) -> Verdict {
        let till = world.active;
        let newest = self.newest.entry(till).or_default();
        let conflicts = newer(world, *newest);
        *newest = conflicts.iter().map(|conflict| conflict.id).max().unwrap_or(*newest);
        for conflict in conflicts {
            conflict.check().map_err(|problem| format!("till {till}: {problem}"))?;
        }
        Ok(())
    }
}

impl Conflict {
    fn check(&self) -> Verdict {
        let Conflict { customer, field, base, local, remote, result, .. } = self;
        let words = || format!("customer {customer}: {field}");
        let is_asked = self.is_open && self.policy == "hold" && !["*", "+"].contains(&&**field);
        let are_the_same =
            is_asked && field != "store_credit_amounts" && self.means(local) == self.means(remote);
        if are_the_same {
            return Err(format!(
                "{}: a person is asked about {local} and {remote}, which mean the same",
                words()
            ));
        }
        if is_asked && field == "notes" && are_appended(base, local, remote) {
            return Err(format!(
                "{}: both added lines at one end, and a person is asked: {base}: {local}, {remote}",
                words()
            ));
        }
        let is_made_up = self.policy == "merge" && field == "channel_ids" && !result.is_null();
        if is_made_up && channels(base).iter().all(|id| !channels(result).contains(id)) {
            return Err(format!("{}: of {base}, {local} and {remote} it made {result}", words()));
        }
        Ok(())
    }

    fn means(&self, value: &Value) -> Value {
        match self.field.strip_prefix("form_fields.") {
            Some(name) => canonical("form_fields", &json!([{ "name": name, "value": value }])),
            // By all its signs: that a store keeps the digits only, nobody would foresee.
            None if self.field == "phone" => canonical("text", value),
            None => canonical(&self.field, value),
        }
    }
}

/// Both sides have all that was there, and something more behind it or before it, of which they share nothing.
fn are_appended(base: &Value, local: &Value, remote: &Value) -> bool {
    let lines = |value: &Value| -> Vec<String> {
        let text = value.as_str().unwrap_or_default().replace("\r\n", "\n");
        if text.is_empty() { Vec::new() } else { text.split('\n').map(str::to_owned).collect() }
    };
    let (base, local, remote) = (lines(base), lines(local), lines(remote));
    let are_apart = |ours: &[String], theirs: &[String]| {
        let mut more = ours.iter().chain(theirs).filter(|line| !line.trim().is_empty());
        let is_once = |line: &&String| local.iter().filter(|other| other == line).count() <= 1;
        // One that is as it was is an update that was taken back, or did not land.
        let both_did = !ours.is_empty() && !theirs.is_empty();
        both_did
            && ours.iter().all(|line| !theirs.contains(line))
            && more.all(|line| is_once(&line) && !base.contains(line))
    };
    let behind = local.strip_prefix(&base[..]).zip(remote.strip_prefix(&base[..]));
    let before = local.strip_suffix(&base[..]).zip(remote.strip_suffix(&base[..]));
    behind.or(before).is_some_and(|(ours, theirs)| are_apart(ours, theirs))
}

fn channels(value: &Value) -> Vec<i64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

fn newer(world: &mut World, than: i64) -> Vec<Conflict> {
    let sql = "SELECT id, customer_id, field, base, local, remote, result, policy, resolution IS NULL
               FROM conflict WHERE id > ?1 ORDER BY id";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let json = |text: Option<String>| text.map_or(Value::Null, |text| lenient(&text));
    let rows = statement.query_map([than], |row| {
        Ok(Conflict {
            id: row.get(0)?,
            customer: row.get(1)?,
            field: row.get(2)?,
            base: json(row.get(3)?),
            local: json(row.get(4)?),
            remote: json(row.get(5)?),
            result: json(row.get(6)?),
            policy: row.get(7)?,
            is_open: row.get(8)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}
