//! What was edited while our triggers were not there: a mapper's migration, or a database tool, that builds the table
//! `customer` anew takes them out with the old one.
//!
//! Opening makes them again. Where they had been there before, each working copy is then held against its snapshot, and a
//! difference that no entry of the journal tells of becomes an edit: by the triggers themselves, as if it were made now. This
//! walks through all customers, and so is done then only; a note in the file keeps it due until it is done.

use rusqlite::{Connection, params};

use super::{Failed, Store, dirty, edit, row};
use crate::customer::{CustomerId, FieldId, Row, Value};
use crate::error::Result;
use crate::flow::Dirty;

/// The key of `state` under which it is noted that this is to be done.
pub(super) const DUE: &str = "edits_to_be_found";
/// What the journal says of them.
const LABEL: &str = "found without an entry in the journal";
/// Customers that are looked at in one transaction.
const CHUNK: i64 = 250;

impl Store {
    /// How many edits were found in no entry of the journal when the triggers of this file were missing and made again;
    /// none: they were all there.
    pub fn mended(&self) -> Option<usize> {
        self.mended
    }

    /// Journals what was edited while our triggers were not there.
    pub(super) fn mend(&mut self) -> Result<()> {
        if self.state(DUE)?.is_none() {
            return Ok(());
        }
        let (mut found, mut after) = (0, i64::MIN);
        while let Some((edits, last)) = self.engine_write(|transaction| mend_some(transaction, after))? {
            (found, after) = (found + edits, last);
        }
        self.set_state(DUE, None)?;
        if found > 0 {
            tracing::warn!(
                edits = found,
                "edits were made while triggers of the file were missing; they are journaled now"
            );
        }
        self.mended = Some(found);
        Ok(())
    }
}

/// Returns how many edits it found, and the last customer that it looked at; none: there are no more.
fn mend_some(connection: &Connection, after: i64) -> Result<Option<(usize, i64)>, Failed> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM customer WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let ids = statement.query_map(params![after, CHUNK], |row| row.get(0))?;
    let ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
    let mut found = 0;
    for id in &ids {
        let Some(dirty) = dirty::load(connection, CustomerId(*id))? else { continue };
        for (field, base) in untold(&dirty)? {
            found += usize::from(journal(connection, &dirty, field, &base)?);
        }
    }
    Ok(ids.last().map(|last| (found, *last)))
}

/// Attributes that differ from the snapshot, although nothing in the journal says so.
fn untold(dirty: &Dirty) -> Result<Vec<(FieldId, Value)>, Failed> {
    let Some(base) = &dirty.base else { return Ok(Vec::new()) };
    let attributes = base.attributes()?;
    let theirs = Row::of(dirty.id, &attributes);
    let is_untold = |field: &FieldId| {
        attributes.tells(*field)
            && dirty.row.get(*field) != theirs.get(*field)
            && dirty.ops_of(*field).next().is_none()
            && dirty.open_of_field(*field).is_none()
    };
    Ok(FieldId::columns().filter(is_untold).map(|field| (field, theirs.get(field).clone())).collect())
}

/// Goes back to the snapshot's value unseen, and from there to the working copy's as an app would. What the triggers refuse
/// stays as it is, and is said.
fn journal(connection: &Connection, dirty: &Dirty, field: FieldId, base: &Value) -> rusqlite::Result<bool> {
    connection.execute_batch("SAVEPOINT mend")?;
    let edited = || {
        row::overwrite(connection, dirty.id, &[(field, row::cell(base))])?;
        edit::set_context(connection, Some("tillsync"), Some(LABEL))?;
        let local = row::cell(dirty.row.get(field));
        connection.prepare_cached(row::update(field))?.execute(params![dirty.id.0, local])?;
        edit::set_context(connection, None, None)
    };
    let edited = edited();
    if let Err(error) = &edited {
        connection.execute_batch("ROLLBACK TO mend")?;
        tracing::warn!(customer = dirty.id.0, field = field.name(), code = ?error.sqlite_error_code(), "it stays as it is here, and is sent when it is edited to a valid value");
    }
    connection.execute_batch("RELEASE mend")?;
    Ok(edited.is_ok())
}
