//! What a person decides by SQL, through the table `decision`: each names what was seen, in the words of the view `to_decide`, and is
//! carried out when the library next looks. What has moved on since, or what something of the app's refuses, is refused there with
//! the reason; no sync waits for it.

use chrono::Utc;
use rusqlite::{OptionalExtension, Row as SqlRow, Transaction, named_params};

use super::decide::{carry_out, free, no_row, subject, value_before};
use super::{Failed, Store, dirty, state};
use crate::clock::stamp;
use crate::customer::{CustomerId, EditSeq, FieldId};
use crate::error::{Error, Failure, Result};
use crate::flow::{Dirty, Discarded, Keep, Outcome, discard, resolve};

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

/// Codes of errors that a trigger, an index or a reference of the app's may be the cause of.
const OF_THE_APP: [&str; 6] = ["database", "torn_down", "unending", "ignored", "restless", "referenced"];

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
        let (mut done, mut last) = (0, i64::MIN);
        while let Some(asked) = self.next_decision(last)? {
            last = asked.id;
            let of_before: Option<i64> = self.state(OF_BEFORE)?.and_then(|id| id.parse().ok());
            let is_of_before = of_before.is_some_and(|newest| asked.id <= newest);
            let carried_out = self.engine_write(|transaction| {
                let work = match is_of_before {
                    true => Err(Error::usage(PERHAPS_DONE).into()),
                    false => decide_as_asked(transaction, &asked),
                };
                work.and_then(|()| Ok(note_decision(transaction, asked.id, "done", None)?))
            });
            match carried_out {
                Ok(()) => done += 1,
                // Also what something of the app's does not let through: no sync waits for it.
                Err(error) if !error.is_database() || OF_THE_APP.contains(&error.code()) => {
                    let reason = error.to_string();
                    let noted = self.engine_write(|transaction| {
                        Ok(note_decision(transaction, asked.id, "refused", Some(&reason))?)
                    });
                    match noted {
                        // It waits, and is looked at again.
                        Err(error) if OF_THE_APP.contains(&error.code()) => {
                            tracing::warn!(%error, decision = asked.id, "what became of a decision cannot be noted");
                        }
                        noted => noted?,
                    }
                }
                Err(error) => return Err(error),
            }
            self.make_room();
        }
        Ok(done)
    }

    /// Behind one that was looked at, whether or not that could be noted.
    fn next_decision(&self, after: i64) -> Result<Option<Asked>> {
        let next = "SELECT id, seen, keep, value, author FROM decision INDEXED BY decision_waiting
                    WHERE outcome IS NULL AND id > ?1 ORDER BY id LIMIT 1";
        let read = |row: &SqlRow<'_>| {
            // Whatever bytes somebody wrote: a decision that cannot be read is refused like one that says nothing.
            let text = |place: usize| -> rusqlite::Result<Option<String>> {
                let text = row.get_ref(place)?.as_bytes_or_null();
                Ok(text.ok().flatten().map(|text| String::from_utf8_lossy(text).into_owned()))
            };
            let (seen, keep) = (text(1)?.unwrap_or_default(), text(2)?.unwrap_or_default());
            Ok(Asked { id: row.get(0)?, seen, keep, value: text(3)?, author: text(4)? })
        };
        let asked = self
            .connection
            .prepare_cached(next)
            .and_then(|mut next| next.query_row([after], read).optional());
        asked.map_err(|e| self.error(e))
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
        ("conflict", "discard") => {
            let dirty = known(dirty::load(transaction, id)?)?;
            let mut plan = discard(&dirty, &Discarded::Subject(subject(id, &seen.field)?), None)?;
            if seen.field == FieldId::STORE_CREDIT_AMOUNTS.name() {
                // A payment that was refused is a row of its own.
                plan.settle
                    .retain(|one| dirty.op(one.seq).is_some_and(|op| op.outcome == Some(Outcome::Held)));
            }
            carry_out(transaction, &dirty, &plan, author, "discard")
        }
        ("conflict", keep) => {
            let keep = match (keep, &asked.value) {
                ("local", _) => Keep::Local,
                ("remote", _) => Keep::Remote,
                (_, value) => Keep::Value(value.clone().unwrap_or_default()),
            };
            let dirty = known(dirty::load_whole(transaction, id)?)?;
            let plan = resolve(&dirty, &subject(id, &seen.field)?, &keep, None)?;
            carry_out(transaction, &dirty, &plan, author, "resolve")
        }
        (_, "retry") => match free(transaction, id, Some(EditSeq(seen.id)))? {
            0 => Err(no_row(EditSeq(seen.id), "was not refused, or has settled since").into()),
            _ => Ok(()),
        },
        _ => {
            let seq = EditSeq(seen.id);
            let before = value_before(transaction, seq)?;
            let dirty = known(dirty::load(transaction, id)?)?;
            let plan = discard(&dirty, &Discarded::Row { seq, before }, None)?;
            carry_out(transaction, &dirty, &plan, author, "discard")
        }
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
