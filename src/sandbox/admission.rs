//! Who is let in, and what every answer carries: quota, token, store hash and headers.

use chrono::{DateTime, TimeDelta, Utc};

use super::behaviours::TooManyRequests;
use super::core::StoreCore;
use super::faults::Fault;
use super::http::{PATH_HALVES, Problem, RawRequest, RawResponse, header, http_date};
use super::window::Rate;

impl StoreCore {
    /// Lets a request in, or says why not.
    pub(super) fn admit(&mut self, request: &RawRequest, rate: Rate) -> Result<(), Problem> {
        self.admit_by_rate(rate)?;
        self.admit_by_token(request)?;
        self.admit_by_path(request)?;
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

    fn admit_by_path(&self, request: &RawRequest) -> Result<(), Problem> {
        if self.is_for_attributes(request) || self.is_for_addresses(request) {
            return Ok(());
        }
        #[cfg(feature = "proof")]
        if self.is_for_loyalty(request) {
            return Ok(());
        }
        let path = &*request.path;
        if path == self.customers_path() {
            return Ok(());
        }
        let hash = path.strip_prefix(PATH_HALVES.0).and_then(|rest| rest.strip_suffix(PATH_HALVES.1));
        match hash {
            Some(hash) if !hash.contains('/') => Err(Problem::plain(404, "there is no such store")),
            _ => Err(Problem::violation(404, format!("{path} is not served here"))),
        }
    }

    /// The answer that tells a problem; what a correct client would not have done is noted.
    pub(super) fn refuse(&mut self, request: &RawRequest, problem: &Problem) -> RawResponse {
        for violation in &problem.violations {
            self.ledger.violation(format!("{} {}: {violation}", request.method, request.path));
        }
        problem.response()
    }

    /// Adds the headers that every answer has.
    pub(super) fn dress(
        &self,
        now: DateTime<Utc>,
        mut response: RawResponse,
        rate: Rate,
        fault: Option<Fault>,
    ) -> RawResponse {
        response.headers.push(header("Date", http_date(self.told_clock(now, fault))));
        if response.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")) {
            return response; // a portal's or a proxy's, not the store's
        }
        let is_over_quota = response.status == 429 && rate.refusal > 0;
        let tells = self.options.behaviours.too_many_requests;
        if is_over_quota && tells != TooManyRequests::Bare {
            response.headers.push(header("X-Retry-After", rate.reset_ms.div_ceil(1_000)));
        }
        let is_bare = match (is_over_quota, fault) {
            (true, _) => tells != TooManyRequests::AllHeaders,
            (false, Some(Fault::Crowded)) => false,
            (false, _) => response.status == 429,
        };
        if !is_bare {
            response.headers.extend([
                header("X-Rate-Limit-Time-Window-Ms", rate.window_ms),
                header("X-Rate-Limit-Time-Reset-Ms", rate.reset_ms),
                header("X-Rate-Limit-Requests-Quota", rate.quota),
                header("X-Rate-Limit-Requests-Left", rate.left),
            ]);
        }
        response
    }

    /// The clock as an answer tells it.
    fn told_clock(&self, now: DateTime<Utc>, fault: Option<Fault>) -> DateTime<Utc> {
        let clock = self.server_clock(now);
        let Some(Fault::WrongDate { seconds }) = fault else { return clock };
        TimeDelta::try_seconds(seconds).and_then(|by| clock.checked_add_signed(by)).unwrap_or(clock)
    }
}
