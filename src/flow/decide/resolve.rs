//! A conflict is decided: one side, or a third value.

use rust_decimal::Decimal;

use super::{
    Plan, Shown, as_seen, covered_and_later, noted, our_entries, ours, outcome_of_entry, put, refuse,
    refuse_in_flight, settle, stored,
};
use crate::flow::merge::{brought_together, entries, form_json};
use crate::flow::money::balance;
use crate::flow::{
    CannotDecide, ConflictPlan, CustomerPlan, Decided, Dirty, OpenConflict, Outcome, Settlement, Verdict,
};
use crate::resource::{Edit, FieldId, FormValue, Subject, Value, first_credit, parse_argument};

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

/// Decides a conflict, as it was shown if `seen` is its stamp.
///
/// # Errors
/// When there is no such conflict, it has moved on, the customer was deleted remotely, or the value is refused.
pub fn resolve(dirty: &Dirty, subject: &Subject, keep: &Keep, seen: Option<&str>) -> Plan {
    let Some(shown) = as_seen(dirty, subject, seen)? else {
        return Err(refuse(dirty, subject, "there is no conflict to resolve"));
    };
    match subject {
        // What an update makes is made again.
        Subject::Customer if dirty.resource().spec().is_upserted && *keep == Keep::Local => {
            let mut plan = closed(dirty, &shown.open, keep);
            let held = dirty.ops.iter().filter(|op| op.outcome == Some(Outcome::Held)).collect::<Vec<_>>();
            settle(&mut plan, &held, None::<Outcome>);
            Ok(plan)
        }
        Subject::Customer => {
            let problem = match dirty.resource().spec().is_upserted {
                true => {
                    "was deleted in the store, so nothing of it can be kept there: keep what is here, or discard its edits"
                }
                false => "was deleted in the store, so no side can be kept: discard its edits",
            };
            Err(refuse(dirty, subject, problem))
        }
        // Whose row is there twice is found out in the file: `store::existing`.
        Subject::Existing => Err(refuse(dirty, subject, "exists in the store already")),
        // Nor whose row is gone: `store::delete`.
        Subject::Deletion => Err(refuse(dirty, subject, "is deleted here")),
        Subject::Field(field) if field.is_money() => resolve_balance(dirty, &shown, *field, keep),
        Subject::Field(field) => resolve_field(dirty, &shown, *field, keep),
        Subject::Entry(field, name) => resolve_entry(dirty, &shown, *field, name, keep),
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

fn resolve_field(dirty: &Dirty, shown: &Shown, field: FieldId, keep: &Keep) -> Plan {
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let open = &shown.open;
    let (covered, later) = covered_and_later(dirty, shown, field);
    let was_shown = || noted(dirty, &open.subject, &open.local);
    let theirs = stored(dirty, field)?.map_or_else(|| noted(dirty, &open.subject, &open.remote), Ok)?;
    let value = match keep {
        Keep::Local if later.is_empty() => ours(dirty, field)?.clone(),
        Keep::Local => was_shown()?,
        Keep::Remote => theirs.clone(),
        Keep::Value(text) => typed(dirty, &open.subject, field, text)?,
    };
    let mut plan = closed(dirty, open, keep);
    settle(&mut plan, &covered, if *keep == Keep::Remote { Outcome::Remote } else { Outcome::Superseded });
    if !later.is_empty() {
        // The newer edit stands; of a text, what it changed is done to what was decided for.
        let (row, was) = (ours(dirty, field)?, was_shown()?);
        let on_top = brought_together(field, &was, row, &value).filter(|_| value != was);
        plan.columns.extend(on_top.filter(|value| value != row).map(|value| (field, value)));
        return Ok(plan);
    }
    if !dirty.holds(field, &value) {
        plan.columns.push((field, value.clone()));
    }
    if *keep != Keep::Remote {
        plan.decided = Some(Decided { field, value: Verdict::Set(value), was: theirs });
    }
    Ok(plan)
}

fn typed(dirty: &Dirty, subject: &Subject, field: FieldId, text: &str) -> Result<Value, CannotDecide> {
    match parse_argument(dirty.id.customer, field.name(), text)? {
        Edit::Set(_, value) => Ok(value),
        Edit::Adjust(_) => Err(refuse(dirty, subject, "give the whole value")),
    }
}

/// A decision about a balance changes it by what is between that and the store's: payments since then are on top of either.
fn resolve_balance(dirty: &Dirty, shown: &Shown, field: FieldId, keep: &Keep) -> Plan {
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let open = &shown.open;
    let (covered, mut later) = covered_and_later(dirty, shown, field);
    later.retain(|op| op.is_counted());
    let theirs = stored(dirty, field)?.map_or_else(|| noted(dirty, &open.subject, &open.remote), Ok)?;
    let value = match keep {
        Keep::Local => noted(dirty, &open.subject, &open.local)?,
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
fn difference(to: &Value, from: &Value) -> Option<Decimal> {
    let (Value::Credit(to_all), Value::Credit(from_all)) = (to, from) else { return None };
    let is_one = to_all.get(1..).unwrap_or_default() == from_all.get(1..).unwrap_or_default();
    first_credit(to)
        .checked_sub(first_credit(from))
        .filter(|_| is_one && !to_all.is_empty() && !from_all.is_empty())
}

fn resolve_entry(dirty: &Dirty, shown: &Shown, field: FieldId, name: &str, keep: &Keep) -> Plan {
    refuse_in_flight(dirty, dirty.ops_of(field))?;
    let open = &shown.open;
    let (covered, others) = covered_and_later(dirty, shown, field);
    let is_edited_since = others.iter().any(|op| op.touches(name));
    let their_entry = match stored(dirty, field)? {
        Some(theirs) => entries(&theirs).and_then(|mut entries| entries.remove(name)),
        // What the store did not tell last is what it was seen to be, and not gone.
        None => (open.remote != "null").then(|| FormValue::from_json(&open.remote)),
    };
    let mut ours = our_entries(dirty, field)?;
    let value = match keep {
        Keep::Local => ours.get(name).cloned(),
        Keep::Remote => their_entry.clone(),
        Keep::Value(text) => Some(typed_entry(dirty, open, text)?),
    };
    let mut plan = closed(dirty, open, keep);
    let outcome = if *keep == Keep::Remote { Outcome::Remote } else { Outcome::Superseded };
    for op in &covered {
        let becomes = outcome_of_entry(dirty, op, name, outcome)?;
        plan.settle.extend(becomes.map(|outcome| Settlement::new(op.seq, outcome)));
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
