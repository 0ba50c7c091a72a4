//! Standard output: one JSON document or a text for people, and nothing else.
//!
//! All that the command prints passes here, so that nothing of a store, an app or a file that was handed over is acted upon
//! by a terminal: see [`tillsync::words`].

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use tillsync::words;

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
        self.json(&json)
    }

    /// JSON text, on a line of its own.
    pub(super) fn json(&self, json: &str) -> io::Result<()> {
        let json = words::one_line(json);
        let out = io::stdout().lock();
        if out.is_terminal() { line(out, &words::json_for_terminal(&json)) } else { line(out, &json) }
    }

    /// A text for people; nothing with `--json`.
    pub(super) fn text(&self, text: &str) -> io::Result<()> {
        if self.is_json { Ok(()) } else { line(io::stdout().lock(), &words::plain(text)) }
    }

    /// The same, bright where that can be seen.
    pub(super) fn heading(&self, text: &str) -> io::Result<()> {
        let is_bright = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        match words::plain(text) {
            text if is_bright && !self.is_json => {
                line(io::stdout().lock(), &format!("\u{1b}[1m{text}\u{1b}[0m"))
            }
            text => self.text(&text),
        }
    }
}

/// A line for people on standard error; if nobody can read it, nobody can be told.
pub(super) fn complain(text: &str) {
    _ = line(io::stderr().lock(), &words::plain(text));
}

/// Standard error for lines of the log. Escapes are left to whoever writes them, who colours them and keeps those of others
/// out; the rest of what a terminal acts upon is not.
pub(super) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_bad = |letter| words::is_acted_upon(letter) && !matches!(letter, '\n' | '\t' | '\u{1b}');
        let text = String::from_utf8_lossy(bytes).replace(is_bad, "\u{fffd}");
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

fn line(mut to: impl Write, text: &str) -> io::Result<()> {
    writeln!(to, "{text}")?;
    to.flush()
}
