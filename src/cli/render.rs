//! Values, times and tables for people. JSON for programs is the library's own text, handed on verbatim: an amount never
//! passes through a float.
//!
//! Text of a store comes from anybody, so nothing of it may move the cursor of a terminal: control characters are shown
//! as signs.

use chrono::{DateTime, Local, Utc};
use comfy_table::{ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};
use serde_json::value::RawValue;
use tillsync::{FieldId, FormValue, Kind, Row, Value, words};

use super::exit::Failed;

/// The longest value that a table shows.
pub(super) const MOST_CHARS: usize = 60;

/// The widest margin that a table is given.
const INDENT: u16 = 2;

const CALM: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none());

/// JSON text of the library, for a document.
pub(super) fn raw(json: String) -> Result<Box<RawValue>, Failed> {
    Ok(RawValue::from_string(json)?)
}

/// A table with a rule under its header and no other lines; folded to the width of a terminal.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = calm();
    table.set_header(header).add_rows(rows);
    trimmed(table)
}

/// Names and what they stand for, aligned.
pub(super) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = calm();
    table.add_rows(pairs.into_iter().map(|(name, value)| [name.to_owned(), value]));
    trimmed(table)
}

/// On a terminal as wide as that, or as `COLUMNS` says, less what a text may be indented by.
fn calm() -> Table {
    let mut table = Table::new();
    table.load_style(CALM).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = columns() {
        table.set_width(width.saturating_sub(INDENT));
    }
    table
}

/// How wide the terminal is; `None`: there is none.
fn columns() -> Option<u16> {
    let asked_for = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<u16>().ok());
    asked_for.filter(|columns| *columns > 0).or_else(|| Table::new().width().map(believed))
}

/// A terminal that a program has made may say 0: it does not know.
fn believed(columns: u16) -> u16 {
    const USUAL: u16 = 80;
    if columns == 0 { USUAL } else { columns }
}

/// Whether a table of many columns would be folded in each of them.
pub(super) fn is_narrow() -> bool {
    columns().is_some_and(|columns| columns < 100)
}

/// Flush with the text around it, at both ends of a line.
fn trimmed(mut table: Table) -> String {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// `3 customers`, `1 customer`.
pub(super) fn count(number: u64, one: &str) -> String {
    match (number, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{} {stem}ies", thousands(number)),
        _ if one.ends_with("ch") => format!("{} {one}es", thousands(number)),
        _ => format!("{} {one}s", thousands(number)),
    }
}

/// `12,345`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b',')).into_owned()
}

/// `103 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

/// A log that a reader holds up, in words: how long it is, who reads, and what is to be done.
pub(super) fn held_up(bytes: u64, since: Option<DateTime<Utc>>, readers: &[u32]) -> String {
    let since = since.map_or_else(String::new, |since| format!(" since {}", time(Some(since))));
    format!(
        "the log beside the file has {} and cannot begin anew{since}, {}: end that transaction",
        self::bytes(bytes),
        read_by(readers)
    )
}

/// Who has a reading transaction open.
pub(super) fn read_by(readers: &[u32]) -> String {
    let named = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim().is_empty() { pid.to_string() } else { format!("{pid} ({})", plain(name.trim())) }
    };
    match readers {
        [] => "because another program has a transaction open that reads it".to_owned(),
        [one] => format!("because process {} has a transaction open that reads it", named(one)),
        many => {
            let names: Vec<String> = many.iter().map(named).collect();
            format!("because one of the processes {} has a transaction open that reads it", names.join(", "))
        }
    }
}

/// A time of the file by the clock on the wall, and how long ago that is; `–` when there is none.
pub(super) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| format!("{} ({})", clock(at), from_now(at, Utc::now())))
}

/// By the clock on the wall.
pub(super) fn clock(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// `3 min ago`, `in 2 h`: the largest unit of which there are two, or one of the smallest.
fn from_now(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    const DAY_MIN: i64 = 24 * 60;
    let minutes = (now - at).num_minutes();
    let long = match minutes.abs() {
        0 if at > now => return "in a moment".to_owned(),
        0 | 1 if at <= now => return "just now".to_owned(),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes if minutes < 2 * DAY_MIN => format!("{} h", minutes / 60),
        minutes if minutes < 60 * DAY_MIN => format!("{} days", minutes / DAY_MIN),
        minutes if minutes < 730 * DAY_MIN => format!("{} months", minutes / (30 * DAY_MIN)),
        minutes => format!("{} years", minutes / (365 * DAY_MIN)),
    };
    if minutes < 0 { format!("in {long}") } else { format!("{long} ago") }
}

/// A time as the tables have it.
pub(super) fn stamp(at: &str) -> String {
    DateTime::parse_from_rfc3339(at).map_or_else(|_| plain(at), |at| time(Some(at.to_utc())))
}

/// JSON text of an attribute, `form_fields.NAME`, or the like.
pub(super) fn value(field: &str, json: &str) -> String {
    match FieldId::named(field) {
        Some(field) => typed(field, &Value::from_json(field.kind(), json)),
        None => short(&form_value(&FormValue::from_json(json))),
    }
}

/// A value of an attribute; a long text is cut.
pub(super) fn typed(field: FieldId, value: &Value) -> String {
    let text = in_full(value, field);
    match value {
        Value::Text(_) | Value::Forms(_) | Value::Other(_) => short(&text),
        _ => text,
    }
}

/// All of it.
pub(super) fn in_full(value: &Value, field: FieldId) -> String {
    match value {
        Value::Null if field.kind() == Kind::Channels => "every channel".to_owned(),
        Value::Null => "–".to_owned(),
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Credit(amounts) => list(amounts.iter().map(|amount| money(*amount))),
        Value::Channels(ids) => list(ids.iter().map(i64::to_string)),
        Value::Forms(entries) => {
            list(entries.iter().map(|(name, value)| format!("{}: {}", plain(name), form_value(value))))
        }
        Value::Other(json) => plain(json),
    }
}

pub(super) use tillsync::money;

/// The value of one form field.
pub(super) fn form_value(value: &FormValue) -> String {
    match value {
        FormValue::Text(text) => quoted(text),
        FormValue::Number(number) => number.clone(),
        FormValue::List(items) => list(items.iter().map(|item| plain(item))),
        FormValue::Other(json) if json == "null" => "–".to_owned(),
        FormValue::Other(json) => plain(json),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "–".to_owned() } else { items.join(", ") }
}

/// Text as it is; only what nobody could see is quoted.
fn quoted(text: &str) -> String {
    if text.trim() == text && !text.is_empty() { plain(text) } else { format!("\"{}\"", plain(text)) }
}

/// Text without anything that a terminal would act upon.
pub(super) fn plain(text: &str) -> String {
    let sign = |letter| match letter {
        '\n' => '⏎',
        '\t' => ' ',
        letter if words::is_acted_upon(letter) => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(sign).collect()
}

fn short(text: &str) -> String {
    let text = plain(text);
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// `Ana Lima`, or else the address.
pub(super) fn name(row: &Row) -> String {
    let text = |name: &str| match FieldId::named(name).map(|field| row.get(field)) {
        Some(Value::Text(text)) => plain(text.trim()),
        _ => String::new(),
    };
    let name = format!("{} {}", text("first_name"), text("last_name"));
    if name.trim().is_empty() { text("email") } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_store_moves_the_cursor() {
        assert_eq!(value("notes", r#""a\u001b[2Jb\nc\u202ed""#), "a\u{fffd}[2Jb⏎c\u{fffd}d");
        assert_eq!(value("company", r#""""#), "\"\"");
        assert_eq!(value("company", r#"" x""#), "\" x\"");
    }

    #[test]
    fn a_terminal_that_does_not_know_its_width_has_the_usual_one() {
        assert_eq!([0, 1, 60].map(believed), [80, 1, 60]);
    }

    #[test]
    fn times_are_told_from_now() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(10_000);
        let told = |seconds| from_now(now - chrono::TimeDelta::seconds(seconds), now);
        let past = [0, 59, 60, 3_600, 7_199, 7_200, 86_400, 172_800, 5_184_000, 63_072_000].map(told);
        assert_eq!(
            past,
            [
                "just now",
                "just now",
                "just now",
                "60 min ago",
                "119 min ago",
                "2 h ago",
                "24 h ago",
                "2 days ago",
                "2 months ago",
                "2 years ago"
            ]
        );
        assert_eq!([-1, -59, -90, -7_200].map(told), ["in a moment", "in a moment", "in 1 min", "in 2 h"]);
    }

    #[test]
    fn nouns_have_their_plurals() {
        let plurals = ["call", "reply", "batch"].map(|one| count(3, one));
        assert_eq!(plurals, ["3 calls", "3 replies", "3 batches"]);
        assert_eq!((count(1, "batch"), count(0, "batch")), ("1 batch".to_owned(), "0 batches".to_owned()));
    }

    #[test]
    fn values_are_read_by_their_type() {
        assert_eq!(value("store_credit_amounts", r#"[{"amount":43.1}]"#), "43.10");
        assert_eq!(value("channel_ids", "[2,1]"), "1, 2");
        assert_eq!(value("channel_ids", "null"), "every channel");
        assert_eq!(value("form_fields", r#"[{"name":"Size","value":7}]"#), "Size: 7");
        assert_eq!(value("form_fields.Size", "null"), "–");
    }

    #[test]
    fn numbers_are_grouped_and_counted() {
        assert_eq!(count(1, "customer"), "1 customer");
        assert_eq!(count(1234567, "entry"), "1,234,567 entries");
        assert_eq!(count(0, "field"), "0 fields");
    }
}
