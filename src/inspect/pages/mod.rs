//! A page for each task, and what is around all of them. A page reads as the person goes: what there is, what to do about it, what
//! was done.
//!
//! A form is answered by another page where it did what was asked (so that nothing is sent twice by looking again), and by the
//! same page where it did not: with the reason at its head, and with all that was typed.

mod conflicts;
mod customer;
mod customers;
mod frame;
mod money;
mod overview;
mod refused;
mod said;
mod syncs;
mod waiting;

use std::cell::Cell;
use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::Markup;

use super::desk::Desk;
use super::entry::{PASSWORD, VALUE};
use super::guard::see_other;
use super::syncing::{Standing, SyncNow};
use crate::{CustomerId, Error, JournalRow, Status, Store, money as in_digits};
use said::{Did, Done, Refusal, Said};

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Overview,
    Waiting,
    Refused,
    Conflicts,
    Customers,
    Customer,
    Syncs,
}

impl Task {
    pub(super) const ALL: [Task; 7] = [
        Task::Overview,
        Task::Waiting,
        Task::Refused,
        Task::Conflicts,
        Task::Customers,
        Task::Customer,
        Task::Syncs,
    ];

    /// The word in its address.
    pub(super) fn word(self) -> &'static str {
        match self {
            Task::Overview => "overview",
            Task::Waiting => "waiting",
            Task::Refused => "refused",
            Task::Conflicts => "conflicts",
            Task::Customers => "customers",
            Task::Customer => "customer",
            Task::Syncs => "syncs",
        }
    }

    fn named(word: &str) -> Option<Task> {
        Task::ALL.into_iter().find(|task| task.word() == word)
    }

    /// Its name among the others.
    fn title(self) -> &'static str {
        match self {
            Task::Overview => "Overview",
            Task::Waiting => "Waiting",
            Task::Refused => "Refused",
            Task::Conflicts => "Conflicts",
            Task::Customers => "Customers",
            Task::Customer => "Customer",
            Task::Syncs => "Syncs",
        }
    }
}

/// What came with a request: of a page what is asked for, of a form what was typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(BTreeMap<String, String>);

impl Asked {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Asked {
        Asked(pairs.into_iter().collect())
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    fn customer(&self) -> CustomerId {
        CustomerId(self.number("id").unwrap_or_default())
    }

    /// Behind what a list begins, and each page of it before this one: so that there is a way back, and that it is known how far one is.
    fn way(&self) -> Vec<i64> {
        self.text("after")
            .split('.')
            .filter_map(|after| after.parse().ok())
            .filter(|after| *after > 0)
            .collect()
    }

    /// Behind what a list begins.
    fn after(&self) -> i64 {
        self.way().last().copied().unwrap_or_default()
    }

    /// The same as it stands in an address.
    fn way_text(&self) -> String {
        joined(&self.way())
    }

    /// Whether something was to be taken that was typed.
    fn has_typed(&self) -> bool {
        matches!(self.text("act"), "other" | "correct")
    }

    /// What was typed in the place of a value.
    fn typed(&self) -> &str {
        if self.0.contains_key(PASSWORD) { self.text(PASSWORD) } else { self.text(VALUE) }
    }
}

fn joined(way: &[i64]) -> String {
    way.iter().map(i64::to_string).collect::<Vec<_>>().join(".")
}

/// Edits, by which a decision names what was seen.
fn seqs<'e>(edits: impl IntoIterator<Item = &'e JournalRow>) -> String {
    joined(&edits.into_iter().map(|edit| edit.seq.0).collect::<Vec<_>>())
}

/// What a page is made of.
struct View<'a> {
    store: &'a mut Store,
    status: &'a Status,
    asked: &'a Asked,
    /// Why what was asked for was not done.
    refusal: Option<&'a Refusal>,
    /// Whether anything may be decided here.
    may_act: bool,
    standing: &'a Standing,
    way: &'a SyncNow,
    /// Whether what was typed and refused stands where it was typed.
    is_typed_there: Cell<bool>,
}

impl View<'_> {
    /// What was typed in the form of that key, if that was refused.
    fn typed(&self, key: &str) -> Option<&str> {
        let is_that = self.refusal.is_some() && self.asked.text("key") == key && self.asked.has_typed();
        self.is_typed_there.set(self.is_typed_there.get() || is_that);
        is_that.then(|| self.asked.text(VALUE))
    }

    /// Why it was.
    fn problem(&self, key: &str) -> Option<&str> {
        let refusal = self.refusal.filter(|_| self.asked.text("key") == key && self.asked.has_typed());
        refusal.map(|refusal| &*refusal.message)
    }

    /// What was typed and refused, where the form in which it was is gone: whoever typed it has it nowhere else. A password is on no page.
    fn typed_nowhere(&self) -> Option<&str> {
        let is_lost = self.refusal.is_some() && !self.is_typed_there.get();
        Some(self.asked.text(VALUE)).filter(|text| is_lost && !text.is_empty())
    }
}

/// Who decides.
fn author(desk: &Desk) -> Option<&str> {
    desk.author.as_deref()
}

/// A page, as somebody asks for it.
pub(super) fn shown(desk: &Desk, task: Task, asked: &Asked) -> Response {
    let is_of_nobody = task == Task::Customer && asked.customer() == CustomerId(0);
    let code = if is_of_nobody { StatusCode::NOT_FOUND } else { StatusCode::OK };
    made(desk, task, asked, None, code)
}

/// What a form sent was none that a page of this place sends.
pub(super) fn unreadable(code: StatusCode) -> Response {
    let why = match code {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            "What was sent is too long, so nothing was done.",
            "Go back, where it still stands, and make it shorter: two million letters are the most.",
        ),
        _ => Refusal::new(
            "What was sent could not be read, so nothing was done.",
            "Go back, and try it again.",
        ),
    };
    answer(code, frame::bare("This was not taken", Some(&why), None))
}

/// What a form asks for, and the page that tells what became of it.
pub(super) fn done(desk: &Desk, task: Task, asked: &Asked) -> Response {
    if desk.is_read_only {
        return made(desk, task, asked, Some(&only_shows()), StatusCode::FORBIDDEN);
    }
    let done = desk.with_store(|store| match task {
        Task::Waiting => waiting::act(store, asked, author(desk)),
        Task::Refused => refused::act(store, asked, author(desk)),
        Task::Conflicts => conflicts::act(store, asked, author(desk)),
        Task::Customer => customer::act(store, asked, author(desk)),
        Task::Overview | Task::Customers | Task::Syncs => {
            Err(Refusal::new("Nothing can be decided here.", "Look under another heading."))
        }
    });
    match done {
        Ok(did) => see_other(&after(task, asked, &did)),
        Err(refusal) => made(desk, task, asked, Some(&refusal), StatusCode::UNPROCESSABLE_ENTITY),
    }
}

fn only_shows() -> Refusal {
    Refusal::new("This page only shows, and nothing was done.", "It was opened to be looked at.")
}

/// The page on which it is told.
fn after(task: Task, asked: &Asked, did: &Did) -> String {
    let balance = did.balance.map(|sum| format!("&balance={}", in_digits(sum))).unwrap_or_default();
    let (word, said) = (task.word(), format!("{}{balance}", did.said.word()));
    match task {
        Task::Customer => format!("{word}?id={}&said={said}", asked.customer()),
        _ if asked.after() > 0 => format!("{word}?after={}&said={said}", asked.way_text()),
        _ => format!("{word}?said={said}"),
    }
}

fn made(desk: &Desk, task: Task, asked: &Asked, refusal: Option<&Refusal>, code: StatusCode) -> Response {
    let page = desk.with_store(|store| -> crate::Result<Markup> {
        let (status, standing) = (store.status()?, desk.syncing.standing());
        let mut view = View {
            store,
            status: &status,
            asked,
            refusal,
            may_act: !desk.is_read_only,
            standing: &standing,
            way: desk.syncing.way(),
            is_typed_there: Cell::new(false),
        };
        let body = body(task, &mut view)?;
        Ok(frame::whole(desk, task, &view, &body))
    });
    // What could not be done for the same reason stands nowhere else.
    let typed = Some(asked.text(VALUE)).filter(|text| refusal.is_some() && !text.is_empty());
    page.map_or_else(|error| broken(error, typed), |page| answer(code, page))
}

fn body(task: Task, view: &mut View<'_>) -> crate::Result<Markup> {
    match task {
        Task::Overview => overview::body(view),
        Task::Waiting => waiting::body(view),
        Task::Refused => refused::body(view),
        Task::Conflicts => conflicts::body(view),
        Task::Customers => customers::body(view),
        Task::Customer => customer::body(view),
        Task::Syncs => syncs::body(view),
    }
}

/// How things stand, in the place of what a page that is open says of it.
pub(super) fn pulse(desk: &Desk, asked: &Asked) -> Response {
    let task = Task::named(asked.text("at")).unwrap_or(Task::Overview);
    let pulse = desk.with_store(|store| store.status().map(|status| frame::pulse(desk, task, &status)));
    pulse.map_or_else(|error| broken(error, None), |pulse| answer(StatusCode::OK, pulse))
}

/// A sync is begun, or asked for.
pub(super) fn sync_now(desk: &Desk) -> Response {
    if desk.is_read_only {
        return made(desk, Task::Syncs, &Asked::default(), Some(&only_shows()), StatusCode::FORBIDDEN);
    }
    match desk.syncing.begin(|| desk.another()) {
        Ok(()) => see_other("syncs"),
        Err(error) => broken(error, None),
    }
}

/// An address of this place at which there is nothing.
pub(super) fn nowhere(_: &Desk) -> Response {
    answer(StatusCode::NOT_FOUND, frame::bare("There is nothing here", None, None))
}

/// The file cannot be read.
fn broken(error: Error, typed: Option<&str>) -> Response {
    let page = frame::bare("The file cannot be read", Some(&error.into()), typed);
    answer(StatusCode::INTERNAL_SERVER_ERROR, page)
}

fn answer(code: StatusCode, page: Markup) -> Response {
    (code, Html(page.into_string())).into_response()
}
