//! A copy of the file as it is at one instant, while edits and syncs go on.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::{Store, open, restore, sound, stray, unlock};
use crate::error::{Error, Failure, Result, missing_folder};
use crate::key::Key;

/// All: in parts, it would begin anew with each edit.
const PAGES_AT_ONCE: i32 = i32::MAX;

impl Store {
    /// Copies the file to `path`, as it is at one instant: edits and syncs go on meanwhile. The copy is one file, for
    /// its owner only, and on the disk when this returns; nothing that was deleted is in it. Returns its size in bytes.
    ///
    /// It holds what the file holds, edits that wait and new passwords among them, and is encrypted with the same key if
    /// the file is. Never let two tills live on from one file: both would send its pending edits.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// let copy = folder.path().join("backup.db");
    /// store.backup(&copy)?;
    /// assert_eq!(tillsync::Store::open_existing(&copy)?.check()?, Vec::<String>::new());
    /// assert_eq!(store.backup(&copy).unwrap_err().code(), "usage");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is a file at `path` already, or at `path.part`, under which it is made; when `path` is the name of what belongs
    /// to another file (`till.db-wal`), it cannot be written, or the disk is full; what was begun is removed.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<u64> {
        make(path.as_ref(), |path| self.copy_to(path))
    }

    /// As [`Store::backup`], and the copy has a key of its own; none: it is plain, for everybody who can read it. With
    /// every program stopped and the copy in its place, a plain file becomes an encrypted one, or the other way round.
    ///
    /// # Errors
    /// As [`Store::backup`], and when this build has no encryption.
    pub fn backup_with_key(&self, path: impl AsRef<Path>, key: Option<&Key>) -> Result<u64> {
        unlock::allow(key)?;
        match (key, &self.key) {
            (None, None) => self.backup(path),
            _ => make(path.as_ref(), |path| self.export_to(path, key)),
        }
    }

    fn copy_to(&self, path: &Path) -> Result<()> {
        let to = path.to_str().ok_or_else(|| Error::usage("the path of a backup must be UTF-8"))?;
        match self.connection.execute("VACUUM INTO ?1", [to]) {
            // An index of the app's that only its own SQLite could build anew.
            Err(e) if sound::is_lack(&e) => self.copy_pages_to(path)?,
            copied => _ = copied.map_err(|e| Error::sqlite(path, e))?,
        }
        into_wal(path, self.key.as_ref())
    }

    /// Page by page, what was deleted and not written over among them.
    fn copy_pages_to(&self, path: &Path) -> Result<()> {
        // What was begun.
        File::create(path).map_err(|e| Error::file(path, &e))?;
        let mut copy = open::raw(path)?;
        unlock::give(&copy, path, self.key.as_ref())?;
        let copied = Backup::new(&self.connection, &mut copy)
            .and_then(|copying| copying.run_to_completion(PAGES_AT_ONCE, Duration::ZERO, None));
        copied.map_err(|e| Error::sqlite(path, e))
    }

    /// On a connection of its own, which the other file is attached to.
    fn export_to(&self, path: &Path, key: Option<&Key>) -> Result<()> {
        let to = path.to_str().ok_or_else(|| Error::usage("the path of a backup must be UTF-8"))?;
        let from = open::connect(&self.path, self.key.as_ref())?;
        export(&from, to, key).map_err(|e| Error::sqlite(path, e))?;
        drop(from);
        into_wal(path, key)
    }
}

/// SQLCipher's way from one key to another: every table, index, view and trigger, as they are at one instant.
fn export(from: &Connection, to: &str, key: Option<&Key>) -> rusqlite::Result<()> {
    from.execute("ATTACH ?1 AS copy KEY ?2", [to, key.map_or("", Key::text)])?;
    from.execute_batch("BEGIN")?;
    from.query_row("SELECT sqlcipher_export('copy')", [], |_| Ok(()))?;
    for number in ["user_version", "application_id"] {
        let value: i64 = from.pragma_query_value(Some("main"), number, |row| row.get(0))?;
        from.pragma_update(Some("copy"), number, value)?;
    }
    from.execute_batch("COMMIT")
}

/// A copy begins without write-ahead log; in its place, readers would wait for writers. And it is a file of its own.
fn into_wal(path: &Path, key: Option<&Key>) -> Result<()> {
    let copy = open::connect(path, key)?;
    stray::become_another(&copy).map_err(|e| Error::sqlite(path, e))?;
    copy.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(|e| Error::sqlite(path, e))
}

/// Makes the copy, whole and on the disk, or nothing: under another name, `NAME.part`, until it is both. Whoever is killed
/// on the way leaves that; nobody can tell whose it is, and so it is in the way until a person removes it.
fn make(path: &Path, copy: impl FnOnce(&Path) -> Result<()>) -> Result<u64> {
    let path = &open::plain_path(path)?;
    if restore::is_name_of_ours(path) {
        return Err(Error::usage(format!(
            "{} is no name for a backup: what is called so is removed or replaced by restore and doctor",
            path.display()
        )));
    }
    // A log that lies there would be taken for the copy's.
    for name in ["", "-journal", "-wal", "-shm"].map(|suffix| open::with_suffix(path, suffix)) {
        if name.symlink_metadata().is_ok() {
            return Err(is_there(&name));
        }
    }
    let part = &open::with_suffix(path, ".part");
    if let Some(left) = ["", "-journal", "-wal", "-shm"]
        .map(|suffix| open::with_suffix(part, suffix))
        .iter()
        .find(|left| left.symlink_metadata().is_ok())
    {
        return Err(is_begun(left));
    }
    // A folder that is not there is told by the name that was given.
    if let Some(folder) = missing_folder(path) {
        return Err(Failure::NoFolder { path: path.clone(), folder }.into());
    }
    reserve(part)?;
    let copied = copy(part).and_then(|()| settled(part)).and_then(|bytes| {
        name(part, path)?;
        Ok(bytes)
    });
    if copied.is_err() {
        // The first failure is the one to tell of.
        _ = std::fs::remove_file(part);
    }
    copied
}

/// Gives the copy its name, unless somebody else has taken it meanwhile, and has the name on the disk too.
fn name(part: &Path, path: &Path) -> Result<()> {
    let named = match std::fs::hard_link(part, path) {
        // Whoever has opened the backup meanwhile has removed it.
        Ok(()) => std::fs::remove_file(part).or_else(|e| match e.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(e),
        }),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(is_there(path)),
        // A disk without hard links, such as a memory stick.
        Err(_) if path.symlink_metadata().is_ok() => return Err(is_there(path)),
        Err(_) => std::fs::rename(part, path),
    };
    let sync = || {
        #[cfg(unix)]
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        Ok(())
    };
    named.and_then(|()| sync()).map_err(|e| Error::file(path, &e))
}

fn is_there(path: &Path) -> Error {
    Error::usage(format!("{} is there already: a backup overwrites nothing", path.display()))
}

fn is_begun(part: &Path) -> Error {
    Error::usage(format!(
        "{} is there already: another backup of this name is being made, or one was killed; then remove it",
        part.display()
    ))
}

/// An empty file for its owner only: the copy goes into it, and two backups never into one.
fn reserve(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    open::owner_only(&mut options);
    match options.open(path) {
        Ok(_) => {
            open::close_to_others(path);
            Ok(())
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(is_begun(path)),
        Err(e) => Err(Error::file(path, &e)),
    }
}

/// The copy is on the disk; nobody else has it open under this name.
fn settled(path: &Path) -> Result<u64> {
    let sync = || {
        let file = File::options().read(true).write(true).open(path)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    };
    sync().map_err(|e: std::io::Error| Error::file(path, &e))
}
