//! A sync goes on from what its last transaction left.
//!
//! A program may put an older state in the file's place through SQLite: `.restore`, or the backup API the other way round. For SQLite that is a
//! transaction as any other, and the file beneath is sound; but it knows nothing of what left since. At the beginning of a sync that
//! is found out (see `life`). While there is one, each transaction of the engine looks whether it is still in the same file, and a later
//! one there: each counts one on in `tillsync_guard`, whoever makes it.

use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::{Failed, Store};
use crate::error::{Failure, Result};

/// Which file it is, and how many transactions of the engine it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SoFar {
    identity: i64,
    pub(super) turn: i64,
}

impl SoFar {
    fn of(connection: &Connection) -> rusqlite::Result<Option<SoFar>> {
        SoFar::read(&mut connection.prepare_cached("SELECT coalesce(identity, 0), turn FROM tillsync_guard")?)
    }

    /// Of a statement that brings both. None: somebody took the row.
    pub(super) fn read(statement: &mut CachedStatement<'_>) -> rusqlite::Result<Option<SoFar>> {
        let so_far = statement.query_row([], |row| Ok(SoFar { identity: row.get(0)?, turn: row.get(1)? }));
        so_far.optional()
    }

    fn goes_on_from(self, before: SoFar) -> bool {
        self.identity == before.identity && self.turn > before.turn
    }
}

impl Store {
    /// From now on until [`Store::ends_sync`], the file only goes on from here.
    pub(crate) fn goes_on_from_here(&mut self) -> Result<()> {
        self.so_far = SoFar::of(&self.connection).map_err(|e| self.error(e))?;
        Ok(())
    }

    /// Whatever becomes of the file, a later sync looks at it anew.
    pub(crate) fn ends_sync(&mut self) {
        self.so_far = None;
    }

    /// In a transaction that has begun. Returns what the next one goes on from, while there is a sync.
    pub(super) fn refuse_set_back(&self, now: Option<SoFar>) -> Result<Option<SoFar>, Failed> {
        let (Some(before), Some(now)) = (self.so_far, now) else { return Ok(self.so_far) };
        match now.goes_on_from(before) {
            true => Ok(Some(now)),
            false => Err(Failed::Known(Failure::SetBack(self.path.clone()).into())),
        }
    }
}
