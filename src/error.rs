//! What can go wrong, said so that a person knows what happened, to whom, and what to do next.
//!
//! One public type with questions to ask of it. Every failure keeps every edit: what was journaled stays pending.

use std::path::{Path, PathBuf};

use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use serde::Serialize;

use crate::resource::{CustomerId, EditError};

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure. Ask it what it means: [`Error::is_offline`], [`Error::is_auth`], [`Error::can_retry`].
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Failure>);

/// Whom and what a failure is about. In JSON: the members of an error beside `code`, `message` and `hint`, where there are such.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct About {
    /// The customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// The attribute, as it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The bound that a value breaks: characters, digits after the point, or the greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl About {
    /// Of an edit. A line that names no customer is about none.
    fn edit(EditError { customer_id, field, problem }: &EditError) -> About {
        About {
            customer_id: Some(*customer_id).filter(|id| id.0 != 0),
            field: Some(field.clone()),
            limit: EditError::limit_in(problem),
        }
    }
}

/// The kinds of failure. The display of each is one sentence with the names that a person needs.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Refused(EditError),
    #[error("{0}")]
    RefusedBySql(String),
    #[cfg_attr(
        not(feature = "ffi"),
        allow(dead_code, reason = "SQL of an app comes through the C interface")
    )]
    #[error("{0}")]
    Constraint(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Undecidable(EditError),
    #[error("{0}")]
    MovedOn(EditError),
    #[error("{0}")]
    Settled(String),
    #[error("{0}")]
    Unforgettable(EditError),
    #[error("customer {0} is not in this file")]
    UnknownCustomer(CustomerId),
    #[error("the journal of {path} {why}")]
    UnknownReceipt { path: PathBuf, why: String },
    #[error("{path} belongs to the store {recorded}, not to {given}")]
    WrongStore { path: PathBuf, recorded: String, given: String },
    #[error("another sync of {0} is running")]
    Busy(PathBuf),
    #[error("another worker of {0} is running")]
    WorkerBusy(PathBuf),
    #[error("there is no database at {0}")]
    NotThere(PathBuf),
    #[error("the till that was at {0} was moved or deleted: {0}-life tells how far it had come")]
    HasLeft(PathBuf),
    #[error("beside the database {path} lies {journal}, which is not of it: a till keeps no such journal")]
    Stray { path: PathBuf, journal: PathBuf },
    #[error("beside the database {path} lies the log {log}, which is not of it: {why}")]
    StrayLog { path: PathBuf, log: PathBuf, why: &'static str },
    #[error("{path} is {what}, and no file")]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("the database {0} has a second name: a hard link")]
    Linked(PathBuf),
    #[error("the database {0} was moved, deleted or replaced while it was open")]
    Moved(PathBuf),
    #[error(
        "something was copied into the database {0} while it was open: its pages are not those that were written to it"
    )]
    Overwritten(PathBuf),
    #[error("the database {0} was set back, or another file was put in its place, while it was being synced")]
    SetBack(PathBuf),
    #[error("the lock {0} was removed while it was held")]
    LockGone(PathBuf),
    #[error("this process may open no more files, so that {0} could not be opened")]
    TooManyFiles(PathBuf),
    #[error("this process may open no more files, so that no connection to the store could be made: {0}")]
    NoSocket(String),
    #[error(
        "{path} is a database of another program, and no till{}",
        if taken.is_empty() { String::new() } else { format!(": names of tillsync's are taken in it by {taken}") }
    )]
    NotATill { path: PathBuf, taken: String },
    #[error("{path} is no SQLite file: it has only {bytes} bytes")]
    NotSqlite { path: PathBuf, bytes: u64 },
    #[error("names that are tillsync's are taken in the database {path} by {objects}")]
    Taken { path: PathBuf, objects: String },
    #[error(
        "customer {customer_id}: {field}: was not journaled, and so not edited: the triggers of {path} are not there"
    )]
    NotJournaled { customer_id: CustomerId, field: String, path: PathBuf },
    #[error("another program has built {tables} of the database {path} otherwise than it should be")]
    Misshapen { path: PathBuf, tables: String },
    #[error(
        "another program has written into {row} of the database {path} what is never written there: {cause}"
    )]
    BrokenRow { path: PathBuf, row: String, cause: String },
    #[error("another program has put {what} of the database {path}")]
    Displaced { path: PathBuf, what: String },
    #[error(
        "{removed} removed, and {rows} kept in {path} by {}, which did not let go: {error}",
        cause.as_deref().unwrap_or("something of the app's")
    )]
    Kept { path: PathBuf, removed: u64, rows: usize, cause: Option<String>, error: String },
    #[error("{path} is in the place of a file that tillsync keeps beside its database, and {why}")]
    NoLock { path: PathBuf, why: String },
    #[error("the database {0} is locked by another program")]
    Locked(PathBuf),
    #[cfg_attr(not(feature = "ffi"), allow(dead_code, reason = "only the C interface has such transactions"))]
    #[error(
        "another thread of this process has a transaction of tillsync_query open in {0}, for which all others wait"
    )]
    LeftOpen(PathBuf),
    #[cfg_attr(not(feature = "ffi"), allow(dead_code, reason = "only the C interface has such statements"))]
    #[error(
        "another thread of this process is at a statement of tillsync_query on {0} that has not ended, for which all others wait"
    )]
    AtWork(PathBuf),
    #[error("the database {path} is damaged: {cause}")]
    Corrupt { path: PathBuf, cause: String },
    #[error("the database {path} is of a newer schema ({found}) than this version knows ({known})")]
    NewerSchema { path: PathBuf, found: i64, known: i64 },
    #[error("no space is left on the disk of {0}")]
    DiskFull(PathBuf),
    #[cfg_attr(
        not(any(feature = "cli", feature = "ffi", feature = "extension")),
        allow(dead_code, reason = "a Rust program has a subscriber of its own")
    )]
    #[error("the log {path} cannot be written: {cause}")]
    LogFile { path: PathBuf, cause: String },
    #[error("there is no folder {folder} for {path}")]
    NoFolder { path: PathBuf, folder: PathBuf },
    #[error("this process gets no memory for what is to be read or written of {0}")]
    NoMemory(PathBuf),
    #[error("{path} cannot be written: {cause}")]
    NotWritable { path: PathBuf, cause: String },
    #[error("what was to be written breaks a foreign key of the app's in {0}")]
    Referenced(PathBuf),
    #[error("the key does not open the database {0}")]
    WrongKey(PathBuf),
    #[error("the database {0} is encrypted, and no key was given")]
    KeyNeeded(PathBuf),
    #[error("a key was given, and the database {0} is not encrypted")]
    NotEncrypted(PathBuf),
    #[error("the database {0} is open elsewhere")]
    InUse(PathBuf),
    #[error("the database {0} is open in this process outside of the SQLite of this library")]
    TwoSqlites(PathBuf),
    #[error(
        "the database {0} was open when this process was forked, and the locks of its SQLite are the parent's"
    )]
    Forked(PathBuf),
    #[error("the write-ahead log of the database {0} was deleted while it was in use")]
    LogGone(PathBuf),
    #[error("{0}")]
    Key(String),
    #[cfg_attr(not(feature = "keyring"), allow(dead_code, reason = "nobody asks a keyring then"))]
    #[error("the keyring of this system cannot be asked for the key: {0}")]
    Keyring(String),
    #[error("this build has no {what}: it was made without the feature {feature}")]
    NotBuiltIn { what: &'static str, feature: &'static str },
    #[error("the database {path}: {source}")]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error(
        "{} of the app refuses what was to be written to the database {path}: {words}",
        cause.as_deref().unwrap_or("a trigger")
    )]
    RefusedByApp { path: PathBuf, cause: Option<String>, words: String },
    #[error(
        "customer {customer_id}: a trigger of the app ends the transaction of what came from the store: {words}"
    )]
    TornDown { customer_id: CustomerId, words: String },
    #[error("a trigger of the app's in the database {path} does not end, and was stopped: {triggers}")]
    Unending { path: PathBuf, triggers: String },
    #[error("what was to be written to the database {path} is ignored by a trigger of the app's: {triggers}")]
    Ignored { path: PathBuf, triggers: String },
    #[error("the system gives this process no thread: {0}")]
    NoThread(String),
    #[error("the store cannot be reached: {0}")]
    Offline(String),
    #[error("the store cannot be reached through the proxy {0}")]
    Proxy(String),
    #[error("whoever answers in the place of the store cannot show that it is the store: {0}")]
    Certificate(String),
    #[error("the store did not do its part, {tries} times: {last}")]
    Unavailable { tries: u32, last: String },
    #[error("the store refused the {what} ({status}): {words}")]
    Auth { what: &'static str, status: u16, words: String },
    #[error("the store answered in a way that is not understood: {0}")]
    Protocol(String),
    #[error("the sync was stopped")]
    Stopped,
    #[error("{0}")]
    Unexpected(String),
}

impl Error {
    /// The same, and where the store did not do its part.
    pub(crate) fn at(mut self, place: &str) -> Error {
        if let Failure::Unavailable { last, .. } = &mut *self.0 {
            *last = format!("{place}: {last}");
        }
        self
    }

    /// The store cannot be reached or does not do its part; every edit is kept and a later sync will try again.
    pub fn is_offline(&self) -> bool {
        matches!(*self.0, Failure::Offline(_) | Failure::Proxy(_) | Failure::Unavailable { .. })
    }

    /// The token, its scope or the store hash is wrong; every edit is kept.
    pub fn is_auth(&self) -> bool {
        matches!(*self.0, Failure::Auth { .. })
    }

    /// The edit or the request was wrong; nothing was journaled.
    pub fn is_usage(&self) -> bool {
        use Failure::*;
        matches!(
            *self.0,
            Refused(_)
                | RefusedBySql(_)
                | Constraint(_)
                | Usage(_)
                | Undecidable(_)
                | MovedOn(_)
                | Settled(_)
                | Unforgettable(_)
                | UnknownCustomer(_)
                | UnknownReceipt { .. }
                | WrongStore { .. }
                | HasLeft(_)
                | Key(_)
                | Keyring(_)
                | NotBuiltIn { .. }
                | LogFile { .. }
        )
    }

    /// What was decided about is not as it was shown, or was settled in the meantime: look again, and decide what is there then.
    pub fn is_stale(&self) -> bool {
        matches!(*self.0, Failure::MovedOn(_) | Failure::Settled(_))
    }

    /// The database file: not there, locked, damaged, of a newer schema, not writable, its disk is full, or it does not
    /// open with the key. And a process that may open no more files, neither this one nor a connection to the store.
    pub fn is_database(&self) -> bool {
        use Failure::*;
        matches!(
            *self.0,
            Busy(_)
                | WorkerBusy(_)
                | NotThere(_)
                | NotATill { .. }
                | NotSqlite { .. }
                | Taken { .. }
                | Stray { .. }
                | StrayLog { .. }
                | NotAFile { .. }
                | Linked(_)
                | Moved(_)
                | Overwritten(_)
                | SetBack(_)
                | LockGone(_)
                | TornDown { .. }
                | Unending { .. }
                | Ignored { .. }
                | TooManyFiles(_)
                | NoSocket(_)
                | NotJournaled { .. }
                | Misshapen { .. }
                | BrokenRow { .. }
                | Displaced { .. }
                | Kept { .. }
                | NoLock { .. }
                | Locked(_)
                | LeftOpen(_)
                | AtWork(_)
                | Corrupt { .. }
                | NewerSchema { .. }
                | DiskFull(_)
                | NoFolder { .. }
                | NoMemory(_)
                | NotWritable { .. }
                | Referenced(_)
                | WrongKey(_)
                | KeyNeeded(_)
                | NotEncrypted(_)
                | InUse(_)
                | TwoSqlites(_)
                | Forked(_)
                | LogGone(_)
                | Database { .. }
                | RefusedByApp { .. }
        )
    }

    /// The key: it cannot be had, is wrong, is missing, or is given for a file that is not encrypted.
    pub fn is_key(&self) -> bool {
        use Failure::*;
        matches!(*self.0, Key(_) | Keyring(_) | WrongKey(_) | KeyNeeded(_) | NotEncrypted(_))
    }

    /// Nothing may be written to the file as things are: not even when the next try is.
    pub(crate) fn forbids_writing(&self) -> bool {
        use Failure::*;
        matches!(
            *self.0,
            TwoSqlites(_)
                | Forked(_)
                | LogGone(_)
                | Moved(_)
                | Overwritten(_)
                | Linked(_)
                | LockGone(_)
                | NewerSchema { .. }
        )
    }

    /// Another program has upgraded the file: this one can do nothing more with it.
    pub(crate) fn is_newer_schema(&self) -> bool {
        matches!(*self.0, Failure::NewerSchema { .. })
    }

    /// The customer of which a trigger ended the engine's transaction, and what it said.
    pub(crate) fn torn_down(&self) -> Option<(CustomerId, &str)> {
        match &*self.0 {
            Failure::TornDown { customer_id, words } => Some((*customer_id, words)),
            _ => None,
        }
    }

    /// A row of the file holds what cannot be read: SQLite's words, or those of the reader.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        match &*self.0 {
            Failure::BrokenRow { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// SQLite's own error, of which nothing more is known.
    pub(crate) fn of_sqlite(&self) -> Option<&rusqlite::Error> {
        match &*self.0 {
            Failure::Database { source, .. } => Some(source),
            _ => None,
        }
    }

    /// A trigger of the app's went on and on.
    pub(crate) fn is_unending(&self) -> bool {
        matches!(*self.0, Failure::Unending { .. })
    }

    pub(crate) fn is_ignored(&self) -> bool {
        matches!(*self.0, Failure::Ignored { .. })
    }

    pub(crate) fn is_wrong_key(&self) -> bool {
        matches!(*self.0, Failure::WrongKey(_))
    }

    /// The file is open in this process through another copy of SQLite, or as a plain file. On Unix neither sees the other's
    /// locks, so nothing was done with it.
    pub fn is_two_sqlites(&self) -> bool {
        matches!(*self.0, Failure::TwoSqlites(_))
    }

    /// Another sync, or another worker, of the same file is running.
    pub fn is_busy(&self) -> bool {
        matches!(*self.0, Failure::Busy(_) | Failure::WorkerBusy(_))
    }

    /// The same call may succeed later without anybody doing anything.
    pub fn can_retry(&self) -> bool {
        self.is_offline()
            || matches!(
                *self.0,
                Failure::Busy(_)
                    | Failure::Locked(_)
                    | Failure::LeftOpen(_)
                    | Failure::AtWork(_)
                    | Failure::LockGone(_)
                    | Failure::NoThread(_)
                    | Failure::NoMemory(_)
                    | Failure::TooManyFiles(_)
                    | Failure::NoSocket(_)
                    | Failure::Stopped
            )
    }

    /// A stable word for programs: `offline`, `busy`, `newer_schema`, …
    pub fn code(&self) -> &'static str {
        match &*self.0 {
            Failure::Refused(_) | Failure::RefusedBySql(_) => "refused",
            Failure::Constraint(_) => "constraint",
            Failure::Usage(_)
            | Failure::HasLeft(_)
            | Failure::Undecidable(_)
            | Failure::MovedOn(_)
            | Failure::Settled(_)
            | Failure::Unforgettable(_) => "usage",
            Failure::UnknownCustomer(_) => "unknown_customer",
            Failure::UnknownReceipt { .. } => "unknown_receipt",
            Failure::WrongStore { .. } => "wrong_store",
            Failure::Busy(_) | Failure::WorkerBusy(_) => "busy",
            Failure::NotThere(_) => "not_there",
            Failure::NotATill { .. } | Failure::NotSqlite { .. } => "not_a_till",
            Failure::Taken { .. } => "name_taken",
            Failure::Stray { .. } => "stray_journal",
            Failure::StrayLog { .. } => "stray_log",
            Failure::NotAFile { .. } => "not_a_file",
            Failure::Linked(_) => "hard_link",
            Failure::Moved(_) => "moved",
            Failure::Overwritten(_) => "overwritten",
            Failure::SetBack(_) => "set_back",
            Failure::LockGone(_) => "lock_gone",
            Failure::TooManyFiles(_) | Failure::NoSocket(_) => "too_many_files",
            Failure::NotJournaled { .. } => "not_journaled",
            Failure::Misshapen { .. } | Failure::BrokenRow { .. } | Failure::Displaced { .. } => "misshapen",
            Failure::Kept { .. } => "kept",
            Failure::NoLock { .. } => "no_lock",
            Failure::Locked(_) | Failure::LeftOpen(_) | Failure::AtWork(_) => "locked",
            Failure::Corrupt { .. } => "corrupt",
            Failure::NewerSchema { .. } => "newer_schema",
            Failure::DiskFull(_) => "disk_full",
            Failure::LogFile { .. } => "log_file",
            Failure::NoFolder { .. } => "no_folder",
            Failure::NotWritable { .. } => "not_writable",
            Failure::Referenced(_) => "referenced",
            Failure::WrongKey(_) => "wrong_key",
            Failure::KeyNeeded(_) => "key_needed",
            Failure::NotEncrypted(_) => "not_encrypted",
            Failure::InUse(_) => "in_use",
            Failure::TwoSqlites(_) => "two_sqlites",
            Failure::Forked(_) => "forked",
            Failure::LogGone(_) => "log_gone",
            Failure::Key(_) => "key",
            Failure::Keyring(_) => "keyring",
            Failure::NotBuiltIn { .. } => "not_built_in",
            Failure::Database { .. } => "database",
            Failure::RefusedByApp { .. } => "refused_by_app",
            Failure::TornDown { .. } => "torn_down",
            Failure::Unending { .. } => "unending",
            Failure::Ignored { .. } => "ignored",
            Failure::NoThread(_) => "no_thread",
            Failure::NoMemory(_) => "no_memory",
            Failure::Offline(_) | Failure::Proxy(_) => "offline",
            Failure::Certificate(_) => "certificate",
            Failure::Unavailable { .. } => "unavailable",
            Failure::Auth { .. } => "auth",
            Failure::Protocol(_) => "protocol",
            Failure::Stopped => "stopped",
            Failure::Unexpected(_) => "unexpected",
        }
    }

    /// Whom and what it is about, for programs that put it beside the field of a form.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let mut store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// let refused = store.edit(42).set("phone", &"5".repeat(51)).commit().unwrap_err();
    /// let about = refused.about();
    /// assert_eq!((about.customer_id, about.limit), (Some(tillsync::CustomerId(42)), Some(50)));
    /// assert_eq!(about.field.as_deref(), Some("phone"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn about(&self) -> About {
        match &*self.0 {
            Failure::Refused(edit)
            | Failure::Undecidable(edit)
            | Failure::MovedOn(edit)
            | Failure::Unforgettable(edit) => About::edit(edit),
            Failure::UnknownCustomer(id) => About { customer_id: Some(*id), ..About::default() },
            Failure::NotJournaled { customer_id, field, .. } => {
                About { customer_id: Some(*customer_id), field: Some(field.clone()), limit: None }
            }
            _ => About::default(),
        }
    }

    /// What to do next, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match &*self.0 {
            Failure::Refused(edit) if edit.is_below_floor() => {
                "nothing was journaled: take less, or have it allowed by name: override_floor in Rust, \"override\": true with an author in C, \
                 store_credit_override in SQL, credit --override --author; or set another floor"
            }
            Failure::Refused(_) | Failure::RefusedBySql(_) => {
                "nothing was journaled: correct the value and edit again"
            }
            Failure::Constraint(_) => "the statement changed nothing; a transaction that was open still is",
            Failure::UnknownCustomer(_) => "pull first, or look for the customer with find",
            Failure::UnknownReceipt { .. } => {
                "a receipt is for the file that its edits were made in: what was edited after a backup is not in what is restored from it, and \
                 what settled long ago is not kept"
            }
            Failure::WrongStore { .. } => "use one file for each store",
            Failure::Busy(_) => "wait for it to end, or give --wait SECONDS",
            Failure::WorkerBusy(_) => {
                "one worker keeps a file in step: leave it to that one, or stop that one first"
            }
            Failure::NotThere(_) => {
                "pull makes it. One that was moved away holds edits that are nowhere else: move it back, with what belongs to it"
            }
            Failure::HasLeft(_) => {
                "move it back, for what waits in it is in no other file; or begin anew: tillsync create, where nothing but \
                 its -life is left, not even an empty file"
            }
            Failure::Stray { .. } => {
                "SQLite would write it into the file, which was not touched: move it away, then try again"
            }
            Failure::StrayLog { .. } => {
                "SQLite would write it into the file, which was not touched: move it away and keep it, for it may hold edits of the file \
                 that it is of; then try again"
            }
            Failure::NotAFile { .. } => "name a file of its own for the till; nothing was touched",
            Failure::Linked(_) => {
                "each name would have a log of its own, and what is edited under one is lost under the other: remove all names but one \
                 (find -samefile lists them); a symbolic link does no harm"
            }
            Failure::Moved(_) => {
                "nothing more is written. What was edited last is in the file, where it went, or in the log that stayed behind under its \
                 old name with -wal: stop every program on it, bring file and log together again, then start anew"
            }
            Failure::Overwritten(_) => {
                "nothing more is written, and its log (-wal) stays as it is, for it holds what was edited last: stop every program on it and \
                 keep the file and its log; then restore a backup (tillsync restore), which puts both aside. Never copy into the file"
            }
            Failure::SetBack(_) => {
                "that sync ended there, and wrote nothing more; sync again: what it had sent is looked for in the store, and payments that may \
                 have been sent wait for a person. Put a copy back with tillsync restore, while no other program has the file open"
            }
            Failure::LockGone(_) => {
                "programs on a file know of each other by it, so nothing more was written; leave such files where they are, and sync again"
            }
            Failure::TooManyFiles(_) => {
                "close some, or raise the limit (ulimit -n), then try again; nothing was touched"
            }
            Failure::NoSocket(_) => {
                "close some, or raise the limit (ulimit -n); every edit is kept; it is tried again"
            }
            Failure::NotATill { taken, .. } if taken.is_empty() => {
                "name a file of its own for the till; this one was not touched. An app's tables may join it once it is a till"
            }
            Failure::NotSqlite { .. } => {
                "name a file of its own for the till; this one was not touched. If it was a till, a copy of it broke off: restore a backup"
            }
            Failure::NotATill { .. } => {
                "name a file of its own for the till; this one was not touched. An app ATTACHes it, or has its own tables join it under \
                 other names; see docs/sql.md"
            }
            Failure::Taken { .. } => {
                "the file was not touched: rename what the app has there (ALTER TABLE … RENAME TO …), or keep it in a file of its own and \
                 ATTACH that one, with its limits: see docs/sql.md"
            }
            Failure::Misshapen { .. } => {
                "it is not there, or rows in it do not fit (an id twice, none, or no number): nothing is edited or sent until it is right \
                 again, and what was edited in it by SQL shows nowhere: doctor names it; restore a backup, or pull into a new file"
            }
            Failure::BrokenRow { .. } => {
                "it was done without the triggers of the file; nothing was changed, and what other programs edit goes on being journaled. An attribute \
                 of a customer: set it to a value, and that is the edit. Anything else: restore a backup, or pull into a new file and edit in there \
                 what waits here"
            }
            Failure::Displaced { .. } => {
                "nothing was touched. Give it another name, or remove it (ALTER TABLE … RENAME TO …, DROP VIEW …); what was there before may \
                 have another name: give it back its own. Or restore a backup"
            }
            Failure::Kept { .. } => {
                "what it lets go is removed: mend or drop the trigger, then do it again; see docs/sql.md"
            }
            Failure::NoLock { .. } => {
                "it was not touched. End every program on the till and move it away, or, where another user's till has made it, give it to this one; \
                 then try again"
            }
            Failure::NotJournaled { .. } => {
                "open the file anew: that makes them again, and journals what changed without them; something rebuilds the table customer"
            }
            Failure::LeftOpen(_) => {
                "end it in that thread (tillsync_query with COMMIT or ROLLBACK), then try again; one whose thread has ended is rolled back by the \
                 next call"
            }
            Failure::AtWork(_) => {
                "try again when it has ended; what reads much is read in parts (LIMIT), so that others get their turn between them"
            }
            Failure::Locked(_) => "close the program that holds a transaction open, then try again",
            Failure::Corrupt { .. } => "restore the file from a backup; see docs/operations.md",
            Failure::NewerSchema { .. } => "upgrade tillsync; the file was not touched",
            Failure::DiskFull(_) => "free some space, then try again; every acknowledged edit is kept",
            Failure::LogFile { .. } => {
                "name a file that this user may write, in a folder that is there; nothing else was touched"
            }
            Failure::NoFolder { .. } => "make the folder (mkdir -p), or name another one",
            Failure::NoMemory(_) => {
                "free some, or raise the limit (ulimit -v); nothing half-written is left, and every acknowledged edit is kept"
            }
            Failure::NotWritable { .. } => "make the file and its folder writable for this user",
            Failure::Referenced(_) => {
                "where a table refers to a customer who goes, declare it REFERENCES customer (id) ON DELETE SET NULL, or CASCADE; else look at \
                 what the app's triggers write; then try again"
            }
            Failure::WrongKey(_) => {
                "give the key that the file was encrypted with; if this is it, the file is damaged: restore a backup"
            }
            Failure::KeyNeeded(_) => {
                "give its key; if it never had one, it is damaged: restore the file from a backup"
            }
            Failure::NotEncrypted(_) => "open it without a key; see docs/operations.md for how to encrypt it",
            Failure::InUse(_) => "stop every program and worker that has it open, then try again",
            Failure::TwoSqlites(_) => {
                "neither would see the other's locks, which destroys the file: sync by the worker as a process (tillsync worker), by \
                 the extension loaded into the app's own SQLite, or do everything through this library; and copy a file \
                 by backup, never by reading it in this process. See docs/embedding.md"
            }
            Failure::Forked(_) => {
                "fork before the till is opened, or start the child as a program of its own (exec, spawn): what it wrote could be \
                 gone when the parent ends. The parent can go on; see docs/embedding.md"
            }
            Failure::LogGone(_) => {
                "a second SQLite of this process has opened and closed the file (see docs/embedding.md), or somebody has deleted the \
                 log or its index (-wal, -shm) by hand. Nothing is written any more: end this program, and whatever else has the file open, \
                 and start it again"
            }
            Failure::Key(_) => "see docs/operations.md for what may be a key, and where it may be kept",
            Failure::Keyring(_) => "unlock the keyring, or keep the key in a file or the environment",
            Failure::NotBuiltIn { .. } => "build tillsync with that feature; the file was not touched",
            Failure::TornDown { .. } => {
                "have the trigger raise ABORT, which holds up that customer only; every edit is kept"
            }
            Failure::Unending { .. } => {
                "nothing was written: mend that trigger, or drop it; fifty million steps for one customer are enough for any"
            }
            Failure::Ignored { .. } => {
                "nothing was written: let that trigger raise ABORT where it must refuse, which is told, or drop it"
            }
            Failure::RefusedByApp { .. } => {
                "nothing was written: do as it says, mend it or drop it; what calls a function of the app's is for the app's own connection: edit there"
            }
            Failure::NoThread(_) => {
                "too many run for this user or on this machine (ulimit -u), or there is no memory for another (ulimit -v); every edit is kept; try again"
            }
            Failure::Proxy(_) => {
                "every edit is kept; the proxy is that of --proxy or TILLSYNC_PROXY, or else of ALL_PROXY or HTTPS_PROXY"
            }
            Failure::Offline(_) => "every edit is kept; sync again when the network is back",
            Failure::Certificate(_) => {
                "every edit is kept. Look at the clock of this till first; then at what stands in between: a proxy or a network that signs \
                 by itself, whose authority is to be trusted (--roots PEM), or is not"
            }
            Failure::Unavailable { .. } => "every edit is kept; sync again later",
            Failure::Auth { .. } => "every edit is kept; correct it and sync again",
            Failure::Stopped => "every edit is kept; the next sync goes on from there",
            Failure::Protocol(_) => "every edit is kept; check --api-url",
            Failure::Undecidable(_) | Failure::MovedOn(_) => {
                "nothing was changed: conflicts, rejected and log show what is open, and by which names"
            }
            Failure::Unforgettable(_) => {
                "nothing was removed; show, rejected, conflicts and log show what is there of the customer"
            }
            Failure::Usage(_) | Failure::Settled(_) | Failure::Database { .. } | Failure::Unexpected(_) => {
                return None;
            }
        })
    }

    pub(crate) fn usage(text: impl Into<String>) -> Error {
        Failure::Usage(text.into()).into()
    }

    /// What the system said of the file at `path`, which was to be made or opened.
    pub(crate) fn file(path: &Path, source: &std::io::Error) -> Error {
        let path = path.to_owned();
        let missing = missing_folder(&path).filter(|_| source.kind() == std::io::ErrorKind::NotFound);
        if let Some(folder) = missing {
            return Failure::NoFolder { path, folder }.into();
        }
        match source.kind() {
            std::io::ErrorKind::StorageFull => Failure::DiskFull(path),
            std::io::ErrorKind::OutOfMemory => Failure::NoMemory(path),
            _ if is_out_of_descriptors(source) => Failure::TooManyFiles(path),
            _ => Failure::NotWritable { path, cause: source.to_string() },
        }
        .into()
    }

    /// What SQLite said of the file at `path`, by its meaning for a person.
    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        let code = source.sqlite_error_code();
        let cause = source.to_string();
        let extended = source.sqlite_error().map(|error| error.extended_code);
        match code {
            _ if extended == Some(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Failure::Referenced(path),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::Locked(path),
            Some(ErrorCode::OperationInterrupted) => {
                Failure::Unending { path, triggers: "which, is not known".to_owned() }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Failure::Corrupt { path, cause },
            Some(ErrorCode::DiskFull) => Failure::DiskFull(path),
            Some(ErrorCode::OutOfMemory) => Failure::NoMemory(path),
            _ if source.sqlite_error().is_some_and(|e| e.extended_code == SQLITE_IOERR_SHMSIZE) => {
                Failure::DiskFull(path)
            }
            Some(ErrorCode::CannotOpen) if are_descriptors_short(OPEN_AT_ONCE) => Failure::TooManyFiles(path),
            // The index of the log tells of more than there is of the log; of other files that are too short SQLite says something else.
            _ if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHORT_READ) => Failure::LogGone(path),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Failure::NotWritable { path: read_only(&path).unwrap_or(path), cause }
            }
            _ if is_unreadable(&source) => Failure::BrokenRow { path, row: "a row".to_owned(), cause },
            _ => match refusal(&cause) {
                Some(words) => EditError::read(&words).map_or(Failure::RefusedBySql(words), Failure::Refused),
                None => Failure::Database { path, source },
            },
        }
        .into()
    }
}

/// Which file of a database it is that is read-only, where that is not the database: SQLite names none.
fn read_only(path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let is_read_only = |file: &PathBuf| file.metadata().is_ok_and(|file| file.permissions().readonly());
    let beside = ["-wal", "-shm"].map(|suffix| {
        let mut name = real.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    });
    if is_read_only(&real) { None } else { beside.iter().find(|file| is_read_only(file)).cloned() }
}

/// SQLite gave a value, and it is none of those that we write there.
pub(crate) fn is_unreadable(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
    )
}

/// The folder of a file, where it is not there.
pub(crate) fn missing_folder(path: &Path) -> Option<PathBuf> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()).map(Path::to_owned)
}

/// The process, or the whole system, has as many files open as it may.
pub(crate) fn is_out_of_descriptors(error: &std::io::Error) -> bool {
    const SYSTEM_HAS_NONE: i32 = 23;
    const PROCESS_HAS_NONE: i32 = 24;
    cfg!(unix) && matches!(error.raw_os_error(), Some(SYSTEM_HAS_NONE | PROCESS_HAS_NONE))
}

/// So many files SQLite has open at once to copy one into another. What it opened before one could not be is closed when it says so.
const OPEN_AT_ONCE: usize = 4;

/// Whether fewer files than so many can be opened now. SQLite says no more than that it could not open a file, and whoever looks up a
/// name that it was not found. A file that always can be opened tells why.
pub(crate) fn are_descriptors_short(of: usize) -> bool {
    let opened: std::io::Result<Vec<_>> = (0..of).map(|_| std::fs::File::open("/")).collect();
    cfg!(unix) && opened.is_err_and(|error| is_out_of_descriptors(&error))
}

/// The words of a trigger's refusal, out of whatever SQLite wraps them in.
fn refusal(message: &str) -> Option<String> {
    let start = message.find("tillsync refused: ")?;
    let words = &message[start + "tillsync refused: ".len()..];
    let words =
        words.split(" in UPDATE ").next().unwrap_or(words).split(" in INSERT ").next().unwrap_or(words);
    Some(words.trim_end_matches('\'').to_owned())
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error(Box::new(failure))
    }
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Error {
        Failure::Refused(error).into()
    }
}
