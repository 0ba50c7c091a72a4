//! The floors' file: the same tables, columns, indexes and settings, and nothing else: no trigger, no engine.

use std::borrow::Cow;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params};
use serde::Deserialize;
use serde_json::value::RawValue;
use tillsync::Store;

/// The columns of `customer` behind its id.
pub const COLUMNS: &str = "email, first_name, last_name, company, phone, notes, tax_exempt_category, customer_group_id,
     accepts_product_review_abandoned_cart_emails, force_password_reset, store_credit_amounts, channel_ids, form_fields,
     registration_ip_address, origin_channel_id, date_created, date_modified, address_count, attribute_count, addresses,
     attributes, shopper_profile_id, segment_ids";

/// How many these are.
pub const COLUMN_COUNT: usize = 23;

/// An empty file with the tables and the indexes, without the triggers.
pub fn create(path: &Path) -> Connection {
    drop(Store::open(path).unwrap());
    let connection = Connection::open(path).unwrap();
    settings(&connection);
    let drops: String = connection
        .query_row(
            "SELECT group_concat('DROP ' || type || ' IF EXISTS ' || name, '; ')
             FROM sqlite_schema
             WHERE type IN ('trigger', 'view')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    connection.execute_batch(&drops).unwrap();
    connection
}

/// The settings of a till's file.
pub fn settings(connection: &Connection) {
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = 1;
                    PRAGMA foreign_keys = 1; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 20000;";
    connection.execute_batch(settings).unwrap();
    connection.set_prepared_statement_cache_capacity(160);
}

/// A bare file with the rows of a till's.
pub fn of(path: &Path, till: &Path) -> Connection {
    let connection = create(path);
    connection.execute("ATTACH ?1 AS till", [till.to_str().unwrap()]).unwrap();
    let copy = format!(
        "INSERT INTO customer (id, {COLUMNS}) SELECT id, {COLUMNS} FROM till.customer;
         INSERT INTO snapshot SELECT * FROM till.snapshot;
         INSERT INTO journal SELECT * FROM till.journal;"
    );
    connection.execute_batch(&format!("{copy} DETACH till")).unwrap();
    // A log that this has made long would spare the floor what ours pays: writing over it is quicker than adding to it.
    drop(connection);
    let connection = Connection::open(path).unwrap();
    settings(&connection);
    connection
}

/// The row of an edit, and its row in the journal.
pub fn edit(connection: &Connection, id: i64, phone: &str) {
    connection
        .prepare_cached("UPDATE customer SET phone = ?2 WHERE id = ?1")
        .unwrap()
        .execute(params![id, phone])
        .unwrap();
    connection
        .prepare_cached(
            "INSERT INTO journal (customer_id, field, op, value, was, at, author, label)
             VALUES (?1, 'phone', 'set', ?2, ?3, ?4, NULL, NULL)",
        )
        .unwrap()
        .execute(params![id, format!("\"{phone}\""), "\"+49 30 555\"", "2026-01-02T03:04:05.678Z"])
        .unwrap();
}

/// A page, as a typed structure.
#[derive(Deserialize)]
pub struct Page<'a> {
    #[serde(borrow)]
    pub data: Vec<&'a RawValue>,
}

/// A customer, as a typed structure.
#[derive(Deserialize)]
pub struct Customer<'a> {
    pub id: i64,
    #[serde(borrow, default)]
    email: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    first_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    last_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    company: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    phone: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    notes: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tax_exempt_category: Option<Cow<'a, str>>,
    customer_group_id: Option<i64>,
    accepts_product_review_abandoned_cart_emails: Option<bool>,
    authentication: Option<Authentication>,
    #[serde(borrow, default)]
    store_credit_amounts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channel_ids: Option<&'a RawValue>,
    #[serde(borrow, default)]
    form_fields: Option<&'a RawValue>,
    #[serde(borrow, default)]
    registration_ip_address: Option<Cow<'a, str>>,
    origin_channel_id: Option<i64>,
    #[serde(borrow, default)]
    date_created: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    date_modified: Option<Cow<'a, str>>,
    address_count: Option<i64>,
    attribute_count: Option<i64>,
    #[serde(borrow, default)]
    addresses: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    shopper_profile_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    segment_ids: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Authentication {
    force_password_reset: Option<bool>,
}

/// JSON text as a cell.
struct Json<'a>(Option<&'a RawValue>);

impl ToSql for Json<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = self.0.map(RawValue::get).filter(|text| *text != "null");
        Ok(ToSqlOutput::Borrowed(text.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))))
    }
}

/// Upserts the customers of a page.
pub fn upsert_page(connection: &Connection, page: &[u8]) {
    let page: Page<'_> = serde_json::from_slice(page).unwrap();
    for raw in &page.data {
        let customer: Customer<'_> = serde_json::from_str(raw.get()).unwrap();
        upsert(connection, &customer, raw.get());
    }
}

fn upsert(connection: &Connection, c: &Customer<'_>, body: &str) {
    connection
        .prepare_cached(UPSERT)
        .unwrap()
        .execute(params![
            c.id,
            c.email,
            c.first_name,
            c.last_name,
            c.company,
            c.phone,
            c.notes,
            c.tax_exempt_category,
            c.customer_group_id,
            c.accepts_product_review_abandoned_cart_emails,
            c.authentication.as_ref().and_then(|inner| inner.force_password_reset),
            Json(c.store_credit_amounts),
            Json(c.channel_ids),
            Json(c.form_fields),
            c.registration_ip_address,
            c.origin_channel_id,
            c.date_created,
            c.date_modified,
            c.address_count,
            c.attribute_count,
            Json(c.addresses),
            Json(c.attributes),
            c.shopper_profile_id,
            Json(c.segment_ids),
        ])
        .unwrap();
    connection
        .prepare_cached(
            "INSERT INTO snapshot (id, body, date_modified) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body, date_modified = excluded.date_modified",
        )
        .unwrap()
        .execute(params![c.id, body, c.date_modified])
        .unwrap();
}

const UPSERT: &str = "INSERT INTO customer
    (id, email, first_name, last_name, company, phone, notes, tax_exempt_category, customer_group_id,
     accepts_product_review_abandoned_cart_emails, force_password_reset, store_credit_amounts, channel_ids, form_fields,
     registration_ip_address, origin_channel_id, date_created, date_modified, address_count, attribute_count, addresses,
     attributes, shopper_profile_id, segment_ids)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)
    ON CONFLICT (id) DO UPDATE SET
        email = excluded.email, first_name = excluded.first_name, last_name = excluded.last_name,
        company = excluded.company, phone = excluded.phone, notes = excluded.notes,
        tax_exempt_category = excluded.tax_exempt_category, customer_group_id = excluded.customer_group_id,
        accepts_product_review_abandoned_cart_emails = excluded.accepts_product_review_abandoned_cart_emails,
        force_password_reset = excluded.force_password_reset, store_credit_amounts = excluded.store_credit_amounts,
        channel_ids = excluded.channel_ids, form_fields = excluded.form_fields,
        registration_ip_address = excluded.registration_ip_address, origin_channel_id = excluded.origin_channel_id,
        date_created = excluded.date_created, date_modified = excluded.date_modified,
        address_count = excluded.address_count, attribute_count = excluded.attribute_count,
        addresses = excluded.addresses, attributes = excluded.attributes,
        shopper_profile_id = excluded.shopper_profile_id, segment_ids = excluded.segment_ids";
