//! A stand-in for the BigCommerce V3 customers API, on loopback or in memory.
//!
//! It is for the demo, for this crate's tests, and for yours: it keeps a store of made-up customers, speaks the
//! remote API's HTTP, and enforces every documented limit. Where the public description is silent, it behaves as
//! [`Behaviours`] says; where a network would fail, it fails as [`Faults`] say. What no correct client would ever
//! send is not only refused but kept as a *violation*, so that a test can end with `violations()` being empty.
//!
//! ```
//! use tillsync::sandbox::{Fault, Sandbox, SandboxOptions};
//!
//! let sandbox = Sandbox::start(SandboxOptions { customers: 10, ..SandboxOptions::default() })?;
//! sandbox.script([Fault::LostAnswer]); // the next request is applied, and its answer lost
//!
//! // … point a client at sandbox.url(), with sandbox.store_hash() and sandbox.token() …
//!
//! assert_eq!(sandbox.customer_count(), 10);
//! assert!(sandbox.violations().is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Two layers:
//!
//! * [`StoreCore`] is the store: requests and the time go in as values, answers come out. It is deterministic, and
//!   a simulation drives it without any socket.
//! * [`Sandbox`] is the same store on a port of 127.0.0.1, with real concurrency, latency, compression and broken
//!   connections.
//!
//! The sandbox shares no type and no serialiser with the client, on purpose: a mistake in what they shared would
//! be made twice and cancel itself out.

mod admission;
mod attributes;
mod back_office;
mod behaviours;
mod book;
mod connection;
mod control;
mod core;
mod create;
mod data;
mod face;
mod faults;
mod handled;
mod http;
mod kept;
mod list;
mod log;
#[cfg(feature = "proof")]
mod loyalty;
mod options;
mod query;
mod record;
mod replica;
mod rules;
mod server;
mod tidy;
mod update;
mod window;
mod words;

use std::borrow::Borrow;
use std::io;

use chrono::{TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::Value;

pub use self::behaviours::{
    Amounts, BehaviourError, Behaviours, Created, Cursors, DateBounds, EmptyLists, ErrorKeys, ExpiredCursors,
    FormFieldWrites, Knob, Lagging, Overload, Pages, Partial, ResponseAttributes, Success, Tidying,
    TooManyRequests, Totals, Undated, UnknownIds, Untold, UsedEmails, ValueAnswers,
};
pub use self::control::{Control, ControlError};
pub use self::core::{Place, StoreCore};
pub use self::faults::{Fault, FaultError, FaultRate, Faults};
pub use self::handled::Handled;
pub use self::http::{RawRequest, RawResponse};
pub use self::log::{RequestLog, Stats};
pub use self::options::SandboxOptions;
use self::server::Server;

/// A store on a port of 127.0.0.1. It serves on threads of its own until it is dropped.
///
/// Its methods act on the running store, between two requests.
///
/// ```
/// use serde_json::json;
/// use tillsync::sandbox::{Sandbox, SandboxOptions};
///
/// let sandbox = Sandbox::start(SandboxOptions::default())?;
/// assert!(sandbox.edit(1, json!({"phone": "555"}))); // somebody at the back office
/// assert_eq!(sandbox.customer(1).map(|customer| customer["phone"].clone()), Some(json!("555")));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Sandbox {
    server: Server,
    store_hash: String,
    token: String,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sandbox").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Makes the customers, listens, and returns once requests are taken.
    ///
    /// # Errors
    /// When the port is taken, the system gives no threads, or the file of [`state`](SandboxOptions::state) cannot be written or
    /// is no store of a sandbox; it is left as it is then.
    pub fn start(options: SandboxOptions) -> io::Result<Self> {
        let server = Server::start(&options)?;
        Ok(Self { server, store_hash: options.store_hash, token: options.token })
    }

    /// What stands in for `https://api.bigcommerce.com`, such as `http://127.0.0.1:4010`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.line.address)
    }

    /// Where it is controlled from outside: the port 10,000 above that of the store, or below it, from 55,536 on. None unless
    /// [`control`](SandboxOptions::control) asked for it. [`Control`] speaks to it; docs/sandbox.md tells how others do.
    pub fn control_url(&self) -> Option<String> {
        self.server.control.map(|address| format!("http://{address}"))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.server.line.address.port()
    }

    /// The store hash in the path.
    pub fn store_hash(&self) -> &str {
        &self.store_hash
    }

    /// The token that may read and update.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Looks at or changes the store itself; no request is served meanwhile.
    pub fn with_core<T>(&self, act: impl FnOnce(&mut StoreCore) -> T) -> T {
        self.server.line.shared.with_core(act)
    }

    /// A customer with every attribute, store credit and form fields too. Amounts are floats here; see
    /// [`customer_text`](Self::customer_text) for exact ones.
    pub fn customer(&self, id: i32) -> Option<Value> {
        self.customer_text(id).and_then(|json| serde_json::from_str(&json).ok())
    }

    /// A customer with every attribute, as exact JSON text.
    pub fn customer_text(&self, id: i32) -> Option<String> {
        self.with_core(|core| core.customer_text(id))
    }

    /// How many customers there are.
    pub fn customer_count(&self) -> usize {
        self.with_core(|core| core.customer_count())
    }

    /// The ids of all customers, ascending.
    pub fn ids(&self) -> Vec<i32> {
        self.with_core(|core| core.ids())
    }

    /// Edits a customer in the back office: these attributes replace the customer's, without any limit, and the
    /// date of modification moves. Says whether there is such a customer and the edit is an object.
    pub fn edit(&self, id: i32, attributes: impl Borrow<Value>) -> bool {
        self.edit_text(id, &attributes.borrow().to_string()).unwrap_or(false)
    }

    /// As [`edit`](Self::edit), from exact JSON text.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn edit_text(&self, id: i32, json: &str) -> serde_json::Result<bool> {
        self.with_core(|core| core.edit_text(Utc::now(), id, json))
    }

    /// Adds to a customer's store credit in the back office, or takes from it, without any limit. Says what it is then; none
    /// when there is no such customer.
    pub fn adjust_credit(&self, id: i32, amount: Decimal) -> Option<Decimal> {
        self.with_core(|core| core.adjust_credit(Utc::now(), id, amount))
    }

    /// Deletes a customer in the back office, and says whether there was one.
    pub fn delete(&self, id: i32) -> bool {
        self.with_core(|core| core.delete(id))
    }

    /// Adds a customer in the back office from a JSON object and returns its id; what is missing is filled in.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn add(&self, json: &str) -> serde_json::Result<i32> {
        self.with_core(|core| core.add_text(Utc::now(), json))
    }

    /// How often updates have changed a customer's password.
    pub fn password_changes(&self, id: i32) -> u32 {
        self.with_core(|core| core.password_changes(id))
    }

    /// The password that a customer was last given by an update.
    pub fn last_password(&self, id: i32) -> Option<String> {
        self.with_core(|core| core.last_password(id).map(str::to_owned))
    }

    /// The latest requests, oldest first; see [`SandboxOptions::log_capacity`].
    pub fn requests(&self) -> Vec<RequestLog> {
        self.with_core(|core| core.requests().cloned().collect())
    }

    /// Forgets the requests; counts and violations stay.
    pub fn clear_requests(&self) {
        self.with_core(StoreCore::clear_requests);
    }

    /// What has been counted since the start.
    pub fn stats(&self) -> Stats {
        self.with_core(|core| core.stats())
    }

    /// What a correct client would never have sent, in words.
    pub fn violations(&self) -> Vec<String> {
        self.with_core(|core| core.violations().to_vec())
    }

    /// Sets the rates at which things go wrong.
    pub fn set_faults(&self, faults: Faults) {
        self.with_core(|core| core.set_faults(faults));
    }

    /// Has these faults happen to the next requests, one each; the rates hold again after them.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with_core(|core| core.script(faults));
    }

    /// As [`script`](Self::script), for the next updates; lists are not touched.
    pub fn script_updates(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with_core(|core| core.script_updates(faults));
    }

    /// Has nothing go wrong any more, by chance or by the script.
    pub fn clear_faults(&self) {
        self.with_core(StoreCore::clear_faults);
    }

    /// Switches what the public description leaves open.
    pub fn set_behaviours(&self, behaviours: Behaviours) {
        self.with_core(|core| core.set_behaviours(behaviours));
    }

    /// Sets the server's clock so far ahead of this machine's.
    pub fn set_clock_offset(&self, offset: TimeDelta) {
        self.with_core(|core| core.set_clock_offset(offset));
    }

    /// Sets how long the network takes before a request is looked at, in milliseconds.
    pub fn set_latency_ms(&self, latency_ms: u64) {
        self.server.line.shared.set_latency_ms(latency_ms);
    }

    /// Sets how fast the bodies of answers come, in bytes a second; 0: as fast as it goes.
    pub fn set_bytes_per_second(&self, bytes_per_second: u32) {
        self.server.line.shared.set_bytes_per_second(bytes_per_second);
    }

    /// Takes the network away: new connections are refused, existing ones dropped. Returns when that is so.
    pub fn cut(&self) {
        self.server.line.cut();
    }

    /// Brings the network back, on the same port.
    ///
    /// # Errors
    /// When something else has taken the port meanwhile.
    pub fn heal(&self) -> io::Result<()> {
        self.server.line.heal()
    }

    /// Serves for as long as the process lives, as the command `sandbox` does.
    pub fn wait(&self) -> ! {
        loop {
            std::thread::park();
        }
    }
}
