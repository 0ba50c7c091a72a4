//! SQL of the app, for one that has no SQLite of its own: a statement and its parameters in, rows out, as JSON.
//!
//! | SQLite | JSON |
//! |---|---|
//! | INTEGER | a number without point or exponent, all 64 bits of it |
//! | REAL | a number with a point or exponent, exact; `9e999` and `-9e999` for the infinities, which JSON has not |
//! | TEXT | a string |
//! | BLOB | `{"hex":"00ff"}` |
//! | NULL | `null` |
//!
//! `true` and `false` go in as 1 and 0. Nothing is rounded and nothing is guessed: what has no exact counterpart is
//! refused.
//!
//! A till has one connection for it. A transaction belongs to the thread that began it: other threads wait for its end, as
//! other connections would, and none slips into it. One that a thread left open when it ended can be committed by nobody: the next call to
//! the till rolls it back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use rusqlite::types::Value as Cell;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Refusal;
use super::till::{Till, lock};
use crate::error::{Error, Failure, Result};
use crate::store::{Parameters, Store, Table};

/// For so long a statement waits for another thread's transaction.
const WAIT: Duration = Duration::from_secs(10);
/// How soon it notices that the thread has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

thread_local! {
    /// Goes with the thread, whichever language has made that.
    static LIFE: Arc<()> = Arc::default();
}

/// The app's connection, and whose it is just now.
#[derive(Default)]
pub(super) struct Desk {
    turn: Mutex<Option<Turn>>,
    is_free: Condvar,
    store: Mutex<Option<Store>>,
}

/// A thread is at work, or has a transaction open.
struct Turn {
    of: ThreadId,
    life: Weak<()>,
    holds: Holds,
}

/// What keeps others waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// A statement outside any transaction, which ends by itself.
    Statement,
    /// A transaction, which reads so far.
    Reading,
    Writing,
}

impl Turn {
    fn mine(holds: Holds) -> Turn {
        let life = LIFE.try_with(Arc::downgrade).unwrap_or_default();
        Turn { of: std::thread::current().id(), life, holds }
    }

    fn writes(&self) -> bool {
        self.holds == Holds::Writing
    }

    /// What another thread is told that has waited for it in vain.
    fn refusal(&self, path: PathBuf) -> Failure {
        match self.holds {
            Holds::Statement => Failure::AtWork(path),
            Holds::Reading | Holds::Writing => Failure::LeftOpen(path),
        }
    }

    fn is_anothers(&self) -> bool {
        self.of != std::thread::current().id()
    }

    /// Whether the thread has ended, so that nobody will ever end its transaction.
    fn is_abandoned(&self) -> bool {
        self.life.strong_count() == 0
    }
}

/// Carries out one statement.
pub(crate) fn query(till: &Till, sql: &str, parameters: Option<&str>) -> Result<String, Refusal> {
    let parameters = parse(parameters.map_or("", str::trim))?;
    till.refuse_company()?;
    let (found, in_transaction) = till.desk().query(till, sql, &parameters)?;
    let Table { columns, rows, changes } = &found;
    let rows = rows.iter().map(|row| row.iter().map(Shown).collect()).collect();
    let answer = Answer { columns, rows, changes: *changes, in_transaction };
    serde_json::to_string(&answer).map_err(|e| Error::from(Failure::Unexpected(format!("JSON: {e}"))).into())
}

impl Desk {
    /// Whether this thread has a transaction open that writes: whatever else it asks of the till would wait for it.
    pub(super) fn is_in_the_way(&self) -> bool {
        lock(&self.turn).as_ref().is_some_and(|turn| turn.writes() && !turn.is_anothers())
    }

    /// Whether another thread has one open.
    pub(super) fn is_anothers(&self) -> bool {
        lock(&self.turn).as_ref().is_some_and(|turn| turn.writes() && turn.is_anothers())
    }

    /// Rolls back what a thread left open that has ended.
    pub(super) fn end_abandoned(&self) {
        let mut turn = lock(&self.turn);
        if turn.as_ref().is_some_and(Turn::is_abandoned) {
            if let Some(store) = &mut *lock(&self.store) {
                _ = store.query("ROLLBACK", &Parameters::None);
            }
            tracing::warn!("a thread ended within a transaction of tillsync_query, which was rolled back");
            *turn = None;
            self.is_free.notify_one();
        }
    }

    /// The till was closed: nobody waits any longer.
    pub(super) fn close(&self) {
        self.is_free.notify_all();
    }

    fn query(&self, till: &Till, sql: &str, parameters: &Parameters) -> Result<(Table, bool)> {
        self.take_turn(till)?;
        // Given on whatever happens, a panic too.
        let _turn = Given(self);
        let mut store = lock(&self.store);
        let store = match &mut *store {
            Some(store) => store,
            none => {
                let store = till.another_store()?;
                store.is_for_app_sql()?;
                none.insert(store)
            }
        };
        let found = store.query(sql, parameters)?;
        Ok((found, store.transaction().is_some()))
    }

    fn take_turn(&self, till: &Till) -> Result<()> {
        let began = Instant::now();
        loop {
            self.end_abandoned();
            let turn = lock(&self.turn);
            let left = WAIT.saturating_sub(began.elapsed());
            let is_anothers =
                |turn: &mut Option<Turn>| turn.as_ref().is_some_and(Turn::is_anothers) && !till.is_closed();
            let turn = self.is_free.wait_timeout_while(turn, left.min(LOOK_AGAIN), is_anothers);
            let (mut turn, waited) = turn.unwrap_or_else(PoisonError::into_inner);
            if till.is_closed() {
                return Err(Failure::Stopped.into());
            }
            if !waited.timed_out() {
                turn.get_or_insert_with(|| Turn::mine(Holds::Statement));
                return Ok(());
            }
            if let Some(turn) = turn.as_ref().filter(|_| left.is_zero()) {
                return Err(turn.refusal(till.path().to_owned()).into());
            }
        }
    }

    /// After a statement: the thread keeps its turn while its transaction is open.
    fn give_turn(&self) {
        let transaction = lock(&self.store).as_ref().and_then(Store::transaction);
        let holds = |writes| if writes { Holds::Writing } else { Holds::Reading };
        *lock(&self.turn) = transaction.map(holds).map(Turn::mine);
        if transaction.is_none() {
            self.is_free.notify_one();
        }
    }
}

struct Given<'d>(&'d Desk);

impl Drop for Given<'_> {
    fn drop(&mut self) {
        self.0.give_turn();
    }
}

// ---- JSON in -----------------------------------------------------------------------------------------------------

fn parse(json: &str) -> Result<Parameters, Refusal> {
    let wrong = |e: &serde_json::Error| Refusal::json("the parameters", e);
    Ok(match json.as_bytes() {
        b"null" | b"" => Parameters::None,
        [b'{', ..] => {
            let given: BTreeMap<String, &RawValue> = serde_json::from_str(json).map_err(|e| wrong(&e))?;
            let named = given.into_iter().map(|(name, json)| Ok((name, cell(json.get())?)));
            Parameters::ByName(named.collect::<Result<_, Refusal>>()?)
        }
        _ => {
            let given: Vec<&RawValue> = serde_json::from_str(json).map_err(|e| wrong(&e))?;
            let cells = given.into_iter().map(|json| cell(json.get()));
            Parameters::InOrder(cells.collect::<Result<_, Refusal>>()?)
        }
    })
}

/// Bytes.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Blob {
    hex: String,
}

fn cell(json: &str) -> Result<Cell, Refusal> {
    let refused = |why: &str| Refusal::usage(format!("a parameter {why}"));
    Ok(match json.as_bytes()[0] {
        b'n' => Cell::Null,
        b't' => Cell::Integer(1),
        b'f' => Cell::Integer(0),
        b'"' => Cell::Text(serde_json::from_str(json).map_err(|e| Refusal::json("a parameter", &e))?),
        b'[' => {
            return Err(refused("is a list: a value is text, a number, true, false, null or {\"hex\":…}"));
        }
        b'{' => {
            let blob = serde_json::from_str::<Blob>(json).ok().and_then(|blob| bytes(&blob.hex));
            Cell::Blob(blob.ok_or_else(|| refused("is an object, but not of the form {\"hex\":\"00ff\"}"))?)
        }
        _ if json.contains(['.', 'e', 'E']) => {
            let number: f64 = json.parse().map_err(|_| refused("is no number"))?;
            Cell::Real(number)
        }
        _ => {
            let number = json.parse().map_err(|_| refused("does not fit into 64 bits: give it as text"))?;
            Cell::Integer(number)
        }
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = hex.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

// ---- JSON out ----------------------------------------------------------------------------------------------------

#[derive(Serialize)]
struct Answer<'f> {
    columns: &'f [String],
    rows: Vec<Vec<Shown<'f>>>,
    changes: u64,
    in_transaction: bool,
}

struct Shown<'f>(&'f Cell);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Null => to.serialize_unit(),
            Cell::Integer(number) => to.serialize_i64(*number),
            Cell::Real(number) if number.is_finite() => to.serialize_f64(*number),
            // As SQLite writes it: readers of JSON take it for what it is, or refuse it.
            Cell::Real(number) => {
                let infinite = if *number < 0.0 { "-9e999" } else { "9e999" };
                RawValue::from_string(infinite.to_owned()).map_err(serde::ser::Error::custom)?.serialize(to)
            }
            Cell::Text(text) => to.serialize_str(text),
            Cell::Blob(bytes) => {
                Blob { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() }.serialize(to)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;

    fn till() -> (tempfile::TempDir, Till) {
        let folder = tempfile::tempdir().unwrap();
        let till = Till::open(folder.path().join("till.db").to_str().unwrap(), None).unwrap();
        (folder, till)
    }

    #[track_caller]
    fn rows(till: &Till, sql: &str, parameters: &str) -> String {
        let answer = query(till, sql, Some(parameters)).unwrap();
        let rows =
            answer.strip_prefix("{\"columns\":").and_then(|rest| rest.split_once("\"rows\":")).unwrap().1;
        rows.rsplit_once(",\"changes\"").unwrap().0.to_owned()
    }

    #[test]
    fn every_value_comes_back_as_it_went_in() {
        let (_folder, till) = till();
        for values in [
            r#"9223372036854775807,-9223372036854775808,0,9007199254740993"#,
            r#"0.1,1e+300,-2.5,1.0,5e-324,9007199254740993.0"#,
            r#""","ümlaut \u0000 \"","{\"hex\":1}""#,
            r#"{"hex":""},{"hex":"00ff7f"}"#,
            "null",
        ] {
            let count = serde_json::from_str::<Vec<serde_json::Value>>(&format!("[{values}]")).unwrap().len();
            let sql = format!("SELECT {}", vec!["?"; count].join(", "));
            let back = rows(&till, &sql, &format!("[{values}]"));
            let expected = values.replace("9007199254740993.0", "9007199254740992.0");
            assert_eq!(back, format!("[[{expected}]]"));
        }
        assert_eq!(rows(&till, "SELECT ?, ?, typeof(?)", "[true, false, 1]"), r#"[[1,0,"integer"]]"#);
        assert_eq!(rows(&till, "SELECT 9e999, -9e999", ""), "[[9e999,-9e999]]");
        assert_eq!(rows(&till, "SELECT :b, $a", r#"{"a":1,":b":{"hex":"0A"}}"#), r#"[[{"hex":"0a"},1]]"#);
        assert_eq!(rows(&till, "SELECT 1 WHERE 0", "null"), "[]");
    }

    #[test]
    fn what_cannot_be_exact_is_refused_and_no_value_is_repeated() {
        let (_folder, till) = till();
        for (parameters, words) in [
            ("[9223372036854775808]", "does not fit into 64 bits"),
            ("[[\"hunter2\"]]", "is a list"),
            ("[{\"hex\":\"0\"}]", "not of the form"),
            ("[{\"hex\":\"hunter2x\"}]", "not of the form"),
            ("[{\"hex\":\"00\",\"hunter2\":1}]", "not of the form"),
            ("\"hunter2\"", "the parameters: must be a list"),
            ("7", "the parameters: must be a list"),
            ("[1", "the parameters: is JSON that breaks off"),
        ] {
            let refused = query(&till, "SELECT ?", Some(parameters)).unwrap_err().tell();
            assert!(refused.contains(words) && !refused.contains("hunter2"), "{refused}");
        }
    }

    /// Nobody else's statement slips into a transaction, and none waits for itself.
    #[test]
    fn a_transaction_belongs_to_its_thread() {
        let (_folder, till) = till();
        let run = |sql: &str| query(&till, sql, None);
        run("CREATE TABLE my_sale (number)").unwrap();
        assert!(run("BEGIN IMMEDIATE").unwrap().contains("\"in_transaction\":true"));
        run("INSERT INTO my_sale VALUES (1)").unwrap();
        let refused = super::super::call::answer(&till, "{\"command\":\"status\"}").unwrap_err().tell();
        assert!(refused.contains("in_transaction"), "{refused}");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| run("INSERT INTO my_sale VALUES (2)"));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!other.is_finished());
            run("ROLLBACK").unwrap();
            other.join().unwrap().unwrap();
        });
        assert_eq!(rows(&till, "SELECT number FROM my_sale", ""), "[[2]]");
        assert!(super::super::call::answer(&till, "{\"command\":\"status\"}").is_ok());
    }

    /// Nobody can commit it any more, and nobody waits for it; one of a thread that lives is called what it is.
    #[test]
    fn a_transaction_whose_thread_has_ended_is_rolled_back_by_the_next_call() {
        let (_folder, till) = till();
        let run = |sql: &str| query(&till, sql, None);
        let begin = || {
            run("BEGIN IMMEDIATE").unwrap();
            run("INSERT INTO my_sale VALUES (1)").unwrap();
        };
        run("CREATE TABLE my_sale (number)").unwrap();
        let floor = |amount: u8| {
            super::super::call::answer(&till, &format!("{{\"command\":\"floor\",\"amount\":\"{amount}\"}}"))
        };
        for ask in [|till: &Till| query(till, "SELECT 1", None).map(drop), |_: &Till| Ok(())] {
            std::thread::scope(|scope| scope.spawn(begin).join().unwrap());
            let began = Instant::now();
            ask(&till).unwrap();
            floor(1).unwrap();
            assert!(began.elapsed() < WAIT / 2);
            assert_eq!(rows(&till, "SELECT number FROM my_sale", ""), "[]");
            assert!(run("ROLLBACK").is_err(), "there is none any more");
        }
        begin();
        std::thread::scope(|scope| {
            let others = scope.spawn(|| [run("SELECT 1").map(drop), floor(2).map(drop)]);
            for refused in others.join().unwrap() {
                let refused = refused.unwrap_err().tell();
                assert!(refused.contains("\"locked\"") && refused.contains("of this process"), "{refused}");
            }
        });
        run("COMMIT").unwrap();
        assert_eq!(rows(&till, "SELECT number FROM my_sale", ""), "[[1]]");
    }

    /// What ends by itself is not called what a thread must end.
    #[test]
    fn a_long_statement_is_not_called_a_transaction_that_was_left_open() {
        let (_folder, till) = till();
        let told = || {
            let refusal = lock(&till.desk().turn).as_ref().map(|turn| turn.refusal(till.path().to_owned()));
            refusal.map(|refusal| Error::from(refusal).to_string())
        };
        assert_eq!(told(), None);
        till.desk().take_turn(&till).unwrap();
        assert!(told().unwrap().contains("is at a statement"), "{:?}", told());
        till.desk().give_turn();
        for begin in ["BEGIN", "BEGIN IMMEDIATE"] {
            query(&till, begin, None).unwrap();
            assert!(told().unwrap().contains("has a transaction"), "{:?}", told());
            till.desk().take_turn(&till).unwrap();
            assert!(told().unwrap().contains("has a transaction"), "whatever it does within");
            query(&till, "ROLLBACK", None).unwrap();
        }
        assert_eq!(told(), None);
    }

    #[test]
    fn whoever_waits_for_a_transaction_is_told_when_the_till_is_closed() {
        let (_folder, till) = till();
        query(&till, "BEGIN", None).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| query(&till, "SELECT 1", None));
            std::thread::sleep(Duration::from_millis(50));
            till.close();
            let refused = other.join().unwrap().unwrap_err().tell();
            assert!(refused.contains("\"stopped\""), "{refused}");
        });
    }
}
