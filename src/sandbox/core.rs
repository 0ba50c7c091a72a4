//! The store itself, without a network: requests and the time go in, answers come out.
//!
//! Nothing here reads a clock, opens a socket or throws dice that the seed does not decide. So the server in
//! `server` and a simulation with a clock of its own drive the very same store, and a run can be repeated.
//!
//! One request takes four steps, and [`StoreCore::handle_with`] names them: it is let in or turned away (quota,
//! token, store, headers), served, spoilt by its fault, and noted.

use chrono::{DateTime, TimeDelta, Utc};

use super::book::Book;
use super::faults::{Fault, Faults};
use super::http::{PATH_HALVES, Problem, RawRequest, RawResponse, header, http_date};
use super::list;
use super::log::{Ledger, RequestLog, Stats};
use super::options::{SandboxOptions, TooManyRequests};
use super::query::ListQuery;
use super::record::Record;
use super::update::Update;
use super::window::{Rate, RateWindow};

/// A store of customers that takes requests as values.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use tillsync::sandbox::{RawRequest, SandboxOptions, StoreCore};
///
/// let mut store = StoreCore::new(&SandboxOptions { customers: 3, ..SandboxOptions::default() });
/// let update = RawRequest {
///     method: "PUT".into(),
///     path: store.customers_path(),
///     headers: [("X-Auth-Token", store.token()), ("Content-Type", "application/json"), ("User-Agent", "till/1")]
///         .map(|(name, value)| (name.to_owned(), value.to_owned()))
///         .into(),
///     body: br#"[{"id":1,"phone":"555"}]"#.to_vec(),
///     ..RawRequest::default()
/// };
/// let now: DateTime<Utc> = "2026-01-02T03:04:05Z".parse()?;
/// assert_eq!(store.handle(now, &update).status, 200);
/// assert!(store.customer_text(1).unwrap_or_default().contains(r#""phone":"555""#));
/// # Ok::<(), chrono::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreCore {
    options: SandboxOptions,
    book: Book,
    window: RateWindow,
    ledger: Ledger,
    script: std::collections::VecDeque<(Fault, Scope)>,
    rng: fastrand::Rng,
    clock_offset: TimeDelta,
    updates_under_way: u32,
}

/// Which requests a scripted fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Any,
    Updates,
}

/// What became of one request, and what the client is to hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// The answer; none when the connection is dropped without one.
    pub response: Option<RawResponse>,
    /// How long the answer is held back, in milliseconds.
    pub delay_ms: u64,
    /// The connection ends after so many bytes of the answer's body.
    pub cut_after_bytes: Option<usize>,
    /// The connection ends by a TCP reset.
    pub is_reset: bool,
    /// Nothing is applied yet: [`StoreCore::apply_late`] is to be called with the request after so many
    /// milliseconds.
    pub apply_after_ms: Option<u64>,
}

impl StoreCore {
    /// A store with its first customers.
    pub fn new(options: &SandboxOptions) -> Self {
        Self {
            book: Book::generate(options.seed, options.customers),
            window: RateWindow::new(options),
            ledger: Ledger::new(options.log_capacity),
            script: std::collections::VecDeque::new(),
            rng: fastrand::Rng::with_seed(options.seed ^ 0xfa_0175),
            clock_offset: TimeDelta::zero(),
            updates_under_way: 0,
            options: options.clone(),
        }
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
        let rate = self.window.arrive(now);
        let served = self.admit(request, rate).and_then(|()| self.serve(now, request, fault));
        let response = served.unwrap_or_else(|problem| self.refuse(request, &problem));
        let response = self.dress(now, response, rate);
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
        if request.method != "PUT" {
            return;
        }
        if let Err(problem) = self.update(now, request, None) {
            self.refuse(request, &problem);
        }
    }

    /// Draws what goes wrong with the next request: the script's next fault, else one by the rates.
    pub fn draw_fault(&mut self, method: &str) -> Option<Fault> {
        let is_next = |scope: Scope| scope == Scope::Any || method == "PUT";
        if let Some(nth) = self.script.iter().position(|(_, scope)| is_next(*scope)) {
            return self.script.remove(nth).map(|(fault, _)| fault);
        }
        self.options.faults.draw(&mut self.rng)
    }

    /// Counts an update that begins, and says whether it is within the number allowed at once. Each call wants an
    /// [`end_update`](Self::end_update). One beyond is to be answered with [`too_many_updates`](Self::too_many_updates).
    pub fn begin_update(&mut self) -> bool {
        self.updates_under_way += 1;
        let peak = &mut self.ledger.stats.peak_concurrent_updates;
        *peak = (*peak).max(self.updates_under_way);
        self.updates_under_way <= self.options.max_concurrent_updates
    }

    /// Counts an update that has ended.
    pub fn end_update(&mut self) {
        self.updates_under_way = self.updates_under_way.saturating_sub(1);
    }

    /// The answer to an update that is one too many at once: 429, and a violation.
    pub fn too_many_updates(&mut self, now: DateTime<Utc>, request: &RawRequest) -> RawResponse {
        let rate = self.window.arrive(now);
        let allowed = self.options.max_concurrent_updates;
        let problem = Problem::violation(429, format!("more than {allowed} updates at once"));
        let response = self.refuse(request, &problem);
        let response = self.dress(now, response, rate);
        self.note(now, request, None, Some(&response));
        response
    }

    /// Lets a request in, or says why not.
    fn admit(&mut self, request: &RawRequest, rate: Rate) -> Result<(), Problem> {
        self.admit_by_rate(rate)?;
        self.admit_by_token(request)?;
        self.admit_by_path(&request.path)?;
        if request.header("User-Agent").is_none_or(str::is_empty) {
            self.ledger.violation("a request does not name its client in User-Agent".into());
        }
        let accepted = request.header("Accept").unwrap_or("*/*");
        if !["application/json", "application/*", "*/*"].iter().any(|kind| accepted.contains(kind)) {
            return Err(Problem::violation(406, format!("Accept: {accepted} does not take JSON")));
        }
        Ok(())
    }

    fn admit_by_rate(&self, rate: Rate) -> Result<(), Problem> {
        if rate.refusal == 0 {
            return Ok(());
        }
        let title = "too many requests in this window";
        let was_told = self.options.behaviours.too_many_requests != TooManyRequests::Bare;
        if was_told && rate.refusal > self.options.tolerated_refusals {
            return Err(Problem::violation(429, format!("{title}, and the client had been told to wait")));
        }
        Err(Problem::plain(429, title))
    }

    fn admit_by_token(&self, request: &RawRequest) -> Result<(), Problem> {
        let token = request.header("X-Auth-Token");
        if token == Some(&self.options.token) {
            return Ok(());
        }
        if token.is_none() || token != self.options.read_only_token.as_deref() {
            return Err(Problem::plain(401, "X-Auth-Token is missing or not valid"));
        }
        if request.method == "GET" {
            return Ok(());
        }
        Err(Problem::plain(403, "the token's scope does not include store_v2_customers"))
    }

    fn admit_by_path(&self, path: &str) -> Result<(), Problem> {
        if path == self.customers_path() {
            return Ok(());
        }
        let hash = path.strip_prefix(PATH_HALVES.0).and_then(|rest| rest.strip_suffix(PATH_HALVES.1));
        match hash {
            Some(hash) if !hash.contains('/') => Err(Problem::plain(404, "there is no such store")),
            _ => Err(Problem::violation(404, format!("{path} is not served here"))),
        }
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
            Some(Fault::DelayedApply { .. }) => return Ok(RawResponse::default()),
            Some(Fault::Status(status)) => return Err(Problem::plain(status, "made to fail")),
            _ => {}
        }
        match request.method.as_str() {
            "GET" => {
                let query = ListQuery::parse(&request.query, self.options.behaviours.date_bounds)?;
                Ok(list::answer(&self.book, &query))
            }
            "PUT" => self.update(now, request, fault),
            "DELETE" => self.delete_by_query(&request.query),
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
        Update { book, stats: &mut ledger.stats, rng, options, now }.serve(&request.body, fault)
    }

    fn delete_by_query(&mut self, query: &str) -> Result<RawResponse, Problem> {
        let ids = list::ids_to_delete(query).ok_or_else(|| Problem::violation(422, "id:in is not valid"))?;
        for id in ids {
            self.book.delete(id);
        }
        Ok(RawResponse { status: 204, ..RawResponse::default() })
    }

    /// The answer that tells a problem; what a correct client would not have done is noted.
    fn refuse(&mut self, request: &RawRequest, problem: &Problem) -> RawResponse {
        for violation in &problem.violations {
            self.ledger.violation(format!("{} {}: {violation}", request.method, request.path));
        }
        problem.response()
    }

    /// Adds the headers that every answer has.
    fn dress(&self, now: DateTime<Utc>, mut response: RawResponse, rate: Rate) -> RawResponse {
        response.headers.push(header("Date", http_date(self.server_clock(now))));
        if response.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")) {
            return response; // a portal's or a proxy's, not the store's
        }
        let is_over_quota = response.status == 429 && rate.refusal > 0;
        let tells = self.options.behaviours.too_many_requests;
        if is_over_quota && tells != TooManyRequests::Bare {
            response.headers.push(header("X-Retry-After", rate.reset_ms.div_ceil(1_000)));
        }
        let is_silent = response.status == 429 && (!is_over_quota || tells != TooManyRequests::AllHeaders);
        if !is_silent {
            response.headers.extend([
                header("X-Rate-Limit-Time-Window-Ms", rate.window_ms),
                header("X-Rate-Limit-Time-Reset-Ms", rate.reset_ms),
                header("X-Rate-Limit-Requests-Quota", rate.quota),
                header("X-Rate-Limit-Requests-Left", rate.left),
            ]);
        }
        response
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
            ids: ids_in(&request.body),
            fault,
        };
        let bytes_out = response.map_or(0, |response| response.body.len());
        self.ledger.request(entry, request.body.len(), bytes_out);
    }
}

/// What tests and the back office do with a store, past its API.
impl StoreCore {
    /// The path of the customers in this store.
    pub fn customers_path(&self) -> String {
        format!("{}{}{}", PATH_HALVES.0, self.options.store_hash, PATH_HALVES.1)
    }

    /// The token that may read and update.
    pub fn token(&self) -> &str {
        &self.options.token
    }

    /// How many customers there are.
    pub fn customer_count(&self) -> usize {
        self.book.len()
    }

    /// The ids of all customers, ascending.
    pub fn ids(&self) -> Vec<i32> {
        self.book.ids(..).collect()
    }

    /// A customer with every attribute, as exact JSON text; none when there is no such customer.
    pub fn customer_text(&self, id: i32) -> Option<String> {
        self.book.record(id).map(|record| record.to_json())
    }

    /// Adds a customer in the back office: a JSON object, of which `id`, dates and an address are filled in when
    /// they are missing. Returns its id.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn add_text(&mut self, now: DateTime<Utc>, json: &str) -> serde_json::Result<i32> {
        let given = Record::parse(json)?;
        let id = given.integer("id").and_then(|id| i32::try_from(id).ok()).unwrap_or(self.book.next_id());
        let now = self.server_clock(now).timestamp();
        let date = super::data::date_text(now);
        let mut record = Record::parse(&format!(
            r#"{{"id":{id},"email":"new.customer.{id}@example.com","first_name":"New","last_name":"Customer","company":"","phone":"","notes":"","tax_exempt_category":"","customer_group_id":0,"date_created":"{date}","date_modified":"{date}","address_count":0,"attribute_count":0,"authentication":{{"force_password_reset":false}},"accepts_product_review_abandoned_cart_emails":false,"origin_channel_id":1,"channel_ids":null,"store_credit_amounts":[{{"amount":0}}],"form_fields":[]}}"#
        ))?;
        record.merge(&given);
        self.book.store(id, record, now);
        Ok(id)
    }

    /// Edits a customer in the back office: the object's attributes replace the customer's, without any limit, and
    /// the date of modification moves. Says whether there is such a customer.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn edit_text(&mut self, now: DateTime<Utc>, id: i32, json: &str) -> serde_json::Result<bool> {
        let given = Record::parse(json)?;
        let Some(mut record) = self.book.record(id).map(std::borrow::Cow::into_owned) else {
            return Ok(false);
        };
        record.merge(&given);
        record.set("id", &id.to_string());
        self.book.store(id, record, self.server_clock(now).timestamp());
        Ok(true)
    }

    /// Deletes a customer in the back office, and says whether there was one.
    pub fn delete(&mut self, id: i32) -> bool {
        self.book.delete(id)
    }

    /// How often updates have changed a customer's password.
    pub fn password_changes(&self, id: i32) -> u32 {
        self.book.password(id).0
    }

    /// The password that a customer was last given by an update.
    pub fn last_password(&self, id: i32) -> Option<&str> {
        self.book.password(id).1
    }

    /// The latest requests, oldest first.
    pub fn requests(&self) -> impl Iterator<Item = &RequestLog> {
        self.ledger.requests.iter()
    }

    /// Forgets the requests; counts and violations stay.
    pub fn clear_requests(&mut self) {
        self.ledger.requests.clear();
    }

    /// What has been counted.
    pub fn stats(&self) -> Stats {
        self.ledger.stats
    }

    /// What a correct client would never have sent, in words.
    pub fn violations(&self) -> &[String] {
        &self.ledger.violations
    }

    /// The setting the store was started with; the faults as they are now.
    pub fn options(&self) -> &SandboxOptions {
        &self.options
    }

    /// Switches what the public description leaves open, from the next request on.
    pub fn set_behaviours(&mut self, behaviours: super::Behaviours) {
        self.options.behaviours = behaviours;
    }

    /// Sets the rates at which things go wrong.
    pub fn set_faults(&mut self, faults: Faults) {
        self.options.faults = faults;
    }

    /// Has these faults happen to the next requests, one each; the rates hold again after them.
    pub fn script(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.script.extend(faults.into_iter().map(|fault| (fault, Scope::Any)));
    }

    /// As [`script`](Self::script), for the next updates; lists are not touched.
    pub fn script_updates(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.script.extend(faults.into_iter().map(|fault| (fault, Scope::Updates)));
    }

    /// Sets the server's clock so far ahead of the time that is handed in.
    pub fn set_clock_offset(&mut self, offset: TimeDelta) {
        self.clock_offset = offset;
    }

    /// The server's clock when it is `now` outside.
    pub fn server_clock(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.clock_offset
    }
}

/// What the client hears of an answer to which a fault happens.
fn spoil(response: RawResponse, fault: Option<Fault>) -> Handled {
    let mut handled =
        Handled { response: None, delay_ms: 0, cut_after_bytes: None, is_reset: false, apply_after_ms: None };
    match fault {
        Some(Fault::LostRequest | Fault::LostAnswer) => return handled,
        Some(Fault::Reset) => handled.is_reset = true,
        Some(Fault::DelayedApply { ms }) => handled.apply_after_ms = Some(ms),
        Some(Fault::DelayedAnswer { ms }) => (handled.response, handled.delay_ms) = (Some(response), ms),
        Some(Fault::Truncated) => {
            handled.cut_after_bytes = Some(response.body.len() / 2);
            handled.response = Some(response);
        }
        Some(Fault::EmptyBody) => handled.response = Some(RawResponse { body: Vec::new(), ..response }),
        Some(Fault::AppliedThenStatus(status)) if response.status < 400 => {
            handled.response = Some(replaced(response, Problem::plain(status, "made to fail").response()));
        }
        _ => handled.response = Some(response),
    }
    handled
}

/// Another status and body under the same headers.
fn replaced(response: RawResponse, by: RawResponse) -> RawResponse {
    RawResponse { headers: response.headers, ..by }
}

fn told_status(response: &RawResponse, fault: Option<Fault>) -> u16 {
    match fault {
        Some(Fault::AppliedThenStatus(status)) if response.status < 400 => status,
        _ => response.status,
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
