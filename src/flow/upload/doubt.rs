//! Batches that are to be read back, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::lanes::Group;
use crate::flow::{Rejection, Ticket};
use crate::resource::{FieldId, RowId};

/// Why a batch is to be read back.
#[derive(Clone, Debug)]
pub(super) enum Doubt {
    /// Whether it arrived is not known.
    Lost(String),
    /// The store took it, and did not show all of it.
    Unconfirmed,
    /// The store took it, and shows these attributes as they were before.
    Unshown(BTreeMap<RowId, Vec<FieldId>>),
    /// The store says that it was too large; so many bytes were of each customer.
    TooLarge { words: String, bytes: Vec<(RowId, usize)> },
    /// The store wants an attribute said that it did not change, and refused it.
    Wanting(String),
    /// The store refused it, or a part of it.
    Refused { rejections: Vec<Rejection>, words: String },
}

/// A batch to be read back.
#[derive(Debug)]
pub(super) struct ToRead {
    pub(super) group: Group,
    pub(super) doubt: Doubt,
    pub(super) at_ms: u64,
    /// They were not there when they were read back before.
    is_second: bool,
    /// How often the answer was older than what is known.
    lags: u32,
    /// How often the answer was cut.
    cuts: u32,
}

/// So often an answer that is older than what is known is no answer.
const LAGS_AT_MOST: u32 = 3;
/// So often one is that was cut.
const CUTS_AT_MOST: u32 = 3;

/// A batch whose reading back is on its way.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) read: ToRead,
    pub(super) sent_ms: u64,
    /// Its answer was cut.
    is_cut: bool,
}

/// Everything in doubt.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    waiting: Vec<ToRead>,
    reading: BTreeMap<Ticket, Reading>,
    /// All answers that might have shown them were cut: in doubt they stay.
    pub(super) unknown: BTreeSet<RowId>,
}

impl Doubts {
    /// Reads a batch back, from `at_ms` on.
    pub(super) fn add(&mut self, group: Group, doubt: Doubt, at_ms: u64) {
        self.waiting.push(ToRead { group, doubt, at_ms, is_second: false, lags: 0, cuts: 0 });
    }

    /// A reading back that brought nothing is repeated.
    pub(super) fn again(&mut self, read: ToRead, at_ms: u64) {
        self.waiting.push(ToRead { at_ms, ..read });
    }

    /// Takes out those that wait and hold more customers than this.
    pub(super) fn larger_than(&mut self, at_once: usize) -> Vec<ToRead> {
        self.waiting.extract_if(.., |read| read.group.ids.len() > at_once).collect()
    }

    /// Reads a batch back in parts.
    pub(super) fn divide(&mut self, read: ToRead, at_once: usize) {
        let ToRead { group, doubt, at_ms, is_second, lags, cuts } = read;
        for ids in group.ids.chunks(at_once) {
            let group = Group { ids: ids.to_vec(), ..group.clone() };
            self.waiting.push(ToRead { group, doubt: doubt.clone(), at_ms, is_second, lags, cuts });
        }
    }

    /// A batch that is due leaves to be read back.
    pub(super) fn leave(&mut self, ticket: Ticket, now_ms: u64) -> Option<Vec<RowId>> {
        let due = self.waiting.iter().position(|read| read.at_ms <= now_ms)?;
        let read = self.waiting.swap_remove(due);
        let ids = read.group.ids.clone();
        self.reading.insert(ticket, Reading { read, sent_ms: now_ms, is_cut: false });
        Some(ids)
    }

    /// When the next one is due.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|read| read.at_ms).min()
    }

    /// What the store said no to, of those that are read back: it showed it as it was before, or refused it by name. Of a
    /// customer on its own no name is needed.
    pub(super) fn denied(&self, ticket: Ticket) -> BTreeMap<RowId, Vec<FieldId>> {
        let Some(ToRead { group, doubt, .. }) = self.reading.get(&ticket).map(|reading| &reading.read) else {
            return BTreeMap::new();
        };
        match (doubt, &group.ids[..]) {
            (Doubt::Unshown(fields), _) => fields.clone(),
            (Doubt::TooLarge { .. }, ids) => {
                ids.iter().map(|id| (*id, id.resource.fields().collect())).collect()
            }
            (Doubt::Refused { rejections, .. }, [id]) if rejections.is_empty() => {
                [(*id, id.resource.fields().collect())].into()
            }
            (Doubt::Refused { rejections, .. }, _) => {
                let fields = |Rejection { row, field, .. }: &Rejection| match field {
                    Some(field) => vec![*field],
                    None => row.resource.fields().collect(),
                };
                rejections.iter().map(|rejection| (rejection.row, fields(rejection))).collect()
            }
            _ => BTreeMap::new(),
        }
    }

    /// What the store showed as it was before although it showed all the rest of the update: what may come from somewhere else than
    /// the record, and late. Of money the answer is the only witness.
    pub(super) fn late(&self, ticket: Ticket) -> BTreeMap<RowId, Vec<FieldId>> {
        let doubt = self.reading.get(&ticket).map(|reading| &reading.read.doubt);
        let Some(Doubt::Unshown(fields)) = doubt else { return BTreeMap::new() };
        let may_be_late = |field: &FieldId| field.may_be_undated() && !field.is_money();
        let all = fields.iter().filter(|(_, fields)| fields.iter().all(may_be_late));
        all.map(|(id, fields)| (*id, fields.clone())).collect()
    }

    /// Whether the store took what is read back, and told nothing of it.
    pub(super) fn left_out(&self, ticket: Ticket) -> bool {
        let doubt = self.reading.get(&ticket).map(|reading| &reading.read.doubt);
        matches!(doubt, Some(Doubt::Unconfirmed))
    }

    /// The answer to a reading back is here, or there will be none.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Reading> {
        self.reading.remove(&ticket)
    }

    /// Whether another witness says too that those are not there whom the answer does not show: the reading before, or the store that
    /// refused them.
    pub(super) fn confirms(&self, ticket: Ticket, shown: &BTreeSet<RowId>) -> bool {
        let Some(Reading { read, .. }) = self.reading.get(&ticket) else { return false };
        let is_refused = matches!(read.doubt, Doubt::Refused { .. } | Doubt::TooLarge { .. });
        is_refused || (read.is_second && !read.group.ids.iter().any(|id| shown.contains(id)))
    }

    /// The answer shows fewer than it says that there are.
    pub(super) fn cut(&mut self, ticket: Ticket) {
        self.reading.get_mut(&ticket).into_iter().for_each(|reading| reading.is_cut = true);
    }

    /// The answer shows these customers. Who is missing is not gone after this one look: it is read back once more at
    /// `again_ms`. Returns those that two looks did not show.
    pub(super) fn missing(&mut self, ticket: Ticket, shown: &BTreeSet<RowId>, again_ms: u64) -> Vec<RowId> {
        let Some(reading) = self.reading.get_mut(&ticket) else { return Vec::new() };
        let missing: Vec<RowId> =
            reading.read.group.ids.iter().copied().filter(|id| !shown.contains(id)).collect();
        let is_absent = !reading.is_cut && reading.read.is_second;
        if missing.is_empty() || (is_absent && missing.len() == reading.read.group.ids.len()) {
            return missing;
        }
        reading.read.group.ids.retain(|id| shown.contains(id));
        // One that shows others of them brings them nearer.
        let is_in_vain = reading.is_cut && reading.read.group.ids.is_empty();
        let (doubt, cuts) = (reading.read.doubt.clone(), reading.read.cuts + u32::from(is_in_vain));
        let group = Group { suspects: None, part_of: None, ..reading.read.group.part(&missing) };
        let is_second = !reading.is_cut;
        match cuts < CUTS_AT_MOST {
            true => self.waiting.push(ToRead { group, doubt, at_ms: again_ms, is_second, lags: 0, cuts }),
            false => self.unknown.extend(group.ids),
        }
        Vec::new()
    }

    /// The answer shows these as they were before what is known. Returns those that are read back once more, at `again_ms`.
    pub(super) fn lagging(
        &mut self,
        ticket: Ticket,
        ids: &BTreeSet<RowId>,
        again_ms: u64,
    ) -> BTreeSet<RowId> {
        let Some(Reading { read, .. }) = self.reading.get_mut(&ticket) else { return BTreeSet::new() };
        let later: Vec<RowId> = read.group.ids.iter().copied().filter(|id| ids.contains(id)).collect();
        if later.is_empty() || read.lags >= LAGS_AT_MOST {
            return BTreeSet::new();
        }
        read.group.ids.retain(|id| !ids.contains(id));
        let (doubt, lags, cuts) = (read.doubt.clone(), read.lags + 1, read.cuts);
        let group = Group { suspects: None, part_of: None, ..read.group.part(&later) };
        self.waiting.push(ToRead { group, doubt, at_ms: again_ms, is_second: false, lags, cuts });
        later.into_iter().collect()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.reading.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.reading.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::customer;

    fn ids(list: &[i64]) -> Vec<RowId> {
        list.iter().copied().map(customer).collect()
    }

    fn set(list: &[i64]) -> BTreeSet<RowId> {
        ids(list).into_iter().collect()
    }

    #[test]
    fn a_batch_is_read_back_when_it_is_due() {
        let mut doubts = Doubts::default();
        doubts.add(Group::of(ids(&[1])), Doubt::Unconfirmed, 70);
        assert_eq!((doubts.leave(Ticket(1), 69), doubts.due_ms()), (None, Some(70)));
        assert_eq!(doubts.leave(Ticket(1), 70), Some(ids(&[1])));
        assert_eq!((doubts.in_flight(), doubts.due_ms()), (1, None));
        assert_eq!(doubts.take(Ticket(1)).map(|reading| reading.sent_ms), Some(70));
        assert!(doubts.is_empty());
    }

    #[test]
    fn what_is_too_much_at_once_is_read_back_in_parts() {
        let mut doubts = Doubts::default();
        doubts.add(Group::of(ids(&[1, 2, 3, 4, 5])), Doubt::Unconfirmed, 0);
        doubts.add(Group::of(ids(&[6])), Doubt::Unconfirmed, 0);
        let larger = doubts.larger_than(2);
        assert_eq!(larger.len(), 1);
        larger.into_iter().for_each(|read| doubts.divide(read, 2));
        let mut parts: Vec<_> = (1..=4).filter_map(|nth| doubts.leave(Ticket(nth), 0)).collect();
        parts.sort();
        assert_eq!(parts, [ids(&[1, 2]), ids(&[3, 4]), ids(&[5]), ids(&[6])]);
    }

    #[test]
    fn what_was_refused_by_name_is_known_to_have_been_denied() {
        let refused = |field, id: i64| Rejection { row: customer(id), field, words: "no".to_owned() };
        let denied = |ids: &[i64], rejections: Vec<Rejection>| {
            let mut doubts = Doubts::default();
            let group = Group::of(ids.iter().copied().map(customer).collect());
            doubts.add(group, Doubt::Refused { rejections, words: "no".to_owned() }, 0);
            doubts.leave(Ticket(1), 0);
            doubts
                .denied(Ticket(1))
                .into_iter()
                .map(|(id, fields)| (id.row, fields.len()))
                .collect::<Vec<_>>()
        };
        let all = FieldId::all().count();
        assert_eq!(denied(&[1, 2], vec![refused(Some(FieldId::EMAIL), 2)]), [(2, 1)]);
        assert_eq!(denied(&[1, 2], vec![refused(None, 1)]), [(1, all)]);
        assert_eq!(denied(&[1, 2], vec![]), [], "nobody knows which");
        assert_eq!(denied(&[1], vec![]), [(1, all)]);
    }

    #[test]
    fn who_is_missing_is_read_back_once_more_and_only_then_gone() {
        let mut doubts = Doubts::default();
        doubts.add(Group::of(ids(&[1, 2, 3])), Doubt::Unconfirmed, 0);
        doubts.leave(Ticket(1), 0);
        assert_eq!(doubts.missing(Ticket(1), &set(&[1]), 500), []);
        assert_eq!(doubts.take(Ticket(1)).map(|reading| reading.read.group.ids), Some(ids(&[1])));
        assert_eq!(doubts.leave(Ticket(2), 500), Some(ids(&[2, 3])));
        assert_eq!(doubts.missing(Ticket(2), &set(&[2]), 900), [], "the answer before was cut");
        doubts.take(Ticket(2));
        assert_eq!(doubts.leave(Ticket(3), 900), Some(ids(&[3])));
        assert_eq!(doubts.missing(Ticket(3), &set(&[]), 1_400), ids(&[3]));
    }

    #[test]
    fn an_answer_that_says_that_it_was_cut_counts_as_no_look() {
        let mut doubts = Doubts::default();
        doubts.add(Group::of(ids(&[1, 2])), Doubt::Unconfirmed, 0);
        doubts.leave(Ticket(1), 0);
        doubts.cut(Ticket(1));
        assert_eq!(doubts.missing(Ticket(1), &set(&[1]), 500), []);
        doubts.leave(Ticket(2), 500);
        assert_eq!(doubts.missing(Ticket(2), &set(&[]), 1_000), [], "the first look");
        doubts.leave(Ticket(3), 1_000);
        assert_eq!(doubts.missing(Ticket(3), &set(&[]), 1_500), ids(&[2]));
    }
}
