//! `backup`: a copy of the file while it is in use.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::Exit;
use super::settings::Till;
use super::{Done, render};

/// Copy the database to a file, consistent while edits and syncs go on
#[derive(Args)]
#[command(after_help = "\
The copy is one file, for its owner only; nothing is overwritten. It holds the edits that wait too:
never let two tills live on from one copy.

Example:
  tillsync backup /media/backup/till-monday.db")]
pub(super) struct Backup {
    /// Where the copy goes; nothing may be there yet
    path: PathBuf,
}

#[derive(Serialize)]
struct BackedUp {
    path: String,
    bytes: u64,
}

impl Backup {
    pub(super) fn run(self, till: &Till) -> Done {
        let bytes = till.store()?.backup(&self.path)?;
        let path = self.path.display().to_string();
        let text = format!("{}: {}.", render::plain(&path), render::count(bytes, "byte"));
        till.out.answer(&BackedUp { path, bytes }, || text)?;
        Ok(Exit::Done)
    }
}
