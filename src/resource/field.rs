//! An attribute of a resource: one line of its table.

use std::fmt;

use super::ResourceId;

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string that is an instant, RFC 3339.
    Date,
    /// A string of two letters: a country.
    Country,
    /// A string that is one of these.
    Choice(&'static [&'static str]),
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

impl Kind {
    /// Whether its value is a string.
    pub fn is_text(self) -> bool {
        matches!(self, Kind::Text | Kind::Date | Kind::Country | Kind::Choice(_) | Kind::Password)
    }

    /// Whether a string is one of this kind.
    pub fn is_one(self, text: &str) -> bool {
        match self {
            Kind::Country => text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_alphabetic()),
            Kind::Choice(words) => words.contains(&text),
            _ => true,
        }
    }

    /// What a string of this kind has to be, in the words of a refusal; none: it is any.
    pub fn must_be(self) -> Option<String> {
        match self {
            Kind::Country => Some("must be two letters, such as ES".to_owned()),
            Kind::Choice(words) => Some(format!("must be {}", words.join(" or "))),
            _ => None,
        }
    }
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

/// One attribute of a resource.
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
    /// Its key in what the store tells, where that is another than the one in an update.
    pub told_as: Option<&'static str>,
    /// Whether no two rows have the same, whatever its case.
    pub is_unique: bool,
    /// Whether the store tells in it when it last changed the row, by its own clock.
    pub is_changed_at: bool,
    /// Whether the store tells in it when it made the row, by its own clock.
    pub is_created_at: bool,
    /// Whether no row is created without it.
    pub is_required: bool,
    /// Whether the store fills it in by itself where nothing is said: then it tells no two rows apart.
    pub is_filled_in: bool,
    /// Whether a store may want it in each update, also where it stays as it is.
    pub may_be_wanted: bool,
    /// The most characters that it may have while its row waits to be created, where that is fewer than later.
    pub most_when_new: Option<usize>,
}

pub(super) const NO_LIMIT: (usize, usize) = (0, usize::MAX);
/// The least and the greatest customer group; 0 is none.
pub(crate) const GROUP_IDS: (i64, i64) = (0, i32::MAX as i64);
/// The least and the greatest channel.
pub(crate) const CHANNEL_IDS: (i64, i64) = (1, i32::MAX as i64);
/// The most digits of an amount before the point and after it.
pub(crate) const CREDIT_DIGITS: (usize, usize) = (14, 4);

pub(super) const fn editable(
    name: &'static str,
    kind: Kind,
    limit_chars: (usize, usize),
    merge: MergeRule,
) -> Field {
    Field {
        name,
        parent: None,
        kind,
        limit_chars,
        access: Access::Editable,
        merge,
        told_as: None,
        is_unique: false,
        is_changed_at: false,
        is_created_at: false,
        is_required: false,
        is_filled_in: false,
        may_be_wanted: false,
        most_when_new: None,
    }
}

/// The same of what no row is created without.
pub(super) const fn required(
    name: &'static str,
    kind: Kind,
    limit_chars: (usize, usize),
    merge: MergeRule,
) -> Field {
    Field { is_required: true, ..editable(name, kind, limit_chars, merge) }
}

pub(super) const fn inside(
    parent: &'static str,
    name: &'static str,
    kind: Kind,
    limit_chars: (usize, usize),
) -> Field {
    let field = editable(name, kind, limit_chars, MergeRule::Policy);
    Field { parent: Some(parent), ..field }
}

pub(super) const fn fixed(name: &'static str, kind: Kind, access: Access) -> Field {
    Field { access, ..editable(name, kind, NO_LIMIT, MergeRule::Policy) }
}

impl Field {
    /// Its key in what the store tells.
    pub fn told(&self) -> &'static str {
        self.told_as.unwrap_or(self.name)
    }

    /// Whether the store means it by this key, of the object that it is in: also where it repeats an update.
    pub fn is_told_as(&self, key: &str) -> bool {
        self.told() == key || self.name == key
    }
}

/// An attribute of a resource, by its place in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId {
    resource: ResourceId,
    place: u8,
}

impl FieldId {
    /// The attribute at a place of a resource's table.
    pub(super) const fn at(resource: ResourceId, place: usize) -> FieldId {
        FieldId { resource, place: place as u8 }
    }

    /// The attribute of a customer of that name, if the working copy knows it.
    pub fn named(name: &str) -> Option<FieldId> {
        ResourceId::CUSTOMER.field(name)
    }

    /// Every attribute of a customer, in the order of the columns.
    pub fn all() -> impl Iterator<Item = FieldId> + Clone {
        ResourceId::CUSTOMER.fields()
    }

    /// Every attribute of a customer that has a column: all but the password.
    pub fn columns() -> impl Iterator<Item = FieldId> + Clone {
        ResourceId::CUSTOMER.columns()
    }

    /// Of what it is an attribute.
    pub fn resource(self) -> ResourceId {
        self.resource
    }

    /// Its line in the table.
    pub fn spec(self) -> &'static Field {
        &self.resource.spec().fields[self.index()]
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

    /// Whether no two rows have the same, whatever its case.
    pub fn is_unique(self) -> bool {
        self.spec().is_unique
    }

    /// Its place in the table.
    pub fn index(self) -> usize {
        usize::from(self.place)
    }

    /// Whether its value may be of any length.
    pub fn is_unbounded(self) -> bool {
        matches!(self.kind(), Kind::Text | Kind::Forms) && self.spec().limit_chars.1 == usize::MAX
    }

    /// Whether the store may change it and leave `date_modified` as it was: of credit and form fields nothing is documented.
    pub fn may_be_undated(self) -> bool {
        matches!(self.kind(), Kind::Credit | Kind::Forms)
    }

    /// Whether it is a part of what a row says, where that makes it what it is.
    pub fn is_content(self) -> bool {
        self.is_editable() && self.kind().is_text() && !self.is_secret()
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
