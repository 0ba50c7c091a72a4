//! What goes out to a reader: JSON on one line, and text without anything that a terminal would act upon.
//!
//! The words of a store, of an app, and of a file that was handed over may hold anything: line breaks between the values of a
//! document, an escape that moves the cursor or renames the window, a sign that turns the direction of all that follows. Values
//! are kept as they came; here is the one gate on the way out.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// A document on one line, also where it holds JSON that somebody else spelled over many.
///
/// # Errors
/// As `serde_json` has them.
pub fn json(document: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(document)?;
    Ok(match one_line(&json) {
        Cow::Borrowed(_) => json,
        Cow::Owned(json) => json,
    })
}

/// JSON text without the blanks between its values.
pub fn one_line(json: &str) -> Cow<'_, str> {
    let (mut out, mut from, mut is_text, mut is_escaped) = (String::new(), 0, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b' ' | b'\n' | b'\r' | b'\t' if !is_text => {
                out.push_str(&json[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if from == 0 { Cow::Borrowed(json) } else { Cow::Owned(out + &json[from..]) }
}

/// JSON text in which what a terminal would act upon is spelled with escapes: the same document.
pub fn json_for_terminal(json: &str) -> Cow<'_, str> {
    if !json.contains(is_acted_upon) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        // All of them are in the first plane, and none stands outside a text.
        _ = if is_acted_upon(letter) {
            write!(out, "\\u{:04x}", u32::from(letter))
        } else {
            out.write_char(letter)
        };
    }
    Cow::Owned(out)
}

/// Text with a sign in the place of each character that a terminal would act upon. Its lines and columns stay.
pub fn plain(text: &str) -> Cow<'_, str> {
    let is_bad = |letter: char| is_acted_upon(letter) && !matches!(letter, '\n' | '\t');
    if text.contains(is_bad) {
        Cow::Owned(text.chars().map(|letter| if is_bad(letter) { '\u{fffd}' } else { letter }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Control characters (ESC, DEL, and those from U+0080 to U+009F, of which one begins what `ESC [` does), and signs that turn
/// the direction of all that follows.
pub fn is_acted_upon(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_on_one_line_and_says_the_same() {
        for (spelled, line) in [
            ("{\n  \"a\" : [ 1.50,\r\n\t2 ]\n}", "{\"a\":[1.50,2]}"),
            ("[\"a \\\" b\\\\\", \"c\"]", "[\"a \\\" b\\\\\",\"c\"]"),
            ("{\"a\":\" \\n \"}", "{\"a\":\" \\n \"}"),
            ("\u{20}7", "7"),
        ] {
            assert_eq!(one_line(spelled), line);
        }
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_act_upon() {
        let evil = "a\u{1b}]0;x\u{7}b\u{9b}2Jc\u{202e}d\u{2066}\u{7f}\te\n";
        assert_eq!(plain(evil), "a\u{fffd}]0;x\u{fffd}b\u{fffd}2Jc\u{fffd}d\u{fffd}\u{fffd}\te\n");
        let json = json(&evil).unwrap();
        let shown = json_for_terminal(&json);
        assert!(!shown.contains(is_acted_upon), "{shown:?}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), evil);
    }
}
