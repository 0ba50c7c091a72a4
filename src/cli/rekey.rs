//! `rekey`: another key for an encrypted file.

use clap::Args;
use serde::Serialize;

use super::exit::{Exit, Failed};
use super::out::Deed;
use super::settings::{NewKey, Till};
use super::{Done, render};

/// Give an encrypted database another key
#[derive(Args)]
#[command(after_help = "\
Stop every program that has the database open first. Whatever happens meanwhile, it opens with exactly one of \
the two keys. Backups keep the key that they were made with.

Example:
  tillsync rekey --key-file old.key --new-key-file new.key")]
pub(super) struct Rekey {
    #[command(flatten)]
    new_key: NewKey,
}

#[derive(Serialize)]
struct Rekeyed {
    path: String,
}

impl Rekey {
    pub(super) fn run(self, till: &Till) -> Done {
        let key = self.new_key.read()?.ok_or_else(no_new_key)?;
        till.store()?.rekey(key)?;
        let path = till.path().display().to_string();
        let text = format!("{} has its new key.", render::plain(&path));
        let deed = Deed { done: "the file has its new key", shown_by: "tillsync status with that key" };
        till.out.answer_done(&Rekeyed { path }, || text, deed)?;
        Ok(Exit::Done)
    }
}

fn no_new_key() -> Failed {
    Failed::usage("no new key is named: give --new-key-env, --new-key-file or --new-key-keyring")
}
