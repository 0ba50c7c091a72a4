//! Tills by their files, for the extension: an app's connection knows its file and has no handle to keep.
//!
//! All connections of a process share one till of a file, and with it one worker: one connection starts it, another one
//! reads its events. The first call opens the till, with the options of `open` or with none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::till::Till;
use super::{Refusal, call, refusal};
use crate::words;

static TILLS: Mutex<BTreeMap<PathBuf, Open>> = Mutex::new(BTreeMap::new());

struct Open {
    till: Arc<Till>,
    /// As they were given; none: a call opened it, without.
    options: Option<SecretString>,
}

/// What one connection of an app may ask for. Every answer is JSON, a failure `{"error":…}`.
#[derive(Debug, Default)]
pub struct Session {
    /// None: the file of the connection is none, and `open` named no other.
    file: Mutex<Option<String>>,
}

fn tills() -> MutexGuard<'static, BTreeMap<PathBuf, Open>> {
    TILLS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Of a connection to this file; none or empty: it is in memory, or temporary.
    pub fn new(file: Option<&str>) -> Session {
        Session { file: Mutex::new(file.filter(|file| !file.is_empty()).map(str::to_owned)) }
    }

    /// Opens the till, with the options of the C interface's `tillsync_open`, and `path` for another file than the
    /// connection's. `{"path":…}`.
    pub fn open(&self, options: &str) -> String {
        answered(|| {
            let (path, options) = split(options)?;
            let file = path.map_or_else(|| self.file(), Ok)?;
            open(&file, Some(options))?;
            // What failed changes nothing.
            *self.lock() = Some(file.clone());
            Ok(json!({ "path": file }).to_string())
        })
    }

    /// Carries out a request, as the C interface's `tillsync_call`.
    pub fn call(&self, request: &str) -> String {
        answered(|| call::answer(&*self.till()?, request))
    }

    /// Starts the worker of the file, for all connections of this process. `{"running":true}`.
    pub fn start(&self, options: Option<&str>) -> String {
        answered(|| {
            self.till()?.start(options)?;
            Ok(json!({ "running": true }).to_string())
        })
    }

    /// Stops the worker; a sync that runs may go on for so long. `{"running":false,"came_to_its_end":…}`.
    pub fn stop(&self, within: Duration) -> String {
        answered(|| {
            let came_to_its_end = self.till()?.stop(within)?;
            Ok(json!({ "running": false, "came_to_its_end": came_to_its_end }).to_string())
        })
    }

    /// The next event of the worker, at most so much later; none: none came.
    pub fn next_event(&self, timeout: Duration) -> Option<String> {
        let next = || {
            let event = self.till()?.next_event(timeout)?;
            Ok(event.and_then(|event| words::json(&event).ok()))
        };
        refusal::guarded(next).unwrap_or_else(|refusal| Some(refusal.tell()))
    }

    /// Closes the till of the file, for all connections of this process: its worker stops. `{"closed":…}`: whether it
    /// was open.
    pub fn close(&self) -> String {
        answered(|| {
            let open = tills().remove(&at(&self.file()?));
            if let Some(open) = &open {
                open.till.close();
            }
            Ok(json!({ "closed": open.is_some() }).to_string())
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> Result<String, Refusal> {
        self.lock().clone().ok_or_else(|| {
            Refusal::usage("this connection has no file: name one, tillsync_open('{\"path\":\"till.db\"}')")
        })
    }

    fn till(&self) -> Result<Arc<Till>, Refusal> {
        open(&self.file()?, None)
    }
}

/// Why the app's connection is asked to commit first.
pub fn in_transaction() -> String {
    Refusal::in_transaction().tell()
}

/// Why what was given is no argument of these functions.
pub fn not_usable(what: &str) -> String {
    Refusal::usage(what).tell()
}

fn answered(work: impl FnOnce() -> Result<String, Refusal>) -> String {
    refusal::guarded(work).unwrap_or_else(|refusal| refusal.tell())
}

/// One till for one file, by whichever path.
fn at(file: &str) -> PathBuf {
    Path::new(file).canonicalize().unwrap_or_else(|_| PathBuf::from(file))
}

/// The till of a file, opened if need be.
fn open(file: &str, options: Option<String>) -> Result<Arc<Till>, Refusal> {
    let mut tills = tills();
    let known = tills.get(&at(file));
    if let Some(Open { till, options: given }) = known {
        match (&options, given) {
            (None, _) => return Ok(till.clone()),
            (Some(wanted), Some(given)) if wanted == given.expose_secret() => return Ok(till.clone()),
            // It was opened for a reader, without any.
            (Some(_), None) => till.close(),
            (Some(_), Some(_)) => {
                return Err(Refusal::usage(
                    "the till of this file is open in this process with other options: tillsync_close first",
                ));
            }
        }
    }
    let till = Arc::new(Till::open(file, options.as_deref())?);
    tills.insert(at(file), Open { till: till.clone(), options: options.map(SecretString::from) });
    Ok(till)
}

/// The path apart, and the options of a till.
fn split(options: &str) -> Result<(Option<String>, String), Refusal> {
    #[derive(Deserialize)]
    struct Split {
        path: Option<String>,
        #[serde(flatten)]
        till: Map<String, Value>,
    }
    let Split { path, till } = serde_json::from_str(options).map_err(|e| Refusal::json("the options", &e))?;
    Ok((path, Value::Object(till).to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;

    #[test]
    fn an_opening_that_failed_changes_nothing_for_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let session = Session::new(path.to_str());
        for bad in [
            "{\"path\":\"\"}",
            "{\"path\":\":memory:\"}",
            "{\"path\":\"/not/there/till.db\"}",
            "{\"store_hash\":5}",
        ] {
            assert!(session.open(bad).contains("\"error\""), "{bad}");
            assert!(!session.call("{\"command\":\"status\"}").contains("\"error\""), "{bad}");
            assert!(session.close().contains("true"), "{bad}");
        }
    }
}
