//! Which customer is to blame for a call that failed, and whether it was its size.
//!
//! **A refusal that names nobody**: a third of the batch is sent; if that passes, the bad one is in the rest, which is split
//! on without being sent. One among ten costs eight calls at the most.
//!
//! **A failure that names nothing at all** (`5xx`, a timeout), again and again, while the store answers others: the batch is
//! halved. If every part of it passes in the end, its size was to blame, and no call of this sync is larger than its largest
//! part; if one customer goes on failing alone, it was that one, and calls stay as large as they were.

use std::collections::BTreeMap;

use super::lanes::{Family, Group, Suspects};
use crate::resource::RowId;

/// A part of a batch that holds a bad record, to be sent first; a single suspect that is left is sent for its own words.
pub(super) fn first_third(group: &Group, words: String) -> Group {
    let (ids, rest) = group.ids.split_at((group.ids.len() / 3).max(1));
    let suspects = (!rest.is_empty()).then(|| Box::new(Suspects { group: group.part(rest), words }));
    Group { suspects, ..group.part(ids) }
}

/// What is left of a batch that was too large for a call: the customer that is more than half of it alone, else halves.
/// `bytes` are those of each customer.
pub(super) fn smaller(group: &Group, bytes: &[usize]) -> Vec<Group> {
    let all: usize = bytes.iter().sum();
    let giant = bytes.iter().position(|bytes| bytes * 2 > all).filter(|_| bytes.len() == group.ids.len());
    match giant {
        Some(place) => {
            let others: Vec<RowId> = group.ids.iter().copied().filter(|id| *id != group.ids[place]).collect();
            vec![group.part(&others), group.part(&[group.ids[place]])]
        }
        None => halves(group),
    }
}

fn halves(group: &Group) -> Vec<Group> {
    group.ids.chunks(group.ids.len().div_ceil(2).max(1)).map(|ids| group.part(ids)).collect()
}

/// Calls that failed as a whole and were halved.
#[derive(Debug, Default)]
pub(super) struct Families {
    families: BTreeMap<Family, Parts>,
    next: u32,
}

#[derive(Debug, Default)]
struct Parts {
    /// Those that have not passed yet.
    left: usize,
    /// Customers of the largest that passed.
    largest: usize,
    has_culprit: bool,
}

impl Families {
    /// Halves a call of several customers that failed as a whole.
    pub(super) fn halve(&mut self, group: &Group) -> Vec<Group> {
        let family = group.part_of.unwrap_or_else(|| {
            self.next += 1;
            Family(self.next)
        });
        let parts: Vec<Group> =
            halves(group).into_iter().map(|part| Group { part_of: Some(family), ..part }).collect();
        let known = self.families.entry(family).or_insert_with(|| Parts { left: 1, ..Parts::default() });
        known.left += parts.len() - 1;
        parts
    }

    /// A group landed. The size to which calls are to keep, if it was the last part of one whose size was to blame.
    pub(super) fn landed(&mut self, group: &Group) -> Option<usize> {
        self.end(group, |parts| parts.largest = parts.largest.max(group.ids.len()))
    }

    /// A group ended in another way: what became of it says nothing about sizes.
    pub(super) fn ended(&mut self, group: &Group) {
        self.end(group, |parts| parts.has_culprit = true);
    }

    fn end(&mut self, group: &Group, note: impl FnOnce(&mut Parts)) -> Option<usize> {
        let family = group.part_of?;
        let parts = self.families.get_mut(&family)?;
        note(parts);
        parts.left -= 1;
        if parts.left > 0 {
            return None;
        }
        let Parts { largest, has_culprit, .. } = self.families.remove(&family)?;
        (!has_culprit && largest > 0).then_some(largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::customer;

    fn ids(list: impl IntoIterator<Item = i64>) -> Vec<RowId> {
        list.into_iter().map(customer).collect()
    }

    #[test]
    fn a_third_goes_first_and_the_rest_is_under_suspicion() {
        let group = first_third(&Group::of(ids(1..=10)), "no".to_owned());
        assert_eq!(group.ids, ids(1..=3));
        assert_eq!(group.suspects.map(|suspects| suspects.group.ids), Some(ids(4..=10)));
        let alone = first_third(&Group::of(ids([7])), "no".to_owned());
        assert_eq!((alone.ids, alone.suspects.is_none()), (ids([7]), true));
    }

    #[test]
    fn a_record_that_is_more_than_half_of_a_call_goes_alone_and_the_others_together() {
        let parts = |bytes: &[usize]| -> Vec<Vec<RowId>> {
            smaller(&Group::of(ids(1..=4)), bytes).into_iter().map(|part| part.ids).collect()
        };
        assert_eq!(parts(&[10, 2_000, 10, 10]), [ids([1, 3, 4]), ids([2])]);
        assert_eq!(parts(&[10, 10, 10, 10]), [ids([1, 2]), ids([3, 4])]);
        assert_eq!(parts(&[]), [ids([1, 2]), ids([3, 4])]);
    }

    #[test]
    fn when_every_part_lands_the_size_was_to_blame() {
        let mut families = Families::default();
        let halves = families.halve(&Group::of(ids(1..=10)));
        assert_eq!(families.landed(&halves[0]), None);
        let quarters = families.halve(&halves[1]);
        assert_eq!(families.landed(&quarters[0]), None);
        assert_eq!(families.landed(&quarters[1]), Some(5));
        assert_eq!(families.landed(&Group::of(ids([1]))), None, "it was part of nothing");
    }

    #[test]
    fn when_one_customer_fails_alone_calls_stay_as_large_as_they_were() {
        let mut families = Families::default();
        let halves = families.halve(&Group::of(ids(1..=2)));
        families.ended(&halves[1]);
        assert_eq!(families.landed(&halves[0]), None);
        assert!(families.families.is_empty());
    }
}
