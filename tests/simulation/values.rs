//! Values as they are compared here: what one means, not how a store spells it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tillsync::Decimal;
use unicode_normalization::UnicodeNormalization;

/// A value without what stores tidy and without what they add: blanks, case, line ends, null and empty, a number and its
/// text, an order that means nothing, the spelling of an amount, the second half of an emoji.
pub fn canonical(field: &str, value: &Value) -> Value {
    match (field, value) {
        ("form_fields", value) => forms(value),
        ("channel_ids", Value::Array(ids)) => {
            let mut ids: Vec<i64> = ids.iter().filter_map(Value::as_i64).collect();
            ids.sort_unstable();
            ids.into()
        }
        ("store_credit_amounts", value) => {
            amount(value).map_or(Value::Null, |amount| amount.normalize().to_string().into())
        }
        ("customer_group_id", Value::Null) => 0.into(),
        (_, Value::Null) => "".into(),
        (field, Value::String(text)) => plain_text(field, text).into(),
        _ => value.clone(),
    }
}

fn forms(value: &Value) -> Value {
    let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let by_name = entries.iter().map(|entry| {
        let value = match &entry["value"] {
            Value::Number(number) => number.to_string().into(),
            Value::String(text) => plain_text("form_fields", text).into(),
            other => other.clone(),
        };
        (entry["name"].as_str().unwrap_or_default().to_owned(), value)
    });
    json!(by_name.collect::<BTreeMap<_, _>>())
}

fn plain_text(field: &str, text: &str) -> String {
    let text: String = text.replace("\r\n", "\n").nfc().collect();
    let text = text.trim();
    match field {
        "email" => text.to_lowercase(),
        "phone" => text.chars().filter(char::is_ascii_digit).collect(),
        _ => text.chars().map(|c| if c.len_utf16() > 1 { char::REPLACEMENT_CHARACTER } else { c }).collect(),
    }
}

/// The amount of a balance, to four places.
pub fn amount(value: &Value) -> Option<Decimal> {
    let number = value[0]["amount"].as_number()?.to_string();
    let amount = number.parse().or_else(|_| Decimal::from_scientific(&number)).ok()?;
    Some(amount.round_dp(4))
}

/// The records of an answer; of two of one customer, the one with the later date.
pub fn newest(data: &Value) -> Vec<&Value> {
    let records = data.as_array().map(Vec::as_slice).unwrap_or_default();
    // All dates are spelled alike.
    let is_older = |one: &Value, other: &Value| {
        one["id"] == other["id"] && one["date_modified"].as_str() < other["date_modified"].as_str()
    };
    records.iter().filter(|one| !records.iter().any(|other| is_older(one, other))).collect()
}

/// JSON that may hold half of a surrogate pair, as text with a mark in its place.
pub fn lenient(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| {
        let mut text = json.to_owned();
        while let Some(at) = half_a_pair(&text) {
            text.replace_range(at..at + 6, "\u{fffd}");
        }
        serde_json::from_str(&text).unwrap_or_default()
    })
}

fn half_a_pair(text: &str) -> Option<usize> {
    let is_escape = |at: usize| text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0;
    let unit = |at: usize| u16::from_str_radix(text.get(at + 2..at + 6)?, 16).ok();
    let is_high = |at: usize| unit(at).is_some_and(|unit| (0xd800..0xdc00).contains(&unit));
    let is_low = |at: usize| unit(at).is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
    let mut skip = None;
    for (at, _) in text.match_indices("\\u").filter(|(at, _)| is_escape(*at)) {
        if skip == Some(at) {
            continue;
        }
        let is_whole = is_high(at) && text.get(at + 6..at + 8) == Some("\\u") && is_low(at + 6);
        if is_whole {
            skip = Some(at + 6);
        } else if is_high(at) || is_low(at) {
            return Some(at);
        }
    }
    None
}
