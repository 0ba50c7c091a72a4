//! Where a customer lives, and where what they buy is sent.

use super::field::{NO_LIMIT, editable, fixed, required};
use super::{Access, Changes, Kind, MergeRule, Resource, Verb};

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
    is_upserted: false,
    with: Some("addresses"),
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
        editable("phone", Kind::Text, (0, 50), MergeRule::Policy),
        editable("address_type", Kind::Choice(&["residential", "commercial"]), NO_LIMIT, MergeRule::Policy),
        editable("form_fields", Kind::Forms, NO_LIMIT, MergeRule::ByName),
        fixed("country", Kind::Text, Access::ReadOnly),
    ],
};
