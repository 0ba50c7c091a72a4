//! A fleet of tills that share one store's quota of requests, in virtual time: the engine's own pacer, upload machine,
//! schedule and reading of answers for each till, a model of the store's quota, and a seed. Prints the tables of
//! docs/scale.md; with `--plot` also its picture.
//!
//!     cargo run --release --example fleet -- --plot docs/fleet.svg

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "an example that prints, and ends where it fails"
)]

mod plot;
mod sim;
mod table;

use std::path::PathBuf;

use clap::Parser;

use sim::figures::Figures;
use sim::scenario::{Scenario, Start};
use sim::store::Windows;
use sim::world::{History, play};

/// A fleet of tills that share one store's quota of requests, in virtual time.
#[derive(Parser)]
struct Options {
    /// How many tills share the store
    #[arg(long, default_value_t = 1_000)]
    tills: usize,
    /// Decides every latency, every wait that is left to chance, and every edit
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the picture here, as SVG
    #[arg(long, value_name = "PATH")]
    plot: Option<PathBuf>,
    /// A tenth of the tills, with a tenth of the quota
    #[arg(long)]
    quick: bool,
    /// Only the scenarios whose name has this in it
    #[arg(long, value_name = "WORDS", default_value = "")]
    only: String,
}

/// A scenario that was played.
struct Played {
    name: &'static str,
    scenario: Scenario,
    history: History,
    figures: Figures,
}

fn main() {
    let options = Options::parse();
    let fleet = fleet(&options);
    println!("{} tills, {} calls in 30 s, seed {}\n", fleet.tills, fleet.quota, fleet.seed);

    let play = |scenarios| play_all(scenarios, &options.only);
    table::steady(&play(steady(&fleet)));
    let drains = play(drains(&fleet));
    table::drains(&drains);
    table::beside_others(&play(beside_others(&fleet)));

    if let Some(path) = options.plot {
        plot::draw(&path, &drains).expect("the picture cannot be drawn");
        println!("the picture is in {}", path.display());
    }
}

fn fleet(options: &Options) -> Scenario {
    let scenario = Scenario::new(options.tills, options.seed);
    match options.quick {
        true => Scenario { tills: scenario.tills / 10, quota: scenario.quota / 10, ..scenario },
        false => scenario,
    }
}

fn steady(fleet: &Scenario) -> Vec<(&'static str, Scenario)> {
    let day = |edits, every| fleet.clone().steady(edits).every(every);
    vec![
        ("2 edits an hour, every 60 s (the default)", day(2.0, 60)),
        ("2 edits an hour, every 5 min", day(2.0, 300)),
        ("2 edits an hour, every 15 min", day(2.0, 900)),
        ("6 edits an hour, every 60 s (the default)", day(6.0, 60)),
        ("6 edits an hour, every 5 min", day(6.0, 300)),
        ("6 edits an hour, every 15 min", day(6.0, 900)),
    ]
}

/// The names of those that the picture shows.
const BY_DEFAULT: &str = "6 edits each, every 60 s (the default)";
const NO_NEWS: &str = "6 edits each, pulls of one call";
const SLOTS: &str = "6 edits each, three slots for all tills";

fn drains(fleet: &Scenario) -> Vec<(&'static str, Scenario)> {
    let drain = |backlog, every| fleet.clone().drain(backlog).every(every);
    let without_news = |scenario| Scenario { has_news: false, ..scenario };
    let by_itself = |scenario| Scenario { start: Start::Offline(3_600), ..scenario };
    vec![
        (BY_DEFAULT, drain(6, 60)),
        ("the same, watched for an hour", Scenario { goes_on: true, lasts_s: 3_600, ..drain(6, 60) }),
        ("the same, the network comes back by itself", by_itself(drain(6, 60))),
        ("the same, every 15 min", drain(6, 900)),
        ("the same, five tills with 2,000 edits each", Scenario { heavy: (5, 2_000), ..drain(6, 60) }),
        ("the same, reserve 0", drain(6, 60).reserve(0)),
        ("the same, windows by the clock", drain(6, 60).windows(Windows::ByTheClock)),
        (NO_NEWS, without_news(drain(6, 60))),
        ("30 edits each", drain(30, 60)),
        ("30 edits each, pulls of one call", without_news(drain(30, 60))),
        (SLOTS, drain(6, 60).slots(3)),
        ("the same, the network comes back by itself, three slots", by_itself(drain(6, 60).slots(3))),
    ]
}

/// Other apps take a fifth of the quota.
fn beside_others(fleet: &Scenario) -> Vec<(&'static str, Scenario)> {
    let day = |every| fleet.clone().steady(6.0).every(every).beside(fleet.quota / 5);
    let drain = || fleet.clone().drain(6).beside(fleet.quota / 5);
    vec![
        ("steady, 6 edits an hour, every 15 min, reserve 0", day(900).reserve(0)),
        ("steady, 6 edits an hour, every 15 min, reserve 10", day(900)),
        ("steady, 6 edits an hour, every 60 s, reserve 0", day(60).reserve(0)),
        ("steady, 6 edits an hour, every 60 s, reserve 10", day(60)),
        ("drain, every 60 s, reserve 0", drain().reserve(0)),
        ("drain, every 60 s, reserve 10", drain()),
        ("drain, every 60 s, reserve 30", drain().reserve(30)),
    ]
}

fn play_all(scenarios: Vec<(&'static str, Scenario)>, only: &str) -> Vec<Played> {
    let played = |(name, scenario): (&'static str, Scenario)| {
        let history = play(&scenario);
        let figures = Figures::of(&scenario, &history);
        Played { name, scenario, history, figures }
    };
    scenarios.into_iter().filter(|(name, _)| name.contains(only)).map(played).collect()
}
