//! `cargo bench` prints one table: each station of a sync against its floor, measured in the same run, in turns.
//!
//! `cargo bench -- --quick` takes about a minute, with smaller stores; `cargo bench -- NAME` prints the lines of which
//! the name holds NAME. What the lines mean, and what they last were, stands in docs/benchmarks.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench"
)]

mod bare;
mod child;
mod counter;
mod data;
mod edit;
mod harness;
mod page;
mod plan;
mod pull;
mod read;
mod size;
mod upload;
mod versus;
mod wait;

use data::World;
use harness::Table;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [word, rest @ ..] = &args[..]
        && word == "child"
    {
        return child::run(rest);
    }
    let is_quick = args.iter().any(|arg| arg == "--quick");
    let wanted: Vec<String> = args.into_iter().filter(|arg| !arg.starts_with("--")).collect();
    let world = World::new(is_quick);
    let mut table = Table::new(wanted);
    for station in [
        edit::run,
        pull::run,
        plan::run,
        upload::run,
        read::run,
        page::run,
        counter::run,
        size::run,
        versus::run,
        wait::run,
    ] {
        station(&world, &mut table);
    }
    table.finish();
}
