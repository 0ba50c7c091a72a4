#![doc = include_str!("guide.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The pieces of code that the README shows are compiled too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(not(any(feature = "bundled", feature = "extension")))]
compile_error!("tillsync needs the SQLite that it was tested with: enable its feature `bundled`");

mod api;
mod clock;
mod descriptors;
#[cfg(any(feature = "ffi", feature = "extension"))]
mod embed;
mod engine;
mod error;
#[cfg(feature = "ffi")]
mod ffi;
pub mod fleet;
mod flow;
#[cfg(feature = "inspect")]
pub mod inspect;
mod key;
#[cfg(any(feature = "cli", feature = "ffi", feature = "extension"))]
mod log_file;
mod memory;
mod resource;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod store;
mod syncer;
mod threads;
#[cfg(windows)]
mod windows;
/// How the command and the languages are answered. They may change with any version.
#[doc(hidden)]
pub mod words;

/// The pure parts, for those who simulate many tills (`examples/fleet`). They may change with any version.
#[doc(hidden)]
pub mod parts {
    pub use crate::flow::{
        BaseTime, Bases, Committed, GetVerdict, Misses, Pacer, ReadFailure, SentRow, Step, Tickets, ToSend,
        Upload, Write, judge_get, judge_put,
    };
    pub use crate::resource::{ResourceId, RowId};
    pub use crate::syncer::{Job, QuotaUse, Schedule};
}

/// What the command asks the system about files and threads, and the library knows how. It may change with any version.
#[doc(hidden)]
pub mod system {
    use std::path::Path;

    pub use crate::api::lack_of_threads;
    #[cfg(feature = "cli")]
    pub use crate::store::{has_left, refuse_part};

    /// What the system said of a file that was to be made.
    pub fn file_error(path: &Path, source: &std::io::Error) -> crate::Error {
        crate::Error::file(path, source)
    }

    #[cfg(windows)]
    pub use crate::windows::{close_to_others, is_open_to_others};
}

/// What `bindings/extension` builds on. It may change with any version.
#[cfg(feature = "extension")]
#[doc(hidden)]
pub mod extension {
    pub use crate::embed::by_file::{Session, in_transaction, not_usable};
}

pub use api::{HttpOptions, HttpProxy, HttpRemote, NamedRows, Remote, Request, Roots};
pub use clock::{Clock, SystemClock};
pub use resource::{
    Access, Address, Attributes, BadRecord, BatchId, Changes, Creation, CustomerId, Edit, EditError, EditSeq,
    FIELDS, Field, FieldId, FormValue, Identity, Kind, MergeRule, Record, Resource, ResourceId, Row, Shown,
    Value, Verb, money, parse_adjustment, parse_argument, parse_new, parse_object,
};
/// A customer as the app reads it; the same as [`Row`], by the name that an app has for it.
pub type Customer = Row;
pub use engine::{
    EditEvent, Event, Extent, Progress, PullReport, RETENTION_DAYS, Requests, Stopper, SyncEngine,
    SyncOptions, SyncReport, retention,
};
pub use error::{About, Error, Result};
pub use flow::{
    Answer, Contest, Decision, DeletionBrake, Keep, Outcome, PageAsk, Place, Policies, Policy, RateHeaders,
    Resolver, RetryOptions, Ticket, Trouble, UploadOptions,
};
pub use key::Key;
#[cfg(any(feature = "cli", feature = "ffi", feature = "extension"))]
pub use log_file::{LogLevel, log_to};
/// The SQLite of this library, for an app that opens the till's file by itself, or that meets rusqlite's types in
/// [`Store::connection`]. It is the version that this one was built with; and it is the same copy of SQLite: two in one process would
/// not see each other's locks, which destroys the file.
pub use rusqlite;
pub use rust_decimal::Decimal;
pub use secrecy::SecretString;
pub use store::{
    Attribute, AttributeValue, Conflict, CreationBuilder, DecisionRow, EditBuilder, Entered, Fate,
    FleetStatus, Found, HeldUp, Holder, JournalRow, Kept, LastError, LogState, PastSync, Receipt, Rejected,
    Restored, Salvaged, SetAside, Soundness, Status, Store, StoreOptions, SyncState, SyncStatus, Unjournaled,
    Waiting,
};
pub use syncer::{Events, Syncer, SyncerOptions, WhenTaken};
