//! The C interface: pointers in, pointers out. What it does stands in `embed`, in safe Rust.
//!
//! One of three files with `unsafe`, beside `descriptors` and `windows`; all of it is here because C's strings come as pointers. The header
//! `include/tillsync.h` is made from this file; its comments are for people who write C.
//!
//! No panic crosses the border: whatever happens inside is answered with an error.

#![allow(unsafe_code, reason = "strings come in as pointers of C")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::auto_extension::{cancel_auto_extension, register_auto_extension};
use rusqlite::ffi::{SQLITE_OK, sqlite3, sqlite3_api_routines};
use serde_json::json;

use crate::embed::{self, Refusal, guarded};
use crate::words;

/// Opens a till's file, making it when it is not there, and returns its handle; 0 when that fails, and
/// `tillsync_last_error` tells why.
///
/// `options` is a JSON object, or null: `store_hash`, one of `access_token`, `access_token_env` (the name of an
/// environment variable) and `access_token_file`, `api_url`, `author` (who edits, for the journal), `timeout_ms` (of one
/// request; default 30000), `wait_ms` (for another sync of the same file to end; default 0), `create` (default true; a file
/// that was moved or deleted, and has left its `-life`, is not made anew),
/// `retention_days` (how long the journal keeps what has settled; default 400, 0: for ever), `keep` (what the file is to keep
/// besides customers, and remembers: `["addresses","attributes"]`), `proxy` (a URL, or `none`), `roots`
/// (`system`, `built-in`, or a file of PEM), `fleet` (`redis://…` or `rediss://…`, where the other tills of the store are; in a
/// library that is built with the feature `fleet`),
/// `policies` (who decides when both sides changed an attribute: `{"default":"hold","fields":{"notes":"local"}}`, each
/// `hold`, `local`, `remote` or `latest`), `log_file` (what the library says, appended; one for all tills of a process) and
/// `log_level` (`error`, `warn`, `info`, the default, `debug` or `trace`). Reading and editing needs none of them. A file that is encrypted, or is to be,
/// needs its key: one of `key`, `key_env` (the name of an environment variable), `key_file` and `key_keyring`
/// (`SERVICE/USER`).
///
/// # Safety
/// `path` and `options` are null, or point to a string that ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tillsync_open(path: *const c_char, options: *const c_char) -> u64 {
    let open = || {
        // SAFETY: the caller's promise about both pointers, passed on.
        let (path, options) = unsafe { (text("the path", path), text("the options", options)) };
        embed::open(path?.ok_or_else(|| Refusal::usage("the path is null"))?, options?)
    };
    guarded(open).unwrap_or_else(|refusal| {
        refusal.tell();
        0
    })
}

/// Carries out a request and returns the answer, both JSON: `{"command":"edit","id":42,"fields":{"phone":"555"}}`.
///
/// Commands and shapes are those of the command line's `--json`: edit, credit, floor, show, find, diff, status, report, log,
/// conflicts, resolve, undo, rejected, retry, discard, pull, push, sync, backup, prune, forget; and wait, sync_now, pause, resume, worker. See
/// docs/embedding.md. A failure is `{"error":{"code":…,"message":…,"hint":…}}`. Never null; give the answer back with
/// `tillsync_free_string`.
///
/// pull, push and sync wait for the network, wait for its `timeout_ms`; all others are done in an instant.
///
/// # Safety
/// `request` is null, or points to a string that ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tillsync_call(till: u64, request: *const c_char) -> *const c_char {
    answered(|| {
        // SAFETY: the caller's promise about the pointer, passed on.
        let request = unsafe { text("the request", request) }?;
        let request = request.ok_or_else(|| Refusal::usage("the request is null"))?;
        embed::answer(&*embed::till(till)?, request)
    })
}

/// Carries out one statement of SQL on the till's file, for an app that has no SQLite of its own, and returns the rows as
/// JSON: `{"columns":["id","phone"],"rows":[[42,"555"]],"changes":0,"in_transaction":false}`. `changes` counts what the
/// statement itself inserted, changed or deleted. Never null; give the answer back with `tillsync_free_string`.
///
/// `parameters` is a JSON list for `?`, a JSON object for `:name`, or null. Integers are exact over all 64 bits; a number
/// with a point or an exponent is a REAL; `{"hex":"00ff"}` is a BLOB, both ways. What does not fit is refused.
///
/// `BEGIN IMMEDIATE`, `COMMIT` and `ROLLBACK` are statements as others: a transaction belongs to the thread that began it,
/// and other threads' statements wait for its end, at most ten seconds. While it writes, that thread's other calls are
/// answered with the error `in_transaction`, but for `tillsync_next_event`. Errors of SQL are `usage`, `constraint`,
/// `refused` (the till's own triggers), `locked`, …
///
/// # Safety
/// `sql` and `parameters` are null, or point to a string that ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tillsync_query(
    till: u64,
    sql: *const c_char,
    parameters: *const c_char,
) -> *const c_char {
    answered(|| {
        // SAFETY: the caller's promise about both pointers, passed on.
        let (sql, parameters) = unsafe { (text("the SQL", sql), text("the parameters", parameters)) };
        let sql = sql?.ok_or_else(|| Refusal::usage("the SQL is null"))?;
        embed::query(&*embed::till(till)?, sql, parameters?)
    })
}

/// The SQLite that this library contains, for an app that has none of its own: the table of its functions, which
/// `sqlite3ext.h` makes `sqlite3_open` and all others of. In one file of the app's:
///
/// `#include "sqlite3ext.h"`
/// `SQLITE_EXTENSION_INIT1`
/// `sqlite3_api = (const sqlite3_api_routines *)tillsync_sqlite();`
///
/// and in the others `SQLITE_EXTENSION_INIT3`. From then on they are called as ever, on the till's file too. It is the same
/// table each time, and not to be given back; null when SQLite does not start. Where the library is linked statically,
/// `sqlite3.h` alone does.
#[unsafe(no_mangle)]
pub extern "C" fn tillsync_sqlite() -> *const c_void {
    guarded(|| Ok(sqlite_routines())).unwrap_or(std::ptr::null())
}

/// Starts the till's background worker: it syncs soon after an edit, on a schedule, and when the network is back.
///
/// `options` is a JSON object, or null: `every_ms`, `latest_ms`, `full_every_ms`, `debounce_ms`, `patience_ms`, `retry_base_ms`,
/// `retry_cap_ms`, `look_ms`, `waiting_long_ms`, `events`. The answer is `{"running":true}` or an error; give it back with `tillsync_free_string`.
///
/// # Safety
/// `options` is null, or points to a string that ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tillsync_start(till: u64, options: *const c_char) -> *const c_char {
    answered(|| {
        // SAFETY: the caller's promise about the pointer, passed on.
        let options = unsafe { text("the options", options) }?;
        embed::till(till)?.start(options)?;
        Ok(json!({ "running": true }).to_string())
    })
}

/// Stops the worker. A sync that runs may go on for `within_ms`; then it is abandoned, and the next sync repairs what it
/// left. The answer is `{"running":false,"came_to_its_end":…}` or an error; give it back with `tillsync_free_string`.
#[unsafe(no_mangle)]
pub extern "C" fn tillsync_stop(till: u64, within_ms: u32) -> *const c_char {
    answered(|| {
        let came_to_its_end = embed::till(till)?.stop(Duration::from_millis(within_ms.into()))?;
        Ok(json!({ "running": false, "came_to_its_end": came_to_its_end }).to_string())
    })
}

/// Waits for the next event of the worker, at most `timeout_ms`: `{"event":"edit_uploaded","customer_id":42,…}`. Null
/// when none came in time; an error when no worker runs any more and all were read. Several threads may wait; each event
/// goes to one. Give it back with `tillsync_free_string`.
#[unsafe(no_mangle)]
pub extern "C" fn tillsync_next_event(till: u64, timeout_ms: u32) -> *const c_char {
    let next = || {
        let event = embed::till(till)?.next_event(Duration::from_millis(timeout_ms.into()))?;
        Ok(event.and_then(|event| words::json(&event).ok()))
    };
    match guarded(next) {
        Ok(None) => std::ptr::null(),
        Ok(Some(event)) => embed::issue(event),
        Err(refusal) => embed::issue(refusal.tell()),
    }
}

/// The last failure on this thread, of whatever function, as the error that it was answered with; null when there was
/// none. Give it back with `tillsync_free_string`.
#[unsafe(no_mangle)]
pub extern "C" fn tillsync_last_error() -> *const c_char {
    match guarded(|| Ok(embed::last_error())) {
        Ok(Some(error)) => embed::issue(error),
        _ => std::ptr::null(),
    }
}

/// The version of this library. It is not to be given back.
#[unsafe(no_mangle)]
pub extern "C" fn tillsync_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// Gives a string back that one of these functions returned. Null, and what was given back before, is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn tillsync_free_string(string: *const c_char) {
    _ = guarded(|| Ok(embed::take_back(string)));
}

/// Closes a till: stops its worker, and ends what runs on other threads. 0; or -1 when the handle is of no open till.
/// Every acknowledged edit is on the disk already.
#[unsafe(no_mangle)]
pub extern "C" fn tillsync_close(till: u64) -> i32 {
    match guarded(|| embed::close(till)) {
        Ok(()) => 0,
        Err(refusal) => {
            refusal.tell();
            -1
        }
    }
}

/// SQLite hands its table to extensions only; one is registered for as long as it takes to open a connection. A
/// connection that another thread opens meanwhile hands over the same table.
fn sqlite_routines() -> *const c_void {
    static ROUTINES: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

    unsafe extern "C" fn note(
        _: *mut sqlite3,
        _: *mut *mut c_char,
        routines: *const sqlite3_api_routines,
    ) -> c_int {
        ROUTINES.store(routines.cast_mut().cast(), Ordering::Release);
        SQLITE_OK
    }

    if ROUTINES.load(Ordering::Acquire).is_null() {
        // SAFETY: it opens no connection, and closes none.
        if unsafe { register_auto_extension(note) }.is_ok() {
            _ = Connection::open_in_memory();
            cancel_auto_extension(note);
        }
    }
    ROUTINES.load(Ordering::Acquire)
}

/// A string of C; none: it is null.
///
/// # Safety
/// `pointer` is null, or points to a string that ends with a NUL and stays as it is for `'a`.
unsafe fn text<'a>(what: &str, pointer: *const c_char) -> Result<Option<&'a str>, Refusal> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, so it points to a string that ends with a NUL: the caller's promise. The string is the caller's
    // argument, which outlives the call, and what is made of it does not outlive the call.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map(Some).map_err(|_| Refusal::usage(format!("{what}: is not UTF-8")))
}

fn answered(work: impl FnOnce() -> Result<String, Refusal>) -> *const c_char {
    embed::issue(guarded(work).unwrap_or_else(|refusal| refusal.tell()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_answered_with_an_error() {
        let answer = answered(|| panic!("on purpose"));
        // SAFETY: it was just handed out.
        let answer_text = unsafe { CStr::from_ptr(answer) }.to_str().unwrap();
        assert!(answer_text.starts_with(r#"{"error":{"code":"unexpected","#), "{answer_text}");
        tillsync_free_string(answer);
    }
}
