//! Who may ask, and what a browser is told about the answer. The threats are in `docs/decisions/0017-the-page.md`.
//!
//! The page lies at a *place*, a word of chance in its path, and whoever is let in has a cookie for that path alone: cookies know no
//! ports, so without it another server of this machine would be sent the cookie too. A *ticket* is the secret of an address that
//! was given out; it lets in once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Form, FromRequest, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::{entry, show};

/// So many addresses that nobody has opened yet are good for something.
const MOST_TICKETS: usize = 8;
/// Of so many that are good for nothing any more it is known why.
const MOST_SPENT: usize = 256;
const COOKIE_NAME: &str = "tillsync_inspect";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const FROM: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The secrets of one page.
pub(super) struct Guard {
    port: u16,
    /// Where the page lies.
    place: String,
    /// What the cookie says of those who were let in.
    session: String,
    tickets: Mutex<Tickets>,
}

/// The secrets of addresses that were given out.
#[derive(Default)]
struct Tickets {
    good: VecDeque<String>,
    /// With what whoever brings one is told.
    spent: VecDeque<(String, &'static str)>,
}

impl Tickets {
    fn add(&mut self, ticket: String) {
        self.good.push_back(ticket);
        if self.good.len() > MOST_TICKETS {
            self.spend(0, LATE);
        }
    }

    /// Lets in with that secret, once; or why not.
    fn take(&mut self, given: &str) -> Result<(), &'static str> {
        let is_given = |ticket: &String| !ticket.is_empty() && is_same(ticket, given);
        if let Some(at) = self.good.iter().position(is_given) {
            self.spend(at, USED);
            return Ok(());
        }
        let spent = self.spent.iter().find(|(ticket, _)| is_given(ticket));
        Err(spent.map_or(WRONG, |(_, why)| *why))
    }

    fn spend(&mut self, at: usize, why: &'static str) {
        self.spent.extend(self.good.remove(at).map(|ticket| (ticket, why)));
        while self.spent.len() > MOST_SPENT {
            self.spent.pop_front();
        }
    }
}

// What somebody is told who is not let in.
const USED: &str = "This address was opened before, and lets in only once.";
const LATE: &str = "This address was not opened for long, and newer ones took its place.";
const WRONG: &str =
    "This address is not one that this page gave out: it may not be whole, or of a page that has ended.";
const UNKNOWN: &str = "Nobody has let this browser in.";
/// There is no page there.
pub(super) const NOWHERE: &str = "There is no page at this address, or the one that was there has ended.";

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Guard {
    pub(super) fn of(port: u16) -> io::Result<Guard> {
        Ok(Guard { port, place: secret()?, session: secret()?, tickets: Mutex::default() })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The path under which all of it is.
    pub(super) fn place(&self) -> String {
        format!("/{}/", self.place)
    }

    /// An address with a ticket of its own.
    pub(super) fn new_address(&self) -> String {
        // Where the system has no randomness there is no page either; an address without a ticket lets nobody in.
        let ticket = secret().unwrap_or_default();
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).add(ticket.clone());
        format!("{}{}open?secret={ticket}", self.origin(), self.place())
    }

    fn origin(&self) -> String {
        format!("http://{}", self.host())
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether it is the secret of an address that nobody has opened; it is used up by that. Else why not.
    fn takes(&self, given: &str) -> Result<(), &'static str> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).take(given)
    }

    /// Whether the browser calls this server by its name. A name of somebody else's that leads here is no name of ours.
    fn is_called_rightly(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        hosts.next().is_some_and(|host| host.as_bytes() == self.host().as_bytes()) && hosts.next().is_none()
    }

    /// Whether it is this page that asks, as far as the browser tells. Who says two things is not believed.
    fn is_from_here(&self, headers: &HeaderMap) -> bool {
        let are_sites_ours =
            headers.get_all(FROM).iter().all(|from| matches!(from.as_bytes(), b"same-origin" | b"none"));
        are_sites_ours && self.is_of_no_other(headers)
    }

    fn is_of_no_other(&self, headers: &HeaderMap) -> bool {
        headers.get_all(ORIGIN).iter().all(|origin| origin.as_bytes() == self.origin().as_bytes())
    }

    /// Whether it is this page that asks for something to be done: browsers tell for certain, and of a form of its own both tell the same.
    fn may_act(&self, headers: &HeaderMap) -> bool {
        let mut sites = headers.get_all(FROM).iter();
        let is_one = headers.get_all(ORIGIN).iter().count() == 1;
        is_one && self.is_of_no_other(headers) && sites.all(|from| from.as_bytes() == b"same-origin")
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        cookies
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, value)| name == COOKIE_NAME && is_same(&self.session, value))
    }

    fn cookie(&self) -> String {
        let (session, place) = (&self.session, self.place());
        format!("{COOKIE_NAME}={session}; Path={place}; HttpOnly; SameSite=Strict")
    }
}

/// Every request passes here, and every answer.
pub(super) async fn let_in(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut answer = match judge(&guard, &request) {
        Verdict::Known => next.run(request).await,
        Verdict::New => with_cookie(next.run(request).await, &guard.cookie()),
        Verdict::Refused(status, why) => {
            let typed = if guard.may_act(request.headers()) { typed(request).await } else { None };
            refused(status, why, typed.as_deref())
        }
    };
    add_policy(answer.headers_mut());
    answer
}

/// What was typed in a form of a page that has ended meanwhile: whoever typed it has it nowhere else.
async fn typed(request: Request) -> Option<String> {
    let Form(pairs) = Form::<Vec<(String, String)>>::from_request(request, &()).await.ok()?;
    pairs.into_iter().find(|(name, text)| name == entry::VALUE && !text.is_empty()).map(|(_, text)| text)
}

fn with_cookie(mut answer: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}

/// What anybody may look at.
const OPEN: [&str; 3] = ["/page.css", "/icon.svg", "/favicon.ico"];

/// Who it is that asks.
enum Verdict {
    /// Somebody who was let in.
    Known,
    /// Whoever opens an address first.
    New,
    Refused(StatusCode, &'static str),
}

fn judge(guard: &Guard, request: &Request) -> Verdict {
    let (headers, path) = (request.headers(), request.uri().path());
    let forbidden = |why| Verdict::Refused(StatusCode::FORBIDDEN, why);
    let only_looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if !guard.is_called_rightly(headers) {
        return Verdict::Refused(
            StatusCode::MISDIRECTED_REQUEST,
            "This server is not the one that was asked for.",
        );
    }
    if path.strip_prefix(&guard.place()) == Some("open") && request.method() == Method::GET {
        let secret = request.uri().query().and_then(|query| query.strip_prefix("secret="));
        return match guard.takes(secret.unwrap_or_default()) {
            Ok(()) => Verdict::New,
            Err(_) if guard.is_known(headers) => Verdict::Known,
            Err(why) => forbidden(why),
        };
    }
    match () {
        // How a page looks that is none of the till is nobody's secret.
        () if only_looks && OPEN.contains(&path) => Verdict::Known,
        () if !path.starts_with(&guard.place()) => Verdict::Refused(StatusCode::NOT_FOUND, NOWHERE),
        () if !guard.is_known(headers) => forbidden(UNKNOWN),
        () if !guard.is_from_here(headers) => forbidden("This was not asked for by the page itself."),
        () if !only_looks && !guard.may_act(headers) => {
            forbidden("This was not asked for on the page itself.")
        }
        () => Verdict::Known,
    }
}

/// It is the page itself that goes on to the overview: whoever came from another site would be sent there without the cookie.
pub(super) fn opened() -> Response {
    Html(outside(
        "Opening",
        html! { meta http-equiv="refresh" content="0;url=overview"; },
        &html! {
            p { a href="overview" { "To the overview" } }
        },
    ))
    .into_response()
}

/// What somebody is told who is not let in, which is nothing of the till; and what they had typed.
pub(super) fn refused(status: StatusCode, why: &str, typed: Option<&str>) -> Response {
    let page = outside(
        "This page is closed",
        Markup::default(),
        &html! {
            h1 { (why) }
            p { "Start the page again as it was started before, from the app or by whoever looks after this till. Nothing that was edited is lost." }
            @if let Some(typed) = typed { (show::kept(typed)) }
        },
    );
    (status, Html(page)).into_response()
}

/// What somebody is told when the page met a defect.
pub(super) fn failed() -> Response {
    let page = outside(
        "Something went wrong",
        Markup::default(),
        &html! {
            h1 { "Something went wrong in this program." }
            p { "Nothing that was edited is lost. Look again; if it stays so, whoever looks after this till finds the reason in what the program printed." }
            p { a href="overview" { "To the overview" } }
        },
    );
    (StatusCode::INTERNAL_SERVER_ERROR, Html(page)).into_response()
}

/// A page with nothing of the file, and nothing that needs the cookie.
fn outside(title: &str, head: Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · tillsync" }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/page.css";
                (head)
            }
            body { main.alone { p.brand { "tillsync" } (body) } }
        }
    };
    page.into_string()
}

/// To another page of this place.
pub(super) fn see_other(word: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, word.to_owned())]).into_response()
}

fn add_policy(headers: &mut HeaderMap) {
    let mut say = |name, value| _ = headers.insert(name, HeaderValue::from_static(value));
    say(CONTENT_SECURITY_POLICY, POLICY);
    say(X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(X_FRAME_OPTIONS, "DENY");
    // Not `no-referrer`, with which a browser hides the origin of a form from its own server.
    say(REFERRER_POLICY, "same-origin");
    say(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    say(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Sixteen bytes of chance from the system, which nobody guesses.
fn secret() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::getrandom(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// In a time that tells nothing of where they differ.
fn is_same(secret: &str, given: &str) -> bool {
    secret.len() == given.len() && secret.bytes().zip(given.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
