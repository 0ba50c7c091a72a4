//! What a store makes of the values it is given, as [`Tidying`] says.

use unicode_normalization::UnicodeNormalization;

use super::behaviours::Tidying;
use super::http::quoted;
use super::rules::is_number;

/// Text of an attribute as it is kept.
pub(super) fn text(attribute: &str, text: String, tidying: Tidying) -> String {
    let mut text = common(text, tidying);
    match attribute {
        "email" if tidying.case => text = text.to_lowercase(),
        "phone" if tidying.phones => text.retain(|character| character.is_ascii_digit()),
        "notes" if tidying.crlf => text = lines(&text).replace('\n', "\r\n"),
        "notes" if tidying.lf => text = lines(&text),
        _ => {}
    }
    text
}

/// A form field's value as it is kept; JSON text in and out.
pub(super) fn form_value(json: String, tidying: Tidying) -> String {
    if is_number(&json) {
        return if tidying.numbers { quoted(&json) } else { json };
    }
    match serde_json::from_str::<String>(&json) {
        Ok(text) => quoted(&common(text, tidying)),
        Err(_) => json,
    }
}

/// What is made of any text.
fn common(text: String, tidying: Tidying) -> String {
    let text = if tidying.blanks { text.trim().to_owned() } else { text };
    if tidying.nfc { text.nfc().collect() } else { text }
}

fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}
