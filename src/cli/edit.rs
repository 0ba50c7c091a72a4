//! `edit`, `credit`: what a person or a program changes, journaled at once and sent with the next sync.
//!
//! A new password is taken from standard input or a file of JSON Lines only: arguments show in `ps`.

use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{SecondsFormat, Utc};
use clap::Args;
use serde::Serialize;
use tillsync::{
    CustomerId, Decimal, FieldId, Store, Value, money, parse_adjustment, parse_argument, parse_object,
};

use super::exit::{Exit, Failed};
use super::out::JOURNALED;
use super::settings::{Till, without_mark};
use super::{Done, read, render};

/// The attribute that is never read back.
pub(super) const PASSWORD: &str = "new_password";
/// The value that stands for standard input.
const STANDARD_INPUT: &str = "@-";

/// Said when that attribute was edited.
const OF_CHANNELS: &str = "On a channel that was added or taken away, the same address and password may open another account: \
                           channel_ids in docs/sql.md.";

/// Edit customers; sent with the next sync
#[derive(Args)]
#[command(after_help = "\
A value is read by the attribute's type: text as it stands, numbers, true or false, and JSON for \
channel_ids, form_fields and store_credit_amounts. FIELD=@- reads it from standard input; \
new_password is taken from there only, because arguments show in ps.

Examples:
  tillsync edit 42 phone=555-0142 company='Lima & Filhos'
  tillsync edit 42 channel_ids='[1,2]' customer_group_id=3
  tillsync edit 42 new_password=@- < password.txt
  echo '{\"id\":42,\"notes\":\"Prefers email\"}' |
      tillsync edit --from -")]
pub(super) struct Edit {
    /// The customer
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    #[arg(allow_negative_numbers = true)]
    id: Option<i64>,
    /// What to set: attributes by their API names
    #[arg(value_name = "FIELD=VALUE", required_unless_present = "from", conflicts_with = "from")]
    edits: Vec<String>,
    /// JSON Lines, each {"id":…, field: value…}, all or nothing; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// For what, such as "sale 1042"; the edits of one command share it [default: edit and the time]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

#[derive(Serialize)]
struct Edited {
    edited: usize,
}

/// The edits of one customer, and where they stood.
struct Line {
    number: usize,
    id: CustomerId,
    edits: Vec<tillsync::Edit>,
}

impl Edit {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        let label = self.label.clone().unwrap_or_else(|| now_as_label("edit"));
        let (edited, is_of_channels) = match (&self.from, self.id) {
            (Some(path), _) => edit_lines(&mut store, path, &till.author(), &label)?,
            (None, Some(id)) => edit_one(&mut store, id, &self.edits, &till.author(), &label)?,
            (None, None) => return Err(Failed::usage("name a customer, or give --from FILE")),
        };
        let told = || match is_of_channels && edited > 0 {
            true => format!("{}\n{OF_CHANNELS}", journaled(edited)),
            false => journaled(edited),
        };
        till.out.answer_done(&Edited { edited }, told, JOURNALED)?;
        Ok(Exit::Done)
    }
}

pub(super) fn now_as_label(command: &str) -> String {
    format!("{command} {}", Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn journaled(fields: usize) -> String {
    match fields {
        0 => "Nothing to journal: every field had its value already.".to_owned(),
        fields => format!("{} journaled; sent with the next sync.", render::count(fields as u64, "field")),
    }
}

fn edit_one(
    store: &mut Store,
    id: i64,
    edits: &[String],
    author: &str,
    label: &str,
) -> Result<(usize, bool), Failed> {
    let edits = parse_edits(id, edits)?;
    let is_of_channels = edits.iter().any(sets_channels);
    Ok((store.edit_all(&[(CustomerId(id), edits)], Some(author), Some(label))?.fields(), is_of_channels))
}

fn sets_channels(edit: &tillsync::Edit) -> bool {
    matches!(edit, tillsync::Edit::Set(field, _) if field.kind() == tillsync::Kind::Channels)
}

pub(super) fn parse_edits(id: i64, words: &[String]) -> Result<Vec<tillsync::Edit>, Failed> {
    let mut is_read = false;
    let mut edits = Vec::new();
    for word in words {
        let (field, value) = word.split_once('=').ok_or_else(|| not_an_edit(word))?;
        let value = match value {
            STANDARD_INPUT if is_read => {
                return Err(Failed::usage("only one field can be read from standard input"));
            }
            STANDARD_INPUT => {
                is_read = true;
                from_standard_input()?
            }
            _ if field == PASSWORD => return Err(shown_in_ps(id)),
            value => value.to_owned(),
        };
        edits.push(parse_argument(CustomerId(id), field, &value).map_err(tillsync::Error::from)?);
    }
    Ok(edits)
}

/// Why a password is not taken from the command line.
pub(super) fn shown_in_ps(id: i64) -> Failed {
    let why = "is not taken from the command line, where every user of the machine could read it";
    Failed::edit(id, PASSWORD, why)
        .hint(format!("tillsync edit {id} {PASSWORD}=@- reads it from standard input"))
}

/// The word itself is not repeated: it may be a secret that lost its name.
fn not_an_edit(word: &str) -> Failed {
    let known = FieldId::named(word).map_or_else(String::new, |field| format!("{field}: "));
    Failed::usage(format!("{known}an edit is written FIELD=VALUE, such as phone=555-0142"))
}

/// What somebody means by `-`, without the line end behind it.
pub(super) fn from_standard_input() -> Result<String, Failed> {
    Ok(without_mark(&standard_input()?).trim_end_matches('\n').trim_end_matches('\r').to_owned())
}

fn standard_input() -> Result<String, Failed> {
    let mut text = String::new();
    match std::io::stdin().lock().read_to_string(&mut text) {
        Ok(_) if is_too_large(&text) => {
            Err(Failed::usage("standard input: there is no memory for so much (ulimit -v)".to_owned()))
        }
        Ok(_) => Ok(text),
        Err(e) => Err(Failed::usage(format!("standard input: {e}"))),
    }
}

/// Whether so much memory cannot be had as it takes to make edits of a text, which ends a process otherwise.
fn is_too_large(text: &str) -> bool {
    Vec::<u8>::new().try_reserve_exact(text.len().saturating_mul(8)).is_err()
}

// ---- JSON Lines --------------------------------------------------------------------------------------------------

fn edit_lines(store: &mut Store, path: &Path, author: &str, label: &str) -> Result<(usize, bool), Failed> {
    let lines = parse_lines(without_mark(&text_of(path)?))?;
    for line in &lines {
        read::known(store, line.id.0).map_err(|failed| failed.at(&place(line.number)))?;
    }
    let edits: Vec<_> = lines.iter().map(|line| (line.id, line.edits.clone())).collect();
    let is_of_channels = edits.iter().any(|(_, edits)| edits.iter().any(sets_channels));
    let journaled = store.edit_all(&edits, Some(author), Some(label));
    journaled.map(|receipt| (receipt.fields(), is_of_channels)).map_err(|error| with_place(error, &lines))
}

pub(super) fn text_of(path: &Path) -> Result<String, Failed> {
    if path == Path::new("-") {
        return standard_input();
    }
    std::fs::read_to_string(path).map_err(|e| Failed::usage(format!("--from {}: {e}", path.display())))
}

fn parse_lines(text: &str) -> Result<Vec<Line>, Failed> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| parse_line(index + 1, line)).collect()
}

fn parse_line(number: usize, json: &str) -> Result<Line, Failed> {
    let parsed = parse_object(json).map_err(tillsync::Error::from);
    let (id, edits) = parsed.map_err(|error| Failed::from(error).at(&place(number)))?;
    Ok(Line { number, id, edits })
}

pub(super) fn place(number: usize) -> String {
    format!("line {number}")
}

/// What a trigger refuses names the customer; the line is found by that.
fn with_place(error: tillsync::Error, lines: &[Line]) -> Failed {
    let failed = Failed::from(error);
    let named = |line: &&Line| failed.message().starts_with(&format!("customer {}: ", line.id));
    match lines.iter().find(named).map(|line| place(line.number)) {
        Some(place) => failed.at(&place),
        None => failed,
    }
}

// ---- credit ------------------------------------------------------------------------------------------------------

/// Add to store credit, or take from it
///
/// A signed amount, applied exactly once.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tillsync credit 42 +25\n  tillsync credit 42 -12.50 --label 'return 77'"
)]
pub(super) struct Credit {
    /// The customer
    #[arg(allow_negative_numbers = true)]
    id: i64,
    /// The signed amount, with at most four decimal places
    #[arg(value_name = "±AMOUNT", allow_hyphen_values = true)]
    amount: String,
    /// For what, such as "return 77"
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Allow the balance to fall below the floor; the journal says that the author did, who must be named (--author)
    #[arg(long = "override")]
    overrides: bool,
}

/// Amounts as decimal strings: exact for any reader.
#[derive(Serialize)]
struct Credited {
    customer_id: CustomerId,
    amount: String,
    balance: String,
}

impl Credit {
    pub(super) fn run(self, till: &Till) -> Done {
        let amount = parse_adjustment(CustomerId(self.id), &self.amount).map_err(tillsync::Error::from)?;
        if self.overrides && till.named_author().is_none() {
            let words = "an override says who allows it, and the name of this machine is nobody's";
            return Err(Failed::usage(words)
                .hint("give --author NAME, or set TILLSYNC_AUTHOR; nothing was journaled"));
        }
        let mut store = till.store()?;
        let edit = store.edit(self.id).adjust_credit(amount).author(till.author());
        let edit = if self.overrides { edit.override_floor() } else { edit };
        match self.label {
            Some(label) => edit.label(label).commit()?,
            None => edit.commit()?,
        };
        let balance = balance(&store, self.id)?;
        let credited =
            Credited { customer_id: CustomerId(self.id), amount: money(amount), balance: money(balance) };
        let text = || {
            let sign = if amount.is_sign_negative() { "" } else { "+" };
            let (amount, balance) = (money(amount), money(balance));
            format!("customer {}: {sign}{amount}; store credit is {balance} now.", self.id)
        };
        till.out.answer_done(&credited, text, JOURNALED)?;
        Ok(Exit::Done)
    }
}

fn balance(store: &Store, id: i64) -> Result<Decimal, Failed> {
    let row = read::known(store, id)?;
    Ok(match row.get(FieldId::STORE_CREDIT_AMOUNTS) {
        Value::Credit(amounts) => amounts.first().copied().unwrap_or_default(),
        _ => Decimal::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_edit_is_not_repeated() {
        let failed = parse_edits(42, &["hunter2".to_owned()]).unwrap_err();
        assert!(!failed.message().contains("hunter2"));
        let failed = parse_edits(42, &["new_password=hunter2".to_owned()]).unwrap_err();
        assert!(failed.message().contains("new_password") && !failed.message().contains("hunter2"));
    }

    #[test]
    fn a_bad_line_is_named_with_customer_and_field() {
        let failed = parse_lines("\n{\"id\":7,\"date_created\":\"x\"}\n").err().unwrap();
        assert_eq!(failed.message(), "line 2: customer 7: date_created: is read-only, the store sets it");
    }
}
