//! Two sides changed it: every row of the table in `docs/conflicts.md`, over real HTTP.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use common::{Till, sandbox, soon, till};
use serde_json::{Value as Json, json};
use tillsync::sandbox::{Behaviours, Fault, ResponseAttributes, Tidying, Untold};
use tillsync::{
    Contest, CustomerId, Decision, Extent, Fate, FieldId, Keep, Outcome, Policies, Policy, Progress,
    Resolver, SyncReport, Value,
};

/// The customer that both sides change.
const ANA: i64 = 2;

/// A till that has pulled a store in which Ana is as `attributes` say.
fn till_with(attributes: Json) -> Till {
    let till = Till::new(sandbox(5));
    till.office(ANA, attributes);
    till.engine().pull(Extent::Changes).unwrap();
    till.sandbox.clear_requests();
    till
}

fn sync(till: &Till) -> SyncReport {
    let report = till.engine().sync().unwrap();
    till.assert_no_violations();
    report
}

fn field(name: &str) -> FieldId {
    FieldId::named(name).unwrap()
}

/// Both sides have this value of Ana's, and nothing waits any more.
#[track_caller]
fn check_agreed(till: &Till, field: &str, value: Json) {
    check_sides(till, field, value.clone(), value);
    let status = till.store().status().unwrap();
    assert_eq!((status.pending_fields, status.conflicts), (0, 0), "something of {field} waits");
    let again = sync(till);
    assert_eq!(
        (again.pulled, again.requests.put, again.conflicts),
        (0, 0, 0),
        "a second sync had something to do: {again:?}"
    );
}

/// The till's value and the store's.
#[track_caller]
fn check_sides(till: &Till, field: &str, local: Json, remote: Json) {
    assert_eq!(plain(till.local(ANA, field)), local, "{field} in the till");
    assert_eq!(plain(till.remote_value(ANA, field)), remote, "{field} in the store");
}

/// A value without what the store adds to form fields.
fn plain(json: String) -> Json {
    let mut value: Json = serde_json::from_str(&json).unwrap();
    for entry in value.as_array_mut().into_iter().flatten() {
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("customer_id");
        }
    }
    value
}

/// What waits for a person: field, base, local, remote.
fn open(till: &Till) -> Vec<(String, Json, Json, Json)> {
    let conflicts = till.store().conflicts().unwrap();
    let parse = |json: &str| serde_json::from_str(json).unwrap();
    conflicts.into_iter().map(|c| (c.field, parse(&c.base), parse(&c.local), parse(&c.remote))).collect()
}

#[track_caller]
fn check_open<const N: usize>(till: &Till, wanted: [(&str, Json, Json, Json); N]) {
    let wanted = wanted.map(|(field, base, local, remote)| (field.to_owned(), base, local, remote));
    assert_eq!(open(till), wanted);
}

fn resolve(till: &Till, field: &str, keep: Keep) {
    assert_eq!(till.store().resolve(ANA, field, &keep, Some("bo")).unwrap(), 1);
}

fn undo(till: &Till, decision: i64) {
    assert_eq!(till.store().undo(decision, Some("bo")).unwrap(), 1);
}

fn forms(entries: &[(&str, &str)]) -> Json {
    entries.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// Phone is contested: it was 0, the till says 1, the store says 2.
fn contested(policies: Policies) -> Till {
    let mut till = till_with(json!({"phone": "0", "company": "Old"}));
    till.options.policies = policies;
    till.set(ANA, "phone", "1");
    till.office(ANA, json!({"phone": "2"}));
    till
}

// ---- what is brought together ------------------------------------------------------------------------------------

#[test]
fn the_same_change_on_both_sides_needs_no_call() {
    let till = till_with(json!({"phone": "0"}));
    till.set(ANA, "phone", "1");
    till.office(ANA, json!({"phone": "1"}));
    let report = sync(&till);
    assert_eq!((report.requests.put, report.unchanged_customers, report.conflicts), (0, 0, 0));
    assert_eq!(till.outcomes(ANA, "phone"), ["unchanged"]);
    check_agreed(&till, "phone", json!("1"));
}

#[test]
fn disjoint_attributes_go_both_ways() {
    let till = till_with(json!({"phone": "0", "company": "Old"}));
    till.set(ANA, "phone", "1");
    till.office(ANA, json!({"company": "New"}));
    sync(&till);
    assert_eq!(till.puts(), [r#"[{"id":2,"phone":"1"}]"#]);
    check_agreed(&till, "phone", json!("1"));
    check_agreed(&till, "company", json!("New"));
}

#[test]
fn adjustments_are_added_to_what_the_store_has() {
    let till = till_with(json!({"store_credit_amounts": [{"amount": 100.10}]}));
    till.adjust(ANA, "-20.01");
    till.adjust(ANA, "0.02");
    till.office(ANA, json!({"store_credit_amounts": [{"amount": 90.05}]}));
    sync(&till);
    check_agreed(&till, "store_credit_amounts", json!([{"amount": 70.06}]));
    assert_eq!(till.outcomes(ANA, "store_credit_amounts"), ["uploaded", "uploaded"]);
}

#[test]
fn two_equal_adjustments_are_two_payments() {
    let till = till_with(json!({"store_credit_amounts": [{"amount": 100}]}));
    till.adjust(ANA, "5");
    till.office(ANA, json!({"store_credit_amounts": [{"amount": 105}]}));
    sync(&till);
    check_agreed(&till, "store_credit_amounts", json!([{"amount": 110}]));
}

#[test]
fn channels_take_the_additions_and_removals_of_both() {
    let till = till_with(json!({"channel_ids": [1, 2, 3]}));
    till.set(ANA, "channel_ids", "[1,3,5]");
    till.office(ANA, json!({"channel_ids": [2, 3, 4]}));
    sync(&till);
    check_agreed(&till, "channel_ids", json!([3, 4, 5]));
}

#[test]
fn channels_that_would_be_none_are_held() {
    let till = till_with(json!({"channel_ids": [1, 2]}));
    till.set(ANA, "channel_ids", "[1]");
    till.office(ANA, json!({"channel_ids": [2]}));
    sync(&till);
    check_open(&till, [("channel_ids", json!([1, 2]), json!([1]), json!([2]))]);
}

#[test]
fn form_fields_of_different_names_merge() {
    let till = till_with(json!({"form_fields": forms(&[("colour", "red"), ("size", "M")])}));
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"red"},{"name":"size","value":"L"}]"#);
    till.office(ANA, json!({"form_fields": forms(&[("colour", "blue"), ("size", "M"), ("shoe", "41")])}));
    sync(&till);
    let merged = forms(&[("colour", "blue"), ("shoe", "41"), ("size", "L")]);
    assert_eq!(by_name(till.local(ANA, "form_fields")), by_name(merged.to_string()));
    assert_eq!(by_name(till.remote_value(ANA, "form_fields")), by_name(merged.to_string()));
    assert_eq!(till.store().status().unwrap().conflicts, 0);
    assert_eq!(sync(&till).requests.put, 0);
}

fn by_name(json: String) -> std::collections::BTreeMap<String, Json> {
    let entries: Vec<Json> = serde_json::from_str(&json).unwrap();
    entries.into_iter().map(|entry| (entry["name"].to_string(), entry["value"].clone())).collect()
}

#[test]
fn a_form_field_that_both_changed_is_held_and_the_others_go_on() {
    let till = till_with(json!({"form_fields": forms(&[("colour", "red"), ("size", "M")]), "phone": "0"}));
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"green"},{"name":"size","value":"L"}]"#);
    till.set(ANA, "phone", "1");
    till.office(ANA, json!({"form_fields": forms(&[("colour", "blue"), ("size", "M")])}));
    let report = sync(&till);
    assert_eq!((report.requests.put, report.uploaded_fields, report.conflicts), (1, 2, 1));
    check_open(&till, [("form_fields.colour", json!("red"), json!("green"), json!("blue"))]);
    check_sides(
        &till,
        "form_fields",
        forms(&[("colour", "green"), ("size", "L")]),
        forms(&[("colour", "blue"), ("size", "L")]),
    );
    check_sides(&till, "phone", json!("1"), json!("1"));
    assert_eq!(till.outcomes(ANA, "form_fields"), ["held"]);
    assert_eq!(sync(&till).requests.put, 0);
    resolve(&till, "form_fields.colour", Keep::Local);
    sync(&till);
    check_agreed(&till, "form_fields", forms(&[("colour", "green"), ("size", "L")]));
}

/// Ana's colour is held: red before, green in the till, blue in the store.
fn held_colour() -> Till {
    let till = till_with(json!({"form_fields": forms(&[("colour", "red"), ("size", "M")])}));
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"green"},{"name":"size","value":"M"}]"#);
    till.office(ANA, json!({"form_fields": forms(&[("colour", "blue"), ("size", "M")])}));
    sync(&till);
    check_open(&till, [("form_fields.colour", json!("red"), json!("green"), json!("blue"))]);
    till
}

#[test]
fn a_held_form_field_follows_a_second_remote_change() {
    let till = held_colour();
    till.office(ANA, json!({"form_fields": forms(&[("colour", "black"), ("size", "S")])}));
    sync(&till);
    check_open(&till, [("form_fields.colour", json!("red"), json!("green"), json!("black"))]);
    resolve(&till, "form_fields.colour", Keep::Remote);
    sync(&till);
    check_agreed(&till, "form_fields", forms(&[("colour", "black"), ("size", "S")]));
    assert_eq!(till.outcomes(ANA, "form_fields"), ["remote"]);
}

/// As the person saw it: what the last list left out is not gone.
#[test]
fn a_held_form_field_is_decided_where_the_store_does_not_tell_any() {
    let sides = |till: &Till| (till.local(ANA, "form_fields"), till.remote_value(ANA, "form_fields"));
    for (keep, colour) in [
        (Some(Keep::Remote), "blue"),
        (Some(Keep::Local), "green"),
        (Some(Keep::Value("white".into())), "white"),
        (None, "blue"),
    ] {
        let till = held_colour();
        behave(&till, Behaviours { untold: Untold::FormFieldsInLists, ..Behaviours::default() });
        till.office(ANA, json!({"company": "New"}));
        sync(&till);
        check_open(&till, [("form_fields.colour", json!("red"), json!("green"), json!("blue"))]);
        match keep {
            Some(keep) => resolve(&till, "form_fields.colour", keep),
            None => _ = till.store().discard(ANA, Some("form_fields.colour"), None).unwrap(),
        }
        let whole = by_name(forms(&[("colour", colour), ("size", "M")]).to_string());
        assert_eq!(by_name(sides(&till).0), whole);
        sync(&till);
        sync(&till);
        assert_eq!((by_name(sides(&till).0), by_name(sides(&till).1)), (whole.clone(), whole));
        let status = till.store().status().unwrap();
        assert_eq!((status.conflicts, status.pending_fields), (0, 0));
    }
}

#[test]
fn a_held_form_field_is_released_when_the_store_takes_its_change_back() {
    let till = held_colour();
    till.minute_passes();
    till.office(ANA, json!({"form_fields": forms(&[("colour", "red"), ("size", "M")])}));
    sync(&till);
    check_agreed(&till, "form_fields", forms(&[("colour", "green"), ("size", "M")]));
}

#[test]
fn a_held_form_field_that_is_edited_shows_its_new_value() {
    let till = held_colour();
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"pink"},{"name":"size","value":"XL"}]"#);
    sync(&till);
    check_open(&till, [("form_fields.colour", json!("red"), json!("pink"), json!("blue"))]);
    check_sides(
        &till,
        "form_fields",
        forms(&[("colour", "pink"), ("size", "XL")]),
        forms(&[("colour", "blue"), ("size", "XL")]),
    );
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"blue"},{"name":"size","value":"XL"}]"#);
    sync(&till);
    check_agreed(&till, "form_fields", forms(&[("colour", "blue"), ("size", "XL")]));
}

#[test]
fn a_form_field_may_be_given_a_third_value() {
    let till = held_colour();
    resolve(&till, "form_fields.colour", Keep::Value("white".into()));
    sync(&till);
    check_agreed(&till, "form_fields", forms(&[("colour", "white"), ("size", "M")]));
}

#[test]
fn a_form_field_that_the_store_keeps_comes_back_beside_a_held_one() {
    let till = till_with(json!({"form_fields": forms(&[("colour", "red"), ("shoe", "41"), ("size", "M")])}));
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"green"},{"name":"size","value":"L"}]"#);
    till.office(ANA, json!({"form_fields": forms(&[("colour", "blue"), ("shoe", "41"), ("size", "M")])}));
    sync(&till);
    sync(&till);
    check_sides(
        &till,
        "form_fields",
        forms(&[("colour", "green"), ("shoe", "41"), ("size", "L")]),
        forms(&[("colour", "blue"), ("shoe", "41"), ("size", "L")]),
    );
    assert_eq!(sync(&till).requests.put, 0);
}

#[test]
fn notes_merge_line_by_line() {
    let till = till_with(json!({"notes": "tall\n\nring twice\n\nmember since 2019"}));
    till.set(ANA, "notes", "very tall\n\nring twice\n\nmember since 2019");
    till.office(ANA, json!({"notes": "tall\n\nring twice\n\nmember since 2018"}));
    sync(&till);
    check_agreed(&till, "notes", json!("very tall\n\nring twice\n\nmember since 2018"));
}

#[test]
fn notes_of_which_both_changed_a_line_are_held() {
    let till = till_with(json!({"notes": "tall\nring twice"}));
    till.set(ANA, "notes", "short\nring twice");
    till.office(ANA, json!({"notes": "huge\nring twice"}));
    sync(&till);
    check_open(
        &till,
        [("notes", json!("tall\nring twice"), json!("short\nring twice"), json!("huge\nring twice"))],
    );
    check_sides(&till, "notes", json!("short\nring twice"), json!("huge\nring twice"));
}

// ---- what a policy decides ---------------------------------------------------------------------------------------

#[test]
fn by_default_a_contested_attribute_is_held_and_never_stops_the_others() {
    let till = contested(Policies::default());
    till.set(ANA, "company", "New");
    let report = sync(&till);
    assert_eq!(till.puts(), [r#"[{"id":2,"company":"New"}]"#]);
    assert_eq!(report.conflicts, 1);
    check_open(&till, [("phone", json!("0"), json!("1"), json!("2"))]);
    check_sides(&till, "phone", json!("1"), json!("2"));
    assert_eq!(till.outcomes(ANA, "phone"), ["held"]);
    assert_eq!(till.outcomes(ANA, "company"), ["uploaded"]);
    assert_eq!(sync(&till).requests.put, 0);
}

#[test]
fn the_policy_local_sends_the_tills_value() {
    let till = contested(Policies::all(Policy::Local));
    sync(&till);
    check_agreed(&till, "phone", json!("1"));
    assert_eq!(till.outcomes(ANA, "phone"), ["uploaded"]);
}

#[test]
fn the_policy_remote_keeps_the_stores_value() {
    let till = contested(Policies::all(Policy::Remote));
    assert_eq!(sync(&till).requests.put, 0);
    check_agreed(&till, "phone", json!("2"));
    assert_eq!(till.outcomes(ANA, "phone"), ["remote"]);
}

#[test]
fn the_policy_remote_keeps_the_stores_form_field() {
    let mut till = till_with(json!({"form_fields": forms(&[("colour", "red")])}));
    till.options.policies = Policies::all(Policy::Remote);
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"green"}]"#);
    till.office(ANA, json!({"form_fields": forms(&[("colour", "blue")])}));
    sync(&till);
    check_agreed(&till, "form_fields", forms(&[("colour", "blue")]));
    assert_eq!(till.outcomes(ANA, "form_fields"), ["remote"]);
}

#[test]
fn each_attribute_may_have_a_policy_of_its_own() {
    let mut till = till_with(json!({"phone": "0", "company": "0", "first_name": "0"}));
    till.options.policies = Policies {
        fields: [(field("phone"), Policy::Local), (field("company"), Policy::Remote)].into(),
        ..Policies::all(Policy::Hold)
    };
    for name in ["phone", "company", "first_name"] {
        till.set(ANA, name, "1");
        till.office(ANA, json!({name: "2"}));
    }
    sync(&till);
    check_sides(&till, "phone", json!("1"), json!("1"));
    check_sides(&till, "company", json!("2"), json!("2"));
    check_open(&till, [("first_name", json!("0"), json!("1"), json!("2"))]);
}

/// `latest`, with a till's clock that is so far behind the server's; the store's change is made so long after the
/// till's. Returns who won.
fn latest(server_ahead: TimeDelta, office_after: TimeDelta, is_set_after_the_pull: bool) -> Json {
    let mut till = Till::new(sandbox(5));
    let office = |till: &Till, after, record: &str| {
        till.sandbox.with_core(|core| core.edit_text(Utc::now() + after, ANA as i32, record)).unwrap();
    };
    office(&till, TimeDelta::minutes(-5), r#"{"phone":"0"}"#);
    till.options.overlap = Duration::from_secs(600);
    till.options.policies = Policies::all(Policy::Latest);
    if !is_set_after_the_pull {
        till.sandbox.set_clock_offset(server_ahead);
    }
    till.engine().pull(Extent::Changes).unwrap();
    till.sandbox.set_clock_offset(server_ahead);
    till.set(ANA, "phone", "1");
    office(&till, office_after, r#"{"phone":"2"}"#);
    sync(&till);
    assert_eq!(till.local(ANA, "phone"), till.remote_value(ANA, "phone"));
    serde_json::from_str(&till.local(ANA, "phone")).unwrap()
}

#[test]
fn the_policy_latest_goes_by_the_servers_clock_however_wrong_the_tills_is() {
    let (before, after) = (TimeDelta::seconds(-20), TimeDelta::seconds(20));
    for hours in [-9, -1, 0, 1, 9] {
        let off = TimeDelta::hours(hours);
        assert_eq!(latest(off, before, false), json!("1"), "{hours} h: the till was later");
        assert_eq!(latest(off, after, false), json!("2"), "{hours} h: the store was later");
    }
}

#[test]
fn the_policy_latest_knows_that_a_clock_was_set_since_the_last_sync() {
    let (before, after) = (TimeDelta::seconds(-20), TimeDelta::seconds(20));
    assert_eq!(latest(TimeDelta::hours(9), before, true), json!("1"));
    assert_eq!(latest(TimeDelta::hours(9), after, true), json!("2"));
}

/// Joins both phones when the customer has a company in the store, else asks a person.
struct BothPhones;

impl Resolver for BothPhones {
    fn resolve(&self, contest: &Contest<'_>) -> Decision {
        let (Value::Text(local), Value::Text(remote)) = (contest.local, contest.remote) else {
            return Decision::Hold;
        };
        assert_eq!(contest.customer_id, CustomerId(ANA));
        assert_eq!(contest.row.get(field("last_name")), &contest.record.get(field("last_name")));
        match contest.record.get(field("company")) {
            Value::Text(company) if !company.is_empty() => {
                Decision::Value(Value::Text(format!("{local} / {remote}")))
            }
            _ => Decision::Hold,
        }
    }
}

fn own_resolver() -> Policies {
    Policies { resolver: Some(Arc::new(BothPhones)), ..Policies::all(Policy::Resolver) }
}

#[test]
fn an_app_decides_with_the_whole_customer_before_it() {
    let till = contested(own_resolver());
    sync(&till);
    check_agreed(&till, "phone", json!("1 / 2"));
    let till = contested(own_resolver());
    till.office(ANA, json!({"company": ""}));
    sync(&till);
    check_open(&till, [("phone", json!("0"), json!("1"), json!("2"))]);
}

// ---- while a field is held ---------------------------------------------------------------------------------------

/// Ana's phone is held: 0 before, 1 in the till, 2 in the store.
fn held() -> Till {
    let till = contested(Policies::default());
    sync(&till);
    check_open(&till, [("phone", json!("0"), json!("1"), json!("2"))]);
    till.sandbox.clear_requests();
    till
}

#[test]
fn a_second_remote_change_shows_in_the_conflict() {
    let till = held();
    till.office(ANA, json!({"phone": "3"}));
    sync(&till);
    check_open(&till, [("phone", json!("0"), json!("1"), json!("3"))]);
    resolve(&till, "phone", Keep::Remote);
    sync(&till);
    check_agreed(&till, "phone", json!("3"));
}

#[test]
fn a_remote_change_that_is_taken_back_releases_the_edit() {
    let till = held();
    till.minute_passes();
    till.office(ANA, json!({"phone": "0"}));
    sync(&till);
    check_agreed(&till, "phone", json!("1"));
    assert_eq!(till.outcomes(ANA, "phone"), ["uploaded"]);
}

#[test]
fn a_store_that_comes_to_the_tills_value_closes_the_conflict() {
    let till = held();
    till.office(ANA, json!({"phone": "1"}));
    assert_eq!(sync(&till).requests.put, 0);
    check_agreed(&till, "phone", json!("1"));
}

#[test]
fn a_till_that_comes_to_the_stores_value_closes_the_conflict() {
    let till = held();
    till.set(ANA, "phone", "2");
    assert_eq!(sync(&till).requests.put, 0);
    check_agreed(&till, "phone", json!("2"));
    assert_eq!(till.outcomes(ANA, "phone"), ["superseded", "unchanged"]);
}

#[test]
fn a_held_attribute_that_is_edited_stays_held_and_shows_its_new_value() {
    let till = held();
    till.set(ANA, "phone", "5");
    assert_eq!(sync(&till).requests.put, 0);
    check_open(&till, [("phone", json!("0"), json!("5"), json!("2"))]);
    assert_eq!(till.outcomes(ANA, "phone"), ["held", "held"]);
    resolve(&till, "phone", Keep::Local);
    sync(&till);
    check_agreed(&till, "phone", json!("5"));
}

/// The customer's only conflict.
fn card(till: &Till) -> tillsync::Conflict {
    let mut open = till.store().conflicts().unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0)
}

#[test]
fn what_is_set_while_it_is_held_shows_at_once_and_is_decided_with_it() {
    for (keep, decided) in [(Keep::Remote, "2"), (Keep::Local, "5"), (Keep::Value("7".into()), "7")] {
        let till = held();
        let older = card(&till);
        till.set(ANA, "phone", "5");
        let refused = till.store().resolve_seen(ANA, "phone", &keep, &older.stamp, None).unwrap_err();
        assert!(refused.is_usage(), "{refused}");
        assert!(refused.to_string().contains("here \"5\", in the store \"2\""), "{refused}");
        check_open(&till, [("phone", json!("0"), json!("5"), json!("2"))]);
        let shown = card(&till);
        sync(&till);
        assert_eq!(card(&till), shown, "a sync writes down what is shown");
        till.store().resolve_seen(ANA, "phone", &keep, &shown.stamp, Some("bo")).unwrap();
        sync(&till);
        check_agreed(&till, "phone", json!(decided));
    }
}

/// What was seen before a sync came by is decided after it.
#[test]
fn a_form_field_that_is_set_twice_while_it_is_held_is_shown_the_same_after_a_sync() {
    let till = held_colour();
    for colour in ["pink", "grey"] {
        till.set(ANA, "form_fields", &forms(&[("colour", colour), ("size", "M")]).to_string());
    }
    let shown = card(&till);
    sync(&till);
    assert_eq!(card(&till), shown);
    till.store().resolve_seen(ANA, "form_fields.colour", &Keep::Local, &shown.stamp, None).unwrap();
    sync(&till);
    check_agreed(&till, "form_fields", forms(&[("colour", "grey"), ("size", "M")]));
}

#[test]
fn a_form_field_that_is_set_while_it_is_held_shows_at_once_and_is_decided_with_it() {
    for (keep, decided) in [(Some(Keep::Remote), "blue"), (Some(Keep::Local), "pink"), (None, "blue")] {
        let till = held_colour();
        let older = card(&till);
        till.set(ANA, "form_fields", r#"[{"name":"colour","value":"pink"},{"name":"size","value":"XL"}]"#);
        let decide = |stamp: &str| match &keep {
            Some(keep) => till.store().resolve_seen(ANA, "form_fields.colour", keep, stamp, None),
            None => till.store().discard_seen(ANA, "form_fields.colour", stamp, None),
        };
        assert!(decide(&older.stamp).unwrap_err().to_string().contains("pink"));
        check_open(&till, [("form_fields.colour", json!("red"), json!("pink"), json!("blue"))]);
        decide(&card(&till).stamp).unwrap();
        // The other entry of that edit was no part of it.
        sync(&till);
        check_agreed(&till, "form_fields", forms(&[("colour", decided), ("size", "XL")]));
    }
}

#[test]
fn an_edit_of_another_form_field_is_no_news_of_a_held_one() {
    let till = held_colour();
    let shown = card(&till);
    till.set(ANA, "form_fields", r#"[{"name":"colour","value":"green"},{"name":"size","value":"XL"}]"#);
    assert_eq!(card(&till), shown);
}

// ---- what a person decides ---------------------------------------------------------------------------------------

/// It is what became of that edit: a person at the till has only said that it is meant.
#[test]
fn an_edit_that_was_decided_for_has_the_fate_of_what_was_decided() {
    for keep in [Keep::Local, Keep::Value("3".into()), Keep::Remote] {
        let till = till_with(json!({"phone": "0"}));
        let receipt = till.store().edit(ANA).set("phone", "1").commit().unwrap();
        till.office(ANA, json!({"phone": "2"}));
        sync(&till);
        let fate = || till.store().fate(&receipt).unwrap();
        assert!(matches!(fate(), Fate::InConflict { .. }));
        resolve(&till, "phone", keep.clone());
        if keep == Keep::Remote {
            assert_eq!(fate(), Fate::GivenUp);
            continue;
        }
        assert_eq!(fate(), Fate::Pending, "{keep:?}");
        // The office was quicker once more.
        till.office(ANA, json!({"phone": "4"}));
        sync(&till);
        assert!(matches!(fate(), Fate::InConflict { .. }), "{keep:?}");
        resolve(&till, "phone", keep.clone());
        assert_eq!(fate(), Fate::Pending, "{keep:?}");
        sync(&till);
        assert!(matches!(fate(), Fate::Uploaded { .. }), "{keep:?}");
        till.set(ANA, "phone", "5");
        assert!(matches!(fate(), Fate::Uploaded { .. }), "{keep:?}: a later edit is another one");
    }
}

#[test]
fn resolving_for_the_till_sends_its_value() {
    let till = held();
    resolve(&till, "phone", Keep::Local);
    assert_eq!(till.outcomes(ANA, "phone"), ["superseded", "pending"]);
    sync(&till);
    check_agreed(&till, "phone", json!("1"));
    let journal = till.store().journal(Some(CustomerId(ANA))).unwrap();
    let decision = journal.last().unwrap();
    assert_eq!((decision.author.as_deref(), decision.label.as_deref()), (Some("bo"), Some("resolve")));
    assert_eq!((decision.value.as_str(), decision.was.as_str()), (r#""1""#, r#""2""#));
}

#[test]
fn resolving_for_the_store_takes_its_value() {
    let till = held();
    resolve(&till, "phone", Keep::Remote);
    assert_eq!(till.local(ANA, "phone"), r#""2""#);
    assert_eq!(till.outcomes(ANA, "phone"), ["remote"]);
    assert_eq!(sync(&till).requests.put, 0);
    check_agreed(&till, "phone", json!("2"));
}

#[test]
fn resolving_with_a_third_value_sends_that() {
    let till = held();
    resolve(&till, "phone", Keep::Value("3".into()));
    sync(&till);
    check_agreed(&till, "phone", json!("3"));
}

#[test]
fn resolving_what_is_no_conflict_or_no_value_is_refused_and_changes_nothing() {
    let till = held();
    let too_long = Keep::Value("5".repeat(51));
    let error = till.store().resolve(ANA, "phone", &too_long, None).unwrap_err();
    assert!(error.to_string().contains("51 characters"), "{error}");
    for name in ["company", "nonsense", "form_fields.colour", "*"] {
        let error = till.store().resolve(ANA, name, &Keep::Local, None).unwrap_err();
        let named = if name == "*" { "customer 2: there is no" } else { name };
        assert!(error.is_usage() && error.to_string().contains(named), "{error}");
    }
    check_open(&till, [("phone", json!("0"), json!("1"), json!("2"))]);
}

#[test]
fn a_decision_of_a_policy_is_in_the_journal_with_both_values_and_can_be_undone() {
    let till = contested(Policies::all(Policy::Remote));
    sync(&till);
    let journal = till.store().journal(Some(CustomerId(ANA))).unwrap();
    let decision = &journal[0].decisions[0];
    assert_eq!((decision.local.as_str(), decision.remote.as_str()), (r#""1""#, r#""2""#));
    assert_eq!((decision.policy.as_str(), decision.resolution.as_deref()), ("remote", Some("remote")));
    let no_conflict = till.store().resolve(ANA, "phone", &Keep::Local, None).unwrap_err();
    assert!(no_conflict.is_usage() && no_conflict.to_string().contains("undo 1"), "{no_conflict}");
    undo(&till, decision.id);
    sync(&till);
    check_agreed(&till, "phone", json!("1"));
    let again = till.store().undo(decision.id, None).unwrap_err();
    assert!(again.is_usage(), "{again}");
}

#[test]
fn a_merge_is_in_the_journal_with_both_values_and_can_be_undone() {
    let till = till_with(json!({"channel_ids": [1, 2]}));
    till.set(ANA, "channel_ids", "[1,2,3]");
    till.office(ANA, json!({"channel_ids": [1]}));
    sync(&till);
    let journal = till.store().journal(Some(CustomerId(ANA))).unwrap();
    let decision = &journal[0].decisions[0];
    assert_eq!((decision.local.as_str(), decision.remote.as_str()), ("[1,2,3]", "[1]"));
    assert_eq!((decision.policy.as_str(), decision.resolution.as_deref()), ("merge", Some("merged")));
    check_sides(&till, "channel_ids", json!([1, 3]), json!([1, 3]));
    undo(&till, decision.id);
    sync(&till);
    check_agreed(&till, "channel_ids", json!([1]));
}

#[test]
fn a_person_decides_while_a_sync_runs() {
    let till = held();
    till.set(3, "company", "On its way");
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 2_000 }]);
    let mut engine = till.engine();
    let running = std::thread::spawn(move || engine.sync().unwrap());
    soon(|| till.outcomes(3, "company") == ["in_flight"]);
    resolve(&till, "phone", Keep::Local);
    assert_eq!(till.outcomes(ANA, "phone"), ["superseded", "pending"]);
    assert_eq!(running.join().unwrap().conflicts, 0);
    check_sides(&till, "phone", json!("1"), json!("2"));
    sync(&till);
    check_agreed(&till, "phone", json!("1"));
}

#[test]
fn an_edit_that_is_on_its_way_is_neither_resolved_nor_discarded() {
    let till = contested(Policies::all(Policy::Local));
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 2_000 }]);
    let mut engine = till.engine();
    let running = std::thread::spawn(move || engine.sync().unwrap());
    soon(|| till.outcomes(ANA, "phone") == ["in_flight"]);
    let mut store = till.store();
    for error in [
        store.undo(1, None).unwrap_err(),
        store.discard(ANA, Some("phone"), None).unwrap_err(),
        store.discard(ANA, None, None).unwrap_err(),
    ] {
        assert!(error.is_usage() && error.to_string().contains("phone: its edit is on its way"), "{error}");
    }
    running.join().unwrap();
    check_agreed(&till, "phone", json!("1"));
}

#[test]
fn discarding_a_held_edit_takes_the_stores_value() {
    let till = held();
    assert_eq!(till.store().discard(ANA, Some("phone"), Some("bo")).unwrap(), 1);
    assert_eq!(till.outcomes(ANA, "phone"), ["discarded"]);
    check_agreed(&till, "phone", json!("2"));
}

// ---- deleted remotely --------------------------------------------------------------------------------------------

#[test]
fn a_customer_that_is_deleted_remotely_with_edits_waits_for_a_person() {
    let till = till_with(json!({"phone": "0"}));
    till.set(ANA, "phone", "1");
    till.sandbox.delete(ANA as i32);
    let report = till.engine().pull(Extent::Full).unwrap();
    assert_eq!((report.deleted, report.conflicts), (1, 1));
    check_deleted(&till, json!({"phone": "1"}));
    // What is edited now waits with it, and shows.
    till.set(ANA, "company", "Late");
    assert_eq!(sync(&till).requests.put, 0);
    check_deleted(&till, json!({"phone": "1", "company": "Late"}));
    let error = till.store().resolve(ANA, "*", &Keep::Local, None).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("discard"), "{error}");
    assert_eq!(till.store().discard(ANA, None, Some("bo")).unwrap(), 2);
    assert_eq!(till.outcomes(ANA, "phone"), ["discarded"]);
    assert_eq!(till.store().get(ANA).unwrap(), None);
    check_open(&till, []);
    assert_eq!(till.engine().pull(Extent::Full).unwrap().deleted, 0);
}

#[track_caller]
fn check_deleted(till: &Till, edits: Json) {
    let open = open(till);
    assert_eq!(open.len(), 1);
    let (field, base, local, remote) = &open[0];
    assert_eq!((field.as_str(), local, remote), ("*", &edits, &Json::Null));
    assert_eq!(base["id"], json!(ANA));
    assert!(till.outcomes(ANA, "phone").iter().all(|outcome| outcome == "held"));
}

#[test]
fn an_upload_finds_that_a_customer_was_deleted_and_the_others_land() {
    let till = till_with(json!({"phone": "0"}));
    till.set(ANA, "phone", "1");
    till.set(3, "phone", "3");
    till.sandbox.delete(ANA as i32);
    let report = sync(&till);
    assert_eq!((report.conflicts, report.rejected, report.uploaded_customers), (1, 0, 1));
    check_deleted(&till, json!({"phone": "1"}));
    assert_eq!(till.remote_value(3, "phone"), r#""3""#);
}

#[test]
fn a_held_attribute_of_a_customer_that_is_deleted_waits_with_the_whole() {
    let till = held();
    till.sandbox.delete(ANA as i32);
    till.engine().pull(Extent::Full).unwrap();
    check_deleted(&till, json!({"phone": "1"}));
}

#[test]
fn a_customer_that_is_deleted_remotely_without_edits_is_gone() {
    let till = till_with(json!({"phone": "0"}));
    till.sandbox.delete(ANA as i32);
    let report = till.engine().pull(Extent::Full).unwrap();
    assert_eq!((report.deleted, report.conflicts), (1, 0));
    assert_eq!(till.store().get(ANA).unwrap(), None);
    assert_eq!(till.store().snapshot(ANA).unwrap(), None);
}

#[test]
fn a_customer_that_comes_back_goes_on_where_it_was() {
    let till = till_with(json!({"phone": "0", "company": "Old"}));
    let whole = till.sandbox.customer_text(ANA as i32).unwrap();
    till.set(ANA, "phone", "1");
    till.set(ANA, "company", "New");
    till.sandbox.delete(ANA as i32);
    till.engine().pull(Extent::Full).unwrap();
    till.sandbox.add(&whole).unwrap();
    till.office(ANA, json!({"company": "Other"}));
    sync(&till);
    check_sides(&till, "phone", json!("1"), json!("1"));
    check_open(&till, [("company", json!("Old"), json!("New"), json!("Other"))]);
}

/// Both sides changed it before, and nobody has decided since.
#[test]
fn a_conflict_of_a_customer_that_comes_back_is_asked_about_again() {
    let till = held();
    let whole = till.sandbox.customer_text(ANA as i32).unwrap();
    till.sandbox.delete(ANA as i32);
    till.engine().pull(Extent::Full).unwrap();
    check_deleted(&till, json!({"phone": "1"}));
    till.sandbox.add(&whole).unwrap();
    sync(&till);
    check_sides(&till, "phone", json!("1"), json!("2"));
    check_open(&till, [("phone", json!("0"), json!("1"), json!("2"))]);
    // A form field likewise.
    let till = held_colour();
    let whole = till.sandbox.customer_text(ANA as i32).unwrap();
    till.sandbox.delete(ANA as i32);
    till.engine().pull(Extent::Full).unwrap();
    till.sandbox.add(&whole).unwrap();
    sync(&till);
    check_open(&till, [("form_fields.colour", json!("red"), json!("green"), json!("blue"))]);
    resolve(&till, "form_fields.colour", Keep::Remote);
    sync(&till);
    check_agreed(&till, "form_fields", forms(&[("colour", "blue"), ("size", "M")]));
}

// ---- what comes back ---------------------------------------------------------------------------------------------

fn behave(till: &Till, behaviours: Behaviours) {
    till.sandbox.set_behaviours(behaviours);
}

#[test]
fn own_uploads_that_come_back_are_no_change() {
    for response in [ResponseAttributes::Usual, ResponseAttributes::Everything, ResponseAttributes::Minimal] {
        let till = till_with(json!({"phone": "0", "form_fields": []}));
        behave(&till, Behaviours { response, ..Behaviours::default() });
        till.set(ANA, "phone", "1");
        till.set(ANA, "form_fields", r#"[{"name":"size","value":"L"},{"name":"colour","value":"red"}]"#);
        till.set(ANA, "store_credit_amounts", r#"[{"amount":12.50}]"#);
        till.set(ANA, "channel_ids", "[3,1]");
        sync(&till);
        let again = sync(&till);
        assert_eq!((again.pulled, again.conflicts, again.requests.put), (0, 0, 0), "{response:?}");
    }
}

#[test]
fn what_the_store_tidies_is_taken_over_and_does_not_come_back() {
    let till = till_with(json!({"phone": "0"}));
    behave(&till, Behaviours { tidying: Tidying::USUAL, ..Behaviours::default() });
    till.set(ANA, "email", "Ana@Example.COM");
    till.set(ANA, "phone", " 1 ");
    sync(&till);
    check_agreed(&till, "phone", json!("1"));
    check_agreed(&till, "email", json!("ana@example.com"));
    assert_eq!(till.outcomes(ANA, "phone"), ["uploaded"]);
}

#[test]
fn what_was_edited_meanwhile_is_not_tidied_away() {
    let till = till_with(json!({"phone": "0"}));
    behave(&till, Behaviours { tidying: Tidying::USUAL, ..Behaviours::default() });
    till.set(ANA, "phone", " 1 ");
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 2_000 }]);
    let mut engine = till.engine();
    let running = std::thread::spawn(move || engine.sync().unwrap());
    soon(|| till.outcomes(ANA, "phone") == ["in_flight"]);
    till.set(ANA, "phone", " 2 ");
    running.join().unwrap();
    check_sides(&till, "phone", json!(" 2 "), json!("1"));
    assert_eq!(till.outcomes(ANA, "phone"), ["uploaded", "pending"]);
    sync(&till);
    check_agreed(&till, "phone", json!("2"));
}

/// The back office edits Ana once the pull is over, before the upload.
fn sync_with_a_change_after_the_pull(till: &Till, attributes: Json) -> SyncReport {
    let sandbox = till.sandbox.clone();
    let mut engine = till.engine().on_progress(move |progress| {
        if matches!(progress, Progress::Pulled { .. }) {
            assert!(sandbox.edit(ANA as i32, &attributes));
        }
    });
    engine.sync().unwrap()
}

#[test]
fn the_answer_to_an_update_shows_a_change_of_what_was_not_sent() {
    let till = till_with(json!({"phone": "0", "company": "Old"}));
    till.set(ANA, "phone", "1");
    let report = sync_with_a_change_after_the_pull(&till, json!({"company": "New"}));
    assert_eq!((report.requests.get, report.requests.put), (1, 1));
    check_sides(&till, "company", json!("New"), json!("New"));
    check_agreed(&till, "phone", json!("1"));
}

#[test]
fn an_answer_that_tells_everything_shows_form_fields_and_money_too() {
    let till = till_with(json!({"phone": "0", "store_credit_amounts": [{"amount": 1}], "form_fields": []}));
    behave(&till, Behaviours { response: ResponseAttributes::Everything, ..Behaviours::default() });
    till.set(ANA, "phone", "1");
    let change = json!({"form_fields": forms(&[("size", "L")]), "store_credit_amounts": [{"amount": 2.5}]});
    sync_with_a_change_after_the_pull(&till, change);
    check_sides(&till, "store_credit_amounts", json!([{"amount": 2.5}]), json!([{"amount": 2.5}]));
    check_agreed(&till, "form_fields", forms(&[("size", "L")]));
}

#[test]
fn an_answer_holds_what_was_edited_here_meanwhile() {
    let till = Arc::new(till_with(json!({"phone": "0", "company": "Old"})));
    till.set(ANA, "phone", "1");
    till.sandbox.script_updates([Fault::DelayedAnswer { ms: 2_000 }]);
    let syncing = till.clone();
    let running =
        std::thread::spawn(move || sync_with_a_change_after_the_pull(&syncing, json!({"company": "Theirs"})));
    soon(|| till.outcomes(ANA, "phone") == ["in_flight"]);
    till.set(ANA, "company", "Mine");
    let report = running.join().unwrap();
    assert_eq!((report.requests.get, report.requests.put, report.conflicts), (1, 1, 1));
    check_open(&till, [("company", json!("Old"), json!("Mine"), json!("Theirs"))]);
    check_sides(&till, "phone", json!("1"), json!("1"));
}

// ---- the window between pull and push ----------------------------------------------------------------------------

#[test]
fn a_long_upload_looks_again_beside_its_updates_and_honours_what_changed() {
    let mut till = till(400);
    till.sandbox.set_latency_ms(60);
    // Any look serves for two seconds; the upload takes four, and more on a slow disk.
    till.options.upload.fresh_ms = 0;
    till.options.upload.concurrency = 1;
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    ids.iter().for_each(|id| till.set(*id, "phone", "till"));
    let last = *ids.last().unwrap();
    let (sandbox, mut is_edited) = (till.sandbox.clone(), false);
    let mut engine = till.engine().on_progress(move |progress| {
        if matches!(progress, Progress::Uploaded { .. }) && !std::mem::replace(&mut is_edited, true) {
            assert!(sandbox.edit(last as i32, json!({"phone": "office"})));
        }
    });
    let report = engine.sync().unwrap();
    assert!((4..40).contains(&report.looks), "not one for each update: {report:?}");
    assert_eq!((report.uploaded_customers, report.conflicts, report.requests.put), (399, 1, 40));
    assert_eq!(till.remote_value(last, "phone"), r#""office""#);
    assert_eq!(till.outcomes(last, "phone"), ["held"]);
    till.assert_no_violations();
}

#[test]
fn a_push_looks_at_those_it_sends_only_when_their_base_is_old() {
    let till = till_with(json!({"phone": "0"}));
    let mut engine = till.engine();
    let pull = engine.pull(Extent::Changes).unwrap().requests.get;
    till.set(ANA, "company", "New");
    assert_eq!((pull, engine.push().unwrap().requests.get), (1, 0), "it pulled just now");
    till.set(ANA, "phone", "1");
    till.office(ANA, json!({"phone": "2"}));
    let report = till.engine().push().unwrap();
    assert_eq!((report.requests.get, report.requests.put, report.looks, report.conflicts), (1, 0, 1, 1));
    check_open(&till, [("phone", json!("0"), json!("1"), json!("2"))]);
}

#[test]
fn every_decision_names_who_and_when() {
    let till = held();
    let conflict = till.store().conflicts().unwrap().remove(0);
    assert_eq!(conflict.author, None);
    assert!(conflict.detected_at.ends_with('Z'), "{}", conflict.detected_at);
    resolve(&till, "phone", Keep::Remote);
    let connection = rusqlite::Connection::open(&till.path).unwrap();
    let row: (String, String, bool) = connection
        .query_row("SELECT resolution, resolved_by, resolved_at >= detected_at FROM conflict", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(row, ("remote".into(), "bo".into(), true));
    assert_eq!(till.store().journal(None).unwrap()[0].outcome, Some(Outcome::Remote));
}

/// The table of cases and the tests name each other.
#[test]
fn every_case_in_the_docs_is_a_test_and_every_test_is_in_the_docs() {
    let (docs, tests) = (include_str!("../docs/conflicts.md"), include_str!("conflicts.rs"));
    let odd = [
        include_str!("odd_pulls.rs"),
        include_str!("odd_money.rs"),
        include_str!("odd_merges.rs"),
        include_str!("odd_yes.rs"),
        include_str!("odd_uploads.rs"),
        include_str!("held_up_answers.rs"),
        include_str!("addresses.rs"),
        include_str!("odd_walk_ins.rs"),
        include_str!("deletions.rs"),
    ];
    let named = docs.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 3);
    let is_there =
        |name: &&str| odd.iter().chain(&[tests]).any(|file| file.contains(&format!("fn {name}()")));
    let missing: Vec<&str> = named.filter(|name| !is_there(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    let all = tests.split("#[test]\nfn ").skip(1).filter_map(|test| test.split('(').next());
    let silent: Vec<&str> = all.filter(|name| !docs.contains(name) && !name.contains("the_docs")).collect();
    assert_eq!(silent, Vec::<&str>::new());
}
