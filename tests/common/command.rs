//! The command, as a shop starts it: a process of its own on the till's file.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Till;

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; `None`: it was killed.
    pub exit: Option<i32>,
    /// Its document; null when it printed none.
    pub json: Value,
}

impl Ran {
    pub fn of(output: &Output) -> Ran {
        Ran { exit: output.status.code(), json: serde_json::from_slice(&output.stdout).unwrap_or_default() }
    }

    /// The word for the failure; empty when it did not fail.
    pub fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Till {
    /// A command that is ready to start, with `--json`.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillsync"));
        command
            .args(arguments)
            .arg("--json")
            .env("TILLSYNC_DB", &self.path)
            .env("TILLSYNC_API_URL", &self.api_url)
            .env("BIGCOMMERCE_STORE_HASH", self.sandbox.store_hash())
            .env("BIGCOMMERCE_ACCESS_TOKEN", self.sandbox.token())
            .env("TILLSYNC_AUTHOR", "ana")
            .envs(self.key.as_ref().map(|key| ("TILLSYNC_KEY", key)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }
}
