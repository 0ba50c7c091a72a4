//! What becomes of what a form asks for: what was done, or why not.

use crate::Error;

/// What was done, in the address of the page that tells it: words of ours alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    KeptOurs,
    KeptTheirs,
    KeptOther,
    Corrected,
    SentAgain,
    GivenUp,
    Undone,
}

impl Said {
    const ALL: [Said; 7] = [
        Said::KeptOurs,
        Said::KeptTheirs,
        Said::KeptOther,
        Said::Corrected,
        Said::SentAgain,
        Said::GivenUp,
        Said::Undone,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Said::KeptOurs => "ours",
            Said::KeptTheirs => "theirs",
            Said::KeptOther => "other",
            Said::Corrected => "corrected",
            Said::SentAgain => "again",
            Said::GivenUp => "given-up",
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
            Said::Undone => "Taken back. The other value goes up with the next sync.",
        }
    }

    pub(super) fn named(word: &str) -> Option<Said> {
        Said::ALL.into_iter().find(|said| said.word() == word)
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Refusal {
    pub(super) fn new(message: &str, hint: &str) -> Refusal {
        Refusal { message: message.to_owned(), hint: Some(hint.to_owned()) }
    }

    /// What the person saw is not what is there now.
    pub(super) fn moved_on() -> Refusal {
        Refusal::new(
            "This has moved on since it was shown, so nothing was done.",
            "Below it is as it is now. If it is gone, it was settled in the meantime.",
        )
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { message: error.to_string(), hint: error.hint().map(str::to_owned) }
    }
}

/// What a form comes to.
pub(super) type Done = std::result::Result<Said, Refusal>;
