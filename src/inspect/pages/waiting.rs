//! The edits that wait for a sync: what would be sent, who made them and when.

use maud::{Markup, html};

use super::frame::{self, Page, empty, more, surely};
use super::{Asked, Done, Refusal, Said, Task, View};
use crate::inspect::show;
use crate::{CustomerId, Edit, EditSeq, FieldId, JournalRow, Outcome, Record, Result, Store, Value, Waiting};

/// Customers on a page.
const MOST: usize = 25;
/// Edits of one of them, the newest.
const MOST_EDITS: usize = 30;

pub(super) fn act(store: &mut Store, asked: &Asked, author: Option<&str>) -> Done {
    let seq = asked.number("seq").filter(|_| asked.text("act") == "give-up").map(EditSeq);
    let seq = seq.ok_or_else(Refusal::moved_on)?;
    let edit = store.journal_page(None, Some(EditSeq(seq.0.saturating_add(1))), 1)?.pop();
    let edit = edit.filter(|edit| edit.seq == seq).ok_or_else(Refusal::moved_on)?;
    store.discard_row(seq, author)?;
    Ok(Said::given_up(store, edit.customer_id, &edit.field)?.into())
}

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let page = view.store.waiting_page(EditSeq(view.asked.after()), MOST)?;
    let ids: Vec<CustomerId> = page.iter().map(|waiting| waiting.customer_id).collect();
    let changes = if ids.is_empty() { Vec::new() } else { view.store.changes(&ids)? };
    let payloads = if ids.is_empty() { Vec::new() } else { view.store.diff(&ids)? };
    let mut cards = Vec::new();
    for waiting in &page {
        let of = |id: &CustomerId| *id == waiting.customer_id;
        let nth = changes.iter().position(|(id, _)| of(id));
        let (sent, payload) = (nth.map(|nth| &*changes[nth].1), nth.and_then(|nth| payloads.get(nth)));
        cards.push(card(view, waiting, sent.unwrap_or_default(), payload)?);
    }
    let last = page.last().filter(|_| page.len() == MOST).map(|waiting| waiting.first.0);
    let all = Some(view.status.pending_customers);
    let page = Page { shown: page.len(), full: MOST, last, all, what: "customer" };
    Ok(html! {
        h1 { "Waiting" }
        @if cards.is_empty() {
            (empty("Nothing waits.", &html! { "What is edited here next is listed until the store has it." }))
        } @else {
            p.lead { (lead(view)) }
        }
        div #list.cards { @for card in &cards { (card) } }
        (more(Task::Waiting, view, &page))
    })
}

fn lead(view: &View<'_>) -> Markup {
    let status = view.status;
    html! {
        @if status.pending_fields > 0 {
            (show::count(status.pending_fields, "field")) " of " (show::count(status.pending_customers, "customer"))
            @if status.pending_fields == 1 { " goes" } @else { " go" } " up with the next sync; nothing needs to be done."
        } @else {
            "Edits that the next sync brings to the store."
        }
    }
}

fn card(view: &View<'_>, waiting: &Waiting, sent: &[Edit], payload: Option<&String>) -> Result<Markup> {
    let id = waiting.customer_id;
    let snapshot = view.store.snapshot(id)?;
    let earlier = waiting.edits.len().saturating_sub(MOST_EDITS);
    Ok(html! {
        article.card data-key={ (id) "-" (waiting.edits.len()) } aria-labelledby={ "who-" (id) } {
            header { h2 id={ "who-" (id) } { (frame::customer(view, id)?) } p.aside { "waits since " (show::stamp(&waiting.since)) } }
            (changes(sent, snapshot.as_ref(), waiting))
            div.folds {
                details {
                    summary { (show::count(waiting.edits.len() as u64, "edit")) }
                    ul.edits { @for edit in waiting.edits.iter().skip(earlier) { (one(view, edit)) } }
                    @if earlier > 0 { p { a href={ "customer?id=" (id) } { "Earlier ones" } } }
                }
                @if let Some(payload) = payload {
                    details { summary { "Exactly what is sent" } pre tabindex="0" dir="ltr" { (show::plain(payload)) } }
                }
            }
        }
    })
}

/// What the store has, and what it gets.
fn changes(sent: &[Edit], snapshot: Option<&Record>, waiting: &Waiting) -> Markup {
    let on_their_way = waiting.edits.iter().filter(|edit| edit.outcome == Some(Outcome::InFlight)).count();
    let theirs = snapshot.and_then(|record| record.attributes().ok());
    let before = |field| theirs.as_ref().map_or(Value::Null, |theirs| theirs.get(field));
    let rows = sent.iter().filter_map(|edit| match edit {
        Edit::Set(field, value) => Some((*field, value)),
        Edit::Adjust(_) => None,
    });
    html! {
        @if on_their_way > 0 {
            p.note { (show::count(on_their_way as u64, "edit")) @if on_their_way == 1 { " was" } @else { " were" }
                " sent, and the answer is not known yet. The next sync asks the store whether it arrived; nothing is sent twice." }
        }
        @if sent.is_empty() && on_their_way == 0 {
            p.aside { "Nothing has to be sent for these: the store has the values already." }
        } @else {
            dl.changes { @for (field, value) in rows {
                @for (name, from, to) in parts(field, &before(field), value) {
                    div {
                        dt { (show::field(&name)) }
                        dd.from { span.unseen { "in the store: " } (from) }
                        dd.to { span.unseen { "will be: " } (to) }
                    }
                }
            } }
        }
    }
}

/// Of form fields those that differ, else the value as a whole.
fn parts(field: FieldId, before: &Value, after: &Value) -> Vec<(String, Markup, Markup)> {
    let (Some(was), Some(is)) = (before.forms(), after.forms()) else {
        let (from, to) = match (before, after) {
            _ if field.is_secret() => (html! { span.nothing { "never shown" } }, show::value(field, after)),
            (Value::Text(was), Value::Text(is)) => (show::value(field, before), show::differing(was, is)),
            _ => (show::value(field, before), show::value(field, after)),
        };
        return vec![(field.name().to_owned(), from, to)];
    };
    let names: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let shown = |value: Option<&crate::FormValue>| {
        value.map_or_else(|| html! { span.nothing { "nothing" } }, show::form_value)
    };
    let differing = names.into_iter().filter(|name| was.get(*name) != is.get(*name));
    differing.map(|name| (format!("form_fields.{name}"), shown(was.get(name)), shown(is.get(name)))).collect()
}

fn one(view: &View<'_>, edit: &JournalRow) -> Markup {
    let is_on_its_way = edit.outcome == Some(Outcome::InFlight);
    html! {
        li {
            p { (what(edit)) " " span.aside { (by(edit)) } }
            @if is_on_its_way {
                p.aside { "Sent; whether it arrived is not known yet, so it cannot be given up." }
            } @else if view.may_act {
                (surely("Give up", &question(edit), &html! {
                    form method="post" action="waiting" {
                        input type="hidden" name="seq" value=(edit.seq);
                        input type="hidden" name="after" value=(view.asked.way_text());
                        button.danger type="submit" name="act" value="give-up" { "Give up this edit" }
                    }
                }))
            }
        }
    }
}

fn question(edit: &JournalRow) -> Markup {
    html! { "It is not sent, and " (show::field(&edit.field)) " is again what it was without it." }
}

/// What an edit did.
pub(super) fn what(edit: &JournalRow) -> Markup {
    html! {
        strong { (show::field(&edit.field)) } " "
        @if let Some(amount) = edit.payment() {
            (show::payment(amount))
        } @else {
            span.was { (show::json(&edit.field, &edit.was)) } " → " (show::json(&edit.field, &edit.value))
        }
    }
}

/// Who made it, when, and for what.
pub(super) fn by(edit: &JournalRow) -> Markup {
    html! {
        (show::stamp(&edit.at))
        @if let Some(author) = &edit.author { ", by " (show::name(author)) }
        @if let Some(label) = edit.label.as_deref().filter(|label| !is_usual(label)) { ", for " (show::name(label)) }
        @if let Some(who) = &edit.allowed_by { ", allowed by " (show::name(who)) }
        ", edit " span.number { (edit.seq) }
    }
}

/// The label of an edit that was given none: `edit` and when it was made, which is told already.
fn is_usual(label: &str) -> bool {
    label.strip_prefix("edit ").is_some_and(|at| chrono::DateTime::parse_from_rfc3339(at).is_ok())
}
