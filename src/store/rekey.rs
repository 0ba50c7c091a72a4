//! Another key for an encrypted file, in its place.
//!
//! SQLCipher writes every page anew in one transaction, but changes the key of its own connection only, does not tell
//! when the commit failed, and leaves a connection of no use when anything else did. So it is done on a connection of its
//! own, alone with the file, and the file is asked afterwards which key it has. In write-ahead mode the transaction is in
//! the log until its commit: a crash before that leaves the old key, one after it the new.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use secrecy::ExposeSecret;

use super::{Store, StoreOptions, open, unlock};
use crate::error::{Error, Failure, Result};
use crate::key::Key;

impl Store {
    /// Gives the file another key: every page is written anew, in one transaction. It takes a moment, and for that moment
    /// as much space again as the file has. Whatever happens, a power cut too, the file opens with exactly one of the two
    /// keys. Backups keep the key that they were made with.
    ///
    /// ```
    /// # #[cfg(feature = "sqlcipher")]
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("till.db");
    /// use tillsync::{Key, Store, StoreOptions};
    ///
    /// let key = Key::raw(&[7; 32]); // of your generator of random numbers
    /// let mut store = Store::open_with(&path, StoreOptions { key: Some(key.clone()), ..StoreOptions::default() })?;
    /// store.rekey(Key::passphrase("correct horse battery staple")?)?;
    /// let old = Store::open_with(&path, StoreOptions { key: Some(key), ..StoreOptions::default() });
    /// assert_eq!(old.unwrap_err().code(), "wrong_key");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlcipher"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// When anybody else has the file open, a worker or a sync of it runs, the file is not encrypted, it cannot be
    /// written, or its disk is full: it has its old key then.
    pub fn rekey(&mut self, key: Key) -> Result<()> {
        unlock::allow(Some(&key))?;
        let Some(old) = self.key.clone() else {
            return Err(Failure::NotEncrypted(self.path.clone()).into());
        };
        let _no_sync = self.lock_sync(Duration::ZERO)?;
        let Some(_no_worker) = self.lock_worker()? else {
            return Err(Failure::InUse(self.path.clone()).into());
        };
        self.refuse_company()?;
        // Both close it, and what closes it last moves the log into it.
        if !self.may_move_the_log() {
            return Err(Failure::Overwritten(self.path.clone()).into());
        }
        // Whoever has the file open has a part in its lock, this connection too.
        self.connection = Connection::open_in_memory().map_err(|e| self.error(e))?;
        let written = rewrite(&self.path, &old, &key);
        match self.opened(key) {
            Ok(store) => *self = store,
            Err(error) if error.is_wrong_key() => {
                *self = self.opened(old)?;
                return Err(written.err().unwrap_or_else(|| not_written(&self.path)));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn opened(&self, key: Key) -> Result<Store> {
        Store::open_with(&self.path, StoreOptions { create: false, anew: false, key: Some(key) })
    }
}

fn rewrite(path: &Path, old: &Key, new: &Key) -> Result<()> {
    let connection = alone(path, old)?;
    let fold = || connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    fold().map_err(|e| Error::sqlite(path, e))?;
    unlock::say(&connection, path, new.statement("rekey").expose_secret()).map_err(|_| not_written(path))?;
    // So that nothing of the old key is left in the file. When it fails the commit may have: that is asked next.
    _ = fold();
    Ok(())
}

/// All that is known when SQLCipher fails: it says no more itself.
fn not_written(path: &Path) -> Error {
    let cause = "the new key was not written; it needs as much free space as the file has".to_owned();
    Failure::NotWritable { path: path.to_owned(), cause }.into()
}

/// A connection that nobody else has one beside.
fn alone(path: &Path, key: &Key) -> Result<Connection> {
    let connection = open::raw(path)?;
    unlock::give(&connection, path, Some(key))?;
    let settings = || {
        connection.busy_timeout(Duration::ZERO)?;
        // The lock is taken with the first read, and kept; after a read it would be too late to ask for it.
        connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")
    };
    settings().map_err(|e| match e.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::InUse(path.to_owned()).into(),
        _ => Error::sqlite(path, e),
    })?;
    Ok(connection)
}
