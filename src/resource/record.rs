//! A row as the server described it: its JSON, verbatim, so that attributes we do not know survive.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::table::MOST_FIELDS;
use super::{CustomerId, Field, FieldId, Kind, ResourceId, RowId, Value, first_credit, row, secret};

/// A row's JSON object, verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    resource: ResourceId,
    body: String,
}

/// A record that is no row of its resource: not an object, or without an integer `id`.
#[derive(Debug, thiserror::Error)]
#[error("not a customer: {0}")]
pub struct BadRecord(#[from] serde_json::Error);

/// The attributes of a record, found in one pass and read on demand.
pub struct Attributes<'a> {
    row: RowId,
    raw: [Option<&'a RawValue>; MOST_FIELDS],
    /// Those that are here from an earlier record, a bit each: see [`Record::completed`].
    kept: u32,
}

/// The key under which a snapshot names the attributes that the newest record of the customer did not tell.
const UNTOLD: &str = "tillsync_untold";

impl Record {
    /// Takes JSON text of a customer that [`Record::attributes`] has accepted, or that a snapshot holds.
    pub fn new(body: impl Into<String>) -> Record {
        Record::of(ResourceId::CUSTOMER, body)
    }

    /// The same of a row of any resource.
    pub fn of(resource: ResourceId, body: impl Into<String>) -> Record {
        Record { resource, body: body.into() }
    }

    /// What the store has of a row that it has not: of all that may be edited, nothing. An update makes it.
    pub fn of_nothing(row: RowId) -> Record {
        let empty = Record::of(row.resource, row::object(row, []));
        row.resource.editable_columns().fold(empty, |record, field| {
            let told = record.keeping(field, &Value::Null);
            told.unwrap_or(record)
        })
    }

    /// Of what it is a record.
    pub fn resource(&self) -> ResourceId {
        self.resource
    }

    /// Another text in the place of this one.
    fn saying(&self, keys: &Keys<'_>) -> Record {
        Record { resource: self.resource, body: keys.print() }
    }

    /// The JSON text, as it came.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The JSON text of a row without what is write-only: a store that repeats it, in an answer or for good, is not
    /// repeated, wherever it shows it and however it spells the name. It costs a glance where there is nothing.
    pub(crate) fn without_secrets(body: &str) -> Cow<'_, str> {
        match secret::may_be_in(body) {
            true => secret::cut(body).map_or(Cow::Borrowed(body), Cow::Owned),
            false => Cow::Borrowed(body),
        }
    }

    /// The attributes that we know, or why this is no row.
    pub fn attributes(&self) -> Result<Attributes<'_>, BadRecord> {
        Attributes::of(self.resource, &self.body)
    }

    /// The same, of that row.
    pub(crate) fn attributes_of(&self, row: impl Into<RowId>) -> Result<Attributes<'_>, BadRecord> {
        let attributes = self.attributes()?;
        match attributes.row() {
            found if found == row.into() => Ok(attributes),
            found => Err(BadRecord(serde::de::Error::custom(format!("it is of {found}")))),
        }
    }

    /// This record with every top-level key of `newer` in place of its own: what an answer that need not hold
    /// every attribute says about the customer.
    pub fn overlaid(&self, newer: &Record) -> Result<Record, BadRecord> {
        let mut keys = Keys::parse(&self.body)?;
        for (key, value) in Keys::parse(&newer.body)?.0 {
            let meant = self.resource.spec().fields.iter().find(|field| field.name == key);
            keys.put(meant.map_or(key, |field| field.told().into()), value);
        }
        let told = newer.attributes()?;
        keys.tell(told.resource(), |field| told.tells(field));
        Ok(self.saying(&keys))
    }

    /// This record with what `known` tells and it does not, where a record comes in: absent is "not told", never null. What
    /// was kept so is shown, is what a merge starts from, and is noted: no update is computed from it before it is told again.
    /// When the customer was changed is kept by nobody. `empties_credit`: a balance of nothing may be an empty list here.
    pub fn completed(&self, known: &Record, empties_credit: bool) -> Result<Cow<'_, Record>, BadRecord> {
        let (told, was) = (self.attributes()?, known.attributes()?);
        let changed_at = told.resource().changed_at();
        let lacks = |field: &FieldId| {
            Some(*field) != changed_at
                && was.knows(*field)
                && (!told.knows(*field) || (!empties_credit && told.hides(*field, &was)))
        };
        let lacking: Vec<FieldId> = told.resource().columns().filter(lacks).collect();
        if lacking.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let (mut keys, known_keys) = (Keys::parse(&self.body)?, Keys::parse(&known.body)?);
        let is_top = |name: &str| {
            lacking.iter().any(|field| field.spec().told() == name && field.spec().parent.is_none())
        };
        let is_kept = |name: &str| name != UNTOLD && changed_at.is_none_or(|field| field.name() != name);
        for (name, value) in known_keys.0 {
            if is_kept(&name) && (keys.get(&name).is_none() || is_top(&name)) {
                keys.put(name, value);
            }
        }
        let mut all = self.saying(&keys);
        for field in lacking.iter().filter(|field| field.spec().parent.is_some()) {
            all = all.with(*field, &was.get(*field))?;
        }
        let names: Vec<&str> =
            lacking.iter().filter(|field| field.is_editable()).map(|field| field.name()).collect();
        let mut keys = Keys::parse(&all.body)?;
        keys.put(UNTOLD.into(), serde_json::Value::from(names).to_string().into());
        Ok(Cow::Owned(self.saying(&keys)))
    }

    /// This record with one attribute set, where the API has it.
    pub fn with(&self, field: FieldId, value: &Value) -> Result<Record, BadRecord> {
        let mut keys = Keys::parse(&self.body)?;
        keys.tell(field.resource(), |told| told == field);
        match field.spec().parent {
            None => keys.put(field.spec().told().into(), value.to_json().into()),
            Some(parent) => {
                let inner = keys.get(parent).filter(|text| text.starts_with('{')).unwrap_or("{}").to_owned();
                let inner = Record::new(inner).with_key(field.name(), value)?;
                keys.put(parent.into(), inner.body.into());
            }
        }
        Ok(self.saying(&keys))
    }

    /// This record with one attribute as it was: what it says of it itself is nothing.
    pub fn keeping(&self, field: FieldId, value: &Value) -> Result<Record, BadRecord> {
        let mut keys = Keys::parse(&self.body)?;
        keys.put(field.spec().told().into(), value.to_json().into());
        Ok(self.saying(&keys))
    }

    /// Whether this record says of the customer what `other` says, whatever the spelling and the order. When it was
    /// changed is not looked at.
    pub fn says_the_same(&self, other: &Record) -> Result<bool, BadRecord> {
        let (ours, theirs) = (self.attributes()?, other.attributes()?);
        let resource = self.resource;
        let mut columns = resource.columns().filter(|field| Some(*field) != resource.changed_at());
        if !columns
            .all(|field| ours.text(field) == theirs.text(field) || ours.get(field) == theirs.get(field))
        {
            return Ok(false);
        }
        let (ours, theirs) = (Keys::parse(&self.body)?, Keys::parse(&other.body)?);
        Ok(ours.unknown(resource).eq(theirs.unknown(resource)))
    }

    /// This record without some of its top-level keys, told by name and JSON text: of those it tells nothing. Its id stays.
    pub(crate) fn leaving_out(&self, is_out: impl Fn(&str, &str) -> bool) -> Result<Record, BadRecord> {
        let mut keys = Keys::parse(&self.body)?;
        let names_it = |name: &str| self.resource.spec().names().any(|column| column == name);
        keys.0.retain(|(name, value)| names_it(name) || !is_out(name, value_text(value)));
        Ok(self.saying(&keys))
    }

    fn with_key(&self, key: &str, value: &Value) -> Result<Record, BadRecord> {
        let mut keys = Keys::parse(&self.body)?;
        keys.put(key.into(), value.to_json().into());
        Ok(self.saying(&keys))
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes").field("row", &self.row).finish_non_exhaustive()
    }
}

impl<'a> Attributes<'a> {
    /// Finds the attributes in a customer's JSON text.
    pub fn parse(body: &'a str) -> Result<Attributes<'a>, BadRecord> {
        Attributes::of(ResourceId::CUSTOMER, body)
    }

    /// The same in that of a row of any resource.
    pub fn of(resource: ResourceId, body: &'a str) -> Result<Attributes<'a>, BadRecord> {
        Attributes::read(resource, None, body)
    }

    /// The same where it is known which row it is: the text need not say whose.
    pub fn of_row(row: RowId, body: &'a str) -> Result<Attributes<'a>, BadRecord> {
        Attributes::read(row.resource, Some(row), body)
    }

    fn read(resource: ResourceId, known: Option<RowId>, body: &'a str) -> Result<Attributes<'a>, BadRecord> {
        let mut json = serde_json::Deserializer::from_str(body);
        let attributes = (&mut json).deserialize_map(AttributesVisitor { resource, known })?;
        json.end()?;
        Ok(attributes)
    }

    /// The customer whose it is, or who it is.
    pub fn id(&self) -> CustomerId {
        self.row.customer
    }

    /// Which row it is.
    pub fn row(&self) -> RowId {
        self.row
    }

    /// Of what it is a record.
    pub fn resource(&self) -> ResourceId {
        self.row.resource
    }

    /// When the store last changed it, by its own clock; none: it does not tell.
    pub fn changed_at(&self) -> Option<DateTime<Utc>> {
        self.get(self.resource().changed_at()?).date()
    }

    /// The same as JSON text; none: it says nothing of it.
    pub fn changed_at_text(&self) -> Option<&'a str> {
        self.text(self.resource().changed_at()?)
    }

    /// Whether the record says anything of an attribute, if only null.
    pub fn has(&self, field: FieldId) -> bool {
        self.text(field).is_some()
    }

    /// Whether an update can be computed from what the record says of an attribute: it is there, and not only kept from an
    /// earlier record. For money, null is no amount.
    pub fn tells(&self, field: FieldId) -> bool {
        self.kept & (1 << field.index()) == 0 && self.knows(field)
    }

    /// Whether the record has a value of an attribute, be it one that was kept. For money, null is no amount.
    pub fn knows(&self, field: FieldId) -> bool {
        self.text(field).is_some_and(|json| field.kind() != Kind::Credit || json != "null")
    }

    /// Whether it shows no amounts at all where there was one: a balance of nothing is an amount of zero.
    pub fn hides(&self, field: FieldId, was: &Attributes<'_>) -> bool {
        let is_none = |value: &Value| matches!(value, Value::Credit(amounts) if amounts.is_empty());
        field.kind() == Kind::Credit && is_none(&self.get(field)) && !first_credit(&was.get(field)).is_zero()
    }

    /// Whether it shows a list without anything in it where it is known to be `value`: in the answer to an update, which need not hold
    /// every attribute, that tells nothing.
    pub fn shows_none_of(&self, field: FieldId, value: &Value) -> bool {
        match (self.get(field), value) {
            (Value::Credit(amounts), value) => amounts.is_empty() && !first_credit(value).is_zero(),
            (Value::Forms(entries), Value::Forms(known)) => entries.is_empty() && !known.is_empty(),
            (Value::Null, Value::Forms(known)) => self.has(field) && !known.is_empty(),
            // The API has no such set.
            (Value::Channels(ids), _) => ids.is_empty(),
            _ => false,
        }
    }

    /// The value of an attribute; null when the record does not hold it.
    pub fn get(&self, field: FieldId) -> Value {
        self.text(field).map_or(Value::Null, |text| Value::from_json(field.kind(), text))
    }

    /// The JSON text of an attribute.
    pub fn text(&self, field: FieldId) -> Option<&'a str> {
        self.raw[field.index()].map(RawValue::get)
    }
}

struct AttributesVisitor {
    resource: ResourceId,
    known: Option<RowId>,
}

impl<'de> Visitor<'de> for AttributesVisitor {
    type Value = Attributes<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} object with an integer id", self.resource.spec().name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (resource, spec) = (self.resource, self.resource.spec());
        let (fields, of_row, of_customer) = (spec.fields, spec.row(), spec.customer);
        let (mut row, mut customer): (Option<i32>, Option<i32>) = (None, None);
        let mut raw = [None; MOST_FIELDS];
        let (mut expected, mut kept) = (0, 0);
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match key.0.as_ref() {
                name if name == of_row => row = Some(map.next_value()?),
                name if Some(name) == of_customer => customer = Some(map.next_value()?),
                UNTOLD => {
                    let names: &RawValue = map.next_value()?;
                    kept =
                        untold(resource, names.get()).iter().fold(0, |kept, field| kept | 1 << field.index());
                }
                name => match place_of(fields, name, expected) {
                    Some(place) => {
                        raw[place] = Some(map.next_value()?);
                        expected = place + 1;
                    }
                    None if fields.iter().any(|field| field.parent == Some(name)) => {
                        nested(resource, map.next_value()?, name, &mut raw);
                    }
                    None => _ = map.next_value::<serde::de::IgnoredAny>()?,
                },
            }
        }
        let customer = match of_customer {
            None => Some(0),
            Some(_) if spec.is_of_customers() => row,
            Some(_) => customer,
        };
        let row = match (self.known, row, customer) {
            (Some(known), ..) => known,
            (None, Some(row), Some(customer)) => {
                RowId { resource, customer: CustomerId(customer.into()), row: row.into() }
            }
            (None, None, _) => return Err(serde::de::Error::missing_field(of_row)),
            (None, _, None) => return Err(serde::de::Error::missing_field(of_customer.unwrap_or_default())),
        };
        Ok(Attributes { row, raw, kept })
    }
}

/// Attributes mostly come in one order, so the search starts behind the last one found.
fn place_of(fields: &[Field], name: &str, expected: usize) -> Option<usize> {
    let at = |place: usize| fields[place].is_told_as(name) && fields[place].parent.is_none();
    (expected..fields.len()).chain(0..expected).find(|place| at(*place))
}

/// The attributes of a list of names.
fn untold(resource: ResourceId, json: &str) -> Vec<FieldId> {
    let names: Vec<String> = serde_json::from_str(json).unwrap_or_default();
    names.iter().filter_map(|name| resource.field(name)).collect()
}

fn nested<'a>(
    resource: ResourceId,
    inner: &'a RawValue,
    parent: &str,
    raw: &mut [Option<&'a RawValue>; MOST_FIELDS],
) {
    let Ok(Keys(keys)) = Keys::parse(inner.get()) else { return };
    for (key, value) in keys {
        let field = resource.field(&key).filter(|field| field.spec().parent == Some(parent));
        if let (Some(field), Text::Raw(value)) = (field, value) {
            raw[field.index()] = Some(value);
        }
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A JSON object's keys in their order, values as text.
pub(super) struct Keys<'a>(pub(super) Vec<(Cow<'a, str>, Text<'a>)>);

pub(super) enum Text<'a> {
    Raw(&'a RawValue),
    New(String),
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text::New(text)
    }
}

pub(super) fn value_text<'t>(text: &'t Text<'_>) -> &'t str {
    match text {
        Text::Raw(raw) => raw.get(),
        Text::New(text) => text,
    }
}

impl<'a> Keys<'a> {
    pub(super) fn parse(body: &'a str) -> Result<Keys<'a>, BadRecord> {
        Ok(serde_json::from_str(body)?)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value_text(value))
    }

    /// The keys that the field table does not know, by name.
    fn unknown(&self, resource: ResourceId) -> impl Iterator<Item = (&str, &str)> {
        let fields = resource.spec().fields;
        let is_known = |name: &str| {
            name == UNTOLD || fields.iter().any(|field| field.is_told_as(name) || field.parent == Some(name))
        };
        let unknown = self.0.iter().filter(|(name, _)| !is_known(name));
        unknown
            .map(|(name, value)| (name.as_ref(), value_text(value)))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
    }

    fn put(&mut self, name: Cow<'_, str>, value: Text<'a>) {
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((Cow::Owned(name.into_owned()), value)),
        }
    }

    /// These attributes are told now.
    fn tell(&mut self, resource: ResourceId, is_told: impl Fn(FieldId) -> bool) {
        let Some(names) = self.get(UNTOLD) else { return };
        let rest: Vec<&str> =
            untold(resource, names).into_iter().filter(|field| !is_told(*field)).map(FieldId::name).collect();
        match rest.is_empty() {
            true => self.0.retain(|(name, _)| name != UNTOLD),
            false => self.put(UNTOLD.into(), serde_json::Value::from(rest).to_string().into()),
        }
    }

    pub(super) fn print(&self) -> String {
        let mut out = String::from("{");
        for (place, (key, value)) in self.0.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            out.push_str(&serde_json::Value::from(key.as_ref()).to_string());
            out.push(':');
            out.push_str(value_text(value));
        }
        out.push('}');
        out
    }
}

impl<'de> Deserialize<'de> for Keys<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    keys.push((key.0, Text::Raw(value)));
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}

impl Serialize for Record {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.body).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_what_nobody_knows() {
        let record = Record::new(
            r#"{"id":7,"loyalty_tier":{"x":[1.50]},"phone":"1","authentication":{"force_password_reset":true}}"#,
        );
        let newer = Record::new(r#"{"id":7,"phone":"2","new":0}"#);
        let merged = record.overlaid(&newer).unwrap();
        assert_eq!(
            merged.body(),
            r#"{"id":7,"loyalty_tier":{"x":[1.50]},"phone":"2","authentication":{"force_password_reset":true},"new":0}"#
        );
        assert_eq!(
            merged.attributes().unwrap().get(FieldId::named("phone").unwrap()),
            Value::Text("2".into())
        );
    }

    #[test]
    fn a_nested_attribute_is_read_and_set_where_the_api_has_it() {
        let reset = FieldId::named("force_password_reset").unwrap();
        let record = Record::new(r#"{"id":7}"#).with(reset, &Value::Boolean(true)).unwrap();
        assert_eq!(record.body(), r#"{"id":7,"authentication":{"force_password_reset":true}}"#);
        assert_eq!(record.attributes().unwrap().get(reset), Value::Boolean(true));
    }

    #[test]
    fn a_password_that_the_store_repeats_is_in_no_record() {
        for (body, kept) in [
            (
                r#"{"id":7,"authentication":{"force_password_reset":true,"new_password":"hunter2"}}"#,
                r#"{"id":7,"authentication":{"force_password_reset":true}}"#,
            ),
            (r#"{"id":7,"new_password":"hunter2","x":1.50}"#, r#"{"id":7,"x":1.50}"#),
            (
                r#"{"\u0061uthentication":{"new\u005fpassword":"hunter2"},"id":7}"#,
                r#"{"authentication":{},"id":7}"#,
            ),
            (r#"{"id":7,"notes":"new_password"}"#, r#"{"id":7,"notes":"new_password"}"#),
            (
                r#"{"id":7,"x":{"y":[{"New_Password":"hunter2","z":1.50}]}}"#,
                r#"{"id":7,"x":{"y":[{"z":1.50}]}}"#,
            ),
            (
                r#"{"id":7,"newPassword":"hunter2","new-password":"hunter2","PASSWORD":"hunter2"}"#,
                r#"{"id":7}"#,
            ),
            (
                r#"{"id":7,"_authentication":{"password":"hunter2","password_confirmation":"hunter2"}}"#,
                r#"{"id":7,"_authentication":{}}"#,
            ),
            (r#"{"id":7,"authentication":"hunter2"}"#, r#"{"id":7}"#),
            (r#"{"id":7,"authentication":["hunter2",{"was":"hunter2"}]}"#, r#"{"id":7}"#),
            (
                r#"{"id":7,"Authentication":{"secret":"hunter2","Force_Password_Reset":true,"was":{"x":"hunter2"}}}"#,
                r#"{"id":7,"Authentication":{"Force_Password_Reset":true}}"#,
            ),
            (
                r#"{"id":7,"sent":{"a":["b","{\"authentication\":{\"new_password\":\"hunter2\"}}"]}}"#,
                r#"{"id":7,"sent":{"a":["b"]}}"#,
            ),
            (
                r#"{"id":7,"x":{"authentication":"hunter2"},"authentication":null}"#,
                r#"{"id":7,"x":{},"authentication":null}"#,
            ),
            (
                r#"{"id":7,"password_changed_at":"2026","notes":"authentication: password"}"#,
                r#"{"id":7,"password_changed_at":"2026","notes":"authentication: password"}"#,
            ),
        ] {
            assert_eq!(Record::without_secrets(body), kept);
        }
    }

    #[test]
    fn what_is_no_customer_is_refused() {
        for body in ["[]", "{}", r#"{"id":"7"}"#, r#"{"id":99999999999}"#, "", r#"{"id":1"#] {
            assert!(Record::new(body).attributes().is_err(), "{body}");
        }
    }
}
