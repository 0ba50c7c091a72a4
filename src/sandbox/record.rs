//! A customer as the store keeps it: attributes in order, each with the exact JSON text of its value.
//!
//! Keeping text instead of parsed numbers is what keeps money exact: `43.15` stays `43.15`, and no float ever
//! touches it. It also lets the store hold attributes that nobody described, and answer by concatenating.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON object read shallowly: its members in order, each value as its text.
pub(super) struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shallow;
        impl<'de> Visitor<'de> for Shallow {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Shallow)
    }
}

/// One customer: attribute names and the JSON text of their values, in the order they are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    attributes: Vec<(Cow<'static, str>, String)>,
}

impl Record {
    /// Reads an object; an attribute given twice counts with its last value.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        let mut record = Self::default();
        for (name, value) in serde_json::from_str::<Members<'_>>(text)?.0 {
            record.set(&name, value.get());
        }
        Ok(record)
    }

    /// Adds an attribute that is known not to be there yet.
    pub fn push(&mut self, name: &'static str, json: impl Into<String>) {
        self.attributes.push((Cow::Borrowed(name), json.into()));
    }

    /// The JSON text of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, json)| json.as_str())
    }

    /// The names of its attributes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| name.as_ref())
    }

    /// An attribute that is a string, decoded; empty when absent or of another type.
    pub fn text(&self, name: &str) -> String {
        self.get(name).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// An attribute that is an integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Sets an attribute, and says whether its text changed.
    pub fn set(&mut self, name: &str, json: &str) -> bool {
        match self.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, current)) if current == json => false,
            Some((_, current)) => {
                json.clone_into(current);
                true
            }
            None => {
                self.attributes.push((Cow::Owned(name.to_owned()), json.to_owned()));
                true
            }
        }
    }

    /// Sets every attribute of another record.
    pub fn merge(&mut self, other: &Self) {
        for (name, json) in &other.attributes {
            self.set(name, json);
        }
    }

    /// Appends the object's JSON with the attributes that `wanted` lets through, each as `spelled` has it.
    pub fn write_as<'a>(
        &'a self,
        out: &mut String,
        wanted: impl Fn(&str) -> bool,
        spelled: impl Fn(&str, &'a str) -> Cow<'a, str>,
    ) {
        let mut separator = '{';
        for (name, json) in self.attributes.iter().filter(|(name, _)| wanted(name)) {
            out.push(separator);
            push_name(out, name);
            out.push_str(&spelled(name, json));
            separator = ',';
        }
        out.push_str(if separator == '{' { "{}" } else { "}" });
    }

    /// The whole object's JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(1_024);
        self.write_as(&mut out, |_| true, |_, json| Cow::Borrowed(json));
        out
    }
}

fn push_name(out: &mut String, name: &str) {
    out.push_str(&super::http::quoted(name));
    out.push(':');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_every_digit_and_every_unknown_attribute() {
        let text = r#"{"id":7,"store_credit_amounts":[{"amount":999999999.99}],"x":{"y":[0.3,1e2,null]}}"#;
        assert_eq!(Record::parse(text).unwrap().to_json(), text);
    }

    #[test]
    fn setting_says_whether_anything_changed() {
        let mut record = Record::parse(r#"{"id":7,"phone":"1"}"#).unwrap();
        assert!(!record.set("phone", r#""1""#));
        assert!(record.set("phone", r#""2""#));
        assert!(record.set("notes", r#""""#));
        assert_eq!(record.to_json(), r#"{"id":7,"phone":"2","notes":""}"#);
    }
}
