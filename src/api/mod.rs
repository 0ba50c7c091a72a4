//! The remote side: every HTTP request of the crate stands in this module.
//!
//! [`Remote`] is the small trait behind which the store stands: requests are started, and their answers come back
//! in whatever order. [`HttpRemote`] is the real one; a simulated store takes its place in tests.

mod http;
mod request;

use std::any::Any;
use std::fmt;
use std::time::Duration;

#[cfg(feature = "fleet")]
pub(crate) use http::root_store;
#[cfg(any(feature = "ffi", feature = "extension"))]
pub(crate) use http::sendable;
pub use http::{HttpOptions, HttpProxy, HttpRemote, Roots, lack_of_threads};
pub use request::{NamedRows, Request};

use crate::flow::{Answer, Ticket, Trouble};

/// A store that answers requests.
pub trait Remote: fmt::Debug {
    /// The store that is behind it, to which a sync binds the file; see [`Store::bind_store`](crate::Store::bind_store). Default:
    /// not known, and the file is bound to none.
    fn store_hash(&self) -> Option<&str> {
        None
    }

    /// Starts a request; its answer comes out of [`Remote::next`] under the same ticket.
    fn start(&mut self, ticket: Ticket, request: Request);

    /// The next answer, in whatever order. `None` when `wait` is over before one came; with nothing on its way, that
    /// is how time passes. Without `wait`: as long as it takes, and `None` at once when nothing is on its way.
    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)>;

    /// Keeps what it is given until no update is on its way any more, also when this is dropped before. At the end of a
    /// sync that is the right to sync the file: one that was stopped may leave updates behind, and another sync beside them
    /// would have more than three under way. Default: nothing is on its way, and it is dropped at once.
    fn keep_while_updating(&mut self, kept: Box<dyn Any + Send>) {
        drop(kept);
    }
}
