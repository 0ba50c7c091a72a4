//! What becomes of an answer on its way from the store, where a way of being odd is none that the sandbox knows: credit from a
//! cache of its own, form fields that are told late, cursors that die without a word of the API's, one customer who cannot be listed, budgets that are used up,
//! totals that do not fit, answers without a date, and a yes that only repeats what was asked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tillsync::Decimal;
use tillsync::sandbox::{Fault, RawRequest, RawResponse};

use crate::values::amount;
use crate::world::World;

const CREDIT: &str = "store_credit_amounts";
const FORMS: &str = "form_fields";
/// How far a cache of credit is behind, or form fields are, by seed.
const BEHIND_MS: [u64; 3] = [3_000, 12_000, 30_000];
/// With so few calls in a window, a sync brings little.
pub const SCARCE_QUOTA: u32 = 20;
/// Who cannot be listed: one in so many.
const UNLISTABLE_EVERY: i64 = 7;
/// Who alone is more than can be taken in: one in so many.
const HEAVY_EVERY: i64 = 9;
/// A body beyond this many bytes is more than a client takes in, where pages are heavy.
const HEAVY_BYTES: usize = 6_000;

/// What an attribute of customers was before it was changed, and when.
#[derive(Debug)]
pub struct Were<T>(BTreeMap<i64, Vec<(u64, T)>>);

/// An answer as it leaves; none: the line breaks.
pub(crate) struct Twisted {
    pub(crate) response: Option<RawResponse>,
    pub(crate) behind: Behind,
}

/// How far something in an answer is behind the rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behind {
    pub credit_ms: u64,
    pub forms_ms: u64,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(borrow)]
    meta: &'a RawValue,
}

impl<T> Default for Were<T> {
    fn default() -> Were<T> {
        Were(BTreeMap::new())
    }
}

impl<T> Were<T> {
    /// It was this before a change of now.
    fn enter(&mut self, id: i64, now_ms: u64, was: T) {
        self.0.entry(id).or_default().push((now_ms, was));
    }

    /// What it was at a time; none: as it is.
    fn at(&self, id: i64, at_ms: u64) -> Option<&T> {
        self.0.get(&id)?.iter().find(|(changed_ms, _)| *changed_ms > at_ms).map(|(_, was)| was)
    }
}

impl World {
    /// How far credit is behind where it comes from a cache of its own.
    pub fn credit_behind_ms(&self) -> u64 {
        let is_on = self.odd.has("old-credit") && !self.is_calm;
        let nth = self.core.options().seed as usize % BEHIND_MS.len();
        if is_on { BEHIND_MS[nth] } else { 0 }
    }

    /// How late form fields are told that an update has brought.
    pub fn forms_behind_ms(&self) -> u64 {
        let is_on = self.odd.has("late-forms") && !self.is_calm;
        let nth = (self.core.options().seed / 2) as usize % BEHIND_MS.len();
        if is_on { BEHIND_MS[nth] } else { 0 }
    }

    /// How far an attribute may be behind what else a reading tells.
    pub fn behind_ms(&self, field: &str) -> u64 {
        match field {
            CREDIT => self.credit_behind_ms(),
            FORMS => self.forms_behind_ms(),
            _ => 0,
        }
    }

    /// Whether no list shows a customer, nor any page that it would be on.
    fn is_unlistable(&self, id: i64) -> bool {
        self.odd.has("unlistable") && id % UNLISTABLE_EVERY == 3 && !self.is_calm
    }

    /// Whether a customer alone is more than a client takes in, in lists and by id.
    fn is_too_heavy(&self, id: i64) -> bool {
        self.odd.has("heavy-ones") && id % HEAVY_EVERY == 5 && !self.is_calm
    }

    /// Whether an answer to a question is more than a client takes in: with any of those who are that alone; or where pages are
    /// heavy, of whom nobody alone is.
    pub(crate) fn is_too_much(&mut self, body: &[u8]) -> bool {
        let heavy = self.note_unshowable(body, World::is_too_heavy);
        heavy || (self.odd.has("heavy-pages") && body.len() > HEAVY_BYTES && ids(body).len() > 1)
    }

    /// Whether an answer would show one of these; the till that is at work does not get it then, and nobody of them.
    fn note_unshowable(&mut self, body: &[u8], is_one: impl Fn(&World, i64) -> bool) -> bool {
        let these: Vec<i64> = ids(body).into_iter().filter(|id| is_one(self, *id)).collect();
        self.till().told.unshowable.extend(&these);
        !these.is_empty()
    }

    /// An answer of the store's on its way out.
    pub(crate) fn twist(
        &mut self,
        raw: &RawRequest,
        fault: Option<Fault>,
        mut response: RawResponse,
    ) -> Twisted {
        let (is_by_id, is_get) = (raw.query.contains(":in="), raw.method == "GET");
        let is_list = is_get && !is_by_id;
        let is_well = response.status == 200;
        if is_list && response.status == 500 && fault.is_none() && self.odd.has("dead-cursors") {
            return Twisted { response: self.dead_cursor(), behind: Behind::default() };
        }
        if is_list && is_well && self.note_unshowable(&response.body, World::is_unlistable) {
            self.note("   it would show somebody who cannot be listed");
            let is_cut = self.core.options().seed.is_multiple_of(2);
            let body = r#"{"status":500,"title":"something went wrong","errors":{}}"#;
            let response = (!is_cut).then(|| of(500, "application/json", body));
            return Twisted { response, behind: Behind::default() };
        }
        let credit_ms = if is_get && is_well { self.credit_behind_ms() } else { 0 };
        if credit_ms > 0 {
            self.show_old_credit(&mut response, credit_ms);
        }
        // The answer to the update itself may tell them late, too.
        let tells_late = is_well && (is_get || self.core.options().seed.is_multiple_of(2));
        let forms_ms = if tells_late { self.forms_behind_ms() } else { 0 };
        if forms_ms > 0 {
            self.show_old_forms(&mut response, forms_ms);
        }
        if is_by_id && is_well && self.odd.has("odd-counts") && !self.is_calm && self.happens(0.2) {
            miscount(&mut response, self.random.bool());
        }
        // Where calls are few anyway, no number of syncs would ever be enough for the end.
        let leaves_enough = !self.is_calm || self.core.options().quota > SCARCE_QUOTA;
        if is_by_id && is_well && self.odd.has("spent-budget") && leaves_enough && self.happens(0.5) {
            let reset_ms = self.any(&[1_500, 2_500, 10_000, 12_000]);
            self.note(format!("   others have used up the budget, for {reset_ms} ms"));
            set_header(&mut response, "X-Rate-Limit-Requests-Left", "0");
            set_header(&mut response, "X-Rate-Limit-Time-Reset-Ms", &reset_ms.to_string());
        }
        if self.odd.has("no-dates") {
            response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Date"));
        }
        if self.is_bare(fault) && [200, 207].contains(&response.status) {
            let asked = String::from_utf8_lossy(&raw.body);
            let told = if self.odd.has("bare-yes") { only_ids(&asked) } else { asked.into_owned() };
            response.body = format!("{{\"data\":{told},\"meta\":{{}}}}").into_bytes();
        }
        Twisted { response: Some(response), behind: Behind { credit_ms, forms_ms } }
    }

    /// Whether a yes to what was not done only repeats what was asked, or tells less: no date, nothing that could not be known.
    pub(crate) fn is_bare(&self, fault: Option<Fault>) -> bool {
        fault == Some(Fault::Echoed) && (self.odd.has("bare-echoes") || self.odd.has("bare-yes"))
    }

    /// What is said of a cursor that has expired: nothing of the API's.
    fn dead_cursor(&mut self) -> Option<RawResponse> {
        self.note("   its cursor is dead, and the answer none of the store's");
        let html = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>";
        match self.core.options().seed % 4 {
            0 => None,
            1 => Some(of(504, "text/html", html)),
            2 => Some(of(200, "text/html", html)),
            _ => Some(of(503, "application/json", "{}")),
        }
    }

    fn show_old_credit(&mut self, response: &mut RawResponse, behind_ms: u64) {
        let as_of_ms = self.now_ms.saturating_sub(behind_ms);
        let was = |record: &str, id| with_credit(record, *self.old_credit.at(id, as_of_ms)?);
        let behind = as_they_were(response, was);
        if !behind.is_empty() {
            self.note(format!("   credit is told as it was: {behind:?}"));
        }
    }

    fn show_old_forms(&mut self, response: &mut RawResponse, behind_ms: u64) {
        let as_of_ms = self.now_ms.saturating_sub(behind_ms);
        let was = |record: &str, id| with_forms(record, self.old_forms.at(id, as_of_ms)?);
        let behind = as_they_were(response, was);
        if !behind.is_empty() {
            self.note(format!("   form fields are told as they were: {behind:?}"));
        }
    }

    /// An update has brought form fields in the place of those `before`.
    pub fn remember_forms(&mut self, id: i64, before: &serde_json::Value, after: &serde_json::Value) {
        if self.odd.has("late-forms") && before[FORMS] != after[FORMS] {
            let now_ms = self.now_ms;
            self.old_forms.enter(id, now_ms, before[FORMS].clone());
        }
    }

    /// A balance was changed from what it was `before`.
    pub fn remember_credit(&mut self, id: i64, before: &serde_json::Value, after: &serde_json::Value) {
        if let (Some(was), Some(is)) = (amount(&before[CREDIT]), amount(&after[CREDIT]))
            && was != is
        {
            let now_ms = self.now_ms;
            self.old_credit.enter(id, now_ms, was);
        }
    }
}

fn of(status: u16, kind: &str, body: &str) -> RawResponse {
    RawResponse {
        status,
        headers: vec![("Content-Type".to_owned(), kind.to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

/// Of the customers that were asked for, nothing but who they are.
fn only_ids(asked: &str) -> String {
    let all: Vec<serde_json::Value> = serde_json::from_str(asked).unwrap_or_default();
    let ids: Vec<String> = all.iter().map(|customer| format!("{{\"id\":{}}}", customer["id"])).collect();
    format!("[{}]", ids.join(","))
}

fn set_header(response: &mut RawResponse, name: &str, value: &str) {
    response.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    response.headers.push((name.to_owned(), value.to_owned()));
}

fn ids(body: &[u8]) -> Vec<i64> {
    let text = String::from_utf8_lossy(body);
    let list = serde_json::from_str::<List<'_>>(&text);
    list.map(|list| list.data.iter().filter_map(|record| id_of(record.get())).collect()).unwrap_or_default()
}

/// The store writes the id first.
fn id_of(record: &str) -> Option<i64> {
    let digits = record.strip_prefix("{\"id\":")?;
    digits[..digits.find([',', '}'])?].parse().ok()
}

/// Tells customers otherwise, as far as there is something for one. Returns of whom that was.
fn as_they_were(response: &mut RawResponse, was: impl Fn(&str, i64) -> Option<String>) -> Vec<i64> {
    let text = String::from_utf8_lossy(&response.body).into_owned();
    let Ok(List { data, meta }) = serde_json::from_str::<List<'_>>(&text) else { return Vec::new() };
    let mut behind = Vec::new();
    let tell = |record: &&RawValue| {
        let record = record.get();
        let told = id_of(record).and_then(|id| Some((id, was(record, id)?)));
        behind.extend(told.as_ref().map(|(id, _)| *id));
        told.map_or_else(|| record.to_owned(), |(_, told)| told)
    };
    let records: Vec<String> = data.iter().map(tell).collect();
    if !behind.is_empty() {
        response.body = format!("{{\"data\":[{}],\"meta\":{}}}", records.join(","), meta.get()).into_bytes();
    }
    behind
}

/// Where a record tells its form fields.
fn with_forms(record: &str, forms: &serde_json::Value) -> Option<String> {
    let from = record.find(&format!("\"{FORMS}\":"))? + FORMS.len() + 3;
    let mut told = serde_json::Deserializer::from_str(&record[from..]).into_iter::<&RawValue>();
    let length = told.next()?.ok()?.get().len();
    Some(format!("{}{forms}{}", &record[..from], &record[from + length..]))
}

fn with_credit(record: &str, balance: Decimal) -> Option<String> {
    let from = record.find(&format!("\"{CREDIT}\":["))? + CREDIT.len() + 3;
    let to = from + record[from..].find(']')? + 1;
    Some(format!("{}[{{\"amount\":{balance}}}]{}", &record[..from], &record[to..]))
}

/// One more than it shows, or one fewer.
fn miscount(response: &mut RawResponse, is_more: bool) {
    let text = String::from_utf8_lossy(&response.body).into_owned();
    let Some(from) = text.find("\"total\":").map(|at| at + "\"total\":".len()) else { return };
    let to = from + text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
    let Ok(total) = text[from..to].parse::<u64>() else { return };
    let told = if is_more { total + 1 } else { total.saturating_sub(1) };
    if told == ids(&response.body).len() as u64 {
        // One that fits hides that the answer was cut.
        return;
    }
    response.body = format!("{}{told}{}", &text[..from], &text[to..]).into_bytes();
}
