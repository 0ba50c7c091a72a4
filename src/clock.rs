//! Time, as a value that is handed in: the real clock here, a virtual one in the simulation.
//!
//! Deadlines go by [`Clock::now_ms`], which never jumps. The wall clock is only for what a person reads, and for
//! deadlines that must outlive the process; whoever compares those allows for a clock that was set meanwhile.

use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};

/// A source of time.
pub trait Clock: Send + Sync {
    /// Milliseconds since some fixed instant of this process; never goes back.
    fn now_ms(&self) -> u64;
    /// The till's wall clock, right or wrong.
    fn utc(&self) -> DateTime<Utc>;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn utc(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// RFC 3339 with milliseconds and `Z`, as the tables have it.
pub(crate) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
