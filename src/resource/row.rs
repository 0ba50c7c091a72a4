//! The working copy of one customer: a value for every attribute that has a column.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Attributes, CustomerId, FieldId, ResourceId, RowId, Value};

/// The working copy of one customer, as the app reads and edits it: a method for each attribute, by the API's name, with its type.
///
/// ```
/// use tillsync::{Customer, Decimal};
///
/// fn card(customer: &Customer) -> Option<(&str, Decimal, bool)> {
///     let may_sign_in = customer.channel_ids().is_none_or(|channels| channels.contains(&1));
///     Some((customer.email()?, customer.store_credit_amounts()?, may_sign_in))
/// }
/// # let nobody = Customer::empty(tillsync::CustomerId(42));
/// # assert_eq!(card(&nobody), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    id: RowId,
    values: Vec<Value>,
}

impl Row {
    /// A row of which nothing is known but the id.
    pub fn empty(id: impl Into<RowId>) -> Row {
        let id = id.into();
        Row { id, values: vec![Value::Null; id.resource.spec().fields.len()] }
    }

    /// A row as the server describes it.
    pub fn of(id: impl Into<RowId>, attributes: &Attributes<'_>) -> Row {
        let mut row = Row::empty(id);
        for field in row.resource().columns() {
            row.set(field, attributes.get(field));
        }
        row
    }

    /// What it is a row of.
    pub fn resource(&self) -> ResourceId {
        self.id.resource
    }

    /// The customer's id.
    pub fn id(&self) -> CustomerId {
        self.id.customer
    }

    /// Which row it is.
    pub fn row_id(&self) -> RowId {
        self.id
    }

    /// The value of an attribute by its place in the table, for code that goes through all of them; a password is always null
    /// here. Each has a method of its own too, as [`email`](Row::email).
    pub fn get(&self, field: FieldId) -> &Value {
        &self.values[field.index()]
    }

    /// Replaces the value of an attribute.
    pub fn set(&mut self, field: FieldId, value: Value) {
        self.values[field.index()] = value;
    }

    /// The row as one JSON object with the API's names; `authentication` as in the API. What is no JSON is a text there.
    pub fn to_json(&self) -> String {
        let mut out = named(self.id.resource.spec().names().zip(self.id.names()));
        for field in self.resource().columns() {
            let value = self.get(field).to_shown_json();
            _ = match field.spec().parent {
                None => write!(out, ",\"{field}\":{value}"),
                Some(parent) => write!(out, ",\"{parent}\":{{\"{field}\":{value}}}"),
            };
        }
        out.push('}');
        out
    }
}

/// A row's JSON object with some of its attributes, where the API has them: what belongs into an object of its own stands behind the rest.
pub fn object<'v>(row: RowId, attributes: impl IntoIterator<Item = (FieldId, &'v Value)>) -> String {
    let names: Vec<String> = members(row.resource.spec().key.iter().copied().zip(row.key())).collect();
    with_attributes(names, attributes)
}

/// The same for people: where the row's own id does not say whose it is, its customer's stands beside it.
pub fn shown_object<'v>(row: RowId, attributes: impl IntoIterator<Item = (FieldId, &'v Value)>) -> String {
    let names: Vec<String> = members(row.resource.spec().names().zip(row.names())).collect();
    with_attributes(names, attributes)
}

/// The same of a row that the store is to make: it names the customer whose it is, where it is not one itself, and not the row.
pub fn new_object<'v>(row: RowId, attributes: impl IntoIterator<Item = (FieldId, &'v Value)>) -> String {
    let spec = row.resource.spec();
    let whose = spec.customer.filter(|_| !spec.is_of_customers()).map(|whose| (whose, row.customer.0));
    let says = spec.create.map(|creation| creation.says).filter(|says| !says.is_empty());
    let names = members(whose.into_iter()).chain(says.map(str::to_owned)).collect();
    with_attributes(names, attributes)
}

fn with_attributes<'v>(
    mut all: Vec<String>,
    attributes: impl IntoIterator<Item = (FieldId, &'v Value)>,
) -> String {
    let mut nested: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (field, value) in attributes {
        let member = format!("\"{field}\":{}", value.to_json());
        match field.spec().parent {
            None => all.push(member),
            Some(parent) => nested.entry(parent).or_default().push(member),
        }
    }
    let nested = nested.into_iter().map(|(parent, inner)| format!("\"{parent}\":{{{}}}", inner.join(",")));
    all.extend(nested);
    format!("{{{}}}", all.join(","))
}

/// The beginning of an object: what names a row.
fn named(names: impl Iterator<Item = (&'static str, i64)>) -> String {
    format!("{{{}", members(names).collect::<Vec<_>>().join(","))
}

fn members(names: impl Iterator<Item = (&'static str, i64)>) -> impl Iterator<Item = String> {
    names.map(|(name, id)| format!("\"{name}\":{id}"))
}
