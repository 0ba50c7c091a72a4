//! What a person decides, as plans: resolve and undo, retry and discard.
//!
//! A decision covers what the person was shown: the rows of the journal that a conflict names, in the state that its stamp
//! names. What was edited since is not thrown away with it: a newer value stands, a newer payment goes on top. So each row
//! is decided for itself, and a decision about a balance is written as the difference to what the store has: what is paid
//! meanwhile, here or there, is kept.
//!
//! ```text
//! conflict as shown + unsettled rows + snapshot ──resolve, discard──▶ CustomerPlan ──▶ store
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::merge::{brought_together, entries, form_json};
use super::money::{balance, recount};
use super::{
    ConflictPlan, CustomerPlan, Decided, Dirty, Op, OpenConflict, Outcome, Settlement, SnapshotPlan, Verdict,
};
use crate::customer::{
    BadRecord, Edit, EditError, EditSeq, FieldId, FormValue, Record, Subject, Value, first_credit,
    parse_argument,
};

/// Which side of a conflict is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The till's value is sent.
    Local,
    /// The store's value is taken.
    Remote,
    /// This value is sent; read by the attribute's type, as in [`EditBuilder::set`](crate::EditBuilder::set), one of a form
    /// field by the type that both sides have.
    Value(String),
}

/// What is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// Every edit of the customer; of its money, the payments that wait for a person, if any do.
    All,
    /// The edits of one thing.
    Subject(Subject),
    /// One row of the journal. `before`: the value that the unsettled row before it set, if there is one.
    Row {
        /// Its place in the journal.
        seq: EditSeq,
        /// What the attribute was set to before.
        before: Option<Value>,
    },
}

/// A decision that a policy or a merge made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastDecision {
    /// Its row.
    pub id: i64,
    /// What it was about.
    pub subject: Subject,
    /// JSON of the till's value.
    pub local: String,
    /// JSON of the store's.
    pub remote: String,
    /// JSON of the value that was decided for; `None`: a file of an earlier version did not keep it.
    pub result: Option<String>,
    /// The till's side was given up.
    pub is_remote: bool,
    /// It was edited here since.
    pub is_edited_since: bool,
}

/// Why a decision cannot be carried out.
#[derive(Debug)]
pub enum CannotDecide {
    /// What was asked for is refused; nothing was changed.
    Refused(EditError),
    /// The snapshot is no customer.
    BadRecord(BadRecord),
}

impl From<EditError> for CannotDecide {
    fn from(refused: EditError) -> Self {
        CannotDecide::Refused(refused)
    }
}

impl From<BadRecord> for CannotDecide {
    fn from(bad: BadRecord) -> Self {
        CannotDecide::BadRecord(bad)
    }
}

type Plan = Result<CustomerPlan, CannotDecide>;

// ---- what was shown ------------------------------------------------------------------------------------------------

impl OpenConflict {
    /// The rows of the journal that it is about.
    pub fn seqs(&self, ops: &[Op]) -> Vec<EditSeq> {
        let is_part = |op: &&Op| match &self.subject {
            Subject::Field(field) => op.field == *field,
            Subject::Entry(field, name) => op.field == *field && op.touches(name),
            Subject::Customer => true,
        };
        let held = ops.iter().filter(|op| op.outcome == Some(Outcome::Held));
        held.filter(is_part).map(|op| op.seq).collect()
    }

    /// What tells this conflict from what it was, or will be: its identity, both values, and the rows that it is about.
    pub fn stamp(&self, ops: &[Op]) -> String {
        let seqs: Vec<String> = self.seqs(ops).iter().map(EditSeq::to_string).collect();
        let parts = [self.base.as_str(), self.local.as_str(), self.remote.as_str(), &seqs.join(",")];
        // FNV-1a: the same in every build, and nobody's secret.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let bytes = parts.iter().flat_map(|part| part.as_bytes().iter().chain(&[0xff]));
        format!("{}-{:016x}", self.id, bytes.fold(0xcbf2_9ce4_8422_2325, step))
    }
}

fn refuse(dirty: &Dirty, what: &Subject, problem: impl Into<String>) -> CannotDecide {
    EditError { customer_id: dirty.id, field: what.to_string(), problem: problem.into() }.into()
}

/// The conflict, if it still is as the person saw it.
fn as_seen<'d>(
    dirty: &'d Dirty,
    subject: &Subject,
    seen: Option<&str>,
) -> Result<Option<&'d OpenConflict>, CannotDecide> {
    let open = dirty.open_of(subject);
    match (open, seen) {
        (Some(open), Some(seen)) if open.stamp(&dirty.ops) != seen => {
            let problem = format!(
                "the conflict has moved on since it was shown: here {}, in the store {}: look at it again",
                open.local, open.remote
            );
            Err(refuse(dirty, subject, problem))
        }
        (None, Some(_)) => Err(refuse(dirty, subject, "the conflict that was shown is over: look again")),
        _ => Ok(open),
    }
}

fn refuse_in_flight<'o>(dirty: &Dirty, mut ops: impl Iterator<Item = &'o Op>) -> Result<(), CannotDecide> {
    match ops.find(|op| op.outcome == Some(Outcome::InFlight)) {
        None => Ok(()),
        Some(op) => {
            let problem = "its edit is on its way to the store: sync first, then decide";
            Err(refuse(dirty, &Subject::Field(op.field), problem))
        }
    }
}

/// What the store has of an attribute; `None`: it was not told.
fn stored(dirty: &Dirty, field: FieldId) -> Result<Option<Value>, BadRecord> {
    let base = dirty.base.as_ref().map(Record::attributes).transpose()?;
    Ok(base.filter(|base| base.tells(field)).map(|base| base.get(field)))
}

// ---- resolve -------------------------------------------------------------------------------------------------------

/// Decides a conflict, as it was shown if `seen` is its stamp.
///
/// # Errors
/// When there is no such conflict, it has moved on, the customer was deleted remotely, or the value is refused.
pub fn resolve(dirty: &Dirty, subject: &Subject, keep: &Keep, seen: Option<&str>) -> Plan {
    let Some(open) = as_seen(dirty, subject, seen)? else {
        return Err(refuse(dirty, subject, "there is no conflict to resolve"));
    };
    match subject {
        Subject::Customer => {
            let problem = "was deleted in the store, so no side can be kept: discard its edits";
            Err(refuse(dirty, subject, problem))
        }
        Subject::Field(FieldId::STORE_CREDIT_AMOUNTS) => resolve_balance(dirty, open, keep),
        Subject::Field(field) => resolve_field(dirty, open, *field, keep),
        Subject::Entry(field, name) => resolve_entry(dirty, open, *field, name, keep),
    }
}

fn closed(dirty: &Dirty, open: &OpenConflict, keep: &Keep) -> CustomerPlan {
    let resolution = match keep {
        Keep::Local => "local",
        Keep::Remote => "remote",
        Keep::Value(_) => "value",
    };
    let close = ConflictPlan::Close { id: open.id, resolution };
    CustomerPlan { conflicts: vec![close], ..CustomerPlan::nothing(dirty.id) }
}

fn settle(plan: &mut CustomerPlan, ops: &[&Op], outcome: impl Into<Option<Outcome>> + Copy) {
    plan.settle.extend(ops.iter().map(|op| Settlement::new(op.seq, outcome)));
}

/// The rows that a conflict is about, and the ones that were added since.
fn covered_and_later<'d>(
    dirty: &'d Dirty,
    open: &OpenConflict,
    field: FieldId,
) -> (Vec<&'d Op>, Vec<&'d Op>) {
    let covered: BTreeSet<EditSeq> = open.seqs(&dirty.ops).into_iter().collect();
    dirty.ops_of(field).partition(|op| covered.contains(&op.seq))
}

fn resolve_field(dirty: &Dirty, open: &OpenConflict, field: FieldId, keep: &Keep) -> Plan {
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let (covered, later) = covered_and_later(dirty, open, field);
    let (row, shown) = (dirty.row.get(field), Value::from_json(field.kind(), &open.local));
    let theirs = stored(dirty, field)?.unwrap_or_else(|| Value::from_json(field.kind(), &open.remote));
    let value = match keep {
        Keep::Local if later.is_empty() => row.clone(),
        Keep::Local => shown.clone(),
        Keep::Remote => theirs.clone(),
        Keep::Value(text) => typed(dirty, &open.subject, field, text)?,
    };
    let mut plan = closed(dirty, open, keep);
    settle(&mut plan, &covered, if *keep == Keep::Remote { Outcome::Remote } else { Outcome::Superseded });
    if !later.is_empty() {
        // The newer edit stands; of a text, what it changed is done to what was decided for.
        let on_top = brought_together(field, &shown, row, &value).filter(|_| value != shown);
        plan.columns.extend(on_top.filter(|value| value != row).map(|value| (field, value)));
        return Ok(plan);
    }
    if value != *row {
        plan.columns.push((field, value.clone()));
    }
    if *keep != Keep::Remote {
        plan.decided = Some(Decided { field, value: Verdict::Set(value), was: theirs });
    }
    Ok(plan)
}

fn typed(dirty: &Dirty, subject: &Subject, field: FieldId, text: &str) -> Result<Value, CannotDecide> {
    match parse_argument(dirty.id, field.name(), text)? {
        Edit::Set(_, value) => Ok(value),
        Edit::Adjust(_) => Err(refuse(dirty, subject, "give the whole value")),
    }
}

/// A decision about a balance changes it by what is between that and the store's: payments since then are on top of either.
fn resolve_balance(dirty: &Dirty, open: &OpenConflict, keep: &Keep) -> Plan {
    let field = FieldId::STORE_CREDIT_AMOUNTS;
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let (covered, mut later) = covered_and_later(dirty, open, field);
    later.retain(|op| op.is_counted());
    let theirs = match stored(dirty, field)? {
        Some(theirs) => theirs,
        None => Value::from_json(field.kind(), &open.remote),
    };
    let value = match keep {
        Keep::Local => Value::from_json(field.kind(), &open.local),
        Keep::Remote => theirs.clone(),
        Keep::Value(text) => typed(dirty, &open.subject, field, text)?,
    };
    let mut plan = closed(dirty, open, keep);
    settle(&mut plan, &covered, if *keep == Keep::Remote { Outcome::Remote } else { Outcome::Superseded });
    let problem = "the amounts are none that can be added to exactly: give another --value";
    let total =
        balance(&value, later.iter().copied()).ok_or_else(|| refuse(dirty, &open.subject, problem))?;
    // A balance that was set since takes the place of this one.
    let is_set_since = later.iter().any(|op| op.adjustment().is_none());
    if value != theirs && !is_set_since {
        plan.decided = Some(match (difference(&value, &theirs), &theirs) {
            (Some(change), _) => Decided { field, value: Verdict::Adjust(change), was: theirs },
            (None, _) => {
                settle(&mut plan, &later, Outcome::Superseded);
                Decided { field, value: Verdict::Set(total.clone()), was: theirs }
            }
        });
    }
    if total != *dirty.row.get(field) {
        plan.columns.push((field, total));
    }
    Ok(plan)
}

/// What must be added to one balance to make it another; `None`: that takes more than an amount.
fn difference(to: &Value, from: &Value) -> Option<rust_decimal::Decimal> {
    let (Value::Credit(to_all), Value::Credit(from_all)) = (to, from) else { return None };
    let is_one = to_all.get(1..).unwrap_or_default() == from_all.get(1..).unwrap_or_default();
    first_credit(to)
        .checked_sub(first_credit(from))
        .filter(|_| is_one && !to_all.is_empty() && !from_all.is_empty())
}

fn resolve_entry(dirty: &Dirty, open: &OpenConflict, field: FieldId, name: &str, keep: &Keep) -> Plan {
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let (covered, others) = covered_and_later(dirty, open, field);
    let is_edited_since = others.iter().any(|op| op.touches(name));
    let theirs = stored(dirty, field)?.unwrap_or_default();
    let their_entry = entries(&theirs).and_then(|mut entries| entries.remove(name));
    let mut ours = entries(dirty.row.get(field)).unwrap_or_default();
    let value = match keep {
        Keep::Local => ours.get(name).cloned(),
        Keep::Remote => their_entry.clone(),
        Keep::Value(text) => Some(typed_entry(dirty, open, text)?),
    };
    let mut plan = closed(dirty, open, keep);
    let outcome = if *keep == Keep::Remote { Outcome::Remote } else { Outcome::Superseded };
    // A row that is about other entries too still stands for those; a diff looks at it again.
    for op in &covered {
        let is_alone = matches!(&op.change, super::Change::Entries(entries) if entries.len() == 1);
        plan.settle.push(Settlement::new(op.seq, Some(outcome).filter(|_| is_alone)));
    }
    if is_edited_since {
        return Ok(plan);
    }
    put(&mut ours, name, value);
    let value = Value::Forms(ours.clone());
    if *keep != Keep::Remote {
        put(&mut ours, name, their_entry);
        plan.decided = Some(Decided { field, value: Verdict::Set(value.clone()), was: Value::Forms(ours) });
    }
    if value != *dirty.row.get(field) {
        plan.columns.push((field, value));
    }
    Ok(plan)
}

fn put(entries: &mut BTreeMap<String, FormValue>, name: &str, value: Option<FormValue>) {
    match value {
        Some(value) => _ = entries.insert(name.to_owned(), value),
        None => _ = entries.remove(name),
    }
}

/// A value that a person typed, of the type that both sides have.
fn typed_entry(dirty: &Dirty, open: &OpenConflict, text: &str) -> Result<FormValue, CannotDecide> {
    if text.contains('\0') {
        return Err(refuse(dirty, &open.subject, "holds a NUL character"));
    }
    let json = serde_json::from_str::<serde_json::Value>(text).ok();
    let is_form = |json: &serde_json::Value| json.is_string() || json.is_number() || json.is_array();
    let told = json.filter(is_form).map(|_| FormValue::from_json(text));
    let plain = || FormValue::Text(text.to_owned());
    let sides = [&open.local, &open.remote].map(|json| FormValue::from_json(json));
    let all = |is_type: fn(&FormValue) -> bool| {
        let mut known = sides.iter().filter(|side| form_json(Some(side)) != "null").peekable();
        known.peek().is_some() && known.all(is_type)
    };
    Ok(match told {
        Some(FormValue::Text(text)) => FormValue::Text(text),
        _ if all(|side| matches!(side, FormValue::Text(_))) => plain(),
        Some(FormValue::Other(_)) | None if all(|side| matches!(side, FormValue::List(_))) => {
            FormValue::List(vec![text.to_owned()])
        }
        Some(FormValue::Number(_)) if all(|side| matches!(side, FormValue::List(_))) => {
            FormValue::List(vec![text.to_owned()])
        }
        Some(FormValue::Other(_)) => return Err(refuse(dirty, &open.subject, "a list holds texts alone")),
        Some(value) => value,
        None => plain(),
    })
}

// ---- retry ---------------------------------------------------------------------------------------------------------

/// Sends refused edits again: all of a customer, or one. A payment counts again in the working copy.
///
/// # Errors
/// When the snapshot is no customer.
pub fn retry(dirty: &Dirty, only: Option<EditSeq>) -> Result<CustomerPlan, BadRecord> {
    let mut plan = CustomerPlan::nothing(dirty.id);
    let is_meant = |op: &&Op| op.outcome == Some(Outcome::Rejected) && only.is_none_or(|only| only == op.seq);
    plan.settle = dirty.ops.iter().filter(is_meant).map(|op| Settlement::new(op.seq, None)).collect();
    recount(dirty, &mut plan)?;
    Ok(plan)
}

// ---- discard -------------------------------------------------------------------------------------------------------

/// Gives edits up: the working copy goes back to what the store has, but for what was edited since a conflict was shown.
///
/// # Errors
/// When an edit is on its way, or the conflict has moved on since it was `seen`.
pub fn discard(dirty: &Dirty, what: &Discarded, seen: Option<&str>) -> Plan {
    let mut plan = CustomerPlan::nothing(dirty.id);
    match what {
        Discarded::All | Discarded::Subject(Subject::Customer) if dirty.is_gone() => {
            as_seen(dirty, &Subject::Customer, seen)?;
            refuse_in_flight(dirty, dirty.ops.iter())?;
            settle(&mut plan, &dirty.ops.iter().collect::<Vec<_>>(), Outcome::Discarded);
            close(&mut plan, dirty.open.iter());
            (plan.snapshot, plan.remove_row) = (SnapshotPlan::Keep, true);
            return Ok(plan);
        }
        Discarded::All => {
            if seen.is_some() {
                return Err(refuse(dirty, &Subject::Customer, "name the conflict that was seen"));
            }
            for field in dirty.ops.iter().map(|op| op.field).collect::<BTreeSet<_>>() {
                discard_field(dirty, field, &mut plan)?;
            }
        }
        Discarded::Subject(Subject::Customer) => {
            let problem = "was not deleted in the store: name the attribute, or leave it out for all of them";
            return Err(refuse(dirty, &Subject::Customer, problem));
        }
        Discarded::Subject(subject @ Subject::Field(field)) => {
            as_seen(dirty, subject, seen)?;
            discard_field(dirty, *field, &mut plan)?;
        }
        Discarded::Subject(subject @ Subject::Entry(field, name)) => {
            let open = as_seen(dirty, subject, seen)?;
            discard_entry(dirty, *field, name, open, &mut plan)?;
        }
        Discarded::Row { seq, before } => discard_row(dirty, *seq, before.as_ref(), &mut plan)?,
    }
    recount(dirty, &mut plan)?;
    end_of_whole(dirty, &mut plan);
    Ok(plan)
}

/// A customer that is gone, of which no edit is left, goes from the file too.
fn end_of_whole(dirty: &Dirty, plan: &mut CustomerPlan) {
    let settled: BTreeSet<EditSeq> = plan.settle.iter().map(|settlement| settlement.seq).collect();
    if dirty.is_gone() {
        plan.columns.clear();
        if dirty.ops.iter().all(|op| settled.contains(&op.seq)) {
            close(plan, dirty.open.iter().filter(|open| open.subject == Subject::Customer));
            plan.remove_row = true;
        }
    }
}

fn close<'d>(plan: &mut CustomerPlan, open: impl Iterator<Item = &'d OpenConflict>) {
    plan.conflicts.extend(open.map(|open| ConflictPlan::Close { id: open.id, resolution: "discarded" }));
}

fn discard_field(dirty: &Dirty, field: FieldId, plan: &mut CustomerPlan) -> Result<(), CannotDecide> {
    let open = dirty.open_of_field(field);
    let mut ops: Vec<&Op> = dirty.ops_of(field).collect();
    if field == FieldId::STORE_CREDIT_AMOUNTS {
        if ops.iter().any(|op| op.waits_for_a_person()) {
            ops.retain(|op| op.waits_for_a_person());
        }
        refuse_in_flight(dirty, ops.iter().copied())?;
        settle(plan, &ops, Outcome::Discarded);
        close(plan, open.into_iter());
        return Ok(());
    }
    refuse_in_flight(dirty, ops.iter().copied())?;
    let theirs = stored(dirty, field)?.filter(|_| field != FieldId::NEW_PASSWORD);
    if let Some(open) = open {
        let (covered, later) = covered_and_later(dirty, open, field);
        if !later.is_empty() {
            settle(plan, &covered, Outcome::Discarded);
            close(plan, std::iter::once(open));
            let shown = Value::from_json(field.kind(), &open.local);
            let on_top =
                theirs.and_then(|theirs| brought_together(field, &shown, dirty.row.get(field), &theirs));
            plan.columns.extend(on_top.map(|value| (field, value)));
            return Ok(());
        }
    }
    settle(plan, &ops, Outcome::Discarded);
    close(plan, dirty.open.iter().filter(|open| open.subject.field() == Some(field)));
    plan.columns.extend(theirs.map(|theirs| (field, theirs)));
    Ok(())
}

fn discard_entry(
    dirty: &Dirty,
    field: FieldId,
    name: &str,
    open: Option<&OpenConflict>,
    plan: &mut CustomerPlan,
) -> Result<(), CannotDecide> {
    let covered = open.map(|open| open.seqs(&dirty.ops));
    let is_covered = |op: &&Op| covered.as_ref().is_none_or(|covered| covered.contains(&op.seq));
    let (ops, later): (Vec<&Op>, Vec<&Op>) =
        dirty.ops_of(field).filter(|op| op.touches(name)).partition(is_covered);
    refuse_in_flight(dirty, ops.iter().copied())?;
    for op in ops {
        let is_alone = matches!(&op.change, super::Change::Entries(entries) if entries.len() == 1);
        let waits = (!is_alone).then_some(None).filter(|_| op.outcome == Some(Outcome::Held));
        let outcome = if is_alone { Some(Some(Outcome::Discarded)) } else { waits };
        plan.settle.extend(outcome.map(|outcome| Settlement::new(op.seq, outcome)));
    }
    close(plan, open.into_iter());
    if let (Some(theirs), true) = (stored(dirty, field)?, later.is_empty()) {
        let mut ours = entries(dirty.row.get(field)).unwrap_or_default();
        put(&mut ours, name, entries(&theirs).and_then(|mut entries| entries.remove(name)));
        plan.columns.push((field, Value::Forms(ours)));
    }
    Ok(())
}

/// One row. The value before it stands again: of the row before it, or the store's.
fn discard_row(
    dirty: &Dirty,
    seq: EditSeq,
    before: Option<&Value>,
    plan: &mut CustomerPlan,
) -> Result<(), CannotDecide> {
    let Some(op) = dirty.ops.iter().find(|op| op.seq == seq) else {
        let problem = format!("the row {seq} of the journal waits for nothing: it has settled");
        return Err(EditError { customer_id: dirty.id, field: "seq".to_owned(), problem }.into());
    };
    refuse_in_flight(dirty, std::iter::once(op))?;
    plan.settle.push(Settlement::new(seq, Outcome::Discarded));
    let field = op.field;
    let is_last_of = |open: &&OpenConflict| {
        let seqs = open.seqs(&dirty.ops);
        open.subject.field() == Some(field) && seqs == [seq]
    };
    close(plan, dirty.open.iter().filter(is_last_of));
    if [FieldId::STORE_CREDIT_AMOUNTS, FieldId::NEW_PASSWORD].contains(&field) {
        return Ok(());
    }
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let theirs = stored(dirty, field)?;
    if let super::Change::Entries(given) = &op.change {
        let (Some(theirs), mut ours) = (theirs, entries(dirty.row.get(field)).unwrap_or_default()) else {
            return Ok(());
        };
        let theirs = entries(&theirs).unwrap_or_default();
        for name in given.keys() {
            let left = dirty.ops_of(field).rev().filter(|other| other.seq != seq).find_map(|other| {
                match &other.change {
                    super::Change::Entries(entries) => entries.get(name).cloned(),
                    _ => None,
                }
            });
            put(&mut ours, name, left.unwrap_or_else(|| theirs.get(name).cloned()));
        }
        plan.columns.push((field, Value::Forms(ours)));
        return Ok(());
    }
    if dirty.ops_of(field).next_back().is_some_and(|newest| newest.seq == seq) {
        let value = before.cloned().or(theirs);
        if let (Some(value), Some(open)) = (before, dirty.open_of_field(field)) {
            let local = Some(value.to_json());
            plan.conflicts.push(ConflictPlan::Update { id: open.id, local, remote: None });
        }
        plan.columns.extend(value.map(|value| (field, value)));
    }
    Ok(())
}

// ---- undo ----------------------------------------------------------------------------------------------------------

/// Takes back what a policy or a merge decided: the other side's value is an edit again. Only while nothing newer was
/// edited or pulled, and never for money.
///
/// # Errors
/// When it cannot be taken back any more.
pub fn undo(dirty: &Dirty, past: &PastDecision) -> Plan {
    let subject = &past.subject;
    let Some(field) = subject.field().filter(|field| *field != FieldId::STORE_CREDIT_AMOUNTS) else {
        let problem = "money is never decided anew: adjust the balance by what is wrong with it";
        return Err(refuse(dirty, subject, problem));
    };
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let result = match (&past.result, past.is_remote) {
        (Some(result), _) => result,
        (None, true) => &past.remote,
        (None, false) => {
            return Err(refuse(
                dirty,
                subject,
                "was decided by an earlier version, which did not keep the result",
            ));
        }
    };
    let part = |value: &Value| match subject.entry_name() {
        None => value.to_json(),
        Some(name) => form_json(entries(value).unwrap_or_default().get(name)),
    };
    let is = |value: &Value, json: &str| match subject.entry_name() {
        None => *value == Value::from_json(field.kind(), json),
        Some(_) => part(value) == form_json(Some(&FormValue::from_json(json))),
    };
    let (row, theirs) = (dirty.row.get(field), stored(dirty, field)?.unwrap_or_default());
    if past.is_edited_since || !is(row, result) || !(is(&theirs, result) || is(&theirs, &past.remote)) {
        let problem = format!(
            "was edited or pulled since it was decided: here {}, in the store {}: edit it instead",
            part(row),
            part(&theirs)
        );
        return Err(refuse(dirty, subject, problem));
    }
    let json = if past.is_remote { &past.local } else { &past.remote };
    let value = match subject.entry_name() {
        None => Value::from_json(field.kind(), json),
        Some(name) => {
            let mut ours = entries(row).unwrap_or_default();
            put(&mut ours, name, (json != "null").then(|| FormValue::from_json(json)));
            Value::Forms(ours)
        }
    };
    let mut plan = CustomerPlan::nothing(dirty.id);
    plan.conflicts.push(ConflictPlan::Close { id: past.id, resolution: "undone" });
    if subject.entry_name().is_none() {
        settle(&mut plan, &dirty.ops_of(field).collect::<Vec<_>>(), Outcome::Superseded);
    }
    plan.columns.push((field, value.clone()));
    plan.decided = Some(Decided { field, value: Verdict::Set(value), was: row.clone() });
    Ok(plan)
}
