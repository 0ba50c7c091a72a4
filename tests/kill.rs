//! The command, killed at random instants: by the power button, by the task manager, by whoever stumbles over a cable.
//!
//! Nothing here is a stand-in but the store. The command runs as a process of its own and gets SIGKILL (on Windows
//! `TerminateProcess`), which no program can catch, while it edits, pulls or uploads; the store is slow and faulty, so that
//! the kills land in every phase. Then the network heals, one sync repairs the file, and the model is held against it: see
//! `common::ledger`.
//!
//! ```text
//! TILLSYNC_KILLS=2000 cargo test --test kill     a long hunt
//! TILLSYNC_SEED=4711 cargo test --test kill      other edits, other instants; or those of a run that failed
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::command::Ran;
use common::ledger::{Change, Intent, Ledger, is_whole, open_accounts};
use common::{Till, number, sandbox, sandbox_with};
use tillsync::sandbox::{Fault, Faults, SandboxOptions};

/// Kills in a run of the test suite.
const KILLS: u64 = 100;
/// Tills that live at once, each with a store of its own.
const TILLS: u64 = 5;

#[test]
fn killed_at_any_instant_nothing_is_lost_and_nothing_is_done_twice() {
    let kills = number("TILLSYNC_KILLS").unwrap_or(KILLS);
    let seed = number("TILLSYNC_SEED").unwrap_or(1);
    let lives: Vec<_> = (0..TILLS)
        .map(|nth| std::thread::spawn(move || live(seed * TILLS + nth, kills.div_ceil(TILLS))))
        .collect();
    let mut all = Tally::default();
    for life in lives {
        match life.join().unwrap() {
            Ok(tally) => all.add(&tally),
            Err(problem) => panic!(
                "{problem}\nreplay: TILLSYNC_SEED={seed} TILLSYNC_KILLS={kills} cargo test --test kill killed"
            ),
        }
    }
    println!("{all:?}");
    assert!(all.edits > 0 && all.syncs > 0 && all.in_flight > 0, "the kills missed a phase: {all:?}");
}

/// What was killed.
#[derive(Debug, Default)]
struct Tally {
    edits: u64,
    syncs: u64,
    /// Kills of a sync that left a batch on its way.
    in_flight: u64,
    acknowledged: usize,
}

impl Tally {
    fn kills(&self) -> u64 {
        self.edits + self.syncs
    }

    fn add(&mut self, other: &Tally) {
        self.edits += other.edits;
        self.syncs += other.syncs;
        self.in_flight += other.in_flight;
        self.acknowledged += other.acknowledged;
    }
}

/// One till, its people, and what they asked for.
struct Shop {
    till: Till,
    /// Whom the till edits.
    ids: Vec<i64>,
    /// Whom the back office edits, and nobody else: an edit in doubt whose customer somebody else moved meanwhile may be
    /// held for a person, as `odd_money` shows, and here everything is to come to its end by itself.
    offices: Vec<i64>,
    ledger: Ledger,
    random: fastrand::Rng,
    /// The share of adjustments: a batch that holds one waits for its grace after a kill.
    money: f64,
    tally: Tally,
}

fn live(seed: u64, kills: u64) -> Result<Tally, String> {
    let mut shop = Shop::open(seed);
    for _ in 0..3 {
        // The file is only just being made.
        let pull = shop.till.command(["pull"]).spawn().unwrap();
        shop.tally.syncs += u64::from(shop.kill(pull, 200).exit.is_none());
    }
    shop.sync_to_its_end("pull")?;
    while shop.tally.kills() < kills {
        match shop.random.u8(..10) {
            0..4 => shop.edit_and_kill()?,
            4..6 => shop.edits()?,
            6 => shop.office(),
            _ => shop.sync_and_kill()?,
        }
    }
    shop.calm()
}

impl Shop {
    fn open(seed: u64) -> Shop {
        let mut random = fastrand::Rng::with_seed(seed);
        let till = Till::new(sandbox_with(SandboxOptions {
            customers: 60,
            quota: 1_000_000,
            latency_ms: [2, 10, 30][random.usize(..3)],
            seed,
            ..SandboxOptions::default()
        }));
        open_accounts(&till);
        till.sandbox.set_faults(
            Faults::none()
                .with(Fault::LostRequest, 0.03)
                .with(Fault::LostAnswer, 0.06)
                .with(Fault::Truncated, 0.03)
                .with(Fault::MissingIds, 0.03)
                .with(Fault::Html, 0.02)
                .with(Fault::Status(503), 0.03)
                .with(Fault::AppliedThenStatus(504), 0.03),
        );
        let (offices, ids) = till.sandbox.ids().into_iter().map(i64::from).partition(|id| id % 6 == 0);
        let money = [0.1, 0.3, 0.6][random.usize(..3)];
        Shop { till, ids, offices, ledger: Ledger::default(), random, money, tally: Tally::default() }
    }

    /// Draws an edit: of one attribute, or of several customers all or nothing.
    fn draw(&mut self) -> (usize, Child) {
        let label = format!("{:016x}", self.random.u64(..));
        let first = Change::random(&self.ids, self.money, &mut self.random);
        let is_many = self.random.u8(..3) == 0 && matches!(first, Change::Set { .. });
        let more = if is_many { self.random.usize(1..8) } else { 0 };
        let (ids, random) = (&self.ids, &mut self.random);
        let mut changes = vec![first];
        changes.extend((0..more).map(|_| Change::random(ids, 0.0, random)));
        let child = start(&self.till, &label, &changes);
        (self.ledger.enter(Intent { label, changes }), child)
    }

    fn edit_and_kill(&mut self) -> Result<(), String> {
        let (entry, child) = self.draw();
        let ran = self.kill(child, 60);
        match ran.exit {
            Some(0) => self.ledger.acknowledge(entry),
            None => self.tally.edits += 1,
            _ => return Err(format!("an edit failed: {ran:?}")),
        }
        Ok(())
    }

    fn edits(&mut self) -> Result<(), String> {
        for _ in 0..self.random.usize(1..6) {
            let (entry, child) = self.draw();
            let ran = Ran::of(&child.wait_with_output().unwrap());
            match ran.exit {
                Some(0) => self.ledger.acknowledge(entry),
                _ => return Err(format!("an edit failed: {ran:?}")),
            }
        }
        Ok(())
    }

    /// Somebody at the back office gives a pull something to bring.
    fn office(&mut self) {
        for _ in 0..self.random.usize(1..5) {
            let id = self.offices[self.random.usize(..self.offices.len())] as i32;
            let text = format!("T{}", self.random.u16(..));
            self.till.sandbox.edit(id, serde_json::json!({ "tax_exempt_category": text }));
        }
    }

    fn sync_and_kill(&mut self) -> Result<(), String> {
        let jobs = [vec!["sync"], vec!["sync"], vec!["sync"], vec!["push"], vec!["pull", "--full"]];
        let puts = self.till.sandbox.stats().put;
        let child = self.till.command(jobs[self.random.usize(..jobs.len())].clone()).spawn().unwrap();
        let edited = if self.random.bool() { self.edits() } else { Ok(()) };
        // Half of the kills are aimed: an update is under way, or just answered.
        let is_aimed = self.random.bool();
        let ran = match is_aimed && self.has_sent_more_than(puts) {
            true => self.kill(child, 60),
            false => self.kill(child, 500),
        };
        edited?;
        match ran.exit {
            None => {
                self.tally.syncs += 1;
                let status = self.till.run(["status"]);
                self.tally.in_flight += u64::from(status.json["in_flight_batches"].as_u64() > Some(0));
                Ok(())
            }
            Some(0 | 4) => Ok(()),
            Some(_) => Err(format!("a sync failed: {ran:?}")),
        }
    }

    /// Waits a little for the store to see another update.
    fn has_sent_more_than(&self, puts: u64) -> bool {
        let seen = || self.till.sandbox.stats().put > puts;
        (0..200).any(|_| {
            seen() || {
                std::thread::sleep(Duration::from_millis(2));
                false
            }
        })
    }

    /// Kills a process at some instant of the next milliseconds, early ones being likelier.
    fn kill(&mut self, mut child: Child, within_ms: u32) -> Ran {
        let chance = self.random.f64();
        std::thread::sleep(Duration::from_millis(u64::from(within_ms)).mul_f64(chance * chance));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let ran = Ran::of(&output);
        match was_killed(output.status, &ran) {
            true => Ran { exit: None, ..ran },
            false => ran,
        }
    }

    fn sync_to_its_end(&self, command: &str) -> Result<Ran, String> {
        let mut ran = self.till.run([command]);
        for _ in 0..20 {
            if ran.exit == Some(0) {
                return Ok(ran);
            }
            ran = self.till.run([command]);
        }
        Err(format!("{command} does not come to its end: {ran:?}"))
    }

    /// The network heals; one sync repairs everything, and the next has nothing to do.
    fn calm(mut self) -> Result<Tally, String> {
        self.till.sandbox.set_faults(Faults::none());
        let ran = self.till.run(["sync"]);
        if ran.exit != Some(0) {
            return Err(format!("the first sync in calm weather failed: {ran:?}"));
        }
        self.ledger.check_all(&self.till)?;
        let again = self.till.run(["sync"]);
        if again.exit != Some(0) || again.json["requests"]["put"] != 0 {
            return Err(format!("the next sync is not idle: {again:?}"));
        }
        self.till.assert_no_violations();
        self.tally.acknowledged = self.ledger.acknowledged();
        Ok(self.tally)
    }
}

#[cfg(unix)]
fn was_killed(status: ExitStatus, _: &Ran) -> bool {
    use std::os::unix::process::ExitStatusExt;
    assert!(matches!(status.signal(), None | Some(9)), "{status}");
    status.signal().is_some()
}

/// `TerminateProcess` is told which status the process is to have: 1, with which the command itself ends only on a defect of its
/// own, of which it says something.
#[cfg(not(unix))]
fn was_killed(status: ExitStatus, ran: &Ran) -> bool {
    status.code() == Some(1) && ran.json.is_null()
}

/// Starts the command that makes these changes.
fn start(till: &Till, label: &str, changes: &[Change]) -> Child {
    let words: Vec<String> = match changes {
        [Change::Set { id, field, value }] => {
            vec!["edit".into(), id.to_string(), format!("{field}={value}")]
        }
        [Change::Adjust { id, amount }] => vec!["credit".into(), id.to_string(), amount.to_string()],
        many => {
            let path = till.folder.path().join(format!("{label}.jsonl"));
            std::fs::write(&path, many.iter().map(line).collect::<String>()).unwrap();
            vec!["edit".into(), "--from".into(), path.display().to_string()]
        }
    };
    let words = words.iter().map(String::as_str).chain(["--label", label]);
    till.command(words).spawn().unwrap()
}

fn line(change: &Change) -> String {
    let Change::Set { id, field, value } = change else { unreachable!("the command takes one adjustment") };
    format!("{}\n", serde_json::json!({ "id": id, field: value }))
}

#[test]
fn two_sync_and_three_edit_one_file_at_once() {
    let till = Arc::new(Till::new(sandbox(40)));
    till.sandbox.set_latency_ms(30);
    open_accounts(&till);
    assert_eq!(till.run(["pull"]).exit, Some(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let editors: Vec<_> = (0..3)
        .map(|nth| {
            let till = till.clone();
            std::thread::spawn(move || edit_away(&till, nth))
        })
        .collect();
    let syncs = [vec!["sync"], vec!["sync", "--wait", "60"]].map(|arguments| {
        let (till, is_over) = (till.clone(), is_over.clone());
        std::thread::spawn(move || {
            let mut exits = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let ran = till.run(arguments.iter().copied());
                assert!(ran.exit == Some(0) || ran.code() == "busy", "{ran:?}");
                exits.push(ran.exit);
            }
            exits
        })
    });
    let mut ledger = Ledger::default();
    for intent in editors.into_iter().flat_map(|editor| editor.join().unwrap()) {
        let entry = ledger.enter(intent);
        ledger.acknowledge(entry);
    }
    is_over.store(true, Ordering::Relaxed);
    let [impatient, patient] = syncs.map(|sync| sync.join().unwrap());
    assert!(impatient.contains(&Some(6)), "the two never met: {impatient:?}");
    assert!(
        patient.iter().all(|exit| *exit == Some(0)),
        "who waits is not told that it is busy: {patient:?}"
    );
    assert_eq!(till.run(["sync"]).exit, Some(0));
    ledger.check_all(&till).unwrap();
    assert_eq!(till.run(["sync"]).json["requests"]["put"], 0);
    till.assert_no_violations();
    is_whole(&till.store()).unwrap();
}

fn edit_away(till: &Till, nth: u64) -> Vec<Intent> {
    let mut random = fastrand::Rng::with_seed(nth);
    let ids: Vec<i64> = till.sandbox.ids().into_iter().map(i64::from).collect();
    let edits = (0..20).map(|n| {
        let label = format!("{nth}/{n}");
        let changes = vec![Change::random(&ids, 0.3, &mut random)];
        let ran = Ran::of(&start(till, &label, &changes).wait_with_output().unwrap());
        assert_eq!(ran.exit, Some(0), "{ran:?}");
        Intent { label, changes }
    });
    edits.collect()
}
