//! `address`: where a customer lives.

use clap::{Args, Subcommand};
use serde::Serialize;
use tillsync::{Address as Row, Store};

use super::edit::now_as_label;
use super::exit::{Exit, Failed};
use super::out::JOURNALED;
use super::settings::Till;
use super::{Done, read, render};

/// What a file is told to keep, and the command that tells it.
const KEPT: &str = "addresses";

/// Show or edit where customers live
///
/// In a file that keeps addresses: tillsync pull --with addresses. They are created and deleted in the store.
#[derive(Args)]
#[command(after_help = "Examples:
  tillsync address list 42
  tillsync address edit 7 city=Bilbao phone=555-0142")]
pub(super) struct Address {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The addresses of a customer
    #[command(after_help = "Example:
  tillsync address list 42")]
    List {
        /// The customer
        #[arg(allow_negative_numbers = true)]
        id: i64,
    },
    /// Edit an address; sent with the next sync
    #[command(after_help = "Example:
  tillsync address edit 7 city=Bilbao phone=555-0142")]
    Edit {
        /// The address, by its number
        address: i64,
        /// What it shall say, by the API's names
        #[arg(value_name = "FIELD=VALUE", required = true)]
        fields: Vec<String>,
        /// For what, such as "sale 1042"; the edits of one command share it [default: edit and the time]
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
    },
}

#[derive(Serialize)]
struct Edited {
    edited: usize,
}

impl Address {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        if !store.is_kept(KEPT)? {
            return Err(Failed::usage("this file does not keep addresses")
                .hint(format!("tillsync pull --with {KEPT}")));
        }
        match self.what {
            What::List { id } => {
                read::known(&store, id)?;
                let all = store.addresses(id)?;
                till.out.answer(&all, || in_words(&all))?;
            }
            What::Edit { address, fields, label } => {
                let edited = edit(&mut store, address, &fields, &till.author(), label)?;
                let words = || {
                    format!("{} journaled; sent with the next sync.", render::count(edited as u64, "field"))
                };
                till.out.answer_done(&Edited { edited }, words, JOURNALED)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn edit(
    store: &mut Store,
    address: i64,
    words: &[String],
    author: &str,
    label: Option<String>,
) -> Result<usize, Failed> {
    let pair = |word: &'_ str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let wrong = || Failed::usage("a field is written FIELD=VALUE, such as city=Bilbao");
    let pairs = words.iter().map(|word| pair(word).ok_or_else(wrong)).collect::<Result<Vec<_>, _>>()?;
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let label = label.unwrap_or_else(|| now_as_label("address edit"));
    Ok(store.edit_address(address, &pairs, Some(author), Some(&label))?.fields())
}

/// Addresses of a customer, for people.
pub(super) fn in_words(all: &[Row]) -> String {
    if all.is_empty() {
        return "None.".to_owned();
    }
    let lines: Vec<(String, String)> = all.iter().map(|one| (one.id.to_string(), line(one))).collect();
    render::pairs(lines.iter().map(|(id, line)| (id.as_str(), line.clone())))
}

fn line(one: &Row) -> String {
    let Row { first_name, last_name, company, address1, address2, city, state_or_province, .. } = one;
    let joined = |parts: &[&Option<String>]| {
        let parts = parts.iter().filter_map(|part| part.as_deref()).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    };
    let parts = [
        joined(&[first_name, last_name]),
        joined(&[company]),
        joined(&[address1]),
        joined(&[address2]),
        joined(&[&one.postal_code, city]),
        joined(&[state_or_province]),
        joined(&[&one.country_code]),
        joined(&[&one.phone]),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| render::plain(part)).collect();
    parts.join(", ")
}
