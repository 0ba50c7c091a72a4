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
//!
//! | file | what it holds |
//! |---|---|
//! | `sent` | what was on its way, and whether it landed |
//! | `balance` | money |
//! | `forms` | form fields, entry by entry |
//! | `rules` | lines and sets |

mod balance;
mod forms;
mod rules;
mod sent;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::money::moved_along;
use super::secrets::Secrets;
use super::tidied::is_tidied;
use super::{
    Attempt, ConflictPlan, Contest, CustomerPlan, Decision, Dirty, Doubt, Op, OpenConflict, Outcome,
    Policies, Settlement, SnapshotPlan,
};
use crate::resource::{
    Attributes, BadRecord, EditSeq, FieldId, FormValue, MergeRule, Record, Row, Subject, Value, first_credit,
};

use forms::Touching;
pub(super) use forms::{entries, form_json};
use rules::are_lines_alike;
pub(super) use rules::brought_together;
pub use sent::{Sent, SentBase};

/// Decides what becomes of a customer of which the server says `remote`.
///
/// What the server does not tell is no news: what was known of it stays, in the snapshot too, and nothing is computed from it
/// before it is told again. Attributes that are on their way are judged by their own answer, or when they are read back.
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
    let base = base_record.map(Record::attributes).transpose()?;
    let ours = |field| {
        let was = base.as_ref().map(|base| base.get(field));
        let sent = sent.and_then(|sent| sent.value(field)).cloned();
        [Some(dirty.row.get(field).clone()), was, sent].into_iter().flatten().collect()
    };
    let remote = &*Secrets::waiting(dirty).cut(remote, ours)?;
    let remote = match base_record {
        Some(base) => remote.completed(base, empties_credit(dirty, sent))?,
        None => Cow::Borrowed(remote),
    };
    let mut merge = Merge {
        dirty,
        open: dirty.open.iter().map(|open| (&open.subject, open)).collect(),
        base,
        remote: remote.attributes()?,
        sent,
        policies,
        doubt: dirty.doubt(),
        plan: CustomerPlan::nothing(dirty.id),
    };
    merge.came_back();
    for field in dirty.resource().columns() {
        merge.one_field(field);
    }
    merge.password();
    let mut plan = merge.plan;
    plan.settle = last_words(plan.settle);
    if dirty.is_behind || dirty.base.as_ref().is_none_or(|base| base.body() != remote.body()) {
        plan.snapshot = SnapshotPlan::Put(remote.into_owned());
    }
    Ok(plan)
}

/// Decides what becomes of what the store had said yes to of a customer who went from the file before any reading told, and is there
/// again as `remote`, without edits: it is held against that as if the customer had never gone.
///
/// # Errors
/// When a record is no customer.
pub fn back(dirty: &Dirty, remote: &Record, policies: &Policies) -> Result<CustomerPlan, BadRecord> {
    let mut as_if_never_gone = dirty.clone();
    let unproven = dirty.attempts.iter().filter(|attempt| attempt.is_unproven());
    let is_untouched = |field: FieldId| dirty.ops_of(field).next().is_none();
    for attempt in unproven.filter(|attempt| is_untouched(attempt.field)) {
        let value = written_over(dirty.row.get(attempt.field), &attempt.value);
        as_if_never_gone.row.set(attempt.field, value);
    }
    let mut plan = merge(&as_if_never_gone, remote, None, policies)?;
    for field in dirty.resource().columns() {
        let planned = plan.columns.iter().rev().find(|(of, _)| *of == field).map(|(_, value)| value);
        let value = planned.unwrap_or_else(|| as_if_never_gone.row.get(field)).clone();
        plan.columns.retain(|(of, _)| *of != field);
        plan.columns.extend((value != *dirty.row.get(field)).then_some((field, value)));
    }
    Ok(plan)
}

/// Whether this till has brought the balance to nothing, or may have: some stores show that as a list of no amounts.
fn empties_credit(dirty: &Dirty, sent: Option<&Sent>) -> bool {
    let Some(money) = dirty.resource().money() else { return false };
    let sent = sent.and_then(|sent| sent.value(money));
    sent.into_iter()
        .chain(dirty.attempts_of(money).map(|attempt| &attempt.value))
        .any(|value| first_credit(value).is_zero())
}

/// Decides what becomes of a customer that the server no longer has. `values` of the conflict are the edited
/// attributes, so that nothing is lost from sight; what was in conflict is a part of it. What was refused stays refused, and a balance
/// in doubt stays in doubt: should the customer come back, neither is sent by itself.
pub fn gone(dirty: &Dirty) -> CustomerPlan {
    gone_with(dirty, dirty.open_of_money().map(|open| Doubt::of(open, &dirty.ops)))
}

/// The same with a balance of which nobody knows.
pub(super) fn gone_with(dirty: &Dirty, doubt: Option<Doubt>) -> CustomerPlan {
    let mut plan = CustomerPlan { snapshot: SnapshotPlan::Remove, ..CustomerPlan::nothing(dirty.id) };
    if dirty.ops.is_empty() {
        plan.remove_row = true;
        return plan;
    }
    let unsettled = dirty.ops.iter().filter(|op| !op.waits_for_a_person());
    plan.settle = unsettled.map(|op| Settlement::new(op.seq, Outcome::Held)).collect();
    if !dirty.is_gone() {
        let base = dirty.base.as_ref().map(|known| both_started_from(dirty, known));
        let base = base.as_ref().map_or("null", Record::body).to_owned();
        let close = |open: &OpenConflict| ConflictPlan::Close { id: open.id, resolution: "deleted" };
        plan.conflicts = dirty.open.iter().map(close).collect();
        plan.conflicts.push(ConflictPlan::Record {
            subject: Subject::Customer,
            base,
            local: edited(dirty),
            remote: "null".to_owned(),
            policy: "hold",
            resolution: None,
            result: doubt.and_then(|doubt| doubt.to_json()),
            author: dirty.ops.last().and_then(|op| op.author.clone()),
            seq: dirty.ops.last().map(|op| op.seq),
        });
    }
    plan
}

/// The customer as the server last described it, but for what is in conflict: of that, as it was before either side changed it. So
/// both changes are seen, and a person is asked again, should the customer come back.
fn both_started_from(dirty: &Dirty, known: &Record) -> Record {
    let before = |record: &Record, open: &OpenConflict| match &open.subject {
        Subject::Field(field) if !field.is_money() => {
            record.with(*field, &Value::from_json(field.kind(), &open.base)).ok()
        }
        Subject::Entry(field, name) => {
            let mut all = entries(&record.attributes().ok()?.get(*field))?;
            match open.base.as_str() {
                "null" => _ = all.remove(name),
                json => _ = all.insert(name.clone(), FormValue::from_json(json)),
            }
            record.with(*field, &Value::Forms(all)).ok()
        }
        _ => None,
    };
    // A record that cannot be read stays as it is.
    dirty.open.iter().fold(known.clone(), |record, open| before(&record, open).unwrap_or(record))
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
    (body != "null").then(|| Record::of(dirty.resource(), body.clone()))
}

/// The edited attributes as one JSON object.
pub(super) fn edited(dirty: &Dirty) -> String {
    edited_as(&dirty.row, &dirty.ops.iter().collect::<Vec<_>>(), &[])
}

/// The attributes that these edits are about, once the working copy has these `columns`.
pub(super) fn edited_as(row: &Row, ops: &[&Op], columns: &[(FieldId, Value)]) -> String {
    let fields: BTreeSet<FieldId> = ops.iter().map(|op| op.field).collect();
    let planned = |field: FieldId| columns.iter().find(|(of, _)| *of == field).map(|(_, value)| value);
    let value = |field: FieldId| match field {
        field if field.is_secret() => "\"***\"".to_owned(),
        field => planned(field).unwrap_or_else(|| row.get(field)).to_json(),
    };
    let members: Vec<String> =
        fields.into_iter().map(|field| format!("\"{field}\":{}", value(field))).collect();
    format!("{{{}}}", members.join(","))
}

struct Merge<'a> {
    dirty: &'a Dirty,
    /// Its open conflicts, by what they are about.
    open: BTreeMap<&'a Subject, &'a OpenConflict>,
    base: Option<Attributes<'a>>,
    remote: Attributes<'a>,
    sent: Option<&'a Sent>,
    policies: &'a Policies,
    /// A balance that was in doubt when the customer went, who is there again.
    doubt: Option<Doubt>,
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
            let in_doubt = self.doubt.as_ref().map(|doubt| doubt.seqs.clone()).unwrap_or_default();
            // Of earlier versions the balance has a conflict of its own.
            let is_open = self.dirty.open_of_money().is_some();
            let stays = |op: &Op| in_doubt.contains(&op.seq) || is_open && op.field.is_money();
            let is_free = |op: &&Op| op.outcome == Some(Outcome::Held) && !stays(op);
            let held = self.dirty.ops.iter().filter(is_free);
            self.plan.settle.extend(held.map(|op| Settlement::new(op.seq, None)));
        }
    }

    /// A balance that was in doubt when its customer went is asked about anew, and against what the store has now; payments on top of
    /// that.
    fn still_in_doubt(&mut self, doubt: Doubt, three: &Three<'a>) {
        let newest = doubt.seqs.last().and_then(|seq| self.dirty.op(*seq));
        let (held, later): (Vec<&Op>, Vec<&Op>) =
            three.ops.iter().partition(|op| doubt.seqs.contains(&op.seq));
        let is_payments = self.remote.tells(three.field) && held.iter().all(|op| op.adjustment().is_some());
        let [ours, theirs] =
            [&doubt.local, &doubt.remote].map(|json| Value::from_json(three.field.kind(), json));
        let ours = moved_along(&ours, &theirs, &three.remote).filter(|_| is_payments);
        if let Some(value) = &ours {
            self.rebase(three, value, &later);
        }
        self.conflict(ConflictPlan::Record {
            subject: Subject::Field(three.field),
            base: doubt.base,
            local: ours.map_or(doubt.local, |value| value.to_json()),
            remote: if self.remote.tells(three.field) { three.remote.to_json() } else { doubt.remote },
            policy: "hold",
            resolution: None,
            result: None,
            author: newest.and_then(|op| op.author.clone()),
            seq: newest.map(|op| op.seq),
        });
    }

    fn one_field(&mut self, field: FieldId) {
        let is_part = |op: &&Op| !field.is_money() || op.is_counted();
        let mut three = Three {
            field,
            base: self.base_of(field),
            local: self.dirty.row.get(field).clone(),
            remote: self.remote.get(field),
            ops: self.dirty.ops_of(field).filter(is_part).collect(),
        };
        if let Some(doubt) = self.doubt.take_if(|_| field.is_money()) {
            return self.still_in_doubt(doubt, &three);
        }
        let is_judged_later = match self.sent {
            Some(sent) => self.landed(sent, &mut three),
            None => three.ops.iter().any(|op| op.outcome == Some(Outcome::InFlight)),
        };
        if is_judged_later
            || !self.remote.tells(field)
            || self.unshown(&mut three)
            || self.earlier(&mut three)
        {
            return;
        }
        if three.ops.is_empty() || !field.is_editable() {
            if three.local != three.remote {
                self.plan.columns.push((field, three.remote));
            }
        } else if field.is_money() {
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
            Some(base) if base.knows(field) => base.get(field),
            _ => match self.dirty.row.get(field) {
                Value::Forms(entries) => {
                    let edited = Touching::of(self.dirty.ops_of(field));
                    let untouched = entries.iter().filter(|(name, _)| !edited.is_any(name));
                    Value::Forms(untouched.map(|(name, value)| (name.clone(), value.clone())).collect())
                }
                _ => Value::Null,
            },
        }
    }

    // ---- everything else -------------------------------------------------------------------------------------------

    fn same(&mut self, three: &Three<'_>) {
        // It was taken back, and something else is still on its way, or was by then: that must not be the last word.
        let may_bring = |attempt: &Attempt| {
            !self.plan.void.contains(&attempt.id) && attempt.may_bring_another(&three.remote)
        };
        let sent_just_now = self.sent.filter(|sent| sent.may_not_show_yet(three.field));
        let sent_just_now = sent_just_now.and_then(|sent| sent.value(three.field));
        if sent_just_now.is_some_and(|value| *value != three.remote)
            || self.dirty.attempts_of(three.field).any(may_bring)
        {
            return;
        }
        if three.field.has_entries() {
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
            Some(merged) if are_lines_alike(&three.base, &three.remote) => self.agree(three, merged),
            Some(_) if are_lines_alike(&three.local, &three.remote) => {
                self.agree(three, three.remote.clone());
            }
            Some(merged) => {
                self.merged(three, &merged);
                self.agree(three, merged);
            }
            // Both made the same of it, in another spelling.
            None if is_tidied(three.field, &three.local, &three.remote) => {
                self.agree(three, three.remote.clone());
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

    /// The same, where nobody need send it if that is what the store has; unless something that was sent may yet bring another.
    fn agree(&mut self, three: &Three<'_>, value: Value) {
        if value != three.remote {
            return self.take(three, value);
        }
        self.same(three);
        if value != three.local {
            self.plan.columns.push((three.field, value));
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
        if is_tidied(three.field, &three.local, &three.remote) {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
            self.free(three);
            self.agree(three, three.remote.clone());
        } else if shown(&open.base) == three.remote && shown(&open.remote) != three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "local" });
            self.plan.settle.extend(three.ops.iter().map(|op| Settlement::new(op.seq, None)));
        } else if shown(&open.remote) != three.remote {
            let remote = Some(three.remote.to_json());
            self.plan.conflicts.push(ConflictPlan::Update { id: open.id, local: None, remote });
        }
    }

    // ---- the rest --------------------------------------------------------------------------------------------------

    /// A password is never read back: accepted it is done, in doubt it is sent again.
    fn password(&mut self) {
        let Some(sent) = self.sent else { return };
        let flying: Vec<&Op> =
            self.dirty.ops.iter().filter(|op| op.field.is_secret() && sent.covers(op)).collect();
        if sent.is_accepted {
            self.plan.settle.extend(outcomes(&flying, Outcome::Uploaded));
        } else {
            self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
        }
    }

    fn decide(&self, three: &Three<'_>, form_field: Option<&str>) -> Decision {
        let contest = Contest {
            customer_id: self.dirty.id.customer,
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
        self.remote.changed_at()
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
                self.open.get(subject).map(|open| ConflictPlan::Update {
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
