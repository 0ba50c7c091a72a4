//! The write-ahead log, kept short by the sync and off the path of everybody's edits.
//!
//! SQLite's own way is to move the log into the file after any commit that finds it long, while others go on writing. What
//! they add meanwhile keeps it from beginning anew: it stays long, and from then on every commit moves pages and waits for
//! the file. So a sync does that in two steps: the bulk, in which nobody is kept waiting, and at once the little that came
//! in meanwhile, with the right to write, so that the log is empty and begins anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::Store;
use super::open::look_again;

/// How long the log is, and may become.
#[derive(Debug)]
pub(super) struct Log {
    pages: Arc<AtomicUsize>,
    limit: usize,
    due_at: usize,
}

impl Default for Log {
    fn default() -> Log {
        Log { pages: Arc::default(), limit: usize::MAX, due_at: usize::MAX }
    }
}

impl Store {
    /// From now on this connection keeps the log at about so many pages.
    pub(super) fn keep_log_within(&mut self, limit: usize) -> rusqlite::Result<()> {
        let pages = self.log.pages.clone();
        let note = move |_: &mut Wal, length| {
            pages.store(usize::try_from(length).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        self.connection.wal_hook(Some(note))?;
        (self.log.limit, self.log.due_at) = (limit, limit);
        Ok(())
    }

    /// After a commit: moves the log into the file if it is long. Should that fail, the log is only longer.
    pub(super) fn tend_log(&mut self) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages < self.log.due_at {
            return;
        }
        let is_empty = self.empty_log().unwrap_or_else(|error| {
            tracing::warn!(%error, pages, "the write-ahead log stays as long as it is");
            false
        });
        // Somebody was reading or writing just then. Not at every commit: that is what makes all of them slow.
        self.log.due_at = if is_empty { self.log.limit } else { pages.saturating_add(self.log.limit) };
    }

    /// Returns false when somebody was in the way for longer than an edit takes; others may have to wait with us.
    fn empty_log(&mut self) -> rusqlite::Result<bool> {
        checkpoint(&self.connection, "PASSIVE")?;
        self.connection.busy_handler(Some(look_briefly))?;
        let is_busy = checkpoint(&self.connection, "RESTART");
        self.connection.busy_handler(Some(look_again))?;
        Ok(!is_busy?)
    }
}

/// Waits for a transaction that is about to end: five milliseconds in all.
fn look_briefly(tries: i32) -> bool {
    std::thread::sleep(Duration::from_micros(100));
    tries < 50
}

/// Returns whether somebody was in the way.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::store::Store;

    const LIMIT: usize = 100;
    const PAGE: u64 = 4_096 + 24;

    /// The engine writes far more than fits into the log, while another connection writes all the time.
    #[test]
    fn the_log_begins_anew_while_others_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let mut engine = Store::open(&path).unwrap();
        engine.keep_log_within(LIMIT).unwrap();
        let mut other = Store::open(&path).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    other.note_facts(&[("other", "writes".to_owned())]).unwrap();
                }
            });
            for round in 0..2_000 {
                let facts = [("a", "x".repeat(9_000)), ("b", round.to_string())];
                engine.note_facts(&facts).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
        });
        // With SQLite's way it was 24,000 pages.
        let log = folder.path().join("till.db-wal").metadata().unwrap().len();
        assert!(log < 20 * LIMIT as u64 * PAGE, "{} pages", log / PAGE);
    }

    #[test]
    fn a_reader_in_the_way_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let mut engine = Store::open(&path).unwrap();
        engine.keep_log_within(LIMIT).unwrap();
        let mut reader = Store::open(&path).unwrap();
        let reading = reader.connection().transaction().unwrap();
        reading.query_row("SELECT count(*) FROM state", [], |row| row.get::<_, i64>(0)).unwrap();
        for _ in 0..200 {
            engine.note_facts(&[("a", "x".repeat(9_000))]).unwrap();
        }
        // Tried again when the log has grown by its limit once more, not at every commit.
        assert!(engine.log.due_at > LIMIT, "{:?}", engine.log);
        drop(reading);
        for _ in 0..200 {
            engine.note_facts(&[("a", "x".repeat(9_000))]).unwrap();
        }
        assert_eq!(engine.log.due_at, LIMIT);
    }
}
