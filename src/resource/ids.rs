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

impl From<CustomerId> for RowId {
    fn from(customer: CustomerId) -> Self {
        RowId { resource: ResourceId::CUSTOMER, customer, row: customer.0 }
    }
}

impl RowId {
    /// What stands in these columns of it: the customer's, or the row's own.
    fn in_columns(self, columns: impl Iterator<Item = &'static str>) -> impl Iterator<Item = i64> {
        let of_customer = self.resource.spec().customer;
        columns.map(move |column| if column == of_customer { self.customer.0 } else { self.row })
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
