//! The smallest update: what the working copy has and the snapshot has not, for the attributes that were edited.
//!
//! Only attributes with a pending edit are looked at, so an attribute that nobody edited is never sent. What ends
//! up where the server already is settles here, without a call.

use std::collections::BTreeMap;

use super::decide::waits_with;
use super::dirty::only_adjustments;
use super::merge::{SentBase, edited, entries, form_json, outcomes};
use super::money::{balance, recount, without};
use super::{ConflictPlan, Credit, CustomerPlan, Dirty, Op, OpenConflict, Outcome, Payload, Settlement};
use crate::resource::{Attributes, BadRecord, EditSeq, FieldId, Kind, Subject, Value, first_credit};

/// What one customer's edits come to.
#[derive(Clone, Debug)]
pub struct Diff {
    /// What is to be sent; `None`: nothing.
    pub payload: Option<Payload>,
    /// What settles, or is held, without a call.
    pub plan: CustomerPlan,
    /// Edited attributes that are not sent, because the snapshot does not tell what the store has: it must be asked for this
    /// customer by id. What it does not tell then either is given up with [`give_up_untold`].
    pub untold: Vec<FieldId>,
}

impl Diff {
    /// Whether every edit ended up where the server already is.
    pub fn is_unchanged(&self) -> bool {
        let outcomes = [Some(Outcome::Unchanged), Some(Outcome::Superseded)];
        self.payload.is_none()
            && !self.plan.settle.is_empty()
            && self.plan.settle.iter().all(|settlement| outcomes.contains(&settlement.outcome))
    }
}

/// Compares a customer's working copy with its snapshot.
///
/// # Errors
/// When the snapshot is no customer: the file was changed from outside.
pub fn diff(dirty: &Dirty) -> Result<Diff, BadRecord> {
    let mut plan = CustomerPlan::nothing(dirty.id);
    let Some(base) = dirty.base.as_ref().filter(|_| !dirty.is_gone()) else {
        hold_all(dirty, &mut plan);
        return Ok(Diff { payload: None, plan, untold: Vec::new() });
    };
    let base = base.attributes()?;
    let mut payload = Payload { id: dirty.id, ..Payload::default() };
    let mut untold = Vec::new();
    let mut freed = freed(dirty);
    for field in dirty.resource().editable_columns() {
        let Some(ops) = freed.remove(&field) else { continue };
        match base.tells(field) || dirty.open_of_field(field).is_some() {
            true => one_field(dirty, &base, ops, &mut payload, &mut plan),
            false => untold.push(field),
        }
    }
    let secret = dirty.resource().secret();
    password(dirty, secret.and_then(|secret| freed.remove(&secret)), &mut payload);
    payload.base = SentBase::of(&base, payload.fields.iter().map(|(field, _)| *field));
    recount(dirty, &mut plan)?;
    let is_empty = payload.fields.is_empty() && payload.password.is_none();
    Ok(Diff { payload: (!is_empty).then_some(payload), plan, untold })
}

/// The store was asked for a customer by id, and does not tell what it has of an attribute that was edited: nothing is
/// computed from what is not known, so these edits wait for a person.
///
/// # Errors
/// When the snapshot is no customer: the file was changed from outside.
pub fn give_up_untold(dirty: &Dirty) -> Result<CustomerPlan, BadRecord> {
    let mut plan = CustomerPlan::nothing(dirty.id);
    let freed = freed(dirty);
    for field in diff(dirty)?.untold {
        let reason = format!(
            "the store does not tell what it has of {field}, and nothing is sent over what is not known: retry later"
        );
        plan.settle.extend(freed.get(&field).into_iter().flatten().map(|op| refused(op, &reason)));
    }
    recount(dirty, &mut plan)?;
    Ok(plan)
}

fn refused(op: &Op, reason: &str) -> Settlement {
    Settlement { reason: Some(reason.to_owned()), ..Settlement::new(op.seq, Outcome::Rejected) }
}

fn one_field<'d>(
    dirty: &'d Dirty,
    base: &Attributes<'_>,
    mut ops: Vec<&'d Op>,
    payload: &mut Payload,
    plan: &mut CustomerPlan,
) {
    let field = ops[0].field;
    if let Some(open) = dirty.open_of_field(field) {
        return match field.kind() {
            Kind::Credit => balance_still_held(dirty, open, &ops, plan),
            _ => still_held(dirty, open, &base.get(field), &ops, plan),
        };
    }
    let held = held_entries(dirty, base, field, plan);
    if held.is_empty() {
        // What waited for an entry that is decided now goes with the rest.
        ops.extend(dirty.ops_of(field).filter(|op| op.outcome == Some(Outcome::Held)));
        ops.sort_by_key(|op| op.seq);
    }
    let was = base.get(field);
    let Some(value) = sendable(dirty, base, field, &ops, &held) else {
        let reason = "the store's balance is none that this can be added to exactly: set the balance instead";
        plan.settle.extend(ops.iter().map(|op| refused(op, reason)));
        return;
    };
    let may_bring_another = dirty.attempts_of(field).any(|attempt| attempt.may_bring_another(&was));
    if value == was && !may_bring_another {
        match held.is_empty() {
            true => plan.settle.extend(outcomes(&ops, Outcome::Unchanged)),
            // All of them: what a person was shown as waiting waits, whether a sync came by or not.
            false => hold(&ops, plan),
        }
    } else if let Some(problem) = unsendable(&value) {
        plan.settle.extend(ops.iter().map(|op| refused(op, problem)));
    } else {
        if field.is_money() {
            payload.credit = credit(&ops, &was, &value);
        }
        payload.covers.extend(ops.iter().map(|op| op.seq));
        payload.fields.push((field, value));
    }
}

/// The edits that a payload covers, by attribute: pending ones, and rejected ones that a newer edit of their attribute, or of
/// one that was refused together with them, has freed. A refused payment is freed by nothing but a person.
fn freed(dirty: &Dirty) -> BTreeMap<FieldId, Vec<&Op>> {
    let pending = dirty.ops.iter().filter(|op| op.is_pending());
    let newest: BTreeMap<FieldId, EditSeq> = pending.map(|op| (op.field, op.seq)).collect();
    let mut newest_of_group: BTreeMap<i64, EditSeq> = BTreeMap::new();
    for op in dirty.ops.iter().filter(|op| op.outcome == Some(Outcome::Rejected)) {
        if let Some((group, seq)) = op.reject_group.zip(newest.get(&op.field)) {
            let of_group = newest_of_group.entry(group).or_insert(*seq);
            *of_group = (*of_group).max(*seq);
        }
    }
    let is_freed = |op: &&Op| match (op.outcome, op.reject_group) {
        (None, _) => true,
        _ if op.field.is_money() => false,
        (Some(Outcome::Rejected), Some(group)) => {
            newest_of_group.get(&group).is_some_and(|seq| *seq > op.seq)
        }
        (Some(Outcome::Rejected), None) => newest.get(&op.field).is_some_and(|seq| *seq > op.seq),
        _ => false,
    };
    let mut freed: BTreeMap<FieldId, Vec<&Op>> = BTreeMap::new();
    for op in dirty.ops.iter().filter(is_freed) {
        freed.entry(op.field).or_default().push(op);
    }
    freed
}

/// A field that waits for a decision was edited once more: it goes on waiting, unless it is now as the store has it.
fn still_held(dirty: &Dirty, open: &OpenConflict, was: &Value, ops: &[&Op], plan: &mut CustomerPlan) {
    let field = ops[0].field;
    let local = dirty.row.get(field);
    if local == was {
        let all: Vec<&Op> = dirty.ops_of(field).collect();
        plan.settle.extend(outcomes(&all, Outcome::Unchanged));
        plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
        return;
    }
    hold(&waits_with(field, ops), plan);
    plan.conflicts.push(ConflictPlan::Update { id: open.id, local: Some(local.to_json()), remote: None });
}

fn hold(ops: &[&Op], plan: &mut CustomerPlan) {
    plan.settle.extend(ops.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
}

/// A balance that waits for a decision: what was set since waits with it, and shows; what was adjusted since is certain, and
/// goes on top of whatever is decided.
fn balance_still_held(dirty: &Dirty, open: &OpenConflict, ops: &[&Op], plan: &mut CustomerPlan) {
    let field = ops[0].field;
    let set = waits_with(field, ops);
    let Some(local) = without(dirty.row.get(field), &ops[set.len()..]).filter(|_| !set.is_empty()) else {
        return;
    };
    hold(&set, plan);
    plan.conflicts.push(ConflictPlan::Update { id: open.id, local: Some(local.to_json()), remote: None });
}

/// The form fields that still wait for a decision, after what was edited: one that is now as the store has it does not.
fn held_entries<'d>(
    dirty: &'d Dirty,
    base: &Attributes<'_>,
    field: FieldId,
    plan: &mut CustomerPlan,
) -> Vec<&'d str> {
    if !field.has_entries() || dirty.held_forms().next().is_none() {
        return Vec::new();
    }
    let [local, theirs] =
        [dirty.row.get(field).clone(), base.get(field)].map(|v| entries(&v).unwrap_or_default());
    let mut held = Vec::new();
    for (name, open) in dirty.held_forms() {
        if local.get(name) == theirs.get(name) {
            plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
        } else {
            let local = Some(form_json(local.get(name)));
            plan.conflicts.push(ConflictPlan::Update { id: open.id, local, remote: None });
            held.push(name);
        }
    }
    held
}

/// What is to be sent of an attribute: the working copy, but for form fields that are held; of money, what the payments come
/// to on top of what the store has. `None`: that cannot be said exactly.
fn sendable(
    dirty: &Dirty,
    base: &Attributes<'_>,
    field: FieldId,
    ops: &[&Op],
    held: &[&str],
) -> Option<Value> {
    if field.is_money() && only_adjustments(ops.iter().copied()).is_some() {
        return balance(&base.get(field), ops.iter().copied());
    }
    let local = dirty.row.get(field).clone();
    Some(if held.is_empty() { local } else { without_held(local, base.get(field), held) })
}

fn without_held(local: Value, theirs: Value, held: &[&str]) -> Value {
    let Value::Forms(mut entries) = local else { return local };
    for name in held {
        let entry = match &theirs {
            Value::Forms(theirs) => theirs.get(*name).cloned(),
            _ => None,
        };
        match entry {
            Some(entry) => _ = entries.insert((*name).to_owned(), entry),
            None => _ = entries.remove(*name),
        }
    }
    if entries.is_empty() && theirs.is_null() { Value::Null } else { Value::Forms(entries) }
}

/// Why a value cannot go onto the wire: taking an attribute back to null is not in the documented request.
fn unsendable(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => Some("the store has a value meanwhile, and its update takes no null: give a value"),
        Value::Channels(ids) if ids.is_empty() => {
            Some("an empty array of channels is not allowed: give a channel")
        }
        Value::Credit(amounts) if amounts.is_empty() => {
            Some("an empty array of amounts is not allowed: give an amount")
        }
        _ => None,
    }
}

fn credit(ops: &[&Op], was: &Value, value: &Value) -> Option<Credit> {
    only_adjustments(ops.iter().copied())?;
    Some(Credit { before: first_credit(was), sent: first_credit(value) })
}

fn password(dirty: &Dirty, ops: Option<Vec<&Op>>, payload: &mut Payload) {
    if let (Some(password), Some(ops)) = (&dirty.password, ops) {
        payload.password = Some(password.clone());
        payload.covers.extend(ops.iter().map(|op| op.seq));
    }
}

/// What was edited after the customer was deleted remotely waits with the rest, and shows in the conflict.
fn hold_all(dirty: &Dirty, plan: &mut CustomerPlan) {
    let pending = dirty.ops.iter().filter(|op| op.is_pending());
    plan.settle.extend(pending.map(|op| Settlement::new(op.seq, Outcome::Held)));
    if let (Some(open), false) = (dirty.open_of(&Subject::Customer), plan.settle.is_empty()) {
        plan.conflicts.push(ConflictPlan::Update { id: open.id, local: Some(edited(dirty)), remote: None });
    }
}
