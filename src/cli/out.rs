//! Standard output: one JSON document or a text for people, and nothing else.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Where the answer of a command goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    is_json: bool,
}

impl Out {
    pub(super) fn new(is_json: bool) -> Out {
        Out { is_json }
    }

    /// Whether programs read it.
    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether bars and the like may move on standard error.
    pub(super) fn is_lively(&self) -> bool {
        !self.is_json && io::stderr().is_terminal()
    }

    /// The answer: the document with `--json`, else the text.
    pub(super) fn answer(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.is_json { self.document(document) } else { self.text(&text()) }
    }

    /// One JSON document, on a line of its own.
    pub(super) fn document(&self, document: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_string(document).map_err(io::Error::other)?;
        line(io::stdout().lock(), &json)
    }

    /// A text for people; nothing with `--json`.
    pub(super) fn text(&self, text: &str) -> io::Result<()> {
        if self.is_json { Ok(()) } else { line(io::stdout().lock(), text) }
    }
}

/// A line for people on standard error; if nobody can read it, nobody can be told.
pub(super) fn complain(text: &str) {
    _ = line(io::stderr().lock(), text);
}

fn line(mut to: impl Write, text: &str) -> io::Result<()> {
    writeln!(to, "{text}")?;
    to.flush()
}
