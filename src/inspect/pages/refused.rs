//! What the store refused, in its own words: to correct, send again or give up.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};

use maud::{Markup, html};

use super::frame::{self, Page, empty, more, surely};
use super::money::{self, Outlook, SetSince};
use super::waiting::{by, what};
use super::{Asked, Did, Done, Refusal, Said, Task, View};
use crate::inspect::entry::{self, Entry};
use crate::inspect::show;
use crate::{EditSeq, JournalRow, Outcome, Rejected, Result, Store};

/// Edits on a page.
const MOST: usize = 25;

/// One thing of a customer that was refused, however often it was edited; of money each payment is one.
struct Case {
    /// What was edited last of it.
    newest: Rejected,
    /// What was refused of it before.
    earlier: Vec<JournalRow>,
    /// What was edited since, and is not refused.
    since: Option<JournalRow>,
    /// Of a payment, the balance that was set since.
    set_since: Option<SetSince>,
}

impl Case {
    /// That in which this edit is the newest one; none: it is part of another.
    fn of(store: &Store, edit: Rejected, pending: &[JournalRow]) -> Result<Option<Case>> {
        if edit.payment().is_some() {
            let set_since = SetSince::of(store, &edit)?;
            return Ok(Some(Case { newest: edit, earlier: Vec::new(), since: None, set_since }));
        }
        let alike = pending.iter().filter(|row| row.field == edit.field && row.op == "set");
        let (refused, others): (Vec<&JournalRow>, Vec<&JournalRow>) =
            alike.partition(|row| row.outcome == Some(Outcome::Rejected));
        let is_newest = refused.iter().all(|row| row.seq <= edit.seq);
        Ok(is_newest.then(|| Case {
            earlier: refused.into_iter().filter(|row| row.seq < edit.seq).cloned().collect(),
            since: others.into_iter().rfind(|row| row.seq > edit.seq).cloned(),
            newest: edit,
            set_since: None,
        }))
    }

    /// Its edits, by which a decision names what was seen.
    fn seen(&self) -> String {
        let earlier = self.earlier.iter().map(|row| row.seq);
        earlier.chain([self.newest.seq]).map(|seq| seq.to_string()).collect::<Vec<_>>().join(".")
    }

    /// By which what was typed about it is found again, whatever became of its edits.
    fn key(&self) -> String {
        let Rejected { customer_id, field, seq, .. } = &self.newest;
        if self.newest.payment().is_some() { seq.to_string() } else { format!("{customer_id}-{field}") }
    }
}

pub(super) fn act(store: &mut Store, asked: &Asked, author: Option<&str>) -> Done {
    let case = as_seen(store, asked)?;
    match asked.text("act") {
        "correct" => correct(store, asked, &case, author),
        "again" => {
            refuse_edited_since(&case)?;
            refuse_unseen(store, asked, &case)?;
            store.retry_row(case.newest.seq)?;
            did(store, Said::SentAgain, &case.newest)
        }
        "give-up" => {
            for seq in case.earlier.iter().map(|row| row.seq).chain([case.newest.seq]) {
                store.discard_row(seq, author)?;
            }
            Ok(Said::given_up(store, case.newest.customer_id, &case.newest.field)?.into())
        }
        _ => Err(Refusal::moved_on()),
    }
}

/// What was shown, if it still is so.
fn as_seen(store: &Store, asked: &Asked) -> std::result::Result<Case, Refusal> {
    let seq = asked.number("seq").ok_or_else(Refusal::moved_on)?;
    let found = store.rejected_page(EditSeq(seq.saturating_sub(1)), 1)?.pop();
    let edit = found.filter(|edit| edit.seq.0 == seq).ok_or_else(Refusal::moved_on)?;
    let pending = store.pending(edit.customer_id)?;
    let case = Case::of(store, edit, &pending)?.filter(|case| case.seen() == asked.text("seen"));
    case.ok_or_else(Refusal::moved_on)
}

/// What is asked once more about money was asked of whoever sends it again.
fn refuse_unseen(store: &Store, asked: &Asked, case: &Case) -> std::result::Result<(), Refusal> {
    if let Some(set_since) = &case.set_since {
        set_since.refuse_unasked(asked)?;
    }
    match outlook(store, &case.newest)? {
        Some(outlook) => outlook.refuse_unseen(asked),
        None => Ok(()),
    }
}

/// What the balance comes to when it is sent again.
fn outlook(store: &Store, edit: &Rejected) -> Result<Option<Outlook>> {
    let id = edit.customer_id;
    if let Some(amount) = edit.payment() {
        return Outlook::with_payment(store, id, amount);
    }
    if !money::is_balance(&edit.field) {
        return Ok(None);
    }
    let since = money::payments(store, id, |payment| payment.seq > edit.seq)?;
    Outlook::with_payments(store, &edit.value, &since, money::here(store, id)?)
}

fn did(store: &Store, said: Said, edit: &Rejected) -> Done {
    let balance = if money::is_balance(&edit.field) { money::here(store, edit.customer_id)? } else { None };
    Ok(Did { said, balance })
}

/// What is edited last is what counts: nothing older goes up over it.
fn refuse_edited_since(case: &Case) -> std::result::Result<(), Refusal> {
    match &case.since {
        None => Ok(()),
        Some(_) => Err(Refusal::new(
            "This has been edited here again since, so nothing was done.",
            "What was edited last is what counts: it takes the place of what was refused.",
        )),
    }
}

fn correct(store: &mut Store, asked: &Asked, case: &Case, author: Option<&str>) -> Done {
    let seen = &case.newest;
    if seen.payment().is_some() {
        let ways = "Send it again, or give it up.";
        return Err(Refusal::new("A payment stands for itself, and is never replaced by a value.", ways));
    }
    refuse_edited_since(case)?;
    let value = entry::read(&seen.field, asked.typed(), &seen.value).map_err(Refusal::typed)?;
    money::refuse_below_floor(store, seen.customer_id, &seen.field, &value, |edit| edit.seq > seen.seq)?;
    let receipt = author_of(store.edit(seen.customer_id).set(&seen.field, &value), author).commit()?;
    if receipt.fields() == 0 {
        return Err(Refusal::new(
            "That is the value that was refused.",
            "Type another one; or send it again as it is, where the reason is gone.",
        ));
    }
    did(store, Said::Corrected, seen)
}

fn author_of<'s>(edit: crate::EditBuilder<'s>, author: Option<&str>) -> crate::EditBuilder<'s> {
    match author {
        Some(author) => edit.author(author),
        None => edit,
    }
}

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let (cases, last) = cases(view)?;
    let cards = cases.iter().map(|case| card(view, case)).collect::<Result<Vec<_>>>()?;
    // Several of one field are one card, so their number is none of cards.
    let all = None;
    let page = Page { shown: cards.len(), full: MOST, last, all, what: "card" };
    Ok(html! {
        h1 { "Refused" }
        @if cards.is_empty() {
            (empty("The store refused nothing.", &html! { "When it does, its words are here, and what can be done." }))
        } @else {
            p.lead { "These were not taken. Everything else of the customer went on." }
        }
        div #list.cards { @for card in &cards { (card) } }
        (more(Task::Refused, view, &page))
    })
}

/// As many as are on a page, and behind which edit the next one begins.
fn cases(view: &View<'_>) -> Result<(Vec<Case>, Option<i64>)> {
    let (mut cases, mut after, mut pending) = (Vec::new(), view.asked.after(), BTreeMap::new());
    loop {
        let page = view.store.rejected_page(EditSeq(after), MOST)?;
        let is_last = page.len() < MOST;
        for edit in page {
            after = edit.seq.0;
            let edits = match pending.entry(edit.customer_id) {
                Occupied(known) => known.into_mut(),
                Vacant(place) => place.insert(view.store.pending(edit.customer_id)?),
            };
            cases.extend(Case::of(view.store, edit, edits)?);
            if cases.len() == MOST {
                return Ok((cases, Some(after)));
            }
        }
        if is_last {
            return Ok((cases, None));
        }
    }
}

fn card(view: &View<'_>, case: &Case) -> Result<Markup> {
    let edit = &case.newest;
    let (id, seq, key) = (edit.customer_id, edit.seq, case.key());
    Ok(html! {
        article.card data-key=(case.seen()) aria-labelledby={ "who-" (seq) " what-" (seq) } {
            header {
                h2 id={ "who-" (seq) } { (frame::customer(view, id)?) }
                p.aside id={ "what-" (seq) } { strong { (show::field(&edit.field)) } ", edit " span.number { (seq) } }
            }
            dl.said {
                div { dt { @if edit.payment().is_some() { "The payment" } @else { "What was to be set" } } dd { (to_be_set(edit)) } }
                div.words { dt { (who_says(edit)) } dd { blockquote dir="auto" { (words(edit)) } } }
            }
            @if let Some(since) = &case.since {
                p.note { "Edited here again since: " (what(since)) ", " (by(since)) ". " (goes_first(since)) }
            }
            @if let Some(set_since) = &case.set_since { p.note { (set_since.question()) } }
            @if view.may_act { (choices(view, case, &key)?) }
            div.folds {
                @if !case.earlier.is_empty() { (before_that(&case.earlier)) }
                @if let Some(sent) = &edit.sent {
                    details { summary { "Exactly what was sent" } pre tabindex="0" dir="ltr" { (show::plain(sent)) } }
                }
            }
        }
    })
}

/// The store, or the till itself: of what was never sent, and of what the store said yes to, the store said nothing.
fn who_says(edit: &Rejected) -> &'static str {
    if edit.is_in_words_of_the_store() { "The store says" } else { "Why it was not sent, or is not there" }
}

fn goes_first(since: &JournalRow) -> &'static str {
    match since.outcome {
        Some(Outcome::Held) => "That one is in conflict, and takes the place of this one once it is decided.",
        Some(Outcome::InFlight) => "That one was sent, and takes the place of this one if it arrived.",
        _ => "That one goes up with the next sync, and takes the place of this one.",
    }
}

fn before_that(earlier: &[JournalRow]) -> Markup {
    html! {
        details {
            summary { "Refused before that: " (show::count(earlier.len() as u64, "edit")) }
            ul.edits { @for edit in earlier.iter().rev() {
                li {
                    p { (what(edit)) " " span.aside { (by(edit)) } }
                    @if let Some(reason) = &edit.reason { blockquote dir="auto" { (show::plain(reason)) } }
                }
            } }
        }
    }
}

fn to_be_set(edit: &Rejected) -> Markup {
    edit.payment().map_or_else(|| show::json(&edit.field, &edit.value), show::payment)
}

fn words(edit: &Rejected) -> String {
    if edit.reason.is_empty() { "(no words)".to_owned() } else { show::plain(&edit.reason) }
}

fn choices(view: &View<'_>, case: &Case, key: &str) -> Result<Markup> {
    let edit = &case.newest;
    let hidden = html! {
        input type="hidden" name="seq" value=(edit.seq);
        input type="hidden" name="seen" value=(case.seen());
        input type="hidden" name="key" value=(key);
        input type="hidden" name="after" value=(view.asked.way_text());
    };
    let field = show::field(&edit.field);
    Ok(html! {
        div.choices {
            @if edit.payment().is_none() && case.since.is_none() { (correction(view, edit, key, &hidden)) }
            div.row {
                @if case.since.is_none() { (again(view.store, case, &hidden)?) }
                (surely("Give up", &give_up(case, &field), &html! {
                    form method="post" action="refused" {
                        (hidden)
                        button.danger type="submit" name="act" value="give-up" { "Give it up" }
                    }
                }))
            }
        }
    })
}

/// To send it again; by a second word where that leaves a balance below the floor, or may count a payment twice. Under a balance
/// that waits there is no way to.
fn again(store: &Store, case: &Case, hidden: &Markup) -> Result<Markup> {
    let (outlook, set_since) = (outlook(store, &case.newest)?, case.set_since.as_ref());
    if set_since.is_some_and(|set| !set.is_settled()) {
        return Ok(Markup::default());
    }
    let Some(outlook) = outlook.filter(|outlook| outlook.is_below_floor() || set_since.is_some()) else {
        return Ok(html! {
            form method="post" action="refused" {
                (hidden)
                @if let Some(set_since) = set_since { (set_since.seen()) }
                button type="submit" name="act" value="again" { "Send again as it is" }
            }
        });
    };
    Ok(surely(
        "Send again as it is",
        &outlook.question(),
        &html! {
            form method="post" action="refused" {
                (hidden)
                (outlook.seen())
                @if let Some(set_since) = set_since { (set_since.seen()) }
                button.danger type="submit" name="act" value="again" { "Send it again" }
            }
        },
    ))
}

fn give_up(case: &Case, field: &Markup) -> Markup {
    html! {
        @if case.since.is_some() { "It is not sent. What was edited since stays." }
        @else if case.newest.payment().is_some() { "The payment is not made, and the balance here stays without it." }
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
        refusal: view.problem(key),
    };
    html! {
        form.entry method="post" action="refused" {
            (hidden)
            (entry.control())
            button.first type="submit" name="act" value="correct" { "Correct and send" }
        }
    }
}
