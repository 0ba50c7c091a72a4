//! What a list of customers shows besides them: rows of another resource that are theirs. No IO.
//!
//! Of each customer no more than so many are shown, and nothing says whether there are others: fewer than that are all.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::{More, Page};
use crate::resource::{Attributes, CustomerId, Record, ResourceId};

/// A page of customers, taken apart.
#[derive(Debug, Default)]
pub struct Theirs {
    /// The customers, without what is shown besides them: of them it says nothing.
    customers: Vec<String>,
    /// The others, as they were shown.
    rows: Vec<String>,
    /// Whose rows are all here.
    pub whole: BTreeSet<CustomerId>,
    /// Who may have more: all of theirs are to be asked for.
    pub cut: BTreeSet<CustomerId>,
}

impl Theirs {
    /// What a page shows of this resource.
    pub fn of(resource: ResourceId, page: &Page<'_>) -> Theirs {
        let mut shown = Theirs::default();
        for (customer, body) in &page.rows {
            shown.take(resource, customer, body);
        }
        shown
    }

    fn take(&mut self, resource: ResourceId, customer: &Attributes<'_>, body: &str) {
        let Some(member) = resource.spec().shown_as else { return };
        let (whose, is_it) = (customer.id(), |name: &str, _: &str| name == member.name);
        let alone = Record::of(customer.resource(), body).leaving_out(is_it);
        self.customers.push(alone.map_or_else(|_| body.to_owned(), |alone| alone.body().to_owned()));
        // Where there is no list, nothing is said.
        let told = customer.resource().field(member.name).and_then(|field| customer.text(field));
        let Some(told) = told.and_then(|json| serde_json::from_str::<Vec<&RawValue>>(json).ok()) else {
            return;
        };
        let is_theirs = |row: &&RawValue| {
            Attributes::of(resource, row.get()).is_ok_and(|attributes| attributes.id() == whose)
        };
        match told.len() < member.most && told.iter().all(is_theirs) {
            true => {
                self.whole.insert(whose);
                self.rows.extend(told.iter().map(|row| row.get().to_owned()));
            }
            false => _ = self.cut.insert(whose),
        }
    }

    /// The customers, as if nothing else had been shown.
    pub fn customers<'s>(&'s self, page: &Page<'_>) -> Page<'s> {
        Page { contradicted: page.contradicted.clone(), ..read(ResourceId::CUSTOMER, &self.customers) }
    }

    /// The rows of those whose are all here.
    pub fn rows(&self, resource: ResourceId) -> Page<'_> {
        read(resource, &self.rows)
    }
}

fn read(resource: ResourceId, bodies: &[String]) -> Page<'_> {
    let rows = bodies.iter().filter_map(|body| Some((Attributes::of(resource, body).ok()?, body.as_str())));
    Page { rows: rows.collect(), more: More::Untold, ..Page::nobody() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Answer, GetVerdict, judge_get};

    /// Who is shown whole, who may have more, and how many rows are shown, of a customer 1 with these addresses.
    fn shown(addresses: &str) -> (usize, usize, usize) {
        let body = format!(r#"{{"data":[{{"id":1,"phone":"1"{addresses}}}],"meta":{{}}}}"#);
        let answer = Ok(Answer { status: 200, body: body.into_bytes(), ..Answer::default() });
        let GetVerdict::Page(page) = judge_get(ResourceId::CUSTOMER, &answer) else { panic!() };
        let resource = ResourceId::named("address").unwrap();
        let shown = Theirs::of(resource, &page);
        let bodies: Vec<&str> = shown.customers(&page).rows.iter().map(|(_, body)| *body).collect();
        assert_eq!(bodies, [r#"{"id":1,"phone":"1"}"#], "a customer is what it was");
        (shown.whole.len(), shown.cut.len(), shown.rows(resource).len())
    }

    #[test]
    fn fewer_than_ten_are_all_and_of_whom_ten_are_shown_there_may_be_more() {
        let list = |count: i64, of: i64| {
            let rows: Vec<String> =
                (1..=count).map(|id| format!(r#"{{"id":{id},"customer_id":{of}}}"#)).collect();
            format!(r#","addresses":[{}]"#, rows.join(","))
        };
        for (addresses, is) in [
            (list(0, 1), (1, 0, 0)),
            (list(9, 1), (1, 0, 9)),
            (list(10, 1), (0, 1, 0)),
            // What cannot be read may be any of them, and what is another's is no answer.
            (r#","addresses":[{"id":1}]"#.to_owned(), (0, 1, 0)),
            (list(2, 7), (0, 1, 0)),
            (r#","addresses":null"#.to_owned(), (0, 0, 0)),
            (String::new(), (0, 0, 0)),
        ] {
            assert_eq!(shown(&addresses), is, "{addresses}");
        }
    }
}
