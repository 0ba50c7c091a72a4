//! The longest that an edit waits beside whatever a sync does: each against 50 ms, which nobody at a till notices.
//!
//! Somebody edits a customer every millisecond, through a connection of their own, and the longest of these edits counts, from
//! its first statement until it is on the disk. What the disk itself takes is in it: `alone` shows how much that is. What
//! else runs on the machine is in it too, and no bench can take that out. So each station has a second line, of the engine
//! alone: the longest that one of its transactions kept the right to write, in time on a processor, which other load does not
//! stretch.
//!
//! A first opening after an upgrade is not here: nothing can edit a file before its schema is the one that it edits by.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::trace::{TraceEvent, TraceEventCodes};
use tillsync::{Extent, Remote, Store, SyncEngine};

use crate::data::{CoreRemote, PageRemote, World, core, edit_some, ids, options, remove};
use crate::harness::{Reach, Table, span};

const MOST: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(1);
/// A note of this many lines, to which both sides add.
const LINES: usize = 8_000;

/// A customer who is nobody in particular, and is edited all day.
const WALK_IN: usize = 16_000;
/// Edits of one customer that were refused, and as many that came since.
const REFUSED: usize = 2_200;
/// A year of a till, settled.
const YEAR: usize = 365 * 500;
/// Customers of a page with such a note each.
const NOTED: usize = 500;
/// Customers that are gone from the store.
const GONE: usize = 2_000;

/// What goes on beside the edits.
type Station = fn(&World) -> Waits;

/// The longest of it.
#[derive(Debug)]
struct Waits {
    edit: Duration,
    ours: Held,
}

pub fn run(world: &World, table: &mut Table) {
    let stations: [(&str, Station); 12] = [
        ("alone", alone),
        ("beside a first pull", first_pull),
        ("beside a pull of everything", full_pull),
        ("beside pages of long notes", noted_pages),
        ("beside an upload", upload),
        ("a password's wipe, behind a reader", wipe),
        ("beside a merge of long notes", long_notes),
        ("16,000 edits of one customer go up", walk_in),
        ("2,200 refused and 2,200 new ones", refused),
        ("a year of history is removed", prune),
        ("the search is brought up to date", search),
        ("2,000 deletions are taken over", deletions),
    ];
    for (name, station) in stations {
        let name = format!("an edit's longest wait: {name}");
        if !table.wants(&name) {
            continue;
        }
        let waits = station(world);
        let line = |table: &mut Table, name: &str, longest: Duration| {
            let ratio = longest.as_secs_f64() / MOST.as_secs_f64();
            table.line(name, &span(longest), &span(MOST), ratio, Reach::AtMost(1.0));
        };
        line(table, &name, waits.edit);
        if waits.ours.transactions > 0 {
            let ours = format!("… of it ours, of {} transactions", waits.ours.transactions);
            line(table, &ours, waits.ours.busy);
        }
    }
}

// ---- what the engine holds -------------------------------------------------------------------------------------------

/// The longest that a connection kept the right to write.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    transactions: u64,
    /// On a processor.
    busy: Duration,
}

/// Of a connection, from now on.
#[derive(Clone, Debug, Default)]
struct Watch(Arc<Mutex<Held>>);

impl Watch {
    fn over(store: &mut Store) -> Watch {
        let watch = Watch::default();
        let (held, since) = (watch.0.clone(), AtomicU64::new(u64::MAX));
        let note = move |event: TraceEvent<'_>| match event {
            // It waits for the right to write asleep.
            TraceEvent::Stmt(statement, text) if !text.starts_with("--") && takes(&statement.sql()) => {
                since.store(busy_ns(), Ordering::Relaxed);
            }
            TraceEvent::Profile(statement, _) if gives_up(&statement.sql()) => {
                let since = since.swap(u64::MAX, Ordering::Relaxed);
                // It only read.
                if since == u64::MAX {
                    return;
                }
                let busy = Duration::from_nanos(busy_ns().saturating_sub(since));
                let mut held = held.lock().unwrap();
                held.transactions += 1;
                held.busy = held.busy.max(busy);
            }
            _ => {}
        };
        let events = TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_PROFILE;
        store.connection().trace_v2(events, Some(note)).unwrap();
        watch
    }

    fn held(&self) -> Held {
        *self.0.lock().unwrap()
    }
}

fn takes(sql: &str) -> bool {
    sql.starts_with("BEGIN IMMEDIATE") || empties_log(sql)
}

fn gives_up(sql: &str) -> bool {
    sql.starts_with("COMMIT") || sql == "ROLLBACK" || empties_log(sql)
}

fn empties_log(sql: &str) -> bool {
    sql.contains("wal_checkpoint(RESTART)") || sql.contains("wal_checkpoint(TRUNCATE)")
}

/// Time of this thread on a processor; it is counted anew when a thread gives way.
pub fn busy_ns() -> u64 {
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// An engine, and what it keeps others from.
fn watched<R: Remote>(path: &Path, remote: R) -> (SyncEngine<R>, Watch) {
    let mut store = Store::open(path).unwrap();
    let watch = Watch::over(&mut store);
    (SyncEngine::new(store, remote, options()), watch)
}

// ---- stations --------------------------------------------------------------------------------------------------------

/// The longest edit of this customer while `work` goes on.
fn beside(path: &Path, id: i64, work: impl FnOnce()) -> Duration {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let edits = scope.spawn(|| {
            let (mut app, mut longest) = (Store::open(path).unwrap(), Duration::ZERO);
            for count in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let began = Instant::now();
                app.edit(id).set("company", &format!("{count} & Sons")).commit().unwrap();
                longest = longest.max(began.elapsed());
                std::thread::sleep(PAUSE);
            }
            longest
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        edits.join().unwrap()
    })
}

fn alone(world: &World) -> Waits {
    let path = world.copy(world.scale.pull);
    let edit = beside(&path, ids(1)[0], || std::thread::sleep(Duration::from_secs(3)));
    remove(&path);
    Waits { edit, ours: Held::default() }
}

/// Pages come as fast as they are taken; somebody edits as soon as the first customers are there.
fn first_pull(world: &World) -> Waits {
    let (path, customers) = (world.fresh("wait"), world.scale.pull);
    let (mut engine, watch) = watched(&path, PageRemote::new(&world.pages(customers), customers));
    let (first, is_there) = std::sync::mpsc::channel();
    let mut told = false;
    engine = engine.on_progress(move |_| {
        if !std::mem::replace(&mut told, true) {
            first.send(()).unwrap();
        }
    });
    let pull = std::thread::spawn(move || engine.pull(Extent::Changes).unwrap());
    is_there.recv().unwrap();
    let edit = beside(&path, ids(1)[0], || _ = pull.join().unwrap());
    remove(&path);
    Waits { edit, ours: watch.held() }
}

/// To its end, where everybody who was seen is forgotten.
fn full_pull(world: &World) -> Waits {
    let (path, customers) = (world.copy(world.scale.many), world.scale.many);
    let remote = PageRemote::new(&world.pages(customers), customers);
    beside_work(&path, remote, ids(1)[0], |engine| _ = engine.pull(Extent::Full).unwrap())
}

/// Everybody on two pages has notes as long as a book, and they are news.
fn noted_pages(world: &World) -> Waits {
    let (path, mut store) = (world.copy(world.scale.pull), core(world.scale.pull));
    let all = ids(world.scale.pull);
    for id in &all[..NOTED] {
        let noted = serde_json::json!({ "notes": note("there") }).to_string();
        assert!(store.edit_text(chrono::Utc::now(), i32::try_from(*id).unwrap(), &noted).unwrap());
    }
    let last = all[all.len() - 1];
    beside_work(&path, CoreRemote::new(store), last, |engine| _ = engine.sync().unwrap())
}

fn upload(world: &World) -> Waits {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    edit_some(&mut Store::open(&path).unwrap(), customers, world.scale.upload, 1);
    let last = ids(customers)[customers - 1];
    beside_work(&path, CoreRemote::new(core(customers)), last, |engine| _ = engine.sync().unwrap())
}

/// Passwords settle while somebody reads and does not stop.
fn wipe(world: &World) -> Waits {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    let all = ids(customers);
    let mut reader = Store::open(&path).unwrap();
    let reading = reader.connection();
    reading.execute_batch("BEGIN").unwrap();
    reading.query_row("SELECT count(*) FROM state", [], |row| row.get::<_, i64>(0)).unwrap();
    let mut app = Store::open(&path).unwrap();
    beside_work(&path, CoreRemote::new(core(customers)), all[customers - 1], |engine| {
        for id in &all[..5] {
            app.edit(*id).set("new_password", "correct horse battery").commit().unwrap();
            engine.sync().unwrap();
        }
    })
}

/// Notes as long as a book.
fn note(side: &str) -> String {
    let line = |n: usize| format!("line {n} {}\n", if n.is_multiple_of(97) { side } else { "of a note" });
    (0..LINES).map(line).collect()
}

/// Changed on both sides, line by line.
fn long_notes(world: &World) -> Waits {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    let all = ids(customers);
    let mut store = core(customers);
    for id in &all[..5] {
        Store::open(&path).unwrap().edit(*id).set("notes", &note("here")).commit().unwrap();
        let theirs = serde_json::json!({ "notes": note("there") }).to_string();
        assert!(store.edit_text(chrono::Utc::now(), i32::try_from(*id).unwrap(), &theirs).unwrap());
    }
    beside_work(&path, CoreRemote::new(store), all[customers - 1], |engine| _ = engine.sync().unwrap())
}

/// Edits of one customer, by SQL.
fn edit_often(path: &Path, id: i64, times: usize) {
    let mut app = Store::open(path).unwrap();
    let edits = app.connection().transaction().unwrap();
    for n in 0..times {
        let column = ["phone", "company"][n % 2];
        let edit = format!("UPDATE customer SET {column} = ?1 WHERE id = ?2");
        edits.prepare_cached(&edit).unwrap().execute(rusqlite::params![format!("no. {n}"), id]).unwrap();
    }
    edits.commit().unwrap();
}

fn walk_in(world: &World) -> Waits {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    let all = ids(customers);
    edit_often(&path, all[0], WALK_IN);
    beside_work(&path, CoreRemote::new(core(customers)), all[1], |engine| _ = engine.sync().unwrap())
}

fn refused(world: &World) -> Waits {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    let all = ids(customers);
    edit_often(&path, all[0], REFUSED);
    let refuse = "UPDATE journal SET outcome = 'rejected', reason = 'no', engine_mark = NOT engine_mark
                  WHERE settled_at IS NULL";
    assert_eq!(Store::open(&path).unwrap().connection().execute(refuse, []), Ok(REFUSED));
    edit_often(&path, all[0], REFUSED);
    beside_work(&path, CoreRemote::new(core(customers)), all[1], |engine| _ = engine.sync().unwrap())
}

fn prune(world: &World) -> Waits {
    let path = world.copy(world.scale.pull);
    let all = ids(world.scale.pull);
    let mut store = Store::open(&path).unwrap();
    store
        .connection()
        .execute(
            "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ?1 - 1)
             INSERT INTO journal (customer_id, field, op, value, was, at, author, outcome, settled_at, engine_mark)
             SELECT ?2, 'phone', 'set', '\"' || n || '\"', '\"' || (n - 1) || '\"', at, 'ana', 'uploaded', at, 1
             FROM (SELECT n, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || ((?1 - n) * 170) || ' seconds') AS at FROM n)",
            rusqlite::params![YEAR, all[0]],
        )
        .unwrap();
    let watch = Watch::over(&mut store);
    let edit = beside(&path, all[1], || {
        assert!(store.prune(chrono::Utc::now()).unwrap() >= YEAR as u64);
    });
    drop(store);
    remove(&path);
    Waits { edit, ours: watch.held() }
}

/// Somebody has searched for the first time.
fn search(world: &World) -> Waits {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    Store::open(&path).unwrap().find("anna", 10).unwrap();
    let last = ids(customers)[customers - 1];
    beside_work(&path, CoreRemote::new(core(customers)), last, |engine| _ = engine.sync().unwrap())
}

/// A list of everybody lacks some of them.
fn deletions(world: &World) -> Waits {
    let (path, customers) = (world.copy(world.scale.small), world.scale.small);
    let (mut store, all) = (core(customers), ids(customers));
    for id in &all[..GONE] {
        assert!(store.delete(i32::try_from(*id).unwrap()));
    }
    beside_work(&path, CoreRemote::new(store), all[customers - 1], |engine| {
        engine.allow_deletions(GONE as u64);
        assert_eq!(engine.pull(Extent::Full).unwrap().deleted, GONE as u64);
    })
}

/// Edits of this customer beside what an engine does.
fn beside_work<R: Remote>(path: &Path, remote: R, id: i64, work: impl FnOnce(&mut SyncEngine<R>)) -> Waits {
    let (mut engine, watch) = watched(path, remote);
    let edit = beside(path, id, || work(&mut engine));
    drop(engine);
    remove(path);
    Waits { edit, ours: watch.held() }
}
