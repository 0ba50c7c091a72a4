//! `delete`: customers who are to be there no more, gone here at once and in the store with the next sync.

use clap::Args;
use serde::Serialize;
use tillsync::CustomerId;

use super::edit::now_as_label;
use super::exit::Exit;
use super::out::Deed;
use super::settings::Till;
use super::{Done, render};

/// Delete customers, with the next sync
#[derive(Args)]
#[command(after_help = "\
All of them or none. Until the sync, discard brings one back, with what was edited of it. Where more than 20 wait, \
a sync deletes none without a word: sync --allow-deletions N.

Example:
  tillsync delete 42 43")]
pub(super) struct Delete {
    /// The customers
    #[arg(value_name = "ID", required = true, allow_negative_numbers = true)]
    ids: Vec<i64>,
    /// Why, such as "asked for it" [default: delete and the time]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

#[derive(Serialize)]
struct Deleted {
    deleted: usize,
}

impl Delete {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        let label = self.label.unwrap_or_else(|| now_as_label("delete"));
        let mut ids: Vec<CustomerId> = self.ids.into_iter().map(CustomerId).collect();
        ids.sort_unstable();
        ids.dedup();
        store.delete_customers(&ids, Some(&till.author()), Some(&label))?;
        let text = || {
            let customers = render::count(ids.len() as u64, "customer");
            format!(
                "{customers} deleted here; in the store with the next sync. Until then: tillsync discard CUSTOMER"
            )
        };
        let deed = Deed { done: "they are deleted here", shown_by: "tillsync log" };
        till.out.answer_done(&Deleted { deleted: ids.len() }, text, deed)?;
        Ok(Exit::Done)
    }
}
