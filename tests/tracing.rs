//! What the library says through `tracing`: a span for each sync, pull, upload, batch and request with its counts and its
//! duration; and what it must not say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use common::{Till, sandbox_with};
use serde_json::{Value, json};
use tillsync::sandbox::{Fault, SandboxOptions};
use tillsync::{Answer, Extent, HttpRemote, Remote, Request, SyncEngine, SyncReport, Ticket, Trouble};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

// ---- what is captured ------------------------------------------------------------------------------------------------

/// A span or an event, with all that it says.
#[derive(Clone, Debug)]
struct Said {
    is_span: bool,
    name: &'static str,
    parent: Option<&'static str>,
    level: Level,
    target: String,
    fields: BTreeMap<&'static str, String>,
}

impl Said {
    #[track_caller]
    fn number(&self, field: &str) -> u64 {
        let text = self.fields.get(field).unwrap_or_else(|| panic!("{field} is not in {self:?}"));
        text.parse().unwrap_or_else(|_| panic!("{field} is no number in {self:?}"))
    }

    fn text(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

static SAID: Mutex<Vec<Said>> = Mutex::new(Vec::new());

/// Hears everything, of every level and thread.
struct Ear;

/// Where a span stands in the list.
struct Place(usize);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Ear {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let metadata = attributes.metadata();
        let mut said = said(metadata, span.parent().map(|parent| parent.name()));
        attributes.record(&mut said);
        let mut all = SAID.lock().unwrap();
        span.extensions_mut().insert(Place(all.len()));
        all.push(said);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let place = span.extensions().get::<Place>().unwrap().0;
        values.record(&mut SAID.lock().unwrap()[place]);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut said = said(event.metadata(), context.event_span(event).map(|span| span.name()));
        event.record(&mut said);
        SAID.lock().unwrap().push(said);
    }
}

fn said(metadata: &'static tracing::Metadata<'static>, parent: Option<&'static str>) -> Said {
    Said {
        is_span: metadata.is_span(),
        name: metadata.name(),
        parent,
        level: *metadata.level(),
        target: metadata.target().to_owned(),
        fields: BTreeMap::new(),
    }
}

/// What the library said meanwhile. The sandbox is no part of a till; and what the HTTP client says through the crate
/// `log` is not for listening to, see docs/embedding.md.
fn heard<T>(work: impl FnOnce() -> T) -> (T, Vec<Said>) {
    SAID.lock().unwrap().clear();
    let done = work();
    let mut all = std::mem::take(&mut *SAID.lock().unwrap());
    all.retain(|said| said.target.starts_with("tillsync") && !said.target.starts_with("tillsync::sandbox"));
    (done, all)
}

fn spans<'a>(all: &'a [Said], name: &str) -> Vec<&'a Said> {
    all.iter().filter(|said| said.is_span && said.name == name).collect()
}

// ---- a bad day -------------------------------------------------------------------------------------------------------

const TOKEN: &str = "q7Xv93hTzKp20LmWd84RcYbN";
const PASSWORD: &str = "correct horse battery";

/// The first good answer to a read and to an update end in the middle, as a proxy may end them; what is left of them
/// holds customers.
#[derive(Debug)]
struct CutShort {
    store: HttpRemote,
    methods: BTreeMap<Ticket, &'static str>,
    whole: BTreeSet<&'static str>,
}

impl Remote for CutShort {
    fn start(&mut self, ticket: Ticket, request: Request) {
        self.methods.insert(ticket, request.method());
        self.store.start(ticket, request);
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let (ticket, mut answer) = self.store.next(wait)?;
        if let Ok(answer) = &mut answer
            && answer.status == 200
            && self.whole.remove(self.methods[&ticket])
        {
            answer.body.truncate(200);
        }
        Some((ticket, answer))
    }
}

/// A till with edits of every kind beside a store that has its troubles.
fn bad_day() -> (Till, SyncEngine<CutShort>) {
    let options = SandboxOptions {
        customers: 40,
        quota: 1_000_000,
        token: TOKEN.to_owned(),
        ..SandboxOptions::default()
    };
    let mut till = Till::new(sandbox_with(options));
    till.engine().pull(Extent::Changes).unwrap();
    let retry = &mut till.options.upload.retry;
    (retry.read_base_ms, retry.write_base_ms) = (10, 10);
    till.options.upload.grace_ms = 20;

    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    let mut store = till.store();
    for id in &ids[..32] {
        let phone = format!("+351 21 555 {id:04}");
        let edit = store.edit(*id).set("phone", &phone).set("first_name", "Leopoldina");
        edit.set("notes", "rings twice, then leaves").commit().unwrap();
    }
    till.adjust(ids[0], "12.50");
    till.set(ids[1], "new_password", PASSWORD);
    till.office(ids[2], json!({"phone": "+44 20 7946 0000", "email": "taken@example.com"}));
    till.set(ids[3], "email", "taken@example.com");

    till.sandbox.clear_requests();
    till.sandbox.script([Fault::Status(429), Fault::Status(503)]);
    till.sandbox.script_updates([Fault::Status(500), Fault::Status(429), Fault::LostAnswer]);
    let whole = BTreeSet::from(["GET", "PUT"]);
    let remote = CutShort { store: till.remote(), methods: BTreeMap::new(), whole };
    let engine = SyncEngine::new(till.store(), remote, till.options.clone());
    (till, engine)
}

/// Everything that is known of the customers, by both sides.
fn personal(till: &Till) -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    for id in till.sandbox.ids() {
        let row = till.store().get(i64::from(id)).unwrap().unwrap().to_json();
        for customer in [till.sandbox.customer(id).unwrap(), serde_json::from_str(&row).unwrap()] {
            let text = |name: &str| customer[name].as_str().unwrap_or_default().to_owned();
            values.extend(["first_name", "last_name", "email", "phone", "company"].map(text));
            values.extend(text("notes").lines().map(str::to_owned));
            let fields = customer["form_fields"].as_array().into_iter().flatten();
            values.extend(fields.filter_map(|field| field["value"].as_str().map(str::to_owned)));
        }
    }
    values.retain(|value| value.chars().count() >= 4);
    values
}

// ---- what it says ----------------------------------------------------------------------------------------------------

/// One test, because there is one ear for the whole process.
#[test]
fn a_sync_tells_counts_and_durations_and_nothing_of_anybody() {
    tracing_subscriber::registry().with(Ear).init();
    let (till, mut engine) = bad_day();
    let before = personal(&till);
    let (report, mut all) = heard(|| engine.sync().unwrap());
    the_sync_is_told(&report, &all);
    the_batches_are_told(&report, &all);
    the_requests_are_told(&report, &all);

    till.sandbox.cut();
    till.set(1, "phone", "+351 21 555 9999");
    let (error, failed) = heard(|| engine.sync().unwrap_err());
    assert!(error.is_offline());
    let sync = spans(&failed, "sync")[0];
    assert_eq!((sync.text("error"), sync.number("pulled"), sync.number("get")), ("offline", 0, 1));
    assert_eq!(spans(&failed, "request")[0].text("trouble"), "offline");

    all.extend(failed);
    nothing_is_told_of(&before.union(&personal(&till)).cloned().collect(), &all);
    no_secret_is_told(&all);
    till.assert_no_violations();
}

fn the_sync_is_told(report: &SyncReport, all: &[Said]) {
    let [sync] = spans(all, "sync")[..] else { panic!("one sync") };
    assert_eq!((sync.level, sync.text("kind"), sync.parent), (Level::INFO, "sync", None));
    let Value::Object(counts) = serde_json::to_value(report).unwrap() else { unreachable!() };
    for (name, count) in counts.iter().filter(|(name, _)| *name != "requests" && *name != "elapsed_ms") {
        assert_eq!(Some(sync.number(name)), count.as_u64(), "{name}");
    }
    assert_eq!((sync.number("get"), sync.number("put")), (report.requests.get, report.requests.put));
    assert!(sync.number("elapsed_ms") >= report.elapsed_ms && !sync.fields.contains_key("error"));
    assert!(report.retries >= 2 && report.rate_limited == 2, "{report:?}");
    assert_eq!((report.rejected, report.conflicts), (1, 1), "{report:?}");

    let (pull, upload) = (spans(all, "pull")[0], spans(all, "upload")[0]);
    assert_eq!((pull.level, pull.parent, pull.text("is_full")), (Level::INFO, Some("sync"), "false"));
    assert_eq!((upload.level, upload.parent, upload.number("customers")), (Level::INFO, Some("sync"), 32));
    assert_eq!(pull.number("pulled"), report.pulled);
    assert_eq!(upload.number("put"), report.requests.put);
    assert!(pull.number("elapsed_ms") + upload.number("elapsed_ms") <= sync.number("elapsed_ms"));
    assert!(
        all.iter()
            .any(|said| !said.is_span && said.text("message") == "ended" && said.parent == Some("sync"))
    );
}

fn the_batches_are_told(report: &SyncReport, all: &[Said]) {
    let batches = spans(all, "batch");
    assert_eq!(batches.len() as u64, report.requests.put);
    for batch in &batches {
        assert_eq!((batch.level, batch.parent), (Level::DEBUG, Some("upload")));
        assert!((1..=10).contains(&batch.number("customers")) && batch.number("fields") >= 1, "{batch:?}");
        assert!(batch.number("attempt") >= 1 && batch.fields.contains_key("elapsed_ms"), "{batch:?}");
    }
    let outcomes: BTreeSet<&str> = batches.iter().map(|batch| batch.text("outcome")).collect();
    assert_eq!(outcomes, BTreeSet::from(["confirmed", "in_doubt", "limited", "refused"]));
    assert!(batches.iter().any(|batch| batch.number("attempt") > 1));
    let confirmed: u64 =
        batches.iter().filter(|b| b.text("outcome") == "confirmed").map(|b| b.number("confirmed")).sum();
    assert!(confirmed > 0 && confirmed <= report.uploaded_customers, "some were read back");
}

fn the_requests_are_told(report: &SyncReport, all: &[Said]) {
    let requests = spans(all, "request");
    assert_eq!(requests.len() as u64, report.requests.get + report.requests.put);
    for request in &requests {
        let parent = if request.text("method") == "PUT" { &["batch"][..] } else { &["pull", "upload"][..] };
        assert!(parent.contains(&request.parent.unwrap()), "{request:?}");
        assert!(request.number("attempt") >= 1 && request.fields.contains_key("elapsed_ms"), "{request:?}");
        assert!(
            request.fields.contains_key("status") != request.fields.contains_key("trouble"),
            "{request:?}"
        );
        assert!(request.text("trouble") == "broken" || request.number("bytes_received") > 0, "{request:?}");
    }
    let statuses: BTreeSet<&str> = requests.iter().map(|request| request.text("status")).collect();
    for status in ["200", "422", "429", "500", "503"] {
        assert!(statuses.contains(status), "{status} is not in {statuses:?}");
    }
    assert!(requests.iter().any(|request| request.text("trouble") == "broken"), "an answer was lost");
    assert!(requests.iter().any(|request| request.text("method") == "GET" && request.number("attempt") > 1));
    let bytes: u64 =
        requests.iter().filter(|r| r.text("method") == "PUT").map(|r| r.number("bytes_sent")).sum();
    assert_eq!(bytes, report.bytes_sent);
}

// ---- what it does not say --------------------------------------------------------------------------------------------

fn nothing_is_told_of(people: &BTreeSet<String>, all: &[Said]) {
    let names = |said: &Said| {
        let told = |text: &String| people.iter().find(|value| text.contains(value.as_str()));
        said.fields.values().find_map(told).cloned()
    };
    for said in all.iter().filter(|said| said.level <= Level::INFO) {
        assert_eq!(names(said), None, "{said:?}");
    }
    // Else nothing was looked for: what was cut short is told at debug, with the first customers of it.
    let aloud: Vec<_> = all.iter().filter(|said| names(said).is_some()).collect();
    assert!(aloud.len() >= 2 && aloud.iter().all(|said| said.level == Level::DEBUG), "{aloud:#?}");
}

/// Nor any nine characters of one, at any level.
fn no_secret_is_told(all: &[Said]) {
    for secret in [TOKEN, PASSWORD] {
        for part in secret.as_bytes().windows(9) {
            let part = std::str::from_utf8(part).unwrap();
            let told = all.iter().find(|said| said.fields.values().any(|text| text.contains(part)));
            assert!(told.is_none(), "{part}: {told:?}");
        }
    }
}
