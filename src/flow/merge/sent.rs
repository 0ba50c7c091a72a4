//! An update that was on its way, held against what the server says now: did it land?

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Merge, Three, outcomes, written_over};
use crate::flow::money::{balance, moved_along};
use crate::flow::tidied::{has_landed, is_tidied, stood_on};
use crate::flow::{
    Attempt, ConflictPlan, Credit, Dirty, Flight, NOT_SHOWN, Op, Outcome, Revived, Settlement,
};
use crate::resource::{Attributes, EditSeq, FieldId, RowId, Subject, Value, object};

/// An update that was sent, as it is held against what the server says now.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The journal rows up to here, as far as they are in flight, were covered.
    pub up_to: EditSeq,
    /// The attributes that were sent, with their values; not the password.
    pub fields: Vec<(FieldId, Value)>,
    /// Set when the store credit was sent because of adjustments.
    pub credit: Option<Credit>,
    /// What it was computed from.
    pub base: SentBase,
    /// The server has said that it took all of it; else each attribute is judged by its value.
    pub is_accepted: bool,
    /// When it may have been applied; none: not known, as in a file of an earlier version.
    pub flight: Option<Flight>,
    /// The store moves balances without a newer `date_modified`: an old time says nothing of money.
    pub is_credit_undated: bool,
    /// Attributes that the server refused, or showed as they were before, when it answered: where they still are, they did
    /// not land.
    pub denied: Vec<FieldId>,
    /// Of these the store said yes to all that it showed, and showed them as they were before: they may be told late, from somewhere else
    /// than the record.
    pub late: Vec<FieldId>,
    /// Another row that says what this one was to say: the store changed nothing.
    pub twin: Option<RowId>,
    /// It is read back so soon that reads may lag: that something is as before says that it may be sent again, and not that it
    /// never landed.
    pub is_read_soon: bool,
}

/// What an update was computed from, as the snapshot was when it was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentBase {
    /// The customer's `date_modified`; `None`: it was not told.
    pub modified: Option<DateTime<Utc>>,
    /// The attributes that were sent, as they were before; none where a file of an earlier version did not keep them.
    pub fields: Vec<(FieldId, Value)>,
}

impl Sent {
    /// Whether this edit was on its way with it.
    pub(in crate::flow) fn covers(&self, op: &Op) -> bool {
        op.outcome == Some(Outcome::InFlight) && op.seq <= self.up_to
    }

    /// The value of an attribute that was sent.
    pub(in crate::flow) fn value(&self, field: FieldId) -> Option<&Value> {
        self.fields.iter().find(|(sent, _)| *sent == field).map(|(_, value)| value)
    }

    /// Whether an attribute may be there although this reading does not show it. What the store refused by name is not; and a
    /// payment is read back when the time for that has passed.
    pub(in crate::flow) fn may_not_show_yet(&self, field: FieldId) -> bool {
        self.is_read_soon && !field.is_money() && !self.denied.contains(&field)
    }
}

impl Sent {
    /// Whether an attribute is told late by a reading back: the rest of the update is there, and this is as it was before. The yes of
    /// the store stands until another moment tells.
    pub(in crate::flow) fn is_late(&self, field: FieldId, told: &Attributes<'_>) -> bool {
        self.late.contains(&field)
            && told.tells(field)
            && self.base.value(field).is_some_and(|base| *base == told.get(field))
    }

    /// The value of an attribute of which every edit that waits was sent, and no entry waits for a person: the working copy has it, but for
    /// what was edited past the journal.
    pub fn of_all(&self, dirty: &Dirty, field: FieldId) -> Option<&Value> {
        let is_whole = dirty.ops_of(field).all(|op| self.covers(op));
        let is_held = field.has_entries() && dirty.held_forms().next().is_some();
        self.value(field).filter(|_| is_whole && !is_held)
    }
}

impl SentBase {
    /// What an update of these attributes is computed from.
    pub fn of(base: &Attributes<'_>, fields: impl IntoIterator<Item = FieldId>) -> SentBase {
        let fields = fields.into_iter().filter(|field| base.has(*field));
        SentBase {
            modified: base.changed_at(),
            fields: fields.map(|field| (field, base.get(field))).collect(),
        }
    }

    /// As a row's JSON object with nothing but these attributes: so it stays in the file while the update is on its way.
    pub fn to_json(&self, id: RowId) -> String {
        let modified = self.modified.map(|at| Value::Text(at.to_rfc3339_opts(SecondsFormat::Secs, true)));
        let modified = id.resource.changed_at().zip(modified.as_ref());
        object(id, self.fields.iter().map(|(field, value)| (*field, value)).chain(modified))
    }

    pub(in crate::flow) fn value(&self, field: FieldId) -> Option<&Value> {
        self.fields.iter().find(|(sent, _)| *sent == field).map(|(_, value)| value)
    }
}

/// What became of an attribute that was on its way.
enum Fate {
    /// It is there.
    Landed,
    /// All is as it was before: it is sent again.
    NotLanded,
    /// Something else is there: a remote change.
    Overtaken,
    /// The value is the one of before, and the customer was changed since: it did not land, or somebody took it back.
    TakenBack,
    /// An adjustment of which nobody can know.
    InDoubt,
}

impl<'a> Merge<'a> {
    /// Settles the edits that were on their way, or frees them; later ones stand on what was sent. True: nothing else is to
    /// be said of the attribute.
    pub(super) fn landed(&mut self, sent: &Sent, three: &mut Three<'a>) -> bool {
        let (flying, rest): (Vec<&Op>, Vec<&Op>) = three.ops.iter().partition(|op| sent.covers(op));
        if flying.is_empty() {
            return false;
        }
        let value = sent.value(three.field);
        let base = sent.base.value(three.field).unwrap_or(&three.base).clone();
        match self.fate(sent, three, &base, value) {
            Fate::Landed => {
                self.plan.void.extend(self.dirty.attempts_of(three.field).map(|attempt| attempt.id));
                let held = three.field.has_entries() && self.dirty.held_forms().next().is_some();
                let outcome = if held { Outcome::Held } else { Outcome::Uploaded };
                self.plan.settle.extend(outcomes(&flying, outcome));
                three.base = match value {
                    Some(value) => stood_on(three.field, value, &three.remote),
                    None => three.remote.clone(),
                };
                self.has_landed(three);
                if !held {
                    three.ops = rest;
                }
                false
            }
            Fate::NotLanded if sent.twin.is_some() => {
                let reason = sent.twin.map(|twin| format!("{twin} says this already"));
                let merged = outcomes(&flying, Outcome::Merged).into_iter();
                self.plan.settle.extend(merged.map(|one| Settlement { reason: reason.clone(), ..one }));
                three.base = base;
                three.ops = rest;
                false
            }
            Fate::NotLanded => {
                // Nor has anything that left before.
                let is_as_before = sent.base.modified.is_some() && sent.base.modified == self.modified_at();
                if is_as_before && !sent.may_not_show_yet(three.field) {
                    self.plan.refuted.extend(self.dirty.attempts_of(three.field).map(|attempt| attempt.id));
                }
                self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
                three.base = base;
                false
            }
            // It did not, or not as it was sent last: what was sent before did.
            _ if self.is_earlier_shown(three) => {
                self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
                three.base = base;
                false
            }
            Fate::Overtaken | Fate::TakenBack if three.field.is_money() => {
                // Payments that went along with a balance that was set are as doubtful as that.
                self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
                three.base = base;
                self.contested_balance(three, flying, &rest);
                true
            }
            fate @ (Fate::Overtaken | Fate::TakenBack) => {
                self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, None)));
                three.base = base;
                let is_taken_back = matches!(fate, Fate::TakenBack);
                // Taken back here too, meanwhile: nobody is asked about one value.
                if is_taken_back && !is_tidied(three.field, &three.local, &three.remote) {
                    self.contested(three);
                }
                is_taken_back
            }
            Fate::InDoubt => {
                self.plan.settle.extend(flying.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
                // A yes may have brought a part of it; else it is there, or goes on top of what is.
                let on_top = balance(&three.remote, flying.iter().copied())
                    .filter(|_| !sent.is_accepted && sent.credit.is_some());
                if let Some(value) = &on_top {
                    self.rebase(three, value, &rest);
                }
                let local = on_top.or_else(|| value.cloned()).unwrap_or_default();
                self.record(
                    &Three { field: three.field, base, local, remote: three.remote.clone(), ops: flying },
                    "hold",
                    None,
                );
                true
            }
        }
    }

    /// Whether the store shows what an update of this attribute brought that was refused, or given up.
    fn is_earlier_shown(&self, three: &Three<'_>) -> bool {
        let modified = self.modified_at();
        self.remote.tells(three.field)
            && self.dirty.attempts_of(three.field).any(|attempt| {
                attempt.is_shown(&three.remote) && self.may_be_of(attempt, three.field, modified)
            })
    }

    /// Updates that were refused, or given up, are held against what the server says now: a refusal proves nothing. True: nothing
    /// else is to be said of the attribute.
    pub(super) fn earlier(&mut self, three: &mut Three<'a>) -> bool {
        let dirty = self.dirty;
        let is_open = |attempt: &&Attempt| !attempt.is_accepted && !self.plan.void.contains(&attempt.id);
        let attempts: Vec<&Attempt> = dirty.attempts_of(three.field).filter(is_open).collect();
        if attempts.is_empty() || dirty.open_of_field(three.field).is_some() {
            return false;
        }
        let (is_money, modified) = (three.field.is_money(), self.modified_at());
        if let Some(place) = attempts.iter().position(|attempt| attempt.is_shown(&three.remote)) {
            return match self.may_be_of(attempts[place], three.field, modified) {
                true => self.landed_before(three, &attempts[..place], &attempts[place..]),
                // The same sum, and perhaps by another hand.
                false => self.nobody_knows(three, &attempts[place..=place]),
            };
        }
        let tells = |attempt: &Attempt| {
            attempt.is_as_before(&three.remote, modified) && !(is_money && dirty.is_credit_undated)
        };
        let refuted = &self.plan.refuted;
        // What showed it as before may have lagged, and be as another hand found it.
        let is_doubtful = |attempt: &&Attempt| match attempt.is_refuted || refuted.contains(&attempt.id) {
            true => !attempt.is_disproven && attempt.has_moved(&three.remote),
            false => !tells(attempt),
        };
        let doubtful: Vec<&Attempt> = attempts.into_iter().filter(is_doubtful).collect();
        is_money && self.nobody_knows(three, &doubtful)
    }

    /// What the store said yes to and did not show is held against a reading that tells it. True: nothing else is to be said of
    /// the attribute.
    pub(super) fn unshown(&mut self, three: &mut Three<'a>) -> bool {
        let dirty = self.dirty;
        let is_open = |attempt: &&Attempt| attempt.is_accepted && !self.plan.void.contains(&attempt.id);
        let attempts: Vec<&Attempt> = dirty.attempts_of(three.field).filter(is_open).collect();
        let Some(newest) = attempts.first() else { return false };
        if self.sent.is_some_and(|sent| sent.is_accepted) {
            let as_before = attempts.iter().filter(|attempt| attempt.has_not_landed(&three.remote));
            self.plan.refuted.extend(as_before.map(|attempt| attempt.id));
            return false;
        }
        if self.has_landed_unshown(newest, &three.remote) {
            // What else there is somebody else changed.
            self.plan.void.extend(attempts.iter().map(|attempt| attempt.id));
            return false;
        }
        if dirty.open_of_field(three.field).is_some() {
            return false;
        }
        self.plan.void.extend(attempts[1..].iter().map(|attempt| attempt.id));
        let (is_money, is_edited_since) = (three.field.is_money(), !three.ops.is_empty());
        let is_contested = match newest.not_there(&three.remote) {
            _ if is_money => {
                let on_top = moved_along(&newest.value, &newest.base, &three.remote);
                let on_top = on_top.filter(|_| newest.is_payment);
                if let Some(value) = &on_top {
                    self.rebase(three, value, &three.ops.clone());
                }
                self.nobody_knows_of(newest, three, on_top.unwrap_or_else(|| newest.value.clone()))
            }
            // The merge brings newer edits together with what is there.
            _ if is_edited_since => false,
            Some(entries) => self.entries_did_not_land(newest, three, &entries),
            None if newest.base == three.remote => false,
            None => self.nobody_knows_of(newest, three, three.local.clone()),
        };
        let outcome = if is_contested { Outcome::Held } else { Outcome::Rejected };
        let waits = |seq: &EditSeq| {
            let reason = Some(NOT_SHOWN.to_owned());
            Settlement { reason, ..Settlement::new(*seq, outcome) }
        };
        let settle = newest.covers.iter().map(waits).collect();
        self.plan.revived.push(Revived { attempt: newest.id, field: three.field, settle });
        three.base = newest.base.clone();
        // The working copy goes on showing what was edited.
        is_money || !is_edited_since
    }

    /// Whether what the store said yes to and did not show is there by now, or was, as far as a reading tells.
    fn has_landed_unshown(&self, newest: &Attempt, shown: &Value) -> bool {
        if newest.covers.is_empty() {
            return true;
        }
        let (is_money, modified) = (newest.field.is_money(), self.modified_at());
        // Money may have landed, and been spent; or may not, and somebody else moved it.
        let is_no_yes = is_money && self.is_no_yes(newest);
        // The same sum, at a time that cannot be of that update, is by another hand.
        let is_by_another = is_no_yes && !self.may_be_of(newest, newest.field, modified)
            || is_money && newest.is_refuted && self.was_moved_after(newest);
        // An entry of form fields that was left out beside one that was given may be there in any way.
        let is_all_there = newest.not_there(shown).is_some_and(|not_there| not_there.is_nothing());
        let has_landed = (newest.is_shown(shown) || is_all_there) && !is_by_another;
        has_landed || !(newest.has_not_landed(shown) || is_no_yes || newest.is_refuted)
    }

    /// Whether the customer was changed later than an update can have been applied, and nothing else of it is other than it is known.
    fn was_moved_after(&self, attempt: &Attempt) -> bool {
        let Some(known) = &self.base else { return false };
        let (dated, modified) = (self.remote.resource().changed_at(), self.modified_at());
        let is_other = |field: FieldId| {
            let is_of_it = field == attempt.field || Some(field) == dated;
            !is_of_it && known.text(field) != self.remote.text(field)
        };
        attempt.flight.was_over_by(modified, self.policies.clock_offset)
            && known.changed_at() != modified
            && !self.remote.resource().columns().any(is_other)
    }

    /// What the store said yes to did not land, or somebody else moved it since: a person decides, whatever the policy. True.
    fn nobody_knows_of(&mut self, attempt: &Attempt, three: &Three<'_>, local: Value) -> bool {
        self.conflict(ConflictPlan::Record {
            subject: Subject::Field(three.field),
            base: attempt.base.to_json(),
            local: local.to_json(),
            remote: three.remote.to_json(),
            policy: "hold",
            resolution: None,
            result: None,
            author: None,
            seq: attempt.covers.last().copied(),
        });
        true
    }

    /// Whether something else that left with an attempt is seen not to have landed, though the store said yes to both: the whole update
    /// did not, as far as anybody can tell, and what else is there now is no change of what it brought.
    fn is_no_yes(&self, attempt: &Attempt) -> bool {
        // One that was told before waits for a person, and is on record.
        let has_not_landed = |other: &Attempt| {
            let is_with_it = other.field != attempt.field && other.flight.left == attempt.flight.left;
            let told = self.remote.get(other.field);
            is_with_it
                && !other.covers.is_empty()
                && self.remote.tells(other.field)
                && other.base == told
                && !other.is_shown(&told)
        };
        self.dirty.attempts.iter().any(has_not_landed)
    }

    /// Whether payments that wait for a person, since nobody could know whether they had landed, are in what the store shows now: all of
    /// them left in one update, and its balance is there, at a time at which that may have been applied, and since when the customer has
    /// not been changed: a cache of credit was behind. With them has landed all that left with them.
    pub(super) fn is_shown_late(&mut self, three: &Three<'_>, held: &[&Op]) -> bool {
        let (dirty, modified) = (self.dirty, self.modified_at());
        let known = self.base.as_ref().and_then(Attributes::changed_at);
        if held.is_empty() || known != modified {
            return false;
        }
        let is_of_all = |attempt: &&Attempt| held.iter().all(|op| attempt.covers.contains(&op.seq));
        let landed = dirty.attempts_of(three.field).filter(is_of_all).find(|attempt| {
            attempt.is_shown(&three.remote) && self.may_be_of(attempt, three.field, modified)
        });
        let Some(landed) = landed else { return false };
        self.plan.void.insert(landed.id);
        let covered = dirty.ops_of(three.field).filter(|op| landed.covers.contains(&op.seq));
        self.plan.settle.extend(covered.map(|op| Settlement::new(op.seq, Outcome::Uploaded)));
        true
    }

    fn may_be_of(&self, attempt: &Attempt, field: FieldId, modified: Option<DateTime<Utc>>) -> bool {
        let ahead = self.policies.clock_offset;
        !field.is_money() || attempt.flight.may_have_made(modified, ahead)
    }

    /// The newest of `landed` did; those before it count no more, and `newer` ones had not by now.
    fn landed_before(&mut self, three: &mut Three<'a>, newer: &[&Attempt], landed: &[&Attempt]) -> bool {
        let attempt = landed[0];
        let covers: BTreeSet<&EditSeq> = attempt.covers.iter().collect();
        let is_covered = |op: &&Op| covers.contains(&op.seq);
        let covered: Vec<&Op> = self.dirty.ops_of(three.field).filter(is_covered).collect();
        self.plan.void.extend(landed.iter().map(|attempt| attempt.id));
        self.plan.refuted.extend(newer.iter().map(|attempt| attempt.id));
        let held = three.field.has_entries() && self.dirty.held_forms().next().is_some();
        self.plan.settle.extend(outcomes(&covered, if held { Outcome::Held } else { Outcome::Uploaded }));
        three.base = stood_on(three.field, &attempt.value, &three.remote);
        self.has_landed(three);
        if !held {
            three.ops.retain(|op| !covers.contains(&op.seq));
        }
        let was_refused = covered.iter().any(|op| !op.is_counted());
        if was_refused && three.field.is_money() {
            // It had left the sum, and is in the store's.
            self.rebase(three, &three.remote.clone(), &three.ops.clone());
            return true;
        }
        false
    }

    /// What later edits of an attribute stand on is what landed of it; entries of form fields that were not sent are as they were.
    fn has_landed(&mut self, three: &Three<'_>) {
        let value = written_over(&self.base_of(three.field), &three.base);
        self.plan.landed.insert(three.field, value);
    }

    /// Payments of these attempts, of which nobody can know whether they are in what the store shows, wait for a person. True
    /// if there are any: refused ones do that already, unless somebody moved the balance before it was proven that they had not landed.
    /// What was seen as before is asked about on top of what is there now. Under a balance that was set a payment is not sent again anyway.
    fn nobody_knows(&mut self, three: &Three<'a>, attempts: &[&Attempt]) -> bool {
        let is_set = self.dirty.ops_of(three.field).any(|op| op.adjustment().is_none());
        let is_moved = |attempt: &&&Attempt| !attempt.is_disproven && attempt.has_moved(&three.remote);
        let covered: BTreeSet<&EditSeq> = attempts.iter().flat_map(|attempt| &attempt.covers).collect();
        let moved: BTreeSet<&EditSeq> =
            attempts.iter().filter(is_moved).flat_map(|attempt| &attempt.covers).collect();
        let is_asked = |op: &&Op| match op.is_counted() {
            true => covered.contains(&op.seq),
            false => !is_set && op.adjustment().is_some() && moved.contains(&op.seq),
        };
        let ops: Vec<&Op> = self.dirty.ops_of(three.field).filter(is_asked).collect();
        let Some(newest) = attempts.first().filter(|_| !ops.is_empty()) else { return false };
        let is_payments = ops.iter().all(|op| op.adjustment().is_some());
        let on_top = balance(&three.remote, ops.iter().copied()).filter(|_| is_payments);
        self.plan.settle.extend(ops.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
        if let Some(value) = &on_top {
            let asked: BTreeSet<EditSeq> = ops.iter().map(|op| op.seq).collect();
            let is_other = |op: &&Op| !asked.contains(&op.seq);
            let later: Vec<&Op> = three.ops.iter().copied().filter(is_other).collect();
            self.rebase(three, value, &later);
        }
        let (base, local) = (newest.base.clone(), on_top.unwrap_or_else(|| newest.value.clone()));
        self.record(
            &Three { field: three.field, base, local, remote: three.remote.clone(), ops },
            "hold",
            None,
        );
        true
    }

    fn fate(&self, sent: &Sent, three: &Three<'_>, base: &Value, value: Option<&Value>) -> Fate {
        let is_money = three.field.is_money();
        // What leaves beside a payment is none.
        let is_payment = is_money && sent.credit.is_some();
        let Some(value) = value else {
            return if sent.is_accepted { Fate::Landed } else { Fate::NotLanded };
        };
        if sent.is_accepted {
            // The yes of the store is believed of anything but of money that it shows to be another sum: a cap, cents that it
            // does not keep, or no payment at all and somebody else's meanwhile.
            let is_another = is_payment && !has_landed(three.field, base, value, &three.remote);
            return if is_another { Fate::InDoubt } else { Fate::Landed };
        }
        if !self.remote.tells(three.field) {
            return if is_money { Fate::InDoubt } else { Fate::NotLanded };
        }
        let ahead = self.policies.clock_offset;
        let may_be_ours = || sent.flight.is_none_or(|flight| flight.may_have_made(self.modified_at(), ahead));
        if *value == three.remote {
            return match !is_payment || *value == *base || may_be_ours() {
                true => Fate::Landed,
                // The same sum, and perhaps by another hand.
                false => Fate::InDoubt,
            };
        }
        // Unless both are told, nobody knows. A set is sent again then; money is not guessed.
        let is_untouched = sent.base.modified.zip(self.modified_at()).map(|(before, now)| before == now);
        let is_denied = sent.denied.contains(&three.field);
        let would_show = !is_money
            || (!sent.is_credit_undated
                && sent
                    .flight
                    .zip(sent.base.modified)
                    .is_none_or(|(flight, at)| flight.would_show(at, ahead)));
        // A payment that was refused may have been applied, and spent, all the same: only the time of before says that it was not.
        let is_denied = is_denied && (!is_payment || is_untouched == Some(true));
        match *base == three.remote {
            true if is_denied || (is_untouched == Some(true) && would_show) => Fate::NotLanded,
            _ if is_payment => match has_landed(three.field, base, value, &three.remote) && may_be_ours() {
                true => Fate::Landed,
                false => Fate::InDoubt,
            },
            true if is_money || is_untouched == Some(false) => Fate::TakenBack,
            true => Fate::NotLanded,
            false if has_landed(three.field, base, value, &three.remote) => Fate::Landed,
            false => Fate::Overtaken,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;
    use crate::flow::merge::merge;
    use crate::flow::{Change, CustomerPlan, Lately, OpenConflict, Policies};
    use crate::resource::{CustomerId, Record, Row};

    fn with_forms(forms: &str) -> Record {
        Record::new(format!("{{\"id\":1,\"form_fields\":{forms}}}"))
    }

    fn forms_of(record: &Record) -> Value {
        record.attributes().unwrap().get(FieldId::FORM_FIELDS)
    }

    /// What a reading makes of an update of form fields to `sent`, to which the store said yes, and which was shown as before by one that
    /// may have lagged.
    fn read(base: &str, sent: &str, known: &str, shown: &str) -> CustomerPlan {
        let at = "2026-01-01T12:00:00Z".parse().unwrap();
        let known = with_forms(known);
        let attempt = Attempt {
            id: 7,
            field: FieldId::FORM_FIELDS,
            value: forms_of(&with_forms(sent)),
            base: forms_of(&with_forms(base)),
            modified: None,
            covers: vec![EditSeq(1)],
            flight: Flight { left: at, applied_by: at },
            is_refuted: true,
            is_disproven: false,
            is_accepted: true,
            is_echoed: false,
            is_payment: false,
        };
        let dirty = Dirty {
            id: CustomerId(1).into(),
            row: Row::of(CustomerId(1), &known.attributes().unwrap()),
            base: Some(known.clone()),
            lately: Lately::default(),
            unsound: BTreeSet::new(),
            ops: Vec::new(),
            open: Vec::new(),
            attempts: vec![attempt],
            is_credit_undated: false,
            is_behind: false,
            password: None,
            earlier_passwords: Vec::new(),
            deletion: None,
        };
        merge(&dirty, &with_forms(shown), None, &Policies::default()).unwrap()
    }

    #[test]
    fn what_was_left_out_beside_what_was_given_says_nothing_of_whether_that_landed() {
        let [red, medium, large] = [("c", "red"), ("s", "M"), ("s", "L")]
            .map(|(name, value)| format!(r#"{{"name":"{name}","value":"{value}"}}"#));
        let (base, sent, known) =
            (format!("[{red},{medium}]"), format!("[{large}]"), format!("[{red},{large}]"));
        for colour in ["red", "blue"] {
            let plan = read(&base, &sent, &known, &known.replace("red", colour));
            assert_eq!((plan.void, plan.revived.len()), (BTreeSet::from([7]), 0), "{colour}");
        }
        let plan = read(&base, &sent, &known, &base);
        assert_eq!((plan.void.len(), plan.revived.len()), (0, 1), "it is as before");
    }

    /// What left in one update, and is shown late in a record that nobody has changed since, is there whole: also what was refused of it,
    /// which a `retry` would pay again.
    #[test]
    fn with_payments_that_are_shown_late_has_landed_all_that_left_with_them() {
        let at = "2026-01-01T12:00:00Z".parse().unwrap();
        let credit = |amount: u32| format!(r#"[{{"amount":{amount}}}]"#);
        let record = |amount: u32, second: u32| {
            let modified = format!("2026-01-01T12:00:{second:02}Z");
            Record::new(format!(
                r#"{{"id":1,"store_credit_amounts":{},"date_modified":"{modified}"}}"#,
                credit(amount)
            ))
        };
        let money = FieldId::STORE_CREDIT_AMOUNTS;
        let payment = |seq, amount: u32, outcome| Op {
            seq: EditSeq(seq),
            field: money,
            change: Change::Adjust(amount.into()),
            outcome: Some(outcome),
            reject_group: None,
            at: None,
            author: None,
        };
        let known = record(50, 0);
        let balance = |amount| Value::from_json(money.kind(), &credit(amount));
        let mut dirty = Dirty {
            id: CustomerId(1).into(),
            row: Row::of(CustomerId(1), &known.attributes().unwrap()),
            base: Some(known),
            lately: Lately::default(),
            unsound: BTreeSet::new(),
            ops: vec![payment(1, 5, Outcome::Rejected), payment(2, 10, Outcome::Held)],
            open: vec![OpenConflict {
                id: 3,
                subject: Subject::Field(money),
                base: credit(50),
                local: credit(60),
                remote: credit(50),
                doubt: None,
            }],
            attempts: vec![Attempt {
                id: 7,
                field: money,
                value: balance(65),
                base: balance(50),
                modified: None,
                covers: vec![EditSeq(1), EditSeq(2)],
                flight: Flight { left: at, applied_by: at },
                is_refuted: false,
                is_disproven: false,
                is_accepted: false,
                is_echoed: false,
                is_payment: true,
            }],
            is_credit_undated: false,
            is_behind: false,
            password: None,
            earlier_passwords: Vec::new(),
            deletion: None,
        };
        dirty.row.set(money, balance(60));
        let landed = |second| {
            let plan = merge(&dirty, &record(65, second), None, &Policies::default()).unwrap();
            let is_landed = |one: &&Settlement| one.outcome == Some(Outcome::Uploaded);
            plan.settle.iter().filter(is_landed).map(|one| one.seq.0).collect::<Vec<_>>()
        };
        assert_eq!(landed(0), [1, 2]);
        assert!(landed(1).is_empty(), "the customer was changed since: that may be by another hand");
    }
}
