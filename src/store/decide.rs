//! What a person decides: fields that both sides changed, and edits that the store refused.
//!
//! A decision for the till's value is journaled as an edit of its own, by whoever decided; a decision for the store's
//! value settles the edits as `remote`. Each is one transaction, so a sync that runs meanwhile sees all of it or none.

use std::collections::BTreeSet;

use chrono::Utc;
use rusqlite::{OptionalExtension, Row as SqlRow, Transaction, named_params, params};
use serde::Serialize;

use super::apply::{apply, settle};
use super::read::verbatim;
use super::{Failed, Store, dirty, edit, pass_triggers, row, state};
use crate::clock::stamp;
use crate::customer::{CustomerId, Edit, EditSeq, FieldId, FormValue, Record, Value, parse_argument};
use crate::error::{Error, Failure, Result};
use crate::flow::{ConflictPlan, CustomerPlan, DELETED, Dirty, Op, Outcome, Settlement, SnapshotPlan};

/// When refused edits were last freed to be sent again, a key of `state`.
pub(crate) const FREED_AT: &str = "freed_at";

/// A field that both sides changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute, `form_fields.NAME` for one form field, `*` when the customer was deleted remotely.
    pub field: String,
    /// JSON: what both started from.
    #[serde(serialize_with = "verbatim")]
    pub base: String,
    /// JSON: the till's value.
    #[serde(serialize_with = "verbatim")]
    pub local: String,
    /// JSON: the store's value.
    #[serde(serialize_with = "verbatim")]
    pub remote: String,
    /// When it was found, UTC, by the till's clock.
    pub detected_at: String,
    /// Who made the till's edit.
    pub author: Option<String>,
}

/// An edit that the store refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute.
    pub field: String,
    /// JSON: what was to be set, or the signed amount; `"***"` for a password.
    #[serde(serialize_with = "verbatim")]
    pub value: String,
    /// The server's words.
    pub reason: String,
}

/// Which side of a conflict is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The till's value is sent.
    Local,
    /// The store's value is taken.
    Remote,
    /// This value is sent; read by the attribute's type, as in [`EditBuilder::set`](super::EditBuilder::set).
    Value(String),
}

/// A conflict as the file has it, open or decided.
struct Found {
    id: i64,
    local: String,
    remote: String,
    is_open: bool,
}

impl Store {
    /// The fields that wait for a decision, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn conflicts(&self) -> Result<Vec<Conflict>> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT customer_id, field, base, local, remote, detected_at, author
                 FROM conflict INDEXED BY conflict_open
                 WHERE resolution IS NULL
                 ORDER BY id",
            )?;
            statement.query_map([], conflict)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|e| self.error(e))
    }

    /// The edits that the store refused, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rejected(&self) -> Result<Vec<Rejected>> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT customer_id, field, value, coalesce(reason, ''), max(seq)
                 FROM journal
                 WHERE settled_at IS NULL AND outcome = 'rejected'
                 GROUP BY customer_id, field
                 ORDER BY max(seq)",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(Rejected {
                    customer_id: CustomerId(row.get(0)?),
                    field: row.get(1)?,
                    value: row.get(2)?,
                    reason: row.get(3)?,
                })
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|e| self.error(e))
    }

    /// Decides a conflict, or decides anew what a policy had decided. Returns how many fields that were: 1.
    ///
    /// # Errors
    /// When there is no such conflict, the customer was deleted remotely, or the value is refused.
    pub fn resolve(
        &mut self,
        id: impl Into<CustomerId>,
        field: &str,
        keep: &Keep,
        author: Option<&str>,
    ) -> Result<usize> {
        let id = id.into();
        self.engine_write(|transaction| {
            let found = find(transaction, id, field)?.ok_or_else(|| {
                Error::usage(format!("customer {id}: {field}: there is no conflict to resolve"))
            })?;
            if field == DELETED {
                let text = format!(
                    "customer {id}: was deleted in the store, so no side can be kept: discard its edits"
                );
                return Err(Error::usage(text).into());
            }
            let dirty = dirty::load(transaction, id)?.ok_or(Error::from(Failure::UnknownCustomer(id)))?;
            refuse_in_flight(&dirty, attribute(field))?;
            decide(transaction, &dirty, field, &found, keep, author)?;
            Ok(1)
        })
    }

    /// Sends rejected edits again with the next sync: of one customer, or of all. Returns how many fields those were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn retry(&mut self, id: Option<CustomerId>) -> Result<usize> {
        self.engine_write(|transaction| {
            let fields = transaction
                .prepare_cached(
                    "SELECT count(DISTINCT customer_id || ' ' || field)
                     FROM journal
                     WHERE settled_at IS NULL AND outcome = 'rejected' AND (:id IS NULL OR customer_id = :id)",
                )?
                .query_row(named_params! { ":id": id.map(|id| id.0) }, |row| row.get(0))?;
            transaction
                .prepare_cached(
                    "UPDATE journal
                     SET outcome = NULL, reason = NULL, reject_group = NULL
                     WHERE settled_at IS NULL AND outcome = 'rejected' AND (:id IS NULL OR customer_id = :id)",
                )?
                .execute(named_params! { ":id": id.map(|id| id.0) })?;
            if fields > 0 {
                // A background worker hears of new edits by their place in the journal; these keep theirs.
                state::write(transaction, FREED_AT, Some(&stamp(Utc::now())))?;
            }
            Ok(fields)
        })
    }

    /// Gives up the edits of a customer, or of one of its attributes: the working copy goes back to what the store has.
    /// Returns how many fields those were.
    ///
    /// # Errors
    /// When the customer is not in the file, or an edit is on its way: sync first.
    pub fn discard(
        &mut self,
        id: impl Into<CustomerId>,
        field: Option<&str>,
        author: Option<&str>,
    ) -> Result<usize> {
        let id = id.into();
        let only = field.map(|name| known(id, name)).transpose()?;
        self.engine_write(|transaction| {
            let dirty = dirty::load(transaction, id)?.ok_or(Error::from(Failure::UnknownCustomer(id)))?;
            refuse_in_flight(&dirty, only)?;
            let plan = discarded(&dirty, only)?;
            let fields: BTreeSet<FieldId> = ops_of(&dirty, only).map(|op| op.field).collect();
            apply(transaction, &dirty, &plan, Utc::now())?;
            for conflict in &plan.conflicts {
                if let ConflictPlan::Close { id, .. } = conflict {
                    decided_by(transaction, *id, author)?;
                }
            }
            Ok(fields.len())
        })
    }
}

fn conflict(row: &SqlRow<'_>) -> rusqlite::Result<Conflict> {
    Ok(Conflict {
        customer_id: CustomerId(row.get(0)?),
        field: row.get(1)?,
        base: row.get(2)?,
        local: row.get(3)?,
        remote: row.get(4)?,
        detected_at: row.get(5)?,
        author: row.get(6)?,
    })
}

// ---- resolve -----------------------------------------------------------------------------------------------------

fn find(transaction: &Transaction<'_>, id: CustomerId, field: &str) -> rusqlite::Result<Option<Found>> {
    transaction
        .prepare_cached(
            "SELECT id, local, remote, resolution IS NULL
             FROM conflict
             WHERE customer_id = :customer_id AND field = :field
             ORDER BY resolution IS NULL DESC, id DESC
             LIMIT 1",
        )?
        .query_row(named_params! { ":customer_id": id.0, ":field": field }, |row| {
            Ok(Found { id: row.get(0)?, local: row.get(1)?, remote: row.get(2)?, is_open: row.get(3)? })
        })
        .optional()
}

fn decide(
    transaction: &Transaction<'_>,
    dirty: &Dirty,
    field: &str,
    found: &Found,
    keep: &Keep,
    author: Option<&str>,
) -> Result<(), Failed> {
    let attribute = known(dirty.id, field)?;
    let (value, resolution) = match keep {
        Keep::Local if found.is_open => (dirty.row.get(attribute).clone(), "local"),
        Keep::Local => (whole(dirty, field, attribute, &found.local), "local"),
        Keep::Remote => (whole(dirty, field, attribute, &found.remote), "remote"),
        Keep::Value(text) => (given(dirty, field, attribute, text)?, "value"),
    };
    transaction
        .prepare_cached(
            "UPDATE conflict SET resolution = :resolution, resolved_at = :now, resolved_by = :author WHERE id = :id",
        )?
        .execute(named_params! {
            ":id": found.id, ":resolution": resolution, ":now": stamp(Utc::now()), ":author": author,
        })?;
    if *keep == Keep::Remote && found.is_open {
        take_remote(transaction, dirty, attribute, &value)
    } else {
        journal_decision(transaction, dirty, attribute, &value, author)
    }
}

/// The whole attribute with the value of a conflict in it: a form field is one entry among others.
fn whole(dirty: &Dirty, field: &str, attribute: FieldId, json: &str) -> Value {
    match field.strip_prefix("form_fields.") {
        None => Value::from_json(attribute.kind(), json),
        Some(name) => {
            let mut entries = match dirty.row.get(attribute) {
                Value::Forms(entries) => entries.clone(),
                _ => Default::default(),
            };
            match json {
                "null" => _ = entries.remove(name),
                json => _ = entries.insert(name.to_owned(), FormValue::from_json(json)),
            }
            Value::Forms(entries)
        }
    }
}

/// A value that a person typed.
fn given(dirty: &Dirty, field: &str, attribute: FieldId, text: &str) -> Result<Value, Failed> {
    if field.starts_with("form_fields.") {
        let json = serde_json::from_str::<serde_json::Value>(text)
            .ok()
            .filter(|json| json.is_string() || json.is_number() || json.is_array());
        let json = json.map_or_else(|| serde_json::Value::from(text).to_string(), |_| text.to_owned());
        return Ok(whole(dirty, field, attribute, &json));
    }
    match parse_argument(dirty.id, field, text).map_err(Error::from)? {
        Edit::Set(_, value) => Ok(value),
        Edit::Adjust(_) => {
            Err(Error::usage(format!("customer {}: {field}: give the whole value", dirty.id)).into())
        }
    }
}

fn take_remote(
    transaction: &Transaction<'_>,
    dirty: &Dirty,
    field: FieldId,
    value: &Value,
) -> Result<(), Failed> {
    transaction.prepare_cached(row::update(field))?.execute(params![dirty.id.0, row::cell(value)])?;
    let theirs = dirty.base.as_ref().map(Record::attributes).transpose()?.map(|base| base.get(field));
    // Another form field of the customer may still differ: the next diff looks at it.
    let outcome = (theirs.as_ref() == Some(value)).then_some(Outcome::Remote);
    for op in dirty.ops_of(field) {
        settle(transaction, &Settlement::new(op.seq, outcome), Utc::now())?;
    }
    Ok(())
}

/// A decision for a value is an edit: journaled by the triggers, or by hand where the working copy has the value.
fn journal_decision(
    transaction: &Transaction<'_>,
    dirty: &Dirty,
    field: FieldId,
    value: &Value,
    author: Option<&str>,
) -> Result<(), Failed> {
    for op in dirty.ops_of(field) {
        settle(transaction, &Settlement::new(op.seq, Outcome::Superseded), Utc::now())?;
    }
    if dirty.row.get(field) == value {
        let was = dirty
            .base
            .as_ref()
            .map(Record::attributes)
            .transpose()?
            .map_or(Value::Null, |base| base.get(field));
        transaction
            .prepare_cached(
                "INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
                 VALUES (:customer_id, :field, 'set', :value, :was, :now, :author, 'resolve')",
            )?
            .execute(named_params! {
                ":customer_id": dirty.id.0, ":field": field.name(), ":value": value.to_json(), ":was": was.to_json(),
                ":now": stamp(Utc::now()), ":author": author,
            })?;
        return Ok(());
    }
    pass_triggers(transaction, false)?;
    edit::set_context(transaction, author, Some("resolve"))?;
    transaction.prepare_cached(row::update(field))?.execute(params![dirty.id.0, row::cell(value)])?;
    edit::set_context(transaction, None, None)?;
    pass_triggers(transaction, true)?;
    Ok(())
}

fn decided_by(transaction: &Transaction<'_>, conflict: i64, author: Option<&str>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE conflict SET resolved_by = :author WHERE id = :id")?
        .execute(named_params! { ":id": conflict, ":author": author })?;
    Ok(())
}

// ---- discard -----------------------------------------------------------------------------------------------------

fn discarded(dirty: &Dirty, only: Option<FieldId>) -> Result<CustomerPlan, Failed> {
    let mut plan = CustomerPlan::nothing(dirty.id);
    let seqs: BTreeSet<EditSeq> = ops_of(dirty, only).map(|op| op.seq).collect();
    plan.settle = seqs.iter().map(|seq| Settlement::new(*seq, Outcome::Discarded)).collect();
    let is_all = seqs.len() == dirty.ops.len();
    let is_meant =
        |field: &str| only.is_none_or(|only| attribute(field) == Some(only)) || (field == DELETED && is_all);
    let meant = dirty.open.iter().filter(|conflict| is_meant(&conflict.field));
    plan.conflicts = meant.map(|c| ConflictPlan::Close { id: c.id, resolution: "discarded" }).collect();
    if dirty.is_gone() {
        plan.snapshot = SnapshotPlan::Keep;
        plan.remove_row = is_all;
        return Ok(plan);
    }
    let Some(base) = dirty.base.as_ref().map(Record::attributes).transpose()? else { return Ok(plan) };
    for field in ops_of(dirty, only).map(|op| op.field).collect::<BTreeSet<_>>() {
        if field != FieldId::NEW_PASSWORD {
            plan.columns.push((field, base.get(field)));
        }
    }
    Ok(plan)
}

fn ops_of(dirty: &Dirty, only: Option<FieldId>) -> impl Iterator<Item = &Op> {
    dirty.ops.iter().filter(move |op| only.is_none_or(|only| only == op.field))
}

fn refuse_in_flight(dirty: &Dirty, only: Option<FieldId>) -> Result<(), Failed> {
    match ops_of(dirty, only).find(|op| op.outcome == Some(Outcome::InFlight)) {
        None => Ok(()),
        Some(op) => Err(Error::usage(format!(
            "customer {}: {}: its edit is on its way to the store: sync first, then decide",
            dirty.id, op.field
        ))
        .into()),
    }
}

/// The attribute that a conflict's field belongs to.
fn attribute(field: &str) -> Option<FieldId> {
    FieldId::named(field.split_once('.').map_or(field, |(attribute, _)| attribute))
}

fn known(id: CustomerId, field: &str) -> Result<FieldId> {
    attribute(field)
        .ok_or_else(|| Error::usage(format!("customer {id}: {field}: is no attribute of a customer")))
}
