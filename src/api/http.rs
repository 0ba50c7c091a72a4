//! The real store: ureq over rustls, keep-alive, gzip, explicit timeouts, and a thread for each call that may be under way
//! at once: three updates, and two reads beside them.

use std::any::Any;
use std::convert::Infallible;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use super::{Remote, Request};
use crate::error::{Error, Failure, Result, has_no_descriptor_left, is_out_of_descriptors};
use crate::flow::{Answer, RateHeaders, Ticket, Trouble, is_store_hash, masked, store_address};
use crate::threads;

/// Calls at once: three updates and two reads.
const THREADS: usize = 3 + 2;
/// The largest answer that is read: 250 customers with all that the contract allows are far below it.
const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;

const API_URL: &str = "https://api.bigcommerce.com";

/// Where the store is, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Default: `https://api.bigcommerce.com`. Plain `http` is accepted for loopback addresses only. It may be a whole API
    /// path, as the control panel shows it: see [`HttpOptions::settled`].
    pub api_url: String,
    /// The store: the part behind `stores/` in the API path, or that path.
    pub store_hash: String,
    /// The API account's access token, with the scope `store_v2_customers`.
    pub access_token: SecretString,
    /// For one request, in all; connecting may take a third of it. Default: 30 s.
    pub timeout: Duration,
    /// What stands between this till and the store by the till's own will. Never for loopback addresses: a request in the clear
    /// would show the token to it. Default: what the environment says.
    pub proxy: HttpProxy,
    /// Whose word is believed on who the store is. Default: that of the system's authorities.
    pub roots: Roots,
}

/// A proxy for requests.
#[derive(Clone, Debug, Default)]
pub enum HttpProxy {
    /// As `ALL_PROXY`, `HTTPS_PROXY` or `HTTP_PROXY` say, but for what `NO_PROXY` names.
    #[default]
    Environment,
    /// None, whatever the environment says.
    None,
    /// This one: `http://user:password@host:port`.
    Url(SecretString),
}

impl FromStr for HttpProxy {
    type Err = Infallible;

    /// `none`, or the URL of one.
    fn from_str(text: &str) -> Result<HttpProxy, Infallible> {
        Ok(match text.trim() {
            "" => HttpProxy::Environment,
            "none" => HttpProxy::None,
            url => HttpProxy::Url(url.into()),
        })
    }
}

/// Who may sign the certificate of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The authorities that the system trusts, a shop's own among them; those that are built in where the system has none.
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded.
    #[default]
    System,
    /// Those of Mozilla's list, as it was when this library was built.
    BuiltIn,
    /// Those in a file of PEM, and no others.
    Pem(PathBuf),
}

impl FromStr for Roots {
    type Err = Infallible;

    /// `system`, `built-in`, or a file.
    fn from_str(text: &str) -> Result<Roots, Infallible> {
        Ok(match text.trim() {
            "" | "system" => Roots::System,
            "built-in" => Roots::BuiltIn,
            path => Roots::Pem(path.into()),
        })
    }
}

impl HttpOptions {
    /// The public API, with the default timeout.
    pub fn new(store_hash: impl Into<String>, access_token: impl Into<SecretString>) -> HttpOptions {
        HttpOptions {
            api_url: API_URL.to_owned(),
            store_hash: store_hash.into(),
            access_token: access_token.into(),
            timeout: Duration::from_secs(30),
            proxy: HttpProxy::default(),
            roots: Roots::default(),
        }
    }

    /// Whether URL and store hash can be what they should, without asking the store.
    ///
    /// # Errors
    /// When the URL is none, would send the token in the clear, or the store hash is none.
    pub fn check(&self) -> Result<()> {
        url(&self.clone().settled()?).map(|_| ())
    }

    /// The same with URL and store hash taken apart, where one of them is what was copied from the control panel:
    /// `https://api.bigcommerce.com/stores/abc123/v3/`. [`HttpRemote::new`] does that by itself; this is for whoever
    /// needs the hash before.
    ///
    /// ```
    /// use tillsync::HttpOptions;
    ///
    /// let pasted = HttpOptions::new("https://api.bigcommerce.com/stores/abc123/v3/", "token");
    /// assert_eq!(pasted.settled()?.store_hash, "abc123");
    /// # Ok::<(), tillsync::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the two name different stores, or different places.
    pub fn settled(mut self) -> Result<HttpOptions> {
        let (url, hash) = (self.api_url.trim().to_owned(), self.store_hash.trim().to_owned());
        let (in_url, in_hash) = (store_address(&url), store_address(&hash));
        let store_hash = in_hash.as_ref().map_or(hash.as_str(), |address| address.store_hash);
        match &in_url {
            Some(address) if store_hash.is_empty() => self.store_hash = address.store_hash.to_owned(),
            Some(address) if address.store_hash != store_hash => {
                let other = address.store_hash;
                return Err(Error::usage(format!(
                    "the API URL {url} names the store {other}, and the store hash is {store_hash}"
                )));
            }
            _ => self.store_hash = store_hash.to_owned(),
        }
        let base = in_url.map_or(Some(url.clone()), |address| address.api_url.map(with_scheme));
        let beside_hash = in_hash.and_then(|address| address.api_url).map(with_scheme);
        self.api_url = match (base.unwrap_or_else(|| API_URL.to_owned()), beside_hash) {
            (base, Some(other)) if base.trim_end_matches('/') == API_URL => other,
            (base, Some(other)) if base.trim_end_matches('/') != other => {
                return Err(Error::usage(format!(
                    "the store hash was given as {hash}, which is at {other}, and the API URL is {base}"
                )));
            }
            (base, _) => base,
        };
        Ok(self)
    }
}

/// The store, over HTTP.
#[derive(Debug)]
pub struct HttpRemote {
    jobs: Sender<(Ticket, Request)>,
    answers: Receiver<(Ticket, Result<Answer, Trouble>)>,
    in_flight: usize,
    updates: Arc<Mutex<Updates>>,
}

/// Updates on their way, and what is kept for as long as there are some.
#[derive(Debug, Default)]
struct Updates {
    count: usize,
    kept: Vec<Box<dyn Any + Send>>,
}

/// Asks the store one thing.
type Call = fn(&Caller, &Request) -> Result<Answer, Trouble>;

/// One thread's way to the store; all share the connections.
#[derive(Clone)]
struct Caller {
    agent: Agent,
    url: String,
    token: SecretString,
    updates: Arc<Mutex<Updates>>,
}

impl HttpRemote {
    /// Gets ready to speak to a store; nothing is sent yet.
    ///
    /// # Errors
    /// When the URL is none, or is plain `http` to another machine; when the store hash or the token could not stand in
    /// a request; and when the system gives no threads.
    pub fn new(options: &HttpOptions) -> Result<HttpRemote> {
        HttpRemote::calling(options, Caller::call)
    }

    fn calling(options: &HttpOptions, call: Call) -> Result<HttpRemote> {
        let options = &options.clone().settled()?;
        let updates = Arc::<Mutex<Updates>>::default();
        let (url, token) = (url(options)?, token(options)?);
        let agent = agent(options, &url)?;
        let caller = Caller { agent, url, token, updates: updates.clone() };
        let (jobs, inbox) = mpsc::channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let (outbox, answers) = mpsc::channel();
        for _ in 0..THREADS {
            let (caller, inbox, outbox) = (caller.clone(), inbox.clone(), outbox.clone());
            // Those that were given end with the channel when one is not.
            threads::spawn("tillsync-http", move || caller.serve(call, &inbox, &outbox))?;
        }
        Ok(HttpRemote { jobs, answers, in_flight: 0, updates })
    }
}

impl Remote for HttpRemote {
    fn start(&mut self, ticket: Ticket, request: Request) {
        self.in_flight += 1;
        lock(&self.updates).count += usize::from(request.is_update());
        // The threads live as long as this sender does.
        _ = self.jobs.send((ticket, request));
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let answer = match wait {
            Some(wait) => self.answers.recv_timeout(wait).map_err(|e| e == RecvTimeoutError::Timeout).ok(),
            None if self.in_flight == 0 => None,
            None => self.answers.recv().ok(),
        };
        self.in_flight -= usize::from(answer.is_some());
        answer
    }

    fn keep_while_updating(&mut self, kept: Box<dyn Any + Send>) {
        let mut updates = lock(&self.updates);
        if updates.count > 0 {
            updates.kept.push(kept);
        }
    }
}

/// A poisoned lock only means that another thread panicked between two requests.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Caller {
    fn serve(
        &self,
        call: Call,
        inbox: &Mutex<Receiver<(Ticket, Request)>>,
        outbox: &Sender<(Ticket, Result<Answer, Trouble>)>,
    ) {
        loop {
            let job = lock(inbox).recv();
            let Ok((ticket, request)) = job else { return };
            // A panic ends one request and not the thread: whoever waits for the answer would wait for ever.
            let answer = catch_unwind(AssertUnwindSafe(|| call(self, &request)))
                .unwrap_or_else(|_| Err(Trouble::Broken("the HTTP client has a defect".to_owned())));
            if request.is_update() {
                self.is_back();
            }
            if outbox.send((ticket, answer)).is_err() {
                return;
            }
        }
    }

    fn is_back(&self) {
        let mut updates = lock(&self.updates);
        updates.count -= 1;
        if updates.count == 0 {
            updates.kept.clear();
        }
    }

    fn call(&self, request: &Request) -> Result<Answer, Trouble> {
        let token = self.token.expose_secret();
        let answer = match request {
            Request::Update(body) => {
                let put = self
                    .agent
                    .put(&self.url)
                    .header("X-Auth-Token", token)
                    .header("Accept", "application/json");
                put.header("Content-Type", "application/json").send(body.expose_secret())
            }
            _ => {
                let get = self.agent.get(format!("{}?{}", self.url, request.query()));
                let get = get.header("X-Auth-Token", token).header("Content-Type", "application/json");
                get.header("Accept", "application/json").call()
            }
        };
        let answer = answer.map_err(|e| trouble(&e, request.is_update())).and_then(read);
        match answer {
            Ok(Answer { body, status, rate, date }) => {
                let body = without_token(body, (200..300).contains(&status), token);
                Ok(Answer { body, status, rate, date })
            }
            Err(Trouble::TooMuch { why, begun }) => {
                Err(Trouble::TooMuch { why, begun: without_token(begun, true, token) })
            }
            trouble => trouble,
        }
    }
}

/// A store, or what stands before it, that repeats the token tells it to nobody: before anybody else has read the answer, `***` is
/// in its place, in whatever spelling.
fn without_token(body: Vec<u8>, is_page: bool, token: &str) -> Vec<u8> {
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

fn agent(options: &HttpOptions, url: &str) -> Result<Agent> {
    let timeout = options.timeout;
    let config = Agent::config_builder()
        .user_agent(concat!("tillsync/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        .timeout_connect(Some(timeout / 3))
        .timeout_resolve(Some(timeout / 3))
        .max_idle_connections_per_host(THREADS)
        .proxy(proxy(options, url)?);
    let config = match url.starts_with("https:") {
        true => config.tls_config(TlsConfig::builder().root_certs(roots(&options.roots)?).build()),
        false => config,
    };
    Ok(config.build().new_agent())
}

/// None for this very machine: what is sent in the clear is sent nowhere else.
fn proxy(options: &HttpOptions, url: &str) -> Result<Option<Proxy>> {
    let url = url.parse::<Uri>().unwrap_or_default();
    let proxy = match &options.proxy {
        _ if is_loopback(url.host().unwrap_or_default()) => None,
        HttpProxy::None => None,
        HttpProxy::Environment => Proxy::try_from_env().filter(|proxy| !proxy.is_no_proxy(&url)),
        // What is wrong with it is not repeated: it may hold a password.
        HttpProxy::Url(text) => Some(
            Proxy::new(text.expose_secret())
                .map_err(|_| Error::usage("the proxy is no URL such as http://proxy.example.com:8080"))?,
        ),
    };
    // The client would go around one that it does not speak to, or fail in the middle of a request.
    match proxy.as_ref().map(Proxy::protocol) {
        None | Some(ProxyProtocol::Http | ProxyProtocol::Https) => Ok(proxy),
        Some(_) => Err(Error::usage(
            "the proxy speaks SOCKS, which is not spoken here: name one by http:// or https://, or none (--proxy none)",
        )),
    }
}

fn roots(roots: &Roots) -> Result<RootCerts> {
    let certificates = match roots {
        Roots::BuiltIn => return Ok(RootCerts::WebPki),
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            if let Some(none) = found.errors.iter().find_map(no_descriptor) {
                return Err(none);
            }
            let is_named =
                ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
            match found.errors.first() {
                // Whoever names authorities trusts those, and not the usual ones in their place.
                Some(why) if found.certs.is_empty() && is_named => {
                    return Err(Error::usage(format!(
                        "the authorities that SSL_CERT_FILE or SSL_CERT_DIR names: {why}"
                    )));
                }
                Some(why) => tracing::warn!(%why, "some of the system's authorities cannot be read"),
                None => {}
            }
            found.certs
        }
        Roots::Pem(path) => {
            let named = |why: String| Error::usage(format!("the authorities in {}: {why}", path.display()));
            let text = std::fs::read(path).map_err(|e| match is_out_of_descriptors(&e) {
                true => Failure::TooManyFiles(path.clone()).into(),
                false => named(e.to_string()),
            })?;
            let found: Vec<Certificate<'static>> = parse_pem(&text)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            return match found.is_empty() {
                true => Err(named("there is no certificate in it, in PEM".to_owned())),
                false => Ok(RootCerts::new_with_certs(&found)),
            };
        }
    };
    if certificates.is_empty() {
        tracing::info!("the system trusts no authority, or does not tell: those that are built in are taken");
        return Ok(RootCerts::WebPki);
    }
    let certificates: Vec<_> = certificates
        .iter()
        .map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned())
        .collect();
    Ok(RootCerts::new_with_certs(&certificates))
}

/// Authorities that cannot be read for lack of descriptors are not none: others would be believed in their place.
fn no_descriptor(error: &rustls_native_certs::Error) -> Option<Error> {
    match &error.kind {
        rustls_native_certs::ErrorKind::Io { inner, path } if is_out_of_descriptors(inner) => {
            Some(Failure::TooManyFiles(path.clone()).into())
        }
        _ => None,
    }
}

fn url(options: &HttpOptions) -> Result<String> {
    let HttpOptions { api_url, store_hash, .. } = options;
    let base: Uri =
        api_url.parse().map_err(|e| Error::usage(format!("the API URL {api_url} is none: {e}")))?;
    let host = base.host().unwrap_or_default();
    match base.scheme_str() {
        Some("https") if !host.is_empty() => {}
        Some("http") if is_loopback(host) => {}
        Some("http") => {
            let text = format!("the API URL {api_url} would send the token in the clear: use https");
            return Err(Error::usage(text));
        }
        _ => return Err(Error::usage(format!("the API URL {api_url} must begin with https://"))),
    }
    if !is_store_hash(store_hash) {
        return Err(Error::usage(format!(
            "the store hash {store_hash:?} must be letters and digits: the part behind stores/ in the API path, \
             {API_URL}/stores/abc123/v3/"
        )));
    }
    Ok(format!("{}/stores/{store_hash}/v3/customers", api_url.trim_end_matches('/')))
}

/// An address that was copied without its beginning.
fn with_scheme(url: &str) -> String {
    let has_one = url.is_empty() || url.contains("://") || !url.starts_with("api.");
    if has_one { url.to_owned() } else { format!("https://{url}") }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn token(options: &HttpOptions) -> Result<SecretString> {
    let token = options.access_token.expose_secret().trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::usage("the access token is empty, or has characters that no token has"));
    }
    Ok(SecretString::from(token))
}

/// What had come of an answer that is too much: its first customer is named by it.
const KEPT_OF_TOO_MUCH: usize = 4 * 1024;

fn read(mut response: Response<Body>) -> std::result::Result<Answer, Trouble> {
    let mut body = Vec::new();
    let mut reader = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).reader();
    if let Err(error) = reader.read_to_end(&mut body) {
        body.truncate(KEPT_OF_TOO_MUCH);
        return Err(cut_off(&error, body));
    }
    let headers = response.headers();
    Ok(Answer { status: response.status().as_u16(), rate: rate(headers), date: date(headers), body })
}

/// An answer that began to come and did not end.
fn cut_off(error: &io::Error, begun: Vec<u8>) -> Trouble {
    use ureq::Error::{BodyExceedsLimit, Timeout};
    let source = error.get_ref().and_then(|source| source.downcast_ref::<ureq::Error>());
    let is_too_much =
        matches!(source, Some(BodyExceedsLimit(_) | Timeout(_))) || error.kind() == io::ErrorKind::TimedOut;
    let why = format!("the answer was cut off: {error}");
    if is_too_much { Trouble::TooMuch { why, begun } } else { Trouble::Broken(why) }
}

fn rate(headers: &HeaderMap) -> RateHeaders {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    RateHeaders {
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
fn trouble(error: &ureq::Error, is_update: bool) -> Trouble {
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
        ureq::Error::Io(e) if is_lookup(e) && has_no_descriptor_left() => Trouble::NoSocket(words),
        _ if is_offline => Trouble::Offline(words),
        ureq::Error::Timeout(_) => Trouble::TooMuch { why: words, begun: Vec::new() },
        _ => Trouble::Broken(words),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::PageAsk;

    fn refused(api_url: &str) -> Option<String> {
        let options = HttpOptions { api_url: api_url.into(), ..HttpOptions::new("abc", "token") };
        url(&options.settled().ok()?).err().map(|e| e.to_string())
    }

    #[test]
    fn a_name_that_is_not_found_means_that_nothing_left() {
        let options =
            HttpOptions { api_url: "https://tillsync.invalid".into(), ..HttpOptions::new("abc", "token") };
        let mut remote = HttpRemote::new(&options).unwrap();
        let requests = [Request::Page(PageAsk::default()), Request::Update(SecretString::from("[]"))];
        for (place, request) in requests.into_iter().enumerate() {
            remote.start(Ticket(place as u64), request);
            let (_, answer) = remote.next(None).unwrap();
            assert!(matches!(answer, Err(Trouble::Offline(_))), "{answer:?}");
        }
    }

    /// As in ureq's resolver, which starts a thread for each name and panics where the system gives none.
    #[test]
    fn a_panic_in_the_client_is_a_failed_request_and_the_next_one_is_answered() {
        let call: Call = |_, request| match request {
            Request::Update(_) => Ok(Answer { status: 200, ..Answer::default() }),
            _ => panic!("no thread for the resolver"),
        };
        let mut remote = HttpRemote::calling(&HttpOptions::new("abc", "token"), call).unwrap();
        for ticket in 0..2 * THREADS as u64 {
            remote.start(Ticket(ticket), Request::Page(PageAsk::default()));
        }
        for _ in 0..2 * THREADS {
            let (_, answer) = remote.next(Some(Duration::from_secs(10))).unwrap();
            assert!(matches!(answer, Err(Trouble::Broken(_))), "{answer:?}");
        }
        remote.start(Ticket(99), Request::Update(SecretString::from("[]")));
        let (ticket, answer) = remote.next(Some(Duration::from_secs(10))).unwrap();
        assert_eq!((ticket, answer.map(|answer| answer.status).ok()), (Ticket(99), Some(200)));
        assert_eq!(lock(&remote.updates).count, 0);
    }

    #[test]
    fn threads_that_the_system_does_not_give_are_told_and_may_be_there_later() {
        for given in 0..THREADS {
            threads::refusal::after(given);
            let refused = HttpRemote::new(&HttpOptions::new("abc", "token")).unwrap_err();
            assert_eq!((refused.code(), refused.can_retry()), ("no_thread", true));
            threads::refusal::is_over();
        }
        HttpRemote::new(&HttpOptions::new("abc", "token")).unwrap();
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for fine in
            ["https://api.bigcommerce.com", "http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:2"]
        {
            assert_eq!(refused(fine), None, "{fine}");
        }
        for bad in [
            "http://api.bigcommerce.com",
            "http://127.0.0.1.example.com",
            "ftp://x",
            "api.bigcommerce.com",
            "",
        ] {
            assert!(refused(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn what_was_copied_from_the_control_panel_is_taken_apart() {
        let settled = |api_url: &str, hash: &str| {
            let options = HttpOptions { api_url: api_url.into(), ..HttpOptions::new(hash, "token") };
            options.settled().map(|options| (options.api_url, options.store_hash)).map_err(|e| e.to_string())
        };
        let there = Ok((API_URL.to_owned(), "abc123".to_owned()));
        let path = "https://api.bigcommerce.com/stores/abc123/v3/";
        for (api_url, hash) in [
            (API_URL, "abc123"),
            (API_URL, path),
            (API_URL, " api.bigcommerce.com/stores/abc123/v3\n"),
            (API_URL, "stores/abc123"),
            (API_URL, "https://store-abc123.mybigcommerce.com/manage"),
            (path, ""),
            (path, "abc123"),
            (path, path),
            ("https://store-abc123.mybigcommerce.com", ""),
        ] {
            assert_eq!(settled(api_url, hash), there, "{api_url}, {hash}");
        }
        let local = settled("http://127.0.0.1:1", "http://127.0.0.1:1/stores/abc123/v3");
        assert_eq!(local, Ok(("http://127.0.0.1:1".to_owned(), "abc123".to_owned())));
        let other = settled(path, "xyz").unwrap_err();
        assert!(other.contains("names the store abc123") && other.contains("xyz"), "{other}");
        assert!(settled("https://other.example.com", path).is_err());
    }

    #[test]
    fn nothing_that_could_break_a_request_is_taken_for_a_hash_or_a_token() {
        for hash in ["", "a/b", "a b", "ä"] {
            assert!(HttpRemote::new(&HttpOptions::new(hash, "token")).is_err(), "{hash}");
        }
        for bad in ["", " ", "a\nb"] {
            let error = HttpRemote::new(&HttpOptions::new("abc", bad.replace("\\n", "\n"))).err();
            assert!(error.is_some_and(|e| bad.trim().is_empty() || !e.to_string().contains(bad)));
        }
    }
}
