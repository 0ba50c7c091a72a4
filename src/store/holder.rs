//! Who holds a lock of this file: the worker's, the sync's, or SQLite's right to write.
//!
//! Whoever takes one of ours writes into the lock's file who it is, and since when; what a crash left there is believed only
//! while the lock is held. Of SQLite's, Linux tells who holds them (`/proc/locks`); elsewhere nobody does. Nothing here takes
//! a lock for longer than a look: a shared one, which whoever wants it whole sits out.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::open::{SYNC, WORKER, beside};
use super::{Store, lock};
use crate::clock::stamp;
use crate::descriptors::file_id;
use crate::error::Result;

/// A worker that has not looked at the file for so long, and does not sync, hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// The byte of the `-shm` file that SQLite locks for the right to write.
#[cfg(target_os = "linux")]
const RIGHT_TO_WRITE: u64 = 120;

/// What the file of a lock begins with.
const BEGINNING: &[u8] = br#"{"pid":"#;

/// A program that holds a lock, as far as it and the system tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its process.
    pub pid: Option<u32>,
    /// What that process is called.
    pub program: Option<String>,
    /// Since when, by the till's clock.
    pub since: Option<DateTime<Utc>>,
    /// Whether the process was stopped from outside: by SIGSTOP, or a debugger. False where the system does not tell.
    pub is_stopped: bool,
    /// When it last said that it lives; a worker does, every few seconds while it does not sync.
    pub seen_at: Option<DateTime<Utc>>,
    /// Whether it holds the right to sync besides, or may: then it says nothing meanwhile.
    is_busy: bool,
    /// It took that for another file than the one that is at this path now. False where the system does not tell files apart.
    pub is_elsewhere: bool,
}

/// What the file of a lock says.
#[derive(Serialize, Deserialize)]
struct Written {
    pid: u32,
    since: String,
    /// The file that it is about: see [`identity`].
    #[serde(default)]
    file: Option<String>,
}

impl Holder {
    /// Whether it goes on: it was not stopped, does not hang, and has this very file open.
    pub fn is_working(&self) -> bool {
        !self.is_stopped && !self.is_elsewhere && (self.is_busy || !self.is_silent())
    }

    fn is_silent(&self) -> bool {
        let silence = self.seen_at.and_then(|at| (Utc::now() - at).to_std().ok());
        silence.is_some_and(|silence| silence > HANGS_AFTER)
    }

    /// Whoever holds the lock of this file now.
    fn of(database: &Path, suffix: &str) -> Result<Option<Holder>> {
        let path = &beside(database, suffix);
        let Some(mut file) = lock::find(path)? else { return Ok(None) };
        if lock::is_free(path, &file)? {
            return lock::refuse_other(path, &file).map(|()| None);
        }
        // On Windows it cannot be read while it is locked.
        let mut text = String::new();
        _ = file.read_to_string(&mut text);
        let written: Option<Written> = serde_json::from_str(&text).ok();
        let since = written.as_ref().and_then(|written| DateTime::parse_from_rfc3339(&written.since).ok());
        let seen_at = file.metadata().and_then(|file| file.modified()).ok().map(DateTime::<Utc>::from);
        let holder = match written.filter(|written| system::is_alive(written.pid)) {
            Some(written) => {
                let now = identity(database);
                let is_elsewhere = now.is_some() && written.file.is_some() && now != written.file;
                let since = since.map(|at| at.to_utc());
                Holder { since, seen_at, is_elsewhere, ..Holder::process(written.pid) }
            }
            None => system::flock(path).map(Holder::process).unwrap_or_default(),
        };
        Ok(Some(holder))
    }

    fn process(pid: u32) -> Holder {
        let (program, is_stopped) = (system::program(pid), system::is_stopped(pid));
        Holder { pid: Some(pid), program, is_stopped, ..Holder::default() }
    }
}

/// Whether a file holds what a lock does: nothing, or whose it is, or was. A crash may have cut that short.
pub(super) fn is_lock(mut file: &File) -> bool {
    const MOST_BYTES: u64 = 256;
    let mut text = Vec::new();
    match file.rewind().and_then(|()| file.take(MOST_BYTES).read_to_end(&mut text)) {
        Ok(_) => {
            let begins = text.iter().zip(BEGINNING).all(|(byte, ours)| byte == ours);
            begins || text.iter().all(|byte| *byte == 0)
        }
        Err(_) => true,
    }
}

/// Says in the file of a lock that this process has it. A lock is as good without.
pub(super) fn sign(mut file: &File, database: &Path) {
    let written = Written { pid: std::process::id(), since: stamp(Utc::now()), file: identity(database) };
    let json = serde_json::to_string(&written).unwrap_or_default();
    let mut write = || {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(json.as_bytes())
    };
    if let Err(error) = write() {
        tracing::debug!(%error, "the lock does not say whose it is");
    }
}

/// Which file is at this path: by device and inode, where there are such.
fn identity(database: &Path) -> Option<String> {
    database.metadata().ok().map(|file| format!("{:?}", file_id(&file)))
}

/// Says in the file of a lock that its holder lives.
pub(super) fn live(file: &File) {
    _ = file.set_modified(SystemTime::now());
}

impl Store {
    /// Who syncs this file now; none: nobody does.
    ///
    /// # Errors
    /// When the lock's file cannot be read.
    pub fn sync_holder(&self) -> Result<Option<Holder>> {
        Holder::of(&self.path, SYNC)
    }

    /// Whose worker keeps this file in step; none: nobody's.
    ///
    /// # Errors
    /// When the lock's file cannot be read.
    pub fn worker_holder(&self) -> Result<Option<Holder>> {
        let Some(worker) = Holder::of(&self.path, WORKER)? else { return Ok(None) };
        // What lies in its place is another one's trouble.
        let syncs = self.sync_holder().unwrap_or_default();
        let is_busy = syncs.is_some_and(|syncs| syncs.pid.is_none() || syncs.pid == worker.pid);
        Ok(Some(Holder { is_busy, ..worker }))
    }

    /// Who holds SQLite's right to write at this moment, where the system tells; none: nobody, or it does not.
    pub fn writer(&self) -> Option<Holder> {
        system::writer(&beside(&self.path, "-shm")).map(Holder::process)
    }
}

/// What Linux tells of processes and their locks.
#[cfg(target_os = "linux")]
mod system {
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::RIGHT_TO_WRITE;

    pub(super) fn is_alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    pub(super) fn program(pid: u32) -> Option<String> {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(name.trim_end().to_owned())
    }

    pub(super) fn is_stopped(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
    }

    pub(super) fn flock(file: &Path) -> Option<u32> {
        find(file, |lock| lock.kind == "FLOCK" && lock.is_exclusive)
    }

    pub(super) fn writer(shared_memory: &Path) -> Option<u32> {
        let covers = |lock: &Lock<'_>| (lock.first..=lock.last).contains(&RIGHT_TO_WRITE);
        find(shared_memory, |lock| lock.kind != "FLOCK" && lock.is_exclusive && covers(lock))
    }

    /// The list comes in pieces, between which others take locks and give them up, so a line may be left out: it is asked for again.
    fn find(file: &Path, is_it: impl Fn(&Lock<'_>) -> bool) -> Option<u32> {
        (0..3).find_map(|_| find_once(file, &is_it))
    }

    fn find_once(file: &Path, is_it: &impl Fn(&Lock<'_>) -> bool) -> Option<u32> {
        let inode = file.metadata().ok()?.ino();
        let text = std::fs::read_to_string("/proc/locks").ok()?;
        let locks = text.lines().filter_map(Lock::read).filter(|lock| lock.inode == inode && is_it(lock));
        // The number of a file may be another one's on another disk.
        locks.filter_map(|lock| lock.pid).find(|pid| has_open(*pid, file))
    }

    /// Of another user's process nobody may know; then it is taken to be the one.
    fn has_open(pid: u32, file: &Path) -> bool {
        match std::fs::read_dir(format!("/proc/{pid}/fd")) {
            Err(_) => true,
            Ok(list) => list.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == file)),
        }
    }

    /// A line of `/proc/locks`: `1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 120 120`.
    #[derive(Debug, PartialEq, Eq)]
    struct Lock<'a> {
        kind: &'a str,
        is_exclusive: bool,
        /// None: a process that this one cannot see, or several at once.
        pid: Option<u32>,
        inode: u64,
        first: u64,
        last: u64,
    }

    impl Lock<'_> {
        /// None: somebody who waits, or a line that is not understood.
        fn read(line: &str) -> Option<Lock<'_>> {
            let [_, kind, _, access, pid, file, first, last, ..] =
                line.split_whitespace().collect::<Vec<_>>()[..]
            else {
                return None;
            };
            Some(Lock {
                kind,
                is_exclusive: access == "WRITE",
                pid: pid.parse().ok().filter(|pid| *pid > 0),
                inode: file.rsplit(':').next()?.parse().ok()?,
                first: first.parse().ok()?,
                last: if last == "EOF" { u64::MAX } else { last.parse().ok()? },
            })
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_line_of_the_locks_is_read_and_who_waits_is_none() {
            let posix = Lock::read("1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 120 120");
            let (kind, is_exclusive, inode) = ("POSIX", true, 2_531_452);
            assert_eq!(
                posix,
                Some(Lock { kind, is_exclusive, pid: Some(3_568), inode, first: 120, last: 120 })
            );
            let flock = Lock::read("2: FLOCK  ADVISORY  READ -1 00:2b:7 0 EOF");
            let (kind, is_exclusive, inode) = ("FLOCK", false, 7);
            assert_eq!(flock, Some(Lock { kind, is_exclusive, pid: None, inode, first: 0, last: u64::MAX }));
            assert_eq!(Lock::read("2: -> FLOCK  ADVISORY  WRITE 3548 fd:00:2531442 0 EOF"), None);
            assert_eq!(Lock::read("nonsense"), None);
        }
    }
}

/// Elsewhere nobody tells.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::Path;

    pub(super) fn is_alive(_: u32) -> bool {
        true
    }

    pub(super) fn program(_: u32) -> Option<String> {
        None
    }

    pub(super) fn is_stopped(_: u32) -> bool {
        false
    }

    pub(super) fn flock(_: &Path) -> Option<u32> {
        None
    }

    pub(super) fn writer(_: &Path) -> Option<u32> {
        None
    }
}
