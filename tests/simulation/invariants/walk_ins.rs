//! Who came in is in the store once: nobody twice because of a till, and nobody lost; what was granted counts once; the app's own rows mean the
//! right person, and what somebody was called at first is answered. No creation leaves again without a look, but where the store has
//! said that it was too large or too early.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tillsync::{Answer, Decimal, Outcome, Store, Ticket, Trouble};

use super::{Deed, Invariant, Verdict};
use crate::values::{amount, canonical, lenient};
use crate::walk_ins::{self, Walker, in_store, person_of};
use crate::world::{Ended, World};

const CREDIT: &str = "store_credit_amounts";

#[derive(Default)]
pub struct WalkIns {
    /// Who may have landed, and was not looked for since: by till and person, with the address that was sent.
    open: BTreeMap<(usize, usize), String>,
    /// Who is in a creation that is on its way.
    creations: BTreeMap<Ticket, Vec<usize>>,
    /// For what addresses somebody looks.
    looks: BTreeMap<Ticket, Vec<String>>,
    /// Conflicts about who exists that were looked at, by till.
    asked: BTreeSet<(usize, i64)>,
    /// Those of whom more than one try left, or was lost.
    was_lost: BTreeSet<(usize, usize)>,
    /// What was sent last, by till and person.
    sent: BTreeMap<(usize, usize), Map<String, Value>>,
    /// Tills whose last run brought a creation on its way.
    sending: BTreeSet<usize>,
}

impl Invariant for WalkIns {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::CreationLeaves { ticket, body } => self.leaves(world, *ticket, body),
            Deed::LooksFor { ticket, emails } => {
                self.looks.insert(*ticket, emails.iter().map(|email| email.to_lowercase()).collect());
                Ok(())
            }
            Deed::HeardOfWalkIns { ticket, answer } => {
                self.heard(world, *ticket, answer);
                Ok(())
            }
            Deed::Made { id, record, sent } => self.made(world, *id, record, *sent),
            Deed::Followed { till, old, new } => self.followed(world, *till, *old, *new),
            _ => Ok(()),
        }
    }

    fn at_restart(&mut self, world: &mut World, _: &Ended<'_>) -> Verdict {
        self.creations.clear();
        self.looks.clear();
        if walk_ins::are_on(world) { self.nobody_is_asked_in_vain(world) } else { Ok(()) }
    }

    fn at_last(&mut self, world: &mut World) -> Verdict {
        if !walk_ins::are_on(world) {
            return Ok(());
        }
        for till in 0..world.tills.len() {
            world.active = till;
            let mut store = world.tills[till].take_app();
            for walker in world.walkers.clone().iter().filter(|walker| walker.till == till) {
                self.is_well(world, &mut store, walker)
                    .map_err(|problem| format!("till {till}: {}, who came in: {problem}", walker.old))?;
            }
            world.tills[till].app = Some(store);
        }
        Ok(())
    }
}

impl WalkIns {
    fn leaves(&mut self, world: &mut World, ticket: Ticket, body: &str) -> Verdict {
        let till = world.active;
        let all: Vec<Map<String, Value>> = serde_json::from_str(body).unwrap_or_default();
        if all.is_empty() || all.len() > 10 {
            return Err(format!("{} are created in a call", all.len()));
        }
        self.sending.insert(till);
        let mut persons = Vec::new();
        for one in all {
            let Some(person) = person_of(&Value::Object(one.clone())) else {
                return Err(format!("till {till}: somebody is created whom nobody entered: {one:?}"));
            };
            let walker = world.walkers.iter().find(|walker| (walker.till, walker.person) == (till, person));
            let Some(walker) = walker.filter(|walker| !walker.is_given_up).cloned() else {
                return Err(format!("till {till}: person {person} is created, and was given up: {one:?}"));
            };
            if let Some(email) = self.open.get(&(till, person)) {
                return Err(format!(
                    "till {till}: {} was sent as {email}, and is sent again without a look",
                    walker.old
                ));
            }
            let sent = one.get(CREDIT).and_then(amount);
            let granted = on_its_way(world, walker.old);
            if sent.unwrap_or_default() != granted {
                return Err(format!("till {till}: {} was given {granted}, and {sent:?} is sent", walker.old));
            }
            let email = one.get("email").and_then(Value::as_str).unwrap_or_default().trim().to_lowercase();
            self.open.insert((till, person), email);
            self.sent.insert((till, person), one);
            persons.push(person);
        }
        self.creations.insert(ticket, persons);
        Ok(())
    }

    fn heard(&mut self, world: &World, ticket: Ticket, answer: &Result<Answer, Trouble>) {
        let till = world.active;
        if let Some(persons) = self.creations.remove(&ticket) {
            let never_was = match answer {
                Ok(answer) => [413, 429].contains(&answer.status),
                Err(trouble) => matches!(trouble, Trouble::Offline(_)),
            };
            for person in persons {
                if never_was {
                    self.open.remove(&(till, person));
                } else if !matches!(answer, Ok(answer) if [400, 409, 422].contains(&answer.status)) {
                    self.was_lost.insert((till, person));
                }
            }
        }
        if let Some(emails) = self.looks.remove(&ticket)
            && matches!(answer, Ok(answer) if [200, 204].contains(&answer.status))
        {
            self.open.retain(|(of, _), email| *of != till || !emails.contains(email));
        }
    }

    /// Nobody is there already.
    fn made(
        &mut self,
        world: &mut World,
        id: i64,
        record: &Value,
        sent: Option<&Map<String, Value>>,
    ) -> Verdict {
        let Some(person) = person_of(record) else { return Ok(()) };
        let (till, others) = (world.active, in_store(world, person));
        let fields = record.as_object().into_iter().flatten();
        for (field, value) in fields.filter(|(field, _)| !["id", "date_modified"].contains(&field.as_str())) {
            world.enter(id, field, value, sent.is_some());
        }
        if sent.is_some() {
            let landed = amount(&record[CREDIT]);
            let walker =
                world.walkers.iter_mut().find(|walker| (walker.till, walker.person) == (till, person));
            walker.into_iter().for_each(|walker| walker.landed = landed);
        }
        let Some(other) = others.iter().find(|other| **other != id) else { return Ok(()) };
        let what = format!("till {till}: person {person} is there as {other}, and made again: {id}");
        if world.persons[person].is_moved && walk_ins::has_several_hands(world, person) {
            world.excuse("somebody has said two addresses to two clerks", what);
            return Ok(());
        }
        Err(what)
    }

    /// What was granted before it was known whom the store has is there, or goes there.
    fn followed(&mut self, world: &mut World, till: usize, old: i64, new: i64) -> Verdict {
        let walker = world.walkers.iter().find(|walker| (walker.till, walker.old) == (till, old)).cloned();
        let Some(Walker { person, landed, paid, .. }) = walker else {
            return Err(format!("till {till}: {old} is {new} now, and nobody entered it"));
        };
        if let Some(record) = world.customer(new)
            && person_of(&record) != Some(person)
        {
            return Err(format!("till {till}: {old} is person {person}, and {new} is not: {record}"));
        }
        self.open.remove(&(till, person));
        let uploaded = paid.into_iter().filter(|(seq, _)| is_uploaded(world, *seq));
        let uploaded: Decimal = uploaded.map(|(_, amount)| amount).sum();
        if uploaded.is_zero() || landed.is_some_and(|landed| landed == uploaded) {
            return Ok(());
        }
        let what = format!("till {till}: {old} was given {uploaded}, of which {landed:?} has landed");
        match self.was_lost.contains(&(till, person)) {
            // Another till has granted as much within the minute.
            true => world.excuse("another till has granted as much at once, and a try was lost", what),
            false => return Err(what),
        }
        Ok(())
    }

    /// Whom the store has as it was sent, and since it was, nobody is asked about; unless another hand made it.
    fn nobody_is_asked_in_vain(&mut self, world: &mut World) -> Verdict {
        let till = world.active;
        for (conflict, old, remote) in existing(world) {
            if !self.asked.insert((till, conflict)) {
                continue;
            }
            let walker =
                world.walkers.iter().find(|walker| (walker.till, walker.old) == (till, old)).cloned();
            let Some(Walker { person, landed, .. }) = walker else { continue };
            let is_it = person_of(&remote) == Some(person) && landed.is_some();
            let sent = self.sent.get(&(till, person)).cloned().unwrap_or_default();
            let is_as_sent = |(field, value): (&String, &Value)| {
                remote.get(field).is_none_or(|now| canonical(field, now) == canonical(field, value))
            };
            let mut fields =
                sent.iter().filter(|(field, _)| *field != "trigger_account_created_notification");
            if !is_it || !fields.all(is_as_sent) {
                continue;
            }
            let what = format!("till {till}: {old} landed as it was sent, and a person is asked who that is");
            let is_a_guess = !self.was_lost.contains(&(till, person))
                && !amount(&remote[CREDIT]).unwrap_or_default().is_zero();
            let odd = ["wrong-dates", "wrong-first-date", "no-dates"].iter().any(|name| world.odd.has(name));
            match () {
                () if is_a_guess => {
                    world.excuse("who refused it may have been no store, and money is in it", what)
                }
                () if odd || world.till().set_ms.is_some() => {
                    world.excuse("a clock was set, or told wrong", what)
                }
                () => return Err(what),
            }
        }
        Ok(())
    }

    fn is_well(&self, world: &mut World, store: &mut Store, walker: &Walker) -> Verdict {
        let there = in_store(world, walker.person);
        if there.len() > 1 {
            return Err(format!("is there as {there:?}"));
        }
        let known = store.get(walker.old).unwrap().map(|row| row.id().0);
        if walker.is_given_up {
            return Ok(());
        }
        let today = walker.today;
        if today > 0 {
            let is_gone = world.deleted.contains(&today);
            let sale = "SELECT customer_id FROM my_sale WHERE person = ?1";
            let sale: Option<i64> =
                store.connection().query_row(sale, [walker.person as i64], |row| row.get(0)).unwrap();
            // The app lets go of whom the store did not show for a while.
            let sale = sale.or(Some(today));
            if !is_gone && (known != Some(today) || sale != Some(today) || there != [today]) {
                return Err(format!(
                    "is {today}, answered as {known:?}, sold to as {sale:?}, in the store as {there:?}"
                ));
            }
            if let (false, Some(phone)) = (is_gone, walker.phone.as_deref()) {
                self.has_phone(world, store, walker, phone)?;
            }
            return Ok(());
        }
        if known != Some(walker.old) {
            return Err(format!("is gone from the file: {known:?}"));
        }
        let conflicts = store.conflicts().unwrap();
        let is_asked = conflicts.iter().any(|one| one.customer_id.0 == walker.old && one.field == "+");
        let is_refused = store.rejected().unwrap().iter().any(|one| one.customer_id.0 == walker.old);
        let is_held_up = store.held_up().unwrap().iter().any(|one| one.customer_id.0 == walker.old);
        match is_asked || is_refused || is_held_up {
            true => Ok(()),
            false => {
                let journal = store.journal(Some(walker.old.into())).unwrap();
                Err(format!("is not in the store, and nobody is asked: {journal:?}"))
            }
        }
    }

    /// What was said last of its phone is there, or waits; where another till has its own word, that may be there.
    fn has_phone(&self, world: &World, store: &Store, walker: &Walker, phone: &str) -> Verdict {
        let others = world.walkers.iter().filter(|other| other.person == walker.person).count();
        let journal = store.journal(Some(walker.today.into())).unwrap();
        let waits = journal.iter().any(|row| {
            row.field == "phone"
                && [None, Some(Outcome::Held), Some(Outcome::Rejected)].contains(&row.outcome)
        });
        let decided = journal.iter().any(|row| {
            row.field == "phone" && [Some(Outcome::Remote), Some(Outcome::Discarded)].contains(&row.outcome)
        });
        let there = world.customer(walker.today).map(|record| canonical("phone", &record["phone"]));
        if others > 1 || waits || decided || there == Some(canonical("phone", &phone.into())) {
            return Ok(());
        }
        let is_anothers = there.as_ref().is_some_and(|there| {
            world.writing_of(walker.today, "phone", there).is_some_and(|written| !written.is_till)
        });
        if is_anothers || world.is_echoed(walker.today, Some("phone")) {
            return Ok(());
        }
        Err(format!("has the phone {there:?}, and {phone} was said last: {journal:?}"))
    }
}

/// The open conflicts about who exists already, in the file of the till that is at work.
fn existing(world: &mut World) -> Vec<(i64, i64, Value)> {
    let sql = "SELECT id, customer_id, remote FROM conflict WHERE field = '+' AND resolution IS NULL";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, lenient(&row.get::<_, String>(2)?))));
    rows.unwrap().map(Result::unwrap).collect()
}

/// What of that which was given to somebody is on its way.
fn on_its_way(world: &mut World, id: i64) -> Decimal {
    let sql = "SELECT value FROM journal WHERE customer_id = ?1 AND op = 'adjust' AND outcome = 'in_flight'";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement.query_map([id], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|value| value.unwrap().trim_matches('"').parse::<Decimal>().unwrap()).sum()
}

fn is_uploaded(world: &mut World, seq: i64) -> bool {
    let sql = "SELECT 1 FROM journal WHERE seq = ?1 AND outcome = 'uploaded'";
    world.till().looks().prepare_cached(sql).unwrap().exists([seq]).unwrap()
}
