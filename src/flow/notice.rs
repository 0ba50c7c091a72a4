//! What a plan does to edits that an app may want to know of.

use super::{CustomerPlan, Dirty, Outcome};
use crate::resource::{CustomerId, EditSeq, FieldId};

/// An edit was uploaded, refused, or is in conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The customer.
    pub customer_id: CustomerId,
    /// The attribute.
    pub field: FieldId,
    /// The edit.
    pub seq: EditSeq,
    /// What became of it.
    pub outcome: Outcome,
    /// The server's words, of a rejection.
    pub reason: Option<String>,
}

/// The notices of a plan: only of outcomes that are new.
pub fn notices(dirty: &Dirty, plan: &CustomerPlan) -> Vec<Notice> {
    let revived = plan.revived.iter().flat_map(|revived| {
        revived.settle.iter().filter_map(|one| {
            Some(Notice {
                customer_id: dirty.id.customer,
                field: revived.field,
                seq: one.seq,
                outcome: one.outcome?,
                reason: one.reason.clone(),
            })
        })
    });
    plan.settle
        .iter()
        .filter_map(|settlement| {
            let op = dirty.op(settlement.seq)?;
            let outcome = settlement.outcome.filter(|_| op.outcome != settlement.outcome)?;
            let is_news = matches!(outcome, Outcome::Uploaded | Outcome::Rejected | Outcome::Held);
            is_news.then(|| Notice {
                customer_id: dirty.id.customer,
                field: op.field,
                seq: op.seq,
                outcome,
                reason: settlement.reason.clone(),
            })
        })
        .chain(revived)
        .collect()
}
