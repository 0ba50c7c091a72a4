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
const VIEWS: [(&str, i64); 7] = [
    ("store_credit_adjustment", 1),
    ("password_change", 1),
    ("customer_state", 10),
    ("sync_state", 10),
    ("customer_credit", 12),
    ("store_credit_override", 12),
    ("to_decide", 13),
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
    Ok(all.iter().filter(is_taken).map(|(kind, name)| format!("the {kind} {name}")).collect())
}

/// All our names, and with which schema each came; of tables and indexes no more is told than whether it came after the one that was
/// found.
fn since(found: i64) -> rusqlite::Result<BTreeMap<String, i64>> {
    let then = made(found)?;
    let made = made(newest())?.into_iter().map(|name| {
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

/// Takes out the triggers and views of the builds before the prefix. A trigger of theirs is known by what stands in each of them, for
/// an app may have taken its name.
pub(super) fn take_out_unprefixed(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    const VIEWS: [&str; 4] = ["refusal", "check_text", "store_credit_scaled", "store_credit_change"];
    let mut triggers = transaction.prepare(
        "SELECT name FROM sqlite_schema
         WHERE type = 'trigger'
           AND (sql LIKE '%tillsync refused: %' OR sql LIKE '%INSERT INTO refusal%' OR sql LIKE '%INSERT INTO check_text%'
                OR sql LIKE '%SELECT writing FROM engine_guard%' OR name LIKE 'customer%number' AND sql LIKE '%IN (''true'', ''false'')%')",
    )?;
    let triggers: Vec<String> = triggers.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for trigger in triggers {
        transaction.execute_batch(&format!("DROP TRIGGER \"{}\"", trigger.replace('"', "\"\"")))?;
    }
    VIEWS.iter().try_for_each(|view| transaction.execute_batch(&format!("DROP VIEW IF EXISTS {view}")))
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
