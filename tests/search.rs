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

/// Everybody's, in order: some numbers are nobody's.
fn ids_of(till: &Till) -> Vec<i64> {
    let mut store = till.store();
    let mut ids = store.connection().prepare("SELECT id FROM customer ORDER BY id").unwrap();
    ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
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
    check(&till, "anders", &[5]);
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

/// Seven people and more whose companies bear the name come first by their ids, and last.
#[test]
fn names_come_before_companies() {
    let till = shop();
    for id in 1..=4 {
        till.office(id, json!({"company": "Grünwald Antiques"}));
    }
    let [.., anton, ana, an] = ids_of(&till)[..] else { panic!("nobody is there") };
    for (id, first_name) in [(anton, "Anton"), (ana, "Ana"), (an, "An")] {
        till.office(id, json!({"first_name": first_name, "last_name": "Grünwald", "company": ""}));
    }
    till.engine().sync().unwrap();
    // Of the companies those with the lowest ids, by last name.
    let first: Vec<i64> = found(&till, "grunwald an", 5).customers.iter().map(|row| row.id().0).collect();
    assert_eq!(first, [an, ana, anton, 3, 1]);
}

#[test]
fn letters_that_are_more_than_accents_are_found_by_plain_ones_and_the_other_way_round() {
    let till = shop();
    till.set(20, "last_name", "Großmann");
    till.set(21, "last_name", "Grossmann");
    till.set(22, "last_name", "Sørensen");
    for text in ["großm", "grossm", "GROSSMANN", "Großmann"] {
        check(&till, text, &[21, 20]);
    }
    for text in ["lukasz", "łukasz", "oneill", "o'neill", "o’neill", "O NEILL", "lukasz oneill"] {
        check(&till, text, &[6]);
    }
    check(&till, "sorensen", &[22]);
    check(&till, "sørensen", &[22]);
}

/// Pieces of names, with what is odd about letters of each script.
const PIECES: &[&str] = &[
    "anna",
    "Ånna",
    "MÜLLER",
    "Mu\u{308}ller",
    "Lüdenscheidt",
    "Schmidt",
    "Иванова",
    "ЁЛКИН",
    "Παπαδόπουλος",
    "ΣΟΦΊΑΣ",
    "محمد",
    "مُحَمَّد",
    "שָׁלוֹם",
    "हिन्दी",
    "สมชาย",
    "山田",
    "タロウ",
    "ガ",
    "김철수",
    "O'Brien",
    "D’Angelo",
    "Łukasz",
    "Straße",
    "STRASSE",
    "Ⓐ",
    "İbrahim",
    "ırmak",
    "ﬁsher",
    "e\u{301}cole",
    "ſmith",
    "x²",
    "ⅷ",
    "Nguyễn",
    "Đặng",
    "😀",
    "Ǆ",
    "a_b",
    "0301",
    "1234",
    "Ცotne",
    "𐐀𐐨",
    "\u{301}a",
];

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn piece(&mut self) -> &'static str {
        PIECES[self.up_to(PIECES.len())]
    }

    fn name(&mut self) -> String {
        let pieces: Vec<&str> = (0..=self.up_to(2)).map(|_| self.piece()).collect();
        pieces.join([" ", "-", "", ", "][self.up_to(4)])
    }

    fn question(&mut self) -> String {
        let mut words = Vec::new();
        for _ in 0..=self.up_to(3) {
            let letters: Vec<char> = self.piece().chars().collect();
            let word: String = letters[..=self.up_to(letters.len())].iter().collect();
            words.push(match self.up_to(3) {
                0 => word.to_lowercase(),
                1 => word.to_uppercase(),
                _ => word,
            });
        }
        words.join(" ")
    }
}

/// What the table itself answers, what the index answers, and what both do together: the same people in the same order.
#[test]
fn a_search_finds_the_same_with_and_without_its_index() {
    let till = till(120);
    let (mut store, mut other) = (till.store(), till.store());
    let mut dice = Dice(17);
    let ids = ids_of(&till);
    let mut rename = |ids: &[i64], dice: &mut Dice| {
        for &id in ids {
            let names = [dice.name(), dice.name(), dice.name()];
            let phone = format!("+49 {} {}", dice.up_to(1_000), dice.up_to(10_000));
            let edit = store.edit(id).set("last_name", &names[0]).set("first_name", &names[1]);
            edit.set("company", &names[2]).set("phone", &phone).commit().unwrap();
        }
    };
    rename(&ids, &mut dice);
    let mut questions: Vec<String> = (0..150).map(|_| dice.question()).collect();
    questions.extend(["49", "+49 1", "0049", "1 2", "030", "example", "a b c"].map(str::to_owned));
    let mut searching = till.store();
    let mut answers = |is_kept_from_writing: bool| {
        if is_kept_from_writing {
            other.connection().execute_batch("BEGIN IMMEDIATE").unwrap();
        } else {
            assert!(searching.complete_search().unwrap());
        }
        let ids = |found: &Found| found.customers.iter().map(|row| row.id().0).collect::<Vec<i64>>();
        let mut all = Vec::new();
        for text in &questions {
            let (some, everybody) = (searching.find(text, 3).unwrap(), searching.find(text, 1_000).unwrap());
            all.push((text.clone(), ids(&some), some.more, ids(&everybody)));
        }
        if is_kept_from_writing {
            other.connection().execute_batch("ROLLBACK").unwrap();
        }
        all
    };
    let (by_table, by_index) = (answers(true), answers(false));
    assert_eq!(by_table, by_index);
    let found_some = by_table.iter().filter(|(_, _, _, all)| !all.is_empty()).count();
    assert!(found_some > 50, "{found_some}: it is no test without");
    rename(&ids[30..70], &mut dice);
    let (by_both, by_index) = (answers(true), answers(false));
    assert_eq!(by_both, by_index);
}

/// Nobody has searched, or somebody has just begun to: everybody is found by words all the same, and how far it is can be seen.
#[test]
fn a_search_is_right_before_its_index_is_whole() {
    let till = till(1_500);
    let state = || -> Option<String> {
        till.store().connection().query_row("SELECT search FROM sync_state", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(state(), None);
    let ids = ids_of(&till);
    let [.., anna, andreas] = ids[..] else { panic!("nobody is there") };
    for (id, first_name) in [(anna, "Anna"), (andreas, "Andreas"), (ids[0], "Berta")] {
        till.set(id, "first_name", first_name);
        till.set(id, "last_name", "Quaggasmith");
    }
    check(&till, "quaggasmith an", &[andreas, anna]);
    assert_eq!(state().as_deref(), Some("incomplete"));
    check(&till, "an, QUAGGA", &[andreas, anna]);
    let one = found(&till, "quagga", 2);
    assert_eq!((one.customers.len(), one.more), (2, true));
    assert!(till.store().complete_search().unwrap());
    assert_eq!(state().as_deref(), Some("complete"));
    check(&till, "quaggasmith an", &[andreas, anna]);
}

/// Whoever searches by SQL alone has it made by the command.
#[cfg(feature = "cli")]
#[test]
fn the_command_completes_the_index_after_its_answer() {
    let till = till(1_500);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tillsync"));
    command.args(["find", "example", "--limit", "1", "--db"]).arg(&till.path);
    if let Some(key) = &till.key {
        command.env("TILLSYNC_KEY", key);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let state: String =
        till.store().connection().query_row("SELECT search FROM sync_state", [], |row| row.get(0)).unwrap();
    assert_eq!(state, "complete");
}

/// An index of an older build has no plain words: it is made anew, and nobody is missed meanwhile.
#[test]
fn an_index_of_another_spelling_is_made_anew() {
    let till = shop();
    till.store()
        .connection()
        .execute_batch(
            "UPDATE tillsync_guard SET writing = 1;
             DELETE FROM state WHERE key = 'search_spelled';
             UPDATE tillsync_guard SET writing = 0;
             DELETE FROM customer_search WHERE rowid = 6;
             INSERT INTO customer_search (rowid, last_name) VALUES (6, 'O''Neill'), (999, 'Gone');",
        )
        .unwrap();
    check(&till, "oneill", &[6]);
    assert!(till.store().complete_search().unwrap());
    check(&till, "oneill", &[6]);
    let gone = "SELECT count(*) FROM customer_search('gone')";
    assert_eq!(till.store().connection().query_row(gone, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

/// A till on which nobody searches keeps no index; the first search is answered from the table, and begins it.
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
