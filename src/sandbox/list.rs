//! `GET /customers`: which customers, in which order, from which place, and the page that tells them.
//!
//! Pages by cursor are keyset pages: a cursor names the sort key and the id of a customer, and the next page is
//! whatever comes after that *now*. So a customer that changes while pages are read moves, as it does in any
//! real store: in a list by date of modification it turns up again at the end.
//!
//! Lists in the order of an index (by id, by date of modification) walk the index from the cursor on; only other
//! orders gather and sort.

use std::borrow::Cow;
use std::ops::Bound;

use super::addresses::Addresses;
use super::behaviours::{Behaviours, Cursors, EmptyLists, ExpiredCursors, Pages, Totals};
use super::book::Book;
use super::face::Face;
use super::faults::Fault;
use super::http::{Problem, RawResponse, percent_encode, quoted};
use super::query::{Cursor, Filter, ListQuery, Sort, SortKey, parse_date};
use super::record::Record;

/// What a list is read from, and how it is told.
pub(super) struct Listing<'a> {
    /// The customers, as far as reads know of them.
    pub book: &'a Book,
    pub addresses: &'a Addresses,
    pub behaviours: Behaviours,
    pub rng: &'a mut fastrand::Rng,
    /// The time by which cursors grow old, in milliseconds since 1970.
    pub now_ms: i64,
    pub fault: Option<Fault>,
}

impl Listing<'_> {
    /// The page that a query asks for.
    pub fn answer(&mut self, query: &ListQuery) -> Result<RawResponse, Problem> {
        let mut page = match (self.fault, self.has_expired(query)) {
            (Some(Fault::NoContent), _) => return Ok(no_content()),
            (Some(Fault::EmptyList), _) => Page::of_nobody(query),
            (_, true) => self.expired(query)?,
            _ => self.page(query),
        };
        if page.places.is_empty() && self.behaviours.empty_lists == EmptyLists::NoContent {
            return Ok(no_content());
        }
        let meta = page.meta(query, &self.behaviours, self.now_ms);
        self.overlook_one(&mut page);
        let mut body = String::with_capacity(page.places.len() * 1_000 + 512);
        body.push_str("{\"data\":[");
        self.write_customers(&page, query, &mut body);
        body.push_str("],\"meta\":{");
        body.push_str(&meta);
        body.push_str("}}");
        Ok(RawResponse::json(200, body))
    }

    fn write_customers(&mut self, page: &Page, query: &ListQuery, body: &mut String) {
        let face = Face {
            include: &query.include,
            is_by_id: query.ids.is_some(),
            hides_credit: self.fault == Some(Fault::NoCredit),
            behaviours: self.behaviours,
            addresses: "[]",
        };
        let shows_addresses = query.include.contains(&"addresses");
        let twice = self.told_twice(page);
        for id in page.places.iter().map(|place| place.id) {
            let mut told: Vec<Cow<'_, Record>> = self.book.record(id).into_iter().collect();
            if let Some((_, is_first)) = twice.filter(|(of, _)| *of == id) {
                let place = if is_first { 0 } else { told.len() };
                self.book
                    .earlier(id)
                    .into_iter()
                    .for_each(|earlier| told.insert(place, Cow::Borrowed(earlier)));
            }
            let addresses = if shows_addresses { self.addresses.shown_of(id) } else { String::new() };
            for record in told {
                body.push_str(if body.ends_with('[') { "" } else { "," });
                Face { addresses: &addresses, ..face }.write(&record, body);
            }
        }
    }

    /// Who is told as it was earlier, too, and whether that comes first.
    fn told_twice(&mut self, page: &Page) -> Option<(i32, bool)> {
        if self.fault != Some(Fault::ToldTwice) {
            return None;
        }
        let all: Vec<i32> =
            page.places.iter().map(|place| place.id).filter(|id| self.book.earlier(*id).is_some()).collect();
        let id = self.rng.choice(&all).copied()?;
        Some((id, self.rng.bool()))
    }

    fn has_expired(&self, query: &ListQuery) -> bool {
        let life_ms = i64::from(self.behaviours.cursor_life_ms);
        life_ms > 0 && query.cursor_from_ms.is_some_and(|from_ms| from_ms + life_ms <= self.now_ms)
    }

    fn expired(&self, query: &ListQuery) -> Result<Page, Problem> {
        let refused = |status| Err(Problem::plain(status, "the cursor has expired"));
        match self.behaviours.expired_cursors {
            ExpiredCursors::EmptyPage => Ok(Page::of_nobody(query)),
            ExpiredCursors::Refused => refused(422),
            ExpiredCursors::NotFound => refused(404),
            ExpiredCursors::BadRequest => refused(400),
            ExpiredCursors::ServerError => refused(500),
        }
    }

    fn page(&mut self, query: &ListQuery) -> Page {
        let size = self.page_size(query);
        let skipped = if query.is_by_cursor() { 0 } else { (query.page - 1).saturating_mul(size) };
        let backwards = query.before.is_some();
        let walk = shown(self.book, query, backwards, &self.behaviours, self.now_ms);
        let mut places: Vec<Cursor> = walk.skip(skipped).take(size + 1).collect();
        let mut has_more = places.len() > size;
        places.truncate(size);
        if self.fault == Some(Fault::CutList) {
            places.truncate(places.len() / 2);
            has_more = false;
        }
        let total = self.total(query);
        let per_page = if matches!(self.behaviours.pages, Pages::AtMost(_)) { size } else { query.limit };
        if backwards {
            places.reverse();
            return Page { places, has_previous: has_more, has_next: true, total, per_page };
        }
        let has_previous = query.after.is_some() || skipped > 0;
        Page { places, has_previous, has_next: has_more, total, per_page }
    }

    /// How many customers this page may hold.
    fn page_size(&mut self, query: &ListQuery) -> usize {
        let most = match self.behaviours.by_id_at_most {
            0 => query.limit,
            _ if query.ids.is_none() => query.limit,
            most => query.limit.min(most as usize),
        };
        match self.behaviours.pages {
            Pages::Full => most,
            Pages::AtMost(size) => most.min(size as usize),
            // Who finds the next page by its number must find this one full.
            Pages::Ragged if query.page > 1 || self.behaviours.cursors == Cursors::NotTold => most,
            Pages::Ragged => self.rng.usize(1..=most),
        }
    }

    /// How many customers the list says there are; pages by cursor say nothing.
    fn total(&self, query: &ListQuery) -> usize {
        let shows_all = self.behaviours.overlooks_every == 0 && self.behaviours.hides_every == 0;
        let total = match query.is_by_cursor() {
            true => return 0,
            false if query.is_everyone() && shows_all => self.book.len(),
            false => shown(self.book, query, false, &self.behaviours, self.now_ms).count(),
        };
        match self.behaviours.totals {
            Totals::TooHigh => total + 3,
            Totals::TooLow => total / 2,
            Totals::Right | Totals::Absent => total,
        }
    }

    fn overlook_one(&mut self, page: &mut Page) {
        if self.fault == Some(Fault::OneOverlooked) && !page.places.is_empty() {
            page.places.remove(self.rng.usize(..page.places.len()));
        }
    }
}

fn no_content() -> RawResponse {
    RawResponse { status: 204, ..RawResponse::default() }
}

/// The customers of a list, but for those whom its index has lost, and those who are hidden.
fn shown<'a>(
    book: &'a Book,
    query: &'a ListQuery,
    backwards: bool,
    behaviours: &Behaviours,
    now_ms: i64,
) -> impl Iterator<Item = Cursor> + 'a {
    let (behaviours, every) = (*behaviours, behaviours.overlooks_every);
    let is_lost = move |place: &Cursor| {
        let is_overlooked =
            every > 0 && query.names_nobody() && place.id.unsigned_abs().is_multiple_of(every);
        is_overlooked || behaviours.hides(place.id, now_ms)
    };
    walk(book, query, backwards).filter(move |place| !is_lost(place))
}

/// One page of places in the list.
struct Page {
    places: Vec<Cursor>,
    has_previous: bool,
    has_next: bool,
    total: usize,
    /// What the page says of its size.
    per_page: usize,
}

impl Page {
    fn of_nobody(query: &ListQuery) -> Self {
        Self { places: Vec::new(), has_previous: false, has_next: false, total: 0, per_page: query.limit }
    }

    /// Both kinds of pagination on the first page, page numbers on a later one, cursors when one was given.
    fn meta(&self, query: &ListQuery, behaviours: &Behaviours, now_ms: i64) -> String {
        let is_first = !query.is_by_cursor() && query.page == 1;
        let by_page = (!query.is_by_cursor()).then(|| self.by_page(query, behaviours));
        let tells_cursors = behaviours.cursors == Cursors::Told && (is_first || query.is_by_cursor());
        let from_ms = (behaviours.cursor_life_ms > 0).then_some(now_ms);
        let by_cursor = tells_cursors.then(|| self.by_cursor(from_ms));
        by_page.into_iter().chain(by_cursor).collect::<Vec<_>>().join(",")
    }

    fn by_page(&self, query: &ListQuery, behaviours: &Behaviours) -> String {
        let link = |page| format!("?page={page}&limit={}", query.limit);
        let mut links = vec![("current", link(query.page))];
        if self.has_previous {
            links.push(("previous", link(query.page - 1)));
        }
        if self.has_next {
            links.push(("next", link(query.page + 1)));
        }
        let Self { total, per_page, places, .. } = self;
        let (total, pages) = match behaviours.totals {
            Totals::Absent => (String::new(), String::new()),
            _ => (format!(r#""total":{total},"#), format!(r#""total_pages":{},"#, total.div_ceil(*per_page))),
        };
        format!(
            r#""pagination":{{{total}"count":{},"per_page":{per_page},"current_page":{},{pages}"links":{}}}"#,
            places.len(),
            query.page,
            object(&links),
        )
    }

    fn by_cursor(&self, from_ms: Option<i64>) -> String {
        let per_page = self.per_page;
        let (Some(first), Some(last)) = (self.places.first(), self.places.last()) else {
            return format!(r#""cursor_pagination":{{"count":0,"per_page":{per_page},"links":{{}}}}"#);
        };
        let (start, end) = (first.encode(from_ms), last.encode(from_ms));
        let link = |way, cursor| format!("?limit={per_page}&{way}={}", percent_encode(cursor));
        let mut links = Vec::new();
        if self.has_previous {
            links.push(("previous", link("before", &start)));
        }
        if self.has_next {
            links.push(("next", link("after", &end)));
        }
        format!(
            r#""cursor_pagination":{{"count":{},"per_page":{per_page},"start_cursor":"{start}","end_cursor":"{end}","links":{}}}"#,
            self.places.len(),
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
