//! The C library and the extension, as the tests of the languages load them.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Those of this test, or SQLite would be built twice.
const FEATURES: &str =
    if cfg!(all(feature = "sqlcipher", feature = "keyring")) { "ffi,sqlcipher,keyring" } else { "ffi" };

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder that holds the shared library, built with the features and into the folder of this test.
pub fn library() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| built(&["--example", "tillsync", "--features", FEATURES]).join("examples"))
}

/// The shared library itself.
pub fn shared_library() -> PathBuf {
    library().join(format!("{}tillsync{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// The extension, without its suffix. It is built of crates of its own where SQLite has a part in them, once: a minute.
pub fn extension() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let name = format!("{}tillsync_extension", std::env::consts::DLL_PREFIX);
        built(&["--package", "tillsync-extension"]).join(name)
    })
}

/// Builds it beside this test, and returns where what was built is.
fn built(what: &[&str]) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet"]).args(what);
    cargo.arg("--target-dir").arg(folder.parent().unwrap());
    // Of the package that is tested; a crate that asks for them would be built anew each time, and all that stands on it.
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    std::env::vars().filter(|(name, _)| of_package(name)).for_each(|(name, _)| _ = cargo.env_remove(name));
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "it does not build: {what:?}");
    folder.to_owned()
}
