//! `/customers/addresses`: where customers live. An address is what it says: two that say the same are one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::Sandbox;
use super::attributes::Asked;
use super::behaviours::{
    Behaviours, NothingNew, Partial, PhoneInUpdates, ResponseAttributes, Success, UnknownIds,
};
use super::core::StoreCore;
use super::http::{Problem, RawRequest, RawResponse};

const PATH: &str = "/addresses";
/// Addresses in a call, where nothing else is said.
const MOST_IN_A_CALL: usize = 10;
/// Addresses that a list of customers shows of each.
const MOST_SHOWN: usize = 10;
/// Texts, each with its fewest and most characters.
const TEXTS: [(&str, usize, usize); 9] = [
    ("first_name", 1, 255),
    ("last_name", 1, 255),
    ("company", 0, 255),
    ("address1", 0, usize::MAX),
    ("address2", 0, usize::MAX),
    ("city", 0, 100),
    ("state_or_province", 0, 100),
    ("postal_code", 0, 30),
    ("phone", 0, 50),
];
const TYPES: [&str; 2] = ["residential", "commercial"];
const COUNTRIES: [(&str, &str); 6] = [
    ("DE", "Germany"),
    ("ES", "Spain"),
    ("FR", "France"),
    ("GB", "United Kingdom"),
    ("MX", "Mexico"),
    ("US", "United States"),
];
/// What makes two addresses one, besides their texts.
const CONTENT: [&str; 3] = ["customer_id", "country_code", "address_type"];

type Row = Map<String, Value>;

/// All addresses, by their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    rows: BTreeMap<i64, Row>,
}

impl Addresses {
    /// A customer is gone, and the addresses go too.
    pub(super) fn forget(&mut self, customer: i32) {
        self.rows.retain(|_, row| row.get("customer_id") != Some(&json!(customer)));
    }

    /// As a list of customers shows those of one, as JSON: not all, where there are many.
    pub(super) fn shown_of(&self, customer: i32) -> String {
        let theirs = self.rows.values().filter(|row| row.get("customer_id") == Some(&json!(customer)));
        Value::from_iter(theirs.take(MOST_SHOWN).map(|row| shown(row, false))).to_string()
    }

    /// Another one that says what this one says.
    fn has_another(&self, id: i64, row: &Row) -> bool {
        self.rows.iter().any(|(other, known)| *other != id && are_one(known, row))
    }
}

fn are_one(one: &Row, other: &Row) -> bool {
    let says = |row: &Row, name: &str| row.get(name).cloned().unwrap_or_else(|| json!(""));
    let names = TEXTS.iter().map(|(name, ..)| *name).chain(CONTENT);
    names.into_iter().all(|name| says(one, name) == says(other, name))
}

fn shown(row: &Row, with_form_fields: bool) -> Value {
    let told = row.iter().filter(|(name, _)| with_form_fields || *name != "form_fields");
    Value::Object(told.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// What an address has that nothing was said of.
fn blank(id: i32, customer_id: i32) -> Row {
    let row = json!({
        "id": id, "customer_id": customer_id, "first_name": "Ana", "last_name": "Reyes", "company": "",
        "address1": format!("Calle Mayor {id}"), "address2": "", "city": "Madrid", "state_or_province": "Madrid",
        "postal_code": "28013", "country_code": "ES", "country": "Spain", "phone": "", "address_type": "residential",
        "form_fields": [],
    });
    row.as_object().cloned().unwrap_or_default()
}

fn named(code: &str) -> Option<&'static str> {
    COUNTRIES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// What an update sets of one address: what no client should send is a violation.
fn check(nth: usize, given: &Row) -> Result<(), Problem> {
    for (name, value) in given.iter().filter(|(name, _)| *name != "id") {
        let wrong = || Problem::violation(422, format!("{nth}.{name} cannot be set to {value}"));
        let text = value.as_str();
        let is_fine = match (TEXTS.iter().find(|(known, ..)| known == name), name.as_str()) {
            (Some((_, least, most)), _) => {
                text.is_some_and(|text| (*least..=*most).contains(&text.chars().count()))
            }
            (None, "country_code") => text.is_some_and(|code| code.len() == 2),
            (None, "address_type") => text.is_some_and(|kind| TYPES.contains(&kind)),
            (None, "form_fields") => value.is_array(),
            _ => false,
        };
        is_fine.then_some(()).ok_or_else(wrong)?;
    }
    Ok(())
}

impl StoreCore {
    /// Whether a request is for this endpoint.
    pub(super) fn is_for_addresses(&self, request: &RawRequest) -> bool {
        request.path.strip_prefix(&self.customers_path()) == Some(PATH)
    }

    pub(super) fn serve_addresses(
        &mut self,
        now: DateTime<Utc>,
        request: &RawRequest,
    ) -> Result<RawResponse, Problem> {
        match request.method.as_str() {
            "GET" => self.list_addresses(&request.query),
            "PUT" => self.update_addresses(now, &request.body),
            method => Err(Problem::violation(405, format!("{method} of {PATH} is not served here"))),
        }
    }

    fn list_addresses(&self, query: &str) -> Result<RawResponse, Problem> {
        let with_form_fields = query.split('&').any(|pair| pair == "include=formfields");
        let rest: Vec<&str> = query.split('&').filter(|pair| *pair != "include=formfields").collect();
        let asked = Asked::parse(&rest.join("&"), &["id", "customer_id"], false)?;
        let is_meant = |row: &&Row| {
            let is = |by: &str| asked.means(by, row.get(by).and_then(Value::as_i64).unwrap_or_default());
            is("id") && is("customer_id")
        };
        let all = self.addresses.rows.values().filter(is_meant).map(|row| shown(row, with_form_fields));
        let Behaviours { pages, totals, .. } = self.options.behaviours;
        Ok(asked.answer(all.collect(), pages, totals))
    }

    fn update_addresses(&mut self, now: DateTime<Utc>, body: &[u8]) -> Result<RawResponse, Problem> {
        let behaviours = self.options.behaviours;
        let all: Vec<Row> = serde_json::from_slice(body)
            .map_err(|error| Problem::violation(422, format!("the body is no array of objects: {error}")))?;
        let most = match behaviours.addresses_at_most {
            0 => MOST_IN_A_CALL,
            most => most as usize,
        };
        if all.len() > most {
            let many = format!("{} addresses in a call", all.len());
            // How many there may be is not documented: a client learns it.
            let is_told = behaviours.addresses_at_most == 0;
            return Err(if is_told { Problem::violation(413, many) } else { Problem::plain(413, many) });
        }
        all.iter().enumerate().try_for_each(|(nth, given)| check(nth, given))?;
        let against: Vec<_> =
            all.iter().enumerate().map(|(nth, given)| self.judge_address(nth, given)).collect();
        let lands = |nth: usize| match behaviours.partial {
            Partial::Atomic => against.iter().all(Option::is_none),
            Partial::GoodOnesLand => against[nth].is_none(),
            Partial::UntilFirstError => against[..=nth].iter().all(Option::is_none),
        };
        let mut told = Vec::new();
        for (_, given) in all.iter().enumerate().filter(|(nth, _)| lands(*nth)) {
            told.extend(self.update_address(now, given));
        }
        let errors: Vec<_> = against.into_iter().flatten().collect();
        if !errors.is_empty() {
            return Err(Problem { errors, ..Problem::plain(422, "it is not valid") });
        }
        let status = if behaviours.success == Success::MultiStatus { 207 } else { 200 };
        let body = match (told.is_empty(), behaviours.nothing_new) {
            (true, NothingNew::Bare) => json!({}),
            _ => json!({ "data": told, "meta": {} }),
        };
        Ok(RawResponse::json(status, body.to_string()))
    }

    /// As it is told, if anything of it is new.
    fn update_address(&mut self, now: DateTime<Utc>, given: &Row) -> Option<Value> {
        let id = given.get("id")?.as_i64()?;
        let mut row = self.addresses.rows.get(&id)?.clone();
        row.extend(given.clone());
        if let Some(country) = row.get("country_code").and_then(Value::as_str).and_then(named) {
            row.insert("country".to_owned(), json!(country));
        }
        if self.addresses.has_another(id, &row) {
            return None;
        }
        self.addresses.rows.insert(id, row.clone());
        if self.options.behaviours.addresses_date_customers {
            self.touch_owner(now, &row);
        }
        let sent = |name: &str| name == "id" || name == "customer_id" || given.contains_key(name);
        Some(match self.options.behaviours.response {
            ResponseAttributes::OnlyIds => json!({ "id": id }),
            ResponseAttributes::Minimal => {
                row.retain(|name, _| sent(name));
                Value::Object(row)
            }
            ResponseAttributes::Everything => shown(&row, true),
            ResponseAttributes::Usual | ResponseAttributes::EmptyParts => shown(&row, false),
        })
    }

    fn touch_owner(&mut self, now: DateTime<Utc>, row: &Row) {
        let owner = row.get("customer_id");
        let count = self.addresses.rows.values().filter(|row| row.get("customer_id") == owner).count();
        let told = json!({ "address_count": count }).to_string();
        if let Some(owner) = owner.and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok()) {
            _ = self.edit_text(now, owner, &told);
        }
    }

    /// What the store has against an update of an address, if anything: where, and in which words.
    fn judge_address(&self, nth: usize, given: &Row) -> Option<(String, String)> {
        let Behaviours { unknown_ids, phone_in_updates, .. } = self.options.behaviours;
        let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_code = |text: &str| text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase());
        let is_known =
            given.get("id").and_then(Value::as_i64).is_some_and(|id| self.addresses.rows.contains_key(&id));
        let (name, why) = match is_known {
            false if unknown_ids == UnknownIds::Refuse => ("id", "there is no such address"),
            false => return None,
            true if is_code(text("state_or_province")) => {
                ("state_or_province", "it is to be spelled out: codes are not accepted")
            }
            true if given.contains_key("country_code") && named(text("country_code")).is_none() => {
                ("country_code", "there is no such country")
            }
            true if phone_in_updates == PhoneInUpdates::Wanted && !given.contains_key("phone") => {
                ("phone", "phone is required")
            }
            true => return None,
        };
        Some((format!("{nth}.{name}"), why.to_owned()))
    }
}

impl Sandbox {
    /// Gives a customer an address, or changes one in the back office: these attributes replace the address's.
    pub fn put_address(&self, id: i32, customer_id: i32, attributes: &Value) {
        self.with_core(|core| {
            let row = core.addresses.rows.entry(id.into()).or_insert_with(|| blank(id, customer_id));
            row.extend(attributes.as_object().cloned().unwrap_or_default());
        });
    }

    /// Takes an address away in the back office.
    pub fn delete_address(&self, id: i32) {
        self.with_core(|core| core.addresses.rows.remove(&id.into()));
    }

    /// An address as it is.
    pub fn address(&self, id: i32) -> Option<Value> {
        self.with_core(|core| core.addresses.rows.get(&id.into()).cloned()).map(Value::Object)
    }
}
