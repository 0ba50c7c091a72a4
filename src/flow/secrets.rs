//! A new password in the words of the store, however it is spelled there.
//!
//! A store that refuses a password may quote it, and an error page may show all that was sent. What is kept of such words, or
//! told to anybody, has `***` in its place. Whoever quotes it does so in the way of the text around it: as JSON, in a query, in
//! HTML. So it is looked for sign by sign, each in any of its spellings.

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};

use super::SentRow;

const MASK: &str = "***";
/// One that is shorter is part of any word: where it stands masked, it would be guessed.
const SHORTEST: usize = 4;
const WITHHELD: &str = "(words that quote the new password, and are not kept)";

/// What may be in no words of the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Vec<SecretString>);

impl Secrets {
    /// The passwords that were sent.
    pub(super) fn of(sent: &[SentRow]) -> Secrets {
        Secrets(sent.iter().filter_map(|row| row.password.clone()).collect())
    }

    /// Words without any of them.
    pub(super) fn masked<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        self.0.iter().fold(text.into(), |text, secret| {
            let secret: Vec<char> = secret.expose_secret().chars().collect();
            match without(&text, &secret) {
                None => text,
                Some(_) if secret.len() < SHORTEST => WITHHELD.into(),
                Some(masked) => masked.into(),
            }
        })
    }
}

/// `None`: it is not in there.
fn without(text: &str, secret: &[char]) -> Option<String> {
    let (mut out, mut from, mut at) = (String::new(), 0, 0);
    while at < text.len() {
        match end_of(text, at, secret) {
            Some(end) => {
                out.push_str(&text[from..at]);
                out.push_str(MASK);
                (from, at) = (end, end);
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    (from > 0).then(|| out + &text[from..])
}

/// Where the secret ends that begins at `at`, if one does.
fn end_of(text: &str, at: usize, secret: &[char]) -> Option<usize> {
    let mut ends = vec![at];
    for letter in secret {
        let mut next: Vec<usize> = Vec::new();
        for end in ends {
            next.extend(spellings(&text[end..], *letter).map(|length| end + length));
        }
        next.dedup();
        ends = next;
        if ends.is_empty() {
            return None;
        }
    }
    ends.into_iter().max().filter(|end| *end > at)
}

/// How many bytes a character takes at the beginning of `text`, in each spelling in which it stands there.
fn spellings(text: &str, letter: char) -> impl Iterator<Item = usize> {
    let plain = text.starts_with(letter).then_some(letter.len_utf8());
    let others = match text.as_bytes().first() {
        Some(b'\\') => in_json(text, letter),
        Some(b'%') => in_query(text, letter),
        Some(b'&') => in_html(text, letter),
        Some(b'+') if letter == ' ' => Some(1),
        _ => None,
    };
    plain.into_iter().chain(others)
}

/// JSON that is quoted in JSON has its escapes escaped, so any number of backslashes counts as one.
fn in_json(text: &str, letter: char) -> Option<usize> {
    let backslashes = |text: &str| text.bytes().take_while(|byte| *byte == b'\\').count();
    let count = backslashes(text);
    let short = match letter {
        // Each level doubles them.
        '\\' => return [8, 4, 2].into_iter().find(|doubled| *doubled <= count),
        '"' | '/' => Some(letter),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        _ => None,
    };
    if short.is_some_and(|short| text[count..].starts_with(short)) {
        return Some(count + 1);
    }
    let (mut units, mut length) = ([0; 2], 0);
    for unit in letter.encode_utf16(&mut units) {
        let count = backslashes(&text[length..]);
        let digits = text.get(length + count..length + count + 5)?.strip_prefix('u').filter(|_| count > 0)?;
        if u16::from_str_radix(digits, 16) != Ok(*unit) {
            return None;
        }
        length += count + 5;
    }
    Some(length)
}

fn in_query(text: &str, letter: char) -> Option<usize> {
    let (mut bytes, mut length) = ([0; 4], 0);
    for byte in letter.encode_utf8(&mut bytes).bytes() {
        let digits = text.get(length..length + 3)?.strip_prefix('%')?;
        if u8::from_str_radix(digits, 16) != Ok(byte) {
            return None;
        }
        length += 3;
    }
    Some(length)
}

fn in_html(text: &str, letter: char) -> Option<usize> {
    let (name, _) = text[1..].split_once(';')?;
    let is_it = match name.strip_prefix('#') {
        Some(number) => {
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            number == Ok(u32::from(letter))
        }
        None => matches!(
            (name, letter),
            ("amp", '&') | ("lt", '<') | ("gt", '>') | ("quot", '"') | ("apos", '\'') | ("nbsp", ' ')
        ),
    };
    is_it.then_some(name.len() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secret: &str, text: &str) -> String {
        Secrets(vec![SecretString::from(secret)]).masked(text).into_owned()
    }

    #[test]
    fn a_password_is_found_in_every_spelling() {
        let secret = "p\"ä&<😀 /\\x";
        for spelled in [
            "p\"ä&<😀 /\\x",
            r#"p\"ä&<😀 /\\x"#,
            r#"p\"\u00e4&<\ud83d\ude00 \/\\x"#,
            r#"p\\\"\\u00e4&<\\ud83d\\ude00 \\\/\\\\x"#,
            r#"p\u0022\u00E4\u0026\u003c\ud83d\ude00 /\\x"#,
            "p%22%C3%A4%26%3C%F0%9F%98%80+%2F%5Cx",
            "p%22%c3%a4%26%3c%f0%9f%98%80%20/%5cx",
            "p&quot;ä&amp;&lt;😀 /\\x",
            "p&#34;&#228;&#38;&#x3C;&#x1f600;&nbsp;/\\x",
        ] {
            let said = format!("the password {spelled}, it says, {spelled}");
            assert_eq!(masked(secret, &said), "the password ***, it says, ***", "{spelled}");
        }
    }

    #[test]
    fn what_is_not_the_password_stays() {
        assert_eq!(masked("hunter2", "hunter is short, hunter3 too"), "hunter is short, hunter3 too");
        assert_eq!(masked("hunter2", "ends with hunter"), "ends with hunter");
        assert_eq!(masked("%2541", "100 % &amp; \\ %254"), "100 % &amp; \\ %254");
        assert_eq!(masked("100%", "it is 100%25 and 100%"), "it is *** and ***");
        assert_eq!(masked("", "nothing"), "nothing");
    }

    #[test]
    fn where_a_short_one_stood_it_would_be_guessed() {
        assert_eq!(masked("e", "the store"), WITHHELD);
        assert_eq!(masked("e", "a stork"), "a stork");
    }
}
