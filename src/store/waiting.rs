//! The edits that wait for a sync, customer by customer: a page of them, the longest waiting first.

use rusqlite::named_params;
use serde::Serialize;

use super::{JournalRow, Store};
use crate::error::Result;
use crate::flow::Outcome;
use crate::resource::{CustomerId, EditSeq};

/// A customer with edits that wait for a sync, or are on their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The customer.
    pub customer_id: CustomerId,
    /// The place of the oldest of these edits in the journal, behind which the next page begins.
    pub first: EditSeq,
    /// When that was made, UTC, by the till's clock.
    pub since: String,
    /// The edits, oldest first. What would be sent for them tells [`Store::diff`].
    pub edits: Vec<JournalRow>,
}

impl Store {
    /// At most `limit` customers with edits that wait for a sync or are on their way, the longest waiting first; those behind the
    /// one whose [`Waiting::first`] is `after`; 0: from the first on. Refused edits, and those in conflict, wait for a person
    /// instead: [`Store::rejected_page`] and [`Store::conflicts_page`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn waiting_page(&self, after: EditSeq, limit: usize) -> Result<Vec<Waiting>> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT customer_id, min(seq), at
                 FROM journal INDEXED BY tillsync_journal_unsettled
                 WHERE settled_at IS NULL AND (outcome IS NULL OR outcome = 'in_flight')
                 GROUP BY customer_id
                 HAVING min(seq) > :after
                 ORDER BY min(seq)
                 LIMIT :limit",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map(named_params! { ":after": after.0, ":limit": limit }, |row| {
                let (customer_id, first, since) =
                    (CustomerId(row.get(0)?), EditSeq(row.get(1)?), row.get(2)?);
                Ok(Waiting { customer_id, first, since, edits: Vec::new() })
            })?;
            rows.collect::<rusqlite::Result<Vec<Waiting>>>()
        };
        let mut page = read().map_err(|e| self.error(e))?;
        for waiting in &mut page {
            waiting.edits = self.pending(waiting.customer_id)?;
            waiting.edits.retain(|edit| matches!(edit.outcome, None | Some(Outcome::InFlight)));
        }
        Ok(page)
    }
}
