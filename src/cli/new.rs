//! `new`: customers whom the store does not have yet, entered at once and brought there by the next sync.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tillsync::{CustomerId, Store, parse_new};

use super::edit::{now_as_label, parse_edits, place, text_of};
use super::exit::{Exit, Failed};
use super::out::Deed;
use super::settings::{Till, without_mark};
use super::{Done, render};

/// Enter new customers; sent with the next sync
#[derive(Args)]
#[command(after_help = "\
email, first_name and last_name are needed. Each has an id below zero until the store has given one; \
every command takes the old id later, too.

Examples:
  tillsync new email=ana@example.com \\
      first_name=Ana last_name=Reyes
  tillsync new --from customers.jsonl")]
pub(super) struct New {
    /// What is known of the customer: attributes by their API names
    #[arg(value_name = "FIELD=VALUE", required_unless_present = "from", conflicts_with = "from")]
    edits: Vec<String>,
    /// JSON Lines, each {field: value…}, all or nothing; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// For what, such as "sale 1042" [default: new and the time]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

#[derive(Serialize)]
struct Created {
    created: Vec<CustomerId>,
}

impl New {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        let label = self.label.clone().unwrap_or_else(|| now_as_label("new"));
        let created = match &self.from {
            Some(path) => enter_lines(&mut store, path, &till.author(), &label)?,
            None => {
                let edits = parse_edits(-1, &self.edits)?;
                store.create_all(&[edits], Some(&till.author()), Some(&label))?.ids
            }
        };
        let text = || {
            let ids = created.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            match created.len() {
                0 => "Nobody to enter.".to_owned(),
                1 => format!("customer {ids} is entered; created in the store with the next sync."),
                many => {
                    let customers = render::count(many as u64, "customer");
                    format!("{customers} are entered ({ids}); created in the store with the next sync.")
                }
            }
        };
        let deed = Deed { done: "they are entered", shown_by: "tillsync diff" };
        till.out.answer_done(&Created { created: created.clone() }, text, deed)?;
        Ok(Exit::Done)
    }
}

fn enter_lines(store: &mut Store, path: &Path, author: &str, label: &str) -> Result<Vec<CustomerId>, Failed> {
    let text = text_of(path)?;
    let lines = without_mark(&text).lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(index, line)| match parse_new(line) {
        Ok(customer) => Ok((index + 1, customer)),
        Err(refused) => Err(Failed::from(tillsync::Error::from(refused)).at(&place(index + 1))),
    });
    let (numbers, customers): (Vec<usize>, Vec<_>) =
        parsed.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    match store.create_all(&customers, Some(author), Some(label)) {
        Ok(entered) => Ok(entered.ids),
        Err(error) => Err(with_line(error, store, &numbers)),
    }
}

/// What is refused names an id that was not given after all: they are given in the order of the lines.
fn with_line(error: tillsync::Error, store: &mut Store, numbers: &[usize]) -> Failed {
    let failed = Failed::from(error);
    let next = store.connection().query_row("SELECT id FROM new_id", [], |row| row.get::<_, i64>(0));
    let Ok(next) = next else { return failed };
    let mut lines = (0..).map(|nth| next - nth).zip(numbers);
    let named = lines.find(|(id, _)| failed.message().starts_with(&format!("customer {id}: ")));
    match named {
        Some((_, number)) => failed.at(&place(*number)),
        None => failed,
    }
}
