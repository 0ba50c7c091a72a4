//! Values, with an equality that knows the type: money by value, channels as a set, form fields by name.
//!
//! A value has three spellings: JSON (the wire, the journal), SQL (the columns of `customer`) and this one. What a
//! server sends against the attribute's type is [`Value::Other`], kept as its JSON text, so that nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde::Deserialize;
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
    /// Reads JSON text of an attribute. Never fails: what is not of the type is [`Value::Other`].
    pub fn from_json(kind: Kind, json: &str) -> Value {
        let json = json.trim();
        if json == "null" {
            return Value::Null;
        }
        Value::typed(kind, json).unwrap_or_else(|| Value::Other(json.to_owned()))
    }

    fn typed(kind: Kind, json: &str) -> Option<Value> {
        Some(match kind {
            Kind::Text | Kind::Password => Value::Text(serde_json::from_str(json).ok()?),
            Kind::Integer => Value::Integer(serde_json::from_str(json).ok()?),
            Kind::Boolean => Value::Boolean(serde_json::from_str(json).ok()?),
            Kind::Credit => {
                let amounts: Vec<Amount<'_>> = serde_json::from_str(json).ok()?;
                Value::Credit(amounts.iter().map(|a| decimal(a.amount.get())).collect::<Option<_>>()?)
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

    /// Whether it is null or absent.
    pub fn is_null(&self) -> bool {
        *self == Value::Null
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

/// Exact, with or without an exponent; `None` when it has more digits than can be held.
fn decimal(json: &str) -> Option<Decimal> {
    let json = json.trim();
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
    fn what_is_not_of_the_type_is_kept_as_it_came() {
        for (kind, json) in
            [(Kind::Text, "5"), (Kind::Integer, "\"3\""), (Kind::Channels, "[\"a\"]"), (Kind::Forms, "{}")]
        {
            assert_eq!(Value::from_json(kind, json), Value::Other(json.to_owned()));
            assert_eq!(Value::from_json(kind, json).to_json(), json);
        }
    }
}
