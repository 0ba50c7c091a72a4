//! SQLite's functions, as the app's copy of it hands them over.
//!
//! What the copy cannot do is said when the library is loaded, in one line, and not at the first sync. Older copies hand
//! over a shorter table: it is copied as far as it goes, and what `rusqlite` cannot do without is put in its place
//! (`client_data`). So anything from SQLite 3.38 on will do, which is what the triggers of the file need too.

use std::ffi::{CString, c_char, c_int};
use std::mem::{MaybeUninit, offset_of};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use rusqlite::ffi::{self, sqlite3_api_routines as Routines};
use rusqlite::{Connection, Error};

use crate::client_data;

/// The oldest that will do.
const OLDEST: c_int = 3_038_000;
/// The first that keeps data of an extension with a connection.
const WITH_CLIENT_DATA: c_int = 3_044_000;
/// Where the table ends in versions before this one.
const ENDS: [(c_int, usize); 5] = [
    (3_039_000, offset_of!(Routines, deserialize)),
    (3_040_000, offset_of!(Routines, value_encoding)),
    (3_041_000, offset_of!(Routines, is_interrupted)),
    (3_043_000, offset_of!(Routines, stmt_explain)),
    (WITH_CLIENT_DATA, offset_of!(Routines, get_clientdata)),
];

/// The copy of SQLite that this library lives in, for good: the address of one of its functions.
static COPY: AtomicUsize = AtomicUsize::new(0);
static VERSION: AtomicI32 = AtomicI32::new(0);

/// The app's table of functions, as long and as complete as `rusqlite` takes it to be; or why the copy will not do.
///
/// # Safety
/// `api` is SQLite's table of functions.
pub unsafe fn fitted(api: *const Routines) -> Result<Routines, String> {
    // SAFETY: what is read here is in the table of every version that has extensions of this kind.
    let (version, threads) = unsafe { ((*api).libversion_number, (*api).xthreadsafe) };
    // SAFETY: SQLite's own function, which takes nothing.
    let version = unsafe { version.map_or(0, |version| version()) };
    // SAFETY: as above.
    let threads = unsafe { threads.map_or(0, |threads| threads()) };
    if version < OLDEST {
        return Err(format!("the app's SQLite is {}, and 3.38 is the oldest that will do", shown(version)));
    }
    if threads == 0 {
        return Err("the app's SQLite is built for one thread (SQLITE_THREADSAFE=0)".to_owned());
    }
    // SAFETY: it is of that version.
    let mut routines = unsafe { copy(api, version) };
    if routines.wal_hook.is_none() || routines.wal_checkpoint_v2.is_none() {
        return Err("the app's SQLite is built without write-ahead log (SQLITE_OMIT_WAL)".to_owned());
    }
    let copy = routines.open_v2.map_or(0, |open| open as usize);
    let other = COPY.compare_exchange(0, copy, Ordering::SeqCst, Ordering::SeqCst);
    if other.is_err_and(|other| other != copy) {
        return Err(
            "another copy of SQLite in this process has loaded tillsync: one process, one SQLite".to_owned()
        );
    }
    VERSION.store(version, Ordering::SeqCst);
    if version < WITH_CLIENT_DATA {
        client_data::stand_in(&mut routines);
    }
    routines.libversion_number = Some(version_or_newer);
    Ok(routines)
}

/// As much of the table as a version has; nothing where it has no function.
///
/// # Safety
/// `api` is the table of a SQLite of this version.
unsafe fn copy(api: *const Routines, version: c_int) -> Routines {
    let ends = ENDS.into_iter().find(|(before, _)| version < *before);
    let bytes = ends.map_or(size_of::<Routines>(), |(_, end)| end);
    let mut routines = MaybeUninit::<Routines>::zeroed();
    // SAFETY: so much of it is there; all of it is functions, and zero is none.
    unsafe {
        std::ptr::copy_nonoverlapping(api.cast::<u8>(), routines.as_mut_ptr().cast::<u8>(), bytes);
        routines.assume_init()
    }
}

/// `rusqlite` refuses what is older than the table that it was made from, of which it has the missing rest now.
unsafe extern "C" fn version_or_newer() -> c_int {
    VERSION.load(Ordering::SeqCst).max(ffi::SQLITE_VERSION_NUMBER)
}

fn shown(version: c_int) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000)
}

/// Whether the copy has the functions of JSON that the till's triggers call.
pub fn can_json(connection: &Connection) -> rusqlite::Result<()> {
    let asked =
        r#"SELECT json_extract('{"a":[1]}', '$.a[0]'), '{"a":1}' ->> 'a', value FROM json_each('[1]')"#;
    connection.query_row(asked, [], |_| Ok(())).map_err(|error| {
        let failed = ffi::Error::new(ffi::SQLITE_ERROR);
        Error::SqliteFailure(failed, Some(format!("the app's SQLite is built without JSON: {error}")))
    })
}

/// Leaves words where SQLite reads them.
///
/// # Safety
/// `api` is SQLite's table of functions, and `words` null or a place for a string of SQLite.
pub unsafe fn say(api: *const Routines, words: *mut *mut c_char, why: &str) {
    let why = CString::new(format!("tillsync: {why}")).unwrap_or_default();
    // SAFETY: the caller's promise; the format takes one string, which is copied.
    unsafe {
        if let (Some(print), false) = ((*api).mprintf, words.is_null()) {
            *words = print(c"%s".as_ptr(), why.as_ptr());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn version_3_37() -> c_int {
        3_037_002
    }

    unsafe extern "C" fn version_3_40() -> c_int {
        3_040_001
    }

    unsafe extern "C" fn no() -> c_int {
        0
    }

    unsafe extern "C" fn yes() -> c_int {
        1
    }

    /// All zeros: it has no function.
    fn nothing() -> Routines {
        // SAFETY: it is of no function, each of which may be none.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    #[track_caller]
    fn refused(routines: &Routines, why: &str) {
        // SAFETY: a table of functions.
        let said = unsafe { fitted(routines) }.err().unwrap();
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn a_copy_that_will_not_do_is_refused_with_the_reason() {
        let old = Routines { libversion_number: Some(version_3_37), xthreadsafe: Some(yes), ..nothing() };
        refused(&old, "the app's SQLite is 3.37.2, and 3.38 is the oldest");
        let alone = Routines { libversion_number: Some(version_3_40), xthreadsafe: Some(no), ..nothing() };
        refused(&alone, "built for one thread");
        let without_log = Routines { xthreadsafe: Some(yes), ..alone };
        refused(&without_log, "without write-ahead log");
    }

    /// What lies behind an older table is not its.
    #[test]
    fn of_an_older_table_no_more_is_taken_than_it_has() {
        let filled = [1_usize; size_of::<Routines>() / size_of::<usize>()];
        let taken = |version| {
            // SAFETY: as long as the table, and nothing in it is called.
            let routines = unsafe { copy(filled.as_ptr().cast(), version) };
            [
                routines.error_offset.is_some(),
                routines.serialize.is_some(),
                routines.value_encoding.is_some(),
                routines.is_interrupted.is_some(),
                routines.stmt_explain.is_some(),
                routines.set_clientdata.is_some(),
            ]
        };
        assert_eq!(taken(3_038_005), [true, false, false, false, false, false]);
        assert_eq!(taken(3_039_000), [true, true, false, false, false, false]);
        assert_eq!(taken(3_040_001), [true, true, true, false, false, false]);
        assert_eq!(taken(3_042_000), [true, true, true, true, false, false]);
        assert_eq!(taken(3_043_001), [true, true, true, true, true, false]);
        assert_eq!(taken(3_044_000), [true; 6]);
    }
}
