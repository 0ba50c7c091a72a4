//! THE table of a customer's attributes: name, type, limit, who may write it, how two changes of it merge.
//!
//! Names, limits and writability are those of the public API (`customer_Put` and `customer_Full` of the V3
//! customers reference). The limits stand here and nowhere else: the triggers that hold plain SQL to them are made from
//! this table (`store/schema`). Adding an attribute is one line here and one migration.

use std::fmt;

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string that is an instant, RFC 3339.
    Date,
    /// An int32.
    Integer,
    /// `true` or `false`; 0 or 1 in the table.
    Boolean,
    /// An array of `{"amount": number}`: money, exact.
    Credit,
    /// An array of channel ids, a set; null means every channel.
    Channels,
    /// An array of `{"name", "value"}`, keyed by name.
    Forms,
    /// A string that is never read back, stored or shown.
    Password,
    /// Any JSON: kept as it came.
    Json,
}

/// Who may write an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An edit may set it.
    Editable,
    /// The server sets it.
    ReadOnly,
    /// It belongs to another endpoint.
    Subresource,
}

impl Access {
    /// Why an edit may not set it; `None`: it may.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Access::Editable => None,
            Access::ReadOnly => Some("is read-only, the store sets it"),
            Access::Subresource => Some("is a subresource and cannot be edited here"),
        }
    }
}

/// How two changes of one attribute are brought together before a policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeRule {
    /// Nothing can be brought together: the policy decides.
    Policy,
    /// Line by line, as text.
    Lines,
    /// As a set: additions and removals of both sides.
    Set,
    /// Entry by entry, by its name.
    ByName,
}

/// One attribute of a customer.
#[derive(Debug)]
pub struct Field {
    /// The API's name, which is also the column, the CLI's word and the JSON key.
    pub name: &'static str,
    /// The object that holds it in the API's JSON; `None`: it stands at the top.
    pub parent: Option<&'static str>,
    /// The type of its value.
    pub kind: Kind,
    /// Fewest and most characters, for text.
    pub limit_chars: (usize, usize),
    /// Who may write it.
    pub access: Access,
    /// How two changes of it merge.
    pub merge: MergeRule,
    /// Whether no two customers have the same, whatever its case.
    pub is_unique: bool,
}

const NO_LIMIT: (usize, usize) = (0, usize::MAX);
/// The least and the greatest customer group; 0 is none.
pub(crate) const GROUP_IDS: (i64, i64) = (0, i32::MAX as i64);
/// The least and the greatest channel.
pub(crate) const CHANNEL_IDS: (i64, i64) = (1, i32::MAX as i64);
/// The most digits of an amount before the point and after it.
pub(crate) const CREDIT_DIGITS: (usize, usize) = (14, 4);

const fn editable(name: &'static str, kind: Kind, limit_chars: (usize, usize), merge: MergeRule) -> Field {
    Field { name, parent: None, kind, limit_chars, access: Access::Editable, merge, is_unique: false }
}

const fn inside(parent: &'static str, name: &'static str, kind: Kind, limit_chars: (usize, usize)) -> Field {
    let field = editable(name, kind, limit_chars, MergeRule::Policy);
    Field { parent: Some(parent), ..field }
}

const fn fixed(name: &'static str, kind: Kind, access: Access) -> Field {
    Field { access, ..editable(name, kind, NO_LIMIT, MergeRule::Policy) }
}

/// Every attribute that the working copy knows, in the order of its columns.
pub static FIELDS: [Field; 24] = [
    Field { is_unique: true, ..editable("email", Kind::Text, (3, 255), MergeRule::Policy) },
    editable("first_name", Kind::Text, (1, 100), MergeRule::Policy),
    editable("last_name", Kind::Text, (1, 100), MergeRule::Policy),
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
    fixed("date_created", Kind::Date, Access::ReadOnly),
    fixed("date_modified", Kind::Date, Access::ReadOnly),
    fixed("address_count", Kind::Integer, Access::Subresource),
    fixed("attribute_count", Kind::Integer, Access::Subresource),
    fixed("addresses", Kind::Json, Access::Subresource),
    fixed("attributes", Kind::Json, Access::Subresource),
    fixed("shopper_profile_id", Kind::Text, Access::Subresource),
    fixed("segment_ids", Kind::Json, Access::Subresource),
];

/// An attribute, by its place in [`FIELDS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u8);

impl FieldId {
    /// The address that a customer signs in with.
    pub const EMAIL: FieldId = FieldId(0);
    /// The one attribute that is never read back.
    pub const NEW_PASSWORD: FieldId = FieldId(10);
    /// Money, which an edit may also adjust.
    pub const STORE_CREDIT_AMOUNTS: FieldId = FieldId(11);
    /// Entries by name, of which one may be held while the others go on.
    pub const FORM_FIELDS: FieldId = FieldId(13);

    /// When the server last changed the customer, by its own clock.
    pub const DATE_MODIFIED: FieldId = FieldId(17);

    /// The attribute of that name, if the working copy knows it.
    pub fn named(name: &str) -> Option<FieldId> {
        FieldId::all().find(|field| field.name() == name)
    }

    /// Every attribute, in the order of the columns.
    pub fn all() -> impl Iterator<Item = FieldId> {
        (0..FIELDS.len() as u8).map(FieldId)
    }

    /// Every attribute that has a column: all but the password.
    pub fn columns() -> impl Iterator<Item = FieldId> {
        FieldId::all().filter(|field| !field.is_secret())
    }

    /// Its line in the table.
    pub fn spec(self) -> &'static Field {
        &FIELDS[self.index()]
    }

    /// The API's name.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The type of its value.
    pub fn kind(self) -> Kind {
        self.spec().kind
    }

    /// Whether it is money: exact, and an edit may also adjust it.
    pub fn is_money(self) -> bool {
        self.kind() == Kind::Credit
    }

    /// Whether it is never read back, stored or shown.
    pub fn is_secret(self) -> bool {
        self.kind() == Kind::Password
    }

    /// Whether it has entries by name, of which one may be held while the others go on.
    pub fn has_entries(self) -> bool {
        self.kind() == Kind::Forms
    }

    /// Whether no two customers have the same, whatever its case.
    pub fn is_unique(self) -> bool {
        self.spec().is_unique
    }

    /// Its place in [`FIELDS`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Whether its value may be of any length.
    pub fn is_unbounded(self) -> bool {
        matches!(self.kind(), Kind::Text | Kind::Forms) && self.spec().limit_chars.1 == usize::MAX
    }

    /// Whether the store may change it and leave `date_modified` as it was: of credit and form fields nothing is documented.
    pub fn may_be_undated(self) -> bool {
        matches!(self.kind(), Kind::Credit | Kind::Forms)
    }

    /// Whether an edit may set it.
    pub fn is_editable(self) -> bool {
        self.spec().access == Access::Editable
    }
}

impl fmt::Display for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for FieldId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
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
