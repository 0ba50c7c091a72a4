//! `show`, `find`, `diff`, `status`, `log`: what is in the file. No network, no waiting.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tillsync::{
    Address, AttributeValue, Attributes, CustomerId, DecisionRow, EditSeq, FieldId, FleetStatus, FormValue,
    Found, JournalRow, Record, Row, Store, SyncState, SyncStatus, Value,
};

use super::exit::{Exit, Failed};
use super::out::complain;
use super::settings::Till;
use super::{Done, address, attribute, edit, render, sides};

/// A customer of the file.
pub(super) fn known(store: &Store, id: i64) -> Result<Row, Failed> {
    store.get(id)?.ok_or_else(|| Failed::unknown_customer(id))
}

/// The same, also where the customer was deleted here and that waits: as it was.
pub(super) fn known_or_deleted(store: &Store, id: i64) -> Result<Row, Failed> {
    let deleted = || store.deleted(id).transpose();
    store.get(id).transpose().or_else(deleted).transpose()?.ok_or_else(|| Failed::unknown_customer(id))
}

// ---- show --------------------------------------------------------------------------------------------------------

/// Show one customer, and what is pending
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync show 42")]
pub(super) struct Show {
    /// The customer
    #[arg(allow_negative_numbers = true)]
    id: i64,
}

#[derive(Serialize)]
struct Shown {
    customer: Box<RawValue>,
    /// Where it was deleted here: the deletion waits, and this is how it was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    snapshot: Option<Box<RawValue>>,
    /// Where the file keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<Address>>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Vec<AttributeValue>>,
    pending: Vec<JournalRow>,
}

impl Show {
    pub(super) fn run(self, till: &Till) -> Done {
        let store = till.store()?;
        let row = known_or_deleted(&store, self.id)?;
        let snapshot = store.snapshot(self.id)?;
        let shown = Shown {
            customer: render::raw(row.to_json())?,
            deleted: store.get(self.id)?.is_none(),
            snapshot: snapshot.as_ref().map(|record| render::raw(record.body().to_owned())).transpose()?,
            addresses: store.is_kept("addresses")?.then(|| store.addresses(self.id)).transpose()?,
            attributes: store.is_kept("attributes")?.then(|| store.attribute_values(self.id)).transpose()?,
            pending: store.pending(self.id)?,
        };
        till.out.answer(&shown, || in_words(&row, snapshot.as_ref(), &shown))?;
        Ok(Exit::Done)
    }
}

fn in_words(row: &Row, snapshot: Option<&Record>, shown: &Shown) -> String {
    let pending = &shown.pending;
    let theirs = snapshot.and_then(|record| record.attributes().ok());
    let lines = FieldId::columns().filter(|field| !row.get(*field).is_null() || edited(pending, *field));
    let lines = lines.map(|field| (field.name(), with_store(field, row, theirs.as_ref())));
    let deleted = if shown.deleted { "\nDeleted here; in the store with a sync" } else { "" };
    let mut text = format!("Customer {}  {}{deleted}\n{}", row.id(), render::name(row), render::pairs(lines));
    if let Some(addresses) = &shown.addresses {
        text += &format!("\n\nAddresses\n{}", address::in_words(addresses));
    }
    if let Some(values) = &shown.attributes {
        text += &format!("\n\nThe shop's attributes\n{}", attribute::in_words(values));
    }
    if !pending.is_empty() {
        text += &format!("\n\nNot settled yet\n{}", journal_in_words(pending));
    }
    text
}

fn edited(pending: &[JournalRow], field: FieldId) -> bool {
    pending
        .iter()
        .any(|row| row.field == field.name() && row.row_id == row.customer_id.0 && row.resource == "customer")
}

/// The value here, and the store's where it differs.
fn with_store(field: FieldId, row: &Row, theirs: Option<&Attributes<'_>>) -> String {
    match theirs.map(|theirs| theirs.get(field)).filter(|theirs| theirs != row.get(field)) {
        Some(theirs) => {
            let [ours, theirs] = sides::typed(field, [row.get(field), &theirs]);
            format!("{ours}   (in the store: {theirs})")
        }
        None => render::typed(field, row.get(field)),
    }
}

// ---- find --------------------------------------------------------------------------------------------------------

/// Find customers by name, email, phone, company
///
/// Those in which there are words that begin with the words given, in any order, without regard to case and accents. A phone is
/// found by the beginning of its number, with or without the country's. Names come first, and edits are found at once.
///
/// The first search of a file makes the index of the search: some ten seconds for 100,000 customers, after its answer.
#[derive(Args)]
#[command(after_help = "Examples:
  tillsync find 'ana li' --limit 5
  tillsync find - < typed.txt")]
pub(super) struct Find {
    /// Words, or their beginnings; - reads them from standard input, because arguments show in ps
    text: String,
    /// The most customers to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl Find {
    pub(super) fn run(self, till: &Till) -> Done {
        let mut store = till.store()?;
        let text = if self.text == "-" { edit::from_standard_input()? } else { self.text };
        let Found { customers, more } = store.find(&text, self.limit)?;
        let found = customers.iter().map(|row| render::raw(row.to_json())).collect::<Result<Vec<_>, _>>()?;
        till.out.answer(&found, || found_in_words(&customers, more))?;
        // The document is the list, to which scripts hold on.
        if more && till.out.is_json() {
            complain(MORE);
        }
        // The answer is right without it; the next one is quick with it, and apps that search by SQL have it.
        if let Err(error) = store.complete_search() {
            tracing::debug!(%error, "the index of the search is not complete");
        }
        Ok(Exit::Done)
    }
}

const MORE: &str = "There are more: another word finds fewer, --limit shows more.";

fn found_in_words(rows: &[Row], more: bool) -> String {
    if rows.is_empty() {
        return "Nobody was found.".to_owned();
    }
    let cell = |row: &Row, name| {
        FieldId::named(name).map_or_else(String::new, |field| match row.get(field) {
            Value::Text(text) if text.is_empty() => String::new(),
            value => render::typed(field, value),
        })
    };
    let lines = rows.iter().map(|row| {
        let [email, phone, company] = ["email", "phone", "company"].map(|name| cell(row, name));
        [row.id().to_string(), render::name(row), email, phone, company]
    });
    let table = render::table(["customer", "name", "email", "phone", "company"], lines);
    if more { format!("{table}\n\n{MORE}") } else { table }
}

// ---- diff --------------------------------------------------------------------------------------------------------

/// Show what would be sent now
///
/// Only what differs from the store.
#[derive(Args)]
#[command(after_help = "Examples:\n  tillsync diff\n  tillsync diff 42 43 --json")]
pub(super) struct Diff {
    /// These customers; default: all that were edited
    #[arg(value_name = "ID")]
    #[arg(allow_negative_numbers = true)]
    ids: Vec<i64>,
}

impl Diff {
    pub(super) fn run(self, till: &Till) -> Done {
        let store = till.store()?;
        for id in &self.ids {
            known(&store, *id)?;
        }
        let ids: Vec<CustomerId> = self.ids.into_iter().map(CustomerId).collect();
        let payloads = store.diff(&ids)?;
        let document = payloads.iter().cloned().map(render::raw).collect::<Result<Vec<_>, _>>()?;
        let mut text = if till.out.is_json() { String::new() } else { diff_in_words(&store, &payloads)? };
        if ids.is_empty() && !till.out.is_json() {
            text += &deletions_in_words(&store.to_be_deleted()?);
        }
        till.out.answer(&document, || text)?;
        Ok(Exit::Done)
    }
}

/// Who is to be deleted in the store.
fn deletions_in_words(ids: &[CustomerId]) -> String {
    let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
    match ids.len() as u64 {
        0 => String::new(),
        count => format!("\n{} to be deleted: {}", render::count(count, "customer"), all.join(", ")),
    }
}

/// The payloads as a table: customer, field, what the store has, what will be sent.
pub(super) fn diff_in_words(store: &Store, payloads: &[String]) -> Result<String, Failed> {
    let mut rows = Vec::new();
    for payload in payloads {
        rows.extend(changes_of(store, payload)?);
    }
    if rows.is_empty() {
        return Ok("Nothing to send.".to_owned());
    }
    // What a customer has of attributes is payloads of its own.
    let customers: BTreeSet<&str> =
        rows.iter().map(|row| row[0].as_str()).filter(|id| !id.is_empty()).collect();
    let customers = render::count(customers.len() as u64, "customer");
    let changes = render::count(rows.len() as u64, "change");
    let table = render::table(["customer", "", "field", "in the store", "here"], rows);
    Ok(format!("{table}\n{changes} of {customers}"))
}

/// One row a changed attribute, or form field; the customer is named on the first.
fn changes_of(store: &Store, payload: &str) -> Result<Vec<[String; 5]>, Failed> {
    if let Ok(value) = serde_json::from_str(payload) {
        return Ok(vec![change_of_value(store, &value)?]);
    }
    if let Ok(address) = serde_json::from_str(payload) {
        return changes_of_address(store, &address);
    }
    let sent = Record::new(payload);
    let sent = sent.attributes().map_err(|e| Failed::unexpected(e.to_string()))?;
    let snapshot = store.snapshot(sent.id())?;
    let theirs = snapshot.as_ref().and_then(|record| record.attributes().ok());
    let name = store.get(sent.id())?.map(|row| render::name(&row)).unwrap_or_default();
    let mut who = [sent.id().to_string(), name];
    let mut rows = Vec::new();
    let is_sent = |field: &FieldId| match *field {
        field if field.is_secret() => sends_password(payload),
        field => sent.has(field),
    };
    for field in FieldId::all().filter(is_sent) {
        let before = theirs.as_ref().map_or(Value::Null, |theirs| theirs.get(field));
        for (field, from, to) in changes(field, &before, &sent.get(field)) {
            let [id, name] = std::mem::take(&mut who);
            rows.push([id, name, field, from, to]);
        }
    }
    Ok(rows)
}

/// What is to be sent of a value of an attribute.
#[derive(Deserialize)]
struct SentValue {
    customer_id: i64,
    attribute_id: i64,
    value: String,
}

fn change_of_value(store: &Store, sent: &SentValue) -> Result<[String; 5], Failed> {
    let SentValue { customer_id, attribute_id, value } = sent;
    let before = store
        .pending(*customer_id)?
        .into_iter()
        .find(|row| row.resource == "attribute_value" && row.row_id == *attribute_id);
    let before = before.map_or_else(|| "null".to_owned(), |row| row.was);
    let name = store.get(*customer_id)?.map(|row| render::name(&row)).unwrap_or_default();
    let field = format!("attribute_value.{attribute_id}.value");
    let [before, after] =
        sides::values(&field, [&before, &serde_json::Value::from(value.as_str()).to_string()]);
    Ok([customer_id.to_string(), name, field, before, after])
}

/// What is to be sent of an address.
#[derive(Deserialize)]
struct SentAddress {
    id: i64,
    customer_id: i64,
    #[serde(flatten)]
    attributes: BTreeMap<String, serde_json::Value>,
}

fn changes_of_address(store: &Store, sent: &SentAddress) -> Result<Vec<[String; 5]>, Failed> {
    let SentAddress { id, customer_id, attributes } = sent;
    let pending = store.pending(*customer_id)?;
    let name = store.get(*customer_id)?.map(|row| render::name(&row)).unwrap_or_default();
    let mut who = [customer_id.to_string(), name];
    let mut rows = Vec::new();
    for (attribute, value) in attributes {
        let is_it =
            |row: &&JournalRow| row.resource == "address" && row.row_id == *id && row.field == *attribute;
        let before = pending.iter().find(is_it).map_or_else(|| "null".to_owned(), |row| row.was.clone());
        let field = format!("address.{id}.{attribute}");
        let [before, after] = sides::values(&field, [&before, &value.to_string()]);
        let [customer, name] = std::mem::take(&mut who);
        rows.push([customer, name, field, before, after]);
    }
    Ok(rows)
}

/// A record never holds one; what is to be sent does.
fn sends_password(payload: &str) -> bool {
    let payload = serde_json::from_str::<serde_json::Value>(payload).unwrap_or_default();
    payload["authentication"]["new_password"].is_string()
}

fn changes(field: FieldId, before: &Value, after: &Value) -> Vec<(String, String, String)> {
    match (before, after) {
        (Value::Forms(before), Value::Forms(after)) => form_changes(before, after),
        _ if field.is_secret() => {
            vec![(field.to_string(), "(never read back)".to_owned(), "***".to_owned())]
        }
        _ => {
            let [before, after] = sides::typed(field, [before, after]);
            vec![(field.to_string(), before, after)]
        }
    }
}

/// The entries are sent whole; a person wants to see the ones that differ.
fn form_changes(
    before: &BTreeMap<String, FormValue>,
    after: &BTreeMap<String, FormValue>,
) -> Vec<(String, String, String)> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let json = |entry: Option<&FormValue>| entry.map_or_else(|| "null".to_owned(), FormValue::to_json);
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differing
        .map(|name| {
            let field = format!("form_fields.{}", render::plain(name));
            let [before, after] = [before, after].map(|entries| json(entries.get(name)));
            let [before, after] = sides::values(&field, [&before, &after]);
            (field, before, after)
        })
        .collect()
}

// ---- status ------------------------------------------------------------------------------------------------------

/// Show how it stands, and what waits
///
/// What is pending, in flight, rejected and in conflict, and when it was last synced.
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync status --json")]
pub(super) struct Status {}

impl Status {
    pub(super) fn run(self, till: &Till) -> Done {
        let store = till.store()?;
        let status = store.status()?;
        till.out.answer(&status, || status_in_words(&status))?;
        Ok(Exit::Done)
    }
}

fn status_in_words(status: &tillsync::Status) -> String {
    let pending = match status.pending_fields {
        0 => "nothing".to_owned(),
        fields => format!(
            "{} of {}",
            render::count(fields, "field"),
            render::count(status.pending_customers, "customer")
        ),
    };
    let since = status.oldest_pending_at.map(|at| format!(", the oldest since {}", render::time(Some(at))));
    let unsent = match status.unsent {
        0 => "nothing: all that was edited here is in the store".to_owned(),
        edits => format!("{}, in this file alone", render::count(edits, "edit")),
    };
    let mut lines = vec![
        ("store", status.store_hash.clone().unwrap_or_else(|| "–".to_owned())),
        ("customers", render::thousands(status.snapshot_customers)),
        ("pending", pending + &since.unwrap_or_default()),
        (
            "in flight",
            with_advice(status.in_flight_batches, "batch", "the next sync finds out what became of it"),
        ),
        ("rejected", with_advice(status.rejected, "field", "tillsync rejected")),
        ("conflicts", with_advice(status.conflicts, "field", "tillsync conflicts")),
        ("unsent", unsent),
        ("last pull", render::time(status.last_pull_at)),
        ("last push", render::time(status.last_push_at)),
        ("sync", sync_in_words(&status.sync)),
        ("worker", worker_in_words(&status.sync).to_owned()),
    ];
    if let Some(fleet) = &status.fleet {
        lines.push(("fleet", fleet_in_words(fleet)));
    }
    if status.held_up > 0 {
        lines.push(("held up", with_advice(status.held_up, "customer", "tillsync doctor")));
    }
    if status.held_alone > 0 {
        lines.push(("held", with_advice(status.held_alone, "edit", "tillsync doctor")));
    }
    if status.throttled_until.is_some() {
        lines.push((
            "throttled",
            format!("the store asks to wait until {}", render::time(status.throttled_until)),
        ));
    }
    render::pairs(lines)
}

/// How it stood with the other tills when the last sync ended.
fn fleet_in_words(fleet: &FleetStatus) -> String {
    let at = render::time(Some(fleet.at));
    let share = format!(
        "{} granted to the last sync, {} refused by the store",
        render::count(fleet.granted, "call"),
        render::thousands(fleet.refused)
    );
    match fleet.alone_until {
        None => format!("together with the others, at {at}\n{share}"),
        Some(until) => {
            format!("alone until {}: its server does not answer\n{share}", render::time(Some(until)))
        }
    }
}

fn worker_in_words(sync: &SyncStatus) -> &'static str {
    match (sync.worker_alive, sync.worker_paused) {
        (false, _) => "none",
        (true, true) => "paused: it syncs only when it is asked",
        (true, false) => "keeps the file in step",
    }
}

/// How it stands with the syncs, and why.
fn sync_in_words(sync: &SyncStatus) -> String {
    let state = match (sync.state, sync.since) {
        (SyncState::Idle, None) => return "never synced".to_owned(),
        (SyncState::Idle, _) => "idle",
        (SyncState::Syncing, _) => "running",
        (SyncState::Offline, _) => "offline",
        (SyncState::Refused, _) => "refused by the store",
        (SyncState::Failed, _) => "failed",
    };
    let mut text = match (sync.state, sync.last_success_at) {
        (SyncState::Idle, Some(at)) => format!("{state}, the last one at {}", render::time(Some(at))),
        _ => format!("{state}, since {}", render::time(sync.since)),
    };
    if let Some(error) = &sync.last_error {
        text += &format!("\n{}", render::plain(&error.message));
        text += &error.hint.as_deref().map(|hint| format!("\n{hint}")).unwrap_or_default();
    }
    if sync.next_try_at.is_some() {
        text += &format!("\nthe next try is at {}", render::time(sync.next_try_at));
    }
    text
}

fn with_advice(number: u64, what: &str, advice: &str) -> String {
    match number {
        0 => "none".to_owned(),
        number => format!("{} ({advice})", render::count(number, what)),
    }
}

// ---- log ---------------------------------------------------------------------------------------------------------

/// Show the edits, and what became of them
///
/// The newest come first; with --json the oldest of those that are shown.
#[derive(Args)]
#[command(after_help = "Examples:
  tillsync log 42
  tillsync log --limit 20 --before 1042")]
pub(super) struct Log {
    /// This customer; default: all
    #[arg(allow_negative_numbers = true)]
    id: Option<i64>,
    /// The most edits to list; default: 100, with --json 1,000
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only edits before this one, as the last one listed is called
    #[arg(long, value_name = "SEQ")]
    before: Option<i64>,
}

/// How many are listed when nobody says how many.
pub(super) fn at_most(limit: Option<usize>, till: &Till) -> usize {
    limit.unwrap_or(if till.out.is_json() { 1_000 } else { 100 })
}

impl Log {
    pub(super) fn run(self, till: &Till) -> Done {
        let store = till.store()?;
        let limit = at_most(self.limit, till);
        let mut rows = store.journal_page(self.id.map(CustomerId), self.before.map(EditSeq), limit)?;
        match self.id {
            Some(id) if rows.is_empty() && self.before.is_none() && limit > 0 => {
                _ = known_or_deleted(&store, id)?;
            }
            _ => {}
        }
        if till.out.is_json() {
            rows.reverse();
        }
        till.out.answer(&rows, || match rows.last() {
            None => "No edits.".to_owned(),
            Some(last) if rows.len() == limit => {
                format!("{}\nOlder ones: --before {}", journal_in_words(&rows), last.seq)
            }
            Some(_) => journal_in_words(&rows),
        })?;
        Ok(Exit::Done)
    }
}

fn journal_in_words(rows: &[JournalRow]) -> String {
    if render::is_narrow() {
        return journal_in_lines(rows);
    }
    let lines = rows.iter().map(|row| {
        let [was, became] = was_and_became(row);
        [
            row.seq.to_string(),
            render::stamp(&row.at),
            row.author.as_deref().map(render::plain).unwrap_or_default(),
            row.customer_id.to_string(),
            row.field.clone(),
            was,
            became,
            outcome(row),
        ]
    });
    render::table(["seq", "at", "by", "customer", "field", "was", "became", "outcome"], lines)
}

/// One below the other, where eight columns have no room.
fn journal_in_lines(rows: &[JournalRow]) -> String {
    let lines = rows.iter().flat_map(|row| {
        let [was, became] = was_and_became(row);
        let by = row.author.as_deref().map(|author| format!(" by {}", render::plain(author)));
        let edit = [
            format!("{}{}", render::stamp(&row.at), by.unwrap_or_default()),
            format!("customer {}, {}", row.customer_id, row.field),
            if row.payment().is_some() {
                format!("{became} on {was}")
            } else {
                format!("{was} → {became}")
            },
            outcome(row),
        ];
        let names = std::iter::once(row.seq.to_string()).chain(std::iter::repeat(String::new()));
        names.zip(edit).collect::<Vec<_>>()
    });
    let lines: Vec<(String, String)> = lines.collect();
    render::pairs(lines.iter().map(|(name, line)| (name.as_str(), line.clone())))
}

fn was_and_became(row: &JournalRow) -> [String; 2] {
    let Some(amount) = row.payment() else {
        return sides::values(&row.field, [&row.was, &row.value]);
    };
    let amount = tillsync::money(amount);
    let amount = if amount.starts_with('-') { amount } else { format!("+{amount}") };
    [render::value(&row.field, &row.was), amount]
}

fn outcome(row: &JournalRow) -> String {
    let mut text = row.outcome.map_or("pending", |outcome| outcome.as_str()).replace('_', " ");
    if let Some(who) = &row.allowed_by {
        text += &format!(", allowed by {}", render::plain(who));
    }
    if let Some(reason) = &row.reason {
        text += &format!(": {}", render::plain(reason));
    }
    for decision in &row.decisions {
        text += &format!("; {}", decided(decision));
    }
    text
}

fn decided(decision: &DecisionRow) -> String {
    let remote = render::value(&decision.field, &decision.remote);
    match (decision.resolution.as_deref(), decision.policy.as_str()) {
        (None, _) => format!("the store had {remote}, waits for a decision"),
        (Some(kept), "hold") => format!("the store had {remote}, decided: {kept}"),
        (Some(kept @ "undone"), _) => format!("the store had {remote}, {kept}"),
        (Some(kept), policy) => {
            format!("the store had {remote}, decided by {policy}: {kept} (undo {})", decision.id)
        }
    }
}
