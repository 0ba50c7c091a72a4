//! What a conflict or a decision is about. In the file and in commands it is a word; here it is a type.

use std::fmt;

use super::{CustomerId, FieldId, ResourceId, RowId};

/// What a conflict or a decision is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One attribute: `phone`.
    Field(FieldId),
    /// One entry of form fields, by its name: `form_fields.Shoe size`.
    Entry(FieldId, String),
    /// The whole customer, who was deleted remotely: `*`.
    Customer,
    /// What was created here, and exists in the store already: `+`.
    Existing,
    /// What was deleted here, and has changed in the store since: `-`.
    Deletion,
}

impl Subject {
    /// What is said of a word that names nothing.
    pub const NONE: &str = "is no attribute of a customer; one form field is named form_fields.NAME";

    /// Reads the word for it, of a customer; `None`: there is no such thing.
    pub fn named(word: &str) -> Option<Subject> {
        Subject::of(ResourceId::CUSTOMER, word)
    }

    /// The same of a row of any resource.
    pub fn of(resource: ResourceId, word: &str) -> Option<Subject> {
        match word {
            "*" => return Some(Subject::Customer),
            "+" => return Some(Subject::Existing),
            "-" => return Some(Subject::Deletion),
            _ => {}
        }
        if let Some(field) = resource.field(word) {
            return Some(Subject::Field(field));
        }
        let (attribute, entry) = word.split_once('.')?;
        let field = resource.field(attribute).filter(|field| field.has_entries())?;
        Some(Subject::Entry(field, entry.to_owned()))
    }

    /// The word for it among all that is of one customer: of another row than the customer it has that row in it, `address.7.city`.
    pub fn word(&self, row: RowId) -> String {
        match row.beside_its_customer() {
            (Some(resource), Some(id)) => format!("{resource}.{id}.{self}"),
            _ => self.to_string(),
        }
    }

    /// What such a word is about, of all that is of one customer.
    pub fn meant(customer: CustomerId, word: &str) -> Option<(RowId, Subject)> {
        if let Some(subject) = Subject::named(word) {
            return Some((customer.into(), subject));
        }
        let mut parts = word.splitn(3, '.');
        let (resource, row) = (parts.next()?, parts.next()?.parse().ok()?);
        let row = RowId::standing(customer, Some(resource), Some(row))?;
        Some((row, Subject::read(row, word)?))
    }

    /// Reads such a word, of that row.
    pub fn read(row: RowId, word: &str) -> Option<Subject> {
        let own = match row.beside_its_customer() {
            (Some(resource), Some(id)) => word.strip_prefix(&format!("{resource}.{id}."))?,
            _ => word,
        };
        Subject::of(row.resource, own)
    }

    /// The entry of that name.
    pub fn entry(field: FieldId, name: &str) -> Subject {
        Subject::Entry(field, name.to_owned())
    }

    /// The attribute that it is, or is a part of.
    pub fn field(&self) -> Option<FieldId> {
        match self {
            Subject::Field(field) | Subject::Entry(field, _) => Some(*field),
            Subject::Customer | Subject::Existing | Subject::Deletion => None,
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
            Subject::Existing => f.write_str("+"),
            Subject::Deletion => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_written() {
        for word in [
            "*",
            "+",
            "-",
            "phone",
            "form_fields",
            "form_fields.Shoe size",
            "form_fields.a.b",
            "form_fields.",
        ] {
            assert_eq!(Subject::named(word).unwrap().to_string(), word);
        }
        for word in ["", "phone.xyz", "nonsense", "**", "notes.", "form_field.size"] {
            assert_eq!(Subject::named(word), None, "{word}");
        }
    }

    #[test]
    fn a_word_of_another_row_has_that_row_in_it() {
        let ana = CustomerId(42);
        assert_eq!(Subject::meant(ana, "phone"), Some((ana.into(), Subject::named("phone").unwrap())));
        for word in
            ["loyalty_card.7", "loyalty_card.x.number", "nonsense.7.number", "loyalty_card.7.nonsense"]
        {
            assert_eq!(Subject::meant(ana, word), None, "{word}");
        }
        #[cfg(feature = "proof")]
        for word in ["loyalty_card.7.number", "loyalty_card.7.*"] {
            let (row, subject) = Subject::meant(ana, word).unwrap();
            assert_eq!((row.customer, row.row, subject.word(row)), (ana, 7, word.to_owned()));
            assert_eq!(RowId::coded(&row.code()), Some(row));
        }
    }
}
