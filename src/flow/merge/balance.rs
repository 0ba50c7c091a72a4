//! A balance that both sides moved. Payments are added to what is there; a balance that was set is contested, and payments
//! made since go on top of whatever becomes of it.

use super::{Merge, Three, outcomes};
use crate::flow::money::{balance, moved_along, on_top_of_set, same_balance, without};
use crate::flow::{ConflictPlan, Decision, Op, OpenConflict, Outcome, Settlement};
use crate::resource::Value;

impl<'a> Merge<'a> {
    /// A balance that somebody else moved. Adjustments are added to what the server has now, each a payment: two equal
    /// sums are two. A balance that was set is contested; what was adjusted since goes on top of whatever becomes of it.
    pub(super) fn money(&mut self, three: &Three<'a>) {
        if let Some(open) = self.dirty.open_of_field(three.field) {
            return self.balance_still_held(open, three);
        }
        if same_balance(&three.base, &three.remote) {
            return self.told_again(three);
        }
        if three.ops.iter().all(|op| op.adjustment().is_some()) {
            // What cannot be added is refused when it is to be sent, with the reason.
            let Some(value) = balance(&three.remote, three.ops.iter().copied()) else { return };
            if !three.base.is_null() {
                self.merged(three, &value);
            }
            return self.take(three, value);
        }
        let (covered, later) = on_top_of_set(&three.ops);
        let Some(set) = without(&three.local, &later) else { return self.contested(three) };
        if same_balance(&set, &three.remote) || set == three.base {
            self.plan.settle.extend(outcomes(&covered, Outcome::Unchanged));
            return self.rebase(three, &three.remote.clone(), &later);
        }
        self.contested_balance(three, covered, &later);
    }

    /// While the store did not tell the balance, what a person gave up was taken out of what was shown; now it is counted.
    fn told_again(&mut self, three: &Three<'a>) {
        let is_first_word = self.base.as_ref().is_some_and(|base| !base.tells(three.field));
        if is_first_word && three.ops.iter().all(|op| op.adjustment().is_some()) {
            let counted = balance(&three.remote, three.ops.iter().copied());
            let counted = counted.filter(|value| *value != three.local);
            self.plan.columns.extend(counted.map(|value| (three.field, value)));
        }
    }

    /// The `covered` edits are decided together; the `later` ones are payments on top.
    pub(super) fn contested_balance(&mut self, three: &Three<'a>, covered: Vec<&'a Op>, later: &[&'a Op]) {
        let Some(set) = without(&three.local, later) else { return self.contested(three) };
        let one = Three {
            local: set,
            ops: covered,
            base: three.base.clone(),
            remote: three.remote.clone(),
            ..*three
        };
        let (mut decision, mut policy) = (self.decide(&one, None), self.policies.of(one.field).as_str());
        // A payment that went along with a balance that was set may be in what the store has, or not: no policy gives it up.
        let is_payment_along = || on_top_of_set(&one.ops).1.iter().any(|op| op.adjustment().is_some());
        if matches!(decision, Decision::Remote) && is_payment_along() {
            (decision, policy) = (Decision::Hold, "hold");
        }
        self.record(&one, policy, Some(&decision));
        match decision {
            Decision::Hold => {
                self.plan.settle.extend(one.ops.iter().map(|op| Settlement::new(op.seq, Outcome::Held)));
            }
            Decision::Local => {}
            Decision::Remote => {
                self.plan.settle.extend(outcomes(&one.ops, Outcome::Remote));
                self.rebase(three, &one.remote, later);
            }
            Decision::Value(value) => self.rebase(three, &value, later),
        }
    }

    /// An open conflict of money ends by itself where a balance was set, or where a payment is shown as it was sent at a time at which
    /// it may have been applied: one of which nobody knows whether it arrived is not settled because two amounts happen to be equal.
    fn balance_still_held(&mut self, open: &OpenConflict, three: &Three<'a>) {
        let (covered, later): (Vec<&Op>, Vec<&Op>) =
            three.ops.iter().partition(|op| op.outcome == Some(Outcome::Held));
        let [was, set, theirs] =
            [&open.base, &open.local, &open.remote].map(|json| Value::from_json(three.field.kind(), json));
        let is_set = covered.iter().any(|op| op.adjustment().is_none());
        if !is_set && self.is_shown_late(three, &covered) {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
            self.rebase(three, &three.remote.clone(), &later);
        } else if is_set && set == three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "remote" });
            self.plan.settle.extend(outcomes(&covered, Outcome::Unchanged));
            self.rebase(three, &three.remote.clone(), &later);
        } else if is_set && was == three.remote && theirs != three.remote {
            self.plan.conflicts.push(ConflictPlan::Close { id: open.id, resolution: "local" });
            self.plan.settle.extend(covered.iter().map(|op| Settlement::new(op.seq, None)));
        } else if theirs != three.remote {
            // Payments are asked about on top of what there is.
            let ours = moved_along(&set, &theirs, &three.remote).or_else(|| balance(&three.remote, covered));
            let ours = ours.filter(|_| !is_set);
            if let Some(value) = &ours {
                self.rebase(three, value, &later);
            }
            let (local, remote) = (ours.map(|value| value.to_json()), Some(three.remote.to_json()));
            self.plan.conflicts.push(ConflictPlan::Update { id: open.id, local, remote });
        }
    }

    /// The working copy is `value`, and what was adjusted since on top.
    pub(super) fn rebase(&mut self, three: &Three<'_>, value: &Value, later: &[&Op]) {
        if let Some(value) = balance(value, later.iter().copied()).filter(|value| *value != three.local) {
            self.plan.columns.push((three.field, value));
        }
    }
}
