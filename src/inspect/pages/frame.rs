//! What is around every page: the name, the tasks with what there is to do in each, how it stands, and what was just done.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, html};

use super::{Refusal, Said, Task, View, joined};
use crate::inspect::desk::Desk;
use crate::inspect::show::{self, Badge};
use crate::inspect::syncing::SyncNow;
use crate::{Decimal, Status, SyncState, money};

/// htmx neither brings styles of its own nor runs text as script: the policy forbids both.
const HTMX: &str =
    r#"{"includeIndicatorStyles":false,"allowEval":false,"selfRequestsOnly":true,"historyEnabled":false}"#;

/// For so long a sync that went well says that the store is there.
const FRESH: TimeDelta = TimeDelta::hours(1);

/// A whole page.
pub(super) fn whole(desk: &Desk, task: Task, view: &View<'_>, body: &Markup) -> Markup {
    let is_running = view.standing.is_running;
    document(
        task.title(),
        // A page that nobody's script keeps up to date looks again by itself while there is something to see.
        is_running && task == Task::Syncs,
        &html! {
            a.skip href="#main" { "To the page" }
            header.top {
                div.bar {
                    a.brand href="overview" { "tillsync" }
                    @if let Some(hash) = &view.status.store_hash { p.store { "Store " (show::name(hash)) } }
                    @if desk.is_read_only { p.tag { "only shows" } }
                }
                div #ended.ended hidden role="alert" {
                    p { strong { "This page has ended." } " The program behind it was closed. Nothing here is up to date any more, and nothing can be sent; what you typed still stands. Start it again, and copy it over." }
                }
                div #unreadable.ended hidden role="alert" {
                    p { strong { "The file of this till cannot be read just now." } " What is shown is as it was before. " a href="" { "Show why" } }
                }
                (pulse(desk, task, view.status))
            }
            main #main tabindex="-1" {
                (told(view))
                p #stale.note.stale hidden role="status" {
                    "Something here is not as it was. " a href="" { "Show it as it is now" }
                }
                (body)
            }
            template #typed-before { p.hint.draft { "Typed before, and not sent yet." } }
            template #typed-elsewhere {
                div.note.kept {
                    label { "What you typed, and was not sent: " }
                    textarea readonly rows="2" dir="auto" {}
                    button.quiet type="button" { "Forget it" }
                }
            }
            footer.foot {
                p { "tillsync " (env!("CARGO_PKG_VERSION")) " · " (file_name(view)) }
            }
        },
    )
}

fn file_name(view: &View<'_>) -> String {
    let name = view.store.path().file_name().map(|name| name.to_string_lossy().into_owned());
    show::plain(&name.unwrap_or_default())
}

/// A page without anything of the file.
pub(super) fn bare(title: &str, refusal: Option<&Refusal>, typed: Option<&str>) -> Markup {
    document(
        title,
        false,
        &html! {
            main #main.alone tabindex="-1" {
                p.brand { "tillsync" }
                h1 { (title) }
                @if let Some(refusal) = refusal { (why(refusal, typed)) }
                p { a href="overview" { "To the overview" } }
            }
        },
    )
}

fn document(title: &str, looks_again: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (title) " · tillsync" }
                link rel="icon" href="icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="page.css";
                script src="htmx.js" defer {}
                script src="page.js" defer {}
                @if looks_again { noscript { meta http-equiv="refresh" content="2"; } }
            }
            body { (body) }
        }
    }
}

/// What was just done, or why not.
fn told(view: &View<'_>) -> Markup {
    let said = Said::named(view.asked.text("said"));
    let balance = view.asked.text("balance").parse::<Decimal>().ok();
    html! {
        @if let Some(refusal) = view.refusal {
            (why(refusal, view.typed_nowhere()))
        } @else if let Some(said) = said {
            p #said.note.good role="status" tabindex="-1" autofocus {
                (said.sentence())
                @if let Some(balance) = balance { " The balance here is now " (show::amount(&money(balance))) "." }
            }
        }
    }
}

/// The id under which the words of a refusal are.
pub(super) const REFUSAL: &str = "refusal";

fn why(refusal: &Refusal, typed: Option<&str>) -> Markup {
    html! {
        div id=(REFUSAL) .note.bad role="alert" tabindex="-1" autofocus {
            (trouble(refusal))
            @if let Some(typed) = typed { (show::kept(typed)) }
        }
    }
}

/// What went wrong and what to do about it; the library's own words for whoever helps.
pub(super) fn trouble(refusal: &Refusal) -> Markup {
    html! {
        p { strong { (show::sentence(&refusal.message)) } }
        @if let Some(hint) = &refusal.hint { p { (show::sentence(hint)) } }
        @if let Some(details) = &refusal.details { (for_whoever_helps(details)) }
    }
}

fn for_whoever_helps(details: &str) -> Markup {
    html! { details { summary { "For whoever helps" } p.said-by-it { (show::plain(details)) } } }
}

/// Why there is no *Sync now*.
pub(super) fn cannot_sync(way: &SyncNow) -> Markup {
    html! {
        @if let SyncNow::Nobody(Some(why)) = way {
            div.note {
                p { "This page cannot sync: it was not told how to reach the store. What is decided here goes up with the next sync of the till." }
                (for_whoever_helps(why))
            }
        }
    }
}

/// The tasks, and how it stands: replaced while the page is open.
pub(super) fn pulse(desk: &Desk, task: Task, status: &Status) -> Markup {
    html! {
        div #pulse data-live hx-get={ "pulse?at=" (task.word()) } hx-trigger="changed" hx-swap="outerHTML" {
            nav aria-label="Tasks" { ul.tasks {
                @for (other, badge) in tasks(status) {
                    li { a id={ "to-" (other.word()) } href=(other.word())
                        aria-current=[is_at(task, other).then_some("page")] { (other.title()) (badge) } }
                }
            } }
            div.state data-state=(state(desk, status).word()) {
                p { span.dot aria-hidden="true" {} span { (in_words(desk, status)) } }
                (sync_now(desk))
            }
            (progress(desk))
        }
    }
}

fn is_at(task: Task, other: Task) -> bool {
    task == other || (task, other) == (Task::Customer, Task::Customers)
}

fn tasks(status: &Status) -> [(Task, Badge); 6] {
    [
        (Task::Overview, Badge(0, [""; 2])),
        (
            Task::Waiting,
            Badge(
                status.pending_customers,
                ["customer with edits that wait", "customers with edits that wait"],
            ),
        ),
        (Task::Refused, Badge(status.rejected, ["refused edit", "refused edits"])),
        (Task::Conflicts, Badge(status.conflicts, ["conflict", "conflicts"])),
        (Task::Customers, Badge(0, [""; 2])),
        (Task::Syncs, Badge(0, [""; 2])),
    ]
}

/// How it stands with the line to the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Never,
    Connected,
    /// Nobody has asked the store for a while.
    Quiet,
    Syncing,
    Away,
    Wrong,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Never => "never",
            State::Connected => "connected",
            State::Quiet => "quiet",
            State::Syncing => "syncing",
            State::Away => "away",
            State::Wrong => "wrong",
        }
    }
}

fn state(desk: &Desk, status: &Status) -> State {
    let sync = &status.sync;
    match sync.state {
        _ if desk.syncing.standing().is_running => State::Syncing,
        SyncState::Syncing => State::Syncing,
        SyncState::Idle if sync.last_success_at.is_none() => State::Never,
        SyncState::Idle if sync.worker_alive || is_fresh(sync.last_success_at) => State::Connected,
        SyncState::Idle => State::Quiet,
        SyncState::Offline => State::Away,
        SyncState::Refused | SyncState::Failed => State::Wrong,
    }
}

/// Whether it was so short a while ago that it is likely to be so still.
fn is_fresh(at: Option<DateTime<Utc>>) -> bool {
    at.is_some_and(|at| Utc::now() - at < FRESH)
}

/// One line on how it stands.
fn in_words(desk: &Desk, status: &Status) -> Markup {
    let sync = &status.sync;
    let (since, last) = (when(sync.since), when(sync.last_success_at));
    match state(desk, status) {
        State::Never => html! { "Never synced" },
        State::Syncing => html! { "Syncing now" },
        State::Connected => html! { "Connected, last synced " (last) },
        State::Quiet => html! { "Last synced " (last) },
        State::Away => html! { "The store is out of reach, since " (since) },
        State::Wrong if sync.state == SyncState::Refused => {
            html! { "The store refuses this till, since " (since) }
        }
        State::Wrong => html! { "The last sync failed, " (since) },
    }
}

fn when(at: Option<DateTime<Utc>>) -> Markup {
    at.map_or_else(|| html! { "an unknown time" }, show::time)
}

fn sync_now(desk: &Desk) -> Markup {
    let is_running = desk.syncing.standing().is_running;
    html! {
        @if !desk.is_read_only && !matches!(desk.syncing.way(), SyncNow::Nobody(_)) {
            form method="post" action="sync" {
                button #sync-now.quiet type="submit" aria-disabled=[is_running.then_some("true")] { "Sync now" }
            }
        }
    }
}

/// How far the sync has come that was asked for here; moved by script.
fn progress(desk: &Desk) -> Markup {
    let standing = desk.syncing.standing();
    let (done, of, words) = standing.progress.map_or((0, None, String::new()), |progress| match progress {
        crate::Progress::Pulled { customers, of } => {
            (customers, of, format!("{} came in", show::count(customers, "customer")))
        }
        crate::Progress::Uploaded { customers, of } => {
            (customers, Some(of), format!("{customers} of {} sent", show::count(of, "customer")))
        }
    });
    html! {
        div #progress.progress hidden[!standing.is_running] {
            progress aria-label="Progress of the sync" value=[of.map(|_| done)] max=[of.map(|of| of.max(1))] {}
            p { (words) }
        }
    }
}

/// What is shown where there is nothing to do.
pub(super) fn empty(what: &str, advice: &Markup) -> Markup {
    html! { div.empty { p.what { (what) } p { (advice) } } }
}

/// How a list goes on, and where in it one is.
pub(super) fn more(task: Task, view: &View<'_>, page: &Page<'_>) -> Markup {
    pages(task.word(), &view.asked.way(), page)
}

/// The same, at an address; `way`: behind what each page before this one began, and this one.
pub(super) fn pages(word: &str, way: &[i64], page: &Page<'_>) -> Markup {
    let before = way.len() * page.full;
    let sign = if word.contains('?') { '&' } else { '?' };
    let href = |way: &[i64]| match way {
        [] => word.to_owned(),
        way => format!("{word}{sign}after={}", joined(way)),
    };
    html! {
        @if page.last.is_some() || !way.is_empty() {
            nav.pages aria-label="Pages" {
                @if let Some((_, back)) = way.split_last() {
                    a rel="prev" href=(href(back)) { "Previous" }
                } @else { span {} }
                p.where { (whereabouts(before, page)) }
                @if let Some(last) = page.last {
                    a.next rel="next" href=(href(&[way, &[last]].concat())) { "Next" }
                } @else { span {} }
            }
        }
    }
}

fn whereabouts(before: usize, page: &Page<'_>) -> String {
    let (first, last) = (before as u64 + 1, (before + page.shown) as u64);
    let here = format!("{}–{}", show::thousands(first), show::thousands(last));
    match page.all {
        None => here,
        Some(all) if page.shown == 0 => format!("{} in all", show::count(all, page.what)),
        Some(all) => format!("{here} of {}", show::count(all, page.what)),
    }
}

/// A page of a list.
pub(super) struct Page<'a> {
    pub(super) shown: usize,
    /// As many as a page has that others follow.
    pub(super) full: usize,
    /// Behind what the next one begins; none: this is the last.
    pub(super) last: Option<i64>,
    /// How many there are, where that is known, and of what.
    pub(super) all: Option<u64>,
    pub(super) what: &'a str,
}

/// Something is asked once more before it is done: without script, and by the keyboard.
pub(super) fn surely(word: &str, question: &Markup, button: &Markup) -> Markup {
    html! {
        details.surely {
            summary { (word) "…" }
            div.question { p { (question) } (button) }
        }
    }
}

/// A customer's name, as a way to all of theirs.
pub(super) fn customer(view: &View<'_>, id: crate::CustomerId) -> crate::Result<Markup> {
    let row = view.store.get(id)?;
    let name = row.as_ref().map_or_else(|| format!("Customer {id}"), show::customer_name);
    Ok(html! {
        a href={ "customer?id=" (id) } { bdi { (name) } }
        " " span.number.id { "#" (id) }
    })
}
