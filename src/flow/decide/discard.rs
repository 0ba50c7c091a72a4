//! Edits are given up, or sent again although the store refused them.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::{
    Plan, Shown, as_seen, covered_and_later, last_known, moved_on, noted, our_entries, ours,
    outcome_of_entry, put, refuse, refuse_in_flight, settle, stored,
};
use crate::flow::merge::{brought_together, edited_as, entries, form_json};
use crate::flow::money::{balance, on_top_of_set, recount, same_balance, without};
use crate::flow::{
    CannotDecide, Change, ConflictPlan, CustomerPlan, Dirty, Op, OpenConflict, Outcome, Settlement,
    SnapshotPlan,
};
use crate::resource::{BadRecord, EditSeq, FieldId, FormValue, Kind, Record, Subject, Value, money};

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

/// Sends refused edits again: all of a customer, or these. A payment counts again in the working copy. A balance that was set is
/// held where the store has moved on from what it stood on; `stood_on`: what the working copy had before each of those.
///
/// What [would be swallowed](Meeting) stays refused, and of all of a customer's what is no value of its attribute.
///
/// # Errors
/// When one of these rows would, or all that the customer has; when one of these was edited again since; when one of these, or all that
/// the customer has, is no value of its attribute; when the snapshot is no customer.
pub fn retry(dirty: &Dirty, only: Option<&BTreeSet<EditSeq>>, stood_on: &BTreeMap<EditSeq, Value>) -> Plan {
    let mut plan = CustomerPlan::nothing(dirty.id);
    let meetings = meetings(dirty, only, stood_on);
    let stays: BTreeSet<EditSeq> = meetings.iter().map(|meeting| meeting.stays).collect();
    let goes = |op: &&Op| is_meant(op, only) && !stays.contains(&op.seq);
    let (sound, unsound): (Vec<&Op>, Vec<&Op>) =
        dirty.ops.iter().filter(goes).partition(|op| is_sound(dirty, op));
    // Who asks for all is told of what is no value only where there is nothing else.
    let is_all = only.is_none() && !sound.is_empty();
    let free = if is_all { sound } else { [sound, unsound].concat() };
    if let Some(meeting) = meetings.first()
        && (free.is_empty() || only.is_some())
    {
        return Err(refuse(dirty, &Subject::Field(meeting.field), meeting.words()));
    }
    if only.is_some()
        && let Some(refusal) = free.iter().find_map(|op| edited_again(dirty, op, only))
    {
        return Err(refusal);
    }
    for op in free.iter().filter(|op| !is_sound(dirty, op)) {
        ours(dirty, op.field)?;
    }
    settle(&mut plan, &free, None::<Outcome>);
    recount(dirty, &mut plan)?;
    hold_set(dirty, stood_on, &mut plan)?;
    Ok(plan)
}

/// What is sent is what the working copy has.
fn is_sound(dirty: &Dirty, op: &Op) -> bool {
    op.field.is_secret() || !dirty.unsound.contains(&op.field)
}

fn is_meant(op: &Op, only: Option<&BTreeSet<EditSeq>>) -> bool {
    op.outcome == Some(Outcome::Rejected) && only.is_none_or(|only| only.contains(&op.seq))
}

/// Of what was edited again since it was refused the newest edit is sent, whichever is sent again: a person who was shown the older
/// one is told so. Money is decided row by row.
fn edited_again(dirty: &Dirty, op: &Op, only: Option<&BTreeSet<EditSeq>>) -> Option<CannotDecide> {
    let is_asked_for = |newest: &&Op| newest.seq == op.seq || is_meant(newest, only);
    let newest = dirty.ops_of(op.field).next_back().filter(|newest| !is_asked_for(newest))?;
    let what_now = match newest.outcome {
        Some(Outcome::Rejected) => "send that one again, or correct it",
        Some(Outcome::Held) => "decide its conflict",
        _ => "it is sent by itself",
    };
    let problem =
        format!("was edited again since edit {}: edit {} is what counts: {what_now}", op.seq, newest.seq);
    (!op.field.is_money()).then(|| refuse(dirty, &Subject::Field(op.field), problem))
}

/// A payment, and a balance that was set after it: where both wait to be sent, the balance takes the place of the payment. Whether it
/// was meant to, only whoever set it knows: the payment may have been counted when it was set, or have been added to it by hand because it
/// was refused. So whichever is sent again first, the other stays refused until that has arrived, and the person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// What both are of.
    field: FieldId,
    payment: EditSeq,
    /// Signed.
    amount: Decimal,
    set: EditSeq,
    /// From which balance to which one it was set; JSON where that is no amount.
    from: Option<String>,
    to: String,
    /// That of the two that stays refused.
    pub stays: EditSeq,
    /// The other is in conflict: a sync alone does not bring it up.
    is_held: bool,
}

impl Meeting {
    fn of(payment: &Op, set: &Op, stays: EditSeq, stood_on: &BTreeMap<EditSeq, Value>) -> Meeting {
        let other = if stays == payment.seq { set } else { payment };
        let to = match &set.change {
            Change::Balance(value) => in_words(value),
            _ => "another".to_owned(),
        };
        Meeting {
            field: set.field,
            payment: payment.seq,
            amount: payment.adjustment().unwrap_or_default(),
            set: set.seq,
            from: stood_on.get(&set.seq).map(in_words),
            to,
            stays,
            is_held: other.outcome == Some(Outcome::Held),
        }
    }

    /// Why it stays, and what to do.
    pub fn words(&self) -> String {
        let Meeting { payment, amount, set, from, to, stays, is_held, .. } = self;
        let amount = money(*amount);
        let other = if stays == payment { set } else { payment };
        let first = match is_held {
            true => format!("decide the conflict of edit {other}, and sync"),
            false => "sync first".to_owned(),
        };
        let from = from.as_ref().map(|from| format!("from {from} ")).unwrap_or_default();
        format!(
            "edit {set} set the balance {from}to {to} after the payment of {amount} in edit {payment}, and would take its place. \
             Does {to} hold that payment already, by whoever set it? Yes: give edit {payment} up. No: edit {other} waits to be sent, so \
             {first}, then send edit {stays} again"
        )
    }
}

fn in_words(balance: &Value) -> String {
    match balance {
        Value::Credit(amounts) if amounts.len() < 2 => money(amounts.first().copied().unwrap_or_default()),
        balance => balance.to_json(),
    }
}

/// Which of a customer's refused edits, or of these, stay so where the others are sent again.
pub fn meetings(
    dirty: &Dirty,
    only: Option<&BTreeSet<EditSeq>>,
    stood_on: &BTreeMap<EditSeq, Value>,
) -> Vec<Meeting> {
    let waits = |op: &Op| matches!(op.outcome, None | Some(Outcome::InFlight | Outcome::Held));
    let money: Vec<&Op> = dirty.ops_of_money().collect();
    let is_set = |op: &Op| op.adjustment().is_none();
    // Of a payment that a balance which waits takes the place of anyway, nothing is lost.
    let is_taken = |payment: &Op| money.iter().any(|op| is_set(op) && waits(op) && op.seq > payment.seq);
    let swallowed = |set: &Op| {
        money.iter().find(|op| !is_set(op) && waits(op) && op.seq < set.seq && !is_taken(op)).copied()
    };
    let mut all = Vec::new();
    for set in money.iter().filter(|op| is_set(op) && is_meant(op, only)) {
        if let Some(payment) = swallowed(set) {
            all.push(Meeting::of(payment, set, set.seq, stood_on));
        }
    }
    let stays: BTreeSet<EditSeq> = all.iter().map(|meeting| meeting.stays).collect();
    let goes = |op: &Op| waits(op) || is_meant(op, only) && !stays.contains(&op.seq);
    if let Some(set) = money.iter().rfind(|op| is_set(op) && goes(op)) {
        let covered = money.iter().filter(|op| !is_set(op) && is_meant(op, only) && op.seq < set.seq);
        all.extend(covered.map(|payment| Meeting::of(payment, set, payment.seq, stood_on)));
    }
    all
}

/// A balance that was set and refused has left the working copy, so no pull brought it together with what the store has now:
/// that is done when it comes back. What moved in between, a payment of this till's too, is not overwritten unseen; what was
/// adjusted since goes on top of whatever is decided.
fn hold_set(
    dirty: &Dirty,
    stood_on: &BTreeMap<EditSeq, Value>,
    plan: &mut CustomerPlan,
) -> Result<(), BadRecord> {
    let Some(money) = dirty.resource().money() else { return Ok(()) };
    let returning: BTreeSet<EditSeq> = plan.settle.iter().map(|settlement| settlement.seq).collect();
    let counted: Vec<&Op> =
        dirty.ops_of_money().filter(|op| op.is_counted() || returning.contains(&op.seq)).collect();
    let (covered, later) = on_top_of_set(&counted);
    let set = covered.last().filter(|set| returning.contains(&set.seq));
    let was = set.and_then(|set| stood_on.get(&set.seq));
    let (Some((set, was)), Some(theirs), None) = (set.zip(was), stored(dirty, money)?, dirty.open_of_money())
    else {
        return Ok(());
    };
    let Change::Balance(value) = &set.change else { return Ok(()) };
    // It was made over payments that had not arrived.
    let unsettled: Vec<&Op> = dirty.ops_of_money().filter(|op| op.seq < set.seq).collect();
    let as_it_was = [Some(was.clone()), without(was, &unsettled), Some(value.clone())];
    if as_it_was.iter().flatten().any(|was| same_balance(was, &theirs)) {
        return Ok(());
    }
    plan.settle.retain(|settlement| covered.iter().all(|op| op.seq != settlement.seq));
    settle(plan, &covered, Outcome::Held);
    plan.conflicts.push(ConflictPlan::Record {
        subject: Subject::Field(money),
        base: was.to_json(),
        local: value.to_json(),
        remote: theirs.to_json(),
        policy: "hold",
        resolution: None,
        result: None,
        author: set.author.clone(),
        seq: Some(set.seq),
    });
    let total = balance(value, later);
    plan.columns.retain(|(field, _)| *field != money);
    plan.columns.extend(total.filter(|total| total != dirty.row.get(money)).map(|total| (money, total)));
    Ok(())
}

/// Gives up refused payments, each as its row alone would be.
///
/// # Errors
/// When one of them is on its way, or has settled.
pub fn discard_payments(dirty: &Dirty, seqs: &BTreeSet<EditSeq>) -> Plan {
    discard_rest(dirty, BTreeSet::new(), seqs)
}

/// Gives up all of these attributes, and of money no more than these payments: who decided has seen no others.
///
/// # Errors
/// When an edit is on its way, or has settled.
pub fn discard_rest(dirty: &Dirty, fields: BTreeSet<FieldId>, payments: &BTreeSet<EditSeq>) -> Plan {
    let mut plan = CustomerPlan::nothing(dirty.id);
    discard_fields(dirty, fields, &mut plan)?;
    for seq in payments {
        discard_row(dirty, *seq, None, &mut plan)?;
    }
    recount(dirty, &mut plan)?;
    end_of_whole(dirty, &mut plan);
    Ok(plan)
}

/// Gives edits up: the working copy goes back to what the store has, but for what was edited since a conflict was shown.
///
/// # Errors
/// When an edit is on its way, or the conflict has moved on since it was `seen`.
pub fn discard(dirty: &Dirty, what: &Discarded, seen: Option<&str>) -> Plan {
    let mut plan = CustomerPlan::nothing(dirty.id);
    match what {
        Discarded::All | Discarded::Subject(Subject::Customer) if dirty.is_gone() => {
            let open = as_seen(dirty, &Subject::Customer, seen)?;
            refuse_in_flight(dirty, dirty.ops.iter())?;
            let is_shown =
                |op: &&Op| op.waits_for_a_person() || open.as_ref().is_some_and(|open| open.covers(op));
            let (shown, later): (Vec<&Op>, Vec<&Op>) = dirty.ops.iter().partition(is_shown);
            if let (Some(open), false) = (&open, later.is_empty()) {
                return later_than_gone(dirty, &open.open, &shown, &later);
            }
            settle(&mut plan, &dirty.ops.iter().collect::<Vec<_>>(), Outcome::Discarded);
            close(&mut plan, dirty.open.iter());
            (plan.snapshot, plan.remove_row) = (SnapshotPlan::Keep, true);
            return Ok(plan);
        }
        Discarded::All => {
            if seen.is_some() {
                return Err(refuse(dirty, &Subject::Customer, "name the conflict that was seen"));
            }
            discard_fields(dirty, dirty.ops.iter().map(|op| op.field).collect(), &mut plan)?;
        }
        Discarded::Subject(Subject::Customer) => {
            let problem = "was not deleted in the store: name the attribute, or leave it out for all of them";
            return Err(refuse(dirty, &Subject::Customer, problem));
        }
        Discarded::Subject(subject @ (Subject::Existing | Subject::Deletion)) => {
            return Err(refuse(dirty, subject, "there is no such conflict"));
        }
        Discarded::Subject(subject @ Subject::Field(field)) => {
            let open = as_seen(dirty, subject, seen)?;
            discard_field(dirty, *field, open.as_ref(), seen, &mut plan)?;
        }
        Discarded::Subject(subject @ Subject::Entry(field, name)) => {
            let open = as_seen(dirty, subject, seen)?;
            discard_entry(dirty, *field, name, open.as_ref(), &mut plan)?;
        }
        Discarded::Row { seq, before } => discard_row(dirty, *seq, before.as_ref(), &mut plan)?,
    }
    recount(dirty, &mut plan)?;
    end_of_whole(dirty, &mut plan);
    Ok(plan)
}

/// A customer that is gone was edited since that was shown: the edits that were shown are given up, and the later ones wait as
/// a conflict of their own, on top of what the store had.
fn later_than_gone(dirty: &Dirty, open: &OpenConflict, shown: &[&Op], later: &[&Op]) -> Plan {
    let mut plan = CustomerPlan::nothing(dirty.id);
    settle(&mut plan, shown, Outcome::Discarded);
    settle(&mut plan, later, Outcome::Held);
    close(&mut plan, dirty.open.iter());
    let base = (open.base != "null").then(|| Record::of(dirty.resource(), open.base.clone()));
    let base = base.as_ref().map(Record::attributes).transpose()?;
    let fields: BTreeSet<FieldId> =
        shown.iter().map(|op| op.field).filter(|field| !field.is_secret()).collect();
    for field in fields {
        let Some(was) = base.as_ref().map(|base| base.get(field)) else { continue };
        let mut on_top = later.iter().copied().filter(|op| op.field == field);
        let value = match field.kind() {
            Kind::Credit => balance(&was, on_top),
            _ if on_top.next().is_some() => None,
            _ => Some(was),
        };
        plan.columns.extend(value.map(|value| (field, value)));
    }
    plan.conflicts.push(ConflictPlan::Record {
        subject: Subject::Customer,
        base: open.base.clone(),
        local: edited_as(&dirty.row, later, &plan.columns),
        remote: "null".to_owned(),
        policy: "hold",
        resolution: None,
        result: None,
        author: later.last().and_then(|op| op.author.clone()),
        seq: later.last().map(|op| op.seq),
    });
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

fn discard_fields(
    dirty: &Dirty,
    fields: BTreeSet<FieldId>,
    plan: &mut CustomerPlan,
) -> Result<(), CannotDecide> {
    for field in fields {
        let open = dirty.open_of_field(field).map(|open| open.as_found(&dirty.ops));
        discard_field(dirty, field, open.as_ref(), None, plan)?;
    }
    Ok(())
}

fn discard_field(
    dirty: &Dirty,
    field: FieldId,
    shown: Option<&Shown>,
    seen: Option<&str>,
    plan: &mut CustomerPlan,
) -> Result<(), CannotDecide> {
    if field.is_money() {
        return discard_money(dirty, shown, seen.is_some(), plan);
    }
    let ops: Vec<&Op> = dirty.ops_of(field).collect();
    refuse_in_flight(dirty, ops.iter().copied())?;
    let theirs = last_known(dirty, field)?.filter(|_| !field.is_secret());
    if let Some(shown) = shown {
        let (covered, later) = covered_and_later(dirty, shown, field);
        if !later.is_empty() {
            settle(plan, &covered, Outcome::Discarded);
            close(plan, std::iter::once(&shown.open));
            let (row, was) = (ours(dirty, field)?, noted(dirty, &shown.open.subject, &shown.open.local)?);
            let on_top = theirs.and_then(|theirs| brought_together(field, &was, row, &theirs));
            plan.columns.extend(on_top.map(|value| (field, value)));
            return Ok(());
        }
    }
    settle(plan, &ops, Outcome::Discarded);
    close(plan, dirty.open.iter().filter(|open| open.subject.field() == Some(field)));
    plan.columns.extend(theirs.map(|theirs| (field, theirs)));
    Ok(())
}

/// The payments that wait for a person, if any do; those of a conflict that was seen, and no others: one that was refused is a row
/// of its own.
fn discard_money(
    dirty: &Dirty,
    shown: Option<&Shown>,
    is_seen: bool,
    plan: &mut CustomerPlan,
) -> Result<(), CannotDecide> {
    let does_any_wait = dirty.ops_of_money().any(Op::waits_for_a_person);
    let is_given_up = |op: &&Op| match shown {
        Some(shown) if is_seen => shown.covers(op),
        _ => !does_any_wait || op.waits_for_a_person(),
    };
    let ops: Vec<&Op> = dirty.ops_of_money().filter(is_given_up).collect();
    refuse_in_flight(dirty, ops.iter().copied())?;
    settle(plan, &ops, Outcome::Discarded);
    close(plan, shown.into_iter().map(|shown| &shown.open));
    Ok(())
}

fn discard_entry(
    dirty: &Dirty,
    field: FieldId,
    name: &str,
    shown: Option<&Shown>,
    plan: &mut CustomerPlan,
) -> Result<(), CannotDecide> {
    let is_covered = |op: &&Op| shown.is_none_or(|shown| shown.covers(op));
    let (ops, later): (Vec<&Op>, Vec<&Op>) =
        dirty.ops_of(field).filter(|op| op.touches(name)).partition(is_covered);
    refuse_in_flight(dirty, ops.iter().copied())?;
    for op in ops {
        let becomes = outcome_of_entry(dirty, op, name, Outcome::Discarded)?
            .filter(|outcome| outcome.is_some() || op.outcome == Some(Outcome::Held));
        plan.settle.extend(becomes.map(|outcome| Settlement::new(op.seq, outcome)));
    }
    close(plan, shown.into_iter().map(|shown| &shown.open));
    if let (Some(theirs), true) = (last_known(dirty, field)?, later.is_empty()) {
        let mut ours = our_entries(dirty, field)?;
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
    let Some(op) = dirty.op(seq) else {
        let problem = format!("the row {seq} of the journal waits for nothing: it has settled");
        return Err(moved_on(dirty, "seq", problem));
    };
    refuse_in_flight(dirty, std::iter::once(op))?;
    plan.settle.push(Settlement::new(seq, Outcome::Discarded));
    let field = op.field;
    let is_last_of = |open: &&OpenConflict| {
        open.subject.field() == Some(field) && open.as_shown(&dirty.ops, &dirty.row).seqs == [seq]
    };
    close(plan, dirty.open.iter().filter(is_last_of));
    if field.is_money() || field.is_secret() {
        return Ok(());
    }
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let theirs = last_known(dirty, field)?;
    if let Change::Entries(given) = &op.change {
        let Some(theirs) = theirs else { return Ok(()) };
        let mut ours = our_entries(dirty, field)?;
        let theirs = entries(&theirs).unwrap_or_default();
        let mut left: BTreeMap<&String, &Option<FormValue>> = BTreeMap::new();
        for other in dirty.ops_of(field).filter(|other| other.seq != seq) {
            if let Change::Entries(entries) = &other.change {
                left.extend(entries);
            }
        }
        for name in given.keys() {
            put(
                &mut ours,
                name,
                left.get(name).map_or_else(|| theirs.get(name), |left| left.as_ref()).cloned(),
            );
        }
        // What is in conflict by another edit too shows what that one set.
        let still_open =
            dirty.held_forms().filter(|(name, open)| given.contains_key(*name) && !is_last_of(open));
        plan.conflicts.extend(still_open.map(|(name, open)| {
            let local = Some(form_json(ours.get(name)));
            ConflictPlan::Update { id: open.id, local, remote: None }
        }));
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
