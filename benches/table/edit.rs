//! Edits: one durable one, and many in one transaction.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tillsync::{CustomerId, Edit, Store, parse_argument};

use crate::bare;
use crate::data::{World, ids, remove};
use crate::harness::{Reach, Table, paired, timed};

/// Durable edits of one turn: few, so that both sides meet the same moods of the disk.
const AT_ONCE: usize = 20;

const SET_PHONE: &str = "UPDATE customer SET phone = ?2 WHERE id = ?1";

/// The least that a trigger does for promise 1: no check of the value, none of who writes, no author, no label.
const JOURNALS: &str =
    "CREATE TRIGGER journals BEFORE UPDATE OF phone ON customer WHEN NEW.phone IS NOT OLD.phone
     BEGIN
         INSERT INTO journal (customer_id, field, op, value, was, at)
         VALUES (OLD.id, 'phone', 'set', json_quote(NEW.phone), json_quote(OLD.phone),
                 strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
     END";

pub fn run(world: &World, table: &mut Table) {
    let names = [
        "edit: one durable, Rust",
        "edit: one durable, plain SQL",
        "edit: many in one transaction, Rust",
        "edit: many in one transaction, plain SQL",
        "edit: the same, against a trigger that only journals",
    ];
    if !names.iter().any(|name| table.wants(name)) {
        return;
    }
    let customers = world.scale.pull;
    let (ours, floor) = (world.copy(customers), world.fresh("bare"));
    let mut sides = Sides {
        store: Store::open(&ours).unwrap(),
        bare: bare::of(&floor, &ours),
        ids: ids(customers),
        random: fastrand::Rng::with_seed(5),
        count: 0,
    };
    let turns = world.scale.rounds * 12;
    if table.wants(names[0]) {
        let pair = sides.durable(turns, |sides, id, phone| {
            sides.store.edit(id).set("phone", phone).commit().unwrap();
        });
        table.paired(names[0], pair, AT_ONCE, Reach::AtLeast(0.85));
    }
    if table.wants(names[1]) {
        let pair = sides.durable(turns, |sides, id, phone| {
            let connection = sides.store.connection();
            connection.prepare_cached(SET_PHONE).unwrap().execute(params![id, phone]).unwrap();
        });
        table.paired(names[1], pair, AT_ONCE, Reach::AtLeast(0.85));
    }
    let many = |sides: &mut Sides, ours: fn(&mut Sides) -> Duration| {
        let sides = std::cell::RefCell::new(sides);
        paired(world.scale.rounds, || ours(&mut sides.borrow_mut()), || sides.borrow_mut().many_bare())
    };
    if table.wants(names[2]) {
        let pair = many(&mut sides, Sides::many_rust);
        table.paired(names[2], pair, customers, Reach::AtLeast(0.6));
    }
    if table.wants(names[3]) {
        let pair = many(&mut sides, Sides::many_sql);
        table.paired(names[3], pair, customers, Reach::AtLeast(0.6));
    }
    if table.wants(names[4]) {
        sides.bare.execute_batch(JOURNALS).unwrap();
        let sides = std::cell::RefCell::new(&mut sides);
        let floor = || sides.borrow_mut().many_triggered();
        let pair = paired(world.scale.rounds, || sides.borrow_mut().many_sql(), floor);
        table.paired(names[4], pair, customers, Reach::Shown);
    }
    drop(sides);
    [ours, floor].iter().for_each(|path| remove(path));
}

struct Sides {
    store: Store,
    bare: Connection,
    ids: Vec<i64>,
    random: fastrand::Rng,
    count: usize,
}

impl Sides {
    /// A phone that nobody has.
    fn phone(&mut self) -> String {
        self.count += 1;
        format!("+49 30 {}", self.count)
    }

    fn durable(
        &mut self,
        turns: usize,
        mut ours: impl FnMut(&mut Sides, i64, &str),
    ) -> crate::harness::Paired {
        let sides = std::cell::RefCell::new(self);
        let turn = |edit: &mut dyn FnMut(&mut Sides, i64, &str)| {
            let mut sides = sides.borrow_mut();
            let sides: &mut Sides = &mut sides;
            let began = Instant::now();
            for _ in 0..AT_ONCE {
                let place = sides.random.usize(..sides.ids.len());
                let (id, phone) = (sides.ids[place], sides.phone());
                edit(sides, id, &phone);
            }
            began.elapsed()
        };
        paired(turns, || turn(&mut ours), || turn(&mut Sides::durable_bare))
    }

    fn durable_bare(&mut self, id: i64, phone: &str) {
        self.bare.prepare_cached("BEGIN IMMEDIATE").unwrap().execute([]).unwrap();
        bare::edit(&self.bare, id, phone);
        self.bare.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
    }

    fn many_bare(&mut self) -> Duration {
        let phone = self.phone();
        timed(|| {
            let transaction = self.bare.transaction().unwrap();
            for id in &self.ids {
                bare::edit(&transaction, *id, &phone);
            }
            transaction.commit().unwrap();
        })
    }

    fn many_sql(&mut self) -> Duration {
        let phone = self.phone();
        timed(|| set_phones(self.store.connection(), &self.ids, &phone))
    }

    fn many_triggered(&mut self) -> Duration {
        let phone = self.phone();
        timed(|| set_phones(&mut self.bare, &self.ids, &phone))
    }

    fn many_rust(&mut self) -> Duration {
        let phone = self.phone();
        let edit =
            |id: &i64| (CustomerId(*id), vec![parse_argument(CustomerId(*id), "phone", &phone).unwrap()]);
        let edits: Vec<(CustomerId, Vec<Edit>)> = self.ids.iter().map(edit).collect();
        timed(|| self.store.edit_all(&edits, None, None).unwrap())
    }
}

fn set_phones(connection: &mut Connection, ids: &[i64], phone: &str) {
    let transaction = connection.transaction().unwrap();
    for id in ids {
        transaction.prepare_cached(SET_PHONE).unwrap().execute(params![id, phone]).unwrap();
    }
    transaction.commit().unwrap();
}
