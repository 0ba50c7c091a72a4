//! A build without SQLCipher: whoever asks for a key is told so, and never gets a plain file.

#![cfg(not(feature = "sqlcipher"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

use std::path::Path;
use std::process::Command;

use tillsync::{Key, Store, StoreOptions};

fn key() -> Option<Key> {
    Some(Key::passphrase("correct horse").unwrap())
}

#[test]
fn a_key_is_an_error_that_names_the_feature_and_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("till.db");
    let check = |error: tillsync::Error| {
        assert_eq!((error.code(), error.is_usage()), ("not_built_in", true));
        assert!(error.to_string().contains("sqlcipher"), "{error}");
    };
    for create in [true, false] {
        check(
            Store::open_with(&path, StoreOptions { create, key: key(), ..StoreOptions::default() })
                .unwrap_err(),
        );
        assert!(!path.exists());
    }
    let mut store = Store::open(&path).unwrap();
    check(Store::open_with(&path, StoreOptions { key: key(), ..StoreOptions::default() }).unwrap_err());
    check(store.rekey(key().unwrap()).unwrap_err());
    let copy = folder.path().join("copy.db");
    check(store.backup_with_key(&copy, key().as_ref()).unwrap_err());
    assert!(!copy.exists());
    assert!(store.backup_with_key(&copy, None).is_ok() && !store.is_encrypted());
    with_the_command(&path);
}

fn with_the_command(path: &Path) {
    let Some(tillsync) = option_env!("CARGO_BIN_EXE_tillsync") else { return };
    let output = Command::new(tillsync)
        .args(["status", "--json", "--db"])
        .arg(path)
        .env("TILLSYNC_KEY", "correct horse")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("not_built_in") && !said.contains("horse"), "{said}");
}

#[test]
fn an_encrypted_file_is_told_from_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("till.db");
    let mut random = fastrand::Rng::with_seed(1);
    let mut bytes = vec![0; 8192];
    random.fill(&mut bytes);
    std::fs::write(&path, &bytes).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert_eq!(error.code(), "key_needed", "{error}");
    bytes[..6000].fill(0xaa);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(Store::open(&path).unwrap_err().code(), "corrupt");
}

#[cfg(not(feature = "keyring"))]
#[test]
fn so_is_a_key_from_the_keyring() {
    let error = Key::from_keyring("tillsync", "till 1").unwrap_err();
    assert_eq!(error.code(), "not_built_in");
    assert!(error.to_string().contains("keyring"), "{error}");
}
