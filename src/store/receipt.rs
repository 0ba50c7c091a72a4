//! What became of an edit, by the receipt that it was given.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rusqlite::{Connection, named_params};
use serde::{Deserialize, Serialize};

use super::Store;
use crate::error::{Failure, Result};
use crate::flow::Outcome;
use crate::resource::{CustomerId, EditSeq};

/// How often a wait looks whether anybody has written to the file.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Names edits that were journaled together. It may be kept, and asked for in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The last place in the journal before these edits.
    pub after: EditSeq,
    /// The last place of these edits.
    pub up_to: EditSeq,
}

impl Receipt {
    /// Names the edits that SQL makes in a transaction of the app's own, beside its own tables: hand the transaction to it, an immediate
    /// one: it reads first, and beside another writer a deferred one could not go on to write.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tillsync::{Receipt, Store, StoreOptions, rusqlite::TransactionBehavior::Immediate};
    /// # let folder = tempfile::tempdir()?;
    /// # let mut store = Store::open_with(folder.path().join("till.db"), StoreOptions { create: true, ..StoreOptions::default() })?;
    /// let sale = store.connection().transaction_with_behavior(Immediate)?;
    /// let ((), receipt) = Receipt::around(&sale, |sale| -> tillsync::rusqlite::Result<()> {
    ///     sale.execute("UPDATE customer SET phone = '555-0142' WHERE id = 42", [])?;
    ///     Ok(())
    /// })?;
    /// sale.commit()?;
    /// println!("{} fields; {:?}", receipt.fields(), store.fate(&receipt)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `edits`; when the journal cannot be read.
    pub fn around<T, E: From<rusqlite::Error>>(
        transaction: &Connection,
        edits: impl FnOnce(&Connection) -> std::result::Result<T, E>,
    ) -> std::result::Result<(T, Receipt), E> {
        let newest = || super::edit::newest_edit(transaction).map(EditSeq);
        let after = newest()?;
        let done = edits(transaction)?;
        Ok((done, Receipt { after, up_to: newest()? }))
    }

    /// How many attributes were journaled; one that already had its value is no edit.
    pub fn fields(&self) -> usize {
        usize::try_from(self.up_to.0 - self.after.0).unwrap_or(0)
    }
}

/// What became of the edits of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// Some of them wait for a sync, or are on their way.
    Pending,
    /// The store refused some of them; they wait for a person.
    Rejected {
        /// The customer.
        customer_id: CustomerId,
        /// The attribute.
        field: String,
        /// The server's words.
        reason: String,
    },
    /// Both sides changed an attribute; it waits for a decision.
    InConflict {
        /// The customer.
        customer_id: CustomerId,
        /// The attribute.
        field: String,
    },
    /// The store has them, or has what took their place.
    Uploaded {
        /// When the store last changed the customer, by its own clock, if it told.
        date_modified: Option<String>,
    },
    /// The store has made the customer whom they entered.
    Created {
        /// What the store calls it.
        customer_id: CustomerId,
    },
    /// The store has deleted the customer whom they deleted.
    Deleted {
        /// The customer.
        customer_id: CustomerId,
    },
    /// Later edits of the same attributes took their place. What a person decided of a conflict is the same edit, and has its fate.
    Superseded,
    /// The store already had them: no call was needed.
    Unchanged,
    /// The user gave them up, or the store's side was kept.
    GivenUp,
}

struct Row {
    op: String,
    customer_id: CustomerId,
    field: String,
    outcome: Option<Outcome>,
    reason: Option<String>,
    date_modified: Option<String>,
}

/// The edits of a receipt. In the place of one that was held stands what a person decided of it, which is an edit of its own, of the
/// same instant: looked for among what that customer has in each index, so that an old file makes nobody wait.
static FATES: LazyLock<String> = LazyLock::new(|| {
    let decided = |index: &str, is_settled: &str| {
        format!(
            "SELECT it.seq, of.seq
             FROM edit
             CROSS JOIN journal AS of ON of.seq = edit.seq
             CROSS JOIN journal AS it INDEXED BY {index}
             WHERE it.customer_id = of.customer_id AND it.of_resource IS of.of_resource AND it.of_row IS of.of_row
               AND it.field = of.field AND it.seq > of.seq AND it.at = of.settled_at AND of.outcome = 'superseded'
               AND it.settled_at {is_settled}"
        )
    };
    format!(
        "WITH RECURSIVE edit (seq, instead_of) AS (
             SELECT seq, NULL FROM journal WHERE seq > :after AND seq <= :up_to
             UNION
             {}
             UNION
             {}
         )
         SELECT j.customer_id, coalesce(j.of_resource || '.' || j.of_row || '.', '') || j.field, j.outcome, j.reason,
                s.date_modified, j.op
         FROM (SELECT seq FROM edit EXCEPT SELECT instead_of FROM edit) AS last
         CROSS JOIN journal AS j ON j.seq = last.seq
         LEFT JOIN snapshot AS s ON s.id = j.customer_id AND j.of_resource IS NULL
         ORDER BY j.seq",
        decided("tillsync_journal_unsettled", "IS NULL"),
        decided("tillsync_journal_settled", "IS NOT NULL")
    )
});

impl Store {
    /// What became of the edits of a receipt by now.
    ///
    /// # Errors
    /// When the file cannot be read; `unknown_receipt` when such edits were never made in it, or nothing of them is kept any more.
    pub fn fate(&self, receipt: &Receipt) -> Result<Fate> {
        self.engine_read(|transaction| {
            let mut statement = transaction.prepare_cached(&FATES)?;
            let rows = statement.query_map(
                named_params! { ":after": receipt.after.0, ":up_to": receipt.up_to.0 },
                |row| {
                    Ok(Row {
                        customer_id: CustomerId(row.get(0)?),
                        field: row.get(1)?,
                        outcome: row.get::<_, Option<String>>(2)?.as_deref().and_then(Outcome::named),
                        reason: row.get(3)?,
                        date_modified: row.get(4)?,
                        op: row.get(5)?,
                    })
                },
            )?;
            let rows: Vec<Row> = rows.collect::<rusqlite::Result<_>>()?;
            self.refuse_unknown(receipt, super::edit::newest_edit(transaction)?, rows.len())?;
            Ok(fate(rows))
        })
    }

    /// Of edits that are not there nobody says what became of them.
    fn refuse_unknown(&self, receipt: &Receipt, newest: i64, found: usize) -> Result<()> {
        let (first, last) = (receipt.after.0.saturating_add(1), receipt.up_to.0);
        let why = match () {
            () if receipt.after.0 < 0 || last < receipt.after.0 || last > newest => {
                format!("ends with edit {newest}: edits {first} to {last} were never made in it")
            }
            () if found == 0 && last >= first => format!("has nothing of edits {first} to {last} any more"),
            () => return Ok(()),
        };
        Err(Failure::UnknownReceipt { path: self.path.clone(), why }.into())
    }

    /// Waits until the edits of a receipt have met their fate, at most `timeout`; [`Fate::Pending`] if they have not by
    /// then. Blocks this thread only: edits and syncs go on.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let mut store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// let receipt = store.edit_all(&[], None, None)?;
    /// assert_eq!(store.wait(&receipt, std::time::Duration::ZERO)?, tillsync::Fate::Unchanged);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::fate`].
    pub fn wait(&self, receipt: &Receipt, timeout: Duration) -> Result<Fate> {
        let began = Instant::now();
        loop {
            let seen = self.data_version()?;
            let fate = self.fate(receipt)?;
            if fate != Fate::Pending || began.elapsed() >= timeout {
                return Ok(fate);
            }
            while self.data_version()? == seen && began.elapsed() < timeout {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }

    /// A number that changes when another connection, of whatever process, has written to the file: a look that costs no
    /// read of a table.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn data_version(&self) -> Result<i64> {
        let version = self.connection.prepare_cached("PRAGMA data_version");
        version.and_then(|mut statement| statement.query_row([], |row| row.get(0))).map_err(|e| self.error(e))
    }

    /// The newest place in the journal.
    pub(crate) fn newest_edit(&self) -> Result<EditSeq> {
        self.read_at_once(|connection| Ok(EditSeq(super::edit::newest_edit(connection)?)))
    }
}

/// What waits comes first, then what a person must see, then how the rest ended.
fn fate(rows: Vec<Row>) -> Fate {
    let find = |outcome: Option<Outcome>| rows.iter().find(|row| row.outcome == outcome);
    if find(None).or_else(|| find(Some(Outcome::InFlight))).is_some() {
        return Fate::Pending;
    }
    if let Some(row) = find(Some(Outcome::Rejected)) {
        let reason = row.reason.clone().unwrap_or_default();
        return Fate::Rejected { customer_id: row.customer_id, field: row.field.clone(), reason };
    }
    if let Some(row) = find(Some(Outcome::Held)) {
        return Fate::InConflict { customer_id: row.customer_id, field: row.field.clone() };
    }
    let done = |op: &str| rows.iter().find(|row| row.op == op && row.outcome == Some(Outcome::Uploaded));
    if let Some(row) = done("delete") {
        return Fate::Deleted { customer_id: row.customer_id };
    }
    if let Some(row) = done("create") {
        return Fate::Created { customer_id: row.customer_id };
    }
    if let Some(row) = find(Some(Outcome::Uploaded)) {
        return Fate::Uploaded { date_modified: row.date_modified.clone() };
    }
    if find(Some(Outcome::Discarded)).or_else(|| find(Some(Outcome::Remote))).is_some() {
        return Fate::GivenUp;
    }
    if find(Some(Outcome::Merged)).is_some() {
        return Fate::Unchanged;
    }
    if find(Some(Outcome::Superseded)).is_some() { Fate::Superseded } else { Fate::Unchanged }
}
