//! The smallest update of one row: what names it, and the attributes that differ.

use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};

use super::SentBase;
use super::merge::written_over;
use super::tidied::is_tidied;
use crate::resource::{Attributes, EditSeq, FieldId, RowId, Value, new_object, object, shown_object};

/// What an adjustment was turned into, so that an upload in doubt can be told apart from one that never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The server's amount that the sum was added to.
    pub before: Decimal,
    /// The absolute amount that is sent.
    pub sent: Decimal,
}

/// What was sent of one row, as it is held against the answer.
#[derive(Clone, Debug)]
pub struct SentRow {
    /// The row.
    pub id: RowId,
    /// The attributes, each as it was in the snapshot and as it was sent; not the password.
    pub fields: Vec<(FieldId, Value, Value)>,
    /// The password that was sent too: it may be in no words of the answer.
    pub password: Option<SecretString>,
    /// What else the file knows of its passwords, for they may have been sent before: nor may those.
    pub other_passwords: Vec<SecretString>,
}

impl SentRow {
    /// A payload, and the snapshot that it was made from.
    pub fn of(payload: &Payload, base: Option<&Attributes<'_>>) -> SentRow {
        let was = |field| base.map_or(Value::Null, |base| base.get(field));
        let fields = payload.fields.iter().map(|(field, value)| (*field, was(*field), value.clone()));
        SentRow {
            id: payload.id,
            fields: fields.collect(),
            password: payload.password.clone(),
            other_passwords: Vec::new(),
        }
    }

    /// How many attributes were sent.
    pub fn count(&self) -> usize {
        self.fields.len() + usize::from(self.password.is_some())
    }

    /// Whether this attribute was sent.
    pub fn carries(&self, field: FieldId) -> bool {
        let is_password = self.password.is_some() && field.is_secret();
        is_password || self.fields.iter().any(|(sent, ..)| *sent == field)
    }

    /// Whether this attribute was sent to change it, and not only because the store wants it said.
    pub fn changes(&self, field: FieldId) -> bool {
        let is_said = |(sent, was, value): &(FieldId, Value, Value)| {
            let is_empty = was.is_null() && value.text() == Some("");
            *sent == field && field.spec().may_be_wanted && (was == value || is_empty)
        };
        self.carries(field) && !self.fields.iter().any(is_said)
    }

    /// The attributes that an answer shows as they were before they were sent, and that is no tidied form of it.
    pub fn unshown(&self, told: &Attributes<'_>) -> Vec<FieldId> {
        let is_unshown = |field: FieldId, was: &Value, sent: &Value| {
            let is_as_before = told.tells(field) && told.get(field) == *was;
            is_as_before && written_over(was, sent) != *was && !is_tidied(field, sent, was)
        };
        let fields = self.fields.iter().filter(|(field, was, sent)| is_unshown(*field, was, sent));
        fields.map(|(field, ..)| *field).collect()
    }

    /// Whether an answer tells of each attribute what became of it, and when: no echo of the question does.
    pub fn is_vouched_for(&self, told: &Attributes<'_>) -> bool {
        let tells = |(field, _, sent): &(FieldId, Value, Value)| {
            told.tells(*field) && !told.shows_none_of(*field, sent)
        };
        told.changed_at_text().is_some() && self.fields.iter().all(tells)
    }
}

/// The smallest update of one row.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// The row.
    pub id: RowId,
    /// The attributes that differ from the snapshot, in the table's order; never the password.
    pub fields: Vec<(FieldId, Value)>,
    /// A new password, if one waits.
    pub password: Option<SecretString>,
    /// Set when the store credit is sent because of adjustments.
    pub credit: Option<Credit>,
    /// What it was computed from: what the snapshot has of these attributes.
    pub base: SentBase,
    /// The journal rows that an accepted upload settles.
    pub covers: Vec<EditSeq>,
}

impl Payload {
    /// The value of an attribute that is sent; none for the password.
    pub fn value(&self, field: FieldId) -> Option<&Value> {
        self.fields.iter().find(|(sent, _)| *sent == field).map(|(_, value)| value)
    }

    /// Whether it changes a balance, or form fields. A store may move those without a newer `date_modified`, so no pull tells of
    /// it: their base is read for this very batch.
    pub fn is_of_undated(&self) -> bool {
        self.fields.iter().any(|(field, _)| field.may_be_undated())
    }

    /// Whether it changes a balance.
    pub fn is_of_money(&self) -> bool {
        self.fields.iter().any(|(field, _)| field.is_money())
    }

    /// Says this attribute too, as the store has it: it wants it in each update.
    pub fn say_too(&mut self, field: FieldId, base: &Attributes<'_>) {
        if self.value(field).is_some() || !base.tells(field) {
            return;
        }
        let was = base.get(field);
        self.base.fields.push((field, was.clone()));
        self.fields.push((field, if was.is_null() { Value::Text(String::new()) } else { was }));
        self.fields.sort_by_key(|(field, _)| field.index());
    }

    /// The newest journal row that is covered.
    pub fn up_to(&self) -> EditSeq {
        self.covers.iter().copied().max().unwrap_or(EditSeq(0))
    }

    /// The JSON object that goes onto the wire.
    pub fn to_json(&self) -> String {
        self.print(self.password.as_ref().map(|secret| Value::Text(secret.expose_secret().to_owned())))
    }

    /// The same with the password shown as `***`: for people and for the file.
    pub fn to_json_redacted(&self) -> String {
        self.print(self.password.as_ref().map(|_| Value::Text("***".to_owned())))
    }

    /// The same with the id that it has here, also of a row that is new, and with whose it is: for people.
    pub fn to_json_shown(&self) -> String {
        let password = self.password.as_ref().map(|_| Value::Text("***".to_owned()));
        let password = self.id.resource.secret().zip(password);
        let all = self.fields.iter().map(|(field, value)| (*field, value));
        shown_object(self.id, all.chain(password.as_ref().map(|(field, value)| (*field, value))))
    }

    fn print(&self, password: Option<Value>) -> String {
        let password = self.id.resource.secret().zip(password);
        let all = self.fields.iter().map(|(field, value)| (*field, value));
        let all = all.chain(password.as_ref().map(|(field, value)| (*field, value)));
        if self.id.is_new() { new_object(self.id, all) } else { object(self.id, all) }
    }
}
