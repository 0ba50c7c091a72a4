//! What Windows tells that the standard library does not know: who may read a file, who runs this process, which machine this
//! is, and how much room a disk has.
//!
//! Rights are read and written as the text that Windows itself has for them (SDDL), so that what is decided about them is plain
//! text: `D:P(A;;FA;;;SY)` lets the system (`SY`) do everything (`FA`), and inherits nothing from the folder (`P`).
//!
//! `unsafe` stands here because the functions of Windows are C, and no crate that is kept puts anything safe around these.

#![allow(unsafe_code, reason = "the functions of Windows are C")]

use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Foundation::{CloseHandle, ERROR_SUCCESS, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1,
    SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetTokenInformation, PSECURITY_DESCRIPTOR, SetFileSecurityW, TOKEN_QUERY,
    TOKEN_USER, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, RRF_RT_REG_SZ, RRF_SUBKEY_WOW6464KEY, RegGetValueW,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// From now on only who runs this process may open the file, besides the system and its administrators, whom nothing keeps out.
pub fn close_to_others(path: &Path) -> io::Result<()> {
    set_rights(path, &format!("D:P(A;;FA;;;{})(A;;FA;;;SY)(A;;FA;;;BA)", user()?))
}

/// Gives a file that SQLite made beside another one the rights of that one, as it does by itself elsewhere: here it gets those of
/// the folder.
pub(crate) fn give_rights_of(path: &Path, beside: &Path) -> io::Result<()> {
    let rights = rights(path)?;
    if self::rights(beside)? == rights { Ok(()) } else { set_rights(beside, &rights) }
}

/// Whether everybody who has an account may read or write the file, or everybody at all.
pub fn is_open_to_others(path: &Path) -> bool {
    rights(path).is_ok_and(|rights| lets_everybody(&rights))
}

/// Whether an absolute path means something else than a file, whatever stands there: a device (`NUL`), or a part of a file that
/// does not show (`till.db:part`).
pub(crate) fn is_no_file(path: &Path) -> bool {
    let name = path.file_name().map(std::ffi::OsStr::to_string_lossy);
    path.to_string_lossy().starts_with(r"\\.\") || name.is_some_and(|name| name.contains(':'))
}

/// A path by the name that the file has, or is to have: a short one (`CUSTOM~1.DB`) or a link would lead SQLite to the same file,
/// and to another log beside it. One that is longer than programs take by themselves is written in the way that lets them.
pub(crate) fn own_name(path: &Path) -> PathBuf {
    let in_folder = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let own = path.canonicalize().ok().or_else(in_folder);
    let own = own.as_deref().unwrap_or(path);
    own.to_str().map_or_else(|| own.to_owned(), |text| spelled(text).into())
}

/// With the mark (`\\?\`) by which Windows takes a path as it stands where it is too long to go without, and without it elsewhere.
fn spelled(path: &str) -> String {
    /// Windows' 260 with a NUL, less what lies beside a file has behind its name, and less a stretch for SQLite's own.
    const MOST: usize = 260 - 1 - 8 - 11;
    let is_share = path.starts_with(r"\\?\UNC\") || (path.starts_with(r"\\") && !path.starts_with(r"\\?\"));
    let bare = path.trim_start_matches(r"\\?\UNC\").trim_start_matches(r"\\?\").trim_start_matches('\\');
    let begin = match (bare.encode_utf16().count() <= MOST, is_share) {
        (true, true) => r"\\",
        (true, false) => "",
        (false, true) => r"\\?\UNC\",
        (false, false) => r"\\?\",
    };
    format!("{begin}{bare}")
}

/// Of the disk of this folder, as much as this user may have.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let (folder, mut bytes) = (wide(folder), 0);
    // SAFETY: a name that ends with a NUL, a place for one number, and none for those that are not asked for.
    let told = unsafe {
        GetDiskFreeSpaceExW(folder.as_ptr(), &raw mut bytes, std::ptr::null_mut(), std::ptr::null_mut())
    };
    (told != 0).then_some(bytes)
}

/// Which machine this is: what Windows has called it since it was set up.
pub(crate) fn machine() -> Option<String> {
    /// More than the name takes, which has 36 signs.
    const ROOM_WORDS: usize = 128;
    let (place, name) = (wide(Path::new(r"SOFTWARE\Microsoft\Cryptography")), wide(Path::new("MachineGuid")));
    let mut found = [0_u16; ROOM_WORDS];
    let mut bytes = u32::try_from(size_of_val(&found)).ok()?;
    // SAFETY: names that end with a NUL, as much room as is said, and no place for what is not asked for.
    let error = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            place.as_ptr(),
            name.as_ptr(),
            RRF_RT_REG_SZ | RRF_SUBKEY_WOW6464KEY,
            std::ptr::null_mut(),
            found.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    told(error).ok()?;
    let length = found.iter().position(|sign| *sign == 0)?;
    Some(String::from_utf16_lossy(&found[..length]))
}

/// Whether one of the entries lets a group in that anybody is a member of.
fn lets_everybody(rights: &str) -> bool {
    /// Everyone, authenticated users, users, guests, the anonymous, and whoever sits there or comes by the network.
    const ANYBODY: [&str; 7] = ["WD", "AU", "BU", "BG", "AN", "IU", "NU"];
    // No list at all: nobody is kept out.
    if rights.contains("NO_ACCESS_CONTROL") {
        return true;
    }
    rights.split('(').skip(1).any(|entry| {
        let parts: Vec<&str> = entry.trim_end_matches(')').split(';').collect();
        matches!(parts[..], ["A", _, what, _, _, who] if ANYBODY.contains(&who) && is_access(what))
    })
}

/// Whether these rights let the content be read or changed. In figures or in pairs of letters, as Windows likes it.
fn is_access(rights: &str) -> bool {
    /// To read or write data, or anything; generic or not.
    const ACCESS: u32 = 0xD000_0000 | 0b11;
    const IN_LETTERS: [&str; 8] = ["FA", "FR", "FW", "GA", "GR", "GW", "CC", "DC"];
    match rights.strip_prefix("0x") {
        Some(figures) => u32::from_str_radix(figures, 16).is_ok_and(|rights| rights & ACCESS != 0),
        None => rights.as_bytes().chunks(2).any(|pair| IN_LETTERS.iter().any(|one| one.as_bytes() == pair)),
    }
}

/// Who may do what with a file: `D:` and the entries.
fn rights(path: &Path) -> io::Result<String> {
    let (name, mut found) = (wide(path), Local::default());
    // SAFETY: a name that ends with a NUL, and a place for what is found, which is given back when it is dropped.
    let error = unsafe {
        GetNamedSecurityInfoW(
            name.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw mut found.0,
        )
    };
    told(error)?;
    let (mut text, mut length) = (std::ptr::null_mut(), 0);
    // SAFETY: what was found a moment ago, and a place for the text and one for its length.
    let written = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            found.0,
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &raw mut text,
            &raw mut length,
        )
    };
    done(written)?;
    Ok(taken(text))
}

/// Exactly these, whatever the folder has.
fn set_rights(path: &Path, rights: &str) -> io::Result<()> {
    let (name, text, mut meant) = (wide(path), wide(Path::new(rights)), Local::default());
    // SAFETY: a text that ends with a NUL, and a place for what it means, which is given back when it is dropped.
    done(unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            &raw mut meant.0,
            std::ptr::null_mut(),
        )
    })?;
    // SAFETY: a name that ends with a NUL, and what the text means; owner and group stay as they are.
    done(unsafe { SetFileSecurityW(name.as_ptr(), DACL_SECURITY_INFORMATION, meant.0) })
}

/// Who runs this process, by the number that Windows knows an account by (`S-1-5-21-…`).
fn user() -> io::Result<String> {
    /// More than the longest number takes.
    const ROOM_WORDS: usize = 64;
    let mut token: HANDLE = std::ptr::null_mut();
    // SAFETY: this process, which is there, and a place for the answer.
    done(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    let mut room = [0_u64; ROOM_WORDS];
    let (bytes, mut used) = (u32::try_from(size_of_val(&room)).unwrap_or_default(), 0);
    // SAFETY: the token that was opened, and as much room as is said, aligned as what goes there must be.
    let asked = done(unsafe {
        GetTokenInformation(token, TokenUser, room.as_mut_ptr().cast(), bytes, &raw mut used)
    });
    // SAFETY: it was opened here, and is closed once.
    unsafe { CloseHandle(token) };
    asked?;
    let mut text = std::ptr::null_mut();
    // SAFETY: what was written there a moment ago is this; its number lies in the same room.
    done(unsafe {
        let user = &*room.as_ptr().cast::<TOKEN_USER>();
        ConvertSidToStringSidW(user.User.Sid, &raw mut text)
    })?;
    Ok(taken(text))
}

/// A text that Windows wrote, and that is given back to it.
fn taken(text: *mut u16) -> String {
    let text = Local(text.cast());
    let mut all = Vec::new();
    let mut at = text.0.cast::<u16>().cast_const();
    // SAFETY: it ends with a NUL, and nothing behind that is read.
    unsafe {
        while *at != 0 {
            all.push(*at);
            at = at.add(1);
        }
    }
    String::from_utf16_lossy(&all)
}

/// What Windows has allocated, and wants back.
struct Local(PSECURITY_DESCRIPTOR);

impl Default for Local {
    fn default() -> Local {
        Local(std::ptr::null_mut())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: it came from Windows, or is nothing, which may be given back too.
        unsafe { LocalFree(self.0) };
    }
}

/// As Windows takes a name: its words, and a NUL.
fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Of functions that answer with the error itself.
fn told(error: u32) -> io::Result<()> {
    if error == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(error.cast_signed())) }
}

/// Of functions that only say whether it went well.
fn done(answer: i32) -> io::Result<()> {
    if answer == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_closed_to_others_says_so_and_what_lies_beside_it_too() {
        let folder = tempfile::tempdir().unwrap();
        let (file, beside) = (folder.path().join("till.db"), folder.path().join("till.db-wal"));
        for path in [&file, &beside] {
            std::fs::write(path, "x").unwrap();
            set_rights(path, "D:P(A;;FA;;;WD)").unwrap();
            assert!(is_open_to_others(path), "{}", rights(path).unwrap());
        }
        close_to_others(&file).unwrap();
        assert!(!is_open_to_others(&file), "{}", rights(&file).unwrap());
        assert!(is_open_to_others(&beside));
        give_rights_of(&file, &beside).unwrap();
        assert!(!is_open_to_others(&beside));
        assert_eq!(std::fs::read(&beside).unwrap(), b"x", "its owner reads it as before");
    }

    #[test]
    fn whoever_has_an_account_is_everybody_and_the_system_is_not() {
        for open in [
            "D:(A;;FA;;;WD)",
            "D:AI(A;ID;FA;;;SY)(A;ID;0x1200a9;;;BU)",
            "D:P(A;;FA;;;SY)(A;;FRFX;;;AU)",
            "D:(A;;0x1301bf;;;AU)",
            "D:NO_ACCESS_CONTROL",
        ] {
            assert!(lets_everybody(open), "{open}");
        }
        for closed in [
            "D:P(A;;FA;;;S-1-5-21-1-2-3-1001)(A;;FA;;;SY)(A;;FA;;;BA)",
            "D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;S-1-5-21-1-2-3-1001)",
            "D:(D;;FA;;;WD)(A;;FA;;;OW)",
            "D:(A;;0x100000;;;WD)",
            "D:(A;;RC;;;BU)",
            "D:",
        ] {
            assert!(!lets_everybody(closed), "{closed}");
        }
    }

    #[test]
    fn a_file_has_one_name_however_it_is_called() {
        use windows_sys::Win32::Storage::FileSystem::GetShortPathNameW;
        let folder = tempfile::tempdir().unwrap();
        let file = own_name(folder.path()).join("the customers of our shop.db");
        assert_eq!(own_name(&file), file, "it is not there yet");
        std::fs::write(&file, "").unwrap();
        let (long, mut short) = (wide(&file), [0_u16; 260]);
        // SAFETY: a name that ends with a NUL, and as much room as is said.
        let length = unsafe { GetShortPathNameW(long.as_ptr(), short.as_mut_ptr(), 260) };
        let short = PathBuf::from(String::from_utf16_lossy(&short[..length as usize]));
        assert_ne!(short.file_name(), file.file_name(), "this disk has no short names");
        for name in [&file, &short, &file.with_file_name("THE customers of our shop.db")] {
            assert_eq!(own_name(name), file, "{}", name.display());
        }
    }

    #[test]
    fn a_path_stands_plain_unless_it_is_too_long_for_that() {
        let long = format!(r"{}\till.db", "a".repeat(250));
        for (path, as_it_is) in [
            (r"\\?\C:\Kasse\till.db", r"C:\Kasse\till.db"),
            (r"C:\Kasse\till.db", r"C:\Kasse\till.db"),
            (r"\\?\UNC\shop\tills\till.db", r"\\shop\tills\till.db"),
            (r"\\shop\tills\till.db", r"\\shop\tills\till.db"),
            (&format!(r"C:\{long}"), &format!(r"\\?\C:\{long}")),
            (&format!(r"\\?\C:\{long}"), &format!(r"\\?\C:\{long}")),
            (&format!(r"\\shop\{long}"), &format!(r"\\?\UNC\shop\{long}")),
        ] {
            assert_eq!(spelled(path), as_it_is);
        }
    }

    #[test]
    fn a_device_and_a_part_that_does_not_show_are_no_files() {
        let is_none = |path: &str| is_no_file(&std::path::absolute(path).unwrap());
        assert!(is_none("NUL") && is_none(r"C:\tills\till.db:part"));
        assert!(!is_none("till.db") && !is_none(r"C:\tills\till.db") && !is_none(r"\\shop\tills\till.db"));
    }

    #[test]
    fn the_machine_has_an_identity_and_keeps_it() {
        let identity = machine().unwrap();
        assert!(identity.len() >= 32, "{identity}");
        assert_eq!(machine(), Some(identity));
    }

    #[test]
    fn the_disk_of_a_folder_has_room() {
        assert!(free_bytes(&std::env::temp_dir()).is_some_and(|bytes| bytes > 0));
    }
}
