//! Flags, environment and defaults, the same for every command; and what they open: the file, and the way to the store.
//!
//! The access token and the file's key have no flag, because arguments show in `ps`. They are read when they are needed
//! and never printed.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use tillsync::fleet::FleetOptions;
use tillsync::{
    HttpOptions, HttpProxy, HttpRemote, Key, Policies, RETENTION_DAYS, Roots, SecretString, Store,
    StoreOptions, SyncEngine, SyncOptions, retention,
};

use super::exit::Failed;
use super::out::{Colour, Out};
use super::progress::Bar;
use super::sync::HAS_LEFT;

/// The longest that a flag of seconds may say: a day.
const MOST_SECONDS: u64 = 86_400;
/// The longest retention: more than anybody will live to see.
const MOST_DAYS: i64 = 100_000;
const TOKEN: &str = "BIGCOMMERCE_ACCESS_TOKEN";
const KEY: &str = "TILLSYNC_KEY";

#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
pub(super) struct Settings {
    /// The database file
    #[arg(long, global = true, value_name = "PATH", env = "TILLSYNC_DB", hide_env_values = true)]
    #[arg(default_value = "till.db")]
    db: PathBuf,

    /// Where the API is; plain http for loopback addresses only
    #[arg(long, global = true, value_name = "URL", env = "TILLSYNC_API_URL", hide_env_values = true)]
    #[arg(default_value = "https://api.bigcommerce.com")]
    api_url: String,

    /// The store; default: the one recorded in the database
    #[arg(long, global = true, value_name = "HASH", env = "BIGCOMMERCE_STORE_HASH", hide_env_values = true)]
    store_hash: Option<String>,

    /// A file with the access token, in place of BIGCOMMERCE_ACCESS_TOKEN
    #[arg(long, global = true, value_name = "PATH")]
    token_file: Option<PathBuf>,

    /// The environment variable with the key of an encrypted database; default: TILLSYNC_KEY
    #[arg(long, global = true, value_name = "NAME", group = "key")]
    key_env: Option<String>,

    /// A file with the key
    #[arg(long, global = true, value_name = "PATH", group = "key")]
    key_file: Option<PathBuf>,

    /// An entry of the operating system's keyring with the key
    #[arg(long, global = true, value_name = "SERVICE/USER", group = "key")]
    key_keyring: Option<KeyringEntry>,

    /// Who edits, for the journal; default: the host's name
    #[arg(long, global = true, value_name = "NAME", env = "TILLSYNC_AUTHOR", hide_env_values = true)]
    author: Option<String>,

    /// For one request, in all; connecting may take a third of it
    #[arg(long, global = true, value_name = "SECONDS", env = "TILLSYNC_TIMEOUT", hide_env_values = true)]
    #[arg(default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=MOST_SECONDS))]
    timeout: u64,

    /// A proxy, or none; default: as the environment says (ALL_PROXY, HTTPS_PROXY, NO_PROXY). Never for loopback addresses.
    /// One with a password belongs into TILLSYNC_PROXY
    #[arg(long, global = true, value_name = "URL|none", env = "TILLSYNC_PROXY", hide_env_values = true)]
    proxy: Option<HttpProxy>,

    /// Who may sign the certificate of the store, and of the fleet's server: the authorities of the system, those that are built in,
    /// or those in a file of PEM
    #[arg(
        long,
        global = true,
        value_name = "system|built-in|PATH",
        env = "TILLSYNC_ROOTS",
        hide_env_values = true
    )]
    roots: Option<Roots>,

    /// Where the other tills of the store are, which share its quota: redis://… or rediss://…; default: nowhere. One with a
    /// password belongs into TILLSYNC_FLEET
    #[arg(long, global = true, value_name = "URL", env = "TILLSYNC_FLEET", hide_env_values = true)]
    #[arg(value_parser = secret)]
    fleet: Option<SecretString>,

    /// How long to wait for another sync, or worker, of the same file to end
    #[arg(long, global = true, value_name = "SECONDS")]
    #[arg(default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=MOST_SECONDS))]
    wait: u64,

    /// How long the journal keeps what has settled; 0: for ever. A sync removes what is older, a little each
    #[arg(long, global = true, value_name = "DAYS", env = "TILLSYNC_RETENTION", hide_env_values = true)]
    #[arg(default_value_t = RETENTION_DAYS, value_parser = clap::value_parser!(u32).range(..=MOST_DAYS))]
    retention: u32,

    /// When to use colours; auto: on a terminal, unless NO_COLOR or CLICOLOR=0 is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    #[allow(dead_code, reason = "looked for before the arguments are read, whose mistakes are coloured too")]
    color: Colour,

    /// Print one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    json: bool,
}

/// It is looked at by whoever needs it: what clap refuses, it repeats.
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.trim().into())
}

/// An entry of the keyring, as `SERVICE/USER`.
#[derive(Clone, Debug)]
pub(super) struct KeyringEntry {
    service: String,
    user: String,
}

impl FromStr for KeyringEntry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<KeyringEntry, &'static str> {
        match text.split_once('/') {
            Some((service, user)) if !service.is_empty() && !user.is_empty() => {
                Ok(KeyringEntry { service: service.to_owned(), user: user.to_owned() })
            }
            _ => Err("it is SERVICE/USER"),
        }
    }
}

/// Another key, for a command that gives one.
#[derive(Args, Debug)]
pub(super) struct NewKey {
    /// The environment variable with the new key
    #[arg(long, value_name = "NAME", group = "new_key")]
    new_key_env: Option<String>,

    /// A file with the new key
    #[arg(long, value_name = "PATH", group = "new_key")]
    new_key_file: Option<PathBuf>,

    /// An entry of the operating system's keyring with the new key
    #[arg(long, value_name = "SERVICE/USER", group = "new_key")]
    new_key_keyring: Option<KeyringEntry>,
}

impl NewKey {
    /// Where one is named.
    pub(super) fn read(&self) -> Result<Option<Key>, Failed> {
        let NewKey { new_key_env, new_key_file, new_key_keyring } = self;
        Ok(key(new_key_env.as_deref(), new_key_file.as_deref(), new_key_keyring.as_ref())?)
    }
}

/// The key that one of three flags names.
fn key(
    env: Option<&str>,
    file: Option<&Path>,
    keyring: Option<&KeyringEntry>,
) -> tillsync::Result<Option<Key>> {
    match (env, file, keyring) {
        (Some(name), _, _) => Key::from_env(name),
        (_, Some(path), _) => Key::from_file(path),
        (_, _, Some(entry)) => Key::from_keyring(&entry.service, &entry.user),
        (None, None, None) => return Ok(None),
    }
    .map(Some)
}

/// Whether a command may make the database file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    /// Also where a till was that has left.
    Begin,
    Refuse,
}

/// A till as the settings describe it.
#[derive(Debug)]
pub(super) struct Till {
    settings: Settings,
    pub(super) out: Out,
}

impl Till {
    pub(super) fn new(settings: Settings) -> Till {
        let out = Out::new(settings.json);
        Till { settings, out }
    }

    /// The database file.
    pub(super) fn path(&self) -> &Path {
        &self.settings.db
    }

    /// What stands for the API.
    pub(super) fn api_url(&self) -> &str {
        &self.settings.api_url
    }

    /// The till's file, which must be there.
    pub(super) fn store(&self) -> Result<Store, Failed> {
        self.open(Missing::Refuse)
    }

    /// An empty till, where there is no file.
    pub(super) fn create(&self) -> Result<Store, Failed> {
        self.open(Missing::Begin)
    }

    fn open(&self, missing: Missing) -> Result<Store, Failed> {
        let (create, anew) = (missing != Missing::Refuse, missing == Missing::Begin);
        let options = StoreOptions { create, anew, key: self.key()? };
        Store::open_with(self.path(), options).map_err(|error| match Failed::from(error) {
            failed if failed.code() == "not_there" && tillsync::system::has_left(self.path()) => {
                failed.hint(HAS_LEFT)
            }
            failed => failed,
        })
    }

    /// The key of the file, when it has one. A variable that is set and empty is a mistake, and no plain file.
    pub(super) fn key(&self) -> Result<Option<Key>, Failed> {
        let Settings { key_env, key_file, key_keyring, .. } = &self.settings;
        match key(key_env.as_deref(), key_file.as_deref(), key_keyring.as_ref())? {
            None if std::env::var_os(KEY).is_some() => Ok(Some(Key::from_env(KEY)?)),
            key => Ok(key),
        }
    }

    /// The settings as somebody who helps may know them: none that says who or where, and no secret.
    pub(super) fn told(&self) -> serde_json::Value {
        let Settings { key_env, key_file, key_keyring, token_file, timeout, wait, retention, json, .. } =
            &self.settings;
        let is_usual = self.settings.api_url == HttpOptions::new("", SecretString::from("")).api_url;
        let token = match token_file {
            Some(_) => "a file",
            None if std::env::var_os(TOKEN).is_some() => "the environment",
            None => "none",
        };
        let key = match (key_env, key_file, key_keyring) {
            (None, None, None) if std::env::var_os(KEY).is_some() => "the environment",
            (None, None, None) => "none",
            (Some(_), ..) => "the environment",
            (_, Some(_), _) => "a file",
            _ => "a keyring",
        };
        serde_json::json!({
            "api_url_is_usual": is_usual,
            "store_hash_is_given": self.settings.store_hash.is_some(),
            "token_from": token,
            "key_from": key,
            "timeout_s": timeout,
            "wait_s": wait,
            "retention_days": retention,
            "fleet_is_given": self.settings.fleet.is_some(),
            "json": json,
        })
    }

    /// Who edits, if anybody has said so.
    pub(super) fn named_author(&self) -> Option<String> {
        self.settings.author.clone().filter(|name| !name.trim().is_empty())
    }

    /// Who edits.
    pub(super) fn author(&self) -> String {
        self.named_author().unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned())
    }

    /// How long to wait for others to be done with the file.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.settings.wait)
    }

    /// An engine that holds everything for a person, and moves a bar.
    pub(super) fn engine(&self, missing: Missing, bar: &Bar) -> Result<SyncEngine<HttpRemote>, Failed> {
        Ok(self.engine_with(missing, Policies::default())?.on_progress(bar.listener()))
    }

    /// An engine for this till and its store. The file is made only after everything else was found in order, and is
    /// bound to the store from then on.
    pub(super) fn engine_with(
        &self,
        missing: Missing,
        policies: Policies,
    ) -> Result<SyncEngine<HttpRemote>, Failed> {
        let there = match self.store() {
            Err(failed) if missing == Missing::Make && failed.code() == "not_there" => None,
            there => Some(there?),
        };
        let options = self.http(there.as_ref())?;
        let (remote, fleet) = (HttpRemote::new(&options)?, self.fleet(&options));
        let fleet = fleet.map(|fleet| fleet.join()).transpose()?;
        let mut store = there.map_or_else(|| self.open(missing), Ok)?;
        store.bind_store(&options.store_hash)?;
        let engine = SyncEngine::new(store, remote, self.sync_options(policies));
        Ok(match fleet {
            Some(fleet) => engine.in_fleet(fleet),
            None => engine,
        })
    }

    /// Where the other tills of the store are, if that is said.
    pub(super) fn fleet(&self, http: &HttpOptions) -> Option<FleetOptions> {
        self.settings.fleet.clone().map(|url| FleetOptions::beside(url, http))
    }

    /// How an engine of this till syncs.
    pub(super) fn sync_options(&self, policies: Policies) -> SyncOptions {
        let retention = retention(self.settings.retention);
        SyncOptions { policies, wait: self.wait(), retention, ..SyncOptions::default() }
    }

    /// The way to the store that the flags name, or else the file.
    pub(super) fn http(&self, store: Option<&Store>) -> Result<HttpOptions, Failed> {
        self.way(store, self.token()?)
    }

    /// Where the other tills of the store are, where nothing is asked of the store itself.
    pub(super) fn fleet_alone(&self) -> Result<Option<FleetOptions>, Failed> {
        if self.settings.fleet.is_none() {
            return Ok(None);
        }
        let store = match self.store() {
            Err(failed) if failed.code() == "not_there" => None,
            there => Some(there?),
        };
        Ok(self.fleet(&self.way(store.as_ref(), SecretString::from(""))?))
    }

    fn way(&self, store: Option<&Store>, token: SecretString) -> Result<HttpOptions, Failed> {
        let recorded = store.map(Store::store_hash).transpose()?.flatten();
        let given = self.settings.store_hash.clone().filter(|hash| !hash.is_empty());
        let options = HttpOptions {
            api_url: self.settings.api_url.clone(),
            timeout: Duration::from_secs(self.settings.timeout),
            proxy: self.settings.proxy.clone().unwrap_or_default(),
            roots: self.settings.roots.clone().unwrap_or_default(),
            ..HttpOptions::new(given.unwrap_or_default(), token)
        };
        let mut options = options.settled()?;
        if options.store_hash.is_empty() {
            options.store_hash = recorded.ok_or_else(no_store_hash)?;
        }
        Ok(options)
    }

    /// Files with a secret that others than their owner may read, or write.
    pub(super) fn exposed(&self) -> Vec<&Path> {
        let named = [&self.settings.token_file, &self.settings.key_file];
        named.into_iter().flatten().map(PathBuf::as_path).filter(|path| is_open_to_others(path)).collect()
    }

    fn token(&self) -> Result<SecretString, Failed> {
        if let Some(path) = &self.settings.token_file {
            let text = std::fs::read_to_string(path);
            let unreadable = |e| Failed::usage(format!("--token-file {}: {e}", path.display()));
            return text.map(|text| SecretString::from(without_mark(&text).trim())).map_err(unreadable);
        }
        let given = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty());
        given.map(SecretString::from).ok_or_else(no_token)
    }
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o077 != 0)
}

#[cfg(windows)]
use tillsync::system::is_open_to_others;

#[cfg(not(any(unix, windows)))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

/// A text without the mark of its encoding, with which an editor or a shell of Windows may begin it.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn no_store_hash() -> Failed {
    Failed::usage("no store is named, and the database records none")
        .hint("set BIGCOMMERCE_STORE_HASH or give --store-hash: the part after stores/ in the API path")
}

fn no_token() -> Failed {
    Failed::usage(format!("no access token is given: set {TOKEN}, or give --token-file PATH"))
        .hint("the token of an API account of the store, with the scope Customers: modify")
}

/// A setting that is empty in the environment is not set: a shell's `NAME= tillsync …` and a line `NAME=` of a service say so.
pub(super) fn unless_empty(root: clap::Command) -> clap::Command {
    let is_empty = |setting: &clap::Arg| {
        setting.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
    };
    root.mut_args(|setting| if is_empty(&setting) { setting.env(None::<&'static str>) } else { setting })
}
