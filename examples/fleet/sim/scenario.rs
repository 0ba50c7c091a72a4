//! What a fleet goes through.

use std::time::Duration;

use tillsync::{SyncOptions, SyncerOptions};

use super::store::Windows;

/// A fleet and its day.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub tills: usize,
    pub seed: u64,
    /// Calls a window, over all apps.
    pub quota: u64,
    pub window_ms: u64,
    pub windows: Windows,
    /// Updates at once, over all tills, where the store counts them so.
    pub slots: Option<usize>,
    /// Calls a window that other apps of the store make, evenly.
    pub others: u64,
    pub sync: SyncOptions,
    pub syncer: SyncerOptions,
    /// Off: as if a pull were one call however much the other tills have changed. What is left are the uploads alone.
    pub has_news: bool,
    pub start: Start,
    /// Edits that each till has waiting at the start.
    pub backlog: usize,
    /// The first so many tills have so many instead.
    pub heavy: (usize, usize),
    /// The last so many tills have none.
    pub idle: usize,
    /// Edits an hour of each till without a backlog, at random instants. Every edit is of another customer.
    pub edits_an_hour: f64,
    /// How long it is watched, at most; it ends when every backlog has arrived, unless it goes on.
    pub lasts_s: u64,
    pub goes_on: bool,
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
            windows: Windows::default(),
            slots: None,
            others: 0,
            sync: SyncOptions::default(),
            syncer: SyncerOptions::default(),
            has_news: true,
            start: Start::Running,
            backlog: 0,
            heavy: (0, 0),
            idle: 0,
            edits_an_hour: 0.0,
            lasts_s: 3_600,
            goes_on: false,
            measured_from_s: 0,
        }
    }

    /// A day like any other: two hours, of which the second counts.
    pub fn steady(self, edits_an_hour: f64) -> Scenario {
        Scenario { edits_an_hour, lasts_s: 7_200, measured_from_s: 3_600, ..self }
    }

    /// After an hour offline nine of ten tills have `backlog` edits each; the others begin to edit now, six times an hour.
    pub fn drain(self, backlog: usize) -> Scenario {
        let idle = self.tills / 10;
        Scenario { backlog, idle, edits_an_hour: 6.0, start: Start::AtOnce, lasts_s: 6 * 3_600, ..self }
    }

    /// Seconds between two syncs of a till without edits.
    pub fn every(self, seconds: u64) -> Scenario {
        let syncer = SyncerOptions { every: Duration::from_secs(seconds), ..self.syncer };
        Scenario { syncer, ..self }
    }

    /// The share of the quota, in percent, that the pacers leave to others.
    pub fn reserve(self, percent: u8) -> Scenario {
        Scenario { sync: SyncOptions { reserve_percent: percent, ..self.sync }, ..self }
    }

    /// So many updates at once, counted over all tills.
    pub fn slots(self, slots: usize) -> Scenario {
        Scenario { slots: Some(slots), ..self }
    }

    /// When windows begin.
    pub fn windows(self, windows: Windows) -> Scenario {
        Scenario { windows, ..self }
    }

    /// Other apps make this many calls a window.
    pub fn beside(self, others: u64) -> Scenario {
        Scenario { others, ..self }
    }

    /// Edits that this till has waiting at the start.
    pub fn backlog_of(&self, till: usize) -> usize {
        match till {
            till if till < self.heavy.0 => self.heavy.1,
            till if till >= self.tills - self.idle => 0,
            _ => self.backlog,
        }
    }
}
