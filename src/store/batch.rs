//! An upload on its way: committed before it leaves, settled in one transaction when its answer is known.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, Transaction, named_params, params};

use super::apply::{apply, apply_news, is_written, settle};
use super::create::Created;
use super::held_up::Apart;
use super::life::{self, Life};
use super::mend::Told;
use super::pull::note_older;
use super::{Failed, Store, ahead, attempt, dirty, held_up, mend, state};
use crate::clock::stamp;
use crate::error::Result;
use crate::flow::{
    Act, Credit, CustomerPlan, Dirty, Flight, Notice, Op, Outcome, Payload, Policies, Recovered, Rejection,
    Sent, SentBase, SentRow, Settlement, SnapshotPlan, diff, is_outdated, is_undated, reconcile, recover,
    twin,
};
use crate::resource::{Attributes, BatchId, EditSeq, FieldId, Record, ResourceId, RowId};

/// A batch that was committed and may leave now.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// Its payloads, in the order of the call; empty: there is nothing to send.
    pub(crate) payloads: Vec<Payload>,
    /// The same, as they are held against the answer.
    pub(crate) sent: Vec<SentRow>,
    /// Rows that did not fit in, and were left alone.
    pub(crate) left: Vec<RowId>,
    /// Rows whose edits ended up where the server already is.
    pub(crate) unchanged: usize,
    pub(crate) notices: Vec<Notice>,
    /// What became of creations that needed no call.
    pub(crate) created: Created,
}

/// What an earlier sync left on its way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InDoubt {
    pub(crate) rows: Vec<(RowId, Act)>,
    /// When the newest batch was sent, by the till's clock.
    pub(crate) sent_at: Option<DateTime<Utc>>,
}

/// What the answer to an update that is read back said of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// What it refused, or showed as it was before.
    pub(crate) denied: BTreeMap<RowId, Vec<FieldId>>,
    /// What of that may be told late.
    pub(crate) late: BTreeMap<RowId, Vec<FieldId>>,
    /// All that was shown with what it left out: it may be among that under another id.
    pub(crate) shown: Vec<Record>,
}

/// A customer in doubt, what was sent of it, and what a reading back makes of that.
struct Judged {
    found: Told,
    sent: Sent,
    recovered: Recovered,
    /// Something else lags in that reading.
    lags: bool,
}

/// How much landed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uploaded {
    pub(crate) customers: usize,
    pub(crate) fields: usize,
    pub(crate) notices: Vec<Notice>,
    /// An answer was older than what is known: that customer is read again.
    pub(crate) is_outdated: bool,
}

impl Store {
    /// Commits batches that leave together, as their customers are now: one commit, and one wait for the disk. None has a
    /// body of more than `most_bytes`, unless it holds but one customer.
    pub(crate) fn prepare_batches<'i>(
        &mut self,
        batches: impl IntoIterator<Item = &'i [RowId]>,
        most_bytes: Option<usize>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Prepared>> {
        self.leaving(batches, |transaction, apart, ids| prepare(transaction, apart, ids, most_bytes, now))
    }

    /// Commits what is to leave.
    pub(super) fn leaving<'i>(
        &mut self,
        batches: impl IntoIterator<Item = &'i [RowId]>,
        prepare: impl Fn(&Transaction<'_>, &Apart, &[RowId]) -> Result<Prepared, Failed>,
    ) -> Result<Vec<Prepared>> {
        let batches: Vec<&[RowId]> = batches.into_iter().collect();
        let (prepared, life) = self.holding_up(|store, apart| {
            store.engine_write(|transaction| {
                let prepared = batches.iter().map(|ids| prepare(transaction, apart, ids));
                let prepared = prepared.collect::<Result<Vec<_>, Failed>>()?;
                let leaves = prepared.iter().any(|batch| !batch.payloads.is_empty());
                let life = leaves.then(|| Life::move_on(transaction)).transpose()?;
                Ok((prepared, life))
            })
        })?;
        if let Some(life) = life {
            life.leave_beside(&self.path);
        }
        self.make_room();
        Ok(prepared)
    }

    /// What an earlier sync left on its way.
    pub(crate) fn in_doubt(&self) -> Result<InDoubt> {
        self.read_at_once(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT i.customer_id, i.of_resource, i.of_row, b.sent_at, b.verb
                 FROM batch AS b
                 JOIN batch_item AS i ON i.batch_id = b.id
                 ORDER BY b.id, i.position",
            )?;
            let mut rows = statement.query([])?;
            let mut doubt = InDoubt::default();
            while let Some(row) = rows.next()? {
                let verb: String = row.get(4)?;
                doubt.rows.push((dirty::row_id(row, 0)?, Act::named(&verb)));
                doubt.sent_at = doubt.sent_at.max(attempt::moment(&row.get::<_, String>(3)?));
            }
            Ok(doubt)
        })
    }

    /// The batch of this customer was committed a while ago, and leaves only now.
    pub(crate) fn leaves_now(&mut self, id: RowId, now: DateTime<Utc>) -> Result<()> {
        let (of_resource, of_row) = id.beside_its_customer();
        self.engine_write(|transaction| {
            let written = transaction
                .prepare_cached(
                    "UPDATE batch
                     SET sent_at = ?4
                     WHERE id = (SELECT batch_id FROM batch_item
                                 WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3)",
                )?
                .execute(params![id.customer.0, of_resource, of_row, stamp(now)])?;
            refuse_ignored_item(written, transaction, id)
        })
    }

    /// The line to the store has ended, or it has answered: an update of this customer was applied by then, or never. What of
    /// its batch is not confirmed stays in doubt.
    pub(crate) fn note_applied_by(&mut self, id: RowId, applied_by: DateTime<Utc>) -> Result<()> {
        let (of_resource, of_row) = id.beside_its_customer();
        self.engine_write(|transaction| {
            let written = transaction
                .prepare_cached(
                    "UPDATE batch
                     SET applied_by = ?4
                     WHERE id = (SELECT batch_id FROM batch_item
                                 WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3)",
                )?
                .execute(params![id.customer.0, of_resource, of_row, stamp(applied_by)])?;
            refuse_ignored_item(written, transaction, id)
        })
    }

    /// A batch left and was refused as a whole: its edits are pending again, and what was sent stays on record.
    pub(crate) fn end_refused(&mut self, ids: &[RowId], now: DateTime<Utc>) -> Result<()> {
        self.end_each(ids, now, |transaction, id| attempt::end(transaction, id, now))
    }

    /// A batch never left: its edits are pending again.
    pub(crate) fn release(&mut self, ids: &[RowId], now: DateTime<Utc>) -> Result<()> {
        self.end_each(ids, now, |transaction, id| {
            in_flight(transaction, id)?
                .into_iter()
                .try_for_each(|seq| settle(transaction, &Settlement::new(seq, None), now))
        })
    }

    /// What was to be sent of these customers ends. One of whom that cannot be written stays in doubt, and is read back.
    fn end_each(
        &mut self,
        ids: &[RowId],
        now: DateTime<Utc>,
        end: impl Fn(&Transaction<'_>, RowId) -> Result<(), Failed>,
    ) -> Result<()> {
        self.holding_up(|store, apart| {
            store.engine_write(|transaction| {
                for id in ids {
                    apart.outcomes(transaction, *id, now, || {
                        end(transaction, *id)?;
                        remove_item(transaction, *id)
                    })?;
                }
                Ok(remove_batches(transaction)?)
            })
        })
    }

    /// The one customer of a batch was refused: what the refusal means waits for a person, the rest is pending again.
    pub(crate) fn reject(&mut self, rejection: &Rejection, now: DateTime<Utc>) -> Result<Vec<Notice>> {
        self.look_at_triggers();
        self.holding_up(|store, apart| {
            store.engine_write(|transaction| {
                let Some((told, sent)) = told(transaction, apart, rejection.row)? else {
                    return Ok(Vec::new());
                };
                let dirty = &told.dirty;
                let flying = dirty.ops.iter().filter(|op| op.outcome == Some(Outcome::InFlight));
                let plan = CustomerPlan {
                    settle: flying.map(|op| Settlement::new(op.seq, None)).collect(),
                    ..CustomerPlan::nothing(dirty.id)
                };
                let mut recovered = Recovered { plan, is_pending: true };
                recovered.reject(dirty, rejection)?;
                told.leave(&mut recovered.plan);
                let record = || {
                    keep_as_sent(transaction, dirty.id, &recovered.plan)?;
                    attempt::keep(transaction, dirty, &sent, &recovered.plan, None)
                };
                let notices = write_answer(
                    transaction,
                    apart,
                    dirty,
                    &recovered.plan,
                    &Policies::default(),
                    now,
                    record,
                )?;
                remove_batches(transaction)?;
                Ok(notices.unwrap_or_default())
            })
        })
    }

    /// Answers to batches: each customer that they confirm is settled. As many answers as go into one transaction; each
    /// is whole in it. Returns how many these were. Should a power cut take it back, those batches are in doubt again
    /// and read back; the commit of the next batch makes it durable too.
    pub(crate) fn settle_some(
        &mut self,
        answers: &[Vec<(RowId, Record)>],
        policies: &Policies,
        now: DateTime<Utc>,
    ) -> Result<(usize, Uploaded)> {
        self.look_at_triggers();
        let most = answers.iter().map(Vec::len).sum();
        let count = if self.at_once(most)? < most { 1 } else { answers.len() };
        let uploaded = self.holding_up(|store, apart| {
            store.engine_note(|transaction| {
                let mut uploaded = Uploaded::default();
                for (id, record) in answers[..count].iter().flatten() {
                    let Some((found, sent)) = told(transaction, apart, *id)? else { continue };
                    let dirty = &found.dirty;
                    let answer = record.attributes()?;
                    if is_undated(&sent, &answer, policies.clock_offset) {
                        state::note_credit_undated(transaction)?;
                    }
                    let sent = Sent { is_accepted: true, ..sent };
                    // What it takes back is no news; what it shows of what was sent, it shows.
                    let news = match &dirty.base {
                        Some(known) => dirty.lately.without_lag(
                            known,
                            record,
                            &sent,
                            policies.moment(now),
                            &BTreeSet::new(),
                        )?,
                        None => None,
                    };
                    let (record, body) = (news.as_ref().unwrap_or(record), record.body());
                    let mut plan = reconcile(dirty, &sent, record, policies)?;
                    found.leave(&mut plan);
                    let record_of = || {
                        attempt::keep(transaction, dirty, &sent, &plan, None)?;
                        attempt::keep_unshown(transaction, dirty, &sent, &plan, &answer, now)
                    };
                    let written = write_answer(transaction, apart, dirty, &plan, policies, now, record_of)?;
                    let Some(notices) = written else { continue };
                    uploaded.count(dirty, &plan, notices);
                    let known = dirty.base.as_ref().map(Record::attributes).transpose()?;
                    let told = record.attributes()?;
                    if news.is_some() || known.is_some_and(|known| is_outdated(&known, &told, None)) {
                        note_older(transaction, *id, body, policies.moment(now))?;
                        uploaded.is_outdated = true;
                    }
                }
                remove_batches(transaction)?;
                Ok(uploaded)
            })
        })?;
        self.make_room();
        Ok((count, uploaded))
    }

    /// Customers in doubt were read back: what landed settles, what did not is pending again or, where `refuse` says
    /// so of those that are pending, rejected. All in one transaction.
    pub(crate) fn recover(
        &mut self,
        ids: &[RowId],
        records: &BTreeMap<RowId, Record>,
        said: &Said,
        policies: &Policies,
        now: DateTime<Utc>,
        refuse: impl FnOnce(&[RowId]) -> Vec<Rejection>,
    ) -> Result<Uploaded> {
        self.look_at_triggers();
        let (mut refuse, mut rejections) = (Some(refuse), Vec::new());
        self.holding_up(|store, apart| {
            store.engine_write(|transaction| {
                let mut uploaded = Uploaded::default();
                let mut all: Vec<Judged> = Vec::new();
                let is_credit_undated = state::is_credit_undated(transaction)?;
                let judge = |id: RowId| {
                    let Some((found, mut sent)) = told(transaction, apart, id)? else { return Ok(None) };
                    sent.denied = said.denied.get(&id).cloned().unwrap_or_default();
                    sent.late = said.late.get(&id).cloned().unwrap_or_default();
                    sent.is_credit_undated = is_credit_undated;
                    sent.is_read_soon = sent.flight.is_some_and(|flight| flight.may_not_show_yet(now));
                    let record = records.get(&id);
                    sent.twin = record.and_then(|record| twin(&sent, record, &said.shown));
                    let read =
                        record.map(|record| found.dirty.read_back(record, &sent, policies.moment(now)));
                    let (news, lags) = read.transpose()?.map_or((None, false), |read| (read.news, read.lags));
                    let recovered = recover(&found.dirty, &sent, news.as_ref().or(record), policies)?;
                    Ok::<_, Failed>(Some(Judged { found, sent, recovered, lags }))
                };
                for id in ids.iter().filter(|id| !apart.leaves_out(id.customer)) {
                    match judge(*id)? {
                        Some(judged) => all.push(judged),
                        None => remove_item(transaction, *id)?,
                    }
                }
                let pending: Vec<RowId> =
                    all.iter().filter(|it| it.recovered.is_pending).map(|it| it.found.dirty.id).collect();
                // Asked once: whoever answers moves on.
                if let Some(refuse) = refuse.take() {
                    rejections = refuse(&pending);
                }
                for judged in all {
                    // A trigger of the app's may have edited it while another one was written.
                    let Judged { found: Told { dirty, .. }, .. } = &judged;
                    let is_as_judged = dirty.ops == dirty::load_ops(transaction, dirty.id)?;
                    let judged = if is_as_judged { Some(judged) } else { judge(dirty.id)? };
                    let Some(Judged { found, sent, mut recovered, lags }) = judged else { continue };
                    let dirty = &found.dirty;
                    for rejection in rejections.iter().filter(|rejection| rejection.row == dirty.id) {
                        recovered.reject(dirty, rejection)?;
                    }
                    found.leave(&mut recovered.plan);
                    let told = records.get(&dirty.id).map(Record::attributes).transpose()?;
                    let record = || {
                        keep_as_sent(transaction, dirty.id, &recovered.plan)?;
                        attempt::keep(transaction, dirty, &sent, &recovered.plan, told.as_ref())?;
                        if let Some(told) = told.as_ref().filter(|_| !sent.late.is_empty()) {
                            attempt::keep_unshown(transaction, dirty, &sent, &recovered.plan, told, now)?;
                        }
                        told.iter().try_for_each(|told| {
                            attempt::note_told_as_before(transaction, told)?;
                            attempt::note_told_late(
                                transaction,
                                told,
                                policies.moment(now),
                                policies.clock_offset,
                            )
                        })
                    };
                    let written =
                        write_answer(transaction, apart, dirty, &recovered.plan, policies, now, record)?;
                    written.into_iter().for_each(|notices| uploaded.count(dirty, &recovered.plan, notices));
                    if let Some(record) = records.get(&dirty.id).filter(|_| lags) {
                        note_older(transaction, dirty.id, record.body(), policies.moment(now))?;
                        uploaded.is_outdated = true;
                    }
                }
                remove_batches(transaction)?;
                Ok(uploaded)
            })
        })
    }

    /// Rejects the pending edits of what no two have, of those among whom it goes round: they were not sent at all.
    pub(crate) fn reject_rings(
        &mut self,
        ids: &BTreeSet<RowId>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let ids: Vec<RowId> = ids.iter().copied().collect();
        self.in_small_parts(&ids, |transaction, apart, id, (): &mut ()| {
            let Some(dirty) = dirty::load(transaction, id)? else { return Ok(()) };
            let reject = || {
                for op in dirty.ops.iter().filter(|op| op.field.is_unique() && op.is_pending()) {
                    let reason = Some(reason.to_owned());
                    let rejected = Settlement { reason, ..Settlement::new(op.seq, Outcome::Rejected) };
                    settle(transaction, &rejected, now)?;
                }
                Ok(())
            };
            apart.outcomes(transaction, id, now, reject)?;
            Ok(())
        })?;
        Ok(())
    }
}

impl Uploaded {
    /// Counts what became of one customer.
    fn count(&mut self, dirty: &Dirty, plan: &CustomerPlan, notices: Vec<Notice>) {
        let fields: BTreeSet<FieldId> = plan
            .settle
            .iter()
            .filter_map(|settlement| Some((dirty.op(settlement.seq)?, settlement.outcome)))
            .filter(|(op, outcome)| {
                *outcome == Some(Outcome::Uploaded) || is_beside_held(dirty, plan, op, *outcome)
            })
            .map(|(op, _)| op.field)
            .collect();
        self.customers += usize::from(!fields.is_empty());
        self.fields += fields.len();
        self.notices.extend(notices);
    }
}

/// What the store said of an update, into the file. Where something of the app's refuses the customer, what became of its edits
/// all the same, so that nothing is sent twice; none: that is refused too, and the update stays in doubt. `record`: what stays
/// on record of the update, while it is there.
fn write_answer(
    transaction: &Transaction<'_>,
    apart: &Apart,
    dirty: &Dirty,
    plan: &CustomerPlan,
    policies: &Policies,
    now: DateTime<Utc>,
    record: impl Fn() -> Result<(), Failed>,
) -> Result<Option<Vec<Notice>>, Failed> {
    let write = |plan: &CustomerPlan| {
        let notices = apply_news(transaction, dirty, plan, policies, now)?;
        record()?;
        remove_item(transaction, dirty.id)?;
        Ok(notices)
    };
    if let Some(notices) = apart.all(transaction, dirty.id, now, || write(plan))? {
        return Ok(Some(notices));
    }
    let outcomes = CustomerPlan {
        settle: plan.settle.clone(),
        conflicts: plan.conflicts.clone(),
        void: plan.void.clone(),
        refuted: plan.refuted.clone(),
        revived: plan.revived.clone(),
        ..CustomerPlan::nothing(dirty.id)
    };
    apart.outcomes(transaction, dirty.id, now, || {
        let notices = write(&outcomes)?;
        ahead::note(transaction, dirty, plan, policies.moment(now))?;
        Ok(notices)
    })
}

fn prepare(
    transaction: &Transaction<'_>,
    apart: &Apart,
    ids: &[RowId],
    most_bytes: Option<usize>,
    now: DateTime<Utc>,
) -> Result<Prepared, Failed> {
    let (mut prepared, mut bytes, mut batch) = (Prepared::default(), 1, None);
    // What is known of them may be old.
    let mut held_up = if apart.is_needed { held_up::ids(transaction)? } else { Vec::new() };
    held_up.extend(life::to_hold(transaction)?);
    for (place, id) in ids.iter().enumerate().filter(|(_, id)| !held_up.contains(&id.customer)) {
        let loaded = dirty::load(transaction, *id).map_err(|e| held_up::of(id.customer, e.into()))?;
        let Some(dirty) = loaded.filter(|dirty| dirty.deletion.is_none()) else { continue };
        let mut diff = diff(&dirty)?;
        if let (Some(payload), Some(base)) = (&mut diff.payload, &dirty.base) {
            let base = base.attributes()?;
            let wanted = state::wanted(transaction, id.resource)?;
            wanted.into_iter().for_each(|field| payload.say_too(field, &base));
        }
        if let (Some(most), Some(payload)) = (most_bytes, &diff.payload) {
            bytes += payload.to_json().len() + 1;
            if bytes > most && !prepared.payloads.is_empty() {
                prepared.left = ids[place..].to_vec();
                break;
            }
        }
        let leaving = diff.payload.as_ref().map(|payload| {
            Ok::<_, Failed>((begin(transaction, &mut batch, id.resource, Act::Update, now)?, payload))
        });
        let leaving = leaving.transpose()?;
        let planned = || {
            let notices = apply(transaction, &dirty, &diff.plan, now)?;
            leaving.map_or(Ok(()), |(batch, payload)| {
                leave(transaction, batch, prepared.payloads.len(), payload, now)
            })?;
            Ok(notices)
        };
        let Some(notices) = apart.all(transaction, *id, now, planned)? else { continue };
        prepared.notices.extend(notices);
        prepared.unchanged += usize::from(diff.is_unchanged());
        if let Some(payload) = diff.payload {
            let base = dirty.base.as_ref().map(Record::attributes).transpose()?;
            let newest = dirty.password.clone().filter(|_| payload.password.is_none());
            let other_passwords = dirty.earlier_passwords.iter().cloned().chain(newest).collect();
            prepared.sent.push(SentRow { other_passwords, ..SentRow::of(&payload, base.as_ref()) });
            prepared.payloads.push(payload);
        }
    }
    if batch.is_some() && prepared.payloads.is_empty() {
        remove_batches(transaction)?;
    }
    Ok(prepared)
}

/// Form fields that landed, of which another one is held: the edit waits with that.
fn is_beside_held(dirty: &Dirty, plan: &CustomerPlan, op: &Op, outcome: Option<Outcome>) -> bool {
    op.field.has_entries()
        && (op.outcome, outcome) == (Some(Outcome::InFlight), Some(Outcome::Held))
        && dirty.held_forms().next().is_some()
        && plan.snapshot != SnapshotPlan::Remove
}

/// The batch that is being filled: the first customer who has something to send begins it.
pub(super) fn begin(
    transaction: &Transaction<'_>,
    batch: &mut Option<BatchId>,
    resource: ResourceId,
    act: Act,
    now: DateTime<Utc>,
) -> Result<BatchId, Failed> {
    if let Some(batch) = *batch {
        return Ok(batch);
    }
    let begin = "INSERT INTO batch (sent_at, resource, verb) VALUES (?1, ?2, ?3)";
    is_written(transaction.prepare_cached(begin)?.execute(params![
        stamp(now),
        resource.spec().name,
        act.word()
    ])?)?;
    Ok(*batch.insert(BatchId(transaction.last_insert_rowid())))
}

/// An update goes into its batch, and the edits that it covers are on their way.
pub(super) fn leave(
    transaction: &Transaction<'_>,
    batch: BatchId,
    position: usize,
    payload: &Payload,
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    insert_item(transaction, batch, position, payload)?;
    let mut covers = payload.covers.iter();
    covers.try_for_each(|seq| settle(transaction, &Settlement::new(*seq, Outcome::InFlight), now))
}

fn insert_item(
    transaction: &Transaction<'_>,
    batch: BatchId,
    position: usize,
    payload: &Payload,
) -> Result<(), Failed> {
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO batch_item (batch_id, position, customer_id, of_resource, of_row, up_to_seq, payload, base,
                                     credit_before, credit_sent)
             VALUES (:batch_id, :position, :customer_id, :of_resource, :of_row, :up_to_seq, :payload, :base, :credit_before, :credit_sent)",
        )?
        .execute(named_params! {
            ":batch_id": batch.0,
            ":position": position,
            ":customer_id": payload.id.customer.0,
            ":of_resource": payload.id.beside_its_customer().0,
            ":of_row": payload.id.beside_its_customer().1,
            ":up_to_seq": payload.up_to().0,
            ":payload": payload.to_json_redacted(),
            ":base": payload.base.to_json(payload.id),
            ":credit_before": payload.credit.map(|credit| credit.before.to_string()),
            ":credit_sent": payload.credit.map(|credit| credit.sent.to_string()),
        })?;
    is_written(inserted)
}

/// A customer whose update is on its way, and what was sent.
pub(super) struct InFlight {
    pub(super) dirty: Dirty,
    pub(super) sent: Sent,
}

/// An update whose answer nobody has heard was applied within this much time after it left: a request has thirty seconds.
const UNANSWERED: TimeDelta = TimeDelta::seconds(40);

/// What is on its way of a customer, with what was edited past the triggers since; none: there is nothing, or it stays in doubt, for a row of
/// that customer cannot be read.
fn told(transaction: &Transaction<'_>, apart: &Apart, id: RowId) -> Result<Option<(Told, Sent)>, Failed> {
    if apart.leaves_out(id.customer) {
        return Ok(None);
    }
    let read = || {
        let Some(InFlight { dirty, sent }) = on_its_way(transaction, id)? else { return Ok(None) };
        Ok(Some((mend::tell(transaction, apart, dirty, Some(&sent))?, sent)))
    };
    read().map_err(|failed| held_up::of(id.customer, failed))
}

pub(super) fn on_its_way(transaction: &Transaction<'_>, id: RowId) -> Result<Option<InFlight>, Failed> {
    let item = transaction
        .prepare_cached(
            "SELECT i.payload, i.up_to_seq, i.credit_before, i.credit_sent, i.base, b.sent_at, b.applied_by
             FROM batch_item AS i
             JOIN batch AS b ON b.id = i.batch_id
             WHERE i.customer_id = ?1 AND i.of_resource IS ?2 AND i.of_row IS ?3",
        )?
        .query_row(dirty::whose(id), |row| {
            let money = |column| {
                let text: Option<String> = row.get(column)?;
                Ok::<_, rusqlite::Error>(text.and_then(|text| text.parse().ok()))
            };
            let credit = money(2)?.zip(money(3)?).map(|(before, sent)| Credit { before, sent });
            let time = |text: Option<String>| text.as_deref().and_then(attempt::moment);
            let flight = time(row.get(5)?).map(|left| (left, row.get(6).map(time)));
            let flight = flight.map(|(left, applied_by)| {
                Ok::<_, rusqlite::Error>(Flight {
                    left,
                    applied_by: applied_by?.unwrap_or(left + UNANSWERED),
                })
            });
            let (payload, base) = (row.get::<_, String>(0)?, row.get::<_, Option<String>>(4)?);
            Ok((payload, EditSeq(row.get(1)?), credit, base, flight.transpose()?))
        })
        .optional()?;
    let (Some((payload, up_to, credit, base, flight)), Some(dirty)) = (item, dirty::load(transaction, id)?)
    else {
        return Ok(None);
    };
    let base = match &base {
        Some(base) => SentBase::of(&Attributes::of_row(id, base)?, id.resource.columns()),
        None => SentBase::default(),
    };
    let attributes = Attributes::of_row(id, &payload)?;
    let sent_fields = id.resource.columns().filter(|field| attributes.has(*field));
    let fields = sent_fields.map(|field| (field, attributes.get(field))).collect();
    Ok(Some(InFlight { dirty, sent: Sent { up_to, fields, credit, base, flight, ..Sent::default() } }))
}

/// Edits that were refused keep the update that they were part of, as it was sent.
fn keep_as_sent(transaction: &Transaction<'_>, id: RowId, plan: &CustomerPlan) -> Result<(), Failed> {
    let mut refused = plan.settle.iter().filter(|settlement| settlement.outcome == Some(Outcome::Rejected));
    refused.try_for_each(|settlement| keep_sent(transaction, id, settlement.seq))
}

/// The same of one edit.
pub(super) fn keep_sent(transaction: &Transaction<'_>, id: RowId, seq: EditSeq) -> Result<(), Failed> {
    let (of_resource, of_row) = id.beside_its_customer();
    let kept = transaction
        .prepare_cached(
            "UPDATE journal
                 SET sent = (SELECT payload FROM batch_item
                             WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3),
                     engine_mark = NOT engine_mark
                 WHERE seq = ?4",
        )?
        .execute(params![id.customer.0, of_resource, of_row, seq.0])?;
    is_written(kept)
}

/// Its creation is one of them.
fn in_flight(transaction: &Transaction<'_>, id: RowId) -> rusqlite::Result<Vec<EditSeq>> {
    let mut statement = transaction.prepare_cached(
        "SELECT seq FROM journal INDEXED BY tillsync_journal_unsettled
         WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND outcome = 'in_flight'
         ORDER BY seq",
    )?;
    statement.query_map(dirty::whose(id), |row| Ok(EditSeq(row.get(0)?)))?.collect()
}

pub(super) fn remove_item(transaction: &Transaction<'_>, id: RowId) -> Result<(), Failed> {
    let remove = "DELETE FROM batch_item WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3";
    let removed = transaction.prepare_cached(remove)?.execute(dirty::whose(id))?;
    refuse_ignored_item(removed, transaction, id)
}

/// The update of a row that is to be written, or removed, is: where nothing was, none is there.
fn refuse_ignored_item(written: usize, transaction: &Transaction<'_>, id: RowId) -> Result<(), Failed> {
    let is_there = "SELECT 1 FROM batch_item WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3";
    match written == 0 && transaction.prepare_cached(is_there)?.exists(dirty::whose(id))? {
        true => Err(Failed::Ignored),
        false => Ok(()),
    }
}

/// Batches of which nothing is left.
pub(super) fn remove_batches(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let remove = "DELETE FROM batch WHERE id NOT IN (SELECT batch_id FROM batch_item)";
    transaction.prepare_cached(remove)?.execute([])?;
    Ok(())
}
