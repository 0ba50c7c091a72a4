//! Merges where the store answers oddly: what it tidied is no change of anybody's, and no line, entry or channel is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use common::odd::{Kind, Odd, Told};
use common::{Till, till};
use serde_json::{Value as Json, json};
use tillsync::sandbox::{Behaviours, ResponseAttributes, Tidying, Undated};
use tillsync::{Extent, Keep, Outcome, Policies, Policy, Store, SyncReport};

/// The customer that both sides change.
const ANA: i64 = 2;

/// A till and a store in which Ana is as `attributes` say, since an hour.
fn till_with(attributes: Json) -> Till {
    let mut till = till(3);
    let retry = &mut till.options.upload.retry;
    (retry.read_base_ms, retry.write_base_ms) = (10, 10);
    till.options.upload.grace_ms = 0;
    edit_at(&till, -3_600, &attributes);
    till.engine().pull(Extent::Full).unwrap();
    till.sandbox.clear_requests();
    till
}

/// The office edits so many seconds from now.
fn edit_at(till: &Till, seconds: i64, attributes: &Json) {
    let at = Utc::now() + TimeDelta::seconds(seconds);
    till.sandbox.with_core(|core| core.edit_text(at, ANA as i32, &attributes.to_string())).unwrap();
}

fn sync(till: &Till) -> SyncReport {
    till.engine().sync().unwrap()
}

#[track_caller]
fn check(till: &Till, field: &str, wanted: Json) {
    let sides = [till.local(ANA, field), till.remote_value(ANA, field)];
    let sides = sides.map(|json| serde_json::from_str::<Json>(&json).unwrap());
    assert_eq!(sides, [wanted.clone(), wanted], "{field}: in the till, in the store");
    assert_eq!(sync(till).requests.put, 0, "a second sync had something to send");
}

/// What waits for a person.
fn open(till: &Till) -> Vec<String> {
    till.store().conflicts().unwrap().into_iter().map(|conflict| conflict.field).collect()
}

/// The first update lands, and its answer is lost.
fn lost(till: &Till) -> (Odd, Till) {
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, Told::drop);
    let through = till.through(&odd);
    (odd, through)
}

// ---- what the store tidied ---------------------------------------------------------------------------------------

const EVERYTHING: Tidying = Tidying {
    blanks: true,
    case: true,
    crlf: true,
    numbers: true,
    order: true,
    zero_group: true,
    empty: true,
    nfc: true,
    ..Tidying::NONE
};

#[test]
fn an_update_that_the_store_tidied_is_known_again_when_its_answer_is_lost() {
    let till = till_with(json!({"customer_group_id": 3, "company": "Old", "channel_ids": [1]}));
    till.sandbox.set_behaviours(Behaviours { tidying: EVERYTHING, ..Behaviours::default() });
    let edits = [
        ("email", " Ana.Lima@Example.COM"),
        ("phone", " 555 1 "),
        ("first_name", "Zoe\u{308}"),
        ("notes", "tall\nring twice"),
        ("company", ""),
        ("customer_group_id", "0"),
        ("channel_ids", "[5,1,3]"),
        ("form_fields", r#"[{"name":"size","value":43},{"name":"likes","value":["tea","cake"]}]"#),
        ("tax_exempt_category", "B "),
    ];
    let mut store = till.store();
    let all = edits.iter().fold(store.edit(ANA), |edit, (field, value)| edit.set(field, value));
    all.commit().unwrap();
    let (odd, through) = lost(&till);
    let report = sync(&through);
    assert_eq!((open(&till), report.rejected, odd.count(Kind::Put)), (vec![], 0, 1));
    for (field, _) in edits {
        assert_eq!(till.outcomes(ANA, field), ["uploaded"], "{field}");
        assert_eq!(till.local(ANA, "email"), till.remote_value(ANA, "email"), "{field}");
    }
    assert_eq!(sync(&till).requests.put, 0);
}

#[test]
fn an_edit_made_over_a_tidied_answer_is_no_conflict_with_it() {
    let till = till_with(json!({"notes": "tall"}));
    till.sandbox.set_behaviours(Behaviours { tidying: EVERYTHING, ..Behaviours::default() });
    let late = till.clone();
    let odd = Odd::before(&till.sandbox)
        .nth(Kind::Put, 1, move |_| late.set(ANA, "notes", "tall\nring twice\nleft the door open"));
    till.set(ANA, "notes", "tall\nring twice");
    sync(&till.through(&odd));
    sync(&till);
    check(&till, "notes", json!("tall\r\nring twice\r\nleft the door open"));
    assert_eq!(till.outcomes(ANA, "notes"), ["uploaded", "uploaded"]);
}

#[test]
fn what_landed_among_changes_of_others_is_not_sent_again() {
    for (field, base, ours, theirs) in [
        ("notes", json!("a"), json!("a\nours"), json!("a\nours\ntheirs")),
        ("channel_ids", json!([1]), json!([1, 2]), json!([1, 2, 3])),
    ] {
        let till = till_with(json!({ field: base }));
        let (store, change) = (Arc::clone(&till.sandbox), json!({ field: theirs }));
        let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
            told.drop();
            assert!(store.edit(ANA as i32, change.clone()));
        });
        let text = ours.as_str().map_or_else(|| ours.to_string(), str::to_owned);
        till.set(ANA, field, &text);
        sync(&till.through(&odd));
        check(&till, field, theirs);
        assert_eq!((till.outcomes(ANA, field), till.puts().len()), (vec!["uploaded".to_owned()], 1));
    }
}

#[test]
fn what_an_answer_shows_beside_what_was_sent_is_a_change_of_somebody_elses() {
    let till = till_with(json!({"notes": "A"}));
    let (late, store) = (till.clone(), Arc::clone(&till.sandbox));
    // A line is added here while the update is on its way, and another one there.
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        late.set(ANA, "notes", "A!\nB");
        assert!(store.edit(ANA as i32, json!({"notes": "A!\nC"})));
        told.customer(ANA, |ana| ana["notes"] = json!("A!\nC"));
    });
    till.set(ANA, "notes", "A!");
    sync(&till.through(&odd));
    sync(&till);
    check(&till, "notes", json!("A!\nC\nB"));
}

#[test]
fn a_phone_edited_over_a_third_value_is_held() {
    let till = till_with(json!({"phone": "0"}));
    let late = till.clone();
    let store = Arc::clone(&till.sandbox);
    let odd = Odd::before(&till.sandbox).nth(Kind::Put, 1, move |told| {
        late.set(ANA, "phone", "2");
        assert!(store.edit(ANA as i32, json!({"phone": "9"})));
        told.customer(ANA, |ana| ana["phone"] = json!("9"));
    });
    till.set(ANA, "phone", "1");
    sync(&till.through(&odd));
    sync(&till);
    assert_eq!(
        (open(&till), till.remote_value(ANA, "phone")),
        (vec!["phone".to_owned()], "\"9\"".to_owned())
    );
    assert_eq!(till.outcomes(ANA, "phone"), ["uploaded", "held"]);
}

#[test]
fn what_left_beside_a_payment_in_doubt_is_merged_by_its_own_rule() {
    let till = till_with(json!({"notes": "a", "store_credit_amounts": [{"amount": 10}]}));
    till.set(ANA, "notes", "a\nours");
    till.store().edit(ANA).adjust_credit(5.into()).commit().unwrap();
    let store = Arc::clone(&till.sandbox);
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        let is_it = asked.is_put() && asked.nth == 1;
        is_it.then(|| {
            assert!(store.edit(ANA as i32, json!({"notes": "theirs\na"})));
            Told::html(503)
        })
    });
    sync(&till.through(&odd));
    assert_eq!(open(&till), ["store_credit_amounts"]);
    assert_eq!(till.remote_value(ANA, "notes"), json!("theirs\na\nours").to_string());
}

#[test]
fn what_both_sides_spell_in_their_own_way_is_asked_of_nobody() {
    let till = till_with(json!({"first_name": "Ana"}));
    till.set(ANA, "first_name", "Zoe\u{308}");
    till.office(ANA, json!({"first_name": "Zo\u{eb}"}));
    sync(&till);
    assert_eq!(open(&till), Vec::<String>::new());
    check(&till, "first_name", json!("Zo\u{eb}"));
}

#[test]
fn what_is_held_and_means_the_same_by_now_is_asked_of_nobody() {
    let size = |size: Json| json!([{"name": "size", "value": size}]);
    let till = till_with(json!({"first_name": "Ana", "form_fields": size(json!("41"))}));
    till.set(ANA, "first_name", "Zoe\u{308}");
    till.set(ANA, "form_fields", &size(json!(43)).to_string());
    till.office(ANA, json!({"first_name": "Zora", "form_fields": size(json!("42"))}));
    sync(&till);
    assert_eq!(open(&till), ["first_name", "form_fields.size"]);
    till.office(ANA, json!({"first_name": "Zo\u{eb}", "form_fields": size(json!("43"))}));
    sync(&till);
    assert_eq!(open(&till), Vec::<String>::new());
    check(&till, "first_name", json!("Zo\u{eb}"));
    assert_eq!(till.local(ANA, "form_fields"), till.remote_value(ANA, "form_fields"));
}

#[test]
fn an_edit_that_was_taken_back_while_it_was_in_doubt_is_asked_of_nobody() {
    let till = till_with(json!({"phone": "1"}));
    let (store, path) = (Arc::clone(&till.sandbox), till.path.clone());
    let mut is_first = true;
    let odd = Odd::before(&till.sandbox).before_store(move |asked| {
        (asked.is_put() && std::mem::take(&mut is_first)).then(|| {
            // It is lost; the customer is changed meanwhile, and the edit is taken back.
            assert!(store.edit(ANA as i32, json!({"company": "New"})));
            Store::open(&path).unwrap().edit(ANA).set("phone", "1").commit().unwrap();
            Told::dropped()
        })
    });
    till.set(ANA, "phone", "555");
    sync(&till.through(&odd));
    assert_eq!(open(&till), Vec::<String>::new());
    check(&till, "phone", json!("1"));
}

// ---- notes ---------------------------------------------------------------------------------------------------------

#[test]
fn lines_that_both_add_at_the_end_are_both_kept_the_stores_first() {
    let till = till_with(json!({"notes": "tall"}));
    till.set(ANA, "notes", "tall\nours");
    till.office(ANA, json!({"notes": "tall\ntheirs"}));
    sync(&till);
    check(&till, "notes", json!("tall\ntheirs\nours"));
}

#[test]
fn an_editor_that_saves_crlf_and_changes_nothing_is_no_conflict() {
    let till = till_with(json!({"notes": "tall\nring twice"}));
    till.set(ANA, "notes", "very tall\nring twice");
    till.office(ANA, json!({"notes": "tall\r\nring twice"}));
    sync(&till);
    check(&till, "notes", json!("very tall\r\nring twice"));
    assert_eq!(till.store().journal(None).unwrap()[0].decisions, []);
}

#[test]
fn a_line_that_both_moved_is_held() {
    let till = till_with(json!({"notes": "a\nb\nc\nd\ne"}));
    till.set(ANA, "notes", "b\nc\nd\ne\na");
    till.office(ANA, json!({"notes": "b\nc\na\nd\ne"}));
    sync(&till);
    assert_eq!(open(&till), ["notes"]);
}

#[test]
fn half_of_a_surrogate_pair_stays_as_it_is() {
    let till = till_with(json!({"notes": "said HALF \"twice\" \\ once", "phone": "0"}));
    let odd = Odd::before(&till.sandbox).answer(|_, told| told.replace("HALF", "\\ud83d"));
    let through = till.through(&odd);
    through.engine().pull(Extent::Full).unwrap();
    assert_eq!(till.local(ANA, "notes"), json!("said \u{fffd} \"twice\" \\ once").to_string());
    till.set(ANA, "phone", "1");
    sync(&through);
    assert_eq!(till.puts(), [r#"[{"id":2,"phone":"1"}]"#], "it is not sent back");
    assert!(till.store().snapshot(ANA).unwrap().unwrap().body().contains(r"\ud83d"));
    till.set(ANA, "notes", "said \u{fffd} \"twice\" \\ once\nring twice");
    sync(&through);
    assert_eq!(
        till.remote_value(ANA, "notes"),
        json!("said \u{fffd} \"twice\" \\ once\nring twice").to_string()
    );
}

// ---- channels and form fields --------------------------------------------------------------------------------------

#[test]
fn channels_of_which_nothing_would_be_left_are_held() {
    let till = till_with(json!({"channel_ids": [1, 2]}));
    till.set(ANA, "channel_ids", "[1]");
    till.office(ANA, json!({"channel_ids": [2, 3]}));
    sync(&till);
    assert_eq!(open(&till), ["channel_ids"], "[3] was chosen by nobody");
}

fn forms(entries: &[(&str, &str)]) -> Json {
    entries.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn entry(json: &str, name: &str) -> Json {
    let entries: Vec<Json> = serde_json::from_str(json).unwrap();
    entries
        .into_iter()
        .find(|entry| entry["name"] == name)
        .map(|entry| entry["value"].clone())
        .unwrap_or_default()
}

#[test]
fn an_entry_is_dated_by_its_own_edits() {
    let mut till = till_with(json!({"form_fields": forms(&[("colour", "red"), ("size", "M")])}));
    till.options.policies = Policies::all(Policy::Latest);
    till.set(ANA, "form_fields", &forms(&[("colour", "green"), ("size", "M")]).to_string());
    // The store's change of the colour is later than the till's; then the till changes the size.
    edit_at(&till, 20, &json!({"form_fields": forms(&[("colour", "blue"), ("size", "M")])}));
    let sql = rusqlite::Connection::open(&till.path).unwrap();
    till.set(ANA, "form_fields", &forms(&[("colour", "green"), ("size", "L")]).to_string());
    let later = (Utc::now() + TimeDelta::seconds(60)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let newest = "UPDATE journal SET at = ?1 WHERE seq = (SELECT max(seq) FROM journal)";
    as_engine(&sql, |sql| sql.execute(newest, [&later]).map(drop));
    sync(&till);
    sync(&till);
    let there = till.remote_value(ANA, "form_fields");
    assert_eq!((entry(&there, "colour"), entry(&there, "size")), (json!("blue"), json!("L")));
}

/// What only a test may do: the journal is append-only.
fn as_engine(sql: &rusqlite::Connection, act: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()>) {
    let guarded: Vec<(String, String)> = sql
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'journal'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    guarded.iter().for_each(|(name, _)| sql.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    act(sql).unwrap();
    guarded.iter().for_each(|(_, text)| sql.execute_batch(text).unwrap());
}

#[test]
fn a_typed_value_takes_the_type_that_both_sides_have() {
    for (side, typed, stored) in [
        (["41", "42"].map(|text| json!(text)), "43", json!("43")),
        ([41, 42].map(|number| json!(number)), "43", json!(43)),
        ([json!(["a"]), json!(["b"])], "43", json!(["43"])),
        ([json!(["a"]), json!(["b"])], r#"["c","d"]"#, json!(["c", "d"])),
    ] {
        let size = |value: &Json| json!([{"name": "size", "value": value}]);
        let till = till_with(json!({"form_fields": []}));
        till.set(ANA, "form_fields", &size(&side[0]).to_string());
        till.office(ANA, json!({"form_fields": size(&side[1])}));
        sync(&till);
        till.store().resolve(ANA, "form_fields.size", &Keep::Value(typed.into()), None).unwrap();
        sync(&till);
        assert_eq!(entry(&till.remote_value(ANA, "form_fields"), "size"), stored);
    }
}

// ---- decisions -----------------------------------------------------------------------------------------------------

#[test]
fn a_newer_edit_is_not_thrown_away_with_what_a_conflict_showed() {
    for keep in [Keep::Remote, Keep::Local, Keep::Value("7".into())] {
        let till = till_with(json!({"phone": "0"}));
        till.set(ANA, "phone", "1");
        till.office(ANA, json!({"phone": "2"}));
        sync(&till);
        till.set(ANA, "phone", "3");
        till.store().resolve(ANA, "phone", &keep, None).unwrap();
        assert_eq!(till.local(ANA, "phone"), "\"3\"", "{keep:?}");
        sync(&till);
        check(&till, "phone", json!("3"));
    }
}

#[test]
fn a_line_added_to_notes_in_conflict_is_on_top_of_what_is_decided() {
    let till = till_with(json!({"notes": "tall"}));
    till.set(ANA, "notes", "short");
    till.office(ANA, json!({"notes": "huge"}));
    sync(&till);
    till.set(ANA, "notes", "short\nring twice");
    till.store().resolve(ANA, "notes", &Keep::Remote, None).unwrap();
    sync(&till);
    check(&till, "notes", json!("huge\nring twice"));
}

#[test]
fn one_form_field_is_given_up_and_the_others_are_not() {
    let till = till_with(json!({"form_fields": forms(&[("colour", "red"), ("size", "M")])}));
    till.set(ANA, "form_fields", &forms(&[("colour", "red"), ("size", "L")]).to_string());
    till.set(ANA, "form_fields", &forms(&[("colour", "blue"), ("size", "L")]).to_string());
    let mut store = till.store();
    for name in ["phone.xyz", "nonsense", "form_field.size", "*"] {
        assert!(store.discard(ANA, Some(name), None).unwrap_err().is_usage(), "{name}");
    }
    assert_eq!(store.discard(ANA, Some("form_fields.size"), Some("bo")).unwrap(), 1);
    assert_eq!(till.outcomes(ANA, "form_fields"), ["discarded", "pending"]);
    sync(&till);
    let there = till.remote_value(ANA, "form_fields");
    assert_eq!((entry(&there, "colour"), entry(&there, "size")), (json!("blue"), json!("M")));
}

#[test]
fn one_form_field_of_an_edit_that_waits_for_another_too_counts_when_it_is_given_up() {
    let till = till_with(json!({"form_fields": forms(&[("colour", "red"), ("size", "M")])}));
    till.set(ANA, "form_fields", &forms(&[("colour", "blue"), ("size", "L")]).to_string());
    till.office(ANA, json!({"form_fields": forms(&[("colour", "green"), ("size", "S")])}));
    sync(&till);
    assert_eq!(open(&till).len(), 2);
    assert_eq!(till.store().discard(ANA, Some("form_fields.size"), None).unwrap(), 1);
    assert_eq!(open(&till), ["form_fields.colour"]);
    assert_eq!(till.store().discard(ANA, Some("phone"), None).unwrap(), 0, "there is nothing");
}

#[test]
fn what_both_sides_spell_in_their_own_way_is_sent_while_something_else_may_have_landed() {
    let till = till_with(json!({"first_name": "Ana"}));
    // Refused by something in front of the store; it may arrive all the same, later.
    let no = Told::json_of(401, &json!({"status": 401, "title": "no"}));
    let odd = Odd::before(&till.sandbox).before_store(move |asked| asked.is_put().then(|| no.clone()));
    till.set(ANA, "first_name", "Eva");
    _ = till.through(&odd).engine().sync();
    till.set(ANA, "first_name", "Zoe\u{308}");
    till.office(ANA, json!({"first_name": "Zo\u{eb}"}));
    let report = sync(&till);
    assert_eq!((report.requests.put, open(&till).len()), (1, 0), "another one must not be the last word");
    check(&till, "first_name", json!("Zo\u{eb}"));
}

#[test]
fn edits_that_wait_for_a_reading_that_is_believed_are_counted() {
    let till = till_with(json!({"phone": "1"}));
    till.office(ANA, json!({"phone": "2"}));
    sync(&till);
    let old = (Utc::now() - TimeDelta::seconds(50)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let odd = Odd::before(&till.sandbox).answer(move |_, told| {
        told.customer(ANA, |ana| {
            ana["phone"] = json!("1");
            ana["date_modified"] = json!(old);
        });
    });
    till.set(ANA, "company", "ours");
    till.set(3, "company", "ours");
    let mut through = till.through(&odd);
    through.options.upload.grace_ms = 50;
    let report = through.engine().sync().unwrap();
    assert_eq!((report.uploaded_customers, report.doubted, report.conflicts), (1, 1, 0), "{report:?}");
    let report = sync(&till);
    assert_eq!((report.uploaded_customers, report.doubted), (1, 0));
}

#[test]
fn one_row_is_given_up_and_the_value_before_it_stands_again() {
    let till = till_with(json!({"phone": "0"}));
    for phone in ["1", "2", "3"] {
        till.set(ANA, "phone", phone);
    }
    let seqs: Vec<_> = till.store().journal(None).unwrap().iter().map(|row| row.seq).collect();
    till.store().discard_row(seqs[1], None).unwrap();
    assert_eq!(till.local(ANA, "phone"), "\"3\"");
    till.store().discard_row(seqs[2], None).unwrap();
    assert_eq!(till.local(ANA, "phone"), "\"1\"");
    till.store().discard_row(seqs[0], None).unwrap();
    assert_eq!(till.local(ANA, "phone"), "\"0\"");
    assert_eq!(sync(&till).requests.put, 0);
}

#[test]
fn what_was_decided_by_itself_is_taken_back_only_while_nothing_newer_came() {
    let policy = |policy| {
        let mut till = till_with(json!({"phone": "0"}));
        till.options.policies = Policies::all(policy);
        till.set(ANA, "phone", "1");
        till.office(ANA, json!({"phone": "2"}));
        sync(&till);
        till
    };
    for (decided, other) in [(Policy::Remote, "1"), (Policy::Local, "2")] {
        let till = policy(decided);
        till.store().undo(1, Some("bo")).unwrap();
        sync(&till);
        check(&till, "phone", json!(other));
        let edited = policy(decided);
        edited.set(ANA, "phone", "5");
        assert!(edited.store().undo(1, None).unwrap_err().is_usage());
        let pulled = policy(decided);
        pulled.office(ANA, json!({"phone": "6"}));
        sync(&pulled);
        let error = pulled.store().undo(1, None).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("edited or pulled since"), "{error}");
        assert_eq!(pulled.local(ANA, "phone"), "\"6\"");
    }
}

#[test]
fn a_decision_of_a_person_is_not_undone() {
    let till = till_with(json!({"phone": "0"}));
    till.set(ANA, "phone", "1");
    till.office(ANA, json!({"phone": "2"}));
    sync(&till);
    till.store().resolve(ANA, "phone", &Keep::Remote, Some("bo")).unwrap();
    for conflict in [1, 99] {
        assert!(till.store().undo(conflict, None).unwrap_err().is_usage());
    }
}

#[test]
fn what_the_store_said_is_there_when_the_edit_waits_for_another_reason() {
    let till = till_with(json!({"phone": "0"}));
    let odd = Odd::before(&till.sandbox).before_store(|asked| {
        let refused = json!({"status": 422, "title": "no", "errors": {"0.phone": "is not a number"}});
        asked.is_put().then(|| Told::json_of(422, &refused))
    });
    till.set(ANA, "phone", "call me");
    sync(&till.through(&odd));
    till.office(ANA, json!({"phone": "2"}));
    sync(&till);
    let conflict = till.store().conflicts().unwrap().remove(0);
    assert!(
        conflict.reason.as_deref().is_some_and(|reason| reason.contains("is not a number")),
        "{conflict:?}"
    );
    let row = till.store().journal(None).unwrap().remove(0);
    assert_eq!(row.outcome, Some(Outcome::Held));
    assert!(row.reason.is_some());
    till.store().resolve(ANA, "phone", &Keep::Value("555".into()), None).unwrap();
    sync(&till);
    check(&till, "phone", json!("555"));
}

// ---- not told ------------------------------------------------------------------------------------------------------

/// Answers of this kind leave an attribute of customer 2 out, so often.
fn leaves_out(till: &Till, kind: Kind, field: &'static str, times: usize) -> Odd {
    let mut left = times;
    Odd::before(&till.sandbox).answer(move |asked, told| {
        if asked.kind == kind && left > 0 {
            left -= 1;
            told.customer(2, |customer| _ = customer.as_object_mut().unwrap().remove(field));
        }
    })
}

#[test]
fn what_a_list_leaves_out_is_no_news_and_stays_as_it_was() {
    let till =
        till_with(json!({"phone": "111", "notes": "a\nb\nc", "company": "Acme", "channel_ids": [1, 2]}));
    for field in ["phone", "notes", "company", "email", "channel_ids", "authentication", "address_count"] {
        let column = if field == "authentication" { "force_password_reset" } else { field };
        let was = till.local(2, column);
        till.office(2, json!({"last_name": format!("without {field}")}));
        let odd = leaves_out(&till, Kind::List, field, 1);
        till.through(&odd).engine().pull(Extent::Changes).unwrap();
        assert_eq!(till.local(2, column), was, "{field}");
        assert_eq!(till.local(2, "last_name"), format!("\"without {field}\""));
    }
}

#[test]
fn notes_that_a_list_or_a_look_leaves_out_are_not_emptied_in_the_store() {
    for kind in [Kind::List, Kind::ById] {
        let till =
            till_with(json!({"phone": "111", "notes": "a\nb\nc", "company": "Acme", "channel_ids": [1, 2]}));
        till.office(2, json!({"notes": "a\nb\nc"}));
        till.engine().pull(Extent::Changes).unwrap();
        till.set(2, "notes", "a\nb\nc\ntill");
        till.office(2, json!({"notes": "office\na\nb\nc"}));
        let odd = leaves_out(&till, kind, "notes", 1);
        let through = till.through(&odd);
        match kind {
            Kind::List => _ = through.engine().sync().unwrap(),
            _ => _ = through.engine().push().unwrap(),
        }
        through.engine().sync().unwrap();
        assert_eq!(till.remote_value(2, "notes"), r#""office\na\nb\nc\ntill""#, "{kind:?}");
        assert_eq!(till.store().status().unwrap().conflicts, 0, "{kind:?}");
    }
}

#[test]
fn nothing_is_sent_over_what_the_store_never_tells() {
    let till =
        till_with(json!({"phone": "111", "notes": "a\nb\nc", "company": "Acme", "channel_ids": [1, 2]}));
    till.set(2, "phone", "999");
    till.office(2, json!({"phone": "777"}));
    let both = Odd::before(&till.sandbox).answer(|asked, told| {
        if !asked.is_put() {
            told.customer(2, |customer| _ = customer.as_object_mut().unwrap().remove("phone"));
        }
    });
    let through = till.through(&both);
    through.engine().sync().unwrap();
    through.engine().sync().unwrap();
    assert_eq!(till.remote_value(2, "phone"), r#""777""#);
    assert_eq!(till.outcomes(2, "phone"), ["rejected"]);
    assert!(till.store().rejected().unwrap()[0].reason.contains("does not tell"));
}

/// What was refused because the store does not tell what it has is given up: the till shows what it last told.
#[test]
fn what_is_given_up_of_what_the_store_does_not_tell_goes_back_to_what_it_last_told() {
    let size = |value: &str| json!([{"name": "size", "value": value}]);
    for (field, was, edited) in [("phone", json!("111"), json!("999")), ("form_fields", size("M"), size("L"))]
    {
        for by_row in [false, true] {
            let till = till_with(json!({ field: was }));
            till.set(2, field, edited.as_str().unwrap_or(&edited.to_string()));
            till.office(2, json!({"company": "office"}));
            let untold = Odd::before(&till.sandbox).answer(move |asked, told| {
                if !asked.is_put() {
                    told.customer(2, |customer| _ = customer.as_object_mut().unwrap().remove(field));
                }
            });
            till.through(&untold).engine().sync().unwrap();
            let mut store = till.store();
            let rejected = store.rejected().unwrap();
            assert_eq!(rejected.len(), 1, "{field}");
            match by_row {
                true => store.discard_row(rejected[0].seq, None).unwrap(),
                false => store.discard(rejected[0].customer_id, Some(field), None).unwrap(),
            };
            check(&till, field, was.clone());
            untold.calm();
            till.engine().pull(Extent::Full).unwrap();
            check(&till, field, was.clone());
            assert_eq!(store.find_unjournaled().unwrap(), 0, "{field}, by row: {by_row}");
        }
    }
}

#[test]
fn an_update_in_doubt_that_is_read_back_without_its_attribute_is_asked_for_again() {
    let till =
        till_with(json!({"phone": "111", "notes": "a\nb\nc", "company": "Acme", "channel_ids": [1, 2]}));
    let odd = leaves_out(&till, Kind::ById, "phone", 1).nth(Kind::Put, 1, Told::drop);
    till.set(2, "phone", "999");
    let through = till.through(&odd);
    through.engine().sync().unwrap();
    through.engine().sync().unwrap();
    assert_eq!(
        (till.local(2, "phone"), till.remote_value(2, "phone")),
        (r#""999""#.into(), r#""999""#.into())
    );
    assert_eq!(till.outcomes(2, "phone"), ["uploaded"]);
}

// ---- older ---------------------------------------------------------------------------------------------------------

/// A node of the store whose clock is half a minute fast has changed Ana's company so many seconds ago; then the office changed
/// her phone.
fn after_a_fast_node(seconds_ago: i64) -> Till {
    let till = till_with(json!({"phone": "111", "company": "Acme"}));
    then_looks_older(&till, seconds_ago, &json!({"phone": "777"}));
    till
}

/// The next pull asks from an hour ago, so that what happened in between need not be waited for.
fn then_looks_older(till: &Till, seconds_ago: i64, attributes: &Json) {
    edit_at(till, 30 - seconds_ago, &json!({"company": "Fast"}));
    till.engine().pull(Extent::Full).unwrap();
    assert_eq!(till.local(ANA, "company"), r#""Fast""#);
    till.minute_passes();
    edit_at(till, -seconds_ago, attributes);
    let connection = rusqlite::Connection::open(&till.path).unwrap();
    let hour_ago = (Utc::now() - TimeDelta::hours(1)).to_rfc3339();
    common::as_engine(&connection, "UPDATE state SET value = ?1 WHERE key = 'pull_cursor'", [hour_ago]);
}

#[test]
fn a_true_change_that_looks_older_because_a_node_was_fast_comes_in_when_it_stays() {
    let till = after_a_fast_node(100);
    till.engine().pull(Extent::Changes).unwrap();
    assert_eq!(till.local(ANA, "phone"), r#""111""#, "reads may lag");
    std::thread::sleep(Duration::from_millis(5_100));
    till.engine().pull(Extent::Changes).unwrap();
    assert_eq!(till.local(ANA, "phone"), r#""777""#);
    sync(&till);
    assert_eq!(sync(&till).requests.get, 1, "nobody is asked for any more");
}

/// The same of a reading that shows no amounts besides: what else it says comes in, and the balance stays as it was known.
#[test]
fn a_true_change_that_looks_older_and_hides_the_balance_comes_in_too() {
    let till = till_with(json!({"phone": "111", "store_credit_amounts": [{"amount": 50}]}));
    then_looks_older(&till, 100, &json!({"phone": "777", "store_credit_amounts": [{"amount": 0}]}));
    let odd = Odd::before(&till.sandbox)
        .answer(|_, told| told.customer(ANA, |ana| ana["store_credit_amounts"] = json!([])));
    let through = till.through(&odd);
    through.engine().pull(Extent::Changes).unwrap();
    std::thread::sleep(Duration::from_millis(5_100));
    through.engine().pull(Extent::Changes).unwrap();
    assert_eq!(till.local(ANA, "phone"), r#""777""#);
    assert_eq!(till.local(ANA, "store_credit_amounts"), r#"[{"amount":50}]"#);
}

#[test]
fn nothing_is_sent_over_a_change_that_looks_older() {
    let till = after_a_fast_node(0);
    till.set(ANA, "phone", "999");
    sync(&till);
    // Within a minute of it the reading may lag: the edit waits, and so would a payment.
    assert_eq!(till.remote_value(ANA, "phone"), r#""777""#);
    assert_eq!((open(&till).len(), till.store().status().unwrap().pending_fields), (0, 1));
}

/// Reads that lag by more than any sync waits: what was sent last is not taken back for them, and no payment stands on them.
#[test]
fn a_payment_is_not_lost_to_reads_that_lag_for_long() {
    let till = till_with(json!({"store_credit_amounts": [{"amount": 50}]}));
    let behaviours = Behaviours { read_lag_ms: 12_000, ..Behaviours::default() };
    till.sandbox.with_core(|core| core.set_behaviours(behaviours));
    till.adjust(ANA, "10");
    assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
    till.adjust(ANA, "5");
    let report = till.engine().sync().unwrap();
    assert_eq!((report.uploaded_customers, report.conflicts), (0, 0), "it waits");
    till.sandbox.with_core(|core| core.set_behaviours(Behaviours::default()));
    assert_eq!(till.engine().sync().unwrap().uploaded_customers, 1);
    assert_eq!(till.remote_value(ANA, "store_credit_amounts"), r#"[{"amount":65}]"#);
    till.assert_no_violations();
}

/// The same without an edit that would wait for them: within a minute of a change nothing older becomes the truth, whoever made
/// the change and whoever asks. A payment made then would stand on what is no more.
#[test]
fn what_was_changed_a_moment_ago_is_not_given_up_for_reads_that_lag() {
    std::thread::scope(|at_once| {
        at_once.spawn(|| is_not_given_up(Extent::Changes, true));
        at_once.spawn(|| is_not_given_up(Extent::Full, true));
        at_once.spawn(|| is_not_given_up(Extent::Changes, false));
    });
}

fn is_not_given_up(extent: Extent, is_ours: bool) {
    let till = till_with(json!({"phone": "111", "store_credit_amounts": [{"amount": 50}]}));
    let pay = |amount: &str| {
        till.adjust(ANA, amount);
        till.engine().sync().unwrap().uploaded_customers
    };
    assert_eq!(pay("10"), 1);
    let before = till.sandbox.customer(ANA as i32).unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    match is_ours {
        true => assert_eq!(pay("7"), 1),
        false => {
            till.office(ANA, json!({"phone": "777", "store_credit_amounts": [{"amount": 67}]}));
            sync(&till);
        }
    }
    let odd = Odd::before(&till.sandbox)
        .answer(move |_, told| told.customer(ANA, |customer| *customer = before.clone()));
    let lagging = till.through(&odd);
    lagging.engine().pull(extent).unwrap();
    std::thread::sleep(Duration::from_millis(5_100));
    lagging.engine().pull(extent).unwrap();
    assert_eq!(till.local(ANA, "store_credit_amounts"), r#"[{"amount":67}]"#, "{extent:?} {is_ours}");
    till.adjust(ANA, "5");
    assert_eq!(lagging.engine().sync().unwrap().uploaded_customers, 0, "it waits");
    odd.calm();
    sync(&till);
    assert_eq!(till.remote_value(ANA, "store_credit_amounts"), r#"[{"amount":72}]"#);
    till.assert_no_violations();
}

/// A reading of the date that is known, or of none, that shows one attribute as it was a moment ago.
#[test]
fn an_attribute_that_was_changed_a_moment_ago_is_not_taken_back_by_a_reading_that_lags() {
    let till = till_with(json!({"phone": "111", "company": "old"}));
    till.set(ANA, "phone", "222");
    sync(&till);
    let odd = Odd::before(&till.sandbox).answer(|asked, told| {
        if !asked.is_put() {
            told.customer(ANA, |ana| ana["phone"] = json!("111"));
        }
    });
    let lagging = till.through(&odd);
    lagging.engine().pull(Extent::Full).unwrap();
    assert_eq!(till.local(ANA, "phone"), r#""222""#);
    till.set(ANA, "company", "new");
    assert_eq!(sync(&lagging).uploaded_customers, 0, "it waits");
    // An answer of before, too: what was sent was accepted, and what was not stays as it is known.
    odd.calm();
    let odd = Odd::before(&till.sandbox)
        .every(Kind::Put, |told| told.customer(ANA, |ana| ana["phone"] = json!("111")));
    assert_eq!(sync(&till.through(&odd)).uploaded_customers, 1);
    check(&till, "phone", json!("222"));
    check(&till, "company", json!("new"));
}

/// The answer shows what was before a change of a moment ago, because that is what was sent.
#[test]
fn what_the_till_itself_sets_back_within_a_minute_is_news_at_once() {
    for (there, tidying) in
        [("ana@x.com", Tidying::default()), ("Ana@x.com", Tidying { case: true, ..Tidying::default() })]
    {
        let till = till_with(json!({"email": "ana@x.com"}));
        till.sandbox.set_behaviours(Behaviours { tidying, ..Behaviours::default() });
        till.set(ANA, "email", "bo@x.com");
        assert_eq!(sync(&till).uploaded_customers, 1);
        till.set(ANA, "email", there);
        assert_eq!(sync(&till).uploaded_customers, 1);
        till.sandbox.clear_requests();
        let report = sync(&till);
        assert_eq!((report.requests.get, report.requests.put), (1, 0), "{there}: the pull, and no look");
        check(&till, "email", json!("ana@x.com"));
    }
}

#[test]
fn an_entry_of_form_fields_is_not_taken_back_either_when_another_one_is_edited() {
    let forms =
        |size: &str, color: &str| json!([{"name": "size", "value": size}, {"name": "color", "value": color}]);
    let till = till_with(json!({ "form_fields": forms("M", "blue") }));
    let response = ResponseAttributes::Everything;
    till.sandbox.set_behaviours(Behaviours {
        undated: Undated::FormFields,
        response,
        ..Behaviours::default()
    });
    till.set(ANA, "form_fields", &forms("L", "blue").to_string());
    assert_eq!(sync(&till).uploaded_customers, 1);
    let lags = forms("M", "blue");
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        if !asked.is_put() {
            told.customer(ANA, |ana| ana["form_fields"] = lags.clone());
        }
    });
    let lagging = till.through(&odd);
    lagging.engine().pull(Extent::Full).unwrap();
    till.set(ANA, "form_fields", &forms("L", "red").to_string());
    assert_eq!(sync(&lagging).uploaded_customers, 0, "it waits");
    odd.calm();
    sync(&lagging);
    let read = |json: String| {
        let entries: Vec<Json> = serde_json::from_str(&json).unwrap();
        let mut pairs: Vec<String> =
            entries.iter().map(|entry| format!("{}={}", entry["name"], entry["value"])).collect();
        pairs.sort();
        pairs
    };
    let sides = [till.local(ANA, "form_fields"), till.remote_value(ANA, "form_fields")].map(read);
    assert!(sides.iter().all(|side| *side == [r#""color"="red""#, r#""size"="L""#]), "{sides:?}");
}
