//! What an answer of the store means, as a pure function of its status, its body and what was asked.
//!
//! This is the table "When it goes wrong" of the design, row by row. The bytes of an answer are read here and
//! nowhere else; what is then done about it is decided by [`Upload`](super::Upload) and by the pull.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::outdated::hash;
use super::secrets::Secrets;
use super::{RateHeaders, SentRow, Unread, identity, sent_identity};
use crate::error::Failure;
use crate::resource::{Attributes, CustomerId, FieldId, Identity, Record, ResourceId, RowId};

/// What came back from the store.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What the headers say of the request budget.
    pub rate: RateHeaders,
    /// The server's clock.
    pub date: Option<DateTime<Utc>>,
    /// Where it sends whoever asks, if it does: scheme and host. Nobody goes there.
    pub sends_to: Option<String>,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

impl Answer {
    /// A `429` although the quota is not used up: too many calls were under way at once, over all clients of the store. That
    /// is over as soon as one of them ends.
    pub fn is_crowded(&self) -> bool {
        self.status == 429 && self.rate.left.is_some_and(|left| left > 0)
    }

    /// Whether it is a refusal that does not speak as the API does: from something between the till and the store.
    pub fn is_from_in_between(&self) -> bool {
        (300..400).contains(&self.status)
            || (400..499).contains(&self.status) && self.status != 429 && !is_the_apis(&self.body)
    }

    /// Whether the store itself did what it was asked, or refused that: nothing in between speaks so, and so it can be reached.
    pub(crate) fn is_the_stores_word(&self) -> bool {
        match self.status {
            200 | 207 => parsed::<Told<'_>>(&self.body).is_some(),
            204 => true,
            400 | 409 | 422 => is_the_apis(&self.body),
            _ => false,
        }
    }

    /// Whether it may be about what was asked for, as the refusal of a cursor that has died is, whatever status a store
    /// gives that; and not about who asks, nor from something in between.
    pub(crate) fn is_about_the_question(&self) -> bool {
        ![401, 403, 429].contains(&self.status) && is_the_apis(&self.body)
    }
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The request never left: no route, no name, refused.
    Offline(String),
    /// The request never left: the proxy is not there, or lets nobody through. Which one, and why.
    Proxy(String),
    /// The request never left: who answered could not show that it is the store. What is wrong with its certificate.
    Certificate(String),
    /// The request never left: the process may open no more files, and so no connection.
    NoSocket(String),
    /// The request never left: the system gives this process no thread, and so nobody to look up the store's name.
    NoThread(String),
    /// It may have arrived: broken connection, an answer that cannot be read.
    Broken(String),
    /// More than could be taken in: it did not come within the time that a request has, or was larger than an answer may be.
    TooMuch {
        /// What happened.
        why: String,
        /// What had come by then, or the beginning of it; empty: nothing.
        begun: Vec<u8>,
    },
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<'a> {
    /// The rows, each once, with its own JSON text.
    pub rows: Vec<(Attributes<'a>, &'a str)>,
    /// Rows of which it tells two things at once, and so nothing but that they are there.
    pub contradicted: BTreeSet<RowId>,
    /// What in it is no customer: its id as told, its place on the page, and why.
    pub unread: Vec<Unread>,
    /// The cursor behind the page, if the server tells one. Some tell it of the last page too.
    pub cursor: Option<String>,
    /// Whether there is a page after it, as far as this one says.
    pub more: More,
    /// Customers in all pages, if the server tells.
    pub total: Option<u64>,
}

/// What a page says of a page after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum More {
    /// There is one.
    Yes,
    /// It is the last.
    No,
    /// Nothing.
    #[default]
    Untold,
}

impl<'p> Page<'p> {
    /// A page with nobody in it, which says nothing else either.
    pub fn nobody() -> Page<'static> {
        Page {
            rows: Vec::new(),
            contradicted: BTreeSet::new(),
            unread: Vec::new(),
            cursor: None,
            more: More::Untold,
            total: None,
        }
    }

    /// Where the next page begins, unless this one says that it is the last, or nobody is in it.
    pub fn next(&self) -> Option<&str> {
        let is_last = self.more == More::No || self.is_empty();
        self.cursor.as_deref().filter(|_| !is_last)
    }

    /// Who is in it.
    pub fn ids(&self) -> BTreeSet<RowId> {
        let told = self.rows.iter().map(|(attributes, _)| attributes.row());
        told.chain(self.contradicted.iter().copied()).collect()
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.rows.len() + self.contradicted.len() + self.unread.len()
    }

    /// What cannot be read in an answer by id may be any of those `asked` for whom it does not show: of them it tells nothing.
    pub fn leave_open(&mut self, asked: &[RowId]) {
        if !self.unread.is_empty() {
            let shown = self.ids();
            self.contradicted.extend(asked.iter().filter(|id| !shown.contains(id)));
        }
    }

    /// These are told too.
    pub fn tell<'r>(&mut self, records: &'r [Record])
    where
        'r: 'p,
    {
        let told = records.iter().filter_map(|record| Some((record.attributes().ok()?, record.body())));
        self.rows.extend(told);
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the answer to a `GET` means.
#[derive(Debug)]
pub enum GetVerdict<'a> {
    /// It is what was asked for.
    Page(Page<'a>),
    /// `200`, and not a byte of a body: an empty list, if it says so once more.
    Blank,
    /// More than could be taken in: ask for less at a time.
    TooMuch {
        /// What happened.
        why: String,
        /// Something had come by then: it was not that the server was silent.
        has_begun: bool,
        /// The first customer of it, as far as it came.
        first: Option<CustomerId>,
    },
    /// Too many requests: wait as the pacer says; no try is used up.
    Limited,
    /// Too many at once: wait some tenths of a second; no try is used up.
    Crowded,
    /// It may go better next time.
    Again(String),
    /// It will not.
    Stop(Failure),
}

/// What the answer to a `PUT` means.
#[derive(Debug)]
pub enum PutVerdict {
    /// These customers are as the store says; what it does not name must be read back.
    Confirmed {
        /// The customers as the store has them now; an attribute may be absent.
        records: Vec<(RowId, Record)>,
        /// Customers that were sent and not confirmed: not named, or not shown by a yes that was none of another customer.
        missing: Vec<RowId>,
        /// Customers that the answer shows, and attributes of them as they were before they were sent: those did not land, as
        /// far as one answer tells. They are among neither of the above.
        unshown: BTreeMap<RowId, Vec<FieldId>>,
        /// What the answer names as wrong, all the same.
        rejections: Vec<Rejection>,
    },
    /// The content was refused; whether the good records among it landed is not known.
    Refused {
        /// What the answer names.
        rejections: Vec<Rejection>,
        /// The server's words, for what it does not name.
        words: String,
        /// It wants this attribute said, which a row does not change: then it is to blame for nothing.
        wants: Option<FieldId>,
        /// It speaks as the API does, which has judged the content then, and is done with it.
        is_the_apis: bool,
    },
    /// More than one call may carry.
    TooLarge {
        /// The server's words.
        words: String,
    },
    /// Too many requests: nothing was applied, no try is used up.
    Limited,
    /// Too many at once: nothing was applied, no try is used up, and it is over as soon as another call ends.
    Crowded,
    /// It may have been applied.
    InDoubt(String),
    /// The request never left.
    NotSent(Failure),
    /// Nothing was applied, and nothing will be.
    Stop(Failure),
}

/// A record that the server refused, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The row.
    pub row: RowId,
    /// The attribute, when the server named one.
    pub field: Option<FieldId>,
    /// The server's words.
    pub words: String,
}

/// Reads the answer to a list of rows of a resource.
pub fn judge_get<'a>(resource: ResourceId, answer: &'a Result<Answer, Trouble>) -> GetVerdict<'a> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Trouble::Offline(why)) => return GetVerdict::Stop(Failure::Offline(why.clone())),
        Err(Trouble::Proxy(why)) => return GetVerdict::Stop(Failure::Proxy(why.clone())),
        Err(Trouble::Certificate(why)) => return GetVerdict::Stop(Failure::Certificate(why.clone())),
        Err(Trouble::NoSocket(why)) => return GetVerdict::Stop(Failure::NoSocket(why.clone())),
        Err(Trouble::NoThread(why)) => return GetVerdict::Stop(Failure::NoThread(why.clone())),
        Err(Trouble::Broken(why)) => return GetVerdict::Again(why.clone()),
        Err(Trouble::TooMuch { why, begun }) => {
            let (has_begun, first) = (!begun.is_empty(), first_of(begun));
            return GetVerdict::TooMuch { why: why.clone(), has_begun, first };
        }
    };
    let nothing = &Secrets::default();
    match answer.status {
        200 if is_blank(&answer.body) => GetVerdict::Blank,
        200 => match page(resource, &answer.body) {
            Ok(page) => GetVerdict::Page(page),
            Err(why) => GetVerdict::Again(why),
        },
        204 => GetVerdict::Page(Page::nobody()),
        429 if answer.is_crowded() => GetVerdict::Crowded,
        429 => GetVerdict::Limited,
        408 => GetVerdict::Again(said(answer, nothing)),
        // No answer of the API's sends anywhere else, and nobody goes there: it would take the token along.
        300..=399 | 511 => GetVerdict::Stop(in_between(answer, nothing)),
        300..=422 | 424..=498 if !is_the_apis(&answer.body) => GetVerdict::Stop(in_between(answer, nothing)),
        401 | 403 | 404 => GetVerdict::Stop(auth(answer, nothing)),
        400..=422 | 424..=498 => GetVerdict::Stop(Failure::Protocol(said(answer, nothing))),
        _ => GetVerdict::Again(said(answer, nothing)),
    }
}

/// Reads the answer to a question for rows by id. What a refusal of the question itself is about is the list of them, as far as
/// anybody knows: too long an address, or something in between that does not take it. Fewer are to be asked for.
pub fn judge_get_by_ids<'a>(resource: ResourceId, answer: &'a Result<Answer, Trouble>) -> GetVerdict<'a> {
    match answer {
        Ok(refused) if [400, 413, 414, 422, 431].contains(&refused.status) => {
            let why = said(refused, &Secrets::default());
            GetVerdict::TooMuch { why, has_begun: true, first: None }
        }
        answer => judge_get(resource, answer),
    }
}

/// Reads the answer to an update of the rows `sent`, in the order in which they stood in the call.
pub fn judge_put(answer: &Result<Answer, Trouble>, sent: &[SentRow]) -> PutVerdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Trouble::Offline(why)) => return PutVerdict::NotSent(Failure::Offline(why.clone())),
        Err(Trouble::Proxy(why)) => return PutVerdict::NotSent(Failure::Proxy(why.clone())),
        Err(Trouble::Certificate(why)) => return PutVerdict::NotSent(Failure::Certificate(why.clone())),
        Err(Trouble::NoSocket(why)) => return PutVerdict::NotSent(Failure::NoSocket(why.clone())),
        Err(Trouble::NoThread(why)) => return PutVerdict::NotSent(Failure::NoThread(why.clone())),
        Err(Trouble::Broken(why) | Trouble::TooMuch { why, .. }) => return PutVerdict::InDoubt(why.clone()),
    };
    let secrets = &Secrets::of(sent);
    match answer.status {
        200 | 207 => confirmed(answer, sent, secrets),
        // Perhaps because of what one of the customers says: the batch is read back, and goes once more.
        401 | 403 | 404 | 407 if !is_the_apis(&answer.body) => {
            PutVerdict::InDoubt(in_between(answer, secrets).to_string())
        }
        413 => PutVerdict::TooLarge { words: words(answer, secrets) },
        400 | 409 | 422 => refused(answer, sent, secrets),
        429 if answer.is_crowded() => PutVerdict::Crowded,
        429 => PutVerdict::Limited,
        401 | 403 | 404 => PutVerdict::Stop(auth(answer, secrets)),
        402..=498 if ![408, 423].contains(&answer.status) => {
            PutVerdict::Stop(Failure::Protocol(said(answer, secrets)))
        }
        _ => PutVerdict::InDoubt(said(answer, secrets)),
    }
}

/// Reads the answer to a creation of the rows `sent`: each is told by what no two have, and its id is news.
pub fn judge_post(answer: &Result<Answer, Trouble>, sent: &[SentRow]) -> PutVerdict {
    match answer {
        Ok(answer) if [200, 201, 207].contains(&answer.status) => created(answer, sent),
        answer => judge_put(answer, sent),
    }
}

/// Reads the answer to a deletion of the rows `sent`. Whatever else it says than that it is done, or nothing: whether they are gone is looked
/// for.
pub fn judge_delete(answer: &Result<Answer, Trouble>, sent: &[SentRow]) -> PutVerdict {
    let rows = || sent.iter().map(|row| row.id);
    let confirmed = |records, missing| PutVerdict::Confirmed {
        records,
        missing,
        unshown: BTreeMap::new(),
        rejections: Vec::new(),
    };
    match answer {
        Ok(Answer { status: 204, .. }) => {
            confirmed(rows().map(|row| (row, Record::of_nothing(row))).collect(), Vec::new())
        }
        Ok(answer) if (200..300).contains(&answer.status) => confirmed(Vec::new(), rows().collect()),
        Ok(answer) if [404, 410].contains(&answer.status) && is_the_apis(&answer.body) => {
            refused(answer, sent, &Secrets::of(sent))
        }
        answer => judge_put(answer, sent),
    }
}

fn created(answer: &Answer, sent: &[SentRow]) -> PutVerdict {
    let (secrets, resource) = (&Secrets::of(sent), of(sent));
    let body = match update(&answer.body, secrets) {
        Ok(body) => body,
        Err(why) => return PutVerdict::InDoubt(why),
    };
    let mut told: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for raw in &body.data {
        let raw = quoting_nothing(raw.get(), sent, secrets);
        if let Some(identity) = Attributes::of(resource, &raw).ok().and_then(|it| identity(resource, &it)) {
            told.entry(identity).or_default().push(Record::of(resource, raw));
        }
    }
    // What is sent or told twice tells nobody apart: those are looked for.
    let whose = |identity: &String| {
        let mut rows = sent.iter().filter(|row| sent_identity(row).as_ref() == Some(identity));
        rows.next().filter(|_| rows.next().is_none())
    };
    let once = |(identity, mut records): (String, Vec<Record>)| match records.len() {
        1 => Some((whose(&identity)?.id, records.pop()?)),
        _ => None,
    };
    let mut records: BTreeMap<RowId, Record> = told.into_iter().filter_map(once).collect();
    leave_odd_ids(&mut records);
    let missing = sent.iter().map(|row| row.id).filter(|id| !records.contains_key(id)).collect();
    let (rejections, unshown) = (rejections(&body.errors, sent, secrets), BTreeMap::new());
    PutVerdict::Confirmed { records: records.into_iter().collect(), missing, unshown, rejections }
}

/// An id that no row can have, or that two are told to have, is nobody's: those are looked for.
fn leave_odd_ids(records: &mut BTreeMap<RowId, Record>) {
    let id_of = |record: &Record| record.attributes().ok().map(|told| told.row().row).filter(|id| *id > 0);
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    records.values().filter_map(id_of).for_each(|id| *times.entry(id).or_default() += 1);
    records.retain(|_, record| id_of(record).is_some_and(|id| times.get(&id) == Some(&1)));
}

fn confirmed(answer: &Answer, sent: &[SentRow], secrets: &Secrets) -> PutVerdict {
    let body = match update(&answer.body, secrets) {
        Ok(body) => body,
        Err(_) if says_nothing_new(answer, sent) => Updated::default(),
        Err(why) => return PutVerdict::InDoubt(why),
    };
    let (mut records, mut unshown) = (BTreeMap::new(), BTreeMap::new());
    let mut open = BTreeSet::new();
    let told: Vec<_> = body.data.iter().map(|raw| quoting_nothing(raw.get(), sent, secrets)).collect();
    let resource = of(sent);
    let shown = told.iter().filter_map(|body| Some((Attributes::of(resource, body).ok()?, &**body)));
    // Of whom it tells two things at once is read back, as who is missing.
    let (shown, _) = each_once(shown.collect());
    for (attributes, raw) in shown {
        let Some(row) = sent.iter().find(|row| row.id == attributes.row()) else { continue };
        let fields = row.unshown(&attributes);
        if !row.is_vouched_for(&attributes) {
            open.insert(row.id);
        }
        match fields.is_empty() {
            true => _ = records.insert(row.id, Record::of(resource, raw)),
            false => _ = unshown.insert(row.id, fields),
        }
    }
    if !unshown.is_empty() {
        // A yes that is seen to be none of one customer says nothing of what it does not show of another.
        records.retain(|id, _| !open.contains(id));
    }
    let rejections = rejections(&body.errors, sent, secrets);
    let is_shown = |id: &RowId| records.contains_key(id) || unshown.contains_key(id);
    let missing = sent.iter().map(|row| row.id).filter(|id| !is_shown(id)).collect();
    PutVerdict::Confirmed { records: records.into_iter().collect(), missing, unshown, rejections }
}

/// Whether an answer is an object without rows: of an update that would make two rows say the same a store may tell nothing at all.
fn says_nothing_new(answer: &Answer, sent: &[SentRow]) -> bool {
    let is_bare = |said: serde_json::Map<String, serde_json::Value>| {
        !["data", "status", "title", "errors"].iter().any(|name| said.contains_key(*name))
    };
    of(sent).spec().identity == Identity::Content && parsed(&answer.body).is_some_and(is_bare)
}

/// Of what the rows of a call are.
fn of(sent: &[SentRow]) -> ResourceId {
    sent.first().map(|row| row.id.resource).unwrap_or_default()
}

/// The JSON text of a record without what quotes a password that was sent with it.
fn quoting_nothing<'a>(body: &'a str, sent: &[SentRow], secrets: &Secrets) -> Cow<'a, str> {
    if !secrets.are_quoted_in(body) {
        return Cow::Borrowed(body);
    }
    let record = Record::of(of(sent), body);
    let id = record.attributes().ok().map(|attributes| attributes.row());
    let row = sent.iter().find(|row| Some(row.id) == id);
    let ours = |field| {
        let fields = row.into_iter().flat_map(|row| &row.fields).filter(|(sent, ..)| *sent == field);
        fields.flat_map(|(_, was, value)| [was.clone(), value.clone()]).collect()
    };
    // What is no record is judged as it came: it is none of a customer that was sent.
    secrets.cut(&record, ours).map_or(Cow::Borrowed(body), |cut| Cow::Owned(cut.body().to_owned()))
}

fn refused(answer: &Answer, sent: &[SentRow], secrets: &Secrets) -> PutVerdict {
    let errors = parsed::<Refusal<'_>>(&answer.body).map(|refusal| refusal.errors).unwrap_or_default();
    PutVerdict::Refused {
        rejections: rejections(&errors, sent, secrets),
        wants: messages(&errors).iter().find_map(|(key, _)| wanted(key, sent)),
        words: words(answer, secrets),
        is_the_apis: is_the_apis(&answer.body),
    }
}

// ---- the server's words ------------------------------------------------------------------------------------------

/// The first characters of an id that is none.
const ID_CHARS: usize = 40;

/// The first bytes of a body that go into an error.
const EXCERPT_CHARS: usize = 120;

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
}

/// A list of customers, whatever else it tells.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, rename = "data")]
    _customers: Vec<&'a RawValue>,
}

/// What a page tells of its list. Whatever is not as documented says nothing: the customers are there all the same.
struct Meta(serde_json::Value);

impl Meta {
    fn read(raw: Option<&RawValue>) -> Meta {
        Meta(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default())
    }

    fn total(&self) -> Option<u64> {
        self.0["pagination"]["total"].as_u64()
    }

    fn cursor(&self) -> Option<String> {
        let cursor = self.0["cursor_pagination"]["end_cursor"].as_str();
        cursor.filter(|cursor| !cursor.is_empty()).map(str::to_owned)
    }

    fn more(&self) -> More {
        let (cursors, pages) = (&self.0["cursor_pagination"], &self.0["pagination"]);
        let is_told = |links: &serde_json::Value| links["next"].as_str().is_some_and(|next| !next.is_empty());
        if is_told(&cursors["links"]) || (is_told(&pages["links"]) && !cursors.is_object()) {
            return More::Yes;
        }
        if cursors.is_object() {
            let is_over = cursors["links"].is_object() || self.cursor().is_none();
            return if is_over { More::No } else { More::Untold };
        }
        match (pages["current_page"].as_u64(), pages["total_pages"].as_u64()) {
            (Some(current), Some(last)) if current < last => More::Yes,
            (Some(_), Some(_)) => More::No,
            _ => More::Untold,
        }
    }
}

#[derive(Deserialize, Default)]
struct Updated<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(default)]
    errors: Errors,
}

#[derive(Deserialize, Default)]
struct Refusal<'a> {
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    detail: Option<Cow<'a, str>>,
    #[serde(default)]
    errors: Errors,
}

/// `errors`: documented as an object of messages; anything else is tolerated and says nothing.
type Errors = serde_json::Value;

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn page(resource: ResourceId, body: &[u8]) -> Result<Page<'_>, String> {
    let listed: Listed<'_> =
        serde_json::from_slice(body).map_err(|e| unreadable(body, &e, &Secrets::default()))?;
    let (mut rows, mut unread) = (Vec::with_capacity(listed.data.len()), Vec::new());
    for (place, raw) in listed.data.iter().enumerate() {
        match Attributes::of(resource, raw.get()) {
            Ok(attributes) => rows.push((attributes, raw.get())),
            Err(_) => unread.push(no_customer(place + 1, raw.get())),
        }
    }
    let meta = Meta::read(listed.meta);
    let (rows, contradicted) = each_once(rows);
    let (cursor, more, total) = (meta.cursor(), meta.more(), meta.total());
    Ok(Page { rows, contradicted, unread, cursor, more, total })
}

/// One record that is no customer is nobody else's matter: it is named, by its id as far as it tells one, and passed over.
fn no_customer(place: usize, raw: &str) -> Unread {
    let told = serde_json::from_str::<serde_json::Value>(raw).ok();
    let told = told.as_ref().and_then(|told| told.get("id"));
    let id: Option<String> =
        told.map(|id| id.to_string().chars().filter(|c| !c.is_control()).take(ID_CHARS).collect());
    let words = match &id {
        Some(id) => format!("number {place} of a page has the id {id}, which is no whole number of 32 bits"),
        None => format!("number {place} of a page has no id"),
    };
    let is_somebodys = told.is_some_and(|id| id.is_number() || id.is_string());
    let who = id.filter(|_| is_somebodys).unwrap_or_else(|| format!("text {}", hash(raw)));
    Unread { who, words }
}

/// Of a customer that is listed twice the newer record is news. Two of the same time that say different things are no evidence
/// of either: nothing is computed from them.
fn each_once<'a>(
    listed: Vec<(Attributes<'a>, &'a str)>,
) -> (Vec<(Attributes<'a>, &'a str)>, BTreeSet<RowId>) {
    let (mut place_of, mut contradicted) = (BTreeMap::new(), BTreeSet::new());
    let mut once: Vec<(Attributes<'a>, &'a str)> = Vec::with_capacity(listed.len());
    for (told, body) in listed {
        let place = *place_of.entry(told.row()).or_insert(once.len());
        let Some((before, was)) = once.get_mut(place) else {
            once.push((told, body));
            continue;
        };
        match told.changed_at().cmp(&before.changed_at()) {
            Ordering::Greater => {
                contradicted.remove(&told.row());
                (*before, *was) = (told, body);
            }
            Ordering::Equal if !says_the_same(body, was) => _ = contradicted.insert(told.row()),
            Ordering::Equal | Ordering::Less => {}
        }
    }
    once.retain(|(told, _)| !contradicted.contains(&told.row()));
    (once, contradicted)
}

fn says_the_same(one: &str, other: &str) -> bool {
    let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
    one == other || read(one) == read(other)
}

fn is_blank(body: &[u8]) -> bool {
    body.iter().all(u8::is_ascii_whitespace)
}

/// The id of the first customer of a list that did not come to its end.
fn first_of(begun: &[u8]) -> Option<CustomerId> {
    let text = String::from_utf8_lossy(begun);
    let (_, behind) = text.split_once("\"id\"")?;
    let digits: String =
        behind.trim_start_matches([' ', ':']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(CustomerId)
}

fn update<'a>(body: &'a [u8], secrets: &Secrets) -> Result<Updated<'a>, String> {
    serde_json::from_slice(body).map_err(|e| unreadable(body, &e, secrets))
}

fn unreadable(body: &[u8], error: &serde_json::Error, secrets: &Secrets) -> String {
    let error = error.to_string();
    format!(
        "the answer is not the JSON it should be ({}): {}",
        secrets.masked(&error),
        excerpt(body, secrets)
    )
}

/// Masked before it is cut: a part of a secret would not be found.
fn excerpt(body: &[u8], secrets: &Secrets) -> String {
    let text = secrets.masked(String::from_utf8_lossy(body));
    let clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(EXCERPT_CHARS).collect();
    if clean.is_empty() { "an empty body".to_owned() } else { clean }
}

fn said(answer: &Answer, secrets: &Secrets) -> String {
    format!("status {}: {}", answer.status, words(answer, secrets))
}

fn words(answer: &Answer, secrets: &Secrets) -> String {
    let excerpt = || excerpt(&answer.body, secrets);
    let Some(refusal) = parsed::<Refusal<'_>>(&answer.body) else { return excerpt() };
    let messages: Vec<String> = messages(&refusal.errors).into_iter().map(|(_, text)| text).collect();
    if !messages.is_empty() {
        return secrets.masked(messages.join("; ")).into_owned();
    }
    let said = refusal.detail.or(refusal.title);
    said.map_or_else(excerpt, |said| secrets.masked(said).into_owned())
}

/// Whether an error is the API's own, which is JSON that tells a status, a title or errors; or says nothing at all. What
/// stands between a till and the store (a portal, a proxy, a shield against attacks) answers in its own way.
fn is_the_apis(body: &[u8]) -> bool {
    let tells =
        |said: &serde_json::Value| ["status", "title", "errors"].iter().any(|name| !said[*name].is_null());
    is_blank(body)
        || parsed::<serde_json::Value>(body).is_some_and(|said| match &said {
            serde_json::Value::Array(all) => all.first().is_some_and(tells),
            said => tells(said),
        })
}

fn in_between(answer: &Answer, secrets: &Secrets) -> Failure {
    let (status, words) = (answer.status, excerpt(&answer.body, secrets));
    let elsewhere = answer.sends_to.as_ref().map(|place| {
        format!(
            ", and sends to {place}, where nothing was sent: a network may ask for a sign-in first, or the API is at another \
             address (--api-url)"
        )
    });
    Failure::Offline(format!(
        "something between this till and the store answered instead of it (status {status}){}: {words}",
        elsewhere.unwrap_or_default()
    ))
}

fn auth(answer: &Answer, secrets: &Secrets) -> Failure {
    let what = match answer.status {
        401 => "access token",
        403 => "scope of the access token",
        _ => "store hash",
    };
    Failure::Auth { what, status: answer.status, words: words(answer, secrets) }
}

/// Every key with its message; a nested value is flattened into its own text.
fn messages(errors: &Errors) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match errors {
        serde_json::Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        serde_json::Value::Array(items) => items.iter().map(|item| (String::new(), text(item))).collect(),
        serde_json::Value::String(text) => vec![(String::new(), text.clone())],
        _ => Vec::new(),
    }
}

fn rejections(errors: &Errors, sent: &[SentRow], secrets: &Secrets) -> Vec<Rejection> {
    let mut found = Vec::new();
    for (key, words) in messages(errors) {
        if let Some((row, field)) = named(&key, sent) {
            let words = secrets.masked(words).into_owned();
            found.push(Rejection { row, field, words });
        }
    }
    found
}

/// What an error's key wants said of a row that does not say it.
fn wanted(key: &str, sent: &[SentRow]) -> Option<FieldId> {
    let field = parts_of(key).rev().find_map(|part| of(sent).field(part))?;
    let index = parts_of(key).find_map(|part| part.parse::<usize>().ok());
    let lacks_it = |row: &SentRow| !row.carries(field);
    let is_lacking = match index.and_then(|index| sent.get(index)) {
        Some(row) => lacks_it(row),
        None => sent.iter().any(lacks_it),
    };
    (field.spec().may_be_wanted && is_lacking).then_some(field)
}

fn parts_of(key: &str) -> impl DoubleEndedIterator<Item = &str> {
    key.split(['.', '[', ']', '/', ':']).filter(|part| !part.is_empty())
}

/// Whom an error's key names: `0.email`, `[0].email`, `0`, `email`. A field alone names a customer only when just
/// one of those that were sent carries it.
fn named(key: &str, sent: &[SentRow]) -> Option<(RowId, Option<FieldId>)> {
    let parts: Vec<&str> = parts_of(key).collect();
    let field = parts.iter().rev().find_map(|part| of(sent).field(part));
    let index = parts.iter().find_map(|part| part.parse::<usize>().ok());
    let at = |index: usize| {
        sent.get(index).or_else(|| sent.iter().find(|row| usize::try_from(row.id.row) == Ok(index)))
    };
    match (index.and_then(at), field) {
        (Some(row), field) => Some((row.id, field.filter(|field| row.changes(*field)))),
        (None, Some(field)) if index.is_none() => {
            let mut carriers = sent.iter().filter(|row| row.changes(field));
            match (carriers.next(), carriers.next()) {
                (Some(row), None) => Some((row.id, Some(field))),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
