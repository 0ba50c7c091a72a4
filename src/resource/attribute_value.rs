//! What a customer has of an attribute.

use super::field::{editable, fixed};
use super::{Access, Changes, Field, Identity, Kind, MergeRule, Resource, Verb};

/// Values of attributes, each named by its customer and its attribute.
pub static ATTRIBUTE_VALUE: Resource = Resource {
    name: "attribute_value",
    plural: "attribute values",
    snapshot: "attribute_value_snapshot",
    key: &["customer_id", "attribute_id"],
    customer: Some("customer_id"),
    endpoint: "/customers/attribute-values",
    asked_by: "customer_id",
    include: "",
    changes: Changes::Since("date_modified:min"),
    page: 250,
    update: Some(Verb { rows: 10, at_once: 3 }),
    create: None,
    delete: None,
    is_upserted: true,
    with: Some("attributes"),
    shown_as: None,
    identity: Identity::Id,
    defined_by: Some("attribute"),
    fields: &[
        Field {
            told_as: Some("attribute_value"),
            ..editable("value", Kind::Text, (0, 255), MergeRule::Policy)
        },
        fixed("id", Kind::Integer, Access::ReadOnly),
        fixed("date_created", Kind::Date, Access::ReadOnly),
        Field { is_changed_at: true, ..fixed("date_modified", Kind::Date, Access::ReadOnly) },
    ],
};
