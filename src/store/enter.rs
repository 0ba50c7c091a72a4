//! New customers through the library. They go the way of every other language: an `INSERT` that the triggers check and journal.

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use super::edit::{newest_edit, set_context};
use super::{Receipt, Store, row};
use crate::error::{Error, Failure, Result};
use crate::resource::{CustomerId, Edit, EditError, EditSeq, FieldId, Value, parse_argument};

/// A customer who is entered, journaled by [`CreationBuilder::commit`].
#[derive(Debug)]
#[must_use = "nothing is journaled before `commit`"]
pub struct CreationBuilder<'s> {
    store: &'s mut Store,
    edits: Vec<Edit>,
    refused: Option<EditError>,
    author: Option<String>,
    label: Option<String>,
}

/// Customers who were entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// What each is called until the store has given it an id: below zero. It is taken in every call, also later.
    pub ids: Vec<CustomerId>,
    /// Names what was journaled.
    pub receipt: Receipt,
}

impl Store {
    /// Begins to enter a customer whom the store does not have yet: `email`, `first_name` and `last_name` are needed. The next sync
    /// brings it there.
    ///
    /// ```
    /// # fn main() -> tillsync::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let mut store = tillsync::Store::open(folder.path().join("till.db"))?;
    /// let ana = store.create().set("email", "ana@example.com").set("first_name", "Ana").set("last_name", "Reyes");
    /// let entered = ana.author("eva").commit()?;
    /// assert_eq!(entered.ids, [tillsync::CustomerId(-1)]);
    ///
    /// let again = store.create().set("email", "ANA@example.com").set("first_name", "A").set("last_name", "R").commit();
    /// assert_eq!(again.unwrap_err().to_string(), "customer -2: email: is that of customer -1 already");
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(&mut self) -> CreationBuilder<'_> {
        CreationBuilder { store: self, edits: Vec::new(), refused: None, author: None, label: None }
    }

    /// Enters many customers in one durable transaction, all or nothing: each by what is known of it.
    ///
    /// # Errors
    /// When one lacks what is needed, has an address that another customer of the file has, or is refused otherwise; nobody is entered
    /// then.
    pub fn create_all(
        &mut self,
        customers: &[Vec<Edit>],
        author: Option<&str>,
        label: Option<&str>,
    ) -> Result<Entered> {
        self.place.look()?;
        self.refuse_overwritten()?;
        let bound = self.steps.bound();
        let done = self.enter_all(customers, author, label, || bound.anew());
        drop(bound);
        done.map_err(|error| self.naming_triggers(error))
    }

    fn enter_all(
        &self,
        customers: &[Vec<Edit>],
        author: Option<&str>,
        label: Option<&str>,
        anew: impl Fn(),
    ) -> Result<Entered> {
        let run = || {
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let after = newest_edit(&transaction)?;
            set_context(&transaction, author, label)?;
            let mut ids = Vec::with_capacity(customers.len());
            for edits in customers {
                anew();
                ids.push(enter(&transaction, edits)?);
            }
            set_context(&transaction, None, None)?;
            let up_to = newest_edit(&transaction)?;
            transaction.commit()?;
            Ok(Entered { ids, receipt: Receipt { after: EditSeq(after), up_to: EditSeq(up_to) } })
        };
        let entered: Entered = run().map_err(|error| Error::sqlite(&self.path, error))?;
        // Where our triggers are not there, nothing was checked or journaled; the next opening mends them.
        if entered.receipt.fields() < entered.ids.len() {
            let (customer_id, field) = (entered.ids[0], super::create::WHOLE.to_owned());
            return Err(Failure::NotJournaled { customer_id, field, path: self.path.clone() }.into());
        }
        Ok(entered)
    }
}

impl CreationBuilder<'_> {
    /// Sets an attribute, as [`EditBuilder::set`](super::EditBuilder::set) does.
    pub fn set(mut self, field: &str, value: &str) -> Self {
        match parse_argument(CustomerId(-1), field, value) {
            Ok(edit) => self.edits.push(edit),
            Err(refused) => _ = self.refused.get_or_insert(refused),
        }
        self
    }

    /// What was parsed before.
    pub fn with(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Who enters it. Default: not told.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// For what, such as `sale 1042`. Default: not told.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Journals it in one durable transaction: it is on the disk when this returns.
    ///
    /// # Errors
    /// As [`Store::create_all`].
    pub fn commit(self) -> Result<Entered> {
        if let Some(refused) = self.refused {
            return Err(refused.into());
        }
        self.store.create_all(&[self.edits], self.author.as_deref(), self.label.as_deref())
    }
}

/// A password and payments have no column: they come behind the row.
fn enter(connection: &Connection, edits: &[Edit]) -> rusqlite::Result<CustomerId> {
    let id: i64 = connection.prepare_cached("SELECT id FROM new_id")?.query_row([], |row| row.get(0))?;
    let columns: Vec<(FieldId, &Value)> = edits.iter().filter_map(column).collect();
    let names: String = columns.iter().map(|(field, _)| format!(", {field}")).collect();
    let places: String = (2..=columns.len() + 1).map(|place| format!(", ?{place}")).collect();
    let insert = format!("INSERT INTO customer (id{names}) VALUES (?1{places})");
    let values = columns.iter().map(|(_, value)| row::cell(value));
    let values = std::iter::once(ToSqlOutput::from(id)).chain(values);
    connection.prepare_cached(&insert)?.execute(params_from_iter(values))?;
    for edit in edits {
        match edit {
            Edit::Set(field, value) if field.is_secret() => {
                let set = "INSERT INTO password_change VALUES (?1, ?2)";
                connection.prepare_cached(set)?.execute((id, row::cell(value)))?;
            }
            Edit::Adjust(amount) => {
                let pay = "INSERT INTO store_credit_adjustment VALUES (?1, ?2)";
                connection.prepare_cached(pay)?.execute((id, amount.to_string()))?;
            }
            Edit::Set(..) => {}
        }
    }
    Ok(CustomerId(id))
}

fn column(edit: &Edit) -> Option<(FieldId, &Value)> {
    match edit {
        Edit::Set(field, value) if !field.is_secret() => Some((*field, value)),
        _ => None,
    }
}
