//! Receipts whose fate an app waits for: any number of them at once, and no thread for any.

use std::time::{Duration, Instant};

use tillsync::{Fate, Receipt, Store};

use super::request::Id;

/// How often somebody looks whether anybody has written to the file, while there are waits.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// More would have each commit of the file looked at for longer than a commit takes.
pub(super) const MOST: usize = 256;

/// The waits that are open, and what was last seen of the file.
#[derive(Debug, Default)]
pub(super) struct Waits {
    open: Vec<Wait>,
    seen: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Wait {
    pub(super) id: Option<Id>,
    pub(super) receipt: Receipt,
    pub(super) deadline: Instant,
}

impl Waits {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// False: there are too many already.
    pub(super) fn add(&mut self, wait: Wait) -> bool {
        let has_room = self.open.len() < MOST;
        if has_room {
            self.open.push(wait);
            self.seen = None;
        }
        has_room
    }

    /// Those that have met their fate by now, or whose time is over. Without news of the file only the clock is asked.
    pub(super) fn met(&mut self, store: &Store) -> tillsync::Result<Vec<(Wait, Fate)>> {
        let (now, version) = (Instant::now(), store.data_version()?);
        let has_news = self.seen.replace(version) != Some(version);
        let mut met = Vec::new();
        for wait in std::mem::take(&mut self.open) {
            let is_over = now >= wait.deadline;
            let fate = if has_news || is_over { store.fate(&wait.receipt)? } else { Fate::Pending };
            match fate {
                Fate::Pending if !is_over => self.open.push(wait),
                fate => met.push((wait, fate)),
            }
        }
        Ok(met)
    }

    /// All that are open, whatever has become of them.
    pub(super) fn give_up(&mut self) -> Vec<Wait> {
        std::mem::take(&mut self.open)
    }
}
