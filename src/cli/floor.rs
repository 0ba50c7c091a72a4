//! `floor`: below what a payment of this till may not take a balance.

use clap::Args;
use serde::Serialize;
use tillsync::{CustomerId, money, parse_adjustment};

use super::Done;
use super::exit::{Exit, Failed};
use super::out::Deed;
use super::settings::Till;

/// Show the floor of store credit, or set it
///
/// A payment that would take a balance below it is refused, by plain SQL too, unless `credit --override` allows it. It stands in
/// the file; 0 unless it is set.
#[derive(Args)]
#[command(after_help = "Examples:\n  tillsync floor\n  tillsync floor -50\n  tillsync floor none")]
pub(super) struct Floor {
    /// The lowest balance, or none; left out: it is only shown
    #[arg(value_name = "AMOUNT|none", allow_hyphen_values = true)]
    amount: Option<String>,
}

/// As a decimal string; null: there is none.
#[derive(Serialize)]
struct Shown {
    floor: Option<String>,
}

impl Floor {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        match self.amount.as_deref() {
            None => {}
            Some("none") => store.set_credit_floor(None)?,
            Some(text) => {
                let amount = parse_adjustment(CustomerId(0), text).map_err(|_| {
                    let comma =
                        if text.contains(',') { ", which has a comma for a decimal point" } else { "" };
                    Failed::usage(format!(
                        "a floor is an amount such as -50.00, or none, not {text:?}{comma}"
                    ))
                })?;
                store.set_credit_floor(Some(amount))?;
            }
        }
        let floor = store.credit_floor()?.map(money);
        let text = match &floor {
            Some(floor) => format!("No payment takes a balance below {floor}."),
            None => "There is no floor: a payment may take a balance to any amount.".to_owned(),
        };
        let deed = Deed { done: "the floor is as it was to be", shown_by: "tillsync floor" };
        till.out.answer_done(&Shown { floor }, || text, deed)?;
        Ok(Exit::Done)
    }
}
