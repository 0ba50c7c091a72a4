//! What both sides changed, side by side: what both started from, ours, theirs. Whoever decides names what was shown.

use maud::{Markup, html};

use super::frame::{self, empty, more, surely};
use super::{Asked, Done, Refusal, Said, Task, View};
use crate::inspect::entry::{self, Entry};
use crate::inspect::show;
use crate::{Conflict, FieldId, FormValue, Keep, Kind, Result, Store, Value};

/// Conflicts on a page.
const MOST: usize = 25;

pub(super) fn act(store: &mut Store, asked: &Asked, author: Option<&str>) -> Done {
    let (id, field, stamp) = (asked.customer(), asked.text("field"), asked.text("stamp"));
    let (keep, said) = match asked.text("act") {
        "ours" => (Keep::Local, Said::KeptOurs),
        "theirs" => (Keep::Remote, Said::KeptTheirs),
        "other" => (other(store, asked)?, Said::KeptOther),
        "give-up" => {
            store.discard_seen(id, field, stamp, author)?;
            return Ok(Said::GivenUp);
        }
        _ => return Err(Refusal::moved_on()),
    };
    store.resolve_seen(id, field, &keep, stamp, author)?;
    Ok(said)
}

/// What was typed, by the type that the till's value has.
fn other(store: &Store, asked: &Asked) -> std::result::Result<Keep, Refusal> {
    let seen = asked.number("conflict").ok_or_else(Refusal::moved_on)?;
    let found = store.conflicts_page(seen.saturating_sub(1), 1)?.pop().filter(|conflict| conflict.id == seen);
    let conflict = found.ok_or_else(Refusal::moved_on)?;
    Ok(Keep::Value(entry::read(&conflict.field, asked.text("value"), &conflict.local)))
}

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let page = view.store.conflicts_page(view.asked.after(), MOST)?;
    let cards = page.iter().map(|conflict| card(view, conflict)).collect::<Result<Vec<_>>>()?;
    let last = page.last().filter(|_| page.len() == MOST).map(|conflict| conflict.id);
    Ok(html! {
        h1 { "Conflicts" }
        p.lead { "Changed here and in the store. Only these fields wait; everything else went on." }
        @if cards.is_empty() {
            (empty("No conflicts.", &html! { "When both sides change the same field, both values are here, side by side." }))
        }
        div #list.cards { @for card in &cards { (card) } }
        (more(Task::Conflicts, view, last))
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
            @if conflict.field == "*" { (deleted(view, conflict)) } @else { (both_changed(view, conflict)?) }
        }
    })
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
            p.note.bad { "The store refused our value before: " bdi { (show::plain(reason)) } }
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
        @if view.may_act { (choices(view, conflict, &key)) }
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

fn named(view: &View<'_>, conflict: &Conflict, key: &str) -> Markup {
    html! {
        input type="hidden" name="id" value=(conflict.customer_id);
        input type="hidden" name="field" value=(conflict.field);
        input type="hidden" name="stamp" value=(conflict.stamp);
        input type="hidden" name="conflict" value=(conflict.id);
        input type="hidden" name="key" value=(key);
        input type="hidden" name="after" value=(view.asked.after());
    }
}

fn choices(view: &View<'_>, conflict: &Conflict, key: &str) -> Markup {
    let named = named(view, conflict, key);
    let typed = view.typed(key);
    let entry = Entry {
        field: &conflict.field,
        json: &conflict.local,
        typed,
        id: key,
        label: "Another value for",
        refusal: typed.map(|_| frame::REFUSAL),
    };
    html! {
        div.choices {
            form.row method="post" action="conflicts" {
                (named)
                @if conflict.reason.is_none() {
                    button.first type="submit" name="act" value="ours" { "Keep ours" }
                }
                button type="submit" name="act" value="theirs" { "Keep theirs" }
            }
            details.other open[typed.is_some()] {
                summary { "Another value…" }
                form.entry method="post" action="conflicts" {
                    (named)
                    (entry.control())
                    button.first type="submit" name="act" value="other" { "Keep this value" }
                }
            }
        }
    }
}

/// Nobody is left to send it to.
fn deleted(view: &View<'_>, conflict: &Conflict) -> Markup {
    let key = conflict.id.to_string();
    html! {
        p {
            "This customer was deleted in the store while there were edits here. If they are there after all, this ends by itself; "
            "who is to be a customer again is made anew in the store."
        }
        @if view.may_act {
            (surely("Give up the edits", &html! { "The customer goes from this till, with what was edited." }, &html! {
                form method="post" action="conflicts" {
                    (named(view, conflict, &key))
                    button.danger type="submit" name="act" value="give-up" { "Give them up" }
                }
            }))
        }
    }
}
