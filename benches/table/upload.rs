//! The upload, with and without latency; a sync with nothing to do; edits of a second process meanwhile.

use std::sync::Mutex;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, ToSql};
use tillsync::sandbox::Sandbox;
use tillsync::{Extent, Store, SyncEngine};
use ureq::Agent;

use crate::bare;
use crate::child;
use crate::data::{CoreRemote, PAGE, PageRemote, World, core, edit_some, http, options, remove, sandbox};
use crate::harness::{Reach, Table, number, paired, span, timed};

const LATENCY_MS: u64 = 50;

pub fn run(world: &World, table: &mut Table) {
    let small = world.scale.small;
    let name = "upload: 2,000 customers at 50 ms a call";
    if table.wants(name) {
        let floor = Duration::from_millis(200_u64.div_ceil(3) * LATENCY_MS);
        let pair = paired(1, || push(world, small, small / 5, LATENCY_MS), || floor);
        table.paired(name, pair, 1, Reach::AtMost(1.05));
    }
    let name = "upload: without latency, against the bare calls";
    if table.wants(name) {
        let (all, count) = (world.scale.pull, world.scale.upload);
        let pair =
            paired(world.scale.rounds.min(3), || push(world, all, count, 0), || calls(world, all, count));
        table.paired(name, pair, 1, Reach::AtMost(1.5));
    }
    let name = "upload: the same, against the bare calls, then bare rows";
    if table.wants(name) {
        let (all, count) = (world.scale.pull, world.scale.upload);
        let floor = || calls(world, all, count) + rows(world, all, count);
        let pair = paired(world.scale.rounds.min(3), || push(world, all, count, 0), floor);
        table.paired(name, pair, 1, Reach::Shown);
    }
    idle(world, table, "sync: nothing to do, against one call at 50 ms", LATENCY_MS, Reach::AtMost(1.2));
    idle(world, table, "sync: nothing to do, against one call on loopback", 0, Reach::Shown);
    second_process(world, table);
}

/// The upload of so many edited customers, just after a pull.
fn push(world: &World, customers: usize, edited: usize, latency_ms: u64) -> Duration {
    let path = world.edited(customers, edited);
    let sandbox = sandbox(customers, latency_ms);
    let remote = http(sandbox.url(), sandbox.store_hash(), sandbox.token());
    let mut engine = SyncEngine::new(Store::open(&path).unwrap(), remote, options());
    engine.pull(Extent::Changes).unwrap();
    let mut report = None;
    let time = timed(|| report = Some(engine.push().unwrap()));
    let report = report.unwrap();
    assert_eq!((report.uploaded_customers, report.requests.get), (edited as u64, 0));
    assert_eq!(report.requests.put, edited.div_ceil(10) as u64);
    drop(engine);
    remove(&path);
    time
}

/// The same bodies through the same client on three threads, and no file.
fn calls(world: &World, customers: usize, edited: usize) -> Duration {
    let path = world.edited(customers, edited);
    let objects = Store::open(&path).unwrap().diff(&[]).unwrap();
    let bodies = objects.chunks(10).map(|objects| format!("[{}]", objects.join(","))).collect();
    remove(&path);
    let sandbox = sandbox(customers, 0);
    timed(|| put_all(&sandbox, bodies, 3))
}

/// What an upload must read and write, bare: three batches a durable commit before they leave, and one when they came back.
fn rows(world: &World, customers: usize, edited: usize) -> Duration {
    const BEFORE: [&str; 2] = [
        "INSERT INTO batch_item (batch_id, position, customer_id, up_to_seq, payload) VALUES (1, ?2, ?1, ?3, ?4)",
        "UPDATE journal SET outcome = 'in_flight' WHERE seq = ?3",
    ];
    const AFTER: [&str; 4] = [
        "UPDATE snapshot SET body = ?4, date_modified = ?2 WHERE id = ?1",
        "UPDATE customer SET date_modified = ?2 WHERE id = ?1",
        "UPDATE journal SET outcome = 'uploaded', settled_at = ?2 WHERE seq = ?3",
        "DELETE FROM batch_item WHERE customer_id = ?1",
    ];
    let (path, bare_path) = (world.edited(customers, edited), world.fresh("bare"));
    let mut bare = bare::of(&bare_path, &path);
    remove(&path);
    let open = "SELECT customer_id, min(seq) FROM journal WHERE settled_at IS NULL GROUP BY customer_id";
    let time = timed(|| {
        let mut statement = bare.prepare(open).unwrap();
        let ids: Vec<(i64, i64)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        drop(statement);
        for ids in ids.chunks(30) {
            let transaction = bare.transaction().unwrap();
            let mut bodies = Vec::new();
            transaction.execute("INSERT INTO batch (id, sent_at) VALUES (1, '2026')", []).unwrap();
            for (position, (id, seq)) in ids.iter().enumerate() {
                bodies.push(read(&transaction, *id));
                for sql in BEFORE {
                    run_with(&transaction, sql, &[id, &position, seq, &"{}"]);
                }
            }
            transaction.commit().unwrap();
            bare.pragma_update(None, "synchronous", "NORMAL").unwrap();
            let transaction = bare.transaction().unwrap();
            for ((id, seq), body) in ids.iter().zip(&bodies) {
                for sql in AFTER {
                    run_with(&transaction, sql, &[id, &"2026-01-02T03:04:05Z", seq, body]);
                }
            }
            transaction.execute("DELETE FROM batch", []).unwrap();
            transaction.commit().unwrap();
            bare.pragma_update(None, "synchronous", "FULL").unwrap();
        }
    });
    drop(bare);
    remove(&bare_path);
    time
}

/// Of a customer the row, the edits and the snapshot; returns that.
fn read(connection: &Connection, id: i64) -> String {
    let row = format!("SELECT {} FROM customer WHERE id = ?1", bare::COLUMNS);
    for sql in [&row, "SELECT field, op, value FROM journal WHERE customer_id = ?1 AND settled_at IS NULL"] {
        let mut statement = connection.prepare_cached(sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([id]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            (0..columns).for_each(|column| drop(std::hint::black_box(row.get::<_, Value>(column).unwrap())));
        }
    }
    let mut statement = connection.prepare_cached("SELECT body FROM snapshot WHERE id = ?1").unwrap();
    statement.query_row([id], |row| row.get(0)).unwrap()
}

/// Runs a statement with as many of these as it has places.
fn run_with(connection: &Connection, sql: &str, values: &[&dyn ToSql]) {
    let mut statement = connection.prepare_cached(sql).unwrap();
    let count = statement.parameter_count();
    statement.execute(&values[..count]).unwrap();
}

/// Sends these bodies, so many at once.
pub fn put_all(sandbox: &Sandbox, bodies: Vec<String>, threads: usize) {
    let url = format!("{}/stores/{}/v3/customers", sandbox.url(), sandbox.store_hash());
    put_all_to(&url, sandbox.token(), bodies, threads);
}

pub fn put_all_to(url: &str, token: &str, bodies: Vec<String>, threads: usize) {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().new_agent();
    let bodies = Mutex::new(bodies.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(body) = bodies.lock().unwrap().next() else { return };
                    let request =
                        agent.put(url).header("X-Auth-Token", token).header("Accept", "application/json");
                    let answer = request.header("Content-Type", "application/json").send(&body);
                    let mut answer = answer.unwrap();
                    let text = answer.body_mut().read_to_vec().unwrap();
                    assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(&text));
                }
            });
        }
    });
}

/// A sync with nothing to do, of the large store.
fn idle(world: &World, table: &mut Table, name: &str, latency_ms: u64, reach: Reach) {
    if !table.wants(name) {
        return;
    }
    let customers = world.scale.big;
    let sandbox = sandbox(customers, latency_ms);
    let remote = http(sandbox.url(), sandbox.store_hash(), sandbox.token());
    let mut engine = SyncEngine::new(Store::open(world.pulled(customers)).unwrap(), remote, options());
    let agent: Agent = Agent::config_builder().build().new_agent();
    let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
    let query = format!("limit={PAGE}&include=storecredit,formfields&date_modified:min={now}");
    let url = format!("{}/stores/{}/v3/customers?{query}", sandbox.url(), sandbox.store_hash());
    let one_call = || {
        let call = agent.get(&url).header("X-Auth-Token", sandbox.token());
        call.header("Content-Type", "application/json").call().unwrap().body_mut().read_to_vec().unwrap()
    };
    let rounds = world.scale.rounds * 5;
    let pair = paired(
        rounds,
        || {
            timed(|| {
                let report = engine.sync().unwrap();
                assert_eq!((report.requests.get, report.requests.put, report.pulled), (1, 0, 0));
            })
        },
        || timed(one_call),
    );
    table.paired(name, pair, 1, reach);
}

/// Edits of a second process: alone, during a first pull, and during an upload at full speed.
fn second_process(world: &World, table: &mut Table) {
    let names = ["second process: edits during a pull", "second process: edits during an upload"];
    if !names.iter().any(|name| table.wants(name)) {
        return;
    }
    let customers = world.scale.pull;
    let path = world.copy(customers);
    let alone = Edits::finish(Edits::begin(&path, customers, 1_500));
    remove(&path);
    if table.wants(names[0]) {
        let path = world.fresh("pull");
        let remote = PageRemote::new(&world.pages(customers), customers / 2);
        let mut engine = SyncEngine::new(Store::open(&path).unwrap(), remote, options());
        let child = std::sync::Arc::new(Mutex::new(None));
        let (slot, file, mut seen) = (child.clone(), path.clone(), false);
        engine = engine.on_progress(move |_| {
            if !std::mem::replace(&mut seen, true) {
                *slot.lock().unwrap() = Some(Edits::begin(&file, PAGE, 1_000_000));
            }
        });
        let time = timed(|| engine.pull(Extent::Changes).unwrap());
        std::fs::write(path.with_extension("stop"), "").unwrap();
        let child = child.lock().unwrap().take().unwrap();
        Edits::finish(child).line(table, names[0], &alone);
        let pulled = (customers / 2) as f64 / time.as_secs_f64();
        let (name, each) =
            ("second process: that pull, against 150 pages in 30 s", format!("{}/s", number(pulled)));
        table.line(name, &each, "1,250/s", pulled / 1_250.0, Reach::Shown);
        drop(engine);
        remove(&path);
    }
    if table.wants(names[1]) {
        let path = world.copy(customers);
        let remote = CoreRemote::new(core(customers));
        let mut engine = SyncEngine::new(Store::open(&path).unwrap(), remote, options());
        let mut editor = Store::open(&path).unwrap();
        edit_some(&mut editor, customers, world.scale.upload, 1);
        drop(editor);
        let child = Edits::begin(&path, customers, 1_000_000);
        std::thread::sleep(Duration::from_millis(200));
        engine.sync().unwrap();
        std::fs::write(path.with_extension("stop"), "").unwrap();
        Edits::finish(child).line(table, names[1], &alone);
        drop(engine);
        remove(&path);
    }
}

/// What a second process has seen: no edit of it failed, or it would have died.
struct Edits {
    count: u64,
    p99: Duration,
    longest: Duration,
}

impl Edits {
    fn begin(path: &std::path::Path, customers: usize, count: usize) -> std::process::Child {
        child::spawn(&["edits", path.to_str().unwrap(), &customers.to_string(), &count.to_string()])
    }

    fn finish(child: std::process::Child) -> Edits {
        let told = child::finish(child);
        let numbers: Vec<u64> = told.split(' ').map(|number| number.parse().unwrap()).collect();
        let [count, p99, longest] = numbers[..] else { panic!("{told}") };
        Edits { count, p99: Duration::from_micros(p99), longest: Duration::from_micros(longest) }
    }

    fn line(&self, table: &mut Table, name: &str, alone: &Edits) {
        let ratio = self.p99.as_secs_f64() / alone.p99.as_secs_f64();
        let name = format!("{name} ({}, longest {})", number(self.count as f64), span(self.longest));
        table.line(&name, &span(self.p99), &span(alone.p99), ratio, Reach::AtMost(3.0));
    }
}
