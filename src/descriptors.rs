//! Which files of this process our SQLite has open, and whether anybody else has one of them open too.
//!
//! On Unix a lock on a file belongs to the process, whoever took it. Two copies of SQLite in one process do not see each
//! other's locks, and whoever closes *any* descriptor of a file gives up all locks that the process has on it. So a file is
//! never in the hands of our SQLite and of somebody else at once, and whoever is about to touch one asks here first:
//! [`held_by`].
//!
//! Which descriptors are ours, our SQLite tells itself: its interface to Unix lets the calls `open` and `close` be replaced
//! (`xSetSystemCall`), and ours keep a list. Every connection of this copy is in it, also one that an app opened by itself
//! through `rusqlite`. What was open already when the list began is ours only if this copy had been in use by then:
//! a copy that was never initialized has opened nothing.
//!
//! An extension that is loaded into an app's SQLite finds descriptors that are open already, and they are the app's; but those of the
//! library that has the file open in the same process would be among them. So on Linux whoever opens a till here leaves a mark that the
//! whole process can see, a file in memory by the name of the file, among the descriptors ([`mark`]), and whoever finds one that is not
//! its own is a second copy.
//!
//! On Windows nothing of this is needed: locks belong to handles there, two copies see each other's, and closing one
//! handle leaves those of another alone.
//!
//! What else SQLite tells in C alone is asked here too: whether a transaction has broken a foreign key.
//!
//! `unsafe` stands here, beside the C interface, because the functions of SQLite's file system are pointers of C; there is
//! nothing safe around them in any crate.

#![allow(unsafe_code, reason = "the functions of SQLite's file system are pointers of C")]

#[cfg(unix)]
pub(crate) use unix::{
    FileId, file_id, held_by, is_any_deleted, is_open_here, is_open_more_than_once, mark, names,
};

use std::ffi::{CString, c_void};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::ffi::{
    SQLITE_DBSTATUS_DEFERRED_FKS, SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER,
    SQLITE_IOERR_SHORT_READ, SQLITE_OK, SQLITE_OPEN_READONLY, SQLITE_OPEN_WAL, sqlite3_db_status,
    sqlite3_file, sqlite3_file_control, sqlite3_vfs_find,
};

/// The first bytes of a connection's file as they stand there, read by SQLite through its own descriptor; none when there
/// are fewer.
pub(crate) fn read_start<const BYTES: usize>(connection: &Connection) -> Option<[u8; BYTES]> {
    let mut start = [0; BYTES];
    Beneath::of(connection)?.read(&mut start, 0).then_some(start)
}

/// A connection's file as it stands there, beneath its log and the pages that SQLite has in memory; read through SQLite's own
/// descriptor.
#[derive(Debug)]
pub(crate) struct Beneath(*mut sqlite3_file);

// SAFETY: it is the file of one connection, and goes with it from thread to thread: see `of`.
unsafe impl Send for Beneath {}

impl Beneath {
    /// To be kept no longer than the connection: used at once, or by a hook of that very connection, which goes with it.
    pub(crate) fn of(connection: &Connection) -> Option<Beneath> {
        Beneath::asked(connection, SQLITE_FCNTL_FILE_POINTER)
    }

    fn asked(connection: &Connection, question: i32) -> Option<Beneath> {
        let mut file: *mut sqlite3_file = std::ptr::null_mut();
        // SAFETY: the connection is open for as long as it is borrowed; this question is answered by writing a pointer to its
        // file.
        let asked = unsafe {
            let answer = (&raw mut file).cast::<c_void>();
            sqlite3_file_control(connection.handle(), c"main".as_ptr(), question, answer)
        };
        (asked == SQLITE_OK && !file.is_null()).then_some(Beneath(file))
    }

    /// As many bytes as there is room for, from there on; false: there are fewer, or they cannot be read.
    pub(crate) fn read(&self, bytes: &mut [u8], from: u64) -> bool {
        self.has(bytes, from) == Some(true)
    }

    /// The same; none: they cannot be read, be there as many as there may.
    pub(crate) fn has(&self, bytes: &mut [u8], from: u64) -> Option<bool> {
        let (length, from) = (i32::try_from(bytes.len()).ok()?, i64::try_from(from).ok()?);
        // SAFETY: the file is there as long as the connection is.
        let read = (unsafe { (*self.0).pMethods.as_ref() }).and_then(|methods| methods.xRead)?;
        // SAFETY: the file's own method, which reads no more than there is room for.
        match unsafe { read(self.0, bytes.as_mut_ptr().cast::<c_void>(), length, from) } {
            SQLITE_OK => Some(true),
            SQLITE_IOERR_SHORT_READ => Some(false),
            _ => None,
        }
    }
}

/// What the log of a connection begins with, read through SQLite's own descriptor; none: there is no log.
pub(crate) fn log_head(connection: &Connection) -> Option<[u8; 32]> {
    let mut head = [0; 32];
    Beneath::asked(connection, SQLITE_FCNTL_JOURNAL_POINTER)?.read(&mut head, 0).then_some(head)
}

/// Whether anything that was written in the transaction of this connection breaks a foreign key, be it one that is looked at only
/// when the transaction is to be committed.
pub(crate) fn has_broken_references(connection: &Connection) -> bool {
    let (mut broken, mut most) = (0, 0);
    // SAFETY: the connection is open for as long as it is borrowed; this question is answered by writing two numbers.
    let asked = unsafe {
        sqlite3_db_status(
            connection.handle(),
            SQLITE_DBSTATUS_DEFERRED_FKS,
            &raw mut broken,
            &raw mut most,
            0,
        )
    };
    asked == SQLITE_OK && broken != 0
}

/// A write-ahead log as it stands there, open for reading through SQLite's file system: so it is in the list of what is ours,
/// and is closed as SQLite closes its own. On the log itself SQLite takes no lock.
pub(crate) struct LogFile {
    /// What SQLite has of an open file, at the size and alignment that it asks for.
    memory: Vec<u64>,
    _name: CString,
}

impl LogFile {
    /// None: it is not there, or cannot be opened.
    pub(crate) fn open(path: &Path) -> Option<LogFile> {
        let name = CString::new(path.to_str()?).ok()?;
        // SAFETY: no name asks for the usual file system, which stays for as long as the process.
        let vfs = unsafe { sqlite3_vfs_find(std::ptr::null()).as_mut() }?;
        let bytes = usize::try_from(vfs.szOsFile).ok()?;
        let mut memory = vec![0_u64; bytes.div_ceil(size_of::<u64>())];
        let file = memory.as_mut_ptr().cast::<sqlite3_file>();
        let flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_WAL;
        // SAFETY: the file system's own method, with memory of the size that it names and a name that lives as long.
        let opened = unsafe { vfs.xOpen?(vfs, name.as_ptr(), file, flags, std::ptr::null_mut()) };
        let log = LogFile { memory, _name: name };
        // Dropped when it failed: SQLite then wants it closed only if it has methods.
        (opened == SQLITE_OK).then_some(log)
    }

    /// So many bytes from there on; none: there are fewer.
    pub(crate) fn read<const BYTES: usize>(&mut self, from: u64) -> Option<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.read_into(&mut bytes, from).then_some(bytes)
    }

    /// As many bytes as there is room for, from there on; false: there are fewer.
    pub(crate) fn read_into(&mut self, bytes: &mut [u8], from: u64) -> bool {
        // It is open as long as this is.
        Beneath(self.memory.as_mut_ptr().cast::<sqlite3_file>()).read(bytes, from)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        let file = self.memory.as_mut_ptr().cast::<sqlite3_file>();
        // SAFETY: memory that began as zeros has methods only once it was opened; it is closed once.
        unsafe {
            if let Some(close) = (*file).pMethods.as_ref().and_then(|methods| methods.xClose) {
                close(file);
            }
        }
    }
}

/// In whose hands a file is, so that ours must stay off.
#[cfg_attr(not(unix), allow(dead_code, reason = "there it is in nobody's"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Something else in this process: a second SQLite, or whoever reads it as a plain file.
    Others,
    /// The process that this one was forked from: our SQLite had it open there, and believes that it has the locks here, which no
    /// fork hands on.
    Parent,
}

/// Nothing that tells a file apart can be had here. It is not needed either: a file that SQLite has open can be neither
/// moved nor deleted.
#[cfg(not(unix))]
pub(crate) type FileId = ();

#[cfg(not(unix))]
pub(crate) fn file_id(_: &std::fs::Metadata) -> FileId {}

#[cfg(not(unix))]
pub(crate) fn is_open_more_than_once(_: &Path) -> bool {
    false
}

/// Locks belong to handles here.
#[cfg(not(unix))]
pub(crate) fn is_open_here(_: &Path) -> bool {
    false
}

#[cfg(not(unix))]
pub(crate) fn names(_: &std::fs::Metadata) -> u64 {
    1
}

/// A file that is open cannot be deleted here.
#[cfg(not(unix))]
pub(crate) fn is_any_deleted(_: &[std::path::PathBuf]) -> bool {
    false
}

/// Nobody asks for it.
#[cfg(not(unix))]
pub(crate) fn mark(_: &Path) {}

/// Locks belong to handles here: others do no harm. And nothing forks.
#[cfg(not(unix))]
pub(crate) fn held_by(_: &[std::path::PathBuf]) -> Option<Holder> {
    None
}

#[cfg(unix)]
mod unix {
    use std::collections::BTreeMap;
    use std::ffi::{CStr, c_char, c_int};
    use std::fs::{File, Metadata};
    use std::mem::{ManuallyDrop, transmute};
    use std::os::fd::FromRawFd;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

    use rusqlite::ffi::{sqlite3_syscall_ptr, sqlite3_vfs, sqlite3_vfs_find};

    use super::Holder;

    type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;
    type Close = unsafe extern "C" fn(c_int) -> c_int;

    /// Device and inode: the file itself, whatever it is called.
    pub(crate) type FileId = (u64, u64);

    /// The descriptors of our SQLite, each with the file that it was opened for: a number that somebody else closed and
    /// got again is not ours any more. Held while one is opened or closed, so that whoever looks finds none between two
    /// states.
    static OURS: Mutex<BTreeMap<c_int, Opened>> = Mutex::new(BTreeMap::new());

    /// What a descriptor was opened for.
    #[derive(Debug)]
    struct Opened {
        file: FileId,
        /// By which name; none: it was open before the list began.
        name: Option<Vec<u8>>,
        /// In which process: a fork copies the list, and with it the number.
        process: u32,
    }

    impl Opened {
        fn here(file: FileId, name: Option<Vec<u8>>) -> Opened {
            Opened { file, name, process: std::process::id() }
        }
    }

    /// The calls that ours stand in for.
    static OPEN: OnceLock<Open> = OnceLock::new();
    static CLOSE: OnceLock<Close> = OnceLock::new();

    /// Where no list of the open descriptors can be had, so many are asked for one by one.
    const MOST: c_int = 65_536;

    fn ours() -> MutexGuard<'static, BTreeMap<c_int, Opened>> {
        OURS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has one of these files open through a descriptor that is not of our SQLite in this process. Nothing is opened or
    /// closed to find that out but the list of descriptors itself.
    pub(crate) fn held_by(files: &[PathBuf]) -> Option<Holder> {
        watch();
        let files: Vec<FileId> =
            files.iter().filter_map(|file| file.metadata().ok()).map(|of| file_id(&of)).collect();
        if files.is_empty() || OPEN.get().is_none() {
            return None;
        }
        let (ours, here) = (ours(), std::process::id());
        if ours.values().any(|one| one.process != here && files.contains(&one.file)) {
            return Some(Holder::Parent);
        }
        let open: Vec<(c_int, FileId)> = open_descriptors().collect();
        let is_not_ours = |(fd, file): &(c_int, FileId)| {
            files.contains(file) && ours.get(fd).map(|one| one.file) != Some(*file)
        };
        (open.iter().any(is_not_ours) || marks::is_others(&files, &open)).then_some(Holder::Others)
    }

    /// From now on other copies of this library in the process see that this one has the file open; until it has not.
    pub(crate) fn mark(file: &Path) {
        if let Ok(file) = file.metadata() {
            marks::leave(file_id(&file));
        }
    }

    /// Whether our SQLite has this file open twice at least: whoever came first has judged what lies beside it.
    pub(crate) fn is_open_more_than_once(file: &Path) -> bool {
        times_open(file) > 1
    }

    /// Whether our SQLite has this file open: then nobody else may open it in this process, for closing it again would give
    /// up its locks.
    pub(crate) fn is_open_here(file: &Path) -> bool {
        times_open(file) > 0
    }

    fn times_open(file: &Path) -> usize {
        let file = file.metadata().ok().map(|of| file_id(&of));
        ours().values().filter(|one| Some(one.file) == file).count()
    }

    /// Whether our SQLite has this file open although it was deleted. Known on Linux only, where a descriptor tells its name.
    pub(crate) fn is_any_deleted(files: &[PathBuf]) -> bool {
        let ours = ours();
        files.iter().any(|file| {
            let is_there = file.metadata().ok().map(|of| file_id(&of));
            let name = file.as_os_str().as_encoded_bytes();
            // What is at its name is not deleted; only of another one of that name is the system asked.
            let may_be_it = |one: &Opened| {
                Some(one.file) != is_there && one.name.as_deref().is_none_or(|opened| opened == name)
            };
            let deleted = [name, b" (deleted)"].concat();
            ours.iter().filter(|(_, one)| may_be_it(one)).any(|(fd, _)| {
                std::fs::read_link(format!("/proc/self/fd/{fd}"))
                    .is_ok_and(|to| to.as_os_str().as_encoded_bytes() == deleted)
            })
        })
    }

    /// From now on every descriptor that our SQLite opens is known. Before its first connection, best.
    fn watch() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let was_in_use = is_in_use();
            if replace_calls().is_some() && was_in_use {
                let known = open_descriptors().map(|(fd, file)| (fd, Opened::here(file, None)));
                ours().extend(known);
            }
        });
    }

    /// Whether this copy of SQLite was initialized: from then on it takes no such setting, and says that it is too late.
    #[cfg(feature = "bundled")]
    fn is_in_use() -> bool {
        use rusqlite::ffi::{SQLITE_MISUSE, sqlite3_config};
        // SAFETY: a number that is no setting takes no further argument, and changes nothing.
        unsafe { sqlite3_config(-1) == SQLITE_MISUSE }
    }

    /// The extension lives in the app's SQLite, which has loaded it through an open connection.
    #[cfg(not(feature = "bundled"))]
    fn is_in_use() -> bool {
        true
    }

    /// Puts our `open` and `close` in the place of those that SQLite calls. All of its file systems for Unix share them.
    fn replace_calls() -> Option<()> {
        // SAFETY: the name ends with a NUL; what is found belongs to SQLite and stays for as long as the process.
        let unix = unsafe { sqlite3_vfs_find(c"unix".as_ptr()).as_mut() }?;
        let (open, close) = (call(unix, c"open")?, call(unix, c"close")?);
        // SAFETY: these are the signatures by which SQLite calls its `open` and `close`.
        unsafe {
            _ = OPEN.set(transmute::<unsafe extern "C" fn(), Open>(open));
            _ = CLOSE.set(transmute::<unsafe extern "C" fn(), Close>(close));
        }
        // SAFETY: both functions have the signature by which SQLite calls them, and stay for as long as the process.
        unsafe {
            set_call(unix, c"close", transmute::<Close, unsafe extern "C" fn()>(noted_close));
            set_call(unix, c"open", transmute::<Open, unsafe extern "C" fn()>(noted_open));
        }
        Some(())
    }

    fn call(vfs: &mut sqlite3_vfs, name: &CStr) -> Option<unsafe extern "C" fn()> {
        // SAFETY: the method of this very file system, with a name that ends with a NUL.
        unsafe { vfs.xGetSystemCall?(vfs, name.as_ptr()) }
    }

    /// # Safety
    /// `function` has the signature by which SQLite calls what it knows by this name.
    unsafe fn set_call(vfs: &mut sqlite3_vfs, name: &CStr, function: unsafe extern "C" fn()) {
        let function: sqlite3_syscall_ptr = Some(function);
        if let Some(set) = vfs.xSetSystemCall {
            // SAFETY: the method of this very file system, with a name that ends with a NUL.
            unsafe { set(vfs, name.as_ptr(), function) };
        }
    }

    unsafe extern "C" fn noted_open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
        let Some(open) = OPEN.get() else { return -1 };
        let mut ours = ours();
        // SAFETY: SQLite's own arguments, to the function that it would have called.
        let fd = unsafe { open(path, flags, mode) };
        if let Some(file) = file_of(fd) {
            // SAFETY: SQLite's own argument, which ends with a NUL.
            let name = unsafe { CStr::from_ptr(path) }.to_bytes().to_vec();
            ours.insert(fd, Opened::here(file, Some(name)));
        }
        fd
    }

    unsafe extern "C" fn noted_close(fd: c_int) -> c_int {
        let Some(close) = CLOSE.get() else { return -1 };
        let mut ours = ours();
        if let Some(closed) = ours.remove(&fd)
            && !ours.values().any(|one| one.file == closed.file)
        {
            marks::take_back(closed.file);
        }
        // SAFETY: SQLite's own argument, to the function that it would have called.
        unsafe { close(fd) }
    }

    pub(crate) fn file_id(file: &Metadata) -> FileId {
        (file.dev(), file.ino())
    }

    /// Names that the file has.
    pub(crate) fn names(file: &Metadata) -> u64 {
        file.nlink()
    }

    /// The file behind a descriptor; none: it is not open.
    fn file_of(fd: c_int) -> Option<FileId> {
        if fd < 0 {
            return None;
        }
        // SAFETY: it is asked what it is and never closed; a number that is none any more answers that it is bad.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
        file.metadata().ok().map(|of| file_id(&of))
    }

    fn open_descriptors() -> impl Iterator<Item = (c_int, FileId)> {
        numbers().into_iter().filter_map(|fd| Some((fd, file_of(fd)?)))
    }

    fn numbers() -> Vec<c_int> {
        // Elsewhere `/dev/fd` may show the first three only.
        let list = if cfg!(target_vendor = "apple") { "/dev/fd" } else { "/proc/self/fd" };
        match std::fs::read_dir(list) {
            Ok(list) => list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect(),
            Err(_) => (0..MOST).collect(),
        }
    }

    /// Which files each copy of this library has open, for the others in the same process to see.
    #[cfg(target_os = "linux")]
    mod marks {
        use std::collections::BTreeMap;
        use std::os::fd::{AsRawFd as _, OwnedFd};
        use std::sync::{Mutex, MutexGuard, PoisonError};

        use rustix::fs::{MemfdFlags, memfd_create};

        use super::{FileId, file_of};

        static OWN: Mutex<BTreeMap<FileId, OwnedFd>> = Mutex::new(BTreeMap::new());

        fn own() -> MutexGuard<'static, BTreeMap<FileId, OwnedFd>> {
            OWN.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn name((device, inode): FileId) -> String {
            format!("tillsync:{device:x}:{inode:x}")
        }

        /// A system without such files has no marks.
        pub(super) fn leave(file: FileId) {
            let mut own = own();
            if own.contains_key(&file) {
                return;
            }
            if let Ok(mark) = memfd_create(name(file), MemfdFlags::CLOEXEC) {
                own.insert(file, mark);
            }
        }

        pub(super) fn take_back(file: FileId) {
            own().remove(&file);
        }

        /// Whether one of the open descriptors is a mark for one of these files that this copy has not left.
        pub(super) fn is_others(files: &[FileId], open: &[(i32, FileId)]) -> bool {
            let own = own();
            let is_own = |fd: i32| own.values().any(|mark| mark.as_raw_fd() == fd);
            // All such files are of one device.
            let device = own.values().find_map(|mark| Some(file_of(mark.as_raw_fd())?.0));
            let may_be_one =
                |(fd, file): &&(i32, FileId)| !is_own(*fd) && device.is_none_or(|device| file.0 == device);
            let links: Vec<String> =
                files.iter().map(|file| format!("/memfd:{} (deleted)", name(*file))).collect();
            open.iter().filter(may_be_one).any(|(fd, _)| {
                std::fs::read_link(format!("/proc/self/fd/{fd}"))
                    .is_ok_and(|to| links.iter().any(|link| to.as_os_str() == link.as_str()))
            })
        }
    }

    #[cfg(not(target_os = "linux"))]
    mod marks {
        use super::FileId;

        pub(super) fn leave(_: FileId) {}

        pub(super) fn take_back(_: FileId) {}

        pub(super) fn is_others(_: &[FileId], _: &[(i32, FileId)]) -> bool {
            false
        }
    }
}
