//! P5: a payment that a till acknowledged is in the store exactly once, or in front of a person.
//!
//! The book has a line for each payment: how often it went into a balance, whether a person was shown it, and decided. An
//! update of a balance is taken apart as it leaves: it must be what the till's snapshot has, and the payments on their way.
//!
//! One thing cannot be known: an update that landed, and of which a reading back finds amount **and date** as they were
//! before. That takes somebody who spends exactly what was granted, and a date that did not move: because the store does not
//! date credit, or because all of it happened within one second.
//!
//! Nor can this: an update of which an answer says yes and shows nothing (it leaves the balance out, or only repeats what was asked,
//! without a date), that was not applied, and of whose customer somebody else moves the balance before anybody reads it. Where it was
//! read, and was as before, a person is asked, also where that was so soon that it may have lagged; but where somebody else made the balance
//! just what was sent, and changed more of that customer, or within the same seconds. Where the same answer, or the same reading, shows that
//! something else of it is as before, that yes is none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tillsync::{Decimal, Outcome, Ticket};

use super::{Deed, Invariant, Verdict};
use crate::oddities::is_promised;
use crate::values::{amount, canonical, lenient, newest};
use crate::world::{Ended, World};

const CREDIT: &str = "store_credit_amounts";

/// An update that was lost may have been applied until so long after it left: the time of a request, and what the clocks of
/// a till and a store may be apart.
const ON_ITS_WAY_MS: u64 = 40_000;

/// A reading that shows what was before a change is believed so long after it at the soonest.
const LAGS_AT_MOST_MS: u64 = 60_000;

/// What is known of a store's clock is right to so much, and its dates are whole seconds.
const CLOCK_IS_SURE_TO_MS: u64 = 3_000;

/// What an answer left open is read back no earlier than so long after it left.
pub const GRACE_MS: u64 = 5_000;

/// A payment by its till and its row of the journal there.
type Name = (usize, i64);

#[derive(Default)]
pub struct Payments {
    book: BTreeMap<Name, Payment>,
    /// Updates of balances that have left.
    flights: BTreeMap<(Ticket, i64), Flight>,
    /// Each customer of an update that has left: what was sent, and what it was computed from.
    calls: BTreeMap<Ticket, Vec<Sent>>,
    /// Payments that a store refused and nobody freed.
    refused: BTreeSet<Name>,
    /// By till and customer.
    attempts: BTreeMap<(usize, i64), Vec<Attempt>>,
    /// The payments of a till when its backup was made.
    backed_up: BTreeMap<usize, BTreeMap<Name, Payment>>,
    /// Payments that waited in a file that was set back, and that no person has had sent again.
    set_back: BTreeSet<Name>,
    /// The balance and the date of a customer before an update landed whose answer the till has not had.
    doubts: BTreeMap<(usize, i64), Doubt>,
}

#[derive(Clone, Debug)]
struct Payment {
    id: i64,
    amount: Decimal,
    /// How often it went into the balance.
    times: u32,
    /// A person decided about it, and was shown it.
    is_decided: bool,
    /// Whether it landed could not be known.
    is_unknowable: bool,
    /// It is a person's decision that payments stand which were in the balance by then, all of them: it is there with them.
    is_there_already: bool,
}

impl Payment {
    fn new(id: i64, amount: Decimal) -> Payment {
        Payment { id, amount, times: 0, is_decided: false, is_unknowable: false, is_there_already: false }
    }
}

/// An update of a balance that has left, for as long as its payments are not done with.
#[derive(Clone, Debug)]
struct Attempt {
    sent: Option<Decimal>,
    left_ms: u64,
    /// The till had read the balance as it was then.
    read_ms: Option<u64>,
    landed_ms: Option<u64>,
    rows: Vec<i64>,
    all: Sent,
    /// A yes that shows nothing of it came then; none: none did, or a reading has told since.
    yes_ms: Option<u64>,
    /// Since then readings have shown the balance of before.
    as_before_ms: Option<u64>,
    /// One has in this run; and one in a run that ended well.
    is_seen_as_before: bool,
    is_known_as_before: bool,
}

/// What was sent of a customer, and its snapshot by then.
#[derive(Clone, Debug)]
struct Sent {
    id: i64,
    fields: Map<String, Value>,
    base: Value,
}

#[derive(Clone, Debug)]
struct Flight {
    /// The payments in it; those before a balance that is set are in none.
    rows: Vec<i64>,
    /// A balance is set: that may be sent again.
    is_absolute: bool,
    /// Its place among the attempts of the customer.
    attempt: usize,
}

struct Doubt {
    before: (Option<Decimal>, Value),
    /// What it was computed from: somebody may have changed the customer since.
    base: (Option<Decimal>, Value),
    /// The balance that it was made.
    made: Option<Decimal>,
    /// The answer to the update showed that.
    is_shown: bool,
    landed_ms: u64,
    rows: Vec<i64>,
}

impl Invariant for Payments {
    fn saw(&mut self, world: &mut World, deed: &Deed<'_>) -> Verdict {
        match deed {
            Deed::Edited(edited) => {
                if let (Some(seq), Some(amount)) = (edited.seq, edited.amount) {
                    self.book.insert((edited.till, seq), Payment::new(edited.id, amount));
                }
                Ok(())
            }
            Deed::Leaves { ticket, body, .. } => self.leaves(world, *ticket, body),
            Deed::Lands { ticket, id, sent, before, .. } if sent.contains_key(CREDIT) => {
                self.lands(world, *ticket, *id, before)
            }
            Deed::MayHaveLanded { ticket, id } => {
                let rows = self.flights.get(&(*ticket, *id)).map(|flight| flight.rows.clone());
                self.unknowable(world.active, &rows.unwrap_or_default());
                Ok(())
            }
            Deed::Answered { answer: Ok(answer), as_of_ms: Some(as_of_ms), .. } => {
                let body = lenient(&String::from_utf8_lossy(&answer.body));
                for record in newest(&body["data"]) {
                    self.read_back(world, record, *as_of_ms);
                    self.by_another_hand(world, record);
                    self.after_a_yes(world, record);
                }
                Ok(())
            }
            Deed::Answered { ticket, answer: Ok(answer), as_of_ms: None } => {
                let body = lenient(&String::from_utf8_lossy(&answer.body));
                let records = newest(&body["data"]);
                records.iter().for_each(|record| self.shows(world, record));
                if matches!(answer.status, 200 | 207) {
                    self.says_yes(world, *ticket, &records);
                }
                Ok(())
            }
            Deed::Decided { till, shown, .. } => {
                self.enter_decisions(world, shown);
                for seq in *shown {
                    self.refused.remove(&(*till, *seq));
                    if let Some(payment) = self.book.get_mut(&(*till, *seq)) {
                        payment.is_decided = true;
                    }
                }
                Ok(())
            }
            Deed::Retried { till, rows } => {
                for name in rows.iter().map(|seq| (*till, *seq)) {
                    self.refused.remove(&name);
                    // Whether it was sent before the file was set back, the person knows.
                    if let (true, Some(payment)) = (self.set_back.remove(&name), self.book.get_mut(&name)) {
                        payment.is_unknowable = true;
                    }
                }
                Ok(())
            }
            Deed::Followed { till, old, new } => {
                self.follow(world, *till, *old, *new);
                Ok(())
            }
            Deed::BackedUp => {
                let till = world.active;
                let of_it = self.book.iter().filter(|((of, _), _)| *of == till);
                let of_it = of_it.map(|(name, payment)| (*name, payment.clone())).collect();
                self.backed_up.insert(till, of_it);
                Ok(())
            }
            Deed::SetBack { up_to, open } => {
                self.is_set_back(world, *up_to, open);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn at_restart(&mut self, world: &mut World, ended: &Ended<'_>) -> Verdict {
        self.enter_those_of_nobody(world);
        let till = world.active;
        for attempt in self.attempts_of(till) {
            attempt.is_known_as_before |= attempt.is_seen_as_before && ended.is_well;
            attempt.is_seen_as_before = false;
        }
        self.refused.extend(refused(world).into_iter().map(|seq| (till, seq)));
        Ok(())
    }

    fn at_last(&mut self, world: &mut World) -> Verdict {
        for till in 0..world.tills.len() {
            let store = world.tills[till].take_app();
            let journal = store.journal(None).map_err(|e| e.to_string())?;
            world.tills[till].app = Some(store);
            let outcomes: BTreeMap<i64, Option<Outcome>> =
                journal.iter().map(|row| (row.seq.0, row.outcome)).collect();
            let newest_set = |id: i64| {
                let sets = journal
                    .iter()
                    .filter(|row| row.customer_id.0 == id && row.field == CREDIT && row.op == "set");
                sets.map(|row| row.seq.0).max()
            };
            self.of_till(world, till, &outcomes, newest_set)?;
        }
        Ok(())
    }
}

impl Payments {
    /// What came after the backup is gone with the file. What is in it is as it was then, but for what has landed since.
    fn is_set_back(&mut self, world: &mut World, up_to: i64, open: &[i64]) {
        let till = world.active;
        let was = self.backed_up.get(&till).cloned().unwrap_or_default();
        let is_gone = |(of, seq): &Name| *of == till && *seq > up_to;
        self.book.retain(|name, _| !is_gone(name));
        // What was refused since is not known in it.
        self.refused.retain(|(of, _)| *of != till);
        self.refused.extend(refused(world).into_iter().map(|seq| (till, seq)));
        for (name, payment) in self.book.iter_mut().filter(|((of, _), _)| *of == till) {
            payment.is_decided = was.get(name).is_some_and(|was| was.is_decided);
        }
        self.set_back.retain(|(of, _)| *of != till);
        self.set_back.extend(open.iter().map(|seq| (till, *seq)));
        for attempt in self.attempts_of(till) {
            attempt.rows.retain(|seq| *seq <= up_to);
            (attempt.is_seen_as_before, attempt.is_known_as_before) = (false, false);
        }
        for (_, doubt) in self.doubts.iter_mut().filter(|((of, _), _)| *of == till) {
            doubt.rows.retain(|seq| *seq <= up_to);
        }
    }

    /// What was part of a creation is another promise's; what was paid since is a payment like any other.
    fn follow(&mut self, world: &mut World, till: usize, old: i64, new: i64) {
        let settled: BTreeSet<i64> = {
            let sql =
                "SELECT seq FROM journal WHERE customer_id = ?1 AND op = 'adjust' AND settled_at IS NOT NULL";
            let mut statement = world.till().looks().prepare_cached(sql).unwrap();
            let rows = statement.query_map([new], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let is_its = |(of, _): &Name, payment: &Payment| *of == till && payment.id == old;
        self.book.retain(|name, payment| !is_its(name, payment) || !settled.contains(&name.1));
        for (name, payment) in &mut self.book {
            if is_its(name, payment) {
                payment.id = new;
            }
        }
    }

    fn attempts_of(&mut self, till: usize) -> impl Iterator<Item = &mut Attempt> {
        self.attempts.iter_mut().filter(move |((of, _), _)| *of == till).flat_map(|(_, all)| all)
    }

    fn enter_those_of_nobody(&mut self, world: &mut World) {
        for (seq, id, amount, _) in by_nobody(world) {
            self.book.entry((world.active, seq)).or_insert(Payment::new(id, amount));
        }
    }

    /// A person has decided that the payments shown stand: a new one takes their place, which is not sent where a reading tells that
    /// they have landed after all.
    fn enter_decisions(&mut self, world: &mut World, shown: &[i64]) {
        let till = world.active;
        // One that waits is shown with the conflict, too.
        let shown: BTreeSet<i64> = shown.iter().copied().collect();
        for (seq, id, amount, is_decision) in by_nobody(world) {
            let of_it = shown.iter().filter_map(|seq| self.book.get(&(till, *seq)));
            let (landed, others): (Vec<&Payment>, Vec<&Payment>) =
                of_it.filter(|payment| payment.id == id).partition(|payment| payment.times > 0);
            let sum: Decimal = landed.iter().map(|payment| payment.amount).sum();
            let is_of_payments = !landed.is_empty() && sum == amount;
            let is_there_already =
                is_decision && others.is_empty() && (is_of_payments || self.was_set_by(till, id, amount));
            let payment = Payment { is_there_already, ..Payment::new(id, amount) };
            self.book.entry((till, seq)).or_insert(payment);
        }
    }

    /// Whether an update has landed that set a balance, without payments on top, and moved it by so much.
    fn was_set_by(&self, till: usize, id: i64, by: Decimal) -> bool {
        let is_it = |attempt: &Attempt| {
            let moved = attempt.sent.zip(amount(&attempt.all.base[CREDIT])).map(|(sent, base)| sent - base);
            attempt.landed_ms.is_some() && attempt.rows.is_empty() && moved == Some(by)
        };
        self.attempts.get(&(till, id)).into_iter().flatten().any(is_it)
    }

    fn leaves(&mut self, world: &mut World, ticket: Ticket, body: &str) -> Verdict {
        self.enter_those_of_nobody(world);
        let customers: Vec<Map<String, Value>> = serde_json::from_str(body).unwrap_or_default();
        for customer in customers {
            let id = customer["id"].as_i64().unwrap_or_default();
            let all = Sent { id, fields: customer.clone(), base: snapshot(world, id) };
            self.calls.entry(ticket).or_default().push(all.clone());
            if !customer.contains_key(CREDIT) {
                continue;
            }
            let (rows, base) = (on_their_way(world, id), amount(&all.base[CREDIT]));
            let till = world.active;
            let refused = rows.iter().find(|(seq, ..)| self.refused.contains(&(till, *seq)));
            if let (Some((seq, ..)), true) = (refused, is_promised("row-by-row")) {
                return Err(format!("customer {id}: payment {seq} was refused, and is sent again unasked"));
            }
            let sent = amount(&customer[CREDIT]);
            let expected = rows.iter().fold(base, |balance, (_, set, by)| set.or(balance).map(|b| b + by));
            if sent.is_none() || sent != expected {
                return Err(format!(
                    "customer {id}: a balance of {sent:?} is sent: the snapshot has {base:?}, and on their way are {rows:?}"
                ));
            }
            let newest_set = rows.iter().rposition(|(_, set, _)| set.is_some());
            let counted = &rows[newest_set.map_or(0, |place| place + 1)..];
            let counted = counted.iter().map(|(seq, ..)| *seq).collect();
            let (left_ms, read) = (world.now_ms, world.till().told.reads.get(&id).copied());
            let read_ms = read.and_then(|read| read.of(CREDIT));
            let attempts = self.attempts.entry((world.active, id)).or_default();
            let (attempt, is_absolute) = (attempts.len(), newest_set.is_some());
            let sent = amount(&customer[CREDIT]);
            attempts.push(Attempt {
                sent,
                left_ms,
                read_ms,
                landed_ms: None,
                rows: Vec::clone(&counted),
                all,
                yes_ms: None,
                as_before_ms: None,
                is_seen_as_before: false,
                is_known_as_before: false,
            });
            self.flights.insert((ticket, id), Flight { rows: counted, is_absolute, attempt });
        }
        Ok(())
    }

    fn lands(&mut self, world: &mut World, ticket: Ticket, id: i64, before: &Value) -> Verdict {
        let Some(flight) = self.flights.get(&(ticket, id)) else { return Ok(()) };
        let (till, rows, is_absolute) = (world.active, flight.rows.clone(), flight.is_absolute);
        let date = before["date_modified"].clone();
        let attempts = self.attempts.entry((till, id)).or_default();
        let Some(this) = attempts.get(flight.attempt).cloned() else { return Ok(()) };
        // The same amount again, and nobody has read the balance since: it is what it was made.
        let is_the_same = |other: &Attempt| {
            let is_unread = other.landed_ms > this.read_ms;
            other.landed_ms.is_some() && is_unread && (other.sent, &other.rows) == (this.sent, &this.rows)
        };
        let is_again = attempts.iter().any(is_the_same);
        attempts[flight.attempt].landed_ms = Some(world.now_ms);
        let before = (amount(&before[CREDIT]), date);
        let (made, landed_ms, rows_of) = (this.sent, world.now_ms, rows.clone());
        let base = (amount(&this.all.base[CREDIT]), this.all.base["date_modified"].clone());
        let doubt = Doubt { before, base, made, is_shown: false, landed_ms, rows: rows_of };
        self.doubts.insert((till, id), doubt);
        for seq in rows.into_iter().filter(|_| !is_again) {
            let Some(payment) = self.book.get_mut(&(till, seq)) else { continue };
            payment.times = if is_absolute { 1 } else { payment.times + 1 };
            if payment.times > 1 && !payment.is_unknowable && !payment.is_decided {
                return Err(format!(
                    "customer {id}: payment {seq} of {} is in the balance twice",
                    payment.amount
                ));
            }
        }
        Ok(())
    }

    /// The answer to an update that landed shows what it made.
    fn shows(&mut self, world: &World, record: &Value) {
        let Some(id) = record["id"].as_i64() else { return };
        if let Some(doubt) = self.doubts.get_mut(&(world.active, id)) {
            doubt.is_shown |= doubt.made.is_some() && doubt.made == amount(&record[CREDIT]);
        }
    }

    /// A reading that finds a balance and its date as they were before an update, which landed. One of the time before it
    /// landed is for the grace to keep apart.
    fn read_back(&mut self, world: &mut World, record: &Value, as_of_ms: u64) {
        let till = world.active;
        let Some(id) = record["id"].as_i64() else { return };
        let Some(doubt) = self.doubts.get(&(till, id)) else { return };
        let behind_ms = world.credit_behind_ms();
        // Credit from a cache is as old as that, whatever the record's date.
        let is_date_of_it = behind_ms == 0;
        let is_late = as_of_ms.saturating_sub(behind_ms) < doubt.landed_ms;
        let lags_too_far = is_late && world.lag_ms() + behind_ms > GRACE_MS;
        let is_as = |(balance, date): &(Option<Decimal>, Value)| {
            *balance == amount(&record[CREDIT]) && (!is_date_of_it || *date == record["date_modified"])
        };
        let is_as_before = is_as(&doubt.before) || (lags_too_far && is_as(&doubt.base));
        // One that lags by more than the grace undoes a yes, too, that did not show the balance; credit that is behind does not.
        let undoes = is_date_of_it && lags_too_far && !doubt.is_shown;
        let is_open = undoes || are_open(world, &doubt.rows);
        if !is_as_before || (is_late && !lags_too_far) || !is_open {
            return;
        }
        let rows = doubt.rows.clone();
        let why = match lags_too_far {
            true => "reads lag by more than the grace",
            false => "neither amount nor date tells that it landed",
        };
        world.excuse(why, format!("customer {id}: {rows:?}"));
        self.unknowable(till, &rows);
    }

    /// A reading that finds what an update was to make of a balance, which did not land: somebody else moved it by as much,
    /// while it may have been on its way.
    fn by_another_hand(&mut self, world: &mut World, record: &Value) {
        let (till, id) = (world.active, record["id"].as_i64().unwrap_or_default());
        let shown = amount(&record[CREDIT]);
        let Some(attempts) = self.attempts.get(&(till, id)).filter(|_| shown.is_some()) else { return };
        let writing =
            world.writing_of(id, CREDIT, &canonical(CREDIT, &record[CREDIT])).map(|written| written.at_ms);
        let is_mistaken = |attempt: &&Attempt| {
            // Dates are whole seconds.
            let on_its_way = attempt.left_ms.saturating_sub(1_000)..=attempt.left_ms + ON_ITS_WAY_MS;
            let is_meanwhile = writing.is_some_and(|at_ms| on_its_way.contains(&at_ms));
            attempt.landed_ms.is_none() && attempt.sent == shown && is_meanwhile
        };
        if attempts.iter().any(|attempt| attempt.landed_ms.is_some() && attempt.sent == shown) {
            return;
        }
        let rows: Vec<i64> =
            attempts.iter().filter(is_mistaken).flat_map(|attempt| attempt.rows.iter().copied()).collect();
        if are_open(world, &rows) {
            world.excuse("another hand moved it by as much", format!("customer {id}: {rows:?}"));
            self.unknowable(till, &rows);
        }
    }

    /// The answer to an update is a yes. Of whom it shows nothing may have landed, or not; unless it shows of anybody that
    /// something is as it was before.
    fn says_yes(&mut self, world: &World, ticket: Ticket, records: &[&Value]) {
        let till = world.active;
        let record_of = |id: i64| records.iter().find(|record| record["id"] == id);
        let of_call = self.flights.range((ticket, i64::MIN)..=(ticket, i64::MAX));
        let mut of_call: Vec<(i64, usize)> = of_call.map(|((_, id), flight)| (*id, flight.attempt)).collect();
        let mut all = self.calls.get(&ticket).into_iter().flatten();
        let is_none = all.any(|sent| record_of(sent.id).is_some_and(|record| sent.is_denied_by(record)));
        of_call.retain(|(id, _)| {
            record_of(*id).is_some_and(|record| {
                amount(&record[CREDIT]).is_none() || record.get("date_modified").is_none()
            })
        });
        for (id, attempt) in of_call.into_iter().filter(|_| !is_none) {
            let attempt = self.attempts.get_mut(&(till, id)).and_then(|all| all.get_mut(attempt));
            attempt.into_iter().for_each(|attempt| attempt.yes_ms = Some(world.now_ms));
        }
    }

    /// The first reading after such a yes that shows another balance than the update was computed from: it counts as landed, and
    /// what is there as somebody else's.
    fn after_a_yes(&mut self, world: &mut World, record: &Value) {
        let (till, id) = (world.active, record["id"].as_i64().unwrap_or_default());
        let Some(shown) = amount(&record[CREDIT]) else { return };
        let mut rows = Vec::new();
        let (now_ms, set_ms) = (world.now_ms, world.till().set_ms);
        let mut by_as_much = Vec::new();
        let moved_ms = moved_alone_ms(world, record);
        for attempt in self.attempts.get_mut(&(till, id)).into_iter().flatten() {
            let Some(yes_ms) = attempt.yes_ms else { continue };
            let is_as_before = amount(&attempt.all.base[CREDIT]) == Some(shown);
            attempt.is_seen_as_before |= is_as_before;
            // So long such a reading may lag; a till whose clock was set since then believes what has come for twice as long.
            let set_ms = set_ms.filter(|set_ms| *set_ms >= yes_ms);
            // Such a till does not believe one either that shows something else of the update as it was before.
            let is_old = is_as_before || (set_ms.is_some() && attempt.all.is_denied_by(record));
            let since_ms = *attempt.as_before_ms.filter(|at_ms| set_ms <= Some(*at_ms)).get_or_insert(now_ms);
            attempt.as_before_ms = is_old.then_some(since_ms);
            let believed_ms = set_ms.map_or(yes_ms + LAGS_AT_MOST_MS, |_| since_ms + 2 * LAGS_AT_MOST_MS);
            if is_old && now_ms < believed_ms {
                continue;
            }
            attempt.yes_ms = None;
            if is_as_before || attempt.landed_ms.is_some() || attempt.all.is_denied_by(record) {
                continue;
            }
            // That it was moved later than the update left only a change of nothing else tells.
            let is_by_another = moved_ms.is_some_and(|moved_ms| moved_ms > yes_ms + CLOCK_IS_SURE_TO_MS);
            let why = match attempt.is_known_as_before {
                false => &mut rows,
                true if attempt.sent == Some(shown) && !is_by_another => &mut by_as_much,
                true => continue,
            };
            why.extend(attempt.rows.iter().copied());
        }
        if !by_as_much.is_empty() {
            let words = format!("customer {id}: {by_as_much:?}");
            world.excuse("a yes showed nothing, and another hand moved it by as much, and more", words);
            self.unknowable(till, &by_as_much);
        }
        if !rows.is_empty() {
            world.excuse(
                "a yes showed nothing, and another hand moved it",
                format!("customer {id}: {rows:?}"),
            );
            self.unknowable(till, &rows);
        }
    }

    fn unknowable(&mut self, till: usize, rows: &[i64]) {
        for seq in rows {
            if let Some(payment) = self.book.get_mut(&(till, *seq)) {
                payment.is_unknowable = true;
            }
        }
    }

    fn of_till(
        &self,
        world: &mut World,
        till: usize,
        outcomes: &BTreeMap<i64, Option<Outcome>>,
        newest_set: impl Fn(i64) -> Option<i64>,
    ) -> Verdict {
        // Payments that make up for each other need no update: of those that are done with, the sums are compared.
        let mut sums: BTreeMap<i64, (Decimal, Decimal, Vec<i64>)> = BTreeMap::new();
        let mut there_already: BTreeMap<i64, Vec<Decimal>> = BTreeMap::new();
        let mut unknowable: BTreeMap<i64, Vec<Decimal>> = BTreeMap::new();
        for ((_, seq), payment) in self.book.iter().filter(|((of, _), _)| *of == till) {
            let Payment { id, amount, times, is_decided, is_unknowable, is_there_already } = payment;
            if world.customer(*id).is_none() {
                continue;
            }
            if *is_unknowable {
                unknowable.entry(*id).or_default().push(*amount);
                continue;
            }
            let words = || format!("till {till}: customer {id}: payment {seq} of {amount}");
            let outcome = outcomes.get(seq).ok_or_else(|| format!("{} is not in the journal", words()))?;
            match outcome {
                Some(Outcome::Uploaded | Outcome::Unchanged) if !is_decided => {
                    let (done, counted, rows) = sums.entry(*id).or_default();
                    *done += amount;
                    *counted += amount * Decimal::from(*times);
                    if *is_there_already && *times == 0 {
                        there_already.entry(*id).or_default().push(*amount);
                    }
                    rows.push(*seq);
                }
                Some(Outcome::Superseded) if newest_set(*id) > Some(*seq) => {}
                Some(Outcome::Rejected)
                    if *times > 0 && !is_decided && !self.set_back.contains(&(till, *seq)) =>
                {
                    return Err(format!("{} is refused, and in the balance", words()));
                }
                // Where these are, a person sees them: `edits` looks that they do.
                None | Some(Outcome::InFlight | Outcome::Held | Outcome::Rejected) => {}
                _ if *is_decided => {}
                Some(outcome) => {
                    return Err(format!("{} is {}, and nobody decided that", words(), outcome.as_str()));
                }
            }
        }
        for (id, (done, counted, rows)) in sums {
            let there_already = there_already.get(&id).map(Vec::as_slice).unwrap_or_default();
            if !is_sum_of(done - counted, there_already) && newest_set(id) < rows.first().copied() {
                let unknowable = unknowable.get(&id).map(Vec::as_slice).unwrap_or_default();
                if makes_up_for(done - counted, unknowable) {
                    world.excuse(
                        "it makes up for one of which nobody knows",
                        format!("customer {id}: {rows:?}"),
                    );
                    continue;
                }
                return Err(format!(
                    "till {till}: customer {id}: payments {rows:?} come to {done}, of which {counted} are in the balance"
                ));
            }
        }
        Ok(())
    }
}

impl Sent {
    /// Whether a record shows something that was sent as it was before.
    fn is_denied_by(&self, record: &Value) -> bool {
        self.fields.iter().filter(|(field, _)| *field != "id").any(|(field, sent)| {
            let is_told = |value: &&Value| !value.as_array().is_some_and(Vec::is_empty);
            let (shown, before) = (record.get(field).filter(is_told), self.base.get(field));
            let (Some(shown), Some(before)) = (shown, before) else { return false };
            let [shown, before, sent] = [shown, before, sent].map(|value| canonical(field, value));
            shown == before && before != sent
        })
    }
}

/// The payments that wait as refused, in the file of the till that is at work.
fn refused(world: &mut World) -> Vec<i64> {
    let sql = "SELECT seq FROM journal WHERE field = ?1 AND op = 'adjust' AND outcome = 'rejected'";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement.query_map([CREDIT], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Whether a sum is what some of these payments come to.
fn is_sum_of(sum: Decimal, payments: &[Decimal]) -> bool {
    let with =
        |sums: BTreeSet<Decimal>, one: &Decimal| sums.iter().flat_map(|sum| [*sum, sum + one]).collect();
    payments.iter().fold(BTreeSet::from([Decimal::ZERO]), with).contains(&sum)
}

/// Whether a sum is just what some payments come to that are in the balance once more than they should be, or not at all.
fn makes_up_for(sum: Decimal, unknowable: &[Decimal]) -> bool {
    match unknowable {
        [] => sum.is_zero(),
        [one, rest @ ..] => [sum, sum + one, sum - one].into_iter().any(|sum| makes_up_for(sum, rest)),
    }
}

/// When the balance of a record was moved to what it is, where its date tells that: it is newer than what the till knows, and
/// nothing else is.
fn moved_alone_ms(world: &mut World, record: &Value) -> Option<u64> {
    let id = record["id"].as_i64()?;
    let known = snapshot(world, id);
    let is_other = |(field, told): (&String, &Value)| {
        let is_of_it = [CREDIT, "date_modified"].contains(&field.as_str());
        let known = known.get(field).filter(|_| !is_of_it);
        known.is_some_and(|known| canonical(field, known) != canonical(field, told))
    };
    let is_dated = known["date_modified"] != record["date_modified"];
    let is_alone = is_dated && !record.as_object()?.iter().any(is_other);
    let writing = world.writing_of(id, CREDIT, &canonical(CREDIT, &record[CREDIT]));
    writing.filter(|_| is_alone).map(|written| written.at_ms)
}

/// Whether what became of some of these payments is not known yet.
fn are_open(world: &mut World, rows: &[i64]) -> bool {
    let sql = "SELECT settled_at IS NULL FROM journal WHERE seq = ?1";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    rows.iter().any(|seq| statement.query_row([seq], |row| row.get::<_, bool>(0)).unwrap_or(false))
}

/// Payments that no clerk made: by a trigger of the app, or, which is told, a person's decision about a balance.
fn by_nobody(world: &mut World) -> Vec<(i64, i64, Decimal, bool)> {
    let sql = "SELECT seq, customer_id, value, label IS 'resolve' FROM journal
               WHERE op = 'adjust' AND author IS NOT 'ana'";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?)))
        .unwrap();
    rows.map(Result::unwrap)
        .map(|(seq, id, value, is_decision)| (seq, id, value.trim_matches('"').parse().unwrap(), is_decision))
        .collect()
}

/// The payments and the balances that are on their way: their rows, the balance that is set, the amount that is added.
fn on_their_way(world: &mut World, id: i64) -> Vec<(i64, Option<Decimal>, Decimal)> {
    let sql = "SELECT seq, op, value FROM journal
               WHERE customer_id = ?1 AND field = 'store_credit_amounts' AND outcome = 'in_flight' ORDER BY seq";
    let mut statement = world.till().looks().prepare_cached(sql).unwrap();
    let rows = statement
        .query_map([id], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))
        .unwrap();
    rows.map(|row| {
        let (seq, op, value) = row.unwrap();
        match op.as_str() {
            "set" => (seq, amount(&lenient(&value)), Decimal::ZERO),
            _ => (seq, None, value.trim_matches('"').parse().unwrap()),
        }
    })
    .collect()
}

/// A customer in the till's snapshot.
fn snapshot(world: &mut World, id: i64) -> Value {
    let sql = "SELECT body FROM snapshot WHERE id = ?1";
    let looks = world.till().looks();
    let body = looks.prepare_cached(sql).unwrap().query_row([id], |row| row.get::<_, String>(0));
    body.map_or(Value::Null, |body| lenient(&body))
}
