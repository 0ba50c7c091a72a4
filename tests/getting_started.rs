//! docs/getting-started.md, as it is printed: every command and every till in it, in one folder, beside the store that it
//! starts. What its tools are not here for says so.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the helpers of a test fail as a test does")]

#[path = "common/guide.rs"]
mod guide;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use guide::Block;

const GUIDE: &str = "docs/getting-started.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The store of the guide, which ends with the test.
struct Sandbox(Child);

impl Sandbox {
    /// By the guide's own line; on a port that is free, since the tests of a machine run side by side.
    fn start(line: &str, folder: &Path) -> (Sandbox, String) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let port = words.iter().position(|word| *word == "4010").unwrap();
        words[port] = "0";
        assert_eq!(words.remove(0), "tillsync");
        let mut sandbox = Command::new(env!("CARGO_BIN_EXE_tillsync"));
        let mut child = sandbox.args(words).current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        (Sandbox(child), said["url"].as_str().unwrap().to_owned())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A person who follows the guide: one shell, whose variables stay.
struct Reader {
    folder: tempfile::TempDir,
    url: String,
    variables: String,
}

impl Reader {
    /// What a script says, on both streams; it ends at its first failure.
    #[track_caller]
    fn types(&self, script: &str) -> String {
        let script = format!("set -euo pipefail\nexec 2>&1\n{}\n{script}", self.variables);
        let ran = self.shell(&script).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "{}\n{script}\n{said}", ran.status);
        said
    }

    fn shell(&self, script: &str) -> Command {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_tillsync"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell
            .arg("-c")
            .arg(script.replace("http://127.0.0.1:4010", &self.url))
            .current_dir(self.folder.path());
        shell.env("PATH", format!("{}:{path}", binary.parent().unwrap().display()));
        shell.env("NODE_PATH", root().join("target/better-sqlite3/node_modules"));
        for name in ["TILLSYNC_KEY", "TILLSYNC_DB", "TILLSYNC_AUTHOR"] {
            shell.env_remove(name);
        }
        shell
    }

    /// Runs a till of the guide, where its tools are, and looks at what it says and at what arrived.
    #[track_caller]
    fn runs(&self, block: &Block, customer: u32, tools: &str, command: &str) {
        let has_tools =
            self.shell(tools).stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap().success();
        if !has_tools {
            eprintln!("NOT RUN: {} of the guide needs what `{tools}` asks for", block.name);
            return;
        }
        std::fs::write(self.folder.path().join(&block.name), &block.text).unwrap();
        let said = self.types(command);
        for part in ["ploaded", &format!("customer {customer}: date_created: ")] {
            assert!(said.contains(part), "{}: {part}: {said}", block.name);
        }
        let shown = self.types(&format!("tillsync show {customer} --json"));
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["pending"], serde_json::json!([]), "{}", block.name);
        assert_eq!(shown["snapshot"]["notes"], "Wants a receipt by email", "{}", block.name);
    }

    /// Somebody starts it before there is anything to sell to: it ends with the worker's words, and makes no file, which would
    /// be in the way of the pull.
    #[track_caller]
    fn runs_too_early(&self, block: &Block, command: &str) {
        if !self.folder.path().join(&block.name).exists() {
            return;
        }
        let early = format!("early-{}", block.name);
        let script = format!("mkdir {early} && cp {} {early} && cd {early}\n! {{ {command}; }}", block.name);
        let said = self.types(&script);
        assert!(said.contains("there is no database at"), "{}: {said}", block.name);
        assert!(!self.folder.path().join(early).join("till.db").exists(), "{}", block.name);
    }
}

#[test]
fn a_reader_of_the_guide_gets_where_it_leads() {
    let blocks = guide::blocks(&std::fs::read_to_string(root().join(GUIDE)).unwrap());
    let named = |name: &str| blocks.iter().find(|block| block.name == name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_sandbox, url) = Sandbox::start(named("sandbox").text.trim(), folder.path());
    let scripts: Vec<&Block> =
        blocks.iter().filter(|block| block.language == "sh" && block.name.is_empty()).collect();
    let [variables, rest @ ..] = scripts.as_slice() else { panic!("no variables") };
    let reader = Reader { folder, url, variables: variables.text.clone() };

    let said: Vec<String> = rest.iter().map(|block| reader.types(&block.text)).collect();
    let [by_hand, offline, conflict] = said.as_slice() else { panic!("three scripts by hand: {said:?}") };
    assert!(by_hand.contains("Pulled 200 customers") && by_hand.contains("uploaded"), "{by_hand}");
    assert!(offline.contains("status 4: every edit is kept"), "{offline}");
    assert!(conflict.contains("status 3: something wants a person"), "{conflict}");
    assert!(conflict.contains("555-0142") && conflict.contains("555-0199"), "{conflict}");

    reader.runs(named("till.py"), 5, "python3 --version", "python3 till.py");
    reader.runs(named("till.js"), 6, "node --eval 'require(\"better-sqlite3\")'", "node till.js");
    let compile = "mcs -r:System.Data,Mono.Data.Sqlite Till.cs && mono Till.exe";
    reader.runs(
        named("Till.cs"),
        7,
        "mcs --version && test -e /usr/lib/mono/4.5/Mono.Data.Sqlite.dll",
        compile,
    );
    for (name, command) in [("till.py", "python3 till.py"), ("till.js", "node till.js"), ("Till.cs", compile)]
    {
        reader.runs_too_early(named(name), command);
    }

    let rust = blocks.iter().find(|block| block.language == "rust,ignore").unwrap();
    let example = std::fs::read_to_string(root().join("examples/first_till.rs")).unwrap();
    assert!(example.ends_with(&rust.text), "the guide prints examples/first_till.rs");
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_tillsync")).with_file_name("examples").join("first_till");
    let rust = Block { name: "first_till.rs".to_owned(), ..rust.clone() };
    reader.runs(&rust, 8, &format!("test -x '{}'", binary.display()), &format!("'{}'", binary.display()));
}
