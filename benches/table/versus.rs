//! What a user would otherwise write: scripts that send the whole record of each changed customer.

use std::time::{Duration, Instant};

use tillsync::{FieldId, Row, Store, SyncEngine};

use crate::data::{World, edits, http, ids, options, remove, sandbox};
use crate::harness::{Table, bytes, number, span};
use crate::upload::put_all;

const LATENCY_MS: u64 = 50;

pub fn run(world: &World, table: &mut Table) {
    if !table.wants("versus") {
        return;
    }
    let (customers, edited) = (world.scale.small, if world.scale.rounds > 3 { 1_000 } else { 200 });
    println!("\n{edited} changed customers at {LATENCY_MS} ms a call (versus)\n");
    println!("| {:<52} | {:>6} | {:>10} | {:>10} |", "", "calls", "sent", "time");
    println!("|{}|{}|{}|{}|", "-".repeat(54), "-".repeat(8), "-".repeat(12), "-".repeat(12));
    let path = world.copy(customers);
    let mut store = Store::open(&path).unwrap();
    let edits = edits(&ids(customers), edited, 3);
    store.edit_all(&edits, None, None).unwrap();
    let records: Vec<String> = edits.iter().map(|(id, _)| whole(&store.get(*id).unwrap().unwrap())).collect();
    for (name, size, threads) in [
        ("a script: whole records, one by one", 1, 1),
        ("a script: whole records, ten a call, three threads", 10, 3),
    ] {
        let bodies: Vec<String> =
            records.chunks(size).map(|records| format!("[{}]", records.join(","))).collect();
        let (calls, sent) = (bodies.len() as u64, bodies.iter().map(|body| body.len() as u64).sum());
        let sandbox = sandbox(customers, LATENCY_MS);
        let began = Instant::now();
        put_all(&sandbox, bodies, threads);
        line(name, calls, sent, began.elapsed());
    }
    let sandbox = sandbox(customers, LATENCY_MS);
    let remote = http(sandbox.url(), sandbox.store_hash(), sandbox.token());
    let mut engine = SyncEngine::new(store, remote, options());
    let began = Instant::now();
    let report = engine.sync().unwrap();
    let name = "tillsync: a sync, with its pull";
    line(name, report.requests.get + report.requests.put, report.bytes_sent, began.elapsed());
    remove(&path);
}

fn line(name: &str, calls: u64, sent: u64, time: Duration) {
    println!("| {name:<52} | {:>6} | {:>10} | {:>10} |", number(calls as f64), bytes(sent), span(time));
}

/// Every attribute that an update may hold, as such a script would send it.
fn whole(row: &Row) -> String {
    let mut out = format!("{{\"id\":{}", row.id());
    for field in FieldId::columns().filter(|field| field.is_editable() && field.spec().parent.is_none()) {
        let value = row.get(field);
        if !value.is_null() {
            out.push_str(&format!(",\"{field}\":{}", value.to_json()));
        }
    }
    out.push('}');
    out
}
