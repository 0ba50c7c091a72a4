//! P9: nobody who is there goes missing. A customer that a till has, and that nobody deleted, stays in its file, and with it
//! the rows that the app hangs on it.

use std::collections::{BTreeMap, BTreeSet};

use tillsync::sandbox::{Behaviours, Pages};

use super::held_up::is_held_up;
use super::{Deed, Invariant, Verdict};
use crate::script::Job;
use crate::world::{Ended, World};

#[derive(Default)]
pub struct Company {
    known: BTreeMap<usize, BTreeSet<i64>>,
    /// Customers who are there and went all the same, since two answers lacked them: by till, and when.
    wrongly: Vec<(usize, u64)>,
}

impl Invariant for Company {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        if let Deed::SetBack { .. } = deed {
            self.known.remove(&world.active);
            self.wrongly.retain(|(till, _)| *till != world.active);
        }
        Ok(())
    }

    fn at_restart(&mut self, world: &mut World, ended: &Ended<'_>) -> Verdict {
        let till = world.active;
        // Where an answer by id is cut, it takes several syncs.
        let Behaviours { by_id_at_most, pages, .. } = world.core.options().behaviours;
        let asks_for_all = by_id_at_most == 0 && pages == Pages::Full;
        let has_asked = ended.is_well && ended.job != Job::Push && asks_for_all;
        let there = {
            let mut statement =
                world.till().looks().prepare_cached("SELECT id FROM customer WHERE id > 0").unwrap();
            let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
            rows.map(Result::unwrap).collect::<BTreeSet<i64>>()
        };
        let known = self.known.entry(till).or_default();
        let known_before = known.len();
        let missing: Vec<i64> =
            known.difference(&there).copied().filter(|id| !world.deleted.contains(id)).collect();
        *known = there;
        let (excused, gone): (Vec<i64>, Vec<i64>) =
            missing.into_iter().partition(|id| world.till().told.was_told_gone(*id));
        for id in asked_about(world) {
            // Whom the app does not let in again is still as good as gone in its file.
            let is_in = !world.deleted.contains(&id) && !is_held_up(world, id);
            if is_in && !world.till().told.was_told_gone(id) {
                return Err(format!(
                    "till {till}: customer {id} is there, and a person is asked as if it was deleted"
                ));
            }
            let is_there = world.customer(id).is_some() && !world.was_told_absent_in_this_run(id);
            if has_asked && is_there && !is_held_up(world, id) {
                return Err(format!(
                    "till {till}: customer {id} is there, was taken for deleted, and nobody asks for it"
                ));
            }
        }
        let went_before = self.today(world, till);
        for id in excused {
            world.excuse("absent from two answers that gave no sign of it", format!("customer {id}"));
            self.wrongly.push((till, world.now_ms));
        }
        // Those who were deleted count too, there and then; and who sets a clock ends a day.
        let most = believed_in_a_day(known_before + went_before + world.deleted.len());
        let today = self.today(world, till);
        if today > went_before && today > most && world.till().set_ms.is_none() {
            return Err(format!(
                "till {till}: {today} customers who are there went within a day, of {known_before}"
            ));
        }
        match gone.first() {
            Some(id) => {
                Err(format!("till {till}: {} customers who are there are gone, {id} among them", gone.len()))
            }
            None => Ok(()),
        }
    }
}

impl Company {
    /// How many went wrongly within the last day.
    fn today(&self, world: &World, till: usize) -> usize {
        let is_of_today = |&&(of, at_ms): &&(usize, u64)| of == till && at_ms + A_DAY_MS > world.now_ms;
        self.wrongly.iter().filter(is_of_today).count()
    }
}

const A_DAY_MS: u64 = 86_400_000;

/// So many may go within a day without a person's word: a share, but twenty in any case, and never more than half of a file.
fn believed_in_a_day(customers: usize) -> usize {
    (customers / 20).max(20).min((customers / 2).max(1))
}

/// Customers of whom a person is asked what becomes of their edits, now that they are gone.
fn asked_about(world: &mut World) -> Vec<i64> {
    let sql = "SELECT customer_id FROM conflict WHERE field = '*' AND resolution IS NULL";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
