//! What a conflict or a decision is about. In the file and in commands it is a word; here it is a type.

use std::fmt;

use super::FieldId;

/// What a conflict or a decision is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One attribute: `phone`.
    Field(FieldId),
    /// One entry of form fields, by its name: `form_fields.Shoe size`.
    Entry(FieldId, String),
    /// The whole customer, who was deleted remotely: `*`.
    Customer,
}

impl Subject {
    /// What is said of a word that names nothing.
    pub const NONE: &str = "is no attribute of a customer; one form field is named form_fields.NAME";

    /// Reads the word for it; `None`: there is no such thing.
    pub fn named(word: &str) -> Option<Subject> {
        if word == "*" {
            return Some(Subject::Customer);
        }
        if let Some(field) = FieldId::named(word) {
            return Some(Subject::Field(field));
        }
        let (attribute, entry) = word.split_once('.')?;
        let field = FieldId::named(attribute).filter(|field| field.has_entries())?;
        Some(Subject::Entry(field, entry.to_owned()))
    }

    /// The entry of that name.
    pub fn entry(field: FieldId, name: &str) -> Subject {
        Subject::Entry(field, name.to_owned())
    }

    /// The attribute that it is, or is a part of.
    pub fn field(&self) -> Option<FieldId> {
        match self {
            Subject::Field(field) | Subject::Entry(field, _) => Some(*field),
            Subject::Customer => None,
        }
    }

    /// Whether it is money.
    pub fn is_money(&self) -> bool {
        self.field().is_some_and(FieldId::is_money)
    }

    /// The name of the entry, if it is one.
    pub fn entry_name(&self) -> Option<&str> {
        match self {
            Subject::Entry(_, name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Field(field) => f.write_str(field.name()),
            Subject::Entry(field, name) => write!(f, "{field}.{name}"),
            Subject::Customer => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_written() {
        for word in ["*", "phone", "form_fields", "form_fields.Shoe size", "form_fields.a.b", "form_fields."]
        {
            assert_eq!(Subject::named(word).unwrap().to_string(), word);
        }
        for word in ["", "phone.xyz", "nonsense", "**", "notes.", "form_field.size"] {
            assert_eq!(Subject::named(word), None, "{word}");
        }
    }
}
