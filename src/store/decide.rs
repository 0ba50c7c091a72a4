//! What a person decides: fields that both sides changed, and edits that the store refused.
//!
//! What becomes of a decision is decided in [`flow::decide`](crate::flow): here it is found and carried out. What is decided of a
//! customer is in one transaction, so a sync that runs meanwhile sees all of it or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Transaction, named_params};
use rust_decimal::Decimal;
use serde::de::IgnoredAny;
use serde::{Serialize, Serializer};

use super::apply::{End, apply, is_written, journal_decision, settle_without_customer};
use super::read::{paid, verbatim};
use super::{Failed, Store, aside, attempt, create, delete, dirty, existing, follow, row, state};
use crate::clock::stamp;
use crate::error::{Error, Failure, Result};
use crate::flow::{
    CannotDecide, ConflictPlan, CustomerPlan, Dirty, Discarded, Keep, NOT_SHOWN, Op, OpenConflict, Outcome,
    PastDecision, Shown, discard, discard_payments, discard_rest, meetings, resolve, retry, undo,
};
use crate::resource::{CustomerId, EditError, EditSeq, FieldId, Kind, RowId, Subject, Value};

/// When refused edits were last freed to be sent again, a key of `state`.
pub(crate) const FREED_AT: &str = "freed_at";

/// Payments of one customer that are freed, or given up, in one transaction.
const PAYMENTS_AT_ONCE: usize = 500;

/// A field that both sides changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Its row, by which [`Store::undo`] names one that was decided.
    pub id: i64,
    /// The customer.
    pub customer_id: CustomerId,
    /// What it is about: `customer`, or something of theirs, such as `attribute_value`.
    pub resource: String,
    /// Which one of it; of a customer, who.
    pub row_id: i64,
    /// The attribute, `form_fields.NAME` for one form field, `*` when the customer was deleted remotely; with resource and row before
    /// it where it is not the customer's own: `attribute_value.3.value`.
    pub field: String,
    /// JSON: what both started from.
    #[serde(serialize_with = "verbatim")]
    pub base: String,
    /// JSON: the till's value.
    #[serde(serialize_with = "verbatim")]
    pub local: String,
    /// JSON: the store's value.
    #[serde(serialize_with = "verbatim")]
    pub remote: String,
    /// When it was found, UTC, by the till's clock.
    pub detected_at: String,
    /// Who made the till's edit.
    pub author: Option<String>,
    /// Names the conflict as it is shown here: [`Store::resolve_seen`] decides this one and no other.
    pub stamp: String,
    /// The edits that it is about; what is edited later is not decided with them.
    pub seqs: Vec<EditSeq>,
    /// What the store said when it refused one of these edits, if it did.
    pub reason: Option<String>,
}

/// An edit that the store refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its place in the journal, by which [`Store::retry_row`] and [`Store::discard_row`] name it.
    pub seq: EditSeq,
    /// The customer.
    pub customer_id: CustomerId,
    /// What was edited: `customer`, or something of theirs, such as `attribute_value`.
    pub resource: String,
    /// Which one of it; of a customer, who.
    pub row_id: i64,
    /// The attribute; with resource and row before it where it is not the customer's own: `attribute_value.3.value`.
    pub field: String,
    /// JSON: what was to be set, or the signed amount; `"***"` for a password.
    #[serde(serialize_with = "verbatim")]
    pub value: String,
    /// The server's words.
    pub reason: String,
    /// JSON: the customer's update as it was sent, a password shown as `***`; null: it was never sent.
    #[serde(serialize_with = "verbatim_or_null")]
    pub sent: Option<String>,
    #[serde(skip)]
    payment: Option<Decimal>,
}

impl Rejected {
    /// The signed amount of a payment, which stands for itself: it is sent again or given up, and never replaced by a value. None: a
    /// value was to be set.
    pub fn payment(&self) -> Option<Decimal> {
        self.payment
    }

    /// Whether the reason is in the store's words. Of what was never sent, and of what the store said yes to and does not show, it is
    /// in the till's.
    pub fn is_in_words_of_the_store(&self) -> bool {
        self.sent.is_some() && self.reason != NOT_SHOWN
    }
}

fn verbatim_or_null<S: Serializer>(
    json: &Option<String>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    verbatim(json.as_deref().unwrap_or("null"), serializer)
}

impl From<CannotDecide> for Failed {
    fn from(cannot: CannotDecide) -> Failed {
        match cannot {
            CannotDecide::Refused(refused) => Error::from(Failure::Undecidable(refused)).into(),
            CannotDecide::MovedOn(refused) => Error::from(Failure::MovedOn(refused)).into(),
            CannotDecide::BadRecord(bad) => bad.into(),
        }
    }
}

impl Store {
    /// The fields that wait for a decision, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn conflicts(&self) -> Result<Vec<Conflict>> {
        self.conflicts_page(0, usize::MAX)
    }

    /// At most `limit` of them, those behind the one whose [`Conflict::id`] is `after`; 0: from the first on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn conflicts_page(&self, after: i64, limit: usize) -> Result<Vec<Conflict>> {
        self.engine_read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id, customer_id, field, base, local, remote, detected_at, author, resource, row_id
                 FROM conflict INDEXED BY tillsync_conflict_open
                 WHERE resolution IS NULL AND id > ?1
                 ORDER BY +id
                 LIMIT ?2",
            )?;
            let page = (after, i64::try_from(limit).unwrap_or(i64::MAX));
            let found = statement.query_map(page, conflict)?.collect::<rusqlite::Result<Vec<_>>>()?;
            // What is still refused says so itself: of a form field in conflict it may be about another.
            let reasons = "SELECT iif(outcome = 'rejected', NULL, reason) FROM journal WHERE seq = ?1";
            let mut reasons = transaction.prepare_cached(reasons)?;
            let mut all = Vec::with_capacity(found.len());
            let mut ops = BTreeMap::new();
            for mut conflict in found {
                let Some((id, open)) = as_open(&conflict) else { continue };
                if let std::collections::btree_map::Entry::Vacant(place) = ops.entry(id) {
                    place.insert(dirty::load_ops(transaction, id)?);
                }
                let shown = as_shown(transaction, id, &open, &ops[&id])?;
                conflict.stamp = shown.stamp();
                (conflict.local, conflict.seqs) = (shown.open.local, shown.seqs);
                for seq in conflict.seqs.iter().rev().filter(|_| open.subject.field().is_some()) {
                    let reason: Option<String> = reasons.query_row([seq.0], |row| row.get(0))?;
                    conflict.reason = conflict.reason.or(reason);
                }
                all.push(conflict);
            }
            Ok(all)
        })
    }

    /// The edits that the store refused, each row of the journal for itself, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rejected(&self) -> Result<Vec<Rejected>> {
        self.rejected_page(EditSeq(0), usize::MAX)
    }

    /// At most `limit` of them, those behind the edit `after`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rejected_page(&self, after: EditSeq, limit: usize) -> Result<Vec<Rejected>> {
        let read = || {
            // Sorted by no index: by the order of the journal SQLite would walk through all of it.
            let mut statement = self.connection.prepare_cached(
                "SELECT seq, customer_id, coalesce(of_resource || '.' || of_row || '.', '') || field, value, coalesce(reason, ''), sent, op, resource, row_id
                 FROM journal INDEXED BY tillsync_journal_unsettled
                 WHERE settled_at IS NULL AND outcome = 'rejected' AND seq > ?1
                 ORDER BY +seq
                 LIMIT ?2",
            )?;
            let page = (after.0, i64::try_from(limit).unwrap_or(i64::MAX));
            statement.query_map(page, rejected)?.collect::<rusqlite::Result<Vec<Rejected>>>()
        };
        read().map_err(|e| self.error(e))
    }

    /// Decides a conflict, named as [`Store::conflicts`] names it. The decision covers the edits that the conflict is about;
    /// what was edited since stands, and payments made since go on top. Returns how many fields that were: 1.
    ///
    /// # Errors
    /// When there is no such conflict, the customer was deleted remotely, an edit is on its way, or the value is refused.
    pub fn resolve(
        &mut self,
        id: impl Into<CustomerId>,
        field: &str,
        keep: &Keep,
        author: Option<&str>,
    ) -> Result<usize> {
        self.resolve_if(id.into(), field, keep, None, author)
    }

    /// The same, for the conflict as it was shown: [`Conflict::stamp`].
    ///
    /// # Errors
    /// As [`Store::resolve`], and when the conflict has moved on since: with both values as they are now.
    pub fn resolve_seen(
        &mut self,
        id: impl Into<CustomerId>,
        field: &str,
        keep: &Keep,
        stamp: &str,
        author: Option<&str>,
    ) -> Result<usize> {
        self.resolve_if(id.into(), field, keep, Some(stamp), author)
    }

    fn resolve_if(
        &mut self,
        id: CustomerId,
        field: &str,
        keep: &Keep,
        seen: Option<&str>,
        author: Option<&str>,
    ) -> Result<usize> {
        self.engine_write(|transaction| {
            let id = follow::today(transaction, id)?;
            let (row, subject) = meant(id, field)?;
            match subject {
                Subject::Existing => existing::resolve(transaction, row, keep, seen, author, Utc::now())?,
                Subject::Deletion => delete::resolve(transaction, row, keep, seen, author, Utc::now())?,
                _ => {}
            }
            if matches!(subject, Subject::Existing | Subject::Deletion) {
                return Ok(1);
            }
            let dirty =
                dirty::load_whole(transaction, row)?.ok_or(Error::from(Failure::UnknownCustomer(id)))?;
            delete::refuse_deleted(&dirty)?;
            if dirty.open_of(&subject).is_none() && seen.is_none() {
                return Err(no_conflict(transaction, row, &subject)?.into());
            }
            carry_out(transaction, &dirty, &resolve(&dirty, &subject, keep, seen)?, author, "resolve")?;
            Ok(1)
        })
    }

    /// Takes back what a policy or a merge decided by itself, by the id that `log` and the table `conflict` have: the other
    /// side's value is an edit again, and goes up with the next sync. Returns how many fields that were: 1.
    ///
    /// # Errors
    /// When there is no such decision, a person made it, it is about money, or something newer was edited or pulled.
    pub fn undo(&mut self, conflict: i64, author: Option<&str>) -> Result<usize> {
        self.engine_write(|transaction| {
            let (id, past) = past_decision(transaction, conflict)?;
            let dirty = dirty::load_whole(transaction, id)?;
            let dirty = dirty.ok_or(Error::from(Failure::UnknownCustomer(id.customer)))?;
            delete::refuse_deleted(&dirty)?;
            carry_out(transaction, &dirty, &undo(&dirty, &past)?, author, "undo")?;
            Ok(1)
        })
    }

    /// Sends rejected edits again with the next sync: of one customer, or of all. Payments count again in the working
    /// copy. A balance that was set is in conflict instead where the store has moved on from what it was set over. Of a refused
    /// payment and a balance that was set afterwards, the second one stays refused for as long as the other waits to be sent: that
    /// balance would take the place of the payment, or hold it already. Returns how many fields those were.
    ///
    /// Of many it goes on in small parts, between which others write: customer by customer, and some hundreds of one's payments at a
    /// time.
    ///
    /// # Errors
    /// When the file cannot be written, or all of this customer's stay refused, also by something of the app's. What was freed before
    /// that stays so; the same call goes on with the rest. Of all customers, one who stays refused is logged, and holds up nobody.
    pub fn retry(&mut self, id: Option<CustomerId>) -> Result<usize> {
        let is_of_all = id.is_none();
        let id = id.map(|id| self.today(id)).transpose()?;
        let mut parts = self.engine_read(|transaction| Ok(refused_parts(transaction, id)?))?;
        if is_of_all {
            parts.retain(|(one, _)| self.can_be_read(one.customer));
        }
        let mut has_freed = false;
        let left = |error: Error| {
            tracing::warn!(%error, "left as it is");
            0
        };
        let work = |transaction: &Transaction<'_>, (one, payments): &Refused| match free(
            transaction,
            *one,
            payments.as_ref(),
        ) {
            Err(Failed::Known(error)) if error.code() == "usage" && (is_of_all || has_freed) => {
                Ok(left(error))
            }
            freed => {
                has_freed |= freed.as_ref().is_ok_and(|fields| *fields > 0);
                freed
            }
        };
        let refused = |_: &Refused, error| if is_of_all { Ok(left(error)) } else { Err(error) };
        let freed = self.part_by_part(&parts, work, refused)?;
        let mut fields: BTreeMap<RowId, usize> = BTreeMap::new();
        for ((one, _), freed) in parts.iter().zip(freed) {
            let so_far = fields.entry(*one).or_default();
            *so_far = freed.max(*so_far);
        }
        Ok(fields.into_values().sum())
    }

    /// Of one of many customers: what cannot be read is told, and left as it is.
    fn can_be_read(&self, id: CustomerId) -> bool {
        match self.broken_row_of(id) {
            Some(row) => {
                tracing::warn!(customer = id.0, "left as it is: {row} cannot be read");
                false
            }
            None => true,
        }
    }

    /// Sends one rejected edit again with the next sync, by its place in the journal, as [`Store::retry`] does. Returns how many
    /// fields that were: 1.
    ///
    /// # Errors
    /// When that edit is not rejected, or was edited again since, for then the newer one is sent; when it is a payment after which a balance was set, or such a balance, and the other waits to be
    /// sent: whether the balance holds the payment already is asked, for nobody else can know.
    pub fn retry_row(&mut self, seq: EditSeq) -> Result<usize> {
        self.engine_write(|transaction| {
            match free(transaction, row_of(transaction, seq)?, Some(&BTreeSet::from([seq])))? {
                0 => Err(no_row(seq, "was not refused, or has settled since").into()),
                fields => Ok(fields),
            }
        })
    }

    /// Gives up the edits of a customer, or of one thing of it: an attribute, `form_fields.NAME` for one form field, `*` for a
    /// customer that was deleted remotely. The working copy goes back to what the store has, but for what was edited since a
    /// conflict of it was found. Of money, the payments that wait for a person are given up, if any do; certain ones are not.
    /// Returns how many fields those were.
    ///
    /// Of very many payments it goes on some hundreds at a time, between which others write.
    ///
    /// # Errors
    /// When the customer is not in the file, there is no such name, or an edit is on its way: sync first. Of very many payments, what was
    /// given up before that stays so; those that have been sent meanwhile, or that a person sends again, are left as they are.
    pub fn discard(
        &mut self,
        id: impl Into<CustomerId>,
        field: Option<&str>,
        author: Option<&str>,
    ) -> Result<usize> {
        let id = self.today(id.into())?;
        let Some(field) = field else {
            if self.is_deleted(id.into())? {
                return self.discard_if(id.into(), &Discarded::All, None, author);
            }
            let others = self.engine_read(|transaction| Ok(others_with_edits(transaction, id)?))?;
            let mut given_up = match self.discard_if(id.into(), &Discarded::All, None, author) {
                // Of a customer who is gone, what was edited of theirs may wait all the same.
                Err(error) if error.code() == "unknown_customer" && !others.is_empty() => 0,
                given_up => given_up?,
            };
            for row in others {
                given_up += self.discard_if(row, &Discarded::All, None, author)?;
            }
            return Ok(given_up);
        };
        let (row, subject) = meant(id, field)?;
        self.discard_if(row, &Discarded::Subject(subject), None, author)
    }

    /// The same for a conflict as it was shown: [`Conflict::stamp`].
    ///
    /// # Errors
    /// As [`Store::discard`], and when the conflict has moved on since: with both values as they are now.
    pub fn discard_seen(
        &mut self,
        id: impl Into<CustomerId>,
        field: &str,
        stamp: &str,
        author: Option<&str>,
    ) -> Result<usize> {
        let (row, subject) = meant(self.today(id.into())?, field)?;
        self.discard_if(row, &Discarded::Subject(subject), Some(stamp), author)
    }

    /// Gives up one edit, by its place in the journal. Returns how many fields that were: 1.
    ///
    /// # Errors
    /// When that edit has settled, or is on its way.
    pub fn discard_row(&mut self, seq: EditSeq, author: Option<&str>) -> Result<usize> {
        let (id, before) =
            self.engine_read(|transaction| Ok((row_of(transaction, seq)?, value_before(transaction, seq)?)))?;
        self.discard_if(id, &Discarded::Row { seq, before }, None, author)
    }

    fn discard_if(
        &mut self,
        id: RowId,
        what: &Discarded,
        seen: Option<&str>,
        author: Option<&str>,
    ) -> Result<usize> {
        let id = match self.undo_if_new(id, what, seen)? {
            Undone::Creation(given_up) => return Ok(given_up),
            Undone::Nothing(id) => id,
        };
        if self.is_deleted(id)? {
            return self.engine_write(|transaction| {
                delete::discard(transaction, id, what, seen, author, Utc::now())
            });
        }
        // One row is not very many.
        let may_be_many = seen.is_none() && !matches!(what, Discarded::Row { .. });
        let ahead = if may_be_many { self.discard_most_payments(id, what)? } else { None };
        let rest = self.engine_write(|transaction| {
            let aside =
                if matches!(what, Discarded::All) { aside::discard(transaction, id.customer)? } else { 0 };
            let Some(dirty) = dirty::load_to_decide(transaction, id)? else {
                return match aside + discard_without_customer(transaction, id, what)? {
                    0 => Err(Error::from(Failure::UnknownCustomer(id.customer)).into()),
                    given_up => Ok(given_up),
                };
            };
            if aside > 0 && dirty.ops.is_empty() {
                return Ok(aside);
            }
            let plan = match &ahead {
                Some(ahead) => {
                    discard_rest(&dirty, ahead.others.clone(), &still_as_seen(&dirty, &ahead.last))?
                }
                None => discard(&dirty, what, seen)?,
            };
            carry_out(transaction, &dirty, &plan, author, "discard")?;
            Ok(fields_of(&dirty, &plan))
        })?;
        Ok(ahead.map_or(rest, |ahead| rest.max(ahead.fields)))
    }

    /// Whether it is only here so far is asked where that is undone: a sync may land it between the two.
    fn undo_if_new(&mut self, id: RowId, what: &Discarded, seen: Option<&str>) -> Result<Undone> {
        if !id.is_new() {
            return Ok(Undone::Nothing(id));
        }
        self.engine_write(|transaction| match create::is_uncreated(transaction, id)? {
            true => undo_creation(transaction, id, what, seen, Utc::now()).map(Undone::Creation),
            false => Ok(Undone::Nothing(follow::today_of(transaction, id)?)),
        })
    }

    /// Gives up most of very many payments ahead of the rest: each is a row of its own. What is to be refused is refused before any of
    /// it. What is given up is what waits now, and as it waits now: others may send some of it again meanwhile, and what that leaves
    /// would mean others. `None`: there are not so many.
    fn discard_most_payments(&mut self, id: RowId, what: &Discarded) -> Result<Option<Ahead>> {
        let planned = self.engine_read(|transaction| {
            let Some(dirty) = dirty::load_to_decide(transaction, id)? else { return Ok(None) };
            let plan = discard(&dirty, what, None)?;
            let planned = plan.settle.iter().filter_map(|settlement| dirty.op(settlement.seq));
            let others = planned.map(|op| op.field).filter(|field| !field.is_money()).collect();
            Ok(Some((money_apart(&dirty, &plan), others, fields_of(&dirty, &plan))))
        })?;
        let Some(((mut payments, sets), others, fields)) =
            planned.filter(|((payments, _), ..)| payments.len() > PAYMENTS_AT_ONCE)
        else {
            return Ok(None);
        };
        let last = [payments.split_off(payments.len() - PAYMENTS_AT_ONCE), sets].concat();
        let parts: Vec<&[Planned]> = payments.chunks(PAYMENTS_AT_ONCE).collect();
        let work = |transaction: &Transaction<'_>, part: &&[Planned]| {
            let Some(dirty) = dirty::load_to_decide(transaction, id)? else { return Ok(()) };
            let plan = discard_payments(&dirty, &still_as_seen(&dirty, part))?;
            apply(transaction, &dirty, &plan, Utc::now()).map(|_| ())
        };
        self.part_by_part(&parts, work, |_, error| Err(error))?;
        Ok(Some(Ahead { last, others, fields }))
    }
}

/// A creation is given up as a whole.
pub(super) fn undo_creation(
    transaction: &Connection,
    id: RowId,
    what: &Discarded,
    seen: Option<&str>,
    now: DateTime<Utc>,
) -> Result<usize, Failed> {
    existing::refuse_moved_on(transaction, id, seen)?;
    let is_whole = match what {
        Discarded::All | Discarded::Subject(Subject::Customer | Subject::Existing) => true,
        Discarded::Row { seq, .. } => create::creation_of(transaction, id)? == Some(*seq),
        Discarded::Subject(_) => false,
    };
    match is_whole {
        true => create::undo(transaction, id, now),
        false => Err(create::refuse(id, "is not created yet: edit it, or give its creation up as a whole")),
    }
}

/// What was given up of a row that may be here alone.
enum Undone {
    /// Its creation, with so many edits.
    Creation(usize),
    /// It is there by now, and is called so.
    Nothing(RowId),
}

/// An edit of the balance that is to be given up, and what had become of it when that was decided.
type Planned = (EditSeq, Option<Outcome>);

/// Very many payments of a customer are given up, but for these.
struct Ahead {
    /// The last of them, and what was set of the balance.
    last: Vec<Planned>,
    /// What else was to be given up.
    others: BTreeSet<FieldId>,
    /// How many attributes all of it comes to.
    fields: usize,
}

/// Those of which nothing else has become.
fn still_as_seen(dirty: &Dirty, planned: &[Planned]) -> BTreeSet<EditSeq> {
    let is_as_seen = |(seq, outcome): &&Planned| dirty.op(*seq).is_some_and(|op| op.outcome == *outcome);
    planned.iter().filter(is_as_seen).map(|(seq, _)| *seq).collect()
}

/// The payments that a plan gives up and that nothing else hangs on, and what else it gives up of the balance: none where there is a
/// conflict about that, or the end of a customer who is gone.
fn money_apart(dirty: &Dirty, plan: &CustomerPlan) -> (Vec<Planned>, Vec<Planned>) {
    if dirty.is_gone() || dirty.open_of_money().is_some() {
        return (Vec::new(), Vec::new());
    }
    let settled = plan.settle.iter().filter_map(|settlement| dirty.op(settlement.seq));
    let (payments, sets): (Vec<&Op>, Vec<&Op>) =
        settled.filter(|op| op.field.is_money()).partition(|op| op.adjustment().is_some());
    let planned = |ops: Vec<&Op>| ops.into_iter().map(|op| (op.seq, op.outcome)).collect();
    (planned(payments), planned(sets))
}

/// Edits of a customer who went from the file wait for nothing. Returns how many fields those were.
fn discard_without_customer(transaction: &Connection, id: RowId, what: &Discarded) -> Result<usize, Failed> {
    let is_meant = |op: &Op| match what {
        Discarded::All => true,
        Discarded::Row { seq, .. } => op.seq == *seq,
        Discarded::Subject(subject) => subject.field().is_none_or(|field| field == op.field),
    };
    let ended = End { outcome: Outcome::Discarded, reason: "the customer is not in the file" };
    settle_without_customer(transaction, id, ended, is_meant, Utc::now())
}

/// Rows of a customer, other than the customer, of which edits wait.
pub(super) fn others_with_edits(connection: &Connection, id: CustomerId) -> rusqlite::Result<Vec<RowId>> {
    connection
        .prepare_cached(
            "SELECT DISTINCT customer_id, of_resource, of_row
             FROM journal INDEXED BY tillsync_journal_unsettled
             WHERE customer_id = ?1 AND settled_at IS NULL AND of_resource IS NOT NULL",
        )?
        .query_map([id.0], |row| dirty::row_id(row, 0))?
        .collect()
}

/// What a conflict's or a command's word means, of all that is of a customer.
pub(super) fn meant(id: CustomerId, word: &str) -> Result<(RowId, Subject)> {
    Subject::meant(id, word).ok_or_else(|| {
        let problem = Subject::NONE.to_owned();
        Failure::Undecidable(EditError { customer_id: id, field: word.to_owned(), problem }).into()
    })
}

pub(super) fn carry_out(
    transaction: &Connection,
    dirty: &Dirty,
    plan: &CustomerPlan,
    author: Option<&str>,
    label: &str,
) -> Result<(), Failed> {
    let now = Utc::now();
    apply(transaction, dirty, plan, now)?;
    if let Some(decided) = &plan.decided {
        journal_decision(transaction, dirty.id, decided, author, label, now)?;
        if decided.field.is_money() {
            let seq = EditSeq(transaction.last_insert_rowid());
            attempt::keep_decided(transaction, dirty.id, &dirty.decided_attempts(plan, seq))?;
        }
    }
    for conflict in &plan.conflicts {
        if let ConflictPlan::Close { id, .. } = conflict {
            decided_by(transaction, *id, author)?;
        }
    }
    Ok(())
}

/// How many attributes a plan decides about: it settles or frees edits of them, or what is in conflict, or they are other than they
/// were. An edit of several form fields waits on for the others when one of them is given up.
fn fields_of(dirty: &Dirty, plan: &CustomerPlan) -> usize {
    let edited = plan.settle.iter().filter_map(|settlement| Some(dirty.op(settlement.seq)?.field));
    let closed = plan.conflicts.iter().filter_map(|conflict| match conflict {
        ConflictPlan::Close { id, .. } => dirty.open.iter().find(|open| open.id == *id)?.subject.field(),
        _ => None,
    });
    let others = plan.columns.iter().filter(|(field, value)| *dirty.row.get(*field) != *value);
    edited.chain(closed).chain(others.map(|(field, _)| *field)).collect::<BTreeSet<_>>().len()
}

fn decided_by(transaction: &Connection, conflict: i64, author: Option<&str>) -> Result<(), Failed> {
    let written = transaction
        .prepare_cached("UPDATE conflict SET resolved_by = :author WHERE id = :id")?
        .execute(named_params! { ":id": conflict, ":author": author })?;
    is_written(written)
}

// ---- conflicts ---------------------------------------------------------------------------------------------------

fn conflict(row: &SqlRow<'_>) -> rusqlite::Result<Conflict> {
    Ok(Conflict {
        id: row.get(0)?,
        customer_id: CustomerId(row.get(1)?),
        field: row.get(2)?,
        base: row.get(3)?,
        local: row.get(4)?,
        remote: row.get(5)?,
        detected_at: row.get(6)?,
        author: row.get(7)?,
        resource: row.get(8)?,
        row_id: row.get(9)?,
        stamp: String::new(),
        seqs: Vec::new(),
        reason: None,
    })
}

fn as_open(conflict: &Conflict) -> Option<(RowId, OpenConflict)> {
    let (row, subject) = Subject::meant(conflict.customer_id, &conflict.field)?;
    let open = OpenConflict {
        id: conflict.id,
        subject,
        base: conflict.base.clone(),
        local: conflict.local.clone(),
        remote: conflict.remote.clone(),
        doubt: None,
    };
    Some((row, open))
}

/// A conflict as the till shows it now.
fn as_shown(connection: &Connection, id: RowId, open: &OpenConflict, ops: &[Op]) -> rusqlite::Result<Shown> {
    let row = if open.is_edited_since(ops) { dirty::load_row(connection, id)? } else { None };
    Ok(row.map_or_else(|| open.as_found(ops), |row| open.as_shown(ops, &row)))
}

/// There is no open conflict: what a policy decided of it by itself can be taken back in another way.
fn no_conflict(transaction: &Transaction<'_>, row: RowId, subject: &Subject) -> rusqlite::Result<Error> {
    let (customer_id, field) = (row.customer, subject.word(row));
    let decided: Option<i64> = transaction
        .prepare_cached(
            "SELECT id
             FROM conflict
             WHERE customer_id = :customer_id AND field = :field AND policy <> 'hold'
               AND resolution IS NOT NULL AND resolved_by IS NULL
             ORDER BY id DESC
             LIMIT 1",
        )?
        .query_row(named_params! { ":customer_id": customer_id.0, ":field": field }, |row| row.get(0))
        .optional()?;
    let mut problem = "there is no conflict to resolve".to_owned();
    if let Some(decided) = decided {
        problem.push_str(&format!("; what was decided by itself is taken back with: undo {decided}"));
    }
    Ok(Failure::Undecidable(EditError { customer_id, field, problem }).into())
}

fn past_decision(transaction: &Transaction<'_>, conflict: i64) -> Result<(RowId, PastDecision), Failed> {
    let found = transaction
        .prepare_cached(
            "SELECT customer_id, field, local, remote, result, resolution = 'remote', coalesce(seq, 0)
             FROM conflict
             WHERE id = ?1 AND policy <> 'hold' AND resolved_by IS NULL
               AND resolution IN ('local', 'remote', 'value', 'merged')",
        )?
        .query_row([conflict], |row| {
            let past = PastDecision {
                id: conflict,
                subject: Subject::Customer,
                local: row.get(2)?,
                remote: row.get(3)?,
                result: row.get(4)?,
                is_remote: row.get(5)?,
                is_edited_since: false,
            };
            Ok((CustomerId(row.get(0)?), row.get::<_, String>(1)?, past, EditSeq(row.get(6)?)))
        })
        .optional()?;
    let Some((id, field, past, seq)) = found else {
        let text = format!("{conflict}: is no decision of a policy or a merge that can be taken back");
        return Err(Error::usage(text).into());
    };
    let (row, subject) = meant(id, &field)?;
    let attribute = subject.field().map_or("", FieldId::name);
    let (of_resource, of_row) = row.beside_its_customer();
    let is_edited_since = transaction
        .prepare_cached(
            "SELECT 1 FROM journal INDEXED BY tillsync_journal_unsettled
             WHERE customer_id = ?1 AND field = ?2 AND seq > ?3 AND settled_at IS NULL
               AND of_resource IS ?4 AND of_row IS ?5
             UNION ALL
             SELECT 1 FROM journal INDEXED BY tillsync_journal_settled
             WHERE customer_id = ?1 AND field = ?2 AND seq > ?3 AND settled_at IS NOT NULL
               AND of_resource IS ?4 AND of_row IS ?5",
        )?
        .exists((id.0, attribute, seq.0, of_resource, of_row))?;
    Ok((row, PastDecision { subject, is_edited_since, ..past }))
}

// ---- rows --------------------------------------------------------------------------------------------------------

fn rejected(row: &SqlRow<'_>) -> rusqlite::Result<Rejected> {
    let (value, op): (String, String) = (row.get(3)?, row.get(6)?);
    Ok(Rejected {
        seq: EditSeq(row.get(0)?),
        customer_id: CustomerId(row.get(1)?),
        field: row.get(2)?,
        payment: paid(&op, &value),
        value,
        reason: row.get(4)?,
        sent: row.get(5)?,
        resource: row.get(7)?,
        row_id: row.get(8)?,
    })
}

pub(super) fn no_row(seq: EditSeq, problem: &str) -> Error {
    Failure::Settled(format!("the edit {seq} {problem}")).into()
}

pub(super) fn row_of(connection: &Connection, seq: EditSeq) -> Result<RowId, Failed> {
    let row = connection
        .prepare_cached(
            "SELECT customer_id, of_resource, of_row FROM journal WHERE seq = ?1 AND settled_at IS NULL",
        )?
        .query_row([seq.0], |row| dirty::row_id(row, 0))
        .optional()?;
    row.ok_or_else(|| no_row(seq, "is not there, or has settled").into())
}

/// What the unsettled edit of the same attribute before this one had set.
pub(super) fn value_before(connection: &Connection, seq: EditSeq) -> Result<Option<Value>, Failed> {
    let before = connection
        .prepare_cached(
            "SELECT customer_id, of_resource, of_row, field, value
             FROM journal
             WHERE settled_at IS NULL AND seq < ?1
               AND (customer_id, resource, row_id, field)
                   = (SELECT customer_id, resource, row_id, field FROM journal WHERE seq = ?1)
             ORDER BY seq DESC
             LIMIT 1",
        )?
        .query_row([seq.0], |row| {
            Ok((dirty::row_id(row, 0)?, row.get::<_, String>(3)?, row.get::<_, String>(4)?))
        })
        .optional()?;
    let Some((row, field, json)) = before else { return Ok(None) };
    if serde_json::from_str::<IgnoredAny>(&json).is_err() {
        let problem = "what was set before is no value: edit it, or discard all edits of it".to_owned();
        return Err(Error::from(Failure::Undecidable(EditError {
            customer_id: row.customer,
            field,
            problem,
        }))
        .into());
    }
    Ok(row.resource.field(&field).map(|field| Value::from_json(field.kind(), &json)))
}

/// What the working copy had before each balance that was set, and has not settled.
fn balances_before(connection: &Connection, id: RowId) -> rusqlite::Result<BTreeMap<EditSeq, Value>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT seq, was
             FROM journal INDEXED BY tillsync_journal_unsettled
             WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL
               AND field IN ({}) AND op = 'set'",
            row::names(FieldId::is_money)
        )
    });
    connection
        .prepare_cached(&SQL)?
        .query_map(dirty::whose(id), |row| {
            Ok((EditSeq(row.get(0)?), Value::from_json(Kind::Credit, &row::told(row, 1)?)))
        })?
        .collect()
}

/// The rows of the customer, or of all, of which edits were refused.
fn with_rejected(connection: &Connection, id: Option<CustomerId>) -> rusqlite::Result<Vec<RowId>> {
    connection
        .prepare_cached(
            "SELECT DISTINCT customer_id, of_resource, of_row
             FROM journal INDEXED BY tillsync_journal_unsettled
             WHERE settled_at IS NULL AND outcome = 'rejected' AND (:id IS NULL OR customer_id = :id)",
        )?
        .query_map(named_params! { ":id": id.map(|id| id.0) }, |row| dirty::row_id(row, 0))?
        .collect()
}

/// What is freed in one transaction: all that was refused of a customer, or these payments.
type Refused = (RowId, Option<BTreeSet<EditSeq>>);

/// Of the customer, or of all, what was refused, in parts.
fn refused_parts(connection: &Connection, id: Option<CustomerId>) -> rusqlite::Result<Vec<Refused>> {
    let mut parts = Vec::new();
    for id in with_rejected(connection, id)? {
        let payments = lone_payments(connection, id)?;
        match payments.len() {
            0..=PAYMENTS_AT_ONCE => parts.push((id, None)),
            _ => parts.extend(
                payments.chunks(PAYMENTS_AT_ONCE).map(|some| (id, Some(some.iter().copied().collect()))),
            ),
        }
    }
    Ok(parts)
}

/// The refused payments of a customer of whom nothing else was refused, and no balance set that they would have to be weighed against:
/// each of them is freed for itself.
fn lone_payments(connection: &Connection, id: RowId) -> rusqlite::Result<Vec<EditSeq>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT seq
             FROM journal INDEXED BY tillsync_journal_unsettled
             WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND outcome = 'rejected'
               AND NOT EXISTS (
                 SELECT 1 FROM journal INDEXED BY tillsync_journal_unsettled
                 WHERE customer_id = ?1 AND of_resource IS ?2 AND of_row IS ?3 AND settled_at IS NULL AND op <> 'adjust'
                   AND (outcome = 'rejected' OR field IN ({})))
             ORDER BY +seq",
            row::names(FieldId::is_money)
        )
    });
    connection.prepare_cached(&SQL)?.query_map(dirty::whose(id), |row| Ok(EditSeq(row.get(0)?)))?.collect()
}

/// Frees refused edits of a customer. Returns how many fields those were.
pub(super) fn free(
    transaction: &Transaction<'_>,
    id: RowId,
    only: Option<&BTreeSet<EditSeq>>,
) -> Result<usize, Failed> {
    if create::is_uncreated(transaction, id)? {
        return create::free(transaction, id, Utc::now());
    }
    let is_meant = |seq| only.is_none_or(|only| only.contains(&seq));
    if let Some(freed) = delete::free(transaction, id, is_meant, Utc::now())? {
        return Ok(freed);
    }
    let Some(dirty) = dirty::load_to_decide(transaction, id)? else { return Ok(0) };
    let stood_on = balances_before(transaction, id)?;
    let plan = retry(&dirty, only, &stood_on)?;
    let fields = fields_of(&dirty, &plan);
    for meeting in meetings(&dirty, only, &stood_on) {
        tracing::warn!("{id}: edit {} stays refused: {}", meeting.stays, meeting.words());
    }
    apply(transaction, &dirty, &plan, Utc::now())?;
    if fields > 0 {
        // A background worker hears of new edits by their place in the journal; these keep theirs.
        state::write(transaction, FREED_AT, Some(&stamp(Utc::now())))?;
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_said_nothing_of_what_was_not_sent_or_is_not_shown() {
        let is_of_the_store = |sent: Option<&str>, reason: &str| {
            let (field, value) = ("email".to_owned(), "\"a@example.com\"".to_owned());
            let (reason, sent) = (reason.to_owned(), sent.map(str::to_owned));
            let (seq, customer_id) = (EditSeq(1), CustomerId(1));
            let (resource, row_id) = ("customer".to_owned(), 1);
            Rejected { seq, customer_id, resource, row_id, field, value, reason, sent, payment: None }
                .is_in_words_of_the_store()
        };
        assert!(is_of_the_store(Some("{}"), "already in use"));
        assert!(!is_of_the_store(None, "the record is too large"));
        assert!(!is_of_the_store(Some("{}"), NOT_SHOWN));
    }
}
