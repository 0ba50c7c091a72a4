//! What a shop wants to know of its customers beside what every store does: a loyalty number, a shoe size. Each is defined once.

use super::field::fixed;
use super::{Access, Changes, Identity, Kind, Resource};

/// The definitions of attributes. A till reads them: which there are, and of which type.
pub static ATTRIBUTE: Resource = Resource {
    name: "attribute",
    plural: "attributes",
    snapshot: "attribute_snapshot",
    key: &["id"],
    customer: None,
    endpoint: "/customers/attributes",
    asked_by: "id",
    include: "",
    // There are fifty at most: all of them are one page.
    changes: Changes::All,
    page: 250,
    update: None,
    create: None,
    delete: None,
    is_upserted: false,
    with: Some("attributes"),
    shown_as: None,
    identity: Identity::Id,
    defined_by: None,
    fields: &[fixed("name", Kind::Text, Access::ReadOnly), fixed("type", Kind::Text, Access::ReadOnly)],
};
