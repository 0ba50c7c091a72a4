//! A new password in the words of the store, however it is spelled there.
//!
//! A store that refuses a password may quote it, and an error page may show all that was sent. What is kept of such words, or
//! told to anybody, has `***` in its place. Whoever quotes it does so in the way of the text around it: as JSON, in a query, in
//! HTML; in capitals, with accents taken apart, broken over lines. So it is looked for sign by sign, each in any of its spellings,
//! in either case, and blanks within it count for nothing. A credential that is repeated as it travelled is in base64, and a
//! dump is in hexadecimal digits: those are looked for as well. A record that quotes it, under whatever name, is taken in without that.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use icu_normalizer::DecomposingNormalizerBorrowed;
use secrecy::{ExposeSecret, SecretString};

use super::{Dirty, SentRow};
use crate::resource::{BadRecord, FieldId, Record, Value};

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
    /// The passwords that were sent, and those that may have been before.
    pub(super) fn of(sent: &[SentRow]) -> Secrets {
        Secrets(
            sent.iter().flat_map(|row| row.other_passwords.iter().chain(&row.password)).cloned().collect(),
        )
    }

    /// The passwords of a customer that wait.
    pub(super) fn waiting(dirty: &Dirty) -> Secrets {
        Secrets(dirty.passwords().cloned().collect())
    }

    /// A record without what quotes one of them, whatever name it bears: of that it tells nothing. What this till knew of an
    /// attribute, has of it, or has sent may say the same by chance, or by somebody's hand, and is no quotation.
    ///
    /// # Errors
    /// When the record is no customer.
    pub(super) fn cut<'r>(
        &self,
        record: &'r Record,
        ours: impl Fn(FieldId) -> Vec<Value>,
    ) -> Result<Cow<'r, Record>, BadRecord> {
        if !self.are_quoted_in(record.body()) {
            return Ok(Cow::Borrowed(record));
        }
        let is_ours = |name: &str| {
            let values = record.resource().field(name).map(&ours).unwrap_or_default();
            values.iter().any(|value| self.are_quoted_in(&value.to_json()))
        };
        let quotes =
            |name: &str, text: &str| self.are_quoted_in(name) || (self.are_quoted_in(text) && !is_ours(name));
        record.leaving_out(quotes).map(Cow::Owned)
    }

    /// One that is very short stands in any text.
    pub(super) fn are_quoted_in(&self, text: &str) -> bool {
        let is_told = |secret: &&SecretString| secret.expose_secret().chars().count() >= SHORTEST;
        self.0.iter().filter(is_told).any(|secret| masked(text, secret).is_some())
    }

    #[cfg(test)]
    pub(super) fn these(secrets: &[String]) -> Secrets {
        Secrets(secrets.iter().cloned().map(SecretString::from).collect())
    }

    /// Words without any of them.
    pub(super) fn masked<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        self.0.iter().fold(text.into(), |text, secret| masked(&text, secret).map_or(text, Cow::from))
    }
}

/// Words without a secret, however it is spelled in them; `None`: it is not in there.
pub fn masked(text: &str, secret: &SecretString) -> Option<String> {
    let secret = secret.expose_secret();
    let letters = folded(secret);
    let mut found = spelled(text, &letters);
    if (SHORTEST..=LONGEST).contains(&letters.len()) {
        found.extend(encoded(text, secret.as_bytes()));
        return without(text, found);
    }
    (!found.is_empty()).then(|| WITHHELD.to_owned())
}

/// Letters in one case, their accents as letters of their own, and all blanks alike: what is the same to a reader.
fn folded(text: &str) -> Vec<char> {
    let mut out = Vec::new();
    text.chars().for_each(|letter| fold(letter, |letter| out.push(letter)));
    out
}

fn fold(letter: char, mut tell: impl FnMut(char)) {
    if letter.is_whitespace() {
        return tell(' ');
    }
    if letter.is_ascii() {
        return tell(letter.to_ascii_lowercase());
    }
    let apart = DecomposingNormalizerBorrowed::new_nfd().normalize_iter(std::iter::once(letter));
    // By way of the capitals: two letters that share one are the same.
    apart.flat_map(char::to_uppercase).flat_map(char::to_lowercase).for_each(&mut tell);
}

fn without(text: &str, mut found: Vec<Range<usize>>) -> Option<String> {
    found.sort_by_key(|one| (one.start, std::cmp::Reverse(one.end)));
    let (mut out, mut from) = (String::new(), 0);
    for Range { start, end } in found {
        // One that begins within another is gone with that.
        if start >= from {
            out.push_str(&text[from..start]);
            out.push_str(MASK);
        }
        from = from.max(end);
    }
    (from > 0).then(|| out + &text[from..])
}

/// Where the secret stands, from sign to sign; one that begins within another is left out.
fn spelled(text: &str, secret: &[char]) -> Vec<Range<usize>> {
    let secret = &secret[..secret.len().min(LONGEST)];
    let (mut found, mut from) = (Vec::new(), 0);
    for start in beginnings(text, secret).into_iter().rev().filter(|_| !secret.is_empty()) {
        let end = if start < from { None } else { end_of(text, start, secret) };
        if let Some(end) = end {
            found.push(start..end);
            from = end;
        }
    }
    found
}

/// Where it stands in base64, alone or within what was encoded with it, or in hexadecimal digits: all of that then.
fn encoded(text: &str, secret: &[u8]) -> Vec<Range<usize>> {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let whole = |Range { start, end }: Range<usize>| {
        let before = text[..start].bytes().rev().take_while(is_digit).count();
        let behind = text[end..].bytes().take_while(|byte| is_digit(byte) || *byte == b'=').count();
        start - before..end + behind
    };
    let in_query = |digits: &str| digits.replace('+', "-").replace('/', "_");
    let of_place = |place| [base64(secret, place), in_query(&base64(secret, place))];
    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let patterns = (0..3).flat_map(of_place).chain([hex]);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for pattern in patterns {
        let mut matches = spelled(text, &folded(&pattern));
        matches.sort_by_key(|one| one.start);
        let mut last = 0..0;
        for one in matches {
            // What is within the last run is gone with that: each run is walked once.
            if one.start < last.start || one.end > last.end {
                last = whole(one);
                runs.push(last.clone());
            }
        }
    }
    runs
}

/// Digits that are the same whatever stands before and behind, where the secret begins at such a place of three.
fn base64(secret: &[u8], place: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = [&[0; 2][..place], secret].concat();
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let digit = |at: usize| char::from(DIGITS[(6 * at..6 * at + 6).fold(0, |digit, at| 2 * digit + bit(at))]);
    ((8 * place).div_ceil(6)..8 * bytes.len() / 6).map(digit).collect()
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
            let mut letters = [None; MOST_LETTERS];
            let mut room = letters.iter_mut();
            fold(letter, |letter| _ = room.next().map(|place| *place = Some(letter)));
            let stands =
                |places: Places, letter: &char| (places >> 1) & places_of.get(letter).copied().unwrap_or(0);
            here |= letters.iter().flatten().rev().fold(behind, stands);
            if is_blank(letter) {
                here |= behind & !nothing_left & !1;
            }
        });
        rest_stands[at % MOST_BYTES] = here;
        if here & 1 == 1 && !secret.is_empty() {
            beginnings.push(at);
        }
    }
    beginnings
}

/// One letter stands for no more of them.
const MOST_LETTERS: usize = 8;

/// Within a secret it counts for nothing: a line that was broken there.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || ['\u{ad}', '\u{200b}', '\u{2060}', '\u{feff}'].contains(&letter)
}

/// Where the secret ends that begins at `at`: as late as may be.
fn end_of(text: &str, at: usize, secret: &[char]) -> Option<usize> {
    // How much of it stands before which place of the text.
    let (mut open, mut end) = (BTreeSet::from([(at, 0)]), None);
    while let Some((at, before)) = open.pop_first() {
        if before == secret.len() {
            end = end.max(Some(at));
            continue;
        }
        each_spelled(&text[at..], |letter, length| {
            let mut rest = Some(&secret[before..]);
            fold(letter, |letter| rest = rest.and_then(|rest| rest.strip_prefix(&[letter])));
            open.extend(rest.map(|rest| (at + length, secret.len() - rest.len())));
            if is_blank(letter) && before > 0 {
                open.insert((at + length, before));
            }
        });
    }
    end
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
    fn a_password_is_found_in_either_case_with_accents_apart_and_broken_over_lines() {
        let secret = "Grüße an Ä\u{301}nne";
        for spelled in [
            "GRÜSSE AN Ä\u{301}NNE",
            "gru\u{308}ße an a\u{308}\u{301}nne",
            "G R Ü ß e  a n Ä\u{301} n n e",
            "Grüße\r\n  an Ä\u{301}nne",
            "Gr\\u00fc\\n\\u00dfe an\\tA\\u0308\\u0301nne",
            "gr%C3%9C%C3%9Fe%20an%0A%C3%84%CC%81nne",
            "Grü\u{ad}ße an Ä\u{301}\u{200b}nne",
        ] {
            let said = format!("the password {spelled} , it says, {spelled}");
            assert_eq!(masked(secret, &said), "the password *** , it says, ***", "{spelled}");
        }
    }

    #[test]
    fn a_password_is_found_in_base64_and_in_hexadecimal_digits() {
        let secret = "correct horse ü?>";
        for spelled in [
            "Y29ycmVjdCBob3JzZSDDvD8+",
            // Behind `ana:` and `anna:`, and with more behind it, as a credential travels.
            "YW5hOmNvcnJlY3QgaG9yc2Ugw7w/Pg==",
            "YW5uYTpjb3JyZWN0IGhvcnNlIMO8Pz4sIGVuZA==",
            "Y29ycmVjdCBob3Jz\r\nZSDDvD8+",
            "636f727265637420686f72736520c3bc3f3e",
            "636F727265637420686F72736520C3BC3F3E",
        ] {
            let said = format!("Basic {spelled}, it says");
            assert_eq!(masked(secret, &said), "Basic ***, it says", "{spelled}");
        }
        // With two other digits, where it travels in a query.
        assert_eq!(masked(">>>>???", "a Pj4-Pj8_Pw b"), "a *** b");
    }

    #[test]
    fn what_is_not_the_password_stays() {
        assert_eq!(masked("hunter2", "hunter is short, hunter3 too"), "hunter is short, hunter3 too");
        assert_eq!(masked("hunter2", "ends with hunter"), "ends with hunter");
        assert_eq!(masked("%2541", "100 % &amp; \\ %254"), "100 % &amp; \\ %254");
        assert_eq!(masked("100%", "it is 100%25 and 100%"), "it is *** and ***");
        assert_eq!(masked("", "nothing"), "nothing");
        assert_eq!(
            masked("hunter2", "a hunter\n of 2, and aHVudGVyOQ=="),
            "a hunter\n of 2, and aHVudGVyOQ=="
        );
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
