//! `prune`, `forget`: history goes, and what is personal of a customer that is gone.

use chrono::{TimeDelta, Utc};
use clap::Args;
use serde::Serialize;

use super::exit::Exit;
use super::out::Deed;
use super::settings::Till;
use super::{Done, render};

#[derive(Serialize)]
struct Removed {
    removed: u64,
}

/// The file is without them.
const REMOVED: Deed = Deed { done: "the rows are removed", shown_by: "tillsync log" };

/// A century.
const MOST_DAYS: i64 = 36_500;

/// Remove edits that settled long ago
///
/// And conflicts that were decided as long ago. What waits is kept, however old it is. A sync does the same by itself, a little
/// each time, with what is older than 400 days.
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync prune --older-than 90")]
pub(super) struct Prune {
    /// What settled more than so many days ago
    #[arg(long, value_name = "DAYS", default_value_t = tillsync::RETENTION_DAYS)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=MOST_DAYS))]
    older_than: u32,
}

impl Prune {
    pub(super) fn run(self, till: &Till) -> Done {
        let before = Utc::now() - TimeDelta::days(self.older_than.into());
        let removed = till.store()?.prune(before)?;
        let text = format!("{} removed.", render::count(removed, "row"));
        till.out.answer_done(&Removed { removed }, || text, REMOVED)?;
        Ok(Exit::Done)
    }
}

/// Forget a customer that is gone from the store
///
/// Its edits, its conflicts and all that is left of it go from the file. Backups keep what they hold.
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync forget 42")]
pub(super) struct Forget {
    /// The customer
    #[arg(allow_negative_numbers = true)]
    id: i64,
}

impl Forget {
    pub(super) fn run(self, till: &Till) -> Done {
        let removed = till.store()?.forget(self.id)?;
        let text = format!("Customer {} is forgotten: {} removed.", self.id, render::count(removed, "row"));
        till.out.answer_done(&Removed { removed }, || text, REMOVED)?;
        Ok(Exit::Done)
    }
}
