//! How a sync is done. Every option has a default that is right for a till.

use std::time::Duration;

use crate::flow::{Policies, UploadOptions};

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
    /// The share of the store's request quota that is left to its other apps, in percent. Default: 10.
    pub reserve_percent: u8,
    /// How long to wait for another sync of the same file to end. Default: not at all.
    pub wait: Duration,
}

impl Default for SyncOptions {
    fn default() -> Self {
        SyncOptions {
            policies: Policies::default(),
            upload: UploadOptions::default(),
            overlap: Duration::from_secs(60),
            reserve_percent: 10,
            wait: Duration::ZERO,
        }
    }
}
