//! What a resource is, proved: each line of the table goes the same steps, from an edit by SQL to the store and back, and none of them
//! knows it by name. The second line is one that no store has (feature `proof`), in its own file and the sandbox's.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use common::odd::Odd;
use common::{Till, sandbox};
use rusqlite::Connection;
use serde_json::{Value, json};
use tillsync::sandbox::Fault;
use tillsync::{Extent, Keep};

/// What the steps need to know of a resource: where a row of it is, and one text of it.
struct Line {
    resource: &'static str,
    endpoint: &'static str,
    row: i64,
    /// What names the row, in SQL and in an update.
    key: &'static [(&'static str, i64)],
    field: &'static str,
    /// A text that the store refuses, and its words.
    refused: (&'static str, &'static str),
    put_in_office: fn(&Till, &str),
    delete_in_office: fn(&Till),
    as_stored: fn(&Till) -> Value,
}

/// The customer whose they are.
const CUSTOMER: i64 = 1;

const LINES: [Line; 5] = [
    Line {
        resource: "customer",
        endpoint: "/customers",
        row: CUSTOMER,
        key: &[("id", CUSTOMER)],
        field: "email",
        refused: ("taken@example.com", "already in use"),
        put_in_office: |till, text| till.office(CUSTOMER, json!({ "email": text })),
        delete_in_office: |till| assert!(till.sandbox.delete(CUSTOMER as i32)),
        as_stored: |till| till.sandbox.customer(CUSTOMER as i32).unwrap()["email"].clone(),
    },
    Line {
        resource: "loyalty_card",
        endpoint: "/customers/loyalty-cards",
        row: 7,
        key: &[("id", 7)],
        field: "number",
        refused: ("taken", "that is taken"),
        put_in_office: |till, text| till.sandbox.put_card(7, CUSTOMER as i32, &json!({ "number": text })),
        delete_in_office: |till| till.sandbox.delete_card(7),
        as_stored: |till| till.sandbox.card(7).unwrap()["number"].clone(),
    },
    Line {
        resource: "loyalty_stamp",
        endpoint: "/customers/loyalty-stamps",
        row: 5,
        key: &[("customer_id", CUSTOMER), ("campaign_id", 5)],
        field: "value",
        refused: ("taken", "that is taken"),
        put_in_office: |till, text| till.sandbox.put_stamp(CUSTOMER as i32, 5, text),
        delete_in_office: |till| till.sandbox.delete_stamp(CUSTOMER as i32, 5),
        as_stored: |till| till.sandbox.stamp(CUSTOMER as i32, 5).unwrap()["value"].clone(),
    },
    Line {
        resource: "attribute_value",
        endpoint: "/customers/attribute-values",
        row: 3,
        key: &[("customer_id", CUSTOMER), ("attribute_id", 3)],
        field: "value",
        refused: ("too long for this store@x", "it is longer than 20 characters"),
        put_in_office: |till, text| till.sandbox.put_attribute_value(CUSTOMER as i32, 3, text),
        delete_in_office: |till| till.sandbox.delete_attribute_value(CUSTOMER as i32, 3),
        as_stored: |till| till.sandbox.attribute_value(CUSTOMER as i32, 3).unwrap().into(),
    },
    Line {
        resource: "address",
        endpoint: "/customers/addresses",
        row: 7,
        key: &[("id", 7)],
        field: "state_or_province",
        refused: ("CA", "it is to be spelled out"),
        put_in_office: |till, text| {
            till.sandbox.put_address(7, CUSTOMER as i32, &json!({ "state_or_province": text }));
        },
        delete_in_office: |till| till.sandbox.delete_address(7),
        as_stored: |till| till.sandbox.address(7).unwrap()["state_or_province"].clone(),
    },
];

impl Line {
    /// A till that keeps it and has pulled it, with a few rows.
    fn till(&self) -> Till {
        let till = Till::new(sandbox(5));
        till.office(2, json!({ "email": "taken@example.com" }));
        for card in 3..9 {
            till.sandbox.put_card(
                card,
                CUSTOMER as i32,
                &json!({ "number": "first@x", "is_blocked": false }),
            );
        }
        for campaign in 4..8 {
            till.sandbox.put_stamp(CUSTOMER as i32, campaign, "first@x");
            till.sandbox.put_stamp(2, campaign, "others@x");
        }
        for attribute in 1..4 {
            till.sandbox.define_attribute(attribute, &format!("attribute {attribute}"), "string");
            till.sandbox.put_attribute_value(CUSTOMER as i32, attribute, "first@x");
            till.sandbox.put_attribute_value(2, attribute, "others@x");
        }
        for address in 6..9 {
            till.sandbox.put_address(address, CUSTOMER as i32, &json!({}));
            till.sandbox.put_address(10 + address, 2, &json!({}));
        }
        till.sandbox.set_behaviours("value-at-most=20".parse().unwrap());
        match self.resource {
            "customer" => {}
            "address" => till.store().keep("addresses").unwrap(),
            "attribute_value" => till.store().keep("attributes").unwrap(),
            resource => till.store().keep(resource).unwrap(),
        }
        (self.put_in_office)(&till, "first@x");
        till.engine().pull(Extent::Changes).unwrap();
        assert_eq!(self.local(&till), "first@x", "{}", self.resource);
        till.sandbox.clear_requests();
        till
    }

    fn is_it(&self) -> String {
        self.key.iter().map(|(name, id)| format!("{name} = {id}")).collect::<Vec<_>>().join(" AND ")
    }

    /// The update of it to this text, and of nothing else.
    fn update(&self, text: &str) -> Value {
        let names = self.key.iter().map(|(name, id)| ((*name).to_owned(), json!(id)));
        let all: serde_json::Map<String, Value> =
            names.chain([(self.field.to_owned(), json!(text))]).collect();
        json!([all])
    }

    fn local(&self, till: &Till) -> String {
        let sql = format!("SELECT {} FROM {} WHERE {}", self.field, self.resource, self.is_it());
        file(till).query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    /// As an app does it: with plain SQL.
    fn edit(&self, till: &Till, text: &str) {
        let sql = format!("UPDATE {} SET {} = ?1 WHERE {}", self.resource, self.field, self.is_it());
        assert_eq!(file(till).execute(&sql, [text]), Ok(1), "{}", self.resource);
    }

    /// What became of its edits, oldest first.
    fn outcomes(&self, till: &Till) -> Vec<String> {
        let sql = "SELECT coalesce(outcome, 'pending') FROM journal
                   WHERE resource = ?1 AND row_id = ?2 AND customer_id = ?3 AND field = ?4 ORDER BY seq";
        let file = file(till);
        let mut statement = file.prepare(sql).unwrap();
        let outcomes = statement.query_map((self.resource, self.row, CUSTOMER, self.field), |row| row.get(0));
        outcomes.unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    fn puts(&self, till: &Till) -> Vec<Value> {
        let requests = till.sandbox.requests();
        let puts = requests
            .iter()
            .filter(|request| request.method == "PUT" && request.path.ends_with(self.endpoint));
        puts.map(|request| serde_json::from_str(&request.body).unwrap()).collect()
    }

    fn is(&self, till: &Till, text: &str) {
        assert_eq!(self.local(till), text, "{}: here", self.resource);
        assert_eq!((self.as_stored)(till), json!(text), "{}: in the store", self.resource);
        till.assert_no_violations();
    }

    /// The word of a conflict of it, about this.
    fn word(&self, what: &str) -> String {
        match self.resource {
            "customer" => what.to_owned(),
            resource => format!("{resource}.{}.{what}", self.row),
        }
    }

    /// How many rows the file has of it: the working copy, and what the store told.
    fn in_file(&self, till: &Till) -> (i64, i64) {
        let snapshot = if self.resource == "customer" {
            "snapshot".to_owned()
        } else {
            format!("{}_snapshot", self.resource)
        };
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table} WHERE {}", self.is_it());
            file(till).query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        (count(self.resource), count(&snapshot))
    }
}

fn file(till: &Till) -> Connection {
    Connection::open(&till.path).unwrap()
}

#[test]
fn an_edit_by_sql_is_journaled_and_goes_up_as_the_smallest_payload() {
    for line in &LINES {
        let till = line.till();
        line.edit(&till, "second@x");
        assert_eq!(line.outcomes(&till), ["pending"], "{}", line.resource);
        till.engine().sync().unwrap();
        assert_eq!(line.puts(&till), [line.update("second@x")]);
        assert_eq!(line.outcomes(&till), ["uploaded"], "{}", line.resource);
        line.is(&till, "second@x");
        till.sandbox.clear_requests();
        till.engine().sync().unwrap();
        assert_eq!(line.puts(&till), Vec::<Value>::new(), "{}: it is through", line.resource);
    }
}

#[test]
fn what_is_taken_back_costs_no_call_and_what_is_wrong_is_refused_at_once() {
    for line in &LINES {
        let till = line.till();
        line.edit(&till, "second@x");
        line.edit(&till, "first@x");
        till.engine().sync().unwrap();
        assert_eq!(line.puts(&till), Vec::<Value>::new(), "{}", line.resource);
        assert_eq!(line.outcomes(&till), ["superseded", "unchanged"], "{}", line.resource);
        let long = format!("UPDATE {} SET {} = '{}'", line.resource, line.field, "x".repeat(256));
        let refused = file(&till).execute_batch(&long).unwrap_err().to_string();
        assert!(
            refused.contains("tillsync refused: ") && refused.contains(": has 256 characters"),
            "{refused}"
        );
    }
}

#[test]
fn what_the_store_changed_comes_in() {
    for line in &LINES {
        let till = line.till();
        (line.put_in_office)(&till, "theirs@x");
        // Where the store tells no dates, only a pull of everything shows it.
        till.engine().pull(Extent::Full).unwrap();
        line.is(&till, "theirs@x");
        assert_eq!(line.outcomes(&till), Vec::<String>::new(), "{}: it is no edit", line.resource);
    }
}

#[test]
fn what_both_changed_waits_for_a_person_who_decides_it_by_its_word() {
    for line in &LINES {
        for (keep, is) in [(Keep::Local, "ours@x"), (Keep::Remote, "theirs@x")] {
            let till = line.till();
            line.edit(&till, "ours@x");
            (line.put_in_office)(&till, "theirs@x");
            till.engine().sync().unwrap();
            assert_eq!(line.outcomes(&till), ["held"], "{}", line.resource);
            assert_eq!((line.as_stored)(&till), json!("theirs@x"), "{}", line.resource);
            let conflicts = till.store().conflicts().unwrap();
            assert_eq!(conflicts.len(), 1, "{}", line.resource);
            assert_eq!((conflicts[0].customer_id.0, &conflicts[0].field), (CUSTOMER, &line.word(line.field)));
            let beside = "SELECT resource, row_id FROM conflict";
            let beside = file(&till).query_row(beside, [], |row| Ok((row.get(0)?, row.get(1)?)));
            assert_eq!(beside, Ok((line.resource.to_owned(), line.row)));
            till.store().resolve(CUSTOMER, &line.word(line.field), &keep, None).unwrap();
            till.engine().sync().unwrap();
            line.is(&till, is);
        }
    }
}

#[test]
fn what_waits_for_a_person_is_shown_and_decided_by_sql_too() {
    for line in &LINES {
        let till = line.till();
        line.edit(&till, "ours@x");
        (line.put_in_office)(&till, "theirs@x");
        till.engine().sync().unwrap();
        let app = file(&till);
        let shown = "SELECT kind, field, local, remote FROM to_decide";
        let shown: Vec<(String, String, String, String)> = app
            .prepare(shown)
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        let [word, ours, theirs] = [&*line.word(line.field), "\"ours@x\"", "\"theirs@x\""].map(str::to_owned);
        assert_eq!(shown, [("conflict".to_owned(), word, ours, theirs)]);
        let state = "SELECT state, in_conflict FROM customer_state WHERE id = 1";
        assert_eq!(
            app.query_row(state, [], |row| Ok((row.get(0)?, row.get(1)?))),
            Ok(("conflict".to_owned(), 1))
        );
        app.execute("INSERT INTO decision (seen, keep) SELECT seen, 'local' FROM to_decide", []).unwrap();
        drop(app);
        till.engine().sync().unwrap();
        line.is(&till, "ours@x");
    }
}

/// Two rows of one customer have an attribute of one name, and each is counted.
#[test]
fn an_attribute_of_each_row_is_counted_for_itself() {
    let till = LINES[1].till();
    file(&till).execute_batch("UPDATE loyalty_card SET number = 'new' WHERE id IN (3, 4)").unwrap();
    assert_eq!(till.store().status().unwrap().pending_fields, 2);
    let counted = "SELECT pending_fields, (SELECT waiting FROM sync_state) FROM customer_state WHERE id = 1";
    assert_eq!(file(&till).query_row(counted, [], |row| Ok((row.get(0)?, row.get(1)?))), Ok((2, 2)));
}

#[test]
fn an_answer_that_was_lost_is_read_back_and_nothing_is_sent_twice() {
    for line in &LINES {
        let mut till = line.till();
        till.options.upload.grace_ms = 100;
        line.edit(&till, "second@x");
        till.sandbox.script_updates([Fault::LostAnswer]);
        till.engine().sync().unwrap();
        assert_eq!(line.puts(&till).len(), 1, "{}: it had landed", line.resource);
        assert_eq!(line.outcomes(&till), ["uploaded"], "{}", line.resource);
        line.is(&till, "second@x");
    }
}

#[test]
fn a_request_that_was_lost_is_sent_again() {
    for line in &LINES {
        let mut till = line.till();
        till.options.upload.grace_ms = 100;
        line.edit(&till, "second@x");
        till.sandbox.script_updates([Fault::LostRequest]);
        till.engine().sync().unwrap();
        assert_eq!(line.outcomes(&till), ["uploaded"], "{}", line.resource);
        line.is(&till, "second@x");
    }
}

/// Whoever ended while an update was on its way left it in the file; the next sync reads it back first.
#[test]
fn what_a_sync_that_was_cut_left_on_its_way_is_recovered() {
    for line in &LINES {
        let mut till = line.till();
        till.options.upload.grace_ms = 100;
        line.edit(&till, "second@x");
        till.sandbox.script_updates([Fault::DelayedAnswer { ms: 2_000 }]);
        let (syncer, _events) =
            tillsync::Syncer::start(till.engine(), tillsync::SyncerOptions::default()).unwrap();
        common::soon(|| till.store().status().unwrap().in_flight_batches > 0);
        assert!(!syncer.stop(std::time::Duration::ZERO));
        let batch = "SELECT resource, verb FROM batch";
        let batch = file(&till).query_row(batch, [], |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(batch, Ok((line.resource.to_owned(), "update".to_owned())));
        common::soon(|| till.engine().sync().is_ok());
        assert_eq!(line.outcomes(&till), ["uploaded"], "{}", line.resource);
        line.is(&till, "second@x");
    }
}

#[test]
fn what_is_gone_from_the_store_goes_from_the_file_and_what_was_edited_of_it_waits() {
    for line in &LINES {
        let mut till = line.till();
        till.options.upload.grace_ms = 100;
        line.edit(&till, "second@x");
        (line.delete_in_office)(&till);
        till.engine().sync().unwrap();
        assert_eq!(line.outcomes(&till), ["held"], "{}", line.resource);
        assert_eq!(line.in_file(&till), (1, 0), "{}: its edits are here", line.resource);
        let conflicts = till.store().conflicts().unwrap();
        assert_eq!(conflicts.iter().map(|one| &one.field).collect::<Vec<_>>(), [&line.word("*")]);
        till.store().discard(CUSTOMER, Some(&line.word("*")), None).unwrap();
        assert_eq!(line.in_file(&till), (0, 0), "{}", line.resource);

        let till = line.till();
        (line.delete_in_office)(&till);
        till.engine().pull(Extent::Full).unwrap();
        assert_eq!(line.in_file(&till), (0, 0), "{}: without edits it just goes", line.resource);
        till.assert_no_violations();
    }
}

/// The brake on deletions counts each resource for itself.
#[test]
fn of_a_resource_more_than_a_share_are_not_believed_to_be_gone() {
    let till = LINES[1].till();
    for card in 100..160 {
        till.sandbox.put_card(card, 2, &json!({ "number": "first@x", "is_blocked": false }));
    }
    till.engine().sync().unwrap();
    let cards = || file(&till).query_row("SELECT count(*) FROM loyalty_card", [], |row| row.get(0));
    assert_eq!(cards(), Ok(66));
    for card in 100..140 {
        till.sandbox.delete_card(card);
    }
    assert_eq!(till.engine().pull(Extent::Full).unwrap().unbelieved, 40);
    assert_eq!(cards(), Ok(66), "they may be hidden for an hour");
    for card in 102..140 {
        till.sandbox.put_card(card, 2, &json!({ "number": "first@x", "is_blocked": false }));
    }
    till.engine().pull(Extent::Full).unwrap();
    assert_eq!(cards(), Ok(64));
    let counted = "SELECT group_concat(key) FROM state WHERE key LIKE '%gone_lately'";
    let counted: String = file(&till).query_row(counted, [], |row| row.get(0)).unwrap();
    assert_eq!(counted, "loyalty_card.gone_lately");
}

#[test]
fn what_comes_back_to_the_store_goes_on_with_its_edits() {
    let line = &LINES[1];
    let mut till = line.till();
    till.options.upload.grace_ms = 100;
    line.edit(&till, "second@x");
    (line.delete_in_office)(&till);
    till.engine().sync().unwrap();
    till.sandbox.put_card(7, CUSTOMER as i32, &json!({ "number": "first@x", "is_blocked": false }));
    till.engine().sync().unwrap();
    assert_eq!(line.outcomes(&till), ["uploaded"]);
    line.is(&till, "second@x");
}

/// An app's own trigger refuses what the store says of one row: its customer waits, with all that is theirs, and nobody else.
#[test]
fn an_apps_trigger_holds_up_a_row_with_its_customer_and_nobody_else() {
    let line = &LINES[1];
    let till = line.till();
    till.sandbox.put_card(20, 2, &json!({ "number": "first@x", "is_blocked": false }));
    till.engine().sync().unwrap();
    file(&till)
        .execute_batch(
            "CREATE TRIGGER my_own BEFORE UPDATE ON loyalty_card WHEN NEW.number = 'theirs@x'
             BEGIN SELECT RAISE(ABORT, 'not in my shop'); END",
        )
        .unwrap();
    (line.put_in_office)(&till, "theirs@x");
    till.sandbox.put_card(20, 2, &json!({ "number": "others@x" }));
    till.engine().sync().unwrap();
    assert_eq!(line.local(&till), "first@x");
    let held_up = till.store().held_up().unwrap();
    assert_eq!(held_up.iter().map(|one| one.customer_id.0).collect::<Vec<_>>(), [CUSTOMER]);
    assert_eq!(held_up[0].cause.as_deref(), Some("my_own"));
    let other = "SELECT number FROM loyalty_card WHERE id = 20";
    assert_eq!(file(&till).query_row(other, [], |row| row.get(0)), Ok("others@x".to_owned()));
    file(&till).execute_batch("DROP TRIGGER my_own").unwrap();
    till.engine().pull(Extent::Full).unwrap();
    line.is(&till, "theirs@x");
}

/// What is personal of a customer is in the rows of all resources.
#[test]
fn who_is_forgotten_is_forgotten_with_all_that_is_theirs() {
    let till = LINES[1].till();
    assert!(till.sandbox.delete(CUSTOMER as i32));
    for card in 3..9 {
        till.sandbox.delete_card(card);
    }
    till.sandbox.put_card(20, 2, &json!({ "number": "first@x", "is_blocked": false }));
    file(&till).execute_batch("UPDATE loyalty_card SET number = 'a secret' WHERE id = 7").unwrap();
    till.store().discard(CUSTOMER, Some("loyalty_card.7.number"), None).unwrap();
    till.engine().pull(Extent::Full).unwrap();
    till.store().forget(CUSTOMER).unwrap();
    let left = "SELECT (SELECT count(*) FROM loyalty_card WHERE customer_id = 1)
                       + (SELECT count(*) FROM loyalty_card_snapshot WHERE customer_id = 1)
                       + (SELECT count(*) FROM journal WHERE customer_id = 1)";
    assert_eq!(file(&till).query_row(left, [], |row| row.get(0)), Ok(0));
    assert_eq!(file(&till).query_row("SELECT count(*) FROM loyalty_card", [], |row| row.get(0)), Ok(1));
}

/// A program builds its table anew as it understands it: without our triggers, columns and mark.
#[test]
fn a_table_that_a_program_has_built_anew_is_mended() {
    let line = &LINES[1];
    let till = line.till();
    file(&till)
        .execute_batch(
            "CREATE TABLE of_mine (id INTEGER PRIMARY KEY, customer_id INTEGER, number VARCHAR, is_blocked BOOLEAN, date_modified TEXT);
             INSERT INTO of_mine SELECT id, customer_id, number, is_blocked, date_modified FROM loyalty_card;
             DROP TABLE loyalty_card; ALTER TABLE of_mine RENAME TO loyalty_card",
        )
        .unwrap();
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    assert_eq!(till.store().misshapen().unwrap(), None);
    line.edit(&till, "second@x");
    till.engine().sync().unwrap();
    assert_eq!(line.outcomes(&till), ["uploaded"]);
    line.is(&till, "second@x");
}

#[test]
fn what_is_given_up_of_a_customer_is_given_up_of_all_that_is_theirs() {
    for line in &LINES {
        let till = line.till();
        line.edit(&till, "second@x");
        assert_eq!(till.store().discard(CUSTOMER, None, None).unwrap(), 1, "{}", line.resource);
        assert_eq!(line.outcomes(&till), ["discarded"], "{}", line.resource);
        line.is(&till, "first@x");
        line.edit(&till, line.refused.0);
        till.engine().sync().unwrap();
        assert_eq!(till.store().retry(Some(CUSTOMER.into())).unwrap(), 1, "{}", line.resource);
        assert_eq!(line.outcomes(&till), ["discarded", "pending"], "{}", line.resource);
    }
}

/// An app that has switched triggers off for its own connection leaves no sign: `doctor` compares.
#[test]
fn what_was_edited_past_our_triggers_is_found_by_a_comparison() {
    for line in &LINES {
        let till = line.till();
        let app = file(&till);
        app.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        let sql = format!("UPDATE {} SET {} = 'second@x' WHERE {}", line.resource, line.field, line.is_it());
        app.execute_batch(&sql).unwrap();
        drop(app);
        assert_eq!(till.store().find_unjournaled().unwrap(), 1, "{}", line.resource);
        assert_eq!(till.store().find_unjournaled().unwrap(), 0, "{}", line.resource);
        till.engine().sync().unwrap();
        line.is(&till, "second@x");
    }
}

/// What was edited while our triggers were not there is an edit all the same, once they are made again.
#[test]
fn what_was_edited_without_our_triggers_is_found() {
    for line in &LINES {
        let till = line.till();
        let (resource, field) = (line.resource, line.field);
        let without = format!(
            "DROP TRIGGER tillsync_{resource}_{field}; DROP TRIGGER tillsync_{resource}_{field}_is_valid"
        );
        file(&till).execute_batch(&without).unwrap();
        line.edit(&till, "second@x");
        assert_eq!(line.outcomes(&till), Vec::<String>::new(), "{resource}: nobody saw it");
        assert_eq!(till.store().mended(), Some(1), "{resource}");
        assert_eq!(line.outcomes(&till), ["pending"], "{resource}");
        till.engine().sync().unwrap();
        line.is(&till, "second@x");
    }
}

#[test]
fn what_the_store_refuses_waits_for_a_person_with_its_words() {
    for line in &LINES {
        let till = line.till();
        line.edit(&till, line.refused.0);
        till.engine().sync().unwrap();
        assert_eq!(line.outcomes(&till), ["rejected"], "{}", line.resource);
        let reason = "SELECT reason FROM journal WHERE outcome = 'rejected'";
        let reason: String = file(&till).query_row(reason, [], |row| row.get(0)).unwrap();
        assert!(reason.contains(line.refused.1), "{}: {reason}", line.resource);
        let rejected = till.store().rejected().unwrap();
        assert_eq!(rejected.iter().map(|one| &one.field).collect::<Vec<_>>(), [&line.word(line.field)]);
        assert_eq!(till.store().status().unwrap().rejected, 1, "{}", line.resource);
        line.edit(&till, "another@x");
        till.engine().sync().unwrap();
        line.is(&till, "another@x");
    }
}

/// Ten customers a call, four cards: it stands in the table and nowhere else.
#[test]
fn as_many_go_into_a_call_as_its_endpoint_takes() {
    let line = &LINES[1];
    let till = line.till();
    file(&till)
        .execute_batch("UPDATE loyalty_card SET is_blocked = 1; UPDATE customer SET phone = '1'")
        .unwrap();
    till.engine().sync().unwrap();
    let mut rows: Vec<usize> = line.puts(&till).iter().map(|put| put.as_array().unwrap().len()).collect();
    // Two are under way at once, and may arrive in any order.
    rows.sort_unstable();
    assert_eq!(rows, [2, 4]);
    assert_eq!(LINES[0].puts(&till).iter().map(|put| put.as_array().unwrap().len()).collect::<Vec<_>>(), [5]);
    till.assert_no_violations();
}

/// Its edits, and the customer's own, are told apart though they may bear one name.
#[test]
fn a_file_that_does_not_keep_it_has_nothing_of_it_and_one_that_does_keeps_it_for_good() {
    let till = Till::new(sandbox(2));
    let count = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%loyalty_card%'";
    drop(till.store());
    assert_eq!(file(&till).query_row(count, [], |row| row.get(0)), Ok(0));
    till.engine().sync().unwrap();
    assert!(till.sandbox.requests().iter().all(|request| request.path.ends_with("/customers")));
    till.store().keep("loyalty_card").unwrap();
    till.store().keep("loyalty_card").unwrap();
    let of_it: i64 = file(&till).query_row(count, [], |row| row.get(0)).unwrap();
    assert!(of_it > 10, "{of_it}");
    // A program that takes the triggers out is found out, as with customers.
    file(&till).execute_batch("DROP TRIGGER tillsync_loyalty_card_number").unwrap();
    assert_eq!(till.store().check().unwrap(), Vec::<String>::new());
    assert_eq!(file(&till).query_row(count, [], |row| row.get(0)), Ok(of_it));
    let theirs = Till::new(sandbox(1));
    drop(theirs.store());
    file(&theirs).execute_batch("CREATE TABLE loyalty_card (mine INTEGER)").unwrap();
    assert_eq!(theirs.store().keep("loyalty_card").unwrap_err().code(), "name_taken");
    assert_eq!(theirs.store().keep("nonsense").unwrap_err().code(), "usage");
}

// ---- what is made by its update: values of attributes ------------------------------------------------------------------

const VALUES: &Line = &LINES[3];

/// A till that keeps attributes, of which customer 1 has the second, and nobody the third, a number, nor the fourth, a date.
fn till_of_values() -> Till {
    let mut till = Till::new(sandbox(5));
    till.options.keep = vec!["attributes".to_owned()];
    till.options.upload.grace_ms = 100;
    for (id, kind) in [(1, "string"), (2, "string"), (3, "number"), (4, "date")] {
        till.sandbox.define_attribute(id, &format!("attribute {id}"), kind);
    }
    till.sandbox.put_attribute_value(CUSTOMER as i32, 2, "there");
    till.engine().sync().unwrap();
    till.sandbox.clear_requests();
    till
}

const SET: &str = "INSERT INTO attribute_value (customer_id, attribute_id, value) VALUES (1, 3, '42')
                   ON CONFLICT (customer_id, attribute_id) DO UPDATE SET value = excluded.value";

#[test]
fn a_value_that_is_not_there_yet_is_set_by_an_insert_and_made_by_its_update() {
    let till = till_of_values();
    assert_eq!(file(&till).execute(SET, []), Ok(1));
    assert_eq!(VALUES.outcomes(&till), ["pending"]);
    let journaled = "SELECT op || ' ' || value || ' ' || was FROM journal";
    assert_eq!(file(&till).query_row(journaled, [], |row| row.get(0)), Ok("set \"42\" null".to_owned()));
    till.engine().sync().unwrap();
    assert_eq!(VALUES.puts(&till), [VALUES.update("42")]);
    assert_eq!(VALUES.outcomes(&till), ["uploaded"]);
    VALUES.is(&till, "42");
    assert_eq!(VALUES.in_file(&till), (1, 1));
    let told =
        "SELECT id IS NOT NULL AND date_modified IS NOT NULL FROM attribute_value WHERE attribute_id = 3";
    assert_eq!(file(&till).query_row(told, [], |row| row.get(0)), Ok(true));
    // The same statement is an UPDATE now.
    file(&till).execute_batch(&SET.replace("'42'", "'43'")).unwrap();
    till.engine().sync().unwrap();
    VALUES.is(&till, "43");
    assert_eq!(VALUES.outcomes(&till), ["uploaded", "uploaded"]);
    till.sandbox.clear_requests();
    till.engine().sync().unwrap();
    assert_eq!(VALUES.puts(&till), Vec::<Value>::new());
}

/// Whatever an answer tells of it: not at all, or as it was sent.
#[test]
fn a_value_that_was_made_is_known_however_the_answer_spells_it() {
    for answers in ["told", "sent", "empty"] {
        let till = till_of_values();
        till.sandbox.with_core(|core| {
            core.set_behaviours(format!("value-answers={answers}").parse().unwrap());
        });
        file(&till).execute_batch(SET).unwrap();
        till.engine().sync().unwrap();
        assert_eq!(VALUES.outcomes(&till), ["uploaded"], "{answers}");
        assert_eq!(VALUES.puts(&till).len(), 1, "{answers}");
        VALUES.is(&till, "42");
    }
}

#[test]
fn a_value_whose_making_was_lost_is_read_back_and_made_again_where_it_did_not_land() {
    for fault in [Fault::LostAnswer, Fault::LostRequest] {
        let till = till_of_values();
        file(&till).execute_batch(SET).unwrap();
        till.sandbox.script_updates([fault]);
        till.engine().sync().unwrap();
        assert_eq!(VALUES.outcomes(&till), ["uploaded"], "{fault:?}");
        let calls = if fault == Fault::LostAnswer { 1 } else { 2 };
        assert_eq!(VALUES.puts(&till).len(), calls, "{fault:?}");
        VALUES.is(&till, "42");
    }
}

/// A refusal names each value that is bad: what else did not land goes up in the next call, and nobody is tried alone.
#[test]
fn of_the_values_in_a_call_the_bad_ones_alone_wait_for_a_person() {
    let cases = [
        (&[2_i64][..], "atomic", 2),
        (&[2], "good-ones", 1),
        (&[1, 3], "atomic", 2),
        (&[1, 3], "until-first-error", 2),
    ];
    for (bad, partial, calls) in cases {
        let till = till_of_values();
        let behaviours = format!("value-at-most=20,partial={partial}");
        till.sandbox.set_behaviours(behaviours.parse().unwrap());
        let text = |id: &i64| if bad.contains(id) { "too long for this store" } else { "good" };
        let values: Vec<(i64, i64, &str)> = (1..=3).map(|id| (id, 1, text(&id))).collect();
        for (customer, attribute, text) in &values {
            till.store().set_attribute_values(*customer, &[(*attribute, *text)], None, None).unwrap();
        }
        till.engine().sync().unwrap();
        let rejected: Vec<i64> =
            till.store().rejected().unwrap().iter().map(|one| one.customer_id.0).collect();
        assert_eq!(rejected, bad, "{partial}");
        assert_eq!(VALUES.puts(&till).len(), calls, "{partial}: {bad:?}");
        for (customer, _, text) in values {
            let is = till.sandbox.attribute_value(customer as i32, 1);
            assert_eq!(
                is.as_deref(),
                Some(text).filter(|_| !bad.contains(&customer)),
                "{partial}: {customer}"
            );
        }
    }
}

#[test]
fn what_a_customer_had_of_attributes_goes_from_the_store_with_the_customer() {
    let till = till_of_values();
    assert!(till.sandbox.delete(CUSTOMER as i32));
    assert_eq!(till.sandbox.attribute_value(CUSTOMER as i32, 2), None);
}

#[test]
fn a_value_that_both_made_is_a_conflict() {
    for (keep, is) in [(Keep::Local, "42"), (Keep::Remote, "7")] {
        let till = till_of_values();
        file(&till).execute_batch(SET).unwrap();
        till.sandbox.put_attribute_value(CUSTOMER as i32, 3, "7");
        till.engine().push().unwrap();
        assert_eq!(VALUES.outcomes(&till), ["held"]);
        till.store().resolve(CUSTOMER, "attribute_value.3.value", &keep, None).unwrap();
        till.engine().sync().unwrap();
        VALUES.is(&till, is);
    }
}

#[test]
fn a_value_that_is_given_up_before_it_was_made_goes_from_the_file() {
    let till = till_of_values();
    file(&till).execute_batch(SET).unwrap();
    till.store().discard(CUSTOMER, Some("attribute_value.3.value"), None).unwrap();
    assert_eq!((VALUES.outcomes(&till), VALUES.in_file(&till)), (vec!["discarded".to_owned()], (0, 0)));
    // Taken back is as good.
    file(&till).execute_batch(SET).unwrap();
    file(&till).execute_batch("UPDATE attribute_value SET value = NULL WHERE attribute_id = 3").unwrap();
    till.engine().sync().unwrap();
    assert_eq!(VALUES.in_file(&till), (0, 0));
    assert_eq!(VALUES.puts(&till), Vec::<Value>::new());
    assert_eq!(VALUES.outcomes(&till), ["discarded", "superseded", "unchanged"]);
}

/// What became of its edits is written all the same, and the row is no less there.
#[test]
fn a_value_that_was_made_stays_where_an_apps_trigger_refuses_the_answer() {
    let till = till_of_values();
    file(&till).execute_batch(SET).unwrap();
    file(&till)
        .execute_batch(
            "CREATE TRIGGER my_own BEFORE UPDATE OF id ON attribute_value
             BEGIN SELECT RAISE(ABORT, 'not now'); END",
        )
        .unwrap();
    till.engine().push().unwrap();
    assert_eq!(VALUES.outcomes(&till), ["uploaded"]);
    VALUES.is(&till, "42");
    file(&till).execute_batch("DROP TRIGGER my_own").unwrap();
    till.engine().sync().unwrap();
    VALUES.is(&till, "42");
    assert_eq!((VALUES.in_file(&till), VALUES.puts(&till).len()), ((1, 1), 1));
}

/// No list of changes tells of a deletion, and an update would make it again.
#[test]
fn a_value_that_is_gone_and_was_edited_is_set_again_by_a_persons_word_alone() {
    let till = till_of_values();
    file(&till).execute_batch("UPDATE attribute_value SET value = 'ours' WHERE attribute_id = 2").unwrap();
    till.sandbox.delete_attribute_value(CUSTOMER as i32, 2);
    till.engine().sync().unwrap();
    assert_eq!(till.sandbox.attribute_value(1, 2), None);
    assert_eq!(till.store().conflicts().unwrap()[0].field, "attribute_value.2.*");
    let refused = till.store().resolve(CUSTOMER, "attribute_value.2.*", &Keep::Remote, None).unwrap_err();
    assert!(
        refused.to_string().contains("customer 1: attribute_value.2.*: was deleted in the store"),
        "{refused}"
    );
    till.store().resolve(CUSTOMER, "attribute_value.2.*", &Keep::Local, None).unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.sandbox.attribute_value(1, 2).as_deref(), Some("ours"));
    assert_eq!(till.store().conflicts().unwrap(), []);
}

/// Nothing of a customer is in the file but what waits of theirs.
#[test]
fn what_waits_of_a_customer_who_is_gone_is_given_up_with_the_customer() {
    let mut till = till_of_values();
    till.options.second_look = std::time::Duration::from_millis(10);
    file(&till).execute_batch("UPDATE attribute_value SET value = 'ours' WHERE attribute_id = 2").unwrap();
    till.sandbox.delete_attribute_value(CUSTOMER as i32, 2);
    till.engine().sync().unwrap();
    assert!(till.sandbox.delete(CUSTOMER as i32));
    till.engine().pull(Extent::Full).unwrap();
    assert!(till.store().get(CUSTOMER).unwrap().is_none());
    assert_eq!(till.store().conflicts().unwrap()[0].field, "attribute_value.2.*");
    assert_eq!(till.store().discard(CUSTOMER, None, None).unwrap(), 1);
    assert_eq!(till.store().conflicts().unwrap(), []);
    let left = "SELECT count(*) FROM attribute_value WHERE customer_id = 1";
    assert_eq!(file(&till).query_row(left, [], |row| row.get(0)), Ok(0));
    let unknown = till.store().discard(CUSTOMER, None, None).unwrap_err();
    assert_eq!(unknown.code(), "unknown_customer");
}

#[test]
fn what_is_wrong_with_a_value_is_refused_as_it_is_set() {
    let till = till_of_values();
    let insert =
        |names: &str, values: &str| format!("INSERT INTO attribute_value ({names}) VALUES ({values})");
    let usual = "customer_id, attribute_id, value";
    for (sql, words) in [
        (insert(usual, "99, 3, '1'"), "attribute_value 3: customer_id: no such customer in this file"),
        (insert(usual, "1, 9, '1'"), "attribute_value 9: attribute_id: no such attribute in this file"),
        (
            insert(usual, "1, 3, 'gold'"),
            "attribute_value 3: value: must be a number, such as 12.5: attribute 3 is one",
        ),
        (insert(usual, "1, 3, NULL"), "attribute_value 3: value: NULL is not allowed"),
        (insert(usual, "1, 3, x'00'"), "attribute_value 3: value: must be text, not blob"),
        (insert(usual, "1, 4, '2026-02-30'"), "attribute_value 4: value: must be a date, such as 2026-03-31"),
        (insert(usual, "1, 4, 'soon'"), "attribute_value 4: value: must be a date"),
        (
            insert(usual, &format!("1, 1, '{}'", "x".repeat(256))),
            "has 256 characters, at most 255 are allowed",
        ),
        (
            insert("customer_id, attribute_id, value, id", "1, 1, 'x', 7"),
            "id: is read-only, the store sets it",
        ),
        (
            "UPDATE attribute_value SET customer_id = 2".to_owned(),
            "attribute_value 2: attribute_id: is read-only",
        ),
        (
            "UPDATE attribute_value SET value = NULL".to_owned(),
            "attribute_value 2: value: NULL is not allowed",
        ),
        (
            "DELETE FROM attribute_value".to_owned(),
            "DELETE is not supported yet: delete attribute values in the store",
        ),
        (
            "REPLACE INTO attribute_value (customer_id, attribute_id, value) VALUES (1, 2, 'x')".to_owned(),
            "REPLACE would lose what it does not name",
        ),
        (insert("customer_id, attribute_id, value, engine_mark", "1, 2, 'x', 1"), "UNIQUE"),
        (
            "INSERT INTO attribute (id, name) VALUES (9, 'mine')".to_owned(),
            "attribute: INSERT is not supported yet",
        ),
        (
            "UPDATE attribute SET name = 'mine'".to_owned(),
            "attribute 1: name: is read-only, the store sets it",
        ),
        ("DELETE FROM attribute_value_snapshot".to_owned(), "is the engine's alone: edit attribute_value"),
    ] {
        let refused = file(&till).execute_batch(&sql).unwrap_err().to_string();
        assert!(refused.contains(words), "{sql}: {refused}");
    }
    for fine in ["1, 3, '-12.5'", "2, 3, ''", "1, 4, '2026-02-28'", "2, 4, '2026-02-28T10:00:00Z'"] {
        file(&till).execute_batch(&insert(usual, fine)).unwrap();
    }
    file(&till)
        .execute_batch("UPDATE attribute_value SET value = '1.2.3' WHERE attribute_id = 3")
        .unwrap_err();
    let edits = "SELECT count(*) FROM journal";
    assert_eq!(
        file(&till).query_row(edits, [], |row| row.get(0)),
        Ok(4),
        "what was refused is in no journal"
    );
}

#[test]
fn a_file_that_did_not_ask_for_attributes_refuses_them_and_makes_no_call_more() {
    let till = Till::new(sandbox(2));
    till.sandbox.define_attribute(3, "size", "number");
    till.sandbox.put_attribute_value(2, 3, "7");
    till.engine().sync().unwrap();
    assert!(till.sandbox.requests().iter().all(|request| request.path.ends_with("/customers")));
    let refused = file(&till).execute_batch(SET).unwrap_err().to_string();
    assert!(
        refused.contains(
            "attribute_value: this file does not keep attribute values: tillsync pull --with attributes"
        ),
        "{refused}"
    );
    // Remembered: the engines after it are told nothing.
    let mut asking = till.clone();
    asking.options.keep = vec!["attributes".to_owned()];
    asking.engine().pull(Extent::Changes).unwrap();
    till.sandbox.clear_requests();
    file(&till).execute_batch(SET).unwrap();
    till.engine().sync().unwrap();
    VALUES.is(&till, "42");
    let asked = |path: &str| {
        till.sandbox.requests().iter().filter(|one| one.method == "GET" && one.path.ends_with(path)).count()
    };
    let asked = (asked("/attributes"), asked("/attribute-values"));
    assert_eq!(asked, (1, 3), "the changes, a look that shows nobody, and one in company");
    asking.options.keep = vec!["nonsense".to_owned()];
    assert_eq!(asking.engine().pull(Extent::Changes).unwrap_err().code(), "usage");
}

#[test]
fn what_the_shop_defines_comes_with_each_pull_and_what_it_takes_away_goes() {
    let till = till_of_values();
    till.sandbox.define_attribute(5, "colour", "string");
    till.sandbox.define_attribute(1, "renamed", "string");
    till.sandbox.delete_attribute(4);
    till.engine().sync().unwrap();
    let all = "SELECT group_concat(id || ' ' || name, ', ') FROM (SELECT * FROM attribute ORDER BY id)";
    let all: String = file(&till).query_row(all, [], |row| row.get(0)).unwrap();
    assert_eq!(all, "1 renamed, 2 attribute 2, 3 attribute 3, 5 colour");
    till.assert_no_violations();
}

/// An app that has switched triggers off for its own connection leaves no sign of a new value either.
#[test]
fn a_value_that_was_inserted_past_our_triggers_is_found_and_made() {
    for by_comparison in [true, false] {
        let till = till_of_values();
        let app = file(&till);
        if by_comparison {
            app.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        } else {
            app.execute_batch(
                "DROP TRIGGER tillsync_attribute_value_insert; DROP TRIGGER tillsync_attribute_value_replace",
            )
            .unwrap();
        }
        app.execute_batch(SET).unwrap();
        drop(app);
        assert_eq!(VALUES.outcomes(&till), Vec::<String>::new(), "nobody saw it");
        match by_comparison {
            true => assert_eq!(till.store().find_unjournaled().unwrap(), 1),
            false => assert_eq!(till.store().mended(), Some(1)),
        }
        assert_eq!(VALUES.outcomes(&till), ["pending"]);
        till.engine().sync().unwrap();
        VALUES.is(&till, "42");
        assert_eq!(till.store().find_unjournaled().unwrap(), 0);
    }
}

/// An app that has signed its edits for good goes on to sign them so.
#[test]
fn a_value_that_is_set_without_an_author_is_signed_as_the_app_has_it() {
    let till = till_of_values();
    file(&till).execute_batch("UPDATE edit_context SET author = 'bo', label = 'day'").unwrap();
    till.store().set_attribute_values(CUSTOMER, &[(1, "gold"), (3, "42")], None, None).unwrap();
    file(&till).execute_batch("UPDATE customer SET phone = '1' WHERE id = 1").unwrap();
    let signed = "SELECT group_concat(author || ' ' || label, ', ') FROM journal";
    assert_eq!(file(&till).query_row(signed, [], |row| row.get(0)), Ok("bo day, bo day, bo day".to_owned()));
    let receipt = till.store().set_attribute_values(CUSTOMER, &[(1, "gold")], Some("ana"), None).unwrap();
    assert_eq!(receipt.fields(), 0, "it was there already");
}

/// What is in a file goes with it: into a backup, and back.
#[test]
fn attributes_are_in_a_backup_with_what_waits_of_them() {
    let till = till_of_values();
    file(&till).execute_batch(SET).unwrap();
    let copy = till.folder.path().join("copy.db");
    till.store().backup(&copy).unwrap();
    let there = Till { path: copy, ..till.clone() };
    assert_eq!(VALUES.outcomes(&there), ["pending"]);
    assert_eq!(there.store().attribute_values(CUSTOMER).unwrap().len(), 2);
    assert!(there.store().is_kept("attributes").unwrap());
    assert_eq!(there.store().check().unwrap(), Vec::<String>::new());
}

/// An empty list is no word before somebody else was asked for: not where all that is known is of a customer who is gone.
#[test]
fn a_value_that_is_in_doubt_of_a_customer_who_is_gone_is_no_reason_to_ask_for_ever() {
    let till = till_of_values();
    till.sandbox.set_behaviours("unknown-ids=left-out".parse().unwrap());
    till.sandbox.delete(CUSTOMER as i32);
    file(&till).execute_batch("UPDATE customer SET phone = '1' WHERE id = 1").unwrap();
    till.store().set_attribute_values(CUSTOMER, &[(3, "42")], None, None).unwrap();
    till.engine().sync().unwrap();
    assert_eq!(till.store().conflicts().unwrap().len(), 1, "the customer was deleted, and edited here");
    assert_eq!(VALUES.outcomes(&till), ["rejected"]);
}

/// Attributes that each of the first `customers` has, and one more that nobody has.
fn till_of_many(customers: i32, attributes: i32) -> Till {
    let mut till = Till::new(sandbox(customers as usize + 2));
    till.options.keep = vec!["attributes".to_owned()];
    till.options.upload.grace_ms = 100;
    for attribute in 1..=attributes + 1 {
        till.sandbox.define_attribute(attribute, &format!("attribute {attribute}"), "string");
        for customer in (1..=customers).filter(|_| attribute <= attributes) {
            till.sandbox.put_attribute_value(customer, attribute, "first");
        }
    }
    till.engine().sync().unwrap();
    till.sandbox.clear_requests();
    till
}

/// As an app sets a value, whether it is there or not.
fn set_value(till: &Till, customer: i32, attribute: i32, text: &str) {
    let sql = "INSERT INTO attribute_value (customer_id, attribute_id, value) VALUES (?1, ?2, ?3)
               ON CONFLICT (customer_id, attribute_id) DO UPDATE SET value = excluded.value";
    assert_eq!(file(till).execute(sql, (customer, attribute, text)), Ok(1));
}

/// The queries by which values were asked for by their customers.
fn asked_by_customer(till: &Till) -> Vec<String> {
    let asked = till.sandbox.requests().into_iter().filter(|request| request.method == "GET");
    asked.map(|request| request.query).filter(|query| query.contains("customer_id:in=")).collect()
}

/// The answer to a question for values has all that those customers have: more than a page shows.
#[test]
fn values_of_customers_who_have_more_than_a_page_shows_go_up_all_the_same() {
    let till = till_of_many(10, 30);
    (1..=10).for_each(|customer| set_value(&till, customer, 31, "made"));
    let report = till.engine().sync().unwrap();
    assert_eq!((report.doubted, VALUES.puts(&till).len()), (0, 1));
    assert!((1..=10).all(|customer| till.sandbox.attribute_value(customer, 31).as_deref() == Some("made")));
    let query = |rest: &str| format!("limit=250&customer_id:in=1,2,3,4,5,6,7,8,9,10{rest}");
    assert_eq!(asked_by_customer(&till), [query(""), query("&page=2")]);
    till.assert_no_violations();
}

/// Of pages that are smaller than was asked for, too.
#[test]
fn a_value_on_a_later_page_of_an_answer_is_not_overwritten_unseen() {
    for (attribute, is_there) in [(40, false), (39, true)] {
        let till = till_of_many(1, 39);
        till.sandbox.with_core(|core| core.set_behaviours("pages=10".parse().unwrap()));
        till.sandbox.put_attribute_value(1, attribute, "office");
        set_value(&till, 1, attribute, "till");
        till.engine().push().unwrap();
        let conflicts = till.store().conflicts().unwrap();
        let fields: Vec<&str> = conflicts.iter().map(|conflict| &*conflict.field).collect();
        assert_eq!(fields, [format!("attribute_value.{attribute}.value")], "is there: {is_there}");
        assert_eq!(till.sandbox.attribute_value(1, attribute).as_deref(), Some("office"));
        assert_eq!(asked_by_customer(&till).len(), 4);
        till.assert_no_violations();
    }
}

/// Of many customers and small pages fewer are asked for at a time.
#[test]
fn values_of_many_customers_are_asked_for_of_fewer_where_pages_are_small() {
    let till = till_of_many(8, 10);
    till.sandbox.with_core(|core| core.set_behaviours("pages=5".parse().unwrap()));
    (1..=8).for_each(|customer| set_value(&till, customer, 11, "made"));
    let report = till.engine().sync().unwrap();
    assert_eq!(report.doubted, 0);
    let asked = asked_by_customer(&till);
    let customers = |query: &String| query.split('&').nth(1).unwrap().split(',').count();
    assert_eq!((customers(&asked[0]), customers(&asked[1])), (8, 4));
    assert!(asked.len() <= 18, "{asked:?}");
    assert!((1..=8).all(|customer| till.sandbox.attribute_value(customer, 11).as_deref() == Some("made")));
    till.assert_no_violations();
}

/// Where the store leaves a value out of its answers, and tells how many there are.
#[test]
fn a_value_that_an_answer_only_counts_is_neither_made_nor_taken_for_deleted() {
    for is_known in [false, true] {
        let till = till_of_many(2, 3 + i32::from(is_known));
        till.sandbox.put_attribute_value(1, 4, "office");
        till.sandbox.put_attribute_value(2, 4, "office");
        set_value(&till, 1, 4, "till");
        let odd = Odd::before(&till.sandbox).answer(|asked, told| {
            if asked.parameter("customer_id:in").is_some() {
                told.customers(|values| values.retain(|value| value["attribute_id"] != 4));
            }
        });
        let hidden = till.through(&odd);
        for _ in 0..2 {
            assert_eq!(hidden.engine().push().unwrap().doubted, 1, "is known: {is_known}");
        }
        assert_eq!(till.sandbox.attribute_value(1, 4).as_deref(), Some("office"));
        assert_eq!(till.store().conflicts().unwrap(), []);
        // It is shown again.
        till.engine().push().unwrap();
        assert_eq!(till.store().conflicts().unwrap()[0].field, "attribute_value.4.value");
    }
}

/// A till with an edit that makes a value which the office has made too, and a line on which some answers do not show that, whatever
/// they count: the first of those by customer, in which each is asked for.
fn till_that_is_told_once_that_there_is_nothing(till: &Till) -> Odd {
    till.sandbox.put_attribute_value(1, 4, "office");
    let mut answers = 0;
    Odd::before(&till.sandbox).answer(move |asked, told| {
        answers += i32::from(asked.parameter("customer_id:in").is_some());
        if asked.parameter("customer_id:in").is_some() && answers == 1 {
            told.customers(|values| values.retain(|value| value["attribute_id"] != 4));
            told.edit(|page| {
                page["meta"]["pagination"]["total"] = json!(page["data"].as_array().unwrap().len());
            });
        }
    })
}

#[test]
fn a_value_is_made_only_after_two_looks_that_do_not_show_it() {
    let till = till_of_many(2, 3);
    set_value(&till, 1, 4, "till");
    let odd = till_that_is_told_once_that_there_is_nothing(&till);
    till.through(&odd).engine().push().unwrap();
    assert_eq!(till.sandbox.attribute_value(1, 4).as_deref(), Some("office"));
    assert_eq!(till.store().conflicts().unwrap()[0].field, "attribute_value.4.value");
}

/// A list of what changed is a look.
#[test]
fn a_value_that_no_list_showed_just_now_is_looked_at_once_and_in_a_push_twice() {
    let till = till_of_many(2, 3);
    set_value(&till, 1, 4, "made");
    till.engine().sync().unwrap();
    assert_eq!((asked_by_customer(&till).len(), VALUES.puts(&till).len()), (1, 1));
    till.sandbox.clear_requests();
    set_value(&till, 2, 4, "made");
    till.engine().push().unwrap();
    assert_eq!((asked_by_customer(&till).len(), VALUES.puts(&till).len()), (2, 1));
}

/// Whose making was lost, and which one answer does not show, may have been made, and changed since.
#[test]
fn a_value_that_one_reading_back_does_not_show_is_not_made_again() {
    let till = till_of_many(2, 3);
    set_value(&till, 1, 4, "till");
    till.sandbox.script_updates([Fault::LostAnswer]);
    let sandbox = std::sync::Arc::clone(&till.sandbox);
    let (mut puts, mut readings) = (0, 0);
    let odd = Odd::before(&till.sandbox).answer(move |asked, told| {
        puts += i32::from(asked.is_put());
        if asked.is_put() && puts == 1 {
            sandbox.put_attribute_value(1, 4, "office");
        }
        readings += i32::from(puts > 0 && asked.parameter("customer_id:in").is_some());
        if readings == 1 {
            told.customers(|values| values.retain(|value| value["attribute_id"] != 4));
            told.edit(|page| {
                page["meta"]["pagination"]["total"] = json!(page["data"].as_array().unwrap().len());
            });
        }
    });
    till.through(&odd).engine().sync().unwrap();
    assert_eq!(till.sandbox.attribute_value(1, 4).as_deref(), Some("office"));
}
