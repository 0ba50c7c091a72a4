//! Where a customer lives, and where what they buy is sent.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::field::{NO_LIMIT, editable, fixed, required};
use super::{
    Access, Changes, CustomerId, Field, Identity, Kind, MergeRule, Resource, Row, Shown, Value, Verb,
};

/// Addresses of customers. The store tells no dates of them.
pub static ADDRESS: Resource = Resource {
    name: "address",
    plural: "addresses",
    snapshot: "address_snapshot",
    key: &["id"],
    customer: Some("customer_id"),
    endpoint: "/customers/addresses",
    asked_by: "customer_id",
    // Without it, form fields are left out.
    include: "formfields",
    changes: Changes::None,
    page: 250,
    update: Some(Verb { rows: 10, at_once: 3 }),
    create: None,
    delete: None,
    is_upserted: false,
    with: Some("addresses"),
    shown_as: Some(Shown { name: "addresses", most: 10 }),
    identity: Identity::Content,
    defined_by: None,
    fields: &[
        required("first_name", Kind::Text, (1, 255), MergeRule::Policy),
        required("last_name", Kind::Text, (1, 255), MergeRule::Policy),
        editable("company", Kind::Text, (0, 255), MergeRule::Policy),
        required("address1", Kind::Text, NO_LIMIT, MergeRule::Policy),
        editable("address2", Kind::Text, NO_LIMIT, MergeRule::Policy),
        required("city", Kind::Text, (0, 100), MergeRule::Policy),
        // Spelled out: which countries have states, and which codes there are, is the store's business.
        editable("state_or_province", Kind::Text, (0, 100), MergeRule::Policy),
        editable("postal_code", Kind::Text, (0, 30), MergeRule::Policy),
        required("country_code", Kind::Country, (2, 2), MergeRule::Policy),
        Field { may_be_wanted: true, ..editable("phone", Kind::Text, (0, 50), MergeRule::Policy) },
        Field {
            is_filled_in: true,
            ..editable(
                "address_type",
                Kind::Choice(&["residential", "commercial"]),
                NO_LIMIT,
                MergeRule::Policy,
            )
        },
        editable("form_fields", Kind::Forms, NO_LIMIT, MergeRule::ByName),
        fixed("country", Kind::Text, Access::ReadOnly),
    ],
};

/// Where a customer lives, as the app reads and edits it. A text is none where the store has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Address {
    /// Its number in the store.
    pub id: i64,
    /// The customer.
    pub customer_id: CustomerId,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// The company.
    pub company: Option<String>,
    /// The street, and the number in it.
    pub address1: Option<String>,
    /// A second line.
    pub address2: Option<String>,
    /// The city.
    pub city: Option<String>,
    /// The state or province, spelled out.
    pub state_or_province: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The country: two letters.
    pub country_code: Option<String>,
    /// The phone number, as it was written.
    pub phone: Option<String>,
    /// `residential` or `commercial`.
    pub address_type: Option<String>,
    /// The shop's own fields, as JSON text; none: the store has not told them.
    #[serde(serialize_with = "as_json")]
    pub form_fields: Option<String>,
    /// The country's name, which the store sets.
    pub country: Option<String>,
}

impl Address {
    /// The same, of a row of the file.
    pub(crate) fn of(row: &Row) -> Address {
        let value = |name: &str| row.resource().field(name).map(|field| row.get(field));
        let text = |name: &str| value(name).and_then(Value::text).map(str::to_owned);
        Address {
            id: row.row_id().row,
            customer_id: row.id(),
            first_name: text("first_name"),
            last_name: text("last_name"),
            company: text("company"),
            address1: text("address1"),
            address2: text("address2"),
            city: text("city"),
            state_or_province: text("state_or_province"),
            postal_code: text("postal_code"),
            country_code: text("country_code"),
            phone: text("phone"),
            address_type: text("address_type"),
            form_fields: value("form_fields").filter(|value| !value.is_null()).map(Value::to_shown_json),
            country: text("country"),
        }
    }
}

fn as_json<S: Serializer>(json: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let raw: Option<Box<RawValue>> = match json {
        Some(json) => Some(RawValue::from_string(json.clone()).map_err(serde::ser::Error::custom)?),
        None => None,
    };
    raw.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{ResourceId, RowId};

    #[test]
    fn an_address_has_a_field_for_each_attribute_in_the_order_of_the_columns() {
        let resource = ResourceId::named("address").unwrap();
        let mut row = Row::empty(RowId { resource, customer: CustomerId(1), row: 7 });
        resource.columns().filter(|field| field.kind().is_text()).for_each(|field| {
            row.set(field, Value::Text(field.name().to_owned()));
        });
        let forms = resource.entries().unwrap();
        row.set(forms, Value::from_json(Kind::Forms, r#"[{"name":"a","value":"b"}]"#));
        let address = serde_json::to_string(&Address::of(&row)).unwrap();
        assert_eq!(address, row.to_json());
    }
}
