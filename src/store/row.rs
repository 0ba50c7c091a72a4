//! Columns of a working copy and values, both ways.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rusqlite::types::{ToSqlOutput, Value as Cell, ValueRef};
use rusqlite::{Connection, Error as SqlError, Row as SqlRow, ToSql, ffi, params_from_iter};
use serde::de::IgnoredAny;

use super::dirty::malformed;
use super::statements;
use crate::memory;
use crate::resource::{
    Attributes, CustomerId, FieldId, Kind, ResourceId, Row, RowId, Value, is_plain_money, text_of,
};

/// The attributes of that kind, whatever the resource, as SQL lists them: `'phone', 'notes'`.
pub(super) fn names(is_so: impl Fn(FieldId) -> bool) -> String {
    let fields = ResourceId::all().flat_map(ResourceId::fields).filter(|field| is_so(*field));
    let names: BTreeSet<&str> = fields.map(FieldId::name).collect();
    names.into_iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// Reads a row of all columns of a resource, which its names come before.
pub(super) fn read(resource: ResourceId, sql: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let spec = resource.spec();
    let place = |name: &str| spec.names().position(|column| column == name).unwrap_or(0);
    let row = sql.get(place(spec.row()))?;
    let customer = spec.customer.map_or(Ok(0), |customer| sql.get(place(customer)))?;
    read_of(RowId { resource, customer: CustomerId(customer), row }, sql)
}

/// The same of a row that may not tell its id.
pub(super) fn read_of(id: RowId, sql: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let mut row = Row::empty(id);
    refuse_too_large(sql)?;
    let first = id.resource.spec().names().count();
    for (place, field) in id.resource.columns().enumerate() {
        row.set(field, value(field.kind(), sql.get_ref(place + first)?));
    }
    Ok(row)
}

/// Texts that there is no memory to work with are not read: SQLite's own word for it.
pub(super) fn refuse_too_large(sql: &SqlRow<'_>) -> rusqlite::Result<()> {
    let columns = sql.as_ref().column_count();
    let bytes = |place| match sql.get_ref(place) {
        Ok(ValueRef::Text(text)) => text.len(),
        _ => 0,
    };
    match memory::is_there_for((0..columns).map(bytes).sum()) {
        true => Ok(()),
        false => Err(SqlError::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOMEM), None)),
    }
}

fn value(kind: Kind, cell: ValueRef<'_>) -> Value {
    match (kind, cell) {
        (_, ValueRef::Null) => Value::Null,
        (kind, ValueRef::Text(text)) if kind.is_text() => {
            Value::Text(String::from_utf8_lossy(text).into_owned())
        }
        (_, ValueRef::Text(text)) => Value::from_json(kind, &String::from_utf8_lossy(text)),
        (_, ValueRef::Integer(number)) => Value::of_whole(kind, number),
        (_, ValueRef::Real(number)) => Value::of_real(kind, number),
        (_, ValueRef::Blob(_)) => Value::Null,
    }
}

/// Text as far as it is any: what stood somewhere before an edit need not have been.
pub(super) fn told(row: &SqlRow<'_>, place: usize) -> rusqlite::Result<String> {
    match row.get_ref(place)? {
        ValueRef::Text(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(_) => Ok("null".to_owned()),
        _ => row.get(place),
    }
}

/// Whether a cell is what its column may hold, as the triggers let nothing else in: what is not, has no value that could be sent.
fn is_sound(kind: Kind, cell: ValueRef<'_>) -> bool {
    let json =
        |text: &[u8]| str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok();
    match (kind, cell) {
        (_, ValueRef::Null)
        | (Kind::Boolean, ValueRef::Integer(0 | 1))
        | (Kind::Integer, ValueRef::Integer(_)) => true,
        (kind, ValueRef::Text(text)) if kind.is_text() => str::from_utf8(text).is_ok(),
        (Kind::Boolean | Kind::Integer, ValueRef::Text(_)) => !matches!(value(kind, cell), Value::Other(_)),
        (Kind::Credit | Kind::Channels | Kind::Forms | Kind::Json, ValueRef::Text(text)) => json(text),
        _ => false,
    }
}

/// Those of these attributes that hold what is no value of them, of a row of all columns of a resource.
pub(super) fn unsound_among(
    resource: ResourceId,
    sql: &SqlRow<'_>,
    which: impl Fn(FieldId) -> bool,
) -> rusqlite::Result<BTreeSet<FieldId>> {
    let (mut unsound, first) = (BTreeSet::new(), resource.spec().names().count());
    for (place, field) in resource.columns().enumerate() {
        if which(field) && !is_sound(field.kind(), sql.get_ref(place + first)?) {
            unsound.insert(field);
        }
    }
    Ok(unsound)
}

/// What waits is sent as the working copy has it: where a program has put there what is no value, nothing goes in its place. Of a row
/// of all columns of a resource.
pub(super) fn refuse_unsound(
    resource: ResourceId,
    sql: &SqlRow<'_>,
    waits: impl Fn(FieldId) -> bool,
) -> rusqlite::Result<()> {
    match unsound_among(resource, sql, waits)?.first() {
        Some(field) => Err(no_value(*field)),
        None => Ok(()),
    }
}

/// What such an attribute is refused with.
pub(super) fn no_value(field: FieldId) -> SqlError {
    let place = field.resource().columns().position(|column| column == field);
    let first = field.resource().spec().names().count();
    malformed(place.map_or(0, |place| place + first), NoValue(field))
}

/// A column of the working copy that holds what is no value of it.
#[derive(Debug, thiserror::Error)]
#[error("{0} holds what is no value of it")]
struct NoValue(FieldId);

/// A cell, byte for byte.
pub(super) enum Standing {
    Cell(Cell),
    Text(Vec<u8>),
}

impl Standing {
    pub(super) fn of(connection: &Connection, row: RowId, field: FieldId) -> rusqlite::Result<Standing> {
        connection.prepare_cached(statements::cell_of(field))?.query_row(params_from_iter(row.key()), |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Text(text) => Standing::Text(text.to_owned()),
                ValueRef::Blob(bytes) => Standing::Cell(Cell::Blob(bytes.to_owned())),
                ValueRef::Null => Standing::Cell(Cell::Null),
                ValueRef::Integer(number) => Standing::Cell(Cell::Integer(number)),
                ValueRef::Real(number) => Standing::Cell(Cell::Real(number)),
            })
        })
    }
}

impl ToSql for Standing {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Standing::Cell(cell) => cell.into(),
            Standing::Text(text) => ValueRef::Text(text),
        }))
    }
}

/// A value as its column holds it.
pub(super) fn cell(value: &Value) -> ToSqlOutput<'_> {
    match value {
        Value::Null => ToSqlOutput::Owned(Cell::Null),
        Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Value::Integer(number) => ToSqlOutput::Owned(Cell::Integer(*number)),
        Value::Boolean(yes) => ToSqlOutput::Owned(Cell::Integer((*yes).into())),
        other => ToSqlOutput::Owned(Cell::Text(other.to_json())),
    }
}

/// An attribute of a record as its column holds it, without a detour over [`Value`]: a first pull has many.
pub(super) enum RawCell<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
}

impl<'a> RawCell<'a> {
    /// When the store last changed it.
    pub(super) fn changed_at(attributes: &Attributes<'a>) -> RawCell<'a> {
        let field = attributes.resource().changed_at();
        field.map_or(RawCell::Null, |field| RawCell::of(field, attributes))
    }

    pub(super) fn of(field: FieldId, attributes: &Attributes<'a>) -> RawCell<'a> {
        let Some(json) = attributes.text(field).filter(|json| *json != "null") else { return RawCell::Null };
        let parsed = match field.kind() {
            kind if kind.is_text() => text(json).map(RawCell::Text),
            Kind::Integer => json.parse().ok().map(RawCell::Integer),
            Kind::Boolean => json.parse().ok().map(|yes: bool| RawCell::Integer(yes.into())),
            // The triggers read amounts with at most four decimal places.
            Kind::Credit if !is_plain_money(json) => {
                Some(RawCell::Text(Cow::Owned(Value::from_json(Kind::Credit, json).to_json())))
            }
            _ => None,
        };
        parsed.unwrap_or(RawCell::Text(Cow::Borrowed(json)))
    }
}

/// The text of a JSON string, borrowed when nothing in it is escaped.
fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { text_of(json).map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

impl ToSql for RawCell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            RawCell::Null => ValueRef::Null,
            RawCell::Integer(number) => ValueRef::Integer(*number),
            RawCell::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
