//! Pull without holes: whatever changes meanwhile, whatever the clocks say, wherever it is cut.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use common::{Till, sandbox, sandbox_with, till};
use serde_json::json;
use tillsync::sandbox::{Behaviours, DateBounds, Fault, Sandbox, SandboxOptions};
use tillsync::{
    Answer, Event, Extent, HttpRemote, Progress, Remote, Request, Store, SyncEngine, Ticket, Trouble,
};

/// More than one page, and the last one not full.
const MANY: usize = 900;

fn pull(till: &Till) -> u64 {
    till.engine().pull(Extent::Changes).unwrap().pulled
}

/// The back office gives these customers a company, all in the same second.
fn change(sandbox: &Sandbox, ids: &[i32], company: &str) {
    let (now, json) = (Utc::now(), json!({"company": company}).to_string());
    sandbox.with_core(|core| ids.iter().for_each(|id| assert!(core.edit_text(now, *id, &json).unwrap())));
}

/// Every customer of the store is in the till as the store has it, and nobody else is.
#[track_caller]
fn check_no_hole(till: &Till) {
    let (store, ids) = (till.store(), till.sandbox.ids());
    assert_eq!(store.status().unwrap().snapshot_customers, ids.len() as u64);
    for id in ids {
        let row = store.get(i64::from(id)).unwrap().unwrap_or_else(|| panic!("customer {id} is missing"));
        let row: serde_json::Value = serde_json::from_str(&row.to_json()).unwrap();
        let customer = till.sandbox.customer(id).unwrap();
        for attribute in ["company", "email", "phone", "date_modified"] {
            assert_eq!(row[attribute], customer[attribute], "customer {id}: {attribute}");
        }
    }
    till.assert_no_violations();
}

fn with_bounds(customers: usize, date_bounds: DateBounds) -> Arc<Sandbox> {
    let behaviours = Behaviours { date_bounds, ..Behaviours::default() };
    sandbox_with(SandboxOptions { customers, quota: 1_000_000, behaviours, ..SandboxOptions::default() })
}

/// Pulls, slowly: at each page that comes in these of the customers change, and half a minute goes by.
fn pull_while(till: &Till, is_changed: impl Fn(i32, u32) -> bool + Send + 'static) {
    let (sandbox, mut page) = (till.sandbox.clone(), 0);
    let ahead = sandbox.with_core(|core| core.server_clock(Utc::now())) - Utc::now();
    let mut engine = till.engine().on_progress(move |_| {
        page += 1;
        let ids: Vec<i32> = sandbox.ids().into_iter().filter(|id| is_changed(*id, page)).collect();
        change(&sandbox, &ids, &format!("at page {page}"));
        sandbox.set_clock_offset(ahead + TimeDelta::seconds(30 * i64::from(page)));
    });
    engine.pull(Extent::Changes).unwrap();
}

#[test]
fn half_the_customers_change_while_a_pull_runs_and_the_next_one_misses_none() {
    for bounds in [DateBounds::Inclusive, DateBounds::Exclusive] {
        let till = Till::new(with_bounds(MANY, bounds));
        pull_while(&till, |id, page| id % 2 == 0 && page == 2);
        pull(&till);
        check_no_hole(&till);
        // The same of a pull that is not the first: all have changed, and half change again at every page.
        change(&till.sandbox, &till.sandbox.ids(), "all");
        pull_while(&till, |id, page| (id / 3) as u32 % 2 == page % 2);
        pull(&till);
        check_no_hole(&till);
    }
}

#[test]
fn customers_of_the_same_second_are_all_pulled_whatever_the_bound_means() {
    for bounds in [DateBounds::Inclusive, DateBounds::Exclusive] {
        let till = Till::new(with_bounds(MANY, bounds));
        pull(&till);
        // More than two pages of the same second, and it may be the second in which the last pull began.
        let ids: Vec<i32> = till.sandbox.ids().into_iter().take(600).collect();
        change(&till.sandbox, &ids, "same second");
        assert_eq!(pull(&till), 600, "{bounds:?}");
        check_no_hole(&till);
    }
}

#[test]
fn a_change_in_the_second_in_which_the_last_pull_ended_is_pulled() {
    for bounds in [DateBounds::Inclusive, DateBounds::Exclusive] {
        let till = Till::new(with_bounds(3, bounds));
        for round in 0..20 {
            pull(&till);
            change(&till.sandbox, &[2], &format!("round {round}"));
            pull(&till);
            assert_eq!(till.local(2, "company"), format!("\"round {round}\""), "{bounds:?}");
        }
    }
}

#[test]
fn the_tills_clock_decides_nothing() {
    for hours in [-30, -2, 2, 30] {
        let till = Till::new(sandbox(10));
        till.sandbox.set_clock_offset(TimeDelta::hours(hours));
        pull(&till);
        change(&till.sandbox, &[3, 4], "changed");
        assert_eq!(pull(&till), 2, "the server is {hours} h ahead");
        assert_eq!(pull(&till), 0, "the server is {hours} h ahead");
        check_no_hole(&till);
    }
}

#[test]
fn a_tills_clock_that_is_set_between_two_pulls_makes_no_hole() {
    // Seen from the till, the server's clock runs ahead by hours; the server itself notices nothing.
    let till = Till::new(sandbox(10));
    pull(&till);
    till.sandbox.set_clock_offset(TimeDelta::hours(7));
    change(&till.sandbox, &[3], "changed");
    assert_eq!(pull(&till), 1);
    change(&till.sandbox, &[4], "changed");
    assert_eq!(pull(&till), 1);
    check_no_hole(&till);
}

#[test]
fn a_pull_of_nothing_new_costs_one_call() {
    let till = till(MANY);
    let report = till.engine().pull(Extent::Changes).unwrap();
    assert_eq!((report.requests.get, report.pulled, till.gets()), (1, 0, 1));
}

/// Has this happen to every request behind so many.
fn goes_wrong_after(pages: usize, sandbox: &Sandbox, fault: Fault) {
    sandbox.script(vec![Fault::None; pages]);
    sandbox.script([fault; 100]);
}

/// A first pull that loses its connection when it has taken in this many pages, and does not try again.
fn cut_after(pages: usize, till: &mut Till) {
    till.options.upload.retry.tries = 1;
    goes_wrong_after(pages, &till.sandbox, Fault::LostRequest);
    let error = till.engine().pull(Extent::Changes).unwrap_err();
    assert!(error.is_offline(), "{error}");
    till.sandbox.clear_faults();
    till.sandbox.clear_requests();
}

#[test]
fn a_first_pull_that_is_cut_goes_on_at_its_page() {
    let mut till = Till::new(sandbox(MANY));
    cut_after(2, &mut till);
    assert_eq!(till.store().status().unwrap().snapshot_customers, 500);
    // What changes meanwhile, before the cut or behind it, is not lost.
    change(&till.sandbox, &[1, 600], "while it was cut");
    assert_eq!(pull(&till), 400);
    assert_eq!(till.gets(), 2);
    pull(&till);
    check_no_hole(&till);
    assert_eq!(till.gets(), 3);
}

#[test]
fn a_first_pull_may_be_cut_at_every_page() {
    let mut till = Till::new(sandbox(MANY));
    for _ in 0..3 {
        cut_after(1, &mut till);
    }
    assert_eq!(pull(&till), MANY as u64 - 750);
    assert_eq!(till.gets(), 1);
    check_no_hole(&till);
}

#[test]
fn a_cut_pull_whose_place_the_store_forgot_begins_anew() {
    let mut till = Till::new(sandbox(MANY));
    cut_after(2, &mut till);
    // The store refuses the place.
    till.sandbox.script([Fault::Status(422)]);
    assert_eq!(pull(&till), 400);
    assert_eq!(till.gets(), 5);
    check_no_hole(&till);
}

#[test]
fn a_full_pull_finds_deletions_also_of_edited_customers() {
    let till = till(MANY);
    let ids = till.sandbox.ids();
    till.set(i64::from(ids[600]), "phone", "1");
    for place in [0, 300, 600, MANY - 1] {
        till.sandbox.delete(ids[place]);
    }
    assert_eq!(till.engine().pull(Extent::Changes).unwrap().deleted, 0);
    let report = till.engine().pull(Extent::Full).unwrap();
    assert_eq!((report.deleted, report.pulled, report.conflicts), (4, 0, 1));
    assert_eq!(till.outcomes(i64::from(ids[600]), "phone"), ["held"]);
    check_no_hole(&till);
}

#[test]
fn a_full_pull_that_is_cut_takes_nobody_for_deleted() {
    let mut till = till(MANY);
    till.options.upload.retry.tries = 1;
    goes_wrong_after(1, &till.sandbox, Fault::LostRequest);
    assert!(till.engine().pull(Extent::Full).unwrap_err().is_offline());
    till.sandbox.clear_faults();
    till.sandbox.delete(3);
    let report = till.engine().pull(Extent::Full).unwrap();
    // It went on behind customer 3, which was still there when its page was read: the next one finds it.
    assert_eq!(report.deleted, 0);
    assert_eq!(till.engine().pull(Extent::Full).unwrap().deleted, 1);
    check_no_hole(&till);
}

#[test]
fn a_customer_that_is_new_comes_with_the_next_pull() {
    let till = till(10);
    let id = till.sandbox.add(r#"{"first_name":"New"}"#).unwrap();
    assert_eq!(pull(&till), 1);
    assert_eq!(till.local(i64::from(id), "first_name"), r#""New""#);
    check_no_hole(&till);
}

#[test]
fn news_leaves_edits_alone_and_counts_as_news() {
    let till = till(10);
    till.set(2, "phone", "mine");
    change(&till.sandbox, &[2, 3], "theirs");
    assert_eq!(pull(&till), 2);
    assert_eq!(till.local(2, "phone"), r#""mine""#);
    assert_eq!(till.local(2, "company"), r#""theirs""#);
    assert_eq!(till.outcomes(2, "phone"), ["pending"]);
}

#[test]
fn a_row_of_the_app_that_refers_to_a_deleted_customer_holds_up_that_one_with_a_word_for_it() {
    let till = till(30);
    let mut store = till.store();
    store.connection().execute_batch("CREATE TABLE sale (id INTEGER, customer_id REFERENCES customer (id)); INSERT INTO sale VALUES (1, 2);").unwrap();
    [2, 3].into_iter().for_each(|id| assert!(till.sandbox.delete(id)));
    till.engine().pull(Extent::Full).unwrap();
    assert!(store.get(2).unwrap().is_some() && store.get(3).unwrap().is_none());
    let held_up = &store.held_up().unwrap()[0];
    assert_eq!((held_up.customer_id.0, held_up.cause.as_deref()), (2, Some("sale")));
    assert!(held_up.error.contains("ON DELETE SET NULL, or CASCADE"), "{held_up:?}");
    // A person who gives it up is told as well.
    till.set(2, "phone", "555");
    store.connection().execute_batch("DROP TABLE sale").unwrap();
    assert_eq!(till.engine().pull(Extent::Full).unwrap().conflicts, 1);
    store.connection().execute_batch("CREATE TABLE sale (id INTEGER, customer_id REFERENCES customer (id)); INSERT INTO sale VALUES (1, 2);").unwrap();
    assert_eq!(store.discard(2, None, None).unwrap_err().code(), "referenced");
    store.connection().execute_batch("DROP TABLE sale").unwrap();
    assert_eq!(store.discard(2, None, None).unwrap(), 1);
}

#[test]
fn a_customer_that_a_full_pull_overlooked_is_no_deletion_and_is_taken_in() {
    let till = till(10);
    let (path, sandbox) = (till.path.clone(), till.sandbox.clone());
    let mut engine = till.engine().on_progress(move |_| {
        // A store whose own order is disturbed by a change: customer 3 slipped from one page to another.
        let connection = rusqlite::Connection::open(&path).unwrap();
        common::as_engine(&connection, "DELETE FROM tillsync_pull_seen WHERE id = 3", []);
        change(&sandbox, &[3], "overlooked");
    });
    let report = engine.pull(Extent::Full).unwrap();
    assert_eq!((report.deleted, report.pulled, report.requests.get), (0, 1, 2));
    check_no_hole(&till);
}

#[test]
fn a_pull_of_everything_counts_the_customers_anew() {
    let till = till(5);
    let mut store = till.store();
    let nine = "UPDATE state SET value = '9' WHERE key = 'snapshot_customers'";
    common::as_engine(store.connection(), nine, []);
    assert!(store.check().unwrap()[0].contains("9 were counted"), "{:?}", store.check());
    till.engine().pull(Extent::Full).unwrap();
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    assert_eq!(store.status().unwrap().snapshot_customers, 5);
}

/// A way to the store on which every answer is there before it is waited for: the pages of a pull share commits.
#[derive(Debug)]
struct AtOnce {
    inner: HttpRemote,
    here: VecDeque<(Ticket, Result<Answer, Trouble>)>,
}

impl Remote for AtOnce {
    fn start(&mut self, ticket: Ticket, request: Request) {
        self.inner.start(ticket, request);
        self.here.extend(self.inner.next(None));
    }

    fn next(&mut self, _: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        self.here.pop_front()
    }
}

impl AtOnce {
    fn engine(till: &Till) -> SyncEngine<AtOnce> {
        let remote = AtOnce { inner: till.remote(), here: VecDeque::new() };
        SyncEngine::new(till.store(), remote, till.options.clone())
    }
}

#[test]
fn who_hears_of_a_customer_finds_it_in_the_file_and_may_edit_it_at_once() {
    let till = Till::new(sandbox(MANY));
    let (mut app, mut heard, told) = (till.store(), 0, Arc::new(AtomicUsize::new(0)));
    let count = told.clone();
    let mut engine = AtOnce::engine(&till).on_event(move |event| match event {
        Event::CustomerChanged { customer_id } => {
            assert!(app.get(customer_id).unwrap().is_some(), "{customer_id:?} is not committed yet");
            heard += 1;
            count.store(heard, Ordering::Relaxed);
        }
        Event::Progress(Progress::Pulled { customers, .. }) => {
            assert!(heard >= usize::try_from(customers).unwrap());
            // The engine holds no transaction now, or this would wait for it in vain.
            app.edit(1).set("phone", &format!("{customers}")).commit().unwrap();
        }
        _ => {}
    });
    engine.pull(Extent::Changes).unwrap();
    assert_eq!(told.load(Ordering::Relaxed), MANY);
    assert_eq!(till.outcomes(1, "phone").len(), 4);
}

#[test]
fn pages_that_share_a_commit_stay_when_the_next_one_fails() {
    for fault in [Fault::Status(401), Fault::Html, Fault::LostRequest] {
        let mut till = Till::new(sandbox(MANY));
        till.options.upload.retry.tries = 1;
        goes_wrong_after(2, &till.sandbox, fault);
        AtOnce::engine(&till).pull(Extent::Changes).unwrap_err();
        till.sandbox.clear_faults();
        assert_eq!(till.store().status().unwrap().snapshot_customers, 500, "{fault:?}");
        assert_eq!(AtOnce::engine(&till).pull(Extent::Changes).unwrap().pulled, 400);
        check_no_hole(&till);
    }
}

/// A way to the store on which nobody waits while the file is held.
#[derive(Debug)]
struct Polite {
    inner: HttpRemote,
    other: Store,
    waits: usize,
}

impl Remote for Polite {
    fn start(&mut self, ticket: Ticket, request: Request) {
        self.inner.start(ticket, request);
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        if wait != Some(Duration::ZERO) {
            self.waits += 1;
            let other = self.other.connection();
            other.busy_timeout(Duration::ZERO).unwrap();
            other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").expect("the engine waits and holds the file");
        }
        self.inner.next(wait)
    }
}

#[test]
fn the_engine_never_waits_for_the_store_while_it_holds_the_file() {
    let till = Till::new(sandbox(MANY));
    let remote = Polite { inner: till.remote(), other: till.store(), waits: 0 };
    let mut engine = SyncEngine::new(till.store(), remote, till.options.clone());
    // Late answers have every page waited for, and every update.
    till.sandbox.script([Fault::DelayedAnswer { ms: 200 }; 3]);
    engine.pull(Extent::Changes).unwrap();
    for id in till.sandbox.ids().into_iter().take(40) {
        till.set(i64::from(id), "phone", "555");
    }
    till.sandbox.script([Fault::DelayedAnswer { ms: 200 }; 4]);
    engine.sync().unwrap();
    assert!(engine.remote().waits > 5);
    check_no_hole(&till);
}
