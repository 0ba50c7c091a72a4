//! What stands behind the C interface, in safe Rust: tills by number, requests and answers as JSON.
//!
//! `ffi` takes C's pointers apart and calls this module; nothing here knows of pointers, and nothing there knows what a
//! till is. A program in another language holds numbers only, so a till that was closed, or never was, is an error that
//! says so, and whatever it has been given to keep is listed in `strings` until it is given back.
//!
//! | file | what it holds |
//! |---|---|
//! | `registry` | open tills by their numbers |
//! | `till` | one open till: its file, its way to the store, its worker |
//! | `call` | a request in, an answer out: names and shapes of the command's `--json` |
//! | `refusal` | an error as the other side sees it |
//! | `strings` | answers that were handed out and not given back yet |

mod call;
mod refusal;
mod registry;
mod strings;
mod till;

pub(crate) use call::answer;
pub(crate) use refusal::{Refusal, last_error};
pub(crate) use registry::{close, open, till};
pub(crate) use strings::{issue, take_back};
