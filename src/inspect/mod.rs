//! A page for the person at the shop: how things stand, what waits for a decision, and what becomes of it, in a browser or in an
//! app's own web view.
//!
//! ```
//! use std::sync::Arc;
//! use tillsync::inspect::Inspector;
//! # use tillsync::sandbox::{Sandbox, SandboxOptions};
//! use tillsync::{HttpOptions, HttpRemote, Store, SyncEngine, SyncOptions, Syncer, SyncerOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("till.db");
//! # let sandbox = Sandbox::start(SandboxOptions { customers: 3, ..SandboxOptions::default() })?;
//! # let remote = HttpOptions { api_url: sandbox.url(), ..HttpOptions::new(sandbox.store_hash(), sandbox.token()) };
//! // An app that keeps its file in step by a worker has that one asked.
//! let engine = SyncEngine::new(Store::open(&path)?, HttpRemote::new(&remote)?, SyncOptions::default());
//! let (syncer, _events) = Syncer::start(engine, SyncerOptions::default())?;
//! let syncer = Arc::new(syncer);
//!
//! let asked = Arc::clone(&syncer);
//! let inspector =
//!     Inspector::of(Store::open(&path)?).author("ana").asks_for_syncs(move || asked.sync_now()).start()?;
//! // Whoever opens this address first is let in, and nobody else by it: it is for the web view.
//! assert!(inspector.address().starts_with("http://127.0.0.1:"));
//! # Ok(())
//! # }
//! ```
//!
//! It stands on what this library exports and nothing else, so that what is seen and decided here is what any app may see and
//! decide. A request comes through the [`guard`] first; then a page is made by a thread that may wait for SQLite, out of a store
//! of the [`desk`]; it is whole without script. What happens meanwhile is told by [`live`].
//!
//! | file | what it holds |
//! |---|---|
//! | `doors` | the port: how many at once, and for how long |
//! | `guard` | who may ask: secret, cookie, `Host`, `Origin`; the policy that goes with each answer |
//! | `desk` | the stores that pages are made of, and what a person may do |
//! | `syncing` | the sync that was asked for, and how far it has come |
//! | `live` | events to the pages that are open |
//! | `pages` | a file for each task; `frame` is around all of them |
//! | `show`, `entry` | values as they are read, and as they are typed |
//! | `assets` | one css, a page of script, and htmx |

mod desk;
mod doors;
mod entry;
mod guard;
mod live;
mod pages;
mod show;
mod syncing;

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, Form, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use futures_core::Stream;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::{Remote, Result, Store, SyncEngine};
use desk::Desk;
use doors::{Doors, Work};
use guard::Guard;
use pages::{Asked, Task};
use syncing::SyncNow;

/// What the page is to be like, until it is [started](InspectorOptions::start).
#[must_use = "nothing is served before `start`"]
pub struct InspectorOptions {
    store: Store,
    port: u16,
    author: Option<String>,
    is_read_only: bool,
    sync: SyncNow,
}

/// The page, served on 127.0.0.1 until this is dropped.
#[derive(Debug)]
pub struct Inspector {
    guard: Arc<Guard>,
    runtime: Option<Runtime>,
}

impl Inspector {
    /// A page about this file; further connections are opened as they are needed.
    pub fn of(store: Store) -> InspectorOptions {
        InspectorOptions { store, port: 0, author: None, is_read_only: false, sync: SyncNow::Nobody(None) }
    }

    /// Where it is opened: another address each time, which lets in whoever opens it first. Keep it from others until then.
    pub fn address(&self) -> String {
        self.guard.new_address()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.guard.port()
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not a plain drop: that would panic where the owner runs inside a runtime of its own.
            runtime.shutdown_background();
        }
    }
}

impl InspectorOptions {
    /// The port; default: a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Who decides, for the journal. Default: not told.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// Shows everything, and decides, edits and syncs nothing.
    pub fn read_only(mut self) -> Self {
        self.is_read_only = true;
        self
    }

    /// *Sync now* syncs by an engine that is made for it, over a connection of its own.
    pub fn syncs_by<R: Remote + Send + 'static>(
        mut self,
        engine: impl Fn(Store) -> Result<SyncEngine<R>> + Send + Sync + 'static,
    ) -> Self {
        self.sync = SyncNow::by(engine);
        self
    }

    /// *Sync now* asks somebody else, such as the app's own [`Syncer`](crate::Syncer): `move || syncer.sync_now()`.
    pub fn asks_for_syncs(mut self, ask: impl Fn() + Send + Sync + 'static) -> Self {
        self.sync = SyncNow::Asked(Arc::new(ask));
        self
    }

    /// There is no *Sync now*, and why, in words. So it is by default, without words.
    pub fn cannot_sync(mut self, why: impl Into<String>) -> Self {
        self.sync = SyncNow::Nobody(Some(why.into()));
        self
    }

    /// Begins to serve, on two threads of its own.
    ///
    /// # Errors
    /// When the port is taken, or the system gives no thread or no randomness.
    pub fn start(self) -> io::Result<Inspector> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(desk::MOST_AT_ONCE)
            .thread_name("tillsync-inspect")
            .enable_io()
            .enable_time()
            .build()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener =
            runtime.block_on(TcpListener::bind(address)).map_err(|error| named(address, &error))?;
        let guard = Arc::new(Guard::of(listener.local_addr()?.port())?);
        let desk = Arc::new(Desk::new(self.store, self.author, self.is_read_only, self.sync));
        let service = router(&guard, desk).into_make_service_with_connect_info::<Work>();
        runtime.spawn(async move {
            _ = axum::serve(Doors::at(listener), service).await;
        });
        Ok(Inspector { guard, runtime: Some(runtime) })
    }
}

impl std::fmt::Debug for InspectorOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InspectorOptions")
            .field("store", &self.store)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn named(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}

/// All addresses are one word behind the place of the page, so that each links to the others by that word.
fn router(guard: &Arc<Guard>, desk: Arc<Desk>) -> Router {
    let mut pages = Router::new();
    for task in Task::ALL {
        pages = pages.route(&format!("/{}", task.word()), page(task));
    }
    let within = pages
        .route("/pulse", get(pulse))
        .route("/live", get(live::events))
        .route("/sync", get(async || guard::see_other("syncs")).post(sync))
        .route("/icon.svg", get(async || asset("image/svg+xml", include_str!("assets/icon.svg"))))
        .route("/page.css", get(async || asset("text/css", include_str!("assets/page.css"))))
        .route("/page.js", get(async || asset("text/javascript", include_str!("assets/page.js"))))
        .route("/htmx.js", get(async || asset("text/javascript", include_str!("assets/htmx.min.js"))))
        .fallback(nowhere)
        .layer(middleware::from_fn(heard_whole))
        .with_state(desk);
    Router::new()
        .nest(guard.place().trim_end_matches('/'), within)
        .route(&format!("{}open", guard.place()), get(async || guard::opened()))
        .route("/page.css", get(async || outside("text/css", include_str!("assets/page.css"))))
        .route("/icon.svg", get(async || outside("image/svg+xml", include_str!("assets/icon.svg"))))
        .route("/favicon.ico", get(async || outside("image/svg+xml", include_str!("assets/icon.svg"))))
        .fallback(nowhere_at_all)
        .layer(middleware::from_fn_with_state(Arc::clone(guard), guard::let_in))
}

/// A page is asked for, or asked to do something; what was done is told on the page that is then shown.
fn page(task: Task) -> MethodRouter<Arc<Desk>> {
    let show = move |State(desk): State<Arc<Desk>>, Query(pairs): Query<Vec<(String, String)>>| {
        desk.answer(move |desk| pages::shown(desk, task, &Asked::new(pairs)))
    };
    let act = async move |State(desk): State<Arc<Desk>>, form: Sent| match form {
        Ok(Form(pairs)) => desk.answer(move |desk| pages::done(desk, task, &Asked::new(pairs))).await,
        Err(refused) => pages::unreadable(refused.into_response().status()),
    };
    get(show).post(act)
}

/// What a form brought.
type Sent = std::result::Result<Form<Vec<(String, String)>>, FormRejection>;

/// So much a form may bring.
const MOST_SENT: usize = 2 * 1024 * 1024;

/// From when all of it is said, whoever said it is the one who waits: another program may have the file.
async fn heard_whole(ConnectInfo(work): ConnectInfo<Work>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Some(body) = whole(body).await else { return pages::unreadable(StatusCode::PAYLOAD_TOO_LARGE) };
    let _at_work = work.begin();
    next.run(Request::from_parts(head, body.into())).await
}

/// All of it is taken in, also what is too much: a browser does not listen before it has said everything.
async fn whole(body: Body) -> Option<Vec<u8>> {
    let (mut parts, mut all, mut size) = (body.into_data_stream(), Vec::new(), 0_usize);
    while let Some(part) = poll_fn(|context| Pin::new(&mut parts).poll_next(context)).await {
        let part = part.ok()?;
        size += part.len();
        if size <= MOST_SENT {
            all.extend_from_slice(&part);
        }
    }
    (size <= MOST_SENT).then_some(all)
}

async fn pulse(State(desk): State<Arc<Desk>>, Query(pairs): Query<Vec<(String, String)>>) -> Response {
    desk.answer(move |desk| pages::pulse(desk, &Asked::new(pairs))).await
}

async fn sync(State(desk): State<Arc<Desk>>) -> Response {
    desk.answer(pages::sync_now).await
}

async fn nowhere(State(desk): State<Arc<Desk>>) -> Response {
    desk.answer(pages::nowhere).await
}

async fn nowhere_at_all() -> Response {
    guard::refused(StatusCode::NOT_FOUND, guard::NOWHERE, None)
}

/// It is of this build, and so of this place, which is another one each time.
fn asset(kind: &'static str, text: &'static str) -> Response {
    kept(kind, text, "private, max-age=86400")
}

/// What lies where that of another build may have lain, or will.
fn outside(kind: &'static str, text: &'static str) -> Response {
    kept(kind, text, "no-cache")
}

fn kept(kind: &'static str, text: &'static str, how_long: &'static str) -> Response {
    let kind = format!("{kind}; charset=utf-8");
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, how_long.to_owned())], text).into_response()
}
