//! Room for others: SQLite has one writer at a time and no queue of those who wait.
//!
//! A sync at full speed would hold the write lock almost always, and an edit would find the gaps by luck. While another
//! connection commits, the engine writes in small parts and leaves most of the time to others; else it goes at full speed. Where
//! transaction follows transaction and no call to the store lies between, it pauses now and then all the same: somebody may be waiting
//! who has not come to commit yet.

use std::time::{Duration, Instant};

use rusqlite::Transaction;

use super::decisions::is_of_the_app;
use super::held_up::{self, Apart};
use super::{Failed, Store};
use crate::error::{Error, Result};
use crate::resource::RowId;

/// Customers that are written in one transaction while others write too: some tenths of a millisecond.
const SMALL: usize = 10;
/// The gap after each, as a multiple of the time for which others were kept waiting. One edit in thirteen meets a
/// transaction, and the disk is theirs for the most part. What is left takes in more than the quota of 150 calls in 30
/// seconds allows: 1,250 customers a second (`cargo bench -- "second process"`).
const SHARE: u32 = 12;
/// It is longer than one who waits sleeps between two tries, and a slow disk does not stretch it without end.
const LEAST_GAP: Duration = Duration::from_micros(200);
const MOST_GAP: Duration = Duration::from_millis(20);
/// Nothing more is begun in a transaction that has gone on for so long, whoever waits.
pub(super) const LONG: Duration = Duration::from_millis(5);
/// For so many transactions after another connection has committed, others are expected to go on: a few seconds.
const REMEMBERED: u32 = 500;
/// Beside nobody who is known of, for so long transactions follow each other, and then comes a pause, as long as SQLite's own waits
/// are within the first eighth of a second: whoever has come to wait meanwhile tries in it.
const AT_A_STRETCH: Duration = Duration::from_millis(20);
const PAUSE: Duration = Duration::from_millis(25);

/// What is known of other connections that write.
#[derive(Debug, Default)]
pub(super) struct Others {
    data_version: i64,
    expected_for: u32,
    kept_waiting: Duration,
    without_pause: Duration,
}

impl Others {
    /// For so long the engine's last transaction kept them from writing.
    pub(super) fn have_waited(&mut self, time: Duration) {
        self.kept_waiting = time;
        self.without_pause += time;
    }
}

impl Store {
    /// A sync begins: what others committed before it is no reason to go slowly.
    pub(super) fn expect_nobody(&mut self) -> Result<()> {
        self.others = Others { data_version: self.data_version()?, ..Others::default() };
        Ok(())
    }

    /// Whether other connections commit too.
    pub(crate) fn others_write(&mut self) -> Result<bool> {
        let data_version = self.data_version()?;
        let is_first = self.others.data_version == 0;
        let has_changed = std::mem::replace(&mut self.others.data_version, data_version) != data_version;
        let expected_for = if has_changed && !is_first { REMEMBERED } else { self.others.expected_for };
        self.others.expected_for = expected_for.saturating_sub(1);
        Ok(expected_for > 0)
    }

    /// How many of `most` customers go into the next transaction.
    pub(super) fn at_once(&mut self, most: usize) -> Result<usize> {
        Ok(if self.others_write()? { most.min(SMALL) } else { most }.max(1))
    }

    /// Does the same with each of these customers, in as many transactions as it takes: none goes on for long, each is whole by
    /// itself, and is done once more where a trigger ended it. Returns what each came to.
    pub(super) fn in_small_parts<I: Copy + Into<RowId>, T: Default>(
        &mut self,
        ids: &[I],
        mut work: impl FnMut(&Transaction<'_>, &Apart, I, &mut T) -> Result<(), Failed>,
    ) -> Result<Vec<T>> {
        self.commit_pages()?;
        let (mut rest, mut parts) = (ids, Vec::new());
        while !rest.is_empty() {
            let part = &rest[..self.at_once(rest.len())?];
            let (done, came_to) = self.holding_up(|store, apart| {
                store.engine_write(|transaction| {
                    let (began, mut came_to) = (Instant::now(), T::default());
                    for (place, id) in part.iter().enumerate() {
                        let customer = (*id).into().customer;
                        if !apart.leaves_out(customer) {
                            let done = work(transaction, apart, *id, &mut came_to);
                            done.map_err(|failed| held_up::of(customer, failed))?;
                        }
                        if began.elapsed() >= LONG {
                            return Ok((place + 1, came_to));
                        }
                    }
                    Ok((part.len(), came_to))
                })
            })?;
            parts.push(came_to);
            self.give_way();
            rest = &rest[done..];
        }
        Ok(parts)
    }

    /// The same with each of these, where what something of the app's refuses holds up nobody: what was done before it is done once more
    /// without it, and what it comes to, `refused` says. What fails otherwise takes back its own transaction, and ends it.
    pub(super) fn part_by_part<I, T>(
        &mut self,
        all: &[I],
        mut work: impl FnMut(&Transaction<'_>, &I) -> Result<T, Failed>,
        mut refused: impl FnMut(&I, Error) -> Result<T>,
    ) -> Result<Vec<T>> {
        let (mut came_to, mut sound) = (Vec::with_capacity(all.len()), None);
        while came_to.len() < all.len() {
            let rest = &all[came_to.len()..];
            let part = &rest[..self.at_once(sound.take().unwrap_or(rest.len()))?];
            let mut reached = 0;
            match self.in_one_transaction(part, &mut reached, &mut work) {
                Ok(done) => came_to.extend(done),
                Err(error) if !is_of_the_app(&error) => return Err(error),
                Err(error) if reached == 0 || part.len() == 1 => came_to.push(refused(&rest[0], error)?),
                // No sooner than at the commit: by one of them.
                Err(_) if reached == part.len() => sound = Some(reached / 2),
                Err(_) => sound = Some(reached),
            }
            self.give_way();
        }
        Ok(came_to)
    }

    /// As many at the front as a transaction takes that does not go on for long, and what each came to.
    fn in_one_transaction<I, T>(
        &mut self,
        part: &[I],
        reached: &mut usize,
        mut work: impl FnMut(&Transaction<'_>, &I) -> Result<T, Failed>,
    ) -> Result<Vec<T>> {
        let steps = self.steps.clone();
        self.engine_write(|transaction| {
            let (began, mut came_to) = (Instant::now(), Vec::new());
            for one in part {
                steps.anew();
                came_to.push(work(transaction, one)?);
                *reached += 1;
                if began.elapsed() >= LONG {
                    break;
                }
            }
            Ok(came_to)
        })
    }

    /// Whether they did a moment ago.
    pub(crate) fn has_company(&self) -> bool {
        self.others.expected_for > 0
    }

    /// Lets others write, if there are any.
    pub(super) fn make_room(&self) {
        if self.has_company() {
            std::thread::sleep((self.others.kept_waiting * SHARE).clamp(LEAST_GAP, MOST_GAP));
        }
    }
    /// The same between transactions that nothing else lies between, also for somebody who is not known of.
    pub(super) fn give_way(&mut self) {
        if self.has_company() {
            self.make_room();
        } else if self.others.without_pause >= AT_A_STRETCH {
            std::thread::sleep(PAUSE);
        } else {
            return;
        }
        self.others.without_pause = Duration::ZERO;
    }
}
