//! Answers that were handed out and not given back yet. What is not in this list is not freed: a string that is given
//! back twice, or that never came from here, does no harm.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};

static STRINGS: Mutex<BTreeMap<usize, CString>> = Mutex::new(BTreeMap::new());

fn strings() -> MutexGuard<'static, BTreeMap<usize, CString>> {
    STRINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands a string out, to be read until it is taken back.
pub(crate) fn issue(text: String) -> *const c_char {
    // JSON has no NUL: it is escaped there.
    let text = CString::new(text).unwrap_or_default();
    let pointer = text.as_ptr();
    strings().insert(pointer.addr(), text);
    pointer
}

/// Takes a string back, and says whether it was out.
pub(crate) fn take_back(pointer: *const c_char) -> bool {
    strings().remove(&pointer.addr()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_handed_out_is_taken_back_and_only_once() {
        let pointer = issue("{}".to_owned());
        assert!(!take_back(std::ptr::null()));
        assert!(take_back(pointer) && !take_back(pointer));
    }
}
