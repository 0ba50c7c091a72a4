//! What a seed decides: the shop, its oddities, and what happens in it, step by step.
//!
//! Every step has dice of its own, so that a step can be left out and the others stay what they were. What happens by chance
//! within a step (a fault, an edit in the middle of a sync, the death of the process) is numbered there, and can be left
//! out too. That is what shrinking lives on: a failing history is a script and what it goes [`Without`].

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tillsync::sandbox::{
    Behaviours, DateBounds, ErrorKeys, ExpiredCursors, FormFieldWrites, Partial, ResponseAttributes,
    SandboxOptions, Tidying, TooManyRequests, Totals, UnknownIds,
};
use tillsync::{Policies, Policy, SyncOptions};

use crate::oddities::{ODDITIES, Odd};

/// A seed's history before it is played.
pub struct Script {
    pub seed: u64,
    pub sandbox: SandboxOptions,
    pub options: SyncOptions,
    pub tills: usize,
    pub odd: Odd,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The till at which it happens.
    pub till: usize,
    /// Its dice.
    pub seed: u64,
    pub what: What,
}

#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The app edits.
    Edit,
    /// The back office edits.
    Office,
    /// Somebody sets the till's clock.
    Clock,
    /// A person decides what waits.
    Decide,
    /// A backup is made of the file.
    BackUp,
    /// The file is set back to its backup.
    SetBack,
    /// Nothing happens for so long.
    Pass { ms: u64 },
    /// The engine is asked for something.
    Run(Job, Weather),
}

/// What the engine is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    Sync,
    Push,
    Pull,
    FullPull,
}

/// How bad things are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub is_down: bool,
    /// Chance of a fault a request.
    pub faults: f64,
    /// The process dies at the nth call of the world from now.
    pub dies_at: Option<u64>,
    /// Chance that the app edits at a call of the world.
    pub edits: f64,
    /// Chance that the office writes at a call of the world, or that somebody is faster than an update.
    pub office: f64,
    /// Chance that the machine sleeps while the engine waits.
    pub naps: f64,
    /// Chance that a person decides at a call of the world.
    pub decisions: f64,
}

impl Script {
    pub fn draw(seed: u64, without: &Without) -> Script {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut sandbox = store_options(seed, &mut random);
        let mut options = SyncOptions {
            overlap: Duration::from_secs([0, 60][random.usize(..2)]),
            ..SyncOptions::default()
        };
        let policy =
            [Policy::Hold, Policy::Hold, Policy::Local, Policy::Remote, Policy::Latest][random.usize(..5)];
        options.policies = Policies::all(policy);
        let tills = random.usize(1..=2);
        let odd = Odd::draw(seed, &mut random).without(|name| without.has(&Item::Oddity(name.to_owned())));
        odd.apply(&mut sandbox);
        let told = &mut sandbox.behaviours;
        if sandbox.quota < 150
            && told.expired_cursors == ExpiredCursors::EmptyPage
            && told.totals != Totals::Right
        {
            // A cursor that dies while a pull waits for its quota, and then shows nobody, looks as the end of the list does.
            told.cursor_life_ms = 0;
        }
        if odd.has("lag") || odd.has("undated-lag") || odd.has("late-forms") {
            // Reads that lag hide a change from the very pull whose time is the next one's beginning: the overlap is for that.
            options.overlap = Duration::from_secs(60);
        }
        if odd.has("attributes") {
            options.keep = vec!["attributes".to_owned()];
        }
        let steps = steps(tills, &mut random, &odd);
        Script { seed, sandbox, options, tills, odd, steps }
    }
}

fn steps(tills: usize, random: &mut fastrand::Rng, odd: &Odd) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..random.usize(5..40) {
        let till = random.usize(..tills);
        let (times, what) = match random.u32(..100) {
            0..35 => (random.usize(1..12), What::Edit),
            35..55 => (random.usize(1..6), What::Office),
            55..58 => (1, What::Clock),
            58..64 => (1, What::Decide),
            64..70 => {
                let ms = random.u64(0..100_000);
                // Where customers are hidden for days, days pass.
                (1, What::Pass { ms: if odd.has("hiding") { ms * 900 } else { ms } })
            }
            _ => (1, What::Run(job(random), weather(random, odd))),
        };
        steps.extend((0..times).map(|_| Step { till, seed: random.u64(..), what }));
    }
    for _ in 0..if odd.has("set-back") { random.usize(1..3) } else { 0 } {
        let (till, copied) = (random.usize(..tills), random.usize(..steps.len()));
        let mut step = |what| Step { till, seed: random.u64(..), what };
        let (back_up, set_back) = (step(What::BackUp), step(What::SetBack));
        steps.insert(random.usize(copied..=steps.len()), set_back);
        steps.insert(copied, back_up);
    }
    steps
}

fn job(random: &mut fastrand::Rng) -> Job {
    [Job::Sync, Job::Sync, Job::Sync, Job::Push, Job::Pull, Job::FullPull][random.usize(..6)]
}

/// The same dice are thrown whatever is odd.
fn weather(random: &mut fastrand::Rng, odd: &Odd) -> Weather {
    let mut weather = Weather {
        is_down: random.u8(..10) == 0,
        faults: [0.0, 0.05, 0.2, 0.5][random.usize(..4)],
        dies_at: (random.u8(..3) == 0).then(|| random.u64(1..120)),
        edits: [0.0, 0.0, 0.05][random.usize(..3)],
        office: [0.02, 0.1][random.usize(..2)],
        naps: [0.0, 0.1][random.usize(..2)],
        decisions: [0.0, 0.05][random.usize(..2)],
    };
    if odd.has("second-thoughts") {
        weather.edits = weather.edits.max(0.05);
    }
    if !odd.has("quick-decisions") {
        weather.decisions = 0.0;
    }
    if !odd.has("busy-office") {
        weather.office = 0.0;
    }
    if !odd.has("naps") {
        weather.naps = 0.0;
    }
    weather
}

fn store_options(seed: u64, random: &mut fastrand::Rng) -> SandboxOptions {
    let mut any = |n: usize| random.usize(..n);
    let behaviours = Behaviours {
        partial: [Partial::Atomic, Partial::GoodOnesLand, Partial::UntilFirstError][any(3)],
        error_keys: [ErrorKeys::Indexed, ErrorKeys::Named, ErrorKeys::General][any(3)],
        response: [ResponseAttributes::Usual, ResponseAttributes::Everything, ResponseAttributes::Minimal]
            [any(3)],
        date_bounds: [DateBounds::Inclusive, DateBounds::Exclusive][any(2)],
        tidying: [Tidying::NONE, Tidying::USUAL][any(2)],
        form_fields: [FormFieldWrites::MergeByName, FormFieldWrites::ReplaceAll][any(2)],
        unknown_ids: [UnknownIds::Refuse, UnknownIds::LeaveOut][any(2)],
        too_many_requests: [
            TooManyRequests::AllHeaders,
            TooManyRequests::RetryAfterOnly,
            TooManyRequests::Bare,
        ][any(3)],
        ..Behaviours::default()
    };
    SandboxOptions {
        customers: [1, 5, 25, 60][any(4)],
        quota: [4, 20, 150][any(3)],
        window_ms: [2_000, 30_000][any(2)],
        competitor_calls: [0, 0, 2][any(3)],
        max_customers_per_update: [10, 10, 4][any(3)],
        seed,
        behaviours,
        tolerated_refusals: u32::MAX,
        ..SandboxOptions::default()
    }
}

// ---- what is left out --------------------------------------------------------------------------------------------

/// Something that can be left out of a history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A step, by its place in the script.
    Step(usize),
    /// What happens by chance in a step, by its number there.
    Chance(usize, u32),
    Oddity(String),
}

/// What a history goes without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without(BTreeSet<Item>);

impl Without {
    pub fn has(&self, item: &Item) -> bool {
        self.0.contains(item)
    }

    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.0.iter()
    }

    pub fn and(&self, items: impl IntoIterator<Item = Item>) -> Without {
        Without(self.0.iter().cloned().chain(items).collect())
    }
}

impl FromIterator<Item> for Without {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Without {
        Without(items.into_iter().collect())
    }
}

/// As an environment variable has it: `3-7,9.2,lag`.
impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: BTreeSet<usize> = self
            .0
            .iter()
            .filter_map(|item| if let Item::Step(step) = item { Some(*step) } else { None })
            .collect();
        let mut words = Vec::new();
        for &first in steps.iter().filter(|step| **step == 0 || !steps.contains(&(**step - 1))) {
            let last = (first..).take_while(|step| steps.contains(step)).last().unwrap_or(first);
            words.push(if last > first { format!("{first}-{last}") } else { first.to_string() });
        }
        words.extend(self.0.iter().filter_map(|item| match item {
            Item::Step(_) => None,
            Item::Chance(step, nth) => Some(format!("{step}.{nth}")),
            Item::Oddity(name) => Some(name.clone()),
        }));
        f.write_str(&words.join(","))
    }
}

impl FromStr for Without {
    type Err = String;

    fn from_str(text: &str) -> Result<Without, String> {
        let mut items = BTreeSet::new();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let number = |text: &str| text.parse::<usize>().map_err(|e| format!("{word}: {e}"));
            if ODDITIES.iter().any(|oddity| oddity.name == word) {
                items.insert(Item::Oddity(word.to_owned()));
            } else if let Some((step, nth)) = word.split_once('.') {
                items.insert(Item::Chance(number(step)?, number(nth)? as u32));
            } else {
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                items.extend((number(first)?..=number(last)?).map(Item::Step));
            }
        }
        Ok(Without(items))
    }
}
