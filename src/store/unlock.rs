//! The key on a connection, and what it means when a file does not open with it.
//!
//! SQLCipher answers every misfit alike: not a database. What the file begins with tells them apart: a plain file with
//! SQLite's own words, an encrypted one with bytes that look like chance. They are read by SQLite itself: whoever else opens
//! the file and closes it gives up all locks of the process on it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};
use secrecy::ExposeSecret;

use crate::descriptors::read_start;
use crate::error::{Error, Failure, Result};
use crate::key::Key;

const PLAIN: &[u8; 16] = b"SQLite format 3\0";
/// The first page of an encrypted file, in bytes.
const PAGE: usize = 4096;
/// Of the 256 values that a byte has, a page of chance holds all or all but one or two; text, numbers and zeros do not.
const VALUES: usize = 250;

/// Whether this build can do with the key what is asked of it; before anything is made or opened.
pub(super) fn allow(key: Option<&Key>) -> Result<()> {
    match key {
        Some(_) if !cfg!(feature = "sqlcipher") => {
            Err(Failure::NotBuiltIn { what: "encryption", feature: "sqlcipher" }.into())
        }
        _ => Ok(()),
    }
}

/// Hands the key over, which must come before all else; nothing is read yet.
pub(super) fn give(connection: &Connection, path: &Path, key: Option<&Key>) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    if begins_plain(connection) {
        return Err(Failure::NotEncrypted(path.to_owned()).into());
    }
    // It writes its own log to standard error, where an app has its own words.
    say(connection, path, "PRAGMA cipher_log_level = NONE")?;
    say(connection, path, key.statement("key").expose_secret())
}

/// A statement with a key in it. What SQLite says of it is left out: it may quote the statement.
pub(super) fn say(connection: &Connection, path: &Path, statement: &str) -> Result<()> {
    connection.query_row(statement, [], |_| Ok(())).map_err(|e| {
        let cause = e.sqlite_error().map_or_else(|| "it has no answer".to_owned(), ToString::to_string);
        Failure::Unexpected(format!("the database {}: the key was not taken: {cause}", path.display())).into()
    })
}

/// Reads for the first time, and says what it means when that fails.
pub(super) fn look(connection: &Connection, path: &Path, key: Option<&Key>) -> Result<()> {
    let seen = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    seen.map_err(|e| match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) if key.is_some() => Failure::WrongKey(path.to_owned()).into(),
        Some(ErrorCode::NotADatabase) if looks_encrypted(connection) => {
            Failure::KeyNeeded(path.to_owned()).into()
        }
        _ => Error::sqlite(path, e),
    })
}

fn begins_plain(connection: &Connection) -> bool {
    read_start(connection).as_ref() == Some(PLAIN)
}

fn looks_encrypted(connection: &Connection) -> bool {
    let Some(page) = read_start::<PAGE>(connection) else { return false };
    let mut seen = [false; 256];
    page.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    !page.starts_with(PLAIN) && seen.iter().filter(|seen| **seen).count() >= VALUES
}
