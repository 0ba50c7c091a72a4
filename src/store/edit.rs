//! Edits through the library. They go the way of every other language: plain SQL, journaled by the triggers.

use rusqlite::{Connection, Transaction, TransactionBehavior, named_params, params};
use rust_decimal::Decimal;

use super::steps::Bound;
use super::{Failed, Receipt, Store, follow, row, schema, statements};
use crate::error::{Error, Failure, Result};
use crate::memory;
use crate::resource::{CustomerId, Edit, EditError, EditSeq, FieldId, Value, parse_argument};

/// Edits of one customer, journaled together by [`EditBuilder::commit`], or not at all.
#[derive(Debug)]
#[must_use = "nothing is journaled before `commit`"]
pub struct EditBuilder<'s> {
    store: &'s mut Store,
    id: CustomerId,
    edits: Vec<Edit>,
    refused: Option<EditError>,
    author: Option<String>,
    label: Option<String>,
    overrides_floor: bool,
}

impl Store {
    /// Begins to edit a customer.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let mut store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// let unknown = store.edit(42).set("phone", "555").label("sale 1042").commit();
    /// assert_eq!(unknown.unwrap_err().code(), "unknown_customer");
    /// let refused = store.edit(42).set("date_created", "now").commit();
    /// assert_eq!(refused.unwrap_err().to_string(), "customer 42: date_created: is read-only, the store sets it");
    /// # Ok(())
    /// # }
    /// ```
    pub fn edit(&mut self, id: impl Into<CustomerId>) -> EditBuilder<'_> {
        EditBuilder {
            store: self,
            id: id.into(),
            edits: Vec::new(),
            refused: None,
            author: None,
            label: None,
            overrides_floor: false,
        }
    }

    /// Journals edits of many customers in one durable transaction, all or nothing.
    ///
    /// # Errors
    /// When a customer is not in the file, or an edit is refused; nothing is journaled then.
    pub fn edit_all(
        &mut self,
        edits: &[(CustomerId, Vec<Edit>)],
        author: Option<&str>,
        label: Option<&str>,
    ) -> Result<Receipt> {
        self.edit_as(edits, author, label, None)
    }

    fn edit_as(
        &mut self,
        edits: &[(CustomerId, Vec<Edit>)],
        author: Option<&str>,
        label: Option<&str>,
        allowed_by: Option<&str>,
    ) -> Result<Receipt> {
        let path = self.path.clone();
        let bytes = edits.iter().flat_map(|(_, edits)| edits).map(bytes_of).sum();
        self.journal_together(bytes, author, label, |transaction, mut newest, bound| {
            for (id, edits) in edits {
                bound.anew();
                let id = &follow::today(transaction, *id)?;
                match write_all(transaction, *id, edits, allowed_by, &mut newest)? {
                    Written::Journaled => {}
                    Written::NoSuchCustomer => return Err(Failure::UnknownCustomer(*id).into()),
                    Written::Twice => {
                        return Err(Failure::Misshapen { path, tables: "customer".to_owned() }.into());
                    }
                    Written::Unseen(field) => {
                        let (customer_id, field) = (*id, field.name().to_owned());
                        return Err(Failure::NotJournaled { customer_id, field, path }.into());
                    }
                }
            }
            Ok(newest)
        })
    }

    /// Journals what `edit` writes, texts of so many bytes, in one durable transaction. It is told the newest edit before it, and
    /// tells the newest of its own. Without an author and a label it is signed as the app has set it for itself.
    pub(super) fn journal_together(
        &mut self,
        bytes: usize,
        author: Option<&str>,
        label: Option<&str>,
        edit: impl FnOnce(&Transaction<'_>, i64, &Bound) -> Result<i64, Failed>,
    ) -> Result<Receipt> {
        self.place.look()?;
        self.refuse_overwritten()?;
        if !memory::is_there_for(bytes) {
            return Err(Failure::NoMemory(self.path.clone()).into());
        }
        let bound = self.steps.bound();
        let connection = &mut self.connection;
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let before = newest_edit(&transaction)?;
            let is_signed = author.is_some() || label.is_some();
            if is_signed {
                set_context(&transaction, author, label)?;
            }
            let after = edit(&transaction, before, &bound)?;
            if is_signed {
                set_context(&transaction, None, None)?;
            }
            transaction.commit()?;
            Ok(Receipt { after: EditSeq(before), up_to: EditSeq(after) })
        };
        let done = run().map_err(|failed: Failed| failed.at(&self.path));
        drop(bound);
        done.map_err(|error| self.naming_triggers(error))
    }
}

/// What a text is long.
fn bytes_of(edit: &Edit) -> usize {
    match edit {
        Edit::Set(_, Value::Text(text)) => text.len(),
        _ => 0,
    }
}

impl EditBuilder<'_> {
    /// Sets an attribute, named as in the API. The value is read by the attribute's type: text as it stands, numbers,
    /// `true` or `false`, and JSON for `store_credit_amounts`, `channel_ids` and `form_fields`. `new_password` too.
    pub fn set(mut self, field: &str, value: &str) -> Self {
        match parse_argument(self.id, field, value) {
            Ok(edit) => self.edits.push(edit),
            Err(refused) => _ = self.refused.get_or_insert(refused),
        }
        self
    }

    /// Adds a signed amount to the store credit, with at most four decimal places. It commutes with changes made elsewhere,
    /// and is a payment of its own: it reaches the store exactly once, or waits for a person, in [`Store::rejected`] or
    /// [`Store::conflicts`]. One window stays open, since the API takes only whole balances: what somebody else does to the
    /// same balance between our look at it and our update, some two seconds, is overwritten. See `docs/conflicts.md`.
    pub fn adjust_credit(mut self, amount: Decimal) -> Self {
        self.edits.push(Edit::Adjust(amount));
        self
    }

    /// An edit that was parsed before.
    pub fn with(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Who edits. Default: not told.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// For what, such as `sale 1042`; edits made together share it. Default: not told.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// A payment may take the balance below the floor ([`Store::set_credit_floor`]): the author allows it, and the journal says so
    /// (`allowed_by`). Default: it is refused.
    pub fn override_floor(mut self) -> Self {
        self.overrides_floor = true;
        self
    }

    /// Journals the edits in one durable transaction: they are on the disk when it returns. The receipt tells what
    /// becomes of them, see [`Store::wait`].
    ///
    /// # Errors
    /// When the customer is not in the file, an edit is refused, or a payment would take the balance below the floor; nothing is
    /// journaled then.
    pub fn commit(self) -> Result<Receipt> {
        if let Some(refused) = self.refused {
            return Err(refused.into());
        }
        let author = self.author.as_deref();
        if self.overrides_floor && author.is_none() {
            return Err(Error::usage("an override says who allows it: give an author"));
        }
        let allowed_by = author.filter(|_| self.overrides_floor);
        self.store.edit_as(&[(self.id, self.edits)], author, self.label.as_deref(), allowed_by)
    }
}

/// What the triggers made of the edits of a customer.
enum Written {
    Journaled,
    NoSuchCustomer,
    /// The table holds the customer twice.
    Twice,
    /// The journal does not tell of it, and our triggers are not there.
    Unseen(FieldId),
}

/// An update tells by itself whether there is such a customer. `newest` is the newest edit before these, and then the newest of these.
fn write_all(
    transaction: &Transaction<'_>,
    id: CustomerId,
    edits: &[Edit],
    allowed_by: Option<&str>,
    newest: &mut i64,
) -> rusqlite::Result<Written> {
    let is_update = |edit: &Edit| matches!(edit, Edit::Set(field, _) if !field.is_secret());
    if !edits.first().is_some_and(is_update) {
        match rows_of(transaction, id)? {
            0 => return Ok(Written::NoSuchCustomer),
            1 => {}
            _ => return Ok(Written::Twice),
        }
    }
    for edit in edits {
        match write(transaction, id, edit, allowed_by)? {
            0 if is_update(edit) => return Ok(Written::NoSuchCustomer),
            0 | 1 => {}
            _ => return Ok(Written::Twice),
        }
        let is_journaled;
        (*newest, is_journaled) = journaled_since(transaction, *newest, id, edit.field())?;
        // A value that was there already is no edit; where our triggers are not there, nobody knows what it was.
        if !is_journaled && !schema::is_current(transaction)? {
            return Ok(Written::Unseen(edit.field()));
        }
    }
    Ok(Written::Journaled)
}

/// The newest edit, and whether one of this attribute is among those behind `seq`.
fn journaled_since(
    transaction: &Transaction<'_>,
    seq: i64,
    id: CustomerId,
    field: FieldId,
) -> rusqlite::Result<(i64, bool)> {
    transaction
        .prepare_cached(
            "SELECT coalesce(max(seq), ?1), coalesce(max(customer_id = ?2 AND field = ?3 AND of_resource IS NULL), 0)
             FROM journal
             WHERE seq > ?1",
        )?
        .query_row(params![seq, id.0, field.name()], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Returns how many rows an update met.
fn write(
    transaction: &Transaction<'_>,
    id: CustomerId,
    edit: &Edit,
    allowed_by: Option<&str>,
) -> rusqlite::Result<usize> {
    match edit {
        Edit::Set(field, value) if field.is_secret() => transaction
            .prepare_cached("INSERT INTO password_change (customer_id, new_password) VALUES (?1, ?2)")?
            .execute(params![id.0, row::cell(value)]),
        Edit::Set(field, value) => {
            transaction.prepare_cached(statements::edit(*field))?.execute(params![id.0, row::cell(value)])
        }
        Edit::Adjust(amount) if allowed_by.is_some() => transaction
            .prepare_cached(
                "INSERT INTO store_credit_override (customer_id, amount, allowed_by) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![id.0, amount.to_string(), allowed_by]),
        Edit::Adjust(amount) => transaction
            .prepare_cached("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?1, ?2)")?
            .execute(params![id.0, amount.to_string()]),
    }
}

fn rows_of(transaction: &Transaction<'_>, id: CustomerId) -> rusqlite::Result<i64> {
    let count = "SELECT count(*) FROM customer WHERE id = ?1";
    transaction.prepare_cached(count)?.query_row([id.0], |row| row.get(0))
}

/// The newest place in the journal that was ever given: its row may have been pruned. Where the table does not count, because
/// somebody built it anew, its newest row.
pub(super) fn newest_edit(transaction: &Connection) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(
            "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'journal'), 0),
                        coalesce((SELECT max(seq) FROM journal), 0))",
        )?
        .query_row([], |row| row.get(0))
}

/// Signs the edits that come.
pub(super) fn set_context(
    transaction: &Connection,
    author: Option<&str>,
    label: Option<&str>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE edit_context SET author = :author, label = :label")?
        .execute(named_params! { ":author": author, ":label": label })?;
    Ok(())
}
