//! Brings a file to this build's schema: its migrations and its triggers, in one transaction.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{SecondsFormat, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, named_params};

use super::{Object, is_ours, names, objects, objects_of_others, objects_with, render, shape};
use crate::resource::ResourceId;
use crate::store::{mend, search, state, stray};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Where we, in the stead of refinery, note the migrations that a file has seen. The name is our own: an app may use refinery
/// for its tables in the same file, and refinery's table is the app's then.
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS tillsync_schema_history(
             version int4 PRIMARY KEY,
             name VARCHAR(255),
             applied_on VARCHAR(255),
             checksum VARCHAR(255));";

/// Where they were noted before: by version and name, for an app may have noted its own beside them.
const OLD_HISTORY: &str = "refinery_schema_history";
const NOTES: &str = "tillsync_schema_history";

/// Goes up with every change of what is rendered, so that of two builds that share a file the newer one has its way.
const REVISION: i64 = 20;

/// The schema from which on all that is not described for apps bears a prefix.
pub(super) const PREFIXED: i64 = 15;

/// What says of a file that it is a till: `till`.
const APPLICATION_ID: i64 = 0x7469_6c6c;

/// Tables whose rows the engine writes with its mark.
const MARKED: [&str; 3] = ["customer", "snapshot", "journal"];

/// The key of `state` under which a file holds what it keeps besides customers.
const KEPT: &str = "keeps";
/// The key of `state` under which a file holds the revision of its triggers.
const TRIGGERS: &str = "triggers";

/// The key of `state` under which stand the tables that are not as they should be, and cannot be built anew.
pub(in crate::store) const MISSHAPEN: &str = "tables_misshapen";

/// The migrations by their numbers: by the names of their files the tenth comes before the second.
fn in_order() -> Vec<refinery::Migration> {
    let mut all = embedded::migrations::runner().get_migrations().clone();
    all.sort_by_key(refinery::Migration::version);
    all
}
/// The key of `state` under which stand the columns of `customer` that were not there and are made again, until they are filled.
pub(in crate::store) const LOST_COLUMNS: &str = "columns_lost";

/// The newest migration of this build.
pub(in crate::store) fn newest() -> i64 {
    embedded::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).max().unwrap_or(0)
}

/// The newest migration that the file has seen; 0: none.
pub(in crate::store) fn history(connection: &Connection) -> rusqlite::Result<i64> {
    if has_columns(connection, NOTES, &["version"])? {
        return noted(connection);
    }
    Ok(old_history(connection)?.last().copied().unwrap_or(0))
}

/// The same of a file that is known to note it where we do.
pub(in crate::store) fn noted(connection: &Connection) -> rusqlite::Result<i64> {
    let newest = "SELECT coalesce(max(version), 0) FROM tillsync_schema_history";
    connection.prepare_cached(newest)?.query_row([], |row| row.get(0))
}

/// Whether the file has seen this migration.
fn has_seen(connection: &Connection, version: i64) -> rusqlite::Result<bool> {
    if !has_columns(connection, NOTES, &["version"])? {
        return Ok(old_history(connection)?.contains(&version));
    }
    connection.prepare("SELECT 1 FROM tillsync_schema_history WHERE version = ?1")?.exists([version])
}

/// The migrations of ours that are noted in refinery's table, in order.
fn old_history(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    if !has_columns(connection, OLD_HISTORY, &["version", "name"])? {
        return Ok(Vec::new());
    }
    let runner = embedded::migrations::runner();
    let is_ours = |(version, name): &(i64, String)| {
        runner.get_migrations().iter().any(|m| i64::from(m.version()) == *version && m.name() == name)
    };
    let noted = format!("SELECT version, coalesce(name, '') FROM {OLD_HISTORY} ORDER BY version");
    let mut statement = connection.prepare(&noted)?;
    let noted = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let noted: Vec<(i64, String)> = noted.collect::<rusqlite::Result<_>>()?;
    Ok(noted.into_iter().filter(is_ours).map(|(version, _)| version).collect())
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let exists =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE)";
    connection.query_row(exists, [name], |row| row.get(0))
}

/// Whether there is such a table, whoever made it, with these columns.
fn has_columns(connection: &Connection, table: &str, columns: &[&str]) -> rusqlite::Result<bool> {
    let there = "SELECT count(*) FROM pragma_table_info(?1) WHERE lower(name) = ?2";
    let mut there = connection.prepare_cached(there)?;
    for column in columns {
        if there.query_row([table, column], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(false);
        }
    }
    has_table(connection, table)
}

/// Whether anything can be noted in the file.
fn has_state(connection: &Connection) -> rusqlite::Result<bool> {
    has_columns(connection, "state", &["key", "value"])
}

/// Our notes, out of refinery's table, which goes where it held no others.
fn move_history(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let is_moved = has_columns(transaction, NOTES, &["version"])?;
    transaction.execute_batch(HISTORY)?;
    if is_moved {
        return Ok(());
    }
    let ours = old_history(transaction)?;
    for version in &ours {
        let take =
            format!("INSERT INTO tillsync_schema_history SELECT * FROM {OLD_HISTORY} WHERE version = ?1");
        transaction.execute(&take, [version])?;
        transaction.execute(&format!("DELETE FROM {OLD_HISTORY} WHERE version = ?1"), [version])?;
    }
    let is_empty = format!("SELECT NOT EXISTS (SELECT 1 FROM {OLD_HISTORY})");
    if !ours.is_empty() && transaction.query_row(&is_empty, [], |row| row.get(0))? {
        transaction.execute_batch(&format!("DROP TABLE {OLD_HISTORY}"))?;
    }
    Ok(())
}

/// Whether the file, which has seen the newest migration, has the triggers and views of this build, in their order, or those of
/// a newer one.
pub(in crate::store) fn is_current(connection: &Connection) -> rusqlite::Result<bool> {
    if revision(connection)? > REVISION {
        return Ok(true);
    }
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY rowid")?;
    let there = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let there: Vec<(String, String)> = there.collect::<rusqlite::Result<_>>()?;
    let ours = there.iter().filter(|(name, _)| is_ours(name)).map(|(name, sql)| (name, sql));
    let kept = kept(connection)?;
    let expected = objects_with(&kept).map(|object| (&object.name, &object.sql));
    let is_whole = ours.eq(expected);
    Ok(is_whole && has_indexes(connection)? && stray::is_marked(connection)? && has_tables(connection)?)
}

/// What the file was told to keep besides customers.
pub(in crate::store) fn kept(connection: &Connection) -> rusqlite::Result<Vec<ResourceId>> {
    if !has_state(connection)? {
        return Ok(Vec::new());
    }
    let mut kept = connection.prepare_cached("SELECT value FROM state WHERE key = ?1")?;
    let kept: Option<String> = kept.query_row([KEPT], |row| row.get(0)).optional()?;
    Ok(kept.unwrap_or_default().split_whitespace().filter_map(ResourceId::named).collect())
}

/// Keeps this resource from now on: its tables, and what guards, checks and journals them. In an app's file its names may be taken:
/// those are returned, and nothing is done then.
pub(in crate::store) fn keep(
    connection: &Connection,
    resource: ResourceId,
) -> rusqlite::Result<Option<String>> {
    let mut kept = kept(connection)?;
    if resource == ResourceId::CUSTOMER || kept.contains(&resource) {
        return Ok(None);
    }
    let made = if resource.spec().is_migrated() { Vec::new() } else { render::tables(resource.spec()) };
    for table in [resource.spec().name, resource.spec().snapshot].into_iter().filter(|_| !made.is_empty()) {
        let is_there = "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'";
        let taken = connection.query_row(is_there, [table], |row| row.get::<_, String>(0)).optional()?;
        if let Some(kind) = taken {
            return Ok(Some(format!("the {kind} {table}")));
        }
    }
    kept.push(resource);
    kept.sort_unstable();
    let names: Vec<&str> = kept.iter().map(|resource| resource.spec().name).collect();
    state::write(connection, KEPT, Some(&names.join(" ")))?;
    made.iter().try_for_each(|sql| connection.execute_batch(sql))?;
    // In the order of all: those behind it are made again.
    let all: Vec<ResourceId> = ResourceId::all().collect();
    for object in objects_of_others(&all).chain(objects_of_others(&[])) {
        connection.execute_batch(&format!("DROP {} IF EXISTS {}", object.kind, object.name))?;
    }
    objects_of_others(&kept).try_for_each(|object| connection.execute_batch(&object.sql))?;
    Ok(None)
}

/// What somebody has put in the place of a table, a view or an index of ours, in words; taken away it would be lost. A table that
/// is virtual is one of its own kind.
pub(in crate::store) fn displaced(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut all = connection.prepare(
        "SELECT CASE WHEN type = 'view' THEN type
                     WHEN rootpage > 0 THEN 'table'
                     ELSE 'virtual table' END, name, sql
         FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY rowid",
    )?;
    let all = all.query_map([], |row| {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let is_ours = row.get::<_, Option<String>>(2)?.is_some_and(|sql| search::is_our_index(&sql));
        let is_theirs = kind == "virtual table" && name.eq_ignore_ascii_case("customer_search") && !is_ours;
        Ok((if is_theirs { "virtual table of other columns".to_owned() } else { kind }, name))
    })?;
    let all: Vec<(String, String)> = all.collect::<rusqlite::Result<_>>()?;
    let misplaced = |(kind, name): &(String, String)| {
        let ours = kind_of(name).filter(|ours| ours != kind)?;
        Some(format!("a {kind} in the place of the {ours} {name}"))
    };
    Ok(all.iter().filter_map(misplaced).collect())
}

/// Tables of ours whose rows cannot be had again, and that are not there; of a file that has seen no migration, the notes of them.
pub(in crate::store) fn lost(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut lost = Vec::new();
    for table in [NOTES].into_iter().chain(shape::PRECIOUS) {
        let is_there = match table {
            NOTES => history(connection)? > 0,
            _ => has_table(connection, table)?,
        };
        if !is_there {
            lost.push(table);
        }
    }
    Ok(lost)
}

/// What of ours has this name.
fn kind_of(name: &str) -> Option<&'static str> {
    let is_it = |one: &str| one.eq_ignore_ascii_case(name);
    let is_view = |object: &Object| object.kind == "VIEW" && is_it(&object.name);
    match () {
        () if is_it("customer_search") => Some("virtual table"),
        () if is_it(NOTES) || shape::names().any(is_it) => Some("table"),
        () if objects().iter().any(is_view) => Some("view"),
        () if INDEXES.iter().any(|index| is_it(&index.name)) => Some("index"),
        () => None,
    }
}

/// Whether our tables are as they should be, but for those of which it is noted that they cannot be.
fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    if !has_state(connection)? {
        return Ok(false);
    }
    let noted = "SELECT value FROM state WHERE key = ?1";
    let noted: Option<String> = connection.query_row(noted, [MISSHAPEN], |row| row.get(0)).optional()?;
    Ok(shape::misshapen(connection)?.join(", ") == noted.unwrap_or_default())
}

/// The tables of a schema, into an empty database.
pub(super) fn tables_into(connection: &Connection, version: i64) -> rusqlite::Result<()> {
    let all = in_order();
    all.iter()
        .filter(|migration| i64::from(migration.version()) <= version)
        .try_for_each(|migration| connection.execute_batch(migration.sql().unwrap_or_default()))
}

/// An app's triggers on our tables, and its indexes that are unique, of an expression, or in an order of the app's own, which may
/// refuse what the engine writes: the name, and the statement; without one where a mapper's `UNIQUE` made it.
pub(in crate::store) fn foreign(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    static FOREIGN: LazyLock<String> = LazyLock::new(|| {
        let others =
            ResourceId::all().map(ResourceId::spec).flat_map(|resource| [resource.name, resource.snapshot]);
        let tables = [
            "journal",
            "conflict",
            "batch",
            "batch_item",
            "pending_password",
            "decision",
            "tillsync_attempt",
        ];
        let tables: Vec<String> = others.chain(tables).map(|table| format!("'{table}'")).collect();
        format!(
            "SELECT name, coalesce(sql, '') FROM sqlite_schema AS object
         WHERE (type = 'trigger'
                OR type = 'index' AND (coalesce(upper(sql) LIKE 'CREATE UNIQUE%', 1) OR upper(sql) LIKE '%WHERE%'
                                       OR EXISTS (SELECT 1 FROM pragma_index_xinfo(object.name)
                                                  WHERE cid = -2 OR upper(coll) NOT IN ('BINARY', 'NOCASE', 'RTRIM'))))
           AND lower(tbl_name) IN ({})
         ORDER BY rowid",
            tables.join(", ")
        )
    });
    let mut statement = connection.prepare_cached(&FOREIGN)?;
    let all = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let all: Vec<(String, String)> = all.collect::<rusqlite::Result<_>>()?;
    Ok(all.into_iter().filter(|(name, _)| !is_ours(name) && !is_our_index(name)).collect())
}

/// The app's triggers, on whatever table of the file: one that is fired by an edit may fire another.
pub(in crate::store) fn foreign_triggers(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let all = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let all: Vec<(String, String)> = all.collect::<rusqlite::Result<_>>()?;
    Ok(all.into_iter().filter(|(name, _)| !is_ours(name)).collect())
}

/// Whether anything of an app's may refuse what the engine writes.
pub(in crate::store) fn has_foreign(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(!foreign(connection)?.is_empty() || shape::may_refuse(connection)? || is_referred_to(connection)?)
}

/// Whether a statement of the app's may take out a customer for another (`OR REPLACE`): none of our indexes of customers is unique.
pub(in crate::store) fn may_replace(connection: &Connection) -> rusqlite::Result<bool> {
    let any = "SELECT EXISTS (SELECT 1 FROM pragma_index_list('customer') WHERE \"unique\")";
    connection.prepare_cached(any)?.query_row([], |row| row.get(0))
}

/// Whether a table of the app's may refer to customers: what goes with one, or is set to nothing, something there may refuse.
fn is_referred_to(connection: &Connection) -> rusqlite::Result<bool> {
    let refers = "SELECT EXISTS (SELECT 1 FROM sqlite_schema
                                 WHERE type = 'table' AND name <> 'batch_item' AND upper(sql) LIKE '%REFERENCES%CUSTOMER%')";
    connection.prepare_cached(refers)?.query_row([], |row| row.get(0))
}

/// The app's tables whose rows keep a customer from going.
pub(in crate::store) fn referring(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT object.name
         FROM (SELECT name FROM sqlite_schema
               WHERE type = 'table' AND upper(sql) LIKE '%REFERENCES%CUSTOMER%') AS object,
              pragma_foreign_key_list(object.name) AS reference
         WHERE lower(reference.\"table\") = 'customer' AND reference.on_delete IN ('NO ACTION', 'RESTRICT')
         ORDER BY object.name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

pub(in crate::store) fn is_our_index(name: &str) -> bool {
    INDEXES.iter().any(|index| index.name == name)
}

#[derive(Debug)]
struct Index {
    name: String,
    /// The statement that makes it, as SQLite keeps it.
    sql: String,
}

/// The indexes of the migrations, each by its name: a table that is built anew loses its own, and a sync names some of them.
static INDEXES: LazyLock<Vec<Index>> = LazyLock::new(|| made_indexes().unwrap_or_default());

fn made_indexes() -> rusqlite::Result<Vec<Index>> {
    let memory = Connection::open_in_memory()?;
    tables_into(&memory, newest())?;
    Ok(indexes(&memory)?.into_iter().map(|(name, sql)| Index { name, sql }).collect())
}

fn has_indexes(connection: &Connection) -> rusqlite::Result<bool> {
    let there = indexes(connection)?;
    Ok(INDEXES.iter().all(|index| there.iter().any(|(name, sql)| *name == index.name && *sql == index.sql))
        && !there.iter().any(|(name, _)| is_misplaced(name)))
}

/// By their names, with their statements.
fn indexes(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement =
        connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// An index that has the name of a table or a view of ours.
fn is_misplaced(index: &str) -> bool {
    kind_of(index).is_some_and(|kind| kind != "index")
}

/// Makes our indexes, and takes away what has the name of one, or of a table or a view of ours: nothing is in an index that is not
/// in its table.
fn mend_indexes(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let is_right = |name: &str, sql: &str| INDEXES.iter().any(|index| index.name == name && index.sql == sql);
    for (name, sql) in indexes(transaction)? {
        if kind_of(&name).is_some() && !is_right(&name, &sql) {
            tracing::warn!(index = name, "it has the name of something of ours, and is taken away");
            transaction.execute_batch(&format!("DROP INDEX \"{}\"", name.replace('"', "\"\"")))?;
        }
    }
    Ok(())
}

/// Whether the file had all of them already, so that one which is not there was taken out by somebody.
pub(in crate::store) fn was_current(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(revision(connection)? == REVISION)
}

/// Whether there is anything in the file at all.
pub(in crate::store) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// By the first bytes of the file, before SQLite goes by them.
pub(in crate::store) fn says_that_it_is_a_till(head: &[u8]) -> bool {
    head.get(68..72)
        .is_some_and(|id| i64::from_be_bytes([0, 0, 0, 0, id[0], id[1], id[2], id[3]]) == APPLICATION_ID)
}

/// Whether a database in which there is nothing yet says that it is another program's.
pub(in crate::store) fn is_claimed(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (id, version) = (number("application_id")?, number("user_version")?);
    Ok(is_empty(connection)? && (version != 0 || ![0, APPLICATION_ID].contains(&id)))
}

/// Whether it is one, or says so of itself.
pub(in crate::store) fn is_till(connection: &Connection) -> rusqlite::Result<bool> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(id == APPLICATION_ID || history(connection)? > 0)
}

/// Whether it holds something, and nothing of a till.
pub(in crate::store) fn is_foreign(connection: &Connection) -> rusqlite::Result<bool> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(id != APPLICATION_ID && history(connection)? == 0 && !is_empty(connection)?)
}

/// All of it or nothing, with the notes that it was done: a till that lost power in between opens as it was. Between the
/// tables of one build and the triggers of another, an edit could go unseen.
pub(in crate::store) fn upgrade(connection: &mut Connection, was_current: bool) -> rusqlite::Result<()> {
    // A table that is built anew takes nothing with it that refers to it.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "legacy_alter_table", true)?;
    let done = in_one_transaction(connection, was_current);
    connection.pragma_update(None, "legacy_alter_table", false)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    done
}

/// `was_current`: something of ours was taken out of a file that had all of it.
fn in_one_transaction(connection: &mut Connection, was_current: bool) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let theirs = take_out(&transaction)?;
    let is_state_lost = history(&transaction)? == newest() && !has_state(&transaction)?;
    mend_indexes(&transaction)?;
    migrate(&transaction)?;
    shape::mend(&transaction)?;
    let left = shape::misshapen(&transaction)?.join(", ");
    // Before the triggers that keep everybody else from writing there.
    state::write(&transaction, MISSHAPEN, Some(left.as_str()).filter(|left| !left.is_empty()))?;
    state::write(&transaction, TRIGGERS, Some(&REVISION.to_string()))?;
    stray::count_on(&transaction)?;
    if was_current || is_state_lost {
        // Nobody knows since when.
        state::write(&transaction, mend::DUE, Some("yes"))?;
    }
    for table in MARKED {
        keep_mark(&transaction, table)?;
    }
    let there = indexes(&transaction)?;
    let missing = INDEXES.iter().filter(|index| !there.iter().any(|(name, _)| *name == index.name));
    let kept = kept(&transaction)?;
    let ours = missing.map(|index| &index.sql).chain(objects_with(&kept).map(|object| &object.sql));
    for sql in ours.chain(&theirs) {
        transaction.execute_batch(sql)?;
    }
    stray::mark(&transaction)?;
    if transaction.pragma_query_value(None, "application_id", |row| row.get::<_, i64>(0))? == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.commit()
}

fn migrate(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    move_history(transaction)?;
    let mut seen = transaction.prepare("SELECT version FROM tillsync_schema_history")?;
    let seen: BTreeSet<i64> = seen.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for migration in in_order().iter().filter(|m| !seen.contains(&i64::from(m.version()))) {
        transaction.execute_batch(migration.sql().unwrap_or_default())?;
        transaction.execute(
            "INSERT INTO tillsync_schema_history (version, name, applied_on, checksum)
             VALUES (:version, :name, :now, :checksum)",
            named_params! {
                ":version": migration.version(),
                ":name": migration.name(),
                ":now": Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true),
                ":checksum": migration.checksum().to_string(),
            },
        )?;
    }
    Ok(())
}

/// A mapper that builds a table anew knows the columns that it was told of, and the mark is not among them.
fn keep_mark(transaction: &Transaction<'_>, table: &str) -> rusqlite::Result<()> {
    let has_it = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = 'engine_mark')";
    if transaction.query_row(has_it, [table], |row| row.get(0))? {
        return Ok(());
    }
    transaction
        .execute_batch(&format!("ALTER TABLE {table} ADD COLUMN engine_mark INTEGER NOT NULL DEFAULT 0"))
}

/// Removes our triggers and views, and with the views what an app has put on them, which is returned.
fn take_out(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<String>> {
    if !has_seen(transaction, PREFIXED)? {
        names::take_out_unprefixed(transaction)?;
    }
    let mut statement = transaction.prepare(
        "SELECT t.name, t.sql
         FROM sqlite_schema AS t
         JOIN sqlite_schema AS v ON v.name = t.tbl_name AND v.type = 'view'
         WHERE t.type = 'trigger'
         ORDER BY t.rowid",
    )?;
    let on_views = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let on_views: Vec<(String, String)> = on_views.collect::<rusqlite::Result<_>>()?;
    let theirs: Vec<_> = on_views.into_iter().filter(|(name, _)| !is_ours(name)).collect();
    for (name, _) in &theirs {
        transaction.execute_batch(&format!("DROP TRIGGER \"{}\"", name.replace('"', "\"\"")))?;
    }
    let all: Vec<ResourceId> = ResourceId::all().collect();
    let all: Vec<&Object> = objects_with(&all).chain(objects_of_others(&[])).collect();
    for object in all.into_iter().rev() {
        transaction.execute_batch(&format!("DROP {} IF EXISTS {}", object.kind, object.name))?;
    }
    Ok(theirs.into_iter().map(|(_, sql)| sql).collect())
}

/// 0: it is not noted, or not to be had.
fn revision(connection: &Connection) -> rusqlite::Result<i64> {
    if !has_state(connection)? {
        return Ok(0);
    }
    let mut statement = connection.prepare("SELECT CAST(value AS INTEGER) FROM state WHERE key = ?1")?;
    Ok(statement.query_row([TRIGGERS], |row| row.get(0)).optional()?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_has_a_number_of_its_own() {
        let runner = embedded::migrations::runner();
        let versions: Vec<_> = runner.get_migrations().iter().map(|m| m.version()).collect();
        assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), versions.len(), "{versions:?}");
    }
}
