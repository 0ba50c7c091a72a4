//! One judgement for answers and for read-backs alike: is what the store shows a tidied form of what was sent?
//!
//! Stores tidy: they trim, lower the case of an address, compose accents, end lines their own way, give a number for its
//! text and null for nothing. What they made of an update is the till's own value and no change of somebody else's, or a
//! lost answer would set the till in conflict with itself. Where a value is made of parts (lines of notes, form fields,
//! channels), an update has landed when the parts that it changed are there; the rest is somebody else's, on top.
//!
//! Money is no text: an amount is what it is, or it is another one.

use std::collections::BTreeMap;

use icu_normalizer::ComposingNormalizerBorrowed;
use rust_decimal::Decimal;

use crate::resource::{FieldId, FormValue, MergeRule, Value, first_credit};

/// Whether `shown` is `sent` as a store may have tidied it.
pub fn is_tidied(field: FieldId, sent: &Value, shown: &Value) -> bool {
    sent == shown
        || match (sent, shown) {
            (Value::Text(sent), Value::Text(shown)) => folded(field, sent) == folded(field, shown),
            (Value::Credit(_), Value::Credit(_)) => is_nothing(sent) && is_nothing(shown),
            (Value::Credit(_) | Value::Channels(_), _) | (_, Value::Credit(_) | Value::Channels(_)) => false,
            (Value::Forms(_) | Value::Null, Value::Forms(_) | Value::Null) => {
                let ([sent, shown], none) = ([sent, shown].map(entries), BTreeMap::new());
                let (sent, shown) = (sent.unwrap_or(&none), shown.unwrap_or(&none));
                let mut names = sent.keys().chain(shown.keys());
                names.all(|name| is_tidied_entry(sent.get(name), shown.get(name)))
            }
            (sent, shown) => {
                (is_nothing(sent) && is_nothing(shown)) || word(sent).is_some_and(|w| word(shown) == Some(w))
            }
        }
}

/// The same of one entry of form fields; `None`: it is not there.
pub fn is_tidied_entry(sent: Option<&FormValue>, shown: Option<&FormValue>) -> bool {
    sent == shown
        || match (sent, shown) {
            (Some(FormValue::Text(sent)), Some(FormValue::Text(shown))) => lines(sent).eq(lines(shown)),
            (sent, shown) => entry_word(sent) == entry_word(shown),
        }
}

/// Whether what an update changed, from `base` to `sent`, is wholly in `shown`.
pub fn has_landed(field: FieldId, base: &Value, sent: &Value, shown: &Value) -> bool {
    is_tidied(field, sent, shown)
        || match (field.spec().merge, base, sent, shown) {
            (MergeRule::Set, Value::Channels(base), Value::Channels(sent), Value::Channels(shown)) => {
                sent.difference(base).all(|id| shown.contains(id))
                    && base.difference(sent).all(|id| !shown.contains(id))
            }
            (MergeRule::Lines, base, sent, Value::Text(shown)) => lines_landed(base, sent, shown),
            (MergeRule::ByName, base, sent, shown) => entries_landed(base, sent, shown),
            _ => false,
        }
}

/// What later edits stand on after an update has landed: what was sent, and where the store only tidied it, what it
/// shows. What is left between this and `shown` is a change of somebody else's, or an entry of form fields that the store
/// keeps although it was left out: it comes back.
pub fn stood_on(field: FieldId, sent: &Value, shown: &Value) -> Value {
    let (Value::Forms(given), Value::Forms(there)) = (sent, shown) else {
        return if is_tidied(field, sent, shown) { shown.clone() } else { sent.clone() };
    };
    let stands = |(name, sent): (&String, &FormValue)| {
        let shown = there.get(name);
        let value = if is_tidied_entry(Some(sent), shown) { shown } else { Some(sent) };
        Some((name.clone(), value?.clone()))
    };
    Value::Forms(given.iter().filter_map(stands).collect())
}

/// Every line that was added is there, in its place among those that stayed, and no line that was taken out is.
fn lines_landed(base: &Value, sent: &Value, shown: &str) -> bool {
    let (Some(base), Some(sent)) = (text(base), text(sent)) else { return false };
    let [base, sent, shown] = [base, sent, shown].map(|text| lines(text).collect::<Vec<_>>());
    let mut rest = shown.iter();
    let is_within = sent.iter().all(|line| rest.any(|other| other == line));
    let [before, ours, theirs] = [&base, &sent, &shown].map(|lines| counted(lines));
    let count = |of: &BTreeMap<&str, usize>, line: &str| of.get(line).copied().unwrap_or(0);
    let mut taken_out = before.keys().filter(|line| count(&ours, line) < before[**line]);
    let mut added = ours.keys().filter(|line| ours[**line] > count(&before, line) && !line.is_empty());
    is_within
        && taken_out.all(|line| count(&theirs, line) <= count(&ours, line))
        && (added.next().is_some() || before != ours)
}

fn counted(lines: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.as_str()).or_insert(0) += 1;
    }
    counts
}

/// Every entry that was given is there; what was left out is gone, or stays beside one that was given.
fn entries_landed(base: &Value, sent: &Value, shown: &Value) -> bool {
    let none = BTreeMap::new();
    let of = |value| match value {
        &Value::Null => Some(&none),
        value => entries(value),
    };
    let (Some(base), Some(sent), Some(shown)) = (of(base), of(sent), of(shown)) else { return false };
    let given: Vec<&String> = sent.keys().filter(|name| sent.get(*name) != base.get(*name)).collect();
    let mut left_out = base.keys().filter(|name| !sent.contains_key(*name));
    given.iter().all(|name| is_tidied_entry(sent.get(*name), shown.get(*name)))
        && left_out.all(|name| {
            let stays = shown.get(name) == base.get(name) && !given.is_empty();
            stays || !shown.contains_key(name)
        })
        && (!given.is_empty() || base.len() > sent.len())
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Null => Some(""),
        _ => None,
    }
}

fn entries(value: &Value) -> Option<&BTreeMap<String, FormValue>> {
    match value {
        Value::Forms(entries) => Some(entries),
        _ => None,
    }
}

/// Null, and what stores give or take for it.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Boolean(false) | Value::Integer(0) => true,
        Value::Text(text) => text.trim().is_empty(),
        Value::Credit(_) => first_credit(value).is_zero(),
        Value::Forms(entries) => entries.is_empty(),
        _ => false,
    }
}

/// A number, a truth or a text, however it is spelled.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(bare(text)),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(i64::from(*yes).to_string()),
        Value::Other(json) => Some(match json.trim() {
            "true" => "1".to_owned(),
            "false" => "0".to_owned(),
            json => bare(&serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())),
        }),
        _ => None,
    }
}

/// A text without blanks around it; a number in its shortest spelling.
fn bare(text: &str) -> String {
    let text = text.trim();
    text.parse::<Decimal>().map_or_else(|_| composed(text), |number| number.normalize().to_string())
}

/// Entries that mean the same have the same word; what is empty means nothing.
fn entry_word(value: Option<&FormValue>) -> Option<Vec<String>> {
    let mut words = match value? {
        FormValue::Text(text) | FormValue::Number(text) => vec![bare(text)],
        FormValue::List(items) => items.iter().map(|item| composed(item.trim())).collect(),
        FormValue::Other(json) if json == "null" => return None,
        FormValue::Other(json) => vec![json.clone()],
    };
    words.retain(|word| !word.is_empty());
    words.sort();
    (!words.is_empty()).then_some(words)
}

fn folded(field: FieldId, text: &str) -> String {
    let lines: Vec<String> = lines(text).collect();
    let text = lines.join("\n");
    if field.is_unique() { text.to_lowercase() } else { text }
}

/// The lines of a text, each composed and with single blanks; without the blank ones around it.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let line = |line: &str| composed(&line.split_whitespace().collect::<Vec<_>>().join(" "));
    text.trim().split('\n').map(line).collect::<Vec<_>>().into_iter()
}

fn composed(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str, json: &str) -> (FieldId, Value) {
        let field = FieldId::named(field).unwrap();
        (field, Value::from_json(field.kind(), json))
    }

    #[track_caller]
    fn check(field: &str, sent: &str, shown: &str, wanted: bool) {
        let ((field, sent), (_, shown)) = (read(field, sent), read(field, shown));
        assert_eq!(is_tidied(field, &sent, &shown), wanted, "{field}: {sent:?}, {shown:?}");
    }

    #[test]
    fn what_stores_do_to_values_is_tidying() {
        for (field, sent, shown) in [
            ("email", r#"" Ana@Example.COM""#, r#""ana@example.com""#),
            ("phone", r#"" 555  1 ""#, r#""555 1""#),
            ("phone", r#""43""#, "43"),
            ("first_name", "\"Zoe\u{308}\"", "\"Zo\u{eb}\""),
            ("notes", r#""a\nb\n""#, r#""a\r\nb""#),
            ("company", r#""""#, "null"),
            ("customer_group_id", "0", "null"),
            ("customer_group_id", "3", r#""3""#),
            ("force_password_reset", "true", "1"),
            ("store_credit_amounts", r#"[{"amount":0}]"#, "[]"),
            ("form_fields", r#"[{"name":"a","value":"43"}]"#, r#"[{"name":"a","value":43}]"#),
            ("form_fields", r#"[{"name":"a","value":["y","x"]}]"#, r#"[{"name":"a","value":["x","y"]}]"#),
            ("form_fields", r#"[{"name":"a","value":""}]"#, "[]"),
            ("form_fields", "[]", "null"),
        ] {
            check(field, sent, shown, true);
        }
    }

    #[test]
    fn another_value_is_none_of_it() {
        for (field, sent, shown) in [
            ("first_name", r#""Ana""#, r#""ana""#),
            ("phone", r#""5551""#, r#""555 1""#),
            ("notes", r#""a\nb""#, r#""a b""#),
            ("company", r#""x""#, "null"),
            ("customer_group_id", "3", "null"),
            ("store_credit_amounts", r#"[{"amount":43.15}]"#, r#"[{"amount":43.16}]"#),
            ("store_credit_amounts", r#"[{"amount":0}]"#, "null"),
            ("store_credit_amounts", r#"[{"amount":5}]"#, "[]"),
            ("form_fields", r#"[{"name":"a","value":"007"}]"#, r#"[{"name":"a","value":"7"}]"#),
            ("channel_ids", "[1]", "[1,2]"),
            ("channel_ids", "[1]", "null"),
            ("form_fields", r#"[{"name":"a","value":"x"}]"#, r#"[{"name":"b","value":"x"}]"#),
        ] {
            check(field, sent, shown, false);
        }
    }

    #[track_caller]
    fn check_landed(field: &str, base: &str, sent: &str, shown: &str, wanted: bool) {
        let ((field, base), (_, sent), (_, shown)) =
            (read(field, base), read(field, sent), read(field, shown));
        assert_eq!(has_landed(field, &base, &sent, &shown), wanted, "{field}: {base:?}, {sent:?}, {shown:?}");
    }

    #[test]
    fn what_is_made_of_parts_has_landed_when_its_own_parts_are_there() {
        check_landed("notes", r#""a""#, r#""a\nb""#, r#""a\nb\nc""#, true);
        check_landed("notes", r#""a""#, r#""a\nb""#, r#""a\nc""#, false);
        check_landed("notes", r#""a\nb""#, r#""a""#, r#""a\nb\nc""#, false);
        check_landed("notes", r#""a\nb""#, r#""a""#, r#""a\nc""#, true);
        check_landed("channel_ids", "[1]", "[1,2]", "[1,2,3]", true);
        check_landed("channel_ids", "[1,2]", "[1]", "[1,2,3]", false);
        let form = |pairs: &[(&str, &str)]| {
            let entries = pairs.iter().map(|(name, value)| serde_json::json!({"name": name, "value": value}));
            serde_json::Value::from_iter(entries).to_string()
        };
        let (none, a, both) = (form(&[]), form(&[("a", "1")]), form(&[("a", "1"), ("b", "2")]));
        check_landed("form_fields", &none, &a, &both, true);
        check_landed("form_fields", &none, &a, &form(&[("b", "2")]), false);
        check_landed("form_fields", &a, &none, &both, false);
        // The store keeps what an update does not name.
        check_landed("form_fields", &a, &form(&[("b", "2")]), &both, true);
    }

    #[test]
    fn later_edits_stand_on_what_was_sent_as_the_store_tidied_it() {
        let (field, sent) = read("form_fields", r#"[{"name":"a","value":"1"},{"name":"b","value":"2"}]"#);
        let shown = r#"[{"name":"a","value":1},{"name":"b","value":"9"},{"name":"c","value":"3"}]"#;
        let stands = r#"[{"name":"a","value":1},{"name":"b","value":"2"}]"#;
        assert_eq!(stood_on(field, &sent, &read("form_fields", shown).1), read("form_fields", stands).1);
    }
}
