//! A new password in the words of the store, however it is spelled there.
//!
//! A store that refuses a password may quote it, and an error page may show all that was sent. What is kept of such words, or
//! told to anybody, has `***` in its place. Whoever quotes it does so in the way of the text around it: as JSON, in a query, in
//! HTML. So it is looked for sign by sign, each in any of its spellings.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};

use super::SentRow;

const MASK: &str = "***";
/// One that is shorter is part of any word: where it stands masked, it would be guessed.
const SHORTEST: usize = 4;
/// Of one that is longer so much is looked for, and where that stands nothing is kept: the search stays linear in the text.
const LONGEST: usize = 127;
const WITHHELD: &str = "(words that quote what is secret, and are not kept)";

/// What may be in no words of the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Vec<SecretString>);

impl Secrets {
    /// The passwords that were sent.
    pub(super) fn of(sent: &[SentRow]) -> Secrets {
        Secrets(sent.iter().filter_map(|row| row.password.clone()).collect())
    }

    #[cfg(test)]
    pub(super) fn these(secrets: &[String]) -> Secrets {
        Secrets(secrets.iter().cloned().map(SecretString::from).collect())
    }

    /// Words without any of them.
    pub(super) fn masked<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        self.0.iter().fold(text.into(), |text, secret| {
            let secret: Vec<char> = secret.expose_secret().chars().collect();
            let is_masked = (SHORTEST..=LONGEST).contains(&secret.len());
            match without(&text, &secret[..secret.len().min(LONGEST)]) {
                None => text,
                Some(_) if !is_masked => WITHHELD.into(),
                Some(masked) => masked.into(),
            }
        })
    }
}

/// Words without a secret, however it is spelled in them; `None`: it is not in there.
pub fn masked(text: &str, secret: &SecretString) -> Option<String> {
    let secret: Vec<char> = secret.expose_secret().chars().collect();
    let masked = without(text, &secret[..secret.len().min(LONGEST)])?;
    Some(if secret.len() > LONGEST { WITHHELD.to_owned() } else { masked })
}

/// `None`: it is not in there.
fn without(text: &str, secret: &[char]) -> Option<String> {
    let (mut out, mut from) = (String::new(), 0);
    for at in beginnings(text, secret).into_iter().rev() {
        // One that begins within another is gone with that.
        let end = if at < from { None } else { end_of(text, at, secret) };
        if let Some(end) = end {
            out.push_str(&text[from..at]);
            out.push_str(MASK);
            from = end;
        }
    }
    (from > 0).then(|| out + &text[from..])
}

/// A set of places of a secret.
type Places = u128;

/// Spelled in no way is a character longer than this: two units of JSON behind as many backslashes as are told apart.
const MOST_BYTES: usize = 256;

/// Where the secret begins, from the last one to the first. The text is read once, from its end: at each character the places of
/// the secret are known from which on the rest of it stands here.
fn beginnings(text: &str, secret: &[char]) -> Vec<usize> {
    let mut places_of: BTreeMap<char, Places> = BTreeMap::new();
    for (place, letter) in secret.iter().enumerate() {
        *places_of.entry(*letter).or_default() |= 1 << place;
    }
    let Some(nothing_left) = 1_u128.checked_shl(u32::try_from(secret.len()).unwrap_or(u32::MAX)) else {
        return Vec::new();
    };
    let mut rest_stands = [nothing_left; MOST_BYTES];
    let mut beginnings = Vec::new();
    for (at, _) in text.char_indices().rev() {
        let mut here = nothing_left;
        each_spelled(&text[at..], |letter, length| {
            let behind = rest_stands[(at + length) % MOST_BYTES];
            here |= (behind >> 1) & places_of.get(&letter).copied().unwrap_or(0);
        });
        rest_stands[at % MOST_BYTES] = here;
        if here & 1 == 1 && !secret.is_empty() {
            beginnings.push(at);
        }
    }
    beginnings
}

/// Where the secret ends that begins at `at`: as late as may be.
fn end_of(text: &str, at: usize, secret: &[char]) -> Option<usize> {
    let mut ends = BTreeSet::from([at]);
    for letter in secret {
        let mut next = BTreeSet::new();
        for end in ends {
            each_spelled(&text[end..], |spelled, length| {
                if spelled == *letter {
                    next.insert(end + length);
                }
            });
        }
        ends = next;
    }
    ends.last().copied()
}

/// The characters that may be meant by the beginning of `text`, and how many bytes each takes.
fn each_spelled(text: &str, mut tell: impl FnMut(char, usize)) {
    let Some(plain) = text.chars().next() else { return };
    tell(plain, plain.len_utf8());
    match plain {
        '\\' => each_in_json(text, tell),
        '%' => in_query(text).into_iter().for_each(|(letter, length)| tell(letter, length)),
        '&' => in_html(text).into_iter().for_each(|(letter, length)| tell(letter, length)),
        '+' => tell(' ', 1),
        _ => {}
    }
}

/// JSON that is quoted in JSON has its escapes escaped, so any number of backslashes counts as one; so deep is nobody's.
const MOST_BACKSLASHES: usize = 64;

fn each_in_json(text: &str, mut tell: impl FnMut(char, usize)) {
    let count = backslashes(text);
    // Each level doubles them.
    [8, 4, 2].into_iter().filter(|doubled| *doubled <= count).for_each(|doubled| tell('\\', doubled));
    let short = match text[count..].chars().next() {
        Some(letter @ ('"' | '/')) => Some(letter),
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('t') => Some('\t'),
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        _ => None,
    };
    if let Some(letter) = short {
        tell(letter, count + 1);
    }
    let Some((first, length)) = unit(text) else { return };
    match char::from_u32(u32::from(first)) {
        Some(letter) => tell(letter, length),
        None => {
            let Some((second, more)) = unit(&text[length..]) else { return };
            if let Some(Ok(letter)) = char::decode_utf16([first, second]).next() {
                tell(letter, length + more);
            }
        }
    }
}

fn backslashes(text: &str) -> usize {
    text.bytes().take(MOST_BACKSLASHES).take_while(|byte| *byte == b'\\').count()
}

/// A unit of UTF-16 in four digits.
fn unit(text: &str) -> Option<(u16, usize)> {
    let count = backslashes(text);
    let digits = text.get(count..count + 5)?.strip_prefix('u').filter(|_| count > 0)?;
    Some((u16::from_str_radix(digits, 16).ok()?, count + 5))
}

fn in_query(text: &str) -> Option<(char, usize)> {
    let byte = |place: usize| {
        let digits = text.get(3 * place..3 * place + 3)?.strip_prefix('%')?;
        u8::from_str_radix(digits, 16).ok()
    };
    let first = byte(0)?;
    let count = match first.leading_ones() {
        0 => 1,
        ones @ 2..=4 => ones as usize,
        _ => return None,
    };
    let bytes: Vec<u8> = (0..count).map(byte).collect::<Option<_>>()?;
    Some((std::str::from_utf8(&bytes).ok()?.chars().next()?, 3 * count))
}

/// No name of a character that is looked for is longer, nor is a number.
const LONGEST_NAME: usize = 12;

fn in_html(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(LONGEST_NAME + 2).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let letter = match name.strip_prefix('#') {
        Some(number) => {
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
        None => match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => ' ',
            _ => return None,
        },
    };
    Some((letter, end + 1))
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
    fn what_stands_within_itself_is_gone_as_a_whole() {
        assert_eq!(masked("anana", "bananananas, anana"), "b***nanas, ***");
        assert_eq!(masked(r"a\\b", r"a\\b a\\\\b a\\\\\\\\b"), "*** *** ***");
        assert_eq!(masked("aaaa", &"a".repeat(11)), "******aaa");
    }

    #[test]
    fn of_one_that_is_very_long_nothing_is_kept() {
        let long = "very ".repeat(100);
        assert_eq!(masked(&long, &format!("{long} long")), WITHHELD);
        assert_eq!(masked(&long, "very very long"), "very very long");
    }

    #[test]
    fn where_a_short_one_stood_it_would_be_guessed() {
        assert_eq!(masked("e", "the store"), WITHHELD);
        assert_eq!(masked("e", "a stork"), "a stork");
    }
}
