//! What becomes of what a form asks for: what was done, or why not.

use crate::inspect::show;
use crate::{CustomerId, Decimal, Error, Result, Store};

/// What was done, in the address of the page that tells it: words of ours alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    KeptOurs,
    KeptTheirs,
    KeptOther,
    Corrected,
    SentAgain,
    GivenUp,
    OneGivenUp,
    Gone,
    Undone,
}

impl Said {
    const ALL: [Said; 9] = [
        Said::KeptOurs,
        Said::KeptTheirs,
        Said::KeptOther,
        Said::Corrected,
        Said::SentAgain,
        Said::GivenUp,
        Said::OneGivenUp,
        Said::Gone,
        Said::Undone,
    ];

    /// An edit of an attribute was given up. Whether anything else of it waits, which stays, the library knows.
    pub(super) fn given_up(store: &Store, id: CustomerId, field: &str) -> Result<Said> {
        let is_left = store.pending(id)?.iter().any(|edit| edit.field == field);
        Ok(if is_left { Said::OneGivenUp } else { Said::GivenUp })
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Said::KeptOurs => "ours",
            Said::KeptTheirs => "theirs",
            Said::KeptOther => "other",
            Said::Corrected => "corrected",
            Said::SentAgain => "again",
            Said::GivenUp => "given-up",
            Said::OneGivenUp => "one-given-up",
            Said::Gone => "gone",
            Said::Undone => "undone",
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Said::KeptOurs => "Our value is kept. It goes up with the next sync.",
            Said::KeptTheirs => {
                "The store's value is kept. What was edited here since the conflict was found goes on top."
            }
            Said::KeptOther => "The other value is kept. It goes up with the next sync.",
            Said::Corrected => "Corrected. It goes up with the next sync.",
            Said::SentAgain => "It is sent again with the next sync.",
            Said::GivenUp => "Given up. Here it is as in the store.",
            Said::OneGivenUp => "Given up. What else was edited of it here stays.",
            Said::Gone => "Given up. What was edited since then, if anything was, is asked about by itself.",
            Said::Undone => "Taken back. The other value goes up with the next sync.",
        }
    }

    pub(super) fn named(word: &str) -> Option<Said> {
        Said::ALL.into_iter().find(|said| said.word() == word)
    }
}

/// Why something was not done, or what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// What the library says, for whoever knows the command line.
    pub(super) details: Option<String>,
}

impl Refusal {
    pub(super) fn new(message: impl Into<String>, hint: &str) -> Refusal {
        Refusal { message: message.into(), hint: Some(hint.to_owned()), details: None }
    }

    /// What was typed is not taken.
    pub(super) fn typed(why: String) -> Refusal {
        Refusal::new(why, UNTOUCHED)
    }

    /// What the person saw is not what is there now.
    pub(super) fn moved_on() -> Refusal {
        Refusal::new(
            "This has moved on since it was shown, so nothing was done.",
            "Below it is as it is now. If it is gone, it was settled in the meantime.",
        )
    }

    /// What the library says of a failure, in words of a shop where there are some.
    pub(super) fn of(code: &str, message: &str, hint: Option<&str>) -> Refusal {
        let details = [Some(message), hint].into_iter().flatten().collect::<Vec<_>>().join("\n");
        let said = went_wrong(code).map_or_else(|| message.to_owned(), str::to_owned);
        let message = if is_for_a_terminal(&said) { "This could not be done.".to_owned() } else { said };
        let hint =
            what_to_do(code).unwrap_or("Whoever looks after this till knows more from the words below.");
        let details = format!("{code}: {details}");
        Refusal { message, hint: Some(hint.to_owned()), details: Some(details) }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let text = error.to_string();
        match (error.code(), about(&error, &text)) {
            ("refused", Some(message)) => Refusal::new(message, UNTOUCHED),
            // Who is on a page was here when it was made.
            ("unknown_customer", _) => Refusal::moved_on(),
            _ if error.is_stale() => Refusal::moved_on(),
            ("usage", Some(message)) if !is_for_a_terminal(&message) => Refusal::new(message, AS_IT_IS),
            (code, _) => Refusal::of(code, &text, error.hint()),
        }
    }
}

const AS_IT_IS: &str = "Nothing was changed. Below it is as it is now.";
const UNTOUCHED: &str = "Nothing was changed. What you typed is still there.";

/// What is wrong with a value, after the name of its attribute; whose it is stands on the page.
fn about(error: &Error, text: &str) -> Option<String> {
    let about = error.about();
    let (id, field) = (about.customer_id?, about.field?);
    let problem = text.strip_prefix(&format!("customer {id}: "))?;
    let problem = problem.strip_prefix(&format!("{field}: ")).unwrap_or(problem);
    let is_said_of_it =
        ["has ", "must ", "holds ", "is ", "was ", "does "].iter().any(|verb| problem.starts_with(verb));
    let name = if field == "*" { "The customer".to_owned() } else { show::field_text(&field) };
    Some(if is_said_of_it { format!("{name} {problem}.") } else { format!("{name}: {problem}.") })
}

/// Words that only help whoever knows the command, or a program.
fn is_for_a_terminal(words: &str) -> bool {
    ["--", "tillsync", "JSON", "os error", "SQL"].iter().any(|sign| words.contains(sign))
}

/// What went wrong, for who stands at the counter.
pub(super) fn went_wrong(code: &str) -> Option<&'static str> {
    Some(match code {
        "incomplete" => "The store's list was not whole",
        "unbelieved" => "Too many customers were absent to be believed",
        "offline" => "The store was out of reach",
        "certificate" => "The store's certificate was not trusted",
        "unavailable" => "The store did not answer properly",
        "auth" => "The store refused the token",
        "protocol" => "What answered was not the store",
        "busy" => "Another sync was running",
        "stopped" => "It was stopped",
        "wrong_store" => "The till is another store's",
        "disk_full" => "The disk was full",
        "locked" => "Another program held the file",
        _ => return None,
    })
}

fn what_to_do(code: &str) -> Option<&'static str> {
    Some(match code {
        "incomplete" => "Nothing is lost: the next sync asks for what was missing.",
        "unbelieved" => "Nobody was removed here. Whoever looks after this till can have it believed.",
        "offline" => "Every edit is kept. It goes on when the network is back.",
        "certificate" => {
            "Every edit is kept. Look at the clock of this till first; then whoever looks after the network can help."
        }
        "unavailable" => "Every edit is kept. Sync again later.",
        "auth" => "Every edit is kept. Whoever looks after this till gives it another token.",
        "protocol" => "Every edit is kept. Whoever looks after this till looks at the address of the store.",
        "busy" | "locked" => "Nothing is lost. Try again in a moment.",
        "stopped" => "Every edit is kept. The next sync goes on from there.",
        "disk_full" => "Every edit is kept. Make some room on the disk, then try again.",
        "usage" => AS_IT_IS,
        _ => return None,
    })
}

/// What was done, and of money the balance that is left.
pub(super) struct Did {
    pub(super) said: Said,
    pub(super) balance: Option<Decimal>,
}

impl From<Said> for Did {
    fn from(said: Said) -> Did {
        Did { said, balance: None }
    }
}

/// What a form comes to.
pub(super) type Done = std::result::Result<Did, Refusal>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EditSeq;

    /// Whichever way the library puts it.
    #[test]
    fn what_was_settled_in_the_meantime_has_moved_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("till.db")).unwrap();
        for error in
            [store.retry_row(EditSeq(1)).unwrap_err(), store.discard_row(EditSeq(1), None).unwrap_err()]
        {
            assert!(error.is_stale());
            assert_eq!(Refusal::from(error), Refusal::moved_on());
        }
        let error = Error::usage("the label is too long");
        assert!(!error.is_stale());
        assert_ne!(Refusal::from(error), Refusal::moved_on());
    }
}
