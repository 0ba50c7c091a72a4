//! Whether the pages of the file are still those that SQLite has put there.
//!
//! Whoever copies something into the file (`cp backup.db till.db`) leaves it in its place, under its name, with the log of the file that
//! it was before: SQLite, in whatever program, goes on with the pages that it has in memory and in the log, and the next time that the
//! log is moved into the file, pages of the two are mixed. So before and after each transaction of the engine, before each edit
//! through the library, before the log is moved and at each look of a worker, the file itself is asked who it is, beneath its log: by the
//! row of `tillsync_guard` (see `stray`). Its identity never changes while it is open, and the count of the engine's transactions, which
//! comes into the file with the log, only grows; so does the count of edits, beside which nothing else may have changed. What is of another
//! file, or of this one as it was before, is never written to any more, and its log is neither moved into it nor removed, for it holds what was edited last.
//!
//! Nothing but such words of another file count against writing. A file without its log need not be whole: while somebody reads, SQLite moves a part of
//! the log into it, and it stays like that; after `VACUUM` the row may be found nowhere for as long. Such a file is told by its first page, which is
//! then as it was when it was last known, or stands in the log. Where not even that is so, the log is not moved into the file by us, and
//! stays when the last connection is closed: what began to be copied in, or is too large to be walked through, has no words.
//!
//! The row is looked for where it was last, in one page, which takes some microseconds. Where it is not, and that is not told by what is there
//! instead (a program may have moved it, by `VACUUM`), the file is opened once more as if it had no log. Of an encrypted file the page
//! tells only whether it was written since; if so, the file is opened that way too, and stays so: what its key costs is paid once.
//!
//! What is not found out: what is copied in and is this very file, as far as it had come when it was last looked at; and what another program's SQLite does between the
//! copy and our next look; half a copy, where what was copied tells nothing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::leaf::{self, Cell};
use super::open::{real, with_suffix};
use super::sound::{self, Depth, Soundness};
use super::stray::Counts;
use super::{Store, stray};
use crate::descriptors::Beneath;
use crate::error::{Failure, Result};
use crate::key::Key;

/// What a file of SQLite begins with, and how many bytes of an encrypted one are drawn once and stay.
const START: usize = 16;
const PLAIN: &[u8; START] = b"SQLite format 3\0";
/// A larger file is not walked through to know whether it is another program's.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What is known of the file itself, beneath its log.
#[derive(Debug)]
pub(super) struct Intact {
    path: PathBuf,
    key: Option<Key>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    identity: i64,
    /// None: what tells it is in the log only, so far.
    turn: Option<i64>,
    /// Where the row was last, and how large pages are.
    page: u32,
    page_bytes: u32,
    /// Where SQLite counts edits.
    counters: u32,
    /// How far they had come; none: that is not known.
    counts: Option<Counts>,
    /// The first page, while nothing of the file is read: all of it is in the log.
    nothing: Option<Vec<u8>>,
    /// Who lay beneath then: a file in whose place this one was put through SQLite.
    beneath: Option<i64>,
    /// The first page, as it was when the file was last known.
    first: Option<Vec<u8>>,
    /// Of an encrypted file.
    encrypted: Option<Encrypted>,
    is_lost: bool,
}

/// What stands in its place, where nothing can be read without the key.
#[derive(Debug)]
struct Encrypted {
    /// It is drawn with the key, and a backup has the same.
    start: Option<[u8; START]>,
    /// The page with the row, as it was when it fitted.
    page: Vec<u8>,
    /// The same of the page on which edits are counted.
    counters: Option<Vec<u8>>,
    /// As if it had no log, once that was needed.
    alone: Option<Connection>,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Of nobody else.
    Fine,
    /// It cannot be told just now.
    Unknown,
    /// Of another file, or of this one as it was before.
    Lost,
}

impl Intact {
    /// Of a file that was opened just now, and has the schema of this build.
    pub(super) fn of(connection: &Connection, path: &Path, key: Option<&Key>) -> rusqlite::Result<Intact> {
        let (identity, page, counters): (i64, u32, u32) = connection.query_row(
            "SELECT coalesce(identity, 0), (SELECT rootpage FROM sqlite_schema WHERE name = 'tillsync_guard'),
                 (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_sequence')
             FROM tillsync_guard",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let page_bytes = stray::page_bytes(connection).unwrap_or(0);
        let encrypted = key.map(|_| Encrypted { start: None, page: Vec::new(), counters: None, alone: None });
        let mut seen = Seen {
            identity,
            turn: None,
            page,
            page_bytes,
            counters,
            counts: None,
            nothing: None,
            beneath: None,
            first: None,
            encrypted,
            is_lost: false,
        };
        let is_encrypted = seen.encrypted.is_some();
        if let Some(file) = Beneath::of(connection) {
            seen.note(&file);
            seen.beneath = beneath(connection, path, key, identity);
            if seen.beneath.is_some() || seen.read_page(&file).is_none() {
                seen.nothing = seen.read_first(&file);
            } else if is_encrypted {
                // Asked before the log is: what is not in it then is in the file, or was, and that only grows.
                let mark = stray::Mark::of(connection)?;
                seen.turn = mark.as_ref().map(|mark| mark.turn);
                seen.counts = mark.and_then(|mark| mark.counts());
            }
        }
        let intact = Intact { path: path.to_owned(), key: key.cloned(), seen: Mutex::new(seen) };
        if is_encrypted && intact.is_in_log(page) {
            let mut seen = intact.seen();
            let alone = intact.mark(&mut seen).and_then(|mark| mark.ok().flatten());
            let alone = alone.filter(|mark| mark.identity == identity);
            seen.turn = alone.as_ref().map(|mark| mark.turn);
            seen.counts = alone.and_then(|mark| mark.counts());
        } else if is_encrypted && (intact.is_in_log(counters) || intact.is_in_log(1)) {
            intact.seen().counts = None;
        }
        Ok(intact)
    }

    /// Whether nothing speaks against writing.
    pub(super) fn is_its_own(&self, file: &Beneath) -> bool {
        self.look(file) != Look::Lost
    }

    /// Whether the log may be moved into it: it is known, or begins as SQLite has left it.
    pub(super) fn may_take_the_log(&self, file: &Beneath) -> bool {
        match self.look(file) {
            Look::Fine => true,
            Look::Lost => false,
            Look::Unknown => {
                let mut seen = self.seen();
                let is_as_left = self.begins_as_left(&seen, file);
                if is_as_left {
                    seen.first = seen.read_first(file);
                }
                is_as_left
            }
        }
    }

    /// Whether its first page is as it was when it was last known, or stands in the log.
    fn begins_as_left(&self, seen: &Seen, file: &Beneath) -> bool {
        let first = seen.read_first(file);
        first.is_some() && (seen.first == first || self.logged(1).any(|page| Some(page) == first))
    }

    fn is_in_log(&self, number: u32) -> bool {
        self.logged(number).next().is_some()
    }

    /// What the log has of a page, of all commits since it began.
    fn logged(&self, number: u32) -> impl Iterator<Item = Vec<u8>> + use<> {
        stray::logged(&with_suffix(&real(&self.path), "-wal"), number)
    }

    fn look(&self, file: &Beneath) -> Look {
        let mut seen = self.seen();
        if seen.is_lost {
            return Look::Lost;
        }
        if seen.fits_at_once(file) {
            return Look::Fine;
        }
        let look = self.look_once(&mut seen, file);
        seen.is_lost = look == Look::Lost;
        look
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_once(&self, seen: &mut Seen, file: &Beneath) -> Look {
        let Some(begins) = begin(file) else { return Look::Unknown };
        let is_foreign = match (begins, &seen.encrypted) {
            // All of it is in the log, or was in the file before.
            (None, it) => seen.turn.is_some() || it.as_ref().is_some_and(|it| it.start.is_some()),
            (Some(start), Some(it)) => start == *PLAIN || it.start.is_some_and(|drawn| drawn != start),
            (Some(start), None) => start != *PLAIN,
        };
        if is_foreign {
            return Look::Lost;
        }
        let has_fewer_edits = |seen: &Seen, mark: &stray::Mark| {
            let before = seen.counts.zip(seen.turn);
            before.is_some_and(|(counts, turn)| mark.has_fewer_edits(counts, turn))
        };
        match self.mark(seen) {
            Some(Ok(Some(mark))) if mark.identity == seen.identity && has_fewer_edits(seen, &mark) => {
                Look::Lost
            }
            Some(Ok(Some(mark))) if seen.fits(mark.identity, mark.turn) => {
                ([seen.page, seen.counters], seen.nothing) = (mark.pages, None);
                seen.note(file);
                seen.counts = match &seen.encrypted {
                    Some(_) => mark.counts(),
                    None => seen.read_counts(file, seen.first.as_deref()),
                };
                Look::Fine
            }
            // While the log that puts this one in its place is moved into it.
            Some(Ok(Some(mark)))
                if seen.beneath == Some(mark.identity) && self.begins_as_left(seen, file) =>
            {
                Look::Unknown
            }
            // Both places, on two pages, say the same.
            Some(Ok(Some(mark))) if mark.sequence == Some(mark.identity) => Look::Lost,
            // The schema of this build is in the log only, so far.
            Some(Ok(None)) if seen.turn.is_none() => {
                seen.nothing = seen.read_first(file);
                seen.first.clone_from(&seen.nothing);
                Look::Fine
            }
            Some(Ok(None)) if self.is_another_whole() => Look::Lost,
            _ => Look::Unknown,
        }
    }

    /// Whether it is a whole database without its log, though the row is not in it: a part of the log leaves no such file.
    fn is_another_whole(&self) -> bool {
        let is_small = self.path.metadata().is_ok_and(|file| file.len() <= MOST_BYTES);
        let check =
            || sound::check(&stray::without_log(&self.path, self.key.as_ref()).ok()?, Depth::Quick).ok();
        is_small && check().is_some_and(|found| found == Soundness::default())
    }

    /// What the file says of itself without its log. Of an encrypted one the connection is kept while it says what it did before: how long
    /// the file is it finds out but once.
    fn mark(&self, seen: &mut Seen) -> Option<rusqlite::Result<Option<stray::Mark>>> {
        let open = || stray::without_log(&self.path, self.key.as_ref()).ok();
        let identity = seen.identity;
        let Some(it) = &mut seen.encrypted else { return Some(stray::Mark::of(&open()?)) };
        if let Some(alone) = it.alone.take() {
            // What it has read before is read anew.
            alone.execute_batch("PRAGMA shrink_memory").ok()?;
            let mark = stray::Mark::of(&alone);
            if matches!(&mark, Ok(Some(mark)) if mark.identity == identity) {
                it.alone = Some(alone);
                return Some(mark);
            }
        }
        let alone = open()?;
        let mark = stray::Mark::of(&alone);
        if matches!(mark, Ok(Some(_))) {
            it.alone = Some(alone);
        }
        Some(mark)
    }
}

/// Who lies beneath a log that puts this file in its place as a whole; none: it is this one.
fn beneath(connection: &Connection, path: &Path, key: Option<&Key>, identity: i64) -> Option<i64> {
    // Whatever puts another file in its place writes the first page.
    let log = with_suffix(&real(path), "-wal");
    stray::logged(&log, 1).next()?;
    let mark = stray::Mark::of(&stray::without_log(path, key).ok()?).ok().flatten()?;
    let is_other = mark.identity != identity;
    (is_other && stray::is_replaced_by_log(connection, path, &mark, key)).then_some(mark.identity)
}

/// What it begins with, and nothing where it is shorter; none: it cannot be read just now.
fn begin(file: &Beneath) -> Option<Option<[u8; START]>> {
    let mut start = [0; START];
    file.has(&mut start, 0).map(|is_there| is_there.then_some(start))
}

impl Seen {
    fn fits_at_once(&mut self, file: &Beneath) -> bool {
        let (first, page) = (self.read_first(file), self.read_page(file));
        let begins = |start: &[u8; START]| first.as_ref().is_some_and(|first| first.starts_with(start));
        let fits = match &self.encrypted {
            _ if self.nothing.is_some() && self.nothing == first => true,
            Some(it) => {
                it.start.as_ref().is_some_and(begins)
                    && !it.page.is_empty()
                    && page.is_some_and(|page| page == it.page)
                    && self.read(file, self.counters) == it.counters
            }
            None => {
                let mark = page.as_deref().and_then(mark_on);
                let counts = self.read_counts(file, first.as_deref());
                let are_fewer =
                    self.counts.is_some_and(|before| counts.is_none_or(|now| now.edits < before.edits));
                let fits = begins(PLAIN)
                    && !are_fewer
                    && mark.is_some_and(|(identity, turn)| self.fits(identity, turn));
                if fits {
                    self.counts = counts;
                }
                fits
            }
        };
        if fits {
            self.first = first;
        }
        fits
    }

    /// The page on which the row was last.
    fn read_page(&self, file: &Beneath) -> Option<Vec<u8>> {
        self.read(file, self.page)
    }

    fn read_first(&self, file: &Beneath) -> Option<Vec<u8>> {
        self.read(file, 1)
    }

    fn read(&self, file: &Beneath, number: u32) -> Option<Vec<u8>> {
        let mut page = vec![0; usize::try_from(self.page_bytes).ok()?];
        let before = u64::from(number.checked_sub(1)?);
        file.read(&mut page, before * u64::from(self.page_bytes)).then_some(page)
    }

    /// What stands there, where it fits.
    fn note(&mut self, file: &Beneath) {
        let (page, counters) = (self.read_page(file), self.read(file, self.counters));
        self.first = self.read_first(file);
        if let Some((it, page)) = self.encrypted.as_mut().zip(page) {
            (it.page, it.counters, it.start) = (page, counters, begin(file).flatten());
        }
    }

    /// How far edits have come, as far as the pages tell it.
    fn read_counts(&self, file: &Beneath, first: Option<&[u8]>) -> Option<Counts> {
        let (identity, counts) = stray::counts_among(&self.read(file, self.counters)?, first?)?;
        (identity == self.identity).then_some(counts)
    }

    fn fits(&mut self, identity: i64, turn: i64) -> bool {
        let fits = identity == self.identity && self.turn.is_none_or(|seen| turn >= seen);
        if fits {
            self.turn = Some(turn);
        }
        fits
    }
}

impl Store {
    /// Refuses to go on with a file into which somebody has copied something.
    pub(super) fn refuse_overwritten(&self) -> Result<()> {
        let fits =
            |intact: &Intact| Beneath::of(&self.connection).is_none_or(|file| intact.is_its_own(&file));
        match self.intact.as_deref().is_none_or(fits) {
            true => Ok(()),
            false => Err(Failure::Overwritten(self.path.clone()).into()),
        }
    }

    /// Whether the log may be moved into the file.
    pub(super) fn may_move_the_log(&self) -> bool {
        let may =
            |intact: &Intact| Beneath::of(&self.connection).is_none_or(|file| intact.may_take_the_log(&file));
        self.intact.as_deref().is_none_or(may)
    }
}

/// Which file it is and how far it has come, of the page with the row; none: it is another page.
pub(super) fn mark_on(page: &[u8]) -> Option<(i64, i64)> {
    let rows = leaf::rows(page, |_| None);
    let [(1, row)] = rows.as_slice() else { return None };
    let number = |place: usize| row.get(place).and_then(Cell::number);
    Some((number(2)?, number(3)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;

    #[test]
    fn a_look_costs_no_opening_once_the_row_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("till.db")).unwrap();
        let (file, intact) = (Beneath::of(&store.connection).unwrap(), store.intact.clone().unwrap());
        assert!(intact.is_its_own(&file), "all of it is in the log");
        store.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        assert!(intact.seen().fits_at_once(&file));
        store
            .connection
            .execute_batch("CREATE TABLE mine (a); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        assert!(intact.is_its_own(&file) && intact.seen().fits_at_once(&file));
    }

    /// A reader keeps a part of the log from the file, and after `VACUUM` the row stands nowhere in it: the log goes on being moved into it,
    /// by whoever opens the file then too.
    #[test]
    fn a_file_of_which_only_a_part_was_moved_is_told_by_its_first_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let store = Store::open(&path).unwrap();
        let app = Connection::open(&path).unwrap();
        let grow = "CREATE TABLE wide (a); INSERT INTO wide VALUES (zeroblob(400000))";
        app.execute_batch(&format!("{grow}; PRAGMA wal_checkpoint(TRUNCATE)")).unwrap();
        assert_eq!(store.intact.as_ref().unwrap().look(&Beneath::of(&store.connection).unwrap()), Look::Fine);
        let reader = Connection::open(&path).unwrap();
        let count = "INSERT INTO wide VALUES (1)";
        app.execute_batch("DROP TABLE wide; VACUUM; CREATE TABLE wide (a)").unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
        app.execute_batch(count).unwrap();
        store.connection.execute_batch("UPDATE tillsync_guard SET turn = turn + 1").unwrap();
        app.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        let again = Store::open(&path).unwrap();
        for store in [&store, &again] {
            let file = Beneath::of(&store.connection).unwrap();
            assert!(store.refuse_overwritten().is_ok());
            assert!(store.intact.as_ref().unwrap().may_take_the_log(&file));
        }
    }
}
