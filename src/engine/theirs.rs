//! What a list of customers shows besides them: rows of theirs, of which the store tells no dates.
//!
//! Who was changed is listed with their rows. Of whom as many are shown as there is room for, all are asked for, before the cursor moves.
//! What is known of a customer and not among all of theirs is looked for once more, a while later, before it is taken for gone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::SyncEngine;
use super::exchange::{Patience, Read};
use super::pull::{BY_ID_AT_ONCE, Pulling, Trust};
use crate::api::{Remote, Request};
use crate::error::Result;
use crate::flow::{Page, Theirs};
use crate::resource::{CustomerId, ResourceId, RowId};
use crate::store::PageKind;

/// What a pull has learned of the rows of one resource.
#[derive(Default)]
pub(super) struct Seen {
    /// Those of whom all were told.
    whole: BTreeSet<CustomerId>,
    /// Those who may have more than were shown.
    cut: BTreeSet<CustomerId>,
    /// All that was told of the former.
    rows: BTreeSet<RowId>,
}

/// By resource.
pub(super) type SeenOfEach = BTreeMap<ResourceId, Seen>;

impl<R: Remote> SyncEngine<R> {
    /// What is listed with customers that were changed, in a file that keeps it.
    pub(super) fn shown_with_customers(&mut self) -> Result<Vec<ResourceId>> {
        let mut kept = self.store.keeps()?;
        self.kept = Some(kept.clone());
        kept.retain(|resource| resource.spec().shown_as.is_some());
        Ok(kept)
    }

    /// Takes in what a page of customers shows of this resource.
    pub(super) fn take_theirs(
        &mut self,
        pulling: &mut Pulling,
        resource: ResourceId,
        theirs: Theirs,
        date: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let page = theirs.rows(resource);
        let trust = Trust { believes_older: pulling.machine.believes_older(), server_now: date };
        self.take_in(&page, &PageKind::Changes, trust, None)?;
        let seen = pulling.seen.entry(resource).or_default();
        seen.rows.extend(page.ids());
        drop(page);
        seen.whole.extend(theirs.whole);
        seen.cut.extend(theirs.cut);
        Ok(())
    }

    /// Asks for all of those who may have more, and finds what is gone.
    pub(super) fn end_theirs(&mut self, pulling: &mut Pulling) -> Result<()> {
        for (resource, mut seen) in std::mem::take(&mut pulling.seen) {
            self.ask_for_all(resource, &mut seen)?;
            let mut absent = self.store.rows_of_customers(resource, &seen.whole)?;
            absent.retain(|row| !seen.rows.contains(row));
            let mut company: Vec<RowId> =
                seen.rows.first().into_iter().chain(seen.rows.last()).copied().collect();
            if company.is_empty() && !absent.is_empty() {
                company = self.store.company(resource, 0)?;
                company.retain(|row| !absent.contains(row));
            }
            self.find_gone_among(absent, company)?;
        }
        Ok(())
    }

    fn ask_for_all(&mut self, resource: ResourceId, seen: &mut Seen) -> Result<()> {
        let spec = resource.spec();
        let at_once = spec.shown_as.map_or(1, |shown| spec.page / shown.most.max(1)).max(1);
        let all: Vec<CustomerId> = std::mem::take(&mut seen.cut).into_iter().collect();
        let mut groups: Vec<Vec<CustomerId>> = all.chunks(at_once).map(<[_]>::to_vec).collect();
        while let Some(group) = groups.pop() {
            // By the customer it is asked for, whatever row is meant.
            let rows = group.iter().map(|customer| RowId { resource, customer: *customer, row: 0 });
            let asked = self.ask(Request::ByIds(rows.collect()))?;
            let read = self.answered(asked, &mut Patience::default(), |engine, page, answer| {
                engine.take_looked(page, answer.date)?;
                Ok((page.ids(), is_whole(page)))
            })?;
            match read {
                Read::Taken((rows, is_whole)) => seen.told(rows, is_whole),
                Read::TooMuch { .. } if group.len() > 1 => {
                    groups.extend(group.chunks(group.len().div_ceil(2)).map(<[_]>::to_vec));
                }
                // One alone is too much, or cannot be shown: each of theirs is looked at before it is sent, and nothing is gone for it.
                Read::TooMuch { why, .. } => {
                    tracing::warn!(why, "what a customer has is more than one answer brings")
                }
                Read::Failed { error, .. } => return Err(error),
            }
        }
        Ok(())
    }

    /// These rows were not among all of their customers': they are asked for once more, a while later and in company, before they are
    /// taken for deleted.
    pub(super) fn find_gone_among(&mut self, absent: Vec<RowId>, company: Vec<RowId>) -> Result<()> {
        if absent.is_empty() {
            return Ok(());
        }
        let apart_ms = u64::try_from(self.options.second_look.as_millis()).unwrap_or(u64::MAX);
        self.sleep_until(self.clock.now_ms().saturating_add(apart_ms))?;
        let gone = self.absent_once_more(&absent, &company)?;
        let gone = self.believed(gone)?;
        gone.chunks(BY_ID_AT_ONCE).try_for_each(|gone| self.take_gone(gone))
    }
}

impl Seen {
    /// An answer by customer showed these.
    fn told(&mut self, rows: BTreeSet<RowId>, is_whole: bool) {
        if is_whole {
            // Of whom nothing is shown it says nothing: a moment ago there was more than there was room for.
            self.whole.extend(rows.iter().map(|row| row.customer));
            self.rows.extend(rows);
        }
    }
}

/// Whether an answer shows as many as it says that there are.
fn is_whole(page: &Page<'_>) -> bool {
    page.unread.is_empty() && page.total == Some(page.ids().len() as u64)
}
