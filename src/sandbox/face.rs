//! How a customer looks in an answer: which attributes it shows, and how they are spelled.
//!
//! The book keeps exact text; what a store makes of it on its way out (amounts as floats, half of an emoji, parts that are
//! not told) happens here and nowhere else.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::behaviours::{Amounts, Behaviours, Untold};
use super::http::quoted;
use super::query::ON_REQUEST;
use super::record::{Members, Record};

/// How one answer shows customers.
#[derive(Clone, Copy)]
pub(super) struct Face<'a> {
    /// Attributes that are to be there besides the usual ones.
    pub include: &'a [&'static str],
    /// The answer is to a list that names its customers by id.
    pub is_by_id: bool,
    /// Store credit is not told, this once.
    pub hides_credit: bool,
    pub behaviours: Behaviours,
    /// The customer's addresses, as JSON: they stand in no record.
    pub addresses: &'a str,
}

impl<'a> Face<'a> {
    /// As the answer to an update shows a customer: nothing that is on request only.
    pub fn of_update(behaviours: Behaviours) -> Face<'a> {
        let behaviours = Behaviours { untold: Untold::Nothing, ..behaviours };
        Face { include: &[], is_by_id: false, hides_credit: false, behaviours, addresses: "[]" }
    }

    /// Appends a customer with its usual attributes, and those that were asked for.
    pub fn write(&self, record: &Record, out: &mut String) {
        let on_request = |name: &str| ON_REQUEST.iter().any(|(_, attribute)| *attribute == name);
        self.write_only(record, out, |name| {
            (!on_request(name) || self.include.contains(&name)) && self.tells(name)
        });
        let is_missing = |name: &&&str| record.get(name).is_none() && self.tells(name);
        for missing in self.include.iter().filter(is_missing) {
            match *missing {
                "addresses" => push_member(missing, self.addresses, out),
                missing => push_empty(missing, out),
            }
        }
    }

    /// Appends a customer with the attributes that `wanted` lets through.
    pub fn write_only(&self, record: &Record, out: &mut String, wanted: impl Fn(&str) -> bool) {
        record.write_as(out, wanted, |name, json| self.spelled(name, json));
    }

    fn tells(&self, name: &str) -> bool {
        let is_hidden = self.hides_credit && name == "store_credit_amounts";
        !is_hidden && !self.behaviours.untold.holds(name, self.is_by_id)
    }

    fn spelled<'j>(&self, name: &str, json: &'j str) -> Cow<'j, str> {
        match name {
            "store_credit_amounts" if self.behaviours.amounts != Amounts::Exact => {
                amounts(json, self.behaviours.amounts).map_or(Cow::Borrowed(json), Cow::Owned)
            }
            "notes" if self.behaviours.halves_emoji => halved(json),
            _ => Cow::Borrowed(json),
        }
    }
}

/// Adds a part that a customer does not have to the object that was written last.
pub(super) fn push_empty(name: &str, out: &mut String) {
    push_member(name, if name == "shopper_profile_id" { "null" } else { "[]" }, out);
}

fn push_member(name: &str, json: &str, out: &mut String) {
    out.pop();
    out.push_str(&format!(",{}:{json}}}", quoted(name)));
}

fn amounts(json: &str, spelling: Amounts) -> Option<String> {
    let items: Vec<Members<'_>> = serde_json::from_str(json).ok()?;
    let item = |item: &Members<'_>| {
        let members = item.0.iter().map(|(name, value)| member(name, value, spelling));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    Some(format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(",")))
}

fn member(name: &str, value: &RawValue, spelling: Amounts) -> String {
    let amount = (name == "amount").then(|| amount(value.get(), spelling)).flatten();
    format!("{}:{}", quoted(name), amount.as_deref().unwrap_or(value.get()))
}

fn amount(digits: &str, spelling: Amounts) -> Option<String> {
    match spelling {
        Amounts::Exact => None,
        Amounts::Float => Some(nearest_float(digits.parse().ok()?)),
        Amounts::Padded => Some(format!("{:.4}", digits.parse::<Decimal>().ok()?)),
        Amounts::Exponent => Some(format!("{:e}", digits.parse::<Decimal>().ok()?)),
    }
}

/// With the seventeen digits that tell floats apart.
fn nearest_float(amount: f64) -> String {
    if amount == 0.0 {
        return "0".to_owned();
    }
    let digits_before_the_point = amount.abs().log10().floor() as i32 + 1;
    let text = format!("{amount:.*}", usize::try_from(17 - digits_before_the_point).unwrap_or(0));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Text in which every character that is a pair of surrogates is the first half of one.
fn halved(json: &str) -> Cow<'_, str> {
    if json.chars().all(|character| character.len_utf16() == 1) {
        return Cow::Borrowed(json);
    }
    let mut units = [0; 2];
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character.encode_utf16(&mut units) {
            [half, _] => text.push_str(&format!("\\u{half:04x}")),
            _ => text.push(character),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_spelled_as_stores_spell_them() {
        let spelled = |amount: &str, spelling| amounts(&format!(r#"[{{"amount":{amount}}}]"#), spelling);
        for (amount, float) in [
            ("43.15", "43.149999999999999"),
            ("0.3", "0.29999999999999999"),
            ("0", "0"),
            ("100", "100"),
            ("12345.6789", "12345.678900000001"),
        ] {
            let expected = format!(r#"[{{"amount":{float}}}]"#);
            assert_eq!(spelled(amount, Amounts::Float), Some(expected));
        }
        assert_eq!(spelled("43.15", Amounts::Padded).as_deref(), Some(r#"[{"amount":43.1500}]"#));
        assert_eq!(spelled("43.15", Amounts::Exponent).as_deref(), Some(r#"[{"amount":4.315e1}]"#));
    }

    #[test]
    fn an_emoji_is_halved_and_other_scripts_are_not() {
        assert_eq!(halved(r#""é 🎂 中""#), "\"é \\ud83c 中\"");
    }
}
