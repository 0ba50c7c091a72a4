//! `sandbox`: the stand-in store on loopback, for trying things out and for tests of tills.

mod control;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tillsync::sandbox::{BehaviourError, Behaviours, Fault, FaultRate, Knob, Sandbox, SandboxOptions};

use super::Done;
use super::exit::Failed;
use super::out::complain;
use super::settings::Till;

/// Serve a stand-in store on 127.0.0.1
///
/// Prints its URL and token as one line of JSON, then serves until it is interrupted. While it runs, `tillsync sandbox cut`,
/// `heal`, `fault`, `edit` and the like, in another terminal, do to it what happens to a store.
#[derive(Args)]
#[command(after_help = after_help(), args_conflicts_with_subcommands = true, subcommand_help_heading = "While it runs")]
#[command(subcommand_value_name = "WHILE IT RUNS", disable_help_subcommand = true)]
pub(super) struct Serve {
    #[command(subcommand)]
    control: Option<control::Command>,
    /// The port; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// How many made-up customers it has; default: 100, or those of --state
    #[arg(long, value_name = "N")]
    customers: Option<usize>,
    /// Decides customers and faults: the same seed gives the same store; default: 1, or that of --state
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Keep the store in this file between runs; it is made where there is none
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// How long the network takes before a request is looked at
    #[arg(long, value_name = "N", default_value_t = 0)]
    latency_ms: u64,
    /// How fast answers come, in bytes a second; 0: as fast as they go
    #[arg(long, value_name = "N", default_value_t = 0)]
    bytes_per_second: u32,
    /// Calls that one rate window allows
    #[arg(long, value_name = "N", default_value_t = 150)]
    quota: u32,
    /// The length of a rate window
    #[arg(long, value_name = "N", default_value_t = 30_000)]
    window_ms: u64,
    /// Calls of it that another app of the store uses up
    #[arg(long, value_name = "N", default_value_t = 0)]
    competitor_calls: u32,
    /// How many of the three updates at once may be other clients', by chance
    #[arg(long, value_name = "N", default_value_t = 0)]
    competitor_updates: u32,
    /// Above how many customers an update is answered 413
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_customers_per_update: usize,
    /// How the store behaves where its description is silent; may be given again
    #[arg(long, value_name = "NAME=READING", value_parser = behaviour)]
    behaviour: Vec<String>,
    /// What goes wrong, and how often from 0 to 1; may be given again
    #[arg(long, value_name = "NAME=RATE")]
    fault: Vec<FaultRate>,
}

/// Checks one behaviour; all of them are read together.
fn behaviour(text: &str) -> Result<String, BehaviourError> {
    text.parse::<Behaviours>().map(|_| text.to_owned())
}

fn after_help() -> String {
    let knobs: Vec<String> =
        Behaviours::knobs().iter().map(|knob| format!("{}\n      {}", readings(knob), knob.about)).collect();
    let faults: Vec<String> = Fault::abouts()
        .iter()
        .map(|(name, about)| format!("  {name:<16}{}", about.replace(": 4", ":\n                  4")))
        .collect();
    format!(
        "Faults:\n{}\n\nBehaviours, the usual reading first:\n{}\n\n\
         Examples:\n  tillsync sandbox --port 4010 --state store.json\n  \
         tillsync sandbox --latency-ms 80 --fault lost-answer=0.1\n  \
         tillsync sandbox --behaviour tidies=blanks+case\n  \
         tillsync sandbox cut",
        faults.join("\n"),
        knobs.join("\n"),
    )
}

/// `name=usual|other|…`, of as many lines as it takes on a narrow terminal: a shell would not break it anywhere.
fn readings(knob: &Knob) -> String {
    const MOST_CHARS: usize = 56;
    let mut lines = vec![format!("  {}=", knob.name)];
    for (nth, word) in knob.words.iter().enumerate() {
        let part = if nth == 0 { (*word).to_owned() } else { format!("|{word}") };
        match lines.last_mut() {
            Some(line) if line.len() + part.len() <= MOST_CHARS => line.push_str(&part),
            _ => lines.push(format!("    {part}")),
        }
    }
    lines.join("\n")
}

#[derive(Serialize)]
struct Serving<'a> {
    url: String,
    store_hash: &'a str,
    token: &'a str,
    customers: usize,
}

impl Serve {
    /// It goes on and on, unless it only asks one that does.
    pub(super) fn serves(&self) -> bool {
        self.control.is_none()
    }

    pub(super) fn run(self, till: &Till) -> Done {
        match self.control {
            Some(control) => control.run(till),
            None => self.serve(till),
        }
    }

    fn serve(self, till: &Till) -> Done {
        let usual = SandboxOptions::default();
        let all = self.behaviour.join(",");
        let behaviours = all.parse().map_err(|e: BehaviourError| Failed::unexpected(e.to_string()))?;
        let options = SandboxOptions {
            port: self.port,
            customers: self.customers.unwrap_or(usual.customers),
            seed: self.seed.unwrap_or(usual.seed),
            latency_ms: self.latency_ms,
            bytes_per_second: self.bytes_per_second,
            quota: self.quota,
            window_ms: self.window_ms,
            competitor_calls: self.competitor_calls,
            competitor_updates: self.competitor_updates,
            max_customers_per_update: self.max_customers_per_update,
            behaviours,
            faults: self.fault.into_iter().collect(),
            state: self.state.clone(),
            control: true,
            ..usual
        };
        let sandbox = Sandbox::start(options).map_err(not_started)?;
        let there = sandbox.with_core(|core| (core.options().customers, core.options().seed));
        self.state.iter().try_for_each(|state| is_asked_for(state, (self.customers, self.seed), there))?;
        till.out.document(&Serving {
            url: sandbox.url(),
            store_hash: sandbox.store_hash(),
            token: sandbox.token(),
            customers: sandbox.customer_count(),
        })?;
        if !till.out.is_json() {
            how_to_use(&sandbox);
        }
        sandbox.wait()
    }
}

fn not_started(error: io::Error) -> Failed {
    match error.kind() {
        // Its words are about the file of --state, and what to do.
        io::ErrorKind::InvalidData | io::ErrorKind::ResourceBusy => Failed::usage(error.to_string()),
        io::ErrorKind::AddrInUse => Failed::unexpected(error.to_string()).hint("name another with --port"),
        _ => Failed::unexpected(error.to_string()),
    }
}

/// A store that was kept stays what it is: who asks for another is told.
fn is_asked_for(
    state: &Path,
    (customers, seed): (Option<usize>, Option<u64>),
    there: (usize, u64),
) -> Result<(), Failed> {
    let is_other =
        customers.is_some_and(|asked| asked != there.0) || seed.is_some_and(|asked| asked != there.1);
    if !is_other {
        return Ok(());
    }
    let begun = format!("{} was begun with {} customers of seed {}", state.display(), there.0, there.1);
    Err(Failed::usage(begun).hint("go on with it without --customers and --seed, or name another --state"))
}

/// The settings as a shell takes them.
fn how_to_use(sandbox: &Sandbox) {
    complain(&format!(
        "\nIn another shell:\n  export TILLSYNC_API_URL={}\n  export BIGCOMMERCE_STORE_HASH={}\n  \
         export BIGCOMMERCE_ACCESS_TOKEN={}\n  tillsync pull\n\ntillsync sandbox cut, heal, edit and so on, there, do to it \
         what happens to a store. Ctrl-C ends it.",
        sandbox.url(),
        sandbox.store_hash(),
        sandbox.token()
    ));
}
