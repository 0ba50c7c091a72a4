//! `sandbox cut`, `heal`, `fault`, … : what happens to a store, done to a sandbox that runs in another process.
//!
//! The sandbox is the one that a till in the same shell would sync with, `TILLSYNC_API_URL`. Its own answer is the JSON that is
//! printed; its words are ours.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tillsync::sandbox::{Control, ControlError, Fault, FaultRate};
use tillsync::{CustomerId, FieldId, money, parse_adjustment};

use super::super::Done;
use super::super::exit::{Exit, Failed};
use super::super::render;
use super::super::settings::Till;

/// What stands below the help of each: its examples, and which sandbox it is about.
macro_rules! examples {
    ($examples:literal) => {
        concat!($examples, "\n\nThe sandbox is the one of TILLSYNC_API_URL, or --api-url.")
    };
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Take the network away: nobody reaches the store
    #[command(after_help = examples!("Example:\n  tillsync sandbox cut"))]
    Cut,
    /// Bring the network back
    #[command(after_help = examples!("Example:\n  tillsync sandbox heal"))]
    Heal,
    Fault(Faulty),
    Edit(OfficeEdit),
    Credit(OfficeCredit),
    Add(OfficeAdd),
    Delete(OfficeDelete),
    Show(OfficeShow),
}

impl Command {
    pub(super) fn run(self, till: &Till) -> Done {
        let control = Control::of(till.api_url()).map_err(failed)?;
        let (answer, text) = match self {
            Command::Cut => (
                ask(&control, "POST", "/cut", None)?,
                (|answer| serde_json::from_str(answer).map(|told| said_of_line(&told))) as Told,
            ),
            Command::Heal => (
                ask(&control, "POST", "/heal", None)?,
                (|answer| serde_json::from_str(answer).map(|told| said_of_line(&told))) as Told,
            ),
            Command::Fault(command) => (
                command.ask(&control)?,
                (|answer| serde_json::from_str(answer).map(|told| said_of_faults(&told))) as Told,
            ),
            Command::Edit(command) => (
                command.ask(&control)?,
                (|answer| serde_json::from_str(answer).map(|told| said_of_edit(&told))) as Told,
            ),
            Command::Credit(command) => (
                command.ask(&control)?,
                (|answer| serde_json::from_str(answer).map(|told| said_of_credit(&told))) as Told,
            ),
            Command::Add(command) => (
                command.ask(&control)?,
                (|answer| serde_json::from_str(answer).map(|told| said_of_new(&told))) as Told,
            ),
            Command::Delete(command) => (
                command.ask(&control)?,
                (|answer| serde_json::from_str(answer).map(|told| said_of_gone(&told))) as Told,
            ),
            Command::Show(command) => (command.ask(&control)?, said_of_all as Told),
        };
        // As it came: the digits of an amount are not gone through.
        if till.out.is_json() {
            till.out.json(&answer)?;
        } else {
            till.out.text(&text(&answer)?)?;
        }
        Ok(Exit::Done)
    }
}

/// An answer of the sandbox in words.
type Told = fn(&str) -> serde_json::Result<String>;

fn ask(control: &Control, method: &str, path: &str, body: Option<String>) -> Result<String, Failed> {
    control.ask(method, path, body.as_deref()).map_err(failed)
}

fn failed(error: ControlError) -> Failed {
    let words = error.to_string();
    match error {
        ControlError::NotASandbox(_) => Failed::usage(words)
            .hint("set TILLSYNC_API_URL to what `tillsync sandbox` printed when it began, such as http://127.0.0.1:4010"),
        ControlError::NotThere { .. } => {
            Failed::of_event("offline", words, Some("start one in another terminal: tillsync sandbox --port 4010"))
        }
        _ => Failed::usage(words),
    }
}

// ---- what goes wrong ---------------------------------------------------------------------------------------------

/// Have something go wrong: once, or at a rate from now on
#[derive(Args)]
#[command(after_help = examples!("\
A name alone is for the next request; NAME=RATE, from 0 to 1, for each from now on, and 0 ends it. `tillsync sandbox --help` lists \
the names.

Examples:
  tillsync sandbox fault lost-answer --updates
  tillsync sandbox fault status-503=0.2 slow:250=0.1
  tillsync sandbox fault --none"))]
pub(super) struct Faulty {
    /// What goes wrong, and how often
    #[arg(value_name = "NAME[=RATE]", required_unless_present = "none")]
    faults: Vec<String>,
    /// A name alone is for the next update; lists are passed over
    #[arg(long)]
    updates: bool,
    /// Nothing goes wrong any more
    #[arg(long, conflicts_with_all = ["faults", "updates"])]
    none: bool,
}

impl Faulty {
    fn ask(&self, control: &Control) -> Result<String, Failed> {
        if self.none {
            return ask(control, "DELETE", "/faults", None);
        }
        let mut rates = serde_json::Map::new();
        let mut names = Vec::new();
        for word in &self.faults {
            let wrong = |error: tillsync::sandbox::FaultError| Failed::usage(error.to_string());
            match word.contains('=') {
                true => {
                    let FaultRate { fault, rate } = word.parse().map_err(wrong)?;
                    rates.insert(fault.to_string(), json!(rate));
                }
                false => names.push(word.parse::<Fault>().map_err(wrong)?.to_string()),
            }
        }
        let next = if self.updates { "next_updates" } else { "next" };
        ask(control, "POST", "/faults", Some(json!({ next: names, "rates": rates }).to_string()))
    }
}

fn said_of_line(standing: &Value) -> String {
    match standing["is_cut"] == true {
        true => "Nobody reaches the store any more; tillsync sandbox heal brings it back.".to_owned(),
        false => format!("The store is reached at {}.", text(&standing["url"])),
    }
}

fn said_of_faults(standing: &Value) -> String {
    let faults = &standing["faults"];
    let next = |of: &str, whose: &str| {
        let names: Vec<String> = faults[of].as_array().into_iter().flatten().map(text).collect();
        (!names.is_empty()).then(|| format!("the next {whose}: {}", names.join(", ")))
    };
    let rates: Vec<String> = faults["rates"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, rate)| format!("{name}={rate}"))
        .collect();
    let rates = (!rates.is_empty()).then(|| format!("each: {}", rates.join(", ")));
    let all: Vec<String> =
        [next("next", "requests"), next("next_updates", "updates"), rates].into_iter().flatten().collect();
    if all.is_empty() { "Nothing goes wrong.".to_owned() } else { format!("Goes wrong: {}.", all.join("; ")) }
}

// ---- the back office ---------------------------------------------------------------------------------------------

/// Edit a customer in the store, as somebody at the office does
#[derive(Args)]
#[command(after_help = examples!("\
A value is read by the attribute's type, as `tillsync edit` does; no limit holds here.

Example:
  tillsync sandbox edit 42 phone=555-0199 notes='Rang back'"))]
pub(super) struct OfficeEdit {
    /// The customer
    id: i32,
    /// What to set: attributes by their API names
    #[arg(value_name = "FIELD=VALUE", required = true)]
    edits: Vec<String>,
}

impl OfficeEdit {
    fn ask(&self, control: &Control) -> Result<String, Failed> {
        ask(control, "PATCH", &format!("/customers/{}", self.id), Some(attributes(&self.edits)?))
    }
}

/// Add to a customer's store credit in the store, or take from it
#[derive(Args)]
#[command(after_help = examples!("Example:\n  tillsync sandbox credit 42 -12.50"))]
pub(super) struct OfficeCredit {
    /// The customer
    id: i32,
    /// The signed amount, with at most four decimal places
    #[arg(value_name = "±AMOUNT", allow_hyphen_values = true)]
    amount: String,
}

impl OfficeCredit {
    fn ask(&self, control: &Control) -> Result<String, Failed> {
        let id = CustomerId(self.id.into());
        let amount = parse_adjustment(id, &self.amount).map_err(tillsync::Error::from)?;
        let body = json!({ "amount": amount.to_string() }).to_string();
        ask(control, "POST", &format!("/customers/{id}/credit"), Some(body))
    }
}

/// Add a customer to the store
#[derive(Args)]
#[command(after_help = examples!("\
Example:
  tillsync sandbox add first_name=Ana email=ana@example.com"))]
pub(super) struct OfficeAdd {
    /// What is known of the customer; the rest is filled in
    #[arg(value_name = "FIELD=VALUE")]
    attributes: Vec<String>,
}

impl OfficeAdd {
    fn ask(&self, control: &Control) -> Result<String, Failed> {
        ask(control, "POST", "/customers", Some(attributes(&self.attributes)?))
    }
}

/// Delete a customer in the store
#[derive(Args)]
#[command(after_help = examples!("Example:\n  tillsync sandbox delete 42"))]
pub(super) struct OfficeDelete {
    /// The customer
    id: i32,
}

impl OfficeDelete {
    fn ask(&self, control: &Control) -> Result<String, Failed> {
        ask(control, "DELETE", &format!("/customers/{}", self.id), None)
    }
}

/// Show a customer as the store has it, or how the sandbox stands
#[derive(Args)]
#[command(after_help = examples!("Examples:\n  tillsync sandbox show\n  tillsync sandbox show 42"))]
pub(super) struct OfficeShow {
    /// The customer; without one: what was asked, what goes wrong, and what no correct till would have sent
    id: Option<i32>,
}

impl OfficeShow {
    fn ask(&self, control: &Control) -> Result<String, Failed> {
        let path = self.id.map_or_else(String::new, |id| format!("/customers/{id}"));
        ask(control, "GET", &path, None)
    }
}

/// `FIELD=VALUE` as an object. Text is taken as it stands, everything else as JSON, digit by digit.
fn attributes(words: &[String]) -> Result<String, Failed> {
    let mut object = BTreeMap::new();
    for word in words {
        let wrong = || Failed::usage(format!("{word}: it is written FIELD=VALUE, such as phone=555-0142"));
        let (name, value) = word.split_once('=').ok_or_else(wrong)?;
        let field =
            FieldId::named(name).ok_or_else(|| Failed::usage(format!("a customer has no field {name}")))?;
        let json = match field.kind() {
            kind if kind.is_text() => to_raw_value(value)?,
            _ => RawValue::from_string(value.to_owned()).map_err(|_| {
                Failed::usage(format!("{name}: {value} is no JSON, such as 3, true or [1,2]"))
            })?,
        };
        match field.spec().parent {
            Some(parent) => object.insert(parent, to_raw_value(&BTreeMap::from([(name, json)]))?),
            None => object.insert(name, json),
        };
    }
    Ok(serde_json::to_string(&object)?)
}

fn said_of_edit(customer: &Value) -> String {
    format!("{} is edited in the store since {}.", name(customer), text(&customer["date_modified"]))
}

fn said_of_credit(customer: &Value) -> String {
    let amount = customer["store_credit_amounts"][0]["amount"].to_string();
    let balance = amount.parse().map_or(amount, money);
    format!("{}: store credit is {balance} in the store now.", name(customer))
}

fn said_of_new(customer: &Value) -> String {
    format!("{} is new in the store.", name(customer))
}

fn said_of_gone(customer: &Value) -> String {
    format!("{} is gone from the store.", name(customer))
}

fn said_of_all(answer: &str) -> serde_json::Result<String> {
    let told: Value = serde_json::from_str(answer)?;
    if told["is_cut"].is_boolean() { Ok(said_of_standing(&told)) } else { fields(answer) }
}

fn said_of_standing(standing: &Value) -> String {
    let requests = &standing["requests"];
    let asked = format!("Asked for: {} lists, {} updates.", requests["get"], requests["put"]);
    let violations: Vec<String> = standing["violations"].as_array().into_iter().flatten().map(text).collect();
    let broken = match violations.len() {
        0 => "Nothing that no correct till would have sent.".to_owned(),
        _ => format!("What no correct till would have sent:\n  {}", violations.join("\n  ")),
    };
    let count = render::count(standing["customers"].as_u64().unwrap_or_default(), "customer");
    let mut lines =
        vec![format!("{count}. {}", said_of_line(standing)), said_of_faults(standing), asked, broken];
    let state = &standing["state"];
    match (state.is_null(), standing["state_problem"].as_str()) {
        (true, _) => lines.push("It is gone when the sandbox ends (--state FILE keeps it).".to_owned()),
        (false, None) => lines.push(format!("It is kept in {}.", text(state))),
        (false, Some(problem)) => lines.push(format!("It is NOT kept in {}: {problem}", text(state))),
    }
    lines.join("\n")
}

/// Every attribute on a line, its digits as they are.
fn fields(answer: &str) -> serde_json::Result<String> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(answer)?;
    let line = |(name, json): (&String, &&RawValue)| {
        let value = serde_json::from_str(json.get()).unwrap_or_else(|_| json.get().to_owned());
        format!("{name:<45}{value}")
    };
    Ok(fields.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn name(customer: &Value) -> String {
    let (first, last) = (text(&customer["first_name"]), text(&customer["last_name"]));
    format!("Customer {} ({first} {last})", customer["id"])
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
