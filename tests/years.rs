//! A file grows old: what settled long ago goes, what is asked of one customer walks through nobody else's edits, and what is
//! personal of a customer that is gone goes when it is said.

#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "the helpers of a test fail as a test does")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use common::{SOON, Till, soon, till};
use serde_json::{Value, json};
use tillsync::rusqlite::Connection;
use tillsync::{
    CustomerId, EditSeq, Extent, Fate, Progress, Store, SyncEngine, SyncOptions, Syncer, SyncerOptions,
};

/// So many settled edits, one an hour until now; of customers 1 to 50 in turn.
fn age(till: &Till, edits: i64) {
    settle(till, edits, 3_600);
    let now = Utc::now();
    let noted = (0..edits).step_by(24).map(|n| (now - TimeDelta::hours(edits - n), newest(n, 0)));
    let noted = serde_json::to_string(&noted.collect::<Vec<_>>()).unwrap();
    let note = "INSERT OR REPLACE INTO state (key, value) VALUES ('newest_rows', ?1)";
    common::as_engine(till.store().connection(), note, [noted]);
}

/// The newest rows, as a sync notes them.
fn newest(edit: i64, decision: i64) -> Value {
    json!({ "edit": edit, "decision": decision })
}

/// The same, one in so many seconds; when they came, no sync has noted.
fn settle(till: &Till, edits: i64, apart_s: i64) {
    let mut store = till.store();
    let file = store.connection();
    file.execute(
        "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ?1 - 1)
         INSERT INTO journal (customer_id, field, op, value, was, at, author, outcome, settled_at, engine_mark)
         SELECT 1 + n % 50, 'phone', 'set', '\"' || n || '\"', '\"' || (n - 50) || '\"', at, 'ana', 'uploaded', at, 1
         FROM (SELECT n, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || ((?1 - n) * ?2) || ' seconds') AS at FROM n)",
        [edits, apart_s],
    )
    .unwrap();
}

fn rows(till: &Till, table: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    till.store().connection().query_row(&count, [], |row| row.get(0)).unwrap()
}

/// Steps of SQLite's machine that something takes.
fn steps<T>(store: &mut Store, work: impl Fn(&Store) -> T) -> u64 {
    let steps = Arc::new(AtomicU64::new(0));
    let count = steps.clone();
    let counting = move || {
        count.fetch_add(1, Ordering::Relaxed);
        false
    };
    store.connection().progress_handler(1, Some(counting)).unwrap();
    work(store);
    store.connection().progress_handler(0, None::<fn() -> bool>).unwrap();
    steps.load(Ordering::Relaxed)
}

// ---- retention ---------------------------------------------------------------------------------------------------

#[test]
fn a_sync_removes_a_little_of_what_is_past_its_retention_and_nothing_that_waits() {
    let till = till(60);
    age(&till, 24 * 500);
    till.set(1, "phone", "waits");
    let long_ago = "UPDATE journal SET at = '2001-01-01T00:00:00.000Z', engine_mark = NOT engine_mark WHERE settled_at IS NULL";
    till.store().connection().execute(long_ago, []).unwrap();
    let before = rows(&till, "journal");
    till.engine().sync().unwrap();
    let after = rows(&till, "journal");
    assert!((1_000..=2_400).contains(&(before - after)), "{before}, then {after}");
    while rows(&till, "journal") > 24 * 401 + 1 {
        till.engine().sync().unwrap();
    }
    till.engine().sync().unwrap();
    assert!(rows(&till, "journal") >= 24 * 400, "the rest is younger");
    assert_eq!(till.outcomes(1, "phone").last().unwrap(), "uploaded");
}

/// Four hundred days pass in which an edit settles every hour, and syncs run.
fn days_pass(till: &Till) {
    const EDITS: i64 = 24 * 400;
    let pass = "UPDATE journal
                SET at = strftime('%Y-%m-%dT%H:%M:%fZ', at, '-400 days'), engine_mark = NOT engine_mark,
                    settled_at = strftime('%Y-%m-%dT%H:%M:%fZ', settled_at, '-400 days')";
    till.store().connection().execute(pass, []).unwrap();
    let before: i64 = {
        let newest = "SELECT coalesce(max(seq), 0) FROM journal";
        till.store().connection().query_row(newest, [], |row| row.get(0)).unwrap()
    };
    settle(till, EDITS, 3_600);
    let now = Utc::now();
    let noted = (0..EDITS).step_by(24).map(|n| (now - TimeDelta::hours(EDITS - n), newest(before + n, 0)));
    let long_ago = [(now - TimeDelta::days(401), newest(before, 0))];
    let noted = serde_json::to_string(&long_ago.into_iter().chain(noted).collect::<Vec<_>>()).unwrap();
    let note = "INSERT OR REPLACE INTO state (key, value) VALUES ('newest_rows', ?1)";
    common::as_engine(till.store().connection(), note, [noted]);
    while rows(till, "journal") > EDITS + 24 {
        till.engine().sync().unwrap();
    }
}

#[test]
fn a_file_stays_as_large_as_it_was_when_the_first_of_its_history_went() {
    let till = till(60);
    let mut pages = Vec::new();
    for _ in 0..5 {
        days_pass(&till);
        let size = "SELECT page_count FROM pragma_page_count";
        pages.push(till.store().connection().query_row(size, [], |row| row.get::<_, i64>(0)).unwrap());
    }
    // In the second year all of it came before any of the first went; larger numbers of rows take a byte more.
    assert!(pages[1] > pages[0] && pages[4] <= pages[1] + pages[1] / 20, "{pages:?}");
}

#[test]
fn how_long_is_an_option_and_for_ever_too() {
    let mut till = till(3);
    age(&till, 1_000);
    till.options = SyncOptions { retention: None, ..till.options.clone() };
    till.engine().sync().unwrap();
    assert_eq!(rows(&till, "journal"), 1_000);
    till.options = SyncOptions { retention: Some(Duration::from_secs(3_600 * 100)), ..till.options.clone() };
    till.engine().sync().unwrap();
    assert!((99..=125).contains(&rows(&till, "journal")));
}

#[test]
fn how_long_is_a_setting_of_the_command() {
    let till = till(3);
    age(&till, 1_000);
    assert_eq!(till.run(["sync", "--retention", "0"]).exit, Some(0));
    assert_eq!(rows(&till, "journal"), 1_000);
    assert_eq!(till.run(["sync", "--retention", "5"]).exit, Some(0));
    assert!((119..=145).contains(&rows(&till, "journal")));
    assert_eq!(till.run(["sync", "--retention", "-1"]).exit, Some(2));
}

/// These rows were the newest ones longer ago than anything is kept.
fn note_newest(till: &Till, newest: Value) {
    let noted = json!([[Utc::now() - TimeDelta::days(401), newest]]).to_string();
    let note = "UPDATE state SET value = ?1 WHERE key = 'newest_rows'";
    assert_eq!(common::as_engine(till.store().connection(), note, [noted]), 1);
}

/// What a clock says that was years off when an edit settled, or is so now, makes no edit old.
#[test]
fn a_clock_that_was_years_off_makes_nothing_old() {
    let till = till(3);
    till.set(1, "phone", "yesterday");
    till.engine().sync().unwrap();
    let off = "UPDATE journal SET settled_at = '2001-01-01T00:00:00.000Z', engine_mark = NOT engine_mark";
    assert_eq!(till.store().connection().execute(off, []).unwrap(), 1);
    till.engine().sync().unwrap();
    assert_eq!(rows(&till, "journal"), 1, "it was not there 400 days ago");
    note_newest(&till, newest(1, 0));
    till.engine().sync().unwrap();
    assert_eq!(rows(&till, "journal"), 0, "now it was");
}

/// Nor where a person asks for what is old to go.
#[test]
fn a_clock_that_was_years_off_gives_prune_nothing_to_remove() {
    let till = till(3);
    till.set(1, "phone", "today");
    till.engine().sync().unwrap();
    let off = "UPDATE journal SET settled_at = '2001-01-01T00:00:00.000Z', engine_mark = NOT engine_mark";
    assert_eq!(till.store().connection().execute(off, []).unwrap(), 1);
    till.engine().sync().unwrap();
    assert_eq!(till.run(["prune", "--older-than", "400"]).json["removed"], 0);
    assert_eq!(rows(&till, "journal"), 1);
    note_newest(&till, newest(1, 0));
    assert_eq!(till.run(["prune", "--older-than", "400"]).json["removed"], 1, "it was there by then");
}

/// The till's clock is two years behind while it syncs, and is set right.
#[test]
fn what_settled_a_moment_ago_is_not_old_when_the_clock_is_set() {
    let till = till(300);
    let off = TimeDelta::days(730);
    till.sandbox.set_clock_offset(off);
    till.engine().pull(Extent::Full).unwrap();
    till.set(1, "phone", "today");
    till.engine().sync().unwrap();
    let long_ago = Utc::now() + off - TimeDelta::days(400);
    assert_eq!(till.store().prune(long_ago).unwrap(), 0);
    assert_eq!(rows(&till, "journal"), 1);
    assert_eq!(till.store().prune(Utc::now() + off + TimeDelta::days(1)).unwrap(), 1, "all of it");
}

/// Customer 1 has a conflict that was decided by SQL.
fn decide(till: &Till) {
    till.set(1, "phone", "ours");
    till.office(1, json!({"phone": "theirs"}));
    till.engine().sync().unwrap();
    let decide = "INSERT INTO decision (seen, keep, author) SELECT seen, 'remote', 'ana' FROM to_decide";
    let mut store = till.store();
    assert_eq!(store.connection().execute(decide, []).unwrap(), 1);
    assert_eq!(store.carry_out_decisions().unwrap(), 1);
}

#[test]
fn nor_does_it_make_a_decision_old() {
    let till = till(3);
    decide(&till);
    let off = "BEGIN; UPDATE tillsync_guard SET writing = 1;
               UPDATE decision SET decided_at = '2001-01-01T00:00:00.000Z';
               UPDATE tillsync_guard SET writing = 0; COMMIT";
    till.store().connection().execute_batch(off).unwrap();
    till.engine().sync().unwrap();
    note_newest(&till, newest(0, 0));
    till.engine().sync().unwrap();
    assert_eq!(rows(&till, "decision"), 1, "it was not there 400 days ago");
    // Of decisions that are all gone: ids began anew since.
    note_newest(&till, newest(0, 500));
    till.engine().sync().unwrap();
    assert_eq!(rows(&till, "decision"), 1);
    note_newest(&till, newest(0, 1));
    till.engine().sync().unwrap();
    assert_eq!(rows(&till, "decision"), 0, "now it was");
}

#[test]
fn prune_removes_all_of_it_at_once_and_decided_conflicts_too() {
    let till = till(60);
    age(&till, 3_000);
    let [first, second] = [0, 1].map(|nth| i64::from(till.sandbox.ids()[nth]));
    till.set(first, "phone", "ours");
    till.office(first, json!({"phone": "theirs"}));
    till.engine().sync().unwrap();
    till.set(second, "phone", "pending");
    till.store().resolve(first, "phone", &tillsync::Keep::Remote, None).unwrap();
    let ran = till.run(["prune", "--older-than", "90"]);
    let old = ran.json["removed"].as_u64().unwrap();
    assert!(ran.exit == Some(0) && (840..=841).contains(&old), "{ran:?}");
    assert_eq!(rows(&till, "conflict"), 1);
    let removed = till.run(["prune", "--older-than", "0"]).json["removed"].as_u64();
    assert_eq!(removed, Some(3_002 - old), "the conflict and its edit are settled as well");
    assert_eq!((rows(&till, "conflict"), rows(&till, "journal")), (0, 1), "what is pending waits on");
}

// ---- forgotten ---------------------------------------------------------------------------------------------------

#[test]
fn what_is_personal_of_a_customer_that_is_gone_leaves_the_file_and_its_log() {
    let till = till(30);
    let secret = "Rua das Flores 77";
    till.set(7, "company", secret);
    till.engine().sync().unwrap();
    let ran = till.run(["forget", "7"]);
    assert_eq!(ran.exit, Some(2));
    assert!(
        ran.json["error"]["message"].as_str().unwrap().starts_with("customer 7: is in the store"),
        "{ran:?}"
    );
    assert!(till.sandbox.delete(7));
    till.engine().pull(Extent::Full).unwrap();
    let removed = till.run(["forget", "7"]);
    assert_eq!((removed.exit, removed.json["removed"].as_u64()), (Some(0), Some(1)));
    for entry in std::fs::read_dir(till.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{}", path.display());
    }
    assert_eq!(till.run(["forget", "7"]).exit, Some(2), "nobody knows it any more");
}

/// Its reason may quote what was edited, and its author is somebody too.
#[test]
fn what_was_decided_of_a_customer_that_is_gone_is_forgotten_with_it() {
    let till = till(30);
    decide(&till);
    till.sandbox.delete(1);
    till.engine().pull(Extent::Full).unwrap();
    let decisions = rows(&till, "decision");
    assert_eq!(
        (decisions, till.store().forget(1).unwrap()),
        (1, 3),
        "the edit, the conflict, and the decision"
    );
    assert_eq!(rows(&till, "decision"), 0);
}

#[test]
fn nobody_is_forgotten_of_whom_something_waits() {
    let till = till(30);
    till.set(7, "company", "not sent yet");
    assert!(till.sandbox.delete(7));
    till.engine().pull(Extent::Full).unwrap();
    let refused = till.store().forget(7).unwrap_err();
    assert!(refused.to_string().contains("edits that wait"), "{refused}");
    assert!(refused.hint().unwrap().starts_with("nothing was removed"), "{:?}", refused.hint());
    till.store().discard(7, None, None).unwrap();
    assert_eq!(till.store().forget(7).unwrap(), 2, "the edit and the conflict");
}

#[test]
fn nobody_is_forgotten_of_whom_values_are_set_aside() {
    let till = till(10);
    for id in [7, 77] {
        let aside = format!(r#"values_set_aside:{id}:{{"customer_id":{id},"values":{{"phone":"\"1\""}}}}"#);
        let note = "INSERT INTO state (key, value) VALUES (?1, '')";
        common::as_engine(till.store().connection(), note, [aside]);
    }
    till.set(7, "phone", "555");
    till.engine().sync().unwrap();
    assert!(till.sandbox.delete(7));
    till.engine().pull(Extent::Full).unwrap();
    let refused = till.store().forget(7).unwrap_err();
    assert!(refused.to_string().contains("set aside"), "{refused}");
    assert_eq!(till.store().discard(7, None, None).unwrap(), 1);
    assert_eq!(till.store().forget(7).unwrap(), 1);
    assert_eq!(till.store().set_aside().unwrap().len(), 1, "of another customer");
}

/// What is pruned takes no place in the journal with it.
#[test]
fn a_receipt_counts_its_own_edits_after_the_journal_was_pruned() {
    let till = till(3);
    for n in 0..10 {
        till.set(1, "phone", &format!("55{n}"));
    }
    till.engine().sync().unwrap();
    let mut store = till.store();
    assert_eq!(store.prune(Utc::now() + TimeDelta::days(1)).unwrap(), 10);
    let receipt = store.edit(1).set("phone", "1").set("company", "2").commit().unwrap();
    assert_eq!(receipt.fields(), 2);
    assert_eq!(store.edit(1).set("phone", "1").commit().unwrap().fields(), 0);
    till.engine().sync().unwrap();
    store.prune(Utc::now() + TimeDelta::days(1)).unwrap();
    let sale = store.connection().transaction().unwrap();
    let phone = "UPDATE customer SET phone = '3' WHERE id = 1";
    let ((), receipt) = tillsync::Receipt::around(&sale, |sale| sale.execute_batch(phone)).unwrap();
    sale.commit().unwrap();
    assert_eq!(receipt.fields(), 1);
}

// ---- what an app keeps -------------------------------------------------------------------------------------------

fn keeper(till: &Till, sql: &str) {
    till.store().connection().execute_batch(&format!("CREATE TRIGGER my_keeper {sql} END")).unwrap();
}

/// What `doctor` says of the history.
fn history(till: &Till) -> (bool, String) {
    let said = till.run(["doctor"]).json;
    let check = said["checks"].as_array().unwrap().iter().find(|check| check["name"] == "history").unwrap();
    (check["ok"].as_bool().unwrap(), check["detail"].as_str().unwrap().to_owned())
}

#[test]
fn what_a_trigger_does_not_let_go_stays_and_a_sync_goes_on() {
    for says in ["IGNORE", "ABORT, 'kept'", "FAIL, 'kept'", "ROLLBACK, 'kept'"] {
        let till = till(60);
        age(&till, 24 * 500);
        keeper(&till, &format!("BEFORE DELETE ON journal BEGIN SELECT RAISE({says});"));
        till.set(1, "phone", "sent");
        assert_eq!(till.engine().sync().unwrap().uploaded_fields, 1, "{says}");
        assert_eq!(rows(&till, "journal"), 24 * 500 + 1, "{says}");
        let (ok, detail) = history(&till);
        assert!(!ok && detail.contains("my_keeper"), "{says}: {detail}");
        let kept = till.run(["prune", "--older-than", "0"]);
        assert_eq!((kept.exit, kept.json["error"]["code"].as_str()), (Some(6), Some("kept")), "{says}");
        assert!(kept.json["error"]["message"].as_str().unwrap().contains("my_keeper"), "{kept:?}");
        let marked = "SELECT count(*) FROM journal WHERE engine_mark = 2";
        let marked: i64 = till.store().connection().query_row(marked, [], |row| row.get(0)).unwrap();
        assert_eq!(marked, 0, "nothing is left that anybody may delete");
        till.store().connection().execute_batch("DROP TRIGGER my_keeper").unwrap();
        till.engine().sync().unwrap();
        assert!(rows(&till, "journal") < 24 * 500, "{says}");
        assert!(history(&till).0, "{says}");
    }
}

#[test]
fn what_a_trigger_keeps_of_some_is_passed_over() {
    let till = till(60);
    age(&till, 3_000);
    keeper(&till, "BEFORE DELETE ON journal WHEN OLD.customer_id <= 20 BEGIN SELECT RAISE(IGNORE);");
    let kept = till.store().prune(Utc::now() + TimeDelta::days(1)).unwrap_err();
    assert!(kept.to_string().starts_with("1800 removed, and 1200 kept"), "{kept}");
    assert_eq!(rows(&till, "journal"), 1_200);
}

/// `RAISE(ROLLBACK)` takes back what was removed beside it, and all of that is removed once more.
#[test]
fn what_ends_the_removal_of_some_is_passed_over_too() {
    let till = till(60);
    age(&till, 3_000);
    keeper(
        &till,
        "BEFORE DELETE ON journal WHEN OLD.customer_id = 20 AND OLD.seq < 1500 BEGIN SELECT RAISE(ROLLBACK, 'mine');",
    );
    let keeps = "SELECT count(*) FROM journal WHERE customer_id = 20 AND seq < 1500";
    let keeps: i64 = till.store().connection().query_row(keeps, [], |row| row.get(0)).unwrap();
    assert!((20..=100).contains(&keeps), "{keeps}");
    let kept = till.store().prune(Utc::now() + TimeDelta::days(1)).unwrap_err();
    let says = format!("{} removed, and {keeps} kept", 3_000 - keeps);
    assert!(kept.to_string().starts_with(&says) && kept.to_string().ends_with("mine"), "{kept}");
    assert_eq!(rows(&till, "journal"), keeps);
    assert!(kept.to_string().contains("my_keeper"), "{kept}");
}

#[test]
fn whoever_is_to_be_forgotten_and_is_kept_is_told() {
    let tables = [("journal", 1), ("conflict", 0), ("customer", 0)];
    let ways = ["IGNORE", "ROLLBACK, 'mine'"].map(|way| tables.map(|(table, left)| (way, table, left)));
    for (way, table, left) in ways.into_iter().flatten() {
        let till = till(10);
        till.set(7, "phone", "ours");
        assert!(till.sandbox.delete(7));
        till.engine().pull(Extent::Full).unwrap();
        till.store().discard(7, None, None).unwrap();
        let sql = "BEGIN; UPDATE tillsync_guard SET writing = 1; INSERT OR IGNORE INTO customer (id, engine_mark) VALUES (7, 1);
                   UPDATE tillsync_guard SET writing = 0; COMMIT";
        till.store().connection().execute_batch(sql).unwrap();
        keeper(&till, &format!("BEFORE DELETE ON {table} BEGIN SELECT RAISE({way});"));
        let kept = till.store().forget(7).unwrap_err();
        assert_eq!(kept.code(), "kept", "{table}: {kept}");
        assert_eq!(rows(&till, "journal"), left, "{table}: {way}");
        till.store().connection().execute_batch("DROP TRIGGER my_keeper").unwrap();
        assert!(till.store().forget(7).unwrap() > 0);
    }
}

// ---- deletions ---------------------------------------------------------------------------------------------------

/// Whoever was deleted shows in no list of changes: the worker asks for everybody now and then, a little with each sync.
#[test]
fn the_worker_finds_a_deletion_by_itself_a_few_pages_at_a_time() {
    let till = till(1_600);
    let gone = i64::from(till.sandbox.ids()[1_500]);
    assert!(till.sandbox.delete(i32::try_from(gone).unwrap()));
    let options = SyncerOptions {
        every: Duration::from_millis(100),
        full_every: Some(Duration::from_secs(3_600)),
        look: Duration::from_millis(20),
        ..SyncerOptions::default()
    };
    let (syncer, _events) = Syncer::start(till.engine(), options.clone()).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(till.store().get(gone).unwrap().is_some(), "the last time was just now");
    assert!(syncer.stop(SOON));
    let long_ago = "UPDATE state SET value = '2026-01-01T00:00:00Z' WHERE key = 'last_full_pull_at'";
    assert_eq!(common::as_engine(till.store().connection(), long_ago, []), 1);
    till.sandbox.clear_requests();
    let (_syncer, _events) = Syncer::start(till.engine(), options).unwrap();
    soon(|| till.store().get(gone).unwrap().is_none());
    let asked: Vec<bool> = till
        .sandbox
        .requests()
        .iter()
        .map(|request| format!("{request:?}").contains("date_modified"))
        .collect();
    let in_a_row = asked.split(|for_news| *for_news).map(<[bool]>::len).max().unwrap();
    assert!(asked.iter().filter(|for_news| !**for_news).count() >= 7, "{asked:?}");
    assert!(in_a_row <= 6, "other syncs come in between: {asked:?}");
}

// ---- pages -------------------------------------------------------------------------------------------------------

#[test]
fn the_log_is_read_page_by_page_newest_first() {
    let till = till(60);
    age(&till, 1_000);
    till.set(7, "phone", "newest");
    let store = till.store();
    for id in [None, Some(CustomerId(7))] {
        let all = store.journal(id).unwrap();
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = store.journal_page(id, before, 7).unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.seq);
            paged.extend(page);
        }
        paged.reverse();
        assert_eq!(paged, all);
    }
    let seqs = |arguments: &[&str]| -> Vec<i64> {
        let ran = till.run(arguments.iter().copied());
        ran.json.as_array().unwrap().iter().map(|row| row["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!(seqs(&["log", "--limit", "2"]), [1_000, 1_001]);
    assert_eq!(seqs(&["log", "7", "--limit", "2", "--before", "1001"]), [907, 957]);
    assert_eq!(seqs(&["log"]).len(), 1_000);
}

#[test]
fn lists_of_what_waits_are_read_page_by_page() {
    let till = till(12);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    for id in ids.iter().copied() {
        till.set(id, "phone", "ours");
        till.office(id, json!({"phone": "theirs"}));
    }
    till.engine().sync().unwrap();
    let store = till.store();
    let all = store.conflicts().unwrap();
    assert_eq!(all.len(), 12);
    assert_eq!(store.conflicts_page(0, 5).unwrap(), all[..5]);
    assert_eq!(store.conflicts_page(all[4].id, 100).unwrap(), all[5..]);
    let after = all[9].id.to_string();
    let ran = till.run(["conflicts", "--after", &after, "--limit", "1"]);
    assert_eq!(ran.json[0]["id"], all[10].id);
    assert_eq!(ran.json.as_array().unwrap().len(), 1);
    let taken = till.local(ids[0], "email");
    for id in &ids[1..5] {
        till.set(*id, "email", taken.trim_matches('"'));
    }
    till.engine().sync().unwrap();
    let all = store.rejected().unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(store.rejected_page(EditSeq(0), 3).unwrap(), all[..3]);
    let (after, limit) = (all[2].seq.to_string(), "5");
    assert_eq!(till.run(["rejected", "--after", &after, "--limit", limit]).json[0]["seq"], all[3].seq.0);
}

#[test]
fn what_is_asked_of_one_customer_costs_the_same_in_an_old_file() {
    let (young, old) = (till(60), till(60));
    age(&young, 2_000);
    age(&old, 40_000);
    let costs = [&young, &old].map(|till| {
        let replaced = till.store().edit(7).set("phone", "newer").commit().unwrap();
        till.set(7, "phone", "newest");
        till.engine().push().unwrap();
        assert_eq!(till.store().fate(&replaced).unwrap(), Fate::Superseded);
        till.set(7, "phone", "newest of all");
        let (mut store, id) = (till.store(), Some(CustomerId(7)));
        [
            steps(&mut store, |store| store.journal_page(id, None, 20).unwrap()),
            steps(&mut store, |store| store.journal_page(None, None, 20).unwrap()),
            steps(&mut store, |store| store.pending(7).unwrap()),
            steps(&mut store, |store| store.status().unwrap()),
            steps(&mut store, |store| store.conflicts().unwrap()),
            steps(&mut store, |store| store.rejected().unwrap()),
            steps(&mut store, |store| store.diff(&[]).unwrap()),
            steps(&mut store, |store| store.fate(&replaced).unwrap()),
        ]
    });
    for (few, many) in costs[0].iter().zip(&costs[1]) {
        assert!(many * 10 <= few * 11 + 100, "{costs:?}");
    }
}

// ---- what a long text costs ----------------------------------------------------------------------------------------

#[test]
fn a_line_added_to_a_long_note_at_every_sale_costs_a_line() {
    let till = till(1);
    let mut note = "a line of a customer's note\n".repeat(400);
    for sale in 0..20 {
        note += &format!("sale {sale}\n");
        till.set(1, "notes", &note);
        till.engine().push().unwrap();
    }
    let (bytes, value): (i64, String) = till
        .store()
        .connection()
        .query_row(
            "SELECT sum(length(value) + length(was)), max(value) FROM journal WHERE seq > 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!(bytes < 20 * 500, "{bytes} bytes of twenty lines that were added to {}", note.len());
    assert!(value.starts_with("\"…") && value.ends_with("\\n\""), "{value}");
}

/// Each is taken back only while nothing came after it: of the others stays what both sides did.
#[test]
fn a_line_that_both_sides_add_again_and_again_costs_a_line() {
    let till = till(1);
    let note = |ours: usize, theirs: usize| {
        let lines = |who: &str, count: usize| (0..count).map(|n| format!("{who} {n}\n")).collect::<String>();
        lines("ours", ours) + &"a line of a customer's note\n".repeat(400) + &lines("theirs", theirs)
    };
    till.office(1, json!({ "notes": note(0, 0) }));
    till.engine().sync().unwrap();
    for n in 1..=20 {
        till.set(1, "notes", &note(n, n - 1));
        till.office(1, json!({ "notes": note(n - 1, n) }));
        till.engine().sync().unwrap();
    }
    assert_eq!(till.remote_value(1, "notes"), json!(note(20, 20)).to_string());
    assert_eq!(rows(&till, "conflict"), 20);
    let bytes: usize = till
        .store()
        .connection()
        .query_row(
            "SELECT sum(length(base) + length(local) + length(remote) + length(result)) FROM conflict",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(
        bytes < 5 * note(20, 20).len() + 20 * 2_500,
        "{bytes} bytes of twenty merges of {}",
        note(20, 20).len()
    );
    assert_eq!(till.store().undo(1, None).unwrap_err().code(), "usage", "both have edited since");
}

/// A till that is offline for days, and adds a line at every sale to a note of 40 kB.
#[test]
fn a_line_added_again_and_again_while_nothing_goes_up_costs_a_line() {
    const SALES: usize = 400;
    let till = till(1);
    let offline = Till { api_url: "http://127.0.0.1:1".to_owned(), ..till.clone() };
    let mut note = "a line of a customer's note\n".repeat(1_400);
    let mut store = till.store();
    let file = store.connection();
    for sale in 0..SALES {
        note += &format!("sale {sale}\n");
        assert_eq!(file.execute("UPDATE customer SET notes = ?1 WHERE id = 1", [&note]), Ok(1));
        if sale % 20 == 0 {
            assert!(offline.engine().sync().unwrap_err().is_offline());
        }
    }
    let bytes: u64 = file
        .query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert!(bytes < 6 << 20, "{bytes} bytes of {SALES} lines that were added to {}", note.len());
    assert_eq!(rows(&till, "journal"), SALES as i64, "each is there");
    let since: i64 = file
        .query_row("SELECT min(seq) FROM journal WHERE settled_at IS NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(since, 1, "and since when it waits");
    // Whoever takes back the last line takes back that one.
    store.discard_row(EditSeq(SALES as i64), None).unwrap();
    let before = note.replace(&format!("sale {}\n", SALES - 1), "");
    assert_eq!(till.local(1, "notes"), serde_json::to_string(&before).unwrap());
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "notes"), serde_json::to_string(&before).unwrap());
    assert_eq!(till.outcomes(1, "notes")[SALES - 3..], ["superseded", "uploaded", "discarded"]);
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
}

/// The most rows of the journal that one transaction of this connection has written.
fn longest_transaction(store: &mut Store) -> Arc<AtomicU64> {
    let (most, so_far) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (written, longest) = (so_far.clone(), most.clone());
    let connection = store.connection();
    connection
        .update_hook(Some(move |_, _: &str, table: &str, _| {
            _ = written.fetch_add(u64::from(table == "journal"), Ordering::Relaxed);
        }))
        .unwrap();
    connection
        .commit_hook(Some(move || {
            longest.fetch_max(so_far.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            false
        }))
        .unwrap();
    most
}

/// Edits of one customer, by SQL.
fn edit_often(store: &mut Store, id: i64, times: usize) {
    let edits = store.connection().transaction().unwrap();
    for n in 0..times {
        let edit = format!("UPDATE customer SET {} = 'no. {n}' WHERE id = {id}", ["phone", "company"][n % 2]);
        assert_eq!(edits.execute(&edit, []), Ok(1));
    }
    edits.commit().unwrap();
}

/// Somebody whom the till edits all day: of what waits the first and the newest stay, and no transaction has thousands of rows.
#[test]
fn a_walk_in_customer_who_is_edited_all_day_goes_up_in_small_parts() {
    let till = till(2);
    edit_often(&mut till.store(), 1, 3_000);
    till.adjust(1, "1.50");
    let mut store = till.store();
    let longest = longest_transaction(&mut store);
    let report = SyncEngine::new(store, till.remote(), till.options.clone()).sync().unwrap();
    assert_eq!((report.uploaded_customers, report.uploaded_fields), (1, 3));
    assert_eq!(till.remote_value(1, "phone"), "\"no. 2998\"");
    let outcomes = till.outcomes(1, "phone");
    assert!(outcomes[..1_499].iter().all(|outcome| outcome == "superseded") && outcomes[1_499] == "uploaded");
    let longest = longest.load(Ordering::Relaxed);
    assert!(longest < 1_000, "{longest} rows in one transaction");
}

/// The same where the edits come while the customer waits for a place in the upload, or for its page of a pull.
#[test]
fn a_customer_who_is_edited_while_a_sync_goes_on_makes_no_transaction_long() {
    const EDITS: usize = 8_000;
    for is_upload in [true, false] {
        let till = till(1_000);
        let all: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
        let last = all[all.len() - 1];
        for id in all.iter().take(99).chain([&last]) {
            till.set(*id, "phone", "before");
        }
        let mut store = till.store();
        let longest = longest_transaction(&mut store);
        let (mut app, mut is_first) = (till.store(), true);
        let meanwhile = move |progress: Progress| {
            let is_time = matches!(progress, Progress::Pulled { .. }) != is_upload;
            if is_time && std::mem::take(&mut is_first) {
                edit_often(&mut app, last, EDITS);
            }
        };
        let engine = SyncEngine::new(store, till.remote(), till.options.clone());
        let mut engine = engine.on_progress(meanwhile);
        if is_upload {
            assert_eq!(engine.push().unwrap().uploaded_customers, 100);
        } else {
            till.office(last, json!({ "phone": "theirs", "company": "theirs" }));
            engine.pull(Extent::Full).unwrap();
        }
        assert_eq!(till.outcomes(last, "phone").len(), EDITS / 2 + 1, "each is there");
        let longest = longest.load(Ordering::Relaxed);
        assert!(longest < 2_000, "{longest} rows in one transaction, of an upload: {is_upload}");
    }
}

// ---- beside others -------------------------------------------------------------------------------------------------

/// How far `work` came, by this count, while one edit of an app waited that has SQLite's own waits; at most.
fn beside_an_edit<T>(till: &Till, count: &str, work: impl FnOnce() -> T) -> (T, i64) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let edits = scope.spawn(|| {
            let app = Connection::open(&till.path).unwrap();
            app.busy_timeout(Duration::from_secs(60)).unwrap();
            let so_far = || app.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap();
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                let before = so_far();
                app.execute("UPDATE customer SET company = hex(randomblob(8)) WHERE id = 1", []).unwrap();
                most = most.max(so_far() - before);
                std::thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (done, edits.join().unwrap())
    })
}

/// Everybody's phone was edited, and refused.
fn all_refused(customers: usize) -> Till {
    let till = till(customers);
    let mut store = till.store();
    let app = store.connection();
    assert_eq!(app.execute("UPDATE customer SET phone = 'ours ' || id", []), Ok(customers));
    let refuse = "UPDATE journal SET outcome = 'rejected', reason = 'no', engine_mark = NOT engine_mark";
    assert_eq!(app.execute(refuse, []), Ok(customers));
    till
}

#[test]
fn decisions_by_the_thousand_leave_room_for_edits() {
    const CUSTOMERS: usize = 1_000;
    for keep in ["retry", "discard"] {
        let till = all_refused(CUSTOMERS);
        let decide = format!("INSERT INTO decision (seen, keep) SELECT seen, '{keep}' FROM to_decide");
        assert_eq!(till.store().connection().execute(&decide, []), Ok(CUSTOMERS));
        let decided = "SELECT count(*) FROM decision WHERE outcome IS NOT NULL";
        let carry_out = || till.store().carry_out_decisions().unwrap();
        let (done, most) = beside_an_edit(&till, decided, carry_out);
        assert_eq!(done, CUSTOMERS);
        assert!(most < 150, "{most} were carried out while one edit waited: {keep}");
    }
}

#[test]
fn what_was_refused_of_everybody_is_sent_again_in_small_parts() {
    const CUSTOMERS: usize = 1_000;
    let till = all_refused(CUSTOMERS);
    let mut store = till.store();
    let longest = longest_transaction(&mut store);
    let freed = "SELECT count(*) FROM journal WHERE field = 'phone' AND outcome IS NULL";
    let (fields, most) = beside_an_edit(&till, freed, || store.retry(None).unwrap());
    assert_eq!((fields, store.status().unwrap().rejected), (CUSTOMERS, 0));
    let longest = longest.load(Ordering::Relaxed);
    assert!(longest < 200, "{longest} rows in one transaction");
    assert!(most < 300, "{most} were freed while one edit waited");
}

#[test]
fn thousands_of_refused_payments_of_one_customer_are_sent_again_in_parts() {
    const PAYMENTS: usize = 2_000;
    let till = till(2);
    let mut store = till.store();
    let app = store.connection().transaction().unwrap();
    for _ in 0..PAYMENTS {
        app.execute("INSERT INTO store_credit_adjustment VALUES (1, '0.01')", []).unwrap();
    }
    app.commit().unwrap();
    let before = till.local(1, "store_credit_amounts");
    // As the store refuses them.
    let refuse = "BEGIN; UPDATE tillsync_guard SET writing = 1;
         UPDATE journal SET outcome = 'rejected', reason = 'no', engine_mark = NOT engine_mark;
         UPDATE customer SET store_credit_amounts = '[]', engine_mark = NOT engine_mark WHERE id = 1;
         UPDATE tillsync_guard SET writing = 0; COMMIT";
    store.connection().execute_batch(refuse).unwrap();
    for whose in [Some(CustomerId(1)), None] {
        let longest = longest_transaction(&mut store);
        assert_eq!(store.retry(whose).unwrap(), 1, "one field");
        assert_eq!(
            (store.status().unwrap().rejected, till.local(1, "store_credit_amounts")),
            (0, before.clone())
        );
        let longest = longest.load(Ordering::Relaxed);
        assert!(longest <= 500, "{longest} rows in one transaction");
        assert_eq!(store.retry(whose).unwrap(), 0);
        store.connection().execute_batch(refuse).unwrap();
    }
}

#[test]
fn thousands_of_payments_of_one_customer_are_given_up_in_parts() {
    const PAYMENTS: usize = 2_200;
    for (field, are_refused) in [(None, true), (Some("store_credit_amounts"), true), (None, false)] {
        let till = till(2);
        let before = till.local(1, "store_credit_amounts");
        let mut store = till.store();
        let app = store.connection().transaction().unwrap();
        for _ in 0..PAYMENTS {
            app.execute("INSERT INTO store_credit_adjustment VALUES (1, '0.01')", []).unwrap();
        }
        app.commit().unwrap();
        if are_refused {
            let refuse =
                "UPDATE journal SET outcome = 'rejected', reason = 'no', engine_mark = NOT engine_mark";
            store.connection().execute(refuse, []).unwrap();
            till.adjust(1, "5");
        }
        let longest = longest_transaction(&mut store);
        assert_eq!(store.discard(1, field, None).unwrap(), 1, "one field");
        let longest = longest.load(Ordering::Relaxed);
        assert!(longest <= 500, "{longest} rows in one transaction: {field:?}");
        // One that nobody refused is certain.
        let status = store.status().unwrap();
        assert_eq!((status.rejected, status.pending_fields), (0, u64::from(are_refused)), "{field:?}");
        assert_eq!(till.local(1, "store_credit_amounts") == before, !are_refused);
    }
}

#[test]
fn a_balance_that_was_set_is_given_up_with_very_many_payments() {
    let till = till(2);
    let before = till.local(1, "store_credit_amounts");
    till.set(1, "store_credit_amounts", r#"[{"amount":70}]"#);
    let mut store = till.store();
    let app = store.connection().transaction().unwrap();
    for _ in 0..600 {
        app.execute("INSERT INTO store_credit_adjustment VALUES (1, '0.01')", []).unwrap();
    }
    app.commit().unwrap();
    assert_eq!(store.discard(1, None, None).unwrap(), 1);
    assert_eq!(store.status().unwrap().pending_fields, 0);
    assert_eq!(till.local(1, "store_credit_amounts"), before);
}

/// What is sent again while others are given up was not meant, and waits to be sent: nor are those which nobody refused.
#[test]
fn payments_that_are_sent_again_while_others_are_given_up_are_left() {
    let till = till(2);
    let mut store = till.store();
    let app = store.connection().transaction().unwrap();
    for _ in 0..1_700 {
        app.execute("INSERT INTO store_credit_adjustment VALUES (1, '0.01')", []).unwrap();
    }
    app.commit().unwrap();
    let refuse = "UPDATE journal SET outcome = 'rejected', reason = 'no', engine_mark = NOT engine_mark";
    store.connection().execute(refuse, []).unwrap();
    till.adjust(1, "5");
    // Somebody has the rest sent again as soon as the first of them are gone.
    let meanwhile = "CREATE TRIGGER meanwhile AFTER UPDATE OF outcome ON journal
                     WHEN NEW.outcome = 'discarded' AND (SELECT count(*) FROM journal WHERE outcome = 'discarded') = 500
                     BEGIN
                       UPDATE journal SET outcome = NULL, reason = NULL, engine_mark = NOT engine_mark WHERE outcome = 'rejected';
                     END";
    store.connection().execute_batch(meanwhile).unwrap();
    assert_eq!(store.discard(1, None, None).unwrap(), 1);
    let outcomes = "SELECT group_concat(outcome || ' ' || n, ', ') FROM
                    (SELECT coalesce(outcome, 'pending') AS outcome, count(*) AS n FROM journal GROUP BY 1)";
    let outcomes: String = store.connection().query_row(outcomes, [], |row| row.get(0)).unwrap();
    assert_eq!(outcomes, "discarded 500, pending 1201");
}

/// One whom something of the app's does not let through keeps nobody else back.
#[test]
fn who_is_refused_by_the_app_keeps_nobody_from_being_sent_again() {
    const CUSTOMERS: usize = 40;
    for trigger in [
        "BEFORE UPDATE ON journal WHEN NEW.customer_id IN (1, 7, 30) BEGIN SELECT RAISE(ABORT, 'no'); END",
        "AFTER UPDATE ON journal WHEN NEW.customer_id IN (1, 7, 30) BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        "AFTER UPDATE ON journal WHEN NEW.customer_id IN (1, 7, 30) BEGIN INSERT INTO refers VALUES (NEW.customer_id); END",
    ] {
        let till = all_refused(CUSTOMERS);
        let mut store = till.store();
        let app = "CREATE TABLE others (id INTEGER PRIMARY KEY);
                   CREATE TABLE refers (id INTEGER REFERENCES others (id) DEFERRABLE INITIALLY DEFERRED);";
        store.connection().execute_batch(&format!("{app} CREATE TRIGGER of_the_app {trigger}")).unwrap();
        assert_eq!(store.retry(None).unwrap(), CUSTOMERS - 3, "{trigger}");
        assert_eq!(store.status().unwrap().rejected, 3, "{trigger}");
        assert!(store.retry(Some(CustomerId(7))).is_err(), "{trigger}");
    }
}

/// Whoever comes to wait is not known of before the first commit.
#[test]
fn what_was_edited_without_triggers_is_found_with_room_for_edits() {
    const CUSTOMERS: usize = 1_500;
    let till = till(CUSTOMERS);
    let mut store = till.store();
    let app = store.connection();
    let triggers = "SELECT group_concat('DROP TRIGGER \"' || name || '\";', ' ') FROM sqlite_schema
                    WHERE type = 'trigger' AND tbl_name = 'customer'";
    let drop: String = app.query_row(triggers, [], |row| row.get(0)).unwrap();
    app.execute_batch(&drop).unwrap();
    assert_eq!(app.execute("UPDATE customer SET phone = 'ours ' || id", []), Ok(CUSTOMERS));
    std::mem::drop(store);
    let found = "SELECT count(*) FROM journal WHERE field = 'phone'";
    let (store, most) = beside_an_edit(&till, found, || till.store());
    assert!(store.mended().is_some_and(|found| found >= CUSTOMERS), "{:?}", store.mended());
    assert!(most < 400, "{most} were journaled while one edit waited");
}

// ---- an app's screens ----------------------------------------------------------------------------------------------

#[test]
fn an_app_sees_of_each_customer_what_waits() {
    let till = till(20);
    for id in [1, 2] {
        till.set(id, "phone", "ours");
    }
    till.set(2, "email", "customer1@example.com");
    let taken = till.local(1, "email");
    till.set(2, "email", taken.trim_matches('"'));
    till.office(1, json!({"phone": "theirs"}));
    till.engine().sync().unwrap();
    till.set(1, "company", "Lima");
    till.set(3, "company", "Okafor");
    till.set(3, "notes", "two fields");
    let seen = till.run(["status"]);
    assert_eq!(seen.json["pending_fields"], 3);
    let mut store = till.store();
    let app = store.connection();
    let mut statement = app
        .prepare(
            "SELECT id, state, pending_fields, rejected, in_conflict, since FROM customer_state ORDER BY id",
        )
        .unwrap();
    let states = statement
        .query_map([], |row| {
            assert!(row.get::<_, String>(5)?.starts_with("20"));
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .unwrap();
    let states: Vec<(i64, String, i64, i64, i64)> = states.map(Result::unwrap).collect();
    assert_eq!(
        states,
        [
            (1, "conflict".to_owned(), 1, 0, 1),
            (2, "rejected".to_owned(), 0, 1, 0),
            (3, "pending".to_owned(), 2, 0, 0)
        ]
    );
    let (pulled, waiting, oldest): (String, i64, String) = app
        .query_row("SELECT last_pull_at, waiting, oldest_at FROM sync_state", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!((waiting, &pulled[..2], &oldest[..2]), (3, "20", "20"));
}

/// The views follow what is unsettled: no walk through customers, settled edits or decided conflicts.
#[test]
fn the_views_of_an_app_walk_through_nothing_that_grows() {
    let till = till(1);
    let mut store = till.store();
    let app = store.connection();
    app.execute_batch("CREATE TABLE visit (customer_id)").unwrap();
    for query in [
        "SELECT * FROM sync_state",
        "SELECT * FROM customer_state",
        "SELECT * FROM customer_state WHERE id = 42",
        "SELECT customer.id, state FROM customer LEFT JOIN customer_state USING (id) WHERE customer.email = 'a' COLLATE NOCASE",
        "SELECT * FROM customer_state WHERE id IN (1, 2, 3)",
        "SELECT * FROM customer_state WHERE id IN (SELECT customer_id FROM visit)",
        "SELECT * FROM visit JOIN customer_state ON id = visit.customer_id",
        "SELECT * FROM visit LEFT JOIN customer_state ON id = visit.customer_id",
    ] {
        let plan = plan(app, query);
        let large = ["SCAN customer", "SCAN snapshot", "SCAN journal", "SCAN conflict", "SCAN j", "SCAN c"];
        let is_walk = |step: &str| {
            large.iter().any(|large| {
                step.strip_prefix(large).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            })
        };
        let walks = plan.iter().filter(|step| is_walk(step));
        let walks: Vec<&String> = walks
            .filter(|step| {
                !step.contains("tillsync_journal_unsettled") && !step.contains("tillsync_conflict_open")
            })
            .collect();
        assert!(walks.is_empty(), "{query}: {plan:?}");
    }
    let one = plan(app, "SELECT * FROM customer_state WHERE id = 42");
    assert!(one.iter().any(|step| step.contains("tillsync_journal_unsettled (customer_id=?)")), "{one:?}");
    assert!(one.iter().any(|step| step.contains("tillsync_conflict_open (customer_id=?)")), "{one:?}");
}

/// Several customers of an app's list: not one walk through all that waits for each of them.
#[test]
fn the_states_of_several_customers_cost_what_waits_once() {
    const WAITING: usize = 2_000;
    let till = till(WAITING);
    let mut store = till.store();
    let app = store.connection();
    assert_eq!(app.execute("UPDATE customer SET phone = 'ours ' || id", []), Ok(WAITING));
    app.execute_batch(
        "CREATE TABLE visit (customer_id INTEGER);
         INSERT INTO visit SELECT id FROM customer ORDER BY id LIMIT 50",
    )
    .unwrap();
    let steps = |query: &str| {
        let mut statement = app.prepare(query).unwrap();
        let rows = statement.query_map([], |_| Ok(())).unwrap().count();
        (rows, statement.get_status(rusqlite::StatementStatus::VmStep))
    };
    let (everybody, of_all) = steps("SELECT * FROM customer_state");
    assert_eq!(everybody, WAITING);
    for query in [
        "SELECT * FROM customer_state WHERE id IN (SELECT customer_id FROM visit)",
        "SELECT * FROM visit JOIN customer_state ON id = visit.customer_id",
        "SELECT * FROM visit LEFT JOIN customer_state ON id = visit.customer_id",
        "SELECT customer.id, state FROM customer LEFT JOIN customer_state USING (id) WHERE customer.id IN (SELECT customer_id FROM visit)",
    ] {
        let (rows, steps) = steps(query);
        assert_eq!(rows, 50, "{query}");
        assert!(steps < 2 * of_all, "{query}: {steps} steps, {of_all} for everybody");
    }
}

fn plan(app: &Connection, query: &str) -> Vec<String> {
    let mut statement = app.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    let steps = statement.query_map([], |row| row.get(3)).unwrap();
    steps.map(Result::unwrap).collect()
}

/// `cargo test --test years ten_years -- --ignored --nocapture`: some minutes, 600 MB of disk.
#[test]
#[ignore = "makes a file of 1,800,000 settled edits"]
fn ten_years_of_edits_make_no_command_slower() {
    let (young, old) = (till(200), till(200));
    settle(&old, 1_800_000, 175);
    for till in [&young, &old] {
        till.set(7, "phone", "pending");
        till.set(9, "notes", "a note that waits");
    }
    let asked: [&[&str]; 9] = [
        &["status"],
        &["log", "--limit", "20"],
        &["log", "7", "--limit", "20"],
        &["show", "7"],
        &["find", "a"],
        &["diff"],
        &["conflicts"],
        &["rejected"],
        &["push", "--dry-run"],
    ];
    let time = |till: &Till, arguments: &[&str]| {
        let began = Instant::now();
        assert_eq!(till.run(arguments.iter().copied()).exit, Some(0), "{arguments:?}");
        began.elapsed()
    };
    let mut slow = Vec::new();
    for arguments in asked {
        let mut ratios: Vec<f64> = (0..21)
            .map(|_| time(&old, arguments).as_secs_f64() / time(&young, arguments).as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ratios.len() / 2];
        println!("{:<24} {ratio:.2}", arguments.join(" "));
        slow.extend((ratio > 1.2).then_some((arguments, ratio)));
    }
    assert!(slow.is_empty(), "{slow:?}");
}

/// Who was deleted in the store is in no page of the file after the pull that found it, also while an app has the file open.
#[test]
fn who_is_gone_is_not_left_in_the_log_while_an_app_idles() {
    let till = till(30);
    let ids = till.sandbox.ids();
    till.office(i64::from(ids[3]), json!({"last_name": "Quagga", "notes": "QUAGGA ".repeat(40)}));
    till.engine().pull(Extent::Changes).unwrap();
    let mut app = till.store();
    app.connection().query_row("SELECT count(*) FROM customer", [], |_| Ok(())).unwrap();
    till.sandbox.delete(ids[3]);
    let mut engine = till.engine();
    engine.pull(Extent::Full).unwrap();
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{suffix}", till.path.display())).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).to_lowercase().contains("quagga"), "{suffix}");
    }
}
