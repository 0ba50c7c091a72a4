//! What a person decides by SQL, through the table `decision`: each names what was seen, in the words of the view `to_decide`, and is
//! carried out when the library next looks. What has moved on since, or what something of the app's refuses, is refused there with
//! the reason; no sync waits for it.

use std::collections::BTreeSet;
use std::time::Instant;

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Transaction, named_params};

use super::decide::{carry_out, free, meant, no_row, row_of, undo_creation, value_before};
use super::polite::LONG;
use super::{Failed, Kept, Store, create, delete, dirty, existing, row, schema, state};
use crate::clock::stamp;
use crate::error::{Error, Failure, Result};
use crate::flow::{Dirty, Discarded, Keep, discard, discard_payments, resolve};
use crate::resource::{CustomerId, EditSeq, FieldId, RowId, Subject};

/// A decision that somebody wrote into the table.
struct Asked {
    id: i64,
    seen: String,
    keep: String,
    value: Option<String>,
    author: Option<String>,
}

/// The key of `state` with the newest decision of a file that was set back, or is a copy.
const OF_BEFORE: &str = "decisions_of_before";
const PERHAPS_DONE: &str = "this file was set back, or is a copy: it may have been carried out since, by it or by the other one. Look \
                            again, and decide anew";

/// The key of `state` under which stands what keeps decisions from being noted.
const STUCK: &str = "decisions_stuck";
/// Decisions that are read at once, and carried out in one transaction where they say the same.
const AT_ONCE: i64 = 100;

/// Takes back what was written of one decision.
const TAKE_BACK: &str = "ROLLBACK TO decided; RELEASE decided";

/// Codes of errors that something of the app's may be the cause of.
const OF_THE_APP: [&str; 7] =
    ["database", "refused_by_app", "torn_down", "unending", "ignored", "restless", "referenced"];

/// How many decisions were looked at, and how many of them carried out; the others were refused.
#[derive(Clone, Copy, Debug, Default)]
struct LookedAt {
    decisions: usize,
    carried_out: usize,
}

/// What a decision is about.
struct Seen {
    kind: String,
    id: i64,
    customer_id: CustomerId,
    field: String,
}

impl Store {
    /// Carries out what was decided by SQL, through the table `decision`: a worker does so by itself as soon as it sees it, and
    /// every sync before it begins. What has moved on since it was seen, or cannot be, is refused there, with the reason. Returns
    /// how many were carried out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn carry_out_decisions(&mut self) -> Result<usize> {
        let (mut done, mut last, mut stuck) = (0, i64::MIN, None);
        loop {
            let asked = self.next_decisions(last)?;
            let Some(newest) = asked.last() else { break };
            last = newest.id;
            let mut rest = asked.as_slice();
            while !rest.is_empty() {
                let looked_at = self.decide_first(rest, &mut stuck)?;
                done += looked_at.carried_out;
                rest = &rest[looked_at.decisions..];
            }
        }
        if self.decisions_stuck()? != stuck {
            let json = stuck.map(|stuck| serde_json::to_string(&stuck).unwrap_or_default());
            self.set_state(STUCK, json.as_deref())?;
        }
        self.forget_those_of_before()?;
        Ok(done)
    }

    /// Carries out those at the front: together, where that can be, else each by itself. Between their transactions others write.
    fn decide_first(&mut self, asked: &[Asked], stuck: &mut Option<Kept>) -> Result<LookedAt> {
        let part = &asked[..self.at_once(asked.len())?];
        let mut looked_at = match self.decide_together(asked)? {
            0 => self.decide_some(part)?,
            alike => LookedAt { decisions: alike, carried_out: alike },
        };
        if looked_at.decisions > 0 {
            self.give_way();
            return Ok(looked_at);
        }
        // The first of them is what was in the way.
        looked_at.decisions = 1;
        looked_at.carried_out = usize::from(self.decide_one(&asked[0], stuck)?);
        self.others_write()?;
        self.give_way();
        Ok(looked_at)
    }

    /// Carries out those at the front in one transaction, which does not go on for long, and ends before one that something of the
    /// app's refuses: each by itself would take as many commits, and others would wait for each. Returns how many those were; 0: each
    /// by itself, then.
    fn decide_some(&mut self, asked: &[Asked]) -> Result<LookedAt> {
        let steps = self.steps.clone();
        let done = self.engine_write(|transaction| {
            let (began, of_before) = (Instant::now(), newest_of_before(transaction)?);
            let mut looked_at = LookedAt::default();
            for one in asked {
                steps.anew();
                match decide_apart(transaction, one, of_before) {
                    Ok(is_carried_out) => looked_at.carried_out += usize::from(is_carried_out),
                    // What ended the transaction ended all of it.
                    Err(failed) if looked_at.decisions == 0 || transaction.is_autocommit() => {
                        return Err(failed);
                    }
                    Err(_) => {
                        transaction.execute_batch(TAKE_BACK)?;
                        break;
                    }
                }
                looked_at.decisions += 1;
                if began.elapsed() >= LONG {
                    break;
                }
            }
            Ok(looked_at)
        });
        match done {
            Err(error) if is_refusal(&error) => Ok(LookedAt::default()),
            done => done,
        }
    }

    /// Once none of them waits any more: ids begin anew where all decisions are pruned, and a new one is not of before.
    fn forget_those_of_before(&mut self) -> Result<()> {
        if self.state(OF_BEFORE)?.is_none() {
            return Ok(());
        }
        self.engine_write(|transaction| {
            let waits = "SELECT 1 FROM decision INDEXED BY tillsync_decision_waiting
                         WHERE outcome IS NULL AND id <= (SELECT CAST(value AS INTEGER) FROM state WHERE key = ?1)";
            match transaction.prepare_cached(waits)?.exists([OF_BEFORE])? {
                true => Ok(()),
                false => Ok(state::write(transaction, OF_BEFORE, None)?),
            }
        })
    }

    /// What keeps the library from saying what became of a decision: something of the app's on the table `decision`. That decision waits,
    /// and nothing of it is carried out; each sync tries again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn decisions_stuck(&self) -> Result<Option<Kept>> {
        Ok(self.state(STUCK)?.and_then(|json| serde_json::from_str(&json).ok()))
    }

    fn is_of_before(&self, id: i64) -> Result<bool> {
        let newest = self.read_at_once(|connection| Ok(newest_of_before(connection)?))?;
        Ok(newest.is_some_and(|newest| id <= newest))
    }

    /// Returns whether it was carried out.
    fn decide_one(&mut self, asked: &Asked, stuck: &mut Option<Kept>) -> Result<bool> {
        let carried_out = self.engine_write(|transaction| {
            decide_unless_of_before(transaction, asked, newest_of_before(transaction)?)?;
            Ok(note_decision(transaction, asked.id, "done", None)?)
        });
        let reason = match carried_out {
            Ok(()) => return Ok(true),
            Err(error) if is_refusal(&error) => error.to_string(),
            Err(error) => return Err(error),
        };
        let noted = self
            .engine_write(|transaction| Ok(note_decision(transaction, asked.id, "refused", Some(&reason))?));
        match noted {
            // It waits, and is looked at again.
            Err(error) if is_of_the_app(&error) => {
                tracing::warn!(%error, decision = asked.id, "what became of a decision cannot be noted");
                let cause = self.engine_read(|transaction| Ok(triggers_of_decisions(transaction)?))?;
                *stuck = Some(Kept { error: error.to_string(), cause });
                Ok(false)
            }
            noted => noted.map(|()| false),
        }
    }

    /// Carries out those at the front that say the same of refused payments of one customer, who is read once for them; of hundreds each by
    /// itself would take as many commits. Returns how many those were; 0: they are none, or not all of them can be.
    fn decide_together(&mut self, asked: &[Asked]) -> Result<usize> {
        let alike: Vec<&Asked> = asked.iter().take_while(|one| one.is_alike(&asked[0])).collect();
        if alike.len() < 2 || self.is_of_before(asked[0].id)? {
            return Ok(0);
        }
        let payments = self.engine_read(|transaction| Ok(payments_of_one(transaction, &alike)?))?;
        let Some(id) = payments.first().map(|(id, _)| *id).filter(|_| payments.len() > 1) else {
            return Ok(0);
        };
        let (seqs, alike) = (payments.iter().map(|(_, seq)| *seq).collect(), &alike[..payments.len()]);
        let done = self.engine_write(|transaction| {
            for one in alike {
                if still_seen(transaction, &one.seen)?.is_none() {
                    return Ok(0);
                }
            }
            match alike[0].keep.as_str() {
                "retry" => _ = free(transaction, id.into(), Some(&seqs))?,
                _ => {
                    let dirty = dirty::load_to_decide(transaction, id)?
                        .ok_or(Error::from(Failure::UnknownCustomer(id)))?;
                    let plan = discard_payments(&dirty, &seqs)?;
                    carry_out(transaction, &dirty, &plan, alike[0].author.as_deref(), "discard")?;
                }
            }
            alike.iter().try_for_each(|one| note_decision(transaction, one.id, "done", None))?;
            Ok(alike.len())
        });
        match done {
            // Each for itself, then: whom it concerns is told.
            Err(error) if is_refusal(&error) => Ok(0),
            done => done,
        }
    }

    /// Some behind one that was looked at, whether or not that could be noted.
    fn next_decisions(&self, after: i64) -> Result<Vec<Asked>> {
        let next = "SELECT id, seen, keep, value, author FROM decision INDEXED BY tillsync_decision_waiting
                    WHERE outcome IS NULL AND id > ?1 ORDER BY id LIMIT ?2";
        let read = |row: &SqlRow<'_>| {
            // Whatever bytes somebody wrote: a decision that cannot be read is refused like one that says nothing.
            let text = |place: usize| -> rusqlite::Result<Option<String>> {
                let text = row.get_ref(place)?.as_bytes_or_null();
                Ok(text.ok().flatten().map(|text| String::from_utf8_lossy(text).into_owned()))
            };
            let (seen, keep) = (text(1)?.unwrap_or_default(), text(2)?.unwrap_or_default());
            Ok(Asked { id: row.get(0)?, seen, keep, value: text(3)?, author: text(4)? })
        };
        self.engine_read(|transaction| {
            let mut statement = transaction.prepare_cached(next)?;
            let asked = statement.query_map([after, AT_ONCE], read)?;
            Ok(asked.collect::<rusqlite::Result<_>>()?)
        })
    }
}

impl Asked {
    /// Whether both free, or give up, a refused edit, by the same person.
    fn is_alike(&self, other: &Asked) -> bool {
        ["retry", "discard"].contains(&self.keep.as_str())
            && (&self.keep, &self.author) == (&other.keep, &other.author)
            && self.refused().is_some()
    }

    /// The refused edit that was seen.
    fn refused(&self) -> Option<EditSeq> {
        let (kind, seq): (String, i64) = serde_json::from_str(&self.seen).ok()?;
        (kind == "rejected").then_some(EditSeq(seq))
    }
}

/// What a person is told of a decision, and no sync waits for: also what something of the app's does not let through.
fn is_refusal(error: &Error) -> bool {
    !error.is_database() || is_of_the_app(error) || error.unreadable().is_some()
}

/// What a trigger, an index or a reference of the app's may be the cause of.
pub(super) fn is_of_the_app(error: &Error) -> bool {
    OF_THE_APP.contains(&error.code())
}

/// Those at the front that are payments of the same customer.
fn payments_of_one(
    connection: &Connection,
    asked: &[&Asked],
) -> rusqlite::Result<Vec<(CustomerId, EditSeq)>> {
    let whose = format!(
        "SELECT customer_id FROM journal WHERE seq = ?1 AND field IN ({}) AND settled_at IS NULL",
        row::names(FieldId::is_money)
    );
    let mut statement = connection.prepare_cached(&whose)?;
    let mut payments: Vec<(CustomerId, EditSeq)> = Vec::new();
    for seq in asked.iter().map_while(|one| one.refused()) {
        let whose = statement.query_row([seq.0], |row| Ok(CustomerId(row.get(0)?))).optional()?;
        match whose {
            Some(id) if payments.first().is_none_or(|(first, _)| *first == id) => payments.push((id, seq)),
            _ => break,
        }
    }
    Ok(payments)
}

/// What of the app's may refuse what is written of decisions.
fn triggers_of_decisions(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let all = schema::foreign(connection)?;
    let names: Vec<&str> = all
        .iter()
        .filter(|(_, sql)| sql.to_uppercase().contains("DECISION"))
        .map(|(name, _)| name.as_str())
        .collect();
    Ok((!names.is_empty()).then(|| names.join(", ")))
}

/// The newest decision of a file that was set back, or is a copy.
fn newest_of_before(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let newest: Option<String> = connection
        .prepare_cached("SELECT value FROM state WHERE key = ?1")?
        .query_row([OF_BEFORE], |row| row.get(0))
        .optional()?;
    Ok(newest.and_then(|id| id.parse().ok()))
}

/// Carries out one of several, or refuses it with the reason, where that is nothing of the app's. Returns whether it was carried out.
fn decide_apart(
    transaction: &Transaction<'_>,
    asked: &Asked,
    of_before: Option<i64>,
) -> Result<bool, Failed> {
    transaction.prepare_cached("SAVEPOINT decided")?.execute([])?;
    let reason = match decide_unless_of_before(transaction, asked, of_before) {
        Ok(()) => None,
        Err(Failed::Known(error)) if !error.is_database() && error.unreadable().is_none() => {
            transaction.prepare_cached("ROLLBACK TO decided")?.execute([])?;
            Some(error.to_string())
        }
        Err(failed) => return Err(failed),
    };
    let outcome = if reason.is_none() { "done" } else { "refused" };
    note_decision(transaction, asked.id, outcome, reason.as_deref())?;
    transaction.prepare_cached("RELEASE decided")?.execute([])?;
    Ok(reason.is_none())
}

fn decide_unless_of_before(
    transaction: &Transaction<'_>,
    asked: &Asked,
    of_before: Option<i64>,
) -> Result<(), Failed> {
    match of_before.is_some_and(|newest| asked.id <= newest) {
        true => Err(Error::usage(PERHAPS_DONE).into()),
        false => decide_as_asked(transaction, asked),
    }
}

fn decide_as_asked(transaction: &Transaction<'_>, asked: &Asked) -> Result<(), Failed> {
    let author = asked.author.as_deref();
    let Some(seen) = still_seen(transaction, &asked.seen)? else {
        return Err(Error::usage("what was seen had moved on, or was decided, by then").into());
    };
    let id = seen.customer_id;
    let known = |dirty: Option<Dirty>| dirty.ok_or(Error::from(Failure::UnknownCustomer(id)));
    match (seen.kind.as_str(), asked.keep.as_str()) {
        ("conflict", keep) => {
            let (row, subject) = meant(id, &seen.field)?;
            if subject == Subject::Existing {
                return decide_existing(transaction, row, keep, asked);
            }
            if subject == Subject::Deletion {
                return decide_deletion(transaction, row, keep, asked);
            }
            let dirty = known(dirty::load_whole(transaction, row)?)?;
            delete::refuse_deleted(&dirty)?;
            // The name by which it was seen is the view's; what that shows is this.
            let stamp = dirty.shown(&subject).map(|shown| shown.stamp());
            let stamp = stamp.as_deref();
            let keep = match (keep, &asked.value) {
                ("discard", _) => {
                    let plan = discard(&dirty, &Discarded::Subject(subject), stamp)?;
                    return carry_out(transaction, &dirty, &plan, author, "discard");
                }
                ("local", _) => Keep::Local,
                ("remote", _) => Keep::Remote,
                (_, value) => Keep::Value(value.clone().unwrap_or_default()),
            };
            let plan = resolve(&dirty, &subject, &keep, stamp)?;
            carry_out(transaction, &dirty, &plan, author, "resolve")
        }
        (_, "retry") => match free(
            transaction,
            row_of(transaction, EditSeq(seen.id))?,
            Some(&BTreeSet::from([EditSeq(seen.id)])),
        )? {
            0 => Err(no_row(EditSeq(seen.id), "was not refused, or has settled since").into()),
            _ => Ok(()),
        },
        _ => {
            let seq = EditSeq(seen.id);
            let (row, before) = (row_of(transaction, seq)?, value_before(transaction, seq)?);
            let what = Discarded::Row { seq, before };
            if create::is_uncreated(transaction, row)? {
                return undo_creation(transaction, row, &what, None, Utc::now()).map(drop);
            }
            if delete::is_deleted(transaction, row)? {
                return delete::discard(transaction, row, &what, None, author, Utc::now()).map(drop);
            }
            let dirty = known(dirty::load_to_decide(transaction, row)?)?;
            let plan = discard(&dirty, &what, None)?;
            carry_out(transaction, &dirty, &plan, author, "discard")
        }
    }
}

/// Of somebody who was entered here, and whom the store has.
fn decide_existing(
    transaction: &Transaction<'_>,
    row: RowId,
    keep: &str,
    asked: &Asked,
) -> Result<(), Failed> {
    let (author, now) = (asked.author.as_deref(), Utc::now());
    match kept(keep, asked) {
        Some(keep) => existing::resolve(transaction, row, &keep, None, author, now),
        None => undo_creation(transaction, row, &Discarded::Subject(Subject::Existing), None, now).map(drop),
    }
}

/// Of somebody who was deleted here, and whom others changed.
fn decide_deletion(
    transaction: &Transaction<'_>,
    row: RowId,
    keep: &str,
    asked: &Asked,
) -> Result<(), Failed> {
    let (author, now, what) = (asked.author.as_deref(), Utc::now(), Discarded::Subject(Subject::Deletion));
    match kept(keep, asked) {
        Some(keep) => delete::resolve(transaction, row, &keep, None, author, now),
        None => delete::discard(transaction, row, &what, None, author, now).map(drop),
    }
}

/// What is kept; none: the row's edit is given up.
fn kept(keep: &str, asked: &Asked) -> Option<Keep> {
    match keep {
        "discard" => None,
        "local" => Some(Keep::Local),
        "remote" => Some(Keep::Remote),
        _ => Some(Keep::Value(asked.value.clone().unwrap_or_default())),
    }
}

/// What was seen, if it still is so.
fn still_seen(transaction: &Transaction<'_>, seen: &str) -> rusqlite::Result<Option<Seen>> {
    transaction
        .prepare_cached(
            "SELECT kind, id, customer_id, field
             FROM to_decide
             WHERE kind IS json_extract(?1, '$[0]') AND id IS json_extract(?1, '$[1]') AND seen IS ?1",
        )?
        .query_row([seen], |row| {
            let (kind, id, customer) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Seen { kind, id, customer_id: CustomerId(customer), field: row.get(3)? })
        })
        .optional()
}

/// Nothing of what was decided by SQL until now, and waits, is carried out any more.
pub(super) fn forget_waiting(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let newest: i64 = transaction
        .prepare_cached("SELECT coalesce(max(id), 0) FROM decision")?
        .query_row([], |row| row.get(0))?;
    state::write(transaction, OF_BEFORE, Some(&newest.to_string()))
}

/// What was seen is a customer's: of it stays only which it was.
fn note_decision(
    transaction: &Transaction<'_>,
    id: i64,
    outcome: &str,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE decision
             SET outcome = :outcome, reason = :reason, decided_at = :now, value = NULL,
                 seen = json_array(json_extract(seen, '$[0]'), json_extract(seen, '$[1]'))
             WHERE id = :id",
        )?
        .execute(
            named_params! { ":id": id, ":outcome": outcome, ":reason": reason, ":now": stamp(Utc::now()) },
        )?;
    Ok(())
}
