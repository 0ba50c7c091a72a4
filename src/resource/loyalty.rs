//! What no store has: two resources that prove what a resource is (decision 19). They are in no build for people.

use super::field::{editable, fixed};
use super::{Access, Changes, Field, Identity, Kind, MergeRule, Resource, Verb};

/// The cards of a customer.
pub static LOYALTY_CARD: Resource = Resource {
    name: "loyalty_card",
    plural: "loyalty cards",
    snapshot: "loyalty_card_snapshot",
    key: &["id"],
    customer: Some("customer_id"),
    endpoint: "/customers/loyalty-cards",
    asked_by: "id",
    include: "",
    changes: Changes::Since("date_modified:min"),
    page: 250,
    update: Some(Verb { rows: 4, at_once: 2 }),
    create: None,
    delete: None,
    is_upserted: false,
    with: None,
    shown_as: None,
    identity: Identity::Id,
    defined_by: None,
    fields: &[
        editable("number", Kind::Text, (1, 20), MergeRule::Policy),
        editable("is_blocked", Kind::Boolean, (0, usize::MAX), MergeRule::Policy),
        Field { is_changed_at: true, ..fixed("date_modified", Kind::Date, Access::ReadOnly) },
    ],
};

/// What a customer has of each campaign: named by both, and asked for by the customer.
pub static LOYALTY_STAMP: Resource = Resource {
    name: "loyalty_stamp",
    plural: "loyalty stamps",
    snapshot: "loyalty_stamp_snapshot",
    key: &["customer_id", "campaign_id"],
    customer: Some("customer_id"),
    endpoint: "/customers/loyalty-stamps",
    asked_by: "customer_id",
    include: "",
    changes: Changes::None,
    page: 250,
    update: Some(Verb { rows: 3, at_once: 1 }),
    create: None,
    delete: None,
    is_upserted: false,
    with: None,
    shown_as: None,
    identity: Identity::Id,
    defined_by: None,
    fields: &[editable("value", Kind::Text, (0, 255), MergeRule::Policy)],
};
