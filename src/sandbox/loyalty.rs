//! `/customers/loyalty-cards` and `/customers/loyalty-stamps`: endpoints that no store has, with a few limits, for the resources that
//! prove what a resource is.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::Sandbox;
use super::core::StoreCore;
use super::data::date_text;
use super::http::{Problem, RawRequest, RawResponse};
use super::query::{numbers, parse_date};

/// What an endpoint takes.
struct Endpoint {
    /// Behind the path of the customers.
    path: &'static str,
    /// What names a row in an update.
    key: &'static [&'static str],
    /// What rows are asked for by.
    asked_by: &'static str,
    most_in_a_call: usize,
    text: &'static str,
    longest: usize,
    is_dated: bool,
}

const CARDS: Endpoint = Endpoint {
    path: "/loyalty-cards",
    key: &["id"],
    asked_by: "id",
    most_in_a_call: 4,
    text: "number",
    longest: 20,
    is_dated: true,
};

const STAMPS: Endpoint = Endpoint {
    path: "/loyalty-stamps",
    key: &["customer_id", "campaign_id"],
    asked_by: "customer_id",
    most_in_a_call: 3,
    text: "value",
    longest: 255,
    is_dated: false,
};

type Row = Map<String, Value>;

/// All rows of one endpoint, by their keys.
type Rows = BTreeMap<Vec<i64>, Row>;

/// All rows of both.
#[derive(Clone, Debug, Default)]
pub(super) struct Loyalty {
    cards: Rows,
    stamps: Rows,
}

impl Endpoint {
    fn key_of(&self, row: &Row) -> Vec<i64> {
        self.key.iter().filter_map(|name| row.get(*name)?.as_i64()).collect()
    }

    fn rows<'l>(&self, loyalty: &'l mut Loyalty) -> &'l mut Rows {
        if self.is_dated { &mut loyalty.cards } else { &mut loyalty.stamps }
    }

    fn list(&self, rows: &Rows, query: &str) -> Result<RawResponse, Problem> {
        let wrong = |what: &str| Problem::violation(422, format!("{what} is not valid"));
        let (mut asked, mut since, mut limit, mut page) = (None, 0, 50, 1);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "date_modified:min" if self.is_dated => {
                    since = parse_date(value).ok_or_else(|| wrong(name))?.0;
                }
                "limit" => limit = value.parse().map_err(|_| wrong(name))?,
                "page" => page = value.parse().map_err(|_| wrong(name))?,
                name if name.strip_suffix(":in") == Some(self.asked_by) => {
                    asked = Some(numbers::<i64>(value).ok_or_else(|| wrong(name))?);
                }
                _ => return Err(wrong(name)),
            }
        }
        let is_meant = |row: &&Row| {
            let modified = row.get("date_modified").and_then(Value::as_str).and_then(parse_date);
            let by = row.get(self.asked_by).and_then(Value::as_i64).unwrap_or_default();
            asked.as_ref().is_none_or(|asked| asked.contains(&by))
                && modified.map_or(0, |(at, _)| at) >= since
        };
        let all: Vec<&Row> = rows.values().filter(is_meant).collect();
        let shown: Vec<&&Row> = all.iter().skip((page - 1) * limit).take(limit).collect();
        let pages = all.len().div_ceil(limit).max(1);
        let meta =
            json!({ "pagination": { "total": all.len(), "current_page": page, "total_pages": pages } });
        Ok(RawResponse::json(200, json!({ "data": shown, "meta": meta }).to_string()))
    }

    fn update(&self, rows: &mut Rows, body: &[u8], modified: &str) -> Result<RawResponse, Problem> {
        let given: Vec<Row> = serde_json::from_slice(body)
            .map_err(|error| Problem::violation(422, format!("the body is no array of objects: {error}")))?;
        if given.is_empty() || given.len() > self.most_in_a_call {
            return Err(Problem::violation(413, format!("{} in a call", given.len())));
        }
        for (nth, row) in given.iter().enumerate() {
            self.check(rows, nth, row)?;
        }
        let mut told = Vec::new();
        for row in given {
            let Some(known) = rows.get_mut(&self.key_of(&row)) else { continue };
            known.extend(row);
            self.date(known, modified);
            told.push(known.clone());
        }
        Ok(RawResponse::json(200, json!({ "data": told, "meta": {} }).to_string()))
    }

    fn date(&self, row: &mut Row, modified: &str) {
        if self.is_dated {
            row.insert("date_modified".to_owned(), json!(modified));
        }
    }

    fn check(&self, rows: &Rows, nth: usize, row: &Row) -> Result<(), Problem> {
        let refused = |name: &str, why: &str| Problem {
            errors: vec![(format!("{nth}.{name}"), why.to_owned())],
            ..Problem::plain(422, "it is not valid")
        };
        if !rows.contains_key(&self.key_of(row)) {
            return Err(refused("id", "there is no such thing"));
        }
        for (name, value) in row.iter().filter(|(name, _)| !self.key.contains(&name.as_str())) {
            match (name.as_str(), value) {
                (name, Value::String(text)) if name == self.text && text == "taken" => {
                    return Err(refused(name, "that is taken"));
                }
                (name, Value::String(text)) if name == self.text && text.chars().count() <= self.longest => {}
                ("is_blocked", Value::Bool(_)) if self.is_dated => {}
                _ => return Err(Problem::violation(422, format!("{name} cannot be set to that"))),
            }
        }
        Ok(())
    }
}

impl StoreCore {
    fn loyalty_endpoint(&self, request: &RawRequest) -> Option<&'static Endpoint> {
        let path = request.path.strip_prefix(&self.customers_path())?;
        [&CARDS, &STAMPS].into_iter().find(|endpoint| endpoint.path == path)
    }

    /// Whether a request is for one of these endpoints.
    pub(super) fn is_for_loyalty(&self, request: &RawRequest) -> bool {
        self.loyalty_endpoint(request).is_some()
    }

    pub(super) fn serve_loyalty(
        &mut self,
        now: DateTime<Utc>,
        request: &RawRequest,
    ) -> Result<RawResponse, Problem> {
        let modified = date_text(self.server_clock(now).timestamp());
        let endpoint = self.loyalty_endpoint(request).unwrap_or(&CARDS);
        let rows = endpoint.rows(&mut self.loyalty);
        match request.method.as_str() {
            "GET" => endpoint.list(rows, &request.query),
            "PUT" => endpoint.update(rows, &request.body, &modified),
            method => Err(Problem::violation(405, format!("{method} is not served here"))),
        }
    }
}

impl Sandbox {
    /// Gives a customer a card, or changes one in the back office: these attributes replace the card's, and its date moves.
    pub fn put_card(&self, id: i32, customer_id: i32, attributes: &Value) {
        self.put(&CARDS, json!({ "id": id, "customer_id": customer_id }), attributes);
    }

    /// The same of what a customer has of a campaign, which bears no date.
    pub fn put_stamp(&self, customer_id: i32, campaign_id: i32, value: &str) {
        let names = json!({ "customer_id": customer_id, "campaign_id": campaign_id });
        self.put(&STAMPS, names, &json!({ "value": value }));
    }

    fn put(&self, endpoint: &Endpoint, names: Value, attributes: &Value) {
        self.with_core(|core| {
            let modified = date_text(core.server_clock(Utc::now()).timestamp());
            let names = names.as_object().cloned().unwrap_or_default();
            let row = endpoint.rows(&mut core.loyalty).entry(endpoint.key_of(&names)).or_default();
            row.extend(names);
            row.extend(attributes.as_object().cloned().unwrap_or_default());
            endpoint.date(row, &modified);
        });
    }

    /// Takes a card away in the back office.
    pub fn delete_card(&self, id: i32) {
        self.with_core(|core| core.loyalty.cards.remove(&vec![i64::from(id)]));
    }

    /// The same of what a customer has of a campaign.
    pub fn delete_stamp(&self, customer_id: i32, campaign_id: i32) {
        let key = [customer_id, campaign_id].map(i64::from).to_vec();
        self.with_core(|core| core.loyalty.stamps.remove(&key));
    }

    /// A card as it is.
    pub fn card(&self, id: i32) -> Option<Value> {
        self.with_core(|core| core.loyalty.cards.get(&vec![i64::from(id)]).cloned()).map(Value::Object)
    }

    /// What a customer has of a campaign.
    pub fn stamp(&self, customer_id: i32, campaign_id: i32) -> Option<Value> {
        let key = [customer_id, campaign_id].map(i64::from).to_vec();
        self.with_core(|core| core.loyalty.stamps.get(&key).cloned()).map(Value::Object)
    }
}
