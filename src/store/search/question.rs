//! What is asked for: of the index, or of a customer's own texts.

use std::fmt::Write as _;
use std::ops::Range;

use super::letters::{Letters, plainly};
use super::{DIGITS, PHONE};

/// Words of a question beyond these are left out.
const WORDS: usize = 32;

/// In which of the columns, by their places in the index, there are to be all of the words.
#[derive(PartialEq, Eq)]
pub(super) struct Question {
    places: Range<usize>,
    words: Vec<Word>,
}

#[derive(Clone, PartialEq, Eq)]
struct Word {
    text: String,
    /// It is not the beginning of one.
    is_whole: bool,
    /// A phone may begin with this instead.
    national: Option<String>,
}

const NAMES: Range<usize> = 0..2;
const NAMES_AND_COMPANY: Range<usize> = 0..3;
const ANYWHERE: Range<usize> = 0..PHONE + 1;

/// The best first.
pub(super) fn questions(text: &str) -> Vec<Question> {
    let typed = words(&plainly(text.trim()));
    if typed.is_empty() {
        return Vec::new();
    }
    let begun: Vec<Word> = typed.iter().map(|text| Word::begun(text)).collect();
    let whole: Vec<Word> = begun.iter().cloned().map(Word::whole).collect();
    let last_begun = whole.iter().take(typed.len() - 1).chain(begun.last()).cloned().collect();
    let with_national = begun.iter().cloned().map(Word::or_national).collect();
    let ask = |places, words| Question { places, words };
    let mut questions = vec![
        ask(NAMES, whole),
        ask(NAMES, last_begun),
        ask(NAMES, begun.clone()),
        ask(NAMES_AND_COMPANY, begun),
        ask(ANYWHERE, with_national),
    ];
    questions.dedup();
    let number = number(text).filter(|_| typed.len() > 1);
    questions.extend(number.map(|number| ask(PHONE..PHONE + 1, vec![Word::begun(&number)])));
    questions
}

impl Question {
    /// As the index is asked.
    pub(super) fn for_index(&self) -> String {
        let columns = ["last_name", "first_name", "company", "email", "phone"];
        let mut question = format!("{{{}}} : (", columns[self.places.clone()].join(" "));
        for (place, word) in self.words.iter().enumerate() {
            let and = if place == 0 { "" } else { " AND " };
            _ = write!(question, "{and}{}", word.for_index());
        }
        question.push(')');
        question
    }

    /// As a customer's own texts are asked.
    pub(super) fn for_texts(&self, letters: &mut Letters) -> Sought {
        let words = self.words.iter().map(|word| word.for_texts(letters)).collect();
        Sought { places: self.places.clone(), words }
    }
}

impl Word {
    fn begun(text: &str) -> Word {
        Word { text: text.to_owned(), is_whole: false, national: None }
    }

    fn whole(self) -> Word {
        Word { is_whole: true, ..self }
    }

    fn or_national(self) -> Word {
        let national = self.text.trim_start_matches('0');
        let is_number = self.text.bytes().all(|c| c.is_ascii_digit()) && national.len() >= DIGITS;
        let national = (is_number && national != self.text).then(|| national.to_owned());
        Word { national, ..self }
    }

    fn for_index(&self) -> String {
        let text = &self.text;
        match &self.national {
            Some(national) => format!("(\"{text}\"* OR phone : \"{national}\"*)"),
            None if self.is_whole => format!("\"{text}\""),
            None => format!("\"{text}\"*"),
        }
    }

    fn for_texts(&self, letters: &mut Letters) -> Part {
        let mut words = String::new();
        letters.read(&self.text, &mut words);
        let begun = words.trim_end();
        let text = if self.is_whole && !begun.is_empty() { words } else { begun.to_owned() };
        Part { text, national: self.national.as_ref().map(|national| format!(" {national}")) }
    }
}

/// A question to the words of texts, as [`Letters::read`] has them.
pub(super) struct Sought {
    places: Range<usize>,
    words: Vec<Part>,
}

struct Part {
    /// Empty: it is not to be found, since it has no word.
    text: String,
    national: Option<String>,
}

impl Sought {
    /// Whether a phone may be the answer.
    pub(super) fn is_of_phones(&self) -> bool {
        let is_number = |part: &Part| part.text.trim().bytes().all(|c| c.is_ascii_digit());
        self.places.contains(&PHONE) && self.words.iter().any(is_number)
    }

    pub(super) fn finds(&self, texts: &[String]) -> bool {
        self.words.iter().all(|part| part.is_in(&texts[self.places.clone()], &texts[PHONE]))
    }
}

impl Part {
    fn is_in(&self, texts: &[String], phone: &str) -> bool {
        let is_word = !self.text.is_empty() && texts.iter().any(|text| text.contains(&self.text));
        is_word || self.national.as_ref().is_some_and(|national| phone.contains(national))
    }
}

/// The words of a question. Marks that belong to the letter before them are no gap.
fn words(text: &str) -> Vec<String> {
    let is_gap = |c: char| !c.is_alphanumeric() && !('\u{300}'..='\u{36f}').contains(&c);
    text.split(is_gap).filter(|word| !word.is_empty()).take(WORDS).map(str::to_owned).collect()
}

/// The digits of what is nothing but a phone's number, as one.
fn number(text: &str) -> Option<String> {
    let is_of_phone = |c: char| c.is_ascii_digit() || " +()-./".contains(c);
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (text.chars().all(is_of_phone) && digits.len() >= DIGITS).then(|| digits.to_owned())
}
