//! What somebody at the counter waits for: customers found as a name is typed, an edit that is looked for at once, and a decision made by
//! SQL, until a worker has carried it out without a network.
//!
//! The slowest of all counts. Searches are told in time on a processor, which other load does not stretch; a decision by the clock, for
//! most of that is the worker's sleep.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tillsync::{Store, Syncer, SyncerOptions};

use crate::data::{World, http, ids, options, remove, sandbox};
use crate::harness::{Reach, Table, span};
use crate::wait::busy_ns;

const SEARCH: Duration = Duration::from_millis(2);
const DECISION: Duration = Duration::from_millis(250);
const SEARCHES: usize = 500;
const EDITS: usize = 100;
const DECISIONS: i32 = 40;
const FOUND: usize = 20;

pub fn run(world: &World, table: &mut Table) {
    let names = [
        "counter: a name as it is typed, the slowest of 1,500 searches",
        "counter: an edit, looked for at once",
        "counter: a decision by SQL, until it is carried out",
    ];
    let line = |table: &mut Table, name: &str, slowest: Duration, most: Duration, reach: f64| {
        let ratio = slowest.as_secs_f64() / most.as_secs_f64();
        table.line(name, &span(slowest), &span(most), ratio, Reach::AtMost(reach));
    };
    if table.wants(names[0]) || table.wants(names[1]) {
        let path = world.copy(world.scale.pull);
        let mut store = Store::open(&path).unwrap();
        // Everybody is in the index.
        (0..2_000).for_each(|_| _ = store.find("x", 1).unwrap());
        let typed = typed(&mut store, &ids(world.scale.pull));
        line(table, names[0], typed, SEARCH, 1.0);
        let found = found(&mut store, &mut Store::open(&path).unwrap(), &ids(world.scale.pull));
        line(table, names[1], found, SEARCH, 1.0);
        drop(store);
        remove(&path);
    }
    if table.wants(names[2]) {
        // Between two of its looks, and then what carrying it out takes.
        line(table, names[2], decided(world), DECISION, 1.2);
    }
}

fn slower(slowest: Duration, work: impl FnOnce()) -> Duration {
    let before = busy_ns();
    work();
    slowest.max(Duration::from_nanos(busy_ns().saturating_sub(before)))
}

/// `schm`, `schmidt an`, `4930…`: by a name, by two in the other order, and by a phone's digits.
fn typed(store: &mut Store, ids: &[i64]) -> Duration {
    let mut slowest = Duration::ZERO;
    for id in ids.iter().step_by(ids.len() / SEARCHES).take(SEARCHES) {
        let row: serde_json::Value =
            serde_json::from_str(&store.get(*id).unwrap().unwrap().to_json()).unwrap();
        let start = |field: &str, letters: usize| -> String {
            row[field].as_str().unwrap_or_default().chars().take(letters).collect()
        };
        let phone: String = start("phone", 20).chars().filter(char::is_ascii_digit).take(6).collect();
        for text in
            [start("last_name", 4), format!("{} {}", start("last_name", 20), start("first_name", 2)), phone]
        {
            slowest = slower(slowest, || _ = store.find(&text, FOUND).unwrap());
        }
    }
    slowest
}

/// By somebody else than who searches.
fn found(store: &mut Store, app: &mut Store, ids: &[i64]) -> Duration {
    let mut slowest = Duration::ZERO;
    for (nth, id) in ids.iter().step_by(ids.len() / EDITS).take(EDITS).enumerate() {
        let name = format!("Zqx{nth}");
        app.edit(*id).set("last_name", &name).commit().unwrap();
        slowest = slower(slowest, || {
            let found = store.find(&name.to_lowercase(), FOUND).unwrap();
            assert!(found.customers.iter().any(|row| row.id().0 == *id), "{name}");
        });
    }
    slowest
}

/// At whatever moment between two looks of the worker.
fn decided(world: &World) -> Duration {
    let (path, store) = (world.fresh("counter"), sandbox(DECISIONS as usize, 0));
    let engine = || {
        let remote = http(store.url(), store.store_hash(), store.token());
        tillsync::SyncEngine::new(Store::open(&path).unwrap(), remote, options())
    };
    engine().sync().unwrap();
    let mut till = Store::open(&path).unwrap();
    let ids = ids(DECISIONS as usize);
    for id in &ids {
        till.edit(*id).set("phone", "ours").commit().unwrap();
        assert!(store.edit(i32::try_from(*id).unwrap(), serde_json::json!({"phone": "theirs"})));
    }
    engine().sync().unwrap();
    store.cut();
    let (_syncer, _events) = Syncer::start(engine(), SyncerOptions::default()).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let app = Connection::open(&path).unwrap();
    let mut slowest = Duration::ZERO;
    for (nth, id) in (0..).zip(&ids) {
        std::thread::sleep(Duration::from_millis(nth * 37 % 250));
        let decide =
            "INSERT INTO decision (seen, keep) SELECT seen, 'remote' FROM to_decide WHERE customer_id = ?1";
        assert_eq!(app.execute(decide, [id]), Ok(1));
        let began = Instant::now();
        let waits = "SELECT EXISTS (SELECT 1 FROM decision WHERE outcome IS NULL)";
        while app.query_row(waits, [], |row| row.get::<_, bool>(0)).unwrap() {
            std::thread::sleep(Duration::from_millis(1));
        }
        slowest = slowest.max(began.elapsed());
    }
    slowest
}
