//! What the type of an attribute brings together before a policy is asked.

use std::collections::BTreeSet;

use crate::flow::notes::{are_alike, merge_lines};
use crate::resource::{FieldId, MergeRule, Value};

/// What both sides made of an attribute, where its own rule brings that together.
pub(in crate::flow) fn brought_together(
    field: FieldId,
    base: &Value,
    local: &Value,
    remote: &Value,
) -> Option<Value> {
    match field.spec().merge {
        MergeRule::Lines => {
            let (base, local, remote) = (text(base)?, text(local)?, text(remote)?);
            merge_lines(base, local, remote).map(Value::Text)
        }
        MergeRule::Set => channels(base, local, remote),
        MergeRule::ByName | MergeRule::Policy => None,
    }
}

pub(in crate::flow) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Null => Some(""),
        _ => None,
    }
}

pub(in crate::flow) fn are_lines_alike(one: &Value, other: &Value) -> bool {
    text(one).zip(text(other)).is_some_and(|(one, other)| are_alike(one, other))
}

/// The additions and removals of both sides. Where nothing would be left of what both started from, it is another set, which
/// nobody chose: it decides which account signs in where.
pub(in crate::flow) fn channels(base: &Value, local: &Value, remote: &Value) -> Option<Value> {
    let (Value::Channels(base), Value::Channels(local), Value::Channels(remote)) = (base, local, remote)
    else {
        return None;
    };
    let removed: BTreeSet<i64> = base.difference(local).copied().collect();
    let merged: BTreeSet<i64> = remote.union(&local.difference(base).copied().collect()).copied().collect();
    let merged: BTreeSet<i64> = merged.difference(&removed).copied().collect();
    merged.iter().any(|id| base.contains(id)).then_some(Value::Channels(merged))
}
