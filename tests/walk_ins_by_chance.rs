//! Walk-ins of two tills in virtual time, where a seed decides what is lost, what comes late, and at which call a process dies.
//!
//! ```text
//! TILLSYNC_SEEDS=2000 cargo test --test walk_ins_by_chance      a long hunt
//! TILLSYNC_SEED=4711 cargo test --test walk_ins_by_chance       one seed
//! ```
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tillsync::sandbox::{Behaviours, Fault, RawRequest, SandboxOptions, StoreCore};
use tillsync::{
    Answer, Clock, CustomerId, Decimal, Extent, Keep, Remote, Request, Store, SyncEngine, SyncOptions,
    Ticket, Trouble,
};

const SEEDS: u64 = 20;
const STEPS: usize = 40;
/// Who is in the store from the beginning.
const REGULARS: usize = 3;

/// What a process dies of here.
struct Crash;

struct World {
    core: StoreCore,
    now_ms: u64,
    random: fastrand::Rng,
    answers: BTreeMap<(u64, u64), (Ticket, Result<Answer, Trouble>)>,
    /// Updates whose connection was dropped, and that land later.
    late: BTreeMap<(u64, u64), RawRequest>,
    next: u64,
    /// How likely a call goes wrong, and how likely the process dies at it.
    faults: f64,
    crashes: f64,
}

#[derive(Clone)]
struct Line(Arc<Mutex<World>>);

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a line")
    }
}

impl World {
    fn utc(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_225_600_000 + self.now_ms as i64).unwrap()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn pass_to(&mut self, now_ms: u64) {
        while let Some(((at_ms, _), raw)) = self.late.pop_first() {
            if at_ms > now_ms {
                let number = self.number();
                self.late.insert((at_ms, number), raw);
                break;
            }
            self.now_ms = self.now_ms.max(at_ms);
            let now = self.utc();
            self.core.apply_late(now, &raw);
        }
        self.now_ms = self.now_ms.max(now_ms);
    }

    fn fault(&mut self, method: &str) -> Option<Fault> {
        if self.random.f64() >= self.faults {
            return None;
        }
        let ms = self.random.u64(1..20_000);
        let all: &[Fault] = match method {
            "POST" | "PUT" => &[
                Fault::LostAnswer,
                Fault::LostAnswer,
                Fault::LostRequest,
                Fault::DelayedApply { ms },
                Fault::Status(503),
                Fault::AppliedThenStatus(504),
                Fault::AppliedThenStatus(422),
                Fault::MissingIds,
                Fault::SkippedIds,
                Fault::MultiStatus,
                Fault::EmptyBody,
                // A yes to a payment that did nothing is for a person to decide, as ever.
                if method == "POST" { Fault::Ignored } else { Fault::None },
                Fault::Truncated,
            ],
            _ => &[Fault::LostAnswer, Fault::Status(503), Fault::EmptyList, Fault::CutList],
        };
        self.random.choice(all).copied()
    }

    fn serve(&mut self, ticket: Ticket, request: &Request) {
        let path = self.core.customers_path();
        let raw = match request.method() {
            "PUT" => RawRequest::put(path, request.body()),
            "POST" => RawRequest::post(path, request.body()),
            _ => RawRequest::get(path, request.query()),
        };
        let token = self.core.token().to_owned();
        let raw = raw.with_header("Content-Type", "application/json").with_header("X-Auth-Token", &token);
        let raw = raw.with_header("User-Agent", "tillsync/chance").with_header("Accept", "application/json");
        let (now, fault) = (self.utc(), self.fault(request.method()));
        let handled = self.core.handle_with(now, &raw, fault);
        if let Some(ms) = handled.apply_after_ms {
            let number = self.number();
            self.late.insert((self.now_ms + ms, number), raw);
        }
        let answer = match handled.response.filter(|_| handled.cut_after_bytes.is_none()) {
            Some(response) => Ok(Answer {
                status: response.status,
                date: Some(now),
                body: response.body,
                ..Answer::default()
            }),
            None => Err(Trouble::Broken("connection reset".to_owned())),
        };
        let at_ms = self.now_ms + self.random.u64(1..200);
        let number = self.number();
        self.answers.insert((at_ms, number), (ticket, answer));
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn may_die(&self) {
        let dies = {
            let mut world = self.lock();
            let chance = world.crashes;
            world.random.f64() < chance
        };
        if dies {
            panic_any(Crash);
        }
    }
}

impl Clock for Line {
    fn now_ms(&self) -> u64 {
        self.lock().now_ms
    }

    fn utc(&self) -> DateTime<Utc> {
        self.lock().utc()
    }
}

impl Remote for Line {
    fn start(&mut self, ticket: Ticket, request: Request) {
        self.lock().serve(ticket, &request);
        self.may_die();
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let next = {
            let mut world = self.lock();
            let until_ms = wait.map(|wait| world.now_ms + wait.as_millis() as u64);
            let due = world.answers.first_key_value().map(|((at_ms, _), _)| *at_ms);
            match due {
                Some(at_ms) if until_ms.is_none_or(|until_ms| at_ms <= until_ms) => {
                    world.pass_to(at_ms);
                    world.answers.pop_first().map(|(_, answer)| answer)
                }
                _ => {
                    let until_ms = until_ms?;
                    world.pass_to(until_ms);
                    None
                }
            }
        };
        self.may_die();
        next
    }
}

/// Somebody who came in.
#[derive(Clone, Debug, Default)]
struct Walker {
    till: usize,
    /// What it was called when it was entered.
    id: i64,
    email: String,
    /// Another one with the same address was entered at the other till, or by the office.
    is_shared: bool,
    is_given_up: bool,
    phone: Option<String>,
    credit: Decimal,
}

struct Shop {
    line: Line,
    tills: Vec<PathBuf>,
    walkers: Vec<Walker>,
    /// Those that the office entered.
    office: usize,
    random: fastrand::Rng,
}

fn play(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut behaviours: Behaviours = [
        "error-keys=indexed",
        "error-keys=named",
        "error-keys=general",
        "used-emails=untold",
        "created=201",
        "response=only-ids",
        "response=minimal",
    ][random.usize(..7)]
    .parse()
    .unwrap();
    if random.bool() {
        behaviours.partial = tillsync::sandbox::Partial::GoodOnesLand;
    }
    let options = SandboxOptions {
        customers: REGULARS,
        seed,
        quota: 1_000_000,
        behaviours,
        ..SandboxOptions::default()
    };
    let world = World {
        core: StoreCore::new(&options),
        now_ms: 0,
        random: random.fork(),
        answers: BTreeMap::new(),
        late: BTreeMap::new(),
        next: 0,
        faults: 0.0,
        crashes: 0.0,
    };
    let folder = tempfile::tempdir().unwrap();
    let tills = (0..2).map(|nth| folder.path().join(format!("till{nth}.db"))).collect();
    let line = Line(Arc::new(Mutex::new(world)));
    let mut shop = Shop { line, tills, walkers: Vec::new(), office: 0, random };
    for till in 0..2 {
        shop.engine(till).pull(Extent::Full).unwrap();
        let table = "CREATE TABLE my_sale (walker INTEGER, customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE)";
        shop.store(till).connection().execute_batch(table).unwrap();
    }
    for _ in 0..STEPS {
        shop.step();
    }
    shop.calm();
}

impl Shop {
    fn store(&self, till: usize) -> Store {
        Store::open(&self.tills[till]).unwrap()
    }

    fn engine(&self, till: usize) -> SyncEngine<Line> {
        let (store, clock) = (self.store(till), Arc::new(self.line.clone()));
        let chance = fastrand::Rng::with_seed(7);
        SyncEngine::with_clock(store, self.line.clone(), SyncOptions::default(), clock, chance)
    }

    fn step(&mut self) {
        match self.random.u8(..12) {
            0..=3 => self.enter(),
            4..=5 => self.edit(),
            6 => self.pay(),
            7 => self.give_up(),
            8 => {
                let ms = self.random.u64(..90_000);
                let mut world = self.line.lock();
                let now_ms = world.now_ms + ms;
                world.pass_to(now_ms);
            }
            _ => self.sync_in_bad_weather(),
        }
    }

    fn enter(&mut self) {
        let (nth, till) = (self.walkers.len(), self.random.usize(..2));
        let email = format!("walker{nth}@example.com");
        self.enter_at(till, email.clone(), false);
        match self.random.u8(..8) {
            0 => self.enter_at(1 - till, email, true),
            1 => {
                let ann =
                    json!({"email": email.to_uppercase(), "first_name": "Other", "last_name": "Walker"});
                let mut world = self.line.lock();
                let now = world.utc();
                world.core.add_text(now, &ann.to_string()).unwrap();
                drop(world);
                self.office += 1;
                self.walkers.last_mut().unwrap().is_shared = true;
            }
            _ => {}
        }
    }

    fn enter_at(&mut self, till: usize, email: String, is_shared: bool) {
        let mut store = self.store(till);
        let entered =
            store.create().set("email", &email).set("first_name", "A").set("last_name", "Walker").commit();
        // The other till's walker may have been pulled by now.
        let Ok(entered) = entered else { return };
        if is_shared {
            self.walkers.last_mut().unwrap().is_shared = true;
        }
        let (id, nth) = (entered.ids[0].0, self.walkers.len() as i64);
        store.connection().execute("INSERT INTO my_sale VALUES (?1, ?2)", [nth, id]).unwrap();
        self.walkers.push(Walker { till, id, email, is_shared, ..Walker::default() });
    }

    fn any(&mut self) -> Option<usize> {
        let alive: Vec<usize> =
            (0..self.walkers.len()).filter(|nth| !self.walkers[*nth].is_given_up).collect();
        self.random.choice(&alive).copied()
    }

    fn edit(&mut self) {
        let Some(nth) = self.any() else { return };
        let Walker { till, id, .. } = self.walkers[nth];
        let (mut store, phone) = (self.store(till), format!("{}", self.random.u32(..)));
        if self.random.bool() {
            store.edit(id).set("phone", &phone).commit().unwrap();
        } else {
            let edit = "UPDATE customer_by_any_id SET phone = ?1 WHERE any_id = ?2";
            store.connection().execute(edit, (&phone, id)).unwrap();
        }
        self.walkers[nth].phone = Some(phone);
    }

    fn pay(&mut self) {
        let Some(nth) = self.any() else { return };
        let Walker { till, id, .. } = self.walkers[nth];
        self.store(till).edit(id).adjust_credit(Decimal::ONE).commit().unwrap();
        self.walkers[nth].credit += Decimal::ONE;
    }

    fn give_up(&mut self) {
        let Some(nth) = self.any().filter(|_| self.random.u8(..3) == 0) else { return };
        let Walker { till, id, .. } = self.walkers[nth];
        let mut store = self.store(till);
        let is_never_sent = {
            let sent = "SELECT NOT EXISTS (SELECT 1 FROM my_sale JOIN journal ON journal.customer_id = my_sale.customer_id
                                           WHERE walker = ?1 AND (outcome IS NOT NULL OR my_sale.customer_id > 0))";
            store.connection().query_row(sent, [nth as i64], |row| row.get::<_, bool>(0)).unwrap()
        };
        let was_ever_sent = self.line.lock().core.stats().post > 0;
        if is_never_sent && !was_ever_sent {
            store.connection().execute("DELETE FROM my_sale WHERE walker = ?1", [nth as i64]).unwrap();
            store.discard(id, None, None).unwrap();
            self.walkers[nth].is_given_up = true;
        }
    }

    fn sync_in_bad_weather(&mut self) {
        {
            let mut world = self.line.lock();
            world.faults = [0.0, 0.2, 0.5][self.random.usize(..3)];
            world.crashes = [0.0, 0.0, 0.1][self.random.usize(..3)];
        }
        let till = self.random.usize(..2);
        let mut engine = self.engine(till);
        match catch_unwind(AssertUnwindSafe(|| engine.sync().map(drop))) {
            Err(payload) if !payload.is::<Crash>() => resume_unwind(payload),
            Ok(Err(error)) if !error.is_offline() && error.code() != "protocol" => panic!("{error}"),
            _ => {}
        }
        drop(engine);
        let mut world = self.line.lock();
        (world.faults, world.crashes) = (0.0, 0.0);
        world.answers.clear();
    }

    /// All is well: what is late has landed, both have synced, and a person has said who is who.
    fn calm(&mut self) {
        for round in 0..6 {
            for till in 0..2 {
                {
                    let mut world = self.line.lock();
                    let now_ms = world.now_ms + 90_000;
                    world.pass_to(now_ms);
                }
                self.engine(till).sync().unwrap();
                let mut store = self.store(till);
                if round > 0 {
                    store.retry(None).unwrap();
                }
                for conflict in store.conflicts().unwrap() {
                    store.resolve(conflict.customer_id, &conflict.field, &Keep::Remote, None).unwrap();
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        let world = self.line.lock();
        let mut by_email: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for id in world.core.ids() {
            let record = read(&world.core, id);
            let email = record["email"].as_str().unwrap().to_lowercase();
            by_email.entry(email).or_default().push(i64::from(id));
        }
        let violations = world.core.violations().to_vec();
        drop(world);
        assert_eq!(violations, Vec::<String>::new());
        for (nth, walker) in self.walkers.iter().enumerate() {
            let there = by_email.get(&walker.email).cloned().unwrap_or_default();
            if walker.is_given_up {
                assert!(there.is_empty() || walker.is_shared, "{walker:?} is there: {there:?}");
                continue;
            }
            assert_eq!(there.len(), 1, "{walker:?} is there so often: {there:?}");
            let mut store = self.store(walker.till);
            let sale = "SELECT customer_id FROM my_sale WHERE walker = ?1";
            let sale: i64 = store.connection().query_row(sale, [nth as i64], |row| row.get(0)).unwrap();
            assert_eq!(sale, there[0], "{walker:?}: whom the sale is of");
            assert_eq!(store.get(walker.id).unwrap().unwrap().id(), CustomerId(sale), "{walker:?}");
            let record = read(&self.line.lock().core, sale as i32);
            if !walker.is_shared {
                let phone = walker.phone.clone().unwrap_or_default();
                let journal = store.journal(Some(CustomerId(sale))).unwrap();
                assert_eq!(record["phone"].as_str().unwrap_or_default(), phone, "{walker:?} {journal:#?}");
                let credit: Decimal =
                    record["store_credit_amounts"][0]["amount"].to_string().parse().unwrap();
                assert_eq!(credit, walker.credit, "{walker:?}");
            }
        }
        for till in 0..2 {
            let store = self.store(till);
            let status = store.status().unwrap();
            assert_eq!((status.unsent, status.held_up), (0, 0), "{:?}", store.journal(None).unwrap());
        }
    }
}

fn read(core: &StoreCore, id: i32) -> serde_json::Value {
    serde_json::from_str(&core.customer_text(id).unwrap()).unwrap()
}

#[test]
fn whatever_happens_every_walk_in_is_there_once_and_the_apps_rows_mean_the_right_one() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Crash>() {
            usual(info);
        }
    }));
    let one = common::number("TILLSYNC_SEED");
    let seeds = one.map_or(0..common::number("TILLSYNC_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    for seed in seeds {
        let played = catch_unwind(AssertUnwindSafe(|| play(seed)));
        assert!(played.is_ok(), "replay: TILLSYNC_SEED={seed}");
    }
}
