//! What came back: an answer, or why there is none, and whether the request may have arrived all the same.

use std::io::{self, Read as _};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use ureq::http::{HeaderMap, Response, Uri};
use ureq::{Body, Proxy};

use crate::error::{are_descriptors_short, is_out_of_descriptors};
use crate::flow::{Answer, RateHeaders, Trouble, masked};
use crate::memory;

/// The largest answer that is read: 250 customers with all that the contract allows are far below it.
const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;

/// What had come of an answer that is too much: its first customer is named by it.
const KEPT_OF_TOO_MUCH: usize = 4 * 1024;

pub(super) fn read(mut response: Response<Body>) -> std::result::Result<Answer, Trouble> {
    let mut body = Vec::new();
    let mut reader = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).reader();
    let mut came = reader.read_to_end(&mut body).map(|_| ());
    if came.is_ok() && !memory::is_there_for(body.len()) {
        came = Err(io::ErrorKind::OutOfMemory.into());
    }
    if let Err(error) = came {
        body.truncate(KEPT_OF_TOO_MUCH);
        body.shrink_to_fit();
        return Err(cut_off(&error, body));
    }
    let headers = response.headers();
    let (status, sends_to) = (response.status().as_u16(), sends_to(headers));
    Ok(Answer { status, rate: rate(headers), date: date(headers), sends_to, body })
}

/// What stands behind the host may be anybody's secret.
fn sends_to(headers: &HeaderMap) -> Option<String> {
    let place: Uri = headers.get("location")?.to_str().ok()?.parse().ok()?;
    Some(format!("{}://{}", place.scheme_str()?, place.host()?))
}

/// An answer that began to come and did not end, or that there is no memory for.
fn cut_off(error: &io::Error, begun: Vec<u8>) -> Trouble {
    use ureq::Error::{BodyExceedsLimit, Timeout};
    let source = error.get_ref().and_then(|source| source.downcast_ref::<ureq::Error>());
    let is_too_much =
        matches!(source, Some(BodyExceedsLimit(_) | Timeout(_))) || error.kind() == io::ErrorKind::TimedOut;
    if error.kind() == io::ErrorKind::OutOfMemory {
        let why = "this process gets no memory for so large an answer (ulimit -v)".to_owned();
        return Trouble::TooMuch { why, begun };
    }
    let why = format!("the answer was cut off: {error}");
    if is_too_much { Trouble::TooMuch { why, begun } } else { Trouble::Broken(why) }
}

fn rate(headers: &HeaderMap) -> RateHeaders {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    RateHeaders {
        window_ms: number("x-rate-limit-time-window-ms"),
        reset_ms: number("x-rate-limit-time-reset-ms"),
        quota: number("x-rate-limit-requests-quota"),
        left: number("x-rate-limit-requests-left"),
        retry_after_ms: number("x-retry-after").map(|seconds| seconds.saturating_mul(1_000)),
    }
}

fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc2822(headers.get("date")?.to_str().ok()?).ok()?.to_utc())
}

/// Whether a request never left, or may have arrived. An update that failed on a broken route may have arrived before
/// it broke, so for an update only what fails before the connection stands counts as never sent.
pub(super) fn trouble(error: &ureq::Error, is_update: bool, proxy: Option<&Proxy>) -> Trouble {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let words = error.to_string();
    let is_offline = match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        // What it refused to connect went nowhere.
        ureq::Error::ConnectProxyFailed(_) => true,
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => true,
        ureq::Error::Io(e) if e.kind() == ConnectionRefused || is_lookup(e) => true,
        ureq::Error::Io(e) => !is_update && matches!(e.kind(), HostUnreachable | NetworkUnreachable),
        _ => false,
    };
    if let Some(problem) = certificate_problem(error) {
        return Trouble::Certificate(problem);
    }
    match error {
        ureq::Error::Io(e) if is_out_of_descriptors(e) => Trouble::NoSocket(words),
        // Who asks for a name needs a connection too, and says no more than that none was found.
        ureq::Error::Io(e) if is_lookup(e) && are_descriptors_short(1) => Trouble::NoSocket(words),
        _ if is_offline => match proxy {
            Some(proxy) => {
                Trouble::Proxy(format!("{}:{}: {}", proxy.host(), proxy.port(), of_proxy(error, words)))
            }
            None => Trouble::Offline(words),
        },
        ureq::Error::Timeout(_) => Trouble::TooMuch { why: words, begun: Vec::new() },
        _ => Trouble::Broken(words),
    }
}

/// Why there is no way through a proxy: who knows of one only by name is not helped by what it answers to the client.
fn of_proxy(error: &ureq::Error, words: String) -> String {
    let ureq::Error::ConnectProxyFailed(reason) = error else { return words };
    let status = reason.strip_prefix("proxy server responded ").and_then(|status| status.split('/').next());
    match status {
        Some("407") => "it asks for a user and a password (status 407)".to_owned(),
        Some(status) => format!("it lets nobody through to the store (status {status})"),
        None => reason.clone(),
    }
}

/// What is wrong with the certificate, if that is what it was: the connection never stood.
fn certificate_problem(error: &ureq::Error) -> Option<String> {
    use rustls::CertificateError::*;
    let refused = match error {
        ureq::Error::Rustls(error) => error,
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref::<rustls::Error>()?,
        _ => return None,
    };
    let rustls::Error::InvalidCertificate(why) = refused else { return None };
    let now = Utc::now().format("%Y-%m-%d %H:%M");
    Some(match why {
        Expired | ExpiredContext { .. } => {
            format!("its certificate has expired, if it is {now} as the clock of this till says")
        }
        NotValidYet | NotValidYetContext { .. } => {
            format!("its certificate is not valid yet, if it is {now} as the clock of this till says")
        }
        UnknownIssuer | BadSignature => {
            "its certificate is signed by an authority that this till does not know".to_owned()
        }
        NotValidForName | NotValidForNameContext { .. } => {
            "its certificate is that of another host".to_owned()
        }
        other => format!("its certificate is not trusted ({other})"),
    })
}

/// Whether a name was not found, which is how most tills without a network find out. The standard library has no kind for
/// it: on Unix it says so in words, on Windows by the codes from `WSAHOST_NOT_FOUND` to `WSANO_DATA`.
fn is_lookup(error: &io::Error) -> bool {
    let is_code = cfg!(windows) && error.raw_os_error().is_some_and(|code| (11_001..=11_004).contains(&code));
    is_code || error.to_string().starts_with("failed to lookup address information")
}

/// A store, or what stands before it, that repeats the token tells it to nobody: before anybody else has read the answer, `***` is
/// in its place, in whatever spelling.
pub(super) fn without_token(body: Vec<u8>, is_page: bool, token: &str) -> Vec<u8> {
    // A part of any word.
    const SHORTEST: usize = 8;
    let is_in_there = || body.windows(token.len()).any(|part| part.eq_ignore_ascii_case(token.as_bytes()));
    // A page of customers is large, and spells letters and digits as they are.
    if token.len() < SHORTEST || is_page && !is_in_there() {
        return body;
    }
    let text = String::from_utf8_lossy(&body);
    let text = masked(&text, &SecretString::from(token)).unwrap_or_else(|| text.into_owned());
    // Both are ASCII: what is found in the small letters stands at the same place.
    let (small, looked_for) = (text.to_ascii_lowercase(), token.to_ascii_lowercase());
    let mut told = String::new();
    let mut from = 0;
    for (at, _) in small.match_indices(&looked_for) {
        told += &text[from..at];
        told += "***";
        from = at + token.len();
    }
    (told + &text[from..]).into_bytes()
}
