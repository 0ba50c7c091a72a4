//! Where a trigger of the app refuses a customer, that customer waits and is named, and nobody else: others go on as if it was not
//! there. What becomes of those that go on is for the other promises.

use super::agreement::why_nobody_is_deleted;
use super::{Invariant, Verdict};
use crate::people::may_be_refused;
use crate::world::{Ended, World};

pub struct HeldUp;

impl Invariant for HeldUp {
    fn at_restart(&mut self, world: &mut World, _: &Ended<'_>) -> Verdict {
        let till = world.active;
        // Who has the store's id by now may be one of those.
        let may_be = |world: &World, id: i64| match id < 0 {
            true => world.odd.has("refusing-triggers"),
            false => may_be_refused(world, id),
        };
        match held_up(world).into_iter().find(|id| !may_be(world, *id)) {
            Some(id) => Err(format!("till {till}: customer {id} is held up, and nobody refuses it")),
            None => Ok(()),
        }
    }

    fn at_last(&mut self, world: &mut World) -> Verdict {
        for till in 0..world.tills.len() {
            world.active = till;
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'app_refuses%'";
            let looks = world.till().looks();
            let refuses: i64 = looks.query_row(sql, [], |row| row.get(0)).map_err(|e| e.to_string())?;
            // Who was deleted where nobody can be taken for that is never told of again.
            let why = why_nobody_is_deleted(world);
            let (gone, held_up): (Vec<i64>, Vec<i64>) =
                held_up(world).into_iter().partition(|id| why.is_some() && world.deleted.contains(id));
            if let (0, Some(why)) = (refuses, why) {
                gone.iter()
                    .for_each(|id| world.excuse(why, format!("till {till}: customer {id} is held up still")));
            }
            if let (0, Some(id)) = (refuses, held_up.first()) {
                return Err(format!(
                    "till {till}: customer {id} is held up still, and nobody refuses it any more"
                ));
            }
        }
        Ok(())
    }
}

/// Whether a customer waits in the file of the till that is at work, and is named.
pub fn is_held_up(world: &mut World, id: i64) -> bool {
    held_up(world).contains(&id)
}

fn held_up(world: &mut World) -> Vec<i64> {
    let mut statement =
        world.till().looks().prepare_cached("SELECT customer_id FROM tillsync_held_up").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
