//! Whether a path leads to what can be a till, and still to the file that was opened there.
//!
//! SQLite goes by names: the log of a file lies beside its name, so a file with two names has two logs, and one that was moved
//! leaves its log behind. So a till is a plain file with one name (symbolic links do no harm: SQLite and our locks follow
//! them), and before and after each transaction of the engine, at each look of a worker and at each edit through the library
//! the path is held against the file that was opened: by device and inode. On Windows a file that SQLite has open can be neither
//! moved nor deleted, and how many names it has is not looked at.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Weak;

use super::lock::Lock;
use super::open::{refuse_company, refuse_loss, with_suffix};
use super::restore;
use crate::descriptors::{FileId, file_id, names};
use crate::error::{Error, Failure, Result};

/// A file that is open, and the path that led to it.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: FileId,
    /// The right to sync it, while this connection has that.
    pub(super) sync_lock: Weak<Lock>,
}

impl Place {
    /// Refuses what cannot be a till, before anything of it is opened. None: there is nothing yet.
    pub(super) fn find(path: &Path) -> Result<Option<Place>> {
        let Some(mut file) = metadata(path)? else { return Ok(None) };
        if names(&file) > 1 && restore::end_begun(path)? {
            // Perhaps another one by now.
            let Some(now) = metadata(path)? else { return Ok(None) };
            file = now;
        }
        if let Some(what) = oddity(&file) {
            return Err(Failure::NotAFile { path: path.to_owned(), what }.into());
        }
        if names(&file) > 1 && !is_left_by_a_backup(path, &file) {
            return Err(Failure::Linked(path.to_owned()).into());
        }
        Ok(Some(Place { path: path.to_owned(), file: file_id(&file), sync_lock: Weak::new() }))
    }

    /// Refuses to go on with a file that is not at its path any more, or has got a second name.
    pub(super) fn look(&self) -> Result<()> {
        match self.path.metadata() {
            Ok(file) if file_id(&file) != self.file => Err(Failure::Moved(self.path.clone()).into()),
            Ok(file) if names(&file) > 1 => Err(Failure::Linked(self.path.clone()).into()),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(Failure::Moved(self.path.clone()).into())
            }
            // What cannot be asked for is no other file.
            _ => Ok(()),
        }
    }

    /// Refuses to write any more when the file is not the one that was opened, is in other hands of this process too, or was in
    /// them, or when the right to sync it is lost.
    pub(super) fn refuse_change(&self) -> Result<()> {
        self.look()?;
        match self.sync_lock.upgrade() {
            Some(lock) if !lock.is_there() => return Err(Failure::LockGone(lock.path().to_owned()).into()),
            _ => {}
        }
        refuse_loss(&self.path)?;
        refuse_company(&self.path)
    }
}

/// None: there is nothing.
fn metadata(path: &Path) -> Result<Option<Metadata>> {
    match path.metadata() {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file(path, &e)),
    }
}

#[cfg(unix)]
fn oddity(file: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = file.file_type();
    match () {
        () if kind.is_dir() => Some("a folder"),
        () if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        () if kind.is_fifo() => Some("a pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => None,
    }
}

#[cfg(not(unix))]
fn oddity(file: &Metadata) -> Option<&'static str> {
    file.is_dir().then_some("a folder")
}

/// A backup that was killed between its two names: the first one goes now.
fn is_left_by_a_backup(path: &Path, file: &Metadata) -> bool {
    let part = with_suffix(path, ".part");
    let is_it = part.symlink_metadata().is_ok_and(|part| file_id(&part) == file_id(file));
    is_it && names(file) == 2 && std::fs::remove_file(part).is_ok()
}
