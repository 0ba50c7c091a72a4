//! A conflict as a person sees it: what was set since it was found waits with it, and shows.
//!
//! A sync writes that down when it next comes by; a person need not wait for it. So what is shown, and what its stamp names, is
//! the same before that sync and after it.

use std::collections::BTreeMap;

use crate::flow::merge::{edited_as, entries, form_json};
use crate::flow::money::{on_top_of_set, without};
use crate::flow::{Dirty, Op, OpenConflict, Outcome};
use crate::resource::{EditSeq, FieldId, Row, Subject};

/// A conflict as it is shown, and the rows of the journal that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// With the till's value as it is now.
    pub open: OpenConflict,
    /// The rows that a decision settles, oldest first.
    pub seqs: Vec<EditSeq>,
}

impl Shown {
    /// What tells this conflict from what it was, or will be: its identity, both values, and the rows that it is about.
    pub fn stamp(&self) -> String {
        let seqs: Vec<String> = self.seqs.iter().map(EditSeq::to_string).collect();
        let OpenConflict { id, base, local, remote, .. } = &self.open;
        let parts = [base.as_str(), local.as_str(), remote.as_str(), &seqs.join(",")];
        // FNV-1a: the same in every build, and nobody's secret.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let bytes = parts.iter().flat_map(|part| part.as_bytes().iter().chain(&[0xff]));
        format!("{id}-{:016x}", bytes.fold(0xcbf2_9ce4_8422_2325, step))
    }

    /// Whether a decision settles this row.
    pub(super) fn covers(&self, op: &Op) -> bool {
        self.seqs.binary_search(&op.seq).is_ok()
    }
}

/// Of what was done to an attribute since a conflict of it was found, what waits with that: what was set. What was paid since is
/// certain, and goes on top of whatever is decided.
pub(in crate::flow) fn waits_with<'o>(field: FieldId, since: &[&'o Op]) -> Vec<&'o Op> {
    if field.is_money() { on_top_of_set(since).0 } else { since.to_vec() }
}

impl OpenConflict {
    /// As it was found: about what is held. Of form fields also about what was sent beside it, and refused: of those that are in
    /// conflict such an edit brings nothing that was not shown.
    pub fn as_found(&self, ops: &[Op]) -> Shown {
        let is_of_entry = matches!(self.subject, Subject::Entry(..));
        // Of a row that is not created a decision is about all that was entered of it.
        let is_of_creation = self.subject == Subject::Existing;
        let was_shown = |op: &&Op| match op.outcome {
            Some(Outcome::Held) => true,
            Some(Outcome::Rejected) => is_of_entry || is_of_creation,
            None => is_of_creation,
            _ => false,
        };
        let shown = ops.iter().filter(|op| self.is_about(op)).filter(was_shown);
        Shown { open: self.clone(), seqs: shown.map(|op| op.seq).collect() }
    }

    /// Whether anything was set since, so that the till's value is the working copy's.
    pub fn is_edited_since(&self, ops: &[Op]) -> bool {
        ops.iter().any(|op| op.is_pending() && op.adjustment().is_none() && self.is_about(op))
    }

    /// As the till shows it now.
    pub fn as_shown(&self, ops: &[Op], row: &Row) -> Shown {
        let mut shown = self.as_found(ops);
        if !self.is_edited_since(ops) {
            return shown;
        }
        let Some(local) = self.local_now(ops, row) else { return shown };
        shown.open.local = local;
        shown.seqs.extend(
            self.since(ops).values().flat_map(|since| waits_with(since[0].field, since)).map(|op| op.seq),
        );
        shown.seqs.sort_unstable();
        shown
    }

    fn is_about(&self, op: &Op) -> bool {
        match &self.subject {
            Subject::Field(field) => op.field == *field,
            Subject::Entry(field, name) => op.field == *field && op.touches(name),
            Subject::Customer | Subject::Existing => true,
            Subject::Deletion => false,
        }
    }

    /// What waits for a sync, by attribute.
    fn since<'o>(&self, ops: &'o [Op]) -> BTreeMap<FieldId, Vec<&'o Op>> {
        let mut since: BTreeMap<FieldId, Vec<&Op>> = BTreeMap::new();
        for op in ops.iter().filter(|op| op.is_pending() && self.is_about(op)) {
            since.entry(op.field).or_default().push(op);
        }
        since
    }

    /// JSON of the till's value without what was paid since; `None`: that cannot be said exactly.
    fn local_now(&self, ops: &[Op], row: &Row) -> Option<String> {
        let since = self.since(ops);
        let money = row.resource().money();
        let paid = money.and_then(|money| since.get(&money)).map(|since| on_top_of_set(since).1);
        let paid = paid.unwrap_or_default();
        let unpaid = |money: FieldId| without(row.get(money), &paid);
        match &self.subject {
            Subject::Field(field) if field.is_money() => Some(unpaid(*field)?.to_json()),
            Subject::Field(field) => Some(row.get(*field).to_json()),
            Subject::Entry(field, name) => {
                Some(form_json(entries(row.get(*field)).unwrap_or_default().get(name)))
            }
            // Of a row that is not created the person sees what was sent.
            Subject::Existing | Subject::Deletion => None,
            Subject::Customer => {
                let is_shown = |op: &&Op| paid.binary_search_by_key(&op.seq, |paid| paid.seq).is_err();
                let shown: Vec<&Op> = ops.iter().filter(is_shown).collect();
                let balance = money.map(|money| Some((money, unpaid(money)?)));
                let balance = balance.into_iter().collect::<Option<Vec<_>>>()?;
                Some(edited_as(row, &shown, &balance))
            }
        }
    }
}

impl Dirty {
    /// What is open about something, as the till shows it now.
    pub fn shown(&self, subject: &Subject) -> Option<Shown> {
        Some(self.open_of(subject)?.as_shown(&self.ops, &self.row))
    }

    /// The same for who does not say what was shown: as a sync found it. What of an edit of several form fields has yet to be sent
    /// leaves the others as they were found.
    pub(super) fn found(&self, subject: &Subject) -> Option<Shown> {
        let open = self.open_of(subject)?;
        let shown = open.as_shown(&self.ops, &self.row);
        let is_as_found = matches!(subject, Subject::Entry(..)) && shown.open.local == open.local;
        Some(if is_as_found { shown } else { open.as_found(&self.ops) })
    }
}
