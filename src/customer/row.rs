//! The working copy of one customer: a value for every attribute that has a column.

use std::fmt::Write as _;

use super::{Attributes, CustomerId, FIELDS, FieldId, Value};

/// The working copy of one customer, as the app reads and edits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    id: CustomerId,
    values: Vec<Value>,
}

impl Row {
    /// A customer of which nothing is known but the id.
    pub fn empty(id: CustomerId) -> Row {
        Row { id, values: vec![Value::Null; FIELDS.len()] }
    }

    /// A customer as the server describes it.
    pub fn of(id: CustomerId, attributes: &Attributes<'_>) -> Row {
        let mut row = Row::empty(id);
        for field in FieldId::columns() {
            row.set(field, attributes.get(field));
        }
        row
    }

    /// The customer's id.
    pub fn id(&self) -> CustomerId {
        self.id
    }

    /// The value of an attribute; a password is always null here.
    ///
    /// ```
    /// use tillsync::{Decimal, FieldId, Row};
    ///
    /// fn card(customer: &Row) -> Option<(&str, Decimal, Option<i64>)> {
    ///     let group = FieldId::named("customer_group_id")?;
    ///     let balance = customer.get(FieldId::STORE_CREDIT_AMOUNTS).credit()?;
    ///     Some((customer.get(FieldId::EMAIL).text()?, balance, customer.get(group).integer()))
    /// }
    /// # let nobody = Row::empty(tillsync::CustomerId(42));
    /// # assert_eq!(card(&nobody), None);
    /// ```
    pub fn get(&self, field: FieldId) -> &Value {
        &self.values[field.index()]
    }

    /// Replaces the value of an attribute.
    pub fn set(&mut self, field: FieldId, value: Value) {
        self.values[field.index()] = value;
    }

    /// The row as one JSON object with the API's names; `authentication` as in the API.
    pub fn to_json(&self) -> String {
        let mut out = format!("{{\"id\":{}", self.id);
        for field in FieldId::columns() {
            let value = self.get(field).to_json();
            _ = match field.spec().parent {
                None => write!(out, ",\"{field}\":{value}"),
                Some(parent) => write!(out, ",\"{parent}\":{{\"{field}\":{value}}}"),
            };
        }
        out.push('}');
        out
    }
}
