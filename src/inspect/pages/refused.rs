//! What the store refused, in its own words: to correct, send again or give up.

use maud::{Markup, html};

use super::frame::{self, empty, more, surely};
use super::{Asked, Done, Refusal, Said, Task, View};
use crate::inspect::entry::{self, Entry};
use crate::inspect::show;
use crate::{EditSeq, FieldId, JournalRow, Rejected, Result, Store};

/// Edits on a page.
const MOST: usize = 25;

pub(super) fn act(store: &mut Store, asked: &Asked, author: Option<&str>) -> Done {
    let seen = still_refused(store, asked)?;
    match asked.text("act") {
        "correct" => correct(store, asked, &seen, author),
        "again" => {
            store.retry_row(seen.seq)?;
            Ok(Said::SentAgain)
        }
        "give-up" => {
            store.discard_row(seen.seq, author)?;
            Ok(Said::GivenUp)
        }
        _ => Err(Refusal::moved_on()),
    }
}

/// The edit that was shown, if it still is refused.
fn still_refused(store: &Store, asked: &Asked) -> std::result::Result<Rejected, Refusal> {
    let seq = asked.number("seq").ok_or_else(Refusal::moved_on)?;
    let found = store.rejected_page(EditSeq(seq.saturating_sub(1)), 1)?.pop();
    found.filter(|edit| edit.seq.0 == seq).ok_or_else(Refusal::moved_on)
}

fn correct(store: &mut Store, asked: &Asked, seen: &Rejected, author: Option<&str>) -> Done {
    if is_payment(seen) {
        let ways = "Send it again, or give it up.";
        return Err(Refusal::new("A payment stands for itself, and is never replaced by a value.", ways));
    }
    let is_later = |edit: &JournalRow| edit.field == seen.field && edit.seq > seen.seq;
    if store.pending(seen.customer_id)?.iter().any(is_later) {
        let counts = "What was edited last is what counts: it waits, or is refused itself.";
        return Err(Refusal::new("This has been edited here again since.", counts));
    }
    let value = entry::read(&seen.field, asked.text("value"), &seen.value);
    let receipt = author_of(store.edit(seen.customer_id).set(&seen.field, &value), author).commit()?;
    if receipt.fields() == 0 {
        return Err(Refusal::new(
            "That is the value that was refused.",
            "Type another one; or send it again as it is, where the reason is gone.",
        ));
    }
    Ok(Said::Corrected)
}

fn author_of<'s>(edit: crate::EditBuilder<'s>, author: Option<&str>) -> crate::EditBuilder<'s> {
    match author {
        Some(author) => edit.author(author),
        None => edit,
    }
}

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let page = view.store.rejected_page(EditSeq(view.asked.after()), MOST)?;
    let cards = page.iter().map(|edit| card(view, edit)).collect::<Result<Vec<_>>>()?;
    let last = page.last().filter(|_| page.len() == MOST).map(|edit| edit.seq.0);
    Ok(html! {
        h1 { "Refused" }
        p.lead { "The store did not take these. Everything else of the customer went on." }
        @if cards.is_empty() {
            (empty("The store refused nothing.", &html! { "When it does, its words are here, and what can be done." }))
        }
        div #list.cards { @for card in &cards { (card) } }
        (more(Task::Refused, view, last))
    })
}

/// A payment stands for itself: it is sent again or given up, and never replaced.
fn is_payment(edit: &Rejected) -> bool {
    FieldId::named(&edit.field).is_some_and(FieldId::is_money) && edit.value.starts_with('"')
}

fn card(view: &View<'_>, edit: &Rejected) -> Result<Markup> {
    let (id, seq) = (edit.customer_id, edit.seq);
    let key = seq.to_string();
    Ok(html! {
        article.card data-key=(key) aria-labelledby={ "who-" (seq) } {
            header { h2 id={ "who-" (seq) } { (frame::customer(view, id)?) } p.aside { strong { (show::field(&edit.field)) } } }
            dl.said {
                div { dt { @if is_payment(edit) { "The payment" } @else { "What was to be set" } } dd { (to_be_set(edit)) } }
                div.words { dt { "The store says" } dd { blockquote dir="auto" { (words(edit)) } } }
            }
            @if view.may_act { (choices(view, edit, &key)) }
            @if let Some(sent) = &edit.sent {
                details { summary { "Exactly what was sent" } pre tabindex="0" dir="ltr" { (show::plain(sent)) } }
            }
        }
    })
}

fn to_be_set(edit: &Rejected) -> Markup {
    match is_payment(edit) {
        true => show::payment(&edit.value),
        false => show::json(&edit.field, &edit.value),
    }
}

fn words(edit: &Rejected) -> String {
    if edit.reason.is_empty() { "(nothing)".to_owned() } else { show::plain(&edit.reason) }
}

fn choices(view: &View<'_>, edit: &Rejected, key: &str) -> Markup {
    let hidden = html! {
        input type="hidden" name="seq" value=(edit.seq);
        input type="hidden" name="key" value=(key);
        input type="hidden" name="after" value=(view.asked.after());
    };
    let field = show::field(&edit.field);
    html! {
        div.choices {
            @if !is_payment(edit) { (correction(view, edit, key, &hidden)) }
            div.row {
                form method="post" action="refused" {
                    (hidden)
                    button type="submit" name="act" value="again" { "Send again as it is" }
                }
                (surely("Give up", &give_up(edit, &field), &html! {
                    form method="post" action="refused" {
                        (hidden)
                        button.danger type="submit" name="act" value="give-up" { "Give it up" }
                    }
                }))
            }
        }
    }
}

fn give_up(edit: &Rejected, field: &Markup) -> Markup {
    html! {
        @if is_payment(edit) { "The payment is not made, and the balance here stays without it." }
        @else { "It is not sent, and " (field) " is again what the store has." }
    }
}

fn correction(view: &View<'_>, edit: &Rejected, key: &str, hidden: &Markup) -> Markup {
    let typed = view.typed(key);
    let entry = Entry {
        field: &edit.field,
        json: &edit.value,
        typed,
        id: key,
        label: "Correct",
        refusal: typed.map(|_| frame::REFUSAL),
    };
    html! {
        form.entry method="post" action="refused" {
            (hidden)
            (entry.control())
            button.first type="submit" name="act" value="correct" { "Correct and send" }
        }
    }
}
