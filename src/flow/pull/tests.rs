#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

use super::*;
use crate::resource::Attributes;

/// A page with these customers.
fn page(
    ids: std::ops::RangeInclusive<i64>,
    cursor: Option<&str>,
    more: More,
    total: Option<u64>,
) -> Page<'static> {
    let body = |id| {
        Box::leak(
            format!(r#"{{"id":{id},"date_modified":"2026-01-01T00:00:{:02}Z"}}"#, id % 60).into_boxed_str(),
        )
    };
    let customers = ids.map(|id| &*body(id)).map(|body| (Attributes::parse(body).unwrap(), body)).collect();
    Page { rows: customers, cursor: cursor.map(str::to_owned), more, total, ..Page::nobody() }
}

const NOBODY: std::ops::RangeInclusive<i64> = std::ops::RangeInclusive::new(1, 0);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
}

#[track_caller]
fn asks(step: PullStep, place: Place, limit: usize) {
    let PullStep::Ask(ask) = step else { panic!("{step:?}") };
    assert_eq!((ask.place, ask.limit), (place, limit));
}

fn after(cursor: &str) -> Place {
    Place::After(cursor.to_owned())
}

#[test]
fn a_list_is_followed_until_it_is_over_and_held_against_its_total() {
    let mut pull = Pull::new(None);
    asks(pull.page(&page(1..=249, Some("a"), More::Untold, Some(500)), None), after("a"), 250);
    asks(pull.page(&page(251..=500, Some("b"), More::No, None), None), after("b"), 250);
    asks(pull.page(&page(NOBODY, None, More::Untold, None), None), Place::Start, 1);
    // Its cursor may have died: the same place by its number, once.
    asks(pull.page(&page(1..=1, Some("x"), More::Yes, Some(500)), None), Place::Number(2), 250);
    asks(pull.page(&page(251..=500, None, More::No, None), None), Place::Number(3), 250);
    asks(pull.page(&page(NOBODY, None, More::Untold, None), None), Place::Start, 1);
    let over = pull.page(&page(1..=1, Some("x"), More::Yes, Some(500)), None);
    assert_eq!(over, PullStep::Over(Err("it showed 499 of 500 customers".to_owned())));
    // One was deleted while it was read: asked again, the store says so.
    let mut pull = Pull::new(None);
    asks(pull.page(&page(1..=249, None, More::No, Some(250)), None), Place::Number(2), 250);
    asks(pull.page(&page(NOBODY, None, More::No, None), None), Place::Start, 1);
    assert_eq!(pull.page(&page(1..=1, None, More::Yes, Some(249)), None), PullStep::Over(Ok(())));
}

#[test]
fn a_total_below_what_was_seen_does_not_end_a_list_that_has_a_cursor() {
    for more in [More::No, More::Untold] {
        let mut pull = Pull::new(None);
        asks(pull.page(&page(1..=250, Some("a"), more, Some(0)), None), after("a"), 250);
        asks(pull.page(&page(251..=300, Some("b"), more, Some(0)), None), after("b"), 250);
        assert_eq!(pull.page(&page(NOBODY, None, More::No, Some(0)), None), PullStep::Over(Ok(())));
    }
}

#[test]
fn where_nobody_is_behind_a_cursor_that_may_be_its_death() {
    // Whatever it tells of how many there are: nothing, as many as before, or none.
    for (total, told) in
        [(Some(500), None), (Some(500), Some(500)), (Some(500), Some(0)), (None, None), (None, Some(0))]
    {
        let mut pull = Pull::new(None);
        asks(pull.page(&page(1..=250, Some("a"), More::Yes, total), None), after("a"), 250);
        let mut step = pull.page(&page(NOBODY, None, More::Untold, told), None);
        if total.is_some() {
            asks(step, Place::Start, 1);
            step = pull.page(&page(1..=1, Some("x"), More::Yes, total), None);
        }
        asks(step, Place::Number(2), 250);
        let step = pull.page(&page(251..=500, None, More::Untold, total), None);
        match total {
            Some(_) => assert_eq!(step, PullStep::Over(Ok(()))),
            None => asks(step, Place::Number(3), 250),
        }
    }
}

#[test]
fn a_full_last_page_that_says_so_costs_no_further_call() {
    for more in [More::No, More::Untold] {
        let mut pull = Pull::new(None);
        asks(pull.page(&page(1..=250, Some("a"), More::Yes, Some(500)), None), after("a"), 250);
        assert_eq!(pull.page(&page(251..=500, Some("b"), more, None), None), PullStep::Over(Ok(())));
    }
}

#[test]
fn pages_get_smaller_from_place_to_place_and_one_customer_is_named() {
    let mut pull = Pull::new(None);
    asks(pull.page(&page(1..=250, None, More::Yes, None), None), Place::Number(2), 250);
    asks(pull.too_much("late", true, None), Place::Number(6), 50);
    asks(pull.page(&page(251..=300, None, More::Yes, None), None), Place::Number(7), 50);
    asks(pull.too_much("silent", false, None), Place::Number(7), 50);
    asks(pull.too_much("silent", false, None), Place::Number(31), 10);
    asks(pull.too_much("late", true, None), Place::Number(151), 2);
    asks(pull.too_much("late", true, None), Place::Number(301), 1);
    asks(pull.too_much("late", true, Some(CustomerId(301))), Place::Number(302), 1);
    // Behind it they grow again, where a larger one begins.
    asks(pull.page(&page(302..=302, None, More::Yes, None), None), Place::Number(152), 2);
    for two in [303, 305, 307] {
        pull.page(&page(two..=two + 1, None, More::Yes, None), None);
    }
    asks(pull.page(&page(309..=310, None, More::Yes, None), None), Place::Number(32), 10);
    let PullStep::Over(Err(why)) = pull.page(&page(311..=315, None, More::No, None), None) else { panic!() };
    let wanted =
        "it cannot list customer 301 alone is more than one answer can bring: late; the others are taken in";
    assert_eq!(why, wanted);
}

#[test]
fn whom_the_store_cannot_list_is_passed_over_and_pages_grow_again_behind_it() {
    let (mut pull, poison) = (Pull::new(None), 300);
    let (mut calls, mut step) = (0, PullStep::Ask(pull.first()));
    let over = loop {
        let ask = match step {
            PullStep::Ask(ask) => ask,
            PullStep::Over(over) => break over,
            PullStep::Anew(_) => panic!(),
        };
        calls += 1;
        let from = match ask.place {
            Place::Start => 1,
            Place::After(cursor) => cursor.parse::<i64>().unwrap() + 1,
            Place::Number(number) => (i64::try_from(number).unwrap() - 1) * ask.limit as i64 + 1,
        };
        let to = (from + ask.limit as i64 - 1).min(2_000);
        let more = if to < 2_000 { More::Yes } else { More::No };
        step = match (from..=to).contains(&poison) {
            true => pull.cannot_list("status 500").unwrap(),
            false => pull.page(&page(from..=to, Some(&to.to_string()), more, Some(2_000)), None),
        };
    };
    assert_eq!(
        over.unwrap_err(),
        "it cannot list the customer behind 299, alone on its page: status 500; the others are taken in"
    );
    assert_eq!((pull.seen(), pull.lacks().unwrap().who.len()), (1_999, 1));
    assert!(calls < 8 + 5 + 16 + 13, "{calls} calls");
    // Another place where nothing comes is another one; where they are many, it is the list.
    let mut down = Pull::new(None);
    let mut passed = 0;
    while down.cannot_list("status 500").is_some() {
        passed += 1;
    }
    // Four times they have grown again by then, by one step.
    assert_eq!(passed, 4 + 10 + 4);
}

#[test]
fn a_cursor_that_dies_on_the_way_is_nobody_whom_the_store_cannot_list() {
    let mut pull = Pull::new(None);
    asks(pull.page(&page(1..=250, Some("a"), More::Yes, Some(600)), None), after("a"), 250);
    for limit in [50, 10, 2, 1] {
        asks(pull.cannot_list("status 504").unwrap(), after("a"), limit);
    }
    asks(pull.cannot_list("status 504").unwrap(), Place::Number(251), 1);
    // The pages grow again where larger ones begin.
    asks(pull.page(&page(251..=251, Some("b"), More::Yes, Some(600)), None), Place::Number(252), 1);
    let mut step = pull.page(&page(252..=252, Some("b"), More::Yes, Some(600)), None);
    let (mut calls, mut from) = (0, 253);
    while let PullStep::Ask(ask) = step {
        let to = (from + ask.limit as i64 - 1).min(600);
        let more = if to < 600 { More::Yes } else { More::No };
        step = pull.page(&page(from..=to, Some("b"), more, Some(600)), None);
        (calls, from) = (calls + 1, to + 1);
    }
    assert_eq!((step, pull.seen(), pull.lacks().is_none()), (PullStep::Over(Ok(())), 600, true));
    assert!(calls < 20, "{calls} calls");
}

#[test]
fn pages_that_got_smaller_grow_again_although_the_list_was_cut_or_begins_anew() {
    let mut pull = Pull::new(None);
    asks(pull.page(&page(1..=250, Some("250"), More::Yes, Some(900)), None), after("250"), 250);
    asks(pull.cannot_list("status 500").unwrap(), after("250"), 50);
    asks(pull.page(&page(251..=300, Some("300"), More::Yes, Some(900)), None), after("300"), 50);
    (0..3).for_each(|_| _ = pull.cannot_list("status 500").unwrap());
    let seen = || (1..=300).map(CustomerId).collect::<Ids>();
    let mut cut = Pull::resumed(pull.how_far(), seen());
    asks(cut.page(&page(301..=301, Some("301"), More::Yes, Some(900)), None), after("301"), 1);
    asks(cut.cannot_list("status 500").unwrap(), Place::Number(302), 1);
    asks(cut.cannot_list("status 500").unwrap(), Place::Number(152), 2);
    let seen = || (1..=301).map(CustomerId).collect::<Ids>();
    let mut cut = Pull::resumed(cut.how_far(), seen());
    // One page misses somebody: that is no size of the store's own.
    for shown in [303..=304, 305..=305, 307..=308] {
        cut.page(&page(shown, None, More::Yes, Some(900)), None);
    }
    asks(cut.page(&page(309..=310, None, More::Yes, Some(900)), None), Place::Number(32), 10);
    // The cursor has died meanwhile.
    let mut dead = Pull::resumed(pull.how_far(), (1..=300).map(CustomerId).collect());
    assert!(matches!(dead.page(&page(NOBODY, None, More::Untold, None), None), PullStep::Anew(_)));
    asks(dead.page(&page(1..=1, Some("1"), More::Yes, Some(900)), None), after("1"), 1);
    asks(dead.cannot_list("status 500").unwrap(), Place::Number(2), 1);
    asks(dead.cannot_list("status 500").unwrap(), Place::Number(2), 2);
    asks(dead.page(&page(3..=4, None, More::Yes, Some(900)), None), Place::Number(3), 2);
}

#[test]
fn pages_by_number_that_were_shorter_than_asked_for_begin_anew_when_they_get_smaller() {
    let mut pull = Pull::new(None);
    asks(pull.page(&page(1..=20, None, More::Untold, None), None), Place::Number(2), 250);
    let PullStep::Anew(ask) = pull.too_much("large", true, None) else { panic!() };
    assert_eq!((ask.place, ask.limit), (Place::Start, 50));
    asks(pull.page(&page(1..=20, None, More::Untold, None), None), Place::Number(2), 50);
    assert_eq!(pull.seen(), 20);
    asks(pull.page(&page(21..=40, None, More::Untold, None), None), Place::Number(3), 50);
}

#[test]
fn a_place_that_died_begins_anew_once() {
    let cut = HowFar { place: after("old"), limit: 250, total: Some(400), ..HowFar::default() };
    let seen = || (1..=250).map(CustomerId).collect::<Ids>();
    let mut pull = Pull::resumed(cut.clone(), seen());
    assert_eq!((pull.first().place, pull.seen()), (after("old"), 250));
    let nobody = page(NOBODY, None, More::Untold, None);
    let PullStep::Anew(ask) = pull.page(&nobody, None) else { panic!() };
    assert_eq!(ask.place, Place::Start);
    asks(pull.page(&page(1..=250, Some("new"), More::Yes, Some(400)), None), after("new"), 250);
    assert_eq!((pull.seen(), pull.clone().refused(true)), (250, None), "once, in a store that fails");
    asks(pull.refused(false).unwrap(), Place::Number(2), 250);
    assert_eq!(pull.refused(false), None, "a number does not die");
    // All of them were seen, and the rest was deleted since: nothing is to be begun anew.
    let all = HowFar { total: Some(250), ..cut.clone() };
    assert_eq!(Pull::resumed(all, seen()).page(&nobody, None), PullStep::Over(Ok(())));
    assert!(matches!(Pull::resumed(cut, seen()).refused(false), Some(PullStep::Anew(_))));
    assert_eq!(Pull::new(None).refused(false), None, "without a cursor nothing else can be asked");
}

#[test]
fn by_number_a_list_goes_on_no_further_behind_than_its_cursor_was() {
    // What the store shows on a page may be all that it ever does, whatever it is asked for: no page of it is left out.
    for (most, number, limit) in [(250, 3, 250), (249, 10, 50), (100, 5, 50), (30, 7, 10), (1, 3, 1)] {
        let mut pull = Pull::new(None);
        let shows = |from: i64, cursor| page(from..=from + most - 1, Some(cursor), More::Yes, Some(600));
        asks(pull.page(&shows(1, "a"), None), after("a"), 250);
        assert!(matches!(pull.refused(false), Some(PullStep::Anew(_))));
        asks(pull.page(&shows(1, "b"), None), after("b"), 250);
        asks(pull.page(&shows(most + 1, "c"), None), after("c"), 250);
        asks(pull.refused(false).unwrap(), Place::Number(number), limit);
        assert!((number - 1) as i64 * limit as i64 <= 2 * most, "{most}");
        let from = (number as i64 - 1) * limit as i64 + 1;
        let next = page(from..=from + limit as i64 - 1, Some("d"), More::Yes, Some(600));
        asks(pull.page(&next, None), Place::Number(number + 1), limit);
    }
}

#[test]
fn a_place_of_which_nothing_comes_begins_anew_once_and_not_because_of_a_page_that_fails_wherever_it_is_reached()
 {
    let cut = HowFar { place: after("old"), limit: 250, total: Some(400), ..HowFar::default() };
    let seen = || (1..=250).map(CustomerId).collect::<Ids>();
    let mut pull = Pull::resumed(cut.clone(), seen());
    asks(pull.too_much("silent", false, None), after("old"), 250);
    asks(pull.too_much("silent", false, None), after("old"), 50);
    let Some(PullStep::Anew(ask)) = pull.failed() else { panic!() };
    assert_eq!((ask.place, ask.limit), (Place::Start, 250), "it was not too much, it was nothing");
    assert_eq!(pull.how_far().place, after("old"), "not before the list has begun");
    asks(pull.page(&page(1..=250, Some("old"), More::Yes, Some(400)), None), after("old"), 250);
    assert_eq!(pull.failed(), None, "it is of this pull");
    // The next one finds the same place, which fails as it is: it is not begun anew for ever.
    assert_eq!(Pull::resumed(pull.how_far(), seen()).failed(), None);
    let mut alive = Pull::resumed(pull.how_far(), seen());
    asks(alive.page(&page(251..=300, Some("next"), More::Yes, Some(400)), None), after("next"), 250);
    assert_eq!(alive.how_far().given_up, None, "and may die another time");
    assert!(alive.failed().is_none() && Pull::resumed(alive.how_far(), seen()).failed().is_some());
    // One customer alone that is too much is no dead cursor, and nothing is given up for it.
    let mut large = Pull::resumed(cut.clone(), seen());
    for _ in 0..4 {
        large.too_much("late", true, None);
    }
    asks(large.too_much("late", true, Some(CustomerId(251))), Place::Number(252), 1);
    assert_eq!(large.how_far().given_up, None);
    let by_number = HowFar { place: Place::Number(2), ..cut };
    assert_eq!(Pull::resumed(by_number, seen()).failed(), None, "a number does not die");
}

#[test]
fn pages_by_number_that_moved_while_they_were_read_are_read_again() {
    let mut pull = Pull::new(None);
    asks(pull.page(&page(1..=250, None, More::Yes, Some(300)), None), Place::Number(2), 250);
    assert!(matches!(pull.page(&page(252..=300, None, More::No, Some(299)), None), PullStep::Anew(_)));
}

#[test]
fn a_date_before_the_cursor_is_heard_twice() {
    let list = || page(1..=1, None, More::No, Some(1));
    let mut pull = Pull::new(Some(at(100)));
    asks(pull.page(&list(), Some(at(50))), Place::Start, 1);
    let PullStep::Ask(ask) = pull.page(&list(), Some(at(200))) else { panic!() };
    assert_eq!((ask.modified_min, pull.began()), (Some(at(100)), Some(at(200))), "it was one wrong answer");
    assert_eq!(pull.page(&list(), Some(at(201))), PullStep::Over(Ok(())));
    let mut pull = Pull::new(Some(at(100)));
    asks(pull.page(&list(), Some(at(50))), Place::Start, 1);
    let PullStep::Ask(ask) = pull.page(&list(), Some(at(51))) else { panic!() };
    assert_eq!((ask.modified_min, ask.limit, pull.believes_older()), (None, 250, true), "everybody");
}

#[test]
fn a_date_is_believed_no_further_than_another_witness() {
    let cursor = |told: Option<i64>, expected: Option<i64>, newest: Option<i64>, before: Option<i64>| {
        let [told, expected, newest] = [told, expected, newest].map(|seconds| seconds.map(at));
        let witnesses = Witnesses { told, expected, newest, ..Witnesses::default() };
        let next = witnesses.next_cursor(before.map(at), TimeDelta::seconds(10), true);
        next.map(|next| (next - at(0)).num_seconds())
    };
    assert_eq!(cursor(Some(1_000), Some(1_001), Some(5), Some(100)), Some(990), "all is well");
    assert_eq!(cursor(Some(99_000), Some(1_001), Some(5), Some(100)), Some(991), "ahead, alone");
    assert_eq!(
        cursor(Some(99_000), Some(1_001), Some(5_000), Some(100)),
        Some(991),
        "with what it dated itself"
    );
    assert_eq!(cursor(Some(1_000), Some(99_000), None, Some(100)), Some(990), "the till's clock was set");
    assert_eq!(cursor(Some(1_000), Some(-99_000), Some(700), Some(100)), Some(100), "back, too");
    let again = Witnesses {
        told: Some(at(1_000)),
        expected: Some(at(-99_000)),
        is_told_again: true,
        ..Witnesses::default()
    };
    let next = again.next_cursor(Some(at(100)), TimeDelta::seconds(10), true);
    assert_eq!(next, Some(at(990)), "and told again");
    assert_eq!(cursor(Some(50), Some(1_001), Some(5), Some(100)), Some(40), "before the cursor");
    assert_eq!(cursor(Some(105), Some(105), None, Some(100)), Some(100), "never back but for that");
    assert_eq!(cursor(None, Some(1_000), Some(700), Some(100)), Some(690), "no date at all");
    assert_eq!(cursor(None, None, None, Some(100)), Some(100));
    let long = Witnesses { newest: Some(at(700)), lasted: TimeDelta::seconds(300), ..Witnesses::default() };
    let next = long.next_cursor(Some(at(100)), TimeDelta::seconds(10), true);
    assert_eq!(next, Some(at(390)), "what was seen last may be of its end");
    let quiet = Witnesses { told: Some(at(1_000)), expected: Some(at(1_000)), ..Witnesses::default() };
    assert_eq!(quiet.next_cursor(Some(at(100)), TimeDelta::zero(), false), Some(at(100)), "no news");
}

#[test]
fn the_brake_is_a_share_a_few_in_any_case_and_what_a_person_says() {
    let brake = DeletionBrake::default();
    let most = |customers| brake.most(customers, 0, None);
    assert_eq!([0, 1, 10, 39, 400, 1_000].map(most), [1, 1, 5, 19, 20, 50]);
    assert_eq!(brake.most(1_000, 0, Some(700)), 700);
    assert_eq!(brake.most(1_000, 0, Some(1)), 50);
}

#[test]
fn it_counts_what_went_within_a_day() {
    let brake = DeletionBrake::default();
    assert_eq!([0, 4, 5, 9].map(|lately| brake.most(10 - lately, lately, None)), [5, 1, 0, 0]);
    assert_eq!(brake.most(950, 50, None), 0);
    assert_eq!(brake.most(950, 50, Some(3)), 3);
}

#[test]
fn a_set_of_ids_counts_each_once() {
    let ids: Ids = [0, 1, 63, 64, -1, 64, 1 << 40].map(CustomerId).into_iter().collect();
    assert_eq!(ids.len(), 6);
}
