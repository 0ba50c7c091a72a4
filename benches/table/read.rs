//! What an app reads: opening the file, one customer, a search, how things stand.

use std::cell::RefCell;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use tillsync::Store;

use crate::bare::{self, COLUMN_COUNT, COLUMNS};
use crate::data::{World, edit_some, ids, remove};
use crate::harness::{Paired, Reach, Table, paired, timed};

const LOOKUPS: usize = 1_000;
const FOUND: usize = 20;

pub fn run(world: &World, table: &mut Table) {
    let names = [
        "open: the large store",
        "read: get by id",
        "read: by email, plain SQL",
        "read: by phone, plain SQL",
        "read: find by prefix",
        "read: status, 100 dirty",
    ];
    if !names.iter().any(|name| table.wants(name)) {
        return;
    }
    let customers = world.scale.big;
    let path = world.pulled(customers);
    edit_some(&mut Store::open(&path).unwrap(), customers, 100, 99);
    if table.wants(names[0]) {
        let pair = paired(
            50,
            || timed(|| Store::open(&path).unwrap()),
            || {
                timed(|| {
                    let connection = Connection::open(&path).unwrap();
                    connection
                        .query_row("SELECT id FROM customer LIMIT 1", [], |row| row.get::<_, i64>(0))
                        .unwrap()
                })
            },
        );
        table.paired(names[0], pair, 1, Reach::AtMost(2.0));
    }
    if !names[1..].iter().any(|name| table.wants(name)) {
        return;
    }
    let bare_path = world.fresh("bare");
    let sides = RefCell::new(Sides {
        store: Store::open(&path).unwrap(),
        bare: bare::of(&bare_path, &path),
        random: fastrand::Rng::with_seed(3),
        ids: ids(customers),
        rounds: world.scale.rounds + 4,
    });
    let mut sides = sides.borrow_mut();
    for (name, measure) in [
        (names[1], Sides::by_id as fn(&mut Sides) -> Paired),
        (names[2], |sides: &mut Sides| sides.by_column("email")),
        (names[3], |sides: &mut Sides| sides.by_column("phone")),
        (names[4], Sides::find),
        (names[5], Sides::status),
    ] {
        if table.wants(name) {
            let pair = measure(&mut sides);
            table.paired(name, pair, LOOKUPS, Reach::AtMost(1.5));
        }
    }
    remove(&bare_path);
}

struct Sides {
    store: Store,
    bare: Connection,
    random: fastrand::Rng,
    ids: Vec<i64>,
    rounds: usize,
}

impl Sides {
    fn chosen(&mut self) -> Vec<i64> {
        (0..LOOKUPS).map(|_| self.ids[self.random.usize(..self.ids.len())]).collect()
    }

    fn by_id(&mut self) -> Paired {
        let (ids, sql) = (self.chosen(), format!("SELECT {COLUMNS} FROM customer WHERE id = ?1"));
        let ours = || timed(|| ids.iter().for_each(|id| assert!(self.store.get(*id).unwrap().is_some())));
        let floor = || timed(|| ids.iter().for_each(|id| assert_eq!(rows(&self.bare, &sql, params![id]), 1)));
        paired(self.rounds, ours, floor)
    }

    fn by_column(&mut self, column: &str) -> Paired {
        let sql = format!("SELECT {COLUMNS} FROM customer WHERE {column} = ?1 COLLATE NOCASE LIMIT 20");
        let values = self.values(column);
        let of = |connection: &Connection| -> Duration {
            timed(|| values.iter().for_each(|value| _ = rows(connection, &sql, params![value])))
        };
        let store = RefCell::new(&mut self.store);
        paired(self.rounds, || of(store.borrow_mut().connection()), || of(&self.bare))
    }

    fn find(&mut self) -> Paired {
        let cut = |text: String| text.chars().take(8).collect::<String>();
        let texts: Vec<String> = self.values("email").into_iter().map(cut).collect();
        let one = |column: &str| {
            format!(
                "SELECT id FROM (SELECT id FROM customer WHERE {column} >= ?1 COLLATE NOCASE
                                  AND {column} < ?2 COLLATE NOCASE LIMIT ?3)"
            )
        };
        let parts = ["email", "phone", "last_name", "first_name", "company"].map(one).join(" UNION ");
        let sql = format!("SELECT {COLUMNS} FROM customer WHERE id IN ({parts}) ORDER BY id LIMIT ?3");
        // Everybody is in the index.
        (0..2_000).for_each(|_| _ = self.store.find("x", 1).unwrap());
        let ours = || {
            timed(|| {
                texts
                    .iter()
                    .for_each(|text| assert!(!self.store.find(text, FOUND).unwrap().customers.is_empty()))
            })
        };
        let floor = || {
            timed(|| {
                for text in &texts {
                    assert!(rows(&self.bare, &sql, params![text, format!("{text}\u{10ffff}"), FOUND]) > 0);
                }
            })
        };
        paired(self.rounds, ours, floor)
    }

    fn status(&mut self) -> Paired {
        let ours = || {
            timed(|| {
                (0..LOOKUPS).for_each(|_| assert_eq!(self.store.status().unwrap().pending_customers, 100))
            })
        };
        let sql = "SELECT count(DISTINCT customer_id || ' ' || field), count(DISTINCT customer_id)
                   FROM journal
                   WHERE settled_at IS NULL AND outcome IS NULL";
        let floor = || timed(|| (0..LOOKUPS).for_each(|_| _ = rows(&self.bare, sql, [])));
        paired(self.rounds, ours, floor)
    }

    /// That column of some customers that have it.
    fn values(&mut self, column: &str) -> Vec<String> {
        let ids = self.chosen();
        let sql = format!("SELECT {column} FROM customer WHERE id = ?1");
        let mut statement = self.bare.prepare(&sql).unwrap();
        let value = |id: &i64| statement.query_row([id], |row| row.get::<_, Option<String>>(0)).unwrap();
        let mut values: Vec<String> = ids.iter().filter_map(value).filter(|text| !text.is_empty()).collect();
        let have = values.len();
        values.extend_from_within(..LOOKUPS - have);
        values
    }
}

/// Reads the rows into values of our own; returns how many.
fn rows(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> usize {
    let mut statement = connection.prepare_cached(sql).unwrap();
    let columns = statement.column_count().min(COLUMN_COUNT);
    let mut rows = statement.query(params).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        let values = (0..columns).map(|column| match row.get_ref(column).unwrap() {
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        });
        std::hint::black_box(values.collect::<Vec<String>>());
        count += 1;
    }
    count
}
