//! The store's side: a quota that is counted by the window, and what changed since when. It shares no type with the
//! tills: what it tells are the headers and the JSON of the public contract.

/// What is asked of the store.
#[derive(Clone, Debug)]
pub enum Call {
    /// `GET`: a page of the customers modified since this second.
    Page { modified_min_s: u64, after: Option<String> },
    /// `GET`: these customers.
    ByIds(Vec<i64>),
    /// `PUT`: these customers.
    Update(Vec<i64>),
}

/// What an answer says.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// `X-Rate-Limit-Time-Window-Ms`.
    pub window_ms: u64,
    /// `X-Rate-Limit-Time-Reset-Ms`.
    pub reset_ms: u64,
    /// `X-Rate-Limit-Requests-Quota`.
    pub quota: u64,
    /// `X-Rate-Limit-Requests-Left`.
    pub left: u64,
    /// `X-Retry-After`.
    pub retry_after_s: Option<u64>,
    /// `Date`, in seconds.
    pub date_s: u64,
    pub body: String,
}

impl Reply {
    /// It was refused because too many updates were under way.
    pub fn is_crowded(&self) -> bool {
        self.status == 429 && self.left > 0
    }
}

/// Customers on a page of a list, at most.
const PAGE: u64 = 250;

/// When a window begins: that is not documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Windows {
    /// With the first call after the one before it has ended.
    #[default]
    WithACall,
    /// One after the other, whoever calls.
    ByTheClock,
}

/// So many calls in so many milliseconds, over all apps.
#[derive(Clone, Debug)]
pub struct Quota {
    pub calls: u64,
    pub window_ms: u64,
    begins: Windows,
    used: u64,
    /// When each window began; the last is under way.
    pub windows: Vec<u64>,
}

impl Quota {
    pub fn new(calls: u64, window_ms: u64, begins: Windows) -> Quota {
        Quota { calls, window_ms, begins, used: 0, windows: Vec::new() }
    }

    /// Counts a call; whether it is let through.
    pub fn admits(&mut self, now_ms: u64) -> bool {
        if self.reset_ms(now_ms) == 0 {
            self.windows.push(match self.begins {
                Windows::WithACall => now_ms,
                Windows::ByTheClock => now_ms - now_ms % self.window_ms,
            });
            self.used = 0;
        }
        let is_within = self.used < self.calls;
        self.used += u64::from(is_within);
        is_within
    }

    fn reset_ms(&self, now_ms: u64) -> u64 {
        self.windows.last().map_or(0, |began_ms| (began_ms + self.window_ms).saturating_sub(now_ms))
    }
}

/// The store. Every update is of a customer that nobody else updates, so news is counted, not kept.
#[derive(Debug)]
pub struct Store {
    pub quota: Quota,
    has_news: bool,
    /// Updates at once, over all clients, where that is counted; and until when each of them is under way.
    slots: Option<usize>,
    under_way_until_ms: Vec<u64>,
    /// For each second, how many customers had been modified before it.
    modified_before: Vec<u64>,
    modified: u64,
}

impl Store {
    pub fn new(quota: Quota, has_news: bool, slots: Option<usize>) -> Store {
        let (under_way_until_ms, modified_before) = (Vec::new(), Vec::new());
        Store { quota, has_news, slots, under_way_until_ms, modified_before, modified: 0 }
    }

    /// An update that was let in is under way until then.
    pub fn works_until(&mut self, until_ms: u64) {
        self.under_way_until_ms.push(until_ms);
    }

    fn has_a_slot(&mut self, now_ms: u64) -> bool {
        self.under_way_until_ms.retain(|until_ms| *until_ms > now_ms);
        self.slots.is_none_or(|slots| self.under_way_until_ms.len() < slots)
    }

    /// A call arrives. One that is refused because too many updates are under way counts as a call all the same.
    pub fn serve(&mut self, call: &Call, now_ms: u64) -> Reply {
        let is_within = self.quota.admits(now_ms);
        let is_crowded = matches!(call, Call::Update(_)) && !self.has_a_slot(now_ms);
        let (status, body) = match (is_within && !is_crowded, call) {
            (false, _) => (429, String::new()),
            (true, Call::Page { modified_min_s, after }) => {
                (200, self.page(*modified_min_s, after.as_deref()))
            }
            (true, Call::ByIds(ids)) => (200, described(ids)),
            (true, Call::Update(ids)) => (200, self.update(ids, now_ms / 1_000)),
        };
        let reset_ms = self.quota.reset_ms(now_ms);
        Reply {
            status,
            window_ms: self.quota.window_ms,
            reset_ms,
            quota: self.quota.calls,
            left: self.quota.calls - self.quota.used,
            retry_after_s: (!is_within).then_some(reset_ms.div_ceil(1_000)),
            date_s: now_ms / 1_000,
            body,
        }
    }

    fn update(&mut self, ids: &[i64], now_s: u64) -> String {
        self.modified_before.resize(now_s as usize + 1, self.modified);
        self.modified += if self.has_news { ids.len() as u64 } else { 0 };
        list(ids)
    }

    /// A page is told by its first customer and by whether more follow: the cursor is the number of those.
    fn page(&self, modified_min_s: u64, after: Option<&str>) -> String {
        let before = self.modified_before.get(modified_min_s as usize).unwrap_or(&self.modified);
        let listed = after.and_then(|after| after.parse().ok()).unwrap_or(self.modified - before);
        let first = if listed > 0 { format!("{{\"id\":{listed}}}") } else { String::new() };
        let more = listed.saturating_sub(PAGE);
        let cursor = if more > 0 { format!("\"{more}\"") } else { "null".to_owned() };
        format!("{{\"data\":[{first}],\"meta\":{{\"cursor_pagination\":{{\"end_cursor\":{cursor}}}}}}}")
    }
}

/// An answer to an update: what was sent is accepted, and not repeated.
fn list(ids: &[i64]) -> String {
    records(ids, "")
}

/// An answer to a look tells what is edited: nothing is sent over what a store does not tell.
fn described(ids: &[i64]) -> String {
    records(ids, ",\"notes\":\"\"")
}

fn records(ids: &[i64], more: &str) -> String {
    let customers: Vec<String> = ids.iter().map(|id| format!("{{\"id\":{id}{more}}}")).collect();
    format!("{{\"data\":[{}],\"meta\":{{}}}}", customers.join(","))
}
