//! How much goes into a call: customers, of which the API takes ten, and bytes, of which a store takes what it takes.
//!
//! A `413` is about bytes: one large record makes nobody else's call small. Calls stay below the size that worked, or
//! below half of the one that was refused, whichever is more; a call of one customer always leaves, since nothing smaller can.

/// What fits into a call.
#[derive(Debug)]
pub(super) struct Room {
    customers: usize,
    /// The most bytes of a body, if the store refused more.
    most_bytes: Option<usize>,
    /// The largest body that it took in this sync.
    worked_bytes: usize,
    has_learned: bool,
}

impl Room {
    /// Room for so many customers, and for so many bytes, as far as is known.
    pub(super) fn new(customers: usize, most_bytes: Option<usize>) -> Room {
        Room { customers, most_bytes, worked_bytes: 0, has_learned: false }
    }

    /// Customers a call.
    pub(super) fn customers(&self) -> usize {
        self.customers
    }

    /// Bytes a call, if that is known.
    pub(super) fn most_bytes(&self) -> Option<usize> {
        self.most_bytes
    }

    /// What the store was taught in this sync.
    pub(super) fn learned_bytes(&self) -> Option<usize> {
        self.most_bytes.filter(|_| self.has_learned)
    }

    /// Whether a call may leave.
    pub(super) fn takes(&self, customers: usize, bytes: usize) -> bool {
        customers <= 1 || (customers <= self.customers && self.most_bytes.is_none_or(|most| bytes <= most))
    }

    /// Calls of more customers fail.
    pub(super) fn keep_to(&mut self, customers: usize) {
        self.customers = self.customers.min(customers).max(1);
    }

    /// A call of so many bytes was taken.
    pub(super) fn worked(&mut self, bytes: usize) {
        self.worked_bytes = self.worked_bytes.max(bytes);
        if self.most_bytes.is_some_and(|most| most < bytes) {
            (self.most_bytes, self.has_learned) = (Some(bytes), true);
        }
    }

    /// A call of `customers` was refused because of its size.
    pub(super) fn refused(&mut self, customers: usize, bytes: usize) {
        if bytes <= self.worked_bytes {
            // More than that worked: what this one has too much of is not bytes. Where that is customers, fewer bytes hold
            // fewer of them; a record that is refused alone says nothing about others.
            if customers == 1 {
                return;
            }
            self.worked_bytes = 0;
        }
        let most = self.worked_bytes.max(bytes / 2).max(1);
        self.most_bytes = Some(self.most_bytes.map_or(most, |known| known.min(most)));
        self.has_learned = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        Room::new(10, None)
    }

    #[test]
    fn one_large_record_makes_nobody_elses_call_small() {
        let mut room = room();
        room.refused(10, 2_000_900);
        room.worked(900);
        room.refused(1, 2_000_000);
        assert_eq!(room.learned_bytes(), Some(1_000_000));
        assert!(room.takes(10, 900) && !room.takes(2, 1_500_000) && room.takes(1, 5_000_000));
    }

    #[test]
    fn calls_stay_below_what_worked_or_below_half_of_what_was_refused() {
        let mut room = room();
        room.refused(10, 1_000);
        assert_eq!(room.most_bytes(), Some(500));
        room.refused(5, 500);
        room.worked(200);
        assert_eq!(room.learned_bytes(), Some(250));
        let mut room = self::room();
        room.worked(800);
        room.refused(10, 1_000);
        assert_eq!(room.most_bytes(), Some(800));
    }

    #[test]
    fn a_store_that_takes_more_than_it_did_once_is_believed() {
        let mut room = Room::new(10, Some(300));
        assert_eq!((room.most_bytes(), room.learned_bytes()), (Some(300), None));
        room.worked(900);
        assert_eq!(room.learned_bytes(), Some(900));
    }

    #[test]
    fn a_store_that_counts_customers_gets_fewer_of_them() {
        let mut room = room();
        room.worked(4_000);
        room.refused(5, 400);
        assert_eq!(room.most_bytes(), Some(200));
        let mut room = self::room();
        room.worked(4_000);
        room.refused(1, 400);
        assert_eq!(room.most_bytes(), None, "one record was refused for what it is");
    }

    #[test]
    fn no_call_is_of_less_than_one_customer() {
        let mut room = room();
        room.keep_to(0);
        room.refused(1, 0);
        assert!(room.takes(1, 10) && !room.takes(2, 10));
        assert_eq!(room.customers(), 1);
    }
}
