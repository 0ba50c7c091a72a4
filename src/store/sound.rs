//! Whether a file is whole, by SQLite's own check; and which row it is that cannot be read.
//!
//! The check holds each index against its table. One that an app has made with a function, a collation or a module of its own cannot be
//! followed here: that is no damage, and says nothing of the rest. Then each table is checked for itself, and those that cannot be
//! are named.

use rusqlite::{Connection, Error as SqlError, ErrorCode, OptionalExtension};

use super::{Store, dirty};
use crate::error::{Error, Failure, is_unreadable};
use crate::resource::CustomerId;

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Depth {
    /// Each page and each row, and each entry of an index.
    Whole,
    /// What an index holds is not held against its table.
    Quick,
}

/// Whether a file is whole, as far as this SQLite can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Soundness {
    /// What is damaged, in SQLite's words; empty: nothing that was looked at.
    pub problems: Vec<String>,
    /// Tables that only the app's own SQLite can check, each with what is missing here.
    pub unchecked: Vec<String>,
}

/// Checks the whole file.
pub(super) fn check(connection: &Connection, depth: Depth) -> rusqlite::Result<Soundness> {
    match problems(connection, depth, None) {
        Err(error) if is_lack(&error) => {}
        checked => return Ok(Soundness { problems: checked?, ..Soundness::default() }),
    }
    let mut found = Soundness::default();
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    for table in names.iter().map(String::as_str).chain(["sqlite_schema"]) {
        match problems(connection, depth, Some(table)) {
            Err(error) if is_lack(&error) => {
                found.unchecked.push(format!("{table} ({})", super::held_up::words(&error)));
            }
            checked => found.problems.extend(checked?),
        }
    }
    Ok(found)
}

fn problems(connection: &Connection, depth: Depth, table: Option<&str>) -> rusqlite::Result<Vec<String>> {
    let name = match depth {
        Depth::Whole => "integrity_check",
        Depth::Quick => "quick_check",
    };
    let of = table.map(|table| format!("(\"{}\")", table.replace('"', "\"\""))).unwrap_or_default();
    let mut check = connection.prepare(&format!("PRAGMA {name}{of}"))?;
    let lines = check.query_map([], |row| row.get::<_, String>(0))?;
    let mut problems: Vec<String> = lines.collect::<rusqlite::Result<_>>()?;
    problems.retain(|line| line != "ok");
    Ok(problems)
}

/// What the statement would call is not there.
pub(super) fn is_lack(error: &SqlError) -> bool {
    let words = super::held_up::words(error);
    code(error) == Some(ErrorCode::Unknown)
        && ["no such function", "unknown function", "no such collation", "no such module"]
            .iter()
            .any(|begin| words.contains(begin))
}

/// SQLite's code, also where the error names the place in the statement.
pub(super) fn code(error: &SqlError) -> Option<ErrorCode> {
    match error {
        SqlError::SqlInputError { error, .. } => Some(error.code),
        error => error.sqlite_error_code(),
    }
}

fn is_of_a_row(error: SqlError) -> bool {
    is_unreadable(&error)
}

impl Store {
    /// Of a row that cannot be read: which that is. What came from the store is read before it comes here, so it is of the file.
    pub(super) fn naming_row(&self, error: Error) -> Error {
        let Some(cause) = error.unreadable() else { return error };
        match self.broken_row() {
            Ok(Some(row)) => {
                Failure::BrokenRow { path: self.path.clone(), row, cause: cause.to_owned() }.into()
            }
            _ => error,
        }
    }

    /// Which row of this customer cannot be read.
    pub(super) fn broken_row_of(&self, id: CustomerId) -> Option<String> {
        let connection = &self.connection;
        let snapshot = || {
            dirty::load_snapshot(connection, id).map(|base| base.map(|base| base.attributes_of(id).is_ok()))
        };
        let of = |table: &str| Some(format!("the row of customer {id} in the table {table}"));
        match () {
            () if snapshot().is_err_and(is_of_a_row) || matches!(snapshot(), Ok(Some(false))) => {
                of("snapshot")
            }
            () if dirty::load_ops(connection, id).is_err_and(is_of_a_row) => of("journal"),
            () if dirty::load_open(connection, id).is_err_and(is_of_a_row) => of("conflict"),
            () if dirty::load_row(connection, id).is_err_and(is_of_a_row) => of("customer"),
            () => match dirty::load(connection, id) {
                Err(SqlError::FromSqlConversionFailure(.., cause)) => {
                    Some(format!("the row of customer {id} in the table customer: {cause}"))
                }
                _ => None,
            },
        }
    }

    fn broken_row(&self) -> rusqlite::Result<Option<String>> {
        let snapshot = "SELECT id FROM snapshot
                        WHERE NOT json_valid(body) OR json_type(body, '$.id') IS NOT 'integer' OR json_extract(body, '$.id') <> id
                        LIMIT 1";
        let broken: Option<i64> = self.connection.query_row(snapshot, [], |row| row.get(0)).optional()?;
        if let Some(id) = broken {
            return Ok(Some(format!("the row of customer {id} in the table snapshot")));
        }
        let waiting = "SELECT DISTINCT customer_id FROM journal WHERE settled_at IS NULL";
        let mut waiting = self.connection.prepare(waiting)?;
        for id in waiting.query_map([], |row| row.get(0))? {
            if let Some(row) = self.broken_row_of(CustomerId(id?)) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}
