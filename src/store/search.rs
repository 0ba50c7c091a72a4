//! Search as one types: words in any order, the beginnings of words, without regard to case and accents; phones by digits.
//!
//! ```text
//! journal (edits of apps) ──┐
//! row (what a sync writes) ─┴─> due ── catch_up, index_some ──> customer_search (FTS5) ──┐
//!                                └───────────────── their own texts ─────────────────────┴─ find
//! ```
//!
//! The index is SQLite's FTS5, in the same file. It is brought up to date by this library alone, from the journal and from
//! `tillsync_search_due`, in which a sync notes whom it wrote: an edit has nothing to do with it, and an app's own SQLite needs no FTS5 to
//! edit. It begins with the first search, so a till that never searches pays nothing. Whoever it does not have yet is looked for in the
//! table itself ([`due`]), with the very same meaning: a search is slower then, and never wrong. So it is where this SQLite has no FTS5.
//!
//! What is removed from the index stays in its pages for a while, but for a customer who is forgotten: see [`anew`].

mod anew;
mod due;
mod letters;
mod question;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use due::Due;
use letters::with_plain_words;
use question::{Question, questions};

use super::open::look_again;
use super::polite::LONG;
use super::{Store, believing, dirty, edit, state};
use crate::error::{Error, Result};
use crate::resource::{CustomerId, FieldId, Row, RowId, Value};

/// Customers that were found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Found {
    /// The best first: last and first names that are the words, then those that begin with them, then companies, then emails and
    /// phones; of each, by last name and first name.
    pub customers: Vec<Row>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// The columns that are searched; each has an index that ignores the case of ASCII letters, too.
const SEARCHED: [&str; 5] = ["email", "phone", "last_name", "first_name", "company"];
/// What is read of a customer, as the index has its columns. These alone: behind them in the row lies what may be long.
const COLUMNS: &str = "id, last_name, first_name, company, email, phone";
/// The place of the phone in the index.
const PHONE: usize = 4;

/// The key of `state` with the newest edit that the index has seen; none: nobody has ever searched.
const THROUGH: &str = "searched_through";
/// The key of `state` with the customer up to whom everybody was put on the list when the index began; none: all of them.
const LISTED: &str = "search_listed";
/// The key of `state` with the way in which the words of the index are spelled; another one: it begins anew.
const SPELLED: &str = "search_spelled";
/// With plain words beside those that bear more than accents.
const SPELLING: &str = "plain";
/// Customers that are brought up to date before a search, at most: some milliseconds.
const AT_A_SEARCH: usize = 200;
/// In one transaction of a sync, at most.
const AT_ONCE: usize = 200;
/// So many digits are a part of a phone's number.
const DIGITS: usize = 3;

const MAKE: &str = "CREATE VIRTUAL TABLE customer_search USING fts5(
    last_name, first_name, company, email, phone,
    tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3', columnsize = 0)";

impl Store {
    /// At most `limit` customers in whose email, phone, names and company there are words that begin with the words of `text`, in
    /// any order. Case and accents do not matter (`muller` finds Müller); a phone is found by any beginning of its number, with or
    /// without the country's, however it is spelled.
    ///
    /// Names come first, and an edit is found at once. The first search of a file begins the index, which the next sync completes, or
    /// [`complete_search`](Store::complete_search): until then the same customers are found in the same order, by looking through the table,
    /// which takes some tenths of a second for 100,000.
    ///
    /// # Errors
    /// When the file cannot be read; usage, when the limit is more than SQLite can count to.
    pub fn find(&mut self, text: &str, limit: usize) -> Result<Found> {
        if i64::try_from(limit).is_err() {
            return Err(Error::usage(format!("the limit {limit} is more than {}", i64::MAX)));
        }
        self.catch_up()?;
        let most = limit.saturating_add(1);
        // Whom the index does not have, and what it has, belong together.
        let mut rows = match self.connection.is_autocommit() {
            true => self.engine_read(|transaction| Ok(by_words(transaction, text, most)?)),
            false => self.read_at_once(|connection| Ok(by_words(connection, text, most)?)),
        }?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(Found { customers: rows, more })
    }

    /// Has the index take in everybody now, in small parts, between which others write: some ten seconds for 100,000 customers. That
    /// makes it where nobody has searched yet. Returns whether it has everybody; without FTS5 it never does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn complete_search(&mut self) -> Result<bool> {
        self.catch_up()?;
        self.index_for_search(|| true)?;
        is_due(&self.connection).map(|is_due| !is_due).map_err(|e| self.error(e))
    }

    /// It is no failure of a search that somebody else writes, or that this SQLite cannot.
    fn catch_up(&mut self) -> Result<()> {
        let may_write = self.connection.is_autocommit() && self.refuse_company().is_ok();
        if !may_write || !matches!(is_due(&self.connection), Ok(true)) {
            return Ok(());
        }
        // A power cut takes back what is in the index, and how far it has come with that.
        self.waits_for_disk(false)?;
        let mut write = || -> rusqlite::Result<()> {
            self.connection.busy_handler(None::<fn(i32) -> bool>)?;
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            believing(&transaction, |transaction| index(transaction, AT_A_SEARCH))?;
            transaction.commit()
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "the index of the search is not brought up to date");
        }
        _ = self.connection.busy_handler(Some(look_again));
        self.waits_for_disk(true)
    }

    /// Brings the index up to date, once somebody has searched: in small parts, between which others write. `goes_on` is asked
    /// before each.
    pub(crate) fn index_for_search(&mut self, mut goes_on: impl FnMut() -> bool) -> Result<()> {
        if !is_wanted(&self.connection).map_err(|e| self.error(e))? {
            return Ok(());
        }
        while is_due(&self.connection).map_err(|e| self.error(e))? && goes_on() {
            let done = self.engine_note(|transaction| match index(transaction, AT_ONCE) {
                Err(error) if is_missing(&error) => {
                    tracing::debug!(%error, "this SQLite cannot keep the index of the search");
                    Ok(true)
                }
                done => Ok(done?),
            })?;
            self.others_write()?;
            self.give_way();
            if done {
                break;
            }
        }
        self.write_index_anew_in_time(goes_on)
    }
}

/// Somebody wrote these columns of a customer, and it was not an edit.
pub(super) fn note(
    connection: &Connection,
    row: RowId,
    columns: impl Iterator<Item = FieldId>,
) -> rusqlite::Result<()> {
    let mut columns = columns;
    match columns.any(|column| SEARCHED.contains(&column.name())) && is_wanted(connection)? {
        true => note_rows(connection, [row]),
        false => Ok(()),
    }
}

/// These rows are new, or gone. Customers are searched for, and nothing else.
pub(super) fn note_rows<I: Into<RowId>>(
    connection: &Connection,
    rows: impl IntoIterator<Item = I>,
) -> rusqlite::Result<()> {
    let rows = rows.into_iter().map(I::into).filter(|row| row.resource.spec().is_of_customers());
    if is_wanted(connection)? { note_all(connection, rows.map(|row| row.customer)) } else { Ok(()) }
}

fn note_all(connection: &Connection, ids: impl IntoIterator<Item = CustomerId>) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT OR IGNORE INTO tillsync_search_due (customer_id) VALUES (?1)")?;
    ids.into_iter().try_for_each(|id| statement.execute([id.0]).map(|_| ()))
}

/// Nobody finds a customer by what the index has of it now. In its pages that stays until it is written [`anew`].
pub(super) fn forget(connection: &Connection, id: CustomerId) -> rusqlite::Result<()> {
    let remove = "DELETE FROM customer_search WHERE rowid = ?1";
    if is_made(connection)? && connection.prepare_cached(remove)?.execute([id.0])? > 0 {
        anew::note_left(connection)?;
    }
    connection
        .prepare_cached("DELETE FROM tillsync_search_due WHERE customer_id = ?1")?
        .execute([id.0])
        .map(|_| ())
}

fn is_wanted(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM state WHERE key = ?1")?.exists([THROUGH])
}

/// What bears its name and is an app's, is left alone.
fn is_made(connection: &Connection) -> rusqlite::Result<bool> {
    const LOOK: &str =
        "SELECT sql FROM sqlite_schema WHERE lower(name) = 'customer_search' AND type = 'table'";
    let sql: Option<Option<String>> =
        connection.prepare_cached(LOOK)?.query_row([], |row| row.get(0)).optional()?;
    Ok(sql.flatten().is_some_and(|sql| is_our_index(&sql)))
}

/// Whether the statement makes the index of the search; an app's own table may have its name.
pub(super) fn is_our_index(sql: &str) -> bool {
    let plain = |sql: &str| sql.split_whitespace().collect::<String>().to_lowercase();
    let columns = |sql: &str| sql.split_once("usingfts5(").map(|(_, columns)| columns.to_owned());
    columns(&plain(sql)) == columns(&plain(MAKE))
}

/// It is there, and its words are spelled as they are now.
fn index_has_begun(connection: &Connection) -> rusqlite::Result<bool> {
    let is_spelled = "SELECT 1 FROM state WHERE key = ?1 AND value = ?2";
    Ok(is_made(connection)? && connection.prepare_cached(is_spelled)?.exists([SPELLED, SPELLING])?)
}

/// Edits of searched columns that the index has not seen.
const EDITS: &str = "SELECT seq, customer_id FROM journal
     WHERE seq > ?1 AND field IN ('*', 'email', 'phone', 'last_name', 'first_name', 'company')
     ORDER BY seq LIMIT ?2";

fn through(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT CAST(value AS INTEGER) FROM state WHERE key = ?1")?
        .query_row([THROUGH], |row| row.get(0))
        .optional()
}

fn is_due(connection: &Connection) -> rusqlite::Result<bool> {
    let Some(through) = through(connection)? else { return Ok(true) };
    Ok(!index_has_begun(connection)?
        || listed(connection)?.is_some()
        || connection.prepare_cached("SELECT 1 FROM tillsync_search_due LIMIT 1")?.exists([])?
        || connection.prepare_cached(EDITS)?.exists(params![through, 1])?)
}

/// Of those that are due, at most so many. Returns whether that was all.
fn index(transaction: &Connection, most: usize) -> rusqlite::Result<bool> {
    let through = begin(transaction)?;
    let mut edited: Vec<(i64, CustomerId)> = transaction
        .prepare_cached(EDITS)?
        .query_map(params![through, most], |row| Ok((row.get(0)?, CustomerId(row.get(1)?))))?
        .collect::<rusqlite::Result<_>>()?;
    let last = (edited.len() == most).then(|| edited.pop()).flatten();
    let seen = match last {
        Some((seq, id)) => {
            edited.push((seq, id));
            seq
        }
        None => edit::newest_edit(transaction)?,
    };
    note_all(transaction, edited.iter().map(|(_, id)| *id))?;
    state::write(transaction, THROUGH, Some(&seen.to_string()))?;
    let began = Instant::now();
    for _ in 0..most {
        let next = "SELECT customer_id FROM tillsync_search_due LIMIT 1";
        let Some(id) = transaction.prepare_cached(next)?.query_row([], |row| row.get(0)).optional()? else {
            if list_some(transaction)? == 0 {
                break;
            }
            continue;
        };
        index_one(transaction, CustomerId(id))?;
        if began.elapsed() >= LONG {
            break;
        }
    }
    Ok(!is_due(transaction)?)
}

fn listed(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT CAST(value AS INTEGER) FROM state WHERE key = ?1")?
        .query_row([LISTED], |row| row.get(0))
        .optional()
}

/// Some more of those who were there when the index began; whoever came since is on the list. Returns how many.
fn list_some(transaction: &Connection) -> rusqlite::Result<usize> {
    let Some(up_to) = listed(transaction)? else { return Ok(0) };
    let some: Vec<i64> = transaction
        .prepare_cached("SELECT id FROM customer WHERE id > ?1 ORDER BY id LIMIT ?2")?
        .query_map(params![up_to, AT_ONCE], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    note_all(transaction, some.iter().copied().map(CustomerId))?;
    state::write(transaction, LISTED, some.last().map(i64::to_string).as_deref())?;
    Ok(some.len())
}

/// Makes the index where it is not there, and has everybody put into it.
fn begin(transaction: &Connection) -> rusqlite::Result<i64> {
    if let Some(through) = through(transaction)?.filter(|_| index_has_begun(transaction).unwrap_or(false)) {
        return Ok(through);
    }
    if is_made(transaction)? {
        transaction.execute_batch("DROP TABLE customer_search")?;
    }
    transaction.execute_batch(MAKE)?;
    state::write(transaction, SPELLED, Some(SPELLING))?;
    transaction.execute("DELETE FROM tillsync_search_due", [])?;
    state::write(transaction, LISTED, Some(&i64::MIN.to_string()))?;
    let newest = edit::newest_edit(transaction)?;
    state::write(transaction, THROUGH, Some(&newest.to_string()))?;
    Ok(newest)
}

fn index_one(transaction: &Connection, id: CustomerId) -> rusqlite::Result<()> {
    forget(transaction, id)?;
    let one = format!("SELECT {COLUMNS} FROM customer WHERE id = ?1");
    let mut one = transaction.prepare_cached(&one)?;
    let mut rows = one.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let [last_name, first_name, company, email, phone] = texts(row)?;
    transaction
        .prepare_cached(
            "INSERT INTO customer_search (rowid, last_name, first_name, company, email, phone)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id.0, last_name, first_name, company, email, numbers(&phone)])
        .map(|_| ())
}

/// What is searched of a customer, of a row of [`COLUMNS`].
fn texts<'row>(row: &'row rusqlite::Row<'_>) -> rusqlite::Result<[Cow<'row, str>; PHONE + 1]> {
    let text = |place| Ok::<_, rusqlite::Error>(row.get_ref(place)?.as_str().unwrap_or_default());
    Ok([
        with_plain_words(text(1)?),
        with_plain_words(text(2)?),
        with_plain_words(text(3)?),
        text(4)?.into(),
        text(5)?.into(),
    ])
}

/// This SQLite is without FTS5; or the name is an app's.
fn is_missing(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(_, Some(words))
        if words.contains("no such module") || words.contains("already ") || words.contains("SQL logic error") || words.contains("fts5"))
}

// ---- questions -----------------------------------------------------------------------------------------------

/// By what a phone is found: its digits, as a whole, without the first zeros, without a country's one to three digits, and from
/// each place on where it is written apart.
fn numbers(phone: &str) -> String {
    let mut numbers = BTreeSet::new();
    let groups: Vec<String> = phone
        .split(|c: char| !c.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .map(str::to_owned)
        .collect();
    for place in 0..groups.len() {
        let from_here = groups[place..].concat();
        numbers.insert(from_here.trim_start_matches('0').to_owned());
        numbers.insert(from_here);
    }
    let all = groups.concat();
    let all = all.trim_start_matches('0');
    numbers.extend((1..=3).filter_map(|country| all.get(country..)).map(str::to_owned));
    numbers.retain(|number| number.len() >= DIGITS);
    numbers.into_iter().collect::<Vec<_>>().join(" ")
}

fn by_words(connection: &Connection, text: &str, most: usize) -> rusqlite::Result<Vec<Row>> {
    let questions = questions(text);
    if questions.is_empty() || most == 0 {
        return Ok(Vec::new());
    }
    match answers(connection, &questions, most, &Due::now(connection)?) {
        Err(error) if is_missing(&error) => answers(connection, &questions, most, &Due::Everybody),
        found => found,
    }
}

fn answers(
    connection: &Connection,
    questions: &[Question],
    most: usize,
    due: &Due,
) -> rusqlite::Result<Vec<Row>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (question, of_due) in questions.iter().zip(due.ask(connection, questions)?) {
        let mut ids = match due {
            Due::Everybody => Vec::new(),
            Due::These(due) => by_index(connection, question, most, due)?,
        };
        ids.extend(of_due);
        ids.sort_unstable();
        add(connection, ids, most, &mut seen, &mut found)?;
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}

/// Those that are new, by name.
fn add(
    connection: &Connection,
    ids: impl IntoIterator<Item = CustomerId>,
    most: usize,
    seen: &mut BTreeSet<CustomerId>,
    found: &mut Vec<Row>,
) -> rusqlite::Result<()> {
    let room = most.saturating_sub(found.len());
    let mut rows = Vec::new();
    for id in ids {
        if rows.len() < room && seen.insert(id) {
            rows.extend(dirty::load_row(connection, id)?);
        }
    }
    let name = |row: &Row, name: &str| match FieldId::named(name).map(|field| row.get(field)) {
        Some(Value::Text(text)) => text.to_lowercase(),
        _ => String::new(),
    };
    rows.sort_by_cached_key(|row| (name(row, "last_name"), name(row, "first_name"), row.id()));
    found.extend(rows);
    Ok(())
}

/// Whom the index finds but those, by their ids.
fn by_index(
    connection: &Connection,
    question: &Question,
    most: usize,
    but: &BTreeSet<CustomerId>,
) -> rusqlite::Result<Vec<CustomerId>> {
    let mut statement = connection
        .prepare_cached("SELECT rowid FROM customer_search WHERE customer_search MATCH ?1 LIMIT ?2")?;
    let most = i64::try_from(most.saturating_add(but.len())).unwrap_or(i64::MAX);
    let found = statement.query_map(params![question.for_index(), most], |row| row.get(0).map(CustomerId))?;
    found.filter(|id| !id.as_ref().is_ok_and(|id| but.contains(id))).collect()
}
