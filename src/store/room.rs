//! Whether this file can be written: by its locks, and by the room on its disk. Tried, because only that tells; nothing of it stays.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rusqlite::TransactionBehavior;

use super::open::{beside, look_again, look_for, owner_only, real};
use super::{Store, believing, restore, state};
use crate::error::{Error, Result};

/// So much is written to see whether there is room.
const TRIED_BYTES: usize = 1024 * 1024;
/// Behind the name of the file, and before the number of the process that tries it.
pub(super) const ROOM: &str = "-room-";
/// Nobody takes that long to try it: whoever left one that is older was killed.
const LEFT_AFTER: Duration = Duration::from_secs(60);

impl Store {
    /// Whether an edit would be taken now: takes the right to write, writes, and takes it back. Waits for it a second at most.
    ///
    /// # Errors
    /// `locked` when another program holds the right to write ([`Store::writer`] may tell which), `disk_full`, and whatever else an
    /// edit would meet.
    pub fn try_to_write(&mut self) -> Result<()> {
        self.refuse_company()?;
        let mut try_it = || {
            self.connection.busy_handler(Some(look_for_a_second))?;
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            believing(&transaction, |transaction| state::write(transaction, "tried", Some("yes")))?;
            transaction.rollback()
        };
        let tried = try_it();
        self.connection.busy_handler(Some(look_again)).map_err(|e| self.error(e))?;
        tried.map_err(|e| self.error(e))
    }

    /// How much room is left beside the file, in bytes, where the system tells. A mebibyte is written there and removed again.
    ///
    /// # Errors
    /// `disk_full`, `not_writable`.
    pub fn room(&self) -> Result<Option<u64>> {
        self.remove_what_was_left();
        let path = beside(&self.path, &format!("{ROOM}{}", std::process::id()));
        let tried = fill(&path);
        // Also what was written in part.
        _ = std::fs::remove_file(&path);
        tried.map_err(|e| Error::file(&self.path, &e))?;
        Ok(free_bytes(&path))
    }

    /// By one who was killed while he tried it.
    fn remove_what_was_left(&self) {
        let is_number = |rest: &str| rest.bytes().all(|sign| sign.is_ascii_digit());
        let is_old = |file: &std::path::PathBuf| {
            let written = file.metadata().and_then(|file| file.modified());
            written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= LEFT_AFTER))
        };
        for left in restore::called(&real(&self.path), ROOM, is_number).into_iter().filter(is_old) {
            _ = std::fs::remove_file(left);
        }
    }
}

fn look_for_a_second(tries: i32) -> bool {
    look_for(Duration::from_secs(1), tries)
}

fn fill(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    owner_only(&mut options);
    let mut file = options.open(path)?;
    // Nothing that a file system could leave out or make smaller.
    let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(TRIED_BYTES).collect();
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Of the disk of this path's folder.
#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path.parent()?).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(windows)]
fn free_bytes(path: &Path) -> Option<u64> {
    crate::windows::free_bytes(path.parent()?)
}

#[cfg(not(any(unix, windows)))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;

    #[test]
    fn what_somebody_left_who_was_killed_goes_and_what_is_new_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("till.db")).unwrap();
        let named = |name: &str| folder.path().join(format!("till.db{name}"));
        let old = std::time::SystemTime::now() - 2 * LEFT_AFTER;
        for name in ["-room-1", "-room-x1", "-room-2"] {
            std::fs::write(named(name), "").unwrap();
            if name != "-room-2" {
                std::fs::File::options().write(true).open(named(name)).unwrap().set_modified(old).unwrap();
            }
        }
        store.room().unwrap();
        let is_there = |name: &str| named(name).exists();
        assert_eq!(["-room-1", "-room-x1", "-room-2"].map(is_there), [false, true, true]);
    }

    /// On a system whose sleeps are long, few tries are a long time.
    #[test]
    fn a_second_is_a_second_however_few_tries_it_had() {
        assert!(look_for_a_second(0) && look_for_a_second(1));
        std::thread::sleep(Duration::from_secs(1));
        assert!(!look_for_a_second(2));
        assert!(look_for_a_second(0), "the next wait begins anew");
    }
}
