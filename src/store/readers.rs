//! Who reads the log: whose open transaction keeps it from being moved into the file and from beginning anew.
//!
//! SQLite itself does not tell. On Linux its locks on the `-shm` file do, in `/proc/locks`: each reader has one of five
//! bytes of it, shared, for as long as its transaction is open. Nothing is opened for that but the list. A process counts
//! when it was there at two looks: one that reads often, but never for long, is in nobody's way.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The bytes of a `-shm` file that stand for the five places of readers.
#[cfg(any(target_os = "linux", test))]
const PLACES: std::ops::RangeInclusive<u64> = 123..=127;
/// Between two looks.
const APART: Duration = Duration::from_millis(50);

/// The processes that keep reading, by their id; empty where the system does not tell.
pub(super) fn who_stays(shared: &Path) -> Vec<u32> {
    let first = look(shared);
    if first.is_empty() {
        return Vec::new();
    }
    std::thread::sleep(APART);
    first.intersection(&look(shared)).copied().collect()
}

#[cfg(target_os = "linux")]
fn look(shared: &Path) -> BTreeSet<u32> {
    use std::os::unix::fs::MetadataExt;
    let Ok(file) = shared.metadata() else { return BTreeSet::new() };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().filter_map(|line| reader(line, file.ino())).collect()
}

#[cfg(not(target_os = "linux"))]
fn look(_: &Path) -> BTreeSet<u32> {
    BTreeSet::new()
}

/// The process of a line such as `12: POSIX  ADVISORY  READ  4711 08:01:131 124 124`, if that is a reader of the file.
#[cfg(any(target_os = "linux", test))]
fn reader(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "POSIX").skip(2);
    let (mode, pid, file) = (words.next()?, words.next()?, words.next()?);
    let first: u64 = words.next()?.parse().ok()?;
    let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
    if mode == "READ" && is_it && PLACES.contains(&first) { pid.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_lock_on_the_place_of_a_reader_names_its_process() {
        assert_eq!(reader("12: POSIX  ADVISORY  READ  4711 08:01:131 124 124", 131), Some(4711));
        for other in [
            "12: POSIX  ADVISORY  READ  4711 08:01:132 124 124",
            "12: POSIX  ADVISORY  WRITE 4711 08:01:131 124 124",
            "12: POSIX  ADVISORY  READ  4711 08:01:131 128 128",
            "12: -> POSIX  ADVISORY",
            "12: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF",
            "12: OFDLCK ADVISORY  READ  -1 08:01:131 124 124",
            "",
        ] {
            assert_eq!(reader(other, 131), None, "{other}");
        }
    }
}
