//! A line to the store on which a test decides what happens: real HTTP on loopback, in front of a [`Sandbox`].
//!
//! ```text
//! let odd = Odd::before(&till.sandbox).answer(|asked, told| {
//!     if asked.is_list() && asked.nth == 2 {
//!         told.edit(|page| page["meta"] = json!({}));        // the second page tells of no cursor
//!     }
//! });
//! let till = till.through(&odd);                             // the same file, over this line
//! till.engine().sync()…
//! ```
//!
//! A request goes through the rules in the order in which they were made:
//!
//! * [`Odd::before_store`] sees it before the store does, and may answer by itself: then the store never hears of it;
//! * [`Odd::answer`] sees what the store answered, and rewrites it: status, headers, body; or holds it back, sends it
//!   slowly, cuts it off, or drops the connection, which is how an answer is lost.
//!
//! Closures own what they need: clone an `Arc<Sandbox>` into one to have the back office edit at that very moment. No two
//! run at once. [`Odd::calm`] takes all rules away, and [`Odd::asked`] tells what was asked and answered.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tillsync::sandbox::Sandbox;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A list of customers that are not named: pulls.
    List,
    /// Customers by id: looks, and readings back.
    ById,
    /// An update.
    Put,
    /// Anything else.
    Other,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What follows the question mark, as it came.
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub kind: Kind,
    /// Its number among those of its kind, from 1.
    pub nth: usize,
}

impl Asked {
    pub fn is_put(&self) -> bool {
        self.kind == Kind::Put
    }

    pub fn is_list(&self) -> bool {
        self.kind == Kind::List
    }

    pub fn is_by_id(&self) -> bool {
        self.kind == Kind::ById
    }

    /// A parameter of the query, not decoded; `after`, `page`, `date_modified:min`, `id:in`, …
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The customers that it names: those asked for by id, or those updated.
    pub fn ids(&self) -> Vec<i64> {
        if let Some(ids) = self.parameter("id:in") {
            return ids.split(',').filter_map(|id| id.parse().ok()).collect();
        }
        let customers = self.json().as_array().cloned().unwrap_or_default();
        customers.iter().filter_map(|customer| customer["id"].as_i64()).collect()
    }

    /// The body; null when it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What is told to the one who asked.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    delay: Duration,
    bytes_per_second: Option<u32>,
    cut_after_bytes: Option<usize>,
    is_dropped: bool,
}

impl Told {
    pub fn json_of(status: u16, body: &Value) -> Told {
        Told::text(status, "application/json", &body.to_string())
    }

    /// A page of customers as the store would tell it, if these were all there are.
    pub fn page(customers: &[Value]) -> Told {
        Told::json_of(200, &serde_json::json!({ "data": customers, "meta": {} }))
    }

    pub fn html(status: u16) -> Told {
        Told::text(status, "text/html", "<!DOCTYPE html><title>Access denied</title><h1>Access denied</h1>")
    }

    pub fn text(status: u16, content_type: &str, body: &str) -> Told {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Told { status, headers, body: body.into(), ..Told::default() }
    }

    /// A status without a body.
    pub fn empty(status: u16) -> Told {
        Told { status, ..Told::default() }
    }

    /// No answer: the connection ends.
    pub fn dropped() -> Told {
        Told { is_dropped: true, ..Told::default() }
    }

    /// The connection ends in the place of this answer.
    pub fn drop(&mut self) {
        self.is_dropped = true;
    }

    /// The answer is held back.
    pub fn delay_ms(&mut self, ms: u64) {
        self.delay = Duration::from_millis(ms);
    }

    /// The body comes so slowly.
    pub fn slow(&mut self, bytes_per_second: u32) {
        self.bytes_per_second = Some(bytes_per_second);
    }

    /// The connection ends after so many bytes of the body.
    pub fn cut_after(&mut self, bytes: usize) {
        self.cut_after_bytes = Some(bytes);
    }

    /// Sets a header, or takes it away.
    pub fn header(&mut self, name: &str, value: Option<&str>) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// The body; null when it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Changes the body as JSON. Amounts pass through a float here: write the bytes where digits count.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut json = self.json();
        change(&mut json);
        self.body = json.to_string().into();
    }

    /// Changes the customers of the answer.
    pub fn customers(&mut self, change: impl FnOnce(&mut Vec<Value>)) {
        self.edit(|json| {
            if let Some(customers) = json["data"].as_array_mut() {
                change(customers);
            }
        });
    }

    /// Changes one customer of the answer, if it is there.
    pub fn customer(&mut self, id: i64, change: impl FnOnce(&mut Value)) {
        self.customers(|all| {
            all.iter_mut().find(|customer| customer["id"] == id).map(change);
        });
    }

    /// Replaces text in the body, for what JSON in memory cannot hold: digits, half of a pair, an attribute twice.
    pub fn replace(&mut self, from: &str, to: &str) {
        self.body = String::from_utf8_lossy(&self.body).replace(from, to).into();
    }
}

type Before = Box<dyn FnMut(&Asked) -> Option<Told> + Send>;
type After = Box<dyn FnMut(&Asked, &mut Told) + Send>;

#[derive(Default)]
struct Rules {
    before: Vec<Before>,
    after: Vec<After>,
    counts: BTreeMap<Kind, usize>,
    asked: Vec<(Asked, u16)>,
}

/// What the line's threads and its owner share.
struct Line {
    sandbox: Arc<Sandbox>,
    agent: ureq::Agent,
    rules: Mutex<Rules>,
    open: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

/// A line to a sandbox. It ends, with all its connections, when it is dropped.
pub struct Odd {
    line: Arc<Line>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
}

impl Odd {
    /// A line on which nothing odd happens yet.
    pub fn before(sandbox: &Arc<Sandbox>) -> Odd {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(Line {
            sandbox: Arc::clone(sandbox),
            agent: ureq::Agent::config_builder().http_status_as_error(false).build().new_agent(),
            rules: Mutex::default(),
            open: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let listening = std::thread::spawn({
            let line = Arc::clone(&line);
            move || line.listen(&listener)
        });
        Odd { line, address, listening: Some(listening) }
    }

    /// What stands in for `https://api.bigcommerce.com`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request, before the store sees it; what is returned is the answer, and the store never hears of it.
    pub fn before_store(self, act: impl FnMut(&Asked) -> Option<Told> + Send + 'static) -> Odd {
        lock(&self.line.rules).before.push(Box::new(act));
        self
    }

    /// Every answer, before the one who asked sees it.
    pub fn answer(self, act: impl FnMut(&Asked, &mut Told) + Send + 'static) -> Odd {
        lock(&self.line.rules).after.push(Box::new(act));
        self
    }

    /// Every answer to requests of a kind.
    pub fn every(self, kind: Kind, mut act: impl FnMut(&mut Told) + Send + 'static) -> Odd {
        self.answer(move |asked, told| {
            if asked.kind == kind {
                act(told);
            }
        })
    }

    /// The answer to the nth request of a kind, from 1, reckoned from now.
    pub fn nth(self, kind: Kind, nth: usize, mut act: impl FnMut(&mut Told) + Send + 'static) -> Odd {
        let mut seen = 0;
        self.every(kind, move |told| {
            seen += 1;
            if seen == nth {
                act(told);
            }
        })
    }

    /// From here on nothing odd happens. Requests are counted on.
    pub fn calm(&self) {
        let mut rules = lock(&self.line.rules);
        rules.before.clear();
        rules.after.clear();
    }

    /// All that was asked over this line so far, in the order of the answers, each with the status that was told; 0 where
    /// none was.
    pub fn asked(&self) -> Vec<(Asked, u16)> {
        lock(&self.line.rules).asked.clone()
    }

    /// How many requests of a kind there were.
    pub fn count(&self, kind: Kind) -> usize {
        lock(&self.line.rules).counts.get(&kind).copied().unwrap_or_default()
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.line.is_over.store(true, Ordering::SeqCst);
        // Nobody waits for a listener that is waiting: one last connection wakes it.
        _ = TcpStream::connect(self.address);
        _ = self.listening.take().map(JoinHandle::join);
        lock(&self.line.open).drain(..).for_each(|stream| _ = stream.shutdown(Shutdown::Both));
    }
}

impl Line {
    fn listen(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            lock(&self.open).extend(stream.try_clone());
            let line = Arc::clone(&self);
            std::thread::spawn(move || line.serve(&stream));
        }
    }

    /// A connection, until one side has enough of it.
    fn serve(&self, stream: &TcpStream) {
        let mut from = BufReader::new(stream);
        while let Some(asked) = self.read(&mut from) {
            let told = self.tell(&asked);
            let status = if told.is_dropped { 0 } else { told.status };
            lock(&self.rules).asked.push((asked, status));
            if write(stream, &told).is_none() {
                break;
            }
        }
        _ = stream.shutdown(Shutdown::Both);
    }

    fn tell(&self, asked: &Asked) -> Told {
        let by_itself = lock(&self.rules).before.iter_mut().find_map(|act| act(asked));
        let mut told = by_itself.unwrap_or_else(|| self.forward(asked));
        lock(&self.rules).after.iter_mut().for_each(|act| act(asked, &mut told));
        told
    }

    /// What the store says.
    fn forward(&self, asked: &Asked) -> Told {
        let mark = if asked.query.is_empty() { "" } else { "?" };
        let uri = format!("{}{}{mark}{}", self.sandbox.url(), asked.path, asked.query);
        let mut request = ureq::http::Request::builder().method(asked.method.as_str()).uri(uri);
        for (name, value) in asked.headers.iter().filter(|(name, _)| !is_of_this_hop(name)) {
            request = request.header(name, value);
        }
        let has_body = ["PUT", "POST"].contains(&asked.method.as_str());
        let answer = match has_body {
            true => self.agent.run(request.body(asked.body.clone()).unwrap()),
            false => self.agent.run(request.body(()).unwrap()),
        };
        let Ok(mut answer) = answer else { return Told::dropped() };
        let headers = answer.headers().iter().filter(|(name, _)| !is_of_this_hop(name.as_str()));
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
        let (status, headers) = (answer.status().as_u16(), headers.collect());
        match answer.body_mut().with_config().limit(1 << 30).read_to_vec() {
            Ok(body) => Told { status, headers, body, ..Told::default() },
            Err(_) => Told::dropped(),
        }
    }

    /// The next request of a connection; none when there is none, or it is not HTTP.
    fn read(&self, from: &mut BufReader<&TcpStream>) -> Option<Asked> {
        let first = line(from)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let line = line(from)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let mut body = vec![0; length.map_or(Some(0), |(_, length)| length.parse().ok())?];
        from.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let kind = kind(&method, &query);
        let nth = *lock(&self.rules).counts.entry(kind).and_modify(|count| *count += 1).or_insert(1);
        Some(Asked { method, path, query, headers, body, kind, nth })
    }
}

fn kind(method: &str, query: &str) -> Kind {
    match method {
        "GET" if query.split('&').any(|pair| pair.starts_with("id:in=")) => Kind::ById,
        "GET" => Kind::List,
        "PUT" => Kind::Put,
        _ => Kind::Other,
    }
}

fn line(from: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    let length = from.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Headers that each connection has for itself; bodies are unpacked here.
fn is_of_this_hop(name: &str) -> bool {
    let names =
        ["connection", "content-length", "transfer-encoding", "content-encoding", "accept-encoding", "host"];
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Sends an answer; none when the connection is to end.
fn write(mut stream: &TcpStream, told: &Told) -> Option<()> {
    std::thread::sleep(told.delay);
    if told.is_dropped {
        return None;
    }
    let mut head = format!("HTTP/1.1 {} {}\r\n", told.status, if told.status < 400 { "OK" } else { "Odd" });
    for (name, value) in &told.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if told.status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", told.body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    let body = if told.status == 204 { &[] } else { told.body.as_slice() };
    let sent = &body[..told.cut_after_bytes.unwrap_or(body.len()).min(body.len())];
    match told.bytes_per_second {
        None => stream.write_all(sent).ok()?,
        Some(bytes_per_second) => trickle(stream, sent, bytes_per_second)?,
    }
    (sent.len() == body.len()).then_some(())
}

/// Twenty drops a second.
fn trickle(mut stream: &TcpStream, bytes: &[u8], bytes_per_second: u32) -> Option<()> {
    for drop in bytes.chunks((bytes_per_second as usize / 20).max(1)) {
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(drop).ok()?;
    }
    Some(())
}

/// A rule that panicked has failed its test; the line goes on, so that the test says what it saw.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
