//! Values beside each other, shown so that they look different wherever they are, and only there.
//!
//! A table has room for some sixty signs of a value, and a text may differ after them; a number and a text of the same digits look
//! alike, as do signs that a terminal must not get. So two values that differ and would look alike are shown from where they
//! differ; if that does not help, as JSON.

use std::collections::BTreeSet;

use tillsync::{FieldId, FormValue, Value, words};

use super::render;

/// So much is shown before the first sign that differs, and from there on.
const BEFORE: usize = 12;
const BEHIND: usize = 30;

/// JSON text of an attribute, `form_fields.NAME`, or the like, several times.
pub(super) fn values<const N: usize>(field: &str, json: [&str; N]) -> [String; N] {
    let meanings = json.map(|json| meaning(field, json));
    shown(&meanings, json.map(|json| render::value(field, json)), json.map(|json| in_full(field, json)), json)
}

/// Values of an attribute.
pub(super) fn typed<const N: usize>(field: FieldId, of: [&Value; N]) -> [String; N] {
    let json = of.map(Value::to_json);
    values(field.name(), json.each_ref().map(String::as_str))
}

/// All of the values, also of long texts: on as many lines as they have.
pub(super) fn whole<const N: usize>(field: &str, json: [&str; N]) -> [String; N] {
    let meanings = json.map(|json| meaning(field, json));
    let texts = json.map(|json| match text_of(field, json) {
        Some(text) if text.contains('\n') => words::plain(&text).into_owned(),
        _ => in_full(field, json),
    });
    if tell_apart(&meanings, &texts) { texts } else { json.map(spelled) }
}

fn shown<const N: usize>(
    meanings: &[Value; N],
    short: [String; N],
    full: [String; N],
    json: [&str; N],
) -> [String; N] {
    if tell_apart(meanings, &short) {
        return short;
    }
    let json = json.map(spelled);
    let in_part = [&full, &json].map(|texts| where_they_differ(meanings, texts));
    in_part.into_iter().find(|texts| tell_apart(meanings, texts)).unwrap_or(json)
}

/// What tells two values apart that mean the same to nobody.
fn meaning(field: &str, json: &str) -> Value {
    match FieldId::named(field) {
        Some(field) => Value::from_json(field.kind(), json),
        // One form field; its JSON keeps numbers and texts apart.
        None => Value::Other(FormValue::from_json(json).to_json()),
    }
}

fn in_full(field: &str, json: &str) -> String {
    match FieldId::named(field) {
        Some(field) => render::in_full(&Value::from_json(field.kind(), json), field),
        None => render::form_value(&FormValue::from_json(json)),
    }
}

fn text_of(field: &str, json: &str) -> Option<String> {
    match (FieldId::named(field), FormValue::from_json(json)) {
        (Some(_), FormValue::Text(text)) | (None, FormValue::Text(text)) => Some(text),
        _ => None,
    }
}

/// As JSON has it, in which nothing is invisible that a terminal would act upon.
fn spelled(json: &str) -> String {
    words::json_for_terminal(json.trim()).into_owned()
}

fn tell_apart<const N: usize>(meanings: &[Value; N], texts: &[String; N]) -> bool {
    pairs::<N>().all(|(a, b)| meanings[a] == meanings[b] || texts[a] != texts[b])
}

fn pairs<const N: usize>() -> impl Iterator<Item = (usize, usize)> {
    (0..N).flat_map(|b| (0..b).map(move |a| (a, b)))
}

/// The same pieces of all texts, unless there is room for the whole: those in which two that differ begin to.
fn where_they_differ<const N: usize>(meanings: &[Value; N], texts: &[String; N]) -> [String; N] {
    if texts.iter().all(|text| text.chars().count() <= render::MOST_CHARS) {
        return texts.clone();
    }
    let letters = texts.each_ref().map(|text| text.chars().collect::<Vec<char>>());
    let places: BTreeSet<usize> = pairs::<N>()
        .filter(|(a, b)| meanings[*a] != meanings[*b])
        .map(|(a, b)| letters[a].iter().zip(&letters[b]).take_while(|(a, b)| a == b).count())
        .collect();
    letters.map(|letters| pieces(&letters, &places))
}

fn pieces(letters: &[char], places: &BTreeSet<usize>) -> String {
    let (mut text, mut end) = (String::new(), 0);
    for place in places {
        let from = place.saturating_sub(BEFORE).max(end).min(letters.len());
        let to = (place + BEHIND).min(letters.len());
        if from > end {
            text.push('…');
        }
        text.extend(letters.get(from..to).unwrap_or_default());
        end = end.max(to);
    }
    if end < letters.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>(field: &str, json: [&str; N], shown: [&str; N]) {
        assert_eq!(values(field, json), shown);
    }

    #[test]
    fn texts_that_differ_late_are_shown_from_there() {
        let long = "Prefers to be called in the afternoon, but never on a Friday. ".repeat(20);
        let [ours, theirs] =
            ["Door 4", "Door 5"].map(|end| serde_json::Value::from(long.clone() + end).to_string());
        let base = serde_json::Value::from(long.trim_end()).to_string();
        check(
            "notes",
            [&base, &ours, &theirs],
            ["…on a Friday.", "…on a Friday. Door 4", "…on a Friday. Door 5"],
        );
        let [a, b] = values("notes", [&ours, &ours]);
        assert!(a == b && a.ends_with('…') && a.starts_with("Prefers"), "the same is shown as ever: {a}");
        assert_eq!(whole("notes", [&ours, &theirs]), [long.clone() + "Door 4", long + "Door 5"]);
        assert_eq!(whole("notes", [r#""a\nb""#]), ["a\nb"]);
    }

    #[test]
    fn a_number_and_a_text_of_the_same_digits_look_different() {
        check("form_fields.Size", ["43", "\"43\""], ["43", "\"43\""]);
        check("form_fields.Size", ["\"42\"", "\"43\""], ["42", "43"]);
        check(
            "form_fields",
            [r#"[{"name":"Size","value":43}]"#, r#"[{"name":"Size","value":"43"}]"#],
            [r#"[{"name":"Size","value":43}]"#, r#"[{"name":"Size","value":"43"}]"#],
        );
        check("form_fields.List", [r#"["a, b"]"#, r#"["a","b"]"#], [r#"["a, b"]"#, r#"["a","b"]"#]);
    }

    #[test]
    fn money_is_shown_to_its_last_digit_and_only_differs_where_it_does() {
        let credit = |amount: &str| format!("[{{\"amount\":{amount}}}]");
        let [a, b, c] = ["1.994", "1.999", "2.00"].map(credit);
        check("store_credit_amounts", [&a, &b, &c], ["1.994", "1.999", "2.00"]);
        check("store_credit_amounts", [&c, &credit("2")], ["2.00", "2.00"]);
    }

    #[test]
    fn what_a_terminal_must_not_get_is_spelled_where_it_makes_the_difference() {
        check("company", [r#""a\u001bb""#, r#""a\u0007b""#], [r#""a\u001bb""#, r#""a\u0007b""#]);
        check("company", ["\"a\u{202e}b\"", "\"a\u{202d}b\""], [r#""a\u202eb""#, r#""a\u202db""#]);
        check("company", ["\"\"", "null"], ["\"\"", "–"]);
    }
}
