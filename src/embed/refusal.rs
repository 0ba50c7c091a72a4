//! An error as the other side sees it: `{"error":{"code","message","hint"}}`, and `customer_id`, `field` and
//! `limit` where it is about such. The last one of each thread is kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

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

    /// The same about an option, by its name.
    pub(crate) fn about_option(mut self, name: &str) -> Refusal {
        self.about.field = Some(name.to_owned());
        self
    }

    /// Somebody's transaction was waited for in vain.
    #[cfg(feature = "ffi")]
    pub(crate) fn is_locked(&self) -> bool {
        self.code == "locked"
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

    /// What is wrong with JSON that came in, of which no name can be made out. The value itself is left out: it may be a
    /// password in the wrong place.
    pub(crate) fn json(what: &str, error: &serde_json::Error) -> Refusal {
        Refusal::usage(format!("{what}: {}", what_is_wrong_with_json(error)))
    }

    /// What is wrong with an object that came in, by the name of what is: which, what it should be, and of which kind it is.
    pub(crate) fn object<T: DeserializeOwned>(what: &str, json: &str, error: &serde_json::Error) -> Refusal {
        let Some((name, given, error)) = culprit::<T>(json) else { return Refusal::json(what, error) };
        let message = format!("{what}: {name}: {}", what_is_wrong(&name, &given, &error));
        let about = About { field: Some(name), ..About::default() };
        Refusal { about, ..Refusal::usage(message) }
    }

    /// As JSON; remembered as the last of this thread.
    pub(crate) fn tell(&self) -> String {
        let json = serde_json::to_string(&Document { error: self }).unwrap_or_default();
        // A thread that is just ending has nobody who could ask.
        _ = LAST.try_with(|last| *last.borrow_mut() = Some(json.clone()));
        json
    }
}

/// Without the place, which stands behind all else: a value may hold such words too.
fn words_of(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let words = error.to_string();
    words.strip_suffix(&place).unwrap_or(&words).to_owned()
}

/// Of all of it, where no name can be made out.
fn what_is_wrong_with_json(error: &serde_json::Error) -> String {
    let words = words_of(error);
    if !error.is_data() {
        return match error.is_eof() {
            true => "is JSON that breaks off".to_owned(),
            false => format!("is no JSON from line {}, column {} on", error.line(), error.column()),
        };
    }
    if let Some(name) = words.strip_prefix("missing field ") {
        return format!("{} is missing", name.replace('`', ""));
    }
    match expected(&words) {
        told if told != words => in_words(&told),
        told => told.replace('`', ""),
    }
}

/// The same of one name's value, which is wrong itself or has something wrong in it.
fn what_is_wrong(name: &str, given: &str, error: &serde_json::Error) -> String {
    let words = words_of(error);
    let is_whole = given.trim_start().starts_with('{');
    if let Some((unknown, known)) =
        words.strip_prefix("unknown field ").and_then(|w| w.rsplit_once(", expected "))
    {
        let known = known.replace("one of ", "").replace('`', "");
        let is_inside = is_whole && unknown.trim_matches('`') != name;
        return if is_inside {
            format!("knows only {known}")
        } else {
            format!("is none that is known; known: {known}")
        };
    }
    let told = expected(&words);
    if told == words && !words.starts_with("invalid ") {
        // In words of our own already.
        return words.replace('`', "");
    }
    let should = in_words(&told);
    let is_inside = is_whole && should != "must be an object";
    if is_inside {
        format!("a value in it {should}")
    } else {
        format!("{should}, and {} was given", kind(name, given))
    }
}

/// What was expected, without what was there.
fn expected(words: &str) -> String {
    let told = words.rsplit_once(", expected ").and_then(|(before, expected)| {
        let kind = ["invalid type", "invalid value", "invalid length", "unknown variant"]
            .into_iter()
            .find(|kind| before.starts_with(kind))?;
        Some(format!("{kind}, expected {expected}"))
    });
    told.unwrap_or_else(|| words.to_owned())
}

/// The name whose value alone is refused too, and its JSON.
fn culprit<T: DeserializeOwned>(json: &str) -> Option<(String, String, serde_json::Error)> {
    let names: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).ok()?;
    names.into_iter().find_map(|(name, value)| {
        let alone = serde_json::to_string(&BTreeMap::from([(&name, &value)])).ok()?;
        let error = serde_json::from_str::<T>(&alone).err()?;
        let is_it = error.is_data() && !error.to_string().starts_with("missing field");
        is_it.then(|| (name, value.get().to_owned(), error))
    })
}

/// What a type of Rust is to people.
fn in_words(expected: &str) -> String {
    let expected = expected.split(", expected ").last().unwrap_or(expected);
    let is_whole = ["u8", "u16", "u32", "u64", "usize"].contains(&expected);
    match expected {
        _ if is_whole => "must be a whole number from 0 on".to_owned(),
        "i64" | "i32" => "must be a whole number".to_owned(),
        "a boolean" => "must be true or false".to_owned(),
        "a string" | "path string" => "must be text".to_owned(),
        "a sequence" => "must be a list".to_owned(),
        "a map" => "must be an object".to_owned(),
        other if other.starts_with("struct ") => "must be an object".to_owned(),
        other => format!("must be {}", other.replace('`', "")),
    }
}

/// Of which kind a value is. Numbers are told, but for those that may be a secret; texts are not.
fn kind(name: &str, json: &str) -> String {
    let may_be_secret = ["token", "key", "password"].iter().any(|word| name.contains(word));
    match json.trim_start().as_bytes().first() {
        Some(b'"') => "text".to_owned(),
        Some(b'[') => "a list".to_owned(),
        Some(b'{') => "an object".to_owned(),
        Some(b'n') => "null".to_owned(),
        Some(b't' | b'f') => json.trim().to_owned(),
        _ if may_be_secret => "a number".to_owned(),
        _ => json.trim().to_owned(),
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
        let number = "the request: must be a whole number from 0 on";
        for json in [
            "\"hunter2, expected x\"",
            "\"hunter2 at line 3\"",
            "\"hunter2 at line 3, expected x\"",
            "-7",
            "{",
        ] {
            assert_eq!(wrong(json), number, "{json}");
        }
        assert_eq!(wrong(""), "the request: is JSON that breaks off");
        assert_eq!(wrong("7 hunter2"), "the request: is no JSON from line 1, column 3 on");

        #[derive(Debug, serde::Deserialize)]
        enum Side {
            Local,
            Remote,
        }
        for side in ["\"hunter2, expected x\"", "\"hunter2 at line 3 column 4\""] {
            let error = serde_json::from_str::<Side>(side).unwrap_err();
            let said = Refusal::json("the request", &error).message;
            assert_eq!(said, "the request: must be Local or Remote");
        }
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code, reason = "it is only read")]
        struct Asked {
            id: u64,
        }
        let error = serde_json::from_str::<Asked>("{}").unwrap_err();
        assert_eq!(Refusal::json("the request", &error).message, "the request: id is missing");
    }

    #[test]
    fn what_is_wrong_with_an_object_is_told_by_its_name() {
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[allow(dead_code, reason = "they are only read")]
        struct Options {
            timeout_ms: Option<u64>,
            create: Option<bool>,
            author: Option<String>,
            pin_key: Option<u64>,
            side: Option<Nested>,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "they are only read")]
        struct Nested {
            #[serde(default)]
            of: Option<Side>,
            #[serde(default)]
            at: Option<u64>,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Side {
            Local,
            Remote,
            Here,
        }
        let wrong = |json: &str| {
            let error = serde_json::from_str::<Options>(json).unwrap_err();
            let refusal = Refusal::object::<Options>("the options", json, &error);
            (refusal.message, refusal.about.field.unwrap_or_default())
        };
        let check = |json: &str, name: &str, words: &str| {
            assert_eq!(wrong(json), (format!("the options: {name}: {words}"), name.to_owned()), "{json}");
        };
        let whole = "must be a whole number from 0 on, and";
        check(r#"{"author":"ana","timeout_ms":"hunter2"}"#, "timeout_ms", &format!("{whole} text was given"));
        check(r#"{"timeout_ms":-5}"#, "timeout_ms", &format!("{whole} -5 was given"));
        check(r#"{"pin_key":-1234}"#, "pin_key", &format!("{whole} a number was given"));
        check(r#"{"create":"yes"}"#, "create", "must be true or false, and text was given");
        check(r#"{"author":[1]}"#, "author", "must be text, and a list was given");
        for secret in
            ["hunter2", "hunter2 at line 3", "hunter2, expected x", "hunter2 at line 3, expected x at line 4"]
        {
            let timeout = format!(r#"{{"author":"ana","timeout_ms":"{secret}"}}"#);
            check(&timeout, "timeout_ms", &format!("{whole} text was given"));
            let of = format!(r#"{{"side":{{"of":"{secret}"}}}}"#);
            check(&of, "side", "a value in it must be one of local, remote, here");
            let off = format!(r#"{{"side":{{"{secret}":"local"}}}}"#);
            check(&off, "side", "knows only of or at");
        }
        let known = "is none that is known; known: timeout_ms, create, author, pin_key, side";
        check(r#"{"api_uri":"hunter2"}"#, "api_uri", known);
        assert!(wrong("[").0.starts_with("the options: "));
    }

    #[test]
    fn the_last_one_of_a_thread_is_kept() {
        assert_eq!(last_error(), None);
        let json = Refusal::closed(7).tell();
        assert_eq!(last_error(), Some(json));
        assert!(std::thread::spawn(last_error).join().unwrap().is_none());
    }
}
