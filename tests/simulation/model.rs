//! What was done to the customers, by whom, and hence what must be true in the end.

use std::collections::{BTreeMap, BTreeSet};

/// Attributes that only the first till edits.
pub const TILL_ONLY: [&str; 3] = ["phone", "last_name", "email"];
/// Attributes that only the back office edits.
pub const OFFICE_ONLY: [&str; 1] = ["tax_exempt_category"];
/// Attributes that both edit.
pub const SHARED: [&str; 5] = ["company", "first_name", "notes", "form_fields", "channel_ids"];

#[derive(Debug, Default)]
pub struct Model {
    /// Attributes that the till ever edited.
    pub edited: BTreeSet<(i64, String)>,
    /// The last value that the back office gave an attribute of its own.
    pub office: BTreeMap<(i64, &'static str), String>,
    /// The balance that a customer began with, and what the back office added to it, in whole units.
    pub credit: BTreeMap<i64, i64>,
    /// Customers whose balance a person decided: the sum does not tell any more.
    pub decided: BTreeSet<i64>,
    /// Customers that the back office deleted.
    pub deleted: BTreeSet<i64>,
}
