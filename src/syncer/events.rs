//! The stream of events: bounded, and honest about what it dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::Event;

/// What happens while a worker runs, in order. May be read by several threads; each event goes to one of them.
///
/// It holds a bounded number of events (see [`SyncerOptions::events`](super::SyncerOptions::events)). When a reader is
/// late, the oldest are dropped, and the next one read is [`Event::Missed`] with their number: a worker never waits for
/// its reader. What was dropped can still be had from the file: the journal, the conflicts, the refused edits.
#[derive(Clone, Debug)]
pub struct Events(Arc<Queue>);

impl Events {
    pub(super) fn of(queue: Arc<Queue>) -> Events {
        Events(queue)
    }

    /// The next event; none when `timeout` is over before one came, or the worker has ended and all were read.
    pub fn next(&self, timeout: Duration) -> Option<Event> {
        let waiting = self.0.lock();
        let is_idle = |held: &mut Held| held.events.is_empty() && held.missed == 0 && !held.is_closed;
        let waited = self.0.news.wait_timeout_while(waiting, timeout, is_idle);
        let mut held = waited.unwrap_or_else(PoisonError::into_inner).0;
        match std::mem::take(&mut held.missed) {
            0 => held.events.pop_front(),
            count => Some(Event::Missed { count }),
        }
    }

    /// Whether the worker has ended and all that it had to say was read: no event will come any more.
    pub fn have_ended(&self) -> bool {
        let held = self.0.lock();
        held.is_closed && held.events.is_empty() && held.missed == 0
    }
}

/// Events on their way from a worker to its readers.
#[derive(Debug)]
pub(super) struct Queue {
    held: Mutex<Held>,
    news: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Held {
    events: VecDeque<Event>,
    missed: u64,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Queue {
        Queue { held: Mutex::default(), news: Condvar::new(), capacity: capacity.max(1) }
    }

    pub(super) fn push(&self, event: Event) {
        let mut held = self.lock();
        if held.events.len() >= self.capacity {
            held.events.pop_front();
            held.missed += 1;
        }
        held.events.push_back(event);
        self.news.notify_one();
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_reader_is_told_how_many_it_missed_and_gets_the_newest() {
        let queue = Arc::new(Queue::new(2));
        let events = Events::of(queue.clone());
        assert_eq!(events.next(Duration::ZERO), None);
        for event in [Event::SyncStarted, Event::Online, Event::Missed { count: 9 }] {
            queue.push(event);
        }
        let read: Vec<Event> = std::iter::from_fn(|| events.next(Duration::ZERO)).collect();
        assert_eq!(read, [Event::Missed { count: 1 }, Event::Online, Event::Missed { count: 9 }]);
        assert!(!events.have_ended(), "more may come");
        queue.push(Event::Online);
        queue.close();
        assert!(!events.have_ended(), "one is still to be read");
        assert_eq!(events.next(Duration::ZERO), Some(Event::Online));
        assert_eq!(events.next(Duration::from_secs(60)), None, "nothing will come any more");
        assert!(events.have_ended());
    }
}
