//! The plan of a sync: merge what came, diff what was edited, commit the first batch.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use tillsync::{Extent, Store, SyncEngine};

use crate::bare::{self, COLUMNS};
use crate::data::{CoreRemote, World, core, edits, ids, options, remove};
use crate::harness::{Reach, Table, median, paired, span, timed};

const DIRTY: usize = 1_000;
/// Of those, so many were changed in the store meanwhile, in another attribute.
const MERGED: usize = 200;

pub fn run(world: &World, table: &mut Table) {
    let name = "plan: 1,000 dirty, large store against 10,000";
    if table.wants(name) {
        let large = RefCell::new(Planner::new(world, world.scale.big));
        let small = RefCell::new(Planner::new(world, world.scale.small));
        let pair = paired(
            world.scale.rounds + 4,
            || large.borrow_mut().until_first_update(),
            || small.borrow_mut().until_first_update(),
        );
        table.paired(name, pair, 1, Reach::AtMost(1.3));
        [large, small].into_iter().for_each(|planner| remove(&planner.into_inner().path));
    }
    let (name, gain) = ("plan: every customer dirty, against reading the rows", "plan: the same on one core");
    if table.wants(name) || table.wants(gain) {
        let customers = world.scale.pull;
        let path = world.edited(customers, customers);
        let bare_path = world.fresh("bare");
        let store = Store::open(&path).unwrap();
        let bare = bare::of(&bare_path, &path);
        let pair =
            paired(world.scale.rounds, || timed(|| store.diff(&[]).unwrap()), || timed(|| read_all(&bare)));
        table.paired(name, pair, 1, Reach::AtMost(3.0));
        drop(store);
        let one = median((0..world.scale.rounds).map(|_| on_one_core(&path)));
        let gained = one.as_secs_f64() / pair.ours.as_secs_f64();
        table.line(gain, &span(one), &span(pair.ours), gained, Reach::Shown);
        drop(bare);
        [path, bare_path].iter().for_each(|path| remove(path));
    }
}

struct Planner {
    customers: usize,
    ids: Vec<i64>,
    engine: SyncEngine<CoreRemote>,
    editor: Store,
    round: usize,
    path: std::path::PathBuf,
}

impl Planner {
    fn new(world: &World, customers: usize) -> Planner {
        let path = world.copy(customers);
        let open = || Store::open(&path).unwrap();
        let remote = CoreRemote::new(core(customers));
        let engine = SyncEngine::new(open(), remote, options());
        Planner { customers, ids: ids(customers), engine, editor: open(), round: 0, path }
    }

    /// An hour passes in the store.
    fn jump(&mut self) {
        self.engine.remote().ahead += TimeDelta::hours(1);
    }

    /// From the start of a sync until its first update leaves, without the time that the store takes.
    fn until_first_update(&mut self) -> Duration {
        self.round += 1;
        let edits = edits(&self.ids, DIRTY, self.round);
        self.editor.edit_all(&edits, None, None).unwrap();
        self.jump();
        // What the round before uploaded comes in here, and is not measured.
        self.engine.pull(Extent::Changes).unwrap();
        self.jump();
        let remote = self.engine.remote();
        for (id, _) in edits.iter().take(MERGED) {
            let json = format!("{{\"tax_exempt_category\":\"T{}\"}}", self.round);
            remote.core.edit_text(remote.now(), i32::try_from(id.0).unwrap(), &json).unwrap();
        }
        (remote.first_update, remote.spent) = (None, Duration::ZERO);
        let began = Instant::now();
        let report = self.engine.sync().unwrap();
        assert!(
            report.uploaded_customers >= DIRTY as u64 - 10,
            "{} of {}",
            report.uploaded_customers,
            self.customers
        );
        let (left, spent) = self.engine.remote().first_update.unwrap();
        left - began - spent
    }
}

/// Every edited customer's row, snapshot and journal, read into values of our own.
fn read_all(connection: &Connection) -> usize {
    let mut dirty = connection
        .prepare_cached(
            "SELECT DISTINCT customer_id FROM journal WHERE settled_at IS NULL ORDER BY customer_id",
        )
        .unwrap();
    let ids: Vec<i64> = dirty.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let sqls = [
        format!("SELECT {COLUMNS} FROM customer WHERE id = ?1"),
        "SELECT body FROM snapshot WHERE id = ?1".to_owned(),
        "SELECT seq, field, op, value FROM journal WHERE customer_id = ?1 AND settled_at IS NULL".to_owned(),
    ];
    let mut statements: Vec<_> = sqls.iter().map(|sql| connection.prepare(sql).unwrap()).collect();
    let mut read = 0;
    for id in ids {
        for statement in &mut statements {
            let columns = statement.column_count();
            let mut rows = statement.query(params![id]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values = (0..columns).filter_map(|column| match row.get_ref(column).unwrap() {
                    ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                    _ => None,
                });
                read += std::hint::black_box(values.collect::<Vec<String>>()).len();
            }
        }
    }
    read
}

fn on_one_core(path: &Path) -> Duration {
    let store = Store::open(path).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(move || timed(|| store.diff(&[]).unwrap()))
}
