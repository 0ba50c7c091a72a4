//! One history: a shop's life, then calm weather, then what the invariants say.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tillsync::sandbox::{Behaviours, StoreCore, Undated, Untold};
use tillsync::{Error, Extent, Store, SyncEngine, SyncOptions};

use crate::attributes;
use crate::people;
use crate::script::{Item, Job, Script, Step, Weather, What, Without};
use crate::twists::SCARCE_QUOTA;
use crate::walk_ins;
use crate::world::{Ended, Shared, Till, World, is_crash};

/// A history that was played.
pub struct Played {
    /// What is wrong.
    pub outcome: Result<(), String>,
    pub trace: Vec<String>,
    /// All that it could go without: its steps, its oddities, and what happened by chance.
    pub items: Vec<Item>,
    /// What was let pass, by reason.
    pub excuses: BTreeMap<&'static str, u32>,
}

/// Plays the history of a seed, without what is left out.
pub fn play(seed: u64, without: &Without) -> Played {
    let folder = folder();
    let script = Script::draw(seed, without);
    let core = StoreCore::new(&script.sandbox);
    let paths = (0..script.tills).map(|n| folder.path().join(format!("till{n}.db")));
    let world = World::new(core, script.odd.clone(), without.clone(), paths).share();
    note_the_shop(&world, &script);
    let life = std::panic::catch_unwind(AssertUnwindSafe(|| live(&world, &script, without)));
    let outcome = life.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(text.unwrap_or_else(|| "panicked".to_owned()))
    });
    let mut world = world.lock();
    let steps = (0..script.steps.len()).map(Item::Step);
    let oddities = script.odd.names().map(|name| Item::Oddity(name.to_owned()));
    let items = steps.chain(oddities).chain(std::mem::take(&mut world.chances));
    Played {
        outcome,
        items: items.filter(|item| !without.has(item)).collect(),
        trace: std::mem::take(&mut world.trace),
        excuses: std::mem::take(&mut world.excuses),
    }
}

fn note_the_shop(world: &Shared, script: &Script) {
    let mut world = world.lock();
    world.note(format!("seed {}", script.seed));
    script.odd.about().for_each(|line| world.note(line));
    world.note(format!("{:?}", script.sandbox));
}

/// In memory where the system has such a place: the file is real, its disk need not be.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

fn live(world: &Shared, script: &Script, without: &Without) -> Result<(), String> {
    world.lock().begin_step(0, script.seed);
    people::open_accounts(world);
    attributes::define(world);
    // No reading lags by more.
    world.lock().pass(10_000);
    let first = |world: &Shared| perform(world, &script.options, Job::Pull, Weather::default());
    each_till(world, first)?;
    each_till(world, people::install_app)?;
    each_till(world, walk_ins::install)?;
    for (place, step) in script.steps.iter().enumerate() {
        if !without.has(&Item::Step(place)) {
            play_step(world, &script.options, place, step)?;
            world.lock().problems.first().cloned().map_or(Ok(()), Err)?;
        }
    }
    calm(world, script)?;
    let mut world = world.lock();
    world.ask(|invariant, world| invariant.at_last(world));
    world.problems.first().cloned().map_or(Ok(()), Err)
}

fn play_step(world: &Shared, options: &SyncOptions, place: usize, step: &Step) -> Result<(), String> {
    {
        let mut world = world.lock();
        world.begin_step(place, step.seed);
        world.active = step.till;
    }
    match step.what {
        What::Edit => people::edit(world),
        What::Office => people::office(&mut world.lock()),
        What::Clock => people::set_clock(world),
        What::Decide => {
            people::pay_again(world);
            people::decide(world);
        }
        What::BackUp => people::back_up(world)?,
        What::SetBack => people::set_back(world)?,
        What::Pass { ms } => world.lock().pass(ms),
        What::Run(job, weather) => perform(world, options, job, weather)?,
    }
    Ok(())
}

/// Every till in turn.
fn each_till(world: &Shared, act: impl Fn(&Shared) -> Result<(), String>) -> Result<(), String> {
    let tills = world.lock().tills.len();
    (0..tills).try_for_each(|till| {
        world.lock().active = till;
        act(world)
    })
}

/// Runs the engine in this weather. That it fails is no problem, as long as it fails with a word for it.
fn perform(world: &Shared, options: &SyncOptions, job: Job, weather: Weather) -> Result<(), String> {
    let (path, engines, chance, word, told) = {
        let mut world = world.lock();
        world.note(format!("== {job:?} {weather:?}"));
        (world.calls, world.weather, world.run_began_ms) = (0, weather, world.now_ms);
        world.ahead_ms = None;
        world.runs += 1;
        if weather.is_down && !world.happens(1.0) {
            world.weather.is_down = false;
        }
        let word = world.is_calm.then_some(world.deleted.len() as u64);
        let engines = world.till().engines.take().filter(|_| !world.is_restarted());
        let told = world.till().told.clone();
        (world.till().path.clone(), engines, world.random.fork(), word, told)
    };
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let store = match engines {
            Some(store) => store,
            None => match Store::open(&path) {
                Ok(store) => store,
                Err(error) => return (Err(error), None),
            },
        };
        let mut engine =
            SyncEngine::with_clock(store, world.clone(), options.clone(), Arc::new(world.clone()), chance);
        let done = match job {
            Job::Sync => engine.sync().map(|report| (report.incomplete.is_none(), format!("{report:?}"))),
            Job::Push => engine.push().map(|report| (report.incomplete.is_none(), format!("{report:?}"))),
            Job::Pull => engine
                .pull(Extent::Changes)
                .map(|report| (report.incomplete.is_none(), format!("{report:?}"))),
            Job::FullPull => {
                // In the end somebody says how many the office has deleted: a shop of three is emptied by nothing else.
                if let Some(deleted) = word {
                    engine.allow_deletions(deleted);
                }
                engine.pull(Extent::Full).map(|report| (report.incomplete.is_none(), format!("{report:?}")))
            }
        };
        (done, Some(engine.into_store()))
    }));
    let mut world = world.lock();
    world.weather = Weather::default();
    world.settle();
    walk_ins::follow_up(&mut world);
    if done.is_err() {
        world.till().told.forgets_what_came_since(told);
        world.forgets_what_was_shown();
    }
    let done = match done {
        Ok((done, engines)) => {
            world.till().engines = engines;
            Some(done)
        }
        Err(payload) if is_crash(&*payload) => None,
        Err(payload) => std::panic::resume_unwind(payload),
    };
    let ended = Ended {
        job,
        // A pull that says it is not complete has said it.
        is_well: matches!(done, Some(Ok((true, _)))),
        error: done.as_ref().and_then(|done| done.as_ref().err()),
    };
    match &done {
        Some(Ok((_, report))) => world.note(format!("== {report}")),
        Some(Err(error)) => world.note(format!("== {error}")),
        None => {}
    }
    match ended.error {
        Some(error) if !is_expected(error) => return Err(format!("{job:?} failed: {error}")),
        Some(error) if world.is_calm && !may_fail_still(&mut world, error) => {
            return Err(format!("all is calm, and {job:?} fails: {error}"));
        }
        _ => world.ask(|invariant, world| invariant.at_restart(world, &ended)),
    }
    if let Some(ahead_ms) = world.ahead_ms.take().filter(|_| !world.is_calm) {
        in_between(&mut world, ahead_ms);
    }
    world.problems.first().cloned().map_or(Ok(()), Err)
}

/// A `Date` was ahead: what the office writes before that time comes is what a cursor that jumped there would pass over.
fn in_between(world: &mut World, ahead_ms: u64) {
    if world.happens(0.7) {
        world.pass(ahead_ms / 2);
        people::office(world);
        world.pass(ahead_ms / 2 + 1_000);
    }
}

/// Where nobody is left of those whom a till knows, no answer by id tells anything.
fn may_fail_still(world: &mut World, error: &Error) -> bool {
    error.code() == "incomplete" || knows_nobody(world)
}

/// Whether nobody whom the file of the till has is in the store.
fn knows_nobody(world: &mut World) -> bool {
    let there: Vec<i64> = world.core.ids().into_iter().map(i64::from).collect();
    let mut statement = world.till().looks().prepare_cached("SELECT id FROM snapshot").unwrap();
    let known = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    known.map(Result::unwrap).all(|id| !there.contains(&id))
}

fn is_expected(error: &Error) -> bool {
    error.is_offline() || error.is_auth() || ["protocol", "incomplete"].contains(&error.code())
}

// ---- the end -----------------------------------------------------------------------------------------------------

/// The network heals, and the store tells the truth, in its own way of telling; what was refused for a passing reason is
/// sent again.
fn calm(world: &Shared, script: &Script) -> Result<(), String> {
    {
        let mut world = world.lock();
        (world.is_calm, world.lagged_ms) = (true, world.lag_ms());
        world.begin_step(script.steps.len(), script.seed);
        let told = world.core.options().behaviours;
        let is_scarce = world.core.options().quota <= SCARCE_QUOTA;
        let mut told = truthful(told);
        if is_scarce {
            // So few calls a window take longer than a cursor lives: no client gets to the end of such a list.
            told.cursor_life_ms = 0;
        }
        world.core.set_behaviours(told);
    }
    let all = |job| {
        each_till(world, |world| {
            world.lock().pass(20_000);
            perform(world, &script.options, job, Weather::default())
        })
    };
    for _ in 0..3 {
        all(Job::Sync)?;
        each_till(world, people::retry_all)?;
        each_till(world, people::decide_who_exists)?;
    }
    // Where the app's triggers stay, those whom they refuse wait for ever, and nobody else.
    if script.seed.is_multiple_of(2) {
        each_till(world, people::drop_refusals)?;
    }
    // One that goes on where it was cut before the store told the truth may lack somebody, and says so.
    for job in [Job::FullPull, Job::FullPull, Job::Sync, Job::Sync, Job::Sync] {
        all(job)?;
    }
    // What a shopper spent at the last moment looks like a reading that lags, until a minute has passed.
    let doubts = { world.lock().tills.iter_mut().any(doubts_somebody) };
    if doubts {
        world.lock().pass(60_000);
        all(Job::Sync)?;
    }
    Ok(())
}

/// Whether a till has not believed a reading yet.
fn doubts_somebody(till: &mut Till) -> bool {
    let sql = "SELECT count(*) FROM state WHERE key = 'older_readings'";
    till.looks().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() > 0
}

/// What only hides the truth goes; what makes it hard to get stays.
fn truthful(behaviours: Behaviours) -> Behaviours {
    Behaviours {
        overlooks_every: 0,
        hides_every: 0,
        untold: Untold::Nothing,
        undated: Undated::Nothing,
        read_lag_ms: 0,
        ..behaviours
    }
}
