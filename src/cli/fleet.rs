//! `fleet`: who shares the store's quota and its slots with this till, and how they stand.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tillsync::fleet::{FleetOptions, FleetTill, FleetView};

use super::exit::{Exit, Failed};
use super::settings::Till;
use super::{Done, render};

/// Show the other tills, and what they share
///
/// Who has asked within ten minutes, which calls and slots are granted, who waits, and what is left of the store's quota. Tills have
/// names by chance, each anew when it is started; nothing of a customer is at their server.
#[derive(Args)]
#[command(after_help = "Example:
  TILLSYNC_FLEET=rediss://till:secret@fleet.example:443 \\
      tillsync fleet")]
pub(super) struct Fleet {}

/// How the fleet stands, and where.
#[derive(Serialize)]
struct Shown {
    server: String,
    #[serde(flatten)]
    view: FleetView,
}

impl Fleet {
    pub(super) fn run(self, till: &Till) -> Done {
        let fleet = till.fleet_alone()?.ok_or_else(no_fleet)?;
        let shown = look(&fleet)?;
        till.out.answer(&shown, || in_words(&shown))?;
        Ok(Exit::Done)
    }
}

fn look(fleet: &FleetOptions) -> Result<Shown, Failed> {
    let server = fleet.shown_url()?;
    match fleet.look()? {
        Some(view) => Ok(Shown { server, view }),
        None => Err(Failed::offline("no_fleet", format!("{server} does not answer"))
            .hint("every till goes on alone meanwhile; what it said is in the log: TILLSYNC_LOG=warn")),
    }
}

fn no_fleet() -> Failed {
    Failed::usage("no fleet is named").hint("set TILLSYNC_FLEET or give --fleet: redis://… or rediss://…")
}

fn in_words(Shown { server, view }: &Shown) -> String {
    let pairs = render::pairs([
        ("server", server.clone()),
        ("quota", quota_in_words(view)),
        ("granted", render::count(view.granted, "call")),
        ("slots", slots_in_words(view)),
        ("tills", render::count(view.count, "till")),
    ]);
    match view.tills.is_empty() {
        true => pairs,
        false => format!("{pairs}\n\n{}", table(&view.tills)),
    }
}

/// In a line, for `doctor` too.
pub(super) fn quota_in_words(view: &FleetView) -> String {
    match (view.quota, view.left, view.ends_in_ms) {
        (Some(quota), Some(left), Some(ms)) => {
            format!("{left} of {quota} calls left, for {}", seconds(ms))
        }
        (Some(quota), ..) => format!("{quota} calls a window, which nobody has asked of yet"),
        _ => "not known: nobody has heard of the store lately".to_owned(),
    }
}

fn slots_in_words(view: &FleetView) -> String {
    let waiting = view.waiting_for_slots;
    let held = render::count(view.slots.len() as u64, "update");
    format!("{held} under way, {} waiting", render::thousands(waiting))
}

fn table(tills: &[FleetTill]) -> String {
    let row = |till: &FleetTill| {
        let calls = match till.calls {
            0 => "–".to_owned(),
            calls => format!("{calls}, for {}", seconds(till.calls_for_ms)),
        };
        let waits = till.waits_ms.map_or_else(|| "–".to_owned(), seconds);
        [render::plain(&till.name), format!("{} ago", seconds(till.asked_ms_ago)), calls, waits]
    };
    render::table(["till", "asked", "calls", "waits since"], tills.iter().map(row))
}

fn seconds(ms: u64) -> String {
    format!("{} s", Duration::from_millis(ms).as_secs_f64().ceil())
}
