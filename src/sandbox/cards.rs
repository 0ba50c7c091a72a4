//! `/customers/loyalty-cards`: an endpoint that no store has, with a few limits, for the resource that proves what a resource is.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::Sandbox;
use super::core::StoreCore;
use super::data::date_text;
use super::http::{Problem, RawRequest, RawResponse};
use super::query::{numbers, parse_date};

/// Behind the path of the customers.
pub(super) const PATH: &str = "/loyalty-cards";
const MOST_IN_A_CALL: usize = 4;
const LONGEST_NUMBER: usize = 20;

/// All cards, by id.
pub(super) type Cards = BTreeMap<i32, Map<String, Value>>;

impl StoreCore {
    /// Whether a request is for cards.
    pub(super) fn is_for_cards(&self, request: &RawRequest) -> bool {
        request.path.strip_suffix(PATH) == Some(self.customers_path().as_str())
    }

    pub(super) fn serve_cards(
        &mut self,
        now: DateTime<Utc>,
        request: &RawRequest,
    ) -> Result<RawResponse, Problem> {
        match request.method.as_str() {
            "GET" => self.list_cards(&request.query),
            "PUT" => self.update_cards(now, &request.body),
            method => Err(Problem::violation(405, format!("{method} is not served here"))),
        }
    }

    fn list_cards(&self, query: &str) -> Result<RawResponse, Problem> {
        let wrong = |what: &str| Problem::violation(422, format!("{what} is not valid"));
        let (mut ids, mut since, mut limit, mut page) = (None, 0, 50, 1);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "id:in" => ids = Some(numbers(value).ok_or_else(|| wrong(name))?),
                "date_modified:min" => since = parse_date(value).ok_or_else(|| wrong(name))?.0,
                "limit" => limit = value.parse().map_err(|_| wrong(name))?,
                "page" => page = value.parse().map_err(|_| wrong(name))?,
                _ => return Err(wrong(name)),
            }
        }
        let is_meant = |(id, card): &(&i32, &Map<String, Value>)| {
            let modified = card["date_modified"].as_str().and_then(parse_date).map_or(0, |(at, _)| at);
            ids.as_ref().is_none_or(|ids: &Vec<i32>| ids.contains(id)) && modified >= since
        };
        let all: Vec<_> = self.cards.iter().filter(is_meant).map(|(_, card)| card).collect();
        let shown: Vec<_> = all.iter().skip((page - 1) * limit).take(limit).collect();
        let pages = all.len().div_ceil(limit).max(1);
        let meta =
            json!({ "pagination": { "total": all.len(), "current_page": page, "total_pages": pages } });
        Ok(RawResponse::json(200, json!({ "data": shown, "meta": meta }).to_string()))
    }

    fn update_cards(&mut self, now: DateTime<Utc>, body: &[u8]) -> Result<RawResponse, Problem> {
        let given: Vec<Map<String, Value>> = serde_json::from_slice(body)
            .map_err(|error| Problem::violation(422, format!("the body is no array of cards: {error}")))?;
        if given.is_empty() || given.len() > MOST_IN_A_CALL {
            return Err(Problem::violation(413, format!("{} cards in a call", given.len())));
        }
        for (nth, card) in given.iter().enumerate() {
            self.check_card(nth, card)?;
        }
        let modified = json!(date_text(self.server_clock(now).timestamp()));
        let mut told = Vec::new();
        for card in given {
            let Some(known) = id_of(&card).and_then(|id| self.cards.get_mut(&id)) else { continue };
            known.extend(card);
            known.insert("date_modified".to_owned(), modified.clone());
            told.push(known.clone());
        }
        Ok(RawResponse::json(200, json!({ "data": told, "meta": {} }).to_string()))
    }

    fn check_card(&self, nth: usize, card: &Map<String, Value>) -> Result<(), Problem> {
        let refused = |name: &str, why: &str| Problem {
            errors: vec![(format!("{nth}.{name}"), why.to_owned())],
            ..Problem::plain(422, "a card is not valid")
        };
        if id_of(card).is_none_or(|id| !self.cards.contains_key(&id)) {
            return Err(refused("id", "there is no such card"));
        }
        for (name, value) in card {
            match name.as_str() {
                "id" => {}
                "number" if value.as_str().is_some_and(|text| text == "taken") => {
                    return Err(refused(name, "the number is taken"));
                }
                "number" if value.as_str().is_some_and(|text| text.chars().count() <= LONGEST_NUMBER) => {}
                "is_blocked" if value.is_boolean() => {}
                _ => return Err(Problem::violation(422, format!("{name} of a card cannot be set to that"))),
            }
        }
        Ok(())
    }
}

fn id_of(card: &Map<String, Value>) -> Option<i32> {
    i32::try_from(card.get("id")?.as_i64()?).ok()
}

impl Sandbox {
    /// Gives a customer a card, or changes one in the back office: these attributes replace the card's, and its date moves.
    pub fn put_card(&self, id: i32, customer_id: i32, attributes: &Value) {
        self.with_core(|core| {
            let modified = date_text(core.server_clock(Utc::now()).timestamp());
            let card = core.cards.entry(id).or_default();
            card.extend(attributes.as_object().cloned().unwrap_or_default());
            for (name, value) in
                [("id", json!(id)), ("customer_id", json!(customer_id)), ("date_modified", json!(modified))]
            {
                card.insert(name.to_owned(), value);
            }
        });
    }

    /// A card as it is.
    pub fn card(&self, id: i32) -> Option<Value> {
        self.with_core(|core| core.cards.get(&id).cloned()).map(Value::Object)
    }
}
