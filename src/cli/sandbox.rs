//! `sandbox`: the stand-in store on loopback, for trying things out and for tests of tills.

use clap::Args;
use serde::Serialize;
use tillsync::sandbox::{BehaviourError, Behaviours, Fault, FaultRate, Sandbox, SandboxOptions};

use super::Done;
use super::exit::Failed;
use super::out::complain;
use super::settings::Till;

/// Serve a stand-in store on 127.0.0.1
///
/// Prints its URL and token as one line of JSON, then serves until it is interrupted.
#[derive(Args)]
#[command(after_help = after_help())]
pub(super) struct Serve {
    /// The port; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// How many made-up customers it has
    #[arg(long, value_name = "N", default_value_t = 100)]
    customers: usize,
    /// Decides customers and faults: the same seed gives the same store
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
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
        Behaviours::knobs().iter().map(|knob| format!("  {knob}\n      {}", knob.about)).collect();
    let faults = Fault::names().join(", ");
    format!(
        "Behaviours, the usual reading first:\n{}\n\nFaults:\n{faults}\n\n\
         Some take a number: delayed-answer:MS, delayed-apply:MS, slow:BYTES_PER_SECOND, wrong-date:SECONDS.\n\n\
         Examples:\n  tillsync sandbox --port 4010 --customers 1000\n  \
         tillsync sandbox --latency-ms 80 --quota 30 --window-ms 2000 --fault lost-answer=0.1\n  \
         tillsync sandbox --behaviour cursors=not-told --behaviour tidies=blanks+case",
        knobs.join("\n"),
    )
}

#[derive(Serialize)]
struct Serving<'a> {
    url: String,
    store_hash: &'a str,
    token: &'a str,
    customers: usize,
}

impl Serve {
    pub(super) fn run(self, till: &Till) -> Done {
        let all = self.behaviour.join(",");
        let behaviours = all.parse().map_err(|e: BehaviourError| Failed::unexpected(e.to_string()))?;
        let options = SandboxOptions {
            port: self.port,
            customers: self.customers,
            seed: self.seed,
            latency_ms: self.latency_ms,
            bytes_per_second: self.bytes_per_second,
            quota: self.quota,
            window_ms: self.window_ms,
            competitor_calls: self.competitor_calls,
            competitor_updates: self.competitor_updates,
            max_customers_per_update: self.max_customers_per_update,
            behaviours,
            faults: self.fault.into_iter().collect(),
            ..SandboxOptions::default()
        };
        let port_taken = |e| Failed::unexpected(format!("port {} of 127.0.0.1: {e}", self.port));
        let sandbox = Sandbox::start(options).map_err(port_taken)?;
        till.out.document(&Serving {
            url: sandbox.url(),
            store_hash: sandbox.store_hash(),
            token: sandbox.token(),
            customers: sandbox.customer_count(),
        })?;
        if till.out.is_lively() {
            how_to_use(&sandbox);
        }
        sandbox.wait()
    }
}

/// The settings as a shell takes them.
fn how_to_use(sandbox: &Sandbox) {
    complain(&format!(
        "\nIn another shell:\n  export TILLSYNC_API_URL={}\n  export BIGCOMMERCE_STORE_HASH={}\n  \
         export BIGCOMMERCE_ACCESS_TOKEN={}\n  tillsync pull\n\nCtrl-C ends it.",
        sandbox.url(),
        sandbox.store_hash(),
        sandbox.token()
    ));
}
