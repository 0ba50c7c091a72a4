//! A request in, an answer out. Names and shapes are those of the command's `--json`; an `edit` is answered with its
//! receipt besides.
//!
//! A request is one JSON object with a `command` and what that command takes, and nothing else: a name that a command
//! does not know is refused, so that a slip of the pen never discards more than was meant.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Refusal;
use super::till::Till;
use crate::engine::{Extent, RETENTION_DAYS};
use crate::error::{Error, Failure};
use crate::flow::{Keep, UploadOptions};
use crate::resource::{CustomerId, EditSeq, Row, money, parse_adjustment, parse_new, parse_object};
use crate::store::{Fate, JournalRow, Receipt, Store};
use crate::syncer::Syncer;
use crate::words;

const FIND_AT_MOST: usize = 100;
/// Rows of a list when nobody says how many.
const LIST_AT_MOST: usize = 1_000;

type Answer = Result<String, Refusal>;

#[derive(Deserialize)]
struct Envelope {
    command: String,
}

/// Answers a request to a till.
pub(crate) fn answer(till: &Till, request: &str) -> Answer {
    carried_out(till, request).map_err(|refusal| till.naming_transaction(refusal))
}

fn carried_out(till: &Till, request: &str) -> Answer {
    let Envelope { command } = read(request)?;
    till.refuse_company()?;
    till.refuse_to_wait_for_oneself()?;
    match command.as_str() {
        "edit" => edit(till, read(request)?),
        "new" => enter(till, read(request)?),
        "delete" => delete(till, &read(request)?),
        "credit" => credit(till, read(request)?),
        "floor" => floor(till, &read(request)?),
        "show" => show(till, &read(request)?),
        "find" => find(till, &read(request)?),
        "diff" => diff(till, read(request)?),
        "report" => bare(request).and_then(|()| json(&till.store().report()?)),
        "status" => bare(request).and_then(|()| json(&till.store().status()?)),
        "log" => log(till, &read(request)?),
        "conflicts" => conflicts(till, &read(request)?),
        "resolve" => resolve(till, read(request)?),
        "undo" => undo(till, &read(request)?),
        "rejected" => rejected(till, &read(request)?),
        "retry" => retry(till, &read(request)?),
        "discard" => discard(till, read(request)?),
        "pull" => pull(till, &read(request)?),
        "push" => push(till, &read(request)?),
        "sync" => sync(till, &read(request)?),
        "wait" => wait(till, &read(request)?),
        "backup" => backup(till, &read(request)?),
        "prune" => prune(till, &read(request)?),
        "forget" => forget(till, &read(request)?),
        "sync_now" => bare(request).and_then(|()| tell(till, Syncer::sync_now)),
        "pause" => bare(request).and_then(|()| tell(till, Syncer::pause)),
        "resume" => bare(request).and_then(|()| tell(till, Syncer::resume)),
        "worker" => bare(request).and_then(|()| worker(till)),
        _ => Err(Refusal::usage(format!("the command is none of: {COMMANDS}"))),
    }
}

const COMMANDS: &str = "edit, new, delete, credit, floor, show, find, diff, status, report, log, conflicts, resolve, undo, rejected, retry, discard, \
                        pull, push, sync, wait, backup, prune, forget, sync_now, pause, resume, worker";

fn read<T: DeserializeOwned>(request: &str) -> Result<T, Refusal> {
    serde_json::from_str(request).map_err(|e| Refusal::object::<T>("the request", request, &e))
}

fn json(document: &impl Serialize) -> Answer {
    words::json(document).map_err(|e| Error::from(Failure::Unexpected(format!("JSON: {e}"))).into())
}

fn raw(json: String) -> Result<Box<RawValue>, Refusal> {
    RawValue::from_string(json).map_err(|e| Error::from(Failure::Unexpected(format!("JSON: {e}"))).into())
}

/// A customer of the file.
fn known(store: &Store, id: i64) -> Result<Row, Refusal> {
    let id = CustomerId(id);
    Ok(store.get(id)?.ok_or_else(|| Error::from(Failure::UnknownCustomer(id)))?)
}

/// The same, also where the customer was deleted here and that waits: as it was.
fn known_or_deleted(store: &Store, id: i64) -> Result<Row, Refusal> {
    match store.deleted(id)? {
        Some(row) => Ok(row),
        None => known(store, id),
    }
}

/// A command and what it takes.
macro_rules! request {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            #[serde(rename = "command")]
            _command: IgnoredAny,
            $($field: $type,)*
        }
    };
}

request! { Bare {} }

/// A command that takes nothing.
fn bare(request: &str) -> Result<(), Refusal> {
    read::<Bare>(request).map(|_| ())
}

// ---- edits -------------------------------------------------------------------------------------------------------

request! {
    EditRequest {
        id: Option<i64>,
        fields: Option<Box<RawValue>>,
        edits: Option<Vec<Box<RawValue>>>,
        author: Option<String>,
        label: Option<String>,
    }
}

#[derive(Serialize)]
struct Edited {
    edited: usize,
    receipt: Receipt,
}

fn edit(till: &Till, request: EditRequest) -> Answer {
    let objects = match (request.id, request.fields, request.edits) {
        (Some(id), Some(fields), None) => vec![with_id(id, &fields)?],
        (None, None, Some(edits)) => edits.into_iter().map(|edit| edit.get().to_owned()).collect(),
        _ => {
            return Err(Refusal::usage(
                "an edit has id and fields, or edits: a list of {\"id\":…, field: value…}",
            ));
        }
    };
    let parsed = objects.iter().map(|object| parse_object(object));
    let edits = parsed.collect::<Result<Vec<_>, _>>().map_err(Error::from)?;
    let author = request.author.as_deref().or(till.author());
    let receipt = till.store().edit_all(&edits, author, request.label.as_deref())?;
    json(&Edited { edited: receipt.fields(), receipt })
}

request! {
    NewRequest {
        fields: Option<Box<RawValue>>,
        customers: Option<Vec<Box<RawValue>>>,
        author: Option<String>,
        label: Option<String>,
    }
}

#[derive(Serialize)]
struct Created {
    created: Vec<CustomerId>,
    receipt: Receipt,
}

fn enter(till: &Till, request: NewRequest) -> Answer {
    let objects = match (request.fields, request.customers) {
        (Some(fields), None) => vec![fields],
        (None, Some(customers)) => customers,
        _ => return Err(Refusal::usage("new has fields, or customers: a list of {field: value…}")),
    };
    let parsed = objects.iter().map(|object| parse_new(object.get()));
    let customers = parsed.collect::<Result<Vec<_>, _>>().map_err(Error::from)?;
    let author = request.author.as_deref().or(till.author());
    let entered = till.store().create_all(&customers, author, request.label.as_deref())?;
    json(&Created { created: entered.ids, receipt: entered.receipt })
}

request! { DeleteRequest { ids: Vec<i64>, author: Option<String>, label: Option<String> } }

#[derive(Serialize)]
struct Deleted {
    deleted: usize,
    receipt: Receipt,
}

fn delete(till: &Till, request: &DeleteRequest) -> Answer {
    let ids: BTreeSet<CustomerId> = request.ids.iter().copied().map(CustomerId).collect();
    let ids: Vec<CustomerId> = ids.into_iter().collect();
    let author = request.author.as_deref().or(till.author());
    let receipt = till.store().delete_customers(&ids, author, request.label.as_deref())?;
    json(&Deleted { deleted: ids.len(), receipt })
}

fn with_id(id: i64, fields: &RawValue) -> Result<String, Refusal> {
    let mut object: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(fields.get()).map_err(|_| Refusal::usage("fields is not an object"))?;
    if object.insert("id".to_owned(), raw(id.to_string())?).is_some() {
        return Err(Refusal::usage("id stands beside fields, not among them"));
    }
    json(&object)
}

request! { CreditRequest {
    id: i64, amount: Box<RawValue>, author: Option<String>, label: Option<String>, r#override: Option<bool>
} }

#[derive(Serialize)]
struct Credited {
    customer_id: CustomerId,
    amount: String,
    balance: String,
    receipt: Receipt,
}

fn credit(till: &Till, request: CreditRequest) -> Answer {
    let text = digits(request.amount.get());
    let amount = parse_adjustment(CustomerId(request.id), &text).map_err(Error::from)?;
    let mut store = till.store();
    let mut edit = store.edit(request.id).adjust_credit(amount);
    if let Some(author) = request.author.as_deref().or(till.author()) {
        edit = edit.author(author);
    }
    if let Some(label) = request.label {
        edit = edit.label(label);
    }
    if request.r#override == Some(true) {
        edit = edit.override_floor();
    }
    let receipt = edit.commit()?;
    let row = known(&store, request.id)?;
    let balance = row.resource().money().and_then(|money| row.get(money).credit()).unwrap_or_default();
    let [amount, balance] = [amount, balance].map(money);
    json(&Credited { customer_id: CustomerId(request.id), amount, balance, receipt })
}

/// Of a JSON string or number, which is never a float.
fn digits(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}

request! { FloorRequest { amount: Option<Box<RawValue>> } }

/// `{}` shows it, an amount or `none` sets it.
fn floor(till: &Till, request: &FloorRequest) -> Answer {
    let mut store = till.store();
    match request.amount.as_ref().map(|amount| digits(amount.get())).as_deref() {
        None => {}
        Some("none") => store.set_credit_floor(None)?,
        Some(text) => {
            let amount = parse_adjustment(CustomerId(0), text);
            store.set_credit_floor(Some(
                amount.map_err(|_| Refusal::usage("amount is a decimal, or none"))?,
            ))?;
        }
    }
    json(&serde_json::json!({ "floor": store.credit_floor()?.map(money) }))
}

// ---- reads -------------------------------------------------------------------------------------------------------

request! { ShowRequest { id: i64 } }

#[derive(Serialize)]
struct Shown {
    customer: Box<RawValue>,
    /// It was deleted here, and that waits: this is how it was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    snapshot: Option<Box<RawValue>>,
    pending: Vec<JournalRow>,
}

fn show(till: &Till, request: &ShowRequest) -> Answer {
    let store = till.store();
    let customer = raw(known_or_deleted(&store, request.id)?.to_json())?;
    let deleted = store.get(request.id)?.is_none();
    let snapshot = store.snapshot(request.id)?.map(|record| raw(record.body().to_owned())).transpose()?;
    json(&Shown { customer, deleted, snapshot, pending: store.pending(request.id)? })
}

request! { FindRequest { text: String, limit: Option<usize>, with_more: Option<bool> } }

#[derive(Serialize)]
struct FoundWithMore {
    customers: Vec<Box<RawValue>>,
    more: bool,
}

fn find(till: &Till, request: &FindRequest) -> Answer {
    let found = till.store().find(&request.text, request.limit.unwrap_or(FIND_AT_MOST))?;
    let customers = found.customers.iter().map(|row| raw(row.to_json())).collect::<Result<Vec<_>, _>>()?;
    match request.with_more {
        Some(true) => json(&FoundWithMore { customers, more: found.more }),
        _ => json(&customers),
    }
}

request! { DiffRequest { ids: Option<Vec<i64>> } }

fn diff(till: &Till, request: DiffRequest) -> Answer {
    let (store, ids) = (till.store(), request.ids.unwrap_or_default());
    for id in &ids {
        known(&store, *id)?;
    }
    let ids: Vec<CustomerId> = ids.into_iter().map(CustomerId).collect();
    json(&payloads(&store, &ids)?)
}

fn payloads(store: &Store, ids: &[CustomerId]) -> Result<Vec<Box<RawValue>>, Refusal> {
    store.diff(ids)?.into_iter().map(raw).collect()
}

request! { LogRequest { id: Option<i64>, limit: Option<usize>, before: Option<i64> } }

/// The newest, or those before a row; in the order in which they were made.
fn log(till: &Till, request: &LogRequest) -> Answer {
    let (store, limit) = (till.store(), request.limit.unwrap_or(LIST_AT_MOST));
    let mut rows = store.journal_page(request.id.map(CustomerId), request.before.map(EditSeq), limit)?;
    if let Some(id) = request.id.filter(|_| rows.is_empty() && request.before.is_none()) {
        known_or_deleted(&store, id)?;
    }
    rows.reverse();
    json(&rows)
}

request! { ListRequest { limit: Option<usize>, after: Option<i64> } }

fn conflicts(till: &Till, request: &ListRequest) -> Answer {
    let (after, limit) = (request.after.unwrap_or(0), request.limit.unwrap_or(LIST_AT_MOST));
    json(&till.store().conflicts_page(after, limit)?)
}

fn rejected(till: &Till, request: &ListRequest) -> Answer {
    let (after, limit) = (request.after.unwrap_or(0), request.limit.unwrap_or(LIST_AT_MOST));
    json(&till.store().rejected_page(EditSeq(after), limit)?)
}

// ---- decisions ---------------------------------------------------------------------------------------------------

/// How many fields a decision was about.
#[derive(Serialize)]
struct Decided {
    customer_id: Option<CustomerId>,
    fields: usize,
}

fn decided(id: Option<i64>, fields: usize) -> Answer {
    json(&Decided { customer_id: id.map(CustomerId), fields })
}

request! {
    ResolveRequest {
        id: i64,
        field: String,
        keep: Option<Side>,
        value: Option<Box<RawValue>>,
        seen: Option<String>,
        author: Option<String>,
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Local,
    Remote,
}

fn resolve(till: &Till, request: ResolveRequest) -> Answer {
    let keep = match (request.keep, request.value) {
        (Some(Side::Local), None) => Keep::Local,
        (Some(Side::Remote), None) => Keep::Remote,
        (None, Some(value)) => Keep::Value(argument(value.get())),
        _ => return Err(Refusal::usage("a decision has keep (local or remote), or value")),
    };
    let mut store = till.store();
    known_or_deleted(&store, request.id)?;
    let author = request.author.as_deref().or(till.author());
    let fields = match &request.seen {
        Some(stamp) => store.resolve_seen(request.id, &request.field, &keep, stamp, author)?,
        None => store.resolve(request.id, &request.field, &keep, author)?,
    };
    decided(Some(request.id), fields)
}

request! { UndoRequest { conflict: i64, author: Option<String> } }

fn undo(till: &Till, request: &UndoRequest) -> Answer {
    let author = request.author.as_deref().or(till.author());
    let fields = till.store().undo(request.conflict, author)?;
    decided(None, fields)
}

/// A value as the command line has it: text as it stands, all else as JSON.
fn argument(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

request! { RetryRequest { id: Option<i64>, all: Option<bool>, seq: Option<i64> } }

fn retry(till: &Till, request: &RetryRequest) -> Answer {
    let mut store = till.store();
    let fields = match (request.id, request.all, request.seq) {
        (Some(id), None | Some(false), None) => {
            known_or_deleted(&store, id)?;
            store.retry(Some(CustomerId(id)))?
        }
        (None, Some(true), None) => store.retry(None)?,
        (None, None | Some(false), Some(seq)) => store.retry_row(EditSeq(seq))?,
        _ => return Err(Refusal::usage("a retry has id, seq, or all: true")),
    };
    decided(request.id, fields)
}

request! {
    DiscardRequest {
        id: Option<i64>,
        field: Option<String>,
        seq: Option<i64>,
        seen: Option<String>,
        author: Option<String>,
    }
}

fn discard(till: &Till, request: DiscardRequest) -> Answer {
    let author = request.author.as_deref().or(till.author());
    let mut store = till.store();
    let fields = match (request.id, request.field.as_deref(), request.seq, request.seen) {
        (Some(id), Some(field), None, Some(stamp)) => store.discard_seen(id, field, &stamp, author)?,
        (Some(id), field, None, None) => store.discard(id, field, author)?,
        (None, None, Some(seq), None) => store.discard_row(EditSeq(seq), author)?,
        _ => return Err(Refusal::usage("a discard has id, and field if wanted and then seen; or seq alone")),
    };
    decided(request.id, fields)
}

// ---- the store ---------------------------------------------------------------------------------------------------

request! { PullRequest { full: Option<bool>, allow_deletions: Option<u64> } }

fn pull(till: &Till, request: &PullRequest) -> Answer {
    let extent = if request.full == Some(true) { Extent::Full } else { Extent::Changes };
    if extent != Extent::Full && request.allow_deletions.is_some() {
        return Err(Refusal::usage("allow_deletions is for a pull of everything: full: true"));
    }
    json(&till.with_engine(|engine| {
        request.allow_deletions.into_iter().for_each(|at_most| engine.allow_deletions(at_most));
        engine.pull(extent)
    })?)
}

request! { PushRequest { dry_run: Option<bool>, allow_deletions: Option<u64> } }

#[derive(Serialize)]
struct DryRun<'a> {
    batches: Vec<&'a [Box<RawValue>]>,
}

fn push(till: &Till, request: &PushRequest) -> Answer {
    if request.dry_run == Some(true) {
        let payloads = payloads(&till.store(), &[])?;
        return json(&DryRun { batches: payloads.chunks(UploadOptions::default().batch_size).collect() });
    }
    json(&till.with_engine(|engine| {
        request.allow_deletions.into_iter().for_each(|at_most| engine.allow_to_delete(at_most));
        engine.push()
    })?)
}

request! { SyncRequest { allow_deletions: Option<u64> } }

fn sync(till: &Till, request: &SyncRequest) -> Answer {
    json(&till.with_engine(|engine| {
        request.allow_deletions.into_iter().for_each(|at_most| engine.allow_to_delete(at_most));
        engine.sync()
    })?)
}

request! { WaitRequest { receipt: Receipt, timeout_ms: Option<u32> } }

fn wait(till: &Till, request: &WaitRequest) -> Answer {
    let timeout = Duration::from_millis(request.timeout_ms.unwrap_or(0).into());
    let fate: Fate = till.wait(&request.receipt, timeout)?;
    json(&fate)
}

request! { BackupRequest { path: String } }

#[derive(Serialize)]
struct BackedUp<'a> {
    path: &'a str,
    bytes: u64,
}

/// On a connection of its own: edits go on meanwhile.
fn backup(till: &Till, request: &BackupRequest) -> Answer {
    let bytes = till.another_store()?.backup(&request.path)?;
    json(&BackedUp { path: &request.path, bytes })
}

request! { PruneRequest { older_than_days: Option<u32> } }

#[derive(Serialize)]
struct Removed {
    removed: u64,
}

fn prune(till: &Till, request: &PruneRequest) -> Answer {
    let days = request.older_than_days.unwrap_or(RETENTION_DAYS);
    let before = Utc::now().checked_sub_signed(TimeDelta::days(days.into()));
    let before = before.filter(|at| *at > DateTime::UNIX_EPOCH).unwrap_or(DateTime::UNIX_EPOCH);
    let removed = till.another_store()?.prune(before)?;
    json(&Removed { removed })
}

request! { ForgetRequest { id: i64 } }

fn forget(till: &Till, request: &ForgetRequest) -> Answer {
    let removed = till.store().forget(request.id)?;
    json(&Removed { removed })
}

// ---- the worker --------------------------------------------------------------------------------------------------

#[derive(Serialize)]
struct WorkerState {
    running: bool,
    at_work: bool,
    paused: bool,
}

fn tell(till: &Till, tell: impl FnOnce(&Syncer)) -> Answer {
    till.tell_worker(tell)?;
    worker(till)
}

fn worker(till: &Till) -> Answer {
    let state = |syncer: &Syncer| (syncer.is_at_work(), syncer.is_paused());
    let told = till.tell_worker(state).ok();
    let (at_work, paused) = told.unwrap_or_default();
    json(&WorkerState { running: told.is_some(), at_work, paused })
}
