//! The counts that make it fast. Nothing here looks at a clock: times are for `cargo bench`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use common::{Till, sandbox, till};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};
use tillsync::{Extent, HttpRemote, Progress, Store, SyncEngine, SyncReport};

/// The statements that a connection runs, in their order; those inside triggers are not among them.
#[derive(Clone, Default)]
struct Watch {
    sql: Arc<Mutex<Vec<String>>>,
    parsed_anew: Arc<Mutex<BTreeSet<String>>>,
}

impl Watch {
    fn over(store: &mut Store) -> Watch {
        let watch = Watch::default();
        let (sql, parsed) = (watch.sql.clone(), watch.parsed_anew.clone());
        let note = move |event: TraceEvent<'_>| match event {
            TraceEvent::Stmt(statement, text) if !text.starts_with("--") => {
                sql.lock().unwrap().push(statement.sql().into_owned());
            }
            TraceEvent::Profile(statement, _) if statement.get_status(StatementStatus::RePrepare) > 2 => {
                parsed.lock().unwrap().insert(statement.sql().into_owned());
            }
            _ => {}
        };
        let events = TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_PROFILE;
        store.connection().trace_v2(events, Some(note)).unwrap();
        watch
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.sql.lock().unwrap())
    }
}

/// An engine, and what it does to the file.
fn watched(till: &Till) -> (SyncEngine<HttpRemote>, Watch) {
    let mut store = till.store();
    let watch = Watch::over(&mut store);
    (SyncEngine::new(store, till.remote(), till.options.clone()), watch)
}

/// The steps of these statements that walk through a whole table or index.
fn walks(connection: &Connection, statements: &[String]) -> BTreeSet<String> {
    let is_work = |sql: &&String| !["PRAGMA", "BEGIN", "COMMIT"].iter().any(|word| sql.starts_with(word));
    let mut walks = BTreeSet::new();
    for sql in statements.iter().filter(is_work) {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = plan.parameter_count();
        let rows = plan.query_map(rusqlite::params_from_iter(vec![1; parameters]), |row| row.get(3)).unwrap();
        walks.extend(rows.map(Result::unwrap).filter(|step: &String| step.starts_with("SCAN")));
    }
    walks
}

/// What may be walked through: it holds what is unsettled, open or on its way, and one row for each setting.
const SMALL: [&str; 29] = [
    "SCAN CONSTANT ROW",
    "SCAN journal USING INDEX tillsync_journal_unsettled",
    "SCAN journal USING COVERING INDEX tillsync_journal_unsettled",
    "SCAN conflict USING INDEX tillsync_conflict_open",
    "SCAN conflict USING COVERING INDEX tillsync_conflict_open",
    "SCAN j USING INDEX tillsync_journal_unsettled",
    "SCAN decision USING INDEX tillsync_decision_waiting",
    "SCAN batch",
    "SCAN batch_item",
    "SCAN b",
    "SCAN i",
    "SCAN pending_password",
    "SCAN tillsync_guard",
    "SCAN edit_context",
    "SCAN tillsync_held_up",
    "SCAN tillsync_attempt",
    "SCAN tillsync_attempt USING INDEX tillsync_attempt_customer",
    "SCAN tillsync_attempt USING COVERING INDEX tillsync_attempt_customer",
    // A row for each table that counts on.
    "SCAN sqlite_sequence",
    "SCAN tillsync_search_due",
    // An index by words.
    "SCAN customer_search VIRTUAL TABLE INDEX 0:=",
    "SCAN customer_search VIRTUAL TABLE INDEX 0:M5",
    // What a table of the app's refers to.
    "SCAN reference VIRTUAL TABLE INDEX 0:",
    // Once for each change of it.
    "SCAN sqlite_schema",
    "SCAN object",
    "SCAN pragma_index_info VIRTUAL TABLE INDEX 0:",
    "SCAN pragma_index_list VIRTUAL TABLE INDEX 0:",
    "SCAN pragma_index_xinfo VIRTUAL TABLE INDEX 0:",
    "SCAN pragma_table_info VIRTUAL TABLE INDEX 0:",
];

/// How many run for each of so many customers. What runs once a transaction is no part of it: on a machine that has other work there are
/// more of those.
fn for_each(customers: usize, statements: &[String]) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    statements.iter().for_each(|sql| *counts.entry(sql).or_default() += 1);
    let of_customers = counts.into_values().filter(|count| *count > customers / 2);
    of_customers.sum::<usize>().div_ceil(customers)
}

fn assert_no_walk(till: &Till, statements: &[String]) {
    let walks = walks(till.store().connection(), statements);
    let large: Vec<&String> = walks.iter().filter(|walk| !SMALL.contains(&walk.as_str())).collect();
    assert!(large.is_empty(), "{large:?}\n{}", statements.join("\n"));
}

#[test]
fn a_first_pull_runs_four_statements_a_customer() {
    let till = Till::new(sandbox(990));
    let (mut engine, watch) = watched(&till);
    engine.pull(Extent::Changes).unwrap();
    let statements = watch.take();
    assert_eq!(for_each(990, &statements), 4);
    assert!(statements.len() < 5_000, "{}", statements.len());
    assert_eq!(till.gets(), 4);
}

#[test]
fn a_page_with_nothing_new_runs_two_statements_a_customer() {
    let till = till(1_000);
    let (mut engine, watch) = watched(&till);
    engine.pull(Extent::Full).unwrap();
    let statements = watch.take();
    assert_eq!(for_each(1_000, &statements), 2);
    assert!(statements.len() < 3_000, "{}", statements.len());
}

#[test]
fn an_upload_runs_twenty_statements_a_customer_and_parses_each_once() {
    let till = till(1_000);
    for id in till.sandbox.ids().iter().take(100) {
        till.set(i64::from(*id), "phone", "555-0199");
    }
    let (mut engine, watch) = watched(&till);
    let report = engine.sync().unwrap();
    assert_eq!((report.uploaded_customers, report.requests.get, report.requests.put), (100, 1, 10));
    let statements = watch.take();
    let for_each = for_each(100, &statements);
    assert!(for_each <= 20 && statements.len() < 3_000, "{for_each} a customer of {}", statements.len());
    assert_eq!(*watch.parsed_anew.lock().unwrap(), BTreeSet::new());
    assert_no_walk(&till, &statements);
}

/// Whatever the journal and the conflicts of years hold: nobody else's are read when a customer gets the store's id.
#[test]
fn a_creation_walks_through_nothing() {
    let till = till(1_000);
    let entered = till.store().create_all(&walk_ins(20), None, None).unwrap();
    assert_eq!(entered.ids.len(), 20);
    let (mut engine, watch) = watched(&till);
    let report = engine.sync().unwrap();
    assert_eq!((report.created, report.requests.post), (20, 2));
    let statements = watch.take();
    assert_no_walk(&till, &statements);
}

fn walk_ins(count: usize) -> Vec<Vec<tillsync::Edit>> {
    let walk_in = |nth: usize| {
        let json = format!(r#"{{"email":"w{nth}@example.com","first_name":"W","last_name":"Walker"}}"#);
        tillsync::parse_new(&json).unwrap()
    };
    (0..count).map(walk_in).collect()
}

/// However many of them something of the app's holds up, whose answers are let in only in part.
#[test]
fn what_became_of_one_who_is_held_up_costs_no_more_the_more_there_are() {
    let statements_for = |customers: usize| {
        let till = till(customers);
        till.store()
            .connection()
            .execute_batch(
                "CREATE TRIGGER mine BEFORE UPDATE ON snapshot BEGIN SELECT RAISE(ABORT, 'not today'); END",
            )
            .unwrap();
        for id in till.sandbox.ids() {
            till.set(i64::from(id), "phone", "555-0199");
        }
        let (mut engine, watch) = watched(&till);
        engine.push().unwrap();
        assert_eq!(till.store().held_up().unwrap().len(), customers);
        watch.take().len()
    };
    let (few, many) = (statements_for(30), statements_for(120));
    assert!(many < 5 * few, "{few} of 30, {many} of 120");
}

/// Calls of a sync or a push of this till: reads, looks among them, and updates.
fn calls(till: &Till, work: impl FnOnce(&mut SyncEngine<HttpRemote>) -> SyncReport) -> (u64, u64, u64) {
    let report = work(&mut till.engine());
    till.assert_no_violations();
    (report.requests.get, report.looks, report.requests.put)
}

fn edit(till: &Till, count: usize) {
    till.sandbox.ids().iter().take(count).for_each(|id| till.set(i64::from(*id), "phone", "555"));
}

#[test]
fn a_sync_that_has_just_pulled_looks_at_nobody() {
    let till = till(100);
    edit(&till, 100);
    assert_eq!(calls(&till, |engine| engine.sync().unwrap()), (1, 0, 10));
}

#[test]
fn a_push_of_ten_is_one_look_and_one_update_whatever_the_others_changed() {
    let till = till(300);
    edit(&till, 10);
    till.sandbox
        .ids()
        .iter()
        .for_each(|id| till.office(i64::from(*id), serde_json::json!({"company": "news"})));
    assert_eq!(calls(&till, |engine| engine.push().unwrap()), (1, 1, 1));
    edit(&till, 260);
    assert_eq!(
        calls(&till, |engine| engine.push().unwrap()),
        (3, 3, 25),
        "ten are done; a hundred are looked at in a call"
    );
}

#[test]
fn adjustments_cost_one_look_more_and_no_more() {
    let till = till(100);
    let ids = till.sandbox.ids();
    edit(&till, 60);
    ids[40..100].iter().for_each(|id| till.adjust(i64::from(*id), "1.25"));
    assert_eq!(calls(&till, |engine| engine.sync().unwrap()), (2, 1, 10));
    ids.iter().for_each(|id| till.adjust(i64::from(*id), "1.25"));
    assert_eq!(calls(&till, |engine| engine.push().unwrap()), (1, 1, 10), "one look serves both");
}

#[test]
fn form_fields_cost_as_much_since_a_store_need_not_date_them_either() {
    let till = till(100);
    let ids = till.sandbox.ids();
    edit(&till, 60);
    let form = r#"[{"name":"size","value":"L"}]"#;
    ids[40..100].iter().for_each(|id| till.set(i64::from(*id), "form_fields", form));
    assert_eq!(calls(&till, |engine| engine.sync().unwrap()), (2, 1, 10));
}

#[test]
fn a_sync_with_nothing_to_do_makes_one_call_and_walks_through_nothing() {
    let till = till(1_000);
    let (mut engine, watch) = watched(&till);
    let report = engine.sync().unwrap();
    assert_eq!((report.requests.get, report.requests.put), (1, 0));
    let statements = watch.take();
    assert!(statements.len() < 110, "{}\n{}", statements.len(), statements.join("\n"));
    assert_no_walk(&till, &statements);
}

#[test]
fn a_page_is_written_in_one_transaction_and_in_small_ones_while_others_write() {
    let till = till(1_000);
    let (mut engine, watch) = watched(&till);
    let pull = |engine: &mut SyncEngine<HttpRemote>| {
        engine.pull(Extent::Full).unwrap();
        watch.take().iter().filter(|sql| *sql == "COMMIT").count()
    };
    // What was edited between two syncs is no company.
    pull(&mut engine);
    till.set(3, "phone", "555");
    let alone = pull(&mut engine);
    let (mut app, mut is_first) = (till.store(), true);
    let (tell, told) = std::sync::mpsc::channel();
    let mut engine = engine.on_progress(move |progress| {
        if std::mem::take(&mut is_first) {
            app.edit(4).set("phone", "555").commit().unwrap();
            tell.send(progress).unwrap();
        }
    });
    let beside_others = pull(&mut engine);
    // What came in before anybody wrote, pages that shared a commit (more of them on a machine that has other work), and then 10
    // customers at once.
    let Progress::Pulled { customers, .. } = told.recv().unwrap() else { panic!("nothing was pulled") };
    let small = (1_000 - customers as usize) / 10;
    assert!(alone < 60 && beside_others > small, "{alone}, {beside_others}, {customers}");
}

#[test]
fn reading_goes_by_an_index() {
    let till = till(100);
    till.set(3, "phone", "555");
    let mut store = till.store();
    // Until its index is whole, a search looks through everybody.
    assert!(store.complete_search().unwrap());
    let watch = Watch::over(&mut store);
    store.get(3).unwrap();
    store.find("anna", 5).unwrap();
    store.find("Anna Li", 5).unwrap();
    store.status().unwrap();
    let statements = watch.take();
    assert!(statements.len() > 10);
    assert_no_walk(&till, &statements);
    for column in ["email", "phone", "first_name", "last_name", "company"] {
        let by_hand = format!("SELECT * FROM customer WHERE {column} = ?1 COLLATE NOCASE");
        assert_no_walk(&till, &[by_hand]);
    }
}

#[test]
fn an_edit_is_one_transaction_of_few_statements() {
    let till = till(10);
    let mut store = till.store();
    let watch = Watch::over(&mut store);
    store.edit(3).set("phone", "555").commit().unwrap();
    let statements = watch.take();
    // BEGIN, the newest edit before, the update, the newest edit after, COMMIT.
    assert_eq!(statements.len(), 5, "{}", statements.join("\n"));
    assert_no_walk(&till, &statements);
}
