//! A till written in another language: Python's own `sqlite3`, which knows nothing of tillsync, edits a till's file.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)] // helpers of tests fail the test

mod common;

use std::process::Command;

/// Runs a script with `python3`, the till's file as its argument, and returns what it printed. `SQLITE_VERSION` says which
/// SQLite that is to have, where it is given another than the system's (`LD_LIBRARY_PATH`).
fn python(till: &common::Till, script: &str) -> String {
    let preamble = "import os, sqlite3, sys\n\
        till = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)\n\
        if sqlite3.sqlite_version_info < (3, 37, 2) or os.environ.get('SQLITE_VERSION') not in (None, sqlite3.sqlite_version):\n    \
            sys.exit('the SQLite of this python3 is ' + sqlite3.sqlite_version)\n";
    let done = Command::new("python3")
        .arg("-c")
        .arg(format!("{preamble}{script}"))
        .arg(&till.path)
        .output()
        .unwrap_or_else(|e| panic!("this test needs python3, which could not be started: {e}"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

const SALE: &str = r#"
till.execute("CREATE TABLE IF NOT EXISTS my_sale (id INTEGER PRIMARY KEY, customer_id INTEGER, total TEXT)")
till.execute("BEGIN")
till.execute("UPDATE edit_context SET author = 'ana', label = 'sale 1042'")
till.execute("UPDATE customer SET phone = ?, notes = ? WHERE id = ?", ("+34 600 100 200", "paga en efectivo, señor 日本", 1))
till.execute("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (?, ?)", (1, "12.50"))
till.execute("INSERT INTO my_sale (customer_id, total) VALUES (1, '12.50')")
till.execute("UPDATE edit_context SET author = NULL, label = NULL")
"#;

const LOOK: &str = r#"
print(till.execute("SELECT count(*) FROM my_sale").fetchone()[0], till.execute("SELECT count(*) FROM journal").fetchone()[0])
"#;

#[test]
fn a_sale_and_its_edits_are_there_together_or_not_at_all() {
    let till = common::till(20);
    let before = till.store().get(1).unwrap();
    assert_eq!(python(&till, &format!("{SALE}till.execute('ROLLBACK'){LOOK}")), "0 0\n");
    assert_eq!(till.store().get(1).unwrap(), before);
    assert_eq!(python(&till, &format!("{SALE}till.execute('COMMIT'){LOOK}")), "1 3\n");
    let rows = till.store().journal(None).unwrap();
    let mut edits: Vec<_> =
        rows.iter().map(|row| [&row.field, &row.op, row.author.as_ref().unwrap()]).collect();
    edits.sort(); // edits of one statement come in no order
    assert_eq!(
        edits,
        [["notes", "set", "ana"], ["phone", "set", "ana"], ["store_credit_amounts", "adjust", "ana"]]
    );
    assert_eq!(rows[2].value, "\"12.5\"");

    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), "\"+34 600 100 200\"");
    assert_eq!(till.remote_value(1, "notes"), "\"paga en efectivo, señor 日本\"");
    till.assert_no_violations();
}

/// Each is refused by the field's name, and the sale goes on in the same transaction.
#[test]
fn what_is_refused_is_named_and_the_transaction_goes_on() {
    let till = common::till(20);
    let said = python(
        &till,
        &format!(
            r#"{SALE}
for field, value in [("date_created", "now"), ("addresses", "[]"), ("email", "日" * 256), ("customer_group_id", "retail"),
                     ("force_password_reset", "true"), ("channel_ids", "[]"), ("form_fields", r'[{{"name":"a\u0000","value":1}}]'), ("store_credit_amounts", '[{{"amount":1e2}}]')]:
    try:
        till.execute("UPDATE customer SET %s = ? WHERE id = 2" % field, (value,))
        print(field, "was not refused")
    except sqlite3.Error as refused:
        print(str(refused).split("tillsync refused: ")[1].rstrip("'"))
try:
    till.execute("INSERT INTO customer (id) VALUES (1000)")
except sqlite3.Error as refused:
    print(str(refused).split("tillsync refused: ")[1].rstrip("'"))
till.execute("UPDATE customer SET email = ? WHERE id = 2", ("é" * 255,))
till.execute("UPDATE customer SET notes = ? WHERE id = 2", ("\ufffd\ufffe\uffff",)) # odd, but valid
till.execute("COMMIT"){LOOK}"#
        ),
    );
    let expected = "\
customer 2: date_created: is read-only, the store sets it
customer 2: addresses: is a subresource and cannot be edited here
customer 2: email: has 256 characters, at most 255 are allowed
customer 2: customer_group_id: must be a whole number, not text
customer 2: force_password_reset: must be 0 or 1
customer 2: channel_ids: an empty array is not allowed
customer 2: form_fields: holds a NUL character
customer 2: store_credit_amounts: an amount has at most 14 digits before the point and 4 after it, and no exponent, not 1e2
customer 1000: id: is given by the store: a new customer takes the one that the view new_id shows
1 5
";
    assert_eq!(said, expected);
}

/// An older SQLite takes a day that its month has not.
#[test]
fn a_date_that_is_in_no_calendar_is_refused() {
    let mut till = common::Till::new(common::sandbox(20));
    till.options.keep = vec!["attributes".to_owned()];
    till.sandbox.define_attribute(4, "birthday", "date");
    till.engine().sync().unwrap();
    let said = python(
        &till,
        r#"
for day in ("2026-02-28", "2026-02-30", "2026-02-29", "2024-02-29", "2026-04-31"):
    try:
        till.execute("INSERT INTO attribute_value (customer_id, attribute_id, value) VALUES (1, 4, ?) "
                     "ON CONFLICT (customer_id, attribute_id) DO UPDATE SET value = excluded.value", (day,))
        print(day)
    except sqlite3.Error as refused:
        print(str(refused).split("tillsync refused: ")[1].rstrip("'"))
"#,
    );
    let refused = "attribute_value 4: value: must be a date, such as 2026-03-31: birthday is one";
    assert_eq!(said, format!("2026-02-28\n{refused}\n{refused}\n2024-02-29\n{refused}\n"));
}

/// JSON may spell a name with escapes, and a path of an older SQLite does not find it then.
#[test]
fn an_amount_whose_name_is_spelled_with_escapes_is_an_amount() {
    let till = common::till(20);
    let said = python(
        &till,
        r#"
def refused(amounts):
    try:
        till.execute("UPDATE customer SET store_credit_amounts = ? WHERE id = 1", (amounts,))
        return amounts + " was not refused"
    except sqlite3.Error as refused:
        return str(refused).split("tillsync refused: ")[1].rstrip("'")
print(refused(r'[{"amount":1e2}]'))
print(refused(r'[{"amount":"3"}]'))
till.execute("UPDATE customer SET store_credit_amounts = ? WHERE id = 1", (r'[{ "amount": 12345678901234.5678 }]',))
till.execute("INSERT INTO store_credit_adjustment VALUES (1, '-0.0001')")
print(till.execute("SELECT store_credit_amounts FROM customer WHERE id = 1").fetchone()[0])
"#,
    );
    let expected = "\
customer 1: store_credit_amounts: an amount has at most 14 digits before the point and 4 after it, and no exponent, not 1e2
customer 1: store_credit_amounts: must be a JSON array such as [{\"amount\":43.15}]
[{\"amount\":12345678901234.5677}]
";
    assert_eq!(said, expected);
}

/// Two programs, one file: each edit waits for the other's transaction, and a sync takes both.
#[test]
fn it_edits_while_the_engine_syncs() {
    let till = common::till(20);
    std::thread::scope(|scope| {
        let editing = scope.spawn(|| {
            python(
                &till,
                "for i in range(50):\n    till.execute('UPDATE customer SET phone = ? WHERE id = ?', (i, i % 10 + 1))\n",
            )
        });
        while !editing.is_finished() {
            till.engine().sync().unwrap();
        }
        editing.join().unwrap();
    });
    till.engine().sync().unwrap();
    assert_eq!(till.store().status().unwrap().pending_fields, 0);
    for id in 1..=10 {
        assert_eq!(till.remote_value(id, "phone"), format!("\"{}\"", 40 + id - 1));
    }
    till.assert_no_violations();
}

/// An app may have given `LIKE` a meaning of its own, and so `lower` and `upper`: what is paid is what was typed.
#[test]
fn a_payment_has_the_sign_that_was_typed_whatever_like_means() {
    for answer in ["True", "False"] {
        let till = common::till(20);
        let said = python(
            &till,
            &format!(
                r#"
till.create_function("like", 2, lambda pattern, text: {answer})
before = till.execute("SELECT json_extract(store_credit_amounts, '$[0].amount') FROM customer WHERE id = 1").fetchone()[0]
for amount in ("+10", "-0.3", "2.25"):
    till.execute("INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (1, ?)", (amount,))
after = till.execute("SELECT json_extract(store_credit_amounts, '$[0].amount') FROM customer WHERE id = 1").fetchone()[0]
print(round(after - before, 4), *[row[0] for row in till.execute("SELECT value FROM journal ORDER BY seq")])
"#
            ),
        );
        assert_eq!(said, "11.95 \"10\" \"-0.3\" \"2.25\"\n");
    }
}
