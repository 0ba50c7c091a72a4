//! One open till: its file, its way to the store, its worker. Every method may be called from any thread.
//!
//! Reads and edits share one connection, each for the instant that it takes. A sync has a connection of its own, as does
//! a wait for a receipt, so neither holds up an edit. Syncs of one till wait for each other.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Refusal, policies};
use crate::api::{HttpOptions, HttpProxy, HttpRemote, Roots, sendable};
use crate::engine::{Event, RETENTION_DAYS, Stopper, SyncEngine, SyncOptions, retention};
use crate::error::{Failure, Result};
use crate::fleet::FleetOptions;
use crate::flow::Policies;
use crate::key::Key;
use crate::log_file::{LogLevel, log_to};
use crate::store::{Fate, Receipt, Store, StoreOptions, kept_by};
use crate::syncer::{Events, Syncer, SyncerOptions};

/// In the place of a token where none is asked for yet.
const NO_TOKEN: &str = "not asked for yet";
/// How soon a wait notices that its till was closed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a sync may go on when its till is closed.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// What an app says when it opens a till. Unknown names are refused.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    api_url: Option<String>,
    store_hash: Option<String>,
    access_token: Option<String>,
    access_token_env: Option<String>,
    access_token_file: Option<PathBuf>,
    author: Option<String>,
    timeout_ms: Option<u64>,
    proxy: Option<String>,
    roots: Option<String>,
    fleet: Option<String>,
    wait_ms: Option<u64>,
    retention_days: Option<u32>,
    keep: Vec<String>,
    create: Option<bool>,
    policies: policies::Words,
    key: Option<String>,
    key_env: Option<String>,
    key_file: Option<PathBuf>,
    key_keyring: Option<String>,
    log_file: Option<PathBuf>,
    log_level: Option<String>,
}

impl Options {
    /// Before anything is opened: what that says is heard, too.
    fn start_log(&self, till: &Path) -> Result<(), Refusal> {
        let level = self.log_level.as_deref().map(LogLevel::from_str).transpose();
        let level = level.map_err(|e| Refusal::from(e).about_option("log_level"))?.unwrap_or_default();
        match &self.log_file {
            Some(file) => Ok(log_to(file, level, till)?),
            None if self.log_level.is_some() => {
                Err(Refusal::usage("log_level is given, and no log_file").about_option("log_file"))
            }
            None => Ok(()),
        }
    }
}

/// What an app says when it starts the worker.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WorkerOptions {
    every_ms: Option<u64>,
    latest_ms: Option<u64>,
    full_every_ms: Option<u64>,
    debounce_ms: Option<u64>,
    patience_ms: Option<u64>,
    retry_base_ms: Option<u64>,
    retry_cap_ms: Option<u64>,
    look_ms: Option<u64>,
    waiting_long_ms: Option<u64>,
    events: Option<usize>,
}

/// The way to the store.
struct Way {
    api_url: Option<String>,
    store_hash: Option<String>,
    token: Token,
    timeout: Option<Duration>,
    proxy: HttpProxy,
    roots: Roots,
    fleet: Option<SecretString>,
    wait: Duration,
    retention: Option<Duration>,
    keep: Vec<String>,
}

enum Token {
    Given(SecretString),
    Environment(String),
    File(PathBuf),
    None,
}

/// An open till.
pub(crate) struct Till {
    path: PathBuf,
    key: Option<Key>,
    author: Option<String>,
    policies: Policies,
    way: Way,
    store: Mutex<Store>,
    engine: Mutex<Option<SyncEngine<HttpRemote>>>,
    stopper: OnceLock<Stopper>,
    worker: Mutex<Worker>,
    #[cfg(feature = "ffi")]
    desk: super::query::Desk,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Worker {
    syncer: Option<Syncer>,
    /// Outlives the worker: what it had to say can still be read.
    events: Option<Events>,
}

/// What panicked left nothing half done: a transaction is undone when it is dropped.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse<T: Default + DeserializeOwned>(what: &str, json: Option<&str>) -> Result<T, Refusal> {
    match json.map(str::trim).filter(|json| !json.is_empty()) {
        None => Ok(T::default()),
        // Serde reads a struct from a list too.
        Some(json) if json.starts_with('[') => Err(Refusal::usage(format!("{what}: must be an object"))),
        Some(json) => serde_json::from_str(json).map_err(|e| Refusal::object::<T>(what, json, &e)),
    }
}

impl Till {
    pub(super) fn open(path: &str, options: Option<&str>) -> Result<Till, Refusal> {
        let mut options: Options = parse("the options", options)?;
        if path.is_empty() {
            return Err(Refusal::usage("the path is empty"));
        }
        options.start_log(Path::new(path))?;
        let key = key(&mut options)?;
        let create = options.create.unwrap_or(true);
        let (author, policies) = (options.author.take(), std::mem::take(&mut options.policies).into());
        let way = Way::of(options)?;
        let named = way.check()?;
        let store = Store::open_with(path, StoreOptions { create, anew: false, key: key.clone() })?;
        if let Some(store_hash) = named {
            store.refuse_other_store(&store_hash)?;
        }
        Ok(Till {
            path: PathBuf::from(path),
            key,
            author,
            policies,
            way,
            store: Mutex::new(store),
            engine: Mutex::default(),
            stopper: OnceLock::new(),
            worker: Mutex::default(),
            #[cfg(feature = "ffi")]
            desk: super::query::Desk::default(),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Refuses to go on when the app has opened the file by other means in this process, or when it is not there any more.
    pub(super) fn refuse_company(&self) -> Result<()> {
        self.store().refuse_company()
    }

    #[cfg(feature = "ffi")]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    #[cfg(feature = "ffi")]
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// The connection that reads and edits, for an instant.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    /// Who edits, if the app did not say otherwise.
    pub(super) fn author(&self) -> Option<&str> {
        self.author.as_deref()
    }

    /// The app's own connection, for its SQL.
    #[cfg(feature = "ffi")]
    pub(super) fn desk(&self) -> &super::query::Desk {
        &self.desk
    }

    /// Refuses to wait for a transaction that waits for the answer: the one that this thread has open on the desk.
    pub(super) fn refuse_to_wait_for_oneself(&self) -> Result<(), Refusal> {
        #[cfg(feature = "ffi")]
        {
            if self.desk.is_in_the_way() {
                return Err(Refusal::in_transaction());
            }
            self.desk.end_abandoned();
        }
        Ok(())
    }

    /// What waited in vain for a transaction of this very process is told so.
    pub(super) fn naming_transaction(&self, refusal: Refusal) -> Refusal {
        #[cfg(feature = "ffi")]
        if refusal.is_locked() && self.desk.is_anothers() {
            return crate::Error::from(Failure::LeftOpen(self.path.clone())).into();
        }
        refusal
    }

    /// A connection of its own: whoever takes long holds up nobody.
    pub(super) fn another_store(&self) -> Result<Store> {
        Store::open_with(&self.path, StoreOptions { create: false, anew: false, key: self.key.clone() })
    }

    /// A sync of some kind, on this thread.
    pub(super) fn with_engine<T>(
        &self,
        work: impl FnOnce(&mut SyncEngine<HttpRemote>) -> Result<T>,
    ) -> Result<T, Refusal> {
        let mut engine = lock(&self.engine);
        let engine = match &mut *engine {
            Some(engine) => engine,
            none => {
                let mut made = self.engine()?;
                _ = self.stopper.set(made.stopper());
                none.insert(made)
            }
        };
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(crate::Error::from(Failure::Stopped).into());
        }
        Ok(work(engine)?)
    }

    fn engine(&self) -> Result<SyncEngine<HttpRemote>, Refusal> {
        let mut store = self.another_store()?;
        let options = self.way.http(&store)?;
        let remote = HttpRemote::new(&options)?;
        let fleet = self.way.fleet(&options);
        store.bind_store(&options.store_hash)?;
        let (policies, keep) = (self.policies.clone(), self.way.keep.clone());
        let Way { wait, retention, .. } = self.way;
        let options = SyncOptions { policies, wait, retention, keep, ..SyncOptions::default() };
        let engine = SyncEngine::new(store, remote, options);
        Ok(match fleet {
            Some(fleet) => engine.in_fleet(fleet.join()?),
            None => engine,
        })
    }

    /// What became of the edits of a receipt, at most `timeout` later.
    pub(super) fn wait(&self, receipt: &Receipt, timeout: Duration) -> Result<Fate> {
        let store = self.another_store()?;
        let began = Instant::now();
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            let fate = store.wait(receipt, left.min(LOOK_AGAIN))?;
            if fate != Fate::Pending || left <= LOOK_AGAIN {
                return Ok(fate);
            }
            if self.is_closed.load(Ordering::SeqCst) {
                return Err(Failure::Stopped.into());
            }
        }
    }

    // ---- the worker --------------------------------------------------------------------------------------------------

    /// Starts the worker of this till.
    pub(crate) fn start(&self, options: Option<&str>) -> Result<(), Refusal> {
        let options: WorkerOptions = parse("the worker's options", options)?;
        self.refuse_to_wait_for_oneself()?;
        let mut worker = lock(&self.worker);
        if worker.syncer.is_some() {
            return Err(Refusal::usage("the worker of this till runs already"));
        }
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(crate::Error::from(Failure::Stopped).into());
        }
        let (syncer, events) = Syncer::start(self.engine()?, options.into())?;
        *worker = Worker { syncer: Some(syncer), events: Some(events) };
        Ok(())
    }

    /// Stops the worker; says whether a sync that ran came to its end.
    pub(crate) fn stop(&self, within: Duration) -> Result<bool, Refusal> {
        self.refuse_to_wait_for_oneself()?;
        let syncer = lock(&self.worker).syncer.take();
        Ok(syncer.ok_or_else(Refusal::no_worker)?.stop(within))
    }

    /// The next event; none when the time is over before one came.
    pub(crate) fn next_event(&self, timeout: Duration) -> Result<Option<Event>, Refusal> {
        let events = lock(&self.worker).events.clone().ok_or_else(Refusal::no_worker)?;
        match events.next(timeout) {
            None if lock(&self.worker).syncer.is_none() => Err(Refusal::no_worker()),
            event => Ok(event),
        }
    }

    /// Tells the worker something.
    pub(super) fn tell_worker<T>(&self, tell: impl FnOnce(&Syncer) -> T) -> Result<T, Refusal> {
        lock(&self.worker).syncer.as_ref().map(tell).ok_or_else(Refusal::no_worker)
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        #[cfg(feature = "ffi")]
        self.desk.close();
        if let Some(stopper) = self.stopper.get() {
            stopper.stop();
        }
        let syncer = lock(&self.worker).syncer.take();
        if let Some(syncer) = syncer {
            syncer.stop(CLOSE_WITHIN);
        }
    }
}

impl Way {
    fn of(options: Options) -> Result<Way, Refusal> {
        let token = match (options.access_token, options.access_token_env, options.access_token_file) {
            (None, None, None) => Token::None,
            (Some(token), None, None) => Token::Given(token.into()),
            (None, Some(name), None) => Token::Environment(name),
            (None, None, Some(path)) => Token::File(path),
            _ => {
                return Err(Refusal::usage(
                    "give one of access_token, access_token_env and access_token_file",
                ));
            }
        };
        Ok(Way {
            api_url: options.api_url,
            store_hash: options.store_hash,
            token,
            timeout: options.timeout_ms.map(Duration::from_millis),
            proxy: options.proxy.map_or(HttpProxy::default(), |text| text.parse().unwrap_or_default()),
            roots: options.roots.map_or(Roots::default(), |text| text.parse().unwrap_or_default()),
            fleet: options.fleet.map(SecretString::from),
            wait: Duration::from_millis(options.wait_ms.unwrap_or(0)),
            retention: retention(options.retention_days.unwrap_or(RETENTION_DAYS)),
            keep: options.keep,
        })
    }

    /// Whether what was given of the way to the store can be one: found out before the file is made, and not by the first sync.
    /// Returns the store hash, if one is named.
    fn check(&self) -> Result<Option<String>, Refusal> {
        let usual = || HttpOptions::new("", NO_TOKEN);
        let api_url = self.api_url.clone().unwrap_or_else(|| usual().api_url);
        let store_hash = self.store_hash.clone().unwrap_or_default();
        for (name, alone) in [
            ("api_url", HttpOptions { api_url: api_url.clone(), ..usual() }),
            ("store_hash", HttpOptions { store_hash: store_hash.clone(), ..usual() }),
            ("proxy", HttpOptions { proxy: self.proxy.clone(), ..usual() }),
            ("roots", HttpOptions { roots: self.roots.clone(), ..usual() }),
        ] {
            hash_of(alone).map_err(|e| Refusal::from(e).about_option(name))?;
        }
        // Each can be, and together they may name two stores.
        let named = hash_of(HttpOptions { api_url, store_hash, ..usual() })?;
        let hash = named.clone().unwrap_or_else(|| "any".to_owned());
        if let Some(fleet) =
            self.fleet(&HttpOptions { roots: self.roots.clone(), ..HttpOptions::new(hash, NO_TOKEN) })
        {
            fleet.join().map_err(about_fleet)?;
        }
        self.refuse_empty()?;
        self.keep.iter().try_for_each(|what| kept_by(what).map(drop)).map_err(about_keep)?;
        Ok(named)
    }

    /// What is given and can be none is found out by whoever sets the till up, and not in the first sync. A variable that is not set, or
    /// a file that is not there, is told by the sync that needs it: until then the till sells.
    fn refuse_empty(&self) -> Result<(), Refusal> {
        if self.store_hash.as_deref().is_some_and(|hash| hash.trim().is_empty()) {
            return Err(Refusal::usage("store_hash is empty").about_option("store_hash"));
        }
        match &self.token {
            Token::Given(_) => self.token().map(drop).map_err(|refusal| refusal.about_option("access_token")),
            Token::Environment(_) | Token::File(_) | Token::None => Ok(()),
        }
    }

    /// Where the other tills of the store are, if that is said.
    fn fleet(&self, http: &HttpOptions) -> Option<FleetOptions> {
        self.fleet.clone().map(|url| FleetOptions::beside(url, http))
    }

    fn http(&self, store: &Store) -> Result<HttpOptions, Refusal> {
        let recorded = store.store_hash()?;
        let usual = HttpOptions::new(self.store_hash.clone().unwrap_or_default(), self.token()?);
        let options = HttpOptions {
            api_url: self.api_url.clone().unwrap_or(usual.api_url),
            timeout: self.timeout.unwrap_or(usual.timeout),
            proxy: self.proxy.clone(),
            roots: self.roots.clone(),
            ..usual
        };
        let mut options = options.settled()?;
        if options.store_hash.is_empty() {
            options.store_hash = recorded.ok_or_else(no_store_hash)?;
        }
        Ok(options)
    }

    fn token(&self) -> Result<SecretString, Refusal> {
        match &self.token {
            Token::Given(token) => Ok(sendable(token.expose_secret(), "access_token")?),
            Token::Environment(name) => {
                let no_token =
                    |_| Refusal::usage(format!("the environment has no {name} with an access token"));
                let text = std::env::var(name).map_err(no_token)?;
                Ok(sendable(&text, &format!("{name} of the environment"))?)
            }
            Token::File(path) => {
                let named = format!("access_token_file {}", path.display());
                let text =
                    std::fs::read_to_string(path).map_err(|e| Refusal::usage(format!("{named}: {e}")))?;
                Ok(sendable(&text, &named)?)
            }
            Token::None => Err(Refusal::usage(
                "no access token was given: open the till with access_token, access_token_env or access_token_file",
            )),
        }
    }
}

/// The key that the options give or name; none: the file is plain.
fn key(options: &mut Options) -> Result<Option<Key>, Refusal> {
    let given =
        (options.key.take(), options.key_env.take(), options.key_file.take(), options.key_keyring.take());
    Ok(Some(match given {
        (None, None, None, None) => return Ok(None),
        (Some(text), None, None, None) => Key::parse(text)?,
        (None, Some(name), None, None) => Key::from_env(&name)?,
        (None, None, Some(path), None) => Key::from_file(path)?,
        (None, None, None, Some(entry)) => match entry.split_once('/') {
            Some((service, user)) => Key::from_keyring(service, user)?,
            None => return Err(Refusal::usage("key_keyring is SERVICE/USER")),
        },
        _ => return Err(Refusal::usage("give one of key, key_env, key_file and key_keyring")),
    }))
}

fn about_fleet(error: crate::Error) -> Refusal {
    Refusal::from(error).about_option("fleet")
}

fn about_keep(error: crate::Error) -> Refusal {
    Refusal::from(error).about_option("keep")
}

fn no_store_hash() -> Refusal {
    Refusal::usage("no store is named, and the file records none: open the till with store_hash")
}

impl From<WorkerOptions> for SyncerOptions {
    fn from(options: WorkerOptions) -> SyncerOptions {
        let usual = SyncerOptions::default();
        let or = |given: Option<u64>, usual| given.map_or(usual, Duration::from_millis);
        SyncerOptions {
            every: or(options.every_ms, usual.every),
            latest: or(options.latest_ms, usual.latest),
            full_every: options
                .full_every_ms
                .map_or(usual.full_every, |ms| (ms > 0).then(|| Duration::from_millis(ms))),
            debounce: or(options.debounce_ms, usual.debounce),
            patience: or(options.patience_ms, usual.patience),
            retry_base: or(options.retry_base_ms, usual.retry_base),
            retry_cap: or(options.retry_cap_ms, usual.retry_cap),
            look: or(options.look_ms, usual.look),
            waiting_long: or(options.waiting_long_ms, usual.waiting_long),
            events: options.events.unwrap_or(usual.events),
            ..usual
        }
    }
}

/// The store hash that a way to the store names, if it names one; refused when it can be no way.
fn hash_of(options: HttpOptions) -> crate::error::Result<Option<String>> {
    let settled = options.settled()?;
    let named = Some(settled.store_hash.clone()).filter(|hash| !hash.is_empty());
    HttpOptions { store_hash: named.clone().unwrap_or_else(|| "any".to_owned()), ..settled }.check()?;
    Ok(named)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test fail as a test does")]

    use super::*;

    #[test]
    fn what_cannot_be_the_way_to_the_store_is_refused_when_the_till_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let open = |options: &str| Till::open(path.to_str().unwrap(), Some(options)).map(|_| ());
        let refused = |options: &str| open(options).err().unwrap().tell();
        for (options, field) in [
            (r#"{"api_url":"http://example.com"}"#, Some("api_url")),
            (r#"{"api_url":"example","store_hash":"abc123"}"#, Some("api_url")),
            (r#"{"store_hash":"a b"}"#, Some("store_hash")),
            (r#"{"api_url":"https://api.bigcommerce.com/stores/abc123/v3","store_hash":"other1"}"#, None),
            (r#"{"timeout_ms":"long"}"#, Some("timeout_ms")),
            (r#"{"proxy":"socks5://127.0.0.1:1"}"#, Some("proxy")),
            (r#"{"proxy":"http://"}"#, Some("proxy")),
            (r#"{"roots":"/no/such/file.pem"}"#, Some("roots")),
            (r#"{"log_file":"till.log","log_level":"loud"}"#, Some("log_level")),
            (r#"{"log_level":"debug"}"#, Some("log_file")),
            (r#"{"access_token":"one","access_token_env":"OTHER"}"#, None),
            (r#"{"access_token_env":"ONE","access_token_file":"other"}"#, None),
        ] {
            let said: serde_json::Value = serde_json::from_str(&refused(options)).unwrap();
            let (code, named) = (said["error"]["code"].as_str(), said["error"]["field"].as_str());
            assert_eq!((code, named), (Some("usage"), field), "{options}: {said}");
            assert!(!path.exists(), "{options}: nothing is made");
        }
        open(r#"{"store_hash":"abc123"}"#).unwrap();
        let mut store = Store::open(&path).unwrap();
        store.bind_store("abc123").unwrap();
        open(r#"{"store_hash":"mistyped1"}"#).unwrap();
        store.set_state("last_pull_at", Some("2026-01-01T00:00:00.000Z")).unwrap();
        let said = refused(r#"{"store_hash":"other1"}"#);
        assert!(said.contains("wrong_store") && said.contains("abc123") && said.contains("other1"), "{said}");
        open(r#"{"api_url":"https://api.bigcommerce.com/stores/abc123/v3/"}"#).unwrap();
        open("{}").unwrap();
    }

    #[test]
    fn what_can_be_no_way_to_the_store_is_named_when_the_till_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        for (options, words, field) in [
            ("[]".to_owned(), "the options: must be an object", None),
            (r#"{"access_token":""}"#.to_owned(), "access_token is empty", Some("access_token")),
            (r#"{"access_token":"hunter2\nx"}"#.to_owned(), "in no access token", Some("access_token")),
            (r#"{"store_hash":" "}"#.to_owned(), "store_hash is empty", Some("store_hash")),
        ] {
            let refused = Till::open(path.to_str().unwrap(), Some(&options)).err().unwrap().tell();
            let said: serde_json::Value = serde_json::from_str(&refused).unwrap();
            let said = &said["error"];
            assert!(said["message"].as_str().unwrap().contains(words), "{options}: {said}");
            assert_eq!((said["code"].as_str(), said["field"].as_str()), (Some("usage"), field), "{options}");
            assert!(!refused.contains("hunter2") && !path.exists(), "{options}: {refused}");
        }
        // What may be missing for a while keeps nobody from selling.
        for options in [r#"{"access_token_env":"TILLSYNC_NOBODY"}"#, r#"{"access_token_file":"/none/token"}"#]
        {
            Till::open(path.to_str().unwrap(), Some(options)).unwrap();
        }
    }

    /// Files and variables end with one more often than not. The environment is this process's own: the test runs again in another.
    #[test]
    fn a_line_end_behind_a_token_is_none_of_it() {
        const VARIABLE: &str = "TILLSYNC_TOKEN_OF_A_TEST";
        if std::env::var_os(VARIABLE).is_none() {
            let mut itself = std::process::Command::new(std::env::current_exe().unwrap());
            itself.args(["--exact", "embed::till::tests::a_line_end_behind_a_token_is_none_of_it"]);
            let ran = itself.env(VARIABLE, "token\n").output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "token\r\n").unwrap();
        let of_environment = Options { access_token_env: Some(VARIABLE.to_owned()), ..Options::default() };
        let of_file = Options { access_token_file: Some(file), ..Options::default() };
        let given = Options { access_token: Some("token\n".to_owned()), ..Options::default() };
        for options in [of_environment, of_file, given] {
            let way = Way::of(options).unwrap();
            way.check().unwrap();
            assert_eq!(way.token().unwrap().expose_secret(), "token");
        }
    }

    #[test]
    fn what_can_be_no_fleet_is_named_when_the_till_is_opened_and_its_password_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let open = |options: &str| Till::open(path.to_str().unwrap(), Some(options)).map(drop);
        let said = open(r#"{"fleet":"http://:hunter2@example.com"}"#).unwrap_err().tell();
        assert!(said.contains(r#""field":"fleet""#) && !said.contains("hunter2") && !path.exists(), "{said}");
        let fine = open(r#"{"fleet":"redis://:hunter2@fleet.example.com"}"#);
        match cfg!(feature = "fleet") {
            true => fine.unwrap(),
            false => assert!(fine.unwrap_err().tell().contains("not_built_in")),
        }
    }

    #[test]
    fn what_no_file_can_keep_is_named_when_the_till_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        let open = |options: &str| Till::open(path.to_str().unwrap(), Some(options)).map(drop);
        let said = open(r#"{"keep":["attributes","atributes"]}"#).unwrap_err().tell();
        assert!(said.contains("a file cannot keep") && said.contains(r#""field":"keep""#), "{said}");
        assert!(said.contains("it may keep addresses, attributes") && !path.exists(), "{said}");
        open(r#"{"keep":["attributes"]}"#).unwrap();
    }

    #[test]
    fn customers_are_deleted_through_the_c_interface() {
        let folder = tempfile::tempdir().unwrap();
        let till = Till::open(folder.path().join("till.db").to_str().unwrap(), None).unwrap();
        let asked = |request: &str| match super::super::call::answer(&till, request) {
            Ok(answer) => answer,
            Err(refusal) => refusal.tell(),
        };
        let new = r#"{"command":"new","fields":{"email":"ana@example.com","first_name":"Ana","last_name":"Reyes"}}"#;
        assert!(asked(new).contains(r#""created":[-1]"#));
        let deleted = asked(r#"{"command":"delete","ids":[-1,-1],"label":"asked for it"}"#);
        assert!(deleted.starts_with(r#"{"deleted":1,"receipt":{"#), "{deleted}");
        assert!(asked(r#"{"command":"log","id":-1}"#).contains(r#""op":"delete""#));
        assert!(asked(r#"{"command":"delete","ids":[42]}"#).contains("unknown_customer"));
        assert!(asked(r#"{"command":"delete"}"#).contains("usage"));
        assert!(asked(r#"{"command":"sync","allow_deletion":3}"#).contains("usage"));
    }

    /// What waits in that one is in no other file: also where nobody has said a word about making one.
    #[test]
    fn a_till_that_was_moved_away_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("till.db");
        std::fs::write(folder.path().join("till.db-life"), "1 1 1 sent\n").unwrap();
        for options in ["{}", r#"{"create":true}"#] {
            let refused = Till::open(path.to_str().unwrap(), Some(options)).err().unwrap().tell();
            assert!(refused.contains("was moved or deleted") && !path.exists(), "{options}: {refused}");
        }
    }
}
