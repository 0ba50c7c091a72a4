//! One seed: a till's life, then calm weather, then the checks.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tempfile::TempDir;
use tillsync::sandbox::{
    Behaviours, DateBounds, ErrorKeys, FormFieldWrites, Partial, ResponseAttributes, SandboxOptions,
    StoreCore, Tidying, TooManyRequests, UnknownIds,
};
use tillsync::{Decimal, Error, Extent, Keep, Policies, Policy, Store, SyncEngine, SyncOptions};

use crate::check;
use crate::model::{OFFICE_ONLY, SHARED, TILL_ONLY};
use crate::world::{Shared, Weather, World, is_crash};

/// What the engine is asked for.
#[derive(Clone, Copy, Debug)]
enum Job {
    Sync,
    Push,
    Pull,
    FullPull,
}

/// Runs one seed. Returns what is wrong, and what happened.
pub fn seed(seed: u64) -> (Result<(), String>, Vec<String>) {
    let folder = folder();
    let mut random = fastrand::Rng::with_seed(seed);
    let core = StoreCore::new(&store_options(seed, &mut random));
    let tills = random.usize(1..=2);
    let paths = (0..tills).map(|n| folder.path().join(format!("till{n}.db")));
    let world = World::new(core, random.fork(), paths).share();
    let life = std::panic::catch_unwind(AssertUnwindSafe(|| live(&world, &mut random)));
    let outcome = match life {
        Ok(outcome) => outcome,
        Err(payload) => Err(payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "panicked".to_owned())),
    };
    (outcome, world.into_trace())
}

/// In memory where the system has such a place: the file is real, its disk need not be.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

fn store_options(seed: u64, random: &mut fastrand::Rng) -> SandboxOptions {
    let mut any = |n: usize| random.usize(..n);
    let behaviours = Behaviours {
        partial: [Partial::Atomic, Partial::GoodOnesLand, Partial::UntilFirstError][any(3)],
        error_keys: [ErrorKeys::Indexed, ErrorKeys::Named, ErrorKeys::General][any(3)],
        response: [ResponseAttributes::Usual, ResponseAttributes::Everything, ResponseAttributes::Minimal]
            [any(3)],
        date_bounds: [DateBounds::Inclusive, DateBounds::Exclusive][any(2)],
        tidying: [Tidying::NONE, Tidying::USUAL][any(2)],
        form_fields: [FormFieldWrites::MergeByName, FormFieldWrites::ReplaceAll][any(2)],
        unknown_ids: [UnknownIds::Refuse, UnknownIds::LeaveOut][any(2)],
        too_many_requests: [
            TooManyRequests::AllHeaders,
            TooManyRequests::RetryAfterOnly,
            TooManyRequests::Bare,
        ][any(3)],
        ..Behaviours::default()
    };
    SandboxOptions {
        customers: [1, 5, 25, 60][any(4)],
        quota: [4, 20, 150][any(3)],
        window_ms: [2_000, 30_000][any(2)],
        competitor_calls: [0, 0, 2][any(3)],
        max_customers_per_update: [10, 10, 4][any(3)],
        seed,
        behaviours,
        tolerated_refusals: u32::MAX,
        ..SandboxOptions::default()
    }
}

fn live(world: &Shared, random: &mut fastrand::Rng) -> Result<(), String> {
    let mut options =
        SyncOptions { overlap: Duration::from_secs([0, 60][random.usize(..2)]), ..SyncOptions::default() };
    let policies = [Policy::Hold, Policy::Hold, Policy::Local, Policy::Remote, Policy::Latest];
    options.policies = Policies::all(policies[random.usize(..policies.len())]);
    open_accounts(world);
    each_till(world, || perform(world, &options, Job::Pull, Weather::default()))?;
    for _ in 0..random.usize(5..40) {
        step(world, &options, random)?;
        world.lock().problems.pop().map_or(Ok(()), Err)?;
    }
    calm(world, &options)?;
    check::all(world)
}

/// Every customer begins with a balance that no adjustment can exhaust.
fn open_accounts(world: &Shared) {
    let mut world = world.lock();
    let now = world.now();
    for id in world.core.ids() {
        world.core.edit_text(now, id, r#"{"store_credit_amounts":[{"amount":10000}]}"#).unwrap();
        world.model.credit.insert(i64::from(id), 10_000);
    }
}

/// Every till in turn.
fn each_till(world: &Shared, act: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let tills = world.lock().tills.len();
    (0..tills).try_for_each(|till| {
        world.lock().active = till;
        act()
    })
}

fn step(world: &Shared, options: &SyncOptions, random: &mut fastrand::Rng) -> Result<(), String> {
    let tills = world.lock().tills.len();
    world.lock().active = random.usize(..tills);
    match random.u32(..100) {
        0..35 => (0..random.usize(1..12)).for_each(|_| edit(world)),
        35..55 => (0..random.usize(1..6)).for_each(|_| office(world)),
        55..58 => jump(world),
        58..64 => decide(world),
        64..70 => world.lock().pass(random.u64(0..100_000)),
        _ => {
            let jobs = [Job::Sync, Job::Sync, Job::Sync, Job::Push, Job::Pull, Job::FullPull];
            let weather = Weather {
                is_down: random.u8(..10) == 0,
                faults: [0.0, 0.05, 0.2, 0.5][random.usize(..4)],
                dies_at: (random.u8(..3) == 0).then(|| random.u64(1..120)),
                edits: [0.0, 0.0, 0.05][random.usize(..3)],
            };
            perform(world, options, jobs[random.usize(..jobs.len())], weather)?;
        }
    }
    Ok(())
}

/// Runs the engine in this weather. That it fails is no problem, as long as it fails with a word for it.
fn perform(world: &Shared, options: &SyncOptions, job: Job, weather: Weather) -> Result<(), String> {
    let (path, chance) = {
        let mut world = world.lock();
        world.note(format!("== {job:?} {weather:?}"));
        world.calls = 0;
        world.weather = weather;
        (world.till().path.clone(), world.random.fork())
    };
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let store = Store::open(&path)?;
        let mut engine =
            SyncEngine::with_clock(store, world.clone(), options.clone(), Arc::new(world.clone()), chance);
        match job {
            Job::Sync => engine.sync().map(|report| format!("{report:?}")),
            Job::Push => engine.push().map(|report| format!("{report:?}")),
            Job::Pull => engine.pull(Extent::Changes).map(|report| format!("{report:?}")),
            Job::FullPull => engine.pull(Extent::Full).map(|report| format!("{report:?}")),
        }
    }));
    let mut world = world.lock();
    world.weather = Weather::default();
    world.settle();
    match done {
        Ok(Ok(report)) => {
            world.note(format!("== {report}"));
        }
        Ok(Err(error)) if is_expected(&error) => world.note(format!("== {error}")),
        Ok(Err(error)) => return Err(format!("{job:?} failed: {error}")),
        Err(payload) if is_crash(&*payload) => {}
        Err(payload) => std::panic::resume_unwind(payload),
    }
    Ok(())
}

fn is_expected(error: &Error) -> bool {
    error.is_offline() || error.is_auth() || error.code() == "protocol"
}

// ---- what people do ----------------------------------------------------------------------------------------------

/// The app edits: through the library or through plain SQL.
pub fn edit(world: &Shared) {
    let (path, id, edit) = {
        let mut world = world.lock();
        let ids = world.core.ids();
        if ids.is_empty() {
            return;
        }
        let id = i64::from(ids[world.random.usize(..ids.len())]);
        (world.till().path.clone(), id, draw_edit(&mut world))
    };
    let app = world.lock().till().app.take();
    let mut store = app.unwrap_or_else(|| Store::open(&path).unwrap());
    let done = match &edit {
        Draw::Adjust(amount) => {
            store.edit(id).adjust_credit(*amount).author("ana").commit().map(|receipt| receipt.fields())
        }
        Draw::Set(field, value) => {
            store.edit(id).set(field, value).label("simulated").commit().map(|receipt| receipt.fields())
        }
        Draw::Sql(field, value) => plain_sql(&mut store, id, field, value),
    };
    let mut world = world.lock();
    world.till().app = Some(store);
    match done {
        Ok(rows) => {
            world.till().acknowledged += rows as u64;
            world.model.edited.insert((id, edit.field().to_owned()));
            world.note(format!(".. the app edits {id}: {edit:?}"));
        }
        Err(error) if error.code() == "unknown_customer" => {}
        Err(error) => world.problems.push(format!("edit {edit:?} of {id} failed: {error}")),
    }
}

#[derive(Debug)]
enum Draw {
    Set(&'static str, String),
    Sql(&'static str, String),
    Adjust(Decimal),
}

impl Draw {
    fn field(&self) -> &'static str {
        match self {
            Draw::Set(field, _) | Draw::Sql(field, _) => field,
            Draw::Adjust(_) => "store_credit_amounts",
        }
    }
}

fn draw_edit(world: &mut World) -> Draw {
    let n = world.random.u32(..1_000);
    match world.random.u32(..10) {
        3..6 if world.active > 0 => draw_edit(world),
        0..3 => Draw::Adjust(Decimal::new(i64::from(world.random.i32(-900..900)), 2)),
        3..6 => {
            let field = TILL_ONLY[world.random.usize(..TILL_ONLY.len())];
            let value = till_value(world, field, n);
            if world.random.bool() { Draw::Set(field, value) } else { Draw::Sql(field, value) }
        }
        _ => {
            let field = SHARED[world.random.usize(..SHARED.len())];
            Draw::Set(field, shared_value(world, field, "till", n))
        }
    }
}

/// Addresses are few, so that customers take each other's; some are none, and the store refuses them.
fn till_value(world: &mut World, field: &str, n: u32) -> String {
    match field {
        "email" if world.random.u8(..6) == 0 => format!("no address {n}"),
        "email" => format!("shared{}@example.com", n % 12),
        _ => format!("till {}", n % 50),
    }
}

fn shared_value(world: &mut World, field: &str, who: &str, n: u32) -> String {
    match field {
        "form_fields" => {
            let name = ["size", "colour"][world.random.usize(..2)];
            format!(r#"[{{"name":"{name}","value":"{who} {}"}},{{"name":"n","value":{}}}]"#, n % 20, n % 3)
        }
        "channel_ids" => format!("[1,{},{}]", 2 + n % 3, 5 + n % 4),
        "notes" => format!("first\n{who} {}\nmiddle\nlast {}", n % 4, n % 2),
        _ => format!("{who} {}", n % 30),
    }
}

fn plain_sql(store: &mut Store, id: i64, field: &str, value: &str) -> tillsync::Result<usize> {
    let connection = store.connection();
    let count =
        || connection.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = count();
    connection.execute(&format!("UPDATE customer SET {field} = ?2 WHERE id = ?1"), (id, value)).unwrap();
    Ok((count() - before) as usize)
}

/// The back office edits the store itself, while no sync runs.
fn office(world: &Shared) {
    let mut world = world.lock();
    let ids = world.core.ids();
    if ids.is_empty() {
        return;
    }
    let id = ids[world.random.usize(..ids.len())];
    let (now, n) = (world.now(), world.random.u32(..1_000));
    let json = match world.random.u32(..20) {
        0 => {
            world.core.delete(id);
            world.model.deleted.insert(i64::from(id));
            return world.note(format!(".. the office deletes {id}"));
        }
        1..5 => {
            let balance = balance(&world, id) + Decimal::from(100_000);
            *world.model.credit.get_mut(&i64::from(id)).unwrap() += 100_000;
            format!(r#"{{"store_credit_amounts":[{{"amount":{balance}}}]}}"#)
        }
        5..8 => {
            world.model.office.insert((i64::from(id), OFFICE_ONLY[0]), format!("T{n}"));
            format!(r#"{{"{}":"T{n}"}}"#, OFFICE_ONLY[0])
        }
        _ => {
            let field = SHARED[world.random.usize(..SHARED.len())];
            let value = shared_value(&mut world, field, "office", n);
            let is_text = !matches!(field, "form_fields" | "channel_ids");
            let value = if is_text { serde_json::Value::from(value).to_string() } else { value };
            format!(r#"{{"{field}":{value}}}"#)
        }
    };
    world.core.edit_text(now, id, &json).unwrap();
    world.note(format!(".. the office edits {id}: {json}"));
    world.pass(1_000);
}

/// The balance as the store has it.
pub fn balance(world: &World, id: i32) -> Decimal {
    #[derive(serde::Deserialize)]
    struct Customer<'a> {
        #[serde(borrow)]
        store_credit_amounts: Vec<Amount<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Amount<'a> {
        #[serde(borrow)]
        amount: &'a serde_json::value::RawValue,
    }
    let text = world.core.customer_text(id).unwrap();
    let customer: Customer<'_> = serde_json::from_str(&text).unwrap();
    customer.store_credit_amounts[0].amount.get().parse().unwrap()
}

/// Somebody sets the till's clock, by seconds or by years.
fn jump(world: &Shared) {
    let mut world = world.lock();
    let by = [1, 3_600, 86_400, 400_000_000][world.random.usize(..4)];
    let skew = TimeDelta::seconds(world.random.i64(-by..=by));
    world.till().skew = skew;
    world.note(format!(".. the till's clock is set: {skew}"));
}

/// A person decides what waits.
fn decide(world: &Shared) {
    let path = world.lock().till().path.clone();
    let mut store = Store::open(&path).unwrap();
    let mut world = world.lock();
    for conflict in store.conflicts().unwrap() {
        let id = conflict.customer_id;
        let keep = [Keep::Local, Keep::Remote][world.random.usize(..2)].clone();
        if conflict.field == "*" {
            store.discard(id, None, Some("bo")).unwrap();
            world.note(format!(".. discards {id}, which was deleted"));
        } else {
            if conflict.field == "store_credit_amounts" {
                world.model.decided.insert(id.0);
            }
            match store.resolve(id, &conflict.field, &keep, Some("bo")) {
                Ok(_) => world.note(format!(".. resolves {id} {}: {keep:?}", conflict.field)),
                Err(error) if error.is_usage() => world.note(format!(".. cannot resolve {id}: {error}")),
                Err(error) => world.problems.push(error.to_string()),
            }
        }
        world.till().acknowledged = journal_rows(&path);
    }
    for rejected in store.rejected().unwrap() {
        match world.random.u8(..3) {
            0 => _ = store.retry(Some(rejected.customer_id)).unwrap(),
            1 => {
                _ = store
                    .discard(rejected.customer_id, Some(&rejected.field), None)
                    .map_err(|e| assert!(e.is_usage()))
            }
            _ => {}
        }
    }
}

/// Decisions are journaled too.
fn journal_rows(path: &Path) -> u64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

// ---- the end -----------------------------------------------------------------------------------------------------

/// The network heals; what was refused for a passing reason is sent again.
fn calm(world: &Shared, options: &SyncOptions) -> Result<(), String> {
    let all = |job| each_till(world, || perform(world, options, job, Weather::default()));
    let again = || {
        let path = world.lock().till().path.clone();
        Store::open(&path).unwrap().retry(None).map(drop).map_err(|e| e.to_string())
    };
    for _ in 0..3 {
        all(Job::Sync)?;
        each_till(world, again)?;
    }
    for job in [Job::FullPull, Job::Sync, Job::Sync, Job::Sync] {
        all(job)?;
    }
    Ok(())
}
