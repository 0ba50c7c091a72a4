//! `demo`: the main job from start to end, on a sandbox store inside this process, with nothing left behind.
//!
//! It reads as a till's day: pull the customers, lose the network, edit on, see what is pending, get the network back,
//! sync. Then the store itself is asked, through its back office and not through the code that did the upload, whether
//! every edit is there and nothing else has changed.

mod cost;
mod edits;
mod inspect;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use tillsync::sandbox::{Sandbox, SandboxOptions};
use tillsync::{
    Decimal, Extent, HttpOptions, HttpRemote, PullReport, Store, SyncEngine, SyncOptions, SyncReport,
};

use self::cost::{Cost, Costs};
use self::edits::Wish;
use super::exit::{Exit, Failed};
use super::progress::Bar;
use super::settings::Till;
use super::{Done, read, render};

const CUSTOMERS: usize = 1_000;
/// A network that is not next door.
const LATENCY_MS: u64 = 25;

/// See the main job done on a stand-in store
///
/// Pull, edit offline, sync, and the store's own word that it arrived.
#[derive(Args)]
#[command(after_help = "\
Needs no network, no account and no settings; leaves nothing behind. The status is 1 if any check fails.

Examples:
  tillsync demo
  # a till with something to decide, and its page:
  tillsync demo --inspect")]
pub(super) struct Demo {
    /// Open the page of a till in which there is something to do, beside a stand-in store, until it is interrupted
    #[arg(long)]
    inspect: bool,
    /// With --inspect: only print the address, for whoever opens it first
    #[arg(long, visible_alias = "no-browser", requires = "inspect")]
    no_open: bool,
}

/// What the demo found out.
#[derive(Serialize)]
struct Findings {
    checks: Vec<Check>,
    report: Report,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
}

#[derive(Serialize)]
struct Report {
    pull: PullReport,
    sync: SyncReport,
    second_sync: SyncReport,
    edited_customers: usize,
    cost: Costs,
    elapsed_ms: u64,
}

impl Demo {
    pub(super) fn run(self, till: &Till) -> Done {
        if self.inspect {
            return inspect::serve(till, !self.no_open);
        }
        let findings = Stage::set(till)?.play()?;
        till.out.answer(&findings, || verdict(&findings))?;
        let all_well = findings.checks.iter().all(|check| check.ok);
        Ok(if all_well { Exit::Done } else { Exit::Unexpected })
    }
}

/// The store, the till's file, and where the story is told.
struct Stage<'t> {
    till: &'t Till,
    began: Instant,
    sandbox: Sandbox,
    folder: Folder,
}

impl<'t> Stage<'t> {
    fn set(till: &'t Till) -> Result<Stage<'t>, Failed> {
        let options =
            SandboxOptions { customers: CUSTOMERS, latency_ms: LATENCY_MS, ..SandboxOptions::default() };
        let sandbox = Sandbox::start(options)?;
        Ok(Stage { till, began: Instant::now(), sandbox, folder: Folder::make()? })
    }

    /// The story.
    fn play(self) -> Result<Findings, Failed> {
        let pull = self.pull()?;
        let before = self.records();
        self.sandbox.cut();
        let wishes = self.edit()?;
        let diff = self.show_pending()?;
        let kept = self.sync_without_network()?;
        self.sandbox.heal()?;
        let sync = self.sync()?;
        let cost = self.show_cost(&wishes, &before, &sync)?;
        let mut checks = vec![Check { name: "offline_keeps_every_edit", ok: kept }];
        checks.extend(self.ask_the_store(&wishes, &before)?);
        let second_sync = self.engine()?.sync()?;
        checks.push(Check { name: "minimal_calls", ok: sync.requests.put == cost::calls_by_ten(diff) });
        checks.push(Check { name: "second_sync_sends_nothing", ok: second_sync.requests.put == 0 });
        checks.push(Check { name: "walk_in_is_there_once", ok: self.walk_in()? });
        checks.push(Check { name: "no_limit_violated", ok: self.sandbox.violations().is_empty() });
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let edited_customers = wishes.len();
        Ok(Findings {
            checks,
            report: Report { pull, sync, second_sync, edited_customers, cost, elapsed_ms },
        })
    }

    fn pull(&self) -> Result<PullReport, Failed> {
        self.heading("A store")?;
        self.say(&format!(
            "A stand-in for the BigCommerce API on {} with {} and real HTTP.",
            self.sandbox.url(),
            render::count(CUSTOMERS as u64, "customer")
        ))?;
        let began = Instant::now();
        let report = self.engine()?.pull(Extent::Changes)?;
        self.say(&format!(
            "Pulled {} into a SQLite file in {}, {} ms.",
            render::count(report.pulled, "customer"),
            render::count(report.requests.get, "call"),
            began.elapsed().as_millis()
        ))?;
        Ok(report)
    }

    fn edit(&self) -> Result<Vec<Wish>, Failed> {
        self.heading("The network is cut; the till goes on")?;
        let wishes = edits::make(&self.folder.database())?;
        self.say(&format!(
            "{} edited, through the library and through plain SQL; one edit was taken back.",
            render::count(wishes.len() as u64, "customer")
        ))?;
        Ok(wishes)
    }

    /// Returns how many customers have something to send.
    fn show_pending(&self) -> Result<usize, Failed> {
        self.heading("Pending: only what differs")?;
        let store = self.store()?;
        let payloads = store.diff(&[])?;
        self.say(&indented(&read::diff_in_words(&store, &payloads)?))?;
        Ok(payloads.len())
    }

    /// Says whether the attempt failed as offline and every edit is still pending.
    fn sync_without_network(&self) -> Result<bool, Failed> {
        self.heading("A sync without network")?;
        let pending = self.store()?.status()?.pending_fields;
        let attempt = self.engine()?.sync();
        let still = self.store()?.status()?.pending_fields;
        let (is_offline, words) = match &attempt {
            Err(error) => (error.is_offline(), error.to_string()),
            Ok(_) => (false, "it did not notice".to_owned()),
        };
        self.say(&format!("{words}."))?;
        self.say(&format!("{} of {} pending fields are still there.", still, pending))?;
        Ok(is_offline && still == pending && pending > 0)
    }

    fn sync(&self) -> Result<SyncReport, Failed> {
        self.heading("The network is back")?;
        let report = self.engine()?.sync()?;
        self.say(&format!(
            "Sent {} of {} in {}; {} was where the store already is and needed none.",
            render::count(report.uploaded_fields, "field"),
            render::count(report.uploaded_customers, "customer"),
            render::count(report.requests.put, "call"),
            render::count(report.unchanged_customers, "customer"),
        ))?;
        Ok(report)
    }

    fn show_cost(
        &self,
        wishes: &[Wish],
        before: &BTreeMap<i64, String>,
        sync: &SyncReport,
    ) -> Result<Costs, Failed> {
        let sent = Cost { calls: sync.requests.put, bytes: sync.bytes_sent };
        let records = wishes.iter().filter_map(|wish| before.get(&wish.id.0));
        let costs = Costs::of(sent, records.map(String::as_str))?;
        self.say("")?;
        self.say(&indented(&costs.in_words()))?;
        Ok(costs)
    }

    /// The store's own records are compared with what was wished for, attribute by attribute.
    fn ask_the_store(&self, wishes: &[Wish], before: &BTreeMap<i64, String>) -> Result<Vec<Check>, Failed> {
        let after = self.records();
        let arrived = wishes.iter().all(|wish| wish.has_arrived(after.get(&wish.id.0)));
        let password = self.password_went_through(wishes)?;
        let wish_of = |id: &i64| wishes.iter().find(|wish| wish.id.0 == *id);
        let untouched = before.iter().all(|(id, old)| match (wish_of(id), after.get(id)) {
            (None, new) => new == Some(old),
            (Some(wish), Some(new)) => wish.changed_nothing_else(old, new),
            (Some(_), None) => false,
        });
        Ok(vec![
            Check { name: "every_edit_arrived", ok: arrived },
            Check { name: "password_arrived_and_left_no_trace", ok: password },
            Check { name: "nothing_else_changed", ok: untouched },
        ])
    }

    /// The store has it, and no byte of the till's files does.
    fn password_went_through(&self, wishes: &[Wish]) -> Result<bool, Failed> {
        let files = self.folder.bytes()?;
        let known = |id: i64| i32::try_from(id).ok().and_then(|id| self.sandbox.last_password(id));
        let mut passwords = wishes.iter().filter_map(|wish| Some((wish.id.0, wish.password?)));
        Ok(passwords.all(|(id, password)| {
            let is_in_files = files.windows(password.len()).any(|bytes| bytes == password.as_bytes());
            known(id).as_deref() == Some(password) && !is_in_files
        }))
    }

    /// Somebody comes in while the network is cut, and is sold to on credit; whether the store has that one once, and the sale is of it.
    fn walk_in(&self) -> Result<bool, Failed> {
        self.heading("Somebody new comes in while the network is cut")?;
        self.sandbox.cut();
        let mut store = self.store()?;
        let walk_in = store.create().set("email", "ana.reyes@example.com").set("first_name", "Ana");
        let walk_in = walk_in.set("last_name", "Reyes").label("walk-in").commit()?.ids[0];
        store.edit(walk_in).adjust_credit(Decimal::TEN).label("welcome").commit()?;
        let sale = "CREATE TABLE my_receipt (customer_id INTEGER REFERENCES customer (id) ON UPDATE CASCADE)";
        let sold = |store: &mut Store| {
            store.connection().execute_batch(sale)?;
            store.connection().execute("INSERT INTO my_receipt VALUES (?1)", [walk_in.0])
        };
        sold(&mut store).map_err(|e| Failed::unexpected(format!("SQL: {e}")))?;
        self.sandbox.heal()?;
        let sync = self.engine()?.sync()?;
        let id = store.get(walk_in)?.map_or(walk_in, |customer| customer.id());
        let of = "SELECT customer_id FROM my_receipt";
        let sold_to: i64 = store
            .connection()
            .query_row(of, [], |row| row.get(0))
            .map_err(|e| Failed::unexpected(format!("SQL: {e}")))?;
        self.say(&format!(
            "customer {walk_in}, entered, given 10.00 and sold to offline, is customer {id} of the store now, after {}; so is the sale.",
            render::count(sync.requests.post, "call")
        ))?;
        let all = self.records();
        let named = all.values().filter(|record| record.contains("ana.reyes@example.com"));
        Ok((named.count(), sync.created, sold_to) == (1, 1, id.0) && all.contains_key(&id.0))
    }

    /// Every customer as the store has it.
    fn records(&self) -> BTreeMap<i64, String> {
        let ids = self.sandbox.ids().into_iter();
        ids.filter_map(|id| Some((i64::from(id), self.sandbox.customer_text(id)?))).collect()
    }

    fn store(&self) -> Result<Store, Failed> {
        Ok(Store::open_existing(self.folder.database())?)
    }

    fn engine(&self) -> Result<SyncEngine<HttpRemote>, Failed> {
        let options = HttpOptions {
            api_url: self.sandbox.url(),
            ..HttpOptions::new(self.sandbox.store_hash(), self.sandbox.token())
        };
        let store = Store::open(self.folder.database())?;
        let engine = SyncEngine::new(store, HttpRemote::new(&options)?, SyncOptions::default());
        let bar = Bar::new(&self.till.out);
        let mut move_bar = bar.listener();
        // The bar lives as long as the engine does.
        Ok(engine.on_progress(move |progress| {
            let _alive = &bar;
            move_bar(progress);
        }))
    }

    fn heading(&self, text: &str) -> io::Result<()> {
        self.till.out.heading(&format!("\n{text}"))
    }

    fn say(&self, text: &str) -> io::Result<()> {
        let text =
            if text.starts_with(' ') || text.is_empty() { text.to_owned() } else { format!("  {text}") };
        self.till.out.text(&text)
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// The last section.
fn verdict(findings: &Findings) -> String {
    let lines = findings.checks.iter().map(|check| {
        let sign = if check.ok { "✓" } else { "✗" };
        format!("  {sign} {}", said(check.name))
    });
    let lines: Vec<String> = lines.collect();
    let seconds = findings.report.elapsed_ms as f64 / 1_000.0;
    let end = match findings.checks.iter().all(|check| check.ok) {
        true => "All is in place",
        false => "Something is wrong",
    };
    format!("\nThe store's own word\n{}\n\n{end}, after {seconds:.1} s.", lines.join("\n"))
}

fn said(check: &str) -> &str {
    match check {
        "offline_keeps_every_edit" => "the sync without network failed as offline and kept every edit",
        "every_edit_arrived" => "every edit is in the store, to the cent",
        "password_arrived_and_left_no_trace" => "the new password arrived, and is in no file here",
        "nothing_else_changed" => "no other attribute of any customer has changed",
        "minimal_calls" => "ten customers a call: not one call more than needed",
        "second_sync_sends_nothing" => "a second sync sends nothing",
        "walk_in_is_there_once" => "who came in offline is in the store once, and the sale is of that one",
        "no_limit_violated" => "the store counted no request beyond its limits",
        other => other,
    }
}

/// A folder of its own, gone when the demo is over.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Folder> {
        let now = chrono::Utc::now().timestamp_micros();
        let path = std::env::temp_dir().join(format!("tillsync-demo-{}-{now}", std::process::id()));
        // Never one that is there already: somebody may have put it there.
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    fn database(&self) -> PathBuf {
        self.0.join("till.db")
    }

    /// The bytes of every file in it.
    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            bytes.extend(fs::read(entry?.path())?);
        }
        Ok(bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's folder for such things.
        _ = fs::remove_dir_all(&self.0);
    }
}
