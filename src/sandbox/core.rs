//! The store itself, without a network: requests and the time go in, answers come out.
//!
//! Nothing here reads a clock, opens a socket or throws dice that the seed does not decide. So the server in
//! `server` and a simulation with a clock of its own drive the very same store, and a run can be repeated.
//!
//! One request takes four steps, and [`StoreCore::handle_with`] names them: it is let in or turned away (quota,
//! token, store, headers), served, spoilt by its fault, and noted.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::behaviours::Lagging;
use super::book::Book;
use super::delete::ids_to_delete;
use super::faults::Fault;
use super::handled::{Handled, spoil, told_status};
use super::http::{Problem, RawRequest, RawResponse};
use super::list::Listing;
use super::log::{Ledger, RequestLog};
use super::options::SandboxOptions;
use super::query::ListQuery;
use super::replica::Replica;
use super::update::Update;
use super::window::RateWindow;

/// A store of customers that takes requests as values.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use tillsync::sandbox::{RawRequest, SandboxOptions, StoreCore};
///
/// let mut store = StoreCore::new(&SandboxOptions { customers: 3, ..SandboxOptions::default() });
/// let update = RawRequest::put(store.customers_path(), r#"[{"id":1,"phone":"555"}]"#)
///     .with_header("X-Auth-Token", store.token())
///     .with_header("Content-Type", "application/json")
///     .with_header("User-Agent", "till/1");
/// let now: DateTime<Utc> = "2026-01-02T03:04:05Z".parse()?;
/// assert_eq!(store.handle(now, &update).status, 200);
/// assert!(store.customer_text(1).unwrap_or_default().contains(r#""phone":"555""#));
/// # Ok::<(), chrono::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreCore {
    pub(super) options: SandboxOptions,
    pub(super) book: Book,
    /// What reads are answered from, where they lag.
    pub(super) replica: Option<Replica>,
    /// The last read was answered from there.
    pub(super) has_lagged: bool,
    pub(super) window: RateWindow,
    pub(super) ledger: Ledger,
    pub(super) script: VecDeque<(Fault, Scope)>,
    pub(super) rng: fastrand::Rng,
    pub(super) clock_offset: TimeDelta,
    pub(super) updates_under_way: u32,
    pub(super) addresses: super::addresses::Addresses,
    pub(super) attributes: super::attributes::Attributes,
    #[cfg(feature = "proof")]
    pub(super) loyalty: super::loyalty::Loyalty,
}

/// Methods that change something.
const CHANGING: [&str; 3] = ["PUT", "POST", "DELETE"];

/// Which requests a scripted fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Any,
    Updates,
}

/// What an update finds among those under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A place of its own.
    Free,
    /// Other clients have so many that none is left.
    TakenByOthers,
    /// This client has them all itself.
    None,
}

impl StoreCore {
    /// A store with its first customers.
    pub fn new(options: &SandboxOptions) -> Self {
        Self::with_book(options, Book::generate(options.seed, options.customers))
    }

    /// A store with the customers of another run.
    pub(super) fn with_book(options: &SandboxOptions, book: Book) -> Self {
        let mut store = Self {
            book,
            replica: None,
            has_lagged: false,
            window: RateWindow::new(options),
            ledger: Ledger::new(options.log_capacity),
            script: VecDeque::new(),
            rng: fastrand::Rng::with_seed(options.seed ^ 0xfa_0175),
            clock_offset: TimeDelta::zero(),
            updates_under_way: 0,
            addresses: Default::default(),
            attributes: Default::default(),
            #[cfg(feature = "proof")]
            loyalty: Default::default(),
            options: options.clone(),
        };
        store.set_behaviours(options.behaviours);
        store
    }

    /// Serves a request in a network where nothing goes wrong.
    pub fn handle(&mut self, now: DateTime<Utc>, request: &RawRequest) -> RawResponse {
        self.handle_with(now, request, None).response.unwrap_or_default()
    }

    /// Serves a request to which a fault happens, or none.
    pub fn handle_with(&mut self, now: DateTime<Utc>, request: &RawRequest, fault: Option<Fault>) -> Handled {
        let fault = fault.filter(|fault| *fault != Fault::None);
        if fault.is_some_and(Fault::loses_request) {
            self.note(now, request, fault, None);
            return spoil(RawResponse::default(), fault);
        }
        self.replicate(now);
        let rate = self.window.arrive(now);
        let served = self.admit(request, rate).and_then(|()| self.serve(now, request, fault));
        self.replicate(now);
        let response = served.unwrap_or_else(|problem| self.refuse(request, &problem));
        let response = self.dress(now, response, rate, fault);
        self.note(now, request, fault, Some(&response));
        let is_refused = response.status >= 400;
        let mut handled = spoil(response, fault);
        if is_refused {
            handled.apply_after_ms = None;
        }
        handled
    }

    /// Applies an update whose connection was dropped before; see [`Handled::apply_after_ms`].
    pub fn apply_late(&mut self, now: DateTime<Utc>, request: &RawRequest) {
        if !CHANGING.contains(&request.method.as_str()) {
            return;
        }
        let applied = match () {
            () if self.is_for_addresses(request) => self.serve_addresses(now, request),
            () if self.is_for_attributes(request) => self.serve_attributes(now, request),
            () if request.method == "DELETE" => self.serve_deletion(&request.query, None),
            () => self.update(now, request, None),
        };
        if let Err(problem) = applied {
            self.refuse(request, &problem);
        }
        self.replicate(now);
    }

    /// Has the replica hear of what has changed, and take in what is old enough.
    pub(super) fn replicate(&mut self, now: DateTime<Utc>) {
        let Some(replica) = &mut self.replica else { return };
        let changed = self.book.take_touched();
        replica.hear(now, &self.book, changed);
        replica.catch_up(now, TimeDelta::milliseconds(self.options.behaviours.read_lag_ms.into()));
    }

    /// Draws what goes wrong with the next request: the script's next fault, else one by the rates.
    pub fn draw_fault(&mut self, method: &str) -> Option<Fault> {
        let is_next = |scope: Scope| scope == Scope::Any || CHANGING.contains(&method);
        if let Some(nth) = self.script.iter().position(|(_, scope)| is_next(*scope)) {
            return self.script.remove(nth).map(|(fault, _)| fault);
        }
        self.options.faults.draw(&mut self.rng)
    }

    /// Counts an update that begins, and says whether it finds a place among those allowed at once. Each call wants an
    /// [`end_update`](Self::end_update). One without a place is to be answered with
    /// [`too_many_updates`](Self::too_many_updates).
    pub fn begin_update(&mut self) -> Place {
        self.updates_under_way += 1;
        let peak = &mut self.ledger.stats.peak_concurrent_updates;
        *peak = (*peak).max(self.updates_under_way);
        let of_others = match self.options.competitor_updates {
            0 => 0,
            most => self.rng.u32(..=most),
        };
        match self.options.max_concurrent_updates {
            allowed if self.updates_under_way > allowed => Place::None,
            allowed if self.updates_under_way + of_others > allowed => Place::TakenByOthers,
            _ => Place::Free,
        }
    }

    /// Counts an update that has ended.
    pub fn end_update(&mut self) {
        self.updates_under_way = self.updates_under_way.saturating_sub(1);
    }

    /// The answer to an update that is one too many at once: 429 with what is left of the quota. A violation, unless other
    /// clients hold the places.
    pub fn too_many_updates(
        &mut self,
        now: DateTime<Utc>,
        request: &RawRequest,
        place: Place,
    ) -> RawResponse {
        let rate = self.window.arrive(now);
        let allowed = self.options.max_concurrent_updates;
        let mut problem = Problem::plain(429, format!("more than {allowed} updates at once"));
        if place == Place::None {
            problem.violations.push(problem.title.clone());
        }
        let response = self.refuse(request, &problem);
        let response = self.dress(now, response, rate, Some(Fault::Crowded));
        self.note(now, request, None, Some(&response));
        response
    }

    fn serve(
        &mut self,
        now: DateTime<Utc>,
        request: &RawRequest,
        fault: Option<Fault>,
    ) -> Result<RawResponse, Problem> {
        match fault {
            Some(Fault::Html) => return Ok(RawResponse::html(200)),
            Some(Fault::HtmlUnavailable) => return Ok(RawResponse::html(503)),
            Some(Fault::HtmlForbidden) => return Ok(RawResponse::html(403)),
            Some(Fault::Crowded) => return Err(Problem::plain(429, "too many requests at once")),
            Some(Fault::DelayedApply { .. }) => return Ok(RawResponse::default()),
            Some(Fault::Status(status)) => return Err(Problem::plain(status, "made to fail")),
            _ => {}
        }
        if self.is_for_addresses(request) {
            return self.serve_addresses(now, request);
        }
        if self.is_for_attributes(request) {
            return self.serve_attributes(now, request);
        }
        #[cfg(feature = "proof")]
        if self.is_for_loyalty(request) {
            return self.serve_loyalty(now, request);
        }
        match request.method.as_str() {
            "GET" => {
                let behaviours = self.options.behaviours;
                let query = ListQuery::parse(&request.query, behaviours.date_bounds)?;
                self.has_lagged =
                    self.replica.is_some() && (behaviours.lagging == Lagging::All || self.rng.bool());
                let replica = self.replica.as_ref().filter(|_| self.has_lagged);
                let book = replica.map_or(&self.book, |replica| &replica.book);
                let now_ms = now.timestamp_millis();
                Listing { book, addresses: &self.addresses, behaviours, rng: &mut self.rng, now_ms, fault }
                    .answer(&query)
            }
            "PUT" | "POST" => self.update(now, request, fault.filter(|fault| !fault.is_of_lists())),
            "DELETE" => self.serve_deletion(&request.query, fault),
            method => Err(Problem::violation(405, format!("{method} is not served here"))),
        }
    }

    fn update(
        &mut self,
        now: DateTime<Utc>,
        request: &RawRequest,
        fault: Option<Fault>,
    ) -> Result<RawResponse, Problem> {
        let content_type = request.header("Content-Type").unwrap_or_default();
        if !content_type.starts_with("application/json") {
            return Err(Problem::violation(415, format!("Content-Type is {content_type:?}, not JSON")));
        }
        let now = self.server_clock(now).timestamp();
        let Self { book, ledger, rng, options, .. } = self;
        let update =
            Update { book, stats: &mut ledger.stats, rng, options, now, told: Vec::new(), twice: None };
        match request.method.as_str() {
            "POST" => update.create(&request.body, fault),
            _ => update.serve(&request.body, fault),
        }
    }

    fn note(
        &mut self,
        now: DateTime<Utc>,
        request: &RawRequest,
        fault: Option<Fault>,
        response: Option<&RawResponse>,
    ) {
        let entry = RequestLog {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            status: response.map_or(0, |response| told_status(response, fault)),
            at_ms: now.timestamp_millis(),
            ids: match request.method.as_str() {
                "DELETE" => ids_to_delete(&request.query).unwrap_or_default(),
                _ => ids_in(&request.body),
            },
            fault,
        };
        let bytes_out = response.map_or(0, |response| response.body.len());
        self.ledger.request(entry, request.body.len(), bytes_out);
    }
}

/// The ids in a body, as far as it can be read.
fn ids_in(body: &[u8]) -> Vec<i32> {
    #[derive(serde::Deserialize)]
    struct OnlyId {
        id: Option<i32>,
    }
    let items: Vec<OnlyId> = serde_json::from_slice(body).unwrap_or_default();
    items.into_iter().filter_map(|item| item.id).collect()
}
