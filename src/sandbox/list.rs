//! `GET /customers`: which customers, in which order, from which place, and the page that tells them.
//!
//! Pages by cursor are keyset pages: a cursor names the sort key and the id of a customer, and the next page is
//! whatever comes after that *now*. So a customer that changes while pages are read moves, as it does in any
//! real store: in a list by date of modification it turns up again at the end.
//!
//! Lists in the order of an index (by id, by date of modification) walk the index from the cursor on; only other
//! orders gather and sort.

use std::ops::Bound;

use super::book::Book;
use super::http::{RawResponse, percent_encode, quoted};
use super::query::{Cursor, Filter, ListQuery, ON_REQUEST, Sort, SortKey, numbers, parse_date};
use super::record::Record;

/// The page that a query asks for.
pub(super) fn answer(book: &Book, query: &ListQuery) -> RawResponse {
    let page = Page::read(book, query);
    let mut body = String::with_capacity(page.places.len() * 1_000 + 512);
    body.push_str("{\"data\":[");
    for (nth, place) in page.places.iter().enumerate() {
        body.push_str(if nth == 0 { "" } else { "," });
        if let Some(record) = book.record(place.id) {
            write_customer(&record, &query.include, &mut body);
        }
    }
    body.push_str("],\"meta\":{");
    body.push_str(&page.meta(book, query));
    body.push_str("}}");
    RawResponse::json(200, body)
}

/// A customer as a list shows it.
fn write_customer(record: &Record, include: &[&str], out: &mut String) {
    let on_request = |name: &str| ON_REQUEST.iter().any(|(_, attribute)| *attribute == name);
    record.write(out, |name| !on_request(name) || include.contains(&name));
    for missing in include.iter().filter(|name| record.get(name).is_none()) {
        out.pop();
        out.push_str(&format!(
            ",{}:{}}}",
            quoted(missing),
            if *missing == "shopper_profile_id" { "null" } else { "[]" }
        ));
    }
}

/// A customer as an answer to an update shows it, without anything that is on request only.
pub(super) fn write_usual(record: &Record, out: &mut String) {
    write_customer(record, &[], out);
}

/// One page of places in the list.
struct Page {
    places: Vec<Cursor>,
    has_previous: bool,
    has_next: bool,
}

impl Page {
    fn read(book: &Book, query: &ListQuery) -> Self {
        let skipped = if query.is_by_cursor() { 0 } else { (query.page - 1).saturating_mul(query.limit) };
        let backwards = query.before.is_some();
        let mut places: Vec<Cursor> =
            walk(book, query, backwards).skip(skipped).take(query.limit + 1).collect();
        let has_more = places.len() > query.limit;
        places.truncate(query.limit);
        if backwards {
            places.reverse();
            return Self { places, has_previous: has_more, has_next: true };
        }
        Self { places, has_previous: query.after.is_some() || skipped > 0, has_next: has_more }
    }

    /// Both kinds of pagination on the first page, page numbers on a later one, cursors when one was given.
    fn meta(&self, book: &Book, query: &ListQuery) -> String {
        let is_first = !query.is_by_cursor() && query.page == 1;
        let by_page = (!query.is_by_cursor()).then(|| self.by_page(book, query));
        let by_cursor = (is_first || query.is_by_cursor()).then(|| self.by_cursor(query));
        by_page.into_iter().chain(by_cursor).collect::<Vec<_>>().join(",")
    }

    fn by_page(&self, book: &Book, query: &ListQuery) -> String {
        let total = if query.is_everyone() { book.len() } else { walk(book, query, false).count() };
        let link = |page| format!("?page={page}&limit={}", query.limit);
        let mut links = vec![("current", link(query.page))];
        if self.has_previous {
            links.push(("previous", link(query.page - 1)));
        }
        if self.has_next {
            links.push(("next", link(query.page + 1)));
        }
        format!(
            r#""pagination":{{"total":{total},"count":{},"per_page":{},"current_page":{},"total_pages":{},"links":{}}}"#,
            self.places.len(),
            query.limit,
            query.page,
            total.div_ceil(query.limit),
            object(&links),
        )
    }

    fn by_cursor(&self, query: &ListQuery) -> String {
        let (Some(first), Some(last)) = (self.places.first(), self.places.last()) else {
            return format!(r#""cursor_pagination":{{"count":0,"per_page":{},"links":{{}}}}"#, query.limit);
        };
        let (start, end) = (first.encode(), last.encode());
        let link = |way, cursor| format!("?limit={}&{way}={}", query.limit, percent_encode(cursor));
        let mut links = Vec::new();
        if self.has_previous {
            links.push(("previous", link("before", &start)));
        }
        if self.has_next {
            links.push(("next", link("after", &end)));
        }
        format!(
            r#""cursor_pagination":{{"count":{},"per_page":{},"start_cursor":"{start}","end_cursor":"{end}","links":{}}}"#,
            self.places.len(),
            query.limit,
            object(&links),
        )
    }
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, text)| format!("\"{name}\":{}", quoted(text))).collect();
    format!("{{{}}}", members.join(","))
}

impl ListQuery {
    fn is_by_cursor(&self) -> bool {
        self.after.is_some() || self.before.is_some()
    }

    /// No condition leaves anyone out.
    fn is_everyone(&self) -> bool {
        self.names_nobody() && self.filters.is_empty() && self.modified.is_all() && self.created.is_all()
    }

    /// The customers are not given by id or email.
    fn names_nobody(&self) -> bool {
        self.ids.is_none() && self.emails.is_none()
    }

    /// The order is that of the index by id, and the index by date is no help.
    fn follows_ids(&self) -> bool {
        self.sort == Sort::Id && self.names_nobody() && self.modified.is_all()
    }

    fn follows_modified(&self) -> bool {
        self.sort == Sort::Modified && self.names_nobody()
    }
}

/// The places of the customers that match, from the cursor on; backwards from it for a page before it.
fn walk<'a>(book: &'a Book, query: &'a ListQuery, backwards: bool) -> Box<dyn Iterator<Item = Cursor> + 'a> {
    let cursor = if backwards { query.before.as_ref() } else { query.after.as_ref() };
    let falling = query.descending != backwards;
    let (low, high) = match cursor {
        None => (Bound::Unbounded, Bound::Unbounded),
        Some(cursor) if falling => (Bound::Unbounded, Bound::Excluded(cursor)),
        Some(cursor) => (Bound::Excluded(cursor), Bound::Unbounded),
    };
    let places: Box<dyn DoubleEndedIterator<Item = Cursor> + 'a> = if query.follows_ids() {
        let range = (low.map(|cursor| cursor.id), high.map(|cursor| cursor.id));
        Box::new(book.ids(range).map(|id| Cursor { key: SortKey::Id, id }))
    } else if query.follows_modified() {
        Box::new(modified_places(book, query, low, high))
    } else {
        Box::new(sorted_places(book, query, (low, high)))
    };
    let matching = |place: &Cursor| matches(book, query, place.id);
    if falling { Box::new(places.rev().filter(matching)) } else { Box::new(places.filter(matching)) }
}

fn modified_places(
    book: &Book,
    query: &ListQuery,
    low: Bound<&Cursor>,
    high: Bound<&Cursor>,
) -> impl DoubleEndedIterator<Item = Cursor> {
    let pair = |cursor: &Cursor| match cursor.key {
        SortKey::Seconds(seconds) => (seconds, cursor.id),
        _ => (i64::MIN, cursor.id),
    };
    let low = tighter(low.map(pair), (query.modified.min, i32::MIN), |cursor, bound| cursor > bound);
    let high = tighter(high.map(pair), (query.modified.max, i32::MAX), |cursor, bound| cursor < bound);
    let range = is_range(low, high).then(|| book.ids_by_modified((low, high)));
    range.into_iter().flatten().map(|(seconds, id)| Cursor { key: SortKey::Seconds(seconds), id })
}

/// The cursor, or the filter's bound where that lies further in.
fn tighter(
    cursor: Bound<(i64, i32)>,
    bound: (i64, i32),
    is_further_in: impl Fn((i64, i32), (i64, i32)) -> bool,
) -> Bound<(i64, i32)> {
    match cursor {
        Bound::Excluded(place) if is_further_in(place, bound) => cursor,
        _ => Bound::Included(bound),
    }
}

/// Whether an ordered map takes these bounds; it panics on an inverted range.
fn is_range(low: Bound<(i64, i32)>, high: Bound<(i64, i32)>) -> bool {
    let place = |bound| match bound {
        Bound::Included(place) | Bound::Excluded(place) => Some(place),
        Bound::Unbounded => None,
    };
    place(low).zip(place(high)).is_none_or(|(low, high)| low < high)
}

/// All places in an order that no index has.
fn sorted_places(
    book: &Book,
    query: &ListQuery,
    (low, high): (Bound<&Cursor>, Bound<&Cursor>),
) -> std::vec::IntoIter<Cursor> {
    let place = |id| Some(Cursor { key: sort_key(book, query.sort, id)?, id });
    let within = |place: &Cursor| std::ops::RangeBounds::contains(&(low, high), place);
    let mut places: Vec<Cursor> =
        candidates(book, query).into_iter().filter_map(place).filter(within).collect();
    places.sort_unstable();
    places.dedup();
    places.into_iter()
}

/// As few customers as possible among which all that match are.
fn candidates(book: &Book, query: &ListQuery) -> Vec<i32> {
    if let Some(ids) = &query.ids {
        return ids.clone();
    }
    if let Some(emails) = &query.emails {
        return emails.iter().filter_map(|email| book.holder_of(email)).collect();
    }
    if query.modified.min > query.modified.max {
        return Vec::new();
    }
    if !query.modified.is_all() {
        let range = (query.modified.min, i32::MIN)..=(query.modified.max, i32::MAX);
        return book.ids_by_modified(range).map(|(_, id)| id).collect();
    }
    book.ids(..).collect()
}

fn sort_key(book: &Book, sort: Sort, id: i32) -> Option<SortKey> {
    let modified = book.modified(id)?;
    Some(match sort {
        Sort::Id => SortKey::Id,
        Sort::Modified => SortKey::Seconds(modified),
        Sort::Created => SortKey::Seconds(created(&*book.record(id)?)),
        Sort::LastName => SortKey::Text(book.record(id)?.text("last_name")),
    })
}

fn created(record: &Record) -> i64 {
    parse_date(&record.text("date_created")).map_or(0, |(seconds, _)| seconds)
}

/// Whether a customer that was walked to meets every condition.
fn matches(book: &Book, query: &ListQuery, id: i32) -> bool {
    if query.ids.as_ref().is_some_and(|ids| !ids.contains(&id)) {
        return false;
    }
    // A walk by date has kept to the dates already; one from given ids or addresses has not.
    let is_given = !query.names_nobody();
    if is_given && !book.modified(id).is_some_and(|at| query.modified.contains(at)) {
        return false;
    }
    if query.emails.is_none() && query.created.is_all() && query.filters.is_empty() {
        return true;
    }
    book.record(id).is_some_and(|record| record_matches(query, &record))
}

fn record_matches(query: &ListQuery, record: &Record) -> bool {
    let email = record.text("email").to_lowercase();
    query.emails.as_ref().is_none_or(|emails| emails.iter().any(|each| each.to_lowercase() == email))
        && (query.created.is_all() || query.created.contains(created(record)))
        && query.filters.iter().all(|filter| filter.matches(record))
}

impl Filter {
    fn matches(&self, record: &Record) -> bool {
        match self {
            Self::OneOf(attribute, values) => values.contains(&record.text(attribute)),
            Self::Group(groups) => {
                record.integer("customer_group_id").is_some_and(|group| groups.contains(&group))
            }
            Self::Name(names) => names.contains(&full_name(record)),
            Self::NameLike(parts) => {
                let name = full_name(record).to_lowercase();
                parts.iter().any(|part| name.contains(part))
            }
        }
    }
}

fn full_name(record: &Record) -> String {
    format!("{} {}", record.text("first_name"), record.text("last_name"))
}

/// The ids that a deletion names.
pub(super) fn ids_to_delete(query: &str) -> Option<Vec<i32>> {
    let pairs = super::http::parse_query(query);
    pairs.iter().find(|(name, _)| name == "id:in").map_or(Some(Vec::new()), |(_, value)| numbers(value))
}
