//! Cursors and facts that outlive a sync, each under a key of `state`.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};
use serde::{Deserialize, Serialize};

use super::{Store, believing, schema};
use crate::clock::stamp;
use crate::error::{Error, Failure, Result};
use crate::flow::{HowFar, KnownClock, Lacks, Place, PullClock, Unlisted, store_address};
use crate::resource::{FieldId, ResourceId};

/// A full pull that was begun: it goes on where it was cut.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct FullPull {
    #[serde(flatten)]
    pub(crate) how_far: HowFar,
    /// What the server's clock should have been when it began; see [`Witnesses`](crate::flow::Witnesses).
    pub(crate) expected: Option<DateTime<Utc>>,
    /// A reading was dropped for want of room: the next pull lists it again.
    pub(crate) has_dropped: bool,
}

/// The key of `state` under which it stands.
pub(super) const FULL_PULL: &str = "full_pull";
/// When how many rows were taken for gone.
const GONE_LATELY: &str = "gone_lately";
/// From when on the next pull asks.
const PULL_CURSOR: &str = "pull_cursor";
/// A `Date` that was odd, a key of `state`.
const ODD_CLOCK: &str = "pull_clock_odd";

impl FullPull {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None`: it is at its start, or what the file has is none.
    fn read(text: &str) -> Option<FullPull> {
        let noted: FullPull = serde_json::from_str(text).ok()?;
        Some(noted).filter(|noted| noted.how_far.place != Place::Start)
    }
}

impl Store {
    /// What the last lists of everybody lacked, if they were not whole.
    pub(crate) fn lacks(&self) -> Result<Option<Lacks>> {
        Ok(self.state("list_lacks")?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(crate) fn note_lacks(&mut self, lacks: Option<&Lacks>) -> Result<()> {
        let text = lacks.map(|lacks| serde_json::to_string(lacks).unwrap_or_default());
        self.set_state("list_lacks", text.as_deref())
    }

    /// Whom the store could not list as changed.
    pub(crate) fn unlisted(&self) -> Result<Option<Unlisted>> {
        Ok(self.state("list_unlisted")?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(crate) fn note_unlisted(&mut self, unlisted: Option<&Unlisted>) -> Result<()> {
        let text = unlisted.map(|unlisted| serde_json::to_string(unlisted).unwrap_or_default());
        self.set_state("list_unlisted", text.as_deref())
    }

    pub(crate) fn state(&self, key: &str) -> Result<Option<String>> {
        self.connection
            .prepare_cached("SELECT value FROM state WHERE key = ?1")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
            .map_err(|e| self.error(e))
    }

    pub(crate) fn set_state(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        self.write_state(key, value).map_err(|e| self.error(e))
    }

    /// In a savepoint: it may stand alone, or in a transaction of the app's, which is not to be believed afterwards.
    fn write_state(&self, key: &str, value: Option<&str>) -> rusqlite::Result<()> {
        if self.has_open_pages() {
            return write(&self.connection, key, value);
        }
        self.connection.execute_batch("SAVEPOINT tillsync_note")?;
        let written = believing(&self.connection, |connection| write(connection, key, value))
            .and_then(|()| self.connection.execute_batch("RELEASE tillsync_note"));
        if written.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK TO tillsync_note; RELEASE tillsync_note")?;
        }
        written
    }

    /// Facts that a sync learns: what a power cut takes back, the next one finds out again.
    pub(crate) fn note_facts(&mut self, facts: &[(&str, String)]) -> Result<()> {
        self.engine_note(|transaction| {
            let write = |(key, value): &(&str, String)| write(transaction, key, Some(value));
            Ok(facts.iter().try_for_each(write)?)
        })
    }

    /// The store this file belongs to; `None`: not known yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn store_hash(&self) -> Result<Option<String>> {
        self.state("store_hash")
    }

    /// Refuses a store that is not the one of this file. A file into which nothing was pulled yet is of none.
    ///
    /// # Errors
    /// When the file belongs to another store.
    #[cfg(any(feature = "ffi", feature = "extension"))]
    pub(crate) fn refuse_other_store(&self, given: &str) -> Result<()> {
        let path = self.path.clone();
        self.engine_read(|transaction| match recorded_store(transaction)? {
            Some(recorded) if recorded != given => {
                Err(Error::from(Failure::WrongStore { path, recorded, given: given.to_owned() }).into())
            }
            _ => Ok(()),
        })
    }

    /// Binds the file to a store, for good once anything was pulled: a mistyped hash must not spoil a fresh file. An API
    /// path stands for the hash in it.
    ///
    /// # Errors
    /// When the file belongs to another store.
    pub fn bind_store(&mut self, given: &str) -> Result<()> {
        let given = store_address(given.trim()).map_or(given, |address| address.store_hash);
        if self.store_hash()?.as_deref() == Some(given) {
            return Ok(());
        }
        let path = self.path.clone();
        self.engine_write(|transaction| match recorded_store(transaction)? {
            Some(recorded) if recorded != given => {
                Err(Error::from(Failure::WrongStore { path, recorded, given: given.to_owned() }).into())
            }
            _ => Ok(write(transaction, "store_hash", Some(given))?),
        })
    }

    /// From when on the next incremental pull asks, by the server's clock; `None`: nothing was ever pulled whole.
    pub(crate) fn pull_cursor(&self) -> Result<Option<DateTime<Utc>>> {
        self.time("pull_cursor")
    }

    /// A full pull that was cut.
    pub(super) fn full_pull(&self) -> Result<Option<FullPull>> {
        Ok(self.state(FULL_PULL)?.and_then(|text| FullPull::read(&text)))
    }

    /// What the pulls that were whole heard of the server's clock.
    pub(crate) fn pull_clock(&self) -> Result<KnownClock> {
        let believed = self.time("pull_clock_told")?.zip(self.time("pull_clock_here")?);
        let odd = self.state(ODD_CLOCK)?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(KnownClock { believed: believed.map(|(told, here)| PullClock { told, here }), odd })
    }

    /// The server's clock less the till's.
    pub(crate) fn clock_offset(&self) -> Result<TimeDelta> {
        self.read_at_once(|connection| Ok(clock_offset(connection)?))
    }

    /// Bytes of a call that the store takes, as it was last taught, while that is less than a day ago.
    pub(crate) fn body_limit(&self, now: DateTime<Utc>) -> Result<Option<usize>> {
        let learned_at = self.time("body_limit_at")?;
        let is_fresh = learned_at.is_some_and(|at| (now - at).abs() < TimeDelta::days(1));
        Ok(self.state("body_limit_bytes")?.filter(|_| is_fresh).and_then(|bytes| bytes.parse().ok()))
    }

    pub(crate) fn set_body_limit(&mut self, bytes: usize, now: DateTime<Utc>) -> Result<()> {
        self.set_state("body_limit_bytes", Some(&bytes.to_string()))?;
        self.set_time("body_limit_at", Some(now))
    }

    /// How many rows were believed to be gone within the last day, without a person's word.
    pub(crate) fn gone_lately(&self, resource: ResourceId, now: DateTime<Utc>) -> Result<u64> {
        Ok(self.gone_by_time(resource, now)?.iter().map(|(_, count)| count).sum())
    }

    /// So many more are.
    pub(crate) fn note_gone(&mut self, resource: ResourceId, count: u64, now: DateTime<Utc>) -> Result<()> {
        let mut gone = self.gone_by_time(resource, now)?;
        gone.push((now, count));
        self.set_state(
            &key_of(resource, GONE_LATELY),
            Some(&serde_json::to_string(&gone).unwrap_or_default()),
        )
    }

    /// A clock that was set makes nobody forget: what lies ahead counts.
    fn gone_by_time(&self, resource: ResourceId, now: DateTime<Utc>) -> Result<Vec<(DateTime<Utc>, u64)>> {
        let text = self.state(&key_of(resource, GONE_LATELY))?;
        let mut gone: Vec<(DateTime<Utc>, u64)> =
            text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        gone.retain(|(at, _)| now - *at < TimeDelta::days(1));
        Ok(gone)
    }

    pub(crate) fn time(&self, key: &str) -> Result<Option<DateTime<Utc>>> {
        let text = self.state(key)?;
        Ok(text.and_then(|text| Some(DateTime::parse_from_rfc3339(&text).ok()?.to_utc())))
    }

    pub(crate) fn set_time(&mut self, key: &str, at: Option<DateTime<Utc>>) -> Result<()> {
        self.set_state(key, at.map(stamp).as_deref())
    }
}

/// A key of `state` of a resource: that of customers bears no name.
pub(super) fn key_of(resource: ResourceId, key: &str) -> String {
    match resource.spec() {
        spec if spec.is_of_customers() => key.to_owned(),
        spec => format!("{}.{key}", spec.name),
    }
}

/// From when on the next incremental pull asks.
pub(super) fn pull_cursor(connection: &Connection) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = 'pull_cursor'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| Some(DateTime::parse_from_rfc3339(&text).ok()?.to_utc())))
}

/// The server's clock less the till's.
pub(super) fn clock_offset(connection: &Connection) -> rusqlite::Result<TimeDelta> {
    /// No clock is further off than the years that a date has.
    const MOST: TimeDelta = TimeDelta::days(366 * 10_000);
    let ms: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = 'clock_offset_ms'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let ms = ms.and_then(|ms| ms.parse().ok()).unwrap_or(0);
    Ok(Some(TimeDelta::milliseconds(ms)).filter(|offset| offset.abs() < MOST).unwrap_or_default())
}

/// The store moves balances without a newer `date_modified`: from now on an old time proves nothing of money.
pub(super) fn note_credit_undated(connection: &Connection) -> rusqlite::Result<()> {
    write(connection, "credit_undated", Some("1"))
}

/// An attribute that the store wants said in each update, though it stays as it is.
const WANTED: &str = "wanted";

/// What the store wants said in each update of a row.
pub(super) fn wanted(connection: &Connection, resource: ResourceId) -> rusqlite::Result<Option<FieldId>> {
    if !resource.fields().any(|field| field.spec().may_be_wanted) {
        return Ok(None);
    }
    let noted = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([key_of(resource, WANTED)], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(noted.and_then(|name| resource.field(&name)).filter(|field| field.spec().may_be_wanted))
}

/// Whether the store was seen to move a balance without a newer `date_modified`.
pub(super) fn is_credit_undated(connection: &Connection) -> rusqlite::Result<bool> {
    let is_known = "SELECT EXISTS (SELECT 1 FROM state WHERE key = 'credit_undated')";
    connection.prepare_cached(is_known)?.query_row([], |row| row.get(0))
}

impl Store {
    /// What the file keeps: customers, and what it was told to keep besides.
    pub(crate) fn keeps(&self) -> Result<Vec<ResourceId>> {
        let kept = self.read_at_once(|connection| Ok(schema::kept(connection)?))?;
        Ok([vec![ResourceId::CUSTOMER], kept].concat())
    }

    /// Has the file keep this too, from now on and for good, besides the customers that it keeps anyway: `attributes`, their
    /// definitions and what each customer has of them. The next pull brings them; each pull costs a call or two more.
    ///
    /// # Errors
    /// When there is no such thing, its names are an app's in this file, or that cannot be written.
    pub fn keep(&mut self, what: &str) -> Result<()> {
        let asked = kept_by(what)?;
        let kept = self.keeps()?;
        asked.into_iter().filter(|resource| !kept.contains(resource)).try_for_each(|resource| {
            match self.engine_write(|transaction| Ok(schema::keep(transaction, resource)?))? {
                None => Ok(()),
                Some(objects) => Err(Failure::Taken { path: self.path.clone(), objects }.into()),
            }
        })
    }

    /// The store wants this attribute said in each update.
    pub(crate) fn note_wanted(&mut self, field: FieldId) -> Result<()> {
        self.set_state(&key_of(field.resource(), WANTED), Some(field.name()))
    }

    /// From when on the next pull of a resource other than customers asks.
    pub(crate) fn cursor_of(&self, resource: ResourceId) -> Result<Option<DateTime<Utc>>> {
        let noted = self.state(&key_of(resource, PULL_CURSOR))?;
        Ok(noted.and_then(|text| Some(DateTime::parse_from_rfc3339(&text).ok()?.to_utc())))
    }

    pub(crate) fn set_cursor_of(&mut self, resource: ResourceId, cursor: DateTime<Utc>) -> Result<()> {
        self.set_state(&key_of(resource, PULL_CURSOR), Some(&stamp(cursor)))
    }
}

/// What a file keeps that is told to keep this.
pub(crate) fn kept_by(what: &str) -> Result<Vec<ResourceId>> {
    let all: Vec<ResourceId> = ResourceId::asked_for(what).collect();
    if all.is_empty() {
        let words = ResourceId::words().join(", ");
        return Err(Failure::Usage(format!("a file cannot keep {what:?}: it may keep {words}")).into());
    }
    Ok(all)
}

/// Counts customers that came into the snapshot, or left it: a store of a million is not counted one by one.
pub(super) fn count_snapshot(connection: &Connection, resource: ResourceId, by: i64) -> rusqlite::Result<()> {
    if by == 0 || !resource.spec().is_of_customers() {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO state (key, value)
             VALUES ('snapshot_customers', CAST(:by AS TEXT))
             ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + :by AS TEXT)",
        )?
        .execute(named_params! { ":by": by })?;
    Ok(())
}

/// How many customers are in the snapshot that were not counted; below 0: too many were.
pub(super) fn miscounted(transaction: &Connection) -> rusqlite::Result<i64> {
    transaction.query_row(
        "SELECT count(*) - coalesce((SELECT CAST(value AS INTEGER) FROM state WHERE key = 'snapshot_customers'), 0)
         FROM snapshot",
        [],
        |row| row.get(0),
    )
}

/// The store of the file, if anything of it was ever taken in.
fn recorded_store(transaction: &Connection) -> rusqlite::Result<Option<String>> {
    transaction
        .query_row(
            "SELECT value
             FROM state
             WHERE key = 'store_hash'
               AND (EXISTS (SELECT 1 FROM snapshot) OR EXISTS (SELECT 1 FROM customer)
                    OR EXISTS (SELECT 1 FROM state WHERE key = 'last_pull_at'))",
            [],
            |row| row.get(0),
        )
        .optional()
}

pub(super) fn note_full_pull(connection: &Connection, full: Option<&FullPull>) -> rusqlite::Result<()> {
    write(connection, FULL_PULL, full.map(FullPull::text).as_deref())
}

pub(super) fn note_pull_clock(connection: &Connection, clock: &KnownClock) -> rusqlite::Result<()> {
    if let Some(PullClock { told, here }) = clock.believed {
        write(connection, "pull_clock_told", Some(&stamp(told)))?;
        write(connection, "pull_clock_here", Some(&stamp(here)))?;
    }
    let odd = clock.odd.map(|odd| serde_json::to_string(&odd).unwrap_or_default());
    write(connection, ODD_CLOCK, odd.as_deref())
}

pub(super) fn write(connection: &Connection, key: &str, value: Option<&str>) -> rusqlite::Result<()> {
    match value {
        Some(value) => connection
            .prepare_cached("INSERT OR REPLACE INTO state (key, value) VALUES (:key, :value)")?
            .execute(named_params! { ":key": key, ":value": value })?,
        None => connection.prepare_cached("DELETE FROM state WHERE key = ?1")?.execute([key])?,
    };
    Ok(())
}
