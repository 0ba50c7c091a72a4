//! Whether our tables are what the migrations make, as far as anything relies on it.
//!
//! A mapper's migration, or a database tool, builds a table anew as it understands it: without `NOT NULL`, `CHECK` and defaults, with
//! a collation by which two spellings are one value, with other types, in which `0123` becomes 123. So each table is held against
//! the one that the migrations of this build make in memory. One that differs is built anew, with every row, and with the
//! columns, constraints, indexes and triggers that an app has put on it: an app's column is judged by nobody, and goes over by its
//! own text. Where that does not fit our table (a type that STRICT does not know) its values go over, and what has none (an index, a
//! generated column) is left out and logged: it never stands in the way. What cannot be built (two customers with one id) stays as
//! it is, and is told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension};

use super::definition::{self, Definition};
use crate::resource::ResourceId;
use crate::store::{aside, state, stray};

/// What a table is called while its successor is filled.
const OLD: &str = "tillsync_old";
/// The rows of an old one that has no row ids, with such.
const ROWS: &str = "tillsync_rows";
/// A table in which it is tried what fits, and which is never seen.
const TRIED: &str = "tillsync_tried";

/// Tables whose rows cannot be had again.
pub(super) const PRECIOUS: [&str; 2] = ["snapshot", "journal"];

/// A table as it should be.
#[derive(Debug)]
struct Table {
    name: String,
    sql: String,
    traits: Traits,
}

/// What is relied on besides our columns: STRICT, without row ids, how many checks and collations stand in the text of ours, what the checks let in, and to what
/// they refer: SQLite has that follow a table that is renamed (`ALTER TABLE batch RENAME TO batch_old`).
#[derive(Debug, PartialEq, Eq)]
struct Traits {
    columns: Vec<Column>,
    is_strict: bool,
    has_no_rowid: bool,
    checks: usize,
    /// The words that they let in.
    allowed: BTreeSet<String>,
    collations: usize,
    counts_on: bool,
    references: Vec<Reference>,
}

/// A column of ours, and the table and column that it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    from: String,
    table: String,
    to: Option<String>,
    on_delete: String,
}

impl Table {
    fn of(connection: &Connection, name: String, sql: String) -> rusqlite::Result<Table> {
        let traits = traits(connection, &name, &sql, |_| true)?;
        Ok(Table { name, sql, traits })
    }

    fn has(&self, column: &str) -> bool {
        self.traits.columns.iter().any(|ours| ours.name.eq_ignore_ascii_case(column))
    }
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

    /// Texts of a column that takes its values, the best first: with its default, without.
    fn for_its_values(&self, is_strict: bool) -> Vec<String> {
        let kind = if is_strict { "ANY" } else { self.affinity };
        let bare = format!("{} {kind}", quoted(&self.name));
        let with_default = self.default.as_ref().map(|default| format!("{bare} DEFAULT ({default})"));
        with_default.into_iter().chain([bare]).collect()
    }

    fn is_generated(&self) -> bool {
        self.hidden != 0
    }
}

/// Made once, in memory.
static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| made().unwrap_or_default());

/// The same of the resources that a file may keep besides customers.
static OTHERS: LazyLock<Vec<(ResourceId, Table)>> = LazyLock::new(|| made_of_others().unwrap_or_default());

/// The tables of this file.
fn tables(connection: &Connection) -> rusqlite::Result<impl Iterator<Item = &'static Table>> {
    let kept = super::kept(connection)?;
    let others = OTHERS.iter().filter(move |(resource, _)| kept.contains(resource));
    Ok(TABLES.iter().chain(others.map(|(_, table)| table)))
}

/// The names of the tables that every file has.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name.as_str())
}

fn made() -> rusqlite::Result<Vec<Table>> {
    let memory = Connection::open_in_memory()?;
    super::upgrade::tables_into(&memory, super::newest())?;
    let mut statement = memory.prepare(
        "SELECT name, sql FROM sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'refinery_schema_history'",
    )?;
    let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let tables: Vec<(String, String)> = tables.collect::<rusqlite::Result<_>>()?;
    tables.into_iter().map(|(name, sql)| Table::of(&memory, name, sql)).collect()
}

fn made_of_others() -> rusqlite::Result<Vec<(ResourceId, Table)>> {
    let memory = Connection::open_in_memory()?;
    let mut others = Vec::new();
    for resource in ResourceId::all().filter(|resource| !resource.spec().is_migrated()) {
        let spec = resource.spec();
        for sql in super::render::tables(spec) {
            memory.execute_batch(&sql)?;
        }
        for name in [spec.name, spec.snapshot] {
            let sql = sql_of(&memory, name)?.unwrap_or_default();
            others.push((resource, Table::of(&memory, name.to_owned(), sql)?));
        }
    }
    Ok(others)
}

/// Tables that are not as they should be, by name.
pub(super) fn misshapen(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for table in tables(connection)? {
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
    let mut found = traits(connection, &table.name, &sql, |column| table.has(column))?;
    // Nobody relies on their order.
    let place = |column: &Column| table.traits.columns.iter().position(|ours| ours.is(column));
    found.columns.sort_by_key(place);
    found.columns.iter_mut().for_each(|column| column.name.make_ascii_lowercase());
    // To what else they refer is the app's.
    found.references.retain(|reference| table.traits.references.contains(reference));
    found.references.dedup();
    Ok(found == table.traits)
}

fn sql_of(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?
        .query_row([table], |row| row.get(0))
        .optional()
}

/// Of the columns that are ours; what an app has added is its own.
fn traits(
    connection: &Connection,
    table: &str,
    sql: &str,
    is_ours: impl Fn(&str) -> bool,
) -> rusqlite::Result<Traits> {
    let (is_strict, has_no_rowid) = (is_strict(connection, table)?, has_no_rowid(connection, table)?);
    let definition = Definition::of(sql);
    let theirs = theirs_in(&definition, &is_ours);
    let all = definition.columns.iter().map(|(_, text)| text).chain(&definition.constraints);
    let ours = all.filter(|text| !theirs.contains(text));
    let ours: Vec<&&str> = ours.collect();
    let checked = ours.iter().filter(|text| definition::words(text).any(|word| word == "CHECK"));
    let allowed = checked.flat_map(|text| definition::texts(text)).collect();
    let words: Vec<String> = ours.iter().flat_map(|text| definition::words(text)).collect();
    let count = |word: &str| words.iter().filter(|one| *one == word).count();
    let mut columns = columns(connection, table)?;
    columns.retain(|column| is_ours(&column.name));
    Ok(Traits {
        columns,
        is_strict,
        has_no_rowid,
        checks: count("CHECK"),
        allowed,
        collations: count("COLLATE"),
        counts_on: count("AUTOINCREMENT") > 0,
        references: references(connection, table)?,
    })
}

fn references(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Reference>> {
    let mut statement = connection.prepare(
        "SELECT lower(\"from\"), lower(\"table\"), lower(\"to\"), on_delete FROM pragma_foreign_key_list(?1) ORDER BY 1, 2, 3, 4",
    )?;
    let references = statement.query_map([table], |row| {
        Ok(Reference { from: row.get(0)?, table: row.get(1)?, to: row.get(2)?, on_delete: row.get(3)? })
    })?;
    references.collect()
}

fn is_strict(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let strict = "SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
    connection.query_row(strict, [table], |row| row.get(0))
}

fn has_no_rowid(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let wr = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
    connection.query_row(wr, [table], |row| row.get(0))
}

/// The texts of an app's columns, and of the constraints that name one.
fn theirs_in<'a>(definition: &Definition<'a>, is_ours: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let columns: Vec<_> = definition.columns.iter().filter(|(name, _)| !is_ours(name)).collect();
    let names_one = |text: &&&str| {
        let names = definition::names(text);
        columns.iter().any(|(name, _)| names.contains(&name.to_lowercase()))
    };
    let constraints = definition.constraints.iter().filter(names_one);
    columns.iter().map(|(_, text)| text).chain(constraints).copied().collect()
}

/// Whether an app's columns or constraints in one of our tables may refuse what the engine writes of a customer.
pub(super) fn may_refuse(connection: &Connection) -> rusqlite::Result<bool> {
    const REFUSE: [&str; 6] = ["NOT", "CHECK", "UNIQUE", "PRIMARY", "REFERENCES", "AS"];
    for table in tables(connection)? {
        let Some(sql) = sql_of(connection, &table.name)? else { continue };
        if sql == table.sql {
            continue;
        }
        let theirs = theirs_in(&Definition::of(&sql), |column| table.has(column));
        let mut words = theirs.iter().flat_map(|text| definition::words(text));
        if words.any(|word| REFUSE.contains(&word.as_str())) {
            return Ok(true);
        }
    }
    Ok(false)
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
    for table in tables(connection)? {
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
    keep_in_doubt(connection)
}

/// An update of which only the items are left, its batch having been dropped or renamed, may have been on its way: it is in doubt, as of
/// now, and is read back before any of it is sent again.
fn keep_in_doubt(connection: &Connection) -> rusqlite::Result<()> {
    let batches = "INSERT INTO batch (id, sent_at)
                   SELECT DISTINCT batch_id, strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM batch_item
                   WHERE batch_id NOT IN (SELECT id FROM batch)";
    if !stands(connection, batches)? {
        tracing::warn!(
            "the updates that were on their way cannot be told apart: a table of them does not fit"
        );
    }
    Ok(())
}

fn rebuild(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let Table { name, sql, traits } = table;
    let Some(found) = sql_of(connection, name)? else {
        connection.execute_batch(sql)?;
        return first_row(connection, name);
    };
    let theirs = theirs_on(connection, name)?;
    connection.execute_batch(&format!("ALTER TABLE {name} RENAME TO {OLD}"))?;
    let mut rows = OLD;
    if name == "customer" {
        if has_no_rowid(connection, OLD)? {
            connection.execute_batch(&format!("CREATE TABLE {ROWS} AS SELECT * FROM {OLD}"))?;
            rows = ROWS;
        }
        note_lost(connection, &columns(connection, OLD)?, &traits.columns)?;
        aside::note_doubles(connection, rows)?;
    }
    connection.execute_batch("SAVEPOINT filled")?;
    if let Err(error) = fill(connection, table, rows, &carried(connection, table, &found, true)?) {
        tracing::warn!(table = name, %error, "its rows do not fit what an app demands of its own columns");
        connection.execute_batch("ROLLBACK TO filled")?;
        fill(connection, table, rows, &carried(connection, table, &found, false)?)?;
    }
    connection.execute_batch("RELEASE filled")?;
    if traits.counts_on {
        // Where the old one did not count, on from the newest row.
        connection.execute(
            "UPDATE sqlite_sequence
             SET seq = max(seq, coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?2), 0))
             WHERE name = ?1",
            [name.as_str(), OLD],
        )?;
    }
    connection.execute_batch(&format!("DROP TABLE {OLD}; DROP TABLE IF EXISTS {ROWS}"))?;
    first_row(connection, name)?;
    for sql in theirs {
        let what = sql.lines().next().unwrap_or_default();
        if !stands(connection, &sql)? {
            tracing::warn!(table = name, what, "cannot be made again on the table, which was built anew");
        }
    }
    Ok(())
}

/// Runs it, or leaves everything as it was.
fn stands(connection: &Connection, sql: &str) -> rusqlite::Result<bool> {
    connection.execute_batch("SAVEPOINT stands")?;
    let done = connection.execute_batch(sql);
    let stands = done.is_ok();
    if !stands {
        // A trigger of the app's may have ended the transaction, and the savepoint with it.
        if connection.is_autocommit() {
            return done.map(|()| false);
        }
        connection.execute_batch("ROLLBACK TO stands")?;
    }
    connection.execute_batch("RELEASE stands")?;
    Ok(stands)
}

/// What an app has added to a table, as our table takes it.
#[derive(Debug, Default)]
struct Carried {
    columns: Vec<String>,
    constraints: Vec<String>,
}

impl Carried {
    fn into(&self, sql: &str) -> String {
        Definition::of(sql).with(&self.columns, &self.constraints)
    }

    /// Whether our table can be made so: under a name of its own, and gone again.
    fn fits(&self, connection: &Connection, table: &Table) -> rusqlite::Result<bool> {
        let sql = self.into(&table.sql).replacen(&table.name, TRIED, 1);
        stands(connection, &format!("{sql}; DROP TABLE {TRIED}"))
    }

    /// Takes the first of these that fits; whether one did.
    fn take(
        &mut self,
        connection: &Connection,
        table: &Table,
        texts: impl IntoIterator<Item = String>,
    ) -> rusqlite::Result<bool> {
        for text in texts {
            self.columns.push(text);
            if self.fits(connection, table)? {
                return Ok(true);
            }
            self.columns.pop();
        }
        Ok(false)
    }
}

/// Each by its own text; a column that does not fit so, for its values only. Nothing but values where not even the rows fit.
fn carried(
    connection: &Connection,
    table: &Table,
    found: &str,
    by_their_text: bool,
) -> rusqlite::Result<Carried> {
    let found = Definition::of(found);
    let text_of = |column: &Column| {
        let text = found.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name));
        text.map(|(_, text)| (*text).to_owned()).filter(|_| by_their_text)
    };
    let mut columns = columns(connection, OLD)?;
    columns.retain(|column| !table.has(&column.name));
    let (left, values): (Vec<Column>, Vec<Column>) =
        columns.into_iter().partition(|column| column.is_generated());
    let mut left = VecDeque::from(left);
    let mut carried = Carried::default();
    for column in values {
        let texts = text_of(&column).into_iter().chain(column.for_its_values(table.traits.is_strict));
        carried.take(connection, table, texts)?;
    }
    // A generated one may be made from another that stands behind it.
    let mut in_vain = 0;
    while in_vain < left.len()
        && let Some(column) = left.pop_front()
    {
        if carried.take(connection, table, text_of(&column))? {
            in_vain = 0;
        } else {
            left.push_back(column);
            in_vain += 1;
        }
    }
    for column in left {
        tracing::warn!(
            table = table.name,
            column = column.name,
            "is generated, does not fit, and is left out"
        );
    }
    let theirs = theirs_in(&found, |column| table.has(column));
    for constraint in found.constraints.iter().filter(|one| by_their_text && theirs.contains(one)) {
        carried.constraints.push((*constraint).to_owned());
        if !carried.fits(connection, table)? {
            carried.constraints.pop();
        }
    }
    Ok(carried)
}

/// Makes our table, with what is carried, and fills it with the rows of the old one.
fn fill(connection: &Connection, table: &Table, rows: &str, carried: &Carried) -> rusqlite::Result<()> {
    let Table { name, sql, traits } = table;
    connection.execute_batch(&carried.into(sql))?;
    let into: Vec<Column> = columns(connection, name)?;
    let is_filled = |column: &Column| into.iter().any(|one| !one.is_generated() && one.is(column));
    let found = columns(connection, OLD)?.into_iter().filter(is_filled);
    let (into, from): (Vec<String>, Vec<String>) =
        found.map(|column| copied(&column, &traits.columns)).unzip();
    // The newest of two with one id.
    let newest = format!(" WHERE rowid IN (SELECT max(rowid) FROM {rows} WHERE id IS NOT NULL GROUP BY id)");
    connection.execute_batch(&format!(
        "INSERT INTO {name} ({}) SELECT {} FROM {rows}{}",
        into.join(", "),
        from.join(", "),
        if name == "customer" { &newest } else { "" }
    ))
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
        "tillsync_guard" => stray::restore_guard(connection),
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
