//! The C header is what the Rust source says, and `unsafe` stays where it belongs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `TILLSYNC_WRITE_HEADER=1 cargo test --test ffi_header` writes it.
#[test]
fn the_header_is_up_to_date() {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let made =
        cbindgen::Builder::new().with_src(root().join("src/ffi.rs")).with_config(config).generate().unwrap();
    let mut header = Vec::new();
    made.write(&mut header);
    let (header, path) = (String::from_utf8(header).unwrap(), root().join("include/tillsync.h"));
    if std::env::var_os("TILLSYNC_WRITE_HEADER").is_some() {
        std::fs::write(&path, &header).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == header,
        "include/tillsync.h is old: TILLSYNC_WRITE_HEADER=1 cargo test --test ffi_header"
    );
}

/// Those of plain SQLite: SQLCipher's, which is a little older, is declared by them too.
/// `TILLSYNC_WRITE_HEADER=1 cargo test --test ffi_header` copies them.
#[test]
fn the_headers_of_sqlite_are_of_the_version_that_is_built_in() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"));
    let packages: serde_json::Value = serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
    let packages = packages["packages"].as_array().unwrap();
    let sqlite = packages.iter().find(|package| package["name"] == "libsqlite3-sys").unwrap();
    let folder = Path::new(sqlite["manifest_path"].as_str().unwrap()).with_file_name("sqlite3");
    for name in ["sqlite3.h", "sqlite3ext.h"] {
        let (built_in, path) = (std::fs::read(folder.join(name)).unwrap(), root().join("include").join(name));
        if std::env::var_os("TILLSYNC_WRITE_HEADER").is_some() {
            std::fs::write(&path, &built_in).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap_or_default() == built_in,
            "include/{name} is old: TILLSYNC_WRITE_HEADER=1 cargo test --test ffi_header"
        );
    }
}

#[test]
fn only_what_speaks_with_c_has_unsafe_code_and_every_block_says_why() {
    let mut with_unsafe = Vec::new();
    visit(&root().join("src"), &mut |path, text| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.clone().any(|line| line.contains("unsafe ") || line.contains("allow(unsafe_code")) {
            with_unsafe.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    });
    with_unsafe.sort();
    assert_eq!(with_unsafe, ["src/descriptors.rs", "src/ffi.rs", "src/windows.rs"].map(Path::new));

    let extension = ["lib.rs", "routines.rs", "client_data.rs"]
        .map(|name| Path::new("bindings/extension/src").join(name));
    for file in with_unsafe.into_iter().chain(extension) {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (place, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("unsafe {")) {
            let mut above =
                lines[..place].iter().rev().take_while(|line| line.trim_start().starts_with("//"));
            assert!(above.any(|line| line.contains("SAFETY: ")), "{}:{}: {line}", file.display(), place + 1);
        }
    }
}

fn visit(folder: &Path, see: &mut impl FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => visit(&path, see),
            false => see(&path, &std::fs::read_to_string(&path).unwrap()),
        }
    }
}
