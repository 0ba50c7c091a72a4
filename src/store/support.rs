//! What somebody who helps wants to know of a file, and nothing that is anybody's business: versions, settings, counts, how the last
//! syncs went, what kinds of edits wait, who holds its locks, and how SQLite would go about the questions that are asked most.
//!
//! Only what stands here goes in: no value of a customer, no name that an app or a person gave, no word of the store, no path. A
//! test looks for a canary in every place that could hold one.

use chrono::Utc;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row as SqlRow, params_from_iter};
use serde_json::{Map, Value, json};

use super::open::beside;
use super::{Holder, Status, Store, read, schema, statements};
use crate::clock::stamp;
use crate::error::{Error, Result};
use crate::resource::ResourceId;

/// Tables of ours whose rows are counted.
const COUNTED: [&str; 10] = [
    "snapshot",
    "customer",
    "journal",
    "batch",
    "batch_item",
    "tillsync_attempt",
    "conflict",
    "pending_password",
    "tillsync_pull_seen",
    "state",
];
/// Keys of `state` that hold times and sizes.
const FACTS: [&str; 13] = [
    "last_pull_at",
    "last_push_at",
    "last_success_at",
    "pull_cursor",
    "pull_clock_told",
    "pull_clock_here",
    "pull_clock_odd",
    "clock_offset_ms",
    "body_limit_bytes",
    "fleet",
    "throttled_since",
    "throttled_until",
    "triggers",
];
const PRAGMAS: [&str; 15] = [
    "application_id",
    "auto_vacuum",
    "cache_size",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "journal_mode",
    "page_count",
    "page_size",
    "recursive_triggers",
    "schema_version",
    "secure_delete",
    "synchronous",
    "user_version",
    "wal_autocheckpoint",
];

impl Store {
    /// A report for support as one JSON object, without a value of a customer, a name that somebody gave, a word of the store,
    /// a path or a secret. `docs/operations.md` has its keys.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn report(&self) -> Result<Value> {
        let read = |work: fn(&Connection) -> rusqlite::Result<Value>| {
            work(&self.connection).map_err(|e| self.error(e))
        };
        Ok(json!({
            "made_at": stamp(Utc::now()),
            "versions": self.versions()?,
            "file": {
                "bytes": self.path.metadata().map_or(0, |file| file.len()),
                "log_bytes": beside(&self.path, "-wal").metadata().map_or(0, |log| log.len()),
                "is_encrypted": self.is_encrypted(),
                "pragmas": read(pragmas)?,
            },
            "status": self.status().map(told).or_else(in_a_word)?,
            "facts": read(facts)?,
            "rows": read(rows)?,
            "waiting": read(waiting)?,
            "conflicts": read(conflicts)?,
            "of_the_app": read(of_the_app)?,
            "locks": {
                "sync": told_holder(self.sync_holder()?),
                "worker": told_holder(self.worker_holder()?),
                "writer": told_holder(self.writer()),
            },
            "syncs": self.past_syncs()?,
            "query_plans": read(plans)?,
        }))
    }

    fn versions(&self) -> Result<Value> {
        Ok(json!({
            "tillsync": env!("CARGO_PKG_VERSION"),
            "sqlite": rusqlite::version(),
            "schema": self.schema_version().map_err(|e| self.error(e))?,
            "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            "features": {
                "sqlcipher": cfg!(feature = "sqlcipher"),
                "keyring": cfg!(feature = "keyring"),
                "ffi": cfg!(feature = "ffi"),
                "extension": cfg!(feature = "extension"),
            },
        }))
    }
}

/// What waits in tables that do not fit, nobody can know.
fn in_a_word(error: Error) -> Result<Value> {
    let word = if error.unreadable().is_some() { "broken_row" } else { error.code() };
    if error.code() == "misshapen" { Ok(json!({ "error": word })) } else { Err(error) }
}

/// The words of an error may be the store's; its code is ours.
fn told(mut status: Status) -> Value {
    let error = status.sync.last_error.take().map(|error| json!({ "code": error.code, "at": error.at }));
    let mut told = json!(status);
    told["sync"]["last_error"] = json!(error);
    told
}

/// What a program is called may say whose it is.
fn told_holder(holder: Option<Holder>) -> Value {
    holder.map_or(Value::Null, |holder| {
        json!({
            "is_working": holder.is_working(),
            "is_stopped": holder.is_stopped,
            "since": holder.since,
            "seen_at": holder.seen_at,
        })
    })
}

fn cell(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
    })
}

fn pragmas(connection: &Connection) -> rusqlite::Result<Value> {
    let ask = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| cell(row, 0));
    named(&PRAGMAS, ask)
}

fn facts(connection: &Connection) -> rusqlite::Result<Value> {
    let sql = "SELECT (SELECT value FROM state WHERE key = ?1)";
    named(&FACTS, |key| connection.query_row(sql, [key], |row| cell(row, 0)))
}

fn rows(connection: &Connection) -> rusqlite::Result<Value> {
    let count =
        |table: &str| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| cell(row, 0));
    named(&COUNTED, count)
}

fn named(names: &[&str], ask: impl Fn(&str) -> rusqlite::Result<Value>) -> rusqlite::Result<Value> {
    let told = names.iter().map(|name| Ok(((*name).to_owned(), ask(name)?)));
    Ok(Value::Object(told.collect::<rusqlite::Result<Map<_, _>>>()?))
}

fn list(connection: &Connection, sql: &str) -> rusqlite::Result<Value> {
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        let cells = names.iter().enumerate().map(|(at, name)| Ok((name.clone(), cell(row, at)?)));
        Ok(Value::Object(cells.collect::<rusqlite::Result<_>>()?))
    })?;
    Ok(Value::Array(rows.collect::<rusqlite::Result<_>>()?))
}

/// What kinds of edits have not settled.
fn waiting(connection: &Connection) -> rusqlite::Result<Value> {
    list(
        connection,
        "SELECT field, op, coalesce(outcome, 'pending') AS outcome, count(*) AS edits,
                count(DISTINCT customer_id) AS customers, min(at) AS oldest_at, max(length(value)) AS longest
         FROM journal INDEXED BY tillsync_journal_unsettled
         WHERE settled_at IS NULL
         GROUP BY 1, 2, 3
         ORDER BY 1, 2, 3",
    )
}

/// What kinds of conflicts are open; a form field's name is somebody's own.
fn conflicts(connection: &Connection) -> rusqlite::Result<Value> {
    list(
        connection,
        "SELECT substr(field, 1, instr(field || '.', '.') - 1) AS field, policy, count(*) AS conflicts,
                min(detected_at) AS oldest_at
         FROM conflict INDEXED BY tillsync_conflict_open
         WHERE resolution IS NULL
         GROUP BY 1, 2
         ORDER BY 1, 2",
    )
}

/// How much of an app's own there is; what it is called is its business.
fn of_the_app(connection: &Connection) -> rusqlite::Result<Value> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name
         FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let (mut triggers_on_ours, mut all) = (0, 0);
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name, table): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        all += 1;
        let is_on_ours = COUNTED.contains(&table.as_str()) || schema::is_ours(&table);
        triggers_on_ours += u64::from(kind == "trigger" && is_on_ours && !schema::is_ours(&name));
    }
    Ok(json!({ "triggers_on_our_tables": triggers_on_ours, "objects_in_all": all }))
}

/// How SQLite goes about the questions that are asked most.
fn plans(connection: &Connection) -> rusqlite::Result<Value> {
    let questions = read::questions()
        .into_iter()
        .chain([("customer", statements::of(ResourceId::CUSTOMER).select.clone())]);
    let plan = |(name, sql): (&str, String)| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
        let steps = statement.query_map(params_from_iter(nothing), |row| row.get::<_, String>(3))?;
        // An index of the app's has a name of the app's.
        let steps = steps.map(|step| step.map(|step| without_names(&step)));
        Ok(json!({ "question": name, "steps": steps.collect::<rusqlite::Result<Vec<_>>>()? }))
    };
    Ok(Value::Array(questions.map(plan).collect::<rusqlite::Result<_>>()?))
}

fn without_names(step: &str) -> String {
    let Some((before, rest)) = step.split_once("INDEX ") else { return step.to_owned() };
    let (index, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let index = if schema::is_our_index(index) { index } else { "of the app" };
    format!("{before}INDEX {index} {rest}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a customer with ten years of history, as of all others, next to nothing is read.
    #[test]
    fn what_is_asked_of_one_customer_reads_no_others_journal() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("till.db")).unwrap();
        let plans = plans(&store.connection).unwrap();
        for question in ["pending", "log of a customer", "balance that was set"] {
            let plan = plans.as_array().unwrap().iter().find(|plan| plan["question"] == question).unwrap();
            let steps = plan["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap());
            for step in steps.filter(|step| step.contains(" journal")) {
                let is_one = step.ends_with("(rowid=?)");
                assert!(is_one || step.contains("(customer_id=?"), "{question}: {step}");
            }
        }
    }

    #[test]
    fn an_index_of_the_apps_is_not_named_whatever_its_name_begins_with() {
        let step = |index: &str| without_names(&format!("SEARCH customer USING INDEX {index} (phone=?)"));
        assert_eq!(
            step("tillsync_customer_phone"),
            "SEARCH customer USING INDEX tillsync_customer_phone (phone=?)"
        );
        for theirs in ["customer_garcia", "journal_of_ana", "sqlite_autoindex_garcia_1"] {
            assert_eq!(step(theirs), "SEARCH customer USING INDEX of the app (phone=?)");
        }
    }
}
