//! An error as the other side sees it: `{"error":{"code","message","hint"}}`, and `customer_id`, `field` and
//! `limit` where it is about such. The last one of each thread is kept.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use crate::error::{About, Error};

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Refusal {
    code: &'static str,
    message: String,
    hint: Option<&'static str>,
    #[serde(flatten)]
    about: About,
}

#[derive(Serialize)]
struct Document<'a> {
    error: &'a Refusal,
}

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

#[cfg(feature = "ffi")]
/// The last refusal on this thread, as JSON.
pub(crate) fn last_error() -> Option<String> {
    LAST.try_with(|last| last.borrow().clone()).ok().flatten()
}

/// Runs what may go wrong. A panic becomes an error: what it held is behind locks that tolerate it, and a transaction is
/// undone when it is dropped.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Refusal::panicked()))
}

impl Refusal {
    fn told(code: &'static str, message: String, hint: Option<&'static str>) -> Refusal {
        Refusal { code, message, hint, about: About::default() }
    }

    /// A mistake in what was asked for.
    pub(crate) fn usage(message: impl Into<String>) -> Refusal {
        Refusal::told("usage", message.into(), None)
    }

    /// The app's connection has the right to write, for which what was asked for would wait.
    pub(crate) fn in_transaction() -> Refusal {
        let message =
            "the app is in a transaction that writes, and the till's own connection would wait for its end";
        Refusal::told("in_transaction", message.to_owned(), Some("commit first, then ask"))
    }

    /// A handle of no open till.
    #[cfg(feature = "ffi")]
    pub(crate) fn closed(handle: u64) -> Refusal {
        let message =
            format!("there is no open till with the handle {handle}: it was closed, or never opened");
        Refusal::told("closed", message, Some("open the till, and keep its handle until it is closed"))
    }

    /// The worker has ended, and everything it had to say was read.
    pub(crate) fn no_worker() -> Refusal {
        let message = "no worker runs, so no event will come".to_owned();
        Refusal::told("no_worker", message, Some("start the worker"))
    }

    /// A defect of this library, kept from crossing the border.
    pub(crate) fn panicked() -> Refusal {
        let message = "the library has a defect; what it was doing was undone".to_owned();
        Refusal::told("unexpected", message, Some("standard error says where; every edit is kept"))
    }

    /// What is wrong with JSON that came in. The value itself is left out: it may be a password in the wrong place.
    pub(crate) fn json(what: &str, error: &serde_json::Error) -> Refusal {
        let words = error.to_string();
        let told = words.rsplit_once(", expected ").and_then(|(before, expected)| {
            let kind = ["invalid type", "invalid value", "invalid length", "unknown variant"]
                .into_iter()
                .find(|kind| before.starts_with(kind))?;
            Some(format!("{kind}, expected {expected}"))
        });
        let words = told.unwrap_or(words);
        Refusal::usage(format!("{what}: {words}"))
    }

    /// As JSON; remembered as the last of this thread.
    pub(crate) fn tell(&self) -> String {
        let json = serde_json::to_string(&Document { error: self }).unwrap_or_default();
        // A thread that is just ending has nobody who could ask.
        _ = LAST.try_with(|last| *last.borrow_mut() = Some(json.clone()));
        json
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let about = error.about();
        Refusal { about, ..Refusal::told(error.code(), error.to_string(), error.hint()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_json_is_said_without_its_values() {
        let wrong = |json: &str| match serde_json::from_str::<u64>(json) {
            Ok(_) => panic!("{json} is right"),
            Err(error) => Refusal::json("the request", &error).message,
        };
        assert_eq!(
            wrong("\"hunter2, expected x\""),
            "the request: invalid type, expected u64 at line 1 column 21"
        );
        assert_eq!(wrong("-7"), "the request: invalid value, expected u64 at line 1 column 2");
        assert_eq!(wrong("{"), "the request: invalid type, expected u64 at line 1 column 0");
        assert!(wrong("").contains("EOF"));

        #[derive(Debug, serde::Deserialize)]
        enum Side {
            Local,
            Remote,
        }
        let error = serde_json::from_str::<Side>("\"hunter2, expected x\"").unwrap_err();
        let said = Refusal::json("the request", &error).message;
        assert!(said.starts_with("the request: unknown variant, expected `Local` or `Remote` at"), "{said}");
    }

    #[test]
    fn the_last_one_of_a_thread_is_kept() {
        assert_eq!(last_error(), None);
        let json = Refusal::closed(7).tell();
        assert_eq!(last_error(), Some(json));
        assert!(std::thread::spawn(last_error).join().unwrap().is_none());
    }
}
