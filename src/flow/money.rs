//! Money, row by row: adjustments are payments, and each row of the journal is decided for itself.
//!
//! The working copy's balance is what the store has, and what is *counted* on top of it: every unsettled row but the
//! refused ones. A refused payment leaves the sum at once, so that later ones go up without it; only `retry` counts it
//! again. A balance that was set takes the place of what came before it.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{CustomerPlan, Dirty, Op, Outcome, SnapshotPlan};
use crate::flow::Change;
use crate::resource::{BadRecord, EditSeq, FieldId, Kind, Record, Value, add_credit, first_credit};

/// What these edits, oldest first, make of a balance. `None`: it cannot be held exactly.
pub(super) fn balance<'o>(from: &Value, ops: impl IntoIterator<Item = &'o Op>) -> Option<Value> {
    ops.into_iter().try_fold(from.clone(), |balance, op| match &op.change {
        Change::Adjust(amount) => add_credit(&balance, *amount),
        Change::Balance(value) => Some(value.clone()),
        Change::Set | Change::Entries(_) => None,
    })
}

/// Whether two balances are the same: no amounts are nothing, as one of nothing is.
pub(super) fn same_balance(one: &Value, other: &Value) -> bool {
    let is_nothing =
        |value: &Value| matches!(value, Value::Credit(amounts) if amounts.iter().all(Decimal::is_zero));
    one == other || is_nothing(one) && is_nothing(other)
}

/// What the working copy's balance must be by the journal, on top of what the snapshot has. A balance that is held stands on what
/// the person was shown. `None`: it cannot be held exactly.
pub fn balance_by_journal(dirty: &Dirty, base: &Value) -> Option<Value> {
    let ops = dirty.ops_of_money();
    match dirty.open_of_money() {
        Some(open) => balance(&Value::from_json(Kind::Credit, &open.local), ops.filter(|op| op.is_pending())),
        None => balance(base, ops.filter(|op| op.is_counted())),
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

/// What the till has on top of one balance of the store's, on top of another. `None`: it is no first amount, or no sum that can be
/// held exactly.
pub(super) fn moved_along(ours: &Value, from: &Value, to: &Value) -> Option<Value> {
    let (Value::Credit(ours_all), Value::Credit(from_all)) = (ours, from) else { return None };
    let is_first_alone = ours_all.get(1..).unwrap_or_default() == from_all.get(1..).unwrap_or_default();
    let on_top = first_credit(ours).checked_sub(first_credit(from)).filter(|_| is_first_alone)?;
    add_credit(to, on_top)
}

/// Brings the working copy's balance into a plan in which rows leave the sum or come back into it.
///
/// # Errors
/// When a record is no customer.
pub(super) fn recount(dirty: &Dirty, plan: &mut CustomerPlan) -> Result<(), BadRecord> {
    let said: BTreeMap<EditSeq, Option<Outcome>> =
        plan.settle.iter().map(|settlement| (settlement.seq, settlement.outcome)).collect();
    let after = |op: &Op| said.get(&op.seq).copied().unwrap_or(op.outcome);
    let counts = |outcome: Option<Outcome>| {
        outcome != Some(Outcome::Rejected) && outcome.is_none_or(|outcome| !outcome.is_settled())
    };
    let leaves =
        |op: &&Op| op.is_counted() && matches!(after(op), Some(Outcome::Rejected | Outcome::Discarded));
    let returns = |op: &&Op| !op.is_counted() && counts(after(op));
    let Some(money) = dirty.resource().money() else { return Ok(()) };
    if !dirty.ops_of_money().any(|op| leaves(&op) || returns(&op)) {
        return Ok(());
    }
    let planned = plan.columns.iter().rev().find(|(field, _)| *field == money).map(|(_, value)| value);
    let row = planned.unwrap_or_else(|| dirty.row.get(money));
    let counted: Vec<&Op> = dirty.ops_of_money().filter(|op| counts(after(op))).collect();
    let is_in_doubt = counted.iter().any(|op| after(op) == Some(Outcome::Held));
    let value = match stored(dirty, money, plan)? {
        Some(stored) if !is_in_doubt => balance(&stored, counted),
        // A balance that was set stands on nothing that the store has, and takes the place of what came before it.
        None if !is_in_doubt && !on_top_of_set(&counted).0.is_empty() => {
            let (set, later) = on_top_of_set(&counted);
            balance(row, set.into_iter().next_back().into_iter().chain(later))
        }
        // What the store has is not known, or not what the till's amount stands on: by the difference.
        _ => {
            let sum = |of: &dyn Fn(&&Op) -> bool| -> Option<Decimal> {
                let amounts = dirty.ops_of_money().filter(|op| of(op)).filter_map(Op::adjustment);
                amounts.into_iter().try_fold(Decimal::ZERO, Decimal::checked_add)
            };
            let difference = sum(&returns).zip(sum(&leaves)).and_then(|(more, less)| more.checked_sub(less));
            difference.and_then(|difference| add_credit(row, difference))
        }
    };
    let value = value.unwrap_or_else(|| row.clone());
    if value != *row {
        plan.columns.retain(|(field, _)| *field != money);
        plan.columns.push((money, value));
    }
    Ok(())
}

/// What the store has, once the plan is carried out; `None`: it does not tell.
fn stored(dirty: &Dirty, money: FieldId, plan: &CustomerPlan) -> Result<Option<Value>, BadRecord> {
    let record: Option<&Record> = match &plan.snapshot {
        SnapshotPlan::Put(record) => Some(record),
        SnapshotPlan::Keep => dirty.base.as_ref(),
        SnapshotPlan::Remove => None,
    };
    let attributes = record.map(Record::attributes).transpose()?;
    Ok(attributes.filter(|base| base.tells(money)).map(|base| base.get(money)))
}
