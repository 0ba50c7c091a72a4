//! What a customer is: THE table of its attributes, with name, type, limit, who may write it, how two changes of it merge.
//!
//! Names, limits and writability are those of the public API (`customer_Put` and `customer_Full` of the V3
//! customers reference). The limits stand here and nowhere else: the triggers that hold plain SQL to them are made from
//! this table (`store/schema`), and whoever makes calls asks it how many there may be. Adding an attribute is one line here and one
//! migration.

use super::field::{NO_LIMIT, editable, fixed, inside, required};
use super::{
    Access, Changes, Creation, Field, FieldId, Identity, Kind, MergeRule, Resource, ResourceId, Verb,
};

/// Customers: every file keeps them.
pub static CUSTOMER: Resource = Resource {
    name: "customer",
    plural: "customers",
    snapshot: "snapshot",
    key: &["id"],
    customer: Some("id"),
    endpoint: "/customers",
    asked_by: "id",
    // Without it, money and form fields are left out.
    include: "storecredit,formfields",
    changes: Changes::Since("date_modified:min"),
    page: 250,
    update: Some(Verb { rows: 10, at_once: 3 }),
    // Unless it is told not to, a store may write to whoever was entered.
    create: Some(Creation {
        verb: Verb { rows: 10, at_once: 3 },
        says: "\"trigger_account_created_notification\":false",
    }),
    // No limit of ids is documented: the address stays short.
    delete: Some(Verb { rows: 50, at_once: 3 }),
    is_upserted: false,
    with: None,
    shown_as: None,
    identity: Identity::Id,
    defined_by: None,
    fields: &FIELDS,
};

/// Every attribute that the working copy knows, in the order of its columns.
pub static FIELDS: [Field; 24] = [
    Field {
        is_unique: true,
        most_when_new: Some(250),
        ..required("email", Kind::Text, (3, 255), MergeRule::Policy)
    },
    required("first_name", Kind::Text, (1, 100), MergeRule::Policy),
    required("last_name", Kind::Text, (1, 100), MergeRule::Policy),
    editable("company", Kind::Text, (0, 255), MergeRule::Policy),
    editable("phone", Kind::Text, (0, 50), MergeRule::Policy),
    editable("notes", Kind::Text, NO_LIMIT, MergeRule::Lines),
    editable("tax_exempt_category", Kind::Text, (0, 255), MergeRule::Policy),
    editable("customer_group_id", Kind::Integer, NO_LIMIT, MergeRule::Policy),
    editable("accepts_product_review_abandoned_cart_emails", Kind::Boolean, NO_LIMIT, MergeRule::Policy),
    inside("authentication", "force_password_reset", Kind::Boolean, NO_LIMIT),
    inside("authentication", "new_password", Kind::Password, (1, usize::MAX)),
    editable("store_credit_amounts", Kind::Credit, NO_LIMIT, MergeRule::Policy),
    editable("channel_ids", Kind::Channels, NO_LIMIT, MergeRule::Set),
    editable("form_fields", Kind::Forms, NO_LIMIT, MergeRule::ByName),
    fixed("registration_ip_address", Kind::Text, Access::ReadOnly),
    fixed("origin_channel_id", Kind::Integer, Access::ReadOnly),
    Field { is_created_at: true, ..fixed("date_created", Kind::Date, Access::ReadOnly) },
    Field { is_changed_at: true, ..fixed("date_modified", Kind::Date, Access::ReadOnly) },
    fixed("address_count", Kind::Integer, Access::Subresource),
    fixed("attribute_count", Kind::Integer, Access::Subresource),
    fixed("addresses", Kind::Json, Access::Subresource),
    fixed("attributes", Kind::Json, Access::Subresource),
    fixed("shopper_profile_id", Kind::Text, Access::Subresource),
    fixed("segment_ids", Kind::Json, Access::Subresource),
];

/// What an app asks for by name.
impl FieldId {
    /// The address that a customer signs in with.
    pub const EMAIL: FieldId = FieldId::of_customer(0);
    /// The one attribute that is never read back.
    pub const NEW_PASSWORD: FieldId = FieldId::of_customer(10);
    /// Money, which an edit may also adjust.
    pub const STORE_CREDIT_AMOUNTS: FieldId = FieldId::of_customer(11);
    /// Entries by name, of which one may be held while the others go on.
    pub const FORM_FIELDS: FieldId = FieldId::of_customer(13);
    /// When the server last changed the customer, by its own clock.
    pub const DATE_MODIFIED: FieldId = FieldId::of_customer(17);

    const fn of_customer(place: usize) -> FieldId {
        FieldId::at(ResourceId::CUSTOMER, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_places_are_where_the_constants_say() {
        for (field, name) in [
            (FieldId::EMAIL, "email"),
            (FieldId::NEW_PASSWORD, "new_password"),
            (FieldId::STORE_CREDIT_AMOUNTS, "store_credit_amounts"),
            (FieldId::FORM_FIELDS, "form_fields"),
            (FieldId::DATE_MODIFIED, "date_modified"),
        ] {
            assert_eq!(field.name(), name);
            assert_eq!(FieldId::named(name), Some(field));
        }
    }
}
