//! A row that was entered here has the id that the store gave it from now on, and so has all that is of it: ours, and the app's.
//!
//! The app's own tables follow by `REFERENCES customer (id) ON UPDATE CASCADE`. One that would stay behind, or lose whom it means, keeps that
//! one row from following, and nobody else's; it is held up, and tried again by each sync.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Error as SqlError, OptionalExtension, ffi, params};

use super::apply::{is_written, remove_row};
use super::{Failed, Store, dirty, search, statements};
use crate::error::Result;
use crate::resource::{CustomerId, RowId};

/// Our tables with rows that are named by their customer, beside the working copies and the journal.
const OURS: [&str; 4] = ["conflict", "batch_item", "tillsync_attempt", "pending_password"];

/// `old` is `new` from now on. Where that one is in the file already, what refers to the old one refers to it.
pub(super) fn follow(
    transaction: &Connection,
    old: RowId,
    new: RowId,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let references = references(transaction)?;
    refuse_left_behind(transaction, &references, old)?;
    match dirty::load_row(transaction, new)? {
        None => rename(transaction, old, new)?,
        Some(_) => {
            for Reference { table, column, .. } in &references {
                let follow = format!("UPDATE {table} SET {column} = ?2 WHERE {column} = ?1");
                transaction.prepare_cached(&follow)?.execute([old.row, new.row])?;
            }
            move_ours(transaction, old, new)?;
            remove_row(transaction, old, now)?;
        }
    }
    note_alias(transaction, old, new)?;
    Ok(search::note_rows(transaction, [old, new])?)
}

/// A column of the app's that refers to customers.
#[derive(Debug)]
pub(super) struct Reference {
    /// In quotes, as is the column.
    pub(super) table: String,
    pub(super) column: String,
    pub(super) on_update: String,
}

impl Reference {
    /// Whether it follows by itself.
    pub(super) fn cascades(&self) -> bool {
        self.on_update == "CASCADE"
    }
}

/// All of them. A table is asked only where its text names customers.
pub(super) fn references(connection: &Connection) -> rusqlite::Result<Vec<Reference>> {
    let mut statement = connection.prepare_cached(
        "SELECT '\"' || replace(object.name, '\"', '\"\"') || '\"', '\"' || replace(reference.\"from\", '\"', '\"\"') || '\"', reference.on_update
         FROM (SELECT name FROM sqlite_schema
               WHERE type = 'table' AND upper(sql) LIKE '%REFERENCES%CUSTOMER%') AS object,
              pragma_foreign_key_list(object.name) AS reference
         WHERE lower(reference.\"table\") = 'customer' AND lower(coalesce(reference.\"to\", 'id')) IN ('id', 'rowid')
         ORDER BY object.name",
    )?;
    let all = statement.query_map([], |row| {
        Ok(Reference { table: row.get(0)?, column: row.get(1)?, on_update: row.get(2)? })
    })?;
    all.collect()
}

impl Store {
    /// Tables of the app's that refer to customers, and whose rows would not follow when one who was entered here is given an id by the
    /// store: they are to be declared `REFERENCES customer (id) ON UPDATE CASCADE`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn left_behind(&self) -> Result<Vec<String>> {
        self.read_at_once(|connection| {
            let staying = references(connection)?.into_iter().filter(|reference| !reference.cascades());
            let mut tables: Vec<String> =
                staying.map(|reference| reference.table.trim_matches('"').to_owned()).collect();
            tables.dedup();
            Ok(tables)
        })
    }
}

fn refuse_left_behind(connection: &Connection, references: &[Reference], old: RowId) -> Result<(), Failed> {
    for Reference { table, column, .. } in references.iter().filter(|reference| !reference.cascades()) {
        let refers = format!("SELECT 1 FROM {table} WHERE {column} = ?1");
        if connection.prepare_cached(&refers)?.exists([old.row])? {
            let words = format!(
                "a row of {table} refers to it and would stay behind: declare it REFERENCES customer (id) ON UPDATE CASCADE"
            );
            // Not as a foreign key's own words, which say what to do when one goes.
            let code = ffi::Error::new(ffi::SQLITE_CONSTRAINT_TRIGGER);
            return Err(SqlError::SqliteFailure(code, Some(words)).into());
        }
    }
    Ok(())
}

fn rename(transaction: &Connection, old: RowId, new: RowId) -> Result<(), Failed> {
    let spec = old.resource.spec();
    let (table, row) = (spec.name, spec.row());
    let rename = format!("UPDATE {table} SET {row} = ?2, engine_mark = NOT engine_mark WHERE {row} = ?1");
    let renamed = transaction.prepare_cached(&rename)?.execute([old.row, new.row])?;
    if renamed == 0 && statements::is_there(transaction, table, old)? {
        return Err(Failed::Ignored);
    }
    move_ours(transaction, old, new)
}

fn move_ours(transaction: &Connection, old: RowId, new: RowId) -> Result<(), Failed> {
    let (from, to) = (dirty::whose(old), dirty::whose(new));
    let is_its = "customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3";
    let journal = format!(
        "UPDATE journal SET customer_id = ?4, of_row = ?5, engine_mark = NOT engine_mark WHERE {is_its}"
    );
    transaction.prepare_cached(&journal)?.execute(params![from.0, from.1, from.2, to.0, to.2])?;
    for table in OURS {
        // A password is found by its place in the journal, and a customer's alone.
        let moved = match table {
            "pending_password" => format!("UPDATE {table} SET customer_id = ?2 WHERE customer_id = ?1"),
            _ => {
                format!("UPDATE {table} SET customer_id = ?2 WHERE customer_id = ?1 AND of_resource IS NULL")
            }
        };
        transaction.prepare_cached(&moved)?.execute([old.customer.0, new.customer.0])?;
    }
    Ok(())
}

fn note_alias(transaction: &Connection, old: RowId, new: RowId) -> Result<(), Failed> {
    let note = "INSERT INTO alias (resource, old_id, id) VALUES (?1, ?2, ?3)";
    let noted =
        transaction.prepare_cached(note)?.execute(params![old.resource.spec().name, old.row, new.row])?;
    is_written(noted)
}

/// Whether another row of this file has become that one already.
pub(super) fn is_taken(connection: &Connection, row: RowId) -> rusqlite::Result<bool> {
    let taken = "SELECT 1 FROM alias WHERE resource = ?1 AND id = ?2";
    connection.prepare_cached(taken)?.exists(params![row.resource.spec().name, row.row])
}

/// What a customer is called now.
pub(super) fn today(connection: &Connection, id: CustomerId) -> rusqlite::Result<CustomerId> {
    let alias = "SELECT id FROM alias WHERE resource = 'customer' AND old_id = ?1";
    let alias =
        connection.prepare_cached(alias)?.query_row([id.0], |row| Ok(CustomerId(row.get(0)?))).optional()?;
    Ok(alias.unwrap_or(id))
}
