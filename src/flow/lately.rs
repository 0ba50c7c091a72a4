//! What was known of a customer before what is known now, attribute by attribute, while that change is young.
//!
//! Reads lag behind writes, and a date does not always show it: a store need not date credit and form fields, and a record may come
//! from one place and its credit from another, a cache or a service of its own. So a reading that shows of an attribute exactly what
//! was there *before* a change that is known here, and is younger than a minute, is no news: it is doubted as one that is older than
//! what is known (see `outdated`), and nothing is sent over it. Of credit and form fields that holds whatever date it bears; of what a
//! store dates, unless it is dated later than what is known. An office that really set it back is seen
//! once the minute has passed. The minute is counted from when the till learned of the change, by its own clock and by the store's, and is
//! over when both say so: the till's may have been set ahead since, and no clock of the store's shortens it. Where one of them was set back
//! since, or stands still, it lasts until the same reading has come for two minutes.
//!
//! A cache that is behind may also show what was there before in between, and was never known here. So whatever is other than a credit or a
//! form field that this till itself has changed within that minute is doubted, too: what it paid is in the balance, and a reading that
//! does not hold it would take it back. Where one reading is doubted already, so is whatever is other than one that somebody else changed.
//!
//! Form fields are looked at entry by entry. What was there is kept as a hash: long notes are not kept twice, and nothing of a
//! person's is left behind.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::outdated::{LAGS_AT_MOST, hash, is_outdated};
use super::tidied::{has_landed, is_tidied_entry};
use super::{Moment, Sent};
use crate::resource::{
    Attributes, BadRecord, FieldId, FormValue, Kind, Record, Subject, Value, first_credit,
};

/// So many values of one attribute are remembered: a till that is busy changes one a few times a minute.
const REMEMBERED: usize = 16;
/// For so long they are: a minute in which they are not believed, and another one in which that is asked about again.
const KEPT: TimeDelta = TimeDelta::minutes(2);

/// What each attribute, or entry of form fields, was before it was changed lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lately(BTreeMap<String, Vec<Before>>);

/// A value, as its hash, and when this till learned that it was changed, by its own clock and by the store's; and whether it changed it
/// by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before(String, DateTime<Utc>, #[serde(default)] Option<DateTime<Utc>>, #[serde(default)] bool);

/// A part of a customer: an attribute or an entry of form fields, and what two records say of it.
struct Part {
    subject: Subject,
    sides: [String; 2],
}

impl Lately {
    /// As it stands in the file; what cannot be read is nothing.
    pub fn read(text: Option<&str>) -> Lately {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// As it stands in the file; `None`: there is nothing to remember.
    pub fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// What was known as `before` is known as `after` now. A change is as young as the till knows it: the store's dates and its clock
    /// may be wrong, and credit and form fields need not be dated. `is_own`: this till has changed that attribute itself.
    #[must_use]
    pub fn changed(
        mut self,
        before: &Attributes<'_>,
        after: &Attributes<'_>,
        now: Moment,
        is_own: impl Fn(FieldId) -> bool,
    ) -> Lately {
        self.0.retain(|_, values| {
            values.iter_mut().for_each(|value| value.begin_anew_if_ahead(now));
            values.retain(|value| value.age(now) < KEPT);
            !values.is_empty()
        });
        let is_told = |field: &FieldId| before.knows(*field) && after.tells(*field);
        for field in before.resource().editable_columns().filter(is_told) {
            for Part { subject, sides: [was, _] } in differing(field, before, after) {
                let values = self.0.entry(subject.to_string()).or_default();
                values.push(Before(hash(&was), now.here, Some(now.there), is_own(field)));
                let surplus = values.len().saturating_sub(REMEMBERED);
                values.drain(..surplus);
            }
        }
        self
    }

    /// A reading has come for two minutes by the till's clock as it is now: of changes that lie ahead, since that clock was set back, nobody
    /// waits any longer, nor for the store's.
    pub fn give_up_those_ahead(&mut self, here: DateTime<Utc>) {
        self.0.values_mut().for_each(|values| {
            values.retain(|Before(_, at, ..)| *at <= here);
            values.iter_mut().for_each(|Before(_, _, there, _)| *there = None);
        });
        self.0.retain(|_, values| !values.is_empty());
    }

    /// Whether what is known was learned less than a minute ago: what is older may lag, whatever the store's clock says. What lies
    /// ahead is young: a clock was set back.
    pub fn is_young(&self, now: Moment) -> bool {
        self.0.values().flatten().any(|value| value.age(now) < LAGS_AT_MOST)
    }

    /// Whether a reading shows other credit, or another form field, than one that this till changed less than a minute ago; or anybody,
    /// where a reading like it `is_doubted` already. `except`: as [below](Lately::is_taken_back).
    pub fn is_moved_again(
        &self,
        known: &Attributes<'_>,
        told: &Attributes<'_>,
        now: Moment,
        is_doubted: bool,
        except: &BTreeSet<FieldId>,
    ) -> bool {
        let mut fields = known.resource().editable_columns().filter(|field| !except.contains(field));
        fields.any(|field| self.moved_again(field, known, told, now, is_doubted).next().is_some())
    }

    /// Whether a reading takes back what is `known`: it shows something as it was before a change that is younger than a minute.
    /// `is_doubted`: one like it was seen within that minute, and only another one tells. `except`: attributes of which something
    /// that was sent is still to be judged, by these very readings.
    pub fn is_taken_back(
        &self,
        known: &Attributes<'_>,
        told: &Attributes<'_>,
        now: Moment,
        is_doubted: bool,
        except: &BTreeSet<FieldId>,
    ) -> bool {
        // What a store dates is as new as the date.
        let is_newer = is_outdated(told, known, None);
        let fields = told
            .resource()
            .editable_columns()
            .filter(|field| !except.contains(field) && (!is_newer || field.may_be_undated()));
        !self.0.is_empty()
            && fields.flat_map(|field| self.taken_back(field, known, told, now, is_doubted)).next().is_some()
    }

    /// The answer to an update, or a reading back of one, as far as it is news. What it takes back of attributes that were not sent stays
    /// as it is known, and so does what it shows other of these than this till left it less than a minute ago. What it takes back of those
    /// that were sent stays as it was sent; unless that is what it shows, as it was sent or tidied: what was set back here is no lag. Of
    /// a balance that was sent the answer is the only witness: it stays as told, and so does all that was sent where it is read back.
    /// `except`: attributes of which something that was sent is still to be judged by it. `None`: it takes nothing back.
    ///
    /// # Errors
    /// When a record is no customer.
    pub fn without_lag(
        &self,
        known: &Record,
        answer: &Record,
        sent: &Sent,
        now: Moment,
        except: &BTreeSet<FieldId>,
    ) -> Result<Option<Record>, BadRecord> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (was, told) = (known.attributes()?, answer.attributes()?);
        let mut news: Option<Record> = None;
        for field in was.resource().editable_columns().filter(|field| !except.contains(field)) {
            let mut parts: BTreeSet<Subject> = self.taken_back(field, &was, &told, now, false).collect();
            let shown = told.get(field);
            let stands = match (sent.value(field), field.kind()) {
                (Some(_), Kind::Credit) => continue,
                (Some(_), _) if !sent.is_accepted => continue,
                (Some(value), _) => {
                    let base = sent.base.value(field).cloned().unwrap_or_default();
                    parts.retain(|part| !is_as_sent(field, part, &base, value, &shown));
                    value.clone()
                }
                (None, _) => {
                    parts.extend(self.moved_again(field, &was, &told, now, false));
                    was.get(field)
                }
            };
            let value = with_parts(shown.clone(), &stands, &parts);
            if !parts.is_empty() && value != shown {
                news = Some(news.as_ref().unwrap_or(answer).with(field, &value)?);
            }
        }
        Ok(news)
    }

    fn taken_back(
        &self,
        field: FieldId,
        known: &Attributes<'_>,
        told: &Attributes<'_>,
        now: Moment,
        is_doubted: bool,
    ) -> impl Iterator<Item = Subject> {
        let most = if is_doubted { KEPT } else { LAGS_AT_MOST };
        let parts = self.told_of_remembered(field, known, told);
        parts.into_iter().filter_map(move |Part { subject, sides: [_, shown] }| {
            let (values, shown) = (self.0.get(&subject.to_string())?, hash(&shown));
            let is_it = |value: &Before| value.0 == shown && value.age(now) < most;
            values.iter().any(is_it).then_some(subject)
        })
    }

    fn moved_again(
        &self,
        field: FieldId,
        known: &Attributes<'_>,
        told: &Attributes<'_>,
        now: Moment,
        is_doubted: bool,
    ) -> impl Iterator<Item = Subject> {
        let counts = move |value: &Before| (value.3 || is_doubted) && value.age(now) < LAGS_AT_MOST;
        let is_moved = move |subject: &Subject| {
            self.0.get(&subject.to_string()).is_some_and(|values| values.iter().any(counts))
        };
        let parts =
            if field.may_be_undated() { self.told_of_remembered(field, known, told) } else { Vec::new() };
        parts.into_iter().map(|part| part.subject).filter(is_moved)
    }

    /// The parts of an attribute of which a reading tells something else than is known, where anything of it was changed lately.
    fn told_of_remembered(&self, field: FieldId, known: &Attributes<'_>, told: &Attributes<'_>) -> Vec<Part> {
        let is_remembered =
            self.0.keys().any(|word| Subject::named(word).and_then(|one| one.field()) == Some(field));
        let is_told = is_remembered && told.tells(field) && !told.hides(field, known);
        if is_told { differing(field, known, told) } else { Vec::new() }
    }
}

impl Before {
    /// How long ago, by the clock that says less: the other may have been set ahead.
    fn age(&self, now: Moment) -> TimeDelta {
        let Before(_, here, there, _) = self;
        let by_the_stores = there.map(|there| now.there - there);
        by_the_stores.map_or(now.here - *here, |age| age.min(now.here - *here))
    }

    /// What lies ahead was learned before that clock was set back: when, nobody knows; its minute begins anew.
    fn begin_anew_if_ahead(&mut self, now: Moment) {
        self.1 = self.1.min(now.here);
        self.2 = self.2.map(|there| there.min(now.there));
    }
}

/// The parts of an attribute of which two records say different things.
fn differing(field: FieldId, one: &Attributes<'_>, other: &Attributes<'_>) -> Vec<Part> {
    if one.text(field) == other.text(field) {
        return Vec::new();
    }
    let none = BTreeMap::new();
    let values = [one.get(field), other.get(field)];
    let entries = values.each_ref().map(|value| match value {
        Value::Forms(entries) => Some(entries),
        Value::Null if field.has_entries() => Some(&none),
        _ => None,
    });
    if let [Some(one), Some(other)] = entries {
        let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        let differs = |name: &&String| one.get(*name) != other.get(*name);
        let json = |value: Option<&FormValue>| value.map(FormValue::to_json).unwrap_or_default();
        let part = |name: &String| Part {
            subject: Subject::entry(field, name),
            sides: [one, other].map(|side| json(side.get(name))),
        };
        return names.into_iter().filter(differs).map(part).collect();
    }
    let spelled = values.map(|value| match value {
        Value::Credit(_) => first_credit(&value).normalize().to_string(),
        value => value.to_json(),
    });
    match spelled[0] == spelled[1] {
        true => Vec::new(),
        false => vec![Part { subject: Subject::Field(field), sides: spelled }],
    }
}

/// Whether an answer shows this part of an attribute as it was sent, or tidied.
fn is_as_sent(field: FieldId, part: &Subject, base: &Value, sent: &Value, shown: &Value) -> bool {
    match (part.entry_name(), sent, shown) {
        (Some(name), Value::Forms(sent), Value::Forms(shown)) => {
            is_tidied_entry(sent.get(name), shown.get(name))
        }
        _ => has_landed(field, base, sent, shown),
    }
}

/// A value, with these parts of it as another one has them.
fn with_parts(value: Value, other: &Value, parts: &BTreeSet<Subject>) -> Value {
    match (value, other) {
        (Value::Forms(mut entries), Value::Forms(others)) => {
            for name in parts.iter().filter_map(Subject::entry_name) {
                match others.get(name) {
                    Some(other) => _ = entries.insert(name.to_owned(), other.clone()),
                    None => _ = entries.remove(name),
                }
            }
            Value::Forms(entries)
        }
        _ => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;
    use crate::flow::SentBase;

    fn at(seconds: i64) -> Moment {
        Moment::new(here(seconds), TimeDelta::zero())
    }

    fn here(seconds: i64) -> DateTime<Utc> {
        "2026-01-01T12:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
    }

    fn record(members: &str) -> Record {
        Record::new(format!("{{\"id\":1,{members}}}"))
    }

    fn changed(lately: Lately, before: &Record, after: &Record, now: Moment) -> Lately {
        lately.changed(&before.attributes().unwrap(), &after.attributes().unwrap(), now, |_| false)
    }

    #[track_caller]
    fn check(lately: &Lately, known: &Record, told: &str, seconds: i64, is_taken_back: bool) {
        let (told, none) = (record(told), BTreeSet::new());
        let [one, other] = [known, &told].map(|record| record.attributes().unwrap());
        let found = lately.is_taken_back(&one, &other, at(seconds), false, &none);
        assert_eq!(found, is_taken_back, "{} at {seconds}", told.body());
    }

    const OLD: &str = r#""date_modified":"2026-01-01T00:00:00Z""#;

    #[test]
    fn what_was_before_a_young_change_takes_it_back_and_nothing_else_does() {
        let credit = |amount: &str| format!("\"store_credit_amounts\":[{{\"amount\":{amount}}}],{OLD}");
        let [before, between, after] = ["100.00", "110", "115"].map(|amount| record(&credit(amount)));
        let lately = changed(Lately::default(), &before, &between, at(0));
        let lately = changed(lately, &between, &after, at(10));
        check(&lately, &after, &credit("100"), 20, true);
        check(&lately, &after, &credit("110"), 20, true);
        check(&lately, &after, &credit("115.0"), 20, false);
        check(&lately, &after, &credit("120"), 20, false);
        check(&lately, &after, &credit("100"), 60, false);
        check(&lately, &after, &credit("110"), 60, true);
        check(&lately, &after, &credit("110"), 70, false);
        check(&lately, &after, "\"store_credit_amounts\":[]", 20, false);
        check(&lately, &after, "\"phone\":\"5\"", 20, false);
        assert_eq!(Lately::read(lately.text().as_deref()), lately, "as it was written");
        let (one, none) = (after.attributes().unwrap(), BTreeSet::new());
        let told = record(&credit("110"));
        let told = told.attributes().unwrap();
        assert!(
            lately.is_taken_back(&one, &told, at(100), true, &none),
            "once doubted it is asked about again"
        );
        let credit = BTreeSet::from([FieldId::STORE_CREDIT_AMOUNTS]);
        assert!(!lately.is_taken_back(&one, &told, at(20), false, &credit), "what was sent is judged by it");
        assert_eq!(changed(lately, &after, &after, at(300)), Lately::default(), "and forgotten");
    }

    #[test]
    fn what_this_till_has_changed_is_not_given_up_for_a_third_value_within_a_minute() {
        let credit =
            |amount: &str| record(&format!("\"store_credit_amounts\":[{{\"amount\":{amount}}}],{OLD}"));
        let [before, after, third] = ["100", "110", "170"].map(credit);
        let [before, after, third] = [&before, &after, &third].map(|record| record.attributes().unwrap());
        for is_own in [true, false] {
            let lately = Lately::default().changed(&before, &after, at(0), |_| is_own);
            let is_moved = |told, seconds: i64, is_doubted: bool| {
                lately.is_moved_again(&after, told, at(seconds), is_doubted, &BTreeSet::new())
            };
            assert_eq!((is_moved(&third, 59, false), is_moved(&third, 60, false)), (is_own, false));
            assert!(is_moved(&third, 59, true) && !is_moved(&after, 59, true));
            assert_eq!(Lately::read(lately.text().as_deref()), lately);
        }
    }

    #[test]
    fn a_change_is_as_young_as_the_till_knows_it() {
        let [before, after] = ["1", "2"].map(|phone| record(&format!("\"phone\":\"{phone}\",{OLD}")));
        let lately = changed(Lately::default(), &before, &after, at(0));
        check(&lately, &after, "\"phone\":\"1\"", 59, true);
        check(&lately, &after, "\"phone\":\"1\"", 60, false);
        assert!(lately.is_young(at(59)) && !lately.is_young(at(60)) && !Lately::default().is_young(at(0)));
        // The till's clock was set back: that makes no change old, and the next one counts from then on.
        check(&lately, &after, "\"phone\":\"1\"", -900, true);
        assert!(lately.is_young(at(-900)));
        let mut given_up = lately.clone();
        given_up.give_up_those_ahead(here(-900));
        assert_eq!(given_up, Lately::default(), "what has come for two minutes is the truth");
        let third = record(&format!("\"phone\":\"3\",{OLD}"));
        let lately = changed(lately, &after, &third, at(-900));
        check(&lately, &third, "\"phone\":\"1\"", -841, true);
        check(&lately, &third, "\"phone\":\"1\"", -840, false);
    }

    #[test]
    fn a_minute_is_over_when_both_clocks_say_so() {
        let [before, after] = ["1", "2"].map(|phone| record(&format!("\"phone\":\"{phone}\",{OLD}")));
        let lately = changed(Lately::default(), &before, &after, at(0));
        let is_young = |lately: &Lately, seconds: i64, ahead: i64| {
            lately.is_young(Moment::new(here(seconds), TimeDelta::seconds(ahead)))
        };
        assert!(is_young(&lately, 900, -841) && !is_young(&lately, 900, -840), "the till's was set ahead");
        assert!(is_young(&lately, 59, 900), "the store's jumped");
        assert!(is_young(&lately, 900, -7_200), "the store's was set back");
        assert!(lately.is_young(at(900).told(Some(here(30)))) && !lately.is_young(at(900).told(None)));
        let mut given_up = lately.clone();
        given_up.give_up_those_ahead(here(900));
        assert!(!is_young(&given_up, 900, -890), "what has come for two minutes is the truth");
        let of_before = Lately::read(Some(r#"{"phone":[["1","2026-01-01T12:00:00Z"]]}"#));
        assert!(is_young(&of_before, 59, 0) && !is_young(&of_before, 60, -30), "it knew one clock");
    }

    #[test]
    fn what_a_store_dates_is_as_new_as_the_date() {
        let at_noon = |members: &str, second: u32| {
            format!("{members},\"date_modified\":\"2026-01-01T12:00:{second:02}Z\"")
        };
        for (before, after, is_taken_back) in [
            (r#""phone":"1""#, r#""phone":"2""#, false),
            (r#""store_credit_amounts":[{"amount":1}]"#, r#""store_credit_amounts":[{"amount":2}]"#, true),
            (
                r#""form_fields":[{"name":"a","value":"1"}]"#,
                r#""form_fields":[{"name":"a","value":"2"}]"#,
                true,
            ),
        ] {
            let [was, known] = [(before, 1), (after, 2)].map(|(members, at)| record(&at_noon(members, at)));
            let lately = changed(Lately::default(), &was, &known, at(2));
            check(&lately, &known, &at_noon(before, 3), 3, is_taken_back);
            check(&lately, &known, &at_noon(before, 2), 3, true);
        }
    }

    #[test]
    fn form_fields_are_looked_at_entry_by_entry() {
        let forms = |size: &str, color: &str| {
            format!(
                "\"form_fields\":[{{\"name\":\"size\",\"value\":\"{size}\"}},{{\"name\":\"c\",\"value\":\"{color}\"}}]"
            )
        };
        let [before, after] = [("M", "blue"), ("L", "blue")].map(|(size, color)| record(&forms(size, color)));
        let lately = changed(Lately::default(), &before, &after, at(0));
        check(&lately, &after, &forms("M", "red"), 2, true);
        check(&lately, &after, &forms("L", "red"), 2, false);
        check(&lately, &after, &forms("S", "blue"), 2, false);
        // One that is new here, and not there yet.
        let after = record(&forms("M", "blue").replace(']', ",{\"name\":\"x\",\"value\":\"1\"}]"));
        let lately = changed(Lately::default(), &before, &after, at(0));
        check(&lately, &after, &forms("M", "blue"), 2, true);
        // An answer is news but for the entry that it takes back.
        let told = record(&forms("M", "red"));
        let news =
            lately.without_lag(&after, &told, &Sent::default(), at(2), &BTreeSet::new()).unwrap().unwrap();
        let Value::Forms(entries) = news.attributes().unwrap().get(FieldId::FORM_FIELDS) else { panic!() };
        let entries: Vec<(&str, String)> =
            entries.iter().map(|(name, value)| (name.as_str(), value.to_json())).collect();
        assert_eq!(
            entries,
            [("c", "\"red\"".to_owned()), ("size", "\"M\"".to_owned()), ("x", "\"1\"".to_owned())]
        );
    }

    /// What an answer is news as, to an update of `field` from what is known to `sent`.
    fn news(lately: &Lately, known: &Record, field: FieldId, sent: &Record, told: &Record) -> Option<String> {
        let sent = Sent {
            fields: vec![(field, sent.attributes().unwrap().get(field))],
            base: SentBase::of(&known.attributes().unwrap(), [field]),
            is_accepted: true,
            ..Sent::default()
        };
        let news = lately.without_lag(known, told, &sent, at(2), &BTreeSet::new()).unwrap();
        news.map(|news| news.attributes().unwrap().get(field).to_json())
    }

    #[test]
    fn an_answer_that_shows_what_was_set_back_here_is_no_lag() {
        let phone = |phone: &str| record(&format!("\"phone\":\"{phone}\",{OLD}"));
        let lately = changed(Lately::default(), &phone("1"), &phone("2"), at(0));
        let of = |sent: &str, told: &str| {
            news(&lately, &phone("2"), FieldId::named("phone").unwrap(), &phone(sent), &phone(told))
        };
        assert_eq!(of("1", "1"), None);
        assert_eq!(of("3", "3"), None);
        assert_eq!(of("3", "1").as_deref(), Some("\"3\""), "it lags, and the store said yes");
        let email = |email: &str| record(&format!("\"email\":\"{email}\",{OLD}"));
        let lately = changed(Lately::default(), &email("a@x.com"), &email("b@x.com"), at(0));
        let of =
            |told: &str| news(&lately, &email("b@x.com"), FieldId::EMAIL, &email("A@x.com"), &email(told));
        assert_eq!(of("a@x.com"), None, "tidied");
        let forms = |size: &str, color: &str| {
            record(&format!(
                "\"form_fields\":[{{\"name\":\"size\",\"value\":\"{size}\"}},{{\"name\":\"c\",\"value\":\"{color}\"}}]"
            ))
        };
        let lately = changed(Lately::default(), &forms("M", "blue"), &forms("L", "red"), at(0));
        let of =
            |told: &Record| news(&lately, &forms("L", "red"), FieldId::FORM_FIELDS, &forms("M", "red"), told);
        assert_eq!(of(&forms("M", "red")), None);
        let as_sent = forms("M", "red").attributes().unwrap().get(FieldId::FORM_FIELDS).to_json();
        assert_eq!(of(&forms("M", "blue")), Some(as_sent), "the other entry lags");
    }
}
