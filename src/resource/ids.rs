//! An identity each, so that a journal row is never taken for a customer.

use std::fmt;

use super::ResourceId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }
    };
}

id! {
    /// A customer's `id` in the store (int32 in the API).
    CustomerId
}
id! {
    /// A row of the journal: the order in which edits were made in this file.
    EditSeq
}
id! {
    /// An upload that was prepared in this file.
    BatchId
}

/// A row of any resource, in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// What it is a row of.
    pub resource: ResourceId,
    /// The customer whose it is, or who it is.
    pub customer: CustomerId,
    /// What tells it from the customer's others; of a customer, the customer.
    pub row: i64,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource.spec().name, self.row)
    }
}

impl From<CustomerId> for RowId {
    fn from(customer: CustomerId) -> Self {
        RowId::of_customer(customer)
    }
}

/// Among all rows, as text: `42`, or `address.42.7`, with the customer in it.
impl serde::Serialize for RowId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.code())
    }
}

impl<'de> serde::Deserialize<'de> for RowId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code: String = serde::Deserialize::deserialize(deserializer)?;
        RowId::coded(&code).ok_or_else(|| serde::de::Error::custom("no row"))
    }
}

/// A customer, as a row.
#[cfg(test)]
pub(crate) const fn customer(id: i64) -> RowId {
    RowId::of_customer(CustomerId(id))
}

impl RowId {
    /// Whether the store has not given it an id yet.
    pub fn is_new(self) -> bool {
        self.row < 0
    }

    /// A customer is a row of its own.
    pub const fn of_customer(customer: CustomerId) -> RowId {
        RowId { resource: ResourceId::CUSTOMER, customer, row: customer.0 }
    }

    /// Its name among all rows of a file: `42`, or `address.42.7`.
    pub fn code(self) -> String {
        match self.beside_its_customer() {
            (Some(resource), Some(row)) => format!("{resource}.{}.{row}", self.customer),
            _ => self.customer.to_string(),
        }
    }

    /// The row of that name.
    pub fn coded(code: &str) -> Option<RowId> {
        let number = |text: &str| text.parse().ok();
        match code.split('.').collect::<Vec<_>>()[..] {
            [customer] => RowId::standing(CustomerId(number(customer)?), None, None),
            [resource, customer, row] => {
                RowId::standing(CustomerId(number(customer)?), Some(resource), Some(number(row)?))
            }
            _ => None,
        }
    }

    /// What stands beside the customer's id where rows of several resources are kept: nothing of a customer.
    pub fn beside_its_customer(self) -> (Option<&'static str>, Option<i64>) {
        match self.resource.spec() {
            spec if spec.is_of_customers() => (None, None),
            spec => (Some(spec.name), Some(self.row)),
        }
    }

    /// The row that stands there.
    pub fn standing(customer: CustomerId, resource: Option<&str>, row: Option<i64>) -> Option<RowId> {
        match (resource, row) {
            (None, None) => Some(customer.into()),
            (Some(name), Some(row)) => Some(RowId { resource: ResourceId::named(name)?, customer, row }),
            _ => None,
        }
    }

    /// What stands in these columns of it: the customer's, or the row's own.
    fn in_columns(self, columns: impl Iterator<Item = &'static str>) -> impl Iterator<Item = i64> {
        let of_customer = self.resource.spec().customer;
        columns.map(move |column| if Some(column) == of_customer { self.customer.0 } else { self.row })
    }

    /// The id by which it is asked for.
    pub fn asked_by(self) -> i64 {
        if Some(self.resource.spec().asked_by) == self.resource.spec().customer {
            self.customer.0
        } else {
            self.row
        }
    }

    /// Whether a question for this row is answered with that one too.
    pub fn is_asked_with(self, other: RowId) -> bool {
        self.resource == other.resource && self.asked_by() == other.asked_by()
    }

    /// A number among the rows of its resource: ids have 32 bits.
    pub fn number(self) -> i64 {
        if self.resource.spec().key.len() > 1 { self.customer.0 << 32 | self.row } else { self.row }
    }

    /// Its key, in the order of the columns.
    pub fn key(self) -> impl Iterator<Item = i64> {
        self.in_columns(self.resource.spec().key.iter().copied())
    }

    /// All that says which row it is, and whose.
    pub fn names(self) -> impl Iterator<Item = i64> {
        self.in_columns(self.resource.spec().names())
    }
}
