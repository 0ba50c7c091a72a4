//! A small fleet that shares one store's quota: the simulation of `examples/fleet`, held against what it must not fall
//! behind. Fifty tills have a twentieth of the quota that a thousand have in docs/scale.md.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the example plays more of it")]
#[path = "../../examples/fleet/sim/mod.rs"]
mod sim;
mod twin;

use std::collections::BTreeMap;

use sim::figures::Figures;
use sim::scenario::{Scenario, Start};
use sim::world::{Caller, History, Seen, play};

const SEEDS: std::ops::Range<u64> = 0..4;
const TILLS: usize = 50;
const QUOTA: u64 = 450 / 20;

fn fleet(seed: u64) -> Scenario {
    Scenario { quota: QUOTA, ..Scenario::new(TILLS, seed) }.every(900)
}

fn check(scenario: &Scenario) -> (Figures, History) {
    let history = play(scenario);
    let figures = Figures::of(scenario, &history);
    (figures, history)
}

#[test]
fn after_an_hour_offline_all_arrives_and_nobody_is_left_behind() {
    for seed in SEEDS {
        for start in [Start::AtOnce, Start::Running] {
            let scenario = Scenario { start, ..fleet(seed).drain(6) };
            let (figures, history) = check(&scenario);
            let waiting = history.edits.iter().filter(|edit| edit.is_backlog && edit.arrived_ms.is_none());
            assert_eq!(waiting.count(), 0, "seed {seed}");
            assert_eq!(figures.failed_syncs, 0, "seed {seed}: a sync gave up because others use the quota");
            assert!(figures.slowest_over_mean < 3.0, "seed {seed}: {figures:?}");
            let busy = TILLS - scenario.idle;
            let is_busy = |by| matches!(by, Caller::Write(till) if till < busy);
            let updates = history.calls.iter().filter(|call| call.is_passed && is_busy(call.by));
            assert_eq!(updates.count(), busy, "seed {seed}: six edits are one update");
        }
    }
}

#[test]
fn a_herd_uses_the_quota_up_and_is_refused_no_more_often_than_it_must_be() {
    for seed in SEEDS {
        let (figures, _) = check(&fleet(seed).drain(30));
        assert!(figures.quota_used > 0.85, "seed {seed}: {figures:?}");
        // While all want more than there is, each asks in each window: up to three calls, of which some are let through.
        assert!(figures.refused_share < 0.75, "seed {seed}: {figures:?}");
    }
}

#[test]
fn within_the_quota_nothing_is_refused_and_an_edit_arrives_in_seconds() {
    for seed in SEEDS {
        let (figures, _) = check(&fleet(seed).steady(2.0));
        assert_eq!(figures.refused, 0, "seed {seed}: {figures:?}");
        let (median, p99) = figures.edit_s.unwrap();
        assert!(median < 4.0 && p99 < 15.0, "seed {seed}: {figures:?}");
    }
}

/// The schedule grows by itself: by the default, as many tills as use up the quota with news alone.
#[test]
fn with_the_default_schedule_nothing_is_refused_either() {
    for seed in SEEDS {
        let (figures, _) = check(&fleet(seed).every(60).steady(6.0));
        assert!(figures.refused_share < 0.01, "seed {seed}: {figures:?}");
        let (median, p99) = figures.edit_s.unwrap();
        assert!(median < 4.0 && p99 < 15.0, "seed {seed}: {figures:?}");
    }
}

/// The store counts its three places over all tills: whoever was refused one comes back later each time, with one look for many tries.
#[test]
fn three_slots_for_all_tills_are_enough_for_all() {
    for seed in SEEDS {
        let (figures, history) = check(&fleet(seed).drain(6).slots(1));
        assert!(history.edits.iter().all(|edit| !edit.is_backlog || edit.arrived_ms.is_some()));
        assert!(figures.crowded > 0, "seed {seed}: {figures:?}");
        assert_eq!(figures.failed_syncs, 0, "seed {seed}");
    }
}

/// Two tills with much to send: what the pacers leave of each window is for the other apps.
#[test]
fn the_reserve_is_left_to_the_other_apps() {
    for seed in SEEDS {
        let two = Scenario { tills: 2, quota: 60, has_news: false, ..fleet(seed) };
        let left = |reserve| least_left(&two.clone().drain(2_000).reserve(reserve));
        // A till does not know of the calls that the other one has on their way: three updates, and a look beside them.
        assert!(left(10) >= 6 - 4, "seed {seed}: {} of 60 were left", left(10));
        assert!(left(50) >= 30 - 4, "seed {seed}: {} of 60 were left", left(50));
        assert!(left(0) < 2, "seed {seed}: {} of 60 were left without a reserve", left(0));
    }
}

/// The least that any window but the first and the last left unused.
fn least_left(scenario: &Scenario) -> u64 {
    let (_, history) = check(scenario);
    let mut used: BTreeMap<usize, u64> = BTreeMap::new();
    for call in history.calls.iter().filter(|call| call.is_passed) {
        let window = history.windows.iter().rposition(|began_ms| *began_ms <= call.at_ms).unwrap();
        *used.entry(window).or_default() += 1;
    }
    let inner = used.iter().filter(|(window, _)| (1..history.windows.len() - 1).contains(window));
    scenario.quota - inner.map(|(_, calls)| *calls).max().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_seed_another() {
    let calls = |seed| play(&fleet(seed).drain(6)).calls;
    assert!(calls(1) == calls(1));
    assert!(calls(1) != calls(2));
}

/// The till of the simulation is the engine without its file; here is an engine with one.
#[test]
fn an_engine_with_a_file_makes_the_same_calls_at_the_same_instants() {
    for seed in 0..2 {
        let alone = Scenario { tills: 1, quota: 20, others: 90, has_news: false, ..fleet(seed).reserve(0) };
        let scenario = Scenario { backlog: 250, start: Start::AtOnce, lasts_s: 3_600, ..alone };
        let history = play(&scenario);
        assert!(history.calls.iter().any(|call| call.by == Caller::Write(0) && !call.is_passed));
        let theirs = |calls: Vec<Seen>| calls.into_iter().filter(|call| call.by != Caller::Other);
        assert!(theirs(history.calls).eq(theirs(twin::play(&scenario))), "seed {seed}");
    }
}
