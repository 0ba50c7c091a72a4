//! A journal or a log beside a file that is not of it, found before SQLite writes it into the file.
//!
//! SQLite takes what lies beside a file, under its name, for its own. Checksums and salts say that a log is whole, and
//! nothing ties it to the file: a log of another database, or one that stayed behind when a backup was put in the file's
//! place, is read into the file page by page.
//!
//! So each file has an identity, a number drawn when it is made, and anew for each backup; and it counts the engine's transactions.
//! Both stand in the row of `tillsync_guard`, which every transaction of the engine writes, and in `sqlite_sequence`, whose page every edit
//! writes too, of whatever program. Thus a log shows them: one of edits alone tells after how many transactions of the engine they were made. Whoever opens a file that has a log
//! and that this process has not open asks twice: the file as if it had no log, and the file with it. Another identity, or
//! fewer transactions or edits with the log than without, and the log is a stray one. So it is when the newest edit or the newest sync of the
//! file is another one with the log: that of a copy, which went on by itself. And when the log begins later than the file ends,
//! which was set back then: each transaction of the engine counts one up, and the log shows each count that was made in it; where the
//! file has grown, each page behind its end is in the log; and the engine notes to which log it writes, and in which of its transactions it did first: a log
//! that is not noted has few of them.
//!
//! A log that shows neither page, which an app's own tables may have made, is known by two more signs. Each log has a number, drawn when it
//! begins; the engine notes in the file which one it writes to, so that a file in which a later one is noted has all of it. And SQLite counts up
//! in the first page of the file whenever it writes that (a table is made, the file grows), so a log that shows this page with a smaller count
//! than the file is behind it. Then it is judged by whether the file is sound with it, where that does not take long. A program may also
//! have taken out one of these tables: the log is the file's own then if the identity beside the counters is, and most tables are where they
//! were.
//!
//! And a log may hold another file whole that was put in this one's place through SQLite: an app gives a backup to SQLite's backup interface, with the
//! till as its target. Such a log was written over this very file, and reading it in mixes nothing: one commit has every page, and the
//! first page counts the schema one on from where this file, or the log before it, had come. That is the file's own. What it became is then
//! judged as any copy that was put in place.
//!
//! What is not found out: the log of another till that holds all of it since a `VACUUM`, where the schema of the two was changed as often; a log of an app's own tables that no transaction of the engine has seen, or with none behind it in the file; a log that is newer than a file which was set back by copying it (a backup has an identity of its own and is found
//! out), where fewer than two of the engine's transactions were in between (four, where the file is encrypted), and the file has not grown either; a log that another program's SQLite has written into
//! the file before a till was opened.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::intact::mark_on;
use super::leaf::{self, Cell};
use super::open::{LOOK_AGAIN, keep_log, raw, real, with_suffix};
use super::sound::{self, Depth};
use super::{schema, state, unlock};
use crate::descriptors::{self, LogFile};
use crate::error::{Error, Failure, Result};
use crate::key::Key;

/// What a file begins with, and how many bytes of it tell what it is.
const PLAIN: &[u8] = b"SQLite format 3\0";
const HEAD: usize = 100;
/// Bytes of a file's first page.
const FIRST_PAGE: u64 = 4_096;
/// Bytes that a log begins with, and that each page in it begins with.
const LOG_HEAD: u64 = 32;
const FRAME_HEAD: u64 = 24;
const MAGIC: u32 = 0x377f_0682;
/// The row of `sqlite_sequence` that holds the identity. No table has this name.
const SEQUENCE: &str = "tillsync";
/// The same of the count of the engine's transactions.
const TURNS: &str = "tillsync turn";
/// The numbers of the logs that the engine has written to, a key of `state`, the last one at the end; and of how many it is known.
const LOGS: &str = "logs";
const KNOWN_LOGS: usize = 32;
/// Where the count of SQLite stands in a file's first page.
const CHANGES: usize = 24;
/// The same of how often the schema was changed.
const SCHEMA_CHANGES: usize = 40;
/// A larger file is not walked through to judge a log.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

const OTHER: &str = "it is of another database, or of the file in whose place this one was put";
/// Where it cannot be read with the log, and that counts less than the file.
const OTHER_OR_OLDER: &str = "it is older than the file, or of another database";
/// It has every page, and none that the file's key reads: so it is when a file was killed just after it got another key.
const OTHER_KEY: &str =
    "it is of another database, or this file under the key that it got last: give that one first";
const GONE: &str = "it is of a file that is not there any more";
const OLDER: &str = "it is older than the file";
const COPY: &str = "it is of a copy of this file that went on by itself";
const LATER: &str =
    "it begins after what the file holds, which was set back: an older copy was put in its place";
const NO_LOG: &str = "it is no log of SQLite, or one with pages of another size";
/// Not said of a log: it is the file's own, and in it a program took out the table with the identity.
const NO_GUARD: &str = "tillsync_guard";
const UNSOUND: &str = "with it the file would be damaged";

/// Whether a log lies beside it.
pub(super) fn has_log(path: &Path) -> bool {
    with_suffix(&real(path), "-wal").metadata().is_ok_and(|log| log.len() > 0)
}

/// Refuses to make a file where a log lies already, in which edits of another one may be: SQLite would delete it.
pub(super) fn refuse_log_of_none(path: &Path) -> Result<()> {
    let is_there = path.metadata().is_ok_and(|file| file.len() > 0);
    match !is_there && has_log(path) {
        true => {
            let log = with_suffix(&real(path), "-wal");
            Err(Failure::StrayLog { path: path.to_owned(), log, why: GONE }.into())
        }
        false => Ok(()),
    }
}

/// Refuses a database of another program before SQLite makes anything beside it, or brings in what lies there, be it of that database or
/// not. The connection has read nothing yet.
pub(super) fn refuse_foreign(connection: &Connection, path: &Path, key: Option<&Key>) -> Result<()> {
    let is_plain = descriptors::read_start::<HEAD>(connection).filter(|head| head.starts_with(PLAIN));
    let Some(head) = is_plain.filter(|_| key.is_none()) else { return Ok(()) };
    if schema::says_that_it_is_a_till(&head) {
        return Ok(());
    }
    let file = real(path);
    // What cannot be read alone is for the looks that follow.
    let Ok(alone) = without_log(&file, None) else { return Ok(()) };
    let is_foreign =
        |of: &Connection| schema::is_foreign(of).unwrap_or(false) || schema::is_claimed(of).unwrap_or(false);
    if is_foreign(&alone) {
        return Err(not_a_till(path, &alone));
    }
    let has_nothing = schema::history(&alone).is_ok_and(|found| found == 0);
    let with_log = (has_nothing && has_log(&file)).then(|| leaving_all(&file, None).ok()).flatten();
    match with_log.filter(is_foreign) {
        Some(with_log) => Err(not_a_till(path, &with_log)),
        None => Ok(()),
    }
}

/// The database of another program, and what in it bears names of ours.
pub(super) fn not_a_till(path: &Path, connection: &Connection) -> Error {
    let taken = schema::taken(connection, 0).unwrap_or_default().join(", ");
    Failure::NotATill { path: path.to_owned(), taken }.into()
}

/// The file with its log, of which nothing is moved into it; and with the index of that in memory, so that none is made beside it.
/// Nobody else has it open, or reading it fails.
fn leaving_all(file: &Path, key: Option<&Key>) -> Result<Connection> {
    let connection = raw(file)?;
    unlock::give(&connection, file, key)?;
    let settings = || {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(Duration::ZERO)?;
        // Before the first read: after one it would be too late to ask for it.
        connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))
    };
    settings().map_err(|e| Error::sqlite(file, e))?;
    Ok(connection)
}

/// Refuses a log beside a file that nobody is to write to, such as a backup, when it is not of it; whether somebody has them open.
pub(super) fn judge_log(path: &Path, key: Option<&Key>) -> Result<bool> {
    let connection = leaving_all(path, key)?;
    let seen = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    if seen.is_err_and(|e| {
        matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }) {
        return Ok(true);
    }
    let judged = refuse_log(&connection, path, key);
    keep_log(&connection, true).map_err(|e| Error::sqlite(path, e))?;
    judged.map(|()| false)
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
            Some(NO_GUARD) if tried == TRIES => {
                let tables = NO_GUARD.to_owned();
                return Err(Failure::Misshapen { path: path.to_owned(), tables }.into());
            }
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
    let (newest, tables) = (Newest::of(&alone).ok()?, tables(&alone).ok()?);
    let has_ended = Log::number(log).is_some_and(|number| has_ended(&alone, &number));
    let changes = changes(&alone).filter(|_| key.is_none());
    let pages = match Log::pages(log, page_bytes(&alone)?) {
        Log::Empty => return None,
        Log::None => return Some(NO_LOG),
        Log::Pages(pages) => pages,
    };
    drop(alone);
    let start = descriptors::read_start(connection);
    let shown = Log::shown(log, page_bytes(connection).unwrap_or(0), &before, Over::of(start, &before, key));
    if shown.as_ref().is_some_and(|shown| shown.over.is_replaced) {
        return None;
    }
    let lacks_any = shown.as_ref().is_some_and(|shown| shown.lacks_any_behind(file));
    let has_every_page = shown.as_ref().is_some_and(Shown::has_every_page);
    let shown = shown.filter(|_| key.is_none());
    let first_turn = shown.as_ref().and_then(|shown| shown.first_turn);
    if first_turn.is_some_and(|first| first > before.last_turn().saturating_add(1)) {
        return Some(LATER);
    }
    let is_past = has_ended
        || changes
            .zip(shown.and_then(|shown| shown.changes))
            .is_some_and(|(of_file, of_log)| of_log < of_file);
    // From here on, SQLite has read the log, and would write it into the file when it closes the last connection.
    let keep = |yes| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, yes);
    keep(true).ok()?;
    // A log that shows no page of these is held against the file as a whole.
    let unsound = |of_mark: &[u32]| {
        let is_shown = pages.iter().any(|page| of_mark.contains(page));
        let is_small = file.metadata().is_ok_and(|file| file.len() <= MOST_BYTES);
        (!is_shown && (lacks_any || is_small && !is_sound(connection))).then_some(UNSOUND)
    };
    let why = match Mark::of(connection) {
        Err(e) if is_passing(&e) => None,
        Err(_) if lacks_any && first_turn.is_some() => Some(LATER),
        Err(e) if key.is_some() && has_every_page && is_no_database(&e) => Some(OTHER_KEY),
        Err(_) | Ok(None) if !is_its_own(connection, &before, &tables) => {
            Some(if is_past { OTHER_OR_OLDER } else { OTHER })
        }
        Err(e) if is_damage(&e) => Some(UNSOUND),
        // Made anew, it would be another one than the file has without its log.
        Ok(None) => Some(NO_GUARD),
        // A program took out the journal, which is told by whoever opens the file.
        Err(_) => unsound(&before.pages[1..]),
        Ok(Some(with)) => {
            let misfit = before.misfit(&with).or_else(|| newest.misfit(connection));
            let why = misfit.or(is_past.then_some(OLDER)).or_else(|| unsound(&before.pages));
            let may_begin = || has_every_page || may_begin_at(connection, &before, &with, Log::number(log));
            why.or_else(|| (lacks_any || !may_begin()).then_some(LATER))
        }
    };
    if why.is_none() {
        keep(false).ok()?;
    }
    why
}

/// The tables of a file, and where they begin.
fn tables(connection: &Connection) -> rusqlite::Result<BTreeSet<(String, u32)>> {
    let mut statement = connection
        .prepare("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table' AND rootpage > 0")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Whether a log with which the table of the identity, or the journal, is not there may be the file's own all the same: the identity stands
/// beside the counters of edits, and most tables where they were.
fn is_its_own(connection: &Connection, before: &Mark, of_file: &BTreeSet<(String, u32)>) -> bool {
    let sequence = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
    let sequence: rusqlite::Result<i64> = connection.query_row(sequence, [SEQUENCE], |row| row.get(0));
    let stay = tables(connection).map_or(0, |with_log| with_log.intersection(of_file).count());
    sequence.is_ok_and(|identity| identity == before.identity) && 2 * stay > of_file.len()
}

/// SQLCipher answers in words.
pub(super) fn page_bytes(connection: &Connection) -> Option<u32> {
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

/// The pages that are read do not belong together.
fn is_damage(error: &rusqlite::Error) -> bool {
    is_no_database(error) || error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Its first page is none of SQLite's, or none that the key reads.
fn is_no_database(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::NotADatabase)
}

fn is_sound(connection: &Connection) -> bool {
    match sound::check(connection, Depth::Quick) {
        Ok(found) => found.problems.is_empty(),
        Err(e) => is_passing(&e),
    }
}

/// The file as it would be if it had no log. Nothing is written or locked.
pub(super) fn without_log(file: &Path, key: Option<&Key>) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let failed = |e| Error::sqlite(file, e);
    let connection = Connection::open_with_flags(uri(file), flags).map_err(failed)?;
    unlock::give(&connection, file, key)?;
    Ok(connection)
}

fn uri(file: &Path) -> String {
    // Whatever follows, SQLite takes it as it is: `C:\till.db`, `\\server\tills\till.db`, `\\?\C:\…` too.
    let mut uri = "file:".to_owned();
    for sign in file.to_string_lossy().chars() {
        match sign {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            sign => uri.push(sign),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

// ---- what a file says of itself ----------------------------------------------------------------------------------

/// Which file it is, and how far it has come.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) identity: i64,
    /// The same, as `sqlite_sequence` has it; none: somebody emptied that.
    pub(super) sequence: Option<i64>,
    pub(super) turn: i64,
    /// The same, as `sqlite_sequence` has it.
    turns: Option<i64>,
    /// The newest edit, by `sqlite_sequence` and by the journal itself.
    pub(super) edits: (i64, i64),
    /// How often the schema was changed.
    pub(super) schema: i64,
    /// The pages on which this stands.
    pub(super) pages: [u32; 2],
}

/// What edits count on, of whatever program, and a change of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) edits: i64,
    pub(super) schema: i64,
}

impl Mark {
    /// None: it is no till, or of an older schema.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Option<Mark>> {
        let guard = connection
            .query_row(
                "SELECT object.name
                 FROM sqlite_schema AS object
                 JOIN pragma_table_info(object.name) AS it ON it.name = 'identity'
                 WHERE object.name IN ('tillsync_guard', ?1)
                 ORDER BY object.name DESC",
                [schema::GUARD_ONCE],
                |row| row.get::<_, String>(0),
            )
            .optional()?;
        let Some(guard) = guard else { return Ok(None) };
        let mark = connection.query_row(
            &format!(
                "SELECT identity, turn, (SELECT nullif(seq, 0) FROM sqlite_sequence WHERE name = ?1),
                    (SELECT nullif(seq, 0) FROM sqlite_sequence WHERE name = ?2),
                    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'journal'), 0),
                    coalesce((SELECT max(seq) FROM journal), 0),
                    (SELECT rootpage FROM sqlite_schema WHERE name = '{guard}'),
                    (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_sequence'),
                    (SELECT schema_version FROM pragma_schema_version)
                 FROM {guard}
                 WHERE identity IS NOT NULL"
            ),
            [SEQUENCE, TURNS],
            |row| {
                Ok(Mark {
                    identity: row.get(0)?,
                    turn: row.get(1)?,
                    sequence: row.get(2)?,
                    turns: row.get(3)?,
                    edits: (row.get(4)?, row.get(5)?),
                    pages: [row.get(6)?, row.get(7)?],
                    schema: row.get(8)?,
                })
            },
        );
        mark.optional()
    }

    /// Why this cannot be the same file at a later time.
    fn misfit(&self, with: &Mark) -> Option<&'static str> {
        let is_other =
            with.identity != self.identity || with.sequence.is_some_and(|sequence| sequence != self.identity);
        // Each of the two alone may go back: old rows of the journal are removed, and a tool empties `sqlite_sequence`, of which the engine
        // writes its own part anew.
        let is_emptied = with.sequence.is_none() || with.edits.0 == 0 && with.turn > self.turn;
        let are_behind = !is_emptied && with.edits.0 < self.edits.0;
        let are_fewer = self.turns.zip(with.turns).is_some_and(|(before, with)| with < before);
        let is_older = with.turn < self.turn
            || are_fewer
            || are_behind
            || (with.edits.0 < self.edits.0 && with.edits.1 < self.edits.1);
        match () {
            () if is_other => Some(OTHER),
            () if is_older => Some(OLDER),
            () => None,
        }
    }

    /// Whether this is the same file as it was before: fewer edits were made in it, and nothing else explains that they are fewer. A tool
    /// that empties `sqlite_sequence` takes the identity there too, and what the engine writes in its place counts as a transaction; the
    /// journal counts anew where somebody builds it anew, which changes the schema.
    pub(super) fn has_fewer_edits(&self, than: Counts, turn: i64) -> bool {
        let is_marked = self.sequence == Some(self.identity) && self.turns.is_some();
        let goes_on = self.last_turn() > turn || self.schema > than.schema;
        is_marked && !goes_on && self.edits.0.max(self.edits.1) < than.edits
    }

    pub(super) fn counts(&self) -> Option<Counts> {
        let counts = Counts { edits: self.edits.0, schema: self.schema };
        (self.sequence == Some(self.identity)).then_some(counts)
    }

    fn last_turn(&self) -> i64 {
        self.turns.unwrap_or(0).max(self.turn)
    }
}

/// The newest edit and the newest sync that stand in the file, each in a few words that never change, but for the id of a walk-in.
#[derive(Debug)]
struct Newest([Option<(i64, String)>; 2]);

/// What a row says once and for all.
const EDIT: &str = "SELECT seq, customer_id || ' ' || field || ' ' || op || ' ' || at FROM journal";
const PAST_SYNC: &str = "SELECT id, kind || ' ' || began_at FROM tillsync_syncs";

impl Newest {
    fn of(connection: &Connection) -> rusqlite::Result<Newest> {
        let last = |rows: &str, key: &str| {
            let newest = format!("{rows} ORDER BY {key} DESC LIMIT 1");
            connection.query_row(&newest, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        };
        let has_syncs = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'tillsync_syncs')";
        let has_syncs: bool = connection.query_row(has_syncs, [], |row| row.get(0))?;
        let sync = if has_syncs { last(PAST_SYNC, "id")? } else { None };
        Ok(Newest([last(EDIT, "seq")?, sync]))
    }

    /// Why one of them is another one with the log, or cannot be read. What is not there any more was removed since.
    fn misfit(&self, with_log: &Connection) -> Option<&'static str> {
        let misfit = |rows: &str, key: &str, newest: &Option<(i64, String)>| {
            let (number, words) = newest.as_ref()?;
            let same = format!("{rows} WHERE {key} = ?1");
            let found = with_log.query_row(&same, [number], |row| row.get::<_, String>(1)).optional();
            match found {
                Ok(found) => found.filter(|found| !is_the_same(words, found)).map(|_| COPY),
                Err(e) => is_damage(&e).then_some(UNSOUND),
            }
        };
        let [edit, sync] = &self.0;
        misfit(EDIT, "seq", edit).or_else(|| misfit(PAST_SYNC, "id", sync))
    }
}

/// Whether a row that said this may say that: an edit of a walk-in goes by another id once the store has given one.
fn is_the_same(words: &str, found: &str) -> bool {
    let walked_in = |words: &str| words.starts_with('-');
    let but_for_the_id = |words: &str| words.split_once(' ').map(|(_, rest)| rest.to_owned());
    words == found || walked_in(words) && !walked_in(found) && but_for_the_id(words) == but_for_the_id(found)
}

/// Whether identity and count stand where edits leave them in a log.
pub(super) fn is_marked(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM sqlite_sequence WHERE name = ?1 AND seq = (SELECT identity FROM tillsync_guard))
                  + (SELECT count(*) FROM sqlite_sequence WHERE name = ?2 AND seq = (SELECT turn FROM tillsync_guard))",
        )?
        .query_row([SEQUENCE, TURNS], |row| row.get::<_, i64>(0))
        .map(|count| count == 2)
}

/// Writes identity and count beside the counters of edits, where a tool may have removed them.
pub(super) fn mark(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [SEQUENCE])?;
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, identity FROM tillsync_guard WHERE identity IS NOT NULL",
        [SEQUENCE],
    )?;
    connection.execute(
        "UPDATE tillsync_guard
         SET turn = max(turn, coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?1), 0))",
        [TURNS],
    )?;
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [TURNS])?;
    connection
        .execute("INSERT INTO sqlite_sequence (name, seq) SELECT ?1, turn FROM tillsync_guard", [TURNS])?;
    Ok(())
}

/// Counts one transaction of the engine more, and notes to which log it is written.
pub(super) fn count_on(connection: &Connection) -> rusqlite::Result<()> {
    let count = "UPDATE tillsync_guard SET turn = turn + 1 RETURNING turn";
    let turn = connection.query_row(count, [], |row| row.get(0)).optional()?;
    note_log(connection, turn)
}

/// In a row of `tillsync_guard` that is made anew: what stands of it beside the counters of edits, and a new identity where nothing does.
pub(super) fn restore_guard(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("INSERT OR IGNORE INTO tillsync_guard (id, writing) VALUES (1, 0)", [])?;
    connection.execute(
        "UPDATE tillsync_guard
         SET identity = coalesce(identity, (SELECT nullif(seq, 0) FROM sqlite_sequence WHERE name = ?1), random()),
             turn = max(turn, coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?2), 0))",
        [SEQUENCE, TURNS],
    )?;
    Ok(())
}

/// Whether the log of a file that is open puts another one in its place as a whole: what was there before lies beneath, and is read no more.
pub(super) fn is_replaced_by_log(
    connection: &Connection,
    path: &Path,
    before: &Mark,
    key: Option<&Key>,
) -> bool {
    let over = Over::of(descriptors::read_start(connection), before, key);
    let log = with_suffix(&real(path), "-wal");
    let shown = Log::shown(&log, page_bytes(connection).unwrap_or(0), before, over);
    shown.is_some_and(|shown| shown.over.is_replaced)
}

/// Of a transaction of the engine that has begun, and was counted in `tillsync_guard`.
pub(super) fn note_transaction(connection: &Connection, turn: Option<i64>) -> rusqlite::Result<()> {
    let counted = connection
        .prepare_cached(
            "UPDATE sqlite_sequence SET seq = max(seq, (SELECT turn FROM tillsync_guard)) WHERE name = ?1",
        )?
        .execute([TURNS])?;
    if counted == 0 {
        connection
            .prepare_cached("INSERT INTO sqlite_sequence (name, seq) SELECT ?1, turn FROM tillsync_guard")?
            .execute([TURNS])?;
    }
    note_log(connection, turn)
}

fn note_log(connection: &Connection, turn: Option<i64>) -> rusqlite::Result<()> {
    let Some(number) = descriptors::log_head(connection).as_ref().and_then(number_of) else { return Ok(()) };
    let mut notes = notes(connection)?;
    if notes.last().is_some_and(|noted| noted.number == number) {
        return Ok(());
    }
    notes.retain(|noted| noted.number != number);
    notes.push(Noted { number, turn });
    let words: Vec<String> = notes.iter().rev().take(KNOWN_LOGS).rev().map(Noted::text).collect();
    state::write(connection, LOGS, Some(&words.join(" ")))
}

/// A log to which the engine has written.
struct Noted {
    number: String,
    /// In which of the engine's transactions that was noted; none: by an earlier build.
    turn: Option<i64>,
}

impl Noted {
    fn read(word: &str) -> Noted {
        let (number, turn) = word.split_once('@').unwrap_or((word, ""));
        Noted { number: number.to_owned(), turn: turn.parse().ok() }
    }

    fn text(&self) -> String {
        match self.turn {
            Some(turn) => format!("{}@{turn}", self.number),
            None => self.number.clone(),
        }
    }
}

/// The logs that the engine has written to, as the file has them, each once: an earlier build, which notes no turn, notes one of ours anew.
fn notes(connection: &Connection) -> rusqlite::Result<Vec<Noted>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([LOGS], |row| row.get(0))
        .optional()?;
    let mut notes: Vec<Noted> = Vec::new();
    for noted in text.unwrap_or_default().split_whitespace().map(Noted::read) {
        match notes.iter_mut().find(|before| before.number == noted.number) {
            Some(before) => before.turn = before.turn.or(noted.turn),
            None => notes.push(noted),
        }
    }
    Ok(notes)
}

/// Whether a log may begin where the file ends. The second of the engine's transactions that is written to one notes it, for with the first one
/// it begins: so one that is noted later than that, or that is not and holds more of them, begins later.
fn may_begin_at(connection: &Connection, before: &Mark, with: &Mark, number: Option<String>) -> bool {
    /// Earlier builds have upgraded a schema, and noted no log then.
    const UNTIL_NOTED: i64 = 3;
    let notes = match notes(connection) {
        Ok(notes) => notes,
        Err(e) => return !is_damage(&e),
    };
    let turn = match notes.iter().find(|noted| Some(&noted.number) == number.as_ref()) {
        Some(noted) => noted.turn,
        // Where a program took out the notes or the counts, nothing is known.
        None => Some(with.last_turn()).filter(|_| before.turns.is_some() && !notes.is_empty()),
    };
    turn.is_none_or(|turn| turn <= before.last_turn().saturating_add(UNTIL_NOTED))
}

/// Whether the file has all of a log, for a later one is noted in it: with the last one noted it may be in the middle.
fn has_ended(alone: &Connection, number: &str) -> bool {
    let notes = notes(alone).unwrap_or_default();
    notes.split_last().is_some_and(|(_, ended)| ended.iter().any(|noted| noted.number == number))
}

/// How often SQLite has written the first page of the file, as far as it counts.
fn changes(alone: &Connection) -> Option<u32> {
    let head = descriptors::read_start::<HEAD>(alone)?;
    Some(big(&head[CHANGES..]))
}

/// A copy is another file: what was written to the log of the one is none of the other's.
pub(super) fn become_another(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE tillsync_guard SET identity = random()", [])?;
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

/// What a log shows of how far the file had come; one that is encrypted only which pages there are.
#[derive(Debug, Default)]
struct Shown {
    page_bytes: u32,
    /// Pages that were committed.
    committed: BTreeSet<u32>,
    /// So many has the file with the newest commit.
    pages: u32,
    /// The smallest count of the engine's transactions, on whatever page; none: it shows none.
    first_turn: Option<i64>,
    /// The greatest count that SQLite keeps in the first page; none: that page is not in it.
    changes: Option<u32>,
    over: Over,
}

/// Whether a log was written over a file, and puts another one in its place as a whole.
#[derive(Debug, Default)]
struct Over {
    /// What the file begins with; none: it cannot be read.
    start: Option<[u8; HEAD]>,
    /// How often the schema was changed up to here.
    schema: i64,
    /// Whether all so far fits the file.
    fits: bool,
    has_first: bool,
    is_replaced: bool,
}

impl Over {
    /// An encrypted log tells nothing of this: all copies of a file begin alike, and an older log of it may have every page.
    fn of(start: Option<[u8; HEAD]>, before: &Mark, key: Option<&Key>) -> Over {
        let fits = start.is_some() && key.is_none();
        Over { start, schema: before.schema, fits, ..Over::default() }
    }

    /// Takes in a transaction: its pages, how many the file has with it, and what it made of the first one; and whether another file is
    /// named in it.
    fn take(&mut self, written: &[u32], pages: u32, page_bytes: u32, first: Option<&[u8]>, is_named: bool) {
        if !self.fits || self.is_replaced {
            return;
        }
        if let Some((start, first)) = self.start.zip(first) {
            let is_next = self.is_next(&start, first);
            let has_all = || has_all(&written.iter().copied().collect(), 1, pages, page_bytes);
            self.is_replaced = self.fits && is_next && has_all();
        }
        self.fits &= self.is_replaced || !is_named;
    }

    /// Whether the first page is what SQLite makes of it that puts another file in the place of this one.
    fn is_next(&mut self, start: &[u8; HEAD], first: &[u8]) -> bool {
        let now = i64::from(big(&first[SCHEMA_CHANGES..]));
        let on = big(&first[CHANGES..]).wrapping_sub(big(&start[CHANGES..]));
        let before = self.schema;
        self.fits = now >= before && (self.has_first || on <= 1);
        (self.schema, self.has_first) = (now, true);
        now == before + 1
    }
}

/// Whether all pages of a file are among them, from the first that is asked for to the last one.
fn has_all(written: &BTreeSet<u32>, first: u32, last: u32, page_bytes: u32) -> bool {
    /// In the page with this byte SQLite keeps its locks, and nothing else.
    const LOCKS: u32 = 0x4000_0000;
    (first..=last).all(|page| written.contains(&page) || page == LOCKS / page_bytes.max(1) + 1)
}

impl Shown {
    /// Whether nothing is left of the file beneath.
    fn has_every_page(&self) -> bool {
        self.pages > 0 && has_all(&self.committed, 1, self.pages, self.page_bytes)
    }

    /// Whether the file with the log has pages behind its end that the log does not have. Whatever grows writes each of them, and they stay in
    /// the log until they are in the file: so they were, before it was set back.
    fn lacks_any_behind(&self, file: &Path) -> bool {
        let Ok(bytes) = file.metadata().map(|file| file.len()) else { return false };
        let page_bytes = u64::from(self.page_bytes.max(1));
        let first = u32::try_from(bytes / page_bytes).map_or(u32::MAX, |pages| pages.saturating_add(1));
        !has_all(&self.committed, first, self.pages, self.page_bytes)
    }
}

impl Log {
    fn shown(path: &Path, page_bytes: u32, of: &Mark, over: Over) -> Option<Shown> {
        let mut file = LogFile::open(path)?;
        let head = file.read::<32>(0)?;
        let mut sum = Sum::of_log(&head)?;
        let (mut at, mut shown) = (LOG_HEAD, Shown { page_bytes, over, ..Shown::default() });
        let (mut begun, mut first, mut is_named) = (Vec::new(), None, false);
        let mut page = vec![0; usize::try_from(page_bytes).ok().filter(|bytes| *bytes > 0)?];
        // Where the counts stand, until a program moves them elsewhere.
        let mut places = vec![of.pages[0], of.pages[1]];
        while let Some(frame) = file.read::<24>(at).filter(|frame| frame[8..16] == head[16..24]) {
            // What a power cut has torn is none of it, nor is what lies behind.
            if !file.read_into(&mut page, at + FRAME_HEAD) || !sum.goes_on(&frame, &page) {
                break;
            }
            let (number, pages) = (big(&frame), big(&frame[4..]));
            if places.contains(&number) {
                let mark = mark_on(&page).or_else(|| mark_among(&page));
                let turn = mark.filter(|(identity, _)| *identity == of.identity).map(|(_, turn)| turn);
                is_named |= mark.is_some_and(|(identity, _)| identity != of.identity);
                if turn.is_none() {
                    places.retain(|place| *place != number);
                }
                shown.first_turn = shown.first_turn.into_iter().chain(turn).min();
            }
            begun.push(number);
            if number == 1 {
                first = Some(page.clone());
            }
            if pages > 0 {
                let first = first.take();
                shown.over.take(&begun, pages, page_bytes, first.as_deref(), std::mem::take(&mut is_named));
                shown.committed.extend(begun.drain(..));
                shown.pages = pages;
            }
            // So many has the file with this commit.
            places.retain(|place| pages == 0 || *place <= pages);
            if number == 1 {
                shown.changes = shown.changes.max(page.get(CHANGES..).map(big));
            }
            at += FRAME_HEAD + u64::from(page_bytes);
        }
        Some(shown)
    }

    /// What the log has of a page, of all commits since it began, the first one first.
    fn frames_of(path: &Path, number: u32) -> impl Iterator<Item = Vec<u8>> + use<> {
        let begun = LogFile::open(path).and_then(|mut file| {
            let head = file.read::<32>(0)?;
            let page_bytes = big(&head[8..]);
            Some((file, head, page_bytes)).filter(|(.., bytes)| (512..=65_536).contains(bytes))
        });
        let mut at = LOG_HEAD;
        let (mut file, head, page_bytes) =
            begun.map_or((None, [0; 32], 0), |(file, head, bytes)| (Some(file), head, bytes));
        std::iter::from_fn(move || {
            let file = file.as_mut()?;
            while let Some(frame) = file.read::<16>(at).filter(|frame| frame[8..16] == head[16..24]) {
                let from = at + FRAME_HEAD;
                at = from + u64::from(page_bytes);
                if frame[..4] == number.to_be_bytes() {
                    let mut page = vec![0; usize::try_from(page_bytes).ok()?];
                    return file.read_into(&mut page, from).then_some(page);
                }
            }
            None
        })
    }

    /// Which log it is: drawn when it began.
    fn number(path: &Path) -> Option<String> {
        number_of(&LogFile::open(path)?.read::<32>(0)?)
    }

    fn pages(path: &Path, page_bytes: u32) -> Log {
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

/// What a log has of a page, of all commits since it began.
pub(super) fn logged(log: &Path, number: u32) -> impl Iterator<Item = Vec<u8>> + use<> {
    Log::frames_of(log, number)
}

/// The number of a log, by what it begins with; none: it is no log.
fn number_of(head: &[u8; 32]) -> Option<String> {
    let is_log = big(head) & !1 == MAGIC;
    is_log.then(|| head[16..24].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The number that stands first; 0 where there is none.
fn big(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_be_bytes(*four))
}

/// SQLite's sum over all of a log up to some page: what does not fit it was not written to its end.
#[derive(Debug)]
struct Sum {
    number: fn([u8; 4]) -> u32,
    sums: [u32; 2],
}

impl Sum {
    /// None: its beginning does not fit.
    fn of_log(head: &[u8; 32]) -> Option<Sum> {
        let number = match big(head) & 1 {
            0 => u32::from_le_bytes,
            _ => u32::from_be_bytes,
        };
        let mut sum = Sum { number, sums: [0, 0] };
        sum.add(&head[..24]);
        sum.is(&head[24..]).then_some(sum)
    }

    fn goes_on(&mut self, frame: &[u8; 24], page: &[u8]) -> bool {
        self.add(&frame[..8]);
        self.add(page);
        self.is(&frame[16..])
    }

    fn is(&self, sums: &[u8]) -> bool {
        self.sums == [big(sums), big(&sums[4..])]
    }

    fn add(&mut self, bytes: &[u8]) {
        let [mut one, mut two] = self.sums;
        let (words, _) = bytes.as_chunks::<4>();
        for pair in words.chunks_exact(2) {
            one = one.wrapping_add((self.number)(pair[0])).wrapping_add(two);
            two = two.wrapping_add((self.number)(pair[1])).wrapping_add(one);
        }
        self.sums = [one, two];
    }
}

/// Which file it is and how far it has come, of the page of `sqlite_sequence`; none: it is another page, or they are not there.
fn mark_among(page: &[u8]) -> Option<(i64, i64)> {
    Some((counted(page, SEQUENCE)?, counted(page, TURNS)?))
}

/// Which file it is and how far edits have come, of that page and the first one; none: the same, or the first one is encrypted.
pub(super) fn counts_among(page: &[u8], first: &[u8]) -> Option<(i64, Counts)> {
    let identity = counted(page, SEQUENCE)?;
    let schema = first.starts_with(PLAIN).then(|| first.get(SCHEMA_CHANGES..).map(big)).flatten()?;
    Some((identity, Counts { edits: counted(page, "journal").unwrap_or(0), schema: schema.into() }))
}

/// What a row of `sqlite_sequence` counts.
fn counted(page: &[u8], name: &str) -> Option<i64> {
    let rows = leaf::rows(page, |_| None);
    let is_it = |(_, row): &&(i64, Vec<Cell>)| row.first().and_then(Cell::text) == Some(name);
    rows.iter().find(is_it)?.1.get(1)?.number()
}
