//! The longest that an edit waits beside whatever a sync does: each against 50 ms, which nobody at a till notices.
//!
//! Somebody edits a customer every millisecond, through a connection of their own, and the longest of these edits counts, from
//! its first statement until it is on the disk. What the disk itself takes is in it: `alone` shows how much that is.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tillsync::{Extent, Store, SyncEngine};

use crate::data::{CoreRemote, PageRemote, World, core, edit_some, ids, options, remove};
use crate::harness::{Reach, Table, span};

const MOST: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(1);
/// A note of this many lines, to which both sides add.
const LINES: usize = 8_000;

/// What goes on beside the edits; the longest of them.
type Station = fn(&World) -> Duration;

pub fn run(world: &World, table: &mut Table) {
    let stations: [(&str, Station); 6] = [
        ("an edit's longest wait: alone", alone),
        ("an edit's longest wait: beside a first pull", first_pull),
        ("an edit's longest wait: beside a pull of everything", full_pull),
        ("an edit's longest wait: beside an upload", upload),
        ("an edit's longest wait: a password's wipe, behind a reader", wipe),
        ("an edit's longest wait: beside a merge of long notes", long_notes),
    ];
    for (name, station) in stations {
        if !table.wants(name) {
            continue;
        }
        let longest = station(world);
        let ratio = longest.as_secs_f64() / MOST.as_secs_f64();
        table.line(name, &span(longest), &span(MOST), ratio, Reach::AtMost(1.0));
    }
}

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

fn alone(world: &World) -> Duration {
    let path = world.copy(world.scale.pull);
    let longest = beside(&path, ids(1)[0], || std::thread::sleep(Duration::from_secs(3)));
    remove(&path);
    longest
}

/// Pages come as fast as they are taken; somebody edits as soon as the first customers are there.
fn first_pull(world: &World) -> Duration {
    let (path, customers) = (world.fresh("wait"), world.scale.pull);
    let remote = PageRemote::new(&world.pages(customers), customers);
    let mut engine = SyncEngine::new(Store::open(&path).unwrap(), remote, options());
    let (first, is_there) = std::sync::mpsc::channel();
    let mut told = false;
    engine = engine.on_progress(move |_| {
        if !std::mem::replace(&mut told, true) {
            first.send(()).unwrap();
        }
    });
    let pull = std::thread::spawn(move || engine.pull(Extent::Changes).unwrap());
    is_there.recv().unwrap();
    let longest = beside(&path, ids(1)[0], || _ = pull.join().unwrap());
    remove(&path);
    longest
}

/// To its end, where everybody who was seen is forgotten.
fn full_pull(world: &World) -> Duration {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    let remote = PageRemote::new(&world.pages(customers), customers);
    let mut engine = SyncEngine::new(Store::open(&path).unwrap(), remote, options());
    let longest = beside(&path, ids(1)[0], || _ = engine.pull(Extent::Full).unwrap());
    drop(engine);
    remove(&path);
    longest
}

fn upload(world: &World) -> Duration {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    let mut engine =
        SyncEngine::new(Store::open(&path).unwrap(), CoreRemote::new(core(customers)), options());
    edit_some(&mut Store::open(&path).unwrap(), customers, world.scale.upload, 1);
    let longest = beside(&path, ids(customers)[customers - 1], || _ = engine.sync().unwrap());
    drop(engine);
    remove(&path);
    longest
}

/// Passwords settle while somebody reads and does not stop.
fn wipe(world: &World) -> Duration {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    let all = ids(customers);
    let mut reader = Store::open(&path).unwrap();
    let reading = reader.connection();
    reading.execute_batch("BEGIN").unwrap();
    reading.query_row("SELECT count(*) FROM state", [], |row| row.get::<_, i64>(0)).unwrap();
    let mut engine =
        SyncEngine::new(Store::open(&path).unwrap(), CoreRemote::new(core(customers)), options());
    let longest = beside(&path, all[customers - 1], || {
        let mut app = Store::open(&path).unwrap();
        for id in &all[..5] {
            app.edit(*id).set("new_password", "correct horse battery").commit().unwrap();
            engine.sync().unwrap();
        }
    });
    drop((reader, engine));
    remove(&path);
    longest
}

/// Notes as long as a book, changed on both sides, line by line.
fn long_notes(world: &World) -> Duration {
    let (path, customers) = (world.copy(world.scale.pull), world.scale.pull);
    let all = ids(customers);
    let mut store = core(customers);
    let note = |side: &str| {
        let line = |n: usize| format!("line {n} {}\n", if n.is_multiple_of(97) { side } else { "of a note" });
        (0..LINES).map(line).collect::<String>()
    };
    for id in &all[..5] {
        Store::open(&path).unwrap().edit(*id).set("notes", &note("here")).commit().unwrap();
        let theirs = serde_json::json!({ "notes": note("there") }).to_string();
        assert!(store.edit_text(chrono::Utc::now(), i32::try_from(*id).unwrap(), &theirs).unwrap());
    }
    let mut engine = SyncEngine::new(Store::open(&path).unwrap(), CoreRemote::new(store), options());
    let longest = beside(&path, all[customers - 1], || _ = engine.sync().unwrap());
    drop(engine);
    remove(&path);
    longest
}
