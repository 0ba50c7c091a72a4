//! The machine as a whole, driven by hand: what it says, and what follows from what it is told.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::flow::{RateHeaders, SentRow};
use crate::resource::{Attributes, Value, customer};

/// A machine with its clock, and a shell that does what it is told.
struct Shell {
    machine: Upload,
    pacer: Pacer,
    bases: Bases,
    now_ms: u64,
    /// Bytes that a customer takes in a body.
    bytes: fn(RowId) -> usize,
    on_its_way: BTreeMap<Ticket, Vec<RowId>>,
    committed: BTreeMap<Ticket, Vec<RowId>>,
}

fn ids(list: impl IntoIterator<Item = i64>) -> Vec<RowId> {
    list.into_iter().map(customer).collect()
}

fn wall(ms: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(i64::try_from(ms).unwrap())
}

fn options() -> UploadOptions {
    UploadOptions { grace_ms: 1_000, ..UploadOptions::default() }
}

/// Everybody was pulled just now.
fn pulled(customers: std::ops::RangeInclusive<i64>, adjusting: &[i64]) -> Shell {
    let mut shell = cold(customers, adjusting);
    let began = shell.bases.tick(0, wall(0));
    shell.bases.pulled(began);
    shell
}

/// Nobody was read yet.
fn cold(customers: std::ops::RangeInclusive<i64>, adjusting: &[i64]) -> Shell {
    let work = ToSend {
        rows: ids(customers),
        adjusting: ids(adjusting.iter().copied()).into_iter().collect(),
        ..ToSend::default()
    };
    Shell {
        machine: Upload::of(work, options(), Tickets::block(1)),
        pacer: Pacer::new(0),
        bases: Bases::default(),
        now_ms: 0,
        bytes: |_| 100,
        on_its_way: BTreeMap::new(),
        committed: BTreeMap::new(),
    }
}

/// What leaves.
#[derive(Debug, PartialEq, Eq)]
enum Leaves {
    Put(Ticket, Vec<RowId>),
    Look(Ticket, Vec<RowId>),
    Back(Ticket, Vec<RowId>),
}

impl Shell {
    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.bases.tick(self.now_ms, wall(self.now_ms));
    }

    /// Everything that leaves now; commits what is to be committed.
    fn leaves(&mut self) -> Vec<Leaves> {
        let mut left = Vec::new();
        loop {
            match self.machine.next(self.now_ms, &self.pacer, &self.bases) {
                Step::Look(ticket, ids) => {
                    self.on_its_way.insert(ticket, ids.clone());
                    left.push(Leaves::Look(ticket, ids));
                }
                Step::Read(ticket, ids) => {
                    self.on_its_way.insert(ticket, ids.clone());
                    left.push(Leaves::Back(ticket, ids));
                }
                Step::Others(..) => panic!("two failed alone"),
                Step::Prepare(ticket, ids) => self.commit(ticket, &ids),
                Step::Send(ticket) => {
                    let ids = self.committed.remove(&ticket).unwrap();
                    self.machine.sent(ticket, self.now_ms);
                    self.on_its_way.insert(ticket, ids.clone());
                    left.push(Leaves::Put(ticket, ids));
                }
                Step::Retract(ticket, ids) => {
                    assert_eq!(self.committed.remove(&ticket), Some(ids), "as it was committed");
                }
                Step::Wait(_) | Step::Done => return left,
            }
        }
    }

    fn commit(&mut self, ticket: Ticket, ids: &[RowId]) {
        let most = self.machine.most_bytes().unwrap_or(usize::MAX);
        let (mut bytes, mut fits) = (1, 0);
        for id in ids {
            bytes += (self.bytes)(*id) + 1;
            fits += usize::from(fits == 0 || bytes <= most);
        }
        let customers = ids[..fits].iter().map(|id| (*id, (self.bytes)(*id))).collect();
        self.committed.insert(ticket, ids[..fits].to_vec());
        let left = ids[fits..].to_vec();
        self.machine
            .prepared(ticket, Committed { rows: customers, adjusting: Vec::new(), pays: false, left });
    }

    fn answer(&mut self, ticket: Ticket, verdict: PutVerdict) -> Write {
        self.on_its_way.remove(&ticket).unwrap();
        self.machine.answered(ticket, verdict, self.now_ms, 0.5)
    }

    fn confirm(&mut self, ticket: Ticket) {
        let records = self.on_its_way[&ticket].iter().map(|id| (*id, Record::new("{}"))).collect();
        self.answer(
            ticket,
            PutVerdict::Confirmed {
                records,
                missing: Vec::new(),
                unshown: BTreeMap::new(),
                rejections: Vec::new(),
            },
        );
    }

    /// A look shows those of them that are `there`.
    fn look_shows(&mut self, ticket: Ticket, there: impl Fn(RowId) -> bool) -> Vec<RowId> {
        let asked = self.bases.tick(self.now_ms, wall(self.now_ms));
        let shown: BTreeSet<RowId> =
            self.on_its_way.remove(&ticket).unwrap().into_iter().filter(|id| there(*id)).collect();
        self.bases.read(shown.iter().copied(), asked);
        self.machine.looked(ticket, &shown, self.now_ms)
    }

    /// A reading back shows all of them, of which these did not land.
    fn back_shows(&mut self, ticket: Ticket, pending: &[RowId]) -> Vec<Rejection> {
        let asked = self.bases.tick(self.now_ms, wall(self.now_ms));
        let shown: BTreeSet<RowId> = self.on_its_way.remove(&ticket).unwrap().into_iter().collect();
        self.bases.read(shown.iter().copied(), asked);
        assert_eq!(self.machine.missing(ticket, &shown, self.now_ms), []);
        self.machine.read(ticket, pending)
    }

    /// Plays to the end with a store that takes a call if `takes` says so of its customers, and fails it else; it answers
    /// every read, and shows that nothing of what failed has landed. Returns the sizes of the calls.
    fn play(&mut self, takes: impl Fn(&[RowId]) -> Result<(), PutVerdict>) -> Vec<usize> {
        let mut calls = Vec::new();
        for _ in 0..2_000 {
            self.leaves();
            let Some((ticket, customers)) = self.on_its_way.iter().next().map(|(t, ids)| (*t, ids.clone()))
            else {
                match self.machine.next(self.now_ms, &self.pacer, &self.bases) {
                    Step::Wait(Some(until_ms)) => self.pass(until_ms - self.now_ms),
                    Step::Done => return calls,
                    step => panic!("{step:?} with nothing on its way"),
                }
                continue;
            };
            self.pass(10);
            if self.machine.flights.contains_key(&ticket) {
                calls.push(customers.len());
                match takes(&customers) {
                    Ok(()) => self.confirm(ticket),
                    Err(verdict) => _ = self.answer(ticket, verdict),
                }
            } else if self.machine.look.sent_ms(ticket).is_some() {
                self.look_shows(ticket, |_| true);
            } else {
                self.back_shows(ticket, &customers);
            }
        }
        panic!("it does not end: {} calls", calls.len());
    }
}

fn doubt() -> PutVerdict {
    PutVerdict::InDoubt("status 504".to_owned())
}

// ---- looks -------------------------------------------------------------------------------------------------------

#[test]
fn after_a_pull_three_calls_leave_at_once_and_nothing_is_looked_at() {
    let left = pulled(1..=40, &[]).leaves();
    let puts: Vec<&Leaves> = left.iter().filter(|left| matches!(left, Leaves::Put(..))).collect();
    assert_eq!((left.len(), puts.len()), (3, 3), "{left:?}");
}

#[test]
fn a_push_of_ten_is_one_look_and_one_update() {
    let mut shell = cold(1..=10, &[]);
    let [Leaves::Look(look, asked)] = &shell.leaves()[..] else { panic!() };
    assert_eq!(*asked, ids(1..=10));
    shell.look_shows(*look, |_| true);
    let [Leaves::Put(put, sent)] = &shell.leaves()[..] else { panic!() };
    assert_eq!(*sent, ids(1..=10));
    shell.confirm(*put);
    assert_eq!((shell.leaves(), shell.machine.failure().is_none()), (vec![], true));
}

#[test]
fn looks_go_beside_three_updates() {
    let mut shell = cold(1..=300, &[]);
    let [Leaves::Look(first, _)] = &shell.leaves()[..] else { panic!() };
    shell.look_shows(*first, |_| true);
    assert_eq!(shell.leaves().len(), 3);
    // Thirty are on their way and thirty stand ready. Ten later the next hundred are looked at.
    let put = *shell.on_its_way.keys().next().unwrap();
    shell.confirm(put);
    let left = shell.leaves();
    assert!(matches!(&left[..], [Leaves::Put(..)]), "{left:?}");
    let put = *shell.on_its_way.keys().next().unwrap();
    shell.confirm(put);
    let left = shell.leaves();
    assert!(
        matches!(&left[..], [Leaves::Put(..), Leaves::Look(_, asked)] if *asked == ids(101..=200)),
        "{left:?}"
    );
}

#[test]
fn two_thousand_customers_are_two_hundred_calls_and_twenty_looks() {
    let mut shell = cold(1..=2_000, &[]);
    let calls = shell.play(|_| Ok(()));
    assert_eq!((calls.len(), calls.iter().sum::<usize>()), (200, 2_000));
    assert_eq!(shell.machine.tickets.take(), Ticket((1 << 32) + 200 + 20 + 1), "every ticket was a call");
}

#[test]
fn adjustments_are_looked_at_together_for_their_own_batch() {
    let mut shell = pulled(1..=10, &[3, 7]);
    let [Leaves::Look(look, asked)] = &shell.leaves()[..] else { panic!() };
    assert_eq!(*asked, ids([3, 7]));
    shell.look_shows(*look, |_| true);
    assert!(matches!(&shell.leaves()[..], [Leaves::Put(_, sent)] if sent.len() == 10));
}

/// What a look brought serves an adjustment for two seconds.
#[test]
fn adjustments_of_two_looks_are_fresh_together_though_a_look_takes_longer_than_they_stay_fresh() {
    for (ms, missing) in [(2_600, 5), (2_600, 0), (4_100, 5), (30_000, 95)] {
        let everybody: Vec<i64> = (1..=111).collect();
        let mut shell = pulled(1..=111, &everybody);
        let (mut looks, mut sent) = (0, BTreeSet::new());
        while sent.len() < if missing == 0 { 111 } else { 110 } {
            assert!(looks < 12, "{ms} {missing}: {looks} looks, {} sent", sent.len());
            for left in shell.leaves() {
                if let Leaves::Put(ticket, ids) = left {
                    sent.extend(ids);
                    shell.confirm(ticket);
                }
            }
            let waiting: Vec<Ticket> = shell.on_its_way.keys().copied().collect();
            if !waiting.is_empty() {
                shell.pass(ms);
            }
            for ticket in waiting {
                looks += 1;
                shell.look_shows(ticket, |id| id.row != missing);
            }
            shell.pass(1);
        }
        assert!(shell.machine.failure().is_none() && looks <= 6, "{ms} {missing}: {looks} looks");
    }
}

#[test]
fn looks_that_bring_no_update_are_not_made_for_ever() {
    let everybody: Vec<i64> = (1..=3).collect();
    let mut shell = pulled(1..=3, &everybody);
    let mut looks = 0;
    while let [Leaves::Look(look, _)] = shell.leaves()[..] {
        looks += 1;
        assert!(looks < 100);
        shell.look_shows(look, |_| true);
        // The machine sleeps each time that an answer came.
        shell.pass(60_000);
    }
    assert_eq!(looks, 21);
    assert!(matches!(shell.machine.failure(), Some(Failure::Unavailable { .. })));
}

#[test]
fn a_batch_that_waited_too_long_is_retracted_and_its_customers_looked_at_again() {
    let mut shell = pulled(1..=40, &[]);
    shell.leaves();
    assert_eq!(shell.committed.len(), 1);
    shell.pass(10_001);
    let left = shell.leaves();
    assert!(matches!(&left[..], [Leaves::Look(_, asked)] if *asked == ids(31..=40)), "{left:?}");
    assert_eq!(shell.committed.len(), 0);
}

#[test]
fn a_night_asleep_makes_every_base_old_though_one_clock_stood_still() {
    let mut shell = pulled(1..=40, &[]);
    shell.leaves();
    shell.bases.tick(shell.now_ms + 5, wall(8 * 3_600_000));
    let left = shell.leaves();
    assert!(matches!(&left[..], [Leaves::Look(_, asked)] if *asked == ids(31..=40)), "{left:?}");
}

#[test]
fn an_adjustment_made_since_the_plan_has_its_batch_retracted_for_a_look() {
    let mut shell = pulled(1..=10, &[]);
    let Step::Prepare(ticket, prepared) = shell.machine.next(0, &shell.pacer, &shell.bases) else { panic!() };
    let customers = prepared.iter().map(|id| (*id, 100)).collect();
    shell
        .machine
        .prepared(ticket, Committed { rows: customers, adjusting: ids([4]), pays: true, left: Vec::new() });
    assert_eq!(shell.machine.next(0, &shell.pacer, &shell.bases), Step::Retract(ticket, prepared));
    assert!(matches!(&shell.leaves()[..], [Leaves::Look(_, asked)] if *asked == ids([4])));
}

#[test]
fn who_is_missing_in_a_look_holds_nobody_up_and_is_gone_after_a_second_one() {
    let mut shell = cold(1..=10, &[]);
    let [Leaves::Look(look, _)] = shell.leaves()[..] else { panic!() };
    assert_eq!(shell.look_shows(look, |id| id.row != 6), []);
    let [Leaves::Put(put, ref sent)] = shell.leaves()[..] else { panic!() };
    assert_eq!(sent.len(), 9);
    shell.confirm(put);
    assert_eq!(shell.machine.next(shell.now_ms, &shell.pacer, &shell.bases), Step::Wait(Some(1_000)));
    shell.pass(1_000);
    let [Leaves::Look(second, ref asked)] = shell.leaves()[..] else { panic!() };
    assert_eq!(*asked, ids([6]));
    assert_eq!(shell.look_shows(second, |_| false), ids([6]));
    assert_eq!(shell.machine.next(shell.now_ms, &shell.pacer, &shell.bases), Step::Done);
}

#[test]
fn who_was_overlooked_by_one_look_is_sent_after_the_next() {
    let mut shell = cold(1..=3, &[]);
    let [Leaves::Look(look, _)] = shell.leaves()[..] else { panic!() };
    shell.look_shows(look, |_| false);
    shell.pass(1_000);
    let [Leaves::Look(second, _)] = shell.leaves()[..] else { panic!() };
    shell.look_shows(second, |_| true);
    assert!(matches!(&shell.leaves()[..], [Leaves::Put(_, sent)] if *sent == ids(1..=3)));
}

#[test]
fn a_customer_that_waited_for_another_ones_address_is_looked_at_when_its_turn_comes() {
    let order = order_emails(&[
        EmailEdit { id: customer(1), from: "a@x".into(), to: "b@x".into() },
        EmailEdit { id: customer(2), from: "b@x".into(), to: "c@x".into() },
    ]);
    let mut shell = cold(1..=2, &[]);
    let work = ToSend { rows: ids(1..=2), order, ..ToSend::default() };
    shell.machine = Upload::of(work, options(), Tickets::block(1));
    assert_eq!(shell.play(|_| Ok(())), [1, 1]);
}

// ---- what did not land -------------------------------------------------------------------------------------------

fn unshown(records: &[i64], fields: &[(i64, FieldId)]) -> PutVerdict {
    PutVerdict::Confirmed {
        records: ids(records.iter().copied()).into_iter().map(|id| (id, Record::new("{}"))).collect(),
        missing: Vec::new(),
        unshown: fields.iter().map(|(id, field)| (customer(*id), vec![*field])).collect(),
        rejections: Vec::new(),
    }
}

#[test]
fn what_a_200_shows_as_it_was_is_read_back_later_and_rejected_if_it_stays_so() {
    let mut shell = pulled(1..=3, &[]);
    let [Leaves::Put(put, _)] = shell.leaves()[..] else { panic!() };
    shell.answer(put, unshown(&[1, 3], &[(2, FieldId::EMAIL)]));
    assert_eq!(shell.machine.next(shell.now_ms, &shell.pacer, &shell.bases), Step::Wait(Some(1_000)));
    shell.pass(1_000);
    let [Leaves::Back(back, ref asked)] = shell.leaves()[..] else { panic!() };
    assert_eq!(*asked, ids([2]));
    let rejections = shell.back_shows(back, &ids([2]));
    let expected = Rejection { row: customer(2), field: Some(FieldId::EMAIL), words: NOT_SHOWN.to_owned() };
    assert_eq!(rejections, [expected]);
}

#[test]
fn what_a_200_shows_late_has_landed() {
    let mut shell = pulled(1..=1, &[]);
    let [Leaves::Put(put, _)] = shell.leaves()[..] else { panic!() };
    shell.answer(put, unshown(&[], &[(1, FieldId::EMAIL)]));
    shell.pass(1_000);
    let [Leaves::Back(back, _)] = shell.leaves()[..] else { panic!() };
    assert_eq!(shell.back_shows(back, &[]), []);
    assert_eq!(shell.machine.next(shell.now_ms, &shell.pacer, &shell.bases), Step::Done);
}

#[test]
fn a_row_shows_what_it_does_not_show() {
    let text = |text: &str| Value::Text(text.to_owned());
    let row = SentRow {
        id: customer(1),
        fields: vec![(FieldId::EMAIL, text("old"), text("new"))],
        password: None,
        other_passwords: Vec::new(),
    };
    let unshown = |json: &str| row.unshown(&Attributes::parse(json).unwrap());
    assert_eq!(unshown(r#"{"id":1,"email":"old"}"#), [FieldId::EMAIL]);
    assert_eq!(unshown(r#"{"id":1,"email":"new"}"#), []);
    assert_eq!(unshown(r#"{"id":1,"email":"a third"}"#), [], "a remote change");
    assert_eq!(unshown(r#"{"id":1}"#), [], "not told is not denied");
}

// ---- 5xx ---------------------------------------------------------------------------------------------------------

#[test]
fn a_store_that_fails_large_calls_gets_smaller_ones_and_everything_arrives() {
    let mut shell = pulled(1..=300, &[]);
    let calls = shell.play(|ids| if ids.len() > 4 { Err(doubt()) } else { Ok(()) });
    let landed: usize = calls.iter().filter(|size| **size <= 4).sum();
    let failed = calls.iter().filter(|size| **size > 4).count();
    assert_eq!((landed, shell.machine.failure().map(|f| f.to_string())), (300, None));
    assert!(failed <= 24, "{failed} calls failed until the size was found: {calls:?}");
}

#[test]
fn one_customer_that_fails_alone_is_set_aside_and_calls_stay_large() {
    let mut shell = pulled(1..=300, &[]);
    let calls = shell.play(|ids| if ids.contains(&customer(7)) { Err(doubt()) } else { Ok(()) });
    let failure = shell.machine.set_aside().unwrap().to_string();
    assert!(failure.contains("customer 7, alone in its call: status 504"), "{failure}");
    assert!(calls.len() <= 30 + 12, "{calls:?}");
    assert!(calls.iter().filter(|size| **size == 10).count() >= 29, "{calls:?}");
}

#[test]
fn a_store_that_fails_every_update_is_not_asked_for_ever() {
    let mut shell = pulled(1..=2_000, &[]);
    let calls = shell.play(|_| Err(doubt()));
    assert!(calls.len() <= 45, "{} calls", calls.len());
    assert!(shell.machine.failure().is_some());
}

// ---- 413 ---------------------------------------------------------------------------------------------------------

fn too_large() -> PutVerdict {
    PutVerdict::TooLarge { words: "too large".to_owned() }
}

#[test]
fn one_large_record_is_rejected_alone_and_makes_nobody_elses_call_small() {
    let mut shell = pulled(1..=100, &[]);
    shell.bytes = |id| if id.row == 7 { 2_000_000 } else { 100 };
    let calls = shell.play(|ids| if ids.contains(&customer(7)) { Err(too_large()) } else { Ok(()) });
    assert_eq!(calls.iter().filter(|size| **size == 1).count(), 1);
    assert_eq!(calls.len(), 12, "ten, one that was refused for nine and one: {calls:?}");
    assert_eq!(shell.machine.learned_bytes(), Some(1_000_001), "half of what was refused alone");
}

#[test]
fn a_store_that_takes_four_customers_is_taught_by_bytes_too() {
    let mut shell = pulled(1..=100, &[]);
    let calls = shell.play(|ids| if ids.len() > 4 { Err(too_large()) } else { Ok(()) });
    let refused = calls.iter().filter(|size| **size > 4).count();
    assert!(refused <= 9, "{calls:?}");
    assert_eq!(calls.iter().filter(|size| **size <= 4).sum::<usize>(), 100);
    let learned = shell.machine.learned_bytes().unwrap();
    assert!((203..507).contains(&learned), "two to four of them: {learned} bytes");
}

// ---- 429 ---------------------------------------------------------------------------------------------------------

#[test]
fn a_refusal_of_concurrency_rests_one_slot_for_tenths_of_a_second() {
    let mut shell = pulled(1..=60, &[]);
    let left = shell.leaves();
    let Leaves::Put(first, ref refused) = left[0] else { panic!() };
    assert!(matches!(shell.answer(first, PutVerdict::Crowded), Write::EndRefused));
    assert_eq!(shell.leaves(), [], "two are on their way, and one slot rests");
    shell.pass(300);
    let again = shell.leaves();
    let [Leaves::Put(..)] = &again[..] else { panic!("{again:?}") };
    let Leaves::Put(second, _) = left[1] else { panic!() };
    shell.confirm(second);
    let sent = shell.play(|_| Ok(()));
    assert!(sent.len() >= 4 && refused.len() == 10, "{sent:?}");
}

// ---- the budget ------------------------------------------------------------------------------------------------------

/// Other apps use every window up: what was looked at leaves all the same, or it would be looked at for ever.
#[test]
fn an_update_follows_its_look_though_the_budget_is_used_up() {
    let used_up =
        RateHeaders { left: Some(0), reset_ms: Some(12_000), quota: Some(150), ..RateHeaders::default() };
    let mut shell = cold(1..=25, &[7]);
    for times in 1..=2 {
        let left = shell.leaves();
        let [Leaves::Look(look, _)] = left[..] else { panic!("{left:?}") };
        shell.pacer.sent();
        shell.pacer.returned(&used_up, shell.now_ms);
        shell.look_shows(look, |_| true);
        if times == 1 {
            assert_eq!(shell.leaves(), [], "what is kept is for the others");
            shell.pass(12_000);
        }
    }
    let puts = shell.leaves();
    let [Leaves::Put(first, _)] = puts[..] else { panic!("{puts:?}") };
    shell.pacer.limited(&used_up, true, shell.now_ms, 0.0);
    shell.answer(first, PutVerdict::Limited);
    assert_eq!(shell.leaves(), [], "the store said no");
    shell.pass(12_000);
    let again = shell.leaves();
    assert!(matches!(again[..], [Leaves::Look(..)]), "{again:?}");
}

#[test]
fn without_a_look_nothing_leaves_once_the_budget_is_used_up() {
    let used_up =
        RateHeaders { left: Some(0), reset_ms: Some(5_000), quota: Some(150), ..RateHeaders::default() };
    let mut shell = pulled(1..=25, &[]);
    shell.pacer.sent();
    shell.pacer.returned(&used_up, shell.now_ms);
    assert_eq!(shell.leaves(), []);
    shell.pass(5_000);
    assert_eq!(shell.leaves().len(), 3);
}

/// Groups that were one call, and of which the first is old by now: to put it behind the others had nobody looked at, and nothing left.
#[test]
fn whoever_is_next_is_looked_at_though_those_behind_are_fresh() {
    let mut shell = cold(std::ops::RangeInclusive::new(1, 0), &[]);
    let asked = shell.bases.tick(0, wall(0));
    shell.bases.read(ids(2..=4), asked);
    shell.machine.room = Room::new(1, None);
    shell.machine.lanes.last(Group::of(ids([1])));
    shell.machine.lanes.last(Group::of(ids(2..=4)));
    let left = shell.leaves();
    assert!(matches!(&left[..], [Leaves::Look(_, looked)] if looked.contains(&customer(1))), "{left:?}");
}
