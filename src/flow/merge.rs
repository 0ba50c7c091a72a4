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

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;

use super::money::balance;
use super::notes::{are_alike, merge_lines};
use super::tidied::{has_landed, stood_on};
use super::{
    ConflictPlan, Contest, Credit, CustomerPlan, Decision, Dirty, Op, OpenConflict, Outcome, Policies,
    Settlement, SnapshotPlan,
};
use crate::customer::{
    Attributes, BadRecord, CustomerId, EditSeq, FieldId, FormValue, MergeRule, Record, Subject, Value,
    add_credit,
};

/// An update that was sent, as it is held against what the server says now.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The journal rows up to here, as far as they are in flight, were covered.
    pub up_to: EditSeq,
    /// The attributes that were sent, with their values; not the password.
    pub fields: Vec<(FieldId, Value)>,
    /// Set when the store credit was sent because of adjustments.
    pub credit: Option<Credit>,
    /// What it was computed from.
    pub base: SentBase,
    /// The server has said that it took all of it; else each attribute is judged by its value.
    pub is_accepted: bool,
    /// Attributes that the server showed as they were before when it answered: where they still are, they did not land.
    pub denied: Vec<FieldId>,
}

/// What an update was computed from, as the snapshot was when it was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentBase {
    /// The customer's `date_modified`; `None`: it was not told.
    pub modified: Option<DateTime<Utc>>,
    /// The attributes that were sent, as they were before; none where a file of an earlier version did not keep them.
    pub fields: Vec<(FieldId, Value)>,
}

impl Sent {
    /// The value of an attribute that was sent.
    pub(super) fn value(&self, field: FieldId) -> Option<&Value> {
        self.fields.iter().find(|(sent, _)| *sent == field).map(|(_, value)| value)
    }
}

impl SentBase {
    /// What an update of these attributes is computed from.
    pub fn of(base: &Attributes<'_>, fields: impl IntoIterator<Item = FieldId>) -> SentBase {
        let fields = fields.into_iter().filter(|field| base.has(*field));
        SentBase {
            modified: modified_at(base),
            fields: fields.map(|field| (field, base.get(field))).collect(),
        }
    }

    /// As a customer's JSON object with nothing but these attributes: so it stays in the file while the update is on its way.
    pub fn to_json(&self, id: CustomerId) -> String {
        let modified = self.modified.map(|at| Value::Text(at.to_rfc3339_opts(SecondsFormat::Secs, true)));
        let all = self.fields.iter().cloned().chain(modified.map(|at| (FieldId::DATE_MODIFIED, at)));
        let mut nested: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut out = format!("{{\"id\":{id}");
        for (field, value) in all {
            let member = format!("\"{field}\":{}", value.to_json());
            match field.spec().parent {
                None => out.push_str(&format!(",{member}")),
                Some(parent) => nested.entry(parent).or_default().push(member),
            }
        }
        nested
            .iter()
            .for_each(|(parent, members)| out.push_str(&format!(",\"{parent}\":{{{}}}", members.join(","))));
        out.push('}');
        out
    }

    pub(super) fn value(&self, field: FieldId) -> Option<&Value> {
        self.fields.iter().find(|(sent, _)| *sent == field).map(|(_, value)| value)
    }
}

/// When the server last changed a customer, if it told.
fn modified_at(record: &Attributes<'_>) -> Option<DateTime<Utc>> {
    match record.get(FieldId::DATE_MODIFIED) {
        Value::Text(text) => Some(DateTime::parse_from_rfc3339(&text).ok()?.to_utc()),
        _ => None,
    }
}

/// What became of an attribute that was on its way.
enum Fate {
    /// It is there.
    Landed,
    /// All is as it was before: it is sent again.
    NotLanded,
    /// Something else is there: a remote change.
    Overtaken,
    /// The value is the one of before, and the customer was changed since: it did not land, or somebody took it back.
    TakenBack,
    /// An adjustment of which nobody can know.
    InDoubt,
}

/// Decides what becomes of a customer of which the server says `remote`.
///
/// What the server does not tell of money and form fields is no news of them. Attributes that are on their way are judged
/// by their own answer, or when they are read back.
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
/// attributes, so that nothing is lost from sight. What was refused stays refused, and a balance in doubt stays in doubt:
/// should the customer come back, neither is sent by itself.
pub fn gone(dirty: &Dirty) -> CustomerPlan {
    let mut plan = CustomerPlan { snapshot: SnapshotPlan::Remove, ..CustomerPlan::nothing(dirty.id) };
    if dirty.ops.is_empty() {
        plan.remove_row = true;
        return plan;
    }
    let unsettled = dirty.ops.iter().filter(|op| !op.waits_for_a_person());
    plan.settle = unsettled.map(|op| Settlement::new(op.seq, Outcome::Held)).collect();
    if !dirty.is_gone() {
        let base = dirty.base.as_ref().map_or("null", Record::body).to_owned();
        let is_money = |open: &&OpenConflict| open.subject.field() == Some(FieldId::STORE_CREDIT_AMOUNTS);
        let ended = dirty.open.iter().filter(|open| !is_money(open));
        plan.conflicts = ended.map(|c| ConflictPlan::Close { id: c.id, resolution: "deleted" }).collect();
        plan.conflicts.push(ConflictPlan::Record {
            subject: Subject::Customer,
            base,
            local: edited(dirty),
            remote: "null".to_owned(),
            policy: "hold",
            resolution: None,
            result: None,
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
    let body = &dirty.open_of(&Subject::Customer)?.base;
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

impl<'a> Merge<'a> {
    /// What was held with the customer is free, but for a balance that was in doubt before.
    fn came_back(&mut self) {
        if let Some(open) = self.dirty.open_of(&Subject::Customer) {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "reappeared" });
            let in_doubt = self.dirty.open_of_field(FieldId::STORE_CREDIT_AMOUNTS).is_some();
            let is_free = |op: &&Op| {
                op.outcome == Some(Outcome::Held) && !(in_doubt && op.field == FieldId::STORE_CREDIT_AMOUNTS)
            };
            let held = self.dirty.ops.iter().filter(is_free);
            self.plan.settle.extend(held.map(|op| Settlement::new(op.seq, None)));
        }
    }

    fn one_field(&mut self, field: FieldId) {
        let is_part = |op: &&Op| field != FieldId::STORE_CREDIT_AMOUNTS || op.is_counted();
        let mut three = Three {
            field,
            base: self.base_of(field),
            local: self.dirty.row.get(field).clone(),
            remote: self.remote.get(field),
            ops: self.dirty.ops_of(field).filter(is_part).collect(),
        };
        let is_judged_later = match self.sent {
            Some(sent) => self.landed(sent, &mut three),
            None => three.ops.iter().any(|op| op.outcome == Some(Outcome::InFlight)),
        };
        if is_judged_later || !self.remote.tells(field) {
            return;
        }
        if three.ops.is_empty() || !field.is_editable() {
            if three.local != three.remote {
                self.plan.columns.push((field, three.remote));
            }
        } else if field == FieldId::STORE_CREDIT_AMOUNTS {
            self.money(&three);
        } else if let Some(open) = self.dirty.open_of_field(field) {
            self.still_held(open, &three);
        } else if three.local == three.remote {
            self.same(&three);
        } else if three.base == three.local {
            self.same(&three);
            self.plan.columns.push((field, three.remote));
        } else if three.base != three.remote {
            self.both_changed(&three);
        }
    }

    /// What both sides started from. Where that was never told, form fields that nobody edited here are no change of the till's.
    fn base_of(&self, field: FieldId) -> Value {
        match &self.base {
            Some(base) if base.tells(field) => base.get(field),
            _ => match self.dirty.row.get(field) {
                Value::Forms(entries) => {
                    let is_edited = |name: &str| self.dirty.ops_of(field).any(|op| op.touches(name));
                    let untouched = entries.iter().filter(|(name, _)| !is_edited(name));
                    Value::Forms(untouched.map(|(name, value)| (name.clone(), value.clone())).collect())
                }
                _ => Value::Null,
            },
        }
    }

    // ---- what was on its way ---------------------------------------------------------------------------------------

    /// Settles the edits that were on their way, or frees them; later ones stand on what was sent. True: nothing else is to
    /// be said of the attribute.
    fn landed(&mut self, sent: &Sent, three: &mut Three<'a>) -> bool {
        let on_their_way = |op: &&Op| op.outcome == Some(Outcome::InFlight) && op.seq <= sent.up_to;
        let (flying, rest): (Vec<&Op>, Vec<&Op>) = three.ops.iter().partition(|op| on_their_way(op));
        if flying.is_empty() {
            return false;
        }
        let value = sent.value(three.field);
        let base = sent.base.value(three.field).unwrap_or(&three.base).clone();
        match self.fate(sent, three, &base, value) {
            Fate::Landed => {
                let held = three.field == FieldId::FORM_FIELDS && self.dirty.held_forms().next().is_some();
                let outcome = if held { Outcome::Held } else { Outcome::Uploaded };
                self.plan.settle.extend(outcomes(&flying, outcome));
                three.base = match value {
                    Some(value) => stood_on(three.field, value, &three.remote),
                    None => three.remote.clone(),
                };
                if !held {
                    three.ops = rest;
                }
                false
            }
            Fate::NotLanded | Fate::Overtaken => {
                self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
                three.base = base;
                false
            }
            Fate::TakenBack => {
                self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
                three.base = base;
                match three.field {
                    FieldId::STORE_CREDIT_AMOUNTS => self.contested_balance(three),
                    _ => self.contested(three),
                }
                true
            }
            Fate::InDoubt => {
                self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
                let local = value.cloned().unwrap_or_default();
                self.record(
                    &Three { field: three.field, base, local, remote: three.remote.clone(), ops: flying },
                    "hold",
                    None,
                );
                true
            }
        }
    }

    fn fate(&self, sent: &Sent, three: &Three<'_>, base: &Value, value: Option<&Value>) -> Fate {
        let is_money = three.field == FieldId::STORE_CREDIT_AMOUNTS;
        let Some(value) = value.filter(|_| !sent.is_accepted) else {
            return if sent.is_accepted { Fate::Landed } else { Fate::NotLanded };
        };
        if !self.remote.tells(three.field) {
            return if is_money { Fate::InDoubt } else { Fate::NotLanded };
        }
        if *value == three.remote {
            return Fate::Landed;
        }
        // Unless both are told, nobody knows. A set is sent again then; money is not guessed.
        let is_untouched = sent.base.modified.zip(self.modified_at()).map(|(before, now)| before == now);
        match *base == three.remote {
            true if is_untouched == Some(true) || sent.denied.contains(&three.field) => Fate::NotLanded,
            _ if sent.credit.is_some() => match has_landed(three.field, base, value, &three.remote) {
                true => Fate::Landed,
                false => Fate::InDoubt,
            },
            true if is_money || is_untouched == Some(false) => Fate::TakenBack,
            true => Fate::NotLanded,
            false if has_landed(three.field, base, value, &three.remote) => Fate::Landed,
            false => Fate::Overtaken,
        }
    }

    // ---- money -----------------------------------------------------------------------------------------------------

    /// A balance that somebody else moved. Adjustments are added to what the server has now, each a payment: two equal
    /// sums are two. A balance that was set is contested; what was adjusted since goes on top of whatever becomes of it.
    fn money(&mut self, three: &Three<'a>) {
        if let Some(open) = self.dirty.open_of_field(three.field) {
            return self.balance_still_held(open, three);
        }
        if three.base == three.remote {
            return;
        }
        if three.ops.iter().all(|op| op.adjustment().is_some()) {
            // What cannot be added is refused when it is to be sent, with the reason.
            let Some(value) = balance(&three.remote, three.ops.iter().copied()) else { return };
            if !three.base.is_null() {
                self.merged(three, &value);
            }
            return self.take(three, value);
        }
        let (covered, later) = on_top_of_set(&three.ops);
        let Some(set) = without(&three.local, &later) else { return self.contested(three) };
        if set == three.remote || set == three.base {
            self.plan.settle.extend(outcomes(&covered, Outcome::Unchanged));
            return self.rebase(three, &three.remote.clone(), &later);
        }
        self.contested_balance(three);
    }

    fn contested_balance(&mut self, three: &Three<'a>) {
        let (covered, later) = on_top_of_set(&three.ops);
        let Some(set) = without(&three.local, &later) else { return self.contested(three) };
        let one = Three {
            local: set,
            ops: covered,
            base: three.base.clone(),
            remote: three.remote.clone(),
            ..*three
        };
        let decision = self.decide(&one, None);
        self.record(&one, self.policies.of(one.field).as_str(), Some(&decision));
        match decision {
            Decision::Hold => {
                self.plan.settle.extend(one.ops.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
            }
            Decision::Local => {}
            Decision::Remote => {
                self.plan.settle.extend(outcomes(&one.ops, Outcome::Remote));
                self.rebase(three, &one.remote, &later);
            }
            Decision::Value(value) => self.rebase(three, &value, &later),
        }
    }

    /// An open conflict of money ends by itself only where a balance was set: a payment of which nobody knows whether it
    /// arrived is not settled because two amounts happen to be equal.
    fn balance_still_held(&mut self, open: &OpenConflict, three: &Three<'a>) {
        let (covered, later): (Vec<&Op>, Vec<&Op>) =
            three.ops.iter().partition(|op| op.outcome == Some(Outcome::Held));
        let [was, set, theirs] =
            [&open.base, &open.local, &open.remote].map(|json| Value::from_json(three.field.kind(), json));
        let is_set = covered.iter().any(|op| op.adjustment().is_none());
        if is_set && set == three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
            self.plan.settle.extend(outcomes(&covered, Outcome::Unchanged));
            self.rebase(three, &three.remote.clone(), &later);
        } else if is_set && was == three.remote && theirs != three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "local" });
            self.plan.settle.extend(covered.iter().map(|op| Settlement::new(op.seq, None)));
        } else if theirs != three.remote {
            let remote = Some(three.remote.to_json());
            self.plan.conflicts.push(ConflictPlan::Update { id: open.id, local: None, remote });
        }
    }

    /// The working copy is `value`, and what was adjusted since on top.
    fn rebase(&mut self, three: &Three<'_>, value: &Value, later: &[&Op]) {
        if let Some(value) = balance(value, later.iter().copied()).filter(|value| *value != three.local) {
            self.plan.columns.push((three.field, value));
        }
    }

    // ---- everything else -------------------------------------------------------------------------------------------

    fn same(&mut self, three: &Three<'_>) {
        if three.field == FieldId::FORM_FIELDS {
            let held = self.dirty.held_forms();
            self.plan
                .conflicts
                .extend(held.map(|(_, c)| ConflictPlan::Close { id: c.id, resolution: "remote" }));
        }
        self.plan.settle.extend(outcomes(&three.ops, Outcome::Unchanged));
    }

    fn both_changed(&mut self, three: &Three<'_>) {
        if three.field.spec().merge == MergeRule::ByName {
            return self.forms(three);
        }
        match brought_together(three.field, &three.base, &three.local, &three.remote) {
            // Only the ends of lines are other on one side.
            Some(merged) if are_lines_alike(&three.base, &three.remote) => self.take(three, merged),
            Some(_) if are_lines_alike(&three.local, &three.remote) => {
                self.take(three, three.remote.clone());
            }
            Some(merged) => {
                self.merged(three, &merged);
                self.take(three, merged);
            }
            None => self.contested(three),
        }
    }

    fn contested(&mut self, three: &Three<'_>) {
        let decision = self.decide(three, None);
        self.record(three, self.policies.of(three.field).as_str(), Some(&decision));
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
        let shown = |json: &str| Value::from_json(three.field.kind(), json);
        if three.local == three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
            self.same(three);
        } else if shown(&open.base) == three.remote && shown(&open.remote) != three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "local" });
            self.plan.settle.extend(three.ops.iter().map(|op| Settlement::new(op.seq, None)));
        } else if shown(&open.remote) != three.remote {
            let remote = Some(three.remote.to_json());
            self.plan.conflicts.push(ConflictPlan::Update { id: open.id, local: None, remote });
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

    /// One entry. `None`: at most one side changed it; else the decision, recorded under the entry's own name.
    fn one_form(&mut self, three: &Three<'_>, name: &str, sides: [Option<FormValue>; 3]) -> Option<Decision> {
        let [base, local, remote] = &sides;
        if let Some(open) = self.dirty.open_of(&Subject::entry(name)) {
            return self.form_still_held(open, local.as_ref(), remote.as_ref());
        }
        if local == remote || base == remote || base == local {
            return None;
        }
        let [base, local, remote] = sides.map(|side| single(name, side));
        let mut ops: Vec<&Op> = three.ops.iter().copied().filter(|op| op.touches(name)).collect();
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
            subject: Subject::entry(name),
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
        modified_at(&self.remote)
    }

    /// Writes down that both sides changed an attribute; `decision`: none, when only a person can decide.
    fn record(&mut self, three: &Three<'_>, policy: &'static str, decision: Option<&Decision>) {
        let result = match decision {
            None | Some(Decision::Hold) => None,
            Some(Decision::Local) => Some(&three.local),
            Some(Decision::Remote) => Some(&three.remote),
            Some(Decision::Value(value)) => Some(value),
        };
        let resolution = decision.and_then(Decision::resolution);
        self.conflict(three.told(policy, resolution, result));
    }

    fn merged(&mut self, three: &Three<'_>, value: &Value) {
        self.conflict(three.told("merge", Some("merged"), Some(value)));
    }

    /// There is one open conflict about a thing: what would be a second one is news of it.
    fn conflict(&mut self, record: ConflictPlan) {
        let plan = match &record {
            ConflictPlan::Record { subject, local, remote, resolution: None, .. } => {
                self.dirty.open_of(subject).map(|open| ConflictPlan::Update {
                    id: open.id,
                    local: Some(local.clone()),
                    remote: Some(remote.clone()),
                })
            }
            _ => None,
        };
        self.plan.conflicts.push(plan.unwrap_or(record));
    }
}

impl Three<'_> {
    fn told(
        &self,
        policy: &'static str,
        resolution: Option<&'static str>,
        result: Option<&Value>,
    ) -> ConflictPlan {
        ConflictPlan::Record {
            subject: Subject::Field(self.field),
            base: self.base.to_json(),
            local: self.local.to_json(),
            remote: self.remote.to_json(),
            policy,
            resolution,
            result: result.map(Value::to_json),
            author: self.ops.iter().rev().find_map(|op| op.author.clone()),
            seq: self.ops.last().map(|op| op.seq),
        }
    }
}

/// The edits up to the newest balance that was set, and the adjustments since.
pub(super) fn on_top_of_set<'o>(ops: &[&'o Op]) -> (Vec<&'o Op>, Vec<&'o Op>) {
    let set = ops.iter().rposition(|op| op.adjustment().is_none()).map_or(0, |place| place + 1);
    (ops[..set].to_vec(), ops[set..].to_vec())
}

/// A balance without the sum of these adjustments.
pub(super) fn without(value: &Value, ops: &[&Op]) -> Option<Value> {
    let amounts = ops.iter().filter_map(|op| op.adjustment());
    let sum = amounts.into_iter().try_fold(Decimal::ZERO, Decimal::checked_add)?;
    if ops.is_empty() { Some(value.clone()) } else { add_credit(value, -sum) }
}

/// What both sides made of an attribute, where its own rule brings that together.
pub(super) fn brought_together(field: FieldId, base: &Value, local: &Value, remote: &Value) -> Option<Value> {
    match field.spec().merge {
        MergeRule::Lines => {
            let (base, local, remote) = (text(base)?, text(local)?, text(remote)?);
            merge_lines(base, local, remote).map(Value::Text)
        }
        MergeRule::Set => channels(base, local, remote),
        MergeRule::ByName | MergeRule::Policy => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Null => Some(""),
        _ => None,
    }
}

fn are_lines_alike(one: &Value, other: &Value) -> bool {
    text(one).zip(text(other)).is_some_and(|(one, other)| are_alike(one, other))
}

/// The additions and removals of both sides. Where nothing would be left of what both started from, it is another set, which
/// nobody chose: it decides which account signs in where.
fn channels(base: &Value, local: &Value, remote: &Value) -> Option<Value> {
    let (Value::Channels(base), Value::Channels(local), Value::Channels(remote)) = (base, local, remote)
    else {
        return None;
    };
    let removed: BTreeSet<i64> = base.difference(local).copied().collect();
    let merged: BTreeSet<i64> = remote.union(&local.difference(base).copied().collect()).copied().collect();
    let merged: BTreeSet<i64> = merged.difference(&removed).copied().collect();
    merged.iter().any(|id| base.contains(id)).then_some(Value::Channels(merged))
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
