//! What a fleet goes through.

use std::time::Duration;

use tillsync::{SyncOptions, SyncerOptions};

/// A fleet and its day.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub tills: usize,
    pub seed: u64,
    /// Calls a window, over all apps.
    pub quota: u64,
    pub window_ms: u64,
    /// Calls a window that other apps of the store make, evenly.
    pub others: u64,
    pub sync: SyncOptions,
    pub syncer: SyncerOptions,
    pub start: Start,
    /// Edits an hour and till, at random instants, each of another customer; none while a backlog drains.
    pub edits_an_hour: f64,
    /// Edits that the tills have waiting at the start; the first till has the first number of them, and so on in turn.
    pub backlog: Vec<usize>,
    /// How long it is watched, at most; it ends when every backlog has arrived.
    pub lasts_s: u64,
    /// What comes before this instant is left out of the figures: the fleet is getting into its stride.
    pub measured_from_s: u64,
}

/// How the tills begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At any time within the schedule: they have been running all day.
    Running,
    /// All within the same second: the power is back.
    AtOnce,
    /// They have been running without a network, which comes back after this many seconds.
    Offline(u64),
}

impl Scenario {
    /// A fleet on a Pro plan, with every option at its default.
    pub fn new(tills: usize, seed: u64) -> Scenario {
        Scenario {
            tills,
            seed,
            quota: 450,
            window_ms: 30_000,
            others: 0,
            sync: SyncOptions::default(),
            syncer: SyncerOptions::default(),
            start: Start::Running,
            edits_an_hour: 0.0,
            backlog: vec![0],
            lasts_s: 3_600,
            measured_from_s: 0,
        }
    }

    pub fn every(self, seconds: u64) -> Scenario {
        let syncer = SyncerOptions { every: Duration::from_secs(seconds), ..self.syncer };
        Scenario { syncer, ..self }
    }

    pub fn reserve(self, percent: u8) -> Scenario {
        Scenario { sync: SyncOptions { reserve_percent: percent, ..self.sync }, ..self }
    }

    /// Other apps make this many calls a window.
    pub fn beside(self, others: u64) -> Scenario {
        Scenario { others, ..self }
    }
}
