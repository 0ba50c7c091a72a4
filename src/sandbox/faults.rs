//! What can go wrong between a till and the store, by name, each at its own rate.
//!
//! A fault is drawn before a request is served and decides two things apart from each other: whether the request
//! is applied, and what the client hears of it. [`StoreCore::handle_with`](super::StoreCore::handle_with) does
//! the first and describes the second.

use std::fmt;
use std::str::FromStr;

/// One thing that goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing: the request is served as it should be. Useful in a script. `none`
    None,
    /// The connection is dropped before the request is looked at. `lost-request`
    LostRequest,
    /// As [`Fault::LostRequest`], by a TCP reset. `reset`
    Reset,
    /// The request is applied, then the connection is dropped. `lost-answer`
    LostAnswer,
    /// The request is applied at once and answered late. `delayed-answer` (1 s), `delayed-answer:250`
    DelayedAnswer {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// The connection is dropped at once; the request is applied later. `delayed-apply` (1 s), `delayed-apply:250`
    DelayedApply {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// The request is applied; the connection ends in the middle of the body. `truncated`
    Truncated,
    /// A page of HTML with status 200, as a guest network's portal answers; nothing is applied. `html`
    Html,
    /// A page of HTML with status 503, as a proxy answers; nothing is applied. `html-503`
    HtmlUnavailable,
    /// The request is applied and answered without a body. `empty-body`
    EmptyBody,
    /// An update is applied in full, and its answer leaves some customers out. `missing-ids`
    MissingIds,
    /// Some customers of an update are passed over, and the answer leaves those out. `skipped-ids`
    SkippedIds,
    /// An update is answered 207 with `data`, `errors` and `meta`; the good customers land. `multi-status`
    MultiStatus,
    /// An update is applied, and answered with the values of before. `stale-answer`
    StaleAnswer,
    /// An update is not applied, and answered 200 with the values that are there. `ignored`
    Ignored,
    /// An update is not applied, and answered 200 as if it was: with what was sent, and a new date. `echoed`
    Echoed,
    /// Somebody changes what an update wrote between its landing and its answer, which tells that. `third-value`
    ThirdValue,
    /// A refusal of concurrency: 429 with much of the quota left. `crowded`
    Crowded,
    /// A page of HTML with status 403, as something in between answers; nothing is applied. `html-403`
    HtmlForbidden,
    /// A list is answered 200 as if there was nobody. `empty-list`
    EmptyList,
    /// A list is answered 204. `no-content`
    NoContent,
    /// A list leaves out one of its customers, and counts as if it was there. `one-overlooked`
    OneOverlooked,
    /// A list ends in its middle, and says nothing of it. `cut-list`
    CutList,
    /// A list does not tell store credit. `no-credit`
    NoCredit,
    /// An answer holds one of its customers twice, before or after itself as it was until it was last changed. `told-twice`
    ToldTwice,
    /// The body of the answer comes slowly. `slow` (1,000 bytes a second), `slow:250`
    Slow {
        /// Bytes a second.
        bytes_per_second: u32,
    },
    /// `Date` is wrong in this answer. `wrong-date` (a century ahead), `wrong-date:-600`
    WrongDate {
        /// How far ahead, in seconds.
        seconds: i64,
    },
    /// That status, and nothing is applied; 429 comes without any rate header. `status-503`
    Status(u16),
    /// The request is applied, then answered with that status. `applied-504`
    AppliedThenStatus(u16),
}

/// How late a delayed fault is when its name does not say, in milliseconds.
const DEFAULT_DELAY_MS: u64 = 1_000;
const STATUSES: [u16; 13] = [401, 403, 404, 409, 423, 429, 499, 500, 501, 502, 503, 504, 507];
/// A refusal too may be a lie: what stands between a client and the store may answer for it.
const STATUSES_AFTER_APPLYING: [u16; 14] =
    [400, 401, 403, 404, 409, 413, 422, 429, 499, 500, 501, 502, 503, 504];
/// How slow and how wrong one is when its name does not say.
const DEFAULT_BYTES_PER_SECOND: u32 = 1_000;
const A_CENTURY_SECONDS: i64 = 3_155_760_000;
/// The faults that have a name of their own, and what each is in a line.
const PLAIN: [(&str, Fault, &str); 27] = [
    ("none", Fault::None, "nothing; of use in a script"),
    ("lost-request", Fault::LostRequest, "the connection is dropped before the request is looked at"),
    ("reset", Fault::Reset, "the same, by a TCP reset"),
    ("lost-answer", Fault::LostAnswer, "the request is applied, then the connection is dropped"),
    (
        "delayed-answer",
        Fault::DelayedAnswer { ms: DEFAULT_DELAY_MS },
        "applied at once and answered late: 1 s, or delayed-answer:MS",
    ),
    (
        "delayed-apply",
        Fault::DelayedApply { ms: DEFAULT_DELAY_MS },
        "the connection is dropped, and it is applied later: 1 s, or delayed-apply:MS",
    ),
    ("truncated", Fault::Truncated, "applied; the connection ends in the middle of the body"),
    ("html", Fault::Html, "a page of HTML with status 200, as of a guest network; nothing is applied"),
    ("html-503", Fault::HtmlUnavailable, "a page of HTML with status 503, as of a proxy; nothing is applied"),
    ("empty-body", Fault::EmptyBody, "applied and answered without a body"),
    ("missing-ids", Fault::MissingIds, "an update is applied, and its answer leaves some customers out"),
    (
        "skipped-ids",
        Fault::SkippedIds,
        "an update passes some customers over, and its answer leaves those out",
    ),
    ("multi-status", Fault::MultiStatus, "an update is answered 207, with the good and the bad"),
    ("stale-answer", Fault::StaleAnswer, "an update is applied, and answered with the values of before"),
    ("ignored", Fault::Ignored, "an update is not applied, and answered 200"),
    ("echoed", Fault::Echoed, "an update is not applied, and answered 200 as if it was, with what was sent"),
    ("third-value", Fault::ThirdValue, "somebody changes what an update wrote before it is answered"),
    ("crowded", Fault::Crowded, "429 with much of the quota left: too many calls at once"),
    ("html-403", Fault::HtmlForbidden, "a page of HTML with status 403; nothing is applied"),
    ("empty-list", Fault::EmptyList, "a list is answered as if there was nobody"),
    ("no-content", Fault::NoContent, "a list is answered 204"),
    ("one-overlooked", Fault::OneOverlooked, "a list leaves out one of its customers, and counts it"),
    ("cut-list", Fault::CutList, "a list ends in its middle, and says nothing of it"),
    ("no-credit", Fault::NoCredit, "a list does not tell store credit"),
    ("told-twice", Fault::ToldTwice, "an answer holds a customer twice, once as it was earlier"),
    (
        "slow",
        Fault::Slow { bytes_per_second: DEFAULT_BYTES_PER_SECOND },
        "the answer comes slowly: 1,000 bytes a second, or slow:BYTES_PER_SECOND",
    ),
    (
        "wrong-date",
        Fault::WrongDate { seconds: A_CENTURY_SECONDS },
        "the header Date is a century ahead, or wrong-date:SECONDS",
    ),
];

impl Fault {
    /// The names of all faults, as the command line takes them.
    pub fn names() -> Vec<String> {
        let plain = PLAIN.iter().map(|(name, ..)| (*name).to_owned());
        let refused = STATUSES.iter().map(|status| format!("status-{status}"));
        let applied = STATUSES_AFTER_APPLYING.iter().map(|status| format!("applied-{status}"));
        plain.chain(refused).chain(applied).collect()
    }

    /// Every fault with what it is in a line, the statuses together.
    pub fn abouts() -> Vec<(String, String)> {
        let told = |(name, about): (&str, &str)| (name.to_owned(), about.to_owned());
        let list = |statuses: &[u16]| statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let refused = format!("that status, and nothing is applied: {}", list(&STATUSES));
        let applied = format!("applied, then answered with that status: {}", list(&STATUSES_AFTER_APPLYING));
        let plain = PLAIN.iter().map(|(name, _, about)| (*name, *about));
        plain.chain([("status-N", refused.as_str()), ("applied-N", applied.as_str())]).map(told).collect()
    }

    /// It is about lists alone, and leaves updates as they are.
    pub(super) fn is_of_lists(self) -> bool {
        matches!(
            self,
            Self::EmptyList | Self::NoContent | Self::OneOverlooked | Self::CutList | Self::NoCredit
        )
    }

    /// The request never reaches the store.
    pub(super) fn loses_request(self) -> bool {
        matches!(self, Self::LostRequest | Self::Reset)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, ..)) = PLAIN.iter().find(|(_, fault, _)| fault == self) {
            return formatter.write_str(name);
        }
        match self {
            Self::DelayedAnswer { ms } => write!(formatter, "delayed-answer:{ms}"),
            Self::DelayedApply { ms } => write!(formatter, "delayed-apply:{ms}"),
            Self::Slow { bytes_per_second } => write!(formatter, "slow:{bytes_per_second}"),
            Self::WrongDate { seconds } => write!(formatter, "wrong-date:{seconds}"),
            Self::AppliedThenStatus(status) => write!(formatter, "applied-{status}"),
            Self::Status(status) => write!(formatter, "status-{status}"),
            other => write!(formatter, "{other:?}"),
        }
    }
}

/// A fault's name or rate that cannot be read; its message lists the names there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault has that name.
    #[error("unknown fault `{0}`; known are: {names}", names = Fault::names().join(", "))]
    Unknown(String),
    /// The rate is missing or not a number from 0 to 1.
    #[error("`{0}`: a fault is written NAME=RATE with a rate from 0 to 1, such as lost-answer=0.1")]
    Rate(String),
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(name: &str) -> Result<Self, FaultError> {
        let plain = PLAIN.iter().find(|(known, ..)| *known == name).map(|(_, fault, _)| *fault);
        plain
            .or_else(|| measured(name))
            .or_else(|| status(name))
            .ok_or_else(|| FaultError::Unknown(name.into()))
    }
}

/// A fault that comes with a number.
fn measured(name: &str) -> Option<Fault> {
    let (kind, number) = name.split_once(':')?;
    match kind {
        "delayed-answer" => Some(Fault::DelayedAnswer { ms: number.parse().ok()? }),
        "delayed-apply" => Some(Fault::DelayedApply { ms: number.parse().ok()? }),
        "slow" => Some(Fault::Slow { bytes_per_second: number.parse().ok()? }),
        "wrong-date" => Some(Fault::WrongDate { seconds: number.parse().ok()? }),
        _ => None,
    }
}

fn status(name: &str) -> Option<Fault> {
    let (kind, status) = name.split_once('-')?;
    let status = status.parse().ok()?;
    match kind {
        "status" if STATUSES.contains(&status) => Some(Fault::Status(status)),
        "applied" if STATUSES_AFTER_APPLYING.contains(&status) => Some(Fault::AppliedThenStatus(status)),
        _ => None,
    }
}

/// A fault and how often it happens.
///
/// ```
/// use tillsync::sandbox::{Fault, FaultRate};
///
/// let rate: FaultRate = "lost-answer=0.1".parse()?;
/// assert_eq!((rate.fault, rate.rate), (Fault::LostAnswer, 0.1));
///
/// let wrong = "gremlins=0.1".parse::<FaultRate>().unwrap_err();
/// assert!(wrong.to_string().contains("lost-request"));
/// # Ok::<(), tillsync::sandbox::FaultError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultRate {
    /// What happens.
    pub fault: Fault,
    /// To which share of the requests, 0 to 1.
    pub rate: f64,
}

impl FromStr for FaultRate {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, rate) = text.split_once('=').ok_or_else(|| FaultError::Rate(text.into()))?;
        let fault = name.trim().parse()?;
        let rate: f64 = rate.trim().parse().map_err(|_| FaultError::Rate(text.into()))?;
        if !(0.0..=1.0).contains(&rate) {
            return Err(FaultError::Rate(text.into()));
        }
        Ok(Self { fault, rate })
    }
}

/// The rates at which things go wrong; by default nothing does.
///
/// ```
/// use tillsync::sandbox::{Fault, Faults};
///
/// let faults = Faults::none().with(Fault::LostAnswer, 0.1).with(Fault::Status(503), 0.05);
/// assert_eq!(faults, "lost-answer=0.1,status-503=0.05".parse()?);
/// # Ok::<(), tillsync::sandbox::FaultError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    rates: Vec<FaultRate>,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a fault at a rate from 0 to 1. The rates of all faults should sum to at most 1.
    #[must_use]
    pub fn with(mut self, fault: Fault, rate: f64) -> Self {
        self.rates.push(FaultRate { fault, rate });
        self
    }

    /// Has a fault happen at this rate in the place of the one it had; never at 0.
    pub fn set(&mut self, FaultRate { fault, rate }: FaultRate) {
        self.rates.retain(|each| each.fault != fault);
        if rate > 0.0 {
            self.rates.push(FaultRate { fault, rate });
        }
    }

    /// The faults and their rates.
    pub fn rates(&self) -> &[FaultRate] {
        &self.rates
    }

    /// Throws one die for all faults.
    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> Option<Fault> {
        if self.rates.is_empty() {
            return None;
        }
        let mut die = rng.f64();
        for each in &self.rates {
            if die < each.rate {
                return Some(each.fault);
            }
            die -= each.rate;
        }
        None
    }
}

impl FromIterator<FaultRate> for Faults {
    fn from_iter<I: IntoIterator<Item = FaultRate>>(rates: I) -> Self {
        Self { rates: rates.into_iter().collect() }
    }
}

impl FromStr for Faults {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        text.split(',').filter(|part| !part.trim().is_empty()).map(str::parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_the_fault_that_writes_it() {
        let measured = ["delayed-answer:7", "delayed-apply:9", "slow:250", "wrong-date:-600"];
        for name in Fault::names().into_iter().chain(measured.map(str::to_owned)) {
            assert_eq!(name.parse::<Fault>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn wrong_rates_are_refused() {
        for text in ["lost-answer", "lost-answer=", "lost-answer=2", "lost-answer=-0.1", "lost-answer=NaN"] {
            assert_eq!(text.parse::<FaultRate>(), Err(FaultError::Rate(text.into())));
        }
    }

    #[test]
    fn faults_come_about_as_often_as_their_rates_say() {
        let faults = Faults::none().with(Fault::Truncated, 0.25).with(Fault::Html, 0.5);
        let mut rng = fastrand::Rng::with_seed(3);
        let drawn: Vec<_> = (0..4_000).map(|_| faults.draw(&mut rng)).collect();
        let share = |fault| drawn.iter().filter(|each| **each == fault).count() / 100;
        assert!((9..=11).contains(&share(Some(Fault::Truncated))));
        assert!((19..=21).contains(&share(Some(Fault::Html))));
        assert!((9..=11).contains(&share(None)));
    }
}
