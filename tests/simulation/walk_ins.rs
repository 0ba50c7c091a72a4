//! People who come in: entered at a till while the line may be down, edited and paid by whatever they are called there, sold to in a table
//! of the app's own, given up; some at two tills, some by the office too, some with an address that another has.
//!
//! Whoever it is, the last name tells: nobody edits that of one who came in.

use std::collections::BTreeSet;

use rusqlite::OptionalExtension;
use serde_json::{Map, Value, json};
use tillsync::sandbox::RawRequest;
use tillsync::{Conflict, CustomerId, Decimal, Keep, Store};

use crate::invariants::{Deed, Edited};
use crate::values::lenient;
use crate::world::{Shared, World};

const CREDIT: &str = "store_credit_amounts";

/// Somebody who was entered at a till.
#[derive(Clone, Debug)]
pub struct Walker {
    pub till: usize,
    /// What it was called there at first.
    pub old: i64,
    pub person: usize,
    /// What it is called there now, as far as anybody has looked.
    pub today: i64,
    pub is_given_up: bool,
    /// What was said last of its phone.
    pub phone: Option<String>,
    /// What was given to it before it was called otherwise: rows of the journal, with the amounts.
    pub paid: Vec<(i64, Decimal)>,
    /// What a creation of this till's has brought to the store.
    pub landed: Option<Decimal>,
}

/// Somebody of flesh and blood.
#[derive(Clone, Debug)]
pub struct Person {
    /// The address that was said last.
    pub email: String,
    /// Another one was said before.
    pub is_moved: bool,
    /// The office has entered it, too.
    pub is_the_offices: bool,
}

impl Person {
    fn new(email: String) -> Person {
        Person { email, is_moved: false, is_the_offices: false }
    }
}

/// Whether more than one till, or the office, has to do with somebody.
pub fn has_several_hands(world: &World, person: usize) -> bool {
    let tills: BTreeSet<usize> =
        world.walkers.iter().filter(|one| one.person == person).map(|one| one.till).collect();
    tills.len() > 1 || world.persons[person].is_the_offices
}

/// Whether people come in. What a file that is set back has forgotten of them is another story.
pub fn are_on(world: &World) -> bool {
    world.odd.has("walk-ins") && !world.odd.has("set-back")
}

/// By what a person is known again.
pub fn name_of(person: usize) -> String {
    format!("Walker {person}")
}

/// Who that is.
pub fn person_of(record: &Value) -> Option<usize> {
    record["last_name"].as_str()?.trim().strip_prefix("Walker ")?.parse().ok()
}

/// Those of the store who are that person.
pub fn in_store(world: &World, person: usize) -> Vec<i64> {
    let all = world.made.keys().copied();
    all.filter(|id| world.customer(*id).is_some_and(|record| person_of(&record) == Some(person))).collect()
}

/// The app's own table.
pub fn install(world: &Shared) -> Result<(), String> {
    let mut world = world.lock();
    if !are_on(&world) {
        return Ok(());
    }
    let table = "CREATE TABLE IF NOT EXISTS my_sale (person INTEGER, customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE ON DELETE SET NULL)";
    world.till().looks().execute_batch(table).map_err(|e| e.to_string())
}

/// Something happens with those who come in.
pub fn act(world: &Shared) {
    let (n, is_first) = {
        let mut world = world.lock();
        let till = world.active;
        (world.random.u8(..20), !world.walkers.iter().any(|walker| walker.till == till))
    };
    match n {
        0..7 => enter(world),
        _ if is_first => enter(world),
        7..13 => edit(world),
        13..17 => pay(world),
        17 => change_address(world),
        18 => give_up(world),
        _ => office_enters(&mut world.lock()),
    }
}

/// An address that nobody else has, in some spelling.
fn address(world: &mut World, person: usize) -> String {
    world.addresses += 1;
    let n = world.addresses;
    match world.random.u8(..8) {
        0 => format!("no address of {person}"),
        1 => format!("Walker{person}+{n}@Example.com"),
        2 => format!("shared{}@example.com", n % 12),
        _ => format!("walker{person}.{n}@example.com"),
    }
}

fn enter(world: &Shared) {
    let (mut store, person, email, first_name, till) = {
        let mut world = world.lock();
        let till = world.active;
        let is_here = |person: &usize| {
            let mut of_it = world.walkers.iter().filter(|walker| walker.person == *person);
            of_it.any(|walker| walker.till == till)
        };
        // Who has said another address once says another one to another clerk.
        let may_come = |person: &usize| !is_here(person) && !world.persons[*person].is_moved;
        let elsewhere: Vec<usize> = (0..world.persons.len()).filter(may_come).collect();
        let known = world.random.choice(&elsewhere).copied().filter(|_| world.random.u8(..2) == 0);
        let person = known.unwrap_or(world.persons.len());
        if known.is_none() {
            let email = address(&mut world, person);
            world.persons.push(Person::new(email));
        }
        let email = world.persons[person].email.clone();
        let first_name = if world.random.u8(..4) == 0 { "B" } else { "A" };
        (world.till().take_app(), person, email, first_name, till)
    };
    let before = count(&mut store);
    let last_name = name_of(person);
    let is_sql = { world.lock().random.bool() };
    let entered = if is_sql {
        let insert = "INSERT INTO customer (id, email, first_name, last_name, company)
                      SELECT id, ?1, ?2, ?3, 'hers' FROM new_id RETURNING id";
        let id = store.connection().query_row(insert, (&email, first_name, &last_name), |row| row.get(0));
        id.map_err(|error| error.to_string())
    } else {
        let person = store.create().set("email", &email).set("first_name", first_name);
        let entered = person.set("last_name", &last_name).author("ana").commit();
        entered.map(|entered| entered.ids[0].0).map_err(|error| error.to_string())
    };
    if let Ok(id) = entered {
        let sale = "INSERT INTO my_sale VALUES (?1, ?2)";
        store.connection().execute(sale, (person as i64, id)).unwrap();
    }
    let rows = count(&mut store) - before;
    let mut world = world.lock();
    world.till().app = Some(store);
    match entered {
        Ok(id) => {
            world.note(format!(".. {id} comes in: person {person}, {email}"));
            let walker = Walker {
                till,
                old: id,
                person,
                today: id,
                is_given_up: false,
                phone: None,
                paid: Vec::new(),
                landed: None,
            };
            world.walkers.push(walker);
            told_of_edit(&mut world, id, "*", rows, None);
        }
        // The file has it of somebody else.
        Err(error) if error.contains("already") => {}
        Err(error) => world.problems.push(format!("{email} cannot be entered: {error}")),
    }
}

/// One of those who came in at the till that is at work, to whom something can still happen.
fn any(world: &mut World) -> Option<usize> {
    let till = world.active;
    let all: Vec<usize> = (0..world.walkers.len())
        .filter(|nth| world.walkers[*nth].till == till && !world.walkers[*nth].is_given_up)
        .collect();
    world.random.choice(&all).copied()
}

const BY_THE_SALE: &str =
    "customer SET phone = ?1 WHERE id IN (SELECT customer_id FROM my_sale WHERE person = ?2)";

/// An app that goes on by what it was called at first: by the library, by the view, or plainly, where that is another one by now.
fn edit(world: &Shared) {
    let (mut store, nth, phone, how) = {
        let mut world = world.lock();
        let Some(nth) = any(&mut world) else { return };
        let (n, how) = (world.random.u32(..10_000), world.random.u8(..4));
        (world.till().take_app(), nth, n.to_string(), how)
    };
    let Walker { old, person, .. } = world.lock().walkers[nth].clone();
    let before = count(&mut store);
    let by = |store: &mut Store, which: &str, id: i64| {
        let sql = format!("UPDATE {which}");
        store.connection().execute(&sql, (&phone, id)).map(drop).map_err(|error| error.to_string())
    };
    let done = match how {
        0 => {
            let edited = store.edit(old).set("phone", &phone).commit();
            edited.map(drop).map_err(|error| error.to_string())
        }
        1 => by(&mut store, "customer_by_any_id SET phone = ?1 WHERE any_id = ?2", old),
        2 => by(&mut store, "customer SET phone = ?1 WHERE id = ?2", old),
        // By the app's own row, which follows.
        _ => by(&mut store, BY_THE_SALE, person as i64),
    };
    let rows = count(&mut store) - before;
    let mut world = world.lock();
    world.till().app = Some(store);
    match done {
        Ok(()) if rows > 0 => {
            world.note(format!(".. the app edits {old}, who came in: phone {phone}"));
            world.walkers[nth].phone = Some(phone);
            told_of_edit(&mut world, old, "phone", rows, None);
        }
        Ok(()) => {}
        // Deleted in the store since.
        Err(error) if error.contains("no customer") || error.contains("not in") => {}
        Err(error) => world.problems.push(format!("{old}, who came in, cannot be edited: {error}")),
    }
}

fn pay(world: &Shared) {
    let (mut store, old, amount, is_sql) = {
        let mut world = world.lock();
        let Some(nth) = any(&mut world) else { return };
        let amount = Decimal::from(world.any(&[5, 5, 3]));
        let (old, is_sql) = (world.walkers[nth].old, world.random.bool());
        (world.till().take_app(), old, amount, is_sql)
    };
    let before = count(&mut store);
    let done = if is_sql {
        let sql = "UPDATE edit_context SET author = 'ana'";
        let connection = store.connection();
        let pay = "INSERT INTO store_credit_adjustment VALUES (?1, ?2)";
        let done = connection
            .execute_batch(sql)
            .and_then(|()| connection.execute(pay, (old, amount.to_string())).map(drop));
        connection.execute_batch("UPDATE edit_context SET author = NULL").unwrap();
        done.map_err(|e| e.to_string())
    } else {
        let edit = store.edit(old).adjust_credit(amount).author("ana").override_floor();
        edit.commit().map(drop).map_err(|e| e.to_string())
    };
    let rows = count(&mut store) - before;
    let mut world = world.lock();
    world.till().app = Some(store);
    match done {
        Ok(()) => {
            world.note(format!(".. the app gives {old}, who came in, {amount}"));
            told_of_edit(&mut world, old, CREDIT, rows, Some(amount));
        }
        Err(error) if error.contains("no customer") || error.contains("not in") => {}
        Err(error) => world.problems.push(format!("{old}, who came in, cannot be paid: {error}")),
    }
}

/// The clerk has misheard the address.
fn change_address(world: &Shared) {
    let (mut store, nth, old, email) = {
        let mut world = world.lock();
        let Some(nth) = any(&mut world) else { return };
        let (old, person) = (world.walkers[nth].old, world.walkers[nth].person);
        if has_several_hands(&world, person) {
            return;
        }
        let email = address(&mut world, person);
        (world.till().take_app(), nth, old, email)
    };
    let before = count(&mut store);
    let done = store.edit(old).set("email", &email).commit();
    let rows = count(&mut store) - before;
    let mut world = world.lock();
    world.till().app = Some(store);
    match done {
        Ok(_) => {
            world.note(format!(".. {old}, who came in, is {email}"));
            let person = world.walkers[nth].person;
            (world.persons[person].email, world.persons[person].is_moved) = (email, true);
            told_of_edit(&mut world, old, "email", rows, None);
        }
        Err(error) if error.to_string().contains("already") || error.code() == "unknown_customer" => {}
        Err(error) => world.problems.push(format!("{old}, who came in, cannot be {email}: {error}")),
    }
}

/// Nobody came in after all.
fn give_up(world: &Shared) {
    let (mut store, nth, old) = {
        let mut world = world.lock();
        let Some(nth) = any(&mut world) else { return };
        if world.walkers[nth].today > 0 {
            return;
        }
        let old = world.walkers[nth].old;
        (world.till().take_app(), nth, old)
    };
    let before = count(&mut store);
    let done = store.discard(old, None, Some("bo"));
    let rows = count(&mut store) - before;
    let is_gone = store.get(old).unwrap().is_none();
    let mut world = world.lock();
    world.till().app = Some(store);
    match done {
        Ok(_) if is_gone => {
            world.note(format!(".. {old}, who came in, is given up"));
            world.walkers[nth].is_given_up = true;
            told_of_edit(&mut world, old, "*", rows, None);
        }
        Ok(_) => told_of_edit(&mut world, old, "*", rows, None),
        Err(error) => assert!(error.is_usage(), "{error}"),
    }
}

/// What was decided may have been that nobody came in.
pub fn may_be_given_up(world: &mut World, store: &Store, id: CustomerId) {
    let till = world.active;
    if id.0 < 0 && store.get(id).unwrap().is_none() {
        let walker = world.walkers.iter_mut().find(|walker| (walker.till, walker.old) == (till, id.0));
        walker.into_iter().for_each(|walker| walker.is_given_up = true);
    }
}

/// The office enters somebody who is at a till, too, or comes there later.
pub fn office_enters(world: &mut World) {
    let person = world.random.usize(..=world.persons.len());
    if person == world.persons.len() {
        let email = address(world, person);
        world.persons.push(Person::new(email));
    }
    if world.persons[person].is_moved {
        return;
    }
    let email = world.persons[person].email.clone();
    let has_it = |world: &World, id: i32| {
        let email_of = world.customer(i64::from(id)).map(|record| record["email"].clone());
        email_of.is_some_and(|it| it.as_str().is_some_and(|it| it.eq_ignore_ascii_case(&email)))
    };
    let is_there = !in_store(world, person).is_empty()
        || world.core.ids().into_iter().any(|id| has_it(world, id))
        || email.starts_with("no address");
    if is_there {
        return;
    }
    let record = json!({"email": email, "first_name": "A", "last_name": name_of(person)});
    let (now, now_ms) = (world.now(), world.now_ms);
    let id = i64::from(world.core.add_text(now, &record.to_string()).unwrap());
    world.persons[person].is_the_offices = true;
    world.made.insert(id, now_ms);
    world.note(format!(".. the office enters {id}: person {person}, {email}"));
    let record = world.customer(id).unwrap();
    world.tell(&Deed::Made { id, record: &record, sent: None });
}

fn count(store: &mut Store) -> usize {
    let sql = "SELECT count(*) FROM journal WHERE of_resource IS NULL";
    store.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize
}

fn told_of_edit(world: &mut World, old: i64, field: &'static str, rows: usize, amount: Option<Decimal>) {
    let newest = "SELECT max(seq) FROM journal WHERE of_resource IS NULL";
    let seq = world.till().looks().query_row(newest, [], |row| row.get(0)).optional().unwrap();
    let (till, id) = (world.active, today(world, old));
    if let (true, Some(seq), Some(amount)) = (id < 0, seq, amount) {
        let walker = world.walkers.iter_mut().find(|walker| (walker.till, walker.old) == (till, old));
        walker.into_iter().for_each(|walker| walker.paid.push((seq, amount)));
    }
    world.tell(&Deed::Edited(Edited { till, id, field, rows, seq: seq.filter(|_| rows > 0), amount }));
}

/// What somebody is called in the file of the till that is at work.
fn today(world: &mut World, old: i64) -> i64 {
    let sql = "SELECT id FROM alias WHERE resource = 'customer' AND old_id = ?1";
    let looks = world.till().looks();
    looks.prepare_cached(sql).unwrap().query_row([old], |row| row.get(0)).optional().unwrap().unwrap_or(old)
}

/// Who is called otherwise by now in the file of the till that is at work: the books are told.
pub fn follow_up(world: &mut World) {
    if !are_on(world) {
        return;
    }
    let till = world.active;
    for nth in 0..world.walkers.len() {
        let (of, old, was) = (world.walkers[nth].till, world.walkers[nth].old, world.walkers[nth].today);
        if of != till || was > 0 {
            continue;
        }
        let now = today(world, old);
        if now > 0 {
            world.walkers[nth].today = now;
            world.note(format!("   {old} is {now} from now on"));
            world.tell(&Deed::Followed { till, old, new: now });
        }
    }
}

/// A person decides about one who exists in the store already, by the name: the same one, another one, or nobody.
pub fn decide(world: &mut World, store: &mut Store, conflict: &Conflict) -> Vec<i64> {
    let (id, remote) = (conflict.customer_id, lenient(&conflict.remote));
    let till = world.active;
    let nth = world.walkers.iter().position(|walker| walker.till == till && walker.old == id.0);
    let Some(nth) = nth else {
        world.problems.push(format!("till {till}: {id} exists already, and nobody entered it"));
        return Vec::new();
    };
    let person = world.walkers[nth].person;
    let keep = match person_of(&remote) == Some(person) {
        true => Keep::Remote,
        false => {
            // Another till may have asked already.
            let known = world.persons[person].email.clone();
            let is_that = remote["email"].as_str().is_some_and(|it| it.eq_ignore_ascii_case(&known));
            let email = if is_that { address(world, person) } else { known };
            (world.persons[person].email, world.persons[person].is_moved) = (email.clone(), true);
            Keep::Value(email)
        }
    };
    let shown = rows_of(store, id);
    match store.resolve(id, "+", &keep, Some("bo")) {
        Ok(_) => world.note(format!(".. resolves {id} +: {keep:?}")),
        Err(error) if error.to_string().contains("already") => {
            world.note(format!(".. cannot resolve {id} +: {error}"));
        }
        Err(error) => world.problems.push(format!("{id} +: {keep:?}: {error}")),
    }
    let landed = world.walkers[nth].landed.unwrap_or_default();
    let granted = granted_again(store, &remote);
    if keep == Keep::Remote && !landed.is_zero() && granted {
        let problem = format!("till {till}: {id} was given {landed} when it landed, and is given it again");
        world.problems.push(problem);
    }
    shown
}

/// Whether a decision gives the store's customer something without asking.
fn granted_again(store: &mut Store, remote: &Value) -> bool {
    let sql = "SELECT 1 FROM journal WHERE customer_id = ?1 AND op = 'adjust' AND label = 'resolve' AND outcome IS NULL
               AND settled_at IS NULL";
    store.connection().prepare_cached(sql).unwrap().exists([remote["id"].as_i64()]).unwrap()
}

fn rows_of(store: &mut Store, id: CustomerId) -> Vec<i64> {
    let sql = "SELECT seq FROM journal WHERE customer_id = ?1 AND settled_at IS NULL";
    let mut statement = store.connection().prepare_cached(sql).unwrap();
    let rows = statement.query_map([id.0], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

impl World {
    /// A creation arrives, or not: whoever is new in the store is told of.
    pub fn making<T>(&mut self, raw: &RawRequest, apply: impl FnOnce(&mut World) -> T) -> T {
        let before: BTreeSet<i32> = self.core.ids().into_iter().collect();
        let done = apply(self);
        let sent: Vec<Map<String, Value>> = serde_json::from_slice(&raw.body).unwrap_or_default();
        let new: Vec<i32> = self.core.ids().into_iter().filter(|id| !before.contains(id)).collect();
        for id in new.into_iter().map(i64::from) {
            let now_ms = self.now_ms;
            self.made.insert(id, now_ms);
            let record = self.customer(id).unwrap_or_default();
            self.note(format!("   {id} is made: {}, {}", record["last_name"], record["email"]));
            let of_it = sent.iter().find(|one| one.get("last_name") == record.get("last_name"));
            self.tell(&Deed::Made { id, record: &record, sent: of_it });
        }
        done
    }
}
