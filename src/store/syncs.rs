//! How the syncs of this file went, whichever program made them: how it stands now, and the last hundred of them.
//!
//! It is written by the sync itself when it ends, so that an app which missed the event, or was not running, can still ask.
//! That a sync runs just now, or a worker lives, nobody notes: the locks tell it, also after a crash.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row as SqlRow, named_params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Holder, Store, state};
use crate::clock::stamp;
use crate::error::{Error, Result};

/// The deadline of the next try after a sync that failed, a key of `state`.
pub(crate) const NEXT_TRY: &str = "next_try_at";
const STATE: &str = "sync_state";
const SINCE: &str = "sync_since";
const LAST_ERROR: &str = "last_error";
/// What is to be said of the last pull of everybody, until one ends of which nothing is.
const OF_EVERYBODY: &str = "last_full_pull_error";
/// How it stood with the fleet, a key of `state`.
pub(crate) const FLEET: &str = "fleet";
const LAST_SUCCESS: &str = "last_success_at";
/// So many rows are kept.
const MOST: i64 = 100;
/// What a sync comes to that did all it should.
const DONE: &str = "done";
/// The same, but the store's list was not whole.
const INCOMPLETE: &str = "incomplete";
/// What is said where customers are absent that are not believed to be gone.
const UNBELIEVED: &str = "unbelieved";
const NO_LOCK: &str = "no_lock";

/// What a file's syncs are at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// The last one went well, or there was none yet.
    #[default]
    Idle,
    /// One is running.
    Syncing,
    /// The store could not be reached, or did not do its part; every edit is kept.
    Offline,
    /// The store refused the token, its scope or the store hash; every edit is kept.
    Refused,
    /// The last one failed for another reason; every edit is kept.
    Failed,
}

impl SyncState {
    fn after(failure: Option<&Error>) -> SyncState {
        match failure {
            None => SyncState::Idle,
            Some(error) if error.is_offline() => SyncState::Offline,
            Some(error) if error.is_auth() => SyncState::Refused,
            Some(_) => SyncState::Failed,
        }
    }

    fn word(self) -> &'static str {
        match self {
            SyncState::Idle => "idle",
            SyncState::Syncing => "syncing",
            SyncState::Offline => "offline",
            SyncState::Refused => "refused",
            SyncState::Failed => "failed",
        }
    }

    fn named(word: &str) -> Option<SyncState> {
        use SyncState::{Failed, Idle, Offline, Refused};
        [Idle, Offline, Refused, Failed].into_iter().find(|state| state.word() == word)
    }
}

/// Why the last sync failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// As [`Error::code`]; `incomplete`: all was done, but the store's list of what changed was not whole; `unbelieved`: so
    /// many customers are absent from the store that they are not taken for deleted without a person's word.
    pub code: String,
    /// What happened, for a person.
    pub message: String,
    /// What to do next, where there is something to say.
    pub hint: Option<String>,
    /// When, by the till's clock.
    pub at: DateTime<Utc>,
}

impl LastError {
    fn of(error: &Error, at: DateTime<Utc>) -> LastError {
        let (code, hint) = (error.code().to_owned(), error.hint().map(str::to_owned));
        LastError { code, message: error.to_string(), hint, at }
    }
}

/// How it stands with the syncs of a file, in whatever process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncStatus {
    /// What they are at.
    pub state: SyncState,
    /// Since when, by the till's clock; none: there was no sync yet, or the system does not tell.
    pub since: Option<DateTime<Utc>>,
    /// When the worker tries again after a failure, by the till's clock.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When the last one that went well ended, by the till's clock.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Why the last one failed; else what is to be said of the last one that asked for everybody. None: all went well.
    pub last_error: Option<LastError>,
    /// Whether a worker keeps the file in step, in whatever process: one that was stopped from outside does not.
    pub worker_alive: bool,
    /// Whether that worker was told to pause: it syncs when it is asked, and not by itself.
    pub worker_paused: bool,
}

/// How one sync went, or several that failed in the same way one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PastSync {
    /// `sync`, `push` or `pull`.
    pub kind: String,
    /// When the first of them began, by the till's clock.
    pub began_at: String,
    /// When the last of them ended.
    pub ended_at: String,
    /// How long the last of them took.
    pub elapsed_ms: u64,
    /// `done`, `incomplete`, or the code of the error.
    pub outcome: String,
    /// How many these are.
    pub times: u64,
    /// What the last of them did, by the names of its report.
    pub counts: Value,
}

/// How a sync ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) kind: &'static str,
    pub(crate) began: DateTime<Utc>,
    pub(crate) ended: DateTime<Utc>,
    pub(crate) elapsed_ms: u64,
    /// Whether the store was asked anything.
    pub(crate) has_asked: bool,
    pub(crate) failure: Option<&'a Error>,
    /// Why the store's list was not whole.
    pub(crate) incomplete: Option<&'a str>,
    /// Customers that are absent from the store, and not believed to be gone.
    pub(crate) unbelieved: u64,
    /// Everybody was asked for, and that is over.
    pub(crate) is_of_everybody: bool,
    pub(crate) counts: Value,
    /// What else is to be remembered, under keys of `state`.
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl Ended<'_> {
    fn outcome(&self) -> &'static str {
        match (self.failure, self.incomplete) {
            (Some(error), _) => error.code(),
            (None, Some(_)) => INCOMPLETE,
            (None, None) => DONE,
        }
    }

    fn last_error(&self) -> Option<LastError> {
        let (code, message, hint) = match (self.failure, self.incomplete, self.unbelieved) {
            (Some(error), ..) => (error.code(), error.to_string(), error.hint().map(str::to_owned)),
            (None, Some(why), _) => {
                let hint = "what came is in the file";
                (INCOMPLETE, format!("the store's list was not whole: {why}"), Some(hint.to_owned()))
            }
            (None, None, 0) => return None,
            (None, None, count) => {
                let hint = format!(
                    "look into the store; if they were deleted: tillsync pull --full --allow-deletions {count}"
                );
                (UNBELIEVED, unbelieved(count), Some(hint))
            }
        };
        Some(LastError { code: code.to_owned(), message, hint, at: self.ended })
    }

    /// What is said of it for as long as no other pull of everybody has ended.
    fn of_everybody(&self) -> Option<Option<LastError>> {
        let error = self.is_of_everybody.then(|| self.last_error())?;
        let of_everybody = |error: LastError| {
            let message = format!("the last pull of everybody: {}", error.message);
            LastError { message, ..error }
        };
        Some(error.map(of_everybody))
    }

    /// One that was stopped, or had nothing to ask, says nothing about the store.
    fn is_news(&self) -> bool {
        match self.failure {
            None => self.has_asked,
            Some(error) => error.code() != "stopped",
        }
    }
}

/// The key of `state` under which it stands that the worker was told to pause.
const PAUSED: &str = "worker_paused";

impl Store {
    /// Notes how a sync ended. What a power cut takes back of it, the next sync finds out again.
    pub(crate) fn note_sync(&mut self, ended: &Ended<'_>) -> Result<()> {
        let now = SyncState::after(ended.failure);
        let before = self.state(STATE)?;
        let json = |error: LastError| serde_json::to_string(&error).unwrap_or_default();
        let error = ended.last_error().map(json);
        let of_everybody = match ended.of_everybody() {
            Some(error) => error.map(json),
            None => self.state(OF_EVERYBODY)?,
        };
        self.engine_note(|transaction| {
            for (key, value) in &ended.facts {
                state::write(transaction, key, Some(value))?;
            }
            if ended.is_news() {
                let at = stamp(ended.ended);
                if before.as_deref() != Some(now.word()) {
                    state::write(transaction, STATE, Some(now.word()))?;
                    state::write(transaction, SINCE, Some(&at))?;
                }
                if ended.is_of_everybody {
                    state::write(transaction, OF_EVERYBODY, of_everybody.as_deref())?;
                }
                state::write(
                    transaction,
                    LAST_ERROR,
                    error.as_ref().or(of_everybody.as_ref()).map(|json| &**json),
                )?;
                if ended.failure.is_none() {
                    state::write(transaction, LAST_SUCCESS, Some(&at))?;
                }
            }
            Ok(append(transaction, ended)?)
        })
    }

    /// The worker of this file begins to pause, or goes on: whoever asks how it stands is told.
    pub(crate) fn note_pause(&mut self, is_paused: bool) -> Result<()> {
        match self.state(PAUSED)?.is_some() == is_paused {
            true => Ok(()),
            false => self.set_state(PAUSED, is_paused.then_some("yes")),
        }
    }

    pub(super) fn sync_status(&self) -> Result<SyncStatus> {
        // Where something else lies in the place of a file of ours, every sync fails, and notes nothing.
        let mut no_lock = None;
        let mut held = |found: Result<Option<Holder>>| match found {
            Err(error) if error.code() == NO_LOCK => {
                no_lock.get_or_insert(error);
                Ok(None)
            }
            found => found,
        };
        let (sync, worker) = (held(self.sync_holder())?, held(self.worker_holder())?);
        held(self.can_note_beside().map(|()| None))?;
        let worker_alive = worker.as_ref().is_some_and(Holder::is_working);
        let noted = self.state(STATE)?.and_then(|word| SyncState::named(&word));
        let (state, since) = match sync {
            _ if no_lock.is_some() => (SyncState::Failed, None),
            Some(holder) => (SyncState::Syncing, holder.since),
            None => (noted.unwrap_or_default(), self.time(SINCE)?),
        };
        let noted = self.state(LAST_ERROR)?.and_then(|json| serde_json::from_str(&json).ok());
        let last_error = no_lock.map(|error| LastError::of(&error, Utc::now())).or(noted);
        Ok(SyncStatus {
            state,
            since,
            next_try_at: self.time(NEXT_TRY)?.filter(|_| worker_alive),
            last_success_at: self.time(LAST_SUCCESS)?,
            last_error,
            worker_alive,
            worker_paused: worker_alive && self.state(PAUSED)?.is_some(),
        })
    }

    /// How the last hundred syncs went, oldest first. Failures of one kind that follow each other are one of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn past_syncs(&self) -> Result<Vec<PastSync>> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT kind, began_at, ended_at, elapsed_ms, outcome, times, counts
                 FROM tillsync_syncs
                 ORDER BY id",
            )?;
            let rows = statement.query_map([], past_sync)?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|e| self.error(e))
    }
}

fn unbelieved(count: u64) -> String {
    let (customers, are, they) = match count {
        1 => ("customer", "is", "it is"),
        _ => ("customers", "are", "they are"),
    };
    format!(
        "{count} {customers} of the file {are} absent from the store, and {they} not taken for deleted: too many for one day"
    )
}

fn past_sync(row: &SqlRow<'_>) -> rusqlite::Result<PastSync> {
    Ok(PastSync {
        kind: row.get(0)?,
        began_at: row.get(1)?,
        ended_at: row.get(2)?,
        elapsed_ms: row.get(3)?,
        outcome: row.get(4)?,
        times: row.get(5)?,
        counts: serde_json::from_str(&row.get::<_, String>(6)?).unwrap_or_default(),
    })
}

/// A night without a network is one row, and does not push everything else out.
fn append(transaction: &Connection, ended: &Ended<'_>) -> rusqlite::Result<()> {
    let (elapsed_ms, counts) = (ended.elapsed_ms, ended.counts.to_string());
    let (began_at, ended_at) = (stamp(ended.began), stamp(ended.ended));
    let is_more_of_the_same = ended.failure.is_some()
        && 0 < transaction
            .prepare_cached(
                "UPDATE tillsync_syncs
                 SET ended_at = :ended_at, elapsed_ms = :elapsed_ms, times = times + 1, counts = :counts
                 WHERE id = (SELECT max(id) FROM tillsync_syncs) AND kind = :kind AND outcome = :outcome",
            )?
            .execute(named_params! {
                ":ended_at": ended_at,
                ":elapsed_ms": elapsed_ms,
                ":counts": counts,
                ":kind": ended.kind,
                ":outcome": ended.outcome(),
            })?;
    if is_more_of_the_same {
        return Ok(());
    }
    transaction
        .prepare_cached(
            "INSERT INTO tillsync_syncs (kind, began_at, ended_at, elapsed_ms, outcome, counts)
             VALUES (:kind, :began_at, :ended_at, :elapsed_ms, :outcome, :counts)",
        )?
        .execute(named_params! {
            ":kind": ended.kind,
            ":began_at": began_at,
            ":ended_at": ended_at,
            ":elapsed_ms": elapsed_ms,
            ":outcome": ended.outcome(),
            ":counts": counts,
        })?;
    transaction
        .prepare_cached("DELETE FROM tillsync_syncs WHERE id <= ?1")?
        .execute([transaction.last_insert_rowid() - MOST])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;
    use crate::error::Failure;

    fn ended<'a>(failure: Option<&'a Error>, minute: i64) -> Ended<'a> {
        let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(minute);
        let (counts, facts) = (serde_json::json!({ "put": minute }), Vec::new());
        let (kind, has_asked, incomplete) = ("sync", true, None);
        let (unbelieved, is_of_everybody) = (0, false);
        Ended {
            kind,
            began: at,
            ended: at,
            elapsed_ms: 5,
            has_asked,
            failure,
            incomplete,
            unbelieved,
            is_of_everybody,
            counts,
            facts,
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("till.db")).unwrap();
        (folder, store)
    }

    #[test]
    fn a_night_without_a_network_is_one_row_and_only_the_last_hundred_are_kept() {
        let (_folder, mut store) = store();
        let offline = Error::from(Failure::Offline("no route".to_owned()));
        for minute in 0..150 {
            store.note_sync(&ended(None, minute)).unwrap();
        }
        for minute in 150..700 {
            store.note_sync(&ended(Some(&offline), minute)).unwrap();
        }
        let syncs = store.past_syncs().unwrap();
        let last = syncs.last().unwrap();
        assert_eq!((syncs.len(), syncs[0].counts["put"].as_i64()), (100, Some(51)));
        assert_eq!(
            (last.outcome.as_str(), last.times, last.counts["put"].as_i64()),
            ("offline", 550, Some(699))
        );
        assert_eq!(
            (&*last.began_at, &*last.ended_at),
            ("1970-01-01T02:30:00.000Z", "1970-01-01T11:39:00.000Z")
        );
    }

    #[test]
    fn how_it_stands_is_in_the_file() {
        let (_folder, mut store) = store();
        let sync = |store: &Store| store.status().unwrap().sync;
        assert_eq!(sync(&store), SyncStatus::default());
        let at = |minute| Some(DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(minute));
        store.note_sync(&ended(None, 1)).unwrap();
        store.note_sync(&ended(None, 2)).unwrap();
        let idle = sync(&store);
        assert_eq!((idle.state, idle.since, idle.last_success_at), (SyncState::Idle, at(1), at(2)));
        let words = "no such token".to_owned();
        let refused = Error::from(Failure::Auth { what: "token", status: 401, words });
        store.note_sync(&ended(Some(&refused), 3)).unwrap();
        store.note_sync(&ended(Some(&Failure::Stopped.into()), 4)).unwrap();
        let after = sync(&store);
        assert_eq!((after.state, after.since, after.last_success_at), (SyncState::Refused, at(3), at(2)));
        let error = after.last_error.unwrap();
        assert_eq!((error.code.as_str(), Some(error.at), error.hint.is_some()), ("auth", at(3), true));
        let lock = store.lock_sync(std::time::Duration::ZERO).unwrap();
        assert_eq!(sync(&store).state, SyncState::Syncing);
        assert!(sync(&store).since.is_some(), "whoever syncs says since when");
        drop(lock);
        store.note_sync(&ended(None, 5)).unwrap();
        let idle = sync(&store);
        assert_eq!((idle.state, idle.since, idle.last_error), (SyncState::Idle, at(5), None));
    }

    #[test]
    fn what_a_pull_of_everybody_left_open_is_told_until_another_one_has_ended() {
        let (_folder, mut store) = store();
        let code = |store: &Store| store.status().unwrap().sync.last_error.map(|error| error.code);
        let of_everybody =
            |unbelieved, minute| Ended { unbelieved, is_of_everybody: true, ..ended(None, minute) };
        store.note_sync(&of_everybody(30, 1)).unwrap();
        store.note_sync(&ended(None, 2)).unwrap();
        assert_eq!(code(&store).as_deref(), Some("unbelieved"));
        let offline = Error::from(Failure::Offline("no route".to_owned()));
        store.note_sync(&ended(Some(&offline), 3)).unwrap();
        assert_eq!(code(&store).as_deref(), Some("offline"));
        store.note_sync(&ended(None, 4)).unwrap();
        let error = store.status().unwrap().sync.last_error.unwrap();
        assert!(error.hint.is_some_and(|hint| hint.contains("--allow-deletions 30")), "{}", error.message);
        store.note_sync(&of_everybody(0, 5)).unwrap();
        assert_eq!(code(&store), None);
    }
}
