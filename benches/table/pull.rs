//! The first pull, from ready-made pages; and its memory.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tillsync::{Extent, Store, SyncEngine};

use crate::bare;
use crate::child;
use crate::data::{PageRemote, World, options, remove, unpacked};
use crate::harness::{Reach, Table, bytes, number, paired, timed};

pub fn run(world: &World, table: &mut Table) {
    let customers = world.scale.pull;
    let rate = "pull: the first, from ready-made pages";
    if table.wants(rate) || table.wants("pull: the same, customers a second") {
        let pair = paired(world.scale.rounds, || ours(world, customers), || floor(world, customers));
        table.paired(rate, pair, customers, Reach::AtLeast(0.6));
        let per_second = customers as f64 / pair.ours.as_secs_f64();
        let least = "40,000/s";
        let each = format!("{}/s", number(per_second));
        table.line(
            "pull: the same, customers a second",
            &each,
            least,
            per_second / 40_000.0,
            Reach::AtLeast(1.0),
        );
    }
    let memory = "pull: growth of the peak memory";
    if table.wants(memory) {
        let grown = |customers: usize| {
            let path = world.fresh("memory");
            let pages = world.pages(customers);
            let args = ["pull", path.to_str().unwrap(), pages.to_str().unwrap(), &customers.to_string()];
            let grown: u64 = child::output(&args).parse().unwrap();
            remove(&path);
            grown
        };
        let limit = 48 * 1024 * 1024;
        let (few, many) = (grown(customers / 2), grown(customers));
        table.line(memory, &bytes(many), &bytes(limit), many as f64 / limit as f64, Reach::AtMost(1.0));
        let name = "pull: the same, against that of half the store";
        table.line(name, &bytes(many), &bytes(few), many as f64 / few as f64, Reach::AtMost(1.1));
    }
}

fn ours(world: &World, customers: usize) -> Duration {
    let path = world.fresh("pull");
    let remote = PageRemote::new(&world.pages(customers), customers);
    let mut engine = SyncEngine::new(Store::open(&path).unwrap(), remote, options());
    let time = timed(|| engine.pull(Extent::Changes).unwrap());
    drop(engine);
    remove(&path);
    time
}

fn floor(world: &World, customers: usize) -> Duration {
    let path = world.fresh("bare");
    let connection: Connection = bare::create(&path);
    // As for ours, and no more: a page whose commit is lost in a power cut comes again.
    let settings =
        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -24000; PRAGMA wal_autocheckpoint = 16000";
    connection.execute_batch(settings).unwrap();
    let (pages, mut began) = (world.pages(customers), Instant::now());
    let time = timed(|| {
        for page in unpacked(&pages, customers) {
            if connection.is_autocommit() {
                connection.execute_batch("BEGIN").unwrap();
                began = Instant::now();
            }
            bare::upsert_page(&connection, &page);
            if began.elapsed() >= Duration::from_millis(25) {
                connection.execute_batch("COMMIT").unwrap();
            }
        }
        if !connection.is_autocommit() {
            connection.execute_batch("COMMIT").unwrap();
        }
    });
    drop(connection);
    remove(&path);
    time
}
