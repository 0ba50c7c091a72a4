//! Locks of the operating system on files beside the database: the right to sync it, to be its worker, to upgrade it.
//!
//! They die with the process. The files stay, for removing one would let two in: whoever has opened it before locks a file
//! that nobody else will find. Where somebody removes one all the same, its holder finds out: the path leads to another file,
//! or to none.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::holder;
use super::open::{beside, owner_only};
use crate::descriptors::{file_id, names};
use crate::error::{Error, Failure, Result};

/// The right to sync a file, until it is dropped.
#[derive(Debug)]
pub(crate) struct SyncLock(#[allow(dead_code, reason = "held for its drop")] pub(super) Arc<Lock>);

/// A lock that is held until it is dropped; in its file stands whose it is.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// `None`: somebody else has it. Of one database there is one lock, by whichever path it was opened.
    pub(super) fn take(database: &Path, suffix: &str) -> Result<Option<Lock>> {
        /// So often it is removed between two steps before that is somebody's doing.
        const TRIES: u32 = 20;
        /// Whoever only looks who has it is gone in an instant, unless the machine has other work.
        const LOOKS: u32 = 1_000;
        const LOOK_AGAIN: Duration = Duration::from_millis(1);
        let path = beside(database, suffix);
        let (mut tries, mut looks) = (0, 0);
        while tries < TRIES {
            let file = open(&path, true)?;
            match file.try_lock() {
                Ok(()) => refuse_other(&path, &file)?,
                Err(TryLockError::WouldBlock) if looks < LOOKS && is_free(&path, &file)? => {
                    looks += 1;
                    std::thread::sleep(LOOK_AGAIN);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(Error::file(&path, &e)),
            }
            let lock = Lock { file, path: path.clone() };
            if lock.is_there() {
                holder::sign(&lock.file, database);
                return Ok(Some(lock));
            }
            tries += 1;
        }
        Err(Failure::LockGone(path).into())
    }

    /// Whether somebody has the lock of this file, whoever that is. What cannot be told is no.
    pub(super) fn is_taken(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(is_free(path, &file), Ok(false)))
    }

    /// Whether it is still the lock that others find.
    pub(crate) fn is_there(&self) -> bool {
        match (self.path.symlink_metadata(), self.file.metadata()) {
            (Ok(found), Ok(held)) => file_id(&found) == file_id(&held),
            (Err(e), _) => e.kind() != std::io::ErrorKind::NotFound,
            (_, Err(_)) => true,
        }
    }

    /// Says to others that its holder lives.
    pub(crate) fn live(&self) {
        holder::live(&self.file);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    /// Nobody's any more, before it is free. Closing alone frees it only when nobody else has the descriptor, and a program that this
    /// process is about to start has all of them until it runs.
    fn drop(&mut self) {
        _ = self.file.set_len(0);
        _ = self.file.unlock();
    }
}

/// Whether nobody has this lock. Whoever looks shares it with others that look, for an instant.
pub(super) fn is_free(path: &Path, file: &File) -> Result<bool> {
    let looked = match file.try_lock_shared() {
        Ok(()) => file.unlock(),
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(e)) => Err(e),
    };
    looked.map(|()| true).map_err(|e| Error::file(path, &e))
}

/// The file of a lock, or another that is kept beside the database, if there is one, as whoever takes it opens it. Whatever else lies there, or cannot be opened by this user, is told.
pub(super) fn find(path: &Path) -> Result<Option<File>> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        _ => open(path, false).map(Some),
    }
}

/// Refuses what holds something else than a lock does.
pub(super) fn refuse_other(path: &Path, file: &File) -> Result<()> {
    match holder::is_lock(file) {
        true => Ok(()),
        false => Err(no_lock(path, "holds what no lock holds")),
    }
}

/// A link is not followed: its target is not ours, and would be made and written. One that appears between the look and the
/// opening is found by [`Lock::is_there`], before anything is written.
pub(super) fn open(path: &Path, may_create: bool) -> Result<File> {
    let found = path.symlink_metadata().ok().map(|found| found.file_type());
    match found {
        Some(found) if found.is_dir() => return Err(no_lock(path, "is a folder")),
        Some(found) if found.is_symlink() => return Err(no_lock(path, "is a symbolic link")),
        Some(found) if !found.is_file() => return Err(no_lock(path, "is no file")),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(may_create).truncate(false);
    owner_only(&mut options);
    keep_its_name(&mut options);
    let file = options.open(path).map_err(|e| match e.kind() {
        ErrorKind::PermissionDenied if found.is_some() => {
            no_lock(path, &format!("this user may not read and write it ({e})"))
        }
        _ => Error::file(path, &e),
    })?;
    match file.metadata() {
        Ok(of) if names(&of) > 1 => Err(no_lock(path, "has another name elsewhere (a hard link)")),
        _ => Ok(file),
    }
}

pub(super) fn no_lock(path: &Path, why: &str) -> Error {
    Failure::NoLock { path: path.to_owned(), why: why.to_owned() }.into()
}

#[cfg(unix)]
fn keep_its_name(_: &mut OpenOptions) {}

/// For reading and writing by others, and not for deleting: nobody can remove it then.
#[cfg(windows)]
fn keep_its_name(options: &mut OpenOptions) {
    use std::os::windows::fs::OpenOptionsExt;
    const SHARE_READ_AND_WRITE: u32 = 1 | 2;
    options.share_mode(SHARE_READ_AND_WRITE);
}

#[cfg(not(any(unix, windows)))]
fn keep_its_name(_: &mut OpenOptions) {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;
    use crate::store::open::SYNC;

    /// A program that this process starts has all its descriptors for a moment, and with them what is locked through them.
    #[test]
    fn a_lock_that_is_given_up_is_free_whoever_has_its_descriptor_still() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("till.db");
        let lock = Lock::take(&database, SYNC).unwrap().unwrap();
        let of_another = lock.file.try_clone().unwrap();
        drop(lock);
        let path = beside(&database, SYNC);
        let look = File::open(&path).unwrap();
        assert!(is_free(&path, &look).unwrap() && !Lock::is_taken(&path));
        assert!(Lock::take(&database, SYNC).unwrap().is_some());
        drop((of_another, look));
    }

    #[test]
    fn whoever_only_looks_keeps_nobody_off() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("till.db");
        let lock = Lock::take(&database, SYNC).unwrap().unwrap();
        assert!(Lock::take(&database, SYNC).unwrap().is_none());
        drop(lock);
        // It was put off by the system in the middle of its look.
        let look = File::open(beside(&database, SYNC)).unwrap();
        look.try_lock_shared().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                drop(look);
            });
            assert!(Lock::take(&database, SYNC).unwrap().is_some());
        });
    }
}
