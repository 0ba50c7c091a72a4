//! The answer to an update: what the server confirms becomes the snapshot, and the edits that it covers settle.

use super::merge::{Sent, merge, written_over};
use super::tidied::has_landed;
use super::{CustomerPlan, Dirty, Policies, is_outdated};
use crate::resource::{Attributes, BadRecord, FieldId, Record, Value};

/// Decides what becomes of a customer whose update was accepted with the record `answer`.
///
/// The answer need not hold every attribute: for those that it lacks, or has an empty list for, what was sent and accepted
/// stands, else what the snapshot had. Attributes that were not sent and differ from the snapshot are remote changes, merged at once.
///
/// # Errors
/// When a record is no customer.
pub fn reconcile(
    dirty: &Dirty,
    sent: &Sent,
    answer: &Record,
    policies: &Policies,
) -> Result<CustomerPlan, BadRecord> {
    let mut now = match &dirty.base {
        Some(base) => base.overlaid(answer)?,
        None => answer.clone(),
    };
    let told = answer.attributes()?;
    let known = dirty.base.as_ref().map(Record::attributes).transpose()?;
    if known.is_some_and(|known| is_outdated(&known, &told, None)) {
        return merge(dirty, &accepted_only(dirty, sent, &told)?, Some(sent), policies);
    }
    let base = dirty.base.as_ref().map(Record::attributes).transpose()?;
    let before = |field| base.as_ref().map_or(Value::Null, |base| base.get(field));
    let expected = |field| sent.value(field).cloned().unwrap_or_else(|| before(field));
    let lacks = |field: &FieldId| !told.tells(*field) || told.shows_none_of(*field, &expected(*field));
    for field in told.resource().columns().filter(lacks) {
        if let Some((_, value)) = sent.fields.iter().find(|(sent, _)| *sent == field) {
            now = now.with(field, &written_over(&before(field), value))?;
        } else if told.has(field) && base.as_ref().is_some_and(|base| base.knows(field)) {
            now = now.keeping(field, &before(field))?;
        }
    }
    let was_told = |field: &FieldId| base.as_ref().is_some_and(|base| base.has(*field));
    if let Some(changed_at) =
        told.resource().changed_at().filter(|field| !told.has(*field) && was_told(field))
    {
        // It was changed just now, and when that was by the server's clock comes with the next pull. What is sent until then
        // must not be taken for changed by somebody else.
        now = now.with(changed_at, &Value::Null)?;
    }
    merge(dirty, &now, Some(sent), policies)
}

/// An answer that is older than what is known is no news: of what was sent it tells that it landed, and how the store tidied it;
/// anything else in it is of before. Where what is known of an attribute is not what the update was computed from, somebody
/// wrote over it since, or the update is in there already: that stands.
fn accepted_only(dirty: &Dirty, sent: &Sent, told: &Attributes<'_>) -> Result<Record, BadRecord> {
    let Some(mut now) = dirty.base.clone() else { return Ok(Record::of(dirty.resource(), "{}")) };
    for (field, value) in &sent.fields {
        let known = now.attributes()?.get(*field);
        if sent.base.value(*field).is_some_and(|base| *base != known) {
            continue;
        }
        let shown = told.get(*field);
        let is_shown = told.tells(*field) && has_landed(*field, &known, value, &shown);
        now = now.with(*field, &if is_shown { shown } else { written_over(&known, value) })?;
    }
    Ok(now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use std::collections::BTreeSet;

    use super::*;
    use crate::flow::merge::SentBase;
    use crate::flow::{Change, Lately, Op, Outcome, SnapshotPlan};
    use crate::resource::{CustomerId, EditSeq, Row};

    fn at(phone: &str, second: u32) -> Record {
        Record::new(format!(
            r#"{{"id":1,"phone":"{phone}","date_modified":"2026-01-01T00:00:{second:02}Z"}}"#
        ))
    }

    /// `phone` in the snapshot when an update to "sent", computed from "before", is answered by a record of second 6.
    fn after_an_older_answer(known: &Record, shown: &str) -> String {
        let snapshot = answered(known, &at("before", 5), &at(shown, 6));
        let phone = FieldId::named("phone").unwrap();
        snapshot.as_ref().unwrap_or(known).attributes().unwrap().get(phone).to_json()
    }

    /// The snapshot when an update of `phone` to "sent", computed from `base`, is answered; none: it stays what is `known`.
    fn answered(known: &Record, base: &Record, answer: &Record) -> Option<Record> {
        let (phone, sent) = (FieldId::named("phone").unwrap(), Value::Text("sent".to_owned()));
        let mut row = Row::of(CustomerId(1), &known.attributes().unwrap());
        row.set(phone, sent.clone());
        let (seq, change) = (EditSeq(1), Change::Set);
        let outcome = Some(Outcome::InFlight);
        let op = Op { seq, field: phone, change, outcome, reject_group: None, at: None, author: None };
        let dirty = Dirty {
            id: CustomerId(1).into(),
            base: Some(known.clone()),
            lately: Lately::default(),
            row,
            unsound: BTreeSet::new(),
            ops: vec![op],
            open: Vec::new(),
            attempts: Vec::new(),
            is_credit_undated: false,
            is_behind: false,
            password: None,
            earlier_passwords: Vec::new(),
            deletion: None,
        };
        let base = SentBase::of(&base.attributes().unwrap(), [phone]);
        let sent =
            Sent { up_to: seq, fields: vec![(phone, sent)], base, is_accepted: true, ..Sent::default() };
        let plan = reconcile(&dirty, &sent, answer, &Policies::default()).unwrap();
        assert_eq!(plan.settle[0].outcome, Some(Outcome::Uploaded));
        match plan.snapshot {
            SnapshotPlan::Put(snapshot) => Some(snapshot),
            _ => None,
        }
    }

    #[test]
    fn what_is_known_is_not_taken_back_by_an_answer_that_is_older() {
        for (known, answered, becomes, why) in [
            ("theirs", "sent", "\"theirs\"", "they wrote over what landed, and that was read since"),
            ("sent", "sent", "\"sent\"", "it was read since"),
            ("before", "sent", "\"sent\"", "what was known bears the time of a clock that is fast"),
            ("before", "Sent ", "\"sent\"", "that is no form of it"),
            ("before", " sent ", "\" sent \"", "the store tidied it"),
            ("before", "long ago", "\"sent\"", "a reading of before: what was accepted stands"),
        ] {
            assert_eq!(after_an_older_answer(&at(known, 9), answered), becomes, "{why}");
        }
    }

    #[test]
    fn an_empty_list_in_an_answer_tells_nothing_of_what_was_not_sent() {
        let forms = r#""form_fields":[{"name":"size","value":"M"}]"#;
        let known = Record::new(format!(r#"{{"id":1,"phone":"before",{forms},"channel_ids":[1,2]}}"#));
        for empty in [r#""form_fields":[]"#, r#""form_fields":null"#, r#""channel_ids":[]"#] {
            let answer = Record::new(format!(r#"{{"id":1,"phone":"sent",{empty}}}"#));
            let snapshot = answered(&known, &at("before", 5), &answer).unwrap();
            let told = snapshot.attributes().unwrap();
            let known = known.attributes().unwrap();
            for field in [FieldId::FORM_FIELDS, FieldId::named("channel_ids").unwrap()] {
                assert_eq!(told.get(field), known.get(field), "{empty}");
            }
        }
    }
}
