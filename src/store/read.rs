//! What an app reads: customers, the journal, and how things stand. Never waits for the network.

use chrono::{DateTime, Utc};
use rusqlite::Row as SqlRow;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::open::refuse_loss;
use super::sound::{self, Depth, Soundness};
use super::{FLEET, Store, SyncStatus, delete, dirty, history};
use crate::error::Result;
use crate::flow::Outcome;
use crate::resource::{CustomerId, EditSeq, Record, Row};

/// A row of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JournalRow {
    /// The order in which edits were made in this file.
    pub seq: EditSeq,
    /// Whose attribute.
    pub customer_id: CustomerId,
    /// What was edited: `customer`, or something of theirs, such as `attribute_value`.
    pub resource: String,
    /// Which one of it; of a customer, who.
    pub row_id: i64,
    /// The attribute.
    pub field: String,
    /// `set`, or `adjust` for store credit.
    pub op: String,
    /// JSON: the new value, or the signed amount as a string; `"***"` for a password.
    #[serde(serialize_with = "verbatim")]
    pub value: String,
    /// JSON: the value before.
    #[serde(serialize_with = "verbatim")]
    pub was: String,
    /// When, UTC, by the till's clock.
    pub at: String,
    /// Who.
    pub author: Option<String>,
    /// For what; edits made together share it.
    pub label: Option<String>,
    /// Who allowed a payment to take the balance below the floor; none: nobody had to.
    pub allowed_by: Option<String>,
    /// What became of it; none: pending.
    pub outcome: Option<Outcome>,
    /// Why it was rejected, in the server's words. They stay when it waits for another reason by now, or was given up.
    pub reason: Option<String>,
    /// What was decided when both sides had changed the attribute, newest last.
    pub decisions: Vec<DecisionRow>,
}

impl JournalRow {
    /// The signed amount, if it is a payment.
    pub fn payment(&self) -> Option<Decimal> {
        paid(&self.op, &self.value)
    }
}

/// What a row of the journal moves the balance by, if it is a payment. What cannot be read as one is none: it is no amount of zero.
pub(super) fn paid(op: &str, json: &str) -> Option<Decimal> {
    let amount: String = serde_json::from_str(json).ok().filter(|_| op == "adjust")?;
    amount.parse().ok()
}

/// A decision about an attribute that both sides had changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecisionRow {
    /// Its row in the table `conflict`, by which [`Store::undo`] names it.
    pub id: i64,
    /// The attribute, or `form_fields.NAME`.
    pub field: String,
    /// JSON: the till's value.
    #[serde(serialize_with = "verbatim")]
    pub local: String,
    /// JSON: the store's value.
    #[serde(serialize_with = "verbatim")]
    pub remote: String,
    /// Who decided: `hold` (a person), `local`, `remote`, `latest`, `resolver`, `merge`.
    pub policy: String,
    /// What was decided; none: it waits for a person.
    pub resolution: Option<String>,
}

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Status {
    /// Edited attributes that wait for a sync.
    pub pending_fields: u64,
    /// Customers that they belong to.
    pub pending_customers: u64,
    /// When the oldest edit was made that waits for a sync or is on its way, by the till's clock.
    pub oldest_pending_at: Option<DateTime<Utc>>,
    /// Uploads of which the answer is not known.
    pub in_flight_batches: u64,
    /// Edited attributes that the store refused.
    pub rejected: u64,
    /// Attributes that wait for a decision.
    pub conflicts: u64,
    /// Edits that are in this file alone: pending, on their way, refused, in conflict or held. While there are any, the file
    /// must not be thrown away.
    pub unsent: u64,
    /// Customers of whom something of the app's refuses what came from the store: see [`Store::held_up`].
    pub held_up: u64,
    /// Edits that are held although no conflict of them is open: `discard` gives them up.
    pub held_alone: u64,
    /// Customers in the file, as the store has them.
    pub snapshot_customers: u64,
    /// When the last pull was complete, by the till's clock.
    pub last_pull_at: Option<DateTime<Utc>>,
    /// When a sync had last sent anything, by the till's clock.
    pub last_push_at: Option<DateTime<Utc>>,
    /// The store told all to wait until then, by the till's clock.
    pub throttled_until: Option<DateTime<Utc>>,
    /// The store that the file belongs to; none: not known yet.
    pub store_hash: Option<String>,
    /// How it stands with the syncs.
    pub sync: SyncStatus,
    /// How it stood with the other tills when the last sync ended; none: that was in no company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetStatus>,
}

/// How it stood with the fleet when the last sync in company ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetStatus {
    /// When that was, by the till's clock.
    pub at: DateTime<Utc>,
    /// Whether the others were reached.
    pub reachable: bool,
    /// Until when this till goes on alone, by its clock; none: it does not.
    pub alone_until: Option<DateTime<Utc>>,
    /// Calls that were granted to that sync.
    pub granted: u64,
    /// Calls of it that the store refused, for the quota or for the slots.
    pub refused: u64,
}

/// What is no JSON, as a program wrote it past the triggers, is shown as a text.
pub(super) fn verbatim<S: Serializer>(json: &str, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match serde_json::from_str::<&RawValue>(json) {
        Ok(raw) => raw.serialize(serializer),
        Err(_) => json.serialize(serializer),
    }
}

impl Store {
    /// The working copy of a customer; none: it is not in the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn get(&self, id: impl Into<CustomerId>) -> Result<Option<Row>> {
        dirty::load_row(&self.connection, self.today(id.into())?).map_err(|e| self.error(e))
    }

    /// A customer who was deleted here, as it was: none of them is in the table any more, and the deletion waits for a sync, or for a person.
    /// None: no deletion of it waits.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn deleted(&self, id: impl Into<CustomerId>) -> Result<Option<Row>> {
        let id = self.today(id.into())?;
        let was = delete::as_it_was(&self.connection, id.into()).map_err(|e| self.error(e))?;
        Ok(was.map(|(row, _)| row))
    }

    /// A customer as the server last described it; none: it is not known, or was deleted remotely.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn snapshot(&self, id: impl Into<CustomerId>) -> Result<Option<Record>> {
        dirty::load_snapshot(&self.connection, self.today(id.into())?).map_err(|e| self.error(e))
    }

    /// How things stand.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn status(&self) -> Result<Status> {
        // Of a file that is no more, or is another one, nobody wants to know.
        self.place.look()?;
        refuse_loss(&self.path)?;
        self.refuse_overwritten()?;
        // Where triggers were taken out, what waits is seen after they are there again.
        if self.connection.is_autocommit() && self.is_to_be_mended()? {
            return self.reopen()?.status();
        }
        self.refuse_misshapen()?;
        let counts = self
            .connection
            .prepare_cached(
                "SELECT count(DISTINCT iif(outcome IS NULL, customer_id || ' ' || coalesce(of_resource || of_row, '') || field, NULL)),
                        count(DISTINCT iif(outcome IS NULL, customer_id, NULL)),
                        (SELECT count(*) FROM batch),
                        count(DISTINCT iif(outcome = 'rejected', customer_id || ' ' || coalesce(of_resource || of_row, '') || field, NULL)),
                        (SELECT count(*) FROM conflict WHERE resolution IS NULL),
                        max(coalesce((SELECT CAST(value AS INTEGER) FROM state WHERE key = 'snapshot_customers'), 0), 0),
                        count(*),
                        min(iif(outcome IS NULL OR outcome = 'in_flight', at, NULL)),
                        (SELECT count(*) FROM tillsync_held_up),
                        (SELECT count(*)
                         FROM journal AS j INDEXED BY tillsync_journal_unsettled
                         WHERE settled_at IS NULL AND outcome = 'held'
                           AND NOT EXISTS (SELECT 1 FROM conflict AS c
                                           WHERE c.customer_id = j.customer_id AND c.of_resource IS j.of_resource
                                             AND c.of_row IS j.of_row AND c.resolution IS NULL
                                             AND (c.field IN ('*', '+', '-') OR c.of_resource IS NOT NULL
                                                  OR j.field = substr(c.field, 1, instr(c.field || '.', '.') - 1))))
                 FROM journal
                 WHERE settled_at IS NULL",
            )
            .and_then(|mut statement| statement.query_row([], counts))
            .map_err(|e| self.error(e))?;
        Ok(Status {
            last_pull_at: self.time("last_pull_at")?,
            last_push_at: self.time("last_push_at")?,
            throttled_until: self.time("throttled_until")?.filter(|until| *until > Utc::now()),
            unsent: counts.unsent
                + (self.unjournaled()?.len() + self.set_aside()?.len() + self.strangers()?.len()) as u64,
            store_hash: self.store_hash()?,
            sync: self.sync_status()?,
            fleet: self.state(FLEET)?.and_then(|json| serde_json::from_str(&json).ok()),
            ..counts
        })
    }

    /// How many edits the store has refused, and how many attributes wait for a decision.
    pub(crate) fn waiting(&self) -> Result<(u64, u64, u64)> {
        self.connection
            .prepare_cached(
                "SELECT (SELECT count(*)
                         FROM journal INDEXED BY tillsync_journal_unsettled
                         WHERE settled_at IS NULL AND outcome = 'rejected'),
                        (SELECT count(*) FROM conflict INDEXED BY tillsync_conflict_open WHERE resolution IS NULL),
                        (SELECT count(*) FROM tillsync_held_up)",
            )
            .and_then(|mut statement| {
                statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            })
            .map_err(|e| self.error(e))
    }

    /// Since when the oldest edit waits for a sync or is on its way, and how many do.
    pub(crate) fn oldest_unsent(&self) -> Result<Option<(DateTime<Utc>, u64)>> {
        let (at, count): (Option<String>, u64) = self
            .connection
            .prepare_cached(
                "SELECT min(at), count(*)
                 FROM journal INDEXED BY tillsync_journal_unsettled
                 WHERE settled_at IS NULL AND (outcome IS NULL OR outcome = 'in_flight')",
            )
            .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(|e| self.error(e))?;
        Ok(at.as_deref().and_then(time_of).map(|at| (at, count)))
    }

    /// Whether the file is whole, by SQLite's own check; and whether the triggers are awake. Empty: nothing is wrong.
    /// Reads the whole file. What only the app's own SQLite can check (an index with a function or a collation of its own) is
    /// left out.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn check(&self) -> Result<Vec<String>> {
        Ok(self.soundness()?.problems)
    }

    /// As [`Store::check`], and names what could not be checked here.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn soundness(&self) -> Result<Soundness> {
        let check = || {
            let mut found = sound::check(&self.connection, Depth::Whole)?;
            let guard: i64 =
                self.connection.query_row("SELECT writing FROM tillsync_guard", [], |row| row.get(0))?;
            if guard != 0 {
                found.problems.push(
                    "tillsync_guard is set outside a transaction: a mark passes for the engine's".to_owned(),
                );
            }
            let [counted, kept]: [i64; 2] = self.connection.query_row(
                "SELECT count(*), (SELECT CAST(value AS INTEGER) FROM state WHERE key = 'snapshot_customers')
                 FROM snapshot",
                [],
                |row| Ok([row.get(0)?, row.get::<_, Option<i64>>(1)?.unwrap_or_default()]),
            )?;
            if counted != kept {
                found.problems.push(format!(
                    "the snapshot holds {counted} customers, and {kept} were counted: a pull of everything counts them anew"
                ));
            }
            Ok(found)
        };
        check().map_err(|e| self.error(e))
    }
}

fn counts(row: &SqlRow<'_>) -> rusqlite::Result<Status> {
    Ok(Status {
        pending_fields: row.get(0)?,
        pending_customers: row.get(1)?,
        in_flight_batches: row.get(2)?,
        rejected: row.get(3)?,
        conflicts: row.get(4)?,
        snapshot_customers: row.get(5)?,
        unsent: row.get(6)?,
        oldest_pending_at: row.get::<_, Option<String>>(7)?.as_deref().and_then(time_of),
        held_up: row.get(8)?,
        held_alone: row.get(9)?,
        ..Status::default()
    })
}

fn time_of(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// What is asked most, by names of its own.
pub(super) fn questions() -> [(&'static str, String); 4] {
    [
        ("pending", history::UNSETTLED.to_owned()),
        ("log", history::OF_ALL.to_owned()),
        ("log of a customer", history::OF_ONE.to_owned()),
        ("balance that was set", history::BALANCE_SET.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A balance may be set to text, by a hand that edits the file: that is no payment.
    #[test]
    fn a_payment_is_told_by_what_was_done_and_not_by_how_it_looks() {
        assert_eq!(paid("adjust", "\"-2.5\""), Some(Decimal::new(-25, 1)));
        for (op, json) in [("set", "\"5\""), ("adjust", "\"5 euros\""), ("adjust", "null"), ("adjust", "{")] {
            assert_eq!(paid(op, json), None, "{op} {json}");
        }
    }
}
