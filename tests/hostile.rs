//! A store that lies, and people who type anything.
//!
//! Whatever bytes come back, with whatever status, a sync ends, with an error at worst; no edit leaves the journal; and
//! as soon as the store tells the truth again, both sides come together. Whatever is typed into an edit, or written into
//! a column, is journaled or refused; it never breaks what is there.
//!
//! ```text
//! PROPTEST_CASES=20000 cargo test --test hostile     a long hunt; a failure prints its smallest case
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::types::Value as Cell;
use tempfile::TempDir;
use tillsync::sandbox::{RawRequest, SandboxOptions, StoreCore};
use tillsync::{
    Answer, Clock, CustomerId, EditSeq, Extent, FIELDS, HttpOptions, HttpRemote, Keep, Outcome, RateHeaders,
    Remote, Request, Store, SyncEngine, SyncOptions, Ticket, Trouble, parse_argument, parse_object,
};

// ---- answers -----------------------------------------------------------------------------------------------------

#[test]
fn whatever_the_store_answers_no_edit_is_lost_and_the_truth_mends_it() {
    // Some cases share a till; one that failed is left behind, so that a smaller case begins with a fresh one.
    let shared = RefCell::new(None);
    let config = Config { cases: cases(500), failure_persistence: None, ..Config::default() };
    let lies = prop::collection::vec(lie(), 1..4);
    TestRunner::new(config)
        .run(&lies, |lies| {
            let mut till = shared.take().unwrap_or_else(Liars::new);
            till.case(lies);
            shared.replace(Some(till).filter(|till| till.edits < 40));
            Ok(())
        })
        .unwrap();
}

#[test]
fn answers_made_to_hurt() {
    let mut till = Liars::new();
    let deep = "[".repeat(100_000);
    let bodies = [
        deep.clone(),
        format!(r#"{{"data":{deep}"#),
        format!(r#"{{"data":[{{"id":1,"phone":{deep}{}}}]}}"#, "]".repeat(100_000)),
        format!(r#"{{"data":[],"errors":{}1{}}}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000)),
        format!(r#"{{"data":[{{"id":1,"store_credit_amounts":[{{"amount":{}}}]}}]}}"#, "9".repeat(10_000)),
        r#"{"data":[{"id":1,"store_credit_amounts":[{"amount":1e308}]}]}"#.into(),
        r#"{"data":[{"id":1,"store_credit_amounts":[{"amount":1e-400}]}]}"#.into(),
        r#"{"data":[{"id":1,"phone":"\ud800"}]}"#.into(),
        r#"{"data":[{"id":1,"\ud800":"x"}]}"#.into(),
        r#"{"data":[{"id":1,"phone":"\u0000"}]}"#.into(),
        r#"{"data":[{"id":1,"id":2,"phone":"a","phone":"b"}]}"#.into(),
        r#"{"data":[{"id":1},{"id":1,"phone":"b"}],"data":[]}"#.into(),
        r#"{"data":[{"id":2147483648}]}"#.into(),
        r#"{"data":[{"id":-1}]}"#.into(),
        r#"{"data":[{"id":0}]}"#.into(),
        r#"{"data":[{"id":1.0}]}"#.into(),
        r#"{"data":[{"id":NaN}]}"#.into(),
        r#"{"data":[{"id":1,"customer_group_id":9223372036854775808}]}"#.into(),
        r#"{"data":[{"id":1,"authentication":[]}]}"#.into(),
        r#"{"data":[{"id":1,"date_modified":"yesterday"}]}"#.into(),
        r#"{"data":[{"id":1,"date_modified":{}}]}"#.into(),
        r#"{"data":{},"meta":[]}"#.into(),
        r#"{"data":[],"meta":{"pagination":{"total":-1}}}"#.into(),
        r#"{"data":[],"meta":{"cursor_pagination":{"end_cursor":5}}}"#.into(),
        r#"{"data":[null]}"#.into(),
        r#"{"data":[],"errors":null}"#.into(),
        "null".into(),
        "\u{feff}{\"data\":[]}".into(),
        "<html>".into(),
        String::new(),
    ];
    for body in bodies {
        for status in [200, 207, 422, 500] {
            till.case(vec![Lie { status, body: body.clone().into_bytes(), header: None }]);
        }
    }
}

#[test]
fn an_empty_list_and_a_429_in_turn_come_to_an_end() {
    let empty = Lie::ok(r#"{"data":[],"meta":{"cursor_pagination":{"end_cursor":"c","per_page":1}}}"#);
    let limited = |header| Lie { status: 429, body: Vec::new(), header };
    for header in [None, Some(0), Some(u64::MAX)] {
        Liars::new().case(vec![empty.clone(), limited(header)]);
        Liars::new().case(vec![limited(header)]);
    }
}

#[test]
fn a_list_without_an_end_is_left() {
    for turns in [vec!["a"], vec!["a", "b"], vec!["a", "b", "c", "d", "e"]] {
        let mut till = Liars::new();
        let page = |cursor: &&str| Lie::ok(&page_of(1, cursor));
        till.case(turns.iter().map(page).collect());
    }
    // New cursors for ever, to the same page.
    let mut till = Liars::new();
    till.case((0..300).map(|n| Lie::ok(&page_of(3, &n.to_string()))).collect());
}

fn page_of(id: i64, cursor: &str) -> String {
    format!(
        r#"{{"data":[{{"id":{id},"email":"a@b.c"}}],"meta":{{"cursor_pagination":{{"end_cursor":"{cursor}"}}}}}}"#
    )
}

/// An answer that is not the store's.
#[derive(Clone, Debug)]
struct Lie {
    status: u16,
    body: Vec<u8>,
    /// What every number among the headers is.
    header: Option<u64>,
}

impl Lie {
    fn ok(body: &str) -> Lie {
        Lie { status: 200, body: body.as_bytes().to_vec(), header: None }
    }
}

fn lie() -> impl Strategy<Value = Lie> {
    let statuses =
        vec![200_u16, 200, 200, 207, 400, 401, 404, 409, 413, 422, 423, 429, 499, 500, 503, 0, 999];
    let headers =
        prop_oneof![3 => Just(None), 1 => (0_u64..100_000).prop_map(Some), 1 => Just(Some(u64::MAX))];
    (prop::sample::select(statuses), body(), headers).prop_map(|(status, body, header)| Lie {
        status,
        body,
        header,
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => json().prop_map(String::into_bytes),
        1 => (json(), json(), json()).prop_map(|(data, errors, meta)| {
            format!(r#"{{"data":{data},"errors":{errors},"meta":{meta}}}"#).into_bytes()
        }),
        4 => (prop::collection::vec(customer(), 0..4), errors(), meta()).prop_map(|(customers, errors, meta)| {
            format!(r#"{{"data":[{}],"errors":{errors},"meta":{meta}}}"#, customers.join(",")).into_bytes()
        }),
    ]
}

/// A customer with any value in any of its attributes.
fn customer() -> impl Strategy<Value = String> {
    let id = prop_oneof![8 => (0_i64..12).prop_map(|id| id.to_string()), 1 => any::<i64>().prop_map(|id| id.to_string()), 1 => json()];
    let names: Vec<&str> = FIELDS.iter().map(|field| field.name).chain(["authentication", "new"]).collect();
    let attribute = (prop::sample::select(names), prop_oneof![2 => json(), 1 => plausible()]);
    (id, prop::collection::vec(attribute, 0..6)).prop_map(|(id, attributes)| {
        let attributes: String =
            attributes.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
        format!("{{\"id\":{id}{attributes}}}")
    })
}

fn plausible() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "\"x\"",
        "1",
        "true",
        "[1,2]",
        "[]",
        "{}",
        "null",
        "[{\"amount\":1.5}]",
        "[{\"amount\":\"x\"}]",
        "[{\"amount\":1e400}]",
        "[{\"name\":\"size\",\"value\":\"1\"}]",
        "[{\"name\":1}]",
        "\"2026-01-01T00:00:00Z\"",
        "{\"force_password_reset\":1}",
        "{\"new_password\":\"x\"}",
        "99999999999999999999",
    ])
    .prop_map(str::to_owned)
}

fn errors() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["0.phone", "phone", "1", "0.", "[0].notes", "99.email", "", "."]);
    prop_oneof![
        json(),
        (key, json()).prop_map(|(key, value)| format!("{{\"{key}\":{value}}}")),
        Just("{}".to_owned())
    ]
}

fn meta() -> impl Strategy<Value = String> {
    let cursor =
        prop_oneof![Just("\"c\"".to_owned()), Just("\"d\"".to_owned()), Just("null".to_owned()), json()];
    let size = prop_oneof![Just("1".to_owned()), Just("null".to_owned()), json()];
    prop_oneof![
        json(),
        (cursor, size).prop_map(|(cursor, size)| {
            format!(r#"{{"cursor_pagination":{{"end_cursor":{cursor},"per_page":{size}}}}}"#)
        })
    ]
}

/// Any JSON, and some that is nearly that.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|yes| yes.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        "[0-9]{1,40}(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,5})?",
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        Just(r#""\ud800""#.to_owned()),
        Just(r#""\u0000""#.to_owned()),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[a-z_]{0,8}", inner), 0..5).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

// ---- a till among liars ------------------------------------------------------------------------------------------

/// Requests after which a sync is taken to go on for ever.
const ENDLESS: usize = 2_000;

struct Liars {
    _folder: TempDir,
    store: Store,
    world: Shared,
    edits: u32,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

struct World {
    core: StoreCore,
    lies: Vec<Lie>,
    now_ms: u64,
    requests: Vec<String>,
    answers: VecDeque<(Ticket, Result<Answer, Trouble>)>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a store that lies at times")
    }
}

impl Liars {
    fn new() -> Liars {
        let folder = if std::path::Path::new("/dev/shm").is_dir() {
            TempDir::new_in("/dev/shm")
        } else {
            TempDir::new()
        };
        let folder = folder.unwrap();
        let core =
            StoreCore::new(&SandboxOptions { customers: 8, quota: 1_000_000, ..SandboxOptions::default() });
        let (lies, answers) = (Vec::new(), VecDeque::new());
        let world =
            Shared(Arc::new(Mutex::new(World { core, lies, now_ms: 0, requests: Vec::new(), answers })));
        let store = Store::open(folder.path().join("till.db")).unwrap();
        let till = Liars { _folder: folder, store, world, edits: 0 };
        till.engine().pull(Extent::Full).unwrap();
        till
    }

    fn engine(&self) -> SyncEngine<Shared> {
        let store = Store::open(self.store.path()).unwrap();
        let mut options = SyncOptions::default();
        options.upload.retry.tries = 2;
        let random = fastrand::Rng::with_seed(1);
        SyncEngine::with_clock(store, self.world.clone(), options, Arc::new(self.world.clone()), random)
    }

    /// Edits, syncs with a store that answers in turn with these lies, then with one that tells the truth.
    fn case(&mut self, lies: Vec<Lie>) {
        self.edit();
        let before = self.journal();
        self.world.begin(lies);
        _ = self.engine().sync();
        _ = self.engine().pull(Extent::Full);
        self.world.begin(Vec::new());
        self.nothing_is_lost(&before);

        self.engine().pull(Extent::Full).unwrap();
        self.decide();
        let phone = self.edit();
        self.engine().sync().unwrap();
        self.decide();
        self.engine().sync().unwrap();
        let status = self.store.status().unwrap();
        assert_eq!((status.pending_fields, status.in_flight_batches), (0, 0), "{status:?}");
        let theirs = self.world.lock().core.customer_text(ID as i32).unwrap();
        assert!(theirs.contains(&phone), "the truth does not mend it: {theirs}, and not {phone}");
        assert_eq!(self.store.check().unwrap(), Vec::<String>::new());
    }

    fn edit(&mut self) -> String {
        self.edits += 1;
        let phone = format!("555-{}", self.edits);
        let edit = self.store.edit(ID).set("phone", &phone).set("notes", &phone);
        edit.adjust_credit("0.01".parse().unwrap()).commit().unwrap();
        phone
    }

    fn journal(&self) -> BTreeMap<EditSeq, (CustomerId, String, String)> {
        let rows = self.store.journal(None).unwrap().into_iter();
        rows.map(|row| (row.seq, (row.customer_id, row.field, row.value))).collect()
    }

    /// Every edit is in the journal still, and on its way, at its end, or before a person.
    fn nothing_is_lost(&self, before: &BTreeMap<EditSeq, (CustomerId, String, String)>) {
        let after = self.journal();
        assert!(before.iter().all(|(seq, row)| after.get(seq) == Some(row)), "the journal was changed");
        let conflicts = self.store.conflicts().unwrap();
        for row in self.store.journal(None).unwrap() {
            let is_asked = |field: &str| {
                conflicts.iter().any(|one| one.customer_id == row.customer_id && one.field == field)
            };
            if row.outcome == Some(Outcome::Held) {
                assert!(is_asked(&row.field) || is_asked("*"), "held, and nobody is asked: {row:?}");
            }
        }
    }

    /// A person throws away what the lies led to.
    fn decide(&mut self) {
        for conflict in self.store.conflicts().unwrap() {
            match conflict.field.as_str() {
                "*" => _ = self.store.discard(conflict.customer_id, None, None).unwrap(),
                field => _ = self.store.resolve(conflict.customer_id, field, &Keep::Remote, None).unwrap(),
            }
        }
        for rejected in self.store.rejected().unwrap() {
            self.store.discard(rejected.customer_id, Some(&rejected.field), None).unwrap();
        }
    }
}

/// The customer that is edited.
const ID: i64 = 1;

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn begin(&self, lies: Vec<Lie>) {
        let mut world = self.lock();
        (world.lies, world.requests) = (lies, Vec::new());
        world.answers.clear();
        // A new window of requests, and a new second.
        world.now_ms += 60_000;
    }
}

impl World {
    fn utc(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        start + TimeDelta::milliseconds(self.now_ms as i64)
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let n = self.requests.len();
        self.requests.push(format!("{} {request:?}", self.now_ms));
        assert!(n < ENDLESS, "the sync does not end: {:#?}", &self.requests[n - 8..]);
        if !self.lies.is_empty() {
            let lie = &self.lies[n % self.lies.len()];
            let rate = RateHeaders {
                window_ms: lie.header,
                reset_ms: lie.header,
                quota: lie.header,
                left: lie.header,
                retry_after_ms: lie.header,
            };
            return Answer { status: lie.status, rate, body: lie.body.clone(), ..Answer::default() };
        }
        let path = self.core.customers_path();
        let raw = match request.method() {
            "PUT" => RawRequest::put(path, request.body()).with_header("Content-Type", "application/json"),
            _ => RawRequest::get(path, request.query()),
        };
        let token = self.core.token().to_owned();
        let raw = raw.with_header("X-Auth-Token", &token).with_header("Accept", "application/json");
        let now = self.utc();
        let response = self.core.handle(now, &raw.with_header("User-Agent", "tillsync"));
        Answer { status: response.status, date: Some(now), body: response.body, ..Answer::default() }
    }
}

impl Remote for Shared {
    fn start(&mut self, ticket: Ticket, request: Request) {
        let mut world = self.lock();
        let answer = world.answer(&request);
        world.answers.push_back((ticket, Ok(answer)));
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let mut world = self.lock();
        world.now_ms += 1;
        let answer = world.answers.pop_front();
        if answer.is_none() {
            let ms = wait.map_or(0, |wait| wait.as_millis() as u64);
            assert!(ms < 1_000_000_000, "it would wait for days: {wait:?}");
            world.now_ms += ms;
        }
        answer
    }
}

impl Clock for Shared {
    fn now_ms(&self) -> u64 {
        self.lock().now_ms
    }

    fn utc(&self) -> DateTime<Utc> {
        self.lock().utc()
    }
}

// ---- answers without an end, over a wire -------------------------------------------------------------------------

/// In a process of its own: what other tests have in memory would be counted.
#[test]
fn a_body_above_the_limit_is_refused_and_memory_stays_bounded() {
    const ALONE: &str = "TILLSYNC_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut itself = std::process::Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", "a_body_above_the_limit_is_refused_and_memory_stays_bounded", "--nocapture"]);
        return assert!(itself.env(ALONE, "1").status().unwrap().success(), "see above");
    }
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..400).for_each(|_| bomb.write_all(&vec![b' '; 1 << 20]).unwrap());
    refused("", vec![vec![b' '; 1 << 20]; 50]);
    refused("Content-Encoding: gzip\r\n", vec![bomb.finish().unwrap()]);
}

/// Pages of which each is as large, however few customers are asked for.
fn refused(header: &'static str, chunks: Vec<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n{header}\r\n"
            );
            _ = tell.send(String::from_utf8(request).unwrap());
            stream.write_all(head.as_bytes()).unwrap();
            // The client goes away when it has had enough.
            for chunk in &chunks {
                if stream.write_all(chunk).is_err() {
                    break;
                }
            }
        }
    });
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path().join("till.db")).unwrap();
    let remote = HttpRemote::new(&HttpOptions { api_url, ..HttpOptions::new("hash", "token") }).unwrap();
    let mut options = SyncOptions::default();
    options.upload.retry.tries = 1;
    let before = peak_memory();
    let report = SyncEngine::new(store, remote, options).pull(Extent::Changes).unwrap();
    let why = report.incomplete.unwrap();
    assert!(!report.complete && why.contains("limit"), "{why}");
    let asked: Vec<String> = asked.try_iter().collect();
    for (request, limit) in asked.iter().zip([250, 50, 10, 2, 1]) {
        assert!(request.contains(&format!("?limit={limit}&")), "{request}");
    }
    assert!((5..20).contains(&asked.len()), "{}: {asked:?}", asked.len());
    let grown = peak_memory() - before;
    assert!(grown < 160 << 20, "reading the answer took {} MiB", grown >> 20);
}

/// The most memory that this process has had, in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

// ---- edits -------------------------------------------------------------------------------------------------------

#[test]
fn whatever_is_typed_is_an_edit_or_an_error() {
    let config = Config { cases: cases(2_000), failure_persistence: None, ..Config::default() };
    let names: Vec<String> = FIELDS.iter().map(|field| field.name.to_owned()).collect();
    let field = prop_oneof![prop::sample::select(names), any::<String>()];
    let value = prop_oneof![any::<String>(), json(), plausible()];
    let object = prop_oneof![any::<String>(), json(), customer()];
    let till = RefCell::new(Liars::new());
    TestRunner::new(config)
        .run(&(field, value, object), |(field, value, object)| {
            _ = parse_argument(CustomerId(ID), &field, &value);
            _ = parse_object(&object);
            let mut till = till.borrow_mut();
            let before = till.store.journal(None).unwrap().len();
            if till.store.edit(ID).set(&field, &value).commit().is_err() {
                assert_eq!(till.store.journal(None).unwrap().len(), before, "refused, and journaled");
            }
            Ok(())
        })
        .unwrap();
    let deep = "[".repeat(100_000);
    assert!(parse_object(&deep).is_err());
    assert!(parse_object(&format!(r#"{{"id":1,"form_fields":{deep}"#)).is_err());
    assert!(parse_argument(CustomerId(ID), "form_fields", &deep).is_err());
    till.into_inner().goes_up();
}

#[test]
fn whatever_sql_writes_into_a_column_is_journaled_or_refused() {
    let config = Config { cases: cases(2_000), failure_persistence: None, ..Config::default() };
    let columns: Vec<&str> =
        FIELDS.iter().map(|field| field.name).filter(|name| *name != "new_password").collect();
    let cell = prop_oneof![
        Just(Cell::Null),
        any::<i64>().prop_map(Cell::Integer),
        any::<f64>().prop_map(Cell::Real),
        any::<String>().prop_map(Cell::Text),
        json().prop_map(Cell::Text),
        plausible().prop_map(Cell::Text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Cell::Blob),
    ];
    let till = RefCell::new(Liars::new());
    let target =
        prop_oneof![4 => prop::sample::select(columns), 1 => Just("(adjustment)"), 1 => Just("(password)")];
    TestRunner::new(config)
        .run(&(target, cell), |(target, cell)| {
            let mut till = till.borrow_mut();
            let before = till.store.journal(None).unwrap().len();
            let sql = match target {
                "(adjustment)" => {
                    "INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (1, ?1)".to_owned()
                }
                "(password)" => {
                    "INSERT INTO password_change (customer_id, new_password) VALUES (1, ?1)".to_owned()
                }
                column => format!("UPDATE customer SET {column} = ?1 WHERE id = 1"),
            };
            if till.store.connection().execute(&sql, [cell]).is_err() {
                assert_eq!(till.store.journal(None).unwrap().len(), before, "refused, and journaled");
            }
            till.store.get(ID).unwrap().unwrap();
            till.store.diff(&[]).unwrap();
            Ok(())
        })
        .unwrap();
    till.into_inner().goes_up();
}

impl Liars {
    /// What was journaled can be sent: the store takes it, or refuses it in words.
    fn goes_up(mut self) {
        self.engine().sync().unwrap();
        let status = self.store.status().unwrap();
        assert_eq!((status.pending_fields, status.in_flight_batches), (0, 0), "{status:?}");
        self.decide();
        let phone = self.edit();
        self.engine().sync().unwrap();
        assert!(self.world.lock().core.customer_text(ID as i32).unwrap().contains(&phone));
    }
}

fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
