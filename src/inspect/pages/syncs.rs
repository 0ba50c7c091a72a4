//! How the last syncs went, and what went wrong; and the one that runs.

use maud::{Markup, html};

use super::View;
use super::frame::{self, Page, empty};
use super::said::{Refusal, went_wrong};
use crate::inspect::show;
use crate::inspect::syncing::{Ended, SyncNow};
use crate::{PastSync, Result, SyncReport, SyncState};

/// Syncs on a page, of the hundred that are kept.
const MOST: usize = 20;

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let mut all = view.store.past_syncs()?;
    all.reverse();
    let way = view.asked.way();
    let skipped = way.len() * MOST;
    let page: Vec<&PastSync> = all.iter().skip(skipped).take(MOST).collect();
    let last = (all.len() > skipped + MOST).then_some(skipped as i64 + MOST as i64);
    let pages = Page { shown: page.len(), full: MOST, last, all: Some(all.len() as u64), what: "sync" };
    Ok(html! {
        h1 { "Syncs" }
        div #fresh data-live hx-get={ "syncs?after=" (view.asked.way_text()) } hx-select="#fresh" hx-trigger="changed" hx-swap="outerHTML" {
            (now(view))
            h2 { "The last ones" }
            @if page.is_empty() { (empty("There was none yet.", &html! { "Each sync is listed here, whichever program made it." })) }
            ol.syncs { @for sync in page { (one(sync)) } }
        }
        (frame::pages("syncs", &way, &pages))
    })
}

/// What runs, or how the one ended that was asked for here.
fn now(view: &View<'_>) -> Markup {
    let standing = view.standing;
    html! {
        @if standing.is_running {
            p.note role="status" { "A sync runs. You may go on meanwhile; nothing waits for it." }
        } @else if let Some(ended) = &standing.ended {
            (how_it_ended(ended))
        } @else if view.status.sync.state == SyncState::Syncing {
            p.note role="status" { "Another program syncs this till just now. What it brings shows here by itself." }
        } @else if let SyncNow::Asked(_) = view.way {
            p.aside { "The app syncs by itself; \"Sync now\" asks it to." }
        }
        (frame::cannot_sync(view.way))
    }
}

fn how_it_ended(ended: &Ended) -> Markup {
    match ended {
        Ended::Well(report) => html! { div.note.good role="status" { p { (in_words(report)) } } },
        Ended::Badly { code: "busy", .. } => html! {
            p.note role="status" {
                "Another program was syncing this till already, so this one left it to that. What it brings shows here by itself."
            }
        },
        Ended::Badly { code, message, hint } => html! {
            div.note.bad role="alert" { (frame::trouble(&Refusal::of(code, message, *hint))) }
        },
    }
}

fn in_words(report: &SyncReport) -> Markup {
    let SyncReport { pulled, uploaded_customers, uploaded_fields, rejected, conflicts, .. } = report;
    html! {
        "Done. " (show::count(*pulled, "customer")) " came in; "
        @if *uploaded_customers == 0 { "nothing was sent. " } @else {
            (show::count(*uploaded_fields, "field")) " of " (show::count(*uploaded_customers, "customer")) " went up. "
        }
        @if report.doubted > 0 { "Edits of " (show::count(report.doubted, "customer")) " wait: sync again in a minute. " }
        @if let Some(why) = &report.incomplete { "The store's list was not whole: " (show::plain(why)) ". " }
        @if *rejected > 0 { a href="refused" { (show::count(*rejected, "refused edit")) } ". " }
        @if *conflicts > 0 { a href="conflicts" { (show::count(*conflicts, "conflict")) } "." }
    }
}

fn one(sync: &PastSync) -> Markup {
    let is_well = sync.outcome == "done";
    html! {
        li data-outcome=(if is_well { "done" } else { "not-done" }) {
            p.what { strong { (outcome(&sync.outcome)) } " " span.kind { (kind(&sync.kind)) } }
            p.aside {
                (show::stamp(&sync.ended_at))
                @if sync.times > 1 { ", " (show::thousands(sync.times)) " times since " (show::stamp(&sync.began_at)) }
                " · " (seconds(sync.elapsed_ms))
            }
            @let counts = counts(sync);
            @if !counts.is_empty() { p { (counts) } }
        }
    }
}

fn kind(kind: &str) -> &str {
    match kind {
        "pull" => "pull",
        "push" => "push",
        _ => "sync",
    }
}

fn seconds(elapsed_ms: u64) -> String {
    match elapsed_ms {
        0..1_000 => format!("{elapsed_ms} ms"),
        1_000..60_000 => format!("{:.1} s", elapsed_ms as f64 / 1_000.0),
        _ => format!("{} min", elapsed_ms / 60_000),
    }
}

/// How it went; the word itself is for who helps.
fn outcome(code: &str) -> Markup {
    match code {
        "done" => html! { "Done" },
        code => html! { (went_wrong(code).unwrap_or("It failed")) " " code { (show::plain(code)) } },
    }
}

fn counts(sync: &PastSync) -> String {
    let of = |name: &str| sync.counts[name].as_u64().unwrap_or_default();
    let some = |name: &str, what: &str, did: &str| {
        Some(of(name)).filter(|count| *count > 0).map(|count| format!("{} {did}", show::count(count, what)))
    };
    let told = [
        some("pulled", "customer", "came in"),
        some("gone", "customer", "gone from the store"),
        some("deleted", "customer", "deleted there"),
        some("uploaded_fields", "field", "went up"),
        some("rate_limited", "wait", "for the store's quota"),
        some("retries", "call", "tried again"),
    ];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
