//! Steps 2 and 3: what changed in the store, page by page, merged as it is taken in.
//!
//! The next page is asked for before this one is written, so the wire and the disk work at once. The cursor of the next
//! pull is the server's clock when this one began, less an overlap; the till's clock decides nothing. Pages are read in
//! the server's own order, which no change of a customer disturbs; what changes meanwhile bears a later time and comes
//! with the next pull.
//!
//! No two pages of a pull begin with the same customer: a store that lists one twice goes round in circles, and would
//! be asked for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Asked, Event, Extent, Progress, SyncEngine, spans};
use crate::api::{Remote, Request};
use crate::customer::CustomerId;
use crate::error::{Failure, Result};
use crate::flow::Page;
use crate::store::{FullPull, PageKind, Taken};

/// Customers asked for by id in one call.
const CONFIRM_AT_ONCE: usize = 100;

/// A pull under way.
struct Pulling {
    modified_min: Option<DateTime<Utc>>,
    began_at: Option<DateTime<Utc>>,
    is_full: bool,
    seen: u64,
    /// The first customer of every page so far.
    begun_with: BTreeSet<CustomerId>,
}

impl Pulling {
    fn new(modified_min: Option<DateTime<Utc>>, began_at: Option<DateTime<Utc>>, is_full: bool) -> Pulling {
        Pulling { modified_min, began_at, is_full, seen: 0, begun_with: BTreeSet::new() }
    }

    /// Fails for a page that was here before.
    fn moves_on(&mut self, page: &Page<'_>) -> Result<()> {
        let first = page.customers.first().map(|(attributes, _)| attributes.id());
        match first.is_none_or(|first| self.begun_with.insert(first)) {
            true => Ok(()),
            false => {
                let words = "its pages go round in circles: one that was listed before is listed again";
                Err(Failure::Protocol(words.to_owned()).into())
            }
        }
    }
}

impl<R: Remote> SyncEngine<R> {
    pub(super) fn pull_and_merge(&mut self, extent: Extent) -> Result<()> {
        let cursor = self.store.pull_cursor()?;
        let began = self.tick();
        let span = spans::pull(if cursor.is_none() { Extent::Full } else { extent });
        self.traced(&span, |engine| match (extent, cursor) {
            (Extent::Changes, Some(cursor)) => engine.pull_changes(cursor),
            _ => engine.pull_everything(),
        })?;
        self.bases.pulled(began);
        Ok(())
    }

    fn pull_changes(&mut self, cursor: DateTime<Utc>) -> Result<()> {
        let mut pulling = Pulling::new(Some(cursor), None, false);
        self.pages(&mut pulling, None)?;
        self.store.end_pull(pulling.began_at, self.clock.utc())
    }

    fn pull_everything(&mut self) -> Result<()> {
        let cut = self.store.begin_full_pull()?;
        let is_resumed = cut.after.is_some();
        let mut pulling = Pulling::new(None, cut.began_at, true);
        match self.pages(&mut pulling, cut.after) {
            Err(error) if is_resumed && error.is_protocol() => {
                tracing::info!("the store does not know the place where the pull was cut: it begins anew");
                self.store.forget_full_pull()?;
                pulling = Pulling::new(None, None, true);
                self.pages(&mut pulling, None)?;
            }
            done => done?,
        }
        self.find_deletions()?;
        let cursor = match pulling.began_at {
            Some(began_at) => Some(began_at),
            None => self.store.newest_modified()?.map(|newest| newest - self.overlap()),
        };
        self.store.end_pull(cursor, self.clock.utc())
    }

    fn pages(&mut self, pulling: &mut Pulling, after: Option<String>) -> Result<()> {
        let taken = self.page_by_page(pulling, after);
        // Also after a failure: what was taken in stays.
        self.commit_pages()?;
        taken
    }

    fn page_by_page(&mut self, pulling: &mut Pulling, after: Option<String>) -> Result<()> {
        let mut next = Some(self.ask_page(pulling, after)?);
        while let Some(asked) = next {
            next = self.page(pulling, asked)?;
        }
        Ok(())
    }

    fn ask_page(&mut self, pulling: &Pulling, after: Option<String>) -> Result<Asked> {
        self.ask(Request::Page { modified_min: pulling.modified_min, after })
    }

    /// Takes in one page; the next one is on its way by then.
    fn page(&mut self, pulling: &mut Pulling, asked: Asked) -> Result<Option<Asked>> {
        self.answered(asked, |engine, page, answer| {
            pulling.moves_on(&page)?;
            let began = answer.date.map(|date| date - engine.overlap());
            pulling.began_at = pulling.began_at.or(began);
            let next = page.next.clone().map(|after| engine.ask_page(pulling, Some(after))).transpose()?;
            let kind = match pulling.is_full {
                true => PageKind::Full(FullPull { began_at: pulling.began_at, after: page.next.clone() }),
                false => PageKind::Changes,
            };
            pulling.seen += page.customers.len() as u64;
            let progress = Progress::Pulled { customers: pulling.seen, of: page.total };
            engine.take_in(&page, &kind, Some(Event::Progress(progress)))?;
            Ok(next)
        })
    }

    /// Takes in a page. It stays open for the next one if that is here already.
    pub(super) fn take_in(
        &mut self,
        page: &Page<'_>,
        kind: &PageKind,
        progress: Option<Event>,
    ) -> Result<()> {
        let now = self.clock.utc();
        let taken = match self.store.take_page(&page.customers, kind, &self.options.policies, now) {
            Ok(taken) => taken,
            Err(failed) => {
                self.untold.clear();
                return Err(failed);
            }
        };
        self.counts.pulled += taken.changed.len() as u64;
        if !self.store.has_open_pages() {
            self.tell_news();
        }
        news(taken).chain(progress).for_each(|event| self.say(event));
        Ok(())
    }

    /// Commits the pages that were taken in, and tells of them.
    pub(super) fn commit_pages(&mut self) -> Result<()> {
        let committed = self.store.commit_pages();
        if committed.is_err() {
            self.untold.clear();
        }
        self.tell_news();
        committed
    }

    fn tell_news(&mut self) {
        std::mem::take(&mut self.untold).into_iter().for_each(|event| (self.on_event)(event));
    }

    /// Tells of something; not before the open pages are committed: who hears it may read the file, or write.
    pub(super) fn say(&mut self, event: Event) {
        match self.store.has_open_pages() {
            true => self.untold.push(event),
            false => (self.on_event)(event),
        }
    }

    /// Customers that a full pull did not see are asked for by id before they are taken for deleted. Those that are there
    /// were only overlooked, and what was read of them is taken in.
    fn find_deletions(&mut self) -> Result<()> {
        let mut above = CustomerId(i64::MIN);
        loop {
            let unseen = self.store.unseen(above, CONFIRM_AT_ONCE)?;
            let Some(last) = unseen.last() else { return Ok(()) };
            above = *last;
            let asked = self.ask(Request::ByIds(unseen.clone()))?;
            let there: BTreeSet<CustomerId> = self.answered(asked, |engine, page, _| {
                engine.take_in(&page, &PageKind::Changes, None)?;
                engine.commit_pages()?;
                Ok(page.customers.iter().map(|(attributes, _)| attributes.id()).collect())
            })?;
            let gone: Vec<CustomerId> = unseen.into_iter().filter(|id| !there.contains(id)).collect();
            self.take_gone(&gone)?;
        }
    }

    /// Takes in customers that were read by id.
    pub(super) fn take_looked(&mut self, page: &Page<'_>) -> Result<()> {
        let taken = self.take_in(page, &PageKind::Changes, None);
        // Also after a failure: what was taken in stays.
        self.commit_pages()?;
        taken
    }

    /// These customers are gone from the store.
    pub(super) fn take_gone(&mut self, gone: &[CustomerId]) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        self.counts.deleted += gone.len() as u64;
        let taken = self.store.take_deletions(gone, self.clock.utc())?;
        news(taken).for_each(|event| self.say(event));
        Ok(())
    }

    /// Times are whole seconds, and whether the bound itself is included is not documented: one more second.
    fn overlap(&self) -> TimeDelta {
        TimeDelta::from_std(self.options.overlap.saturating_add(Duration::from_secs(1)))
            .unwrap_or(TimeDelta::MAX)
    }
}

/// What is told of customers that came in.
fn news(taken: Taken) -> impl Iterator<Item = Event> {
    let changed = taken.changed.into_iter().map(|customer_id| Event::CustomerChanged { customer_id });
    changed.chain(taken.notices.into_iter().map(Event::of))
}

impl crate::error::Error {
    fn is_protocol(&self) -> bool {
        matches!(self.failure(), Failure::Protocol(_))
    }
}
