//! What is asked of the store, and its spelling as method, path and body.

use std::fmt;

use chrono::SecondsFormat;
use secrecy::{ExposeSecret, SecretString};

use crate::flow::{PageAsk, Payload, Place};
use crate::resource::{CustomerId, Resource, ResourceId};

/// A request to the store.
#[derive(Clone)]
pub enum Request {
    /// A page of customers, in the server's own order.
    Page(PageAsk),
    /// These customers.
    ByIds(Vec<CustomerId>),
    /// An update of some customers: a JSON array. Secret, because it may hold a new password.
    Update(SecretString),
}

impl Request {
    /// Whether it changes customers.
    pub(crate) fn is_update(&self) -> bool {
        matches!(self, Request::Update(_))
    }

    pub(crate) fn update(payloads: &[Payload]) -> Request {
        let objects: Vec<String> = payloads.iter().map(Payload::to_json).collect();
        Request::Update(SecretString::from(format!("[{}]", objects.join(","))))
    }

    /// What it is about.
    fn resource(&self) -> &'static Resource {
        ResourceId::CUSTOMER.spec()
    }

    /// Where the API has it, behind the store's address.
    pub(crate) fn endpoint(&self) -> &'static str {
        self.resource().endpoint
    }

    /// `GET` or `PUT`.
    pub fn method(&self) -> &'static str {
        match self {
            Request::Page(_) | Request::ByIds(_) => "GET",
            Request::Update(_) => "PUT",
        }
    }

    /// The query, without its question mark; empty for an update.
    pub fn query(&self) -> String {
        let Resource { include, since, page, .. } = self.resource();
        match self {
            Request::Page(PageAsk { modified_min, place, limit }) => {
                let mut query = format!("limit={limit}&include={include}");
                if let Some((since, min)) = since.zip(*modified_min) {
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
            Request::ByIds(ids) => {
                let list: Vec<String> = ids.iter().map(CustomerId::to_string).collect();
                format!("limit={page}&include={include}&id:in={}", list.join(","))
            }
            Request::Update(_) => String::new(),
        }
    }

    /// The body; empty for a `GET`.
    pub fn body(&self) -> &str {
        match self {
            Request::Update(body) => body.expose_secret(),
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

    #[test]
    fn a_page_asks_for_money_and_form_fields_and_escapes_its_cursor() {
        let ask = PageAsk {
            modified_min: DateTime::from_timestamp(0, 999_000_000),
            place: Place::After("a+/=".into()),
            limit: 250,
        };
        let request = Request::Page(ask);
        assert_eq!(
            request.query(),
            "limit=250&include=storecredit,formfields&date_modified:min=1970-01-01T00:00:00Z&after=a%2B%2F%3D"
        );
        let by_number = Request::Page(PageAsk { modified_min: None, place: Place::Number(3), limit: 50 });
        assert_eq!(by_number.query(), "limit=50&include=storecredit,formfields&page=3");
        assert_eq!(
            Request::ByIds(vec![CustomerId(1), CustomerId(2)]).query(),
            "limit=250&include=storecredit,formfields&id:in=1,2"
        );
    }

    #[test]
    fn a_password_is_not_in_what_is_logged() {
        let request = Request::Update("[{\"authentication\":{\"new_password\":\"hunter2\"}}]".into());
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
