//! Pulls from a store that answers oddly: a list is believed when it is whole, an absence after two looks, a clock when
//! another witness says the same.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use common::odd::{Asked, Kind, Odd, Told};
use common::{Till, sandbox, sandbox_with};
use serde_json::{Value, json};
use tillsync::sandbox::{Behaviours, Sandbox, SandboxOptions};
use tillsync::{Extent, HttpOptions, HttpRemote, PullReport, SyncEngine};

/// Four pages.
const MANY: usize = 1_000;

fn fresh(customers: usize) -> Till {
    Till::new(sandbox(customers))
}

/// A till that has pulled everything.
fn filled(customers: usize) -> Till {
    let till = fresh(customers);
    till.engine().pull(Extent::Changes).unwrap();
    till
}

fn odd(behaviours: &str) -> Arc<Sandbox> {
    let behaviours: Behaviours = behaviours.parse().unwrap();
    sandbox_with(SandboxOptions { customers: 300, quota: 1_000_000, behaviours, ..SandboxOptions::default() })
}

fn changes(till: &Till) -> PullReport {
    till.engine().pull(Extent::Changes).unwrap()
}

fn full(till: &Till) -> PullReport {
    till.engine().pull(Extent::Full).unwrap()
}

fn customers_of(till: &Till) -> u64 {
    till.store().status().unwrap().snapshot_customers
}

fn cursor(till: &Till) -> Option<String> {
    let connection = rusqlite::Connection::open(&till.path).unwrap();
    connection.query_row("SELECT value FROM state WHERE key = 'pull_cursor'", [], |row| row.get(0)).ok()
}

/// The office gives a customer a company.
fn company(till: &Till, id: i64, company: &str) {
    till.office(id, json!({ "company": company }));
}

/// The office deletes as many customers.
fn delete(till: &Till, count: usize) {
    till.sandbox.ids().iter().take(count).for_each(|id| assert!(till.sandbox.delete(*id)));
}

fn forget_pages(told: &mut Told) {
    told.edit(|page| page["meta"] = json!({}));
}

/// The links of a page, of which not every store tells.
fn forget_links(told: &mut Told) {
    told.edit(|page| {
        for kind in ["pagination", "cursor_pagination"] {
            page["meta"].get_mut(kind).and_then(Value::as_object_mut).map(|meta| meta.remove("links"));
        }
    });
}

// ---- whole lists (1, 2) ------------------------------------------------------------------------------------------

#[test]
fn a_short_page_in_the_middle_does_not_end_a_list() {
    for has_links in [true, false] {
        let till = fresh(MANY);
        let odd = Odd::before(&till.sandbox).nth(Kind::List, 2, |told| told.customers(|all| _ = all.pop()));
        let odd = odd.answer(move |asked, told| {
            if asked.is_list() && !has_links {
                forget_links(told);
            }
        });
        let till = till.through(&odd);
        let report = changes(&till);
        assert_eq!((report.pulled, report.complete), (MANY as u64 - 1, false), "{report:?}");
        assert!(report.incomplete.unwrap().contains("999 of 1000"));
        assert_eq!(cursor(&till), None, "a list that is not whole moves no cursor");
        odd.calm();
        assert!(changes(&till).complete);
        assert_eq!(customers_of(&till), MANY as u64);
    }
}

#[test]
fn an_incremental_list_that_is_not_whole_moves_no_cursor_and_the_upload_goes_on_with_looks() {
    let till = filled(10);
    company(&till, 3, "theirs");
    company(&till, 4, "theirs");
    till.set(4, "phone", "mine");
    let before = cursor(&till);
    let hide = |asked: &Asked, told: &mut Told| {
        if asked.is_list() {
            told.customers(|all| all.retain(|customer| customer["id"] != 4));
        }
    };
    let odd = Odd::before(&till.sandbox).answer(hide);
    let report = till.through(&odd).engine().sync().unwrap();
    assert!(report.incomplete.is_some() && report.uploaded_customers == 1, "{report:?}");
    assert_eq!(cursor(&till), before);
    assert_eq!(till.local(4, "company"), r#""theirs""#, "it was looked at before it was sent");
    assert_eq!(changes(&till).incomplete, None);
}

#[test]
fn without_cursors_a_list_is_followed_by_page() {
    let till = fresh(MANY);
    let no_cursor = |asked: &Asked, told: &mut Told| {
        if asked.is_list() {
            told.edit(|page| _ = page["meta"].as_object_mut().unwrap().remove("cursor_pagination"));
        }
    };
    let odd = Odd::before(&till.sandbox).answer(no_cursor);
    let report = changes(&till.through(&odd));
    assert_eq!((report.pulled, report.complete, report.requests.get), (MANY as u64, true, 4));
}

#[test]
fn without_a_word_of_pages_a_list_is_followed_until_nobody_is_on_one() {
    let till = fresh(MANY);
    let odd = Odd::before(&till.sandbox).every(Kind::List, forget_pages);
    let report = changes(&till.through(&odd));
    assert_eq!((report.pulled, report.complete, report.requests.get), (MANY as u64, true, 5));
}

#[test]
fn every_way_of_the_sandbox_to_tell_pages_brings_everybody() {
    for behaviours in Behaviours::knobs().iter().flat_map(|knob| {
        let lists = ["pages", "cursors", "totals", "empty-lists", "by-id-at-most"];
        let words = knob.words.iter().filter(|_| lists.contains(&knob.name));
        words.map(|word| format!("{}={}", knob.name, word.replace('N', "70"))).collect::<Vec<_>>()
    }) {
        let till = Till::new(odd(&behaviours));
        changes(&till);
        assert_eq!(customers_of(&till), 300, "{behaviours}");
        company(&till, 7, "news");
        changes(&till);
        assert_eq!(till.local(7, "company"), r#""news""#, "{behaviours}");
    }
}

#[test]
fn a_total_that_is_too_small_loses_nobody_and_one_that_shrinks_by_deletions_is_asked_for_again() {
    let till = fresh(MANY);
    let odd = Odd::before(&till.sandbox)
        .every(Kind::List, |told| told.edit(|page| page["meta"]["pagination"]["total"] = json!(3)));
    assert_eq!(changes(&till.through(&odd)).pulled, MANY as u64);

    let till = fresh(MANY);
    let (sandbox, ids) = (till.sandbox.clone(), till.sandbox.ids());
    let odd = Odd::before(&till.sandbox).nth(Kind::List, 1, move |_| {
        ids[900..905].iter().for_each(|id| assert!(sandbox.delete(*id)));
    });
    let report = changes(&till.through(&odd));
    assert_eq!((report.pulled, report.complete), (MANY as u64 - 5, true), "{report:?}");
}

#[test]
fn a_total_that_is_just_a_full_pages_own_ends_no_list_that_told_a_cursor() {
    let till = fresh(300);
    let odd = Odd::before(&till.sandbox).every(Kind::List, |told| {
        told.edit(|page| {
            let count = page["data"].as_array().unwrap().len();
            let cursor = page["meta"]["cursor_pagination"]["end_cursor"].clone();
            page["meta"] =
                json!({"pagination": {"total": count}, "cursor_pagination": {"end_cursor": cursor}});
        });
    });
    assert_eq!((changes(&till.through(&odd)).pulled, customers_of(&till)), (300, 300));
}

#[test]
fn a_total_that_is_always_a_little_too_high_is_taken_for_wrong_after_two_lists_that_agree() {
    let till = fresh(300);
    let odd = Odd::before(&till.sandbox).every(Kind::List, |told| {
        told.edit(|page| {
            if let Some(total) = page["meta"]["pagination"]["total"].as_u64() {
                page["meta"]["pagination"]["total"] = json!(total + 3);
            }
        });
    });
    let through = till.through(&odd);
    assert!(!full(&through).complete && cursor(&till).is_none());
    delete(&till, 1);
    let report = full(&through);
    assert_eq!((report.complete, report.deleted, cursor(&till).is_some()), (true, 0, true), "{report:?}");
    company(&till, 7, "news");
    changes(&through);
    assert_eq!(till.local(7, "company"), r#""news""#);
    // A list of changes that lacks another number is not whole.
    let is_overlooked = Arc::new(AtomicBool::new(true));
    let overlooks = is_overlooked.clone();
    let odd = odd.every(Kind::List, move |told| {
        if overlooks.load(Relaxed) {
            told.customers(|all| all.retain(|customer| customer["id"] != 8));
        }
    });
    company(&till, 8, "news");
    assert!(!changes(&till.through(&odd)).complete);
    is_overlooked.store(false, Relaxed);
    assert!(changes(&till.through(&odd)).complete);
    assert_eq!(till.local(8, "company"), r#""news""#);
    // One that lacks many is never whole.
    let till = fresh(300);
    let odd = Odd::before(&till.sandbox)
        .every(Kind::List, |told| told.edit(|page| page["meta"]["pagination"]["total"] = json!(900)));
    let through = till.through(&odd);
    assert!((0..3).all(|_| !full(&through).complete) && cursor(&till).is_none());
}

#[test]
fn who_a_list_of_everybody_overlooked_is_looked_at_before_an_update() {
    let till = filled(10);
    let odd = Odd::before(&till.sandbox).every(Kind::List, |told| {
        told.customers(|all| all.retain(|customer| customer["id"] != 3));
        told.edit(|page| page["meta"]["pagination"]["total"] = json!(9));
    });
    let mut engine = till.through(&odd).engine();
    assert_eq!(engine.pull(Extent::Full).unwrap().deleted, 0);
    till.office(3, json!({"phone": "theirs"}));
    till.set(3, "phone", "ours");
    till.set(4, "phone", "ours");
    let report = engine.push().unwrap();
    assert_eq!((report.looks, report.conflicts, report.uploaded_customers), (1, 1, 1), "{report:?}");
    assert_eq!(till.remote_value(3, "phone"), r#""theirs""#);
}

#[test]
fn a_list_that_goes_round_in_circles_is_left_and_says_so() {
    let till = fresh(600);
    let first = Arc::new(std::sync::Mutex::new(Vec::new()));
    let odd = Odd::before(&till.sandbox).every(Kind::List, move |told| {
        let mut first = first.lock().unwrap();
        match first.is_empty() {
            true => *first = told.body.clone(),
            false => told.body = first.clone(),
        }
    });
    let report = changes(&till.through(&odd));
    assert!(!report.complete && report.incomplete.unwrap().contains("circles"));
    assert!(odd.count(Kind::List) < 8);
}

#[test]
fn the_command_says_that_a_list_was_not_whole_and_exits_4() {
    let till = fresh(300);
    let odd = Odd::before(&till.sandbox).nth(Kind::List, 1, |told| told.customers(|all| _ = all.pop()));
    let run = |arguments: &[&str], url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillsync"));
        command.args(arguments).args(["--json", "--db", till.path.to_str().unwrap(), "--api-url", url]);
        command.args(["--store-hash", till.sandbox.store_hash()]);
        let output = command.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token()).output().unwrap();
        (output.status.code().unwrap(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let (exit, report) = run(&["pull"], &odd.url());
    assert_eq!((exit, &report["complete"], &report["unbelieved"]), (4, &json!(false), &json!(0)), "{report}");
    assert_eq!(run(&["pull"], &till.sandbox.url()).0, 0);
    delete(&till, 30);
    let (exit, report) = run(&["pull", "--full"], &till.sandbox.url());
    assert_eq!((exit, &report["unbelieved"], &report["deleted"]), (0, &json!(30), &json!(0)), "{report}");
    let (exit, report) = run(&["pull", "--full", "--allow-deletions", "30"], &till.sandbox.url());
    assert_eq!((exit, &report["unbelieved"], &report["deleted"]), (0, &json!(0), &json!(30)), "{report}");
    assert_eq!(run(&["pull", "--allow-deletions", "30"], &till.sandbox.url()).0, 2);
}

// ---- where a pull was cut (3, 17, 24) ----------------------------------------------------------------------------

/// A pull of everything that is cut after two pages.
fn cut(till: &Till) {
    let odd = Odd::before(&till.sandbox).answer(|asked, told| {
        if asked.is_by_id() || (asked.is_list() && asked.nth >= 3) {
            told.drop();
        }
    });
    let mut till = till.through(&odd);
    till.options.upload.retry.tries = 1;
    till.engine().pull(Extent::Full).unwrap_err();
}

#[test]
fn a_cut_pull_whose_cursor_died_begins_anew_whatever_a_dead_cursor_is_answered() {
    for dead in [Some(404), Some(400), Some(422), Some(410), Some(500), Some(503), None] {
        let till = fresh(MANY);
        cut(&till);
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            let is_dead = asked.is_list() && asked.parameter("after").is_some() && asked.nth == 1;
            let body = |status| Told::json_of(status, &json!({"status": status, "title": "no such cursor"}));
            let empty = || Told::page(&[]);
            (is_dead || (dead.is_some_and(|status| status >= 500) && asked.nth == 2))
                .then(|| dead.map_or_else(empty, body))
        });
        let mut through = till.through(&odd);
        through.options.upload.retry.tries = 2;
        let report = through.engine().pull(Extent::Full).unwrap();
        assert!(report.complete, "{dead:?}");
        assert_eq!(customers_of(&till), MANY as u64, "{dead:?}");
    }
}

/// What is no answer of the API's: what a gateway, a proxy or a line makes of a request.
fn no_answers() -> Vec<(&'static str, Told)> {
    let empty = |status| Told::json_of(status, &json!({}));
    let mut redirected = Told::empty(302);
    redirected.header("Location", Some("/"));
    vec![
        ("cut", Told::dropped()),
        ("500", empty(500)),
        ("503, a page", Told::html(503)),
        ("504, a page", Told::html(504)),
        ("200, a page", Told::html(200)),
        ("409", empty(409)),
        ("302", redirected),
        ("401", Told::json_of(401, &json!({"status": 401, "title": "no"}))),
    ]
}

#[test]
fn a_cut_pull_whose_cursor_died_begins_anew_also_where_that_is_no_answer_of_the_apis() {
    for (name, dead) in no_answers() {
        let till = fresh(MANY);
        cut(&till);
        let mut has_begun = false;
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            has_begun |= asked.is_list() && asked.parameter("after").is_none();
            (asked.is_list() && !has_begun).then(|| dead.clone())
        });
        let mut through = till.through(&odd);
        through.options.upload.retry.tries = 2;
        let report = through.engine().sync().unwrap();
        assert_eq!(report.incomplete, None, "{name}");
        assert_eq!(customers_of(&till), MANY as u64, "{name}");
        assert!(odd.count(Kind::List) <= 2 + 4, "{name}: {} lists", odd.count(Kind::List));
    }
}

#[test]
fn a_cursor_that_is_never_answered_in_time_is_given_up_and_the_pages_stay_large() {
    let till = fresh(MANY);
    cut(&till);
    let mut has_begun = false;
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        has_begun |= asked.is_list() && asked.parameter("after").is_none();
        if asked.is_list() && !has_begun {
            told.delay_ms(4_000);
        }
    });
    let mut through = till.through(&odd);
    let retry = &mut through.options.upload.retry;
    (retry.tries, retry.read_base_ms) = (3, 10);
    let options = HttpOptions {
        api_url: through.api_url.clone(),
        timeout: Duration::from_secs(3),
        ..HttpOptions::new(till.sandbox.store_hash(), till.sandbox.token())
    };
    let remote = HttpRemote::new(&options).unwrap();
    let mut engine = SyncEngine::new(through.store(), remote, through.options.clone());
    assert!(engine.pull(Extent::Full).unwrap().complete);
    assert_eq!((customers_of(&till), odd.count(Kind::List)), (MANY as u64, 3 + 4));
}

#[test]
fn a_page_that_fails_wherever_it_is_reached_is_no_dead_cursor_for_ever() {
    let till = fresh(MANY);
    let first = till.sandbox.ids()[500];
    // The reads by id fail too: nobody can tell that it is about somebody on the page.
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        if asked.is_by_id() || (asked.is_list() && told.json()["data"][0]["id"] == first) {
            *told = Told::html(504);
        }
    });
    let mut through = till.through(&odd);
    through.options.upload.retry.tries = 1;
    let asked = || {
        let before = odd.count(Kind::List);
        through.engine().pull(Extent::Full).unwrap_err();
        odd.count(Kind::List) - before
    };
    assert_eq!([asked(), asked(), asked(), asked()], [3, 1 + 3, 1, 1], "its place is given up once");
    assert_eq!(customers_of(&till), 500);
    odd.calm();
    assert_eq!(full(&through).requests.get, 2, "and it goes on from there");
}

// ---- a cursor that dies again and again -----------------------------------------------------------------------------

/// What a store, or what stands before it, may answer to a cursor that it does not know any more.
fn dead_cursors() -> Vec<(String, Told)> {
    let no = |status: u16| Told::json_of(status, &json!({"status": status, "title": "no such cursor"}));
    let told = |status: u16| (status.to_string(), no(status));
    let page = |status: u16| (format!("{status}, a page"), Told::html(status));
    // Nobody, in a page like any other: it tells how many there are, or nothing, or how many there are on it.
    let nobody = |total: Option<u64>| {
        let pagination = total.map_or(json!({}), |total| json!({"pagination": {"total": total}}));
        (format!("200, nobody of {total:?}"), Told::json_of(200, &json!({"data": [], "meta": pagination})))
    };
    let refusals = [400, 401, 403, 404, 409, 410, 422, 500].map(told).into_iter();
    refusals.chain([400, 403, 404].map(page)).chain([Some(600), None, Some(0)].map(nobody)).collect()
}

/// Each cursor is dead when it is asked for.
fn cursors_die(till: &Till, dead: &Told) -> Odd {
    let dead = dead.clone();
    Odd::before(&till.sandbox).before_store(move |asked| {
        (asked.is_list() && asked.parameter("after").is_some()).then(|| dead.clone())
    })
}

#[test]
fn a_cursor_that_dies_again_and_again_is_followed_by_page_whatever_it_is_answered_with() {
    for (name, dead) in dead_cursors() {
        let till = filled(600);
        till.sandbox.ids().into_iter().for_each(|id| company(&till, i64::from(id), "moved"));
        till.set(2, "phone", "555");
        let odd = cursors_die(&till, &dead);
        let report = patient(&till, &odd).engine().sync().unwrap();
        assert_eq!(report.uploaded_customers, 1, "{name}");
        if name != "500" {
            let last = till.sandbox.ids()[599];
            assert_eq!(
                (report.incomplete, till.local(i64::from(last), "company")),
                (None, r#""moved""#.into())
            );
            // The first page twice, its cursor twice, and the two others by number. Where it is answered with nobody, that is the end of
            // the list, once, unless more were told: how many are there?
            let calls = if name.starts_with("200") { 5 } else { 6 };
            assert_eq!(odd.count(Kind::List), calls, "{name}");
        }
        let fresh = fresh(600);
        let odd = cursors_die(&fresh, &dead);
        let report = patient(&fresh, &odd).engine().pull(Extent::Full).unwrap();
        assert_eq!((report.complete || name == "500", customers_of(&fresh)), (true, 600), "{name}");
    }
}

#[test]
fn where_the_list_is_refused_and_reads_by_id_are_not_the_edits_go_up_all_the_same() {
    let no = |status: u16| Told::json_of(status, &json!({"status": status, "title": "no"}));
    let is_behind = |asked: &Asked| asked.parameter("after").is_some() || asked.parameter("page").is_some();
    // All of it, where that says nothing of the token; behind its first page, whatever it is refused with.
    let refused = [(no(422), false), (no(409), false), (no(404), true), (Told::html(403), true)];
    for (place, (no, is_begun)) in refused.into_iter().enumerate() {
        let till = filled(300);
        till.sandbox.ids().into_iter().for_each(|id| company(&till, i64::from(id), "moved"));
        let odd = Odd::before(&till.sandbox).before_store(move |asked| {
            (asked.is_list() && (!is_begun || is_behind(asked))).then(|| no.clone())
        });
        let through = patient(&till, &odd);
        through.engine().sync().unwrap_err();
        till.adjust(2, "5");
        let report = through.engine().sync().unwrap();
        assert_eq!((report.uploaded_customers, report.incomplete.is_some()), (1, true), "{place}");
        odd.calm();
        let report = changes(&till);
        let last = i64::from(till.sandbox.ids()[299]);
        assert_eq!((report.incomplete, till.local(last, "company")), (None, r#""moved""#.into()), "{place}");
    }
    // What refuses everything is asked no more than a question by id, and no edit is sent into it.
    for status in [400, 409, 422] {
        let till = filled(30);
        till.set(1, "phone", "555");
        let no = no(status);
        let odd = Odd::before(&till.sandbox).before_store(move |_| Some(no.clone()));
        patient(&till, &odd).engine().sync().unwrap_err();
        assert_eq!((odd.count(Kind::Put), odd.asked().len() <= 3), (0, true), "{status}");
        assert_eq!(till.outcomes(1, "phone"), ["pending"]);
    }
}

// ---- one whom the store cannot list --------------------------------------------------------------------------------

/// What a store answers whose list would show this customer; by id too, if `by_id`.
fn cannot_show(till: &Till, id: i64, no: &Told, by_id: bool) -> Odd {
    let no = no.clone();
    Odd::before(&till.sandbox).answer(move |asked, told| {
        let is_asked = asked.is_list() || (by_id && asked.is_by_id());
        let shown = told.json()["data"].as_array().cloned().unwrap_or_default();
        if is_asked && shown.iter().any(|customer| customer["id"] == id) {
            *told = no.clone();
        }
    })
}

fn patient(till: &Till, odd: &Odd) -> Till {
    let mut through = till.through(odd);
    through.options.upload.retry.tries = 2;
    through.options.upload.retry.read_base_ms = 10;
    through
}

fn no_lists() -> [Told; 3] {
    [Told::json_of(500, &json!({"status": 500, "title": "boom"})), Told::html(504), Told::dropped()]
}

#[test]
fn one_whom_the_store_cannot_list_is_passed_over_and_named_and_everybody_else_comes() {
    for (place, no) in [300, 1, 600].into_iter().zip(no_lists()) {
        let till = fresh(600);
        let odd = cannot_show(&till, place, &no, true);
        let through = patient(&till, &odd);
        let report = changes(&through);
        assert_eq!((report.complete, customers_of(&till)), (false, 599), "{place}: {report:?}");
        let why = report.incomplete.unwrap();
        let who = if place == 1 { "customer number 1".to_owned() } else { format!("behind {}", place - 1) };
        assert!(why.contains("cannot list") && why.contains(&who) && why.contains("asks for all"), "{why}");
        assert!(odd.count(Kind::List) < 60, "{} pages", odd.count(Kind::List));
        // The second list of everybody that lacks the same is as good as it gets.
        till.set(2, "phone", "222");
        let report = through.engine().sync().unwrap();
        assert_eq!((report.uploaded_customers, cursor(&till).is_some()), (1, true), "{place}");
        assert!(!report.incomplete.unwrap().contains("asks for all"));
        let before = odd.count(Kind::List);
        assert_eq!((changes(&through).complete, odd.count(Kind::List) - before), (true, 1), "{place}");
        let report = full(&through);
        assert_eq!((report.deleted, report.incomplete.is_some()), (0, true));
        odd.calm();
        assert!(full(&till).complete);
        assert_eq!(customers_of(&till), 600);
    }
}

#[test]
fn some_in_a_row_whom_the_store_cannot_list_are_passed_over_and_of_more_the_place_is_named() {
    for (last, comes) in [(304, 595), (340, 300)] {
        let till = fresh(600);
        let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
            let shown = told.json()["data"].as_array().cloned().unwrap_or_default();
            let is_poison = |customer: &Value| (300..=last).contains(&customer["id"].as_i64().unwrap());
            if asked.is_list() && shown.iter().any(is_poison) {
                *told = Told::html(500);
            }
        });
        let through = patient(&till, &odd);
        if comes > 300 {
            let report = changes(&through);
            assert_eq!((report.complete, customers_of(&till)), (false, comes), "{report:?}");
            let why = report.incomplete.unwrap();
            assert!(why.contains("299") && why.contains("and 4 more"), "{why}");
        } else {
            let error = through.engine().pull(Extent::Changes).unwrap_err().to_string();
            assert!(
                error.contains("10 customers")
                    && error.contains("11 behind customer 299")
                    && error.contains("500"),
                "{error}"
            );
        }
        assert!(odd.count(Kind::List) < 80, "{} pages", odd.count(Kind::List));
    }
}

#[test]
fn one_whom_the_store_cannot_list_as_changed_is_asked_for_again_rarely_and_not_passed_over_for_good() {
    for no in no_lists() {
        let till = filled(600);
        company(&till, 300, "theirs");
        company(&till, 301, "theirs");
        till.set(1, "phone", "111");
        till.adjust(2, "5");
        let odd = cannot_show(&till, 300, &no, false);
        let before = cursor(&till);
        // Dates are whole seconds.
        std::thread::sleep(Duration::from_millis(1_100));
        let through = patient(&till, &odd);
        let report = through.engine().sync().unwrap();
        let why = report.incomplete.unwrap();
        assert!(why.contains("cannot list") && why.contains("asked for again"), "{why}");
        assert_eq!((report.uploaded_customers, till.local(301, "company").as_str()), (2, r#""theirs""#));
        assert!(before < cursor(&till) && odd.count(Kind::List) <= 16, "{}", odd.count(Kind::List));
        // It is let go by the lists that follow, and told.
        std::thread::sleep(Duration::from_millis(2_100));
        changes(&through);
        let asked = odd.count(Kind::List);
        let report = changes(&through);
        assert_eq!((odd.count(Kind::List) - asked, report.complete), (1, false), "{report:?}");
        odd.calm();
        assert_eq!(changes(&through).pulled, 0, "not before it is time");
        let mut store = till.store();
        let pass = "UPDATE state SET value = json_set(value, '$.next_try', '2026-01-01T00:00:00Z') WHERE key = 'list_unlisted'";
        assert_eq!(common::as_engine(store.connection(), pass, []), 1);
        let again = cannot_show(&till, 300, &no, false);
        assert!(!changes(&patient(&till, &again)).complete);
        assert_eq!(common::as_engine(store.connection(), pass, []), 1);
        let report = changes(&through);
        assert_eq!((report.complete, till.local(300, "company").as_str()), (true, r#""theirs""#));
        assert_eq!(common::as_engine(store.connection(), pass, []), 0, "nobody is asked for again");
    }
}

#[test]
fn where_the_store_fails_its_list_and_answers_by_id_the_edits_go_up_all_the_same() {
    let till = filled(30);
    let odd = Odd::before(&till.sandbox).before_store(|asked| asked.is_list().then(|| Told::html(503)));
    let through = patient(&till, &odd);
    let error = through.engine().sync().unwrap_err();
    assert_eq!(
        (error.code(), odd.count(Kind::List) <= 16),
        ("unavailable", true),
        "there is nothing to send"
    );
    assert!(odd.count(Kind::ById) <= 6, "{}", odd.count(Kind::ById));
    // That nobody is behind the end of a list is no word about the list.
    let fails = Odd::before(&till.sandbox).answer(|asked, told| {
        let shown = told.json()["data"].as_array().map_or(0, Vec::len);
        if asked.is_list() && shown > 0 {
            *told = Told::html(503);
        }
    });
    (1..=5).for_each(|id| company(&till, id, "moved"));
    assert_eq!(patient(&till, &fails).engine().pull(Extent::Changes).unwrap_err().code(), "unavailable");
    till.set(1, "phone", "111");
    company(&till, 2, "theirs");
    till.adjust(2, "5");
    let report = through.engine().sync().unwrap();
    assert_eq!((report.uploaded_customers, report.looks > 0), (2, true));
    assert!(report.incomplete.unwrap().contains("503"));
    assert_eq!(till.local(2, "company"), r#""theirs""#);
    // A store that is down is not asked on and on.
    let odd = Odd::before(&till.sandbox).before_store(|_| Some(Told::html(503)));
    till.set(1, "phone", "112");
    let through = patient(&till, &odd);
    assert_eq!(through.engine().sync().unwrap_err().code(), "unavailable");
    assert!(odd.asked().len() <= 2 + 2 * 2, "{}", odd.asked().len());
}

#[test]
fn what_was_dropped_before_a_pull_of_everybody_was_cut_is_listed_again() {
    let till = Till::new(sandbox(1_300));
    let office = |ids: usize, amount: &str| {
        let now = Utc::now();
        let credit = format!(r#"{{"store_credit_amounts":[{{"amount":{amount}}}]}}"#);
        let edit = |id: i32| till.sandbox.with_core(|core| core.edit_text(now, id, &credit)).unwrap();
        assert!(till.sandbox.ids().into_iter().take(ids).all(edit));
    };
    let mut engine = till.engine();
    office(1_100, "111");
    engine.pull(Extent::Full).unwrap();
    office(1_100, "222");
    engine.pull(Extent::Changes).unwrap();
    let before = cursor(&till).unwrap();
    office(1_100, "111");
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(!engine.pull_some(5).unwrap().complete);
    drop(engine);
    let report = full(&till);
    assert_eq!((report.complete, cursor(&till).unwrap()), (true, before), "{report:?}");
}

#[test]
fn a_line_that_is_down_is_no_dead_cursor() {
    for (name, no) in no_answers() {
        let till = fresh(MANY);
        cut(&till);
        let odd = Odd::before(&till.sandbox).before_store(move |_| Some(no.clone()));
        let mut through = till.through(&odd);
        through.options.upload.retry.tries = 2;
        for _ in 0..2 {
            through.engine().pull(Extent::Full).unwrap_err();
        }
        assert_eq!(full(&till).requests.get, 2, "{name}: its place is not forgotten");
        assert_eq!(customers_of(&till), MANY as u64, "{name}");
    }
}

#[test]
fn a_store_that_is_down_and_a_hash_that_is_wrong_are_no_dead_cursor() {
    for (status, code) in [(503, "unavailable"), (404, "auth")] {
        let till = fresh(MANY);
        cut(&till);
        let no = Told::json_of(status, &json!({"status": status, "title": "no"}));
        let odd = Odd::before(&till.sandbox).before_store(move |_| Some(no.clone()));
        let mut through = till.through(&odd);
        through.options.upload.retry.tries = 2;
        let error = through.engine().pull(Extent::Full).unwrap_err();
        assert!(error.is_auth() == (code == "auth") && error.is_offline() == (code != "auth"), "{error}");
        assert_eq!(odd.count(Kind::List), if status == 503 { 3 } else { 2 });
        let report = full(&till);
        assert_eq!(report.requests.get, 2, "its place is not forgotten");
        assert_eq!(customers_of(&till), MANY as u64);
    }
}

#[test]
fn a_full_pull_goes_on_where_it_was_cut_although_others_ran_in_between() {
    let till = filled(MANY);
    cut(&till);
    company(&till, till.sandbox.ids()[900].into(), "in between");
    assert_eq!(changes(&till).pulled, 1);
    till.sandbox.clear_requests();
    let report = full(&till);
    assert_eq!((report.complete, report.deleted), (true, 0));
    assert_eq!(till.gets(), 2, "half of the list was read already");
    company(&till, 5, "later");
    changes(&till);
    assert_eq!(till.local(5, "company"), r#""later""#);
}

#[test]
fn what_was_read_before_a_pull_was_cut_is_not_of_now_when_it_has_gone_on() {
    let till = fresh(MANY);
    cut(&till);
    till.set(1, "company", "ours");
    company(&till, 1, "theirs");
    let report = till.engine().sync().unwrap();
    assert_eq!((report.looks, report.conflicts), (1, 1));
    assert_eq!(till.sandbox.customer(1).unwrap()["company"], "theirs");
}

// ---- deletions (4, 5) --------------------------------------------------------------------------------------------

#[test]
fn an_answer_by_id_that_is_cut_deletes_nobody() {
    for tells_total in [true, false] {
        let till = filled(300);
        // The list overlooks a hundred customers, and by id no more than fifty are shown.
        let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
            if asked.is_list() {
                told.customers(|all| all.retain(|customer| customer["id"].as_i64().unwrap() > 100));
                told.edit(|page| page["meta"]["pagination"]["total"] = json!(200));
            } else if asked.is_by_id() {
                told.customers(|all| all.truncate(50));
                if !tells_total {
                    forget_pages(told);
                }
            }
        });
        let report = full(&till.through(&odd));
        assert_eq!((report.deleted, report.unbelieved), (0, 0), "{report:?}");
        assert_eq!(customers_of(&till), 300);
    }
}

/// What is told to a question by id that is not about those who were asked for.
fn about_others(told: &mut Told, how: usize) {
    let one = json!({"id": 1, "email": "one@example.com", "first_name": "One", "last_name": "One"});
    let all = match how {
        // One of its company, and not the other.
        0 => vec![one],
        1 => vec![json!({"id": 999, "email": "no@example.com", "first_name": "No", "last_name": "No"})],
        // The filter is ignored.
        _ => (1..=50)
            .filter(|id| ![7, 8].contains(id))
            .map(|id| {
                let mut other = one.clone();
                (other["id"], other["email"]) = (json!(id), json!(format!("{id}@example.com")));
                other
            })
            .collect(),
    };
    *told = Told::json_of(200, &json!({"meta": {"pagination": {"total": all.len()}}, "data": all}));
}

#[test]
fn an_answer_by_id_that_is_about_others_deletes_nobody() {
    for how in 0..3 {
        let till = filled(50);
        let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
            if asked.is_list() {
                told.customers(|all| {
                    all.retain(|customer| ![7, 8].contains(&customer["id"].as_i64().unwrap()))
                });
                told.edit(|page| page["meta"]["pagination"]["total"] = json!(48));
            } else if asked.is_by_id() {
                about_others(told, how);
            }
        });
        let report = full(&till.through(&odd));
        assert_eq!((report.deleted, customers_of(&till) >= 50), (0, true), "{how}: {report:?}");
    }
}

#[test]
fn an_upload_takes_nobody_for_deleted_by_an_answer_about_others() {
    for how in 1..3 {
        let till = filled(50);
        till.adjust(7, "10");
        let odd = Odd::before(&till.sandbox).every(Kind::ById, move |told| about_others(told, how));
        let mut through = till.through(&odd);
        let upload = &mut through.options.upload;
        (upload.grace_ms, upload.retry.read_base_ms) = (50, 10);
        let error = through.engine().sync().unwrap_err();
        assert!(error.to_string().contains("not asked for"), "{error}");
        assert_eq!((till.store().conflicts().unwrap().len(), customers_of(&till)), (0, 50), "{how}");
        assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
    }
}

#[test]
fn a_store_that_shows_nobody_for_a_while_deletes_nobody() {
    let till = filled(300);
    let mut store = till.store();
    store
        .connection()
        .execute_batch(
            "CREATE TABLE sale (id INTEGER PRIMARY KEY, customer_id REFERENCES customer (id) ON DELETE CASCADE);
             INSERT INTO sale (customer_id) SELECT id FROM customer",
        )
        .unwrap();
    let odd = Odd::before(&till.sandbox).before_store(|_| {
        Some(Told::json_of(200, &json!({"data": [], "meta": {"pagination": {"total": 0}}})))
    });
    let report = full(&till.through(&odd));
    assert_eq!((report.deleted, report.unbelieved), (0, 300));
    let sales: i64 = store.connection().query_row("SELECT count(*) FROM sale", [], |row| row.get(0)).unwrap();
    assert_eq!(sales, 300);
    // An empty list moved no cursor either.
    company(&till, 3, "meanwhile");
    assert_eq!(changes(&till).pulled, 1);
}

#[test]
fn more_deletions_than_a_share_take_a_persons_word() {
    let till = filled(500);
    delete(&till, 26);
    let report = full(&till);
    assert_eq!(
        (report.deleted, report.unbelieved, report.complete),
        (0, 26, true),
        "25 of 500 would be believed"
    );
    let mut engine = till.engine();
    engine.allow_deletions(25);
    assert_eq!(engine.pull(Extent::Full).unwrap().unbelieved, 26);
    engine.allow_deletions(26);
    assert_eq!(engine.pull(Extent::Full).unwrap().deleted, 26);
    delete(&till, 1);
    assert_eq!(engine.pull(Extent::Full).unwrap().deleted, 1);
    assert_eq!(customers_of(&till), 473);
}

#[test]
fn a_small_file_is_never_emptied_and_a_few_at_a_time_are_counted_over_a_day() {
    let till = filled(10);
    let hidden = Arc::new(std::sync::Mutex::new(6));
    let odd = Odd::before(&till.sandbox).answer({
        let hidden = hidden.clone();
        move |_, told| {
            let first = *hidden.lock().unwrap();
            told.customers(|all| all.retain(|customer| customer["id"].as_i64() > Some(first)));
            told.edit(|page| {
                page["meta"]["pagination"]["total"] = json!(page["data"].as_array().unwrap().len())
            });
        }
    });
    let through = till.through(&odd);
    assert_eq!((full(&through).deleted, customers_of(&till)), (0, 10), "more than half");
    let mut gone = Vec::new();
    for first in [2, 4, 5, 6, 8] {
        *hidden.lock().unwrap() = first;
        gone.push(full(&through).deleted);
    }
    assert_eq!(gone, [2, 2, 1, 0, 0]);
    // An upload finds them too, and counts along.
    till.set(6, "phone", "555");
    assert_eq!((through.engine().push().unwrap().conflicts, customers_of(&till)), (0, 5));
    let mut engine = through.engine();
    engine.allow_deletions(3);
    assert_eq!((engine.pull(Extent::Full).unwrap().deleted, customers_of(&till)), (3, 2), "a person's word");
}

#[test]
fn a_persons_word_covers_those_in_doubt_too() {
    let mut till = filled(4);
    till.options.second_look = Duration::from_millis(300);
    till.options.upload.grace_ms = 300;
    (1..4).for_each(|id| till.set(id, "phone", "555"));
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop).every(Kind::ById, Told::drop);
    till.through(&odd).engine().sync().unwrap_err();
    assert_eq!(till.store().status().unwrap().in_flight_batches, 1);
    (1..4).for_each(|id| assert!(till.sandbox.delete(id)));
    let report = full(&till);
    assert_eq!((report.conflicts, report.unbelieved), (0, 3), "three of four");
    let mut engine = till.engine();
    engine.allow_deletions(3);
    let report = engine.push().unwrap();
    assert_eq!((report.conflicts, report.unbelieved), (0, 3), "it is for a pull of everybody");
    let report = engine.pull(Extent::Full).unwrap();
    assert_eq!((report.conflicts, report.unbelieved), (3, 0));
    assert_eq!(till.store().status().unwrap().in_flight_batches, 0);
}

/// Who is asked for in company, so that an answer about nobody tells something: round and round, until one is there.
#[test]
fn where_all_but_one_in_the_middle_were_deleted_an_upload_finds_that_one() {
    let mut till = filled(5);
    till.options.upload.grace_ms = 300;
    till.set(2, "phone", "555");
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop).every(Kind::ById, Told::drop);
    till.through(&odd).engine().sync().unwrap_err();
    assert_eq!(till.store().status().unwrap().in_flight_batches, 1);
    [1, 4, 5].iter().for_each(|id| till.adjust(*id, "5"));
    [1, 2, 4, 5].iter().for_each(|id| assert!(till.sandbox.delete(*id)));
    let report = till.engine().push().unwrap();
    assert_eq!((report.uploaded_customers, report.conflicts + report.unbelieved), (0, 4), "{report:?}");
}

#[test]
fn a_persons_word_is_for_one_pull_of_everybody_in_parts_too() {
    let mut till = filled(1_300);
    till.options.second_look = Duration::from_millis(300);
    let ids = till.sandbox.ids();
    ids[..900].iter().for_each(|id| assert!(till.sandbox.delete(*id)));
    let mut engine = till.engine();
    engine.allow_deletions(900);
    let report = engine.pull_some(1).unwrap();
    assert_eq!((report.complete, report.deleted), (false, 0));
    assert_eq!(engine.pull_some(5).unwrap().deleted, 900);
    ids[900..1_200].iter().for_each(|id| assert!(till.sandbox.delete(*id)));
    let report = engine.pull(Extent::Full).unwrap();
    assert_eq!((report.deleted, report.unbelieved), (0, 300), "it was taken up");
}

#[test]
fn who_is_asked_for_by_id_comes_with_company_and_a_while_later() {
    let mut till = filled(10);
    till.options.second_look = Duration::from_millis(700);
    assert!(till.sandbox.delete(4));
    let odd = Odd::before(&till.sandbox).every(Kind::ById, |told| told.customers(Vec::clear));
    let began = std::time::Instant::now();
    let report = full(&till.through(&odd));
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert_eq!((report.deleted, report.unbelieved), (0, 1), "an answer without its company says nothing");
    assert_eq!(odd.asked().last().unwrap().0.ids(), [4, 1, 10]);
    odd.calm();
    assert_eq!(full(&till).deleted, 1);
}

#[test]
fn who_was_taken_for_deleted_comes_back_by_itself_with_its_edits() {
    let till = filled(10);
    till.set(3, "phone", "good");
    till.adjust(3, "2.00");
    let hide = |_: &Asked, told: &mut Told| {
        told.customers(|all| all.retain(|customer| customer["id"] != 3));
        told.edit(|page| page["meta"]["pagination"]["total"] = json!(page["data"].as_array().unwrap().len()));
    };
    let odd = Odd::before(&till.sandbox).answer(hide);
    assert_eq!(full(&till.through(&odd)).conflicts, 1);
    assert_eq!(till.store().conflicts().unwrap()[0].field, "*");
    let credit = till.remote_value(3, "store_credit_amounts");
    let report = till.engine().sync().unwrap();
    assert_eq!((report.conflicts, report.uploaded_customers), (0, 1), "{report:?}");
    assert_eq!(till.remote_value(3, "phone"), r#""good""#);
    assert_ne!(till.remote_value(3, "store_credit_amounts"), credit);
    let report = till.engine().sync().unwrap();
    assert_eq!((report.requests.get, report.requests.put), (1, 0), "nobody is asked for in vain");
}

// ---- clocks (13, 20) ---------------------------------------------------------------------------------------------

fn ahead(told: &mut Told, by: TimeDelta) {
    let date = (Utc::now() + by).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    told.header("Date", Some(&date));
}

#[test]
fn one_wrong_date_makes_no_hole() {
    for by in [TimeDelta::minutes(10), TimeDelta::days(36_525), -TimeDelta::days(40)] {
        for is_first in [true, false] {
            let till = fresh(20);
            if !is_first {
                changes(&till);
                company(&till, 2, "before");
            }
            let odd = Odd::before(&till.sandbox).nth(Kind::List, 1, move |told| ahead(told, by));
            assert!(changes(&till.through(&odd)).complete);
            company(&till, 3, "after");
            changes(&till);
            assert_eq!(till.local(3, "company"), r#""after""#, "{by} {is_first}");
            company(&till, 4, "later");
            changes(&till);
            assert_eq!(till.local(4, "company"), r#""later""#, "{by} {is_first}");
        }
    }
}

/// A `Date` that is wrong in each process, with nothing to compare it with but what is in the file.
#[test]
fn a_first_date_that_is_wrong_again_and_again_moves_neither_the_cursor_nor_the_clock() {
    let till = fresh(20);
    for (nth, by) in [36_525, 36_525, -36_525].map(TimeDelta::days).into_iter().enumerate() {
        let odd = Odd::before(&till.sandbox).nth(Kind::List, 1, move |told| ahead(told, by));
        assert!(changes(&till.through(&odd)).complete);
        let (cursor, tomorrow) = (cursor(&till).unwrap(), Utc::now() + TimeDelta::days(1));
        assert!(cursor < tomorrow.to_rfc3339(), "{cursor}");
        let offset: i64 = till
            .store()
            .connection()
            .query_row(
                "SELECT coalesce((SELECT CAST(value AS INTEGER) FROM state WHERE key = 'clock_offset_ms'), 0)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert!(offset.abs() < 60_000, "{offset}");
        company(&till, 3, &nth.to_string());
        changes(&till);
        assert_eq!(till.local(3, "company"), format!("\"{nth}\""));
        company(&till, 4, &nth.to_string());
    }
}

/// Without a `Date`, and with a clock that is ahead, the newest time that was seen tells when a list began; and a long one shows what
/// was changed long after that.
#[test]
fn what_changes_while_a_long_list_is_read_comes_with_the_next_pull() {
    let till = fresh(600);
    let (sandbox, last) = (Arc::clone(&till.sandbox), *till.sandbox.ids().last().unwrap());
    let mut lists = 0;
    let edits = move |asked: &Asked| {
        lists += u32::from(asked.is_list());
        if asked.is_list() && lists == 2 {
            // Times are whole seconds.
            std::thread::sleep(Duration::from_millis(1_100));
            assert!(sandbox.edit(1, json!({"company": "Meanwhile"})));
            std::thread::sleep(Duration::from_millis(2_200));
            assert!(sandbox.edit(last, json!({"company": "Later"})));
        }
        None
    };
    let odd = Odd::before(&till.sandbox).before_store(edits).answer(|_, told| told.header("Date", None));
    let through = till.through(&odd);
    let ahead = TimeDelta::hours(1);
    assert!(through.engine_ahead(ahead).pull(Extent::Full).unwrap().complete);
    through.engine_ahead(ahead).pull(Extent::Changes).unwrap();
    assert_eq!(till.local(1, "company"), "\"Meanwhile\"");
}

/// One node of the store whose clock is fast dates a record, and the answer that shows it.
fn fast_node(till: &Till, by: TimeDelta) -> PullReport {
    let at = Utc::now() + by;
    till.sandbox.with_core(|core| core.edit_text(at, 2, r#"{"company":"fast"}"#)).unwrap();
    changes(&till.through(&Odd::before(&till.sandbox).every(Kind::List, move |told| ahead(told, by))))
}

#[test]
fn a_fast_node_that_bears_itself_out_makes_no_hole() {
    for is_first in [true, false] {
        let till = if is_first { fresh(20) } else { filled(20) };
        assert!(fast_node(&till, TimeDelta::seconds(4)).complete);
        std::thread::sleep(Duration::from_secs(1));
        company(&till, 3, "after");
        std::thread::sleep(Duration::from_millis(4_100));
        changes(&till);
        assert_eq!(till.local(3, "company"), r#""after""#, "{is_first}");
    }
}

#[test]
fn a_date_that_is_ahead_is_believed_when_a_later_pull_is_told_so_too() {
    for (is_first, by) in [(true, TimeDelta::seconds(75)), (false, TimeDelta::hours(2))] {
        let till = if is_first { fresh(20) } else { filled(20) };
        let is_ahead = || cursor(&till).unwrap() > Utc::now().to_rfc3339();
        fast_node(&till, by);
        assert!(!is_ahead(), "{by}");
        fast_node(&till, by);
        assert!(!is_ahead(), "{by}: at the same moment");
        std::thread::sleep(Duration::from_millis(5_100));
        fast_node(&till, by);
        assert!(is_ahead(), "{by}: it is the till's clock that is wrong");
    }
}

#[test]
fn a_cursor_that_ran_ahead_of_the_servers_clock_is_brought_back_and_nothing_is_lost() {
    let till = filled(20);
    let connection = rusqlite::Connection::open(&till.path).unwrap();
    let far = "UPDATE state SET value = '2126-01-01T00:00:00Z' WHERE key = 'pull_cursor'";
    assert_eq!(common::as_engine(&connection, far, []), 1);
    company(&till, 3, "unseen");
    assert_eq!(changes(&till).pulled, 1);
    assert_eq!(till.local(3, "company"), r#""unseen""#);
    assert!(cursor(&till).unwrap() < Utc::now().to_rfc3339());
    till.sandbox.clear_requests();
    assert_eq!((changes(&till).pulled, till.gets()), (0, 1));
}

#[test]
fn a_record_that_is_older_than_the_snapshot_is_no_news() {
    let till = filled(10);
    let old = till.sandbox.customer(3).unwrap();
    let minutes_ago = Utc::now() - TimeDelta::minutes(2);
    till.sandbox.with_core(|core| core.edit_text(minutes_ago, 3, r#"{"company":"new"}"#)).unwrap();
    full(&till);
    assert_eq!(till.local(3, "company"), r#""new""#);
    till.minute_passes();
    // A replica that lags behind.
    let odd = Odd::before(&till.sandbox)
        .answer(move |_, told| told.customer(3, |customer| *customer = old.clone()));
    let through = till.through(&odd);
    assert_eq!(changes(&through).pulled, 0);
    assert_eq!(till.local(3, "company"), r#""new""#);
    full(&through);
    assert_ne!(
        till.local(3, "company"),
        r#""new""#,
        "who asks for everything knows that the store was set back"
    );
}

#[test]
fn an_edit_made_since_an_update_is_not_settled_by_a_full_pull_that_lags() {
    let till = filled(10);
    let old = till.sandbox.customer(3).unwrap();
    till.set(3, "company", "ours");
    till.engine().push().unwrap();
    till.set(3, "company", old["company"].as_str().unwrap());
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        if asked.is_list() {
            told.customer(3, |customer| *customer = old.clone());
        }
    });
    full(&till.through(&odd));
    assert_eq!(till.engine().push().unwrap().uploaded_customers, 1, "it was taken back, and that is sent");
}

// ---- nothing, and what is not the store (25, 26) -----------------------------------------------------------------

#[test]
fn an_empty_list_may_be_204_or_not_a_byte() {
    for status in [204, 200] {
        let till = filled(10);
        let empty = move |asked: &Asked, told: &mut Told| {
            if asked.is_list() && told.json()["data"].as_array().is_some_and(Vec::is_empty) {
                *told = Told::empty(status);
            }
        };
        let odd = Odd::before(&till.sandbox).answer(empty);
        let through = till.through(&odd);
        assert_eq!((changes(&through).pulled, changes(&through).complete), (0, true), "{status}");
        company(&till, 3, "news");
        assert_eq!(changes(&through).pulled, 1, "{status}");
    }
}

#[test]
fn what_stands_in_between_is_offline_with_its_first_words() {
    for status in [403, 401, 404, 407, 511, 302] {
        let till = filled(10);
        till.set(3, "phone", "kept");
        let odd = Odd::before(&till.sandbox).before_store(move |_| Some(Told::html(status)));
        let error = till.through(&odd).engine().sync().unwrap_err();
        assert!(error.is_offline() && !error.is_auth(), "{status}: {error}");
        assert!(error.to_string().contains("Access denied"), "{error}");
        assert_eq!(till.outcomes(3, "phone"), ["pending"]);
    }
    let till = filled(10);
    for status in [401, 403, 404] {
        let no = Told::json_of(status, &json!({"status": status, "title": "no"}));
        let odd = Odd::before(&till.sandbox).before_store(move |_| Some(no.clone()));
        assert!(till.through(&odd).engine().sync().unwrap_err().is_auth(), "{status}");
    }
}

#[test]
fn who_is_sent_elsewhere_is_told_at_once_and_goes_nowhere() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let place = format!("http://{}/sign-in?token=hunter2", elsewhere.local_addr().unwrap());
    for (status, body) in [(301, ""), (302, ""), (307, "<html>"), (308, r#"{"status":308,"title":"moved"}"#)]
    {
        let till = filled(10);
        till.set(3, "phone", "kept");
        let place = place.clone();
        let odd = Odd::before(&till.sandbox).before_store(move |_| {
            let mut told = Told::empty(status);
            told.body = body.into();
            told.header("Location", Some(&place));
            Some(told)
        });
        let error = till.through(&odd).engine().sync().unwrap_err();
        let words = error.to_string();
        assert!(error.is_offline() && words.contains("sends to http://127.0.0.1,"), "{status}: {words}");
        assert!(words.contains("--api-url") && !words.contains("hunter2"), "{words}");
        assert_eq!(odd.asked().len(), 1, "{status}");
        assert_eq!(till.outcomes(3, "phone"), ["pending"]);
    }
    assert!(elsewhere.accept().is_err(), "somebody went there");
}

#[test]
fn what_stands_in_between_refuses_an_update_and_the_edit_is_kept() {
    let till = filled(10);
    till.set(3, "phone", "kept");
    let odd = Odd::before(&till.sandbox).before_store(|asked| asked.is_put().then(|| Told::html(403)));
    let mut through = till.through(&odd);
    through.options.upload.retry.tries = 2;
    let error = through.engine().sync().unwrap_err();
    assert!(error.is_offline(), "{error}");
    assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
}

// ---- slow and large (27, 33) -------------------------------------------------------------------------------------

#[test]
fn on_a_slow_line_pages_get_smaller_and_what_came_is_kept() {
    let till = fresh(60);
    let odd = Odd::before(&till.sandbox).every(Kind::List, |told| told.slow(40_000));
    let options = HttpOptions {
        api_url: odd.url(),
        timeout: Duration::from_millis(900),
        ..HttpOptions::new(till.sandbox.store_hash(), till.sandbox.token())
    };
    let remote = HttpRemote::new(&options).unwrap();
    let report = SyncEngine::new(till.store(), remote, till.options.clone()).pull(Extent::Changes).unwrap();
    assert_eq!((report.pulled, report.complete), (60, true), "{report:?}");
    let limits: Vec<String> =
        odd.asked().iter().map(|(asked, _)| asked.parameter("limit").unwrap().to_owned()).collect();
    assert_eq!(limits.iter().filter(|limit| *limit == "250").count(), 1, "{limits:?}");
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_parts_and_a_customer_that_is_is_named() {
    let large = |bytes: usize, whom: fn(i64) -> bool| {
        move |asked: &Asked, told: &mut Told| {
            if asked.is_list() {
                told.customers(|all| {
                    for customer in all.iter_mut().filter(|customer| whom(customer["id"].as_i64().unwrap())) {
                        customer["notes"] = json!("n".repeat(bytes));
                    }
                });
            }
        }
    };
    let till = fresh(60);
    let odd = Odd::before(&till.sandbox).answer(large(1 << 20, |_| true));
    let report = changes(&till.through(&odd));
    assert_eq!((report.pulled, report.complete), (60, true), "{report:?}");

    let till = fresh(8);
    let odd = Odd::before(&till.sandbox).answer(large(33 << 20, |id| id == 5));
    let report = changes(&till.through(&odd));
    assert_eq!((report.pulled, report.complete), (7, false), "{report:?}");
    assert!(report.incomplete.unwrap().contains("customer 5 alone"));
    odd.calm();
    assert!(changes(&till).complete);
    assert_eq!(customers_of(&till), 8);
}

// ---- answers that contradict themselves --------------------------------------------------------------------------

/// Tells another company, and another balance, of this customer too, in the same second.
fn two_things(told: &mut Told, id: i64) {
    told.customers(|all| {
        if let Some(mut other) = all.iter().find(|customer| customer["id"] == id).cloned() {
            other["company"] = json!("the other one");
            other["store_credit_amounts"] = json!([{ "amount": 999 }]);
            all.push(other);
        }
    });
}

#[test]
fn of_whom_a_list_tells_two_things_nothing_is_taken_and_it_is_asked_for_by_id() {
    let till = filled(20);
    let was = till.local(3, "company");
    company(&till, 3, "theirs");
    company(&till, 4, "theirs");
    let odd = Odd::before(&till.sandbox).every(Kind::List, |told| two_things(told, 3));
    let report = changes(&till.through(&odd));
    assert_eq!((report.pulled, report.complete, till.local(3, "company")), (1, true, was));
    assert_eq!((odd.count(Kind::ById), till.local(4, "company").as_str()), (0, r#""theirs""#));
    changes(&till.through(&odd));
    assert_eq!((odd.count(Kind::ById), till.local(3, "company").as_str()), (1, r#""theirs""#));
    let report = full(&till.through(&odd));
    assert_eq!((report.complete, report.deleted, report.unbelieved), (true, 0, 0), "it is there");
    odd.calm();
    changes(&till.through(&odd));
    let asked = odd.count(Kind::ById);
    changes(&till.through(&odd));
    assert_eq!(odd.count(Kind::ById), asked, "it is known, and asked for no more");
}

/// Who is gone, and was edited, is asked for with each pull, and that once, whoever else is.
#[test]
fn who_is_gone_is_asked_for_once_beside_who_is_there() {
    let till = filled(20);
    till.set(3, "phone", "555-3");
    assert!(till.sandbox.delete(3));
    till.engine().pull(Extent::Full).unwrap();
    assert_eq!(till.store().conflicts().unwrap()[0].field, "*");
    let odd = Odd::before(&till.sandbox).every(Kind::List, |told| two_things(told, 4));
    company(&till, 4, "theirs");
    changes(&till.through(&odd));
    let asked = odd.count(Kind::ById);
    changes(&till.through(&odd));
    assert_eq!((odd.count(Kind::ById), till.local(4, "company").as_str()), (asked + 1, r#""theirs""#));
}

/// An answer by id may hold fewer than were asked for, and the same ones each time.
#[test]
fn who_is_to_be_read_again_is_so_whoever_else_is() {
    let till = filled(20);
    (3..7).for_each(|id| company(&till, id, "theirs"));
    let odd = Odd::before(&till.sandbox).every(Kind::List, |told| (3..7).for_each(|id| two_things(told, id)));
    assert_eq!(changes(&till.through(&odd)).pulled, 0);
    till.sandbox.set_behaviours(Behaviours { by_id_at_most: 1, ..Behaviours::default() });
    assert!(till.sandbox.delete(5));
    changes(&till.through(&odd));
    let companies = [3, 4, 6].map(|id| till.local(id, "company"));
    assert_eq!(companies.each_ref().map(String::as_str), [r#""theirs""#; 3]);
    assert_eq!(odd.count(Kind::ById), 4, "and once more for who is gone");
}

#[test]
fn no_payment_is_computed_from_an_answer_that_contradicts_itself() {
    let till = filled(20);
    let before = till.remote_value(3, "store_credit_amounts");
    let odd = Odd::before(&till.sandbox).every(Kind::ById, |told| two_things(told, 3));
    let mut through = till.through(&odd);
    through.options.upload.grace_ms = 50;
    till.adjust(3, "10");
    till.set(5, "phone", "555");
    let report = through.engine().sync().unwrap();
    assert_eq!((report.uploaded_customers, till.remote_value(3, "store_credit_amounts")), (1, before));
    odd.calm();
    assert_eq!(through.engine().sync().unwrap().uploaded_customers, 1);
    assert_eq!(till.local(3, "store_credit_amounts"), till.remote_value(3, "store_credit_amounts"));
    // The answer to an update is read back; and where that tells two things too, it stays in doubt and holds up nobody.
    let odd =
        Odd::before(&till.sandbox).every(Kind::Put, |told| two_things(told, 3)).answer(|asked, told| {
            if asked.is_by_id() && asked.nth > 1 {
                two_things(told, 3);
            }
        });
    let mut through = till.through(&odd);
    through.options.upload.grace_ms = 50;
    till.adjust(3, "5");
    till.set(6, "phone", "666");
    assert_eq!(through.engine().sync().unwrap().uploaded_customers, 1);
    assert_eq!(till.outcomes(3, "store_credit_amounts").last().unwrap(), "in_flight");
    odd.calm();
    through.engine().sync().unwrap();
    assert_eq!(till.outcomes(3, "store_credit_amounts").last().unwrap(), "uploaded");
    assert_eq!(till.local(3, "store_credit_amounts"), till.remote_value(3, "store_credit_amounts"));
    assert_eq!(odd.count(Kind::Put), 1);
}

// ---- a record that is no customer ----------------------------------------------------------------------------------

/// The store tells another id of customer 7.
fn of_seven(told: &mut Told, id: &Value) {
    told.customer(7, |customer| customer["id"] = id.clone());
}

#[test]
fn one_record_that_is_no_customer_is_named_and_stops_nobody_else() {
    for id in [json!(7.0), json!("7"), json!(1_i64 << 40), json!(null)] {
        let shown = id.clone();
        let till = fresh(30);
        let odd = Odd::before(&till.sandbox).answer(move |_, told| of_seven(told, &shown));
        let through = till.through(&odd);
        let report = changes(&through);
        let why = report.incomplete.unwrap();
        assert!(why.contains(&format!("has the id {id}")) && why.contains("number 7"), "{why}");
        assert_eq!((report.pulled, cursor(&till)), (29, None), "{id}");
        // The edits of others go out all the same.
        till.set(3, "phone", "333");
        let report = through.engine().sync().unwrap();
        assert_eq!((report.uploaded_customers, report.incomplete.is_some()), (1, true), "{id}");
        // It is as good as it gets: later pulls ask for what changed, and it is still said of a list of everybody.
        assert!(cursor(&till).is_some(), "{id}");
        assert_eq!((changes(&through).incomplete, full(&through).incomplete.is_some()), (None, true), "{id}");
        odd.calm();
        assert!(full(&till).complete);
        assert_eq!(customers_of(&till), 30);
    }
}

#[test]
fn a_list_of_changes_may_lack_who_was_lacking_and_not_somebody_else() {
    let till = filled(30);
    let lost = Arc::new(std::sync::Mutex::new(7_i64));
    let of = Arc::clone(&lost);
    let odd = Odd::before(&till.sandbox).answer(move |_, told| {
        let id = *of.lock().unwrap();
        told.customer(id, |customer| customer["id"] = json!(format!("x{id}")));
    });
    let through = till.through(&odd);
    for _ in 0..2 {
        assert!(full(&through).incomplete.is_some());
    }
    company(&till, 7, "theirs");
    let why = changes(&through).incomplete.unwrap();
    assert!(!why.contains("asks for all of it again"), "it was accepted: {why}");
    let before = cursor(&till);
    std::thread::sleep(Duration::from_millis(1_100));
    *lost.lock().unwrap() = 9;
    company(&till, 9, "theirs");
    company(&till, 7, "of now");
    let why = changes(&through).incomplete.unwrap();
    assert!(why.contains("x9") && why.contains("asks for all of it again"), "{why}");
    assert_eq!(cursor(&till), before, "as many are lacking, and another one");
    odd.calm();
    assert_eq!((changes(&till).complete, till.local(9, "company").as_str()), (true, r#""theirs""#));
}

#[test]
fn who_is_told_as_no_customer_is_neither_deleted_nor_sent_over() {
    for id in [json!(7.0), json!(1_i64 << 40)] {
        let till = filled(30);
        company(&till, 7, "theirs");
        let mut before = cursor(&till);
        let odd = Odd::before(&till.sandbox).answer(move |_, told| of_seven(told, &id));
        let mut through = till.through(&odd);
        through.options.upload.grace_ms = 50;
        assert!(changes(&through).incomplete.is_some());
        assert_eq!(cursor(&till), before.take(), "what changed of it is not passed over");
        till.adjust(7, "5");
        till.adjust(3, "5");
        let report = through.engine().sync().unwrap();
        assert_eq!((report.uploaded_customers, report.conflicts), (1, 0));
        for _ in 0..2 {
            let report = full(&through);
            assert_eq!((report.deleted, report.incomplete.is_some()), (0, true));
        }
        odd.calm();
        assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
        assert_eq!(till.local(7, "store_credit_amounts"), till.remote_value(7, "store_credit_amounts"));
        till.engine().pull(Extent::Full).unwrap();
        assert_eq!(till.local(7, "company"), r#""theirs""#);
    }
}

/// Of a thousand customers is remembered what an older reading showed. What there is no room for nobody asks about again.
#[test]
fn the_cursor_stays_while_more_lags_than_can_be_remembered() {
    let till = Till::new(sandbox(1_010));
    let mut engine = till.engine();
    let office = |amount: &str| {
        let now = Utc::now();
        let credit = format!(r#"{{"store_credit_amounts":[{{"amount":{amount}}}]}}"#);
        let edit = |id: i32| till.sandbox.with_core(|core| core.edit_text(now, id, &credit)).unwrap();
        assert!(till.sandbox.ids().into_iter().all(edit));
    };
    office("111");
    engine.pull(Extent::Full).unwrap();
    office("222");
    engine.pull(Extent::Changes).unwrap();
    let before = cursor(&till).unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    engine.pull(Extent::Changes).unwrap();
    let moved = cursor(&till).unwrap();
    assert!(before < moved, "{before} {moved}");
    office("111");
    std::thread::sleep(Duration::from_millis(1_100));
    let report = engine.pull(Extent::Changes).unwrap();
    assert_eq!((cursor(&till).unwrap(), report.pulled), (moved, 0));
}

/// What was passed over and could not be remembered is no base all the same.
#[test]
fn nothing_is_sent_on_a_reading_that_was_not_believed_and_for_which_there_was_no_room() {
    const PAYS: i32 = 1_005;
    let till = Till::new(sandbox(1_010));
    let mut engine = till.engine();
    let office = |amount: &str, but_for: i32| {
        let now = Utc::now();
        let credit = format!(r#"{{"store_credit_amounts":[{{"amount":{amount}}}]}}"#);
        let edit = |id: i32| till.sandbox.with_core(|core| core.edit_text(now, id, &credit)).unwrap();
        let ids = till.sandbox.ids();
        assert!(ids.into_iter().filter(|id| *id != but_for).all(edit));
    };
    office("111", 0);
    engine.pull(Extent::Full).unwrap();
    office("222", 0);
    engine.pull(Extent::Changes).unwrap();
    till.adjust(PAYS.into(), "10");
    engine.sync().unwrap();
    let paid = r#"[{"amount":232}]"#;
    assert_eq!(till.remote_value(PAYS.into(), "store_credit_amounts"), paid);
    office("111", PAYS);
    engine.pull(Extent::Full).unwrap();
    let odd = Odd::before(&till.sandbox).answer(|asked, told| {
        if !asked.is_put() {
            told.customer(PAYS.into(), |one| one["store_credit_amounts"] = json!([{"amount": 95}]));
        }
    });
    till.adjust(PAYS.into(), "5");
    let report = till.through(&odd).engine().sync().unwrap();
    assert_eq!((report.uploaded_customers, odd.count(Kind::Put)), (0, 0), "it waits");
    assert_eq!(till.remote_value(PAYS.into(), "store_credit_amounts"), paid);
}

/// Whatever is told in the place of a value: numbers however they are spelled, truths, texts, lists, objects.
fn of_another_type() -> Vec<Value> {
    let texts = [
        "5",
        "5.0",
        "5.50",
        "1e3",
        "1e18",
        "-0",
        "1e999",
        "0",
        "1",
        "true",
        r#""7""#,
        r#""x""#,
        "[]",
        r#"["a"]"#,
        r#"[1, "b"]"#,
        r#"{"a":1}"#,
        r#"[{"amount":"x"}]"#,
        r#"[{"name":"a","value":{"b":1}}]"#,
    ];
    texts.iter().map(|json| serde_json::from_str(json).unwrap_or_else(|_| json!(*json))).collect()
}

/// All attributes as one value.
fn all_of(value: &Value) -> Value {
    let mut all: serde_json::Map<String, Value> = tillsync::FieldId::columns()
        .filter(|field| field.spec().parent.is_none() && *field != tillsync::FieldId::DATE_MODIFIED)
        .map(|field| (field.name().to_owned(), value.clone()))
        .collect();
    all.insert("authentication".to_owned(), json!({ "force_password_reset": value }));
    Value::Object(all)
}

/// Nobody edited anything: nothing is found, nothing is journaled, and the next value of the store is the till's.
#[test]
fn a_value_of_another_type_than_the_attributes_is_no_edit_and_gives_way_to_the_stores_next_one() {
    let (others, till) = (of_another_type(), fresh(40));
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).take(others.len()).collect();
    let before: Vec<Value> = ids.iter().map(|id| till.sandbox.customer(*id as i32).unwrap()).collect();
    let tell_others = || ids.iter().zip(&others).for_each(|(id, other)| till.office(*id, all_of(other)));
    let tell_as_before = || ids.iter().zip(&before).for_each(|(id, was)| till.office(*id, was.clone()));
    let nobody_edited = |when: &str| {
        assert_eq!(till.store().find_unjournaled().unwrap(), 0, "{when}");
        assert_eq!(till.store().unjournaled().unwrap(), vec![], "{when}");
        assert_eq!(till.store().held_up().unwrap(), [], "{when}");
        assert!(till.engine().sync().unwrap().uploaded_fields == 0 && till.puts().is_empty(), "{when}");
    };
    tell_others();
    changes(&till);
    nobody_edited("at the first pull");
    assert_eq!(till.local(ids[0], "phone"), r#""5""#, "as its column holds it");
    tell_as_before();
    changes(&till);
    nobody_edited("as it should be");
    for (id, was) in ids.iter().zip(&before) {
        for field in ["phone", "first_name", "email", "notes", "customer_group_id", "channel_ids"] {
            assert_eq!(till.local(*id, field), was[field].to_string(), "customer {id}: {field}");
        }
    }
    tell_others();
    changes(&till);
    nobody_edited("in a later pull");
    tell_as_before();
    changes(&till);
    nobody_edited("as it should be, again");
}

/// It is a change of the store's as any other, beside an edit and beneath one.
#[test]
fn a_value_of_another_type_is_not_overwritten_unseen() {
    let till = filled(20);
    till.set(1, "phone", "555-0001");
    till.office(1, json!({ "phone": 5 }));
    till.office(2, json!({ "phone": 5 }));
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), "5", "it waits for a decision");
    assert_eq!(till.outcomes(1, "phone"), ["held"]);
    till.set(2, "phone", "5");
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 0, "the store has it already");
    till.set(2, "phone", "555-0002");
    assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1);
    assert_eq!(till.remote_value(2, "phone"), "\"555-0002\"");
    assert_eq!(till.store().find_unjournaled().unwrap(), 0);
}
