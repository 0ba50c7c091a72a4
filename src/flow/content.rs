//! Rows that are what they say: two with the same content are one to the store. No IO.

use super::Sent;
use crate::resource::{Attributes, FieldId, Identity, Record, RowId, Value};

/// Another row of the same customer, among those that are shown, that says already what an update was to make this one say: the store
/// took the update, changed nothing, and left it out of its answer. `told`: this one, as the store has it.
pub fn twin(sent: &Sent, told: &Record, shown: &[Record]) -> Option<RowId> {
    let resource = told.resource();
    if resource.spec().identity != Identity::Content {
        return None;
    }
    let told = told.attributes().ok()?;
    let wanted = |field| sent.value(field).cloned().unwrap_or_else(|| told.get(field));
    // What the store fills in by itself counts where it was given.
    let counts =
        |field: &FieldId| field.is_content() && (!field.spec().is_filled_in || sent.value(*field).is_some());
    let fields: Vec<(FieldId, Value)> =
        resource.columns().filter(counts).map(|field| (field, wanted(field))).collect();
    let says_it = |other: &Attributes<'_>| {
        let is_another = other.row() != told.row() && other.id() == told.id();
        is_another && fields.iter().all(|(field, value)| is_same(&other.get(*field), value))
    };
    shown.iter().filter_map(|record| record.attributes().ok()).find(says_it).map(|other| other.row())
}

/// Nothing is an empty text.
fn is_same(one: &Value, other: &Value) -> bool {
    let text = |value: &Value| if value.is_null() { Value::Text(String::new()) } else { value.clone() };
    text(one) == text(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ResourceId;

    fn address(id: i64, customer: i64, city: &str, rest: &str) -> Record {
        let resource = ResourceId::named("address").unwrap();
        let body = format!(r#"{{"id":{id},"customer_id":{customer},"city":"{city}"{rest}}}"#);
        Record::of(resource, body)
    }

    #[test]
    fn an_address_says_what_another_says_but_for_what_the_store_fills_in() {
        let resource = ResourceId::named("address").unwrap();
        let field = |name: &str| resource.field(name).unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let sent = |fields: &[(&str, &str)]| Sent {
            fields: fields.iter().map(|(name, value)| (field(name), text(value))).collect(),
            ..Sent::default()
        };
        let told = address(7, 1, "Madrid", r#","company":"""#);
        let city = sent(&[("city", "Bilbao")]);
        for (other, is_twin) in [
            (address(9, 1, "Bilbao", ""), true),
            (address(9, 1, "Bilbao", r#","address_type":"commercial","country":"Spain""#), true),
            (address(9, 1, "Bilbao", r#","form_fields":[{"name":"a","value":"b"}]"#), true),
            (address(9, 1, "Bilbao", r#","phone":"1""#), false),
            (address(9, 1, "Madrid", ""), false),
            (address(9, 2, "Bilbao", ""), false),
            (address(7, 1, "Bilbao", ""), false),
        ] {
            let found = twin(&city, &told, std::slice::from_ref(&other)).map(|row| row.row);
            assert_eq!(found, is_twin.then_some(9), "{}", other.body());
        }
        let typed = sent(&[("city", "Bilbao"), ("address_type", "residential")]);
        let other = address(9, 1, "Bilbao", r#","address_type":"commercial""#);
        assert_eq!(twin(&typed, &told, &[other]), None, "the till has set it");
    }
}
