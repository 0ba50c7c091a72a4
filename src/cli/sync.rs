//! `pull`, `push`, `sync`: the commands that speak to the store.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tillsync::{
    CustomerId, Event, Extent, Policies, PullReport, Store, SyncReport, Syncer, SyncerOptions, UploadOptions,
    WhenTaken,
};

use super::exit::{Exit, Failed};
use super::out::Deed;
use super::progress::Bar;
use super::settings::{Missing, Till};
use super::{Done, decide, render};

/// How often it is looked whether there are to be any more events.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Fetch what changed; nothing is uploaded
#[derive(Args)]
#[command(after_help = "Examples:
  tillsync pull --store-hash abc123 --token-file token.txt
  # after the office has deleted some 400 customers:
  tillsync pull --full --allow-deletions 400

Exit status 4 when the store's list was not whole: what came is in the file.")]
pub(super) struct Pull {
    /// Ask for every customer again, and find those that were deleted
    #[arg(long)]
    full: bool,
    /// Believe that so many customers were deleted in the store. Without it: within a day 5 % of those in the file, or 20, but never more
    /// than half of them; if more are gone, none is taken for deleted
    #[arg(long, value_name = "N", requires = "full")]
    allow_deletions: Option<u64>,
    /// Keep this too, from now on: attributes, what the shop has defined for its customers and what each has of it; addresses.
    /// The file remembers, and each sync costs a call or two more
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    with: Vec<String>,
}

impl Pull {
    pub(super) fn run(self, till: &Till) -> Done {
        let bar = Bar::new(&till.out);
        let extent = if self.full { Extent::Full } else { Extent::Changes };
        let mut engine = till.engine(Missing::Make, &bar)?;
        engine.keep(self.with);
        if let Some(at_most) = self.allow_deletions {
            engine.allow_deletions(at_most);
        }
        let report = engine.pull(extent)?;
        drop(bar);
        till.out.answer_done(&report, || pulled(&report), SYNCED)?;
        Ok(if report.complete { Exit::Done } else { Exit::Offline })
    }
}

/// What to do where a till has left.
pub(super) const HAS_LEFT: &str = "move it back, for what waits in it is in no other file; or begin anew: tillsync create, where nothing but \
     its -life is left, not even an empty file";

/// What came and went is in the file.
const SYNCED: Deed = Deed { done: "the sync has ended", shown_by: "tillsync status" };

/// How a pull went, for people.
pub(super) fn pulled(report: &PullReport) -> String {
    let mut text = format!(
        "Pulled {} in {}",
        render::count(report.pulled, "customer"),
        render::count(report.requests.get, "call")
    );
    if report.deleted > 0 {
        text += &format!("; {} gone from the store", render::thousands(report.deleted));
    }
    if report.conflicts > 0 {
        text += &format!("; {} to decide: tillsync conflicts", render::count(report.conflicts, "conflict"));
    }
    text += ".";
    text + &held_up(report.held_up)
        + &not_believed(report.unbelieved)
        + &not_whole(report.incomplete.as_deref())
}

fn held_up(customers: u64) -> String {
    match customers {
        0 => String::new(),
        count => format!(
            "\n\n{} held up by something of the app's, or by a row that a program has broken, and nothing of them is sent: tillsync doctor names it",
            render::count(count, "customer")
        ),
    }
}

fn not_allowed(deletions: u64) -> String {
    match deletions {
        0 => String::new(),
        count => format!(
            "\n\n{} wait for a word, and are in the store still: if they are meant, say so with \
             sync --allow-deletions {count}; else bring them back with tillsync discard CUSTOMER",
            render::count(count, "deletion")
        ),
    }
}

fn not_believed(unbelieved: u64) -> String {
    match unbelieved {
        0 => String::new(),
        count => format!(
            "\n\n{} in the file that the store does not show, and that were not taken for deleted: if that many were, say so \
             with pull --full --allow-deletions {count}",
            render::count(count, "customer")
        ),
    }
}

fn not_whole(why: Option<&str>) -> String {
    why.map_or_else(String::new, |why| {
        format!("\n\nThe store's list was not whole: {why}. What came is in the file.")
    })
}

fn doubted(customers: u64) -> String {
    match customers {
        0 => String::new(),
        count => format!(
            "\n\nEdits of {} wait: what the store showed was older than what is known, or not whole; sync again in a minute",
            render::count(count, "customer")
        ),
    }
}

/// Upload what was edited; nothing is pulled
///
/// Customers that were not read just now are looked at by id before they are sent.
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync push --dry-run")]
pub(super) struct Push {
    /// Only show the calls that would be made; nothing is sent, and no network is needed
    #[arg(long)]
    dry_run: bool,
    /// Delete so many in the store that were deleted here, the longest waiting first. Without it: all, if they are no more than 20,
    /// else none
    #[arg(long, value_name = "N", conflicts_with = "dry_run")]
    allow_deletions: Option<u64>,
}

#[derive(Serialize)]
struct DryRun {
    batches: Vec<Vec<Box<RawValue>>>,
    /// Who would be deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deletions: Vec<CustomerId>,
}

impl Push {
    pub(super) fn run(self, till: &Till) -> Done {
        if self.dry_run { dry_run(till) } else { push(till, self.allow_deletions) }
    }
}

fn push(till: &Till, allow_deletions: Option<u64>) -> Done {
    let bar = Bar::new(&till.out);
    let mut engine = till.engine(Missing::Refuse, &bar)?;
    allow_deletions.into_iter().for_each(|at_most| engine.allow_to_delete(at_most));
    let report = engine.push()?;
    drop(bar);
    told(till, engine.store(), &report)
}

fn dry_run(till: &Till) -> Done {
    let store = till.store()?;
    let (payloads, deletions) = (store.diff(&[])?, store.to_be_deleted()?);
    let payloads = payloads.into_iter().map(render::raw).collect::<Result<Vec<_>, _>>()?;
    // Each call is to one endpoint, and creates or updates.
    let call = |payload: &RawValue| (payload.get().starts_with(NEW), payload.get().starts_with(KNOWN));
    let groups = payloads.chunk_by(|one, next| call(one) == call(next));
    let batches = groups.flat_map(|group| group.chunks(UploadOptions::default().batch_size));
    let batches = batches.map(<[_]>::to_vec).collect();
    let document = DryRun { batches, deletions };
    till.out.answer(&document, || batches_in_words(&document))?;
    Ok(Exit::Done)
}

/// How the object of a customer begins who is not created yet.
const NEW: &str = "{\"id\":-";
/// And that of any customer; a value of an attribute names the customer first.
const KNOWN: &str = "{\"id\":";

fn batches_in_words(document: &DryRun) -> String {
    let mut text = format!("{} would be made.", render::count(document.batches.len() as u64, "call"));
    for (place, batch) in document.batches.iter().enumerate() {
        let verb = if batch.iter().any(|raw| raw.get().starts_with(NEW)) { "POST" } else { "PUT" };
        text += &format!("\n\n{verb} {} of {}", place + 1, document.batches.len());
        for payload in batch {
            text += &format!("\n  {}", render::plain(payload.get()));
        }
    }
    if !document.deletions.is_empty() {
        let ids: Vec<String> = document.deletions.iter().map(ToString::to_string).collect();
        text += &format!("\n\nDELETE of {}: {}", render::count(ids.len() as u64, "customer"), ids.join(", "));
    }
    text
}

/// Pull, merge and push: both sides end equal
#[derive(Args)]
#[command(after_help = "Examples:
  tillsync sync
  # one line of JSON a sync, failures that pass too:
  tillsync sync --watch 60 --json")]
pub(super) struct Sync {
    /// Sync again and again: so many seconds after the last sync to see what changed in the store, and soon after an edit.
    /// What fails is told, and tried again within a second, later and later up to half a minute; until interrupted, or
    /// until something is wrong that only a person can mend, such as the token
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
    /// Delete so many in the store that were deleted here, the longest waiting first. Without it: all, if they are no more than 20,
    /// else none
    #[arg(long, value_name = "N", conflicts_with = "watch")]
    allow_deletions: Option<u64>,
}

impl Sync {
    pub(super) fn run(self, till: &Till) -> Done {
        match self.watch {
            None => once(till, self.allow_deletions),
            Some(seconds) => again_and_again(till, Duration::from_secs(seconds)),
        }
    }
}

fn once(till: &Till, allow_deletions: Option<u64>) -> Done {
    let bar = Bar::new(&till.out);
    let mut engine = till.engine(Missing::Refuse, &bar)?;
    allow_deletions.into_iter().for_each(|at_most| engine.allow_to_delete(at_most));
    let report = engine.sync()?;
    drop(bar);
    told(till, engine.store(), &report)
}

/// By the library's worker, and so by its schedule: an edit goes up soon, and what failed is tried again much sooner than
/// news is asked for. What no try mends ends it.
fn again_and_again(till: &Till, every: Duration) -> Done {
    let engine = till.engine_with(Missing::Refuse, Policies::default())?;
    let store = engine.store().reopen()?;
    let when_taken = WhenTaken::Refuse { after: till.wait() };
    let (_syncer, events) =
        Syncer::start(engine, SyncerOptions { every, when_taken, ..SyncerOptions::default() })?;
    while !events.have_ended() {
        match events.next(LOOK_AGAIN) {
            Some(Event::SyncFinished(report)) => _ = told(till, &store, &report)?,
            // For programs there is one line a sync; `status` tells them the rest.
            Some(Event::PullFinished(report)) if report.unbelieved > 0 || !report.complete => {
                till.out.text(&pulled(&report))?;
            }
            Some(Event::PullFailed { code, message, hint }) if !till.out.is_json() => {
                Failed::of_event(code, message, hint).tell(&till.out);
            }
            Some(Event::SyncFailed { code, message, hint }) => {
                let failed = Failed::of_event(code, message, hint);
                if !failed.passes() {
                    return Err(failed);
                }
                failed.tell(&till.out);
            }
            _ => {}
        }
    }
    Err(Failed::unexpected("the worker has ended, and nobody had stopped it"))
}

fn told(till: &Till, store: &Store, report: &SyncReport) -> Done {
    let text = if till.out.is_json() { String::new() } else { synced(report) + &waiting(store, report)? };
    till.out.answer_done(report, || text, SYNCED)?;
    Ok(match Exit::unless_waiting(report) {
        Exit::Done if report.incomplete.is_some() || report.doubted > 0 => Exit::Offline,
        exit => exit,
    })
}

/// How a sync went, for people.
pub(super) fn synced(report: &SyncReport) -> String {
    let mut text = format!("Pulled {}. ", render::count(report.pulled, "customer"));
    if report.created > 0 {
        text += &format!("Created {} in the store. ", render::count(report.created, "customer"));
    }
    text += &match report.uploaded_customers {
        0 if !others_sent(report).is_empty() => format!("Sent {}.", others_sent(report)),
        0 if report.deleted > 0 => {
            format!("Deleted {} in the store.", render::count(report.deleted, "customer"))
        }
        0 if report.created > 0 => "Nothing else was sent.".to_owned(),
        0 => "Nothing was sent.".to_owned(),
        customers => format!(
            "Sent {} of {} in {}, {}.",
            render::count(report.uploaded_fields, "field"),
            render::count(customers, "customer"),
            render::count(report.requests.put, "call"),
            render::count(report.bytes_sent, "byte"),
        ),
    };
    if !others_sent(report).is_empty() && report.uploaded_customers > 0 {
        text += &format!(" Sent {} too.", others_sent(report));
    }
    if report.deleted > 0 && report.uploaded_customers + report.attribute_values > 0 {
        text += &format!(" Deleted {} there.", render::count(report.deleted, "customer"));
    }
    if report.unchanged_customers > 0 {
        let customers = render::count(report.unchanged_customers, "customer");
        text += &format!(" No call was needed for {customers}: the store had the values already.");
    }
    if report.retries + report.rate_limited + report.slots_refused > 0 {
        let (retries, waits) = (report.retries, report.rate_limited + report.slots_refused);
        text += &format!(
            " {} tried again, {} at the rate limit.",
            render::thousands(retries),
            render::count(waits, "wait")
        );
    }
    text + &held_up(report.held_up)
        + &not_allowed(report.deletions_waiting)
        + &not_believed(report.unbelieved)
        + &doubted(report.doubted)
        + &not_whole(report.incomplete.as_deref())
}

/// What was sent besides customers, in words.
fn others_sent(report: &SyncReport) -> String {
    let counts = [
        (report.addresses, "address", "addresses"),
        (report.attribute_values, "attribute value", "attribute values"),
    ];
    let sent = counts.into_iter().filter(|(count, ..)| *count > 0);
    let words = sent.map(|(count, one, many)| {
        format!("{} {}", render::thousands(count), if count == 1 { one } else { many })
    });
    words.collect::<Vec<_>>().join(" and ")
}

/// What wants a person, after a sync.
fn waiting(store: &Store, report: &SyncReport) -> Result<String, Failed> {
    let mut text = String::new();
    if report.rejected > 0 {
        text += &format!("\n\n{}", decide::rejected_in_words(&store.rejected()?));
    }
    if report.conflicts > 0 {
        text += &format!("\n\n{}", decide::conflicts_in_words(&store.conflicts()?));
    }
    Ok(text)
}
