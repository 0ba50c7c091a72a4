//! P9: nobody who is there goes missing. A customer that a till has, and that nobody deleted, stays in its file, and with it
//! the rows that the app hangs on it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, Verdict};
use crate::world::{Ended, World};

#[derive(Default)]
pub struct Company {
    known: BTreeMap<usize, BTreeSet<i64>>,
}

impl Invariant for Company {
    fn at_restart(&mut self, world: &mut World, _: &Ended<'_>) -> Verdict {
        let till = world.active;
        let there = {
            let mut statement = world.till().looks().prepare_cached("SELECT id FROM customer").unwrap();
            let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
            rows.map(Result::unwrap).collect::<BTreeSet<i64>>()
        };
        let known = self.known.entry(till).or_default();
        let missing: Vec<i64> =
            known.difference(&there).copied().filter(|id| !world.deleted.contains(id)).collect();
        *known = there;
        let (excused, gone): (Vec<i64>, Vec<i64>) =
            missing.into_iter().partition(|id| world.till().was_told_gone(*id));
        for id in excused {
            world.excuse("absent from two answers that gave no sign of it", format!("customer {id}"));
        }
        match gone.first() {
            Some(id) => {
                Err(format!("till {till}: {} customers who are there are gone, {id} among them", gone.len()))
            }
            None => Ok(()),
        }
    }
}
