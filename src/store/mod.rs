//! The till's file: every SQL statement of the crate stands in this module, and no connection leaks out of it.
//!
//! Its methods are verbs of the domain. An app reads and edits through [`Store`]; the engine takes news in and
//! settles edits through the methods that are not public, each one transaction that executes what the pure core
//! decided. One exception: [`Store::connection`], for an app that keeps its own tables in the same file.
//!
//! | file | what it does |
//! |---|---|
//! | `open` | creates and upgrades the file, its settings |
//! | `place`, `intact`, `stray` | whether it is what it was, where it was; whether a log beside it is its own |
//! | `lock` | the right to sync a file, or to be its worker |
//! | `edit`, `enter`, `read`, `history` | what an app does |
//! | `search` | customers by words, as one types |
//! | `floor` | below what a payment may not take a balance |
//! | `prune` | what settled long ago goes, and what is personal of customers that are gone |
//! | `often` | what is edited over and over, and waits |
//! | `unmade` | edits that were journaled and never made |
//! | `mend` | edits that were made while our triggers were not there |
//! | `backup`, `restore` | a copy of the file while it is in use; one that is put back |
//! | `leaf`, `salvage` | a page read without SQLite; edits in the log of a file that is no more |
//! | `life` | whether the file is at home, or was set back or copied |
//! | `held_up` | customers of whom something of the app's refuses what came from the store |
//! | `steps` | a bound on what a trigger of the app's may go on for |
//! | `unlock`, `rekey` | the key of an encrypted file; another one |
//! | `query` | SQL of an app that has no SQLite of its own |
//! | `create`, `follow`, `existing` | rows that the store does not have yet; all that is of one by its new id; one that is there already |
//! | `delete` | rows that were deleted here |
//! | `decide`, `decisions` | what a person decides: conflicts and rejected edits; by SQL |
//! | `waiting` | the edits that wait for a sync, customer by customer |
//! | `dirty`, `apply` | a customer with its unsettled edits, out of the file; a plan, into it |
//! | `beneath` | what a trigger edits where the engine writes |
//! | `schema` | the triggers and views, made from the table of fields; migrations |
//! | `support` | what somebody who helps may know of the file |
//! | `syncs` | how the syncs went, and how it stands with them |
//! | `holder`, `room` | who holds a lock of the file; whether it can be written |
//! | `polite` | whether others write too, and how a sync makes room for them |
//! | `log`, `readers` | the write-ahead log, moved into the file off everybody's path; who is in the way |
//! | `pages` | pages that come faster than they are written share a commit |
//! | `pull`, `batch`, `state` | a page of customers; an upload on its way; cursors and facts |

mod addresses;
mod ahead;
mod apply;
mod aside;
mod attempt;
mod attributes;
mod backup;
mod batch;
mod beneath;
mod create;
mod decide;
mod decisions;
mod delete;
mod departure;
mod dirty;
mod edit;
mod enter;
mod existing;
mod floor;
mod follow;
mod held_up;
mod history;
mod holder;
mod intact;
mod lately;
mod leaf;
mod life;
mod lock;
mod log;
mod mend;
mod often;
mod open;
mod pages;
mod place;
mod polite;
mod prune;
mod pull;
#[cfg(feature = "ffi")]
mod query;
mod read;
mod readers;
mod receipt;
mod rekey;
mod restore;
mod room;
mod row;
mod salvage;
mod schema;
mod search;
mod so_far;
mod sound;
mod state;
mod statements;
mod steps;
mod stray;
mod support;
mod syncs;
mod unlock;
mod unmade;
mod waiting;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use aside::SetAside;
pub use attributes::{Attribute, AttributeValue};
pub(crate) use batch::{Prepared, Said, Uploaded};
pub(crate) use create::{Created, LookedFor, StoreClock, by_identity};
pub(crate) use decide::FREED_AT;
pub use decide::{Conflict, Rejected};
pub(crate) use delete::Gone;
pub(crate) use dirty::Planned;
pub use edit::EditBuilder;
pub use enter::{CreationBuilder, Entered};
pub use held_up::HeldUp;
pub use holder::Holder;
#[cfg(feature = "cli")]
pub use life::has_left;
pub(crate) use lock::{Lock, SyncLock};
pub use log::LogState;
pub use mend::Unjournaled;
#[cfg(feature = "cli")]
pub use open::refuse_part;
pub use prune::Kept;
pub(crate) use prune::Newest;
pub(crate) use pull::{Judging, LAST_FULL_PULL, PageKind, PassedOver, Taken};
#[cfg(feature = "ffi")]
pub(crate) use query::{Parameters, Table};
pub use read::{DecisionRow, FleetStatus, JournalRow, Status};
pub use receipt::{Fate, Receipt};
pub use restore::Restored;
pub use salvage::Salvaged;
pub use search::Found;
pub use sound::Soundness;
pub(crate) use state::FullPull;
#[cfg(any(feature = "ffi", feature = "extension"))]
pub(crate) use state::kept_by;
pub(crate) use syncs::{Ended, FLEET, NEXT_TRY};
pub use syncs::{LastError, PastSync, SyncState, SyncStatus};
pub use waiting::Waiting;

use so_far::SoFar;

use crate::error::{Error, Failure, Result, is_unreadable};
use crate::key::Key;
use crate::resource::{BadRecord, CustomerId};

/// A till's database file, open for reading and editing. Open it once for each thread; each is its own connection.
///
/// ```
/// # fn main() -> tillsync::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// let store = tillsync::Store::open(folder.path().join("till.db"))?;
/// assert_eq!(store.status()?.pending_fields, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    place: place::Place,
    intact: Option<Arc<intact::Intact>>,
    key: Option<Key>,
    others: polite::Others,
    steps: steps::Steps,
    log: log::Log,
    open_pages: Option<pages::OpenPages>,
    /// The schema as it was when our triggers were last looked for.
    schema_seen: Option<i64>,
    /// The same as of the last question that changes nothing: it was whole then.
    found_whole: Cell<Option<i64>>,
    mended: Option<usize>,
    /// Whether the app has triggers or unique indexes on our tables, as of which schema.
    foreign: Option<(i64, bool)>,
    /// Customers of which a trigger ended a transaction of this sync, and how often.
    torn: BTreeMap<CustomerId, usize>,
    /// Customers of whom a row cannot be read.
    broken: BTreeSet<CustomerId>,
    /// While there is a sync: what its last transaction left. The next one goes on from there.
    so_far: Option<SoFar>,
    /// The newest edit when it was last looked for what is edited over and over.
    superseded_through: i64,
    brought_back: usize,
    /// Customers of this sync for which a trigger did not end.
    unending: usize,
}

/// How a file is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Make the file when it is not there. Default: yes. Where one was that was moved or deleted, none is made: what waits in it is
    /// in no other file.
    pub create: bool,
    /// Make it there, too. Default: no.
    pub anew: bool,
    /// The key of the file. A new file is encrypted with it; one that is there must be. Needs the feature `sqlcipher`.
    /// Default: none, a plain SQLite file.
    pub key: Option<Key>,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions { create: true, anew: false, key: None }
    }
}

impl Store {
    /// Opens the file, creating it when it is not there, readable and writable by its owner only.
    ///
    /// # Errors
    /// When one was there and has left ([`StoreOptions::anew`]), or the file is damaged, locked, of a newer schema, cannot be written, or its disk is full.
    pub fn open(path: impl AsRef<Path>) -> Result<Store> {
        Store::open_with(path, StoreOptions::default())
    }

    /// Opens the file, which must be there.
    ///
    /// # Errors
    /// As [`Store::open`], and when the file is not there.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Store> {
        Store::open_with(path, StoreOptions { create: false, ..StoreOptions::default() })
    }

    /// Opens the file as the options say: with a key, for one.
    ///
    /// ```
    /// # #[cfg(feature = "sqlcipher")]
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("till.db");
    /// use tillsync::{Key, Store, StoreOptions};
    ///
    /// let key = Key::passphrase("correct horse battery staple")?;
    /// Store::open_with(&path, StoreOptions { key: Some(key), ..StoreOptions::default() })?;
    ///
    /// assert_eq!(Store::open(&path).unwrap_err().code(), "key_needed");
    /// let other = StoreOptions { key: Some(Key::passphrase("another")?), ..StoreOptions::default() };
    /// assert_eq!(Store::open_with(&path, other).unwrap_err().code(), "wrong_key");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlcipher"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// As [`Store::open`]; when the key is wrong, is missing, or is given for a file that is not encrypted; and when this
    /// build has no encryption. The file is not touched then.
    pub fn open_with(path: impl AsRef<Path>, options: StoreOptions) -> Result<Store> {
        open::open(path.as_ref(), options)
    }

    /// Opens the same file once more, with the same key: another connection, for another thread.
    ///
    /// # Errors
    /// As [`Store::open_existing`].
    pub fn reopen(&self) -> Result<Store> {
        Store::open_with(&self.path, StoreOptions { create: false, anew: false, key: self.key.clone() })
    }

    /// Whether the file is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.key.is_some()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection, for an app that keeps its own tables in the same file and edits customers in its own
    /// transactions. Edits are plain SQL; see `docs/sql.md`. Leave the settings of the connection as they are.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// What SQLite said, as an error that names this file.
    fn error(&self, source: rusqlite::Error) -> Error {
        self.naming_row(Error::sqlite(&self.path, source))
    }

    /// One transaction of the engine: it holds the write lock from its start, and its marks are believed. What is decided
    /// about a customer is decided inside it, so that no edit falls between reading and writing.
    fn engine_write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Failed>) -> Result<T> {
        self.commit_pages()?;
        self.refuse_company()?;
        let (path, place, mut began) = (&self.path, &self.place, None);
        let bound = self.steps.bound();
        let run = || {
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            self.refuse_newer()?;
            began = Some(Instant::now());
            let so_far = self.refuse_set_back(believe_marks(&transaction)?)?;
            let done = work(&transaction)?;
            end_belief(&transaction)?;
            place.refuse_change()?;
            self.refuse_overwritten()?;
            transaction.commit()?;
            Ok((done, so_far))
        };
        let done = run().map_err(|failed: Failed| failed.at(path));
        drop(bound);
        let (done, so_far) = done.map_err(|error| self.naming_row(self.naming_triggers(error)))?;
        self.so_far = so_far;
        self.has_written(began.unwrap_or_else(Instant::now));
        Ok(done)
    }

    /// Of what the app has on our tables, and that does not end, ignores or refuses what is written: which that may be.
    fn naming_triggers(&self, error: Error) -> Error {
        let path = self.path.clone();
        if let Some(source) = error.of_sqlite().filter(|source| held_up::is_refusal(source)) {
            return match held_up::refused(&self.connection, source) {
                Ok(Some((cause, words))) => Failure::RefusedByApp { path, cause, words }.into(),
                _ => error,
            };
        }
        let named = match (error.is_unending(), error.is_ignored()) {
            (true, _) if !self.steps.have_ended_it() => Some(Failure::NoMemory(path)),
            (true, _) => held_up::unending(&self.connection)
                .ok()
                .flatten()
                .map(|triggers| Failure::Unending { path, triggers }),
            (_, true) => held_up::ignoring(&self.connection)
                .ok()
                .flatten()
                .map(|triggers| Failure::Ignored { path, triggers }),
            _ => None,
        };
        named.map_or(error, Error::from)
    }

    /// The same, for what the next sync would find out again: the commit is whole and in order with all others, but
    /// does not wait for the disk. A power cut may take it back, and the place from which the next sync goes on with it.
    fn engine_note<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Failed>) -> Result<T> {
        self.commit_pages()?;
        self.waits_for_disk(false)?;
        let done = self.engine_write(work);
        self.waits_for_disk(true)?;
        done
    }

    /// After a commit of the engine, which kept others from writing since then.
    fn has_written(&mut self, since: Instant) {
        self.others.have_waited(since.elapsed());
        self.tend_log();
    }

    /// Whether a commit is on the disk when it returns.
    fn waits_for_disk(&self, yes: bool) -> Result<()> {
        let level = if yes { "FULL" } else { "NORMAL" };
        self.connection.pragma_update(None, "synchronous", level).map_err(|e| self.error(e))
    }

    /// One statement that reads: what it sees belongs together without a transaction around it, which would be two statements more.
    fn read_at_once<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Failed>) -> Result<T> {
        self.refuse_overwritten()?;
        read(&self.connection).map_err(|failed| self.naming_row(failed.at(&self.path)))
    }

    /// One reading transaction: what it sees belongs together.
    fn engine_read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Failed>) -> Result<T> {
        self.refuse_overwritten()?;
        let run = || {
            let transaction = self.connection.unchecked_transaction()?;
            work(&transaction)
        };
        run().map_err(|failed: Failed| self.naming_row(failed.at(&self.path)))
    }
}

impl Drop for Store {
    /// A file that has come into other hands of this process stays open: closing it would give up their locks, and take
    /// its log from under them, for SQLite believes itself to be the last one. The end of the process closes it. And the log of a file
    /// into which somebody has copied something is not moved into it.
    fn drop(&mut self) {
        if !self.may_move_the_log() {
            _ = open::keep_log(&self.connection, true);
            tracing::warn!(path = %self.path.display(), "the log stays beside the file, which is not as it was: see `overwritten`");
        }
        let is_ours_alone = || open::refuse_loss(&self.path).and_then(|()| open::refuse_company(&self.path));
        if is_ours_alone().is_ok() {
            return;
        }
        if let Ok(nothing) = Connection::open_in_memory() {
            tracing::warn!(path = %self.path.display(), "the file stays open: this process has it open elsewhere too");
            if !self.connection.is_autocommit() {
                _ = self.connection.execute_batch("ROLLBACK");
            }
            std::mem::forget(std::mem::replace(&mut self.connection, nothing));
        }
    }
}

/// Whether the triggers believe the engine's mark, which every statement of it bears (`schema/sql/guards.sql`). It is set
/// back before the commit: no other connection ever sees it.
fn believe_marks(connection: &Connection) -> rusqlite::Result<Option<SoFar>> {
    let mut statement = connection.prepare_cached(
        "UPDATE tillsync_guard SET writing = 1, turn = turn + 1 RETURNING coalesce(identity, 0), turn",
    )?;
    let so_far = SoFar::read(&mut statement)?;
    stray::note_transaction(connection, so_far.as_ref().map(|so_far| so_far.turn))?;
    Ok(so_far)
}

/// What is noted outside of the engine's transactions, within one that is taken back when this fails.
fn believing<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("UPDATE tillsync_guard SET writing = 1")?.execute([])?;
    let done = work(connection)?;
    end_belief(connection)?;
    Ok(done)
}

fn end_belief(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE tillsync_guard SET writing = 0")?.execute([]).map(drop)
}

/// What goes wrong inside a transaction, before it is known which file that was.
#[derive(Debug)]
enum Failed {
    Sql(rusqlite::Error),
    /// A trigger of the app's ignored what was to be written.
    Ignored,
    /// A trigger of the app's edits anew what is written because of its edits.
    Restless,
    /// A trigger of the app's ended the transaction.
    TornDown {
        id: CustomerId,
        words: String,
    },
    /// What is kept of a customer cannot be read.
    Unreadable(BadRecord),
    Known(Error),
}

impl Failed {
    /// A row of the file holds what cannot be read, and why.
    fn unreadable(&self) -> Option<String> {
        match self {
            Failed::Unreadable(bad) => Some(bad.to_string()),
            Failed::Sql(error) if is_unreadable(error) => Some(error.to_string()),
            Failed::Known(error) => error.unreadable().map(str::to_owned),
            _ => None,
        }
    }

    fn at(self, path: &Path) -> Error {
        match self {
            Failed::Sql(error) => Error::sqlite(path, error),
            Failed::Ignored => {
                Failure::Ignored { path: path.to_owned(), triggers: "which, is not known".to_owned() }.into()
            }
            Failed::Restless => Failure::Unexpected(held_up::RESTLESS.to_owned()).into(),
            Failed::TornDown { id, words } => Failure::TornDown { customer_id: id, words }.into(),
            Failed::Unreadable(bad) => {
                let (path, row, cause) = (path.to_owned(), "a row".to_owned(), bad.to_string());
                Failure::BrokenRow { path, row, cause }.into()
            }
            Failed::Known(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Failed {
        Failed::Sql(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Known(error)
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Failed {
        Failed::Known(failure.into())
    }
}

impl From<BadRecord> for Failed {
    fn from(error: BadRecord) -> Failed {
        Failed::Unreadable(error)
    }
}
