//! The world: tills, a network and a store, in one queue of events on a virtual clock. A seed decides every latency and
//! every edit, so the same scenario gives the same figures on any machine.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use tillsync::{SyncerOptions, Ticket, Trouble};

use super::scenario::{Scenario, Start};
use super::store::{Call, Quota, Reply, Store};
use super::till::{Outcome, Till};

/// How long a call is on its way, each way, and how long the store works on it.
pub const WIRE_MS: std::ops::Range<u64> = 20..80;
pub const READ_MS: std::ops::Range<u64> = 80..250;
pub const WRITE_MS: std::ops::Range<u64> = 150..600;
/// A machine without a network notices at once.
const NO_ROUTE_MS: u64 = 5;

#[derive(Debug)]
enum Event {
    Wake(usize),
    Edit(usize),
    Arrive(usize, Ticket, Call),
    Deliver(usize, Ticket, Outcome),
    OtherApp,
}

/// A call as the store saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub at_ms: u64,
    pub by: Caller,
    pub is_passed: bool,
    /// It was refused because too many updates were under way.
    pub is_crowded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Read(usize),
    Write(usize),
    Other,
}

/// An edit, and when the store had it.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    pub till: usize,
    pub edited_ms: u64,
    pub arrived_ms: Option<u64>,
    pub is_backlog: bool,
}

/// What happened.
#[derive(Debug, Default)]
pub struct History {
    pub calls: Vec<Seen>,
    /// By the customer's id.
    pub edits: Vec<Edit>,
    /// When syncs ended early.
    pub failures_ms: Vec<u64>,
    /// When each window of the quota began.
    pub windows: Vec<u64>,
    pub ended_ms: u64,
}

struct World {
    scenario: Scenario,
    now_ms: u64,
    random: fastrand::Rng,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    /// By their number in the queue.
    bodies: HashMap<u64, Event>,
    next_event: u64,
    tills: Vec<Till>,
    /// When each till will do something by itself: an earlier plan is void.
    wakes: Vec<Option<u64>>,
    store: Store,
    history: History,
    /// Edits of backlogs that have not arrived.
    waiting: usize,
    online_from_ms: u64,
}

/// The store of a scenario.
pub fn store(scenario: &Scenario) -> Store {
    let quota = Quota::new(scenario.quota, scenario.window_ms, scenario.windows);
    Store::new(quota, scenario.has_news, scenario.slots)
}

/// Plays a scenario to its end.
pub fn play(scenario: &Scenario) -> History {
    let mut world = World::new(scenario.clone());
    world.begin();
    world.run();
    world.history.failures_ms = world.tills.into_iter().flat_map(|till| till.failures_ms).collect();
    world.history.windows = world.store.quota.windows;
    world.history.ended_ms = world.now_ms;
    world.history
}

impl World {
    fn new(scenario: Scenario) -> World {
        let mut random = fastrand::Rng::with_seed(scenario.seed);
        let online_from_ms = match scenario.start {
            Start::Offline(seconds) => seconds * 1_000,
            _ => 0,
        };
        let starts: Vec<u64> =
            (0..scenario.tills).map(|_| random.u64(0..spread(scenario.start, &scenario.syncer))).collect();
        let till =
            |start_ms: &u64| Till::new(scenario.sync.clone(), &scenario.syncer, *start_ms, random.fork());
        World {
            tills: starts.iter().map(till).collect(),
            wakes: starts.iter().map(|start_ms| Some(*start_ms)).collect(),
            store: store(&scenario),
            scenario,
            now_ms: 0,
            random,
            events: BinaryHeap::new(),
            bodies: HashMap::new(),
            next_event: 0,
            history: History::default(),
            waiting: 0,
            online_from_ms,
        }
    }

    fn begin(&mut self) {
        for till in 0..self.tills.len() {
            let backlog = self.scenario.backlog_of(till);
            (0..backlog).for_each(|_| self.edit(till, true));
            self.waiting += backlog;
            if let Some(at_ms) = self.wakes[till] {
                self.at(at_ms, Event::Wake(till));
            }
            if backlog == 0 {
                self.plan_edit(till);
            }
        }
        if self.scenario.others > 0 {
            self.at(0, Event::OtherApp);
        }
    }

    fn run(&mut self) {
        let drains = self.waiting > 0 && !self.scenario.goes_on;
        while let Some(Reverse((at_ms, number))) = self.events.pop() {
            if at_ms > self.scenario.lasts_s * 1_000 || (drains && self.waiting == 0) {
                return;
            }
            self.now_ms = at_ms;
            if let Some(event) = self.bodies.remove(&number) {
                self.happen(event);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(till) if self.wakes[till] == Some(self.now_ms) => self.act(till),
            Event::Wake(_) => {}
            Event::Edit(till) => {
                self.edit(till, false);
                self.plan_edit(till);
                self.plan_wake(till);
            }
            Event::Arrive(till, ticket, call) => self.arrive(till, ticket, &call),
            Event::Deliver(till, ticket, outcome) => {
                self.tills[till].take(ticket, &outcome, self.now_ms);
                self.act(till);
            }
            Event::OtherApp => {
                let is_passed = self.store.quota.admits(self.now_ms);
                self.see(Caller::Other, is_passed, false);
                self.at(self.now_ms + self.scenario.window_ms / self.scenario.others, Event::OtherApp);
            }
        }
    }

    // ---- tills ---------------------------------------------------------------------------------------------------

    fn act(&mut self, till: usize) {
        for (ticket, call) in self.tills[till].act(self.now_ms) {
            if self.now_ms < self.online_from_ms {
                let outcome = Err(Trouble::Offline("no route".to_owned()));
                self.at(self.now_ms + NO_ROUTE_MS, Event::Deliver(till, ticket, outcome));
            } else {
                let arrives_ms = self.now_ms + self.random.u64(WIRE_MS);
                self.at(arrives_ms, Event::Arrive(till, ticket, call));
            }
        }
        self.plan_wake(till);
    }

    fn plan_wake(&mut self, till: usize) {
        let wake = self.tills[till].wakes_at_ms(self.now_ms);
        if wake != self.wakes[till] {
            self.wakes[till] = wake;
            if let Some(at_ms) = wake {
                self.at(at_ms, Event::Wake(till));
            }
        }
    }

    fn edit(&mut self, till: usize, is_backlog: bool) {
        let id = self.history.edits.len() as i64;
        self.tills[till].edit(id);
        self.history.edits.push(Edit { till, edited_ms: self.now_ms, arrived_ms: None, is_backlog });
    }

    /// The next edit comes after a wait that is as likely now as at any time.
    fn plan_edit(&mut self, till: usize) {
        if self.scenario.edits_an_hour > 0.0 {
            let hours = -(1.0 - self.random.f64()).ln() / self.scenario.edits_an_hour;
            self.at(self.now_ms + (hours * 3_600_000.0) as u64 + 1, Event::Edit(till));
        }
    }

    // ---- the store and the network -------------------------------------------------------------------------------

    fn arrive(&mut self, till: usize, ticket: Ticket, call: &Call) {
        let reply = self.store.serve(call, self.now_ms);
        let is_passed = reply.status == 200;
        let (caller, works_ms) = match call {
            Call::Page { .. } | Call::ByIds(_) => (Caller::Read(till), READ_MS),
            Call::Update(_) => (Caller::Write(till), WRITE_MS),
        };
        self.see(caller, is_passed, reply.is_crowded());
        if let (Call::Update(ids), true) = (call, is_passed) {
            ids.iter().for_each(|id| self.arrived(*id));
        }
        let works_ms = if is_passed { self.random.u64(works_ms) } else { 0 };
        if let (Call::Update(_), true) = (call, is_passed) {
            self.store.works_until(self.now_ms + works_ms);
        }
        let back_ms = self.now_ms + works_ms + self.random.u64(WIRE_MS);
        self.at(back_ms, Event::Deliver(till, ticket, Ok::<Reply, _>(reply)));
    }

    fn arrived(&mut self, id: i64) {
        let edit = &mut self.history.edits[id as usize];
        assert!(edit.arrived_ms.is_none(), "customer {id} was sent twice");
        edit.arrived_ms = Some(self.now_ms);
        self.waiting -= usize::from(edit.is_backlog);
    }

    fn see(&mut self, by: Caller, is_passed: bool, is_crowded: bool) {
        self.history.calls.push(Seen { at_ms: self.now_ms, by, is_passed, is_crowded });
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((at_ms, self.next_event)));
        self.bodies.insert(self.next_event, event);
    }
}

/// Within how long the tills begin.
pub fn spread(start: Start, syncer: &SyncerOptions) -> u64 {
    let spread = match start {
        Start::AtOnce => Duration::from_secs(1),
        Start::Running | Start::Offline(_) => syncer.every,
    };
    spread.as_millis() as u64
}
