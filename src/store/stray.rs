//! A journal or a log beside a file that is not of it, found before SQLite writes it into the file.
//!
//! SQLite takes what lies beside a file, under its name, for its own. Checksums and salts say that a log is whole, and
//! nothing ties it to the file: a log of another database, or one that stayed behind when a backup was put in the file's
//! place, is read into the file page by page.
//!
//! So each file has an identity, a number drawn when it is made, and anew for each backup; and it counts the engine's transactions.
//! Both stand in the row of `engine_guard`, which every transaction of the engine writes, and the identity also in
//! `sqlite_sequence`, whose page every edit writes, of whatever program. Thus a log shows them. Whoever opens a file that has a log
//! and that this process has not open asks twice: the file as if it had no log, and the file with it. Another identity, or
//! fewer transactions or edits with the log than without, and the log is a stray one. A log that shows neither page,
//! which an app's own tables may have made, is judged by whether the file is sound with it, where that does not take long.
//!
//! What is not found out: a log that is newer than the file, which was set back by copying it (a backup has an identity of
//! its own and is found out); a log that another program's SQLite has written into the file before a till was opened.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::open::{LOOK_AGAIN, real, with_suffix};
use super::sound::{self, Depth};
use super::{schema, unlock};
use crate::descriptors::{self, LogFile};
use crate::error::{Failure, Result};
use crate::key::Key;

/// Bytes of a file's first page.
const FIRST_PAGE: u64 = 4_096;
/// Bytes that a log begins with, and that each page in it begins with.
const LOG_HEAD: u64 = 32;
const FRAME_HEAD: u64 = 24;
/// The row of `sqlite_sequence` that holds the identity. No table has this name.
const SEQUENCE: &str = "tillsync";
/// A larger file is not walked through to judge a log.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

const OTHER: &str = "it is of another database, or of the file in whose place this one was put";
const OLDER: &str = "it is older than the file";
const NO_LOG: &str = "it is no log of SQLite, or one with pages of another size";
const UNSOUND: &str = "with it the file would be damaged";

/// Refuses a database of another program before SQLite brings in what lies beside it, be it of that database or not. Where
/// nothing lies there, reading writes nothing.
pub(super) fn refuse_foreign(path: &Path, key: Option<&Key>) -> Result<()> {
    let file = real(path);
    let lies_beside = ["-wal", "-journal"]
        .iter()
        .any(|suffix| with_suffix(&file, suffix).metadata().is_ok_and(|beside| beside.len() > 0));
    if !lies_beside || key.is_some() {
        return Ok(());
    }
    // What cannot be read alone is for the looks that follow.
    let is_foreign = without_log(&file, None).is_ok_and(|alone| schema::is_foreign(&alone).unwrap_or(false));
    if is_foreign { Err(Failure::NotATill(path.to_owned()).into()) } else { Ok(()) }
}

/// A till is in write-ahead mode from its first page on and keeps no rollback journal. SQLite would take one that lies beside
/// it for its own, and write back what was in another file: also that there was nothing.
pub(super) fn refuse_journal(connection: &Connection, path: &Path) -> Result<()> {
    /// Of a file that is being made, whose journal goes in an instant.
    const WAIT: Duration = Duration::from_secs(1);
    let file = real(path);
    let (journal, log) = (with_suffix(&file, "-journal"), with_suffix(&file, "-wal"));
    let holds_anything =
        |file: &Path, more_than: u64| file.metadata().is_ok_and(|file| file.len() > more_than);
    let is_stray = || {
        holds_anything(&journal, 0)
            && is_write_ahead(connection, path)
            // A file that was killed while it was made has one page at most, its own journal, and no log yet.
            && (holds_anything(&file, FIRST_PAGE) || holds_anything(&log, 0))
    };
    let began = Instant::now();
    while is_stray() {
        if began.elapsed() >= WAIT {
            return Err(Failure::Stray { path: path.to_owned(), journal }.into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// By the file's first bytes, before SQLite goes by them. Those of an encrypted one tell nothing: it has more than a page.
fn is_write_ahead(connection: &Connection, path: &Path) -> bool {
    match descriptors::read_start::<20>(connection) {
        Some(start) if start.starts_with(b"SQLite format 3\0") => start[18] == 2,
        _ => path.metadata().is_ok_and(|file| file.len() > FIRST_PAGE),
    }
}

/// Refuses a log that is not of the file. The connection has its key and has read nothing yet; when it is refused, closing it
/// writes nothing.
pub(super) fn refuse_log(connection: &Connection, path: &Path, key: Option<&Key>) -> Result<()> {
    /// A log that others write and move just now may look strange for an instant.
    const TRIES: u32 = 5;
    let file = real(path);
    let log = with_suffix(&file, "-wal");
    if !log.metadata().is_ok_and(|log| log.len() > LOG_HEAD) || descriptors::is_open_more_than_once(&file) {
        return Ok(());
    }
    for tried in 1.. {
        match problem(connection, &file, &log, key) {
            None => return Ok(()),
            Some(why) if tried == TRIES => {
                return Err(Failure::StrayLog { path: path.to_owned(), log, why }.into());
            }
            Some(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
    Ok(())
}

fn problem(connection: &Connection, file: &Path, log: &Path, key: Option<&Key>) -> Option<&'static str> {
    // What does not open without its log, or is of an older schema, has nothing to hold the log against.
    let alone = without_log(file, key).ok()?;
    let before = Mark::of(&alone).ok().flatten()?;
    let pages = match Log::pages(log, page_bytes(&alone)?) {
        Log::Empty => return None,
        Log::None => return Some(NO_LOG),
        Log::Pages(pages) => pages,
    };
    drop(alone);
    // From here on, SQLite has read the log, and would write it into the file when it closes the last connection.
    let keep = |yes| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, yes);
    keep(true).ok()?;
    let why = match Mark::of(connection) {
        Err(e) if is_passing(&e) => None,
        Err(_) | Ok(None) => Some(OTHER),
        Ok(Some(with)) => before.misfit(&with).or_else(|| {
            let is_shown = pages.iter().any(|page| before.pages.contains(page));
            let is_small = file.metadata().is_ok_and(|file| file.len() <= MOST_BYTES);
            (!is_shown && is_small && !is_sound(connection)).then_some(UNSOUND)
        }),
    };
    if why.is_none() {
        keep(false).ok()?;
    }
    why
}

/// SQLCipher answers in words.
fn page_bytes(connection: &Connection) -> Option<u32> {
    let answer = connection.pragma_query_value(None, "page_size", |row| row.get(0)).ok()?;
    match answer {
        Value::Integer(bytes) => bytes.try_into().ok(),
        Value::Text(bytes) => bytes.parse().ok(),
        _ => None,
    }
}

/// Says nothing of the log: somebody is in the way, or the disk.
fn is_passing(error: &rusqlite::Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, PermissionDenied, ReadOnly,
        SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            CannotOpen
                | DatabaseBusy
                | DatabaseLocked
                | DiskFull
                | OutOfMemory
                | PermissionDenied
                | ReadOnly
                | SystemIoFailure
        )
    )
}

fn is_sound(connection: &Connection) -> bool {
    match sound::check(connection, Depth::Quick) {
        Ok(found) => found.problems.is_empty(),
        Err(e) => is_passing(&e),
    }
}

/// The file as it would be if it had no log. Nothing is written or locked.
fn without_log(file: &Path, key: Option<&Key>) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let failed = |e| crate::error::Error::sqlite(file, e);
    let connection = Connection::open_with_flags(uri(file), flags).map_err(failed)?;
    unlock::give(&connection, file, key)?;
    Ok(connection)
}

fn uri(file: &Path) -> String {
    let mut uri = "file:".to_owned();
    let path = file.to_string_lossy();
    // `C:\till.db` is `file:///C:/till.db`.
    if !path.starts_with('/') {
        uri.push_str("///");
    }
    for sign in path.trim_start_matches(r"\\?\").chars() {
        match sign {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            '\\' if cfg!(windows) => uri.push('/'),
            sign => uri.push(sign),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

// ---- what a file says of itself ----------------------------------------------------------------------------------

/// Which file it is, and how far it has come.
#[derive(Debug)]
struct Mark {
    identity: i64,
    /// The same, as `sqlite_sequence` has it; none: somebody emptied that.
    sequence: Option<i64>,
    turn: i64,
    /// The newest edit, by `sqlite_sequence` and by the journal itself.
    edits: (i64, i64),
    /// The pages on which this stands.
    pages: [u32; 2],
}

impl Mark {
    /// None: it is no till, or of an older schema.
    fn of(connection: &Connection) -> rusqlite::Result<Option<Mark>> {
        let has_it: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM pragma_table_info('engine_guard') WHERE name = 'identity')",
            [],
            |row| row.get(0),
        )?;
        if !has_it {
            return Ok(None);
        }
        let mark = connection.query_row(
            "SELECT identity, turn, (SELECT seq FROM sqlite_sequence WHERE name = ?1),
                    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'journal'), 0),
                    coalesce((SELECT max(seq) FROM journal), 0),
                    (SELECT rootpage FROM sqlite_schema WHERE name = 'engine_guard'),
                    (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_sequence')
             FROM engine_guard
             WHERE identity IS NOT NULL",
            [SEQUENCE],
            |row| {
                Ok(Mark {
                    identity: row.get(0)?,
                    turn: row.get(1)?,
                    sequence: row.get(2)?,
                    edits: (row.get(3)?, row.get(4)?),
                    pages: [row.get(5)?, row.get(6)?],
                })
            },
        );
        mark.optional()
    }

    /// Why this cannot be the same file at a later time.
    fn misfit(&self, with: &Mark) -> Option<&'static str> {
        let is_other =
            with.identity != self.identity || with.sequence.is_some_and(|sequence| sequence != self.identity);
        // Each of the two alone may go back: a tool empties `sqlite_sequence`, old rows of the journal are removed.
        let is_older = with.turn < self.turn || (with.edits.0 < self.edits.0 && with.edits.1 < self.edits.1);
        match () {
            () if is_other => Some(OTHER),
            () if is_older => Some(OLDER),
            () => None,
        }
    }
}

/// Whether the identity stands where edits leave it in a log.
pub(super) fn is_marked(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM engine_guard AS g JOIN sqlite_sequence AS s ON s.seq = g.identity WHERE s.name = ?1",
        )?
        .query_row([SEQUENCE], |row| row.get::<_, i64>(0))
        .map(|count| count == 1)
}

/// Writes the identity beside the counters of edits, where a tool may have removed it.
pub(super) fn mark(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [SEQUENCE])?;
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, identity FROM engine_guard WHERE identity IS NOT NULL",
        [SEQUENCE],
    )?;
    Ok(())
}

/// A copy is another file: what was written to the log of the one is none of the other's.
pub(super) fn become_another(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE engine_guard SET identity = random()", [])?;
    mark(connection)
}

// ---- the log -----------------------------------------------------------------------------------------------------

/// What a log holds. Its heads are plain, also where its pages are encrypted.
#[derive(Debug, PartialEq, Eq)]
enum Log {
    /// Nothing that SQLite would take for written.
    Empty,
    /// It is none, or one of a database with other pages.
    None,
    Pages(Vec<u32>),
}

impl Log {
    fn pages(path: &Path, page_bytes: u32) -> Log {
        const MAGIC: u32 = 0x377f_0682;
        let Some(mut file) = LogFile::open(path) else { return Log::Empty };
        let Some(head) = file.read::<32>(0) else { return Log::Empty };
        let number = |bytes: &[u8], at: usize| {
            bytes[at..at + 4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
        };
        match number(&head, 0) & !1 {
            // As a disk leaves it that lost power.
            0 if head.iter().all(|byte| *byte == 0) => return Log::Empty,
            MAGIC if number(&head, 8) == page_bytes => {}
            _ => return Log::None,
        }
        let mut pages = Vec::new();
        let mut at = LOG_HEAD;
        while let Some(frame) = file.read::<16>(at) {
            // What lies behind is left over from before the log began anew.
            if frame[8..16] != head[16..24] {
                break;
            }
            pages.push(number(&frame, 0));
            at += FRAME_HEAD + u64::from(page_bytes);
        }
        pages.sort_unstable();
        pages.dedup();
        if pages.is_empty() { Log::Empty } else { Log::Pages(pages) }
    }
}
