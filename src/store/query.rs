//! SQL of an app that has no SQLite of its own: one statement at a time, with parameters, on a connection that is the
//! app's alone. A transaction stays open between statements, as on any connection.

use rusqlite::config::DbConfig;
use rusqlite::types::{Value as Cell, ValueRef};
use rusqlite::{ErrorCode, MAIN_DB, Row, Statement, TransactionState};

use super::Store;
use crate::error::{Error, Failure, Result};

/// What stands in a statement's places.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Parameters {
    #[default]
    None,
    /// For `?`, `?1`.
    InOrder(Vec<Cell>),
    /// For `:name`, `@name` and `$name`; the name comes with or without its sign.
    ByName(Vec<(String, Cell)>),
}

/// What a statement answered.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Rows that it inserted, changed or deleted itself; not those of triggers.
    pub(crate) changes: u64,
}

impl Store {
    /// From now on an app's SQL goes over this connection: it must not be able to write past SQLite itself.
    pub(crate) fn is_for_app_sql(&self) -> Result<()> {
        let defended = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true);
        defended.map(drop).map_err(|e| self.error(e))
    }

    /// Whether a transaction is open on this connection; if so, whether it may write.
    pub(crate) fn transaction(&self) -> Option<bool> {
        let writes = || self.connection.transaction_state(Some(MAIN_DB)) == Ok(TransactionState::Write);
        (!self.connection.is_autocommit()).then(writes)
    }

    /// Carries out one statement to its end.
    pub(crate) fn query(&mut self, sql: &str, parameters: &Parameters) -> Result<Table> {
        let before = self.connection.total_changes();
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            bind(&mut statement, parameters)?;
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let mut found = statement.raw_query();
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                rows.push(cells(row, &columns)?);
            }
            Ok((columns, rows))
        };
        let (columns, rows) = run().map_err(|failed| self.query_error(failed))?;
        let has_changed = self.connection.total_changes() != before;
        let changes = if has_changed { self.connection.changes() } else { 0 };
        Ok(Table { columns, rows, changes })
    }

    fn query_error(&self, failed: Misfit) -> Error {
        let error = match failed {
            Misfit::Usage(words) => return Error::usage(words),
            Misfit::Sql(error) => error,
        };
        if matches!(error, rusqlite::Error::MultipleStatement) {
            return Error::usage("one statement a call: the SQL goes on after the first");
        }
        let (words, code) = match &error {
            rusqlite::Error::SqliteFailure(code, Some(words)) => (words.clone(), Some(code.code)),
            rusqlite::Error::SqlInputError { msg, offset, error, .. } => {
                (format!("{msg}, at byte {offset}"), Some(error.code))
            }
            error => (error.to_string(), error.sqlite_error_code()),
        };
        match (code, self.error(error)) {
            (_, error) if error.code() == "refused" => error,
            (Some(ErrorCode::ConstraintViolation), _) => Failure::Constraint(words).into(),
            (Some(ErrorCode::Unknown), _) => Error::usage(format!("the SQL: {words}")),
            (_, error) if error.is_unending() => self.naming_triggers(error),
            (_, error) => error,
        }
    }
}

fn bind(statement: &mut Statement<'_>, parameters: &Parameters) -> Result<(), Misfit> {
    let places = statement.parameter_count();
    match parameters {
        Parameters::None if places == 0 => Ok(()),
        Parameters::None => Err(Misfit::places(places, 0)),
        Parameters::InOrder(cells) if cells.len() != places => Err(Misfit::places(places, cells.len())),
        Parameters::InOrder(cells) => {
            for (place, cell) in cells.iter().enumerate() {
                statement.raw_bind_parameter(place + 1, cell)?;
            }
            Ok(())
        }
        Parameters::ByName(cells) => bind_by_name(statement, cells),
    }
}

/// Each name has its place, and each place its name: a slip of the pen is no NULL.
fn bind_by_name(statement: &mut Statement<'_>, cells: &[(String, Cell)]) -> Result<(), Misfit> {
    let mut is_bound = vec![false; statement.parameter_count()];
    for (name, cell) in cells {
        let spelled = [name.clone(), format!(":{name}"), format!("@{name}"), format!("${name}")];
        let places = spelled.iter().map(|name| statement.parameter_index(name));
        let Some(place) = places.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().next() else {
            return Err(Misfit::Usage(format!("the SQL has no parameter `{name}`")));
        };
        statement.raw_bind_parameter(place, cell)?;
        is_bound[place - 1] = true;
    }
    match is_bound.iter().position(|is_bound| !is_bound) {
        None => Ok(()),
        Some(place) => {
            let name = statement.parameter_name(place + 1).unwrap_or("?");
            Err(Misfit::Usage(format!("the parameter {name} of the SQL has no value")))
        }
    }
}

fn cells(row: &Row<'_>, columns: &[String]) -> Result<Vec<Cell>, Misfit> {
    let cell = |(place, column): (usize, &String)| {
        Ok(match row.get_ref(place)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Integer(number),
            ValueRef::Real(number) => Cell::Real(number),
            ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
            ValueRef::Text(bytes) => Cell::Text(String::from_utf8(bytes.to_vec()).map_err(|_| {
                Misfit::Usage(format!("{column} has text that is not UTF-8: select CAST({column} AS BLOB)"))
            })?),
        })
    };
    columns.iter().enumerate().map(cell).collect()
}

/// Why a statement was not carried out.
enum Misfit {
    Usage(String),
    Sql(rusqlite::Error),
}

impl Misfit {
    fn places(places: usize, values: usize) -> Misfit {
        Misfit::Usage(format!("the SQL has {places} parameters, and {values} values were given"))
    }
}

impl From<rusqlite::Error> for Misfit {
    fn from(error: rusqlite::Error) -> Misfit {
        Misfit::Sql(error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("till.db")).unwrap();
        store.is_for_app_sql().unwrap();
        (folder, store)
    }

    #[test]
    fn parameters_fit_their_places_or_are_refused() {
        let (_folder, mut store) = store();
        let sql = "SELECT :a, @b, $c, :a";
        let of = |names: &[&str]| {
            let cells =
                names.iter().zip(1..).map(|(name, number)| ((*name).to_owned(), Cell::Integer(number)));
            Parameters::ByName(cells.collect())
        };
        let found = store.query(sql, &of(&["a", "@b", "c"])).unwrap();
        assert_eq!(found.rows, [[1, 2, 3, 1].map(Cell::Integer)]);
        let mut refused = |sql: &str, parameters: &Parameters, words: &str| {
            let error = store.query(sql, parameters).unwrap_err();
            assert_eq!((error.code(), error.to_string().as_str()), ("usage", words));
        };
        refused(sql, &of(&["a", "b"]), "the parameter $c of the SQL has no value");
        refused(sql, &of(&["a", "b", "c", "d"]), "the SQL has no parameter `d`");
        refused(sql, &Parameters::None, "the SQL has 3 parameters, and 0 values were given");
        let two = Parameters::InOrder(vec![Cell::Null, Cell::Null]);
        refused("SELECT ?", &two, "the SQL has 1 parameters, and 2 values were given");
        refused(
            "SELECT 1; SELECT 2",
            &Parameters::None,
            "one statement a call: the SQL goes on after the first",
        );
        refused("SELEC 1", &Parameters::None, "the SQL: near \"SELEC\": syntax error, at byte 0");
        refused("COMMIT", &Parameters::None, "the SQL: cannot commit - no transaction is active");
        refused(
            "SELECT CAST(x'ff' AS TEXT) AS it",
            &Parameters::None,
            "it has text that is not UTF-8: select CAST(it AS BLOB)",
        );
    }

    #[test]
    fn what_goes_wrong_has_a_code() {
        let (_folder, mut store) = store();
        let mut code = |sql: &str| store.query(sql, &Parameters::None).map_err(|error| error.code());
        code("CREATE TABLE my_sale (number INTEGER PRIMARY KEY, customer REFERENCES customer (id))").unwrap();
        assert_eq!(code("INSERT INTO my_sale VALUES (1, NULL), (2, NULL) -- two").unwrap().changes, 2);
        assert_eq!(code("INSERT INTO my_sale VALUES (1, NULL)").unwrap_err(), "constraint");
        assert_eq!(code("INSERT INTO my_sale VALUES (3, 7)").unwrap_err(), "constraint");
        assert_eq!(code("INSERT INTO customer (id) VALUES (7)").unwrap_err(), "refused");
        assert_eq!(code("SELECT * FROM nowhere").unwrap_err(), "usage");
        assert_eq!(code("SELECT 1").unwrap().changes, 0);
        code("PRAGMA writable_schema = ON").unwrap();
        assert_eq!(code("DELETE FROM sqlite_schema").unwrap_err(), "usage");
    }

    #[test]
    fn a_transaction_is_known_by_whether_it_writes() {
        let (_folder, mut store) = store();
        let mut after = |sql: &str| {
            store.query(sql, &Parameters::None).unwrap();
            store.transaction()
        };
        assert_eq!(after("SELECT 1"), None);
        assert_eq!(after("BEGIN"), Some(false));
        assert_eq!(after("CREATE TABLE my_sale (number)"), Some(true));
        assert_eq!(after("ROLLBACK"), None);
        assert_eq!(after("BEGIN IMMEDIATE"), Some(true));
    }
}
