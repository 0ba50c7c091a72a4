//! A pull that ends well has brought everything that was written before it began: no page is skipped, no cursor jumps over a
//! change, and what is not complete says so.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::held_up::is_held_up;
use super::{Deed, ECHOED, Invariant, Verdict};
use crate::script::Job;
use crate::values::lenient;
use crate::world::{Ended, World};

/// Also that nothing older takes the place of what is known: only a person who asks for everything believes that.
#[derive(Default)]
pub struct Pulls {
    /// The newest date of each customer that a till knew.
    dates: BTreeMap<(usize, i64), DateTime<Utc>>,
}

impl Invariant for Pulls {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        if let Deed::SetBack { .. } = deed {
            self.dates.retain(|(till, _), _| *till != world.active);
        }
        Ok(())
    }

    fn at_restart(&mut self, world: &mut World, ended: &Ended<'_>) -> Verdict {
        self.nothing_older(world, ended.job == Job::FullPull)?;
        if !ended.is_well || ended.job == Job::Push {
            return Ok(());
        }
        let Some(listed_ms) = world.till().told.listed_ms else { return Ok(()) };
        let all: Vec<i64> = world.core.ids().into_iter().map(i64::from).collect();
        let unlisted = world.till().told.unlisted.clone();
        for id in all.into_iter().filter(|id| !unlisted.contains(id)) {
            self.brought(world, id, listed_ms)?;
        }
        Ok(())
    }
}

impl Pulls {
    fn nothing_older(&mut self, world: &mut World, is_believed: bool) -> Verdict {
        let till = world.active;
        for (id, date) in dates(world) {
            let known = self.dates.insert((till, id), date);
            if let Some(known) = known.filter(|known| *known > date && !is_believed) {
                // Its date was that of the answer, which was none of the customer's.
                if world.is_echoed(id, None) {
                    world.excuse(ECHOED, format!("customer {id} is of {date} again"));
                    continue;
                }
                return Err(format!("till {till}: customer {id} was of {known}, and is of {date} now"));
            }
        }
        Ok(())
    }

    /// What was written to a customer before the pull began stands in the snapshot, or something newer does.
    fn brought(&self, world: &mut World, id: i64, listed_ms: u64) -> Verdict {
        let newest = world
            .written
            .range((id, String::new())..(id + 1, String::new()))
            .flat_map(|((_, field), all)| all.iter().map(move |written| (field, written)))
            .filter(|(_, written)| !written.is_undated && written.at_ms < listed_ms)
            .map(|(field, written)| (written.at_ms, field.clone()))
            .max();
        let till = world.active;
        let snapshot = snapshot(world, id);
        if snapshot.is_none() && world.made.get(&id).is_some_and(|made_ms| *made_ms >= listed_ms) {
            return Ok(());
        }
        if (snapshot.is_none() && is_asked(world, id)) || is_held_up(world, id) || is_doubted(world, id) {
            return Ok(());
        }
        if snapshot.is_none() && world.till().told.unshowable.contains(&id) {
            // Two lists of everybody lacked the same, and said so; the next one brings it, if it can.
            world.excuse("no page that would show it came", format!("customer {id} is not in the file"));
            return Ok(());
        }
        let Some((at_ms, field)) = newest else {
            return match snapshot {
                None if world.till().told.was_told_gone(id) => Ok(()),
                None => Err(format!("till {till}: a pull ended well, and customer {id} is not in the file")),
                Some(_) => Ok(()),
            };
        };
        let at = chrono::DateTime::<chrono::Utc>::from_timestamp_millis(
            (world.now() - chrono::TimeDelta::milliseconds((world.now_ms - at_ms) as i64)).timestamp_millis(),
        )
        .unwrap();
        let date = snapshot.as_ref().and_then(|body| body["date_modified"].as_str()).unwrap_or_default();
        let told = chrono::DateTime::parse_from_rfc3339(date).map(|date| date.timestamp()).unwrap_or(0);
        let is_gone = snapshot.is_none() && world.till().told.was_told_gone(id);
        // After an update whose answer had no date, nobody knows it until the customer is told again.
        let is_undated = snapshot.as_ref().is_some_and(|body| body["date_modified"].is_null());
        match told >= at.timestamp() || is_gone || is_undated {
            true => Ok(()),
            false => Err(format!(
                "till {till}: a pull ended well, and of customer {id} it has {date:?}, though {field} was written at {at}"
            )),
        }
    }
}

/// What a till knows of when its customers were changed, where the store told that.
fn dates(world: &mut World) -> Vec<(i64, DateTime<Utc>)> {
    let sql = "SELECT id, json_extract(body, '$.date_modified') FROM snapshot";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?))).unwrap();
    rows.map(Result::unwrap).filter_map(|(id, date)| Some((id, date?.parse().ok()?))).collect()
}

fn snapshot(world: &mut World, id: i64) -> Option<Value> {
    let looks = world.till().looks();
    let mut statement = looks.prepare_cached("SELECT body FROM snapshot WHERE id = ?1").unwrap();
    statement.query_row([id], |row| row.get::<_, String>(0)).ok().map(|body| lenient(&body))
}

/// Whether a reading of the customer was not believed, and it is asked for again: what is set back within a minute looks like one
/// that lags.
fn is_doubted(world: &mut World, id: i64) -> bool {
    let sql = "SELECT count(*) FROM json_each((SELECT value FROM state WHERE key = 'older_readings')) WHERE key = ?1";
    let looks = world.till().looks();
    looks.prepare_cached(sql).unwrap().query_row([id.to_string()], |row| row.get::<_, i64>(0)).unwrap() > 0
}

/// Whether a person is asked what became of the customer.
fn is_asked(world: &mut World, id: i64) -> bool {
    let sql = "SELECT count(*) FROM conflict WHERE customer_id = ?1 AND field = '*' AND resolution IS NULL";
    let looks = world.till().looks();
    looks.prepare_cached(sql).unwrap().query_row([id], |row| row.get::<_, i64>(0)).unwrap() > 0
}
