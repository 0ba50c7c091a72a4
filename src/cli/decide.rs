//! `conflicts`, `resolve`, `undo`, `rejected`, `retry`, `discard`: what waits for a person, and what a person decides.

use clap::{Args, ValueEnum};
use serde::Serialize;
use tillsync::{Conflict, CustomerId, EditSeq, FieldId, Keep, money};

use super::exit::Exit;
use super::out::JOURNALED;
use super::settings::Till;
use super::{Done, edit, read, render, sides};

/// List what both sides changed
///
/// The fields that wait for a decision, with both values. With a customer and a field: all of these values, however long.
#[derive(Args)]
#[command(after_help = "Examples:\n  tillsync conflicts --json\n  tillsync conflicts 42 notes")]
pub(super) struct Conflicts {
    /// Those of this customer
    #[arg(allow_negative_numbers = true)]
    id: Option<i64>,
    /// That of this attribute, or form_fields.NAME for one form field
    #[arg(requires = "id")]
    field: Option<String>,
    /// The most conflicts to list; default: 100, with --json 1,000
    #[arg(long, value_name = "N", conflicts_with = "id")]
    limit: Option<usize>,
    /// Only conflicts after this one, by its number: `id` in --json
    #[arg(long, value_name = "ID", conflicts_with = "id", default_value_t = 0, hide_default_value = true)]
    after: i64,
}

impl Conflicts {
    pub(super) fn run(self, till: &Till) -> Done {
        let store = till.store()?;
        if let Some(id) = self.id {
            read::known_or_deleted(&store, id)?;
        }
        let is_asked_for = |conflict: &Conflict| {
            self.id.is_none_or(|id| conflict.customer_id == CustomerId(id))
                && self.field.as_ref().is_none_or(|field| conflict.field == *field)
        };
        let limit = self.id.map_or_else(|| read::at_most(self.limit, till), |_| usize::MAX);
        let mut conflicts = store.conflicts_page(self.after, limit)?;
        let last = conflicts.last().filter(|_| conflicts.len() == limit).map(|conflict| conflict.id);
        conflicts.retain(is_asked_for);
        till.out.answer(&conflicts, || match (&self.field, conflicts.first()) {
            (Some(_), Some(conflict)) => whole(conflict) + &hints(&conflicts),
            _ => conflicts_in_words(&conflicts) + &more(last),
        })?;
        Ok(Exit::Done)
    }
}

/// A conflict with all of its values.
fn whole(conflict: &Conflict) -> String {
    let (id, field) = (conflict.customer_id, field_in_words(&conflict.field));
    let mut text = format!("customer {id}: {field}, since {}", render::stamp(&conflict.detected_at));
    let json = [&*conflict.base, &*conflict.local, &*conflict.remote];
    for (side, value) in
        ["before", "here", "in the store"].into_iter().zip(sides::whole(&conflict.field, json))
    {
        let lines: Vec<String> = value.lines().map(|line| format!("  {line}")).collect();
        text += &format!("\n\n{side}\n{}", lines.join("\n"));
    }
    text + "\n"
}

/// How the list goes on behind the last that is shown.
fn more(last: Option<i64>) -> String {
    last.map_or_else(String::new, |last| format!("\nMore: --after {last}"))
}

/// The open conflicts as a table, with what to do about them.
pub(super) fn conflicts_in_words(conflicts: &[Conflict]) -> String {
    if conflicts.is_empty() {
        return "No conflicts.".to_owned();
    }
    let header = ["customer", "field", "before", "here", "in the store", "since"];
    let rows = conflicts.iter().map(|conflict| {
        let json = [&*conflict.base, &*conflict.local, &*conflict.remote];
        let [base, local, remote] = sides::values(&conflict.field, json);
        [
            conflict.customer_id.to_string(),
            field_in_words(&conflict.field),
            base,
            local,
            remote,
            render::stamp(&conflict.detected_at),
        ]
    });
    let counted = render::count(conflicts.len() as u64, "conflict");
    format!("{counted}\n{}{}", render::table(header, rows), hints(conflicts))
}

/// What to do about these conflicts, and no others.
fn hints(conflicts: &[Conflict]) -> String {
    let mut hints = String::new();
    for conflict in conflicts {
        if let Some(reason) = &conflict.reason {
            let (id, field) = (conflict.customer_id, render::plain(&conflict.field));
            hints.push_str(&format!(
                "\nThe store refused {field} of customer {id} before: {}",
                render::plain(reason)
            ));
        }
    }
    let is_of_a_field = |conflict: &&Conflict| !["*", "+", "-"].contains(&&*conflict.field);
    if conflicts.iter().filter(is_of_a_field).any(|conflict| conflict.reason.is_none()) {
        hints.push_str(
            "\nDecide with: tillsync resolve CUSTOMER FIELD --keep local, --keep remote or --value VALUE",
        );
    }
    if conflicts.iter().filter(is_of_a_field).any(|conflict| conflict.reason.is_some()) {
        hints.push_str(
            "\nWhat the store refused: tillsync resolve CUSTOMER FIELD --keep remote or --value VALUE",
        );
    }
    if conflicts.iter().any(|conflict| conflict.field == "*") {
        hints.push_str("\nA customer that was deleted in the store: tillsync discard CUSTOMER");
    }
    if conflicts.iter().any(|conflict| conflict.field == "+") {
        hints.push_str(
            "\nWho exists in the store already: tillsync resolve CUSTOMER + --keep remote (the same person), --value EMAIL (another one), \
             or tillsync discard CUSTOMER",
        );
    }
    if conflicts.iter().any(|conflict| conflict.field == "-") {
        hints.push_str(
            "\nWho was deleted here and changed in the store: tillsync resolve CUSTOMER - --keep local (deletes it all the same), or \
             --keep remote (brings it back)",
        );
    }
    hints
}

fn field_in_words(field: &str) -> String {
    match field {
        "*" => "* (deleted in the store)".to_owned(),
        "+" => "+ (exists in the store)".to_owned(),
        "-" => "- (deleted here)".to_owned(),
        field => render::plain(field),
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
    #[arg(allow_negative_numbers = true)]
    id: i64,
    /// The attribute, or form_fields.NAME for one form field
    field: String,
    /// Which side is kept
    #[arg(long, group = "decision")]
    keep: Option<Side>,
    /// A value that is sent in place of both, read by the attribute's type
    #[arg(long, group = "decision", allow_hyphen_values = true)]
    value: Option<String>,
    /// The conflict as it was shown, by the stamp that `conflicts --json` gives: refused when it has moved on since
    #[arg(long, value_name = "STAMP")]
    seen: Option<String>,
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
        read::known_or_deleted(&store, self.id)?;
        let author = till.author();
        let fields = match &self.seen {
            Some(stamp) => store.resolve_seen(self.id, &self.field, &keep, stamp, Some(&author))?,
            None => store.resolve(self.id, &self.field, &keep, Some(&author))?,
        };
        let done =
            if keep == Keep::Remote { "the store's value was taken" } else { "goes up with the next sync" };
        let done = match (self.field.as_str(), &keep) {
            ("-", Keep::Remote) => "is here again, as the store has it",
            ("-", _) => "is deleted in the store with the next sync",
            _ => done,
        };
        answer(till, Some(self.id), fields, || format!("customer {}: {}: {done}.", self.id, self.field))
    }
}

/// Take back what a policy or a merge decided
///
/// The other side's value goes up with the next sync.
#[derive(Args)]
#[command(
    after_help = "Example:\n  # the log shows the decisions, with their numbers:\n  tillsync log 42\n  tillsync undo 17"
)]
pub(super) struct Undo {
    /// The decision, by the number that `log` shows
    conflict: i64,
}

impl Undo {
    pub(super) fn run(self, till: &Till) -> Done {
        let fields = till.store()?.undo(self.conflict, Some(&till.author()))?;
        answer(till, None, fields, || "Undone: the other value goes up with the next sync.".to_owned())
    }
}

fn answer(till: &Till, id: Option<i64>, fields: usize, text: impl FnOnce() -> String) -> Done {
    till.out.answer_done(&Decided { customer_id: id.map(CustomerId), fields }, text, JOURNALED)?;
    Ok(Exit::Done)
}

/// List what the store refused, and why
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync rejected")]
pub(super) struct Rejected {
    /// The most edits to list; default: 100, with --json 1,000
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only edits after this one, by its place in the journal
    #[arg(long, value_name = "SEQ", default_value_t = 0, hide_default_value = true)]
    after: i64,
}

impl Rejected {
    pub(super) fn run(self, till: &Till) -> Done {
        let limit = read::at_most(self.limit, till);
        let rejected = till.store()?.rejected_page(EditSeq(self.after), limit)?;
        let last = rejected.last().filter(|_| rejected.len() == limit).map(|edit| edit.seq.0);
        till.out.answer(&rejected, || rejected_in_words(&rejected) + &more(last))?;
        Ok(Exit::Done)
    }
}

/// The rejected edits as a table, with what to do about them.
pub(super) fn rejected_in_words(rejected: &[tillsync::Rejected]) -> String {
    if rejected.is_empty() {
        return "No rejected edits.".to_owned();
    }
    let is_money = |edit: &&tillsync::Rejected| FieldId::named(&edit.field).is_some_and(FieldId::is_money);
    let rows = rejected.iter().map(|edit| {
        let value = edit.payment().map_or_else(|| render::value(&edit.field, &edit.value), money);
        let (edit_seq, id) = (edit.seq.to_string(), edit.customer_id.to_string());
        [edit_seq, id, edit.field.clone(), value, render::plain(&edit.reason)]
    });
    let table = render::table(["edit", "customer", "field", "value", "the store says"], rows);
    let counted = render::count(rejected.len() as u64, "rejected edit");
    let mut text = format!("{counted}\n{table}");
    if rejected.iter().any(|edit| !is_money(&edit)) {
        text += "\nEdit the field again, or: tillsync retry CUSTOMER, tillsync discard CUSTOMER FIELD";
    }
    if rejected.iter().any(|edit| is_money(&edit)) {
        text += "\nA payment waits for a person, each for itself: tillsync retry --seq EDIT, tillsync discard --seq EDIT";
    }
    text
}

/// Send refused edits again with the next sync
#[derive(Args)]
#[command(after_help = "Examples:\n  tillsync retry 42\n  tillsync retry --seq 1042\n  tillsync retry --all")]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub(super) struct Retry {
    /// The customer
    #[arg(group = "whose")]
    #[arg(allow_negative_numbers = true)]
    id: Option<i64>,
    /// Those of every customer
    #[arg(long, group = "whose")]
    all: bool,
    /// One edit, by the number that `rejected` shows
    #[arg(long, group = "whose", value_name = "EDIT")]
    seq: Option<i64>,
}

impl Retry {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        if let Some(id) = self.id {
            read::known_or_deleted(&store, id)?;
        }
        let fields = match self.seq {
            Some(seq) => store.retry_row(EditSeq(seq))?,
            None => store.retry(self.id.map(CustomerId))?,
        };
        // The library has said why.
        let stay = match self.all {
            true => store.status()?.rejected,
            false => 0,
        };
        answer(till, self.id, fields, || match (fields, stay) {
            (0, 0) => "No rejected edits.".to_owned(),
            (fields, stay) => {
                let sent = format!(
                    "{} will be sent with the next sync, unless conflicts lists it now.",
                    render::count(fields as u64, "field")
                );
                let who = if stay == 1 { "stays as it is" } else { "stay as they are" };
                let told = format!(
                    "{} {who}: sync, then retry again, or discard --seq EDIT.",
                    render::count(stay, "rejected edit")
                );
                let lines = [(fields > 0).then_some(sent), (stay > 0).then_some(told)];
                lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
            }
        })
    }
}

/// Give up edits
///
/// The working copy goes back to what the store has.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tillsync discard 42 phone\n  tillsync discard 42 'form_fields.Shoe size'\n  tillsync discard 42\n  tillsync discard --seq 1042"
)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(super) struct Discard {
    /// The customer
    #[arg(group = "which")]
    #[arg(allow_negative_numbers = true)]
    id: Option<i64>,
    /// The attribute, form_fields.NAME for one form field; default: all that were edited
    #[arg(requires = "id")]
    field: Option<String>,
    /// One edit, by the number that `log` and `rejected` show
    #[arg(long, group = "which", value_name = "EDIT")]
    seq: Option<i64>,
    /// The conflict as it was shown, by the stamp that `conflicts --json` gives: refused when it has moved on since
    #[arg(long, value_name = "STAMP", requires = "field")]
    seen: Option<String>,
}

impl Discard {
    pub(super) fn run(self, till: &Till) -> Done {
        let (mut store, author) = (till.store()?, till.author());
        let deleted = self.id.map(|id| store.deleted(id)).transpose()?.flatten();
        let fields = match (self.seq, self.id, &self.field, &self.seen) {
            (Some(seq), ..) => store.discard_row(EditSeq(seq), Some(&author))?,
            (None, Some(id), Some(field), Some(stamp)) => {
                store.discard_seen(id, field, stamp, Some(&author))?
            }
            (None, id, field, _) => store.discard(id.unwrap_or_default(), field.as_deref(), Some(&author))?,
        };
        answer(till, self.id, fields, || match (self.seq, self.id) {
            (Some(seq), _) => format!("edit {seq}: discarded."),
            (None, Some(id)) if deleted.is_some() => {
                format!("customer {id} is here again, with what was edited.")
            }
            (None, id) => discarded(id.unwrap_or_default(), fields),
        })
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
