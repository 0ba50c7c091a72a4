//! How things stand, in one sentence and then in parts: what waits and since when, what wants a person, how the syncs go.

use maud::{Markup, html};

use super::View;
use super::frame;
use super::said::Refusal;
use crate::inspect::show;
use crate::{HeldUp, Result, Status, SyncState};

/// Customers that something of the app's holds up, as many as are named.
const MOST_HELD_UP: usize = 10;

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let held_up = if view.status.held_up > 0 { view.store.held_up()? } else { Vec::new() };
    let status = view.status;
    Ok(html! {
        div #fresh data-live hx-get="overview" hx-select="#fresh" hx-trigger="changed" hx-swap="outerHTML" {
            h1 { (sentence(status)) }
            (trouble(view))
            ul.tiles {
                (tile("waiting", status.pending_customers, "Waiting", &waiting(status)))
                (tile("refused", status.rejected, "Refused", &wants_a_person(status.rejected, "The store refused nothing.")))
                (tile("conflicts", status.conflicts, "Conflicts", &wants_a_person(status.conflicts, "Both sides agree.")))
            }
            @if !held_up.is_empty() { (held(&held_up)) }
            (facts(status))
        }
    })
}

/// All of it in one sentence.
fn sentence(status: &Status) -> String {
    let people = status.rejected + status.conflicts + status.held_up + status.held_alone;
    match (people, status.unsent, status.sync.state) {
        (0, 0, _) if status.last_pull_at.is_none() => "This till has not met its store yet.".to_owned(),
        (0, 0, _) => "All that was edited here is in the store.".to_owned(),
        (0, unsent, SyncState::Offline) => {
            format!("{} {} until the store is back.", show::count(unsent, "edit"), waits(unsent))
        }
        (0, unsent, _) => format!("{} {} for the next sync.", show::count(unsent, "edit"), waits(unsent)),
        (1, ..) => "One thing waits for you.".to_owned(),
        (people, ..) => format!("{} things wait for you.", show::thousands(people)),
    }
}

fn waits(edits: u64) -> &'static str {
    if edits == 1 { "waits" } else { "wait" }
}

/// What keeps the syncs from going well, and what to do about it.
fn trouble(view: &View<'_>) -> Markup {
    let (status, sync) = (view.status, &view.status.sync);
    html! {
        @if let Some(until) = status.throttled_until {
            p.note { "The store's quota is used up: it asks all to wait until " (show::time(until)) ". Then it goes on by itself." }
        }
        @if let Some(error) = &sync.last_error {
            div.note.bad {
                (frame::trouble(&Refusal::of(&error.code, &error.message, error.hint.as_deref())))
                p.aside { "Last tried " (show::time(error.at)) "." }
                @if let Some(at) = sync.next_try_at { p { "The next try is " (show::time(at)) "." } }
            }
        }
        @if status.held_alone > 0 {
            p.note.bad {
                (show::count(status.held_alone, "edit")) @if status.held_alone == 1 { " is" } @else { " are" }
                " held back, and no conflict tells why: make such an edit anew. Whoever looks after this till can find them."
            }
        }
        (frame::cannot_sync(view.way))
    }
}

fn tile(word: &str, number: u64, title: &str, about: &Markup) -> Markup {
    html! {
        li { a.tile href=(word) data-tile=(word) data-some[number > 0] {
            span.title { (title) } " "
            span.big { (show::thousands(number)) }
            span.about { (about) }
        } }
    }
}

fn waiting(status: &Status) -> Markup {
    html! {
        @match status.oldest_pending_at {
            Some(at) => { (what_waits(status)) ", the oldest " (show::time(at)) }
            None => "Nothing waits.",
        }
    }
}

fn what_waits(status: &Status) -> String {
    let (fields, uploads) = (status.pending_fields, status.in_flight_batches);
    let its = if uploads == 1 { "its" } else { "their" };
    let fields = (fields > 0 || uploads == 0).then(|| show::count(fields, "field"));
    let uploads = (uploads > 0).then(|| format!("{} on {its} way", show::count(uploads, "upload")));
    [fields, uploads].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn wants_a_person(number: u64, none: &str) -> Markup {
    html! { @match number { 0 => (none), 1 => "waits for a person", _ => "wait for a person" } }
}

fn held(held_up: &[HeldUp]) -> Markup {
    html! {
        section.card aria-labelledby="held-up" {
            h2 #held-up { "Held up by something of the app's" }
            p { "Nothing of these customers is sent. Whoever made the app can mend it; each sync tries again." }
            ul { @for one in held_up.iter().take(MOST_HELD_UP) {
                li { a href={ "customer?id=" (one.customer_id) } { "#" (one.customer_id) } ": " bdi { (show::plain(&one.error)) }
                    " " span.aside { "since " (show::time(one.since)) } }
            } }
        }
    }
}

fn facts(status: &Status) -> Markup {
    let never = || html! { "never" };
    let time = |at: Option<_>| at.map_or_else(never, show::time);
    html! {
        h2 { "This till" }
        dl.facts {
            div { dt { "Customers" } dd { (show::thousands(status.snapshot_customers)) } }
            div { dt { "In this file alone" } dd {
                @if status.unsent == 0 { "nothing" } @else { (show::count(status.unsent, "edit")) ": do not throw the file away" }
            } }
            div { dt { "Last pull" } dd { (time(status.last_pull_at)) } }
            div { dt { "Last push" } dd { (time(status.last_push_at)) } }
            div { dt { "Worker" } dd {
                @if status.sync.worker_paused { "paused: it syncs only when it is asked" }
                @else if status.sync.worker_alive { "keeps this till in step" } @else { "none: syncs are made by hand" }
            } }
        }
    }
}
