//! What both sides changed, side by side: what both started from, ours, theirs. Whoever decides names what was shown.

use maud::{Markup, html};

use super::frame::{self, Page, empty, more, surely};
use super::money::{self, Outlook};
use super::waiting::{by, what};
use super::{Asked, Did, Done, Refusal, Said, Task, View, seqs};
use crate::inspect::entry::{self, Entry};
use crate::inspect::show;
use crate::{Conflict, FieldId, FormValue, JournalRow, Keep, Kind, Outcome, Result, Store, Value};

/// Conflicts on a page.
const MOST: usize = 25;

pub(super) fn act(store: &mut Store, asked: &Asked, author: Option<&str>) -> Done {
    let conflict = as_seen(store, asked)?;
    let (id, field, stamp) = (conflict.customer_id, &*conflict.field, &*conflict.stamp);
    let (keep, said) = match asked.text("act") {
        "ours" => (Keep::Local, Said::KeptOurs),
        "theirs" => (Keep::Remote, Said::KeptTheirs),
        "other" => (Keep::Value(other(store, asked, &conflict)?), Said::KeptOther),
        "give-up" => {
            refuse_edited_since(store, asked, &conflict)?;
            store.discard_seen(id, field, stamp, author)?;
            return Ok(Said::Gone.into());
        }
        _ => return Err(Refusal::moved_on()),
    };
    if let Some(outlook) =
        kept_side(&conflict, &keep).map(|side| outlook(store, &conflict, side)).transpose()?.flatten()
    {
        outlook.refuse_unseen(asked)?;
    }
    store.resolve_seen(id, field, &keep, stamp, author)?;
    let balance = if money::is_balance(field) { money::here(store, id)? } else { None };
    Ok(Did { said, balance })
}

/// What was shown, if it still is so.
fn as_seen(store: &Store, asked: &Asked) -> std::result::Result<Conflict, Refusal> {
    let seen = asked.number("conflict").ok_or_else(Refusal::moved_on)?;
    let found = store.conflicts_page(seen.saturating_sub(1), 1)?.pop();
    let is_that = |conflict: &Conflict| conflict.id == seen && conflict.stamp == asked.text("stamp");
    found.filter(is_that).ok_or_else(Refusal::moved_on)
}

/// Of a customer who was deleted all is shown that was edited: what was edited since the page was made, nobody has seen.
fn refuse_edited_since(
    store: &Store,
    asked: &Asked,
    conflict: &Conflict,
) -> std::result::Result<(), Refusal> {
    let is_as_shown = asked.text("edits") == seqs(&store.pending(conflict.customer_id)?);
    if is_as_shown { Ok(()) } else { Err(Refusal::moved_on()) }
}

/// What was typed, by the type that the till's value has.
fn other(store: &Store, asked: &Asked, conflict: &Conflict) -> std::result::Result<String, Refusal> {
    let value = entry::read(&conflict.field, asked.typed(), &conflict.local).map_err(Refusal::typed)?;
    money::refuse_below_floor(store, conflict.customer_id, &conflict.field, &value, |edit| {
        !conflict.seqs.contains(&edit.seq)
    })?;
    Ok(value)
}

/// The side that is kept; what somebody typed was looked at where it was typed.
fn kept_side<'c>(conflict: &'c Conflict, keep: &Keep) -> Option<&'c str> {
    match keep {
        Keep::Local => Some(&conflict.local),
        Keep::Remote => Some(&conflict.remote),
        Keep::Value(_) => None,
    }
}

/// The payments that go on top of whatever is decided.
fn paid_since(store: &Store, conflict: &Conflict) -> Result<Vec<JournalRow>> {
    money::payments(store, conflict.customer_id, |edit| !conflict.seqs.contains(&edit.seq))
}

/// What a side comes to with those, if it is a balance.
fn outlook(store: &Store, conflict: &Conflict, side: &str) -> Result<Option<Outlook>> {
    if !money::is_balance(&conflict.field) {
        return Ok(None);
    }
    let theirs = Value::from_json(Kind::Credit, &conflict.remote).credit();
    Outlook::with_payments(store, side, &paid_since(store, conflict)?, theirs)
}

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let page = view.store.conflicts_page(view.asked.after(), MOST)?;
    let cards = page.iter().map(|conflict| card(view, conflict)).collect::<Result<Vec<_>>>()?;
    let last = page.last().filter(|_| page.len() == MOST).map(|conflict| conflict.id);
    let all = Some(view.status.conflicts);
    let page = Page { shown: page.len(), full: MOST, last, all, what: "conflict" };
    Ok(html! {
        h1 { "Conflicts" }
        @if cards.is_empty() {
            (empty("No conflicts.", &html! { "When both sides change the same field, both values are here, side by side." }))
        } @else {
            p.lead { "Changed here and in the store. Only these fields wait; everything else went on." }
        }
        div #list.cards { @for card in &cards { (card) } }
        (more(Task::Conflicts, view, &page))
    })
}

fn card(view: &View<'_>, conflict: &Conflict) -> Result<Markup> {
    let (id, number) = (conflict.customer_id, conflict.id);
    Ok(html! {
        article.card data-key=(conflict.stamp) aria-labelledby={ "who-" (number) " what-" (number) } {
            header {
                h2 id={ "who-" (number) } { (frame::customer(view, id)?) }
                p.aside id={ "what-" (number) } { strong { (show::field(&conflict.field)) } ", found " (show::stamp(&conflict.detected_at)) }
            }
            @match conflict.field.as_str() {
                "*" => { (deleted(view, conflict)?) }
                "+" => { (existing(conflict)) }
                "-" => { (deleted_here(conflict)) }
                _ => { (both_changed(view, conflict)?) }
            }
        }
    })
}

/// A whole customer, as two sides have it: each with its title, as JSON.
fn two_sides(conflict: &Conflict, ours: (&str, &str), theirs: (&str, &str)) -> Markup {
    let key = conflict.id.to_string();
    let side = |name: &str, (title, json): (&str, &str)| {
        html! {
            div class={ "side " (name) } role="group" aria-labelledby={ (name) "-" (key) } {
                h3 id={ (name) "-" (key) } { (title) }
                div.value { (show::json(&conflict.field, json)) }
            }
        }
    };
    html! { div.sides { (side("ours", ours)) (side("theirs", theirs)) } }
}

/// Somebody was entered here whom the store has, or somebody else with the same address.
fn existing(conflict: &Conflict) -> Markup {
    html! {
        (two_sides(conflict, ("Entered here", &conflict.local), ("In the store", &conflict.remote)))
        p.note {
            "The store has somebody with this address. Whoever set up this till says who it is: " code { "tillsync resolve " (conflict.customer_id) " + --keep remote" }
            " for the same person, " code { "--value" } " with another address for another one, or " code { "tillsync discard " (conflict.customer_id) } "."
        }
    }
}

/// Somebody was deleted here, and changed in the store meanwhile.
fn deleted_here(conflict: &Conflict) -> Markup {
    html! {
        (two_sides(conflict, ("As it was when it was deleted", &conflict.base), ("In the store", &conflict.remote)))
        p.note {
            "It was deleted here, and somebody changed it in the store meanwhile. Whoever set up this till says which it shall be: "
            code { "tillsync resolve " (conflict.customer_id) " - --keep local" } " deletes it all the same, "
            code { "--keep remote" } " has it here again."
        }
    }
}

fn both_changed(view: &View<'_>, conflict: &Conflict) -> Result<Markup> {
    let changed_at = view.store.snapshot(conflict.customer_id)?;
    let changed_at =
        changed_at.and_then(|record| record.attributes().ok()?.get(FieldId::DATE_MODIFIED).date());
    let mine = conflict.seqs.last().copied();
    let edited_at = match mine {
        Some(seq) => view.store.pending(conflict.customer_id)?.into_iter().find(|edit| edit.seq == seq),
        None => None,
    };
    let key = conflict.id.to_string();
    Ok(html! {
        @if FieldId::named(&conflict.field).is_some_and(FieldId::is_money) { (about_money()) }
        @if let Some(reason) = &conflict.reason {
            p.note.bad { "Our value was refused before: " bdi { (show::plain(reason)) } }
        }
        div.sides {
            div.side role="group" aria-labelledby={ "base-" (key) } {
                h3 id={ "base-" (key) } { "Before" }
                div.value { (show::json(&conflict.field, &conflict.base)) }
                p.aside { "what both started from" }
            }
            div.side.ours role="group" aria-labelledby={ "ours-" (key) } {
                h3 id={ "ours-" (key) } { "Here" }
                div.value { (marked(conflict, &conflict.local)) }
                p.aside {
                    @if let Some(author) = &conflict.author { "by " (show::name(author)) " " }
                    @if let Some(edit) = &edited_at { (show::stamp(&edit.at)) }
                }
            }
            div.side.theirs role="group" aria-labelledby={ "theirs-" (key) } {
                h3 id={ "theirs-" (key) } { "In the store" }
                div.value { (marked(conflict, &conflict.remote)) }
                p.aside { @if let Some(at) = changed_at { "customer changed there " (show::time(at)) } }
            }
        }
        (what_it_comes_to(view, conflict)?)
        @if view.may_act { (choices(view, conflict, &key)?) }
    })
}

/// Of a balance on top of which something was paid: each payment, and what either side comes to with them.
fn what_it_comes_to(view: &View<'_>, conflict: &Conflict) -> Result<Markup> {
    if !money::is_balance(&conflict.field) {
        return Ok(Markup::default());
    }
    let payments = paid_since(view.store, conflict)?;
    let sides = [("Keep ours", &conflict.local), ("Keep theirs", &conflict.remote)];
    let sums = sides
        .map(|(word, side)| outlook(view.store, conflict, side).map(|sum| sum.map(|sum| (word, sum.sum()))));
    let sums = sums.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(html! {
        (listed("Paid since: goes on top of whatever is decided", &payments.iter().collect::<Vec<_>>()))
        @if !payments.is_empty() {
            ul { @for (word, sum) in sums.iter().flatten() { li { (word) ": " (sum) } } }
        }
    })
}

/// A value with what is otherwise than before, where it is text.
fn marked(conflict: &Conflict, json: &str) -> Markup {
    match (text_of(&conflict.field, &conflict.base), text_of(&conflict.field, json)) {
        (Some(base), Some(text)) if !text.is_empty() => show::differing(&base, &text),
        _ => show::json(&conflict.field, json),
    }
}

fn text_of(field: &str, json: &str) -> Option<String> {
    match FieldId::named(field) {
        Some(field) if field.kind() != Kind::Text => None,
        Some(field) => Value::from_json(field.kind(), json).text().map(str::to_owned),
        None => match FormValue::from_json(json) {
            FormValue::Text(text) => Some(text),
            _ => None,
        },
    }
}

fn about_money() -> Markup {
    html! {
        p.note {
            "Both sides changed the balance, or an upload was cut off and nobody can tell whether a payment arrived. The customer's history in "
            "the store tells which: where all is in there, keep the store's balance; where it is not, type the right one. What was edited here "
            "since goes on top."
        }
    }
}

fn named(view: &View<'_>, conflict: &Conflict) -> Markup {
    let key = key(conflict);
    html! {
        input type="hidden" name="id" value=(conflict.customer_id);
        input type="hidden" name="field" value=(conflict.field);
        input type="hidden" name="stamp" value=(conflict.stamp);
        input type="hidden" name="conflict" value=(conflict.id);
        input type="hidden" name="key" value=(key);
        input type="hidden" name="after" value=(view.asked.way_text());
    }
}

/// By which what was typed about it is found again, though it has moved on.
fn key(conflict: &Conflict) -> String {
    format!("{} {}", conflict.customer_id, conflict.field)
}

fn choices(view: &View<'_>, conflict: &Conflict, id: &str) -> Result<Markup> {
    let (named, key) = (named(view, conflict), key(conflict));
    let typed = view.typed(&key);
    let entry = Entry {
        field: &conflict.field,
        json: &conflict.local,
        typed,
        id,
        label: "Another value for",
        refusal: view.problem(&key),
    };
    let ours = side(&named, ("ours", "Keep ours"), outlook(view.store, conflict, &conflict.local)?.as_ref());
    let theirs =
        side(&named, ("theirs", "Keep theirs"), outlook(view.store, conflict, &conflict.remote)?.as_ref());
    Ok(html! {
        div.choices {
            div.row {
                @if conflict.reason.is_none() { (ours) }
                (theirs)
            }
            details.other open[entry.refusal.is_some()] {
                summary { "Another value…" }
                form.entry method="post" action="conflicts" {
                    (named)
                    (entry.control())
                    button.first type="submit" name="act" value="other" { "Keep this value" }
                }
            }
        }
    })
}

/// To keep a side; where that leaves a balance below the floor, by a second word.
fn side(named: &Markup, (act, word): (&str, &str), outlook: Option<&Outlook>) -> Markup {
    let is_first = act == "ours";
    match outlook.filter(|outlook| outlook.is_below_floor()) {
        None => html! {
            form method="post" action="conflicts" {
                (named)
                button.first[is_first] type="submit" name="act" value=(act) { (word) }
            }
        },
        Some(outlook) => surely(
            word,
            &outlook.question(),
            &html! {
                form method="post" action="conflicts" {
                    (named)
                    (outlook.seen())
                    button.danger type="submit" name="act" value=(act) { (word) " all the same" }
                }
            },
        ),
    }
}

/// Nobody is left to send it to. Whoever gives the edits up sees which, and what becomes of those that were made since.
fn deleted(view: &View<'_>, conflict: &Conflict) -> Result<Markup> {
    let edits = view.store.pending(conflict.customer_id)?;
    let is_on_its_way = edits.iter().any(|edit| edit.outcome == Some(Outcome::InFlight));
    let waits = |edit: &&JournalRow| {
        matches!(edit.outcome, Some(Outcome::Held | Outcome::Rejected)) || conflict.seqs.contains(&edit.seq)
    };
    let (given_up, since): (Vec<&JournalRow>, Vec<&JournalRow>) = edits.iter().partition(waits);
    Ok(html! {
        p {
            "This customer was deleted in the store while there were edits here. If they are there after all, this ends by itself; "
            "who is to be a customer again is made anew in the store."
        }
        (listed("What is given up with the customer", &given_up))
        @if !since.is_empty() {
            (listed("Paid since: kept, and asked about by itself after that", &since))
        }
        @if view.may_act && is_on_its_way {
            p.note { "One of these was sent, and whether it arrived is not known yet. Sync first, then decide." }
        } @else if view.may_act {
            (surely("Give up the edits", &what_goes(&given_up, since.is_empty()), &html! {
                form method="post" action="conflicts" {
                    (named(view, conflict))
                    input type="hidden" name="edits" value=(seqs(&edits));
                    button.danger type="submit" name="act" value="give-up" { "Give them up" }
                }
            }))
        }
    })
}

fn listed(title: &str, edits: &[&JournalRow]) -> Markup {
    html! {
        @if !edits.is_empty() {
            div.listed {
                h3 { (title) }
                ul.edits { @for edit in edits { li { p { (what(edit)) " " span.aside { (by(edit)) } } } } }
            }
        }
    }
}

fn what_goes(edits: &[&JournalRow], is_all: bool) -> Markup {
    let payments = edits.iter().filter(|edit| edit.op == "adjust").count() as u64;
    html! {
        (show::count(edits.len() as u64, "edit"))
        @if edits.len() == 1 { " is" } @else { " are" }
        " never sent" @if is_all { ", and the customer goes from this till" } ". "
        @if payments > 0 {
            (show::count(payments, "payment")) " among them" @if payments == 1 { " is" } @else { " are" }
            " in no balance of the store then: settle that with the customer. "
        }
        "The history keeps what was given up."
    }
}
