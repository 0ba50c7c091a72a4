//! Every point on which the public description is silent, or on which stores were seen to differ from it, as a switch.
//!
//! A client can thus be shown to cope with each reading. The defaults are the readings that are believed to be usual. What
//! happens to single requests only, now and then, is a [`Fault`](super::Fault) instead.
//!
//! A switch has a name and its readings have words, for a command line; [`Behaviours::knobs`] lists them.

use std::fmt;
use std::str::FromStr;

/// One switch for each point that the public description leaves open.
///
/// ```
/// use tillsync::sandbox::{Behaviours, Cursors};
///
/// let behaviours: Behaviours = "cursors=not-told,by-id-at-most=50".parse()?;
/// assert_eq!(behaviours, Behaviours { cursors: Cursors::NotTold, by_id_at_most: 50, ..Behaviours::default() });
/// # Ok::<(), tillsync::sandbox::BehaviourError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviours {
    /// What lands of an update in which one customer is bad.
    pub partial: Partial,
    /// How a refusal names the customer that is bad.
    pub error_keys: ErrorKeys,
    /// Which attributes the answer to an update holds.
    pub response: ResponseAttributes,
    /// With which status an update that landed is answered.
    pub success: Success,
    /// Whether the answer to an update repeats `authentication` as it was sent, password and all.
    pub echoes_authentication: bool,
    /// What the store makes of what it is given.
    pub tidying: Tidying,
    /// What happens to form fields that an update does not name.
    pub form_fields: FormFieldWrites,
    /// What an update of a customer that is not there does.
    pub unknown_ids: UnknownIds,
    /// What the refusal of a creation tells, one with a used address among them.
    pub used_emails: UsedEmails,
    /// With which status a creation that landed is answered.
    pub created: Created,
    /// How a deletion is answered.
    pub deletions: Deletions,
    /// The most ids that a deletion may name; more is 413. 0, the default: any.
    pub delete_at_most: u32,
    /// Every nth customer cannot be deleted: a call that names one is refused as a whole. 0, the default: nobody.
    pub undeletable_every: u32,
    /// What becomes of the attribute values of a customer who is deleted.
    pub deleted_values: DeletedValues,
    /// What an update of many customers runs into.
    pub overload: Overload,
    /// The largest update that is taken, in bytes of its body; more is 413. 0, the default: any.
    pub max_update_bytes: u32,
    /// What an answer over quota tells.
    pub too_many_requests: TooManyRequests,
    /// Whether a date filter's bound itself is included.
    pub date_bounds: DateBounds,
    /// Changes that do not move `date_modified`, whoever makes them.
    pub undated: Undated,
    /// How many customers a page of a list holds.
    pub pages: Pages,
    /// Whether lists tell where they go on.
    pub cursors: Cursors,
    /// How long a cursor is good for, in milliseconds. 0, the default: for ever.
    pub cursor_life_ms: u32,
    /// What a cursor that is not good any more is answered with.
    pub expired_cursors: ExpiredCursors,
    /// What lists say of how many customers there are.
    pub totals: Totals,
    /// Lists leave out every nth customer, which is there by its id. 0, the default: nobody.
    pub overlooks_every: u32,
    /// The most customers that an answer by id holds; the others come on its next page. 0, the default: as many as asked for.
    pub by_id_at_most: u32,
    /// Every nth customer is hidden, in lists and by id, as if it was not there: others each time that
    /// [`hides_for_ms`](Self::hides_for_ms) have passed. Totals leave them out, updates reach them. 0, the default: nobody.
    pub hides_every: u32,
    /// For how long the same customers are hidden, in milliseconds. 0, the default: an hour.
    pub hides_for_ms: u32,
    /// How a list without anybody is answered.
    pub empty_lists: EmptyLists,
    /// Parts of a customer that are not told although they were asked for.
    pub untold: Untold,
    /// How the answer to an update of attribute values tells them.
    pub value_answers: ValueAnswers,
    /// The longest value of an attribute that is taken, in characters; more is 422. 0, the default: as long as the contract allows.
    pub value_at_most: u32,
    /// The most addresses that an update takes; more is 413. 0, the default: ten, and a client that sends more should not have.
    pub addresses_at_most: u32,
    /// Whether an update of an address has to say the phone, too.
    pub phone_in_updates: PhoneInUpdates,
    /// How an update of addresses is answered that changes none, as it would make two of them equal.
    pub nothing_new: NothingNew,
    /// Whether an update of an address moves its customer's `date_modified`.
    pub addresses_date_customers: bool,
    /// How far what is read lags behind what was written, in milliseconds. Default 0.
    pub read_lag_ms: u32,
    /// Which reads lag.
    pub lagging: Lagging,
    /// How amounts of money are spelled.
    pub amounts: Amounts,
    /// Whether an emoji in the notes is told as half of its surrogate pair.
    pub halves_emoji: bool,
    /// Whether who controls the sandbox from outside may put into a customer what no store holds: values of another type than the
    /// API's, and attributes that it does not have.
    pub holds_anything: bool,
}

/// What lands of an update in which one customer is bad. The answer is 422 in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partial {
    /// Nothing.
    #[default]
    Atomic,
    /// Every customer that is good.
    GoodOnesLand,
    /// Those before the bad one.
    UntilFirstError,
}

/// How a refusal names the customer that is bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorKeys {
    /// By place and attribute: `0.email`.
    #[default]
    Indexed,
    /// By attribute only: `email`.
    Named,
    /// Not at all: `.customer_update`.
    General,
}

/// Which attributes the answer to an update holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseAttributes {
    /// All but store credit, form fields and the other parts that a list has on request only.
    #[default]
    Usual,
    /// Store credit and form fields too.
    Everything,
    /// `id` and the usual ones of those that were sent; no `date_modified`.
    Minimal,
    /// As [`Usual`](Self::Usual), with store credit and form fields where they were sent and `[]` where they were not.
    EmptyParts,
    /// `id`, and nothing else.
    OnlyIds,
}

/// With which status an update that landed is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Success {
    /// 200.
    #[default]
    Ok,
    /// 207, with `errors` that are empty.
    MultiStatus,
}

/// Whether a date filter's bound itself is included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateBounds {
    /// It is.
    #[default]
    Inclusive,
    /// It is not: only what is later than the minimum and earlier than the maximum.
    Exclusive,
}

/// What the store makes of what it is given. By default it keeps it as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidying {
    /// White space is trimmed off the ends of text.
    pub blanks: bool,
    /// Email addresses are lower-cased.
    pub case: bool,
    /// The lines of notes end in CR LF.
    pub crlf: bool,
    /// The lines of notes end in LF.
    pub lf: bool,
    /// A form field's number becomes text: `43` is `"43"`.
    pub numbers: bool,
    /// Channels and form fields are put in order.
    pub order: bool,
    /// Group 0 becomes `null`.
    pub zero_group: bool,
    /// Text that is empty becomes `null`.
    pub empty: bool,
    /// Letters and their marks are composed, as Unicode's NFC has them.
    pub nfc: bool,
    /// A phone keeps its digits only: nothing that a client would foresee.
    pub phones: bool,
}

/// Where a way of tidying is switched.
type Way = fn(&mut Tidying) -> &mut bool;

impl Tidying {
    /// What stores are believed to do if they do anything: blanks and the case of addresses.
    pub const USUAL: Self = Self { blanks: true, case: true, ..Self::NONE };
    /// Nothing.
    pub const NONE: Self = Self {
        blanks: false,
        case: false,
        crlf: false,
        lf: false,
        numbers: false,
        order: false,
        zero_group: false,
        empty: false,
        nfc: false,
        phones: false,
    };

    /// The ways by name.
    const WAYS: [(&'static str, Way); 10] = [
        ("blanks", |tidying| &mut tidying.blanks),
        ("case", |tidying| &mut tidying.case),
        ("crlf", |tidying| &mut tidying.crlf),
        ("lf", |tidying| &mut tidying.lf),
        ("numbers", |tidying| &mut tidying.numbers),
        ("order", |tidying| &mut tidying.order),
        ("zero-group", |tidying| &mut tidying.zero_group),
        ("empty", |tidying| &mut tidying.empty),
        ("nfc", |tidying| &mut tidying.nfc),
        ("phones", |tidying| &mut tidying.phones),
    ];
}

/// What happens to form fields that an update does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormFieldWrites {
    /// They stay: the update sets the ones it names.
    #[default]
    MergeByName,
    /// They go: the update is the whole list.
    ReplaceAll,
}

/// What an update of a customer that is not there does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownIds {
    /// It is an error like any other bad customer: 422.
    #[default]
    Refuse,
    /// Nothing: the others are updated, and the answer does not mention it.
    LeaveOut,
}

/// What an update of many customers runs into. Nothing of it is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overload {
    /// The most customers that go well. 0, the default: as many as the contract allows.
    pub above: u32,
    /// What more are answered with; 0 stands for 504.
    pub status: u16,
}

/// What an answer over quota tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooManyRequests {
    /// The rate headers and `X-Retry-After`.
    #[default]
    AllHeaders,
    /// Only `X-Retry-After`.
    RetryAfterOnly,
    /// Nothing.
    Bare,
}

/// Changes that do not move `date_modified`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undated {
    /// Every change moves it.
    #[default]
    Nothing,
    /// Changes of store credit only.
    StoreCredit,
    /// Changes of form fields only.
    FormFields,
    /// Changes of store credit or form fields only.
    Both,
}

impl Undated {
    /// Whether a change of this attribute alone leaves the date as it is.
    pub(super) fn holds(self, attribute: &str) -> bool {
        match attribute {
            "store_credit_amounts" => matches!(self, Self::StoreCredit | Self::Both),
            "form_fields" => matches!(self, Self::FormFields | Self::Both),
            _ => false,
        }
    }
}

/// How many customers a page of a list holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// As many as were asked for, as long as there are some.
    #[default]
    Full,
    /// At most so many; the answer says that they were the size of the page.
    AtMost(u32),
    /// Any number down to one, by chance; the answer says nothing of it. Pages by number are full.
    Ragged,
}

/// Whether lists tell where they go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cursors {
    /// They do.
    #[default]
    Told,
    /// There is no cursor in `meta`; pages are found by their number.
    NotTold,
}

/// What a cursor that is not good any more is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiredCursors {
    /// 422.
    #[default]
    Refused,
    /// 200 and a page without anybody.
    EmptyPage,
    /// 404.
    NotFound,
    /// 400.
    BadRequest,
    /// 500.
    ServerError,
}

/// What lists say of how many customers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Totals {
    /// The truth, as far as the list shows whom it should.
    #[default]
    Right,
    /// Nothing.
    Absent,
    /// Some more than there are.
    TooHigh,
    /// Fewer than there are.
    TooLow,
}

/// How a list without anybody is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyLists {
    /// 200 with an empty array.
    #[default]
    Ok,
    /// 204 without a body.
    NoContent,
}

/// Parts of a customer that are not told although they were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Untold {
    /// All are told.
    #[default]
    Nothing,
    /// Lists lack store credit; answers by id have it.
    CreditInLists,
    /// No answer to a `GET` has store credit.
    Credit,
    /// Lists lack form fields; answers by id have them.
    FormFieldsInLists,
}

impl Untold {
    pub(super) fn holds(self, attribute: &str, is_by_id: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::CreditInLists => !is_by_id && attribute == "store_credit_amounts",
            Self::Credit => attribute == "store_credit_amounts",
            Self::FormFieldsInLists => !is_by_id && attribute == "form_fields",
        }
    }
}

/// What the refusal of a creation tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsedEmails {
    /// The address, and where the keys of errors say so its place.
    #[default]
    Named,
    /// No error at all.
    Untold,
}

/// With which status a creation that landed is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Created {
    /// 200.
    #[default]
    Ok,
    /// 201.
    Created,
}

/// How a deletion is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletions {
    /// 204, also when nobody was there.
    #[default]
    NoContent,
    /// 200, with a body that names nobody.
    WithBody,
    /// 204; when nobody was there, 404.
    NotFoundOfNobody,
}

/// What becomes of the attribute values of a customer who is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletedValues {
    /// They go.
    #[default]
    Go,
    /// They stay.
    Stay,
}

impl Created {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Created => 201,
        }
    }
}

/// How the answer to an update of attribute values tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueAnswers {
    /// As lists do: `attribute_value`.
    #[default]
    Told,
    /// As the update did: `value`.
    Sent,
    /// Not at all.
    Empty,
}

impl ValueAnswers {
    /// The key of the text.
    pub(super) fn spelled(self) -> &'static str {
        if self == Self::Sent { "value" } else { "attribute_value" }
    }
}

/// Whether an update of an address has to say the phone, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhoneInUpdates {
    /// As it likes.
    #[default]
    Optional,
    /// One that does not is refused, and the refusal names it.
    Wanted,
}

/// How an update of addresses is answered that changes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NothingNew {
    /// `{}`.
    #[default]
    Bare,
    /// With `data` that is empty.
    Empty,
}

/// Which reads lag behind writes, by [`Behaviours::read_lag_ms`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lagging {
    /// All of them.
    #[default]
    All,
    /// Some, by chance, as where several machines answer: what one reading showed may be missing in the next.
    Some,
}

/// How amounts of money are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Amounts {
    /// Digit by digit as they are kept.
    #[default]
    Exact,
    /// As the nearest float with seventeen digits: `43.149999999999999`.
    Float,
    /// With four places: `43.1500`.
    Padded,
    /// With an exponent: `4.315e1`.
    Exponent,
}

// ---- by name -----------------------------------------------------------------------------------------------------

/// A switch's name, and the words for its readings, the usual one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knob {
    /// As the command line takes it.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub about: &'static str,
    /// Its readings; `N` stands for a number.
    pub words: Vec<&'static str>,
}

/// A switch's name or reading that is not known; its message lists those there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BehaviourError {
    /// No switch has that name, or none was given.
    #[error("`{0}`: a behaviour is written NAME=READING; known names are: {names}", names = known_names())]
    Name(String),
    /// The switch has no such reading.
    #[error("`{name}` is one of {words}, not `{given}`")]
    Reading {
        /// The switch.
        name: &'static str,
        /// Its readings.
        words: String,
        /// What was given.
        given: String,
    },
}

fn known_names() -> String {
    KNOBS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}

type Set = fn(&mut Behaviours, &str) -> Option<()>;

/// A reading by its word.
fn of<T: Copy>(words: &[(&str, T)], word: &str) -> Option<T> {
    words.iter().find(|(known, _)| *known == word).map(|(_, reading)| *reading)
}

fn flag(word: &str) -> Option<bool> {
    of(&[("no", false), ("yes", true)], word)
}

const YES_OR_NO: &[&str] = &["no", "yes"];
const NUMBER: &[&str] = &["0", "N"];

/// Name, what it is about, words, and what sets it.
#[rustfmt::skip]
const KNOBS: &[(&str, &str, &[&str], Set)] = &[
    ("partial", "what lands of an update with a bad customer", &["atomic", "good-ones", "until-first-error"], |all, word| {
        all.partial = of(&[("atomic", Partial::Atomic), ("good-ones", Partial::GoodOnesLand), ("until-first-error", Partial::UntilFirstError)], word)?;
        Some(())
    }),
    ("error-keys", "how a refusal names the bad customer", &["indexed", "named", "general"], |all, word| {
        all.error_keys = of(&[("indexed", ErrorKeys::Indexed), ("named", ErrorKeys::Named), ("general", ErrorKeys::General)], word)?;
        Some(())
    }),
    ("response", "what the answer to an update holds", &["usual", "everything", "minimal", "empty-parts", "only-ids"], |all, word| {
        use ResponseAttributes::{EmptyParts, Everything, Minimal, OnlyIds, Usual};
        all.response = of(&[("usual", Usual), ("everything", Everything), ("minimal", Minimal), ("empty-parts", EmptyParts), ("only-ids", OnlyIds)], word)?;
        Some(())
    }),
    ("success", "the status of an update that landed", &["200", "207"], |all, word| {
        all.success = of(&[("200", Success::Ok), ("207", Success::MultiStatus)], word)?;
        Some(())
    }),
    ("echoes-authentication", "an update's answer repeats the password", YES_OR_NO, |all, word| {
        all.echoes_authentication = flag(word)?;
        Some(())
    }),
    ("tidies", "what is made of values; joined by +", &["nothing", "blanks", "case", "crlf", "lf", "numbers", "order", "zero-group", "empty", "nfc", "phones"], |all, word| {
        all.tidying = tidying(word)?;
        Some(())
    }),
    ("form-fields", "form fields that an update does not name", &["stay", "go"], |all, word| {
        all.form_fields = of(&[("stay", FormFieldWrites::MergeByName), ("go", FormFieldWrites::ReplaceAll)], word)?;
        Some(())
    }),
    ("unknown-ids", "an update of a customer that is not there", &["refused", "left-out"], |all, word| {
        all.unknown_ids = of(&[("refused", UnknownIds::Refuse), ("left-out", UnknownIds::LeaveOut)], word)?;
        Some(())
    }),
    ("used-emails", "what the refusal of a creation tells", &["named", "untold"], |all, word| {
        all.used_emails = of(&[("named", UsedEmails::Named), ("untold", UsedEmails::Untold)], word)?;
        Some(())
    }),
    ("created", "the status of a creation that landed", &["200", "201"], |all, word| {
        all.created = of(&[("200", Created::Ok), ("201", Created::Created)], word)?;
        Some(())
    }),
    ("deletions", "how a deletion is answered", &["204", "200", "404-of-nobody"], |all, word| {
        all.deletions = of(&[("204", Deletions::NoContent), ("200", Deletions::WithBody), ("404-of-nobody", Deletions::NotFoundOfNobody)], word)?;
        Some(())
    }),
    ("delete-at-most", "the most ids of a deletion; more is 413", NUMBER, |all, word| {
        all.delete_at_most = word.parse().ok()?;
        Some(())
    }),
    ("undeletable-every", "every nth customer cannot be deleted: 422", NUMBER, |all, word| {
        all.undeletable_every = word.parse().ok()?;
        Some(())
    }),
    ("deleted-values", "attribute values of a customer who is deleted", &["go", "stay"], |all, word| {
        all.deleted_values = of(&[("go", DeletedValues::Go), ("stay", DeletedValues::Stay)], word)?;
        Some(())
    }),
    ("overload-above", "updates of more customers than this fail", NUMBER, |all, word| {
        all.overload.above = word.parse().ok()?;
        Some(())
    }),
    ("overload-status", "with this status", &["504", "500", "502", "503"], |all, word| {
        all.overload.status = word.parse().ok().filter(|status| (500..=504).contains(status))?;
        Some(())
    }),
    ("max-update-bytes", "larger updates are 413", NUMBER, |all, word| {
        all.max_update_bytes = word.parse().ok()?;
        Some(())
    }),
    ("too-many-requests", "what an answer over quota tells", &["all", "retry-after", "nothing"], |all, word| {
        use TooManyRequests::{AllHeaders, Bare, RetryAfterOnly};
        all.too_many_requests = of(&[("all", AllHeaders), ("retry-after", RetryAfterOnly), ("nothing", Bare)], word)?;
        Some(())
    }),
    ("date-bounds", "a date filter's bound itself", &["included", "excluded"], |all, word| {
        all.date_bounds = of(&[("included", DateBounds::Inclusive), ("excluded", DateBounds::Exclusive)], word)?;
        Some(())
    }),
    ("undated", "changes that do not move date_modified", &["nothing", "credit", "form-fields", "both"], |all, word| {
        use Undated::{Both, FormFields, Nothing, StoreCredit};
        all.undated = of(&[("nothing", Nothing), ("credit", StoreCredit), ("form-fields", FormFields), ("both", Both)], word)?;
        Some(())
    }),
    ("pages", "customers of a page: as asked for, at most so many, or any number", &["full", "N", "ragged"], |all, word| {
        all.pages = match word {
            "full" => Pages::Full,
            "ragged" => Pages::Ragged,
            number => Pages::AtMost(number.parse().ok().filter(|number| *number > 0)?),
        };
        Some(())
    }),
    ("cursors", "where a list goes on", &["told", "not-told"], |all, word| {
        all.cursors = of(&[("told", Cursors::Told), ("not-told", Cursors::NotTold)], word)?;
        Some(())
    }),
    ("cursor-life-ms", "how long a cursor is good for; 0: for ever", NUMBER, |all, word| {
        all.cursor_life_ms = word.parse().ok()?;
        Some(())
    }),
    ("expired-cursors", "what they are answered with", &["422", "empty", "404", "400", "500"], |all, word| {
        use ExpiredCursors::{BadRequest, EmptyPage, NotFound, Refused, ServerError};
        all.expired_cursors = of(&[("422", Refused), ("empty", EmptyPage), ("404", NotFound), ("400", BadRequest), ("500", ServerError)], word)?;
        Some(())
    }),
    ("totals", "how many customers lists say there are", &["right", "absent", "too-high", "too-low"], |all, word| {
        all.totals = of(&[("right", Totals::Right), ("absent", Totals::Absent), ("too-high", Totals::TooHigh), ("too-low", Totals::TooLow)], word)?;
        Some(())
    }),
    ("overlooks-every", "lists leave out every nth customer", NUMBER, |all, word| {
        all.overlooks_every = word.parse().ok()?;
        Some(())
    }),
    ("by-id-at-most", "the most customers of an answer by id", NUMBER, |all, word| {
        all.by_id_at_most = word.parse().ok()?;
        Some(())
    }),
    ("hides-every", "every nth customer is hidden for a while, by id too", NUMBER, |all, word| {
        all.hides_every = word.parse().ok()?;
        Some(())
    }),
    ("hides-for-ms", "for how long the same ones are; 0: an hour", NUMBER, |all, word| {
        all.hides_for_ms = word.parse().ok()?;
        Some(())
    }),
    ("empty-lists", "the status of a list without anybody", &["200", "204"], |all, word| {
        all.empty_lists = of(&[("200", EmptyLists::Ok), ("204", EmptyLists::NoContent)], word)?;
        Some(())
    }),
    ("untold", "parts that are not told although asked for", &["nothing", "credit-in-lists", "credit", "form-fields-in-lists"], |all, word| {
        use Untold::{Credit, CreditInLists, FormFieldsInLists, Nothing};
        all.untold = of(&[("nothing", Nothing), ("credit-in-lists", CreditInLists), ("credit", Credit), ("form-fields-in-lists", FormFieldsInLists)], word)?;
        Some(())
    }),
    ("value-answers", "how an update of attribute values is answered", &["told", "sent", "empty"], |all, word| {
        all.value_answers = of(&[("told", ValueAnswers::Told), ("sent", ValueAnswers::Sent), ("empty", ValueAnswers::Empty)], word)?;
        Some(())
    }),
    ("value-at-most", "the longest attribute value that is taken", NUMBER, |all, word| {
        all.value_at_most = word.parse().ok()?;
        Some(())
    }),
    ("addresses-at-most", "the most addresses that an update takes; 0: ten", NUMBER, |all, word| {
        all.addresses_at_most = word.parse().ok()?;
        Some(())
    }),
    ("address-phone", "whether an update of an address has to say the phone", &["optional", "wanted"], |all, word| {
        all.phone_in_updates = of(&[("optional", PhoneInUpdates::Optional), ("wanted", PhoneInUpdates::Wanted)], word)?;
        Some(())
    }),
    ("nothing-new", "how an update is answered that would make two addresses equal", &["bare", "empty"], |all, word| {
        all.nothing_new = of(&[("bare", NothingNew::Bare), ("empty", NothingNew::Empty)], word)?;
        Some(())
    }),
    ("addresses-date-customers", "an update of an address moves its customer's date_modified", YES_OR_NO, |all, word| {
        all.addresses_date_customers = flag(word)?;
        Some(())
    }),
    ("read-lag-ms", "how far reads lag behind writes", NUMBER, |all, word| {
        all.read_lag_ms = word.parse().ok()?;
        Some(())
    }),
    ("lagging", "which reads lag", &["all", "some"], |all, word| {
        all.lagging = of(&[("all", Lagging::All), ("some", Lagging::Some)], word)?;
        Some(())
    }),
    ("amounts", "how money is spelled", &["exact", "float", "padded", "exponent"], |all, word| {
        all.amounts = of(&[("exact", Amounts::Exact), ("float", Amounts::Float), ("padded", Amounts::Padded), ("exponent", Amounts::Exponent)], word)?;
        Some(())
    }),
    ("halves-emoji", "half a surrogate pair stands in notes", YES_OR_NO, |all, word| {
        all.halves_emoji = flag(word)?;
        Some(())
    }),
    ("holds-anything", "control may set a value of another type, and any attribute", YES_OR_NO, |all, word| {
        all.holds_anything = flag(word)?;
        Some(())
    }),
];

fn tidying(words: &str) -> Option<Tidying> {
    let mut tidying = Tidying::NONE;
    for word in words.split('+').filter(|word| *word != "nothing") {
        *of(&Tidying::WAYS, word)?(&mut tidying) = true;
    }
    Some(tidying)
}

/// For how long the same customers are hidden where nothing is said of it, in milliseconds.
const AN_HOUR_MS: u32 = 3_600_000;

impl Behaviours {
    /// Whether a customer is hidden at a time, in milliseconds since 1970.
    pub fn hides(&self, id: i32, now_ms: i64) -> bool {
        let for_ms = if self.hides_for_ms == 0 { AN_HOUR_MS } else { self.hides_for_ms };
        let turn = now_ms.div_euclid(for_ms.into());
        self.hides_every > 0 && (i64::from(id) + turn).rem_euclid(self.hides_every.into()) == 0
    }

    /// All switches by name.
    pub fn knobs() -> Vec<Knob> {
        KNOBS.iter().map(|(name, about, words, _)| Knob { name, about, words: words.to_vec() }).collect()
    }

    /// Sets a switch by its name.
    ///
    /// # Errors
    /// When there is no such switch or reading; the message lists those there are.
    pub fn set(&mut self, name: &str, reading: &str) -> Result<(), BehaviourError> {
        let (name, _, words, set) = KNOBS
            .iter()
            .find(|(known, ..)| *known == name)
            .ok_or_else(|| BehaviourError::Name(name.to_owned()))?;
        let unknown = || BehaviourError::Reading { name, words: words.join(", "), given: reading.to_owned() };
        set(self, reading).ok_or_else(unknown)
    }
}

impl FromStr for Behaviours {
    type Err = BehaviourError;

    fn from_str(text: &str) -> Result<Self, BehaviourError> {
        let mut behaviours = Self::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (name, reading) =
                part.split_once('=').ok_or_else(|| BehaviourError::Name(part.to_owned()))?;
            behaviours.set(name.trim(), reading.trim())?;
        }
        Ok(behaviours)
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.name, self.words.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_that_is_listed_is_known_and_the_first_is_the_usual_one() {
        for knob in Behaviours::knobs() {
            for (nth, word) in knob.words.iter().enumerate() {
                let mut behaviours = Behaviours::default();
                behaviours.set(knob.name, &word.replace('N', "7")).unwrap();
                let is_usual = behaviours == Behaviours::default() || knob.name == "overload-status";
                assert_eq!(is_usual, nth == 0 || knob.name == "overload-status", "{}={word}", knob.name);
            }
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let no_knob = "colour=red".parse::<Behaviours>().unwrap_err().to_string();
        assert!(no_knob.contains("by-id-at-most"), "{no_knob}");
        let no_reading = "cursors=lost".parse::<Behaviours>().unwrap_err().to_string();
        assert!(no_reading.contains("told, not-told"), "{no_reading}");
        assert!("tidies=blanks+everything".parse::<Behaviours>().is_err());
    }

    #[test]
    fn ways_of_tidying_are_joined() {
        let behaviours: Behaviours = "tidies=blanks+case".parse().unwrap();
        assert_eq!(behaviours.tidying, Tidying::USUAL);
    }
}
