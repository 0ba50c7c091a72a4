//! A backup, put back in the place of the file.
//!
//! The copy is made whole beside the file, with all that is to be decided about it, then takes its name; what lay there goes aside,
//! with its log, and nothing of it is read into the copy. What waits in the backup may have been sent since: `life` sees to that.
//!
//! There is a file at every instant, and it is the old one or the new one:
//!
//! | step | at the path | whoever is killed behind it leaves |
//! |---|---|---|
//! | the copy is made, `NAME.restored-` and a number | the old file | a copy that the next restore removes |
//! | the file and its logs get second names, `NAME.replaced-N` | the old file | a file with two names |
//! | the logs lose their first names | the old file without logs | the same |
//! | the copy takes the name | the new file | nothing |
//!
//! A file that has a second name of that kind is one of a restore that was killed, or goes on just now: whoever has the right to
//! sync it gives it its logs back and takes the second names away, before SQLite opens it. A healthy log is brought into its file
//! before all this, and one that the key does not open is refused, so that what goes aside is a log that is not of the file, or of a
//! damaged one.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Utc;
use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;

use super::life::{LIFE, Life};
use super::lock::Lock;
use super::open::{
    LOOK_AGAIN, SYNC, WORKER, close_to_others, owner_only, plain_path, raw, real, with_suffix,
};
use super::salvage::{self, Salvaged};
use super::{Store, StoreOptions, stray, unlock};
use crate::descriptors::{self, file_id};
use crate::error::{Error, Failure, Result};
use crate::key::Key;

/// Behind the name of the file: a copy that is being made, and a number that no two have; a file that went aside, and which.
const COPY: &str = ".restored-";
const ASIDE: &str = ".replaced-";
const DIGITS: usize = 16;
/// The copy, and what SQLite and we leave beside it.
const BESIDE: [&str; 5] = ["", "-journal", "-wal", "-shm", "-upgrade"];
/// What goes aside with a file.
const LOGS: [&str; 2] = ["-journal", "-wal"];

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The size of the file now, in bytes.
    pub bytes: u64,
    /// Payments and passwords that wait for a person, since they may have been sent after the backup was made.
    pub held: u64,
    /// Where the file is that was there before; none: there was none.
    pub replaced: Option<PathBuf>,
    /// Edits that waited, out of the log of a file that was no more when this began: something was copied into it, or put in its place.
    /// They are in no file: whoever wants them edits anew.
    pub found: Vec<Salvaged>,
}

impl Store {
    /// Puts a backup in the place of the file at `path`, with every program stopped. What lay there goes aside under another name,
    /// with its log; the backup stays where it is. Payments that wait in the backup wait for a person, unless nothing was sent
    /// since it was made: in [`Store::rejected`], each for itself. Attributes that wait are held against what the store has, by the
    /// next sync.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("till.db");
    /// # let copy = folder.path().join("monday.db");
    /// let store = tillsync::Store::open(&path)?;
    /// store.backup(&copy)?;
    /// drop(store);
    /// let restored = tillsync::Store::restore(&path, &copy, None)?;
    /// assert_eq!((restored.held, restored.replaced.is_some()), (0, true));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the backup is no till, or not whole; when the file is a database of another program; when anybody has the file open, or a worker or a sync of it runs; when the key does
    /// not open a file that has a log, for nobody can tell then whose that is; when it cannot be written, or there is no room for the
    /// copy (on a disk without hard links: for two). The file is as it was then.
    pub fn restore(path: impl AsRef<Path>, backup: impl AsRef<Path>, key: Option<Key>) -> Result<Restored> {
        let (path, backup) = (&behind_link(plain_path(path.as_ref())?), &plain_path(backup.as_ref())?);
        if !backup.metadata().is_ok_and(|file| file.len() > 0) {
            return Err(Failure::NotThere(backup.clone()).into());
        }
        if same_file(path, backup) {
            return Err(Error::usage(format!("{} is the file itself, and no backup", backup.display())));
        }
        refuse_foreign(path)?;
        let in_use = || Failure::InUse(path.clone());
        let _no_sync = Lock::take(path, SYNC)?.ok_or_else(in_use)?;
        let _no_worker = Lock::take(path, WORKER)?.ok_or_else(in_use)?;
        clean_up(path).map_err(|e| Error::file(path, &e))?;
        let found = match refuse_use(path, key.as_ref())? {
            Beside::ItsOwn => Vec::new(),
            Beside::OfNoFile => salvage::of_log(&with_suffix(path, "-wal")),
        };
        let part = &reserve(path).map_err(|e| Error::file(path, &e))?;
        let made = copy(backup, part, key.as_ref()).and_then(|()| make_ready(part, path, backup, key, found));
        let put = made.and_then(|ready| Ok((ready, put_in_place(part, path)?)));
        remove_copy(part);
        let (Ready { bytes, held, life, found }, replaced) = put?;
        if let Some(life) = life {
            life.leave_beside(path);
        }
        Ok(Restored { bytes, held, replaced, found })
    }
}

/// The link stays, and leads to the backup.
fn behind_link(path: PathBuf) -> PathBuf {
    if path.is_symlink() { real(&path) } else { path }
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// A database of another program is not the till's place, and is not touched: nor is anything put beside it. Unless a till has lived
/// here, and the other one was copied over it.
fn refuse_foreign(path: &Path) -> Result<()> {
    if !path.metadata().is_ok_and(|file| file.len() > 0) || is_there(&with_suffix(path, LIFE)) {
        return Ok(());
    }
    super::open::refuse_company(path)?;
    let connection = raw(path)?;
    stray::refuse_foreign(&connection, path, None)
}

/// Whoever goes on with a file that went aside would edit what nobody syncs. A file that does not open is nobody's, unless it
/// only wants another key.
fn refuse_use(path: &Path, key: Option<&Key>) -> Result<Beside> {
    super::open::refuse_company(path)?;
    if !path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(Beside::OfNoFile);
    }
    // What does not belong beside the file is not to be read into it.
    let connection = raw(path)?;
    if stray::refuse_journal(&connection, path).is_err() {
        return Ok(Beside::ItsOwn);
    }
    // The backup may be encrypted, and the file not.
    let key = key.filter(|key| unlock::give(&connection, path, Some(key)).is_ok());
    if stray::refuse_log(&connection, path, key).is_err() {
        return Ok(Beside::OfNoFile);
    }
    drop(connection);
    let connection = raw(path)?;
    // A log that nobody can read is not brought into the file.
    let keep_log = |yes| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, yes);
    let look = || {
        keep_log(true)?;
        connection.busy_timeout(Duration::ZERO)?;
        // The lock is taken with the first read; after one it would be too late to ask for it.
        connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        keep_log(false).map(drop)
    };
    unlock::give(&connection, path, key)?;
    match look() {
        Err(e)
            if matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) =>
        {
            Err(Failure::InUse(path.to_owned()).into())
        }
        Err(_) if unlock::look(&connection, path, key).is_err_and(|error| error.is_key()) => {
            refuse_unread_log(path).map(|()| Beside::OfNoFile)
        }
        Err(_) => Ok(Beside::OfNoFile),
        Ok(()) => Ok(Beside::ItsOwn),
    }
}

/// What lies beside the file that is to go aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// Nothing, or what is in the file by now.
    ItsOwn,
    /// A log of no file, or of one that does not open.
    OfNoFile,
}

/// Edits may be in it, of a program that runs or of one that was killed.
fn refuse_unread_log(path: &Path) -> Result<()> {
    let log = with_suffix(path, "-wal");
    match log.metadata().is_ok_and(|log| log.len() > 0) {
        false => Ok(()),
        true => Err(Error::usage(format!(
            "the key does not open {}, whose log {} may hold edits: open it with its own key once, by status, or move both away \
             together; then restore",
            path.display(),
            log.display()
        ))),
    }
}

/// What lies in a log beside the backup is not in the copy, so that whose log it is must be seen to first.
fn refuse_log_of(backup: &Path, key: Option<&Key>) -> Result<()> {
    let log = with_suffix(backup, "-wal");
    if !log.metadata().is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    if stray::judge_log(backup, key)? {
        return Err(Failure::InUse(backup.to_owned()).into());
    }
    Err(Error::usage(format!(
        "{} has a log, {}, with what was written to it last: open it once, by tillsync status --db, which brings the log into it, or move \
         the log away; then restore",
        backup.display(),
        log.display()
    )))
}

/// For its owner only, and on the disk.
fn copy(backup: &Path, part: &Path, key: Option<&Key>) -> Result<()> {
    let copy = || {
        let mut from = File::open(backup)?;
        let mut to = std::fs::OpenOptions::new().write(true).open(part)?;
        std::io::copy(&mut from, &mut to)?;
        to.sync_all()
    };
    super::open::refuse_company(backup)?;
    // It is read as a plain file, and that would give up the locks of whoever has it open here.
    if descriptors::is_open_here(backup) {
        return Err(Failure::InUse(backup.to_owned()).into());
    }
    refuse_log_of(backup, key)?;
    copy().map_err(|e| Error::file(part, &e))
}

/// A copy that can take its place.
struct Ready {
    bytes: u64,
    /// Payments that wait for a person.
    held: u64,
    life: Option<Life>,
    /// What is not in it.
    found: Vec<Salvaged>,
}

/// It is a till, and sound; brought to this version, and to what it may send from `path`, so that nothing is left to fail.
fn make_ready(
    part: &Path,
    path: &Path,
    backup: &Path,
    key: Option<Key>,
    found: Vec<Salvaged>,
) -> Result<Ready> {
    let mut store = Store::open_with(part, StoreOptions { create: false, anew: false, key })?;
    if let Some(cause) = store.check()?.into_iter().next() {
        return Err(Failure::Corrupt { path: backup.to_owned(), cause }.into());
    }
    let (held, life) = store.come_home_to(path, Utc::now())?;
    let found = store.without_its_own(found)?;
    drop(store);
    if with_suffix(part, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        let cause = "its log could not be brought into it".to_owned();
        return Err(Failure::NotWritable { path: part.to_owned(), cause }.into());
    }
    let bytes = part.metadata().map_err(|e| Error::file(part, &e))?.len();
    Ok(Ready { bytes, held: held.len() as u64, life, found })
}

/// An empty file for its owner only, under a name that nobody has.
fn reserve(path: &Path) -> io::Result<PathBuf> {
    let number = RandomState::new().build_hasher().finish();
    let part = with_suffix(path, &format!("{COPY}{number:0DIGITS$x}"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    owner_only(&mut options);
    options.open(&part)?;
    close_to_others(&part);
    Ok(part)
}

fn remove_copy(part: &Path) {
    for suffix in BESIDE {
        _ = std::fs::remove_file(with_suffix(part, suffix));
    }
}

// ---- names -------------------------------------------------------------------------------------------------------

/// The backup takes the name of the file, and what lay there has another one.
fn put_in_place(part: &Path, path: &Path) -> Result<Option<PathBuf>> {
    let is_free =
        |name: &PathBuf| ["", "-wal", "-journal"].iter().all(|it| !is_there(&with_suffix(name, it)));
    let aside = (1..).map(|number| with_suffix(path, &format!("{ASIDE}{number}"))).find(is_free);
    let Some(aside) = aside else { return Ok(None) };
    let put = || {
        // The file first: by its second name it is known what the others are.
        for suffix in ["", "-journal", "-wal"] {
            let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
            if is_there(&from) {
                name(path, &from, &to)?;
            }
        }
        sync_folder(path)?;
        for suffix in ["-journal", "-wal", "-shm"] {
            remove(&with_suffix(path, suffix))?;
        }
        std::fs::rename(part, path)
    };
    if let Err(error) = put() {
        if let Err(error) = give_back(path, &aside, |_, _| true) {
            tracing::warn!(%error, aside = %aside.display(), "what went aside is there still");
        }
        return Err(Error::file(path, &error));
    }
    // A disk that forgets it has the old file under its name.
    if let Err(error) = sync_folder(path) {
        tracing::warn!(%error, "that the backup is in its place may not be on the disk yet");
    }
    Ok(is_there(&aside).then_some(aside))
}

/// A second name; where the disk knows none, a copy, which has the name when it is whole and on the disk.
fn name(path: &Path, from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to).or_else(|_| {
        let part = &reserve(path)?;
        let copied =
            std::fs::copy(from, part).and_then(|_| File::options().write(true).open(part)?.sync_all());
        copied.and_then(|()| std::fs::rename(part, to)).inspect_err(|_| remove_copy(part))
    })
}

/// All is under its first name again. A log that somebody else has made since then stays, and the one that went aside too.
fn give_back(path: &Path, aside: &Path, is_same: impl Fn(&Path, &Path) -> bool) -> io::Result<()> {
    for suffix in LOGS {
        let (log, kept) = (with_suffix(path, suffix), with_suffix(aside, suffix));
        match (is_there(&kept), is_there(&log)) {
            (true, false) => std::fs::rename(&kept, &log)?,
            (true, true) if is_same(&log, &kept) => remove(&kept)?,
            _ => {}
        }
    }
    remove(aside)
}

/// Takes back a restore of this file that was killed while it had two names, and waits for one that goes on; whether there was one.
pub(super) fn end_begun(path: &Path) -> Result<bool> {
    /// It keeps two names for some instants.
    const WAIT: Duration = Duration::from_secs(1);
    let path = &real(path);
    if second_names(path).is_empty() {
        return Ok(false);
    }
    let began = Instant::now();
    loop {
        if let Some(_alone) = Lock::take(path, SYNC)? {
            take_back(path).map_err(|e| Error::file(path, &e))?;
            return Ok(true);
        }
        if began.elapsed() >= WAIT {
            return Err(Failure::InUse(path.clone()).into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// By whoever has the right to sync it.
fn take_back(path: &Path) -> io::Result<()> {
    let is_same = |one: &Path, other: &Path| is_one_file(one, other);
    second_names(path).iter().try_for_each(|aside| give_back(path, aside, is_same))
}

/// What a restore that was killed has left.
fn clean_up(path: &Path) -> io::Result<()> {
    take_back(path)?;
    // Of our making: nobody else has such a number.
    called(path, COPY, is_of_a_copy).iter().try_for_each(|copy| remove(copy))
}

/// What comes behind the name of the file in those of a copy that is being made, and of what lies beside that.
fn is_of_a_copy(rest: &str) -> bool {
    rest.split_at_checked(DIGITS).is_some_and(|(number, suffix)| {
        number.bytes().all(|sign| matches!(sign, b'0'..=b'9' | b'a'..=b'f')) && BESIDE.contains(&suffix)
    })
}

/// Whether a restore of some file would take it for its own, and remove it, or put another one there.
pub(super) fn is_name_of_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let behind = |suffix: &str| name.rsplit_once(suffix).map(|(_, rest)| rest.to_owned());
    let is_number = |rest: String| !rest.is_empty() && rest.bytes().all(|sign| sign.is_ascii_digit());
    behind(COPY).is_some_and(|rest| is_of_a_copy(&rest))
        || behind(ASIDE).is_some_and(is_number)
        || behind(super::room::ROOM).is_some_and(is_number)
}

/// Of a file that went aside, and is at its place still.
fn second_names(path: &Path) -> Vec<PathBuf> {
    let is_number = |rest: &str| rest.bytes().all(|sign| sign.is_ascii_digit());
    let mut names = called(path, ASIDE, is_number);
    names.retain(|name| is_one_file(path, name));
    names
}

/// Files whose name is that of this one, the suffix, and more.
pub(super) fn called(path: &Path, suffix: &str, is_it: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return Vec::new() };
    let begin = format!("{}{suffix}", name.to_string_lossy());
    let is_one = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let rest = name.to_string_lossy().strip_prefix(&begin).map(str::to_owned);
        rest.is_some_and(|rest| !rest.is_empty() && is_it(&rest))
    };
    let Ok(all) = folder.read_dir() else { return Vec::new() };
    all.flatten().filter(is_one).map(|entry| entry.path()).collect()
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// By two names. Where that cannot be told, as on Windows, no file is said to have two.
fn is_one_file(one: &Path, other: &Path) -> bool {
    cfg!(unix)
        && matches!((one.symlink_metadata(), other.symlink_metadata()), (Ok(one), Ok(other)) if file_id(&one) == file_id(&other))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The names in it are on the disk.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// A folder cannot be opened for that here.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
