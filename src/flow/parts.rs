//! An answer by id that comes in parts.
//!
//! A row that is asked for by its customer is answered with all that its customers have, which may be more than a page shows.
//! Only the whole of it tells what is not there:
//!
//! ```text
//! page 1 ──fewer than it says that there are, or it does not say──▶ page 2 ──▶ … ──as many, or nobody new──▶ one answer
//!    │                                                                │ another total
//!    │ far more than a page shows, of many customers                  ▼
//!    └──▶ too much: fewer customers are asked for                 asked again: rows moved from page to page
//! ```
//!
//! What comes of it is one answer, as if all of it had been told at once. Where it does not come to as many as it says, it says so
//! still, and is not whole.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Answer, GetVerdict, More, Trouble, judge_get_by_ids};
use crate::resource::{ResourceId, RowId};

/// Pages that are worth reading before fewer customers are asked for.
const PAGES_AT_MOST: u64 = 10;
/// Of so few customers all that they have is read, however small the pages are.
const FEW: usize = 3;

/// What has come of an answer so far.
#[derive(Debug)]
pub struct Parts {
    rows: Vec<RowId>,
    /// The first page, without its body.
    first: Option<Answer>,
    /// Rows on it: pages by number are asked for as large as that.
    limit: usize,
    pages: u64,
    total: Option<u64>,
    seen: BTreeSet<RowId>,
    unread: u64,
    /// All that was told, as JSON.
    told: Vec<String>,
}

/// What is done about a part.
#[derive(Debug)]
pub enum Part {
    /// This page is asked for too: its number, and how many rows it is to hold.
    Next(u64, usize),
    /// The answer.
    Whole(Result<Answer, Trouble>),
}

/// The rows of a page, whatever they are.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

impl Parts {
    /// A question for these rows. None: its answer has no parts.
    pub fn of(rows: &[RowId]) -> Option<Parts> {
        let is_of_many = rows.first()?.resource.spec().is_asked_by_customer();
        is_of_many.then(|| Parts {
            rows: rows.to_vec(),
            first: None,
            limit: 0,
            pages: 0,
            total: None,
            seen: BTreeSet::new(),
            unread: 0,
            told: Vec::new(),
        })
    }

    /// What is asked for.
    pub fn rows(&self) -> &[RowId] {
        &self.rows
    }

    /// The answer to the question, or to that for a further page.
    pub fn take(&mut self, answer: Result<Answer, Trouble>) -> Part {
        let GetVerdict::Page(page) = judge_get_by_ids(self.resource(), &answer) else {
            return Part::Whole(answer);
        };
        let (is_first, before) = (self.first.is_none(), self.seen.len());
        self.seen.extend(page.ids());
        self.unread += page.unread.len() as u64;
        self.pages += 1;
        let is_new = self.seen.len() > before;
        let says_all = page.total == Some(self.count()) || (page.total.is_none() && page.more == More::No);
        let (total, is_empty) = (page.total, page.is_empty());
        let Ok(answer) = answer else { return Part::Whole(answer) };
        if is_first {
            if is_empty || (says_all && total.is_some()) || total.is_some_and(|total| total < self.count()) {
                return Part::Whole(Ok(answer));
            }
            self.total = total;
        } else if total.is_some() && total != self.total {
            let why = "what was asked for by id changed while it was read page by page";
            return Part::Whole(Err(Trouble::Broken(why.to_owned())));
        }
        self.keep(answer);
        match says_all || !is_new {
            true => Part::Whole(Ok(self.so_far())),
            false if self.is_too_much() => Part::Whole(Err(self.too_much())),
            false => Part::Next(self.pages + 1, self.limit),
        }
    }

    /// All that has come, as one answer.
    pub fn so_far(&mut self) -> Answer {
        let total = self.total.unwrap_or(self.count());
        let (rows, told) = (self.told.join(","), self.told.len());
        let body = format!(
            r#"{{"data":[{rows}],"meta":{{"pagination":{{"total":{total},"count":{told},"current_page":1,"total_pages":1}}}}}}"#
        );
        Answer { body: body.into_bytes(), ..self.first.take().unwrap_or_default() }
    }

    fn resource(&self) -> ResourceId {
        self.rows.first().map(|row| row.resource).unwrap_or_default()
    }

    fn count(&self) -> u64 {
        self.seen.len() as u64 + self.unread
    }

    fn keep(&mut self, mut answer: Answer) {
        let body = std::mem::take(&mut answer.body);
        let told = serde_json::from_slice::<Told<'_>>(&body).map(|told| told.data).unwrap_or_default();
        self.told.extend(told.iter().map(|row| row.get().to_owned()));
        if self.first.is_none() {
            (self.limit, self.first) = (told.len(), Some(answer));
        }
    }

    /// Whether fewer customers at a time are better asked for.
    fn is_too_much(&self) -> bool {
        let customers: BTreeSet<i64> = self.rows.iter().map(|row| row.asked_by()).collect();
        let pages = self.total.map_or(self.pages + 1, |total| total.div_ceil(self.limit.max(1) as u64));
        customers.len() > FEW && pages > PAGES_AT_MOST
    }

    fn too_much(&self) -> Trouble {
        let why = format!("it is more than {PAGES_AT_MOST} pages");
        Trouble::TooMuch { why, begun: self.told.first().cloned().unwrap_or_default().into_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::CustomerId;

    fn value(customer: i64, attribute: i64) -> RowId {
        let resource = ResourceId::named("attribute_value").unwrap();
        RowId { resource, customer: CustomerId(customer), row: attribute }
    }

    /// A page with the values of customer 1 of these attributes.
    fn page(attributes: impl IntoIterator<Item = i64>, total: Option<u64>) -> Result<Answer, Trouble> {
        let one =
            |id: i64| format!(r#"{{"id":{id},"customer_id":1,"attribute_id":{id},"attribute_value":"v"}}"#);
        let rows: Vec<String> = attributes.into_iter().map(one).collect();
        let total = total.map_or("null".to_owned(), |total| total.to_string());
        let body = format!(r#"{{"data":[{}],"meta":{{"pagination":{{"total":{total}}}}}}}"#, rows.join(","));
        Ok(Answer { status: 200, body: body.into_bytes(), ..Answer::default() })
    }

    fn parts(customers: i64) -> Parts {
        Parts::of(&(1..=customers).map(|customer| value(customer, 40)).collect::<Vec<_>>()).unwrap()
    }

    /// How many rows an answer shows, and how many it says that there are.
    fn told(part: Part) -> (usize, Option<u64>) {
        let Part::Whole(answer) = part else { panic!("{part:?}") };
        let resource = ResourceId::named("attribute_value").unwrap();
        let GetVerdict::Page(page) = judge_get_by_ids(resource, &answer) else { panic!("{answer:?}") };
        (page.len(), page.total)
    }

    #[test]
    fn a_row_that_is_asked_for_by_itself_is_told_at_once() {
        assert!(Parts::of(&[crate::resource::customer(1)]).is_none() && Parts::of(&[]).is_none());
        assert_eq!(told(parts(1).take(page(1..=3, Some(3)))), (3, Some(3)));
    }

    #[test]
    fn pages_are_followed_until_as_many_have_come_as_there_are() {
        let mut parts = parts(1);
        for number in [2, 3] {
            let from = (number as i64 - 2) * 10 + 1;
            let part = parts.take(page(from..=from + 9, Some(25)));
            assert!(matches!(part, Part::Next(next, 10) if next == number), "{part:?}");
        }
        assert_eq!(told(parts.take(page(21..=25, Some(25)))), (25, Some(25)));
    }

    #[test]
    fn where_nothing_is_told_of_how_many_there_are_they_are_followed_until_nobody_is_new() {
        let mut parts = parts(1);
        assert!(matches!(parts.take(page(1..=10, None)), Part::Next(2, 10)));
        assert!(matches!(parts.take(page(11..=12, None)), Part::Next(3, 10)));
        assert_eq!(told(parts.take(page([], None))), (12, Some(12)));
    }

    #[test]
    fn what_does_not_come_to_as_many_as_it_says_is_not_whole() {
        let mut cut = parts(1);
        assert!(matches!(cut.take(page(1..=10, Some(12))), Part::Next(2, 10)));
        assert_eq!(told(cut.take(page(1..=10, Some(12)))), (10, Some(12)));
        assert_eq!(told(parts(1).take(page(1..=10, Some(4)))), (10, Some(4)));
        let mut moved = parts(1);
        moved.take(page(1..=10, Some(12)));
        assert!(matches!(moved.take(page(11..=11, Some(11))), Part::Whole(Err(Trouble::Broken(_)))));
    }

    #[test]
    fn of_many_customers_fewer_are_asked_for_where_pages_are_many() {
        let of = |customers| parts(customers).take(page(1..=10, Some(101)));
        assert!(matches!(of(4), Part::Whole(Err(Trouble::TooMuch { .. }))));
        assert!(matches!(of(3), Part::Next(2, 10)));
    }
}
