//! Group commit: pages that come faster than they are written share one.
//!
//! A page of customers touches another leaf of each index for almost each of them, and a commit writes each of those
//! leaves to the log. So the transaction of a page stays open for the next one, if that is here already: whoever has to
//! wait for the wire commits first. What it holds is lost together, and comes again together.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Failed, Store, apply};
use crate::error::Result;

/// For so long one transaction goes on taking pages: another connection's edit may have to wait as long, once. From then
/// on the engine makes room, see `polite`.
const LONGEST: Duration = Duration::from_millis(25);

/// A transaction that was begun, and waits for more or for its commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenPages {
    began: Instant,
}

impl Store {
    /// Whether pages were taken in that are not committed.
    pub(crate) fn has_open_pages(&self) -> bool {
        self.open_pages.is_some()
    }

    /// Whether no more should be taken in before a commit.
    pub(super) fn pages_are_due(&self) -> bool {
        let is_long = |open: &OpenPages| open.began.elapsed() >= LONGEST;
        self.has_company() || self.open_pages.as_ref().is_some_and(is_long)
    }

    /// Works in the open transaction, or begins one. What fails takes back all that it holds.
    pub(super) fn in_open_pages<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Failed>,
    ) -> Result<T> {
        if self.open_pages.is_none() {
            self.begin_pages()?;
        }
        let done = work(&self.connection);
        if done.is_err() {
            self.take_back_pages();
        }
        done.map_err(|failed| failed.at(&self.path))
    }

    fn begin_pages(&mut self) -> Result<()> {
        // What the next sync would find out again: the commit does not wait for the disk.
        self.waits_for_disk(false)?;
        let begin = || {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let open = OpenPages { began: Instant::now() };
            self.connection.prepare_cached("UPDATE engine_guard SET writing = 1")?.execute([])?;
            Ok(open)
        };
        let begun = begin();
        if begun.is_err() {
            self.take_back_pages();
        }
        self.open_pages = Some(begun.map_err(|e| self.error(e))?);
        Ok(())
    }

    /// Commits what was taken in, if there is anything.
    pub(crate) fn commit_pages(&mut self) -> Result<()> {
        let Some(OpenPages { began }) = self.open_pages else { return Ok(()) };
        let commit = || {
            apply::wipe_passwords(&self.connection)?;
            self.connection.prepare_cached("UPDATE engine_guard SET writing = 0")?.execute([])?;
            self.connection.prepare_cached("COMMIT")?.execute([])
        };
        match commit() {
            Ok(_) => {
                self.open_pages = None;
                self.has_written(began);
                self.waits_for_disk(true)
            }
            Err(e) => {
                self.take_back_pages();
                Err(self.error(e))
            }
        }
    }

    /// After a failure: SQLite may have rolled back by itself.
    fn take_back_pages(&mut self) {
        self.open_pages = None;
        if !self.connection.is_autocommit() {
            _ = self.connection.execute_batch("ROLLBACK");
        }
        _ = self.waits_for_disk(true);
    }
}
