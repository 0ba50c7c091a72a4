//! Our names in a file, and who else bears one.
//!
//! What is nobody's but the engine's bears the prefix `tillsync_`; what docs/sql.md describes for apps bears a plain name, which an app
//! may have given to something of its own: before its file became a till, or before a version of ours came that needs the name. So
//! before anything is made it is asked whose the names are. Tables, views and indexes share one space of names; triggers have their own,
//! and ours bear the prefix.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction};

use super::upgrade::{self, PREFIXED};
use super::{newest, objects};

/// What `tillsync_guard` was called before the prefix.
pub(in crate::store) const GUARD_ONCE: &str = "engine_guard";

/// The views with plain names, and the schema with which each came.
const VIEWS: [(&str, i64); 9] = [
    ("store_credit_adjustment", 1),
    ("password_change", 1),
    ("customer_state", 10),
    ("sync_state", 10),
    ("customer_credit", 12),
    ("store_credit_override", 12),
    ("to_decide", 13),
    ("new_id", 21),
    ("customer_by_any_id", 21),
];

/// The index of the search and the tables that FTS5 keeps for it, made by the first search of a file.
const SEARCH: [&str; 5] = [
    "customer_search",
    "customer_search_data",
    "customer_search_idx",
    "customer_search_content",
    "customer_search_config",
];
/// The schema from which on there may be one.
const SEARCHED: i64 = 11;

/// What bears a name that came after the schema of the file (0: it has none), and so is not ours, by its kind and name.
pub(in crate::store) fn taken(connection: &Connection, found: i64) -> rusqlite::Result<Vec<String>> {
    if found == newest() {
        return Ok(Vec::new());
    }
    let since = since(found)?;
    let mut statement = connection.prepare(
        "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view', 'index') ORDER BY rowid",
    )?;
    let all = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let all: Vec<(String, String)> = all.collect::<rusqlite::Result<_>>()?;
    let is_taken = |(_, name): &&(String, String)| {
        since.get(&name.to_ascii_lowercase()).is_some_and(|since| *since > found)
    };
    let named = all.iter().filter(is_taken).map(|(kind, name)| format!("the {kind} {name}"));
    Ok(named.chain(taken_columns(connection, found)?).collect())
}

/// The same of columns that an app has put into tables of ours.
fn taken_columns(connection: &Connection, found: i64) -> rusqlite::Result<Vec<String>> {
    let then = columns(found)?;
    let mut is_there =
        connection.prepare("SELECT 1 FROM pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE")?;
    let mut taken = Vec::new();
    for (table, column) in columns(newest())? {
        let is_new =
            then.iter().any(|(of, _)| *of == table) && !then.contains(&(table.clone(), column.clone()));
        if is_new && is_there.exists([&table, &column])? {
            taken.push(format!("the column {column} of {table}"));
        }
    }
    Ok(taken)
}

/// All our names, and with which schema each came; of tables and indexes no more is told than whether it came after the one that was
/// found. With them what only schemas in between have, through which an older file goes.
fn since(found: i64) -> rusqlite::Result<BTreeMap<String, i64>> {
    let then = made(found)?;
    let on_the_way = if found == 0 { newest() } else { found + 1 };
    let mut names = BTreeSet::new();
    for version in on_the_way..=newest() {
        names.extend(made(version)?);
    }
    let made = names.into_iter().map(|name| {
        let since = if then.contains(&name) { found } else { newest() };
        (name, since)
    });
    let views = objects().iter().filter(|ours| ours.kind == "VIEW").map(|ours| {
        let plain = VIEWS.iter().find(|(name, _)| *name == ours.name);
        (ours.name.clone(), plain.map_or(PREFIXED, |(_, since)| *since))
    });
    let search = SEARCH.iter().map(|name| ((*name).to_owned(), SEARCHED));
    Ok(made.chain(views).chain(search).collect())
}

/// The tables and indexes of a schema.
fn made(version: i64) -> rusqlite::Result<BTreeSet<String>> {
    let memory = Connection::open_in_memory()?;
    upgrade::tables_into(&memory, version)?;
    let mut names = memory.prepare("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")?;
    names.query_map([], |row| row.get(0))?.collect()
}

/// The columns of the tables of a schema, by table.
fn columns(version: i64) -> rusqlite::Result<BTreeSet<(String, String)>> {
    let memory = Connection::open_in_memory()?;
    upgrade::tables_into(&memory, version)?;
    let mut columns = memory.prepare(
        "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c WHERE t.type = 'table'",
    )?;
    columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// What the triggers of the builds before the prefix were called, whatever their schema.
const TRIGGERS_ONCE: &str = "\
    attempt_delete attempt_insert attempt_update batch_delete batch_insert batch_item_delete \
    batch_item_insert batch_item_update batch_update check_text_insert conflict_delete conflict_insert \
    conflict_update customer_accepts_product_review_abandoned_cart_emails \
    customer_accepts_product_review_abandoned_cart_emails_is_journaled \
    customer_accepts_product_review_abandoned_cart_emails_number customer_address_count \
    customer_addresses customer_attribute_count customer_attributes customer_channel_ids \
    customer_channel_ids_is_journaled customer_company customer_company_is_valid \
    customer_customer_group_id customer_customer_group_id_is_journaled customer_date_created \
    customer_date_modified customer_delete customer_email customer_email_is_valid customer_first_name \
    customer_first_name_is_valid customer_force_password_reset \
    customer_force_password_reset_is_journaled customer_force_password_reset_number customer_form_fields \
    customer_form_fields_is_journaled customer_id customer_insert customer_last_name \
    customer_last_name_is_valid customer_notes customer_notes_is_valid customer_origin_channel_id \
    customer_phone customer_phone_is_valid customer_read_only customer_registration_ip_address \
    customer_replace customer_segment_ids customer_shopper_profile_id customer_store_credit_amounts \
    customer_store_credit_amounts_is_journaled customer_tax_exempt_category \
    customer_tax_exempt_category_is_valid decision_delete decision_insert decision_update \
    edit_context_delete edit_context_insert edit_context_update engine_guard_delete engine_guard_insert \
    journal_delete journal_insert journal_update password_change_insert password_change_is_journaled \
    pending_password_delete pending_password_insert pending_password_update refusal_insert \
    snapshot_delete snapshot_insert snapshot_update store_credit_adjustment_insert \
    store_credit_adjustment_is_journaled store_credit_change_insert store_credit_change_is_journaled \
    store_credit_override_insert store_credit_override_is_journaled";

/// What stood in each of them.
const IN_TRIGGERS_ONCE: [&str; 6] = [
    "tillsync refused: ",
    "INSERT INTO refusal\n",
    "INSERT INTO refusal ",
    "INSERT INTO check_text ",
    "SELECT writing FROM engine_guard",
    "IN ('true', 'false')",
];

/// The views of those builds that bear the prefix since, and how the text of each began.
const VIEWS_ONCE: [(&str, &str); 4] = [
    ("refusal", "CREATE VIEW refusal (who, problem) AS"),
    ("check_text", "CREATE VIEW check_text (customer_id, field, least, most, value) AS"),
    ("store_credit_scaled", "CREATE VIEW store_credit_scaled (customer_id, "),
    ("store_credit_change", "CREATE VIEW store_credit_change (customer_id, amount, balance"),
];

/// Takes out the triggers and views of the builds before the prefix: what is called as one of them, and reads like it. An app may have
/// taken the name, or write the same words in a trigger of its own: that stays.
pub(super) fn take_out_unprefixed(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY type, rowid",
    )?;
    let all = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let all: Vec<(String, String, String)> = all.collect::<rusqlite::Result<_>>()?;
    for (kind, name, _) in all.iter().filter(|(kind, name, sql)| was_ours(kind, name, sql)) {
        transaction.execute_batch(&format!("DROP {kind} IF EXISTS {name}"))?;
    }
    Ok(())
}

fn was_ours(kind: &str, name: &str, sql: &str) -> bool {
    if kind == "view" {
        return VIEWS_ONCE.iter().any(|(view, begun)| *view == name && sql.starts_with(begun));
    }
    TRIGGERS_ONCE.split_whitespace().any(|once| once == name)
        && IN_TRIGGERS_ONCE.iter().any(|words| sql.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bears_no_prefix_is_described_for_apps() {
        let described = include_str!("../../../docs/sql.md");
        let (_, names) = described.split_once("## What is whose").unwrap_or_default();
        let all = since(0).unwrap_or_default();
        assert!(all.len() > 30, "{all:?}");
        for name in all.keys() {
            let is_named = names.contains(&format!("`{name}`"));
            assert!(is_named || name.starts_with("tillsync_") && names.contains("`tillsync_…`"), "{name}");
        }
        let triggers = objects().iter().filter(|ours| ours.kind == "TRIGGER");
        triggers.for_each(|trigger| assert!(trigger.name.starts_with("tillsync_"), "{}", trigger.name));
        let views =
            objects().iter().filter(|ours| ours.kind == "VIEW" && !ours.name.starts_with("tillsync_"));
        for view in views {
            assert!(
                VIEWS.iter().any(|(name, _)| *name == view.name),
                "with which schema came {}?",
                view.name
            );
        }
    }
}
