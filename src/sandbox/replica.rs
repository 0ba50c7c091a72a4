//! The store as it was some time ago, from which reads are answered where they lag behind writes.
//!
//! A replica begins as a copy of the book and is told of every change when it is made; it takes a change in once it is
//! old enough. There is none where reads do not lag.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::book::Book;
use super::record::Record;

#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub book: Book,
    behind: VecDeque<Change>,
}

#[derive(Clone, Debug)]
struct Change {
    at: DateTime<Utc>,
    id: i32,
    /// The customer and its date as it is since then; none: it was deleted.
    becomes: Option<(Record, i64)>,
}

impl Replica {
    pub fn of(book: &Book) -> Self {
        let mut book = book.clone();
        book.remember_changes(false);
        Self { book, behind: VecDeque::new() }
    }

    /// Is told how these customers are now.
    pub fn hear(&mut self, at: DateTime<Utc>, book: &Book, changed: Vec<i32>) {
        for id in changed {
            let becomes = book.record(id).map(std::borrow::Cow::into_owned).zip(book.modified(id));
            self.behind.push_back(Change { at, id, becomes });
        }
    }

    /// Takes in what is old enough.
    pub fn catch_up(&mut self, now: DateTime<Utc>, lag: TimeDelta) {
        while self.behind.front().is_some_and(|change| change.at + lag <= now) {
            let Some(Change { id, becomes, .. }) = self.behind.pop_front() else { return };
            match becomes {
                Some((record, modified)) => self.book.store(id, record, modified),
                None => _ = self.book.delete(id),
            }
        }
    }
}
