//! A line of standard input, and what it asks for: `{"command":"wait","id":7,"receipt":{"after":41,"up_to":43}}`.
//!
//! A name that a command does not take is refused, as everywhere. What was said is not repeated in a refusal, but for its
//! `id`: it may be anything, a password in the wrong place among it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::time::Duration;

use serde::Deserializer as _;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tillsync::Receipt;

use crate::cli::exit::Failed;

/// The longest line that can be a command.
const MOST_BYTES: u64 = 16 * 1024;
/// The longest `id`.
const MOST_ID_BYTES: usize = 200;
/// How long a sync that runs may go on when the worker is stopped and nothing else was said.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(2);
/// The most customers that are found when nothing else was said.
const FIND_AT_MOST: usize = 100;

/// What an app sends along to know the answer again: a JSON string or number, which the answer repeats as it is.
pub(super) type Id = Box<RawValue>;

/// A line, taken apart.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: Option<Id>,
    pub(super) command: Result<Command, Failed>,
}

/// What can be asked of a worker.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    SyncNow,
    Pause,
    Resume,
    Status,
    Find { text: String, limit: usize },
    Wait { receipt: Receipt, timeout: Duration },
    Stop { within: Duration },
}

const COMMANDS: &str = "sync_now, pause, resume, status, find, wait, stop";

/// The next line that is not empty; none at the end of the input.
pub(super) fn next(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    loop {
        let mut line = Vec::new();
        if input.by_ref().take(MOST_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.len() as u64 == MOST_BYTES && !line.ends_with(b"\n") {
            input.skip_until(b'\n')?;
            let refused = Request::refused(format!("a command has at most {MOST_BYTES} bytes"));
            return Ok(Some(Request { id: id_of_cut(&line), ..refused }));
        }
        // Some runtimes put a byte order mark in front of the first one.
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line).trim_ascii();
        if !line.is_empty() {
            return Ok(Some(Request::read(line)));
        }
    }
}

impl Request {
    fn refused(message: impl Into<String>) -> Request {
        Request { id: None, command: Err(refusal(message)) }
    }

    fn read(line: &[u8]) -> Request {
        let mut names: BTreeMap<String, Box<RawValue>> = match serde_json::from_slice(line) {
            Ok(names) => names,
            Err(error) if error.is_data() => return Request::refused("a command is one JSON object"),
            Err(error) => return Request::refused(format!("it is not JSON at byte {}", error.column())),
        };
        let id = names.remove("id");
        if id.as_deref().is_some_and(|id| !can_be_an_id(id.get())) {
            return Request::refused(format!("id is a string or a number of at most {MOST_ID_BYTES} bytes"));
        }
        Request { id, command: Command::read(names) }
    }
}

fn refusal(message: impl Into<String>) -> Failed {
    Failed::usage(message).hint("one JSON object a line, such as {\"command\":\"status\",\"id\":1}")
}

fn can_be_an_id(json: &str) -> bool {
    json.len() <= MOST_ID_BYTES && json.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
}

/// The `id` of a line whose end is cut off, where it stands before that: who asked waits for an answer.
fn id_of_cut(line: &[u8]) -> Option<Id> {
    let mut id = None;
    // It fails in any case, at the cut.
    _ = serde_json::Deserializer::from_slice(line).deserialize_map(FirstId(&mut id));
    id.filter(|id| can_be_an_id(id.get()))
}

struct FirstId<'a>(&'a mut Option<Id>);

impl<'de> Visitor<'de> for FirstId<'_> {
    type Value = ();

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str("one JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut names: A) -> Result<(), A::Error> {
        while let Some(name) = names.next_key::<String>()? {
            if name == "id" {
                let id = names.next_value()?;
                // A number may be cut in two: it is whole where something follows.
                names.next_key::<IgnoredAny>()?;
                *self.0 = Some(id);
                break;
            }
            names.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

impl Command {
    fn read(mut names: BTreeMap<String, Box<RawValue>>) -> Result<Command, Failed> {
        let none_of_them = || refusal(format!("command is one of: {COMMANDS}"));
        let word: String = take(&mut names, "command").ok().flatten().ok_or_else(none_of_them)?;
        let command = match word.as_str() {
            "sync_now" => Command::SyncNow,
            "pause" => Command::Pause,
            "resume" => Command::Resume,
            "status" => Command::Status,
            "find" => Command::Find { text: text(&mut names)?, limit: at_most(&mut names)? },
            "wait" => Command::Wait {
                receipt: receipt(&mut names)?,
                timeout: milliseconds(&mut names, "timeout_ms")?.unwrap_or_default(),
            },
            "stop" => Command::Stop { within: milliseconds(&mut names, "within_ms")?.unwrap_or(STOP_WITHIN) },
            _ => return Err(none_of_them()),
        };
        match names.is_empty() {
            true => Ok(command),
            false => Err(refusal(format!("{word} takes {}, and nothing else", command.takes()))),
        }
    }

    fn takes(&self) -> &'static str {
        match self {
            Command::Find { .. } => "id, text, limit",
            Command::Wait { .. } => "id, receipt, timeout_ms",
            Command::Stop { .. } => "id, within_ms",
            _ => "id",
        }
    }
}

fn take<T: DeserializeOwned>(
    names: &mut BTreeMap<String, Box<RawValue>>,
    name: &str,
) -> serde_json::Result<Option<T>> {
    names.remove(name).map(|json| serde_json::from_str(json.get())).transpose()
}

fn text(names: &mut BTreeMap<String, Box<RawValue>>) -> Result<String, Failed> {
    take(names, "text").ok().flatten().ok_or_else(|| refusal("text is what somebody typed"))
}

fn at_most(names: &mut BTreeMap<String, Box<RawValue>>) -> Result<usize, Failed> {
    let given: Option<u32> =
        take(names, "limit").map_err(|_| refusal("limit is a whole number from 0 on"))?;
    Ok(given.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(FIND_AT_MOST))
}

fn milliseconds(names: &mut BTreeMap<String, Box<RawValue>>, name: &str) -> Result<Option<Duration>, Failed> {
    let given: Option<u32> =
        take(names, name).map_err(|_| refusal(format!("{name} is a whole number of milliseconds")))?;
    Ok(given.map(|ms| Duration::from_millis(ms.into())))
}

fn receipt(names: &mut BTreeMap<String, Box<RawValue>>) -> Result<Receipt, Failed> {
    take(names, "receipt").ok().flatten().ok_or_else(|| {
        refusal("receipt is {\"after\":SEQ,\"up_to\":SEQ}: the newest seq of the journal before the edits, and after them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Vec<(Option<String>, Result<Command, String>)> {
        let requests = std::iter::from_fn(|| next(&mut bytes).unwrap());
        requests
            .map(|request| {
                let command = request.command.map_err(|failed| failed.message().to_owned());
                (request.id.map(|id| id.get().to_owned()), command)
            })
            .collect()
    }

    #[test]
    fn a_line_is_a_command_and_what_it_takes() {
        let lines = "\u{feff}{\"command\":\"status\"}\r\n\n  \n{\"id\":\"a\",\"command\":\"stop\",\"within_ms\":5}\n\
                     {\"command\":\"wait\",\"id\":-7.5e1,\"receipt\":{\"after\":1,\"up_to\":3}}\n\
                     {\"command\":\"find\",\"text\":\"ana li\",\"limit\":5}\n{\"command\":\"find\",\"text\":\"\"}";
        let receipt = serde_json::from_str(r#"{"after":1,"up_to":3}"#).unwrap();
        let expected = [
            (None, Ok(Command::Status)),
            (Some("\"a\"".to_owned()), Ok(Command::Stop { within: Duration::from_millis(5) })),
            (Some("-7.5e1".to_owned()), Ok(Command::Wait { receipt, timeout: Duration::ZERO })),
            (None, Ok(Command::Find { text: "ana li".to_owned(), limit: 5 })),
            (None, Ok(Command::Find { text: String::new(), limit: FIND_AT_MOST })),
        ];
        assert_eq!(read(lines.as_bytes()), expected);
    }

    #[test]
    fn what_is_no_command_is_refused_without_its_words_and_the_next_line_is_read() {
        let long = format!("{{\"command\":\"{}\"}}", "hunter2".repeat(10_000));
        let bad = [
            "hunter2",
            "\"hunter2\"",
            "{\"command\":\"hunter2\"}",
            "{\"command\":[\"hunter2\"]}",
            "{\"id\":\"hunter2\"}",
            "{\"command\":\"pause\",\"hunter2\":1}",
            "{\"command\":\"wait\",\"receipt\":\"hunter2\"}",
            "{\"command\":\"wait\",\"receipt\":{\"after\":0,\"up_to\":1},\"timeout_ms\":\"hunter2\"}",
            "{\"command\":\"stop\",\"within_ms\":-1}",
            "{\"command\":\"find\",\"text\":[\"hunter2\"]}",
            "{\"command\":\"find\",\"text\":\"hunter2\",\"limit\":\"hunter2\"}",
            "{\"command\":\"find\",\"text\":\"hunter2\",\"all\":true}",
            "{\"command\":\"pause\",\"id\":{\"hunter2\":1}}",
            "{\"command\":\"pause\"",
            &long,
        ];
        for line in bad {
            let read = read(format!("{line}\n{{\"command\":\"pause\"}}\n").as_bytes());
            let said = read[0].1.as_ref().unwrap_err();
            assert!(!said.contains("hunter2"), "{line}: {said}");
            assert_eq!(read[1..], [(None, Ok(Command::Pause))], "{line}");
        }
        assert!(matches!(&read(b"\xff\xfe\n")[..], [(None, Err(_))]), "no UTF-8");
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_by_the_id_that_stands_in_front() {
        let (long, gap) = ("x".repeat(20_000), " ".repeat(MOST_BYTES as usize - 9));
        let lines = [
            (format!("{{\"command\":\"find\",\"id\":7,\"text\":\"{long}\"}}"), Some("7")),
            (format!("{{\"id\":\"a\",\"command\":\"{long}\"}}"), Some("\"a\"")),
            (format!("{{\"text\":\"{long}\",\"id\":7}}"), None),
            (format!("{{\"command\":\"\\\"id\\\":7,{long}\"}}"), None),
            (format!("{{\"id\":{gap}1234567}}"), None),
            (format!("{{\"id\":{{\"a\":1}},\"text\":\"{long}\"}}"), None),
            (format!("{{\"id\":\"{}\",\"text\":\"{long}\"}}", "x".repeat(MOST_ID_BYTES)), None),
            (long.clone(), None),
        ];
        for (line, id) in lines {
            let said = &read(line.as_bytes())[0];
            assert!(matches!(&said.1, Err(why) if why.contains("at most 16384 bytes")), "{said:?}");
            assert_eq!(said.0.as_deref(), id, "{line}");
        }
    }
}
