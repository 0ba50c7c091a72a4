//! The C library, as the tests of the languages load it.

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
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root()).args(["build", "--quiet", "--example", "tillsync", "--features", FEATURES]);
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the library does not build");
        folder.join("examples")
    })
}
