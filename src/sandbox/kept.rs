//! The store in a file, so that it outlives its process.
//!
//! What is kept is what the seed does not make again: who was changed, as exact text, who was deleted, and how often passwords
//! were changed, but none of them. The file is written whole at each change: beside the old one, to the disk, and then in its
//! place, so that there is at any time one that can be read. One that cannot be read is never written over, and a lock beside
//! it keeps a second process off.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::book::Book;
use super::core::StoreCore;
use super::options::SandboxOptions;
use super::record::Record;

/// Of the file; a newer sandbox may write another.
const VERSION: u32 = 1;

/// The document in the file.
#[derive(Deserialize, Serialize)]
struct Kept {
    tillsync_sandbox: u32,
    seed: u64,
    customers: usize,
    deleted: Vec<i32>,
    password_changes: HashMap<i32, u32>,
    changed: Vec<Box<RawValue>>,
}

impl Kept {
    fn of(core: &StoreCore) -> serde_json::Result<Self> {
        let SandboxOptions { seed, customers, .. } = core.options;
        Ok(Self {
            tillsync_sandbox: VERSION,
            seed,
            customers,
            deleted: core.book.deleted(customers),
            password_changes: core.book.password_changes().collect(),
            changed: core
                .book
                .changed()
                .map(|record| RawValue::from_string(record.to_json()))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The customers, or why they are none.
    fn book(self) -> Result<Book, String> {
        if self.tillsync_sandbox != VERSION {
            return Err(format!("it is of version {}, this sandbox reads {VERSION}", self.tillsync_sandbox));
        }
        let changed: Result<_, String> = self.changed.iter().map(|json| customer(json)).collect();
        Ok(Book::resume(self.seed, self.customers, &self.deleted, changed?, self.password_changes))
    }
}

/// A customer with its id and its date.
fn customer(json: &RawValue) -> Result<(i32, i64, Record), String> {
    let record = Record::parse(json.get()).map_err(|error| error.to_string())?;
    let id = record.integer("id").and_then(|id| i32::try_from(id).ok()).filter(|id| *id > 0);
    let id = id.ok_or("a customer has no id")?;
    let modified = DateTime::parse_from_rfc3339(&record.text("date_modified"))
        .map_err(|error| format!("customer {id}: date_modified: {error}"))?;
    Ok((id, modified.timestamp(), record))
}

/// The store in a file, or a new one, which is in the file from now on.
pub(super) fn open(path: &Path, options: &SandboxOptions) -> io::Result<(StoreCore, Keeper)> {
    let lock = lock(path)?;
    let core = match fs::read(path) {
        Ok(bytes) => resume(&bytes, options).map_err(|why| unreadable(path, &why))?,
        Err(error) if error.kind() == ErrorKind::NotFound => StoreCore::new(options),
        Err(error) => return Err(named(path, &error)),
    };
    let written = Written { changes: core.book.changes(), problem: None };
    let keeper = Keeper { path: path.to_owned(), written: Mutex::new(written), _lock: lock };
    // At once, so that a place that cannot be written is told before anybody relies on it.
    keeper.write(&core).map_err(|error| named(path, &error))?;
    Ok((core, keeper))
}

fn resume(bytes: &[u8], options: &SandboxOptions) -> Result<StoreCore, String> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let options = SandboxOptions { seed: kept.seed, customers: kept.customers, ..options.clone() };
    Ok(StoreCore::with_book(&options, kept.book()?))
}

fn unreadable(path: &Path, why: &str) -> io::Error {
    let words = format!(
        "{}: no store of a sandbox, or a broken one: {why}. It is left as it is; name another file, or move it away",
        path.display()
    );
    io::Error::new(ErrorKind::InvalidData, words)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Keeps other processes off, until this one ends.
fn lock(path: &Path) -> io::Result<File> {
    let beside = beside(path, ".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&beside);
    let file = file.map_err(|error| named(&beside, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let words = format!("{}: another sandbox keeps its store there", path.display());
            Err(io::Error::new(ErrorKind::ResourceBusy, words))
        }
        Err(TryLockError::Error(error)) => Err(named(&beside, &error)),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Who writes the file.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    written: Mutex<Written>,
    _lock: File,
}

#[derive(Debug)]
struct Written {
    changes: u64,
    problem: Option<String>,
}

impl Keeper {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the file is not what the store is, where it is not.
    pub fn problem(&self) -> Option<String> {
        self.written().problem.clone()
    }

    /// Writes the store, if anything was changed. A disk that fails is told, and tried again with the next change.
    pub fn keep(&self, core: &StoreCore) {
        let changes = core.book.changes();
        let mut written = self.written();
        if written.changes == changes {
            return;
        }
        written.changes = changes;
        written.problem = self.write(core).err().map(|error| error.to_string());
        if let Some(problem) = &written.problem {
            tracing::warn!("{}: the store is not kept: {problem}", self.path.display());
        }
    }

    fn write(&self, core: &StoreCore) -> io::Result<()> {
        let json = serde_json::to_vec(&Kept::of(core)?)?;
        let part = beside(&self.path, ".part");
        let mut file = File::create(&part)?;
        file.write_all(&json)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&part, &self.path)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options() -> SandboxOptions {
        SandboxOptions { customers: 20, ..SandboxOptions::default() }
    }

    #[test]
    fn a_store_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.json");
        let now = chrono::Utc::now();
        let (mut core, keeper) = open(&path, &options()).unwrap();
        core.edit_text(now, 3, r#"{"phone":"1","store_credit_amounts":[{"amount":43.1500}],"odd":1e2}"#)
            .unwrap();
        core.delete(5);
        let new = core.add_text(now, r#"{"first_name":"Ana"}"#).unwrap();
        core.book.set_password(7, "hunter2".to_owned());
        keeper.keep(&core);
        drop(keeper);

        let (again, keeper) = open(&path, &SandboxOptions { customers: 999, seed: 9, ..options() }).unwrap();
        assert_eq!(again.ids(), core.ids());
        for id in core.ids() {
            assert_eq!(again.customer_text(id), core.customer_text(id), "customer {id}");
        }
        assert!(again.customer_text(new).is_some());
        assert_eq!((again.password_changes(7), again.options().customers), (1, 20));
        assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"), "no password is kept");
        let second = open(&path, &options()).unwrap_err();
        assert!(second.to_string().contains("another sandbox keeps its store there"), "{second}");
        drop(keeper);
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_and_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.json");
        let newer = json!({"tillsync_sandbox": 2, "seed": 1, "customers": 1, "deleted": [], "password_changes": {}, "changed": []});
        let nobody = json!({"tillsync_sandbox": 1, "seed": 1, "customers": 1, "deleted": [], "password_changes": {}, "changed": [{}]});
        for bad in
            [String::new(), "{\"tillsync_sandbox\":1,".to_owned(), newer.to_string(), nobody.to_string()]
        {
            fs::write(&path, &bad).unwrap();
            let error = open(&path, &options()).unwrap_err().to_string();
            assert!(error.contains("store.json: no store of a sandbox, or a broken one: "), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad, "left as it is");
        }
    }
}
