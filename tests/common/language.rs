//! A till in another language: the tools that it needs, where it stands beside a store, and what the documentation shows
//! of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::Till;
use crate::library::root;

/// Letters of one, two, three and four bytes: a store says them, and every till shows them.
#[allow(dead_code, reason = "each test binary uses its own part")]
pub const SAYS_FOR_ALL: &str = "Søn & Œuvre, 京都 🛒";

/// A language with a SQLite of its own.
#[allow(dead_code, reason = "each test binary uses its own part")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Language {
    Python,
    Node,
    CSharp,
    Java,
}

/// Where Debian puts jars.
const JARS: &str = "/usr/share/java";
const ASSEMBLIES: &str =
    "-r:System.Data,Mono.Data.Sqlite,System.Xml,System.Xml.Linq,System.Runtime.Serialization";

#[allow(dead_code, reason = "each test binary uses its own part")]
impl Language {
    pub const ALL: [Language; 4] = [Language::Python, Language::Node, Language::CSharp, Language::Java];

    /// The programs in it that the tests run, of which the documentation shows pieces.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Language::Python => {
                &["examples/python/till.py", "examples/python/library_till.py", "tests/extension/till.py"]
            }
            Language::Node => &["examples/node/till.js", "tests/extension/till.js"],
            Language::CSharp => &["examples/csharp/Till.cs", "examples/csharp/LibraryTill.cs"],
            Language::Java => &["examples/java/Till.java", "examples/java/LibraryTill.java"],
        }
    }

    /// What its code is marked with in the documentation.
    pub fn fence(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::Node => "js",
            Language::CSharp => "csharp",
            Language::Java => "java",
        }
    }

    /// A command that runs the till with a worker, the first of its programs; none, having said so, where its tools are not here.
    pub fn till(self, folder: &Path) -> Option<Command> {
        self.program(&root().join(self.programs()[0]), folder)
    }

    /// A command that runs a program in this language.
    pub fn program(self, source: &Path, folder: &Path) -> Option<Command> {
        match self {
            Language::Python => {
                are_here("Python", &[&["python3", "--version"]], &[]).then(|| with("python3", [source]))
            }
            Language::Node => {
                let modules = node_modules();
                let packages = ["better-sqlite3/build/Release/better_sqlite3.node", "koffi/package.json"]
                    .map(|file| modules.join(file).display().to_string());
                let files: Vec<&str> = packages.iter().map(String::as_str).collect();
                let is_here = are_here("Node.js", &[&["node", "--version"]], &files);
                is_here.then(|| {
                    let mut node = with("node", [source]);
                    node.env("NODE_PATH", modules);
                    node
                })
            }
            Language::CSharp => {
                let tools: [&[&str]; 2] = [&["mcs", "--version"], &["mono", "--version"]];
                let binding = "/usr/lib/mono/4.5/Mono.Data.Sqlite.dll";
                are_here("C#", &tools, &[binding]).then(|| with("mono", [compiled(source, folder)]))
            }
            Language::Java => {
                let tools: [&[&str]; 2] = [&["java", "--version"], &["javac", "--version"]];
                let jars = ["gson.jar", "sqlite-jdbc.jar", "jna.jar"].map(|jar| format!("{JARS}/{jar}"));
                let files: Vec<&str> = jars.iter().map(String::as_str).collect();
                are_here("Java", &tools, &files).then(|| {
                    let mut java = with("java", ["-cp", &jars.join(":")]);
                    java.arg(source);
                    java
                })
            }
        }
    }
}

fn with<A: AsRef<std::ffi::OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Where `.ci/run` puts the packages of Node.js.
fn node_modules() -> PathBuf {
    root().join("target/better-sqlite3/node_modules")
}

fn compiled(source: &Path, folder: &Path) -> PathBuf {
    let program = folder.join("Program.exe");
    let mut mcs = with("mcs", [ASSEMBLIES, "-warnaserror"]);
    succeeded(&mcs.arg(source).arg(format!("-out:{}", program.display())).output().unwrap());
    program
}

/// Whether these tools are here; says so when they are not.
pub fn are_here(language: &str, tools: &[&[&str]], files: &[&str]) -> bool {
    let runs =
        |tool: &[&str]| Command::new(tool[0]).args(&tool[1..]).output().is_ok_and(|o| o.status.success());
    let missing = tools.iter().filter(|tool| !runs(tool)).map(|tool| tool[0]);
    let missing: Vec<&str> =
        missing.chain(files.iter().copied().filter(|f| !std::fs::exists(f).unwrap())).collect();
    if !missing.is_empty() {
        eprintln!("NOT RUN: the till in {language} needs {}", missing.join(", "));
    }
    missing.is_empty()
}

#[allow(dead_code, reason = "each test binary uses its own part")]
/// Runs an example that takes a file, a URL, a store hash and a customer, and returns what it printed.
#[track_caller]
pub fn run(till: &Till, program: &mut Command) -> String {
    program.arg(&till.path).args([till.sandbox.url().as_str(), till.sandbox.store_hash(), "1"]);
    succeeded(&program.env("BIGCOMMERCE_ACCESS_TOKEN", till.sandbox.token()).output().unwrap())
}

#[track_caller]
pub fn succeeded(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// What a document shows in a language stands in one of its programs, line for line, but for its indentation.
#[allow(dead_code, reason = "each test binary uses its own part")]
#[track_caller]
pub fn is_what_a_program_has(document: &str, language: &str, programs: &[&str]) -> usize {
    let lines = |text: &str| -> Vec<String> { text.lines().map(|line| line.trim().to_owned()).collect() };
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let programs: Vec<_> = programs.iter().map(|program| lines(&read(program))).collect();
    let text = read(document);
    let blocks: Vec<_> = text.split(&format!("```{language}\n")).skip(1).collect();
    for block in &blocks {
        let shown = lines(block.split("```").next().unwrap());
        let is_there =
            programs.iter().any(|program| program.windows(shown.len()).any(|lines| lines == shown));
        assert!(is_there, "{document} shows what no program has: {shown:#?}");
    }
    blocks.len()
}
