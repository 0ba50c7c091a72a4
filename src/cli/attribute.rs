//! `attribute`: what a customer has of what the shop has defined.

use clap::{Args, Subcommand};
use serde::Serialize;
use tillsync::{Attribute as Defined, AttributeValue, Store};

use super::edit::now_as_label;
use super::exit::{Exit, Failed};
use super::out::JOURNALED;
use super::settings::Till;
use super::{Done, read, render};

/// What a file is told to keep, and the command that tells it.
const KEPT: &str = "attributes";

/// Show or set the shop's own attributes
///
/// A loyalty number, a shoe size: what the shop has defined in the store. In a file that keeps them: tillsync pull --with attributes.
#[derive(Args)]
#[command(after_help = "Examples:
  tillsync attribute list
  tillsync attribute list 42
  tillsync attribute set 42 'shoe size=41' loyalty=gold")]
pub(super) struct Attribute {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Which there are, or what a customer has of them
    #[command(after_help = "Examples:
  tillsync attribute list
  tillsync attribute list 42")]
    List {
        /// The customer; default: the definitions
        id: Option<i64>,
    },
    /// Set what a customer has of some; sent with the next sync
    #[command(after_help = "Example:
  tillsync attribute set 42 'shoe size=41' loyalty=gold")]
    Set {
        /// The customer
        id: i64,
        /// Each by the attribute's name or number
        #[arg(value_name = "NAME=VALUE", required = true)]
        values: Vec<String>,
        /// For what, such as "sale 1042"; the edits of one command share it [default: edit and the time]
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
    },
}

#[derive(Serialize)]
struct Edited {
    edited: usize,
}

impl Attribute {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        if !store.is_kept(KEPT)? {
            return Err(Failed::usage("this file does not keep attributes")
                .hint(format!("tillsync pull --with {KEPT}")));
        }
        match self.what {
            What::List { id: None } => {
                let all = store.attributes()?;
                till.out.answer(&all, || definitions_in_words(&all))?;
            }
            What::List { id: Some(id) } => {
                read::known(&store, id)?;
                let values = store.attribute_values(id)?;
                till.out.answer(&values, || in_words(&values))?;
            }
            What::Set { id, values, label } => {
                let edited = set(&mut store, id, &values, &till.author(), label)?;
                let words = || {
                    format!("{} journaled; sent with the next sync.", render::count(edited as u64, "value"))
                };
                till.out.answer_done(&Edited { edited }, words, JOURNALED)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn set(
    store: &mut Store,
    id: i64,
    words: &[String],
    author: &str,
    label: Option<String>,
) -> Result<usize, Failed> {
    let defined = store.attributes()?;
    let values = words.iter().map(|word| meant(&defined, word)).collect::<Result<Vec<_>, _>>()?;
    let label = label.unwrap_or_else(|| now_as_label("attribute set"));
    Ok(store.set_attribute_values(id, &values, Some(author), Some(&label))?.fields())
}

/// A name may hold a `=` itself: the longest that fits is meant.
fn meant<'w>(defined: &[Defined], word: &'w str) -> Result<(i64, &'w str), Failed> {
    let by_name = |one: &Defined| Some((one.id, word.strip_prefix(one.name.as_str())?.strip_prefix('=')?));
    if let Some(meant) = defined.iter().filter_map(by_name).min_by_key(|(_, value)| value.len()) {
        return Ok(meant);
    }
    let (name, value) = word
        .split_once('=')
        .ok_or_else(|| Failed::usage("a value is written NAME=VALUE, such as loyalty=gold"))?;
    let number = name.parse().ok().filter(|id| defined.iter().any(|one| one.id == *id));
    let unknown =
        || Failed::usage(format!("{name}: no such attribute in this file")).hint("tillsync attribute list");
    Ok((number.ok_or_else(unknown)?, value))
}

fn definitions_in_words(all: &[Defined]) -> String {
    if all.is_empty() {
        return "The shop has defined none.".to_owned();
    }
    let lines = all.iter().map(|one| [one.id.to_string(), render::plain(&one.name), one.kind.clone()]);
    render::table(["number", "name", "type"], lines)
}

/// What a customer has of each, for people.
pub(super) fn in_words(values: &[AttributeValue]) -> String {
    if values.is_empty() {
        return "Nothing.".to_owned();
    }
    let lines = values.iter().map(|one| {
        let name = one.name.clone().unwrap_or_else(|| one.attribute_id.to_string());
        (name, render::plain(one.value.as_deref().unwrap_or_default()))
    });
    let lines: Vec<(String, String)> = lines.collect();
    render::pairs(lines.iter().map(|(name, value)| (name.as_str(), value.clone())))
}
