//! `/customers/attributes` and `/customers/attribute-values`: what a shop wants to know of its customers, and what it knows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::Sandbox;
use super::behaviours::{Behaviours, Pages, Partial, Success, Totals, UnknownIds, ValueAnswers};
use super::core::StoreCore;
use super::data::date_text;
use super::http::{Problem, RawRequest, RawResponse};
use super::query::{numbers, parse_date};

const DEFINITIONS: &str = "/attributes";
const VALUES: &str = "/attribute-values";
/// Values in a call.
const MOST_IN_A_CALL: usize = 10;
/// Characters of a value.
const LONGEST: usize = 255;
/// Rows on a page.
const MOST_ON_A_PAGE: usize = 250;

/// What a customer has of an attribute.
#[derive(Clone, Debug)]
struct Kept {
    id: i64,
    text: String,
    created: i64,
    modified: i64,
}

/// What there is of both.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    /// Name and type of each, by its id.
    definitions: BTreeMap<i64, (String, String)>,
    /// By customer and attribute.
    values: BTreeMap<(i64, i64), Kept>,
    last_id: i64,
}

/// A value as it is sent.
struct Given {
    key: (i64, i64),
    text: String,
}

impl Attributes {
    fn put(&mut self, key: (i64, i64), text: &str, now: i64) {
        let id = self.values.get(&key).map_or(self.last_id + 1, |kept| kept.id);
        let created = self.values.get(&key).map_or(now, |kept| kept.created);
        self.last_id = self.last_id.max(id);
        self.values.insert(key, Kept { id, text: text.to_owned(), created, modified: now });
    }

    /// A customer is gone, and what the shop knew of them goes too.
    pub(super) fn forget(&mut self, customer: i32) {
        self.values.retain(|(of, _), _| *of != i64::from(customer));
    }

    fn shown(&self, key: (i64, i64), spelled: &str) -> Option<Value> {
        let kept = self.values.get(&key)?;
        Some(json!({
            "id": kept.id, "attribute_id": key.1, spelled: kept.text, "customer_id": key.0,
            "date_modified": date_text(kept.modified), "date_created": date_text(kept.created),
        }))
    }
}

/// What a list is asked for.
pub(super) struct Asked {
    ids: BTreeMap<&'static str, Vec<i64>>,
    since: i64,
    limit: usize,
    page: usize,
}

impl Asked {
    pub(super) fn parse(query: &str, by: &[&'static str], is_dated: bool) -> Result<Asked, Problem> {
        let mut asked = Asked { ids: BTreeMap::new(), since: i64::MIN, limit: 50, page: 1 };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let wrong = || Problem::violation(422, format!("{name} is not valid"));
            let number = || value.parse().ok().filter(|number| *number > 0).ok_or_else(wrong);
            let of = by.iter().find(|by| name.strip_suffix(":in") == Some(**by));
            match (name, of) {
                (_, Some(by)) => _ = asked.ids.insert(by, numbers::<i64>(value).ok_or_else(wrong)?),
                ("date_modified:min", _) if is_dated => asked.since = parse_date(value).ok_or_else(wrong)?.0,
                ("limit", _) => asked.limit = number().map(|limit: usize| limit.min(MOST_ON_A_PAGE))?,
                ("page", _) => asked.page = number()?,
                _ => return Err(wrong()),
            }
        }
        Ok(asked)
    }

    pub(super) fn means(&self, by: &str, id: i64) -> bool {
        self.ids.get(by).is_none_or(|ids| ids.contains(&id))
    }

    pub(super) fn answer(&self, all: Vec<Value>, pages: Pages, totals: Totals) -> RawResponse {
        let size =
            if let Pages::AtMost(most) = pages { self.limit.min(most as usize).max(1) } else { self.limit };
        let shown: Vec<&Value> = all.iter().skip((self.page - 1) * size).take(size).collect();
        let pages = all.len().div_ceil(size).max(1);
        let mut pagination = json!({
            "total": all.len(), "count": shown.len(), "per_page": size,
            "current_page": self.page, "total_pages": pages,
        });
        match totals {
            Totals::Right => {}
            Totals::TooHigh => pagination["total"] = json!(all.len() + 3),
            Totals::TooLow => pagination["total"] = json!(all.len() / 2),
            Totals::Absent => {
                pagination = json!({ "count": shown.len(), "per_page": size, "current_page": self.page });
            }
        }
        let body = json!({ "data": shown, "meta": { "pagination": pagination } });
        RawResponse::json(200, body.to_string())
    }
}

/// Reads the values of an update.
fn given(body: &[u8]) -> Result<Vec<Given>, Problem> {
    let rows: Vec<Map<String, Value>> = serde_json::from_slice(body)
        .map_err(|error| Problem::violation(422, format!("the body is no array of objects: {error}")))?;
    if rows.is_empty() || rows.len() > MOST_IN_A_CALL {
        return Err(Problem::violation(413, format!("{} values in a call", rows.len())));
    }
    rows.iter().enumerate().map(|(nth, row)| one(nth, row)).collect()
}

fn one(nth: usize, row: &Map<String, Value>) -> Result<Given, Problem> {
    let wrong = |name: &str| Problem::violation(422, format!("{nth}.{name} is missing, or not valid"));
    let id = |name: &str| row.get(name).and_then(Value::as_i64).ok_or_else(|| wrong(name));
    let text = row.get("value").and_then(Value::as_str).ok_or_else(|| wrong("value"))?;
    if text.chars().count() > LONGEST {
        return Err(wrong("value"));
    }
    if let Some(name) =
        row.keys().find(|name| !["customer_id", "attribute_id", "value"].contains(&name.as_str()))
    {
        return Err(wrong(name));
    }
    Ok(Given { key: (id("customer_id")?, id("attribute_id")?), text: text.to_owned() })
}

/// Whether a text is one of this type.
fn is_of(kind: &str, text: &str) -> bool {
    match kind {
        "number" => text.is_empty() || text.parse::<f64>().is_ok(),
        "date" => text.is_empty() || parse_date(text).is_some(),
        _ => true,
    }
}

impl StoreCore {
    /// Defines an attribute of customers, or another name or type of one: `string`, `number` or `date`.
    pub fn define_attribute(&mut self, id: i32, name: &str, kind: &str) {
        self.attributes.definitions.insert(id.into(), (name.to_owned(), kind.to_owned()));
    }

    /// Sets what a customer has of an attribute in the back office.
    pub fn put_attribute_value(
        &mut self,
        now: DateTime<Utc>,
        customer_id: i32,
        attribute_id: i32,
        text: &str,
    ) {
        let now = self.server_clock(now).timestamp();
        self.attributes.put((customer_id.into(), attribute_id.into()), text, now);
    }

    /// Takes away what a customer has of an attribute.
    pub fn delete_attribute_value(&mut self, customer_id: i32, attribute_id: i32) {
        self.attributes.values.remove(&(customer_id.into(), attribute_id.into()));
    }

    /// What a customer has of an attribute.
    pub fn attribute_value(&self, customer_id: i32, attribute_id: i32) -> Option<&str> {
        let key = (customer_id.into(), attribute_id.into());
        self.attributes.values.get(&key).map(|kept| kept.text.as_str())
    }

    fn attributes_path<'r>(&self, request: &'r RawRequest) -> Option<&'r str> {
        let path = request.path.strip_prefix(&self.customers_path())?;
        [DEFINITIONS, VALUES].contains(&path).then_some(path)
    }

    /// Whether a request is for one of these endpoints.
    pub(super) fn is_for_attributes(&self, request: &RawRequest) -> bool {
        self.attributes_path(request).is_some()
    }

    pub(super) fn serve_attributes(
        &mut self,
        now: DateTime<Utc>,
        request: &RawRequest,
    ) -> Result<RawResponse, Problem> {
        let path = self.attributes_path(request).unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", DEFINITIONS) => self.list_definitions(&request.query),
            ("GET", _) => self.list_values(&request.query),
            ("PUT", VALUES) => self.put_values(now, &request.body),
            (method, path) => Err(Problem::violation(405, format!("{method} of {path} is not served here"))),
        }
    }

    fn list_definitions(&self, query: &str) -> Result<RawResponse, Problem> {
        let asked = Asked::parse(query, &["id"], false)?;
        let all = self.attributes.definitions.iter().filter(|(id, _)| asked.means("id", **id));
        let shown = all.map(|(id, (name, kind))| json!({ "id": id, "name": name, "type": kind }));
        Ok(asked.answer(shown.collect(), self.options.behaviours.pages, Totals::Right))
    }

    fn list_values(&self, query: &str) -> Result<RawResponse, Problem> {
        let asked = Asked::parse(query, &["customer_id", "attribute_id"], true)?;
        let is_meant = |((customer, attribute), kept): &(&(i64, i64), &Kept)| {
            let is_new = kept.modified >= asked.since;
            is_new && asked.means("customer_id", *customer) && asked.means("attribute_id", *attribute)
        };
        let all = self.attributes.values.iter().filter(is_meant);
        let shown = all.filter_map(|(key, _)| self.attributes.shown(*key, ValueAnswers::Told.spelled()));
        Ok(asked.answer(shown.collect(), self.options.behaviours.pages, Totals::Right))
    }

    fn put_values(&mut self, now: DateTime<Utc>, body: &[u8]) -> Result<RawResponse, Problem> {
        let now = self.server_clock(now).timestamp();
        let Behaviours { partial, success, value_answers, unknown_ids, .. } = self.options.behaviours;
        let all = given(body)?;
        let against: Vec<_> = all.iter().zip(0..).map(|(one, nth)| self.judge(nth, one)).collect();
        let lands = |nth: usize| match partial {
            Partial::Atomic => against.iter().all(Option::is_none),
            Partial::GoodOnesLand => against[nth].is_none(),
            Partial::UntilFirstError => against[..=nth].iter().all(Option::is_none),
        };
        let mut told = Vec::new();
        for (one, _) in all.into_iter().zip(0..).filter(|(_, nth)| lands(*nth)) {
            if unknown_ids == UnknownIds::LeaveOut && !self.has_customer(&one) {
                continue;
            }
            self.attributes.put(one.key, &one.text, now);
            told.push(one.key);
        }
        let errors: Vec<_> = against.into_iter().flatten().collect();
        if !errors.is_empty() {
            return Err(Problem { errors, ..Problem::plain(422, "it is not valid") });
        }
        if value_answers == ValueAnswers::Empty {
            told.clear();
        }
        let shown = told.into_iter().filter_map(|key| self.attributes.shown(key, value_answers.spelled()));
        let status = if success == Success::MultiStatus { 207 } else { 200 };
        let body = json!({ "data": shown.collect::<Vec<_>>(), "meta": {} });
        Ok(RawResponse::json(status, body.to_string()))
    }

    /// What the store has against a value, if anything: where, and in which words.
    fn judge(&self, nth: usize, given: &Given) -> Option<(String, String)> {
        let Behaviours { unknown_ids, value_at_most, .. } = self.options.behaviours;
        let is_too_long = value_at_most > 0 && given.text.chars().count() > value_at_most as usize;
        let (name, why) = match self.attributes.definitions.get(&given.key.1) {
            None => ("attribute_id", "there is no such attribute".to_owned()),
            Some((_, kind)) if !is_of(kind, &given.text) => ("value", format!("that is no {kind}")),
            Some(_) if is_too_long => ("value", format!("it is longer than {value_at_most} characters")),
            Some(_) if unknown_ids == UnknownIds::Refuse && !self.has_customer(given) => {
                ("customer_id", "there is no such customer".to_owned())
            }
            Some(_) => return None,
        };
        Some((format!("{nth}.{name}"), why))
    }

    fn has_customer(&self, given: &Given) -> bool {
        i32::try_from(given.key.0).is_ok_and(|customer| self.book.contains(customer))
    }
}

impl Sandbox {
    /// Defines an attribute of customers, or another name or type of one: `string`, `number` or `date`.
    pub fn define_attribute(&self, id: i32, name: &str, kind: &str) {
        self.with_core(|core| core.define_attribute(id, name, kind));
    }

    /// Takes a definition away, and all values with it.
    pub fn delete_attribute(&self, id: i32) {
        self.with_core(|core| {
            core.attributes.definitions.remove(&id.into());
            core.attributes.values.retain(|(_, attribute), _| *attribute != i64::from(id));
        });
    }

    /// Sets what a customer has of an attribute in the back office.
    pub fn put_attribute_value(&self, customer_id: i32, attribute_id: i32, text: &str) {
        self.with_core(|core| core.put_attribute_value(Utc::now(), customer_id, attribute_id, text));
    }

    /// Takes it away.
    pub fn delete_attribute_value(&self, customer_id: i32, attribute_id: i32) {
        self.with_core(|core| core.delete_attribute_value(customer_id, attribute_id));
    }

    /// What a customer has of an attribute.
    pub fn attribute_value(&self, customer_id: i32, attribute_id: i32) -> Option<String> {
        self.with_core(|core| core.attribute_value(customer_id, attribute_id).map(str::to_owned))
    }
}
