//! Values as they are read: names in any script and direction, money with its digits, times with their age.
//!
//! Text of a store, an app or a file comes from anybody. `maud` escapes it; here it gets a direction of its own, so that nothing
//! behind it is turned around, and what nobody can see or what would act is shown as a sign, as on a terminal.

use chrono::{DateTime, Utc};
use maud::{Markup, Render, html};

use crate::{Decimal, FieldId, FormValue, Kind, Row, Value, money, words};

/// The name of an attribute as people say it: the API's, without its underlines.
pub(super) fn field(name: &str) -> Markup {
    match name.strip_prefix("form_fields.") {
        Some(entry) => html! { bdi { (plain(entry)) } " " span.kind { "form field" } },
        None if name == "*" => html! { "The whole customer" },
        None if name == "+" => html! { "Exists in the store already" },
        None if name == "-" => html! { "Deleted here" },
        None => html! { (spoken(name)) },
    }
}

/// What was typed and has no form any more: to be copied from.
pub(super) fn kept(typed: &str) -> Markup {
    html! {
        div.kept {
            label for="kept" { "What you typed, to copy from here" }
            textarea #kept readonly rows="3" dir="auto" { "\n" (typed) }
        }
    }
}

/// The same as text, for a label.
pub(super) fn field_text(name: &str) -> String {
    match name.strip_prefix("form_fields.") {
        Some(entry) => plain(entry),
        None => spoken(name),
    }
}

/// The same within a sentence.
pub(super) fn field_within(name: &str) -> String {
    if name.starts_with("form_fields.") { field_text(name) } else { field_text(name).to_lowercase() }
}

fn spoken(name: &str) -> String {
    match name {
        "store_credit_amounts" => "Store credit".to_owned(),
        "customer_group_id" => "Customer group".to_owned(),
        "channel_ids" => "Channels".to_owned(),
        "origin_channel_id" => "Channel of origin".to_owned(),
        name => sentence(&name.replace('_', " ")),
    }
}

/// Text in which nothing is left that acts: what is before us is what is in it. A line ends as a line ends, however it is spelled.
pub(super) fn plain(text: &str) -> String {
    words::plain(&text.replace("\r\n", "\n")).into_owned()
}

/// Words of the library as a sentence of the page.
pub(super) fn sentence(words: &str) -> String {
    let words = plain(words);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A name or a word of somebody's, which turns nothing around it.
pub(super) fn name(text: &str) -> Markup {
    html! { bdi { (plain(text)) } }
}

/// A customer's name, or else the address, or else the number.
pub(super) fn customer_name(row: &Row) -> String {
    let whole = format!("{} {}", row.first_name().unwrap_or_default(), row.last_name().unwrap_or_default());
    let of = |text: &str| Some(plain(text.trim())).filter(|text| !text.is_empty());
    of(&whole).or_else(|| row.email().and_then(of)).unwrap_or_else(|| format!("Customer {}", row.id()))
}

/// JSON text of an attribute, or of one form field.
pub(super) fn json(field: &str, json: &str) -> Markup {
    match FieldId::named(field) {
        Some(field) => value(field, &Value::from_json(field.kind(), json)),
        None => form_value(&FormValue::from_json(json)),
    }
}

/// A value of an attribute.
pub(super) fn value(field: FieldId, value: &Value) -> Markup {
    match value {
        Value::Null if field.kind() == Kind::Channels => nothing("every channel"),
        Value::Null => nothing("nothing"),
        Value::Text(_) if field.is_secret() => html! { span.text { "●●●●●●" } },
        Value::Text(words) => match value.date().filter(|_| field.kind() == Kind::Date) {
            Some(at) => time(at),
            None => text(words),
        },
        Value::Integer(number) => html! { span.number { (number) } },
        Value::Boolean(true) => html! { "yes" },
        Value::Boolean(false) => html! { "no" },
        Value::Credit(amounts) => list(amounts.iter().map(|sum| amount(&money(*sum)))),
        Value::Channels(ids) => list(ids.iter().map(|id| html! { span.number { (id) } })),
        Value::Forms(entries) if entries.is_empty() => nothing("nothing"),
        Value::Forms(entries) => html! {
            dl.entries { @for (name, value) in entries {
                dt { bdi { (plain(name)) } } dd { (form_value(value)) }
            } }
        },
        Value::Other(json) => html! { code dir="auto" { (plain(json)) } },
    }
}

/// The value of one form field.
pub(super) fn form_value(value: &FormValue) -> Markup {
    match value {
        FormValue::Text(words) => text(words),
        FormValue::Number(number) => html! { span.number { (number) } },
        FormValue::List(items) => list(items.iter().map(|item| text(item))),
        FormValue::Other(json) if json == "null" => nothing("nothing"),
        FormValue::Other(json) => html! { code dir="auto" { (plain(json)) } },
    }
}

/// Addresses as they are written on an envelope; none: that JSON text is none of any.
pub(super) fn addresses(json: &str) -> Option<Markup> {
    const LINES: [&[&str]; 5] = [
        &["first_name", "last_name"],
        &["company"],
        &["address1", "address2"],
        &["postal_code", "city", "state_or_province"],
        &["country"],
    ];
    let all: Vec<serde_json::Value> = serde_json::from_str(json).ok()?;
    let line = |address: &serde_json::Value, names: &[&str]| {
        let parts = names.iter().filter_map(|name| address[*name].as_str()).filter(|part| !part.is_empty());
        plain(&parts.collect::<Vec<_>>().join(" "))
    };
    Some(html! {
        @if all.is_empty() { (nothing("nothing")) }
        ul.addresses { @for address in &all {
            li { @for names in LINES { @let line = line(address, names); @if !line.is_empty() { p dir="auto" { (line) } } } }
        } }
    })
}

/// All of a text, with its lines; of one that is only blanks, as many as it has.
fn text(words: &str) -> Markup {
    if words.is_empty() {
        return nothing("empty");
    }
    let is_bare = words.trim() == words;
    html! { span.text.quoted[!is_bare] dir="auto" { (plain(words)) } }
}

fn nothing(word: &str) -> Markup {
    html! { span.nothing { (word) } }
}

fn list(items: impl Iterator<Item = Markup>) -> Markup {
    let items: Vec<Markup> = items.collect();
    if items.is_empty() {
        return nothing("nothing");
    }
    html! { @for (nth, item) in items.iter().enumerate() { @if nth > 0 { ", " } (item) } }
}

/// An amount, digit by digit as it is; a script may write it as the browser's locale does.
pub(super) fn amount(digits: &str) -> Markup {
    html! { data.money value=(digits) { (digits) } }
}

/// What a payment moves the balance by, with its sign.
pub(super) fn payment(paid: Decimal) -> Markup {
    let digits = money(paid);
    html! { @if !digits.starts_with('-') { "+" } (amount(&digits)) }
}

/// A time: by UTC where there is no script, else by the clock on the wall; and how long ago that is.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    let stamp = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let clock = at.format("%Y-%m-%d %H:%M UTC");
    html! { time datetime=(stamp) title=(clock) { (from_now(at, Utc::now())) } }
}

/// A time as the tables have it.
pub(super) fn stamp(at: &str) -> Markup {
    DateTime::parse_from_rfc3339(at).map_or_else(|_| name(at), |at| time(at.to_utc()))
}

/// `3 min ago`, `in 2 h`, as the command tells it.
fn from_now(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    const DAY: i64 = 24 * 60;
    let minutes = (now - at).num_minutes();
    let long = match minutes.abs() {
        0 if at > now => return "in a moment".to_owned(),
        0 => return "just now".to_owned(),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes if minutes < 2 * DAY => format!("{} h", minutes / 60),
        minutes if minutes < 60 * DAY => format!("{} days", minutes / DAY),
        minutes if minutes < 730 * DAY => format!("{} months", minutes / (30 * DAY)),
        minutes => format!("{} years", minutes / (365 * DAY)),
    };
    if minutes < 0 { format!("in {long}") } else { format!("{long} ago") }
}

/// `1 customer`, `1,204 customers`, `2 entries`.
pub(super) fn count(number: u64, what: &str) -> String {
    let what = match what {
        what if number == 1 => what.to_owned(),
        what if what.ends_with(['s', 'h']) => format!("{what}es"),
        what => format!("{what}s"),
    };
    format!("{} {what}", thousands(number))
}

/// `12,345`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// What the two sides of a conflict have otherwise than what both started from, word by word: so that no letter is parted from
/// its accent, and no word of a script that joins its letters is cut.
pub(super) fn differing(base: &str, text: &str) -> Markup {
    let [base, text] = [base, text].map(|side| side.replace("\r\n", "\n"));
    let (was, is): (Vec<&str>, Vec<&str>) = (pieces(&base), pieces(&text));
    let begin = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
    let left = (was.len() - begin).min(is.len() - begin);
    let end = was.iter().rev().zip(is.iter().rev()).take(left).take_while(|(a, b)| a == b).count();
    if begin + end == 0 || is.len() == begin + end {
        return self::text(&text);
    }
    let join = |words: &[&str]| plain(&words.concat());
    // A blank before it is marked only where it is all that differs.
    let is_led_by_blank = is[begin].trim().is_empty() && is.len() - end > begin + 1;
    let begin = begin + usize::from(is_led_by_blank);
    html! {
        span.text dir="auto" {
            (join(&is[..begin])) mark { (join(&is[begin..is.len() - end])) } (join(&is[is.len() - end..]))
        }
    }
}

/// Words, and the blanks between them.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut from, mut was_blank) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        if at > 0 && letter.is_whitespace() != was_blank {
            pieces.push(&text[from..at]);
            from = at;
        }
        was_blank = letter.is_whitespace();
    }
    pieces.push(&text[from..]);
    pieces
}

/// A number beside the name of a page, and of what: of one, of several.
pub(super) struct Badge(pub(super) u64, pub(super) [&'static str; 2]);

impl Render for Badge {
    fn render(&self) -> Markup {
        let Badge(number, [one, several]) = *self;
        let what = if number == 1 { one } else { several };
        html! { @if number > 0 { " " span.badge { (thousands(number)) span.unseen { " " (what) } } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_turn_nothing_around() {
        assert_eq!(name("<b>\u{202e}x").into_string(), "<bdi>&lt;b&gt;\u{fffd}x</bdi>");
        assert_eq!(json("notes", "\"\"").into_string(), "<span class=\"nothing\">empty</span>");
        assert_eq!(field_text("store_credit_amounts"), "Store credit");
    }

    #[test]
    fn an_address_is_written_as_on_an_envelope() {
        let shown = addresses(
            r#"[{"first_name":"Ana","last_name":"Lima","address1":"Rua <b>","city":"Porto","postal_code":"4000"}]"#,
        );
        let shown = shown.unwrap().into_string();
        assert!(
            shown.contains(">Ana Lima</p>")
                && shown.contains(">Rua &lt;b&gt;</p>")
                && shown.contains(">4000 Porto</p>"),
            "{shown}"
        );
        assert_eq!(shown.matches("<p").count(), 3, "{shown}");
        assert!(addresses("{}").is_none() && addresses("[]").unwrap().into_string().contains("nothing"));
    }

    #[test]
    fn money_keeps_its_digits() {
        let shown = json("store_credit_amounts", r#"[{"amount":43.1},{"amount":0.1234}]"#).into_string();
        assert!(shown.contains(">43.10<") && shown.contains(">0.1234<"), "{shown}");
    }

    #[test]
    fn only_the_words_that_differ_are_marked() {
        let shown = differing("call in the morning", "call in the evening only").into_string();
        assert_eq!(shown, "<span class=\"text\" dir=\"auto\">call in the <mark>evening only</mark></span>");
        let shown = differing("call\nnow", "call\nnow\nagain").into_string();
        assert!(shown.contains("call\nnow\n<mark>again</mark>"), "{shown}");
        assert!(differing("a b", "a  b").into_string().contains("<mark>  </mark>"));
        assert!(!differing("a", "b").into_string().contains("mark"));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [count(1, "customer"), count(1234567, "edit"), count(2, "batch")],
            ["1 customer", "1,234,567 edits", "2 batches"]
        );
    }
}
