//! Offline-first sync of BigCommerce customers.

mod api;
mod clock;
mod customer;
mod engine;
mod error;
mod flow;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod store;

pub use api::{HttpOptions, HttpRemote, Remote, Request};
pub use clock::{Clock, SystemClock};
pub use customer::{
    Access, Attributes, BadRecord, BatchId, CustomerId, Edit, EditError, EditSeq, FIELDS, Field, FieldId,
    FormValue, Kind, MergeRule, Record, Row, Value, parse_argument, parse_object,
};
pub use engine::{Extent, Progress, PullReport, Requests, SyncEngine, SyncOptions, SyncReport};
pub use error::{Error, Result};
pub use flow::{
    Answer, Contest, Decision, Outcome, Policies, Policy, RateHeaders, Resolver, RetryOptions, Ticket,
    Trouble, UploadOptions,
};
pub use rust_decimal::Decimal;
pub use secrecy::SecretString;
pub use store::{Conflict, DecisionRow, EditBuilder, JournalRow, Keep, Rejected, Status, Store};
