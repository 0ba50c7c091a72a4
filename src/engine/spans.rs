//! What a sync says of itself through `tracing`: a span for each sync, pull, upload, batch and request, with what was
//! counted and how long it took. `docs/embedding.md` lists them.
//!
//! They hold counts, statuses and words of this crate, never a value of a customer or a word of the store: an answer's
//! own words may repeat a name, so they are for `debug` alone. Durations are by the engine's clock, so a simulation has
//! them too. A span that nobody listens to costs next to nothing.

use std::collections::BTreeMap;

use tracing::field::Empty;
use tracing::{Span, debug, debug_span, info, info_span, warn};

use super::report::Counts;
use super::{Extent, SyncEngine};
use crate::api::{Remote, Request};
use crate::error::Result;
use crate::flow::{Answer, PutVerdict, SentRow, Ticket, Trouble};
use crate::resource::RowId;

/// A sync of some kind. Counts are those of its report.
fn sync(kind: &'static str) -> Span {
    info_span!(
        "sync",
        kind,
        pulled = Empty,
        gone = Empty,
        uploaded_customers = Empty,
        uploaded_fields = Empty,
        created = Empty,
        deleted = Empty,
        deletions_waiting = Empty,
        addresses = Empty,
        attribute_values = Empty,
        unchanged_customers = Empty,
        rejected = Empty,
        conflicts = Empty,
        held_up = Empty,
        unbelieved = Empty,
        doubted = Empty,
        get = Empty,
        put = Empty,
        post = Empty,
        delete = Empty,
        looks = Empty,
        retries = Empty,
        rate_limited = Empty,
        slots_refused = Empty,
        bytes_sent = Empty,
        error = Empty,
        elapsed_ms = Empty,
    )
}

/// Steps 2 and 3, once a sync.
pub(super) fn pull(extent: Extent) -> Span {
    let is_full = extent == Extent::Full;
    info_span!(
        "pull",
        is_full,
        pulled = Empty,
        gone = Empty,
        get = Empty,
        retries = Empty,
        error = Empty,
        elapsed_ms = Empty
    )
}

/// Step 1, when something was left in doubt.
pub(super) fn recover(customers: usize) -> Span {
    info_span!("recover", customers, get = Empty, retries = Empty, error = Empty, elapsed_ms = Empty)
}

/// Steps 5 and 6.
pub(super) fn upload(customers: u64) -> Span {
    info_span!(
        "upload",
        customers,
        uploaded_customers = Empty,
        uploaded_fields = Empty,
        created = Empty,
        deleted = Empty,
        deletions_waiting = Empty,
        addresses = Empty,
        attribute_values = Empty,
        looks = Empty,
        put = Empty,
        post = Empty,
        delete = Empty,
        retries = Empty,
        bytes_sent = Empty,
        error = Empty,
        elapsed_ms = Empty
    )
}

/// What waits for a person when the sync of the span at hand ends.
pub(super) fn waiting(rejected: u64, conflicts: u64, held_up: u64) {
    let span = Span::current();
    span.record("rejected", rejected).record("conflicts", conflicts).record("held_up", held_up);
}

/// Customers whose edits wait for readings that are believed, when the sync of the span at hand ends.
pub(super) fn doubted(customers: u64) {
    Span::current().record("doubted", customers);
}

impl<R: Remote> SyncEngine<R> {
    /// A whole sync, in its span, alone with the file: until its last update is answered, also when it is stopped before.
    pub(super) fn whole<T>(
        &mut self,
        kind: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let span = sync(kind);
        self.counts = Counts::default();
        let done = self.traced(&span, |engine| {
            let alone = engine.begin()?;
            engine.honour_throttle()?;
            let before = engine.store.held_up()?;
            let done = work(engine);
            engine.fleet.iter_mut().for_each(|fleet| fleet.done());
            // Whatever goes wrong from here on: the lock outlives what is on its way, and the sync's own error is the one to tell.
            let told = engine.tell_of_held_up(&before);
            let noted = engine.note_end(kind, done.as_ref().err());
            engine.remote.keep_while_updating(Box::new(alone));
            done.and_then(|done| told.and(noted).map(|()| done))
        });
        self.spans.abandon();
        span.in_scope(|| info!("ended"));
        done
    }

    /// A part of a sync in its span, which gets what was counted meanwhile; what it has no field for is left out.
    pub(super) fn traced<T>(&mut self, span: &Span, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let (before, began_ms) = (self.counts.clone(), self.clock.now_ms());
        let done = span.in_scope(|| work(self));
        for (name, count) in self.counts.since(&before) {
            span.record(name, count);
        }
        if let Err(error) = &done {
            span.record("error", error.code());
        }
        span.record("elapsed_ms", self.clock.now_ms().saturating_sub(began_ms));
        done
    }
}

/// What is on its way, by its ticket.
#[derive(Default)]
pub(super) struct Spans {
    batches: BTreeMap<Ticket, Going>,
    requests: BTreeMap<Ticket, Going>,
    /// How often this sync has sent a customer, and asked for a list.
    sent: BTreeMap<RowId, u32>,
    asked: BTreeMap<String, u32>,
}

struct Going {
    span: Span,
    since_ms: u64,
    attempt: u32,
}

impl Spans {
    /// A batch leaves; its request follows under the same ticket.
    pub(super) fn batch(&mut self, ticket: Ticket, sent: &[SentRow], now_ms: u64) {
        let fields: usize = sent.iter().map(SentRow::count).sum();
        let span = debug_span!(
            "batch",
            customers = sent.len(),
            fields,
            attempt = Empty,
            outcome = Empty,
            confirmed = Empty,
            missing = Empty,
            unshown = Empty,
            rejected = Empty,
            elapsed_ms = Empty
        );
        if !span.is_disabled() {
            let attempts = sent.iter().map(|row| once_more(&mut self.sent, row.id));
            let attempt = attempts.max().unwrap_or(1);
            span.record("attempt", attempt);
            self.batches.insert(ticket, Going { span, since_ms: now_ms, attempt });
        }
    }

    /// A request leaves.
    pub(super) fn request(&mut self, ticket: Ticket, request: &Request, now_ms: u64) {
        let batch = self.batches.get(&ticket);
        let parent = batch.map_or_else(Span::current, |batch| batch.span.clone());
        let span = debug_span!(
            parent: &parent,
            "request",
            method = request.method(),
            attempt = Empty,
            bytes_sent = request.body().len(),
            status = Empty,
            bytes_received = Empty,
            trouble = Empty,
            elapsed_ms = Empty
        );
        if !span.is_disabled() {
            let attempt = match batch {
                Some(batch) => batch.attempt,
                None => once_more(&mut self.asked, request.query()),
            };
            span.record("attempt", attempt);
            span.in_scope(|| debug!(?request, "sent"));
            self.requests.insert(ticket, Going { span, since_ms: now_ms, attempt });
        }
    }

    /// A request was answered, or will not be.
    pub(super) fn answered(&mut self, ticket: Ticket, answer: &Result<Answer, Trouble>, now_ms: u64) {
        let Some(Going { span, since_ms, .. }) = self.requests.remove(&ticket) else { return };
        match answer {
            Ok(answer) => {
                span.record("status", answer.status);
                span.record("bytes_received", answer.body.len());
            }
            Err(Trouble::Offline(_)) => _ = span.record("trouble", "offline"),
            Err(Trouble::Proxy(_)) => _ = span.record("trouble", "proxy"),
            Err(Trouble::Certificate(_)) => _ = span.record("trouble", "certificate"),
            Err(Trouble::NoSocket(_)) => _ = span.record("trouble", "too many files"),
            Err(Trouble::NoThread(_)) => _ = span.record("trouble", "no thread"),
            Err(Trouble::Broken(_)) => _ = span.record("trouble", "broken"),
            Err(Trouble::TooMuch { .. }) => _ = span.record("trouble", "too much"),
        }
        span.record("elapsed_ms", now_ms.saturating_sub(since_ms));
        span.in_scope(|| debug!("answered"));
    }

    /// What the answer to a batch means is known.
    pub(super) fn judged(&mut self, ticket: Ticket, verdict: &PutVerdict, now_ms: u64) {
        let Some(Going { span, since_ms, .. }) = self.batches.remove(&ticket) else {
            return note(&Span::none(), verdict);
        };
        span.record("outcome", word(verdict));
        span.record("elapsed_ms", now_ms.saturating_sub(since_ms));
        note(&span, verdict);
    }

    /// The sync has ended: nobody waits any more for what is on its way.
    fn abandon(&mut self) {
        for (_, batch) in std::mem::take(self).batches {
            batch.span.record("outcome", "abandoned");
        }
    }
}

fn once_more<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) -> u32 {
    let count = counts.entry(key).or_insert(0);
    *count += 1;
    *count
}

fn word(verdict: &PutVerdict) -> &'static str {
    match verdict {
        PutVerdict::Confirmed { .. } => "confirmed",
        PutVerdict::Refused { .. } => "refused",
        PutVerdict::TooLarge { .. } => "too_large",
        PutVerdict::Limited => "limited",
        PutVerdict::Crowded => "crowded",
        PutVerdict::InDoubt(_) => "in_doubt",
        PutVerdict::NotSent(_) => "not_sent",
        PutVerdict::Stop(_) => "stopped",
    }
}

/// What is worth a line. The store's own words may repeat what a customer is called: they are for `debug`.
fn note(span: &Span, verdict: &PutVerdict) {
    span.in_scope(|| match verdict {
        PutVerdict::Confirmed { records, missing, unshown, rejections } => {
            span.record("confirmed", records.len());
            span.record("missing", missing.len());
            span.record("unshown", unshown.len());
            span.record("rejected", rejections.len());
            debug!("confirmed");
        }
        PutVerdict::InDoubt(why) => {
            warn!("an update is in doubt");
            debug!(why, "in doubt");
        }
        PutVerdict::Refused { rejections, .. } => {
            warn!(named = rejections.len(), "an update was refused");
        }
        PutVerdict::TooLarge { .. } => warn!("an update was too large"),
        PutVerdict::Limited | PutVerdict::Crowded | PutVerdict::NotSent(_) | PutVerdict::Stop(_) => {}
    });
}
