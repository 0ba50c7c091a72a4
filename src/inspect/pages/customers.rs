//! Customers by name, email, phone or company: with script while somebody types.

use maud::{Markup, html};

use super::View;
use super::frame::empty;
use crate::inspect::show;
use crate::{Found, Result, Row};

/// Customers that are shown at first, and more each time that somebody asks for more.
const MOST: usize = 25;
/// Nobody looks through more than that: another word finds fewer.
const MOST_OF_ALL: usize = 200;

pub(super) fn body(view: &mut View<'_>) -> Result<Markup> {
    let asked = view.asked.text("q").trim().to_owned();
    Ok(html! {
        h1 { "Customers" }
        form.search role="search" method="get" action="customers" {
            label for="q" { "Name, email, phone or company" }
            div.row {
                input #q type="search" name="q" value=(asked) dir="auto" autocomplete="off" spellcheck="false"
                    hx-get="customers" hx-trigger="input changed delay:200ms" hx-target="#found" hx-select="#found"
                    hx-swap="outerHTML" hx-sync="this:replace";
                button type="submit" { "Find" }
            }
            p.hint { "The beginnings of words will do, in any order; a number finds the customer of that number, too." }
        }
        (found(view, &asked)?)
    })
}

fn found(view: &mut View<'_>, asked: &str) -> Result<Markup> {
    let customers = show::count(view.status.snapshot_customers, "customer");
    if asked.is_empty() {
        return Ok(
            html! { div #found { (empty(&format!("{customers} in this till."), &html! { "Type to find one of them." })) } },
        );
    }
    let limit = usize::try_from(view.asked.number("most").unwrap_or_default()).unwrap_or_default();
    let limit = limit.clamp(MOST, MOST_OF_ALL);
    let by_number = asked.trim_start_matches('#').parse::<i64>().ok();
    let by_number = by_number.map(|id| view.store.get(id)).transpose()?.flatten();
    let Found { mut customers, more } = view.store.find(asked, limit)?;
    if let Some(row) = by_number {
        customers.retain(|other| other.id() != row.id());
        customers.insert(0, row);
    }
    Ok(html! {
        div #found {
            p.lead role="status" { (how_many(customers.len(), more)) }
            @if customers.is_empty() {
                (empty("Nobody was found.", &html! { "Fewer letters find more. Who is new in the store comes with the next sync." }))
            }
            ul.people { @for row in &customers { (one(row)) } }
            @if more && limit < MOST_OF_ALL {
                form.more method="get" action="customers" {
                    input type="hidden" name="q" value=(asked);
                    input type="hidden" name="most" value=(limit + 50);
                    button.quiet type="submit" { "Show more" }
                }
            }
        }
    })
}

fn how_many(shown: usize, more: bool) -> String {
    match more {
        true => format!("The first {shown}; another word finds fewer."),
        false => show::count(shown as u64, "customer"),
    }
}

fn one(row: &Row) -> Markup {
    let details = [row.company(), row.email(), row.phone()];
    html! {
        li { a href={ "customer?id=" (row.id()) } {
            span.who { bdi { (show::customer_name(row)) } " " span.number.id { "#" (row.id()) } }
            span.details { @for text in details.into_iter().flatten().filter(|text| !text.is_empty()) { span { bdi { (show::plain(text)) } } } }
        } }
    }
}
