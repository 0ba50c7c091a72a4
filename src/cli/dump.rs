//! No core dump: this process holds the access token, and may hold a key and a new password. The library leaves that to the
//! program that it is part of.

/// Asks the system to keep nothing of this process when it dies of a defect.
#[cfg(unix)]
pub(super) fn forbid() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A limit does not hold where dumps go to a program.
        _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Nothing is written there unless somebody set it up for this very program.
#[cfg(not(unix))]
pub(super) fn forbid() {}
