//! An update in doubt: its customer was read back, and what the server has now tells whether it landed.

use std::borrow::Cow;

use super::merge::{Sent, gone, gone_with, merge, written_over};
use super::money::recount;
use super::{CustomerPlan, Dirty, Doubt, Outcome, Policies, Rejection};
use crate::resource::{BadRecord, EditSeq, FieldId, Record, Value};

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
        Some(remote) => {
            let remote = with_what_is_late(remote, sent)?;
            merge(dirty, &remote, Some(sent), policies)?
        }
        None => gone_in_doubt(dirty, sent),
    };
    let is_pending = plan.settle.iter().any(|settlement| settlement.outcome.is_none());
    Ok(Recovered { plan, is_pending })
}

/// What is told late is what was sent.
fn with_what_is_late<'a>(remote: &'a Record, sent: &Sent) -> Result<Cow<'a, Record>, BadRecord> {
    let mut remote = Cow::Borrowed(remote);
    for (field, value) in &sent.fields {
        let told = remote.attributes()?;
        if sent.is_late(*field, &told) {
            let news = remote.with(*field, &written_over(&told.get(*field), value))?;
            remote = Cow::Owned(news);
        }
    }
    Ok(remote)
}

/// As [`gone`](super::gone). A payment of which nobody knows whether it arrived is in doubt also when the customer comes back.
fn gone_in_doubt(dirty: &Dirty, sent: &Sent) -> CustomerPlan {
    let flying = dirty.ops_of_money().filter(|op| op.outcome == Some(Outcome::InFlight));
    let seqs: Vec<EditSeq> = flying.map(|op| op.seq).collect();
    let Some(money) = dirty.resource().money().filter(|_| !seqs.is_empty()) else { return gone(dirty) };
    let json = |value: Option<&Value>| value.map_or_else(|| "null".to_owned(), Value::to_json);
    let (base, local) = (json(sent.base.value(money)), json(sent.value(money)));
    let lost = Doubt { base, local, remote: "null".to_owned(), seqs };
    let doubt = dirty.open_of_money().map(|open| Doubt::of(open, &dirty.ops));
    gone_with(dirty, doubt.or(Some(lost)))
}

impl Recovered {
    /// The server refused what did not land: those edits wait for a person. Without a field, all of them together; but a
    /// refused payment is freed by nothing but a person. Returns how many edits were rejected.
    ///
    /// # Errors
    /// When a record is no customer.
    pub fn reject(&mut self, dirty: &Dirty, rejection: &Rejection) -> Result<usize, BadRecord> {
        let field_of = |seq| dirty.op(seq).map(|op| op.field);
        let is_meant = |seq| rejection.field.is_none() || rejection.field == field_of(seq);
        let group =
            rejection.field.is_none().then(|| self.plan.settle.iter().map(|s| s.seq.0).max()).flatten();
        let meant = self.plan.settle.iter_mut().filter(|s| s.outcome.is_none() && is_meant(s.seq));
        let mut count = 0;
        for settlement in meant {
            let is_money = field_of(settlement.seq).is_some_and(FieldId::is_money);
            settlement.outcome = Some(Outcome::Rejected);
            settlement.reason = Some(rejection.words.clone());
            settlement.reject_group = group.filter(|_| !is_money);
            count += 1;
        }
        recount(dirty, &mut self.plan)?;
        self.is_pending = self.plan.settle.iter().any(|settlement| settlement.outcome.is_none());
        Ok(count)
    }
}
