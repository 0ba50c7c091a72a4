//! `rekey`: another key for an encrypted file.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::{Exit, Failed};
use super::settings::{self, KeyringEntry, Till};
use super::{Done, render};

/// Give an encrypted database another key
#[derive(Args)]
#[command(after_help = "\
Stop every program that has the database open first. Whatever happens meanwhile, it opens with exactly one of
the two keys. Backups keep the key that they were made with.

Example:
  tillsync rekey --key-file old.key --new-key-file new.key")]
pub(super) struct Rekey {
    /// The environment variable with the new key
    #[arg(long, value_name = "NAME", group = "new_key")]
    new_key_env: Option<String>,

    /// A file with the new key
    #[arg(long, value_name = "PATH", group = "new_key")]
    new_key_file: Option<PathBuf>,

    /// An entry of the operating system's keyring with the new key
    #[arg(long, value_name = "SERVICE/USER", group = "new_key")]
    new_key_keyring: Option<KeyringEntry>,
}

#[derive(Serialize)]
struct Rekeyed {
    path: String,
}

impl Rekey {
    pub(super) fn run(self, till: &Till) -> Done {
        let Rekey { new_key_env: env, new_key_file: file, new_key_keyring: keyring } = &self;
        let key = settings::key(env.as_deref(), file.as_deref(), keyring.as_ref())?.ok_or_else(no_new_key)?;
        till.store()?.rekey(key)?;
        let path = till.path().display().to_string();
        let text = format!("{} has its new key.", render::plain(&path));
        till.out.answer(&Rekeyed { path }, || text)?;
        Ok(Exit::Done)
    }
}

fn no_new_key() -> Failed {
    Failed::usage("no new key is named: give --new-key-env, --new-key-file or --new-key-keyring")
}
