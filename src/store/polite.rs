//! Room for others: SQLite has one writer at a time and no queue of those who wait.
//!
//! A sync at full speed would hold the write lock almost always, and an edit would find the gaps by luck. While another
//! connection commits, the engine writes in small parts and leaves a gap after each; else it goes at full speed.

use std::time::Duration;

use super::Store;
use crate::error::Result;

/// Customers that are written in one transaction while others write too: about half a millisecond.
const SMALL: usize = 25;
/// The gap: longer than one who waits sleeps between two tries.
const GAP: Duration = Duration::from_micros(200);
/// For so many transactions after another connection has committed, others are expected to go on.
const REMEMBERED: u32 = 2_000;

/// What is known of other connections that write.
#[derive(Debug, Default)]
pub(super) struct Others {
    data_version: i64,
    expected_for: u32,
}

impl Store {
    /// How many of `most` customers go into the next transaction.
    pub(super) fn at_once(&mut self, most: usize) -> Result<usize> {
        let data_version = self.data_version()?;
        let is_first = self.others.data_version == 0;
        let has_changed = std::mem::replace(&mut self.others.data_version, data_version) != data_version;
        let expected_for = if has_changed && !is_first { REMEMBERED } else { self.others.expected_for };
        self.others.expected_for = expected_for.saturating_sub(1);
        Ok(if expected_for > 0 { most.min(SMALL) } else { most }.max(1))
    }

    /// Whether others write too.
    pub(super) fn has_company(&self) -> bool {
        self.others.expected_for > 0
    }

    /// Lets others write, if there are any.
    pub(super) fn make_room(&self) {
        if self.has_company() {
            std::thread::sleep(GAP);
        }
    }
}
