//! Threads of the system, which may have none to give: that is an error to tell, or work that is done where it was asked for;
//! never a panic.

use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle};

use crate::error::{Failure, Result};

/// Starts a thread.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    #[cfg(test)]
    if refusal::takes_one() {
        return Err(Failure::NoThread("a test gives none".to_owned()).into());
    }
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|e| Failure::NoThread(e.to_string()).into())
}

/// Whether work can be shared by the threads of a pool: the app's, if it has one, else ours. Asked for where there is none,
/// `rayon` panics, and for ever.
pub(crate) fn are_shared() -> bool {
    #[cfg(test)]
    if refusal::takes_one() {
        return false;
    }
    static ARE: OnceLock<bool> = OnceLock::new();
    *ARE.get_or_init(|| match rayon::ThreadPoolBuilder::new().build_global() {
        Ok(()) => true,
        // There was one already; only the system's refusal has a cause.
        Err(e) => std::error::Error::source(&e).is_none(),
    })
}

/// A system that gives this thread no others.
#[cfg(test)]
pub(crate) mod refusal {
    use std::cell::Cell;

    thread_local! {
        static GIVEN: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// From now on so many are given, and then none.
    pub(crate) fn after(given: usize) {
        GIVEN.set(Some(given));
    }

    /// From now on all are given.
    pub(crate) fn is_over() {
        GIVEN.set(None);
    }

    pub(super) fn takes_one() -> bool {
        let left = GIVEN.get();
        GIVEN.set(left.map(|left| left.saturating_sub(1)));
        left == Some(0)
    }
}
