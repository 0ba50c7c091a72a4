//! What no store has: a resource that proves what a resource is (decision 19). It is in no build for people.

use super::field::{editable, fixed};
use super::{Access, Field, Kind, MergeRule, Resource, Verb};

/// The cards of a customer.
pub static LOYALTY_CARD: Resource = Resource {
    name: "loyalty_card",
    plural: "loyalty cards",
    snapshot: "loyalty_card_snapshot",
    key: &["id"],
    customer: "customer_id",
    endpoint: "/customers/loyalty-cards",
    include: "",
    since: Some("date_modified:min"),
    page: 250,
    update: Verb { rows: 4, at_once: 2 },
    fields: &[
        editable("number", Kind::Text, (1, 20), MergeRule::Policy),
        editable("is_blocked", Kind::Boolean, (0, usize::MAX), MergeRule::Policy),
        Field { is_changed_at: true, ..fixed("date_modified", Kind::Date, Access::ReadOnly) },
    ],
};
