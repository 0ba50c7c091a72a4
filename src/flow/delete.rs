//! Rows that were deleted here: whether others have changed one since.

use crate::resource::{BadRecord, Record};

/// Whether a row is other than it was known, in anything that a person may have meant: what an edit may set. A date alone is no change, nor
/// is what one of the two does not tell.
///
/// # Errors
/// When a record is no row.
pub fn has_changed(known: &Record, told: &Record) -> Result<bool, BadRecord> {
    let (known, told) = (known.attributes()?, told.attributes()?);
    let mut fields = known.resource().editable_columns();
    Ok(fields.any(|field| known.tells(field) && told.tells(field) && known.get(field) != told.get(field)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_alone_is_no_change_nor_is_what_is_not_told() {
        let has_changed = |known: &str, told: &str| {
            let record = |rest: &str| Record::new(format!("{{\"id\":1{rest}}}"));
            has_changed(&record(known), &record(told)).unwrap()
        };
        assert!(has_changed(r#","phone":"1""#, r#","phone":"2""#));
        assert!(!has_changed(r#","phone":"1""#, r#","phone":"1","date_modified":"2026-01-01T00:00:00Z""#));
        assert!(!has_changed(r#","phone":"1""#, ""));
        assert!(!has_changed(r#","address_count":1"#, r#","address_count":2"#));
        let credit = |amount: &str| format!(",\"store_credit_amounts\":[{{\"amount\":{amount}}}]");
        assert!(!has_changed(&credit("1.50"), &credit("1.5")));
        assert!(has_changed(&credit("1.50"), &credit("2")));
    }
}
