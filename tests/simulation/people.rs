//! What people do: who serves at the till, the back office, the shopper, and the person who decides what waits.

use chrono::TimeDelta;
use rusqlite::OptionalExtension;
use serde_json::json;
use tillsync::{Conflict, CustomerId, Decimal, Keep, Store};

use crate::attributes;
use crate::invariants::{Deed, Edited};
use crate::values::amount;
use crate::walk_ins;
use crate::world::{Shared, World};

/// Attributes that only the first till edits.
pub const TILL_ONLY: [&str; 3] = ["phone", "last_name", "email"];
/// An attribute that only the back office edits.
pub const OFFICE_ONLY: &str = "tax_exempt_category";
/// Attributes that both edit.
const SHARED: [&str; 5] = ["company", "first_name", "notes", "form_fields", "channel_ids"];
const CREDIT: &str = "store_credit_amounts";

/// What every customer begins with: no adjustment exhausts it, unless this is a poor neighbourhood.
pub fn open_accounts(world: &Shared) {
    let mut world = world.lock();
    let now = world.now();
    for id in world.core.ids() {
        let is_poor = world.odd.has("poor-shoppers") && id % 2 == 0;
        let balance = if is_poor { 3 } else { 10_000 };
        let mut opening = json!({ CREDIT: [{ "amount": balance }] });
        if world.odd.has("long-notes") && id % 3 == 0 {
            opening["notes"] = "a line of a long story, which a person wrote\n".repeat(30).into();
        }
        if world.odd.has("half-emoji") && id % 2 == 0 {
            opening["notes"] = "says \"hello\" \\ 🎂\nfirst\nlast".into();
        }
        world.core.edit_text(now, id, &opening.to_string()).unwrap();
    }
}

// ---- at the till -------------------------------------------------------------------------------------------------

#[derive(Debug)]
enum Draw {
    Set(&'static str, String),
    Sql(&'static str, String),
    /// A line is added to the notes.
    Append(String),
    Adjust(Decimal),
    /// What is on its way is taken back: the attribute is what the snapshot has.
    TakeBack(&'static str),
    /// All columns are written as they were read, some in another spelling.
    WriteBack,
}

impl Draw {
    fn field(&self) -> &'static str {
        match self {
            Draw::Set(field, _) | Draw::Sql(field, _) | Draw::TakeBack(field) => field,
            Draw::Append(_) | Draw::WriteBack => "notes",
            Draw::Adjust(_) => CREDIT,
        }
    }
}

/// Whose payment was refused pays again, before anybody has decided about the first one.
pub fn pay_again(world: &Shared) {
    let (id, draw) = {
        let mut world = world.lock();
        if !world.odd.has("poor-shoppers") || !world.happens(0.7) {
            return;
        }
        let sql = "SELECT customer_id FROM journal WHERE field = ?1 AND outcome = 'rejected' ORDER BY seq";
        let refused: Vec<i64> = {
            let mut statement = world.till().looks().prepare_cached(sql).unwrap();
            let rows = statement.query_map([CREDIT], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let Some(id) = world.random.choice(&refused).copied() else { return };
        (id, Draw::Adjust(Decimal::new(world.random.i64(1..300), 2)))
    };
    commit(world, id, &draw);
}

/// The app edits: through the library or through plain SQL.
pub fn edit(world: &Shared) {
    let is_of_the_shops = {
        let mut world = world.lock();
        world.odd.has("attributes") && world.random.u8(..3) == 0
    };
    if is_of_the_shops {
        return attributes::set(world);
    }
    let is_of_one_who_came_in = {
        let mut world = world.lock();
        walk_ins::are_on(&world) && world.random.u8(..3) == 0
    };
    if is_of_one_who_came_in {
        return walk_ins::act(world);
    }
    let (id, draw) = {
        let mut world = world.lock();
        let ids = world.core.ids();
        if ids.is_empty() {
            return;
        }
        let id = i64::from(ids[world.random.usize(..ids.len())]);
        let draw = draw_edit(&mut world);
        let second = if world.odd.has("second-thoughts") { second_thought(&mut world) } else { None };
        let (id, draw) = second.unwrap_or((id, draw));
        // By the last name people know one who came in, and who that is tells the address.
        if TILL_ONLY.contains(&draw.field()) && world.made.contains_key(&id) {
            return;
        }
        (id, draw)
    };
    commit(world, id, &draw);
}

fn commit(world: &Shared, id: i64, draw: &Draw) {
    let mut store = world.lock().till().take_app();
    let done = match draw {
        Draw::Adjust(amount) => {
            let edit = store.edit(id).adjust_credit(*amount).author("ana").override_floor();
            edit.commit().map(|receipt| receipt.fields())
        }
        Draw::Set(field, value) => {
            store.edit(id).set(field, value).label("simulated").commit().map(|receipt| receipt.fields())
        }
        Draw::Sql(field, value) => {
            plain_sql(&mut store, id, &format!("UPDATE customer SET {field} = ?2 WHERE id = ?1"), value)
        }
        Draw::Append(line) => plain_sql(&mut store, id, APPEND, line),
        Draw::TakeBack(field) => {
            let sql = format!(
                "UPDATE customer SET {field} = (SELECT body ->> '{field}' FROM snapshot WHERE id = ?1)
                 WHERE id = ?1 AND (SELECT body ->> '{field}' FROM snapshot WHERE id = ?1) IS NOT NULL AND ?2 = ''"
            );
            plain_sql(&mut store, id, &sql, "")
        }
        Draw::WriteBack => plain_sql(&mut store, id, WRITE_BACK, ""),
    };
    let newest = newest_row(&mut store, id, draw.field());
    let mut world = world.lock();
    world.till().app = Some(store);
    match done {
        Ok(rows) => {
            world.note(format!(".. the app edits {id}: {draw:?}"));
            if matches!(draw, Draw::WriteBack) && rows > 0 {
                world
                    .problems
                    .push(format!("customer {id}: what was written back as it was read is {rows} edits"));
            }
            let amount = if let Draw::Adjust(amount) = draw { Some(*amount) } else { None };
            let seq = newest.filter(|_| rows > 0);
            let till = world.active;
            world.tell(&Deed::Edited(Edited { till, id, field: draw.field(), rows, seq, amount }));
        }
        Err(error) if error.code() == "unknown_customer" => {}
        Err(error) => world.problems.push(format!("edit {draw:?} of {id} failed: {error}")),
    }
}

/// Something that is on its way, to be taken back.
fn second_thought(world: &mut World) -> Option<(i64, Draw)> {
    let sql = "SELECT customer_id, field, op, value FROM journal WHERE outcome = 'in_flight' ORDER BY seq";
    let all: Vec<(i64, String, String, String)> = {
        let mut statement = world.till().looks().prepare_cached(sql).unwrap();
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    if all.is_empty() || world.random.u8(..3) == 0 {
        return None;
    }
    let (id, field, op, _) = all[world.random.usize(..all.len())].clone();
    if op == "adjust" {
        let of_it = all.iter().filter(|(of, _, op, _)| *of == id && op == "adjust");
        let sum: Decimal = of_it.map(|(.., value)| value.trim_matches('"').parse::<Decimal>().unwrap()).sum();
        return Some((id, Draw::Adjust(-sum))).filter(|_| !sum.is_zero());
    }
    let known = TILL_ONLY.into_iter().chain(["company", "first_name", "form_fields", "channel_ids"]);
    let field = known.into_iter().find(|known| *known == field)?;
    Some((id, Draw::TakeBack(field)))
}

fn newest_row(store: &mut Store, id: i64, field: &str) -> Option<i64> {
    let sql = "SELECT seq FROM journal WHERE customer_id = ?1 AND field = ?2 ORDER BY seq DESC LIMIT 1";
    store.connection().query_row(sql, (id, field), |row| row.get(0)).optional().unwrap()
}

/// A line behind those that are there.
const APPEND: &str =
    "UPDATE customer SET notes = iif(coalesce(notes, '') = '', ?2, notes || char(10) || ?2) WHERE id = ?1";
/// What a mapper does that saves all columns.
const WRITE_BACK: &str = "UPDATE customer
    SET email = email, first_name = first_name, last_name = last_name, company = company, phone = phone, notes = notes,
        tax_exempt_category = tax_exempt_category, customer_group_id = customer_group_id,
        channel_ids = replace(channel_ids, ',', ' , '), form_fields = replace(form_fields, '\",\"value', '\" ,\"value'),
        store_credit_amounts = store_credit_amounts, date_modified = date_modified
    WHERE id = ?1 AND ?2 = ''";

fn plain_sql(store: &mut Store, id: i64, sql: &str, value: &str) -> tillsync::Result<usize> {
    let connection = store.connection();
    let count =
        || connection.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = count();
    match connection.execute(sql, (id, value)) {
        // The app's own trigger refuses it.
        Err(error) if error.to_string().contains("no such company") => {}
        done => _ = done.unwrap(),
    }
    Ok((count() - before) as usize)
}

/// The app's own triggers and readers, in its file.
pub fn install_app(world: &Shared) -> Result<(), String> {
    let mut world = world.lock();
    let (has_triggers, has_reader) = (world.odd.has("app-triggers"), world.odd.has("readers"));
    let path = world.till().path.clone();
    if world.odd.has("refusing-triggers") && !world.is_calm && path.exists() {
        let connection = rusqlite::Connection::open(&path).map_err(|e| e.to_string())?;
        connection.execute_batch(&refusals()).map_err(|e| e.to_string())?;
    }
    if has_triggers && path.exists() {
        let connection = rusqlite::Connection::open(&path).map_err(|e| e.to_string())?;
        connection.execute_batch(TRIGGERS).map_err(|e| e.to_string())?;
    }
    if has_reader && path.exists() {
        let connection = rusqlite::Connection::open(&path).map_err(|e| e.to_string())?;
        let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        connection
            .execute_batch("BEGIN")
            .and_then(|()| read("SELECT count(*) FROM customer"))
            .map_err(|e| e.to_string())?;
        world.till().reader = Some(connection);
    }
    Ok(())
}

/// What a shop may think of: who is of another category has another company, and a credit for a third. What they edit is noted,
/// so that it can be counted.
const TRIGGERS: &str = "
    CREATE TABLE IF NOT EXISTS app_edit (customer_id INTEGER, field TEXT);
    CREATE TRIGGER IF NOT EXISTS app_company AFTER UPDATE OF tax_exempt_category ON customer
    WHEN new.tax_exempt_category IS NOT old.tax_exempt_category AND new.id % 3 = 0
    BEGIN
        INSERT INTO app_edit SELECT id, 'company' FROM customer
            WHERE id = new.id AND company IS NOT 'app ' || new.tax_exempt_category;
        UPDATE customer SET company = 'app ' || new.tax_exempt_category WHERE id = new.id;
    END;
    CREATE TRIGGER IF NOT EXISTS app_credit AFTER UPDATE OF tax_exempt_category ON customer
    WHEN new.tax_exempt_category IS NOT old.tax_exempt_category AND new.id % 3 = 1
    BEGIN
        INSERT INTO app_edit SELECT id, 'store_credit_amounts' FROM customer WHERE id = new.id + 1;
        INSERT INTO store_credit_adjustment (customer_id, amount) SELECT id, '0.25' FROM customer WHERE id = new.id + 1;
    END;";

/// Ways of refusing, each for some customers.
const WAYS: [&str; 4] =
    ["ABORT, 'no such company'", "FAIL, 'no such company'", "ROLLBACK, 'no such company'", "IGNORE"];

/// The app refuses what the office calls the companies of some customers.
fn refusals() -> String {
    let of = |(nth, way): (usize, &&str)| {
        let when = format!("new.id % 16 = {} AND new.company LIKE 'office %'", nth * 4);
        format!(
            "CREATE TRIGGER IF NOT EXISTS app_refuses_{nth} BEFORE UPDATE OF company ON customer
             WHEN {when} AND new.company IS NOT old.company BEGIN SELECT RAISE({way}); END;
             CREATE TRIGGER IF NOT EXISTS app_refuses_new_{nth} BEFORE INSERT ON customer
             WHEN {when} BEGIN SELECT RAISE({way}); END;"
        )
    };
    WAYS.iter().enumerate().map(of).collect()
}

/// Whether the app may refuse a customer: the office has named its company.
pub fn may_be_refused(world: &World, id: i64) -> bool {
    let named = world.written.get(&(id, "company".to_owned()));
    let is_offices = named.is_some_and(|all| {
        all.iter().any(|written| written.value.as_str().is_some_and(|name| name.starts_with("office ")))
    });
    world.odd.has("refusing-triggers") && id % 4 == 0 && is_offices
}

/// The app has learned to live with them.
pub fn drop_refusals(world: &Shared) -> Result<(), String> {
    let mut world = world.lock();
    if !world.odd.has("refusing-triggers") {
        return Ok(());
    }
    let drops: String = (0..WAYS.len())
        .map(|nth| {
            format!("DROP TRIGGER IF EXISTS app_refuses_{nth}; DROP TRIGGER IF EXISTS app_refuses_new_{nth};")
        })
        .collect();
    world.note(".. the app refuses nobody any more");
    world.till().looks().execute_batch(&drops).map_err(|e| e.to_string())
}

// ---- backups -----------------------------------------------------------------------------------------------------

/// A backup of the file, by our means or by the system's, with every program stopped.
pub fn back_up(world: &Shared) -> Result<(), String> {
    {
        let mut world = world.lock();
        let (path, copy) = (world.till().path.clone(), world.till().path.with_extension("backup"));
        if !path.exists() {
            return Ok(());
        }
        if copy.exists() {
            std::fs::remove_file(&copy).map_err(|e| e.to_string())?;
        }
        world.till().close();
        let is_ours = world.random.bool();
        world.note(format!(".. a backup is made, {}", if is_ours { "by our means" } else { "by hand" }));
        // Who closes it last leaves no log.
        let store = Store::open(&path).map_err(|e| e.to_string())?;
        let made = if is_ours { store.backup(&copy).map_err(|e| e.to_string()) } else { Ok(0) };
        drop(store);
        made?;
        if !is_ours {
            std::fs::copy(&path, &copy).map_err(|e| e.to_string())?;
        }
        world.is_backed_up(copy);
        world.tell(&Deed::BackedUp);
    }
    install_app(world)
}

/// The file is set back to its backup, by our means or by hand.
pub fn set_back(world: &Shared) -> Result<(), String> {
    {
        let mut world = world.lock();
        let path = world.till().path.clone();
        let Some(copied) = world.till().copy.clone() else { return Ok(()) };
        world.till().close();
        let is_ours = world.random.bool();
        world.note(format!(".. the file is set back, {}", if is_ours { "by our means" } else { "by hand" }));
        if is_ours {
            Store::restore(&path, &copied.path, None).map_err(|e| e.to_string())?;
        } else {
            for suffix in ["db-wal", "db-shm"] {
                _ = std::fs::remove_file(path.with_extension(suffix));
            }
            std::fs::copy(&copied.path, &path).map_err(|e| e.to_string())?;
        }
        world.is_set_back(copied);
        let numbers = |world: &mut World, sql: &str| -> Vec<i64> {
            let mut statement = world.till().looks().prepare_cached(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let up_to = numbers(&mut world, "SELECT coalesce(max(seq), 0) FROM journal")[0];
        let open = numbers(&mut world, "SELECT seq FROM journal WHERE settled_at IS NULL");
        world.tell(&Deed::SetBack { up_to, open: &open });
    }
    install_app(world)
}

fn draw_edit(world: &mut World) -> Draw {
    let n = world.random.u32(..1_000);
    match world.random.u32(..10) {
        3..6 if world.active > 0 => draw_edit(world),
        0..3 if world.odd.has("set-credit") && world.random.u8(..4) == 0 => {
            Draw::Set(CREDIT, format!(r#"[{{"amount":{}.{:02}}}]"#, 50 + n % 100, n % 7))
        }
        0..3 if world.odd.has("same-amounts") => Draw::Adjust(world.any(&[5, 5, -5]).into()),
        0..3 => Draw::Adjust(Decimal::new(i64::from(world.random.i32(-900..900)), 2)),
        3..6 => {
            let field = TILL_ONLY[world.random.usize(..TILL_ONLY.len())];
            let value = till_value(world, field, n);
            if world.random.bool() { Draw::Set(field, value) } else { Draw::Sql(field, value) }
        }
        9 if world.odd.has("mappers") => Draw::WriteBack,
        _ => match SHARED[world.random.usize(..SHARED.len())] {
            "notes" if n.is_multiple_of(2) => Draw::Append(format!("till {} adds {}", world.active, n % 100)),
            field => Draw::Set(field, shared_value(world, field, "till", n)),
        },
    }
}

/// Addresses are few, so that customers take each other's; some are none, and the store refuses them.
fn till_value(world: &mut World, field: &str, n: u32) -> String {
    match field {
        "email" if world.random.u8(..6) == 0 => format!("no address {n}"),
        "email" if n.is_multiple_of(2) => format!("Shared{}@Example.com", n % 12),
        "email" => format!("shared{}@example.com", n % 12),
        "last_name" if n.is_multiple_of(5) => format!("Jose\u{301} {}", n % 50),
        "phone" if n.is_multiple_of(5) => format!(" +49 (0) 30/{} ", n % 50),
        _ => format!("till {}", n % 50),
    }
}

fn shared_value(world: &mut World, field: &str, who: &str, n: u32) -> String {
    match field {
        "form_fields" => {
            let name = ["size", "colour"][world.random.usize(..2)];
            format!(r#"[{{"name":"{name}","value":"{who} {}"}},{{"name":"n","value":{}}}]"#, n % 20, n % 3)
        }
        "channel_ids" if n.is_multiple_of(5) => format!("[{},{}]", 2 + n % 3, 5 + n % 4),
        "channel_ids" => format!("[1,{},{}]", 2 + n % 3, 5 + n % 4),
        "notes" if n.is_multiple_of(3) => format!("first\nmiddle\nlast\n{who} adds {}", n % 4),
        "notes" if n.is_multiple_of(7) => format!("first\r\n{who} {}\r\nlast", n % 4),
        "notes" => format!("first\n{who} {}\nmiddle\nlast {}", n % 4, n % 2),
        "company" if n.is_multiple_of(11) => String::new(),
        _ => format!("{who} {}", n % 30),
    }
}

/// Somebody sets the till's clock, by seconds or by years.
pub fn set_clock(world: &Shared) {
    let mut world = world.lock();
    let by = world.any(&[1, 3_600, 86_400, 400_000_000]);
    let skew = TimeDelta::seconds(world.random.i64(-by..=by));
    let now_ms = world.now_ms;
    if skew > world.till().skew {
        world.till().set_ahead_ms = Some(now_ms);
    }
    (world.till().skew, world.till().set_ms) = (skew, Some(now_ms));
    world.till().told.right_dates = Some(0);
    world.note(format!(".. the till's clock is set: {skew}"));
}

// ---- in the back office ------------------------------------------------------------------------------------------

/// The back office edits the store itself, and that takes a moment.
pub fn office(world: &mut World) {
    office_in_no_time(world);
    world.pass(1_000);
}

/// The same while the till is between a look at its clock and the wire: time stands still there.
pub fn office_in_no_time(world: &mut World) {
    if world.odd.has("attributes") && world.random.u8(..3) == 0 {
        return attributes::office_sets(world);
    }
    let ids = world.core.ids();
    if ids.is_empty() {
        return;
    }
    let id = ids[world.random.usize(..ids.len())];
    match world.random.u32(..20) {
        0 => {
            world.core.delete(id);
            world.deleted.insert(i64::from(id));
            world.note(format!(".. the office deletes {id}"));
        }
        1..5 => office_writes(world, id, &[CREDIT.to_owned()]),
        5..8 => office_writes(world, id, &[OFFICE_ONLY.to_owned()]),
        _ => {
            let field = SHARED[world.random.usize(..SHARED.len())];
            office_writes(world, id, &[field.to_owned()]);
        }
    }
}

/// While a till sleeps, the office works on those whose edits wait there.
pub fn office_at_night(world: &mut World) {
    let sql = "SELECT customer_id, field FROM journal WHERE settled_at IS NULL ORDER BY seq DESC LIMIT 10";
    let waiting: Vec<(i32, String)> = {
        let mut statement = world.till().looks().prepare_cached(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for (id, field) in waiting.into_iter().filter(|(_, field)| field != "authentication") {
        if world.random.bool() {
            office_writes(world, id, &[field]);
        }
    }
}

/// The back office writes one of these attributes; those that are the till's alone it leaves.
pub fn office_writes(world: &mut World, id: i32, fields: &[String]) {
    let own = |field: &&String| !TILL_ONLY.contains(&field.as_str()) && *field != "authentication";
    let own: Vec<&String> = fields.iter().filter(own).collect();
    if own.is_empty() {
        return;
    }
    let field = own[world.random.usize(..own.len())].clone();
    let n = world.random.u32(..1_000);
    let Some(customer) = world.customer(i64::from(id)) else { return };
    let value = match field.as_str() {
        CREDIT => {
            let Some(balance) = amount(&customer[CREDIT]) else { return };
            let more =
                if n.is_multiple_of(3) && balance >= Decimal::TEN { -Decimal::TEN } else { 100.into() };
            return write_balance(world, id, balance + more, "the office");
        }
        "form_fields" | "channel_ids" => {
            serde_json::from_str(&shared_value(world, &field, "office", n)).unwrap()
        }
        OFFICE_ONLY => json!(format!("T{n}")),
        "notes" if n.is_multiple_of(2) && !n.is_multiple_of(10) => {
            let (before, line) =
                (customer["notes"].as_str().unwrap_or_default(), format!("the office adds {}", n % 100));
            json!(if before.is_empty() { line } else { format!("{before}\n{line}") })
        }
        // An editor that saves the lines in its own way, and changes nothing.
        "notes" if n.is_multiple_of(10) => {
            json!(customer["notes"].as_str().unwrap_or_default().replace('\n', "\r\n"))
        }
        field => json!(shared_value(world, field, "office", n)),
    };
    let edit = json!({ field.as_str(): value });
    let now = world.now();
    world.core.edit_text(now, id, &edit.to_string()).unwrap();
    let written = world.customer(i64::from(id)).unwrap_or_default();
    world.enter(i64::from(id), &field, &written[&field], false);
    world.note(format!(".. the office edits {id}: {edit}"));
}

/// The shopper spends what was granted, if it is there.
pub fn spend(world: &mut World, id: i64, granted: Decimal) {
    let Some(balance) = world.customer(id).and_then(|customer| amount(&customer[CREDIT])) else { return };
    if let (Ok(id), true) = (i32::try_from(id), balance >= granted) {
        write_balance(world, id, balance - granted, "the shopper");
    }
}

fn write_balance(world: &mut World, id: i32, balance: Decimal, who: &str) {
    let now = world.now();
    let json = format!(r#"{{"store_credit_amounts":[{{"amount":{balance}}}]}}"#);
    let was = world.customer(i64::from(id)).unwrap_or_default();
    world.core.edit_text(now, id, &json).unwrap();
    let written = world.customer(i64::from(id)).unwrap_or_default();
    world.remember_credit(i64::from(id), &was, &written);
    world.enter(i64::from(id), CREDIT, &written[CREDIT], false);
    world.note(format!(".. {who} makes the balance of {id} {balance}"));
}

// ---- who decides -------------------------------------------------------------------------------------------------

/// A person decides what waits.
pub fn decide(world: &Shared) {
    let mut world = world.lock();
    let mut store = world.till().take_app();
    for conflict in store.conflicts().unwrap() {
        let (id, field) = (conflict.customer_id, conflict.field.clone());
        if field == "+" {
            decide_about(&mut world, &mut store, &conflict);
            continue;
        }
        let keep = [Keep::Local, Keep::Remote][world.random.usize(..2)].clone();
        let mut shown = rows(&mut store, id, &field, "held");
        if field == "*" {
            // What was refused goes with the customer.
            shown.extend(all_rejected(&mut store, id));
        }
        let before = count(&mut store);
        if field == "*" {
            match store.discard(id, None, Some("bo")) {
                Ok(_) => world.note(format!(".. discards {id}, which was deleted")),
                // A value of theirs is on its way.
                Err(error) if error.is_usage() => world.note(format!(".. cannot discard {id}: {error}")),
                Err(error) => panic!("{error}"),
            }
        } else {
            let is_by_stamp = conflict.id % 2 == 0;
            let done = match is_by_stamp {
                true => store.resolve_seen(id, &field, &keep, &conflict.stamp, Some("bo")),
                false => store.resolve(id, &field, &keep, Some("bo")),
            };
            if is_by_stamp {
                shown.extend(conflict.seqs.iter().map(|seq| seq.0));
            }
            match done {
                Ok(_) => {
                    world.note(format!(".. resolves {id} {field}: {keep:?}"));
                    if is_by_stamp && keep == Keep::Remote && sets_wait(&mut store, id, &field) {
                        let problem = format!(
                            "{id} {field}: the store's value was kept, and another one waits to go over it"
                        );
                        world.problems.push(problem);
                    }
                }
                Err(error) if is_by_stamp && error.to_string().contains("moved on") => {
                    world.problems.push(format!("what was shown just now is refused: {error}"));
                }
                Err(error) if error.is_usage() => world.note(format!(".. cannot resolve {id}: {error}")),
                Err(error) if may_be_refused(&world, id.0) => {
                    world.note(format!(".. the app lets nobody resolve {id}: {error}"));
                    continue;
                }
                Err(error) => world.problems.push(error.to_string()),
            }
        }
        let till = world.active;
        let journaled = count(&mut store) - before;
        world.tell(&Deed::Decided { till, shown: &shown, journaled });
    }
    for rejected in store.rejected().unwrap() {
        let (id, field, seq) = (rejected.customer_id, rejected.field.clone(), rejected.seq);
        let till = world.active;
        let before = count(&mut store);
        let (done, retried, shown) = match world.random.u8(..5) {
            0 => (store.retry_row(seq).map(drop), true, vec![seq.0]),
            1 => {
                let all = all_rejected(&mut store, id);
                (store.retry(Some(id)).map(drop), true, all)
            }
            2 => (store.discard_row(seq, Some("bo")).map(drop), false, vec![seq.0]),
            3 if field == CREDIT => {
                let waiting =
                    [rows(&mut store, id, CREDIT, "rejected"), rows(&mut store, id, CREDIT, "held")].concat();
                if waiting.is_empty() {
                    continue;
                }
                (store.discard(id, Some(CREDIT), Some("bo")).map(drop), false, waiting)
            }
            _ => continue,
        };
        let journaled = count(&mut store) - before;
        walk_ins::may_be_given_up(&mut world, &store, id);
        match done {
            Ok(()) if retried => {
                world.note(format!(".. tries {id} {field} again: {shown:?}"));
                world.tell(&Deed::Retried { till, rows: &shown });
            }
            Ok(()) => {
                world.note(format!(".. discards {id} {field}: {shown:?}"));
                world.tell(&Deed::Decided { till, shown: &shown, journaled });
            }
            Err(error) if may_be_refused(&world, id.0) => {
                world.note(format!(".. the app lets nobody decide about {id}: {error}"));
            }
            // Freed or discarded with another a moment ago.
            Err(error) => assert!(error.is_usage(), "{error}"),
        }
    }
    world.till().app = Some(store);
}

/// A person says who somebody is that exists in the store already.
fn decide_about(world: &mut World, store: &mut Store, conflict: &Conflict) {
    let (before, triggered) = (count(store), world.app_edits(world.active).len() as u64);
    let shown = walk_ins::decide(world, store, conflict);
    // What a trigger of the app's edits it notes itself.
    let by_triggers = world.app_edits(world.active).len() as u64 - triggered;
    let (till, journaled) = (world.active, count(store) - before - by_triggers);
    world.tell(&Deed::Decided { till, shown: &shown, journaled });
    walk_ins::follow_up(world);
}

/// The same for all of whom that is asked.
pub fn decide_who_exists(world: &Shared) -> Result<(), String> {
    let mut world = world.lock();
    let mut store = world.till().take_app();
    for conflict in store.conflicts().map_err(|e| e.to_string())?.iter().filter(|one| one.field == "+") {
        decide_about(&mut world, &mut store, conflict);
    }
    world.till().app = Some(store);
    Ok(())
}

/// Whether a value that was set of an attribute waits to be sent; of one form field, whether another one than the store's does.
fn sets_wait(store: &mut Store, id: CustomerId, field: &str) -> bool {
    let (field, entry) = field.split_once('.').map_or((field, None), |(field, entry)| (field, Some(entry)));
    let sql = "SELECT 1 FROM journal
               WHERE customer_id = ?1 AND field = ?2 AND settled_at IS NULL AND outcome IS NULL AND op = 'set'
                 AND (?3 IS NULL
                      OR (SELECT json_extract(one.value, '$.value')
                          FROM customer, json_each(customer.form_fields) AS one
                          WHERE customer.id = ?1 AND json_extract(one.value, '$.name') = ?3)
                         IS NOT
                         (SELECT json_extract(one.value, '$.value')
                          FROM snapshot, json_each(snapshot.body, '$.form_fields') AS one
                          WHERE snapshot.id = ?1 AND json_extract(one.value, '$.name') = ?3))";
    store.connection().prepare_cached(sql).unwrap().exists((id.0, field, entry)).unwrap()
}

/// What was refused for a reason that may have passed is sent again.
pub fn retry_all(world: &Shared) -> Result<(), String> {
    let mut store = world.lock().till().take_app();
    let ids: Vec<CustomerId> = store.rejected().unwrap().iter().map(|one| one.customer_id).collect();
    let all: Vec<i64> = ids.into_iter().flat_map(|id| all_rejected(&mut store, id)).collect();
    store.retry(None).map_err(|e| e.to_string())?;
    let mut world = world.lock();
    world.till().app = Some(store);
    let till = world.active;
    world.tell(&Deed::Retried { till, rows: &all });
    Ok(())
}

fn count(store: &mut Store) -> u64 {
    store
        .connection()
        .query_row("SELECT count(*) FROM journal WHERE of_resource IS NULL", [], |row| row.get(0))
        .unwrap()
}

/// The edits of an attribute that a person was shown.
fn rows(store: &mut Store, id: CustomerId, field: &str, outcome: &str) -> Vec<i64> {
    let field = field.split('.').next().unwrap_or_default();
    let sql = "SELECT seq FROM journal WHERE customer_id = ?1 AND outcome = ?3 AND ?2 IN (field, '*')";
    let mut statement = store.connection().prepare_cached(sql).unwrap();
    let rows = statement.query_map((id.0, field, outcome), |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn all_rejected(store: &mut Store, id: CustomerId) -> Vec<i64> {
    rows(store, id, "*", "rejected")
}
