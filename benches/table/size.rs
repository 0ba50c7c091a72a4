//! Memory of a till's whole day, and the size of its file.

use std::path::Path;

use rusqlite::{Connection, params};
use tillsync::{HttpRemote, Store, SyncEngine};

use crate::bare;
use crate::child;
use crate::data::{World, edits, options, remove, sandbox};
use crate::harness::{Reach, Table, bytes};
use crate::upload::put_all_to;

pub fn run(world: &World, table: &mut Table) {
    let customers = world.scale.small;
    let edited = (customers / 5).to_string();
    let name = "memory: 10,000 customers, 2,000 edited and uploaded";
    if table.wants(name) {
        let path = world.copy(customers);
        let store = sandbox(customers, 0);
        let file = path.to_str().unwrap();
        let ours: u64 =
            child::output(&["till", file, &store.url(), store.store_hash(), store.token(), &edited])
                .parse()
                .unwrap();
        remove(&path);
        let limit = 16 * 1024 * 1024;
        table.line(name, &bytes(ours), &bytes(limit), ours as f64 / limit as f64, Reach::AtMost(1.0));
        let bare_path = world.fresh("bare");
        drop(bare::of(&bare_path, &world.pulled(customers)));
        let store = sandbox(customers, 0);
        let url = format!("{}/stores/{}/v3/customers", store.url(), store.store_hash());
        let floor: u64 =
            child::output(&["script", bare_path.to_str().unwrap(), &url, store.token(), &edited])
                .parse()
                .unwrap();
        remove(&bare_path);
        let name = "memory: the same, against a bare program of that work";
        table.line(name, &bytes(ours), &bytes(floor), ours as f64 / floor as f64, Reach::Shown);
    }
    let name = "size: file, against the JSON of the records";
    if table.wants(name) {
        let customers = world.scale.pull;
        let path = world.pulled(customers);
        let connection = Connection::open(&path).unwrap();
        let json: u64 = connection
            .query_row("SELECT sum(length(CAST(body AS BLOB))) FROM snapshot", [], |row| row.get(0))
            .unwrap();
        let file = std::fs::metadata(&path).unwrap().len();
        let each = |size: u64| format!("{} B each", size / customers as u64);
        table.line(name, &each(file), &each(json), file as f64 / json as f64, Reach::AtMost(2.5));
    }
}

/// A till's day: open, edit, upload. Prints the peak of its memory.
pub fn till(file: &Path, remote: HttpRemote, edited: usize) {
    let mut store = Store::open(file).unwrap();
    for (id, edits) in edits(&customer_ids(store.connection()), edited, 5) {
        let edit = edits.into_iter().fold(store.edit(id), |edit, one| edit.with(one));
        edit.commit().unwrap();
    }
    let mut engine = SyncEngine::new(store, remote, options());
    assert_eq!(engine.sync().unwrap().uploaded_customers, edited as u64);
    println!("{}", child::peak_bytes());
}

/// The same work by hand: no triggers, no merge, no recovery.
pub fn script(file: &Path, url: &str, token: &str, edited: usize) {
    let connection = Connection::open(file).unwrap();
    bare::settings(&connection);
    let step = customer_ids(&connection).len() / edited;
    let ids: Vec<i64> = customer_ids(&connection).into_iter().step_by(step).take(edited).collect();
    for id in &ids {
        let transaction = connection.unchecked_transaction().unwrap();
        bare::edit(&transaction, *id, "+49 30 777");
        transaction.commit().unwrap();
    }
    let mut phone = connection.prepare("SELECT phone FROM customer WHERE id = ?1").unwrap();
    let mut object = |id: &i64| {
        let phone: String = phone.query_row([id], |row| row.get(0)).unwrap();
        format!("{{\"id\":{id},\"phone\":\"{phone}\"}}")
    };
    let bodies = ids.chunks(10).map(|ids| {
        let objects: Vec<String> = ids.iter().map(&mut object).collect();
        format!("[{}]", objects.join(","))
    });
    put_all_to(url, token, bodies.collect(), 3);
    connection.execute("UPDATE journal SET settled_at = ?1, outcome = 'uploaded'", params!["2026"]).unwrap();
    println!("{}", child::peak_bytes());
}

fn customer_ids(connection: &Connection) -> Vec<i64> {
    let mut statement = connection.prepare("SELECT id FROM customer ORDER BY id").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
