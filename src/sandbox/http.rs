//! What goes over the wire, as plain values: a request, an answer, and a problem that becomes an answer.
//!
//! Nothing here opens a socket. The shell in `server` turns real HTTP into a [`RawRequest`] and a
//! [`RawResponse`] back into real HTTP; a simulation builds and reads them directly.

use chrono::{DateTime, Utc};

/// The path under which the customers live, with the store hash between the two halves.
pub(super) const PATH_HALVES: (&str, &str) = ("/stores/", "/v3/customers");

/// One HTTP request as it reached the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRequest {
    /// `GET`, `PUT`, …
    pub method: String,
    /// The path, percent-encoded as it came, without the query.
    pub path: String,
    /// What follows the question mark, percent-encoded as it came; empty when there is none.
    pub query: String,
    /// Header names (in any case) and values.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from its transfer.
    pub body: Vec<u8>,
}

impl RawRequest {
    /// A `GET` without headers.
    pub fn get(path: impl Into<String>, query: impl Into<String>) -> Self {
        Self { method: "GET".into(), path: path.into(), query: query.into(), ..Self::default() }
    }

    /// A `PUT` without headers.
    pub fn put(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: "PUT".into(), path: path.into(), body: body.into(), ..Self::default() }
    }

    /// A `POST` without headers.
    pub fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST".into(), ..Self::put(path, body) }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(header(name, value));
        self
    }

    /// A header's value, its name taken in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }
}

/// One HTTP answer as it leaves the store, not yet compressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header names and values; `Content-Length` is the shell's.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl RawResponse {
    /// A header's value, its name taken in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    pub(super) fn json(status: u16, body: String) -> Self {
        Self { status, headers: vec![header("Content-Type", "application/json")], body: body.into_bytes() }
    }

    pub(super) fn html(status: u16) -> Self {
        let body = format!(
            "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\n<body><h1>Please sign in to the guest \
             network</h1></body></html>\n"
        );
        Self { status, headers: vec![header("Content-Type", "text/html; charset=utf-8")], body: body.into() }
    }
}

fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A header as an answer holds it.
pub(super) fn header(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// A request that is not served, why, and whether a correct client would never have sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub status: u16,
    pub title: String,
    pub errors: Vec<(String, String)>,
    pub violations: Vec<String>,
}

impl Problem {
    /// A refusal that the client could not foresee.
    pub fn plain(status: u16, title: impl Into<String>) -> Self {
        Self { status, title: title.into(), errors: Vec::new(), violations: Vec::new() }
    }

    /// A refusal of something that a correct client never sends.
    pub fn violation(status: u16, title: impl Into<String>) -> Self {
        let title = title.into();
        Self { status, violations: vec![title.clone()], title, errors: Vec::new() }
    }

    /// The answer that tells it.
    pub fn response(&self) -> RawResponse {
        let errors: Vec<String> =
            self.errors.iter().map(|(key, message)| format!("{}:{}", quoted(key), quoted(message))).collect();
        RawResponse::json(
            self.status,
            format!(
                r#"{{"status":{},"title":{},"type":"https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes","errors":{{{}}}}}"#,
                self.status,
                quoted(&self.title),
                errors.join(",")
            ),
        )
    }
}

/// A string as JSON writes it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A moment the way the `Date` header has it.
pub(super) fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A query as names and values, percent-decoded; a plus is a space, as in a form.
pub(super) fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (percent_decode(name), percent_decode(value)))
        .collect()
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match hex {
            Some(byte) => decoded.push(byte),
            None => decoded.push(if bytes[at] == b'+' { b' ' } else { bytes[at] }),
        }
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Text for a query value, with whatever is not plainly safe percent-encoded.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_once() {
        let pairs = parse_query("id:in=1%2C2&name:like=Jos%C3%A9+M&x=%25zz&flag");
        let expected = [("id:in", "1,2"), ("name:like", "José M"), ("x", "%zz"), ("flag", "")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(parse_query(&percent_encode("a=b&é")), [("a=b&é".to_owned(), String::new())]);
    }

    #[test]
    fn dates_are_written_as_http_wants_them() {
        let at = DateTime::from_timestamp(784_111_777, 0).unwrap();
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
