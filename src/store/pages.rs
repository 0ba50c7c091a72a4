//! Group commit: pages that come faster than they are written share one.
//!
//! A page of customers touches another leaf of each index for almost each of them, and a commit writes each of those
//! leaves to the log. So the transaction of a page stays open for the next one, if that is here already: whoever has to
//! wait for the wire commits first. What it holds is lost together, and comes again together.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::so_far::SoFar;
use super::{Failed, Store, believe_marks, end_belief};
use crate::error::Result;

/// For so long one transaction goes on taking pages: another connection's edit may have to wait as long, once. From then
/// on the engine makes room, see `polite`.
const LONGEST: Duration = Duration::from_millis(25);

/// A transaction that was begun, and waits for more or for its commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenPages {
    began: Instant,
    so_far: Option<SoFar>,
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
        let bound = self.steps.bound();
        let done = work(&self.connection);
        drop(bound);
        if done.is_err() {
            self.take_back_pages();
        }
        done.map_err(|failed| self.naming_triggers(failed.at(&self.path)))
    }

    fn begin_pages(&mut self) -> Result<()> {
        self.refuse_company()?;
        // What the next sync would find out again: the commit does not wait for the disk.
        self.waits_for_disk(false)?;
        let begin = || -> Result<OpenPages, Failed> {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            self.refuse_newer()?;
            let began = Instant::now();
            let so_far = self.refuse_set_back(believe_marks(&self.connection)?)?;
            Ok(OpenPages { began, so_far })
        };
        let begun = begin();
        if begun.is_err() {
            self.take_back_pages();
        }
        self.open_pages = Some(begun.map_err(|failed| failed.at(&self.path))?);
        Ok(())
    }

    /// Commits what was taken in, if there is anything.
    pub(crate) fn commit_pages(&mut self) -> Result<()> {
        let Some(OpenPages { began, so_far }) = self.open_pages else { return Ok(()) };
        if let Err(company) = self.refuse_company() {
            self.take_back_pages();
            return Err(company);
        }
        let commit = || {
            end_belief(&self.connection)?;
            self.connection.prepare_cached("COMMIT")?.execute([])
        };
        match commit() {
            Ok(_) => {
                (self.open_pages, self.so_far) = (None, so_far);
                self.has_written(began);
                self.waits_for_disk(true)
            }
            Err(e) => {
                self.take_back_pages();
                Err(self.error(e))
            }
        }
    }

    /// After a failure, or a panic: SQLite may have rolled back by itself.
    pub(crate) fn take_back_pages(&mut self) {
        self.open_pages = None;
        if !self.connection.is_autocommit() {
            _ = self.connection.execute_batch("ROLLBACK");
        }
        _ = self.waits_for_disk(true);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use chrono::Utc;

    use crate::flow::{KnownClock, Policies};
    use crate::resource::Attributes;
    use crate::store::{Judging, PageKind, Store};

    const CUSTOMERS: [&str; 3] =
        [r#"{"id":1,"phone":"1"}"#, r#"{"id":2,"phone":"2"}"#, r#"{"id":3,"phone":"3"}"#];

    /// Two connections to one file: the engine's, and somebody else's.
    fn two() -> (tempfile::TempDir, Store, Store) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let (engine, other) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
        (folder, engine, other)
    }

    fn take(store: &mut Store, bodies: &[&str]) -> crate::error::Result<usize> {
        take_as(store, bodies, |body| body)
    }

    /// With the text that is kept of each.
    fn take_as(
        store: &mut Store,
        bodies: &[&str],
        text: impl Fn(&str) -> &str,
    ) -> crate::error::Result<usize> {
        let page: Vec<_> = bodies.iter().map(|body| (Attributes::parse(body).unwrap(), text(body))).collect();
        let judging = Judging {
            policies: &Policies::default(),
            believes_older: false,
            server_now: None,
            now: Utc::now(),
        };
        let taken = store.take_page(&page, &PageKind::Changes, judging)?;
        Ok(taken.changed.len())
    }

    fn seen_by(store: &Store) -> u64 {
        store.status().unwrap().snapshot_customers
    }

    #[test]
    fn pages_share_a_transaction_until_they_are_committed() {
        let (_folder, mut engine, other) = two();
        assert_eq!(take(&mut engine, &CUSTOMERS[..1]).unwrap(), 1);
        assert_eq!(take(&mut engine, &CUSTOMERS[1..]).unwrap(), 2);
        assert!(engine.has_open_pages());
        assert_eq!(seen_by(&other), 0);
        engine.commit_pages().unwrap();
        assert_eq!(seen_by(&other), 3);
        // Whatever else the engine writes does not come in between.
        take(&mut engine, &[r#"{"id":4}"#]).unwrap();
        engine.end_pull(false, None, &KnownClock::default(), Utc::now()).unwrap();
        assert!(!engine.has_open_pages());
        assert_eq!(seen_by(&other), 4);
    }

    #[test]
    fn while_others_write_no_page_is_left_open() {
        let (_folder, mut engine, mut other) = two();
        take(&mut engine, &CUSTOMERS).unwrap();
        engine.commit_pages().unwrap();
        other.edit(1).set("phone", "new").commit().unwrap();
        take(&mut engine, &[r#"{"id":4}"#]).unwrap();
        assert!(!engine.has_open_pages());
        other.edit(4).set("phone", "at once").commit().unwrap();
    }

    /// What shared the transaction is not said to be taken in; it comes again, and then nobody is in the way.
    #[test]
    fn a_page_that_meets_a_broken_row_takes_back_those_before_it_once() {
        let (_folder, mut engine, mut other) = two();
        take(&mut engine, &CUSTOMERS).unwrap();
        engine.commit_pages().unwrap();
        let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        other.connection().set_db_config(off, false).unwrap();
        other.connection().execute_batch("UPDATE snapshot SET body = '{' WHERE id = 2").unwrap();
        let pages = [[r#"{"id":4}"#].as_slice(), &[r#"{"id":2,"phone":"two"}"#, r#"{"id":5}"#]];
        engine.expect_nobody().unwrap();
        take(&mut engine, pages[0]).unwrap();
        engine.open_pages.unwrap();
        assert_eq!(take(&mut engine, pages[1]).unwrap_err().code(), "misshapen");
        assert_eq!(seen_by(&other), 3);
        assert_eq!(engine.held_up().unwrap()[0].customer_id.0, 2);
        assert_eq!(pages.map(|page| take(&mut engine, page).unwrap()), [1, 1]);
        engine.commit_pages().unwrap();
        assert_eq!(seen_by(&other), 5);
    }

    #[test]
    fn a_page_that_fails_takes_back_those_it_shares_a_transaction_with_and_no_more() {
        let (_folder, mut engine, mut other) = two();
        take(&mut engine, &CUSTOMERS[..2]).unwrap();
        engine.commit_pages().unwrap();
        take(&mut engine, &[r#"{"id":5}"#]).unwrap();
        assert!(engine.has_open_pages());
        assert!(
            take_as(&mut engine, &[CUSTOMERS[2], CUSTOMERS[1]], |body| body.trim_end_matches('}')).is_err()
        );
        assert!(!engine.has_open_pages());
        assert_eq!(seen_by(&other), 2);
        assert_eq!(take(&mut engine, &CUSTOMERS).unwrap(), 1);
        engine.commit_pages().unwrap();
        assert_eq!(seen_by(&other), 3);
        other.edit(3).set("phone", "an app is still refused nothing").commit().unwrap();
        assert_eq!(other.status().unwrap().pending_fields, 1, "an edit after all that is journaled");
    }
}
