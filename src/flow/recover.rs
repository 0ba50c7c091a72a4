//! An update in doubt: its customer was read back, and what the server has now tells whether it landed.

use super::merge::{Sent, gone, merge};
use super::{CustomerPlan, Dirty, Outcome, Policies, Rejection};
use crate::customer::{BadRecord, Record};

/// What became of one customer of an update in doubt.
#[derive(Debug)]
pub struct Recovered {
    /// What is to be written.
    pub plan: CustomerPlan,
    /// Some of it did not land and waits again.
    pub is_pending: bool,
}

/// Decides what becomes of a customer that was read back as `remote`; `None`: the server does not have it.
///
/// # Errors
/// When a record is no customer.
pub fn recover(
    dirty: &Dirty,
    sent: &Sent,
    remote: Option<&Record>,
    policies: &Policies,
) -> Result<Recovered, BadRecord> {
    let plan = match remote {
        Some(remote) => merge(dirty, remote, Some(sent), policies)?,
        None => gone(dirty),
    };
    let is_pending = plan.settle.iter().any(|settlement| settlement.outcome.is_none());
    Ok(Recovered { plan, is_pending })
}

impl Recovered {
    /// The server refused what did not land: those edits wait for a person. Without a field, all of them together.
    /// Returns how many edits were rejected.
    pub fn reject(&mut self, dirty: &Dirty, rejection: &Rejection) -> usize {
        let field_of = |seq| dirty.ops.iter().find(|op| op.seq == seq).map(|op| op.field);
        let is_meant = |seq| rejection.field.is_none() || rejection.field == field_of(seq);
        let group =
            rejection.field.is_none().then(|| self.plan.settle.iter().map(|s| s.seq.0).max()).flatten();
        let meant = self.plan.settle.iter_mut().filter(|s| s.outcome.is_none() && is_meant(s.seq));
        let mut count = 0;
        for settlement in meant {
            settlement.outcome = Some(Outcome::Rejected);
            settlement.reason = Some(rejection.words.clone());
            settlement.reject_group = group;
            count += 1;
        }
        self.is_pending = self.plan.settle.iter().any(|settlement| settlement.outcome.is_none());
        count
    }
}
