//! The whole engine on a simulated store and a virtual clock, with every failure that a seed can think of.
//!
//! The same `SyncEngine` code runs here as in a till; only the network and the clock are stand-ins. A seed decides
//! what is edited, by whom, what breaks, where the process dies and which answer comes next. After each run the
//! network heals, and the promises are checked against a model: see `check`.
//!
//! ```text
//! TILLSYNC_SEEDS=20000 cargo test --release --test simulation     a long hunt
//! TILLSYNC_SEED=4711 cargo test --test simulation                 replays one seed, with its trace
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod check;
mod model;
mod run;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

/// Seeds in a run of the test suite.
const SEEDS: u64 = 300;

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_is_done_twice() {
    world::quiet_crashes();
    if let Some(seed) = number("TILLSYNC_SEED") {
        let (outcome, trace) = run::seed(seed);
        trace.iter().for_each(|line| println!("{line}"));
        return outcome.unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
    }
    let first = number("TILLSYNC_FIRST_SEED").unwrap_or(0);
    let seeds = number("TILLSYNC_SEEDS").unwrap_or(SEEDS);
    let tried = AtomicUsize::new(0);
    let failure = (first..first + seeds).into_par_iter().find_map_any(|seed| {
        let (outcome, trace) = run::seed(seed);
        tried.fetch_add(1, Ordering::Relaxed);
        outcome.err().map(|problem| (seed, problem, trace))
    });
    if let Some((seed, problem, trace)) = failure {
        let last = trace.len().saturating_sub(80);
        trace[last..].iter().for_each(|line| println!("{line}"));
        let tried = tried.into_inner();
        panic!(
            "seed {seed}: {problem}\nfound after {tried} seeds\n\
             replay: TILLSYNC_SEED={seed} cargo test --test simulation -- --nocapture"
        );
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
