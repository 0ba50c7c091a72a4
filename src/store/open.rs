//! Opening a file: creating it, upgrading it, its settings, and the lock that one sync holds.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::intact::Intact;
use super::lock::{Lock, SyncLock};
use super::log::Log;
use super::place::Place;
use super::polite::Others;
use super::steps::Steps;
use super::{Store, StoreOptions, life, mend, schema, stray, unlock};
use crate::descriptors::{self, Holder};
use crate::error::{Error, Failure, Result};
use crate::key::Key;

/// How long a statement waits for another connection's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a file that another process is just creating, or syncing, is looked at.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Pages of the write-ahead log before they are moved into the file, which takes longer than a commit and slows the disk
/// for everybody. In a pull of everything the same pages of the indexes are written again and again: more of them wait.
/// An app's connection leaves that to the engine's, as long as there are syncs: see `log`.
const CHECKPOINT_PAGES: usize = 8_000;
const BULK_CHECKPOINT_PAGES: usize = 16_000;
/// Memory for pages of the file, in KiB: a page of customers touches a leaf of an index for almost each of them.
const CACHE_KIB: i64 = 2_000;
const BULK_CACHE_KIB: i64 = 24_000;
/// What the files of the locks are called, behind the name of the database.
pub(super) const SYNC: &str = "-sync";
pub(super) const WORKER: &str = "-worker";
/// Statements kept prepared: one for each column and each verb.
const STATEMENTS: usize = 160;

pub(super) fn open(path: &Path, options: StoreOptions) -> Result<Store> {
    let StoreOptions { create: may_create, anew, key } = options;
    unlock::allow(key.as_ref())?;
    let path = &plain_path(path)?;
    Place::find(path)?;
    refuse_loss(path)?;
    refuse_company(path)?;
    let missing = Missing::of(may_create, anew);
    find_or_create(path, missing)?;
    let had_log = stray::has_log(path);
    let mut connection = connect(path, key.as_ref())?;
    // Until it is known to be a till.
    keep_log(&connection, had_log).map_err(|e| Error::sqlite(path, e))?;
    let steps = Steps::watch(&mut connection).map_err(|e| Error::sqlite(path, e))?;
    let place = Place::find(path)?.ok_or_else(|| Failure::Moved(path.to_owned()))?;
    let (others, log, open_pages) = (Others::default(), Log::default(), None);
    let (schema_seen, mended, brought_back) = (None, None, 0);
    let (foreign, torn, broken) = (None, BTreeMap::new(), BTreeSet::new());
    let mut store = Store {
        connection,
        path: path.to_owned(),
        place,
        intact: None,
        key,
        others,
        steps,
        log,
        open_pages,
        schema_seen,
        found_whole: Cell::new(None),
        mended,
        foreign,
        torn,
        broken,
        brought_back,
        superseded_through: 0,
        unending: 0,
        so_far: None,
    };
    store.settings().map_err(|e| store.error(e))?;
    store.upgrade(missing)?;
    keep_log(&store.connection, false).map_err(|e| store.error(e))?;
    store.permissions().map_err(|e| store.error(e))?;
    store.watch_pages()?;
    close_what_lies_beside(path);
    descriptors::mark(path);
    Ok(store)
}

/// A connection that can read the file: every one is made here, so that none goes without the key.
pub(super) fn connect(path: &Path, key: Option<&Key>) -> Result<Connection> {
    let had_log = stray::has_log(path);
    let connection = raw(path)?;
    stray::refuse_foreign(&connection, path, key)?;
    stray::refuse_journal(&connection, path)?;
    refuse_read_only(&connection, path)?;
    unlock::give(&connection, path, key)?;
    stray::refuse_log(&connection, path, key)?;
    // What is refused from here on keeps its log.
    keep_log(&connection, had_log).map_err(|e| Error::sqlite(path, e))?;
    unlock::look(&connection, path, key)?;
    keep_log(&connection, false).map_err(|e| Error::sqlite(path, e))?;
    Ok(connection)
}

/// Before anything of it is read: beside a file that is read-only SQLite makes a log and its index that are so too, and these would stay.
pub(super) fn refuse_read_only(connection: &Connection, path: &Path) -> Result<()> {
    match connection.is_readonly(rusqlite::MAIN_DB) {
        Ok(true) => {
            let cause = "it is read-only, or this user may not write it".to_owned();
            Err(Failure::NotWritable { path: path.to_owned(), cause }.into())
        }
        Ok(false) => Ok(()),
        Err(e) => Err(Error::sqlite(path, e)),
    }
}

/// Whether the log stays as it is when the last connection is closed.
pub(super) fn keep_log(connection: &Connection, yes: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, yes).map(drop)
}

/// A connection before its key; it has read nothing yet.
pub(super) fn raw(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_handler(Some(look_again))?;
        Ok(connection)
    };
    open().map_err(|e| Error::sqlite(path, e))
}

/// Refuses a file that is in other hands of this process, or was in ours before a fork, before it is opened: closing it again would
/// give up their locks.
pub(crate) fn refuse_company(path: &Path) -> Result<()> {
    let file = real(path);
    let files = ["", "-wal", "-shm", "-journal"].map(|suffix| with_suffix(&file, suffix));
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    match descriptors::held_by(&files) {
        Some(Holder::Others) => Err(Failure::TwoSqlites(path.to_owned()).into()),
        Some(Holder::Parent) => Err(Failure::Forked(path.to_owned()).into()),
        None => Ok(()),
    }
}

/// Refuses a file whose log was deleted under a connection of ours: what is written now would be in no file.
pub(crate) fn refuse_loss(path: &Path) -> Result<()> {
    let file = real(path);
    // Who opens it anew reads the log by another index than ours.
    let beside = ["-wal", "-shm"].map(|suffix| with_suffix(&file, suffix));
    match descriptors::is_any_deleted(&beside) {
        true => Err(Failure::LogGone(path.to_owned()).into()),
        false => Ok(()),
    }
}

/// A path that means a file, to us and to SQLite alike; made absolute, so that it goes on to mean the same one.
pub(super) fn plain_path(path: &Path) -> Result<PathBuf> {
    let text = path.to_string_lossy();
    if text.trim().is_empty() || text.starts_with(':') || text.starts_with("file:") {
        return Err(Error::usage(format!("{text:?} names no file: give its path")));
    }
    refuse_part(path)?;
    let path = std::path::absolute(path).map_err(|e| Error::file(path, &e))?;
    #[cfg(windows)]
    let path = match crate::windows::is_no_file(&path) {
        true => return Err(Error::usage(format!("{text:?} names no file: give its path"))),
        false => crate::windows::own_name(&path),
    };
    refuse_long(&path)?;
    Ok(path)
}

/// Nothing is made under the name of what lies beside a till.
///
/// # Errors
/// When the path is such a name.
pub fn refuse_part(path: &Path) -> Result<()> {
    BESIDE.iter().find(|suffix| is_beside(path, suffix)).map_or(Ok(()), |suffix| {
        Err(Error::usage(format!(
            "{} is no name for a file of its own: one with {suffix} is part of another, which empties or deletes it",
            path.display()
        )))
    })
}

/// What lies beside a file is called as it is, with more behind: where that does not fit, SQLite would find out after we have made the
/// file.
fn refuse_long(path: &Path) -> Result<()> {
    /// The longest of what is behind: `-journal`, `-upgrade`.
    const BEHIND_BYTES: usize = 8;
    /// What disks take for a name, and SQLite for a path.
    const NAME_BYTES: usize = 255 - BEHIND_BYTES;
    const PATH_BYTES: usize = 512 - BEHIND_BYTES;
    let name_bytes = path.file_name().map_or(0, |name| name.len());
    let path_bytes = path.as_os_str().len();
    if name_bytes <= NAME_BYTES && path_bytes <= PATH_BYTES {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{} is too long: the name of a till has at most {NAME_BYTES} bytes, not {name_bytes}, and its path {PATH_BYTES}, not \
         {path_bytes}: what lies beside it has longer ones",
        path.display()
    )))
}

/// What SQLite and we keep beside a file, and whatever is called so is taken for.
const BESIDE: [&str; 9] =
    ["-wal", "-shm", "-journal", "-sync", "-worker", "-upgrade", "-life", "-mj", ".part"];

/// A disk may not tell great letters from small ones.
fn is_beside(path: &Path, suffix: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().ends_with(suffix))
}

/// The smallest page that a database of SQLite has.
const LEAST_BYTES: u64 = 512;

/// One at a time: nobody in this process opens a file by SQLite, or looks who has it open, while another one has just made it, and
/// closes it.
static ALONE: Mutex<()> = Mutex::new(());

/// What becomes of a file that is not there, or is empty.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refused,
    /// It becomes a till, where none has left: what waits in that one is in no other file, and nobody would miss it.
    Made,
    /// It becomes a till in any case.
    Begun,
}

impl Missing {
    fn of(may_create: bool, anew: bool) -> Missing {
        match (may_create, anew) {
            (false, _) => Missing::Refused,
            (true, false) => Missing::Made,
            (true, true) => Missing::Begun,
        }
    }
}

fn find_or_create(path: &Path, missing: Missing) -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let may_create = missing != Missing::Refused;
    if may_create {
        stray::refuse_log_of_none(path)?;
        if missing == Missing::Made && life::has_left(path) {
            return Err(Failure::HasLeft(path.to_owned()).into());
        }
        create(path)?;
    }
    // It is no database at all, and SQLite would take it for an empty one.
    let bytes = path.metadata().map_or(0, |file| file.len());
    if (1..LEAST_BYTES).contains(&bytes) {
        return Err(Failure::NotSqlite { path: path.to_owned(), bytes }.into());
    }
    // An empty file is what a download or a disk left that failed: no till was ever in it.
    let is_there = path.metadata().is_ok_and(|file| may_create || file.len() > 0);
    if is_there { Ok(()) } else { Err(Failure::NotThere(path.to_owned()).into()) }
}

/// An empty file for its owner only; what lies beside it is to have the same rights.
fn create(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    owner_only(&mut options);
    match options.open(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::file(path, &e)),
        Err(_) if leads_nowhere(path) => {
            let what = "a symbolic link to what is not there";
            Err(Failure::NotAFile { path: path.to_owned(), what }.into())
        }
        _ => {
            close_to_others(path);
            Ok(())
        }
    }
}

/// A disk that is not there now, perhaps: no file is made behind it, and none in its place.
fn leads_nowhere(path: &Path) -> bool {
    let is_link = path.symlink_metadata().is_ok_and(|found| found.file_type().is_symlink());
    is_link && path.metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// An empty file is to become a till, or a copy of one, whoever made it. Where its rights cannot be changed it is said; `doctor`
/// says it too.
pub(super) fn close_to_others(path: &Path) {
    let is_empty = path.metadata().is_ok_and(|file| file.is_file() && file.len() == 0);
    if !is_empty {
        return;
    }
    if let Err(error) = leave_to_owner(path) {
        tracing::warn!(path = %path.display(), %error, "others may open the file: its rights could not be changed");
    }
}

#[cfg(unix)]
fn leave_to_owner(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

#[cfg(windows)]
fn leave_to_owner(path: &Path) -> std::io::Result<()> {
    crate::windows::close_to_others(path)
}

#[cfg(not(any(unix, windows)))]
fn leave_to_owner(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// What SQLite keeps beside a file has the same rights elsewhere; on Windows it has those of the folder, until this.
#[cfg(windows)]
fn close_what_lies_beside(path: &Path) {
    for beside in
        ["-wal", "-shm"].map(|suffix| with_suffix(path, suffix)).iter().filter(|beside| beside.exists())
    {
        if let Err(error) = crate::windows::give_rights_of(path, beside) {
            tracing::warn!(path = %beside.display(), %error, "others may open it: its rights could not be changed");
        }
    }
}

#[cfg(not(windows))]
fn close_what_lies_beside(_: &Path) {}

#[cfg(unix)]
pub(super) fn owner_only(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

/// No file is made with rights of its own here: see [`close_to_others`].
#[cfg(not(unix))]
pub(super) fn owner_only(_: &mut OpenOptions) {}

/// Waits for another connection's transaction. SQLite's own waits double up to a tenth of a second, by which an edit
/// would miss every gap between the pages of a pull; these stay short.
pub(super) fn look_again(tries: i32) -> bool {
    look_for(BUSY_TIMEOUT, tries)
}

/// The same for so long. What counts is time, not tries: where a sleep of a millisecond takes fifteen, ten seconds are ten all the
/// same.
pub(super) fn look_for(most: Duration, tries: i32) -> bool {
    const SHORT: Duration = Duration::from_micros(100);
    const LONG: Duration = Duration::from_millis(1);
    const SHORT_TRIES: i32 = 50;
    thread_local! {
        static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    if tries == 0 || BEGAN.get().is_none() {
        BEGAN.set(Some(Instant::now()));
    }
    if BEGAN.get().is_some_and(|began| began.elapsed() >= most) {
        return false;
    }
    std::thread::sleep(if tries < SHORT_TRIES { SHORT } else { LONG });
    true
}

impl Store {
    /// From now on it is noticed when somebody copies something into the file.
    fn watch_pages(&mut self) -> Result<()> {
        let intact =
            Intact::of(&self.connection, &self.path, self.key.as_ref()).map_err(|e| self.error(e))?;
        self.intact = Some(Arc::new(intact));
        self.refuse_overwritten()?;
        self.tend_log_of_edits().map_err(|e| self.error(e))
    }

    fn settings(&mut self) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "foreign_keys", true)?;
        // What was deleted is overwritten: a password leaves no trace.
        connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
        // Tills lose power: a commit is on the disk when it returns.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        self.tend_log_of_edits()
    }

    /// From now on this connection is a sync's.
    pub(crate) fn begin_sync(&mut self) -> Result<()> {
        self.refuse_overwritten()?;
        self.look_at_schema()?;
        self.torn.clear();
        self.broken = self.still_broken()?;
        self.unending = 0;
        self.leave_unending()?;
        self.refuse_misshapen()?;
        self.look_for_replaced()?;
        self.back_to_log()?;
        self.expect_nobody()?;
        self.expect_bulk(false).map_err(|e| self.error(e))
    }

    /// Whether very many customers are about to be written.
    pub(super) fn expect_bulk(&mut self, yes: bool) -> rusqlite::Result<()> {
        let (kib, pages) =
            if yes { (BULK_CACHE_KIB, BULK_CHECKPOINT_PAGES) } else { (CACHE_KIB, CHECKPOINT_PAGES) };
        self.connection.pragma_update(None, "cache_size", -kib)?;
        self.keep_log_within(pages)
    }

    /// Brings the schema up to this version. Several processes may open a fresh file at once: one of them does it.
    fn upgrade(&mut self, missing: Missing) -> Result<()> {
        self.make_current(missing)?;
        self.back_to_log()?;
        self.mend()?;
        // Whoever has the right to write meanwhile keeps nobody from opening: the next sync looks again.
        if let Err(error) = self.look_for_replaced() {
            tracing::warn!(%error, "whether a customer was replaced by another could not be looked after");
        }
        self.schema_seen = Some(self.schema_changes()?);
        Ok(())
    }

    /// Whether anybody has changed the schema since our triggers were last looked for.
    pub(super) fn is_schema_new(&self) -> Result<bool> {
        Ok(self.schema_seen != Some(self.schema_changes()?))
    }

    /// Whether anything of ours was taken out, or is of another build, since then. It is looked for once after each change of the schema, and nothing
    /// is written.
    pub(super) fn is_to_be_mended(&self) -> Result<bool> {
        let now = self.schema_changes()?;
        if self.schema_seen == Some(now) || self.found_whole.get() == Some(now) {
            return Ok(false);
        }
        let is_whole = self
            .schema_version()
            .and_then(|found| Ok(found == schema::newest() && schema::is_current(&self.connection)?));
        let is_whole = is_whole.map_err(|e| self.error(e))?
            && self.state(mend::DUE)?.is_none()
            && self.refuse_displaced().is_ok();
        self.found_whole.set(is_whole.then_some(now));
        Ok(!is_whole)
    }

    /// Looks whether our triggers are still there, where anybody has changed the schema since.
    fn look_at_schema(&mut self) -> Result<()> {
        if self.is_schema_new()? { self.upgrade(Missing::Refused) } else { Ok(()) }
    }

    /// The same in the middle of a sync, before what came from the store is written over what an app may have edited since without them. Where it
    /// fails, what is written of each customer is looked at all the same, and the next sync says why.
    pub(super) fn look_at_triggers(&mut self) {
        let looked = self.commit_pages().and_then(|()| self.look_at_schema());
        if let Err(error) = looked {
            tracing::warn!(%error, "whether the triggers of the file are there could not be looked after");
        }
    }

    /// Refuses to go on when another program has upgraded the file meanwhile, be it without any change of the schema. It costs next
    /// to nothing while there was none; inside a transaction that holds the write lock, nobody can before its end.
    pub(crate) fn refuse_newer(&self) -> Result<()> {
        let found = match self.schema_seen == Some(self.schema_changes()?) {
            true => schema::noted(&self.connection),
            false => self.schema_version(),
        };
        let (found, known) = (found.map_err(|e| self.error(e))?, schema::newest());
        match found > known {
            true => Err(Failure::NewerSchema { path: self.path.clone(), found, known }.into()),
            false => Ok(()),
        }
    }

    /// A number that changes with every change of the schema, of whatever process.
    pub(crate) fn schema_changes(&self) -> Result<i64> {
        let ask = || self.connection.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0));
        ask().map_err(|e| self.error(e))
    }

    fn make_current(&mut self, missing: Missing) -> Result<()> {
        let known = schema::newest();
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            let found = self.schema_version().map_err(|e| self.error(e))?;
            if found > known {
                return Err(Failure::NewerSchema { path: self.path.clone(), found, known }.into());
            }
            let taken = schema::taken(&self.connection, found).map_err(|e| self.error(e))?;
            if found > 0 && !taken.is_empty() {
                // Another process may have upgraded it just now: then they are ours.
                match self.schema_version().map_err(|e| self.error(e))? == found {
                    true => {
                        let (path, objects) = (self.path.clone(), taken.join(", "));
                        return Err(Failure::Taken { path, objects }.into());
                    }
                    false => continue,
                }
            }
            self.refuse_displaced()?;
            if found == known && schema::is_current(&self.connection).map_err(|e| self.error(e))? {
                return Ok(());
            }
            if found == 0 && !schema::is_empty(&self.connection).map_err(|e| self.error(e))? {
                // Another process may have made it just now.
                match self.schema_version().map_err(|e| self.error(e))? {
                    0 => return Err(stray::not_a_till(&self.path, &self.connection)),
                    _ => continue,
                }
            }
            if found == 0 && schema::is_claimed(&self.connection).map_err(|e| self.error(e))? {
                return Err(stray::not_a_till(&self.path, &self.connection));
            }
            if found == 0 && missing == Missing::Refused {
                return Err(Failure::NotThere(self.path.clone()).into());
            }
            // An app may have made it a database already, without a table.
            if found == 0 && missing == Missing::Made && life::has_lived(&self.path) {
                match self.schema_version().map_err(|e| self.error(e))? {
                    0 => return Err(Failure::HasLeft(self.path.clone()).into()),
                    _ => continue,
                }
            }
            if let Some(_alone) = Lock::take(&self.path, "-upgrade")? {
                let was_current =
                    found == known && schema::was_current(&self.connection).map_err(|e| self.error(e))?;
                return self.migrate(was_current).map_err(|e| self.error(e));
            }
            if Instant::now() >= deadline {
                return Err(Failure::Locked(self.path.clone()).into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// What somebody has put in the place of something of ours, or has taken away with all that was in it, can be mended by nobody but
    /// them.
    fn refuse_displaced(&self) -> Result<()> {
        let look = || match schema::is_till(&self.connection)? {
            true => Ok((schema::displaced(&self.connection)?, schema::lost(&self.connection)?)),
            false => Ok((Vec::new(), Vec::new())),
        };
        let (displaced, lost) = look().map_err(|e| self.error(e))?;
        let path = self.path.clone();
        match (displaced.is_empty(), lost.is_empty()) {
            (true, true) => Ok(()),
            (false, _) => Err(Failure::Displaced { path, what: displaced.join(", ") }.into()),
            (true, false) => Err(Failure::Misshapen { path, tables: lost.join(", ") }.into()),
        }
    }

    /// Whether the file is in WAL mode, as it must be for edits to go on beside readers.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_log(&self) -> Result<bool> {
        let mode = || self.connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        Ok(mode().map_err(|e| self.error(e))?.eq_ignore_ascii_case("wal"))
    }

    /// Sets WAL mode again, which a program may have left (`PRAGMA journal_mode`), unless somebody else has the file open: nobody is waited
    /// for.
    fn back_to_log(&mut self) -> Result<()> {
        if self.has_log()? {
            return Ok(());
        }
        self.connection.busy_handler::<fn(i32) -> bool>(None).map_err(|e| self.error(e))?;
        let done = self.connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
        self.connection.busy_handler(Some(look_again)).map_err(|e| self.error(e))?;
        if let Err(error) = done {
            tracing::warn!(%error, "a program has set another journal mode than WAL, and it cannot be set back now");
        }
        Ok(())
    }

    fn migrate(&mut self, was_current: bool) -> rusqlite::Result<()> {
        self.connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        schema::upgrade(&mut self.connection, was_current)
    }

    /// The newest migration that the file has seen; 0: none.
    pub(crate) fn schema_version(&self) -> rusqlite::Result<i64> {
        schema::history(&self.connection)
    }

    /// Reading works on a file that cannot be written, but nothing here is of use then: say so at once.
    fn permissions(&self) -> rusqlite::Result<()> {
        if self.connection.is_readonly(rusqlite::MAIN_DB)? {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
            return Err(rusqlite::Error::SqliteFailure(code, Some("it is read-only".to_owned())));
        }
        Ok(())
    }

    /// Refuses to go on when the file has come into other hands of this process since it was opened, or was in them: who
    /// closes it takes itself for the last one, and deletes the log. And when it is another file by now, or has pages of another one.
    pub(crate) fn refuse_company(&self) -> Result<()> {
        self.place.refuse_change()?;
        self.refuse_overwritten()
    }

    /// Whether a sync of this file runs now, in whatever process.
    ///
    /// # Errors
    /// When the lock's file cannot be read.
    pub fn is_syncing(&self) -> Result<bool> {
        Ok(self.sync_holder()?.is_some())
    }

    /// Takes the place of the one background worker of this file; `None`: another one has it.
    pub(crate) fn lock_worker(&self) -> Result<Option<Lock>> {
        Lock::take(&self.path, WORKER)
    }

    /// Takes the right to sync this file, which dies with the process; waits for it at most `wait`.
    pub(crate) fn lock_sync(&mut self, wait: Duration) -> Result<SyncLock> {
        let began = Instant::now();
        loop {
            if let Some(lock) = Lock::take(&self.path, SYNC)? {
                let lock = Arc::new(lock);
                self.place.sync_lock = Arc::downgrade(&lock);
                return Ok(SyncLock(lock));
            }
            if began.elapsed() >= wait {
                return Err(Failure::Busy(self.path.clone()).into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// What lies beside one database, by whichever path it was opened.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    with_suffix(&real(database), suffix)
}

/// The file behind links, beside which SQLite has its own.
pub(super) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
