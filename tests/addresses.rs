//! Addresses: what is special about them. The steps that they have in common with every resource, tests/resources.rs takes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::time::Duration;

use common::odd::Odd;
use common::{Till, sandbox};
use rusqlite::Connection;
use serde_json::{Value, json};
use tillsync::{Extent, Store};

/// A till that keeps addresses and has pulled: of the first customer these, and one of each of the others.
fn till_with(addresses: impl IntoIterator<Item = i32>) -> Till {
    let mut till = Till::new(sandbox(4));
    till.options.keep = vec!["addresses".to_owned()];
    till.options.upload.grace_ms = 100;
    addresses.into_iter().for_each(|id| till.sandbox.put_address(id, 1, &json!({})));
    (2..=4).for_each(|customer| till.sandbox.put_address(100 + customer, customer, &json!({})));
    till.engine().sync().unwrap();
    till.sandbox.clear_requests();
    till
}

fn file(till: &Till) -> Connection {
    Connection::open(&till.path).unwrap()
}

/// The first customer's addresses in the file.
fn in_file(till: &Till) -> Vec<i64> {
    let all = "SELECT id FROM address WHERE customer_id = 1 ORDER BY id";
    let file = file(till);
    let mut all = file.prepare(all).unwrap();
    all.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

fn city(till: &Till, id: i64) -> String {
    file(till).query_row("SELECT city FROM address WHERE id = ?1", [id], |row| row.get(0)).unwrap()
}

fn edit(till: &Till, id: i64, column: &str, text: &str) {
    let edit = format!("UPDATE address SET {column} = ?2 WHERE id = ?1");
    assert_eq!(file(till).execute(&edit, (id, text)), Ok(1));
}

/// What became of the edits, oldest first.
fn outcomes(till: &Till) -> Vec<String> {
    let all = "SELECT coalesce(outcome, 'pending') FROM journal WHERE resource = 'address' ORDER BY seq";
    let file = file(till);
    let mut all = file.prepare(all).unwrap();
    all.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// Queries of the requests for addresses, and of those for customers.
fn asked(till: &Till) -> (Vec<String>, Vec<String>) {
    let gets = till.sandbox.requests().into_iter().filter(|request| request.method == "GET");
    let (of_addresses, of_customers): (Vec<_>, Vec<_>) =
        gets.partition(|request| request.path.ends_with("/addresses"));
    let queries = |all: Vec<_>| {
        all.into_iter().map(|request: tillsync::sandbox::RequestLog| request.query).collect::<Vec<String>>()
    };
    (queries(of_addresses), queries(of_customers))
}

fn puts(till: &Till) -> Vec<Value> {
    let all = till.sandbox.requests().into_iter().filter(|request| request.method == "PUT");
    all.map(|request| serde_json::from_str(&request.body).unwrap()).collect()
}

/// The customer is changed in the back office: a list of changes shows it.
fn change(till: &Till, customer: i64) {
    till.office(customer, json!({ "company": format!("changed {}", till.sandbox.requests().len()) }));
}

// ---- pulled ------------------------------------------------------------------------------------------------------------

#[test]
fn what_a_customer_who_was_changed_has_comes_with_the_customer() {
    let till = till_with([7, 8]);
    till.sandbox.put_address(7, 1, &json!({ "city": "Bilbao" }));
    till.sandbox.put_address(9, 1, &json!({}));
    till.sandbox.put_address(102, 2, &json!({ "city": "Unseen" }));
    change(&till, 1);
    till.engine().pull(Extent::Changes).unwrap();
    assert_eq!((in_file(&till), city(&till, 7)), (vec![7, 8, 9], "Bilbao".to_owned()));
    assert_eq!(city(&till, 102), "Madrid", "nothing tells of a change of an address alone");
    let (of_addresses, of_customers) = asked(&till);
    assert_eq!(of_addresses, Vec::<String>::new());
    assert!(
        of_customers[0].contains("include=storecredit,formfields,addresses&date_modified:min="),
        "{of_customers:?}"
    );
    let customer = "SELECT (SELECT addresses IS NULL FROM customer WHERE id = 1), (SELECT body LIKE '%\"addresses\"%' FROM snapshot WHERE id = 1)";
    let customer = file(&till).query_row(customer, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(customer, Ok((true, false)), "they stand in one place");
    till.engine().pull(Extent::Full).unwrap();
    assert_eq!(city(&till, 102), "Unseen");
    till.assert_no_violations();
}

#[test]
fn of_whom_ten_are_shown_all_are_asked_for_page_by_page() {
    let till = till_with(1..=9);
    till.sandbox.with_core(|core| core.set_behaviours("pages=5".parse().unwrap()));
    for (count, queries) in [(9, 0), (12, 3)] {
        till.sandbox.clear_requests();
        (1..=count)
            .for_each(|id| till.sandbox.put_address(id, 1, &json!({ "city": format!("City {count}") })));
        change(&till, 1);
        till.engine().pull(Extent::Changes).unwrap();
        assert_eq!(in_file(&till).len(), count as usize);
        assert!((1..=count).all(|id| city(&till, id.into()) == format!("City {count}")));
        assert_eq!(asked(&till).0.len(), queries, "{:?}", asked(&till).0);
    }
    assert!(asked(&till).0.iter().all(|query| query.contains("customer_id:in=1")), "{:?}", asked(&till).0);
    till.assert_no_violations();
}

#[test]
fn what_all_of_a_customers_lack_goes_after_a_second_look() {
    for (had, has) in [(2, 1), (2, 0), (12, 11), (12, 9), (1, 0)] {
        let till = till_with(1..=had);
        (has + 1..=had).for_each(|id| till.sandbox.delete_address(id));
        change(&till, 1);
        till.engine().pull(Extent::Changes).unwrap();
        assert_eq!(in_file(&till), (1..=has).map(i64::from).collect::<Vec<_>>(), "{had}");
        let by_customer = asked(&till).0;
        assert_eq!(by_customer.len(), if has >= 10 { 2 } else { 1 }, "{had}: {by_customer:?}");
        till.assert_no_violations();
    }
}

/// The total is the only word on whether an answer is whole.
#[test]
fn what_an_answer_only_counts_is_not_gone() {
    for had in [3, 12] {
        let till = till_with(1..=had);
        change(&till, 1);
        let odd = Odd::before(&till.sandbox).answer(|asked, told| {
            if asked.parameter("customer_id:in").is_some() {
                told.customers(|addresses| addresses.retain(|address| address["id"] != 2));
            } else if asked.query.contains("addresses") {
                told.customers(|all| {
                    for customer in all {
                        let list = customer["addresses"].as_array_mut().unwrap();
                        list.retain(|address| address["id"] != 2);
                    }
                });
            }
        });
        till.through(&odd).engine().pull(Extent::Changes).unwrap();
        assert_eq!(in_file(&till).len(), had as usize);
    }
}

/// One that was not whole is no look, though the next one is.
#[test]
fn one_whole_answer_behind_one_that_was_not_is_not_enough() {
    let till = till_with(1..=12);
    change(&till, 1);
    let mut answers = 0;
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        if asked.parameter("customer_id:in").is_none() {
            return;
        }
        told.customers(|addresses| addresses.retain(|address| address["id"] != 2));
        // The first is followed to a second page, on which nobody is.
        answers += 1;
        if answers > 2 {
            told.edit(|page| {
                page["meta"]["pagination"]["total"] = json!(page["data"].as_array().unwrap().len());
            });
        }
    });
    till.through(&odd).engine().pull(Extent::Changes).unwrap();
    assert_eq!(in_file(&till).len(), 12);
}

#[test]
fn more_than_a_share_are_not_believed_to_be_gone() {
    let mut till = till_with(1..=40);
    till.options.second_look = Duration::from_millis(10);
    (2..=40).for_each(|id| till.sandbox.delete_address(id));
    change(&till, 1);
    let report = till.engine().pull(Extent::Changes).unwrap();
    assert_eq!((report.unbelieved, in_file(&till).len()), (39, 40));
}

#[test]
fn a_list_that_fails_for_all_of_theirs_is_asked_for_again_with_the_next_pull() {
    let mut till = till_with(1..=9);
    till.options.upload.retry.tries = 1;
    (10..=12).for_each(|id| till.sandbox.put_address(id, 1, &json!({})));
    change(&till, 1);
    let odd = Odd::before(&till.sandbox).answer(|asked, told| {
        if asked.parameter("customer_id:in").is_some() {
            told.status = 503;
        }
    });
    assert!(till.through(&odd).engine().pull(Extent::Changes).is_err());
    till.engine().pull(Extent::Changes).unwrap();
    assert_eq!(in_file(&till).len(), 12);
}

#[test]
fn an_address_that_was_edited_and_is_gone_waits_for_a_person() {
    let till = till_with([7, 8]);
    edit(&till, 7, "city", "Bilbao");
    till.sandbox.delete_address(7);
    change(&till, 1);
    till.engine().sync().unwrap();
    assert_eq!(till.store().conflicts().unwrap()[0].field, "address.7.*");
    assert_eq!(outcomes(&till), ["held"]);
    till.store().discard(1, Some("address.7.*"), None).unwrap();
    assert_eq!(in_file(&till), [8]);
}

// ---- refused -----------------------------------------------------------------------------------------------------------

#[test]
fn what_is_wrong_with_an_address_is_refused_as_it_is_edited() {
    let till = till_with([7]);
    for (sql, words) in [
        (
            "UPDATE address SET country_code = 'E5'",
            "address 7: country_code: must be two letters, such as ES",
        ),
        (
            "UPDATE address SET country_code = 'ESP'",
            "address 7: country_code: must be two letters, such as ES",
        ),
        (
            "UPDATE address SET address_type = 'castle'",
            "address 7: address_type: must be residential or commercial",
        ),
        ("UPDATE address SET city = 5.5 || printf('%.*c', 100, 'x')", "at most 100 are allowed"),
        (
            "UPDATE address SET first_name = ''",
            "address 7: first_name: has 0 characters, at least 1 is needed",
        ),
        ("UPDATE address SET phone = NULL", "address 7: phone: NULL is not allowed"),
        ("UPDATE address SET country = 'Spain!'", "address 7: country: is read-only, the store sets it"),
        ("UPDATE address SET customer_id = 2", "address 7: id: is read-only, it names the address"),
        ("UPDATE address SET form_fields = '{}'", "address 7: form_fields: must be"),
        (
            "INSERT INTO address (id, customer_id, city) VALUES (70, 1, 'x')",
            "address: INSERT is not supported yet: create addresses in the store, then pull",
        ),
        ("DELETE FROM address", "address: DELETE is not supported yet: delete addresses in the store"),
        ("DELETE FROM address_snapshot", "address_snapshot: is the engine's alone: edit address"),
    ] {
        let only = if sql.starts_with("UPDATE") { format!("{sql} WHERE id = 7") } else { sql.to_owned() };
        let refused = file(&till).execute_batch(&only).unwrap_err().to_string();
        assert!(refused.contains(words), "{sql}: {refused}");
    }
    assert_eq!(outcomes(&till), Vec::<String>::new(), "what was refused is in no journal");
    for fine in ["country_code = 'fr'", "address_type = 'commercial'", "address2 = ''"] {
        file(&till).execute_batch(&format!("UPDATE address SET {fine} WHERE id = 7")).unwrap();
    }
}

#[test]
fn a_file_that_did_not_ask_for_addresses_refuses_them_and_makes_no_call_more() {
    let till = Till::new(sandbox(2));
    till.sandbox.put_address(7, 1, &json!({}));
    till.engine().sync().unwrap();
    change(&till, 1);
    till.engine().sync().unwrap();
    let (of_addresses, of_customers) = asked(&till);
    assert_eq!(of_addresses, Vec::<String>::new());
    assert!(of_customers.iter().all(|query| !query.contains("addresses")), "{of_customers:?}");
    let insert = "INSERT INTO address (id, customer_id, city) VALUES (7, 1, 'x')";
    let refused = file(&till).execute_batch(insert).unwrap_err().to_string();
    let words = "address: this file does not keep addresses: tillsync pull --with addresses";
    assert!(refused.contains(words), "{refused}");
    // Remembered: the engines after it are told nothing.
    let mut asking = till.clone();
    asking.options.keep = vec!["addresses".to_owned()];
    asking.engine().pull(Extent::Changes).unwrap();
    till.engine().pull(Extent::Changes).unwrap();
    assert_eq!(in_file(&till), [7]);
    assert!(Store::open(&till.path).unwrap().is_kept("addresses").unwrap());
}

// ---- sent --------------------------------------------------------------------------------------------------------------

#[test]
fn what_both_changed_of_an_address_is_merged_field_by_field_after_a_look() {
    let till = till_with([7]);
    file(&till).execute_batch("UPDATE address SET city = 'Bilbao', phone = '1' WHERE id = 7").unwrap();
    till.sandbox.put_address(7, 1, &json!({ "city": "Sevilla", "company": "Theirs" }));
    till.engine().sync().unwrap();
    assert_eq!(puts(&till), [json!([{ "id": 7, "phone": "1" }])]);
    let conflicts = till.store().conflicts().unwrap();
    assert_eq!(conflicts.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), ["address.7.city"]);
    let company = "SELECT company FROM address WHERE id = 7";
    assert_eq!(file(&till).query_row(company, [], |row| row.get(0)), Ok("Theirs".to_owned()));
    till.store().resolve(1, "address.7.city", &tillsync::Keep::Local, None).unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.sandbox.address(7).unwrap()["city"], "Bilbao");
    till.assert_no_violations();
}

/// The store takes it, changes nothing, and tells nothing of it.
#[test]
fn an_address_that_is_to_say_what_another_says_is_merged() {
    for answers in ["bare", "empty"] {
        let till = till_with([7, 8]);
        till.sandbox.with_core(|core| core.set_behaviours(format!("nothing-new={answers}").parse().unwrap()));
        // The till has set no type, and the store has filled in another.
        edit(&till, 7, "address1", "Calle Mayor 8");
        till.engine().sync().unwrap();
        assert_eq!((outcomes(&till), puts(&till).len()), (vec!["merged".to_owned()], 1), "{answers}");
        let reason = "SELECT reason FROM journal WHERE outcome = 'merged'";
        assert_eq!(
            file(&till).query_row(reason, [], |row| row.get(0)),
            Ok("address 8 says this already".to_owned())
        );
        let line = "SELECT address1 FROM address WHERE id = 7";
        assert_eq!(file(&till).query_row(line, [], |row| row.get(0)), Ok("Calle Mayor 7".to_owned()));
        let status = till.store().status().unwrap();
        assert_eq!((status.pending_fields, status.rejected, status.conflicts), (0, 0, 0));
        till.assert_no_violations();
    }
}

#[test]
fn what_an_answer_leaves_out_and_no_other_says_is_sent_once_more_and_then_waits_for_a_person() {
    let till = till_with([7, 8]);
    edit(&till, 7, "city", "Bilbao");
    let odd = Odd::before(&till.sandbox)
        .before_store(|asked| asked.is_put().then(|| common::odd::Told::json_of(200, &json!({}))));
    till.through(&odd).engine().sync().unwrap();
    assert_eq!(outcomes(&till), ["rejected"]);
    assert_eq!(odd.asked().iter().filter(|(asked, _)| asked.is_put()).count(), 2);
    let rejected = till.store().rejected().unwrap();
    assert_eq!(rejected[0].field, "address.7.city");
    // Landed and left out is read back, too.
    let till = till_with([7, 8]);
    edit(&till, 7, "city", "Bilbao");
    let odd = Odd::before(&till.sandbox).answer(|asked, told| {
        if asked.is_put() {
            told.edit(|answer| *answer = json!({}));
        }
    });
    till.through(&odd).engine().sync().unwrap();
    assert_eq!((outcomes(&till), puts(&till).len()), (vec!["uploaded".to_owned()], 1));
}

/// Whether an update has to say the phone is not documented.
#[test]
fn a_store_that_wants_the_phone_gets_it_as_it_is() {
    for partial in ["atomic", "good-ones"] {
        let till = till_with([7, 8]);
        till.sandbox.put_address(7, 1, &json!({ "phone": "555" }));
        till.engine().pull(Extent::Full).unwrap();
        till.sandbox.clear_requests();
        let behaviours = format!("address-phone=wanted,partial={partial}");
        till.sandbox.with_core(|core| core.set_behaviours(behaviours.parse().unwrap()));
        edit(&till, 7, "city", "Bilbao");
        edit(&till, 8, "phone", "777");
        till.engine().sync().unwrap();
        assert_eq!(outcomes(&till), ["uploaded", "uploaded"], "{partial}");
        let city = json!({ "id": 7, "city": "Bilbao", "phone": "555" });
        let sent = puts(&till);
        assert_eq!(sent.len(), 2, "{partial}: {sent:?}");
        assert!(sent[1].as_array().unwrap().contains(&city), "{partial}: {sent:?}");
        // It is remembered, and no edit of anybody's.
        till.sandbox.clear_requests();
        edit(&till, 7, "city", "Sevilla");
        till.engine().sync().unwrap();
        assert_eq!(puts(&till), [json!([{ "id": 7, "city": "Sevilla", "phone": "555" }])]);
        assert_eq!(outcomes(&till).len(), 3);
        till.assert_no_violations();
    }
}

/// A phone that is there and that the store takes from nobody is no reason to ask for ever.
#[test]
fn a_store_that_refuses_the_phone_that_it_has_refuses_the_address() {
    let till = till_with([7]);
    edit(&till, 7, "city", "Bilbao");
    let refused = json!({ "status": 422, "title": "no", "errors": { "0.phone": "it is no phone" } });
    let odd = Odd::before(&till.sandbox)
        .before_store(move |asked| asked.is_put().then(|| common::odd::Told::json_of(422, &refused)));
    till.through(&odd).engine().sync().unwrap();
    assert_eq!(outcomes(&till), ["rejected"]);
    let reason = "SELECT reason FROM journal";
    assert_eq!(file(&till).query_row(reason, [], |row| row.get(0)), Ok("it is no phone".to_owned()));
}

/// Ten a call are assumed; 413 teaches.
#[test]
fn a_store_that_takes_fewer_addresses_a_call_gets_fewer() {
    let till = till_with(1..=9);
    till.sandbox.with_core(|core| core.set_behaviours("addresses-at-most=4".parse().unwrap()));
    file(&till).execute_batch("UPDATE address SET city = 'Bilbao'").unwrap();
    till.engine().sync().unwrap();
    assert!(outcomes(&till).iter().all(|outcome| outcome == "uploaded"));
    assert!((1..=9).all(|id| till.sandbox.address(id).unwrap()["city"] == "Bilbao"));
}
