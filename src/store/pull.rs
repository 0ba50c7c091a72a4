//! A page of customers, taken in with the cursor behind it in one transaction, which it may share with the pages after it
//! (`pages`); in several while others write too.
//!
//! A customer without unsettled edits follows the server column by column, without the merge: a first pull is mostly
//! that. Every other one goes through the pure merge.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params, params_from_iter};

use super::ahead::Known;
use super::apply::{MOST_ROUNDS, apply, apply_news, insert_snapshot, refuse_ignored_row, update_snapshot};
use super::beneath::{Beneath, News as Written};
use super::held_up::Apart;
use super::row::RawCell;
use super::{
    Failed, FullPull, Store, aside, attempt, delete, dirty, held_up, lately, mend, search, state, statements,
};
use crate::clock::stamp;
use crate::error::Result;
use crate::flow::{
    Ids, KnownClock, Lately, Moment, Notice, OlderReadings, Policies, back, gone, has_moved_undated,
    is_outdated, may_not_show_yet, merge,
};
use crate::resource::{
    Attributes, CustomerId, EditSeq, FieldId, Kind, Record, Resource, ResourceId, Row, RowId, Subject, Value,
};

/// When a pull of everything last came to its end, a key of `state`.
pub(crate) const LAST_FULL_PULL: &str = "last_full_pull_at";
/// Readings that were older than what is known, a key of `state`.
const OLDER: &str = "older_readings";
/// Customers that are taken in before it is looked how long that has gone on.
const PART: usize = 100;
/// The same in bytes, where each is large: what both sides changed of a note of so much is brought together in some milliseconds.
const PART_BYTES: usize = 256 << 10;
/// Ids that are forgotten in one transaction: a few pages of the file.
const SEEN_AT_ONCE: usize = 1_000;

/// What came in.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Customers that are new, other than they were, or gone.
    pub(crate) changed: Vec<RowId>,
    pub(crate) notices: Vec<Notice>,
    /// Those that were deleted here and changed there, with the place of the deletion.
    pub(crate) deletions_held: Vec<(RowId, EditSeq)>,
    pub(crate) passed_over: PassedOver,
}

/// What was not believed: it may lag, and another moment tells.
#[derive(Debug, Default)]
pub(crate) struct PassedOver {
    /// What is known of these is no base for now, be it remembered or not.
    pub(crate) rows: BTreeSet<RowId>,
    /// There was no room to remember one: it is to be listed again.
    pub(crate) has_dropped: bool,
}

/// What a page belongs to.
#[derive(Clone, Debug)]
pub(crate) enum PageKind {
    /// A pull of what changed, whose cursor is set at the end; or customers by id.
    Changes,
    /// A pull of everything, which goes on at this place when it is cut.
    Full(Box<FullPull>),
}

/// How what comes in is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judging<'p> {
    pub(crate) policies: &'p Policies,
    /// Whether a record is news although it bears an older time than the snapshot: only a person who asks for everything
    /// knows that the store was set back.
    pub(crate) believes_older: bool,
    /// The server's clock, as it told with these.
    pub(crate) server_now: Option<DateTime<Utc>>,
    pub(crate) now: DateTime<Utc>,
}

impl Judging<'_> {
    /// Now, by the till's clock and by the server's.
    fn moment(self) -> Moment {
        self.policies.moment(self.now).told(self.server_now)
    }
}

impl Store {
    /// Takes in a page. It is committed by [`Store::commit_pages`], unless it was time to do so.
    pub(crate) fn take_page(
        &mut self,
        page: &[(Attributes<'_>, &str)],
        kind: &PageKind,
        judging: Judging<'_>,
    ) -> Result<Taken> {
        if !page.is_empty() && self.is_schema_new()? {
            self.look_at_triggers();
        }
        let (mut taken, mut rest, mut kind) = (Taken::default(), page, kind.clone());
        while !rest.is_empty() {
            let most = if self.has_open_pages() { rest.len() } else { self.at_once(rest.len())? };
            let (part, later) = rest.split_at(fitting(rest, most.min(PART)));
            let part = self.holding_up(|store, apart| {
                // What a trigger ends is no more than this part then.
                if apart.is_needed {
                    store.commit_pages()?;
                }
                let taken = store.take_part(part, &kind, later.is_empty(), judging, apart)?;
                if apart.is_needed {
                    store.commit_pages()?;
                }
                Ok(taken)
            })?;
            taken.changed.extend(part.changed);
            taken.notices.extend(part.notices);
            taken.deletions_held.extend(part.deletions_held);
            taken.passed_over.rows.extend(part.passed_over.rows);
            taken.passed_over.has_dropped |= part.passed_over.has_dropped;
            if let PageKind::Full(full) = &mut kind {
                full.has_dropped |= taken.passed_over.has_dropped;
            }
            rest = later;
            if self.pages_are_due() {
                self.commit_pages()?;
                self.make_room();
            }
        }
        Ok(taken)
    }

    /// Of these a page told two things at once: they are there, and asked for by id.
    pub(crate) fn note_contradicted(
        &mut self,
        rows: &BTreeSet<RowId>,
        kind: &PageKind,
        now: Moment,
    ) -> Result<()> {
        self.in_open_pages(|transaction| {
            let mut older = older_readings(transaction)?;
            rows.iter().for_each(|row| older.contradicted(*row, now));
            note_older_readings(transaction, &older)?;
            if let PageKind::Full(_) = kind {
                see(transaction, rows.iter().map(|row| row.customer))?;
            }
            Ok(())
        })
    }

    /// Takes in a part of a page; with the last one, the place behind the page.
    fn take_part(
        &mut self,
        part: &[(Attributes<'_>, &str)],
        kind: &PageKind,
        is_last: bool,
        judging: Judging<'_>,
        apart: &Apart,
    ) -> Result<Taken> {
        self.in_open_pages(|transaction| {
            let edited = edited(transaction, part)?;
            let (mut taken, mut new) = (Taken::default(), Vec::new());
            let known_older = older_readings(transaction)?;
            let older = RefCell::new(known_older.clone());
            for (attributes, body) in part {
                // A trigger of the app may have edited it while others of the page came in.
                let is_edited = edited.contains(&attributes.row())
                    || apart.is_needed && is_edited(transaction, attributes.row())?;
                let mut notices = Vec::new();
                let take = || {
                    let news =
                        take(transaction, apart, attributes, body, is_edited, judging, &older, &mut notices)?;
                    match news {
                        News::PassedOver if is_edited => {
                            attempt::note_told_as_before(transaction, attributes)?
                        }
                        _ if is_edited => {
                            let ahead = judging.policies.clock_offset;
                            attempt::note_told_late(transaction, attributes, judging.moment(), ahead)?;
                        }
                        _ => {}
                    }
                    Ok(news)
                };
                let is_passed_over = |news: &News| *news == News::PassedOver;
                let taken_in =
                    apart.all_unless(transaction, attributes.row(), judging.now, take, is_passed_over);
                let Some(news) = taken_in.map_err(|failed| held_up::of(attributes.id(), failed))? else {
                    continue;
                };
                taken.notices.extend(notices);
                if news == News::PassedOver {
                    taken.passed_over.rows.insert(attributes.row());
                }
                if [News::Change, News::Customer].contains(&news) {
                    taken.changed.push(attributes.row());
                }
                if let News::DeletionHeld(seq) = news {
                    taken.deletions_held.push((attributes.row(), seq));
                }
                if news == News::Customer {
                    new.push(attributes.row());
                }
            }
            let resource = part.first().map(|(attributes, _)| attributes.resource()).unwrap_or_default();
            state::count_snapshot(transaction, resource, i64::try_from(new.len()).unwrap_or(i64::MAX))?;
            search::note_rows(transaction, new)?;
            let older = older.into_inner();
            taken.passed_over.has_dropped = older.has_dropped();
            if older != known_older {
                note_older_readings(transaction, &older)?;
            }
            if let PageKind::Full(full) = kind {
                see(transaction, part.iter().map(|(attributes, _)| attributes.id()))?;
                if is_last {
                    let has_dropped = full.has_dropped || taken.passed_over.has_dropped;
                    state::note_full_pull(
                        transaction,
                        Some(&FullPull { has_dropped, ..FullPull::clone(full) }),
                    )?;
                }
            }
            Ok(taken)
        })
    }

    /// Begins a pull of everything, or finds where the last one was cut, and who was seen by then.
    pub(crate) fn begin_full_pull(&mut self) -> Result<Option<(FullPull, Ids)>> {
        self.expect_bulk(true).map_err(|e| self.error(e))?;
        match self.full_pull()? {
            Some(cut) => Ok(Some((cut, self.seen()?))),
            None => {
                self.forget_full_pull()?;
                Ok(None)
            }
        }
    }

    /// The place where a pull was cut is of no use any more.
    pub(crate) fn forget_full_pull(&mut self) -> Result<()> {
        if self.state(state::FULL_PULL)?.is_some() {
            self.engine_note(|transaction| Ok(state::note_full_pull(transaction, None)?))?;
        }
        self.forget_seen()
    }

    /// Who was seen is of no use any more, in small parts: they may be a million. What a kill leaves of them, the next pull of
    /// everything forgets before it begins; without a place to go on from, nobody reads it.
    fn forget_seen(&mut self) -> Result<()> {
        let mut is_over = false;
        while !is_over {
            let forgotten = self.engine_note(|transaction| {
                let part =
                    "DELETE FROM tillsync_pull_seen WHERE id IN (SELECT id FROM tillsync_pull_seen ORDER BY id LIMIT ?1)";
                Ok(transaction.prepare_cached(part)?.execute([SEEN_AT_ONCE])?)
            })?;
            is_over = forgotten < SEEN_AT_ONCE;
            self.others_write()?;
            self.give_way();
        }
        Ok(())
    }

    /// Counts the customers of the file anew, where all of them were read anyway. Counted is without the right to write, and
    /// what is corrected is the difference: others may count meanwhile.
    fn recount(&mut self) -> Result<()> {
        let missing = self.read_at_once(|connection| Ok(state::miscounted(connection)?))?;
        match missing {
            0 => Ok(()),
            missing => self.engine_note(|connection| {
                Ok(state::count_snapshot(connection, ResourceId::CUSTOMER, missing)?)
            }),
        }
    }

    fn seen(&self) -> Result<Ids> {
        self.engine_read(|transaction| {
            let mut statement = transaction.prepare_cached("SELECT id FROM tillsync_pull_seen")?;
            let ids = statement.query_map([], |row| Ok(CustomerId(row.get(0)?)))?;
            Ok(ids.collect::<rusqlite::Result<Ids>>()?)
        })
    }

    /// How many customers of the file a full pull did not see; of those too that something of the app's never let in.
    pub(crate) fn count_unseen(&self) -> Result<u64> {
        self.read_at_once(|connection| {
            let count = "SELECT (SELECT count(*) FROM snapshot WHERE id NOT IN (SELECT id FROM tillsync_pull_seen))
                              + (SELECT count(*) FROM tillsync_held_up WHERE customer_id NOT IN (SELECT id FROM snapshot)
                                                                AND customer_id NOT IN (SELECT id FROM tillsync_pull_seen))";
            Ok(connection.prepare_cached(count)?.query_row([], |row| row.get(0))?)
        })
    }

    /// Those customers, at most `limit` with an id above `above`.
    pub(crate) fn unseen(&self, above: i64, limit: usize) -> Result<Vec<RowId>> {
        self.ids(
            "SELECT id FROM (SELECT id FROM snapshot WHERE id > ?1 AND id NOT IN (SELECT id FROM tillsync_pull_seen)
                             ORDER BY id LIMIT ?2)
             UNION
             SELECT id FROM (SELECT customer_id AS id FROM tillsync_held_up
                             WHERE customer_id > ?1 AND customer_id NOT IN (SELECT id FROM tillsync_pull_seen)
                             ORDER BY customer_id LIMIT ?2)
             ORDER BY id
             LIMIT ?2",
            params![above, limit],
        )
    }

    /// All of those.
    pub(crate) fn all_unseen(&self) -> Result<BTreeSet<RowId>> {
        let all = "SELECT id FROM snapshot WHERE id NOT IN (SELECT id FROM tillsync_pull_seen)
                   UNION SELECT customer_id FROM tillsync_held_up WHERE customer_id NOT IN (SELECT id FROM tillsync_pull_seen)";
        Ok(self.ids(all, [])?.into_iter().collect())
    }

    /// Those of these rows that the file takes for being there.
    pub(crate) fn of_snapshot(&self, ids: &[RowId]) -> Result<BTreeSet<RowId>> {
        self.engine_read(|transaction| {
            let mut there = BTreeSet::new();
            for id in ids {
                let is_there = statements::is_there(transaction, id.resource.spec().snapshot, *id)?;
                there.extend(is_there.then_some(*id));
            }
            Ok(there)
        })
    }

    /// Those of these rows that the store never had, as far as the file knows, and that are not among those it shows: an update makes them.
    pub(crate) fn unmade(&self, ids: &[RowId], shown: &BTreeSet<RowId>) -> Result<Vec<RowId>> {
        let upserted: Vec<RowId> = ids.iter().copied().filter(|id| id.resource.spec().is_upserted).collect();
        if upserted.is_empty() {
            return Ok(upserted);
        }
        let (there, gone) = (self.of_snapshot(&upserted)?, self.gone(upserted[0].resource)?);
        let is_unmade = |id: &RowId| !shown.contains(id) && !there.contains(id) && !gone.contains(id);
        Ok(upserted.into_iter().filter(is_unmade).collect())
    }

    /// Two customers that a full pull saw, so that a question by id is answered by somebody.
    pub(crate) fn company_of_list(&self) -> Result<Vec<RowId>> {
        self.ids(
            "SELECT id
             FROM (SELECT min(id) AS id FROM tillsync_pull_seen UNION SELECT max(id) FROM tillsync_pull_seen)
             WHERE id IS NOT NULL",
            [],
        )
    }

    /// Some rows of the file, so that a question about others is answered by somebody; others each time that it is
    /// asked: they may be gone as well. What is of a customer who is known to be gone answers no more.
    pub(crate) fn company(&self, resource: ResourceId, nth: u32) -> Result<Vec<RowId>> {
        let Resource { snapshot, .. } = resource.spec();
        let (row, customer) = (resource.spec().row(), resource.spec().whose());
        let is_there = resource.spec().customer.map_or("TRUE".to_owned(), |customer| {
            format!("EXISTS (SELECT 1 FROM snapshot AS whose WHERE whose.id = {snapshot}.{customer})")
        });
        self.rows(
            resource,
            &format!(
                "WITH there (row, whose) AS NOT MATERIALIZED (SELECT {row}, {customer} FROM {snapshot} WHERE {is_there})
                 SELECT row, whose FROM (SELECT row, whose FROM there ORDER BY row LIMIT 2 OFFSET 2 * ?1)
                 UNION
                 SELECT row, whose FROM (SELECT row, whose FROM there ORDER BY row DESC LIMIT 2 OFFSET 2 * ?1)"
            ),
            [nth],
        )
    }

    /// How many rows of a resource the store has, as far as the file knows.
    pub(crate) fn count_rows(&self, resource: ResourceId) -> Result<u64> {
        if resource == ResourceId::CUSTOMER {
            return Ok(self.status()?.snapshot_customers);
        }
        let count = format!("SELECT count(*) FROM {}", resource.spec().snapshot);
        self.read_at_once(|connection| {
            Ok(connection.prepare_cached(&count)?.query_row([], |row| row.get(0))?)
        })
    }

    /// All rows of a resource that are in the file.
    pub(super) fn rows_of(&self, resource: ResourceId) -> Result<Vec<RowId>> {
        let Resource { name, .. } = resource.spec();
        let (row, customer) = (resource.spec().row(), resource.spec().whose());
        self.rows(resource, &format!("SELECT {row}, {customer} FROM {name} ORDER BY {row}"), [])
    }

    /// Rows of a resource, each by its own id and its customer's.
    fn rows(&self, resource: ResourceId, sql: &str, params: impl rusqlite::Params) -> Result<Vec<RowId>> {
        self.read_at_once(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params, |row| {
                Ok(RowId { resource, customer: CustomerId(row.get(1)?), row: row.get(0)? })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Rows that were deleted remotely while they had edits, and are not in doubt besides: those are read back.
    pub(crate) fn gone(&self, resource: ResourceId) -> Result<Vec<RowId>> {
        self.read_at_once(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT customer_id, of_resource, of_row, field
                 FROM conflict INDEXED BY tillsync_conflict_open
                 WHERE resolution IS NULL AND field LIKE '%*' AND resource = ?1
                   AND (customer_id, resource, row_id) NOT IN (SELECT customer_id, resource, row_id FROM batch_item)
                 ORDER BY customer_id, row_id",
            )?;
            let found = statement.query_map([resource.spec().name], |row| {
                let (id, word): (RowId, String) = (dirty::row_id(row, 0)?, row.get(3)?);
                Ok((word == Subject::Customer.word(id)).then_some(id))
            })?;
            Ok(found.filter_map(rusqlite::Result::transpose).collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Rows of a resource that the store had, as far as the file knows, and that are not among these.
    pub(crate) fn absent_of(&self, resource: ResourceId, listed: &BTreeSet<RowId>) -> Result<Vec<RowId>> {
        let Resource { snapshot, .. } = resource.spec();
        let (row, customer) = (resource.spec().row(), resource.spec().whose());
        let all = format!("SELECT {row}, {customer} FROM {snapshot} ORDER BY {row}");
        let mut all = self.rows(resource, &all, [])?;
        all.retain(|row| !listed.contains(row));
        Ok(all)
    }

    /// Rows of a resource that these customers had, as far as the file knows.
    pub(crate) fn rows_of_customers(
        &self,
        resource: ResourceId,
        customers: &BTreeSet<CustomerId>,
    ) -> Result<Vec<RowId>> {
        let Resource { snapshot, .. } = resource.spec();
        let (row, customer) = (resource.spec().row(), resource.spec().whose());
        let theirs = format!("SELECT {row}, {customer} FROM {snapshot} WHERE {customer} = ?1 ORDER BY {row}");
        let mut rows = Vec::new();
        for customer in customers {
            rows.extend(self.rows(resource, &theirs, [customer.0])?);
        }
        Ok(rows)
    }

    fn ids(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<RowId>> {
        self.read_at_once(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let ids = statement.query_map(params, |row| Ok(CustomerId(row.get(0)?).into()))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Rows of which a reading was older than what is known, and which is the truth is not known yet.
    pub(crate) fn doubted(&self) -> Result<BTreeSet<RowId>> {
        self.read_at_once(|connection| Ok(older_readings(connection)?.ids().collect()))
    }

    /// How many of these have edits that wait.
    pub(crate) fn count_edited(&self, rows: BTreeSet<RowId>) -> Result<u64> {
        let any = "SELECT EXISTS (SELECT 1 FROM journal
                                  WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL)";
        self.read_at_once(|connection| {
            let mut statement = connection.prepare_cached(any)?;
            let mut count = 0;
            for row in rows {
                count += statement.query_row(dirty::whose(row), |row| row.get::<_, u64>(0))?;
            }
            Ok(count)
        })
    }

    /// Those of these records that lag: older than what is known of their customers, or taking back what was changed a moment ago.
    pub(crate) fn outdated(
        &self,
        page: &[(Attributes<'_>, &str)],
        server_now: Option<DateTime<Utc>>,
        now: Moment,
    ) -> Result<BTreeSet<RowId>> {
        let now = now.told(server_now);
        self.engine_read(|transaction| {
            let (mut outdated, older) = (BTreeSet::new(), older_readings(transaction)?);
            for (told, _) in page {
                let Some(Known { record, lately, .. }) = dirty::load_known(transaction, told.row())? else {
                    continue;
                };
                // It is held up as soon as anything of it is taken in.
                let Ok(known) = record.attributes() else { continue };
                if is_outdated(&known, told, server_now.filter(|_| !lately.is_young(now)))
                    || lately::is_taken_back(transaction, &lately, &known, told, now, false)?
                    || older.is_before_one_passed_over(told, now)
                {
                    outdated.insert(told.row());
                }
            }
            Ok(outdated)
        })
    }

    /// These customers are gone from the store.
    pub(crate) fn take_deletions(&mut self, ids: &[RowId], now: DateTime<Utc>) -> Result<Taken> {
        let parts = self.in_small_parts(ids, |transaction, apart, id, taken: &mut Taken| {
            let Some(dirty) = dirty::load(transaction, id)? else {
                // One that something of the app's never let in.
                return Ok(held_up::release(transaction, id)?);
            };
            if dirty.deletion.is_some() {
                let gone = apart.all(transaction, id, now, || delete::gone(transaction, &dirty, now))?;
                taken.changed.extend(gone.map(|()| id));
                return Ok(());
            }
            let told = mend::tell(transaction, apart, dirty, None)?;
            let gone = || {
                aside::note_kept(transaction, &told)?;
                apply(transaction, &told.dirty, &gone(&told.dirty), now)
            };
            if let Some(notices) = apart.all(transaction, id, now, gone)? {
                taken.notices.extend(notices);
                taken.changed.push(id);
            }
            Ok(())
        })?;
        let mut taken = Taken::default();
        for part in parts {
            taken.notices.extend(part.notices);
            taken.changed.extend(part.changed);
        }
        Ok(taken)
    }

    /// The pull is over, and was whole: the next one asks from `cursor` on. Only a pull of everything forgets its place.
    pub(crate) fn end_pull(
        &mut self,
        is_full: bool,
        cursor: Option<DateTime<Utc>>,
        clock: &KnownClock,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.engine_note(|transaction| {
            if is_full {
                state::note_full_pull(transaction, None)?;
                state::write(transaction, LAST_FULL_PULL, Some(&stamp(now)))?;
            }
            if let Some(cursor) = cursor {
                state::write(transaction, "pull_cursor", Some(&stamp(cursor)))?;
            }
            state::note_pull_clock(transaction, clock)?;
            state::write(transaction, "last_pull_at", Some(&stamp(now)))?;
            Ok(())
        })?;
        if is_full {
            self.forget_seen()?;
            self.recount()?;
        }
        Ok(())
    }

    /// No more customers are written at once than usual.
    pub(crate) fn end_bulk(&mut self) -> Result<()> {
        self.expect_bulk(false).map_err(|e| self.error(e))
    }
}

/// How many of these go into one part, at most so many; one at least.
fn fitting(page: &[(Attributes<'_>, &str)], most: usize) -> usize {
    let mut bytes = 0;
    let fits = |(_, body): &&(Attributes<'_>, &str)| {
        bytes += body.len();
        bytes <= PART_BYTES
    };
    page.iter().take(most).take_while(fits).count().max(1)
}

fn older_readings(connection: &Connection) -> rusqlite::Result<OlderReadings> {
    let noted: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([OLDER], |row| row.get(0))
        .optional()?;
    Ok(noted.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
}

fn note_older_readings(connection: &Connection, older: &OlderReadings) -> rusqlite::Result<()> {
    let json = older.ids().next().map(|_| serde_json::to_string(older).unwrap_or_default());
    state::write(connection, OLDER, json.as_deref())
}

/// The answer to an update was older than what is known of the customer: which is the truth, another reading tells.
pub(super) fn note_older(
    connection: &Connection,
    id: RowId,
    body: &str,
    now: Moment,
) -> rusqlite::Result<()> {
    let mut older = older_readings(connection)?;
    older.is_truth(id, body, now);
    note_older_readings(connection, &older)
}

/// The customers of a page that have unsettled edits, or something that was sent of them on record.
fn edited(transaction: &Connection, page: &[(Attributes<'_>, &str)]) -> rusqlite::Result<BTreeSet<RowId>> {
    let mut edited = BTreeSet::new();
    let has_any = "SELECT EXISTS (SELECT 1 FROM journal WHERE settled_at IS NULL) OR EXISTS (SELECT 1 FROM tillsync_attempt)";
    if !transaction.prepare_cached(has_any)?.query_row([], |row| row.get::<_, bool>(0))? {
        return Ok(edited);
    }
    for (attributes, _) in page {
        if is_edited(transaction, attributes.row())? {
            edited.insert(attributes.row());
        }
    }
    Ok(edited)
}

fn is_edited(transaction: &Connection, id: RowId) -> rusqlite::Result<bool> {
    let any = "SELECT EXISTS (SELECT 1 FROM journal
                              WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL)
                   OR EXISTS (SELECT 1 FROM tillsync_attempt
                              WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3)";
    transaction.prepare_cached(any)?.query_row(dirty::whose(id), |row| row.get(0))
}

/// What a customer of a page was to the file.
#[derive(PartialEq, Eq)]
enum News {
    /// It says what the snapshot did.
    Nothing,
    /// It may lag: another moment tells.
    PassedOver,
    Change,
    /// It was deleted here, and others have changed it: that deletion waits for a person.
    DeletionHeld(EditSeq),
    /// Its snapshot is still to be counted.
    Customer,
}

/// Takes in one customer.
#[allow(clippy::too_many_arguments, reason = "one place calls it")]
fn take(
    transaction: &Connection,
    apart: &Apart,
    attributes: &Attributes<'_>,
    body: &str,
    is_edited: bool,
    judging: Judging<'_>,
    older: &RefCell<OlderReadings>,
    notices: &mut Vec<Notice>,
) -> Result<News, Failed> {
    let (id, moment, Judging { policies, now, .. }) = (attributes.row(), judging.moment(), judging);
    if older.borrow().is_before_one_passed_over(attributes, moment) {
        return Ok(News::PassedOver);
    }
    let (old, mut lately, is_behind) = match dirty::load_known(transaction, id)? {
        Some(Known { record, lately, is_behind }) => (Some(record), lately, is_behind),
        None => (None, Lately::default(), false),
    };
    let has_lasted = older.borrow().has_lasted(id, body, moment);
    if has_lasted {
        lately.give_up_those_ahead(now);
    }
    let (body_before, is_edited) = (old.as_ref().map(Record::body), is_edited || is_behind);
    // A reading that is no news may be one of something that was sent, and refused.
    if body_before == Some(body) {
        older.borrow_mut().forget(id);
    }
    if body_before == Some(body) && !is_behind && !(is_edited && attempt::has_any(transaction, id)?) {
        return Ok(News::Nothing);
    }
    let record = Record::of(id.resource, body);
    let reading = match &old {
        Some(old) => {
            let (known, is_doubted) = (old.attributes()?, older.borrow().has(id));
            let takes_back = |is_doubted| {
                lately::is_taken_back(transaction, &lately, &known, attributes, moment, is_doubted)
            };
            let is_back = takes_back(false)?
                || lately::is_moved_again(transaction, &lately, &known, attributes, moment, is_doubted)?;
            let is_back_again = is_doubted && !is_back && takes_back(true)?;
            Reading::of(attributes, &known, lately.is_young(moment), has_lasted, judging).or_back(
                is_back,
                is_back_again,
                judging,
            )
        }
        None => Reading::default(),
    };
    let is_confirmed =
        reading.is_doubtful(id, &older.borrow()) && older.borrow_mut().is_truth(id, body, moment);
    if reading.lags && (!is_confirmed || reading.may_lag) {
        older.borrow_mut().passed_over(attributes, moment);
        return Ok(News::PassedOver);
    }
    let is_nothing = reading.hides && is_confirmed && !reading.lags;
    let record = match attributes.resource().money().filter(|_| is_nothing) {
        Some(money) => record.with(money, &nothing())?,
        None => record,
    };
    let record = match &old {
        Some(old) => record.completed(old, false)?,
        None => Cow::Borrowed(&record),
    };
    let (body, known) = (record.body(), old.as_ref().map(Record::attributes).transpose()?);
    if !is_edited && !is_nothing && old.as_ref().is_some_and(|old| old.body() == body) {
        return Ok(News::Nothing);
    }
    let attributes = &record.attributes()?;
    if !reading.hides || is_confirmed {
        older.borrow_mut().forget(id);
    }
    if let Some(known) = known.as_ref().filter(|_| !is_behind)
        && let Some(modified) = has_moved_undated(known, attributes)
        && state::pull_cursor(transaction)?.is_some_and(|cursor| modified < cursor)
    {
        state::note_credit_undated(transaction)?;
    }
    let is_back = known.is_none() && is_edited && dirty::load_row(transaction, id)?.is_none();
    match &known {
        None if is_back => {
            if attempt::load(transaction, id)?.iter().any(|yes| yes.shows_too_little(attributes, None, now)) {
                older.borrow_mut().is_truth(id, body, moment);
                older.borrow_mut().passed_over(attributes, moment);
                return Ok(News::PassedOver);
            }
            insert(transaction, attributes, body)?;
            if let Some(dirty) = dirty::load(transaction, id)? {
                let plan = back(&dirty, &record, policies)?;
                notices.extend(apply_news(transaction, &dirty, &plan, policies, now)?);
            }
            return Ok(News::Customer);
        }
        _ if is_edited => {
            if let Some(dirty) = dirty::load(transaction, id)? {
                if dirty.may_show_too_little(attributes, now) {
                    older.borrow_mut().is_truth(id, body, moment);
                    older.borrow_mut().passed_over(attributes, moment);
                    return Ok(News::PassedOver);
                }
                if dirty.deletion.is_some() {
                    let held = delete::told(transaction, &dirty, &record, now)?;
                    return Ok(held.map_or(News::Nothing, News::DeletionHeld));
                }
                let told = mend::tell(transaction, apart, dirty, None)?;
                take_edited(transaction, &told, &record, judging, notices)?;
            }
        }
        // Nobody has it any more, here or there.
        None if id.resource.spec().is_upserted && body == Record::of_nothing(id).body() => {
            return Ok(News::Nothing);
        }
        None => {
            insert(transaction, attributes, body)?;
            return Ok(News::Customer);
        }
        Some(known) => {
            if let Some(told) =
                mend::tell_of_untouched(transaction, apart, id, known, news(attributes, known))?
            {
                take_edited(transaction, &told, &record, judging, notices)?;
                return Ok(News::Change);
            }
            let lately = lately.changed(known, attributes, moment, |_| false).text();
            if let Some(written) = follow(transaction, attributes, body, known, lately)? {
                let written = Written { id, before: old.as_ref(), known: &[], written: &written };
                notices.extend(written.over_edits(transaction, policies, MOST_ROUNDS, now)?);
            }
        }
    }
    // What this till uploaded comes back in the server's own spelling: that is no news.
    let says_the_same = old.as_ref().map_or(Ok(false), |old| old.says_the_same(&record))?;
    Ok(if says_the_same { News::Nothing } else { News::Change })
}

fn take_edited(
    transaction: &Connection,
    told: &mend::Told,
    record: &Record,
    Judging { policies, now, .. }: Judging<'_>,
    notices: &mut Vec<Notice>,
) -> Result<(), Failed> {
    let mut plan = merge(&told.dirty, record, None, policies)?;
    told.leave(&mut plan);
    notices.extend(apply_news(transaction, &told.dirty, &plan, policies, now)?);
    Ok(())
}

/// Columns that the store changed. What it does not tell is no news.
fn news(attributes: &Attributes<'_>, old: &Attributes<'_>) -> impl Iterator<Item = FieldId> {
    let columns = attributes.resource().columns();
    columns.filter(|field| attributes.text(*field) != old.text(*field) && attributes.tells(*field))
}

/// What a reading leaves in doubt until another moment shows the same.
#[derive(Clone, Copy, Default)]
struct Reading {
    /// It is older than what is known, or shows what was there before, and that is not to be believed at once.
    lags: bool,
    /// However often it comes: what was written a moment ago is not given up for it, whoever wrote it.
    may_lag: bool,
    /// It shows no amounts where there was one.
    hides: bool,
    /// Since what is known, the customer was changed.
    is_newer: bool,
}

impl Reading {
    /// `is_young`: what is known was learned less than a minute ago. That is counted here; the store's clock may lengthen it, unless
    /// the same was shown for long enough (`has_lasted`), and never shortens it.
    fn of(
        told: &Attributes<'_>,
        known: &Attributes<'_>,
        is_young: bool,
        has_lasted: bool,
        judging: Judging<'_>,
    ) -> Reading {
        let is_old = is_outdated(known, told, judging.server_now.filter(|_| !is_young));
        let may_not_show_yet = !has_lasted && may_not_show_yet(known, judging.server_now);
        let may_lag = is_old && (is_young || may_not_show_yet);
        Reading {
            lags: is_old && (may_lag || !judging.believes_older),
            may_lag,
            hides: told.resource().money().is_some_and(|money| told.hides(money, known)),
            is_newer: is_outdated(told, known, None),
        }
    }

    /// The same of one that shows what was there before a change which is known here: while that is younger than a minute, however
    /// often and of whatever date, and then until another one shows it too (`is_back_again`).
    fn or_back(self, is_back: bool, is_back_again: bool, judging: Judging<'_>) -> Reading {
        Reading {
            lags: self.lags || is_back || (is_back_again && !judging.believes_older),
            may_lag: self.may_lag || is_back,
            ..self
        }
    }

    /// No amounts, of a customer who was changed, may be how this store shows a balance of nothing. Of one who was not they are a
    /// part of the store that fails, however often they come.
    fn is_doubtful(self, id: RowId, older: &OlderReadings) -> bool {
        self.lags || self.hides && (self.is_newer || older.ids().any(|one| one == id))
    }
}

/// A balance of nothing, as amounts.
fn nothing() -> Value {
    Value::from_json(Kind::Credit, r#"[{"amount":0}]"#)
}

fn insert(transaction: &Connection, attributes: &Attributes<'_>, body: &str) -> Result<(), Failed> {
    insert_snapshot(transaction, attributes, body)?;
    match insert_row(transaction, attributes) {
        Err(Failed::Sql(e)) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            if !aside::make_way(transaction, &Row::of(attributes.row(), attributes))? {
                return Err(e.into());
            }
            insert_row(transaction, attributes)
        }
        done => done,
    }
}

/// The working copy of a row, as the store describes it.
pub(super) fn insert_row(transaction: &Connection, attributes: &Attributes<'_>) -> Result<(), Failed> {
    let names = attributes.row().names().map(RawCell::Integer);
    let cells = attributes.resource().columns().map(|field| RawCell::of(field, attributes));
    let cells = params_from_iter(names.chain(cells));
    match transaction.prepare_cached(&statements::of(attributes.resource()).insert)?.execute(cells)? {
        0 => Err(Failed::Ignored),
        _ => Ok(()),
    }
}

/// The working copy follows the server in the columns that changed. Returns what was written, where a trigger of the app's wrote beneath that.
fn follow(
    transaction: &Connection,
    attributes: &Attributes<'_>,
    body: &str,
    old: &Attributes<'_>,
    lately: Option<String>,
) -> Result<Option<Vec<(FieldId, Value)>>, Failed> {
    let columns: Vec<_> =
        news(attributes, old).map(|field| (field, RawCell::of(field, attributes))).collect();
    search::note(transaction, attributes.row(), columns.iter().map(|(field, _)| *field))?;
    let beneath = Beneath::of(transaction);
    if !update_snapshot(transaction, attributes, body, lately)? {
        return Err(Failed::Ignored);
    }
    let row = attributes.row();
    let written = statements::overwrite(transaction, row, &columns)?;
    refuse_ignored_row(written, transaction, row.resource.spec().name, row)?;
    let own = 1 + if columns.is_empty() { 0 } else { written };
    let values = || columns.iter().map(|(field, _)| (*field, attributes.get(*field))).collect();
    Ok(beneath.has_any(own).then(values))
}

fn see(transaction: &Connection, ids: impl Iterator<Item = CustomerId>) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO tillsync_pull_seen (id) VALUES (?1)")?;
    for id in ids {
        statement.execute([id.0])?;
    }
    Ok(())
}
