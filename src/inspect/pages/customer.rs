//! All of one customer: what is here and what the store has, and everything that was edited, by whom and what became of it.

use maud::{Markup, html};

use super::frame::{self, empty, surely};
use super::waiting::{by, what};
use super::{Asked, Done, Refusal, Said, View};
use crate::inspect::show;
use crate::{CustomerId, DecisionRow, EditSeq, FieldId, JournalRow, Outcome, Result, Row, Store, Value};

/// Edits on a page of the history.
const MOST: usize = 50;

pub(super) fn act(store: &mut Store, asked: &Asked, author: Option<&str>) -> Done {
    match (asked.text("act"), asked.number("decision")) {
        ("undo", Some(decision)) => store.undo(decision, author)?,
        _ => return Err(Refusal::moved_on()),
    };
    Ok(Said::Undone.into())
}

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let id = view.asked.customer();
    if id == CustomerId(0) {
        return Ok(html! {
            h1 { "There is no such customer" }
            (empty("A customer has a number, and this is none.", &html! { a href="customers" { "Look for somebody" } }))
        });
    }
    let (row, history) = (view.store.get(id)?, history(view, id)?);
    let Some(row) = row else {
        return Ok(html! {
            h1 { "Customer " (id) }
            (empty("There is no such customer in this till.", &html! {
                "They may be new in the store, or gone from it. " a href="customers" { "Look for somebody else" }
            }))
            (history)
        });
    };
    Ok(html! {
        h1 { bdi { (show::customer_name(&row)) } " " span.number.id { "#" (id) } }
        (attention(view, id)?)
        (attributes(view, &row)?)
        (besides(&row))
        (history)
    })
}

/// Where something of this customer wants a person.
fn attention(view: &View<'_>, id: CustomerId) -> Result<Markup> {
    let pending = view.store.pending(id)?;
    let is_any = |outcome: Outcome| pending.iter().any(|edit| edit.outcome == Some(outcome));
    let waits = pending.iter().filter(|edit| edit.outcome.is_none()).count();
    Ok(html! {
        @if is_any(Outcome::Held) { p.note.bad { "Both sides changed something. " a href="conflicts" { "To the conflicts" } } }
        @if is_any(Outcome::Rejected) { p.note.bad { "Something was refused. " a href="refused" { "To what it refused" } } }
        @if is_any(Outcome::InFlight) { p.note { "Something was sent, and the answer is not known yet: the next sync asks the store. " a href="waiting" { "To what waits" } } }
        @if waits > 0 { p.note { (show::count(waits as u64, "edit")) @if waits == 1 { " goes" } @else { " go" } " up with the next sync. " a href="waiting" { "To what waits" } } }
    })
}

fn attributes(view: &View<'_>, row: &Row) -> Result<Markup> {
    let snapshot = view.store.snapshot(row.id())?;
    let theirs = snapshot.as_ref().and_then(|record| record.attributes().ok());
    let in_store = |field: FieldId| {
        theirs.as_ref().map(|theirs| theirs.get(field)).filter(|value| value != row.get(field))
    };
    let is_shown = |field: &FieldId| !is_bare(row.get(*field)) || in_store(*field).is_some();
    let fields = FieldId::columns().filter(|field| field.is_editable()).filter(is_shown);
    let dates = ["date_created", "date_modified"].into_iter().filter_map(FieldId::named);
    Ok(html! {
        dl.attributes {
            @for field in fields.chain(dates) {
                div {
                    dt { (show::field(field.name())) }
                    dd {
                        (show::value(field, row.get(field)))
                        @if let Some(value) = in_store(field) { p.differs { "in the store: " (show::value(field, &value)) } }
                    }
                }
            }
        }
    })
}

/// What the store keeps of them and no edit changes, as far as it was asked for.
fn besides(row: &Row) -> Markup {
    let is_date = |field: &FieldId| field.name().starts_with("date_");
    let fields = FieldId::columns().filter(|field| !field.is_editable() && !is_date(field));
    let told: Vec<FieldId> = fields.filter(|field| !is_bare(row.get(*field))).collect();
    html! {
        @if !told.is_empty() {
            details.besides {
                summary { "What the store keeps besides" }
                dl.attributes { @for field in told {
                    div { dt { (show::field(field.name())) } dd { (kept(field, row.get(field))) } }
                } }
            }
        }
    }
}

fn kept(field: FieldId, value: &Value) -> Markup {
    let addresses = value.json().filter(|_| field.name() == "addresses").and_then(show::addresses);
    addresses.unwrap_or_else(|| show::value(field, value))
}

fn is_bare(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::Forms(entries) => entries.is_empty(),
        _ => false,
    }
}

fn history(view: &View<'_>, id: CustomerId) -> Result<Markup> {
    let way = view.asked.way();
    let before = way.last().copied().map(EditSeq);
    let rows = view.store.journal_page(Some(id), before, MOST)?;
    let last = rows.last().filter(|_| rows.len() == MOST).map(|row| row.seq.0);
    let page = frame::Page { shown: rows.len(), full: MOST, last, all: None, what: "edit" };
    Ok(html! {
        h2 { "History" }
        @if rows.is_empty() { (empty("Nothing was edited here.", &html! { "What is edited at this till is listed, with what became of it." })) }
        ol.history { @for row in &rows { (one(view, row)) } }
        (frame::pages(&format!("customer?id={id}"), &way, &page))
    })
}

fn one(view: &View<'_>, row: &JournalRow) -> Markup {
    html! {
        li {
            p { (what(row)) }
            p.aside { (by(row)) }
            p.outcome data-outcome=(row.outcome.map_or("pending", Outcome::as_str)) { (became(row.outcome)) }
            @if let Some(reason) = &row.reason { blockquote dir="auto" { (show::plain(reason)) } }
            @for decision in &row.decisions { (decided(view, row, decision)) }
        }
    }
}

/// What became of it, in words.
fn became(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        None => "waits for the next sync",
        Some(Outcome::InFlight) => "sent, the answer is not known yet",
        Some(Outcome::Uploaded) => "in the store",
        Some(Outcome::Unchanged) => "the store had it already",
        Some(Outcome::Superseded) => "a later edit took its place",
        Some(Outcome::Rejected) => "refused, waits for a person",
        Some(Outcome::Held) => "in conflict, waits for a decision",
        Some(Outcome::Discarded) => "given up",
        Some(Outcome::Remote) => "the store's value was kept",
        Some(Outcome::Merged) => "the store has another that says the same",
    }
}

fn decided(view: &View<'_>, row: &JournalRow, decision: &DecisionRow) -> Markup {
    let who = match decision.policy.as_str() {
        "hold" => "by a person",
        "merge" => "by the merge",
        "resolver" => "by the app",
        _ => "by its policy",
    };
    html! {
        div.decision {
            p { "The store had " (show::json(&decision.field, &decision.remote)) "; "
                @match decision.resolution.as_deref() {
                    None => "it waits for a decision.",
                    Some("undone") => "what was decided was taken back.",
                    Some(kept) => { "decided " (who) ": " (side(kept)) "." }
                }
            }
            @if view.may_act && may_undo(row, decision) {
                (surely("Take back", &html! { "The other side's value goes up with the next sync." }, &html! {
                    form method="post" action="customer" {
                        input type="hidden" name="id" value=(row.customer_id);
                        input type="hidden" name="decision" value=(decision.id);
                        button.danger type="submit" name="act" value="undo" { "Take it back" }
                    }
                }))
            }
        }
    }
}

fn side(kept: &str) -> Markup {
    match kept {
        "local" => html! { "ours was kept" },
        "remote" => html! { "theirs was kept" },
        other => html! { (show::plain(other)) },
    }
}

/// What a person decided is final, and money is never decided anew.
fn may_undo(row: &JournalRow, decision: &DecisionRow) -> bool {
    let is_money = FieldId::named(&row.field).is_some_and(FieldId::is_money);
    let is_decided = decision.resolution.as_deref().is_some_and(|kept| kept != "undone");
    decision.policy != "hold" && is_decided && !is_money
}
