//! `backup`: a copy of the file while it is in use. `restore`: one that is put back.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tillsync::{Salvaged, Store};

use super::exit::Exit;
use super::out::Deed;
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
        let deed = Deed { done: "the backup is made", shown_by: "its folder" };
        till.out.answer_done(&BackedUp { path, bytes }, || text, deed)?;
        Ok(Exit::Done)
    }
}

/// Put a backup in the place of the database
#[derive(Args)]
#[command(after_help = "\
Stop every program that has the database open first. What lay there goes aside with its log, as NAME.replaced-1; the \
backup stays where it is. Payments that wait in the backup may have been sent after it was made, and wait for a person then: \
tillsync rejected shows them, retry sends one, discard gives it up.

Example:
  tillsync restore /media/backup/till-monday.db &&
      tillsync pull --full")]
pub(super) struct Restore {
    /// The backup
    path: PathBuf,
}

#[derive(Serialize)]
struct PutBack {
    path: String,
    bytes: u64,
    held: u64,
    replaced: Option<String>,
    found: Vec<Salvaged>,
}

impl Restore {
    pub(super) fn run(self, till: &Till) -> Done {
        let restored = Store::restore(till.path(), &self.path, till.key()?)?;
        let path = till.path().display().to_string();
        let replaced = restored.replaced.map(|path| path.display().to_string());
        let mut text =
            format!("{} is as in {}.", render::plain(&path), render::plain(&self.path.display().to_string()));
        if let Some(replaced) = &replaced {
            text += &format!(" What was there is {}.", render::plain(replaced));
        }
        if restored.held > 0 {
            let edits = render::count(restored.held, "edit");
            text += &format!("\n\n{edits} may have been sent already, and wait for you: tillsync rejected");
        }
        if !restored.found.is_empty() {
            text += &found_in_words(&restored.found);
        }
        text += "\n\nNext: tillsync pull --full";
        let (bytes, held, found) = (restored.bytes, restored.held, restored.found);
        let is_for_a_person = held > 0 || !found.is_empty();
        let deed = Deed { done: "the backup is in the place of the database", shown_by: "tillsync status" };
        till.out.answer_done(&PutBack { path, bytes, held, replaced, found }, || text, deed)?;
        Ok(if is_for_a_person { Exit::Attention } else { Exit::Done })
    }
}

/// Edits that are in no file any more.
fn found_in_words(found: &[Salvaged]) -> String {
    let edits = render::count(found.len() as u64, "edit");
    let mut text = format!(
        "\n\n{edits} waited in the log of the file that was there, and stand in no file: look at the store, and edit in anew what is not in it."
    );
    for one in found {
        let signed = [Some(one.at.as_str()), one.author.as_deref(), one.label.as_deref()];
        let signed: Vec<&str> = signed.into_iter().flatten().collect();
        let line =
            format!("{} {} {} {}  {}", one.customer_id, one.field, one.op, one.value, signed.join(", "));
        text += &format!("\n  {}", render::plain(&line));
    }
    text
}
