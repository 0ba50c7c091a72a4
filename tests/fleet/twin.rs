//! One till as it is: a `SyncEngine` with a file, on the network, the store and the chance that the simulation's only
//! till has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tillsync::{
    Answer, Clock, Extent, Place, RateHeaders, Remote, Request, Store, SyncEngine, SyncOptions, Ticket,
    Trouble,
};

use crate::sim::scenario::Scenario;
use crate::sim::store::{self, Call, Reply};
use crate::sim::world::{Caller, READ_MS, Seen, WIRE_MS, WRITE_MS, spread, store};

/// The calls that the store sees until the backlog has arrived.
pub fn play(scenario: &Scenario) -> Vec<Seen> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("till.db");
    let mut random = fastrand::Rng::with_seed(scenario.seed);
    let now_ms = random.u64(0..spread(scenario.start, &scenario.syncer));
    let chance = random.fork();

    let customers = Line(Arc::new(Mutex::new(Network::new(scenario, random.clone(), 0))));
    fill(Store::open(&path).unwrap(), &customers, scenario.backlog);
    let line = Line(Arc::new(Mutex::new(Network::new(scenario, random, now_ms))));
    let clock = Arc::new(line.clone());
    let sync = scenario.sync.clone();
    // Edits go first, as the worker has it.
    SyncEngine::with_clock(Store::open(&path).unwrap(), line.clone(), sync, clock, chance).push().unwrap();
    line.network().seen.split_off(0)
}

/// Customers, each with an edit.
fn fill(till: Store, line: &Line, count: usize) {
    line.network().customers = count;
    let clock = Arc::new(line.clone());
    let random = fastrand::Rng::with_seed(0);
    let mut engine = SyncEngine::with_clock(till, line.clone(), SyncOptions::default(), clock, random);
    engine.pull(Extent::Full).unwrap();
    let mut till = Store::open(engine.store().path()).unwrap();
    (1..=count).for_each(|id| _ = till.edit(id as i64).set("notes", "edited").commit().unwrap());
}

enum Event {
    Arrive(Ticket, Call),
    Deliver(Ticket, Reply),
    OtherApp,
}

struct Network {
    now_ms: u64,
    random: fastrand::Rng,
    store: store::Store,
    every_ms: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    on_their_way: usize,
    seen: Vec<Seen>,
    /// When there are some, they are what is listed.
    customers: usize,
}

#[derive(Clone)]
struct Line(Arc<Mutex<Network>>);

impl Network {
    fn new(scenario: &Scenario, random: fastrand::Rng, now_ms: u64) -> Network {
        Network {
            now_ms,
            random,
            store: store(scenario),
            every_ms: scenario.window_ms / scenario.others,
            events: BTreeMap::from([((0, 0), Event::OtherApp)]),
            next_event: 1,
            on_their_way: 0,
            seen: Vec::new(),
            customers: 0,
        }
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((at_ms, self.next_event), event);
    }

    fn happen(&mut self, at_ms: u64, event: Event) -> Option<(Ticket, Reply)> {
        match event {
            Event::Deliver(ticket, reply) => {
                self.on_their_way -= 1;
                return Some((ticket, reply));
            }
            Event::Arrive(ticket, call) => self.arrive(at_ms, ticket, &call),
            Event::OtherApp => {
                let is_passed = self.store.quota.admits(at_ms);
                self.seen.push(Seen { at_ms, by: Caller::Other, is_passed, is_crowded: false });
                self.at(at_ms + self.every_ms, Event::OtherApp);
            }
        }
        None
    }

    fn arrive(&mut self, at_ms: u64, ticket: Ticket, call: &Call) {
        let mut reply = self.store.serve(call, at_ms);
        let is_passed = reply.status == 200;
        let (by, works_ms) = match call {
            Call::Page { .. } | Call::ByIds(_) => (Caller::Read(0), READ_MS),
            Call::Update(_) => (Caller::Write(0), WRITE_MS),
        };
        self.seen.push(Seen { at_ms, by, is_passed, is_crowded: false });
        if self.customers > 0 {
            reply.body = list(self.customers);
        }
        let works_ms = if is_passed { self.random.u64(works_ms) } else { 0 };
        let back_ms = at_ms + works_ms + self.random.u64(WIRE_MS);
        self.at(back_ms, Event::Deliver(ticket, reply));
    }

    fn utc(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(self.now_ms as i64)
    }
}

impl Line {
    fn network(&self) -> MutexGuard<'_, Network> {
        self.0.lock().unwrap()
    }
}

impl Remote for Line {
    fn start(&mut self, ticket: Ticket, request: Request) {
        let mut network = self.network();
        network.on_their_way += 1;
        let arrives_ms = network.now_ms + network.random.u64(WIRE_MS);
        network.at(arrives_ms, Event::Arrive(ticket, call(&request)));
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let mut network = self.network();
        let until_ms = wait.map_or(u64::MAX, |wait| network.now_ms + wait.as_millis() as u64);
        while wait.is_some() || network.on_their_way > 0 {
            let (at_ms, number) = *network.events.keys().next()?;
            if at_ms > until_ms {
                network.now_ms = until_ms;
                return None;
            }
            network.now_ms = network.now_ms.max(at_ms);
            let event = network.events.remove(&(at_ms, number))?;
            if let Some((ticket, reply)) = network.happen(at_ms, event) {
                return Some((ticket, Ok(answer(reply))));
            }
        }
        None
    }
}

impl Clock for Line {
    fn now_ms(&self) -> u64 {
        self.network().now_ms
    }

    fn utc(&self) -> DateTime<Utc> {
        self.network().utc()
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated line")
    }
}

fn call(request: &Request) -> Call {
    match request {
        Request::Page(ask) => {
            let modified_min_s = ask.modified_min.map_or(0, |min| min.timestamp().max(0) as u64);
            let after = match &ask.place {
                Place::After(cursor) => Some(cursor.clone()),
                _ => None,
            };
            Call::Page { modified_min_s, after }
        }
        Request::Update { .. } => {
            let customers: Vec<serde_json::Value> = serde_json::from_str(request.body()).unwrap();
            Call::Update(customers.iter().map(|customer| customer["id"].as_i64().unwrap()).collect())
        }
        Request::ByIds(ids) | Request::MoreByIds { rows: ids, .. } => {
            Call::ByIds(ids.iter().map(|row| row.row).collect())
        }
        Request::ByIdentity { .. } | Request::Create { .. } | Request::Delete(_) => {
            panic!("nobody is entered or deleted here")
        }
    }
}

fn answer(reply: Reply) -> Answer {
    let rate = RateHeaders {
        window_ms: Some(reply.window_ms),
        reset_ms: Some(reply.reset_ms),
        quota: Some(reply.quota),
        left: Some(reply.left),
        retry_after_ms: reply.retry_after_s.map(|seconds| seconds * 1_000),
    };
    let date = DateTime::from_timestamp(reply.date_s as i64, 0);
    Answer { status: reply.status, rate, date, body: reply.body.into_bytes(), ..Answer::default() }
}

fn list(count: usize) -> String {
    let customer = |id| {
        format!(r#"{{"id":{id},"email":"c{id}@example.com","first_name":"A","last_name":"B","notes":""}}"#)
    };
    let customers: Vec<String> = (1..=count).map(customer).collect();
    format!(r#"{{"data":[{}],"meta":{{"cursor_pagination":{{"end_cursor":null}}}}}}"#, customers.join(","))
}
