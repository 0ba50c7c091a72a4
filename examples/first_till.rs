//! The till of docs/getting-started.md: it sells, and has a thread of its own sync.

#![allow(clippy::print_stdout, reason = "a till on a terminal")]

use std::env::var;
use std::time::Duration;

use tillsync::rusqlite::{self, Connection, TransactionBehavior::Immediate};
use tillsync::{HttpOptions, HttpRemote, Receipt, Store, SyncEngine, SyncOptions, Syncer, SyncerOptions};

fn sell(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(
        "INSERT INTO my_sale (customer_id, total) VALUES (8, '12.50');
         UPDATE customer SET notes = 'Wants a receipt by email' WHERE id = 8;
         INSERT INTO store_credit_adjustment (customer_id, amount) VALUES (8, '1.25');",
    )
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = HttpOptions::new(var("BIGCOMMERCE_STORE_HASH")?, var("BIGCOMMERCE_ACCESS_TOKEN")?);
    options.api_url = var("TILLSYNC_API_URL").unwrap_or(options.api_url);
    let mut till = Store::open_existing("till.db")?;
    till.connection().execute_batch(
        "CREATE TABLE IF NOT EXISTS my_sale (id INTEGER PRIMARY KEY, customer_id INTEGER, total TEXT)",
    )?;

    let engine =
        SyncEngine::new(Store::open_existing("till.db")?, HttpRemote::new(&options)?, SyncOptions::default());
    let (worker, _events) = Syncer::start(engine, SyncerOptions::default())?;

    let sale = till.connection().transaction_with_behavior(Immediate)?;
    let ((), receipt) = Receipt::around(&sale, sell)?;
    sale.commit()?; // sold: on the disk, with or without a network
    println!("{:?}", till.wait(&receipt, Duration::from_secs(20))?);

    if let Err(refused) = till.edit(8).set("date_created", "now").commit() {
        println!("{refused}");
    }
    worker.stop(Duration::from_secs(2));
    Ok(())
}
