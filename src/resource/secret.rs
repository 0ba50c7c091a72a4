//! What is write-only, in what a store shows: a new password in a record, wherever it stands there and however its name is spelled.
//!
//! A password that has settled is known to nobody any more, so it is told by its name alone, and by whatever stands beside it.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::value::RawValue;

use super::record::{Keys, Text, value_text};
use super::{Field, Kind, ResourceId};

/// What is nested deeper is told by no store, and is not kept where a name is in it.
const DEEPEST: usize = 32;

/// What stays of a value.
enum Rest {
    Whole,
    Part(String),
    Nothing,
}

fn fields() -> impl Iterator<Item = &'static Field> {
    ResourceId::CUSTOMER.spec().fields.iter()
}

/// What a password is within, and what may be shown beside it.
static PLACES: LazyLock<Vec<(&str, Vec<String>)>> = LazyLock::new(|| {
    let parents = fields().filter(|field| field.kind == Kind::Password).filter_map(|field| field.parent);
    let beside =
        |parent| fields().filter(move |field| field.parent == Some(parent) && field.kind == Kind::Boolean);
    let shown = |parent| beside(parent).flat_map(move |field| harmless(parent, field.name)).collect();
    parents.map(|parent| (parent, shown(parent))).collect()
});

fn harmless(parent: &str, name: &str) -> [String; 3] {
    ["true", "false", "null"].map(|value| format!("\"{parent}\":{{\"{name}\":{value}}}"))
}

/// Whether a record may show one, at a glance.
pub(super) fn may_be_in(body: &str) -> bool {
    let small = body.to_ascii_lowercase();
    let is_named =
        |text: &str| text.contains("password") || PLACES.iter().any(|(parent, _)| text.contains(parent));
    let shown = PLACES.iter().flat_map(|(_, shown)| shown).find_map(|shown| small.split_once(shown.as_str()));
    let (before, behind) = shown.unwrap_or((&small, ""));
    is_named(before) || is_named(behind) || spells_letters_with_escapes(body)
}

/// Whether a key could stand there that is not seen at a glance.
fn spells_letters_with_escapes(body: &str) -> bool {
    body.match_indices("\\u00").any(|(at, found)| {
        body.as_bytes().get(at + found.len()).is_some_and(|digit| (b'4'..=b'7').contains(digit))
    })
}

/// The record without them; `None`: there is nothing to be cut.
pub(super) fn cut(body: &str) -> Option<String> {
    let of_record = |name: &str, json: &str| match fields().find(|field| field.name == name) {
        Some(field) if field.parent.is_none() && field.kind != Kind::Json => Rest::Whole,
        _ => named(name, json, 0),
    };
    match keys(body, of_record) {
        Rest::Part(cut) => Some(cut),
        Rest::Whole | Rest::Nothing => None,
    }
}

/// An object, of whose members this stays.
fn keys(json: &str, rest: impl Fn(&str, &str) -> Rest) -> Rest {
    let Ok(mut keys) = Keys::parse(json) else { return Rest::Whole };
    let mut is_cut = false;
    keys.0.retain_mut(|(name, value)| {
        let rest = rest(name, value_text(value));
        is_cut |= !matches!(rest, Rest::Whole);
        match rest {
            Rest::Whole => true,
            Rest::Part(part) => {
                *value = Text::New(part);
                true
            }
            Rest::Nothing => false,
        }
    });
    if is_cut { Rest::Part(keys.print()) } else { Rest::Whole }
}

fn named(name: &str, json: &str, depth: usize) -> Rest {
    let tells_no_more = ["true", "false", "null"].contains(&json);
    match letters(name) {
        _ if tells_no_more => Rest::Whole,
        name if is_password(&name) => Rest::Nothing,
        name if PLACES.iter().any(|(parent, _)| letters(parent) == name) => match json.starts_with('{') {
            true => keys(json, |_, json| match json {
                "true" | "false" | "null" => Rest::Whole,
                _ => Rest::Nothing,
            }),
            false => Rest::Nothing,
        },
        _ => inside(json, depth + 1),
    }
}

/// A value that nobody knows: a text may be what was sent, repeated.
fn inside(json: &str, depth: usize) -> Rest {
    match json.as_bytes().first() {
        Some(b'{' | b'[') if depth > DEEPEST => Rest::Nothing,
        Some(b'{') => keys(json, |name, json| named(name, json, depth)),
        Some(b'[') => list(json, depth),
        Some(b'"') if letters(json).contains("newpassword") => Rest::Nothing,
        _ => Rest::Whole,
    }
}

fn list(json: &str, depth: usize) -> Rest {
    let Ok(all) = serde_json::from_str::<Vec<&RawValue>>(json) else { return Rest::Whole };
    let mut is_cut = false;
    let left = all.into_iter().filter_map(|one| {
        let rest = inside(one.get(), depth + 1);
        is_cut |= !matches!(rest, Rest::Whole);
        match rest {
            Rest::Whole => Some(Cow::Borrowed(one.get())),
            Rest::Part(part) => Some(Cow::Owned(part)),
            Rest::Nothing => None,
        }
    });
    let left: Vec<Cow<'_, str>> = left.collect();
    if is_cut { Rest::Part(format!("[{}]", left.join(","))) } else { Rest::Whole }
}

fn is_password(letters: &str) -> bool {
    letters.ends_with("password") || letters.ends_with("passwordconfirmation")
}

/// `New_Password`, `newPassword` and `new-password` are one name.
fn letters(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
