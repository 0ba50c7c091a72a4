//! The pull as a machine: which page is asked for next, whether the list was whole, and how much of it is believed. No
//! IO, no clock.
//!
//! ```text
//! start ──page──▶ after its cursor ──page──▶ … ──it says that it is over──▶ as many seen as `total`? ──▶ whole
//!   │                │ no cursor: by number       │ fewer                         │ no: asked once more how many there are;
//!   │                │ cursor refused, or the     ▼                               ▼ behind a cursor, by number
//!   │                │ place says nothing       goes on, as long as there is     not whole: says why, and no cursor moves
//!   ◀────────────────┘ anew, once; then         somebody new
//!                      by number
//! ```
//!
//! A list is over when it says so: no cursor, no next page, nobody on a page, all pages counted. A short page says nothing.
//! A record that is no customer is passed over and named, and the list is not whole for it.
//!
//! Pages shrink when they come too slowly or are too large; what was learned of that holds for the rest of the pull. They shrink as
//! well when nothing comes of one although the store answers others: down to the one customer that it cannot list. That one is passed
//! over and named too, and behind it the pages grow again.
//!
//! The next pull asks from the server's clock when this one began, less an overlap. One wrong `Date` makes no hole: it is
//! believed no further than the time that passed here says, unless an earlier pull was [told so too](Witnesses), and one that lies
//! before the cursor is heard twice.

mod how_far;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

pub use how_far::{HowFar, PageAsk, Place, PullStep};

use super::{Lacking, More, Named, Page};
use crate::resource::{CustomerId, ResourceId};

/// Customers on a page: what is asked for at first, and after each time that it was too much. Each size goes into the one
/// before it, so that pages by number begin where a larger one did.
const SIZES: [usize; 5] = [ResourceId::CUSTOMER.spec().page, 50, 10, 2, 1];
/// A list that lacks no more than one customer of so many may be whole, if the next one lacks as many.
const LACKS_ONE_OF: u64 = 20;
/// Customers that the store cannot list, in one list: where they are more, it is the list that fails.
const UNLISTED_AT_MOST: u64 = 10;
/// So many of those one behind the other may be the whole list.
const UNLISTED_IN_A_ROW: u64 = 2;
/// Pages in a row on which there is nobody new: whoever tells of a next one after that goes round in circles.
const IDLE_PAGES: u32 = 3;

/// What a request for a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// For customers.
    List,
    /// How many there are: fewer came than were told.
    Total,
    /// For the server's clock, once more: it told of a time before the cursor.
    Date,
    /// Whether the list begins when it is asked for without the cursor that was refused.
    Anew,
}

/// A pull of a list.
#[derive(Clone, Debug)]
pub struct Pull {
    resource: ResourceId,
    modified_min: Option<DateTime<Utc>>,
    with: Vec<ResourceId>,
    asking: Asking,
    place: Place,
    /// An index of [`SIZES`].
    size: usize,
    /// Customers that the pages so far had room for.
    room: u64,
    total: Option<u64>,
    /// Pages by number moved under the reader: customers left the list.
    has_shrunk: bool,
    seen: Ids,
    idle: u32,
    /// Nothing has come since it was resumed: the place may be dead.
    is_unproven: bool,
    /// The size of its pages then: what was learned since may have been the dead place.
    resumed_size: usize,
    /// The cursor that was given up because nothing came of it.
    given_up: Option<String>,
    /// It may begin anew no more.
    is_anew: bool,
    /// Nobody answered in time, once.
    was_silent: bool,
    /// The server's clock when the list began.
    began: Option<DateTime<Utc>>,
    newest: Newest,
    /// The server's clock was set back behind the cursor: everybody is asked for.
    was_set_back: bool,
    /// The newest page told something of the list.
    is_told: bool,
    /// Records that are no customers.
    unread: Named,
    /// Customers that the store cannot list, how many of them are behind the last one that it did, and that one.
    unlisted: Named,
    passed_over: u64,
    last: Option<CustomerId>,
    /// A place was asked for by its number, since its cursor brought nothing.
    has_lost_cursor: bool,
    /// The size of the store's own pages, if it has shown that it has one.
    capped: Option<usize>,
    /// The size to which pages grow again behind one of those: what they had before they shrank; less, where that was too much
    /// once more.
    large: Option<usize>,
    has_grown: bool,
    /// Pages fail, and get smaller for it.
    is_shrinking: bool,
    /// What the list lacked at its end.
    lacks: Option<Lacking>,
}

impl Pull {
    /// A pull of what was modified since, or of everybody.
    pub fn new(modified_min: Option<DateTime<Utc>>) -> Pull {
        Pull::of(ResourceId::CUSTOMER, modified_min)
    }

    /// The same of any resource.
    pub fn of(resource: ResourceId, modified_min: Option<DateTime<Utc>>) -> Pull {
        Pull {
            resource,
            modified_min,
            with: Vec::new(),
            asking: Asking::List,
            place: Place::Start,
            size: 0,
            room: 0,
            total: None,
            has_shrunk: false,
            seen: Ids::default(),
            idle: 0,
            is_unproven: false,
            resumed_size: 0,
            given_up: None,
            is_anew: false,
            was_silent: false,
            began: None,
            newest: Newest::default(),
            was_set_back: false,
            is_told: false,
            unread: Named::default(),
            unlisted: Named::default(),
            passed_over: 0,
            has_lost_cursor: false,
            last: None,
            large: None,
            has_grown: false,
            capped: None,
            is_shrinking: false,
            lacks: None,
        }
    }

    /// The same, with what is to be shown besides.
    pub fn showing(self, with: Vec<ResourceId>) -> Pull {
        Pull { with, ..self }
    }

    /// What is to be shown besides.
    pub fn shows(&self) -> &[ResourceId] {
        &self.with
    }

    /// A pull of everybody that goes on where it was cut, and has seen these.
    pub fn resumed(from: HowFar, seen: Ids) -> Pull {
        let HowFar { place, limit, total, began, newest, given_up, .. } = from;
        let HowFar { unread, unlisted, last, large, has_grown, has_lost_cursor, capped, .. } = from;
        let of_size = |limit: usize| SIZES.iter().position(|size| *size == limit);
        let (size, large) = (of_size(limit).unwrap_or(0), large.and_then(of_size));
        let is_unproven = place != Place::Start;
        let newest = Newest { at: newest, ..Newest::default() };
        let resumed_size = size;
        Pull {
            place,
            size,
            total,
            began,
            newest,
            seen,
            is_unproven,
            resumed_size,
            given_up,
            unread,
            unlisted,
            last,
            large,
            has_grown,
            has_lost_cursor,
            capped,
            ..Pull::new(None)
        }
    }

    /// How far it has come.
    pub fn how_far(&self) -> HowFar {
        let (place, limit, newest) = (self.place.clone(), SIZES[self.size], self.newest.at);
        let (given_up, total, began, last) = (self.given_up.clone(), self.total, self.began, self.last);
        let (unread, unlisted) = (self.unread.clone(), self.unlisted.clone());
        let (large, has_grown, capped) = (self.large.map(|size| SIZES[size]), self.has_grown, self.capped);
        HowFar {
            place,
            limit,
            total,
            began,
            newest,
            given_up,
            unread,
            unlisted,
            last,
            large,
            has_grown,
            has_lost_cursor: self.has_lost_cursor,
            capped,
        }
    }

    /// The first page to ask for.
    pub fn first(&self) -> PageAsk {
        self.ask()
    }

    /// Who was seen so far.
    pub fn seen(&self) -> u64 {
        self.seen.len()
    }

    /// Customers in the list, as last told.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The server's clock when the list began, as it told.
    pub fn began(&self) -> Option<DateTime<Utc>> {
        self.began
    }

    /// The newest `date_modified` that was seen.
    pub fn newest(&self) -> Option<DateTime<Utc>> {
        self.newest.at
    }

    /// Whether the list told of its end, and did not just bring nobody: only then is nobody known to have changed.
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// What it lacked, if it came to its end. `None` too where nobody can say whether the next one lacks the same: of a list of
    /// everybody, unless they are few; a store whose `total` is always too high lacks as many the next time. Of a list of changes
    /// [whom the store cannot list](Pull::unlisted) is not counted in.
    pub fn lacks(&self) -> Option<Lacking> {
        let mut lacks = self.lacks.clone()?;
        let is_of_changes = self.modified_min.is_some();
        let few = (lacks.nameless + self.unread.len()) * LACKS_ONE_OF <= self.seen.len();
        if !is_of_changes {
            lacks.who.extend(self.unlisted.who()?);
        }
        (is_of_changes || few).then_some(lacks)
    }

    /// Customers that the store cannot list, in words.
    pub fn unlisted(&self) -> Option<String> {
        Some(format!("it cannot list {}", self.unlisted.words()?))
    }

    /// What it lists that is no customer, and whom it cannot list, in words.
    pub fn named(&self) -> Option<String> {
        let unread = self.unread.words().map(|words| format!("it lists what is no customer: {words}"));
        let named: Vec<String> = unread.into_iter().chain(self.unlisted()).collect();
        (!named.is_empty()).then(|| format!("{}; the others are taken in", named.join("; ")))
    }

    /// From when on it asks for what was modified; `None`: for everybody.
    pub fn modified_min(&self) -> Option<DateTime<Utc>> {
        self.modified_min
    }

    /// Whether a record may be news although it bears an older time than what is known: the server's clock was set back.
    pub fn believes_older(&self) -> bool {
        self.was_set_back
    }

    // ---- answers -----------------------------------------------------------------------------------------------------

    /// A page came, with the server's clock at that moment.
    pub fn page(&mut self, page: &Page<'_>, date: Option<DateTime<Utc>>) -> PullStep {
        match self.asking {
            Asking::Total => return self.counted(page.total),
            Asking::Date => return self.dated(date),
            Asking::Anew => self.begin_anew(),
            Asking::List if self.is_before_cursor(date) => {
                self.asking = Asking::Date;
                return PullStep::Ask(PageAsk { place: Place::Start, limit: 1, ..self.ask() });
            }
            Asking::List => {}
        }
        self.began = self.began.or(date);
        self.take(page)
    }

    /// More than could be taken in. The page gets smaller; a single customer that is too much is named, and passed over.
    pub fn too_much(&mut self, why: &str, has_begun: bool, first: Option<CustomerId>) -> PullStep {
        if !has_begun && !std::mem::replace(&mut self.was_silent, true) {
            return self.again();
        }
        if !self.is_of_one() {
            let least = if std::mem::take(&mut self.has_grown) { self.size + 1 } else { 0 };
            self.large = Some(self.large.unwrap_or(self.size).max(least));
            return self.smaller();
        }
        // A cursor that died may just bring nothing, however little is asked for.
        if first.is_none()
            && let Some(anew) = self.failed()
        {
            return anew;
        }
        let whom = first.map_or_else(|| "a customer".to_owned(), |id| format!("customer {id}"));
        let why = format!("{whom} alone is more than one answer can bring: {why}");
        let passes = has_begun && self.asking == Asking::List && self.may_pass_over();
        match passes {
            true => self.pass_over(whom, why),
            false => PullStep::Over(Err(why)),
        }
    }

    /// Nothing came of a page, however often it was asked for, and the store answers other questions: somebody is on it whom it
    /// cannot list. The page gets smaller; one that would hold a single customer is passed over. `None`: that is not it.
    pub fn cannot_list(&mut self, why: &str) -> Option<PullStep> {
        if self.asking != Asking::List || !self.may_pass_over() {
            return None;
        }
        if !self.is_of_one() {
            self.large.get_or_insert(self.size);
            self.is_shrinking = true;
            return Some(self.smaller()).filter(|step| !(self.is_anew && matches!(step, PullStep::Anew(_))));
        }
        if matches!(self.place, Place::After(_)) {
            // The cursor may have died while it was asked for: the same place by its number.
            self.place = Place::Number(self.passed() + 1);
            self.has_lost_cursor = true;
            return Some(self.again());
        }
        let whom = self.whom();
        let why = format!("{whom}, alone on its page: {why}");
        Some(self.pass_over(whom, why))
    }

    /// Who is next in the list, in words.
    fn whom(&self) -> String {
        match (self.last, self.passed_over + 1) {
            (None, nth) => format!("customer number {nth} of the list"),
            (Some(last), 1) => format!("the customer behind {last}"),
            (Some(last), nth) => format!("number {nth} behind customer {last}"),
        }
    }

    /// Where the list fails, in words, if somebody was passed over before.
    pub fn fails_at(&self) -> Option<String> {
        let passed = self.unlisted.len();
        let customers = if passed == 1 { "customer was" } else { "customers were" };
        (passed > 0)
            .then(|| format!("{passed} {customers} passed over, and it fails once more at {}", self.whom()))
    }

    /// Where so many in a row could not be listed that it may be all of them: single customers elsewhere in the list. If one of these
    /// pages comes, it is not.
    pub fn elsewhere(&self) -> Option<[PageAsk; 2]> {
        let is_asked = self.is_of_one() && self.passed_over == UNLISTED_IN_A_ROW && self.may_pass_over();
        let behind = self.passed() + UNLISTED_AT_MOST + 1;
        let page = |number| PageAsk { place: Place::Number(number), limit: 1, ..self.ask() };
        is_asked.then(|| [page(1), page(behind)])
    }

    /// Whether the page that is asked for would hold a single customer.
    pub fn is_of_one(&self) -> bool {
        self.size + 1 == SIZES.len()
    }

    /// Whether pages have got smaller because of somebody whom the store cannot list.
    pub fn is_shrinking(&self) -> bool {
        self.is_shrinking
    }

    /// Whether the cursor may have died: it is of an earlier pull, and nothing has come of it yet.
    pub fn may_be_dead(&self) -> bool {
        let Place::After(cursor) = &self.place else { return false };
        let may_be_dead = self.is_unproven && self.asking == Asking::List && !self.is_anew;
        may_be_dead && self.given_up.as_ref() != Some(cursor)
    }

    fn may_pass_over(&self) -> bool {
        self.unlisted.len() < UNLISTED_AT_MOST
    }

    /// Goes on by number behind a customer that cannot be had. There the pages grow again: where each of the larger ones begins.
    fn pass_over(&mut self, who: String, words: String) -> PullStep {
        let before = match self.place {
            Place::Number(number) => (number - 1) * SIZES[self.size] as u64,
            Place::Start | Place::After(_) => self.passed(),
        };
        self.unlisted.add(who, words);
        self.passed_over += 1;
        (self.is_unproven, self.was_silent, self.is_shrinking, self.idle) = (false, false, false, 0);
        self.place = Place::Number(before + 2);
        self.grow();
        PullStep::Ask(self.ask())
    }

    /// By number, and only where the larger page begins at the same place, and is none that the store makes smaller by itself: its number
    /// would tell of another place.
    fn grow(&mut self) {
        let (Place::Number(number), Some(large)) = (&mut self.place, self.large) else { return };
        let before = (*number - 1) * SIZES[self.size] as u64;
        while (!self.unlisted.is_empty() || self.has_lost_cursor)
            && self.size > large
            && self.capped.is_none_or(|most| SIZES[self.size - 1] <= most)
            && before.is_multiple_of(SIZES[self.size - 1] as u64)
        {
            self.size -= 1;
            self.has_grown = true;
        }
        *number = before / SIZES[self.size] as u64 + 1;
    }

    /// Records of the list that are behind the reader.
    fn passed(&self) -> u64 {
        self.seen.len() + self.unread.len() + self.unlisted.len()
    }

    fn smaller(&mut self) -> PullStep {
        let was = SIZES[self.size];
        self.size += 1;
        if let Place::Number(number) = self.place {
            // Pages that were shorter than asked for are numbered by a size of the store's own: what lies where is only known from
            // the start.
            let before = (number - 1) * was as u64;
            if self.asking == Asking::List && self.passed() < before {
                return self.anew();
            }
            self.place = Place::Number(before / SIZES[self.size] as u64 + 1);
        }
        self.again()
    }

    /// The page was refused, by whatever answered. A cursor may have died of age, whatever that is called: the list is asked for
    /// once without. Where it is that list's own cursor that dies, too, the list goes on by number; not in a store that fails, of
    /// which [others](Pull::cannot_list) think. `None`: nothing can be done about it.
    pub fn refused(&mut self, is_failing: bool) -> Option<PullStep> {
        let Place::After(cursor) = &self.place else { return None };
        if self.asking != Asking::List {
            return None;
        }
        match self.is_anew || !is_failing && self.given_up.as_ref() == Some(cursor) {
            false => Some(self.anew()),
            true => (!is_failing).then(|| self.by_number()),
        }
    }

    /// The same place by its number, or one before it. A store that makes pages smaller by itself may number them by its own size or
    /// by the one that it is asked for: they are asked for as small as that.
    fn by_number(&mut self) -> PullStep {
        while self.capped.is_some_and(|most| most < SIZES[self.size]) && !self.is_of_one() {
            self.size += 1;
        }
        self.place = Place::Number(self.passed() / SIZES[self.size] as u64 + 1);
        (self.has_lost_cursor, self.is_unproven, self.idle) = (true, false, 0);
        self.again()
    }

    /// Nothing came of a page, however often it was asked for, and that was no answer of the API's. If that is so of a cursor of
    /// an earlier pull, it may have died, and it is asked once without: only if the list begins then is the place given up. A page
    /// that fails wherever it is reached is no dead cursor: the same one is given up once. `None`: it failed.
    pub fn failed(&mut self) -> Option<PullStep> {
        let Place::After(cursor) = &self.place else { return None };
        if !self.may_be_dead() {
            return None;
        }
        self.given_up = Some(cursor.clone());
        self.size = self.resumed_size;
        Some(self.anew())
    }

    // ---- the list ----------------------------------------------------------------------------------------------------

    fn take(&mut self, page: &Page<'_>) -> PullStep {
        let is_by_number = matches!(self.place, Place::Number(_));
        let is_less = page.total.zip(self.total).is_some_and(|(now, before)| now < before);
        self.has_shrunk |= is_by_number && is_less;
        // Where nobody is behind a cursor, fewer than there were are no word: a dead one may be answered so.
        let is_nobody = page.is_empty() && matches!(self.place, Place::After(_));
        let told = page.total.filter(|total| !is_nobody || *total >= self.total.unwrap_or(self.passed()));
        self.total = told.or(self.total);
        self.is_told = self.total.is_some() || page.more != More::Untold || page.cursor.is_some();
        self.room += SIZES[self.size] as u64;
        let before = self.seen.len();
        for (attributes, _) in &page.rows {
            self.seen.insert(attributes.row().number());
            self.newest.see(attributes.changed_at_text());
        }
        page.contradicted.iter().for_each(|row| _ = self.seen.insert(row.number()));
        page.unread.iter().for_each(|record| self.unread.add(record.who.clone(), record.words.clone()));
        if let Some((last, _)) = page.rows.last() {
            (self.last, self.passed_over) = (Some(last.id()), 0);
        }
        if page.is_empty() {
            return if self.ends_in_the_dark() { self.by_number() } else { self.at_the_end() };
        }
        if matches!(&self.place, Place::After(cursor) if self.given_up.as_ref() == Some(cursor)) {
            self.given_up = None;
        }
        (self.is_unproven, self.was_silent, self.is_shrinking) = (false, false, false);
        self.idle = if self.seen.len() > before { 0 } else { self.idle + 1 };
        if self.idle > 0 && self.is_unpaged() {
            return self.at_the_end();
        }
        if self.idle >= IDLE_PAGES {
            let words = "its pages go round in circles: customers that were listed before are listed again";
            return PullStep::Over(Err(words.to_owned()));
        }
        // A total below what was seen is no word about the end: as long as there is a cursor, it is followed.
        let is_disproved = page.cursor.is_some() && self.total.is_some_and(|total| self.seen.len() > total);
        let is_full_first = self.place == Place::Start && page.len() >= SIZES[self.size];
        let is_over = match (page.more, self.total) {
            (More::Yes, _) => false,
            _ if is_disproved => false,
            (More::No, _) => !self.is_short(),
            // A total that is just a full first page, with a cursor behind it, may be the page's own.
            (More::Untold, Some(_)) if is_full_first && page.cursor.is_some() => false,
            (More::Untold, Some(_)) => !self.is_short(),
            (More::Untold, None) => false,
        };
        if is_over {
            return self.at_the_end();
        }
        self.capped = match self.capped {
            _ if page.len() < SIZES[self.size] => Some(page.len()),
            capped => capped.filter(|most| page.len() <= *most),
        };
        self.place = match (&page.cursor, &self.place) {
            (Some(cursor), Place::Start | Place::After(_)) => Place::After(cursor.clone()),
            (_, Place::Number(number)) => Place::Number(number + 1),
            (None, _) => Place::Number(self.room / SIZES[self.size] as u64 + 1),
        };
        self.grow();
        PullStep::Ask(self.ask())
    }

    /// The store tells nothing of pages and gives the same again when asked for the next one: what it has is on one, unless
    /// that was full.
    fn is_unpaged(&self) -> bool {
        let is_second = matches!(self.place, Place::Number(_)) && self.room == 2 * SIZES[self.size] as u64;
        is_second && !self.is_told && self.seen.len() < SIZES[self.size] as u64
    }

    /// Nobody is behind a cursor, all pages before were full, and nothing tells how many there are: it may be the end, or a cursor that
    /// died. The same place by its number tells.
    fn ends_in_the_dark(&self) -> bool {
        let were_full = self.passed() + SIZES[self.size] as u64 == self.room;
        matches!(self.place, Place::After(_)) && !self.is_unproven && self.total.is_none() && were_full
    }

    /// The list has come to its end: says so itself, or had nobody any more.
    fn at_the_end(&mut self) -> PullStep {
        let is_dead = self.is_unproven && self.total.is_none_or(|_| self.is_short());
        if !self.is_anew && (is_dead || self.has_shrunk) {
            return self.anew();
        }
        if self.has_shrunk {
            return PullStep::Over(Err("customers left it while it was read page by page".to_owned()));
        }
        if !self.is_short() {
            return self.all_seen();
        }
        self.asking = Asking::Total;
        PullStep::Ask(PageAsk { place: Place::Start, limit: 1, ..self.ask() })
    }

    /// Fewer came than there were said to be: how many are there now? Some may have been deleted meanwhile.
    fn counted(&mut self, total: Option<u64>) -> PullStep {
        self.asking = Asking::List;
        self.total = total.or(self.total);
        if !self.is_short() {
            return self.all_seen();
        }
        if matches!(self.place, Place::After(_)) {
            // Its end was nobody behind a cursor, which may have died.
            return self.by_number();
        }
        let (seen, total) = (self.seen.len(), self.total.unwrap_or_default());
        self.lacks =
            self.unread.who().map(|who| Lacking { nameless: total.saturating_sub(self.passed()), who });
        let named = self.named().map(|named| format!("; {named}")).unwrap_or_default();
        PullStep::Over(Err(format!("it showed {seen} of {total} customers{named}")))
    }

    /// As many came as there were said to be. What of them is no customer is lacking all the same, and a list that lacks as many
    /// the next time is as good as it gets.
    fn all_seen(&mut self) -> PullStep {
        let named = self.named();
        self.lacks = self.unread.who().filter(|_| named.is_some()).map(|who| Lacking { nameless: 0, who });
        PullStep::Over(named.map_or(Ok(()), Err))
    }

    fn is_short(&self) -> bool {
        self.total.is_some_and(|total| self.passed() < total)
    }

    /// The question that will be noted as asked; a place that was refused stays, until it is known that the list begins.
    fn anew(&mut self) -> PullStep {
        self.asking = Asking::Anew;
        PullStep::Anew(PageAsk { place: Place::Start, ..self.ask() })
    }

    fn begin_anew(&mut self) {
        let Pull { modified_min, size, large, has_grown, capped, was_set_back, .. } = *self;
        let (newest, given_up) = (std::mem::take(&mut self.newest), self.given_up.take());
        let begun = Pull { size, large, has_grown, capped, is_anew: true, ..Pull::new(modified_min) };
        *self = Pull { newest, was_set_back, given_up, ..begun };
    }

    /// The same once more, or less of it.
    fn again(&mut self) -> PullStep {
        let ask = match self.asking {
            Asking::List => self.ask(),
            Asking::Anew => return PullStep::Anew(PageAsk { place: Place::Start, ..self.ask() }),
            Asking::Total | Asking::Date => PageAsk { place: Place::Start, limit: 1, ..self.ask() },
        };
        PullStep::Ask(ask)
    }

    fn ask(&self) -> PageAsk {
        PageAsk {
            resource: self.resource,
            modified_min: self.modified_min,
            place: self.place.clone(),
            limit: SIZES[self.size],
            with: self.with.clone(),
        }
    }

    // ---- the server's clock ------------------------------------------------------------------------------------------

    /// The first page of a list of changes tells of a time before the one from which it was asked for.
    fn is_before_cursor(&self, date: Option<DateTime<Utc>>) -> bool {
        let is_first = self.began.is_none() && self.place == Place::Start;
        is_first && self.modified_min.zip(date).is_some_and(|(min, date)| date < min)
    }

    fn dated(&mut self, date: Option<DateTime<Utc>>) -> PullStep {
        self.asking = Asking::List;
        // Heard twice: it is the cursor that is wrong, and nothing of what it asked for is known.
        if self.is_before_cursor(date) {
            self.modified_min = None;
            self.was_set_back = true;
        }
        self.began = date;
        PullStep::Ask(self.ask())
    }
}

/// When a pull began, by the server's clock, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Witnesses {
    /// The `Date` of its first answer.
    pub told: Option<DateTime<Utc>>,
    /// What it should have been: the `Date` of the pull before, and the time that passed here since; the till's own clock
    /// where there was none.
    pub expected: Option<DateTime<Utc>>,
    /// An earlier pull, at another moment, found it just as far from what was expected.
    pub is_told_again: bool,
    /// The newest `date_modified` that was seen. One node may date a record and the answer that shows it: it bears out nothing.
    pub newest: Option<DateTime<Utc>>,
    /// How long the list took: so long after its beginning that may have been.
    pub lasted: TimeDelta,
}

impl Witnesses {
    /// The server's clock when the pull began, as far as it is believed: what it told, but no later than was expected, unless it is
    /// told again.
    pub fn believed(self) -> Option<DateTime<Utc>> {
        let Witnesses { told, expected, is_told_again, newest, lasted } = self;
        match (told, expected) {
            (Some(told), Some(expected)) if !is_told_again => Some(told.min(expected)),
            (Some(told), _) => Some(told),
            (None, _) => newest.map(|newest| {
                let began = newest.checked_sub_signed(lasted.max(TimeDelta::zero())).unwrap_or(newest);
                expected.map_or(began, |expected| began.min(expected))
            }),
        }
    }

    /// From when on the next pull asks, after one that was whole and asked from `cursor` on. One without news moves nothing:
    /// it may have been maintenance that answered, and asking from the same moment again costs nothing.
    pub fn next_cursor(
        self,
        cursor: Option<DateTime<Utc>>,
        overlap: TimeDelta,
        has_news: bool,
    ) -> Option<DateTime<Utc>> {
        let next = self.believed().map(|believed| believed.checked_sub_signed(overlap).unwrap_or(believed));
        let is_ahead = self.told.zip(cursor).is_some_and(|(told, cursor)| told < cursor);
        match has_news || is_ahead {
            true if is_ahead => next,
            true => next.max(cursor),
            false => cursor,
        }
    }
}

/// How many deletions are believed within a day without a person's word. Never more than half of the file, but one in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionBrake {
    /// So many of a hundred customers of the file. Default: 5.
    pub percent: u8,
    /// But as many as this, unless that is more than half of them. Default: 20.
    pub at_least: u64,
}

impl Default for DeletionBrake {
    fn default() -> DeletionBrake {
        DeletionBrake { percent: 5, at_least: 20 }
    }
}

impl DeletionBrake {
    /// How many of a file's `customers` may go, of which `lately` went within the last day, when `word` is what a person has
    /// allowed. A store that hides a few at a time is stopped as one that hides many.
    pub fn most(&self, customers: u64, lately: u64, word: Option<u64>) -> u64 {
        let before = customers.saturating_add(lately);
        let share = before.saturating_mul(u64::from(self.percent)) / 100;
        let a_day = share.max(self.at_least).min((before / 2).max(1));
        a_day.saturating_sub(lately).max(word.unwrap_or_default())
    }
}

/// A set of customers. Ids are mostly given out one after the other, so 64 of them share an entry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ids {
    blocks: BTreeMap<i64, u64>,
    len: u64,
}

impl Ids {
    /// Puts a customer in. Returns false if it was there.
    pub fn insert(&mut self, id: i64) -> bool {
        let (block, bit) = (self.blocks.entry(id >> 6).or_default(), 1 << (id & 63));
        let is_new = *block & bit == 0;
        *block |= bit;
        self.len += u64::from(is_new);
        is_new
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.len
    }
}

impl FromIterator<CustomerId> for Ids {
    fn from_iter<I: IntoIterator<Item = CustomerId>>(ids: I) -> Ids {
        let mut all = Ids::default();
        ids.into_iter().for_each(|id| _ = all.insert(id.0));
        all
    }
}

/// The newest time of many. Almost all are older, and are told to be so by their text.
#[derive(Clone, Debug, Default)]
struct Newest {
    text: String,
    at: Option<DateTime<Utc>>,
}

impl Newest {
    /// `json` is a `date_modified` as a record has it.
    fn see(&mut self, json: Option<&str>) {
        let Some(text) = json.map(|json| json.trim_matches('"')) else { return };
        let is_alike = text.len() == self.text.len() && text.ends_with('Z');
        if is_alike && text <= self.text.as_str() {
            return;
        }
        let Some(at) = moment(text) else { return };
        if self.at.is_none_or(|newest| at > newest) {
            (self.at, self.text) = (Some(at), text.to_owned());
        }
    }
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}
