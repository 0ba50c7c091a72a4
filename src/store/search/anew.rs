//! Words that nobody bears any more leave the index.
//!
//! What is removed from an index of FTS5 stays in it, marked as gone, until the parts that hold it and its mark are merged. Its
//! `secure-delete` takes it out at once, and has a price: two milliseconds and 180 kB of the log for each customer, in the
//! transaction of whoever writes. So the index is written anew instead, part by part, each some milliseconds: a day after something
//! was removed, by syncs, which is half a second a day for 100,000 customers; and at once when somebody is forgotten.

use chrono::{TimeDelta, Utc};
use rusqlite::Connection;

use super::super::{Store, state};
use super::{is_made, is_missing};
use crate::clock::stamp;
use crate::error::Result;

/// The key of `state` with the time since when the index has had words that nobody bears; none: it has none.
const LEFT: &str = "search_left_since";
/// The key of `state` that stands while the index is written anew.
const GOES_ON: &str = "search_written_anew";
/// So long such words stay. By the till's clock, which may be wrong: then it is done sooner or later, and nothing else.
const STAY: TimeDelta = TimeDelta::days(1);
/// Pages of 4 kB that are merged in one transaction, about.
const PAGES: i64 = 16;
/// Transactions of one sync.
const PARTS: usize = 50;

/// Words of somebody have been removed from the index.
pub(super) fn note_left(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO state (key, value) VALUES (?1, ?2)")?
        .execute([LEFT, &stamp(Utc::now())])
        .map(|_| ())
}

impl Store {
    /// A sync's share of it, when it is time.
    pub(super) fn write_index_anew_in_time(&mut self, goes_on: impl FnMut() -> bool) -> Result<()> {
        let is_due = match self.time(LEFT)? {
            Some(since) => (Utc::now() - since).abs() >= STAY,
            None => false,
        };
        let goes_on_already = self.state(GOES_ON)?.is_some();
        if is_due || goes_on_already {
            self.write_index_anew(is_due && !goes_on_already, PARTS, goes_on)?;
        }
        Ok(())
    }

    /// All of it now: whoever was removed is in no page of the index afterwards.
    pub(in crate::store) fn write_index_anew_now(&mut self) -> Result<()> {
        self.write_index_anew(true, usize::MAX, || true)
    }

    fn write_index_anew(
        &mut self,
        begins: bool,
        parts: usize,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<()> {
        for part in 0..parts {
            if !goes_on() {
                break;
            }
            let is_whole =
                self.engine_note(|transaction| match merge_some(transaction, begins && part == 0) {
                    Err(error) if is_missing(&error) => {
                        tracing::debug!(%error, "this SQLite cannot keep the index of the search");
                        Ok(true)
                    }
                    done => Ok(done?),
                })?;
            if is_whole {
                break;
            }
            self.others_write()?;
            self.give_way();
        }
        Ok(())
    }
}

/// One part of it. Returns whether that was the last.
fn merge_some(transaction: &Connection, begins: bool) -> rusqlite::Result<bool> {
    if !is_made(transaction)? {
        [LEFT, GOES_ON].iter().try_for_each(|key| state::write(transaction, key, None))?;
        return Ok(true);
    }
    if begins {
        state::write(transaction, LEFT, None)?;
        state::write(transaction, GOES_ON, Some("1"))?;
    }
    let before = transaction.total_changes();
    // A negative number makes one part of all; a positive one goes on with it.
    transaction
        .prepare_cached("INSERT INTO customer_search (customer_search, rank) VALUES ('merge', ?1)")?
        .execute([if begins { -PAGES } else { PAGES }])?;
    // The statement itself is one: nothing was left to do.
    let is_whole = transaction.total_changes() - before < 2;
    if is_whole {
        state::write(transaction, GOES_ON, None)?;
    }
    Ok(is_whole)
}
