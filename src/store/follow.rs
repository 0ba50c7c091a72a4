//! A row that was entered here has the id that the store gave it from now on, and so has all that is of it: ours, and the app's.
//!
//! The app's own tables follow by `REFERENCES customer (id) ON UPDATE CASCADE`. One that would stay behind, or lose whom it means, keeps that
//! one row from following, and nobody else's; it is held up, and tried again by each sync.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Error as SqlError, OptionalExtension, ffi, params};

use super::apply::{is_written, remove_row};
use super::{Failed, Store, dirty, search, statements};
use crate::error::Result;
use crate::resource::{CustomerId, ResourceId, RowId};

/// Our rows that are named by their customer, beside the working copies. Each index holds the settled or the unsettled alone: without
/// saying which, SQLite would walk through the journal of years.
const OURS: [&str; 7] = [
    "UPDATE journal INDEXED BY tillsync_journal_unsettled SET customer_id = ?2, engine_mark = NOT engine_mark
     WHERE customer_id = ?1 AND settled_at IS NULL",
    "UPDATE journal INDEXED BY tillsync_journal_settled SET customer_id = ?2, engine_mark = NOT engine_mark
     WHERE customer_id = ?1 AND settled_at IS NOT NULL",
    "UPDATE conflict INDEXED BY tillsync_conflict_open SET customer_id = ?2
     WHERE customer_id = ?1 AND resolution IS NULL",
    "UPDATE conflict INDEXED BY tillsync_conflict_decided SET customer_id = ?2
     WHERE customer_id = ?1 AND resolution IS NOT NULL",
    "UPDATE batch_item SET customer_id = ?2 WHERE customer_id = ?1",
    "UPDATE tillsync_attempt SET customer_id = ?2 WHERE customer_id = ?1",
    "UPDATE pending_password SET customer_id = ?2 WHERE customer_id = ?1",
];

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

/// All that is a customer's goes by its new id, whatever it is of.
fn move_ours(transaction: &Connection, old: RowId, new: RowId) -> Result<(), Failed> {
    for all_of_it in OURS {
        transaction.prepare_cached(all_of_it)?.execute([old.customer.0, new.customer.0])?;
    }
    Ok(())
}

/// An old id leads to what the row is called now, however often that has changed.
fn note_alias(transaction: &Connection, old: RowId, new: RowId) -> Result<(), Failed> {
    let resource = old.resource.spec().name;
    // What was just entered is no name of anybody's before.
    if !old.is_new() {
        let lead_on = "UPDATE alias SET id = ?3 WHERE resource = ?1 AND id = ?2";
        transaction.prepare_cached(lead_on)?.execute(params![resource, old.row, new.row])?;
    }
    let note = "INSERT INTO alias (resource, old_id, id) VALUES (?1, ?2, ?3)";
    is_written(transaction.prepare_cached(note)?.execute(params![resource, old.row, new.row])?)
}

/// Whether another row of this file has become that one already.
pub(super) fn is_taken(connection: &Connection, row: RowId) -> rusqlite::Result<bool> {
    let taken = "SELECT 1 FROM alias WHERE resource = ?1 AND id = ?2";
    connection.prepare_cached(taken)?.exists(params![row.resource.spec().name, row.row])
}

/// What a row is called now.
pub(super) fn today_of(connection: &Connection, row: RowId) -> rusqlite::Result<RowId> {
    let id = "SELECT id FROM alias WHERE resource = ?1 AND old_id = ?2";
    let id = connection
        .prepare_cached(id)?
        .query_row(params![row.resource.spec().name, row.row], |found| found.get(0))
        .optional()?;
    Ok(match id {
        Some(id) if row.resource == ResourceId::CUSTOMER => CustomerId(id).into(),
        Some(id) => RowId { row: id, ..row },
        None => row,
    })
}

/// What a customer is called now, by an id that was given here.
pub(super) fn today(connection: &Connection, id: CustomerId) -> rusqlite::Result<CustomerId> {
    if id.0 >= 0 {
        return Ok(id);
    }
    Ok(today_of(connection, id.into())?.customer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As when a customer whom the store had deleted is created there anew.
    #[test]
    fn an_id_of_long_ago_leads_to_the_newest_and_all_that_is_of_it_goes_along() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("till.db")).unwrap();
        let id = store.create().set("email", "ana@example.com").set("first_name", "A").set("last_name", "R");
        assert_eq!(id.commit().unwrap().ids, [CustomerId(-1)]);
        let of_a_value =
            "UPDATE journal SET of_resource = 'attribute_value', of_row = 3, engine_mark = NOT engine_mark";
        let named = |id: i64| RowId::of_customer(CustomerId(id));
        store
            .engine_write(|transaction| {
                transaction.execute(of_a_value, [])?;
                follow(transaction, named(-1), named(4711), Utc::now())?;
                follow(transaction, named(4711), named(4800), Utc::now())
            })
            .unwrap();
        for old in [-1, 4711] {
            assert_eq!(today_of(&store.connection, named(old)).unwrap(), named(4800), "{old}");
        }
        let mut whose = store.connection.prepare("SELECT DISTINCT customer_id FROM journal").unwrap();
        let whose: Vec<i64> = whose.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(whose, [4800]);
    }
}
