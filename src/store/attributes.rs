//! What a customer has of each attribute that the shop has defined, for an app: by name, and set like any edit.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use serde::Serialize;

use super::edit::newest_edit;
use super::{Receipt, Store, follow, schema};
use crate::error::{Failure, Result};
use crate::resource::{CustomerId, ResourceId};

/// What a shop wants to know of its customers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// Its number in the store.
    pub id: i64,
    /// What the shop calls it.
    pub name: String,
    /// `string`, `number` or `date`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What a customer has of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttributeValue {
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute's number.
    pub attribute_id: i64,
    /// What the shop calls it; none: its definition is not in the file.
    pub name: Option<String>,
    /// `string`, `number` or `date`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The text, whatever the type.
    pub value: Option<String>,
}

impl Store {
    /// Whether the file keeps this besides customers, such as `attributes`: see [`Store::keep`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_kept(&self, what: &str) -> Result<bool> {
        let kept = self.keeps()?;
        Ok(ResourceId::asked_for(what).any(|resource| kept.contains(&resource)))
    }

    /// The attributes that the shop has defined, as the last pull brought them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn attributes(&self) -> Result<Vec<Attribute>> {
        self.read_at_once(|connection| {
            let all =
                "SELECT id, coalesce(name, ''), coalesce(type, 'string') FROM attribute ORDER BY name, id";
            let mut all = connection.prepare_cached(all)?;
            let all = all.query_map([], |row| {
                Ok(Attribute { id: row.get(0)?, name: row.get(1)?, kind: row.get(2)? })
            })?;
            Ok(all.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What a customer has of each, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn attribute_values(&self, id: impl Into<CustomerId>) -> Result<Vec<AttributeValue>> {
        let id = id.into();
        self.read_at_once(|connection| {
            let mut all = connection.prepare_cached(
                "SELECT v.customer_id, v.attribute_id, a.name, a.type, v.value
                 FROM attribute_value AS v LEFT JOIN attribute AS a ON a.id = v.attribute_id
                 WHERE v.customer_id = ?1
                 ORDER BY a.name, v.attribute_id",
            )?;
            let all = all.query_map([id.0], value)?;
            Ok(all.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Sets what a customer has of some attributes, by their numbers, in one durable transaction: one that is not there yet is made by the
    /// next sync.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let mut store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// let refused = store.set_attribute_values(42, &[(3, "gold")], Some("ana"), None).unwrap_err();
    /// assert!(refused.to_string().contains("this file does not keep attribute values"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When one is refused; nothing is journaled then.
    pub fn set_attribute_values(
        &mut self,
        id: impl Into<CustomerId>,
        values: &[(i64, &str)],
        author: Option<&str>,
        label: Option<&str>,
    ) -> Result<Receipt> {
        let (id, path) = (id.into(), self.path.clone());
        let bytes = values.iter().map(|(_, text)| text.len()).sum();
        self.journal_together(bytes, author, label, |transaction, mut newest, bound| {
            let id = follow::today(transaction, id)?;
            for (attribute, text) in values {
                bound.anew();
                let is_known = set(transaction, id, *attribute, text, &mut newest)?;
                if !is_known && !schema::is_current(transaction)? {
                    let (customer_id, field) = (id, format!("attribute {attribute}"));
                    return Err(Failure::NotJournaled { customer_id, field, path }.into());
                }
            }
            Ok(newest)
        })
    }
}

/// Whether it was journaled, or was there already and is no edit. `newest` is the newest edit before it, and then the newest of all.
fn set(
    connection: &Connection,
    id: CustomerId,
    attribute: i64,
    text: &str,
    newest: &mut i64,
) -> rusqlite::Result<bool> {
    let was = "SELECT value FROM attribute_value WHERE customer_id = ?1 AND attribute_id = ?2";
    let was: Option<Option<String>> =
        connection.prepare_cached(was)?.query_row([id.0, attribute], |row| row.get(0)).optional()?;
    connection
        .prepare_cached(
            "INSERT INTO attribute_value (customer_id, attribute_id, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (customer_id, attribute_id) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![id.0, attribute, text])?;
    let before = std::mem::replace(newest, newest_edit(connection)?);
    Ok(*newest > before || was.flatten().as_deref() == Some(text))
}

fn value(row: &SqlRow<'_>) -> rusqlite::Result<AttributeValue> {
    Ok(AttributeValue {
        customer_id: CustomerId(row.get(0)?),
        attribute_id: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        value: row.get(4)?,
    })
}
