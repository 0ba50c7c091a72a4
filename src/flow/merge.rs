//! The three-way merge by field: what both sides changed is brought together, or kept for a decision.
//!
//! ```text
//! base    the snapshot: what both sides started from
//! local   the working copy, with its unsettled edits
//! remote  the customer as the server describes it now
//! ```
//!
//! One function serves every way in which news of a customer arrives: a page of a pull, the answer to an update
//! ([`reconcile`](super::reconcile)) and the reading back of an update in doubt ([`recover`](super::recover)). The
//! last two bring along what was [`Sent`]; where that landed, the remote value is the till's own and no change.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::dirty::only_adjustments;
use super::{
    ConflictPlan, Contest, Credit, CustomerPlan, DELETED, Decision, Dirty, Op, OpenConflict, Outcome,
    Policies, Settlement, SnapshotPlan,
};
use crate::customer::{
    Attributes, BadRecord, EditSeq, FieldId, FormValue, MergeRule, Record, Value, add_credit, first_credit,
};

/// An update that was sent, as it is held against what the server says now.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The journal rows up to here, as far as they are in flight, were covered.
    pub up_to: EditSeq,
    /// The attributes that were sent, with their values; not the password.
    pub fields: Vec<(FieldId, Value)>,
    /// Set when the store credit was sent because of adjustments.
    pub credit: Option<Credit>,
    /// The server has said that it took all of it; else each attribute is judged by its value.
    pub is_accepted: bool,
}

/// Decides what becomes of a customer of which the server says `remote`.
///
/// # Errors
/// When a record is no customer.
pub fn merge(
    dirty: &Dirty,
    remote: &Record,
    sent: Option<&Sent>,
    policies: &Policies,
) -> Result<CustomerPlan, BadRecord> {
    let known = known_base(dirty);
    let base_record = dirty.base.as_ref().or(known.as_ref());
    let mut merge = Merge {
        dirty,
        base: base_record.map(Record::attributes).transpose()?,
        remote: remote.attributes()?,
        sent,
        policies,
        plan: CustomerPlan::nothing(dirty.id),
    };
    merge.came_back();
    for field in FieldId::columns() {
        merge.one_field(field);
    }
    merge.password();
    let mut plan = merge.plan;
    plan.settle = last_words(plan.settle);
    if dirty.base.as_ref().is_none_or(|base| base.body() != remote.body()) {
        plan.snapshot = SnapshotPlan::Put(remote.clone());
    }
    Ok(plan)
}

/// Decides what becomes of a customer that the server no longer has. `values` of the conflict are the edited
/// attributes, so that nothing is lost from sight.
pub fn gone(dirty: &Dirty) -> CustomerPlan {
    let mut plan = CustomerPlan { snapshot: SnapshotPlan::Remove, ..CustomerPlan::nothing(dirty.id) };
    if dirty.ops.is_empty() {
        plan.remove_row = true;
        return plan;
    }
    let unsettled = dirty.ops.iter().filter(|op| op.outcome != Some(Outcome::Held));
    plan.settle = unsettled.map(|op| Settlement::new(op.seq, Outcome::Held)).collect();
    if !dirty.is_gone() {
        let base = dirty.base.as_ref().map_or("null", Record::body).to_owned();
        plan.conflicts =
            dirty.open.iter().map(|c| ConflictPlan::Close { id: c.id, resolution: "deleted" }).collect();
        plan.conflicts.push(ConflictPlan::Record {
            field: DELETED.to_owned(),
            base,
            local: edited(dirty),
            remote: "null".to_owned(),
            policy: "hold",
            resolution: None,
            author: dirty.ops.last().and_then(|op| op.author.clone()),
            seq: dirty.ops.last().map(|op| op.seq),
        });
    }
    plan
}

/// What a store has after `value` was written over `before`, as far as can be told without asking.
///
/// Whether an update of form fields replaces the list or only the entries that it names is not documented. Entries that
/// it does not name are taken to stay: if the store dropped them, it changed, and the next pull tells; if it kept them,
/// nothing may have changed, and no pull ever would.
pub(super) fn written_over(before: &Value, value: &Value) -> Value {
    match (before, value) {
        (Value::Forms(before), Value::Forms(entries)) => {
            let mut all = before.clone();
            all.extend(entries.clone());
            Value::Forms(all)
        }
        _ => value.clone(),
    }
}

/// The columns that an edit may set.
pub(super) fn editable_columns() -> impl Iterator<Item = FieldId> {
    FieldId::columns().filter(|field| field.is_editable())
}

/// What becomes of the edits of one attribute when its value reached `outcome`: what came before the newest `set`
/// was superseded by it.
pub(super) fn outcomes(ops: &[&Op], outcome: Outcome) -> Vec<Settlement> {
    let newest_set = ops.iter().rposition(|op| op.adjustment().is_none()).unwrap_or(0);
    let at = |place: usize| if place < newest_set { Outcome::Superseded } else { outcome };
    ops.iter().enumerate().map(|(place, op)| Settlement::new(op.seq, at(place))).collect()
}

/// One word for each edit: the last one said.
fn last_words(settle: Vec<Settlement>) -> Vec<Settlement> {
    let by_seq: BTreeMap<EditSeq, Settlement> = settle.into_iter().map(|one| (one.seq, one)).collect();
    by_seq.into_values().collect()
}

/// A customer that was deleted remotely left its last snapshot in the conflict.
fn known_base(dirty: &Dirty) -> Option<Record> {
    let body = &dirty.open_of(DELETED)?.base;
    (body != "null").then(|| Record::new(body.clone()))
}

/// The edited attributes as one JSON object.
pub(super) fn edited(dirty: &Dirty) -> String {
    let fields: BTreeSet<FieldId> = dirty.ops.iter().map(|op| op.field).collect();
    let value = |field: FieldId| match field {
        FieldId::NEW_PASSWORD => "\"***\"".to_owned(),
        field => dirty.row.get(field).to_json(),
    };
    let members: Vec<String> =
        fields.into_iter().map(|field| format!("\"{field}\":{}", value(field))).collect();
    format!("{{{}}}", members.join(","))
}

struct Merge<'a> {
    dirty: &'a Dirty,
    base: Option<Attributes<'a>>,
    remote: Attributes<'a>,
    sent: Option<&'a Sent>,
    policies: &'a Policies,
    plan: CustomerPlan,
}

/// The three values of one attribute, and the edits that make up the local side.
struct Three<'a> {
    field: FieldId,
    base: Value,
    local: Value,
    remote: Value,
    ops: Vec<&'a Op>,
}

impl Three<'_> {
    /// The sum of the edits, if they are adjustments and nothing else.
    fn adjusted(&self) -> Option<Decimal> {
        only_adjustments(self.ops.iter().copied())
    }
}

impl<'a> Merge<'a> {
    fn came_back(&mut self) {
        if let Some(open) = self.dirty.open_of(DELETED) {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "reappeared" });
            let held = self.dirty.ops.iter().filter(|op| op.outcome == Some(Outcome::Held));
            self.plan.settle.extend(held.map(|op| Settlement::new(op.seq, None)));
        }
    }

    fn one_field(&mut self, field: FieldId) {
        let mut three = Three {
            field,
            base: self.base.as_ref().map_or(Value::Null, |base| base.get(field)),
            local: self.dirty.row.get(field).clone(),
            remote: self.remote.get(field),
            ops: self.dirty.ops_of(field).collect(),
        };
        if self.landed(&mut three) {
            return;
        }
        if three.ops.is_empty() || !field.is_editable() {
            if three.local != three.remote {
                self.plan.columns.push((field, three.remote));
            }
        } else if let Some(open) = self.dirty.open_of(field.name()) {
            self.still_held(open, &three);
        } else if let Some(sum) = three.adjusted() {
            // Two equal sums are two payments, not one: amounts are added even where both sides show the same.
            self.add(&three, sum);
        } else if three.local == three.remote {
            self.same(&three);
        } else if three.base == three.local {
            self.same(&three);
            self.plan.columns.push((field, three.remote));
        } else if three.base != three.remote {
            self.both_changed(&three);
        }
    }

    /// Settles the edits that were on their way, or frees them. True: nothing else is to be said of the attribute.
    fn landed(&mut self, three: &mut Three<'a>) -> bool {
        let Some(sent) = self.sent else { return false };
        let on_their_way = |op: &&Op| op.outcome == Some(Outcome::InFlight) && op.seq <= sent.up_to;
        let (flying, rest): (Vec<&Op>, Vec<&Op>) = three.ops.iter().partition(|op| on_their_way(op));
        if flying.is_empty() {
            return false;
        }
        let value = sent.fields.iter().find(|(field, _)| *field == three.field).map(|(_, value)| value);
        let credit = sent.credit.filter(|_| three.field == FieldId::STORE_CREDIT_AMOUNTS);
        let is_there = |value: &Value| {
            *value == three.remote
                || (three.base != three.remote && written_over(&three.base, value) == three.remote)
        };
        if sent.is_accepted || value.is_some_and(is_there) {
            let held = three.field == FieldId::FORM_FIELDS && self.dirty.held_forms().next().is_some();
            let outcome = if held { Outcome::Held } else { Outcome::Uploaded };
            self.plan.settle.extend(outcomes(&flying, outcome));
            // Later adjustments were added to what was sent, and beside a held entry the others are as they were sent;
            // a later value stands for itself.
            let counted_on = value.filter(|_| credit.is_some() || held);
            three.base = counted_on.unwrap_or(&three.remote).clone();
            three.ops = if held { three.ops.clone() } else { rest };
            return false;
        }
        if credit.is_some_and(|credit| credit.before != first_credit(&three.remote)) {
            self.credit_in_doubt(three);
            return true;
        }
        self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
        false
    }

    /// The server's amount is neither what was sent nor what it was before: only a person can tell.
    fn credit_in_doubt(&mut self, three: &Three<'_>) {
        self.plan.settle.extend(three.ops.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
        self.record(three, "hold", None);
    }

    fn same(&mut self, three: &Three<'_>) {
        if three.field == FieldId::FORM_FIELDS {
            let held = self.dirty.held_forms();
            self.plan
                .conflicts
                .extend(held.map(|(_, c)| ConflictPlan::Close { id: c.id, resolution: "remote" }));
        }
        self.plan.settle.extend(outcomes(&three.ops, Outcome::Unchanged));
    }

    /// The signed amounts, added to what the server has now.
    fn add(&mut self, three: &Three<'_>, sum: Decimal) {
        if three.base == three.remote {
            return;
        }
        match add_credit(&three.remote, sum) {
            Some(value) => {
                self.record(three, "merge", Some("merged"));
                self.take(three, value);
            }
            None => self.contested(three),
        }
    }

    fn both_changed(&mut self, three: &Three<'_>) {
        let merged = match three.field.spec().merge {
            MergeRule::ByName => return self.forms(three),
            MergeRule::Lines => lines(three),
            MergeRule::Set => channels(three),
            MergeRule::Policy => None,
        };
        match merged {
            Some(merged) => {
                self.record(three, "merge", Some("merged"));
                self.take(three, merged);
            }
            None => self.contested(three),
        }
    }

    fn contested(&mut self, three: &Three<'_>) {
        let decision = self.decide(three, None);
        self.record(three, self.policies.of(three.field).as_str(), decision.resolution());
        match decision {
            Decision::Hold => {
                self.plan.settle.extend(three.ops.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
            }
            Decision::Local => {}
            Decision::Remote => {
                self.plan.settle.extend(outcomes(&three.ops, Outcome::Remote));
                self.plan.columns.push((three.field, three.remote.clone()));
            }
            Decision::Value(value) => self.take(three, value),
        }
    }

    /// The working copy takes a value that both sides are in.
    fn take(&mut self, three: &Three<'_>, value: Value) {
        if value == three.remote {
            self.plan.settle.extend(outcomes(&three.ops, Outcome::Unchanged));
        }
        if value != three.local {
            self.plan.columns.push((three.field, value));
        }
    }

    fn still_held(&mut self, open: &OpenConflict, three: &Three<'_>) {
        let remote = three.remote.to_json();
        if three.local == three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
            self.same(three);
        } else if Value::from_json(three.field.kind(), &open.base) == three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "local" });
            self.plan.settle.extend(three.ops.iter().map(|op| Settlement::new(op.seq, None)));
        } else if open.remote != remote {
            self.plan.conflicts.push(ConflictPlan::Update { id: open.id, local: None, remote: Some(remote) });
        }
    }

    // ---- form fields: each entry for itself ------------------------------------------------------------------------

    fn forms(&mut self, three: &Three<'_>) {
        let sides = (entries(&three.base), entries(&three.local), entries(&three.remote));
        let (Some(base), Some(local), Some(remote)) = sides else { return self.contested(three) };
        let there = base.keys().chain(local.keys()).chain(remote.keys()).map(String::as_str);
        // An entry that is held may be gone on every side by now.
        let names: BTreeSet<&str> = there.chain(self.dirty.held_forms().map(|(name, _)| name)).collect();
        let mut merged = BTreeMap::new();
        let mut decisions: BTreeMap<&str, Decision> = BTreeMap::new();
        let mut is_merged = false;
        for name in names {
            let [b, l, r] = [&base, &local, &remote].map(|side| side.get(name).cloned());
            let decision = self.one_form(three, name, [b, l.clone(), r.clone()]);
            is_merged |= decision.is_none() && l != r;
            let kept = match &decision {
                None if base.get(name) == l.as_ref() => r,
                None | Some(Decision::Hold | Decision::Local) => l,
                Some(Decision::Remote) => r,
                Some(Decision::Value(value)) => entries(value).and_then(|mut entries| entries.remove(name)),
            };
            kept.map(|value| merged.insert(name.to_owned(), value));
            decision.map(|decision| decisions.insert(name, decision));
        }
        if is_merged {
            self.record(three, "merge", Some("merged"));
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

    /// One entry. `None`: at most one side changed it; else the decision, recorded under the entry's own name.
    fn one_form(&mut self, three: &Three<'_>, name: &str, sides: [Option<FormValue>; 3]) -> Option<Decision> {
        let [base, local, remote] = &sides;
        if let Some(open) = self.dirty.open_of(&format!("form_fields.{name}")) {
            return self.form_still_held(open, local.as_ref(), remote.as_ref());
        }
        if local == remote || base == remote || base == local {
            return None;
        }
        let [base, local, remote] = sides.map(|side| single(name, side));
        let one = Three { field: three.field, base, local, remote, ops: three.ops.clone() };
        let decision = self.decide(&one, Some(name));
        let json = |value: &Value| form_json(entries(value).unwrap_or_default().get(name));
        self.plan.conflicts.push(ConflictPlan::Record {
            field: format!("form_fields.{name}"),
            base: json(&one.base),
            local: json(&one.local),
            remote: json(&one.remote),
            policy: self.policies.of(three.field).as_str(),
            resolution: decision.resolution(),
            author: self.dirty.author_of(three.field),
            seq: three.ops.last().map(|op| op.seq),
        });
        Some(decision)
    }

    /// As [`Merge::still_held`], for one entry.
    fn form_still_held(
        &mut self,
        open: &OpenConflict,
        local: Option<&FormValue>,
        remote: Option<&FormValue>,
    ) -> Option<Decision> {
        let theirs = form_json(remote);
        if local == remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
            return None;
        }
        if is_form(&open.base, remote) {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "local" });
            return None;
        }
        if !is_form(&open.remote, remote) {
            self.plan.conflicts.push(ConflictPlan::Update { id: open.id, local: None, remote: Some(theirs) });
        }
        Some(Decision::Hold)
    }

    /// Something is to be sent beside what is held, or is held no longer: the edits that waited go with it.
    fn free(&mut self, three: &Three<'_>) {
        let held = three.ops.iter().filter(|op| op.outcome == Some(Outcome::Held));
        self.plan.settle.extend(held.map(|op| Settlement::new(op.seq, None)));
    }

    // ---- the rest --------------------------------------------------------------------------------------------------

    /// A password is never read back: accepted it is done, in doubt it is sent again.
    fn password(&mut self) {
        let Some(sent) = self.sent else { return };
        let flying: Vec<&Op> = self
            .dirty
            .ops_of(FieldId::NEW_PASSWORD)
            .filter(|op| op.outcome == Some(Outcome::InFlight) && op.seq <= sent.up_to)
            .collect();
        if sent.is_accepted {
            self.plan.settle.extend(outcomes(&flying, Outcome::Uploaded));
        } else {
            self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
        }
    }

    fn decide(&self, three: &Three<'_>, form_field: Option<&str>) -> Decision {
        let contest = Contest {
            customer_id: self.dirty.id,
            field: three.field,
            form_field,
            base: &three.base,
            local: &three.local,
            remote: &three.remote,
            row: &self.dirty.row,
            record: &self.remote,
        };
        let edited_at = three.ops.iter().filter_map(|op| op.at).max();
        self.policies.decide(&contest, edited_at, self.modified_at())
    }

    fn modified_at(&self) -> Option<DateTime<Utc>> {
        match self.remote.get(FieldId::DATE_MODIFIED) {
            Value::Text(text) => Some(DateTime::parse_from_rfc3339(&text).ok()?.to_utc()),
            _ => None,
        }
    }

    fn record(&mut self, three: &Three<'_>, policy: &'static str, resolution: Option<&'static str>) {
        self.plan.conflicts.push(ConflictPlan::Record {
            field: three.field.name().to_owned(),
            base: three.base.to_json(),
            local: three.local.to_json(),
            remote: three.remote.to_json(),
            policy,
            resolution,
            author: three.ops.iter().rev().find_map(|op| op.author.clone()),
            seq: three.ops.last().map(|op| op.seq),
        });
    }
}

/// The additions and removals of both sides.
fn channels(three: &Three<'_>) -> Option<Value> {
    let (Value::Channels(base), Value::Channels(local), Value::Channels(remote)) =
        (&three.base, &three.local, &three.remote)
    else {
        return None;
    };
    let removed: BTreeSet<i64> = base.difference(local).copied().collect();
    let merged: BTreeSet<i64> = remote.union(&local.difference(base).copied().collect()).copied().collect();
    let merged: BTreeSet<i64> = merged.difference(&removed).copied().collect();
    (!merged.is_empty()).then_some(Value::Channels(merged))
}

/// Line by line, if no line was changed on both sides.
fn lines(three: &Three<'_>) -> Option<Value> {
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        _ => None,
    };
    let (base, local, remote) = (text(&three.base)?, text(&three.local)?, text(&three.remote)?);
    let ended = |text: &str| {
        if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
    };
    let merged = diffy::merge(&ended(&base), &ended(&local), &ended(&remote)).ok()?;
    let ends = local.ends_with('\n') && remote.ends_with('\n');
    let merged = if ends { merged } else { merged.strip_suffix('\n').map(str::to_owned).unwrap_or(merged) };
    Some(Value::Text(merged))
}

pub(super) fn entries(value: &Value) -> Option<BTreeMap<String, FormValue>> {
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

pub(super) fn form_json(value: Option<&FormValue>) -> String {
    value.map_or_else(|| "null".to_owned(), FormValue::to_json)
}
