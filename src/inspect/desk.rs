//! The stores that pages are made of, and what a person may do with them.
//!
//! A page is made on a thread that may wait: for SQLite, and for whoever holds the right to write. Connections are kept from one
//! page to the next, because opening one looks over the whole shape of a file.

use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;

use super::guard;
use super::live::Listeners;
use super::syncing::{SyncNow, Syncing};
use crate::{Error, Result, Store};

/// So many pages are made at once; the next waits for one of them.
pub(super) const MOST_AT_ONCE: usize = 8;

/// What all pages share.
pub(super) struct Desk {
    stores: Mutex<Vec<Store>>,
    /// From which further connections are opened; never used otherwise.
    first: Mutex<Store>,
    pub(super) author: Option<String>,
    pub(super) is_read_only: bool,
    pub(super) syncing: Arc<Syncing>,
    pub(super) listeners: Listeners,
}

impl Desk {
    pub(super) fn new(store: Store, author: Option<String>, is_read_only: bool, sync: SyncNow) -> Desk {
        let (listeners, first) = (Listeners::default(), Mutex::new(store));
        let syncing = Arc::new(Syncing::new(sync, listeners.clone()));
        Desk { stores: Mutex::default(), first, author, is_read_only, syncing, listeners }
    }

    /// An answer that is made on a thread that may wait. One that panics has said so on its own thread.
    pub(super) async fn answer(
        self: Arc<Self>,
        make: impl FnOnce(&Desk) -> Response + Send + 'static,
    ) -> Response {
        let made = tokio::task::spawn_blocking(move || make(&self)).await;
        made.unwrap_or_else(|_| guard::failed())
    }

    /// Work with a store that nobody else has meanwhile. What went wrong does not come back with its connection.
    pub(super) fn with_store<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&mut Store) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let kept = self.stores.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut store = kept.map_or_else(|| self.another(), Ok)?;
        let done = work(&mut store)?;
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).push(store);
        Ok(done)
    }

    /// A further connection to the file.
    pub(super) fn another(&self) -> Result<Store> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).reopen()
    }
}
