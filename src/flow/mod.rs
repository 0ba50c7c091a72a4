//! The decisions, pure: no IO, no clock, no chance. Time and chance come in as values; plans go out.
//!
//! ```text
//! journal + working copy ──diff──▶ Payload ──batch──▶ upload machine ──▶ answer ──reconcile──▶ CustomerPlan
//! pulled record ────────────────────────────merge────────────────────────────────────────────▶ CustomerPlan
//! batch in doubt ─────────────────────────────────────recover────────────────────────────────▶ CustomerPlan
//! ```
//!
//! The pull (`pull`: pages, cursor, whole or not) and the upload (`upload`) are machines: commands out, answers in.
//!
//! A [`CustomerPlan`] says everything that one transaction is to do with one customer; `store` executes it.

mod absent;
mod address;
mod answer;
mod attempt;
mod bases;
mod brief;
#[cfg(test)]
mod budget;
mod content;
mod create;
mod decide;
mod delete;
mod diff;
mod dirty;
mod lacks;
mod lately;
mod merge;
mod money;
mod notes;
mod notice;
mod outdated;
mod parts;
mod payload;
mod plan;
mod policy;
#[cfg(test)]
mod properties;
mod pull;
mod pull_clock;
mod rate;
mod reconcile;
mod recover;
mod retry;
mod secrets;
mod server_clock;
mod theirs;
mod ticket;
mod tidied;
mod upload;

pub use absent::{Silence, shows_strangers, silence};
pub use address::{is_store_hash, shown, store_address};
pub use answer::{
    Answer, GetVerdict, More, Page, PutVerdict, Rejection, Trouble, judge_delete, judge_get,
    judge_get_by_ids, judge_post, judge_put,
};
pub use attempt::{Attempt, Flight, has_moved_undated, is_undated, on_record, unshown_on_record};
pub use bases::{BaseTime, Bases};
pub use brief::{in_brief, sides_in_brief};
pub use content::twin;
pub use create::{
    creation, folded_identity, identity, is_as_sent, landed, made, sent_identity, was_made_since,
};
pub use decide::{
    CannotDecide, Discarded, Keep, PastDecision, Shown, discard, discard_payments, discard_rest, meetings,
    refuse_unseen, resolve, retry, undo,
};
pub use delete::has_changed;
pub use diff::{Diff, diff, give_up_untold};
pub use dirty::{Change, Deletion, Dirty, Doubt, Op, OpenConflict};
pub use lacks::{Lacking, Lacks, Named, Unlisted, Unread};
pub use lately::Lately;
pub use merge::{Sent, SentBase, back, gone, merge};
pub use money::balance_by_journal;
pub use notice::{Notice, notices};
pub(crate) use outdated::hash;
pub use outdated::{LAGS_AT_MOST, Moment, OlderReadings, is_outdated, may_not_show_yet};
pub use parts::{Part, Parts};
pub use payload::{Credit, Payload, SentRow};
pub use plan::{ConflictPlan, CustomerPlan, Decided, Outcome, Revived, Settlement, SnapshotPlan, Verdict};
pub use policy::{Contest, Decision, Policies, Policy, Resolver};
pub use pull::{DeletionBrake, HowFar, Ids, PageAsk, Place, Pull, PullStep, Witnesses};
pub use pull_clock::{KnownClock, PullClock};
pub use rate::{Pacer, RateHeaders, Turn};
pub use reconcile::reconcile;
pub use recover::{Recovered, recover};
pub use retry::{Misses, RetryOptions, crowd_wait_ms};
pub use secrets::masked;
pub use server_clock::ServerClock;
pub use theirs::Theirs;
pub use ticket::{Ticket, Tickets};
pub use tidied::is_tidied;
pub use upload::{
    Act, Committed, EmailEdit, EmailOrder, ReadFailure, Step, ToSend, Upload, UploadOptions, Write,
    order_emails,
};
pub(crate) use upload::{MAX_READS, NOT_SHOWN};
