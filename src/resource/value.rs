//! Values, with an equality that knows the type: money by value, channels as a set, form fields by name.
//!
//! A value has three spellings: JSON (the wire, the journal), SQL (the columns of `customer`) and this one. What a
//! server sends against the attribute's type is read as its column holds it, so that a working copy which nobody has edited is
//! what its snapshot says: in a text its JSON text, elsewhere [`Value::Other`]. Nothing is lost of it: the snapshot has it as it came.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::Kind;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Value {
    /// `null`, or absent: the API does not tell them apart, and neither does an update.
    #[default]
    Null,
    /// A string.
    Text(String),
    /// An int32.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// `store_credit_amounts`, in order.
    Credit(Vec<Decimal>),
    /// `channel_ids`.
    Channels(BTreeSet<i64>),
    /// `form_fields`, by name.
    Forms(BTreeMap<String, FormValue>),
    /// JSON text of another type than the attribute's; also every value of [`Kind::Json`].
    Other(String),
}

/// The value of one form field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormValue {
    /// A string.
    Text(String),
    /// A number, as the shortest decimal text of it.
    Number(String),
    /// An array of strings, in order.
    List(Vec<String>),
    /// Anything else that a server may send: its JSON text.
    Other(String),
}

#[derive(Deserialize)]
struct Amount<'a> {
    #[serde(borrow)]
    amount: &'a RawValue,
}

#[derive(Deserialize)]
struct FormField<'a> {
    name: String,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

impl Value {
    /// Reads JSON text of an attribute. Never fails: what is not of the type is what its column makes of it.
    pub fn from_json(kind: Kind, json: &str) -> Value {
        match Value::from_json_of_its_type(kind, json) {
            Value::Other(json) => Value::as_held(kind, json),
            value => value,
        }
    }

    /// The same of what somebody gives for an edit: what is not of the type is [`Value::Other`], whatever it looks like.
    pub(super) fn from_json_of_its_type(kind: Kind, json: &str) -> Value {
        let json = json.trim();
        if json == "null" {
            return Value::Null;
        }
        Value::typed(kind, json).unwrap_or_else(|| Value::Other(json.to_owned()))
    }

    /// What the column of an attribute makes of JSON text of another type: a text takes all, and SQLite turns into a number what
    /// looks like one where numbers are kept.
    fn as_held(kind: Kind, json: String) -> Value {
        match kind {
            kind if kind.is_text() => Value::Text(json),
            Kind::Integer | Kind::Boolean => match json.parse::<i64>() {
                Ok(whole) => Value::of_whole(kind, whole),
                Err(_) => json.parse().map_or(Value::Other(json), |number| Value::of_real(kind, number)),
            },
            _ => Value::Other(json),
        }
    }

    /// A whole number in such a column.
    pub(crate) fn of_whole(kind: Kind, number: i64) -> Value {
        match (kind, number) {
            (Kind::Integer, number) => Value::Integer(number),
            (Kind::Boolean, 0 | 1) => Value::Boolean(number == 1),
            (_, number) => Value::Other(number.to_string()),
        }
    }

    /// Any number in such a column; one without a fraction is a whole number there.
    pub(crate) fn of_real(kind: Kind, number: f64) -> Value {
        const BEYOND: f64 = 9_223_372_036_854_775_807.0;
        match number {
            whole if whole.fract() == 0.0 && whole.abs() < BEYOND => Value::of_whole(kind, whole as i64),
            number if number.is_finite() => Value::Other(number.to_string()),
            beyond => Value::Other(if beyond > 0.0 { "1e999" } else { "-1e999" }.to_owned()),
        }
    }

    fn typed(kind: Kind, json: &str) -> Option<Value> {
        Some(match kind {
            Kind::Text | Kind::Date | Kind::Country | Kind::Choice(_) | Kind::Password => {
                Value::Text(text_of(json)?)
            }
            Kind::Integer => Value::Integer(serde_json::from_str(json).ok()?),
            Kind::Boolean => Value::Boolean(serde_json::from_str(json).ok()?),
            Kind::Credit => {
                let amounts: Vec<Amount<'_>> = serde_json::from_str(json).ok()?;
                Value::Credit(amounts.iter().map(|a| money(a.amount.get())).collect::<Option<_>>()?)
            }
            Kind::Channels => Value::Channels(serde_json::from_str(json).ok()?),
            Kind::Forms => Value::Forms(forms(json)?),
            Kind::Json => return None,
        })
    }

    /// JSON text, as it goes onto the wire and into the journal.
    pub fn to_json(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Text(text) => quote(text),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(yes) => yes.to_string(),
            Value::Credit(amounts) => {
                list(amounts, |out, amount| _ = write!(out, "{{\"amount\":{}}}", amount.normalize()))
            }
            Value::Channels(ids) => list(ids, |out, id| _ = write!(out, "{id}")),
            Value::Forms(entries) => list(entries, |out, (name, value)| {
                _ = write!(out, "{{\"name\":{},\"value\":{}}}", quote(name), value.to_json());
            }),
            Value::Other(json) => json.clone(),
        }
    }

    /// The same for whoever looks: what a program wrote past the triggers need not be JSON, and is shown as a text then.
    pub(super) fn to_shown_json(&self) -> String {
        match self {
            Value::Other(text) if serde_json::from_str::<IgnoredAny>(text).is_err() => quote(text),
            value => value.to_json(),
        }
    }

    /// Whether it is null or absent.
    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    /// A text, or a date as the store writes it; none: it is null, or of another type.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// A whole number; none: it is null, or of another type.
    pub fn integer(&self) -> Option<i64> {
        if let Value::Integer(number) = self { Some(*number) } else { None }
    }

    /// Yes or no; none: it is null, or of another type.
    pub fn boolean(&self) -> Option<bool> {
        if let Value::Boolean(yes) = self { Some(*yes) } else { None }
    }

    /// A balance: the first of the amounts, nothing where there are none; none: it is null, or of another type.
    pub fn credit(&self) -> Option<Decimal> {
        if let Value::Credit(amounts) = self {
            Some(amounts.first().copied().unwrap_or_default())
        } else {
            None
        }
    }

    /// A moment; none: it is null, or no date as the API writes them.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        self.text().and_then(|text| Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()))
    }

    /// JSON text of what has no type of its own; none: it is null, or has one.
    pub fn json(&self) -> Option<&str> {
        if let Value::Other(json) = self { Some(json) } else { None }
    }

    /// Ids of channels; none: it is null, which is every channel, or of another type.
    pub fn channels(&self) -> Option<&BTreeSet<i64>> {
        if let Value::Channels(ids) = self { Some(ids) } else { None }
    }

    /// Form fields by their names; none: it is null, or of another type.
    pub fn forms(&self) -> Option<&BTreeMap<String, FormValue>> {
        if let Value::Forms(entries) = self { Some(entries) } else { None }
    }
}

impl FormValue {
    /// Reads JSON text. Never fails: what is none of the three types is [`FormValue::Other`].
    pub fn from_json(json: &str) -> FormValue {
        match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str(json).ok().map(FormValue::Text),
            Some(b'[') => serde_json::from_str(json).ok().map(FormValue::List),
            Some(b'-' | b'0'..=b'9') => Some(FormValue::Number(
                decimal(json).map_or_else(|| json.to_owned(), |number| number.normalize().to_string()),
            )),
            _ => None,
        }
        .unwrap_or_else(|| FormValue::Other(json.to_owned()))
    }

    /// JSON text.
    pub fn to_json(&self) -> String {
        match self {
            FormValue::Text(text) => quote(text),
            FormValue::Number(number) => number.clone(),
            FormValue::List(items) => list(items, |out, item| out.push_str(&quote(item))),
            FormValue::Other(json) => json.clone(),
        }
    }
}

/// The balance: the first amount, or nothing.
pub fn first_credit(value: &Value) -> Decimal {
    match value {
        Value::Credit(amounts) => amounts.first().copied().unwrap_or_default(),
        _ => Decimal::ZERO,
    }
}

/// The amounts after a signed sum was added to the first. `None`: the sum cannot be held exactly.
pub fn add_credit(value: &Value, sum: Decimal) -> Option<Value> {
    let mut amounts = match value {
        Value::Credit(amounts) if !amounts.is_empty() => amounts.clone(),
        Value::Credit(_) | Value::Null => vec![Decimal::ZERO],
        _ => return None,
    };
    amounts[0] = amounts[0].checked_add(sum)?;
    Some(Value::Credit(amounts))
}

/// The text of a JSON string. Half of a surrogate pair, which JSON can spell and no text can hold, is U+FFFD here; the
/// snapshot keeps it as it came.
pub(crate) fn text_of(json: &str) -> Option<String> {
    serde_json::from_str(json).ok().or_else(|| serde_json::from_str(&whole_pairs(json)?).ok())
}

/// JSON text in which each half of a surrogate pair is U+FFFD. `None`: there is none.
fn whole_pairs(json: &str) -> Option<String> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut from, mut at, bytes) = (String::new(), 0, 0, json.as_bytes());
    while at < bytes.len() {
        let step = match (bytes[at], unit(at)) {
            (b'\\', Some(0xd800..=0xdbff)) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => 12,
            (b'\\', Some(0xd800..=0xdfff)) => {
                out.push_str(&json[from..at]);
                out.push_str("\\ufffd");
                from = at + 6;
                6
            }
            (b'\\', _) => 2,
            _ => 1,
        };
        at += step;
    }
    (from > 0).then(|| out + &json[from..])
}

/// An amount. One that is a hair from four decimal places is that amount: a store that counts in floats spells 43.15 as
/// 43.149999999999999. A string that holds a number is that number.
fn money(json: &str) -> Option<Decimal> {
    let text = json.trim().trim_matches('"').trim();
    let spelled = decimal(text)
        .or_else(|| text.parse().ok().filter(|amount| !text.contains('_') && is_a_hair_off(*amount)))?;
    Some(if is_a_hair_off(spelled) { spelled.round_dp(PLACES) } else { spelled })
}

/// Decimal places of money: what an edit may have at most.
const PLACES: u32 = 4;

/// Whether an amount differs from four decimal places, by no more than a float may.
fn is_a_hair_off(amount: Decimal) -> bool {
    let off = (amount - amount.round_dp(PLACES)).abs();
    let float = amount.abs().checked_mul(Decimal::new(23, 17)).unwrap_or(Decimal::MAX);
    let hair = float.max(Decimal::new(1, 8)).min(Decimal::new(4, 5));
    !off.is_zero() && off <= hair
}

/// Whether the JSON text of `store_credit_amounts` is spelled as the triggers can read it, at a glance: no exponent, no
/// string, no more than four decimal places anywhere. What is not is worth a closer look, and may be.
pub(crate) fn is_plain_money(json: &str) -> bool {
    let longest =
        json.split('.').skip(1).map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count()).max();
    longest.unwrap_or(0) <= PLACES as usize
        && !json.contains(": \"")
        && !json.contains(":\"")
        && !json
            .bytes()
            .zip(json.bytes().skip(1))
            .any(|(digit, e)| digit.is_ascii_digit() && matches!(e, b'e' | b'E'))
}

/// Exact, with or without an exponent; `None` when it has more digits than can be held. No `1_000`, which is a number of
/// Rust's alone.
fn decimal(json: &str) -> Option<Decimal> {
    let json = json.trim();
    if json.contains('_') {
        return None;
    }
    if json.contains(['e', 'E']) {
        Decimal::from_scientific(json).ok()
    } else {
        Decimal::from_str_exact(json).ok()
    }
}

fn forms(json: &str) -> Option<BTreeMap<String, FormValue>> {
    let entries: Vec<FormField<'_>> = serde_json::from_str(json).ok()?;
    let count = entries.len();
    let by_name: BTreeMap<_, _> = entries
        .into_iter()
        .map(|entry| (entry.name, FormValue::from_json(entry.value.map_or("null", RawValue::get))))
        .collect();
    (by_name.len() == count).then_some(by_name)
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list<T>(items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut String, T)) -> String {
    let mut out = String::from("[");
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        each(&mut out, item);
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(kind: Kind, one: &str, other: &str) -> bool {
        Value::from_json(kind, one) == Value::from_json(kind, other)
    }

    #[test]
    fn equality_knows_the_type() {
        assert!(same(Kind::Credit, r#"[{"amount":43.10}]"#, r#"[{"amount": 43.1}]"#));
        assert!(same(Kind::Credit, r#"[{"amount":1e2}]"#, r#"[{"amount":100}]"#));
        assert!(!same(Kind::Credit, r#"[{"amount":43.1}]"#, r#"[{"amount":43.11}]"#));
        assert!(same(Kind::Channels, "[1,2]", "[2, 1, 2]"));
        assert!(same(
            Kind::Forms,
            r#"[{"name":"a","value":1.50},{"name":"b","value":"x"}]"#,
            r#"[{"customer_id":7,"name":"b","value":"x"},{"name":"a","value":1.5}]"#
        ));
        assert!(!same(Kind::Forms, r#"[{"name":"a","value":1}]"#, r#"[{"name":"a","value":"1"}]"#));
    }

    #[test]
    fn money_is_exact_to_the_last_digit() {
        for amount in ["0.1", "43.15", "999999999.99", "99999999999999.9999", "-0.0001"] {
            let json = format!("[{{\"amount\":{amount}}}]");
            assert_eq!(Value::from_json(Kind::Credit, &json).to_json(), json);
        }
        let sum = add_credit(&Value::from_json(Kind::Credit, r#"[{"amount":0.1}]"#), Decimal::new(2, 1));
        assert_eq!(sum.unwrap().to_json(), r#"[{"amount":0.3}]"#);
    }

    #[test]
    fn money_that_is_a_hair_off_is_that_amount() {
        let read = |amount: &str| Value::from_json(Kind::Credit, &format!("[{{\"amount\":{amount}}}]"));
        for (spelled, amount) in [
            ("43.149999999999999", "43.15"),
            ("43.149999999999998578914528479799628257751464843750", "43.15"),
            ("0.30000000000000004", "0.3"),
            ("-62.199999999999996", "-62.2"),
            ("4.3149999999999999e1", "43.15"),
            ("10000000000.000002", "10000000000"),
            ("\"43.15\"", "43.15"),
        ] {
            assert_eq!(read(spelled), read(amount), "{spelled}");
            assert!(!is_plain_money(&format!("[{{\"amount\":{spelled}}}]")), "{spelled}");
        }
        for (one, other) in
            [("43.15004", "43.15"), ("0.00001", "0"), ("43.1501", "43.15"), ("43.149999", "43.15")]
        {
            assert_ne!(read(one), read(other), "{one}");
        }
        assert!(is_plain_money(r#"[{"amount":43.15}, {"amount": -7}]"#));
        assert!(!is_plain_money(r#"[{"amount": 1e2}]"#));
    }

    #[test]
    fn half_of_a_surrogate_pair_becomes_a_sign_of_its_own_and_nothing_else_changes() {
        let read = |json: &str| Value::from_json(Kind::Text, json);
        assert_eq!(read(r#""a \ud83d \"b\" \\ c""#), Value::Text("a \u{fffd} \"b\" \\ c".into()));
        assert_eq!(read(r#""\udc00\ud83d""#), Value::Text("\u{fffd}\u{fffd}".into()));
        assert_eq!(read(r#""\ud83d\ude00 \ud83d!""#), Value::Text("\u{1f600} \u{fffd}!".into()));
        assert_eq!(read(r#""\\ud83d \ud83d""#), Value::Text("\\ud83d \u{fffd}".into()));
        // An entry of form fields goes back to the store beside others that were edited: it stays as it came.
        let json = r#"[{"name":"a","value":"\ud83d"}]"#;
        assert_eq!(Value::from_json(Kind::Forms, json).to_json(), json);
    }

    #[test]
    fn what_is_not_of_the_type_is_what_its_column_holds_and_no_edit() {
        for (kind, json) in [
            (Kind::Integer, "\"3\""),
            (Kind::Integer, "5.5"),
            (Kind::Boolean, "5"),
            (Kind::Channels, "[\"a\"]"),
            (Kind::Forms, "{}"),
            (Kind::Credit, "5"),
        ] {
            assert_eq!(Value::from_json(kind, json), Value::Other(json.to_owned()));
            assert_eq!(Value::from_json(kind, json).to_json(), json);
        }
        for (kind, json, held) in [
            (Kind::Text, "5", Value::Text("5".into())),
            (Kind::Text, "[\"a\"]", Value::Text("[\"a\"]".into())),
            (Kind::Date, "true", Value::Text("true".into())),
            (Kind::Integer, "5.0", Value::Integer(5)),
            (Kind::Integer, "1e3", Value::Integer(1_000)),
            (Kind::Integer, "5.50", Value::Other("5.5".into())),
            (Kind::Boolean, "1", Value::Boolean(true)),
            (Kind::Boolean, "0.0", Value::Boolean(false)),
        ] {
            assert_eq!(Value::from_json(kind, json), held);
            assert!(matches!(Value::from_json_of_its_type(kind, json), Value::Other(_)), "{json}");
        }
    }
}
