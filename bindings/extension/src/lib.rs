//! tillsync in the app's own SQLite: `SELECT load_extension('tillsync')`, then `SELECT tillsync_call('{"command":"sync"}')`.
//!
//! A process must not open a file through two copies of SQLite: the system's locks belong to the process, so neither sees
//! the other's, and the file is destroyed. An app in a language that brings its own SQLite can have the engine run on that
//! copy: this library holds none. What the engine calls of SQLite goes through the table of functions that SQLite hands to
//! an extension when it loads it (`routines`).
//!
//! | function of SQL | |
//! |---|---|
//! | `tillsync_open(options)` | the options of the C interface, and `path`; not needed for reading and editing |
//! | `tillsync_call(request)` | a request, JSON in and JSON out, as the C interface's |
//! | `tillsync_start()`, `tillsync_start(options)` | starts the worker of the file |
//! | `tillsync_next_event()`, `tillsync_next_event(timeout_ms)` | the next event of the worker; null: none came |
//! | `tillsync_stop(within_ms)`, `tillsync_close()` | |
//! | `tillsync_version()` | |
//!
//! They do not run inside triggers and views: no file that somebody sends can make an app sync. The engine's threads
//! outlive the connection that loaded it, so the library is never unloaded.

mod client_data;
mod routines;

use std::ffi::{c_char, c_int};
use std::sync::Arc;
use std::time::Duration;

use engine::extension::{Session, in_transaction, not_usable};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, MAIN_DB, TransactionState, ffi};

/// Where SQLite begins, for a file of any name.
///
/// # Safety
/// As SQLite calls it: a connection, a place for words, and its table of functions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_extension_init(
    connection: *mut ffi::sqlite3,
    words: *mut *mut c_char,
    api: *mut ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { sqlite3_tillsync_init(connection, words, api) }
}

/// Where SQLite begins, by the name of this library.
///
/// # Safety
/// As SQLite calls it: a connection, a place for words, and its table of functions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_tillsync_init(
    connection: *mut ffi::sqlite3,
    words: *mut *mut c_char,
    api: *mut ffi::sqlite3_api_routines,
) -> c_int {
    if api.is_null() {
        return ffi::SQLITE_ERROR;
    }
    // SAFETY: the caller's promise, passed on; `register` only registers functions.
    unsafe {
        match routines::fitted(api) {
            Ok(mut fitted) => Connection::extension_init2(connection, words, &raw mut fitted, register),
            Err(why) => {
                routines::say(api, words, &why);
                ffi::SQLITE_ERROR
            }
        }
    }
}

/// An answer, or an error; both are JSON.
type Answer = Result<String, String>;

/// `true`: SQLite never unloads the library.
fn register(connection: Connection) -> rusqlite::Result<bool> {
    routines::can_json(&connection)?;
    let session = Arc::new(Session::new(connection.path()));
    let define = |name, arguments, run: fn(&Session, &Context<'_>) -> Option<String>| {
        let session = session.clone();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function(name, arguments, flags, move |context| Ok(run(&session, context)))
    };
    define("tillsync_version", 0, |_, _| Some(env!("CARGO_PKG_VERSION").to_owned()))?;
    define("tillsync_open", 1, |session, context| alone(context, || Ok(session.open(text(context)?))))?;
    define("tillsync_call", 1, |session, context| alone(context, || Ok(session.call(text(context)?))))?;
    define("tillsync_start", 0, |session, context| alone(context, || Ok(session.start(None))))?;
    define("tillsync_start", 1, |session, context| {
        alone(context, || Ok(session.start(Some(text(context)?))))
    })?;
    define("tillsync_stop", 1, |session, context| alone(context, || Ok(session.stop(time(context)?))))?;
    define("tillsync_close", 0, |session, context| alone(context, || Ok(session.close())))?;
    define("tillsync_next_event", 0, |session, _| session.next_event(Duration::ZERO))?;
    define("tillsync_next_event", 1, |session, context| match time(context) {
        Ok(timeout) => session.next_event(timeout),
        Err(error) => Some(error),
    })?;
    Ok(true)
}

/// What runs on connections of the till's own, unless the app's connection is in the way: it would wait for that one,
/// which waits for its answer.
fn alone(context: &Context<'_>, work: impl FnOnce() -> Answer) -> Option<String> {
    let answer = if is_writing(context) { Err(in_transaction()) } else { work() };
    Some(answer.unwrap_or_else(|error| error))
}

fn is_writing(context: &Context<'_>) -> bool {
    // SAFETY: the reference stays on this thread and is gone when this function returns.
    let connection = unsafe { context.get_connection() };
    connection
        .is_ok_and(|connection| connection.transaction_state(Some(MAIN_DB)) == Ok(TransactionState::Write))
}

fn text<'a>(context: &'a Context<'_>) -> Result<&'a str, String> {
    match context.get_raw(0) {
        ValueRef::Text(text) => {
            std::str::from_utf8(text).map_err(|_| not_usable("the argument is not UTF-8"))
        }
        _ => Err(not_usable("the argument is JSON, as text")),
    }
}

fn time(context: &Context<'_>) -> Result<Duration, String> {
    let milliseconds = match context.get_raw(0) {
        ValueRef::Integer(number) => u32::try_from(number).ok(),
        // JavaScript's numbers come so.
        ValueRef::Real(number) if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) => {
            Some(number as u32)
        }
        _ => None,
    };
    milliseconds
        .map(|milliseconds| Duration::from_millis(milliseconds.into()))
        .ok_or_else(|| not_usable("the argument is a number of milliseconds, from 0 to 4294967295"))
}
