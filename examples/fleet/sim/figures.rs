//! What a history comes to.

use super::scenario::{Scenario, Start};
use super::world::{Caller, History, Seen};

/// The figures of one scenario.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Calls that were let through, in a second, over all apps.
    pub calls_a_second: f64,
    /// The same as a share of the quota.
    pub quota_used: f64,
    /// Customers that arrived, in a second.
    pub customers_a_second: f64,
    pub reads: u64,
    pub writes: u64,
    /// Calls of tills that were refused, and the share of all their calls that they are.
    pub refused: u64,
    pub refused_share: f64,
    /// The same because too many updates were under way.
    pub crowded: u64,
    pub crowded_share: f64,
    /// The share of the other apps' calls that was refused.
    pub others_refused_share: f64,
    /// Until the last backlog had arrived, from the network's return; and without the heavy tills.
    pub drained_s: Option<(f64, f64)>,
    /// The slowest till's time to drain over the mean, without the heavy tills.
    pub slowest_over_mean: f64,
    /// Jain's index of the tills' times to drain: 1 when all take the same time.
    pub jain: f64,
    /// From an edit to its arrival, of edits that are no backlog: median and 99th percentile.
    pub edit_s: Option<(f64, f64)>,
    /// Syncs that ended early since the network is back, over all tills.
    pub failed_syncs: usize,
}

impl Figures {
    pub fn of(scenario: &Scenario, history: &History) -> Figures {
        let from_ms = from_ms(scenario);
        let seconds = (history.ended_ms.saturating_sub(from_ms)) as f64 / 1_000.0;
        let calls: Vec<Seen> = history.calls.iter().copied().filter(|call| call.at_ms >= from_ms).collect();
        let count = |is: &dyn Fn(&Seen) -> bool| calls.iter().filter(|call| is(call)).count() as u64;
        let passed = count(&|call| call.is_passed);
        let refused = count(&|call| !call.is_passed && !call.is_crowded && call.by != Caller::Other);
        let crowded = count(&|call| call.is_crowded);
        let others = count(&|call| call.by == Caller::Other);
        let others_refused = count(&|call| call.by == Caller::Other && !call.is_passed);
        let arrived =
            history.edits.iter().filter(|edit| edit.arrived_ms.is_some_and(|at_ms| at_ms >= from_ms));
        let calls_a_second = passed as f64 / seconds;
        let windows = history.windows.iter().filter(|began_ms| **began_ms >= from_ms).count();
        let times = drain_times(scenario, history, from_ms);
        let light = &times[scenario.heavy.0.min(times.len())..];
        Figures {
            calls_a_second,
            quota_used: share(passed + crowded, scenario.quota * windows as u64),
            customers_a_second: arrived.count() as f64 / seconds,
            reads: count(&|call| call.is_passed && matches!(call.by, Caller::Read(_))),
            writes: count(&|call| call.is_passed && matches!(call.by, Caller::Write(_))),
            refused,
            refused_share: share(refused, calls.len() as u64 - others),
            crowded,
            crowded_share: share(crowded, calls.len() as u64 - others),
            others_refused_share: share(others_refused, others),
            drained_s: slowest(&times).zip(slowest(light)),
            slowest_over_mean: slowest(light).unwrap_or(0.0) / mean(light),
            jain: jain(light),
            edit_s: edit_times(history, from_ms),
            failed_syncs: history.failures_ms.iter().filter(|at_ms| **at_ms > from_ms + 5).count(),
        }
    }
}

/// From when on it is measured: the network's return, or the end of the start.
pub fn from_ms(scenario: &Scenario) -> u64 {
    let offline_s = if let Start::Offline(seconds) = scenario.start { seconds } else { 0 };
    scenario.measured_from_s.max(offline_s) * 1_000
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// How long each till with a backlog took to drain, in seconds, in the order of the tills.
fn drain_times(scenario: &Scenario, history: &History, from_ms: u64) -> Vec<f64> {
    let mut times = vec![0.0_f64; scenario.tills];
    for edit in history.edits.iter().filter(|edit| edit.is_backlog) {
        let arrived_ms = edit.arrived_ms.unwrap_or(history.ended_ms);
        times[edit.till] = times[edit.till].max((arrived_ms - from_ms) as f64 / 1_000.0);
    }
    times.retain(|seconds| *seconds > 0.0);
    times
}

fn slowest(times: &[f64]) -> Option<f64> {
    times.iter().copied().reduce(f64::max)
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len().max(1) as f64
}

fn jain(times: &[f64]) -> f64 {
    let (sum, squares) = (times.iter().sum::<f64>(), times.iter().map(|time| time * time).sum::<f64>());
    sum * sum / (squares * times.len() as f64)
}

fn edit_times(history: &History, from_ms: u64) -> Option<(f64, f64)> {
    let live = history.edits.iter().filter(|edit| !edit.is_backlog && edit.edited_ms >= from_ms);
    let mut waits: Vec<u64> = live.filter_map(|edit| Some(edit.arrived_ms? - edit.edited_ms)).collect();
    waits.sort_unstable();
    let at = |share: f64| waits.get(((waits.len().max(1) - 1) as f64 * share).round() as usize);
    Some((*at(0.5)? as f64 / 1_000.0, *at(0.99)? as f64 / 1_000.0))
}
