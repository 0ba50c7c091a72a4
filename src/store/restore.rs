//! A backup, put back in the place of the file.
//!
//! The copy is made whole beside the file, then takes its name; what lay there goes aside, with its log, and nothing of it is read
//! into the copy. What waits in the backup may have been sent since: `life` sees to that.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use rusqlite::ErrorCode;

use super::lock::Lock;
use super::open::{SYNC, WORKER, owner_only, plain_path, raw, with_suffix};
use super::{Store, StoreOptions, stray, unlock};
use crate::error::{Error, Failure, Result};
use crate::key::Key;

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The size of the file now, in bytes.
    pub bytes: u64,
    /// Payments that wait for a person, since they may have been sent after the backup was made.
    pub held: u64,
    /// Where the file is that was there before; none: there was none.
    pub replaced: Option<PathBuf>,
}

impl Store {
    /// Puts a backup in the place of the file at `path`, with every program stopped. What lay there goes aside under another name,
    /// with its log; the backup stays where it is. Payments that wait in the backup wait for a person, unless nothing was sent
    /// since it was made: in [`Store::rejected`], each for itself. Attributes that wait are held against what the store has, by the
    /// next sync.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("till.db");
    /// # let copy = folder.path().join("monday.db");
    /// let store = tillsync::Store::open(&path)?;
    /// store.backup(&copy)?;
    /// drop(store);
    /// let restored = tillsync::Store::restore(&path, &copy, None)?;
    /// assert_eq!((restored.held, restored.replaced.is_some()), (0, true));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the backup is no till, or not whole; when anybody has the file open, or a worker or a sync of it runs; when it cannot
    /// be written. The file is as it was then.
    pub fn restore(path: impl AsRef<Path>, backup: impl AsRef<Path>, key: Option<Key>) -> Result<Restored> {
        let (path, backup) = (&plain_path(path.as_ref())?, &plain_path(backup.as_ref())?);
        if !backup.metadata().is_ok_and(|file| file.len() > 0) {
            return Err(Failure::NotThere(backup.clone()).into());
        }
        if same_file(path, backup) {
            return Err(Error::usage(format!("{} is the file itself, and no backup", backup.display())));
        }
        let in_use = || Failure::InUse(path.clone());
        let _no_sync = Lock::take(path, SYNC)?.ok_or_else(in_use)?;
        let _no_worker = Lock::take(path, WORKER)?.ok_or_else(in_use)?;
        refuse_use(path, key.as_ref())?;
        let part = &with_suffix(path, ".restored");
        reserve(part)?;
        let copied = copy(backup, part).and_then(|()| look(part, key.clone()));
        let replaced = match copied.and_then(|()| put_in_place(part, path)) {
            Ok(replaced) => replaced,
            Err(error) => {
                _ = std::fs::remove_file(part);
                return Err(error);
            }
        };
        let mut store = Store::open_with(path, StoreOptions { create: false, key })?;
        let held = store.come_home(Utc::now())?.len() as u64;
        let bytes = path.metadata().map_err(|e| Error::file(path, &e))?.len();
        Ok(Restored { bytes, held, replaced })
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Whoever goes on with a file that went aside would edit what nobody syncs. A file that does not open is nobody's.
fn refuse_use(path: &Path, key: Option<&Key>) -> Result<()> {
    super::open::refuse_company(path)?;
    if !path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    // What does not belong beside the file is not to be read into it.
    let connection = raw(path)?;
    if stray::refuse_journal(&connection, path).is_err()
        || unlock::give(&connection, path, key).is_err()
        || stray::refuse_log(&connection, path, key).is_err()
    {
        return Ok(());
    }
    drop(connection);
    let connection = raw(path)?;
    let look = || {
        connection.busy_timeout(Duration::ZERO)?;
        // The lock is taken with the first read; after one it would be too late to ask for it.
        connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    };
    unlock::give(&connection, path, key)?;
    match look() {
        Err(e)
            if matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) =>
        {
            Err(Failure::InUse(path.to_owned()).into())
        }
        _ => Ok(()),
    }
}

/// For its owner only, and on the disk.
fn copy(backup: &Path, part: &Path) -> Result<()> {
    let copy = || {
        let mut from = File::open(backup)?;
        let mut to = std::fs::OpenOptions::new().write(true).open(part)?;
        std::io::copy(&mut from, &mut to)?;
        to.sync_all()
    };
    super::open::refuse_company(backup)?;
    if with_suffix(backup, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Err(Failure::InUse(backup.to_owned()).into());
    }
    copy().map_err(|e| Error::file(part, &e))
}

/// It is a till, and sound; brought to this version.
fn look(part: &Path, key: Option<Key>) -> Result<()> {
    let store = Store::open_with(part, StoreOptions { create: false, key })?;
    match store.check()?.into_iter().next() {
        None => Ok(()),
        Some(cause) => Err(Failure::Corrupt { path: part.to_owned(), cause }.into()),
    }
}

/// Ours from now on: what lies there already is somebody else's, and stays.
fn reserve(part: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    owner_only(&mut options);
    match options.open(part) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::usage(format!(
            "{} is there already: another restore goes on, or one was killed; then move it away",
            part.display()
        ))),
        Err(e) => Err(Error::file(part, &e)),
    }
}

/// The file and what lies beside it get a second name, and then the backup takes the first one: there is a file at every instant,
/// and nothing that was in it is without a name.
fn put_in_place(part: &Path, path: &Path) -> Result<Option<PathBuf>> {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let aside = (1..)
        .map(|number| with_suffix(path, &format!(".replaced-{number}")))
        .find(|name| ["", "-wal", "-journal"].iter().all(|suffix| !is_there(&with_suffix(name, suffix))));
    let Some(aside) = aside else { return Ok(None) };
    let put = || {
        for suffix in ["-wal", "-journal", ""] {
            let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
            if is_there(&from) {
                // A disk without second names gets a copy.
                std::fs::hard_link(&from, &to).or_else(|_| std::fs::copy(&from, &to).map(drop))?;
            }
        }
        std::fs::rename(part, path)
    };
    if let Err(error) = put() {
        for suffix in ["", "-wal", "-journal"] {
            _ = std::fs::remove_file(with_suffix(&aside, suffix));
        }
        return Err(Error::file(path, &error));
    }
    for suffix in ["-wal", "-journal", "-shm"] {
        let old = with_suffix(path, suffix);
        if is_there(&old) {
            std::fs::remove_file(&old).map_err(|e| Error::file(&old, &e))?;
        }
    }
    Ok(is_there(&aside).then_some(aside))
}
