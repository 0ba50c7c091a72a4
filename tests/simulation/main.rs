//! The whole engine in a simulated world with a virtual clock, with every failure and every oddity that a seed can think of.
//!
//! The same `SyncEngine` code runs here as in a till; only the network and the clock are stand-ins. A seed decides what is
//! edited, by whom, what breaks, in which ways the store is odd, where the process dies and which answer comes next
//! (`script`, `oddities`). The invariants, each an object of its own, watch all of it, and once the network is well and the
//! store tells the truth they say whether the promises were kept (`invariants`). A history that fails is made short before it
//! is printed (`shrink`).
//!
//! ```text
//! TILLSYNC_SEEDS=20000 cargo test --profile hunt … --test simulation    a long hunt; see docs/testing.md
//! TILLSYNC_FIRST_SEED=8000 TILLSYNC_SEEDS=500 …                   a part of one
//! TILLSYNC_GO_ON=1 …                                              does not stop at a seed that fails: names it, and goes on
//! TILLSYNC_SEED=4711 cargo test --test simulation                 replays one seed, with its trace
//! TILLSYNC_SEED=4711 TILLSYNC_WITHOUT=0-12,14.3,lag …             without these steps, chances and oddities
//! TILLSYNC_ODD=lag,naps …                                         with these oddities only; all: with those that wait, too
//! TILLSYNC_SHRINK=0 …                                             for how many seconds a history is made short; default 120
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "a history is printed")]

mod attributes;
mod invariants;
mod network;
mod oddities;
mod people;
mod run;
mod script;
mod shrink;
mod twists;
mod values;
mod walk_ins;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rayon::prelude::*;

use crate::run::{Played, play};
use crate::script::Without;

/// Seeds in a run of the test suite.
const SEEDS: u64 = 200;
/// For how long a failing history is made short, unless the environment says otherwise.
const SHRINK_SECONDS: u64 = 120;
/// The last lines of a trace that are printed when nobody asked for all of it.
const LAST_LINES: usize = 80;

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_is_done_twice() {
    world::quiet_crashes();
    if let Some(seed) = number("TILLSYNC_SEED") {
        return replay(seed);
    }
    let first = number("TILLSYNC_FIRST_SEED").unwrap_or(0);
    let seeds = number("TILLSYNC_SEEDS").unwrap_or(SEEDS);
    let goes_on = number("TILLSYNC_GO_ON").is_some();
    let tried = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let excuses = Mutex::new(BTreeMap::<&str, u32>::new());
    let failure = (first..first + seeds).into_par_iter().find_map_any(|seed| {
        let played = play(seed, &Without::default());
        tried.fetch_add(1, Ordering::Relaxed);
        for (why, times) in &played.excuses {
            *excuses.lock().unwrap().entry(*why).or_default() += times;
        }
        let problem = played.outcome.as_ref().err()?;
        if goes_on {
            failed.fetch_add(1, Ordering::Relaxed);
            println!("seed {seed}: {problem}");
            return None;
        }
        Some((seed, played))
    });
    let (tried, failed) = (tried.into_inner(), failed.into_inner());
    assert!(failed == 0, "{failed} of {tried} seeds failed");
    match failure {
        Some((seed, played)) => fail(seed, played, tried),
        None => println!("{tried} seeds; let pass: {:?}", excuses.into_inner().unwrap()),
    }
}

/// What the simulation is shown to notice is taken out of the sources by their text (`tests/mutations.py`): a change of the
/// engine that moves such a place moves it there too.
#[test]
fn every_mutation_finds_its_place() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mutations.py");
    match std::process::Command::new("python3").args([script, "--check"]).output() {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => println!("not checked, there is no python3: {error}"),
    }
}

/// Plays one seed, as a whole or without what the environment leaves out.
fn replay(seed: u64) {
    let without = std::env::var("TILLSYNC_WITHOUT").unwrap_or_default();
    let played = play(seed, &without.parse().unwrap());
    played.trace.iter().for_each(|line| println!("{line}"));
    println!("let pass: {:?}", played.excuses);
    played.outcome.unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
}

fn fail(seed: u64, played: Played, tried: usize) -> ! {
    let problem = played.outcome.clone().unwrap_err();
    let patience = Duration::from_secs(number("TILLSYNC_SHRINK").unwrap_or(SHRINK_SECONDS));
    world::be_quiet(true);
    let shrunk = shrink::shrink(seed, played, patience);
    world::be_quiet(false);
    let trace = &shrunk.played.trace;
    trace[trace.len().saturating_sub(LAST_LINES)..].iter().for_each(|line| println!("{line}"));
    let shortest = shrunk.played.outcome.as_ref().unwrap_err();
    panic!(
        "seed {seed}: {problem}\nfound after {tried} seeds\n\
         made short in {} tries: {shortest}\n\
         replay: TILLSYNC_SEED={seed} TILLSYNC_WITHOUT='{}' cargo test --test simulation -- --nocapture",
        shrunk.tries, shrunk.without
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
