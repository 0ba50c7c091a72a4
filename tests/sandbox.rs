//! The sandbox over real HTTP: every rule of the remote contract, every switch, every fault.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)] // helpers of tests fail the test

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use common::soon;
use serde_json::{Value, json};
use tillsync::sandbox::{
    Behaviours, DateBounds, ErrorKeys, Fault, Faults, FormFieldWrites, Partial, Place, RawRequest,
    ResponseAttributes, Sandbox, SandboxOptions, StoreCore, Tidying, TooManyRequests, UnknownIds,
};

// ---------------------------------------------------------------- a client

struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn ids(&self) -> Vec<i64> {
        self.json()["data"].as_array().unwrap().iter().map(|each| each["id"].as_i64().unwrap()).collect()
    }

    fn error_keys(&self) -> Vec<String> {
        self.json()["errors"].as_object().unwrap().keys().cloned().collect()
    }
}

struct Client {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(&'static str, String)>,
}

impl Client {
    fn of(sandbox: &Sandbox) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .user_agent("till/1");
        Self {
            agent: config.build().into(),
            url: format!("{}/stores/{}/v3/customers", sandbox.url(), sandbox.store_hash()),
            headers: vec![
                ("X-Auth-Token", sandbox.token().to_owned()),
                ("Content-Type", "application/json".to_owned()),
                ("Accept", "application/json".to_owned()),
            ],
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.headers.push((name, value.to_owned()));
        }
        self
    }

    fn try_get(&self, query: &str) -> Result<Answer, ureq::Error> {
        let mut request = self.agent.get(format!("{}?{query}", self.url));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        read(request.call()?)
    }

    fn try_put(&self, body: &str) -> Result<Answer, ureq::Error> {
        let mut request = self.agent.put(&self.url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        read(request.send(body)?)
    }

    fn get(&self, query: &str) -> Answer {
        self.try_get(query).unwrap()
    }

    fn put(&self, body: impl ToString) -> Answer {
        self.try_put(&body.to_string()).unwrap()
    }
}

fn read(response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let (head, mut body) = response.into_parts();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, text: body.read_to_string()? })
}

fn start(options: SandboxOptions) -> (Sandbox, Client) {
    let sandbox = Sandbox::start(SandboxOptions { quota: options.quota.max(1), ..options }).unwrap();
    let client = Client::of(&sandbox);
    (sandbox, client)
}

/// A store of twenty customers and a quota that is never reached.
fn small() -> (Sandbox, Client) {
    start(options())
}

fn options() -> SandboxOptions {
    SandboxOptions { customers: 20, quota: 100_000, ..SandboxOptions::default() }
}

fn behaving(behaviours: Behaviours) -> (Sandbox, Client) {
    start(SandboxOptions { behaviours, ..options() })
}

fn phone(sandbox: &Sandbox, id: i32) -> String {
    sandbox.customer(id).unwrap()["phone"].as_str().unwrap().to_owned()
}

// ---------------------------------------------------------------- updates

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let (sandbox, client) = small();
    let before = sandbox.customer(3).unwrap();
    let answer = client.put(r#"[{"id":3,"phone":"555","store_credit_amounts":[{"amount":999999999.99}]}]"#);
    assert_eq!((answer.status, answer.json()["meta"].clone()), (200, json!({})));

    let told = &answer.json()["data"][0];
    assert_eq!((&told["id"], &told["phone"]), (&json!(3), &json!("555")));
    assert!(told.get("store_credit_amounts").is_none() && told.get("form_fields").is_none());

    let mut expected = before.clone();
    expected["phone"] = json!("555");
    expected["store_credit_amounts"] = json!([{"amount": 999999999.99}]);
    expected["date_modified"] = told["date_modified"].clone();
    assert_eq!(sandbox.customer(3).unwrap(), expected);
    assert_ne!(before["date_modified"], told["date_modified"]);
    assert!(sandbox.customer_text(3).unwrap().contains(r#"[{"amount":999999999.99}]"#));
    assert_eq!(sandbox.requests()[0].ids, [3]);
    assert!(sandbox.violations().is_empty());
}

#[test]
fn an_update_that_changes_nothing_leaves_the_date_alone() {
    let (sandbox, client) = small();
    let before = sandbox.customer(3).unwrap();
    client.put(json!([{"id": 3, "phone": before["phone"]}]));
    assert_eq!(sandbox.customer(3).unwrap(), before);
    assert_eq!(sandbox.stats().customers_unchanged, 1);
}

#[test]
fn form_fields_are_set_by_name_or_all_at_once() {
    for (writes, expected) in [
        (FormFieldWrites::MergeByName, json!([["a", "x"], ["b", 12.5], ["c", ["p", "q"]]])),
        (FormFieldWrites::ReplaceAll, json!([["b", 12.5], ["c", ["p", "q"]]])),
    ] {
        let (sandbox, client) = behaving(Behaviours { form_fields: writes, ..Behaviours::default() });
        sandbox.edit(2, json!({"form_fields": [{"name": "a", "value": "x", "customer_id": 2}]}));
        client.put(r#"[{"id":2,"form_fields":[{"name":"b","value":12.5},{"name":"c","value":["p","q"]}]}]"#);
        let listed = client.get("id:in=2&include=formfields").json();
        let fields = listed["data"][0]["form_fields"].as_array().unwrap();
        let pairs: Vec<Value> = fields.iter().map(|field| json!([field["name"], field["value"]])).collect();
        assert_eq!(json!(pairs), expected, "{writes:?}");
        assert!(fields.iter().all(|field| field["customer_id"] == 2));
    }
}

#[test]
fn passwords_are_taken_and_never_told() {
    let (sandbox, client) = small();
    let body = r#"[{"id":2,"authentication":{"force_password_reset":true,"new_password":"s3cret!"}}]"#;
    let answer = client.put(body);
    assert_eq!(answer.json()["data"][0]["authentication"], json!({"force_password_reset": true}));
    assert_eq!((sandbox.password_changes(2), sandbox.last_password(2).as_deref()), (1, Some("s3cret!")));
    let everything = client.get("include=storecredit,formfields,addresses,attributes").text;
    assert!(!everything.contains("s3cret!") && !sandbox.customer_text(2).unwrap().contains("s3cret!"));
}

#[test]
fn what_breaks_a_rule_is_refused_and_counted() {
    let eleven: Vec<Value> = (1..=11).map(|id| json!({"id": id, "phone": "1"})).collect();
    for (status, body) in [
        (400, "[{\"id\":1,".to_owned()),
        (422, "{\"id\":1,\"phone\":\"1\"}".to_owned()),
        (422, "[]".to_owned()),
        (422, "[5]".to_owned()),
        (413, json!(eleven).to_string()),
        (422, json!([{"phone": "1"}]).to_string()),
        (422, json!([{"id": "1", "phone": "1"}]).to_string()),
        (422, json!([{"id": 3_000_000_000_i64, "phone": "1"}]).to_string()),
        (422, json!([{"id": 1, "phone": "1"}, {"id": 1, "company": "x"}]).to_string()),
        (422, json!([{"id": 1}]).to_string()),
        (422, r#"[{"id":1,"phone":"1","phone":"2"}]"#.to_owned()),
        (422, json!([{"id": 1, "origin_channel_id": 1}]).to_string()),
        (422, json!([{"id": 1, "registration_ip_address": "1.1.1.1"}]).to_string()),
        (422, json!([{"id": 1, "addresses": []}]).to_string()),
        (422, json!([{"id": 1, "loyalty_tier": "gold"}]).to_string()),
        (422, json!([{"id": 1, "channel_ids": null}]).to_string()),
        (422, json!([{"id": 1, "phone": "5".repeat(51)}]).to_string()),
    ] {
        let (sandbox, client) = small();
        let before = sandbox.customer(1);
        assert_eq!(client.put(&body).status, status, "{body}");
        assert_eq!(sandbox.violations().len(), 1, "{body}: {:?}", sandbox.violations());
        assert_eq!(sandbox.customer(1), before, "{body}");
    }
}

#[test]
fn what_a_client_cannot_know_is_refused_and_not_counted() {
    let (sandbox, client) = small();
    let taken = sandbox.customer(5).unwrap()["email"].as_str().unwrap().to_uppercase();
    let answer = client.put(json!([{"id": 1, "phone": "1"}, {"id": 2, "email": taken}]));
    assert_eq!((answer.status, answer.error_keys()), (422, vec!["1.email".to_owned()]));
    let answer =
        client.put(json!([{"id": 1, "email": "same@example.com"}, {"id": 2, "email": "Same@example.com"}]));
    assert_eq!((answer.status, answer.error_keys()), (422, vec!["1.email".to_owned()]));
    let answer = client.put(json!([{"id": 1, "phone": "1"}, {"id": 999, "phone": "1"}]));
    assert_eq!((answer.status, answer.error_keys()), (422, vec!["1.id".to_owned()]));
    assert_ne!(phone(&sandbox, 1), "1", "one bad customer fails the whole call");
    assert_eq!(sandbox.violations(), Vec::<String>::new());

    let own = sandbox.customer(5).unwrap()["email"].as_str().unwrap().to_uppercase();
    assert_eq!(client.put(json!([{"id": 5, "email": own}])).status, 200, "the case of one's own may change");
}

#[test]
fn what_lands_beside_a_bad_customer_is_a_switch() {
    for (partial, expected) in [
        (Partial::Atomic, [false, false]),
        (Partial::GoodOnesLand, [true, true]),
        (Partial::UntilFirstError, [true, false]),
    ] {
        let (sandbox, client) = behaving(Behaviours { partial, ..Behaviours::default() });
        let body = json!([{"id": 1, "phone": "new"}, {"id": 999, "phone": "new"}, {"id": 2, "phone": "new"}]);
        assert_eq!(client.put(body).status, 422);
        assert_eq!([1, 2].map(|id| phone(&sandbox, id) == "new"), expected, "{partial:?}");
    }
}

#[test]
fn the_other_switches_of_an_update() {
    for (error_keys, key) in [
        (ErrorKeys::Indexed, "0.email"),
        (ErrorKeys::Named, "email"),
        (ErrorKeys::General, ".customer_update"),
    ] {
        let (_sandbox, client) = behaving(Behaviours { error_keys, ..Behaviours::default() });
        assert_eq!(client.put(json!([{"id": 1, "email": "nowhere"}])).error_keys(), [key]);
    }
    for (response, has_date, has_credit) in [
        (ResponseAttributes::Usual, true, false),
        (ResponseAttributes::Everything, true, true),
        (ResponseAttributes::Minimal, false, false),
    ] {
        let (_sandbox, client) = behaving(Behaviours { response, ..Behaviours::default() });
        let told = client.put(r#"[{"id":1,"phone":"1","store_credit_amounts":[{"amount":1}]}]"#).json();
        let told = told["data"][0].as_object().unwrap().clone();
        assert_eq!(
            (told.contains_key("date_modified"), told.contains_key("store_credit_amounts")),
            (has_date, has_credit)
        );
    }
    let (sandbox, client) = behaving(Behaviours {
        tidying: Tidying::USUAL,
        unknown_ids: UnknownIds::LeaveOut,
        ..Behaviours::default()
    });
    let answer = client
        .put(json!([{"id": 1, "phone": " 5 ", "email": "ANA@Example.com "}, {"id": 999, "phone": "5"}]));
    assert_eq!((answer.status, answer.ids()), (200, vec![1]));
    assert_eq!(
        (phone(&sandbox, 1), &sandbox.customer(1).unwrap()["email"]),
        ("5".into(), &json!("ana@example.com"))
    );

    let (sandbox, client) = start(SandboxOptions { max_customers_per_update: 1, ..options() });
    assert_eq!(client.put(json!([{"id": 1, "phone": "5"}, {"id": 2, "phone": "5"}])).status, 413);
    assert!(sandbox.violations().is_empty(), "a limit that is not the documented one cannot be known");
}

// ---------------------------------------------------------------- who may, and how

#[test]
fn tokens_paths_and_headers_are_checked() {
    let (sandbox, _) = start(SandboxOptions { read_only_token: Some("reader".into()), ..options() });
    let client = || Client::of(&sandbox);
    let body = r#"[{"id":1,"phone":"5"}]"#;
    assert_eq!(client().with("X-Auth-Token", "").get("").status, 401);
    assert_eq!(client().with("X-Auth-Token", "wrong").put(body).status, 401);
    assert_eq!(client().with("X-Auth-Token", "reader").get("").status, 200);
    assert_eq!(client().with("X-Auth-Token", "reader").put(body).status, 403);
    let mut elsewhere = client();
    elsewhere.url = elsewhere.url.replace("/sandbox/", "/other/");
    assert_eq!(elsewhere.get("").status, 404);
    assert!(sandbox.violations().is_empty(), "none of these is the client's doing");

    assert_eq!(client().with("Content-Type", "text/plain").put(body).status, 415);
    assert_eq!(client().with("Accept", "text/html").get("").status, 406);
    elsewhere.url = sandbox.url() + "/stores/sandbox/v3/customers/consent";
    assert_eq!(elsewhere.get("").status, 404);
    assert_eq!(client().get("colour=red").status, 422);
    assert_eq!(client().get("limit=251").status, 422);
    let plain = format!(
        "GET /stores/sandbox/v3/customers HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {}\r\nConnection: close\r\n\r\n",
        sandbox.token()
    );
    let mut nameless = TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
    nameless.write_all(plain.as_bytes()).unwrap();
    assert!(String::from_utf8_lossy(&read_all(&mut nameless)).starts_with("HTTP/1.1 200"));
    assert_eq!(sandbox.violations().len(), 6, "{:?}", sandbox.violations());
}

fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn every_answer_tells_the_rate_and_the_time() {
    let (sandbox, client) = start(SandboxOptions { quota: 10, ..options() });
    sandbox.set_clock_offset(TimeDelta::days(3));
    let answer = client.get("limit=1");
    let header = |name| answer.header(name).unwrap().parse::<u64>().unwrap();
    assert_eq!(header("X-Rate-Limit-Time-Window-Ms"), 30_000);
    assert_eq!((header("X-Rate-Limit-Requests-Quota"), header("X-Rate-Limit-Requests-Left")), (10, 9));
    assert!((1..=30_000).contains(&header("X-Rate-Limit-Time-Reset-Ms")));
    let date = DateTime::parse_from_rfc2822(answer.header("Date").unwrap()).unwrap();
    assert!((date.to_utc() - Utc::now() - TimeDelta::days(3)).num_seconds().abs() <= 1);
}

#[test]
fn beyond_the_quota_a_call_is_refused_until_the_window_ends() {
    thread::scope(|at_once| {
        for (too_many_requests, headers) in [
            (TooManyRequests::AllHeaders, [true, true]),
            (TooManyRequests::RetryAfterOnly, [false, true]),
            (TooManyRequests::Bare, [false, false]),
        ] {
            at_once.spawn(move || is_refused_until_the_window_ends(too_many_requests, headers));
        }
    });
}

fn is_refused_until_the_window_ends(too_many_requests: TooManyRequests, headers: [bool; 2]) {
    let behaviours = Behaviours { too_many_requests, ..Behaviours::default() };
    let (sandbox, client) =
        start(SandboxOptions { quota: 2, window_ms: 4_000, tolerated_refusals: 1, behaviours, ..options() });
    let statuses = [(); 3].map(|()| client.get("").status);
    assert_eq!(statuses, [200, 200, 429]);
    assert!(sandbox.violations().is_empty(), "the first refusal tells");

    let refused = client.get("");
    let told = ["X-Rate-Limit-Time-Reset-Ms", "X-Retry-After"].map(|name| refused.header(name).is_some());
    assert_eq!((refused.status, told), (429, headers));
    let was_told = usize::from(too_many_requests != TooManyRequests::Bare);
    assert_eq!(sandbox.violations().len(), was_told, "going on after that is a violation");

    thread::sleep(Duration::from_millis(4_020));
    assert_eq!((client.get("").status, sandbox.stats().rate_limited), (200, 2));
}

#[test]
fn a_fourth_update_at_once_is_a_violation() {
    for (at_once, refused) in [(3, 0), (4, 1)] {
        let (sandbox, _) = start(SandboxOptions { latency_ms: 2_000, ..options() });
        let put = |id: u32| Client::of(&sandbox).put(json!([{"id": id, "phone": "5"}])).status;
        let statuses: Vec<u16> = thread::scope(|scope| {
            let threads: Vec<_> = (1..=at_once).map(|id: u32| scope.spawn(move || put(id))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), refused);
        assert_eq!(sandbox.violations().len(), refused);
        assert_eq!(sandbox.stats().peak_concurrent_updates, at_once);
        sandbox.set_latency_ms(0);
        assert_eq!(put(5), 200, "the slots are free again");
    }
}

// ---------------------------------------------------------------- lists

/// A cursor as a query value: it is base64, with characters that mean something else in a query.
fn encoded(cursor: &str) -> String {
    cursor.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

/// Reads a list to its end by cursors.
fn pull(client: &Client, query: &str) -> Vec<i64> {
    let mut answer = client.get(query);
    let mut ids = answer.ids();
    while answer.json()["meta"]["cursor_pagination"]["links"].get("next").is_some() {
        let cursor = answer.json()["meta"]["cursor_pagination"]["end_cursor"].as_str().map(encoded).unwrap();
        answer = client.get(&format!("{query}&after={cursor}"));
        ids.extend(answer.ids());
        assert!(ids.len() < 1_000, "the pages never end");
    }
    ids
}

#[test]
fn pages_by_cursor_give_every_customer_once_in_order() {
    let (sandbox, client) = start(SandboxOptions { customers: 53, ..options() });
    let customers: Vec<Value> = sandbox.ids().into_iter().filter_map(|id| sandbox.customer(id)).collect();
    for sort in ["date_modified", "date_created", "last_name"] {
        let mut expected: Vec<(&str, i64)> = customers
            .iter()
            .map(|each| (each[sort].as_str().unwrap(), each["id"].as_i64().unwrap()))
            .collect();
        expected.sort_unstable();
        let mut ids: Vec<i64> = expected.into_iter().map(|(_, id)| id).collect();
        assert_eq!(pull(&client, &format!("limit=10&sort={sort}:asc")), ids, "{sort}:asc");
        ids.reverse();
        assert_eq!(pull(&client, &format!("limit=10&sort={sort}:desc")), ids, "{sort}:desc");
    }
    let by_id: Vec<i64> = sandbox.ids().into_iter().map(i64::from).collect();
    assert_eq!(pull(&client, "limit=10"), by_id);
    assert_eq!(pull(&client, "limit=7&date_created:min=2015-01-01"), by_id);
}

#[test]
fn meta_has_the_pagination_that_was_asked_for() {
    let (_sandbox, client) = start(SandboxOptions { customers: 30, ..options() });
    let first = client.get("limit=10").json()["meta"].clone();
    assert_eq!(first["pagination"]["total"], 30);
    assert_eq!(first["pagination"]["total_pages"], 3);
    assert_eq!(first["cursor_pagination"]["count"], 10);

    let second = client.get("limit=10&page=2");
    assert!(second.json()["meta"].get("cursor_pagination").is_none());
    assert_eq!(second.json()["meta"]["pagination"]["current_page"], 2);

    let after = first["cursor_pagination"]["end_cursor"].as_str().map(encoded).unwrap();
    let by_cursor = client.get(&format!("limit=10&page=7&after={after}"));
    assert_eq!(by_cursor.ids(), second.ids());
    assert!(by_cursor.json()["meta"].get("pagination").is_none());
    let before = by_cursor.json()["meta"]["cursor_pagination"]["start_cursor"].as_str().map(encoded).unwrap();
    assert_eq!(client.get(&format!("limit=10&before={before}")).ids(), client.get("limit=10").ids());
    assert_eq!(client.get(&format!("after={after}&before={before}")).status, 422);
    assert_eq!(client.get(&format!("sort=last_name:asc&after={after}")).status, 422);
    assert_eq!(client.get("page=18446744073709551615&limit=10").ids(), Vec::<i64>::new());
    assert_eq!(client.get("page=4&limit=10").ids(), Vec::<i64>::new());
}

#[test]
fn a_customer_that_changes_while_pages_are_read_turns_up_again_at_the_end() {
    let (sandbox, client) = small();
    let query = "limit=10&sort=date_modified:asc&date_modified:min=2010-01-01";
    let first = client.get(query);
    let moved = first.ids()[4];
    sandbox.edit(i32::try_from(moved).unwrap(), json!({"phone": "later"}));
    let cursor = first.json()["meta"]["cursor_pagination"]["end_cursor"].as_str().map(encoded).unwrap();
    let second = client.get(&format!("{query}&limit=100&after={cursor}")).ids();
    assert_eq!((second.len(), second.last()), (11, Some(&moved)));
}

#[test]
fn date_bounds_are_included_or_not() {
    for (date_bounds, expected) in [(DateBounds::Inclusive, vec![2, 3]), (DateBounds::Exclusive, vec![])] {
        let (sandbox, client) = behaving(Behaviours { date_bounds, ..Behaviours::default() });
        sandbox.set_clock_offset(TimeDelta::days(365));
        sandbox.edit(2, json!({"phone": "1"}));
        let date = sandbox.customer(2).unwrap()["date_modified"].as_str().unwrap().to_owned();
        let now: DateTime<Utc> = date.parse().unwrap();
        sandbox.with_core(|core| {
            core.set_clock_offset(TimeDelta::zero());
            core.edit_text(now, 3, r#"{"phone":"1"}"#).unwrap();
        });
        let listed = client.get(&format!("date_modified:min={date}&date_modified:max={date}")).ids();
        assert_eq!(listed, expected);
        let sorted = client.get(&format!("date_modified:min={date}&sort=date_modified:asc")).ids();
        assert_eq!(sorted, expected);
    }
    let (_sandbox, client) = small();
    assert!(
        client
            .get("date_modified:min=2030-01-01&date_modified:max=2020-01-01&sort=date_modified:asc")
            .ids()
            .is_empty()
    );
    assert!(client.get("date_modified:min=2030-01-01&date_modified:max=2020-01-01").ids().is_empty());
}

#[test]
fn filters_find_whom_they_name() {
    let (sandbox, client) = small();
    let attributes = json!({"first_name": "José", "last_name": "Núñez", "company": "Ñandú", "phone": "+1 5", "customer_group_id": 77});
    sandbox.edit(9, &attributes);
    let email = sandbox.customer(9).unwrap()["email"].as_str().unwrap().to_uppercase();
    for query in [
        format!("email:in={email},nobody@example.com"),
        "name:in=Jos%C3%A9+N%C3%BA%C3%B1ez".into(),
        "name:like=N%C3%9A%C3%91".into(),
        "company:in=x,%C3%91and%C3%BA".into(),
        "phone:in=%2B1%205".into(),
        "customer_group_id:in=76,77".into(),
        "id:in=9,999".into(),
        "id:in=9,3&name:like=jos%C3%A9".into(),
    ] {
        assert_eq!(client.get(&query).ids(), [9], "{query}");
    }
    assert_eq!(client.get("id:in=5,4,5,3").ids(), [3, 4, 5]);
    assert_eq!(
        client.get("id:in=9,3&date_modified:min=2025-06-01").ids(),
        [9],
        "conditions are all to be met"
    );
    assert_eq!(client.get("id:in=9,3&email:in=nobody@example.com").ids(), Vec::<i64>::new());
    sandbox.delete(4);
    assert_eq!(client.get("id:in=5,4,3").ids(), [3, 5], "a deleted customer is just absent");
}

#[test]
fn parts_are_there_on_request_and_unknown_attributes_always() {
    let (sandbox, client) = small();
    sandbox
        .edit_text(1, r#"{"vendor_extension":{"ratio":0.30},"store_credit_amounts":[{"amount":0.10}]}"#)
        .unwrap();
    let usual = client.get("id:in=1").text;
    assert!(usual.contains(r#""vendor_extension":{"ratio":0.30}"#));
    for part in ["store_credit_amounts", "form_fields", "addresses", "\"attributes\""] {
        assert!(!usual.contains(part), "{part}");
    }
    let full = client.get("id:in=1&include=storecredit,formfields,addresses,attributes").text;
    for part in [
        r#""store_credit_amounts":[{"amount":0.10}]"#,
        "form_fields",
        r#""addresses":[]"#,
        r#""attributes":[]"#,
    ] {
        assert!(full.contains(part), "{part}");
    }
}

#[test]
fn large_answers_are_compressed_for_those_who_take_it() {
    let (_sandbox, client) = small();
    let packed = client.get("limit=20");
    assert_eq!(packed.ids().len(), 20);
    let request = |encoding: &str| {
        let mut stream = TcpStream::connect(client.url[7..].split('/').next().unwrap()).unwrap();
        let head = "GET /stores/sandbox/v3/customers HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\nX-Auth-Token: sandbox-token";
        write!(stream, "{head}\r\n{encoding}Connection: close\r\n\r\n").unwrap();
        String::from_utf8_lossy(&read_all(&mut stream)).to_lowercase()
    };
    assert!(request("Accept-Encoding: gzip, br\r\n").contains("content-encoding: gzip"));
    assert!(!request("").contains("content-encoding"));
}

// ---------------------------------------------------------------- what goes wrong

#[test]
fn faults_apply_or_not_and_answer_or_not() {
    // The fault, whether the update lands, and the status of the answer, if one can be read.
    for (fault, lands, status) in [
        (Fault::None, true, Some(200)),
        (Fault::LostRequest, false, None),
        (Fault::Reset, false, None),
        (Fault::LostAnswer, true, None),
        (Fault::DelayedAnswer { ms: 100 }, true, Some(200)),
        (Fault::Truncated, true, None),
        (Fault::Html, false, Some(200)),
        (Fault::HtmlUnavailable, false, Some(503)),
        (Fault::EmptyBody, true, Some(200)),
        (Fault::MultiStatus, true, Some(207)),
        (Fault::Status(423), false, Some(423)),
        (Fault::Status(429), false, Some(429)),
        (Fault::Status(503), false, Some(503)),
        (Fault::AppliedThenStatus(504), true, Some(504)),
    ] {
        let (sandbox, client) = small();
        client.get("limit=1"); // so that the connection is one that has served before
        sandbox.script_updates([fault]);
        let begin = Instant::now();
        let answer = client.try_put(r#"[{"id":1,"phone":"fault"}]"#);
        assert_eq!(phone(&sandbox, 1) == "fault", lands, "{fault}");
        assert_eq!(answer.as_ref().ok().map(|answer| answer.status), status, "{fault}");
        match (fault, answer) {
            (Fault::DelayedAnswer { .. }, _) => assert!(begin.elapsed() >= Duration::from_millis(100)),
            (Fault::EmptyBody, Ok(answer)) => assert_eq!(answer.text, ""),
            (Fault::Html | Fault::HtmlUnavailable, Ok(answer)) => {
                assert!(answer.text.starts_with("<!DOCTYPE"))
            }
            (Fault::Status(429), Ok(answer)) => assert_eq!(answer.header("X-Rate-Limit-Requests-Left"), None),
            _ => {}
        }
        assert_eq!(client.get("limit=1").status, 200, "{fault} is over");
        assert!(sandbox.violations().is_empty());
    }
}

#[test]
fn a_reset_is_a_reset_and_a_drop_is_an_end() {
    for (fault, error) in [(Fault::Reset, Some(ErrorKind::ConnectionReset)), (Fault::LostRequest, None)] {
        let (sandbox, _) = small();
        sandbox.script([fault]);
        let mut stream = TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
        stream.write_all(b"GET /stores/sandbox/v3/customers HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let outcome = stream.read_to_end(&mut Vec::new());
        assert_eq!(outcome.map_err(|error| error.kind()), error.map_or(Ok(0), Err), "{fault}");
    }
}

#[test]
fn an_update_may_be_applied_after_its_connection_is_gone() {
    let (sandbox, client) = small();
    sandbox.script([Fault::DelayedApply { ms: 2_000 }]);
    assert!(client.try_put(r#"[{"id":1,"phone":"late"}]"#).is_err());
    assert_ne!(phone(&sandbox, 1), "late");
    soon(|| phone(&sandbox, 1) == "late");
}

#[test]
fn an_answer_may_leave_customers_out_whether_they_were_updated_or_not() {
    let body: Vec<Value> = (1..=5).map(|id| json!({"id": id, "phone": "new"})).collect();
    for fault in [Fault::MissingIds, Fault::SkippedIds] {
        let (sandbox, client) = small();
        sandbox.script([fault]);
        let answer = client.put(json!(body));
        assert!(answer.status == 200 && answer.ids().len() < 5);
        for id in 1..=5 {
            let is_told = answer.ids().contains(&i64::from(id));
            assert_eq!(phone(&sandbox, id) == "new", is_told || fault == Fault::MissingIds);
        }
    }
}

#[test]
fn multi_status_lands_the_good_and_names_the_bad() {
    let (sandbox, client) = small();
    sandbox.script([Fault::MultiStatus]);
    let answer = client.put(json!([{"id": 1, "phone": "new"}, {"id": 2, "email": "nowhere"}]));
    assert_eq!(
        (answer.status, answer.ids(), answer.error_keys()),
        (207, vec![1], vec!["1.email".to_owned()])
    );
    assert_eq!(phone(&sandbox, 1), "new");
}

#[test]
fn a_cut_network_refuses_and_drops_and_comes_back_on_the_same_port() {
    let (sandbox, client) = start(SandboxOptions { latency_ms: 3_000, ..options() });
    let url = sandbox.url();
    let begin = Instant::now();
    thread::scope(|scope| {
        let under_way = scope.spawn(|| client.try_put(r#"[{"id":1,"phone":"cut"}]"#));
        soon(|| sandbox.stats().peak_concurrent_updates == 1);
        sandbox.cut();
        assert!(under_way.join().unwrap().is_err());
        assert!(begin.elapsed() < Duration::from_secs(3), "the request under way is dropped at once");
    });
    assert!(TcpStream::connect(url.trim_start_matches("http://")).is_err(), "new connections are refused");
    thread::sleep(Duration::from_millis(3_100).saturating_sub(begin.elapsed()));
    assert_ne!(phone(&sandbox, 1), "cut", "what had not arrived is not applied");

    sandbox.set_latency_ms(0);
    sandbox.heal().unwrap();
    sandbox.heal().unwrap();
    assert_eq!((sandbox.url(), client.get("limit=1").status), (url, 200));
    assert_eq!(sandbox.with_core(|core| core.begin_update()), Place::Free, "no slot is lost");
}

// ---------------------------------------------------------------- the core without HTTP

fn signed(request: RawRequest) -> RawRequest {
    [("X-Auth-Token", "sandbox-token"), ("Content-Type", "application/json"), ("User-Agent", "till/1")]
        .into_iter()
        .fold(request, |request, (name, value)| request.with_header(name, value))
}

#[test]
fn the_core_gives_the_same_run_for_the_same_seed() {
    let run = |seed| {
        let faults = Faults::none().with(Fault::LostAnswer, 0.2).with(Fault::MissingIds, 0.3);
        let mut store = StoreCore::new(&SandboxOptions { seed, faults, ..options() });
        (1..=50)
            .map(|round| {
                let body = json!([{"id": 1, "phone": round.to_string()}, {"id": 2, "notes": "x"}]);
                let request = signed(RawRequest::put(store.customers_path(), body.to_string()));
                let now = DateTime::UNIX_EPOCH + TimeDelta::days(30_000) + TimeDelta::seconds(round);
                let fault = store.draw_fault(&request.method);
                store.handle_with(now, &request, fault)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_store_of_a_million_starts_and_answers_without_looking_at_everyone() {
    let mut store = StoreCore::new(&SandboxOptions { customers: 1_000_000, ..options() });
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(30_000);
    store.edit_text(now, 500_000, r#"{"phone":"1"}"#).unwrap();
    let query = "date_modified:min=2050-01-01&sort=date_modified:asc&limit=250";
    let request = signed(RawRequest::get(store.customers_path(), query));
    let begin = Instant::now();
    for _ in 0..200 {
        assert_eq!(store.handle(now, &request).status, 200);
    }
    // To look at everyone each time takes minutes.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Whatever the order, the limit and the bounds: the pages together are the list that sorting everyone gives,
    /// read forwards from its start and backwards from its end.
    #[test]
    fn pages_together_are_the_whole_list(
        sort in proptest::sample::select(vec!["", "date_modified", "date_created", "last_name"]),
        descending: bool,
        limit in 1_usize..40,
        bounds in proptest::option::of((2014_i32..2026, 2014_i32..2026)),
    ) {
        let mut store = StoreCore::new(&SandboxOptions { customers: 60, ..options() });
        let customers: Vec<Value> = store
            .ids()
            .into_iter()
            .map(|id| serde_json::from_str(&store.customer_text(id).unwrap()).unwrap())
            .collect();
        let (min, max) = bounds.map_or((String::new(), "9".into()), |(min, max)| (format!("{min}-01-01T00:00:00Z"), format!("{max}-01-01T00:00:00Z")));
        let mut expected: Vec<(String, i64)> = customers
            .iter()
            .filter(|each| (min.as_str()..=max.as_str()).contains(&each["date_modified"].as_str().unwrap()))
            .map(|each| (each[sort].as_str().unwrap_or_default().to_owned(), each["id"].as_i64().unwrap()))
            .collect();
        expected.sort();
        if descending && !sort.is_empty() {
            expected.reverse();
        }
        let expected: Vec<i64> = expected.into_iter().map(|(_, id)| id).collect();

        let mut query = format!("limit={limit}");
        if !sort.is_empty() {
            query += &format!("&sort={sort}:{}", if descending { "desc" } else { "asc" });
        }
        if bounds.is_some() {
            query += &format!("&date_modified:min={min}&date_modified:max={max}");
        }
        let (forwards, last) = read_pages(&mut store, &query, Way { link: "next", parameter: "after", cursor: "end_cursor" });
        proptest::prop_assert_eq!(&forwards, &expected);
        if let Some(last) = last {
            let back = format!("{query}&before={last}");
            let way = Way { link: "previous", parameter: "before", cursor: "start_cursor" };
            let (backwards, _) = read_pages(&mut store, &back, way);
            proptest::prop_assert_eq!(&backwards, &expected[..expected.len() - 1]);
        }
        proptest::prop_assert!(store.violations().is_empty());
    }

    /// Nothing that is sent brings the store down, and what it refuses changes nobody.
    #[test]
    fn no_request_brings_the_store_down(
        name in "(id|email|first_name|phone|authentication|channel_ids|form_fields|store_credit_amounts|\\PC{0,5})",
        value in r#"(-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?|"\\u[0-9a-fA-F]{4}"|\[\{"(amount|name)":[^,]{0,4}\}\]|\PC{0,12})"#,
        query in r"((limit|page|after|id:in|date_modified:min|sort|include|\PC{0,4})=\PC{0,8}&?){0,3}",
    ) {
        let mut store = StoreCore::new(&SandboxOptions { customers: 3, ..options() });
        let before: Vec<_> = store.ids().into_iter().map(|id| store.customer_text(id)).collect();
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(30_000);
        let body = format!(r#"[{{"id":1,"{name}":{value}}}]"#);
        let put = store.handle(now, &signed(RawRequest::put(store.customers_path(), body)));
        let after: Vec<_> = store.ids().into_iter().map(|id| store.customer_text(id)).collect();
        proptest::prop_assert!(put.status == 200 || before == after);
        let get = store.handle(now, &signed(RawRequest::get(store.customers_path(), query)));
        for response in [put, get] {
            proptest::prop_assert!([200, 400, 422].contains(&response.status));
            proptest::prop_assert!(serde_json::from_slice::<Value>(&response.body).is_ok());
        }
    }
}

fn list(store: &mut StoreCore, query: &str) -> Value {
    let request = signed(RawRequest::get(store.customers_path(), query));
    let response = store.handle(DateTime::UNIX_EPOCH + TimeDelta::days(30_000), &request);
    serde_json::from_slice(&response.body).unwrap()
}

fn page_ids(page: &Value) -> Vec<i64> {
    page["data"].as_array().unwrap().iter().map(|each| each["id"].as_i64().unwrap()).collect()
}

#[derive(Clone, Copy)]
struct Way {
    link: &'static str,
    parameter: &'static str,
    cursor: &'static str,
}

/// The ids of all pages one way, in the order of the list, and the last page's end.
fn read_pages(store: &mut StoreCore, query: &str, way: Way) -> (Vec<i64>, Option<String>) {
    let (mut page, mut ids) = (list(store, query), Vec::new());
    loop {
        let found = page_ids(&page);
        ids = if way.parameter == "after" { [ids, found].concat() } else { [found, ids].concat() };
        assert!(ids.len() < 1_000, "the pages never end");
        let meta = &page["meta"]["cursor_pagination"];
        if meta["links"].get(way.link).is_none() {
            return (ids, meta["end_cursor"].as_str().map(encoded));
        }
        let cursor = meta[way.cursor].as_str().map(encoded).unwrap();
        let query = query.split("&before").next().unwrap();
        page = list(store, &format!("{query}&{}={cursor}", way.parameter));
    }
}

// ---------------------------------------------------------------- what the description leaves open, and what was seen

/// A store of twenty customers that behaves as the words say.
fn odd(words: &str) -> (Sandbox, Client) {
    behaving(words.parse().unwrap())
}

/// All customers, by the cursors that are told.
fn by_cursors(client: &Client, limit: usize) -> Vec<i64> {
    let mut answer = client.get(&format!("limit={limit}"));
    let mut ids = answer.ids();
    while let Some(cursor) = end_cursor(&answer) {
        answer = client.get(&format!("limit={limit}&after={}", encoded(&cursor)));
        assert_eq!(answer.status, 200, "{}", answer.text);
        ids.extend(answer.ids());
    }
    ids
}

fn end_cursor(answer: &Answer) -> Option<String> {
    answer.json()["meta"]["cursor_pagination"]["end_cursor"].as_str().map(str::to_owned)
}

fn all_ids(sandbox: &Sandbox) -> Vec<i64> {
    sandbox.ids().into_iter().map(i64::from).collect()
}

#[test]
fn pages_are_shorter_than_asked_for_and_cursors_still_lead_to_everyone() {
    let (sandbox, client) = odd("pages=7");
    let page = client.get("limit=10").json();
    assert_eq!(page["data"].as_array().unwrap().len(), 7);
    assert_eq!(page["meta"]["pagination"]["per_page"], 7);
    assert_eq!(by_cursors(&client, 10), all_ids(&sandbox));
    assert_eq!(client.get("limit=10&page=3").ids(), all_ids(&sandbox)[14..]);

    let (sandbox, client) = odd("pages=ragged");
    assert_eq!(by_cursors(&client, 10), all_ids(&sandbox));
    let sizes: Vec<usize> = (0..20).map(|_| client.get("limit=10").ids().len()).collect();
    assert!(sizes.iter().any(|size| *size < 10) && sizes.iter().all(|size| *size > 0), "{sizes:?}");
    assert_eq!(
        client.get("limit=10").json()["meta"]["pagination"]["per_page"],
        10,
        "it says nothing of that"
    );
}

#[test]
fn cursors_are_not_told_or_grow_old() {
    let (sandbox, client) = odd("cursors=not-told,pages=ragged");
    let page = client.get("limit=10");
    assert_eq!(page.json()["meta"]["cursor_pagination"], Value::Null);
    assert_eq!([page.ids(), client.get("limit=10&page=2").ids()].concat(), all_ids(&sandbox));

    thread::scope(|at_once| {
        for (reading, status) in [("422", 422), ("empty", 200), ("404", 404), ("400", 400), ("500", 500)] {
            at_once.spawn(move || grows_old(reading, status));
        }
    });
}

fn grows_old(reading: &str, status: u16) {
    let (sandbox, client) = odd(&format!("cursor-life-ms=2000,expired-cursors={reading}"));
    let cursor = encoded(&end_cursor(&client.get("limit=10")).unwrap());
    let next = || client.get(&format!("limit=10&after={cursor}"));
    assert_eq!(next().ids(), all_ids(&sandbox)[10..]);
    thread::sleep(Duration::from_millis(2_010));
    let expired = next();
    assert_eq!(expired.status, status);
    assert!(status != 200 || expired.ids().is_empty());
    assert!(sandbox.violations().is_empty());
}

#[test]
fn totals_are_absent_or_wrong() {
    let total = |words: &str| {
        let (_sandbox, client) = odd(words);
        client.get("limit=10").json()["meta"]["pagination"]["total"].clone()
    };
    assert_eq!(total("totals=right"), 20);
    assert_eq!(total("totals=absent"), Value::Null);
    assert_eq!((total("totals=too-high"), total("totals=too-low")), (json!(23), json!(10)));
    assert_eq!(total("overlooks-every=5"), json!(16), "who is overlooked is not counted either");
}

#[test]
fn lists_overlook_a_customer_that_is_there_by_its_id() {
    let (sandbox, client) = odd("overlooks-every=5");
    let seen = by_cursors(&client, 10);
    assert!(!seen.contains(&5) && seen.len() < all_ids(&sandbox).len());
    assert_eq!(client.get("id:in=4,5").ids(), [4, 5]);
}

#[test]
fn an_answer_by_id_holds_fewer_than_asked_for() {
    let (_sandbox, client) = odd("by-id-at-most=2");
    let answer = client.get("limit=250&id:in=1,2,3,4");
    assert_eq!(
        (answer.ids(), answer.json()["meta"]["pagination"]["per_page"].clone()),
        (vec![1, 2], json!(250))
    );
    let next = format!("limit=250&id:in=1,2,3,4&after={}", encoded(&end_cursor(&answer).unwrap()));
    assert_eq!(client.get(&next).ids(), [3, 4]);
    assert_eq!(client.get("limit=2").ids().len(), 2);
}

#[test]
fn a_list_without_anybody_may_have_no_body() {
    let (_sandbox, client) = odd("empty-lists=204");
    let answer = client.get("date_modified:min=2030-01-01");
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert!(answer.header("Date").is_some() && answer.header("X-Rate-Limit-Requests-Left").is_some());
    assert_eq!(client.get("id:in=1").status, 200);
}

#[test]
fn parts_that_were_asked_for_are_not_told() {
    let get = |client: &Client, query: &str| {
        let first = client.get(&format!("{query}&include=storecredit,formfields")).json()["data"][0].clone();
        (first.get("store_credit_amounts").is_some(), first.get("form_fields").is_some())
    };
    for (words, listed, by_id) in [
        ("untold=nothing", (true, true), (true, true)),
        ("untold=credit-in-lists", (false, true), (true, true)),
        ("untold=credit", (false, true), (false, true)),
        ("untold=form-fields-in-lists", (true, false), (true, true)),
    ] {
        let (_sandbox, client) = odd(words);
        assert_eq!((get(&client, "limit=1"), get(&client, "id:in=1")), (listed, by_id), "{words}");
    }
}

#[test]
fn reads_lag_behind_writes() {
    let (sandbox, client) = odd("read-lag-ms=2000");
    client.put(json!([{"id": 1, "phone": "555"}]));
    sandbox.edit(2, json!({"phone": "666"}));
    sandbox.delete(3);
    let phones = || {
        let data = client.get("id:in=1,2,3").json()["data"].clone();
        data.as_array().unwrap().iter().map(|each| each["phone"].clone()).collect::<Vec<_>>()
    };
    let before = phones();
    assert!(before.len() == 3 && before[0] != "555" && before[1] != "666", "{before:?}");
    assert_eq!(phone(&sandbox, 1), "555", "it is written all the same");
    thread::sleep(Duration::from_millis(2_020));
    assert_eq!(phones(), ["555", "666"]);
    sandbox.set_behaviours(Behaviours::default());
    sandbox.edit(1, json!({"phone": "777"}));
    assert_eq!(phones(), ["777", "666"], "the lag is over");
}

#[test]
fn some_reads_lag_and_others_do_not() {
    let (sandbox, client) = odd("read-lag-ms=60000,lagging=some");
    sandbox.edit(1, json!({"phone": "555"}));
    let shown: Vec<bool> = (0..40)
        .map(|_| {
            let is_new = client.get("id:in=1").json()["data"][0]["phone"] == "555";
            assert_eq!(is_new, !sandbox.with_core(|core| core.has_lagged()));
            is_new
        })
        .collect();
    assert!(shown.contains(&true) && shown.contains(&false), "{shown:?}");
}

#[test]
fn customers_are_hidden_for_a_while_in_lists_and_by_id_and_updates_reach_them() {
    let (sandbox, client) = odd("hides-every=4");
    let all = sandbox.ids();
    let listed = client.get("limit=250");
    let hidden: Vec<i32> = all.iter().copied().filter(|id| !listed.ids().contains(&i64::from(*id))).collect();
    assert!(!hidden.is_empty() && hidden.len() < all.len() / 2);
    assert_eq!(listed.json()["meta"]["pagination"]["total"], json!(all.len() - hidden.len()));
    let id = hidden[0];
    assert!(client.get(&format!("id:in={id}")).ids().is_empty());
    client.put(json!([{"id": id, "phone": "555"}]));
    assert_eq!(phone(&sandbox, id), "555");
    // Others come next.
    let behaviours: Behaviours = "hides-every=4,hides-for-ms=1000".parse().unwrap();
    let turns = [0, 1_000, 2_000, 3_000].map(|now_ms| behaviours.hides(id, now_ms));
    assert_eq!(turns.iter().filter(|is_hidden| **is_hidden).count(), 1);
}

#[test]
fn an_update_may_be_applied_and_answered_as_if_it_was_refused() {
    for status in [400, 401, 403, 404, 409, 413, 422, 429] {
        let (sandbox, client) = small();
        sandbox.script([format!("applied-{status}").parse().unwrap()]);
        let answer = client.put(json!([{"id": 1, "phone": "555"}]));
        assert_eq!((answer.status, phone(&sandbox, 1)), (status, "555".to_owned()));
    }
}

#[test]
fn changes_of_credit_or_form_fields_may_leave_the_date_alone() {
    let date = |sandbox: &Sandbox| sandbox.customer(1).unwrap()["date_modified"].clone();
    for (words, credit_stays, form_fields_stay) in [
        ("undated=nothing", false, false),
        ("undated=credit", true, false),
        ("undated=form-fields", false, true),
        ("undated=both", true, true),
    ] {
        let stays = |change: &Value, is_office: bool| {
            let (sandbox, client) = odd(words);
            let before = date(&sandbox);
            if is_office {
                sandbox.edit(1, change);
            } else {
                let mut update = change.clone();
                update["id"] = json!(1);
                assert_eq!(client.put(json!([update])).status, 200);
            }
            date(&sandbox) == before
        };
        for is_office in [true, false] {
            let credit = json!({"store_credit_amounts": [{"amount": 7.5}]});
            let form_fields = json!({"form_fields": [{"name": "n", "value": "x"}]});
            let with_phone = json!({"store_credit_amounts": [{"amount": 7.5}], "phone": "5"});
            assert_eq!(stays(&credit, is_office), credit_stays, "{words}");
            assert_eq!(stays(&form_fields, is_office), form_fields_stay, "{words}");
            assert!(!stays(&with_phone, is_office));
        }
    }
}

#[test]
fn amounts_are_spelled_in_other_ways() {
    for (reading, spelled) in
        [("exact", "43.15"), ("float", "43.149999999999999"), ("padded", "43.1500"), ("exponent", "4.315e1")]
    {
        let (sandbox, client) = odd(&format!("amounts={reading},response=everything"));
        let answer = client.put(r#"[{"id":1,"store_credit_amounts":[{"amount":43.15}]}]"#);
        let spelled = format!(r#""amount":{spelled}}}"#);
        assert!(answer.text.contains(&spelled), "{}", answer.text);
        assert!(client.get("id:in=1&include=storecredit").text.contains(&spelled));
        assert!(sandbox.customer_text(1).unwrap().contains(r#""amount":43.15}"#), "it is kept exactly");
    }
}

#[test]
fn half_of_an_emoji_stands_in_the_notes() {
    let (sandbox, client) = odd("halves-emoji=yes");
    sandbox.edit(1, json!({"notes": "cake 🎂 \"quoted\""}));
    let text = client.get("id:in=1").text;
    assert!(text.contains(r#""notes":"cake \ud83c \"quoted\"""#), "{text}");
    assert_eq!(sandbox.customer(1).unwrap()["notes"], "cake 🎂 \"quoted\"");
}

#[test]
fn values_are_tidied_in_many_ways() {
    for (way, sent, kept) in [
        ("blanks", json!({"phone": " 5 "}), json!({"phone": "5"})),
        ("case", json!({"email": "Ana@Example.COM"}), json!({"email": "ana@example.com"})),
        ("crlf", json!({"notes": "a\nb\r\nc"}), json!({"notes": "a\r\nb\r\nc"})),
        ("lf", json!({"notes": "a\nb\r\nc"}), json!({"notes": "a\nb\nc"})),
        ("order", json!({"channel_ids": [10, 9, 1]}), json!({"channel_ids": [1, 9, 10]})),
        ("zero-group", json!({"customer_group_id": 0}), json!({"customer_group_id": null})),
        ("empty", json!({"company": ""}), json!({"company": null})),
        ("nfc", json!({"last_name": "Jose\u{301}"}), json!({"last_name": "José"})),
        ("phones", json!({"phone": "+49 (0) 30/555"}), json!({"phone": "49030555"})),
        ("blanks+nfc", json!({"last_name": " Jose\u{301}"}), json!({"last_name": "José"})),
    ] {
        let (sandbox, client) = odd(&format!("tidies={way}"));
        sandbox.edit(1, json!({"customer_group_id": 3, "company": "x"}));
        let mut update = sent.clone();
        update["id"] = json!(1);
        assert_eq!(client.put(json!([update])).status, 200, "{way}");
        let (name, expected) = kept.as_object().unwrap().iter().next().unwrap();
        assert_eq!(&sandbox.customer(1).unwrap()[name], expected, "{way}");
    }
    let (sandbox, client) = odd("tidies=numbers+order,form-fields=go");
    client.put(json!([{"id": 1, "form_fields": [{"name": "b", "value": 43}, {"name": "a", "value": "x"}]}]));
    let fields = sandbox.customer(1).unwrap()["form_fields"].clone();
    assert_eq!((&fields[0]["name"], &fields[1]["value"]), (&json!("a"), &json!("43")));
}

#[test]
fn what_an_update_is_answered_with_is_a_switch() {
    let answer = |words: &str| {
        let (sandbox, client) = odd(words);
        let answer = client.put(json!([{"id": 1, "form_fields": [{"name": "n", "value": "x"}]}]));
        assert!(sandbox.violations().is_empty());
        (answer.status, answer.json())
    };
    let (_, empty_parts) = answer("response=empty-parts");
    assert_eq!(empty_parts["data"][0]["store_credit_amounts"], json!([]));
    assert!(
        empty_parts["data"][0]["form_fields"].as_array().unwrap().iter().any(|field| field["name"] == "n")
    );
    assert_eq!(answer("response=only-ids").1["data"], json!([{"id": 1}]));
    let (status, all_well) = answer("success=207");
    assert_eq!(
        (status, all_well["errors"].clone(), all_well["data"][0]["id"].clone()),
        (207, json!({}), json!(1))
    );

    let (_sandbox, client) = odd("echoes-authentication=yes");
    let echo = client.put(json!([{"id": 1, "authentication": {"new_password": "hunter2"}}])).text;
    assert!(echo.contains(r#""authentication":{"new_password":"hunter2"}"#), "{echo}");
    assert!(!client.get("id:in=1").text.contains("hunter2"), "only that answer does");
}

#[test]
fn large_updates_run_into_a_limit_that_nobody_wrote_down() {
    let update = |ids: std::ops::RangeInclusive<i32>, phone: &str| {
        Value::from(ids.map(|id| json!({"id": id, "phone": phone})).collect::<Vec<_>>())
    };
    let (sandbox, client) = odd("overload-above=4,overload-status=500");
    assert_eq!((client.put(update(1..=5, "5")).status, client.put(update(1..=4, "5")).status), (500, 200));
    assert_ne!(phone(&sandbox, 5), "5");
    let (_sandbox, client) = odd("overload-above=1");
    assert_eq!(client.put(update(1..=2, "5")).status, 504);

    let (sandbox, client) = odd("max-update-bytes=100");
    assert_eq!((client.put(update(1..=5, "5")).status, client.put(update(1..=1, "5")).status), (413, 200));
    assert!(sandbox.violations().is_empty());
}

#[test]
fn places_for_updates_are_shared_with_other_clients() {
    let (sandbox, _) = start(SandboxOptions { competitor_updates: 3, ..options() });
    let statuses: Vec<u16> =
        (0..40).map(|_| Client::of(&sandbox).put(json!([{"id": 1, "phone": "5"}])).status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(sandbox.violations(), Vec::<String>::new(), "one at a time is within the contract");
}

#[test]
fn a_refusal_of_concurrency_tells_how_much_is_left() {
    let (sandbox, client) = small();
    sandbox.script([Fault::Crowded, Fault::Status(429)]);
    let crowded = client.put(json!([{"id": 1, "phone": "5"}]));
    let left: u32 = crowded.header("X-Rate-Limit-Requests-Left").unwrap().parse().unwrap();
    assert!(crowded.status == 429 && left > 1_000, "{left}");
    assert_ne!(phone(&sandbox, 1), "5");
    let overloaded = client.get("limit=1");
    assert_eq!((overloaded.status, overloaded.header("X-Rate-Limit-Requests-Left")), (429, None));
}

#[test]
fn single_lists_are_empty_cut_or_short_of_somebody() {
    let (sandbox, client) = small();
    sandbox.script([
        Fault::EmptyList,
        Fault::NoContent,
        Fault::OneOverlooked,
        Fault::CutList,
        Fault::NoCredit,
    ]);
    let query = "limit=10&include=storecredit";
    let empty = client.get(query);
    assert_eq!(
        (empty.status, empty.ids().len(), empty.json()["meta"]["pagination"]["total"].clone()),
        (200, 0, json!(0))
    );
    let nothing = client.get(query);
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));
    let short = client.get(query);
    assert_eq!((short.ids().len(), short.json()["meta"]["pagination"]["count"].clone()), (9, json!(10)));
    let cut = client.get(query);
    assert_eq!(
        (cut.ids(), cut.json()["meta"]["pagination"]["total"].clone()),
        (all_ids(&sandbox)[..5].to_vec(), json!(20))
    );
    assert_eq!(cut.json()["meta"]["cursor_pagination"]["links"].get("next"), None);
    assert!(!client.get(query).text.contains("store_credit_amounts"));
    let well = client.get(query);
    assert!(well.ids().len() == 10 && well.text.contains("store_credit_amounts"));
    sandbox.script([Fault::EmptyList]);
    assert_eq!(client.put(json!([{"id": 1, "phone": "5"}])).ids(), [1], "an update is no list");
}

#[test]
fn an_update_is_answered_with_values_that_are_not_the_ones_sent() {
    let (sandbox, client) = small();
    let before = phone(&sandbox, 1);
    let update =
        |phone: &str| client.put(json!([{"id": 1, "phone": phone}])).json()["data"][0]["phone"].clone();
    sandbox.script_updates([Fault::StaleAnswer, Fault::Ignored, Fault::ThirdValue, Fault::Echoed]);
    assert_eq!(
        (update("12"), phone(&sandbox, 1).as_str()),
        (json!(before), "12"),
        "it landed, and the answer is old"
    );
    assert_eq!((update("34"), phone(&sandbox, 1).as_str()), (json!("12"), "12"), "it did not land");
    assert_eq!(
        (update("56"), phone(&sandbox, 1).as_str()),
        (json!("65"), "65"),
        "somebody was faster than the answer"
    );
    assert_eq!((update("78"), phone(&sandbox, 1).as_str()), (json!("78"), "65"), "it is a lie");
}

#[test]
fn an_answer_tells_a_customer_twice_once_as_it_was_earlier() {
    let (sandbox, client) = small();
    let twice = |told: &Value, before: &str, now: &str| {
        let ones = told["data"].as_array().unwrap().iter().filter(|one| one["id"] == json!(1));
        let mut phones: Vec<&str> = ones.map(|one| one["phone"].as_str().unwrap()).collect();
        phones.sort_unstable();
        let mut expected = [before, now];
        expected.sort_unstable();
        assert_eq!(phones, expected);
    };
    let before = phone(&sandbox, 1);
    sandbox.script([Fault::ToldTwice]);
    twice(&client.put(json!([{"id": 1, "phone": "12"}])).json(), &before, "12");
    sandbox.script([Fault::ToldTwice]);
    twice(&client.get("limit=10").json(), &before, "12");
    sandbox.script([Fault::ToldTwice]);
    assert_eq!(
        client.get("limit=10&id:in=2,3").ids(),
        [2, 3],
        "of those who never changed there is nothing earlier"
    );
}

#[test]
fn something_in_between_forbids_with_a_page_of_html() {
    let (sandbox, client) = small();
    sandbox.script([Fault::HtmlForbidden]);
    let answer = client.put(json!([{"id": 1, "phone": "5"}]));
    assert_eq!((answer.status, answer.header("Content-Type")), (403, Some("text/html; charset=utf-8")));
    assert!(answer.text.contains("<html>") && phone(&sandbox, 1) != "5");
}

#[test]
fn the_date_of_one_answer_is_wrong() {
    let (sandbox, client) = small();
    let date =
        || DateTime::parse_from_rfc2822(client.get("limit=1").header("Date").unwrap()).unwrap().to_utc();
    sandbox.script([Fault::WrongDate { seconds: 3_155_760_000 }, Fault::WrongDate { seconds: -600 }]);
    assert!(date() - Utc::now() > TimeDelta::days(36_000));
    assert!(Utc::now() - date() >= TimeDelta::seconds(600));
    assert!((Utc::now() - date()).abs() < TimeDelta::seconds(5));
}

#[test]
fn answers_come_slowly_all_of_them_or_one() {
    let (sandbox, client) = small();
    let plain = client.with("Accept-Encoding", "identity");
    let took = || {
        let began = Instant::now();
        assert_eq!(plain.get("limit=20").ids().len(), 20);
        began.elapsed()
    };
    let fast = took();
    sandbox.script([Fault::Slow { bytes_per_second: 5_000 }]);
    let slow = took();
    assert!(slow > Duration::from_millis(1_500) && took() < slow / 2 && fast < slow / 2, "{fast:?} {slow:?}");
    sandbox.set_bytes_per_second(5_000);
    assert!(took() > Duration::from_millis(1_500));
    sandbox.set_bytes_per_second(0);
    assert!(took() < slow / 2);
}
