//! What an answer of the store means, as a pure function of its status, its body and what was asked.
//!
//! This is the table "When it goes wrong" of the design, row by row. The bytes of an answer are read here and
//! nowhere else; what is then done about it is decided by [`Upload`](super::Upload) and by the pull.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{RateHeaders, SentRow};
use crate::customer::{Attributes, CustomerId, FieldId, Record};
use crate::error::Failure;

/// What came back from the store.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What the headers say of the request budget.
    pub rate: RateHeaders,
    /// The server's clock.
    pub date: Option<DateTime<Utc>>,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

impl Answer {
    /// A `429` although the quota is not used up: too many calls were under way at once, over all clients of the store. That
    /// is over as soon as one of them ends.
    pub fn is_crowded(&self) -> bool {
        self.status == 429 && self.rate.left.is_some_and(|left| left > 0)
    }
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The request never left: no route, no name, refused.
    Offline(String),
    /// It may have arrived: broken connection, timeout, an answer that cannot be read.
    Broken(String),
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<'a> {
    /// The customers, each with its own JSON text.
    pub customers: Vec<(Attributes<'a>, &'a str)>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<String>,
    /// Customers in all pages, if the server tells.
    pub total: Option<u64>,
}

/// What the answer to a `GET` means.
#[derive(Debug)]
pub enum GetVerdict<'a> {
    /// It is what was asked for.
    Page(Page<'a>),
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
        records: Vec<(CustomerId, Record)>,
        /// Customers that were sent and not confirmed.
        missing: Vec<CustomerId>,
        /// Customers that the answer shows, and attributes of them as they were before they were sent: those did not land, as
        /// far as one answer tells. They are among neither of the above.
        unshown: BTreeMap<CustomerId, Vec<FieldId>>,
        /// What the answer names as wrong, all the same.
        rejections: Vec<Rejection>,
    },
    /// The content was refused; whether the good records among it landed is not known.
    Refused {
        /// What the answer names.
        rejections: Vec<Rejection>,
        /// The server's words, for what it does not name.
        words: String,
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
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute, when the server named one.
    pub field: Option<FieldId>,
    /// The server's words.
    pub words: String,
}

/// Reads the answer to a list.
pub fn judge_get<'a>(answer: &'a Result<Answer, Trouble>) -> GetVerdict<'a> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Trouble::Offline(why)) => return GetVerdict::Stop(Failure::Offline(why.clone())),
        Err(Trouble::Broken(why)) => return GetVerdict::Again(why.clone()),
    };
    match answer.status {
        200 => match page(&answer.body) {
            Ok(page) => GetVerdict::Page(page),
            Err(why) => GetVerdict::Again(why),
        },
        429 if answer.is_crowded() => GetVerdict::Crowded,
        429 => GetVerdict::Limited,
        401 | 403 | 404 => GetVerdict::Stop(auth(answer)),
        400..=422 | 424..=498 => GetVerdict::Stop(Failure::Protocol(said(answer))),
        _ => GetVerdict::Again(said(answer)),
    }
}

/// Reads the answer to an update of the customers `sent`, in the order in which they stood in the call.
pub fn judge_put(answer: &Result<Answer, Trouble>, sent: &[SentRow]) -> PutVerdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Trouble::Offline(why)) => return PutVerdict::NotSent(Failure::Offline(why.clone())),
        Err(Trouble::Broken(why)) => return PutVerdict::InDoubt(why.clone()),
    };
    match answer.status {
        200 | 207 => confirmed(answer, sent),
        413 => PutVerdict::TooLarge { words: words(answer) },
        400 | 409 | 422 => refused(answer, sent),
        429 if answer.is_crowded() => PutVerdict::Crowded,
        429 => PutVerdict::Limited,
        401 | 403 | 404 => PutVerdict::Stop(auth(answer)),
        402..=498 if answer.status != 423 => PutVerdict::Stop(Failure::Protocol(said(answer))),
        _ => PutVerdict::InDoubt(said(answer)),
    }
}

fn confirmed(answer: &Answer, sent: &[SentRow]) -> PutVerdict {
    let body = match update(&answer.body) {
        Ok(body) => body,
        Err(why) => return PutVerdict::InDoubt(why),
    };
    let (mut records, mut unshown) = (BTreeMap::new(), BTreeMap::new());
    for raw in body.data {
        let Ok(attributes) = Attributes::parse(raw.get()) else { continue };
        let Some(row) = sent.iter().find(|row| row.id == attributes.id()) else { continue };
        let fields = row.unshown(&attributes);
        match fields.is_empty() {
            true => _ = records.insert(row.id, Record::new(raw.get())),
            false => _ = unshown.insert(row.id, fields),
        }
    }
    let rejections = rejections(&body.errors, sent);
    let is_shown = |id: &CustomerId| records.contains_key(id) || unshown.contains_key(id);
    let missing = sent.iter().map(|row| row.id).filter(|id| !is_shown(id)).collect();
    PutVerdict::Confirmed { records: records.into_iter().collect(), missing, unshown, rejections }
}

fn refused(answer: &Answer, sent: &[SentRow]) -> PutVerdict {
    let errors = parsed::<Refusal<'_>>(&answer.body).map(|refusal| refusal.errors).unwrap_or_default();
    PutVerdict::Refused { rejections: rejections(&errors, sent), words: words(answer) }
}

// ---- the server's words ------------------------------------------------------------------------------------------

/// The first bytes of a body that go into an error.
const EXCERPT_CHARS: usize = 120;

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    cursor_pagination: Option<Cursors>,
    #[serde(default)]
    pagination: Option<Pages>,
}

#[derive(Deserialize)]
struct Cursors {
    #[serde(default)]
    end_cursor: Option<String>,
    #[serde(default)]
    per_page: Option<usize>,
}

#[derive(Deserialize)]
struct Pages {
    #[serde(default)]
    per_page: Option<usize>,
    #[serde(default)]
    total: Option<u64>,
}

#[derive(Deserialize)]
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

fn page(body: &[u8]) -> Result<Page<'_>, String> {
    let listed: Listed<'_> = serde_json::from_slice(body).map_err(|e| unreadable(body, &e))?;
    let customers = listed
        .data
        .iter()
        .map(|raw| Attributes::parse(raw.get()).map(|attributes| (attributes, raw.get())))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("the answer lists something that is no customer ({e})"))?;
    let meta = listed.meta.unwrap_or_default();
    let total = meta.pagination.as_ref().and_then(|p| p.total);
    let per_page =
        meta.cursor_pagination.as_ref().and_then(|c| c.per_page).or(meta.pagination.and_then(|p| p.per_page));
    let is_last = customers.is_empty() || per_page.is_some_and(|size| customers.len() < size);
    let next =
        meta.cursor_pagination.and_then(|c| c.end_cursor).filter(|cursor| !cursor.is_empty() && !is_last);
    Ok(Page { customers, next, total })
}

fn update(body: &[u8]) -> Result<Updated<'_>, String> {
    serde_json::from_slice(body).map_err(|e| unreadable(body, &e))
}

fn unreadable(body: &[u8], error: &serde_json::Error) -> String {
    format!("the answer is not the JSON it should be ({error}): {}", excerpt(body))
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(EXCERPT_CHARS).collect();
    if clean.is_empty() { "an empty body".to_owned() } else { clean }
}

fn said(answer: &Answer) -> String {
    format!("status {}: {}", answer.status, words(answer))
}

fn words(answer: &Answer) -> String {
    let Some(refusal) = parsed::<Refusal<'_>>(&answer.body) else { return excerpt(&answer.body) };
    let messages: Vec<String> = messages(&refusal.errors).into_iter().map(|(_, text)| text).collect();
    if !messages.is_empty() {
        return messages.join("; ");
    }
    refusal.detail.or(refusal.title).map_or_else(|| excerpt(&answer.body), Cow::into_owned)
}

fn auth(answer: &Answer) -> Failure {
    let what = match answer.status {
        401 => "access token",
        403 => "scope of the access token",
        _ => "store hash",
    };
    Failure::Auth { what, status: answer.status, words: words(answer) }
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

fn rejections(errors: &Errors, sent: &[SentRow]) -> Vec<Rejection> {
    let mut found = Vec::new();
    for (key, words) in messages(errors) {
        if let Some((customer_id, field)) = named(&key, sent) {
            found.push(Rejection { customer_id, field, words });
        }
    }
    found
}

/// Whom an error's key names: `0.email`, `[0].email`, `0`, `email`. A field alone names a customer only when just
/// one of those that were sent carries it.
fn named(key: &str, sent: &[SentRow]) -> Option<(CustomerId, Option<FieldId>)> {
    let parts: Vec<&str> = key.split(['.', '[', ']', '/', ':']).filter(|part| !part.is_empty()).collect();
    let field = parts.iter().rev().find_map(|part| FieldId::named(part));
    let index = parts.iter().find_map(|part| part.parse::<usize>().ok());
    let at = |index: usize| {
        sent.get(index).or_else(|| sent.iter().find(|row| usize::try_from(row.id.0) == Ok(index)))
    };
    match (index.and_then(at), field) {
        (Some(row), field) => Some((row.id, field.filter(|field| row.carries(*field)))),
        (None, Some(field)) if index.is_none() => {
            let mut carriers = sent.iter().filter(|row| row.carries(field));
            match (carriers.next(), carriers.next()) {
                (Some(row), None) => Some((row.id, Some(field))),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customer::Value;

    fn answer(status: u16, body: &str) -> Result<Answer, Trouble> {
        Ok(Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() })
    }

    fn field(name: &str) -> FieldId {
        FieldId::named(name).unwrap()
    }

    fn put(status: u16, body: &str) -> PutVerdict {
        let row = |id, fields: &[&str]| SentRow {
            id: CustomerId(id),
            fields: fields.iter().map(|name| (field(name), Value::Null, text("new"))).collect(),
            password: false,
        };
        judge_put(&answer(status, body), &[row(7, &["email", "phone"]), row(9, &["phone"])])
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn a_200_confirms_whom_it_names_and_no_other() {
        let PutVerdict::Confirmed { records, missing, rejections, .. } =
            put(200, r#"{"data":[{"id":9,"phone":"1"},{"id":5}],"meta":{}}"#)
        else {
            panic!()
        };
        assert_eq!(records, [(CustomerId(9), Record::new(r#"{"id":9,"phone":"1"}"#))]);
        assert_eq!((missing, rejections), (vec![CustomerId(7)], vec![]));
    }

    #[test]
    fn a_207_confirms_some_and_names_others() {
        let PutVerdict::Confirmed { missing, rejections, .. } =
            put(207, r#"{"data":[{"id":9}],"errors":{"0.email":"taken"},"meta":{}}"#)
        else {
            panic!()
        };
        assert_eq!(missing, [CustomerId(7)]);
        assert_eq!(
            rejections,
            [Rejection { customer_id: CustomerId(7), field: Some(field("email")), words: "taken".into() }]
        );
    }

    #[test]
    fn a_422_names_a_record_by_index_by_field_or_not_at_all() {
        for (key, named) in [
            ("0.email", Some((7, Some("email")))),
            ("[1].phone", Some((9, Some("phone")))),
            ("1", Some((9, None))),
            ("email", Some((7, Some("email")))),
            ("phone", None),
            (".customer_update", None),
            ("5.email", None),
        ] {
            let PutVerdict::Refused { rejections, words } =
                put(422, &format!(r#"{{"status":422,"errors":{{"{key}":"no"}}}}"#))
            else {
                panic!("{key}")
            };
            let found = rejections.first().map(|r| (r.customer_id.0, r.field.map(FieldId::name)));
            assert_eq!(found, named, "{key}");
            assert_eq!(words, "no");
        }
    }

    #[test]
    fn every_other_status_has_its_own_meaning() {
        assert!(matches!(put(413, "{}"), PutVerdict::TooLarge { .. }));
        assert!(matches!(put(429, ""), PutVerdict::Limited));
        for status in [423, 499, 500, 502, 503, 504, 507, 302, 204] {
            assert!(matches!(put(status, "{}"), PutVerdict::InDoubt(_)), "{status}");
        }
        for (status, what) in [(401, "access token"), (403, "scope of the access token"), (404, "store hash")]
        {
            let PutVerdict::Stop(Failure::Auth { what: named, .. }) = put(status, r#"{"title":"no"}"#) else {
                panic!()
            };
            assert_eq!(named, what);
        }
        assert!(matches!(put(415, ""), PutVerdict::Stop(Failure::Protocol(_))));
        for status in [400, 409, 422] {
            assert!(matches!(put(status, "{}"), PutVerdict::Refused { .. }), "{status}");
        }
    }

    #[test]
    fn an_unreadable_answer_is_in_doubt_and_shows_its_first_bytes() {
        let PutVerdict::InDoubt(why) = put(200, "<html><title>Sign in</title>") else { panic!() };
        assert!(why.contains("<html><title>Sign in"), "{why}");
        assert!(matches!(judge_put(&Err(Trouble::Broken("timeout".into())), &[]), PutVerdict::InDoubt(_)));
        assert!(matches!(
            judge_put(&Err(Trouble::Offline("refused".into())), &[]),
            PutVerdict::NotSent(Failure::Offline(_))
        ));
        assert!(matches!(judge_get(&answer(200, "<html>")), GetVerdict::Again(_)));
    }

    #[test]
    fn a_page_ends_where_the_cursor_does() {
        let body = r#"{"data":[{"id":1}],"meta":{"pagination":{"per_page":1},"cursor_pagination":{"end_cursor":"abc"}}}"#;
        let whole = answer(200, body);
        let GetVerdict::Page(page) = judge_get(&whole) else { panic!() };
        assert_eq!(page.next.as_deref(), Some("abc"));
        let short = answer(200, &body.replace("\"per_page\":1", "\"per_page\":250"));
        let GetVerdict::Page(page) = judge_get(&short) else { panic!() };
        assert_eq!(page.next, None);
    }
}
