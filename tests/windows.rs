//! What a till meets on Windows. What is true of every system runs on every one; the rest runs there, or under Wine, which is
//! what `.ci/windows` does and docs/windows.md tells of.
#![cfg(all(feature = "cli", feature = "sandbox"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail as a test does")]

mod common;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use common::command::Ran;
use common::{Till, sandbox, till};
use tillsync::Extent;

/// The same till in a folder of its own, which is not made yet.
fn in_folder(till: &Till, folder: &[&str]) -> Till {
    let folder: PathBuf = till.folder.path().join(folder.iter().collect::<PathBuf>());
    std::fs::create_dir_all(&folder).unwrap();
    Till { path: folder.join("Kasse 1 (Süd).db"), ..till.clone() }
}

fn ids(till: &Till) -> Vec<i64> {
    till.sandbox.ids().into_iter().map(i64::from).collect()
}

/// Edited by the library and by the command, sent, backed up, and found well.
fn works(till: &Till) {
    till.engine().pull(Extent::Changes).unwrap();
    till.set(1, "company", "Käse & Söhne");
    let ran = till.run(["edit", "2", "phone=0151 23456", "company=Größe 44 €"]);
    assert_eq!(ran.exit, Some(0), "{ran:?}");
    let ran = till.run(["sync"]);
    assert_eq!((ran.exit, &ran.json["uploaded_customers"]), (Some(0), &2.into()), "{ran:?}");
    assert_eq!(till.remote_value(1, "company"), "\"Käse & Söhne\"");
    assert_eq!(till.remote_value(2, "company"), "\"Größe 44 €\"");
    let backup = till.path.with_file_name("Sicherung.db");
    let ran = till.run(["backup", backup.to_str().unwrap()]);
    assert_eq!(ran.exit, Some(0), "{ran:?}");
    for path in [&till.path, &backup] {
        let ran = Till { path: path.clone(), ..till.clone() }.run(["doctor"]);
        assert_eq!(ran.exit, Some(0), "{ran:?}");
    }
    till.assert_no_violations();
}

#[test]
fn a_till_lies_in_a_folder_with_blanks_umlauts_and_signs_of_an_address() {
    let till = Till::new(sandbox(3));
    works(&in_folder(&till, &["Kasse Süd", "100% #1 & mehr", "日本語"]));
}

#[test]
fn a_path_has_more_than_260_signs() {
    let till = Till::new(sandbox(3));
    let folder = "Filiale Nürnberg am Hauptmarkt ".trim_end();
    let till = in_folder(&till, &[folder; 9]);
    assert!(till.path.to_str().unwrap().chars().count() > 260);
    works(&till);
}

/// As an editor of Windows writes them: lines end with CR and LF, and the first begins with a mark.
#[test]
fn files_that_an_editor_of_windows_has_written_are_read() {
    let till = till(3);
    let file = |name: &str, text: &str| {
        let path = till.folder.path().join(name);
        std::fs::write(&path, format!("\u{feff}{text}\r\n")).unwrap();
        path.display().to_string()
    };
    let edits = file("edits.jsonl", "{\"id\":1,\"phone\":\"1\"}\r\n\r\n{\"id\":2,\"phone\":\"2\"}");
    let ran = till.run(["edit", "--from", &edits]);
    assert_eq!(ran.exit, Some(0), "{ran:?}");
    let token = file("token.txt", till.sandbox.token());
    let sync = till.command(["sync", "--token-file", &token]).env_remove("BIGCOMMERCE_ACCESS_TOKEN").output();
    let ran = Ran::of(&sync.unwrap());
    assert_eq!((ran.exit, &ran.json["uploaded_customers"]), (Some(0), &2.into()), "{ran:?}");
}

#[test]
fn what_a_shell_hands_over_with_its_mark_is_the_value_without() {
    use std::io::Write as _;
    let till = till(3);
    let mut edit = till.command(["edit", "1", "notes=@-"]).stdin(Stdio::piped()).spawn().unwrap();
    edit.stdin.take().unwrap().write_all("\u{feff}Süd\r\n".as_bytes()).unwrap();
    assert_eq!(Ran::of(&edit.wait_with_output().unwrap()).exit, Some(0));
    assert_eq!(till.local(1, "notes"), "\"Süd\"");
}

#[test]
fn two_processes_have_one_file_and_both_edit_it() {
    let till = Arc::new(till(30));
    let edit = |nth: i64| {
        let till = till.clone();
        std::thread::spawn(move || {
            for id in ids(&till).into_iter().filter(|id| id % 2 == nth) {
                let ran = till.run(["edit", &id.to_string(), "phone=1"]);
                assert_eq!(ran.exit, Some(0), "{ran:?}");
            }
        })
    };
    let both = [edit(0), edit(1)];
    let store = till.store();
    both.into_iter().for_each(|one| one.join().unwrap());
    assert_eq!(store.status().unwrap().pending_customers, 30);
    let ran = till.run(["sync"]);
    assert_eq!((ran.exit, &ran.json["uploaded_customers"]), (Some(0), &30.into()), "{ran:?}");
}

/// What only Windows has.
#[cfg(windows)]
mod windows {
    use std::fs::{File, OpenOptions};
    use std::os::windows::fs::OpenOptionsExt;
    use std::process::Command;
    use std::time::Duration;

    use tillsync::Store;
    use tillsync::system::is_open_to_others;

    use super::*;

    const NOBODY_ELSE: u32 = 0;
    const OTHERS_READ: u32 = 1;

    fn beside(till: &Till, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", till.path.display()))
    }

    #[test]
    fn a_till_and_what_lies_beside_it_are_not_for_everybody() {
        let till = till(3);
        let store = till.store();
        let backup = till.path.with_file_name("backup.db");
        store.backup(&backup).unwrap();
        for path in [till.path.clone(), beside(&till, "-wal"), beside(&till, "-shm"), backup] {
            assert!(path.exists() && !is_open_to_others(&path), "{}", path.display());
        }
        let report = till.path.with_file_name("report.json");
        assert_eq!(till.run(["report", report.to_str().unwrap()]).exit, Some(0));
        assert!(!is_open_to_others(&report));
    }

    /// A virus scanner, an indexer, a copy to a stick.
    #[test]
    fn a_file_that_another_program_has_for_itself_is_told_and_used_when_it_is_free() {
        let till = till(3);
        till.run(["edit", "1", "phone=1"]);
        let other = OpenOptions::new().read(true).share_mode(NOBODY_ELSE).open(&till.path).unwrap();
        let ran = till.run(["status"]);
        assert_eq!(ran.exit, Some(6), "{ran:?}");
        assert!(!ran.code().is_empty() && ran.code() != "corrupt" && ran.code() != "not_there", "{ran:?}");
        drop(other);
        let ran = till.run(["sync"]);
        assert_eq!((ran.exit, &ran.json["uploaded_customers"]), (Some(0), &1.into()), "{ran:?}");
    }

    #[test]
    fn a_file_that_another_program_reads_is_not_deleted_by_a_restore() {
        let till = till(3);
        let backup = till.path.with_file_name("backup.db");
        till.store().backup(&backup).unwrap();
        till.set(1, "phone", "1");
        let other = OpenOptions::new().read(true).share_mode(OTHERS_READ).open(&till.path).unwrap();
        let ran = till.run(["restore", backup.to_str().unwrap()]);
        assert_ne!(ran.exit, Some(0), "{ran:?}");
        drop(other);
        assert_eq!(till.local(1, "phone"), "\"1\"");
        assert_eq!(till.run(["doctor"]).exit, Some(0));
    }

    #[test]
    fn a_read_only_file_is_read_and_an_edit_of_it_refused_by_its_word() {
        let till = till(3);
        let read_only = |yes: bool| {
            let mut permissions = till.path.metadata().unwrap().permissions();
            permissions.set_readonly(yes);
            std::fs::set_permissions(&till.path, permissions).unwrap();
        };
        read_only(true);
        if OpenOptions::new().write(true).open(&till.path).is_ok() {
            // Under Wine as root: nothing is read-only to root.
            return read_only(false);
        }
        let ran = till.run(["edit", "1", "phone=1"]);
        assert_eq!((ran.exit, ran.code()), (Some(6), "not_writable"), "{ran:?}");
        read_only(false);
        assert_eq!(till.run(["edit", "1", "phone=1"]).exit, Some(0));
    }

    /// Decision 11: locks belong to handles here.
    #[test]
    fn who_opens_and_closes_the_file_takes_nobody_s_lock_away() {
        let till = till(3);
        let store = till.store();
        let writer = rusqlite::Connection::open(&till.path).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE; UPDATE customer SET phone = '1' WHERE id = 1").unwrap();
        drop(File::open(&till.path).unwrap());
        drop(File::open(beside(&till, "-shm")).unwrap());
        // Another process: it would get the right to write, were the lock gone.
        let ran = till.run(["edit", "1", "phone=2"]);
        assert_eq!((ran.exit, ran.code()), (Some(6), "locked"), "{ran:?}");
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(till.run(["edit", "1", "phone=2"]).exit, Some(0));
        assert_eq!(store.status().unwrap().pending_fields, 1);
        Store::open(&till.path).unwrap();
    }

    #[test]
    fn a_till_that_is_open_can_be_neither_moved_nor_deleted() {
        let till = till(3);
        let store = till.store();
        assert!(std::fs::remove_file(&till.path).is_err());
        assert!(std::fs::rename(&till.path, till.path.with_file_name("moved.db")).is_err());
        drop(store);
        assert_eq!(till.run(["doctor"]).exit, Some(0));
    }

    /// A console has a code page; what is written to a file or another program is UTF-8 all the same.
    #[test]
    fn the_code_page_of_the_console_changes_no_output() {
        let till = till(3);
        till.set(1, "company", "Größe 44 €");
        for page in ["437", "850", "1252", "65001"] {
            let mut shown = Command::new("cmd");
            let command = env!("CARGO_BIN_EXE_tillsync").replace('/', r"\");
            let show = format!("chcp {page} >NUL & \"{command}\" show 1 --json");
            std::os::windows::process::CommandExt::raw_arg(&mut shown, format!("/s /c \"{show}\""));
            let shown = shown.env("TILLSYNC_DB", &till.path).output().unwrap();
            let text = String::from_utf8(shown.stdout).unwrap();
            assert!(text.contains("Größe 44 €"), "{page}: {text}");
        }
    }

    #[test]
    fn a_till_lies_where_windows_has_an_app_keep_its_data() {
        for place in ["APPDATA", "LOCALAPPDATA"] {
            let folder = PathBuf::from(std::env::var_os(place).expect(place));
            let folder = tempfile::Builder::new().prefix("tillsync ").tempdir_in(folder).unwrap();
            let till = Till { path: folder.path().join("till.db"), ..Till::new(sandbox(3)) };
            works(&till);
        }
    }

    /// By the task manager: the process gets no word in it.
    #[test]
    fn a_sync_that_is_terminated_is_repaired_by_the_next() {
        let till = till(30);
        ids(&till).into_iter().for_each(|id| till.set(id, "phone", "1"));
        till.sandbox.set_latency_ms(50);
        for wait_ms in [20, 60, 120, 200, 300] {
            let mut sync = till.command(["sync"]).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(wait_ms));
            // TerminateProcess.
            sync.kill().unwrap();
            sync.wait().unwrap();
        }
        let ran = till.run(["sync"]);
        assert_eq!(ran.exit, Some(0), "{ran:?}");
        assert!(ids(&till).into_iter().all(|id| till.remote_value(id, "phone") == "\"1\""));
        assert_eq!(till.run(["sync"]).json["requests"]["put"], 0);
        till.assert_no_violations();
    }
}
