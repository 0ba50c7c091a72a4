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
const TESTS: usize = 23;
/// Where Debian puts jars: what the package stands on, and a SQLite that is not the library's.
const JARS: [&str; 3] =
    ["/usr/share/java/jna.jar", "/usr/share/java/gson.jar", "/usr/share/java/sqlite-jdbc.jar"];
/// Where it puts what Maven would fetch.
const MAVEN: &str = "/usr/share/maven-repo";

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
    format!("{}:{}", folder.display(), JARS.join(":"))
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
    package::tests_itself(&mut java, TESTS, 0);
}

/// The library lies in the jar, by the name that JNA has for the system.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_package_for_java_begins_as_its_readme_says_out_of_its_jar() {
    if !java_is_here() {
        return;
    }
    let shop = tempfile::tempdir().unwrap();
    let jar = if maven_is_here() { by_maven(shop.path()) } else { by_hand(shop.path()) };
    std::fs::write(shop.path().join("Shop.java"), package::printed_in(README, "java")).unwrap();
    let mut java = Command::new("java");
    java.args(["-cp", &format!("{}:{}", jar.display(), JARS.join(":")), "Shop.java"]);
    assert_eq!(package::beside_a_sandbox(java, shop.path()), "1 email 255\nUPLOADED\n");
}

/// Debian's Maven, with the plugins that the package asks for: no network is asked.
fn maven_is_here() -> bool {
    let plugins = ["compiler", "jar", "resources", "surefire"];
    let plugins = plugins.map(|name| format!("{MAVEN}/org/apache/maven/plugins/maven-{name}-plugin"));
    let files: Vec<&str> = plugins.iter().map(String::as_str).collect();
    are_here("Java, by Maven,", &[&["mvn", "--version"]], &files)
}

/// As its README says.
#[track_caller]
fn by_maven(folder: &Path) -> PathBuf {
    let package = folder.join("java");
    succeeded(
        &Command::new("cp").arg("-rL").arg(root().join("bindings/java")).arg(&package).output().unwrap(),
    );
    for left in ["native", "target"] {
        _ = std::fs::remove_dir_all(package.join(left));
    }
    with_library(&package.join("native"));
    let settings = folder.join("settings.xml");
    let offline =
        format!("<settings><localRepository>{MAVEN}</localRepository><offline>true</offline></settings>");
    std::fs::write(&settings, offline).unwrap();
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "--offline", "--settings"]).arg(settings).arg("package");
    succeeded(&maven.current_dir(&package).output().unwrap());
    package.join("target/tillsync-0.1.0.jar")
}

#[track_caller]
fn by_hand(folder: &Path) -> PathBuf {
    let (classes, jar) = (with_package(), folder.join("tillsync.jar"));
    with_library(classes.path());
    let mut packs = Command::new("jar");
    packs.args(["--create", "--file"]).arg(&jar).arg("-C").arg(classes.path()).arg(".");
    succeeded(&packs.output().unwrap());
    jar
}

fn with_library(folder: &Path) {
    let native = folder.join("linux-x86-64");
    std::fs::create_dir_all(&native).unwrap();
    std::fs::copy(shared_library(), native.join("libtillsync.so")).unwrap();
}

#[test]
fn that_there_is_no_library_is_told_by_the_package_for_java() {
    if !java_is_here() {
        return;
    }
    let (folder, shop) = (with_package(), tempfile::tempdir().unwrap());
    let text = r#"import io.github.tillsync.*;
        class Bare { public static void main(String[] arguments) {
            try { new Till(java.nio.file.Path.of("till.db")); }
            catch (TillException none) { System.out.println(none.code() + ", " + none.getMessage()); } } }"#;
    std::fs::write(shop.path().join("Bare.java"), text).unwrap();
    let mut java = Command::new("java");
    java.args(["-cp", &class_path(folder.path()), "Bare.java"]).env_remove("LD_LIBRARY_PATH");
    let said = package::beside_a_sandbox(java, shop.path());
    assert!(said.starts_with("no_library, the C library of tillsync is not there: "), "{said}");
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
