//! Data of an extension with a connection, for a SQLite older than 3.44, which has no place for it.
//!
//! `rusqlite` keeps there what a busy handler and a hook need. Here it is kept beside, by connection and name, and goes
//! when it is replaced or the connection is closed. SQLite may call a handler until the very end of closing; and right
//! after that another connection may have the same address. So what a connection has is taken out of the list before it
//! is closed, and let go after.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::ffi::{self, sqlite3, sqlite3_api_routines as Routines};

type LetGo = Option<unsafe extern "C" fn(*mut c_void)>;
type Close = unsafe extern "C" fn(*mut sqlite3) -> c_int;

struct Data {
    pointer: *mut c_void,
    let_go: LetGo,
}

// SAFETY: `rusqlite` puts nothing here that may not be sent to another thread, as its connections may be.
unsafe impl Send for Data {}

impl Drop for Data {
    fn drop(&mut self) {
        if let Some(let_go) = self.let_go {
            // SAFETY: they came together, and this is the one time.
            unsafe { let_go(self.pointer) }
        }
    }
}

type Connections = BTreeMap<usize, BTreeMap<CString, Data>>;

static KEPT: Mutex<Connections> = Mutex::new(BTreeMap::new());
static CLOSE: OnceLock<Close> = OnceLock::new();

fn kept() -> MutexGuard<'static, Connections> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts these functions where a newer SQLite has its own.
pub fn stand_in(routines: &mut Routines) {
    if let Some(close) = routines.close {
        _ = CLOSE.set(close);
        routines.close = Some(close_and_let_go);
    }
    routines.get_clientdata = Some(get);
    routines.set_clientdata = Some(set);
}

unsafe extern "C" fn get(connection: *mut sqlite3, name: *const c_char) -> *mut c_void {
    // SAFETY: a name of `rusqlite`, which ends with a NUL.
    let name = unsafe { CStr::from_ptr(name) };
    let kept = kept();
    kept.get(&connection.addr())
        .and_then(|data| data.get(name))
        .map_or(std::ptr::null_mut(), |data| data.pointer)
}

unsafe extern "C" fn set(
    connection: *mut sqlite3,
    name: *const c_char,
    pointer: *mut c_void,
    let_go: LetGo,
) -> c_int {
    // SAFETY: a name of `rusqlite`, which ends with a NUL.
    let name = unsafe { CStr::from_ptr(name) };
    let mut kept = kept();
    let data = kept.entry(connection.addr()).or_default();
    let before = match pointer.is_null() {
        true => data.remove(name),
        false => data.insert(name.to_owned(), Data { pointer, let_go }),
    };
    // It may call back into this list when it goes.
    drop(kept);
    drop(before);
    ffi::SQLITE_OK
}

unsafe extern "C" fn close_and_let_go(connection: *mut sqlite3) -> c_int {
    let Some(close) = CLOSE.get() else { return ffi::SQLITE_MISUSE };
    let data = kept().remove(&connection.addr());
    // SAFETY: the caller's connection.
    let closed = unsafe { close(connection) };
    if let Some(data) = data.filter(|_| closed != ffi::SQLITE_OK) {
        kept().insert(connection.addr(), data);
    }
    closed
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static GONE: AtomicUsize = AtomicUsize::new(0);

    unsafe extern "C" fn goes(_: *mut c_void) {
        GONE.fetch_add(1, Ordering::SeqCst);
    }

    /// The first connection is busy, and stays open.
    unsafe extern "C" fn close(connection: *mut sqlite3) -> c_int {
        if connection.addr() == 8 { ffi::SQLITE_BUSY } else { ffi::SQLITE_OK }
    }

    #[test]
    fn what_is_kept_goes_with_its_connection_or_when_it_is_replaced_and_never_before() {
        let [busy, free] = [8, 16].map(std::ptr::without_provenance_mut::<sqlite3>);
        let [one, two] = [1, 2].map(std::ptr::without_provenance_mut::<c_void>);
        let gone = || GONE.load(Ordering::SeqCst);
        CLOSE.set(close).unwrap();
        // SAFETY: nothing here is pointed to but the names.
        unsafe {
            set(busy, c"hook".as_ptr(), one, Some(goes));
            set(busy, c"hook".as_ptr(), two, Some(goes));
            assert_eq!((get(busy, c"hook".as_ptr()), gone()), (two, 1));
            set(free, c"hook".as_ptr(), one, Some(goes));
            set(free, c"busy".as_ptr(), one, Some(goes));
            set(free, c"busy".as_ptr(), std::ptr::null_mut(), None);
            assert_eq!((get(free, c"busy".as_ptr()), gone()), (std::ptr::null_mut(), 2));
            close_and_let_go(free);
            assert_eq!((get(free, c"hook".as_ptr()), gone()), (std::ptr::null_mut(), 3));
            close_and_let_go(busy);
            assert_eq!((get(busy, c"hook".as_ptr()), gone()), (two, 3));
        }
    }
}
