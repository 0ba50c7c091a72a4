//! Memory that the size of an input asks for.
//!
//! What is taken bit by bit ends the process where there is none, and so does a copy of a note of many megabytes. So before an
//! answer, a value of the file or an edit that is large is worked with, all that this may take is asked for at once,
//! and given back: where it cannot be had, that is an error like any other. What is small is not asked about.

/// So many times as much as something is long is taken to make something of it: its parts, copies of them, and what SQLite has.
const ROOM: usize = 8;
/// Bytes from which on that is asked about.
const LARGE: usize = 1 << 20;

/// Whether there is memory to work with so many bytes.
pub(crate) fn is_there_for(bytes: usize) -> bool {
    bytes < LARGE || Vec::<u8>::new().try_reserve_exact(bytes.saturating_mul(ROOM)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_not_there() {
        assert!(is_there_for(0) && is_there_for(LARGE));
        assert!(!is_there_for(usize::MAX / 2));
    }
}
