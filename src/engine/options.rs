//! How a sync is done. Every option has a default that is right for a till.

use std::time::Duration;

use crate::flow::{DeletionBrake, Policies, UploadOptions};

/// So long the journal keeps what has settled, unless it is told otherwise.
pub const RETENTION_DAYS: u32 = 400;

/// A retention of so many days, as a setting says it; 0: for ever.
///
/// ```
/// assert_eq!(tillsync::retention(0), None);
/// assert_eq!(tillsync::retention(tillsync::RETENTION_DAYS), tillsync::SyncOptions::default().retention);
/// ```
pub fn retention(days: u32) -> Option<Duration> {
    (days > 0).then(|| Duration::from_secs(u64::from(days) * 86_400))
}

/// How a sync is done.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// Who decides when both sides changed a field. Default: each such field is held for a person.
    pub policies: Policies,
    /// How updates are sent and tried again.
    pub upload: UploadOptions,
    /// How far an incremental pull reaches back behind the server's clock when the last one began: a change may become
    /// visible a little after the time that it bears. Default: 60 s.
    pub overlap: Duration,
    /// How far two looks at a customer that may be gone lie apart, from the end of the list that lacked it: whatever hides it
    /// for a moment is no deletion. The file is free meanwhile; a pull that is cut looks again in the next one. Default: 5 s.
    pub second_look: Duration,
    /// How many deletions are believed within a day without a person's word; if there are more, none is. Default: 5 % of the
    /// customers in the file, or 20, but never more than half of them.
    pub deletions: DeletionBrake,
    /// How many customers who were deleted here one sync deletes in the store without a person's word
    /// ([`SyncEngine::allow_to_delete`](crate::SyncEngine::allow_to_delete)); where more wait, none goes. Default: 20.
    pub max_deletions: u64,
    /// The share of the store's request quota that is left to its other apps, in percent. Default: 10.
    pub reserve_percent: u8,
    /// How long the journal keeps an edit that has settled, and a conflict that was decided; syncs remove what is older, a little
    /// each. What waits is kept however old it is. Default: 400 days; `None`: for ever.
    pub retention: Option<Duration>,
    /// What the file is to keep besides customers, see [`Store::keep`](crate::Store::keep): it remembers, so once is enough. Default:
    /// nothing more.
    pub keep: Vec<String>,
    /// How long to wait for another sync of the same file to end. Default: not at all.
    pub wait: Duration,
}

impl Default for SyncOptions {
    fn default() -> Self {
        SyncOptions {
            policies: Policies::default(),
            upload: UploadOptions::default(),
            overlap: Duration::from_secs(60),
            second_look: Duration::from_secs(5),
            deletions: DeletionBrake::default(),
            max_deletions: 20,
            reserve_percent: 10,
            retention: retention(RETENTION_DAYS),
            keep: Vec::new(),
            wait: Duration::ZERO,
        }
    }
}
