//! The statements on a row of any resource, made from its table of fields. Those of the engine bear its mark.

use std::fmt::Write as _;
use std::sync::LazyLock;

use rusqlite::{Connection, ToSql, params_from_iter};

use super::ahead;
use crate::resource::{CustomerId, FieldId, Resource, ResourceId, RowId};

/// What is asked of a resource's table, and written there.
#[derive(Debug)]
pub(super) struct Statements {
    /// `id, email, first_name, …`: what names a row, and every column in the table's order.
    pub(super) columns: String,
    /// Reads a row by its key.
    pub(super) select: String,
    /// Reads what the store last told of a row: the text, what was otherwise a moment ago, and what is noted beside it.
    pub(super) known: String,
    /// Reads the text alone.
    pub(super) snapshot: String,
    /// Reads all of that at once, and whether anything that was sent is on record. Behind the key: whose rows, and what the note is called.
    pub(super) base: String,
    /// Inserts what the store tells: the names, the text, the date.
    pub(super) insert_snapshot: String,
    /// Sets it: the key, the text, the date, what was otherwise a moment ago.
    pub(super) update_snapshot: String,
    /// Inserts a row, one parameter a column in that order.
    pub(super) insert: String,
    /// Sets one column, as an edit; by the column's place.
    edits: Vec<String>,
    /// Reads one column; by its place.
    cells: Vec<String>,
}

/// Those of a resource.
pub(super) fn of(resource: ResourceId) -> &'static Statements {
    static ALL: LazyLock<Vec<Statements>> =
        LazyLock::new(|| ResourceId::all().map(|resource| Statements::new(resource.spec())).collect());
    &ALL[resource.index()]
}

impl Statements {
    fn new(resource: &Resource) -> Statements {
        let (table, is_it) = (resource.name, is_it(resource));
        let of_fields = resource.columns().map(|field| field.name);
        let all: Vec<&str> = resource.names().chain(of_fields).collect();
        let (columns, values) = (all.join(", "), places(all.len()));
        let value = resource.key.len() + 1;
        let snapshot = resource.snapshot;
        let (names, own) = (resource.names().collect::<Vec<_>>().join(", "), resource.names().count());
        let [whose, of_resource, of_row, note] = [value, value + 1, value + 2, value + 3];
        let each =
            |sql: &dyn Fn(&str) -> String| resource.fields.iter().map(|field| sql(field.name)).collect();
        Statements {
            select: format!("SELECT {columns} FROM {table} WHERE {is_it}"),
            known: format!(
                "SELECT body, lately, (SELECT value FROM state WHERE key = {}) FROM {snapshot} WHERE {is_it}",
                ahead::key_of(resource)
            ),
            snapshot: format!("SELECT body FROM {snapshot} WHERE {is_it}"),
            base: format!(
                "SELECT (SELECT body FROM {snapshot} WHERE {is_it}),
                        EXISTS (SELECT 1 FROM tillsync_attempt
                                WHERE customer_id = ?{whose} AND of_resource IS ?{of_resource} AND of_row IS ?{of_row}),
                        (SELECT lately FROM {snapshot} WHERE {is_it}),
                        (SELECT value FROM state WHERE key = ?{note})"
            ),
            insert_snapshot: format!(
                "INSERT INTO {snapshot} ({names}, body, date_modified, engine_mark) VALUES ({}, 1)",
                places(own + 2)
            ),
            update_snapshot: format!(
                "UPDATE {snapshot}
                 SET body = ?{value}, date_modified = ?{}, lately = ?{}, engine_mark = NOT engine_mark
                 WHERE {is_it}",
                value + 1,
                value + 2
            ),
            insert: format!("INSERT INTO {table} ({columns}, engine_mark) VALUES ({values}, 1)"),
            edits: each(&|field| format!("UPDATE {table} SET {field} = ?{value} WHERE {is_it}")),
            cells: each(&|field| format!("SELECT {field} FROM {table} WHERE {is_it}")),
            columns,
        }
    }
}

/// `id = ?1`: the key, whose parameters come first in each statement.
fn is_it(resource: &Resource) -> String {
    let columns = resource.key.iter().zip(1..).map(|(column, place)| format!("{column} = ?{place}"));
    columns.collect::<Vec<_>>().join(" AND ")
}

fn places(count: usize) -> String {
    (1..=count).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
}

/// Sets one column of a row, as an edit.
pub(super) fn edit(field: FieldId) -> &'static str {
    &of(field.resource()).edits[field.index()]
}

/// Reads one column of a row.
pub(super) fn cell_of(field: FieldId) -> &'static str {
    &of(field.resource()).cells[field.index()]
}

/// Sets columns at once, with the engine's mark: a trigger of an app finds all of them set.
pub(super) fn overwrite<V: ToSql>(
    connection: &Connection,
    row: RowId,
    columns: &[(FieldId, V)],
) -> rusqlite::Result<usize> {
    if columns.is_empty() {
        return Ok(1);
    }
    let resource = row.resource.spec();
    let mut sql = format!("UPDATE {} SET ", resource.name);
    for ((field, _), place) in columns.iter().zip(resource.key.len() + 1..) {
        _ = write!(sql, "{field} = ?{place}, ");
    }
    _ = write!(sql, "engine_mark = NOT engine_mark WHERE {}", is_it(resource));
    let key: Vec<i64> = row.key().collect();
    let key = key.iter().map(|part| part as &dyn ToSql);
    let values = columns.iter().map(|(_, value)| value as &dyn ToSql);
    connection.prepare_cached(&sql)?.execute(params_from_iter(key.chain(values)))
}

/// Whether a row is in the file; of the snapshots, or of the working copies.
pub(super) fn is_there(connection: &Connection, table: &str, row: RowId) -> rusqlite::Result<bool> {
    let any = format!("SELECT 1 FROM {table} WHERE {}", is_it(row.resource.spec()));
    connection.prepare_cached(&any)?.exists(params_from_iter(row.key()))
}

/// Removes a row of the working copy.
pub(super) fn remove(connection: &Connection, row: RowId) -> rusqlite::Result<usize> {
    remove_from(connection, row.resource.spec().name, row)
}

/// Removes what the store last told of a row.
pub(super) fn remove_snapshot(connection: &Connection, row: RowId) -> rusqlite::Result<usize> {
    remove_from(connection, row.resource.spec().snapshot, row)
}

/// Removes all that the file has of a resource of one customer.
pub(super) fn remove_all_of(
    connection: &Connection,
    resource: ResourceId,
    customer: CustomerId,
) -> rusqlite::Result<()> {
    let spec = resource.spec();
    let Some(of_customer) = spec.customer else { return Ok(()) };
    for table in [spec.name, spec.snapshot] {
        let mark = format!("UPDATE {table} SET engine_mark = 2 WHERE {of_customer} = ?1");
        connection.prepare_cached(&mark)?.execute([customer.0])?;
        let delete = format!("DELETE FROM {table} WHERE {of_customer} = ?1");
        connection.prepare_cached(&delete)?.execute([customer.0])?;
    }
    Ok(())
}

/// A statement that deletes can bear no mark, so the row does.
fn remove_from(connection: &Connection, table: &str, row: RowId) -> rusqlite::Result<usize> {
    let is_it = is_it(row.resource.spec());
    let mark = format!("UPDATE {table} SET engine_mark = 2 WHERE {is_it}");
    connection.prepare_cached(&mark)?.execute(params_from_iter(row.key()))?;
    let delete = format!("DELETE FROM {table} WHERE {is_it}");
    connection.prepare_cached(&delete)?.execute(params_from_iter(row.key()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_its_own_key_and_a_value_has_its_customers_beside_it() {
        let customer = Statements::new(ResourceId::CUSTOMER.spec());
        assert!(customer.select.starts_with("SELECT id, email, first_name, "), "{}", customer.select);
        assert!(customer.select.ends_with(" FROM customer WHERE id = ?1"), "{}", customer.select);
        assert_eq!(RowId::from(CustomerId(42)).key().collect::<Vec<_>>(), [42]);
        static VALUE: Resource = Resource {
            name: "attribute_value",
            key: &["customer_id", "attribute_id"],
            customer: Some("customer_id"),
            fields: &[],
            ..*ResourceId::CUSTOMER.spec()
        };
        let value = Statements::new(&VALUE);
        assert_eq!(
            value.select,
            "SELECT customer_id, attribute_id FROM attribute_value WHERE customer_id = ?1 AND attribute_id = ?2"
        );
        assert_eq!(
            value.insert,
            "INSERT INTO attribute_value (customer_id, attribute_id, engine_mark) VALUES (?1, ?2, 1)"
        );
    }

    #[test]
    fn a_row_of_a_customer_bears_its_own_name_and_its_customers() {
        static ADDRESS: Resource = Resource {
            name: "address",
            customer: Some("customer_id"),
            fields: &[],
            ..*ResourceId::CUSTOMER.spec()
        };
        let address = Statements::new(&ADDRESS);
        assert_eq!(address.select, "SELECT id, customer_id FROM address WHERE id = ?1");
    }
}
