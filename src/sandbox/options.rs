//! How a store is set up.

use std::path::PathBuf;

use super::behaviours::Behaviours;
use super::faults::Faults;

/// How to start a store.
///
/// ```
/// use tillsync::sandbox::SandboxOptions;
///
/// let options = SandboxOptions { customers: 25, quota: 450, ..SandboxOptions::default() };
/// assert_eq!(options.window_ms, 30_000);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SandboxOptions {
    /// The port on 127.0.0.1; 0, the default, takes a free one.
    pub port: u16,
    /// How many customers the store starts with; default 100.
    pub customers: usize,
    /// Decides the customers and the faults: the same seed gives the same store. Default 1.
    pub seed: u64,
    /// How long the network takes before a request is looked at, in milliseconds; default 0.
    pub latency_ms: u64,
    /// How fast the body of an answer comes, in bytes a second, compressed or not; 0, the default: as fast as it goes.
    pub bytes_per_second: u32,
    /// Calls that one rate window allows; default 150 (450 is the other one that the platform documents).
    pub quota: u32,
    /// The length of a rate window in milliseconds; default 30 000.
    pub window_ms: u64,
    /// How much of the quota another app of the same store uses up, evenly over each window; default 0.
    pub competitor_calls: u32,
    /// How many refusals over quota a window tolerates once the answers have told how long to wait, before going
    /// on calling counts as a violation. Requests already under way need some; default 4.
    pub tolerated_refusals: u32,
    /// The rates at which things go wrong; default never.
    pub faults: Faults,
    /// The store hash in the path; default `sandbox`.
    pub store_hash: String,
    /// The access token that may read and update; default `sandbox-token`.
    pub token: String,
    /// A second token that may only read: an update with it is answered 403. Default none.
    pub read_only_token: Option<String>,
    /// How many updates may be under way at once; one more is refused and a violation. Default 3.
    pub max_concurrent_updates: u32,
    /// How many of those places other clients of the store may hold: any number up to this, by chance, each time an update
    /// comes in. An update that finds no place because of them is refused, and is no violation. Default 0.
    pub competitor_updates: u32,
    /// Above how many customers an update is answered 413; more than ten is a violation besides. Default 10.
    pub max_customers_per_update: usize,
    /// How many of the latest requests the log keeps; default 10 000.
    pub log_capacity: usize,
    /// The readings of whatever the public description leaves open, and ways in which stores were seen to differ from it.
    pub behaviours: Behaviours,
    /// A file that keeps the store between runs; none, the default: it is gone with the process. Where there is one already,
    /// it says how many customers there are and of which seed. A change is in it, whole, before it is answered.
    pub state: Option<PathBuf>,
    /// Whether it is controlled from outside too, at [`Sandbox::control_url`](super::Sandbox::control_url). Default `false`.
    pub control: bool,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            port: 0,
            customers: 100,
            seed: 1,
            latency_ms: 0,
            bytes_per_second: 0,
            quota: 150,
            window_ms: 30_000,
            competitor_calls: 0,
            tolerated_refusals: 4,
            faults: Faults::default(),
            store_hash: "sandbox".into(),
            token: "sandbox-token".into(),
            read_only_token: None,
            max_concurrent_updates: 3,
            competitor_updates: 0,
            max_customers_per_update: 10,
            log_capacity: 10_000,
            behaviours: Behaviours::default(),
            state: None,
            control: false,
        }
    }
}
