//! `report`: a bundle for support, without anything that is anybody's business.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::exit::{Exit, Failed};
use super::out::Deed;
use super::settings::Till;
use super::{Done, doctor, render};

/// Write a report for support, no personal data
///
/// Versions, settings, counts, how the last hundred syncs went, what kinds of edits wait, who holds which lock, how the
/// file is asked. No value of a customer, no name that somebody gave, no word of the store, no path, no secret.
#[derive(Args)]
#[command(after_help = "Example:\n  tillsync report till-monday.json")]
pub(super) struct Report {
    /// Where it goes, one JSON document; nothing may be there yet. `-`: standard output
    path: PathBuf,
}

#[derive(Serialize)]
struct Reported {
    path: String,
    bytes: u64,
}

impl Report {
    pub(super) fn run(self, till: &Till) -> Done {
        let is_for_standard_output = self.path == Path::new("-");
        if !is_for_standard_output {
            tillsync::system::refuse_part(&self.path)?;
        }
        let report = report(till);
        if is_for_standard_output {
            till.out.document(&report)?;
            return Ok(Exit::Done);
        }
        let text = serde_json::to_string_pretty(&report)? + "\n";
        write(&self.path, &text)?;
        let (path, bytes) = (self.path.display().to_string(), text.len() as u64);
        let words = format!("{}: {}.", render::plain(&path), render::count(bytes, "byte"));
        let deed = Deed { done: "the report is written", shown_by: "its folder" };
        till.out.answer_done(&Reported { path, bytes }, || words, deed)?;
        Ok(Exit::Done)
    }
}

/// What can be had: a file that does not open is told by the word for that.
fn report(till: &Till) -> Value {
    // First, since opening the file mends what a check finds.
    let checks = doctor::of_the_file(till);
    let whole = till.store().and_then(|store| Ok(store.report()?));
    let mut report = whole.unwrap_or_else(|failed| {
        json!({ "versions": { "tillsync": env!("CARGO_PKG_VERSION") }, "file": { "error": failed.code() } })
    });
    report["settings"] = till.told();
    report["checks"] = checks;
    report
}

/// For its owner only, and in nobody's place.
fn write(path: &Path, text: &str) -> Result<(), Failed> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|e| refused(path, &e))?;
    let mut write = || {
        #[cfg(windows)]
        tillsync::system::close_to_others(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| {
        // It is not whole, and would be in the way of the next one.
        _ = std::fs::remove_file(path);
        refused(path, &e)
    })
}

fn refused(path: &Path, error: &std::io::Error) -> Failed {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failed::usage(format!("{} is there already", render::plain(&path.display().to_string())))
                .hint("name a file that is not there yet")
        }
        _ => tillsync::system::file_error(path, error).into(),
    }
}
