//! What the journal has of a customer, and the words of our refusals.

use tillsync::{CustomerId, rusqlite};

use super::Till;

/// field, op, value of every edit of a customer, oldest first.
pub fn edits(till: &Till, id: i64) -> Vec<(String, String, String)> {
    let rows = till.store().journal(Some(CustomerId(id))).unwrap();
    rows.into_iter().map(|row| (row.field, row.op.to_string(), row.value)).collect()
}

pub fn edit(field: &str, op: &str, value: &str) -> (String, String, String) {
    (field.to_owned(), op.to_owned(), value.to_owned())
}

/// The words of our refusal.
pub fn refusal(result: rusqlite::Result<impl Sized>) -> String {
    let Err(error) = result else { panic!("it was not refused") };
    let words = error.to_string();
    let (_, refusal) =
        words.split_once("tillsync refused: ").unwrap_or_else(|| panic!("no refusal: {words}"));
    refusal.trim_end_matches('\'').to_owned()
}
