//! What is asked of the store, and its spelling as method, path and body.

use std::collections::BTreeSet;
use std::fmt;

use chrono::SecondsFormat;
use secrecy::{ExposeSecret, SecretString};

use crate::flow::{Act, PageAsk, Payload, Place};
use crate::resource::{Changes, FieldId, Resource, ResourceId, RowId};

/// A request to the store.
#[derive(Clone)]
pub enum Request {
    /// A page of a resource, in the server's own order.
    Page(PageAsk),
    /// These rows, all of one resource.
    ByIds(Vec<RowId>),
    /// These rows, all of one resource, by what no two have: see [`ResourceId::unique`].
    ByIdentity {
        /// Of what.
        resource: ResourceId,
        /// As it was sent.
        values: Vec<String>,
    },
    /// New rows.
    Create {
        /// Of what.
        resource: ResourceId,
        /// A JSON array. Secret, because it may hold a new password.
        body: SecretString,
    },
    /// A further page of the answer to that.
    MoreByIds {
        /// The same rows.
        rows: Vec<RowId>,
        /// Its number, from 1.
        number: u64,
        /// How many rows are on it.
        limit: usize,
    },
    /// An update of some rows.
    Update {
        /// Of what.
        resource: ResourceId,
        /// A JSON array. Secret, because it may hold a new password.
        body: SecretString,
    },
    /// These rows are to be there no more.
    Delete(NamedRows),
}

/// Rows of the store, of one resource, each named by its own id, and one at least: a store that is asked to delete without saying whom may
/// do anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRows(Vec<RowId>);

impl NamedRows {
    /// These; none: there is no such row, one has no id of the store's, or such rows are not deleted by id.
    pub fn of(rows: Vec<RowId>) -> Option<NamedRows> {
        let resource = rows.first()?.resource;
        let is_named = |row: &RowId| row.resource == resource && row.row > 0;
        let are_named = resource.spec().delete.is_some() && rows.iter().all(is_named);
        are_named.then_some(NamedRows(rows))
    }

    /// Them.
    pub fn rows(&self) -> &[RowId] {
        &self.0
    }

    fn query(&self) -> String {
        let ids: Vec<String> = self.0.iter().map(|row| row.row.to_string()).collect();
        format!("id:in={}", ids.join(","))
    }
}

impl Request {
    /// Whether it changes rows.
    pub fn is_update(&self) -> bool {
        matches!(self, Request::Update { .. } | Request::Create { .. } | Request::Delete(_))
    }

    /// What does this to the rows of these payloads, one at least; none: it cannot be done to them.
    pub(crate) fn doing(act: Act, payloads: &[Payload]) -> Option<Request> {
        let resource = payloads.first()?.id.resource;
        let body = || {
            let objects: Vec<String> = payloads.iter().map(Payload::to_json).collect();
            SecretString::from(format!("[{}]", objects.join(",")))
        };
        match act {
            Act::Create => Some(Request::Create { resource, body: body() }),
            Act::Update => Some(Request::Update { resource, body: body() }),
            Act::Delete => {
                NamedRows::of(payloads.iter().map(|payload| payload.id).collect()).map(Request::Delete)
            }
        }
    }

    /// Whether it may leave: one that deletes says whom. It is looked at where it is sent, whoever made it.
    pub(crate) fn says_whom(&self) -> bool {
        let ids = |query: &str| query.strip_prefix("id:in=").map(str::to_owned);
        let is_id = |id: &str| id.parse::<u32>().is_ok_and(|id| id > 0);
        self.method() != "DELETE" || ids(&self.query()).is_some_and(|ids| ids.split(',').all(is_id))
    }

    /// What it is about.
    pub fn resource(&self) -> ResourceId {
        match self {
            Request::Page(ask) => ask.resource,
            Request::ByIds(rows) | Request::MoreByIds { rows, .. } => {
                rows.first().map(|row| row.resource).unwrap_or_default()
            }
            Request::Delete(named) => named.rows().first().map(|row| row.resource).unwrap_or_default(),
            Request::Update { resource, .. }
            | Request::Create { resource, .. }
            | Request::ByIdentity { resource, .. } => *resource,
        }
    }

    /// Where the API has it, behind the store's address.
    pub(crate) fn endpoint(&self) -> &'static str {
        self.resource().spec().endpoint
    }

    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub fn method(&self) -> &'static str {
        match self {
            Request::Page(_) | Request::ByIds(_) | Request::MoreByIds { .. } | Request::ByIdentity { .. } => {
                "GET"
            }
            Request::Create { .. } => "POST",
            Request::Update { .. } => "PUT",
            Request::Delete(_) => "DELETE",
        }
    }

    /// The query, without its question mark; empty for an update.
    pub fn query(&self) -> String {
        let spec = self.resource().spec();
        let (page, including) = (spec.page, including(spec));
        match self {
            Request::Page(PageAsk { modified_min, place, limit, with, .. }) => {
                let shown = with.iter().filter_map(|with| Some(format!(",{}", with.spec().shown_as?.name)));
                let mut query = format!("limit={limit}{including}{}", shown.collect::<String>());
                if let (Changes::Since(since), Some(min)) = (spec.changes, modified_min) {
                    let min = min.to_rfc3339_opts(SecondsFormat::Secs, true);
                    query.push_str(&format!("&{since}={min}"));
                }
                match place {
                    Place::Start => {}
                    Place::After(cursor) => query.push_str(&format!("&after={}", escaped(cursor))),
                    Place::Number(number) => query.push_str(&format!("&page={number}")),
                }
                query
            }
            Request::ByIds(rows) => format!("limit={page}{including}&{}", named(rows)),
            Request::MoreByIds { rows, number, limit } => {
                format!("limit={limit}{including}&{}&page={number}", named(rows))
            }
            Request::ByIdentity { resource, values } => {
                let unique = resource.unique().map_or("id", FieldId::name);
                let list: Vec<String> = values.iter().map(|value| escaped(value)).collect();
                format!("limit={page}{including}&{unique}:in={}", list.join(","))
            }
            Request::Delete(named) => named.query(),
            Request::Update { .. } | Request::Create { .. } => String::new(),
        }
    }

    /// The body; empty for a `GET` or a `DELETE`.
    pub fn body(&self) -> &str {
        match self {
            Request::Update { body, .. } | Request::Create { body, .. } => body.expose_secret(),
            _ => "",
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, endpoint) = (self.method(), self.endpoint());
        write!(f, "{method} {endpoint}?{} ({} bytes)", self.query(), self.body().len())
    }
}

/// By what rows are asked for, each once, in their order.
fn named(rows: &[RowId]) -> String {
    let by = rows.first().map(|row| row.resource).unwrap_or_default().spec().asked_by;
    let mut asked = BTreeSet::new();
    let once = rows.iter().map(|row| row.asked_by()).filter(|id| asked.insert(*id));
    format!("{by}:in={}", once.map(|id| id.to_string()).collect::<Vec<_>>().join(","))
}

/// What must be asked for to be shown.
fn including(resource: &Resource) -> String {
    match resource.include {
        "" => String::new(),
        include => format!("&include={include}"),
    }
}

/// Percent-encoding of all but the unreserved characters (RFC 3986).
fn escaped(text: &str) -> String {
    let each = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(each).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::resource::{CustomerId, customer};

    #[test]
    fn a_page_asks_for_money_and_form_fields_and_escapes_its_cursor() {
        let ask = PageAsk {
            modified_min: DateTime::from_timestamp(0, 999_000_000),
            place: Place::After("a+/=".into()),
            limit: 250,
            ..PageAsk::default()
        };
        let request = Request::Page(ask);
        assert_eq!(
            request.query(),
            "limit=250&include=storecredit,formfields&date_modified:min=1970-01-01T00:00:00Z&after=a%2B%2F%3D"
        );
        let by_number = Request::Page(PageAsk { place: Place::Number(3), limit: 50, ..PageAsk::default() });
        assert_eq!(by_number.query(), "limit=50&include=storecredit,formfields&page=3");
        assert_eq!(
            Request::ByIds(vec![customer(1), customer(2)]).query(),
            "limit=250&include=storecredit,formfields&id:in=1,2"
        );
    }

    #[test]
    fn whoever_several_rows_are_of_is_asked_for_once() {
        let resource = ResourceId::named("attribute_value").unwrap();
        let value = |(customer, row)| RowId { resource, customer: CustomerId(customer), row };
        let rows: Vec<RowId> = [(1, 3), (2, 3), (1, 4), (3, 3), (1, 5)].map(value).to_vec();
        assert_eq!(Request::ByIds(rows.clone()).query(), "limit=250&customer_id:in=1,2,3");
        let more = Request::MoreByIds { rows, number: 2, limit: 10 };
        assert_eq!((more.query().as_str(), more.method()), ("limit=10&customer_id:in=1,2,3&page=2", "GET"));
    }

    #[test]
    fn a_deletion_says_whom_and_there_is_none_of_nobody() {
        let named = |rows: &[i64]| NamedRows::of(rows.iter().map(|id| customer(*id)).collect());
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[4, 0]), None);
        assert_eq!(named(&[4, -1]), None, "the store has given it no id");
        let value = ResourceId::named("attribute").unwrap();
        assert_eq!(NamedRows::of(vec![RowId { resource: value, customer: CustomerId(0), row: 3 }]), None);
        let delete = Request::Delete(named(&[4, 5]).unwrap());
        assert_eq!((delete.method(), delete.query().as_str(), delete.body()), ("DELETE", "id:in=4,5", ""));
        assert!(delete.says_whom() && delete.is_update());
        assert!(!Request::Delete(NamedRows(Vec::new())).says_whom());
        assert!(!Request::Delete(NamedRows(vec![customer(0)])).says_whom());
        assert_eq!(Request::doing(Act::Delete, &[]).map(|request| request.query()), None);
    }

    #[test]
    fn a_password_is_not_in_what_is_logged() {
        let request = Request::Update {
            resource: ResourceId::CUSTOMER,
            body: "[{\"authentication\":{\"new_password\":\"hunter2\"}}]".into(),
        };
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
