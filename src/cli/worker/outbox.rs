//! What is on its way to a reader who may be slow, stuck, or gone.
//!
//! Nobody waits for the reader: what is said goes into a bounded queue, and a thread of its own writes it. Progress that
//! has not left yet gives way to newer progress. When the queue is full, the oldest event goes, or the oldest answer if
//! there are only answers, and the reader is told how many it missed, in the place where they would have stood.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tillsync::Event;

/// Something to say: an event, or a document that answers a command.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Event(Event),
    Answer(String),
}

/// The queue. It is closed from the one side when no more will come, and from the other when nobody reads any more.
#[derive(Debug)]
pub(super) struct Outbox {
    held: Mutex<Held>,
    news: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Held {
    waiting: VecDeque<Said>,
    missed: u64,
    is_closed: bool,
    is_written: bool,
}

impl Outbox {
    pub(super) fn new(capacity: usize) -> Outbox {
        Outbox { held: Mutex::default(), news: Condvar::new(), capacity: capacity.max(1) }
    }

    /// Never waits for the reader.
    pub(super) fn push(&self, said: Said) {
        let mut held = self.lock();
        match (&said, held.waiting.back_mut()) {
            (Said::Event(Event::Missed { count }), _) => held.missed += count,
            (Said::Event(Event::Progress(_)), Some(last @ Said::Event(Event::Progress(_)))) => *last = said,
            _ => {
                if held.waiting.len() >= self.capacity {
                    held.make_room();
                }
                held.waiting.push_back(said);
            }
        }
        self.news.notify_all();
    }

    /// The next to be written; none when no more will come.
    pub(super) fn next(&self) -> Option<Said> {
        let is_idle = |held: &mut Held| held.waiting.is_empty() && held.missed == 0 && !held.is_closed;
        let waited = self.news.wait_while(self.lock(), is_idle);
        let mut held = waited.unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut held.missed) {
            0 => held.waiting.pop_front(),
            count => Some(Said::Event(Event::Missed { count })),
        }
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_all();
    }

    /// All was written, or nobody reads it.
    pub(super) fn written(&self) {
        self.lock().is_written = true;
        self.news.notify_all();
    }

    /// Gives a slow reader this long for the rest.
    pub(super) fn wait_until_written(&self, within: Duration) {
        _ = self.news.wait_timeout_while(self.lock(), within, |held| !held.is_written);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn make_room(&mut self) {
        let oldest = self.waiting.iter().position(|said| matches!(said, Said::Event(_)));
        self.waiting.remove(oldest.unwrap_or(0));
        self.missed += 1;
    }
}

#[cfg(test)]
mod tests {
    use tillsync::Progress;

    use super::*;

    fn pulled(customers: u64) -> Said {
        Said::Event(Event::Progress(Progress::Pulled { customers, of: None }))
    }

    fn missed(count: u64) -> Said {
        Said::Event(Event::Missed { count })
    }

    fn all(outbox: &Outbox) -> Vec<Said> {
        outbox.close();
        std::iter::from_fn(|| outbox.next()).collect()
    }

    #[test]
    fn a_late_reader_gets_every_answer_and_the_newest_events_and_is_told_how_many_it_missed() {
        let outbox = Outbox::new(3);
        outbox.push(Said::Event(Event::SyncStarted));
        outbox.push(Said::Answer("a".to_owned()));
        outbox.push(Said::Event(Event::Online));
        outbox.push(missed(5));
        outbox.push(Said::Answer("b".to_owned()));
        let [a, b] = ["a", "b"].map(|text| Said::Answer(text.to_owned()));
        assert_eq!(all(&outbox), [missed(6), a, Said::Event(Event::Online), b]);
    }

    #[test]
    fn who_reads_no_answers_misses_the_oldest_of_them() {
        let outbox = Outbox::new(2);
        ["a", "b", "c"].into_iter().for_each(|text| outbox.push(Said::Answer(text.to_owned())));
        let [b, c] = ["b", "c"].map(|text| Said::Answer(text.to_owned()));
        assert_eq!(all(&outbox), [missed(1), b, c]);
    }

    #[test]
    fn progress_that_has_not_left_gives_way_to_newer_progress() {
        let outbox = Outbox::new(9);
        [pulled(250), pulled(500), Said::Event(Event::Online), pulled(750)]
            .into_iter()
            .for_each(|p| outbox.push(p));
        assert_eq!(all(&outbox), [pulled(500), Said::Event(Event::Online), pulled(750)]);
    }
}
