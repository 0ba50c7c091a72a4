//! What the documents print is so: every block of code in README.md, in docs/ and in the guide of the crate has a place
//! where it is run as it is printed, and one that has none fails here.
//!
//! | a block of | is run |
//! |---|---|
//! | shell | here, by bash, each in a folder with a fresh `till.db` beside a sandbox of its own; what it says of `cargo` is held against this repository in the place of being built for minutes |
//! | SQL | here, on a till that has pulled |
//! | the Python of README.md | here, word by word, beside a till that has pulled |
//! | what the packages for Python and Node.js begin with | here, with the package as it stands in this repository |
//! | what the packages for .NET and Java begin with | by `tests/packages_dotnet.rs`, `tests/packages_java.rs` |
//! | Python, JavaScript, C#, Java, C | as a piece of a program that a test runs, line for line |
//! | Rust | the same, or by rustdoc |
//! | docs/getting-started.md | by `tests/getting_started.rs`, but for what is of a real store |
//!
//! What no machine of ours has stands in a block that begins with `# needs`, for a reader to see. `text` is no code.
#![cfg(all(unix, feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests fail the test

mod common;
#[path = "common/guide.rs"]
mod guide;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use guide::{Block, blocks};
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::Value;
use tillsync::sandbox::{Control, Sandbox, SandboxOptions};

const GETTING_STARTED: &str = "docs/getting-started.md";
const SANDBOX: &str = "docs/sandbox.md";
/// What the packages for other languages say of themselves.
const OF_PYTHON: &str = "bindings/python/README.md";
const OF_NODE: &str = "bindings/node/README.md";
const OF_DOTNET: &str = "bindings/dotnet/README.md";
const OF_JAVA: &str = "bindings/java/README.md";
/// Generated, and full of other people's texts.
const NOT_OURS: &str = "docs/third-party.md";

/// The programs that tests run, by what their code is marked with.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("python", &["examples/python/till.py", "examples/python/library_till.py", "tests/extension/till.py"]),
    ("js", &["examples/node/till.js", "tests/extension/till.js"]),
    ("csharp", &["examples/csharp/Till.cs", "examples/csharp/LibraryTill.cs"]),
    ("java", &["examples/java/Till.java", "examples/java/LibraryTill.java"]),
    ("c", &["examples/c/till.c"]),
    (
        "rust,ignore",
        &["tests/snippets.rs", "examples/first_till.rs", "src/resource/loyalty.rs", "tests/redis.rs"],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Every document of ours, by its path.
fn documents() -> Vec<String> {
    let named = |folder: &str| {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let folder = folder.to_owned();
        paths.filter(|name| name.ends_with(".md")).map(move |name| format!("{folder}/{name}"))
    };
    let mut all: Vec<String> = named("docs").chain(named("docs/decisions")).collect();
    all.extend(["README.md", "src/guide.md", OF_PYTHON, OF_NODE, OF_DOTNET, OF_JAVA].map(str::to_owned));
    all.retain(|path| path != NOT_OURS);
    all.sort();
    all
}

fn of_language(language: &str) -> impl Iterator<Item = (String, Block)> {
    let all = documents()
        .into_iter()
        .flat_map(|path| blocks(&read(&path)).into_iter().map(move |block| (path.clone(), block)));
    all.filter(move |(_, block)| block.language == language)
}

// ---- every block has a place -------------------------------------------------------------------------------------

#[test]
fn every_block_of_code_is_run_somewhere() {
    for path in documents() {
        for block in blocks(&read(&path)) {
            if let Err(why) = place(&path, &block) {
                panic!("{path}: {why}\n```{} {}\n{}```", block.language, block.name, block.text);
            }
        }
    }
}

/// Where a block is run, or why it is nowhere.
fn place(path: &str, block: &Block) -> Result<&'static str, String> {
    let rustdoc = ["README.md", "src/guide.md"].contains(&path);
    match block.language.as_str() {
        "text" => Ok("it is no code"),
        "sh" | "sql" => Ok("here"),
        _ if path == GETTING_STARTED && (!block.name.is_empty() || block.language == "rust,ignore") => {
            Ok("tests/getting_started.rs")
        }
        // To rustdoc, a block of no language is Rust.
        "" | "rust" | "rust,no_run" if rustdoc => Ok("rustdoc"),
        "python" if ["README.md", OF_PYTHON].contains(&path) => Ok("here"),
        "js" if path == OF_NODE => Ok("here"),
        "csharp" if path == OF_DOTNET => Ok("tests/packages_dotnet.rs"),
        "java" if path == OF_JAVA => Ok("tests/packages_java.rs"),
        language => match PROGRAMS.iter().find(|(known, _)| *known == language) {
            Some((_, programs)) => is_a_piece(&block.text, programs),
            None => Err(format!("nothing runs {language:?}; text that is no code is marked with `text`")),
        },
    }
}

/// It stands in one of these programs, line for line but for its indentation.
fn is_a_piece(text: &str, programs: &[&str]) -> Result<&'static str, String> {
    let lines = |text: &str| -> Vec<String> { text.lines().map(|line| line.trim().to_owned()).collect() };
    let shown = lines(text);
    let has = |program: &&&str| lines(&read(program)).windows(shown.len()).any(|lines| lines == shown);
    match programs.iter().find(has) {
        Some(_) => Ok("a program"),
        None => Err(format!("no program has it: {}", programs.join(", "))),
    }
}

#[test]
fn a_block_without_a_place_is_found() {
    let block = |language: &str, text: &str| Block {
        language: language.into(),
        name: String::new(),
        text: text.into(),
    };
    for bad in [
        block("python", "print('nowhere')\n"),
        block("ruby", "puts 1\n"),
        block("", "x\n"),
        block("rust", "f();\n"),
    ] {
        assert!(place("docs/sql.md", &bad).is_err(), "{bad:?}");
    }
}

// ---- the README's Python -----------------------------------------------------------------------------------------

/// Somebody pastes it, word by word, beside a till that has pulled.
#[test]
fn the_python_of_the_readme_runs_as_it_is_printed() {
    let till = common::till(3);
    for (_, block) in of_language("python").filter(|(path, _)| path == "README.md") {
        let ran = Command::new("python3").args(["-c", &block.text]).current_dir(till.folder.path()).output();
        let ran = ran.expect("python3 runs");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(
            said.trim(),
            r#"[('phone', 'set', '"555-0142"', 'ana'), ('store_credit_amounts', 'adjust', '"12.5"', 'ana')]"#
        );
    }
    till.engine().sync().unwrap();
    assert_eq!(till.remote_value(1, "phone"), r#""555-0142""#);
}

// ---- what the packages begin with --------------------------------------------------------------------------------

const SAID_BY_PACKAGES: &str = "1 email 255\nuploaded\n";

/// Runs a program beside a sandbox, with a package as it stands in this repository and the command of this build.
#[track_caller]
fn beside_a_sandbox(mut program: Command, folder: &Path) -> String {
    let sandbox = Sandbox::start(SandboxOptions { customers: 3, ..SandboxOptions::default() }).unwrap();
    program.current_dir(folder).env("TILLSYNC_PROGRAM", env!("CARGO_BIN_EXE_tillsync"));
    program.env("TILLSYNC_API_URL", sandbox.url()).env("BIGCOMMERCE_STORE_HASH", sandbox.store_hash());
    program.env("BIGCOMMERCE_ACCESS_TOKEN", sandbox.token()).env_remove("TILLSYNC_AUTHOR");
    let ran = program.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn only_block(language: &str, path: &str) -> String {
    let found: Vec<_> = of_language(language).filter(|(document, _)| document == path).collect();
    assert_eq!(found.len(), 1, "{path}");
    found[0].1.text.clone()
}

#[test]
fn the_python_package_begins_as_it_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", &only_block("python", OF_PYTHON)]).env("PYTHONPATH", root().join("bindings/python"));
    assert_eq!(beside_a_sandbox(python, folder.path()), SAID_BY_PACKAGES);
}

#[test]
fn the_node_package_begins_as_it_is_printed() {
    let modules = root().join("target/better-sqlite3/node_modules");
    if !modules.join("better-sqlite3/build/Release/better_sqlite3.node").exists() {
        println!("NOT RUN: the package for Node.js needs better-sqlite3");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("node_modules")).unwrap();
    std::os::unix::fs::symlink(root().join("bindings/node"), folder.path().join("node_modules/tillsync"))
        .unwrap();
    let mut node = Command::new("node");
    node.args(["-e", &only_block("js", OF_NODE)]).env("NODE_PATH", modules);
    assert_eq!(beside_a_sandbox(node, folder.path()), SAID_BY_PACKAGES);
}

#[test]
fn a_package_for_node_without_a_program_is_not_packed() {
    if !is_there("npm") {
        println!("NOT RUN: the package for Node.js needs npm");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("node");
    let copied = Command::new("cp").arg("-rL").arg(root().join("bindings/node")).arg(&package).status();
    assert!(copied.unwrap().success());
    _ = std::fs::remove_dir_all(package.join("prebuilt"));
    let pack = || Command::new("npm").args(["pack", "--dry-run"]).current_dir(&package).output().unwrap();
    let refused = pack();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("npm run build"), "{refused:?}");

    std::fs::create_dir_all(package.join("prebuilt/linux-x64")).unwrap();
    std::fs::write(package.join("prebuilt/linux-x64/tillsync"), "").unwrap();
    assert!(pack().status.success());
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|told| told.status.success())
}

// ---- shell -------------------------------------------------------------------------------------------------------

/// What a reader has before a block of this beginning, besides a till that has pulled; `each line`: before each of its lines.
const BEFORE: &[(&str, &str, bool)] = &[
    (
        "tillsync resolve 42 phone --keep local ",
        "tillsync sync || true
         tillsync edit 42 phone=$RANDOM$RANDOM; tillsync sandbox edit 42 phone=$RANDOM$RANDOM; tillsync sync || true",
        true,
    ),
    ("tillsync restore ", "tillsync backup /media/backup/till-monday.db", false),
    ("umask 077; ", "rm till.db*", false),
    (
        "tillsync rekey ",
        "rm till.db*; echo one > old.key; echo two > new.key; chmod 600 *.key
         tillsync pull --key-file old.key; exec 3>&1",
        false,
    ),
    ("tillsync backup encrypted.db ", "echo one > till.key; chmod 600 till.key", false),
];

/// Where bash finds what it is to call: the command itself; cargo, which notes what it is asked for; and a worker that ends.
fn tools(folder: &Path) -> PathBuf {
    let tools = folder.join("tools");
    std::fs::create_dir(&tools).unwrap();
    let tillsync = env!("CARGO_BIN_EXE_tillsync");
    let noted = folder.join("cargo.log");
    let script = |name: &str, text: String| {
        let path = tools.join(name);
        std::fs::write(&path, format!("#!/usr/bin/env bash\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    script("cargo", format!("printf '%s\\n' \"$*\" >> '{}'", noted.display()));
    script(
        "tillsync",
        format!(
            "[ \"$*\" = worker ] || exec '{tillsync}' \"$@\"\n\
             timeout --signal=INT 2 '{tillsync}' worker || [ $? = 124 ]"
        ),
    );
    tools
}

/// Runs a block, and hands back what cargo was asked for.
#[track_caller]
fn in_bash(path: &str, block: &Block) -> Vec<String> {
    let options =
        SandboxOptions { customers: 60, quota: 1_000_000, control: true, ..SandboxOptions::default() };
    let sandbox = Sandbox::start(options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir_all(home.join("backup")).unwrap();
    std::fs::create_dir_all(home.join("target/release")).unwrap();
    std::fs::write(home.join("target/release/libtillsync_extension.so"), "").unwrap();

    let before = BEFORE.iter().find(|(begins, ..)| block.text.starts_with(begins));
    let body = match before {
        None => block.text.clone(),
        Some((_, before, false)) => format!("{before}\n{}", block.text),
        Some((_, before, true)) => block.text.lines().map(|line| format!("{before}\n{line}\n")).collect(),
    };
    let script = format!("set -euo pipefail\nexec 2>&1\ntillsync pull\n{body}")
        .replace("http://127.0.0.1:4010", &sandbox.url())
        .replace("http://127.0.0.1:14010", Control::of(&sandbox.url()).unwrap().url())
        .replace("/media/backup", &home.join("backup").display().to_string())
        .replace("abc123", sandbox.store_hash())
        .replace("TOKEN=…", &format!("TOKEN={}", sandbox.token()));
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(&script).current_dir(&home).stdin(Stdio::null());
    let tools = tools(folder.path());
    bash.env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default()));
    bash.env("TILLSYNC_API_URL", sandbox.url()).env("BIGCOMMERCE_STORE_HASH", sandbox.store_hash());
    bash.env("BIGCOMMERCE_ACCESS_TOKEN", sandbox.token()).env("TILLSYNC_TIMEOUT", "10");
    for name in ["TILLSYNC_KEY", "TILLSYNC_DB", "TILLSYNC_AUTHOR"] {
        bash.env_remove(name);
    }
    let ran = bash.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{path}: {}\n{script}\n{said}", ran.status);
    let noted = std::fs::read_to_string(folder.path().join("cargo.log")).unwrap_or_default();
    noted.lines().map(str::to_owned).collect()
}

/// Of the guide, what its own test does not run.
fn is_for_here(path: &str, block: &Block) -> bool {
    let is_run_there = path == GETTING_STARTED && ["", "sandbox"].contains(&block.name.as_str());
    let is_elsewhere = block.text.starts_with("# needs ") || (path == SANDBOX && block.name == "sandbox");
    let needs_keys = ["key-file", "key-env"].iter().any(|word| block.text.contains(word));
    !(is_run_there || is_elsewhere || needs_keys && !cfg!(feature = "sqlcipher"))
}

#[test]
fn every_block_of_shell_runs_as_it_is_printed() {
    let mut run = 0;
    for (path, block) in of_language("sh").filter(|(path, block)| is_for_here(path, block)) {
        for asked in in_bash(&path, &block) {
            is_of_this_repository(&path, &asked);
        }
        run += 1;
    }
    assert!(run > 15, "{run} blocks");
}

/// Whatever a line of cargo names is there.
#[track_caller]
fn is_of_this_repository(path: &str, asked: &str) {
    let words: Vec<&str> = asked.split(' ').take_while(|word| *word != "--").collect();
    assert!(
        ["build", "test", "run", "bench", "install", "rustc"].contains(&words[0]),
        "{path}: cargo {asked}"
    );
    let is_there = |places: &[String]| places.iter().any(|place| root().join(place).exists());
    let manifest = read("Cargo.toml");
    for pair in words.windows(2) {
        let [flag, name] = [pair[0], pair[1]];
        let is_so = match flag {
            "--test" => is_there(&[format!("tests/{name}.rs"), format!("tests/{name}/main.rs")]),
            "--example" => is_there(&[format!("examples/{name}.rs"), format!("examples/{name}/main.rs")]),
            "--package" => name == "tillsync-extension",
            "--path" => name == ".",
            "--features" => name.split(',').all(|feature| manifest.contains(&format!("\n{feature} = ["))),
            _ => true,
        };
        assert!(is_so, "{path}: cargo {asked}: {flag} {name}");
    }
}

#[test]
fn the_sandbox_of_its_page_serves() {
    let (_, block) =
        of_language("sh").find(|(path, block)| path == SANDBOX && block.name == "sandbox").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let line = block.text.trim().replace("4010", "0");
    let words = line.split(' ').skip(1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillsync"));
    let mut child = command.args(words).current_dir(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("\"customers\":200") && folder.path().join("store.json").exists(), "{said}");
}

// ---- SQL ---------------------------------------------------------------------------------------------------------

/// A till that has pulled and has been searched, with a conflict of customer 42.
fn till(folder: &Path, sandbox: &Sandbox) -> rusqlite::Connection {
    let path = folder.join("till.db");
    let there = tillsync::HttpOptions {
        api_url: sandbox.url(),
        ..tillsync::HttpOptions::new(sandbox.store_hash(), sandbox.token())
    };
    let remote = tillsync::HttpRemote::new(&there).unwrap();
    let options = tillsync::StoreOptions { create: true, ..tillsync::StoreOptions::default() };
    let store = tillsync::Store::open_with(&path, options).unwrap();
    let keep = vec!["attributes".to_owned()];
    let options = tillsync::SyncOptions { keep, ..tillsync::SyncOptions::default() };
    let mut engine = tillsync::SyncEngine::new(store, remote, options);
    engine.sync().unwrap();
    let mut store = tillsync::Store::open(&path).unwrap();
    store.edit(42).set("phone", "555-0142").commit().unwrap();
    assert!(sandbox.edit(42, serde_json::json!({"phone": "555-0199"})));
    assert_eq!(engine.sync().unwrap().conflicts, 1);
    store.find("a", 1).unwrap(); // makes the index of the search
    rusqlite::Connection::open(&path).unwrap()
}

/// Statements one after the other; a `:name` is what the last row before had under that name.
#[track_caller]
fn run_sql(path: &str, file: &rusqlite::Connection, text: &str) -> usize {
    let mut known: Vec<(String, Value)> = Vec::new();
    let mut batch = rusqlite::Batch::new(file, text);
    let mut count = 0;
    while let Some(mut statement) = batch.next().unwrap_or_else(|error| panic!("{path}: {error}\n{text}")) {
        for at in 1..=statement.parameter_count() {
            let name = statement.parameter_name(at).unwrap().to_owned();
            let value = known.iter().find(|(column, _)| name == format!(":{column}"));
            statement.raw_bind_parameter(at, &value.unwrap_or_else(|| panic!("{path}: {name}")).1).unwrap();
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap_or_else(|error| panic!("{path}: {error}\n{text}")) {
            known =
                columns.iter().enumerate().map(|(at, name)| (name.clone(), row.get(at).unwrap())).collect();
        }
        count += 1;
    }
    count
}

/// The extension is loaded by SQLite's shell in `tests/extension.rs`.
fn is_of_the_extension(block: &Block) -> bool {
    block.text.starts_with("SELECT load_extension(")
}

#[test]
fn every_block_of_sql_runs_as_it_is_printed() {
    for (path, block) in of_language("sql").filter(|(_, block)| !is_of_the_extension(block)) {
        let folder = tempfile::tempdir().unwrap();
        let sandbox =
            Sandbox::start(SandboxOptions { customers: 60, quota: 1_000_000, ..SandboxOptions::default() })
                .unwrap();
        sandbox.edit(42, serde_json::json!({"store_credit_amounts": [{"amount": 1}]}));
        let till = till(folder.path(), &sandbox);
        let count = if block.text.starts_with("PRAGMA key") {
            keys(&folder.path().join("encrypted.db"), &block.text)
        } else {
            run_sql(&path, &till, &block.text)
        };
        assert!(count > 0, "{path}");
    }
}

/// Each line is the first of a connection.
fn keys(path: &Path, text: &str) -> usize {
    for line in text.lines() {
        let file = rusqlite::Connection::open_in_memory().unwrap();
        run_sql("a key", &file, line);
        if cfg!(feature = "sqlcipher") {
            _ = std::fs::remove_file(path);
            let file = rusqlite::Connection::open(path).unwrap();
            run_sql("a key", &file, line);
            file.execute_batch("CREATE TABLE it_is_encrypted (id)").unwrap();
            assert_ne!(&std::fs::read(path).unwrap()[..6], b"SQLite");
        }
    }
    text.lines().count()
}

// ---- Rust --------------------------------------------------------------------------------------------------------

/// What docs/embedding.md shows of a key, compiled: not every machine has a keyring.
#[allow(dead_code, reason = "it is compiled")]
#[rustfmt::skip]
fn with_a_key(remote: tillsync::HttpRemote) -> tillsync::Result<()> {
    use tillsync::{Key, Store, StoreOptions, SyncEngine, SyncOptions};

    let key = Key::from_keyring("tillsync", "till1")?;   // or from_env, from_file, passphrase, raw
    let store = Store::open_with("till.db", StoreOptions { key: Some(key), ..StoreOptions::default() })?;
    let engine = SyncEngine::new(store.reopen()?, remote, SyncOptions::default());   // the same key

    drop(engine);
    Ok(())
}

/// And of a filter of the log, which some of it is not for.
#[test]
fn a_filter_is_read() {
    let filter: tracing_subscriber::EnvFilter = {
        use tracing_subscriber::EnvFilter;
        EnvFilter::new("info,ureq=off,ureq_proto=off,rustls=off")
    };
    assert!(filter.to_string().contains("ureq_proto=off"));
}

/// And of a till with its worker.
#[test]
fn a_till_edits_and_waits() {
    use tillsync::{HttpOptions, HttpRemote, Store, StoreOptions, SyncEngine, SyncOptions};

    let sandbox = Sandbox::start(SandboxOptions { customers: 60, ..SandboxOptions::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let there =
        HttpOptions { api_url: sandbox.url(), ..HttpOptions::new(sandbox.store_hash(), sandbox.token()) };
    let made = StoreOptions { create: true, ..StoreOptions::default() };
    let store = Store::open_with(folder.path().join("till.db"), made).unwrap();
    let remote = HttpRemote::new(&there).unwrap();
    let mut engine = SyncEngine::new(store.reopen().unwrap(), remote, SyncOptions::default());
    engine.sync().unwrap();
    a_sale(engine, store).unwrap();
    assert_eq!(sandbox.customer(42).unwrap()["phone"], "+49 30 901820");
}

#[rustfmt::skip]
fn a_sale(engine: tillsync::SyncEngine<tillsync::HttpRemote>, mut store: tillsync::Store) -> tillsync::Result<()> {
    use std::time::Duration;
    use tillsync::{Fate, Syncer, SyncerOptions};

    let (syncer, events) = Syncer::start(engine, SyncerOptions::default())?;
    let receipt = store.edit(42).set("phone", "+49 30 901820").author("ana").label("sale 1042").commit()?;
    match store.wait(&receipt, Duration::from_secs(10))? {
        Fate::Uploaded { date_modified } => println!("the store has it since {date_modified:?}"),
        Fate::Rejected { reason, .. } => println!("refused: {reason}"),
        other => println!("{other:?}"),
    }

    drop((syncer, events));
    Ok(())
}
