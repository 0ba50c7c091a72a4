//! An attempt: an update of one attribute that left, and of which nobody has proven that it landed, or that it never can.
//!
//! A store may refuse what it has applied: a `429`, a `401` or a `413` may come from something in front of it, and a `422` may be
//! about another record of the call. So what a refusal ended stays on record, and every later reading of the customer is held
//! against all that was ever sent:
//!
//! ```text
//! the reading shows            it comes to
//! what was sent                it landed; a payment only if the time of that change can be of our update, else held
//! the base, and its time       as before: sent again, from the same base, so that to land twice is to land once
//! anything else                a change of somebody else's; of a payment nobody can know whether it is in there: held
//! ```
//!
//! An attempt is **refuted** by a reading back after the latest moment at which the store may have applied it: from then on only
//! what was sent itself is evidence that it landed after all.
//!
//! An attempt may be **accepted**: the store said yes, and its answer did not tell the attribute, or only repeated what was asked.
//! What was sent stands then, and its edits have settled; it stays on record until a reading tells. As it was sent, or anything
//! else: it landed. As the base was, and not so soon that reads may lag: it did not; its edits wait for a person, and so do
//! the payments that left with it, whatever the balance is by then. Of form fields that is judged entry by entry.
//!
//! A reading that shows it as the base was, so soon that it may lag, is no proof, and is remembered: the attempt is refuted. Moves
//! somebody else it then, nobody knows whether it had landed by that time, and a person decides. So it is with a payment that was
//! refused, or of which the answer was lost, until a reading a minute later shows the same: then the attempt is **disproven**.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::merge::{Sent, entries};
use super::money::same_balance;
use super::outdated::{LAGS_AT_MOST, Moment};
use super::tidied::{has_landed, is_tidied_entry};
use super::{CustomerPlan, Dirty, Op, Outcome, Settlement};
use crate::resource::{Attributes, BadRecord, EditSeq, FieldId, Kind, Record, Value};

/// When an update may have been applied, by the till's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Its request left.
    pub left: DateTime<Utc>,
    /// The latest that the store may have applied it.
    pub applied_by: DateTime<Utc>,
}

/// An update of one attribute, on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its row; 0: none yet.
    pub id: i64,
    /// The attribute.
    pub field: FieldId,
    /// What was sent.
    pub value: Value,
    /// What it was computed from.
    pub base: Value,
    /// The customer's `date_modified` then, if it was told.
    pub modified: Option<DateTime<Utc>>,
    /// The rows of the journal that it was made of; none where it is known to have landed, and only what reads tell a moment later is
    /// held against it.
    pub covers: Vec<EditSeq>,
    /// When it may have been applied.
    pub flight: Flight,
    /// A reading after that showed that it had not landed by then; of an accepted one, a reading that may have lagged.
    pub is_refuted: bool,
    /// So late that it cannot have lagged; or a person saw what the store has.
    pub is_disproven: bool,
    /// The store said yes to it, and did not show it: its edits have settled.
    pub is_accepted: bool,
    /// It said so by repeating what was sent, without a date: nothing in that tells what the store holds. Accepted ones only.
    pub is_echoed: bool,
    /// A balance that was made of payments alone: it is what was there, and they on top.
    pub is_payment: bool,
}

/// The entries of form fields that an update was to change, and that a reading shows otherwise than they were sent.
#[derive(Debug, Default)]
pub struct NotThere {
    /// As they were before.
    pub as_before: Vec<String>,
    /// In a third way.
    pub moved: Vec<String>,
}

impl NotThere {
    /// Whether all of it is there.
    pub fn is_nothing(&self) -> bool {
        self.as_before.is_empty() && self.moved.is_empty()
    }
}

/// What a reading back of an update says.
#[derive(Debug)]
pub struct ReadBack {
    /// As far as it is news; `None`: all of it.
    pub news: Option<Record>,
    /// Something else than what was sent lags in it, as far as anybody can tell: another reading is to come.
    pub lags: bool,
}

/// So soon after an answer reads may lag behind it.
const MAY_LAG: TimeDelta = TimeDelta::seconds(5);

/// The server's clock is known to about a second: its times are whole ones, and an answer takes a while to come.
const CLOCK_IS_SURE_TO: TimeDelta = TimeDelta::seconds(2);

impl Flight {
    /// When one of two that sent the same may have been applied.
    fn or_later(self, later: Flight) -> Flight {
        Flight { left: self.left.min(later.left), applied_by: self.applied_by.max(later.applied_by) }
    }

    /// Whether a change that the server dates `modified` can be this update. `ahead`: the server's clock less the till's.
    pub fn may_have_made(&self, modified: Option<DateTime<Utc>>, ahead: TimeDelta) -> bool {
        let first = self.left_there(ahead) - TimeDelta::seconds(1);
        let last = self.applied_by + ahead + CLOCK_IS_SURE_TO;
        modified.is_some_and(|modified| (first..=last).contains(&modified))
    }

    /// Whether a change that the server dates `modified` is later than this update can have been applied.
    pub fn was_over_by(&self, modified: Option<DateTime<Utc>>, ahead: TimeDelta) -> bool {
        modified.is_some_and(|modified| modified > self.applied_by + ahead + CLOCK_IS_SURE_TO)
    }

    /// Whether this update, had it landed, would have moved a `modified` of before it left: times are whole seconds, so within
    /// the second of another change nobody can tell.
    pub fn would_show(&self, modified: DateTime<Utc>, ahead: TimeDelta) -> bool {
        modified < self.left_there(ahead)
    }

    /// Whether a reading that comes `now` may not show it yet, though it was applied: reads may lag.
    pub fn may_not_show_yet(&self, now: DateTime<Utc>) -> bool {
        (now - self.left).abs() < MAY_LAG
    }

    /// The second in which it left, by the server's clock. What is known of that clock is rather too little: its times are cut to
    /// seconds, and were on their way.
    fn left_there(&self, ahead: TimeDelta) -> DateTime<Utc> {
        (self.left + ahead).trunc_subsecs(0)
    }
}

impl Attempt {
    /// One attribute of what was sent, as it left.
    fn of(
        sent: &Sent,
        field: FieldId,
        value: &Value,
        base: Value,
        covers: Vec<EditSeq>,
        flight: Flight,
    ) -> Attempt {
        Attempt {
            id: 0,
            field,
            value: value.clone(),
            base,
            modified: sent.base.modified,
            covers,
            flight,
            is_refuted: false,
            is_disproven: false,
            is_accepted: false,
            is_echoed: false,
            is_payment: field.is_money() && sent.credit.is_some(),
        }
    }

    /// Whether the store shows what was sent.
    pub fn is_shown(&self, shown: &Value) -> bool {
        self.value != self.base && has_landed(self.field, &self.base, &self.value, shown)
    }

    /// Whether the store shows what was there before, and since when.
    pub fn is_as_before(&self, shown: &Value, modified: Option<DateTime<Utc>>) -> bool {
        self.base == *shown && self.modified.is_some() && self.modified == modified
    }

    /// Whether a reading shows what was there before, and since when, so late that it cannot lag: by the till's clock, and by the store's,
    /// which is `ahead` of that. A cache answers with the `Date` of when it was told.
    pub fn is_disproven_by(&self, told: &Attributes<'_>, now: Moment, ahead: TimeDelta) -> bool {
        let is_late = |now: DateTime<Utc>| now - self.flight.applied_by >= LAGS_AT_MOST;
        is_late(now.here)
            && is_late(now.there - ahead)
            && told.tells(self.field)
            && self.is_as_before(&told.get(self.field), told.changed_at())
    }

    /// Whether the store shows another balance than the one that was there before.
    pub fn has_moved(&self, shown: &Value) -> bool {
        !same_balance(&self.base, shown)
    }

    /// Whether the store shows what was there before, at any time; of form fields, an entry of them that was to change.
    pub fn is_told_as_before(&self, told: &Attributes<'_>) -> bool {
        told.tells(self.field) && self.has_not_landed(&told.get(self.field))
    }

    /// The same of the attribute by itself.
    pub fn has_not_landed(&self, shown: &Value) -> bool {
        match self.not_there(shown) {
            Some(entries) => !entries.as_before.is_empty(),
            None => self.base == *shown,
        }
    }

    /// Entry by entry, what of it is not there; `None`: it has no entries. What was left out may stay beside what was given.
    pub fn not_there(&self, shown: &Value) -> Option<NotThere> {
        if !self.field.has_entries() {
            return None;
        }
        let (base, sent, shown) = (entries(&self.base)?, entries(&self.value)?, entries(shown)?);
        let is_given = |name: &&String| sent.get(*name) != base.get(*name);
        let given: Vec<&String> = sent.keys().filter(is_given).collect();
        let left_out = base.keys().filter(|name| given.is_empty() && !sent.contains_key(*name));
        let mut not_there = NotThere::default();
        for name in given.iter().copied().chain(left_out) {
            match shown.get(name) {
                shown if is_tidied_entry(sent.get(name), shown) => {}
                shown if shown == base.get(name) => not_there.as_before.push(name.clone()),
                _ => not_there.moved.push(name.clone()),
            }
        }
        Some(not_there)
    }

    /// Whether a reading shows too little of what the store said yes to, so soon that it may lag. `known`: of when what is known of the
    /// customer is.
    pub fn shows_too_little(
        &self,
        told: &Attributes<'_>,
        known: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> bool {
        let may_be_behind = self.field.may_be_undated();
        let most = if may_be_behind { LAGS_AT_MOST } else { MAY_LAG };
        let is_young = (now - self.flight.applied_by).abs() < most;
        let read = told.changed_at();
        let is_newer = !may_be_behind && read.is_some() && read > known.or(self.modified);
        self.is_accepted && is_young && !is_newer && self.is_told_as_before(told)
    }

    /// Whether the store said yes to it, and nothing has told since whether that is so. It stays on record also when its customer
    /// goes: one who was only hidden comes back as before.
    pub fn is_unproven(&self) -> bool {
        self.is_accepted && !self.covers.is_empty()
    }

    /// Whether it may yet bring the store to another value than this.
    pub fn may_bring_another(&self, value: &Value) -> bool {
        !self.is_refuted && self.value != *value
    }
}

impl Dirty {
    /// The attempts of an attribute that are on record, newest first.
    pub fn attempts_of(&self, field: FieldId) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().rev().filter(move |attempt| attempt.field == field)
    }

    /// Whether a reading shows what the store said yes to a moment ago as it was before: it lags, or nothing landed. Another
    /// moment tells. One that bears a newer time than what is known does not lag behind it, and is news; but for credit and form
    /// fields, which may come from somewhere else than the record: those are believed when a minute has passed, as in `lately`.
    pub fn may_show_too_little(&self, told: &Attributes<'_>, now: DateTime<Utc>) -> bool {
        self.shown_too_little(told, now).next().is_some()
    }

    /// A reading back of what was sent, with what it may show too little of as it is known, and what else lags in it; see
    /// [`Lately::without_lag`](super::Lately::without_lag). Money that waits to be shown is judged by what is.
    ///
    /// # Errors
    /// When a record is no customer.
    pub fn read_back(&self, told: &Record, sent: &Sent, now: Moment) -> Result<ReadBack, BadRecord> {
        let shown = self.without_too_little(told, now.here)?;
        let Some(known) = &self.base else { return Ok(ReadBack { news: shown, lags: false }) };
        let unshown = self.attempts.iter().filter(|attempt| attempt.is_unproven());
        let unshown: BTreeSet<FieldId> = unshown.map(|attempt| attempt.field).collect();
        let current = self.lately.without_lag(known, shown.as_ref().unwrap_or(told), sent, now, &unshown)?;
        let lags = current.is_some();
        Ok(ReadBack { news: current.or(shown), lags })
    }

    fn without_too_little(&self, told: &Record, now: DateTime<Utc>) -> Result<Option<Record>, BadRecord> {
        let (Some(known), shown) = (&self.base, told.attributes()?) else { return Ok(None) };
        let known = known.attributes()?;
        let mut late = self.shown_too_little(&shown, now).filter(|field| !field.is_money());
        late.try_fold(None, |news: Option<Record>, field| {
            Ok(Some(news.as_ref().unwrap_or(told).with(field, &known.get(field))?))
        })
    }

    fn shown_too_little(&self, told: &Attributes<'_>, now: DateTime<Utc>) -> impl Iterator<Item = FieldId> {
        let known = self.base.as_ref().and_then(|base| base.attributes().ok()?.changed_at());
        let is_too_little = move |attempt: &&Attempt| attempt.shows_too_little(told, known, now);
        self.attempts.iter().filter(is_too_little).map(|attempt| attempt.field)
    }

    /// The attempts whose edits a person's decision replaces, as they are on record of it: refuted, since the person saw what the
    /// store has. Should it show what was sent all the same, that has landed, and the decision is not sent on top of it; unless that is
    /// what the person saw there, and said to be by another hand. Those that sent the same are one, which may have been applied by any
    /// of them.
    pub fn decided_attempts(&self, plan: &CustomerPlan, decision: EditSeq) -> Vec<Attempt> {
        let decided: BTreeSet<EditSeq> = plan.settle.iter().map(|settlement| settlement.seq).collect();
        let seen = self.open_of_money().map(|open| Value::from_json(Kind::Credit, &open.remote));
        let is_replaced = |attempt: &&Attempt| {
            attempt.field.is_money()
                && attempt.covers.iter().any(|seq| decided.contains(seq))
                && !seen.as_ref().is_some_and(|seen| attempt.is_shown(seen))
        };
        let mut alike: BTreeMap<_, Attempt> = BTreeMap::new();
        for attempt in self.attempts.iter().filter(is_replaced) {
            let flight = attempt.flight;
            alike
                .entry((attempt.value.to_json(), attempt.base.to_json(), attempt.modified))
                .and_modify(|one| one.flight = one.flight.or_later(flight))
                .or_insert_with(|| Attempt {
                    covers: vec![decision],
                    is_refuted: true,
                    is_disproven: true,
                    ..attempt.clone()
                });
        }
        let mut attempts: Vec<Attempt> = alike.into_values().collect();
        attempts.sort_by_key(|attempt| attempt.id);
        attempts
    }

    /// The attempts that are of no use any more once the plan is carried out: each edit of theirs has settled.
    pub fn spent_attempts(&self, plan: &CustomerPlan) -> Vec<i64> {
        let said = last_said(plan);
        let is_open = |op: &Op| {
            let outcome = said.get(&op.seq).map_or(op.outcome, |settlement| settlement.outcome);
            outcome.is_none_or(|outcome| !outcome.is_settled())
        };
        let is_spent = |attempt: &&Attempt| {
            let is_in_use = || attempt.covers.iter().any(|seq| self.op(*seq).is_some_and(is_open));
            let is_over = plan.remove_row && !attempt.is_unproven();
            is_over || plan.void.contains(&attempt.id) || !(attempt.is_accepted || is_in_use())
        };
        self.attempts.iter().filter(is_spent).map(|attempt| attempt.id).collect()
    }
}

/// What a plan says of each edit: the last word.
fn last_said(plan: &CustomerPlan) -> BTreeMap<EditSeq, &Settlement> {
    plan.settle.iter().map(|settlement| (settlement.seq, settlement)).collect()
}

/// Whether the answer to an update of a balance shows that it moved, and that its `date_modified` did not, although it would
/// have: the store does not date credit.
pub fn is_undated(sent: &Sent, told: &Attributes<'_>, ahead: TimeDelta) -> bool {
    let money = told.resource().money();
    let moved = money
        .is_some_and(|money| sent.value(money).is_some_and(|value| Some(value) != sent.base.value(money)));
    let (before, now) = (sent.base.modified, told.changed_at());
    moved
        && before.is_some()
        && before == now
        && before.zip(sent.flight).is_some_and(|(at, flight)| flight.would_show(at, ahead))
}

/// The time of a reading that shows another balance than the snapshot, and the same time: if a pull has confirmed the snapshot long
/// after that, the store does not date credit.
pub fn has_moved_undated(known: &Attributes<'_>, told: &Attributes<'_>) -> Option<DateTime<Utc>> {
    let money = told.resource().money()?;
    let has_moved = known.text(money) != told.text(money)
        && known.changed_at_text() == told.changed_at_text()
        && known.tells(money)
        && told.tells(money)
        && !same_balance(&known.get(money), &told.get(money));
    told.changed_at().filter(|_| has_moved)
}

/// What stays on record of an update that ended without being confirmed: each attribute of it whose edits wait again, or wait for
/// a person, once the plan is carried out. `told`: it was read back so.
pub fn on_record(
    dirty: &Dirty,
    sent: &Sent,
    plan: &CustomerPlan,
    told: Option<&Attributes<'_>>,
) -> Vec<Attempt> {
    let Some(flight) = sent.flight else { return Vec::new() };
    let said = last_said(plan);
    // A payment that is held may yet turn out to have landed, also when a person has decided.
    let waits = |op: &Op| {
        said.get(&op.seq).is_some_and(|settlement| match settlement.outcome {
            None | Some(Outcome::Rejected) => true,
            Some(Outcome::Held) => op.field.is_money(),
            _ => false,
        })
    };
    let of_field = |(field, value): &(FieldId, Value)| {
        let flying = dirty.ops_of(*field).filter(|op| sent.covers(op) && waits(op));
        let covers: Vec<EditSeq> = flying.map(|op| op.seq).collect();
        let base = sent.base.value(*field).cloned().unwrap_or_default();
        let attempt = Attempt::of(sent, *field, value, base, covers, flight);
        let is_as_before = |told: &Attributes<'_>| attempt.is_as_before(&told.get(*field), told.changed_at());
        let is_refuted = !sent.may_not_show_yet(*field) && told.is_some_and(is_as_before);
        (!attempt.covers.is_empty()).then_some(Attempt { is_refuted, ..attempt })
    };
    sent.fields.iter().filter_map(of_field).collect()
}

/// What stays on record of an update that the store said yes to `now`: each attribute that its answer does not tell, or that a reading
/// back tells late; all of them where it bears no date, which is what an echo of the question would look like, and by which a reading that lags would be told
/// from news.
pub fn unshown_on_record(
    dirty: &Dirty,
    sent: &Sent,
    plan: &CustomerPlan,
    answer: &Attributes<'_>,
    now: DateTime<Utc>,
) -> Vec<Attempt> {
    let Some(flight) = sent.flight.map(|flight| Flight { applied_by: now, ..flight }) else {
        return Vec::new();
    };
    let is_undated = answer.changed_at_text().is_none();
    let tells = |field: FieldId, value: &Value| answer.tells(field) && !answer.shows_none_of(field, value);
    let untold: Vec<&(FieldId, Value)> = sent
        .fields
        .iter()
        .filter(|(field, value)| match sent.late.is_empty() {
            true => is_undated || !tells(*field, value),
            false => sent.is_late(*field, answer),
        })
        .collect();
    if untold.is_empty() {
        return Vec::new();
    }
    let said = last_said(plan);
    let has_landed = |op: &Op| said.get(&op.seq).is_some_and(|one| one.outcome == Some(Outcome::Uploaded));
    let of_field = |(field, value): &(FieldId, Value)| {
        let base = sent.base.value(*field)?.clone();
        let mut covers: Vec<EditSeq> =
            dirty.ops_of(*field).filter(|op| sent.covers(op) && has_landed(op)).map(|op| op.seq).collect();
        let is_told_by_either = *value == base || covers.is_empty();
        let is_told = tells(*field, value) && !sent.is_late(*field, answer);
        let is_echoed = is_told && answer.get(*field) == *value;
        if is_told && !is_echoed {
            // In its own words: it took it in.
            covers.clear();
        }
        let attempt = Attempt::of(sent, *field, value, base, covers, flight);
        (!is_told_by_either).then_some(Attempt { is_accepted: true, is_echoed, ..attempt })
    };
    untold.into_iter().filter_map(of_field).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;
    use crate::flow::SentBase;

    #[test]
    fn a_reading_proves_that_nothing_landed_when_both_clocks_say_that_a_minute_has_passed() {
        let told = Attributes::parse(
            r#"{"id":1,"store_credit_amounts":[{"amount":50}],"date_modified":"2026-01-01T11:00:00Z"}"#,
        )
        .unwrap();
        let (money, ahead) = (FieldId::STORE_CREDIT_AMOUNTS, TimeDelta::hours(1));
        let sent = Sent { base: SentBase::of(&told, [money]), ..Sent::default() };
        let begin: DateTime<Utc> = "2026-01-01T12:00:00Z".parse().unwrap();
        let flight = Flight { left: begin, applied_by: begin };
        let value = Value::from_json(money.kind(), r#"[{"amount":60}]"#);
        let attempt = Attempt::of(&sent, money, &value, told.get(money), vec![EditSeq(1)], flight);
        let is_disproven = |here: i64, date: Option<i64>| {
            let date = date.map(|seconds| begin + TimeDelta::seconds(seconds) + ahead);
            let now = Moment::new(begin + TimeDelta::seconds(here), ahead).told(date);
            attempt.is_disproven_by(&told, now, ahead)
        };
        assert!(!is_disproven(59, Some(59)) && is_disproven(60, Some(60)) && is_disproven(60, None));
        assert!(!is_disproven(900, Some(59)), "a cache was told within the minute");
        assert!(!is_disproven(-900, Some(-900)), "the till's clock was set back");
    }
}
