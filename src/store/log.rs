//! The write-ahead log, kept short by the sync and off the path of everybody's edits.
//!
//! SQLite's own way is to move the log into the file after any commit that finds it long, while others go on writing. What
//! they add meanwhile keeps it from beginning anew: it stays long, and from then on every commit moves pages and waits for
//! the file. So a sync does that in two steps: the bulk, in which nobody is kept waiting, and at once the little that came
//! in meanwhile, with the right to write, so that the log is empty and begins anew.
//!
//! Where no sync runs, edits make the log long by themselves: a till that is offline for weeks. Whoever looks after the file (a worker)
//! moves it into the file every few seconds, off the path of edits; a connection of the library does so by itself whenever
//! another thousand pages have come, and leaves it to a sync while one runs. So an edit never pays for more than that.
//!
//! For the second step nobody may read the log either. SQLite would wait for such a reader *with* the right to write, and
//! every edit with it: for as long as its busy handler is patient. So it has none here. It is tried at once or not at all,
//! a few times with pauses in which nothing is held; when a reader stays in the way, the log stays, and is tended later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode};

use super::lock::Lock;
use super::open::{SYNC, beside, look_again};
use super::{Store, readers};
use crate::descriptors::Beneath;
use crate::error::Result;

/// How often it is tried to empty the log before that is put off, and the pause after each: some milliseconds in all.
const TRIES: u32 = 16;
const PAUSE: Duration = Duration::from_micros(250);

/// Since when passwords that have settled are to leave the log, a key of `state`.
pub(super) const WIPE_DUE: &str = "wipe_log";

/// Since when a reader holds up a log that is longer than a sync ever makes it, a key of `state`.
const HELD_UP: &str = "log_held_up";
/// Pages that edits may add to the log before one of them moves them into the file: 4 MiB, of which most are the same few pages
/// again and again.
pub(super) const EDITS_PAGES: usize = 1_000;
/// Whatever else runs: what nobody has tended by then, an edit does.
const MOST_PAGES: usize = 20_000;
/// Bytes of a log that is worth tending where nobody edits through this connection.
const EDITS_BYTES: u64 = EDITS_PAGES as u64 * 4_096;

/// Bytes of such a log: an app's connection lets it become 80 MiB where there are no syncs.
const LONG: u64 = 96 << 20;
/// Bytes of a log that is worth a word to a person when a reader holds it up.
const WORTH_A_WORD: u64 = 32 << 20;

/// How the write-ahead log beside the file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether a transaction that reads keeps a part of it from being moved into the file.
    pub is_held_up: bool,
    /// Since when syncs find it so, by the till's clock, and longer than it should be.
    pub held_up_since: Option<DateTime<Utc>>,
    /// Since when a password that was wiped from the file is to leave the log too, and cannot.
    pub wipe_due_since: Option<DateTime<Utc>>,
    /// The processes that keep reading, by their id, where the system tells: on Linux.
    pub readers: Vec<u32>,
}

impl LogState {
    /// Whether it is so long that a person should look who holds it up.
    pub fn is_worth_a_word(&self) -> bool {
        self.is_held_up && self.bytes >= WORTH_A_WORD
    }
}

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

/// When a connection of the library, of which nobody knows what it is for, moves the log into the file.
fn is_due(pages: usize, due_at: usize, is_syncing: impl FnOnce() -> bool) -> bool {
    pages >= due_at && (pages >= MOST_PAGES || !is_syncing())
}

impl Store {
    /// From now on this connection moves what edits add to the log into the file, a little each time. The same is done by SQLite
    /// itself (`wal_autocheckpoint`), but for the sync that would rather do it.
    pub(super) fn tend_log_of_edits(&mut self) -> rusqlite::Result<()> {
        let (pages, lock) = (self.log.pages.clone(), beside(&self.path, SYNC));
        let (intact, file) = (self.intact.clone(), Beneath::of(&self.connection));
        let may_move = move || match (&intact, &file) {
            (Some(intact), Some(file)) => intact.may_take_the_log(file),
            _ => true,
        };
        let mut due_at = EDITS_PAGES;
        let tend = move |log: &mut Wal, length| {
            let length = usize::try_from(length).unwrap_or(0);
            pages.store(length, Ordering::Relaxed);
            // It has begun anew.
            if length < EDITS_PAGES {
                due_at = EDITS_PAGES;
            }
            if !is_due(length, due_at, || Lock::is_taken(&lock)) {
                return Ok(());
            }
            // Somebody may read what was there before, or move it just now: not tried again at every commit.
            due_at = length + EDITS_PAGES;
            if may_move() { log.checkpoint().or(Ok(())) } else { Ok(()) }
        };
        self.connection.wal_hook(Some(tend))
    }

    /// Moves into the file what others have added to the log, off their path, if it may be much. Nobody waits for it.
    pub(crate) fn tend_log_of_others(&self) -> Result<()> {
        if self.log_bytes() < EDITS_BYTES || !self.may_move_the_log() {
            return Ok(());
        }
        checkpoint(&self.connection, "PASSIVE").map(|_| ()).map_err(|e| self.error(e))
    }

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
        let is_empty = self.empty_log("RESTART").unwrap_or_else(|error| {
            tracing::warn!(%error, pages, "the write-ahead log stays as long as it is");
            false
        });
        // Somebody was reading or writing just then. Not at every commit: that is what makes all of them slow.
        self.log.due_at = if is_empty { self.log.limit } else { pages.saturating_add(self.log.limit) };
    }

    /// Takes wiped passwords out of the write-ahead log too, if there were any. Returns false when another connection was in
    /// the way, for which nobody waits: the next sync tries again.
    pub(crate) fn wipe_log(&mut self) -> Result<bool> {
        if self.state(WIPE_DUE)?.is_none() {
            return Ok(true);
        }
        let is_empty = self.empty_log("TRUNCATE").map_err(|e| self.error(e))?;
        if is_empty {
            self.set_state(WIPE_DUE, None)?;
        }
        Ok(is_empty)
    }

    /// How the log stands, after everything was done to make it short that can be done without keeping anybody waiting.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn log_state(&mut self) -> Result<LogState> {
        self.refuse_overwritten()?;
        let is_wiped = self.wipe_log()?;
        let is_held_up = self.may_move_the_log() && is_left(&self.connection).map_err(|e| self.error(e))?;
        let readers = if is_held_up || !is_wiped { self.who_reads() } else { Vec::new() };
        Ok(LogState {
            bytes: self.log_bytes(),
            is_held_up,
            held_up_since: self.time(HELD_UP)?,
            wipe_due_since: if is_wiped { None } else { self.time(WIPE_DUE)? },
            readers,
        })
    }

    /// Makes a long log short again, with its file, or notes since when a reader is in the way: that is returned.
    pub(crate) fn tend_long_log(&mut self, now: DateTime<Utc>) -> Result<Option<LogState>> {
        if !self.may_move_the_log() {
            return Ok(None);
        }
        // What this sync leaves, the next edit would move.
        if self.log.pages.load(Ordering::Relaxed) >= EDITS_PAGES {
            checkpoint(&self.connection, "PASSIVE").map_err(|e| self.error(e))?;
        }
        let since = self.time(HELD_UP)?;
        if self.log_bytes() < if since.is_none() { LONG } else { WORTH_A_WORD } {
            if since.is_some() {
                self.set_time(HELD_UP, None)?;
            }
            return Ok(None);
        }
        if self.empty_log("TRUNCATE").map_err(|e| self.error(e))? {
            self.set_time(HELD_UP, None)?;
            return Ok(None);
        }
        let state = self.log_state()?;
        if state.is_held_up && since.is_none() {
            self.set_time(HELD_UP, Some(now))?;
        }
        let since = since.unwrap_or(now);
        Ok(state.is_held_up.then_some(LogState { held_up_since: Some(since), ..state }))
    }

    fn log_bytes(&self) -> u64 {
        beside(&self.path, "-wal").metadata().map_or(0, |log| log.len())
    }

    fn who_reads(&self) -> Vec<u32> {
        readers::who_stays(&beside(&self.path, "-shm"))
    }

    /// Returns false when somebody was in the way. Whoever writes waits for no more than the work.
    fn empty_log(&mut self, mode: &str) -> rusqlite::Result<bool> {
        if !self.may_move_the_log() {
            return Ok(false);
        }
        checkpoint(&self.connection, "PASSIVE")?;
        self.connection.busy_handler::<fn(i32) -> bool>(None)?;
        let is_empty = self.empty_at_once(mode);
        self.connection.busy_handler(Some(look_again))?;
        is_empty
    }

    fn empty_at_once(&self, mode: &str) -> rusqlite::Result<bool> {
        for _ in 0..TRIES {
            if !checkpoint(&self.connection, mode)? {
                return Ok(true);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(false)
    }
}

/// Returns whether somebody was in the way.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    let is_busy = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0));
    match is_busy {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(true),
        is_busy => is_busy,
    }
}

/// Whether a part of the log could not be moved into the file, because somebody reads what was there before.
fn is_left(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok(row.get::<_, i64>(2)? < row.get::<_, i64>(1)?)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use super::WIPE_DUE;
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

    /// SQLite would wait for the reader with the right to write in its hands: ten seconds, in which no edit gets in.
    #[test]
    fn no_edit_waits_while_a_reader_hinders_a_wipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let (mut engine, mut reader) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
        let mut app = Store::open(&path).unwrap();
        let reading = reader.connection().transaction().unwrap();
        reading.query_row("SELECT count(*) FROM state", [], |row| row.get::<_, i64>(0)).unwrap();
        engine.set_state(WIPE_DUE, Some("2026-01-01T00:00:00Z")).unwrap();
        // Of five rounds the shortest: whoever else is at work on this machine makes others wait, too.
        let mut longest = [Duration::ZERO; 5];
        for longest in &mut longest {
            let is_over = AtomicBool::new(false);
            *longest = std::thread::scope(|scope| {
                let edits = scope.spawn(|| {
                    let mut longest = Duration::ZERO;
                    while !is_over.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        app.set_state("an edit", Some("of the app")).unwrap();
                        longest = longest.max(began.elapsed());
                    }
                    longest
                });
                assert!(!engine.wipe_log().unwrap());
                is_over.store(true, Ordering::Relaxed);
                edits.join().unwrap()
            });
        }
        let shortest = longest.into_iter().min().unwrap();
        assert!(shortest < Duration::from_secs(1), "an edit waited {longest:?}");
        assert!(engine.state(WIPE_DUE).unwrap().is_some(), "it is tried again");
        drop(reading);
        assert!(engine.wipe_log().unwrap());
        // That it is done is noted behind it, in two pages.
        assert!(folder.path().join("till.db-wal").metadata().unwrap().len() < 3 * PAGE);
        assert_eq!(engine.state(WIPE_DUE).unwrap(), None);
    }

    /// A thousand times as much as an edit, by a till that never syncs.
    #[test]
    fn no_edit_moves_more_than_a_thousand_pages_while_nobody_syncs() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("till.db")).unwrap();
        store.connection.pragma_update(None, "synchronous", "OFF").unwrap();
        let mut longest = 0;
        for round in 0..2_000 {
            let text = format!("{round:04}").repeat(2_000);
            store.set_state(&format!("a{}", round % 7), Some(&text)).unwrap();
            longest = longest.max(store.log.pages.load(Ordering::Relaxed));
        }
        // With SQLite's own way, as it was set, it was 8,000.
        assert!((super::EDITS_PAGES..super::EDITS_PAGES + 20).contains(&longest), "{longest} pages");
    }

    #[test]
    fn a_sync_that_runs_is_left_to_keep_the_log_short_but_not_for_ever() {
        use super::{EDITS_PAGES, MOST_PAGES, is_due};
        assert!(!is_due(EDITS_PAGES - 1, EDITS_PAGES, || false));
        assert!(is_due(EDITS_PAGES, EDITS_PAGES, || false) && !is_due(EDITS_PAGES, EDITS_PAGES, || true));
        assert!(is_due(MOST_PAGES, EDITS_PAGES, || true));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let (mut engine, mut app) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
        let lock = engine.lock_sync(Duration::ZERO).unwrap();
        let edits = |app: &mut Store, edits| {
            for round in 0..edits {
                app.note_facts(&[("a", format!("{round:04}").repeat(3_000))]).unwrap();
            }
            app.log.pages.load(Ordering::Relaxed)
        };
        let left = edits(&mut app, 400);
        assert!(left > EDITS_PAGES, "{left} pages");
        // What the sync leaves, it moves at its end.
        engine.note_facts(&[("b", "the end".to_owned())]).unwrap();
        engine.keep_log_within(usize::MAX).unwrap();
        engine.note_facts(&[("b", "the end".to_owned())]).unwrap();
        engine.tend_long_log(chrono::Utc::now()).unwrap();
        drop(lock);
        assert!(edits(&mut app, 1) < 20, "it has begun anew");
    }

    /// An app edits through a SQLite of its own, which leaves the log to others.
    #[test]
    fn a_worker_moves_what_an_app_adds_to_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let worker = Store::open(&path).unwrap();
        let app = rusqlite::Connection::open(&path).unwrap();
        app.execute_batch(
            "PRAGMA wal_autocheckpoint = 20000; PRAGMA synchronous = OFF; CREATE TABLE mine (a)",
        )
        .unwrap();
        for round in 0..2_000 {
            app.execute("INSERT INTO mine VALUES (?1)", ["x".repeat(9_000)]).unwrap();
            if round % 100 == 0 {
                worker.tend_log_of_others().unwrap();
            }
        }
        let log = folder.path().join("till.db-wal").metadata().unwrap().len();
        assert!(log < 2_000 * PAGE, "{} pages", log / PAGE);
    }
}
