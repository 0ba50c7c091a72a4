//! What the store remembers of the requests it saw: for tests to read, not for anything to decide by.

use std::collections::VecDeque;

use super::faults::Fault;

/// One request, as the store saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLog {
    /// `GET`, `PUT`, …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// The body as text. Passwords stand in it as they were sent.
    pub body: String,
    /// The status of the answer, whether it got through or not; 0 when the request was lost before it was served.
    pub status: u16,
    /// When it was served, in milliseconds since 1970, by the clock that drives the store (no offset).
    pub at_ms: i64,
    /// The customers that an update or a deletion named, in its order.
    pub ids: Vec<i32>,
    /// What went wrong on purpose.
    pub fault: Option<Fault>,
}

/// What the store has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lists asked for, served or not.
    pub get: u64,
    /// Updates asked for, served or not.
    pub put: u64,
    /// Creations asked for, served or not.
    pub post: u64,
    /// Deletions asked for, served or not.
    pub delete: u64,
    /// Requests with any other method.
    pub other: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Things that a correct client would never have sent.
    pub violations: u64,
    /// Requests that something was made to go wrong with.
    pub faults: u64,
    /// The most updates that were under way at once.
    pub peak_concurrent_updates: u32,
    /// Customers that updates changed.
    pub customers_changed: u64,
    /// Customers that updates named and that already were as asked for.
    pub customers_unchanged: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of answer bodies, before compression.
    pub bytes_out: u64,
}

/// The log, the counts and the violations.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub requests: VecDeque<RequestLog>,
    pub capacity: usize,
    pub stats: Stats,
    pub violations: Vec<String>,
}

/// A store that is abused for days should not fill the memory with complaints.
const MAX_VIOLATIONS: usize = 10_000;

impl Ledger {
    pub fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Adds a violation.
    pub fn violation(&mut self, text: String) {
        tracing::debug!(%text, "sandbox: violation");
        self.stats.violations += 1;
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(text);
        }
    }

    /// Adds a request and counts it.
    pub fn request(&mut self, entry: RequestLog, bytes_in: usize, bytes_out: usize) {
        let RequestLog { method, query, status, fault, .. } = &entry;
        tracing::debug!(%method, %query, status, ?fault, "sandbox: request");
        match method.as_str() {
            "GET" => self.stats.get += 1,
            "PUT" => self.stats.put += 1,
            "POST" => self.stats.post += 1,
            "DELETE" => self.stats.delete += 1,
            _ => self.stats.other += 1,
        }
        self.stats.rate_limited += u64::from(entry.status == 429);
        self.stats.faults += u64::from(entry.fault.is_some());
        self.stats.bytes_in += bytes_in as u64;
        self.stats.bytes_out += bytes_out as u64;
        if self.requests.len() >= self.capacity {
            self.requests.pop_front();
        }
        if self.capacity > 0 {
            self.requests.push_back(entry);
        }
    }
}
