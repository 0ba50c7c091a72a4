//! The store on a real port: an axum server around the core, and everything that needs a network or a clock.
//!
//! What lives here: sockets, waiting, compression, and counting the updates that are really under way at once. What
//! an answer says is the core's. All requests meet in one handler, `serve_one`.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use chrono::Utc;
use flate2::{Compression, write::GzEncoder};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use super::connection::{Connection, Connections, End, Gate};
use super::control;
use super::core::{Place, StoreCore};
use super::handled::Handled;
use super::http::{RawRequest, RawResponse};
use super::kept::{self, Keeper};
use super::options::SandboxOptions;

/// The largest body that is read; far more than ten customers need.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// Answers from this size on are compressed for clients that take it.
const MIN_GZIP_BYTES: usize = 1_024;
const BACKLOG: u32 = 1_024;

/// What the server's threads and its owner share.
pub(super) struct Shared {
    core: Mutex<StoreCore>,
    keeper: Option<Keeper>,
    latency_ms: AtomicU64,
    bytes_per_second: AtomicU32,
}

impl Shared {
    fn new(options: &SandboxOptions) -> io::Result<Self> {
        let (core, keeper) = match &options.state {
            None => (StoreCore::new(options), None),
            Some(path) => kept::open(path, options).map(|(core, keeper)| (core, Some(keeper)))?,
        };
        Ok(Self {
            core: Mutex::new(core),
            keeper,
            latency_ms: AtomicU64::new(options.latency_ms),
            bytes_per_second: AtomicU32::new(options.bytes_per_second),
        })
    }

    /// Looks at or changes the store, between two requests. What it changed is kept, where it is to be, when this returns.
    pub fn with_core<T>(&self, act: impl FnOnce(&mut StoreCore) -> T) -> T {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let said = act(&mut core);
        if let Some(keeper) = &self.keeper {
            keeper.keep(&core);
        }
        said
    }

    pub fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_ref()
    }

    pub fn set_latency_ms(&self, latency_ms: u64) {
        self.latency_ms.store(latency_ms, Ordering::Relaxed);
    }

    pub fn set_bytes_per_second(&self, bytes_per_second: u32) {
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    fn bytes_per_second(&self) -> Option<u32> {
        Some(self.bytes_per_second.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }
}

/// A running server.
pub(super) struct Server {
    pub line: Arc<Line>,
    /// Where it is controlled from, where it is to be.
    pub control: Option<SocketAddr>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Makes the store and listens.
    pub fn start(options: &SandboxOptions) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("tillsync-sandbox")
            .enable_io()
            .enable_time()
            .build()?;
        let (listener, control) = listeners(runtime.handle(), options)?;
        let line = Arc::new(Line {
            shared: Arc::new(Shared::new(options)?),
            address: listener.local_addr()?,
            runtime: runtime.handle().clone(),
            connections: Connections::default(),
            port: Mutex::new(Port::Kept(None)),
        });
        *line.port() = Port::Open(line.listen(listener));
        let address = control.as_ref().map(TcpListener::local_addr).transpose()?;
        if let Some(listener) = control {
            runtime.spawn(control::serve(Arc::clone(&line), listener));
        }
        Ok(Self { line, control: address, runtime: Some(runtime) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.line.cut();
        *self.line.port() = Port::Kept(None);
        if let Some(runtime) = self.runtime.take() {
            // Not a plain drop: that would panic where the owner runs inside a runtime of its own.
            runtime.shutdown_background();
        }
    }
}

/// The store and the line to it, which can be cut and healed.
pub(super) struct Line {
    pub shared: Arc<Shared>,
    pub address: SocketAddr,
    runtime: Handle,
    connections: Connections,
    port: Mutex<Port>,
}

/// What becomes of the port.
enum Port {
    /// It is listened at.
    Open(JoinHandle<()>),
    /// Nobody listens, and it is kept for when somebody does again: it is one of those that the system gives to whoever asks for any.
    /// None: somebody else was faster.
    Kept(Option<TcpSocket>),
}

impl Line {
    /// Takes the network away: nobody listens, and every connection is dropped. Returns when that is so; it waits for a thread
    /// of the server, and so is not to be called on one.
    pub fn cut(&self) {
        let mut port = self.port();
        *port = match std::mem::replace(&mut *port, Port::Kept(None)) {
            Port::Open(listening) => {
                self.end(listening);
                Port::Kept(bind(&self.runtime, self.address).ok())
            }
            kept => kept,
        };
        self.connections.end_all(End::Reset);
    }

    fn end(&self, listening: JoinHandle<()>) {
        let (ended, wait) = std::sync::mpsc::channel();
        listening.abort();
        self.runtime.spawn(async move {
            let _ = listening.await;
            let _ = ended.send(());
        });
        let _ = wait.recv();
    }

    /// Listens again on the same port.
    pub fn heal(&self) -> io::Result<()> {
        let mut port = self.port();
        if let Port::Kept(kept) = &mut *port {
            let socket = kept.take().map_or_else(|| bind(&self.runtime, self.address), Ok)?;
            *port = Port::Open(self.listen(listen(&self.runtime, socket)?));
        }
        Ok(())
    }

    pub fn is_cut(&self) -> bool {
        matches!(*self.port(), Port::Kept(_))
    }

    fn listen(&self, listener: TcpListener) -> JoinHandle<()> {
        let gate = Gate { listener, connections: self.connections.clone() };
        let service = Router::new()
            .fallback(serve_one)
            .with_state(Arc::clone(&self.shared))
            .into_make_service_with_connect_info::<Connection>();
        self.runtime.spawn(async move {
            let _ = axum::serve(gate, service).await;
        })
    }

    fn port(&self) -> MutexGuard<'_, Port> {
        self.port.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a pair of free ports is looked for.
const TRIES: u32 = 50;

/// A listener for the store, and one for control where that is wanted. A port that was asked for is taken or refused.
fn listeners(runtime: &Handle, options: &SandboxOptions) -> io::Result<(TcpListener, Option<TcpListener>)> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for tried in 1.. {
        let listening = |port| bind(runtime, at(port)).and_then(|socket| listen(runtime, socket));
        let listener = listening(options.port).map_err(|error| named(options.port, "", &error))?;
        if !options.control {
            return Ok((listener, None));
        }
        let port = control::port(listener.local_addr()?.port());
        match listening(port) {
            Ok(control) => return Ok((listener, Some(control))),
            Err(_) if options.port == 0 && tried < TRIES => {}
            Err(error) => return Err(named(port, ", where it is controlled", &error)),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn named(port: u16, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("port {port} of 127.0.0.1{what}: {error}"))
}

/// A port, at which nobody listens yet.
fn bind(runtime: &Handle, address: SocketAddr) -> io::Result<TcpSocket> {
    let _inside = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    // The port must be free again at once after a cut, in spite of connections that linger.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(runtime: &Handle, socket: TcpSocket) -> io::Result<TcpListener> {
    let _inside = runtime.enter();
    socket.listen(BACKLOG)
}

/// An update under way, counted until it is dropped: answered, or its connection gone.
struct UpdateUnderWay {
    shared: Arc<Shared>,
    place: Place,
}

impl UpdateUnderWay {
    fn begin(shared: &Arc<Shared>, method: &str) -> Option<Self> {
        let begin = || Self { shared: Arc::clone(shared), place: shared.with_core(StoreCore::begin_update) };
        ["PUT", "DELETE"].contains(&method).then(begin)
    }
}

impl Drop for UpdateUnderWay {
    fn drop(&mut self) {
        self.shared.with_core(StoreCore::end_update);
    }
}

/// Every request: it arrives, travels, is handled by the core, and its answer is delivered or not.
async fn serve_one(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let arrived = Instant::now();
    let under_way = UpdateUnderWay::begin(&shared, request.method().as_str());
    let takes_gzip = takes_gzip(&request);
    let Some(request) = read(request).await else {
        connection.end(End::Drop);
        return Response::default();
    };
    travel(arrived, Duration::from_millis(shared.latency_ms.load(Ordering::Relaxed))).await;
    if let Some(place) = under_way.as_ref().map(|update| update.place).filter(|place| *place != Place::Free) {
        let refusal = shared.with_core(|core| core.too_many_updates(Utc::now(), &request, place));
        return encode(refusal, takes_gzip);
    }
    let handled = shared.with_core(|core| {
        let fault = core.draw_fault(&request.method);
        core.handle_with(Utc::now(), &request, fault)
    });
    pause(handled.delay_ms).await;
    connection.go_at(handled.bytes_per_second.or(shared.bytes_per_second()));
    if let Some(after_ms) = handled.apply_after_ms {
        apply_later(shared, request, after_ms);
    }
    deliver(&connection, handled, takes_gzip)
}

/// Until so long after a request has arrived. The runtime's timer counts whole milliseconds and rounds up, by which three
/// calls at once would seem slower than they are: the last bit is slept on a thread.
async fn travel(arrived: Instant, latency: Duration) {
    const COARSE: Duration = Duration::from_millis(2);
    if latency.is_zero() {
        return;
    }
    tokio::time::sleep(latency.saturating_sub(arrived.elapsed() + COARSE)).await;
    let left = latency.saturating_sub(arrived.elapsed());
    if !left.is_zero() {
        _ = tokio::task::spawn_blocking(move || std::thread::sleep(left)).await;
    }
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

pub(super) async fn read(request: Request) -> Option<RawRequest> {
    let (head, body) = request.into_parts();
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Some(RawRequest {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: to_bytes(body, MAX_BODY_BYTES).await.ok()?.to_vec(),
    })
}

/// Applies an update on its own time, whatever becomes of its connection.
fn apply_later(shared: Arc<Shared>, request: RawRequest, after_ms: u64) {
    tokio::spawn(async move {
        pause(after_ms).await;
        shared.with_core(|core| core.apply_late(Utc::now(), &request));
    });
}

fn deliver(connection: &Connection, handled: Handled, takes_gzip: bool) -> Response {
    let Some(response) = handled.response else {
        connection.end(if handled.is_reset { End::Reset } else { End::Drop });
        return Response::default();
    };
    if let Some(bytes) = handled.cut_after_bytes {
        connection.cut_after(bytes);
        return encode(response, false);
    }
    encode(response, takes_gzip)
}

fn takes_gzip(request: &Request) -> bool {
    let accepted = request.headers().get(header::ACCEPT_ENCODING);
    accepted.and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("gzip"))
}

pub(super) fn encode(mut response: RawResponse, takes_gzip: bool) -> Response {
    let packed = (takes_gzip && response.body.len() >= MIN_GZIP_BYTES).then(|| gzip(&response.body));
    if let Some(Ok(packed)) = packed {
        response.body = packed;
        response.headers.push(("Content-Encoding".into(), "gzip".into()));
    }
    let mut encoded = Response::new(Body::from(response.body));
    *encoded.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            encoded.headers_mut().insert(name, value);
        }
    }
    encoded
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;

    /// The system gives it to nobody who asks for any port, such as another one's connection.
    #[test]
    fn the_port_stays_its_own_while_the_line_is_cut() {
        let server = Server::start(&SandboxOptions { customers: 1, ..SandboxOptions::default() }).unwrap();
        server.line.cut();
        assert!(server.line.is_cut());
        assert!(TcpSocket::new_v4().unwrap().bind(server.line.address).is_err());
        server.line.cut();
        server.line.heal().unwrap();
        assert!(!server.line.is_cut() && std::net::TcpStream::connect(server.line.address).is_ok());
    }
}
