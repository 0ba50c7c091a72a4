//! `conflicts`, `resolve`, `rejected`, `retry`, `discard`: what waits for a person, and what a person decides.

use clap::{Args, ValueEnum};
use serde::Serialize;
use tillsync::{Conflict, CustomerId, Keep};

use super::exit::Exit;
use super::settings::Till;
use super::{Done, edit, read, render};

/// List the fields that both sides changed and that wait for a decision
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync conflicts --json")]
pub(super) struct Conflicts {}

impl Conflicts {
    pub(super) fn run(self, till: &Till) -> Done {
        let conflicts = till.store()?.conflicts()?;
        till.out.answer(&conflicts, || conflicts_in_words(&conflicts))?;
        Ok(Exit::Done)
    }
}

/// The open conflicts as a table, with what to do about them.
pub(super) fn conflicts_in_words(conflicts: &[Conflict]) -> String {
    if conflicts.is_empty() {
        return "No conflicts.".to_owned();
    }
    let header = ["customer", "field", "before", "here", "in the store", "since"];
    let rows = conflicts.iter().map(|conflict| {
        let shown = |json| render::value(&conflict.field, json);
        [
            conflict.customer_id.to_string(),
            field_in_words(&conflict.field),
            shown(&conflict.base),
            shown(&conflict.local),
            shown(&conflict.remote),
            render::stamp(&conflict.detected_at),
        ]
    });
    let hint = "Decide with: tillsync resolve CUSTOMER FIELD --keep local, --keep remote or --value VALUE";
    let counted = render::count(conflicts.len() as u64, "conflict");
    format!("{counted}\n{}\n{hint}{}", render::table(header, rows), about_deleted(conflicts))
}

fn field_in_words(field: &str) -> String {
    if field == "*" { "* (deleted in the store)".to_owned() } else { render::plain(field) }
}

fn about_deleted(conflicts: &[Conflict]) -> &'static str {
    match conflicts.iter().any(|conflict| conflict.field == "*") {
        true => "\nA customer that was deleted in the store: tillsync discard CUSTOMER",
        false => "",
    }
}

/// Which side of a conflict is kept.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Side {
    /// The till's value is sent with the next sync
    Local,
    /// The store's value is taken
    Remote,
}

/// Decide a conflict
#[derive(Args)]
#[command(after_help = "Examples:
  tillsync resolve 42 phone --keep local
  tillsync resolve 42 'form_fields.Shoe size' --value 43")]
#[command(group = clap::ArgGroup::new("decision").required(true))]
pub(super) struct Resolve {
    /// The customer
    id: i64,
    /// The attribute, or form_fields.NAME for one form field
    field: String,
    /// Which side is kept
    #[arg(long, group = "decision")]
    keep: Option<Side>,
    /// A value that is sent in place of both, read by the attribute's type
    #[arg(long, group = "decision", allow_hyphen_values = true)]
    value: Option<String>,
}

/// How many fields a decision was about.
#[derive(Serialize)]
struct Decided {
    customer_id: Option<CustomerId>,
    fields: usize,
}

impl Resolve {
    pub(super) fn run(self, till: &Till) -> Done {
        let keep = match (self.keep, self.value) {
            (_, Some(_)) if self.field == edit::PASSWORD => return Err(edit::shown_in_ps(self.id)),
            (_, Some(value)) => Keep::Value(value),
            (Some(Side::Remote), _) => Keep::Remote,
            _ => Keep::Local,
        };
        let mut store = till.store()?;
        read::known(&store, self.id)?;
        let fields = store.resolve(self.id, &self.field, &keep, Some(&till.author()))?;
        let done =
            if keep == Keep::Remote { "the store's value was taken" } else { "goes up with the next sync" };
        answer(till, Some(self.id), fields, || format!("customer {}: {}: {done}.", self.id, self.field))
    }
}

fn answer(till: &Till, id: Option<i64>, fields: usize, text: impl FnOnce() -> String) -> Done {
    till.out.answer(&Decided { customer_id: id.map(CustomerId), fields }, text)?;
    Ok(Exit::Done)
}

/// List the edits that the store refused, with its reasons
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync rejected")]
pub(super) struct Rejected {}

impl Rejected {
    pub(super) fn run(self, till: &Till) -> Done {
        let rejected = till.store()?.rejected()?;
        till.out.answer(&rejected, || rejected_in_words(&rejected))?;
        Ok(Exit::Done)
    }
}

/// The rejected edits as a table, with what to do about them.
pub(super) fn rejected_in_words(rejected: &[tillsync::Rejected]) -> String {
    if rejected.is_empty() {
        return "No rejected edits.".to_owned();
    }
    let rows = rejected.iter().map(|edit| {
        let value = render::value(&edit.field, &edit.value);
        [edit.customer_id.to_string(), edit.field.clone(), value, render::plain(&edit.reason)]
    });
    let table = render::table(["customer", "field", "value", "the store says"], rows);
    let counted = render::count(rejected.len() as u64, "rejected edit");
    format!(
        "{counted}\n{table}\nEdit the field again, or: tillsync retry CUSTOMER, tillsync discard CUSTOMER FIELD"
    )
}

/// Send rejected edits again with the next sync
#[derive(Args)]
#[command(after_help = "Examples:\n  tillsync retry 42\n  tillsync retry --all")]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub(super) struct Retry {
    /// The customer
    #[arg(group = "whose")]
    id: Option<i64>,
    /// Those of every customer
    #[arg(long, group = "whose")]
    all: bool,
}

impl Retry {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        if let Some(id) = self.id {
            read::known(&store, id)?;
        }
        let fields = store.retry(self.id.map(CustomerId))?;
        answer(till, self.id, fields, || match fields {
            0 => "No rejected edits.".to_owned(),
            fields => format!("{} will be sent with the next sync.", render::count(fields as u64, "field")),
        })
    }
}

/// Give up edits: the working copy goes back to what the store has
#[derive(Args)]
#[command(after_help = "Examples:\n  tillsync discard 42 phone\n  tillsync discard 42")]
pub(super) struct Discard {
    /// The customer
    id: i64,
    /// The attribute; default: all that were edited
    field: Option<String>,
}

impl Discard {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        let fields = store.discard(self.id, self.field.as_deref(), Some(&till.author()))?;
        answer(till, Some(self.id), fields, || discarded(self.id, fields))
    }
}

fn discarded(id: i64, fields: usize) -> String {
    match fields {
        0 => format!("customer {id}: nothing to discard."),
        fields => {
            format!("customer {id}: the edits of {} were discarded.", render::count(fields as u64, "field"))
        }
    }
}
