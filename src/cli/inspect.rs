//! `inspect`: the page for the person at the shop, served on loopback, and a browser that opens it.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use clap::Args;
use serde::Serialize;
use tillsync::inspect::{Inspector, InspectorOptions};
use tillsync::{HttpRemote, Policies, Store, SyncEngine};

use super::Done;
use super::exit::Failed;
use super::out::complain;
use super::settings::Till;

/// Open a page in the browser to decide on
///
/// What waits, what the store refused, conflicts side by side, customers with their history, and the last syncs. It is served on
/// 127.0.0.1 until it is interrupted; whoever opens the address first is let in, and nobody else.
#[derive(Args)]
#[command(after_help = "Examples:
  tillsync inspect
  # for a program that opens the address itself:
  tillsync inspect --no-open --json")]
pub(super) struct Inspect {
    /// The port; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Only show: nothing is decided, edited or synced
    #[arg(long)]
    read_only: bool,
    /// Only print the address, for whoever opens it first
    #[arg(long, visible_alias = "no-browser")]
    no_open: bool,
}

/// Where it is served.
#[derive(Serialize)]
pub(super) struct Serving {
    url: String,
    port: u16,
}

impl Inspect {
    pub(super) fn run(self, till: &Till) -> Done {
        let options = options(till, till.store()?)?.port(self.port);
        let options = if self.read_only { options.read_only() } else { options };
        serve(till, options, !self.no_open, |serving| serving)
    }
}

/// The page of this till; without a way to its store it does everything but sync.
fn options(till: &Till, store: Store) -> Result<InspectorOptions, Failed> {
    let way = till.http(Some(&store));
    let options = Inspector::of(store).author(till.author());
    Ok(match way {
        Err(failed) => options.cannot_sync(failed.message()),
        Ok(way) => {
            let how = till.sync_options(Policies::default());
            let fleet = till.fleet(&way);
            fleet.iter().try_for_each(|fleet| fleet.join().map(drop))?;
            options.syncs_by(move |store| {
                let engine = SyncEngine::new(store, HttpRemote::new(&way)?, how.clone());
                Ok(match &fleet {
                    Some(fleet) => engine.in_fleet(fleet.join()?),
                    None => engine,
                })
            })
        }
    })
}

/// Serves until it is interrupted; programs are told by the document that is made of where.
pub(super) fn serve<D: Serialize>(
    till: &Till,
    options: InspectorOptions,
    opens: bool,
    document: impl FnOnce(Serving) -> D,
) -> Done {
    let inspector = options.start().map_err(not_started)?;
    let url = inspector.address();
    let document = document(Serving { url: url.clone(), port: inspector.port() });
    till.out.answer(&document, || url)?;
    if opens && !open(&inspector.address()) && till.out.is_lively() {
        complain("hint: no browser could be started: open that address in one");
    }
    if till.out.is_lively() {
        complain("Ctrl-C ends it. The address lets in once; to open the page again, start this again.");
    }
    loop {
        std::thread::park();
    }
}

fn not_started(error: std::io::Error) -> Failed {
    let failed = Failed::unexpected(error.to_string());
    match error.kind() {
        ErrorKind::AddrInUse => failed.hint("name another with --port"),
        _ => failed,
    }
}

/// Whether the system's browser takes it.
fn open(address: &str) -> bool {
    let opener: &[&str] = match () {
        () if cfg!(target_os = "macos") => &["open"],
        () if cfg!(windows) => &["rundll32", "url.dll,FileProtocolHandler"],
        () => &["xdg-open"],
    };
    let [program, arguments @ ..] = opener else { return false };
    let mut command = Command::new(program);
    command.args(arguments).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}
