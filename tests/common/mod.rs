//! A till, a store and a line between them, in one line of a test.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod command;
pub mod edits;
pub mod ledger;
pub mod odd;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tillsync::sandbox::{Sandbox, SandboxOptions};
use tillsync::{
    Clock, CustomerId, Extent, HttpOptions, HttpRemote, Key, Store, StoreOptions, SyncEngine, SyncOptions,
    SystemClock,
};

/// What a test waits at most for what is bound to happen, on a machine that has other work.
pub const SOON: Duration = Duration::from_secs(60);

/// Waits until it is so.
#[track_caller]
pub fn soon(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come to that");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A till with its own file, beside a sandbox store on loopback.
#[derive(Clone)]
pub struct Till {
    pub folder: Arc<TempDir>,
    pub path: PathBuf,
    pub sandbox: Arc<Sandbox>,
    /// What stands in for the remote API: the sandbox, or a line before it.
    pub api_url: String,
    pub options: SyncOptions,
    /// The key of its file, as text; none: the file is plain.
    pub key: Option<String>,
}

/// A sandbox of this many customers with a quota that is not in the way.
pub fn sandbox(customers: usize) -> Arc<Sandbox> {
    sandbox_with(SandboxOptions { customers, quota: 1_000_000, ..SandboxOptions::default() })
}

pub fn sandbox_with(options: SandboxOptions) -> Arc<Sandbox> {
    Arc::new(Sandbox::start(options).unwrap())
}

/// A till that has pulled everything from a sandbox of this many customers.
pub fn till(customers: usize) -> Till {
    let till = Till::new(sandbox(customers));
    till.engine().pull(Extent::Changes).unwrap();
    till.sandbox.clear_requests();
    till
}

/// With short waits, and so many tries.
pub fn trying(customers: usize, tries: u32) -> Till {
    let mut till = till(customers);
    till.options.upload.grace_ms = 20;
    let retry = &mut till.options.upload.retry;
    (retry.tries, retry.write_base_ms, retry.read_base_ms) = (tries, 5, 5);
    till
}

impl Till {
    /// A till with a fresh file, that has not pulled yet. `TILLSYNC_TEST_KEY` has tests run on encrypted files that know
    /// nothing of it.
    pub fn new(sandbox: Arc<Sandbox>) -> Till {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let path = folder.path().join("till.db");
        let options = SyncOptions {
            overlap: Duration::ZERO,
            second_look: Duration::from_millis(50),
            ..SyncOptions::default()
        };
        let api_url = sandbox.url();
        Till { folder, path, sandbox, api_url, options, key: std::env::var("TILLSYNC_TEST_KEY").ok() }
    }

    /// The same till, over a line on which odd things happen.
    pub fn through(&self, odd: &odd::Odd) -> Till {
        Till { api_url: odd.url(), ..self.clone() }
    }

    pub fn store(&self) -> Store {
        let key = self.key.as_ref().map(|text| Key::parse(text.as_str()).unwrap());
        Store::open_with(&self.path, StoreOptions { key, ..StoreOptions::default() }).unwrap()
    }

    pub fn remote(&self) -> HttpRemote {
        let options = HttpOptions {
            api_url: self.api_url.clone(),
            ..HttpOptions::new(self.sandbox.store_hash(), self.sandbox.token())
        };
        HttpRemote::new(&options).unwrap()
    }

    pub fn engine(&self) -> SyncEngine<HttpRemote> {
        SyncEngine::new(self.store(), self.remote(), self.options.clone())
    }

    /// The same where the till's clock is ahead by so much.
    pub fn engine_ahead(&self, by: TimeDelta) -> SyncEngine<HttpRemote> {
        let clock = Arc::new(Ahead(SystemClock::default(), by));
        let (remote, options) = (self.remote(), self.options.clone());
        SyncEngine::with_clock(self.store(), remote, options, clock, fastrand::Rng::new())
    }

    /// Sets one attribute of a customer.
    pub fn set(&self, id: i64, field: &str, value: &str) {
        self.store().edit(id).set(field, value).commit().unwrap();
    }

    /// Adds a signed amount to a customer's store credit, however little there is.
    pub fn adjust(&self, id: i64, amount: &str) {
        let mut store = self.store();
        let edit = store.edit(id).adjust_credit(amount.parse().unwrap());
        edit.author("ana").override_floor().commit().unwrap();
    }

    /// A minute passes in which nothing happens: no change of before is so young any more that a reading may lag behind it.
    pub fn minute_passes(&self) {
        let mut store = self.store();
        let minute_ago = (chrono::Utc::now() - chrono::TimeDelta::seconds(61)).to_rfc3339();
        let pass = format!(
            "UPDATE tillsync_guard SET writing = 1;
             UPDATE snapshot
             SET engine_mark = NOT engine_mark,
                 lately = (SELECT json_group_object(part.key, json((
                               SELECT json_group_array(json_array(before.value ->> 0, '{minute_ago}'))
                               FROM json_each(part.value) AS before)))
                           FROM json_each(lately) AS part)
             WHERE lately IS NOT NULL;
             UPDATE state
             SET value = json_set(value, '$.lately', json((
                     SELECT json_group_object(part.key, json((
                                SELECT json_group_array(json_array(before.value ->> 0, '{minute_ago}'))
                                FROM json_each(part.value) AS before)))
                     FROM json_each(state.value, '$.lately') AS part)))
             WHERE key LIKE 'snapshot_behind:%' AND value ->> '$.lately' IS NOT NULL;
             UPDATE tillsync_guard SET writing = 0;"
        );
        store.connection().execute_batch(&pass).unwrap();
    }

    /// What was sent was applied a minute ago and longer.
    pub fn sent_a_minute_ago(&self) {
        self.sent_ago(chrono::TimeDelta::seconds(61));
    }

    /// The same of any time.
    pub fn sent_ago(&self, ago: chrono::TimeDelta) {
        let then = (chrono::Utc::now() - ago).to_rfc3339();
        let pass = format!(
            "UPDATE tillsync_guard SET writing = 1;
             UPDATE tillsync_attempt SET applied_by = '{then}';
             UPDATE tillsync_guard SET writing = 0;"
        );
        self.store().connection().execute_batch(&pass).unwrap();
    }

    /// The back office edits a customer in the store.
    pub fn office(&self, id: i64, attributes: serde_json::Value) {
        assert!(self.sandbox.edit(id as i32, attributes), "there is no customer {id}");
    }

    /// An attribute of the working copy, as JSON text.
    pub fn local(&self, id: i64, field: &str) -> String {
        let row: serde_json::Value =
            serde_json::from_str(&self.store().get(id).unwrap().unwrap().to_json()).unwrap();
        row[field].to_string()
    }

    /// An attribute as the store has it, as JSON text.
    pub fn remote_value(&self, id: i64, field: &str) -> String {
        self.sandbox.customer(id as i32).unwrap()[field].to_string()
    }

    /// The outcomes of a customer's edits of one attribute, oldest first.
    pub fn outcomes(&self, id: i64, field: &str) -> Vec<String> {
        let rows = self.store().journal(Some(CustomerId(id))).unwrap();
        let of_field = rows.iter().filter(|row| row.field == field);
        of_field.map(|row| row.outcome.map_or("pending", |outcome| outcome.as_str()).to_owned()).collect()
    }

    /// The bodies of the updates that the store has seen, in their order.
    pub fn puts(&self) -> Vec<String> {
        let requests = self.sandbox.requests();
        requests.into_iter().filter(|request| request.method == "PUT").map(|request| request.body).collect()
    }

    pub fn gets(&self) -> usize {
        self.sandbox.requests().iter().filter(|request| request.method == "GET").count()
    }

    /// No request broke a rule of the contract.
    pub fn assert_no_violations(&self) {
        assert_eq!(self.sandbox.violations(), Vec::<String>::new());
        assert!(self.sandbox.stats().peak_concurrent_updates <= 3);
    }
}

/// A clock that somebody has set.
struct Ahead(SystemClock, TimeDelta);

impl Clock for Ahead {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    fn utc(&self) -> DateTime<Utc> {
        self.0.utc() + self.1
    }
}

/// A statement about what only the engine may write, as if it were the engine's. Returns how many rows it was about.
pub fn as_engine(connection: &rusqlite::Connection, sql: &str, params: impl rusqlite::Params) -> usize {
    connection.execute_batch("UPDATE tillsync_guard SET writing = 1").unwrap();
    let rows = connection.execute(sql, params).unwrap();
    connection.execute_batch("UPDATE tillsync_guard SET writing = 0").unwrap();
    rows
}

/// A number in the environment, which makes a test longer or replays one.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
