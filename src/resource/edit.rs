//! What a person or a program asks to change, read from words or JSON and checked against the field table.
//!
//! The triggers check again: they are the one gate for every language. This check is here so that a mistake is
//! named before anything is journaled, and so that a value is read by the field's own type.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CHANNEL_IDS, CREDIT_DIGITS, CustomerId, FieldId, FormValue, GROUP_IDS, Kind, Value};

/// One change of one attribute.
#[derive(Clone, PartialEq, Eq)]
pub enum Edit {
    /// The attribute shall have this value.
    Set(FieldId, Value),
    /// The store credit shall change by this signed amount.
    Adjust(Decimal),
}

impl Edit {
    /// What it changes.
    pub fn field(&self) -> FieldId {
        match self {
            Edit::Set(field, _) => *field,
            Edit::Adjust(_) => FieldId::STORE_CREDIT_AMOUNTS,
        }
    }
}

impl std::fmt::Debug for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Edit::Set(field, _) if field.is_secret() => write!(f, "Set({field}, ***)"),
            Edit::Set(field, value) => write!(f, "Set({field}, {value:?})"),
            Edit::Adjust(amount) => write!(f, "Adjust({amount})"),
        }
    }
}

/// Why an edit was refused. Nothing was journaled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("customer {customer_id}: {}{problem}", of_field(field))]
pub struct EditError {
    /// The customer that was to be edited.
    pub customer_id: CustomerId,
    /// The attribute, as it was named; `*`: the customer as a whole.
    pub field: String,
    /// What is wrong with it, with the limit that it breaks.
    pub problem: String,
}

/// The `*` of a whole customer is for programs.
fn of_field(field: &str) -> String {
    if field == "*" { String::new() } else { format!("{field}: ") }
}

impl EditError {
    /// What a trigger said, taken apart; none: it is about no customer.
    pub(crate) fn read(words: &str) -> Option<EditError> {
        let (id, rest) = words.strip_prefix("customer ")?.split_once(": ")?;
        let (field, problem) = rest.split_once(": ")?;
        let customer_id = CustomerId(id.parse().ok()?);
        Some(EditError { customer_id, field: field.to_owned(), problem: problem.to_owned() })
    }

    /// Whether a payment would take the balance below the floor, which somebody may allow. It is read out of the words, too.
    pub(crate) fn is_below_floor(&self) -> bool {
        self.problem.contains(", below the floor of ")
    }

    /// The bound that a problem names. It is read out of the words, because a trigger has nothing but words. Of a floor that is no whole
    /// number, or below nothing, there is none.
    pub(crate) fn limit_in(problem: &str) -> Option<u64> {
        const BEFORE: [&str; 4] =
            ["characters, at most ", "characters, at least ", "character, at least ", " (no group) to "];
        if problem.contains("at most four decimal places") {
            return u64::try_from(CREDIT_DIGITS.1).ok();
        }
        if let Some((_, told)) = problem.split_once(" digits before the point") {
            return digits_at_most(told);
        }
        if let Some((_, floor)) = problem.split_once(", below the floor of ") {
            let floor: Decimal = floor.split(':').next()?.parse().ok()?;
            return floor.is_integer().then(|| floor.to_u64()).flatten();
        }
        let (_, rest) = BEFORE.iter().find_map(|before| problem.split_once(before))?;
        rest.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()
    }
}

/// Which bound an amount breaks that is told behind both of them, or behind the one.
fn digits_at_most(told: &str) -> Option<u64> {
    let (most_whole, most_fraction) = CREDIT_DIGITS;
    let given = told.rsplit_once(", not ").map_or("", |(_, given)| given);
    let whole = given.trim_start_matches(['"', '-', '+']).bytes().take_while(u8::is_ascii_digit).count();
    let tells_fraction = told.starts_with(" and");
    u64::try_from(if tells_fraction && whole <= most_whole { most_fraction } else { most_whole }).ok()
}

/// Reads `value` as the type of the attribute `name` asks for: text as it stands, numbers, `true`/`false`, and JSON for arrays.
///
/// # Errors
/// When no edit may set that attribute, or the value is not of its type.
pub fn parse_argument(customer_id: CustomerId, name: &str, value: &str) -> Result<Edit, EditError> {
    let refuse = |problem: String| EditError { customer_id, field: name.to_owned(), problem };
    let field = editable(name).map_err(refuse)?;
    let json = match field.kind() {
        kind if kind.is_text() => serde_json::Value::from(value).to_string(),
        _ => value.to_owned(),
    };
    let value = checked(field, &json).map_err(refuse)?;
    Ok(Edit::Set(field, value))
}

/// Reads one JSON object, `{"id":…, field: value…}`, also in the API's own shape with `authentication`.
///
/// # Errors
/// When `id` is missing, or an attribute is unknown, read-only or not of its type.
pub fn parse_object(json: &str) -> Result<(CustomerId, Vec<Edit>), EditError> {
    let refuse = |id: i64, field: &str, problem: String| EditError {
        customer_id: CustomerId(id),
        field: field.to_owned(),
        problem,
    };
    let mut object = members(json).map_err(|e| refuse(0, "id", format!("not a JSON object: {e}")))?;
    let id = object.remove("id").ok_or_else(|| refuse(0, "id", "is missing".into()))?;
    let id: i32 =
        serde_json::from_str(id.get()).map_err(|_| refuse(0, "id", "must be a whole number".into()))?;
    let edits = edits_of(&object).map_err(|(field, problem)| refuse(id.into(), &field, problem))?;
    Ok((CustomerId(id.into()), edits))
}

/// Reads one JSON object, `{field: value…}`, of a customer who is to be entered: it has no id yet.
///
/// # Errors
/// When an attribute is unknown, read-only or not of its type.
pub fn parse_new(json: &str) -> Result<Vec<Edit>, EditError> {
    let refuse =
        |field: &str, problem| EditError { customer_id: CustomerId(-1), field: field.to_owned(), problem };
    let object = members(json).map_err(|e| refuse("id", format!("not a JSON object: {e}")))?;
    if object.contains_key("id") {
        return Err(refuse("id", "is given by the store: leave it out".into()));
    }
    edits_of(&object).map_err(|(field, problem)| refuse(&field, problem))
}

type Members<'a> = std::collections::BTreeMap<String, &'a serde_json::value::RawValue>;

fn members(json: &str) -> serde_json::Result<Members<'_>> {
    serde_json::from_str(json)
}

/// What an object sets; the attribute that is refused, and why.
fn edits_of(object: &Members<'_>) -> Result<Vec<Edit>, (String, String)> {
    let mut edits = Vec::new();
    for (name, raw) in object {
        if name == "authentication" {
            let inner = members(raw.get()).map_err(|_| (name.clone(), "must be an object".into()))?;
            for (name, raw) in inner {
                let edit = object_edit(&name, raw.get(), Some("authentication"));
                edits.push(edit.map_err(|problem| (name, problem))?);
            }
        } else {
            let edit = object_edit(name, raw.get(), None);
            edits.push(edit.map_err(|problem| (name.clone(), problem))?);
        }
    }
    Ok(edits)
}

fn object_edit(name: &str, json: &str, parent: Option<&str>) -> Result<Edit, String> {
    let field = editable(name)?;
    if parent.is_some() && field.spec().parent != parent {
        return Err(format!("does not belong into {}", parent.unwrap_or_default()));
    }
    Ok(Edit::Set(field, checked(field, json)?))
}

fn editable(name: &str) -> Result<FieldId, String> {
    if name == "id" {
        return Err("is read-only, it names the customer".into());
    }
    let field = FieldId::named(name).ok_or_else(|| {
        let names: Vec<_> = FieldId::all().filter(|field| field.is_editable()).map(FieldId::name).collect();
        format!("is no attribute of a customer; editable are {}", names.join(", "))
    })?;
    field.spec().access.refusal().map_or(Ok(field), |why| Err(why.into()))
}

fn checked(field: FieldId, json: &str) -> Result<Value, String> {
    let value = Value::from_json_of_its_type(field.kind(), json);
    match &value {
        Value::Null if field.kind() == Kind::Channels => {
            Err("null is not allowed: the API's update takes no null".into())
        }
        Value::Null => Err("null is not allowed".into()),
        Value::Text(text) => check_text(field, text),
        Value::Integer(number) if !is_within(GROUP_IDS, *number) => {
            Err(format!("must be from {} (no group) to {}", GROUP_IDS.0, GROUP_IDS.1))
        }
        Value::Channels(ids) if ids.is_empty() => Err("an empty array is not allowed".into()),
        Value::Channels(ids) if !ids.iter().all(|id| is_within(CHANNEL_IDS, *id)) => {
            Err(expected(field.kind()).into())
        }
        Value::Credit(_) => check_credit(json),
        Value::Forms(_) => check_forms(json),
        Value::Other(_) => Err(expected(field.kind()).into()),
        _ => Ok(()),
    }
    .map(|()| value)
}

fn is_within((least, greatest): (i64, i64), number: i64) -> bool {
    (least..=greatest).contains(&number)
}

/// Reads a signed amount by which the store credit shall change: an optional sign, at most 14 digits, and after a point
/// at most four more. It is the grammar of the triggers, for a program that has the amount as text: readers of decimals in
/// general take `1e2`, `1_000`, or round what has too many digits.
///
/// # Errors
/// When it is none, in words that repeat it.
///
/// ```
/// use tillsync::{CustomerId, Decimal, parse_adjustment};
///
/// assert_eq!(parse_adjustment(CustomerId(42), "-12.50"), Ok(Decimal::new(-125, 1)));
/// let refused = parse_adjustment(CustomerId(42), "12,50").unwrap_err();
/// assert_eq!(
///     refused.problem,
///     "an adjustment is a signed amount, such as -12.50, not \"12,50\", which has a comma for a decimal point"
/// );
/// ```
pub fn parse_adjustment(customer_id: CustomerId, text: &str) -> Result<Decimal, EditError> {
    let refuse = |problem: String| EditError {
        customer_id,
        field: FieldId::STORE_CREDIT_AMOUNTS.name().to_owned(),
        problem,
    };
    adjustment(text).map_err(refuse)
}

/// An amount as a person writes it: all its digits, two after the point at least.
///
/// ```
/// use tillsync::{Decimal, money};
///
/// assert_eq!(money(Decimal::new(-125, 1)), "-12.50");
/// assert_eq!(money(Decimal::new(43_1234, 4)), "43.1234");
/// ```
pub fn money(amount: Decimal) -> String {
    let amount = amount.normalize();
    format!("{amount:.*}", usize::try_from(amount.scale()).map_or(2, |scale| scale.max(2)))
}

/// See `store/schema/sql/payment.sql`: the words are the same, a test holds them against each other.
fn adjustment(text: &str) -> Result<Decimal, String> {
    let typed = || {
        let short: String = text.chars().take(40).collect();
        format!("\"{short}{}\"", if short.len() < text.len() { "…" } else { "" })
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let no_amount = || {
        let comma = if text.contains(',') { ", which has a comma for a decimal point" } else { "" };
        format!("an adjustment is a signed amount, such as -12.50, not {}{comma}", typed())
    };
    if !are_digits(whole) || !are_digits(fraction) || whole.len() + fraction.len() == 0 {
        return Err(no_amount());
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if fraction.len() > CREDIT_DIGITS.1 {
        return Err(format!("an adjustment has at most four decimal places, not {}", typed()));
    }
    if whole.len() > CREDIT_DIGITS.0 {
        return Err(format!(
            "an adjustment has at most {} digits before the point, not {}",
            CREDIT_DIGITS.0,
            typed()
        ));
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    Decimal::from_str_exact(&format!("{sign}0{whole}.{fraction}0")).map_err(|_| no_amount())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreditEntry<'a> {
    #[serde(borrow)]
    amount: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormEntry<'a> {
    name: String,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default, rename = "customer_id")]
    _customer_id: i64,
}

/// An array of objects. Serde reads a struct from an array too; the store does not.
fn objects<'a, T: Deserialize<'a>>(json: &'a str) -> Option<Vec<T>> {
    let entries: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    let object = |entry: &'a RawValue| serde_json::from_str(entry.get()).ok();
    entries.into_iter().map(|entry| entry.get().starts_with('{').then_some(entry).and_then(object)).collect()
}

/// What a server sends is read leniently, what is to be sent is not.
fn check_credit(json: &str) -> Result<(), String> {
    let entries: Vec<CreditEntry<'_>> = objects(json).ok_or(expected(Kind::Credit))?;
    if entries.is_empty() {
        return Err("an empty array is not allowed: give [{\"amount\":0}]".into());
    }
    let (most_whole, most_fraction) = CREDIT_DIGITS;
    let is_exact = |entry: &CreditEntry<'_>| {
        let digits = entry.amount.get().trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        whole.len() <= most_whole && fraction.len() <= most_fraction && !digits.contains(['e', 'E'])
    };
    match entries.iter().find(|entry| !is_exact(entry)) {
        None => Ok(()),
        Some(entry) => Err(format!(
            "an amount has at most {most_whole} digits before the point and {most_fraction} after it, and no exponent, \
             not {}",
            entry.amount.get().chars().take(40).collect::<String>()
        )),
    }
}

fn check_forms(json: &str) -> Result<(), String> {
    let entries: Vec<FormEntry<'_>> = objects(json).ok_or(expected(Kind::Forms))?;
    for entry in entries {
        let value = FormValue::from_json(entry.value.get());
        if entry.name.is_empty() || matches!(value, FormValue::Other(_)) {
            return Err(expected(Kind::Forms).into());
        }
        let holds_nul = match &value {
            FormValue::Text(text) => text.contains('\0'),
            FormValue::List(items) => items.iter().any(|item| item.contains('\0')),
            _ => false,
        };
        if holds_nul || entry.name.contains('\0') {
            return Err("holds a NUL character".into());
        }
    }
    Ok(())
}

fn check_text(field: FieldId, text: &str) -> Result<(), String> {
    let (least, most) = field.spec().limit_chars;
    let count = text.chars().count();
    if text.contains('\0') {
        return Err("holds a NUL character".into());
    }
    if let Some(words) = field.kind().must_be().filter(|_| !field.kind().is_one(text)) {
        return Err(words);
    }
    if count > most {
        return Err(format!("has {count} characters, at most {most} are allowed"));
    }
    if count < least {
        return Err(format!(
            "has {count} {}, at least {least} {} needed",
            if count == 1 { "character" } else { "characters" },
            if least == 1 { "is" } else { "are" }
        ));
    }
    Ok(())
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Date | Kind::Country | Kind::Choice(_) | Kind::Password => "must be text",
        Kind::Integer => "must be a whole number",
        Kind::Boolean => "must be true or false",
        Kind::Credit => "must be a JSON array such as [{\"amount\":43.15}]",
        Kind::Channels => "must be a JSON array of channel ids, such as [1,2]",
        Kind::Forms => "must be a JSON array of {\"name\": text, \"value\": text, number or array of texts}",
        Kind::Json => "cannot be edited",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `tillsync_check_text` of the triggers says is held to the same words by tests/sql.rs.
    #[test]
    fn what_a_trigger_says_is_taken_apart_and_its_limit_with_it() {
        for field in FieldId::all().filter(|field| field.is_editable() && field.kind() == Kind::Text) {
            let (least, most) = field.spec().limit_chars;
            for (count, limit) in [(most.saturating_add(1), most), (least.wrapping_sub(1), least)] {
                if count < 1_000 {
                    let refused =
                        parse_argument(CustomerId(7), field.name(), &"x".repeat(count)).unwrap_err();
                    assert_eq!(EditError::read(&refused.to_string()), Some(refused.clone()));
                    assert_eq!(EditError::limit_in(&refused.problem), Some(limit as u64), "{refused}");
                }
            }
        }
        let limit = |field, value| {
            let refused = parse_argument(CustomerId(7), field, value).unwrap_err();
            EditError::limit_in(&refused.problem)
        };
        assert_eq!(limit("customer_group_id", "-1"), Some(2_147_483_647));
        assert_eq!(limit("store_credit_amounts", "[{\"amount\":0.00001}]"), Some(4));
        assert_eq!(limit("store_credit_amounts", "[{\"amount\":123456789012345678}]"), Some(14));
        assert_eq!(limit("store_credit_amounts", "much"), None);
        let paid =
            |amount| EditError::limit_in(&parse_adjustment(CustomerId(7), amount).unwrap_err().problem);
        assert_eq!(["123456789012345678", "-0.00001", "1,5"].map(paid), [Some(14), Some(4), None]);
        let floor = |floor: &str| {
            EditError::limit_in(&format!(
                "the balance is 1.00 and would be -1.00, below the floor of {floor}: take less"
            ))
        };
        assert_eq!(["0.00", "10.00", "-5.00", "0.50"].map(floor), [Some(0), Some(10), None, None]);
        assert_eq!(EditError::limit_in("an adjustment has at most four decimal places"), Some(4));
        assert_eq!(EditError::limit_in("has 1 character, at least 3 are needed"), Some(3));
        assert_eq!(EditError::read("journal: is append-only: use discard or retry"), None);
    }
}
