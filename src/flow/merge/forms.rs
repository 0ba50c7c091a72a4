//! Form fields: each entry for itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{Merge, Three, outcomes};
use crate::flow::attempt::NotThere;
use crate::flow::tidied::is_tidied_entry;
use crate::flow::{Attempt, Change, ConflictPlan, Decision, Op, OpenConflict, Outcome, Settlement};
use crate::resource::{FormValue, Subject, Value};

impl Merge<'_> {
    pub(super) fn forms(&mut self, three: &Three<'_>) {
        let sides = (entries(&three.base), entries(&three.local), entries(&three.remote));
        let (Some(base), Some(local), Some(remote)) = sides else { return self.contested(three) };
        let there = base.keys().chain(local.keys()).chain(remote.keys()).map(String::as_str);
        // An entry that is held may be gone on every side by now.
        let names: BTreeSet<&str> = there.chain(self.dirty.held_forms().map(|(name, _)| name)).collect();
        let touching = Touching::of(three.ops.iter().copied());
        let mut merged = BTreeMap::new();
        let mut decisions: BTreeMap<&str, Decision> = BTreeMap::new();
        let mut is_merged = false;
        for name in names {
            let [b, l, r] = [&base, &local, &remote].map(|side| side.get(name).cloned());
            let open = self.open.get(&Subject::entry(three.field, name)).copied();
            // Both made the same of it, in another spelling.
            let are_alike = (open.is_some() || b != l && b != r) && is_tidied_entry(l.as_ref(), r.as_ref());
            let decision = match (open, are_alike) {
                (Some(open), true) => self.form_is_theirs(open),
                (None, true) => None,
                (_, false) => self.one_form(three, &touching, name, [b, l.clone(), r.clone()]),
            };
            is_merged |= decision.is_none() && l != r && !are_alike;
            let kept = match &decision {
                None if are_alike || base.get(name) == l.as_ref() => r,
                None | Some(Decision::Hold | Decision::Local) => l,
                Some(Decision::Remote) => r,
                Some(Decision::Value(value)) => entries(value).and_then(|mut entries| entries.remove(name)),
            };
            kept.map(|value| merged.insert(name.to_owned(), value));
            decision.map(|decision| decisions.insert(name, decision));
        }
        if is_merged {
            let value = if merged == remote { three.remote.clone() } else { Value::Forms(merged.clone()) };
            self.merged(three, &value);
        }
        let is_held = |name: &String| decisions.get(name.as_str()) == Some(&Decision::Hold);
        let mut names = merged.keys().chain(remote.keys());
        if names.any(|name| !is_held(name) && merged.get(name) != remote.get(name)) {
            self.free(three);
        } else if decisions.values().any(|decision| *decision == Decision::Hold) {
            self.plan.settle.extend(three.ops.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
        } else {
            let is_theirs = decisions.values().any(|decision| *decision == Decision::Remote);
            let outcome = if is_theirs { Outcome::Remote } else { Outcome::Unchanged };
            self.plan.settle.extend(outcomes(&three.ops, outcome));
        }
        let merged = if merged == remote { three.remote.clone() } else { Value::Forms(merged) };
        if merged != three.local {
            self.plan.columns.push((three.field, merged));
        }
    }

    /// Entries that the store said yes to are not there: the working copy goes on showing them, and the others as the store has them. True:
    /// somebody else moved one of them, and a person decides.
    pub(super) fn entries_did_not_land(
        &mut self,
        attempt: &Attempt,
        three: &Three<'_>,
        not_there: &NotThere,
    ) -> bool {
        let sides =
            [&attempt.base, &three.local, &three.remote].map(|side| entries(side).unwrap_or_default());
        let [base, local, remote] = &sides;
        let mut shown = remote.clone();
        for name in not_there.as_before.iter().chain(&not_there.moved) {
            match local.get(name) {
                Some(value) => _ = shown.insert(name.clone(), value.clone()),
                None => _ = shown.remove(name),
            }
        }
        for name in &not_there.moved {
            self.conflict(ConflictPlan::Record {
                subject: Subject::entry(three.field, name),
                base: form_json(base.get(name)),
                local: form_json(local.get(name)),
                remote: form_json(remote.get(name)),
                policy: "hold",
                resolution: None,
                result: None,
                author: None,
                seq: attempt.covers.last().copied(),
            });
        }
        let shown = Value::Forms(shown);
        if shown != three.local {
            self.plan.columns.push((three.field, shown));
        }
        !not_there.moved.is_empty()
    }

    /// One entry. `None`: at most one side changed it; else the decision, recorded under the entry's own name.
    fn one_form(
        &mut self,
        three: &Three<'_>,
        touching: &Touching<'_>,
        name: &str,
        sides: [Option<FormValue>; 3],
    ) -> Option<Decision> {
        let [base, local, remote] = &sides;
        if let Some(open) = self.open.get(&Subject::entry(three.field, name)).copied() {
            return self.form_still_held(open, remote.as_ref());
        }
        if local == remote || base == remote || base == local {
            return None;
        }
        let [base, local, remote] = sides.map(|side| single(name, side));
        let mut ops = touching.ops(name);
        if ops.is_empty() {
            ops.clone_from(&three.ops);
        }
        let one = Three { field: three.field, base, local, remote, ops };
        let decision = self.decide(&one, Some(name));
        let json = |value: &Value| form_json(entries(value).unwrap_or_default().get(name));
        let result = match &decision {
            Decision::Hold => None,
            Decision::Local => Some(json(&one.local)),
            Decision::Remote => Some(json(&one.remote)),
            Decision::Value(value) => Some(json(value)),
        };
        self.conflict(ConflictPlan::Record {
            subject: Subject::entry(three.field, name),
            base: json(&one.base),
            local: json(&one.local),
            remote: json(&one.remote),
            policy: self.policies.of(three.field).as_str(),
            resolution: decision.resolution(),
            result,
            author: one.ops.iter().rev().find_map(|op| op.author.clone()),
            seq: one.ops.last().map(|op| op.seq),
        });
        Some(decision)
    }

    /// The till has made the store's value of an entry that was held.
    fn form_is_theirs(&mut self, open: &OpenConflict) -> Option<Decision> {
        self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
        None
    }

    /// As [`Merge::still_held`], for one entry that the two sides do not agree on.
    fn form_still_held(&mut self, open: &OpenConflict, remote: Option<&FormValue>) -> Option<Decision> {
        let theirs = form_json(remote);
        if is_form(&open.base, remote) && !is_form(&open.remote, remote) {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "local" });
            return None;
        }
        if !is_form(&open.remote, remote) {
            self.plan.conflicts.push(ConflictPlan::Update { id: open.id, local: None, remote: Some(theirs) });
        }
        Some(Decision::Hold)
    }

    /// Something is to be sent beside what is held, or is held no longer: the edits that waited go with it.
    pub(super) fn free(&mut self, three: &Three<'_>) {
        let held = three.ops.iter().filter(|op| op.outcome == Some(Outcome::Held));
        self.plan.settle.extend(held.map(|op| Settlement::new(op.seq, None)));
    }
}

/// Edits of form fields, by the entries that they touch: none is looked through for each entry anew.
pub(super) struct Touching<'a> {
    by_name: BTreeMap<&'a str, Vec<&'a Op>>,
    /// They touch every entry.
    whole: Vec<&'a Op>,
}

impl<'a> Touching<'a> {
    pub(super) fn of(ops: impl Iterator<Item = &'a Op>) -> Touching<'a> {
        let mut touching = Touching { by_name: BTreeMap::new(), whole: Vec::new() };
        for op in ops {
            match &op.change {
                Change::Entries(entries) => {
                    entries.keys().for_each(|name| touching.by_name.entry(name).or_default().push(op));
                }
                _ => touching.whole.push(op),
            }
        }
        touching
    }

    pub(super) fn is_any(&self, name: &str) -> bool {
        !self.whole.is_empty() || self.by_name.contains_key(name)
    }

    /// Those that touch an entry, oldest first.
    fn ops(&self, name: &str) -> Vec<&'a Op> {
        let mut ops = self.whole.clone();
        ops.extend(self.by_name.get(name).into_iter().flatten());
        ops.sort_by_key(|op| op.seq);
        ops
    }
}

pub(in crate::flow) fn entries(value: &Value) -> Option<BTreeMap<String, FormValue>> {
    match value {
        Value::Forms(entries) => Some(entries.clone()),
        Value::Null => Some(BTreeMap::new()),
        _ => None,
    }
}

fn single(name: &str, value: Option<FormValue>) -> Value {
    value.map_or(Value::Null, |value| Value::Forms(BTreeMap::from([(name.to_owned(), value)])))
}

/// Whether the JSON of a conflict is this value, whatever the spelling.
fn is_form(json: &str, value: Option<&FormValue>) -> bool {
    (json != "null").then(|| FormValue::from_json(json)).as_ref() == value
}

pub(in crate::flow) fn form_json(value: Option<&FormValue>) -> String {
    value.map_or_else(|| "null".to_owned(), FormValue::to_json)
}
