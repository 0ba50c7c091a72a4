//! The journal as it is read: a page of it, newest first, of one customer or of all.
//!
//! A file may be ten years old. What is asked of one customer goes through two indexes, of what is unsettled and of what has
//! settled, and never through others' rows; the first of them is all that an edit writes.

use rusqlite::{Connection, Row as SqlRow, named_params};

use super::row::{refuse_too_large, told};
use super::{DecisionRow, JournalRow, Store};
use crate::error::Result;
use crate::flow::Outcome;
use crate::resource::{CustomerId, EditSeq, FieldId, ResourceId};

/// What is read of each row.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, customer_id, field, op, value, was, at, author, label, outcome, reason, allowed_by, resource, row_id FROM journal ",
            $rest
        )
    };
}

pub(super) const OF_ALL: &str = select!("WHERE seq < :before ORDER BY seq DESC LIMIT :limit");

/// Those of each index first, so that no more rows are read than are shown.
pub(super) const OF_ONE: &str = select!(
    "WHERE seq IN (
         SELECT seq FROM (SELECT seq FROM journal INDEXED BY tillsync_journal_unsettled
                          WHERE customer_id = :id AND settled_at IS NULL AND seq < :before
                          ORDER BY seq DESC LIMIT :limit)
         UNION ALL
         SELECT seq FROM (SELECT seq FROM journal INDEXED BY tillsync_journal_settled
                          WHERE customer_id = :id AND settled_at IS NOT NULL AND seq < :before
                          ORDER BY seq DESC LIMIT :limit))
     ORDER BY seq DESC
     LIMIT :limit"
);

/// The newest of each index. Given up, refused, or left for the store's, it is in no balance.
pub(super) const BALANCE_SET: &str = select!(
    "WHERE seq IN (
         SELECT seq FROM (SELECT seq FROM journal INDEXED BY tillsync_journal_unsettled
                          WHERE customer_id = :id AND settled_at IS NULL AND seq > :after AND field = :field
                            AND op = 'set' AND coalesce(outcome, '') NOT IN ('discarded', 'rejected', 'remote')
                          ORDER BY seq DESC LIMIT 1)
         UNION ALL
         SELECT seq FROM (SELECT seq FROM journal INDEXED BY tillsync_journal_settled
                          WHERE customer_id = :id AND settled_at IS NOT NULL AND seq > :after AND field = :field
                            AND op = 'set' AND coalesce(outcome, '') NOT IN ('discarded', 'rejected', 'remote')
                          ORDER BY seq DESC LIMIT 1))
     ORDER BY seq DESC
     LIMIT 1"
);

pub(super) const UNSETTLED: &str = select!("WHERE customer_id = :id AND settled_at IS NULL ORDER BY seq");

impl Store {
    /// The whole journal, of one customer or of all, oldest first. An old file has millions of rows:
    /// [`Store::journal_page`] reads a part.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn journal(&self, id: Option<CustomerId>) -> Result<Vec<JournalRow>> {
        let mut rows = self.journal_page(id, None, usize::MAX)?;
        rows.reverse();
        Ok(rows)
    }

    /// At most `limit` rows of the journal, of one customer or of all, newest first; those before the row `before`, if one is
    /// named. The next page is what is before the last row of this one.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// let mut before = None;
    /// loop {
    ///     let page = store.journal_page(None, before, 100)?;
    ///     let Some(last) = page.last() else { break };
    ///     before = Some(last.seq);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn journal_page(
        &self,
        id: Option<CustomerId>,
        before: Option<EditSeq>,
        limit: usize,
    ) -> Result<Vec<JournalRow>> {
        let before = before.map_or(i64::MAX, |seq| seq.0);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let id = id.map(|id| self.today(id)).transpose()?;
        let read = || match id {
            None => rows(&self.connection, OF_ALL, named_params! { ":before": before, ":limit": limit }),
            Some(id) => {
                let of_one = named_params! { ":id": id.0, ":before": before, ":limit": limit };
                rows(&self.connection, OF_ONE, of_one)
            }
        };
        read().map_err(|e| self.error(e))
    }

    /// The edit by which the balance of a customer was last set after another one, such as a payment that was refused: whether that is
    /// in it, only whoever set it knows. What was given up, refused or left for the store's set none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn balance_set_since(&self, id: impl Into<CustomerId>, after: EditSeq) -> Result<Option<JournalRow>> {
        let (id, field) = (self.today(id.into())?, ResourceId::CUSTOMER.money().map(FieldId::name));
        let since = named_params! { ":id": id.0, ":after": after.0, ":field": field };
        rows(&self.connection, BALANCE_SET, since).map(|mut rows| rows.pop()).map_err(|e| self.error(e))
    }

    /// The edits of a customer that have not settled, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pending(&self, id: impl Into<CustomerId>) -> Result<Vec<JournalRow>> {
        let id = self.today(id.into())?;
        rows(&self.connection, UNSETTLED, named_params! { ":id": id.0 }).map_err(|e| self.error(e))
    }
}

fn rows(
    connection: &Connection,
    sql: &str,
    params: &[(&str, &dyn rusqlite::ToSql)],
) -> rusqlite::Result<Vec<JournalRow>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows: Vec<JournalRow> =
        statement.query_map(params, journal_row)?.collect::<rusqlite::Result<_>>()?;
    let mut decisions = connection.prepare_cached(
        "SELECT id, field, local, remote, policy, resolution FROM conflict WHERE seq = ?1 ORDER BY id",
    )?;
    for row in &mut rows {
        let decided = decisions.query_map([row.seq.0], decision)?;
        row.decisions = decided.collect::<rusqlite::Result<_>>()?;
    }
    Ok(rows)
}

fn journal_row(row: &SqlRow<'_>) -> rusqlite::Result<JournalRow> {
    refuse_too_large(row)?;
    Ok(JournalRow {
        seq: EditSeq(row.get(0)?),
        customer_id: CustomerId(row.get(1)?),
        field: row.get(2)?,
        op: row.get(3)?,
        value: row.get(4)?,
        was: told(row, 5)?,
        at: row.get(6)?,
        author: row.get(7)?,
        label: row.get(8)?,
        outcome: row.get::<_, Option<String>>(9)?.as_deref().and_then(Outcome::named),
        reason: row.get(10)?,
        allowed_by: row.get(11)?,
        resource: row.get(12)?,
        row_id: row.get(13)?,
        decisions: Vec::new(),
    })
}

fn decision(row: &SqlRow<'_>) -> rusqlite::Result<DecisionRow> {
    Ok(DecisionRow {
        id: row.get(0)?,
        field: row.get(1)?,
        local: row.get(2)?,
        remote: row.get(3)?,
        policy: row.get(4)?,
        resolution: row.get(5)?,
    })
}
