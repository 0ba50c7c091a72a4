//! How a store is set up, and every point on which the public description is silent.
//!
//! What the description leaves open is a [`Behaviours`] switch here, so that a client can be shown to cope with
//! each reading. The defaults are the readings that are believed to be usual.

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
    /// Above how many customers an update is answered 413; more than ten is a violation besides. Default 10.
    pub max_customers_per_update: usize,
    /// How many of the latest requests the log keeps; default 10 000.
    pub log_capacity: usize,
    /// The readings of whatever the public description leaves open.
    pub behaviours: Behaviours,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            port: 0,
            customers: 100,
            seed: 1,
            latency_ms: 0,
            quota: 150,
            window_ms: 30_000,
            competitor_calls: 0,
            tolerated_refusals: 4,
            faults: Faults::default(),
            store_hash: "sandbox".into(),
            token: "sandbox-token".into(),
            read_only_token: None,
            max_concurrent_updates: 3,
            max_customers_per_update: 10,
            log_capacity: 10_000,
            behaviours: Behaviours::default(),
        }
    }
}

/// One switch for each point that the public description leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviours {
    /// What lands of an update in which one customer is bad.
    pub partial: Partial,
    /// How a refusal names the customer that is bad.
    pub error_keys: ErrorKeys,
    /// Which attributes the answer to an update holds.
    pub response: ResponseAttributes,
    /// Whether a date filter's bound itself is included.
    pub date_bounds: DateBounds,
    /// Whether the store tidies what it is given.
    pub normalise: Normalise,
    /// What happens to form fields that an update does not name.
    pub form_fields: FormFieldWrites,
    /// What an update of a customer that is not there does.
    pub unknown_ids: UnknownIds,
    /// What an answer over quota tells.
    pub too_many_requests: TooManyRequests,
}

/// What lands of an update in which one customer is bad. The answer is 422 in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partial {
    /// Nothing.
    #[default]
    Atomic,
    /// Every customer that is good.
    GoodOnesLand,
    /// Those before the bad one.
    UntilFirstError,
}

/// How a refusal names the customer that is bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorKeys {
    /// By place and attribute: `0.email`.
    #[default]
    Indexed,
    /// By attribute only: `email`.
    Named,
    /// Not at all: `.customer_update`.
    General,
}

/// Which attributes the answer to an update holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseAttributes {
    /// All but store credit, form fields and the other parts that a list has on request only.
    #[default]
    Usual,
    /// Store credit and form fields too.
    Everything,
    /// `id` and the usual ones of those that were sent; no `date_modified`.
    Minimal,
}

/// Whether a date filter's bound itself is included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateBounds {
    /// It is.
    #[default]
    Inclusive,
    /// It is not: only what is later than the minimum and earlier than the maximum.
    Exclusive,
}

/// Whether the store tidies what it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalise {
    /// It keeps text as sent.
    #[default]
    Off,
    /// It trims white space off the ends of text and lower-cases email addresses.
    TrimAndLowerCaseEmails,
}

/// What happens to form fields that an update does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormFieldWrites {
    /// They stay: the update sets the ones it names.
    #[default]
    MergeByName,
    /// They go: the update is the whole list.
    ReplaceAll,
}

/// What an update of a customer that is not there does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownIds {
    /// It is an error like any other bad customer: 422.
    #[default]
    Refuse,
    /// Nothing: the others are updated, and the answer does not mention it.
    LeaveOut,
}

/// What an answer over quota tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooManyRequests {
    /// The rate headers and `X-Retry-After`.
    #[default]
    AllHeaders,
    /// Only `X-Retry-After`.
    RetryAfterOnly,
    /// Nothing.
    Bare,
}
