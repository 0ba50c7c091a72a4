//! The world outside the engine: the store, the tills, the people, one clock for all of them, and what is going to happen.
//!
//! Time moves only when the engine waits. What is on its way arrives, is applied and is answered in the order of the queue,
//! so a seed decides which answer comes first. Every call that the engine makes of the world is a place where the process
//! may die: a write to the file lies between any two of them.
//!
//! Whatever happens is told to the invariants, which keep books of their own; the world keeps only what several of them ask
//! for: who wrote what and when, and when a till last read a customer.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use serde_json::Value;
use tillsync::sandbox::{StoreCore, Undated, Untold};
use tillsync::{Clock, Decimal, Store, Ticket};

use crate::invariants::{self, Deed, Invariant};
use crate::network::Event;
use crate::oddities::Odd;
use crate::script::{Item, Job, Weather, Without};
use crate::twists::{Behind, Were};
use crate::values::canonical;
use crate::walk_ins::{Person, Walker};

/// What a process dies of here.
#[derive(Debug)]
pub struct Crash;

/// A till's file and its clock.
#[derive(Default)]
pub struct Till {
    pub path: PathBuf,
    /// The app's own way into the file, open all its life.
    pub app: Option<Store>,
    /// The engine's, while its process lives.
    pub engines: Option<Store>,
    /// The same for what is checked.
    looks: Option<Connection>,
    /// A reader who stays, in a transaction of its own.
    pub reader: Option<Connection>,
    /// Its clock less the true time.
    pub skew: TimeDelta,
    /// When somebody has set it last, and set it ahead.
    pub set_ms: Option<u64>,
    pub set_ahead_ms: Option<u64>,
    /// How long its machine slept, by which its steady clock is behind.
    asleep_ms: u64,
    /// What it was told.
    pub told: Told,
    /// A backup of its file, if one was made.
    pub copy: Option<Copied>,
}

/// A backup of a till's file.
#[derive(Clone)]
pub struct Copied {
    pub path: PathBuf,
    /// What the till was told by then.
    told: Told,
    made_ms: u64,
}

/// What a till was told by the store, and when.
#[derive(Clone, Default)]
pub struct Told {
    /// The customers as its answers told them, and when.
    pub reads: BTreeMap<i64, Read>,
    /// When the list of its last pull was begun; what lists lack is in `blind`.
    pub listed_ms: Option<u64>,
    /// Customers of whom it cannot know: a list lacked them, and gave no sign of that.
    pub blind: BTreeSet<i64>,
    /// The same, until a list shows them: one who only kept others company in a question by id was not pulled.
    pub unlisted: BTreeSet<i64>,
    /// Whom a page would have shown, and did not come for that: until a list shows them, or all is calm and one of everybody begins.
    pub unshowable: BTreeSet<i64>,
    /// Whom the pages of its last list have shown.
    pub shown: BTreeSet<i64>,
    /// How often it was told that a customer who is there was not, since it was told of it last, and when it was last.
    pub absences: BTreeMap<i64, (u32, u64)>,
    /// When it was told that last, whatever came since.
    told_absent_ms: BTreeMap<i64, u64>,
    /// Lists that it was told the beginning of since one of them bore a wrong `Date`, or its clock was set; none: neither was.
    pub right_dates: Option<u32>,
}

/// A run that makes more calls of the world than this goes round in circles.
const MOST_CALLS: u64 = 20_000;

/// A customer who was absent so often, at two moments, is gone for all that a till can know.
pub const GONE_AFTER: u32 = 2;
/// Two moments are so far apart.
const APART_MS: u64 = 4_500;

/// What a look by id brought serves the batch that it was made for, for so long from its answer on, however slow the line is;
/// and what lies between the commit of that and the wire.
const FOR_THIS_BATCH_MS: u64 = 2_000 + 500;
/// No line is as slow as that.
const SLOWEST_LINE_MS: u64 = 600_000;

impl Told {
    pub fn was_told_gone(&self, id: i64) -> bool {
        self.absences.get(&id).is_some_and(|(times, _)| *times >= GONE_AFTER)
    }

    /// A process that died may have had answers in its hands that are in no file: what they told is as if they had not.
    pub fn forgets_what_came_since(&mut self, before: Told) {
        self.blind.extend(before.blind);
        self.unlisted.extend(before.unlisted);
        self.unshowable.extend(before.unshowable);
        (self.reads, self.listed_ms) = (before.reads, before.listed_ms);
    }

    /// It was told that a customer is not there. Twice at one moment is once.
    pub fn is_told_absent(&mut self, id: i64, now_ms: u64) {
        self.told_absent_ms.insert(id, now_ms);
        let (times, last_ms) = self.absences.entry(id).or_default();
        if *times == 0 || now_ms >= *last_ms + APART_MS {
            (*times, *last_ms) = (*times + 1, now_ms);
        }
    }
}

/// When a till was told of a customer: the time at which the store was as it was told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Read {
    /// Of what every answer tells.
    rest_ms: Option<u64>,
    /// Of the balance, and of the form fields, which may be missing.
    credit_ms: Option<u64>,
    forms_ms: Option<u64>,
    /// Of the balance by the customer's id: the number of the run, and when.
    credit_by_id: Option<(u64, u64)>,
    /// When an answer by the customer's id was here, if it was not as old as a night.
    answered_ms: Option<u64>,
}

impl Read {
    /// `behind`: by so much less new are its credit and its form fields.
    pub fn enter(
        &mut self,
        record: &Value,
        as_of_ms: u64,
        behind: Behind,
        now_ms: u64,
        by_id_in_run: Option<u64>,
    ) {
        let is_told = |field: &str| record[field].as_array().is_some();
        self.rest_ms = self.rest_ms.max(Some(as_of_ms));
        let has_lain = as_of_ms + SLOWEST_LINE_MS < now_ms;
        self.answered_ms = by_id_in_run.filter(|_| !has_lain).map(|_| now_ms).or(self.answered_ms);
        if is_told("form_fields") {
            self.forms_ms = self.forms_ms.max(Some(as_of_ms.saturating_sub(behind.forms_ms)));
        }
        if is_told("store_credit_amounts") {
            let as_of_ms = as_of_ms.saturating_sub(behind.credit_ms);
            self.credit_ms = self.credit_ms.max(Some(as_of_ms));
            self.credit_by_id = by_id_in_run.map(|run| (run, as_of_ms)).or(self.credit_by_id);
        }
    }

    /// When the till was last told of an attribute.
    pub fn of(&self, field: &str) -> Option<u64> {
        match field {
            "store_credit_amounts" => self.credit_ms,
            "form_fields" => self.forms_ms,
            _ => self.rest_ms,
        }
    }

    /// Whether an answer by the customer's id was here shortly before.
    pub fn was_answered_before(&self, at_ms: u64) -> bool {
        self.answered_ms.is_some_and(|answered_ms| at_ms <= answered_ms + FOR_THIS_BATCH_MS)
    }

    /// When the till looked at the balance in a run.
    pub fn looked_ms(&self, run: u64) -> Option<u64> {
        self.credit_by_id.filter(|(of, _)| *of == run).map(|(_, at_ms)| at_ms)
    }
}

impl Till {
    /// The file, to look into.
    pub fn looks(&mut self) -> &Connection {
        self.looks.get_or_insert_with(|| Connection::open(&self.path).unwrap())
    }

    /// The app's way into the file, to be put back.
    pub fn take_app(&mut self) -> Store {
        self.app.take().unwrap_or_else(|| Store::open(&self.path).unwrap())
    }

    /// Nobody has its file open any more.
    pub fn close(&mut self) {
        (self.app, self.engines, self.looks, self.reader) = (None, None, None, None);
    }
}

impl World {
    /// A backup was made of the file of the till that is at work.
    pub fn is_backed_up(&mut self, path: PathBuf) {
        let made_ms = self.now_ms;
        let told = self.till().told.clone();
        self.till().copy = Some(Copied { path, told, made_ms });
    }

    /// Its file is that of the backup: what it was told since is not in it, and what it sent since is somebody else's.
    pub fn is_set_back(&mut self, to: Copied) {
        let all = self.written.values_mut().flatten();
        all.filter(|written| written.at_ms >= to.made_ms).for_each(|written| {
            (written.is_till, written.shown_to) = (false, None);
        });
        self.till().told = to.told;
    }
}

/// A value that somebody wrote.
#[derive(Clone, Debug)]
pub struct Written {
    pub at_ms: u64,
    pub value: Value,
    pub is_till: bool,
    /// The till that wrote it and was shown it in the answer, and in which run.
    pub shown_to: Option<(usize, u64)>,
    /// The date of the customer was left as it was.
    pub is_undated: bool,
}

pub struct World {
    pub core: StoreCore,
    pub odd: Odd,
    pub random: fastrand::Rng,
    pub weather: Weather,
    pub trace: Vec<String>,
    pub problems: Vec<String>,
    /// What was let pass because no client can do better, by reason.
    pub excuses: BTreeMap<&'static str, u32>,
    /// The tills of the store; the first one has attributes that nobody else edits.
    pub tills: Vec<Till>,
    /// The till that is at work.
    pub active: usize,
    /// When this run began.
    pub run_began_ms: u64,
    /// Calls of the world in this run, and runs so far.
    pub calls: u64,
    pub runs: u64,
    /// All that was written to an attribute of a customer, in its order.
    pub written: BTreeMap<(i64, String), Vec<Written>>,
    /// The end has come, in which all is to come right.
    pub is_calm: bool,
    /// How far reads lagged behind writes until then.
    pub lagged_ms: u64,
    /// Customers that the back office deleted.
    pub deleted: BTreeSet<i64>,
    /// What customers had of the shop's attributes, and the back office took away.
    pub values_deleted: BTreeSet<(i32, i32)>,
    /// How many values of them were set, by whomever.
    pub values_said: usize,
    /// Attributes of which an answer showed what was sent, and that were not written.
    pub echoed: BTreeSet<(i64, String)>,
    /// By how much a `Date` of this run was ahead, if that was not by a lifetime.
    pub ahead_ms: Option<u64>,
    /// What balances were.
    pub old_credit: Were<Decimal>,
    /// What form fields were before an update.
    pub old_forms: Were<Value>,
    pub(crate) now_ms: u64,
    pub(crate) events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub(crate) on_its_way: BTreeMap<Ticket, bool>,
    /// Those of them that are about what the shop has defined.
    pub(crate) of_attributes: BTreeSet<Ticket>,
    /// The step that is played, what it goes without, and what has happened in it by chance.
    step: usize,
    step_seed: u64,
    without: Without,
    happened: u32,
    pub chances: Vec<Item>,
    invariants: Vec<Box<dyn Invariant>>,
    /// Who came in at the tills, and the address of each person; how many addresses were made up.
    pub walkers: Vec<Walker>,
    pub persons: Vec<Person>,
    pub addresses: usize,
    /// Customers who were not there from the beginning, and since when they are.
    pub made: BTreeMap<i64, u64>,
    /// Requests on their way that are creations, or look for one.
    pub(crate) of_walk_ins: BTreeSet<Ticket>,
}

/// The handle that the engine, its clock and the run share.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated world")
    }
}

/// A process that dies here does not print a backtrace.
pub fn quiet_crashes() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !is_crash(info.payload()) && !IS_QUIET.load(Ordering::Relaxed) {
            usual(info);
        }
    }));
}

/// Nothing that panics says so: while a history is made short, what fails is expected to.
pub fn be_quiet(is_quiet: bool) {
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
}

static IS_QUIET: AtomicBool = AtomicBool::new(false);

pub fn is_crash(payload: &dyn Any) -> bool {
    payload.downcast_ref::<Crash>().is_some()
}

impl World {
    pub fn new(
        core: StoreCore,
        odd: Odd,
        without: Without,
        paths: impl IntoIterator<Item = PathBuf>,
    ) -> World {
        let tills = paths.into_iter().map(|path| Till { path, ..Till::default() }).collect();
        World {
            core,
            odd,
            random: fastrand::Rng::with_seed(0),
            weather: Weather::default(),
            trace: Vec::new(),
            problems: Vec::new(),
            excuses: BTreeMap::new(),
            tills,
            active: 0,
            run_began_ms: 0,
            calls: 0,
            runs: 0,
            written: BTreeMap::new(),
            is_calm: false,
            lagged_ms: 0,
            deleted: BTreeSet::new(),
            values_deleted: BTreeSet::new(),
            values_said: 0,
            echoed: BTreeSet::new(),
            ahead_ms: None,
            old_credit: Were::default(),
            old_forms: Were::default(),
            now_ms: 0,
            events: BTreeMap::new(),
            next_event: 0,
            on_its_way: BTreeMap::new(),
            of_attributes: BTreeSet::new(),
            step: 0,
            step_seed: 0,
            without,
            happened: 0,
            chances: Vec::new(),
            invariants: invariants::all(),
            walkers: Vec::new(),
            persons: Vec::new(),
            addresses: 0,
            made: BTreeMap::new(),
            of_walk_ins: BTreeSet::new(),
        }
    }

    pub fn share(self) -> Shared {
        Shared(Arc::new(Mutex::new(self)))
    }

    /// The till that is at work.
    pub fn till(&mut self) -> &mut Till {
        &mut self.tills[self.active]
    }

    /// The true time.
    pub fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        start + TimeDelta::milliseconds(self.now_ms as i64)
    }

    /// What time it was.
    pub fn at(&self, at_ms: u64) -> DateTime<Utc> {
        self.now() - TimeDelta::milliseconds((self.now_ms - at_ms) as i64)
    }

    pub fn note(&mut self, line: impl Into<String>) {
        let line = format!("{:>9} {:>3} [{}] {}", self.now_ms, self.step, self.active, line.into());
        self.trace.push(line);
    }

    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    pub(crate) fn later(&mut self, in_ms: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now_ms + in_ms, self.next_event), event);
    }

    // ---- chance --------------------------------------------------------------------------------------------------

    /// A step begins, with its own dice.
    pub fn begin_step(&mut self, step: usize, seed: u64) {
        (self.step, self.step_seed, self.happened) = (step, seed, 0);
        self.random = fastrand::Rng::with_seed(seed);
    }

    /// Whether something happens that happens with this chance, and that this history does not go without.
    pub fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.random.f64() < chance && self.takes_place()
    }

    /// Numbers what is going to happen, and says whether this history has it.
    fn takes_place(&mut self) -> bool {
        self.happened += 1;
        let item = Item::Chance(self.step, self.happened);
        let is_muted = self.without.has(&item);
        self.chances.push(item);
        !is_muted
    }

    /// Whether the process that the engine lived in has ended since its last run, also without dying in one.
    pub fn is_restarted(&self) -> bool {
        !self.is_calm && self.step_seed.is_multiple_of(3)
    }

    /// One of some.
    pub fn any<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.random.usize(..some.len())]
    }

    // ---- books ---------------------------------------------------------------------------------------------------

    /// Tells the invariants what has happened.
    pub fn tell(&mut self, deed: &Deed<'_>) {
        self.ask(|invariant, world| invariant.saw(world, deed));
    }

    /// Has every invariant say something of the world.
    pub fn ask(&mut self, mut of: impl FnMut(&mut dyn Invariant, &mut World) -> invariants::Verdict) {
        let mut invariants = std::mem::take(&mut self.invariants);
        for invariant in &mut invariants {
            if let Err(problem) = of(&mut **invariant, self) {
                self.note(format!("!! {problem}"));
                self.problems.push(problem);
            }
        }
        self.invariants = invariants;
    }

    /// Lets something pass that no client could have prevented.
    pub fn excuse(&mut self, why: &'static str, what: String) {
        self.note(format!("   excused, {why}: {what}"));
        *self.excuses.entry(why).or_default() += 1;
    }

    /// A customer as the store has it.
    pub fn customer(&self, id: i64) -> Option<Value> {
        let text = self.core.customer_text(i32::try_from(id).ok()?)?;
        serde_json::from_str(&text).ok()
    }

    /// Enters what somebody wrote.
    pub fn enter(&mut self, id: i64, field: &str, value: &Value, is_till: bool) {
        let is_undated = self.is_undated(field);
        let (at_ms, value) = (self.now_ms, canonical(field, value));
        let entry = Written { at_ms, value, is_till, shown_to: None, is_undated };
        self.written.entry((id, field.to_owned())).or_default().push(entry);
    }

    /// Whether a change of this attribute alone leaves the customer's date as it is.
    fn is_undated(&self, field: &str) -> bool {
        let undated = self.core.options().behaviours.undated;
        match field {
            "store_credit_amounts" => matches!(undated, Undated::StoreCredit | Undated::Both),
            "form_fields" => matches!(undated, Undated::FormFields | Undated::Both),
            _ => false,
        }
    }

    /// The answer to an update of the till that is at work shows what it has written last of an attribute.
    pub fn is_shown(&mut self, id: i64, field: &str, value: &Value) {
        let (shown_to, value) = (Some((self.active, self.runs)), canonical(field, value));
        let all = self.written.get_mut(&(id, field.to_owned())).into_iter().flatten();
        if let Some(written) = all.last().filter(|written| written.is_till && written.value == value) {
            written.shown_to = shown_to;
        }
    }

    /// The process died, and what it was shown in this run may be in no file.
    pub fn forgets_what_was_shown(&mut self) {
        let shown_to = Some((self.active, self.runs));
        let all = self.written.values_mut().flatten();
        all.filter(|written| written.shown_to == shown_to).for_each(|written| written.shown_to = None);
    }

    /// Who wrote the value that an attribute has, if it was written since the beginning.
    pub fn writing_of(&self, id: i64, field: &str, value: &Value) -> Option<&Written> {
        self.written.get(&(id, field.to_owned()))?.iter().rev().find(|written| written.value == *value)
    }

    /// Whether an answer showed an attribute of a customer, or any, as it was sent, and it was not written.
    pub fn is_echoed(&self, id: i64, field: Option<&str>) -> bool {
        self.echoed.iter().any(|(of, name)| *of == id && field.is_none_or(|field| field == name))
    }

    /// How far reads lag behind writes.
    pub fn lag_ms(&self) -> u64 {
        self.core.options().behaviours.read_lag_ms.into()
    }

    /// Whether answers to updates may be other than the store would give them.
    pub fn has_faults(&self) -> bool {
        self.weather.faults > 0.0
    }

    /// Whether lists do not tell an attribute although it is asked for.
    pub fn is_untold(&self, field: &str) -> bool {
        match self.core.options().behaviours.untold {
            Untold::Nothing => false,
            Untold::Credit | Untold::CreditInLists => field == "store_credit_amounts",
            Untold::FormFieldsInLists => field == "form_fields",
        }
    }

    /// Whether lists lack a customer for good.
    pub fn is_overlooked(&self, id: i64) -> bool {
        let every = i64::from(self.core.options().behaviours.overlooks_every);
        every > 0 && id % every == 0
    }
}

impl World {
    /// What the app's own triggers have edited in the file of a till.
    pub fn app_edits(&mut self, till: usize) -> Vec<(i64, String)> {
        if !self.odd.has("app-triggers") {
            return Vec::new();
        }
        let Ok(mut statement) =
            self.tills[till].looks().prepare_cached("SELECT customer_id, field FROM app_edit")
        else {
            return Vec::new();
        };
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Whether the till that is at work was told in this run that a customer is not there.
    pub fn was_told_absent_in_this_run(&self, id: i64) -> bool {
        let told_ms = self.tills[self.active].told.told_absent_ms.get(&id);
        told_ms.is_some_and(|told_ms| *told_ms >= self.run_began_ms)
    }

    /// Whether the store hides a customer at a time, in lists and by id.
    pub fn is_hidden(&self, id: i64, at_ms: u64) -> bool {
        let at = self.at(at_ms);
        i32::try_from(id).is_ok_and(|id| self.core.options().behaviours.hides(id, at.timestamp_millis()))
    }
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A call of the world: the process may die here, the app and the office may edit.
    pub fn call(&self) {
        self.call_in(false);
    }

    /// The same where the engine waits, and time may pass, or the machine sleep. Between a look at the clock and the wire neither
    /// does: nobody can know of that.
    pub fn wait(&self) {
        self.call_in(true);
    }

    fn call_in(&self, may_sleep: bool) {
        let (dies, edits, office, decides) = {
            let mut world = self.lock();
            world.calls += 1;
            assert!(world.calls < MOST_CALLS, "a run does not end: {MOST_CALLS} calls of the world");
            let is_due = world.weather.dies_at.is_some_and(|at| world.calls == at);
            let dies = is_due && world.takes_place();
            if dies {
                world.note("!! the process dies");
            }
            let weather = world.weather;
            let edits = world.happens(weather.edits);
            let office = world.happens(weather.office / 4.0);
            let decides = world.happens(weather.decisions);
            if may_sleep && world.happens(weather.naps) {
                world.nap();
            }
            (dies, edits, office, decides)
        };
        if dies {
            std::panic::panic_any(Crash);
        }
        if edits {
            crate::people::edit(self);
        }
        match (office, may_sleep) {
            (true, true) => crate::people::office(&mut self.lock()),
            (true, false) => crate::people::office_in_no_time(&mut self.lock()),
            (false, _) => {}
        }
        if decides {
            crate::people::decide(self);
        }
    }
}

impl World {
    /// By the steady clock of the till that is at work.
    pub fn awake_ms(&self) -> u64 {
        self.now_ms - self.tills[self.active].asleep_ms
    }

    /// The machine of the till that is at work sleeps: its steady clock stands still.
    fn nap(&mut self) {
        let ms = self.any(&[20_000, 3_600_000, 30_000_000]);
        self.note(format!("!! the machine sleeps for {} s", ms / 1_000));
        self.till().asleep_ms += ms;
        let (midnight_ms, morning_ms) = (self.now_ms + ms / 2, self.now_ms + ms);
        self.arrive_until(midnight_ms);
        if self.odd.has("busy-office") {
            crate::people::office_at_night(self);
        }
        self.now_ms = morning_ms.max(self.now_ms);
    }
}

impl Clock for Shared {
    fn now_ms(&self) -> u64 {
        self.lock().awake_ms()
    }

    fn utc(&self) -> DateTime<Utc> {
        self.call();
        let world = self.lock();
        world.now() + world.tills[world.active].skew
    }
}

/// A run of the engine, as it ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    pub job: Job,
    /// It said that all went well.
    pub is_well: bool,
    pub error: Option<&'a tillsync::Error>,
}
