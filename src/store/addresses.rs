//! Where customers live, for an app: read by customer, and edited like anything else.

use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};

use super::edit::newest_edit;
use super::{Receipt, Store, follow, row, schema, statements};
use crate::error::{Failure, Result};
use crate::resource::{Address, CustomerId, FieldId, ResourceId, Row, RowId};

/// What they are rows of.
fn addresses() -> ResourceId {
    ResourceId::named("address").unwrap_or_default()
}

impl Store {
    /// The addresses of a customer, by their numbers, in a file that keeps them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn addresses(&self, id: impl Into<CustomerId>) -> Result<Vec<Address>> {
        let (id, resource) = (id.into(), addresses());
        let columns = &statements::of(resource).columns;
        let (table, whose, row) = (resource.spec().name, resource.spec().whose(), resource.spec().row());
        let theirs = format!("SELECT {columns} FROM {table} WHERE {whose} = ?1 ORDER BY {row}");
        self.read_at_once(|connection| {
            let id = if id.0 < 0 { follow::today(connection, id)? } else { id };
            let mut theirs = connection.prepare_cached(&theirs)?;
            let theirs = theirs.query_map([id.0], |found| Ok(Address::of(&row::read(resource, found)?)))?;
            Ok(theirs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Edits an address, by its number: attributes by the API's names, as text, form fields as JSON. In one durable transaction; it goes up
    /// with the next sync.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let mut store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// let refused = store.edit_address(7, &[("city", "Bilbao")], Some("ana"), None).unwrap_err();
    /// assert!(refused.to_string().contains("this file does not keep addresses"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no such address, or something of it is refused; nothing is journaled then.
    pub fn edit_address(
        &mut self,
        id: i64,
        attributes: &[(&str, &str)],
        author: Option<&str>,
        label: Option<&str>,
    ) -> Result<Receipt> {
        let (resource, path) = (addresses(), self.path.clone());
        if !self.keeps()?.contains(&resource) {
            return Err(Failure::Usage(not_kept(resource)).into());
        }
        let attributes = attributes.iter().map(|(name, value)| Ok((editable(resource, id, name)?, *value)));
        let attributes = attributes.collect::<Result<Vec<_>>>()?;
        let bytes = attributes.iter().map(|(_, text)| text.len()).sum();
        self.journal_together(bytes, author, label, |transaction, mut newest, bound| {
            let Some(before) = found(transaction, resource, id)? else {
                let words = format!("address {id}: there is no such address in this file");
                return Err(crate::error::Error::from(Failure::Usage(words)).into());
            };
            for (field, text) in &attributes {
                bound.anew();
                let is_known = set(transaction, &before, *field, text, &mut newest)?;
                if !is_known && !schema::is_current(transaction)? {
                    let (customer_id, field) = (before.id(), format!("address {id}: {field}"));
                    return Err(Failure::NotJournaled { customer_id, field, path }.into());
                }
            }
            Ok(newest)
        })
    }
}

fn not_kept(resource: ResourceId) -> String {
    let (plural, with) = (resource.spec().plural, resource.spec().with.unwrap_or_default());
    format!("this file does not keep {plural}: tillsync pull --with {with}")
}

/// The attribute of that name, if an edit may set it.
fn editable(resource: ResourceId, id: i64, name: &str) -> Result<FieldId> {
    let refuse = |why: &str| Err(Failure::Usage(format!("address {id}: {name}: {why}")).into());
    match resource.field(name) {
        Some(field) => field.spec().access.refusal().map_or(Ok(field), refuse),
        None if resource.spec().names().any(|column| column == name) => {
            refuse("is read-only, it names the address")
        }
        None => {
            let names: Vec<&str> = resource.editable_columns().map(FieldId::name).collect();
            refuse(&format!("is no attribute of an address; editable are {}", names.join(", ")))
        }
    }
}

fn found(connection: &Connection, resource: ResourceId, id: i64) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached(&statements::of(resource).select)?
        .query_row([id], |found| row::read(resource, found))
        .optional()
}

/// Whether it was journaled, or was there already and is no edit. `newest` is the newest edit before it, and then the newest of all.
fn set(
    connection: &Connection,
    before: &Row,
    field: FieldId,
    text: &str,
    newest: &mut i64,
) -> rusqlite::Result<bool> {
    let row: RowId = before.row_id();
    let key: Vec<i64> = row.key().collect();
    let parameters = key.iter().map(|part| part as &dyn ToSql).chain([&text as &dyn ToSql]);
    connection.prepare_cached(statements::edit(field))?.execute(params_from_iter(parameters))?;
    let was = std::mem::replace(newest, newest_edit(connection)?);
    Ok(*newest > was || before.get(field).text() == Some(text))
}
