//! Customers are found as one types: words in any order, without regard to case and accents, phones by digits; at once after an
//! edit, whoever made it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use common::{Till, sandbox, till};
use serde_json::json;
use tillsync::{Extent, Found, Store};

/// Seven people and as many as it takes beside them; the file has been searched, and the index is whole.
fn shop() -> Till {
    let till = till(60);
    let people = [
        ("Anna", "Schmolke", "", "anna@example.com", "+49 30 1234567"),
        ("Peter", "Schmolkes", "Antiques Ltd", "peter@example.com", "030/7654321"),
        ("Jürgen", "Müller", "", "jm@example.org", "0049 (170) 555-01 42"),
        ("Zoë", "Muller-Ångström", "", "zoe@example.org", ""),
        ("Schmolke", "Anders", "", "sa@example.net", "+34600100200"),
        ("Łukasz", "O'Neill", "Café Ole", "lukasz.oneill@example.com", "12 34"),
        ("Ана", "Иванова", "", "ana@example.ru", "+7 495 123-45-67"),
    ];
    for (id, (first_name, last_name, company, email, phone)) in (1..).zip(people) {
        till.office(
            id,
            json!({"first_name": first_name, "last_name": last_name, "company": company, "email": email, "phone": phone}),
        );
    }
    till.engine().sync().unwrap();
    find(&till, "x");
    till.engine().sync().unwrap();
    till
}

fn found(till: &Till, text: &str, limit: usize) -> Found {
    till.store().find(text, limit).unwrap()
}

/// Their ids, in order.
fn find(till: &Till, text: &str) -> Vec<i64> {
    found(till, text, 100).customers.iter().map(|row| row.id().0).collect()
}

#[track_caller]
fn check(till: &Till, text: &str, expected: &[i64]) {
    assert_eq!(find(till, text), expected, "{text:?}");
}

#[test]
fn words_are_found_in_any_order_and_by_their_beginnings() {
    let till = shop();
    for text in ["schmolke anna", "schmolke, anna", "ANNA SCHMOLKE", "anna  schmolke ", "an@nna schmolke"] {
        let expected: &[i64] = if text.contains('@') { &[] } else { &[1] };
        check(&till, text, expected);
    }
    // The names are the words; then the last one is begun; then all of them are.
    check(&till, "schmolke", &[5, 1, 2]);
    check(&till, "schmolke an", &[5, 1, 2]);
    check(&till, "schmolke ande", &[5]);
    check(&till, "an schmo", &[5, 1, 2]);
    check(&till, "ltd schmolkes", &[2]);
    check(&till, "lukasz.oneill@ex", &[6]);
    check(&till, "ole", &[6]);
}

#[test]
fn case_and_accents_do_not_matter() {
    let till = shop();
    for text in ["muller", "MÜLLER", "müller", "mu\u{308}ller", "Muller"] {
        check(&till, text, &[4, 3]);
    }
    check(&till, "angstrom", &[4]);
    check(&till, "zoe", &[4]);
    check(&till, "ИВАНОВА", &[7]);
    check(&till, "o'neill", &[6]);
    check(&till, "cafe", &[6]);
}

#[test]
fn a_phone_is_found_by_its_digits_however_it_is_spelled() {
    let till = shop();
    for text in
        ["4930", "+49 30", "+49 (30) 12", "0049301234567", "030 1234", "0301234567", "1234567", "301234567"]
    {
        assert!(find(&till, text).contains(&1), "{text}");
    }
    for text in ["+49 170", "0170555", "0170 555 01", "49170", "5550142"] {
        check(&till, text, &[3]);
    }
    check(&till, "600100", &[5]);
    check(&till, "+34 600 100 200", &[5]);
    check(&till, "4951234567", &[7]);
    assert!(find(&till, "12 34").contains(&6));
}

#[test]
fn an_edit_is_found_at_once_by_whomever_it_was_made() {
    let till = shop();
    till.set(9, "last_name", "Grünwald");
    check(&till, "grunwald", &[9]);
    // Another program, by plain SQL.
    let file = tillsync::rusqlite::Connection::open(&till.path).unwrap();
    if till.key.is_none() {
        file.execute("UPDATE customer SET last_name = 'Blaustein', phone = '555 987' WHERE id = 9", [])
            .unwrap();
        check(&till, "blaustein", &[9]);
        check(&till, "grunwald", &[]);
        check(&till, "555987", &[9]);
    }
}

#[test]
fn what_comes_from_the_store_goes_into_the_index_and_who_is_gone_leaves_it() {
    let till = shop();
    till.office(10, json!({"last_name": "Ferreira"}));
    till.sandbox.delete(11);
    till.set(14, "last_name", "Given up");
    till.engine().pull(Extent::Full).unwrap();
    check(&till, "ferreira", &[10]);
    till.store().discard(14, Some("last_name"), None).unwrap();
    check(&till, "given up", &[]);
    let left = "SELECT (SELECT count(*) FROM customer_search) - (SELECT count(*) FROM customer)
                       + (SELECT count(*) FROM tillsync_search_due)";
    assert_eq!(till.store().connection().query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn more_than_were_asked_for_are_told() {
    let till = shop();
    let all = found(&till, "example", 3);
    assert_eq!((all.customers.len(), all.more), (3, true));
    let some = found(&till, "schmolke", 3);
    assert_eq!((some.customers.len(), some.more), (3, false));
    let none = found(&till, "schmolke", 0);
    assert_eq!((none.customers.len(), none.more), (0, true));
    assert_eq!(found(&till, " ,' ", 5), Found::default());
    for odd in ["\"", "* OR x", "phone:1", "a\0b", "NEAR(a b)", "{x}:y", "-", "^a"] {
        found(&till, odd, 5);
    }
}

/// A till on which nobody searches keeps no index; the first search is answered by what columns begin with, and begins it.
#[test]
fn the_index_begins_with_the_first_search() {
    let till = Till::new(sandbox(1_000));
    till.engine().pull(Extent::Changes).unwrap();
    let is_there = "SELECT count(*) FROM sqlite_schema WHERE name = 'customer_search'";
    let count = |sql: &str| till.store().connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((count(is_there), count("SELECT count(*) FROM tillsync_search_due")), (0, 0));
    let email: String = till
        .store()
        .connection()
        .query_row("SELECT email FROM customer WHERE id = 990", [], |row| row.get(0))
        .unwrap();
    check(&till, &email, &[990]);
    assert!(count("SELECT count(*) FROM tillsync_search_due") > 0, "it is not whole");
    till.set(990, "email", "Somebody@example.com");
    check(&till, "somebody", &[990]);
    till.engine().sync().unwrap();
    assert_eq!(count("SELECT count(*) FROM tillsync_search_due"), 0);
    assert_eq!(count("SELECT count(*) FROM customer_search"), 1_000);
    assert!(found(&till, "example", 10).more);
}

/// Somebody else writes, the index was thrown away, or is of no use: whoever is there is found all the same.
#[test]
fn a_search_never_fails_for_its_index() {
    let till = shop();
    let mut store = till.store();
    let mut other = till.store();
    other.connection().execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.find("schmolke", 5).unwrap().customers.len(), 3, "it waits for nobody");
    other.connection().execute_batch("ROLLBACK; DROP TABLE customer_search").unwrap();
    assert!(store.find("anna", 5).unwrap().customers.iter().any(|row| row.id().0 == 1));
    till.engine().sync().unwrap();
    check(&till, "schmolke an", &[5, 1, 2]);
}

/// Whether the file or its log has the text somewhere, in whatever case.
fn is_in_a_page(till: &Till, text: &str) -> bool {
    let log = till.path.with_extension("db-wal");
    [&till.path, &log].into_iter().any(|file| {
        let bytes = std::fs::read(file).unwrap_or_default();
        String::from_utf8_lossy(&bytes).to_lowercase().contains(text)
    })
}

/// Who is forgotten is in no page of the file, by no name of before either.
#[test]
fn who_is_forgotten_is_not_left_in_the_index() {
    let till = shop();
    for name in ["Zaunkoenig", "Kanarienvogel"] {
        till.set(15, "last_name", name);
        check(&till, name, &[15]);
        till.engine().sync().unwrap();
    }
    check(&till, "zaunkoenig", &[]);
    till.sandbox.delete(15);
    till.engine().pull(Extent::Full).unwrap();
    till.store().forget(15).unwrap();
    for part in ["narienvogel", "unkoenig"] {
        assert!(!is_in_a_page(&till, part), "{part}");
    }
    check(&till, "schmolke an", &[5, 1, 2]);
}

/// The words of before go without anybody's asking, too: with the syncs of the next day.
#[test]
fn words_that_nobody_bears_leave_the_index_with_the_next_day() {
    let till = shop();
    till.set(15, "last_name", "Zaunkoenig");
    check(&till, "zaunkoenig", &[15]);
    till.set(15, "last_name", "Kanarienvogel");
    check(&till, "kanarienvogel", &[15]);
    till.engine().sync().unwrap();
    let mut store = till.store();
    let pages = "SELECT count(*) FROM customer_search_data WHERE instr(block, CAST('unkoenig' AS BLOB))";
    let state =
        "SELECT group_concat(key) FROM state WHERE key IN ('search_left_since', 'search_written_anew')";
    let pages =
        |store: &mut Store| -> i64 { store.connection().query_row(pages, [], |row| row.get(0)).unwrap() };
    assert!(pages(&mut store) > 0, "it is no test without");
    store
        .connection()
        .execute_batch(
            "UPDATE tillsync_guard SET writing = 1;
             UPDATE state SET value = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-25 hours') WHERE key = 'search_left_since';
             UPDATE tillsync_guard SET writing = 0;",
        )
        .unwrap();
    till.engine().sync().unwrap();
    assert_eq!(pages(&mut store), 0);
    let left: Option<String> = store.connection().query_row(state, [], |row| row.get(0)).unwrap();
    assert_eq!(left, None);
    check(&till, "kanarienvogel", &[15]);
    check(&till, "zaunkoenig", &[]);
}

/// To find an edit at once takes a few rows of the index, and no waiting for the disk; an edit waits for it afterwards as before.
#[test]
fn an_edit_costs_the_index_little() {
    let till = till(2_000);
    find(&till, "x");
    till.engine().sync().unwrap();
    let (mut app, mut store) = (till.store(), till.store());
    let mut rows_of = |round: i64| {
        let name = format!("Quagga{round}");
        let one = "SELECT id FROM customer LIMIT 1 OFFSET ?1";
        let id: i64 = app.connection().query_row(one, [round * 37], |row| row.get(0)).unwrap();
        app.edit(id).set("last_name", name.as_str()).commit().unwrap();
        let before = store.connection().total_changes();
        assert_eq!(store.find(&name, 5).unwrap().customers.len(), 1);
        store.connection().total_changes() - before
    };
    let mut rows: Vec<u64> = (1..=30).map(&mut rows_of).collect();
    rows.sort_unstable();
    assert!(rows[15] <= 20, "{rows:?}");
    let waits = store.connection().query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(waits, 2);
}

/// A tool may empty SQLite's own counters: the index goes by the journal then.
#[test]
fn an_index_comes_to_its_end_where_sqlite_does_not_count() {
    for is_searched_before in [true, false] {
        let till = till(60);
        if is_searched_before {
            find(&till, "x");
            till.engine().sync().unwrap();
        }
        till.set(1, "last_name", "Quagga");
        till.store().connection().execute_batch("DELETE FROM sqlite_sequence").unwrap();
        check(&till, "quagga", &[1]);
        till.engine().sync().unwrap();
        check(&till, "quagga", &[1]);
    }
}
