//! What stands in the file and is of no edit: values of a customer that was in the table twice, or is gone from the store and had some that
//! no edit can be; and rows that the store knows nothing of. All come about where a program builds the table `customer` anew, or writes it
//! without our triggers.
//!
//! Neither is sent, and neither is lost: they are told until somebody discards that customer's.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::apply::remove_row;
use super::mend::Told;
use super::{Failed, Store, dirty, row, state, statements};
use crate::error::Result;
use crate::resource::{CustomerId, FieldId, ResourceId, Row};

/// The keys of `state` under which they stand: each row's values in a key of their own, behind the customer; so that however many
/// there are, one more costs no more.
const ASIDE: &str = "values_set_aside:";
/// What is behind all of those.
const BEHIND: &str = "values_set_aside;";
const STRANGERS: &str = "customers_unknown";

/// Values of a customer that are no edit: a second row had them, and the one that was kept has not; or the customer is gone from the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The customer; 0: the row named none.
    pub customer_id: CustomerId,
    /// The values as JSON text, by attribute.
    pub values: BTreeMap<String, String>,
}

impl Store {
    /// Values that were found beside those of a customer: in a second row of it, or, when the store had it no more, in its own, where no
    /// edit had put them and none could. They are not sent. Edit them in again where they are wanted; then [`Store::discard`] all of that customer.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn set_aside(&self) -> Result<Vec<SetAside>> {
        self.engine_read(|transaction| Ok(noted(transaction, ASIDE, BEHIND)?))
    }

    /// Customers of the table that came there by no pull, and that the store does not know. Create them in the store and pull;
    /// then [`Store::discard`] all of each.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn strangers(&self) -> Result<Vec<CustomerId>> {
        let Some(json) = self.state(STRANGERS)? else { return Ok(Vec::new()) };
        let noted: Vec<CustomerId> = serde_json::from_str(&json).unwrap_or_default();
        self.engine_read(|transaction| {
            let mut still = Vec::new();
            for id in noted {
                if is_stranger(transaction, id)? {
                    still.push(id);
                }
            }
            Ok(still)
        })
    }
}

/// Notes who is in the table and was never pulled, nor waits for a person because the store has lost it.
pub(super) fn note_strangers(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT id
         FROM customer
         WHERE id NOT IN (SELECT id FROM snapshot)
           AND (id > 0 OR id NOT IN (SELECT customer_id FROM journal WHERE settled_at IS NULL AND op = 'create')) AND id NOT IN (SELECT customer_id FROM conflict WHERE resolution IS NULL)
         ORDER BY id",
    )?;
    let ids = statement.query_map([], |row| Ok(CustomerId(row.get(0)?)))?;
    let ids: BTreeSet<CustomerId> = ids.collect::<rusqlite::Result<_>>()?;
    let json = (!ids.is_empty()).then(|| serde_json::to_string(&ids).unwrap_or_default());
    state::write(connection, STRANGERS, json.as_deref())
}

fn is_stranger(connection: &Connection, id: CustomerId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM customer WHERE id = ?1) AND NOT EXISTS (SELECT 1 FROM snapshot WHERE id = ?1)
                    AND NOT EXISTS (SELECT 1 FROM conflict WHERE customer_id = ?1 AND resolution IS NULL)
                    AND NOT EXISTS (SELECT 1 FROM journal WHERE customer_id = ?1 AND settled_at IS NULL)",
        )?
        .query_row([id.0], |row| row.get(0))
}

/// Notes what each row of `table` that shares its id with a later one, or has none, has and that one has not.
pub(super) fn note_doubles(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let columns = there(connection, table)?;
    // It goes with the table.
    connection.execute_batch(&format!("CREATE INDEX tillsync_old_id ON {table} (id)"))?;
    let mut statement = connection.prepare(&format!(
        "SELECT {columns} FROM {table} WHERE id IS NULL OR rowid NOT IN (SELECT max(rowid) FROM {table} GROUP BY id) ORDER BY rowid"
    ))?;
    let mut kept =
        connection.prepare(&format!("SELECT {columns} FROM {table} WHERE id = ?1 ORDER BY rowid DESC"))?;
    let mut doubles = statement.query([])?;
    while let Some(double) = doubles.next()? {
        let id = double.get::<_, Option<i64>>(0)?;
        let double = values(double)?;
        let kept = id.map(|id| kept.query_row([id], values).optional()).transpose()?.flatten();
        let others = FieldId::columns()
            .filter(|field| {
                kept.as_ref()
                    .map_or(!double.get(*field).is_null(), |kept| kept.get(*field) != double.get(*field))
            })
            .map(|field| (field.name().to_owned(), double.get(field).to_json()))
            .collect();
        note(connection, &SetAside { customer_id: CustomerId(id.unwrap_or(0)), values: others })?;
    }
    Ok(())
}

/// A row whose id may be none.
fn values(sql: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    match sql.get::<_, Option<i64>>(0)? {
        Some(_) => row::read(ResourceId::CUSTOMER, sql),
        None => row::read_of(CustomerId(0).into(), sql),
    }
}

/// Our columns, and nothing in the place of one that is not there.
fn there(connection: &Connection, table: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare("SELECT lower(name) FROM pragma_table_info(?1)")?;
    let there =
        statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<BTreeSet<String>>>()?;
    let column = |name: &str| if there.contains(name) { name.to_owned() } else { format!("NULL AS {name}") };
    Ok(statements::of(ResourceId::CUSTOMER).columns.split(", ").map(column).collect::<Vec<_>>().join(", "))
}

/// A customer comes from the store, of whom a row is here that never did: the store's values take their place, and the others are
/// noted. Returns whether there was one.
pub(super) fn make_way(connection: &Connection, theirs: &Row) -> Result<bool, Failed> {
    let Some(ours) = dirty::load_row(connection, theirs.row_id())? else { return Ok(false) };
    let others = theirs
        .resource()
        .columns()
        .filter(|field| !ours.get(*field).is_null() && ours.get(*field) != theirs.get(*field));
    let values = others.map(|field| (field.name().to_owned(), ours.get(field).to_json())).collect();
    note(connection, &SetAside { customer_id: theirs.id(), values })?;
    remove_row(connection, theirs.row_id(), Utc::now())?;
    Ok(true)
}

/// The customer is gone from the store: what it holds here that no edit could be stands in no conflict either.
pub(super) fn note_kept(connection: &Connection, told: &Told) -> rusqlite::Result<()> {
    let value = |field: &FieldId| (field.name().to_owned(), told.dirty.row.get(*field).to_json());
    note(
        connection,
        &SetAside { customer_id: told.dirty.id.customer, values: told.kept.iter().map(value).collect() },
    )
}

/// The same once.
fn note(connection: &Connection, one: &SetAside) -> rusqlite::Result<()> {
    if one.values.is_empty() {
        return Ok(());
    }
    let json = serde_json::to_string(one).unwrap_or_default();
    let noted = connection
        .prepare_cached("INSERT OR IGNORE INTO state (key, value) VALUES (?1, '')")?
        .execute([format!("{}{json}", of(one.customer_id))])?;
    if noted > 0 {
        tracing::warn!(
            customer = one.customer_id.0,
            "values of the customer that are of no edit are set aside"
        );
    }
    Ok(())
}

/// How the keys of a customer begin.
fn of(id: CustomerId) -> String {
    format!("{ASIDE}{id}:")
}

/// What is behind all of those.
fn behind(id: CustomerId) -> String {
    format!("{ASIDE}{id};")
}

fn noted(connection: &Connection, from: &str, to: &str) -> rusqlite::Result<Vec<SetAside>> {
    let mut keys =
        connection.prepare_cached("SELECT key FROM state WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
    let keys = keys.query_map([from, to], |row| row.get::<_, String>(0))?;
    let keys: Vec<String> = keys.collect::<rusqlite::Result<_>>()?;
    let one = |key: &String| serde_json::from_str(key.strip_prefix(ASIDE)?.split_once(':')?.1).ok();
    Ok(keys.iter().filter_map(one).collect())
}

/// Whether anything is noted of a customer.
pub(super) fn is_any_of(connection: &Connection, id: CustomerId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM state WHERE key >= ?1 AND key < ?2")?
        .exists([of(id), behind(id)])
}

/// Gives up what is noted of a customer, and its row if the store never had it. Returns how much that was.
pub(super) fn discard(connection: &Connection, id: CustomerId) -> Result<usize, Failed> {
    let mut given_up = connection
        .prepare_cached("DELETE FROM state WHERE key >= ?1 AND key < ?2")?
        .execute([of(id), behind(id)])?;
    if is_stranger(connection, id)? {
        given_up += remove_row(connection, id, Utc::now())?;
    }
    Ok(given_up)
}
