//! `create`: an empty till, before there is a network. Only this, `pull` and `worker --create` make a file.

use clap::Args;
use serde::Serialize;

use super::exit::{Exit, Failed};
use super::out::Deed;
use super::settings::Till;
use super::{Done, render};

/// Make an empty database
///
/// Its tables are there for the app before the first pull.
#[derive(Args)]
#[command(after_help = "\
`pull` makes it too, and fills it. A file that is there already, whatever it is, is left as it is (2).

Example:
  tillsync create --db till.db")]
pub(super) struct Create {}

#[derive(Serialize)]
struct Created {
    path: String,
}

impl Create {
    pub(super) fn run(self, till: &Till) -> Done {
        let path = till.path().display().to_string();
        if std::fs::symlink_metadata(till.path()).is_ok() {
            let words = format!("{} is there already", render::plain(&path));
            return Err(Failed::usage(words).hint(
                "if it is a till, go on with it: pull; if it is anything else, name another with --db",
            ));
        }
        till.create()?;
        let text = format!("{} is there, and empty: pull fills it.", render::plain(&path));
        let deed = Deed { done: "the file is made", shown_by: "tillsync status" };
        till.out.answer_done(&Created { path }, || text, deed)?;
        Ok(Exit::Done)
    }
}
