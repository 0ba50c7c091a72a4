//! Step 7: what was done, and what waits for a person.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Event, RETENTION_DAYS, SyncEngine, spans};
use crate::api::Remote;
use crate::clock::stamp;
use crate::error::{Error, Result};
use crate::fleet::{Fleet, Standing};
use crate::resource::{ResourceId, RowId};
use crate::store::{Ended, FLEET, FleetStatus, Kept, Newest, Uploaded};

/// Transactions, of a hundred rows at most, in which a sync removes what is past its retention: a file that was never pruned
/// gets there in some hundred syncs, none of which takes a second more.
const PARTS_PRUNED: usize = 20;
/// The till's clock is believed for that while it is no further from the store's.
const CLOCKS_AGREE: TimeDelta = TimeDelta::days(1);

/// What the report counts besides customers.
const ADDRESSES: &str = "address";
const ATTRIBUTE_VALUES: &str = "attribute_value";

/// How long a reader may hold up a long log before that is told, and how often it is.
const HELD_UP_FOR: TimeDelta = TimeDelta::minutes(1);
const TOLD_AGAIN_MS: u64 = 3_600_000;

/// How many requests were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Reads.
    pub get: u64,
    /// Updates.
    pub put: u64,
    /// Creations.
    pub post: u64,
    /// Deletions.
    pub delete: u64,
}

/// What a sync did, in counts. What waits for a person is in the file: [`Store::rejected`](crate::Store::rejected) and
/// [`Store::conflicts`](crate::Store::conflicts) list it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Customers that were new or changed in the store.
    pub pulled: u64,
    /// Customers whose edits the store took.
    pub uploaded_customers: u64,
    /// Attributes of them.
    pub uploaded_fields: u64,
    /// Customers who were entered here, and whom the store has made.
    pub created: u64,
    /// Customers who were deleted here, and whom the store has deleted.
    pub deleted: u64,
    /// Customers whose deletion waits for a person's word, for there are more than go without one ([`SyncEngine::allow_to_delete`]).
    pub deletions_waiting: u64,
    /// Customers who were gone from the store.
    pub gone: u64,
    /// Addresses whose edits the store took, in a file that keeps them.
    pub addresses: u64,
    /// Values of attributes that the store took, in a file that keeps them.
    pub attribute_values: u64,
    /// Customers whose edits ended up where the store already was: no call was needed.
    pub unchanged_customers: u64,
    /// Edits that the store refused, open when the sync ended.
    pub rejected: u64,
    /// Attributes that wait for a decision, open when the sync ended.
    pub conflicts: u64,
    /// Customers that something of the app's held up when it ended ([`Store::held_up`](crate::Store::held_up)): nothing of them is sent.
    pub held_up: u64,
    /// Requests that were sent.
    pub requests: Requests,
    /// Reads by id among them, before updates of customers that had last been read too long ago.
    pub looks: u64,
    /// How often something was sent or read once more.
    pub retries: u64,
    /// How often the store said `429` because its quota was used up.
    pub rate_limited: u64,
    /// How often it said `429` because too many calls were under way at once, over all clients of the store.
    pub slots_refused: u64,
    /// Bytes of the bodies that were sent.
    pub bytes_sent: u64,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Customers that the store did not show, and that are not taken for deleted: too many to be believed without a word
    /// ([`SyncEngine::allow_deletions`]). Their edits wait.
    pub unbelieved: u64,
    /// Customers with edits that wait because what the store showed of them is not believed yet: it was older than what is known, or
    /// the answer was not whole. Later syncs ask again, by themselves.
    pub doubted: u64,
    /// Why the list of what changed in the store was not whole, in words, and what the next pull does about it. `None`: it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// What a pull did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PullReport {
    /// Customers that were new or changed in the store.
    pub pulled: u64,
    /// Customers that were gone from the store.
    pub deleted: u64,
    /// Customers that the store's list lacks, and that are not taken for deleted: too many to be believed without a word
    /// ([`SyncEngine::allow_deletions`]), or nothing was to be learned of them by id.
    pub unbelieved: u64,
    /// Whether the store's list was whole. If not, what came is in the file.
    pub complete: bool,
    /// Why it was not, in words, and what the next pull does about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Attributes that wait for a decision, open when the pull ended.
    pub conflicts: u64,
    /// Customers that something of the app's held up when it ended ([`Store::held_up`](crate::Store::held_up)): nothing of them is sent.
    pub held_up: u64,
    /// Requests that were sent.
    pub requests: Requests,
}

/// How far a sync has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Progress {
    /// Customers that came in; `of` as the server tells.
    Pulled {
        /// So far.
        customers: u64,
        /// In all, if the server tells.
        of: Option<u64>,
    },
    /// Customers whose upload was answered, or was found to have arrived.
    Uploaded {
        /// So far.
        customers: u64,
        /// In all: of those whom an earlier sync left in doubt, and then of those who are sent.
        of: u64,
    },
}

/// What is counted while a sync runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) began_ms: u64,
    pub(super) get: u64,
    pub(super) put: u64,
    pub(super) post: u64,
    pub(super) delete: u64,
    pub(super) created: u64,
    pub(super) deleted: u64,
    pub(super) deletions_waiting: u64,
    pub(super) bytes_sent: u64,
    pub(super) retries: u64,
    pub(super) rate_limited: u64,
    pub(super) slots_refused: u64,
    pub(super) looks: u64,
    pub(super) pulled: u64,
    /// Customers who are gone from the store, and not by this till's doing.
    pub(super) gone: u64,
    pub(super) unbelieved: u64,
    /// Customers whom the store did not show, in answers that are not whole.
    pub(super) doubted: BTreeSet<RowId>,
    /// Why the last pull was not whole.
    pub(super) incomplete: Option<String>,
    /// Everybody was asked for.
    pub(super) is_of_everybody: bool,
    /// It was a part of a pull of everything, which goes on another time.
    pub(super) is_part: bool,
    pub(super) unchanged_customers: u64,
    pub(super) uploaded: Uploaded,
    /// Rows of other resources that the store took.
    pub(super) landed: BTreeMap<ResourceId, u64>,
    /// The server's clock less the till's, as last seen.
    pub(super) offset: Option<TimeDelta>,
}

impl Counts {
    /// How many rows of a resource the store took.
    fn landed_of(&self, name: &str) -> u64 {
        ResourceId::named(name).and_then(|resource| self.landed.get(&resource).copied()).unwrap_or_default()
    }

    fn requests(&self) -> Requests {
        Requests { get: self.get, put: self.put, post: self.post, delete: self.delete }
    }

    /// What was counted since then, by the names of the report.
    pub(super) fn since(&self, before: &Counts) -> [(&'static str, u64); 20] {
        let of = |count: fn(&Counts) -> u64| count(self).saturating_sub(count(before));
        [
            ("pulled", of(|counts| counts.pulled)),
            ("gone", of(|counts| counts.gone)),
            ("unbelieved", of(|counts| counts.unbelieved)),
            ("uploaded_customers", of(|counts| counts.uploaded.customers as u64)),
            ("uploaded_fields", of(|counts| counts.uploaded.fields as u64)),
            ("addresses", of(|counts| counts.landed_of(ADDRESSES))),
            ("attribute_values", of(|counts| counts.landed_of(ATTRIBUTE_VALUES))),
            ("unchanged_customers", of(|counts| counts.unchanged_customers)),
            ("created", of(|counts| counts.created)),
            ("deleted", of(|counts| counts.deleted)),
            ("deletions_waiting", of(|counts| counts.deletions_waiting)),
            ("get", of(|counts| counts.get)),
            ("put", of(|counts| counts.put)),
            ("post", of(|counts| counts.post)),
            ("delete", of(|counts| counts.delete)),
            ("looks", of(|counts| counts.looks)),
            ("retries", of(|counts| counts.retries)),
            ("rate_limited", of(|counts| counts.rate_limited)),
            ("slots_refused", of(|counts| counts.slots_refused)),
            ("bytes_sent", of(|counts| counts.bytes_sent)),
        ]
    }
}

impl<R: Remote> SyncEngine<R> {
    pub(super) fn report(&mut self) -> Result<SyncReport> {
        self.prune()?;
        self.index_for_search()?;
        self.wipe_log()?;
        self.tell_of_set_aside()?;
        let (rejected, conflicts, held_up) = self.store.waiting()?;
        spans::waiting(rejected, conflicts, held_up);
        let doubted = self.doubted()?;
        spans::doubted(doubted);
        let counts = &self.counts;
        Ok(SyncReport {
            pulled: counts.pulled,
            uploaded_customers: counts.uploaded.customers as u64,
            uploaded_fields: counts.uploaded.fields as u64,
            created: counts.created,
            deleted: counts.deleted,
            deletions_waiting: counts.deletions_waiting,
            gone: counts.gone,
            addresses: counts.landed_of(ADDRESSES),
            attribute_values: counts.landed_of(ATTRIBUTE_VALUES),
            unchanged_customers: counts.unchanged_customers,
            rejected,
            conflicts,
            held_up,
            requests: counts.requests(),
            looks: counts.looks,
            retries: counts.retries,
            rate_limited: counts.rate_limited,
            slots_refused: counts.slots_refused,
            bytes_sent: counts.bytes_sent,
            elapsed_ms: self.clock.now_ms() - counts.began_ms,
            unbelieved: counts.unbelieved,
            doubted,
            incomplete: counts.incomplete.clone(),
        })
    }

    /// Customers whose edits wait for readings that are believed.
    fn doubted(&mut self) -> Result<u64> {
        let mut doubted = std::mem::take(&mut self.counts.doubted);
        doubted.extend(self.store.doubted()?);
        self.store.count_edited(doubted)
    }

    /// The others went on, and what they brought is in the file: that it failed of one is told at the end.
    fn tell_of_set_aside(&mut self) -> Result<()> {
        self.set_aside.take().map_or(Ok(()), |failure| Err(failure.into()))
    }

    pub(super) fn pull_report(&mut self) -> Result<PullReport> {
        self.note_rows()?;
        self.index_for_search()?;
        self.wipe_log()?;
        // Of a list of everybody as much was learned as could be.
        if !self.counts.is_of_everybody {
            self.tell_of_set_aside()?;
        }
        let (_, conflicts, held_up) = self.store.waiting()?;
        let counts = &self.counts;
        Ok(PullReport {
            pulled: counts.pulled,
            deleted: counts.gone,
            unbelieved: counts.unbelieved,
            complete: counts.incomplete.is_none() && !counts.is_part,
            incomplete: counts.incomplete.clone(),
            conflicts,
            held_up,
            requests: counts.requests(),
        })
    }

    /// How a sync ended, and what it learned, outlive it in the file. What failed may keep this from being written too: then
    /// the failure is told, and not this one.
    pub(super) fn note_end(&mut self, kind: &'static str, failure: Option<&Error>) -> Result<()> {
        let is_out_of_reach =
            |error: &Error| matches!(error.code(), "locked" | "corrupt" | "two_sqlites" | "log_gone");
        if failure.is_some_and(is_out_of_reach) {
            return Ok(());
        }
        self.store.ends_sync();
        let ended = self.clock.utc();
        let elapsed_ms = self.clock.now_ms().saturating_sub(self.counts.began_ms);
        let ago = TimeDelta::milliseconds(i64::try_from(elapsed_ms).unwrap_or(0));
        let pushed = self.counts.uploaded.fields > 0 || self.counts.created > 0 || self.counts.deleted > 0;
        let pushed = pushed.then(|| ("last_push_at", stamp(ended)));
        let counts = self.counts.since(&Counts::default());
        let incomplete = self.counts.incomplete.clone();
        let is_through = failure.is_some() || !self.counts.is_part;
        self.store.note_sync(&Ended {
            kind,
            began: ended - ago,
            ended,
            elapsed_ms,
            has_asked: self.counts.requests() != Requests::default(),
            failure,
            incomplete: incomplete.as_deref(),
            unbelieved: self.counts.unbelieved,
            is_of_everybody: self.counts.is_of_everybody && is_through,
            counts: counts
                .into_iter()
                .map(|(name, count)| (name.to_owned(), serde_json::Value::from(count)))
                .collect(),
            facts: self.clock_offset().into_iter().chain(pushed).chain(self.fleet_status(ended)?).collect(),
        })
    }

    /// How it stands with the other tills; that there are none is noted once.
    fn fleet_status(&self, at: DateTime<Utc>) -> Result<Option<(&'static str, String)>> {
        let Some(fleet) = &self.fleet else {
            let was_in_one = self.store.state(FLEET)?.is_some_and(|noted| !noted.is_empty());
            return Ok(was_in_one.then(|| (FLEET, String::new())));
        };
        let alone_until = match fleet.standing() {
            Standing::Unknown => return Ok(None),
            Standing::Together => None,
            Standing::Alone { for_ms } => Some(at + TimeDelta::milliseconds(for_ms.min(60_000) as i64)),
        };
        let refused = self.counts.rate_limited + self.counts.slots_refused;
        let reachable = alone_until.is_none();
        let status = FleetStatus { at, reachable, alone_until, granted: self.granted, refused };
        Ok(serde_json::to_string(&status).ok().map(|json| (FLEET, json)))
    }

    /// A password that has settled leaves the write-ahead log too; after a sync that failed, with the next one.
    pub(super) fn wipe_log(&mut self) -> Result<()> {
        if !self.store.wipe_log()? {
            tracing::warn!(
                "another program reads the file: what was removed leaves its log with the next sync"
            );
        }
        self.tend_long_log()
    }

    fn retention(&self) -> Option<TimeDelta> {
        self.options.retention.and_then(|it| TimeDelta::from_std(it).ok())
    }

    /// Notes now and then which rows are there, and returns those that were there before the retention. Of two clocks that disagree,
    /// the later one makes none of them old.
    fn note_rows(&mut self) -> Result<Option<Newest>> {
        let (Some(offset), now) = (self.counts.offset, self.clock.utc()) else { return Ok(None) };
        let retention = self.retention().unwrap_or(TimeDelta::days(RETENTION_DAYS.into()));
        self.store.there_before(now.max(now + offset), retention)
    }

    /// What settled long ago goes, a little with each sync; not while the till's clock and the store's disagree.
    fn prune(&mut self) -> Result<()> {
        let up_to = self.note_rows()?;
        let do_agree = self.counts.offset.is_some_and(|offset| offset.abs() < CLOCKS_AGREE);
        let before = self.retention().filter(|_| do_agree);
        let before = before.and_then(|retention| self.clock.utc().checked_sub_signed(retention));
        if let Some((up_to, before)) = up_to.zip(before) {
            let pruned = self.store.prune_some(before, up_to, PARTS_PRUNED)?;
            tracing::debug!(removed = pruned.removed, "pruned");
            if let Some(Kept { error, cause }) = pruned.kept {
                let cause = cause.unwrap_or_default();
                tracing::warn!(cause, error, "something of the app's keeps what is past its retention");
            }
        }
        Ok(())
    }

    /// Once somebody has searched, everybody is found by words. Whoever stops a sync does not wait for that.
    fn index_for_search(&mut self) -> Result<()> {
        let stopper = self.stopper.clone().unwrap_or_default();
        self.store.index_for_search(|| !stopper.is_stopped())
    }

    /// A reader that stays makes the log grow for ever: told when it has been there for a while, and not at every sync.
    fn tend_long_log(&mut self) -> Result<()> {
        let (now, now_ms) = (self.clock.utc(), self.clock.now_ms());
        let Some(state) = self.store.tend_long_log(now)? else { return Ok(()) };
        let since = state.held_up_since.unwrap_or(now);
        let is_told = self.log_told_ms.is_some_and(|told_ms| now_ms.saturating_sub(told_ms) < TOLD_AGAIN_MS);
        if now - since >= HELD_UP_FOR && !is_told {
            tracing::warn!(bytes = state.bytes, readers = ?state.readers, "a reader holds up the log of the file");
            self.log_told_ms = Some(now_ms);
            self.say(Event::LogHeldUp { bytes: state.bytes, since, readers: state.readers });
        }
        Ok(())
    }

    /// How far the server's clock is ahead outlives the sync.
    fn clock_offset(&self) -> Option<(&'static str, String)> {
        self.counts.offset.map(|offset| ("clock_offset_ms", offset.num_milliseconds().to_string()))
    }

    /// An earlier process, or another one beside this, was told to wait: it holds for whoever asks the same store. Where the clock
    /// was set back since, nobody knows how much of that wait is left: the store says it again to whoever asks too early.
    pub(super) fn honour_throttle(&mut self) -> Result<()> {
        let Some(until) = self.store.time("throttled_until")? else { return Ok(()) };
        let now = self.clock.utc();
        if self.store.time("throttled_since")?.is_some_and(|since| since > now) {
            return self.store.set_time("throttled_until", None);
        }
        if let Ok(wait_ms) = u64::try_from((until - now).num_milliseconds()) {
            let now_ms = self.clock.now_ms();
            self.pacer.wait_until(now_ms.saturating_add(wait_ms), now_ms, self.random.f64());
        }
        Ok(())
    }

    /// For `status`, while this process waits, and for the next one: what the store asks for, without what this till adds by itself. That
    /// it cannot be written is no reason to end the sync.
    pub(super) fn note_throttle(&mut self) {
        let now_ms = self.clock.now_ms();
        let wait_ms = self.pacer.asked_until_ms(now_ms).saturating_sub(now_ms);
        let wait_ms = i64::try_from(wait_ms).unwrap_or(i64::MAX);
        let now = self.clock.utc();
        let until = now + TimeDelta::milliseconds(wait_ms.min(86_400_000));
        self.say(Event::ThrottledUntil { until });
        let facts = [("throttled_since", stamp(now)), ("throttled_until", stamp(until))];
        if let Err(error) = self.store.note_facts(&facts) {
            tracing::warn!(%error, "the wait could not be noted");
        }
        // While a sync runs, edits leave the log to it; it may be still for as long as the store says.
        _ = self.store.tend_log_of_others();
    }
}
