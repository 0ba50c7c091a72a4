//! `backup`: a copy of the file while it is in use.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::Exit;
use super::settings::{NewKey, Till};
use super::{Done, render};

/// Copy the database to a file, while it is used
#[derive(Args)]
#[command(after_help = "\
The copy is one file, for its owner only; nothing is overwritten. It holds the edits that wait too: \
never let two tills live on from one copy. An encrypted database gives an encrypted copy, unless it is to \
have another key, or none.

Examples:
  tillsync backup /media/backup/till-monday.db
  tillsync backup encrypted.db --new-key-file till.key")]
pub(super) struct Backup {
    /// Where the copy goes; nothing may be there yet
    path: PathBuf,

    #[command(flatten)]
    new_key: NewKey,

    /// Make a copy that is not encrypted
    #[arg(long, conflicts_with = "new_key")]
    plain: bool,
}

#[derive(Serialize)]
struct BackedUp {
    path: String,
    bytes: u64,
}

impl Backup {
    pub(super) fn run(self, till: &Till) -> Done {
        let bytes = match self.new_key.read()? {
            None if !self.plain => till.store()?.backup(&self.path)?,
            key => till.store()?.backup_with_key(&self.path, key.as_ref())?,
        };
        let path = self.path.display().to_string();
        let text = format!("{}: {}.", render::plain(&path), render::count(bytes, "byte"));
        till.out.answer(&BackedUp { path, bytes }, || text)?;
        Ok(Exit::Done)
    }
}
