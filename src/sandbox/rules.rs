//! What an update may set, and to what: one table, one check.
//!
//! A refusal says whether it is a *violation*, that is, something that the public description rules out and a
//! correct client therefore never sends, or merely something that this store does not like.

use std::collections::HashSet;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::behaviours::Tidying;
use super::http::quoted;
use super::record::Members;
use super::tidy;

enum Kind {
    /// Text of so many characters, at least and at most.
    Text(usize, usize),
    Email,
    GroupId,
    Flag,
    Authentication,
    StoreCredit,
    Channels,
    FormFields,
    ReadOnly,
    Subresource,
}

const ATTRIBUTES: &[(&str, Kind)] = &[
    ("email", Kind::Email),
    ("first_name", Kind::Text(1, 100)),
    ("last_name", Kind::Text(1, 100)),
    ("company", Kind::Text(0, 255)),
    ("phone", Kind::Text(0, 50)),
    ("notes", Kind::Text(0, usize::MAX)),
    ("tax_exempt_category", Kind::Text(0, 255)),
    ("customer_group_id", Kind::GroupId),
    ("accepts_product_review_abandoned_cart_emails", Kind::Flag),
    ("authentication", Kind::Authentication),
    ("store_credit_amounts", Kind::StoreCredit),
    ("channel_ids", Kind::Channels),
    ("form_fields", Kind::FormFields),
    ("registration_ip_address", Kind::ReadOnly),
    ("origin_channel_id", Kind::ReadOnly),
    ("date_created", Kind::ReadOnly),
    ("date_modified", Kind::ReadOnly),
    ("address_count", Kind::ReadOnly),
    ("attribute_count", Kind::ReadOnly),
    ("addresses", Kind::Subresource),
    ("attributes", Kind::Subresource),
    ("shopper_profile_id", Kind::Subresource),
    ("segment_ids", Kind::Subresource),
];

/// The fewest and the most characters of an email address.
const EMAIL_CHARACTERS: (usize, usize) = (3, 255);
/// The most decimal places of an amount of money.
const MONEY_DECIMALS: u32 = 4;

/// What one attribute of an update asks for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The attribute becomes this JSON text.
    Set(String),
    /// The email address becomes this.
    Email(String),
    /// These form fields, name and JSON text of the value.
    FormFields(Vec<(String, String)>),
    /// Whether the shopper must choose a new password, and a new password.
    Authentication { force_password_reset: Option<bool>, new_password: Option<String> },
}

/// Why an attribute is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub message: String,
    pub is_violation: bool,
}

fn violation<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message: message.into(), is_violation: true })
}

fn dislike<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message: message.into(), is_violation: false })
}

/// Checks one attribute of an update.
pub(super) fn check(attribute: &str, json: &str, tidying: Tidying) -> Result<Change, Refusal> {
    match ATTRIBUTES.iter().find(|(name, _)| *name == attribute).map(|(_, kind)| kind) {
        None => violation(format!("{attribute} is not an attribute of a customer update")),
        Some(Kind::ReadOnly) => violation(format!("{attribute} is read-only")),
        Some(Kind::Subresource) => violation(format!("{attribute}: subresources cannot be updated here")),
        Some(Kind::Email) => email(json, tidying),
        Some(Kind::Text(min, max)) => text(attribute, json, *min, *max, tidying),
        Some(Kind::GroupId) => group_id(json, tidying),
        Some(Kind::Flag) => flag(attribute, json).map(|flag| Change::Set(flag.to_string())),
        Some(Kind::Authentication) => authentication(json),
        Some(Kind::StoreCredit) => store_credit(json),
        Some(Kind::Channels) => channels(json, tidying),
        Some(Kind::FormFields) => form_fields(json, tidying),
    }
}

/// Checks that a store may hold this in an attribute, whoever wrote it: it has the attribute, of that type. Limits are for updates.
pub(super) fn check_held(attribute: &str, json: &str) -> Result<(), Refusal> {
    let of_type = |is_so: bool, what: &str| match is_so || json == "null" {
        true => Ok(()),
        false => violation(format!("{attribute} must be {what}, not {json}")),
    };
    match ATTRIBUTES.iter().find(|(name, _)| *name == attribute).map(|(_, kind)| kind) {
        None if attribute == "id" => id(json).map(drop),
        None => violation(format!("{attribute} is not an attribute of a customer")),
        Some(Kind::ReadOnly) if attribute.ends_with("_id") || attribute.ends_with("_count") => {
            of_type(integer(json).is_some(), "a whole number")
        }
        Some(Kind::Email | Kind::Text(..) | Kind::ReadOnly) => {
            of_type(string(attribute, json).is_ok(), "text")
        }
        Some(Kind::GroupId) => of_type(integer(json).is_some(), "a whole number"),
        Some(Kind::Flag) => of_type(flag(attribute, json).is_ok(), "true or false"),
        Some(Kind::Authentication) => authentication(json).map(drop),
        Some(Kind::StoreCredit) => of_type(are_amounts(json), "an array of {\"amount\": number}"),
        Some(Kind::Channels) => {
            of_type(serde_json::from_str::<Vec<i64>>(json).is_ok(), "an array of channel ids")
        }
        Some(Kind::FormFields) => of_type(are_named(json), "an array of {\"name\": text, \"value\": …}"),
        Some(Kind::Subresource) => Ok(()),
    }
}

fn are_amounts(json: &str) -> bool {
    let amounts: Result<Vec<Members<'_>>, _> = serde_json::from_str(json);
    let is_one = |Members(members): &Members<'_>| matches!(members.as_slice(), [(name, amount)] if name == "amount" && is_number(amount.get()));
    amounts.is_ok_and(|amounts| amounts.iter().all(is_one))
}

fn are_named(json: &str) -> bool {
    let entries: Result<Vec<Members<'_>>, _> = serde_json::from_str(json);
    let has = |entry: &Members<'_>, wanted: &str, is_so: fn(&str) -> bool| {
        entry.0.iter().any(|(name, value)| name == wanted && is_so(value.get()))
    };
    let is_text = |json: &str| serde_json::from_str::<String>(json).is_ok();
    let is_value = |json: &str| json == "null" || form_value(json).is_ok();
    entries.is_ok_and(|entries| {
        entries.iter().all(|entry| has(entry, "name", is_text) && has(entry, "value", is_value))
    })
}

/// The `id` that selects a customer.
pub(super) fn id(json: &str) -> Result<i32, Refusal> {
    let id = integer(json).and_then(|id| i32::try_from(id).ok()).filter(|id| *id > 0);
    id.map_or_else(|| violation(format!("id must be a positive 32-bit integer, not {json}")), Ok)
}

fn text(attribute: &str, json: &str, min: usize, max: usize, tidying: Tidying) -> Result<Change, Refusal> {
    let text = tidy::text(attribute, string(attribute, json)?, tidying);
    within(attribute, &text, min, max)?;
    Ok(Change::Set(if tidying.empty && text.is_empty() { "null".to_owned() } else { quoted(&text) }))
}

fn email(json: &str, tidying: Tidying) -> Result<Change, Refusal> {
    let email = tidy::text("email", string("email", json)?, tidying);
    within("email", &email, EMAIL_CHARACTERS.0, EMAIL_CHARACTERS.1)?;
    match email.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Ok(Change::Email(email)),
        _ => dislike("email is not a valid address"),
    }
}

fn within(attribute: &str, text: &str, min: usize, max: usize) -> Result<(), Refusal> {
    let characters = text.chars().count();
    if (min..=max).contains(&characters) {
        return Ok(());
    }
    violation(format!("{attribute} must have {min} to {max} characters and has {characters}"))
}

fn group_id(json: &str, tidying: Tidying) -> Result<Change, Refusal> {
    match integer(json).and_then(|id| i32::try_from(id).ok()) {
        None => violation(format!("customer_group_id must be a 32-bit integer, not {json}")),
        Some(id) if id < 0 => dislike("customer_group_id: there is no such group"),
        Some(0) if tidying.zero_group => Ok(Change::Set("null".to_owned())),
        Some(id) => Ok(Change::Set(id.to_string())),
    }
}

fn authentication(json: &str) -> Result<Change, Refusal> {
    let (mut force_password_reset, mut new_password) = (None, None);
    for (name, value) in object("authentication", json)? {
        match name.as_str() {
            "force_password_reset" => force_password_reset = Some(flag(&name, value)?),
            "new_password" => new_password = Some(password(value)?),
            _ => return violation(format!("authentication.{name} cannot be set")),
        }
    }
    if force_password_reset.is_none() && new_password.is_none() {
        return violation("authentication is empty");
    }
    Ok(Change::Authentication { force_password_reset, new_password })
}

fn password(json: &str) -> Result<String, Refusal> {
    // The value is never repeated in a message: messages end up in logs.
    match serde_json::from_str::<String>(json) {
        Err(_) => violation("authentication.new_password must be a string"),
        Ok(password) if password.is_empty() => dislike("authentication.new_password is too short"),
        Ok(password) => Ok(password),
    }
}

fn store_credit(json: &str) -> Result<Change, Refusal> {
    let items = array("store_credit_amounts", json)?;
    let [item] = items.as_slice() else {
        return violation("store_credit_amounts must hold exactly one amount");
    };
    match object("store_credit_amounts", item.get())?.as_slice() {
        [(name, amount)] if name == "amount" => {
            Ok(Change::Set(format!(r#"[{{"amount":{}}}]"#, money(amount)?)))
        }
        _ => violation("store_credit_amounts must hold objects with an amount only"),
    }
}

/// An amount as plain decimal text, digit by digit as it was sent unless that was with an exponent.
fn money(json: &str) -> Result<String, Refusal> {
    if !is_number(json) {
        return violation(format!("amount must be a number, not {json}"));
    }
    let exponent = json.contains(['e', 'E']);
    let parsed = if exponent { Decimal::from_scientific(json) } else { Decimal::from_str_exact(json) };
    match parsed {
        Err(_) => violation(format!("amount {json} has more digits than money has")),
        Ok(amount) if amount.normalize().scale() > MONEY_DECIMALS => {
            violation(format!("amount {json} has more than {MONEY_DECIMALS} decimals"))
        }
        Ok(amount) if amount.is_sign_negative() && !amount.is_zero() => {
            dislike("amount must not be negative")
        }
        Ok(amount) if exponent => Ok(amount.to_string()),
        Ok(_) => Ok(json.to_owned()),
    }
}

fn channels(json: &str, tidying: Tidying) -> Result<Change, Refusal> {
    let items = array("channel_ids", json)?;
    if items.is_empty() {
        return violation("channel_ids must not be empty");
    }
    let mut seen = HashSet::new();
    for item in &items {
        match integer(item.get()) {
            None => return violation("channel_ids must hold integers"),
            Some(id) if !seen.insert(id) => return violation(format!("channel_ids names {id} twice")),
            Some(_) => {}
        }
    }
    let mut ids: Vec<&str> = items.iter().map(|item| item.get()).collect();
    if tidying.order {
        ids.sort_by_key(|id| integer(id));
    }
    Ok(Change::Set(format!("[{}]", ids.join(","))))
}

fn form_fields(json: &str, tidying: Tidying) -> Result<Change, Refusal> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for item in array("form_fields", json)? {
        let (name, value) = form_field(item.get())?;
        let field = (name, tidy::form_value(value, tidying));
        if fields.iter().any(|(name, _)| *name == field.0) {
            return violation(format!("form_fields names {} twice", field.0));
        }
        fields.push(field);
    }
    Ok(Change::FormFields(fields))
}

fn form_field(json: &str) -> Result<(String, String), Refusal> {
    let (mut name, mut value) = (None, None);
    for (member, json) in object("form_fields", json)? {
        match member.as_str() {
            "name" => name = Some(string("form_fields name", json)?),
            "value" => value = Some(form_value(json)?),
            _ => return violation(format!("form_fields: {member} cannot be set")),
        }
    }
    match (name, value) {
        (Some(name), Some(value)) => Ok((name, value)),
        _ => violation("form_fields: each needs a name and a value"),
    }
}

fn form_value(json: &str) -> Result<String, Refusal> {
    if is_number(json) {
        return Ok(json.to_owned());
    }
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return Ok(quoted(&text));
    }
    match serde_json::from_str::<Vec<String>>(json) {
        Ok(items) => Ok(format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(","))),
        Err(_) => violation("form_fields: a value is a string, a number or an array of strings"),
    }
}

fn string(attribute: &str, json: &str) -> Result<String, Refusal> {
    serde_json::from_str(json).or_else(|_| violation(format!("{attribute} must be a string")))
}

fn flag(attribute: &str, json: &str) -> Result<bool, Refusal> {
    serde_json::from_str(json).or_else(|_| violation(format!("{attribute} must be true or false")))
}

fn array<'a>(attribute: &str, json: &'a str) -> Result<Vec<&'a RawValue>, Refusal> {
    serde_json::from_str(json).or_else(|_| violation(format!("{attribute} must be an array, not {json}")))
}

fn object<'a>(attribute: &str, json: &'a str) -> Result<Vec<(String, &'a str)>, Refusal> {
    match serde_json::from_str::<Members<'_>>(json) {
        Ok(members) => Ok(members.0.into_iter().map(|(name, value)| (name, value.get())).collect()),
        Err(_) => violation(format!("{attribute}: an object is needed")),
    }
}

fn integer(json: &str) -> Option<i64> {
    json.parse().ok().filter(|_| is_number(json))
}

pub(super) fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_off(attribute: &str, json: &str) -> Result<Change, Refusal> {
        check(attribute, json, Tidying::NONE)
    }

    fn set(attribute: &str, json: &str) -> String {
        match check_off(attribute, json).unwrap() {
            Change::Set(json) => json,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn limits_count_characters_not_bytes() {
        let hundred = quoted(&"é".repeat(100));
        assert_eq!(set("first_name", &hundred), hundred);
        for (attribute, json) in [
            ("first_name", quoted(&"é".repeat(101))),
            ("first_name", quoted("")),
            ("company", quoted(&"x".repeat(256))),
            ("phone", quoted(&"1".repeat(51))),
            ("email", quoted("@a")),
            ("email", quoted(&format!("{}@example.com", "x".repeat(250)))),
        ] {
            assert!(check_off(attribute, &json).unwrap_err().is_violation, "{attribute}={json}");
        }
        set("notes", &quoted(&"長".repeat(70_000)));
    }

    #[test]
    fn what_no_correct_client_sends_is_a_violation() {
        for (attribute, json) in [
            ("registration_ip_address", "\"1.1.1.1\""),
            ("origin_channel_id", "1"),
            ("date_modified", "\"2024-01-01T00:00:00Z\""),
            ("address_count", "1"),
            ("addresses", "[]"),
            ("loyalty_tier", "\"gold\""),
            ("phone", "null"),
            ("phone", "5"),
            ("accepts_product_review_abandoned_cart_emails", "1"),
            ("customer_group_id", "\"1\""),
            ("customer_group_id", "1.0"),
            ("customer_group_id", "4294967296"),
            ("channel_ids", "null"),
            ("channel_ids", "[]"),
            ("channel_ids", "[1,1]"),
            ("channel_ids", "[\"1\"]"),
            ("form_fields", r#"[{"name":"a","value":"x"},{"name":"a","value":"y"}]"#),
            ("form_fields", r#"[{"name":"a"}]"#),
            ("form_fields", r#"[{"name":"a","value":null}]"#),
            ("form_fields", r#"[{"name":"a","value":"x","customer_id":1}]"#),
            ("store_credit_amounts", "[]"),
            ("store_credit_amounts", r#"[{"amount":"1"}]"#),
            ("store_credit_amounts", r#"[{"amount":0.00001}]"#),
            ("store_credit_amounts", r#"[{"amount":1,"currency":"EUR"}]"#),
            ("authentication", "{}"),
            ("authentication", r#"{"password":"x"}"#),
        ] {
            assert!(check_off(attribute, json).unwrap_err().is_violation, "{attribute}={json}");
        }
    }

    #[test]
    fn money_keeps_its_digits() {
        for amount in
            ["43.15", "999999999.99", "0.3", "0", "0.0001", "12.50", "79228162514264337593543950335"]
        {
            let json = format!(r#"[{{"amount":{amount}}}]"#);
            assert_eq!(set("store_credit_amounts", &json), json);
        }
        assert_eq!(set("store_credit_amounts", r#"[ {"amount": 4.315e1} ]"#), r#"[{"amount":43.15}]"#);
    }

    #[test]
    fn what_a_client_cannot_know_is_no_violation() {
        for (attribute, json) in [
            ("email", "\"no-at-sign\""),
            ("store_credit_amounts", r#"[{"amount":-1}]"#),
            ("authentication", r#"{"new_password":""}"#),
        ] {
            assert!(!check_off(attribute, json).unwrap_err().is_violation, "{attribute}={json}");
        }
    }

    #[test]
    fn a_tidying_store_trims_and_lower_cases() {
        let tidy = |attribute, json| check(attribute, json, Tidying::USUAL).unwrap();
        assert_eq!(tidy("phone", "\" 5 \""), Change::Set("\"5\"".into()));
        assert_eq!(tidy("email", "\" Ana@Example.COM\""), Change::Email("ana@example.com".into()));
    }
}
