//! The package for .NET, `bindings/dotnet`: its own tests, by Mono and by .NET Core's runtime where they are, and what its README
//! begins with.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "the helpers of a test fail as a test does"
)]

mod common;
#[path = "common/guide.rs"]
mod guide;
#[path = "common/language.rs"]
mod language;
#[path = "common/library.rs"]
mod library;
#[path = "common/package.rs"]
mod package;

use std::path::{Path, PathBuf};
use std::process::Command;

use language::{are_here, succeeded};
use library::{root, shared_library};
use tempfile::TempDir;

const README: &str = "bindings/dotnet/README.md";
/// The tests that the package had when this was written: none of them gets lost on the way.
const TESTS: usize = 23;
/// One needs a SQLite of the system's.
const MAY_NOT_RUN: usize = 1;

fn mono_is_here() -> bool {
    are_here("C#", &[&["mcs", "--version"], &["mono", "--version"]], &[])
}

/// All C# of a folder of the package.
fn sources(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("bindings/dotnet").join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "cs"));
    files.sort();
    files
}

#[track_caller]
fn compiled(into: &Path, settings: &[String], sources: Vec<PathBuf>) {
    let mut mcs = Command::new("mcs");
    mcs.args(["-langversion:7.2", "-warn:4"]).args(settings).args(sources);
    succeeded(&mcs.arg(format!("-out:{}", into.display())).output().unwrap());
}

/// A folder with the package in it, and the C library, where a program finds them.
fn with_package(settings: &[String]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut mine = settings.to_vec();
    // Whatever is public has its comment: the compiler looks.
    mine.extend(["-target:library".into(), format!("-doc:{}", folder.path().join("Tillsync.xml").display())]);
    compiled(&folder.path().join("Tillsync.dll"), &mine, sources("src"));
    std::os::unix::fs::symlink(shared_library(), folder.path().join("libtillsync.so")).unwrap();
    folder
}

fn with_tests(settings: &[String]) -> TempDir {
    let folder = with_package(settings);
    let mut mine = settings.to_vec();
    mine.push(format!("-r:{}", folder.path().join("Tillsync.dll").display()));
    compiled(&folder.path().join("Tests.exe"), &mine, sources("tests"));
    folder
}

fn of_mono() -> Vec<String> {
    vec!["-r:System,System.Core".into(), "-warnaserror".into()]
}

#[test]
fn the_package_for_dotnet_goes_through_its_days_on_mono() {
    if !mono_is_here() {
        return;
    }
    let folder = with_tests(&of_mono());
    let mut mono = Command::new("mono");
    mono.arg(folder.path().join("Tests.exe")).env("TILLSYNC_RUNTIME", "mono");
    package::tests_itself(&mut mono, TESTS, MAY_NOT_RUN);
}

/// Where `.ci/run` puts the runtime of .NET Core, and what Mono's compiler needs of it.
fn dotnet_core() -> Option<(PathBuf, PathBuf)> {
    let home = root().join("target/dotnetcore/dotnetcore2/bin");
    let versions = std::fs::read_dir(home.join("shared/Microsoft.NETCore.App"));
    let is_whole = home.join("dotnet").is_file();
    let Some(version) = versions.ok().and_then(|mut all| all.next()).filter(|_| is_whole) else {
        eprintln!("NOT RUN: the package for .NET on .NET Core needs its runtime in target/dotnetcore");
        return None;
    };
    Some((home.join("dotnet"), version.unwrap().path()))
}

fn of_dotnet_core(assemblies: &Path) -> Vec<String> {
    let all =
        std::fs::read_dir(assemblies).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let managed = |name: &String| {
        let known = ["System.", "netstandard.", "mscorlib."].iter().any(|begins| name.starts_with(begins));
        known && name.ends_with(".dll") && !name.to_lowercase().contains("native")
    };
    let references = all.filter(managed).map(|name| format!("-r:{name}"));
    // Each assembly is found by more than one way, of which the compiler warns.
    ["-nostdlib".into(), "-noconfig".into(), format!("-lib:{}", assemblies.display()), "-nowarn:1702".into()]
        .into_iter()
        .chain(references)
        .collect()
}

#[test]
fn the_package_for_dotnet_goes_through_its_days_on_dotnet_core() {
    let (true, Some((dotnet, assemblies))) = (mono_is_here(), dotnet_core()) else { return };
    let folder = with_tests(&of_dotnet_core(&assemblies));
    let settings = folder.path().join("Tests.runtimeconfig.json");
    // Without libicu, which is not everywhere.
    std::fs::write(
        &settings,
        r#"{"runtimeOptions":{"framework":{"name":"Microsoft.NETCore.App","version":"3.1.0"},
            "configProperties":{"System.Globalization.Invariant":true}}}"#,
    )
    .unwrap();
    let runtime = format!("{} exec --runtimeconfig {}", dotnet.display(), settings.display());
    let mut core = Command::new(&dotnet);
    core.args(runtime.split(' ').skip(1)).arg(folder.path().join("Tests.exe"));
    package::tests_itself(core.env("TILLSYNC_RUNTIME", runtime), TESTS, MAY_NOT_RUN);
}

#[test]
fn the_package_for_dotnet_begins_as_its_readme_says() {
    if !mono_is_here() {
        return;
    }
    let folder = with_package(&of_mono());
    let source = folder.path().join("Shop.cs");
    std::fs::write(&source, package::printed_in(README, "csharp")).unwrap();
    let settings = [format!("-r:{}", folder.path().join("Tillsync.dll").display()), "-warnaserror".into()];
    compiled(&folder.path().join("Shop.exe"), &settings, vec![source]);
    let mut mono = Command::new("mono");
    mono.arg("Shop.exe");
    assert_eq!(package::beside_a_sandbox(mono, folder.path()), "1 email 255\nUploaded\n");
}

#[test]
fn that_there_is_no_library_is_told_by_the_package_for_dotnet() {
    if !mono_is_here() {
        return;
    }
    let folder = with_package(&of_mono());
    std::fs::remove_file(folder.path().join("libtillsync.so")).unwrap();
    let source = folder.path().join("Bare.cs");
    let text = r#"using System; using Tillsync; class Bare { static void Main() {
        try { new Till("till.db"); } catch (TillException none) { Console.WriteLine(none.Code + ", " + none.Message); } } }"#;
    std::fs::write(&source, text).unwrap();
    let settings = [format!("-r:{}", folder.path().join("Tillsync.dll").display())];
    compiled(&folder.path().join("Bare.exe"), &settings, vec![source]);
    let mut mono = Command::new("mono");
    mono.arg("Bare.exe").env_remove("LD_LIBRARY_PATH");
    let said = package::beside_a_sandbox(mono, folder.path());
    assert!(said.starts_with("no_library, the C library of tillsync is not there: "), "{said}");
}

/// A lambda that waits in a transaction, and an amount that is not exact, are found by the compiler.
#[test]
fn what_the_package_for_dotnet_does_not_let_through_does_not_compile() {
    if !mono_is_here() {
        return;
    }
    let folder = with_package(&of_mono());
    let refused = |body: &str, error: &str| {
        let source = folder.path().join("Wrong.cs");
        let text =
            format!("using Tillsync; class Wrong {{ static void Main() {{ Till till = null; {body} }} }}");
        std::fs::write(&source, text).unwrap();
        let mut mcs = Command::new("mcs");
        mcs.arg(format!("-r:{}", folder.path().join("Tillsync.dll").display())).arg(source);
        let said = mcs.arg(format!("-out:{}", folder.path().join("Wrong.exe").display())).output().unwrap();
        let said =
            String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
        assert!(said.contains(error), "{body}: {said}");
    };
    refused("till.Credit(1, 12.5);", "error CS1503");
    refused(
        "till.Transaction(async sale => await System.Threading.Tasks.Task.Delay(1));",
        "a transaction belongs to its thread",
    );
}
