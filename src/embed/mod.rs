//! What stands behind the C interface and the extension, in safe Rust: tills by number or by file, requests and answers
//! as JSON.
//!
//! `ffi` takes C's pointers apart and calls this module; nothing here knows of pointers, and nothing there knows what a
//! till is. A program in another language holds numbers only, so a till that was closed, or never was, is an error that
//! says so, and whatever it has been given to keep is listed in `strings` until it is given back.
//!
//! | file | what it holds |
//! |---|---|
//! | `registry` | open tills by their numbers |
//! | `by_file` | open tills by their files, for the extension |
//! | `till` | one open till: its file, its way to the store, its worker |
//! | `policies` | who decides a conflict, as an app says it |
//! | `call` | a request in, an answer out: names and shapes of the command's `--json` |
//! | `query` | SQL of the app, for one without a SQLite of its own |
//! | `refusal` | an error as the other side sees it |
//! | `strings` | answers that were handed out and not given back yet |

#[cfg(feature = "extension")]
pub mod by_file;
mod call;
mod policies;
#[cfg(feature = "ffi")]
mod query;
mod refusal;
#[cfg(feature = "ffi")]
mod registry;
#[cfg(feature = "ffi")]
mod strings;
mod till;

#[cfg(feature = "ffi")]
pub(crate) use call::answer;
#[cfg(feature = "ffi")]
pub(crate) use query::query;
pub(crate) use refusal::Refusal;
#[cfg(feature = "ffi")]
pub(crate) use refusal::{guarded, last_error};
#[cfg(feature = "ffi")]
pub(crate) use registry::{close, open, till};
#[cfg(feature = "ffi")]
pub(crate) use strings::{issue, take_back};
