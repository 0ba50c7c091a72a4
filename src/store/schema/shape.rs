//! Whether our tables are what the migrations make, as far as anything relies on it.
//!
//! A mapper's migration, or a database tool, builds a table anew as it understands it: without `NOT NULL`, `CHECK` and defaults, with
//! a collation by which two spellings are one value, with other types, in which `0123` becomes 123. So each table is held against
//! the one that the migrations of this build make in memory. One that differs is built anew, with every row, and with the
//! columns, indexes and triggers that an app has put on it. What cannot be (two customers with one id) stays as it is, and is told.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension};

use crate::store::{aside, state};

/// What a table is called while its successor is filled.
const OLD: &str = "tillsync_old";

/// Tables whose rows cannot be had again.
const PRECIOUS: [&str; 2] = ["snapshot", "journal"];

/// A table as it should be.
#[derive(Debug)]
struct Table {
    name: String,
    sql: String,
    traits: Traits,
}

/// What is relied on besides the columns: STRICT, without row ids, and how many checks and collations stand in its text.
#[derive(Debug, PartialEq, Eq)]
struct Traits {
    columns: Vec<Column>,
    is_strict: bool,
    has_no_rowid: bool,
    checks: usize,
    collations: usize,
    counts_on: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    affinity: &'static str,
    is_not_null: bool,
    default: Option<String>,
    key: i64,
    hidden: i64,
}

impl Column {
    fn is(&self, other: &Column) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }
}

/// Made once, in memory.
static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| made().unwrap_or_default());

/// Our tables in whose place somebody has put a view: nothing can be built on it, nor taken out of it without loss.
pub(in crate::store) fn replaced_by_views(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut views = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'")?;
    let views: Vec<String> = views.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let is_ours = |view: &String| TABLES.iter().any(|table| table.name.eq_ignore_ascii_case(view));
    Ok(views.into_iter().filter(is_ours).collect())
}

fn made() -> rusqlite::Result<Vec<Table>> {
    let memory = Connection::open_in_memory()?;
    super::upgrade::tables_into(&memory)?;
    let mut statement = memory.prepare(
        "SELECT name, sql FROM sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'refinery_schema_history'",
    )?;
    let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let tables: Vec<(String, String)> = tables.collect::<rusqlite::Result<_>>()?;
    let table = |(name, sql): (String, String)| {
        let traits = traits(&memory, &name, &sql)?;
        Ok(Table { name, sql, traits })
    };
    tables.into_iter().map(table).collect()
}

/// Tables that are not as they should be, by name.
pub(super) fn misshapen(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for table in TABLES.iter() {
        if !is_fine(connection, table)? {
            names.push(table.name.as_str());
        }
    }
    Ok(names)
}

fn is_fine(connection: &Connection, table: &Table) -> rusqlite::Result<bool> {
    let Some(sql) = sql_of(connection, &table.name)? else { return Ok(false) };
    if sql == table.sql {
        return Ok(true);
    }
    let mut found = traits(connection, &table.name, &sql)?;
    // What an app has added is its own; and nobody relies on their order.
    let place = |column: &Column| table.traits.columns.iter().position(|ours| ours.is(column));
    found.columns.retain(|column| place(column).is_some());
    found.columns.sort_by_key(place);
    found.columns.iter_mut().for_each(|column| column.name.make_ascii_lowercase());
    Ok(found == table.traits)
}

fn sql_of(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?
        .query_row([table], |row| row.get(0))
        .optional()
}

fn traits(connection: &Connection, table: &str, sql: &str) -> rusqlite::Result<Traits> {
    let (is_strict, has_no_rowid) = connection.query_row(
        "SELECT strict, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
        [table],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let words = in_words(sql);
    let count = |word: &str| words.iter().filter(|one| *one == word).count();
    Ok(Traits {
        columns: columns(connection, table)?,
        is_strict,
        has_no_rowid,
        checks: count("CHECK"),
        collations: count("COLLATE"),
        counts_on: count("AUTOINCREMENT") > 0,
    })
}

/// The words of a statement, in capitals, without its comments.
fn in_words(sql: &str) -> Vec<String> {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    let text: String = lines.collect::<Vec<_>>().join(" ").to_uppercase();
    text.split(|sign: char| !sign.is_alphanumeric() && sign != '_').map(str::to_owned).collect()
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)")?;
    let columns = statement.query_map([table], |row| {
        Ok(Column {
            name: row.get(0)?,
            affinity: affinity(&row.get::<_, String>(1)?),
            is_not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            hidden: row.get(5)?,
        })
    })?;
    columns.collect()
}

/// As SQLite has it of a column's type.
fn affinity(kind: &str) -> &'static str {
    let kind = kind.to_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    match () {
        () if has(&["INT"]) => "INTEGER",
        () if has(&["CHAR", "CLOB", "TEXT"]) => "TEXT",
        () if kind.is_empty() || has(&["BLOB"]) => "BLOB",
        () if has(&["REAL", "FLOA", "DOUB"]) => "REAL",
        () => "NUMERIC",
    }
}

/// Builds them anew, inside a transaction, with foreign keys off and without our triggers. What cannot be built is left as it is.
pub(super) fn mend(connection: &Connection) -> rusqlite::Result<()> {
    for table in TABLES.iter() {
        if is_fine(connection, table)? {
            continue;
        }
        if sql_of(connection, &table.name)?.is_none() && PRECIOUS.contains(&table.name.as_str()) {
            continue;
        }
        connection.execute_batch("SAVEPOINT shape")?;
        if let Err(error) = rebuild(connection, table) {
            tracing::warn!(table = table.name, %error, "the table is not as it should be, and cannot be built anew");
            connection.execute_batch("ROLLBACK TO shape")?;
        }
        connection.execute_batch("RELEASE shape")?;
    }
    Ok(())
}

fn rebuild(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let Table { name, sql, traits } = table;
    if sql_of(connection, name)?.is_none() {
        connection.execute_batch(sql)?;
        return first_row(connection, name);
    }
    let theirs = theirs_on(connection, name)?;
    connection.execute_batch(&format!("ALTER TABLE {name} RENAME TO {OLD}; {sql}"))?;
    let found: Vec<Column> =
        columns(connection, OLD)?.into_iter().filter(|column| column.hidden == 0).collect();
    for column in &found {
        if !traits.columns.iter().any(|ours| ours.is(column)) {
            let default = column.default.as_ref().map_or(String::new(), |value| format!(" DEFAULT {value}"));
            let added = format!(
                "ALTER TABLE {name} ADD COLUMN {} {}{default}",
                quoted(&column.name),
                column.affinity
            );
            connection.execute_batch(&added)?;
        }
    }
    let is_customer = name == "customer";
    if is_customer {
        note_lost(connection, &found, &traits.columns)?;
        aside::note_doubles(connection, OLD)?;
    }
    let copied: Vec<(String, String)> = found.iter().map(|column| copied(column, &traits.columns)).collect();
    let into: Vec<&str> = copied.iter().map(|(name, _)| name.as_str()).collect();
    let from: Vec<&str> = copied.iter().map(|(_, value)| value.as_str()).collect();
    connection.execute_batch(&format!(
        "INSERT INTO {name} ({}) SELECT {} FROM {OLD}{}",
        into.join(", "),
        from.join(", "),
        // The newest of two with one id.
        if is_customer {
            " WHERE rowid IN (SELECT max(rowid) FROM tillsync_old WHERE id IS NOT NULL GROUP BY id)"
        } else {
            ""
        }
    ))?;
    if traits.counts_on {
        // Where the old one did not count, on from the newest row.
        connection.execute(
            "UPDATE sqlite_sequence
             SET seq = max(seq, coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?2), 0))
             WHERE name = ?1",
            [name.as_str(), OLD],
        )?;
    }
    connection.execute_batch(&format!("DROP TABLE {OLD}"))?;
    first_row(connection, name)?;
    theirs.iter().try_for_each(|sql| connection.execute_batch(sql))
}

/// Our columns that are not there get their values back when the edits are looked for.
fn note_lost(connection: &Connection, found: &[Column], ours: &[Column]) -> rusqlite::Result<()> {
    let is_lost = |ours: &&Column| !found.iter().any(|column| ours.is(column));
    let lost: Vec<&str> = ours.iter().filter(is_lost).map(|column| column.name.as_str()).collect();
    match lost.is_empty() {
        true => Ok(()),
        false => state::write(connection, super::LOST_COLUMNS, Some(&lost.join(" "))),
    }
}

/// A column and what it gets: where a value must be, and there is none, what stands for that.
fn copied(column: &Column, ours: &[Column]) -> (String, String) {
    let name = quoted(&column.name);
    let must_be = ours.iter().find(|ours| ours.is(column) && ours.is_not_null);
    let value = match must_be.and_then(|ours| ours.default.as_ref()) {
        Some(default) => format!("coalesce({name}, {default})"),
        None => name.clone(),
    };
    (name, value)
}

/// Tables of one row that must be there.
fn first_row(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    match table {
        "edit_context" => connection.execute_batch("INSERT OR IGNORE INTO edit_context (id) VALUES (1)"),
        "engine_guard" => connection.execute_batch(
            "INSERT OR IGNORE INTO engine_guard (id, writing, identity) VALUES (1, 0, random());
             UPDATE engine_guard SET identity = random() WHERE identity IS NULL",
        ),
        _ => Ok(()),
    }
}

/// An app's indexes and triggers on a table. Ours are made again in any case.
fn theirs_on(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema
         WHERE type IN ('index', 'trigger') AND sql IS NOT NULL AND tbl_name = ?1 COLLATE NOCASE
         ORDER BY rowid",
    )?;
    let all = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let all: Vec<(String, String)> = all.collect::<rusqlite::Result<_>>()?;
    Ok(all
        .into_iter()
        .filter(|(name, _)| !super::is_ours(name) && !super::upgrade::is_our_index(name))
        .map(|(_, sql)| sql)
        .collect())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
