//! Exit statuses, and how a failure is told: to people on standard error with a hint, with `--json` as one document on
//! standard output.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::json;
use tillsync::{About, CustomerId, EditError, SyncReport, words};

use super::out::{Deed, Out, complain};

/// What a command ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Everything asked for is in place.
    Done = 0,
    /// An unexpected failure.
    Unexpected = 1,
    /// An unknown command, field or value; nothing was journaled.
    Usage = 2,
    /// Finished, but rejected edits, conflicts, customers that are held up, or very many deletions want a person.
    Attention = 3,
    /// The store could not be reached; every edit is kept.
    Offline = 4,
    /// The store refused the token, the scope or the store hash; every edit is kept.
    Refused = 5,
    /// The database file.
    Database = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    /// Success, unless something waits for a person.
    pub(super) fn unless_waiting(report: &SyncReport) -> Exit {
        let waiting = report.rejected + report.conflicts + report.held_up + report.deletions_waiting;
        if waiting > 0 { Exit::Attention } else { Exit::Done }
    }
}

/// Why a command did not come to its end.
#[derive(Debug)]
pub(super) enum Failed {
    /// What is told, and the status.
    Told(Box<Told>),
    /// Whoever read standard output has gone: nobody is left to tell.
    NobodyListens,
}

/// A failure in words.
#[derive(Debug)]
pub(super) struct Told {
    exit: Exit,
    code: &'static str,
    message: String,
    hint: Option<String>,
    about: About,
    passes: bool,
}

impl Failed {
    /// A mistake in what was asked for.
    pub(super) fn usage(message: impl Into<String>) -> Failed {
        Failed::told(Exit::Usage, "usage", message.into())
    }

    /// A customer that is not in the file, said as the library says it.
    pub(super) fn unknown_customer(id: i64) -> Failed {
        let failed =
            Failed::told(Exit::Usage, "unknown_customer", format!("customer {id} is not in this file"));
        let about = About { customer_id: Some(CustomerId(id)), ..About::default() };
        failed.about(about).hint("pull first, or look for the customer with find")
    }

    /// A value that is not taken, under the name of its field.
    pub(super) fn edit(id: i64, field: &str, problem: &str) -> Failed {
        let (customer_id, field) = (CustomerId(id), field.to_owned());
        let refused = EditError { customer_id, field: field.clone(), problem: problem.to_owned() };
        let about = About { customer_id: Some(customer_id), field: Some(field), limit: None };
        Failed::usage(refused.to_string()).about(about)
    }

    /// Why a sync of a worker failed, as its event tells.
    pub(super) fn of_event(code: &'static str, message: String, hint: Option<&'static str>) -> Failed {
        let (exit, passes) = match code {
            // A certificate too: behind the page of a guest network, or until a clock is set.
            "offline" | "unavailable" | "certificate" => (Exit::Offline, true),
            "busy" | "locked" | "lock_gone" | "too_many_files" | "disk_full" => (Exit::Database, true),
            "protocol" | "stopped" | "no_thread" | "unexpected" => (Exit::Unexpected, true),
            "auth" => (Exit::Refused, false),
            "wrong_store" | "usage" | "refused" => (Exit::Usage, false),
            _ => (Exit::Database, false),
        };
        let (hint, about) = (hint.map(str::to_owned), About::default());
        Failed::Told(Box::new(Told { exit, code, message, hint, about, passes }))
    }

    /// What was asked for is done, and its answer cannot be printed.
    pub(super) fn unprinted(error: &io::Error, deed: Deed) -> Failed {
        let Deed { done, shown_by } = deed;
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failed::NobodyListens,
            _ => Failed::unexpected(format!("{done}, and only the answer cannot be printed: {error}"))
                .hint(format!("do not repeat it: {shown_by} shows it")),
        }
    }

    /// Something that should not happen.
    pub(super) fn unexpected(message: impl Into<String>) -> Failed {
        Failed::told(Exit::Unexpected, "unexpected", message.into())
    }

    /// The same, under a word that the library has for it.
    pub(super) fn coded(code: &'static str, message: impl Into<String>) -> Failed {
        Failed::told(Exit::Unexpected, code, message.into())
    }

    /// Something besides the store cannot be reached.
    pub(super) fn offline(code: &'static str, message: impl Into<String>) -> Failed {
        Failed::told(Exit::Offline, code, message.into())
    }

    fn told(exit: Exit, code: &'static str, message: String) -> Failed {
        let about = About::default();
        Failed::Told(Box::new(Told { exit, code, message, hint: None, about, passes: false }))
    }

    /// The same with what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Failed {
        if let Failed::Told(told) = &mut self {
            told.hint = Some(hint.into());
        }
        self
    }

    fn about(mut self, about: About) -> Failed {
        if let Failed::Told(told) = &mut self {
            told.about = about;
        }
        self
    }

    /// The same with where it went wrong in front.
    pub(super) fn at(mut self, place: &str) -> Failed {
        if let Failed::Told(told) = &mut self {
            told.message = format!("{place}: {}", told.message);
        }
        self
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Failed::Told(told) if told.passes)
    }

    /// The word for scripts.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Failed::Told(told) => told.code,
            Failed::NobodyListens => "",
        }
    }

    /// The words, without the hint.
    pub(super) fn message(&self) -> &str {
        match self {
            Failed::Told(told) => &told.message,
            Failed::NobodyListens => "",
        }
    }

    /// The status.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Failed::Told(told) => told.exit,
            Failed::NobodyListens => Exit::Done,
        }
    }

    /// As programs are told it.
    pub(super) fn document(&self) -> serde_json::Value {
        match self {
            Failed::Told(told) => {
                let Told { code, message, hint, about, .. } = &**told;
                let mut error = json!(about);
                error["code"] = json!(code);
                error["message"] = json!(message);
                error["hint"] = json!(hint);
                json!({ "error": error })
            }
            Failed::NobodyListens => serde_json::Value::Null,
        }
    }

    /// Says it, and returns the status to end with.
    pub(super) fn tell(&self, out: &Out) -> Exit {
        if let Failed::Told(told) = self {
            // Where standard output takes nothing, a person may still read the other.
            if !out.is_json() || out.document(&self.document()).is_err() {
                complain(&format!("error: {}", told.message));
                if let Some(hint) = &told.hint {
                    complain(&format!("hint: {hint}"));
                }
            }
        }
        self.exit()
    }
}

impl From<tillsync::Error> for Failed {
    fn from(error: tillsync::Error) -> Failed {
        Failed::Told(Box::new(Told {
            exit: class(&error),
            code: error.code(),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
            about: error.about(),
            passes: error.can_retry(),
        }))
    }
}

fn class(error: &tillsync::Error) -> Exit {
    match error {
        error if error.is_usage() => Exit::Usage,
        error if error.is_offline() || error.code() == "certificate" => Exit::Offline,
        error if error.is_auth() => Exit::Refused,
        error if error.is_database() => Exit::Database,
        _ => Exit::Unexpected,
    }
}

/// Of standard output and the like; a file that a flag names has better words.
impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failed::NobodyListens,
            _ => Failed::unexpected(format!("standard input or output: {error}")),
        }
    }
}

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Failed {
        match error.io_error_kind() {
            Some(kind) => io::Error::from(kind).into(),
            None => Failed::unexpected(format!("JSON: {error}")),
        }
    }
}

/// What clap has to say: help and version are answers, all else is a mistake.
pub(super) fn usage(error: &clap::Error) -> Exit {
    let out = Out::new(asks_for_json(std::env::args_os()));
    if !error.use_stderr() {
        // As with any answer: nobody left to read it is no failure.
        _ = error.print();
        return Exit::Done;
    }
    if out.is_json() {
        let words = in_words(error, &error.to_string());
        return Failed::usage(in_a_line(&words)).hint(advice(&words)).tell(&out);
    }
    match error.to_string() {
        // It repeats what was typed.
        words if words::plain(&words) != words => complain(in_words(error, &words).trim_end()),
        _ => _ = write!(anstream::stderr(), "{}", in_words(error, &error.render().ansi().to_string())),
    }
    Exit::Usage
}

/// What the standard library has to say of something that is no number is not for a person at a till.
fn in_words(error: &clap::Error, text: &str) -> String {
    let theirs = error.source().map(ToString::to_string).unwrap_or_default();
    let ours = match theirs.as_str() {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "it is a whole number, such as 42"
        }
        "number too large to fit in target type" | "number too small to fit in target type" => {
            "no number here can be that large"
        }
        _ => return text.to_owned(),
    };
    text.replacen(&theirs, ours, 1)
}

/// clap found no command line to speak of, so the flag is looked for by hand.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// The first paragraph of clap's words, which says what is wrong.
fn in_a_line(words: &str) -> String {
    let paragraph = words.split("\n\n").next().unwrap_or(words);
    let words: Vec<&str> = paragraph.trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}

/// What clap would do, or where it would look.
fn advice(words: &str) -> String {
    let tip = words.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let more = || words.lines().find(|line| line.starts_with("For more information"));
    tip.or_else(more).unwrap_or("try '--help'").trim_end_matches('.').to_owned()
}
