//! In which ways a store, a line or a shop may be odd: each an entry of one table, switched on by the seed.
//!
//! A few are on in most seeds, so that they meet each other. What an entry cannot say by a setting of the store stands where
//! it happens, under `odd.has("name")`.

use std::collections::BTreeSet;

use tillsync::sandbox::{
    Amounts, Behaviours, Created, Cursors, EmptyLists, ExpiredCursors, Lagging, Overload, Pages,
    ResponseAttributes, SandboxOptions, Success, Tidying, Totals, Undated, Untold, UsedEmails, ValueAnswers,
};

/// One way of being odd.
pub struct Oddity {
    pub name: &'static str,
    /// What it is, in a few words; printed with a trace.
    pub about: &'static str,
    /// What it sets in the store; by chance, where there are several readings.
    set: fn(&mut SandboxOptions, &mut fastrand::Rng),
}

/// Those that the engine does not survive yet, and promises that it does not keep yet, with what is missing: off unless they
/// are asked for.
pub const WAITING: &[(&str, &str)] = &[];

/// Whether a promise is one already.
pub fn is_promised(name: &str) -> bool {
    !WAITING.iter().any(|(waiting, _)| *waiting == name) || is_on(name)
}

fn nothing(_: &mut SandboxOptions, _: &mut fastrand::Rng) {}

fn behave(options: &mut SandboxOptions, change: impl FnOnce(&mut Behaviours)) {
    change(&mut options.behaviours);
}

fn any<T: Copy>(random: &mut fastrand::Rng, readings: &[T]) -> T {
    readings[random.usize(..readings.len())]
}

/// All of them. Faults of single requests are in `network`, what people do in `people`.
#[rustfmt::skip]
pub const ODDITIES: &[Oddity] = &[
    Oddity { name: "short-pages", about: "pages hold fewer customers than asked for", set: |options, random| {
        let pages = any(random, &[Pages::AtMost(1), Pages::AtMost(7), Pages::AtMost(20), Pages::Ragged]);
        behave(options, |all| all.pages = pages);
    } },
    Oddity { name: "no-cursors", about: "meta holds no cursor", set: |options, random| {
        let pages = any(random, &[Pages::Full, Pages::AtMost(7)]);
        behave(options, |all| (all.cursors, all.pages) = (Cursors::NotTold, pages));
    } },
    Oddity { name: "old-cursors", about: "a cursor lives for some seconds", set: |options, random| {
        use ExpiredCursors::{BadRequest, EmptyPage, NotFound, Refused, ServerError};
        let (life, answer) = (any(random, &[2_000, 20_000]), any(random, &[Refused, EmptyPage, NotFound, BadRequest, ServerError]));
        let pages = any(random, &[Pages::AtMost(3), Pages::AtMost(20)]);
        behave(options, |all| (all.cursor_life_ms, all.expired_cursors, all.pages) = (life, answer, pages));
    } },
    Oddity { name: "odd-totals", about: "lists say nothing of how many there are, or something wrong", set: |options, random| {
        let totals = any(random, &[Totals::Absent, Totals::Absent, Totals::TooLow, Totals::TooHigh]);
        behave(options, |all| all.totals = totals);
    } },
    Oddity { name: "overlooking-lists", about: "lists lack customers who are there by id", set: |options, random| {
        let every = any(random, &[2, 7]);
        behave(options, |all| all.overlooks_every = every);
    } },
    Oddity { name: "overlooked-ones", about: "now and then a list lacks one customer, or its second half", set: nothing },
    Oddity { name: "empty-lists", about: "now and then a list is empty, with 200 or 204", set: nothing },
    Oddity { name: "no-content", about: "a list without anybody is a 204", set: |options, _| {
        behave(options, |all| all.empty_lists = EmptyLists::NoContent);
    } },
    Oddity { name: "cut-by-id", about: "an answer by id holds some of those asked for", set: |options, random| {
        let most = any(random, &[1, 3, 10]);
        behave(options, |all| all.by_id_at_most = most);
    } },
    Oddity { name: "untold", about: "lists do not tell credit or form fields", set: |options, random| {
        let untold = any(random, &[Untold::CreditInLists, Untold::Credit, Untold::FormFieldsInLists]);
        behave(options, |all| all.untold = untold);
    } },
    Oddity { name: "no-credit", about: "now and then a list does not tell credit", set: nothing },
    Oddity { name: "lag", about: "reads lag behind writes, all or some of them", set: |options, random| {
        let (lag_ms, lagging) = (any(random, &[300, 1_000, 2_000, 8_000]), any(random, &[Lagging::All, Lagging::Some]));
        behave(options, |all| (all.read_lag_ms, all.lagging) = (lag_ms, lagging));
    } },
    Oddity { name: "undated", about: "changes of credit or form fields do not move date_modified", set: |options, random| {
        let undated = any(random, &[Undated::StoreCredit, Undated::FormFields, Undated::Both]);
        behave(options, |all| all.undated = undated);
    } },
    Oddity { name: "spelled-amounts", about: "amounts are floats, padded, or with an exponent", set: |options, random| {
        let amounts = any(random, &[Amounts::Float, Amounts::Float, Amounts::Padded, Amounts::Exponent]);
        behave(options, |all| all.amounts = amounts);
    } },
    Oddity { name: "overload", about: "an update of more than a few customers fails", set: |options, random| {
        let overload = Overload { above: any(random, &[1, 4]), status: any(random, &[500, 503, 504]) };
        behave(options, |all| all.overload = overload);
    } },
    Oddity { name: "few-bytes", about: "a large update is 413", set: |options, random| {
        let bytes = any(random, &[400, 900]);
        behave(options, |all| all.max_update_bytes = bytes);
    } },
    Oddity { name: "crowd", about: "other tills take the places for updates", set: nothing },
    Oddity { name: "gatekeepers", about: "something in between forbids with a page of HTML", set: nothing },
    Oddity { name: "slow-line", about: "so many bytes do not come within the time of a request", set: nothing },
    Oddity { name: "half-emoji", about: "half a surrogate pair stands in notes", set: |options, _| {
        behave(options, |all| all.halves_emoji = true);
    } },
    Oddity { name: "tidying", about: "values are tidied, in ways that a client may foresee or not", set: |options, random| {
        let lines = random.u8(..3);
        let mut some = || random.bool();
        let tidying = Tidying {
            blanks: some(), case: some(), crlf: lines == 1, lf: lines == 2, numbers: some(), order: some(),
            zero_group: some(), empty: some(), nfc: some(), phones: some(),
        };
        behave(options, |all| all.tidying = tidying);
    } },
    Oddity { name: "odd-answers", about: "an update's answer lacks parts, or shows [] for them", set: |options, random| {
        let response = any(random, &[ResponseAttributes::EmptyParts, ResponseAttributes::OnlyIds]);
        let success = any(random, &[Success::Ok, Success::MultiStatus]);
        behave(options, |all| (all.response, all.success) = (response, success));
    } },
    Oddity { name: "old-answers", about: "now and then an update's answer shows the values of before", set: nothing },
    Oddity { name: "ignored-updates", about: "now and then an update is answered and not applied", set: nothing },
    Oddity { name: "echoes", about: "now and then an update is answered as if it was applied, and is not", set: nothing },
    Oddity { name: "wrong-dates", about: "now and then Date is off, by minutes or a century", set: nothing },
    Oddity { name: "shopper", about: "what was granted is spent before it is read back", set: nothing },
    Oddity { name: "busy-office", about: "the office writes while a sync runs, before an update lands and before its answer", set: nothing },
    Oddity { name: "naps", about: "the machine sleeps in the middle of a sync", set: nothing },
    Oddity { name: "poor-shoppers", about: "balances are small, and payments are refused", set: nothing },
    Oddity { name: "set-credit", about: "the app sets balances, beside adjusting them", set: nothing },
    Oddity { name: "long-notes", about: "the notes of some customers are long", set: nothing },
    Oddity { name: "heavy-pages", about: "an answer of more than a few customers is more than can be taken in", set: nothing },
    Oddity { name: "applied-refusals", about: "an update is applied, and answered as if it was refused", set: nothing },
    Oddity { name: "hiding", about: "some customers are hidden at a time, in lists and by id", set: |options, random| {
        let (every, for_ms) = (any(random, &[7, 20]), any(random, &[4_000, 60_000, 86_400_000]));
        behave(options, |all| (all.hides_every, all.hides_for_ms) = (every, for_ms));
    } },
    Oddity { name: "same-amounts", about: "the clerks of all tills take the same amounts", set: nothing },
    Oddity { name: "second-thoughts", about: "what is on its way is taken back at the till", set: nothing },
    Oddity { name: "quick-decisions", about: "a person decides while a sync runs", set: nothing },
    Oddity { name: "app-triggers", about: "the app has triggers of its own, which edit when a pull comes in", set: nothing },
    Oddity { name: "mappers", about: "the app writes whole rows back, as it read them", set: nothing },
    Oddity { name: "readers", about: "a reader of the file stays", set: nothing },
    Oddity { name: "told-twice", about: "now and then an answer holds a customer twice, once as it was earlier", set: nothing },
    Oddity { name: "wrong-first-date", about: "Date is off in the very first answer", set: nothing },
    Oddity { name: "refusing-triggers", about: "a trigger of the app refuses what the office made of some customers", set: nothing },
    Oddity { name: "set-back", about: "files are set back to a backup", set: nothing },
    // Those that came later have dice of their own: a seed that has none of them is what it was before.
    Oddity { name: "undated-lag", about: "credit is not dated, and reads lag: what is old bears the same date", set: |options, random| {
        let (undated, lagging) = (any(random, &[Undated::StoreCredit, Undated::Both]), any(random, &[Lagging::All, Lagging::Some]));
        let lag_ms = any(random, &[2_000, 4_000]);
        behave(options, |all| (all.undated, all.read_lag_ms, all.lagging) = (undated, lag_ms, lagging));
    } },
    Oddity { name: "old-credit", about: "credit is told from a cache that is behind, in records that are not", set: nothing },
    Oddity { name: "dead-cursors", about: "a cursor lives for some seconds, and then the line breaks, or a page of HTML comes", set: |options, random| {
        let (life, pages) = (any(random, &[2_000, 20_000]), any(random, &[Pages::AtMost(3), Pages::AtMost(20)]));
        behave(options, |all| (all.cursor_life_ms, all.expired_cursors, all.pages) = (life, ExpiredCursors::ServerError, pages));
    } },
    Oddity { name: "unlistable", about: "a page that would show one of some customers fails, whatever its size", set: nothing },
    Oddity { name: "bare-echoes", about: "now and then an update is not applied, and its answer repeats what was asked, without a date", set: nothing },
    Oddity { name: "spent-budget", about: "answers by id say that other apps have used up the budget", set: nothing },
    Oddity { name: "no-dates", about: "no answer bears a Date", set: nothing },
    Oddity { name: "odd-counts", about: "now and then an answer by id tells a total that does not fit", set: nothing },
    Oddity { name: "heavy-ones", about: "one of some customers alone is more than can be taken in, in a list or by id", set: nothing },
    Oddity { name: "late-forms", about: "form fields are told as they were before an update, for a while after it landed", set: nothing },
    Oddity { name: "bare-yes", about: "now and then an update is not applied, its answer tells ids, and another hand comes within the minute", set: nothing },
    Oddity { name: "attributes", about: "the shop has defined attributes, and the tills keep them", set: |options, random| {
        use ValueAnswers::{Empty, Sent, Told};
        let answers = any(random, &[Told, Told, Sent, Empty]);
        behave(options, |all| all.value_answers = answers);
    } },
    Oddity { name: "walk-ins", about: "people come in whom the store does not have yet, and are entered at the tills", set: |options, random| {
        let (used, created) = (any(random, &[UsedEmails::Named, UsedEmails::Untold]), any(random, &[Created::Ok, Created::Created]));
        behave(options, |all| (all.used_emails, all.created) = (used, created));
    } },
];

/// In every other seed: it is what a till does, and no oddity of a store's.
const OFTEN: (&str, f64) = ("walk-ins", 0.5);

/// So many have been there from the beginning, and share the dice of the script.
const FIRST: usize = 45;

/// The oddities of a seed.
#[derive(Clone, Debug, Default)]
pub struct Odd(BTreeSet<&'static str>);

impl Odd {
    /// As a seed has it, of those that are on.
    pub fn draw(seed: u64, random: &mut fastrand::Rng) -> Odd {
        let share: f64 = any(random, &[0.0, 0.1, 0.1, 0.25]);
        let share = if are_named() { 0.8 } else { share };
        // Every seed throws the same dice, whatever is on.
        let mut drawn: Vec<&str> = Vec::new();
        for (nth, oddity) in ODDITIES.iter().enumerate() {
            let mut own = fastrand::Rng::with_seed(seed.wrapping_mul(97) + nth as u64);
            let dice = if nth < FIRST { &mut *random } else { &mut own };
            let share = if oddity.name == OFTEN.0 { share.max(OFTEN.1) } else { share };
            drawn.extend((dice.f64() < share).then_some(oddity.name));
        }
        Odd(drawn.into_iter().filter(|name| is_on(name)).collect())
    }

    /// Takes one away.
    pub fn without(mut self, is_muted: impl Fn(&str) -> bool) -> Odd {
        self.0.retain(|name| !is_muted(name));
        self
    }

    pub fn has(&self, name: &'static str) -> bool {
        debug_assert!(ODDITIES.iter().any(|oddity| oddity.name == name), "there is no oddity {name}");
        self.0.contains(name)
    }

    /// What is odd, for a trace.
    pub fn about(&self) -> impl Iterator<Item = String> + '_ {
        let on = ODDITIES.iter().filter(|oddity| self.0.contains(oddity.name));
        on.map(|oddity| format!("{}: {}", oddity.name, oddity.about))
    }

    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().copied()
    }

    /// Sets up the store. Every oddity has its own dice, so that one that is taken away changes no other.
    pub fn apply(&self, options: &mut SandboxOptions) {
        for (nth, oddity) in ODDITIES.iter().enumerate().filter(|(_, oddity)| self.0.contains(oddity.name)) {
            let mut random = fastrand::Rng::with_seed(options.seed.wrapping_mul(31) + nth as u64);
            (oddity.set)(options, &mut random);
        }
    }
}

/// Whether the environment names oddities: then most seeds have them.
fn are_named() -> bool {
    std::env::var("TILLSYNC_ODD").is_ok_and(|names| !names.is_empty() && names != "all")
}

/// `TILLSYNC_ODD`: `all` has those that wait too; names, parted by commas, have only these.
fn is_on(name: &str) -> bool {
    match std::env::var("TILLSYNC_ODD").as_deref() {
        Ok("all") => true,
        Ok(names) if !names.is_empty() => names.split(',').any(|each| each == name),
        _ => !WAITING.iter().any(|(waiting, _)| *waiting == name),
    }
}
