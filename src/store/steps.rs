//! A bound on what one statement of ours may set off: an app's trigger that never ends would keep the right to write for ever.
//!
//! SQLite counts the steps of its machine and asks a handler now and then whether to go on. The handler stays on the connection;
//! it counts only while something of ours is written, for each customer anew, and never for the app's own statements. What goes
//! too far is ended by SQLite, with the whole transaction: nothing of it is in the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::{Connection, Error as SqlError, ErrorCode};

/// Steps between two questions.
const EVERY: u32 = 1_000_000;
/// Questions that are answered with yes: fifty million steps, a second or so. The trigger of an app may look through a million
/// of its own rows for each customer; ours take some thousands.
const MOST: u64 = 50;
/// Of everybody's.
const UNBOUNDED: u64 = u64::MAX;

/// What it says of a trigger that goes too far, where a customer is held up for it.
pub(super) const UNENDING: &str =
    "a trigger of the app's does not end: it was stopped after 50,000,000 steps";

/// What it says where a customer is held up because this process got no memory while a trigger ran for them.
pub(super) const WITHOUT_MEMORY: &str = "this process got no memory for what a trigger of the app's does";

/// How many questions more are answered with yes; and whether one was answered with no since. SQLite says the same word where it
/// has no memory left.
#[derive(Clone, Debug)]
pub(super) struct Steps(Arc<AtomicU64>, Arc<AtomicBool>);

impl Steps {
    /// Counts on this connection from now on.
    pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<Steps> {
        let left = Arc::new(AtomicU64::new(UNBOUNDED));
        let has_ended = Arc::new(AtomicBool::new(false));
        let (counted, ended) = (left.clone(), has_ended.clone());
        let goes_too_far = move || match counted.load(Ordering::Relaxed) {
            UNBOUNDED => false,
            0 => {
                ended.store(true, Ordering::Relaxed);
                true
            }
            some => {
                counted.store(some - 1, Ordering::Relaxed);
                false
            }
        };
        // An app's own SQLite may be built without it; the call would be none.
        let is_left_out = "SELECT sqlite_compileoption_used('OMIT_PROGRESS_CALLBACK')";
        if connection.query_row(is_left_out, [], |row| row.get(0)).unwrap_or(false) {
            return Ok(Steps(left, has_ended));
        }
        connection.progress_handler(i32::try_from(EVERY).unwrap_or(i32::MAX), Some(goes_too_far))?;
        Ok(Steps(left, has_ended))
    }

    /// Bounds what comes, until that is dropped.
    pub(super) fn bound(&self) -> Bound {
        let bound = Bound(self.clone());
        bound.anew();
        bound
    }

    /// Whether it was this that ended a statement, since the last bound.
    pub(super) fn have_ended_it(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    /// Counts from the start again, where there is a bound: the next customer's turn.
    pub(super) fn anew(&self) {
        if self.0.load(Ordering::Relaxed) != UNBOUNDED {
            self.0.store(MOST, Ordering::Relaxed);
        }
    }
}

/// While it is there, what is written may not go on for ever.
#[derive(Debug)]
pub(super) struct Bound(Steps);

impl Bound {
    /// Counts from the start again.
    pub(super) fn anew(&self) {
        self.0.0.store(MOST, Ordering::Relaxed);
        self.0.1.store(false, Ordering::Relaxed);
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.0.0.store(UNBOUNDED, Ordering::Relaxed);
    }
}

/// Whether SQLite ended it for going too far.
pub(super) fn went_too_far(error: &SqlError) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// Whether SQLite got no memory for it.
pub(super) fn found_no_memory(error: &SqlError) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OutOfMemory)
}
