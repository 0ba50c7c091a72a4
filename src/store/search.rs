//! Search as one types: words in any order, the beginnings of words, without regard to case and accents; phones by digits.
//!
//! ```text
//! journal (edits of apps) ──┐
//! row (what a sync writes) ─┴─> due ── catch_up, index_some ──> customer_search (FTS5) ── find
//! ```
//!
//! The index is SQLite's FTS5, in the same file. It is brought up to date by this library alone, from the journal and from
//! `tillsync_search_due`, in which a sync notes whom it wrote: an edit has nothing to do with it, and an app's own SQLite needs no FTS5 to
//! edit. It begins with the first search, so a till that never searches pays nothing. Until it is whole, and where this SQLite has
//! no FTS5, the beginnings of whole columns are looked for by their indexes, as before.
//!
//! What is removed from the index stays in its pages for a while, but for a customer who is forgotten: see [`anew`].

mod anew;

use std::collections::BTreeSet;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::open::look_again;
use super::polite::LONG;
use super::{Store, believing, dirty, edit, state};
use crate::customer::{CustomerId, FieldId, Row, Value};
use crate::error::{Error, Result};

/// Customers that were found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Found {
    /// The best first: names that are the words, then names that begin with them, then emails and phones; by last name, first name.
    pub customers: Vec<Row>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// The columns that are searched; each has an index that ignores the case of ASCII letters, too.
pub(super) const SEARCHED: [&str; 5] = ["email", "phone", "last_name", "first_name", "company"];

/// The key of `state` with the newest edit that the index has seen; none: nobody has ever searched.
const THROUGH: &str = "searched_through";
/// The key of `state` with the customer up to whom everybody was put on the list when the index began; none: all of them.
const LISTED: &str = "search_listed";
/// Customers that are brought up to date before a search, at most: some milliseconds.
const AT_A_SEARCH: usize = 200;
/// In one transaction of a sync, at most.
const AT_ONCE: usize = 200;
/// Words of a question beyond these are left out.
const WORDS: usize = 32;
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
    /// An edit is found at once. The first search of a file begins the index, which the next sync completes: until then, only
    /// columns that begin with all of `text` are found of those customers that it does not have yet.
    ///
    /// # Errors
    /// When the file cannot be read; usage, when the limit is more than SQLite can count to.
    pub fn find(&mut self, text: &str, limit: usize) -> Result<Found> {
        if i64::try_from(limit).is_err() {
            return Err(Error::usage(format!("the limit {limit} is more than {}", i64::MAX)));
        }
        let is_whole = self.catch_up()?;
        let most = limit.saturating_add(1);
        let find = || {
            let mut rows = by_words(&self.connection, text, most, is_whole)?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            Ok(Found { customers: rows, more })
        };
        find().map_err(|e: rusqlite::Error| self.error(e))
    }

    /// Whether the index has everybody now. It is no failure of a search that somebody else writes, or that this SQLite cannot.
    fn catch_up(&mut self) -> Result<bool> {
        let is_due = is_due(&self.connection);
        let may_write = self.connection.is_autocommit() && self.refuse_company().is_ok();
        if !may_write || !matches!(is_due, Ok(true)) {
            return Ok(matches!(is_due, Ok(false)));
        }
        // A power cut takes back what is in the index, and how far it has come with that.
        self.waits_for_disk(false)?;
        let mut write = || -> rusqlite::Result<bool> {
            self.connection.busy_handler(None::<fn(i32) -> bool>)?;
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let is_whole = believing(&transaction, |transaction| index(transaction, AT_A_SEARCH))?;
            transaction.commit()?;
            Ok(is_whole)
        };
        let is_whole = write().unwrap_or_else(|error| {
            tracing::debug!(%error, "the index of the search is not brought up to date");
            false
        });
        _ = self.connection.busy_handler(Some(look_again));
        self.waits_for_disk(true)?;
        Ok(is_whole)
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
    id: CustomerId,
    columns: impl Iterator<Item = FieldId>,
) -> rusqlite::Result<()> {
    let mut columns = columns;
    match columns.any(|column| SEARCHED.contains(&column.name())) && is_wanted(connection)? {
        true => note_all(connection, [id]),
        false => Ok(()),
    }
}

/// These customers are new, or gone.
pub(super) fn note_rows(
    connection: &Connection,
    ids: impl IntoIterator<Item = CustomerId>,
) -> rusqlite::Result<()> {
    if is_wanted(connection)? { note_all(connection, ids) } else { Ok(()) }
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

/// Edits of searched columns that the index has not seen.
const EDITS: &str = "SELECT seq, customer_id FROM journal
     WHERE seq > ?1 AND field IN ('email', 'phone', 'last_name', 'first_name', 'company')
     ORDER BY seq LIMIT ?2";

fn through(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT CAST(value AS INTEGER) FROM state WHERE key = ?1")?
        .query_row([THROUGH], |row| row.get(0))
        .optional()
}

fn is_due(connection: &Connection) -> rusqlite::Result<bool> {
    let Some(through) = through(connection)? else { return Ok(true) };
    Ok(!is_made(connection)?
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
    if let Some(through) = through(transaction)?.filter(|_| is_made(transaction).unwrap_or(false)) {
        return Ok(through);
    }
    if !is_made(transaction)? {
        transaction.execute_batch(MAKE)?;
    }
    transaction.execute("DELETE FROM tillsync_search_due", [])?;
    state::write(transaction, LISTED, Some(&i64::MIN.to_string()))?;
    let newest = edit::newest_edit(transaction)?;
    state::write(transaction, THROUGH, Some(&newest.to_string()))?;
    Ok(newest)
}

fn index_one(transaction: &Connection, id: CustomerId) -> rusqlite::Result<()> {
    forget(transaction, id)?;
    // These alone: behind them in the row lies what may be long, and is not searched.
    let columns = "SELECT last_name, first_name, company, email, phone FROM customer WHERE id = ?1";
    let texts = transaction
        .prepare_cached(columns)?
        .query_row([id.0], |row| {
            let text = |place| Ok(row.get_ref(place)?.as_str().unwrap_or_default().to_owned());
            (0..SEARCHED.len()).map(text).collect::<rusqlite::Result<Vec<_>>>()
        })
        .optional()?;
    let Some([last_name, first_name, company, email, phone]) = texts.as_deref() else { return Ok(()) };
    transaction
        .prepare_cached(
            "INSERT INTO customer_search (rowid, last_name, first_name, company, email, phone)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id.0, last_name, first_name, company, email, numbers(phone)])?;
    Ok(())
}

/// This SQLite is without FTS5; or the name is an app's.
fn is_missing(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(_, Some(words))
        if words.contains("no such module") || words.contains("already ") || words.contains("SQL logic error") || words.contains("fts5"))
}

// ---- words and numbers -------------------------------------------------------------------------------------------

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

/// The words of a question. Marks that belong to the letter before them are no gap.
fn words(text: &str) -> Vec<String> {
    let is_gap = |c: char| !c.is_alphanumeric() && !('\u{300}'..='\u{36f}').contains(&c);
    text.split(is_gap).filter(|word| !word.is_empty()).take(WORDS).map(str::to_owned).collect()
}

/// The digits of what is nothing but a phone's number, as one.
fn number(text: &str) -> Option<String> {
    let is_of_phone = |c: char| c.is_ascii_digit() || " +()-./".contains(c);
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (text.chars().all(is_of_phone) && digits.len() >= DIGITS).then(|| digits.to_owned())
}

/// Questions to the index, the most exact first.
fn questions(text: &str) -> Vec<String> {
    let words = words(text.trim());
    let Some((last, first)) = words.split_last() else { return Vec::new() };
    let exact = |word: &String| format!("\"{word}\"");
    let begins = |word: &String| {
        let national = word.trim_start_matches('0');
        match word.bytes().all(|c| c.is_ascii_digit()) && national.len() >= DIGITS && national != word {
            true => format!("(\"{word}\"* OR phone : \"{national}\"*)"),
            false => format!("\"{word}\"*"),
        }
    };
    let all = |one: &dyn Fn(&String) -> String| words.iter().map(one).collect::<Vec<_>>().join(" AND ");
    let names = |question: String| format!("{{last_name first_name company}} : ({question})");
    let typed: Vec<String> = first.iter().map(exact).chain([format!("\"{last}\"*")]).collect();
    let plain = |word: &String| format!("\"{word}\"*");
    let mut questions =
        vec![names(all(&exact)), names(typed.join(" AND ")), names(all(&plain)), all(&begins)];
    questions.dedup();
    questions.extend(number(text).filter(|_| words.len() > 1).map(|number| format!("phone : \"{number}\"*")));
    questions
}

fn by_words(connection: &Connection, text: &str, most: usize, is_whole: bool) -> rusqlite::Result<Vec<Row>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    if text.trim().is_empty() || most == 0 {
        return Ok(found);
    }
    if is_wanted(connection)? && is_made(connection)? {
        for question in questions(text) {
            let mut ids = Vec::new();
            match by_index(connection, &question, most, &mut ids) {
                Err(error) if is_missing(&error) => break,
                done => done?,
            }
            add(connection, ids, most, &mut seen, &mut found)?;
        }
    }
    if !is_whole {
        add(connection, by_beginnings(connection, text.trim(), most)?, most, &mut seen, &mut found)?;
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

fn by_index(
    connection: &Connection,
    question: &str,
    most: usize,
    ids: &mut Vec<CustomerId>,
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT rowid FROM customer_search WHERE customer_search MATCH ?1 LIMIT ?2")?;
    let mut found = statement.query_map(params![question, most], |row| Ok(CustomerId(row.get(0)?)))?;
    found.try_for_each(|id| id.map(|id| ids.push(id)))
}

// ---- beginnings of columns ---------------------------------------------------------------------------------------

/// Those of whom one of the columns begins with the text, or the names with its first word and the rest.
fn by_beginnings(
    connection: &Connection,
    text: &str,
    limit: usize,
) -> rusqlite::Result<BTreeSet<CustomerId>> {
    let mut ids = BTreeSet::new();
    for spelling in spellings(text) {
        for column in SEARCHED {
            collect(connection, &by_prefix(column), params![spelling, end_of(&spelling), limit], &mut ids)?;
        }
        if let Some((first, last)) = spelling.split_once(' ') {
            collect(connection, BY_FULL_NAME, params![first, last, end_of(last), limit], &mut ids)?;
        }
    }
    Ok(ids)
}

/// What is asked most, by names of its own; a question of each kind of search by beginnings.
pub(super) fn asked_most() -> Vec<(&'static str, String)> {
    let mut asked = vec![("find a full name", BY_FULL_NAME.to_owned())];
    asked.extend(SEARCHED.map(|column| (column, by_prefix(column))));
    asked
}

fn by_prefix(column: &str) -> String {
    format!(
        "SELECT id FROM customer
         WHERE {column} >= ?1 COLLATE NOCASE AND {column} < ?2 COLLATE NOCASE
         LIMIT ?3"
    )
}

const BY_FULL_NAME: &str = "SELECT id FROM customer
     WHERE first_name = ?1 COLLATE NOCASE
       AND last_name >= ?2 COLLATE NOCASE AND last_name < ?3 COLLATE NOCASE
     LIMIT ?4";

/// No text that begins with `prefix` comes after this one.
fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

fn spellings(text: &str) -> BTreeSet<String> {
    let mut spellings = BTreeSet::from([text.to_owned()]);
    if !text.is_ascii() {
        let capitalised = |word: &str| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect()
            })
        };
        let words: Vec<String> = text.split(' ').map(capitalised).collect();
        spellings.extend([text.to_lowercase(), text.to_uppercase(), words.join(" ")]);
    }
    spellings
}

fn collect(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    ids: &mut BTreeSet<CustomerId>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query_map(params, |row| Ok(CustomerId(row.get(0)?)))?;
    found.try_for_each(|id| id.map(|id| _ = ids.insert(id)))
}
