//! The line between a till and the store: what is on its way, what becomes of it, and what the till hears.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde_json::{Map, Value};
use tillsync::sandbox::{EmptyLists, Fault, Handled, RawRequest, RawResponse, Totals};
use tillsync::{Answer, RateHeaders, Remote, Request, Ticket, Trouble};

use crate::invariants::Deed;
use crate::twists::Behind;
use crate::values::{amount, lenient, newest};
use crate::world::{Shared, World};

/// A request that takes longer is given up by the client.
const TIMEOUT_MS: u64 = 30_000;
/// A broken connection leaves a request that may still be applied: within this time, and only if it holds an adjustment,
/// whose grace is longer. What is later than that is the one window that no client can close. A reading that lags would
/// not see it yet: so much less time it has.
const APPLY_WITHIN_MS: u64 = 4_000;
/// A body beyond this many bytes does not come in time where the line is slow.
const SLOW_LINE_BYTES: usize = 12_000;

pub(crate) enum Event {
    Arrive(Ticket, RawRequest),
    ApplyLate(Ticket, RawRequest),
    Deliver(Ticket, Result<Answer, Trouble>, Option<Served>),
    /// The shopper spends so much.
    Spend(i64, tillsync::Decimal),
    /// The office writes one of these attributes.
    Office(i32, Vec<String>),
}

/// How a list came about.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// The store as it was at this time is what is told.
    as_of_ms: u64,
    /// By so much less new are its credit and its form fields.
    behind: Behind,
    /// When it was told.
    served_ms: u64,
    /// Who was asked for by id.
    ids: Vec<i64>,
    is_by_id: bool,
    /// It is the first page of a list.
    is_first: bool,
    /// It is a page of a list of everybody.
    is_of_all: bool,
    /// It is told by its number, and somebody is hidden at a time: who comes and goes moves the others to another page.
    is_shifting: bool,
    /// It lacks somebody, and gives no sign of that.
    is_a_lie: bool,
}

impl World {
    /// Lets all that is on its way arrive: what a dead process sent is with the store before anybody comes back.
    pub fn settle(&mut self) {
        // Nobody is there to hear an answer.
        self.events.retain(|_, event| !matches!(event, Event::Deliver(..)));
        while let Some(((at_ms, _), event)) = self.events.pop_first() {
            self.now_ms = self.now_ms.max(at_ms);
            self.happen(event);
            self.events.retain(|_, event| !matches!(event, Event::Deliver(..)));
        }
        self.on_its_way.clear();
    }

    /// What left before the machine fell asleep is with the store long before it wakes; what it hears of that waits.
    pub fn arrive_until(&mut self, until_ms: u64) {
        let is_due = |((at_ms, nth), event): (&(u64, u64), &Event)| {
            (*at_ms <= until_ms && !matches!(event, Event::Deliver(..))).then_some((*at_ms, *nth))
        };
        while let Some(due) = self.events.iter().find_map(is_due) {
            self.now_ms = self.now_ms.max(due.0);
            if let Some(event) = self.events.remove(&due) {
                self.happen(event);
            }
        }
        self.now_ms = self.now_ms.max(until_ms);
    }

    fn start(&mut self, ticket: Ticket, request: &Request) {
        let (is_put, is_post) = (request.method() == "PUT", request.method() == "POST");
        self.on_its_way.insert(ticket, is_put || is_post);
        if self.on_its_way.values().filter(|is_put| **is_put).count() > 3 {
            self.problems.push("more than three updates at once".to_owned());
        }
        self.note(format!("-> {} {} {}", ticket.0 & 0xffff_ffff, request.query(), request.body()));
        let path = self.path_of(request);
        crate::walk_ins::follow_up(self);
        if path != self.core.customers_path() {
            self.of_attributes.insert(ticket);
        } else if is_post {
            self.of_walk_ins.insert(ticket);
            self.tell(&Deed::CreationLeaves { ticket, body: request.body() });
        } else if let Request::ByIdentity { values, .. } = request {
            self.of_walk_ins.insert(ticket);
            self.tell(&Deed::LooksFor { ticket, emails: values });
        } else {
            self.tell(&Deed::Leaves { ticket, query: &request.query(), body: request.body() });
        }
        if self.weather.is_down {
            let trouble = Trouble::Offline("connection refused".to_owned());
            return self.later(3, Event::Deliver(ticket, Err(trouble), None));
        }
        let raw = match request.method() {
            "PUT" => RawRequest::put(path, request.body()).with_header("Content-Type", "application/json"),
            "POST" => RawRequest::post(path, request.body()).with_header("Content-Type", "application/json"),
            _ => RawRequest::get(path, request.query()),
        };
        let token = self.core.token().to_owned();
        let raw = raw.with_header("X-Auth-Token", &token).with_header("User-Agent", "tillsync/simulated");
        let raw = raw.with_header("Accept", "application/json");
        let transit_ms = self.random.u64(1..150);
        self.later(transit_ms, Event::Arrive(ticket, raw));
        let why = "timed out".to_owned();
        let too_much = Err(Trouble::TooMuch { why, begun: Vec::new() });
        self.later(TIMEOUT_MS, Event::Deliver(ticket, too_much, None));
    }

    /// The engine's next answer, or the end of its patience.
    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let until_ms = wait.map(|wait| self.now_ms + wait.as_millis() as u64);
        if until_ms.is_none() && self.on_its_way.is_empty() {
            return None;
        }
        loop {
            let due = self.events.first_key_value().map(|((at_ms, _), _)| *at_ms);
            match due {
                Some(at_ms) if until_ms.is_none_or(|until_ms| at_ms <= until_ms) => {}
                _ => {
                    self.now_ms = self.now_ms.max(until_ms?);
                    return None;
                }
            }
            let ((at_ms, _), event) = self.events.pop_first()?;
            self.now_ms = self.now_ms.max(at_ms);
            if let Some(delivered) = self.happen(event) {
                return Some(delivered);
            }
        }
    }

    fn happen(&mut self, event: Event) -> Option<(Ticket, Result<Answer, Trouble>)> {
        match event {
            Event::Arrive(ticket, raw) => {
                self.arrive(ticket, &raw);
                None
            }
            Event::ApplyLate(ticket, raw) => {
                self.note("   a dropped request is applied after all");
                if self.is_of_attributes(&raw) {
                    let now = self.now();
                    self.values_land(&raw, |world| world.core.apply_late(now, &raw));
                    return None;
                }
                let apply = |world: &mut World| {
                    let now = world.now();
                    world.core.apply_late(now, &raw);
                };
                match raw.method == "POST" {
                    true => self.making(&raw, apply),
                    false => self.landing(ticket, &raw, apply),
                }
                None
            }
            Event::Spend(id, amount) => {
                crate::people::spend(self, id, amount);
                None
            }
            Event::Office(id, fields) => {
                crate::people::office_writes(self, id, &fields);
                None
            }
            Event::Deliver(ticket, answer, served) => {
                self.on_its_way.remove(&ticket)?;
                let said = match &answer {
                    Ok(answer) => format!("{} {}", answer.status, excerpt(&answer.body)),
                    Err(trouble) => format!("{trouble:?}"),
                };
                self.note(format!("<- {} {said}", ticket.0 & 0xffff_ffff));
                if self.of_attributes.remove(&ticket) {
                    if let Ok(answer) = &answer {
                        self.told_of_attributes(answer);
                    }
                    return Some((ticket, answer));
                }
                if self.of_walk_ins.remove(&ticket) {
                    self.tell(&Deed::HeardOfWalkIns { ticket, answer: &answer });
                    // Of waits, and of the token, it tells what any answer does.
                    if answer.as_ref().is_ok_and(|answer| answer.status < 300) {
                        return Some((ticket, answer));
                    }
                    self.tell(&Deed::Answered { ticket, answer: &answer, as_of_ms: None });
                    return Some((ticket, answer));
                }
                let as_of_ms = served.as_ref().map(|served| served.as_of_ms);
                if let (Ok(answer), Some(served)) = (&answer, served) {
                    self.told(answer, &served);
                }
                self.tell(&Deed::Answered { ticket, answer: &answer, as_of_ms });
                Some((ticket, answer))
            }
        }
    }

    /// A till was told of customers.
    fn told(&mut self, answer: &Answer, served: &Served) {
        let (run, as_of_ms) = (self.runs, served.as_of_ms);
        let body = lenient(&String::from_utf8_lossy(&answer.body));
        let records = newest(&body["data"]);
        let everybody = self.core.ids().into_iter().map(i64::from);
        let lacks =
            |id: &i64| served.is_a_lie || self.is_overlooked(*id) || self.is_hidden(*id, served.served_ms);
        let lacking: Vec<i64> = everybody.filter(|id| !served.is_by_id && lacks(id)).collect();
        let is_hidden = |id: &&i64| self.is_hidden(**id, served.served_ms) && answer.status < 300;
        let hidden: Vec<i64> = lacking.iter().chain(&served.ids).filter(is_hidden).copied().collect();
        let (now_ms, run_began_ms) = (self.now_ms, self.run_began_ms);
        let is_right =
            answer.date.is_some_and(|date| (date - self.at(served.served_ms)).abs() < TimeDelta::seconds(3));
        let everybody: Vec<i64> = self.core.ids().into_iter().map(i64::from).collect();
        let is_calm = self.is_calm;
        let till = &mut self.till().told;
        if served.is_first && !served.is_by_id {
            till.shown.clear();
        }
        if served.is_first && served.is_of_all && is_calm {
            till.unshowable.clear();
        }
        if !served.is_by_id {
            till.shown.extend(records.iter().filter_map(|record| record["id"].as_i64()));
        }
        if served.is_shifting && answer.status < 300 {
            till.unlisted.extend(everybody.into_iter().filter(|id| !till.shown.contains(id)));
        }
        if served.is_first && !served.is_by_id && answer.status < 300 && is_right {
            till.right_dates = till.right_dates.map(|right| right + 1);
        }
        // That it was told to be gone counts, also where that was not so.
        let told_absent = if served.is_a_lie { [&lacking[..], &served.ids].concat() } else { hidden };
        told_absent.iter().for_each(|id| till.is_told_absent(*id, now_ms));
        // Who is hidden by now was on an earlier page of this list.
        let lacking: Vec<i64> = lacking.into_iter().filter(|id| !till.shown.contains(id)).collect();
        till.unlisted.extend(&lacking);
        // Whom a list of everybody lacks is asked for by id.
        till.blind.extend(lacking.into_iter().filter(|_| !served.is_of_all));
        if !served.is_by_id && answer.status < 300 {
            // Where only some reads lag, a later page may be of an earlier time.
            let before_ms = till.listed_ms.filter(|_| !served.is_first).unwrap_or(as_of_ms);
            till.listed_ms = Some(before_ms.min(as_of_ms));
        }
        for record in records {
            let Some(id) = record["id"].as_i64() else { continue };
            let (behind, by_id) = (served.behind, served.is_by_id.then_some(run));
            till.reads.entry(id).or_default().enter(record, as_of_ms, behind, now_ms, by_id);
            till.blind.remove(&id);
            if !served.is_by_id {
                till.unlisted.remove(&id);
                till.unshowable.remove(&id);
            }
            // What an answer did not show is remembered for as long as a run, whatever else shows it there.
            if till.absences.get(&id).is_some_and(|(_, last_ms)| *last_ms < run_began_ms) {
                till.absences.remove(&id);
            }
        }
    }

    fn arrive(&mut self, ticket: Ticket, raw: &RawRequest) {
        if self.is_of_attributes(raw) {
            return self.arrive_at_attributes(ticket, raw);
        }
        let is_put = raw.method != "GET";
        if raw.method == "PUT" {
            self.somebody_is_faster(raw);
        }
        let fault = self.fault(raw);
        if let Some(fault) = fault {
            self.note(format!("   fault {fault}"));
        }
        if fault == Some(Fault::Echoed) && !self.is_bare(fault) {
            self.echoes(ticket, raw);
        }
        if self.is_bare(fault) && self.odd.has("bare-yes") {
            self.others_come(raw);
        }
        let handle = |world: &mut World| {
            let now = world.now();
            world.core.handle_with(now, raw, fault)
        };
        let Handled { response, delay_ms, cut_after_bytes, apply_after_ms, .. } = match raw.method.as_str() {
            "POST" => self.making(raw, handle),
            "PUT" => self.landing(ticket, raw, handle),
            _ => handle(self),
        };
        if let Some(ms) = apply_after_ms {
            self.later(ms, Event::ApplyLate(ticket, raw.clone()));
        }
        let back_ms = self.random.u64(1..150) + delay_ms;
        let twisted = response.map(|response| self.twist(raw, fault, response));
        let behind = twisted.as_ref().map(|twisted| twisted.behind).unwrap_or_default();
        let served = (!is_put).then(|| Served { behind, ..self.served(raw, fault) });
        match (twisted.and_then(|twisted| twisted.response), cut_after_bytes) {
            (None, _) => {
                let broken = Err(Trouble::Broken("connection reset".to_owned()));
                self.later(back_ms, Event::Deliver(ticket, broken, None));
            }
            (Some(_), Some(_)) if self.random.bool() => {
                let broken = Err(Trouble::Broken("closed early".to_owned()));
                self.later(back_ms, Event::Deliver(ticket, broken, None));
            }
            (Some(response), cut) => {
                let is_too_slow = self.odd.has("slow-line") && response.body.len() > SLOW_LINE_BYTES;
                if !is_put && self.is_too_much(&response.body) {
                    let (why, begun) =
                        ("more than can be taken in".to_owned(), response.body[..200].to_vec());
                    self.later(back_ms, Event::Deliver(ticket, Err(Trouble::TooMuch { why, begun }), None));
                } else if !is_too_slow {
                    self.later(back_ms, Event::Deliver(ticket, Ok(answer(&response, cut)), served));
                }
            }
        }
    }

    /// An update is going to be answered as if it was applied.
    fn echoes(&mut self, ticket: Ticket, raw: &RawRequest) {
        let objects: Vec<Map<String, Value>> = serde_json::from_slice(&raw.body).unwrap_or_default();
        for object in objects {
            let id = object["id"].as_i64().unwrap_or_default();
            let fields = object.keys().filter(|name| *name != "id");
            self.echoed.extend(fields.map(|field| (id, field.clone())));
            self.tell(&Deed::MayHaveLanded { ticket, id });
        }
    }

    fn served(&self, raw: &RawRequest, fault: Option<Fault>) -> Served {
        let behaviours = self.core.options().behaviours;
        let is_by_id = raw.query.contains(":in=");
        let named = raw.query.split('&').find_map(|pair| pair.strip_prefix("id:in="));
        let ids = named.into_iter().flat_map(|ids| ids.split([',', '%'])).filter_map(|id| id.parse().ok());
        let ids = ids.collect();
        // One customer is asked for to hear of the total, or of the time: that is no list.
        let is_first = !["after=", "&page="].iter().any(|word| raw.query.contains(word))
            && !raw.query.starts_with("limit=1&");
        let is_a_lie = match fault {
            Some(Fault::EmptyList | Fault::NoContent) => true,
            // Said twice, that is an empty list.
            Some(Fault::EmptyBody) => !is_by_id,
            // A list without anybody that is a 204 tells no total either.
            Some(Fault::OneOverlooked | Fault::CutList) => {
                behaviours.totals != Totals::Right || behaviours.empty_lists == EmptyLists::NoContent
            }
            _ => false,
        };
        let lag_ms = if self.core.has_lagged() { self.lag_ms() } else { 0 };
        let served_ms = self.now_ms;
        let is_of_all = !is_by_id && !raw.query.contains("date_modified");
        Served {
            as_of_ms: served_ms.saturating_sub(lag_ms),
            behind: Behind::default(),
            served_ms,
            ids,
            is_by_id,
            is_first,
            is_of_all,
            is_shifting: raw.query.contains("&page=") && behaviours.hides_every > 0,
            is_a_lie,
        }
    }

    /// Applies an update, or not, and tells of every customer whom it reached.
    fn landing<T>(&mut self, ticket: Ticket, raw: &RawRequest, apply: impl FnOnce(&mut World) -> T) -> T {
        let objects: Vec<Map<String, Value>> = serde_json::from_slice(&raw.body).unwrap_or_default();
        let ids: Vec<i64> = objects.iter().filter_map(|object| object["id"].as_i64()).collect();
        let before: Vec<Option<Value>> = ids.iter().map(|id| self.customer(*id)).collect();
        let counts = self.core.stats();
        let done = apply(self);
        let unchanged = self.core.stats().customers_unchanged - counts.customers_unchanged;
        let after: Vec<Option<Value>> = ids.iter().map(|id| self.customer(*id)).collect();
        let same = before.iter().zip(&after).filter(|(before, after)| before == after).count() as u64;
        for ((object, id), (before, after)) in objects.iter().zip(&ids).zip(before.iter().zip(&after)) {
            let (Some(before), Some(after)) = (before, after) else { continue };
            // A customer that is as before was reached all the same where all of those were.
            if before != after || (unchanged > 0 && unchanged == same) {
                self.remember_credit(*id, before, after);
                self.remember_forms(*id, before, after);
                self.tell(&Deed::Lands { ticket, id: *id, sent: object, before, after });
                self.granted(*id, before, after);
            } else if unchanged > 0 {
                self.tell(&Deed::MayHaveLanded { ticket, id: *id });
            }
        }
        done
    }

    /// What was granted may be spent before anybody reads it back.
    fn granted(&mut self, id: i64, before: &Value, after: &Value) {
        let balances = amount(&before["store_credit_amounts"]).zip(amount(&after["store_credit_amounts"]));
        let Some(granted) = balances.map(|(before, after)| after - before) else { return };
        if granted > tillsync::Decimal::ZERO && self.odd.has("shopper") && self.happens(0.5) {
            let in_ms = self.random.u64(1..6_000);
            self.later(in_ms, Event::Spend(id, granted));
        }
    }

    /// The office writes within the minute what an update did not; of form fields, whichever entry.
    fn others_come(&mut self, raw: &RawRequest) {
        for (id, fields) in named(raw) {
            if self.happens(0.7) {
                let in_ms = self.random.u64(6_000..55_000);
                self.later(in_ms, Event::Office(id, fields));
            }
        }
    }

    /// The office writes what an update is about to write, between the till's look and the update's landing.
    fn somebody_is_faster(&mut self, raw: &RawRequest) {
        let chance = self.weather.office;
        if !self.happens(chance) {
            return;
        }
        let named = named(raw);
        if named.is_empty() {
            return;
        }
        let (id, fields) = named[self.random.usize(..named.len())].clone();
        crate::people::office_writes(self, id, &fields);
    }

    fn fault(&mut self, raw: &RawRequest) -> Option<Fault> {
        let is_put = raw.method != "GET";
        let is_first = !is_put && self.till().told.reads.is_empty();
        if is_first && self.odd.has("wrong-first-date") && self.happens(1.0) {
            let seconds = self.any(&[-86_400, -600, 5, 600, 86_400, 3_155_760_000]);
            return Some(Fault::WrongDate { seconds });
        }
        if let Some(seconds) = self.wrong_date(raw) {
            if !raw.query.contains(":in=") {
                self.ahead_ms = u64::try_from(seconds).ok().filter(|s| *s <= 600).map(|s| s * 1_000);
            }
            return Some(Fault::WrongDate { seconds });
        }
        if self.odd.has("told-twice") && !self.is_calm && self.happens(0.2) {
            return Some(Fault::ToldTwice);
        }
        let chance = self.weather.faults;
        if !self.happens(chance) {
            return None;
        }
        let mut faults = self.usual_faults();
        if is_put {
            let applied = self.any(&[500, 502, 503, 504]);
            faults.extend([
                Fault::MissingIds,
                Fault::SkippedIds,
                Fault::MultiStatus,
                Fault::AppliedThenStatus(applied),
            ]);
            if raw.method == "POST" {
                let ms = self.random.u64(0..APPLY_WITHIN_MS);
                faults.extend([Fault::DelayedApply { ms }, Fault::Ignored]);
            } else if String::from_utf8_lossy(&raw.body).contains("store_credit_amounts") {
                let ms = self
                    .random
                    .u64(0..APPLY_WITHIN_MS.saturating_sub(self.lag_ms() + self.credit_behind_ms()).max(1));
                faults.push(Fault::DelayedApply { ms });
            }
        }
        faults.extend(self.odd_faults(is_put));
        if raw.method == "POST" {
            // Who somebody is nobody else says.
            faults.retain(|fault| *fault != Fault::ThirdValue);
        }
        Some(faults[self.random.usize(..faults.len())])
    }

    /// By how much the `Date` at the beginning of a list is off. Not of two in a row, nor soon after the till's clock was set: the
    /// one before is a witness, by the time that passed here.
    fn wrong_date(&mut self, raw: &RawRequest) -> Option<i64> {
        let is_behind = ["after=", "&page="].iter().any(|word| raw.query.contains(word));
        if raw.method != "GET" || is_behind || !self.odd.has("wrong-dates") || self.is_calm {
            return None;
        }
        let is_wrong = if raw.query.contains(":in=") {
            self.happens(0.1)
        } else {
            let right = self.till().told.right_dates;
            let is_wrong = right.is_none_or(|right| right > 1) && self.happens(0.3);
            if is_wrong {
                self.till().told.right_dates = Some(0);
            }
            is_wrong
        };
        is_wrong.then(|| self.any(&[-600, -5, 5, 20, 90, 600, 86_400, 3_155_760_000]))
    }

    fn usual_faults(&mut self) -> Vec<Fault> {
        let status = self.any(&[401, 403, 404, 409, 413, 423, 429, 499, 500, 502, 503, 504, 507]);
        vec![
            Fault::LostRequest,
            Fault::Reset,
            Fault::LostAnswer,
            Fault::DelayedAnswer { ms: self.random.u64(0..40_000) },
            Fault::Truncated,
            Fault::Html,
            Fault::HtmlUnavailable,
            Fault::EmptyBody,
            Fault::Status(status),
        ]
    }

    /// Those that an oddity brings, twice as likely as any other.
    fn odd_faults(&mut self, is_put: bool) -> Vec<Fault> {
        let of_lists: [(&'static str, Fault); 5] = [
            ("overlooked-ones", Fault::OneOverlooked),
            ("overlooked-ones", Fault::CutList),
            ("empty-lists", Fault::EmptyList),
            ("empty-lists", Fault::NoContent),
            ("no-credit", Fault::NoCredit),
        ];
        let refusal = self.any(&[400, 401, 403, 404, 409, 413, 422, 429]);
        let of_updates = [
            ("applied-refusals", Fault::AppliedThenStatus(refusal)),
            ("crowd", Fault::Crowded),
            ("old-answers", Fault::StaleAnswer),
            ("ignored-updates", Fault::Ignored),
            ("echoes", Fault::Echoed),
            ("bare-echoes", Fault::Echoed),
            ("bare-yes", Fault::Echoed),
            ("busy-office", Fault::ThirdValue),
        ];
        let mut some: Vec<(&'static str, Fault)> = vec![("gatekeepers", Fault::HtmlForbidden)];
        some.extend_from_slice(if is_put { &of_updates } else { &of_lists });
        let on = some.into_iter().filter(|(name, _)| self.odd.has(name)).map(|(_, fault)| fault);
        on.flat_map(|fault| [fault, fault]).collect()
    }
}

/// Whom an update is about, and which attributes.
fn named(raw: &RawRequest) -> Vec<(i32, Vec<String>)> {
    let objects: Vec<Map<String, Value>> = serde_json::from_slice(&raw.body).unwrap_or_default();
    let named = |object: &Map<String, Value>| {
        let id = i32::try_from(object["id"].as_i64()?).ok()?;
        let fields: Vec<String> = object.keys().filter(|name| *name != "id").cloned().collect();
        Some((id, fields))
    };
    objects.iter().filter_map(named).collect()
}

pub(crate) fn answer(response: &RawResponse, cut: Option<usize>) -> Answer {
    let number = |name: &str| response.header(name).and_then(|text| text.parse::<u64>().ok());
    let body = &response.body[..cut.unwrap_or(response.body.len()).min(response.body.len())];
    Answer {
        status: response.status,
        rate: RateHeaders {
            window_ms: number("X-Rate-Limit-Time-Window-Ms"),
            reset_ms: number("X-Rate-Limit-Time-Reset-Ms"),
            quota: number("X-Rate-Limit-Requests-Quota"),
            left: number("X-Rate-Limit-Requests-Left"),
            retry_after_ms: number("X-Retry-After").map(|seconds| seconds * 1_000),
        },
        date: response
            .header("Date")
            .and_then(|date| Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc())),
        body: body.to_vec(),
        sends_to: None,
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.len() > 300 {
        format!("{}…", text.chars().take(300).collect::<String>())
    } else {
        text.into_owned()
    }
}

impl Remote for Shared {
    fn start(&mut self, ticket: Ticket, request: Request) {
        self.call();
        self.lock().start(ticket, &request);
        self.call();
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        // Who only has a look holds pages open, for no time at all: on one thread, an edit would wait for it for ever.
        let takes_time = wait != Some(Duration::ZERO);
        if takes_time {
            self.wait();
        }
        let delivered = self.lock().next(wait);
        if takes_time {
            self.call();
        }
        delivered
    }
}
