//! What is kept of a long value once its edit has settled: what changed, and a little around it.
//!
//! The journal holds a value and the one before it, whole, as long as the edit waits: it may have to be gone back to. After that
//! it is history, and a note to which a line is added at every sale would be kept twice for each line. So a settled edit of a
//! long text keeps what is other than before, some characters on either side, and `…` for the rest; one of form fields
//! keeps the entries that are other. What such an edit costs for ever follows its own size, not that of the note. The same
//! holds for the sides of a conflict that was decided, once another one was: nobody takes it back any more.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::resource::Kind;

/// Bytes of JSON, of both values together, that are kept as they are.
const SHORT: usize = 2_000;
/// Characters that are kept around what changed.
const AROUND: usize = 100;

/// The value and the one before it in brief, as JSON of their type; `None`: they are kept as they are.
pub fn in_brief(kind: Kind, value: &str, was: &str) -> Option<(String, String)> {
    if value.len() + was.len() <= SHORT {
        return None;
    }
    match kind {
        Kind::Text => text(value, was),
        Kind::Forms => entries(value, was),
        _ => None,
    }
}

/// The sides of a conflict in brief, as JSON of their type; `None`: they are kept as they are.
pub fn sides_in_brief(kind: Kind, sides: &[Option<String>]) -> Option<Vec<Option<String>>> {
    if kind != Kind::Text || sides.iter().flatten().map(String::len).sum::<usize>() <= SHORT {
        return None;
    }
    let read = |side: &Option<String>| serde_json::from_str::<Option<String>>(side.as_ref()?).ok().flatten();
    let mut brief = texts(&sides.iter().filter_map(read).collect::<Vec<_>>()).into_iter();
    let one = |side: &Option<String>| match read(side) {
        Some(_) => brief.next().and_then(|text| serde_json::to_string(&text).ok()),
        None => side.clone(),
    };
    Some(sides.iter().map(one).collect())
}

fn text(value: &str, was: &str) -> Option<(String, String)> {
    let texts_of = [value, was].map(|json| serde_json::from_str::<Option<String>>(json).ok().flatten());
    let [Some(value), Some(was)] = texts_of else { return None };
    let [value, was] = <[String; 2]>::try_from(texts(&[value, was])).ok()?;
    Some((serde_json::to_string(&value).ok()?, serde_json::to_string(&was).ok()?))
}

/// Of each, what is other than in one of the others: with a little around it; where that is much all the same, the lines that are other.
fn texts(texts: &[String]) -> Vec<String> {
    let (around, lines) = (with_what_is_around(texts), other_lines(texts));
    let length = |brief: &[String]| brief.iter().map(String::len).sum::<usize>();
    if length(&around) > SHORT && length(&lines) < length(&around) { lines } else { around }
}

/// Where both ends of a text were added to, nearly all of it lies between what is other.
fn other_lines(texts: &[String]) -> Vec<String> {
    let lines = |text: &'_ str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let Some(same) = texts.iter().map(|text| lines(text)).reduce(|same, lines| &same & &lines) else {
        return Vec::new();
    };
    let brief = |text: &String| {
        let mut kept: Vec<&str> =
            text.lines().map(|line| if same.contains(line) { "…" } else { line }).collect();
        kept.dedup_by(|line, before| *line == "…" && *before == "…");
        kept.join("\n")
    };
    texts.iter().map(brief).collect()
}

fn with_what_is_around(texts: &[String]) -> Vec<String> {
    let same = |one: &mut dyn Iterator<Item = char>, other: &mut dyn Iterator<Item = char>| {
        one.zip(other).take_while(|(one, other)| one == other).count()
    };
    let Some((first, others)) = texts.split_first() else { return Vec::new() };
    let head = others.iter().map(|other| same(&mut first.chars(), &mut other.chars())).min().unwrap_or(0);
    let rest = |text: &'_ String| place(text, head);
    let first_rest = &first[rest(first)..];
    let tail_with =
        |other: &String| same(&mut first_rest.chars().rev(), &mut other[rest(other)..].chars().rev());
    let tail = others.iter().map(tail_with).min().unwrap_or(0);
    let brief = |text: &String| {
        let (before, rest) = text.split_at(rest(text));
        let (middle, after) = rest.split_at(rest.len() - bytes_at_end(rest, tail));
        let kept_before = &before[before.len() - bytes_at_end(before, AROUND)..];
        let kept_after = &after[..place(after, AROUND)];
        let mark = |is_cut: bool| if is_cut { "…" } else { "" };
        let is_cut = (kept_before.len() < before.len(), kept_after.len() < after.len());
        format!("{}{kept_before}{middle}{kept_after}{}", mark(is_cut.0), mark(is_cut.1))
    };
    texts.iter().map(brief).collect()
}

/// Where the character of that number begins; the end, if there are fewer.
fn place(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

/// Bytes of so many characters at the end.
fn bytes_at_end(text: &str, characters: usize) -> usize {
    text.chars().rev().take(characters).map(char::len_utf8).sum()
}

fn entries(value: &str, was: &str) -> Option<(String, String)> {
    let read =
        |json| serde_json::from_str::<Option<Vec<&RawValue>>>(json).ok().map(Option::unwrap_or_default);
    let (value, was) = (read(value)?, read(was)?);
    let [new, old] = [&value, &was].map(|all| all.iter().map(|one| one.get()).collect::<BTreeSet<&str>>());
    let other = |all: Vec<&RawValue>, than: &BTreeSet<&str>| {
        let other: Vec<&RawValue> = all.into_iter().filter(|one| !than.contains(one.get())).collect();
        serde_json::to_string(&other).ok()
    };
    Some((other(value, &old)?, other(was, &new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_more_costs_a_line() {
        let was = serde_json::to_string(&"a line of a note\n".repeat(5_000)).unwrap();
        let value = serde_json::to_string(&("a line of a note\n".repeat(5_000) + "sale 1042: €5\n")).unwrap();
        let (value, was) = in_brief(Kind::Text, &value, &was).unwrap();
        assert!(value.starts_with("\"…") && value.ends_with("sale 1042: €5\\n\""), "{value}");
        assert!(was.starts_with("\"…") && was.ends_with("a line of a note\\n\""), "{was}");
        assert!(value.len() + was.len() < 300);
    }

    #[test]
    fn what_changed_is_kept_whole_with_what_is_around_it() {
        let around = "ü".repeat(3_000);
        let [value, was] = ["new", "old and long"]
            .map(|middle| serde_json::to_string(&format!("{around}{middle}{around}")).unwrap());
        let near = "ü".repeat(AROUND);
        let brief = in_brief(Kind::Text, &value, &was).unwrap();
        assert_eq!(brief, (format!("\"…{near}new{near}…\""), format!("\"…{near}old and long{near}…\"")));
    }

    #[test]
    fn of_a_text_that_was_added_to_at_both_ends_the_lines_are_kept() {
        let json = |text: String| serde_json::to_string(&text).unwrap();
        let middle = "a line of a note\n".repeat(500);
        let (was, value) = (json(format!("first\n{middle}")), json(format!("zeroth\nfirst\n{middle}last\n")));
        let brief = in_brief(Kind::Text, &value, &was).unwrap();
        assert_eq!(brief, (json("zeroth\n…\nlast".to_owned()), json("…".to_owned())));
    }

    #[test]
    fn what_is_short_or_none_is_kept_as_it_is() {
        assert_eq!(in_brief(Kind::Text, "\"new\"", "\"old\""), None);
        let long = serde_json::to_string(&"a".repeat(SHORT)).unwrap();
        assert_eq!(in_brief(Kind::Text, &long, "null"), None);
        assert_eq!(in_brief(Kind::Credit, &long, &long), None);
        let doubled = serde_json::to_string(&"a".repeat(2 * SHORT)).unwrap();
        let (value, was) = in_brief(Kind::Text, &doubled, &long).unwrap();
        assert!(value.len() > SHORT && was.len() < 2 * AROUND, "{value} {was}");
    }

    #[test]
    fn the_sides_of_a_conflict_are_kept_where_one_is_other() {
        let around = "ü".repeat(3_000);
        let json = |middle: &str| serde_json::to_string(&format!("{around}{middle}{around}")).ok();
        let near = "ü".repeat(AROUND);
        let brief = |middle: &str| Some(format!("\"…{near}{middle}{near}…\""));
        let sides = [json("a"), json("bb"), json("c"), Some("null".to_owned()), json("de"), None];
        let kept = [brief("a"), brief("bb"), brief("c"), Some("null".to_owned()), brief("de"), None];
        assert_eq!(sides_in_brief(Kind::Text, &sides).unwrap(), kept);
        assert_eq!(sides_in_brief(Kind::Text, &[Some("\"short\"".to_owned())]), None);
    }

    #[test]
    fn of_form_fields_those_are_kept_that_are_other() {
        let entry = |n: usize, value: &str| format!(r#"{{"name":"f{n}","value":"{value}"}}"#);
        let list = |changed: &str| {
            let all: Vec<String> =
                (0..200).map(|n| entry(n, if n == 7 { changed } else { "same" })).collect();
            format!("[{}]", all.join(","))
        };
        let brief = in_brief(Kind::Forms, &list("new"), &list("old")).unwrap();
        assert_eq!(brief, (format!("[{}]", entry(7, "new")), format!("[{}]", entry(7, "old"))));
    }
}
