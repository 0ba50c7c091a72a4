//! Standard output: one JSON document or a text for people, and nothing else.
//!
//! All that the command prints passes here, so that nothing of a store, an app or a file that was handed over is acted upon
//! by a terminal: see [`tillsync::words`].

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use tillsync::words;

use super::exit::Failed;

const HEADER: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// When colours are used; `auto`: where somebody sees them, and has not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    Auto,
    Always,
    Never,
}

impl Colour {
    /// By the flag, before the arguments are read: what is wrong with them is told in colours too. The last one counts.
    pub(super) fn asked_for(arguments: impl Iterator<Item = OsString>) -> Colour {
        let arguments = arguments.take_while(|argument| argument != "--");
        let (mut colour, mut is_next) = (Colour::Auto, false);
        for argument in arguments {
            let text = argument.to_string_lossy();
            let value = if is_next { Some(&*text) } else { text.strip_prefix("--color=") };
            colour = value.and_then(|value| Colour::from_str(value, false).ok()).unwrap_or(colour);
            is_next = text == "--color";
        }
        colour
    }

    /// For all that is printed from now on.
    pub(super) fn choose(self) {
        match self {
            Colour::Auto => anstream::ColorChoice::Auto,
            Colour::Always => anstream::ColorChoice::Always,
            Colour::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }

    /// For what clap prints.
    pub(super) fn of_help(self) -> clap::ColorChoice {
        match self {
            Colour::Auto => clap::ColorChoice::Auto,
            Colour::Always => clap::ColorChoice::Always,
            Colour::Never => clap::ColorChoice::Never,
        }
    }
}

/// What a command has done, and what shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed {
    pub(super) done: &'static str,
    pub(super) shown_by: &'static str,
}

/// Edits and decisions.
pub(super) const JOURNALED: Deed = Deed { done: "it is journaled", shown_by: "tillsync log" };

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

    /// The answer of a command that has changed something: where nobody can be told, that it is `done` is said all the same.
    pub(super) fn answer_done(
        &self,
        document: &impl Serialize,
        text: impl FnOnce() -> String,
        done: Deed,
    ) -> Result<(), Failed> {
        self.answer(document, text).map_err(|error| Failed::unprinted(&error, done))
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
        if self.is_json { Ok(()) } else { line(anstream::stdout().lock(), &painted(&words::plain(text))) }
    }

    /// The same, bright.
    pub(super) fn heading(&self, text: &str) -> io::Result<()> {
        let text = words::plain(text);
        if self.is_json {
            Ok(())
        } else {
            line(anstream::stdout().lock(), &format!("{HEADER}{text}{HEADER:#}"))
        }
    }
}

/// A line for people on standard error; if nobody can read it, nobody can be told.
pub(super) fn complain(text: &str) {
    let text = words::plain(text);
    let text = [("error:", BAD), ("hint:", HINT)]
        .iter()
        .find_map(|(word, style)| text.strip_prefix(word).map(|rest| format!("{style}{word}{style:#}{rest}")))
        .unwrap_or_else(|| text.to_string());
    _ = line(anstream::stderr().lock(), &text);
}

/// Whether log lines are coloured: as all that goes to standard error.
pub(super) fn logs_in_colour() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// The colours of a text in which nothing else is left that a terminal acts upon. They are taken out again where nobody sees them: what
/// [`anstream`] decides, as cargo does (`--color`, `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, a pipe).
///
/// A table's header is bright and its rule dim; a line of `doctor` begins with its sign.
fn painted(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let is_rule = |line: Option<&&str>| {
        line.is_some_and(|line| !line.is_empty() && line.chars().all(|sign| sign == '─'))
    };
    let paint = |(nth, line): (usize, &&str)| {
        let style = match line.chars().next() {
            _ if is_rule(lines.get(nth + 1)) => HEADER,
            Some('─') if is_rule(Some(line)) => DIM,
            Some('✓') => return format!("{GOOD}✓{GOOD:#}{}", &line['✓'.len_utf8()..]),
            Some('✗') => return format!("{BAD}✗{BAD:#}{}", &line['✗'.len_utf8()..]),
            _ => return (*line).to_owned(),
        };
        format!("{style}{line}{style:#}")
    };
    lines.iter().enumerate().map(paint).collect::<Vec<_>>().join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_put_on_what_is_ours_and_nothing_of_a_store_brings_one() {
        let table = painted("✓ fine\na   b\n─────\n1   2");
        assert_eq!(
            table,
            "\u{1b}[32m✓\u{1b}[0m fine\n\u{1b}[1ma   b\u{1b}[0m\n\u{1b}[2m─────\u{1b}[0m\n1   2"
        );
        assert_eq!(painted(&words::plain("a\u{1b}[31mb")), "a\u{fffd}[31mb");
    }
}
