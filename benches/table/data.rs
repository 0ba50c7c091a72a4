//! What the stations work on: pages of made-up customers, ready-made and compressed, files that were pulled from
//! them, and stores behind a [`Remote`] that costs nothing.
//!
//! The customers are the sandbox's: seeded, in several scripts, with empty and with long fields. Each page and each
//! file is made once in a run.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tillsync::sandbox::{RawRequest, Sandbox, SandboxOptions, StoreCore};
use tillsync::{
    Answer, CustomerId, Edit, Extent, HttpOptions, HttpRemote, PageAsk, Place, RateHeaders, Remote, Request,
    Store, SyncEngine, SyncOptions, Ticket, Trouble, parse_argument,
};

/// Customers on a page.
pub const PAGE: usize = 250;

/// How large everything is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The large store.
    pub big: usize,
    /// The small one.
    pub small: usize,
    /// Customers of a first pull, and of a large edit.
    pub pull: usize,
    /// Customers of a pull beside which somebody edits to its end.
    pub many: usize,
    /// Customers of the upload without latency.
    pub upload: usize,
    /// Rounds of what takes long.
    pub rounds: usize,
}

const FULL: Scale =
    Scale { big: 1_000_000, small: 10_000, pull: 100_000, many: 300_000, upload: 20_000, rounds: 5 };
const QUICK: Scale =
    Scale { big: 60_000, small: 10_000, pull: 20_000, many: 60_000, upload: 4_000, rounds: 3 };

/// The folder, the pages and the files of a run.
#[derive(Debug)]
pub struct World {
    pub scale: Scale,
    folder: TempDir,
    files: RefCell<BTreeMap<usize, PathBuf>>,
    copies: RefCell<usize>,
}

impl World {
    pub fn new(is_quick: bool) -> World {
        let folder = tempfile::Builder::new().prefix("tillsync-bench").tempdir().unwrap();
        let scale = if is_quick { QUICK } else { FULL };
        World { scale, folder, files: RefCell::default(), copies: RefCell::default() }
    }

    /// A path that nobody else has.
    pub fn fresh(&self, name: &str) -> PathBuf {
        *self.copies.borrow_mut() += 1;
        self.folder.path().join(format!("{}-{name}.db", self.copies.borrow()))
    }

    /// The file of ready-made pages, enough for `customers`.
    pub fn pages(&self, customers: usize) -> PathBuf {
        let Scale { pull, many, big, .. } = self.scale;
        let most = [pull, many].into_iter().find(|most| customers <= *most).unwrap_or(big);
        let path = self.folder.path().join(format!("{most}.pages"));
        if !path.exists() {
            write_pages(&path, most);
        }
        path
    }

    /// The file of a till that has pulled so many customers; not to be changed by anyone.
    pub fn pulled(&self, customers: usize) -> PathBuf {
        if let Some(path) = self.files.borrow().get(&customers) {
            return path.clone();
        }
        let path = self.folder.path().join(format!("pulled-{customers}.db"));
        let remote = PageRemote::new(&self.pages(customers), customers);
        let mut engine = SyncEngine::new(Store::open(&path).unwrap(), remote, options());
        engine.pull(Extent::Changes).unwrap();
        drop(engine);
        self.files.borrow_mut().insert(customers, path.clone());
        path
    }

    /// A copy of that file, to be changed.
    pub fn copy(&self, customers: usize) -> PathBuf {
        let path = self.fresh("copy");
        std::fs::copy(self.pulled(customers), &path).unwrap();
        path
    }

    /// A till's file with edits of `edited` customers, spread over all.
    pub fn edited(&self, customers: usize, edited: usize) -> PathBuf {
        let path = self.copy(customers);
        edit_some(&mut Store::open(&path).unwrap(), customers, edited, 0);
        path
    }
}

pub fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-sync", "-upgrade"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        _ = std::fs::remove_file(name);
    }
}

/// The options of a sync that is measured: as they are by default.
pub fn options() -> SyncOptions {
    SyncOptions::default()
}

/// The ids of the customers that the sandbox makes.
pub fn ids(customers: usize) -> Vec<i64> {
    let core = core(customers);
    core.ids().into_iter().map(i64::from).collect()
}

/// Edits of so many customers, spread over all: one or two attributes each.
pub fn edits(ids: &[i64], edited: usize, round: usize) -> Vec<(CustomerId, Vec<Edit>)> {
    let step = (ids.len() / edited).max(1);
    let edit = |id: i64, field: &str, value: &str| parse_argument(CustomerId(id), field, value).unwrap();
    let of = |place: usize, id: i64| match (place + round) % 5 {
        0 => vec![edit(id, "phone", &format!("+49 30 {round}{id}"))],
        1 => vec![edit(id, "notes", &format!("rings twice\nsince {round}"))],
        2 => vec![edit(id, "company", &format!("株式会社 {round}"))],
        3 => {
            vec![edit(id, "first_name", &format!("Анна {round}")), edit(id, "phone", &format!("{round} 555"))]
        }
        _ => vec![edit(id, "customer_group_id", &(10 + round % 50).to_string())],
    };
    let chosen = ids.iter().skip(round % step).step_by(step).take(edited).enumerate();
    chosen.map(|(place, id)| (CustomerId(*id), of(place, *id))).collect()
}

/// Journals those edits in one transaction.
pub fn edit_some(store: &mut Store, customers: usize, edited: usize, round: usize) {
    store.edit_all(&edits(&ids(customers), edited, round), None, Some("bench")).unwrap();
}

// ---- pages -----------------------------------------------------------------------------------------------------------

fn sandbox_options(customers: usize) -> SandboxOptions {
    SandboxOptions { customers, quota: u32::MAX, log_capacity: 0, ..SandboxOptions::default() }
}

/// A store without a network.
pub fn core(customers: usize) -> StoreCore {
    StoreCore::new(&sandbox_options(customers))
}

/// A store on loopback.
pub fn sandbox(customers: usize, latency_ms: u64) -> Sandbox {
    Sandbox::start(SandboxOptions { latency_ms, log_capacity: 10, ..sandbox_options(customers) }).unwrap()
}

/// A way to it.
pub fn http(url: String, store_hash: &str, token: &str) -> HttpRemote {
    HttpRemote::new(&HttpOptions { api_url: url, ..HttpOptions::new(store_hash, token) }).unwrap()
}

fn call(core: &mut StoreCore, now: DateTime<Utc>, method: &str, query: String, body: &str) -> Answer {
    let request = match method {
        "PUT" => RawRequest::put(core.customers_path(), body),
        _ => RawRequest::get(core.customers_path(), query),
    };
    let request = request
        .with_header("X-Auth-Token", core.token())
        .with_header("Content-Type", "application/json")
        .with_header("Accept", "application/json")
        .with_header("User-Agent", "bench/1");
    let response = core.handle(now, &request);
    let date = response.header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    Answer {
        status: response.status,
        rate: RateHeaders::default(),
        sends_to: None,
        date: date.map(|date| date.to_utc()),
        body: response.body,
    }
}

/// Compressed pages in a file, each behind its length.
fn write_pages(path: &Path, customers: usize) {
    let mut core = core(customers);
    let mut file = std::io::BufWriter::new(File::create(path).unwrap());
    let mut after: Option<String> = None;
    for _ in 0..customers / PAGE {
        let place = after.take().map_or(Place::Start, Place::After);
        let request = Request::Page(PageAsk { place, limit: PAGE, ..PageAsk::default() });
        let answer = call(&mut core, Utc::now(), "GET", request.query(), "");
        let text = String::from_utf8(answer.body).unwrap();
        let (_, cursor) = text.rsplit_once("\"end_cursor\":\"").unwrap();
        after = Some(cursor.split('"').next().unwrap().to_owned());
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        let packed = packer.finish().unwrap();
        file.write_all(&u32::try_from(packed.len()).unwrap().to_le_bytes()).unwrap();
        file.write_all(&packed).unwrap();
    }
    file.flush().unwrap();
}

const LAST_PAGE: &[u8] = b"{\"data\":[],\"meta\":{}}";

/// Unpacks page after page.
struct PageReader {
    file: BufReader<File>,
    left: usize,
}

impl PageReader {
    fn open(path: &Path, customers: usize) -> PageReader {
        PageReader { file: BufReader::new(File::open(path).unwrap()), left: customers / PAGE }
    }

    /// The next page; an empty one after the last.
    fn next(&mut self) -> Vec<u8> {
        if self.left == 0 {
            return LAST_PAGE.to_vec();
        }
        self.left -= 1;
        let mut length = [0; 4];
        self.file.read_exact(&mut length).unwrap();
        let mut packed = vec![0; u32::from_le_bytes(length) as usize];
        self.file.read_exact(&mut packed).unwrap();
        let mut body = Vec::with_capacity(packed.len() * 4);
        GzDecoder::new(&packed[..]).read_to_end(&mut body).unwrap();
        body
    }
}

/// Page after page, the next one unpacked on a thread of its own meanwhile: for floors.
pub fn unpacked(path: &Path, customers: usize) -> Receiver<Vec<u8>> {
    let mut reader = PageReader::open(path, customers);
    let (out, pages): (SyncSender<Vec<u8>>, _) = sync_channel(1);
    std::thread::spawn(move || {
        for _ in 0..customers / PAGE {
            if out.send(reader.next()).is_err() {
                return;
            }
        }
    });
    pages
}

/// Ready-made pages as a store: each is unpacked on a thread of its own, as [`HttpRemote`] does it.
#[derive(Debug)]
pub struct PageRemote {
    jobs: Sender<Ticket>,
    answers: Receiver<(Ticket, Answer)>,
    in_flight: usize,
}

impl PageRemote {
    pub fn new(path: &Path, customers: usize) -> PageRemote {
        let mut reader = PageReader::open(path, customers);
        let (jobs, inbox) = channel();
        let (outbox, answers) = channel();
        std::thread::spawn(move || {
            for ticket in inbox {
                let (body, date) = (reader.next(), Some(Utc::now()));
                let answer = Answer { status: 200, date, body, ..Answer::default() };
                if outbox.send((ticket, answer)).is_err() {
                    return;
                }
            }
        });
        PageRemote { jobs, answers, in_flight: 0 }
    }
}

impl Remote for PageRemote {
    fn start(&mut self, ticket: Ticket, _: Request) {
        self.in_flight += 1;
        self.jobs.send(ticket).unwrap();
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let answer = match wait {
            Some(wait) => self.answers.recv_timeout(wait).ok(),
            None if self.in_flight == 0 => None,
            None => self.answers.recv().ok(),
        };
        self.in_flight -= usize::from(answer.is_some());
        answer.map(|(ticket, answer)| (ticket, Ok(answer)))
    }
}

/// A store in this process that answers at once, and keeps account of the time that it takes.
#[derive(Debug)]
pub struct CoreRemote {
    pub core: StoreCore,
    /// The store's clock is ahead by so much. After a jump, a pull does not read again what it read a minute ago.
    pub ahead: TimeDelta,
    /// Time spent here since it was last set back.
    pub spent: Duration,
    /// When the first update left, and how much time was spent here until then.
    pub first_update: Option<(Instant, Duration)>,
    answers: VecDeque<(Ticket, Answer)>,
}

impl CoreRemote {
    pub fn new(core: StoreCore) -> CoreRemote {
        CoreRemote {
            core,
            ahead: TimeDelta::zero(),
            spent: Duration::ZERO,
            first_update: None,
            answers: VecDeque::new(),
        }
    }

    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.ahead
    }
}

impl Remote for CoreRemote {
    fn start(&mut self, ticket: Ticket, request: Request) {
        let began = Instant::now();
        if matches!(request, Request::Update { .. }) {
            self.first_update.get_or_insert((began, self.spent));
        }
        let now = self.now();
        let answer = call(&mut self.core, now, request.method(), request.query(), request.body());
        self.answers.push_back((ticket, answer));
        self.spent += began.elapsed();
    }

    fn next(&mut self, wait: Option<Duration>) -> Option<(Ticket, Result<Answer, Trouble>)> {
        let next = self.answers.pop_front();
        if next.is_none() {
            std::thread::sleep(wait.unwrap_or_default());
        }
        next.map(|(ticket, answer)| (ticket, Ok(answer)))
    }
}
