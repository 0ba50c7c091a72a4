//! The edits of the demo: a till's afternoon, half of it through the library, half in plain SQL as an app in another
//! language would do it.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, params};
use tillsync::{CustomerId, Decimal, FieldId, Record, Row, Store, Value};

use super::super::exit::Failed;
use super::super::read;

/// A made-up one, which nothing else holds.
const PASSWORD: &str = "correct-horse-42-battery";
/// The first customer that is edited, and how far apart they are.
const FIRST: usize = 30;
const APART: usize = 61;

/// A customer as the till wants it to be.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) id: CustomerId,
    pub(super) password: Option<&'static str>,
    fields: Vec<(FieldId, Value)>,
}

impl Wish {
    /// Whether the store's record has what was wished for.
    pub(super) fn has_arrived(&self, record: Option<&String>) -> bool {
        let record = record.map(Record::new);
        let attributes = record.as_ref().and_then(|record| record.attributes().ok());
        attributes.is_some_and(|theirs| self.fields.iter().all(|(field, value)| theirs.get(*field) == *value))
    }

    /// Whether two records of the store differ in nothing but that, and the time.
    pub(super) fn changed_nothing_else(&self, before: &str, after: &str) -> bool {
        let (before, after) = (Record::new(before), Record::new(after));
        let (Ok(before), Ok(after)) = (before.attributes(), after.attributes()) else { return false };
        let is_wished = |field| self.fields.iter().any(|(wished, _)| *wished == field);
        let others = FieldId::all().filter(|field| *field != FieldId::DATE_MODIFIED && !is_wished(*field));
        others.into_iter().all(|field| before.get(field) == after.get(field))
    }
}

/// Makes the edits, and tells what they come to, as the till shows it.
pub(super) fn make(path: &Path) -> Result<Vec<Wish>, Failed> {
    let mut store = Store::open_existing(path)?;
    let ids = some_customers(path)?;
    let [phone, email, name, credit, channels, forms, notes, rest @ ..] = &ids[..] else {
        return Err(Failed::unexpected("the sandbox has too few customers"));
    };
    through_the_library(&mut store, [*phone, *email, *name, *credit, *channels, *forms, *notes])?;
    through_sql(path, rest).map_err(|e| Failed::unexpected(format!("SQL: {e}")))?;
    ids.iter().map(|id| wish(&store, *id)).collect()
}

/// Thirteen of them, spread over the file, with something to change in each.
fn some_customers(path: &Path) -> Result<Vec<i64>, Failed> {
    let read = || {
        let connection = Connection::open(path)?;
        let mut statement = connection.prepare(
            "SELECT id FROM customer
             WHERE phone <> '' AND first_name <> '' AND length(company) < 40
               AND json_array_length(form_fields) > 0 AND store_credit_amounts ->> '$[0].amount' > 20
             ORDER BY id",
        )?;
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()
    };
    let ids = read().map_err(|e| Failed::unexpected(format!("SQL: {e}")))?;
    let apart = APART.min(ids.len().saturating_sub(FIRST) / 13).max(1);
    Ok(ids.into_iter().skip(FIRST).step_by(apart).take(13).collect())
}

fn through_the_library(store: &mut Store, ids: [i64; 7]) -> Result<(), Failed> {
    let [phone, email, name, credit, channels, forms, notes] = ids;
    store.edit(phone).set("phone", "+55 11 5550-0142").author("ana").commit()?;
    store.edit(email).set("email", "new.address@example.com").author("ana").commit()?;
    store
        .edit(name)
        .set("last_name", "Ström-Okafor")
        .set("company", "Ström & Töchter")
        .author("ana")
        .commit()?;
    store.edit(credit).adjust_credit(Decimal::new(4315, 2)).author("ana").label("gift card 8").commit()?;
    store.edit(channels).set("channel_ids", "[1,3]").author("ana").commit()?;
    let entries = first_entry_changed(&read::known(store, forms)?);
    store.edit(forms).set("form_fields", &entries).author("ben").commit()?;
    store.edit(notes).set("notes", "アレルギー：落花生。電話は夕方に").author("ben").commit()?;
    Ok(())
}

/// The customer's form fields, one of them with another value.
fn first_entry_changed(row: &Row) -> String {
    let mut value = row.get(FieldId::FORM_FIELDS).clone();
    if let Value::Forms(entries) = &mut value
        && let Some(entry) = entries.values_mut().next()
    {
        *entry = tillsync::FormValue::Text("changed at the till".to_owned());
    }
    value.to_json()
}

/// What any language's SQLite binding can do; the app's own table is in the same transaction.
fn through_sql(path: &Path, ids: &[i64]) -> rusqlite::Result<()> {
    let [sale, reviews, refund, reset, password, back] = ids else { return Ok(()) };
    let mut connection = Connection::open(path)?;
    connection.execute_batch("CREATE TABLE my_sale (customer_id INTEGER, total TEXT)")?;
    let transaction = connection.transaction()?;
    transaction.execute("UPDATE edit_context SET author = 'caixa 2', label = 'sale 1042'", [])?;
    transaction.execute(
        "UPDATE customer SET customer_group_id = customer_group_id + 1, tax_exempt_category = 'Reseller' WHERE id = ?1",
        [sale],
    )?;
    transaction.execute("INSERT INTO my_sale VALUES (?1, '99.90')", [sale])?;
    transaction.execute("UPDATE edit_context SET author = NULL, label = NULL", [])?;
    transaction.commit()?;
    connection.execute(
        "UPDATE customer
         SET accepts_product_review_abandoned_cart_emails = NOT accepts_product_review_abandoned_cart_emails
         WHERE id = ?1",
        [reviews],
    )?;
    connection.execute(
        "INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?1, '12.50')",
        [refund],
    )?;
    connection.execute(
        "UPDATE customer SET force_password_reset = NOT force_password_reset WHERE id = ?1",
        [reset],
    )?;
    connection.execute(
        "INSERT INTO password_change (customer_id, new_password) VALUES (?1, ?2)",
        params![password, PASSWORD],
    )?;
    let phone: String =
        connection.query_row("SELECT phone FROM customer WHERE id = ?1", [back], |row| row.get(0))?;
    connection.execute("UPDATE customer SET phone = 'wrong customer' WHERE id = ?1", [back])?;
    connection.execute("UPDATE customer SET phone = ?2 WHERE id = ?1", params![back, phone])?;
    Ok(())
}

/// Whatever the journal says was edited, with the value the till shows.
fn wish(store: &Store, id: i64) -> Result<Wish, Failed> {
    let row = read::known(store, id)?;
    let edited: BTreeSet<FieldId> =
        store.pending(id)?.iter().filter_map(|edit| FieldId::named(&edit.field)).collect();
    let password = edited.contains(&FieldId::NEW_PASSWORD).then_some(PASSWORD);
    let shown = edited.into_iter().filter(|field| !field.is_secret());
    let fields = shown.map(|field| (field, row.get(field).clone())).collect();
    Ok(Wish { id: CustomerId(id), password, fields })
}
