//! A page of customers, taken in with the cursor behind it in one transaction, which it may share with the pages after it
//! (`pages`); in several while others write too.
//!
//! A customer without unsettled edits follows the server column by column, without the merge: a first pull is mostly
//! that. Every other one goes through the pure merge.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::apply::{apply, insert_snapshot, update_snapshot};
use super::row::{self, RawCell};
use super::{Failed, FullPull, Store, dirty, state};
use crate::clock::stamp;
use crate::customer::{Attributes, CustomerId, FieldId, Record};
use crate::error::Result;
use crate::flow::{Notice, Policies, gone, merge};

/// What came in.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Customers that are new, other than they were, or gone.
    pub(crate) changed: Vec<CustomerId>,
    pub(crate) notices: Vec<Notice>,
}

/// What a page belongs to.
#[derive(Clone, Debug)]
pub(crate) enum PageKind {
    /// A pull of what changed: its cursor is set at the end.
    Changes,
    /// A pull of everything, which goes on at this place when it is cut.
    Full(FullPull),
}

impl Store {
    /// Takes in a page. It is committed by [`Store::commit_pages`], unless it was time to do so.
    pub(crate) fn take_page(
        &mut self,
        page: &[(Attributes<'_>, &str)],
        kind: &PageKind,
        policies: &Policies,
        now: DateTime<Utc>,
    ) -> Result<Taken> {
        let (mut taken, mut rest) = (Taken::default(), page);
        while !rest.is_empty() {
            let most = if self.has_open_pages() { rest.len() } else { self.at_once(rest.len())? };
            let (part, later) = rest.split_at(most);
            self.take_part(part, kind, later.is_empty(), policies, now, &mut taken)?;
            rest = later;
            if self.pages_are_due() {
                self.commit_pages()?;
                self.make_room();
            }
        }
        Ok(taken)
    }

    /// Takes in a part of a page; with the last one, the place behind the page.
    fn take_part(
        &mut self,
        part: &[(Attributes<'_>, &str)],
        kind: &PageKind,
        is_last: bool,
        policies: &Policies,
        now: DateTime<Utc>,
        taken: &mut Taken,
    ) -> Result<()> {
        self.in_open_pages(|transaction| {
            let edited = edited(transaction, part)?;
            let mut new = 0;
            for (attributes, body) in part {
                let is_edited = edited.contains(&attributes.id());
                let news = take(transaction, attributes, body, is_edited, policies, now, &mut taken.notices)?;
                if news != News::Nothing {
                    taken.changed.push(attributes.id());
                }
                new += i64::from(news == News::Customer);
            }
            state::count_snapshot(transaction, new)?;
            if let PageKind::Full(full) = kind {
                see(transaction, part)?;
                if is_last {
                    note_place(transaction, full)?;
                }
            }
            Ok(())
        })
    }

    /// Begins a pull of everything, or finds where the last one was cut.
    pub(crate) fn begin_full_pull(&mut self) -> Result<FullPull> {
        self.expect_bulk(true).map_err(|e| self.error(e))?;
        if let Some(cut) = self.full_pull()?.filter(|cut| cut.after.is_some()) {
            return Ok(cut);
        }
        self.forget_full_pull()?;
        Ok(FullPull::default())
    }

    /// The place where a pull was cut is of no use any more.
    pub(crate) fn forget_full_pull(&mut self) -> Result<()> {
        self.engine_write(|transaction| Ok(end_full_pull(transaction)?))
    }

    /// Customers of the file that a full pull did not see, at most `limit` with an id above `above`.
    pub(crate) fn unseen(&self, above: CustomerId, limit: usize) -> Result<Vec<CustomerId>> {
        self.engine_read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id
                 FROM snapshot
                 WHERE id > ?1 AND id NOT IN (SELECT id FROM pull_seen)
                 ORDER BY id
                 LIMIT ?2",
            )?;
            let ids = statement.query_map(params![above.0, limit], |row| Ok(CustomerId(row.get(0)?)))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// These customers are gone from the store.
    pub(crate) fn take_deletions(&mut self, ids: &[CustomerId], now: DateTime<Utc>) -> Result<Taken> {
        self.engine_write(|transaction| {
            let mut taken = Taken::default();
            for id in ids {
                if let Some(dirty) = dirty::load(transaction, *id)? {
                    taken.notices.extend(apply(transaction, &dirty, &gone(&dirty), now)?);
                    taken.changed.push(*id);
                }
            }
            Ok(taken)
        })
    }

    /// The newest `date_modified` of the snapshot: where the server does not tell its clock.
    pub(crate) fn newest_modified(&self) -> Result<Option<DateTime<Utc>>> {
        self.engine_read(|transaction| {
            let newest: Option<String> =
                transaction.query_row("SELECT max(date_modified) FROM snapshot", [], |row| row.get(0))?;
            Ok(newest.and_then(|text| Some(DateTime::parse_from_rfc3339(&text).ok()?.to_utc())))
        })
    }

    /// The pull is complete: the next one asks from `cursor` on.
    pub(crate) fn end_pull(&mut self, cursor: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
        self.engine_note(|transaction| {
            end_full_pull(transaction)?;
            if let Some(cursor) = cursor {
                state::write(transaction, "pull_cursor", Some(&stamp(cursor)))?;
            }
            state::write(transaction, "last_pull_at", Some(&stamp(now)))?;
            Ok(())
        })?;
        self.expect_bulk(false).map_err(|e| self.error(e))
    }
}

/// The customers of a page that have unsettled edits.
fn edited(
    transaction: &Connection,
    page: &[(Attributes<'_>, &str)],
) -> rusqlite::Result<BTreeSet<CustomerId>> {
    let mut edited = BTreeSet::new();
    let has_any = "SELECT EXISTS (SELECT 1 FROM journal WHERE settled_at IS NULL)";
    if !transaction.prepare_cached(has_any)?.query_row([], |row| row.get::<_, bool>(0))? {
        return Ok(edited);
    }
    let mut statement = transaction.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM journal WHERE customer_id = ?1 AND settled_at IS NULL)",
    )?;
    for (attributes, _) in page {
        if statement.query_row([attributes.id().0], |row| row.get(0))? {
            edited.insert(attributes.id());
        }
    }
    Ok(edited)
}

/// What a customer of a page was to the file.
#[derive(PartialEq, Eq)]
enum News {
    /// It says what the snapshot did.
    Nothing,
    Change,
    /// Its snapshot is still to be counted.
    Customer,
}

/// Takes in one customer.
fn take(
    transaction: &Connection,
    attributes: &Attributes<'_>,
    body: &str,
    is_edited: bool,
    policies: &Policies,
    now: DateTime<Utc>,
    notices: &mut Vec<Notice>,
) -> Result<News, Failed> {
    let id = attributes.id();
    let old: Option<String> = transaction
        .prepare_cached("SELECT body FROM snapshot WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    if old.as_deref() == Some(body) {
        return Ok(News::Nothing);
    }
    let record = Record::new(body);
    let old = old.map(Record::new);
    match &old {
        _ if is_edited => {
            if let Some(dirty) = dirty::load(transaction, id)? {
                notices.extend(apply(transaction, &dirty, &merge(&dirty, &record, None, policies)?, now)?);
            }
        }
        None => {
            insert(transaction, attributes, body)?;
            return Ok(News::Customer);
        }
        Some(old) => follow(transaction, attributes, body, &old.attributes()?)?,
    }
    // What this till uploaded comes back in the server's own spelling: that is no news.
    let says_the_same = old.map_or(Ok(false), |old| old.says_the_same(&record))?;
    Ok(if says_the_same { News::Nothing } else { News::Change })
}

fn insert(transaction: &Connection, attributes: &Attributes<'_>, body: &str) -> rusqlite::Result<()> {
    let id = RawCell::Integer(attributes.id().0);
    let cells = FieldId::columns().map(|field| RawCell::of(field, attributes));
    transaction.prepare_cached(&row::INSERT)?.execute(params_from_iter(std::iter::once(id).chain(cells)))?;
    insert_snapshot(transaction, attributes, body)
}

/// The working copy follows the server in the columns that changed. What the server does not tell of money and form fields
/// is no news of them.
fn follow(
    transaction: &Connection,
    attributes: &Attributes<'_>,
    body: &str,
    old: &Attributes<'_>,
) -> rusqlite::Result<()> {
    let is_news = |field: &FieldId| attributes.text(*field) != old.text(*field) && attributes.tells(*field);
    for field in FieldId::columns().filter(is_news) {
        let cell = RawCell::of(field, attributes);
        transaction.prepare_cached(row::update(field))?.execute(params![attributes.id().0, cell])?;
    }
    update_snapshot(transaction, attributes, body)?;
    Ok(())
}

fn see(transaction: &Connection, page: &[(Attributes<'_>, &str)]) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached("INSERT OR IGNORE INTO pull_seen (id) VALUES (?1)")?;
    for (attributes, _) in page {
        statement.execute([attributes.id().0])?;
    }
    Ok(())
}

fn note_place(transaction: &Connection, full: &FullPull) -> rusqlite::Result<()> {
    state::write(transaction, "full_pull_after", Some(full.after.as_deref().unwrap_or_default()))?;
    state::write(transaction, "full_pull_began_at", full.began_at.map(stamp).as_deref())
}

fn end_full_pull(transaction: &Connection) -> rusqlite::Result<()> {
    let seen = transaction.prepare_cached("DELETE FROM pull_seen")?.execute([])?;
    if seen > 0 {
        state::recount_snapshot(transaction)?;
    }
    state::write(transaction, "full_pull_after", None)?;
    state::write(transaction, "full_pull_began_at", None)
}
