//! The package for Java, `bindings/java`: its own tests, with the library named by its folder and out of a jar, and what its README
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
use library::{library, root, shared_library};
use tempfile::TempDir;

const README: &str = "bindings/java/README.md";
/// The tests that the package had when this was written: none of them gets lost on the way.
const TESTS: usize = 22;
/// Where Debian puts jars: what the package stands on, and a SQLite that is not the library's.
const JARS: [&str; 2] = ["/usr/share/java/jna.jar", "/usr/share/java/gson.jar"];
const ANOTHER_SQLITE: &str = "/usr/share/java/sqlite-jdbc.jar";

fn java_is_here() -> bool {
    are_here("Java", &[&["java", "--version"], &["javac", "--version"]], &JARS)
}

/// All Java below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "java"));
    files.sort();
    files
}

fn class_path(folder: &Path) -> String {
    format!("{}:{}:{ANOTHER_SQLITE}", folder.display(), JARS.join(":"))
}

/// Warnings are errors, and whatever is public has its comment.
#[track_caller]
fn compiled(into: &Path, settings: &[&str], sources: Vec<PathBuf>) {
    let mut javac = Command::new("javac");
    javac.args(["--release", "17", "-Xlint:all", "-Werror", "-cp", &class_path(into), "-d"]).arg(into);
    succeeded(&javac.args(settings).args(sources).output().unwrap());
}

/// A folder with the package's classes.
fn with_package() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let all = sources(&root().join("bindings/java/src"));
    compiled(folder.path(), &["-Xdoclint:all/protected"], all);
    folder
}

fn by_folder() -> String {
    format!("-Djna.library.path={}", library().display())
}

#[test]
fn the_package_for_java_goes_through_its_days() {
    if !java_is_here() {
        return;
    }
    let folder = with_package();
    compiled(folder.path(), &[], sources(&root().join("bindings/java/tests")));
    let mut java = Command::new("java");
    java.args(["-cp", &class_path(folder.path()), &by_folder(), "Runner"]);
    package::tests_itself(&mut java, TESTS);
}

/// As `.ci/dist` lays it out: the library lies in the jar, by the name that JNA has for the system.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_package_for_java_begins_as_its_readme_says_out_of_its_jar() {
    if !java_is_here() {
        return;
    }
    let (folder, shop) = (with_package(), tempfile::tempdir().unwrap());
    let native = folder.path().join("linux-x86-64");
    std::fs::create_dir(&native).unwrap();
    std::fs::copy(shared_library(), native.join("libtillsync.so")).unwrap();
    let jar = shop.path().join("tillsync.jar");
    let mut packs = Command::new("jar");
    // Not compressed: the library of the tests is large, and nobody is to wait for it.
    packs.args(["--create", "--no-compress", "--file"]).arg(&jar).arg("-C").arg(folder.path()).arg(".");
    succeeded(&packs.output().unwrap());

    std::fs::write(shop.path().join("Shop.java"), package::printed_in(README, "java")).unwrap();
    let mut java = Command::new("java");
    java.args(["-cp", &format!("{}:{}", jar.display(), JARS.join(":")), "Shop.java"]);
    assert_eq!(package::beside_a_sandbox(java, shop.path()), "1 email 255\nUPLOADED\n");
}

#[test]
fn a_float_is_no_amount_for_the_package_for_java() {
    if !java_is_here() {
        return;
    }
    let folder = with_package();
    let source = folder.path().join("Wrong.java");
    let text = "class Wrong { void wrong(io.github.tillsync.Till till) { till.credit(1, 12.5); } }";
    std::fs::write(&source, text).unwrap();
    let said = Command::new("javac").args(["-cp", &class_path(folder.path())]).arg(&source).output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("double cannot be converted to BigDecimal"), "{said}");
}
