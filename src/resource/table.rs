//! What a resource is: a kind of thing that the store has and a till keeps. It is a value, and this is its type.
//!
//! Whoever works on rows asks the table: which attributes there are, what is special about one, and what the store's endpoint
//! takes. What is special hangs on an attribute's kind, never on its name.

use std::sync::LazyLock;

use super::customer::CUSTOMER;
use super::{Field, FieldId, Kind};

/// What the store has of one kind, as data.
#[derive(Debug)]
pub struct Resource {
    /// Its table in the file, and what a row of it is called in a message.
    pub name: &'static str,
    /// What several of them are called.
    pub plural: &'static str,
    /// The table of what the store last told of each.
    pub snapshot: &'static str,
    /// The columns that tell a row from all others, in both tables; the last of them is the row's own.
    pub key: &'static [&'static str],
    /// The column with the customer whose it is; none: it is the store's, and nobody's.
    pub customer: Option<&'static str>,
    /// Where the API has it, behind the store's address.
    pub endpoint: &'static str,
    /// The column by which a few rows are asked for: their own, or their customer's.
    pub asked_by: &'static str,
    /// What must be asked for to be shown with it.
    pub include: &'static str,
    /// What a pull of changes asks for.
    pub changes: Changes,
    /// The most that a page of a list may hold.
    pub page: usize,
    /// How it is updated; none: it is only read.
    pub update: Option<Verb>,
    /// How it is created; none: that is for the store alone.
    pub create: Option<Creation>,
    /// How it is deleted; none: that is for the store alone.
    pub delete: Option<Verb>,
    /// Whether an update of what the store has not makes it: then an `INSERT` is an edit too.
    pub is_upserted: bool,
    /// What a person asks for to have it kept: `--with …`. None: every file keeps it, or nobody asks for it.
    pub with: Option<&'static str>,
    /// As what a list of customers shows theirs, where it is asked to.
    pub shown_as: Option<Shown>,
    /// What makes two of its rows one in the store.
    pub identity: Identity,
    /// The resource whose row, of the same number, says what its text is: its `type`.
    pub defined_by: Option<&'static str>,
    /// Its attributes, in the order of the columns.
    pub fields: &'static [Field],
}

impl Resource {
    /// The column that names a row of a customer.
    pub fn row(&self) -> &'static str {
        self.key.last().copied().unwrap_or_default()
    }

    /// Whose it is, in SQL: the column, or nobody.
    pub fn whose(&self) -> &'static str {
        self.customer.unwrap_or("0")
    }

    /// The columns that say which row it is, and whose: the key, and the customer.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let customer = self.customer.filter(|customer| !self.key.contains(customer));
        self.key.iter().copied().chain(customer)
    }

    /// The attributes that have a column.
    pub fn columns(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().filter(|field| field.kind != Kind::Password)
    }

    /// Whether a question for one row is answered with all that its customer has.
    pub fn is_asked_by_customer(&self) -> bool {
        Some(self.asked_by) == self.customer && self.asked_by != self.row()
    }

    /// What a call updates of it; one row, where it is only read.
    pub const fn most(&self) -> Verb {
        match self.update {
            Some(most) => most,
            None => Verb { rows: 1, at_once: 1 },
        }
    }

    /// Whether every file has its tables, as the migrations make them.
    pub fn is_migrated(&self) -> bool {
        self.is_of_customers() || self.with.is_some()
    }

    /// Whether its rows are the customers themselves.
    pub fn is_of_customers(&self) -> bool {
        self.customer == Some(self.row())
    }
}

/// How an endpoint creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// What a call takes.
    pub verb: Verb,
    /// What is said besides of each row, as members of its JSON object.
    pub says: &'static str,
}

/// What a pull of changes asks a resource's endpoint for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// For those that changed since a moment, by this word.
    Since(&'static str),
    /// For all: they are few.
    All,
    /// For none: the store tells no dates. Each is looked at before it is sent, and all come with a pull of everything.
    None,
}

/// What makes two rows one in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Their ids.
    Id,
    /// What they say: of an update that would make two say the same nothing is changed, and nothing is told.
    Content,
}

/// What a list of customers shows of what is theirs, where it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What is asked for, and the attribute of a customer that has them.
    pub name: &'static str,
    /// No more of one customer are shown: where there are as many, there may be others.
    pub most: usize,
}

/// What an endpoint takes of one verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verb {
    /// Rows a call.
    pub rows: usize,
    /// Calls under way at once, over all clients of the store.
    pub at_once: usize,
}

/// Every resource that this build knows.
static RESOURCES: &[&Resource] = &[
    &CUSTOMER,
    &super::address::ADDRESS,
    &super::attribute::ATTRIBUTE,
    &super::attribute_value::ATTRIBUTE_VALUE,
    #[cfg(feature = "proof")]
    &super::loyalty::LOYALTY_CARD,
    #[cfg(feature = "proof")]
    &super::loyalty::LOYALTY_STAMP,
];

/// The most attributes that one of them has.
pub(super) const MOST_FIELDS: usize = super::FIELDS.len();

/// A resource, by its place in the table of all; customers, where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(u8);

impl ResourceId {
    /// Customers: every file keeps them.
    pub const CUSTOMER: ResourceId = ResourceId(0);

    /// All that this build knows.
    pub fn all() -> impl Iterator<Item = ResourceId> + Clone {
        (0..RESOURCES.len() as u8).map(ResourceId)
    }

    /// That of this name, if this build knows it.
    pub fn named(name: &str) -> Option<ResourceId> {
        ResourceId::all().find(|resource| resource.spec().name == name)
    }

    /// What a person asks for by this word: one of these, or those that go together.
    pub fn asked_for(word: &str) -> impl Iterator<Item = ResourceId> {
        ResourceId::all().filter(move |resource| {
            let spec = resource.spec();
            spec.with.map_or(spec.name == word, |with| with == word)
        })
    }

    /// The words by which a person asks for more than customers.
    pub fn words() -> Vec<&'static str> {
        let mut words: Vec<&str> = ResourceId::all().filter_map(|resource| resource.spec().with).collect();
        words.dedup();
        words
    }

    /// The most calls that any of them has under way at once: their stages go one after the other.
    pub(crate) const fn most_at_once() -> usize {
        let (mut most, mut place) = (0, 0);
        while place < RESOURCES.len() {
            if let Some(Verb { at_once, .. }) = RESOURCES[place].update
                && at_once > most
            {
                most = at_once;
            }
            place += 1;
        }
        most
    }

    /// Its place among all.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// What it is.
    pub const fn spec(self) -> &'static Resource {
        RESOURCES[self.0 as usize]
    }

    /// Its attributes, in the order of the columns.
    pub fn fields(self) -> impl Iterator<Item = FieldId> + Clone {
        (0..self.spec().fields.len()).map(move |place| FieldId::at(self, place))
    }

    /// Its attributes that have a column: all but a password.
    pub fn columns(self) -> impl Iterator<Item = FieldId> + Clone {
        self.fields().filter(|field| !field.is_secret())
    }

    /// Those of them that an edit may set.
    pub fn editable_columns(self) -> impl Iterator<Item = FieldId> + Clone {
        self.columns().filter(|field| field.is_editable())
    }

    /// Its attribute of that name.
    pub fn field(self, name: &str) -> Option<FieldId> {
        self.fields().find(|field| field.name() == name)
    }

    /// Its money, if it has some: exact, and an edit may also adjust it.
    pub fn money(self) -> Option<FieldId> {
        self.special().money
    }

    /// Its entries by name, if it has some: one may be held while the others go on.
    pub fn entries(self) -> Option<FieldId> {
        self.special().entries
    }

    /// Its attribute that is never read back, stored or shown, if it has one.
    pub fn secret(self) -> Option<FieldId> {
        self.special().secret
    }

    /// Its attribute that no two rows share, if it has one.
    pub fn unique(self) -> Option<FieldId> {
        self.special().unique
    }

    /// When the store last changed a row, by its own clock, if it tells.
    pub fn changed_at(self) -> Option<FieldId> {
        self.special().changed_at
    }

    /// When it made the row, by its own clock, if it tells.
    pub fn created_at(self) -> Option<FieldId> {
        self.special().created_at
    }

    fn special(self) -> &'static Special {
        static ALL: LazyLock<Vec<Special>> = LazyLock::new(|| ResourceId::all().map(Special::of).collect());
        &ALL[self.index()]
    }
}

/// What is special in a table, found once: a merge asks for it again and again.
#[derive(Debug)]
struct Special {
    money: Option<FieldId>,
    entries: Option<FieldId>,
    secret: Option<FieldId>,
    unique: Option<FieldId>,
    changed_at: Option<FieldId>,
    created_at: Option<FieldId>,
}

impl Special {
    fn of(resource: ResourceId) -> Special {
        let first = |is_so: fn(FieldId) -> bool| resource.fields().find(|field| is_so(*field));
        Special {
            money: first(FieldId::is_money),
            entries: first(FieldId::has_entries),
            secret: first(FieldId::is_secret),
            unique: first(FieldId::is_unique),
            changed_at: first(|field| field.spec().is_changed_at),
            created_at: first(|field| field.spec().is_created_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_one_attribute_at_most_of_what_is_special() {
        for (place, resource) in RESOURCES.iter().enumerate() {
            let id = ResourceId(place as u8);
            assert!(resource.fields.len() <= MOST_FIELDS);
            let count = |is_so: &dyn Fn(&Field) -> bool| resource.fields.iter().filter(|f| is_so(f)).count();
            for kind in [Kind::Credit, Kind::Forms, Kind::Password] {
                assert!(count(&|field| field.kind == kind) <= 1, "{kind:?} of {}", resource.name);
            }
            assert!(count(&|field| field.is_unique) <= 1);
            assert!(count(&|field| field.is_changed_at) <= 1);
            assert!(count(&|field| field.is_created_at) <= 1);
            assert!(id.fields().all(|field| id.field(field.name()) == Some(field)));
        }
    }
}
