//! A log in a file, for programs that have no subscriber of `tracing` of their own: those that come through the C interface or the
//! extension, and the worker as a process.
//!
//! One file for a whole process, because what the library says is the process's and not a till's. Only this crate is heard: at `trace` the
//! HTTP client writes every byte that goes over the wire, the token and new passwords among them.
//!
//! It is appended to for as long as the process runs, and never begun anew: whoever keeps it short empties it in its place (`copytruncate`
//! of logrotate).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::descriptors;
use crate::error::{Error, Failure, Result};
use crate::words;

/// How much a log tells; each level tells what stands before it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// What went wrong.
    Error,
    /// What somebody should look at.
    Warn,
    /// A line for each sync, and its parts.
    #[default]
    Info,
    /// Each batch and each request, and values of customers; no password and no token.
    Debug,
    /// Whatever else this library tells.
    Trace,
}

impl FromStr for LogLevel {
    type Err = Error;

    fn from_str(text: &str) -> Result<LogLevel> {
        match text {
            "error" => Ok(LogLevel::Error),
            "warn" => Ok(LogLevel::Warn),
            "info" => Ok(LogLevel::Info),
            "debug" => Ok(LogLevel::Debug),
            "trace" => Ok(LogLevel::Trace),
            _ => Err(Error::usage(format!(
                "log_level is one of error, warn, info, debug and trace, not {text:?}"
            ))),
        }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> LevelFilter {
        match level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

/// Appends what the library says from now on to a file, a line each, which is made for its owner only. It is for programs without a
/// subscriber of their own; a process has one such file, whatever tills it opens, and the first level counts.
///
/// `database` is the till of which it must not be the file, nor lie where what belongs to that does.
///
/// # Errors
/// `log_file`: it cannot be written, or holds what is no text; usage: it is the till's, the process logs to another one, or has a
/// subscriber of its own.
pub fn log_to(path: &Path, level: LogLevel, database: &Path) -> Result<()> {
    static FILE: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::path::absolute(path).map_err(|e| failed(path, &e))?;
    match &*file {
        Some(there) if *there == path => return Ok(()),
        Some(there) => {
            let there = there.display();
            return Err(Error::usage(format!(
                "this process logs to {there} already: all its tills share one log_file"
            )));
        }
        None => {}
    }
    refuse_database(&path, database)?;
    let lines = Mutex::new(Lines(open(&path)?));
    let layer = fmt::layer().with_ansi(false).with_writer(lines).log_internal_errors(false);
    let heard = Targets::new().with_target("tillsync", LevelFilter::from(level));
    tracing_subscriber::registry().with(heard).with(layer).try_init().map_err(|_| {
        Error::usage("this process has a subscriber of tracing of its own, which hears the library: log_file is for those that have none")
    })?;
    *file = Some(path);
    Ok(())
}

/// Without opening it: a file of SQLite's is neither opened nor closed by anybody else in this process.
fn refuse_database(path: &Path, database: &Path) -> Result<()> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (log, till) =
        (real(path), std::path::absolute(database).map_or_else(|_| real(database), |path| real(&path)));
    let is_beside = || {
        let names = (log.file_name(), till.file_name());
        let (Some(log_name), Some(till_name)) = names else { return false };
        let rest = log_name.to_string_lossy().strip_prefix(&*till_name.to_string_lossy()).map(str::to_owned);
        log.parent() == till.parent() && rest.is_some_and(|rest| rest.starts_with('-'))
    };
    match log == till || is_beside() || descriptors::is_open_here(&log) {
        true => Err(Error::usage(format!(
            "log_file: {} belongs to a till: name a file of its own",
            path.display()
        ))),
        false => Ok(()),
    }
}

/// A log of before goes on; whatever else is there is left as it is.
fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let is_odd = path.metadata().is_ok_and(|there| !there.is_file());
    if is_odd {
        return Err(failed(path, &io::Error::other("it is no file")));
    }
    let mut file = options.open(path).map_err(|e| failed(path, &e))?;
    let mut start = [0; 512];
    let length = file.read(&mut start).map_err(|e| failed(path, &e))?;
    let start = &start[..length];
    // What is read may end in the middle of a sign.
    let is_text = std::str::from_utf8(start).map_or_else(|e| e.error_len().is_none(), |_| true);
    if !is_text || start.contains(&0) {
        return Err(failed(path, &io::Error::other("it holds what is no text")));
    }
    Ok(file)
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Failure::LogFile { path: path.to_owned(), cause: error.to_string() }.into()
}

/// What of others' words a terminal would act upon is shown as a sign, for whoever looks at the log.
struct Lines(File);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_bad = |letter| words::is_acted_upon(letter) && !matches!(letter, '\n' | '\t');
        let text = String::from_utf8_lossy(bytes).replace(is_bad, "\u{fffd}");
        self.0.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
