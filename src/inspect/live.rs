//! What happens while a page is open, told by server-sent events: how far the sync has come that was asked for here, and that
//! something in the file is not as it was, whoever did it.
//!
//! The file is looked at only while somebody listens, by a pragma that reads no table and by the locks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_core::Stream;
use tokio::sync::{broadcast, mpsc};

use super::desk::Desk;
use super::syncing::Step;
use crate::{Result, Store};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a page hears of something, be it nothing: the line is kept open by that.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// What a page may be behind; it needs no more than the newest.
const MOST_BEHIND: usize = 16;

/// What pages are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// How far the sync has come that was asked for here.
    Sync(Step),
    /// Something in the file is not as it was.
    Changed,
}

impl News {
    fn event(self) -> Event {
        match self {
            News::Sync(step) => {
                Event::default().event("sync").data(serde_json::to_string(&step).unwrap_or_default())
            }
            // A browser passes over an event without data.
            News::Changed => Event::default().event("changed").data("file"),
        }
    }
}

/// The pages that are open.
#[derive(Clone, Debug)]
pub(super) struct Listeners(broadcast::Sender<News>);

impl Default for Listeners {
    fn default() -> Self {
        Listeners(broadcast::channel(MOST_BEHIND).0)
    }
}

impl Listeners {
    /// Whether anybody listens is nobody's concern.
    pub(super) fn tell(&self, news: News) {
        _ = self.0.send(news);
    }
}

/// The events of one page, until it goes away.
pub(super) async fn events(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    let (tell, events) = mpsc::channel(MOST_BEHIND);
    let mut news = desk.listeners.0.subscribe();
    tokio::spawn(async move {
        // What ended before somebody listened is told nobody any more: how it stands comes first.
        _ = tell.send(News::Sync(desk.syncing.step())).await;
        let mut look = Look::default();
        while !tell.is_closed() {
            let told = match tokio::time::timeout(LOOK_EVERY, news.recv()).await {
                Ok(Ok(told)) => Some(told),
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => Some(News::Changed),
                Ok(Err(broadcast::error::RecvError::Closed)) => return,
                Err(_) => look.again(&desk).await.then_some(News::Changed),
            };
            if let Some(told) = told {
                _ = tell.send(told).await;
            }
        }
    });
    Sse::new(Events(events)).keep_alive(KeepAlive::new().interval(BEAT))
}

/// What comes out of a channel, as events.
pub(super) struct Events(mpsc::Receiver<News>);

impl Stream for Events {
    type Item = std::result::Result<Event, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|news| news.map(|news| Ok(news.event())))
    }
}

/// What tells that the file is not as it was, or not there, who syncs it and who keeps it in step.
type Seen = (i64, bool, bool, bool);

/// What was last seen of the file, over a connection of its own, which never takes its own writes for news.
#[derive(Default)]
struct Look {
    store: Option<Store>,
    seen: Option<Seen>,
}

impl Look {
    /// Whether anything is otherwise than when it was last looked at. A file that cannot be looked at is told by the next page.
    async fn again(&mut self, desk: &Arc<Desk>) -> bool {
        let (store, desk) = (self.store.take(), Arc::clone(desk));
        let look = move || -> Result<(Store, Seen)> {
            let store = store.map_or_else(|| desk.another(), Ok)?;
            let is_there = store.path().exists();
            let seen =
                (store.data_version()?, is_there, store.is_syncing()?, store.worker_holder()?.is_some());
            Ok((store, seen))
        };
        let Ok(Ok((store, seen))) = tokio::task::spawn_blocking(look).await else { return false };
        self.store = Some(store);
        self.seen.replace(seen).is_some_and(|before| before != seen)
    }
}
