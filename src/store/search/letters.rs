//! How the index reads letters: asked of FTS5 itself, so that looking through the table means the very same.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rusqlite::Connection;

/// What becomes of a letter of a text.
#[derive(Clone, Copy)]
enum Reading {
    /// It stands between words.
    Gap,
    /// A mark over the letter before it.
    Nothing,
    /// This one, in small and without its accent.
    Letter(char),
}

/// So many letters are asked for at once.
const TOGETHER: u32 = 256;

const MAKE: &str =
    "CREATE VIRTUAL TABLE letter USING fts5(text, content = '', tokenize = 'unicode61 remove_diacritics 2');
     CREATE VIRTUAL TABLE reading USING fts5vocab(letter, instance)";
const ASK: &str = "INSERT INTO letter (rowid, text)
     WITH RECURSIVE one (code) AS (VALUES (?1) UNION ALL SELECT code + 1 FROM one WHERE code < ?2)
     SELECT code, 'a' || char(code) || 'b' FROM one";

/// By which part of all letters they are.
type Known = HashMap<u32, Arc<[Reading]>>;

/// What FTS5 has said of letters so far: it says the same as long as the process lives.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// What one search knows of letters so far.
#[derive(Default)]
pub(super) struct Letters {
    known: Known,
}

impl Letters {
    /// The words of a text, each between two spaces: ` anna maria `.
    pub(super) fn read(&mut self, text: &str, words: &mut String) {
        words.clear();
        words.push(' ');
        for letter in text.chars().chain([' ']) {
            match self.reading(letter) {
                Reading::Letter(letter) => words.push(letter),
                Reading::Gap if !words.ends_with(' ') => words.push(' '),
                Reading::Gap | Reading::Nothing => {}
            }
        }
    }

    fn reading(&mut self, letter: char) -> Reading {
        if letter.is_ascii() {
            return by_itself(letter);
        }
        let code = u32::from(letter);
        let part = self.known.entry(code / TOGETHER).or_insert_with_key(|part| readings_of(*part));
        part.get((code % TOGETHER) as usize).copied().unwrap_or(Reading::Gap)
    }
}

fn readings_of(part: u32) -> Arc<[Reading]> {
    let first = part * TOGETHER;
    let by_themselves = |_| (first..first + TOGETHER).map(by_its_number).collect();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let readings = known.entry(part).or_insert_with(|| asked(first).unwrap_or_else(by_themselves).into());
    Arc::clone(readings)
}

/// Each letter is put between an `a` and a `b`: what stands there then is how it is read.
fn asked(first: u32) -> rusqlite::Result<Vec<Reading>> {
    let fts5 = Connection::open_in_memory()?;
    fts5.execute_batch(MAKE)?;
    fts5.execute(ASK, [first, first + TOGETHER - 1])?;
    let mut readings = vec![Reading::Gap; TOGETHER as usize];
    let mut words = fts5.prepare("SELECT doc - ?1, term FROM reading")?;
    let mut rows = words.query([first])?;
    while let Some(row) = rows.next()? {
        let (place, word): (usize, String) = (row.get(0)?, row.get(1)?);
        let between = word.strip_prefix('a').and_then(|word| word.strip_suffix('b'));
        if let (Some(between), Some(reading)) = (between, readings.get_mut(place)) {
            *reading = between.chars().next().map_or(Reading::Nothing, Reading::Letter);
        }
    }
    Ok(readings)
}

/// Where this SQLite is without FTS5: accents matter.
fn by_its_number(code: u32) -> Reading {
    char::from_u32(code).map_or(Reading::Gap, by_itself)
}

fn by_itself(letter: char) -> Reading {
    match letter {
        '\u{300}'..='\u{36f}' => Reading::Nothing,
        _ if letter.is_alphanumeric() => Reading::Letter(letter.to_lowercase().next().unwrap_or(letter)),
        _ => Reading::Gap,
    }
}

// ---- spellings ---------------------------------------------------------------------------------------------------

/// A text with its words as they are spelled on a plain keyboard behind it, where those are others: `Straße Strasse`.
pub(super) fn with_plain_words(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.contains(is_apostrophe) {
        return text.into();
    }
    let plain = plainly(&text.replace(is_apostrophe, ""));
    if plain == text { text.into() } else { format!("{text} {plain}").into() }
}

/// Letters that are none with an accent to FTS5, as they are spelled without them.
pub(super) fn plainly(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'ß' | 'ẞ' => plain.push_str("ss"),
            'æ' | 'Æ' => plain.push_str("ae"),
            'œ' | 'Œ' => plain.push_str("oe"),
            'þ' | 'Þ' => plain.push_str("th"),
            'ł' | 'Ł' => plain.push('l'),
            'ø' | 'Ø' => plain.push('o'),
            'đ' | 'Đ' | 'ð' | 'Ð' => plain.push('d'),
            'ı' => plain.push('i'),
            _ => plain.push(letter),
        }
    }
    plain
}

fn is_apostrophe(letter: char) -> bool {
    matches!(letter, '\'' | '’' | '‘' | '`' | '´' | 'ʼ')
}
